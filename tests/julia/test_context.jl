using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

@testset "context" begin

@testset "illegal input" begin
    status, message = refusal(() -> Context(treads = 2))
    @test status == Reknit.ERR_KEY
    @test occursin("treads", message) && occursin("threads", message)
    @test refusal(() -> Context(threads = -1))[1] == Reknit.ERR_ARGUMENT
    @test_throws MethodError Context(threads = "two")
    ctx = Context()
    @test refusal(() -> ctx[:colour])[1] == Reknit.ERR_KEY
    @test ctx[:threads] == 1                              # a refused call leaves the context as it was
end

@testset "closed and dead" begin
    ctx = Context()
    pointer = ctx.handle
    close(ctx)
    close(ctx)
    @test !isopen(ctx)
    @test refusal(() -> ctx[:threads])[1] == Reknit.ERR_HANDLE
    value = Ref{Int64}(0)
    @test Reknit.LibReknit.rkn_context_get_int(pointer, "threads", value) == Reknit.ERR_HANDLE
    @test refusal(() -> Krylov(:cg; context = ctx))[1] == Reknit.ERR_HANDLE
    @test occursin("closed", sprint(show, ctx))
end

@testset "options" begin
    ctx = Context(threads = 2, seed = 7)
    @test ctx[:threads] == 2
    @test ctx["seed"] == 7
    ctx[:threads] = 3
    @test ctx[:threads] == 3
    @test occursin("threads = 3", sprint(show, ctx))
    @test occursin("threads", Reknit.option_reference("context"))
    @test refusal(() -> Reknit.option_reference("teapot"))[1] < 0
end

@testset "a context may go before what was made with it" begin
    n = 50
    ctx = Context(threads = 2)
    A = Operator(poisson(n); context = ctx)
    s = Krylov(:cg; context = ctx, rtol = 1e-12)
    close(ctx)
    x, stats = solve(s, A, ones(n))
    @test converged(stats)
    @test norm(x - poisson_solution(n)) <= 1e-9 * norm(poisson_solution(n))
end

@testset "reduction" begin
    # Two ranks that hold the same: every sum doubles, so norms grow by sqrt(2) and the iterates stay.
    n = 60
    A, b = Operator(poisson(n)), ones(n)
    calls = Dict(:sum => 0, :max => 0)
    ctx = Context(reduce = (op, values) -> begin
        calls[op] += 1
        op === :sum && (values .*= 2)
    end)
    alone, doubled = Krylov(:cg; rtol = 1e-10), Krylov(:cg; rtol = 1e-10, context = ctx)
    x, stats = solve(doubled, A, b)
    @test converged(stats)
    @test calls[:sum] > 0
    @test norm(x - poisson_solution(n)) <= 1e-7 * norm(poisson_solution(n))
    solve(alone, A, b)
    @test first(history(doubled)) ≈ sqrt(2) * first(history(alone))
    before = calls[:sum]
    set_reduce!(nothing, ctx)
    solve(doubled, A, b)
    @test calls[:sum] == before

    # A hook that a callback takes away serves the running solve to its end.
    set_reduce!((op, values) -> (calls[op] += 1; nothing), ctx)
    set_monitor!(doubled) do p
        set_reduce!(nothing, ctx)
        GC.gc()
    end
    before = calls[:sum]
    @test converged(solve(doubled, A, b)[2]) && calls[:sum] > before + 2
    set_monitor!(nothing, doubled)

    set_reduce!((op, values) -> error("rank 1 is gone"), ctx)
    e = thrown(() -> solve(doubled, A, b))
    @test e isa CapturedException && e.ex == ErrorException("rank 1 is gone")
end

@testset "log" begin
    lines = Tuple{Int,String}[]
    ctx = Context(log_level = 3, log = (level, line) -> push!(lines, (level, line)))
    n = 40
    x, stats = solve(Krylov(:gmres; context = ctx), Operator(poisson(n)), ones(n))
    @test converged(stats)
    @test !isempty(lines)
    @test all(((level, line),) -> !isempty(line) && !endswith(line, "\n"), lines)
    # A sink cannot stop a solve: what it throws comes out when the solve is done.
    set_log!((level, line) -> throw(KeyError(:sink)), ctx)
    x = fill(NaN, n)
    e = thrown(() -> solve!(x, Krylov(:gmres; context = ctx, rtol = 1e-12), Operator(poisson(n)), ones(n)))
    @test e isa CapturedException && e.ex == KeyError(:sink)
    @test norm(x - poisson_solution(n)) <= 1e-9 * norm(poisson_solution(n))
    set_log!(nothing, ctx)
    @test solve(Krylov(:gmres; context = ctx), Operator(poisson(n)), ones(n))[2] isa Stats
end

@testset "interrupt" begin
    n = 200
    ctx = Context()
    s = Krylov(:cg; context = ctx, monitor = p -> (p.iteration == 5 && interrupt!(ctx); false))
    x, stats = solve(s, Operator(poisson(n)), ones(n))
    @test stats.status == Reknit.STOP_INTERRUPT
    @test 5 <= stats.iterations <= 7
    set_monitor!(nothing, s)
    @test converged(solve(s, Operator(poisson(n)), ones(n))[2])      # the interrupt was for one solve
end

@testset "same bits with 1, 2 and 3 threads" begin
    n = 40_000
    K, b = lopsided(n), numbers(n)
    solutions = map(1:3) do threads
        ctx = Context(threads = threads)
        solve(Krylov(:gmres; context = ctx, rtol = 1e-10), Operator(K; context = ctx), b)[1]
    end
    @test solutions[1] == solutions[2] == solutions[3]
    @test norm(K * solutions[1] - b) <= 1e-9 * norm(b)
end

@testset "library" begin
    @test Reknit.version() == VersionNumber(unsafe_string(Reknit.LibReknit.rkn_version()))
    number = Reknit.version().major * 10000 + Reknit.version().minor * 100 + Reknit.version().patch
    @test Reknit.LibReknit.rkn_version_number() == number
    @test !isempty(Reknit.build_info())
    @test Reknit.status_name(Reknit.ERR_SIZE) == "RKN_ERR_SIZE"
    @test Reknit.status_name(12345) == "RKN_UNKNOWN"
    @test occursin("RKN_ERR_SIZE: too long", sprint(showerror, ReknitError(Reknit.ERR_SIZE, "too long")))
    header = read(joinpath(@__DIR__, "..", "..", "include", "reknit.h"), String)
    prototype = r"^\s*(?:rkn_status|void|int32_t|const char \*)\s*\**(rkn_\w+)\("m
    declared = unique(m.captures[1] for m in eachmatch(prototype, header))
    @test length(declared) > 50
    missing_here = filter(name -> !isdefined(Reknit.LibReknit, Symbol(name)), declared)
    @test isempty(missing_here)
    @test isempty(Test.detect_ambiguities(Reknit))
end

@testset "no library, another library" begin
    function load(path)
        output = IOBuffer()
        command = `$(Base.julia_cmd()) --startup-file=no -e "using Reknit"`
        withenv("REKNIT_LIBRARY" => path, "JULIA_LOAD_PATH" => join(LOAD_PATH, ':')) do
            run(pipeline(ignorestatus(command); stdout = output, stderr = output))
        end
        return String(take!(output))
    end
    @test occursin("/nowhere/libreknit.so (no such file)", load("/nowhere/libreknit.so"))
    mktempdir() do folder
        source, library = joinpath(folder, "other.c"), joinpath(folder, "other.so")
        write(source, "int rkn_abi(void) { return 4711; }\n")
        run(`cc -shared -fPIC -Wl,-soname,$(Reknit.LibReknit.LIBRARY) -o $library $source`)
        @test occursin("other.so has ABI 4711", load(library))
    end
end

end
