using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

@testset "krylov" begin

@testset "illegal input" begin
    @test refusal(() -> Krylov(:gmress))[1] < 0
    @test occursin("gmres", refusal(() -> Krylov(:gmress))[2])
    status, message = refusal(() -> Krylov(:gmres; restrt = 10))
    @test status == Reknit.ERR_KEY
    @test occursin("unknown option 'restrt'; did you mean 'restart'?", message)
    @test refusal(() -> Krylov(:cg; restart = 10))[1] == Reknit.ERR_KEY                    # CG would ignore it
    @test refusal(() -> Krylov(:gmres; restart = 0))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> Krylov(:gmres; rtol = -1))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> Krylov(:gmres; rtol = NaN))[1] < 0
    @test refusal(() -> Krylov(:gmres; side = :top))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> Krylov(:gmres; side = 3))[1] == Reknit.ERR_KEY                     # a number for a word

    n = 20
    A, s, b = Operator(poisson(n)), Krylov(:gmres), ones(n)
    x = numbers(n)
    untouched = copy(x)
    @test_throws DimensionMismatch solve!(x, s, A, ones(n - 1))
    @test_throws DimensionMismatch solve!(zeros(n + 1), s, A, b)
    @test_throws ArgumentError solve!(x, s, A, ones(Float32, n))
    @test_throws ArgumentError solve!(view(zeros(2n), 1:2:2n), s, A, b)
    @test_throws ArgumentError solve!(x, s, A, x)
    @test_throws ArgumentError solve!(x, s, A, b; M = poisson(n))
    @test_throws MethodError solve!(x, s, poisson(n), b)
    @test refusal(() -> solve!(x, s, A, fill(NaN, n)))[1] == Reknit.ERR_NONFINITE
    @test refusal(() -> solve!(zeros(n + 1), s, Operator(ones(n, n + 1)), b))[1] == Reknit.ERR_SIZE
    @test refusal(() -> solve!(x, s, A, b; M = Preconditioner(Operator(poisson(5)), "jacobi")))[1] == Reknit.ERR_SIZE
    @test x == untouched
    @test converged(solve!(x, s, A, b))                                                    # the next correct call works
end

@testset "closed and dead" begin
    s = Krylov(:cg)
    A = Operator(poisson(5))
    pointer = s.handle
    close(s)
    @test refusal(() -> solve(s, A, ones(5)))[1] == Reknit.ERR_HANDLE
    @test refusal(() -> s[:rtol])[1] == Reknit.ERR_HANDLE
    @test Reknit.LibReknit.rkn_krylov_forget(pointer) == Reknit.ERR_HANDLE
    @test occursin("closed", sprint(show, s))
    s = Krylov(:cg)
    close(A)
    @test refusal(() -> solve!(zeros(5), s, A, ones(5)))[1] == Reknit.ERR_HANDLE
    B = Operator(poisson(5))
    M = Preconditioner(B, "jacobi")
    close(B)
    @test converged(solve(s, Operator(poisson(5)), ones(5); M = M)[2])                     # M holds on to B
end

@testset "closed form, $method" for method in (:cg, :minres, :gmres, :bicgstab, :gcrodr, :rbicgstab, :rcg, :eigcg, :rminres, :idr, :cocg, :cocr)
    n = 100
    s = Krylov(method; rtol = 1e-10, max_iterations = 5000)
    x = fill(NaN, n)                                                                       # need not be initialised
    stats = solve!(x, s, Operator(poisson(n)), ones(n))
    truth = poisson_solution(n)
    @test stats isa Stats && converged(stats) && stats.status == 0
    @test norm(x - truth) <= 1e-6 * norm(truth)
    residual = norm(ones(n) - poisson(n) * x)
    @test isapprox(stats.residual_norm, residual; rtol = 1e-3, atol = 1e-12)
    @test stats.relative_residual <= 1e-10
    @test isapprox(stats.relative_residual, stats.residual_norm / sqrt(n); rtol = 1e-6)
    @test stats.iterations == s[:iterations] > 0
    @test stats.applies == s[:applies] >= stats.iterations
    @test !isempty(stats.reason) && stats.solve_seconds >= 0 && stats.reductions > 0
    norms = history(s)
    @test first(norms) ≈ sqrt(n) && length(norms) >= 2
    @test last(norms) <= 1e-10 * sqrt(n) * 1.01
end

@testset "dense truth, $method, $T" for method in (:gmres, :bicgstab, :gcrodr, :idr), T in SCALARS
    n = 60
    K = lopsided(n, T)
    b = numbers(n, T)
    rtol = 50 * eps(real(T))
    x, stats = solve(Krylov(method; rtol = rtol), Operator(K), b)
    @test converged(stats)
    @test norm(x - Matrix(K) \ b) <= 500 * eps(real(T)) * norm(b)
end

@testset "Hermitian dense truth, $method, $T" for method in (:cg, :minres, :rcg, :eigcg, :rminres), T in SCALARS
    n = 60
    half = lopsided(n, T)
    K = half + half'
    b = numbers(n, T)
    x, stats = solve(Krylov(method; rtol = 50 * eps(real(T))), Operator(Hermitian(K)), b)
    @test converged(stats)
    @test norm(x - Matrix(K) \ b) <= 500 * eps(real(T)) * norm(b)
end

@testset "preconditioned: $kind, $side" for kind in ("jacobi", "ilu0", "ilut", "lu"), side in (:left, :right, :flexible)
    n = 80
    K = lopsided(n)
    b = numbers(n)
    A = Operator(K)
    M = Preconditioner(A, kind)
    plain = solve(Krylov(:gmres; rtol = 1e-12), A, b)[2]
    x, stats = solve(Krylov(:gmres; rtol = 1e-12, side = side), A, b; M = M)
    @test converged(stats)
    @test norm(x - Matrix(K) \ b) <= 1e-10 * norm(b)
    @test stats.preconditioner_applies > 0
    @test kind == "jacobi" || stats.iterations < plain.iterations
    kind == "lu" && @test stats.iterations <= 2
    # The same, built by the solver.
    y, own = solve(Krylov(:gmres; rtol = 1e-12, side = side, preconditioner = kind), A, b)
    @test converged(own) && norm(y - x) <= 1e-10 * norm(x) && own.iterations == stats.iterations
end

@testset "a factorization and a function as preconditioners" begin
    n = 50
    K, b = lopsided(n), numbers(n)
    A = Operator(K)
    x, stats = solve(Krylov(:gmres; rtol = 1e-12), A, b; M = Preconditioner(lu(K)))
    @test stats.iterations <= 2 && norm(K * x - b) <= 1e-11 * norm(b)
    inner = Operator((y, r) -> (y .= r ./ diag(K)), Float64, n, n)
    x, stats = solve(Krylov(:gcrodr; rtol = 1e-12), A, b; M = inner)
    @test converged(stats) && norm(K * x - b) <= 1e-11 * norm(b)
    @test refusal(() -> solve(Krylov(:gmres; preconditioner = "jacobi"), A, b; M = inner))[1] == Reknit.ERR_ARGUMENT
end

@testset "a function as operator, which applies a borrowed one" begin
    n = 70
    K = poisson(n)
    inner = Operator(K)
    A = Operator((y, x) -> (mul!(y, inner, x); y .+= 0.5 .* x), Float64, n, n)
    x, stats = solve(Krylov(:cg; rtol = 1e-12), A, ones(n))
    @test converged(stats)
    @test norm(x - (Matrix(K) + 0.5I) \ ones(n)) <= 1e-10 * norm(x)
end

@testset "stopped short" begin
    n = 400
    s = Krylov(:cg; rtol = 1e-10, max_iterations = 7)
    x, stats = solve(s, Operator(poisson(n)), ones(n))
    @test stats.status == Reknit.STOP_ITERATIONS && stats.iterations == 7 && !converged(stats)
    @test isapprox(stats.residual_norm, norm(ones(n) - poisson(n) * x); rtol = 1e-8)
    @test occursin("STOP_ITERATIONS", sprint(show, stats))
    # From there on, with the same solver.
    s[:initial_guess] = :x
    s[:max_iterations] = 10_000
    start = norm(ones(n) - poisson(n) * x)
    stats = solve!(x, s, Operator(poisson(n)), ones(n))
    @test converged(stats) && first(history(s)) ≈ start
    @test norm(x - poisson_solution(n)) <= 1e-6 * norm(x)
end

@testset "zero right-hand side" begin
    x, stats = solve(Krylov(:gmres), Operator(poisson(9)), zeros(9))
    @test converged(stats) && iszero(x) && stats.iterations == 0
end

@testset "what a method cannot do" begin
    indefinite = Operator(Diagonal([1.0, -1.0, 2.0]))
    e = thrown(() -> begin
        x, stats = solve(Krylov(:cg), indefinite, ones(3))
        throw(ReknitError(stats.status, stats.reason))
    end)
    @test e.status in (Reknit.ERR_INDEFINITE, Reknit.STOP_BREAKDOWN)
    x, stats = solve(Krylov(:minres; rtol = 1e-12), indefinite, ones(3))
    @test converged(stats) && x ≈ [1.0, -1.0, 0.5]
end

@testset "monitor" begin
    n = 300
    A, b = Operator(poisson(n)), ones(n)
    seen = NamedTuple[]
    s = Krylov(:cg; rtol = 1e-10)
    set_monitor!(s) do p
        push!(seen, (iteration = p.iteration, measure = p.measure, kept = length(history(s))))
        p.iteration >= 12
    end
    x, stats = solve(s, A, b)
    @test stats.status == Reknit.STOP_MONITOR
    @test stats.iterations == 12
    @test issorted([p.iteration for p in seen]) && seen[end].measure > 0 && seen[end].kept > 1
    @test isapprox(stats.residual_norm, norm(b - poisson(n) * x); rtol = 1e-8)
    # Only `true` stops: what a push! returns does not.
    measures = Float64[]
    set_monitor!(p -> push!(measures, p.measure), s)
    @test converged(solve(s, A, b)[2]) && length(measures) > 12
    set_monitor!(nothing, s)
    count = length(measures)
    solve(s, A, b)
    @test length(measures) == count
end

@testset "events" begin
    n = 300
    A, b = Operator(poisson(n)), ones(n)
    s = Krylov(:cg; rtol = 1e-10)
    depth, products, whole = Ref(0), Ref(0), Ref(0.0)
    set_events!(s) do event, begins, flops, bytes
        @test !begins || (depth[] == 0) == (event == Reknit.EVENT_SOLVE)
        depth[] += begins ? 1 : -1
        products[] += begins && event == Reknit.EVENT_APPLY
        event == Reknit.EVENT_SOLVE && (whole[] = flops)
    end
    @test converged(solve(s, A, b)[2])
    @test depth[] == 0 && products[] == s[:applies] > 0 && whole[] == s[:flops] > 0
    set_events!(nothing, s)
    count = products[]
    solve(s, A, b)
    @test products[] == count
end

@testset "exceptions come across" begin
    n = 50
    b = ones(n)
    K = poisson(n)
    calls = Ref(0)
    A = Operator((y, x) -> (calls[] += 1) == 4 ? error("the fourth apply") : mul!(y, K, x), Float64, n, n)
    s = Krylov(:gmres; rtol = 1e-10)
    e = thrown(() -> solve(s, A, b))
    @test e isa CapturedException && e.ex == ErrorException("the fourth apply")
    @test occursin("test_krylov.jl", sprint(showerror, e))
    @test converged(solve(s, A, b)[2])                                                     # both go on living

    set_monitor!(p -> p.iteration == 3 ? throw(DomainError(3)) : nothing, s)
    e = thrown(() -> solve(s, A, b))
    @test e isa CapturedException && e.ex isa DomainError
    set_monitor!(nothing, s)
    @test converged(solve(s, A, b)[2])

    M = Operator((y, r) -> throw(OverflowError("in M")), Float64, n, n)
    e = thrown(() -> solve(s, A, b; M = M))
    @test e isa CapturedException && e.ex isa OverflowError

    # A callback that delivers NaN is named as the culprit.
    bad = Operator((y, x) -> fill!(y, NaN), Float64, n, n)
    status, message = refusal(() -> solve(s, bad, b))
    @test status == Reknit.ERR_NONFINITE
end

@testset "re-entry is refused" begin
    n = 40
    A, b = Operator(poisson(n)), ones(n)
    s = Krylov(:gmres; rtol = 1e-10)
    statuses = Int32[]
    set_monitor!(s) do p
        for call in (() -> solve(s, A, b), () -> s[:rtol] = 0.5, () -> forget!(s))
            push!(statuses, refusal(call)[1])
        end
        false
    end
    x, stats = solve(s, A, b)
    @test converged(stats) && norm(x - poisson_solution(n)) <= 1e-7 * norm(x)
    @test !isempty(statuses) && all(==(Reknit.ERR_BUSY), statuses)
    # Uncaught, the refusal ends the outer solve.
    set_monitor!(p -> solve(s, A, b), s)
    e = thrown(() -> solve(s, A, b))
    @test e isa CapturedException && e.ex isa ReknitError && e.ex.status == Reknit.ERR_BUSY
    # Another solver is welcome.
    set_monitor!(s) do p
        @test converged(solve(Krylov(:cg), A, b)[2])
    end
    @test converged(solve(s, A, b)[2])
    # Closing a solver while it works must not take the ground from under it.
    set_monitor!(p -> (close(s); nothing), s)
    y = zeros(n)
    thrown(() -> solve!(y, s, A, b))
    @test !isopen(s)
    @test converged(solve(Krylov(:gmres), A, b)[2])
end

@testset "own convergence test" begin
    n = 100
    A, b = Operator(poisson(n)), ones(n)
    asked = Int[]
    s = Krylov(:cg; rtol = 1e-14)
    set_converged!(s) do iteration, residual_norm, target
        push!(asked, iteration)
        residual_norm < 3.0
    end
    x, stats = solve(s, A, b)
    @test converged(stats) && 0.03 < norm(b - poisson(n) * x) < 3.0
    @test length(asked) > 1
    set_converged!((args...) -> error("no verdict"), s)
    e = thrown(() -> solve(s, A, b))
    @test e isa CapturedException && e.ex == ErrorException("no verdict")
    set_converged!(nothing, s)
    s[:rtol] = 1e-10
    @test solve(s, A, b)[2].relative_residual <= 1e-10
end

@testset "inner products and weights, $T" for T in SCALARS
    n = 60
    K = lopsided(n, T)
    A, b = Operator(K), numbers(n, T)
    w = 1.0 .+ (1:n) ./ n
    rtol = 50 * eps(real(T))
    truth = Matrix(K) \ b
    weighted = Krylov(:gmres; rtol = rtol)
    set_weights!(weighted, w)
    x, by_weights = solve(weighted, A, b)
    @test converged(by_weights) && norm(x - truth) <= 500 * eps(real(T)) * norm(b)
    calls = Ref(0)
    own = Krylov(:gmres; rtol = rtol)
    set_inner!(own, T) do out, X, Y
        calls[] += 1
        out .= X' * (w .* Y)
    end
    y, by_inner = solve(own, A, b)
    @test converged(by_inner) && norm(y - truth) <= 500 * eps(real(T)) * norm(b) && calls[] > 0
    @test abs(by_inner.iterations - by_weights.iterations) <= 1
    other = T === Float64 ? Float32 : Float64
    @test_throws ArgumentError solve(own, Operator(poisson(n, other)), ones(other, n))
    set_inner!(nothing, own)
    set_weights!(weighted, nothing)
    before = calls[]
    @test converged(solve(own, A, b)[2]) && calls[] == before
    @test refusal(() -> set_weights!(weighted, [1.0, -1.0]))[1] == Reknit.ERR_ARGUMENT
    set_weights!(weighted, ones(Float32, n - 1))
    @test refusal(() -> solve(weighted, A, b))[1] == Reknit.ERR_SIZE
end

@testset "the inner product's exception" begin
    s = Krylov(:gmres)
    set_inner!((out, X, Y) -> error("no product"), s, Float64)
    e = thrown(() -> solve(s, Operator(poisson(9)), ones(9)))
    @test e isa CapturedException && e.ex == ErrorException("no product")
end

@testset "scaling" begin
    n = 50
    K, b = lopsided(n), numbers(n)
    K = Diagonal([10.0^(i % 7) for i in 1:n]) * K
    b = [10.0^(i % 7) for i in 1:n] .* b
    A = Operator(sparse(K))
    s = Krylov(:gmres; rtol = 1e-12)
    set_scaling!(s; left = [10.0^-(i % 7) for i in 1:n])
    x, stats = solve(s, A, b)
    @test converged(stats) && norm(x - Matrix(K) \ b) <= 1e-9 * norm(x)
    set_scaling!(s; right = fill(2.0, n))
    set_scaling!(s)
    @test_throws DimensionMismatch set_scaling!(s; left = ones(2), right = ones(3))
    @test refusal(() -> set_scaling!(s; left = [1.0, 0.0]))[1] < 0
end

@testset "nullspace" begin
    n = 40
    K = poisson(n)
    K[1, 1] = K[n, n] = 1                                                                  # Neumann at both ends
    A = Operator(K)
    nullspace!(A, ones(n))
    nullspace!(A, ones(n); side = :left)
    wanted = numbers(n)
    wanted .-= sum(wanted) / n
    x, stats = solve(Krylov(:cg; rtol = 1e-12), A, K * wanted)
    @test converged(stats)
    @test norm(x .- sum(x) / n - wanted) <= 1e-8 * norm(wanted)
    @test abs(sum(x)) <= 1e-8 * norm(x)                                                    # without its nullspace part
    nullspace!(A, nothing)
    nullspace!(A, nothing; side = :left)
end

@testset "a sequence, with memory" begin
    n = 400
    K = poisson(n)
    A = Operator(K)
    with, without = (Krylov(:gcrodr; rtol = 1e-8, restart = 40, recycle = 20) for _ in 1:2)
    x, b = zeros(n), numbers(n)
    remembered, forgotten = Int[], Int[]
    for step in 1:6
        K.nzval .= poisson(n).nzval .* (1 + 0.02 * step)
        K.nzval[1] += 0.1 * step
        changed!(A)
        stats = solve!(x, with, A, b)
        @test converged(stats) && norm(b - K * x) <= 1.01e-8 * norm(b)
        push!(remembered, stats.iterations)
        forget!(without)
        stats = solve!(x, without, A, b)
        @test converged(stats)
        push!(forgotten, stats.iterations)
        GC.gc(false)
    end
    @test remembered[1] == forgotten[1]
    @test sum(remembered[2:end]) < 0.7 * sum(forgotten[2:end])
end

@testset "a sequence whose operators come and go" begin
    n = 120
    s = Krylov(:gcrodr; rtol = 1e-10, preconditioner = "ilu0")
    for step in 1:10
        K = lopsided(n) + 0.05 * step * I
        x, stats = solve(s, Operator(K), numbers(n))
        @test converged(stats) && norm(K * x - numbers(n)) <= 1e-9 * norm(numbers(n))
        GC.gc()
    end
end

@testset "options" begin
    s = Krylov(:gmres; rtol = 1e-6, atol = 0, restart = 25, side = "right", norm = "true")
    @test s[:rtol] == 1e-6 && s[:atol] == 0.0 && s[:restart] == 25 && s[:side] == "right"
    set_options!(s, "restart=40 rtol=1e-7")
    @test s["restart"] == 40 && s[:rtol] == 1e-7
    @test refusal(() -> set_options!(s, "restart=forty"))[1] < 0
    @test refusal(() -> s[:teapot])[1] == Reknit.ERR_KEY
    keys = [o.key for o in Reknit.options(Krylov)]
    @test issubset(["rtol", "atol", "max_iterations", "restart", "recycle", "side"], keys)
    @test allunique(keys)
    @test all(o -> !isempty(o.type) && !isempty(o.doc), Reknit.options(Krylov))
    @test occursin("restart", Reknit.option_reference("krylov"))
    shown = sprint(show, MIME("text/plain"), s)
    @test startswith(shown, "Krylov(:gmres)") && occursin("restart", shown) && occursin("40", shown)
    @test sprint(show, s) == "Krylov(:gmres)"
end

@testset "prepare" begin
    n = 64
    K = lopsided(n)
    A = Operator(K)
    M = Preconditioner(A, "ilu0")
    s = Krylov(:gcrodr; rtol = 1e-10)
    @test prepare!(s, A; M = M) === s
    x, stats = solve(s, A, numbers(n); M = M)
    @test converged(stats) && norm(K * x - numbers(n)) <= 1e-9 * norm(numbers(n))
    @test refusal(() -> prepare!(s, Operator(ones(3, 2))))[1] < 0
end

if Threads.nthreads() > 1
    @testset "two threads, one solver" begin
        # The first thread solves and waits in its monitor until the second has tried to use the same solver.
        n = 50
        A = Operator(poisson(n))
        inside, tried = Threads.Atomic{Bool}(false), Threads.Atomic{Bool}(false)
        threads = Int[]
        wait_for(flag) = while !flag[] GC.safepoint() end
        s = Krylov(:gmres; rtol = 1e-10, monitor = p -> begin
            push!(threads, Threads.threadid())
            inside[] = true
            wait_for(tried)
        end)
        answers = Vector{Any}(nothing, 2)
        Threads.@threads :static for k in 1:2
            if k == 1
                answers[1] = (Threads.threadid(), solve(s, A, ones(n))[2])
            else
                try
                    wait_for(inside)
                    answers[2] = refusal(() -> s[:rtol] = 0.1)
                finally
                    tried[] = true
                end
            end
        end
        @test converged(answers[1][2])
        @test all(==(answers[1][1]), threads)
        @test answers[2][1] == Reknit.ERR_BUSY
    end
else
    @warn "julia has one thread: two threads on one solver are not tested (tests/julia/run.sh starts it with two)"
end

@testset "two tasks, two solvers" begin
    n = 200
    A = Operator(poisson(n))
    tasks = map(1:4) do k
        @async begin
            s = Krylov(:gmres; rtol = 1e-10, monitor = p -> (p.iteration == 2 && k == 3 && error("task 3"); false))
            solve(s, A, ones(n))[2]
        end
    end
    for (k, task) in enumerate(tasks)
        e = thrown(() -> fetch(task))
        @test k == 3 ? e !== nothing : converged(fetch(task))
    end
end

end
