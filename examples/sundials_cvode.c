/* CVODE with a linear solver that remembers, beside SPGMR: a composite plate in an oven whose heat comes and goes.
 *
 *     cc -O2 -I../bindings/sundials sundials_cvode.c ../bindings/sundials/sunlinsol_reknit.c -o sundials_cvode \
 *        -lreknit -lsundials_cvode -lsundials_nvecserial -lm
 *     ./sundials_cvode [cells a side] [conductivity of the inclusions] [end time]
 *
 * u_t = div(k grad u) + s(x) (1 + sin(2 pi t)) + 1 - u^4 on the unit square, insulated, k = 1 but for 4 x 4 inclusions.
 * The Newton-Krylov method of CVODE is matrix-free, its products are differences, and its preconditioner is the
 * diagonal: what is slow is the exchange between inclusions, and it is the same at every step. With a conductivity of 1
 * for the inclusions too there is no such thing to remember. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_band.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_band.h>

#include "sunlinsol_reknit.h"

typedef struct plate {
    int m;
    double *kx, *ky;     /* conductivities over h^2 at the faces to the right and above; 0 at the rim */
    double *diagonal;    /* of I - gamma J, inverted */
} plate;

static double conductivity(const plate *p, double contrast, int i, int j) {
    const double x = 4 * (i + 0.5) / p->m, y = 4 * (j + 0.5) / p->m;
    return fabs(x - floor(x) - 0.5) < 0.3 && fabs(y - floor(y) - 0.5) < 0.3 ? contrast : 1;
}

static plate make_plate(int m, double contrast) {
    const size_t n = (size_t)m * (size_t)m;
    plate p = {m, calloc(n, sizeof(double)), calloc(n, sizeof(double)), calloc(n, sizeof(double))};
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < m; ++i) {
            const double k = conductivity(&p, contrast, i, j), h2 = 1.0 / ((double)m * m);
            const double right = conductivity(&p, contrast, i + 1, j), above = conductivity(&p, contrast, i, j + 1);
            if (i + 1 < m) p.kx[j * m + i] = 2 * k * right / (k + right) / h2;
            if (j + 1 < m) p.ky[j * m + i] = 2 * k * above / (k + above) / h2;
        }
    return p;
}

static void free_plate(plate *p) { free(p->kx), free(p->ky), free(p->diagonal); }

static int rates(realtype t, N_Vector u, N_Vector du, void *user) {
    const plate *p = user;
    const int m = p->m;
    const double *v = N_VGetArrayPointer(u), heat = 1 + sin(2 * M_PI * t);
    double *r = N_VGetArrayPointer(du);
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < m; ++i) {
            const int q = j * m + i;
            const double x = (i + 0.5) / m, y = (j + 0.5) / m, v2 = v[q] * v[q];
            r[q] = 20 * exp(-8 * ((x - 0.3) * (x - 0.3) + (y - 0.6) * (y - 0.6))) * heat + 1 - v2 * v2;
        }
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < m; ++i) {
            const int q = j * m + i;
            if (i + 1 < m) {
                const double flow = p->kx[q] * (v[q + 1] - v[q]);
                r[q] += flow, r[q + 1] -= flow;
            }
            if (j + 1 < m) {
                const double flow = p->ky[q] * (v[q + m] - v[q]);
                r[q] += flow, r[q + m] -= flow;
            }
        }
    return 0;
}

static int set_up(realtype t, N_Vector u, N_Vector fu, booleantype jok, booleantype *jcur, realtype gamma, void *user) {
    plate *p = user;
    const int m = p->m;
    const double *v = N_VGetArrayPointer(u);
    (void)t, (void)fu, (void)jok;
    for (int q = 0; q < m * m; ++q) {
        const double sum = p->kx[q] + p->ky[q] + (q % m ? p->kx[q - 1] : 0) + (q >= m ? p->ky[q - m] : 0);
        p->diagonal[q] = 1 / (1 + gamma * (sum + 4 * v[q] * v[q] * v[q]));
    }
    *jcur = SUNTRUE;
    return 0;
}

static int precondition(realtype t, N_Vector u, N_Vector fu, N_Vector r, N_Vector z, realtype gamma, realtype delta, int side, void *user) {
    const plate *p = user;
    const double *from = N_VGetArrayPointer(r);
    double *to = N_VGetArrayPointer(z);
    (void)t, (void)u, (void)fu, (void)gamma, (void)delta, (void)side;
    for (int q = 0; q < p->m * p->m; ++q) to[q] = from[q] * p->diagonal[q];
    return 0;
}

static void check(int flag, const char *what) {
    if (flag >= 0) return;
    fprintf(stderr, "%s: %d %s\n", what, flag, SUNLinSol_ReknitLastMessage());
    exit(1);
}

enum { BASIS = 60 };    /* vectors that SPGMR and reknit may search at a time */

static SUNLinearSolver solver(const char *name, N_Vector y, SUNMatrix band, SUNContext ctx) {
    if (!strcmp(name, "band")) return SUNLinSol_Band(y, band, ctx);
    if (!strcmp(name, "spgmr")) {
        SUNLinearSolver S = SUNLinSol_SPGMR(y, SUN_PREC_RIGHT, BASIS, ctx);
        SUNLinSol_SPGMRSetMaxRestarts(S, 3);
        return S;
    }
    SUNLinearSolver S = SUNLinSol_Reknit(y, NULL, name, ctx);
    if (S) check(-abs(SUNLinSol_ReknitSetOptions(S, "restart=60 recycle=20")), "options");
    return S;
}

/* One run to the end time; the result goes to u. */
static void run(const char *name, plate *p, double end, double rtol, double *u, const double *reference, SUNContext ctx) {
    const sunindextype n = (sunindextype)p->m * p->m;
    N_Vector y = N_VNew_Serial(n, ctx);
    SUNMatrix band = !strcmp(name, "band") ? SUNBandMatrix(n, p->m, p->m, ctx) : NULL;
    N_VConst(1, y);
    SUNLinearSolver S = solver(name, y, band, ctx);
    if (!S) check(-1, "linear solver");
    void *cvode = CVodeCreate(CV_BDF, ctx);
    check(CVodeInit(cvode, rates, 0, y), "CVodeInit");
    check(CVodeSStolerances(cvode, rtol, rtol), "CVodeSStolerances");
    check(CVodeSetUserData(cvode, p), "CVodeSetUserData");
    check(CVodeSetMaxNumSteps(cvode, 100000), "CVodeSetMaxNumSteps");
    check(CVodeSetLinearSolver(cvode, S, band), "CVodeSetLinearSolver");
    if (!band) check(CVodeSetPreconditioner(cvode, set_up, precondition), "CVodeSetPreconditioner");
    realtype t = 0;
    const clock_t begun = clock();
    check(CVode(cvode, end, y, &t, CV_NORMAL), "CVode");
    const double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    memcpy(u, N_VGetArrayPointer(y), (size_t)n * sizeof *u);
    if (reference) {
        long int steps = 0, newton = 0, iterations = 0, products = 0;
        double worst = 0;
        CVodeGetNumSteps(cvode, &steps), CVodeGetNumNonlinSolvIters(cvode, &newton);
        CVodeGetNumLinIters(cvode, &iterations), CVodeGetNumJtimesEvals(cvode, &products);
        for (sunindextype q = 0; q < n; ++q) worst = fmax(worst, fabs(u[q] - reference[q]) / fabs(reference[q]));
        printf("%-8s %7ld %7ld %11ld %10ld %9.2f %10.1e\n", name, steps, newton, iterations, products, seconds, worst);
    }
    CVodeFree(&cvode);
    SUNLinSolFree(S);
    if (band) SUNMatDestroy(band);
    N_VDestroy(y);
}

int main(int argc, char **argv) {
    const int m = argc > 1 ? atoi(argv[1]) : 64;
    const double contrast = argc > 2 ? atof(argv[2]) : 1e4, end = argc > 3 ? atof(argv[3]) : 1;
    if (m < 8 || m > 1000 || contrast <= 0 || end <= 0) {
        fprintf(stderr, "usage: %s [cells a side, 8 to 1000] [conductivity of the inclusions] [end time]\n", argv[0]);
        return 1;
    }
    static const char *const names[] = {"spgmr", "gcrodr", "auto"};
    SUNContext ctx = NULL;
    check(SUNContext_Create(NULL, &ctx), "SUNContext_Create");
    plate p = make_plate(m, contrast);
    const size_t n = (size_t)m * (size_t)m;
    double *u = malloc(n * sizeof *u), *reference = malloc(n * sizeof *reference);
    run("band", &p, end, 1e-9, reference, NULL, ctx);
    printf("%d x %d cells, inclusions of conductivity %g, to t = %g\n\n", m, m, contrast, end);
    printf("%-8s %7s %7s %11s %10s %9s %10s\n", "", "steps", "Newton", "iterations", "products", "seconds", "error");
    for (int i = 0; i < 3; ++i) run(names[i], &p, end, 1e-5, u, reference, ctx);
    free(u), free(reference), free_plate(&p);
    SUNContext_Free(&ctx);
    return 0;
}
