# The colours of one picture for another, in Julia: the palettes, the solve and the table of colours.c, which explains them.
#
# Usage: julia colours.jl SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the cube, 24]     binary PPM (P6), 8 bits

push!(LOAD_PATH, joinpath(@__DIR__, "..", "bindings", "julia"))     # not needed once Reknit is installed
using Reknit, Printf

struct Picture
    width::Int
    height::Int
    pixels::Matrix{UInt8}            # a column a pixel
end

struct Palette
    entry_at::Vector{Int}            # of each cell of the cube, 0 for none
    colours::Matrix{Float64}         # a column a colour
    masses::Vector{Float64}
end

# The next number of a header, in which comments run from # to the end of the line, and the one byte after it.
function header_number(file, name)
    next() = eof(file) ? '\0' : Char(read(file, UInt8))
    c = next()
    while isspace(c) || c == '#'
        c == '#' && readline(file)
        c = next()
    end
    isdigit(c) || error("$name: is not a binary PPM picture (P6)")
    value = 0
    while isdigit(c) && value < 100000
        value = 10value + (c - '0')
        c = next()
    end
    return value
end

function read_picture(name)
    isfile(name) || error("$name: cannot be opened")
    open(name) do file
        read(file, 2) == b"P6" || error("$name: is not a binary PPM picture (P6)")
        width, height, largest = header_number(file, name), header_number(file, name), header_number(file, name)
        width in 1:10000 && height in 1:10000 || error("$name: has no size from 1 x 1 to 10000 x 10000")
        largest == 255 || error("$name: does not have 8 bits")
        bytes = read(file, 3 * width * height)
        length(bytes) == 3 * width * height || error("$name: ends early")
        return Picture(width, height, reshape(bytes, 3, :))
    end
end

write_picture(name, p) = open(name, "w") do file
    print(file, "P6\n$(p.width) $(p.height)\n255\n")
    write(file, p.pixels)
end

# The cell of a colour in the cube; blue runs fastest.
cell_of(pixels, k, side) = foldl((cell, axis) -> cell * side + Int(pixels[axis, k]) * side ÷ 256, 1:3; init = 0) + 1

function Palette(p::Picture, side)
    pixels = size(p.pixels, 2)
    counts = zeros(Int, side^3)
    for k in 1:pixels
        counts[cell_of(p.pixels, k, side)] += 1
    end
    occupied = findall(>(0), counts)
    entry_at = zeros(Int, side^3)
    entry_at[occupied] = eachindex(occupied)
    colours = zeros(3, length(occupied))
    for k in 1:pixels
        colours[:, entry_at[cell_of(p.pixels, k, side)]] .+= p.pixels[:, k]
    end
    return Palette(entry_at, colours ./ (255.0 .* counts[occupied]'), counts[occupied] ./ pixels)
end

# Moves each pixel by the mean of the shifts of the entries in the eight cells around it, weighted trilinearly.
function recolour!(p::Picture, q::Palette, goes, side)
    shifts = goes .- q.colours'
    for k in axes(p.pixels, 2)
        place = ntuple(axis -> (p.pixels[axis, k] + 0.5) * side / 256.0 + 0.5, 3)
        lower = floor.(Int, place)
        part = place .- lower
        weights, shift = 0.0, (0.0, 0.0, 0.0)
        for corner in 0:7
            up = (corner & 1, corner >> 1 & 1, corner >> 2 & 1)
            at = lower .+ up
            all(i -> 1 <= i <= side, at) || continue
            e = q.entry_at[((at[1] - 1) * side + at[2] - 1) * side + at[3]]
            e == 0 && continue
            share = ifelse.(up .== 1, part, 1.0 .- part)
            weight = share[1] * share[2] * share[3]
            weights += weight
            shift = shift .+ weight .* (shifts[e, 1], shifts[e, 2], shifts[e, 3])
        end
        for axis in 1:3
            value = p.pixels[axis, k] + 255.0 * (shift[axis] / weights)
            p.pixels[axis, k] = floor(UInt8, clamp(value, 0.0, 255.0) + 0.5)
        end
    end
end

print_mean(name, mean) = @printf("%-16s%10.6f%10.6f%10.6f\n", name, mean...)
print_mean(name, p::Picture) = print_mean(name, [sum(Float64.(p.pixels[axis, :])) / (255.0 * size(p.pixels, 2)) for axis in 1:3])

function run(source_name, target_name, result_name, side)
    source, target = read_picture(source_name), read_picture(target_name)
    from, to = Palette(source, side), Palette(target, side)

    G = Reknit.points(from.colours, to.colours)
    s = Sinkhorn(:auto; epsilon = 2e-3, epsilon_relative = :max, tolerance = 1e-8)
    stats = solve!(s, G, from.masses, to.masses)
    converged(stats) || @warn "stopped short" stats
    lower, upper = bracket(s)

    println("palettes of $(length(from.masses)) and $(length(to.masses)) colours, for $(size(source.pixels, 2)) and ",
            "$(size(target.pixels, 2)) pixels")
    @printf("%.1f passes, cost %.6f; without blur between %.6f and %.6f\n", stats.passes, stats.cost, lower, upper)
    println("mean of               red     green      blue")
    print_mean("source", source)
    print_mean("target", target)
    goes = plan_apply(s, permutedims(to.colours)) ./ from.masses    # where the entries go
    print_mean("moved palette", [foldl(+, from.masses .* goes[:, axis]) for axis in 1:3])
    recolour!(source, from, goes, side)
    print_mean("result", source)
    write_picture(result_name, source)
end

function main(names...)
    side = length(names) > 3 ? something(tryparse(Int, names[4]), 0) : 24
    if length(names) < 3 || side < 2 || side > 64
        println(stderr, "usage: colours.jl SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the colour cube, 2 to 64]")
        exit(2)
    end
    try
        run(names[1], names[2], names[3], side)
    catch e
        println(stderr, sprint(showerror, e))
        exit(1)
    end
end

main(ARGS...)
