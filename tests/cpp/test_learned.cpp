// What a solver has learned: as columns, as bytes, in copies, marked and rolled back to, on another mesh.
#include "check.hpp"

static const char *const methods[] = {"gcrodr", "rcg", "rminres"};

static rkn::Krylov solver(const char *method, const char *options = "restart=40 recycle=8") {
    rkn::Krylov s{method};
    s.options(options);
    return s;
}
static std::vector<double> numbers(std::int64_t n, double shift) {
    std::vector<double> v;
    for (std::int64_t i = 0; i < n; ++i) v.push_back(std::sin(12.9898 * (static_cast<double>(i) + shift) + static_cast<double>(i * i)));
    return v;
}

// a to 2 a.size() + 1 points, linear in between
static void interpolate(rkn::span<const double> a, rkn::span<double> f) {
    for (std::size_t i = 0; i < f.size(); ++i)
        f[i] = i % 2 ? a[i / 2] : 0.5 * ((i ? a[i / 2 - 1] : 0) + (i + 1 < f.size() ? a[i / 2] : 0));
}

static void illegal() {
    const poisson P(150);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    auto s = solver("gcrodr");
    auto x = P.zeros();
    CHECK_THROWS(s.save(), RKN_ERR_STATE, "rkn_krylov_save");
    CHECK_THROWS(s.rollback(), RKN_ERR_STATE, "rkn_krylov_rollback");
    CHECK_THROWS(s.truncate(-1), RKN_ERR_SIZE, "'ncols'");
    CHECK_THROWS(s.space(-1), RKN_ERR_SIZE, "'n'");
    CHECK(s.space(P.n).empty() && s.ritz_values().empty() && s.angles().empty());
    CHECK_THROWS(rkn::Krylov("cg").set_space(P.b), RKN_ERR_UNSUPPORTED, "gcrodr");
    auto poisoned = P.b;
    poisoned[3] = NAN;
    CHECK_THROWS(s.set_space(poisoned), RKN_ERR_NONFINITE, "row 3 of column 0");
    CHECK(s.solve(A, P.b, x).converged());
    const auto U = s.space(P.n);
    CHECK_THROWS(s.space<float>(P.n), RKN_ERR_SCALAR, "'scalar'");
    CHECK_THROWS(s.space(P.n - 1), RKN_ERR_SIZE, "'n'");
    CHECK_THROWS(s.prolongate(-5, interpolate), RKN_ERR_SIZE, "'n'");
    CHECK_THROWS(s.prolongate<float>(301, [](auto, auto) {}), RKN_ERR_SCALAR, "'scalar'");
    CHECK_THROWS(s.prolongate(301, [](auto, auto) { return 7; }), RKN_ERR_CALLBACK, "'prolongate'");
    CHECK_CARRIES(oops, s.prolongate(301, [](auto, auto) { throw oops{"no mesh"}; }), "no mesh");
    CHECK_THROWS(s.prolongate(301, [](auto, auto y) { y[0] = NAN; }), RKN_ERR_NONFINITE, "");
    CHECK(s.space(P.n) == U);

    auto bytes = s.save();
    auto t = solver("gcrodr");
    CHECK_THROWS(t.load(A, std::vector<std::byte>{}), RKN_ERR_FORMAT, "'buf'");
    bytes[bytes.size() / 2] ^= std::byte{16};
    CHECK_THROWS(t.load(A, bytes), RKN_ERR_FORMAT, "'buf'");
    bytes[bytes.size() / 2] ^= std::byte{16};
    auto M = rkn::Operator::preconditioner(A, "jacobi");
    const auto taken = std::move(M);
    CHECK_THROWS(t.load(A, M, bytes), RKN_ERR_NULL, "'M' was moved from");
    CHECK_THROWS(t.load(rkn::Operator::identity(3), bytes), RKN_ERR_SIZE, "'A'");
    CHECK(t.space(P.n).empty());
    t.load(A, bytes);
    CHECK(t.space(P.n) == U);
    CHECK_THROWS(solver("gcrodr", "restart=22").load(A, bytes), RKN_ERR_STATE, "restart = ");
    const auto gone = std::move(t);
    CHECK_THROWS(t.clone(), RKN_ERR_NULL, "'s'");
    CHECK_THROWS(t.report(), RKN_ERR_NULL, "'s'");
    CHECK_THROWS(rkn::Operator::preconditioner(A, "jacobi").set_refresh([] {}), RKN_ERR_STATE, "refresh");
}

// A run that is saved and resumed, cloned, or rolled back after rejected steps goes on bit for bit.
static void resumed() {
    for (const char *method : {"gcrodr", "rcg", "rminres", "auto"}) {
        poisson P(200);
        auto Q = P.val;    // the arrays of the resumed run
        auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow), B = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, Q, rkn::borrow);
        const char *options = std::strcmp(method, "auto") ? "restart=40 recycle=8" : "";
        auto s = solver(method, options), r = solver(method, options), back = solver(method, options), copy = solver(method, options);
        auto x = P.zeros(), y = x;
        for (int step = 0; step < 6; ++step) {
            for (std::size_t i = 0; i < P.val.size(); ++i)
                if (P.val[i] > 0) P.val[i] = 2.01 + 0.001 * step;
            const auto b = numbers(P.n, step);
            A.changed();
            const auto steps = s.solve(A, b, x).iterations;
            CHECK(back.solve(A, b, y).iterations == steps && x == y);
            back.mark();
            (void)back.solve(A, numbers(P.n, 40 + step), y);
            back.rollback();
            if (step > 2) {
                Q = P.val;
                B.changed();
                CHECK(r.solve(B, b, y).iterations == steps && x == y);
                CHECK(copy.solve(A, b, y).iterations == steps && x == y);
            }
            if (step == 2) {
                Q = P.val;
                r.load(B, s.save());
                copy = s.clone();
            }
        }
    }
}

// The eigenvectors of tridiag(-1, 2, -1) are known: without the first eight sqrt(condition) is nine times smaller.
static void given() {
    const std::int64_t n = 400, k = 8, ld = n + 5;
    const poisson P(n);
    auto A = rkn::Operator::csr(n, n, P.ptr, P.ind, P.val, rkn::borrow);
    A.set("hermitian", 1);
    std::vector<double> U(static_cast<std::size_t>(ld * k));
    const rkn::columns<double> modes(U.data(), n, k, ld);
    const double pi = std::acos(-1.0);
    const auto angle = [&](std::int64_t j) { return static_cast<double>(j + 1) * pi / static_cast<double>(n + 1); };
    for (std::int64_t j = 0; j < k; ++j)
        for (std::int64_t i = 0; i < n; ++i) modes(i, j) = std::sin(static_cast<double>(i + 1) * angle(j));
    const auto b = numbers(n, 0);
    auto x = P.zeros();
    for (const char *method : methods) {
        auto s = solver(method, "restart=60 recycle=8 diagnostics=on"), t = solver(method, "restart=60 recycle=8 diagnostics=on");
        const auto without = s.solve(A, b, x).iterations;
        t.set_space(modes);
        CHECK(t.get_int("recycled") == k && t.space(n).size() == static_cast<std::size_t>(n * k));
        const auto with = t.solve(A, b, x).iterations;
        CHECK(with * 3 < without * 2 && t.get_int("recycle_applies") == k);
        CHECK(t.report().find("iterations") != std::string::npos);
        // the space stays where it is, and its Ritz values are the eigenvalues
        const auto ritz = t.ritz_values();
        const auto turned = t.angles();
        CHECK(ritz.size() >= 7 && turned.size() >= 7 && turned[0] >= 0 && turned[0] < 1e-3);
        for (std::size_t j = 0; j < 4 && j < ritz.size(); ++j) {
            const double value = 2 - 2 * std::cos(angle(static_cast<std::int64_t>(j)));
            if (!CHECK(std::abs(ritz[j] - value) < 1e-3 * value)) std::printf("    %s: Ritz value %.6g, eigenvalue %.6g\n", method, ritz[j].real(), value);
        }
        auto learned = t.space(n);
        auto u = solver(method, "restart=60 recycle=8");
        u.set_space(rkn::columns(learned.data(), n, static_cast<std::int64_t>(learned.size()) / n));
        CHECK(u.solve(A, b, x).iterations <= with + 2);
        learned = u.space(n);
        learned.resize(static_cast<std::size_t>(2 * n));
        u.truncate(2);
        CHECK(u.space(n) == learned);
        u.set_space(rkn::columns<double>(nullptr, n, 0));
        CHECK(u.solve(A, b, x).iterations == without && u.get_int("recycle_applies") == 0);
    }
}

static void prolongated() {
    const poisson coarse(150), fine(301);
    const auto A = rkn::Operator::csr(coarse.n, coarse.n, coarse.ptr, coarse.ind, coarse.val, rkn::borrow);
    const auto F = rkn::Operator::csr(fine.n, fine.n, fine.ptr, fine.ind, fine.val, rkn::borrow);
    auto x = coarse.zeros(), y = fine.zeros();
    for (const char *method : methods) {
        auto s = solver(method), t = solver(method);
        std::size_t calls = 0;
        const auto carry = [&](auto a, auto f) {
            ++calls;
            interpolate(a, f);
        };
        t.prolongate(fine.n, carry);
        CHECK(calls == 0);
        CHECK(s.solve(A, numbers(coarse.n, 0), x).converged());
        const std::size_t held = s.space(coarse.n).size() / 150;
        s.prolongate(fine.n, carry);
        CHECK(held >= 7 && calls >= held && s.space(fine.n).size() == held * 301);
        const auto b = numbers(fine.n, 0);
        CHECK(s.solve(F, b, y).iterations < t.solve(F, b, y).iterations);
    }
}

// The program's own factors: of the diagonal matrix as it was at the last refresh.
static void refreshed() {
    std::vector<double> d(50, 2.0), inverse(50, 0.5), b(50, 1.0), x(50);
    auto A = rkn::Operator::diagonal(d, rkn::borrow);
    auto M = rkn::Operator::from<double>(50, 50, [&](auto in, auto out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = inverse[i] * in[i];
    });
    auto kept = std::make_shared<int>(0);
    M.set_refresh([&, kept] {
        for (std::size_t i = 0; i < d.size(); ++i) inverse[i] = 1 / d[i];
        ++*kept;
    });
    CHECK(kept.use_count() == 2 && *kept == 0);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = static_cast<double>(i * i + 1);
    A.changed();
    rkn::Krylov s{"cg"};
    CHECK(s.solve(A, M, b, x).iterations > 5);
    M.changed();
    CHECK(*kept == 1 && s.solve(A, M, b, x).iterations == 1 && std::abs(x[3] - 0.1) < 1e-12);
    M.set_refresh([]() -> int { return 7; });
    CHECK(kept.use_count() == 1);
    CHECK_THROWS(M.changed(), RKN_ERR_CALLBACK, "");
    M.set_refresh([] { throw oops{"no factor"}; });
    CHECK_CARRIES(oops, M.changed(), "no factor");
    M.clear_refresh();
    M.changed();
    CHECK(s.solve(A, M, b, x).iterations == 1);
}

int main() {
    illegal();
    resumed();
    given();
    prolongated();
    refreshed();
    return done();
}
