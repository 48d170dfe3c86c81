using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

@testset "learned" begin

n, k = 300, 8
A = spdiagm(-1 => fill(-1.0, n - 1), 0 => fill(2.0, n), 1 => fill(-1.0, n - 1))
op = Operator(A)
fresh() = Krylov(:gcrodr; restart = 60, recycle = k, diagnostics = :on)
b, c = sin.((1:n) .^ 2) .+ 0.2, cos.((1:n) .^ 2)

@testset "illegal input" begin
    s = fresh()
    @test refusal(() -> Reknit.save(s))[1] == Reknit.ERR_STATE
    @test refusal(() -> rollback!(s))[1] == Reknit.ERR_STATE
    @test refusal(() -> truncate!(s, -1))[1] == Reknit.ERR_SIZE
    @test refusal(() -> set_space!(s, fill(NaN, n, 1)))[1] == Reknit.ERR_NONFINITE
    @test refusal(() -> load!(s, op, UInt8[1, 2, 3]))[1] == Reknit.ERR_FORMAT
end

# Eigenvectors of the second difference are sines.
@testset "a space of eigenvectors" begin
    s, t = fresh(), fresh()
    x, plain = solve(s, op, b)
    set_space!(t, [sin(pi * i * j / (n + 1)) for i in 1:n, j in 1:k])
    y, helped = solve(t, op, b)
    @test 3 * helped.iterations < 2 * plain.iterations
    @test norm(y - A \ b) < 1e-4 * norm(y)
    @test abs(ritz_values(t)[1] - (2 - 2cos(pi / (n + 1)))) < 1e-6
    @test length(Reknit.angles(t)) == k && issorted(Reknit.angles(t))
    @test occursin("Ritz values of $k", Reknit.report(t))
    truncate!(t, 2)
    @test size(Reknit.space(t, Float64, n)) == (n, 2)
end

@testset "a state goes on bit for bit" begin
    s, t = fresh(), fresh()
    solve(s, op, b)
    bytes = Reknit.save(s)
    load!(t, op, bytes)
    @test Reknit.space(t, Float64, n) == Reknit.space(s, Float64, n)
    mark!(s)
    x, = solve(s, op, c)
    @test solve(t, op, c)[1] == x
    rollback!(s)
    @test solve(s, op, c)[1] == x
    bytes[100] ⊻= 0x04
    @test refusal(() -> load!(t, op, bytes))[1] < 0
end

end
