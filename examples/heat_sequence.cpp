// Heat conduction in a plate, in C++: the problem, the five ways and the table of heat_sequence.c, which explains them.
//
// Usage: heat_sequence [cells a side, 208] [steps, 64]
#include <reknit.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

// ---- the plate, in SI units

constexpr double side = 0.06, time_step = 20.0;                           // m, s
constexpr double capacity = 3.8e6;                                        // J/(m^3 K)
constexpr double copper = 390.0, steel = 15.0, steel_gain = 0.001;        // W/(m K), the gain relative, 1/K
constexpr double crack = 0.01;                                            // what it leaves of the conductivity
constexpr double peak = 3e8, heater = 0.05;                               // W/m^3, radius over side

struct Plate {
    int n, steps;                         // cells a side, time steps
    std::vector<std::int32_t> ptr, col;   // five-point pattern, columns ascending
    std::vector<double> val;              // matrix of the present step, in place
    std::vector<double> k, b;             // conductivity of the cells, right-hand side

    Plate(int n, int steps) : n(n), steps(steps), ptr{0}, k(cells()), b(cells()) {
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                const std::int32_t cell = j * n + i;
                if (j > 0) col.push_back(cell - n);
                if (i > 0) col.push_back(cell - 1);
                col.push_back(cell);
                if (i < n - 1) col.push_back(cell + 1);
                if (j < n - 1) col.push_back(cell + n);
                ptr.push_back(static_cast<std::int32_t>(col.size()));
            }
        val.resize(col.size());
    }

    std::size_t cells() const { return static_cast<std::size_t>(n) * static_cast<std::size_t>(n); }

    // Matrix and right-hand side of the step that starts from the temperatures t.
    void assemble(int step, const std::vector<double> &t) {
        const double area = side / n * (side / n), mass = capacity * area / time_step;
        const auto [sx, sy] = heater_at(static_cast<double>(step) / steps);
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) k[at(i, j)] = conductivity(step, i, j, t[at(i, j)]);
        auto entry = val.begin();
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                const std::size_t c = at(i, j);
                const double south = j > 0 ? harmonic(k[c], k[at(i, j - 1)]) : 2.0 * k[c];
                const double west = i > 0 ? harmonic(k[c], k[at(i - 1, j)]) : 0.0;
                const double east = i < n - 1 ? harmonic(k[c], k[at(i + 1, j)]) : 0.0;
                const double north = j < n - 1 ? harmonic(k[c], k[at(i, j + 1)]) : 0.0;
                if (j > 0) *entry++ = -south;
                if (i > 0) *entry++ = -west;
                *entry++ = mass + south + west + east + north;
                if (i < n - 1) *entry++ = -east;
                if (j < n - 1) *entry++ = -north;
                const double dx = ((i + 0.5) / n - sx) / heater, dy = ((j + 0.5) / n - sy) / heater;
                const double decay = 1.0 + dx * dx + dy * dy;
                b[c] = mass * t[c] + area * peak / (decay * decay);
            }
    }

private:
    std::size_t at(int i, int j) const { return static_cast<std::size_t>(j * n + i); }

    // The middle three fifths of each quarter.
    bool in_inlay(int i) const {
        const int u = 4 * i % n;
        return 5 * u >= n && 5 * u < 4 * n;
    }

    double conductivity(int step, int i, int j, double temperature) const {
        if (in_inlay(i) && in_inlay(j)) return copper;
        const double intact = steel * (1.0 + steel_gain * temperature);
        const bool cracked = step >= steps / 2 && j == n / 2 && 4 * i < 3 * n;
        return cracked ? crack * intact : intact;
    }

    // Once around a square of half the side; lengths relative to the side.
    static std::array<double, 2> heater_at(double turn) {
        const double u = 4.0 * turn;
        const int edge = static_cast<int>(u);
        const double f = 0.5 * (u - edge);
        switch (edge) {
        case 0: return {0.25 + f, 0.25};
        case 1: return {0.75, 0.25 + f};
        case 2: return {0.75 - f, 0.75};
        default: return {0.25, 0.75 - f};
        }
    }

    static double harmonic(double a, double b) { return 2.0 * a * b / (a + b); }
};

// ---- one way to solve each system

struct Score {
    std::int64_t iterations = 0, applies = 0;
    double seconds = 0, residual = 0;

    Score &operator+=(const Score &other) {
        iterations += other.iterations;
        applies += other.applies;
        seconds += other.seconds;
        residual = std::max(residual, other.residual);
        return *this;
    }
};

struct Way {
    const char *name;
    rkn::Krylov solver;
    rkn::Operator M;
    bool forgets = false;
    int renew_every = 1;
    std::vector<double> x = {};
    Score total = {};

    // A renewed preconditioner counts. x starts from the last step.
    Score solve(const rkn::Operator &A, int step, const std::vector<double> &b, const std::vector<double> &t) {
        using clock = std::chrono::steady_clock;
        x = t;
        if (forgets) solver.forget();
        const auto start = clock::now();
        if (step % renew_every == 0) M.changed();
        const auto r = solver.solve(A, M, b, x);
        const double seconds = std::chrono::duration<double>(clock::now() - start).count();
        if (!r.converged()) std::fprintf(stderr, "%s\n", r.message.c_str());
        const Score score{r.iterations, r.applies, seconds, r.relative_residual};
        total += score;
        return score;
    }
};

rkn::Krylov solver(const char *method, const char *options) {
    rkn::Krylov s{method};
    s.options("rtol=1e-8 initial_guess=x");
    s.options(options);
    return s;
}

void print(const Score &r) {
    std::printf(" |%5d%7d%8.1f%8.1e", static_cast<int>(r.iterations), static_cast<int>(r.applies), 1e3 * r.seconds,
                r.residual);
}

void run(int n, int steps) {
    Plate plate(n, steps);
    const auto cells = static_cast<std::int64_t>(plate.cells());
    std::vector<double> t(plate.cells(), 0.0);
    plate.assemble(0, t);

    // The matrix is lent: each step writes new numbers into plate.val.
    auto A = rkn::Operator::csr(cells, cells, plate.ptr, plate.col, plate.val, rkn::borrow);
    const auto M = [&](const char *kind) { return rkn::Operator::preconditioner(A, kind); };
    const char *recycling = "restart=40 recycle=20";
    std::array<Way, 5> ways{{
        {"memory", solver("gcrodr", recycling), M("ilu0")},
        {"forget", solver("gcrodr", recycling), M("ilu0"), true},
        {"cg+ic0", solver("cg", ""), M("ic0")},
        {"direct", solver("cg", ""), M("llt")},
        {"lagged", solver("cg", ""), M("llt"), false, 8},
    }};
    const Way &direct = ways[3];

    std::printf("heat conduction, %d x %d cells, %d steps, relative residual 1e-8\n    ", n, n, steps);
    for (const Way &way : ways) std::printf(" | %-26s", way.name);
    std::printf("\nstep");
    for (std::size_t i = 0; i < ways.size(); ++i) std::printf(" | iter applies     ms    resid");
    std::printf("\n");

    for (int step = 0; step < steps; ++step) {
        plate.assemble(step, t);
        A.changed();
        std::printf("%4d", step);
        for (Way &way : ways) print(way.solve(A, step, plate.b, t));
        std::printf("\n");
        std::fflush(stdout);
        t = direct.x;
    }
    std::printf(" all");
    for (const Way &way : ways) print(way.total);
    std::printf("\nhottest cell at the end: %.6f K\n", *std::max_element(t.begin(), t.end()));
}

}    // namespace

int main(int argc, char **argv) {
    const int n = argc > 1 ? std::atoi(argv[1]) : 208;
    const int steps = argc > 2 ? std::atoi(argv[2]) : 64;
    if (n < 8 || n > 20000 || steps < 1) {
        std::fprintf(stderr, "usage: heat_sequence [cells a side, at least 8] [steps]\n");
        return 2;
    }
    try {
        run(n, steps);
    } catch (const rkn::error &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
