// Heat spreads through a plate whose conductivity grows with temperature: a sequence of linear systems in a program
// that keeps its matrices and vectors in Eigen. reknit works on Eigen's arrays where they lie. Each step is solved
// three times: with memory and a factorization that is renewed now and then, with neither, and by Eigen's LDLT.
//
// Usage: eigen_sequence [cells a side, 96] [steps, 12]
//
//     g++ -std=c++17 -O2 -I/usr/include/eigen3 eigen_sequence.cpp $(pkg-config --cflags --libs reknit)
#include <reknit_eigen.hpp>

#include <Eigen/Sparse>
#include <cstdio>
#include <cstdlib>

using Matrix = Eigen::SparseMatrix<double, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

// The plate [0, 1]^2 in n x n cells, its rim at temperature 0, one time step of implicit Euler at a time.
struct Plate {
    int n;
    double step = 2e-3;
    Matrix K;       // I + step * L(u)
    Vector u;       // the temperatures
    Vector heat;    // what comes in during a step

    explicit Plate(int cells) : n(cells), K(cells * cells, cells * cells), u(cells * cells), heat(cells * cells) {
        u.setZero();
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                const double x = (i + 0.5) / n - 0.3, y = (j + 0.5) / n - 0.4;
                heat[i + n * j] = step * 400 * std::exp(-60 * (x * x + y * y));
            }
        K.reserve(Eigen::VectorXi::Constant(n * n, 5));
        assemble();
        K.makeCompressed();
    }

    // New numbers in the same places: coeffRef inserts the first time and finds the entry from then on.
    void assemble() {
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                const int cell = i + n * j;
                double sum = 1;
                const auto link = [&](bool inside, int other) {
                    const double k = inside ? (conductivity(cell) + conductivity(other)) / 2 : 2 * conductivity(cell);
                    const double flow = step * n * n * k;
                    if (inside) K.coeffRef(cell, other) = -flow;
                    sum += flow;
                };
                link(i > 0, cell - 1);
                link(i < n - 1, cell + 1);
                link(j > 0, cell - n);
                link(j < n - 1, cell + n);
                K.coeffRef(cell, cell) = sum;
            }
    }

    double conductivity(int cell) const { return 1 + 20 * u[cell] * u[cell]; }
};

int main(int argc, char **argv) try {
    const int cells = argc > 1 ? std::atoi(argv[1]) : 96, steps = argc > 2 ? std::atoi(argv[2]) : 12;
    if (cells < 4 || cells > 4000 || steps < 1) {
        std::fprintf(stderr, "usage: eigen_sequence [cells a side, at least 4] [steps]\n");
        return 2;
    }
    Plate plate(cells);
    rkn::Operator A = rkn::eigen::borrow(plate.K);              // reads plate.K where it lies
    Eigen::IncompleteLUT<double> ilut;
    ilut.setDroptol(1e-3);
    rkn::Operator M = rkn::eigen::preconditioner(ilut, plate.K);

    rkn::Krylov memory{"gcrodr"}, fresh{"gmres"};
    memory.options("rtol=1e-9 restart=40 recycle=10 initial_guess=x");
    fresh.options("rtol=1e-9 restart=40");
    Eigen::SimplicialLDLT<Eigen::SparseMatrix<double>> ldlt;

    std::printf("step | with memory | from scratch | off Eigen's LDLT | hottest\n");
    Vector x = plate.u, y(x.size());
    for (int step = 1; step <= steps; ++step) {
        const Vector b = plate.u + plate.heat;
        A.changed();                                            // new numbers stand in plate.K
        if (step % 6 == 0) M.changed();                         // an older factorization will do in between
        const auto r = memory.solve(A, M, b, x);                // x starts from the last step
        const auto f = fresh.solve(A, b, y);
        if (!r) std::fprintf(stderr, "%s\n", r.message.c_str());
        ldlt.compute(plate.K);
        const Vector direct = ldlt.solve(b);
        std::printf("%4d | %11lld | %12lld | %16.1e | %7.4f\n", step, static_cast<long long>(r.iterations),
                    static_cast<long long>(f.iterations), (x - direct).norm() / direct.norm(), x.maxCoeff());
        plate.u = x;
        plate.assemble();
    }

    // Several right-hand sides: where a unit of heat at each of four cells goes in one step.
    Eigen::MatrixXd sources = Eigen::MatrixXd::Zero(plate.u.size(), 4), answers(plate.u.size(), 4);
    for (int k = 0; k < 4; ++k) sources((k + 1) * plate.u.size() / 5, k) = 1;
    A.changed();
    M.changed();
    rkn::Krylov block{"gmres"};
    block.options("rtol=1e-9");
    block.solve(A, M, sources, answers);
    std::printf("four sources at once: residual %.1e\n", (plate.K * answers - sources).norm());
} catch (const rkn::error &e) {
    std::fprintf(stderr, "%s: %s\n", e.name(), e.what());
    return 1;
}
