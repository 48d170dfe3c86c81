/* Barycentres: another library's figures, Gaussians and Diracs in closed form, optimality by plain solves, moving points,
   warm starts, bad input. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)

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
static double apart(int64_t n, const double *x, const double *y) {
    double worst = 0;
    for (int64_t i = 0; i < n; ++i)
        if (!(fabs(x[i] - y[i]) <= worst)) worst = fabs(x[i] - y[i]);
    return worst;
}
static double sum(int64_t n, const double *x) {
    double s = 0;
    for (int64_t i = 0; i < n; ++i) s += x[i];
    return s;
}
/* Squared distances of n points on a line, h apart. */
static rkn_geometry *line(int64_t n, double h) {
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_grid(NULL, 1, &n, &h, NULL, 2, &G));
    return G;
}

/* ---- points that are given ---- */

enum { PN = 12, PK = 3 };
/* POT 0.9.7, ot.bregman.barycenter (with equal weights: with others its fixed point hangs on where it begins) and
   ot.bregman.barycenter_debiased, run to 1e-15 and divided by their sum. */
static const double figures[3][PN] = {
    {0.04961645562896, 0.064064015094732, 0.072714950701071, 0.078528677188464, 0.086374588663285, 0.095643762211789,
     0.101388421847612, 0.101533634058154, 0.098808410428241, 0.095174872711834, 0.08673230291884, 0.069419908547019},
    {0.046313995621938, 0.075523879445304, 0.070021817465618, 0.065669444898485, 0.072312565811122, 0.102665281373858,
     0.12338195108532, 0.10734475495106, 0.074156265418983, 0.084018167889968, 0.104909449134495, 0.073682426903851},
    {0.051094070308468, 0.100460979770582, 0.038754711061392, 0.077442878337302, 0.015042308257536, 0.114234001733747,
     0.132162559155481, 0.139500828185454, 0.058792635052438, 0.067648474642253, 0.133866670574851, 0.070999882920498}};
static const char *const figures_of[3] = {"epsilon=0.05 tolerance=1e-13", "epsilon=0.01 tolerance=1e-13",
                                          "epsilon=0.01 tolerance=1e-13 barycenter=debiased"};
static const double pot_weights[PK] = {0.2, 0.5, 0.3};
/* Inputs with an empty cell each. */
static void pot_inputs(double *B) {
    for (int l = 0; l < PK; ++l) {
        for (int i = 0; i < PN; ++i) B[l * PN + i] = i == (4 * l + 1) % PN ? 0 : 1 + (7 * i + 5 * l * l + 3 * i * l) % 11;
        const double s = sum(PN, B + l * PN);
        for (int i = 0; i < PN; ++i) B[l * PN + i] /= s;
    }
}
static int32_t row_of(void *user, int64_t i, int64_t m, double *row) {
    memcpy(row, (const double *)user + i * m, (size_t)m * 8);
    return 0;
}
static int32_t no_row(void *user, int64_t i, int64_t m, double *row) {
    (void)user, (void)i, memset(row, 0, (size_t)m * 8);
    return 5;
}

static void test_figures(void) {
    static double C[PN * PN], x[PN];
    double B[PN * PK], wide[(PN + 2) * PK], p[PN], w[2][PK];
    rkn_geometry *G[5] = {NULL};
    pot_inputs(B);
    for (int i = 0; i < PN; ++i) {
        x[i] = i / (double)PN;
        for (int j = 0; j < PN; ++j) C[i * PN + j] = (i - j) * (i - j) / (double)(PN * PN);
    }
    G[0] = line(PN, 1.0 / PN);
    CHECK_OK(rkn_geometry_create_points(NULL, 1, PN, x, 1, PN, x, 1, 2, 2, NULL, NULL, &G[1]));
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, PN, PN, RKN_ROW_MAJOR, C, PN, RKN_BORROW, &G[2]));
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, PN, PN, RKN_COLUMN_MAJOR, C, PN, RKN_BORROW, &G[3]));
    CHECK_OK(rkn_geometry_create_callback(NULL, PN, PN, row_of, C, NULL, &G[4]));
    for (int l = 0; l < PK; ++l) {
        memset(wide + l * (PN + 2), 0x7f, sizeof(double) * (PN + 2));
        for (int i = 0; i < PN; ++i) wide[l * (PN + 2) + i] = 5 * B[l * PN + i];
        w[0][l] = 40, w[1][l] = 40 * pot_weights[l];
    }
    for (int k = 0; k < 3; ++k)
        for (int g = 0; g < 5; ++g)
            for (int method = 0; method < 2; ++method) {
                rkn_sinkhorn *s = solver(NULL, method ? "sinkhorn" : "auto", figures_of[k]);
                CHECK_OK(rkn_sinkhorn_barycenter(s, G[g], PK, B, PN, k == 2 ? pot_weights : NULL, p));
                CHECK(apart(PN, p, figures[k]) < 2e-12);
                CHECK(real_of(s, "marginal_error") <= 1e-13 && fabs(real_of(s, "primal") - real_of(s, "dual")) < 1e-12);
                CHECK(real_of(s, "passes") >= 3 * real_of(s, "iterations") && isnan(real_of(s, "cost")));
                /* masses of another sum, weights of another sum, columns with gaps */
                CHECK_OK(rkn_sinkhorn_forget(s));
                CHECK_OK(rkn_sinkhorn_barycenter(s, G[g], PK, wide, PN + 2, w[k == 2], p));
                for (int i = 0; i < PN; ++i) p[i] /= 5;
                CHECK(apart(PN, p, figures[k]) < 2e-12);
                rkn_sinkhorn_destroy(s);
            }
    for (int g = 0; g < 5; ++g) rkn_geometry_destroy(G[g]);
}

/* Of Gaussians N(c_l, s_l^2) and epsilon = 2 t^2 the barycentre is N(sum w_l c_l, S), where
   sum w_l sqrt(4 S s_l^2 + t^4) is 2 S - t^2, or sqrt(4 S^2 + t^4) if it is debiased: S = s^2 + t^2 and S = s^2 for equal s. */
static double spread(int k, const double *w, const double *s, double t, int is_debiased) {
    double low = 0, high = 4;
    for (int step = 0; step < 200; ++step) {
        const double S = 0.5 * (low + high);
        double left = 0;
        for (int l = 0; l < k; ++l) left += w[l] * sqrt(4 * S * s[l] * s[l] + t * t * t * t);
        const double right = is_debiased ? sqrt(4 * S * S + t * t * t * t) : 2 * S - t * t;
        *(left > right ? &low : &high) = S;
    }
    return 0.5 * (low + high);
}
static void test_gaussians(void) {
    enum { N = 260 };
    static double B[2 * N], p[N];
    const double h = 2.0 / N, centre[2] = {0.85, 1.15}, widths[2][2] = {{0.06, 0.06}, {0.05, 0.1}}, w[2] = {0.25, 0.75}, t = 0.05;
    rkn_geometry *G = line(N, h);
    CHECK(fabs(spread(2, w, widths[0], t, 0) - (0.06 * 0.06 + t * t)) < 1e-12);
    CHECK(fabs(spread(2, w, widths[0], t, 1) - 0.06 * 0.06) < 1e-12);
    for (int kind = 0; kind < 2; ++kind)
        for (int is_debiased = 0; is_debiased < 2; ++is_debiased) {
            for (int l = 0; l < 2; ++l) {
                for (int i = 0; i < N; ++i) {
                    const double z = (i * h - centre[l]) / widths[kind][l];
                    B[l * N + i] = exp(-0.5 * z * z);
                }
                const double s = sum(N, B + l * N);
                for (int i = 0; i < N; ++i) B[l * N + i] /= s;
            }
            rkn_sinkhorn *s = solver(NULL, "auto", "tolerance=1e-10");
            CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", 2 * t * t));
            if (is_debiased) CHECK_OK(rkn_sinkhorn_set_string(s, "barycenter", "debiased"));
            CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, N, w, p));
            double mean = 0, variance = 0, worst = 0;
            for (int i = 0; i < N; ++i) mean += p[i] * i * h;
            for (int i = 0; i < N; ++i) variance += p[i] * (i * h - mean) * (i * h - mean);
            const double S = spread(2, w, widths[kind], t, is_debiased);
            CHECK(fabs(mean - (w[0] * centre[0] + w[1] * centre[1])) < 1e-7);
            CHECK(fabs(variance - S) < 1e-6 * S);
            for (int i = 0; i < N; ++i) {
                const double z = i * h - 1.075, want = h / sqrt(2 * 3.14159265358979323846 * S) * exp(-0.5 * z * z / S);
                worst = fmax(worst, fabs(p[i] - want));
            }
            CHECK(worst < 1e-7);
            rkn_sinkhorn_destroy(s);
        }
    rkn_geometry_destroy(G);
}

/* One input, or several that are equal, or weights of zero: P_ij = exp((g_j - C_ij) / epsilon), so that p = K (b / K^T 1); b
   itself if debiased. Two Diracs: p is exp(-sum_l w_l C_il / epsilon), scaled. */
static void test_closed_forms(void) {
    enum { N = 20, M = 14 };
    static double C[N * M], B[3 * M], p[N], want[N];
    for (int i = 0; i < N * M; ++i) C[i] = unit();
    for (int j = 0; j < M; ++j) B[j] = j == 4 ? 0 : 0.1 + unit();
    for (int j = 0; j < M; ++j) B[M + j] = B[j], B[2 * M + j] = (j == 3) * sum(M, B);
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_ROW_MAJOR, C, M, RKN_BORROW, &G));
    memset(want, 0, sizeof want);
    for (int j = 0; j < M; ++j) {
        double column = 0;
        for (int i = 0; i < N; ++i) column += exp(-C[i * M + j] / 0.03);
        for (int i = 0; i < N; ++i) want[i] += exp(-C[i * M + j] / 0.03) * B[j] / column;
    }
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.03 tolerance=1e-13");
    const double no_third[3] = {1, 3, 0};
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 1, B, M, NULL, p));
    CHECK(apart(N, p, want) < 1e-12);
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, M, NULL, p));
    CHECK(apart(N, p, want) < 1e-12);
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 3, B, M, no_third, p));
    CHECK(apart(N, p, want) < 1e-12);
    rkn_geometry_destroy(G);
    rkn_sinkhorn_destroy(s);

    G = line(N, 1.0 / N);
    memset(B, 0, sizeof B);
    double *D = need(2 * N * 8);
    D[5] = D[N + 15] = 2;
    s = solver(NULL, "auto", "epsilon=0.01 tolerance=1e-13");
    const double w[2] = {0.3, 0.7};
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, D, N, w, p));
    for (int i = 0; i < N; ++i) want[i] = exp(-(0.3 * (i - 5) * (i - 5) + 0.7 * (i - 15) * (i - 15)) / (N * N * 0.01));
    const double scale = 2 / sum(N, want);
    for (int i = 0; i < N; ++i) want[i] *= scale;
    CHECK(apart(N, p, want) < 1e-12);
    free(D);
    /* debiased: one input is its own barycentre, and so are two that are alike */
    D = need(2 * N * 8);
    for (int i = 0; i < N; ++i) D[i] = D[N + i] = 0.2 + unit();
    CHECK_OK(rkn_sinkhorn_set_options(s, "barycenter=debiased epsilon=0.003 tolerance=1e-11"));
    for (int k = 1; k < 3; ++k) {
        CHECK_OK(rkn_sinkhorn_barycenter(s, G, k, D, N, NULL, p));
        CHECK(apart(N, p, D) < 1e-7);
    }
    free(D);
    rkn_geometry_destroy(G);
    rkn_sinkhorn_destroy(s);
}

static double transport(rkn_sinkhorn *s, const rkn_geometry *G, const double *a, const double *b) {
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    return real_of(s, "primal");
}
/* What it minimises is what plain solves say, and no other histogram has less. A cost that is not symmetric, in both orders;
   debiased, a symmetric one. */
static void test_optimality(void) {
    enum { N = 9, K = 3 };
    static double C[N * 13], T[N * 13], B[K * 13], p[N], q[N];
    const double w[K] = {0.5, 0.2, 0.3};
    for (int kind = 0; kind < 3; ++kind) {
        const int M = kind == 2 ? N : 13;
        for (int i = 0; i < N; ++i)
            for (int j = 0; j < M; ++j) {
                C[i * M + j] = kind == 2 ? fabs((double)(i - j)) / N : unit();
                T[j * N + i] = C[i * M + j];
            }
        for (int l = 0; l < K; ++l) {
            for (int j = 0; j < M; ++j) B[l * M + j] = 0.05 + unit();
            const double mass = sum(M, B + l * M) / 3;
            for (int j = 0; j < M; ++j) B[l * M + j] /= mass;
        }
        rkn_geometry *G = NULL;
        CHECK_OK(kind == 1 ? rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_COLUMN_MAJOR, T, N, RKN_BORROW, &G)
                           : rkn_geometry_create_matrix(NULL, RKN_F64, N, M, RKN_ROW_MAJOR, C, M, RKN_BORROW, &G));
        rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.05 tolerance=1e-12"), *t = solver(NULL, "auto", "epsilon=0.05 tolerance=1e-12");
        if (kind == 2) CHECK_OK(rkn_sinkhorn_set_string(s, "barycenter", "debiased"));
        CHECK_OK(rkn_sinkhorn_barycenter(s, G, K, B, M, w, p));
        CHECK(fabs(sum(N, p) - 3) < 1e-13);
        double best = 0;
        for (int trial = 0; trial < 10; ++trial) {
            memcpy(q, p, sizeof q);
            if (trial) q[(trial - 1) % N] += 1e-3, q[(trial + 3) % N] -= 1e-3;
            double value = kind == 2 ? -0.5 * transport(t, G, q, q) : 0;
            for (int l = 0; l < K; ++l) value += w[l] * transport(t, G, q, B + l * M);
            if (trial == 0) {
                best = value;
                CHECK(fabs(best - real_of(s, "primal")) < 1e-10);
                CHECK(fabs(best - real_of(s, "dual")) < 1e-10);
            } else
                CHECK(value > best + 1e-9);
        }
        rkn_sinkhorn_destroy(s), rkn_sinkhorn_destroy(t);
        rkn_geometry_destroy(G);
    }
}

/* Small epsilon: limits end it, p is a histogram all the same; warm starts take fewer passes. */
static void test_small_epsilon(void) {
    enum { N = 90 };
    static double B[2 * N], p[N], q[N];
    for (int i = 0; i < N; ++i) B[i] = i >= 5 && i < 20, B[N + i] = i >= 60 && i < 75;
    rkn_geometry *G = line(N, 1.0 / N);
    for (int kind = 0; kind < 2; ++kind) {
        rkn_sinkhorn *s = solver(NULL, kind ? "auto" : "sinkhorn", "epsilon=1e-6 tolerance=1e-9 max_passes=600");
        CHECK_STATUS(rkn_sinkhorn_barycenter(s, G, 2, B, N, NULL, p), RKN_STOP_ITERATIONS);
        CHECK(real_of(s, "passes") >= 600 && real_of(s, "passes") < 620);
        int wrong = 0;
        for (int i = 0; i < N; ++i) wrong += !(p[i] >= 0 && isfinite(p[i]));
        CHECK(wrong == 0 && fabs(sum(N, p) - 15) < 1e-12 && isfinite(real_of(s, "primal")));
        rkn_sinkhorn_destroy(s);
    }
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=1e-3 tolerance=1e-8");
    double mean = 0;
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, N, NULL, p));
    const double cold = real_of(s, "passes");
    for (int i = 0; i < N; ++i) mean += p[i] / 15 * i;
    CHECK(fabs(mean - 39.5) < 1e-4);
    CHECK(real_of(s, "levels") > 1);
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, N, NULL, q));
    CHECK(real_of(s, "passes") <= 4 && apart(N, p, q) < 1e-7);
    const double near[2] = {0.51, 0.49};
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, N, near, q));
    CHECK(real_of(s, "passes") < cold);
    CHECK_OK(rkn_sinkhorn_set_string(s, "start", "zero"));
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, N, NULL, q));
    CHECK(real_of(s, "passes") == cold && memcmp(p, q, sizeof p) == 0);
    CHECK_OK(rkn_sinkhorn_set_string(s, "start", "auto"));
    CHECK_OK(rkn_sinkhorn_forget(s));
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, N, NULL, q));
    CHECK(memcmp(p, q, sizeof p) == 0);
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
}

/* Same bits for any number of threads; over-relaxation is faster; the last plan stays. */
static void test_threads(void) {
    enum { N = 320 };
    static double B[3 * N], p[N], first[N], f[N], g[N], h[N];
    for (int l = 0; l < 3; ++l)
        for (int i = 0; i < N; ++i) B[l * N + i] = 1.0 / (1 + 0.001 * (i - 80 * (l + 1)) * (i - 80 * (l + 1)));
    for (int l = 0; l < 3; ++l) {
        const double mass = sum(N, B + l * N);
        for (int i = 0; i < N; ++i) B[l * N + i] /= mass;
    }
    rkn_geometry *G = line(N, 1.0 / N);
    for (int threads = 1; threads < 8; threads += threads == 1 ? 1 : 5) {
        rkn_context *ctx = NULL;
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_set_int(ctx, "threads", threads));
        for (int kind = 0; kind < 2; ++kind) {
            rkn_sinkhorn *s = solver(ctx, "auto", kind ? "barycenter=debiased epsilon=5e-3 max_passes=24 tolerance=0" : "epsilon=5e-3 tolerance=1e-3");
            CHECK_STATUS(rkn_sinkhorn_barycenter(s, G, 3, B, N, NULL, p), kind ? RKN_STOP_ITERATIONS : RKN_OK);
            if (kind) CHECK(isfinite(sum(N, p)));
            else if (threads == 1) memcpy(first, p, sizeof p);
            else CHECK(memcmp(first, p, sizeof p) == 0);
            rkn_sinkhorn_destroy(s);
        }
        rkn_context_destroy(ctx);
    }
    rkn_sinkhorn *s = solver(NULL, "sinkhorn", "epsilon=5e-3 tolerance=1e-7");
    CHECK_OK(rkn_sinkhorn_solve(s, G, B, B + N));
    CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 3, B, N, NULL, p));
    const double plain = real_of(s, "passes");
    CHECK_OK(rkn_sinkhorn_potentials(s, h, NULL));
    CHECK(memcmp(f, h, sizeof f) == 0 && real_of(s, "solves") == 1);
    CHECK_OK(rkn_sinkhorn_forget(s));
    CHECK_OK(rkn_sinkhorn_set_real(s, "relaxation", 1.5));
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 3, B, N, NULL, h));
    CHECK(real_of(s, "passes") < 0.7 * plain && apart(N, p, h) < 1e-6);
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
}

static int32_t stop_at_third(void *user, const rkn_progress *progress) {
    (void)progress;
    return ++*(int *)user == 3;
}

/* Forbidden entries: a point that not all inputs reach stays empty; where there is none it is infeasible. */
static void test_sparse(void) {
    const int32_t ptr[4] = {0, 2, 4, 5}, ind[5] = {0, 1, 0, 1, 1};
    const double C[5] = {0.1, 0.3, 0.2, 0.1, 0};
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_sparse(NULL, 3, 2, RKN_I32, 0, ptr, ind, C, &G));
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.1 tolerance=1e-12");
    const double B[6] = {1, 0, 0.5, 0.5, 0, 1};
    double p[3] = {7, 7, 7}, want[2];
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, (double[4]){1, 0, 0, 1}, 2, NULL, p));
    want[0] = exp(-0.5 * (0.1 + 0.3) / 0.1), want[1] = exp(-0.5 * (0.2 + 0.1) / 0.1);
    CHECK(fabs(p[0] - want[0] / (want[0] + want[1])) < 1e-12 && fabs(p[0] + p[1] - 1) < 1e-12 && p[2] == 0);
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B, 2, NULL, p));
    CHECK(p[2] == 0 && fabs(sum(3, p) - 1) < 1e-12);
    CHECK_OK(rkn_sinkhorn_barycenter(s, G, 2, B + 2, 2, NULL, p));
    CHECK(p[2] > 0 && fabs(sum(3, p) - 1) < 1e-12);
    rkn_geometry_destroy(G);
    /* rows of their own for each column: no p serves both inputs */
    const int32_t apart_ptr[3] = {0, 1, 2}, apart_ind[2] = {0, 1};
    CHECK_OK(rkn_geometry_create_sparse(NULL, 2, 2, RKN_I32, 0, apart_ptr, apart_ind, C, &G));
    p[0] = p[1] = 7;
    CHECK_STATUS(rkn_sinkhorn_barycenter(s, G, 2, (double[4]){1, 0, 0, 1}, 2, NULL, p), RKN_STOP_INFEASIBLE);
    CHECK(p[0] == 7 && p[1] == 7);
    rkn_geometry_destroy(G);
    rkn_sinkhorn_destroy(s);
}

static void test_bad_input(void) {
    const double C[6] = {1, 2, 3, 4, 5, 6}, w[2] = {1, 1};
    double B[6] = {0.5, 0.5, 1, 1, 1, 0}, p[2] = {7, 7}, bad[2];
    rkn_geometry *G = NULL, *R = NULL;
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, C, 3, RKN_COPY, &G));
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.5");
    static const char *const name = "rkn_sinkhorn_barycenter";
    CHECK_REFUSED(rkn_sinkhorn_barycenter(NULL, G, 2, B, 3, w, p), RKN_ERR_NULL, name, "s");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(GARBAGE, G, 2, B, 3, w, p), RKN_ERR_HANDLE, name, "s");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, NULL, 2, B, 3, w, p), RKN_ERR_NULL, name, "G");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, GARBAGE, 2, B, 3, w, p), RKN_ERR_HANDLE, name, "G");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 0, B, 3, w, p), RKN_ERR_SIZE, name, "k");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, -1, B, 3, w, p), RKN_ERR_SIZE, name, "k");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, INT64_MAX, B, 3, w, p), RKN_ERR_SIZE, name, "ldb");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, NULL, 3, w, p), RKN_ERR_NULL, name, "B");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 2, w, p), RKN_ERR_SIZE, name, "ldb");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, w, NULL), RKN_ERR_NULL, name, "p");
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, w, B), RKN_ERR_ARGUMENT, name, "p");
    bad[0] = -1, bad[1] = 2;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, bad, p), RKN_ERR_ARGUMENT, name, "weights");
    bad[0] = NAN;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, bad, p), RKN_ERR_NONFINITE, name, "weights");
    bad[0] = bad[1] = 0;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, bad, p), RKN_ERR_ARGUMENT, name, "weights");
    B[4] = NAN;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, w, p), RKN_ERR_NONFINITE, name, "B");
    CHECK_SAYS("row 1 and column 1");
    B[4] = -1;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, w, p), RKN_ERR_ARGUMENT, name, "B");
    B[4] = 1.1;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, w, p), RKN_ERR_ARGUMENT, name, "B");
    CHECK_SAYS("column 1");
    B[0] = B[1] = B[2] = B[3] = B[4] = 0;
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 2, B, 3, w, p), RKN_ERR_ARGUMENT, name, "B");
    CHECK_REFUSED(rkn_sinkhorn_set_string(s, "barycenter", "blurred"), RKN_ERR_ARGUMENT, "rkn_sinkhorn_set_string", "barycenter");
    CHECK_OK(rkn_sinkhorn_set_string(s, "barycenter", "debiased"));
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 1, C, 3, w, p), RKN_ERR_ARGUMENT, name, "G");
    rkn_geometry_destroy(G);
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, 2, 2, RKN_ROW_MAJOR, C, 2, RKN_COPY, &G));
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, G, 1, C, 2, w, p), RKN_ERR_ARGUMENT, name, "G");
    CHECK_SAYS("symmetric");
    CHECK_OK(rkn_geometry_create_callback(NULL, 2, 2, no_row, NULL, NULL, &R));
    CHECK_REFUSED(rkn_sinkhorn_barycenter(s, R, 1, C, 2, w, p), RKN_ERR_CALLBACK, name, "");
    CHECK(p[0] == 7 && p[1] == 7);
    char reason[200];
    CHECK_OK(rkn_sinkhorn_get_string(s, "reason", reason, sizeof reason, NULL));
    CHECK(strstr(reason, "returned 5") != NULL);
    /* what was refused leaves the solver as it was; a monitor ends it with the best p */
    CHECK_OK(rkn_sinkhorn_set_options(s, "barycenter=entropic tolerance=0"));
    int calls = 0;
    CHECK_OK(rkn_sinkhorn_set_monitor(s, stop_at_third, &calls, NULL));
    CHECK_STATUS(rkn_sinkhorn_barycenter(s, G, 2, (double[4]){1, 2, 3, 0}, 2, NULL, p), RKN_STOP_MONITOR);
    CHECK(calls == 3 && fabs(p[0] + p[1] - 3) < 1e-14);
    rkn_geometry_destroy(G), rkn_geometry_destroy(R);
    rkn_sinkhorn_destroy(s);
}

/* ---- points that move ---- */

enum { D = 2, ALL = 12 };
static const int64_t cloudptr[4] = {0, 4, 7, 12};
static const double clouds[D * ALL] = {0, 0, 1, 0, 0, 1, 0.3, 0.8, 2, 2, 3, 1.5, 2.5, 3, -1, 1, 0, 2, 1, 3, 0.5, 0.5, -0.5, 2.5};
static const double cloud_masses[ALL] = {0.25, 0.25, 0.25, 0.25, 0.5, 0.3, 0.2, 0.1, 0.3, 0.2, 0.2, 0.2};

/* Cuturi and Doucet's fixed point for epsilon 0.5 by plain iterations in numpy to 1e-14, which POT 0.9.7,
   ot.bregman.free_support_sinkhorn_barycenter, confirms to 1e-7. On a line with as many points in each cloud the exact
   barycentre has the weighted means of the points in order. */
static void test_points(void) {
    const double begin[6] = {0, 0.5, 1, 1, 0.2, 1.7}, a[3] = {0.5, 0.25, 0.25};
    const double blurred[6] = {1.029175891498, 1.712236141915912, 1.703089625000592, 1.022002912728045, 1.418558592003409, 2.293524803440132};
    for (int kind = 0; kind < 2; ++kind) {
        rkn_sinkhorn *s = solver(NULL, kind ? "sinkhorn" : "auto", "epsilon=0.5 tolerance=1e-13 movement=1e-13");
        double X[9] = {0}, b[ALL], m[3];
        for (int i = 0; i < 3; ++i) X[3 * i] = begin[2 * i], X[3 * i + 1] = begin[2 * i + 1], X[3 * i + 2] = 42, m[i] = 4 * a[i];
        for (int j = 0; j < ALL; ++j) b[j] = 4 * cloud_masses[j];
        CHECK_OK(rkn_sinkhorn_barycenter_points(s, D, 3, X, 3, m, 3, cloudptr, clouds, D, b, pot_weights));
        for (int i = 0; i < 6; ++i) CHECK(fabs(X[3 * (i / 2) + i % 2] - blurred[i]) < 1e-11);
        CHECK(X[2] == 42 && X[5] == 42 && X[8] == 42);
        CHECK(real_of(s, "iterations") > 1 && real_of(s, "cost") > 0 && real_of(s, "marginal_error") <= 1e-10);
        rkn_sinkhorn_destroy(s);
    }
    const double on_line[10] = {0.1, 2, 0.7, 3.1, 4.6, 5.2, 9.3, 6.4, 5.9, 7.7};
    const double ordered[5] = {(0.1 + 3 * 5.2) / 4, (0.7 + 3 * 5.9) / 4, (2 + 3 * 6.4) / 4, (3.1 + 3 * 7.7) / 4, (4.6 + 3 * 9.3) / 4};
    const int64_t fives[3] = {0, 5, 10};
    double row[5] = {1, 2, 3, 4, 5};
    rkn_sinkhorn *r = solver(NULL, "auto", "epsilon=0.005 tolerance=1e-10");
    CHECK_OK(rkn_sinkhorn_barycenter_points(r, 1, 5, row, 1, NULL, 2, fives, on_line, 1, NULL, (double[2]){1, 3}));
    CHECK(apart(5, row, ordered) < 1e-6);
    rkn_sinkhorn_destroy(r);
    /* one point goes to the weighted mean of the means, in one step and one that finds it there */
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.1 tolerance=1e-11");
    double x[2] = {4, -7}, mean[2] = {0, 0};
    for (int l = 0; l < 3; ++l)
        for (int64_t j = cloudptr[l]; j < cloudptr[l + 1]; ++j)
            for (int k = 0; k < D; ++k) mean[k] += pot_weights[l] * cloud_masses[j] * clouds[D * j + k];
    CHECK_OK(rkn_sinkhorn_barycenter_points(s, D, 1, x, D, NULL, 3, cloudptr, clouds, D, cloud_masses, pot_weights));
    CHECK(apart(2, x, mean) < 1e-12 && real_of(s, "iterations") == 2);
    /* two Diracs, equal weights: all points meet halfway */
    const int64_t two[3] = {0, 1, 2};
    double X[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    CHECK_OK(rkn_sinkhorn_barycenter_points(s, D, 4, X, D, NULL, 2, two, clouds + 10, D, NULL, NULL));
    for (int i = 0; i < 4; ++i) CHECK(fabs(X[2 * i] - 2.75) < 1e-12 && fabs(X[2 * i + 1] - 2.25) < 1e-12);
    /* the relative epsilon is that of the start: the largest cost */
    CHECK_OK(rkn_sinkhorn_set_string(s, "epsilon_relative", "max"));
    X[0] = 2.5, X[1] = 3;
    CHECK_OK(rkn_sinkhorn_barycenter_points(s, D, 1, X, D, NULL, 1, two, clouds + 10, D, NULL, NULL));
    CHECK(fabs(real_of(s, "epsilon_used") - 0.1 * 2.5) < 1e-14);
    rkn_sinkhorn_destroy(s);
    /* limits: the points after the last whole step */
    s = solver(NULL, "auto", "epsilon=0.5 tolerance=1e-12 max_steps=3 movement=0");
    memcpy(X, begin, sizeof begin);
    CHECK_STATUS(rkn_sinkhorn_barycenter_points(s, D, 3, X, D, a, 3, cloudptr, clouds, D, cloud_masses, NULL), RKN_STOP_ITERATIONS);
    CHECK(real_of(s, "iterations") == 3);
    CHECK_OK(rkn_sinkhorn_set_options(s, "max_passes=2"));
    memcpy(X, begin, sizeof begin);
    CHECK_STATUS(rkn_sinkhorn_barycenter_points(s, D, 3, X, D, a, 3, cloudptr, clouds, D, cloud_masses, NULL), RKN_STOP_ITERATIONS);
    CHECK(memcmp(X, begin, sizeof begin) == 0);
    CHECK_OK(rkn_sinkhorn_set_options(s, "max_passes=1000000 max_steps=1000 movement=1e-6"));
    int calls = 0;
    CHECK_OK(rkn_sinkhorn_set_monitor(s, stop_at_third, &calls, NULL));
    CHECK_STATUS(rkn_sinkhorn_barycenter_points(s, D, 3, X, D, a, 3, cloudptr, clouds, D, cloud_masses, NULL), RKN_STOP_MONITOR);
    CHECK(calls == 3);
    CHECK_OK(rkn_sinkhorn_barycenter_points(s, D, 3, X, D, a, 3, cloudptr, clouds, D, cloud_masses, NULL));
    CHECK(calls > 3);
    /* a point without mass moves along and counts for nothing */
    double with[8] = {0, 0.5, 1, 1, 9, 9, 0.2, 1.7};
    const double none[4] = {0.5, 0.25, 0, 0.25};
    CHECK_OK(rkn_sinkhorn_barycenter_points(s, D, 4, with, D, none, 3, cloudptr, clouds, D, cloud_masses, pot_weights));
    for (int i = 0; i < 6; ++i) CHECK(fabs(with[i + 2 * (i > 3)] - blurred[i]) < 1e-4);
    CHECK(isfinite(with[4]) && isfinite(with[5]));
    rkn_sinkhorn_destroy(s);
}

static void test_bad_points(void) {
    static const char *const name = "rkn_sinkhorn_barycenter_points";
    double X[4] = {1, 2, 3, 4}, Y[2 * ALL], a[2] = {0.5, 0.5}, b[ALL], w[3] = {1, 0, 0};
    const double kept[4] = {1, 2, 3, 4};
    int64_t ptr[4];
    memcpy(Y, clouds, sizeof Y), memcpy(b, cloud_masses, sizeof b), memcpy(ptr, cloudptr, sizeof ptr);
    rkn_sinkhorn *s = solver(NULL, "auto", "epsilon=0.5");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(NULL, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_NULL, name, "s");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 0, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_SIZE, name, "d");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 0, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_SIZE, name, "n");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 1, a, 3, ptr, Y, 2, b, w), RKN_ERR_SIZE, name, "ldx");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, NULL, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_NULL, name, "X");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 0, ptr, Y, 2, b, w), RKN_ERR_SIZE, name, "k");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, NULL, Y, 2, b, w), RKN_ERR_NULL, name, "cloudptr");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 1, b, w), RKN_ERR_SIZE, name, "ldy");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, NULL, 2, b, w), RKN_ERR_NULL, name, "Y");
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, Y + 2, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_ARGUMENT, name, "X");
    ptr[2] = 4;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_INDEX, name, "cloudptr");
    CHECK_SAYS("position 2");
    ptr[2] = 7, ptr[0] = 1;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_INDEX, name, "cloudptr");
    ptr[0] = 0;
    w[1] = -1;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_ARGUMENT, name, "weights");
    w[1] = 0, Y[3] = INFINITY;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_NONFINITE, name, "Y");
    Y[3] = 0, X[1] = NAN;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_NONFINITE, name, "X");
    X[1] = 2, a[0] = -1;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_ARGUMENT, name, "a");
    a[0] = 0.6;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_ARGUMENT, name, "b");
    a[0] = 0.5, b[8] = NAN;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_NONFINITE, name, "b");
    CHECK_SAYS("position 8");
    b[8] = 0.4;
    CHECK_REFUSED(rkn_sinkhorn_barycenter_points(s, 2, 2, X, 2, a, 3, ptr, Y, 2, b, w), RKN_ERR_ARGUMENT, name, "b");
    CHECK_SAYS("cloud 2");
    CHECK(memcmp(X, kept, sizeof X) == 0);
    rkn_sinkhorn_destroy(s);
}

int main(void) {
    test_bad_input();
    test_bad_points();
    test_figures();
    test_gaussians();
    test_closed_forms();
    test_optimality();
    test_small_epsilon();
    test_threads();
    test_sparse();
    test_points();
    return done();
}
