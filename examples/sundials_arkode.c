/* ARKODE with a linear solver that remembers, beside SPGMR: heat that a flow carries through a composite plate.
 *
 *     cc -O2 -I../bindings/sundials sundials_arkode.c ../bindings/sundials/sunlinsol_reknit.c -o sundials_arkode \
 *        -lreknit -lsundials_arkode -lsundials_nvecserial -lm
 *     ./sundials_arkode [cells a side] [conductivity of the inclusions] [end time]
 *
 * u_t + c . grad u = div(k grad u) + s(x, t) on the unit square, insulated, the flow c a slow whirl, k = 1 but for
 * 4 x 4 inclusions. An IMEX method steps flow and source explicitly and conduction implicitly. Conduction is linear, so
 * that the stages of a step share one matrix, and with SUNLinSol_Reknit their solves share all that was learned of it:
 * the option probe=on, which is set from the start, finds out by one product that the matrix is the same. Corrections
 * of successive stages resemble each other, so that the last two are worth a guess. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arkode/arkode_arkstep.h>
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

/* The stream function of the whirl, at the corner (i, j) of cells: what flows through a face is a difference of it. */
static double stream(const plate *p, int i, int j) {
    return 4 * sin(M_PI * i / p->m) * sin(M_PI * j / p->m) / M_PI;
}

/* Upwind transport and the source. */
static int explicit_rates(realtype t, N_Vector u, N_Vector du, void *user) {
    const plate *p = user;
    const int m = p->m;
    const double *v = N_VGetArrayPointer(u);
    double *r = N_VGetArrayPointer(du);
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < m; ++i) {
            const double x = (i + 0.5) / m, y = (j + 0.5) / m;
            r[j * m + i] = 10 * sin(2 * M_PI * t) * exp(-8 * ((x - 0.3) * (x - 0.3) + (y - 0.6) * (y - 0.6)));
        }
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < m; ++i) {
            const int q = j * m + i;
            if (i + 1 < m) {
                const double flow = (stream(p, i + 1, j + 1) - stream(p, i + 1, j)) * m * m, carried = flow > 0 ? flow * v[q] : flow * v[q + 1];
                r[q] -= carried, r[q + 1] += carried;
            }
            if (j + 1 < m) {
                const double flow = (stream(p, i, j + 1) - stream(p, i + 1, j + 1)) * m * m, carried = flow > 0 ? flow * v[q] : flow * v[q + m];
                r[q] -= carried, r[q + m] += carried;
            }
        }
    return 0;
}

static void conduct(const plate *p, const double *v, double *r) {
    const int m = p->m;
    memset(r, 0, (size_t)m * (size_t)m * sizeof *r);
    for (int q = 0; q < m * m; ++q) {
        if (p->kx[q] > 0) {
            const double flow = p->kx[q] * (v[q + 1] - v[q]);
            r[q] += flow, r[q + 1] -= flow;
        }
        if (p->ky[q] > 0) {
            const double flow = p->ky[q] * (v[q + m] - v[q]);
            r[q] += flow, r[q + m] -= flow;
        }
    }
}

static int implicit_rates(realtype t, N_Vector u, N_Vector du, void *user) {
    (void)t;
    conduct(user, N_VGetArrayPointer(u), N_VGetArrayPointer(du));
    return 0;
}

static int multiply(N_Vector v, N_Vector Jv, realtype t, N_Vector u, N_Vector fu, void *user, N_Vector tmp) {
    (void)t, (void)u, (void)fu, (void)tmp;
    conduct(user, N_VGetArrayPointer(v), N_VGetArrayPointer(Jv));
    return 0;
}

static int jacobian(realtype t, N_Vector u, N_Vector fu, SUNMatrix J, void *user, N_Vector t1, N_Vector t2, N_Vector t3) {
    const plate *p = user;
    const int m = p->m;
    (void)t, (void)u, (void)fu, (void)t1, (void)t2, (void)t3;
    for (int q = 0; q < m * m; ++q)
        for (int d = 0; d < 2; ++d) {
            const double k = d ? p->ky[q] : p->kx[q];
            const int other = q + (d ? m : 1);
            if (k <= 0) continue;
            SM_ELEMENT_B(J, q, q) -= k, SM_ELEMENT_B(J, other, other) -= k;
            SM_ELEMENT_B(J, q, other) += k, SM_ELEMENT_B(J, other, q) += k;
        }
    return 0;
}

static int set_up(realtype t, N_Vector u, N_Vector fu, booleantype jok, booleantype *jcur, realtype gamma, void *user) {
    plate *p = user;
    const int m = p->m;
    (void)t, (void)u, (void)fu, (void)jok;
    for (int q = 0; q < m * m; ++q)
        p->diagonal[q] = 1 / (1 + gamma * (p->kx[q] + p->ky[q] + (q % m ? p->kx[q - 1] : 0) + (q >= m ? p->ky[q - m] : 0)));
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

static SUNLinearSolver solver(const char *name, N_Vector y, SUNMatrix band, SUNContext ctx) {
    if (!strcmp(name, "band")) return SUNLinSol_Band(y, band, ctx);
    if (!strcmp(name, "spgmr")) {
        SUNLinearSolver S = SUNLinSol_SPGMR(y, SUN_PREC_RIGHT, 60, ctx);
        SUNLinSol_SPGMRSetMaxRestarts(S, 3);
        return S;
    }
    SUNLinearSolver S = SUNLinSol_Reknit(y, NULL, name, ctx);
    if (S) check(-abs(SUNLinSol_ReknitSetOptions(S, "restart=60 recycle=20 initial_guess=project window=2")), "options");
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
    void *arkode = ARKStepCreate(explicit_rates, implicit_rates, 0, y, ctx);
    check(arkode ? 0 : -1, "ARKStepCreate");
    check(ARKStepSStolerances(arkode, rtol, rtol), "ARKStepSStolerances");
    check(ARKStepSetUserData(arkode, p), "ARKStepSetUserData");
    check(ARKStepSetMaxNumSteps(arkode, 100000), "ARKStepSetMaxNumSteps");
    check(ARKStepSetLinear(arkode, 0), "ARKStepSetLinear");
    check(ARKStepSetLinearSolver(arkode, S, band), "ARKStepSetLinearSolver");
    if (band) {
        check(ARKStepSetJacFn(arkode, jacobian), "ARKStepSetJacFn");
    } else {
        check(ARKStepSetJacTimes(arkode, NULL, multiply), "ARKStepSetJacTimes");
        check(ARKStepSetPreconditioner(arkode, set_up, precondition), "ARKStepSetPreconditioner");
    }
    realtype t = 0;
    const clock_t begun = clock();
    check(ARKStepEvolve(arkode, end, y, &t, ARK_NORMAL), "ARKStepEvolve");
    const double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    memcpy(u, N_VGetArrayPointer(y), (size_t)n * sizeof *u);
    if (reference) {
        long int steps = 0, newton = 0, iterations = 0, products = 0;
        double worst = 0, largest = 0;
        ARKStepGetNumSteps(arkode, &steps), ARKStepGetNumNonlinSolvIters(arkode, &newton);
        ARKStepGetNumLinIters(arkode, &iterations), ARKStepGetNumJtimesEvals(arkode, &products);
        for (sunindextype q = 0; q < n; ++q) {
            worst = fmax(worst, fabs(u[q] - reference[q]));
            largest = fmax(largest, fabs(reference[q]));
        }
        printf("%-8s %7ld %7ld %11ld %10ld %9.2f %10.1e\n", name, steps, newton, iterations, products, seconds, worst / largest);
    }
    ARKStepFree(&arkode);
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
    run("band", &p, end, 1e-8, reference, NULL, ctx);
    printf("%d x %d cells, inclusions of conductivity %g, to t = %g\n\n", m, m, contrast, end);
    printf("%-8s %7s %7s %11s %10s %9s %10s\n", "", "steps", "Newton", "iterations", "products", "seconds", "error");
    for (int i = 0; i < 3; ++i) run(names[i], &p, end, 1e-5, u, reference, ctx);
    free(u), free(reference), free_plate(&p);
    SUNContext_Free(&ctx);
    return 0;
}
