using Reknit, Test
using LinearAlgebra, SparseArrays
include("problems.jl")

# y = A x, A' x and transpose(A) x, and for a block of columns, against the dense matrix D.
function agrees(A, D; transposes = true)
    T = eltype(A)
    m, n = size(D)
    x, X, z = numbers(n, T), hcat(numbers(n, T), numbers(n, T; shift = 0.5)), numbers(m, T; shift = 0.25)
    return size(A) == (m, n) && close_to(A * x, D * x) && close_to(A * X, D * X) &&
           (!transposes || close_to(A' * z, D' * z) && close_to(transpose(A) * z, transpose(D) * z))
end

@testset "operator" begin

@testset "illegal input" begin
    K = poisson(17)
    K.rowval[43] = 18
    status, message = refusal(() -> Operator(K))
    @test status == Reknit.ERR_INDEX
    @test occursin("rkn_operator_create_csc: argument 'rowind' has 18 at position", message)
    @test occursin("must lie in 1..17 (base 1)", message)

    @test refusal(() -> Operator(SparseMatrixCSC(2, 2, [1, 2, 3], [1, 2], [1.0, NaN])))[1] == Reknit.ERR_NONFINITE
    @test refusal(() -> Reknit.csr(2, 2, [1, 3, 2], [1, 2], [1.0, 1.0]))[1] < 0            # pointers that descend
    @test refusal(() -> Reknit.csr(2, 2, [1, 2, 3], [1, 2], [1.0, 1.0]; base = 7))[1] == Reknit.ERR_ARGUMENT
    @test_throws DimensionMismatch Reknit.csr(2, 2, [1, 2], [1, 2], [1.0, 1.0])
    @test_throws DimensionMismatch Reknit.csr(2, 2, [1, 2, 4], [1, 2], [1.0, 1.0])
    @test_throws DimensionMismatch Reknit.csr(2, 2, [1, 2, 3], [1, 2], [1.0])
    @test_throws DimensionMismatch Reknit.coo(2, 2, [1, 2], [1], [1.0, 1.0])
    @test_throws ArgumentError Reknit.csr(-1, 2, [1], Int[], Float64[])
    @test_throws ArgumentError Operator(sparse([1 0; 0 2]))                                # Int elements
    @test_throws ArgumentError Operator(SparseMatrixCSC{Float64,UInt32}(poisson(4)))
    @test_throws ArgumentError Reknit.csr_symmetric(1, :middle, [1, 2], [1], [1.0])
    @test_throws ArgumentError Operator("a string")
    @test_throws ArgumentError Operator(x -> x, Float64, 3, 3)                             # neither (y, x) nor three

    A = Operator(poisson(17))
    @test_throws DimensionMismatch mul!(zeros(17), A, zeros(16))
    @test_throws DimensionMismatch A * zeros(16)
    @test_throws ArgumentError mul!(zeros(Float32, 17), A, zeros(17))
    x = zeros(17)
    @test_throws ArgumentError mul!(x, A, x)
    @test refusal(() -> A[:colour])[1] == Reknit.ERR_KEY
    @test refusal(() -> A * Operator(poisson(5)))[1] == Reknit.ERR_SIZE
    @test refusal(() -> A + Operator(poisson(17, Float32)))[1] == Reknit.ERR_SCALAR
    @test_throws DimensionMismatch nullspace!(A, ones(16))
    @test_throws ArgumentError nullspace!(A, ones(17); side = :top)
    @test A * ones(17) == poisson(17) * ones(17)                                           # A is as it was
end

@testset "arrays with gaps are refused" begin
    A = Operator(poisson(5))
    table = ones(10, 2)
    e = thrown(() -> mul!(zeros(5), A, view(table, 1:2:10, 1)))
    @test e isa ArgumentError && occursin("x is a SubArray", e.msg)
    @test_throws ArgumentError mul!(view(table, 1:2:10, 1), A, zeros(5))
    @test_throws ArgumentError mul!(zeros(5, 2), A, view(table, 5:-1:1, :))
    @test_throws ArgumentError mul!(zeros(5, 2), A, view(table, 1:5, 2:-1:1))
    @test_throws ArgumentError Operator(view(table, 1:2:9, :))
    @test_throws ArgumentError Operator(Diagonal(view(table, 1:2:9, 1)))
    y = zeros(10, 2)
    mul!(view(y, 3:7, :), A, view(table, 1:5, :))                                          # columns without gaps
    @test y[3:7, :] == poisson(5) * ones(5, 2) && all(iszero, y[[1, 2, 8, 9, 10], :])
    @test Operator(view(table, 2:4, :)) * ones(2) == fill(2.0, 3)
end

@testset "closed and dead" begin
    A = Operator(poisson(5))
    pointer = A.handle
    close(A)
    close(A)
    @test refusal(() -> size(A))[1] == Reknit.ERR_HANDLE
    @test refusal(() -> A * ones(5))[1] == Reknit.ERR_HANDLE
    @test refusal(() -> changed!(A))[1] == Reknit.ERR_HANDLE
    @test Reknit.LibReknit.rkn_operator_changed(pointer) == Reknit.ERR_HANDLE
    Reknit.LibReknit.rkn_operator_destroy(pointer)                                         # not even this harms
    s = Krylov(:cg)
    @test Reknit.LibReknit.rkn_operator_changed(s.handle) == Reknit.ERR_HANDLE             # the wrong kind
    @test occursin("closed", sprint(show, A))
    @test occursin("closed", sprint(show, MIME("text/plain"), A))
end

@testset "sparse, $T, $I" for T in SCALARS, I in (Int32, Int64)
    K = SparseMatrixCSC{T,I}(lopsided(23, T))
    wide = SparseMatrixCSC{T,I}(K[1:11, :])
    @test agrees(Operator(K), Matrix(K))
    @test agrees(Operator(wide), Matrix(wide))
    @test agrees(Operator(wide; copy = true), Matrix(wide))
    @test agrees(Operator(transpose(wide)), Matrix(transpose(wide)))
    @test agrees(Operator(wide'), Matrix(wide'))
    from_zero = (wide.colptr .- I(1), wide.rowval .- I(1), wide.nzval)
    @test agrees(Reknit.csr(23, 11, from_zero...; base = 0), Matrix(transpose(wide)))
    @test agrees(Reknit.csc(11, 23, from_zero...; base = 0, copy = true), Matrix(wide))
    rows, cols, vals = findnz(wide)
    doubled = Reknit.coo(11, 23, [rows; rows], [cols; cols], [vals; vals / 2])
    @test agrees(doubled, 1.5f0 * Matrix(wide))
    block_values = numbers(3 * 4, T)
    bsr = Reknit.bsr(2, 3, 2, I[1, 3, 4], I[1, 3, 2], block_values)
    blocks = [reshape(block_values[4k-3:4k], 2, 2) for k in 1:3]
    Z = zeros(T, 2, 2)
    @test agrees(bsr, [blocks[1] Z blocks[2]; Z blocks[3] Z])
    by_rows = Reknit.bsr(2, 3, 2, I[1, 3, 4], I[1, 3, 2], block_values; row_major = true)
    @test agrees(by_rows, [transpose(blocks[1]) Z transpose(blocks[2]); Z transpose(blocks[3]) Z])
end

@testset "dense, diagonal, identity, $T" for T in SCALARS
    D = reshape(numbers(35, T), 5, 7)
    @test agrees(Operator(D), D)
    @test agrees(Operator(D; copy = true), D)
    @test agrees(Operator(view(D, 2:4, :)), D[2:4, :])
    @test agrees(Operator(view(D, 2:4, :); copy = true), D[2:4, :])
    @test agrees(Operator(transpose(D)), Matrix(transpose(D)))
    @test agrees(Operator(D'), Matrix(D'))
    @test agrees(Operator(Diagonal(numbers(6, T))), Matrix(Diagonal(numbers(6, T))))
    @test agrees(Operator(T(3) * I, 4), Matrix(T(3) * I, 4, 4))
    @test agrees(Operator(T(1) * I, 4), Matrix(T(1) * I, 4, 4))
    @test eltype(Operator(D)) == T
end

@testset "one triangle, $T, $uplo" for T in SCALARS, uplo in (:U, :L)
    full = lopsided(15, T)
    half = uplo === :U ? triu(full) : tril(full)
    for i in 1:15
        full[i, i] = half[i, i] = real(full[i, i])
    end
    @test agrees(Operator(Symmetric(half, uplo)), Matrix(Symmetric(full, uplo)))
    @test agrees(Operator(Hermitian(half, uplo)), Matrix(Hermitian(full, uplo)))
    @test agrees(Operator(Symmetric(full, uplo)), Matrix(Symmetric(full, uplo)))
    @test agrees(Operator(Hermitian(full, uplo)), Matrix(Hermitian(full, uplo)))
    for S in (Symmetric(half, uplo), Hermitian(half, uplo), Symmetric(full, uplo), Hermitian(full, uplo))
        A = Operator(S)
        parent(S).nzval .*= 3
        changed!(A)
        @test agrees(A, Matrix(S))
    end
end

@testset "matrix market" begin
    path = tempname() * ".mtx"
    write(path, "%%MatrixMarket matrix coordinate real symmetric\n3 3 4\n1 1 2\n2 2 3\n3 3 4\n3 1 -1\n")
    @test agrees(Reknit.matrix_market(Float64, path), [2.0 0 -1; 0 3 0; -1 0 4])
    @test agrees(Reknit.matrix_market(ComplexF32, path), ComplexF32[2 0 -1; 0 3 0; -1 0 4])
    @test refusal(() -> Reknit.matrix_market(Float64, path * ".gone"))[1] == Reknit.ERR_FILE
    write(path, "nothing of the kind\n")
    @test refusal(() -> Reknit.matrix_market(Float64, path))[1] == Reknit.ERR_FORMAT
    rm(path)
end

@testset "functions, $T" for T in SCALARS
    D = reshape(numbers(12, T), 3, 4)
    op(trans) = trans == 'N' ? D : trans == 'T' ? transpose(D) : D'
    @test agrees(Operator((y, x, trans) -> mul!(y, op(trans), x), T, 3, 4), D)
    @test agrees(Operator((y, x, trans) -> mul!(y, op(trans), x), T, 3, 4; block = true), D)
    forward = Operator((y, x) -> mul!(y, D, x), T, 3, 4)
    @test agrees(forward, D; transposes = false)
    e = thrown(() -> forward' * ones(T, 3))
    @test e isa CapturedException && e.ex isa ArgumentError && occursin("no transpose", e.ex.msg)
    do_block = Operator(T, 3, 4) do y, x
        mul!(y, D, x)
    end
    @test agrees(do_block, D; transposes = false)
end

@testset "anything with mul!" begin
    tridiagonal = Tridiagonal(numbers(5), numbers(6; shift = 2.0), numbers(5; shift = 9.0))
    @test agrees(Operator(tridiagonal), Matrix(tridiagonal))
    dense = Symmetric(reshape(numbers(36), 6, 6))
    @test agrees(Operator(dense), Matrix(dense))
end

@testset "exceptions come across" begin
    struct_free = Operator((y, x) -> throw(BoundsError(x, 99)), Float64, 3, 3)
    e = thrown(() -> struct_free * ones(3))
    @test e isa CapturedException && e.ex isa BoundsError
    @test occursin("test_operator.jl", sprint(showerror, e))                               # the place where it was thrown
    # Two floors: an operator that applies another one, whose function throws.
    outer = Operator((y, x) -> mul!(y, struct_free, x), Float64, 3, 3)
    e = thrown(() -> outer * ones(3))
    @test e isa CapturedException && e.ex isa BoundsError
    # Ctrl-C stays Ctrl-C.
    @test_throws InterruptException Operator((y, x) -> throw(InterruptException()), Float64, 3, 3) * ones(3)
    # Nothing is left over for the next call, and the operator lives on.
    moody = Ref(true)
    A = Operator((y, x) -> moody[] ? error("not today") : copyto!(y, 2x), Float64, 3, 3)
    @test thrown(() -> A * ones(3)) isa CapturedException
    moody[] = false
    @test A * ones(3) == fill(2.0, 3)
    # An operator that applies itself is allowed: here it ends on its own.
    depth = Ref(0)
    selves = Operator[]
    push!(selves, Operator(Float64, 3, 3) do y, x
        depth[] += 1
        depth[] < 3 ? mul!(y, selves[1], 2x) : copyto!(y, x)
    end)
    @test selves[1] * ones(3) == fill(4.0, 3)
end

@testset "algebra" begin
    for T in SCALARS
        KA, KB = lopsided(9, T), poisson(9, T)
        A, B, DA, DB = Operator(KA), Operator(KB), Matrix(KA), Matrix(KB)
        σ = T <: Complex ? T(0.5 + 2im) : T(0.5)
        @test agrees(A + B, DA + DB)
        @test agrees(A - B, DA - DB)
        @test agrees(A * B, DA * DB)
        @test agrees(σ * A, σ * DA) && agrees(A * σ, σ * DA) && agrees(-A, -DA)
        @test agrees(A + σ * I, DA + σ * I) && agrees(A - σ * I, DA - σ * I) && agrees(σ * I - A, σ * I - DA)
        @test agrees(block([A B; B nothing]), [DA DB; DB zeros(T, 9, 9)])
        @test agrees((A + 2B)' * A, (DA + 2DB)' * DA)
    end
    A = Operator(poisson(4))
    x, y = numbers(4), numbers(4; shift = 3.0)
    @test mul!(copy(y), A, x, 2.0, -1.0) ≈ 2 * (poisson(4) * x) - y
    @test mul!(fill(NaN, 4), A, x, 2.0, 0.0) ≈ 2 * (poisson(4) * x)
    @test_throws InexactError (1 + 2im) * A
    @test_throws ArgumentError block([nothing nothing])
    @test A * [1, 2, 3, 4] == poisson(4) * [1, 2, 3, 4]
end

@testset "parts may be closed first, and collected" begin
    function sum_of_closed()
        A, B = Operator(poisson(6)), Operator((y, x) -> copyto!(y, x), Float64, 6, 6)
        C = A + 2 * B
        close(A)
        close(B)
        return C
    end
    C = sum_of_closed()
    for _ in 1:3
        GC.gc()
        garbage = [zeros(1000) for _ in 1:100]
    end
    @test C * ones(6) ≈ poisson(6) * ones(6) .+ 2
end

@testset "new numbers" begin
    K = lopsided(12)
    A = Operator(K)
    version = A[:version]
    K.nzval .*= 2
    changed!(A)
    @test A[:version] > version
    @test agrees(A, Matrix(K))

    C = Operator(K; copy = true)
    old = Matrix(K)
    K.nzval .*= 2
    @test agrees(C, old)
    @test refusal(() -> changed!(C))[1] == Reknit.ERR_STATE                                # nothing to announce
    set_values!(C, K)
    @test agrees(C, Matrix(K))
    @test_throws DimensionMismatch set_values!(C, ones(3))
    @test_throws ArgumentError set_values!(C, ones(Float32, nnz(K)))
    D = Operator(Diagonal(ones(4)); copy = true)
    @test set_values!(D, Diagonal(fill(3.0, 4))) * ones(4) == fill(3.0, 4)
    E = Operator(ones(2, 3); copy = true)
    @test set_values!(E, fill(2.0, 2, 3)) * ones(3) == fill(6.0, 2)
    adjoint_numbers = ComplexF64.(lopsided(5, ComplexF64))
    H = Operator(adjoint_numbers')
    adjoint_numbers.nzval .*= 1im
    changed!(H)
    @test agrees(H, Matrix(adjoint_numbers'))
end

@testset "arrays that were resized are noticed" begin
    K = poisson(8)
    A = Operator(K)
    B = 2 * A
    K[1, 8] = 5.0                                                                          # one entry more
    e = thrown(() -> A * ones(8))
    @test e isa ArgumentError && occursin("make a new Operator", e.msg)
    @test_throws ArgumentError changed!(A)
    @test_throws ArgumentError B * ones(8)
    @test_throws ArgumentError solve(Krylov(:gmres), B, ones(8))
    @test_throws ArgumentError Preconditioner(A, "jacobi")
    @test agrees(Operator(K), Matrix(K))
end

@testset "keys and display" begin
    A = Operator(poisson(5))
    before = A[:products]
    A * ones(5)
    A * ones(5, 3)
    @test A[:products] == before + 4
    @test A[:entries] == 13
    A[:hermitian] = true
    @test ishermitian(A)
    @test sprint(show, A) == "5×5 Operator{Float64}"
    shown = sprint(show, MIME("text/plain"), A)
    @test startswith(shown, "5×5 Operator{Float64}") && occursin("csc", lowercase(shown))
end

@testset "preconditioners" begin
    K = lopsided(30)
    A = Operator(K)
    r = numbers(30)
    @test Preconditioner(A, "jacobi") * r ≈ r ./ diag(K)
    @test close_to(Preconditioner(A, "lu") * r, Matrix(K) \ r)
    L, U = LowerTriangular(Matrix(K)), UpperTriangular(Matrix(K))
    D = Diagonal(K)
    @test Preconditioner(A, "ssor omega=1") * r ≈ U \ (D * (L \ r))
    @test close_to(Preconditioner(Operator(poisson(30)), "ilu0") * r, poisson(30) \ r)     # tridiagonal: no fill to drop
    @test close_to(Preconditioner(Operator(poisson(30)), :ic0) * r, poisson(30) \ r)
    @test close_to(Preconditioner(lu(K)) * r, K \ r)
    @test close_to(Preconditioner(lu(Matrix(K)))' * r, Matrix(K)' \ r)

    M = Preconditioner(A, "jacobi")
    old = Vector(diag(K))
    K.nzval .*= 2
    changed!(A)
    @test M * r ≈ r ./ old                                                                 # lagging until told
    changed!(M)
    @test M * r ≈ r ./ 2old

    @test refusal(() -> Preconditioner(A, "ilu_zero"))[1] < 0
    @test occursin("omega", refusal(() -> Preconditioner(A, "ssor omega=five"))[2])
    @test refusal(() -> Preconditioner(Operator(sparse([0.0 1.0; 1.0 0.0])), "jacobi"))[1] == Reknit.ERR_SINGULAR
    @test size(M) == (30, 30) && eltype(M) == Float64
    @test occursin("jacobi", sprint(show, M))
    @test occursin("omega", Reknit.option_reference("preconditioner"))

    # A preconditioner outlives the name of its operator.
    M = Preconditioner(Operator(K), "chebyshev")
    GC.gc()
    first_answer = M * r
    GC.gc()
    @test M * r == first_answer
end

@testset "under the garbage collector" begin
    n = 40
    A = Operator(Float64, n, n) do y, x
        GC.gc(false)                                    # finalizers run inside a callback
        mul!(y, poisson(n), x)
    end
    for _ in 1:20
        B = A + Operator(poisson(n))
        M = Preconditioner(Operator(poisson(n)), "jacobi")
        @test B * ones(n) == 2 * (poisson(n) * ones(n))
    end
    GC.gc()
    @test A * ones(n) == poisson(n) * ones(n)
end

end
