/* A preconditioner of one's own under "auto": hypre's BoomerAMG as a callback, set up again only when that pays.
 *
 *     cc -O2 hypre_amg.c -o hypre_amg -I/usr/include/hypre -lreknit -lHYPRE -lmpi -lm     (mpicc knows where MPI is)
 *     ./hypre_amg [cells a side] [steps]
 *
 * Flow through a block whose permeability drifts: -div(k(t) grad p) = q. Three solvers go through the same steps:
 * CG with a set-up at every step, CG with the set-up of the first step, and "auto", which is told how to refresh the
 * preconditioner and decides when. */
#include <math.h>
#include <mpi.h>
#include <reknit.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <HYPRE.h>
#include <HYPRE_IJ_mv.h>
#include <HYPRE_parcsr_ls.h>

/* The matrix, as reknit borrows it and as hypre copies it. */
typedef struct block {
    int m, n, *ptr, *col;
    double *val;
} block;

typedef struct boomer {
    const block *a;
    HYPRE_Solver amg;
    HYPRE_IJMatrix A;
    HYPRE_IJVector b, x;
    int *rows, setups;
    double seconds;
} boomer;

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double permeability(double x, double y, double z, double t) {
    return exp(2 * sin(7 * x + t) * cos(5 * y - t) * sin(6 * z + 2 * t));
}

/* Finite volumes with seven points, the coefficients taken at the faces. */
static void assemble(block *a, double t) {
    const int m = a->m;
    const double h = 1.0 / m;
    int k = 0;
    for (int i = 0; i < a->n; ++i) {
        const int at[3] = {i % m, i / m % m, i / (m * m)}, step[3] = {1, m, m * m};
        double sum = 0;
        a->ptr[i] = k;
        const int diagonal = k++;
        for (int d = 0; d < 3; ++d)
            for (int side = -1; side <= 1; side += 2) {
                double f[3];
                for (int e = 0; e < 3; ++e) f[e] = (at[e] + 0.5 + (e == d ? 0.5 * side : 0)) * h;
                const double c = permeability(f[0], f[1], f[2], t);
                sum += c;    /* at the rim the pressure is zero beyond the face */
                if (at[d] + side >= 0 && at[d] + side < m) a->col[k] = i + side * step[d], a->val[k++] = -c;
            }
        a->col[diagonal] = i, a->val[diagonal] = sum;
    }
    a->ptr[a->n] = k;
}

/* rkn_refresh_fn: a new hierarchy for the numbers as they are. */
static int32_t set_up(void *user) {
    boomer *g = user;
    const block *a = g->a;
    const double begun = seconds_now();
    HYPRE_ParCSRMatrix A;
    HYPRE_ParVector b, x;
    if (g->amg) HYPRE_BoomerAMGDestroy(g->amg), HYPRE_IJMatrixDestroy(g->A);
    HYPRE_IJMatrixCreate(MPI_COMM_SELF, 0, a->n - 1, 0, a->n - 1, &g->A);
    HYPRE_IJMatrixSetObjectType(g->A, HYPRE_PARCSR);
    HYPRE_IJMatrixInitialize(g->A);
    for (int i = 0; i < a->n; ++i) {
        int count = a->ptr[i + 1] - a->ptr[i];
        HYPRE_IJMatrixSetValues(g->A, 1, &count, &i, a->col + a->ptr[i], a->val + a->ptr[i]);
    }
    HYPRE_IJMatrixAssemble(g->A);
    HYPRE_IJMatrixGetObject(g->A, (void **)&A);
    HYPRE_IJVectorGetObject(g->b, (void **)&b);
    HYPRE_IJVectorGetObject(g->x, (void **)&x);
    HYPRE_BoomerAMGCreate(&g->amg);
    HYPRE_BoomerAMGSetTol(g->amg, 0);
    HYPRE_BoomerAMGSetMaxIter(g->amg, 1);
    HYPRE_BoomerAMGSetCoarsenType(g->amg, 10);    /* HMIS, extended+i: hypre's advice for three dimensions */
    HYPRE_BoomerAMGSetInterpType(g->amg, 6);
    HYPRE_BoomerAMGSetStrongThreshold(g->amg, 0.25);
    HYPRE_BoomerAMGSetRelaxType(g->amg, 6);       /* symmetric Gauss-Seidel: the cycle is Hermitian */
    HYPRE_BoomerAMGSetup(g->amg, A, b, x);
    ++g->setups, g->seconds += seconds_now() - begun;
    return HYPRE_GetError() ? 1 : 0;
}

/* rkn_apply_fn: one V-cycle a column. */
static int32_t cycle(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    boomer *g = user;
    HYPRE_ParCSRMatrix A;
    HYPRE_ParVector b, z;
    (void)trans;    /* Hermitian */
    HYPRE_IJMatrixGetObject(g->A, (void **)&A);
    for (int64_t j = 0; j < ncols; ++j) {
        HYPRE_IJVectorSetValues(g->b, g->a->n, g->rows, (const double *)x + j * ldx);
        HYPRE_IJVectorGetObject(g->b, (void **)&b);
        HYPRE_IJVectorGetObject(g->x, (void **)&z);
        HYPRE_ParVectorSetConstantValues(z, 0);
        HYPRE_BoomerAMGSolve(g->amg, A, b, z);
        HYPRE_IJVectorGetValues(g->x, g->a->n, g->rows, (double *)y + j * ldy);
    }
    HYPRE_ClearAllErrors();    /* "not converged" after the one cycle that was asked for is none */
    return 0;
}

static void boomer_make(boomer *g, const block *a) {
    *g = (boomer){.a = a, .rows = malloc((size_t)a->n * sizeof *g->rows)};
    for (int i = 0; i < a->n; ++i) g->rows[i] = i;
    HYPRE_IJVector *const vectors[2] = {&g->b, &g->x};
    for (int v = 0; v < 2; ++v) {
        HYPRE_IJVectorCreate(MPI_COMM_SELF, 0, a->n - 1, vectors[v]);
        HYPRE_IJVectorSetObjectType(*vectors[v], HYPRE_PARCSR);
        HYPRE_IJVectorInitialize(*vectors[v]);
        HYPRE_IJVectorAssemble(*vectors[v]);
    }
}

static void boomer_free(boomer *g) {
    if (g->amg) HYPRE_BoomerAMGDestroy(g->amg), HYPRE_IJMatrixDestroy(g->A);
    HYPRE_IJVectorDestroy(g->b), HYPRE_IJVectorDestroy(g->x);
    free(g->rows);
}

static void check(rkn_status rc) {
    if (rc == RKN_OK) return;
    fprintf(stderr, "%s\n", rkn_last_error());
    exit(1);
}

enum { EVERY_STEP, FIRST_STEP, AUTO, WAYS };
static const char *const names[WAYS] = {"CG, set up at every step", "CG, set up once", "auto"};

int main(int argc, char **argv) {
    const int m = argc > 1 ? atoi(argv[1]) : 40, steps = argc > 2 ? atoi(argv[2]) : 12;
    if (m < 2 || m > 400 || steps < 1) return fprintf(stderr, "usage: %s [cells a side, 2 to 400] [steps]\n", argv[0]), 1;
    MPI_Init(&argc, &argv);
    HYPRE_Init();
    block a = {.m = m, .n = m * m * m};
    const size_t n = (size_t)a.n;
    a.ptr = malloc((n + 1) * sizeof *a.ptr), a.col = malloc(7 * n * sizeof *a.col), a.val = malloc(7 * n * sizeof *a.val);
    double *b = malloc(n * sizeof *b), *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; ++i) b[i] = 1.0 / ((double)m * m);
    printf("%d unknowns, %d steps, tolerance 1e-8\n\n%-26s %8s %12s %10s %10s\n", a.n, steps, "", "set-ups", "iterations", "set-up, s", "total, s");
    for (int way = 0; way < WAYS; ++way) {
        boomer g;
        rkn_operator *A = NULL, *M = NULL;
        rkn_krylov *s = NULL;
        int64_t iterations = 0, v = 0;
        assemble(&a, 0);
        boomer_make(&g, &a);
        check(rkn_operator_create_csr(NULL, RKN_F64, a.n, a.n, RKN_I32, 0, a.ptr, a.col, a.val, RKN_BORROW, &A));
        check(rkn_operator_create_callback(NULL, RKN_F64, a.n, a.n, cycle, &g, NULL, &M));
        check(rkn_operator_set_int(A, "hermitian", 1));
        check(rkn_operator_set_int(M, "hermitian", 1));
        check(rkn_operator_set_refresh(M, set_up, &g, NULL));
        check(rkn_krylov_create(NULL, way == AUTO ? "auto" : "cg", &s));
        check(rkn_krylov_set_string(s, "initial_guess", "project"));
        if (way == AUTO) check(rkn_krylov_set_string(s, "policy_costs", "measured"));
        const double begun = seconds_now();
        for (int step = 0; step < steps; ++step) {
            assemble(&a, 0.05 * step);
            check(rkn_operator_changed(A));
            if (way == EVERY_STEP || (way == FIRST_STEP && step == 0)) check(rkn_operator_changed(M));
            check(rkn_krylov_solve(s, A, M, b, x));
            check(rkn_krylov_get_int(s, "iterations", &v));
            iterations += v;
        }
        printf("%-26s %8d %12d %10.2f %10.2f\n", names[way], g.setups, (int)iterations, g.seconds, seconds_now() - begun);
        rkn_krylov_destroy(s), rkn_operator_destroy(M), rkn_operator_destroy(A);
        boomer_free(&g);
    }
    free(a.ptr), free(a.col), free(a.val), free(b), free(x);
    HYPRE_Finalize();
    MPI_Finalize();
    return 0;
}
