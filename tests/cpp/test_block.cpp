// Block solves: chosen solutions, what the header itself refuses, how columns end, and the same bits by requests.
#include "check.hpp"
#include <numeric>

static const char *const methods[] = {"auto", "cg", "minres", "gmres", "bicgstab", "gcrodr", "rcg", "rminres", "idr", "cocg", "cocr"};

// n x k numbers with a gap after each column that nothing may write to.
template <class T> struct panel {
    std::int64_t n, k, ld;
    std::vector<T> numbers;

    panel(std::int64_t rows, std::int64_t cols, std::int64_t gap = 0)
        : n(rows), k(cols), ld(rows + gap), numbers(static_cast<std::size_t>(ld * cols), T(-77)) {}
    rkn::columns<T> view() { return {numbers.data(), n, k, ld}; }
    rkn::columns<const T> view() const { return {numbers.data(), n, k, ld}; }
    bool is_whole() const {
        for (std::int64_t j = 0; j < k; ++j)
            for (std::int64_t i = n; i < ld; ++i)
                if (view()(i, j) != T(-77)) return false;
        return true;
    }
};

// Columns without pattern, and tridiag(-1, 2, -1) times them.
template <class T> static panel<T> chosen(std::int64_t n, std::int64_t k) {
    panel<T> X(n, k);
    for (std::int64_t i = 0; i < n * k; ++i)
        X.numbers[static_cast<std::size_t>(i)] = T(static_cast<float>(std::sin(12.9898 * static_cast<double>(i) + static_cast<double>(i * i))));
    return X;
}
template <class T> static panel<T> image(const panel<T> &X, std::int64_t gap = 0) {
    panel<T> B(X.n, X.k, gap);
    for (std::int64_t j = 0; j < X.k; ++j) {
        auto column = B.view().column(j);
        laplace(X.view().column(j), column);
    }
    return B;
}
template <class T> static double off(const panel<T> &X, const panel<T> &want) {
    double most = 0;
    for (std::int64_t j = 0; j < X.k; ++j)
        for (std::int64_t i = 0; i < X.n; ++i) {
            const double d = std::abs(X.view()(i, j) - want.view()(i, j));
            if (!(d <= most)) most = d;
        }
    return most;
}

static void illegal() {
    const poisson P(12);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    auto M = rkn::Operator::preconditioner(A, "jacobi");
    const auto want = chosen<double>(12, 3), B = image(want);
    panel<double> X(12, 3), longer(13, 3), more(12, 4);
    panel<float> single(12, 3);
    rkn::Krylov s{"cg"};
    const auto before = X.numbers;
    const auto all = [&](const char *f, auto call) {
        const std::string name = std::string("rkn::Krylov::") + f;
        CHECK_THROWS(call(longer.view(), X.view()), RKN_ERR_SIZE, name + ": argument 'B' has size 13, must be 12");
        CHECK_THROWS(call(B.view(), longer.view()), RKN_ERR_SIZE, name + ": argument 'X' has size 13, must be 12");
        CHECK_THROWS(call(B.view(), more.view()), RKN_ERR_SIZE, "'X' must have as many columns as B");
        CHECK_THROWS(call(single.view(), single.view()), RKN_ERR_SCALAR, "element type");
        CHECK_THROWS(call(rkn::columns(X.numbers.data(), 12, 3), X.view()), RKN_ERR_ARGUMENT, "'X'");
        CHECK_THROWS(call(rkn::columns<const double>(B.numbers.data(), 12, 3, 11), X.view()), RKN_ERR_SIZE, "'ldb'");
        CHECK_THROWS(call(B.view(), rkn::columns<double>(X.numbers.data(), 12, 3, 0)), RKN_ERR_SIZE, "'ldx'");
        CHECK_THROWS(call(rkn::columns<const double>(nullptr, 12, 3), X.view()), RKN_ERR_NULL, "'B'");
        CHECK_THROWS(call(rkn::columns<const double>(nullptr, 12, -1), rkn::columns<double>(nullptr, 12, -1)), RKN_ERR_SIZE, "'ncols'");
    };
    all("solve_block", [&](auto b, auto x) { return s.solve_block(A, b, x); });
    all("start_block", [&](auto b, auto x) { s.start_block(A, b, x); });
    auto poisoned = B;
    poisoned.view()(5, 1) = NAN;
    CHECK_THROWS(s.solve_block(A, poisoned.view(), X.view()), RKN_ERR_NONFINITE, "row 5 of column 1");
    auto view = X.view();
    const auto taken = std::move(M);
    CHECK_THROWS(s.solve_block(A, M, B.view(), X.view()), RKN_ERR_NULL, "'M' was moved from");
    CHECK_THROWS(s.start_block(A, M, B.view(), view), RKN_ERR_NULL, "'M' was moved from");
    CHECK(X.numbers == before);
    rkn::Krylov t = std::move(s);
    CHECK_THROWS(s.solve_block(A, B.view(), X.view()), RKN_ERR_NULL, "'s'");
    CHECK_THROWS(s.column_results(), RKN_ERR_NULL, "'s'");
    CHECK(t.column_results().empty());
    CHECK(t.solve_block(A, taken, B.view(), X.view()).converged() && off(X, want) < 1e-6);
    CHECK(t.solve_block(A, panel<double>(12, 0).view(), panel<double>(12, 0).view()).iterations == 0 && t.column_results().empty());
}

template <class T> static void solves(double rtol, double tolerance) {
    const poisson<T> P(40);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    for (const char *method : methods) {
        rkn::Krylov s{method};
        s.set("rtol", rtol);
        for (const std::int64_t count : {3, 1, 5}) {
            const auto want = chosen<T>(P.n, count);
            const auto B = image(want, 3);
            panel<T> X(P.n, count, 2);
            const auto r = s.solve_block(A, B.view(), X.view());
            CHECK(r.converged() && r.message.empty() && X.is_whole());
            if (!CHECK(off(X, want) < tolerance)) std::printf("    %s is off by %.3g\n", method, off(X, want));
            const auto ends = s.column_results();
            std::int64_t longest = 0;
            CHECK(ends.size() == static_cast<std::size_t>(count));
            for (const auto &end : ends) {
                CHECK(end.converged() && end && !std::strcmp(end.name(), "RKN_OK") && end.residual_norm < 20 * rtol);
                longest = std::max(longest, end.iterations);
            }
            CHECK(r.iterations == longest && r.applies >= std::accumulate(ends.begin(), ends.end(), std::int64_t{0}, [](auto sum, auto &end) {
                      return sum + end.iterations;
                  }));
        }
        // one vector is a block of one column
        const auto want = chosen<T>(P.n, 1), B = image(want);
        auto x = P.zeros(), y = x;
        s.forget();
        CHECK(s.solve(A, B.numbers, x).converged());
        s.forget();
        CHECK(s.solve_block(A, B.numbers, y).converged() && x == y && s.column_results().size() == 1);
    }
}

// CG takes as many steps as a right-hand side has different entries of a diagonal matrix.
static void ends() {
    std::vector<double> d;
    for (int i = 0; i < 30; ++i) d.push_back(i + 1);
    const auto A = rkn::Operator::diagonal(d, rkn::borrow);
    panel<double> B(30, 3), X(30, 3);
    for (std::int64_t i = 0; i < 30; ++i) B.view()(i, 0) = 0, B.view()(i, 1) = i < 4, B.view()(i, 2) = 1;
    rkn::Krylov s{"cg"};
    s.set("max_iterations", 7);
    const auto r = s.solve_block(A, B.view(), X.view());
    CHECK(r.status == RKN_STOP_ITERATIONS && !r.message.empty() && r.iterations == 7);
    const auto e = s.column_results();
    CHECK(e[0] && e[0].iterations == 0 && e[0].residual_norm == 0);
    CHECK(e[1] && e[1].iterations == 4);
    CHECK(!e[2] && e[2].status == RKN_STOP_ITERATIONS && e[2].iterations == 7 && e[2].residual_norm == r.residual_norm);
    for (std::int64_t i = 0; i < 30; ++i) CHECK(X.view()(i, 0) == 0 && std::abs(X.view()(i, 1) - (i < 4 ? 1.0 / static_cast<double>(i + 1) : 0)) < 1e-8);
    // an error is that of its column
    d[20] = -1;
    rkn::Krylov t{"cg"};
    CHECK_THROWS(t.solve_block(A, B.view(), X.view()), RKN_ERR_INDEFINITE, "");
    const auto f = t.column_results();
    CHECK(f[0] && f[1] && f[2].status == RKN_ERR_INDEFINITE && std::isfinite(X.view()(3, 2)));
}

static void callables() {
    const std::int64_t n = 30, k = 4;
    const auto want = chosen<double>(n, k), B = image(want);
    panel<double> X(n, k);
    std::int64_t calls = 0, columns = 0, widest = 0;
    const auto A = rkn::Operator::from_block(n, n, [&](auto in, auto out) {
        ++calls, columns += in.cols(), widest = std::max(widest, in.cols());
        if (calls == 100) throw oops{"no product"};
        for (std::int64_t j = 0; j < in.cols(); ++j) {
            auto column = out.column(j);
            laplace(in.column(j), column);
        }
    });
    const auto M = rkn::Operator::from(n, n, [](auto in, auto out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] / 2;
    });
    rkn::Krylov s{"cg"};
    const auto r = s.solve_block(A, M, B.view(), X.view());
    CHECK(r.converged() && off(X, want) < 1e-5 && widest == k);
    CHECK(columns == r.applies && calls <= r.iterations + 2 * k);
    calls = 95;
    CHECK_CARRIES(oops, s.solve_block(A, M, B.view(), X.view()), "no product");
    for (const auto &end : s.column_results()) CHECK(end.status == RKN_ERR_CALLBACK);
    for (const double v : X.numbers) CHECK(std::isfinite(v));
    CHECK(s.solve_block(A, M, B.view(), X.view()).converged());
}

template <class T> static void by_requests(const char *method) {
    const std::int64_t n = 30, k = 3;
    const auto F = rkn::Operator::from<T>(n, n, [](auto in, auto out) { laplace(in, out); });
    const auto H = rkn::Operator::from<T>(n, n, [](auto in, auto out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] * T(0.5f);
    });
    const auto A = rkn::Operator::by_request<T>(n, n), M = rkn::Operator::by_request<T>(n, n, RKN_REQUEST_PRECONDITION);
    rkn::Krylov s{method}, t{method};
    s.set("rtol", 1e-5), t.set("rtol", 1e-5);
    for (int step = 0; step < 4; ++step) {
        const bool with = step % 2;
        const auto want = chosen<T>(n, k);
        const auto B = image(want, step);
        panel<T> X(n, k, 1), Y(n, k, 1);
        auto view = Y.view();
        const auto result = with ? s.solve_block(F, H, B.view(), X.view()) : s.solve_block(F, B.view(), X.view());
        if (with)
            t.start_block(A, M, B.view(), view);
        else
            t.start_block(A, B.view(), view);
        std::int64_t widest = 0;
        rkn::request r = t.next();
        for (; !r.done(); r = t.next()) {
            const auto in = r.x<T>();
            const auto out = r.y<T>();
            widest = std::max(widest, in.cols());
            for (std::int64_t j = 0; j < in.cols(); ++j) {
                auto column = out.column(j);
                if (r.kind() == RKN_REQUEST_APPLY)
                    laplace(in.column(j), column);
                else
                    for (std::int64_t i = 0; i < n; ++i) column[i] = in(i, j) * T(0.5f);
            }
        }
        CHECK(widest == k && r.status() == result.status && X.numbers == Y.numbers && t.get_int("iterations") == result.iterations);
        s.forget(), t.forget();
    }
}

int main() {
    illegal();
    solves<float>(1e-5, 1e-2);
    solves<double>(1e-11, 1e-8);
    solves<std::complex<float>>(1e-5, 1e-2);
    solves<std::complex<double>>(1e-11, 1e-8);
    ends();
    callables();
    for (const char *method : {"cg", "gmres", "bicgstab", "gcrodr"}) {
        by_requests<double>(method);
        by_requests<std::complex<float>>(method);
    }
    return done();
}
