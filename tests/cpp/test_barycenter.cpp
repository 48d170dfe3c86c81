// Barycentres in closed form, and several problems at once against single solves; one bad pair among others.
#include <algorithm>
#include <cstdint>
#include <limits>
#include "check.hpp"

using numbers = std::vector<double>;

static rkn::Sinkhorn solver(const char *method, const char *options) {
    rkn::Sinkhorn s{method};
    s.options(options);
    return s;
}
static double off(const numbers &x, const numbers &y) {
    double worst = x.size() == y.size() ? 0 : 1e300;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
        if (!(std::abs(x[i] - y[i]) <= worst)) worst = std::abs(x[i] - y[i]);
    return worst;
}
static double total(const numbers &x) {
    double sum = 0;
    for (const double v : x) sum += v;
    return sum;
}

// Two Diracs: exp(-sum_l w_l C_il / epsilon), scaled. Debiased, one input is its own barycentre.
static void given_points() {
    const std::size_t n = 20;
    const auto G = rkn::Geometry::grid({20}, {0.05});
    numbers B(2 * n), want(n);
    B[5] = B[n + 15] = 1;
    for (std::size_t i = 0; i < n; ++i) {
        const double x = static_cast<double>(i);
        want[i] = std::exp(-(0.3 * (x - 5) * (x - 5) + 0.7 * (x - 15) * (x - 15)) * 0.0025 / 0.01);
    }
    const double scale = total(want);
    for (double &v : want) v /= scale;
    auto s = solver("auto", "epsilon=0.01 tolerance=1e-13");
    const rkn::columns<const double> inputs(B.data(), 20, 2);
    const auto r = s.barycenter(G, inputs, numbers{3, 7});
    CHECK(r && r.converged() && r.message.empty() && r.iterations > 0 && r.passes > 0 && r.marginal_error <= 1e-13);
    CHECK(off(r.p, want) < 1e-12);
    CHECK(off(s.barycenter(G, inputs).p, r.p) > 1e-2);
    numbers b(n);
    for (std::size_t i = 0; i < n; ++i) b[i] = 1 + static_cast<double>(i * 7 % 5);
    s.options("barycenter=debiased epsilon=0.003 tolerance=1e-11");
    CHECK(off(s.barycenter(G, b).p, b) < 1e-6);

    CHECK_THROWS(s.barycenter(G, rkn::columns<const double>(B.data(), 10, 2)), RKN_ERR_SIZE, "'inputs' has size 10, must be 20");
    CHECK_THROWS(s.barycenter(G, inputs, numbers{1}), RKN_ERR_SIZE, "'weights' has size 1, must be 2");
    CHECK_THROWS(s.barycenter(G, inputs, numbers{1, -1}), RKN_ERR_ARGUMENT, "'weights'");
    CHECK_THROWS(s.barycenter(G, rkn::columns<const double>(B.data(), 20, 0)), RKN_ERR_SIZE, "'k'");
    const auto lopsided = rkn::Geometry::matrix(2, 2, rkn::order::row_major, numbers{0, 1, 2, 0}, rkn::copy);
    CHECK_THROWS(s.barycenter(lopsided, numbers{1, 1}), RKN_ERR_ARGUMENT, "symmetric");
    s.options("barycenter=entropic tolerance=0");
    s.set_monitor([](const rkn_progress &p) { return p.iteration == 2; });
    const auto stopped = s.barycenter(lopsided, numbers{1, 1});
    CHECK(stopped.status == RKN_STOP_MONITOR && !stopped.message.empty() && std::abs(total(stopped.p) - 2) < 1e-14);
    s.set_monitor([](const rkn_progress &) { throw oops{"from the monitor"}; });
    CHECK_CARRIES(oops, s.barycenter(lopsided, numbers{1, 1}), "from the monitor");
    // rows that meet no common column
    s.clear_monitor();
    const std::vector<int> ptr{0, 1, 2}, ind{0, 1};
    const auto apart = rkn::Geometry::sparse(2, 2, ptr, ind, numbers{1, 1});
    const auto none = s.barycenter(apart, rkn::columns<const double>(numbers{1, 0, 0, 1}.data(), 2, 2));
    CHECK(none.status == RKN_STOP_INFEASIBLE && none.p.empty());
}

// One point goes to the weighted mean of the means; a single cloud's own points stay, nearly, if epsilon is small.
static void moving_points() {
    const numbers first{0, 0, 1, 0, 0, 2}, second{4, 4, 6, 8}, masses{0.5, 0.25, 0.25}, alike{0.5, 0.5};
    const rkn::columns<const double> one(first.data(), 2, 3), two(second.data(), 2, 2);
    auto s = solver("auto", "epsilon=0.01 tolerance=1e-10");
    numbers x{100, -3};
    const auto r = s.barycenter_points(rkn::columns<double>(x.data(), 2, 1), {{one, masses}, {two, alike}}, numbers{1, 3});
    CHECK(r && r.iterations == 2);
    CHECK(off(x, numbers{0.25 * 0.25 + 0.75 * 5, 0.25 * 0.5 + 0.75 * 6}) < 1e-12);
    numbers cloud{0.1, 0.1, 1.2, 0.1, -0.1, 1.8};
    CHECK(s.barycenter_points(rkn::columns<double>(cloud.data(), 2, 3), {{one}}));
    CHECK(off(cloud, first) < 1e-8);
    CHECK(s.barycenter_points(rkn::columns<double>(cloud.data(), 2, 3), {{one, masses}}, {}, masses));
    CHECK(off(cloud, first) < 1e-8);
    const rkn::columns<double> moving(cloud.data(), 2, 3);
    CHECK_THROWS(s.barycenter_points(moving, {}), RKN_ERR_SIZE, "'k'");
    CHECK_THROWS(s.barycenter_points(moving, {{one}, {rkn::columns<const double>(first.data(), 1, 6)}}), RKN_ERR_SIZE, "'points' has size 1");
    CHECK_THROWS(s.barycenter_points(moving, {{one, masses}, {two}}), RKN_ERR_ARGUMENT, "'masses'");
    CHECK_THROWS(s.barycenter_points(moving, {{one, alike}}), RKN_ERR_SIZE, "'masses' has size 2, must be 3");
    CHECK_THROWS(s.barycenter_points(moving, {{one}}, {}, alike), RKN_ERR_SIZE, "'a' has size 2, must be 3");
    CHECK_THROWS(s.barycenter_points(moving, {{rkn::columns<const double>(first.data(), 2, 0)}}), RKN_ERR_INDEX, "'cloudptr'");
}

static void several() {
    const std::size_t n = 6, m = 4, k = 5;
    numbers C(n * m), A(n * k), B(m * k);
    for (std::size_t i = 0; i < C.size(); ++i) C[i] = static_cast<double>(i * i * 7 % 13) / 13;
    for (std::size_t i = 0; i < A.size(); ++i) A[i] = 1 + static_cast<double>(i * 5 % 7);
    for (std::size_t l = 0; l < k; ++l) {
        double a = 0;
        for (std::size_t i = 0; i < n; ++i) a += A[l * n + i];
        for (std::size_t j = 0; j < m; ++j) B[l * m + j] = a / static_cast<double>(m);
    }
    const auto G = rkn::Geometry::matrix(6, 4, rkn::order::row_major, C, rkn::borrow);
    const rkn::columns<double> a(A.data(), 6, 5), b(B.data(), 4, 5);
    rkn::Context ctx;
    ctx.set("threads", 3);
    for (const char *method : {"auto", "sinkhorn"}) {
        rkn::Sinkhorn s{method, ctx};
        s.options("epsilon=0.1 tolerance=1e-11");
        const auto r = s.solve_batch(G, a, b);
        CHECK(r && r.message.empty() && r.statuses == std::vector<rkn_status>(k, RKN_OK));
        std::vector<rkn::transport_problem> problems;
        for (std::size_t l = 0; l < k; ++l) {
            auto t = solver(method, "epsilon=0.1 tolerance=1e-11");
            const auto column = static_cast<std::int64_t>(l);
            const auto single = t.solve(G, a.column(column), b.column(column));
            CHECK(single && std::abs(single.cost - r.costs[l]) < 1e-9);
            const auto p = t.potentials();
            const double shift = p.f[0] - r.potentials[l].f[0];
            numbers f = r.potentials[l].f;
            for (double &v : f) v += shift;
            CHECK(off(f, p.f) < 1e-9 && r.potentials[l].g.size() == m);
            problems.push_back({&G, a.column(column), b.column(column)});
        }
        const auto many = s.solve_many(problems);
        CHECK(many && off(many.costs, r.costs) < 1e-9 && many.potentials[4].f.size() == n);
        // a bad pair among others
        A[n] = std::numeric_limits<double>::quiet_NaN();
        const auto bad = s.solve_batch(G, a, b);
        CHECK(!bad && bad.status == RKN_ERR_NONFINITE && bad.message.find("row 0 and column 1") != std::string::npos);
        CHECK(bad.statuses[0] == RKN_OK && bad.statuses[1] == RKN_ERR_NONFINITE && bad.statuses[4] == RKN_OK);
        CHECK(bad.costs[0] == r.costs[0] && std::isnan(bad.costs[1]) && bad.potentials[1].f.empty() && bad.potentials[2].f.size() == n);
        const auto worse = s.solve_many(problems);
        CHECK(worse.status == RKN_ERR_NONFINITE && worse.potentials[1].g.empty() && worse.costs[4] == many.costs[4]);
        A[n] = 1 + static_cast<double>(n * 5 % 7);
        CHECK_THROWS(s.solve_batch(G, b, a), RKN_ERR_SIZE, "'A' has size 4, must be 6");
        CHECK_THROWS(s.solve_batch(G, a, rkn::columns<double>(B.data(), 4, 2)), RKN_ERR_SIZE, "as many columns");
        CHECK_THROWS(s.solve_many({{&G, numbers{1}, numbers{1}}}), RKN_ERR_SIZE, "'a' has size 1, must be 6");
        CHECK_THROWS(s.solve_many({{nullptr, numbers{1}, numbers{1}}}), RKN_ERR_NULL, "'G'");
        CHECK(s.solve_many({}).costs.empty() && s.solve_batch(G, rkn::columns<double>(A.data(), 6, 0), rkn::columns<double>(B.data(), 4, 0)));
        const auto throwing = rkn::Geometry::rows(6, 4, [](std::int64_t, rkn::span<double>) { throw oops{"from a row"}; });
        CHECK_CARRIES(oops, s.solve_batch(throwing, a, b), "from a row");
        problems[2].G = &throwing;
        CHECK_CARRIES(oops, s.solve_many(problems), "from a row");
    }
}

int main() {
    given_points();
    moving_points();
    several();
    return done();
}
