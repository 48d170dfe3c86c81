# Functions and weights that a linear solver calls for and measures with.

"""
    set_monitor!(f, s)

`f(progress)` is called before the first iteration and after each one; if it returns `true` the solve stops with
status `Reknit.STOP_MONITOR`. `progress` has the fields `iteration`, `column`, `applies`, `measure` (the residual
norm), `target`, `seconds`, `solver` and `phase`. `nothing` removes it. Within `f`, `s[:iterations]` and
`history(s)` may be read; solving with the same solver is refused with `Reknit.ERR_BUSY`.
"""
set_monitor!(f, s::Krylov) =
    register!(s, :monitor, LibReknit.rkn_krylov_set_monitor, monitor_trampoline(), monitor_callback(f))

monitor_callback(::Nothing) = nothing
monitor_callback(f) = progress -> Int32(f(unsafe_load(progress)) === true)

"""
    set_events!(f, s)

`f(event, begins, flops, bytes)` is called at the begin and the end of each phase of a solve, for a profiler of the
program's own: `event` is one of `Reknit.EVENT_SOLVE`, `EVENT_SETUP`, `EVENT_APPLY`, `EVENT_PRECONDITION`, `EVENT_INNER`,
`EVENT_REDUCE`; `flops` and `bytes` are those of the library in between. `nothing` removes it.
"""
set_events!(f, s::Krylov) =
    register!(s, :events, LibReknit.rkn_krylov_set_events, events_trampoline(), events_callback(f))

events_callback(::Nothing) = nothing
events_callback(f) = function (event, begins, flops, bytes)
    f(event, begins != 0, flops, bytes)
    return Int32(0)
end

"""
    set_converged!(f, s)

`f(iteration, residual_norm, target)` decides whether the solve has converged: `true` accepts the iterate. `nothing`
removes it.
"""
set_converged!(f, s::Krylov) =
    register!(s, :converged, LibReknit.rkn_krylov_set_converged, converged_trampoline(), converged_callback(f))

converged_callback(::Nothing) = nothing
function converged_callback(f)
    return function (iteration, residual_norm, target, accept)
        unsafe_store!(accept, Int32(f(Int(iteration), residual_norm, target) === true))
        return Int32(0)
    end
end

"""
    set_inner!(f, s, T)

The inner product that the solver works with: `f(out, X, Y)` writes the local part of `X' * Y` into `out`. The columns
of `X` and `Y` are vectors of the local size, of element type `T`, which is that of the operators to come; `out` has
elements `Float64` or `ComplexF64`. All three are valid during the call. A context's reduction then sums `out` over
ranks. `set_inner!(nothing, s)` removes it.
"""
function set_inner!(f, s::Krylov, ::Type{T}) where {T}
    tag(T)
    register!(s, :inner, LibReknit.rkn_krylov_set_inner, inner_trampoline(), inner_callback(f, T))
    s.inner_type = T
    return s
end

set_inner!(::Nothing, s::Krylov) = register!(s, :inner, LibReknit.rkn_krylov_set_inner, C_NULL, nothing)

function inner_callback(f, ::Type{T}) where {T}
    Wide = T <: Complex ? ComplexF64 : Float64
    return function (n, k, x, ldx, l, y, ldy, out)
        f(unsafe_wrap(Array, Ptr{Wide}(out), (k, l)), wrap_columns(T, x, n, k, ldx), wrap_columns(T, y, n, l, ldy))
        return Int32(0)
    end
end

"""
    set_weights!(s, w)

Measures with the inner product `sum(w .* conj.(x) .* y)`; `w` is a vector of positive numbers, copied. `nothing`
removes it.
"""
function set_weights!(s::Krylov, w::AbstractVector)
    check(LibReknit.rkn_krylov_set_weights(s, length(w), convert(Vector{Float64}, w)))
    return s
end

set_weights!(s::Krylov, ::Nothing) = (check(LibReknit.rkn_krylov_set_weights(s, 0, C_NULL)); s)

"""
    set_scaling!(s; left = nothing, right = nothing)

Solves `(S1 A S2^-1)(S2 x) = S1 b` with the diagonal matrices `S1 = Diagonal(left)` and `S2 = Diagonal(right)`. With
the option `norm = :weighted` the tested norm is that of `S1 (b - A x)`. Both are vectors of positive numbers,
copied; `nothing` stands for ones.
"""
function set_scaling!(s::Krylov; left = nothing, right = nothing)
    left === nothing || right === nothing || length(left) == length(right) ||
        throw(DimensionMismatch("left has $(length(left)) elements, right has $(length(right))"))
    n = left !== nothing ? length(left) : right !== nothing ? length(right) : 0
    check(LibReknit.rkn_krylov_set_scaling(s, n, doubles(left), doubles(right)))
    return s
end

doubles(::Nothing) = C_NULL
doubles(v::AbstractVector) = convert(Vector{Float64}, v)
