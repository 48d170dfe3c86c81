/* KINSOL with a linear solver that remembers, beside SPGMR: how hot a plate gets as its heating is turned up.
 *
 *     cc -O2 -I../bindings/sundials sundials_kinsol.c ../bindings/sundials/sunlinsol_reknit.c -o sundials_kinsol \
 *        -lreknit -lsundials_kinsol -lsundials_nvecserial -lm
 *     ./sundials_kinsol [cells a side] [conductivity of the inclusions] [loads]
 *
 * -div(k(x) (1 + u) grad u) = load s(x) on the unit square, u = 0 at the rim, k = 1 but for 4 x 4 inclusions. Each load
 * starts from the solution of the one before. The preconditioner is the diagonal, products are differences.
 * The truth is at hand: w = u + u^2 / 2 solves -div(k grad w) = load s, on the grid too, and a band solver finds it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kinsol/kinsol.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_band.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_band.h>

#include "sunlinsol_reknit.h"

typedef struct plate {
    int m;
    double load;
    double *face[4];     /* conductivities to the left, right, below and above; at the rim those of half a cell */
    double *source, *diagonal;
} plate;

static double conductivity(const plate *p, double contrast, int i, int j) {
    const double x = 4 * (i + 0.5) / p->m, y = 4 * (j + 0.5) / p->m;
    return fabs(x - floor(x) - 0.5) < 0.3 && fabs(y - floor(y) - 0.5) < 0.3 ? contrast : 1;
}

static plate make_plate(int m, double contrast) {
    static const int step[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    const size_t n = (size_t)m * (size_t)m;
    plate p = {.m = m, .source = calloc(n, sizeof(double)), .diagonal = calloc(n, sizeof(double))};
    for (int d = 0; d < 4; ++d) p.face[d] = calloc(n, sizeof(double));
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < m; ++i) {
            const double x = (i + 0.5) / m, y = (j + 0.5) / m, k = conductivity(&p, contrast, i, j);
            p.source[j * m + i] = exp(-8 * ((x - 0.3) * (x - 0.3) + (y - 0.6) * (y - 0.6))) / ((double)m * m);
            for (int d = 0; d < 4; ++d) {
                const int a = i + step[d][0], b = j + step[d][1];
                const double other = a < 0 || b < 0 || a >= m || b >= m ? 0 : conductivity(&p, contrast, a, b);
                p.face[d][j * m + i] = other > 0 ? 2 * k * other / (k + other) : 2 * k;
            }
        }
    return p;
}

static void free_plate(plate *p) {
    for (int d = 0; d < 4; ++d) free(p->face[d]);
    free(p->source), free(p->diagonal);
}

/* The value beyond the face d of cell q. */
static double beyond(const plate *p, const double *u, int q, int d) {
    const int m = p->m, i = q % m, j = q / m;
    switch (d) {
    case 0: return i > 0 ? u[q - 1] : 0;
    case 1: return i + 1 < m ? u[q + 1] : 0;
    case 2: return j > 0 ? u[q - m] : 0;
    default: return j + 1 < m ? u[q + m] : 0;
    }
}

static int residual(N_Vector u, N_Vector f, void *user) {
    const plate *p = user;
    const double *v = N_VGetArrayPointer(u);
    double *r = N_VGetArrayPointer(f);
    for (int q = 0; q < p->m * p->m; ++q) {
        double sum = -p->load * p->source[q];
        for (int d = 0; d < 4; ++d) {
            const double other = beyond(p, v, q, d);
            sum += p->face[d][q] * (1 + (v[q] + other) / 2) * (v[q] - other);
        }
        r[q] = sum;
    }
    return 0;
}

static int set_up(N_Vector u, N_Vector uscale, N_Vector f, N_Vector fscale, void *user) {
    plate *p = user;
    const double *v = N_VGetArrayPointer(u);
    (void)uscale, (void)f, (void)fscale;
    for (int q = 0; q < p->m * p->m; ++q) {
        double sum = 0;
        for (int d = 0; d < 4; ++d) sum += p->face[d][q];
        p->diagonal[q] = 1 / (sum * (1 + v[q]));
    }
    return 0;
}

static int precondition(N_Vector u, N_Vector uscale, N_Vector f, N_Vector fscale, N_Vector v, void *user) {
    const plate *p = user;
    double *z = N_VGetArrayPointer(v);
    (void)u, (void)uscale, (void)f, (void)fscale;
    for (int q = 0; q < p->m * p->m; ++q) z[q] *= p->diagonal[q];
    return 0;
}

static void check(int flag, const char *what) {
    if (flag >= 0) return;
    fprintf(stderr, "%s: %d %s\n", what, flag, SUNLinSol_ReknitLastMessage());
    exit(1);
}

/* w for a load of 1, by elimination. */
static void transformed(plate *p, double *w, SUNContext ctx) {
    const int m = p->m, n = m * m;
    SUNMatrix B = SUNBandMatrix(n, m, m, ctx);
    N_Vector y = N_VNew_Serial(n, ctx);
    SUNLinearSolver S = SUNLinSol_Band(y, B, ctx);
    for (int q = 0; q < n; ++q) {
        const int next[4] = {q - 1, q + 1, q - m, q + m}, inside[4] = {q % m > 0, q % m + 1 < m, q >= m, q + m < n};
        for (int d = 0; d < 4; ++d) {
            SM_ELEMENT_B(B, q, q) += p->face[d][q];
            if (inside[d]) SM_ELEMENT_B(B, q, next[d]) = -p->face[d][q];
        }
        NV_Ith_S(y, q) = p->source[q];
    }
    SUNLinSolInitialize(S), SUNLinSolSetup(S, B), SUNLinSolSolve(S, B, y, y, 0);
    memcpy(w, N_VGetArrayPointer(y), (size_t)n * sizeof *w);
    SUNLinSolFree(S), N_VDestroy(y), SUNMatDestroy(B);
}

static SUNLinearSolver solver(const char *name, N_Vector y, SUNContext ctx) {
    if (!strcmp(name, "spgmr")) {
        SUNLinearSolver S = SUNLinSol_SPGMR(y, SUN_PREC_RIGHT, 60, ctx);
        SUNLinSol_SPGMRSetMaxRestarts(S, 20);
        return S;
    }
    SUNLinearSolver S = SUNLinSol_Reknit(y, NULL, name, ctx);
    if (S) check(-abs(SUNLinSol_ReknitSetOptions(S, "restart=60 recycle=20 max_iterations=1200")), "options");
    return S;
}

static void run(const char *name, plate *p, int loads, const double *w, SUNContext ctx) {
    const int n = p->m * p->m;
    N_Vector u = N_VNew_Serial(n, ctx), ones = N_VNew_Serial(n, ctx);
    N_VConst(0, u), N_VConst(1, ones);
    SUNLinearSolver S = solver(name, u, ctx);
    if (!S) check(-1, "linear solver");
    void *kinsol = KINCreate(ctx);
    check(KINInit(kinsol, residual, u), "KINInit");
    check(KINSetUserData(kinsol, p), "KINSetUserData");
    check(KINSetLinearSolver(kinsol, S, NULL), "KINSetLinearSolver");
    check(KINSetPreconditioner(kinsol, set_up, precondition), "KINSetPreconditioner");
    check(KINSetMaxSetupCalls(kinsol, 1), "KINSetMaxSetupCalls");
    check(KINSetMaxNewtonStep(kinsol, 1e6), "KINSetMaxNewtonStep");
    long int newton = 0, iterations = 0, products = 0;
    double worst = 0;
    const clock_t begun = clock();
    for (int k = 1; k <= loads; ++k) {
        p->load = 40.0 * k;
        check(KINSetFuncNormTol(kinsol, 1e-9 * p->load), "KINSetFuncNormTol");
        check(KINSol(kinsol, u, KIN_LINESEARCH, ones, ones), "KINSol");
        long int count = 0;
        KINGetNumNonlinSolvIters(kinsol, &count), newton += count;
        KINGetNumLinIters(kinsol, &count), iterations += count;
        KINGetNumJtimesEvals(kinsol, &count), products += count;
        for (int q = 0; q < n; ++q) {
            const double truth = sqrt(1 + 2 * p->load * w[q]) - 1;
            worst = fmax(worst, fabs(NV_Ith_S(u, q) - truth) / truth);
        }
    }
    const double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    printf("%-8s %7d %7ld %11ld %10ld %9.2f %10.1e\n", name, loads, newton, iterations, products, seconds, worst);
    KINFree(&kinsol);
    SUNLinSolFree(S);
    N_VDestroy(u), N_VDestroy(ones);
}

int main(int argc, char **argv) {
    const int m = argc > 1 ? atoi(argv[1]) : 64, loads = argc > 3 ? atoi(argv[3]) : 10;
    const double contrast = argc > 2 ? atof(argv[2]) : 1e3;
    if (m < 8 || m > 1000 || contrast <= 0 || loads < 1) {
        fprintf(stderr, "usage: %s [cells a side, 8 to 1000] [conductivity of the inclusions] [loads]\n", argv[0]);
        return 1;
    }
    static const char *const names[] = {"spgmr", "gcrodr", "auto"};
    SUNContext ctx = NULL;
    check(SUNContext_Create(NULL, &ctx), "SUNContext_Create");
    plate p = make_plate(m, contrast);
    double *w = malloc((size_t)m * (size_t)m * sizeof *w);
    transformed(&p, w, ctx);
    printf("%d x %d cells, inclusions of conductivity %g, %d loads\n\n", m, m, contrast, loads);
    printf("%-8s %7s %7s %11s %10s %9s %10s\n", "", "loads", "Newton", "iterations", "products", "seconds", "error");
    for (int i = 0; i < 3; ++i) run(names[i], &p, loads, w, ctx);
    free(w), free_plate(&p);
    SUNContext_Free(&ctx);
    return 0;
}
