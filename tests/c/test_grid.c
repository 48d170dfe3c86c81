/* Sums over a grid axis by axis: against the same cost by rows, plain iterations in a loop of their own, closed forms, product
   measures, symmetries, another library's figures; every epsilon down to 1e-5 of the largest cost. */
#include "check.h"

typedef struct grid {
    int64_t d, size[3];
    double h[3];
    int32_t periodic[3];
    double p;
} grid;

static int64_t cells(const grid *g) {
    int64_t n = 1;
    for (int k = 0; k < g->d; ++k) n *= g->size[k];
    return n;
}
/* sum_k (h_k |i_k - j_k|)^p, from the definition. */
static double cost_of(const grid *g, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t k = g->d - 1; k >= 0; --k) {
        int64_t way = llabs(i % g->size[k] - j % g->size[k]);
        if (g->periodic[k] && g->size[k] - way < way) way = g->size[k] - way;
        sum += pow(g->h[k] * (double)way, g->p);
        i /= g->size[k], j /= g->size[k];
    }
    return sum;
}
static double largest(const grid *g) {
    double most = 0;
    for (int64_t j = 0; j < cells(g); ++j) most = fmax(most, cost_of(g, 0, j));
    for (int k = 0; k < g->d; ++k)
        if (g->periodic[k]) {
            most = 0;
            for (int64_t i = 0; i < cells(g); ++i)
                for (int64_t j = 0; j < cells(g); ++j) most = fmax(most, cost_of(g, i, j));
            break;
        }
    return most;
}
static rkn_geometry *geometry(const grid *g) {
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_grid(NULL, g->d, g->size, g->h, g->periodic, g->p, &G));
    return G;
}
static rkn_sinkhorn *solver(const rkn_context *ctx, const char *method, double epsilon, double tolerance) {
    rkn_sinkhorn *s = NULL;
    CHECK_OK(rkn_sinkhorn_create(ctx, method, &s));
    CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
    CHECK_OK(rkn_sinkhorn_set_real(s, "tolerance", tolerance));
    return s;
}
static double real_of(const rkn_sinkhorn *s, const char *key) {
    double v = NAN;
    CHECK_OK(rkn_sinkhorn_get_real(s, key, &v));
    return v;
}
static double unit(void) { return 0.5 * (uniform() + 1); }
/* Masses of sum 1, uneven; with `holes` many cells have none. */
static double *masses(int64_t n, int holes) {
    double *a = need((size_t)n * 8), sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] = holes && unit() < 0.6 && i + 1 < n ? 0 : 0.1 + unit() * unit();
    for (int64_t i = 0; i < n; ++i) a[i] /= sum;
    return a;
}

static int32_t row_of(void *user, int64_t i, int64_t m, double *row) {
    for (int64_t j = 0; j < m; ++j) row[j] = cost_of(user, i, j);
    return 0;
}
/* The L1 error of both marginals and <C, P>, from the potentials, in a loop of its own. */
static double error_of(const rkn_sinkhorn *s, const grid *grid, const double *a, const double *b, double *cost) {
    const int64_t n = cells(grid);
    double *f = need((size_t)n * 8), *g = need((size_t)n * 8), *columns = need((size_t)n * 8), error = 0, sum = 0;
    const double epsilon = real_of(s, "epsilon_used");
    CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
    for (int64_t i = 0; i < n; ++i) {
        double row = 0;
        for (int64_t j = 0; j < n; ++j) {
            const double c = cost_of(grid, i, j), p = exp((f[i] + g[j] - c) / epsilon);
            row += p, columns[j] += p, sum += p * c;
        }
        error += fabs(row - a[i]);
    }
    for (int64_t j = 0; j < n; ++j) error += fabs(columns[j] - b[j]);
    if (cost) *cost = sum;
    free(f), free(g), free(columns);
    return error;
}

static const grid grids[] = {
    {1, {130}, {1.0 / 130}, {0}, 2},
    {1, {130}, {1.0 / 130}, {0}, 1},
    {1, {75}, {1.0 / 75}, {1}, 2},
    {1, {61}, {1.0 / 61}, {1}, 1},
    {2, {9, 13}, {0.1, 0.08}, {0, 0}, 2},
    {2, {13, 9}, {0.1, 0.08}, {0, 0}, 1},
    {2, {11, 12}, {0.1, 0.08}, {1, 0}, 1.5},
    {2, {70, 2}, {1.0 / 70, 0.3}, {0, 1}, 2},
    {2, {1, 90}, {1, 1.0 / 90}, {0, 0}, 2},
    {3, {5, 4, 6}, {0.2, 0.25, 0.15}, {0, 0, 0}, 2},
    {3, {4, 6, 5}, {0.2, 0.15, 0.25}, {0, 0, 0}, 1},
    {3, {3, 1, 33}, {0.2, 3, 0.03}, {0, 0, 1}, 1.5},
};
enum { GRIDS = sizeof grids / sizeof *grids };

/* Three iterations from zero, without convergence and whatever the epsilon: the potentials of a plain loop in logarithms. */
static void test_iterations(void) {
    for (int k = 0; k < GRIDS; ++k)
        for (int holes = 0; holes < 2; ++holes) {
            const grid *at = &grids[k];
            const int64_t n = cells(at);
            const double most = largest(at);
            double *a = masses(n, holes), *b = masses(n, holes), *f = need((size_t)n * 8), *g = need((size_t)n * 8);
            double *C = need((size_t)(n * n) * 8), *F = need((size_t)n * 8), *G = need((size_t)n * 8);
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < n; ++j) C[i * n + j] = cost_of(at, i, j);
            rkn_geometry *geo = geometry(at);
            for (double epsilon = most; epsilon > 0.5e-6 * most; epsilon /= 31) {
                rkn_sinkhorn *s = solver(NULL, "sinkhorn", epsilon, 0);
                CHECK_OK(rkn_sinkhorn_set_int(s, "max_passes", 3));
                CHECK_STATUS(rkn_sinkhorn_solve(s, geo, a, b), RKN_STOP_ITERATIONS);
                CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
                for (int64_t j = 0; j < n; ++j) G[j] = b[j] > 0 ? 0 : -INFINITY;
                double cost = 0, error = 0, worst = 0;
                for (int t = 0; t < 3; ++t)
                    for (int side = 0; side < (t < 2 ? 2 : 1); ++side) {
                        const double *from = side ? F : G, *mass = side ? b : a;
                        double *to = side ? G : F;
                        for (int64_t i = 0; i < n; ++i) {
                            double top = -INFINITY, sum = 0;
                            for (int64_t j = 0; j < n; ++j) top = fmax(top, (from[j] - C[i * n + j]) / epsilon);
                            for (int64_t j = 0; j < n; ++j) sum += exp((from[j] - C[i * n + j]) / epsilon - top);
                            to[i] = epsilon * (log(mass[i]) - top - log(sum));
                        }
                    }
                for (int64_t j = 0; j < n; ++j) {
                    double column = 0;
                    for (int64_t i = 0; i < n; ++i) {
                        const double p = exp((F[i] + G[j] - C[i * n + j]) / epsilon);
                        column += p, cost += p * C[i * n + j];
                    }
                    error += fabs(column - b[j]);
                    const double df = f[j] == F[j] ? 0 : fabs(f[j] - F[j]), dg = g[j] == G[j] ? 0 : fabs(g[j] - G[j]);
                    worst = fmax(worst, fmax(df, dg));
                }
                CHECK(worst < 1e-14 * (most + 100 * epsilon));
                CHECK(fabs(real_of(s, "marginal_error") - error) < 1e-14 * (100 + most / epsilon));
                CHECK(fabs(real_of(s, "cost") - cost) < 1e-13 * (most + most / epsilon * cost));
                rkn_sinkhorn_destroy(s);
            }
            rkn_geometry_destroy(geo);
            free(a), free(b), free(f), free(g), free(C), free(F), free(G);
        }
}

/* The same problem with the cost by rows goes another way to the same plan. */
static void test_rows(void) {
    for (int k = 0; k < GRIDS; ++k) {
        grid at = grids[k];
        const int64_t n = cells(&at);
        double *a = masses(n, k % 3 == 2), *b = masses(n, k % 3 == 1), *f = need((size_t)n * 8), *other = need((size_t)n * 8);
        double *x = need((size_t)n * 16), *y = need((size_t)n * 16), *z = need((size_t)n * 16);
        rkn_geometry *G = geometry(&at), *R = NULL;
        CHECK_OK(rkn_geometry_create_callback(NULL, n, n, row_of, &at, NULL, &R));
        for (double epsilon = 1e-2; epsilon > 5e-6; epsilon /= 10) {
            rkn_sinkhorn *s[2];
            double cost[2], own;
            for (int way = 0; way < 2; ++way) {
                if (way && epsilon < 5e-4) continue;
                s[way] = solver(NULL, "auto", epsilon, 1e-9);
                CHECK_OK(rkn_sinkhorn_set_string(s[way], "epsilon_relative", "max"));
                CHECK_OK(rkn_sinkhorn_solve(s[way], way ? R : G, a, b));
                CHECK(error_of(s[way], &at, a, b, &own) < 1.1e-9);
                cost[way] = real_of(s[way], "cost");
                CHECK(fabs(cost[way] - own) < 1e-10);
            }
            CHECK(real_of(s[0], "marginal_error") <= 1e-9);
            /* P and its adjoint, two columns of either sign at once */
            for (int64_t i = 0; i < 2 * n; ++i) x[i] = uniform();
            double worst = 0, *g = other;
            CHECK_OK(rkn_sinkhorn_potentials(s[0], f, g));
            const double used = real_of(s[0], "epsilon_used");
            for (int adjoint = 0; adjoint < 2; ++adjoint) {
                CHECK_OK(rkn_sinkhorn_plan_apply(s[0], adjoint ? RKN_T : RKN_N, 2, x, n, y, n));
                memset(z, 0, (size_t)n * 16);
                for (int64_t i = 0; i < n; ++i)
                    for (int64_t j = 0; j < n; ++j) {
                        const double p = exp((f[i] + g[j] - cost_of(&at, i, j)) / used);
                        for (int c = 0; c < 2; ++c) z[c * n + (adjoint ? j : i)] += p * x[c * n + (adjoint ? i : j)];
                    }
                for (int64_t i = 0; i < 2 * n; ++i) worst = fmax(worst, fabs(y[i] - z[i]));
            }
            CHECK(worst < 1e-15 + 1e-15 / epsilon);
            if (epsilon >= 5e-4) {
                CHECK(fabs(cost[0] - cost[1]) < 1e-9);
                CHECK(fabs(real_of(s[0], "dual") - real_of(s[1], "dual")) < 1e-9);
                rkn_sinkhorn_destroy(s[1]);
            }
            rkn_sinkhorn_destroy(s[0]);
        }
        rkn_geometry_destroy(G), rkn_geometry_destroy(R);
        free(a), free(b), free(f), free(other), free(x), free(y), free(z);
    }
}

static double *gaussian(const grid *g, const double *mean, const double *variance) {
    const int64_t n = cells(g);
    double *a = need((size_t)n * 8), sum = 0;
    for (int64_t i = 0; i < n; ++i) {
        double q = 0;
        for (int64_t k = g->d - 1, at = i; k >= 0; at /= g->size[k], --k) {
            const double x = g->h[k] * (double)(at % g->size[k]) - mean[k];
            q += x * x / variance[k];
        }
        sum += a[i] = exp(-0.5 * q);
    }
    for (int64_t i = 0; i < n; ++i) a[i] /= sum;
    return a;
}
/* Between Gaussians the plan is one, of covariance c with 2 c^2 + epsilon c = 2 u v on each axis, and <C, P> = u + v - 2 c +
   (difference of the means)^2 (Janati, Muzellec, Peyre, Cuturi 2020, arXiv 2006.02572). Sums over fine grids are as
   exact as the tails are cut off. */
static void test_gaussians(void) {
    const grid lines[2] = {{1, {120}, {1.0 / 120}, {0}, 2}, {2, {64, 50}, {1.0 / 64, 1.0 / 50}, {0, 0}, 2}};
    const double mean[2][2] = {{0.42, 0.47}, {0.57, 0.54}}, variance[2][2] = {{0.0025, 0.0036}, {0.0032, 0.002}};
    for (int k = 0; k < 2; ++k) {
        rkn_geometry *G = geometry(&lines[k]);
        double *a = gaussian(&lines[k], mean[0], variance[0]), *b = gaussian(&lines[k], mean[1], variance[1]);
        for (double epsilon = 4e-2; epsilon > 1e-3; epsilon /= 3) {
            double exact = 0;
            for (int axis = 0; axis < lines[k].d; ++axis) {
                const double u = variance[0][axis], v = variance[1][axis], way = mean[0][axis] - mean[1][axis];
                const double c = (sqrt(epsilon * epsilon + 16 * u * v) - epsilon) / 4;
                exact += u + v - 2 * c + way * way;
            }
            rkn_sinkhorn *s = solver(NULL, "auto", epsilon, 1e-11);
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            CHECK(fabs(real_of(s, "cost") - exact) < 1e-9);
            rkn_sinkhorn_destroy(s);
        }
        rkn_geometry_destroy(G);
        free(a), free(b);
    }
}

/* Products of measures have the product of the plans: costs and potentials add up over axes. */
static void test_products(void) {
    for (int power = 1; power <= 2; ++power) {
        const grid both = {2, {18, 14}, {1.0 / 18, 1.0 / 14}, {0, power == 2}, power};
        grid one[2] = {both, both};
        one[0].d = one[1].d = 1, one[1].size[0] = both.size[1], one[1].h[0] = both.h[1], one[1].periodic[0] = both.periodic[1];
        double *a[2], *b[2], f[2][18], g[2][18], cost[2], A[18 * 14], B[18 * 14], F[18 * 14];
        for (double epsilon = 1e-1; epsilon > 5e-4; epsilon /= 10) {
            for (int k = 0; k < 2; ++k) {
                rkn_geometry *G = geometry(&one[k]);
                rkn_sinkhorn *s = solver(NULL, "auto", epsilon, 1e-12);
                a[k] = masses(one[k].size[0], 0), b[k] = masses(one[k].size[0], 0);
                CHECK_OK(rkn_sinkhorn_solve(s, G, a[k], b[k]));
                CHECK_OK(rkn_sinkhorn_potentials(s, f[k], g[k]));
                cost[k] = real_of(s, "cost");
                rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
            }
            for (int i = 0; i < 18 * 14; ++i) A[i] = a[0][i / 14] * a[1][i % 14], B[i] = b[0][i / 14] * b[1][i % 14];
            rkn_geometry *G = geometry(&both);
            rkn_sinkhorn *s = solver(NULL, "auto", epsilon, 1e-12);
            CHECK_OK(rkn_sinkhorn_solve(s, G, A, B));
            CHECK_OK(rkn_sinkhorn_potentials(s, F, NULL));
            CHECK(fabs(real_of(s, "cost") - cost[0] - cost[1]) < 1e-11);
            double worst = 0;
            for (int i = 0; i < 18 * 14; ++i) {
                const double sum = f[0][i / 14] - f[0][0] + f[1][i % 14] - f[1][0];
                worst = fmax(worst, fabs(F[i] - F[0] - sum));
            }
            CHECK(worst < 1e-8);
            rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
            for (int k = 0; k < 2; ++k) free(a[k]), free(b[k]);
        }
    }
}

/* Where all axes close, moving both masses moves the potentials; moving one by whole cells costs the square of the way. */
static void test_translations(void) {
    const grid at = {2, {16, 20}, {1.0 / 16, 1.0 / 20}, {1, 1}, 2};
    const int64_t n = cells(&at);
    const size_t bytes = (size_t)n * 8;
    double *a = masses(n, 0), *b = masses(n, 0), *moved = need(bytes), *too = need(bytes), *f = need(bytes), *other = need(bytes);
    rkn_geometry *G = geometry(&at);
    rkn_sinkhorn *s = solver(NULL, "auto", 1e-3, 1e-12);
    CHECK_OK(rkn_sinkhorn_set_string(s, "start", "zero"));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_OK(rkn_sinkhorn_potentials(s, f, NULL));
    const double cost = real_of(s, "cost");
    double worst = 0;
    for (int i = 0; i < n; ++i) {
        const int to = (i / 20 + 5) % 16 * 20 + (i % 20 + 13) % 20;
        moved[to] = a[i], too[to] = b[i];
    }
    CHECK_OK(rkn_sinkhorn_solve(s, G, moved, too));
    CHECK_OK(rkn_sinkhorn_potentials(s, other, NULL));
    CHECK(fabs(real_of(s, "cost") - cost) < 1e-12);
    for (int i = 0; i < n; ++i) {
        const int to = (i / 20 + 5) % 16 * 20 + (i % 20 + 13) % 20;
        worst = fmax(worst, fabs(f[i] - f[0] - other[to] + other[5 * 20 + 13]));
    }
    CHECK(worst < 1e-9);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
    free(a), free(b), free(moved), free(too), free(f), free(other);

    /* a blob far from the border: (2 cells)^2 + (3 cells)^2, and what epsilon adds */
    const grid open = {2, {40, 40}, {1.0 / 40, 1.0 / 40}, {0, 0}, 2};
    const double mean[2][2] = {{0.4, 0.5}, {0.45, 0.425}}, variance[2] = {0.002, 0.003};
    const double exact = 0.05 * 0.05 + 0.075 * 0.075;
    a = gaussian(&open, mean[0], variance), b = gaussian(&open, mean[1], variance);
    G = geometry(&open), s = solver(NULL, "auto", 2e-4, 1e-9);
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK(real_of(s, "cost") > exact - 1e-9 && real_of(s, "cost") < exact + 2e-4);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
    free(a), free(b);
}

/* <C, P> by POT 0.9.7, ot.sinkhorn(method="sinkhorn_log", stopThr=1e-13). */
static void test_peer(void) {
    static const struct {
        double p;
        int32_t periodic[2];
        double epsilon[2], cost[2];
    } cases[3] = {
        {2, {0, 0}, {0.05, 0.01}, {0.04403779101978829, 0.011293547707116021}},
        {1, {0, 1}, {0.05, 0.01}, {0.07681050371287912, 0.05293190697845403}},
        {1.5, {1, 0}, {0.05, 0.01}, {0.06318101938139777, 0.019337788164023866}},
    };
    double a[120], b[120], sa = 0, sb = 0;
    for (int i = 0; i < 120; ++i) {
        const int x = i / 10, y = i % 10;
        sa += a[i] = 1 + 3 * pow(sin(0.9 * x + 0.3 * y), 2);
        sb += b[i] = 1 + 5 * pow(cos(0.4 * x - 0.7 * y), 2);
    }
    for (int i = 0; i < 120; ++i) a[i] /= sa, b[i] /= sb;
    for (int k = 0; k < 3; ++k) {
        const grid at = {2, {12, 10}, {1.0 / 12, 0.15}, {cases[k].periodic[0], cases[k].periodic[1]}, cases[k].p};
        rkn_geometry *G = geometry(&at);
        for (int e = 0; e < 2; ++e)
            for (int method = 0; method < 3; ++method) {
                rkn_sinkhorn *s = solver(NULL, method == 0 ? "auto" : method == 1 ? "sinkhorn" : "sns", cases[k].epsilon[e], 1e-11);
                if (method == 2) CHECK_OK(rkn_sinkhorn_set_real(s, "sparsity", 0.7));
                CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
                CHECK(fabs(real_of(s, "cost") - cases[k].cost[e]) < 1e-11);
                rkn_sinkhorn_destroy(s);
            }
        rkn_geometry_destroy(G);
    }
}

/* Larger grids: rows and columns taken as a sample; threads change no bit; one cell, one atom. */
static void test_large(void) {
    const grid at[3] = {
        {2, {96, 80}, {1.0 / 96, 1.0 / 80}, {0, 0}, 2},
        {2, {90, 100}, {1.0 / 90, 0.01}, {0, 0}, 1},
        {3, {20, 18, 22}, {0.05, 0.05, 0.05}, {0, 1, 0}, 2},
    };
    for (int k = 0; k < 3; ++k) {
        const int64_t n = cells(&at[k]);
        const double mean[2][3] = {{0.3, 0.4, 0.6}, {0.6, 0.5, 0.4}}, variance[2][3] = {{0.02, 0.01, 0.02}, {0.01, 0.02, 0.01}};
        double *a = gaussian(&at[k], mean[0], variance[0]), *b = gaussian(&at[k], mean[1], variance[1]);
        double *f[2], *g = need((size_t)n * 8), worst = 0;
        for (int64_t i = 0; i < n; ++i) a[i] = (a[i] + 1e-2 / (double)n) / 1.01, b[i] = (b[i] + 1e-2 / (double)n) / 1.01;
        for (int threads = 1; threads <= 3; threads += 2) {
            rkn_context *ctx = NULL;
            rkn_geometry *G = geometry(&at[k]);
            CHECK_OK(rkn_context_create(&ctx));
            CHECK_OK(rkn_context_set_int(ctx, "threads", threads));
            rkn_sinkhorn *s = solver(ctx, "auto", 1e-3, 1e-7);
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            CHECK(real_of(s, "marginal_error") <= 1e-7);
            f[threads / 2] = need((size_t)n * 8);
            CHECK_OK(rkn_sinkhorn_potentials(s, f[threads / 2], g));
            rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G), rkn_context_destroy(ctx);
        }
        CHECK(memcmp(f[0], f[1], (size_t)n * 8) == 0);
        for (int64_t i = 0; i < n; i += n / 11) {
            double row = 0, column = 0;
            for (int64_t j = 0; j < n; ++j) {
                row += exp((f[0][i] + g[j] - cost_of(&at[k], i, j)) / 1e-3);
                column += exp((f[0][j] + g[i] - cost_of(&at[k], j, i)) / 1e-3);
            }
            worst = fmax(worst, fmax(fabs(row - a[i]), fabs(column - b[i])));
        }
        CHECK(worst < 1e-7);
        free(a), free(b), free(f[0]), free(f[1]), free(g);
    }
    const grid single = {3, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, 2}, row = {2, {7, 11}, {1, 1}, {0, 0}, 1};
    double one[1] = {3}, a[77] = {0}, b[77] = {0};
    rkn_geometry *G = geometry(&single);
    rkn_sinkhorn *s = solver(NULL, "auto", 1e-4, 1e-12);
    CHECK_OK(rkn_sinkhorn_solve(s, G, one, one));
    CHECK(real_of(s, "cost") == 0);
    rkn_geometry_destroy(G);
    /* all mass of one cell goes to one other, 3 rows and 4 columns away */
    a[2 * 11 + 3] = b[5 * 11 + 7] = 2;
    G = geometry(&row);
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK(fabs(real_of(s, "cost") - 14) < 1e-11);
    rkn_geometry_destroy(G), rkn_sinkhorn_destroy(s);
}

int main(void) {
    test_iterations();
    test_rows();
    test_gaussians();
    test_products();
    test_translations();
    test_peer();
    test_large();
    return done();
}
