# What a solver has learned, as a thing of its own.

"""
    space(s, T, n) -> Matrix{T}

The learned space of a solver of systems of order `n` with elements of type `T`: its columns are vectors in the
coordinates of the solution, the most wanted first.
"""
function space(s::Krylov, ::Type{T}, n::Integer) where {T}
    need = Ref{Int64}(0)
    check(LibReknit.rkn_krylov_get_space(s, tag(T), n, 0, C_NULL, n, need))
    U = Matrix{T}(undef, n, need[])
    check(LibReknit.rkn_krylov_get_space(s, tag(T), n, size(U, 2), U, n, need))
    return U
end

"""
    set_space!(s, U)

Gives the next solve the columns of `U` to start with, in the place of the learned space. They are copied.
"""
function set_space!(s::Krylov, U::Matrix{T}) where {T}
    check(LibReknit.rkn_krylov_set_space(s, tag(T), size(U, 1), size(U, 2), U, size(U, 1)))
    return s
end

"""
    truncate!(s, k)

Keeps the first `k` vectors of the learned space at most.
"""
truncate!(s::Krylov, k::Integer) = (check(LibReknit.rkn_krylov_truncate(s, k)); s)

"""
    save(s) -> Vector{UInt8}

What was learned, as bytes that are the same on every machine. See [`load!`](@ref).
"""
function save(s::Krylov)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_krylov_save(s, C_NULL, 0, need))
    bytes = Vector{UInt8}(undef, need[])
    check(LibReknit.rkn_krylov_save(s, bytes, length(bytes), need))
    return bytes
end

"""
    load!(s, A, bytes; M = nothing)

Puts a solver with the same options into the state that [`save`](@ref) saved: it goes on bit for bit. `A` and `M` stand
for the operators of the last solve before that.
"""
function load!(s::Krylov, A::AbstractOperator, bytes::Vector{UInt8}; M = nothing)
    hooks = begin_call(s, A, M)
    check(GC.@preserve hooks LibReknit.rkn_krylov_load(s, A, or_null(M), bytes, length(bytes)))
    return s
end

"""
    copy(s::Krylov)

A solver with the same options and in the same state: it goes on bit for bit as `s` does. Inner product, weights and
scaling go with it, a monitor and a convergence test do not.
"""
Base.copy(s::Krylov) = Krylov(create(LibReknit.rkn_krylov_clone, s), s)

# Field by field it would be a second owner of one handle.
Base.deepcopy_internal(s::Krylov, known::IdDict) = get!(() -> copy(s), known, s)

"""
    prolongate!(f, s, T, n)

Carries what was learned over to another mesh, on which systems are of order `n`: `f(y, x)` writes into the vector
`y` of `n` elements the vector `x` on that mesh. It is called for each vector of the learned space and each earlier
solution that is kept; both arrays are valid during the call and of element type `T`, that of the systems solved.
Preconditioners and the experience of `:auto` stay behind. After an error nothing has changed.
"""
function prolongate!(f, s::Krylov, ::Type{T}, n::Integer) where {T}
    # The library hands out plain addresses: a wrong T is found here or never.
    check(LibReknit.rkn_krylov_get_space(s, tag(T), 0, 0, C_NULL, 0, Ref{Int64}(0)))
    carry = Callback() do count, x, new_count, y
        f(unsafe_wrap(Array, Ptr{T}(y), new_count), unsafe_wrap(Array, Ptr{T}(x), count))
        return Int32(0)
    end
    check(LibReknit.rkn_krylov_prolongate(s, n, prolongate_trampoline(), carry))
    return s
end

"""
    mark!(s)
    rollback!(s)

Marks the state of a solver, and goes back to it, as after a rejected time step.
"""
mark!(s::Krylov) = (check(LibReknit.rkn_krylov_mark(s)); s)

@doc (@doc mark!)
rollback!(s::Krylov) = (check(LibReknit.rkn_krylov_rollback(s)); s)

"""
    report(s) -> String

How the last solve went and why, in words and numbers.
"""
report(s::Krylov) = text(LibReknit.rkn_krylov_report, s)

"""
    ritz_values(s) -> Vector{ComplexF64}

Ritz values of the vectors kept, the smallest first; with the option `diagnostics = :on`.
"""
function ritz_values(s::Krylov)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_krylov_ritz_values(s, C_NULL, C_NULL, 0, need))
    re, im = zeros(need[]), zeros(need[])
    check(LibReknit.rkn_krylov_ritz_values(s, re, im, length(re), need))
    return complex.(re, im)
end

"""
    angles(s) -> Vector{Float64}

Principal angles, in radians, between the spaces before and after the last update; with `diagnostics = :on`.
"""
function angles(s::Krylov)
    need = Ref{Int64}(0)
    check(LibReknit.rkn_krylov_angles(s, C_NULL, 0, need))
    radians = zeros(need[])
    check(LibReknit.rkn_krylov_angles(s, radians, length(radians), need))
    return radians
end
