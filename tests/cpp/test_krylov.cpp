// Krylov solvers: results, options, callables, memory.
#include "check.hpp"
#include <array>
#include <limits>
#include <memory>
#if __cplusplus >= 202002L
#include <span>
#endif

static const char *const methods[] = {"cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};

static void illegal() {
    CHECK_THROWS(rkn::Krylov("gmers"), RKN_ERR_KEY, "did you mean 'gmres'?");
    CHECK_THROWS(rkn::Krylov(static_cast<const char *>(nullptr)), RKN_ERR_NULL, "'method'");
    rkn::Krylov s{"gcrodr"};
    CHECK_THROWS(s.set("restrt", 40), RKN_ERR_KEY, "did you mean 'restart'?");
    CHECK_THROWS(s.set("restart", -1), RKN_ERR_ARGUMENT, "'restart'");
    CHECK_THROWS(s.set("restart", std::numeric_limits<unsigned long long>::max()), RKN_ERR_ARGUMENT, "64 bits");
    CHECK_THROWS(s.set("rtol", NAN), RKN_ERR_NONFINITE, "'rtol'");
    CHECK_THROWS(s.set("rtol", -1.0f), RKN_ERR_ARGUMENT, "'rtol'");
    CHECK_THROWS(s.set("side", "middle"), RKN_ERR_ARGUMENT, "'side'");
    CHECK_THROWS(s.set("side", 1), RKN_ERR_KEY, "'side'");
    CHECK_THROWS(s.options("restart=40 recycl=20"), RKN_ERR_KEY, "did you mean 'recycle'?");
    CHECK_THROWS(s.get_int("rtol"), RKN_ERR_KEY, "'rtol'");
    CHECK_THROWS(s.get_real("side"), RKN_ERR_KEY, "'side'");
    CHECK_THROWS(s.get_string("rtl"), RKN_ERR_KEY, "rtl");
    CHECK_THROWS(s.set_weights(std::vector<double>{1, -1}), RKN_ERR_ARGUMENT, "'weights'");
    CHECK_THROWS(s.set_scaling(std::vector<double>{1, 2}, std::vector<double>{1}), RKN_ERR_SIZE, "'right' has size 1, must be 2");

    const poisson P(12);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    const auto I3 = rkn::Operator::identity(3);
    auto M = rkn::Operator::preconditioner(A, "jacobi");
    auto x = P.zeros();
    std::vector<float> f(12);
    std::vector<double> longer(13), bad = P.b;
    bad[4] = std::numeric_limits<double>::infinity();
    CHECK_THROWS(s.solve(A, longer, x), RKN_ERR_SIZE, "rkn::Krylov::solve: argument 'b' has size 13, must be 12");
    CHECK_THROWS(s.solve(A, P.b, longer), RKN_ERR_SIZE, "'x' has size 13, must be 12");
    CHECK_THROWS(s.solve(A, f, f), RKN_ERR_SCALAR, "element type");
    CHECK_THROWS(s.solve(A, I3, P.b, x), RKN_ERR_SIZE, "'M'");
    CHECK_THROWS(s.solve(A, bad, x), RKN_ERR_NONFINITE, "'b'");
    CHECK_THROWS(s.prepare(A, I3), RKN_ERR_SIZE, "'M'");
    const auto taken = std::move(M);
    CHECK_THROWS(s.solve(A, M, P.b, x), RKN_ERR_NULL, "'M' was moved from");    // not: no preconditioner
    CHECK_THROWS(s.prepare(A, M), RKN_ERR_NULL, "'M' was moved from");
    CHECK(s.solve(A, taken, P.b, x).converged());
    CHECK(poisson_off(x) < 1e-6);

    rkn::Krylov t = std::move(s);
    CHECK(!s.get() && t.get());
    CHECK_THROWS(s.solve(A, P.b, x), RKN_ERR_NULL, "'s'");
    CHECK_THROWS(s.set("restart", 4), RKN_ERR_NULL, "'s'");
    CHECK(t.solve(A, P.b, x).converged());
    s = std::move(t);
    rkn_krylov *raw = s.release();
    auto back = rkn::Krylov::adopt(raw);
    CHECK(back.solve(A, P.b, x).converged());
}

// tridiag(-1, 2, -1) in every element type; b = 1
template <class T> static void solves(double rtol, double tolerance) {
    const poisson<T, std::int64_t> P(30, 1);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow, 1);
    for (const char *method : methods) {
        rkn::Krylov s{method};
        s.set("rtol", rtol);
        auto x = P.zeros();
        const auto r = s.solve(A, P.b, x);
        CHECK(r.converged() && r && r.status == RKN_OK && r.message.empty());
        if (!CHECK(poisson_off(x) < tolerance)) std::printf("    %s is off by %.3g\n", method, poisson_off(x));
        CHECK(r.iterations > 0 && r.iterations == s.get_int("iterations") && r.applies >= r.iterations);
        CHECK(r.relative_residual <= rtol && std::abs(r.residual_norm - s.get_real("residual_norm")) == 0);
        CHECK(s.history().size() >= 2 && std::abs(s.history()[0] - std::sqrt(30.0)) < 1e-5);
        // the same with a callable as operator and another as preconditioner
        const auto F = rkn::Operator::from<T>(P.n, P.n, [](auto in, auto out) { laplace(in, out); });
        const auto J = rkn::Operator::from<T>(P.n, P.n, [](auto in, auto out) {
            for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] * T(0.5f);
        });
        CHECK(s.solve(F, J, P.b, x).converged());
        CHECK(poisson_off(x) < tolerance);
    }
}

// The sample of the documentation: a sequence.
static void sequence() {
    const std::int64_t n = 400;
    poisson P(n);
    auto x = P.zeros();
    auto A = rkn::Operator::csr(n, n, P.ptr, P.ind, P.val, rkn::borrow);
    rkn::Krylov s{"gcrodr"};
    s.set("rtol", 1e-10);
    s.options("restart=40 recycle=20");
    std::vector<std::int64_t> applies;
    for (int step = 0; step < 3; ++step) {
        for (auto &v : P.val)
            if (v > 0) v = 2.01 + 0.001 * step;
        for (std::size_t i = 0; i < P.b.size(); ++i) P.b[i] = 1 + std::cos(static_cast<double>(i) * (step + 1));
        A.changed();
        const auto r = s.solve(A, P.b, x);
        CHECK(r.converged());
        double worst = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
            worst =
                std::max(worst, std::abs(P.b[i] - (2.01 + 0.001 * step) * x[i] + (i ? x[i - 1] : 0) + (i + 1 < x.size() ? x[i + 1] : 0)));
        CHECK(worst < 1e-7);
        applies.push_back(r.applies);
    }
    CHECK(applies[1] < applies[0] && applies[2] < applies[0]);
    s.forget();
    CHECK(s.get_int("restart") == 40);
    CHECK(s.solve(A, P.b, x).applies > applies[2]);
}

static void arrays() {
    const double d[] = {1, 2, 4};
    const auto A = rkn::Operator::diagonal(d, rkn::borrow);
    rkn::Krylov s{"gmres"};
    std::array<double, 3> b{1, 1, 1};
    double x[3];
    CHECK(s.solve(A, b, x).converged());
    CHECK(std::abs(x[2] - 0.25) < 1e-8);
    CHECK(s.solve(A, rkn::span(b.data(), 3), rkn::span(x, 3)).converged());
#if __cplusplus >= 202002L
    CHECK(s.solve(A, std::span(b), std::span(x)).converged());
#endif
    const auto nothing = rkn::Operator::identity(0);
    std::vector<double> none;
    CHECK(s.solve(nothing, none, none).converged());
    const std::vector<int> zero{0}, no_indices;
    CHECK(s.solve(rkn::Operator::csr(0, 0, zero, no_indices, none, rkn::borrow), none, none).converged());
}

static void options() {
    rkn::Krylov s{"gcrodr"};
    s.set("rtol", 1e-10);
    s.set("atol", 0);
    s.set("restart", 40);
    s.set("recycle", 20u);
    s.set("side", "right");
    s.set(std::string("preconditioner"), std::string("ilu levels=1"));
    CHECK(s.get_real("rtol") == 1e-10 && s.get_int("restart") == 40 && s.get_int("recycle") == 20);
    CHECK(s.get_string("side") == "right" && s.get_string("preconditioner") == "ilu levels=1");
    CHECK(s.view().find("gcrodr") != std::string::npos && s.view().find("ilu levels=1") != std::string::npos);
    // a text longer than any buffer that a binding might start with
    const std::string blanks(1000, ' ');
    s.set("preconditioner", "ilu" + blanks + "levels=1");
    CHECK(s.get_string("preconditioner").size() == 1011);
    int count = 0;
    bool restart = false;
    for (std::int64_t i = 0; const auto row = rkn::Krylov::option_at(i); ++i) {
        ++count;
        restart |= row->key == "restart" && row->type == "int" && !row->doc.empty();
    }
    CHECK(count > 10 && restart);
    CHECK(!rkn::Krylov::option_at(-1));
}

static void callables() {
    const poisson P(60);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    auto x = P.zeros();
    for (const char *method : methods) {
        rkn::Krylov s{method};
        const int before = failed;
        // monitor
        std::int64_t seen = 0;
        s.set_monitor([&](const rkn_progress &p) { seen = p.iteration; });
        CHECK(s.solve(A, P.b, x).converged());
        CHECK(seen > 3);
        s.set_monitor([&](const rkn_progress &p) { return p.iteration >= 3; });
        s.forget();
        auto r = s.solve(A, P.b, x);
        CHECK(r.status == RKN_STOP_MONITOR && r.iterations >= 3 && r.iterations < 6);
        s.set_monitor([&](const rkn_progress &p) {
            if (p.iteration >= 2) throw oops{"monitor"};
        });
        CHECK_CARRIES(oops, s.solve(A, P.b, x), "monitor");
        s.clear_monitor();
        CHECK(s.solve(A, P.b, x).converged());
        // events: phases nest, and products are as many as counted
        int depth = 0, products = 0, wrong = 0;
        s.set_events([&](rkn_event event, bool begins, double flops, double) {
            depth += begins ? 1 : -1;
            wrong += depth < 0 || (begins && flops != 0) || (begins && depth == 1) != (begins && event == RKN_EVENT_SOLVE);
            products += begins && event == RKN_EVENT_APPLY;
        });
        r = s.solve(A, P.b, x);
        CHECK(depth == 0 && wrong == 0 && products > 0 && products <= s.get_int("applies"));    // a panel is one product
        s.set_events([&](rkn_event, bool, double, double) { throw oops{"events"}; });
        CHECK_CARRIES(oops, s.solve(A, P.b, x), "events");
        s.clear_events();
        CHECK(s.solve(A, P.b, x).converged() && depth == 0);
        // convergence test
        s.set_converged([](std::int64_t iteration, double norm, double target) { return norm <= target || iteration >= 4; });
        s.forget();
        CHECK(s.solve(A, P.b, x).iterations == 4);
        s.set_converged([](std::int64_t, double, double) -> bool { throw oops{"converged"}; });
        CHECK_CARRIES(oops, s.solve(A, P.b, x), "converged");
        s.clear_converged();
        // inner product
        int calls = 0;
        s.set_inner([&](auto X, auto Y, auto out) {
            ++calls;
            for (std::int64_t i = 0; i < X.cols(); ++i)
                for (std::int64_t j = 0; j < Y.cols(); ++j) {
                    out(i, j) = 0;
                    for (std::int64_t k = 0; k < X.rows(); ++k) out(i, j) += X(k, i) * Y(k, j);
                }
        });
        CHECK(s.solve(A, P.b, x).converged());
        CHECK(calls > 0 && poisson_off(x) < 1e-5);
        s.set_inner([](auto, auto, auto) { throw oops{"inner"}; });
        CHECK_CARRIES(oops, s.solve(A, P.b, x), "inner");
        s.clear_inner();
        // an operator that throws, at different times, and goes on afterwards
        int applies = 0, when = 0;
        const auto F = rkn::Operator::from(P.n, P.n, [&](auto in, auto out) {
            if (++applies == when) throw oops{"operator"};
            laplace(in, out);
        });
        for (when = 1; when < 9; when += 2) {
            applies = 0;
            s.forget();
            CHECK_CARRIES(oops, s.solve(F, P.b, x), "operator");
            CHECK(applies == when);
            CHECK(s.solve(F, P.b, x).converged());
            CHECK(poisson_off(x) < 1e-5);
        }
        // a preconditioner that throws
        const auto M = rkn::Operator::from(P.n, P.n, [](auto, auto) { throw std::length_error("preconditioner"); });
        CHECK_CARRIES(std::length_error, s.solve(A, M, P.b, x), "preconditioner");
        CHECK(s.solve(A, P.b, x).converged());
        // a callable that writes a NaN
        const auto N = rkn::Operator::from(P.n, P.n, [](auto, auto out) {
            for (auto &v : out) v = NAN;
        });
        CHECK_THROWS(s.solve(N, P.b, x), RKN_ERR_NONFINITE, "rkn_krylov_solve");
        // re-entering the solver: the error of the inner call comes out of the outer one
        const auto again = rkn::Operator::from(P.n, P.n, [&](auto in, auto out) { s.solve(A, in, out); });
        CHECK_THROWS(s.solve(again, P.b, x), RKN_ERR_BUSY, "rkn_krylov_solve");
        CHECK(s.get_int("callback_status") != 0);
        CHECK(s.solve(A, P.b, x).converged());
        if (failed > before) std::printf("    with %s\n", method);
    }
    // another solver inside a preconditioner
    rkn::Krylov outer{"gcrodr"}, inner{"gmres"};
    outer.set("side", "flexible");
    inner.set("rtol", 1e-2);
    const auto M = rkn::Operator::from(P.n, P.n, [&](auto in, auto out) { inner.solve(A, in, out); });
    CHECK(outer.solve(A, M, P.b, x).iterations <= 10);
    CHECK(poisson_off(x) < 1e-5);
}

static void spaces() {
    const poisson P(40);
    auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    auto x = P.zeros();
    std::vector<double> w(40, 2.0), left(40);
    for (std::size_t i = 0; i < 40; ++i) left[i] = 1 + static_cast<double>(i % 3);
    rkn::Krylov s{"gmres"};
    s.set_weights(w);
    CHECK(s.solve(A, P.b, x).converged());
    CHECK(poisson_off(x) < 1e-6 && std::abs(s.history()[0] - std::sqrt(80.0)) < 1e-12);
    s.clear_weights();
    s.set_scaling(left, nullptr);
    CHECK(s.solve(A, P.b, x).converged());
    CHECK(poisson_off(x) < 1e-6);
    s.set_scaling(nullptr, left);
    CHECK(s.solve(A, P.b, x).converged());
    CHECK(poisson_off(x) < 1e-6);
    s.clear_scaling();
    s.prepare(A);
    CHECK(s.solve(A, P.b, x).converged());

    // complex: the product conjugates its first argument, and comes back in double
    const auto C = rkn::Operator::diagonal(std::vector<std::complex<float>>{{1, 1}, {2, -1}, {3, 0}}, rkn::copy);
    std::vector<std::complex<float>> b{{1, 0}, {0, 1}, {1, 1}}, z(3);
    rkn::Krylov t{"gmres"};
    t.set("rtol", 1e-5);
    t.set_inner<std::complex<float>>([](auto X, auto Y, auto out) {
        for (std::int64_t i = 0; i < X.cols(); ++i)
            for (std::int64_t j = 0; j < Y.cols(); ++j) {
                out(i, j) = 0;
                for (std::int64_t k = 0; k < X.rows(); ++k) out(i, j) += std::complex<double>(std::conj(X(k, i)) * Y(k, j));
            }
    });
    CHECK(t.solve(C, b, z).converged());
    CHECK(std::abs(z[0] - b[0] / std::complex<float>(1, 1)) < 1e-4f && std::abs(z[1] - b[1] / std::complex<float>(2, -1)) < 1e-4f);

    // a kernel of constants: the Neumann Laplacian by a callable
    auto N = rkn::Operator::from(40, 40, [](auto in, auto out) {
        laplace(in, out);
        out[0] -= in[0], out[39] -= in[39];
    });
    const std::vector<double> constant(40, 1.0);
    N.set_nullspace(rkn::side::right, constant);
    N.set_nullspace(rkn::side::left, rkn::columns<const double>(constant.data(), 40, 1));
    std::vector<double> rhs(40, 3.0);
    rhs[0] += 1, rhs[39] -= 1;
    rkn::Krylov m{"minres"};
    CHECK(m.solve(N, rhs, x).converged());
    double sum = 0;
    for (const double v : x) sum += v;
    CHECK(std::abs(sum) < 1e-7 && std::abs(x[0] - x[39] - 39) < 1e-5);    // slope -1 and no constant part
    N.clear_nullspace(rkn::side::left);
    N.clear_nullspace(rkn::side::right);
}

int main() {
    illegal();
    solves<float>(1e-4, 1e-2);
    solves<double>(1e-11, 1e-8);
    solves<std::complex<float>>(1e-4, 1e-2);
    solves<std::complex<double>>(1e-11, 1e-8);
    sequence();
    arrays();
    options();
    callables();
    spaces();
    return done();
}
