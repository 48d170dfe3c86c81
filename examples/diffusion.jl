# Diffusion as a walk downhill, in Julia: the steps, the two solvers and the table of diffusion.c, which explains them.
# Coordinates are x and y as there; arrays are r[y, x], since their first index runs fastest.
#
# Usage: julia diffusion.jl [cells a side, 48] [steps, 20]

push!(LOAD_PATH, joinpath(@__DIR__, "..", "bindings", "julia"))     # not needed once Reknit is installed
using Reknit, Printf

const half_side, tau = 5.0, 0.05
const stiffness = (1.0, 2.0)                 # V = sum of stiffness x^2 / 2
const mean_before, variance_before = (2.0, -1.0), (0.25, 0.36)

# The middles of the cells along an axis.
centres(n) = [half_side * ((2.0i + 1.0) / n - 1.0) for i in 0:n-1]

# A bell; the masses' sum is 1, formed one after the other, so that all languages round alike.
function bell(n, mean, variance)
    r = [exp(-0.5 * ((x - mean[1])^2 / variance[1] + (y - mean[2])^2 / variance[2])) for y in centres(n), x in centres(n)]
    return r ./= foldl(+, r)
end

# Means and variances along both axes.
function moments(r)
    at = centres(size(r, 1))
    x, y = [x for _ in at, x in at], [y for y in at, _ in at]
    mean = [foldl(+, r .* z) / foldl(+, r) for z in (x, y)]
    variance = [foldl(+, r .* z .* z) / foldl(+, r) for z in (x, y)] .- mean.^2
    return mean, variance
end

# F less its least value, which is that of the density at rest.
energy(r, rest) = foldl(+, mass > 0 ? mass * log(mass / at) : 0.0 for (mass, at) in zip(r, rest))

# An unblurred step of a bell, along one axis: (next - width) / tau + k next - 1 / next = 0.
function step_of_bell(k, mean, variance)
    shrink = 1 + k * tau
    return mean / shrink, ((sqrt(variance) + sqrt(variance + 4tau * shrink)) / 2shrink)^2
end

solver(start, epsilon, price) = Sinkhorn(:auto; tolerance = 1e-9, start = start, epsilon = epsilon, penalty_b = price)

function run(n, steps)
    side = 2half_side / n
    epsilon = side^2
    price = 2tau - 0.5epsilon
    at_rest = 1 ./ stiffness
    rest, b = bell(n, (0, 0), at_rest), bell(n, (0, 0), at_rest .* price ./ 2tau)
    r = bell(n, mean_before, variance_before)
    expected = collect(zip(mean_before, variance_before))

    G = Reknit.grid(n, n; h = side)
    cold, warm = solver(:zero, epsilon, price), solver(:extrapolated, epsilon, price)

    @printf("a bell diffuses, %d x %d cells, %d steps of %.2f, epsilon %.4f\n", n, n, steps, tau, epsilon)
    println("     |     passes    |         mean of x          |       variance of x        |       variance of y        |")
    println("step |   cold   warm |", "             exact    steps |"^3, "   energy")
    total_cold, total_warm = 0.0, 0.0
    for step in 1:steps
        from_zero, stats = solve!(cold, G, r, b), solve!(warm, G, r, b)
        converged(from_zero) && converged(stats) || @warn "step $step" from_zero stats
        r = reshape(plan_apply(warm, ones(n^2); transposed = true), n, n)      # the next density
        mean, variance = moments(r)
        decay = exp.(-1 .* stiffness .* tau .* step)
        exact_mean = mean_before .* decay
        exact_variance = at_rest .+ (variance_before .- at_rest) .* decay.^2
        expected = [step_of_bell(k, bell...) for (k, bell) in zip(stiffness, expected)]
        @printf("%4d |%7.1f%7.1f |%9.6f%9.6f%9.6f |%9.6f%9.6f%9.6f |%9.6f%9.6f%9.6f |%9.6f\n", step, from_zero.passes, stats.passes,
                mean[1], exact_mean[1], expected[1][1], variance[1], exact_variance[1], expected[1][2],
                variance[2], exact_variance[2], expected[2][2], energy(r, rest))
        flush(stdout)
        total_cold += from_zero.passes
        total_warm += stats.passes
    end
    @printf(" all |%7.1f%7.1f |\n", total_cold, total_warm)
end

function main(n = "48", steps = "20")
    n, steps = something(tryparse(Int, n), 0), something(tryparse(Int, steps), 0)
    if n < 32 || n > 200 || steps < 1
        println(stderr, "usage: diffusion.jl [cells a side, 32 to 200] [steps]")
        exit(2)
    end
    run(n, steps)
end

main(ARGS...)
