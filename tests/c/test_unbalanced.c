/* Penalised marginals: closed form of one point, a textbook iteration, limits, values in both conventions, bad input. */
#include "check.h"

static double unit(void) { return 0.5 * (uniform() + 1); }
static double real_of(const rkn_sinkhorn *s, const char *key) {
    double v = NAN;
    CHECK_OK(rkn_sinkhorn_get_real(s, key, &v));
    return v;
}
static rkn_geometry *matrix(const double *C, int64_t n, int64_t m, rkn_order order) {
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, order, C, order == RKN_ROW_MAJOR ? m : n, RKN_BORROW, &G));
    return G;
}
static rkn_sinkhorn *solver(const char *method, const char *options) {
    rkn_sinkhorn *s = NULL;
    CHECK_OK(rkn_sinkhorn_create(NULL, method, &s));
    CHECK_OK(rkn_sinkhorn_set_options(s, options));
    return s;
}
static const char *const methods[] = {"auto", "sinkhorn", "sns"};

/* One point: C + eps log(p / reference) + rho_a log(p / a) + rho_b log(p / b) = 0. */
static void test_one_point(void) {
    const double C = 0.7, a = 2.5, b = 0.3, eps = 0.2, rho_a = 1.5, rho_b = 0.4;
    rkn_geometry *G = matrix(&C, 1, 1, RKN_ROW_MAJOR);
    for (int k = 0; k < 3; ++k)
        for (int product = 0; product < 2; ++product) {
            rkn_sinkhorn *s = solver(methods[k], "epsilon=0.2 penalty_a=1.5 penalty_b=0.4 tolerance=1e-14");
            CHECK_OK(rkn_sinkhorn_set_string(s, "entropy", product ? "product" : "counting"));
            CHECK_OK(rkn_sinkhorn_solve(s, G, &a, &b));
            const double reference = product ? a * b : 1;
            const double p = exp((eps * log(reference) + rho_a * log(a) + rho_b * log(b) - C) / (eps + rho_a + rho_b));
            const double value = C * p + eps * (p * log(p / reference) - p + (product ? a * b : 0)) + rho_a * (p * log(p / a) - p + a) +
                                 rho_b * (p * log(p / b) - p + b);
            CHECK(fabs(real_of(s, "plan_mass") - p) < 1e-13);
            CHECK(fabs(real_of(s, "cost") - C * p) < 1e-13);
            CHECK(fabs(real_of(s, "primal") - value) < 1e-13);
            CHECK(fabs(real_of(s, "dual") - value) < 1e-13);
            double f, g;
            CHECK_OK(rkn_sinkhorn_potentials(s, &f, &g));
            CHECK(fabs(exp((f + g - C) / eps) - p) < 1e-13);
            rkn_sinkhorn_destroy(s);
        }
    rkn_geometry_destroy(G);
}

/* The scaling iteration of Chizat et al. 2018 in logarithms, to a fixed point; the plan goes to P. */
static void textbook(const double *C, int n, int m, const double *a, const double *b, double eps, double rho_a, double rho_b, int product, double *P) {
    double *phi = need((size_t)n * 8), *gamma = need((size_t)m * 8);
    const double ka = eps / rho_a, kb = eps / rho_b;
    for (int step = 0; step < 20000; ++step) {
        double moved = 0;
        for (int i = 0; i < n; ++i) {
            double sum = 0;
            for (int j = 0; j < m; ++j) sum += exp(gamma[j] - C[i * m + j] / eps);
            phi[i] = (log(a[i]) - log(sum) + (product ? ka * log(a[i]) : 0)) / (1 + ka);
        }
        for (int j = 0; j < m; ++j) {
            double sum = 0;
            for (int i = 0; i < n; ++i) sum += exp(phi[i] - C[i * m + j] / eps);
            const double next = (log(b[j]) - log(sum) + (product ? kb * log(b[j]) : 0)) / (1 + kb);
            moved = fmax(moved, fabs(next - gamma[j]));
            gamma[j] = next;
        }
        if (moved < 1e-15) break;
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < m; ++j) P[i * m + j] = exp(phi[i] + gamma[j] - C[i * m + j] / eps);
    free(phi), free(gamma);
}

static void test_textbook(void) {
    enum { n = 23, m = 17 };
    double C[n * m], T[n * m], a[n], b[m], P[n * m], Q[n * m];
    for (int i = 0; i < n; ++i) a[i] = 0.1 + unit();
    for (int j = 0; j < m; ++j) b[j] = 0.1 + 2 * unit();
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < m; ++j) T[j * n + i] = C[i * m + j] = unit();
    const double cases[4][3] = {{0.1, 1, 1}, {0.03, 0.2, 2}, {0.05, INFINITY, 0.3}, {0.05, 0.3, INFINITY}};
    rkn_geometry *G[2] = {matrix(C, n, m, RKN_ROW_MAJOR), matrix(T, n, m, RKN_COLUMN_MAJOR)};
    for (int k = 0; k < 3; ++k)
        for (int c = 0; c < 4; ++c)
            for (int product = 0; product < 2; ++product) {
                const double eps = cases[c][0], rho_a = cases[c][1], rho_b = cases[c][2];
                textbook(C, n, m, a, b, eps, rho_a, rho_b, product, Q);
                rkn_sinkhorn *s = solver(methods[k], k == 2 ? "tolerance=1e-9 start=zero" : "tolerance=1e-11 start=zero");
                const double close = k == 2 ? 1e-7 : 1e-9;
                CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", eps));
                if (rho_a < INFINITY) CHECK_OK(rkn_sinkhorn_set_real(s, "penalty_a", rho_a));
                if (rho_b < INFINITY) CHECK_OK(rkn_sinkhorn_set_real(s, "penalty_b", rho_b));
                CHECK_OK(rkn_sinkhorn_set_string(s, "entropy", product ? "product" : "counting"));
                for (int order = 0; order < 2; ++order) {
                    if (!CHECK_OK(rkn_sinkhorn_solve(s, G[order], a, b))) printf("    %s, case %d, product %d, order %d\n", methods[k], c, product, order);
                    CHECK_OK(rkn_sinkhorn_plan_rows(s, 0, n, P, m));
                    double worst = 0, cost = 0, entropic = 0, prices = 0, mass = 0, sum_a = 0, sum_b = 0;
                    for (int i = 0; i < n * m; ++i) {
                        const double reference = product ? a[i / m] * b[i % m] : 1;
                        worst = fmax(worst, fabs(P[i] - Q[i]));
                        cost += C[i] * Q[i], mass += Q[i];
                        entropic += eps * (Q[i] * log(Q[i] / reference) - Q[i] + (product ? reference : 0));
                    }
                    for (int i = 0; i < n; ++i) {
                        double row = 0;
                        for (int j = 0; j < m; ++j) row += Q[i * m + j];
                        if (rho_a < INFINITY) prices += rho_a * (row * log(row / a[i]) - row + a[i]);
                        sum_a += a[i];
                    }
                    for (int j = 0; j < m; ++j) {
                        double column = 0;
                        for (int i = 0; i < n; ++i) column += Q[i * m + j];
                        if (rho_b < INFINITY) prices += rho_b * (column * log(column / b[j]) - column + b[j]);
                        sum_b += b[j];
                    }
                    CHECK(worst < close);
                    CHECK(fabs(real_of(s, "cost") - cost) < 10 * close);
                    CHECK(fabs(real_of(s, "plan_mass") - mass) < 10 * close);
                    CHECK(fabs(real_of(s, "primal") - (cost + entropic + prices)) < 1e-7);
                    CHECK(fabs(real_of(s, "dual") - (cost + entropic + prices)) < 1e-7);
                }
                rkn_sinkhorn_destroy(s);
            }
    rkn_geometry_destroy(G[0]), rkn_geometry_destroy(G[1]);
}

/* A dear difference is none: the plan tends to that of exact marginals. A cheap one moves nothing that is far. */
static void test_limits(void) {
    enum { n = 30 };
    double C[n * n], a[n], b[n], sum[2] = {0, 0}, P[n * n], Q[n * n];
    for (int i = 0; i < n; ++i) sum[0] += a[i] = 0.1 + unit(), sum[1] += b[i] = 0.1 + unit();
    for (int i = 0; i < n; ++i) a[i] /= sum[0], b[i] /= sum[1];
    for (int i = 0; i < n * n; ++i) C[i] = abs(i / n - i % n) / (double)n;
    rkn_geometry *G = matrix(C, n, n, RKN_ROW_MAJOR);
    rkn_sinkhorn *exact = solver("auto", "epsilon=0.01 tolerance=1e-12"), *dear = solver("auto", "epsilon=0.01 tolerance=1e-12");
    CHECK_OK(rkn_sinkhorn_solve(exact, G, a, b));
    CHECK_OK(rkn_sinkhorn_plan_rows(exact, 0, n, P, n));
    double before = INFINITY;
    for (double rho = 10; rho < 1e5; rho *= 10) {
        CHECK_OK(rkn_sinkhorn_set_real(dear, "penalty_a", rho));
        CHECK_OK(rkn_sinkhorn_set_real(dear, "penalty_b", rho));
        CHECK_OK(rkn_sinkhorn_solve(dear, G, a, b));
        CHECK_OK(rkn_sinkhorn_plan_rows(dear, 0, n, Q, n));
        double worst = 0;
        for (int i = 0; i < n * n; ++i) worst = fmax(worst, fabs(P[i] - Q[i]));
        CHECK(worst < 0.2 * before);
        before = worst;
    }
    CHECK(before < 1e-5);
    CHECK_OK(rkn_sinkhorn_set_options(dear, "penalty_a=1e-3 penalty_b=1e-3 entropy=product"));
    CHECK_OK(rkn_sinkhorn_solve(dear, G, a, b));
    CHECK_OK(rkn_sinkhorn_plan_rows(dear, 0, n, Q, n));
    for (int i = 0; i < n; ++i) CHECK(Q[i * n + (i + n / 2) % n] < 1e-9);
    rkn_sinkhorn_destroy(exact), rkn_sinkhorn_destroy(dear), rkn_geometry_destroy(G);
}

static void test_bad_input(void) {
    const double C[4] = {0, 1, 1, 0}, a[2] = {0.5, 0.7}, b[2] = {0.1, 0.2}, none[2] = {0, 0};
    double lower = -1, upper = -1;
    rkn_geometry *G = matrix(C, 2, 2, RKN_ROW_MAJOR);
    rkn_sinkhorn *s = solver("auto", "epsilon=0.1");
    CHECK_REFUSED(rkn_sinkhorn_solve(s, G, a, b), RKN_ERR_ARGUMENT, "rkn_sinkhorn_solve", "b");
    CHECK_STATUS(rkn_sinkhorn_set_real(s, "penalty_a", -1), RKN_ERR_ARGUMENT);
    CHECK_SAYS("penalty_a");
    CHECK_OK(rkn_sinkhorn_set_real(s, "penalty_a", 0.5));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_STATUS(rkn_sinkhorn_bracket(s, &lower, &upper), RKN_ERR_STATE);
    CHECK_SAYS("penalised");
    CHECK(lower == -1 && upper == -1);
    CHECK_REFUSED(rkn_sinkhorn_solve(s, G, none, b), RKN_ERR_ARGUMENT, "rkn_sinkhorn_solve", "a");
    CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", 0.1));
    CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, b), RKN_ERR_STATE);
    CHECK_SAYS("transported_mass");
    CHECK_OK(rkn_sinkhorn_set_options(s, "transported_mass=0 target_gap=0.1"));
    CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, b), RKN_ERR_STATE);
    CHECK_SAYS("target_gap");
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

int main(void) {
    test_one_point();
    test_textbook();
    test_limits();
    test_bad_input();
    return done();
}
