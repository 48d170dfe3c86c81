# The algorithm for LinearSolve.jl. Its methods are in ext/, which Julia loads with LinearSolve.

"""
    ReknitKrylov(method = :auto; precs = nothing, options...)

An algorithm of LinearSolve.jl that solves with a [`Krylov`](@ref) of this `method` and these `options`:

    using LinearSolve
    using Reknit: ReknitKrylov       # both packages have a solve!
    cache = init(LinearProblem(A, b), ReknitKrylov(:gcrodr; restart = 40, preconditioner = "ilu0"))
    u = solve!(cache).u
    cache.A = A2                     # the next system: solve! starts from what the solver learned
    cache.b = b2
    u = solve!(cache).u

The solver and its memory live in the cache: `solve(prob, alg)` makes a new cache, and so begins anew. `reltol`,
`abstol` and `maxiters` are LinearSolve's, unless `rtol`, `atol` or `max_iterations` are among the options. `cache.u` is the
initial guess with the option `initial_guess = :x`.

`A` is a matrix, which is read where it lies, or any operator with `size`, `eltype` and `mul!`. A preconditioner is
an option (`preconditioner = "ilu0"`, which needs the entries of `A`), or one of LinearSolve's `Pl` and `Pr`, or comes from
`precs(A, p) -> (Pl, Pr)`; it is applied by `ldiv!`, or is a [`Preconditioner`](@ref), on the side that the option `side`
says. One of the two must be the identity.

The solution has the norm of the true residual in `resid`, the iterations in `iters`, a [`Stats`](@ref) in `stats`, and
`retcode` `Success`, `MaxIters`, `ConvergenceFailure` (stagnation, breakdown, rounding, time), or `Failure` (a singular or
indefinite matrix that the method does not take, a monitor, an interrupt). Other errors are thrown.
"""
ReknitKrylov(arguments...; options...) =
    error("ReknitKrylov is an algorithm of LinearSolve.jl: load that first (`using LinearSolve`; Julia 1.10 or later)")
