"""
    Krylov(method; context = nothing, monitor = nothing, options...)

A linear solver with memory. `method` is `:auto`, `:cg`, `:minres`, `:gmres`, `:bicgstab`, `:gcrodr`, `:rbicgstab`,
`:rcg`, `:eigcg`, `:rminres`, `:idr`, `:cocg` or `:cocr`; options are keywords,
such as `rtol = 1e-10`, `restart = 40`, `recycle = 20`, `preconditioner = "ilu0"`, `initial_guess = :x`. An option
that the method would ignore is an error. `Reknit.options(Krylov)` and `Reknit.option_reference("krylov")` list
them.

`s[:rtol] = 1e-6` sets an option later, `s[:rtol]` reads it, and `s[:iterations]` reads a result of the last solve.
[`set_monitor!`](@ref), [`set_converged!`](@ref), [`set_inner!`](@ref), [`set_weights!`](@ref) and
[`set_scaling!`](@ref) change what is watched, accepted and measured.

One solver serves one sequence of systems: all of one size and element type. What it learned is kept from solve to
solve until [`forget!`](@ref).
"""
mutable struct Krylov <: Handle
    handle::Ptr{Cvoid}
    method::Symbol
    context::Union{Nothing,Context}
    monitor::Union{Nothing,Callback}
    events::Union{Nothing,Callback}
    converged::Union{Nothing,Callback}
    inner::Union{Nothing,Callback}
    inner_type::Type            # element type that `inner` was written for
    begun::Any                  # what a solve by requests works on, for as long as it may

    function Krylov(method; context = nothing, monitor = nothing, options...)
        handle = create(LibReknit.rkn_krylov_create, or_null(context), String(method))
        s = finalizer(close, new(handle, Symbol(method), context, nothing, nothing, nothing, nothing, Nothing, nothing))
        for (key, value) in options
            s[key] = value
        end
        monitor === nothing || set_monitor!(monitor, s)
        return s
    end

    # Around a solver that the library has cloned from `s`.
    Krylov(handle::Ptr{Cvoid}, s::Krylov) =
        finalizer(close, new(handle, s.method, s.context, nothing, nothing, nothing, s.inner, s.inner_type, nothing))
end

destroy(::Krylov, pointer) = LibReknit.rkn_krylov_destroy(pointer)

# ---- options and results

Base.setindex!(s::Krylov, value::Integer, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_krylov_set_int(s, String(key), value))

Base.setindex!(s::Krylov, value::Real, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_krylov_set_real(s, String(key), value))

Base.setindex!(s::Krylov, value::Union{Symbol,AbstractString}, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_krylov_set_string(s, String(key), String(value)))

# The kind of a key is known to the library alone: ask for each in turn.
function Base.getindex(s::Krylov, key::Union{Symbol,AbstractString})
    whole = Ref{Int64}(0)
    status = LibReknit.rkn_krylov_get_int(s, String(key), whole)
    status == ERR_KEY || return (check(status); whole[])
    real = Ref{Float64}(0)
    status = LibReknit.rkn_krylov_get_real(s, String(key), real)
    status == ERR_KEY || return (check(status); real[])
    return text(LibReknit.rkn_krylov_get_string, s, String(key))
end

"""
    set_options!(s, text)

Sets options from one string, such as `"restart=40 recycle=20 side=right"`.
"""
set_options!(s::Krylov, options::AbstractString) =
    (check(LibReknit.rkn_krylov_set_options(s, String(options))); s)

"""
    Reknit.options(Krylov) -> Vector of (key, type, doc)

The options and results of the linear solvers, as the library declares them: `type` is `"int"`, `"real"` or
`"string"`.
"""
function options(::Type{Krylov})
    list = NamedTuple{(:key, :type, :doc),NTuple{3,String}}[]
    strings = ntuple(_ -> Ref{Cstring}(C_NULL), 3)
    while LibReknit.rkn_krylov_option(length(list), strings...) == OK
        push!(list, (key = unsafe_string(strings[1][]), type = unsafe_string(strings[2][]),
                     doc = unsafe_string(strings[3][])))
    end
    return list
end

# ---- solving

"""
    Stats

What a solve reports: `status` (0, or a positive `Reknit.STOP_...` if it stopped short of its tolerance),
`iterations`, `applies` of the operator, `preconditioner_applies`, `reductions`, `restarts`, `residual_norm` (of the
true residual b - A x, absolute), `relative_residual`, `setup_seconds`, `solve_seconds` and `reason`, a sentence.
See [`converged`](@ref).
"""
struct Stats
    status::Int32
    iterations::Int
    applies::Int
    preconditioner_applies::Int
    reductions::Int
    restarts::Int
    residual_norm::Float64
    relative_residual::Float64
    setup_seconds::Float64
    solve_seconds::Float64
    reason::String
end

Stats(status::Int32, s::Krylov) = Stats(status, (s[key] for key in fieldnames(Stats)[2:end])...)

"""
    converged(stats) -> Bool

Whether the solve reached its tolerance.
"""
converged(stats::Stats) = stats.status == OK

"""
    solve!(x, s, A, b; M = nothing) -> Stats
    solve!(X, s, A, B; M = nothing) -> Stats

Solves `A x = b`. `x` and `b` are vectors of the element type of `A`, without gaps in memory; `x` is overwritten,
and read only with the option `initial_guess = :x`. `M` is a preconditioner: any operator that approximates the
inverse of `A`.

A solve that stops short of its tolerance delivers its best `x` and returns, with a positive `status` in its
[`Stats`](@ref). One that fails throws a [`ReknitError`](@ref). What a Julia function threw that the solve called
(an operator's, a monitor, ...) is thrown again as a `CapturedException`, with the original in its field `ex`.

Matrices `X` and `B` are several systems, one a column, solved in lockstep: a step applies `A` and `M` to all columns at
once. They may be views of whole columns or of some rows of a larger matrix. Each column goes on to its own end, and
with its own memory in the next solve. `Stats` then have the iterations and norms of the longest column, the sums of
the other counts, and the status of the first column that misses its tolerance; [`column_stats`](@ref) has the columns
one by one. An error of one column is thrown when the others have ended.
"""
function solve!(x::AbstractVector, s::Krylov, A::AbstractOperator{T}, b::AbstractVector; M = nothing) where {T}
    xs, bs = system(x, A, b)
    hooks = begin_call(s, A, M)
    status = GC.@preserve hooks LibReknit.rkn_krylov_solve(s, A, or_null(M), bs, xs)
    return Stats(check(status), s)
end

function solve!(X::AbstractMatrix, s::Krylov, A::AbstractOperator, B::AbstractMatrix; M = nothing)
    Xs, Bs = system(X, A, B)
    hooks = begin_call(s, A, M)
    status = GC.@preserve hooks LibReknit.rkn_krylov_solve_block(s, A, or_null(M), size(Bs, 2), Bs, leading(Bs), Xs,
                                                                 leading(Xs))
    return Stats(check(status), s)
end

# The arrays of a system, checked.
function system(x, A::AbstractOperator{T}, b) where {T}
    m, n = size(A)
    length(b) == m || throw(DimensionMismatch("b has $(length(b)) elements, A has $m rows"))
    length(x) == n || throw(DimensionMismatch("x has $(length(x)) elements, A has $n columns"))
    xs, bs = contiguous(T, "x", x), contiguous(T, "b", b)
    check_apart("x", xs, "b", bs)
    return xs, bs
end

function system(X::AbstractMatrix, A::AbstractOperator{T}, B::AbstractMatrix) where {T}
    m, n = size(A)
    size(B, 1) == m || throw(DimensionMismatch("B has $(size(B, 1)) rows, A has $m"))
    size(X, 1) == n || throw(DimensionMismatch("X has $(size(X, 1)) rows, A has $n columns"))
    size(X, 2) == size(B, 2) || throw(DimensionMismatch("X has $(size(X, 2)) columns, B has $(size(B, 2))"))
    Xs, Bs = columns_in_place(T, "X", X), columns_in_place(T, "B", B)
    check_apart("X", Xs, "B", Bs)
    return Xs, Bs
end

"""
    solve(s, A, b; M = nothing) -> (x, stats)
    solve(s, A, B; M = nothing) -> (X, stats)

[`solve!`](@ref) with a new `x` or `X`, which starts at zero.
"""
function solve(s::Krylov, A::AbstractOperator{T}, b::AbstractVector; M = nothing) where {T}
    x = zeros(T, size(A, 2))
    return x, solve!(x, s, A, b; M = M)
end

function solve(s::Krylov, A::AbstractOperator{T}, B::AbstractMatrix; M = nothing) where {T}
    X = zeros(T, size(A, 2), size(B, 2))
    return X, solve!(X, s, A, B; M = M)
end

"""
    ColumnStats

How one column of a solve ended: `status` (0, a positive `Reknit.STOP_...`, or a negative `Reknit.ERR_...`),
`iterations`, and `residual_norm` (of the true residual, absolute). [`converged`](@ref) takes it too.
"""
struct ColumnStats
    status::Int32
    iterations::Int
    residual_norm::Float64
end

converged(stats::ColumnStats) = stats.status == OK

"""
    column_stats(s) -> Vector{ColumnStats}

How the columns of the last solve ended, one by one; of a solve of vectors, its only one.
"""
function column_stats(s::Krylov)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_krylov_columns(s, C_NULL, C_NULL, C_NULL, 0, need))
    iterations, norms = Vector{Int64}(undef, need[]), Vector{Float64}(undef, need[])
    statuses = Vector{Int32}(undef, need[])
    check(LibReknit.rkn_krylov_columns(s, iterations, norms, statuses, need[], need))
    return ColumnStats.(statuses, iterations, norms)
end

"""
    prepare!(s, A; M = nothing)

Does ahead of the first solve what does not depend on the right-hand side: checks, memory, a preconditioner that
the solver builds.
"""
function prepare!(s::Krylov, A::AbstractOperator; M = nothing)
    hooks = begin_call(s, A, M)
    check(GC.@preserve hooks LibReknit.rkn_krylov_prepare(s, A, or_null(M)))
    return s
end

# Checks what the library cannot see. The result must live as long as the call: the hooks of the context that it starts
# with serve it to its end, even if a callback replaces them meanwhile.
function begin_call(s, A, M)
    M isa Union{Nothing,AbstractOperator} || throw(ArgumentError(
        "M is a $(typeof(M)), must be an Operator or a Preconditioner; wrap it in one of the two"))
    s.inner === nothing || s.inner_type == eltype(A) || throw(ArgumentError(
        "the inner product was set for elements of type $(s.inner_type), the operator has $(eltype(A))"))
    check_in_place(A)
    M === nothing || check_in_place(M)
    return s.context === nothing ? nothing : (s.context.log, s.context.reduce)
end

"""
    history(s) -> Vector{Float64}

Residual norms of the last solve; the first one is that of the start.
"""
function history(s::Krylov)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_krylov_history(s, C_NULL, 0, need))
    norms = Vector{Float64}(undef, need[])
    check(LibReknit.rkn_krylov_history(s, norms, length(norms), need))
    return norms
end

"""
    forget!(s)

Throws away what the solver learned; its options stay.
"""
function forget!(s::Krylov)
    check(LibReknit.rkn_krylov_forget(s))
    return s
end

# ---- display

Base.show(io::IO, s::Krylov) = print(io, "Krylov(:", s.method, ")", isopen(s) ? "" : " (closed)")

Base.show(io::IO, ::MIME"text/plain", s::Krylov) = show_view(io, s, LibReknit.rkn_krylov_view)

function Base.show(io::IO, stats::Stats)
    print(io, converged(stats) ? "converged" : "stopped short (" * status_name(stats.status) * ")", " after ",
          stats.iterations, " iterations and ", stats.applies, " applies, relative residual ", stats.relative_residual)
end
