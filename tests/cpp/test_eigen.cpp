// Eigen's matrices, vectors and factorizations without copies, against Eigen's own direct solvers.
#include "check.hpp"
#include "reknit_eigen.hpp"
#include <Eigen/Dense>
#include <Eigen/Sparse>
#include <cstdlib>

// ---------------------------------------------------------------- counting memory

// The bytes that the program and the library ask malloc for: this definition comes before the C library's.
static bool counting = false;
static std::size_t bytes_asked = 0;
extern "C" void *__libc_malloc(std::size_t);
extern "C" void *__libc_calloc(std::size_t, std::size_t);
extern "C" void *__libc_realloc(void *, std::size_t);
extern "C" void *__libc_memalign(std::size_t, std::size_t);
static void count(std::size_t n) {
    if (counting) bytes_asked += n;
}
extern "C" void *malloc(std::size_t n) {
    count(n);
    return __libc_malloc(n);
}
extern "C" void *calloc(std::size_t n, std::size_t size) {
    count(n * size);
    return __libc_calloc(n, size);
}
extern "C" void *realloc(void *p, std::size_t n) {
    count(n);
    return __libc_realloc(p, n);
}
extern "C" int posix_memalign(void **out, std::size_t alignment, std::size_t n) {
    count(n);
    *out = __libc_memalign(alignment, n);
    return *out || !n ? 0 : 12;
}
extern "C" void *aligned_alloc(std::size_t alignment, std::size_t n) {
    count(n);
    return __libc_memalign(alignment, n);
}

template <class F> static std::size_t bytes_of(F &&f) {
    bytes_asked = 0;
    counting = true;
    f();
    counting = false;
    return bytes_asked;
}

// ---------------------------------------------------------------- problems

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

// Convection and diffusion on a line: not symmetric, diagonally dominant.
template <class S> static S line(Eigen::Index n) {
    using T = typename S::Scalar;
    S K(n, n);
    K.reserve(Eigen::VectorXi::Constant(n, 3));
    for (Eigen::Index i = 0; i < n; ++i) {
        if (i > 0) K.insert(i, i - 1) = T(-1.3);
        K.insert(i, i) = T(2.6);
        if (i + 1 < n) K.insert(i, i + 1) = T(-0.7);
    }
    K.makeCompressed();
    return K;
}

template <class T = double> static Eigen::Matrix<T, Eigen::Dynamic, 1> wave(Eigen::Index n, double shift = 0) {
    Eigen::Matrix<T, Eigen::Dynamic, 1> b(n);
    for (Eigen::Index i = 0; i < n; ++i) b[i] = T(std::sin(0.7 * static_cast<double>(i) + shift) + 0.1);
    return b;
}

static rkn::Krylov solver(const char *method = "gmres") {
    rkn::Krylov s{method};
    s.options("rtol=1e-12 max_iterations=2000");
    return s;
}

template <class K> static Vector direct(const K &A, const Vector &b) {
    Eigen::SparseLU<Eigen::SparseMatrix<double>> lu{Eigen::SparseMatrix<double>(A)};
    return lu.solve(b);
}

template <class A, class B> static bool close(const A &a, const B &b, double tolerance = 1e-8) {
    return (a - b).norm() <= tolerance * (1 + b.norm());
}

// ---------------------------------------------------------------- matrices

// Products, transposes and a solve with a borrowed sparse matrix; then with the numbers that it has later.
template <class S> static void sparse_solves() {
    using T = typename S::Scalar;
    using V = Eigen::Matrix<T, Eigen::Dynamic, 1>;
    const Eigen::Index n = 60;
    const bool single = std::is_same_v<T, float>;
    const double tolerance = single ? 1e-3 : 1e-8;
    S K = line<S>(n);
    rkn::Operator A = rkn::eigen::borrow(K);
    const V b = wave<T>(n);
    V x = V::Zero(n), y(n);
    A.apply(b, y);
    CHECK(close(y, V(K * b), tolerance));
    A.apply(b, y, rkn::trans::T);
    CHECK(close(y, V(K.transpose() * b), tolerance));
    rkn::Krylov s{"gmres"};
    s.set("rtol", single ? 1e-5 : 1e-12);
    CHECK(s.solve(A, b, x).converged());
    CHECK(close(V(K * x), b, tolerance));
    K.coeffRef(7, 7) += T(3);
    K.coeffRef(8, 7) *= T(2);
    A.changed();
    CHECK(s.solve(A, b, x).converged());
    CHECK(close(V(K * x), b, tolerance));
}

static void sparse_matrices() {
    sparse_solves<Eigen::SparseMatrix<double>>();
    sparse_solves<Eigen::SparseMatrix<double, Eigen::RowMajor>>();
    sparse_solves<Eigen::SparseMatrix<double, Eigen::ColMajor, std::int64_t>>();
    sparse_solves<Eigen::SparseMatrix<double, Eigen::RowMajor, long>>();
    sparse_solves<Eigen::SparseMatrix<float, Eigen::RowMajor>>();
    sparse_solves<Eigen::SparseMatrix<std::complex<double>>>();

    const Eigen::Index n = 40;
    auto K = line<Eigen::SparseMatrix<double, Eigen::RowMajor>>(n);
    const Vector b = wave(n), want = direct(K, b);
    Vector x(n);
    auto s = solver();
    using Mapped = Eigen::Map<Eigen::SparseMatrix<double, Eigen::RowMajor>>;
    Mapped map(n, n, K.nonZeros(), K.outerIndexPtr(), K.innerIndexPtr(), K.valuePtr());
    CHECK(s.solve(rkn::eigen::borrow(map), b, x).converged() && close(x, want));
    rkn::Operator of_temporary_map =
        rkn::eigen::borrow(Mapped(n, n, K.nonZeros(), K.outerIndexPtr(), K.innerIndexPtr(), K.valuePtr()));
    CHECK(s.solve(of_temporary_map, b, x).converged() && close(x, want));
    Eigen::Ref<Eigen::SparseMatrix<double, Eigen::RowMajor>> ref(K);
    CHECK(s.solve(rkn::eigen::borrow(ref), b, x).converged() && close(x, want));

    Eigen::SparseMatrix<double> loose(n, n);
    loose.reserve(Eigen::VectorXi::Constant(n, 5));
    for (Eigen::Index i = 0; i < n; ++i) loose.insert(i, i) = 2;
    CHECK_THROWS(rkn::eigen::borrow(loose), RKN_ERR_ARGUMENT, "makeCompressed");
    loose.makeCompressed();
    CHECK(s.solve(rkn::eigen::borrow(loose), b, x).converged() && close(x, b / 2));
    const auto middle = K.middleRows(3, 5);    // its pointers do not begin at 0
    CHECK_THROWS(rkn::eigen::borrow(middle), RKN_ERR_INDEX, "rowptr");

    // A copy takes expressions and stays as it was.
    rkn::Operator C = rkn::eigen::copy(K + 2 * K);
    const Vector third = want / 3;
    K.coeffRef(0, 0) = 100;
    CHECK(s.solve(C, b, x).converged() && close(x, third));
    C.set_values(rkn::span<const double>(K.valuePtr(), static_cast<std::size_t>(K.nonZeros())));
    CHECK(s.solve(C, b, x).converged() && close(x, direct(K, b)));
}

static void dense_and_diagonal() {
    const Eigen::Index n = 25;
    Matrix D = Matrix(line<Eigen::SparseMatrix<double>>(n)) + 0.01 * wave(n) * wave(n, 1).transpose();
    const Vector b = wave(n, 2);
    Vector x(n);
    auto s = solver();
    const auto solves = [&](const rkn::Operator &A, const Matrix &as) {
        return s.solve(A, b, x).converged() && close(x, Vector(as.partialPivLu().solve(b)));
    };
    rkn::Operator A = rkn::eigen::borrow(D);
    CHECK(solves(A, D));
    D(3, 4) += 0.5;
    A.changed();
    CHECK(solves(A, D));
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = D;
    CHECK(solves(rkn::eigen::borrow(rows), D));
    Matrix large = Matrix::Constant(n + 7, n + 3, 1e30);
    large.block(2, 1, n, n) = D;
    auto inside = large.block(2, 1, n, n);
    CHECK(solves(rkn::eigen::borrow(inside), D));
    Eigen::Ref<Matrix> ref = large.block(2, 1, n, n);
    CHECK(solves(rkn::eigen::borrow(ref), D));
    Eigen::Map<Matrix> map(D.data(), n, n);
    CHECK(solves(rkn::eigen::borrow(map), D));
    CHECK(solves(rkn::eigen::borrow(Eigen::Map<const Matrix>(D.data(), n, n)), D));
    Eigen::Matrix<double, 3, 3> fixed = D.topLeftCorner(3, 3);
    Eigen::Vector3d small;
    CHECK(s.solve(rkn::eigen::borrow(fixed), Eigen::Vector3d(1, 2, 3), small).converged());
    CHECK((fixed * small - Eigen::Vector3d(1, 2, 3)).norm() < 1e-9);
    CHECK(solves(rkn::eigen::copy(D.transpose() * 2), 2 * D.transpose()));

    Vector d = wave(n).array() + 2;
    Eigen::DiagonalMatrix<double, Eigen::Dynamic> diagonal(d);
    CHECK(solves(rkn::eigen::borrow(diagonal), Matrix(d.asDiagonal())));
    const auto as_diagonal = d.asDiagonal();
    rkn::Operator lent = rkn::eigen::borrow(as_diagonal);
    d *= 2;
    lent.changed();
    CHECK(solves(lent, Matrix(d.asDiagonal())));
    CHECK(solves(rkn::eigen::copy(d.asDiagonal()), Matrix(d.asDiagonal())));
}

// ---------------------------------------------------------------- vectors

static void vectors() {
    const Eigen::Index n = 30;
    const auto K = line<Eigen::SparseMatrix<double, Eigen::RowMajor>>(n);
    const rkn::Operator A = rkn::eigen::borrow(K);
    const Vector b = wave(n), want = direct(K, b);
    auto s = solver();

    std::vector<double> storage(static_cast<std::size_t>(n));
    Eigen::Map<Vector> map(storage.data(), n);
    CHECK(s.solve(A, b, map).converged() && close(map, want));
    Matrix X = Matrix::Zero(n, 3);
    CHECK(s.solve(A, b, X.col(1)).converged() && close(X.col(1), want));
    CHECK(X.col(0).isZero() && X.col(2).isZero());
    Eigen::Ref<Vector> ref = X.col(2);
    CHECK(s.solve(A, Eigen::Ref<const Vector>(b), ref).converged() && close(X.col(2), want));
    Eigen::ArrayXd x(n);
    CHECK(s.solve(A, (K * want).eval(), x).converged() && close(x.matrix(), want));
    Vector longer(2 * n);
    CHECK(s.solve(A, b, longer.segment(5, n)).converged() && close(longer.segment(5, n), want));
    CHECK_THROWS(s.solve(A, b, longer), RKN_ERR_SIZE, "'x' has size 60, must be 30");

    // Strides: what has gaps is refused rather than read from between.
    Matrix wide = Matrix::Zero(3, n);
    CHECK_THROWS(s.solve(A, b, wide.row(1)), RKN_ERR_ARGUMENT, "gaps");
    CHECK_THROWS(s.solve(A, Eigen::Map<const Vector, 0, Eigen::InnerStride<>>(longer.data(), n, Eigen::InnerStride<>(2)), map),
                 RKN_ERR_ARGUMENT, "gaps");
    CHECK_THROWS(rkn::Operator::diagonal(X.transpose().col(0), rkn::copy), RKN_ERR_ARGUMENT, "gaps");
    Matrix square = Matrix::Identity(n, n);
    CHECK_THROWS(rkn::Operator::diagonal(square.diagonal(), rkn::copy), RKN_ERR_ARGUMENT, "gaps");
    CHECK(wide.isZero());

    rkn::Krylov t{"gmres"};
    t.set("rtol", 1e-12);
    rkn::Operator Q = rkn::Operator::by_request<double>(n, n);
    Vector z(n);
    t.start(Q, b, z);
    for (auto r = t.next(); !r.done(); r = t.next()) rkn::eigen::map(r.y()) = K * rkn::eigen::map(r.x());
    CHECK(close(z, want));
}

static void several() {
    const Eigen::Index n = 30, k = 4;
    const auto K = line<Eigen::SparseMatrix<double>>(n);
    const rkn::Operator A = rkn::eigen::borrow(K);
    Matrix B(n, k), want(n, k);
    for (Eigen::Index j = 0; j < k; ++j) {
        B.col(j) = wave(n, static_cast<double>(j));
        want.col(j) = direct(K, B.col(j));
    }
    Matrix X = Matrix::Zero(n, k);
    auto s = solver();
    CHECK(s.solve(A, B, X).converged() && close(X, want));
    CHECK(s.column_results().size() == static_cast<std::size_t>(k));
    X.setZero();
    CHECK(s.solve_block(A, B, X).converged() && close(X, want));
    Matrix Y(n, k);
    A.apply(X, Y);
    CHECK(close(Y, B));

    // Rows 2.. of a taller matrix: the outer stride is that of the parent, and what lies between stays.
    Matrix tall = Matrix::Constant(n + 5, k, 7);
    CHECK(s.solve(A, B, tall.middleRows(2, n)).converged() && close(tall.middleRows(2, n), want));
    CHECK((tall.topRows(2).array() == 7).all() && (tall.bottomRows(3).array() == 7).all());
    Matrix padded = Matrix::Constant(n + 9, k, 1e30);
    padded.topRows(n) = B;
    Eigen::Map<const Matrix, 0, Eigen::OuterStride<>> mapped(padded.data(), n, k, Eigen::OuterStride<>(n + 9));
    X.setZero();
    CHECK(s.solve(A, mapped, X.leftCols(k)).converged() && close(X, want));
    Matrix one(n, 1);
    CHECK(s.solve(A, B.leftCols(1), one).converged() && close(one, want.leftCols(1)));
    CHECK_THROWS(s.solve(A, B, one), RKN_ERR_SIZE, "as many columns");

    const rkn::Operator F = rkn::eigen::from_block(n, n, [&](const auto &in, auto &out) { out.noalias() = K * in; });
    X.setZero();
    const auto before = s.get_int("applies");
    CHECK(s.solve(F, B, X).converged() && close(X, want) && before > 0);
}

// ---------------------------------------------------------------- callables and preconditioners

static void callables() {
    const Eigen::Index n = 50;
    const auto K = line<Eigen::SparseMatrix<double, Eigen::RowMajor>>(n);
    const Vector u = 0.1 * wave(n), v = wave(n, 3), b = wave(n, 1);
    const double *seen = nullptr;
    const rkn::Operator A = rkn::eigen::from(n, n, [&](auto x, auto y) {
        seen = x.data();
        y.noalias() = K * x;
        y += u * v.dot(x);
    });
    const Matrix D = Matrix(K) + u * v.transpose();
    Vector x(n), y(n);
    A.apply(b, y);
    CHECK(seen == b.data() && close(y, Vector(D * b)));    // the map lies on the array that was handed in
    auto s = solver("gcrodr");
    CHECK(s.solve(A, b, x).converged() && close(x, Vector(D.partialPivLu().solve(b))));
    CHECK_THROWS(A.apply(b, y, rkn::trans::T), RKN_ERR_UNSUPPORTED, "no transpose");

    const rkn::Operator both = rkn::eigen::from(n, n, [&](auto in, auto out, rkn::trans op) {
        if (op == rkn::trans::N)
            out = D * in;
        else
            out = D.transpose() * in;
    });
    both.apply(b, y, rkn::trans::T);
    CHECK(close(y, Vector(D.transpose() * b)));
    const rkn::Operator failing = rkn::eigen::from(n, n, [](auto, auto) -> int { throw oops{"no"}; });
    CHECK_CARRIES(oops, s.solve(failing, b, x), "no");
}

static void preconditioners() {
    const Eigen::Index n = 80;
    auto K = line<Eigen::SparseMatrix<double>>(n);
    rkn::Operator A = rkn::eigen::borrow(K);
    const Vector b = wave(n);
    Vector x(n), y(n);
    auto s = solver();
    const auto plain = s.solve(A, b, x).iterations;

    Eigen::IncompleteLUT<double> ilut;
    rkn::Operator M = rkn::eigen::preconditioner(ilut, K);
    auto r = s.solve(A, M, b, x);
    CHECK(r.converged() && close(x, direct(K, b)) && 4 * r.iterations < plain);
    M.apply(b, y);
    CHECK(y == Vector(ilut.solve(b)));

    // The factors age until they are refreshed.
    for (Eigen::Index i = 0; i < n; ++i) K.coeffRef(i, i) *= 1 + 0.5 * static_cast<double>(i % 7);
    A.changed();
    const auto aged = s.solve(A, M, b, x);
    CHECK(aged.converged() && close(x, direct(K, b)) && aged.iterations > r.iterations);
    M.changed();
    r = s.solve(A, M, b, x);
    CHECK(r.converged() && close(x, direct(K, b)) && r.iterations < aged.iterations);

    // SPD, with the factors of SimplicialLDLT: one iteration, also after a refresh.
    Eigen::SparseMatrix<double> S = K + Eigen::SparseMatrix<double>(K.transpose());
    rkn::Operator B = rkn::eigen::borrow(S);
    Eigen::SimplicialLDLT<Eigen::SparseMatrix<double>> ldlt;
    rkn::Operator N = rkn::eigen::preconditioner(ldlt, S);
    auto c = solver("cg");
    CHECK(c.solve(B, N, b, x).iterations <= 2 && close(x, direct(S, b)));
    S.coeffRef(4, 4) += 10;
    B.changed();
    const auto old = c.solve(B, N, b, x).iterations;
    N.changed();
    CHECK(c.solve(B, N, b, x).iterations < old && close(x, direct(S, b)));

    // The method auto refreshes by itself what it was told how to.
    rkn::Krylov automatic{"auto"};
    automatic.set("rtol", 1e-10);
    for (int step = 0; step < 12; ++step) {
        S.coeffRef(step, step) += 5;
        S.coeffRef(2 * step + 1, 2 * step + 1) += 9;
        B.changed();
        CHECK(automatic.solve(B, N, b, x).converged() && close(x, direct(S, b), 1e-6));
    }

    const Matrix D = Matrix(K);
    Eigen::PartialPivLU<Matrix> lu(D);
    CHECK(s.solve(A, rkn::eigen::preconditioner(lu), b, x).iterations <= 2 && close(x, direct(K, b)));

    Eigen::SimplicialLLT<Eigen::SparseMatrix<double>> llt;
    Eigen::SparseMatrix<double> indefinite = S;
    indefinite.coeffRef(3, 3) = -100;
    CHECK_THROWS(rkn::eigen::preconditioner(llt, indefinite), RKN_ERR_SINGULAR, "NumericalIssue");
    indefinite.coeffRef(3, 3) = 100;
    rkn::Operator L = rkn::eigen::preconditioner(llt, indefinite);
    indefinite.coeffRef(3, 3) = -100;
    CHECK_THROWS(L.changed(), RKN_ERR_SINGULAR, "NumericalIssue");
}

// ---------------------------------------------------------------- no copies

template <class S> static void borrowing_is_free(Eigen::Index n) {
    S K = line<S>(n);
    const std::size_t values = static_cast<std::size_t>(K.nonZeros()) * sizeof(double);
    CHECK(bytes_of([&] { auto A = rkn::eigen::borrow(K); }) < 4096);
    CHECK(bytes_of([&] { auto A = rkn::eigen::copy(K); }) > values);    // and the count does see a copy
    auto A = rkn::eigen::borrow(K);
    Vector b = wave(n), x(n);
    A.apply(b, x);
    CHECK(bytes_of([&] { A.apply(b, x); }) < 4096);
}

static void no_copies() {
    const Eigen::Index n = 20000;
    borrowing_is_free<Eigen::SparseMatrix<double, Eigen::RowMajor>>(n);
    borrowing_is_free<Eigen::SparseMatrix<double>>(n);
    Matrix D = Matrix::Random(300, 200);
    CHECK(bytes_of([&] { auto A = rkn::eigen::borrow(D); }) < 4096);

    // A solve asks for the same bytes as through the C interface with bare pointers.
    const auto K = line<Eigen::SparseMatrix<double, Eigen::RowMajor>>(n);
    const rkn::Operator A = rkn::eigen::borrow(K);
    Matrix B(n + 3, 2), X(n + 5, 2);
    B.setOnes();
    const auto bytes = [&](auto &&solve) {
        rkn::Krylov s{"bicgstab"};
        s.set("rtol", 1e-8);
        return bytes_of([&] { solve(s); });
    };
    const auto bare = bytes([&](auto &s) { (void)rkn_krylov_solve(s.get(), A.get(), nullptr, B.data(), X.data()); });
    const auto eigen = bytes([&](auto &s) { (void)s.solve(A, B.col(0).head(n), X.col(0).head(n)); });
    CHECK(bare > static_cast<std::size_t>(n) * sizeof(double) && eigen < bare + 4096);
    const auto bare_block = bytes([&](auto &s) {
        (void)rkn_krylov_solve_block(s.get(), A.get(), nullptr, 2, B.data(), n + 3, X.data(), n + 5);
    });
    const auto eigen_block = bytes([&](auto &s) { (void)s.solve(A, B.topRows(n), X.topRows(n)); });
    CHECK(eigen_block < bare_block + 4096);

    // A callable and an Eigen preconditioner in the loop ask for nothing that grows with n.
    Eigen::SparseMatrix<double> S = line<Eigen::SparseMatrix<double>>(n);
    Eigen::DiagonalPreconditioner<double> jacobi(S);
    const rkn::Operator F = rkn::eigen::from(n, n, [&](auto x, auto y) { y.noalias() = K * x; });
    Vector b = wave(n), y(n);
    CHECK(bytes_of([&] { F.apply(b, y); }) < 4096);
    const rkn::Operator M = rkn::eigen::preconditioner(jacobi);
    CHECK(bytes_of([&] { M.apply(b, y); }) < 4096);
    CHECK(close(y, Vector(b / 2.6), 1e-12));
}

int main() {
    sparse_matrices();
    dense_and_diagonal();
    vectors();
    several();
    callables();
    preconditioners();
    no_copies();
    return done();
}
