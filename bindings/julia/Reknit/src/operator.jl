# Operators: the type, its application, its keys. Ways to make one are in the next files.

tag(::Type{Float32}) = LibReknit.RKN_F32
tag(::Type{Float64}) = LibReknit.RKN_F64
tag(::Type{ComplexF32}) = LibReknit.RKN_C32
tag(::Type{ComplexF64}) = LibReknit.RKN_C64
tag(T::Type) = throw(ArgumentError("elements of type $T; they may be Float32, Float64, ComplexF32 or ComplexF64"))

# An array that the library reads in place, with the place where it was lent.
struct Lent
    array::AbstractArray
    address::Ptr{Cvoid}
    length::Int
end

Lent(array::AbstractArray) = Lent(array, pointer(array), length(array))

in_place(lent::Lent) = pointer(lent.array) == lent.address && length(lent.array) == lent.length

"A linear map of the library with elements of type `T`: an [`Operator`](@ref) or a [`Preconditioner`](@ref)."
abstract type AbstractOperator{T} <: Handle end

"""
    Operator(K; copy = false, context = nothing)

A linear map over the numbers of `K`, which is a `SparseMatrixCSC` (indices `Int32` or `Int64`), a `Matrix`, a
`Diagonal`, a `transpose` or adjoint of these, a `Symmetric` or `Hermitian` sparse matrix, or any other object
with `size`, `eltype` and `mul!(y, K, x)`. Elements are `Float32`, `Float64`, `ComplexF32` or `ComplexF64`.

Such an object has a transpose if `adjoint(K)` has `mul!` too. If a method `ishermitian(K)` or, for real elements,
`issymmetric(K)` that was written for it is true, the operator is known to be Hermitian and `adjoint` is not asked for.

The arrays of `K` are read where they lie, and kept alive. Write new numbers into them and call [`changed!`](@ref);
do not resize them (inserting or dropping entries does): the operator then throws. With `copy = true` the library
copies the arrays, and [`set_values!`](@ref) gives it new numbers.

A `SparseMatrixCSC` is applied by columns, on one thread. Rows are faster: if `K` is symmetric,
`Operator(transpose(K))` reads the same arrays by rows.

Of a `Symmetric` or `Hermitian` sparse matrix one triangle is used. It is read where it lies if the parent stores no
more than that triangle and is not complex Hermitian; otherwise the operator keeps a triangle of its own, and
`changed!` fills it from the parent.

    Operator(f, T, m, n; block = false, context = nothing)

An m x n map given by a function: `f(y, x, trans)` writes into the vector `y` the product of `x` with the map
(`trans == 'N'`), its transpose (`'T'`) or its adjoint (`'C'`); `f(y, x)` has neither of the last two. With
`block = true`, `y` and `x` are matrices of several columns. They are valid during the call and of element type `T`.
`f` runs on the thread that called the library and its exceptions are thrown from that call.

    Operator(λ*I, n; context = nothing)

A multiple of the n x n identity, with the element type of `λ`.

Operators know `size`, `eltype`, `A*x`, `mul!`, `A'`, `transpose`, `+`, `-`, `*` with operators and numbers, `A +
σ*I`, [`block`](@ref), and `A[:products]`, `A[:hermitian] = true` for the keys that
`Reknit.option_reference("operator")` lists. Arrays in other layouts: [`Reknit.csr`](@ref), [`Reknit.bsr`](@ref),
[`Reknit.coo`](@ref) and their neighbours.
"""
mutable struct Operator{T} <: AbstractOperator{T}
    handle::Ptr{Cvoid}
    lent::Vector{Lent}       # arrays that the library reads in place
    kept::Vector{Any}        # what else must live as long: parts, a callback, the context
    nvalues::Int             # numbers that set_values! takes
    refresh::Any             # called by changed! before the library hears of it
    renewal::Union{Nothing,Callback}    # called by the library, for changed! or when a solver wants it

    function Operator{T}(handle; lent = (), kept = (), nvalues = 0, refresh = nothing) where {T}
        lent = Lent[Lent(array) for array in lent]
        return finalizer(close, new{T}(handle, lent, Any[kept...], nvalues, refresh, nothing))
    end
end

Operator(A::AbstractOperator) = A

destroy(::AbstractOperator, pointer) = LibReknit.rkn_operator_destroy(pointer)

function Base.size(A::AbstractOperator)
    m, n = Ref{Int64}(0), Ref{Int64}(0)
    check(LibReknit.rkn_operator_shape(A, m, n))
    return (Int(m[]), Int(n[]))
end

Base.size(A::AbstractOperator, dim::Integer) = dim <= 2 ? size(A)[dim] : 1
Base.eltype(::Type{<:AbstractOperator{T}}) where {T} = T

# Throws if an array that A or a part of it reads was moved or resized since it was lent.
function check_in_place(A::Operator)
    for lent in A.lent
        in_place(lent) || throw(ArgumentError("an array of this operator, now a $(summary(lent.array)), was resized " *
            "after the operator was made (did entries join or leave the pattern?); make a new Operator"))
    end
    for part in A.kept
        part isa AbstractOperator && check_in_place(part)
    end
end

"""
    changed!(A)

Announces that numbers were rewritten in the arrays that `A` reads, or that its function is another one: solvers and
preconditioners then know that what they remember of `A` is out of date.
"""
function changed!(A::Operator)
    A.refresh === nothing || A.refresh()
    check_in_place(A)
    check(LibReknit.rkn_operator_changed(A))
    return A
end

"""
    set_values!(A, values)

Gives an operator made with `copy = true` new numbers, in the layout that it was made with, pattern unchanged.
`values` is the vector of stored numbers, or a matrix of the same kind.
"""
function set_values!(A::Operator{T}, values::AbstractArray) where {T}
    stored = contiguous(T, "values", values)
    A.nvalues > 0 && length(stored) != A.nvalues && throw(DimensionMismatch(
        "values has $(length(stored)) elements, the operator stores $(A.nvalues)"))
    check(LibReknit.rkn_operator_set_values(A, stored))
    return A
end

set_values!(A::Operator, K::SparseMatrixCSC) = set_values!(A, nonzeros(K))
set_values!(A::Operator, D::Diagonal) = set_values!(A, D.diag)

"""
    nullspace!(A, V; side = :right)

Tells solvers that the columns of `V` (a vector or a matrix, copied) span the nullspace of `A`, or with `side =
:left` of its adjoint. `nullspace!(A, nothing)` takes that back.
"""
function nullspace!(A::AbstractOperator{T}, V::AbstractVecOrMat; side::Symbol = :right) where {T}
    m, n = size(A)
    rows = side === :left ? m : n
    size(V, 1) == rows || throw(DimensionMismatch("V has $(size(V, 1)) rows, the $side nullspace takes $rows"))
    columns = convert(Array{T}, V)
    check(LibReknit.rkn_operator_set_nullspace(A, side_number(side), size(V, 2), columns, leading(columns)))
    return A
end

function nullspace!(A::AbstractOperator, ::Nothing; side::Symbol = :right)
    check(LibReknit.rkn_operator_set_nullspace(A, side_number(side), 0, C_NULL, 1))
    return A
end

side_number(side) = side === :left ? LibReknit.RKN_LEFT : side === :right ? LibReknit.RKN_RIGHT :
    throw(ArgumentError("side is :$side; it may be :left or :right"))

function Base.getindex(A::AbstractOperator, key::Union{Symbol,AbstractString})
    value = Ref{Int64}(0)
    check(LibReknit.rkn_operator_get_int(A, String(key), value))
    return value[]
end

Base.setindex!(A::AbstractOperator, value::Integer, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_operator_set_int(A, String(key), value))

LinearAlgebra.ishermitian(A::AbstractOperator) = A[:hermitian] != 0

# ---- application

function LinearAlgebra.mul!(y::AbstractVecOrMat, A::AbstractOperator{T}, x::AbstractVecOrMat) where {T}
    m, n = size(A)
    size(x, 1) == n && size(y, 1) == m && size(x, 2) == size(y, 2) || throw(DimensionMismatch(
        "y has size $(size(y)), A has size ($m, $n), x has size $(size(x))"))
    xs, ys = columns_in_place(T, "x", x), columns_in_place(T, "y", y)
    check_apart("y", ys, "x", xs)
    check_in_place(A)
    check(LibReknit.rkn_operator_apply(A, LibReknit.RKN_N, size(x, 2), xs, leading(xs), ys, leading(ys)))
    return y
end

function LinearAlgebra.mul!(y::AbstractVecOrMat, A::AbstractOperator, x::AbstractVecOrMat, α::Number, β::Number)
    product = mul!(similar(y), A, x)
    return iszero(β) ? (y .= product .* α) : (y .= product .* α .+ y .* β)
end

Base.:*(A::AbstractOperator{T}, x::AbstractVector) where {T} =
    mul!(Vector{T}(undef, size(A, 1)), A, convert(Vector{T}, x))
Base.:*(A::AbstractOperator{T}, x::AbstractMatrix) where {T} =
    mul!(Matrix{T}(undef, size(A, 1), size(x, 2)), A, convert(Matrix{T}, x))

# ---- arrays as the library takes them

# `array` itself, if the library can read it as numbers of type T one after the other.
contiguous(::Type{T}, name, array::AbstractArray) where {T} =
    array isa DenseArray || array isa StridedVector && unit_stride(array) ? of_type(T, name, array) : refuse(name, array)

# `array` itself, if the library can read its columns with a leading dimension.
columns_in_place(::Type{T}, name, array::AbstractVecOrMat) where {T} =
    array isa StridedVecOrMat && unit_stride(array) && (size(array, 2) <= 1 || stride(array, 2) >= size(array, 1)) ?
    of_type(T, name, array) : refuse(name, array)

unit_stride(array) = size(array, 1) <= 1 || stride(array, 1) == 1

leading(columns::AbstractVecOrMat) = max(1, size(columns, 2) <= 1 ? size(columns, 1) : stride(columns, 2))

of_type(::Type{T}, name, array::AbstractArray{T}) where {T} = array
of_type(::Type{T}, name, array::AbstractArray) where {T} =
    throw(ArgumentError("$name has elements of type $(eltype(array)), must have $T"))

refuse(name, array) = throw(ArgumentError("$name is a $(typeof(array)), whose elements do not lie in memory " *
    "one after the other; pass a copy in an Array"))

check_apart(name, a, other, b) =
    Base.mightalias(a, b) && throw(ArgumentError("$name and $other share memory"))

# ---- display

function Base.show(io::IO, A::AbstractOperator)
    isopen(A) || return print(io, typeof(A), " (closed)")
    m, n = size(A)
    print(io, m, "×", n, " ", typeof(A))
end

Base.show(io::IO, ::MIME"text/plain", A::AbstractOperator) = show_view(io, A, LibReknit.rkn_operator_view)
