# Doubly stochastic membership and coding rates.

"""
    ds_project(K, eta; tolerance = 1e-9, start = nothing, context = nothing) -> (status, G, u, v)

The doubly stochastic matrix `G` that maximises `sum(K .* G) - eta * sum(G .* log.(G))`. It is `exp.((u .+ v' .+ K) ./ eta)`, and
symmetric bit for bit where `K` is. `tolerance` is for the L1 errors of rows and columns together, over the order of `K`. `start` is the
`(u, v)` of a similar `K`.
"""
function ds_project(K::AbstractMatrix, eta::Real; tolerance::Real = 1e-9, start = nothing, context = nothing)
    n = square("K", K)
    ks = columns_in_place(Float64, "K", K)
    G, u, v = zeros(n, n), zeros(n), zeros(n)
    if start !== nothing
        all(p -> length(p) == n, start) || throw(DimensionMismatch("start has not twice $n elements"))
        u .= start[1]
        v .= start[2]
    end
    # By columns it is the transposed problem, in which u and v change places.
    status = check(LibReknit.rkn_ds_project(or_null(context), n, ks, leading(ks), eta, tolerance, G, max(1, n), v, u,
                                            start === nothing ? 0 : 1))
    return (status = status, G = G, u = u, v = v)
end

"""
    ds_project_vjp(G, W, eta; context = nothing) -> (status, K)

The derivative with respect to `K` of a function of `G`, that of [`ds_project`](@ref)`(K, eta)`, from its derivatives `W` with respect
to the entries of `G`. No iteration is differentiated.
"""
function ds_project_vjp(G::AbstractMatrix, W::AbstractMatrix, eta::Real; context = nothing)
    n = square("G", G)
    size(W) == (n, n) || throw(DimensionMismatch("W is $(size(W)), G is $(size(G))"))
    gs, ws = columns_in_place(Float64, "G", G), columns_in_place(Float64, "W", W)
    dK = zeros(n, n)
    status = check(LibReknit.rkn_ds_project_vjp(or_null(context), n, eta, gs, leading(gs), ws, leading(ws), dK, max(1, n)))
    return (status = status, K = dK)
end

function square(name, matrix)
    n = size(matrix, 1)
    size(matrix, 2) == n || throw(DimensionMismatch("$name is $(size(matrix)), must be square"))
    return n
end

"""
    coding_rate(Z, alpha; context = nothing) -> (rate, Z)

`logdet(I + alpha * Z * Z')`, without a factor 1/2, and its gradient. A column of `Z` is a sample.

    coding_rate(Z, Pi, eps2; context = nothing) -> (rate, Z, Pi)

The rate by clusters, `sum(N[j] / n * logdet(I + d / (N[j] * eps2) * Z * Diagonal(Pi[:, j]) * Z') for j in 1:k)` with `N[j] =
sum(Pi[:, j])`, and its gradients. A column of `Pi` is a cluster; an empty one has the rate 0.
"""
function coding_rate(Z::AbstractMatrix, alpha::Real; context = nothing)
    d, n = size(Z)
    zs = columns_in_place(Float64, "Z", Z)
    rate, dZ = Ref(0.0), zeros(d, n)
    check(LibReknit.rkn_coding_rate(or_null(context), d, n, zs, leading(zs), alpha, rate, dZ, max(1, d)))
    return (rate = rate[], Z = dZ)
end

function coding_rate(Z::AbstractMatrix, Pi::AbstractMatrix, eps2::Real; context = nothing)
    (d, n), k = size(Z), size(Pi, 2)
    size(Pi, 1) == n || throw(DimensionMismatch("Pi has $(size(Pi, 1)) rows, Z has $n columns"))
    zs, ps = columns_in_place(Float64, "Z", Z), columns_in_place(Float64, "Pi", Pi)
    rate, dZ, dPi = Ref(0.0), zeros(d, n), zeros(n, k)
    check(LibReknit.rkn_coding_rate_clustered(or_null(context), d, n, k, zs, leading(zs), ps, leading(ps), eps2, rate, dZ,
                                              max(1, d), dPi, max(1, n)))
    return (rate = rate[], Z = dZ, Pi = dPi)
end
