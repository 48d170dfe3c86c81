# Derivatives of the last solution of a transport solver.

"""
    gradient_points(s, d) -> (x, y)

Derivatives of the value of the last solve (`s[:dual]`) with respect to the points of a [`Reknit.points`](@ref) geometry, matrices
with a column for each point of `d` coordinates. With respect to the cost the value has the derivative `P`, with respect to the
masses `f` and `g` of [`potentials`](@ref), up to a constant that moves from one to the other.
"""
function gradient_points(s::Sinkhorn, d::Integer)
    x, y = point_gradients(s, d)
    check(LibReknit.rkn_sinkhorn_gradient_points(s, x, d, y, d))
    return (x = x, y = y)
end

function point_gradients(s::Sinkhorn, d::Integer)
    d >= 0 || throw(ArgumentError("d is $d, must not be negative"))
    n, m = s.shape
    return zeros(d, n), zeros(d, m)
end

"""
    vjp_potentials(s, wf, wg; cost = false, points = 0) -> (status, a, b, cost, x, y)

Derivatives of a function of the potentials `f` and `g` of the last solve, from its derivatives `wf` and `wg` with respect to them. A
constant may move between `f` and `g`, so `sum(wf) == sum(wg)`, but for rounding.

`a` and `b` are with respect to the masses, along changes that keep `sum(a) == sum(b)`, chosen such that `dot(a, da) ==
dot(b, db)`; at points without mass they are those of a first grain of mass. With `cost = true` there is a matrix `cost` with respect
to `C`, with `points = d` there are matrices `x` and `y` with respect to points of `d` coordinates; else these are `nothing`. `status`
is 0, or `Reknit.STOP_STAGNATION` where the plan nearly falls apart into blocks.

The system behind it is solved to `s[:derivative_tolerance]`; what it teaches makes further calls cheaper, until the next solve.
"""
function vjp_potentials(s::Sinkhorn, wf::AbstractArray, wg::AbstractArray; kw...)
    n, m = s.shape
    if s.geometry !== nothing
        length(wf) == n || throw(DimensionMismatch("wf has $(length(wf)) elements, the plan has $n rows"))
        length(wg) == m || throw(DimensionMismatch("wg has $(length(wg)) elements, the plan has $m columns"))
    end
    fs, gs = contiguous(Float64, "wf", wf), contiguous(Float64, "wg", wg)
    return gradients(s; kw...) do da, db, dC, dx, dy, d
        LibReknit.rkn_sinkhorn_vjp_potentials(s, fs, gs, da, db, order(false), dC, max(1, n), dx, d, dy, d)
    end
end

"""
    vjp_plan(s, W; cost = false, points = 0) -> (status, a, b, cost, x, y)

Derivatives of a function of the plan `P` of the last solve, from its derivatives `W` with respect to the entries of `P`; otherwise as
[`vjp_potentials`](@ref).
"""
function vjp_plan(s::Sinkhorn, W::AbstractMatrix; kw...)
    n = s.shape[1]
    s.geometry === nothing || size(W) == s.shape || throw(DimensionMismatch("W is $(size(W)), the plan is $(s.shape)"))
    ws = columns_in_place(Float64, "W", W)
    return gradients(s; kw...) do da, db, dC, dx, dy, d
        LibReknit.rkn_sinkhorn_vjp_plan(s, order(false), ws, leading(ws), da, db, dC, max(1, n), dx, d, dy, d)
    end
end

function gradients(call, s::Sinkhorn; cost = false, points = 0)
    n, m = s.shape
    da, db = zeros(n), zeros(m)
    dC = cost ? zeros(n, m) : nothing
    dx, dy = points == 0 ? (nothing, nothing) : point_gradients(s, points)
    some(array) = array === nothing ? C_NULL : array
    status = check(call(da, db, some(dC), some(dx), some(dy), points))
    return (status = status, a = da, b = db, cost = dC, x = dx, y = dy)
end
