// A density that wanders, in C++: the problem, the two solvers and the table of transport.c, which explains them.
//
// Usage: transport [cells a side, 24] [steps, 16]
#include <reknit.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

// Masses of n x n cells of the unit square, the second index runs fastest.
struct Density {
    int n;
    std::vector<double> mass;

    explicit Density(int n) : n(n), mass(static_cast<std::size_t>(n) * static_cast<std::size_t>(n), 0.01) {}

    // Adds mass around (x, y); all lengths relative to the side.
    void add_lump(double x, double y, double radius, double height) {
        auto a = mass.begin();
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) {
                const double dx = ((i + 0.5) / n - x) / radius, dy = ((j + 0.5) / n - y) / radius;
                const double decay = 1.0 + dx * dx + dy * dy;
                *a++ += height / (decay * decay);
            }
    }

    void scale_to_one() {
        double sum = 0.0;
        for (const double a : mass) sum += a;
        for (double &a : mass) a /= sum;
    }
};

// The blob at time t, 0 to 1.
std::vector<double> blob(int n, double t) {
    Density a(n);
    a.add_lump(0.2 + 0.25 * t, 0.3 + 0.6 * t * (1.0 - t), 0.12, 1.0);
    a.scale_to_one();
    return a.mass;
}

std::vector<double> target(int n) {
    Density b(n);
    b.add_lump(0.75, 0.3, 0.1, 1.0);
    b.add_lump(0.7, 0.75, 0.15, 0.5);
    b.scale_to_one();
    return b.mass;
}

rkn::Sinkhorn solver(const char *start) {
    rkn::Sinkhorn s{"auto"};
    s.options("epsilon=2e-3 tolerance=1e-9");
    s.set("start", start);
    return s;
}

void run(int n, int steps) {
    const std::vector<double> b = target(n);
    std::vector<double> a;
    const auto G = rkn::Geometry::grid({n, n}, {1.0 / n, 1.0 / n});
    rkn::Sinkhorn cold = solver("zero"), warm = solver("extrapolated");

    std::printf("a density that wanders, %d x %d cells, %d steps, epsilon 2e-3, marginal error 1e-9\n", n, n, steps);
    std::printf("step | passes cold   warm |        cost   error\n");
    double total_cold = 0.0, total_warm = 0.0;
    for (int step = 0; step < steps; ++step) {
        a = blob(n, static_cast<double>(step) / steps);
        const auto from_zero = cold.solve(G, a, b);
        const auto r = warm.solve(G, a, b);
        for (const auto &end : {from_zero, r})
            if (!end) std::fprintf(stderr, "%s\n", end.message.c_str());
        std::printf("%4d |%12.1f%7.1f |%12.8f%8.1e\n", step, from_zero.passes, r.passes, r.cost, r.marginal_error);
        std::fflush(stdout);
        total_cold += from_zero.passes;
        total_warm += r.passes;
    }
    std::printf(" all |%12.1f%7.1f |\n", total_cold, total_warm);

    // Two columns for the plan: the coordinates of the cells.
    const std::size_t cells = a.size();
    std::vector<double> centres(2 * cells), goes(2 * cells);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            const std::size_t c = static_cast<std::size_t>(i * n + j);
            centres[c] = (i + 0.5) / n;
            centres[cells + c] = (j + 0.5) / n;
        }
    const auto rows = static_cast<std::int64_t>(cells);
    warm.plan_apply(rkn::columns<const double>(centres.data(), rows, 2), rkn::columns<double>(goes.data(), rows, 2));
    double mean[2] = {0.0, 0.0}, furthest = 0.0;
    for (std::size_t c = 0; c < cells; ++c) {
        const double dx = goes[c] / a[c] - centres[c], dy = goes[cells + c] / a[c] - centres[cells + c];
        furthest = std::max(furthest, std::sqrt(dx * dx + dy * dy));
        mean[0] += goes[c];
        mean[1] += goes[cells + c];
    }
    std::printf("mass arrives around (%.6f, %.6f), the longest way is %.6f\n", mean[0], mean[1], furthest);
}

}    // namespace

int main(int argc, char **argv) {
    const int n = argc > 1 ? std::atoi(argv[1]) : 24;
    const int steps = argc > 2 ? std::atoi(argv[2]) : 16;
    if (n < 4 || n > 200 || steps < 1) {
        std::fprintf(stderr, "usage: transport [cells a side, 4 to 200] [steps]\n");
        return 2;
    }
    try {
        run(n, steps);
    } catch (const rkn::error &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
