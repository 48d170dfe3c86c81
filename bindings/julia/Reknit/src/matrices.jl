# Operators over arrays. The library checks what the arrays hold; their lengths, which it cannot see, are checked here.

index_tag(::Type{Int32}) = LibReknit.RKN_I32
index_tag(::Type{Int64}) = LibReknit.RKN_I64
index_tag(I::Type) = throw(ArgumentError("indices of type $I; they may be Int32 or Int64"))

memory(copy::Bool) = copy ? LibReknit.RKN_COPY : LibReknit.RKN_BORROW

# `major` pointers, the last of which says how many indices and how many numbers must be there.
function check_lengths(pointers, indices, values, major, base, per_index = 1)
    major >= 0 || throw(ArgumentError("a size is negative"))
    length(pointers) == major + 1 ||
        throw(DimensionMismatch("$(length(pointers)) pointers for $major rows or columns, must be $(major + 1)"))
    entries = pointers[end] - base
    length(indices) >= entries ||
        throw(DimensionMismatch("$(length(indices)) indices, the pointers speak of $entries"))
    length(values) >= entries * per_index ||
        throw(DimensionMismatch("$(length(values)) values, the pointers speak of $(entries * per_index)"))
    return max(0, entries * per_index)
end

# What the four compressed formats share: `constructor` is one of rkn_operator_create_csr, _csc, _bsr, _csr_symmetric,
# `shape` its arguments before the index type.
function compressed(constructor, shape, pointers::AbstractVector{I}, indices::AbstractVector{I},
                    values::AbstractVector{T}, nvalues; base, copy, context, refresh = nothing) where {I,T}
    arrays = (contiguous(I, "pointers", pointers), contiguous(I, "indices", indices), contiguous(T, "values", values))
    handle = create(constructor, or_null(context), tag(T), shape..., index_tag(I), base, arrays..., memory(copy))
    return Operator{T}(handle; lent = copy ? () : arrays, kept = (context,), nvalues = nvalues, refresh = refresh)
end

"""
    Reknit.csr(m, n, rowptr, colind, values; base = 1, copy = false, context = nothing)

An m x n operator over compressed sparse rows: the entries of row `i` have the columns `colind[k]` and the numbers
`values[k]` for `k` in `rowptr[i]:rowptr[i+1]-1`. `base` is what the arrays count from, 1 or 0.
"""
function csr(m, n, rowptr, colind, values; base = 1, copy = false, context = nothing)
    nvalues = check_lengths(rowptr, colind, values, m, base)
    return compressed(LibReknit.rkn_operator_create_csr, (m, n), rowptr, colind, values, nvalues;
                      base = base, copy = copy, context = context)
end

"""
    Reknit.csc(m, n, colptr, rowind, values; base = 1, copy = false, context = nothing)

The same by columns; `Operator(::SparseMatrixCSC)` is this one.
"""
function csc(m, n, colptr, rowind, values; base = 1, copy = false, context = nothing)
    nvalues = check_lengths(colptr, rowind, values, n, base)
    return compressed(LibReknit.rkn_operator_create_csc, (m, n), colptr, rowind, values, nvalues;
                      base = base, copy = copy, context = context)
end

"""
    Reknit.bsr(mb, nb, block, rowptr, colind, values; row_major = false, base = 1, copy = false, context = nothing)

An operator of mb x nb blocks of size block x block, rows of blocks compressed as in [`Reknit.csr`](@ref). `values`
holds the blocks one after the other, each by columns, or by rows with `row_major = true`.
"""
function bsr(mb, nb, block, rowptr, colind, values; row_major = false, base = 1, copy = false, context = nothing)
    nvalues = check_lengths(rowptr, colind, values, mb, base, block^2)
    return compressed(LibReknit.rkn_operator_create_bsr, (mb, nb, block, order(row_major)), rowptr, colind, values,
                      nvalues; base = base, copy = copy, context = context)
end

"""
    Reknit.csr_symmetric(n, triangle, rowptr, colind, values;
                         hermitian = false, base = 1, copy = false, context = nothing)

A symmetric n x n operator, or a Hermitian one, of which compressed rows hold one triangle with its diagonal;
`triangle` is `:lower` or `:upper`.
"""
function csr_symmetric(n, triangle, rowptr, colind, values;
                       hermitian = false, base = 1, copy = false, context = nothing, refresh = nothing)
    triangle in (:lower, :upper) || throw(ArgumentError("triangle is :$triangle; it may be :lower or :upper"))
    nvalues = check_lengths(rowptr, colind, values, n, base)
    side = triangle === :lower ? LibReknit.RKN_LOWER : LibReknit.RKN_UPPER
    return compressed(LibReknit.rkn_operator_create_csr_symmetric, (n, side, hermitian), rowptr, colind, values,
                      nvalues; base = base, copy = copy, context = context, refresh = refresh)
end

"""
    Reknit.coo(m, n, rowind, colind, values; base = 1, context = nothing)

An m x n operator of triplets, as `sparse(rowind, colind, values, m, n)` has it: duplicates are summed, in the order
given. The arrays are copied into compressed rows; [`set_values!`](@ref) takes the numbers of these, columns
ascending.
"""
function coo(m, n, rowind::AbstractVector{I}, colind::AbstractVector{I}, values::AbstractVector{T};
             base = 1, context = nothing) where {I,T}
    length(rowind) == length(colind) == length(values) || throw(DimensionMismatch(
        "$(length(rowind)) row indices, $(length(colind)) column indices and $(length(values)) values"))
    arrays = (contiguous(I, "rowind", rowind), contiguous(I, "colind", colind), contiguous(T, "values", values))
    handle = create(LibReknit.rkn_operator_create_coo, or_null(context), tag(T), m, n, index_tag(I), base,
                    length(values), arrays...)
    return assembled(T, handle, context)
end

"""
    Reknit.matrix_market(T, path; context = nothing)

An operator read from a Matrix Market file, with elements of type `T`; kept as that of [`Reknit.coo`](@ref).
"""
function matrix_market(::Type{T}, path::AbstractString; context = nothing) where {T}
    handle = create(LibReknit.rkn_operator_create_matrix_market, or_null(context), tag(T), String(path))
    return assembled(T, handle, context)
end

# The library's own compressed rows, of which it alone knows how many entries they have.
function assembled(::Type{T}, handle, context) where {T}
    A = Operator{T}(handle; kept = (context,))
    A.nvalues = A[:entries]
    return A
end

# A copy is taken of the matrix without the gaps that a view has between its columns: set_values! then takes a Matrix.
function dense(D::AbstractMatrix{T}, m, n; row_major = false, copy = false, context = nothing) where {T}
    columns = columns_in_place(T, "the matrix", copy && !(D isa DenseArray) ? Matrix(D) : D)
    handle = create(LibReknit.rkn_operator_create_dense, or_null(context), tag(T), m, n, order(row_major), columns,
                    leading(columns), memory(copy))
    return Operator{T}(handle; lent = copy ? () : (columns,), kept = (context,), nvalues = length(columns))
end

order(row_major::Bool) = row_major ? LibReknit.RKN_ROW_MAJOR : LibReknit.RKN_COLUMN_MAJOR

# ---- Julia's own matrices; what is a transpose in one layout is the matrix itself in the other

Operator(K::SparseMatrixCSC; kw...) = csc(size(K)..., K.colptr, K.rowval, K.nzval; kw...)

const TransposeOf{M} = Union{Transpose{T,<:M} where {T},Adjoint{T,<:M} where {T<:Real}}

function Operator(Kt::TransposeOf{SparseMatrixCSC}; kw...)
    K = parent(Kt)
    return csr(size(Kt)..., K.colptr, K.rowval, K.nzval; kw...)
end

Operator(D::StridedMatrix; kw...) = dense(D, size(D)...; kw...)
Operator(Dt::TransposeOf{StridedMatrix}; kw...) = dense(parent(Dt), size(Dt)...; row_major = true, kw...)

# A conjugate has no layout, so this one is a composition; its numbers are those of the part.
function Operator(Kh::Adjoint{<:Complex,<:Union{SparseMatrixCSC,StridedMatrix}}; context = nothing, kw...)
    part = Operator(parent(Kh); context = context, kw...)
    return composite(eltype(Kh), (part,), context, LibReknit.rkn_operator_create_adjoint, LibReknit.RKN_H, part;
                     refresh = () -> changed!(part))
end

function Operator(D::Diagonal{T}; copy = false, context = nothing) where {T}
    values = contiguous(T, "the diagonal", D.diag)
    handle = create(LibReknit.rkn_operator_create_diagonal, or_null(context), tag(T), length(values), values,
                    memory(copy))
    return Operator{T}(handle; lent = copy ? () : (values,), kept = (context,), nvalues = length(values))
end

function Operator(J::UniformScaling{T}, n::Integer; context = nothing) where {T}
    handle = create(LibReknit.rkn_operator_create_identity, or_null(context), tag(T), n)
    identity = Operator{T}(handle; kept = (context,))
    return isone(J.λ) ? identity : J.λ * identity
end

# The upper triangle by columns is the lower one by rows, of the transpose. A symmetric matrix is its own transpose; a
# complex Hermitian one is the conjugate of its transpose, and a conjugate must be written down.
function Operator(S::Union{Symmetric{T,<:SparseMatrixCSC},Hermitian{T,<:SparseMatrixCSC}}; kw...) where {T}
    K = parent(S)
    hermitian = S isa Hermitian
    side = S.uplo == 'U' ? :lower : :upper
    if holds_one_triangle(K, S.uplo) && !(hermitian && T <: Complex)
        return csr_symmetric(size(K, 1), side, K.colptr, K.rowval, K.nzval; hermitian = hermitian, kw...)
    end
    own = S.uplo == 'U' ? triu(K) : tril(K)
    fill_triangle!(own, S)
    return csr_symmetric(size(K, 1), side, own.colptr, own.rowval, own.nzval;
                         hermitian = hermitian, refresh = () -> fill_triangle!(own, S), kw...)
end

in_triangle(uplo, i, j) = uplo == 'U' ? i <= j : i >= j

holds_one_triangle(K, uplo) =
    all(in_triangle(uplo, rowvals(K)[k], j) for j in 1:size(K, 2) for k in nzrange(K, j))

function fill_triangle!(own, S)
    K, conjugate = parent(S), S isa Hermitian
    next = 0
    for j in 1:size(K, 2), k in nzrange(K, j)
        i, value = rowvals(K)[k], nonzeros(K)[k]
        in_triangle(S.uplo, i, j) || continue
        nonzeros(own)[next += 1] = !conjugate ? value : i == j ? real(value) : conj(value)
    end
    return own
end
