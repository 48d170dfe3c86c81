# Solving by requests (reverse communication): the loop is the program's own.

"""
    Operator(T, m, n; request = Reknit.REQUEST_APPLY, context = nothing)

An m x n map that the program applies when [`next!`](@ref) asks for it. `request` is the kind under which it does:
`Reknit.REQUEST_APPLY`, `Reknit.REQUEST_PRECONDITION`, or a number of the program's own from `Reknit.REQUEST_USER` on.
"""
function Operator(::Type{T}, m::Integer, n::Integer; request = REQUEST_APPLY, context = nothing) where {T<:Number}
    handle = create(LibReknit.rkn_operator_create_request, or_null(context), tag(T), m, n, request)
    return Operator{T}(handle; kept = (context,))
end

"""
    set_reduce_request!(ctx)

Sums over ranks become requests of [`next!`](@ref). `set_reduce!(nothing, ctx)` takes that back.
"""
function set_reduce_request!(ctx::Context)
    check(LibReknit.rkn_context_set_reduce_request(ctx))
    ctx.reduce = nothing
    return ctx
end

"""
    start!(x, s, A, b; M = nothing)
    start!(X, s, A, B; M = nothing)

Begins the solve of `solve!(x, s, A, b; M = M)` by requests; [`next!`](@ref) goes on with it. Until it has ended, `b`
must not be written and `x` neither written nor read. Functions that stand beside the requests are called by `next!`.
With matrices a request for a product has as many columns as wait for one.

    start!(x, s, A, b)
    while (r = next!(s)).kind != Reknit.REQUEST_DONE
        mul!(r.y, K, r.x)
    end
"""
function start!(x::AbstractVector, s::Krylov, A::AbstractOperator, b::AbstractVector; M = nothing)
    xs, bs = system(x, A, b)
    begin_by_requests(s, A, M, (xs, bs)) do
        LibReknit.rkn_krylov_start(s, A, or_null(M), bs, xs)
    end
end

function start!(X::AbstractMatrix, s::Krylov, A::AbstractOperator, B::AbstractMatrix; M = nothing)
    Xs, Bs = system(X, A, B)
    begin_by_requests(s, A, M, (Xs, Bs)) do
        LibReknit.rkn_krylov_start_block(s, A, or_null(M), size(Bs, 2), Bs, leading(Bs), Xs, leading(Xs))
    end
end

"""
    start_prepare!(s, A; M = nothing)

[`prepare!`](@ref), where that takes requests.
"""
start_prepare!(s::Krylov, A::AbstractOperator; M = nothing) =
    begin_by_requests(() -> LibReknit.rkn_krylov_start_prepare(s, A, or_null(M)), s, A, M, ())

function begin_by_requests(begin_it, s, A, M, arrays)
    hooks = begin_call(s, A, M)
    status = GC.@preserve hooks begin_it()
    # A refusal in the middle of another solve leaves that one what it has.
    status == OK && (s.begun = (hooks, A, M, arrays))
    check(status)
    return s
end

"""
    Request

What a solve wants: `kind` is `Reknit.REQUEST_DONE`, or the kind of an operator, `y` to be overwritten by `op(A) * x`
with `trans` in `'N'`, `'T'`, `'C'` and vectors as columns; or `Reknit.REQUEST_REDUCE`, `values` to be replaced by their
`op`, `:sum` or `:max`, over all ranks. `status` is that of the solve when it has ended. The arrays are valid until the
next step of the solver.
"""
struct Request
    kind::Int
    status::Int32
    trans::Char
    x::AbstractMatrix
    y::AbstractMatrix
    op::Symbol
    values::Vector{Float64}
end

const ELEMENTS = Dict{Int32,DataType}(tag(T) => T for T in (Float32, Float64, ComplexF32, ComplexF64))

function Request(raw::LibReknit.RknRequest, status)
    T = ELEMENTS[raw.scalar]
    product = raw.kind != REQUEST_DONE && raw.kind != REQUEST_REDUCE
    panel(address, n, ld) = product ? wrap_columns(T, address, n, raw.ncols, ld) : Matrix{T}(undef, 0, 0)
    values = raw.kind == REQUEST_REDUCE ? unsafe_wrap(Array, raw.inout, raw.n) : Float64[]
    return Request(raw.kind, status, letter(raw.trans), panel(raw.x, raw.nx, raw.ldx), panel(raw.y, raw.ny, raw.ldy),
                   raw.op == LibReknit.RKN_SUM ? :sum : :max, values)
end

"""
    next!(s; failed = 0) -> Request

Goes on with the solve that [`start!`](@ref) began, until it wants something or has ended. `failed` other than 0 says
that the last request could not be served, and ends the solve. What fails, throws, as from [`solve!`](@ref); if a
function that stands beside the requests throws, the solve is cancelled.
"""
function next!(s::Krylov; failed::Integer = 0)
    address = Ref{Ptr{LibReknit.RknRequest}}(C_NULL)
    status = LibReknit.rkn_krylov_next(s, failed, address)
    request = Request(unsafe_load(address[]), status)
    try
        check(status)
    catch e
        e isa ReknitError || LibReknit.rkn_krylov_cancel(s)
        rethrow()
    end
    return request
end

"""
    cancel!(s)

Ends the solve by requests that is under way, if there is one.
"""
cancel!(s::Krylov) = (check(LibReknit.rkn_krylov_cancel(s)); s)
