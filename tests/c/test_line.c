/* Exact transport on a line, on a circle and sliced: all assignments, figures of POT 0.9.7, certificates of optimality, the
   median for p = 1, finite differences, invariances, degenerate and bad input. */
#include "check.h"

static const double powers[] = {1, 1.5, 2, 3};
static double unit(void) { return 0.5 * (uniform() + 1); }
static double rough(void) { return unit() + unit() / 1024 + unit() / 1048576; }
static double distance(double period, double x, double y) {
    double d = fabs(x - y);
    if (period > 0) d = fmod(d, period), d = d < period - d ? d : period - d;
    return d;
}
static double cost_of(double period, int64_t n, const double *x, const double *a, int64_t m, const double *y, const double *b, double p) {
    double cost = NAN;
    CHECK_OK(period > 0 ? rkn_wasserstein_circle(period, n, x, a, m, y, b, p, &cost) : rkn_wasserstein_line(n, x, a, m, y, b, p, &cost));
    return cost;
}
static int near_to(double got, double want, double scale) { return fabs(got - want) <= 1e-12 * (fabs(want) + scale); }

/* The least over all assignments of n points to n points. */
static double least(int n, const double *C, int row, unsigned used) {
    double best = row == n ? 0 : INFINITY;
    for (int j = 0; row < n && j < n; ++j)
        if (!(used >> j & 1)) {
            const double sum = C[row * n + j] + least(n, C, row + 1, used | 1u << j);
            best = sum < best ? sum : best;
        }
    return best;
}
static void test_assignments(void) {
    double x[6], y[6], C[36];
    for (int trial = 0; trial < 400; ++trial) {
        const int n = 1 + trial % 6, whole = trial % 5 == 0;
        const double period = trial % 2 ? 0 : 1 + trial % 3, p = powers[trial % 4];
        for (int i = 0; i < n; ++i) {
            x[i] = whole ? floor(5 * unit()) / 4 : 3 * rough() - 1;
            y[i] = whole ? floor(5 * unit()) / 4 : 3 * rough() - 1;
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) C[i * n + j] = pow(distance(period, x[i], y[j]), p);
        CHECK(near_to(cost_of(period, n, x, NULL, n, y, NULL, p), least(n, C, 0, 0) / n, 1));
    }
}
/* Masses in quarters are points said several times. */
static void test_weights(void) {
    double x[3], y[4], a[3], b[4], C[64], xs[8], ys[8];
    for (int trial = 0; trial < 60; ++trial) {
        const double period = trial % 2 ? 0 : 1.5, p = powers[trial / 2 % 4];
        const int of_x[3] = {1 + trial % 3, 2, 3 - trial % 3}, of_y[4] = {1, trial % 2, 2, 3 - trial % 2};
        int n = 0, m = 0;
        for (int i = 0; i < 3; ++i) {
            x[i] = 2 * rough(), a[i] = 0.25 * of_x[i];
            for (int k = 0; k < of_x[i]; ++k) xs[n++] = x[i];
        }
        for (int j = 0; j < 4; ++j) {
            y[j] = 2 * rough(), b[j] = 0.25 * of_y[j];
            for (int k = 0; k < of_y[j]; ++k) ys[m++] = y[j];
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) C[i * n + j] = pow(distance(period, xs[i], ys[j]), p);
        CHECK(near_to(cost_of(period, 3, x, a, 4, y, b, p), 0.25 * least(n, C, 0, 0), 1));
    }
}

/* ot.emd2, ot.emd2_1d and ot.binary_search_circle of these. */
static void test_peers(void) {
    enum { N = 7, M = 5 };
    const double line[] = {0.928472222222222, 1.00070657452807, 1.14534722222222, 1.70599305555556};
    const double line_equal[] = {1, 1.09357618104761, 1.25142857142857, 1.80708571428572};
    const double circle[] = {0.709027777777778, 0.65814274088998, 0.620902777777778, 0.556048611111111}, circle_equal[] = {0.68, 0.641244391639442, 0.612, 0.558228571428571};
    double x[N], y[M], a[N], b[M], sum = 0;
    for (int i = 0; i < N; ++i) x[i] = (37 * i + 5) % 101 / 10.0, sum += a[i] = 1 + i * i % 5;
    for (int i = 0; i < N; ++i) a[i] /= sum;
    sum = 0;
    for (int j = 0; j < M; ++j) y[j] = (53 * j + 11) % 97 / 10.0, sum += b[j] = 2 + 3 * j % 4;
    for (int j = 0; j < M; ++j) b[j] /= sum;
    for (int k = 0; k < 4; ++k) {
        CHECK(near_to(cost_of(0, N, x, a, M, y, b, powers[k]), line[k], 0));
        CHECK(near_to(cost_of(0, N, x, NULL, M, y, NULL, powers[k]), line_equal[k], 0));
        CHECK(near_to(cost_of(4, N, x, a, M, y, b, powers[k]), circle[k], 0));
        CHECK(near_to(cost_of(4, N, x, NULL, M, y, NULL, powers[k]), circle_equal[k], 0));
    }
}

/* A plan with the right marginals and feasible potentials of the same value prove each other optimal. */
static void certify(double period, int64_t n, const double *x, const double *a, int64_t m, const double *y, const double *b, double p) {
    int64_t *rows = need((size_t)(n + m) * 8), *columns = need((size_t)(n + m) * 8), entries = -1, again = -1;
    double *mass = need((size_t)(n + m) * 8), *f = need((size_t)n * 8), *g = need((size_t)m * 8), cost = NAN;
    double *row = need((size_t)n * 8), *column = need((size_t)m * 8), plan = 0, value = 0, other = 0, total = 0, scale = 1;
    if (period > 0) {
        CHECK_OK(rkn_wasserstein_circle_plan(period, n, x, a, m, y, b, p, NULL, NULL, NULL, 0, &entries));
        CHECK_OK(rkn_wasserstein_circle_plan(period, n, x, a, m, y, b, p, rows, columns, mass, n + m - 1, &again));
        CHECK_OK(rkn_wasserstein_circle_gradient(period, n, x, a, m, y, b, p, &cost, NULL, NULL, f, g));
    } else {
        CHECK_OK(rkn_wasserstein_line_plan(n, x, a, m, y, b, NULL, NULL, NULL, 0, &entries));
        CHECK_OK(rkn_wasserstein_line_plan(n, x, a, m, y, b, rows, columns, mass, n + m - 1, &again));
        CHECK_OK(rkn_wasserstein_line_gradient(n, x, a, m, y, b, p, &cost, NULL, NULL, f, g));
    }
    CHECK(entries == again && entries <= n + m - 1);
    CHECK(cost == cost_of(period, n, x, a, m, y, b, p));
    for (int64_t i = 0; i < n; ++i) total += a ? a[i] : 1.0 / (double)n;
    int in_range = 1, tight = 1, positive = 1, feasible = 1;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j) {
            const double c = pow(distance(period, x[i], y[j]), p);
            scale = c > scale ? c : scale;
            feasible &= f[i] + g[j] <= c + 1e-12 * scale;
        }
    for (int64_t k = 0; k < entries; ++k) {
        const int64_t i = rows[k], j = columns[k];
        in_range &= i >= 0 && i < n && j >= 0 && j < m;
        if (!in_range) break;
        const double c = pow(distance(period, x[i], y[j]), p);
        positive &= mass[k] > 0;
        plan += c * mass[k], row[i] += mass[k], column[j] += mass[k];
        tight &= mass[k] < 1e-13 * total || fabs(f[i] + g[j] - c) < 1e-11 * scale;
    }
    CHECK(in_range && positive && feasible && tight);
    double off = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double want = a ? a[i] : 1.0 / (double)n;
        off = fmax(off, fabs(row[i] - want)), value += want * f[i];
        positive &= (want > 0) == (row[i] > 0);
    }
    for (int64_t j = 0; j < m; ++j) {
        const double want = b ? b[j] : 1.0 / (double)m;
        off = fmax(off, fabs(column[j] - want)), other += want * g[j];
        positive &= (want > 0) == (column[j] > 0);
    }
    CHECK(positive);    /* what has mass, and nothing else, takes part */
    CHECK(off <= 1e-14 * total);
    CHECK(fabs(plan - cost) <= 1e-12 * scale * total && fabs(value + other - cost) <= 1e-11 * scale * total);
    CHECK(fabs(value - other) <= 1e-11 * scale * total);
    free(rows), free(columns), free(mass), free(f), free(g), free(row), free(column);
}
static void test_certificates(void) {
    enum { N = 300, M = 410 };
    double x[N], y[M], a[N], b[M];
    for (int trial = 0; trial < 40; ++trial) {
        const int64_t n = trial < 20 ? 1 + 3 * trial : N, m = trial % 3 == 0 ? n : trial < 20 ? 1 + 61 * trial % 50 : M;
        double of_a = 0, of_b = 0;
        for (int i = 0; i < n; ++i) x[i] = trial % 4 == 3 ? floor(9 * unit()) / 8 : 2 * rough() * rough(), of_a += a[i] = i % 7 == 3 ? 0 : rough();
        for (int j = 0; j < m; ++j) y[j] = trial % 4 == 3 ? floor(9 * unit()) / 8 : 3 * rough(), of_b += b[j] = trial % 5 == 1 ? a[j % n] : rough();
        for (int j = 0; j < m; ++j) b[j] *= of_a / of_b;
        const double *const of_x = trial % 3 == 2 ? NULL : a, *const of_y = trial % 3 == 2 ? NULL : b;
        certify(0, n, x, of_x, m, y, of_y, powers[trial % 4]);
        certify(1.7, n, x, of_x, m, y, of_y, powers[trial % 4]);
    }
}

/* On a circle, p = 1: the integral of |F - G - median|, the median weighted by lengths (Cabrelli and Molter 1995). */
typedef struct {
    double at, step;
} jump;
static int by_place(const void *s, const void *t) {
    const double a = ((const jump *)s)->at, b = ((const jump *)t)->at;
    return (a > b) - (a < b);
}
static double by_median(int n, const double *x, const double *a, int m, const double *y, const double *b) {
    jump *jumps = need((size_t)(n + m + 1) * sizeof *jumps), *levels = need((size_t)(n + m) * sizeof *levels);
    for (int i = 0; i < n; ++i) jumps[i] = (jump){x[i] - floor(x[i]), a[i]};
    for (int j = 0; j < m; ++j) jumps[n + j] = (jump){y[j] - floor(y[j]), -b[j]};
    qsort(jumps, (size_t)(n + m), sizeof *jumps, by_place);
    jumps[n + m].at = jumps[0].at + 1;
    double level = 0, length = 0, sum = 0;
    for (int k = 0; k < n + m; ++k) level += jumps[k].step, levels[k] = (jump){level, jumps[k + 1].at - jumps[k].at};
    qsort(levels, (size_t)(n + m), sizeof *levels, by_place);
    int k = 0;
    for (; length + levels[k].step < 0.5; ++k) length += levels[k].step;
    for (int l = 0; l < n + m; ++l) sum += fabs(levels[l].at - levels[k].at) * levels[l].step;
    free(jumps), free(levels);
    return sum;
}
static void test_median(void) {
    enum { N = 900, M = 700 };
    static double x[N], y[M], a[N], b[M];
    for (int trial = 0; trial < 12; ++trial) {
        double of_a = 0, of_b = 0;
        for (int i = 0; i < N; ++i) x[i] = rough() * (1 + trial % 3) / 3, of_a += a[i] = rough();
        for (int j = 0; j < M; ++j) y[j] = rough() * rough() + 0.5, of_b += b[j] = rough();
        for (int i = 0; i < N; ++i) a[i] /= of_a;
        for (int j = 0; j < M; ++j) b[j] /= of_b;
        CHECK(near_to(cost_of(1, N, x, a, M, y, b, 1), by_median(N, x, a, M, y, b), 0.1));
    }
}

static void test_gradients(void) {
    enum { N = 11, M = 8 };
    const double h = 1e-6;
    double x[N], y[M], a[N], b[M], gx[N], gy[M], f[N], g[M], cost = NAN;
    for (int trial = 0; trial < 16; ++trial) {
        const double period = trial % 2 ? 0 : 1, p = powers[trial / 2 % 4];
        double of_a = 0, of_b = 0;
        for (int i = 0; i < N; ++i) x[i] = rough(), of_a += a[i] = 0.1 + rough();
        for (int j = 0; j < M; ++j) y[j] = rough(), of_b += b[j] = 0.1 + rough();
        for (int j = 0; j < M; ++j) b[j] *= of_a / of_b;
        if (period > 0)
            CHECK_OK(rkn_wasserstein_circle_gradient(period, N, x, a, M, y, b, p, &cost, gx, gy, f, g));
        else
            CHECK_OK(rkn_wasserstein_line_gradient(N, x, a, M, y, b, p, &cost, gx, gy, f, g));
        for (int i = 0; i < N; ++i) {
            const double at = x[i];
            x[i] = at + h;
            const double more = cost_of(period, N, x, a, M, y, b, p);
            x[i] = at - h;
            const double less = cost_of(period, N, x, a, M, y, b, p);
            x[i] = at;
            CHECK(fabs((more - less) / (2 * h) - gx[i]) < 1e-5 * of_a);
        }
        for (int j = 0; j < M; ++j) {
            const double at = y[j];
            y[j] = at + h;
            const double more = cost_of(period, N, x, a, M, y, b, p);
            y[j] = at - h;
            const double less = cost_of(period, N, x, a, M, y, b, p);
            y[j] = at;
            CHECK(fabs((more - less) / (2 * h) - gy[j]) < 1e-5 * of_a);
        }
        for (int i = 1; i < N; ++i) {    /* mass goes from point 0 to point i, and in a pair from 0 to j */
            a[0] -= h, a[i] += h;
            const double more = cost_of(period, N, x, a, M, y, b, p);
            a[0] += h, a[i] -= h;
            CHECK(fabs((more - cost) / h - (f[i] - f[0])) < 1e-5);
        }
        for (int j = 0; j < M; ++j) {
            a[0] += h, b[j] += h;
            const double more = cost_of(period, N, x, a, M, y, b, p);
            a[0] -= h, b[j] -= h;
            CHECK(fabs((more - cost) / h - (f[0] + g[j])) < 1e-5);
        }
        double part[N];
        CHECK_OK(rkn_wasserstein_line_gradient(N, x, a, M, y, b, p, NULL, NULL, NULL, NULL, NULL));
        CHECK_OK(rkn_wasserstein_line_gradient(N, x, a, M, y, b, p, NULL, part, NULL, NULL, NULL));
        for (int i = 0; i < N && period == 0; ++i) CHECK(part[i] == gx[i]);
    }
    /* Where all masses meet at once the potentials lie in the middle: nothing is gained by any exchange between equal measures. */
    for (int i = 0; i < N; ++i) x[i] = rough();
    for (int k = 0; k < 4; ++k) {
        CHECK_OK(rkn_wasserstein_line_gradient(N, x, NULL, N, x, NULL, powers[k], &cost, gx, NULL, f, NULL));
        CHECK(cost == 0);
        for (int i = 0; i < N; ++i) CHECK(gx[i] == 0 && fabs(f[i]) < 1e-15);
    }
}

static void test_invariances(void) {
    enum { N = 60, M = 47 };
    double x[N], y[M], a[N], b[M], sx[N], sy[M], of_a = 0, of_b = 0;
    for (int i = 0; i < N; ++i) x[i] = rough(), of_a += a[i] = rough();
    for (int j = 0; j < M; ++j) y[j] = rough(), of_b += b[j] = rough();
    for (int j = 0; j < M; ++j) b[j] *= of_a / of_b;
    for (int k = 0; k < 4; ++k) {
        const double p = powers[k], line = cost_of(0, N, x, a, M, y, b, p), circle = cost_of(1, N, x, a, M, y, b, p);
        CHECK(circle < line);
        CHECK(near_to(cost_of(0, M, y, b, N, x, a, p), line, 0) && near_to(cost_of(1, M, y, b, N, x, a, p), circle, 0));
        CHECK(near_to(cost_of(100, N, x, a, M, y, b, p), line, 0));    /* too large to go round */
        for (int i = 0; i < N; ++i) sx[i] = x[i] + 0.375;
        for (int j = 0; j < M; ++j) sy[j] = y[j] + 0.375;
        CHECK(near_to(cost_of(0, N, sx, a, M, sy, b, p), line, 0) && near_to(cost_of(1, N, sx, a, M, sy, b, p), circle, 0));
        for (int i = 0; i < N; ++i) sx[i] = x[i] + i % 5 - 2;    /* other turns */
        CHECK(near_to(cost_of(1, N, sx, a, M, y, b, p), circle, 0));
        for (int i = 0; i < N; ++i) sx[i] = -4 * x[i];
        for (int j = 0; j < M; ++j) sy[j] = -4 * y[j];
        CHECK(near_to(cost_of(0, N, sx, a, M, sy, b, p), pow(4, p) * line, 0));
        CHECK(near_to(cost_of(4, N, sx, a, M, sy, b, p), pow(4, p) * circle, 0));
        for (int e = -300; e <= 300; e += 100) {
            for (int i = 0; i < N; ++i) sx[i] = a[i] * pow(10, e);
            for (int j = 0; j < M; ++j) sy[j] = b[j] * pow(10, e);
            CHECK(near_to(cost_of(0, N, x, sx, M, y, sy, p) / pow(10, e), line, 0));
            CHECK(near_to(cost_of(1, N, x, sx, M, y, sy, p) / pow(10, e), circle, 0));
        }
    }
    for (int i = 0; i < N; ++i) sx[i] = x[i] + 0.25;    /* translates */
    CHECK(near_to(cost_of(0, N, x, a, N, sx, a, 3), of_a * pow(0.25, 3), 0));
}

static void test_degenerate(void) {
    const double one = 1, x[4] = {3, 1, 1, 1}, y[3] = {1, 3, 1}, a[4] = {0.5, 0.125, 0.25, 0.125}, b[3] = {0.25, 0.5, 0.25};
    const double spread[3] = {-1, 0, 4}, few[2] = {1, 1e-30}, none[3] = {0, 2, 0}, two = 2;
    int64_t rows[6], columns[6], entries = -1;
    double mass[6];
    for (int circle = 0; circle < 2; ++circle)
        for (int k = 0; k < 4; ++k) {
            const double period = circle ? 20 : 0, p = powers[k];
            CHECK(cost_of(period, 4, x, a, 3, y, b, p) == 0);
            CHECK(near_to(cost_of(period, 1, &one, NULL, 3, spread, NULL, p), (pow(2, p) + 1 + pow(3, p)) / 3, 0));
            CHECK(near_to(cost_of(period, 1, &one, &two, 3, spread, none, p), 2, 0));
            CHECK(near_to(cost_of(period, 1, &one, &two, 3, spread, NULL, p), 2 * (pow(2, p) + 1 + pow(3, p)) / 3, 0));
            certify(period, 1, &one, NULL, 3, spread, NULL, p);
            certify(period, 3, spread, none, 1, &one, &two, p);
            certify(period, 2, spread, few, 2, spread + 1, few, p);    /* the smallest mass arrives too */
            certify(period, 4, x, a, 3, y, b, p);
        }
    CHECK_OK(rkn_wasserstein_line_plan(2, spread, few, 1, &one, NULL, rows, columns, mass, 6, &entries));
    CHECK(entries == 2 && mass[0] == 1 && mass[1] == 1e-30);
    /* equal masses are matched without splinters */
    const double six[6] = {5, 3, 1, 0, 2, 4}, three[3] = {1, 2, 3};
    CHECK_OK(rkn_wasserstein_line_plan(6, six, NULL, 3, three, NULL, rows, columns, mass, 6, NULL));
    CHECK_OK(rkn_wasserstein_line_plan(6, six, NULL, 3, three, NULL, NULL, NULL, NULL, 0, &entries));
    CHECK(entries == 6 && rows[0] == 3 && rows[5] == 0 && columns[1] == 0 && columns[2] == 1 && mass[3] == 1.0 / 6);
    /* half a turn apart: both ways are as long */
    const double here[2] = {0, 0.5}, there[2] = {0.25, 0.75};
    CHECK(near_to(cost_of(1, 2, here, NULL, 2, there, NULL, 2), 0.0625, 0));
    CHECK(near_to(cost_of(1, 1, here, NULL, 1, here + 1, NULL, 3), 0.125, 0));
}

static void test_sliced(void) {
    enum { D = 3, N = 40, M = 33, LD = 5 };
    static double X[LD * N], Y[LD * M], Z[LD * N], G[LD * N], a[N], b[M];
    double cost = NAN, again = NAN, of_a = 0, of_b = 0;
    for (int k = 0; k < LD * N; ++k) X[k] = rough();
    for (int k = 0; k < LD * M; ++k) Y[k] = 2 * rough();
    for (int i = 0; i < N; ++i) of_a += a[i] = rough();
    for (int j = 0; j < M; ++j) of_b += b[j] = rough();
    for (int j = 0; j < M; ++j) b[j] *= of_a / of_b;
    /* in one dimension there are two directions, and they agree */
    CHECK_OK(rkn_wasserstein_sliced(NULL, 1, N, X, LD, NULL, M, Y, LD, NULL, 3, 5, 0, &cost, NULL, 0));
    for (int i = 0; i < N; ++i) Z[i] = X[LD * i];
    for (int j = 0; j < M; ++j) G[j] = Y[LD * j];
    CHECK(near_to(cost, cost_of(0, N, Z, NULL, M, G, NULL, 3), 0));
    /* translates by t: each direction e costs |t e|^2, which is |t|^2 / d in the mean */
    for (int k = 0; k < D; ++k) {
        for (int i = 0; i < LD * N; ++i) Z[i] = X[i] + (i % LD == k ? 2 : 0);
        CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, N, Z, LD, a, 2, 4000, k, &cost, NULL, 0));
        CHECK(fabs(cost / of_a - 4.0 / D) < 5 * 4 * sqrt(4.0 / 45 / 4000));
        /* one direction: the gradient points along it, with the same slope for all points */
        CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, NULL, N, Z, LD, NULL, 2, 1, k, &cost, G, LD));
        for (int i = 0; i < N; ++i) {
            double square = 0;
            for (int l = 0; l < D; ++l) square += G[LD * i + l] * G[LD * i + l];
            CHECK(near_to(square * N * N / 4, cost, 1));
            CHECK(near_to(G[LD * i + k] * N / 2, -cost / 2, 1));
        }
    }
    for (int side = -1; side <= 1; side += 2) {    /* and no quadrant is preferred */
        for (int i = 0; i < LD * N; ++i) Z[i] = X[i] + (i % LD == 0 ? 2 : i % LD == 1 ? 2 * side : 0);
        CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, N, Z, LD, a, 2, 4000, side, &cost, NULL, 0));
        CHECK(fabs(cost / of_a - 8.0 / D) < 5 * 8 * sqrt(4.0 / 45 / 4000));
    }
    /* the gradient, by differences; what lies between the columns stays */
    for (int k = 0; k < 4; ++k) {
        const double p = powers[k], h = 1e-6;
        for (int i = 0; i < LD * N; ++i) G[i] = -7;
        CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, M, Y, LD, b, p, 20, 3, &cost, G, LD));
        CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, M, Y, LD, b, p, 20, 3, &again, NULL, 0));
        CHECK(cost == again);
        for (int i = 0; i < N; i += 7)
            for (int l = 0; l < D; ++l) {
                double *const at = &X[LD * i + l], was = *at, more, less;
                *at = was + h;
                CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, M, Y, LD, b, p, 20, 3, &more, NULL, 0));
                *at = was - h;
                CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, M, Y, LD, b, p, 20, 3, &less, NULL, 0));
                *at = was;
                CHECK(fabs((more - less) / (2 * h) - G[LD * i + l]) < 2e-5 * of_a);
            }
        for (int i = 0; i < N; ++i) CHECK(G[LD * i + D] == -7 && G[LD * i + D + 1] == -7);
    }
    /* seeds: of the call and of the context together */
    rkn_context *ctx = NULL;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, M, Y, LD, b, 2, 20, 4, &again, NULL, 0));
    CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, LD, a, M, Y, LD, b, 2, 20, 3, &cost, NULL, 0));
    CHECK(cost != again);
    CHECK_OK(rkn_context_set_int(ctx, "seed", 1));
    CHECK_OK(rkn_wasserstein_sliced(ctx, D, N, X, LD, a, M, Y, LD, b, 2, 20, 3, &cost, NULL, 0));
    CHECK(cost == again);
    rkn_context_destroy(ctx);
}

/* Bits do not depend on threads; large enough that they are used. */
static void test_threads(void) {
    enum { D = 4, N = 3000, M = 2500 };
    double *X = need(D * N * 8), *Y = need(D * M * 8), *G = need(D * N * 8), *H = need(D * N * 8), cost = NAN, again = NAN;
    for (int k = 0; k < D * N; ++k) X[k] = rough();
    for (int k = 0; k < D * M; ++k) Y[k] = rough() + 0.1;
    CHECK_OK(rkn_wasserstein_sliced(NULL, D, N, X, D, NULL, M, Y, D, NULL, 1.5, 37, 1, &cost, G, D));
    for (int threads = 2; threads <= 5; ++threads) {
        rkn_context *ctx = NULL;
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_set_int(ctx, "threads", threads));
        CHECK_OK(rkn_wasserstein_sliced(ctx, D, N, X, D, NULL, M, Y, D, NULL, 1.5, 37, 1, &again, H, D));
        CHECK(cost == again && memcmp(G, H, D * N * 8) == 0);
        rkn_context_destroy(ctx);
    }
    /* many points in one dimension: the gradient on the line */
    CHECK_OK(rkn_wasserstein_sliced(NULL, 1, N, X, 1, NULL, M, Y, 1, NULL, 1.5, 3, 1, &cost, G, 1));
    CHECK_OK(rkn_wasserstein_line_gradient(N, X, NULL, M, Y, NULL, 1.5, &again, H, NULL, NULL, NULL));
    double off = fabs(cost - again);
    for (int i = 0; i < N; ++i) off = fmax(off, fabs(G[i] - H[i]));
    CHECK(off < 1e-15);
    free(X), free(Y), free(G), free(H);
}

static void test_refusals(void) {
    const double x[3] = {0, 1, 2}, y[2] = {1, 3}, a[3] = {1, 2, 1}, b[2] = {2, 2}, more[2] = {2, 2.001}, minus[2] = {5, -1};
    const double nan[3] = {0, NAN, 1}, inf[2] = {1, INFINITY}, zero[3] = {0, 0, 0}, far[2] = {1e300, -1e300}, huge[2] = {1e308, 1e308};
    double cost = -7, f[3] = {-7, -7, -7}, g[2] = {-7, -7}, mass[4] = {-7, -7, -7, -7};
    int64_t rows[4] = {-7, -7, -7, -7}, columns[4] = {-7, -7, -7, -7}, entries = -7;
    const char *name = "rkn_wasserstein_line";
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, b, 2, NULL), RKN_ERR_NULL, name, "cost");
    CHECK_REFUSED(rkn_wasserstein_line(3, NULL, a, 2, y, b, 2, &cost), RKN_ERR_NULL, name, "x");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, NULL, b, 2, &cost), RKN_ERR_NULL, name, "y");
    CHECK_REFUSED(rkn_wasserstein_line(0, x, a, 2, y, b, 2, &cost), RKN_ERR_SIZE, name, "n");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 0, y, b, 2, &cost), RKN_ERR_SIZE, name, "m");
    CHECK_REFUSED(rkn_wasserstein_line(-3, x, a, 2, y, b, 2, &cost), RKN_ERR_SIZE, name, "n");
    CHECK_REFUSED(rkn_wasserstein_line(INT64_MAX, x, a, 2, y, b, 2, &cost), RKN_ERR_SIZE, name, "x");
    CHECK_REFUSED(rkn_wasserstein_line(3, nan, a, 2, y, b, 2, &cost), RKN_ERR_NONFINITE, name, "x");
    CHECK_SAYS("position 1");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, inf, b, 2, &cost), RKN_ERR_NONFINITE, name, "y");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, nan, 2, y, b, 2, &cost), RKN_ERR_NONFINITE, name, "a");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, inf, 2, &cost), RKN_ERR_NONFINITE, name, "b");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, minus, 2, &cost), RKN_ERR_ARGUMENT, name, "b");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, more, 2, &cost), RKN_ERR_ARGUMENT, name, "b");
    CHECK_SAYS("mass");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, zero, 2, y, NULL, 2, &cost), RKN_ERR_ARGUMENT, name, "a");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, NULL, 2, y, huge, 2, &cost), RKN_ERR_ARGUMENT, name, "b");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, b, 0.5, &cost), RKN_ERR_ARGUMENT, name, "p");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, b, NAN, &cost), RKN_ERR_ARGUMENT, name, "p");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, y, b, INFINITY, &cost), RKN_ERR_ARGUMENT, name, "p");
    CHECK_REFUSED(rkn_wasserstein_line(3, x, a, 2, far, b, 2, &cost), RKN_ERR_NONFINITE, name, "");
    CHECK_REFUSED(rkn_wasserstein_line(3, (const double *)((const char *)x + 1), a, 2, y, b, 2, &cost), RKN_ERR_ARGUMENT, name, "x");
    name = "rkn_wasserstein_line_plan";
    CHECK_REFUSED(rkn_wasserstein_line_plan(3, x, a, 2, y, b, rows, columns, mass, 2, &entries), RKN_ERR_SIZE, name, "cap");
    CHECK(entries == 4);
    CHECK_REFUSED(rkn_wasserstein_line_plan(3, x, a, 2, y, b, rows, columns, mass, 0, NULL), RKN_ERR_SIZE, name, "cap");
    CHECK_REFUSED(rkn_wasserstein_line_plan(3, x, a, 2, y, b, NULL, columns, mass, 4, NULL), RKN_ERR_NULL, name, "rows");
    CHECK_REFUSED(rkn_wasserstein_line_plan(3, x, a, 2, y, b, rows, NULL, mass, 4, NULL), RKN_ERR_NULL, name, "columns");
    CHECK_REFUSED(rkn_wasserstein_line_plan(3, x, a, 2, y, b, rows, columns, NULL, 4, NULL), RKN_ERR_NULL, name, "masses");
    name = "rkn_wasserstein_line_gradient";
    CHECK_REFUSED(rkn_wasserstein_line_gradient(3, nan, a, 2, y, b, 2, &cost, f, g, f, g), RKN_ERR_NONFINITE, name, "x");
    CHECK_REFUSED(rkn_wasserstein_line_gradient(3, x, a, 2, y, b, 2, &cost, f, g, f, (double *)((char *)g + 1)), RKN_ERR_ARGUMENT, name, "g");
    CHECK_REFUSED(rkn_wasserstein_line_gradient(3, x, a, 2, far, zero, 2, &cost, f, g, f, g), RKN_ERR_ARGUMENT, name, "b");
    CHECK_REFUSED(rkn_wasserstein_line_gradient(3, x, a, 2, far, b, 2, &cost, f, g, f, g), RKN_ERR_NONFINITE, name, "");
    name = "rkn_wasserstein_circle";
    CHECK_REFUSED(rkn_wasserstein_circle(0, 3, x, a, 2, y, b, 2, &cost), RKN_ERR_ARGUMENT, name, "period");
    CHECK_REFUSED(rkn_wasserstein_circle(-1, 3, x, a, 2, y, b, 2, &cost), RKN_ERR_ARGUMENT, name, "period");
    CHECK_REFUSED(rkn_wasserstein_circle(NAN, 3, x, a, 2, y, b, 2, &cost), RKN_ERR_ARGUMENT, name, "period");
    CHECK_REFUSED(rkn_wasserstein_circle(INFINITY, 3, x, a, 2, y, b, 2, &cost), RKN_ERR_ARGUMENT, name, "period");
    CHECK_REFUSED(rkn_wasserstein_circle(1, 3, x, nan, 2, y, b, 2, &cost), RKN_ERR_NONFINITE, name, "a");
    CHECK_REFUSED(rkn_wasserstein_circle(1, 3, x, a, 2, y, b, 0, &cost), RKN_ERR_ARGUMENT, name, "p");
    CHECK_REFUSED(rkn_wasserstein_circle_plan(1, 3, x, a, 2, y, b, 2, rows, columns, mass, 1, NULL), RKN_ERR_SIZE, "rkn_wasserstein_circle_plan", "cap");
    CHECK_REFUSED(rkn_wasserstein_circle_gradient(0, 3, x, a, 2, y, b, 2, &cost, f, g, f, g), RKN_ERR_ARGUMENT, "rkn_wasserstein_circle_gradient", "period");
    name = "rkn_wasserstein_sliced";
    CHECK_REFUSED(rkn_wasserstein_sliced((rkn_context *)(uintptr_t)0x51, 1, 3, x, 1, a, 2, y, 1, b, 2, 9, 0, &cost, f, 1), RKN_ERR_HANDLE, name, "ctx");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 0, 3, x, 1, a, 2, y, 1, b, 2, 9, 0, &cost, f, 1), RKN_ERR_SIZE, name, "d");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, y, 1, b, 2, 0, 0, &cost, f, 1), RKN_ERR_SIZE, name, "projections");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 0, a, 2, y, 1, b, 2, 9, 0, &cost, f, 1), RKN_ERR_SIZE, name, "ldx");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, y, 0, b, 2, 9, 0, &cost, f, 1), RKN_ERR_SIZE, name, "ldy");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, y, 1, b, 2, 9, 0, &cost, f, 0), RKN_ERR_SIZE, name, "ldgx");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, nan, 1, a, 2, y, 1, b, 2, 9, 0, &cost, f, 1), RKN_ERR_NONFINITE, name, "X");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, inf, 1, b, 2, 9, 0, &cost, f, 1), RKN_ERR_NONFINITE, name, "Y");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, y, 1, more, 2, 9, 0, &cost, f, 1), RKN_ERR_ARGUMENT, name, "b");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, y, 1, b, 0.9, 9, 0, &cost, f, 1), RKN_ERR_ARGUMENT, name, "p");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, far, 1, b, 2, 9, 0, &cost, f, 1), RKN_ERR_NONFINITE, name, "");
    CHECK_REFUSED(rkn_wasserstein_sliced(NULL, 1, 3, x, 1, a, 2, y, 1, b, 2, 9, 0, NULL, f, 1), RKN_ERR_NULL, name, "cost");
    CHECK(cost == -7 && f[0] == -7 && g[1] == -7 && mass[0] == -7 && rows[0] == -7 && columns[0] == -7);
}

int main(void) {
    test_assignments();
    test_weights();
    test_peers();
    test_certificates();
    test_median();
    test_gradients();
    test_invariances();
    test_degenerate();
    test_sliced();
    test_threads();
    test_refusals();
    return done();
}
