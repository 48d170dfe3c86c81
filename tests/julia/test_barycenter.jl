using Reknit, Test
include("problems.jl")

@testset "barycentres and batches" begin

# Two Diracs: exp(-sum_l w_l C_il / epsilon), scaled. Debiased, one input is its own barycentre.
@testset "given points" begin
    n = 20
    G, s = Reknit.grid(n; h = 0.05), Sinkhorn(epsilon = 0.01, tolerance = 1e-13)
    B = zeros(n, 2)
    B[6, 1] = B[16, 2] = 2
    want = [exp(-(0.3 * (i - 6)^2 + 0.7 * (i - 16)^2) * 0.0025 / 0.01) for i in 1:n]
    want .*= 2 / sum(want)
    p, stats = barycenter(s, G, B; weights = [3, 7])
    @test maximum(abs, p - want) < 1e-12 && converged(stats) && stats.passes > 0 && isnan(stats.cost)
    big = fill(-1.0, n + 3, 2)
    big[3:n+2, :] = B
    @test maximum(abs, barycenter(forget!(s), G, view(big, 3:n+2, :); weights = [0.3, 0.7])[1] - want) < 1e-12
    @test abs(sum(barycenter(s, G, B)[1] .* (1:n)) / 2 - 11) < 1e-9
    set_options!(s, "barycenter=debiased epsilon=0.003 tolerance=1e-11")
    b = [1.0 + 7i % 5 for i in 1:n]
    @test maximum(abs, barycenter(s, G, b)[1] - b) < 1e-6
    @test_throws DimensionMismatch barycenter(s, G, B[1:5, :])
    @test_throws DimensionMismatch barycenter(s, G, B; weights = [1])
    @test refusal(() -> barycenter(s, G, B; weights = [1, -1]))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> barycenter(s, G, zeros(n, 0)))[1] == Reknit.ERR_SIZE
    @test refusal(() -> barycenter(s, Geometry([0.0 1; 2 0]), ones(2, 1)))[1] == Reknit.ERR_ARGUMENT
    status, message = refusal(() -> barycenter(s, G, [b (b .+ 1)]))
    @test status == Reknit.ERR_ARGUMENT && occursin("column 1", message)
    s = Sinkhorn(monitor = p -> p.iteration == 2, tolerance = 0.0)
    p, stats = barycenter(s, Geometry([0.0 1; 2 0]), ones(2, 1))
    @test stats.status == Reknit.STOP_MONITOR && sum(p) ≈ 2
    @test thrown(() -> barycenter(s, Geometry((row, i) -> error("row $i"), 2, 2), ones(2, 1))).ex == ErrorException("row 1")
end

# One point goes to the weighted mean of the means; a cloud's own points stay, nearly, if epsilon is small.
@testset "moving points" begin
    s, first, second = Sinkhorn(epsilon = 0.01, tolerance = 1e-10), [0.0 1 0; 0 0 2], [4.0 6; 4 8]
    x = reshape([100.0, -3], 2, 1)
    stats = barycenter!(x, s, [first, second]; b = [[0.5, 0.25, 0.25], [0.5, 0.5]], weights = [1, 3])
    @test converged(stats) && stats.iterations == 2 && maximum(abs, x - [3.8125, 4.625]) < 1e-12
    cloud = first + [0.1 0.2 -0.1; 0.1 0.1 -0.2]
    @test converged(barycenter!(cloud, s, [first]; a = [1, 1, 1])) && maximum(abs, cloud - first) < 1e-8
    @test_throws DimensionMismatch barycenter!(cloud, s, [first, ones(3, 2)])
    @test_throws DimensionMismatch barycenter!(cloud, s, [first]; a = [1, 1])
    @test_throws DimensionMismatch barycenter!(cloud, s, [first]; b = [[1, 1]])
    @test refusal(() -> barycenter!(cloud, s, Matrix{Float64}[]))[1] == Reknit.ERR_SIZE
    @test refusal(() -> barycenter!(cloud, s, [zeros(2, 0)]))[1] == Reknit.ERR_INDEX
end

@testset "batches, $method" for method in (:auto, :sinkhorn)
    n, m, k = 6, 4, 5
    C = [7 * (i + n * j)^2 % 13 / 13 for i in 1:n, j in 1:m]
    A = [1.0 + 5 * (i + n * l) % 7 for i in 1:n, l in 1:k]
    B = repeat(sum(A; dims = 1) ./ m, m)
    G, s = Geometry(C), Sinkhorn(method; context = Context(threads = 2), epsilon = 0.1, tolerance = 1e-11)
    batch = solve_batch(s, G, A, B)
    t = Sinkhorn(method; epsilon = 0.1, tolerance = 1e-11, start = :zero)
    @test converged(batch) && batch.message == ""
    for l in 1:k
        stats = solve!(t, G, A[:, l], B[:, l])
        f, g = potentials(t)
        @test abs(stats.cost - batch.costs[l]) < 1e-9
        @test maximum(abs, (f .- f[1]) - (batch.f[l] .- batch.f[l][1])) < 1e-9 && length(batch.g[l]) == m
    end
    problems = [(Geometry(C), A[:, l], B[:, l]) for l in 1:k]
    many = solve_many(s, problems)
    @test converged(many) && maximum(abs, many.costs - batch.costs) < 1e-9 && length(many.f[3]) == n
    A[1, 2] = NaN
    bad = solve_batch(s, G, A, B)
    @test !converged(bad) && bad.statuses == [0, Reknit.ERR_NONFINITE, 0, 0, 0] && occursin("column 1", bad.message)
    @test bad.costs[1] == batch.costs[1] && isnan(bad.costs[2]) && isempty(bad.f[2]) && length(bad.f[5]) == n
    problems[2][2][1] = -1
    bad = solve_many(s, problems)
    @test bad.statuses == [0, Reknit.ERR_ARGUMENT, 0, 0, 0] && isempty(bad.g[2]) && bad.costs[5] == many.costs[5]
    @test_throws DimensionMismatch solve_batch(s, G, B, A)
    @test_throws DimensionMismatch solve_batch(s, G, A, B[:, 1:2])
    @test_throws DimensionMismatch solve_many(s, [(G, ones(2), ones(2))])
    @test isempty(solve_many(s, Tuple[]).costs) && isempty(solve_batch(s, G, A[:, 1:0], B[:, 1:0]).costs)
    rows = Geometry((row, i) -> error("row $i"), n, m)
    @test thrown(() -> solve_batch(s, rows, A[:, 3:4], B[:, 3:4])).ex == ErrorException("row 1")
    @test thrown(() -> solve_many(s, [(G, A[:, 1], B[:, 1]), (rows, A[:, 1], B[:, 1])])).ex == ErrorException("row 1")
    close(rows)
    @test refusal(() -> solve_many(s, [(rows, A[:, 1], B[:, 1])]))[1] == Reknit.ERR_HANDLE
end

end
