/* Derivatives of transport: dense systems, finite differences, figures of automatic differentiation, limits, recycling, bad input. */
#include "check.h"

static rkn_sinkhorn *solver(const rkn_context *ctx, double epsilon) {
    rkn_sinkhorn *s = NULL;
    CHECK_OK(rkn_sinkhorn_create(ctx, "auto", &s));
    CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
    CHECK_OK(rkn_sinkhorn_set_real(s, "tolerance", 1e-12));
    CHECK_OK(rkn_sinkhorn_set_real(s, "derivative_tolerance", 1e-13));
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
static double *numbers(int64_t n) {
    double *v = need((size_t)n * 8);
    for (int64_t i = 0; i < n; ++i) v[i] = uniform();
    return v;
}
static double *masses(int64_t n) {
    double *a = need((size_t)n * 8), sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] = 0.2 + unit();
    for (int64_t i = 0; i < n; ++i) a[i] /= sum;
    return a;
}
static double dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
    return sum;
}
/* max |x - y| over max |y|, or over 1e-300 */
static double apart(int64_t n, const double *x, const double *y) {
    double most = 1e-300, worst = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double d = fabs(x[i] - y[i]);
        if (!(d <= worst)) worst = d;
        if (fabs(y[i]) > most) most = fabs(y[i]);
    }
    return worst / most;
}
/* Cotangents of the potentials, of one sum. */
static void cotangents(int64_t n, int64_t m, double *wf, double *wg) {
    double excess = 0;
    for (int64_t i = 0; i < n; ++i) excess += wf[i] = uniform();
    for (int64_t j = 0; j < m; ++j) excess -= wg[j] = uniform();
    for (int64_t j = 0; j < m; ++j) wg[j] += excess / (double)m;
}
static rkn_geometry *matrix(const double *C, int64_t n, int64_t m) {
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, RKN_ROW_MAJOR, C, m, RKN_BORROW, &G));
    return G;
}
/* The plan by the potentials, in a loop of its own. */
static double *plan(const rkn_sinkhorn *s, const double *C, int64_t n, int64_t m) {
    double *f = need((size_t)n * 8), *g = need((size_t)m * 8), *P = need((size_t)(n * m) * 8);
    const double epsilon = real_of(s, "epsilon_used");
    CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j) P[i * m + j] = exp((f[i] + g[j] - C[i * m + j]) / epsilon);
    free(f), free(g);
    return P;
}

/* [D P; P^T D'] (alpha; beta) = (u; v) by elimination, the null vector taken out by (1; -1) (1; -1)^T; then sum r alpha = sum c beta. */
static void dense_system(const double *P, int64_t n, int64_t m, const double *u, const double *v, double *alpha, double *beta) {
    const int64_t k = n + m;
    cplx *H = dense_of(k, k), *w = dense_of(k, 1), *x = dense_of(k, 1);
    double ra = 0, cb = 0, mass = 0;
    for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < k; ++j) H[i * k + j] = (i < n) == (j < n) ? 1 : -1;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j) {
            const double p = P[i * m + j];
            H[i * k + i] += p, H[(n + j) * k + n + j] += p, H[i * k + n + j] += p, H[(n + j) * k + i] += p;
        }
    for (int64_t i = 0; i < n; ++i) w[i] = u[i];
    for (int64_t j = 0; j < m; ++j) w[n + j] = v[j];
    dense_solve(k, H, w, x);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j) mass += P[i * m + j], ra += P[i * m + j] * creal(x[i]), cb += P[i * m + j] * creal(x[n + j]);
    for (int64_t i = 0; i < n; ++i) alpha[i] = creal(x[i]) + (cb - ra) / mass / 2;
    for (int64_t j = 0; j < m; ++j) beta[j] = creal(x[n + j]) - (cb - ra) / mass / 2;
    free(H), free(w), free(x);
}

enum { N = 7, M = 5 };

static void test_dense_systems(void) {
    for (int shape = 0; shape < 2; ++shape) {
        const int64_t n = shape ? M : N, m = shape ? N : M;
        double *C = numbers(n * m), *Ct = need((size_t)(n * m) * 8), *a = masses(n), *b = masses(m), *W = numbers(n * m);
        double wf[N], wg[N], alpha[N], beta[N], da[N], db[N], want[N * M], got[N * M + 3 * N];
        for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < m; ++j) Ct[j * n + i] = C[i * m + j];
        cotangents(n, m, wf, wg);
        for (int order = 0; order < 2; ++order) {
            rkn_geometry *G = NULL;
            rkn_sinkhorn *s = solver(NULL, 0.2);
            CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, order ? RKN_ROW_MAJOR : RKN_COLUMN_MAJOR, order ? C : Ct, order ? m : n, RKN_BORROW, &G));
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            double *P = plan(s, C, n, m);
            dense_system(P, n, m, wf, wg, alpha, beta);
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < m; ++j) want[i * m + j] = P[i * m + j] * (alpha[i] + beta[j]);
            for (int64_t i = 0; i < n; ++i) alpha[i] *= 0.2;
            for (int64_t j = 0; j < m; ++j) beta[j] *= 0.2;
            CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, got, m + 2, NULL, 0, NULL, 0));
            CHECK(apart(n, da, alpha) < 1e-9 && apart(m, db, beta) < 1e-9);
            for (int64_t i = 0; i < n; ++i) CHECK(apart(m, got + i * (m + 2), want + i * m) < 1e-9);
            CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, NULL, NULL, RKN_COLUMN_MAJOR, got, n, NULL, 0, NULL, 0));
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < m; ++j) CHECK(fabs(got[j * n + i] - want[i * m + j]) < 1e-9);
            CHECK(count(s, "derivative_products") == 1 && real_of(s, "derivative_residual") < 1e-12);

            double u[N] = {0}, v[N] = {0};
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < m; ++j) u[i] += P[i * m + j] * W[i * m + j], v[j] += P[i * m + j] * W[i * m + j];
            dense_system(P, n, m, u, v, alpha, beta);
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < m; ++j) want[i * m + j] = P[i * m + j] * (alpha[i] + beta[j] - W[i * m + j]) / 0.2;
            CHECK_OK(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, m, da, db, got, m, NULL, 0, NULL, 0));
            CHECK(apart(n, da, alpha) < 1e-9 && apart(m, db, beta) < 1e-9 && apart(n * m, got, want) < 1e-9);
            /* W^T by columns is W by rows; constants in rows and columns only move a and b. */
            double Wt[N * M];
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < m; ++j) Wt[j * n + i] = W[i * m + j] + 3 * (double)i - 2 * (double)j;
            CHECK_OK(rkn_sinkhorn_vjp_plan(s, RKN_COLUMN_MAJOR, Wt, n, da, NULL, got, n, NULL, 0, NULL, 0));
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < m; ++j) CHECK(fabs(got[j * n + i] - want[i * m + j]) < 1e-9);
            CHECK(fabs(da[1] - da[0] - (alpha[1] - alpha[0]) - 3) < 1e-8);
            free(P);
            rkn_sinkhorn_destroy(s);
            rkn_geometry_destroy(G);
        }
        free(C), free(Ct), free(a), free(b), free(W);
    }
}

/* By JAX 0.4 in double precision: reverse differentiation through 400 Sinkhorn iterations. */
static void test_published_figures(void) {
    enum { n = 4, m = 3 };
    const double a[n] = {0.1, 0.2, 0.3, 0.4}, b[m] = {0.2, 0.3, 0.5}, wf[n] = {0.5, -0.2, 0.3, 0.1}, wg[m] = {0.4, -0.1, 0.4};
    const double da_f[n] = {0.87491047388, -0.290537771775, 0.134519206772, 0.000651862338362};
    const double db_f[m] = {0.135935147294, -0.0845322171441, 0.136345271369};
    const double dC_f[n * m] = {0.291477733721, 0.0197153566625, 0.188806909616, -0.00509991032663, -0.0777623116521, -0.117137778021,
                                0.0422765501186, 0.0240416001974, 0.233681849684, 0.0713456264868, -0.0659946452078, 0.094649018721};
    const double da_p[n] = {-0.247686558712, -0.0212996665496, 0.142309648965, 0.0529301819547};
    const double db_p[m] = {-0.0350526749195, -0.236936996028, 0.225856024165};
    const double dC_p[n * m] = {0.00497714879296, -0.0195718102006, 0.0145946614077, -0.00515762862064, -0.0742723007, 0.0794299293207,
                                -0.0613923198901, 0.00258401585832, 0.0588083040318, 0.0615727997178, 0.0912600950424, -0.15283289476};
    double C[n * m], W[n * m], da[n], db[m], dC[n * m];
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < m; ++j) C[i * m + j] = (3 * i + 5 * j + i * j) % 7 / 7.0, W[i * m + j] = (2 * i + 3 * j + 2 * i * j) % 5 / 5.0 - 0.3;
    rkn_geometry *G = matrix(C, n, m);
    rkn_sinkhorn *s = solver(NULL, 0.2);
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, dC, m, NULL, 0, NULL, 0));
    CHECK(apart(n, da, da_f) < 1e-10 && apart(m, db, db_f) < 1e-10 && apart(n * m, dC, dC_f) < 1e-10);
    CHECK_OK(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, m, da, db, dC, m, NULL, 0, NULL, 0));
    CHECK(apart(n, da, da_p) < 1e-10 && apart(m, db, db_p) < 1e-10 && apart(n * m, dC, dC_p) < 1e-10);
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
}

/* A problem of points, solved anew: the value, <w, (f, g)> or <W, P>. */
typedef struct problem {
    int64_t d, n, m;
    double p, q;
    const double *weights, *periods, *a, *b, *wf, *wg, *W;
    double epsilon;
} problem;

static double value(const problem *t, const double *x, const double *y, const double *a, const double *b, int what) {
    rkn_geometry *G = NULL;
    rkn_sinkhorn *s = solver(NULL, t->epsilon);
    CHECK_OK(rkn_geometry_create_points(NULL, t->d, t->n, x, t->d, t->m, y, t->d, t->p, t->q, t->weights, t->periods, &G));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    double sum = 0;
    if (what == 0) sum = real_of(s, "dual");
    if (what == 1) {
        double f[16], g[16];
        CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
        for (int64_t i = 0; i < t->n; ++i) sum += a[i] > 0 ? t->wf[i] * f[i] : 0;
        for (int64_t j = 0; j < t->m; ++j) sum += b[j] > 0 ? t->wg[j] * g[j] : 0;
    }
    if (what == 2) {
        double P[256], one[256] = {0};
        for (int64_t j = 0; j < t->m; ++j) one[j * t->m + j] = 1;
        CHECK_OK(rkn_sinkhorn_plan_apply(s, RKN_N, t->m, one, t->m, P, t->n));
        for (int64_t i = 0; i < t->n; ++i)
            for (int64_t j = 0; j < t->m; ++j) sum += t->W[i * t->m + j] * P[j * t->n + i];
    }
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
    return sum;
}

/* Central differences in a random direction of both clouds, and of masses whose sums stay. */
static void test_finite_differences(void) {
    const double weights[3] = {1, 2.5, 0.3}, periods[3] = {2, 0, 1.7};
    const struct { int64_t d; double p, q; const double *weights, *periods; } kinds[] = {
        {2, 2, 2, NULL, NULL}, {3, 2, 2, weights, periods}, {2, 2, 1, NULL, NULL}, {1, 1, 1, NULL, NULL}, {3, 1, 1, weights, periods},
        {2, 3, 2, weights, NULL}, {2, 1.5, 1.5, NULL, periods}, {2, 2, 3, NULL, NULL}};
    enum { n = 6, m = 9 };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k) {
        const int64_t d = kinds[k].d;
        double *x = numbers(d * n), *y = numbers(d * m), *a = masses(n), *b = masses(m), *W = numbers(n * m), wf[n], wg[m];
        double *u = numbers(d * n), *v = numbers(d * m), *ua = numbers(n), *ub = numbers(m);
        double dX[2][(3 + 1) * n], dY[2][3 * m], da[n], db[m], mean = 0;
        cotangents(n, m, wf, wg);
        for (int i = 0; i < n; ++i) mean += ua[i] / n;
        for (int i = 0; i < n; ++i) ua[i] = 0.1 * (ua[i] - mean);
        mean = 0;
        for (int j = 0; j < m; ++j) mean += ub[j] / m;
        for (int j = 0; j < m; ++j) ub[j] = 0.1 * (ub[j] - mean);
        const problem t = {d, n, m, kinds[k].p, kinds[k].q, kinds[k].weights, kinds[k].periods, a, b, wf, wg, W, 0.3};
        rkn_geometry *G = NULL;
        rkn_sinkhorn *s = solver(NULL, t.epsilon);
        CHECK_OK(rkn_geometry_create_points(NULL, d, n, x, d, m, y, d, t.p, t.q, t.weights, t.periods, &G));
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
        rkn_geometry_destroy(G);
        for (int what = 0; what < 3; ++what) {
            if (what == 0) {
                double f[n], g[m];
                CHECK_OK(rkn_sinkhorn_gradient_points(s, dX[0], d + 1, dY[0], d));
                CHECK_OK(rkn_sinkhorn_gradient_points(s, NULL, 0, dY[1], d));
                CHECK(memcmp(dY[0], dY[1], (size_t)(d * m) * 8) == 0);
                CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
                memcpy(da, f, sizeof da), memcpy(db, g, sizeof db);
            }
            if (what == 1) CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, 0, NULL, 0, dX[0], d + 1, dY[0], d));
            if (what == 2) CHECK_OK(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, m, da, db, NULL, 0, dX[0], d + 1, dY[0], d));
            double slope = 0, of_masses = dot(n, da, ua) + dot(m, db, ub), plus[2][27], found[2], h = 1e-5;
            for (int i = 0; i < n; ++i) slope += dot(d, dX[0] + i * (d + 1), u + i * d);
            slope += dot(d * m, dY[0], v);
            for (int side = 0; side < 2; ++side, h = -h) {
                for (int64_t i = 0; i < d * n; ++i) plus[0][i] = x[i] + h * u[i];
                for (int64_t j = 0; j < d * m; ++j) plus[1][j] = y[j] + h * v[j];
                found[side] = value(&t, plus[0], plus[1], a, b, what);
            }
            const double by_points = (found[0] - found[1]) / (2 * h);
            CHECK(fabs(slope - by_points) < 3e-7 * (1 + fabs(slope)));
            for (int side = 0; side < 2; ++side, h = -h) {
                for (int i = 0; i < n; ++i) plus[0][i] = a[i] + h * ua[i];
                for (int j = 0; j < m; ++j) plus[1][j] = b[j] + h * ub[j];
                found[side] = value(&t, x, y, plus[0], plus[1], what);
            }
            CHECK(fabs(of_masses - (found[0] - found[1]) / (2 * h)) < 3e-7 * (1 + fabs(of_masses)));
            /* The gauge, and space that may be moved as a whole. */
            if (what) CHECK(fabs(dot(n, a, da) - dot(m, b, db)) < 1e-10);
            for (int64_t l = 0; l < d; ++l) {
                double sum = 0;
                for (int i = 0; i < n; ++i) sum += dX[0][i * (d + 1) + l];
                for (int j = 0; j < m; ++j) sum += dY[0][j * d + l];
                CHECK(fabs(sum) < 1e-10);
            }
        }
        rkn_sinkhorn_destroy(s);
        free(x), free(y), free(a), free(b), free(W), free(u), free(v), free(ua), free(ub);
    }
}

/* With respect to C the value has the derivative P; entries of C one by one for the others. */
static void test_costs(void) {
    double *C = numbers(N * M), *a = masses(N), *b = masses(M), *W = numbers(N * M), wf[N], wg[M], dC[2][N * M], h = 1e-5;
    cotangents(N, M, wf, wg);
    rkn_sinkhorn *s = solver(NULL, 0.3);
    rkn_geometry *G = matrix(C, N, M);
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    rkn_geometry_destroy(G);
    double *P = plan(s, C, N, M);
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, NULL, NULL, RKN_ROW_MAJOR, dC[0], M, NULL, 0, NULL, 0));
    CHECK_OK(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, M, NULL, NULL, dC[1], M, NULL, 0, NULL, 0));
    for (int e = 0; e < N * M; e += 4) {
        double found[3][2];
        const double kept = C[e];
        for (int side = 0; side < 2; ++side) {
            C[e] = side ? kept - h : kept + h;
            rkn_geometry *moved = matrix(C, N, M);
            double f[N], g[M];
            CHECK_OK(rkn_sinkhorn_solve(s, moved, a, b));
            CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
            double *Q = plan(s, C, N, M);
            found[0][side] = real_of(s, "dual"), found[1][side] = dot(N, wf, f) + dot(M, wg, g), found[2][side] = dot(N * M, W, Q);
            free(Q);
            rkn_geometry_destroy(moved);
        }
        C[e] = kept;
        CHECK(fabs((found[0][0] - found[0][1]) / (2 * h) - P[e]) < 1e-7);
        CHECK(fabs((found[1][0] - found[1][1]) / (2 * h) - dC[0][e]) < 1e-6);
        CHECK(fabs((found[2][0] - found[2][1]) / (2 * h) - dC[1][e]) < 1e-6);
    }
    rkn_sinkhorn_destroy(s);
    free(P), free(C), free(a), free(b), free(W);
}

/* Points without mass: their derivatives are those of a little mass there, and others do not see them. */
static void test_empty_points(void) {
    enum { n = 5, m = 6 };
    double *x = numbers(2 * n), *y = numbers(2 * m), *W = numbers(n * m), *a = masses(n), *b = masses(m), wf[n], wg[m], da[n], db[m], dC[n * m];
    cotangents(n, m, wf, wg);
    /* What stands at points without mass does not count. */
    b[1] += b[4], b[4] = 0;
    a[0] += a[2], a[2] = 0;
    wf[0] += wf[2], wf[2] = 99;
    wg[1] += wg[4], wg[4] = -77;
    const problem t = {2, n, m, 2, 2, NULL, NULL, a, b, wf, wg, W, 0.3};
    rkn_geometry *G = NULL;
    rkn_sinkhorn *s = solver(NULL, t.epsilon);
    CHECK_OK(rkn_geometry_create_points(NULL, 2, n, x, 2, m, y, 2, 2, 2, NULL, NULL, &G));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    for (int what = 1; what < 3; ++what) {
        if (what == 1) CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, dC, m, NULL, 0, NULL, 0));
        if (what == 2) CHECK_OK(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, m, da, db, dC, m, NULL, 0, NULL, 0));
        for (int j = 0; j < m; ++j) CHECK(dC[2 * m + j] == 0);
        for (int i = 0; i < n; ++i) CHECK(dC[i * m + 4] == 0);
        /* From one side: (-3 v(0) + 4 v(h) - v(2 h)) / 2h. The potential of the new point is not looked at. */
        const double h = 1e-5, here = value(&t, x, y, a, b, what);
        double found[2], kept[2] = {wf[2], wg[4]};
        wf[2] = wg[4] = 0;
        for (int k = 0; k < 2; ++k) {
            double a2[n], b2[m];
            memcpy(a2, a, sizeof a2), memcpy(b2, b, sizeof b2);
            a2[2] = (k + 1) * h, a2[0] -= (k + 1) * h, b2[4] = (k + 1) * h, b2[1] -= (k + 1) * h;
            found[k] = value(&t, x, y, a2, b2, what);
        }
        wf[2] = kept[0], wg[4] = kept[1];
        const double want = da[2] - da[0] + db[4] - db[1], got = (-3 * here + 4 * found[0] - found[1]) / (2 * h);
        CHECK(fabs(got - want) < 1e-5 * (1 + fabs(want)));
    }
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
    free(x), free(y), free(W), free(a), free(b);
}

static int32_t write_row(void *user, int64_t i, int64_t m, double *row) {
    memcpy(row, (const double *)user + i * m, (size_t)m * 8);
    return 0;
}

/* The same costs from a grid, a matrix, points, a callback and a full pattern; also where entries are listed and where they are not. */
static void test_geometries(void) {
    enum { n = 24 };
    const int64_t size[1] = {n};
    const double h[1] = {1.0 / n};
    double C[n * n], x[n], *a = masses(n), *b = masses(n), wf[n], wg[n], first[n + n * n];
    int64_t ptr[n + 1], ind[n * n];
    for (int i = 0; i < n; ++i) {
        x[i] = (double)i / n, ptr[i] = i * n;
        for (int j = 0; j < n; ++j) C[i * n + j] = pow(fabs((double)(i - j) / n), 2), ind[i * n + j] = j;
    }
    ptr[n] = n * n;
    cotangents(n, n, wf, wg);
    for (int kind = 0; kind < 5; ++kind) {
        rkn_geometry *G = NULL;
        if (kind == 0) G = matrix(C, n, n);
        if (kind == 1) CHECK_OK(rkn_geometry_create_grid(NULL, 1, size, h, NULL, 2, &G));
        if (kind == 2) CHECK_OK(rkn_geometry_create_points(NULL, 1, n, x, 1, n, x, 1, 2, 2, NULL, NULL, &G));
        if (kind == 3) CHECK_OK(rkn_geometry_create_callback(NULL, n, n, write_row, C, NULL, &G));
        if (kind == 4) CHECK_OK(rkn_geometry_create_sparse(NULL, n, n, RKN_I64, 0, ptr, ind, C, &G));
        rkn_sinkhorn *s = solver(NULL, 0.05);
        double got[n + n * n];
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
        CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, got, NULL, RKN_ROW_MAJOR, got + n, n, NULL, 0, NULL, 0));
        if (kind == 0) memcpy(first, got, sizeof first);
        CHECK(apart(n, got, first) < 1e-8 && apart(n * n, got + n, first + n) < 1e-8);
        if (kind != 2) {
            CHECK_REFUSED(rkn_sinkhorn_gradient_points(s, got, 1, NULL, 0), RKN_ERR_STATE, "rkn_sinkhorn_gradient_points", "");
            CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, NULL, NULL, 0, NULL, 0, got, 1, NULL, 0), RKN_ERR_STATE,
                          "rkn_sinkhorn_vjp_potentials", "");
        }
        rkn_sinkhorn_destroy(s);
        rkn_geometry_destroy(G);
    }
    /* A band of allowed entries: derivatives at forbidden ones are zero, those at others are the dense system's. */
    int64_t k = 0;
    double cost[n * n], P[n * n], alpha[n], beta[n], da[n], dC[n * n];
    for (int i = 0; i < n; ++i) {
        ptr[i] = k;
        for (int j = 0; j < n; ++j)
            if (abs(i - j) < 4) ind[k] = j, cost[k] = C[i * n + j], ++k;
    }
    ptr[n] = k;
    for (int i = 0; i < n; ++i) a[i] = b[i] = 1.0 / n;
    rkn_geometry *G = NULL;
    rkn_sinkhorn *s = solver(NULL, 0.05);
    double f[n], g[n];
    CHECK_OK(rkn_geometry_create_sparse(NULL, n, n, RKN_I64, 0, ptr, ind, cost, &G));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) P[i * n + j] = abs(i - j) < 4 ? exp((f[i] + g[j] - C[i * n + j]) / 0.05) : 0;
    dense_system(P, n, n, wf, wg, alpha, beta);
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, RKN_ROW_MAJOR, dC, n, NULL, 0, NULL, 0));
    for (int i = 0; i < n; ++i) {
        CHECK(fabs(da[i] - 0.05 * alpha[i]) < 1e-9 * (1 + fabs(da[i])));
        for (int j = 0; j < n; ++j) CHECK(fabs(dC[i * n + j] - P[i * n + j] * (alpha[i] + beta[j])) < 1e-9 && (abs(i - j) < 4 || dC[i * n + j] == 0));
    }
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
    free(a), free(b);
}

/* Several cotangents after one solve: what was found makes the later ones cheaper; the last one again is free. */
static void test_recycling(void) {
    enum { n = 60, m = 50, many = 12 };
    double *x = numbers(2 * n), *y = numbers(2 * m), *a = masses(n), *b = masses(m), wf[many][n], wg[many][m], da[n], again[n], first[n];
    int64_t warm = 0, cold = 0;
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_points(NULL, 2, n, x, 2, m, y, 2, 2, 2, NULL, NULL, &G));
    for (int is_warm = 0; is_warm < 2; ++is_warm) {
        random_state = 77;
        rkn_sinkhorn *s = solver(NULL, 0.05);
        CHECK_OK(rkn_sinkhorn_set_real(s, "derivative_tolerance", 1e-8));
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
        for (int k = 0; k < many; ++k) {
            cotangents(n, m, wf[k], wg[k]);
            if (!is_warm) CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf[k], wg[k], da, NULL, 0, NULL, 0, NULL, 0, NULL, 0));
            CHECK(real_of(s, "derivative_residual") <= 2e-8);
            *(is_warm ? &warm : &cold) += count(s, "derivative_products");
        }
        if (is_warm) {
            memcpy(first, da, sizeof first);
            CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf[many - 1], wg[many - 1], again, NULL, 0, NULL, 0, NULL, 0, NULL, 0));
            CHECK(count(s, "derivative_products") == 1 && apart(n, again, first) < 1e-7);
        }
        rkn_sinkhorn_destroy(s);
    }
    printf("products for %d cotangents: %lld alone, %lld one after the other\n", many, (long long)cold, (long long)warm);
    CHECK(warm < 0.7 * (double)cold);
    rkn_geometry_destroy(G);
    free(x), free(y), free(a), free(b);
}

static void test_threads(void) {
    enum { n = 420, m = 390 };
    double *x = numbers(2 * n), *y = numbers(2 * m), *a = masses(n), *b = masses(m), *wf = need(n * 8), *wg = need(m * 8);
    double *da[2], *dX[2], *dY[2], *dC[2];
    cotangents(n, m, wf, wg);
    for (int k = 0; k < 2; ++k) {
        rkn_context *ctx = NULL;
        rkn_geometry *G = NULL;
        da[k] = need(n * 8), dX[k] = need(2 * n * 8), dY[k] = need(2 * m * 8), dC[k] = need((size_t)n * m * 8);
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_set_int(ctx, "threads", k ? 3 : 1));
        CHECK_OK(rkn_geometry_create_points(NULL, 2, n, x, 2, m, y, 2, 2, 1, NULL, NULL, &G));
        rkn_sinkhorn *s = solver(ctx, 0.1);
        CHECK_OK(rkn_sinkhorn_set_real(s, "tolerance", 1e-6));
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
        CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da[k], NULL, RKN_ROW_MAJOR, dC[k], m, dX[k], 2, dY[k], 2));
        rkn_sinkhorn_destroy(s);
        rkn_geometry_destroy(G);
        rkn_context_destroy(ctx);
    }
    CHECK(memcmp(da[0], da[1], n * 8) == 0 && memcmp(dX[0], dX[1], 2 * n * 8) == 0 && memcmp(dY[0], dY[1], 2 * m * 8) == 0);
    CHECK(memcmp(dC[0], dC[1], (size_t)n * m * 8) == 0);
    for (int k = 0; k < 2; ++k) free(da[k]), free(dX[k]), free(dY[k]), free(dC[k]);
    free(x), free(y), free(a), free(b), free(wf), free(wg);
}

static int all_finite(int64_t n, const double *v) {
    for (int64_t i = 0; i < n; ++i)
        if (!isfinite(v[i])) return 0;
    return 1;
}

/* One point, a plan that is a permutation to rounding, costs without differences, equal points. */
static void test_nasty(void) {
    rkn_geometry *G = NULL;
    rkn_sinkhorn *s = solver(NULL, 0.1);
    const double one[1] = {2}, C1[3] = {1, 5, 2}, b3[3] = {0.5, 1, 0.5}, wf1[1] = {1}, wg1[3] = {0, 1, 0};
    double da[40], db[40], dC[1600], dX[80];
    /* f + g_j = C_j + eps log b_j: f + g_1 has the derivative eps / b_1 for b_1 alone, and 1 for C_1. */
    G = matrix(C1, 1, 3);
    CHECK_OK(rkn_sinkhorn_solve(s, G, one, b3));
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf1, wg1, da, db, RKN_ROW_MAJOR, dC, 3, NULL, 0, NULL, 0));
    CHECK(fabs(db[1] - db[0] - 0.1) < 1e-12 && fabs(db[2] - db[0]) < 1e-12 && fabs(dC[1] - 1) < 1e-12 && fabs(dC[0]) + fabs(dC[2]) < 1e-12);
    rkn_geometry_destroy(G);

    enum { n = 40 };
    double *C = numbers(n * n), *W = numbers(n * n), *a = ones(n), wf[n], wg[n];
    for (int i = 0; i < n; ++i) C[i * n + (7 * i + 3) % n] = -50;
    cotangents(n, n, wf, wg);
    G = matrix(C, n, n);
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
    /* What moves between the pairs hangs on couplings of 1e-200 and below. */
    rkn_status rc = rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, n, da, db, dC, n, NULL, 0, NULL, 0);
    CHECK((rc == RKN_STOP_STAGNATION || rc == RKN_OK) && all_finite(n, da) && all_finite(n * n, dC));
    for (int e = 0; e < n * n; ++e) CHECK(fabs(dC[e]) < 1e-12);
    /* A change of masses that the plan has no way for. */
    rc = rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, dC, n, NULL, 0, NULL, 0);
    CHECK((rc == RKN_STOP_STAGNATION || rc == RKN_OK) && all_finite(n, da) && all_finite(n, db) && all_finite(n * n, dC));
    rkn_geometry_destroy(G);

    for (int e = 0; e < n * n; ++e) C[e] = 3;
    G = matrix(C, n, n);
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, dC, n, NULL, 0, NULL, 0));
    /* f_i + g_j = 3 + eps log(a_i b_j / mass): eps w / a but for constants. */
    for (int i = 1; i < n; ++i) CHECK(fabs(da[i] - da[0] - 0.1 * (wf[i] - wf[0])) < 1e-11);
    rkn_geometry_destroy(G);

    for (int kind = 0; kind < 3; ++kind) {
        double x[2 * n] = {0};
        CHECK_OK(rkn_geometry_create_points(NULL, 2, n, x, 2, n, x, 2, kind ? 2 : 1, kind ? kind : 0.5, NULL, NULL, &G));
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
        CHECK_OK(rkn_sinkhorn_gradient_points(s, dX, 2, NULL, 0));
        for (int i = 0; i < 2 * n; ++i) CHECK(dX[i] == 0);
        CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, NULL, NULL, 0, NULL, 0, dX, 2, NULL, 0));
        CHECK(all_finite(2 * n, dX));
        rkn_geometry_destroy(G);
    }
    /* Small epsilon on a line: the plan is nearly a permutation, the couplings are small. */
    double x[n], y[n];
    for (int i = 0; i < n; ++i) x[i] = (double)i / n, y[i] = (i + 0.3 * unit()) / n;
    CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", 1e-5));
    CHECK_OK(rkn_sinkhorn_set_real(s, "tolerance", 1e-9));
    CHECK_OK(rkn_geometry_create_points(NULL, 1, n, x, 1, n, y, 1, 2, 2, NULL, NULL, &G));
    CHECK(rkn_sinkhorn_solve(s, G, a, a) >= 0);
    rc = rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, dC, n, dX, 1, NULL, 0);
    printf("small epsilon: status %d, residual %.1e, %lld products\n", rc, real_of(s, "derivative_residual"), (long long)count(s, "derivative_products"));
    CHECK(rc >= 0 && all_finite(n, da) && all_finite(n, db) && all_finite(n * n, dC) && all_finite(n, dX));
    rkn_geometry_destroy(G);
    /* In many dimensions some couplings are of order one and others of 1e-200. */
    double *far = numbers(30 * n);
    CHECK_OK(rkn_sinkhorn_set_string(s, "epsilon_relative", "max"));
    for (double epsilon = 1e-3; epsilon > 1e-5; epsilon /= 5) {
        CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
        CHECK_OK(rkn_geometry_create_points(NULL, 30, n, far, 30, n - 1, far + 30, 30, 2, 2, NULL, NULL, &G));
        double b[n];
        for (int j = 0; j < n - 1; ++j) b[j] = (double)n / (n - 1);
        CHECK(rkn_sinkhorn_solve(s, G, a, b) >= 0);
        for (int k = 0; k < 3; ++k) {
            cotangents(n, n - 1, wf, wg);
            rc = rkn_sinkhorn_vjp_potentials(s, wf, wg, da, db, RKN_ROW_MAJOR, dC, n - 1, NULL, 0, NULL, 0);
            CHECK(rc >= 0 && all_finite(n, da) && all_finite(n - 1, db) && all_finite(n * (n - 1), dC));
            CHECK(isfinite(real_of(s, "derivative_residual")));
        }
        rkn_geometry_destroy(G);
    }
    free(far);
    rkn_sinkhorn_destroy(s);
    free(C), free(W), free(a);
}

static int32_t fail_row(void *user, int64_t i, int64_t m, double *row) {
    if (*(int *)user && i == 3) return 9;
    for (int64_t j = 0; j < m; ++j) row[j] = (double)((3 * i + 5 * j) % 7);
    return 0;
}

static void test_refusals(void) {
    const char *const vp = "rkn_sinkhorn_vjp_potentials", *const vw = "rkn_sinkhorn_vjp_plan", *const gp = "rkn_sinkhorn_gradient_points";
    double x[2 * N], y[2 * M], *a = masses(N), *b = masses(M), wf[N], wg[M], W[N * M], da[N], dC[N * M], big[200];
    cotangents(N, M, wf, wg);
    for (int i = 0; i < 2 * N; ++i) x[i] = uniform();
    for (int j = 0; j < 2 * M; ++j) y[j] = uniform();
    for (int e = 0; e < N * M; ++e) W[e] = uniform();
    rkn_sinkhorn *s = solver(NULL, 0.1);
    rkn_geometry *G = NULL;
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_STATE, vp, "");
    CHECK_REFUSED(rkn_sinkhorn_vjp_plan(s, 0, W, N, da, NULL, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_STATE, vw, "");
    CHECK_REFUSED(rkn_sinkhorn_gradient_points(s, NULL, 0, NULL, 0), RKN_ERR_STATE, gp, "");
    CHECK_OK(rkn_geometry_create_points(NULL, 2, N, x, 2, M, y, 2, 2, 2, NULL, NULL, &G));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_OK(rkn_sinkhorn_gradient_points(s, NULL, 0, NULL, 0));
    da[0] = dC[0] = big[0] = -7;
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(NULL, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_NULL, vp, "s");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, NULL, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_NULL, vp, "wf");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, NULL, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_NULL, vp, "wg");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, wf, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_ARGUMENT, vp, "da");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, big, big, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_ARGUMENT, vp, "db");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 7, dC, M, NULL, 0, NULL, 0), RKN_ERR_ARGUMENT, vp, "order");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, RKN_ROW_MAJOR, dC, M - 1, NULL, 0, NULL, 0), RKN_ERR_SIZE, vp, "lddc");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, RKN_COLUMN_MAJOR, dC, N - 1, NULL, 0, NULL, 0), RKN_ERR_SIZE, vp, "lddc");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, big, 1, NULL, 0), RKN_ERR_SIZE, vp, "lddx");
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, big, -1), RKN_ERR_SIZE, vp, "lddy");
    CHECK_REFUSED(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, M - 1, da, NULL, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_SIZE, vw, "ldw");
    CHECK_REFUSED(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, NULL, M, da, NULL, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_NULL, vw, "W");
    CHECK_REFUSED(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, M, da, NULL, W, M, NULL, 0, NULL, 0), RKN_ERR_ARGUMENT, vw, "dC");
    CHECK_REFUSED(rkn_sinkhorn_gradient_points(s, big, 1, NULL, 0), RKN_ERR_SIZE, gp, "lddx");
    CHECK_REFUSED(rkn_sinkhorn_gradient_points(s, big, 2, big + 1, 2), RKN_ERR_ARGUMENT, gp, "dY");
    CHECK_REFUSED(rkn_sinkhorn_set_real(s, "derivative_tolerance", -1), RKN_ERR_ARGUMENT, "rkn_sinkhorn_set_real", "derivative_tolerance");
    wf[1] += 1e-3;
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_ARGUMENT, vp, "wg");
    CHECK_SAYS("the sum of wf");
    wf[1] = NAN;
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_NONFINITE, vp, "wf");
    W[2 * M + 3] = INFINITY;
    CHECK_REFUSED(rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, W, M, da, NULL, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_NONFINITE, vw, "W");
    CHECK_SAYS("row 2 and column 3");
    CHECK(da[0] == -7 && dC[0] == -7 && big[0] == -7);
    rkn_geometry_destroy(G);

    /* Rows that fail: an error that leaves a and b, and a solver that goes on. */
    int fails = 0;
    cotangents(N, M, wf, wg);
    CHECK_OK(rkn_geometry_create_callback(NULL, N, M, fail_row, &fails, NULL, &G));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    fails = 1;
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_CALLBACK, vp, "");
    CHECK(da[0] == -7);
    fails = 0;
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, RKN_ROW_MAJOR, dC, M, NULL, 0, NULL, 0));
    fails = 1;
    da[0] = -7;
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, RKN_ROW_MAJOR, dC, M, NULL, 0, NULL, 0), RKN_ERR_CALLBACK, vp, "");
    CHECK(da[0] == -7);
    fails = 0;
    CHECK_OK(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, RKN_ROW_MAJOR, dC, M, NULL, 0, NULL, 0));
    CHECK_OK(rkn_sinkhorn_forget(s));
    CHECK_REFUSED(rkn_sinkhorn_vjp_potentials(s, wf, wg, da, NULL, 0, NULL, 0, NULL, 0, NULL, 0), RKN_ERR_STATE, vp, "");
    rkn_geometry_destroy(G);
    rkn_sinkhorn_destroy(s);
    free(a), free(b);
}

int main(void) {
    test_dense_systems();
    test_published_figures();
    test_finite_differences();
    test_costs();
    test_empty_points();
    test_geometries();
    test_recycling();
    test_threads();
    test_nasty();
    test_refusals();
    return done();
}
