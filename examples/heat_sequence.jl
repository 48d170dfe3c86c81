# Heat conduction in a plate, in Julia: the problem, the five ways and the table of heat_sequence.c, which explains
# them.
#
# Usage: julia heat_sequence.jl [cells a side, 208] [steps, 64]

push!(LOAD_PATH, joinpath(@__DIR__, "..", "bindings", "julia"))     # not needed once Reknit is installed
using Reknit, SparseArrays, Printf

# ---- the plate, in SI units

const SIDE, TIME_STEP = 0.06, 20.0                              # m, s
const CAPACITY = 3.8e6                                          # J/(m^3 K)
const COPPER, STEEL, STEEL_GAIN = 390.0, 15.0, 0.001            # W/(m K), the gain relative, 1/K
const CRACK = 0.01                                              # what it leaves of the conductivity
const PEAK, HEATER = 3e8, 0.05                                  # W/m^3, radius over side

# `K` and `b` are the system of the present step, `k` the conductivity of the n x n cells.
struct Plate
    n::Int
    steps::Int
    K::SparseMatrixCSC{Float64,Int}
    k::Matrix{Float64}
    b::Vector{Float64}
end

function Plate(n, steps)
    line = spdiagm(-1 => ones(n - 1), 0 => ones(n), 1 => ones(n - 1))
    unit = spdiagm(0 => ones(n))
    return Plate(n, steps, kron(unit, line) + kron(line, unit), zeros(n, n), zeros(n^2))
end

harmonic(a, b) = 2a * b / (a + b)

# The middle three fifths of each quarter.
in_inlay(n, i) = n <= 5 * (4 * (i - 1) % n) < 4n

function conductivity(plate, step, i, j, temperature)
    n = plate.n
    in_inlay(n, i) && in_inlay(n, j) && return COPPER
    intact = STEEL * (1 + STEEL_GAIN * temperature)
    cracked = step >= plate.steps ÷ 2 && j - 1 == n ÷ 2 && 4 * (i - 1) < 3n
    return cracked ? CRACK * intact : intact
end

# Once around a square of half the side; lengths relative to the side.
function heater_at(turn)
    edge = floor(Int, 4turn)
    f = 0.5 * (4turn - edge)
    return edge == 0 ? (0.25 + f, 0.25) : edge == 1 ? (0.75, 0.25 + f) : edge == 2 ? (0.75 - f, 0.75) : (0.25, 0.75 - f)
end

# Matrix and right-hand side of the step that starts from the temperatures t.
function assemble!(plate, step, t)
    n, k, values = plate.n, plate.k, nonzeros(plate.K)
    T = reshape(t, n, n)
    area = SIDE / n * (SIDE / n)
    mass = CAPACITY * area / TIME_STEP
    sx, sy = heater_at(step / plate.steps)
    for j in 1:n, i in 1:n
        k[i, j] = conductivity(plate, step, i, j, T[i, j])
    end
    entry = 0
    for j in 1:n, i in 1:n
        south = j > 1 ? harmonic(k[i, j], k[i, j-1]) : 2k[i, j]
        west = i > 1 ? harmonic(k[i, j], k[i-1, j]) : 0.0
        east = i < n ? harmonic(k[i, j], k[i+1, j]) : 0.0
        north = j < n ? harmonic(k[i, j], k[i, j+1]) : 0.0
        j > 1 && (values[entry+=1] = -south)
        i > 1 && (values[entry+=1] = -west)
        values[entry+=1] = mass + south + west + east + north
        i < n && (values[entry+=1] = -east)
        j < n && (values[entry+=1] = -north)
        dx, dy = ((i - 0.5) / n - sx) / HEATER, ((j - 0.5) / n - sy) / HEATER
        decay = 1 + dx * dx + dy * dy
        plate.b[i+(j-1)*n] = mass * T[i, j] + area * PEAK / (decay * decay)
    end
end

# ---- one way to solve each system

struct Score
    iterations::Int
    applies::Int
    seconds::Float64
    residual::Float64
end

Base.:+(a::Score, b::Score) =
    Score(a.iterations + b.iterations, a.applies + b.applies, a.seconds + b.seconds, max(a.residual, b.residual))

show_score(io, r) = @printf(io, " |%5d%7d%8.1f%8.1e", r.iterations, r.applies, 1e3 * r.seconds, r.residual)

struct Way
    name::String
    solver::Krylov
    M::Preconditioner{Float64}
    forgets::Bool
    renew_every::Int
    x::Vector{Float64}
end

Way(name, method, A, kind; forgets = false, renew_every = 1, options...) =
    Way(name, Krylov(method; rtol = 1e-8, initial_guess = :x, options...), Preconditioner(A, kind), forgets,
        renew_every, zeros(size(A, 1)))

# A renewed preconditioner counts. x starts from the last step.
function advance!(way, A, step, b, t)
    copyto!(way.x, t)
    way.forgets && forget!(way.solver)
    start = time_ns()
    step % way.renew_every == 0 && changed!(way.M)
    stats = solve!(way.x, way.solver, A, b; M = way.M)
    seconds = 1e-9 * (time_ns() - start)
    converged(stats) || @warn "step $step, $(way.name)" stats
    return Score(stats.iterations, stats.applies, seconds, stats.relative_residual)
end

function run(io, n, steps)
    plate = Plate(n, steps)
    t = zeros(n^2)
    assemble!(plate, 0, t)

    # The operator reads the arrays of K where they lie; K is symmetric, so its transpose is K by rows.
    A = Operator(transpose(plate.K))
    recycling = (restart = 40, recycle = 20)
    ways = [Way("memory", :gcrodr, A, "ilu0"; recycling...),
            Way("forget", :gcrodr, A, "ilu0"; forgets = true, recycling...),
            Way("cg+ic0", :cg, A, "ic0"),
            Way("direct", :cg, A, "llt"),
            Way("lagged", :cg, A, "llt"; renew_every = 8)]
    direct = ways[4]

    println(io, "heat conduction, $n x $n cells, $steps steps, relative residual 1e-8")
    println(io, "    ", (" | " * rpad(way.name, 26) for way in ways)...)
    println(io, "step", (" | iter applies     ms    resid" for way in ways)...)
    total = fill(Score(0, 0, 0.0, 0.0), length(ways))
    for step in 0:steps-1
        assemble!(plate, step, t)
        changed!(A)
        row = [advance!(way, A, step, plate.b, t) for way in ways]
        total += row
        print(io, lpad(step, 4))
        foreach(r -> show_score(io, r), row)
        println(io)
        flush(io)
        copyto!(t, direct.x)
    end
    print(io, " all")
    foreach(r -> show_score(io, r), total)
    @printf(io, "\nhottest cell at the end: %.6f K\n", maximum(t))
end

function main(n = "208", steps = "64")
    n, steps = something(tryparse(Int, n), 0), something(tryparse(Int, steps), 0)
    if n < 8 || n > 20000 || steps < 1
        println(stderr, "usage: heat_sequence.jl [cells a side, at least 8] [steps]")
        exit(2)
    end
    run(devnull, 8, 2)          # compiles, so that the table times the solvers
    run(stdout, n, steps)
end

main(ARGS...)
