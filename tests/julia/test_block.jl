using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

@testset "block" begin

@testset "illegal input" begin
    n, k = 20, 3
    A, s = Operator(poisson(n)), Krylov(:gmres)
    B, X = ones(n, k), reshape(numbers(n * k), n, k)
    untouched = copy(X)
    for f in (solve!, start!)
        @test_throws DimensionMismatch f(X, s, A, ones(n - 1, k))
        @test_throws DimensionMismatch f(zeros(n + 1, k), s, A, B)
        @test_throws DimensionMismatch f(X, s, A, ones(n, k + 1))
        @test_throws ArgumentError f(X, s, A, ones(Float32, n, k))
        @test_throws ArgumentError f(zeros(Float32, n, k), s, A, B)
        @test_throws ArgumentError f(view(zeros(2n, k), 1:2:2n, :), s, A, B)
        @test_throws ArgumentError f(X, s, A, transpose(ones(k, n)))
        @test_throws ArgumentError f(X, s, A, X)
        @test_throws ArgumentError f(X, s, A, B; M = poisson(n))
        @test_throws MethodError f(X, s, A, ones(n))
        @test_throws MethodError f(zeros(n), s, A, B)
        @test refusal(() -> f(X, s, A, B; M = Operator(ones(Float32, n, n))))[1] == Reknit.ERR_SCALAR
    end
    status, message = refusal(() -> solve!(X, s, A, [i == 7 && j == 2 ? NaN : 1.0 for i in 1:n, j in 1:k]))
    @test status == Reknit.ERR_NONFINITE && occursin("row 6 of column 1 (base 0)", message)
    @test refusal(() -> solve!(X, s, A, B; M = Preconditioner(Operator(poisson(5)), "jacobi")))[1] == Reknit.ERR_SIZE
    @test X == untouched
    @test isempty(column_stats(s))
    @test converged(solve!(X, s, A, B))                     # the next correct call works
    Y, stats = solve(s, A, zeros(n, 0))
    @test size(Y) == (n, 0) && converged(stats) && isempty(column_stats(s))
    close(s)
    @test refusal(() -> solve(s, A, B))[1] == Reknit.ERR_HANDLE
    @test refusal(() -> column_stats(s))[1] == Reknit.ERR_HANDLE
end

@testset "dense truth, $method, $T" for method in (:auto, :gmres, :bicgstab, :gcrodr, :idr), T in SCALARS
    n = 60
    K = lopsided(n, T)
    A, s = Operator(K), Krylov(method; rtol = 50 * eps(real(T)))
    for k in (3, 1, 4)                                      # what was learned stays with the column
        B = reshape(numbers(n * k, T), n, k)
        X, stats = solve(s, A, B)
        @test converged(stats) && size(X) == (n, k)
        @test norm(X - Matrix(K) \ B) <= 500 * eps(real(T)) * norm(B)
        ends = column_stats(s)
        @test length(ends) == k && all(converged, ends)
        @test maximum(e.iterations for e in ends) == stats.iterations
        residuals = [norm(B[:, j] - K * X[:, j]) for j in 1:k]
        @test all(abs(ends[j].residual_norm - residuals[j]) <= 100 * eps(real(T)) * norm(B) for j in 1:k)
    end
end

@testset "Hermitian dense truth, $method, $T" for method in (:cg, :minres, :rcg, :rminres), T in SCALARS
    n, k = 60, 4
    half = lopsided(n, T)
    K = half + half'
    A = Operator(Hermitian(K))
    B = reshape(numbers(n * k, T), n, k)
    X, stats = solve(Krylov(method; rtol = 50 * eps(real(T))), A, B; M = Preconditioner(A, "jacobi"))
    @test converged(stats) && stats.preconditioner_applies > 0
    @test norm(X - Matrix(K) \ B) <= 500 * eps(real(T)) * norm(B)
end

@testset "parts of larger matrices" begin
    n, k = 30, 3
    K = poisson(n)
    A, s = Operator(K), Krylov(:cg; rtol = 1e-12)
    want = reshape(numbers(n * k), n, k)
    large = fill(-77.0, n + 4, 8)
    B, X = view(large, 2:n+1, 1:k), view(large, 3:n+2, 5:7)
    B .= K * want
    @test converged(solve!(X, s, A, B))
    @test norm(X - want) <= 1e-8 * norm(want) && B == K * want
    @test count(==(-77.0), large) == length(large) - 2n * k
end

# CG takes as many steps as a right-hand side has different entries of a diagonal matrix.
@testset "columns end apart" begin
    d = collect(1.0:30)
    A, s = Operator(Diagonal(d)), Krylov(:cg; max_iterations = 7)
    B = [zeros(30) vcat(ones(4), zeros(26)) ones(30)]
    X, stats = solve(s, A, B)
    ends = column_stats(s)
    @test stats.status == Reknit.STOP_ITERATIONS && stats.iterations == 7 && !converged(stats)
    @test [e.iterations for e in ends] == [0, 4, 7] && converged.(ends) == [true, true, false]
    @test ends[3].status == Reknit.STOP_ITERATIONS && ends[3].residual_norm == stats.residual_norm
    @test iszero(X[:, 1]) && X[:, 2] ≈ B[:, 2] ./ d
    x, stats = solve(s, A, B[:, 2])
    @test length(column_stats(s)) == 1 && column_stats(s)[1].iterations == stats.iterations
    d[20] = -1                                              # an error is that of its column
    t = Krylov(:cg)
    @test refusal(() -> solve(t, A, B))[1] == Reknit.ERR_INDEFINITE
    @test [e.status for e in column_stats(t)] == [0, 0, Reknit.ERR_INDEFINITE]
end

@testset "functions" begin
    n, k = 40, 4
    K = poisson(n)
    widths = Int[]
    A = Operator((Y, X) -> (push!(widths, size(X, 2)); length(widths) == 100 && error("no product"); mul!(Y, K, X)),
                 Float64, n, n; block = true)
    M = Operator((y, x) -> (y .= x ./ 2), Float64, n, n)
    s = Krylov(:cg)
    want = reshape(numbers(n * k), n, k)
    X, stats = solve(s, A, K * want; M = M)
    @test converged(stats) && norm(X - want) <= 1e-5 * norm(want)
    @test maximum(widths) == k && sum(widths) == stats.applies && length(widths) <= stats.iterations + 2k
    append!(widths, zeros(Int, 95 - length(widths)))
    e = thrown(() -> solve!(X, s, A, K * want; M = M))
    @test e isa CapturedException && e.ex.msg == "no product"
    @test all(e -> e.status == Reknit.ERR_CALLBACK, column_stats(s)) && all(isfinite, X)
    @test converged(solve!(X, s, A, K * want; M = M))
end

@testset "by requests, $method, $T" for method in (:auto, :cg, :gmres, :gcrodr), T in SCALARS
    n, k = 30, 3
    K = poisson(n, T)
    s, t = Krylov(method; rtol = 1e-5), Krylov(method; rtol = 1e-5)
    F = Operator((Y, X) -> mul!(Y, K, X), T, n, n; block = true)
    A = Operator(T, n, n)
    for step in 1:2
        B = reshape(numbers(n * k, T; shift = step), n, k)
        X, stats = solve(s, F, B)
        large = zeros(T, n + step, k)
        Y = view(large, 1:n, :)
        start!(Y, t, A, B)
        @test refusal(() -> start!(Y, t, A, B))[1] == Reknit.ERR_BUSY
        GC.gc(false)
        widest = 0
        while (r = next!(t)).kind != Reknit.REQUEST_DONE
            widest = max(widest, size(r.x, 2))
            mul!(r.y, K, r.x)
        end
        @test r.status == stats.status && widest == k
        @test X == Y && column_stats(s) == column_stats(t) && iszero(large[n+1:end, :])
    end
end

end
