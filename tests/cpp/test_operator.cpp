// Operators in all element and index types; callables as operators.
#include "check.hpp"
#include <array>
#include <fstream>
#include <memory>
#include <random>
#if __cplusplus >= 202002L
#include <span>
#endif

template <class T> static T number(std::mt19937 &random) {
    const auto next = [&] { return static_cast<double>(static_cast<int>(random() % 2001) - 1000) / 1024; };
    if constexpr (std::is_floating_point_v<T>)
        return static_cast<T>(next());
    else {
        const double re = next();
        return T(static_cast<typename T::value_type>(re), static_cast<typename T::value_type>(next()));
    }
}
template <class T> static T conjugate(T v) {
    if constexpr (std::is_floating_point_v<T>)
        return v;
    else
        return std::conj(v);
}

// A dense matrix, row by row, and what it does to a vector.
template <class T> struct matrix {
    std::int64_t m, n;
    std::vector<T> a;
    matrix(std::int64_t rows, std::int64_t cols) : m(rows), n(cols), a(static_cast<std::size_t>(rows * cols)) {}
    T &operator()(std::int64_t i, std::int64_t j) { return a[static_cast<std::size_t>(i * n + j)]; }
    T operator()(std::int64_t i, std::int64_t j) const { return a[static_cast<std::size_t>(i * n + j)]; }
    static matrix any(std::int64_t m, std::int64_t n, unsigned seed) {
        std::mt19937 random(seed);
        matrix A(m, n);
        for (auto &v : A.a) {
            v = number<T>(random);
            if (random() % 3 == 0) v = 0;
        }
        return A;
    }
};

template <class T> static double epsilon = std::is_same_v<T, float> || std::is_same_v<T, std::complex<float>> ? 1e-5 : 1e-13;

template <class T> static void check_apply(const rkn::Operator &A, const matrix<T> &D, const char *what) {
    CHECK(A.shape().nrows == D.m && A.shape().ncols == D.n && A.scalar() == rkn::scalar_of<T>);
    std::mt19937 random(7);
    for (const auto op : {rkn::trans::N, rkn::trans::T, rkn::trans::H})
        for (std::int64_t width : {1, 3}) {
            const std::int64_t nin = op == rkn::trans::N ? D.n : D.m, nout = op == rkn::trans::N ? D.m : D.n, ldx = nin + 1, ldy = nout + 2;
            std::vector<T> x(static_cast<std::size_t>(ldx * width)), y(static_cast<std::size_t>(ldy * width), T(77));
            for (auto &v : x) v = number<T>(random);
            const rkn::columns<const T> X(x.data(), nin, width, ldx);
            const rkn::columns<T> Y(y.data(), nout, width, ldy);
            A.apply(X, Y, op);
            double worst = 0;
            for (std::int64_t k = 0; k < width; ++k)
                for (std::int64_t i = 0; i < nout; ++i) {
                    T sum = 0;
                    for (std::int64_t j = 0; j < nin; ++j)
                        sum += (op == rkn::trans::N ? D(i, j) : op == rkn::trans::T ? D(j, i) : conjugate(D(j, i))) * X(j, k);
                    worst = std::max(worst, static_cast<double>(std::abs(Y(i, k) - sum)));
                }
            if (!CHECK(worst < epsilon<T>)) std::printf("    %s, trans %d: off by %.3g\n", what, static_cast<int>(op), worst);
            CHECK(y.back() == T(77));
        }
}

static void illegal() {
    const std::vector<int> ptr{0, 1, 2, 3}, ind{0, 1, 2};
    const std::vector<double> val{2, 3, 4};
    std::vector<double> x(3), y(3), longer(4);
    std::vector<float> f(3);
    using O = rkn::Operator;
    // what only C++ can see: lengths and types
    CHECK_THROWS(O::csr(4, 3, ptr, ind, val, rkn::copy), RKN_ERR_SIZE, "rkn::Operator::csr: argument 'rowptr' has size 4, must be 5");
    CHECK_THROWS(O::csr(3, 3, ptr, std::vector<int>{0, 1}, val, rkn::copy), RKN_ERR_SIZE, "'colind' has size 2, must be at least 3");
    CHECK_THROWS(O::csr(3, 3, ptr, ind, std::vector<double>{1}, rkn::copy), RKN_ERR_SIZE, "'values'");
    CHECK_THROWS(O::csc(3, 2, ptr, ind, val, rkn::borrow), RKN_ERR_SIZE, "'colptr'");
    CHECK_THROWS(O::bsr(3, 3, 2, rkn::order::row_major, ptr, ind, val, rkn::borrow), RKN_ERR_SIZE,
                 "'values' has size 3, must be at least 12");
    CHECK_THROWS(O::coo(3, 3, ind, ptr, val), RKN_ERR_SIZE, "'colind'");
    CHECK_THROWS(O::dense(2, 2, rkn::order::row_major, val, rkn::copy), RKN_ERR_SIZE, "'values' has size 3, must be at least 4");
    CHECK_THROWS(O::dense(2, 1, rkn::order::row_major, val, rkn::copy, 3), RKN_ERR_SIZE, "'values' has size 3, must be at least 4");
    // what the library refuses
    CHECK_THROWS(O::csr(-3, 3, ptr, ind, val, rkn::copy), RKN_ERR_SIZE, "rkn_operator_create_csr: argument 'nrows'");
    CHECK_THROWS(O::csr(3, 2, ptr, ind, val, rkn::copy), RKN_ERR_INDEX, "argument 'colind' has 2 at position 2, must lie in 0..1 (base 0)");
    CHECK_THROWS(O::csr(3, 3, ptr, ind, val, rkn::copy, 1), RKN_ERR_INDEX, "'rowptr'");
    CHECK_THROWS(O::csr(3, 3, ptr, ind, val, rkn::copy, 7), RKN_ERR_ARGUMENT, "'base'");
    CHECK_THROWS(O::diagonal(std::vector<double>{1, NAN}, rkn::copy), RKN_ERR_NONFINITE, "'values'");
    CHECK_THROWS(O::identity(-1), RKN_ERR_SIZE, "'n'");
    CHECK_THROWS(O::matrix_market("no/such/file"), RKN_ERR_FILE, "no/such/file");

    auto A = O::csr(3, 3, ptr, ind, val, rkn::borrow);
    const auto C = O::identity<std::complex<double>>(3);
    CHECK_THROWS(A.apply(longer, y), RKN_ERR_SIZE, "'x' has size 4, must be 3");
    CHECK_THROWS(A.apply(x, longer), RKN_ERR_SIZE, "'y' has size 4, must be 3");
    CHECK_THROWS(A.apply(f, f), RKN_ERR_SCALAR, "element type");
    CHECK_THROWS(A.apply(rkn::columns<const double>(longer.data(), 3, 1), rkn::columns<double>(y.data(), 3, 0)), RKN_ERR_SIZE, "columns");
    CHECK_THROWS(O::product(A, C), RKN_ERR_SCALAR, "'B'");
    CHECK_THROWS(O::scaled(std::complex<double>(1, 1), A), RKN_ERR_SCALAR, "'alpha' is complex");
    CHECK_THROWS(O::preconditioner(A, "jacoby"), RKN_ERR_KEY, "did you mean 'jacobi'?");
    CHECK_THROWS(O::block(2, 2, {&A, &A}), RKN_ERR_SIZE, "'blocks' has size 2, must be 4");
    CHECK_THROWS(A.set_values(x), RKN_ERR_STATE, "rkn_operator_set_values");    // lent
    CHECK_THROWS(A.set("hermitan", 1), RKN_ERR_KEY, "did you mean 'hermitian'?");
    CHECK_THROWS(A.get_int("product"), RKN_ERR_KEY, "product");
    CHECK_THROWS(A.set_nullspace(rkn::side::right, longer), RKN_ERR_SIZE, "'vectors'");
    auto D = O::diagonal(val, rkn::copy);
    CHECK_THROWS(D.set_values(longer), RKN_ERR_SIZE, "'values' has size 4, must be 3");
    CHECK_THROWS(D.set_values(f), RKN_ERR_SCALAR, "element type");

    // moved-from operators
    auto B = std::move(A);
    CHECK(A.get() == nullptr && B.get() != nullptr);
    CHECK_THROWS(A.apply(x, y), RKN_ERR_NULL, "'A'");
    CHECK_THROWS(A.changed(), RKN_ERR_NULL, "'A'");
    CHECK_THROWS(O::product(B, A), RKN_ERR_NULL, "'B'");
    CHECK_THROWS(O::block(1, 2, {&B, &A}), RKN_ERR_NULL, "moved from");
    B.apply(std::array<double, 3>{1, 1, 1}, y);
    CHECK(y == std::vector<double>({2, 3, 4}));
    rkn_operator *raw = B.release();
    CHECK(!B.get());
    A = O::adopt(raw);
    A.apply(y, x);
    CHECK(x[2] == 16);
}

template <class T, class I> static void formats(std::int32_t start) {
    const I base = static_cast<I>(start);
    const auto D = matrix<T>::any(7, 5, 3);
    std::vector<I> rowptr{base}, colind, colptr{base}, rowind, cooi, cooj;
    std::vector<T> rowval, colval, row_major, column_major;
    for (std::int64_t i = 0; i < D.m; ++i) {
        for (std::int64_t j = 0; j < D.n; ++j)
            if (D(i, j) != T(0)) {
                colind.push_back(static_cast<I>(j + base)), cooi.push_back(static_cast<I>(i + base)),
                    cooj.push_back(static_cast<I>(j + base));
                rowval.push_back(D(i, j));
            }
        rowptr.push_back(static_cast<I>(static_cast<I>(colind.size()) + base));
    }
    for (std::int64_t j = 0; j < D.n; ++j) {
        for (std::int64_t i = 0; i < D.m; ++i) {
            column_major.push_back(D(i, j));
            if (D(i, j) != T(0)) rowind.push_back(static_cast<I>(i + base)), colval.push_back(D(i, j));
        }
        colptr.push_back(static_cast<I>(static_cast<I>(rowind.size()) + base));
    }
    using O = rkn::Operator;
    check_apply(O::csr(D.m, D.n, rowptr, colind, rowval, rkn::borrow, start), D, "csr, borrowed");
    check_apply(O::csr(D.m, D.n, rowptr, colind, std::vector<T>(rowval), rkn::copy, start), D, "csr, copied");
    check_apply(O::csc(D.m, D.n, rkn::span(colptr.data(), colptr.size()), rowind, colval, rkn::borrow, start), D, "csc");
    check_apply(O::coo(D.m, D.n, cooi, cooj, rowval, start), D, "coo");
    check_apply(O::dense(D.m, D.n, rkn::order::row_major, D.a, rkn::borrow), D, "dense by rows");
    check_apply(O::dense(D.m, D.n, rkn::order::column_major, column_major, rkn::copy), D, "dense by columns");
#if __cplusplus >= 202002L
    check_apply(O::dense(D.m, D.n, rkn::order::row_major, std::span<const T>(D.a), rkn::borrow), D, "dense by std::span");
#endif

    // one triangle
    auto S = matrix<T>::any(6, 6, 5), H = S;
    for (std::int64_t i = 0; i < 6; ++i) {
        for (std::int64_t j = 0; j < i; ++j) S(i, j) = S(j, i), H(i, j) = conjugate(H(j, i));
        S(i, i) = H(i, i) = T(2);
    }
    std::vector<I> ptr{base}, ind;
    std::vector<T> val;
    for (std::int64_t i = 0; i < 6; ++i) {
        for (std::int64_t j = i; j < 6; ++j)
            if (S(i, j) != T(0)) ind.push_back(static_cast<I>(j + base)), val.push_back(S(i, j));
        ptr.push_back(static_cast<I>(static_cast<I>(ind.size()) + base));
    }
    check_apply(O::csr_symmetric(6, rkn::triangle::upper, ptr, ind, val, rkn::borrow, start), S, "symmetric");
    check_apply(O::csr_hermitian(6, rkn::triangle::upper, ptr, ind, val, rkn::borrow, start), H, "hermitian");

    // blocks
    const std::vector<I> bptr{base, static_cast<I>(base + 1)}, bind{static_cast<I>(base + 1)};
    std::vector<T> bval{T(1), T(2), T(3), T(4)};
    matrix<T> B(2, 4);
    B(0, 2) = 1, B(0, 3) = 2, B(1, 2) = 3, B(1, 3) = 4;
    check_apply(O::bsr(1, 2, 2, rkn::order::row_major, bptr, bind, bval, rkn::borrow, start), B, "bsr by rows");
    std::swap(bval[1], bval[2]);
    check_apply(O::bsr(1, 2, 2, rkn::order::column_major, bptr, bind, bval, rkn::copy, start), B, "bsr by columns");
}

template <class T> static void others() {
    using O = rkn::Operator;
    const auto A = matrix<T>::any(4, 4, 1), B = matrix<T>::any(4, 4, 2);
    matrix<T> W(4, 4), Z(8, 8);
    const auto opA = O::dense(4, 4, rkn::order::row_major, A.a, rkn::borrow), opB = O::dense(4, 4, rkn::order::row_major, B.a, rkn::borrow);
    for (std::size_t i = 0; i < 16; ++i) W.a[i] = T(2) * A.a[i] - T(3) * B.a[i];
    check_apply(O::sum(2, opA, -3, opB), W, "sum");
    for (std::size_t i = 0; i < 16; ++i) W.a[i] = T(0.5f) * A.a[i];
    check_apply(O::scaled(0.5, opA), W, "scaled");
    for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t j = 0; j < 4; ++j) {
            W(i, j) = 0;
            for (std::int64_t k = 0; k < 4; ++k) W(i, j) += A(i, k) * B(k, j);
        }
    check_apply(O::product(opA, opB), W, "product");
    for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t j = 0; j < 4; ++j) W(i, j) = A(i, j) + (i == j ? T(0.25f) : T(0));
    check_apply(O::shifted(opA, 0.25), W, "shifted");
    for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t j = 0; j < 4; ++j) W(i, j) = conjugate(A(j, i));
    check_apply(O::adjoint(rkn::trans::H, opA), W, "adjoint");
    for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t j = 0; j < 4; ++j) Z(i, j) = A(i, j), Z(i + 4, j + 4) = B(i, j);
    check_apply(O::block(2, 2, {&opA, nullptr, nullptr, &opB}), Z, "block");
    matrix<T> I(4, 4), diagonal(3, 3);
    for (std::int64_t i = 0; i < 4; ++i) I(i, i) = 1;
    check_apply(O::identity<T>(4), I, "identity");
    for (std::int64_t i = 0; i < 3; ++i) diagonal(i, i) = static_cast<T>(static_cast<float>(i + 1));
    auto d = O::diagonal(std::vector<T>{T(9), T(9), T(9)}, rkn::copy);
    d.set_values(std::vector<T>{T(1), T(2), T(3)});
    check_apply(d, diagonal, "diagonal, new values");
    if constexpr (!std::is_floating_point_v<T>) {
        const std::complex<double> i(0, 1);
        for (std::size_t k = 0; k < 16; ++k) W.a[k] = T(0, 1) * A.a[k];
        check_apply(O::scaled(i, opA), W, "scaled by i");
    }

    const char *path = "test_operator_cpp.mtx";
    std::ofstream(path) << "%%MatrixMarket matrix coordinate real general\n3 3 3\n1 1 1\n2 2 2\n3 3 3\n";
    check_apply(O::matrix_market<T>(path), diagonal, "matrix market");
    check_apply(O::matrix_market<T>(std::string(path)), diagonal, "matrix market");
    std::remove(path);

    // a callable, with and without transposes, by columns and by blocks
    const auto apply = [&](auto x, auto y, rkn::trans op) {
        for (std::int64_t i = 0; i < 4; ++i) {
            y[i] = 0;
            for (std::int64_t j = 0; j < 4; ++j)
                y[i] += (op == rkn::trans::N ? A(i, j) : op == rkn::trans::T ? A(j, i) : conjugate(A(j, i))) * x[j];
        }
    };
    check_apply(O::from<T>(4, 4, apply), A, "callable");
    check_apply(O::from_block<T>(4, 4,
                                 [&](auto X, auto Y, rkn::trans op) {
                                     for (std::int64_t k = 0; k < X.cols(); ++k) apply(X.column(k), Y.column(k), op);
                                     return 0;
                                 }),
                A, "block callable");
    const auto plain = O::from<T>(4, 4, [&](auto x, auto y) { apply(x, y, rkn::trans::N); });
    std::vector<T> x(4, T(1)), y(4), z(4);
    plain.apply(x, y);
    opA.apply(x, z);
    for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(y[i] - z[i]) < epsilon<T>);
    CHECK_THROWS(plain.apply(x, y, rkn::trans::T), RKN_ERR_UNSUPPORTED, "no transpose");
    plain.apply(x, y);

    // new numbers, announced
    auto lent = A;
    auto opL = O::dense(4, 4, rkn::order::row_major, lent.a, rkn::borrow);
    auto M = O::preconditioner(O::sum(0, opL, 1, O::identity<T>(4)), "identity");
    const auto before = opL.get_int("version");
    for (auto &v : lent.a) v = T(2) * v;
    opL.changed();
    CHECK(opL.get_int("version") > before);
    check_apply(opL, lent, "changed");
    CHECK(!opL.view().empty() && opL.get_int("products") > 0);
    opL.set("hermitian", 1);
    CHECK(opL.get_int("hermitian") == 1);
}

// Exceptions, lifetimes and moves of callables.
static void callables() {
    int alive = 0;
    struct token {
        int *alive;
        explicit token(int *p) : alive(p) { ++*alive; }
        token(token &&o) noexcept : alive(o.alive) { ++*alive; }
        ~token() { --*alive; }
    };
    std::vector<double> x{1, 2, 3}, y(3);
    bool raise = false;
    {
        // a callable that only moves
        auto A = rkn::Operator::from(3, 3, [t = token(&alive), p = std::make_unique<double>(2), &raise](auto in, auto out) {
            if (raise) throw oops{"apply"};
            for (std::size_t i = 0; i < in.size(); ++i) out[i] = *p * in[i];
        });
        CHECK(alive == 1);
        A.apply(x, y);
        CHECK(y[2] == 6);
        raise = true;
        CHECK_CARRIES(oops, A.apply(x, y), "apply");
        raise = false;
        A.apply(x, y);    // works again, and nothing is left over
        CHECK(y[2] == 6);
        auto twice = rkn::Operator::product(A, A);
        { const auto gone = std::move(A); }
        CHECK(alive == 1);    // the product holds it
        twice.apply(x, y);
        CHECK(y[2] == 12);
        // through a composition too
        raise = true;
        CHECK_CARRIES(oops, twice.apply(x, y), "apply");
        raise = false;
    }
    CHECK(alive == 0);
    CHECK_THROWS(rkn::Operator::from(-1, 3, [t = token(&alive)](auto, auto) {}), RKN_ERR_SIZE, "'nrows'");
    CHECK(alive == 0);    // refused: destroyed

    // an integer that is not 0
    auto E = rkn::Operator::from(3, 3, [](auto, auto) { return -5; });
    CHECK_THROWS(E.apply(x, y), RKN_ERR_CALLBACK, "-5");
    CHECK(E.get_int("callback_status") == -5);

    // a callable that uses the library, and catches or passes on what happens there
    auto inner = rkn::Operator::from(3, 3, [](auto, auto) { throw oops{"inner"}; });
    auto passes = rkn::Operator::from(3, 3, [&](auto in, auto out) { inner.apply(in, out); });
    auto catches = rkn::Operator::from(3, 3, [&](auto in, auto out) {
        try {
            inner.apply(in, out);
        } catch (const oops &) {
            std::copy(in.begin(), in.end(), out.begin());
        }
    });
    CHECK_CARRIES(oops, passes.apply(x, y), "inner");
    catches.apply(x, y);
    CHECK(y == x);
    // an error of the library inside a callable arrives as that error
    auto wrong = rkn::Operator::from(3, 3, [&](auto in, auto) { inner.apply(in, std::vector<double>(2)); });
    CHECK_THROWS(wrong.apply(x, y), RKN_ERR_SIZE, "'y' has size 2");
}

int main() {
    illegal();
    formats<float, std::int32_t>(0);
    formats<double, std::int32_t>(1);
    formats<double, std::int64_t>(0);
    formats<double, long long>(1);
    formats<std::complex<float>, std::int64_t>(1);
    formats<std::complex<double>, int>(0);
    others<float>();
    others<double>();
    others<std::complex<float>>();
    others<std::complex<double>>();
    callables();
    return done();
}
