using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

@testset "reverse" begin

# Serves a solve to its end.
function serve(s, K)
    while (r = next!(s)).kind != Reknit.REQUEST_DONE
        mul!(r.y, r.trans == 'N' ? K : r.trans == 'T' ? transpose(K) : K', r.x)
    end
    return r
end

@testset "illegal input" begin
    @test refusal(() -> Operator(Float64, -1, 3))[1] == Reknit.ERR_SIZE
    @test refusal(() -> Operator(Float64, 3, 3; request = Reknit.REQUEST_REDUCE))[1] == Reknit.ERR_ARGUMENT
    @test_throws ArgumentError Operator(Int, 3, 3)
    s, A = Krylov(:cg), Operator(Float64, 3, 3)
    b, x = ones(3), zeros(3)
    @test refusal(() -> next!(s))[1] == Reknit.ERR_STATE
    @test cancel!(s) === s
    @test_throws DimensionMismatch start!(zeros(4), s, A, b)
    @test_throws ArgumentError start!(x, s, A, x)
    @test_throws ArgumentError start!(x, s, A, ones(Float32, 3))
    @test refusal(() -> solve!(x, s, A, b))[1] == Reknit.ERR_STATE
    start!(x, s, A, b)
    @test refusal(() -> next!(s; failed = 2))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> start!(x, s, A, b))[1] == Reknit.ERR_BUSY
    @test refusal(() -> forget!(s))[1] == Reknit.ERR_BUSY
    r = next!(s)
    @test size(r.x) == (3, 1) && size(r.y) == (3, 1) && r.kind == Reknit.REQUEST_APPLY && s[:iterations] == 0
    @test refusal(() -> next!(s; failed = 2))[1] == Reknit.ERR_CALLBACK
    @test s[:callback_status] == 2
end

@testset "same bits, $method, $T" for method in (:auto, :cg, :gmres, :gcrodr), T in SCALARS
    K = poisson(30, T)
    s, t = Krylov(method; rtol = 1e-5), Krylov(method; rtol = 1e-5)
    F = Operator((y, x) -> mul!(y, K, x), T, 30, 30; block = true)
    A = Operator(T, 30, 30)
    for step in 1:3
        changed!(F)
        changed!(A)
        b = numbers(30, T; shift = step)
        x, stats = solve(s, F, b)
        y = zeros(T, 30)
        start!(y, t, A, b)
        @test serve(t, K).status == stats.status
        @test x == y && t[:iterations] == stats.iterations
    end
end

@testset "a preconditioner, sums, garbage" begin
    K, n = poisson(40), 40
    ctx = Context()
    @test set_reduce_request!(ctx) === ctx
    A, M = Operator(K; context = ctx), Operator(Float64, n, n; request = Reknit.REQUEST_PRECONDITION, context = ctx)
    s = Krylov(:gcrodr; context = ctx, rtol = 1e-10)
    x = zeros(n)
    sums = uses = 0
    for go in (() -> start_prepare!(s, A; M = M), () -> start!(x, s, A, ones(n); M = M))
        go()
        while (r = next!(s)).kind != Reknit.REQUEST_DONE
            GC.gc(false)
            if r.kind == Reknit.REQUEST_REDUCE
                sums += r.op === :sum && !isempty(r.values)
            else
                r.y .= r.x ./ 2
                uses += 1
            end
        end
        @test r.status == Reknit.OK
    end
    @test sums > 3 && uses > 3 && norm(x - poisson_solution(n)) < 1e-6 * norm(x)
end

@testset "a monitor that throws, a solver that goes" begin
    K = poisson(20)
    A = Operator(Float64, 20, 20)
    s = Krylov(:gmres)
    x = zeros(20)
    set_monitor!(p -> p.iteration == 2 && error("enough"), s)
    start!(x, s, A, ones(20))
    e = thrown(() -> serve(s, K))
    @test e isa CapturedException && e.ex.msg == "enough"
    set_monitor!(nothing, s)
    start!(x, s, A, ones(20))
    @test serve(s, K).status == Reknit.OK
    start!(x, s, A, ones(20))
    next!(s)
    close(s)
    @test refusal(() -> next!(s))[1] == Reknit.ERR_HANDLE
    for _ in 1:20
        t = Krylov(:cg)
        start!(zeros(20), t, Operator(Float64, 20, 20), ones(20))
        next!(t)
    end
    GC.gc()
    @test true
end

end
