/* sunlinsol_reknit.c: a SUNLinearSolver that remembers. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "sunlinsol_reknit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sundials/sundials_math.h>
#include <sunmatrix/sunmatrix_band.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#ifdef SUNDIALS_NVECTOR_OPENMP
#include <nvector/nvector_openmp.h>
#endif

#ifdef SUNLINSOL_REKNIT_MPI
#include "reknit_mpi.h"
#endif

#if defined(SUNDIALS_INT64_T)
#define INDEX RKN_I64
#else
#define INDEX RKN_I32
#endif

typedef struct content {
    rkn_context *ctx;
    rkn_krylov *krylov;
    rkn_operator *A, *M;
    int is_matrix_based;
    int is_symmetric;    /* the method wants S1 A S2^-1 symmetric: then S2 = S1^-1 */
    int pretype;         /* of SetPrecType, or -1 */
    int64_t n;           /* of this rank */

    SUNATimesFn atimes;
    SUNPSetupFn psetup;
    SUNPSolveFn psolve;
    void *A_data, *P_data;
    N_Vector s1, s2;     /* the integrator's, or NULL */
    double *left, *right;    /* of the last solve with scaling; NULL before the first */
    int is_scaled;           /* the solver has taken left and right */
    booleantype zero_guess;

    /* Lent to the integrator's callbacks, with the solver's numbers in the place of their own. */
    N_Vector shell_in, shell_out;
    N_Vector rhs, work;
    realtype tol;

    /* The matrix as the operator borrows it. */
    SUNMatrix matrix;
    double *values;      /* NULL: those of the SUNMatrix; else gathered from its bands */
    sunindextype *pointers, *indices;    /* the pattern when A was made */
    const void *borrowed;

    int failure;         /* SUNLS_ code of the callback that failed in the running call, or 0 */
    int comm_size;
#ifdef SUNLINSOL_REKNIT_MPI
    MPI_Comm comm;
#endif
    int iterations;
    realtype residual_norm;
    sunindextype last_flag;
} content;

static content *of(SUNLinearSolver S) { return (content *)S->content; }

/* ---- messages ---- */

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_THREADS__)
static _Thread_local char message[600];
#elif defined(__GNUC__)
static __thread char message[600];
#else
static char message[600];
#endif

static void say(const char *text) { snprintf(message, sizeof message, "%s", text); }

const char *SUNLinSol_ReknitLastMessage(void) { return message; }

/* What a refusal or failure of the library means to SUNDIALS. */
static int code_of(const content *c, rkn_status status) {
    if (status == RKN_OK) return SUNLS_SUCCESS;
    if (status == RKN_ERR_CALLBACK && c->failure) return c->failure;
    say(rkn_last_error());
    switch (status) {
    case RKN_ERR_NONFINITE:
    case RKN_ERR_SINGULAR:
    case RKN_ERR_INDEFINITE: return SUNLS_PACKAGE_FAIL_REC;
    case RKN_ERR_MEMORY: return SUNLS_MEM_FAIL;
    case RKN_ERR_KEY:
    case RKN_ERR_ARGUMENT:
    case RKN_ERR_SIZE:
    case RKN_ERR_UNSUPPORTED: return SUNLS_ILL_INPUT;
    default: return SUNLS_PACKAGE_FAIL_UNREC;
    }
}

static int out_of_memory(void) {
    say("sunlinsol_reknit: out of memory");
    return SUNLS_MEM_FAIL;
}

static int ended(SUNLinearSolver S, int code) {
    of(S)->last_flag = code;
    return code;
}

/* One code for all ranks: the gravest, unrecoverable before recoverable. Called where all ranks come by. */
static int agreed(const content *c, int code) {
#ifdef SUNLINSOL_REKNIT_MPI
    if (c->comm_size > 1) {
        int mine[2] = {code, -code}, least[2];
        if (MPI_Allreduce(mine, least, 2, MPI_INT, MPI_MIN, c->comm) != MPI_SUCCESS) return SUNLS_PACKAGE_FAIL_UNREC;
        return least[0] < 0 ? least[0] : -least[1];
    }
#endif
    (void)c;
    return code;
}

/* ---- the integrator's callbacks as operators ---- */

static int fail(content *c, int flag, int recoverable, int unrecoverable, const char *text) {
    if (!c->failure) c->failure = flag < 0 ? unrecoverable : recoverable;    /* other ranks may wait for more calls */
    say(text);
    return 1;
}

static int multiply(content *c, N_Vector x, N_Vector y) {
    const int flag = c->is_matrix_based ? SUNMatMatvec(c->matrix, x, y) : c->atimes(c->A_data, x, y);
    return flag ? fail(c, flag, SUNLS_ATIMES_FAIL_REC, SUNLS_ATIMES_FAIL_UNREC, "the product with A failed") : 0;
}

static int precondition(content *c, N_Vector r, N_Vector z, int side) {
    const int flag = c->psolve(c->P_data, r, z, c->tol, side);
    return flag ? fail(c, flag, SUNLS_PSOLVE_FAIL_REC, SUNLS_PSOLVE_FAIL_UNREC, "PSolve failed") : 0;
}

static int has_left(const content *c) {
    return !c->is_symmetric && c->psolve && (c->pretype == SUN_PREC_LEFT || c->pretype == SUN_PREC_BOTH);
}

static int has_right(const content *c) {
    if (!c->psolve || c->pretype == SUN_PREC_NONE) return 0;
    return c->is_symmetric || c->pretype != SUN_PREC_LEFT;
}

/* Calls f column by column on vectors that show the solver's own numbers. */
static int32_t through_shells(content *c, int (*f)(content *, N_Vector, N_Vector), int64_t ncols, const void *x, int64_t ldx,
                              void *y, int64_t ldy) {
    realtype *own_in = N_VGetArrayPointer(c->shell_in), *own_out = N_VGetArrayPointer(c->shell_out);
    int failed = 0;
    for (int64_t j = 0; j < ncols && !failed; ++j) {
        N_VSetArrayPointer((realtype *)x + j * ldx, c->shell_in);    /* callbacks leave their first vector as it is */
        N_VSetArrayPointer((realtype *)y + j * ldy, c->shell_out);
        failed = f(c, c->shell_in, c->shell_out);
    }
    N_VSetArrayPointer(own_in, c->shell_in);
    N_VSetArrayPointer(own_out, c->shell_out);
    return failed;
}

static int apply_system(content *c, N_Vector x, N_Vector y) {
    if (!has_left(c)) return multiply(c, x, y);
    return multiply(c, x, c->work) || precondition(c, c->work, y, SUN_PREC_LEFT);
}

static int apply_right(content *c, N_Vector r, N_Vector z) { return precondition(c, r, z, SUN_PREC_RIGHT); }

static int32_t system_callback(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    if (trans != RKN_N && !((content *)user)->is_symmetric) return 1;
    return through_shells(user, apply_system, ncols, x, ldx, y, ldy);
}

static int32_t right_callback(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    if (trans != RKN_N && !((content *)user)->is_symmetric) return 1;
    return through_shells(user, apply_right, ncols, x, ldx, y, ldy);
}

/* ---- the matrix ---- */

static void forget_matrix(content *c) {
    rkn_operator_destroy(c->A);
    free(c->pointers), free(c->indices), free(c->values);
    c->A = NULL, c->pointers = c->indices = NULL, c->values = NULL, c->borrowed = NULL;
}

/* Compressed columns of a band matrix, entries outside of the matrix left out. */
static void gather_band(SUNMatrix B, sunindextype *pointers, sunindextype *indices, double *values) {
    const sunindextype n = SM_ROWS_B(B), up = SM_UBAND_B(B), down = SM_LBAND_B(B);
    sunindextype k = 0;
    for (sunindextype j = 0; j < n; ++j) {
        const sunindextype first = j > up ? j - up : 0, last = j + down < n ? j + down : n - 1;
        pointers[j] = k;
        for (sunindextype i = first; i <= last; ++i) {
            indices[k] = i;
            values[k++] = SM_ELEMENT_B(B, i, j);
        }
    }
    pointers[n] = k;
}

static int make_band(content *c, SUNMatrix B) {
    const sunindextype n = SM_ROWS_B(B), width = SM_UBAND_B(B) + SM_LBAND_B(B) + 1;
    if (!c->values) {
        c->pointers = malloc((size_t)(n + 1) * sizeof *c->pointers);
        c->indices = malloc((size_t)(n * width + 1) * sizeof *c->indices);
        c->values = malloc((size_t)(n * width + 1) * sizeof *c->values);
        if (!c->pointers || !c->indices || !c->values) return out_of_memory();
    }
    gather_band(B, c->pointers, c->indices, c->values);
    if (c->A) return code_of(c, rkn_operator_changed(c->A));
    return code_of(c, rkn_operator_create_csc(c->ctx, RKN_F64, n, n, INDEX, 0, c->pointers, c->indices, c->values, RKN_BORROW, &c->A));
}

/* The operator borrows the numbers and a copy of the pattern: Jacobian functions may write another pattern into the
 * same arrays, and SUNMatScaleAddI may move them. Then a new operator takes the place of the old one. */
static int make_sparse(content *c, SUNMatrix B) {
    const sunindextype n = SM_COLUMNS_S(B), *pointers = SM_INDEXPTRS_S(B), *indices = SM_INDEXVALS_S(B);
    const sunindextype count = pointers[SM_NP_S(B)];
    const size_t pointer_bytes = (size_t)(n + 1) * sizeof *pointers;
    if (count < 0 || count > SM_NNZ_S(B)) {
        say("sunlinsol_reknit: the last index pointer of the sparse matrix lies outside of its arrays");
        return SUNLS_ILL_INPUT;
    }
    const size_t index_bytes = (size_t)count * sizeof *indices;
    if (c->A && c->borrowed == SM_DATA_S(B) && !memcmp(c->pointers, pointers, pointer_bytes) &&
        !memcmp(c->indices, indices, index_bytes))
        return code_of(c, rkn_operator_changed(c->A));
    forget_matrix(c);
    c->pointers = malloc(pointer_bytes);
    c->indices = malloc(index_bytes + 1);
    if (!c->pointers || !c->indices) return out_of_memory();
    memcpy(c->pointers, pointers, pointer_bytes);
    memcpy(c->indices, indices, index_bytes);
    c->borrowed = SM_DATA_S(B);
    return code_of(c, (SM_SPARSETYPE_S(B) == CSR_MAT ? rkn_operator_create_csr : rkn_operator_create_csc)(
        c->ctx, RKN_F64, n, n, INDEX, 0, c->pointers, c->indices, c->borrowed, RKN_BORROW, &c->A));
}

static int make_dense(content *c, SUNMatrix B) {
    const sunindextype n = SM_ROWS_D(B);
    if (c->A && c->borrowed == SM_DATA_D(B)) return code_of(c, rkn_operator_changed(c->A));
    forget_matrix(c);
    c->borrowed = SM_DATA_D(B);
    return code_of(c, rkn_operator_create_dense(c->ctx, RKN_F64, n, n, RKN_COLUMN_MAJOR, c->borrowed, n, RKN_BORROW, &c->A));
}

/* Brings A up to date with what it stands for. */
static int renew_system(content *c) {
    const SUNMatrix_ID kind = c->is_matrix_based && !has_left(c) ? SUNMatGetID(c->matrix) : SUNMATRIX_CUSTOM;
    switch (kind) {
    case SUNMATRIX_SPARSE: return make_sparse(c, c->matrix);
    case SUNMATRIX_DENSE: return make_dense(c, c->matrix);
    case SUNMATRIX_BAND: return make_band(c, c->matrix);
    default:
        if (c->is_matrix_based && c->matrix->ops->matvecsetup && SUNMatMatvecSetup(c->matrix)) {
            say("sunlinsol_reknit: SUNMatMatvecSetup failed");
            return SUNLS_PACKAGE_FAIL_UNREC;
        }
        if (c->A) return code_of(c, rkn_operator_changed(c->A));
        return code_of(c, rkn_operator_create_callback(c->ctx, RKN_F64, c->n, c->n, system_callback, c, NULL, &c->A));
    }
}

/* Rows, or -1 where the kind of matrix does not tell or it is not square. */
static int64_t order_of(SUNMatrix A) {
    switch (SUNMatGetID(A)) {
    case SUNMATRIX_SPARSE: return SM_ROWS_S(A) == SM_COLUMNS_S(A) ? SM_ROWS_S(A) : -1;
    case SUNMATRIX_DENSE: return SM_ROWS_D(A) == SM_COLUMNS_D(A) ? SM_ROWS_D(A) : -1;
    case SUNMATRIX_BAND: return SM_ROWS_B(A);
    default: return A->ops->matvec ? 0 : -1;
    }
}

/* ---- scaling ---- */

/* The solver is told of scaling vectors only when they have changed: what it knows is then made anew. Over ranks it is
 * always told, since the change must be one on all of them. */
static int renew_scaling(content *c) {
    const double *s1 = c->s1 ? N_VGetArrayPointer(c->s1) : NULL, *s2 = c->s2 ? N_VGetArrayPointer(c->s2) : NULL;
    if (!s1 && !s2 && !c->left) return SUNLS_SUCCESS;
    if (!c->left) {
        c->left = calloc((size_t)(c->n + 1), sizeof *c->left), c->right = calloc((size_t)(c->n + 1), sizeof *c->right);
        if (!c->left || !c->right) {
            free(c->left), free(c->right);
            c->left = c->right = NULL;
            return out_of_memory();
        }
    }
    int is_new = !c->is_scaled || c->comm_size > 1;
    for (int64_t i = 0; i < c->n; ++i) {
        const double left = s1 ? s1[i] : 1, right = c->is_symmetric ? 1 / left : s2 ? s2[i] : 1;
        is_new |= left != c->left[i] || right != c->right[i];
        c->left[i] = left, c->right[i] = right;
    }
    if (!is_new) return SUNLS_SUCCESS;
    const int code = code_of(c, rkn_krylov_set_scaling(c->krylov, c->n, c->left, c->right));
    c->is_scaled = !code;
    return code;
}

/* ---- operations ---- */

static SUNLinearSolver_Type get_type(SUNLinearSolver S) {
    return of(S)->is_matrix_based ? SUNLINEARSOLVER_MATRIX_ITERATIVE : SUNLINEARSOLVER_ITERATIVE;
}

static SUNLinearSolver_ID get_id(SUNLinearSolver S) {
    (void)S;
    return SUNLINEARSOLVER_CUSTOM;
}

/* Other callbacks make other operators; what was learned stays with the solver. */
static void forget_operators(content *c) {
    forget_matrix(c);
    rkn_operator_destroy(c->M);
    c->M = NULL;
}

static int set_atimes(SUNLinearSolver S, void *A_data, SUNATimesFn atimes) {
    of(S)->atimes = atimes;
    of(S)->A_data = A_data;
    return ended(S, SUNLS_SUCCESS);
}

static int set_preconditioner(SUNLinearSolver S, void *P_data, SUNPSetupFn psetup, SUNPSolveFn psolve) {
    content *c = of(S);
    c->psetup = psetup, c->psolve = psolve, c->P_data = P_data;
    forget_operators(c);
    return ended(S, SUNLS_SUCCESS);
}

static int set_scaling_vectors(SUNLinearSolver S, N_Vector s1, N_Vector s2) {
    of(S)->s1 = s1, of(S)->s2 = s2;
    return ended(S, SUNLS_SUCCESS);
}

static int set_zero_guess(SUNLinearSolver S, booleantype onoff) {
    of(S)->zero_guess = onoff;
    return ended(S, SUNLS_SUCCESS);
}

/* Whether all is there that a solve calls. */
static int is_ready(const content *c) {
    if (!c->is_matrix_based && !c->atimes) {
        say("sunlinsol_reknit: ATimes is not set (SUNLinSolSetATimes)");
        return SUNLS_ATIMES_NULL;
    }
    if (c->pretype > SUN_PREC_NONE && !c->psolve) {
        say("sunlinsol_reknit: a side is set for the preconditioner, but PSolve is not (SUNLinSolSetPreconditioner)");
        return SUNLS_PSOLVE_NULL;
    }
    return SUNLS_SUCCESS;
}

static int initialize(SUNLinearSolver S) { return ended(S, is_ready(of(S))); }

static int setup(SUNLinearSolver S, SUNMatrix A) {
    content *c = of(S);
    c->failure = 0;
    if (c->psetup) {
        const int flag = c->psetup(c->P_data);
        if (flag) {
            say("PSetup failed");
            return ended(S, flag < 0 ? SUNLS_PSET_FAIL_UNREC : SUNLS_PSET_FAIL_REC);
        }
    }
    if (c->M) {
        const int code = code_of(c, rkn_operator_changed(c->M));
        if (code) return ended(S, code);
    }
    if (!c->is_matrix_based) return ended(S, SUNLS_SUCCESS);
    if (!A || (order_of(A) != c->n && order_of(A) != 0)) {
        say("sunlinsol_reknit: SUNLinSolSetup needs a square matrix of the order of the vectors");
        return ended(S, SUNLS_ILL_INPUT);
    }
    if (A != c->matrix) forget_matrix(c);
    c->matrix = A;
    return ended(S, renew_system(c));
}

/* The operators as this solve has them. Without a matrix A is a new one each time: it depends on the state. */
static int renew_operators(content *c, SUNMatrix A) {
    int code = is_ready(c);
    if (c->is_matrix_based && !code && (!c->A || A != c->matrix)) {
        if (!A) {
            say("sunlinsol_reknit: SUNLinSolSolve needs the matrix that the solver was made for");
            return SUNLS_ILL_INPUT;
        }
        if (A != c->matrix) forget_matrix(c);
        c->matrix = A;
        code = renew_system(c);
    } else if (!c->is_matrix_based && !code) {
        code = renew_system(c);
    }
    if (!code && has_right(c) && !c->M)
        code = code_of(c, rkn_operator_create_callback(c->ctx, RKN_F64, c->n, c->n, right_callback, c, NULL, &c->M));
    return code;
}

static realtype scaled_norm(const content *c, N_Vector v) {
    if (!c->s1) return SUNRsqrt(N_VDotProd(v, v));
    N_VProd(c->s1, v, c->work);
    return SUNRsqrt(N_VDotProd(c->work, c->work));
}

/* How a solve that stopped short of its tolerance looks to SUNDIALS. */
static int stopped_short(const content *c, int is_guessed) {
    realtype first = 0;
    if (is_guessed) {
        int64_t count = 0;
        rkn_krylov_history(c->krylov, NULL, 0, &count);
        double *norms = malloc((size_t)(count + 1) * sizeof *norms);
        if (norms && rkn_krylov_history(c->krylov, norms, count, NULL) == RKN_OK && count) first = norms[0];
        free(norms);
    } else {
        first = scaled_norm(c, c->rhs);
    }
    return c->residual_norm < first ? SUNLS_RES_REDUCED : SUNLS_CONV_FAIL;
}

/* rkn_krylov_solve, from x for once if it holds a guess. */
static rkn_status solve_from(content *c, int is_guessed, double *x) {
    char chosen[40];
    const rkn_operator *M = has_right(c) ? c->M : NULL;
    if (!is_guessed) return rkn_krylov_solve(c->krylov, c->A, M, N_VGetArrayPointer(c->rhs), x);
    rkn_status status = rkn_krylov_get_string(c->krylov, "initial_guess", chosen, sizeof chosen, NULL);
    if (status == RKN_OK) status = rkn_krylov_set_string(c->krylov, "initial_guess", "x");
    if (status != RKN_OK) return status;
    status = rkn_krylov_solve(c->krylov, c->A, M, N_VGetArrayPointer(c->rhs), x);
    rkn_krylov_set_string(c->krylov, "initial_guess", chosen);
    return status;
}

static int solve(SUNLinearSolver S, SUNMatrix A, N_Vector x, N_Vector b, realtype tol) {
    content *c = of(S);
    const int is_guessed = !c->zero_guess;
    c->zero_guess = SUNFALSE;    /* it is told for one solve */
    c->failure = 0, c->iterations = 0, c->residual_norm = 0, c->tol = tol;

    int code = renew_operators(c, A);
    if (!code) code = renew_scaling(c);
    if (!code) code = code_of(c, rkn_krylov_set_real(c->krylov, "atol", tol));
    if (!code && has_left(c))
        code = precondition(c, b, c->rhs, SUN_PREC_LEFT) ? c->failure : 0;
    else if (!code)
        N_VScale(1, b, c->rhs);
    code = agreed(c, code);
    if (code) return ended(S, code);

    const rkn_status status = solve_from(c, is_guessed, N_VGetArrayPointer(x));
    int64_t iterations = 0;
    rkn_krylov_get_int(c->krylov, "iterations", &iterations);
    rkn_krylov_get_real(c->krylov, "tested_norm", &c->residual_norm);
    c->iterations = (int)iterations;
    if (status < 0) {
        /* A rank that only hears of another's failure has no code of its own. */
        const int is_elsewhere = c->comm_size > 1 && status == RKN_ERR_CALLBACK && !c->failure;
        code = agreed(c, is_elsewhere ? 0 : code_of(c, status));
        return ended(S, code ? code : SUNLS_PACKAGE_FAIL_UNREC);
    }
    /* IDA takes P^-1 b for the solution where there were no iterations. */
    if (c->iterations == 0 && !is_guessed && N_VDotProd(x, x) > 0) c->iterations = 1;
    if (status == RKN_OK) return ended(S, SUNLS_SUCCESS);
    say(rkn_last_error());
    return ended(S, stopped_short(c, is_guessed));
}

static int num_iters(SUNLinearSolver S) { return of(S)->iterations; }
static realtype res_norm(SUNLinearSolver S) { return of(S)->residual_norm; }
static N_Vector resid(SUNLinearSolver S) { return of(S)->rhs; }
static sunindextype last_flag(SUNLinearSolver S) { return of(S)->last_flag; }

static int space(SUNLinearSolver S, long int *lenrw, long int *leniw) {
    int64_t restart = 0, recycle = 0;
    rkn_krylov_get_int(of(S)->krylov, "restart", &restart);
    rkn_krylov_get_int(of(S)->krylov, "recycle", &recycle);
    *lenrw = (long int)((2 * restart + 3 * recycle + 30) * of(S)->n);    /* docs/krylov.md, vectors held */
    *leniw = 0;
    return ended(S, SUNLS_SUCCESS);
}

static int release(SUNLinearSolver S) {
    if (!S) return SUNLS_SUCCESS;
    content *c = of(S);
    if (c) {
        forget_operators(c);
        rkn_krylov_destroy(c->krylov);
        rkn_context_destroy(c->ctx);
        N_Vector *const vectors[4] = {&c->shell_in, &c->shell_out, &c->rhs, &c->work};
        for (int i = 0; i < 4; ++i)
            if (*vectors[i]) N_VDestroy(*vectors[i]);
        free(c->left), free(c->right), free(c);
        S->content = NULL;
    }
    SUNLinSolFreeEmpty(S);
    return SUNLS_SUCCESS;
}

/* ---- what users call ---- */

/* Why vectors like y cannot be used, or NULL. */
static const char *refuses(N_Vector y) {
    if (!y->ops->nvgetarraypointer || !y->ops->nvsetarraypointer || y->ops->nvgetdevicearraypointer)
        return "SUNLinSol_Reknit: y lends no array (N_VGetArrayPointer and N_VSetArrayPointer on the host); serial, OpenMP, "
               "Pthreads and Parallel vectors do";
    if (!y->ops->nvclone || !y->ops->nvdestroy || !y->ops->nvgetlength || !y->ops->nvscale || !y->ops->nvprod || !y->ops->nvdotprod)
        return "SUNLinSol_Reknit: y lacks one of N_VClone, N_VDestroy, N_VGetLength, N_VScale, N_VProd, N_VDotProd";
    return NULL;
}

/* Joins the ranks of y, or its threads. */
static int join(content *c, N_Vector y) {
    c->comm_size = 1;
    const void *comm = N_VGetCommunicator(y);
#ifdef SUNLINSOL_REKNIT_MPI
    if (comm) {
        c->comm = *(const MPI_Comm *)comm;
        MPI_Comm_size(c->comm, &c->comm_size);
        if (c->comm_size > 1) return code_of(c, rkn_mpi_attach(c->ctx, c->comm));
    }
#else
    if (comm) {
        say("SUNLinSol_Reknit: y has an MPI communicator: compile sunlinsol_reknit.c with -DSUNLINSOL_REKNIT_MPI");
        return SUNLS_ILL_INPUT;
    }
#endif
#ifdef SUNDIALS_NVECTOR_OPENMP
    if (N_VGetVectorID(y) == SUNDIALS_NVEC_OPENMP) return code_of(c, rkn_context_set_int(c->ctx, "threads", NV_NUM_THREADS_OMP(y)));
#endif
    return SUNLS_SUCCESS;
}

static int is_one_of(const char *method, const char *const *names) {
    for (; *names; ++names)
        if (!strcmp(method, *names)) return 1;
    return 0;
}

static int fill(content *c, N_Vector y, SUNMatrix A, const char *method) {
    static const char *const symmetric[] = {"cg", "rcg", "eigcg", "minres", "rminres", NULL};
    static const char *const probing[] = {"gcrodr", "rbicgstab", NULL};
    c->pretype = -1;
    c->is_matrix_based = A != NULL;
    c->is_symmetric = is_one_of(method, symmetric);
    c->matrix = NULL;
    int code = code_of(c, rkn_context_create(&c->ctx));
    if (!code) code = join(c, y);
    if (!code) code = code_of(c, rkn_krylov_create(c->ctx, method, &c->krylov));
    if (!code) code = code_of(c, rkn_krylov_set_options(c->krylov, "reference=none norm=weighted max_iterations=200"));
    if (!code && is_one_of(method, probing)) code = code_of(c, rkn_krylov_set_string(c->krylov, "probe", "on"));
    if (code) return code;
    c->shell_in = N_VClone(y), c->shell_out = N_VClone(y), c->rhs = N_VClone(y), c->work = N_VClone(y);
    if (!c->shell_in || !c->shell_out || !c->rhs || !c->work) return out_of_memory();
    c->n = y->ops->nvgetlocallength ? y->ops->nvgetlocallength(y) : N_VGetLength(y);
    if (A && order_of(A) != c->n && order_of(A) != 0) {
        say("SUNLinSol_Reknit: A must be square, of the order of y, and have a product (SUNMatMatvec)");
        return SUNLS_ILL_INPUT;
    }
    return SUNLS_SUCCESS;
}

SUNLinearSolver SUNLinSol_Reknit(N_Vector y, SUNMatrix A, const char *method, SUNContext sunctx) {
    if (!y || !method || !sunctx) {
        say("SUNLinSol_Reknit: y, method and sunctx must not be NULL");
        return NULL;
    }
    const char *reason = refuses(y);
    if (reason) {
        say(reason);
        return NULL;
    }
    SUNLinearSolver S = SUNLinSolNewEmpty(sunctx);
    if (!S) return out_of_memory(), NULL;
    S->ops->gettype = get_type;
    S->ops->getid = get_id;
    S->ops->setatimes = set_atimes;
    S->ops->setpreconditioner = set_preconditioner;
    S->ops->setscalingvectors = set_scaling_vectors;
    S->ops->setzeroguess = set_zero_guess;
    S->ops->initialize = initialize;
    S->ops->setup = setup;
    S->ops->solve = solve;
    S->ops->numiters = num_iters;
    S->ops->resnorm = res_norm;
    S->ops->resid = resid;
    S->ops->lastflag = last_flag;
    S->ops->space = space;
    S->ops->free = release;
    S->content = calloc(1, sizeof(content));
    const int code = S->content ? fill(of(S), y, A, method) : out_of_memory();
    if (code) return release(S), NULL;
    return S;
}

static int no_solver(const char *function) {
    snprintf(message, sizeof message, "%s: S is NULL", function);
    return SUNLS_MEM_NULL;
}

int SUNLinSol_ReknitSetOptions(SUNLinearSolver S, const char *options) {
    if (!S) return no_solver("SUNLinSol_ReknitSetOptions");
    return ended(S, code_of(of(S), rkn_krylov_set_options(of(S)->krylov, options)) ? SUNLS_ILL_INPUT : SUNLS_SUCCESS);
}

int SUNLinSol_ReknitSetPrecType(SUNLinearSolver S, int pretype) {
    if (!S) return no_solver("SUNLinSol_ReknitSetPrecType");
    if (pretype < SUN_PREC_NONE || pretype > SUN_PREC_BOTH) {
        snprintf(message, sizeof message, "SUNLinSol_ReknitSetPrecType: pretype is %d, must be SUN_PREC_NONE, _LEFT, _RIGHT or _BOTH", pretype);
        return ended(S, SUNLS_ILL_INPUT);
    }
    of(S)->pretype = pretype;
    forget_operators(of(S));
    return ended(S, SUNLS_SUCCESS);
}

rkn_krylov *SUNLinSol_ReknitHandle(SUNLinearSolver S) { return S ? of(S)->krylov : NULL; }
