/* Optimal transport beyond the plan: bounds of the exact cost, partial transport, divergences, entropies, saved states. The truth
   is brute force, closed forms, and figures of POT 0.9.7 (Python) for problems that are made here again. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)

enum { ROW_MAJOR, COLUMN_MAJOR, PATTERN, ROWS, LAYOUTS };

static rkn_sinkhorn *solver(const char *method, const char *options) {
    rkn_sinkhorn *s = NULL;
    CHECK_OK(rkn_sinkhorn_create(NULL, method, &s));
    CHECK_OK(rkn_sinkhorn_set_options(s, options));
    return s;
}
static double real_of(const rkn_sinkhorn *s, const char *key) {
    double v = NAN;
    CHECK_OK(rkn_sinkhorn_get_real(s, key, &v));
    return v;
}
static double unit(void) { return 0.5 * (uniform() + 1); }
static void masses(int64_t n, double *a) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] = 0.2 + unit();
    for (int64_t i = 0; i < n; ++i) a[i] /= sum;
}
static void same(int64_t n, double *a, double value) {
    for (int64_t i = 0; i < n; ++i) a[i] = value;
}

static int32_t row_of(void *user, int64_t i, int64_t m, double *row) {
    memcpy(row, (const double *)user + i * m, (size_t)m * 8);
    return 0;
}
static int32_t no_row(void *user, int64_t i, int64_t m, double *row) {
    for (int64_t j = 0; j < m; ++j) row[j] = (double)(i + j);
    return *(int *)user ? 17 : 0;
}
/* C by rows, infinite where forbidden (then a pattern whatever the layout), as a geometry of some kind. C must stay. */
static rkn_geometry *geometry(int layout, const double *C, int64_t n, int64_t m) {
    rkn_geometry *G = NULL;
    int64_t entries = 0, *ptr = need((size_t)(n + 1) * 8), *ind = need((size_t)(n * m) * 8);
    double *v = need((size_t)(n * m) * 8);
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < m; ++j)
            if (isfinite(C[i * m + j])) ind[entries] = j, v[entries++] = C[i * m + j];
        ptr[i + 1] = entries;
    }
    if (layout == PATTERN || entries < n * m) {
        CHECK_OK(rkn_geometry_create_sparse(NULL, n, m, RKN_I64, 0, ptr, ind, v, &G));
    } else if (layout == COLUMN_MAJOR) {
        for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < m; ++j) v[j * n + i] = C[i * m + j];
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, RKN_COLUMN_MAJOR, v, n, RKN_COPY, &G));
    } else if (layout == ROWS) {
        CHECK_OK(rkn_geometry_create_callback(NULL, n, m, row_of, (void *)(uintptr_t)C, NULL, &G));
    } else {
        CHECK_OK(rkn_geometry_create_matrix(NULL, RKN_F64, n, m, RKN_ROW_MAJOR, C, m, RKN_BORROW, &G));
    }
    free(ptr), free(ind), free(v);
    return G;
}

/* The least cost of a matching, over all n! of them. */
static double matching(const double *C, int n, int row, unsigned taken) {
    double best = INFINITY;
    if (row == n) return 0;
    for (int j = 0; j < n; ++j)
        if (!(taken >> j & 1)) best = fmin(best, C[row * n + j] + matching(C, n, row + 1, taken | 1u << j));
    return best;
}
/* The least cost of moving `left` units, whole ones, over all ways; the cells from k on. */
static double moving(const double *C, int n, int m, int k, int *a, int *b, int left) {
    if (left == 0) return 0;
    if (k == n * m) return INFINITY;
    double best = moving(C, n, m, k + 1, a, b, left);
    int *from = &a[k / m], *to = &b[k % m];
    for (int units = 1; isfinite(C[k]) && units <= left && units <= *from && units <= *to; ++units) {
        *from -= units, *to -= units;
        best = fmin(best, units * C[k] + moving(C, n, m, k + 1, a, b, left - units));
        *from += units, *to += units;
    }
    return best;
}

/* 30 x 40 costs without a pattern (kind 0), squared distances (1), distances (2) of points of the plane; masses of one. */
enum { N = 30, M = 40 };
static struct {
    double C[N * M], a[N], b[M], x[2 * N], y[2 * M];
} peer;
static void make_peer(int kind) {
    random_state = 100 + (uint64_t)kind;
    masses(N, peer.a), masses(M, peer.b);
    if (kind == 0) {
        for (int k = 0; k < N * M; ++k) peer.C[k] = unit();
        return;
    }
    for (int k = 0; k < 2 * N; ++k) peer.x[k] = unit();
    for (int k = 0; k < 2 * M; ++k) peer.y[k] = unit();
    for (int i = 0; i < N; ++i)
        for (int j = 0; j < M; ++j) {
            const double dx = peer.x[2 * i] - peer.y[2 * j], dy = peer.x[2 * i + 1] - peer.y[2 * j + 1];
            peer.C[i * M + j] = kind == 1 ? dx * dx + dy * dy : sqrt(dx * dx + dy * dy);
        }
}
/* ot.emd2(a, b, C) */
static const double emd[3] = {0.058268284061693341, 0.075280935860367673, 0.21686377832755466};

/* The bounds contain the exact cost; the rounded plan has the marginals, no negative entry, and costs the upper bound. */
static void check_bracket(rkn_sinkhorn *s, const double *C, int64_t n, int64_t m, const double *a, const double *b, double exact, double most) {
    double lower = NAN, upper = NAN, mass = 0;
    for (int64_t i = 0; i < n; ++i) mass += a[i];
    const double slack = 1e-13 * mass * most;
    CHECK_OK(rkn_sinkhorn_bracket(s, &lower, &upper));
    CHECK(lower <= exact + slack && upper >= exact - slack);
    CHECK(real_of(s, "lower_bound") == lower && real_of(s, "upper_bound") == upper);
    double *x = need((size_t)n * 8), *u = need((size_t)n * 8), *P = need((size_t)(n * m) * 8);
    double *y = need((size_t)m * 8), *v = need((size_t)m * 8), *columns = need((size_t)m * 8);
    CHECK_OK(rkn_sinkhorn_round(s, x, y, u, v));
    CHECK_OK(rkn_sinkhorn_plan_rows(s, 0, n, P, m));
    double off = 0, cost = 0, least = 0, sum = 0;
    int scales = 1;
    for (int64_t i = 0; i < n; ++i) {
        double row = 0;
        scales = scales && x[i] >= 0 && x[i] <= 1;
        for (int64_t j = 0; j < m; ++j) {
            const double c = C[i * m + j], p = x[i] * P[i * m + j] * y[j] + u[i] * v[j];
            row += p, columns[j] += p, least = fmin(least, p);
            cost += p == 0 ? 0 : p * c;
        }
        off = fmax(off, fabs(row - a[i]));
    }
    for (int64_t j = 0; j < m; ++j) {
        off = fmax(off, fabs(columns[j] - b[j]));
        scales = scales && y[j] >= 0 && y[j] <= 1;
        sum += v[j];
    }
    CHECK(off <= 1e-14 * mass);
    CHECK(least >= 0 && scales && (sum == 0 || fabs(sum - 1) < 1e-14));
    CHECK(cost == upper || fabs(cost - upper) <= slack);
    free(x), free(u), free(P), free(y), free(v), free(columns);
}

static void test_bracket(void) {
    static const double epsilons[] = {1, 0.1, 1e-2, 1e-3, 1e-4};
    static const char *const methods[] = {"auto", "sinkhorn", "sns"};
    random_state = 11;
    for (int n = 1; n <= 7; ++n) {
        double C[49], a[7];
        for (int k = 0; k < n * n; ++k) C[k] = uniform();          /* of both signs */
        same(n, a, 3.0 / n);
        const double exact = 3.0 / n * matching(C, n, 0, 0);
        for (int layout = 0; layout < LAYOUTS; ++layout)
            for (int e = 0; e < 5; ++e) {
                rkn_geometry *G = geometry(layout, C, n, n);
                rkn_sinkhorn *s = solver(methods[e < 2 ? (n + layout) % 3 : 0], e < 2 ? "tolerance=1e-3" : "tolerance=1e-9");
                CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilons[e]));
                CHECK(isnan(real_of(s, "lower_bound")));
                CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
                check_bracket(s, C, n, n, a, a, exact, 1);
                rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
            }
    }
    /* other masses, more columns than rows, points without mass, a solve that was cut short */
    for (int kind = 0; kind < 3; ++kind)
        for (int layout = 0; layout < LAYOUTS; ++layout) {
            double gap = INFINITY, lower, upper;
            make_peer(kind);
            rkn_geometry *G = geometry(layout, peer.C, N, M);
            rkn_sinkhorn *s = solver("auto", "tolerance=1e-8");
            for (int e = 1; e < 5; ++e) {
                CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilons[e]));
                CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
                check_bracket(s, peer.C, N, M, peer.a, peer.b, emd[kind], 1.5);
                CHECK_OK(rkn_sinkhorn_bracket(s, &lower, NULL));
                CHECK_OK(rkn_sinkhorn_bracket(s, NULL, &upper));
                CHECK(upper - lower < gap && upper - lower < 4 * epsilons[e]);
                gap = upper - lower;
            }
            CHECK_OK(rkn_sinkhorn_forget(s));
            CHECK_OK(rkn_sinkhorn_set_int(s, "max_passes", 3));
            CHECK_STATUS(rkn_sinkhorn_solve(s, G, peer.a, peer.b), RKN_STOP_ITERATIONS);
            check_bracket(s, peer.C, N, M, peer.a, peer.b, emd[kind], 1.5);
            rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
        }
    for (int layout = 0; layout < LAYOUTS; ++layout) {
        double C[12], a[3] = {0.5, 0, 0.5}, b[4] = {0, 0.25, 0.25, 0.5};
        for (int k = 0; k < 12; ++k) C[k] = unit();
        int whole[3] = {2, 0, 2}, parts[4] = {0, 1, 1, 2};
        rkn_geometry *G = geometry(layout, C, 3, 4);
        rkn_sinkhorn *s = solver("auto", "epsilon=0.02");
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
        check_bracket(s, C, 3, 4, a, b, moving(C, 3, 4, 0, whole, parts, 4) / 4, 1);
        rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
    }
}

/* Forbidden entries: the lower bound holds; the upper one too, and is infinite where rounding would need one of them. */
static void test_forbidden(void) {
    double C[16], a[4];
    for (int k = 0; k < 16; ++k) C[k] = (k / 4 + 3 - k % 4) % 4 == 0 ? INFINITY : unit();
    same(4, a, 0.25);
    const double exact = matching(C, 4, 0, 0) / 4;
    rkn_geometry *G = geometry(PATTERN, C, 4, 4);
    for (double epsilon = 1; epsilon > 5e-4; epsilon /= 10) {
        double lower, upper;
        rkn_sinkhorn *s = solver("auto", "tolerance=1e-12");
        CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
        CHECK_OK(rkn_sinkhorn_bracket(s, &lower, &upper));
        CHECK(lower <= exact + 1e-13 && lower > exact - 3 * epsilon && upper >= exact - 1e-13);
        rkn_sinkhorn_destroy(s);
    }
    rkn_sinkhorn *s = solver("auto", "target_gap=1e-3");
    CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, a), RKN_ERR_UNSUPPORTED);
    CHECK_SAYS("'target_gap'");
    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
}

static int ascending(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}
/* After a solve with "target_gap": bounds as close as asked, about the exact cost. */
static void check_gap(const rkn_sinkhorn *s, double target, double exact) {
    const double lower = real_of(s, "lower_bound"), upper = real_of(s, "upper_bound"), slack = 1e-13 * (1 + fabs(exact));
    CHECK(upper - lower <= target * fabs(upper));
    CHECK(lower <= exact + slack && upper >= exact - slack);
}
static void test_target_gap(void) {
    enum { K = 60 };
    double x[K], y[K], a[K], exact = 0;
    for (int t = 0; t < 2; ++t) {
        const char *const options = t ? "target_gap=1e-6" : "target_gap=1e-3";
        const double target = t ? 1e-6 : 1e-3;
        for (int kind = 0; kind < 3; ++kind)
            for (int layout = 0; layout < LAYOUTS; ++layout) {
                make_peer(kind);
                rkn_geometry *G = geometry(layout, peer.C, N, M);
                rkn_sinkhorn *s = solver("auto", options);
                CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
                check_gap(s, target, emd[kind]);
                /* masses of seven, from where the last walk ended */
                for (int i = 0; i < N; ++i) peer.a[i] *= 7;
                for (int j = 0; j < M; ++j) peer.b[j] *= 7;
                CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
                check_gap(s, target, 7 * emd[kind]);
                rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
            }
        /* sorted points on a line are matched in order */
        random_state = 3, exact = 0;
        for (int i = 0; i < K; ++i) x[i] = unit() + 1e-4 * unit(), y[i] = unit() * unit();
        same(K, a, 1.0 / K);
        rkn_geometry *G = NULL;
        CHECK_OK(rkn_geometry_create_points(NULL, 1, K, x, 1, K, y, 1, 2, 2, NULL, NULL, &G));
        qsort(x, K, sizeof *x, ascending), qsort(y, K, sizeof *y, ascending);
        for (int i = 0; i < K; ++i) exact += (x[i] - y[i]) * (x[i] - y[i]) / K;
        rkn_sinkhorn *s = solver("auto", options);
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
        check_gap(s, target, exact);
        CHECK(real_of(s, "epsilon_used") < 1e-2 && real_of(s, "marginal_error") < 2e-3);
        CHECK_OK(rkn_sinkhorn_set_int(s, "max_passes", 2));
        CHECK_OK(rkn_sinkhorn_forget(s));
        CHECK_STATUS(rkn_sinkhorn_solve(s, G, a, a), RKN_STOP_ITERATIONS);
        CHECK(real_of(s, "lower_bound") <= exact && real_of(s, "upper_bound") >= exact);
        rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
    }
    /* one point; costs that are negative; nothing to move, where no share of the cost can be met */
    const double C[1] = {-2.5}, one[1] = {4};
    rkn_geometry *G = geometry(ROW_MAJOR, C, 1, 1);
    rkn_sinkhorn *s = solver("auto", "target_gap=1e-6");
    CHECK_OK(rkn_sinkhorn_solve(s, G, one, one));
    check_gap(s, 1e-6, -10);
    rkn_geometry_destroy(G);
    make_peer(1);
    for (int k = 0; k < N * M; ++k) peer.C[k] -= 5;
    G = geometry(ROW_MAJOR, peer.C, N, M);
    CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
    check_gap(s, 1e-6, emd[1] - 5);
    rkn_geometry_destroy(G);
    CHECK_OK(rkn_geometry_create_points(NULL, 1, K, x, 1, K, x, 1, 2, 2, NULL, NULL, &G));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, a));
    CHECK(real_of(s, "upper_bound") < 1e-13 && real_of(s, "lower_bound") > -1e-13);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

/* Rows and columns of the plan stay within the masses, and add up to what is to be moved. Its cost is handed back. */
static double check_partial(const rkn_sinkhorn *s, const double *C, int64_t n, int64_t m, const double *a, const double *b, double moved, double tolerance) {
    double *P = need((size_t)(n * m) * 8), *columns = need((size_t)m * 8), sum = 0, cost = 0, above = 0;
    CHECK_OK(rkn_sinkhorn_plan_rows(s, 0, n, P, m));
    for (int64_t i = 0; i < n; ++i) {
        double row = 0;
        for (int64_t j = 0; j < m; ++j) {
            const double p = P[i * m + j];
            row += p, columns[j] += p;
            cost += p == 0 ? 0 : p * C[i * m + j];
        }
        above = fmax(above, row - a[i]), sum += row;
    }
    for (int64_t j = 0; j < m; ++j) above = fmax(above, columns[j] - b[j]);
    CHECK(fabs(sum - moved) <= tolerance && above <= tolerance);
    CHECK(fabs(real_of(s, "cost") - cost) <= tolerance);
    free(P), free(columns);
    return cost;
}
static void test_partial(void) {
    /* ot.partial.partial_wasserstein(a, b, C, m) for m of 0.3 and 0.7, and (2 a, b, C, 0.8): sum P C */
    static const double pot[3][3] = {{0.002176144435804426, 0.018754124851164369, 0.020995967206270533},
                                     {0.00049772012045109788, 0.0099669152490460822, 0.0091394939006491371},
                                     {0.011961567106825909, 0.062282009457321756, 0.066482796750069559}};
    static const double moved[3] = {0.3, 0.7, 0.8};
    for (int kind = 0; kind < 3; ++kind)
        for (int layout = 0; layout < LAYOUTS; ++layout)
            for (int k = 0; k < 3; ++k) {
                make_peer(kind);
                for (int i = 0; k == 2 && i < N; ++i) peer.a[i] *= 2;
                rkn_geometry *G = geometry(layout, peer.C, N, M);
                rkn_sinkhorn *s = solver("auto", "epsilon=1e-4 tolerance=1e-9");
                CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", moved[k]));
                CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
                const double cost = check_partial(s, peer.C, N, M, peer.a, peer.b, moved[k], 5e-9);
                CHECK(cost > pot[kind][k] - 1e-8 && cost < pot[kind][k] + 2e-4);
                CHECK_REFUSED(rkn_sinkhorn_bracket(s, NULL, NULL), RKN_ERR_STATE, "rkn_sinkhorn_bracket", "");
                CHECK_REFUSED(rkn_sinkhorn_round(s, peer.x, peer.y, peer.x, peer.y), RKN_ERR_STATE, "rkn_sinkhorn_round", "");
                /* closing the gap needs an upper bound, which a pattern does not have */
                CHECK_OK(rkn_sinkhorn_set_options(s, "target_gap=1e-3"));
                if (layout == PATTERN) {
                    CHECK_STATUS(rkn_sinkhorn_solve(s, G, peer.a, peer.b), RKN_ERR_UNSUPPORTED);
                } else {
                    CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
                    check_gap(s, 1e-3, pot[kind][k]);
                }
                rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
            }
    /* whole masses on few points, costs of both signs and far from one, some forbidden; blur larger than any cost too */
    random_state = 21;
    for (int trial = 0; trial < 24; ++trial) {
        double C[12], a[3], b[4];
        int whole[3], parts[4], total = 0, room = 0;
        const double scale = trial % 3 == 0 ? 1 : trial % 3 == 1 ? 1e-5 : 1e4;
        for (int i = 0; i < 3; ++i) a[i] = whole[i] = 1 + (int)(3 * unit()), total += whole[i];
        for (int j = 0; j < 4; ++j) b[j] = parts[j] = (int)(4 * unit()), room += parts[j];
        for (int k = 0; k < 12; ++k) C[k] = scale * (trial % 2 ? uniform() : unit());
        if (trial >= 12) C[1] = C[6] = INFINITY;
        const int most = total < room ? total : room, units = 1 + (int)((most - 1) * unit());
        if (room == 0) continue;
        const double exact = moving(C, 3, 4, 0, whole, parts, units);
        if (!isfinite(exact)) continue;
        for (int layout = 0; layout < LAYOUTS; ++layout) {
            rkn_geometry *G = geometry(layout, C, 3, 4);
            rkn_sinkhorn *s = solver("auto", "tolerance=1e-8");
            CHECK_OK(rkn_sinkhorn_set_int(s, "transported_mass", units));
            for (double epsilon = 10 * scale; epsilon > 0.5e-3 * scale; epsilon /= 100) {
                CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
                CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
                const double cost = check_partial(s, C, 3, 4, a, b, units, 2e-7 * fmax(scale, 1));
                CHECK(cost > exact - 2e-7 * scale && cost < exact + 30 * epsilon);
            }
            rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
        }
    }
    /* much less moves than there is: all of it goes where that is cheapest */
    for (int layout = 0; layout < LAYOUTS; ++layout)
        for (int side = 0; side < 2; ++side) {
            static double plenty[M], little[N];
            make_peer(1);
            double least = INFINITY;
            for (int k = 0; k < N * M; ++k) least = fmin(least, peer.C[k]);
            same(N, little, side ? 1 : 1.0 / N), same(M, plenty, side ? 1.0 / M : 1);
            rkn_geometry *G = geometry(layout, peer.C, N, M);
            rkn_sinkhorn *s = solver("auto", "epsilon=1e-4 tolerance=1e-8 transported_mass=0.01");
            CHECK_OK(rkn_sinkhorn_solve(s, G, little, plenty));
            const double cost = check_partial(s, peer.C, N, M, little, plenty, 0.01, 1e-6);
            CHECK(cost < 0.01 * least + 1e-5);
            if (layout != PATTERN) {
                CHECK_OK(rkn_sinkhorn_set_options(s, "target_gap=1e-2"));
                CHECK_OK(rkn_sinkhorn_solve(s, G, little, plenty));
                check_gap(s, 1e-2, 0.01 * least);
            }
            rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
        }
    /* costs of nothing: the mass moves all the same; one point */
    double C[6] = {0}, a[2] = {1, 2}, b[3] = {0.5, 0.5, 0.5};
    rkn_geometry *G = geometry(ROW_MAJOR, C, 2, 3);
    rkn_sinkhorn *s = solver("auto", "transported_mass=1.25 tolerance=1e-9");
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    check_partial(s, C, 2, 3, a, b, 1.25, 1e-8);
    CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", 1.6));
    CHECK_REFUSED(rkn_sinkhorn_solve(s, G, a, b), RKN_ERR_ARGUMENT, "rkn_sinkhorn_solve", "transported_mass");
    /* all of the smaller side */
    CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", 1.5));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    check_partial(s, C, 2, 3, a, b, 1.5, 1e-8);
    CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", 0));
    CHECK_REFUSED(rkn_sinkhorn_solve(s, G, a, b), RKN_ERR_ARGUMENT, "rkn_sinkhorn_solve", "b");
    rkn_geometry_destroy(G);
    const double cost[1] = {2}, from[1] = {3}, to[1] = {5};
    G = geometry(COLUMN_MAJOR, cost, 1, 1);
    CHECK_OK(rkn_sinkhorn_set_options(s, "transported_mass=1"));
    CHECK_OK(rkn_sinkhorn_solve(s, G, from, to));
    CHECK(fabs(check_partial(s, cost, 1, 1, from, to, 1, 1e-8) - 2) < 1e-8);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

static rkn_geometry *cloud(int64_t n, const double *x, int64_t m, const double *y) {
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_points(NULL, 2, n, x, 2, m, y, 2, 2, 2, NULL, NULL, &G));
    return G;
}
static double divergence(rkn_sinkhorn *s, const rkn_geometry *G, const rkn_geometry *Ga, const rkn_geometry *Gb, const double *a, const double *b) {
    double value = NAN;
    CHECK_OK(rkn_sinkhorn_divergence(s, G, Ga, Gb, a, b, &value));
    return value;
}
static void test_divergence(void) {
    make_peer(1);
    rkn_geometry *G = cloud(N, peer.x, M, peer.y), *Ga = cloud(N, peer.x, N, peer.x), *Gb = cloud(M, peer.y, M, peer.y);
    rkn_geometry *Gt = geometry(COLUMN_MAJOR, peer.C, N, M);
    /* V(a, b) - V(a, a) / 2 - V(b, b) / 2 with V = sum P C + epsilon sum P log(P / (a b)), P = ot.sinkhorn(a, b, C, epsilon,
       method='sinkhorn_log', stopThr=1e-14); ot.bregman.empirical_sinkhorn_divergence takes V = sum P C instead */
    static const double epsilons[2] = {0.05, 0.01}, pot[2] = {0.062758963286209182, 0.071188867704427228};
    for (int e = 0; e < 2; ++e)
        for (int product = 0; product < 2; ++product) {
            rkn_sinkhorn *s = solver("auto", product ? "tolerance=1e-11 entropy=product" : "tolerance=1e-11");
            CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilons[e]));
            CHECK(fabs(divergence(s, G, Ga, Gb, peer.a, peer.b) - pot[e]) < 1e-10);
            /* the plan is there, and the bounds of what it says */
            double lower, upper, f[N];
            CHECK_OK(rkn_sinkhorn_potentials(s, f, NULL));
            CHECK_OK(rkn_sinkhorn_bracket(s, &lower, &upper));
            CHECK(lower <= emd[1] && upper >= emd[1]);
            CHECK(fabs(divergence(s, Gt, Ga, Gb, peer.a, peer.b) - pot[e]) < 1e-10);
            /* the other way round, through C^T */
            static double T[N * M];
            for (int i = 0; i < N; ++i)
                for (int j = 0; j < M; ++j) T[j * N + i] = peer.C[i * M + j];
            rkn_geometry *back = geometry(ROW_MAJOR, T, M, N);
            CHECK(fabs(divergence(s, back, Gb, Ga, peer.b, peer.a) - pot[e]) < 1e-10);
            rkn_geometry_destroy(back);
            /* all masses times five: so is the divergence */
            double a[N], b[M];
            for (int i = 0; i < N; ++i) a[i] = 5 * peer.a[i];
            for (int j = 0; j < M; ++j) b[j] = 5 * peer.b[j];
            CHECK(fabs(divergence(s, G, Ga, Gb, a, b) - 5 * pot[e]) < 1e-9);
            rkn_sinkhorn_destroy(s);
        }
    /* none of masses that are the same, whatever the blur, on one handle */
    for (double epsilon = 1; epsilon > 5e-4; epsilon /= 10) {
        rkn_sinkhorn *s = solver("auto", "tolerance=1e-13");
        CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
        CHECK(fabs(divergence(s, Ga, Ga, Ga, peer.a, peer.a)) < 1e-12);
        rkn_sinkhorn_destroy(s);
    }
    /* two Diracs: the cost between them, for to stay costs nothing */
    const double x[2] = {0, 0}, y[2] = {0.3, 0.4}, one[1] = {2};
    rkn_geometry *between = cloud(1, x, 1, y), *here = cloud(1, x, 1, x), *there = cloud(1, y, 1, y);
    rkn_sinkhorn *s = solver("auto", "epsilon=0.1");
    CHECK(fabs(divergence(s, between, here, there, one, one) - 2 * 0.25) < 1e-14);
    rkn_sinkhorn_destroy(s);
    /* a target that stays is solved once, however many sources come; new masses, epsilon or a closer tolerance solve anew */
    double passes[5], plain[5];
    s = solver("sinkhorn", "epsilon=0.05 tolerance=1e-9 start=zero");
    rkn_sinkhorn *other = solver("sinkhorn", "epsilon=0.05 tolerance=1e-9 start=zero");
    for (int step = 0; step < 5; ++step) {
        double a[N];
        masses(N, a);
        divergence(s, G, Ga, Gb, a, peer.b);
        CHECK_OK(rkn_sinkhorn_solve(other, G, a, peer.b));
        passes[step] = real_of(s, "passes"), plain[step] = real_of(other, "passes");
        CHECK(real_of(s, "cost") == real_of(other, "cost") && real_of(s, "dual") == real_of(other, "dual"));
    }
    const double once = passes[0] - plain[0];
    CHECK(once > 2);
    for (int step = 1; step < 5; ++step) CHECK(passes[step] - plain[step] < 0.8 * once);
    double a[N];
    masses(N, a);
    divergence(s, G, Ga, Gb, a, peer.b);
    divergence(s, G, Ga, Gb, a, peer.b);
    CHECK_OK(rkn_sinkhorn_solve(other, G, a, peer.b));
    CHECK(real_of(s, "passes") == real_of(other, "passes"));
    CHECK_OK(rkn_sinkhorn_set_real(s, "tolerance", 1e-10));
    CHECK_OK(rkn_sinkhorn_set_real(other, "tolerance", 1e-10));
    divergence(s, G, Ga, Gb, a, peer.b);
    CHECK_OK(rkn_sinkhorn_solve(other, G, a, peer.b));
    CHECK(real_of(s, "passes") > real_of(other, "passes"));
    rkn_sinkhorn_destroy(other);

    /* what is refused, with the value as it was; a self term that is cut short, with the plan there */
    double value = -7;
    const char *const name = "rkn_sinkhorn_divergence";
    CHECK_REFUSED(rkn_sinkhorn_divergence(NULL, G, Ga, Gb, a, peer.b, &value), RKN_ERR_NULL, name, "s");
    CHECK_REFUSED(rkn_sinkhorn_divergence(GARBAGE, G, Ga, Gb, a, peer.b, &value), RKN_ERR_HANDLE, name, "s");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, NULL, Ga, Gb, a, peer.b, &value), RKN_ERR_NULL, name, "G");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, NULL, Gb, a, peer.b, &value), RKN_ERR_NULL, name, "Ga");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, NULL, a, peer.b, &value), RKN_ERR_NULL, name, "Gb");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Gb, Gb, a, peer.b, &value), RKN_ERR_SIZE, name, "Ga");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, G, a, peer.b, &value), RKN_ERR_SIZE, name, "Gb");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, NULL, peer.b, &value), RKN_ERR_NULL, name, "a");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, a, NULL, &value), RKN_ERR_NULL, name, "b");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, a, peer.b, NULL), RKN_ERR_NULL, name, "value");
    a[3] = -1;
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, a, peer.b, &value), RKN_ERR_ARGUMENT, name, "a");
    a[3] = NAN;
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, a, peer.b, &value), RKN_ERR_NONFINITE, name, "a");
    a[3] = 100;
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, a, peer.b, &value), RKN_ERR_ARGUMENT, name, "b");
    CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", 0.5));
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, peer.a, peer.b, &value), RKN_ERR_STATE, name, "transported_mass");
    rkn_sinkhorn_destroy(s);
    s = solver("auto", "target_gap=1e-3");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, Ga, Gb, peer.a, peer.b, &value), RKN_ERR_STATE, name, "target_gap");
    rkn_sinkhorn_destroy(s);
    int broken = 1;
    rkn_geometry *R = NULL;
    CHECK_OK(rkn_geometry_create_callback(NULL, N, N, no_row, &broken, NULL, &R));
    s = solver("auto", "");
    CHECK_REFUSED(rkn_sinkhorn_divergence(s, G, R, Gb, peer.a, peer.b, &value), RKN_ERR_CALLBACK, name, "");
    rkn_geometry_destroy(R);
    /* to stay is not allowed, nor to go to others */
    double D[N * N], f[N];
    for (int k = 0; k < N * N; ++k) D[k] = k / N == 4 || k % N == 4 ? INFINITY : 1;
    R = geometry(PATTERN, D, N, N);
    CHECK_OK(rkn_sinkhorn_forget(s));
    CHECK_STATUS(rkn_sinkhorn_divergence(s, G, R, Gb, peer.a, peer.b, &value), RKN_STOP_INFEASIBLE);
    CHECK_STATUS(rkn_sinkhorn_potentials(s, f, NULL), RKN_ERR_STATE);
    rkn_geometry_destroy(R);
    rkn_sinkhorn_destroy(s);
    for (int limit = 1; limit < 25; limit += 3) {
        s = solver("auto", "epsilon=1e-3 tolerance=1e-9");
        CHECK_OK(rkn_sinkhorn_set_int(s, "max_passes", limit));
        CHECK_STATUS(rkn_sinkhorn_divergence(s, G, Ga, Gb, peer.a, peer.b, &value), RKN_STOP_ITERATIONS);
        CHECK_OK(rkn_sinkhorn_potentials(s, f, NULL));
        rkn_sinkhorn_destroy(s);
    }
    CHECK(value == -7);
    rkn_geometry_destroy(G), rkn_geometry_destroy(Ga), rkn_geometry_destroy(Gb), rkn_geometry_destroy(Gt);
    rkn_geometry_destroy(between), rkn_geometry_destroy(here), rkn_geometry_destroy(there);
}

/* The entropy relative to the product of the masses: only the values differ, and are those of the plan. */
static void test_entropy(void) {
    make_peer(1);
    for (int layout = 0; layout < LAYOUTS; ++layout)
        for (int mass = 1; mass < 8; mass += 3) {
            static double a[N], b[M], P[N * M];
            for (int i = 0; i < N; ++i) a[i] = mass * peer.a[i];
            for (int j = 0; j < M; ++j) b[j] = mass * peer.b[j];
            a[0] += a[7], a[7] = 0;
            rkn_geometry *G = geometry(layout, peer.C, N, M);
            rkn_sinkhorn *s = solver("auto", "epsilon=0.05 tolerance=1e-12 entropy=product"), *t = solver("auto", "epsilon=0.05 tolerance=1e-12");
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
            CHECK_OK(rkn_sinkhorn_solve(t, G, a, b));
            CHECK_OK(rkn_sinkhorn_plan_rows(s, 0, N, P, M));
            double product = 0, counting = 0;
            for (int i = 0; i < N; ++i)
                for (int j = 0; j < M; ++j) {
                    const double p = P[i * M + j], ab = a[i] * b[j], c = peer.C[i * M + j];
                    product += p == 0 ? 0.05 * ab : c * p + 0.05 * (p * log(p / ab) - p + ab);
                    counting += p == 0 ? 0 : c * p + 0.05 * p * (log(p) - 1);
                }
            CHECK(fabs(real_of(s, "primal") - product) < 1e-10 * mass && fabs(real_of(s, "dual") - product) < 1e-10 * mass);
            CHECK(fabs(real_of(t, "primal") - counting) < 1e-10 * mass && fabs(real_of(t, "dual") - counting) < 1e-10 * mass);
            CHECK(real_of(s, "cost") == real_of(t, "cost"));
            rkn_sinkhorn_destroy(s), rkn_sinkhorn_destroy(t), rkn_geometry_destroy(G);
        }
    /* sum P C + epsilon sum P log(P / (a b)) of POT's plan, as in test_divergence */
    rkn_geometry *G = geometry(ROW_MAJOR, peer.C, N, M);
    rkn_sinkhorn *s = solver("auto", "epsilon=0.05 tolerance=1e-12 entropy=product");
    CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
    CHECK(fabs(real_of(s, "primal") - 0.15526392915534648) < 1e-12);
    CHECK_STATUS(rkn_sinkhorn_set_string(s, "entropy", "relative"), RKN_ERR_ARGUMENT);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

static double epsilon_of_median(const rkn_geometry *G, int64_t n, int64_t m) {
    double *a = need((size_t)n * 8), *b = need((size_t)m * 8);
    same(n, a, 1.0 / (double)n), same(m, b, 1.0 / (double)m);
    rkn_sinkhorn *s = solver("auto", "epsilon=2 epsilon_relative=median tolerance=1e-3");
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    const double epsilon = real_of(s, "epsilon_used");
    rkn_sinkhorn_destroy(s);
    free(a), free(b);
    return epsilon;
}
static void test_median(void) {
    /* numpy.median of the even number of costs, and of the odd one of the first 29 x 39 of them */
    static const double numpy[2] = {0.22887873649597168, 0.23366212844848633};
    static double C[(N - 1) * (M - 1)], sorted[N * M];
    make_peer(1);
    for (int i = 0; i < N - 1; ++i) memcpy(C + i * (M - 1), peer.C + i * M, sizeof(double) * (M - 1));
    memcpy(sorted, peer.C, sizeof sorted);
    qsort(sorted, N * M, sizeof *sorted, ascending);
    CHECK(0.5 * (sorted[N * M / 2 - 1] + sorted[N * M / 2]) == numpy[0]);
    for (int layout = 0; layout < LAYOUTS; ++layout) {
        rkn_geometry *even = geometry(layout, peer.C, N, M), *odd = geometry(layout, C, N - 1, M - 1);
        CHECK(epsilon_of_median(even, N, M) == 2 * numpy[0]);
        CHECK(epsilon_of_median(odd, N - 1, M - 1) == 2 * numpy[1]);
        rkn_geometry_destroy(even), rkn_geometry_destroy(odd);
    }
    const double small[6] = {7, INFINITY, 3, 1, INFINITY, 2};
    rkn_geometry *G = geometry(PATTERN, small, 2, 3);
    double a[2] = {1, 1}, b[3] = {1, 0, 1};
    rkn_sinkhorn *s = solver("auto", "epsilon=1 epsilon_relative=median");
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK(real_of(s, "epsilon_used") == 2.5);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
    G = geometry(ROW_MAJOR, small, 1, 1);
    CHECK(epsilon_of_median(G, 1, 1) == 14);
    rkn_geometry_destroy(G);
    /* more entries than are held: the sample has odd columns too, though their number and the least stride, 4, are even */
    enum { ROWS_MANY = 1100, COLUMNS_MANY = 3002 };
    double *many = need(sizeof(double) * ROWS_MANY * COLUMNS_MANY);
    for (int k = 0; k < ROWS_MANY * COLUMNS_MANY; ++k) {
        const int j = k % COLUMNS_MANY;
        many[k] = j % 2 || j % 10 == 0 ? 1 : 3;
    }
    G = geometry(ROW_MAJOR, many, ROWS_MANY, COLUMNS_MANY);
    CHECK(epsilon_of_median(G, ROWS_MANY, COLUMNS_MANY) == 2);
    rkn_geometry_destroy(G);
    free(many);
}

/* Mixing finds the same plan in far fewer iterations. */
static void test_anderson(void) {
    make_peer(1);
    for (int layout = 0; layout < LAYOUTS; ++layout) {
        rkn_geometry *G = geometry(layout, peer.C, N, M);
        static double P[N * M], Q[N * M];
        double iterations = 0, a[N];
        memcpy(a, peer.a, sizeof a);
        a[1] += a[5], a[5] = 0;
        for (int window = 0; window <= 10; window += 5) {
            rkn_sinkhorn *s = solver("sinkhorn", "epsilon=3e-3 tolerance=1e-9");
            CHECK_OK(rkn_sinkhorn_set_int(s, "anderson", window));
            CHECK_OK(rkn_sinkhorn_solve(s, G, a, peer.b));
            CHECK(real_of(s, "marginal_error") <= 1.01e-9);
            CHECK_OK(rkn_sinkhorn_plan_rows(s, 0, N, window ? Q : P, M));
            if (window) {
                double off = 0;
                for (int k = 0; k < N * M; ++k) off = fmax(off, fabs(P[k] - Q[k]));
                CHECK(off < 1e-8);
                if (!CHECK(real_of(s, "iterations") < iterations / 3)) printf("    window %d: %g iterations, %g without\n", window, real_of(s, "iterations"), iterations);
            } else {
                iterations = real_of(s, "iterations");
            }
            rkn_sinkhorn_destroy(s);
        }
        rkn_geometry_destroy(G);
    }
    rkn_sinkhorn *s = solver("auto", "");
    CHECK_STATUS(rkn_sinkhorn_set_int(s, "anderson", 5), RKN_ERR_KEY);
    rkn_sinkhorn_destroy(s);
    s = solver("sinkhorn", "");
    CHECK_STATUS(rkn_sinkhorn_set_int(s, "anderson", 51), RKN_ERR_ARGUMENT);
    CHECK_STATUS(rkn_sinkhorn_set_real(s, "target_gap", 0.1), RKN_ERR_KEY);
    rkn_sinkhorn_destroy(s);
}

static void test_rows(void) {
    make_peer(2);
    peer.a[2] += peer.a[9], peer.a[9] = 0;
    for (int layout = 0; layout < LAYOUTS; ++layout) {
        static double P[N * (M + 2)], f[N], g[M];
        rkn_geometry *G = geometry(layout, peer.C, N, M);
        rkn_sinkhorn *s = solver("auto", "epsilon=0.05");
        CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
        CHECK_OK(rkn_sinkhorn_potentials(s, f, g));
        same(N * (M + 2), P, -7);
        CHECK_OK(rkn_sinkhorn_plan_rows(s, 7, 4, P, M + 2));
        double off = 0;
        int untouched = 1;
        for (int r = 0; r < 4; ++r)
            for (int j = 0; j < M; ++j) off = fmax(off, fabs(P[r * (M + 2) + j] - exp((f[7 + r] + g[j] - peer.C[(7 + r) * M + j]) / 0.05)));
        for (int k = 0; k < N * (M + 2); ++k)
            if (k / (M + 2) >= 4 || k % (M + 2) >= M) untouched = untouched && P[k] == -7;
        CHECK(off < 1e-14 && untouched && P[2 * (M + 2)] == 0);
        CHECK_OK(rkn_sinkhorn_plan_rows(s, N, 0, NULL, M));
        CHECK_OK(rkn_sinkhorn_plan_rows(s, N - 1, 1, P, M));
        same(N * (M + 2), P, -7);
        const char *const name = "rkn_sinkhorn_plan_rows";
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, N, 1, P, M), RKN_ERR_INDEX, name, "first");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 1, N, P, M), RKN_ERR_INDEX, name, "first");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 1, INT64_MAX, P, M), RKN_ERR_INDEX, name, "first");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, -1, 1, P, M), RKN_ERR_SIZE, name, "first");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 0, -1, P, M), RKN_ERR_SIZE, name, "count");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 0, 2, P, M - 1), RKN_ERR_SIZE, name, "ldp");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 0, 2, P, INT64_MAX), RKN_ERR_SIZE, name, "");
        CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 0, 2, NULL, M), RKN_ERR_NULL, name, "P");
        for (int k = 0; k < N * (M + 2); ++k) untouched = untouched && P[k] == -7;
        CHECK(untouched);
        rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
    }
}

/* A sequence that is interrupted, saved and gone on with elsewhere ends with the same bits. */
static void step_of(int t, double *a) {
    double sum = 0;
    for (int i = 0; i < N; ++i) sum += a[i] = peer.a[i] * (1 + 0.3 * sin(0.2 * t + i));
    for (int i = 0; i < N; ++i) a[i] /= sum;
}
static void test_saved(void) {
    static const char *const starts[] = {"epsilon=5e-3 tolerance=1e-9", "epsilon=5e-3 tolerance=1e-9 start=extrapolated", "target_gap=1e-3"};
    make_peer(1);
    for (int layout = 0; layout < LAYOUTS; ++layout)
        for (int way = 0; way < 3; ++way) {
            double a[N], f[2][N], g[2][M], passes[2];
            rkn_geometry *G = geometry(layout, peer.C, N, M);
            rkn_sinkhorn *s = solver("auto", starts[way]), *t = solver("auto", starts[way]);
            for (int step = 0; step < 3; ++step) {
                step_of(step, a);
                CHECK_OK(rkn_sinkhorn_solve(s, G, a, peer.b));
            }
            int64_t size = -1;
            CHECK_OK(rkn_sinkhorn_save(s, NULL, 0, &size));
            CHECK(size > 2 * 8 * (layout == COLUMN_MAJOR ? N : M));
            unsigned char *bytes = need((size_t)size), *again = need((size_t)size);
            CHECK_OK(rkn_sinkhorn_save(s, bytes, size, NULL));
            CHECK_OK(rkn_sinkhorn_load(t, bytes, size));
            CHECK_STATUS(rkn_sinkhorn_potentials(t, f[0], NULL), RKN_ERR_STATE);
            CHECK_OK(rkn_sinkhorn_save(t, again, size, &size));
            CHECK(memcmp(bytes, again, (size_t)size) == 0);
            for (int step = 3; step < 6; ++step) {
                step_of(step, a);
                CHECK_OK(rkn_sinkhorn_solve(s, G, a, peer.b));
                CHECK_OK(rkn_sinkhorn_solve(t, G, a, peer.b));
                CHECK_OK(rkn_sinkhorn_potentials(s, f[0], g[0]));
                CHECK_OK(rkn_sinkhorn_potentials(t, f[1], g[1]));
                passes[0] = real_of(s, "passes"), passes[1] = real_of(t, "passes");
                CHECK(memcmp(f[0], f[1], sizeof f[0]) == 0 && memcmp(g[0], g[1], sizeof g[0]) == 0 && passes[0] == passes[1]);
            }
            free(bytes), free(again);
            rkn_sinkhorn_destroy(s), rkn_sinkhorn_destroy(t), rkn_geometry_destroy(G);
        }
    /* a state of a solver that has learned nothing */
    rkn_sinkhorn *s = solver("auto", "epsilon=5e-3"), *t = solver("sns", "");
    unsigned char fresh[100];
    int64_t size = 0;
    CHECK_OK(rkn_sinkhorn_save(s, fresh, sizeof fresh, &size));
    CHECK(size > 0 && size < 100);
    CHECK_OK(rkn_sinkhorn_load(t, fresh, size));
    rkn_sinkhorn_destroy(t);

    /* damaged in any byte, cut anywhere, of others: refused, and nothing has changed */
    rkn_geometry *G = geometry(ROW_MAJOR, peer.C, N, M);
    CHECK_OK(rkn_sinkhorn_solve(s, G, peer.a, peer.b));
    CHECK_OK(rkn_sinkhorn_save(s, NULL, 0, &size));
    unsigned char *bytes = need((size_t)size), *now = need((size_t)size);
    CHECK_OK(rkn_sinkhorn_save(s, bytes, size, NULL));
    double f[2][N];
    CHECK_OK(rkn_sinkhorn_potentials(s, f[0], NULL));
    const char *const load = "rkn_sinkhorn_load";
    int refused = 0, tried = 0;
    for (int64_t k = 0; k < size; ++k)
        for (int bit = 0; bit < 8; bit += 7, ++tried) {
            bytes[k] ^= (unsigned char)(1 << bit);
            refused += rkn_sinkhorn_load(s, bytes, size) == RKN_ERR_FORMAT;
            bytes[k] ^= (unsigned char)(1 << bit);
        }
    CHECK(refused == tried);
    refused = 0;
    for (int64_t k = 0; k < size; ++k) refused += rkn_sinkhorn_load(s, bytes, k) == RKN_ERR_FORMAT;
    CHECK(refused == size);
    for (int k = 0; k < 100; ++k) fresh[k] = (unsigned char)(37 * k);
    CHECK_REFUSED(rkn_sinkhorn_load(s, fresh, 100), RKN_ERR_FORMAT, load, "buf");
    poisson p = poisson_make(20);
    rkn_operator *A = poisson_operator(&p);
    rkn_krylov *krylov = NULL;
    double *b = ones(20), x[20];
    CHECK_OK(rkn_krylov_create(NULL, "gcrodr", &krylov));
    CHECK_OK(rkn_krylov_solve(krylov, A, NULL, b, x));
    int64_t foreign = 0;
    CHECK_OK(rkn_krylov_save(krylov, NULL, 0, &foreign));
    unsigned char *others = need((size_t)foreign);
    CHECK_OK(rkn_krylov_save(krylov, others, foreign, NULL));
    CHECK_REFUSED(rkn_sinkhorn_load(s, others, foreign), RKN_ERR_FORMAT, load, "buf");
    CHECK(rkn_krylov_load(krylov, A, NULL, bytes, size) < 0);
    rkn_krylov_destroy(krylov), rkn_operator_destroy(A), free(b), free(others), poisson_free(&p);
    CHECK_REFUSED(rkn_sinkhorn_load(s, NULL, size), RKN_ERR_NULL, load, "buf");
    CHECK_REFUSED(rkn_sinkhorn_load(s, bytes, -1), RKN_ERR_SIZE, load, "len");
    CHECK_REFUSED(rkn_sinkhorn_load(NULL, bytes, size), RKN_ERR_NULL, load, "s");
    CHECK_REFUSED(rkn_sinkhorn_load(GARBAGE, bytes, size), RKN_ERR_HANDLE, load, "s");
    CHECK_OK(rkn_sinkhorn_potentials(s, f[1], NULL));
    CHECK(memcmp(f[0], f[1], sizeof f[0]) == 0);
    const char *const save = "rkn_sinkhorn_save";
    int64_t wanted = 0;
    CHECK_REFUSED(rkn_sinkhorn_save(s, now, size - 1, &wanted), RKN_ERR_SIZE, save, "cap");
    CHECK(wanted == size && now[0] == 0);
    CHECK_REFUSED(rkn_sinkhorn_save(s, NULL, 0, NULL), RKN_ERR_SIZE, save, "cap");
    CHECK_REFUSED(rkn_sinkhorn_save(s, NULL, size, NULL), RKN_ERR_NULL, save, "buf");
    CHECK_REFUSED(rkn_sinkhorn_save(s, now, -1, NULL), RKN_ERR_SIZE, save, "cap");
    CHECK_REFUSED(rkn_sinkhorn_save(NULL, now, size, NULL), RKN_ERR_NULL, save, "s");
    CHECK_REFUSED(rkn_sinkhorn_save(GARBAGE, now, size, NULL), RKN_ERR_HANDLE, save, "s");
    CHECK_OK(rkn_sinkhorn_save(s, now, size, NULL));
    CHECK(memcmp(bytes, now, (size_t)size) == 0);
    /* a state of a problem of another size is no start for this one */
    rkn_geometry *small = geometry(ROW_MAJOR, peer.C, 1, 2);
    const double one[1] = {1}, halves[2] = {0.5, 0.5};
    CHECK_OK(rkn_sinkhorn_load(s, bytes, size));
    CHECK_OK(rkn_sinkhorn_solve(s, small, one, halves));
    rkn_geometry_destroy(small);
    free(bytes), free(now);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

/* Nothing solved yet, no handle, rows that fail: each function says so, and writes nothing. */
static void test_refused(void) {
    double lower = -7, upper = -7, x[2] = {-7, -7}, y[3] = {-7, -7, -7}, u[2], v[3];
    rkn_sinkhorn *s = solver("auto", "");
    CHECK_REFUSED(rkn_sinkhorn_bracket(s, &lower, &upper), RKN_ERR_STATE, "rkn_sinkhorn_bracket", "");
    CHECK_REFUSED(rkn_sinkhorn_round(s, x, y, u, v), RKN_ERR_STATE, "rkn_sinkhorn_round", "");
    CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 0, 1, x, 3), RKN_ERR_STATE, "rkn_sinkhorn_plan_rows", "");
    CHECK_REFUSED(rkn_sinkhorn_bracket(NULL, &lower, &upper), RKN_ERR_NULL, "rkn_sinkhorn_bracket", "s");
    CHECK_REFUSED(rkn_sinkhorn_bracket(GARBAGE, &lower, &upper), RKN_ERR_HANDLE, "rkn_sinkhorn_bracket", "s");
    CHECK_REFUSED(rkn_sinkhorn_round(NULL, x, y, u, v), RKN_ERR_NULL, "rkn_sinkhorn_round", "s");
    CHECK_REFUSED(rkn_sinkhorn_round(GARBAGE, x, y, u, v), RKN_ERR_HANDLE, "rkn_sinkhorn_round", "s");
    CHECK_REFUSED(rkn_sinkhorn_plan_rows(NULL, 0, 1, x, 3), RKN_ERR_NULL, "rkn_sinkhorn_plan_rows", "s");
    CHECK_REFUSED(rkn_sinkhorn_plan_rows(GARBAGE, 0, 1, x, 3), RKN_ERR_HANDLE, "rkn_sinkhorn_plan_rows", "s");
    int broken = 0;
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_geometry_create_callback(NULL, 2, 3, no_row, &broken, NULL, &G));
    const double a[2] = {1.5, 1.5}, b[3] = {1, 1, 1};
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_REFUSED(rkn_sinkhorn_round(s, NULL, y, u, v), RKN_ERR_NULL, "rkn_sinkhorn_round", "x");
    CHECK_REFUSED(rkn_sinkhorn_round(s, x, NULL, u, v), RKN_ERR_NULL, "rkn_sinkhorn_round", "y");
    CHECK_REFUSED(rkn_sinkhorn_round(s, x, y, NULL, v), RKN_ERR_NULL, "rkn_sinkhorn_round", "u");
    CHECK_REFUSED(rkn_sinkhorn_round(s, x, y, u, NULL), RKN_ERR_NULL, "rkn_sinkhorn_round", "v");
    broken = 1;
    CHECK_REFUSED(rkn_sinkhorn_bracket(s, &lower, &upper), RKN_ERR_CALLBACK, "rkn_sinkhorn_bracket", "");
    CHECK_REFUSED(rkn_sinkhorn_round(s, x, y, u, v), RKN_ERR_CALLBACK, "rkn_sinkhorn_round", "");
    CHECK_REFUSED(rkn_sinkhorn_plan_rows(s, 0, 1, y, 3), RKN_ERR_CALLBACK, "rkn_sinkhorn_plan_rows", "");
    CHECK(lower == -7 && upper == -7 && x[0] == -7 && x[1] == -7 && y[0] == -7 && y[2] == -7);
    broken = 0;
    /* i + j: any plan costs the same */
    check_bracket(s, (const double[6]){0, 1, 2, 1, 2, 3}, 2, 3, a, b, 4.5, 3);
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

/* The same bits for any number of threads. */
static void test_threads(void) {
    double bits[2][4];
    make_peer(1);
    for (int k = 0; k < 2; ++k) {
        enum { BIG = 400 };
        static double x[2 * BIG], a[BIG];
        random_state = 9;
        for (int i = 0; i < 2 * BIG; ++i) x[i] = unit();
        masses(BIG, a);
        rkn_context *ctx = NULL;
        rkn_geometry *G = NULL;
        rkn_sinkhorn *s = NULL;
        static double b[BIG];
        masses(BIG, b);
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_set_int(ctx, "threads", k ? 3 : 1));
        CHECK_OK(rkn_geometry_create_points(ctx, 2, BIG, x, 2, BIG, x, 2, 2, 2, NULL, NULL, &G));
        CHECK_OK(rkn_sinkhorn_create(ctx, "auto", &s));
        CHECK_OK(rkn_sinkhorn_divergence(s, G, G, G, a, b, &bits[k][0]));
        CHECK_OK(rkn_sinkhorn_bracket(s, &bits[k][1], &bits[k][2]));
        CHECK_OK(rkn_sinkhorn_set_real(s, "transported_mass", 0.5));
        CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
        bits[k][3] = real_of(s, "cost");
        rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G), rkn_context_destroy(ctx);
    }
    CHECK(memcmp(bits[0], bits[1], sizeof bits[0]) == 0);
}

int main(void) {
    test_refused();
    test_bracket();
    test_forbidden();
    test_target_gap();
    test_partial();
    test_divergence();
    test_entropy();
    test_median();
    test_anderson();
    test_rows();
    test_saved();
    test_threads();
    return done();
}
