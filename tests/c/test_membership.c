/* Doubly stochastic projection, its derivative, coding rates: closed forms, figures of automatic differentiation, differences, symmetry. */
#include "check.h"

static double *numbers(int64_t n) {
    double *v = need((size_t)n * 8);
    for (int64_t i = 0; i < n; ++i) v[i] = uniform();
    return v;
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
static double dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
    return sum;
}
/* The L1 errors of rows and columns over n. */
static double error_of(int64_t n, const double *G) {
    double error = 0;
    for (int64_t i = 0; i < n; ++i) {
        double row = 0, column = 0;
        for (int64_t j = 0; j < n; ++j) row += G[i * n + j], column += G[j * n + i];
        error += fabs(row - 1) + fabs(column - 1);
    }
    return error / (double)n;
}
static int is_symmetric(int64_t n, const double *G) {
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < i; ++j)
            if (memcmp(G + i * n + j, G + j * n + i, 8)) return 0;
    return 1;
}

/* Two by two: G = (t, 1 - t; 1 - t, t), t / (1 - t) = exp((K_11 + K_22 - K_12 - K_21) / 2 eta). One by one: 1. */
static void test_closed_forms(void) {
    double smallest = 1;
    for (int k = 0; k < 40; ++k) {
        const double eta = pow(10, -k % 4), z = uniform();
        const double K[4] = {uniform(), k & 4 ? uniform() : z, z, uniform()};
        double G[4], u[2], v[2], t = 1 / (1 + exp(-(K[0] + K[3] - K[1] - K[2]) / (2 * eta)));
        CHECK_OK(rkn_ds_project(NULL, 2, K, 2, eta, 1e-12, G, 2, u, v, 0));
        CHECK(fabs(G[0] - t) < 1e-11 && fabs(G[3] - t) < 1e-11 && fabs(G[1] - (1 - t)) < 1e-11 && fabs(G[2] - (1 - t)) < 1e-11);
        CHECK(fabs(exp((u[0] + v[1] + K[1]) / eta) - G[1]) < 1e-11);
        /* dt/dK_11 = t (1 - t) / 2 eta, and G_11 - G_12 = 2 t - 1. */
        const double W[4] = {1, -1, 0, 0};
        double dK[4];
        const rkn_status rc = rkn_ds_project_vjp(NULL, 2, eta, G, 2, W, 2, dK, 2);
        const double slope = t / (1 + exp((K[0] + K[3] - K[1] - K[2]) / (2 * eta))) / eta, near = 1e-9 * slope + 1e-290;
        /* Couplings below 1e-60 are none. */
        CHECK(rc == RKN_OK || (rc == RKN_STOP_STAGNATION && slope < 1e-50));
        for (int e = 0; e < 4; ++e) CHECK(fabs(dK[e]) < 1e-9 + 1.1 * slope);
        /* Marginals good to 1e-12 say nothing of entries below that, but one potential has all their digits off the diagonal. */
        if ((K[1] == K[2] && t > 0.5 && slope > 1e-50) || slope * eta > 1e-2) CHECK(fabs(dK[0] - slope) <= near && fabs(dK[1] + slope) <= near && fabs(dK[3] - slope) <= near);
        if (slope > 1e-50 && slope < smallest) smallest = slope;
    }
    CHECK(smallest < 1e-15);
    const double one[1] = {-3e5};
    double G[1], u[1], v[1], dK[1];
    CHECK_OK(rkn_ds_project(NULL, 1, one, 1, 1e-3, 1e-12, G, 1, u, v, 0));
    CHECK(G[0] == 1 && u[0] + v[0] == 3e5);
    CHECK_OK(rkn_ds_project_vjp(NULL, 1, 1e-3, G, 1, one, 1, dK, 1));
    CHECK(dK[0] == 0);
}

/* By JAX 0.4 in double precision: reverse differentiation through 600 Sinkhorn iterations. */
static void test_published_figures(void) {
    enum { n = 4 };
    const double G_k[n * n] = {0.0636939262656, 0.0790488464167, 0.514370206762, 0.342887020555, 0.163316683365, 0.635571797995,
                               0.0427758535472, 0.158335665093, 0.537081877529, 0.120041990476, 0.249101823278, 0.0937743087172,
                               0.23590751284, 0.165337365113, 0.193752116413, 0.405003005635};
    const double dK_k[n * n] = {-0.106999073575, 0.108011795472, -0.347792414103, 0.346779692206, -0.0553518865332, 0.19535180679,
                                -0.00578248852016, -0.134217431737, 0.379627572881, -0.125669412108, 0.0275447374279, -0.2815028982,
                                -0.217276612773, -0.177694190154, 0.326030165195, 0.0689406377313};
    const double G_s[n * n] = {0.0640391771481, 0.114978101358, 0.533758934878, 0.287223786616, 0.114978101358, 0.647323052578,
                               0.0732415132439, 0.16445733282, 0.533758934878, 0.0732415132439, 0.255507231427, 0.137492320451,
                               0.287223786616, 0.16445733282, 0.137492320451, 0.410826560113};
    double K[n * n], S[n * n], W[n * n], G[n * n], dK[n * n], Wt[n * n], Gt[n * n], u[n], v[n], ut[n], vt[n], Kt[n * n];
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) K[i * n + j] = (i * i + 3 * j + 2 * i * j * j) % 7 / 7.0, W[i * n + j] = (2 * i + 3 * j + 2 * i * j) % 5 / 5.0 - 0.3;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) S[i * n + j] = 0.5 * (K[i * n + j] + K[j * n + i]), Kt[j * n + i] = K[i * n + j], Wt[j * n + i] = W[i * n + j];
    CHECK_OK(rkn_ds_project(NULL, n, K, n, 0.25, 1e-13, G, n, u, v, 0));
    CHECK(apart(n * n, G, G_k) < 1e-11);
    CHECK_OK(rkn_ds_project_vjp(NULL, n, 0.25, G, n, W, n, dK, n));
    CHECK(apart(n * n, dK, dK_k) < 1e-10);
    /* Column-major: the transposed problem. */
    CHECK_OK(rkn_ds_project(NULL, n, Kt, n, 0.25, 1e-13, Gt, n, ut, vt, 0));
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) CHECK(fabs(Gt[j * n + i] - G[i * n + j]) < 1e-11 && fabs(ut[j] + vt[i] - u[i] - v[j]) < 1e-10);
    CHECK_OK(rkn_ds_project_vjp(NULL, n, 0.25, Gt, n, Wt, n, dK, n));
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) CHECK(fabs(dK[j * n + i] - dK_k[i * n + j]) < 1e-10);
    CHECK_OK(rkn_ds_project(NULL, n, S, n, 0.25, 1e-13, G, n, u, v, 0));
    CHECK(apart(n * n, G, G_s) < 1e-11 && is_symmetric(n, G) && memcmp(u, v, sizeof u) == 0);

    enum { d = 3, m = 5, k = 2 };
    const double R = 1.2727574908786017, Rc = 0.49055045855562474;
    const double dZ_r[d * m] = {-0.648211901836, -0.0807771646926, 0.148460058449, -0.0977276319327, 0.846676538498, -0.0859945772968,
                                0.658030855403, -0.178739247762, -0.672188904629, 0.025051278896, -0.647141125004, 0.519823660086,
                                0.575535548799, 0.280312578187, 0.285369024339};
    const double dZ_c[d * m] = {-0.281864597055, -0.0428587338417, 0.0797781538196, -0.0319348164553, 0.339540356913, -0.033745055052,
                                0.209772518484, -0.0418912364779, -0.225520661121, -0.0257725548847, -0.253093050439, 0.230439993657,
                                0.243121414102, 0.124013004329, 0.103644499652};
    const double dPi_c[m * k] = {0.220457817919, 0.183503738272, 0.387027611205, 0.205808192011, 0.161908626854,
                                 0.168719756038, 0.239968068085, 0.278791492531, 0.252621511873, 0.144994548936};
    double Z[d * m], Pi[m * k], dZ[d * m], dPi[m * k], rate;
    for (int i = 0; i < d; ++i)
        for (int j = 0; j < m; ++j) Z[i + d * j] = (2 * i + 3 * j + i * j) % 7 / 7.0 - 0.4;
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < k; ++j) Pi[i + m * j] = (i * 2 + j * 3) % 4 / 10.0 + 0.1;
    Pi[2] = 0;
    CHECK_OK(rkn_coding_rate(NULL, d, m, Z, d, 1.5, &rate, dZ, d));
    CHECK(fabs(rate - R) < 1e-14 && apart(d * m, dZ, dZ_r) < 1e-11);
    CHECK_OK(rkn_coding_rate_clustered(NULL, d, m, k, Z, d, Pi, m, 0.5, &rate, dZ, d, dPi, m));
    CHECK(fabs(rate - Rc) < 1e-14 && apart(d * m, dZ, dZ_c) < 1e-11 && apart(m * k, dPi, dPi_c) < 1e-11);
}

/* Central differences, and the dense system of 2 n unknowns. */
static void test_derivative(void) {
    enum { n = 8, ld = n + 3 };
    for (int kind = 0; kind < 4; ++kind) {
        const double eta = kind & 2 ? 0.05 : 0.4, h = 1e-5 * eta;
        double *K = numbers(n * ld), *W = numbers(n * ld), *D = numbers(n * n), G[n * ld], dK[n * ld], moved[n * ld], found[2], u[n], v[n], slope = 0;
        if (kind & 1)
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < i; ++j) K[i * ld + j] = K[j * ld + i], D[i * n + j] = D[j * n + i];
        CHECK_OK(rkn_ds_project(NULL, n, K, ld, eta, 1e-13, G, ld, u, v, 0));
        CHECK_OK(rkn_ds_project_vjp(NULL, n, eta, G, ld, W, ld, dK, ld));
        for (int i = 0; i < n; ++i) slope += dot(n, dK + i * ld, D + i * n);
        for (int side = 0; side < 2; ++side) {
            double G2[n * ld];
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < n; ++j) moved[i * ld + j] = K[i * ld + j] + (side ? -h : h) * D[i * n + j];
            CHECK_OK(rkn_ds_project(NULL, n, moved, ld, eta, 1e-13, G2, ld, u, v, side));
            found[side] = 0;
            for (int i = 0; i < n; ++i) found[side] += dot(n, G2 + i * ld, W + i * ld);
        }
        CHECK(fabs(slope - (found[0] - found[1]) / (2 * h)) < 1e-6 * (1 + fabs(slope)));
        cplx *H = dense_of(2 * n, 2 * n), b[2 * n] = {0}, x[2 * n];
        for (int i = 0; i < 2 * n; ++i)
            for (int j = 0; j < 2 * n; ++j) H[i * 2 * n + j] = (i < n) == (j < n) ? 1 : -1;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) {
                const double g = G[i * ld + j];
                H[i * 2 * n + i] += g, H[(n + j) * 2 * n + n + j] += g, H[i * 2 * n + n + j] += g, H[(n + j) * 2 * n + i] += g;
                b[i] += g * W[i * ld + j], b[n + j] += g * W[i * ld + j];
            }
        dense_solve(2 * n, H, b, x);
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) CHECK(fabs(dK[i * ld + j] - G[i * ld + j] * (W[i * ld + j] - creal(x[i]) - creal(x[n + j])) / eta) < 1e-9 / eta);
        /* Sums of rows and columns of G do not change. */
        for (int i = 0; i < n; ++i) {
            double row = 0, column = 0;
            for (int j = 0; j < n; ++j) row += dK[i * ld + j], column += dK[j * ld + i];
            CHECK(fabs(row) < 1e-10 / eta && fabs(column) < 1e-10 / eta);
        }
        free(H), free(K), free(W), free(D);
    }
}

/* Small eta, a swap in pairs, equal entries, huge and tiny ones: G is what was promised, and finite. */
static void test_hard(void) {
    enum { n = 60 };
    double *K = numbers(n * n), *G = need(n * n * 8), *one = need(n * n * 8), u[n], v[n], p[n], q[n];
    for (int kind = 0; kind < 7; ++kind) {
        for (int is_symmetric_k = 0; is_symmetric_k < 2; ++is_symmetric_k)
            for (double eta = 1; eta > 5e-4; eta /= 10) {
                for (int i = 0; i < n; ++i)
                    for (int j = 0; j < n; ++j) {
                        double k = kind == 1 ? i == (j ^ 1) : kind == 2 ? 7 : kind == 4 ? fabs((i - j) / 60.0) : uniform();
                        if (kind == 3) k *= 1e8 * eta;
                        if (kind == 5) k = i == 0 ? 30 * eta : k;
                        if (kind == 6) k = i == j ? -1e3 : k;
                        K[i * n + j] = k;
                    }
                if (is_symmetric_k)
                    for (int i = 0; i < n; ++i)
                        for (int j = 0; j < i; ++j) K[i * n + j] = K[j * n + i];
                const rkn_status rc = rkn_ds_project(NULL, n, K, n, eta, 1e-9, G, n, u, v, 0);
                CHECK(rc == RKN_OK || (kind == 3 && rc == RKN_STOP_STAGNATION));
                /* Exponents of 1e8 have no more digits. */
                if (rc == RKN_OK) CHECK(error_of(n, G) < (kind == 3 ? 1e-7 : 1.1e-9));
                CHECK(is_symmetric_k ? is_symmetric(n, G) : 1);
                for (int e = 0; e < n * n; ++e) CHECK(isfinite(G[e]) && G[e] >= 0);
                if (rc != RKN_OK) continue;
                /* From its own potentials it is there at once; K and the general solver agree on the plan. */
                memcpy(p, u, sizeof p), memcpy(q, v, sizeof q);
                CHECK_OK(rkn_ds_project(NULL, n, K, n, eta, 1e-9, one, n, p, q, 1));
                CHECK(apart(n * n, one, G) < 1e-5);
                if (is_symmetric_k) CHECK(memcmp(one, G, n * n * 8) == 0);
            }
    }
    free(K), free(G), free(one);
}

static void test_threads(void) {
    enum { n = 460, d = 30, m = 200, k = 20 };
    double *K = numbers(n * n), *W = numbers(n * n), *Z = numbers(d * m), *Pi = numbers(m * k), *G[2], *dK[2], *dZ[2], *dPi[2], rate[2];
    for (int i = 0; i < m * k; ++i) Pi[i] = Pi[i] > 0 ? Pi[i] : 0;
    for (int symmetric = 0; symmetric < 2; ++symmetric) {
        if (symmetric)
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < i; ++j) K[i * n + j] = K[j * n + i];
        for (int t = 0; t < 2; ++t) {
            rkn_context *ctx = NULL;
            CHECK_OK(rkn_context_create(&ctx));
            CHECK_OK(rkn_context_set_int(ctx, "threads", t ? 3 : 1));
            G[t] = need(n * n * 8), dK[t] = need(n * n * 8), dZ[t] = need(d * m * 8), dPi[t] = need(m * k * 8);
            CHECK_OK(rkn_ds_project(ctx, n, K, n, 0.175, 1e-9, G[t], n, NULL, NULL, 0));
            CHECK_OK(rkn_ds_project_vjp(ctx, n, 0.175, G[t], n, W, n, dK[t], n));
            CHECK_OK(rkn_coding_rate_clustered(ctx, d, m, k, Z, d, Pi, m, 0.1, &rate[t], dZ[t], d, dPi[t], m));
            rkn_context_destroy(ctx);
        }
        CHECK(memcmp(G[0], G[1], n * n * 8) == 0 && memcmp(dK[0], dK[1], n * n * 8) == 0 && rate[0] == rate[1]);
        CHECK(memcmp(dZ[0], dZ[1], d * m * 8) == 0 && memcmp(dPi[0], dPi[1], m * k * 8) == 0);
        for (int t = 0; t < 2; ++t) free(G[t]), free(dK[t]), free(dZ[t]), free(dPi[t]);
    }
    free(K), free(W), free(Z), free(Pi);
}

/* logdet(I + alpha Z Z^T) by elimination. */
static double logdet(int64_t d, int64_t n, const double *Z, const double *weights, double alpha) {
    double *A = need((size_t)(d * d) * 8), sum = 0;
    for (int64_t i = 0; i < d; ++i)
        for (int64_t j = 0; j < d; ++j) {
            A[i * d + j] = i == j;
            for (int64_t l = 0; l < n; ++l) A[i * d + j] += alpha * Z[i + d * l] * Z[j + d * l] * (weights ? weights[l] : 1);
        }
    for (int64_t k = 0; k < d; ++k) {
        sum += log(A[k * d + k]);
        for (int64_t i = k + 1; i < d; ++i)
            for (int64_t j = d - 1; j >= k; --j) A[i * d + j] -= A[i * d + k] / A[k * d + k] * A[k * d + j];
    }
    free(A);
    return sum;
}
static double clustered(int64_t d, int64_t n, int64_t k, const double *Z, const double *Pi, double eps2) {
    double sum = 0;
    for (int64_t j = 0; j < k; ++j) {
        double mass = 0;
        for (int64_t i = 0; i < n; ++i) mass += Pi[i + n * j];
        if (mass > 0) sum += mass / (double)n * logdet(d, n, Z, Pi + n * j, (double)d / (mass * eps2));
    }
    return sum;
}

/* More samples than features and fewer, clusters large, small and empty: values by elimination, gradients by differences. */
static void test_coding_rates(void) {
    const int64_t shapes[][2] = {{5, 12}, {12, 5}, {1, 4}, {4, 1}, {6, 6}, {40, 70}};
    for (size_t q = 0; q < sizeof shapes / sizeof *shapes; ++q) {
        const int64_t d = shapes[q][0], n = shapes[q][1], k = 4;
        double *Z = numbers((d + 2) * n), *packed = need((size_t)(d * n) * 8), *D = numbers(d * n), *Pi = need((size_t)(n * k) * 8);
        double *dZ = need((size_t)((d + 1) * n) * 8), *dPi = need((size_t)(n * k) * 8), *E = need((size_t)(n * k) * 8), rate, same, slope = 0, found[2];
        const double h = 1e-6, alpha = 0.7;
        for (int64_t i = 0; i < n; ++i) memcpy(packed + i * d, Z + i * (d + 2), (size_t)d * 8);
        /* Cluster 0 has everyone, 1 a few, 2 one, 3 nobody. */
        for (int64_t i = 0; i < n; ++i) Pi[i] = 0.6 + 0.5 * uniform(), Pi[n + i] = i % 3 ? 0 : 0.3 + 0.2 * uniform(), Pi[2 * n + i] = i == n / 2;
        CHECK_OK(rkn_coding_rate(NULL, d, n, Z, d + 2, alpha, &rate, dZ, d + 1));
        CHECK(fabs(rate - logdet(d, n, packed, NULL, alpha)) < 1e-12 * (1 + rate));
        CHECK_OK(rkn_coding_rate(NULL, d, n, Z, d + 2, alpha, &same, NULL, 0));
        CHECK(rate == same);
        for (int64_t i = 0; i < n; ++i) slope += dot(d, dZ + i * (d + 1), D + i * d);
        for (int side = 0; side < 2; ++side) {
            double *moved = need((size_t)(d * n) * 8);
            for (int64_t i = 0; i < d * n; ++i) moved[i] = packed[i] + (side ? -h : h) * D[i];
            found[side] = logdet(d, n, moved, NULL, alpha);
            free(moved);
        }
        CHECK(fabs(slope - (found[0] - found[1]) / (2 * h)) < 1e-7 * (1 + fabs(slope)));

        CHECK_OK(rkn_coding_rate_clustered(NULL, d, n, k, Z, d + 2, Pi, n, 0.3, &rate, dZ, d + 1, dPi, n));
        CHECK(fabs(rate - clustered(d, n, k, packed, Pi, 0.3)) < 1e-12 * (1 + rate));
        CHECK_OK(rkn_coding_rate_clustered(NULL, d, n, k, Z, d + 2, Pi, n, 0.3, &same, NULL, 0, NULL, 0));
        CHECK(rate == same);
        slope = 0;
        for (int64_t i = 0; i < n; ++i) slope += dot(d, dZ + i * (d + 1), D + i * d);
        for (int side = 0; side < 2; ++side) {
            double *moved = need((size_t)(d * n) * 8);
            for (int64_t i = 0; i < d * n; ++i) moved[i] = packed[i] + (side ? -h : h) * D[i];
            found[side] = clustered(d, n, k, moved, Pi, 0.3);
            free(moved);
        }
        CHECK(fabs(slope - (found[0] - found[1]) / (2 * h)) < 1e-7 * (1 + fabs(slope)));
        /* Entries up only where they are zero: from one side. */
        slope = 0;
        for (int64_t i = 0; i < 3 * n; ++i) E[i] = Pi[i] > 0 ? uniform() : 0, slope += E[i] * dPi[i];
        for (int side = 0; side < 2; ++side) {
            double *moved = need((size_t)(n * k) * 8);
            for (int64_t i = 0; i < n * k; ++i) moved[i] = Pi[i] + (side ? -h : h) * E[i];
            found[side] = clustered(d, n, k, packed, moved, 0.3);
            free(moved);
        }
        CHECK(fabs(slope - (found[0] - found[1]) / (2 * h)) < 1e-7 * (1 + fabs(slope)));
        for (int64_t e = 0; e < n * k; e += 3)
            if (Pi[e] == 0) {
                Pi[e] = 1e-9;
                const double up = clustered(d, n, k, packed, Pi, 0.3);
                Pi[e] = 0;
                CHECK(fabs((up - rate) / 1e-9 - dPi[e]) < 1e-4 * (1 + fabs(dPi[e])));
            }
        free(Z), free(packed), free(D), free(Pi), free(dZ), free(dPi), free(E);
    }
}

/* The two together: with N_j free or held at 1 the derivative with respect to K is the same. */
static void test_together(void) {
    enum { n = 9, d = 4 };
    double *Z = numbers(d * n), K[n * n], G[n * n], Gt[n * n], dG[n * n], dK[n * n], held[n * n], dK_held[n * n], rate, h = 1e-5, found[2];
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) K[i * n + j] = dot(d, Z + i * d, Z + j * d);
    CHECK_OK(rkn_ds_project(NULL, n, K, n, 0.175, 1e-13, G, n, NULL, NULL, 0));
    /* G is symmetric: rows are columns. */
    CHECK_OK(rkn_coding_rate_clustered(NULL, d, n, n, Z, d, G, n, 0.1, &rate, NULL, 0, dG, n));
    CHECK_OK(rkn_ds_project_vjp(NULL, n, 0.175, G, n, dG, n, dK, n));
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) held[i + n * j] = dG[i + n * j] + 5 * j - 7 * i;
    CHECK_OK(rkn_ds_project_vjp(NULL, n, 0.175, G, n, held, n, dK_held, n));
    CHECK(apart(n * n, dK_held, dK) < 1e-9);
    for (int side = 0; side < 2; ++side) {
        double moved[n * n];
        memcpy(moved, K, sizeof moved);
        moved[2 * n + 5] += side ? -h : h, moved[5 * n + 2] += side ? -h : h;
        CHECK_OK(rkn_ds_project(NULL, n, moved, n, 0.175, 1e-13, Gt, n, NULL, NULL, 0));
        CHECK_OK(rkn_coding_rate_clustered(NULL, d, n, n, Z, d, Gt, n, 0.1, &found[side], NULL, 0, NULL, 0));
    }
    CHECK(fabs((found[0] - found[1]) / (2 * h) - dK[2 * n + 5] - dK[5 * n + 2]) < 1e-6);
    free(Z);
}

static void test_refusals(void) {
    enum { n = 4 };
    const char *const p = "rkn_ds_project", *const pv = "rkn_ds_project_vjp", *const r = "rkn_coding_rate", *const rc = "rkn_coding_rate_clustered";
    double K[n * n], G[n * n], W[n * n], out[n * n], u[n] = {0}, v[n] = {0}, rate = -7;
    for (int e = 0; e < n * n; ++e) K[e] = uniform(), G[e] = 0.25, W[e] = uniform(), out[e] = -7;
    CHECK_REFUSED(rkn_ds_project(NULL, 0, K, n, 1, 1e-9, out, n, u, v, 0), RKN_ERR_SIZE, p, "n");
    CHECK_REFUSED(rkn_ds_project(NULL, -1, K, n, 1, 1e-9, out, n, u, v, 0), RKN_ERR_SIZE, p, "n");
    CHECK_REFUSED(rkn_ds_project(NULL, n, NULL, n, 1, 1e-9, out, n, u, v, 0), RKN_ERR_NULL, p, "K");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n - 1, 1, 1e-9, out, n, u, v, 0), RKN_ERR_SIZE, p, "ldk");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 0, 1e-9, out, n, u, v, 0), RKN_ERR_ARGUMENT, p, "eta");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, NAN, 1e-9, out, n, u, v, 0), RKN_ERR_ARGUMENT, p, "eta");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, -1e-9, out, n, u, v, 0), RKN_ERR_ARGUMENT, p, "tolerance");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, NAN, out, n, u, v, 0), RKN_ERR_ARGUMENT, p, "tolerance");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, NULL, n, u, v, 0), RKN_ERR_NULL, p, "G");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, out, 2, u, v, 0), RKN_ERR_SIZE, p, "ldg");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, K, n, u, v, 0), RKN_ERR_ARGUMENT, p, "G");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, out, n, u, u, 0), RKN_ERR_ARGUMENT, p, "v");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, out, n, u, v, 2), RKN_ERR_ARGUMENT, p, "start");
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, out, n, u, NULL, 1), RKN_ERR_NULL, p, "v");
    u[2] = INFINITY;
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, out, n, u, v, 1), RKN_ERR_NONFINITE, p, "u");
    K[6] = NAN;
    CHECK_REFUSED(rkn_ds_project(NULL, n, K, n, 1, 1e-9, out, n, u, v, 0), RKN_ERR_NONFINITE, p, "K");
    CHECK_SAYS("row 1 and column 2");
    CHECK_REFUSED(rkn_ds_project((const rkn_context *)(uintptr_t)0x51, n, W, n, 1, 1e-9, out, n, u, v, 0), RKN_ERR_HANDLE, p, "");

    CHECK_REFUSED(rkn_ds_project_vjp(NULL, 0, 1, G, n, W, n, out, n), RKN_ERR_SIZE, pv, "n");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, -1, G, n, W, n, out, n), RKN_ERR_ARGUMENT, pv, "eta");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, NULL, n, W, n, out, n), RKN_ERR_NULL, pv, "G");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, NULL, n, out, n), RKN_ERR_NULL, pv, "W");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, W, n, NULL, n), RKN_ERR_NULL, pv, "dK");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, W, 1, out, n), RKN_ERR_SIZE, pv, "ldw");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, W, n, out, 1), RKN_ERR_SIZE, pv, "lddk");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, W, n, W, n), RKN_ERR_ARGUMENT, pv, "dK");
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, K, n, W, n, out, n), RKN_ERR_NONFINITE, pv, "G");
    G[5] = -0.25;
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, W, n, out, n), RKN_ERR_ARGUMENT, pv, "G");
    for (int j = 0; j < n; ++j) G[n + j] = 0;
    CHECK_REFUSED(rkn_ds_project_vjp(NULL, n, 1, G, n, W, n, out, n), RKN_ERR_ARGUMENT, pv, "G");
    CHECK_SAYS("row 1");

    CHECK_REFUSED(rkn_coding_rate(NULL, 0, n, W, n, 1, &rate, NULL, 0), RKN_ERR_SIZE, r, "d");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, 0, W, n, 1, &rate, NULL, 0), RKN_ERR_SIZE, r, "n");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, n, NULL, n, 1, &rate, NULL, 0), RKN_ERR_NULL, r, "Z");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, n, W, 1, 1, &rate, NULL, 0), RKN_ERR_SIZE, r, "ldz");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, n, W, n, -1, &rate, NULL, 0), RKN_ERR_ARGUMENT, r, "alpha");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, n, W, n, INFINITY, &rate, NULL, 0), RKN_ERR_ARGUMENT, r, "alpha");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, n, K, n, 1, &rate, NULL, 0), RKN_ERR_NONFINITE, r, "Z");
    CHECK_REFUSED(rkn_coding_rate(NULL, n, n, W, n, 1, &rate, W, n), RKN_ERR_ARGUMENT, r, "dZ");
    const double huge[2] = {1e200, -1e200}, half[2] = {0.5, 0.5};
    CHECK_REFUSED(rkn_coding_rate(NULL, 1, 2, huge, 1, 1, &rate, out, 1), RKN_ERR_NONFINITE, r, "");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 1, 2, 1, half, 1, huge, 2, 1, &rate, out, 1, NULL, 0), RKN_ERR_ARGUMENT, rc, "Pi");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 1, 2, 1, huge, 1, half, 2, 1, &rate, out, 1, NULL, 0), RKN_ERR_NONFINITE, rc, "");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 2, 2, 0, W, 2, half, 2, 1, &rate, NULL, 0, NULL, 0), RKN_ERR_SIZE, rc, "k");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 2, 2, 1, W, 2, NULL, 2, 1, &rate, NULL, 0, NULL, 0), RKN_ERR_NULL, rc, "Pi");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 2, 2, 1, W, 2, half, 1, 1, &rate, NULL, 0, NULL, 0), RKN_ERR_SIZE, rc, "ldpi");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 2, 2, 1, W, 2, half, 2, 0, &rate, NULL, 0, NULL, 0), RKN_ERR_ARGUMENT, rc, "eps2");
    CHECK_REFUSED(rkn_coding_rate_clustered(NULL, 2, 2, 1, W, 2, half, 2, 1, &rate, out, 2, out + 1, 2), RKN_ERR_ARGUMENT, rc, "dPi");
    CHECK(rate == -7);
    for (int e = 0; e < n * n; ++e) CHECK(out[e] == -7);
}

int main(void) {
    test_closed_forms();
    test_published_figures();
    test_derivative();
    test_hard();
    test_threads();
    test_coding_rates();
    test_together();
    test_refusals();
    return done();
}
