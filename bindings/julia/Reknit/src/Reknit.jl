"""
Reknit solves sequences of related sparse linear systems and remembers, from one system to the next,
what the last solve taught it. It is a binding of the shared library reknit, which does the work.

    A = Operator(K)                              # a SparseMatrixCSC, read where it lies
    M = Preconditioner(A, "ilu0")
    s = Krylov(:gcrodr; rtol = 1e-10)
    for step in 1:nsteps
        assemble!(K, b, step)                    # new numbers, same arrays
        changed!(A); changed!(M)
        stats = solve!(x, s, A, b; M = M)        # s starts from what it learned before
    end

Nouns: [`Context`](@ref), [`Operator`](@ref), [`Preconditioner`](@ref), [`Krylov`](@ref). [`sequence_order`](@ref)
says in which order to solve systems that may be solved in any. [`Geometry`](@ref) and [`Sinkhorn`](@ref) are for sequences
of optimal transport problems.
A call that fails throws a [`ReknitError`](@ref); a solve that stops short of its tolerance returns, and
its [`Stats`](@ref) say so. `Reknit.LibReknit` is the C interface as it is.
"""
module Reknit

import Libdl
using LinearAlgebra
using SparseArrays

export Context, Operator, Preconditioner, Krylov, Stats, ColumnStats, ReknitError
export solve!, solve, prepare!, converged, column_stats, history, forget!
export changed!, set_refresh!, set_values!, nullspace!, block
export set_space!, truncate!, prolongate!, load!, mark!, rollback!, ritz_values
export set_options!, set_monitor!, set_events!, set_converged!, set_inner!, set_weights!, set_scaling!
export set_log!, set_reduce!, interrupt!
export start!, start_prepare!, next!, cancel!, set_reduce_request!
export sequence_order, sequence_length
export Geometry, Sinkhorn, TransportStats, potentials, plan_apply, plan_apply!, plan_sparse
export wasserstein_line, wasserstein_line_plan, wasserstein_line_gradient
export wasserstein_circle, wasserstein_circle_plan, wasserstein_circle_gradient
export wasserstein_sliced, wasserstein_sliced_gradient
export gradient_points, vjp_potentials, vjp_plan
export ds_project, ds_project_vjp, coding_rate
export barycenter, barycenter!, solve_batch, solve_many, TransportBatch
export plan_rows, bracket, round_plan, divergence!
export ReknitKrylov

include("libreknit.jl")
include("library.jl")
include("errors.jl")
include("callbacks.jl")
include("handles.jl")
include("context.jl")
include("operator.jl")
include("matrices.jl")
include("functions.jl")
include("composition.jl")
include("preconditioner.jl")
include("krylov.jl")
include("learned.jl")
include("hooks.jl")
include("reverse.jl")
include("sequence.jl")
include("transport.jl")
include("line.jl")
include("derivative.jl")
include("membership.jl")
include("batch.jl")
include("linearsolve.jl")

function __init__()
    load_library()
end

end
