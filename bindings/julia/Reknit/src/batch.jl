# Barycentres, and several transport problems at once.

# Runs a solve; the hooks of the context that it starts with serve it to its end, even if a callback replaces them meanwhile.
function hooked(f, s::Sinkhorn)
    hooks = s.context === nothing ? nothing : (s.context.log, s.context.reduce)
    return GC.@preserve hooks f()
end

function weights_for(weights, k)
    weights === nothing || length(weights) == k ||
        throw(DimensionMismatch("weights has $(length(weights)) elements, there are $k inputs"))
    return doubles(weights)
end

"""
    barycenter(s, G, B; weights = nothing) -> (p, stats)

The masses `p` on the rows of `G` between those in the columns of `B`, by `weights` (`nothing`: equal ones). `s[:barycenter]` is
`"entropic"`, or `"debiased"`, which takes the blur out where the cost is symmetric. A solver starts where its last
barycentre of these sizes ended. `stats` are [`TransportStats`](@ref) without a `cost`; the plan of the last [`solve!`](@ref)
stays. `p` is empty if `stats.status` is `Reknit.STOP_INFEASIBLE`.
"""
function barycenter(s::Sinkhorn, G::Geometry, B::AbstractVecOrMat; weights = nothing)
    n, m = size(G)
    size(B, 1) == m || throw(DimensionMismatch("B has $(size(B, 1)) rows, the cost has $m columns"))
    columns, p, k = columns_in_place(Float64, "B", B), zeros(n), size(B, 2)
    w = weights_for(weights, k)
    status = hooked(() -> LibReknit.rkn_sinkhorn_barycenter(s, G, k, columns, leading(columns), w, p), s)
    return (check(status) == STOP_INFEASIBLE ? empty!(p) : p), TransportStats(status, s)
end

"""
    barycenter!(X, s, clouds; a = nothing, b = nothing, weights = nothing) -> TransportStats

Moves the points in the columns of `X`, of masses `a`, to between `clouds`, a vector of matrices with a point in each column.
`b` has a vector of masses for each cloud. Masses and `weights` are equal ones if `nothing`. The cost is the squared distance.
"""
function barycenter!(X::AbstractMatrix, s::Sinkhorn, clouds::AbstractVector; a = nothing, b = nothing, weights = nothing)
    d, n = size(X)
    for (l, Y) in enumerate(clouds)
        size(Y, 1) == d || throw(DimensionMismatch("cloud $l has $(size(Y, 1)) coordinates a point, X has $d"))
    end
    a === nothing || length(a) == n || throw(DimensionMismatch("a has $(length(a)) elements, X has $n points"))
    b === nothing || map(length, b) == map(Y -> size(Y, 2), clouds) ||
        throw(DimensionMismatch("b must have a mass for each point of each cloud"))
    columns, ptr = columns_in_place(Float64, "X", X), cumsum([0; map(Y -> size(Y, 2), clouds)])
    Y, masses = convert(Matrix{Float64}, reduce(hcat, clouds; init = zeros(d, 0))), doubles(b === nothing ? nothing : reduce(vcat, b))
    w, as = weights_for(weights, length(clouds)), doubles(a)
    status = hooked(s) do
        LibReknit.rkn_sinkhorn_barycenter_points(s, d, n, columns, leading(columns), as, length(clouds), ptr, Y, d, masses, w)
    end
    return TransportStats(check(status), s)
end

"""
    TransportBatch

What comes of several problems: `statuses` (0, positive if a problem stopped short of its tolerance, negative if it failed),
`costs` (`<C, P>`, `NaN` where there is no plan), `f` and `g` (vectors of potentials, empty where there is no plan), and `message`,
a sentence about the first that did not converge. See [`converged`](@ref).
"""
struct TransportBatch
    statuses::Vector{Int32}
    costs::Vector{Float64}
    f::Vector{Vector{Float64}}
    g::Vector{Vector{Float64}}
    message::String
end

converged(batch::TransportBatch) = all(==(OK), batch.statuses)

# A problem that fails has its status in the result; what fails as a whole, before any problem has one, is thrown, and so is what
# a Julia function threw.
function several(call, s::Sinkhorn, f, g)
    k = length(f)
    statuses, costs = fill(typemax(Int32), k), fill(NaN, k)
    status = hooked(() -> call(costs, statuses), s)
    (k == 0 || statuses[1] == typemax(Int32) || status == ERR_CALLBACK) && check(status)
    message = status == OK ? "" : unsafe_string(LibReknit.rkn_last_error())
    for l in 1:k
        (statuses[l] < 0 || statuses[l] == STOP_INFEASIBLE) && (empty!(f[l]); empty!(g[l]))
    end
    return TransportBatch(statuses, costs, f, g, message)
end

"""
    solve_batch(s, G, A, B) -> TransportBatch

The plans of pairs of masses, the columns of `A` and of `B`, at one cost: what [`solve!`](@ref) gives, pairs over the threads of
the context. A pair that fails does not lose the others. The plan of the last `solve!` stays.
"""
function solve_batch(s::Sinkhorn, G::Geometry, A::AbstractVecOrMat, B::AbstractVecOrMat)
    (n, m), k = size(G), size(A, 2)
    size(A, 1) == n || throw(DimensionMismatch("A has $(size(A, 1)) rows, the cost has $n"))
    size(B, 1) == m || throw(DimensionMismatch("B has $(size(B, 1)) rows, the cost has $m columns"))
    size(B, 2) == k || throw(DimensionMismatch("B has $(size(B, 2)) columns, A has $k"))
    from, to = columns_in_place(Float64, "A", A), columns_in_place(Float64, "B", B)
    f, g = zeros(n, k), zeros(m, k)
    batch = several(s, [Float64[] for _ in 1:k], [Float64[] for _ in 1:k]) do costs, statuses
        LibReknit.rkn_sinkhorn_solve_batch(s, G, k, from, leading(from), to, leading(to), f, n, g, m, costs, statuses)
    end
    for l in 1:k
        isnan(batch.costs[l]) || (append!(batch.f[l], view(f, :, l)); append!(batch.g[l], view(g, :, l)))
    end
    return batch
end

"""
    solve_many(s, problems) -> TransportBatch

The plans of `problems`, a vector of tuples `(G, a, b)`: many small ones at once, over the threads of the context. Otherwise as
[`solve_batch`](@ref).
"""
function solve_many(s::Sinkhorn, problems::AbstractVector)
    geometries = [G for (G, a, b) in problems]
    for (l, (G, a, b)) in enumerate(problems)
        (length(a), length(b)) == size(G) ||
            throw(DimensionMismatch("problem $l has $(length(a)) and $(length(b)) masses, its cost is $(join(size(G), "×"))"))
    end
    a, b = [contiguous(Float64, "a", a) for (G, a, b) in problems], [contiguous(Float64, "b", b) for (G, a, b) in problems]
    f, g = [zeros(size(G, 1)) for G in geometries], [zeros(size(G, 2)) for G in geometries]
    return several(s, f, g) do costs, statuses
        GC.@preserve geometries a b f g begin
            handles = Ptr{Cvoid}[Base.unsafe_convert(Ptr{Cvoid}, G) for G in geometries]
            LibReknit.rkn_sinkhorn_solve_many(s, length(f), handles, map(pointer, a), map(pointer, b), map(pointer, f), map(pointer, g),
                                              costs, statuses)
        end
    end
end
