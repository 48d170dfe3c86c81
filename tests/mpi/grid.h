/* grid.h: the five-point Laplacian on a grid of nx by ny points, its rows dealt out to ranks in strips, with
 * eigenfunctions in closed form; callbacks that apply it and precondition it, and that fail when told to. */
#ifndef GRID_H
#define GRID_H

#include "check.h"

static const double PI = 3.14159265358979323846;

typedef struct grid {
    MPI_Comm comm;
    int nx, ny;
    int first, rows;      /* this rank holds rows first .. first + rows - 1 */
    int south, north;     /* ranks that hold the rows next to them, or MPI_PROC_NULL */
    int shared;           /* rows that two neighbours both hold: 0 or 1 */
    int parts;            /* doubles a number: 1 real, 2 complex */
    int neumann;          /* 0: zero outside the grid; 1: no flux through the rim */
    double *padded;       /* this rank's rows between one row of each neighbour */
} grid;

/* share[r] rows for rank r; they add up to ny. */
static inline grid grid_create(MPI_Comm comm, int nx, int ny, const int *share, int shared) {
    grid g = {comm, nx, ny, 0, 0, MPI_PROC_NULL, MPI_PROC_NULL, shared, 1, 0, NULL};
    int me, ranks;
    MPI_Comm_rank(comm, &me);
    MPI_Comm_size(comm, &ranks);
    for (int r = 0; r < me; ++r) {
        g.first += share[r];
        if (share[r] && share[me]) g.south = r;
    }
    for (int r = ranks - 1; r > me; --r)
        if (share[r] && share[me]) g.north = r;
    g.rows = share[me] + (g.north != MPI_PROC_NULL ? shared : 0);
    g.padded = numbers((int64_t)2 * nx * (g.rows + 2));
    return g;
}

/* All ranks of the program, rows dealt out as evenly as can be. */
static inline grid grid_of_world(int nx, int ny, int shared) {
    int *share = (int *)need((size_t)all_ranks, sizeof *share);
    for (int r = 0; r < all_ranks; ++r) share[r] = ny / all_ranks + (r < ny % all_ranks);
    grid g = grid_create(MPI_COMM_WORLD, nx, ny, share, shared);
    free(share);
    return g;
}

/* The whole grid on each rank, without any message. */
/* All ranks but the second share the rows. */
static inline grid grid_with_gap(int nx, int ny) {
    int *share = (int *)need((size_t)all_ranks, sizeof *share);
    const int holders = all_ranks > 1 ? all_ranks - 1 : 1;
    for (int r = 0, k = 0; r < all_ranks; ++r)
        if (r != 1) share[r] = ny / holders + (k++ < ny % holders);
    grid g = grid_create(MPI_COMM_WORLD, nx, ny, share, 0);
    free(share);
    return g;
}

static inline grid grid_of_self(int nx, int ny) { return grid_create(MPI_COMM_SELF, nx, ny, &ny, 0); }

static inline void grid_destroy(grid *g) { free(g->padded); }

static inline int64_t grid_size(const grid *g) { return (int64_t)g->nx * g->rows; }

static inline void exchange(grid *g) {
    const int row = g->nx * g->parts;
    double *low = g->padded + row, *high = g->padded + (size_t)row * g->rows;
    MPI_Sendrecv(low + row * g->shared, row, MPI_DOUBLE, g->south, 1, high + row, row, MPI_DOUBLE, g->north, 1, g->comm, MPI_STATUS_IGNORE);
    MPI_Sendrecv(high - row * g->shared, row, MPI_DOUBLE, g->north, 2, g->padded, row, MPI_DOUBLE, g->south, 2, g->comm, MPI_STATUS_IGNORE);
}

/* y <- A x, both of grid_size(g) numbers. */
static inline void laplacian(grid *g, const double *x, double *y) {
    const int row = g->nx * g->parts, step = g->parts;
    memcpy(g->padded + row, x, sizeof(double) * (size_t)(row * g->rows));
    if (g->rows) exchange(g);
    for (int j = 0; j < g->rows; ++j)
        for (int i = 0; i < row; ++i) {
            const double *c = g->padded + (size_t)row * (j + 1) + i;
            const double beyond = g->neumann ? *c : 0;
            const double west = i >= step ? c[-step] : beyond, east = i < row - step ? c[step] : beyond;
            const double south = g->first + j > 0 ? c[-row] : beyond, north = g->first + j < g->ny - 1 ? c[row] : beyond;
            y[row * j + i] = 4 * *c - west - east - south - north;
        }
}

/* ---- closed form: a combination of all eigenfunctions, and A times it ------------------------
 * All of them: rounding in a mode that b lacks would grow with the iterations, and counts would depend on it. */

static inline double mode(const grid *g, int k, int i, int n) {
    return g->neumann ? cos(PI * k * (i + 0.5) / n) : sin(PI * (k + 1) * (i + 1) / (n + 1));
}

static inline double eigenvalue(const grid *g, int k, int n) {
    const double s = g->neumann ? sin(PI * k / (2.0 * n)) : sin(PI * (k + 1) / (2.0 * (n + 1)));
    return 4 * s * s;
}

/* One factor of the product below at point i of n: without (out[0]) and with the eigenvalues (out[1]). */
static inline void factor(const grid *g, int seed, int i, int n, double out[2]) {
    out[0] = out[1] = 0;
    /* A constant, the first mode without flux, is not in A's range. */
    for (int k = g->neumann; k < n; ++k) {
        const double v = cos(1.0 + seed + 3 * k) / (1 + k) * mode(g, k, i, n);
        out[0] += v;
        out[1] += eigenvalue(g, k, n) * v;
    }
}

/* u and b = A u; each seed has other coefficients. Complex numbers get (1 - 2i) times the real ones. */
static inline void exact(const grid *g, int seed, double *u, double *b) {
    for (int j = 0; j < g->rows; ++j)
        for (int i = 0; i < g->nx; ++i) {
            double along[2], up[2];
            factor(g, seed, i, g->nx, along);
            factor(g, seed + 1, g->first + j, g->ny, up);
            const double value = along[0] * up[0], image = along[1] * up[0] + along[0] * up[1];
            double *at_u = u + (size_t)g->parts * (g->nx * j + i), *at_b = b + (size_t)g->parts * (g->nx * j + i);
            at_u[0] = value;
            at_b[0] = image;
            if (g->parts == 2) at_u[1] = -2 * value, at_b[1] = -2 * image;
        }
}

/* The largest |x_i - u_i| of all ranks over the largest |u_i|. */
static inline double error_of(const grid *g, const double *x, const double *u) {
    double most[2] = {0, 0}, all[2];
    for (int64_t i = 0; i < grid_size(g) * g->parts; ++i) {
        const double d = fabs(x[i] - u[i]);
        if (!(d <= most[0])) most[0] = isnan(d) ? INFINITY : d;
        if (fabs(u[i]) > most[1]) most[1] = fabs(u[i]);
    }
    MPI_Allreduce(most, all, 2, MPI_DOUBLE, MPI_MAX, g->comm);
    return all[0] / all[1];
}

/* ---- callbacks ---- */

/* The `user` of an operator: the grid, and at which of its calls it returns `value`; 0 is never. It fails after
   its exchange, as it must. */
typedef struct part {
    grid *g;
    int64_t calls, fail_at;
    int32_t value;
} part;

static inline int32_t outcome_of(part *p) { return ++p->calls == p->fail_at ? p->value : 0; }

static inline int32_t apply_laplacian(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    part *p = (part *)user;
    (void)trans;
    for (int64_t j = 0; j < ncols; ++j)
        laplacian(p->g, (const double *)x + j * ldx * p->g->parts, (double *)y + j * ldy * p->g->parts);
    return outcome_of(p);
}

/* y <- x / 4: the diagonal's inverse, without any message. */
static inline int32_t apply_jacobi(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    part *p = (part *)user;
    const int64_t n = grid_size(p->g) * p->g->parts;
    (void)trans;
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < n; ++i) ((double *)y)[j * ldy * p->g->parts + i] = 0.25 * ((const double *)x)[j * ldx * p->g->parts + i];
    return outcome_of(p);
}

/* y <- p(A) x with 1 - t p(t) = (1 - t / 8)^3: positive definite, and it exchanges rows. */
static inline int32_t apply_polynomial(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    part *p = (part *)user;
    const int64_t n = grid_size(p->g) * p->g->parts;
    double *image = numbers(n);
    (void)trans;
    for (int64_t j = 0; j < ncols; ++j) {
        const double *from = (const double *)x + j * ldx * p->g->parts;
        double *to = (double *)y + j * ldy * p->g->parts;
        for (int64_t i = 0; i < n; ++i) to[i] = from[i] / 8;
        for (int sweep = 0; sweep < 2; ++sweep) {
            laplacian(p->g, to, image);
            for (int64_t i = 0; i < n; ++i) to[i] += (from[i] - image[i]) / 8;
        }
    }
    free(image);
    return outcome_of(p);
}

static inline rkn_operator *operator_of(const rkn_context *ctx, rkn_apply_fn apply, part *p) {
    rkn_operator *A = NULL;
    const int64_t n = grid_size(p->g);
    EXPECT_OK(rkn_operator_create_callback(ctx, p->g->parts == 2 ? RKN_C64 : RKN_F64, n, n, apply, p, NULL, &A));
    return A;
}

static inline rkn_krylov *solver_of(const rkn_context *ctx, const char *method, const char *options) {
    rkn_krylov *s = NULL;
    EXPECT_OK(rkn_krylov_create(ctx, method, &s));
    EXPECT_OK(rkn_krylov_set_options(s, options));
    return s;
}

static inline rkn_context *attached(void) {
    rkn_context *ctx = NULL;
    EXPECT_OK(rkn_context_create(&ctx));
    EXPECT_OK(rkn_mpi_attach(ctx, MPI_COMM_WORLD));
    return ctx;
}

#endif
