# The algorithm for LinearSolve.jl: with the package itself where Julia finds it, else with the stand-in beside this file.
using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

const REAL_LINEARSOLVE = Base.find_package("LinearSolve") !== nothing
before = REAL_LINEARSOLVE ? nothing : Test.@test_throws(ErrorException, ReknitKrylov(:gmres))
REAL_LINEARSOLVE || push!(LOAD_PATH, joinpath(@__DIR__, "standin"))
using LinearSolve
if !(isdefined(Base, :get_extension) && Base.get_extension(Reknit, :ReknitLinearSolveExt) !== nothing)
    include(joinpath(@__DIR__, "..", "..", "bindings", "julia", "Reknit", "ext", "ReknitLinearSolveExt.jl"))
end
println("LinearSolve is ", REAL_LINEARSOLVE ? "the package" : "a stand-in")

const SLS = LinearSolve.SciMLBase
off(sol, A, b) = norm(A * sol.u - b) / norm(b)

struct OnlyMul
    K::SparseMatrixCSC{Float64,Int}
end
Base.size(A::OnlyMul) = size(A.K)
Base.size(A::OnlyMul, dim) = size(A.K, dim)
Base.eltype(::OnlyMul) = Float64
LinearAlgebra.mul!(y::AbstractVector, A::OnlyMul, x::AbstractVector) = mul!(y, A.K, x)

@testset "LinearSolve" begin

@testset "illegal input" begin
    @test refusal(() -> ReknitKrylov(:gmress))[1] < 0
    @test occursin("did you mean 'restart'", refusal(() -> ReknitKrylov(:gmres; restrt = 3))[2])
    K, b = lopsided(20), ones(20)
    @test_throws ArgumentError SLS.solve(LinearProblem(K, b), ReknitKrylov(:gmres); Pl = lu(K), Pr = lu(K))
    @test_throws Exception SLS.solve(LinearProblem(K, fill(NaN, 20)), ReknitKrylov(:gmres))
end

@testset "$method, $T" for T in (Float64, ComplexF64, Float32), method in (:auto, :gmres, :gcrodr)
    n = 80
    K = lopsided(n, T)
    b = numbers(n, T)
    reltol = sqrt(eps(real(T)))
    sol = SLS.solve(LinearProblem(K, b), ReknitKrylov(method); reltol = reltol, abstol = 0)
    @test sol.retcode == SLS.ReturnCode.Success && off(sol, K, b) <= 2reltol
    @test norm(sol.u - Matrix(K) \ b) <= 100reltol * norm(b)
    @test sol.stats isa Stats && sol.iters == sol.stats.iterations && sol.resid ≈ sol.stats.residual_norm
end

@testset "a sequence in one cache" begin
    n = 400
    K = poisson(n) + sparse(0.001I, n, n)
    b = ones(n)
    cache = SLS.init(LinearProblem(K, b), ReknitKrylov(:gcrodr; restart = 30, recycle = 10); reltol = 1e-9, abstol = 0, maxiters = 20000)
    counts = Int[]
    for step in 1:5
        if step % 2 == 0
            nonzeros(K)[1:3:end] .+= 1e-4                                                  # in place
            cache.A = K
        elseif step > 1
            K = copy(K)                                                                    # another matrix
            nonzeros(K)[1:3:end] .+= 1e-4
            SLS.reinit!(cache; A = K, b = b)
        end
        sol = SLS.solve!(cache)
        push!(counts, sol.iters)
        @test sol.retcode == SLS.ReturnCode.Success && off(sol, K, b) <= 2e-9              # that of the new matrix
    end
    @test all(counts[2:end] .< counts[1])                                                  # the memory is the cache's
    again = SLS.solve(LinearProblem(K, b), ReknitKrylov(:gcrodr; restart = 30, recycle = 10); reltol = 1e-9, abstol = 0, maxiters = 20000)
    @test again.iters > counts[end]                                                        # and of no other

    b2 = numbers(n)
    cache.b = b2
    @test off(SLS.solve!(cache), K, b2) <= 2e-9
    K[1, n] = 0.01                                                                         # one entry more: the arrays moved
    cache.A = K
    @test off(SLS.solve!(cache), K, b2) <= 2e-9
end

@testset "tolerances and the ends of solves" begin
    n = 200
    K, b = poisson(n), ones(n)
    cache = SLS.init(LinearProblem(K, b), ReknitKrylov(:cg); reltol = 1e-2, abstol = 0)
    @test SLS.solve!(cache).stats.relative_residual <= 1e-2
    LinearSolve.update_tolerances!(cache; reltol = 1e-10)
    @test off(SLS.solve!(cache), K, b) <= 2e-10
    sol = SLS.solve(LinearProblem(K, b), ReknitKrylov(:gmres; restart = 10); reltol = 1e-12, abstol = 0, maxiters = 7)
    @test sol.retcode == SLS.ReturnCode.MaxIters && sol.iters == 7 && sol.stats.status == Reknit.STOP_ITERATIONS
    sol = SLS.solve(LinearProblem(K, b), ReknitKrylov(:cg; max_iterations = 3, rtol = 1e-12))   # ours come first
    @test sol.retcode == SLS.ReturnCode.MaxIters && sol.iters == 3
    indefinite = spdiagm(0 => [iseven(i) ? 1.0 : -1.0 for i in 1:n])
    sol = SLS.solve(LinearProblem(indefinite, ones(n)), ReknitKrylov(:cg))
    @test sol.retcode == SLS.ReturnCode.Failure
    u0 = K \ b
    sol = SLS.solve(LinearProblem(K, b; u0 = copy(u0)), ReknitKrylov(:cg; initial_guess = :x); reltol = 1e-8, abstol = 0)
    @test sol.iters == 0 && sol.u == u0
end

@testset "preconditioners" begin
    n = 300
    K, b = poisson(n), ones(n)
    tight = (reltol = 1e-10, abstol = 0)
    problem = LinearProblem(K, b)
    @test SLS.solve(problem, ReknitKrylov(:gmres; preconditioner = "ilu0"); tight...).iters <= 2
    @test LinearSolve.needs_concrete_A(ReknitKrylov(:gmres; preconditioner = "ilu0"))
    @test !LinearSolve.needs_concrete_A(ReknitKrylov(:gmres))
    for P in ((Pl = lu(K),), (Pr = lu(K),), (Pl = I, Pr = lu(K)), (Pl = Preconditioner(Operator(K), "ilu0"),))
        sol = SLS.solve(problem, ReknitKrylov(:gmres); tight..., P...)
        @test sol.iters <= 2 && off(sol, K, b) <= 2e-10
    end
    made = Ref(0)
    alg = ReknitKrylov(:gmres; precs = (A, p) -> (made[] += 1; (lu(A), I)))
    cache = SLS.init(problem, alg; maxiters = 5000, tight...)
    @test SLS.solve!(cache).iters <= 2 && made[] == 1
    K2 = K + sparse(1.0I, n, n)
    cache.A = K2
    sol = SLS.solve!(cache)
    @test sol.iters <= 2 && made[] == 2 && off(sol, K2, b) <= 2e-10
    SLS.reinit!(cache; A = K, reuse_precs = true)                                          # those of K2 serve K
    sol = SLS.solve!(cache)
    @test sol.iters > 2 && made[] == 2 && off(sol, K, b) <= 2e-10
end

@testset "an operator that only multiplies" begin
    K = lopsided(50)
    b = numbers(50)
    sol = SLS.solve(LinearProblem(OnlyMul(K), b), ReknitKrylov(:gmres); reltol = 1e-10, abstol = 0)
    @test sol.retcode == SLS.ReturnCode.Success && off(sol, K, b) <= 2e-10
    @test isapprox(SLS.solve(LinearProblem(Matrix(K), b), ReknitKrylov(:gmres); reltol = 1e-10, abstol = 0).u, sol.u; rtol = 1e-8)
end

end
