// Exact transport on a line, on a circle and sliced.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include "check.hpp"

using numbers = std::vector<double>;

// Between 0 and 1, without pattern.
static double unit() {
    static std::uint32_t state = 5;
    state = state * 1664525u + 1013904223u;
    return static_cast<double>(state >> 8) / 16777216.0;
}
static numbers some(std::size_t n) {
    numbers v(n);
    for (double &x : v) x = unit();
    return v;
}
static double distance(double period, double x, double y) {
    const double d = std::abs(x - y);
    return period > 0 ? std::min(std::fmod(d, period), period - std::fmod(d, period)) : d;
}
// The least over all permutations.
static double least(double period, const numbers &x, numbers y, double p) {
    std::sort(y.begin(), y.end());
    double best = std::numeric_limits<double>::infinity();
    do {
        double sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(distance(period, x[i], y[i]), p);
        best = std::min(best, sum / static_cast<double>(x.size()));
    } while (std::next_permutation(y.begin(), y.end()));
    return best;
}

static void permutations() {
    for (std::size_t n = 1; n <= 6; ++n)
        for (double p : {1.0, 1.5, 2.0, 3.0}) {
            const numbers x = some(n), y = some(n);
            CHECK(std::abs(rkn::wasserstein_line(x, y, p) - least(0, x, y, p)) < 1e-14);
            CHECK(std::abs(rkn::wasserstein_circle(0.9, x, y, p) - least(0.9, x, y, p)) < 1e-14);
        }
    const std::array<double, 2> x{0, 1};
    CHECK(rkn::wasserstein_line(x, std::vector<double>{2, 4}) == 6.5);
    CHECK(rkn::wasserstein_line(x, numbers{3}, 1, std::array<double, 2>{1, 3}) == 9);
    CHECK(rkn::wasserstein_line(x, numbers{3}, 1, std::array<double, 2>{1, 3}, numbers{4}) == 9);
}

// The plan's marginals and cost; potentials below the cost, equal on the plan.
static void certificates() {
    for (double period : {0.0, 0.7})
        for (double p : {1.0, 2.0, 2.5}) {
            const numbers x = some(60), y = some(83), a = some(60);
            numbers b = some(83), rows(60), columns(83);
            double of_a = 0, of_b = 0, cost = 0, value = 0;
            for (double v : a) of_a += v;
            for (double v : b) of_b += v;
            for (double &v : b) v *= of_a / of_b;
            const rkn::line_plan P = period > 0 ? rkn::wasserstein_circle_plan(period, x, y, p, a, b) : rkn::wasserstein_line_plan(x, y, a, b);
            const rkn::line_gradient d =
                period > 0 ? rkn::wasserstein_circle_gradient(period, x, y, p, a, b) : rkn::wasserstein_line_gradient(x, y, p, a, b);
            CHECK(d.cost == (period > 0 ? rkn::wasserstein_circle(period, x, y, p, a, b) : rkn::wasserstein_line(x, y, p, a, b)));
            CHECK(P.rows.size() == P.columns.size() && P.rows.size() == P.masses.size() && P.rows.size() <= 142);
            bool tight = true, feasible = true;
            for (std::size_t k = 0; k < P.rows.size(); ++k) {
                const auto i = static_cast<std::size_t>(P.rows[k]), j = static_cast<std::size_t>(P.columns[k]);
                const double c = std::pow(distance(period, x[i], y[j]), p);
                rows[i] += P.masses[k], columns[j] += P.masses[k], cost += P.masses[k] * c;
                tight = tight && std::abs(d.f[i] + d.g[j] - c) < 1e-12;
            }
            for (std::size_t i = 0; i < x.size(); ++i)
                for (std::size_t j = 0; j < y.size(); ++j)
                    feasible = feasible && d.f[i] + d.g[j] <= std::pow(distance(period, x[i], y[j]), p) + 1e-13;
            double off = 0, drift = 0;
            for (std::size_t i = 0; i < x.size(); ++i) off += std::abs(rows[i] - a[i]), value += a[i] * d.f[i], drift += d.x[i];
            for (std::size_t j = 0; j < y.size(); ++j) off += std::abs(columns[j] - b[j]), value += b[j] * d.g[j], drift += d.y[j];
            CHECK(tight && feasible && off < 1e-12);
            CHECK(std::abs(cost - d.cost) < 1e-12 && std::abs(value - d.cost) < 1e-11);
            CHECK(std::abs(drift) < 1e-11);    // both sides moved together cost nothing
        }
}

static void sliced() {
    const numbers X = some(3 * 50), Y = some(2 * 40);
    const rkn::columns<const double> x(X.data(), 2, 50, 3), y(Y.data(), 2, 40);
    numbers G(3 * 50, -7);
    const rkn::columns<double> gradient(G.data(), 2, 50, 3);
    rkn::Context ctx;
    ctx.set("threads", 2);
    const double cost = rkn::wasserstein_sliced(x, y, 30, 2, 9);
    CHECK(cost == rkn::wasserstein_sliced_gradient(x, y, gradient, 30, 2, 9, {}, {}, ctx));
    CHECK(cost != rkn::wasserstein_sliced(x, y, 30, 2, 10));
    CHECK(G[2] == -7 && G[149] == -7);
    // A step against the gradient gains what the slope says, to first order.
    numbers Z = X;
    double square = 0;
    for (std::size_t i = 0; i < 50; ++i)
        for (std::size_t k = 0; k < 2; ++k) Z[3 * i + k] -= 1e-6 * G[3 * i + k], square += G[3 * i + k] * G[3 * i + k];
    const rkn::columns<const double> z(Z.data(), 2, 50, 3);
    CHECK(std::abs((cost - rkn::wasserstein_sliced(z, y, 30, 2, 9)) / (1e-6 * square) - 1) < 1e-4);
    // Along one axis all directions agree.
    const rkn::columns<const double> line(Y.data(), 1, 80);
    const rkn::columns<const double> other(X.data(), 1, 80);
    CHECK(std::abs(rkn::wasserstein_sliced(line, other, 4, 1.5) - rkn::wasserstein_line(Y, numbers(X.begin(), X.begin() + 80), 1.5)) < 1e-14);
}

static void illegal() {
    const numbers x{0, 1}, y{1, 2, 3}, three{1, 1, 1}, minus{3, -1}, none;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS(rkn::wasserstein_line(none, y), RKN_ERR_SIZE, "'n'");
    CHECK_THROWS(rkn::wasserstein_line(numbers{0, nan}, y), RKN_ERR_NONFINITE, "'x' has NaN at position 1");
    CHECK_THROWS(rkn::wasserstein_line(x, y, 2, three), RKN_ERR_SIZE, "wasserstein_line: argument 'a' has size 3, must be 2");
    CHECK_THROWS(rkn::wasserstein_line(x, y, 2, minus), RKN_ERR_ARGUMENT, "'a'");
    CHECK_THROWS(rkn::wasserstein_line(x, y, 2, x, three), RKN_ERR_ARGUMENT, "'b' is of mass 3");
    CHECK_THROWS(rkn::wasserstein_line(x, y, 0.5), RKN_ERR_ARGUMENT, "'p'");
    CHECK_THROWS(rkn::wasserstein_line_plan(x, y, three), RKN_ERR_SIZE, "'a'");
    CHECK_THROWS(rkn::wasserstein_line_gradient(x, none), RKN_ERR_SIZE, "'m'");
    CHECK_THROWS(rkn::wasserstein_circle(0, x, y), RKN_ERR_ARGUMENT, "'period'");
    CHECK_THROWS(rkn::wasserstein_circle_plan(nan, x, y), RKN_ERR_ARGUMENT, "'period'");
    CHECK_THROWS(rkn::wasserstein_circle_gradient(1, x, y, 2, {}, minus), RKN_ERR_SIZE, "'b'");
    const rkn::columns<const double> c(y.data(), 3, 1), d(x.data(), 2, 1);
    CHECK_THROWS(rkn::wasserstein_sliced(c, d, 5), RKN_ERR_SIZE, "'y' has size 2, must be 3");
    CHECK_THROWS(rkn::wasserstein_sliced(c, c, 0), RKN_ERR_SIZE, "'projections'");
    CHECK_THROWS(rkn::wasserstein_sliced(c, c, 5, 2, 0, three), RKN_ERR_SIZE, "'a'");
    numbers G(3);
    CHECK_THROWS(rkn::wasserstein_sliced_gradient(d, d, rkn::columns<double>(G.data(), 3, 1), 5), RKN_ERR_SIZE, "'gradient'");
}

int main() {
    illegal();
    permutations();
    certificates();
    sliced();
    return done();
}
