# Entropic optimal transport: what it costs, and a solver with memory.

"""
    Geometry(C; copy = false, context = nothing)

What transport costs: `C[i, j]` from row `i` to column `j`, a `Matrix` of `Float64` or `Float32`, a view of one, or the
`transpose` of these. The library reads it where it lies; do not write into it while a geometry or a solver uses it. With
`copy = true` it takes a copy.

    Geometry(S::SparseMatrixCSC; context = nothing)

Only the stored entries of `S` are allowed, stored zeros too. Copied.

    Geometry(f, n, m; context = nothing)

n x m costs whose rows a function writes: `f(row, i)` fills the `Vector{Float64}` `row` with row `i`, each time it is needed.
`row` is valid during the call. `f` runs on the thread that called the library and its exceptions are thrown from that call.

Points and grids, which take no memory beyond the points: [`Reknit.points`](@ref), [`Reknit.grid`](@ref). Geometries know
`size`. One may be closed while a solver uses it.
"""
mutable struct Geometry <: Handle
    handle::Ptr{Cvoid}
    kept::Any                # what the library reads or calls

    Geometry(handle::Ptr{Cvoid}, kept = nothing) = finalizer(close, new(handle, kept))
end

destroy(::Geometry, pointer) = LibReknit.rkn_geometry_destroy(pointer)

function Base.size(G::Geometry)
    n, m = Ref{Int64}(0), Ref{Int64}(0)
    check(LibReknit.rkn_geometry_shape(G, n, m))
    return (Int(n[]), Int(m[]))
end

Base.size(G::Geometry, dim::Integer) = dim <= 2 ? size(G)[dim] : 1

Geometry(C::StridedMatrix; kw...) = cost_matrix(C, size(C)...; kw...)
Geometry(Ct::TransposeOf{StridedMatrix}; kw...) = cost_matrix(parent(Ct), size(Ct)...; row_major = true, kw...)

function cost_matrix(C::AbstractMatrix{T}, n, m; row_major = false, copy = false, context = nothing) where {T}
    columns = columns_in_place(T, "C", C)
    handle = create(LibReknit.rkn_geometry_create_matrix, or_null(context), tag(T), n, m, order(row_major), columns,
                    leading(columns), memory(copy))
    return Geometry(handle, copy ? nothing : columns)
end

# The library wants rows; those are the columns of the transpose.
Geometry(S::SparseMatrixCSC; kw...) = allowed(copy(transpose(S)); kw...)
Geometry(St::TransposeOf{SparseMatrixCSC}; kw...) = allowed(parent(St); kw...)

function allowed(St::SparseMatrixCSC{T,I}; context = nothing) where {T<:Real,I}
    m, n = size(St)
    handle = create(LibReknit.rkn_geometry_create_sparse, or_null(context), n, m, index_tag(I), 1, St.colptr, St.rowval,
                    convert(Vector{Float64}, St.nzval))
    return Geometry(handle)
end

function Geometry(f, n::Integer, m::Integer; context = nothing)
    callback = Callback(row_callback(f))
    handle = create(LibReknit.rkn_geometry_create_callback, or_null(context), n, m, cost_row_trampoline(), callback, C_NULL)
    return Geometry(handle, callback)
end

function row_callback(f)
    return function (i, m, row)
        f(unsafe_wrap(Array, row, m), Int(i) + 1)
        return Int32(0)
    end
end

"""
    Reknit.points(x, y; p = 2, q = 2, weights = nothing, periods = nothing, context = nothing) -> Geometry

The cost `sum(w .* abs.(x[:, i] - y[:, j]).^p)^(q/p)`: a column of the matrices `x` and `y` is a point; vectors are points on
a line. `p = q = 2` is the squared Euclidean distance, `p = 2, q = 1` the Euclidean, `p = q = 1` the taxicab. `weights` has a
positive number for each axis, `periods` the length of the box along each, 0 where it does not close. All copied.
"""
function points(x::AbstractVecOrMat, y::AbstractVecOrMat; p::Real = 2, q::Real = 2, weights = nothing, periods = nothing,
                context = nothing)
    d, n, ldx, xs = cloud("x", x)
    e, m, ldy, ys = cloud("y", y)
    e == d || throw(DimensionMismatch("y has $e coordinates a point, x has $d"))
    for (name, v) in (("weights", weights), ("periods", periods))
        v === nothing || length(v) == d || throw(DimensionMismatch("$name has $(length(v)) elements, x has $d coordinates a point"))
    end
    return Geometry(create(LibReknit.rkn_geometry_create_points, or_null(context), d, n, xs, ldx, m, ys, ldy, p, q,
                           doubles(weights), doubles(periods)))
end

# (coordinates a point, points, leading dimension, what the library reads)
cloud(name, x::AbstractVector) = (1, length(x), 1, contiguous(Float64, name, x))
function cloud(name, x::AbstractMatrix)
    columns = columns_in_place(Float64, name, x)
    return (size(x)..., leading(columns), columns)
end

"""
    Reknit.grid(cells...; h = ones, periodic = false, p = 2, context = nothing) -> Geometry

The cost `sum((h .* abs.(i - j)).^p)` between the cells `i` and `j` of a regular grid of one to three axes, for masses in
arrays of size `cells`. `h` has the lengths of a cell, `periodic` is `true` for each axis that closes; one value stands for all
axes.
"""
function grid(cells::Integer...; h = 1.0, periodic = false, p::Real = 2, context = nothing)
    d = length(cells)
    for (name, v) in (("h", h), ("periodic", periodic))
        length(v) in (1, d) || throw(DimensionMismatch("$name has $(length(v)) elements, the grid has $d axes"))
    end
    # The library's last axis runs fastest.
    axis(v, ::Type{T}) where {T} = T[length(v) == 1 ? first(v) : v[k] for k in d:-1:1]
    return Geometry(create(LibReknit.rkn_geometry_create_grid, or_null(context), d, axis(cells, Int64), axis(h, Float64),
                           axis(periodic, Int32), p))
end

Base.show(io::IO, G::Geometry) =
    isopen(G) ? print(io, join(size(G), "×"), " Geometry") : print(io, "Geometry (closed)")

"""
    Sinkhorn(method = :auto; context = nothing, monitor = nothing, options...)

A solver with memory of entropic optimal transport,

    minimize sum(C .* P) + epsilon * sum(P .* (log.(P) .- 1))   with sum(P, dims = 2) == a, sum(P, dims = 1)' == b

`method` is `:auto`, `:sinkhorn` or `:sns`; options are keywords, such as `epsilon = 1e-3`, `epsilon_relative = :max`,
`tolerance = 1e-9`. `Reknit.option_reference("sinkhorn")` lists them. `s[:epsilon] = 1e-4` sets an option later,
`s[:epsilon]` reads it, and `s[:dual]` reads a result of the last solve. [`set_monitor!`](@ref) watches it.

A solver starts from the potentials of its last solve; [`forget!`](@ref) throws them away.

    G = Reknit.grid(64, 64; h = 1 / 64)
    s = Sinkhorn(epsilon = 1e-3)
    for step in 1:nsteps
        stats = solve!(s, G, density(step), target)
        f, g = potentials(s)
    end
"""
mutable struct Sinkhorn <: Handle
    handle::Ptr{Cvoid}
    method::Symbol
    context::Union{Nothing,Context}
    monitor::Union{Nothing,Callback}
    geometry::Union{Nothing,Geometry}       # of the last plan, which reads it
    shape::Tuple{Int,Int}                   # of the last plan

    function Sinkhorn(method = :auto; context = nothing, monitor = nothing, options...)
        handle = create(LibReknit.rkn_sinkhorn_create, or_null(context), String(method))
        s = finalizer(close, new(handle, Symbol(method), context, nothing, nothing, (0, 0)))
        for (key, value) in options
            s[key] = value
        end
        monitor === nothing || set_monitor!(monitor, s)
        return s
    end
end

destroy(::Sinkhorn, pointer) = LibReknit.rkn_sinkhorn_destroy(pointer)

# ---- options and results

Base.setindex!(s::Sinkhorn, value::Integer, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_sinkhorn_set_int(s, String(key), value))

Base.setindex!(s::Sinkhorn, value::Real, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_sinkhorn_set_real(s, String(key), value))

Base.setindex!(s::Sinkhorn, value::Union{Symbol,AbstractString}, key::Union{Symbol,AbstractString}) =
    check(LibReknit.rkn_sinkhorn_set_string(s, String(key), String(value)))

# The kind of a key is known to the library alone: ask for each in turn.
function Base.getindex(s::Sinkhorn, key::Union{Symbol,AbstractString})
    whole = Ref{Int64}(0)
    status = LibReknit.rkn_sinkhorn_get_int(s, String(key), whole)
    status == ERR_KEY || return (check(status); whole[])
    real = Ref{Float64}(0)
    status = LibReknit.rkn_sinkhorn_get_real(s, String(key), real)
    status == ERR_KEY || return (check(status); real[])
    return text(LibReknit.rkn_sinkhorn_get_string, s, String(key))
end

"""
    set_options!(s, text)

Sets options of a transport solver from one string, such as `"epsilon=1e-3 epsilon_relative=max"`.
"""
set_options!(s::Sinkhorn, options::AbstractString) =
    (check(LibReknit.rkn_sinkhorn_set_options(s, String(options))); s)

"""
    set_monitor!(f, s::Sinkhorn)

`f(progress)` is called after each iteration and each Newton step; if it returns `true` the solve stops with status
`Reknit.STOP_MONITOR`. `progress.measure` is the L1 error of the columns, `progress.applies` the passes so far. `nothing`
removes it.
"""
set_monitor!(f, s::Sinkhorn) =
    register!(s, :monitor, LibReknit.rkn_sinkhorn_set_monitor, monitor_trampoline(), monitor_callback(f))

# ---- solving

"""
    TransportStats

What a transport solve reports: `status` (0, or a positive `Reknit.STOP_...` if it stopped short of its tolerance),
`iterations` (Sinkhorn's and Newton's), `newton_steps`, `passes` (visits of all entries of the plan), `cost` (`<C, P>`),
`primal` and `dual` (values of the regularised problem), `marginal_error` (L1 errors of both marginals over the mass, from the
whole plan), `epsilon_used`, `solve_seconds` and `reason`, a sentence. See [`converged`](@ref).
"""
struct TransportStats
    status::Int32
    iterations::Int
    newton_steps::Int
    passes::Float64
    cost::Float64
    primal::Float64
    dual::Float64
    marginal_error::Float64
    epsilon_used::Float64
    solve_seconds::Float64
    reason::String
end

TransportStats(status::Int32, s::Sinkhorn) = TransportStats(status, (s[key] for key in fieldnames(TransportStats)[2:end])...)

converged(stats::TransportStats) = stats.status == OK

"""
    solve!(s, G, a, b) -> TransportStats

Finds the plan between the masses `a` and `b`, arrays of `Float64`, not negative and of one sum, with an element for each row
and column of `G`; for a grid they may have its shape. [`potentials`](@ref), [`plan_apply`](@ref) and [`plan_sparse`](@ref)
tell of the plan.

A solve that stops short of its tolerance delivers its best potentials and returns, with a positive `status` (with
`Reknit.STOP_INFEASIBLE` there are none, and those of the solve before stay). One that fails throws a [`ReknitError`](@ref),
or what a Julia function threw that it called, as a `CapturedException`.
"""
solve!(s::Sinkhorn, G::Geometry, a::AbstractArray, b::AbstractArray) =
    solve_with(s, G, a, b) do as, bs
        LibReknit.rkn_sinkhorn_solve(s, G, as, bs)
    end

function solve_with(call, s::Sinkhorn, G::Geometry, a::AbstractArray, b::AbstractArray)
    n, m = size(G)
    length(a) == n || throw(DimensionMismatch("a has $(length(a)) elements, the cost has $n rows"))
    length(b) == m || throw(DimensionMismatch("b has $(length(b)) elements, the cost has $m columns"))
    as, bs = contiguous(Float64, "a", a), contiguous(Float64, "b", b)
    # The hooks of the context that the call starts with serve it to its end, even if a callback replaces them meanwhile.
    hooks = s.context === nothing ? nothing : (s.context.log, s.context.reduce)
    status = GC.@preserve hooks call(as, bs)
    if status >= 0 && status != STOP_INFEASIBLE
        s.geometry, s.shape = G, (n, m)
    end
    return TransportStats(check(status), s)
end

"""
    divergence!(s, G, Ga, Gb, a, b) -> (value, stats)
    divergence!(s, G, a, b)

Sinkhorn's divergence `OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2`, with the value `primal` as `OT`: zero for `a == b`, and free of
the bias of the blur in first order. `Ga` and `Gb` are the costs among the points of `a` and among those of `b`, `G` itself where
the points are the same. The plan between `a` and `b` is then that of the last solve, which `stats` tells of, with the
`passes` of all three problems. Self terms are remembered: a target that stays is solved once. `value` is `NaN` where a
solve stopped short.
"""
function divergence!(s::Sinkhorn, G::Geometry, Ga::Geometry, Gb::Geometry, a::AbstractArray, b::AbstractArray)
    value = Ref{Float64}(NaN)
    stats = solve_with(s, G, a, b) do as, bs
        LibReknit.rkn_sinkhorn_divergence(s, G, Ga, Gb, as, bs, value)
    end
    return value[], stats
end

divergence!(s::Sinkhorn, G::Geometry, a::AbstractArray, b::AbstractArray) = divergence!(s, G, G, G, a, b)

"""
    potentials(s) -> (f, g)

Those of the last solve: `P[i, j] == exp((f[i] + g[j] - C[i, j]) / epsilon)`. `-Inf` where a point has no mass.
"""
function potentials(s::Sinkhorn)
    f, g = zeros(s.shape[1]), zeros(s.shape[2])
    check(LibReknit.rkn_sinkhorn_potentials(s, f, g))
    return f, g
end

"""
    plan_apply!(y, s, x; transposed = false) -> y

`y = P * x`, or `P' * x`, with the plan of the last solve, which is not formed. Vectors, or matrices of several columns, of
`Float64`.
"""
function plan_apply!(y::AbstractVecOrMat, s::Sinkhorn, x::AbstractVecOrMat; transposed = false)
    ny, nx = transposed ? reverse(s.shape) : s.shape
    if s.geometry !== nothing
        size(x, 1) == nx || throw(DimensionMismatch("x has $(size(x, 1)) rows, must have $nx"))
        size(y, 1) == ny || throw(DimensionMismatch("y has $(size(y, 1)) rows, must have $ny"))
    end
    size(y, 2) == size(x, 2) || throw(DimensionMismatch("y has $(size(y, 2)) columns, x has $(size(x, 2))"))
    xs, ys = columns_in_place(Float64, "x", x), columns_in_place(Float64, "y", y)
    check_apart("y", ys, "x", xs)
    check(LibReknit.rkn_sinkhorn_plan_apply(s, transposed ? LibReknit.RKN_T : LibReknit.RKN_N, size(x, 2), xs, leading(xs), ys,
                                            leading(ys)))
    return y
end

"""
    plan_apply(s, x; transposed = false)

[`plan_apply!`](@ref) with a new result.
"""
function plan_apply(s::Sinkhorn, x::AbstractVecOrMat; transposed = false)
    rows = transposed ? s.shape[2] : s.shape[1]
    return plan_apply!(x isa AbstractVector ? zeros(rows) : zeros(rows, size(x, 2)), s, x; transposed = transposed)
end

"""
    plan_sparse(s, threshold) -> SparseMatrixCSC

The entries of the plan of the last solve above `threshold`.
"""
function plan_sparse(s::Sinkhorn, threshold::Real)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_sinkhorn_plan_sparse(s, threshold, C_NULL, C_NULL, C_NULL, 0, need))
    n, m = s.shape
    rowptr, colind, values = zeros(Int64, n + 1), Vector{Int64}(undef, need[]), Vector{Float64}(undef, need[])
    need[] > 0 &&
        check(LibReknit.rkn_sinkhorn_plan_sparse(s, threshold, rowptr, colind, values, length(values), need))
    # Rows by columns are the transpose.
    return copy(transpose(SparseMatrixCSC(m, n, rowptr .+ 1, colind .+ 1, values)))
end

"""
    plan_rows(s, rows) -> Matrix

The rows in the range `rows` of the plan of the last solve, such as `plan_rows(s, 3:5)`.
"""
function plan_rows(s::Sinkhorn, rows::AbstractUnitRange{<:Integer})
    m = s.shape[2]
    # The library writes rows, which are columns here.
    Pt = zeros(max(m, 1), length(rows))
    check(LibReknit.rkn_sinkhorn_plan_rows(s, isempty(rows) ? 0 : first(rows) - 1, length(rows), Pt, max(m, 1)))
    return copy(transpose(Pt))
end

"""
    bracket(s) -> (lower, upper)

Bounds of the exact cost of transport, without the blur, from the plan of the last solve. They close as `epsilon` falls; the
option `target_gap` closes them as far as asked.
"""
function bracket(s::Sinkhorn)
    lower, upper = Ref{Float64}(0), Ref{Float64}(0)
    check(LibReknit.rkn_sinkhorn_bracket(s, lower, upper))
    return lower[], upper[]
end

"""
    round_plan(s) -> (x, y, u, v)

The plan of the last solve rounded to its marginals, `x .* P .* y' .+ u .* v'`: no entry is negative, and it costs the upper bound of
[`bracket`](@ref).
"""
function round_plan(s::Sinkhorn)
    (n, m) = s.shape
    x, y, u, v = zeros(n), zeros(m), zeros(n), zeros(m)
    check(LibReknit.rkn_sinkhorn_round(s, x, y, u, v))
    return x, y, u, v
end

"""
    Reknit.save(s::Sinkhorn) -> Vector{UInt8}

What was learned, as bytes that are the same on every machine. See [`load!`](@ref).
"""
function save(s::Sinkhorn)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_sinkhorn_save(s, C_NULL, 0, need))
    bytes = Vector{UInt8}(undef, need[])
    check(LibReknit.rkn_sinkhorn_save(s, bytes, length(bytes), need))
    return bytes
end

"""
    load!(s::Sinkhorn, bytes)

Puts a solver into the state that `Reknit.save` saved: its next solve goes on bit for bit, with the options of `s`. There is no
plan before it.
"""
function load!(s::Sinkhorn, bytes::Vector{UInt8})
    check(LibReknit.rkn_sinkhorn_load(s, bytes, length(bytes)))
    s.geometry = nothing
    return s
end

function forget!(s::Sinkhorn)
    check(LibReknit.rkn_sinkhorn_forget(s))
    s.geometry = nothing
    return s
end

# ---- display

Base.show(io::IO, s::Sinkhorn) = print(io, "Sinkhorn(:", s.method, ")", isopen(s) ? "" : " (closed)")

function Base.show(io::IO, stats::TransportStats)
    print(io, converged(stats) ? "converged" : "stopped short (" * status_name(stats.status) * ")", " after ", stats.iterations,
          " iterations and ", round(stats.passes; digits = 1), " passes, cost ", stats.cost, ", marginal error ",
          stats.marginal_error)
end
