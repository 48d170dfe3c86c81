/* Sixteen heaters on a plate: one matrix, sixteen right-hand sides, solved at once and one after the other.
 *
 *   -div(k grad T) = q,   T in kelvin above the coolant
 *
 * A steel plate of 60 mm a side carries sixteen square inlays of copper, four in a row, with a heater under each. Its
 * lower edge is cooled, the others are insulated. Whoever wants to know which heaters to switch on asks for the
 * influence matrix G: G(i, j) is how warm inlay i gets for each watt of heater j. That takes a solution for each
 * heater, of systems that differ in nothing but the right-hand side.
 *
 * rkn_krylov_solve_block takes them in lockstep: a step of all sixteen takes one call of the operator, and under MPI one
 * sum over ranks, where sixteen solves take sixteen. Each column gets the numbers that it gets alone, and ends
 * when its own residual is small enough.
 *
 * What that is worth depends on what a call costs. A product by five entries a row costs next to nothing, and sixteen
 * columns under way do not fit into the cache where one does: on a plate in one process, one after the other may well
 * be the faster way. Where a call sends messages, starts a kernel on a device or reads a large matrix, count calls.
 *
 * The matrix is applied through a callback, which counts; the preconditioner, an incomplete Cholesky factor, is made from
 * the matrix itself.
 *
 * Usage: many_sides [cells a side, 128]
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <reknit.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROW = 4, HEATERS = ROW * ROW };

static const double copper = 390.0, steel = 15.0; /* W/(m K); a plate of 1 m thickness, so that W/m are W */

/* Ends the program with the library's message if a call failed. */
static void check(rkn_status status) {
    if (status < 0) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

static void *allocate(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the plate ------------------------------------------------------------------------------ */

/* The heater under cell (i, j), -1 where there is none: an inlay is the middle half of its field. */
static int heater_at(int n, int i, int j) {
    const int u = ROW * i % n, v = ROW * j % n;
    return 4 * u >= n && 4 * u < 3 * n && 4 * v >= n && 4 * v < 3 * n ? ROW * i / n + ROW * (ROW * j / n) : -1;
}
static double conductivity(int n, int i, int j) { return heater_at(n, i, j) < 0 ? steel : copper; }
static double harmonic(double a, double b) { return 2.0 * a * b / (a + b); }

/* Cell-centred finite volumes; `ptr`, `col` and `val` get the matrix. */
static void assemble(int n, int32_t *ptr, int32_t *col, double *val) {
    int32_t at = 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) {
            const int32_t cell = j * n + i;
            const double k = conductivity(n, i, j);
            const double south = j > 0 ? harmonic(k, conductivity(n, i, j - 1)) : 2.0 * k;
            const double west = i > 0 ? harmonic(k, conductivity(n, i - 1, j)) : 0.0;
            const double east = i < n - 1 ? harmonic(k, conductivity(n, i + 1, j)) : 0.0;
            const double north = j < n - 1 ? harmonic(k, conductivity(n, i, j + 1)) : 0.0;
            if (j > 0) col[at] = cell - n, val[at++] = -south;
            if (i > 0) col[at] = cell - 1, val[at++] = -west;
            col[at] = cell, val[at++] = south + west + east + north;
            if (i < n - 1) col[at] = cell + 1, val[at++] = -east;
            if (j < n - 1) col[at] = cell + n, val[at++] = -north;
            ptr[cell + 1] = at;
        }
}

/* How many cells a heater has, and one watt spread over them, in column h of `b` for heater h. */
static int heat(int n, double *b) {
    int cells = 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) cells += heater_at(n, i, j) == 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) {
            const int h = heater_at(n, i, j);
            if (h >= 0) b[(size_t)h * n * n + j * n + i] = 1.0 / cells;
        }
    return cells;
}

/* ---- the matrix, counted -------------------------------------------------------------------- */

typedef struct counter {
    const rkn_operator *A;
    int calls, columns;
} counter;

static int32_t count_and_apply(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y,
                               int64_t ldy) {
    counter *c = user;
    ++c->calls;
    c->columns += (int)ncols;
    return rkn_operator_apply(c->A, trans, ncols, x, ldx, y, ldy);
}

/* A way to solve for all heaters: iterations of the longest solve and products, in so many seconds. */
static void print_row(const char *way, int64_t iterations, const counter *c, double seconds) {
    printf("%-10s  %10d  %10d  %7d  %7.3f\n", way, (int)iterations, c->calls, c->columns, seconds);
}

int main(int argc, char **argv) {
    const int n = argc > 1 ? atoi(argv[1]) : 128;
    if (n < 16 || n > 8192 || n % 16 != 0) {
        fprintf(stderr, "usage: many_sides [cells a side, a multiple of 16]\n");
        return 2;
    }
    const int64_t cells = (int64_t)n * n;
    int32_t *ptr = allocate(((size_t)cells + 1) * sizeof *ptr), *col = allocate(5 * (size_t)cells * sizeof *col);
    double *val = allocate(5 * (size_t)cells * sizeof *val);
    double *b = allocate(HEATERS * (size_t)cells * sizeof *b);
    double *x = allocate(HEATERS * (size_t)cells * sizeof *x), *y = allocate(HEATERS * (size_t)cells * sizeof *y);
    assemble(n, ptr, col, val);
    const int heated = heat(n, b);

    rkn_operator *A, *counted, *M;
    rkn_krylov *s;
    counter together = {0}, alone = {0};
    int64_t iterations, longest = 0;
    check(rkn_operator_create_csr(NULL, RKN_F64, cells, cells, RKN_I32, 0, ptr, col, val, RKN_BORROW, &A));
    check(rkn_operator_create_preconditioner(NULL, A, "ic0", &M));
    check(rkn_krylov_create(NULL, "cg", &s));
    check(rkn_krylov_set_options(s, "rtol=1e-10"));

    printf("%d heaters on a plate of %d x %d cells, cg + ic0, relative residual 1e-10\n", HEATERS, n, n);
    printf("            iterations  calls of A  columns  seconds\n");
    together.A = alone.A = A;
    check(rkn_operator_create_callback(NULL, RKN_F64, cells, cells, count_and_apply, &together, NULL, &counted));
    double start = now();
    check(rkn_krylov_solve_block(s, counted, M, HEATERS, b, cells, x, cells));
    double seconds = now() - start;
    check(rkn_krylov_get_int(s, "iterations", &iterations));
    print_row("at once", iterations, &together, seconds);
    rkn_operator_destroy(counted);

    check(rkn_operator_create_callback(NULL, RKN_F64, cells, cells, count_and_apply, &alone, NULL, &counted));
    start = now();
    for (int h = 0; h < HEATERS; ++h) {
        check(rkn_krylov_solve(s, counted, M, b + h * cells, y + h * cells));
        check(rkn_krylov_get_int(s, "iterations", &iterations));
        if (iterations > longest) longest = iterations;
    }
    seconds = now() - start;
    print_row("one by one", longest, &alone, seconds);
    rkn_operator_destroy(counted);

    /* G is symmetric, and every watt leaves by the cooled edge. */
    double apart = 0.0, hottest = 0.0, G[HEATERS][HEATERS] = {{0.0}}, skew = 0.0, lost = 0.0;
    for (int h = 0; h < HEATERS; ++h) {
        double watts = 0.0;
        for (int64_t c = 0; c < cells; ++c) {
            const double t = x[h * cells + c];
            const int i = (int)(c % n), j = (int)(c / n), under = heater_at(n, i, j);
            if (under >= 0) G[under][h] += t / heated;
            if (j == 0) watts += 2.0 * conductivity(n, i, j) * t;
            hottest = fmax(hottest, t);
            apart = fmax(apart, fabs(t - y[h * cells + c]));
        }
        lost = fmax(lost, fabs(watts - 1.0));
    }
    for (int h = 0; h < HEATERS; ++h)
        for (int g = 0; g < h; ++g) skew = fmax(skew, fabs(G[g][h] - G[h][g]));
    printf("largest difference of temperatures: %.1e of %.6f K\n", apart, hottest);
    printf("G is symmetric to %.1e, a watt in is a watt out to %.1e\n", skew / hottest, lost);

    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    free(ptr), free(col), free(val), free(b), free(x), free(y);
    return 0;
}
