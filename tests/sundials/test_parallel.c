/* The SUNLinearSolver on vectors that are spread over ranks. Without SUNLINSOL_REKNIT_MPI: that they are refused. */
#include <mpi.h>

#include "check.h"

#include <nvector/nvector_parallel.h>

static int rank, ranks;

#ifdef SUNLINSOL_REKNIT_MPI
enum { GLOBAL = 240 };
static int first, local;    /* rows of this rank */

typedef struct host {
    int calls, fail_at, failing_rank, flag, psolves;
    double shift;
} host;

/* A row's neighbours may live on the next rank: one number to each side. */
static int atimes(void *data, N_Vector v, N_Vector z) {
    host *h = data;
    const double *x = N_VGetArrayPointer(v);
    double *y = N_VGetArrayPointer(z), below = 0, above = 0;
    const int down = rank ? rank - 1 : MPI_PROC_NULL, up = rank + 1 < ranks ? rank + 1 : MPI_PROC_NULL;
    MPI_Sendrecv(x, 1, MPI_DOUBLE, down, 0, &above, 1, MPI_DOUBLE, up, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Sendrecv(x + local - 1, 1, MPI_DOUBLE, up, 1, &below, 1, MPI_DOUBLE, down, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int i = 0; i < local; ++i) {
        const int g = first + i;
        y[i] = entry(g, g, h->shift) * x[i];
        if (g > 0) y[i] += entry(g, g - 1, 0) * (i ? x[i - 1] : below);
        if (g + 1 < GLOBAL) y[i] += entry(g, g + 1, 0) * (i + 1 < local ? x[i + 1] : above);
    }
    return ++h->calls == h->fail_at && rank == h->failing_rank ? h->flag : 0;
}

static int psolve(void *data, N_Vector r, N_Vector z, realtype tol, int side) {
    host *h = data;
    (void)tol, (void)side;
    const double *from = N_VGetArrayPointer(r);
    double *to = N_VGetArrayPointer(z);
    for (int i = 0; i < local; ++i) to[i] = from[i] / entry(first + i, first + i, h->shift);
    return ++h->psolves == -h->fail_at && rank == h->failing_rank ? h->flag : 0;
}

/* The same on all ranks, and true on all. */
static int on_all(int ok) {
    int all = 0;
    MPI_Allreduce(&ok, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all;
}

static int solve(SUNLinearSolver S, N_Vector x, N_Vector b, double tol) {
    SUNLinSolSetZeroGuess(S, SUNTRUE);
    return SUNLinSolSolve(S, NULL, x, b, tol);
}

/* ||S1 D^-1 (b - A x)|| by hand: the whole of x and b on each rank, and the formula of the entries; D as p says. */
static double norm_by_hand(const host *h, N_Vector x, N_Vector b, N_Vector s1, int is_left) {
    double all[3][GLOBAL], r[GLOBAL], sum = 0;
    int counts[16], starts[16];
    for (int k = 0; k < ranks; ++k) starts[k] = GLOBAL * k / ranks, counts[k] = GLOBAL * (k + 1) / ranks - starts[k];
    N_Vector part[3] = {x, b, s1};
    for (int k = 0; k < 3; ++k)
        MPI_Allgatherv(N_VGetArrayPointer(part[k]), local, MPI_DOUBLE, all[k], counts, starts, MPI_DOUBLE, MPI_COMM_WORLD);
    residual_of(GLOBAL, h->shift, all[0], all[1], r);
    for (int i = 0; i < GLOBAL; ++i) {
        const double t = all[2][i] * r[i] / (is_left ? entry(i, i, h->shift) : 1);
        sum += t * t;
    }
    return sqrt(sum);
}

static void run(SUNContext ctx) {
    MPI_Comm comm = MPI_COMM_WORLD;
    first = GLOBAL * rank / ranks, local = GLOBAL * (rank + 1) / ranks - first;
    N_Vector x = N_VNew_Parallel(comm, local, GLOBAL, ctx), b = N_VClone(x), s1 = N_VClone(x);
    for (int i = 0; i < local; ++i) {
        NV_Ith_P(b, i) = sin(0.1 * (first + i)) + 0.3 * cos(2.7 * (first + i));
        NV_Ith_P(s1, i) = pow(10, 6.0 * (first + i) / GLOBAL - 3);
    }
    static const int sides[] = {SUN_PREC_RIGHT, SUN_PREC_LEFT};
    for (int k = 0; k < 2; ++k) {
        host h = {.shift = 0};
        SUNLinearSolver S = SUNLinSol_Reknit(x, NULL, k ? "auto" : "gcrodr", ctx);
        if (!CHECK(on_all(S != NULL))) return;
        SUNLinSolSetATimes(S, &h, atimes);
        SUNLinSolSetPreconditioner(S, &h, NULL, psolve);
        SUNLinSol_ReknitSetPrecType(S, sides[k]);
        SUNLinSolSetScalingVectors(S, s1, s1);
        for (int step = 0; step < 3; ++step) {
            h.shift = 0.1 * step;
            /* Scales that change on one rank only. */
            if (rank == 0) NV_Ith_P(s1, 3) *= 1.5;
            CHECK_CODE(SUNLinSolSetup(S, NULL), SUNLS_SUCCESS);
            CHECK_CODE(solve(S, x, b, 1e-5), SUNLS_SUCCESS);
            CHECK(on_all(norm_by_hand(&h, x, b, s1, k) <= 1e-5));
        }
        /* One rank fails: all get its code, in the product and in the preconditioner, before and in the iterations. */
        static const struct {
            int at, flag, code;
        } fails[] = {{1, 3, SUNLS_ATIMES_FAIL_REC}, {4, -3, SUNLS_ATIMES_FAIL_UNREC}, {4, 3, SUNLS_ATIMES_FAIL_REC},
                     {-1, 3, SUNLS_PSOLVE_FAIL_REC}, {-3, -3, SUNLS_PSOLVE_FAIL_UNREC}};
        for (int f = 0; f < 5; ++f)
            for (int failing = 0; failing < ranks; ++failing) {
                h = (host){.fail_at = fails[f].at, .flag = fails[f].flag, .failing_rank = failing};
                rkn_krylov_forget(SUNLinSol_ReknitHandle(S));
                CHECK_CODE(solve(S, x, b, 1e-12), fails[f].code);
            }
        h = (host){.shift = 0};
        CHECK_CODE(solve(S, x, b, 1e-5), SUNLS_SUCCESS);
        SUNLinSol_ReknitSetOptions(S, "max_iterations=2 initial_guess=zero");
        rkn_krylov_forget(SUNLinSol_ReknitHandle(S));
        CHECK_CODE(solve(S, x, b, 1e-14), SUNLS_RES_REDUCED);
        SUNLinSolFree(S);
    }
    N_VDestroy(x), N_VDestroy(b), N_VDestroy(s1);
}
#else
static void run(SUNContext ctx) {
    N_Vector y = N_VNew_Parallel(MPI_COMM_WORLD, 5, 5 * ranks, ctx);
    CHECK(!SUNLinSol_Reknit(y, NULL, "gcrodr", ctx) && says("-DSUNLINSOL_REKNIT_MPI"));
    N_VDestroy(y);
}
#endif

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm comm = MPI_COMM_WORLD;
    MPI_Comm_rank(comm, &rank), MPI_Comm_size(comm, &ranks);
    SUNContext ctx = NULL;
    SUNContext_Create(&comm, &ctx);
    run(ctx);
    SUNContext_Free(&ctx);
    int worst = 0;
    MPI_Allreduce(&failed, &worst, 1, MPI_INT, MPI_MAX, comm);
    failed = worst;
    MPI_Finalize();
    return rank == 0 ? done() : failed != 0;
}
