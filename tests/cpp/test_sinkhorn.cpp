// Optimal transport: closed forms, sorted points, one cost in all geometries, plans, callables that throw.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include "check.hpp"

using numbers = std::vector<double>;

// Between 0 and 1, without pattern.
static double unit() {
    static std::uint32_t state = 7;
    state = state * 1664525u + 1013904223u;
    return static_cast<double>(state >> 8) / 16777216.0;
}
static numbers masses(std::size_t n) {
    numbers a(n);
    double sum = 0;
    for (double &v : a) sum += v = 0.2 + unit();
    for (double &v : a) v /= sum;
    return a;
}
static rkn::Sinkhorn solver(const char *method, double epsilon, double tolerance) {
    rkn::Sinkhorn s{method};
    s.set("epsilon", epsilon);
    s.set("tolerance", tolerance);
    return s;
}
// P as a matrix by rows, from the potentials and the cost by rows.
static numbers plan(const rkn::Sinkhorn &s, const numbers &C) {
    const auto [f, g] = s.potentials();
    const double epsilon = s.get_real("epsilon_used");
    numbers P(C.size());
    for (std::size_t i = 0; i < f.size(); ++i)
        for (std::size_t j = 0; j < g.size(); ++j) P[i * g.size() + j] = std::exp((f[i] + g[j] - C[i * g.size() + j]) / epsilon);
    return P;
}
static double marginal_error(const numbers &P, const numbers &a, const numbers &b) {
    numbers columns(b.size());
    double error = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        double row = 0;
        for (std::size_t j = 0; j < b.size(); ++j) row += P[i * b.size() + j], columns[j] += P[i * b.size() + j];
        error += std::abs(row - a[i]);
    }
    for (std::size_t j = 0; j < b.size(); ++j) error += std::abs(columns[j] - b[j]);
    return error;
}
static double off(const numbers &x, const numbers &y) {
    double worst = x.size() == y.size() ? 0 : 1e300;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
        if (!(std::abs(x[i] - y[i]) <= worst)) worst = std::abs(x[i] - y[i]);
    return worst;
}

static void illegal() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    numbers C{1, 2, 3, 4, 5, 6}, a{1, 1}, b{1, 0.5, 0.5};
    const auto row_major = rkn::order::row_major;
    CHECK_THROWS(rkn::Geometry::matrix(2, 4, row_major, C, rkn::copy), RKN_ERR_SIZE, "'C' has size 6, must be at least 8");
    CHECK_THROWS(rkn::Geometry::matrix(2, 3, row_major, C, rkn::copy, 2), RKN_ERR_SIZE, "'ld'");
    CHECK_THROWS(rkn::Geometry::matrix(0, 3, row_major, C, rkn::copy), RKN_ERR_SIZE, "'n'");
    CHECK_THROWS(rkn::Geometry::matrix(1, 1, row_major, std::vector<std::complex<double>>(1), rkn::copy), RKN_ERR_SCALAR, "complex");
    CHECK_THROWS(rkn::Geometry::matrix(1, 2, row_major, numbers{1, nan}, rkn::copy), RKN_ERR_NONFINITE, "row 0 and column 1");
    const rkn::columns<const double> x(C.data(), 2, 3), line(C.data(), 1, 3);
    CHECK_THROWS(rkn::Geometry::points(x, line), RKN_ERR_SIZE, "'y' has size 1, must be 2");
    CHECK_THROWS(rkn::Geometry::points(x, x, 0), RKN_ERR_ARGUMENT, "'p'");
    CHECK_THROWS(rkn::Geometry::points(x, x, 2, 2, numbers{1}), RKN_ERR_SIZE, "'weights' has size 1, must be 2");
    CHECK_THROWS(rkn::Geometry::points(x, x, 2, 2, {}, numbers{1, -1}), RKN_ERR_ARGUMENT, "'periods'");
    CHECK_THROWS(rkn::Geometry::grid({}), RKN_ERR_ARGUMENT, "'d'");
    CHECK_THROWS(rkn::Geometry::grid({2, 2}, {1}), RKN_ERR_SIZE, "'h' has size 1, must be 2");
    CHECK_THROWS(rkn::Geometry::grid({2, 2}, {}, {1, 0, 1}), RKN_ERR_SIZE, "'periodic' has size 3, must be 2");
    const std::vector<int> ptr{0, 1, 3}, ind{0, 1, 1};
    CHECK_THROWS(rkn::Geometry::sparse(2, 3, ptr, ind, C), RKN_ERR_INDEX, "'colind'");
    CHECK_THROWS(rkn::Geometry::sparse(3, 3, ptr, ind, C), RKN_ERR_SIZE, "'rowptr' has size 3, must be 4");
    CHECK_THROWS(rkn::Geometry::sparse(2, 3, ptr, ind, numbers{1}), RKN_ERR_SIZE, "'values' has size 1, must be at least 3");

    CHECK_THROWS(rkn::Sinkhorn{"emd"}, RKN_ERR_KEY, "known: auto, sinkhorn, sns");
    rkn::Sinkhorn s{"auto"};
    CHECK_THROWS(s.set("epsilom", 1.0), RKN_ERR_KEY, "did you mean 'epsilon'?");
    CHECK_THROWS(s.set("relaxation", 1.5), RKN_ERR_KEY, "'relaxation'");
    CHECK_THROWS(s.set("max_passes", std::numeric_limits<std::uint64_t>::max()), RKN_ERR_ARGUMENT, "does not fit");
    CHECK_THROWS(s.potentials(), RKN_ERR_STATE, "nothing has been solved");
    CHECK_THROWS(s.plan_sparse(0.1), RKN_ERR_STATE, "nothing has been solved");
    CHECK_THROWS(s.plan_apply(b, a), RKN_ERR_STATE, "nothing has been solved");
    const auto G = rkn::Geometry::matrix(2, 3, row_major, C, rkn::borrow);
    CHECK_THROWS(s.solve(G, b, a), RKN_ERR_SIZE, "'a' has size 3, must be 2");
    CHECK_THROWS(s.solve(G, a, a), RKN_ERR_SIZE, "'b' has size 2, must be 3");
    CHECK_THROWS(s.solve(G, a, numbers{1, 1, 1}), RKN_ERR_ARGUMENT, "mass");
    CHECK_THROWS(s.solve(G, a, numbers{1, -1, 2}), RKN_ERR_ARGUMENT, "'b'");
    CHECK(s.solve(G, a, b).converged());
    CHECK_THROWS(s.plan_apply(a, a), RKN_ERR_SIZE, "'x' has size 2, must be 3");
    CHECK_THROWS(s.plan_apply_transposed(a, a), RKN_ERR_SIZE, "'y' has size 2, must be 3");
    CHECK_THROWS(s.plan_apply(rkn::columns<double>(C.data(), 3, 2), a), RKN_ERR_SIZE, "as many columns");
    CHECK_THROWS(s.plan_sparse(-1), RKN_ERR_ARGUMENT, "'threshold'");
    rkn::Sinkhorn moved = std::move(s);
    CHECK(moved.potentials().f.size() == 2);
    CHECK_THROWS(s.solve(G, a, b), RKN_ERR_NULL, "'s'");
    // C code solves with the handle: the size of its plan is unknown here.
    const double one = 1;
    const auto small = rkn::Geometry::matrix(1, 1, row_major, numbers{0}, rkn::copy);
    CHECK(rkn_sinkhorn_solve(moved.get(), small.get(), &one, &one) == RKN_OK);
    CHECK_THROWS(moved.potentials(), RKN_ERR_STATE, "not one of this object");
    CHECK_THROWS(moved.plan_apply(b, a), RKN_ERR_STATE, "not one of this object");
    rkn::Sinkhorn adopted = rkn::Sinkhorn::adopt(moved.release());
    CHECK_THROWS(adopted.plan_sparse(0.1), RKN_ERR_STATE, "not one of this object");
    CHECK(adopted.solve(G, a, b) && adopted.potentials().g.size() == 3);
    adopted.forget();
    CHECK_THROWS(adopted.potentials(), RKN_ERR_STATE, "nothing has been solved");
}

// Two points each: P_11 / P_12 = exp(1 / epsilon).
static void two_points() {
    const std::array<double, 4> C{0, 1, 1, 0};
    const std::array<double, 2> a{0.5, 0.5};
    const auto G = rkn::Geometry::matrix(2, 2, rkn::order::row_major, C, rkn::borrow);
    CHECK(G.shape().nrows == 2 && G.shape().ncols == 2);
    for (const char *method : {"auto", "sinkhorn", "sns"})
        for (const double epsilon : {1.0, 0.3, 0.1}) {
            auto s = solver(method, epsilon, 1e-13);
            const auto r = s.solve(G, a, a);
            CHECK(r.converged() && r && r.message.empty() && r.status == RKN_OK && std::string(r.name()) == "RKN_OK");
            const auto [f, g] = s.potentials();
            const double apart = 0.5 / (1 + std::exp(1 / epsilon)), together = 0.5 - apart;
            CHECK(std::abs(std::exp((f[0] + g[0] - C[0]) / epsilon) - together) < 1e-12);
            CHECK(std::abs(std::exp((f[0] + g[1] - C[1]) / epsilon) - apart) < 1e-12);
            CHECK(std::abs(r.cost - 2 * apart) < 1e-12);
            const double entropy = 2 * together * std::log(together) + 2 * apart * std::log(apart);
            CHECK(std::abs(s.get_real("primal") - (2 * apart + epsilon * (entropy - 1))) < 1e-12);
            CHECK(s.get_string("method") == method && s.get_string("reason") == "converged");
            CHECK(r.iterations == s.get_int("iterations") && r.passes > 0 && r.marginal_error <= 1e-13);
        }
}

// On a line sorted points are matched in order; <C, P> exceeds that by epsilon log n at most.
static void line() {
    const std::size_t n = 80;
    numbers x(n), y(n), a(n, 1.0 / static_cast<double>(n));
    for (double &v : x) v = unit();
    for (double &v : y) v = unit() * unit();
    const auto on = [n](numbers &v) { return rkn::columns<double>(v.data(), 1, static_cast<std::int64_t>(n)); };
    const auto G = rkn::Geometry::points(on(x), on(y));
    std::sort(x.begin(), x.end());       // the geometry has copied them
    std::sort(y.begin(), y.end());
    double exact = 0, before = 1;
    for (std::size_t i = 0; i < n; ++i) exact += (x[i] - y[i]) * (x[i] - y[i]) / static_cast<double>(n);
    auto s = solver("auto", 1e-2, 1e-9);
    for (const double epsilon : {1e-2, 1e-3, 1e-4, 1e-5}) {
        s.set("epsilon", epsilon);
        const auto r = s.solve(G, a, a);
        const double more = r.cost - exact;
        CHECK(r && more > -1e-9 && more < epsilon * std::log(static_cast<double>(n)) && more < before);
        before = more;
    }
    CHECK(s.get_int("solves") == 4);
}

// A grid of 6 x 5 cells, one axis closed, as every geometry.
static void geometries() {
    const std::size_t nx = 6, ny = 5, n = nx * ny;
    const std::int64_t N = static_cast<std::int64_t>(n);
    numbers C(n * n), T(n * (n + 2)), points(2 * n), shuffled(n * n);
    std::vector<float> F(n * n);
    std::vector<std::int64_t> ptr{1}, ind(n * n);
    for (std::size_t i = 0; i < n; ++i) {
        points[2 * i] = 0.1 * static_cast<double>(i / ny), points[2 * i + 1] = 0.15 * static_cast<double>(i % ny);
        for (std::size_t j = 0; j < n; ++j) {
            const double dx = 0.1 * (static_cast<double>(i / ny) - static_cast<double>(j / ny));
            const double turn = std::abs(static_cast<double>(i % ny) - static_cast<double>(j % ny));
            const double dy = 0.15 * std::min(turn, static_cast<double>(ny) - turn);
            C[i * n + j] = T[j * (n + 2) + i] = dx * dx + dy * dy;
            F[i * n + j] = static_cast<float>(C[i * n + j]);
        }
        for (std::size_t e = 0; e < n; ++e) {
            const std::size_t j = (7 * e + i) % n;
            ind[i * n + e] = static_cast<std::int64_t>(j) + 1, shuffled[i * n + e] = C[i * n + j];
        }
        ptr.push_back(static_cast<std::int64_t>((i + 1) * n) + 1);
    }
    const numbers a = masses(n), b = masses(n), periods{0, 0.75};
    const rkn::columns<const double> cloud(points.data(), 2, N);
    const auto by_rows = [&](std::int64_t i, rkn::span<double> row) {
        std::copy_n(C.begin() + i * N, n, row.begin());
    };
    std::vector<rkn::Geometry> all;
    all.push_back(rkn::Geometry::matrix(N, N, rkn::order::row_major, C, rkn::copy));
    all.push_back(rkn::Geometry::matrix(N, N, rkn::order::column_major, T, rkn::borrow, N + 2));
    all.push_back(rkn::Geometry::points(cloud, cloud, 2, 2, {}, periods));
    all.push_back(rkn::Geometry::grid({nx, ny}, {0.1, 0.15}, {0, 1}));
    all.push_back(rkn::Geometry::sparse(N, N, ptr, ind, shuffled, 1));
    all.push_back(rkn::Geometry::rows(N, N, by_rows));
    all.push_back(rkn::Geometry::matrix(N, N, rkn::order::row_major, F, rkn::borrow));
    for (std::size_t k = 0; k < all.size(); ++k) {
        auto s = solver("auto", 5e-3, 1e-11);
        CHECK(all[k].shape().nrows == N && all[k].shape().ncols == N);
        CHECK(s.solve(all[k], a, b));
        CHECK(marginal_error(plan(s, C), a, b) < (k == 6 ? 1e-4 : 3e-11));
    }
    // weights, p and q: sqrt(2 dx^2 + 3 dy^2)
    const auto weighted = rkn::Geometry::points(cloud, cloud, 2, 1, numbers{2, 3});
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
            const double dx = points[2 * i] - points[2 * j], dy = points[2 * i + 1] - points[2 * j + 1];
            C[i * n + j] = std::sqrt(2 * dx * dx + 3 * dy * dy);
        }
    auto s = solver("sinkhorn", 5e-2, 1e-11);
    CHECK(s.solve(weighted, a, b) && marginal_error(plan(s, C), a, b) < 3e-11);
}

// More columns than rows, a point without mass: the plan applied, and written out.
static void plans() {
    const std::size_t n = 15, m = 24;
    numbers C(n * m), a = masses(n), b = masses(m);
    for (double &v : C) v = unit();
    a[0] += a[3], a[3] = 0;
    rkn::Context ctx;
    ctx.set("threads", 2);
    rkn::Sinkhorn s{std::string("auto"), ctx};
    s.options("epsilon=0.05 tolerance=1e-11");
    {
        const auto G = rkn::Geometry::matrix(15, 24, rkn::order::row_major, C, rkn::borrow, 0, ctx);
        CHECK(s.solve(G, a, b));
    }
    const numbers P = plan(s, C);
    CHECK(marginal_error(P, a, b) < 3e-11 && std::isinf(s.potentials().f[3]));
    double cost = 0;
    for (std::size_t k = 0; k < C.size(); ++k) cost += P[k] * C[k];
    CHECK(std::abs(cost - s.get_real("cost")) < 1e-12);
    // two columns with a gap between them
    numbers X(2 * m + 3), Y(2 * n + 1, -7.0), want(2 * n + 1, -7.0);
    for (double &v : X) v = unit();
    for (std::size_t c = 0; c < 2; ++c)
        for (std::size_t i = 0; i < n; ++i) {
            want[c * (n + 1) + i] = 0;
            for (std::size_t j = 0; j < m; ++j) want[c * (n + 1) + i] += P[i * m + j] * X[c * (m + 3) + j];
        }
    s.plan_apply(rkn::columns<const double>(X.data(), 24, 2, 27), rkn::columns<double>(Y.data(), 15, 2, 16));
    CHECK(off(Y, want) < 1e-12);
    numbers x(n), y(m), z(m);
    for (double &v : x) v = unit();
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) z[j] += P[i * m + j] * x[i];
    s.plan_apply_transposed(x, y);
    CHECK(off(y, z) < 1e-12);
    const auto sparse = s.plan_sparse(3e-3);
    std::size_t entries = 0, wrong = 0;
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) {
            if (P[i * m + j] <= 3e-3) continue;
            wrong += sparse.colind.at(entries) != static_cast<std::int64_t>(j) || std::abs(sparse.values.at(entries) - P[i * m + j]) > 1e-12;
            wrong += sparse.rowptr.at(i) > static_cast<std::int64_t>(entries) || sparse.rowptr.at(i + 1) <= static_cast<std::int64_t>(entries);
            ++entries;
        }
    CHECK(entries > n / 2 && entries < n * m / 2 && wrong == 0);
    CHECK(sparse.rowptr.size() == n + 1 && sparse.colind.size() == entries && sparse.values.size() == entries);
    const auto none = s.plan_sparse(2);
    CHECK(none.values.empty() && none.rowptr == std::vector<std::int64_t>(n + 1));
    // columns by themselves: the adjoint of the solution is the solution of the adjoint
    auto t = solver("auto", 0.05, 1e-11);
    CHECK(t.solve(rkn::Geometry::matrix(24, 15, rkn::order::column_major, C, rkn::copy), b, a));
    t.plan_apply(x, y);
    CHECK(off(y, z) < 1e-9);
}

// A warm start takes fewer passes; forgetting takes it back.
static void memory() {
    const int K = 10;
    const auto G = rkn::Geometry::grid({K, K}, {0.1, 0.1});
    auto s = solver("auto", 4e-3, 1e-9);
    const auto blob = [&](double u) {
        numbers a;
        double sum = 0;
        for (int i = 0; i < K * K; ++i) {
            const double x = 0.1 * (i / K) - u, y = 0.1 * (i % K) - 0.4;
            a.push_back(1e-2 + 1 / ((1 + 20 * (x * x + y * y)) * (1 + 20 * (x * x + y * y))));
            sum += a.back();
        }
        for (double &v : a) v /= sum;
        return a;
    };
    const auto first = s.solve(G, blob(0.3), blob(0.7));
    const auto second = s.solve(G, blob(0.301), blob(0.7));
    s.forget();
    const auto again = s.solve(G, blob(0.3), blob(0.7));
    CHECK(first && second && again);
    CHECK(second.passes < first.passes && again.passes == first.passes && again.cost == first.cost);
}

static void callables() {
    const numbers a{0.5, 0.5};
    const auto G = rkn::Geometry::matrix(2, 2, rkn::order::row_major, numbers{0, 1, 0.4, 0}, rkn::copy);
    auto s = solver("sinkhorn", 0.2, 1e-13);
    int calls = 0;
    double last = -1;
    s.set_monitor([&](const rkn_progress &p) {
        last = p.measure;
        return ++calls == 2 && p.solver == 2;
    });
    const auto stopped = s.solve(G, a, a);
    CHECK(stopped.status == RKN_STOP_MONITOR && !stopped && !stopped.message.empty() && calls == 2 && last > 0);
    CHECK(s.potentials().f.size() == 2);
    s.set_monitor([](const rkn_progress &) { throw oops{"from the monitor"}; });
    CHECK_CARRIES(oops, s.solve(G, a, a), "from the monitor");
    s.clear_monitor();
    CHECK(s.solve(G, a, a));

    // rows: let go with the last object, carried out of a solve and out of a product
    auto token = std::make_shared<int>(0);
    bool broken = false;
    std::optional<rkn::Geometry> R = rkn::Geometry::rows(2, 2, [&broken, token](std::int64_t i, rkn::span<double> row) {
        if (broken) throw oops{"from row " + std::to_string(i)};
        row[0] = i == 0 ? 0 : 0.4, row[1] = i == 0 ? 1 : 0;
    });
    CHECK(token.use_count() == 2);
    auto t = solver("auto", 0.2, 1e-13);
    CHECK(t.solve(*R, a, a));
    CHECK(off(t.potentials().f, [&] {
              auto f = s.potentials().f;
              const double shift = t.potentials().f[0] - f[0];
              for (double &v : f) v += shift;
              return f;
          }()) < 1e-10);
    R.reset();
    CHECK(token.use_count() == 2);
    numbers y(2);
    t.plan_apply(numbers{1, 1}, y);
    CHECK(off(y, a) < 1e-12);
    broken = true;
    CHECK_CARRIES(oops, t.plan_apply(a, y), "from row 0");
    CHECK_CARRIES(oops, t.plan_sparse(0), "from row 0");
    broken = false;
    CHECK(t.plan_sparse(0).values.size() == 4);
    CHECK(t.solve(G, a, a) && token.use_count() == 1);
    const auto refusing = rkn::Geometry::rows(2, 2, [](std::int64_t i, rkn::span<double> row) {
        row[0] = row[1] = 0;
        return i == 1 ? 9 : 0;
    });
    CHECK_THROWS(t.solve(refusing, a, a), RKN_ERR_CALLBACK, "9");
    // what failed leaves the last plan
    t.plan_apply(numbers{1, 1}, y);
    CHECK(off(y, a) < 1e-12);
    CHECK_THROWS(rkn::Geometry::rows(0, 2, [token](std::int64_t, rkn::span<double>) {}), RKN_ERR_SIZE, "'n'");
    CHECK(token.use_count() == 1);
}

// A point that may go nowhere: no plan is delivered, and the one before stays.
static void infeasible() {
    const std::vector<int> ptr{0, 1, 1, 3}, ind{0, 1, 2};
    const auto G = rkn::Geometry::sparse(3, 3, ptr, ind, numbers{1, 1, 1});
    const auto small = rkn::Geometry::matrix(1, 1, rkn::order::row_major, numbers{0}, rkn::copy);
    auto s = solver("auto", 1e-2, 1e-9);
    CHECK(s.solve(small, numbers{3}, numbers{3}));
    CHECK(s.solve(G, numbers{1, 1, 1}, numbers{1, 1, 1}).status == RKN_STOP_INFEASIBLE);
    CHECK(s.potentials().f.size() == 1 && std::abs(s.plan_sparse(0).values.at(0) - 3) < 1e-9);
}

// The bounds contain the least cost over all matchings, the rounded plan has the marginals and costs the upper one.
static void bounds() {
    const std::size_t n = 6;
    numbers C(n * n), T(n * n), a(n, 1.0 / static_cast<double>(n));
    for (double &v : C) v = unit();
    std::array<std::size_t, n> order{0, 1, 2, 3, 4, 5};
    double exact = 1e300;
    do {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += C[i * n + order[i]] / static_cast<double>(n);
        exact = std::min(exact, sum);
    } while (std::next_permutation(order.begin(), order.end()));
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) T[j * n + i] = C[i * n + j];
    for (const bool is_transposed : {false, true}) {
        const auto G = is_transposed ? rkn::Geometry::matrix(6, 6, rkn::order::column_major, T, rkn::borrow)
                                     : rkn::Geometry::matrix(6, 6, rkn::order::row_major, C, rkn::borrow);
        auto s = solver("auto", 0.1, 1e-4);
        CHECK_THROWS(s.bracket(), RKN_ERR_STATE, "nothing has been solved");
        CHECK_THROWS(s.round(), RKN_ERR_STATE, "nothing has been solved");
        CHECK_THROWS(s.plan_rows(0, 0), RKN_ERR_STATE, "nothing has been solved");
        CHECK(s.solve(G, a, a));
        const auto [lower, upper] = s.bracket();
        CHECK(lower <= exact && exact <= upper && upper - lower < 0.4);
        CHECK(s.get_real("lower_bound") == lower && s.get_real("upper_bound") == upper);
        const auto P = s.plan_rows(0, 6);
        CHECK(off(P, plan(s, C)) < 1e-14 && s.plan_rows(2, 3) == numbers(P.begin() + 12, P.begin() + 30));
        const auto [x, y, u, v] = s.round();
        numbers R(n * n);
        double cost = 0;
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < n; ++j) {
                R[i * n + j] = x[i] * P[i * n + j] * y[j] + u[i] * v[j];
                cost += R[i * n + j] * C[i * n + j];
            }
        CHECK(marginal_error(R, a, a) < 1e-14 && *std::min_element(R.begin(), R.end()) >= 0 && std::abs(cost - upper) < 1e-14);
        CHECK_THROWS(s.plan_rows(6, 1), RKN_ERR_INDEX, "'first'");
        CHECK_THROWS(s.plan_rows(-1, 1), RKN_ERR_SIZE, "'first'");
        CHECK_THROWS(s.plan_rows(1, std::numeric_limits<std::int64_t>::max()), RKN_ERR_INDEX, "'first'");
        s.set("target_gap", 1e-6);
        CHECK(s.solve(G, a, a));
        CHECK(s.get_real("lower_bound") <= exact + 1e-13 && s.get_real("upper_bound") >= exact - 1e-13);
        CHECK(s.get_real("upper_bound") - s.get_real("lower_bound") <= 1e-6 * exact * (1 + 1e-6));
        // less mass than there is, from masses that differ: a whole unit goes where that is cheapest
        s.options("target_gap=0 epsilon=1e-3 tolerance=1e-9");
        s.set("transported_mass", 1.0 / static_cast<double>(n));
        CHECK(s.solve(G, a, numbers(n, 1)));
        const auto part = s.plan_rows(0, 6);
        double moved = 0;
        for (const double p : part) moved += p;
        CHECK(std::abs(moved - 1.0 / static_cast<double>(n)) < 1e-8);
        CHECK(std::abs(s.get_real("cost") - *std::min_element(C.begin(), C.end()) / static_cast<double>(n)) < 2e-3);
        CHECK_THROWS(s.bracket(), RKN_ERR_STATE, "partial");
        CHECK_THROWS(s.round(), RKN_ERR_STATE, "partial");
        // C code solves with the handle: the size of its plan is unknown here
        const double one = 1;
        const auto small = rkn::Geometry::matrix(1, 1, rkn::order::row_major, numbers{0}, rkn::copy);
        CHECK(rkn_sinkhorn_solve(s.get(), small.get(), &one, &one) == RKN_OK);
        CHECK_THROWS(s.round(), RKN_ERR_STATE, "not one of this object");
        CHECK_THROWS(s.plan_rows(0, 1), RKN_ERR_STATE, "not one of this object");
    }
}

// Two Diracs are as far apart as transport between them costs; masses that are the same are not apart.
static void divergences() {
    const numbers x{0, 0}, y{0.3, 0.4}, one{2};
    const auto at = [](const numbers &v) { return rkn::columns<const double>(v.data(), 2, 1); };
    const auto G = rkn::Geometry::points(at(x), at(y)), Gx = rkn::Geometry::points(at(x), at(x)), Gy = rkn::Geometry::points(at(y), at(y));
    auto s = solver("auto", 0.1, 1e-13);
    const auto apart = s.divergence(G, Gx, Gy, one, one);
    CHECK(apart && std::abs(apart.value - 0.5) < 1e-14 && std::abs(apart.cost - 0.5) < 1e-14);
    const auto line = rkn::Geometry::grid({30}, {1.0 / 30});
    const numbers a = masses(30), b = masses(30);
    CHECK(std::abs(s.divergence(line, a, a).value) < 1e-12);
    const auto first = s.divergence(line, a, b), again = s.divergence(line, a, b);
    CHECK(first.value > 1e-6 && std::abs(first.value - s.divergence(line, b, a).value) < 1e-12);
    CHECK(again.passes < first.passes && std::abs(again.value - first.value) < 1e-12 && s.potentials().f.size() == 30);
    CHECK_THROWS(s.divergence(line, a, one), RKN_ERR_SIZE, "Sinkhorn::divergence: argument 'b' has size 1, must be 30");
    CHECK_THROWS(s.divergence(line, line, Gx, a, b), RKN_ERR_SIZE, "'Gb'");
    const auto broken = rkn::Geometry::rows(1, 1, [](std::int64_t, rkn::span<double>) { throw oops{"from a self term"}; });
    CHECK_CARRIES(oops, s.divergence(G, broken, Gy, one, one), "from a self term");
    CHECK(s.potentials().f.size() == 30 && s.plan_rows(0, 1).size() == 30);     // what failed leaves the last plan
    s.set("max_passes", 1);
    const auto cut = s.divergence(line, b, a);
    CHECK(cut.status == RKN_STOP_ITERATIONS && !cut && std::isnan(cut.value) && !cut.message.empty());
}

// A sequence saved and gone on with by another solver ends with the same bits.
static void saved() {
    const auto G = rkn::Geometry::grid({40}, {1.0 / 40});
    const numbers b = masses(40);
    auto s = solver("auto", 1e-3, 1e-9), t = solver("auto", 1e-3, 1e-9);
    CHECK(s.solve(G, masses(40), b) && s.solve(G, masses(40), b));
    const std::vector<std::byte> bytes = s.save();
    t.load(bytes);
    CHECK_THROWS(t.potentials(), RKN_ERR_STATE, "nothing has been solved");
    CHECK(t.save() == bytes);
    const numbers a = masses(40);
    const auto went_on = s.solve(G, a, b), resumed = t.solve(G, a, b);
    CHECK(s.potentials().f == t.potentials().f && s.potentials().g == t.potentials().g && went_on.passes == resumed.passes);
    std::vector<std::byte> damaged = bytes;
    damaged[bytes.size() / 2] ^= std::byte{1};
    CHECK_THROWS(t.load(damaged), RKN_ERR_FORMAT, "'buf'");
    CHECK_THROWS(t.load(rkn::span<const std::byte>(bytes.data(), bytes.size() - 1)), RKN_ERR_FORMAT, "'buf'");
    CHECK_THROWS(t.load(std::string("something else")), RKN_ERR_FORMAT, "'buf'");
    CHECK(s.potentials().f == t.potentials().f);
}

int main() {
    illegal();
    two_points();
    line();
    geometries();
    plans();
    memory();
    callables();
    infeasible();
    bounds();
    divergences();
    saved();
    CHECK(rkn::option_reference("sinkhorn").find("epsilon_relative") != std::string::npos);
    return done();
}
