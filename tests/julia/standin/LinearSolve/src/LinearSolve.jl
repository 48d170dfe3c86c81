# What of LinearSolve.jl and SciMLBase.jl an algorithm meets, in small, for a Julia that is too old for the packages. It
# follows the words of their manuals: what init calls and with which arguments, what a cache has and when it counts as
# fresh, and what a solution is made of. It has no algorithm of its own.
module LinearSolve

using LinearAlgebra

module SciMLBase
module ReturnCode
@enum T Default Success MaxIters ConvergenceFailure Failure
end

struct LinearProblem
    A::Any
    b::Any
    u0::Any
    p::Any
end
LinearProblem(A, b, p = nothing; u0 = nothing) = LinearProblem(A, b, u0, p)

struct LinearSolution
    u::Any
    resid::Any
    alg::Any
    retcode::ReturnCode.T
    iters::Int
    cache::Any
    stats::Any
end
build_linear_solution(alg, u, resid, cache; retcode = ReturnCode.Default, iters = 0, stats = nothing) =
    LinearSolution(u, resid, alg, retcode, iters, cache, stats)

function init end
function solve end
function solve! end
function reinit! end
end

using .SciMLBase: LinearProblem, ReturnCode, init, solve, solve!, reinit!
export LinearProblem, ReturnCode, init, solve, solve!, reinit!, SciMLBase

abstract type SciMLLinearSolveAlgorithm end
abstract type AbstractKrylovSubspaceMethod <: SciMLLinearSolveAlgorithm end

struct OperatorAssumptions
    issq::Bool
end

needs_concrete_A(::AbstractKrylovSubspaceMethod) = false
default_alias_A(::Any, ::Any, ::Any) = false
default_alias_A(::AbstractKrylovSubspaceMethod, ::Any, ::Any) = true
default_alias_b(::Any, ::Any, ::Any) = false
default_alias_b(::AbstractKrylovSubspaceMethod, ::Any, ::Any) = true
init_cacheval(::SciMLLinearSolveAlgorithm, arguments...) = nothing

function update_tolerances!(cache; abstol = nothing, reltol = nothing)
    abstol === nothing || (cache.abstol = abstol)
    reltol === nothing || (cache.reltol = reltol)
    return update_tolerances_internal!(cache, cache.alg, abstol, reltol)
end
update_tolerances_internal!(cache, ::SciMLLinearSolveAlgorithm, abstol, reltol) = error("no tolerances to update")

struct IdentityOperator
    n::Int
end

# As there: the types of A, b, u and cacheval are those of the beginning.
mutable struct LinearCache{TA,Tb,Tu,Tc,Ttol}
    A::TA
    b::Tb
    u::Tu
    p::Any
    alg::Any
    cacheval::Tc
    isfresh::Bool
    precsisfresh::Bool
    Pl::Any
    Pr::Any
    abstol::Ttol
    reltol::Ttol
    maxiters::Int
    verbose::Bool
    assumptions::OperatorAssumptions
end

function Base.setproperty!(cache::LinearCache, name::Symbol, x)
    name === :A && (setfield!(cache, :isfresh, true); setfield!(cache, :precsisfresh, true))
    name === :p && setfield!(cache, :precsisfresh, true)
    return setfield!(cache, name, convert(fieldtype(typeof(cache), name), x))
end

function SciMLBase.init(prob::LinearProblem, alg::SciMLLinearSolveAlgorithm; abstol = sqrt(eps(real(eltype(prob.b)))),
                        reltol = sqrt(eps(real(eltype(prob.b)))), maxiters = length(prob.b), verbose = false, Pl = nothing,
                        Pr = nothing, assumptions = OperatorAssumptions(true))
    A = default_alias_A(alg, prob.A, prob.b) ? prob.A : copy(prob.A)
    b = default_alias_b(alg, prob.A, prob.b) ? prob.b : copy(prob.b)
    u = prob.u0 === nothing ? fill!(similar(b, size(A, 2)), false) : prob.u0
    T = real(eltype(b))
    n = size(A, 1)
    precs = hasproperty(alg, :precs) && alg.precs !== nothing ? alg.precs(A, prob.p) : (IdentityOperator(n), IdentityOperator(n))
    Pl, Pr = Pl === nothing ? precs[1] : Pl, Pr === nothing ? precs[2] : Pr
    cacheval = init_cacheval(alg, A, b, u, Pl, Pr, maxiters, T(abstol), T(reltol), verbose, assumptions)
    return LinearCache(A, b, u, prob.p, alg, cacheval, true, false, Pl, Pr, T(abstol), T(reltol), maxiters, verbose, assumptions)
end

SciMLBase.solve!(cache::LinearCache; options...) = SciMLBase.solve!(cache, cache.alg; options...)
SciMLBase.solve(prob::LinearProblem, alg::SciMLLinearSolveAlgorithm; options...) = solve!(init(prob, alg; options...))

function SciMLBase.reinit!(cache::LinearCache; A = nothing, b = cache.b, u = cache.u, p = nothing, reuse_precs = false)
    fresh = A !== nothing
    stale_precs = !reuse_precs && (fresh || p !== nothing) || cache.precsisfresh
    fresh |= cache.isfresh
    A === nothing || (cache.A = A)
    p === nothing || (cache.p = p)
    cache.b, cache.u = b, u
    cache.isfresh, cache.precsisfresh = fresh, stale_precs
    return nothing
end

end
