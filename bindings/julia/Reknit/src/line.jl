# Exact optimal transport in one dimension.

"""
    wasserstein_line(x, y; p = 2, a = nothing, b = nothing) -> Float64

The exact cost of transport between the points `x` and `y` on a line, vectors of `Float64` in any order: the least
`sum(P[i, j] * abs(x[i] - y[j])^p)`, `p >= 1`. The root is not taken. `a` and `b` are their masses, not negative and of one sum;
`nothing` stands for equal ones.

[`wasserstein_line_plan`](@ref) has the plan, [`wasserstein_line_gradient`](@ref) the derivatives.
"""
function wasserstein_line(x::AbstractVector, y::AbstractVector; p::Real = 2, a = nothing, b = nothing)
    cost = Ref(0.0)
    check(LibReknit.rkn_wasserstein_line(line_sides(x, y, a, b)..., p, cost))
    return cost[]
end

"""
    wasserstein_line_plan(x, y; a = nothing, b = nothing) -> SparseMatrixCSC

The plan of [`wasserstein_line`](@ref), the same for all `p`: `P[i, j]` goes from `x[i]` to `y[j]`. It has at most
`length(x) + length(y) - 1` entries.
"""
wasserstein_line_plan(x::AbstractVector, y::AbstractVector; a = nothing, b = nothing) =
    line_plan(x, y) do room...
        LibReknit.rkn_wasserstein_line_plan(line_sides(x, y, a, b)..., room...)
    end

"""
    wasserstein_line_gradient(x, y; p = 2, a = nothing, b = nothing) -> (cost, x, y, f, g)

The cost of [`wasserstein_line`](@ref) and its derivatives, by name: `x` and `y` with respect to the points, those of the cost of
the plan; `f` and `g` with respect to the masses, potentials with `f[i] + g[j] <= abs(x[i] - y[j])^p`, equal where the plan has
mass.
"""
wasserstein_line_gradient(x::AbstractVector, y::AbstractVector; p::Real = 2, a = nothing, b = nothing) =
    line_gradient(x, y) do room...
        LibReknit.rkn_wasserstein_line_gradient(line_sides(x, y, a, b)..., p, room...)
    end

"""
    wasserstein_circle(period, x, y; p = 2, a = nothing, b = nothing) -> Float64

As [`wasserstein_line`](@ref) on a circle of length `period`, where the shorter way round counts. Places may be given in any
turn.
"""
function wasserstein_circle(period::Real, x::AbstractVector, y::AbstractVector; p::Real = 2, a = nothing, b = nothing)
    cost = Ref(0.0)
    check(LibReknit.rkn_wasserstein_circle(period, line_sides(x, y, a, b)..., p, cost))
    return cost[]
end

"""
    wasserstein_circle_plan(period, x, y; p = 2, a = nothing, b = nothing) -> SparseMatrixCSC

The plan of [`wasserstein_circle`](@ref), which depends on `p`; otherwise as [`wasserstein_line_plan`](@ref).
"""
wasserstein_circle_plan(period::Real, x::AbstractVector, y::AbstractVector; p::Real = 2, a = nothing, b = nothing) =
    line_plan(x, y) do room...
        LibReknit.rkn_wasserstein_circle_plan(period, line_sides(x, y, a, b)..., p, room...)
    end

"""
    wasserstein_circle_gradient(period, x, y; p = 2, a = nothing, b = nothing) -> (cost, x, y, f, g)

The cost of [`wasserstein_circle`](@ref) and its derivatives, as [`wasserstein_line_gradient`](@ref) has them.
"""
wasserstein_circle_gradient(period::Real, x::AbstractVector, y::AbstractVector; p::Real = 2, a = nothing, b = nothing) =
    line_gradient(x, y) do room...
        LibReknit.rkn_wasserstein_circle_gradient(period, line_sides(x, y, a, b)..., p, room...)
    end

"""
    wasserstein_sliced(x, y; projections, p = 2, seed = 0, a = nothing, b = nothing, context = nothing) -> Float64

The mean over `projections` random directions of the cost on a line of the projections of `x` and `y`, matrices of `Float64` with
a column for each point. The same `seed` gives the same directions, whatever the threads of `context`.
"""
function wasserstein_sliced(x::AbstractMatrix, y::AbstractMatrix; projections::Integer, p::Real = 2, seed::Integer = 0, a = nothing,
                            b = nothing, context = nothing)
    cost = Ref(0.0)
    check(LibReknit.rkn_wasserstein_sliced(or_null(context), two_clouds(x, y, a, b)..., p, projections, seed, cost, C_NULL, 0))
    return cost[]
end

"""
    wasserstein_sliced_gradient(x, y; projections, p = 2, seed = 0, a = nothing, b = nothing, context = nothing) -> (cost, x)

The cost of [`wasserstein_sliced`](@ref) and its derivative with respect to `x`, by name.
"""
function wasserstein_sliced_gradient(x::AbstractMatrix, y::AbstractMatrix; projections::Integer, p::Real = 2, seed::Integer = 0,
                                     a = nothing, b = nothing, context = nothing)
    cost, gradient = Ref(0.0), zeros(size(x))
    check(LibReknit.rkn_wasserstein_sliced(or_null(context), two_clouds(x, y, a, b)..., p, projections, seed, cost, gradient,
                                           leading(gradient)))
    return (cost = cost[], x = gradient)
end

# (n, x, a, m, y, b) as the library reads them
line_sides(x, y, a, b) = (length(x), contiguous(Float64, "x", x), line_masses("a", a, length(x)),
                          length(y), contiguous(Float64, "y", y), line_masses("b", b, length(y)))

function two_clouds(x, y, a, b)
    d, n, ldx, xs = cloud("x", x)
    e, m, ldy, ys = cloud("y", y)
    e == d || throw(DimensionMismatch("y has $e coordinates a point, x has $d"))
    return (d, n, xs, ldx, line_masses("a", a, n), m, ys, ldy, line_masses("b", b, m))
end

line_masses(name, ::Nothing, count) = C_NULL
function line_masses(name, v, count)
    length(v) == count || throw(DimensionMismatch("$name has $(length(v)) elements, there are $count points"))
    return contiguous(Float64, name, v)
end

function line_plan(call, x, y)
    most, need = length(x) + length(y), Ref{Int64}(0)
    rows, columns, moved = zeros(Int64, most), zeros(Int64, most), zeros(most)
    check(call(rows, columns, moved, most, need))
    entries = 1:need[]
    return sparse(rows[entries] .+ 1, columns[entries] .+ 1, moved[entries], length(x), length(y))
end

function line_gradient(call, x, y)
    cost, gx, gy, f, g = Ref(0.0), zeros(length(x)), zeros(length(y)), zeros(length(x)), zeros(length(y))
    check(call(cost, gx, gy, f, g))
    return (cost = cost[], x = gx, y = gy, f = f, g = g)
end
