# Reknit as an algorithm of LinearSolve.jl, by the interface that LinearSolve's manual describes under "Linear Solver
# Algorithm Interface".
module ReknitLinearSolveExt

using LinearAlgebra
using LinearSolve: LinearSolve, LinearCache
using Reknit

const SciMLBase = LinearSolve.SciMLBase
const ReturnCode = SciMLBase.ReturnCode

struct ReknitAlgorithm{P,O<:NamedTuple} <: LinearSolve.AbstractKrylovSubspaceMethod
    method::Symbol
    precs::P
    options::O
end

function Reknit.ReknitKrylov(method; precs = nothing, options...)
    given = (; options...)
    close(Krylov(method; given...))                  # an option that is wrong is told here, not in the first solve
    return ReknitAlgorithm(Symbol(method), precs, given)
end
Reknit.ReknitKrylov(; options...) = Reknit.ReknitKrylov(:auto; options...)

# A preconditioner that the library builds needs the entries of A.
LinearSolve.needs_concrete_A(alg::ReknitAlgorithm) = haskey(alg.options, :preconditioner)

# Tolerances are read at each solve. Older versions do not ask.
if isdefined(LinearSolve, :update_tolerances_internal!)
    LinearSolve.update_tolerances_internal!(cache, ::ReknitAlgorithm, abstol, reltol) = nothing
end

# What a LinearCache keeps from solve to solve.
mutable struct Memory
    solver::Krylov
    matrix::Any                                      # what the operator was made of
    operator::Any                                    # nothing before the first solve
    divisor::Any                                     # what the preconditioner was made of
    preconditioner::Any                              # nothing without one
end

LinearSolve.init_cacheval(alg::ReknitAlgorithm, A, b, u, Pl, Pr, maxiters::Int, abstol, reltol, verbose,
                          assumptions::LinearSolve.OperatorAssumptions) =
    Memory(Krylov(alg.method; alg.options...), nothing, nothing, nothing, nothing)

function SciMLBase.solve!(cache::LinearCache, alg::ReknitAlgorithm; kwargs...)
    memory = cache.cacheval
    if cache.precsisfresh && alg.precs !== nothing
        cache.Pl, cache.Pr = alg.precs(cache.A, cache.p)
        cache.precsisfresh = false
    end
    fresh = cache.isfresh
    follow_matrix!(memory, alg, cache.A, fresh)
    follow_preconditioner!(memory, cache.Pl, cache.Pr, fresh)
    cache.isfresh = false

    s = memory.solver
    haskey(alg.options, :rtol) || (s[:rtol] = Float64(cache.reltol))
    haskey(alg.options, :atol) || (s[:atol] = Float64(cache.abstol))
    haskey(alg.options, :max_iterations) || (s[:max_iterations] = cache.maxiters)
    stats = try
        Reknit.solve!(cache.u, s, memory.operator, cache.b; M = memory.preconditioner)
    catch e
        e isa ReknitError && e.status in (Reknit.ERR_SINGULAR, Reknit.ERR_INDEFINITE) || rethrow()
        return SciMLBase.build_linear_solution(alg, cache.u, nothing, cache; retcode = ReturnCode.Failure)
    end
    return SciMLBase.build_linear_solution(alg, cache.u, stats.residual_norm, cache; retcode = retcode(stats.status),
                                           iters = stats.iterations, stats = stats)
end

# The operator of A. New numbers in the same matrix are announced, another matrix gets an operator of its own: the
# solver takes either for the next system of its sequence. One of another size or type begins a new sequence.
function follow_matrix!(memory, alg, A, fresh)
    old = memory.operator
    if old !== nothing && memory.matrix === A && lies_in_place(old)
        fresh && changed!(old)
        return nothing
    end
    memory.matrix, memory.operator = A, Operator(A)
    if old !== nothing && (size(old) != size(memory.operator) || eltype(old) != eltype(memory.operator))
        memory.solver = Krylov(alg.method; alg.options...)
        memory.divisor = memory.preconditioner = nothing
    end
    return nothing
end

# Entries that joined or left the pattern since have moved the arrays.
lies_in_place(operator) = all(Reknit.in_place, operator.lent) &&
                          all(lies_in_place, filter(part -> part isa Operator, operator.kept))

function follow_preconditioner!(memory, Pl, Pr, fresh)
    divisors = filter(P -> !is_identity(P), Any[Pl, Pr])
    length(divisors) <= 1 || throw(ArgumentError("both Pl and Pr are given; Reknit takes one preconditioner, " *
        "and the option side says on which side"))
    divisor = isempty(divisors) ? nothing : divisors[1]
    ours = divisor isa Reknit.AbstractOperator       # it ages until its owner says changed!
    if divisor === memory.divisor
        fresh && divisor !== nothing && !ours && changed!(memory.preconditioner)
        return nothing
    end
    memory.preconditioner = divisor === nothing || ours ? divisor :
                            Preconditioner(divisor, eltype(memory.operator), size(memory.operator, 1))
    memory.divisor = divisor
    return nothing
end

# LinearSolve's own default is an IdentityOperator of SciMLOperators, IterativeSolvers has an Identity.
is_identity(P) = P === nothing || P isa UniformScaling && isone(P.λ) || nameof(typeof(P)) in (:IdentityOperator, :Identity)

function retcode(status)
    status == Reknit.OK && return ReturnCode.Success
    status == Reknit.STOP_ITERATIONS && return ReturnCode.MaxIters
    status in (Reknit.STOP_MONITOR, Reknit.STOP_INTERRUPT) && return ReturnCode.Failure
    return ReturnCode.ConvergenceFailure
end

end
