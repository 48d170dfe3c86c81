/* Several transport problems at once: against iterations written out here and against single solves; threads, bad pairs. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)

static const char *const methods[] = {"auto", "sinkhorn", "sns"};

static double unit(void) { return 0.5 * (uniform() + 1); }
static rkn_sinkhorn *solver(const rkn_context *ctx, const char *method, const char *options) {
    rkn_sinkhorn *s = NULL;
    CHECK_OK(rkn_sinkhorn_create(ctx, method, &s));
    CHECK_OK(rkn_sinkhorn_set_options(s, options));
    return s;
}
static double real_of(const rkn_sinkhorn *s, const char *key) {
    double v = NAN;
    CHECK_OK(rkn_sinkhorn_get_real(s, key, &v));
    return v;
}
static rkn_context *context(int threads) {
    rkn_context *ctx = NULL;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_int(ctx, "threads", threads));
    return ctx;
}

enum { N = 17, M = 23, K = 11, LD = 30 };
static double C[N * M], A[K * LD], B[K * LD];
/* Masses of another sum in each pair, some empty points. */
static void fill(void) {
    random_state = 77;
    for (int i = 0; i < N * M; ++i) C[i] = unit();
    for (int l = 0; l < K; ++l) {
        double a = 0, b = 0;
        for (int i = 0; i < LD; ++i) A[l * LD + i] = B[l * LD + i] = NAN;
        for (int i = 0; i < N; ++i) a += A[l * LD + i] = (i + l) % 9 == 0 ? 0 : 0.1 + unit();
        for (int j = 0; j < M; ++j) b += B[l * LD + j] = (j + 2 * l) % 11 == 0 ? 0 : 0.1 + unit();
        for (int i = 0; i < N; ++i) A[l * LD + i] *= (l + 1) / a;
        for (int j = 0; j < M; ++j) B[l * LD + j] *= (l + 1) / b;
    }
}
/* P by Sinkhorn's iterations as in a textbook. */
static void textbook(const double *a, const double *b, double epsilon, double *P) {
    double u[N], v[M];
    for (int j = 0; j < M; ++j) v[j] = 1;
    for (int step = 0; step < 4000; ++step) {
        for (int i = 0; i < N; ++i) {
            double row = 0;
            for (int j = 0; j < M; ++j) row += exp(-C[i * M + j] / epsilon) * v[j];
            u[i] = a[i] / row;
        }
        double change = 0;
        for (int j = 0; j < M; ++j) {
            double column = 0;
            for (int i = 0; i < N; ++i) column += exp(-C[i * M + j] / epsilon) * u[i];
            change = fmax(change, fabs(v[j] * column - b[j]));
            v[j] = b[j] / column;
        }
        if (change < 1e-15) break;
    }
    for (int i = 0; i < N; ++i)
        for (int j = 0; j < M; ++j) P[i * M + j] = u[i] * exp(-C[i * M + j] / epsilon) * v[j];
}
static int32_t row_of(void *user, int64_t i, int64_t m, double *row) {
    ++*(int64_t *)user;
    memcpy(row, C + i * m, (size_t)m * 8);
    return 0;
}

static void test_truth(void) {
    static double T[N * M], f[K * LD], g[K * LD], costs[K], P[N * M];
    int32_t statuses[K];
    int64_t calls = 0;
    fill();
    for (int i = 0; i < N; ++i)
        for (int j = 0; j < M; ++j) T[j * N + i] = C[i * M + j];
    for (int order = 0; order < 3; ++order)
        for (int k = 0; k < 3; ++k) {
            rkn_geometry *G = NULL;
            if (order == 2) CHECK_OK(rkn_geometry_create_callback(NULL, N, M, row_of, &calls, NULL, &G));
            else
                CHECK_OK(order ? rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_COLUMN_MAJOR, T, N, RKN_BORROW, &G)
                               : rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_ROW_MAJOR, C, M, RKN_BORROW, &G));
            rkn_sinkhorn *s = solver(NULL, methods[k], "epsilon=0.06 tolerance=1e-12");
            if (k == 2) CHECK_OK(rkn_sinkhorn_set_options(s, "sparsity=0.8"));
            memset(statuses, 0x55, sizeof statuses);
            CHECK_OK(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, f, LD, g, LD, costs, statuses));
            double total = 0;
            for (int l = 0; l < K; ++l) {
                const double *a = A + l * LD, *b = B + l * LD;
                double cost = 0, worst = 0;
                textbook(a, b, 0.06, P);
                for (int i = 0; i < N; ++i)
                    for (int j = 0; j < M; ++j) {
                        cost += C[i * M + j] * P[i * M + j];
                        worst = fmax(worst, fabs(P[i * M + j] - exp((f[l * LD + i] + g[l * LD + j] - C[i * M + j]) / 0.06)));
                    }
                CHECK(worst < 1e-10 * (l + 1) && fabs(cost - costs[l]) < 1e-10 * cost && statuses[l] == RKN_OK);
                total += cost;
            }
            CHECK(fabs(real_of(s, "cost") - total) < 1e-9 && real_of(s, "marginal_error") <= 1e-12);
            CHECK(real_of(s, "passes") >= 2 * K && real_of(s, "solves") == 0);
            rkn_sinkhorn_destroy(s);
            rkn_geometry_destroy(G);
        }
}

/* A pair is what a single solve gives, to the last bit, for any number of threads; where iterations are swept together, to
   the tolerance, and again the same bits for any number. */
static void test_single(void) {
    enum { L = 6, S = 120 };
    static double a[L * S], b[L * S], f[L * S], g[L * S], first[2][L * S], x[S], y[S], costs[L];
    for (int l = 0; l < L; ++l)
        for (int i = 0; i < S; ++i) a[l * S + i] = 1.0 / (1 + 0.01 * (i - 10 * l) * (i - 10 * l));
    for (int l = 0; l < L; ++l) {
        double of_a = 0, of_b = 0;
        for (int i = 0; i < S; ++i) b[l * S + i] = a[l * S + (i + 40) % S], of_a += a[l * S + i], of_b += b[l * S + i];
        for (int i = 0; i < S; ++i) a[l * S + i] /= of_a, b[l * S + i] /= of_b;
    }
    const int64_t n = S;
    const double h = 1.0 / S;
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_grid(NULL, 1, &n, &h, NULL, 2, &G));
    for (int k = 0; k < 2; ++k)
        for (int threads = 1; threads < 8; threads += threads == 1 ? 1 : 5) {
            rkn_context *ctx = context(threads);
            rkn_sinkhorn *s = solver(ctx, methods[k], "epsilon=1e-2 tolerance=1e-8");
            CHECK_OK(rkn_sinkhorn_solve_batch(s, G, L, a, S, b, S, f, S, g, S, costs, NULL));
            if (threads == 1) memcpy(first[k], f, sizeof f);
            else CHECK(memcmp(first[k], f, sizeof f) == 0);
            for (int l = 0; l < L; ++l) {
                rkn_sinkhorn *t = solver(ctx, methods[k], "epsilon=1e-2 tolerance=1e-8");
                CHECK_OK(rkn_sinkhorn_solve(t, G, a + l * S, b + l * S));
                CHECK_OK(rkn_sinkhorn_potentials(t, x, y));
                if (k == 0) {
                    CHECK(memcmp(x, f + l * S, sizeof x) == 0 && memcmp(y, g + l * S, sizeof y) == 0);
                    CHECK(costs[l] == real_of(t, "cost"));
                } else
                    CHECK(fabs(costs[l] - real_of(t, "cost")) < 1e-8 && fabs((x[1] - x[S - 2]) - (f[l * S + 1] - f[l * S + S - 2])) < 1e-6);
                rkn_sinkhorn_destroy(t);
            }
            /* the same as problems of their own */
            const rkn_geometry *many[L];
            const double *as[L], *bs[L];
            double *fs[L], own[L];
            for (int l = 0; l < L; ++l) many[l] = G, as[l] = a + l * S, bs[l] = b + l * S, fs[l] = l == 3 ? NULL : g + l * S;
            CHECK_OK(rkn_sinkhorn_solve_many(s, L, many, as, bs, fs, NULL, own, NULL));
            for (int l = 0; l < L; ++l) {
                if (k == 0) CHECK(own[l] == costs[l]);
                else CHECK(fabs(own[l] - costs[l]) < 1e-8);
                if (k == 0 && l != 3) CHECK(memcmp(g + l * S, f + l * S, sizeof x) == 0);
            }
            rkn_sinkhorn_destroy(s);
            rkn_context_destroy(ctx);
        }
    rkn_geometry_destroy(G);
}

/* Sinkhorn's iterations ask for each row once for eight pairs, as often as the slowest needs. */
static void test_rows(void) {
    int64_t calls = 0;
    rkn_geometry *G = NULL;
    fill();
    CHECK_OK(rkn_geometry_create_callback(NULL, N, M, row_of, &calls, NULL, &G));
    rkn_sinkhorn *s = solver(NULL, "sinkhorn", "epsilon=0.02 tolerance=1e-10");
    CHECK_OK(rkn_sinkhorn_solve_batch(s, G, 8, A, LD, B, LD, NULL, 0, NULL, 0, NULL, NULL));
    const double passes = real_of(s, "passes");
    CHECK(calls > 0 && (double)calls < 0.4 * N * passes);
    int64_t single = calls;
    calls = 0;
    for (int l = 0; l < 8; ++l) {
        CHECK_OK(rkn_sinkhorn_forget(s));
        CHECK_OK(rkn_sinkhorn_solve(s, G, A + l * LD, B + l * LD));
    }
    CHECK(single < 0.4 * calls);
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
}

/* One bad pair does not lose the others. */
static void test_bad_pairs(void) {
    static double f[K * N], g[K * M], costs[K];
    int32_t statuses[K];
    for (int k = 0; k < 3; ++k)
        for (int threads = 1; threads < 3; ++threads) {
            rkn_context *ctx = context(threads);
            rkn_geometry *G = NULL;
            fill();
            A[2 * LD + 5] = NAN, B[4 * LD + 1] = -1, B[5 * LD + 3] += 1, B[9 * LD + 4] = INFINITY;
            for (int i = 0; i < N; ++i) A[7 * LD + i] = 0;
            CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_ROW_MAJOR, C, M, RKN_BORROW, &G));
            rkn_sinkhorn *s = solver(ctx, methods[k], "epsilon=0.1 tolerance=1e-9");
            for (int i = 0; i < K * N; ++i) f[i] = 7;
            for (int l = 0; l < K; ++l) costs[l] = -7;
            CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, f, N, g, M, costs, statuses), RKN_ERR_NONFINITE, "rkn_sinkhorn_solve_batch", "A");
            CHECK_SAYS("row 5 and column 2");
            for (int l = 0; l < K; ++l) {
                const int32_t want = l == 2 || l == 9 ? RKN_ERR_NONFINITE : l == 4 || l == 5 || l == 7 ? RKN_ERR_ARGUMENT : RKN_OK;
                if (!CHECK(statuses[l] == want && (f[l * N + 1] == 7) == (want != RKN_OK) && (costs[l] == -7) == (want != RKN_OK)))
                    printf("    %s, pair %d: status %d\n", methods[k], l, statuses[l]);
            }
            CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 1, A + 5 * LD, LD, B + 5 * LD, LD, NULL, 0, NULL, 0, NULL, NULL), RKN_ERR_ARGUMENT,
                          "rkn_sinkhorn_solve_batch", "B");
            const rkn_geometry *many[2] = {G, G};
            const double *as[2] = {A, A + 5 * LD}, *bs[2] = {B, B + 5 * LD};
            CHECK_REFUSED(rkn_sinkhorn_solve_many(s, 2, many, as, bs, NULL, NULL, costs, statuses), RKN_ERR_ARGUMENT, "rkn_sinkhorn_solve_many", "b");
            CHECK_SAYS("problem 1");
            CHECK(statuses[0] == RKN_OK && statuses[1] == RKN_ERR_ARGUMENT && costs[0] > 0);
            rkn_sinkhorn_destroy(s);
            rkn_geometry_destroy(G);
            rkn_context_destroy(ctx);
        }
    /* infeasible pairs between others */
    const int32_t ptr[4] = {0, 1, 2, 4}, ind[4] = {0, 1, 0, 1};
    const double cost[4] = {1, 1, 2, 3}, a[9] = {1, 1, 0, 1, 0, 0, 0, 0, 1}, b[6] = {1, 1, 0, 1, 0.5, 0.5};
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_sparse(NULL, 3, 2, RKN_I32, 0, ptr, ind, cost, &G));
    for (int k = 0; k < 3; ++k) {
        rkn_sinkhorn *s = solver(NULL, methods[k], "epsilon=0.1 tolerance=1e-9");
        costs[1] = -7;
        CHECK_STATUS(rkn_sinkhorn_solve_batch(s, G, 3, a, 3, b, 2, NULL, 1, NULL, 1, costs, statuses), RKN_STOP_INFEASIBLE);
        CHECK(statuses[0] == RKN_OK && statuses[1] == RKN_STOP_INFEASIBLE && statuses[2] == RKN_OK);
        CHECK(fabs(costs[0] - 2) < 1e-6 && costs[1] == -7 && fabs(costs[2] - 2.5) < 1e-6);
        rkn_sinkhorn_destroy(s);
    }
    rkn_geometry_destroy(G);
}

static int32_t stop_at_third(void *user, const rkn_progress *progress) {
    (void)progress;
    return ++*(int *)user == 3;
}
static int32_t broken_row(void *user, int64_t i, int64_t m, double *row) {
    (void)user, memset(row, 0, (size_t)m * 8);
    return i == 2 ? 9 : 0;
}

/* Limits, monitor, interrupt, memory; the solver's last plan stays. */
static void test_limits(void) {
    static double f[N], g[M], again[N], costs[K], pairs_f[K * N];
    int32_t statuses[K];
    fill();
    for (int threads = 1; threads < 4; threads += 2) {
        rkn_context *ctx = context(threads);
        rkn_geometry *G = NULL, *R = NULL;
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_ROW_MAJOR, C, M, RKN_BORROW, &G));
        rkn_sinkhorn *s = solver(ctx, "sinkhorn", "epsilon=0.02 tolerance=1e-10");
        CHECK_OK(rkn_sinkhorn_solve(s, G, A, B));
        const double cold = real_of(s, "iterations");
        CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
        CHECK_OK(rkn_sinkhorn_set_options(s, "max_passes=4"));
        CHECK_STATUS(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, NULL, 0, NULL, 0, costs, statuses), RKN_STOP_ITERATIONS);
        for (int l = 0; l < K; ++l) CHECK(statuses[l] == RKN_STOP_ITERATIONS && costs[l] > 0);
        CHECK(real_of(s, "passes") <= 7 * K);
        CHECK_OK(rkn_sinkhorn_set_options(s, "max_passes=100000 time_limit=0"));
        CHECK_STATUS(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, NULL, 0, NULL, 0, costs, statuses), RKN_STOP_TIME);
        CHECK_OK(rkn_sinkhorn_set_options(s, "time_limit=1e300"));
        rkn_context_interrupt(ctx);
        CHECK_STATUS(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, NULL, 0, NULL, 0, costs, statuses), RKN_STOP_INTERRUPT);
        for (int l = 0; l < K; ++l) CHECK(statuses[l] == RKN_STOP_INTERRUPT);
        CHECK_OK(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, pairs_f, N, NULL, 0, costs, statuses));
        /* a monitor looks at one pair after another, and ends the one it stops */
        int calls = 0;
        CHECK_OK(rkn_sinkhorn_set_monitor(s, stop_at_third, &calls, NULL));
        CHECK_STATUS(rkn_sinkhorn_solve_batch(s, G, K, A, LD, B, LD, NULL, 0, NULL, 0, NULL, statuses), RKN_STOP_MONITOR);
        CHECK(calls > 3 && statuses[0] == RKN_STOP_MONITOR && statuses[1] == RKN_OK && statuses[K - 1] == RKN_OK);
        const int so_far = calls;
        CHECK_OK(rkn_sinkhorn_solve_batch(s, G, 1, A, LD, B, LD, NULL, 0, NULL, 0, NULL, statuses));
        CHECK(calls > so_far);
        CHECK_OK(rkn_sinkhorn_set_monitor(s, NULL, NULL, NULL));
        /* start=previous: every pair begins with what the last single solve left */
        CHECK_OK(rkn_sinkhorn_potentials(s, again, NULL));
        CHECK(memcmp(f, again, sizeof f) == 0 && real_of(s, "solves") == 1);
        CHECK_OK(rkn_sinkhorn_set_options(s, "start=previous"));
        for (int l = 0; l < 3; ++l) memcpy(A + l * LD, A, N * 8), memcpy(B + l * LD, B, M * 8);
        CHECK_OK(rkn_sinkhorn_solve_batch(s, G, 3, A, LD, B, LD, NULL, 0, NULL, 0, NULL, NULL));
        CHECK(real_of(s, "iterations") <= 9 && cold > 20);
        fill();
        CHECK_OK(rkn_sinkhorn_solve_batch(s, G, 0, NULL, 1, NULL, 1, NULL, 1, NULL, 1, NULL, NULL));
        CHECK(real_of(s, "passes") == 0);
        /* a callback that fails */
        CHECK_OK(rkn_geometry_create_callback(NULL, N, M, broken_row, NULL, NULL, &R));
        CHECK_STATUS(rkn_sinkhorn_solve_batch(s, R, 2, A, LD, B, LD, NULL, 0, NULL, 0, NULL, NULL), RKN_ERR_CALLBACK);
        const rkn_geometry *many[3] = {G, R, G};
        const double *as[3] = {A, A, A}, *bs[3] = {B, B, B};
        CHECK_STATUS(rkn_sinkhorn_solve_many(s, 3, many, as, bs, NULL, NULL, costs, statuses), RKN_ERR_CALLBACK);
        CHECK(statuses[0] == RKN_OK && statuses[1] == RKN_ERR_CALLBACK && statuses[2] == RKN_OK && costs[0] == costs[2]);
        rkn_sinkhorn_destroy(s);
        rkn_geometry_destroy(G), rkn_geometry_destroy(R);
        rkn_context_destroy(ctx);
    }
}

/* Problems of many sizes and costs. */
static void test_many(void) {
    enum { L = 40 };
    static double cost[L][12 * 12], a[L][12], b[L][12], f[L][12], g[L][12], costs[L], first[L];
    rkn_geometry *G[L] = {NULL};
    const double *as[L], *bs[L];
    double *fs[L], *gs[L];
    for (int l = 0; l < L; ++l) {
        const int n = 1 + l % 12, m = 1 + (5 * l) % 12;
        double of_a = 0, of_b = 0;
        for (int i = 0; i < n * m; ++i) cost[l][i] = unit();
        for (int i = 0; i < n; ++i) of_a += a[l][i] = 0.1 + unit();
        for (int j = 0; j < m; ++j) of_b += b[l][j] = 0.1 + unit();
        for (int j = 0; j < m; ++j) b[l][j] *= of_a / of_b;
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, RKN_ROW_MAJOR, cost[l], m, RKN_BORROW, &G[l]));
        as[l] = a[l], bs[l] = b[l], fs[l] = f[l], gs[l] = g[l];
    }
    for (int threads = 1; threads < 8; threads += threads == 1 ? 1 : 5) {
        rkn_context *ctx = context(threads);
        rkn_sinkhorn *s = solver(ctx, "auto", "epsilon=0.05 tolerance=1e-10");
        CHECK_OK(rkn_sinkhorn_solve_many(s, L, (const rkn_geometry *const *)G, as, bs, fs, gs, costs, NULL));
        if (threads == 1) memcpy(first, costs, sizeof costs);
        CHECK(memcmp(first, costs, sizeof costs) == 0);
        double worst = 0;
        for (int l = 0; l < L; ++l) {
            const int n = 1 + l % 12, m = 1 + (5 * l) % 12;
            double total = 0;
            for (int i = 0; i < n; ++i) {
                double row = 0;
                for (int j = 0; j < m; ++j) {
                    const double p = exp((f[l][i] + g[l][j] - cost[l][i * m + j]) / 0.05);
                    row += p, total += p * cost[l][i * m + j];
                }
                worst = fmax(worst, fabs(row - a[l][i]));
            }
            worst = fmax(worst, fabs(total - costs[l]));
        }
        CHECK(worst < 1e-8);
        rkn_sinkhorn_destroy(s);
        rkn_context_destroy(ctx);
    }
    for (int l = 0; l < L; ++l) rkn_geometry_destroy(G[l]);
}

static void test_bad_input(void) {
    static double f[2 * LD], g[2 * LD], costs[2];
    int32_t statuses[2];
    static const char *const batch = "rkn_sinkhorn_solve_batch", *const many = "rkn_sinkhorn_solve_many";
    fill();
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_ROW_MAJOR, C, M, RKN_BORROW, &G));
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.1");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(GARBAGE, G, 2, A, LD, B, LD, f, LD, g, LD, costs, statuses), RKN_ERR_HANDLE, batch, "s");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, NULL, 2, A, LD, B, LD, f, LD, g, LD, costs, statuses), RKN_ERR_NULL, batch, "G");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, -2, A, LD, B, LD, f, LD, g, LD, costs, statuses), RKN_ERR_SIZE, batch, "k");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, NULL, LD, B, LD, f, LD, g, LD, costs, statuses), RKN_ERR_NULL, batch, "A");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, N - 1, B, LD, f, LD, g, LD, costs, statuses), RKN_ERR_SIZE, batch, "lda");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, NULL, LD, f, LD, g, LD, costs, statuses), RKN_ERR_NULL, batch, "B");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, M - 1, f, LD, g, LD, costs, statuses), RKN_ERR_SIZE, batch, "ldb");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, LD, f, N - 1, g, LD, costs, statuses), RKN_ERR_SIZE, batch, "ldf");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, LD, f, LD, g, M - 1, costs, statuses), RKN_ERR_SIZE, batch, "ldg");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, INT64_MAX / 4, A, LD, B, LD, f, LD, g, LD, costs, statuses), RKN_ERR_SIZE, batch, "");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, LD, A, LD, g, LD, costs, statuses), RKN_ERR_ARGUMENT, batch, "fs");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, LD, f, LD, f + 5, LD, costs, statuses), RKN_ERR_ARGUMENT, batch, "gs");
    CHECK_REFUSED(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, LD, f, LD, g, LD, g + 2, statuses), RKN_ERR_ARGUMENT, batch, "costs");
    /* potentials of a pair may stand in one column */
    static double both[2 * (N + M)];
    CHECK_OK(rkn_sinkhorn_solve_batch(s, G, 2, A, LD, B, LD, both, N + M, both + N, N + M, costs, statuses));
    CHECK(both[1] != 0 && both[N + M + N + 1] != 0);

    const rkn_geometry *Gs[2] = {G, NULL};
    const double *as[2] = {A, A + LD}, *bs[2] = {B, NULL};
    double *fs[2] = {f, f};
    CHECK_REFUSED(rkn_sinkhorn_solve_many(NULL, 2, Gs, as, bs, fs, NULL, costs, statuses), RKN_ERR_NULL, many, "s");
    CHECK_REFUSED(rkn_sinkhorn_solve_many(s, 2, NULL, as, bs, fs, NULL, costs, statuses), RKN_ERR_NULL, many, "G");
    CHECK_REFUSED(rkn_sinkhorn_solve_many(s, 2, Gs, as, bs, fs, NULL, costs, statuses), RKN_ERR_NULL, many, "G");
    Gs[1] = GARBAGE;
    CHECK_REFUSED(rkn_sinkhorn_solve_many(s, 2, Gs, as, bs, fs, NULL, costs, statuses), RKN_ERR_HANDLE, many, "G");
    CHECK_SAYS("position 1");
    Gs[1] = G;
    CHECK_REFUSED(rkn_sinkhorn_solve_many(s, 2, Gs, as, bs, fs, NULL, costs, statuses), RKN_ERR_NULL, many, "b");
    bs[1] = B + LD;
    CHECK_REFUSED(rkn_sinkhorn_solve_many(s, 2, Gs, as, bs, fs, NULL, costs, statuses), RKN_ERR_ARGUMENT, many, "fs");
    CHECK_REFUSED(rkn_sinkhorn_solve_many(s, -1, Gs, as, bs, fs, NULL, costs, statuses), RKN_ERR_SIZE, many, "k");
    fs[1] = g;
    CHECK_OK(rkn_sinkhorn_solve_many(s, 2, Gs, as, bs, fs, NULL, costs, statuses));
    CHECK_OK(rkn_sinkhorn_solve_many(s, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
}

int main(void) {
    test_bad_input();
    test_truth();
    test_single();
    test_rows();
    test_bad_pairs();
    test_limits();
    test_many();
    return done();
}
