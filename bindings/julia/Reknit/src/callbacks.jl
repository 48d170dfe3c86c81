# Julia functions as C callbacks.
#
# Each kind of callback has one static trampoline; the function itself travels as its `user` pointer. An
# exception must not unwind the library's frames: the trampoline catches it and returns 1, which ends the
# library's call, and `check` throws it again on the other side. It waits in the storage of the current task:
# the library runs callbacks only within a call, on the thread that made it.

# `f` takes the arguments of the C callback without `user` and returns its Int32. Whoever registers a Callback
# keeps it reachable for as long as the library may call it; no release function is registered, since the
# library could only run it inside a finalizer.
mutable struct Callback
    f::Any
end

# Not inlined: of a Callback that no one but a call knows, the compiler would make a place on the stack without a type
# tag, and `unsafe_pointer_to_objref` needs the tag.
@noinline Base.unsafe_convert(::Type{Ptr{Cvoid}}, callback::Callback) = pointer_from_objref(callback)

const CAUGHT = :reknit_caught

function run_callback(user::Ptr{Cvoid}, args...)
    try
        return (unsafe_pointer_to_objref(user)::Callback).f(args...)::Int32
    catch e
        caught = e isa CapturedException ? e : CapturedException(e, catch_backtrace())
        get!(task_local_storage(), CAUGHT, caught)      # the first one is the cause of those that follow
        return Int32(1)
    end
end

function throw_caught()
    caught = pop!(task_local_storage(), CAUGHT, nothing)
    caught === nothing && return nothing
    throw(caught.ex isa InterruptException ? caught.ex : caught)
end

# y <- op(A) x
call_apply(user::Ptr{Cvoid}, trans::Int32, ncols::Int64, x::Ptr{Cvoid}, ldx::Int64, y::Ptr{Cvoid}, ldy::Int64) =
    run_callback(user, trans, ncols, x, ldx, y, ldy)
apply_trampoline() = @cfunction(call_apply, Int32,
    (Ptr{Cvoid}, Int32, Int64, Ptr{Cvoid}, Int64, Ptr{Cvoid}, Int64))

call_reduce(user::Ptr{Cvoid}, op::Int32, n::Int64, inout::Ptr{Float64}) = run_callback(user, op, n, inout)
reduce_trampoline() = @cfunction(call_reduce, Int32, (Ptr{Cvoid}, Int32, Int64, Ptr{Float64}))

function call_log(user::Ptr{Cvoid}, level::Int32, line::Cstring)
    run_callback(user, level, line)
    return nothing
end
log_trampoline() = @cfunction(call_log, Cvoid, (Ptr{Cvoid}, Int32, Cstring))

call_monitor(user::Ptr{Cvoid}, progress::Ptr{LibReknit.RknProgress}) = run_callback(user, progress)
monitor_trampoline() = @cfunction(call_monitor, Int32, (Ptr{Cvoid}, Ptr{LibReknit.RknProgress}))

function call_events(user::Ptr{Cvoid}, event::Int32, begins::Int32, flops::Float64, bytes::Float64)
    run_callback(user, event, begins, flops, bytes)
    return nothing
end
events_trampoline() = @cfunction(call_events, Cvoid, (Ptr{Cvoid}, Int32, Int32, Float64, Float64))

call_converged(user::Ptr{Cvoid}, iteration::Int64, residual_norm::Float64, target::Float64, accept::Ptr{Int32}) =
    run_callback(user, iteration, residual_norm, target, accept)
converged_trampoline() = @cfunction(call_converged, Int32,
    (Ptr{Cvoid}, Int64, Float64, Float64, Ptr{Int32}))

call_refresh(user::Ptr{Cvoid}) = run_callback(user)
refresh_trampoline() = @cfunction(call_refresh, Int32, (Ptr{Cvoid},))

# y <- x on another mesh
call_prolongate(user::Ptr{Cvoid}, n::Int64, x::Ptr{Cvoid}, n_new::Int64, y::Ptr{Cvoid}) =
    run_callback(user, n, x, n_new, y)
prolongate_trampoline() = @cfunction(call_prolongate, Int32, (Ptr{Cvoid}, Int64, Ptr{Cvoid}, Int64, Ptr{Cvoid}))

# row <- row i of a cost
call_cost_row(user::Ptr{Cvoid}, i::Int64, m::Int64, row::Ptr{Float64}) = run_callback(user, i, m, row)
cost_row_trampoline() = @cfunction(call_cost_row, Int32, (Ptr{Cvoid}, Int64, Int64, Ptr{Float64}))

# out <- X^H Y, the local part
call_inner(user::Ptr{Cvoid}, n::Int64, k::Int64, x::Ptr{Cvoid}, ldx::Int64, l::Int64, y::Ptr{Cvoid}, ldy::Int64,
           out::Ptr{Float64}) = run_callback(user, n, k, x, ldx, l, y, ldy, out)
inner_trampoline() = @cfunction(call_inner, Int32,
    (Ptr{Cvoid}, Int64, Int64, Ptr{Cvoid}, Int64, Int64, Ptr{Cvoid}, Int64, Ptr{Float64}))

# Hands `f`, a function of the C callback's arguments, to one of the library's `rkn_NOUN_set_*` hooks; the field
# `hook` of `owner` keeps it. `nothing` takes the hook back.
function register!(owner, hook::Symbol, setter, trampoline, f)
    callback = f === nothing ? nothing : Callback(f)
    status = f === nothing ? setter(owner, C_NULL, C_NULL, C_NULL) : setter(owner, trampoline, callback, C_NULL)
    status == OK && setfield!(owner, hook, callback)
    check(status)
    return owner
end

# The m x n block at `address` with leading dimension `ld`, for the time of one callback.
function wrap_columns(::Type{T}, address::Ptr{Cvoid}, m::Integer, n::Integer, ld::Integer) where {T}
    ld == m && return unsafe_wrap(Array, Ptr{T}(address), (m, n))
    return view(unsafe_wrap(Array, Ptr{T}(address), (ld, n)), 1:m, :)
end
