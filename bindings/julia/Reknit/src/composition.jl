# Sums, products and blocks of operators. They read the arrays of their parts, and follow when a part changes.

function composite(::Type{T}, parts, context, constructor, args...; refresh = nothing) where {T}
    handle = create(constructor, or_null(context), args...)
    return Operator{T}(handle; kept = (parts..., context), refresh = refresh)
end

compose(constructor, A::AbstractOperator{T}, args...; parts = (A,)) where {T} =
    composite(T, parts, nothing, constructor, args...)

scalar(A::AbstractOperator{T}, α) where {T} = Ref{T}(α)

linear_combination(α, A, β, B) = compose(LibReknit.rkn_operator_create_sum, A, scalar(A, α), A, scalar(A, β), B;
                                         parts = (A, B))

Base.:+(A::AbstractOperator, B::AbstractOperator) = linear_combination(1, A, 1, B)
Base.:-(A::AbstractOperator, B::AbstractOperator) = linear_combination(1, A, -1, B)
Base.:*(A::AbstractOperator, B::AbstractOperator) =
    compose(LibReknit.rkn_operator_create_product, A, A, B; parts = (A, B))

Base.:*(α::Number, A::AbstractOperator) = compose(LibReknit.rkn_operator_create_scaled, A, scalar(A, α), A)
Base.:*(A::AbstractOperator, α::Number) = α * A
Base.:-(A::AbstractOperator) = -1 * A

Base.:+(A::AbstractOperator, J::UniformScaling) = compose(LibReknit.rkn_operator_create_shifted, A, A, scalar(A, J.λ))
Base.:-(A::AbstractOperator, J::UniformScaling) = A + -J
Base.:+(J::UniformScaling, A::AbstractOperator) = A + J
Base.:-(J::UniformScaling, A::AbstractOperator) = -A + J

Base.transpose(A::AbstractOperator) = compose(LibReknit.rkn_operator_create_adjoint, A, LibReknit.RKN_T, A)
Base.adjoint(A::AbstractOperator) = compose(LibReknit.rkn_operator_create_adjoint, A, LibReknit.RKN_H, A)

"""
    block(parts; context = nothing)

An operator of operators: `parts` is a matrix of them, in which `nothing` is a block of zeros, as in
`block([A B; C nothing])`.
"""
function block(parts::AbstractMatrix; context = nothing)
    operators = [part for part in parts if part !== nothing]
    isempty(operators) && throw(ArgumentError("all blocks are nothing: at least one must be an operator"))
    all(part -> part isa AbstractOperator, operators) ||
        throw(ArgumentError("a block is neither an operator nor nothing"))
    # The library takes the blocks row by row.
    handles = Ptr{Cvoid}[part === nothing ? C_NULL : Base.unsafe_convert(Ptr{Cvoid}, part) for part in permutedims(parts)]
    GC.@preserve operators begin
        return composite(eltype(first(operators)), operators, context, LibReknit.rkn_operator_create_block,
                         size(parts, 1), size(parts, 2), handles)
    end
end
