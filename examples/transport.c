/* A density that wanders: 16 transport problems, each near the one before.
 *
 *   minimise sum C_ij P_ij + epsilon sum P_ij (log P_ij - 1),   rows of P sum to a(t), columns to b
 *
 * A blob of mass drifts through a square of n x n cells, along a bent path and above a thin background. At each step its
 * density a is transported to one fixed target b of two lumps, at the price of the squared distance. The grid is the whole
 * geometry: no matrix of n^4 costs is stored.
 *
 * Two solvers of the same method and tolerance, side by side:
 *   cold   begins at zero at every step
 *   warm   begins with the potentials of the step before, and continues them in a line from the third step on
 *
 * A pass visits all n^4 entries of the plan: most of what a solve costs, on any machine. At the end the warm solver's
 * plan is applied to the cells' centres: divided by the mass of a cell that is where its mass goes, and the mass-weighted
 * mean of it must be the centre of the target.
 *
 * Usage: transport [cells a side, 24] [steps, 16]
 */
#include <reknit.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the library's message if a call failed or stopped short. */
static void check(rkn_status status) {
    if (status != RKN_OK) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

static double *allocate(size_t count) {
    double *p = calloc(count, sizeof *p);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

/* Adds mass around (x, y); all lengths relative to the side. */
static void add_lump(int n, double x, double y, double radius, double height, double *a) {
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            const double dx = ((i + 0.5) / n - x) / radius, dy = ((j + 0.5) / n - y) / radius;
            const double decay = 1.0 + dx * dx + dy * dy;
            a[i * n + j] += height / (decay * decay);
        }
}

static void scale_to_one(int cells, double *a) {
    double sum = 0.0;
    for (int c = 0; c < cells; ++c) sum += a[c];
    for (int c = 0; c < cells; ++c) a[c] /= sum;
}

/* The blob at time t, 0 to 1. */
static void blob(int n, double t, double *a) {
    for (int c = 0; c < n * n; ++c) a[c] = 0.01;
    add_lump(n, 0.2 + 0.25 * t, 0.3 + 0.6 * t * (1.0 - t), 0.12, 1.0, a);
    scale_to_one(n * n, a);
}

static void target(int n, double *b) {
    for (int c = 0; c < n * n; ++c) b[c] = 0.01;
    add_lump(n, 0.75, 0.3, 0.1, 1.0, b);
    add_lump(n, 0.7, 0.75, 0.15, 0.5, b);
    scale_to_one(n * n, b);
}

static double real_of(const rkn_sinkhorn *s, const char *key) {
    double value;
    check(rkn_sinkhorn_get_real(s, key, &value));
    return value;
}

static rkn_sinkhorn *solver(const char *start) {
    rkn_sinkhorn *s;
    check(rkn_sinkhorn_create(NULL, "auto", &s));
    check(rkn_sinkhorn_set_options(s, "epsilon=2e-3 tolerance=1e-9"));
    check(rkn_sinkhorn_set_string(s, "start", start));
    return s;
}

int main(int argc, char **argv) {
    const int n = argc > 1 ? atoi(argv[1]) : 24;
    const int steps = argc > 2 ? atoi(argv[2]) : 16;
    if (n < 4 || n > 200 || steps < 1) {
        fprintf(stderr, "usage: transport [cells a side, 4 to 200] [steps]\n");
        return 2;
    }
    const int cells = n * n;
    const int64_t size[2] = {n, n};
    const double h[2] = {1.0 / n, 1.0 / n};
    double *a = allocate((size_t)cells), *b = allocate((size_t)cells);
    target(n, b);

    rkn_geometry *G;
    check(rkn_geometry_create_grid(NULL, 2, size, h, NULL, 2.0, &G));
    rkn_sinkhorn *cold = solver("zero"), *warm = solver("extrapolated");

    printf("a density that wanders, %d x %d cells, %d steps, epsilon 2e-3, marginal error 1e-9\n", n, n, steps);
    printf("step | passes cold   warm |        cost   error\n");
    double total[2] = {0.0, 0.0};
    for (int step = 0; step < steps; ++step) {
        blob(n, (double)step / steps, a);
        check(rkn_sinkhorn_solve(cold, G, a, b));
        check(rkn_sinkhorn_solve(warm, G, a, b));
        const double passes[2] = {real_of(cold, "passes"), real_of(warm, "passes")};
        printf("%4d |%12.1f%7.1f |%12.8f%8.1e\n", step, passes[0], passes[1], real_of(warm, "cost"),
               real_of(warm, "marginal_error"));
        fflush(stdout);
        total[0] += passes[0];
        total[1] += passes[1];
    }
    printf(" all |%12.1f%7.1f |\n", total[0], total[1]);

    /* Two columns for the plan: the coordinates of the cells. */
    double *centres = allocate(2 * (size_t)cells), *goes = allocate(2 * (size_t)cells);
    double mean[2] = {0.0, 0.0}, furthest = 0.0;
    for (int c = 0; c < cells; ++c) {
        centres[c] = (c / n + 0.5) / n;
        centres[cells + c] = (c % n + 0.5) / n;
    }
    check(rkn_sinkhorn_plan_apply(warm, RKN_N, 2, centres, cells, goes, cells));
    for (int c = 0; c < cells; ++c) {
        const double dx = goes[c] / a[c] - centres[c], dy = goes[cells + c] / a[c] - centres[cells + c];
        furthest = fmax(furthest, sqrt(dx * dx + dy * dy));
        mean[0] += goes[c];
        mean[1] += goes[cells + c];
    }
    printf("mass arrives around (%.6f, %.6f), the longest way is %.6f\n", mean[0], mean[1], furthest);

    rkn_sinkhorn_destroy(warm);
    rkn_sinkhorn_destroy(cold);
    rkn_geometry_destroy(G);
    free(goes);
    free(centres);
    free(b);
    free(a);
    return 0;
}
