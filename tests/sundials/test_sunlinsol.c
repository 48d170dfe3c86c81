/* The SUNLinearSolver on vectors of one process: tolerances and scalings by hand, codes, sides, matrices, memory. */
#include "check.h"

#include <nvector/nvector_manyvector.h>
#include <nvector/nvector_openmp.h>
#include <nvector/nvector_pthreads.h>
#include <nvector/nvector_serial.h>
#include <sunmatrix/sunmatrix_band.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

enum { N = 200 };
static SUNContext ctx;

/* What the integrator would be: a matrix as a function, two preconditioners, and what was asked of them. */
typedef struct host {
    double shift;
    int calls, fail_at, flag;    /* ATimes fails at this call with this flag */
    int psolves, pfail_at, pflag, sides[3];
    int psetups, psetup_flag;
    double tol;
    int is_cyclic, is_nan;
} host;

static int atimes(void *data, N_Vector v, N_Vector z) {
    host *h = data;
    const double *x = N_VGetArrayPointer(v);
    double *y = N_VGetArrayPointer(z);
    if (++h->calls == h->fail_at) return h->flag;
    for (int i = 0; i < N; ++i) {
        y[i] = 0;
        if (h->is_cyclic)
            y[i] = x[(i + N - 1) % N];
        else
            for (int j = i - 1; j <= i + 1; ++j)
                if (j >= 0 && j < N) y[i] += entry(i, j, h->shift) * x[j];
    }
    if (h->is_nan) y[3] = NAN;
    return 0;
}

/* P1 = diag(2 + cos i), P2 = diag(1 + i / N); one-sided solves take P1. */
static double p1(int i) { return 2 + cos(i); }
static double p2(int i) { return 1 + (double)i / N; }

static int psolve(void *data, N_Vector r, N_Vector z, realtype tol, int side) {
    host *h = data;
    if (++h->psolves == h->pfail_at) return h->pflag;
    h->tol = tol;
    ++h->sides[side];
    for (int i = 0; i < N; ++i) NV_Ith_S(z, i) = NV_Ith_S(r, i) / (side == SUN_PREC_RIGHT ? p2(i) : p1(i));
    return 0;
}

static int psetup(void *data) {
    host *h = data;
    ++h->psetups;
    return h->psetup_flag;
}

static N_Vector vector(double (*f)(int)) {
    N_Vector v = N_VNew_Serial(N, ctx);
    for (int i = 0; i < N; ++i) NV_Ith_S(v, i) = f(i);
    return v;
}
static double zeros(int i) { return 0 * i; }
static double waves(int i) { return sin(0.1 * i) + 0.3 * cos(2.7 * i); }
static double decades(int i) { return pow(10, 6.0 * i / N - 3); }
static double mild(int i) { return 1 + 0.9 * sin(i); }
static double others(int i) { return decades(i) * mild(i); }
static double garbage(int i) { return i % 2 ? 1e300 : -1e300; }

static SUNLinearSolver matrix_free(host *h, const char *method) {
    N_Vector y = vector(zeros);
    SUNLinearSolver S = SUNLinSol_Reknit(y, NULL, method, ctx);
    N_VDestroy(y);
    if (S) SUNLinSolSetATimes(S, h, atimes);
    return S;
}

static int solve(SUNLinearSolver S, SUNMatrix A, N_Vector x, N_Vector b, double tol) {
    SUNLinSolSetZeroGuess(S, SUNTRUE);
    return SUNLinSolSolve(S, A, x, b, tol);
}

/* ||S1 P^-1 (b - A x)||, by hand. */
static double norm_by_hand(double shift, N_Vector x, N_Vector b, N_Vector s1, double (*p)(int)) {
    double r[N], sum = 0;
    residual_of(N, shift, N_VGetArrayPointer(x), N_VGetArrayPointer(b), r);
    for (int i = 0; i < N; ++i) {
        const double t = r[i] * (s1 ? NV_Ith_S(s1, i) : 1) / (p ? p(i) : 1);
        sum += t * t;
    }
    return sqrt(sum);
}

static void construction(void) {
    N_Vector y = vector(zeros), part = vector(zeros);
    SUNMatrix wide = SUNDenseMatrix(N, N - 1, ctx), small = SUNDenseMatrix(3, 3, ctx);
    CHECK(!SUNLinSol_Reknit(NULL, NULL, "gcrodr", ctx) && says("must not be NULL"));
    CHECK(!SUNLinSol_Reknit(y, NULL, NULL, ctx) && !SUNLinSol_Reknit(y, NULL, "gcrodr", NULL));
    CHECK(!SUNLinSol_Reknit(y, NULL, "gmrse", ctx) && says("gmrse") && says("gmres"));
    CHECK(!SUNLinSol_Reknit(y, wide, "gcrodr", ctx) && says("square"));
    CHECK(!SUNLinSol_Reknit(y, small, "gcrodr", ctx) && says("order of y"));
    N_Vector many = N_VNew_ManyVector(1, &part, ctx);
    CHECK(!SUNLinSol_Reknit(many, NULL, "gcrodr", ctx) && says("N_VGetArrayPointer"));
    SUNLinearSolver S = SUNLinSol_Reknit(y, NULL, "gcrodr", ctx);
    CHECK(S && SUNLinSol_ReknitHandle(S) && !SUNLinSol_ReknitHandle(NULL));
    CHECK_CODE(SUNLinSolGetType(S), SUNLINEARSOLVER_ITERATIVE);
    CHECK_CODE(SUNLinSolGetID(S), SUNLINEARSOLVER_CUSTOM);
    CHECK_CODE(SUNLinSol_ReknitSetOptions(S, "restart=30 recycle=8"), SUNLS_SUCCESS);
    int64_t restart = 0;
    rkn_krylov_get_int(SUNLinSol_ReknitHandle(S), "restart", &restart);
    CHECK_CODE(restart, 30);
    CHECK_CODE(SUNLinSol_ReknitSetOptions(S, "restart=20 recylce=5"), SUNLS_ILL_INPUT);
    CHECK(says("recycle"));
    CHECK_CODE(SUNLinSolLastFlag(S), SUNLS_ILL_INPUT);
    rkn_krylov_get_int(SUNLinSol_ReknitHandle(S), "restart", &restart);
    CHECK_CODE(restart, 30);
    CHECK_CODE(SUNLinSol_ReknitSetOptions(NULL, "restart=30"), SUNLS_MEM_NULL);
    CHECK_CODE(SUNLinSol_ReknitSetPrecType(S, 4), SUNLS_ILL_INPUT);
    CHECK_CODE(SUNLinSol_ReknitSetPrecType(NULL, SUN_PREC_LEFT), SUNLS_MEM_NULL);
    long int real = 0, whole = -1;
    CHECK_CODE(SUNLinSolSpace(S, &real, &whole), SUNLS_SUCCESS);
    CHECK(real >= 60 * N && whole >= 0);
    SUNLinSolFree(S);
    N_VDestroy(many), N_VDestroy(part), N_VDestroy(y), SUNMatDestroy(wide), SUNMatDestroy(small);
}

static void scaling(void) {
    static const char *const methods[] = {"gcrodr", "gmres", "auto", "bicgstab"};
    N_Vector x = vector(zeros), b = vector(waves), s1 = vector(decades), s2 = vector(others), s3 = vector(mild);
    for (int k = 0; k < 4; ++k) {
        host h = {.shift = 0.2};
        SUNLinearSolver S = matrix_free(&h, methods[k]);
        CHECK_CODE(SUNLinSolInitialize(S), SUNLS_SUCCESS);
        CHECK_CODE(solve(S, NULL, x, b, 1e-3), SUNLS_SUCCESS);
        const double plain = norm_by_hand(0.2, x, b, NULL, NULL);
        CHECK(plain <= 1e-3 && plain > 1e-6);
        /* The largest scale is 1e3: a plain norm of 1e-3 would not do, and one a thousandth of it is not asked for. */
        SUNLinSolSetScalingVectors(S, s1, s2);
        CHECK_CODE(solve(S, NULL, x, b, 1e-3), SUNLS_SUCCESS);
        const double scaled = norm_by_hand(0.2, x, b, s1, NULL);
        CHECK(scaled <= 1e-3 && scaled > 1e-6);
        CHECK(SUNLinSolResNorm(S) <= 1e-3 && SUNLinSolResNorm(S) > 0);
        CHECK(SUNLinSolNumIters(S) > 0);
        /* New numbers in the same vector. */
        N_VScale(100, s1, s1);
        CHECK_CODE(solve(S, NULL, x, b, 1e-3), SUNLS_SUCCESS);
        CHECK(norm_by_hand(0.2, x, b, s1, NULL) <= 1e-3);
        N_VScale(0.01, s1, s1);
        /* A weight that is none is refused as often as it comes. */
        NV_Ith_S(s1, 3) = -NV_Ith_S(s1, 3);
        CHECK_CODE(solve(S, NULL, x, b, 1e-3), SUNLS_ILL_INPUT);
        CHECK_CODE(solve(S, NULL, x, b, 1e-3), SUNLS_ILL_INPUT);
        NV_Ith_S(s1, 3) = -NV_Ith_S(s1, 3);
        CHECK_CODE(solve(S, NULL, x, b, 1e-3), SUNLS_SUCCESS);
        CHECK(norm_by_hand(0.2, x, b, s1, NULL) <= 1e-3);
        /* One of both, and none. */
        SUNLinSolSetScalingVectors(S, NULL, s3);
        CHECK_CODE(solve(S, NULL, x, b, 1e-4), SUNLS_SUCCESS);
        CHECK(norm_by_hand(0.2, x, b, NULL, NULL) <= 1e-4);
        SUNLinSolSetScalingVectors(S, NULL, NULL);
        CHECK_CODE(solve(S, NULL, x, b, 1e-5), SUNLS_SUCCESS);
        CHECK(norm_by_hand(0.2, x, b, NULL, NULL) <= 1e-5);
        SUNLinSolFree(S);
    }
    N_VDestroy(x), N_VDestroy(b), N_VDestroy(s1), N_VDestroy(s2), N_VDestroy(s3);
}

static void sides(void) {
    static const struct {
        int type;
        double (*left)(int);
        int lefts, rights;
    } cases[] = {{SUN_PREC_NONE, NULL, 0, 0}, {SUN_PREC_LEFT, p1, 1, 0}, {SUN_PREC_RIGHT, NULL, 0, 1}, {SUN_PREC_BOTH, p1, 1, 1}};
    N_Vector x = vector(zeros), b = vector(waves), s1 = vector(decades), s2 = vector(others);
    for (int k = 0; k < 4; ++k)
        for (int m = 0; m < 2; ++m) {
            host h = {.shift = 0};
            SUNLinearSolver S = matrix_free(&h, m ? "auto" : "gcrodr");
            SUNLinSolSetPreconditioner(S, &h, psetup, psolve);
            CHECK_CODE(SUNLinSol_ReknitSetPrecType(S, cases[k].type), SUNLS_SUCCESS);
            SUNLinSolSetScalingVectors(S, s1, s2);
            CHECK_CODE(SUNLinSolInitialize(S), SUNLS_SUCCESS);
            CHECK_CODE(SUNLinSolSetup(S, NULL), SUNLS_SUCCESS);
            CHECK_CODE(h.psetups, 1);
            CHECK_CODE(solve(S, NULL, x, b, 1e-4), SUNLS_SUCCESS);
            const double norm = norm_by_hand(0, x, b, s1, cases[k].left);
            CHECK(norm <= 1e-4 && norm > 1e-8);
            CHECK((h.sides[SUN_PREC_LEFT] > 0) == cases[k].lefts && (h.sides[SUN_PREC_RIGHT] > 0) == cases[k].rights);
            CHECK(cases[k].type == SUN_PREC_NONE || h.tol == 1e-4);
            const double want = NV_Ith_S(b, 7) / (cases[k].left ? cases[k].left(7) : 1);
            CHECK(fabs(NV_Ith_S(SUNLinSolResid(S), 7) - want) < 1e-15);
            SUNLinSolFree(S);
        }
    /* Where no side is set PSolve stands on the right. */
    host h = {.shift = 0};
    SUNLinearSolver S = matrix_free(&h, "gcrodr");
    SUNLinSolSetPreconditioner(S, &h, NULL, psolve);
    CHECK_CODE(solve(S, NULL, x, b, 1e-4), SUNLS_SUCCESS);
    CHECK(h.sides[SUN_PREC_RIGHT] > 0 && h.sides[SUN_PREC_LEFT] == 0);
    /* The side changes between solves. */
    CHECK_CODE(SUNLinSol_ReknitSetPrecType(S, SUN_PREC_LEFT), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, NULL, x, b, 1e-6), SUNLS_SUCCESS);
    CHECK(norm_by_hand(0, x, b, NULL, p1) <= 1e-6 && h.sides[SUN_PREC_LEFT] > 0);
    SUNLinSolFree(S);
    N_VDestroy(x), N_VDestroy(b), N_VDestroy(s1), N_VDestroy(s2);
}

static void guesses(void) {
    host h = {.shift = 0};
    N_Vector x = vector(garbage), b = vector(waves);
    SUNLinearSolver S = matrix_free(&h, "gcrodr");
    CHECK_CODE(solve(S, NULL, x, b, 1e-10), SUNLS_SUCCESS);    /* a zero guess, whatever x holds */
    CHECK(norm_by_hand(0, x, b, NULL, NULL) <= 1e-10);
    const double before = NV_Ith_S(x, 5);
    CHECK_CODE(SUNLinSolSolve(S, NULL, x, b, 1e-9), SUNLS_SUCCESS);    /* the flag was for one solve: now x counts */
    CHECK_CODE(SUNLinSolNumIters(S), 0);
    CHECK(NV_Ith_S(x, 5) == before);
    NV_Ith_S(x, 5) += 1;
    SUNLinSolSetZeroGuess(S, SUNFALSE);
    CHECK_CODE(SUNLinSolSolve(S, NULL, x, b, 1e-9), SUNLS_SUCCESS);
    CHECK(norm_by_hand(0, x, b, NULL, NULL) <= 1e-9 && SUNLinSolNumIters(S) > 0);
    char guess[40] = "";
    rkn_krylov_get_string(SUNLinSol_ReknitHandle(S), "initial_guess", guess, sizeof guess, NULL);
    CHECK(!strcmp(guess, "zero"));
    /* A guess of the solver's own that needs no iteration counts as one: IDA takes P^-1 b for x at none. */
    CHECK_CODE(SUNLinSol_ReknitSetOptions(S, "initial_guess=previous"), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, NULL, x, b, 1e-10), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_SUCCESS);
    CHECK_CODE(SUNLinSolNumIters(S), 1);
    /* b that is small enough: x = 0 and no iteration. */
    SUNLinSol_ReknitSetOptions(S, "initial_guess=zero");
    rkn_krylov_forget(SUNLinSol_ReknitHandle(S));
    CHECK_CODE(solve(S, NULL, x, b, 1e3), SUNLS_SUCCESS);
    CHECK(SUNLinSolNumIters(S) == 0 && N_VMaxNorm(x) == 0);
    SUNLinSolFree(S);
    N_VDestroy(x), N_VDestroy(b);
}

static void codes(void) {
    N_Vector x = vector(zeros), b = vector(waves);
    host h = {.shift = 0};
    SUNLinearSolver S = matrix_free(&h, "gcrodr");
    for (int at = 1; at <= 4; at += 3) {
        h = (host){.fail_at = at, .flag = 7};
        CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_ATIMES_FAIL_REC);
        CHECK_CODE(SUNLinSolLastFlag(S), SUNLS_ATIMES_FAIL_REC);
        h = (host){.fail_at = at, .flag = -7};
        CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_ATIMES_FAIL_UNREC);
    }
    h = (host){.shift = 0};
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_SUCCESS);    /* and on it goes */
    static const int types[] = {SUN_PREC_LEFT, SUN_PREC_RIGHT, SUN_PREC_BOTH};
    for (int k = 0; k < 3; ++k)
        for (int at = 1; at <= 3; at += 2) {
            SUNLinSol_ReknitSetPrecType(S, types[k]);
            h = (host){.pfail_at = at, .pflag = 1};
            SUNLinSolSetPreconditioner(S, &h, psetup, psolve);
            CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_PSOLVE_FAIL_REC);
            h = (host){.pfail_at = at, .pflag = -1};
            CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_PSOLVE_FAIL_UNREC);
        }
    h = (host){.psetup_flag = 1};
    CHECK_CODE(SUNLinSolSetup(S, NULL), SUNLS_PSET_FAIL_REC);
    h = (host){.psetup_flag = -1};
    CHECK_CODE(SUNLinSolSetup(S, NULL), SUNLS_PSET_FAIL_UNREC);
    SUNLinSolSetPreconditioner(S, &h, NULL, NULL);
    CHECK_CODE(SUNLinSolInitialize(S), SUNLS_PSOLVE_NULL);
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_PSOLVE_NULL);
    SUNLinSol_ReknitSetPrecType(S, SUN_PREC_NONE);
    h = (host){.is_nan = 1};
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_PACKAGE_FAIL_REC);
    h = (host){.shift = 0};
    NV_Ith_S(b, 3) = NAN;
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_PACKAGE_FAIL_REC);
    NV_Ith_S(b, 3) = 1;
    SUNLinSolSetATimes(S, &h, NULL);
    CHECK_CODE(SUNLinSolInitialize(S), SUNLS_ATIMES_NULL);
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_ATIMES_NULL);
    SUNLinSolFree(S);

    /* Too few iterations: reduced; the cyclic shift, whose residual does not fall at all: not reduced. */
    S = matrix_free(&h, "gmres");
    SUNLinSol_ReknitSetOptions(S, "max_iterations=5");
    CHECK_CODE(solve(S, NULL, x, b, 1e-12), SUNLS_RES_REDUCED);
    CHECK_CODE(SUNLinSolNumIters(S), 5);
    CHECK(norm_by_hand(0, x, b, NULL, NULL) < sqrt(N_VDotProd(b, b)));
    CHECK_CODE(SUNLinSolSolve(S, NULL, x, b, 1e-30), SUNLS_RES_REDUCED);    /* from x */
    h.is_cyclic = 1;
    N_VConst(0, b);
    NV_Ith_S(b, 0) = 1;
    CHECK_CODE(solve(S, NULL, x, b, 1e-12), SUNLS_CONV_FAIL);
    N_VConst(0, x);
    CHECK_CODE(SUNLinSolSolve(S, NULL, x, b, 1e-12), SUNLS_CONV_FAIL);
    SUNLinSolFree(S);
    N_VDestroy(x), N_VDestroy(b);
}

/* ---- matrices ---- */

static SUNMatrix sparse(int type, double shift) {
    SUNMatrix A = SUNSparseMatrix(N, N, 3 * N, type, ctx);
    sunindextype k = 0;
    for (int p = 0; p < N; ++p) {
        SM_INDEXPTRS_S(A)[p] = k;
        for (int q = p - 1; q <= p + 1; ++q)
            if (q >= 0 && q < N) {
                SM_INDEXVALS_S(A)[k] = q;
                SM_DATA_S(A)[k++] = type == CSR_MAT ? entry(p, q, shift) : entry(q, p, shift);
            }
    }
    SM_INDEXPTRS_S(A)[N] = k;
    return A;
}

static SUNMatrix dense(double shift) {
    SUNMatrix A = SUNDenseMatrix(N, N, ctx);
    for (int j = 0; j < N; ++j)
        for (int i = 0; i < N; ++i) SM_ELEMENT_D(A, i, j) = entry(i, j, shift);
    return A;
}

static SUNMatrix band(double shift) {
    SUNMatrix A = SUNBandMatrix(N, 2, 1, ctx);    /* wider than need be above */
    for (int i = 0; i < N; ++i)
        for (int j = i - 1; j <= i + 1; ++j)
            if (j >= 0 && j < N) SM_ELEMENT_B(A, i, j) = entry(i, j, shift);
    return A;
}

/* A matrix of the user's own that knows no more than its product. */
static SUNMatrix_ID custom_id(SUNMatrix A) { return (void)A, SUNMATRIX_CUSTOM; }
static int custom_product(SUNMatrix A, N_Vector x, N_Vector y) { return atimes(A->content, x, y); }
static SUNMatrix custom(host *h) {
    SUNMatrix A = SUNMatNewEmpty(ctx);
    A->content = h, A->ops->getid = custom_id, A->ops->matvec = custom_product;
    return A;
}

static SUNMatrix matrix_of(int kind, double shift, host *h) {
    h->shift = shift;
    switch (kind) {
    case 0: return sparse(CSR_MAT, shift);
    case 1: return sparse(CSC_MAT, shift);
    case 2: return dense(shift);
    case 3: return band(shift);
    default: return custom(h);
    }
}

static void free_matrix(SUNMatrix A) {
    if (SUNMatGetID(A) == SUNMATRIX_CUSTOM)
        SUNMatFreeEmpty(A);
    else
        SUNMatDestroy(A);
}

static void matrices(void) {
    static const char *const options[] = {"restart=30", "restart=30 preconditioner=ilu0", "restart=30 preconditioner=lu"};
    N_Vector x = vector(zeros), b = vector(waves), s1 = vector(decades);
    for (int kind = 0; kind < 5; ++kind)
        for (int way = 0; way < 4; ++way) {    /* gcrodr with three preconditioners, and auto */
            if (kind == 4 && (way == 1 || way == 2)) continue;
            host h = {.shift = 0};
            SUNMatrix A = matrix_of(kind, 0, &h);
            SUNLinearSolver S = SUNLinSol_Reknit(x, A, way == 3 ? "auto" : "gcrodr", ctx);
            if (!CHECK(S)) continue;
            CHECK_CODE(SUNLinSolGetType(S), SUNLINEARSOLVER_MATRIX_ITERATIVE);
            if (way < 3) CHECK_CODE(SUNLinSol_ReknitSetOptions(S, options[way]), SUNLS_SUCCESS);
            SUNLinSolSetScalingVectors(S, s1, s1);
            CHECK_CODE(SUNLinSolInitialize(S), SUNLS_SUCCESS);
            for (int step = 0; step < 3; ++step) {
                const double shift = 0.3 * step;
                if (step) {    /* as Jacobian functions do: new numbers in the same matrix */
                    SUNMatrix next = matrix_of(kind, shift, &h);
                    if (kind < 4) SUNMatCopy(next, A);
                    free_matrix(next);
                }
                CHECK_CODE(SUNLinSolSetup(S, A), SUNLS_SUCCESS);
                CHECK_CODE(solve(S, A, x, b, 1e-6), SUNLS_SUCCESS);
                CHECK(norm_by_hand(shift, x, b, s1, NULL) <= 1e-6);
                CHECK_CODE(solve(S, A, x, b, 1e-7), SUNLS_SUCCESS);    /* without a new Setup */
                CHECK(norm_by_hand(shift, x, b, s1, NULL) <= 1e-7);
            }
            SUNLinSolFree(S);
            free_matrix(A);
        }
    N_VDestroy(x), N_VDestroy(b), N_VDestroy(s1);
}

static void patterns(void) {
    N_Vector x = vector(zeros), b = vector(waves);
    SUNMatrix A = sparse(CSR_MAT, 0), diagonal = SUNSparseMatrix(N, N, 2, CSR_MAT, ctx);
    SUNLinearSolver S = SUNLinSol_Reknit(x, A, "gcrodr", ctx);
    CHECK_CODE(SUNLinSolSetup(S, A), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, A, x, b, 1e-8), SUNLS_SUCCESS);
    /* Another pattern in the same arrays: 4 I. */
    for (int i = 0; i < N; ++i) SM_INDEXPTRS_S(A)[i] = i, SM_INDEXVALS_S(A)[i] = i, SM_DATA_S(A)[i] = 4;
    SM_INDEXPTRS_S(A)[N] = N;
    CHECK_CODE(SUNLinSolSetup(S, A), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, A, x, b, 1e-12), SUNLS_SUCCESS);
    double worst = 0;
    for (int i = 0; i < N; ++i) worst = fmax(worst, fabs(NV_Ith_S(x, i) - NV_Ith_S(b, i) / 4));
    CHECK(worst < 1e-12);
    /* I + 0: SUNMatScaleAddI allocates anew and the arrays move. */
    SM_INDEXPTRS_S(diagonal)[0] = 0;
    for (int i = 0; i <= N; ++i) SM_INDEXPTRS_S(diagonal)[i] = 0;
    CHECK_CODE(SUNLinSolSetup(S, diagonal), SUNLS_SUCCESS);
    CHECK_CODE(SUNMatScaleAddI(1, diagonal), 0);
    CHECK_CODE(SUNLinSolSetup(S, diagonal), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, diagonal, x, b, 1e-12), SUNLS_SUCCESS);
    CHECK(fabs(NV_Ith_S(x, 9) - NV_Ith_S(b, 9)) < 1e-12);
    /* The same pattern, and other numbers in an array elsewhere. */
    double *moved = calloc((size_t)SM_NNZ_S(diagonal), sizeof *moved);
    for (int i = 0; i < N; ++i) moved[i] = 2;
    free(SM_DATA_S(diagonal));
    SM_DATA_S(diagonal) = moved;
    CHECK_CODE(SUNLinSolSetup(S, diagonal), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, diagonal, x, b, 1e-12), SUNLS_SUCCESS);
    CHECK(fabs(NV_Ith_S(x, 9) - NV_Ith_S(b, 9) / 2) < 1e-12);
    /* Numbers that are none, a matrix of another order, none at all. */
    SM_DATA_S(diagonal)[3] = NAN;
    CHECK_CODE(SUNLinSolSetup(S, diagonal), SUNLS_PACKAGE_FAIL_REC);
    SM_DATA_S(diagonal)[3] = 1;
    CHECK_CODE(SUNLinSolSetup(S, diagonal), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, diagonal, x, b, 1e-12), SUNLS_SUCCESS);
    SUNMatrix small = SUNDenseMatrix(3, 3, ctx);
    CHECK_CODE(SUNLinSolSetup(S, small), SUNLS_ILL_INPUT);
    CHECK_CODE(SUNLinSolSetup(S, NULL), SUNLS_ILL_INPUT);
    CHECK_CODE(solve(S, NULL, x, b, 1e-12), SUNLS_ILL_INPUT);
    SM_INDEXVALS_S(diagonal)[3] = N;
    CHECK(SUNLinSolSetup(S, diagonal) < 0 && says("colind"));
    SUNLinSolFree(S);
    /* A singular matrix under a complete factor. */
    SUNMatrix singular = dense(0);
    for (int j = 0; j < N; ++j) SM_ELEMENT_D(singular, 5, j) = 0;
    S = SUNLinSol_Reknit(x, singular, "gcrodr", ctx);
    SUNLinSol_ReknitSetOptions(S, "preconditioner=lu");
    CHECK_CODE(SUNLinSolSetup(S, singular), SUNLS_SUCCESS);
    CHECK_CODE(solve(S, singular, x, b, 1e-8), SUNLS_PACKAGE_FAIL_REC);
    SUNLinSolFree(S);
    /* The integrator's PSolve beside a matrix, on both sides of it. */
    host h = {.shift = 0};
    static const int types[] = {SUN_PREC_LEFT, SUN_PREC_RIGHT, SUN_PREC_BOTH};
    SUNMatrix B = sparse(CSC_MAT, 0);
    S = SUNLinSol_Reknit(x, B, "gcrodr", ctx);
    SUNLinSolSetPreconditioner(S, &h, psetup, psolve);
    for (int k = 0; k < 3; ++k) {
        SUNLinSol_ReknitSetPrecType(S, types[k]);
        CHECK_CODE(SUNLinSolSetup(S, B), SUNLS_SUCCESS);
        CHECK_CODE(solve(S, B, x, b, 1e-7), SUNLS_SUCCESS);
        CHECK(norm_by_hand(0, x, b, NULL, types[k] == SUN_PREC_RIGHT ? NULL : p1) <= 1e-7);
    }
    SUNLinSolFree(S);
    N_VDestroy(x), N_VDestroy(b);
    SUNMatDestroy(A), SUNMatDestroy(diagonal), SUNMatDestroy(small), SUNMatDestroy(singular), SUNMatDestroy(B);
}

/* ---- memory ---- */

/* diag(1e-4 .. ) with ten entries near zero that turns slowly: what a preconditioner leaves of a hard problem. */
static int slow_modes(void *data, N_Vector v, N_Vector z) {
    const double step = *(const double *)data;
    for (int i = 0; i < N; ++i) {
        const double d = i < 10 ? 1e-3 * (i + 1) * (1 + 0.01 * step) : 1 + (double)i / N;
        NV_Ith_S(z, i) = d * NV_Ith_S(v, i) + (i + 1 < N ? 0.01 * NV_Ith_S(v, i + 1) : 0);
    }
    return 0;
}

static void memory(void) {
    N_Vector x = vector(zeros), b = vector(waves), s1 = vector(decades);
    double step = 0;
    int counts[4];
    SUNLinearSolver S = SUNLinSol_Reknit(x, NULL, "gcrodr", ctx), fresh = NULL;
    SUNLinSol_ReknitSetOptions(S, "restart=30 recycle=12");
    SUNLinSolSetATimes(S, &step, slow_modes);
    for (int k = 0; k < 4; ++k) {
        step = k;
        N_VScale(1.02, s1, s1);    /* as error weights change from step to step */
        SUNLinSolSetScalingVectors(S, s1, s1);
        CHECK_CODE(SUNLinSolSetup(S, NULL), SUNLS_SUCCESS);
        CHECK_CODE(solve(S, NULL, x, b, 1e-6), SUNLS_SUCCESS);
        counts[k] = SUNLinSolNumIters(S);
    }
    CHECK(2 * counts[1] < counts[0] && 2 * counts[3] < counts[0]);
    fresh = SUNLinSol_Reknit(x, NULL, "gcrodr", ctx);
    SUNLinSol_ReknitSetOptions(fresh, "restart=30 recycle=12");
    SUNLinSolSetATimes(fresh, &step, slow_modes);
    SUNLinSolSetScalingVectors(fresh, s1, s1);
    CHECK_CODE(solve(fresh, NULL, x, b, 1e-6), SUNLS_SUCCESS);
    CHECK(2 * counts[3] < SUNLinSolNumIters(fresh));
    SUNLinSolFree(S), SUNLinSolFree(fresh);
    N_VDestroy(x), N_VDestroy(b), N_VDestroy(s1);
}

/* "auto" factors a matrix with entries, and keeps the factor while the matrix changes slowly. */
static void lagging(void) {
    N_Vector x = vector(zeros), b = vector(waves);
    for (int kind = 0; kind < 4; ++kind) {
        host h = {.shift = 0};
        SUNMatrix A = matrix_of(kind, 0, &h);
        SUNLinearSolver S = SUNLinSol_Reknit(x, A, "auto", ctx);
        for (int step = 0; step < 10; ++step) {
            SUNMatrix next = matrix_of(kind, 1e-4 * step, &h);
            SUNMatCopy(next, A);
            SUNMatDestroy(next);
            CHECK_CODE(SUNLinSolSetup(S, A), SUNLS_SUCCESS);
            CHECK_CODE(solve(S, A, x, b, 1e-6), SUNLS_SUCCESS);
            CHECK(norm_by_hand(1e-4 * step, x, b, NULL, NULL) <= 1e-6);
        }
        char made[80] = "";
        int64_t rebuilds = 0;
        rkn_krylov_get_string(SUNLinSol_ReknitHandle(S), "chosen_preconditioner", made, sizeof made, NULL);
        rkn_krylov_get_int(SUNLinSol_ReknitHandle(S), "rebuilds", &rebuilds);
        CHECK(strcmp(made, "none") && made[0] && rebuilds >= 1);
        if (kind != 2) CHECK(rebuilds <= 5);    /* of a dense matrix it takes incomplete factors, which it does not keep */
        SUNLinSolFree(S);
        SUNMatDestroy(A);
    }
    N_VDestroy(x), N_VDestroy(b);
}

/* tridiag(-1, 2.1, -1) and a symmetric method: scaling must keep it symmetric. */
static int symmetric_product(void *data, N_Vector v, N_Vector z) {
    (void)data;
    for (int i = 0; i < N; ++i)
        NV_Ith_S(z, i) = 2.1 * NV_Ith_S(v, i) - (i ? NV_Ith_S(v, i - 1) : 0) - (i + 1 < N ? NV_Ith_S(v, i + 1) : 0);
    return 0;
}

static void symmetric(void) {
    static const char *const methods[] = {"cg", "rcg", "minres"};
    N_Vector x = vector(zeros), b = vector(waves), s1 = vector(mild), Ax = vector(zeros);
    for (int k = 0; k < 3; ++k) {
        host h = {.shift = 0};
        SUNLinearSolver S = SUNLinSol_Reknit(x, NULL, methods[k], ctx);
        SUNLinSol_ReknitSetOptions(S, "max_iterations=1000");
        SUNLinSolSetATimes(S, &h, symmetric_product);
        SUNLinSolSetPreconditioner(S, &h, NULL, psolve);
        SUNLinSolSetScalingVectors(S, s1, s1);
        CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_SUCCESS);
        symmetric_product(NULL, x, Ax);
        N_VLinearSum(1, b, -1, Ax, Ax);
        N_VProd(s1, Ax, Ax);
        CHECK(sqrt(N_VDotProd(Ax, Ax)) <= 1e-8);
        SUNLinSolFree(S);
    }
    N_VDestroy(x), N_VDestroy(b), N_VDestroy(s1), N_VDestroy(Ax);
}

/* Other kinds of vectors give the same bits. */
static void vectors(void) {
    N_Vector b = vector(waves), x = vector(zeros);
    N_Vector others[2][2] = {{N_VNew_OpenMP(N, 2, ctx), N_VNew_OpenMP(N, 2, ctx)}, {N_VNew_Pthreads(N, 2, ctx), N_VNew_Pthreads(N, 2, ctx)}};
    host h = {.shift = 0};
    SUNLinearSolver S = matrix_free(&h, "gcrodr");
    CHECK_CODE(solve(S, NULL, x, b, 1e-8), SUNLS_SUCCESS);
    SUNLinSolFree(S);
    for (int k = 0; k < 2; ++k) {
        N_Vector bb = others[k][0], xx = others[k][1];
        memcpy(N_VGetArrayPointer(bb), N_VGetArrayPointer(b), N * sizeof(double));
        S = SUNLinSol_Reknit(bb, NULL, "gcrodr", ctx);
        if (!CHECK(S)) continue;
        SUNLinSolSetATimes(S, &h, atimes);
        CHECK_CODE(solve(S, NULL, xx, bb, 1e-8), SUNLS_SUCCESS);
        CHECK(!memcmp(N_VGetArrayPointer(xx), N_VGetArrayPointer(x), N * sizeof(double)));
        SUNLinSolFree(S);
        N_VDestroy(bb), N_VDestroy(xx);
    }
    N_VDestroy(b), N_VDestroy(x);
}

int main(void) {
    SUNContext_Create(NULL, &ctx);
    construction(), scaling(), sides(), guesses(), codes(), matrices(), patterns(), memory(), lagging(), symmetric(), vectors();
    SUNContext_Free(&ctx);
    return done();
}
