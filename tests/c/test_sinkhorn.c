/* Optimal transport: closed forms, sorted points, the same cost in five geometries, plans, warm starts, bad input. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)

static const char *const methods[] = {"auto", "sinkhorn", "sns"};

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
static int64_t count(const rkn_sinkhorn *s, const char *key) {
    int64_t v = -1;
    CHECK_OK(rkn_sinkhorn_get_int(s, key, &v));
    return v;
}
static double unit(void) { return 0.5 * (uniform() + 1); }
static double *masses(int64_t n) {
    double *a = need((size_t)n * 8), sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] = 0.2 + unit();
    for (int64_t i = 0; i < n; ++i) a[i] /= sum;
    return a;
}
static rkn_geometry *matrix(const double *C, int64_t n, int64_t m) {
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, RKN_ROW_MAJOR, C, m, RKN_BORROW, &G));
    return G;
}
/* The L1 error of both marginals and <C, P>, from the potentials, in a loop of its own. */
static double error_of(const rkn_sinkhorn *s, const double *C, int64_t n, int64_t m, const double *a, const double *b, double *cost) {
    double *f = need((size_t)n * 8), *g = need((size_t)m * 8), *columns = need((size_t)m * 8), error = 0, sum = 0;
    const double epsilon = real_of(s, "epsilon_used");
    CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
    for (int64_t i = 0; i < n; ++i) {
        double row = 0;
        for (int64_t j = 0; j < m; ++j) {
            const double p = exp((f[i] + g[j] - C[i * m + j]) / epsilon);
            row += p, columns[j] += p, sum += p * C[i * m + j];
        }
        error += fabs(row - a[i]);
    }
    for (int64_t j = 0; j < m; ++j) error += fabs(columns[j] - b[j]);
    if (cost) *cost = sum;
    free(f), free(g), free(columns);
    return error;
}

/* Two points each: P_11 / P_12 = exp(1 / epsilon). */
static void test_two_points(void) {
    const double C[4] = {0, 1, 1, 0}, a[2] = {0.5, 0.5};
    rkn_geometry *G = matrix(C, 2, 2);
    for (int k = 0; k < 3; ++k)
        for (double epsilon = 1; epsilon > 0.05; epsilon /= 3) {
            rkn_sinkhorn *s = solver(NULL, methods[k], epsilon, 1e-13);
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
            double f[2], g[2];
            CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
            const double off = 0.5 / (1 + exp(1 / epsilon)), on = 0.5 - off;
            CHECK(fabs(exp((f[0] + g[0] - 0) / epsilon) - on) < 1e-12);
            CHECK(fabs(exp((f[0] + g[1] - 1) / epsilon) - off) < 1e-12);
            CHECK(fabs(real_of(s, "cost") - 2 * off) < 1e-12);
            const double entropy = 2 * on * log(on) + 2 * off * log(off);
            CHECK(fabs(real_of(s, "primal") - (2 * off + epsilon * (entropy - 1))) < 1e-12);
            CHECK(fabs(real_of(s, "dual") - real_of(s, "primal")) < 1e-12);
            rkn_sinkhorn_destroy(s);
        }
    rkn_geometry_destroy(G);
}

static int ascending(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}
/* On a line sorted points are matched in order; <C, P> exceeds that by epsilon log n at most. */
static void test_line(void) {
    enum { N = 150 };
    double x[N], y[N], a[N], exact = 0, before = 1;
    for (int i = 0; i < N; ++i) x[i] = unit(), y[i] = unit() * unit(), a[i] = 1.0 / N;
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_points(NULL, 1, N, x, 1, N, y, 1, 2, 2, NULL, NULL, &G));
    qsort(x, N, sizeof *x, ascending), qsort(y, N, sizeof *y, ascending);
    for (int i = 0; i < N; ++i) exact += (x[i] - y[i]) * (x[i] - y[i]) / N;
    for (double epsilon = 1e-2; epsilon > 5e-6; epsilon /= 10) {
        rkn_sinkhorn *s = solver(NULL, "auto", epsilon, 1e-9);
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
        const double more = real_of(s, "cost") - exact;
        CHECK(more > -1e-9 && more < epsilon * log(N) && more < before);
        before = more;
        CHECK(real_of(s, "marginal_error") <= 1e-9);
        rkn_sinkhorn_destroy(s);
    }
    CHECK(before < 2e-5);
    rkn_geometry_destroy(G);
}

static int32_t row_of(void *user, int64_t i, int64_t m, double *row) {
    memcpy(row, (const double *)user + i * m, (size_t)m * 8);
    return 0;
}
static int32_t no_row(void *user, int64_t i, int64_t m, double *row) {
    (void)row;
    return i == m - 1 ? ++*(int32_t *)user : 0;
}
static void let_go(void *user) { ++*(int *)user; }

/* A grid of 9 x 7 cells, one axis closed: as a grid, as points in a box, as matrices, as a pattern, as rows. */
static void test_geometries(void) {
    enum { NX = 9, NY = 7, N = NX * NY };
    static double C[N * N], T[N * N], points[2 * N];
    static float F[N * N];
    static int32_t ptr[N + 1], ind[N * N];
    static double shuffled[N * N];
    const int64_t size[2] = {NX, NY};
    const double h[2] = {0.1, 0.15}, periods[2] = {0, 0.15 * NY};
    const int32_t periodic[2] = {0, 1};
    double *a = masses(N), *b = masses(N), f[N], g[N], other[N];
    for (int p = 1; p <= 2; ++p) {
        for (int i = 0; i < N; ++i) {
            points[2 * i] = 0.1 * (i / NY), points[2 * i + 1] = 0.15 * (i % NY);
            ptr[i + 1] = N * (i + 1);
            for (int j = 0; j < N; ++j) {
                const int dy = abs(i % NY - j % NY), near = dy < NY - dy ? dy : NY - dy;
                C[i * N + j] = pow(0.1 * abs(i / NY - j / NY), p) + pow(0.15 * near, p);
                T[j * N + i] = C[i * N + j];
                F[i * N + j] = (float)C[i * N + j];
            }
            for (int j = 0; j < N; ++j) ind[i * N + j] = (5 * j + i) % N, shuffled[i * N + j] = C[i * N + (5 * j + i) % N];
        }
        rkn_geometry *G[7] = {NULL};
        int gone = 0;
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, N, RKN_ROW_MAJOR, C, N, RKN_COPY, &G[0]));
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, N, RKN_COLUMN_MAJOR, T, N, RKN_BORROW, &G[1]));
        CHECK_OK(rkn_geometry_create_grid(NULL, 2, size, h, periodic, p, &G[2]));
        CHECK_OK(rkn_geometry_create_points(NULL, 2, N, points, 2, N, points, 2, p, p, NULL, periods, &G[3]));
        CHECK_OK(rkn_geometry_create_sparse(NULL, N, N, RKN_I32, 0, ptr, ind, shuffled, &G[4]));
        CHECK_OK(rkn_geometry_create_callback(NULL, N, N, row_of, C, NULL, &G[5]));
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F32, N, N, RKN_ROW_MAJOR, F, N, RKN_COPY, &G[6]));
        for (int k = 0; k < 7; ++k) {
            rkn_sinkhorn *s = solver(NULL, "auto", 5e-3, 1e-11);
            int64_t n = 0, m = 0;
            CHECK_OK(rkn_geometry_shape(G[k], &n, &m));
            CHECK(n == N && m == N);
            CHECK_OK(rkn_sinkhorn_solve(s, G[k], a, b));
            CHECK(error_of(s, C, N, N, a, b, NULL) < (k == 6 ? 1e-4 : 3e-11));
            CHECK_OK(rkn_sinkhorn_potentials(s, k ? other : f, k ? NULL : g));
            for (int i = 0; k && i < N; ++i) CHECK(fabs((other[i] - other[0]) - (f[i] - f[0])) < (k == 6 ? 1e-5 : 1e-10));
            rkn_sinkhorn_destroy(s);
            rkn_geometry_destroy(G[k]);
        }
        CHECK_OK(rkn_geometry_create_callback(NULL, N, N, row_of, &gone, let_go, &G[0]));
        rkn_geometry_destroy(G[0]);
        CHECK(gone == 1);
    }
    free(a), free(b);
}

/* More columns than rows, other masses, points without mass; all methods; the plan applied and written out. */
static void test_plans(void) {
    enum { N = 40, M = 90 };
    static double C[N * M], x[M], y[N], z[M], values[N * M];
    static int64_t ptr[N + 1], ind[N * M];
    double *a = masses(N), *b = masses(M);
    for (int k = 0; k < N * M; ++k) C[k] = unit();
    for (int i = 0; i < N; ++i) a[i] *= 7;
    for (int j = 0; j < M; ++j) b[j] *= 7;
    a[N - 1] += a[3], a[3] = 0, b[M - 1] += b[11] + b[0], b[11] = b[0] = 0;
    for (int order = 0; order < 2; ++order)
        for (int k = 0; k < 3; ++k) {
            rkn_geometry *G = NULL;
            static double T[N * M];
            for (int i = 0; i < N; ++i)
                for (int j = 0; j < M; ++j) T[j * N + i] = C[i * M + j];
            if (order) CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_COLUMN_MAJOR, T, N, RKN_BORROW, &G));
            else G = matrix(C, N, M);
            rkn_sinkhorn *s = solver(NULL, methods[k], 0.02, 1e-10);
            /* a plan this dense is beyond the published 2 / n */
            if (k == 2) CHECK_OK(rkn_sinkhorn_set_options(s, "sparsity=0.5 warmup=10"));
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            double cost, f[N], g[M];
            CHECK(error_of(s, C, N, M, a, b, &cost) < 7e-10 * 1.1);
            CHECK(fabs(cost - real_of(s, "cost")) < 1e-9 * cost);
            CHECK(fabs(real_of(s, "primal") - real_of(s, "dual")) < 1e-8);
            CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
            CHECK(f[3] == -INFINITY && g[0] == -INFINITY && g[11] == -INFINITY && isfinite(f[0]) && isfinite(g[1]));
            /* P applied to a vector, its adjoint to another: by hand */
            for (int j = 0; j < M; ++j) x[j] = unit();
            CHECK_OK(rkn_sinkhorn_plan_apply(s, RKN_N, 1, x, M, y, N));
            double worst = 0;
            for (int i = 0; i < N; ++i) {
                double v = 0;
                for (int j = 0; j < M; ++j) v += exp((f[i] + g[j] - C[i * M + j]) / 0.02) * x[j];
                worst = fmax(worst, fabs(v - y[i]));
            }
            CHECK(worst < 1e-12);
            CHECK_OK(rkn_sinkhorn_plan_apply(s, RKN_T, 1, y, N, z, M));
            for (int j = 0; j < M; ++j) {
                double v = 0;
                for (int i = 0; i < N; ++i) v += exp((f[i] + g[j] - C[i * M + j]) / 0.02) * y[i];
                worst = fmax(worst, fabs(v - z[j]));
            }
            CHECK(worst < 1e-12);
            int64_t entries = 0;
            CHECK_OK(rkn_sinkhorn_plan_sparse(s, 1e-3, NULL, NULL, NULL, 0, &entries));
            CHECK(entries > N / 2 && entries < N * M / 2);
            CHECK_REFUSED(rkn_sinkhorn_plan_sparse(s, 1e-3, ptr, ind, values, entries - 1, NULL), RKN_ERR_SIZE, "rkn_sinkhorn_plan_sparse", "cap");
            CHECK_OK(rkn_sinkhorn_plan_sparse(s, 1e-3, ptr, ind, values, entries, NULL));
            CHECK(ptr[0] == 0 && ptr[N] == entries);
            int wrong = 0;
            for (int i = 0; i < N; ++i)
                for (int64_t e = ptr[i]; e < ptr[i + 1]; ++e) {
                    wrong += ind[e] < 0 || ind[e] >= M || values[e] <= 1e-3 || (e > ptr[i] && ind[e] <= ind[e - 1]);
                    wrong += fabs(values[e] - exp((f[i] + g[ind[e]] - C[i * M + ind[e]]) / 0.02)) > 1e-12;
                }
            CHECK(wrong == 0);
            rkn_sinkhorn_destroy(s);
            rkn_geometry_destroy(G);
        }
    free(a), free(b);
}

/* Costs on which plain iterations underflow or crawl: every epsilon down to 1e-5 of the largest cost, never NaN. */
static void test_small_epsilon(void) {
    enum { K = 12, N = K * K };
    static double C[N * N];
    double *a = masses(N), *b = masses(N);
    for (int i = 0; i < N; ++i) a[i] = exp(-0.1 * ((i / K - 3) * (i / K - 3) + (i % K - 4) * (i % K - 4))) + 1e-4;
    double sa = 0, sb = 0;
    for (int i = 0; i < N; ++i) b[i] = a[N - 1 - i] + (i == 5 ? 0.5 : 0), sa += a[i], sb += b[i];
    for (int i = 0; i < N; ++i) a[i] /= sa, b[i] /= sb;
    for (int kind = 0; kind < 3; ++kind) {
        for (int i = 0; i < N; ++i)
            for (int j = 0; j < N; ++j) {
                const double dx = (i / K - j / K) / (double)K, dy = (i % K - j % K) / (double)K;
                C[i * N + j] = kind == 0 ? fabs(dx) + fabs(dy) : kind == 1 ? dx * dx + dy * dy : unit();
            }
        rkn_geometry *G = matrix(C, N, N);
        for (double epsilon = 1e-2; epsilon > 5e-6; epsilon /= 10) {
            rkn_sinkhorn *s = solver(NULL, "auto", epsilon, 1e-8);
            CHECK_OK(rkn_sinkhorn_set_string(s, "epsilon_relative", "max"));
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            CHECK(error_of(s, C, N, N, a, b, NULL) < 1.1e-8);
            rkn_sinkhorn_destroy(s);
        }
        rkn_geometry_destroy(G);
    }
    free(a), free(b);
}

/* Densities that drift: warm starts take fewer passes; threads change no bit. */
static void test_sequence(void) {
    enum { K = 16, N = K * K, STEPS = 6 };
    const int64_t size[2] = {K, K};
    const double h[2] = {1.0 / K, 1.0 / K};
    double passes[3] = {0}, f[2][N], g[N];
    const char *const starts[3] = {"zero", "previous", "extrapolated"};
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_grid(NULL, 2, size, h, NULL, 2, &G));
    for (int way = 0; way < 3; ++way) {
        rkn_sinkhorn *s = solver(NULL, "auto", 2e-3, 1e-9);
        CHECK_OK(rkn_sinkhorn_set_string(s, "start", starts[way]));
        for (int t = 0; t < STEPS; ++t) {
            double a[N], b[N], sa = 0, sb = 0;
            for (int i = 0; i < N; ++i) {
                const double x = (i / K + 0.5) / K, y = (i % K + 0.5) / K, u = 0.3 + 0.006 * t;
                sa += a[i] = 1e-2 + exp(-30 * ((x - u) * (x - u) + (y - 0.4) * (y - 0.4)));
                sb += b[i] = 1e-2 + exp(-20 * ((x - 0.7) * (x - 0.7) + (y - 0.5 - 0.005 * t) * (y - 0.5 - 0.005 * t)));
            }
            for (int i = 0; i < N; ++i) a[i] /= sa, b[i] /= sb;
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            CHECK(real_of(s, "marginal_error") <= 1e-9);
            if (t > 1) passes[way] += real_of(s, "passes");
            if (t == STEPS - 1 && way == 0) {
                CHECK_OK(rkn_sinkhorn_potentials(s, f[0], g));
                rkn_context *ctx = NULL;
                CHECK_OK(rkn_context_create(&ctx));
                CHECK_OK(rkn_context_set_int(ctx, "threads", 3));
                rkn_sinkhorn *other = solver(ctx, "auto", 2e-3, 1e-9);
                CHECK_OK(rkn_sinkhorn_solve(other, G, a, b));
                CHECK_OK(rkn_sinkhorn_potentials(other, f[1], NULL));
                CHECK(memcmp(f[0], f[1], sizeof f[0]) == 0);
                rkn_sinkhorn_destroy(other);
                rkn_context_destroy(ctx);
            }
        }
        CHECK(count(s, "solves") == STEPS);
        CHECK_OK(rkn_sinkhorn_forget(s));
        CHECK_STATUS(rkn_sinkhorn_potentials(s, f[0], g), RKN_ERR_STATE);
        rkn_sinkhorn_destroy(s);
    }
    CHECK(passes[1] < 0.8 * passes[0] && passes[2] < 0.8 * passes[0]);
    rkn_geometry_destroy(G);
}

typedef struct watch {
    int64_t calls, stop_at;
    double last;
    int is_sane;
} watch;
static int32_t watching(void *user, const rkn_progress *p) {
    watch *w = user;
    w->is_sane = w->is_sane && p->solver == 2 && p->measure >= 0 && p->iteration == w->calls + 1;
    w->last = p->measure;
    return ++w->calls == w->stop_at;
}

static void test_stops(void) {
    enum { N = 60 };
    static double C[N * N];
    for (int k = 0; k < N * N; ++k) C[k] = unit();
    double *a = masses(N), *b = masses(N);
    rkn_geometry *G = matrix(C, N, N);
    for (int k = 0; k < 3; ++k) {
        watch w = {0, 3, 0, 1};
        rkn_sinkhorn *s = solver(NULL, methods[k], 1e-3, 1e-9);
        CHECK_OK(rkn_sinkhorn_set_monitor(s, watching, &w, NULL));
        CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, b), RKN_STOP_MONITOR);
        CHECK(w.calls == 3 && w.is_sane && w.last > 0);
        CHECK_OK(rkn_sinkhorn_set_monitor(s, NULL, NULL, NULL));
        CHECK_OK(rkn_sinkhorn_set_int(s, "max_passes", 4));
        CHECK_OK(rkn_sinkhorn_forget(s));
        CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, b), RKN_STOP_ITERATIONS);
        CHECK(real_of(s, "passes") >= 4 && real_of(s, "passes") <= 8 && real_of(s, "marginal_error") > 1e-9);
        CHECK_OK(rkn_sinkhorn_set_int(s, "max_passes", 100000));
        CHECK_OK(rkn_sinkhorn_set_real(s, "time_limit", 0));
        CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, b), RKN_STOP_TIME);
        CHECK(count(s, "status") == RKN_STOP_TIME);
        rkn_sinkhorn_destroy(s);
    }
    rkn_geometry_destroy(G);

    /* a row that may go nowhere, and a pattern that cannot carry the mass */
    const int32_t ptr[4] = {0, 1, 1, 3}, ind[3] = {0, 1, 2};
    const double cost[3] = {1, 1, 1}, third[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    rkn_sinkhorn *s = solver(NULL, "auto", 1e-2, 1e-9);
    CHECK_OK(rkn_geometry_create_sparse(NULL, 3, 3, RKN_I32, 0, ptr, ind, cost, &G));
    CHECK_STATUS(rkn_sinkhorn_solve(s, G, third, third), RKN_STOP_INFEASIBLE);
    rkn_geometry_destroy(G);
    const int32_t tight[4] = {0, 1, 2, 4}, to[4] = {0, 0, 1, 2};
    const double four[4] = {1, 1, 1, 1};
    CHECK_OK(rkn_geometry_create_sparse(NULL, 3, 3, RKN_I32, 0, tight, to, four, &G));
    CHECK(rkn_sinkhorn_solve(s, G, third, third) > 0);
    double f[3], g[3];
    CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
    CHECK(!isnan(f[0]) && !isnan(f[2]) && !isnan(g[0]) && !isnan(g[2]));
    rkn_geometry_destroy(G);
    rkn_sinkhorn_destroy(s);

    /* one point each; a constant cost; a huge entry */
    const double one[1] = {4}, zero[4] = {0, 0, 0, 0}, huge_cost[4] = {0, 1e32, 1e32, 0}, half[2] = {2, 2};
    double p = 0, x = 1;
    s = solver(NULL, "auto", 1e-3, 1e-10);
    G = matrix(zero, 1, 1);
    CHECK_OK(rkn_sinkhorn_solve(s, G, one, one));
    CHECK_OK(rkn_sinkhorn_plan_apply(s, RKN_N, 1, &x, 1, &p, 1));
    CHECK(fabs(p - 4) < 1e-12);
    rkn_geometry_destroy(G);
    G = matrix(zero, 2, 2);
    CHECK_OK(rkn_sinkhorn_set_string(s, "epsilon_relative", "max"));
    CHECK_OK(rkn_sinkhorn_solve(s, G, half, half));
    CHECK(fabs(real_of(s, "cost")) < 1e-12);
    rkn_geometry_destroy(G);
    G = matrix(huge_cost, 2, 2);
    CHECK_OK(rkn_sinkhorn_set_string(s, "epsilon_relative", "no"));
    CHECK_OK(rkn_sinkhorn_solve(s, G, half, half));
    CHECK(fabs(real_of(s, "cost")) < 1e-9);
    rkn_geometry_destroy(G);
    rkn_sinkhorn_destroy(s);
    free(a), free(b);
}

static void test_refusals(void) {
    double C[6] = {1, 2, 3, 4, 5, 6}, bad[6] = {1, 2, NAN, 4, 5, 6}, a[2] = {1, 1}, b[3] = {1, 0.5, 0.5}, n3[3] = {1, -1, 2}, more[3] = {1, 1, 1};
    double x[4] = {0, 1, 2, 3};
    const int64_t size[2] = {2, 2}, none[1] = {0};
    int64_t need_entries = 0;
    int gone = 0;
    const char *f = "rkn_geometry_create_matrix";
    rkn_geometry *G = GARBAGE, *H = NULL;
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, NULL, 3, RKN_COPY, &G), RKN_ERR_NULL, f, "C");
    CHECK(G == NULL);
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, C, 3, RKN_COPY, NULL), RKN_ERR_NULL, f, "out");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 0, 3, RKN_ROW_MAJOR, C, 3, RKN_COPY, &G), RKN_ERR_SIZE, f, "n");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, -1, RKN_ROW_MAJOR, C, 3, RKN_COPY, &G), RKN_ERR_SIZE, f, "m");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, C, 2, RKN_COPY, &G), RKN_ERR_SIZE, f, "ld");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, 9, C, 3, RKN_COPY, &G), RKN_ERR_ARGUMENT, f, "order");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, C, 3, 7, &G), RKN_ERR_ARGUMENT, f, "memory");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_C64, 2, 3, RKN_ROW_MAJOR, C, 3, RKN_COPY, &G), RKN_ERR_SCALAR, f, "scalar");
    CHECK_REFUSED(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, bad, 3, RKN_COPY, &G), RKN_ERR_NONFINITE, f, "");
    CHECK_SAYS("row 0 and column 2");
    f = "rkn_geometry_create_points";
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 0, 2, x, 2, 2, x, 2, 2, 2, NULL, NULL, &G), RKN_ERR_SIZE, f, "d");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, NULL, 2, 2, x, 2, 2, 2, NULL, NULL, &G), RKN_ERR_NULL, f, "x");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, x, 2, 2, x, 1, 2, 2, NULL, NULL, &G), RKN_ERR_SIZE, f, "ldy");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, x, 2, 2, x, 2, 0, 2, NULL, NULL, &G), RKN_ERR_ARGUMENT, f, "p");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, x, 2, 2, x, 2, 2, NAN, NULL, NULL, &G), RKN_ERR_ARGUMENT, f, "q");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, x, 2, 2, bad + 1, 2, 2, 2, NULL, NULL, &G), RKN_ERR_NONFINITE, f, "y");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, x, 2, 2, x, 2, 2, 2, n3, NULL, &G), RKN_ERR_ARGUMENT, f, "weights");
    CHECK_REFUSED(rkn_geometry_create_points(NULL, 2, 2, x, 2, 2, x, 2, 2, 2, NULL, n3, &G), RKN_ERR_ARGUMENT, f, "periods");
    f = "rkn_geometry_create_grid";
    CHECK_REFUSED(rkn_geometry_create_grid(NULL, 4, size, NULL, NULL, 2, &G), RKN_ERR_ARGUMENT, f, "d");
    CHECK_REFUSED(rkn_geometry_create_grid(NULL, 1, none, NULL, NULL, 2, &G), RKN_ERR_SIZE, f, "size");
    CHECK_REFUSED(rkn_geometry_create_grid(NULL, 2, NULL, NULL, NULL, 2, &G), RKN_ERR_NULL, f, "size");
    CHECK_REFUSED(rkn_geometry_create_grid(NULL, 2, size, n3, NULL, 2, &G), RKN_ERR_ARGUMENT, f, "h");
    CHECK_REFUSED(rkn_geometry_create_grid(NULL, 2, size, NULL, NULL, -2, &G), RKN_ERR_ARGUMENT, f, "p");
    f = "rkn_geometry_create_sparse";
    const int32_t ptr[3] = {0, 1, 3}, ind[3] = {0, 1, 1}, out[3] = {0, 1, 3}, wild[3] = {0, 2, 1};
    CHECK_REFUSED(rkn_geometry_create_sparse(NULL, 2, 3, RKN_I32, 0, ptr, ind, C, &G), RKN_ERR_INDEX, f, "colind");
    CHECK_REFUSED(rkn_geometry_create_sparse(NULL, 2, 3, RKN_I32, 0, ptr, out, C, &G), RKN_ERR_INDEX, f, "colind");
    CHECK_REFUSED(rkn_geometry_create_sparse(NULL, 2, 3, RKN_I32, 0, wild, ind, C, &G), RKN_ERR_INDEX, f, "rowptr");
    CHECK_REFUSED(rkn_geometry_create_sparse(NULL, 2, 3, 5, 0, ptr, ind, C, &G), RKN_ERR_ARGUMENT, f, "index");
    CHECK_REFUSED(rkn_geometry_create_callback(NULL, 2, 3, NULL, &gone, let_go, &G), RKN_ERR_NULL, "rkn_geometry_create_callback", "row");
    CHECK(gone == 0);

    rkn_sinkhorn *s = GARBAGE;
    CHECK_REFUSED(rkn_sinkhorn_create(NULL, "emd", &s), RKN_ERR_KEY, "rkn_sinkhorn_create", "");
    CHECK_SAYS("known: auto, sinkhorn, sns");
    CHECK(s == NULL);
    CHECK_OK(rkn_sinkhorn_create(NULL, "auto", &s));
    CHECK_REFUSED(rkn_sinkhorn_set_real(s, "epsilon", NAN), RKN_ERR_NONFINITE, "rkn_sinkhorn_set_real", "epsilon");
    CHECK_REFUSED(rkn_sinkhorn_set_real(s, "epsilon", -1), RKN_ERR_ARGUMENT, "rkn_sinkhorn_set_real", "epsilon");
    CHECK_REFUSED(rkn_sinkhorn_set_real(s, "relaxation", 1.5), RKN_ERR_KEY, "rkn_sinkhorn_set_real", "relaxation");
    CHECK_REFUSED(rkn_sinkhorn_set_string(s, "start", "hot"), RKN_ERR_ARGUMENT, "rkn_sinkhorn_set_string", "start");
    CHECK_REFUSED(rkn_sinkhorn_set_int(s, "iterations", 3), RKN_ERR_KEY, "rkn_sinkhorn_set_int", "iterations");
    CHECK_STATUS(rkn_sinkhorn_plan_apply(s, RKN_N, 1, x, 3, x, 2), RKN_ERR_STATE);
    H = matrix(C, 2, 3);
    f = "rkn_sinkhorn_solve";
    CHECK_REFUSED(rkn_sinkhorn_solve(NULL, H, a, b), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(rkn_sinkhorn_solve(s, NULL, a, b), RKN_ERR_NULL, f, "G");
    CHECK_REFUSED(rkn_sinkhorn_solve(s, H, NULL, b), RKN_ERR_NULL, f, "a");
    CHECK_REFUSED(rkn_sinkhorn_solve(s, H, a, n3), RKN_ERR_ARGUMENT, f, "b");
    CHECK_REFUSED(rkn_sinkhorn_solve(s, H, a, more), RKN_ERR_ARGUMENT, f, "b");
    CHECK_SAYS("mass");
    CHECK_REFUSED(rkn_sinkhorn_solve(s, H, bad + 1, b), RKN_ERR_NONFINITE, f, "a");
    CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", 0));
    CHECK_REFUSED(rkn_sinkhorn_solve(s, H, a, b), RKN_ERR_ARGUMENT, f, "epsilon");
    CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", 0.1));
    CHECK_OK(rkn_sinkhorn_solve(s, H, a, b));
    rkn_geometry_destroy(H);    /* the solver keeps what it needs */
    double y[2] = {0}, z[3] = {1, 1, 1};
    CHECK_OK(rkn_sinkhorn_plan_apply(s, RKN_N, 1, z, 3, y, 2));
    CHECK(fabs(y[0] - 1) < 1e-6 && fabs(y[1] - 1) < 1e-6);
    CHECK_REFUSED(rkn_sinkhorn_plan_apply(s, 5, 1, z, 3, y, 2), RKN_ERR_ARGUMENT, "rkn_sinkhorn_plan_apply", "trans");
    CHECK_REFUSED(rkn_sinkhorn_plan_apply(s, RKN_N, 1, z, 2, y, 2), RKN_ERR_SIZE, "rkn_sinkhorn_plan_apply", "ldx");
    CHECK_REFUSED(rkn_sinkhorn_plan_apply(s, RKN_N, 1, z, 3, z, 2), RKN_ERR_ARGUMENT, "rkn_sinkhorn_plan_apply", "Y");
    CHECK_REFUSED(rkn_sinkhorn_plan_sparse(s, -1, NULL, NULL, NULL, 0, &need_entries), RKN_ERR_ARGUMENT, "rkn_sinkhorn_plan_sparse", "threshold");

    /* a callback that fails, and one that writes NaN */
    int32_t calls = 0;
    CHECK_OK(rkn_geometry_create_callback(NULL, 3, 3, no_row, &calls, NULL, &G));
    CHECK_STATUS(rkn_sinkhorn_solve(s, G, b, b), RKN_ERR_CALLBACK);
    CHECK(calls == 1);
    rkn_geometry_destroy(G);
    CHECK_OK(rkn_geometry_create_callback(NULL, 2, 3, row_of, bad, NULL, &G));
    CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, b), RKN_ERR_NONFINITE);
    rkn_geometry_destroy(G);
    rkn_geometry_destroy(NULL);
    rkn_geometry_destroy(GARBAGE);
    rkn_sinkhorn_destroy(s);
    CHECK_REFUSED(rkn_sinkhorn_forget(s), RKN_ERR_HANDLE, "rkn_sinkhorn_forget", "s");
    rkn_sinkhorn_destroy(NULL);
}

int main(void) {
    test_two_points();
    test_line();
    test_geometries();
    test_plans();
    test_small_epsilon();
    test_sequence();
    test_stops();
    test_refusals();
    return done();
}
