"""
    Context(; threads = 1, seed = 0, log = nothing, reduce = nothing)

What operators and solvers share: threads, the seed of random numbers, a log sink and, in a distributed program,
the sum over ranks. Pass it as `context = ctx`; without one the library uses one thread, is silent, has
seed 0 and reduces nothing. The same seed gives the same bits, whatever `threads` is.

`ctx[:threads]` reads an option, `ctx[:threads] = 2` sets it; `Reknit.option_reference("context")` lists them.
See [`set_log!`](@ref) and [`set_reduce!`](@ref) for the two functions.
"""
mutable struct Context <: Handle
    handle::Ptr{Cvoid}
    log::Union{Nothing,Callback}
    reduce::Union{Nothing,Callback}

    function Context(; log = nothing, reduce = nothing, options...)
        ctx = finalizer(close, new(create(LibReknit.rkn_context_create), nothing, nothing))
        for (key, value) in options
            ctx[key] = value
        end
        log === nothing || set_log!(log, ctx)
        reduce === nothing || set_reduce!(reduce, ctx)
        return ctx
    end
end

destroy(::Context, pointer) = LibReknit.rkn_context_destroy(pointer)

function Base.getindex(ctx::Context, key::Union{Symbol,AbstractString})
    value = Ref{Int64}(0)
    check(LibReknit.rkn_context_get_int(ctx, String(key), value))
    return value[]
end

Base.setindex!(ctx::Context, value::Integer, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_context_set_int(ctx, String(key), value))

"""
    set_log!(f, ctx)

`f(level::Int, line::String)` receives what the library has to say, on the thread that called the library;
`nothing` silences it again. The option `log_level` of the context says how much.
"""
set_log!(f, ctx::Context) =
    register!(ctx, :log, LibReknit.rkn_context_set_log, log_trampoline(), log_callback(f))

log_callback(::Nothing) = nothing
log_callback(f) = (level, line) -> (f(Int(level), unsafe_string(line)); Int32(0))

"""
    set_reduce!(f, ctx)

`f(op, values)` replaces the `Vector{Float64}` `values` by its sum (`op == :sum`) or maximum (`op == :max`) over
all ranks, with identical bits on each; `nothing` removes it. With MPI.jl:

    set_reduce!((op, v) -> MPI.Allreduce!(v, op === :sum ? MPI.SUM : MPI.MAX, comm), ctx)

Vectors and operators are then the local parts; nothing else crosses ranks. `values` is valid during the call.
"""
set_reduce!(f, ctx::Context) =
    register!(ctx, :reduce, LibReknit.rkn_context_set_reduce, reduce_trampoline(), reduce_callback(f))

reduce_callback(::Nothing) = nothing
function reduce_callback(f)
    return function (op, n, inout)
        f(op == LibReknit.RKN_SUM ? :sum : :max, unsafe_wrap(Array, inout, n))
        return Int32(0)
    end
end

"""
    interrupt!(ctx)

Asks the solve that runs under `ctx` to stop; it returns with status `Reknit.STOP_INTERRUPT` and its best iterate.
May be called from any thread.
"""
interrupt!(ctx::Context) = (check(LibReknit.rkn_context_interrupt(ctx)); ctx)

function Base.show(io::IO, ctx::Context)
    isopen(ctx) || return print(io, "Context (closed)")
    print(io, "Context(threads = ", ctx[:threads], ", seed = ", ctx[:seed], ")")
    ctx.log === nothing || print(io, " with a log")
    ctx.reduce === nothing || print(io, " with a reduction")
end
