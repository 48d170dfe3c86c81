using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

# What other packages' objects look like from here: no matrices, only methods.
struct Stencil{T}                                # tridiag(low, 4, high)
    n::Int
    low::T
    high::T
    calls::Vector{Char}
end
Stencil(n, low::T, high::T) where {T} = Stencil{T}(n, low, high, Char[])
Base.size(A::Stencil) = (A.n, A.n)
Base.eltype(::Stencil{T}) where {T} = T
dense(A::Stencil{T}) where {T} = Matrix(Tridiagonal(fill(A.low, A.n - 1), fill(T(4), A.n), fill(A.high, A.n - 1)))
function LinearAlgebra.mul!(y::AbstractVector, A::Stencil, x::AbstractVector)
    push!(A.calls, 'N')
    for i in 1:A.n
        y[i] = 4x[i] + (i > 1 ? A.low * x[i-1] : zero(A.low)) + (i < A.n ? A.high * x[i+1] : zero(A.high))
    end
    return y
end

struct WithAdjoint{T}
    A::Stencil{T}
end
Base.size(A::WithAdjoint) = size(A.A)
Base.eltype(A::WithAdjoint) = eltype(A.A)
LinearAlgebra.mul!(y::AbstractVector, A::WithAdjoint, x::AbstractVector) = mul!(y, A.A, x)
Base.adjoint(A::WithAdjoint) = WithAdjoint(Stencil(A.A.n, conj(A.A.high), conj(A.A.low), A.A.calls))

struct Told{S,H}                                 # symmetric and Hermitian by word, nothing else
    A::Stencil
end
Base.size(A::Told) = size(A.A)
Base.eltype(A::Told) = eltype(A.A)
LinearAlgebra.mul!(y::AbstractVector, A::Told, x::AbstractVector) = mul!(y, A.A, x)
LinearAlgebra.issymmetric(::Told{S}) where {S} = S
LinearAlgebra.ishermitian(::Told{S,H}) where {S,H} = H

struct Slow <: AbstractMatrix{Float64}           # a matrix whose entries must not be looked at
    n::Int
end
Base.size(A::Slow) = (A.n, A.n)
Base.getindex(::Slow, i::Int, j::Int) = error("an entry was looked at")
LinearAlgebra.mul!(y::AbstractVector, ::Slow, x::AbstractVector) = y .= 3 .* x

# Divisors: two arguments of ldiv! or three, with a size and type or without, with an adjoint or without.
struct InPlace
    F::Any
end
LinearAlgebra.ldiv!(M::InPlace, y::AbstractVector) = ldiv!(M.F, y)

mutable struct Sized{T}
    F::Any
    uses::Int
    Sized(F, T) = new{T}(F, 0)
end
Base.size(M::Sized) = size(M.F)
Base.eltype(::Sized{T}) where {T} = T
LinearAlgebra.ldiv!(y::AbstractVector, M::Sized, x::AbstractVector) = (M.uses += 1; ldiv!(y, M.F, x))
Base.adjoint(M::Sized{T}) where {T} = Sized(M.F', T)

@testset "objects" begin

@testset "illegal input" begin
    @test_throws ArgumentError Operator("a string")
    @test_throws ArgumentError Operator(InPlace(1))                                        # neither size nor type
    @test_throws ArgumentError Operator(Stencil(4, 1, 1))                                  # Int elements
    @test_throws ArgumentError Preconditioner(Stencil(4, -1.0, -1.0))                      # no ldiv!
    @test_throws ArgumentError Preconditioner(Operator(poisson(4)))                        # of which kind?
    e = thrown(() -> Preconditioner(InPlace(lu(poisson(4)))))
    @test e isa ArgumentError && occursin("Preconditioner(object, T, n)", e.msg)
end

@testset "mul!, $T" for T in SCALARS
    n = 12
    turn = T <: Complex ? T(0.5im) : T(0)
    stencil = Stencil(n, T(-1.5) + turn, T(-0.5))
    D, x = dense(stencil), numbers(n, T)
    A = Operator(stencil)
    @test size(A) == (n, n) && eltype(A) == T && !ishermitian(A)
    @test close_to(A * x, D * x)
    e = thrown(() -> A' * x)
    @test e isa CapturedException && e.ex isa ArgumentError && occursin("no transpose", e.ex.msg)

    B = Operator(WithAdjoint(stencil))
    @test close_to(B * x, D * x) && close_to(B' * x, D' * x) && close_to(transpose(B) * x, transpose(D) * x)
    s = Krylov(:gmres; rtol = 100 * eps(real(T)))
    u, stats = solve(s, A, D * x)
    @test converged(stats) && norm(u - x) <= 1e4 * eps(real(T)) * norm(x)
end

@testset "what an object says of itself" begin
    symmetric = Stencil(9, -1.0, -1.0)
    x = numbers(9)
    for (S, H) in ((true, true), (true, false), (false, true))
        A = Operator(Told{S,H}(symmetric))
        @test ishermitian(A)
        @test close_to(A' * x, dense(symmetric) * x)                                       # no adjoint is asked for
    end
    @test !ishermitian(Operator(Told{false,false}(symmetric)))

    hermitian = Stencil(9, -1.0 + 0.5im, -1.0 - 0.5im)
    z = numbers(9, ComplexF64)
    A = Operator(Told{false,true}(hermitian))
    @test ishermitian(A) && close_to(A' * z, dense(hermitian) * z)
    @test !ishermitian(Operator(Told{true,false}(hermitian)))                              # complex symmetric is not Hermitian

    A = Operator(Slow(5))                                                                  # issymmetric would look
    @test !ishermitian(A) && A * ones(5) == fill(3.0, 5)
    @test ishermitian(Operator(SymTridiagonal(fill(2.0, 5), fill(-1.0, 4))))
    @test ishermitian(Operator(Symmetric(reshape(numbers(36), 6, 6))))
    @test !ishermitian(Operator(Symmetric(reshape(numbers(36, ComplexF64), 6, 6))))
    @test ishermitian(Operator(Hermitian(reshape(numbers(36, ComplexF64), 6, 6))))
    # It makes a difference: the method auto takes one for Hermitian matrices.
    methods = map((Told{true,true}, Told{false,false})) do K
        s = Krylov(:auto; rtol = 1e-10)
        x, stats = solve(s, Operator(K(Stencil(300, -1.9, -1.9))), ones(300))
        @test converged(stats) && norm(dense(Stencil(300, -1.9, -1.9)) * x - ones(300)) < 1e-8
        s[:chosen_method]
    end
    @test methods[1] != methods[2]
end

@testset "ldiv!, $T" for T in (Float64, ComplexF64)
    K = lopsided(30, T)
    r = numbers(30, T)
    three, two = Sized(lu(K), T), InPlace(lu(Matrix(K)))
    M, N = Preconditioner(three), Preconditioner(two, T, 30)
    @test size(M) == size(N) == (30, 30) && eltype(M) == eltype(N) == T
    @test close_to(M * r, Matrix(K) \ r) && three.uses == 1
    @test close_to(N * r, Matrix(K) \ r)
    @test close_to(M' * r, Matrix(K)' \ r) && close_to(transpose(M) * r, transpose(Matrix(K)) \ r)
    e = thrown(() -> N' * r)
    @test e isa CapturedException && e.ex isa ArgumentError && occursin("no transpose", e.ex.msg)

    s = Krylov(:gmres; rtol = 1e-10)
    x, stats = solve(s, Operator(K), r; M = M)
    @test converged(stats) && stats.iterations <= 2 && norm(K * x - r) <= 1e-9 * norm(r)

    # It ages, and is refreshed as it was told.
    K.nzval[1:5:end] .*= 3
    A = Operator(K)
    aged = solve(s, A, r; M = M)[2]
    set_refresh!(() -> (three.F = lu(K)), M)
    changed!(M)
    renewed = solve(s, A, r; M = M)[2]
    @test converged(aged) && renewed.iterations <= 2 < aged.iterations
end

end
