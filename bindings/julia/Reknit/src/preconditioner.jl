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
