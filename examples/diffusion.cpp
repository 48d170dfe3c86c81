// Diffusion as a walk downhill, in C++: the steps, the two solvers and the table of diffusion.c, which explains them.
//
// Usage: diffusion [cells a side, 48] [steps, 20]
#include <reknit.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using both = std::array<double, 2>;             // along x and y

constexpr double half_side = 5.0, tau = 0.05;
constexpr both stiffness = {1.0, 2.0};          // V = sum of stiffness x^2 / 2
constexpr both mean_before = {2.0, -1.0}, variance_before = {0.25, 0.36};

// Masses of n x n cells, the second index runs fastest.
using density = std::vector<double>;

// The middle of cell i along an axis.
double centre(int n, int i) { return half_side * ((2.0 * i + 1.0) / n - 1.0); }

// A bell; the masses' sum is 1.
density bell(int n, const both &mean, const both &variance) {
    density r;
    double sum = 0.0;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            const double x = centre(n, i) - mean[0], y = centre(n, j) - mean[1];
            r.push_back(std::exp(-0.5 * (x * x / variance[0] + y * y / variance[1])));
            sum += r.back();
        }
    for (double &mass : r) mass /= sum;
    return r;
}

struct Moments {
    both mean, variance;

    Moments(int n, const density &r) {
        double sum = 0.0;
        both first = {0.0, 0.0}, second = {0.0, 0.0};
        auto cell = r.begin();
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) {
                const double mass = *cell++;
                const both at = {centre(n, i), centre(n, j)};
                sum += mass;
                for (std::size_t k = 0; k < 2; ++k) {
                    first[k] += mass * at[k];
                    second[k] += mass * at[k] * at[k];
                }
            }
        for (std::size_t k = 0; k < 2; ++k) {
            mean[k] = first[k] / sum;
            variance[k] = second[k] / sum - mean[k] * mean[k];
        }
    }
};

// F less its least value, which is that of the density at rest.
double energy(const density &r, const density &rest) {
    double sum = 0.0;
    for (std::size_t c = 0; c < r.size(); ++c)
        if (r[c] > 0.0) sum += r[c] * std::log(r[c] / rest[c]);
    return sum;
}

// An unblurred step of a bell, along one axis: (next - width) / tau + k next - 1 / next = 0.
void step_of_bell(double k, double &mean, double &variance) {
    const double shrink = 1.0 + k * tau;
    const double next = (std::sqrt(variance) + std::sqrt(variance + 4.0 * tau * shrink)) / (2.0 * shrink);
    mean /= shrink;
    variance = next * next;
}

rkn::Sinkhorn solver(const char *start, double epsilon, double price) {
    rkn::Sinkhorn s{"auto"};
    s.options("tolerance=1e-9");
    s.set("start", start);
    s.set("epsilon", epsilon);
    s.set("penalty_b", price);
    return s;
}

void run(int n, int steps) {
    const double side = 2.0 * half_side / n, epsilon = side * side, price = 2.0 * tau - 0.5 * epsilon;
    both at_rest, of_target, expected = mean_before, spread = variance_before;
    for (std::size_t k = 0; k < 2; ++k) {
        at_rest[k] = 1.0 / stiffness[k];
        of_target[k] = at_rest[k] * price / (2.0 * tau);
    }
    const density rest = bell(n, {0.0, 0.0}, at_rest), b = bell(n, {0.0, 0.0}, of_target), ones(rest.size(), 1.0);
    density r = bell(n, mean_before, variance_before);

    const auto G = rkn::Geometry::grid({n, n}, {side, side});
    rkn::Sinkhorn cold = solver("zero", epsilon, price), warm = solver("extrapolated", epsilon, price);

    std::printf("a bell diffuses, %d x %d cells, %d steps of %.2f, epsilon %.4f\n", n, n, steps, tau, epsilon);
    std::printf("     |     passes    |         mean of x          |       variance of x        |       variance of y        |\n");
    std::printf("step |   cold   warm |             exact    steps |             exact    steps |             exact    steps |"
                "   energy\n");
    double total_cold = 0.0, total_warm = 0.0;
    for (int step = 1; step <= steps; ++step) {
        const auto from_zero = cold.solve(G, r, b);
        const auto result = warm.solve(G, r, b);
        for (const auto &end : {from_zero, result})
            if (!end) std::fprintf(stderr, "%s\n", end.message.c_str());
        warm.plan_apply_transposed(ones, r);    // the next density
        const Moments now(n, r);
        both exact_mean, exact_variance;
        for (std::size_t k = 0; k < 2; ++k) {
            const double decay = std::exp(-stiffness[k] * tau * step);
            exact_mean[k] = mean_before[k] * decay;
            exact_variance[k] = at_rest[k] + (variance_before[k] - at_rest[k]) * decay * decay;
            step_of_bell(stiffness[k], expected[k], spread[k]);
        }
        std::printf("%4d |%7.1f%7.1f |%9.6f%9.6f%9.6f |%9.6f%9.6f%9.6f |%9.6f%9.6f%9.6f |%9.6f\n", step, from_zero.passes,
                    result.passes, now.mean[0], exact_mean[0], expected[0], now.variance[0], exact_variance[0], spread[0],
                    now.variance[1], exact_variance[1], spread[1], energy(r, rest));
        std::fflush(stdout);
        total_cold += from_zero.passes;
        total_warm += result.passes;
    }
    std::printf(" all |%7.1f%7.1f |\n", total_cold, total_warm);
}

}    // namespace

int main(int argc, char **argv) {
    const int n = argc > 1 ? std::atoi(argv[1]) : 48;
    const int steps = argc > 2 ? std::atoi(argv[2]) : 20;
    if (n < 32 || n > 200 || steps < 1) {
        std::fprintf(stderr, "usage: diffusion [cells a side, 32 to 200] [steps]\n");
        return 2;
    }
    try {
        run(n, steps);
    } catch (const rkn::error &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
