using Reknit, Test
using LinearAlgebra
include("problems.jl")

cloud_of(d, n; shift) = reshape(numbers(d * n; shift = shift), d, n)
mass_of(n; shift) = (v = 1.5 .+ numbers(n; shift = shift); v ./ sum(v))

@testset "derivatives" begin

d, n, m = 2, 6, 5
x, y, ux, uy = cloud_of(d, n; shift = 0.1), cloud_of(d, m; shift = 0.2), cloud_of(d, n; shift = 0.3), cloud_of(d, m; shift = 0.4)
a, b, W = mass_of(n; shift = 0.5), mass_of(m; shift = 0.6), cloud_of(n, m; shift = 0.7)
wf, wg = numbers(n; shift = 0.8), numbers(m; shift = 0.9)
wg .+= (sum(wf) - sum(wg)) / m

function solved(x, y)
    s = Sinkhorn(epsilon = 0.3, tolerance = 1e-12, derivative_tolerance = 1e-13)
    @test converged(solve!(s, Reknit.points(x, y), a, b))
    return s
end

# The value, <(wf, wg), (f, g)> and <W, P>.
function values_at(x, y)
    s = solved(x, y)
    f, g = potentials(s)
    return [s[:dual], dot(wf, f) + dot(wg, g), dot(W, plan_apply(s, Matrix(1.0I, m, m)))]
end

@testset "points and costs" begin
    s = solved(x, y)
    value = gradient_points(s, d)
    potential = vjp_potentials(s, wf, wg; cost = true, points = d)
    plan = vjp_plan(s, W; points = d)
    @test potential.status == 0 && plan.status == 0 && plan.cost === nothing && s[:derivative_products] > 0
    h = 1e-5
    difference = (values_at(x + h * ux, y + h * uy) - values_at(x - h * ux, y - h * uy)) / 2h
    for (k, g) in enumerate((value, potential, plan))
        @test dot(g.x, ux) + dot(g.y, uy) ≈ difference[k] rtol = 1e-6 atol = 1e-7
    end
    @test dot(a, plan.a) ≈ dot(b, plan.b) atol = 1e-10
    # With squared distances, by the chain rule.
    by_cost = [sum(potential.cost[i, j] * 2 * (x[k, i] - y[k, j]) for j in 1:m) for k in 1:d, i in 1:n]
    @test by_cost ≈ potential.x atol = 1e-11
    @test vjp_potentials(s, wf, wg).x === nothing
    # A matrix as the cost, and W in a part of a larger array.
    C = [sum(abs2, x[:, i] - y[:, j]) for i in 1:n, j in 1:m]
    t = Sinkhorn(epsilon = 0.3, tolerance = 1e-12)
    solve!(t, Geometry(C), a, b)
    big = zeros(n + 1, m + 2)
    big[2:end, 2:end-1] .= W
    @test vjp_plan(t, view(big, 2:n+1, 2:m+1)).a ≈ plan.a rtol = 1e-8
    @test refusal(() -> gradient_points(t, d))[1] == Reknit.ERR_STATE
end

@testset "illegal input" begin
    s = Sinkhorn(epsilon = 0.3)
    @test refusal(() -> vjp_plan(s, zeros(0, 0)))[1] == Reknit.ERR_STATE
    solve!(s, Reknit.points(x, y), a, b)
    @test_throws DimensionMismatch vjp_potentials(s, wf[2:end], wg)
    @test_throws DimensionMismatch vjp_plan(s, W')
    @test_throws ArgumentError vjp_plan(s, Float32.(W))
    @test_throws ArgumentError gradient_points(s, -1)
    status, message = refusal(() -> gradient_points(s, 1))
    @test status == Reknit.ERR_SIZE && occursin("'lddx'", message)
    status, message = refusal(() -> vjp_potentials(s, wf .+ 1, wg))
    @test status == Reknit.ERR_ARGUMENT && occursin("the sum of wf", message)
    @test refusal(() -> vjp_potentials(s, fill(NaN, n), wg))[1] == Reknit.ERR_NONFINITE
end

@testset "membership" begin
    eta, h = 0.2, 1e-5
    V, D = cloud_of(n, n; shift = 1.1), cloud_of(n, n; shift = 1.2)
    for symmetric in (false, true)
        K = cloud_of(n, n; shift = 1.3)
        symmetric && (K = K + K')
        status, G, u, v = ds_project(K, eta; tolerance = 1e-13)
        @test status == 0 && sum(G, dims = 1) ≈ ones(1, n) && sum(G, dims = 2) ≈ ones(n)
        @test G ≈ exp.((u .+ v' .+ K) ./ eta)
        symmetric && @test G == G' && u == v
        up = ds_project(K + h * D, eta; tolerance = 1e-13, start = (u, v)).G
        down = ds_project(K - h * D, eta; tolerance = 1e-13).G
        @test dot(ds_project_vjp(G, V, eta).K, D) ≈ dot(V, up - down) / 2h rtol = 1e-6 atol = 1e-7
    end
    @test_throws DimensionMismatch ds_project(zeros(2, 3), 1)
    @test_throws DimensionMismatch ds_project(zeros(2, 2), 1; start = ([0.0], [0.0, 0.0]))
    @test_throws DimensionMismatch ds_project_vjp(ones(2, 2), ones(3, 3), 1)
    @test refusal(() -> ds_project(zeros(2, 2), 0))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> ds_project(zeros(0, 0), 1))[1] == Reknit.ERR_SIZE
end

@testset "coding rates" begin
    d, n, k = 4, 9, 3
    Z, Pi = cloud_of(d, n; shift = 2.1), abs.(cloud_of(n, k; shift = 2.2))
    Pi[1:7, 2] .= 0
    rate, dZ = coding_rate(Z, 0.7)
    @test rate ≈ logdet(I + 0.7 * Z * Z') && dZ ≈ 2 * 0.7 * ((I + 0.7 * Z * Z') \ Z)
    rate, dZ, dPi = coding_rate(Z, Pi, 0.3)
    N = vec(sum(Pi, dims = 1))
    B = [I + d / (N[j] * 0.3) * Z * Diagonal(Pi[:, j]) * Z' for j in 1:k]
    @test rate ≈ sum(N[j] / n * logdet(B[j]) for j in 1:k)
    @test dZ ≈ sum(2 * d / 0.3 / n * (B[j] \ Z) * Diagonal(Pi[:, j]) for j in 1:k)
    @test dPi ≈ [(logdet(B[j]) + d / 0.3 * dot(Z[:, i], B[j] \ Z[:, i]) - d + tr(inv(B[j]))) / n for i in 1:n, j in 1:k]
    @test_throws DimensionMismatch coding_rate(Z, Pi', 0.3)
    @test refusal(() -> coding_rate(Z, -Pi, 0.3))[1] == Reknit.ERR_ARGUMENT
    @test refusal(() -> coding_rate(Z, NaN))[1] == Reknit.ERR_ARGUMENT
end

end
