using Reknit, Test
using LinearAlgebra
include("problems.jl")

# `count` systems of `dim` parameters between -1 and 1.
systems(dim, count) = reshape(numbers(dim * count), dim, count)

# Always to the nearest column that is left.
function chain_by_search(P, start)
    path, left = [start], setdiff(axes(P, 2), start)
    while !isempty(left)
        distances = [norm(P[:, j] - P[:, path[end]]) for j in left]
        push!(path, left[argmin(distances)])
        deleteat!(left, argmin(distances))
    end
    return path
end

path_length(P, order) = sum(norm(P[:, order[i+1]] - P[:, order[i]]) for i in 1:length(order)-1)

@testset "sequence" begin

@testset "illegal input" begin
    P = systems(3, 10)
    status, message = refusal(() -> sequence_order(P; methd = :chain))
    @test status == Reknit.ERR_KEY && occursin("did you mean 'method'?", message)
    @test refusal(() -> sequence_order(P; method = :circle))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> sequence_order(P; start = 11))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> sequence_order(P; start = 0))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> sequence_order(P; features = :dct, nx = 2, ny = 2))[1] == Reknit.ERR_SIZE
    @test_throws ArgumentError sequence_order(Float32.(P))
    @test_throws ArgumentError sequence_order(view(P, 1:2:3, :))
    @test_throws ArgumentError sequence_order(P')
    @test_throws DimensionMismatch sequence_length(P, 1:9)
    @test_throws ArgumentError sequence_length(P, 0:9)
    P[2, 7] = NaN
    for f in (sequence_order, sequence_length)
        status, message = refusal(() -> f(P))
        @test status == Reknit.ERR_NONFINITE && occursin("row 1 of column 6 (base 0)", message)
    end
    ctx = Context()
    close(ctx)
    @test refusal(() -> sequence_order(systems(2, 3); context = ctx))[1] == Reknit.ERR_HANDLE
end

@testset "chain" begin
    ctx = Context(threads = 2)
    for (dim, count) in ((1, 50), (2, 300), (20, 100))
        P = systems(dim, count)
        for start in (1, count ÷ 2, count)
            order = sequence_order(P; method = :chain, start = start, context = ctx)
            @test order == chain_by_search(P, start)
            @test sequence_length(P, order; context = ctx) ≈ path_length(P, order)
        end
        @test sequence_order(P) == chain_by_search(P, 1)
        @test sequence_length(P) ≈ path_length(P, 1:count)
        @test sequence_length(P) > sequence_length(P, sequence_order(P; two_opt = 3))
    end
end

@testset "parts of arrays, vectors, nothing" begin
    Q = systems(5, 60)
    P = view(Q, 2:4, 11:50)
    @test sequence_order(P) == chain_by_search(copy(P), 1)
    @test sequence_length(P) ≈ path_length(P, 1:40)
    places = Float64[mod(37i, 101) for i in 1:100]
    order = sequence_order(places; start = findfirst(==(1.0), places))
    @test places[order] == 1:100
    @test sequence_length(places, order) == 99
    @test sequence_order(view(places, 3:7)) == sequence_order(places[3:7])
    @test sequence_order(zeros(3, 0)) == Int[]
    @test sequence_order(zeros(0, 4)) == 1:4
    @test sequence_length(Float64[]) == 0
end

@testset "curve, groups, features" begin
    grid = Float64[axis == 1 ? mod(77i, 256) % 16 : mod(77i, 256) ÷ 16 for axis in 1:2, i in 1:256]
    order = sequence_order(grid; method = :curve)
    @test sort(order) == 1:256
    @test sequence_length(grid, order) == 255
    @test sort(sequence_order(grid; method = :grouped, group_size = 20, chunks = 3)) == 1:256
    # All coefficients of an orthonormal transform keep every distance.
    P = systems(12, 80)
    @test sequence_order(P; features = :dct, nx = 4, ny = 3) == sequence_order(P)
    @test occursin("modes", Reknit.option_reference("sequence"))
end

end
