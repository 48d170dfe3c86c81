// Derivatives of transport, doubly stochastic membership, coding rates: differences, closed forms, sizes that do not fit.
#include <cstdint>
#include "check.hpp"

using numbers = std::vector<double>;

// Between -1 and 1, without pattern.
static double uniform() {
    static std::uint32_t state = 11;
    state = state * 1664525u + 1013904223u;
    return static_cast<double>(state >> 8) / 8388608.0 - 1;
}
static numbers random(std::size_t n) {
    numbers v(n);
    for (double &x : v) x = uniform();
    return v;
}
static numbers masses(std::size_t n) {
    numbers a(n);
    double sum = 0;
    for (double &v : a) sum += v = 1.5 + uniform();
    for (double &v : a) v /= sum;
    return a;
}
static double dot(const numbers &x, const numbers &y) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
    return sum;
}
static numbers moved(const numbers &x, double h, const numbers &u) {
    numbers y = x;
    for (std::size_t i = 0; i < x.size(); ++i) y[i] += h * u[i];
    return y;
}
static rkn::Sinkhorn solver() {
    rkn::Sinkhorn s{"auto"};
    s.options("epsilon=0.3 tolerance=1e-12 derivative_tolerance=1e-13");
    return s;
}

constexpr std::int64_t d = 2, n = 6, m = 5;

static void points() {
    const numbers x = random(d * n), y = random(d * m), a = masses(n), b = masses(m), u = random(d * n), v = random(d * m), W = random(n * m);
    numbers wf = random(n), wg = random(m);
    const double excess = dot(wf, numbers(n, 1)) - dot(wg, numbers(m, 1));
    for (double &w : wg) w += excess / m;
    struct values {
        double dual, of_potentials, of_plan;
    };
    const auto solve = [&](rkn::Sinkhorn &s, const numbers &px, const numbers &py) {
        const auto r = s.solve(rkn::Geometry::points(rkn::columns<const double>(px.data(), d, n), rkn::columns<const double>(py.data(), d, m)), a, b);
        CHECK(r.converged());
        const auto [f, g] = s.potentials();
        numbers one(m * m), P(n * m);
        for (std::size_t j = 0; j < m; ++j) one[j * m + j] = 1;
        s.plan_apply(rkn::columns<const double>(one.data(), m, m), rkn::columns<double>(P.data(), n, m));
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < m; ++j) sum += W[i * m + j] * P[j * n + i];
        return values{s.get_real("dual"), dot(wf, f) + dot(wg, g), sum};
    };
    auto s = solver();
    solve(s, x, y);
    const auto value = s.gradient_points(d);
    const auto potentials = s.vjp_potentials(wf, wg, d, true);
    const auto plan = s.vjp_plan(W, d);
    CHECK(potentials.converged() && plan.converged() && s.get_int("derivative_products") > 0);
    CHECK(potentials.cost.size() == n * m && plan.cost.empty() && plan.a.size() == n && plan.b.size() == m);
    CHECK(std::abs(dot(a, plan.a) - dot(b, plan.b)) < 1e-10);
    auto t = solver();
    const double h = 1e-5;
    const values up = solve(t, moved(x, h, u), moved(y, h, v)), down = solve(t, moved(x, -h, u), moved(y, -h, v));
    const auto near = [&](double slope, double above, double below) { return std::abs(slope - (above - below) / (2 * h)) < 1e-6 * (1 + std::abs(slope)); };
    CHECK(near(dot(value.x, u) + dot(value.y, v), up.dual, down.dual));
    CHECK(near(dot(potentials.x, u) + dot(potentials.y, v), up.of_potentials, down.of_potentials));
    CHECK(near(dot(plan.x, u) + dot(plan.y, v), up.of_plan, down.of_plan));
    // With squared distances dX_i = sum_j dC_ij 2 (x_i - y_j).
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < d; ++k) {
            double sum = 0;
            for (std::size_t j = 0; j < m; ++j) sum += potentials.cost[i * m + j] * 2 * (x[i * d + k] - y[j * d + k]);
            CHECK(std::abs(sum - potentials.x[i * d + k]) < 1e-11);
        }
    CHECK_THROWS(s.gradient_points(1), RKN_ERR_SIZE, "'lddx'");
    CHECK_THROWS(s.gradient_points(-1), RKN_ERR_SIZE, "'d'");
    CHECK_THROWS(s.vjp_potentials(numbers(n - 1), wg), RKN_ERR_SIZE, "'wf'");
    CHECK_THROWS(s.vjp_potentials(numbers(n, 1), numbers(m, 0)), RKN_ERR_ARGUMENT, "the sum of wf");
    CHECK_THROWS(s.vjp_plan(numbers(n)), RKN_ERR_SIZE, "'W'");
    CHECK_THROWS(rkn::Sinkhorn{"auto"}.vjp_plan(numbers{}), RKN_ERR_STATE, "nothing has been solved");
}

static void membership() {
    const double eta = 0.2;
    for (int symmetric = 0; symmetric < 2; ++symmetric) {
        numbers K = random(n * n), D = random(n * n);
        const numbers W = random(n * n);
        if (symmetric)
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < i; ++j) K[i * n + j] = K[j * n + i];
        const auto p = rkn::ds_project(K, eta, 1e-13);
        CHECK(p.converged() && (symmetric == (p.u == p.v)));
        for (std::size_t i = 0; i < n; ++i) {
            double row = 0, column = 0;
            for (std::size_t j = 0; j < n; ++j) row += p.G[i * n + j], column += p.G[j * n + i];
            CHECK(std::abs(row - 1) < 1e-12 && std::abs(column - 1) < 1e-12);
        }
        CHECK(std::abs(p.G[1] - std::exp((p.u[0] + p.v[1] + K[1]) / eta)) < 1e-13);
        const auto dK = rkn::ds_project_vjp(p.G, W, eta);
        const double h = 1e-5, up = dot(W, rkn::ds_project(moved(K, h, D), eta, 1e-13, &p).G),
                     down = dot(W, rkn::ds_project(moved(K, -h, D), eta, 1e-13).G), slope = dot(dK.K, D);
        CHECK(dK.converged() && std::abs(slope - (up - down) / (2 * h)) < 1e-6 * (1 + std::abs(slope)));
    }
    CHECK_THROWS(rkn::ds_project(numbers(5), 1), RKN_ERR_SIZE, "'K'");
    CHECK_THROWS(rkn::ds_project(numbers(4), 0), RKN_ERR_ARGUMENT, "'eta'");
    const auto p = rkn::ds_project(numbers(4), 1);
    CHECK_THROWS(rkn::ds_project(numbers(9), 1, 1e-9, &p), RKN_ERR_SIZE, "'start'");
    CHECK_THROWS(rkn::ds_project_vjp(numbers(4, 0.5), numbers(9), 1), RKN_ERR_SIZE, "'W'");
}

// One feature: logdet is the logarithm of 1 + alpha |z|^2.
static void rates() {
    const numbers z = {1, -2, 3}, pi = {0.5, 0, 0.5, 0.5, 1, 0.5};
    const rkn::columns<const double> Z(z.data(), 1, 3), Pi(pi.data(), 3, 2);
    const auto r = rkn::coding_rate(Z, 0.5, true);
    CHECK(std::abs(r.rate - std::log(8)) < 1e-15 && r.Pi.empty());
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::abs(r.Z[i] - z[i] / 8) < 1e-15);
    CHECK(rkn::coding_rate(Z, 0.5).Z.empty());
    const auto c = rkn::coding_rate(Z, Pi, 0.25, true);
    const double first = 1 + 4 * 5.0, second = 1 + 4 / 2.0 * 9;
    CHECK(std::abs(c.rate - (std::log(first) + 2 * std::log(second)) / 3) < 1e-14);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(std::abs(c.Z[i] - 8.0 / 3 * z[i] * (pi[i] / first + pi[3 + i] / second)) < 1e-14);
        CHECK(std::abs(c.Pi[i] - (std::log(first) + 4 * z[i] * z[i] / first - (1 - 1 / first)) / 3) < 1e-14);
        CHECK(std::abs(c.Pi[3 + i] - (std::log(second) + 4 * z[i] * z[i] / second - (1 - 1 / second)) / 3) < 1e-14);
    }
    CHECK_THROWS(rkn::coding_rate(Z, -1), RKN_ERR_ARGUMENT, "'alpha'");
    CHECK_THROWS(rkn::coding_rate(Z, {pi.data(), 2, 2}, 1), RKN_ERR_SIZE, "'Pi'");
}

int main() {
    points();
    membership();
    rates();
    return done();
}
