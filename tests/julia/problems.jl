# Small problems with known answers, and a way to look at what a call threw.

using LinearAlgebra, SparseArrays

const SCALARS = (Float32, Float64, ComplexF32, ComplexF64)

# -u'' on n interior points, times h^2. With b = ones the solution is poisson_solution(n).
poisson(n, T = Float64) = spdiagm(-1 => fill(T(-1), n - 1), 0 => fill(T(2), n), 1 => fill(T(-1), n - 1))
poisson_solution(n, T = Float64) = T[i * (n + 1 - i) / 2 for i in 1:n]

# A diagonally dominant matrix without symmetry, with complex entries if T has them.
function lopsided(n, T = Float64)
    turn = T <: Complex ? T(cis(0.3)) : T(1)
    return spdiagm(-2 => fill(T(0.3), n - 2), -1 => fill(T(-1.4) * turn, n - 1), 0 => T[T(4) + T(i) / n for i in 1:n],
                   1 => fill(T(-0.6) / turn, n - 1), 3 => fill(T(0.2), n - 3))
end

# Numbers between -1 and 1 without pattern, the same in each run.
numbers(n, T = Float64; shift = 0.0) = T[wave(T, i + shift) for i in 1:n]
wave(::Type{T}, t) where {T<:Real} = T(sin(12.9898 * t + t^2))
wave(::Type{T}, t) where {T<:Complex} = T(sin(12.9898 * t + t^2), cos(7.233 * t + t^2))

tolerance(T) = 200 * eps(real(T))

close_to(x, y) = norm(x - y) <= tolerance(promote_type(eltype(x), eltype(y))) * max(1, norm(y))

thrown(f) = try
    f()
    nothing
catch e
    e
end

# The status and text with which the library refuses f().
function refusal(f)
    e = thrown(f)
    return e isa ReknitError ? (e.status, e.message) : (Int32(0), "not a refusal: $e")
end
