# Operators given by Julia functions and by objects that know `mul!`.

function Operator(f, ::Type{T}, m::Integer, n::Integer; block = false, context = nothing) where {T}
    scalar = tag(T)
    callback = Callback(block ? block_apply(f, T, m, n) : column_apply(f, T, m, n))
    handle = create(LibReknit.rkn_operator_create_callback, or_null(context), scalar, m, n, apply_trampoline(), callback,
                    C_NULL)
    return Operator{T}(handle; kept = (callback, context))
end

function Operator(object; block = false, context = nothing)
    applicable(size, object) && eltype(object) !== Any || throw(ArgumentError(
        "no operator can be made of a $(typeof(object)) alone; for a function give element type and size too"))
    T = eltype(object)
    hermitian = known_hermitian(object)
    apply(y, x, trans) = apply_object!(y, object, x, hermitian && (trans == 'C' || T <: Real) ? 'N' : trans)
    A = Operator(apply, T, size(object)...; block = block, context = context)
    hermitian && (A[:hermitian] = true)
    return A
end

# The transpose of an object that knows only its adjoint is the conjugate of that.
function apply_object!(y, object, x, trans)
    trans == 'N' && return mul!(y, object, x)
    trans == 'T' && eltype(object) <: Complex && applicable(transpose, object) && return mul!(y, transpose(object), x)
    applicable(adjoint, object) || throw(ArgumentError("the operator of a $(typeof(object)) has no transpose: there " *
        "is no method adjoint(::$(nameof(typeof(object))))"))
    trans == 'T' && eltype(object) <: Complex || return mul!(y, adjoint(object), x)
    mul!(y, adjoint(object), conj(x))
    return conj!(y)
end

# What an object says of itself by a method of its own. The ones for all matrices compare entry with entry.
known_hermitian(object) = says(ishermitian, object) || eltype(object) <: Real && says(issymmetric, object)

# Not every version of Julia has such methods for it.
known_hermitian(object::SymTridiagonal{<:Real}) = true

function says(question, object)
    asked = Tuple{typeof(object)}
    return hasmethod(question, asked) && which(question, asked) !== which(question, Tuple{AbstractMatrix{eltype(object)}}) &&
           question(object) === true
end

letter(trans) = trans == LibReknit.RKN_N ? 'N' : trans == LibReknit.RKN_T ? 'T' : 'C'

# (rows of y, rows of x)
rows(trans, m, n) = trans == LibReknit.RKN_N ? (m, n) : (n, m)

function column_apply(f, ::Type{T}, m, n) where {T}
    apply = with_trans(f, Vector{T})
    return function (trans, ncols, x, ldx, y, ldy)
        ny, nx = rows(trans, m, n)
        for j in 0:ncols-1
            yj = unsafe_wrap(Array, Ptr{T}(y) + j * ldy * sizeof(T), ny)
            xj = unsafe_wrap(Array, Ptr{T}(x) + j * ldx * sizeof(T), nx)
            apply(yj, xj, letter(trans))
        end
        return Int32(0)
    end
end

function block_apply(f, ::Type{T}, m, n) where {T}
    apply = with_trans(f, Matrix{T})
    return function (trans, ncols, x, ldx, y, ldy)
        ny, nx = rows(trans, m, n)
        apply(wrap_columns(T, y, ny, ncols, ldy), wrap_columns(T, x, nx, ncols, ldx), letter(trans))
        return Int32(0)
    end
end

# `f` as a function of three arguments; one of two has no transpose.
function with_trans(f, ::Type{V}) where {V}
    hasmethod(f, Tuple{V,V,Char}) && return f
    hasmethod(f, Tuple{V,V}) || throw(ArgumentError("the function takes neither (y, x, trans) nor (y, x)"))
    return function (y, x, trans)
        trans == 'N' || throw(ArgumentError("the function of this operator takes (y, x): it has no transpose"))
        f(y, x)
    end
end
