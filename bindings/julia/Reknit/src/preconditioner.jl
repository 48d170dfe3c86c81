"""
    Preconditioner(A, kind; context = nothing)

An approximate inverse of `A`, built by the library: `M * r` approximates `A \\ r`. `kind` names it and may carry
options: `"jacobi"`, `"block_jacobi"`, `"ssor omega=1.4"`, `"ilu0"`, `"ilu levels=2"`, `"ic0"`, `"ic levels=1"`,
`"ilut drop_tolerance=1e-3"`, `"ict"`, `"chebyshev"`, `"amg"`, `"lu"`, `"llt"`, `"ldlt"`, `"identity"`;
`Reknit.option_reference("preconditioner")` describes them.

`changed!(A)` leaves `M` as it is: solving with the older one is legal and often cheaper. `changed!(M)` builds it
again from the numbers that `A` has then; the pattern is kept.

    Preconditioner(F; context = nothing)

The inverse that a factorization `F` of LinearAlgebra or SparseArrays applies by `ldiv!`. Any [`Operator`](@ref) is
a preconditioner too.

    Preconditioner(object, T = eltype(object), n = size(object, 1); context = nothing)

The inverse that any other object applies by `ldiv!(y, object, x)` or, in place, by `ldiv!(object, y)`: an incomplete
factorization, a multigrid cycle. `T` and `n` need only be given if the object does not know them. It has a transpose
if `adjoint(object)` has those methods too. [`set_refresh!`](@ref) says how it is brought up to date.
"""
mutable struct Preconditioner{T} <: AbstractOperator{T}
    handle::Ptr{Cvoid}
    operator::AbstractOperator{T}
    kind::String
    context::Union{Nothing,Context}

    function Preconditioner(A::AbstractOperator{T}, kind; context = nothing) where {T}
        check_in_place(A)
        handle = create(LibReknit.rkn_operator_create_preconditioner, or_null(context), A, String(kind))
        return finalizer(close, new{T}(handle, A, String(kind), context))
    end
end

function Preconditioner(F::Factorization{T}; context = nothing) where {T}
    apply(y, x, trans) = ldiv!(y, trans == 'N' ? F : trans == 'T' ? transpose(F) : adjoint(F), x)
    return Operator(apply, T, size(F)...; context = context)
end

function Preconditioner(object, T::Type = element_type(object), n::Integer = order_of(object); context = nothing)
    object isa AbstractOperator && throw(ArgumentError("say of which kind the preconditioner is: Preconditioner(A, \"ilu0\")"))
    divide! = divides(object, Vector{T})
    function apply(y, x, trans)
        trans == 'N' && return divide!(y, object, x)
        T <: Complex && trans == 'T' && return (divide_adjoint!(y, object, conj(x)); conj!(y))
        return divide_adjoint!(y, object, x)
    end
    return Operator(apply, T, n, n; context = context)
end

element_type(object) = eltype(object) === Any ?
    throw(ArgumentError("a $(typeof(object)) does not say its element type: Preconditioner(object, T, n)")) : eltype(object)
order_of(object) = applicable(size, object, 1) ? size(object, 1) : applicable(size, object) ? size(object)[1] :
    throw(ArgumentError("a $(typeof(object)) does not say its size: Preconditioner(object, T, n)"))

# y <- object \ x by the method of ldiv! that there is.
function divides(object, V)
    hasmethod(ldiv!, Tuple{V,typeof(object),V}) && return ldiv!
    hasmethod(ldiv!, Tuple{typeof(object),V}) && return (y, F, x) -> ldiv!(F, copyto!(y, x))
    throw(ArgumentError("a $(typeof(object)) has neither ldiv!(y, object, x) nor ldiv!(object, y)"))
end

function divide_adjoint!(y, object, x)
    applicable(adjoint, object) || throw(ArgumentError("the preconditioner of a $(typeof(object)) has no transpose: " *
        "there is no method adjoint(::$(nameof(typeof(object))))"))
    return divides(adjoint(object), typeof(y))(y, adjoint(object), x)
end

check_in_place(M::Preconditioner) = check_in_place(M.operator)

"""
    changed!(M::Preconditioner)

Builds `M` again from the numbers that its operator has now. If that fails, `M` cannot be applied until it succeeds.
"""
function changed!(M::Preconditioner)
    check_in_place(M)
    check(LibReknit.rkn_operator_changed(M))
    return M
end

"""
    set_refresh!(f, M)

Tells how a preconditioner made of a function is brought up to date: `f()` is called by [`changed!`](@ref)`(M)`, and
by a solver with the method `:auto` when the iterations that the age of `M` costs exceed a refresh (the option
`setup_cost`), which then needs no `changed!(M)`. What `f` throws is thrown again from the call that came to it.
`set_refresh!(nothing, M)` takes it away.
"""
set_refresh!(f, M::Operator) =
    register!(M, :renewal, LibReknit.rkn_operator_set_refresh, refresh_trampoline(), refresh_callback(f))

refresh_callback(::Nothing) = nothing
refresh_callback(f) = () -> (f(); Int32(0))

function Base.show(io::IO, M::Preconditioner)
    isopen(M) || return print(io, typeof(M), " (closed)")
    print(io, typeof(M), " \"", M.kind, "\" of a ", M.operator)
end
