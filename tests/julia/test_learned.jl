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
    @test_throws ArgumentError prolongate!((y, x) -> nothing, s, Int, 5)
    solve(s, op, b)
    U = Reknit.space(s, Float64, n)
    @test refusal(() -> prolongate!((y, x) -> nothing, s, Float32, 2n))[1] == Reknit.ERR_SCALAR
    @test refusal(() -> prolongate!((y, x) -> nothing, s, Float64, -1))[1] == Reknit.ERR_SIZE
    @test refusal(() -> prolongate!((y, x) -> fill!(y, NaN), s, Float64, 2n))[1] == Reknit.ERR_NONFINITE
    e = thrown(() -> prolongate!((y, x) -> error("no mesh"), s, Float64, 2n))
    @test e isa CapturedException && e.ex.msg == "no mesh"
    @test Reknit.space(s, Float64, n) == U
    @test refusal(() -> set_refresh!(() -> nothing, op))[1] == Reknit.ERR_STATE
    @test_throws MethodError set_refresh!(() -> nothing, Preconditioner(op, "jacobi"))
    close(s)
    @test refusal(() -> copy(s))[1] == Reknit.ERR_HANDLE
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

@testset "copies" begin
    s = fresh()
    seen = Ref(0)
    set_monitor!(p -> (seen[] += 1; false), s)
    set_inner!((out, X, Y) -> mul!(out, X', Y), s, Float64)
    solve(s, op, b)
    for t in (copy(s), deepcopy(s))
        @test t isa Krylov && t.handle != s.handle && t[:restart] == 60
        @test Reknit.space(t, Float64, n) == Reknit.space(s, Float64, n)
        r = copy(t)
        GC.gc()                                             # the inner product is the copies' own
        seen[] = 0
        x, stats = solve(t, op, c)
        @test seen[] == 0 && solve(copy(s), op, c)[1] == x
        set_inner!(nothing, t)
        close(t)
        GC.gc()
        @test solve(r, op, c)[1] == x
        @test_throws ArgumentError solve(r, Operator(poisson(9, Float32)), ones(Float32, 9))
    end
    pair = deepcopy([s, s])
    @test pair[1] === pair[2] && pair[1].handle != s.handle
end

@testset "onto another mesh, $method" for method in (:gcrodr, :rcg, :rminres)
    m = 2n + 1
    interpolate!(y, x) = for i in eachindex(y)
        y[i] = iseven(i) ? x[i÷2] : ((i > 1 ? x[i÷2] : 0) + (i < m ? x[i÷2+1] : 0)) / 2
    end
    s, t = (Krylov(method; restart = 40, recycle = 8) for _ in 1:2)
    solve(s, op, b)
    held, calls = size(Reknit.space(s, Float64, n), 2), 0
    prolongate!(s, Float64, m) do y, x
        calls += 1
        @test (length(y), length(x)) == (m, n)
        interpolate!(y, x)
    end
    @test calls >= held >= 7 && size(Reknit.space(s, Float64, m)) == (m, held)
    fine, d = Operator(poisson(m)), sin.((1:m) .^ 2)
    y, helped = solve(s, fine, d)
    @test converged(helped) && norm(y - poisson(m) \ d) <= 1e-4 * norm(y)
    @test helped.iterations < solve(t, fine, d)[2].iterations
end

# The program's own factors: of the diagonal matrix as it was at the last refresh.
@testset "refreshes" begin
    d, inverse, calls = fill(2.0, 50), fill(0.5, 50), 0
    A = Operator(Diagonal(d))
    M = Operator((y, x) -> (y .= inverse .* x), Float64, 50, 50)
    @test set_refresh!(() -> (calls += 1; inverse .= 1 ./ d), M) === M
    GC.gc()
    s = Krylov(:cg)
    d .= (1:50) .^ 2
    changed!(A)
    @test solve(s, A, ones(50); M = M)[2].iterations > 5 && calls == 0
    changed!(M)
    x, stats = solve(s, A, ones(50); M = M)
    @test calls == 1 && stats.iterations == 1 && x ≈ 1 ./ d
    set_refresh!(() -> error("no factor"), M)
    e = thrown(() -> changed!(M))
    @test e isa CapturedException && e.ex.msg == "no factor" && calls == 1
    set_refresh!(nothing, M)
    changed!(M)
    @test solve(s, A, ones(50); M = M)[2].iterations == 1 && calls == 1
end

end
