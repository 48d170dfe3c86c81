using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

# Numbers between 0 and 1 without pattern.
units(n; shift = 0) = (1 .+ numbers(n; shift = shift)) ./ 2
masses(n; shift = 0) = (a = 0.2 .+ units(n; shift = shift); a ./ sum(a))

# The plan from the potentials and the cost.
function plan(s, C)
    f, g = potentials(s)
    return exp.((f .+ g' .- C) ./ s[:epsilon_used])
end

marginal_error(P, a, b) = sum(abs, sum(P; dims = 2) .- vec(a)) + sum(abs, sum(P; dims = 1)' .- vec(b))

@testset "sinkhorn" begin

@testset "illegal input" begin
    C, a, b = Float64[1 3 5; 2 4 6], ones(2), fill(2 / 3, 3)
    @test_throws ArgumentError Geometry([1 2; 3 4])
    @test refusal(() -> Geometry(zeros(0, 3)))[1] == Reknit.ERR_SIZE
    @test refusal(() -> Geometry(ComplexF64[1 2; 3 4]))[1] == Reknit.ERR_SCALAR
    status, message = refusal(() -> Geometry([1 3; 2 NaN]))
    @test status == Reknit.ERR_NONFINITE && occursin("row 1 and column 1", message)
    @test_throws ArgumentError Geometry(view(zeros(6, 3), 1:2:6, :))
    @test_throws DimensionMismatch Reknit.points(zeros(2, 3), zeros(3, 3))
    @test_throws DimensionMismatch Reknit.points(zeros(2, 3), zeros(2, 3); weights = [1.0])
    @test_throws DimensionMismatch Reknit.points(zeros(2, 3), zeros(2, 3); periods = [1.0])
    @test_throws ArgumentError Reknit.points(zeros(Float32, 2, 3), zeros(2, 3))
    @test refusal(() -> Reknit.points(zeros(2, 3), zeros(2, 3); p = -1))[1] == Reknit.ERR_ARGUMENT
    @test_throws DimensionMismatch Reknit.grid(2, 2; h = [1.0, 1.0, 1.0])
    @test_throws DimensionMismatch Reknit.grid(2, 2; periodic = (true, false, true))
    @test refusal(() -> Reknit.grid(2, 0))[1] == Reknit.ERR_SIZE
    @test refusal(() -> Reknit.grid())[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> Geometry((row, i) -> nothing, 2, 0))[1] == Reknit.ERR_SIZE

    @test refusal(() -> Sinkhorn(:emd))[1] == Reknit.ERR_KEY
    @test occursin("did you mean 'epsilon'?", refusal(() -> Sinkhorn(epsilom = 1.0))[2])
    @test refusal(() -> Sinkhorn(tolerance = -1.0))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> Sinkhorn(relaxation = 1.5))[1] == Reknit.ERR_KEY
    s, G = Sinkhorn(), Geometry(C)
    for f in (potentials, s -> plan_sparse(s, 0.1), s -> plan_apply(s, b), s -> potentials(forget!(s)))
        @test refusal(() -> f(s))[1] == Reknit.ERR_STATE
    end
    @test_throws DimensionMismatch solve!(s, G, b, b)
    @test_throws DimensionMismatch solve!(s, G, a, a)
    @test_throws ArgumentError solve!(s, G, Float32[1, 1], b)
    @test_throws ArgumentError solve!(s, G, view(ones(4), 1:2:4), b)
    @test refusal(() -> solve!(s, G, a, 2b))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> solve!(s, G, a, [1, -1, 2.0]))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> solve!(s, G, [1, NaN], b))[1] == Reknit.ERR_NONFINITE
    @test converged(solve!(s, G, a, b))
    @test_throws DimensionMismatch plan_apply(s, a)
    @test_throws DimensionMismatch plan_apply!(zeros(2), s, a; transposed = true)
    @test_throws DimensionMismatch plan_apply!(zeros(2, 2), s, b)
    @test_throws ArgumentError plan_apply(s, Float32.(b))
    @test refusal(() -> plan_sparse(s, -1))[1] == Reknit.ERR_ARGUMENT
    close(G)
    @test occursin("closed", sprint(show, G))
    @test refusal(() -> solve!(s, G, a, b))[1] == Reknit.ERR_HANDLE
    @test plan_apply(s, ones(3)) ≈ a                        # the solver keeps what it needs
    close(s)
    @test refusal(() -> potentials(s))[1] == Reknit.ERR_HANDLE
end

# P[1, 1] / P[1, 2] = exp(1 / epsilon)
@testset "two points, $method" for method in (:auto, :sinkhorn, :sns)
    G, a = Geometry([0.0 1; 1 0]), [0.5, 0.5]
    @test size(G) == (2, 2) && size(G, 1) == 2
    for epsilon in (1, 0.3, 0.1)
        s = Sinkhorn(method; tolerance = 1e-13)
        s[:epsilon] = float(epsilon)
        stats = solve!(s, G, a, a)
        f, g = potentials(s)
        apart = 0.5 / (1 + exp(1 / epsilon))
        together = 0.5 - apart
        @test converged(stats) && stats.status == 0 && stats.reason == "converged"
        @test abs(exp((f[1] + g[1]) / epsilon) - together) < 1e-12
        @test abs(exp((f[1] + g[2] - 1) / epsilon) - apart) < 1e-12
        @test abs(stats.cost - 2apart) < 1e-12
        @test abs(stats.primal - (2apart + epsilon * (2together * log(together) + 2apart * log(apart) - 1))) < 1e-12
        @test abs(stats.dual - stats.primal) < 1e-12
        @test s[:method] == String(method) && s[:iterations] === stats.iterations && s[:passes] === stats.passes
    end
end

# Sorted points are matched in order; <C, P> exceeds that by epsilon log n at most.
@testset "line" begin
    n = 80
    x, y, a = units(n), units(n; shift = 500).^2, fill(1 / n, n)
    G = Reknit.points(x, y)
    exact = sum((sort(x) .- sort(y)).^2) / n
    s = Sinkhorn(:auto; tolerance = 1e-9)
    before = 1.0
    for epsilon in (1e-2, 1e-3, 1e-4, 1e-5)
        set_options!(s, "epsilon=$epsilon")
        more = solve!(s, G, a, a).cost - exact
        @test -1e-9 < more < min(epsilon * log(n), before)
        before = more
    end
    @test s[:solves] == 4
end

# A grid of 6 x 5 cells, the second axis closed, as every geometry; the first axis runs fastest.
@testset "geometries" begin
    nx, ny = 6, 5
    n = nx * ny
    points = [axis == 1 ? 0.1 * ((i - 1) % nx) : 0.15 * ((i - 1) ÷ nx) for axis in 1:2, i in 1:n]
    turn(t) = min(t, 0.15ny - t)
    C = [(points[1, i] - points[1, j])^2 + turn(abs(points[2, i] - points[2, j]))^2 for i in 1:n, j in 1:n]
    a, b = reshape(masses(n), nx, ny), reshape(masses(n; shift = 70), nx, ny)
    big = fill(-1.0, n + 3, n)
    big[3:n+2, :] = C
    everywhere = sparse(repeat(1:n, n), repeat(1:n, inner = n), ones(n^2))
    everywhere.nzval .= vec(C)                              # stored zeros stay
    all = [Geometry(C), Geometry(C; copy = true), Geometry(transpose(copy(C'))), Geometry(view(big, 3:n+2, :)),
           Reknit.points(points, points; periods = [0, 0.15ny]), Reknit.grid(nx, ny; h = (0.1, 0.15), periodic = (false, true)),
           Geometry(everywhere), Geometry(SparseMatrixCSC{Float64,Int32}(everywhere)'),
           Geometry((row, i) -> row .= view(C, i, :), n, n), Geometry(Float32.(C))]
    for (k, G) in enumerate(all)
        s = Sinkhorn(:auto; epsilon = 5e-3, tolerance = 1e-11)
        @test size(G) == (n, n)
        @test converged(solve!(s, G, a, b))
        @test marginal_error(plan(s, C), a, b) < (k == length(all) ? 1e-4 : 3e-11)
    end
    s = Sinkhorn(:sinkhorn; epsilon = 0.1, tolerance = 1e-11)
    # three axes, p = 1
    cells = vec([(i, j, k) for i in 1:5, j in 1:3, k in 1:2])
    solve!(s, Reknit.grid(5, 3, 2; h = [0.1, 0.2, 0.3], p = 1), reshape(a, 5, 3, 2), reshape(b, 5, 3, 2))
    @test marginal_error(plan(s, [sum((0.1, 0.2, 0.3) .* abs.(i .- j)) for i in cells, j in cells]), a, b) < 3e-11
    # weights, p and q
    forget!(s)
    solve!(s, Reknit.points(points, points; q = 1, weights = [2, 3]), a, b)
    @test marginal_error(plan(s, [sqrt(sum([2, 3] .* (points[:, i] .- points[:, j]).^2)) for i in 1:n, j in 1:n]), a, b) < 3e-11
    # rows and columns are not mixed up, and what is not stored is forbidden
    lopsided_cost = sparse([1, 1, 2, 2, 3], [1, 2, 2, 3, 4], [0.3, 0.1, 0.7, 0.2, 0.0])
    third = [0.25, 0.5, 0.25]
    for (G, from, to) in ((Geometry(lopsided_cost), third, fill(0.25, 4)), (Geometry(transpose(lopsided_cost)), fill(0.25, 4), third))
        s = Sinkhorn(:auto; epsilon = 0.1, tolerance = 1e-10)
        @test size(G) == (length(from), length(to)) && converged(solve!(s, G, from, to))
        # The plan is the only one: row 1 serves column 1 alone.
        only_plan = sparse([1, 2, 2, 3], [1, 2, 3, 4], fill(0.25, 4), 3, 4)
        @test norm(plan_sparse(s, 1e-3) - (length(from) == 3 ? only_plan : only_plan')) < 1e-8
    end
end

# More columns than rows, a point without mass: the plan applied, and written out.
@testset "plans" begin
    n, m = 15, 24
    C, a, b = reshape(units(n * m), n, m), masses(n), masses(m; shift = 30)
    a[1] += a[4]
    a[4] = 0
    ctx = Context(threads = 2)
    s = Sinkhorn(:auto; context = ctx, epsilon = 0.05, tolerance = 1e-11)
    stats = solve!(s, Geometry(C; context = ctx), a, b)
    P = plan(s, C)
    @test marginal_error(P, a, b) < 3e-11 && potentials(s)[1][4] == -Inf
    @test abs(stats.cost - sum(P .* C)) < 1e-12 && stats.marginal_error <= 1e-11
    X = reshape(units(2 * (m + 2)), m + 2, 2)
    @test norm(plan_apply(s, view(X, 2:m+1, :)) - P * X[2:m+1, :]) < 1e-12
    x = units(n)
    @test norm(plan_apply(s, x; transposed = true) - P' * x) < 1e-12
    y = zeros(n)
    @test plan_apply!(y, s, b) === y && norm(y - P * b) < 1e-12
    kept = plan_sparse(s, 3e-3)
    @test size(kept) == (n, m) && nnz(kept) == count(>(3e-3), P)
    @test norm(kept - P .* (P .> 3e-3)) < 1e-12
    @test plan_sparse(s, 2) == spzeros(n, m)
    @test occursin("converged", sprint(show, stats)) && sprint(show, s) == "Sinkhorn(:auto)"
end

# A warm start takes fewer passes; forgetting takes it back.
@testset "memory" begin
    K = 10
    blob(u) = (a = [1e-2 + 1 / (1 + 20 * ((0.1i - u)^2 + (0.1j - 0.5)^2))^2 for i in 1:K, j in 1:K]; a ./ sum(a))
    G, s = Reknit.grid(K, K; h = 0.1), Sinkhorn(epsilon = 4e-3, tolerance = 1e-9)
    first, second = solve!(s, G, blob(0.3), blob(0.7)), solve!(s, G, blob(0.301), blob(0.7))
    again = solve!(forget!(s), G, blob(0.3), blob(0.7))
    @test second.passes < first.passes
    @test again.passes == first.passes && again.cost == first.cost
end

@testset "callbacks" begin
    C, a = [0 1.0; 0.4 0], [0.5, 0.5]
    calls, last = Ref(0), Ref(-1.0)
    s = Sinkhorn(:sinkhorn; epsilon = 0.2, tolerance = 1e-13, monitor = p -> (last[] = p.measure; (calls[] += 1) == 2))
    stats = solve!(s, Geometry(C), a, a)
    @test stats.status == Reknit.STOP_MONITOR && !converged(stats) && calls[] == 2 && last[] > 0
    @test length(potentials(s)[1]) == 2
    @test thrown(() -> solve!(Sinkhorn(monitor = p -> error("from the monitor")), Geometry(C), a, a)).ex ==
          ErrorException("from the monitor")
    set_monitor!(nothing, s)
    @test converged(solve!(s, Geometry(C), a, a)) && calls[] == 2

    broken = Ref(false)
    t = Sinkhorn(epsilon = 0.2, tolerance = 1e-13)
    solve!(t, Geometry(2, 2) do row, i
        broken[] && error("from row $i")
        copyto!(row, C[i, :])
    end, a, a)
    GC.gc()                                                 # the solver keeps the function
    @test abs((potentials(t)[1] - potentials(s)[1]) ⋅ [1, -1]) < 1e-10
    @test plan_apply(t, ones(2)) ≈ a
    broken[] = true
    @test thrown(() -> plan_apply(t, ones(2))).ex == ErrorException("from row 1")
    @test thrown(() -> plan_sparse(t, 0)).ex == ErrorException("from row 1")
    @test thrown(() -> solve!(t, Geometry((row, i) -> throw(KeyError(i)), 2, 2), a, a)).ex == KeyError(1)
    broken[] = false
    @test nnz(plan_sparse(t, 0)) == 4                       # a solve that failed leaves the last plan
    status, message = refusal(() -> solve!(t, Geometry((row, i) -> fill!(row, NaN), 2, 2), a, a))
    @test status == Reknit.ERR_NONFINITE && occursin("NaN", message)
end

# A point that may go nowhere: no plan is delivered, and the one before stays.
@testset "infeasible" begin
    s = Sinkhorn(:auto)
    solve!(s, Reknit.grid(1), [3.0], [3.0])
    stats = solve!(s, Geometry(sparse([1, 3, 3], [1, 2, 3], ones(3))), ones(3), ones(3))
    @test stats.status == Reknit.STOP_INFEASIBLE && occursin("INFEASIBLE", sprint(show, stats))
    @test length(potentials(s)[1]) == 1 && plan_sparse(s, 0)[1, 1] ≈ 3
    @test occursin("epsilon_relative", Reknit.option_reference("sinkhorn"))
end

# Sorted points are matched in order: the bounds contain that cost, the rounded plan has the marginals.
@testset "bounds" begin
    n = 25
    x, y, a = units(n), units(n; shift = 500).^2, fill(1 / n, n)
    exact = sum((sort(x) .- sort(y)).^2) / n
    C = (x .- y').^2
    for G in (Geometry(C), Geometry(transpose(copy(C'))), Reknit.points(x, y))
        s = Sinkhorn(epsilon = 0.02, tolerance = 1e-5)
        for f in (bracket, round_plan, s -> plan_rows(s, 1:1), s -> plan_rows(s, 1:0))
            @test refusal(() -> f(s))[1] == Reknit.ERR_STATE
        end
        solve!(s, G, a, a)
        lower, upper = bracket(s)
        @test lower <= exact <= upper < lower + 0.05
        @test s[:lower_bound] == lower && s[:upper_bound] == upper
        P = plan_rows(s, 1:n)
        @test norm(P - plan(s, C)) < 1e-13
        @test plan_rows(s, 4:6) == P[4:6, :] && size(plan_rows(s, 1:0)) == (0, n)
        @test refusal(() -> plan_rows(s, n:n+1))[1] == Reknit.ERR_INDEX
        @test refusal(() -> plan_rows(s, 0:1))[1] == Reknit.ERR_SIZE
        u, v, p, q = round_plan(s)
        rounded = u .* P .* v' .+ p .* q'
        @test marginal_error(rounded, a, a) < 1e-13 && minimum(rounded) >= 0
        @test abs(sum(rounded .* C) - upper) < 1e-14
        s[:target_gap] = 1e-5
        @test converged(solve!(s, G, a, a))
        @test s[:lower_bound] <= exact + 1e-13 && s[:upper_bound] >= exact - 1e-13
        @test s[:upper_bound] - s[:lower_bound] <= 1e-5 * s[:upper_bound]
        # as much as one point has goes where that is cheapest
        set_options!(s, "target_gap=0 epsilon=1e-4 tolerance=1e-8")
        s[:transported_mass] = 1 / n
        stats = solve!(s, G, a, ones(n))
        @test abs(sum(plan_rows(s, 1:n)) - 1 / n) < 1e-6 && maximum(sum(plan_rows(s, 1:n); dims = 2)) < 1 / n + 1e-6
        @test abs(stats.cost - sum(minimum(C) / n)) < 1e-3
        @test refusal(() -> bracket(s))[1] == Reknit.ERR_STATE
    end
end

# Masses that are the same are not apart; two Diracs are as far as transport costs.
@testset "divergence" begin
    n = 20
    G, a, b = Reknit.grid(n; h = 0.05), masses(n), masses(n; shift = 70)
    s = Sinkhorn(epsilon = 0.05, tolerance = 1e-13)
    @test abs(divergence!(s, G, a, a)[1]) < 1e-12
    value, first = divergence!(s, G, a, b)
    again, second = divergence!(s, G, G, G, a, b)
    @test value > 1e-7 && abs(again - value) < 1e-12 && second.passes < first.passes
    @test abs(divergence!(s, G, b, a)[1] - value) < 1e-12
    @test length(potentials(s)[1]) == n
    one, here = Geometry(fill(0.25, 1, 1)), Geometry(zeros(1, 1))
    @test abs(divergence!(s, one, here, here, [2.0], [2.0])[1] - 0.5) < 1e-14
    @test refusal(() -> divergence!(s, G, G, here, a, b))[1] == Reknit.ERR_SIZE
    @test_throws DimensionMismatch divergence!(s, G, a, [1.0])
    broken = Geometry((row, i) -> error("from a self term"), n, n)
    @test thrown(() -> divergence!(s, G, broken, G, a, b)).ex == ErrorException("from a self term")
    @test size(plan_rows(s, 1:1)) == (1, 1)                 # what failed leaves the last plan
    s[:max_passes] = 1
    value, stats = divergence!(forget!(s), G, a, b)
    @test isnan(value) && stats.status == Reknit.STOP_ITERATIONS
end

# A sequence saved and gone on with by another solver ends with the same bits.
@testset "saved" begin
    n = 30
    G, b = Reknit.grid(n; h = 1 / n), masses(n; shift = 70)
    s, t = Sinkhorn(epsilon = 1e-3, tolerance = 1e-9), Sinkhorn(epsilon = 1e-3, tolerance = 1e-9)
    solve!(s, G, masses(n), b)
    bytes = Reknit.save(s)
    @test load!(t, bytes) === t && Reknit.save(t) == bytes
    @test refusal(() -> potentials(t))[1] == Reknit.ERR_STATE
    solve!(s, G, masses(n; shift = 9), b)
    solve!(t, G, masses(n; shift = 9), b)
    @test potentials(s) == potentials(t)
    damaged = copy(bytes)
    damaged[end÷2] ⊻= 0x01
    for wrong in (damaged, bytes[1:end-1], UInt8[], Vector{UInt8}("something else"))
        @test refusal(() -> load!(t, wrong))[1] == Reknit.ERR_FORMAT
    end
    @test potentials(s) == potentials(t)
end

end
