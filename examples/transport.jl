# A density that wanders, in Julia: the problem, the two solvers and the table of transport.c, which explains them.
# Coordinates are x and y as there; arrays are a[y, x], since their first index runs fastest.
#
# Usage: julia transport.jl [cells a side, 24] [steps, 16]

push!(LOAD_PATH, joinpath(@__DIR__, "..", "bindings", "julia"))     # not needed once Reknit is installed
using Reknit, Printf

# Adds mass around (x, y); all lengths relative to the side.
function add_lump!(a, x, y, radius, height)
    n = size(a, 1)
    for i in 1:n, j in 1:n
        dx, dy = ((i - 0.5) / n - x) / radius, ((j - 0.5) / n - y) / radius
        decay = 1 + dx * dx + dy * dy
        a[j, i] += height / (decay * decay)
    end
    return a
end

# Summed one after the other, so that all languages round alike.
scale_to_one!(a) = a ./= foldl(+, a)

# The blob at time t, 0 to 1.
blob(n, t) = scale_to_one!(add_lump!(fill(0.01, n, n), 0.2 + 0.25t, 0.3 + 0.6t * (1 - t), 0.12, 1.0))

target(n) = scale_to_one!(add_lump!(add_lump!(fill(0.01, n, n), 0.75, 0.3, 0.1, 1.0), 0.7, 0.75, 0.15, 0.5))

solver(start) = Sinkhorn(:auto; epsilon = 2e-3, tolerance = 1e-9, start = start)

function run(n, steps)
    b = target(n)
    G = Reknit.grid(n, n; h = 1 / n)
    cold, warm = solver(:zero), solver(:extrapolated)

    println("a density that wanders, $n x $n cells, $steps steps, epsilon 2e-3, marginal error 1e-9")
    println("step | passes cold   warm |        cost   error")
    total_cold, total_warm = 0.0, 0.0
    for step in 0:steps-1
        a = blob(n, step / steps)
        from_zero, stats = solve!(cold, G, a, b), solve!(warm, G, a, b)
        converged(from_zero) && converged(stats) || @warn "step $step" from_zero stats
        @printf("%4d |%12.1f%7.1f |%12.8f%8.1e\n", step, from_zero.passes, stats.passes, stats.cost, stats.marginal_error)
        flush(stdout)
        total_cold += from_zero.passes
        total_warm += stats.passes
    end
    @printf(" all |%12.1f%7.1f |\n", total_cold, total_warm)

    # Two columns for the plan: the coordinates of the cells.
    a = vec(blob(n, (steps - 1) / steps))
    centres = [((axis == 1 ? (c - 1) ÷ n : (c - 1) % n) + 0.5) / n for c in 1:n^2, axis in 1:2]
    goes = plan_apply(warm, centres)
    ways = goes ./ a .- centres
    @printf("mass arrives around (%.6f, %.6f), the longest way is %.6f\n", sum(goes[:, 1]), sum(goes[:, 2]),
            maximum(sqrt.(ways[:, 1].^2 .+ ways[:, 2].^2)))
end

function main(n = "24", steps = "16")
    n, steps = something(tryparse(Int, n), 0), something(tryparse(Int, steps), 0)
    if n < 4 || n > 200 || steps < 1
        println(stderr, "usage: transport.jl [cells a side, 4 to 200] [steps]")
        exit(2)
    end
    run(n, steps)
end

main(ARGS...)
