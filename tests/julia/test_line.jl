using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

way(period, x, y) = period > 0 ? min(mod(x - y, period), mod(y - x, period)) : abs(x - y)

# The least over all permutations of the columns left.
least(C, row = 1, left = collect(axes(C, 2))) =
    row > size(C, 1) ? 0.0 : minimum(C[row, j] + least(C, row + 1, setdiff(left, j)) for j in left)

points(n; shift = 0.0) = 0.5 .* (1 .+ numbers(n; shift = shift))

@testset "line" begin

@testset "illegal input" begin
    x, y = points(4), points(3; shift = 0.3)
    @test refusal(() -> wasserstein_line(Float64[], y))[1] == Reknit.ERR_SIZE
    status, message = refusal(() -> wasserstein_line([0, NaN], y))
    @test status == Reknit.ERR_NONFINITE && occursin("'x' has NaN at position 1", message)
    @test refusal(() -> wasserstein_line(x, y; a = [1.0, 1, 1, -1]))[1] == Reknit.ERR_ARGUMENT
    status, message = refusal(() -> wasserstein_line(x, y; a = ones(4), b = ones(3)))
    @test status == Reknit.ERR_ARGUMENT && occursin("'b' is of mass 3", message)
    @test refusal(() -> wasserstein_line(x, y; p = 0.5))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> wasserstein_circle(0, x, y))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> wasserstein_circle_plan(NaN, x, y))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> wasserstein_circle_gradient(-1, x, y))[1] == Reknit.ERR_ARGUMENT
    @test_throws DimensionMismatch wasserstein_line(x, y; a = ones(3))
    @test_throws ArgumentError wasserstein_line(Float32.(x), y)
    @test_throws ArgumentError wasserstein_line(view(x, 1:2:3), y)
    @test_throws DimensionMismatch wasserstein_sliced(ones(2, 3), ones(3, 3); projections = 3)
    @test_throws DimensionMismatch wasserstein_sliced(ones(2, 3), ones(2, 3); projections = 3, b = ones(2))
    @test refusal(() -> wasserstein_sliced(ones(2, 3), ones(2, 3); projections = 0))[1] == Reknit.ERR_SIZE
end

@testset "permutations" begin
    for n in 1:6, p in (1, 1.5, 2, 3), period in (0.0, 0.9)
        x, y = points(n; shift = 0.1p), points(n; shift = 0.7 + 0.1p)
        truth = least([way(period, s, t)^p for s in x, t in y]) / n
        @test abs((period > 0 ? wasserstein_circle(period, x, y; p = p) : wasserstein_line(x, y; p = p)) - truth) < 1e-14
    end
    @test wasserstein_line([0.0, 1], [4.0, 2]) == 6.5
    @test wasserstein_line(view([9.0, 0, 1], 2:3), [3.0]; p = 1, a = [1.0, 3]) == 9
end

@testset "certificates" begin
    for p in (1, 2, 2.5), period in (0.0, 0.7)
        x, y, a, b = points(60), points(83; shift = 0.2), points(60; shift = 0.4), points(83; shift = 0.6)
        b .*= sum(a) / sum(b)
        C = [way(period, s, t)^p for s in x, t in y]
        cost = period > 0 ? wasserstein_circle(period, x, y; p = p, a = a, b = b) : wasserstein_line(x, y; p = p, a = a, b = b)
        P = period > 0 ? wasserstein_circle_plan(period, x, y; p = p, a = a, b = b) : wasserstein_line_plan(x, y; a = a, b = b)
        d = period > 0 ? wasserstein_circle_gradient(period, x, y; p = p, a = a, b = b) :
            wasserstein_line_gradient(x, y; p = p, a = a, b = b)
        @test P isa SparseMatrixCSC && size(P) == (60, 83) && nnz(P) <= 142
        @test vec(sum(P; dims = 2)) ≈ a && vec(sum(P; dims = 1)) ≈ b
        @test dot(C, P) ≈ cost && d.cost == cost
        slack = C .- d.f .- d.g'
        @test minimum(slack) > -1e-13 && dot(slack, P) < 1e-11
        @test dot(a, d.f) ≈ cost / 2 && dot(b, d.g) ≈ cost / 2
        h = 1e-6
        step = [i == 7 ? h : 0.0 for i in 1:60]
        at(x) = period > 0 ? wasserstein_circle(period, x, y; p = p, a = a, b = b) : wasserstein_line(x, y; p = p, a = a, b = b)
        @test abs((at(x + step) - at(x - step)) / 2h - d.x[7]) < 1e-5
        @test abs(sum(d.x) + sum(d.y)) < 1e-11
    end
end

@testset "sliced" begin
    x, y = reshape(points(150), 3, 50), reshape(points(80; shift = 0.5), 2, 40)
    part = view(x, 1:2, :)
    ctx = Context(threads = 2)
    cost = wasserstein_sliced(part, y; projections = 30, seed = 9)
    d = wasserstein_sliced_gradient(part, y; projections = 30, seed = 9, context = ctx)
    @test d.cost == cost && size(d.x) == (2, 50)
    @test wasserstein_sliced(part, y; projections = 30, seed = 10) != cost
    less = wasserstein_sliced(part - 1e-6 * d.x, y; projections = 30, seed = 9)
    @test abs((cost - less) / (1e-6 * sum(abs2, d.x)) - 1) < 1e-4
    @test wasserstein_sliced(x[1:1, :], y[2:2, :]; projections = 3, p = 1.5) ≈ wasserstein_line(x[1, :], y[2, :]; p = 1.5)
end

end
