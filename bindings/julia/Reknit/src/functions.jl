# Operators given by Julia functions and by objects that know `mul!`.

function Operator(f, ::Type{T}, m::Integer, n::Integer; block = false, context = nothing) where {T}
    scalar = tag(T)
    callback = Callback(block ? block_apply(f, T, m, n) : column_apply(f, T, m, n))
    handle = create(LibReknit.rkn_operator_create_callback, or_null(context), scalar, m, n, apply_trampoline(), callback,
                    C_NULL)
    return Operator{T}(handle; kept = (callback, context))
end

function Operator(object; block = false, context = nothing)
    applicable(size, object) && applicable(eltype, object) || throw(ArgumentError(
        "no operator can be made of a $(typeof(object)) alone; for a function give element type and size too"))
    apply(y, x, trans) = mul!(y, trans == 'N' ? object : trans == 'T' ? transpose(object) : adjoint(object), x)
    return Operator(apply, eltype(object), size(object)...; block = block, context = context)
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
