/* Poisson's equation on the unit square, its grid dealt out to MPI ranks in strips of rows.
 *
 *   -(d2u/dx2 + d2u/dy2) = f,   u = 0 on the rim,   five-point differences, n x n inner points
 *
 * The library sees each rank's entries only. Two callbacks do the rest: the operator fetches a row from
 * either neighbour, the preconditioner solves with an incomplete factor of the strip's own matrix. Sums
 * over ranks come from reknit_mpi.h.
 *
 * CG, GMRES and GCRO-DR solve two systems each, with the same matrix and right-hand sides whose discrete
 * solutions are known: differences are exact for cubics. GCRO-DR needs fewer iterations the second time.
 *
 *   mpicc mpi_poisson.c -lreknit -lm
 *   mpirun -n 3 ./a.out [n, 120]
 */
#include <reknit_mpi.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Ends all ranks with the library's message if a call failed here. */
static void check(rkn_status status) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", rkn_status_name(status), rkn_last_error());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void *allocate(int64_t count, size_t bytes) {
    void *p = calloc((size_t)count + 1, bytes);
    if (!p) MPI_Abort(MPI_COMM_WORLD, 1);
    return p;
}

/* ---- the strip of this rank ------------------------------------------------------------------ */

typedef struct strip {
    int n;               /* points a row */
    int first, rows;     /* this rank's rows of the grid */
    int below, above;    /* neighbours, MPI_PROC_NULL at the rim */
    double *padded;      /* a copy of a vector between the neighbours' nearest rows */
    rkn_operator *ilu;   /* of the strip's own matrix */
} strip;

static strip strip_create(int n) {
    strip g = {.n = n};
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    g.first = (int)((int64_t)n * rank / ranks);
    g.rows = (int)((int64_t)n * (rank + 1) / ranks) - g.first;
    g.below = rank > 0 ? rank - 1 : MPI_PROC_NULL;
    g.above = rank < ranks - 1 ? rank + 1 : MPI_PROC_NULL;
    g.padded = allocate((int64_t)n * (g.rows + 2), sizeof *g.padded);
    return g;
}

/* y <- A x for each column: the operator of the library, rkn_apply_fn. A is symmetric, so `trans` is of no concern. */
static int32_t apply(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    strip *g = user;
    const int n = g->n;
    double *first = g->padded + n, *last = g->padded + (size_t)n * g->rows;
    (void)trans;
    for (int64_t k = 0; k < ncols; ++k) {
        double *to = (double *)y + k * ldy;
        memcpy(first, (const double *)x + k * ldx, sizeof(double) * (size_t)n * g->rows);
        MPI_Sendrecv(first, n, MPI_DOUBLE, g->below, 0, last + n, n, MPI_DOUBLE, g->above, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Sendrecv(last, n, MPI_DOUBLE, g->above, 1, g->padded, n, MPI_DOUBLE, g->below, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        for (int j = 0; j < g->rows; ++j)
            for (int i = 0; i < n; ++i) {
                const double *c = first + (size_t)n * j + i;
                const double west = i > 0 ? c[-1] : 0, east = i < n - 1 ? c[1] : 0;
                to[(size_t)n * j + i] = 4 * *c - west - east - c[-n] - c[n];
            }
    }
    return 0;
}

/* y <- M x: an operator of the library inside a callback of the library. M knows nothing of the neighbours; a
   coarse grid for all ranks would stand here. A nonzero status ends the solve on all ranks. */
static int32_t precondition(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    const strip *g = user;
    return rkn_operator_apply(g->ilu, trans, ncols, x, ldx, y, ldy);
}

/* The factor of the strip's own matrix, links to the neighbours left out. */
static rkn_operator *factor_strip(const rkn_context *ctx, const strip *g) {
    const int n = g->n, rows = g->n * g->rows;
    int32_t *ptr = allocate(rows + 1, sizeof *ptr), *col = allocate(5 * (int64_t)rows, sizeof *col), at = 0;
    double *val = allocate(5 * (int64_t)rows, sizeof *val);
    for (int row = 0; row < rows; ++row) {
        const int i = row % n, links[5] = {row - n, i > 0 ? row - 1 : -1, row, i < n - 1 ? row + 1 : -1, row + n};
        for (int k = 0; k < 5; ++k)
            if (links[k] >= 0 && links[k] < rows) {
                col[at] = links[k];
                val[at++] = k == 2 ? 4 : -1;
            }
        ptr[row + 1] = at;
    }
    rkn_operator *A = NULL, *M = NULL;
    check(rkn_operator_create_csr(ctx, RKN_F64, rows, rows, RKN_I32, 0, ptr, col, val, RKN_COPY, &A));
    check(rkn_operator_create_preconditioner(ctx, A, "ic levels=1", &M));
    rkn_operator_destroy(A);    /* M keeps what it needs of it */
    free(ptr), free(col), free(val);
    return M;
}

/* u = x (1 - x) y (1 - y), then u = x (1 - x^2) y (1 - y); b = h^2 f. */
static void problem(const strip *g, int system, double *u, double *b) {
    const double h = 1.0 / (g->n + 1);
    for (int j = 0; j < g->rows; ++j)
        for (int i = 0; i < g->n; ++i) {
            const double x = (i + 1) * h, y = (g->first + j + 1) * h;
            const double along = system == 0 ? x * (1 - x) : x * (1 - x * x), curvature = system == 0 ? 2 : 6 * x;
            u[(size_t)g->n * j + i] = along * y * (1 - y);
            b[(size_t)g->n * j + i] = h * h * (curvature * y * (1 - y) + 2 * along);
        }
}

static double largest_error(const strip *g, const double *x, const double *u) {
    double local = 0, all = 0;
    for (int64_t i = 0; i < (int64_t)g->n * g->rows; ++i) local = fmax(local, fabs(x[i] - u[i]));
    MPI_Allreduce(&local, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return all;
}

/* ---- three methods, two systems each ---------------------------------------------------------- */

static int64_t count(const rkn_krylov *s, const char *key) {
    int64_t value = 0;
    check(rkn_krylov_get_int(s, key, &value));
    return value;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const int n = argc > 1 ? atoi(argv[1]) : 120;
    if (n < ranks || n > 20000) {
        if (rank == 0) fprintf(stderr, "usage: mpi_poisson [points a row, at least one for each rank]\n");
        MPI_Finalize();
        return 2;
    }

    rkn_context *ctx = NULL;
    check(rkn_context_create(&ctx));
    check(rkn_mpi_attach(ctx, MPI_COMM_WORLD));

    strip g = strip_create(n);
    const int64_t size = (int64_t)n * g.rows;
    g.ilu = factor_strip(ctx, &g);
    rkn_operator *A = NULL, *M = NULL;
    check(rkn_operator_create_callback(ctx, RKN_F64, size, size, apply, &g, NULL, &A));
    check(rkn_operator_create_callback(ctx, RKN_F64, size, size, precondition, &g, NULL, &M));
    double *u = allocate(size, sizeof *u), *b = allocate(size, sizeof *b), *x = allocate(size, sizeof *x);

    if (rank == 0) {
        printf("Poisson, %d x %d points on %d %s\n\n", n, n, ranks, ranks == 1 ? "rank" : "ranks");
        printf("method   system  iterations  applies  reductions  residual   error\n");
    }
    const char *const methods[] = {"cg", "gmres", "gcrodr"};
    const char *const options[] = {"rtol=1e-9", "rtol=1e-9 restart=30", "rtol=1e-9 restart=30 recycle=10"};
    int missed = 0;
    for (int m = 0; m < 3; ++m) {
        rkn_krylov *s = NULL;
        check(rkn_krylov_create(ctx, methods[m], &s));
        check(rkn_krylov_set_options(s, options[m]));
        for (int system = 0; system < 2; ++system) {
            problem(&g, system, u, b);
            const rkn_status status = rkn_krylov_solve(s, A, M, b, x);
            check(status);
            double residual = 0;
            check(rkn_krylov_get_real(s, "relative_residual", &residual));
            const double error = largest_error(&g, x, u);
            missed += status != RKN_OK;
            if (rank == 0)
                printf("%-8s %6d  %10lld  %7lld  %10lld  %.1e  %.1e\n", methods[m], system + 1, (long long)count(s, "iterations"),
                       (long long)count(s, "applies"), (long long)count(s, "reductions"), residual, error);
        }
        rkn_krylov_destroy(s);
    }

    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    rkn_operator_destroy(g.ilu);
    rkn_context_destroy(ctx);    /* with the last handle made with it goes the duplicated communicator */
    free(g.padded), free(u), free(b), free(x);
    MPI_Finalize();
    return missed > 0;
}
