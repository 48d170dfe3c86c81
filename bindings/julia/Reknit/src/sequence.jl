# The order in which to solve a sequence.

"""
    sequence_order(P; start = nothing, context = nothing, options...) -> Vector{Int}

The order in which to solve systems so that neighbours in it are similar, and what a solver remembers of one serves
the next. It needs no solver and serves any. A column of the `Matrix{Float64}` `P` holds one system's parameters, all
on one scale: distances are Euclidean. A vector `P` stands for systems of one parameter each.

    for i in sequence_order(P; method = :chain)
        assemble!(K, b, P[:, i])
        ...
    end

`start` is the column to begin with. Options are keywords, such as `method = :grouped`, `two_opt = 5`, or
`features = :dct, nx = 64, ny = 64`; `Reknit.option_reference("sequence")` lists them. See
[`sequence_length`](@ref).
"""
function sequence_order(P::AbstractVecOrMat; start = nothing, context = nothing, options...)
    dim, count, ld, columns = systems(P)
    words = String["$key='$value'" for (key, value) in options]
    start === nothing || push!(words, "start=$(start - 1)")
    order = Vector{Int64}(undef, count)
    check(LibReknit.rkn_sequence_order(or_null(context), count, dim, columns, ld, join(words, ' '), order))
    return order .+ 1
end

"""
    sequence_length(P, order = nothing; context = nothing) -> Float64

The sum of the distances from each column of `P` to the next, as they stand or in an order. `P` is as in
[`sequence_order`](@ref).
"""
function sequence_length(P::AbstractVecOrMat, order::Union{Nothing,AbstractVector{<:Integer}} = nothing;
                         context = nothing)
    dim, count, ld, columns = systems(P)
    value = Ref(0.0)
    check(LibReknit.rkn_sequence_length(or_null(context), count, dim, columns, ld, from_zero(order, count), value))
    return value[]
end

from_zero(::Nothing, count) = C_NULL
function from_zero(order, count)
    length(order) == count || throw(DimensionMismatch("order has $(length(order)) elements, P has $count systems"))
    all(i -> 1 <= i <= count, order) || throw(ArgumentError("order has an element outside 1:$count"))
    return Vector{Int64}(order .- 1)
end

# (parameters a system, systems, leading dimension, what the library reads)
systems(P::AbstractVector) = (1, length(P), 1, contiguous(Float64, "P", P))
function systems(P::AbstractMatrix)
    columns = columns_in_place(Float64, "P", P)
    return (size(P)..., leading(columns), columns)
end
