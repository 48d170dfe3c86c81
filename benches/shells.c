/* The user's own product and preconditioner as callbacks, under reknit and under PETSc:
 *
 *     shells FILE reknit METHOD [OPTIONS]
 *     shells FILE petsc [-lag K] [-guess previous] [PETSc options]
 *
 *     mpicc -O2 -Iinclude benches/shells.c -o build/shells $(pkg-config --cflags --libs petsc) -Ltarget/release -lreknit -lm
 *
 * A is a product with rows of compressed storage, M an ILU(0) of its own that is set up again when the host asks
 * for it: under reknit when "auto" decides so, or for each system, under PETSc (MatShell, PCShell) every K
 * systems. Neither library sees an entry; HERMITIAN in the environment says that A and M are. FILE is a real sequence (layout in benches/sequence.c); x = 0 or, on
 * request, the previous solution. Prints one JSON line; the true residual is computed from the file's arrays. */
#include "bench.h"

#include <math.h>
#include <petscksp.h>
#include <string.h>

typedef struct matrix {
    int64_t n, *ptr, *diagonal;
    int32_t *col;
    double *val, *factor;
    int64_t applies, uses, setups;
} matrix;

static void product(matrix *a, const double *x, double *y) {
    a->applies++;
    for (int64_t i = 0; i < a->n; ++i) {
        double sum = 0;
        for (int64_t k = a->ptr[i]; k < a->ptr[i + 1]; ++k) sum += a->val[k] * x[a->col[k]];
        y[i] = sum;
    }
}

/* ILU(0) by rows; a row at a time, `place` finding its columns. */
static int set_up(matrix *a) {
    int64_t *place = malloc(sizeof *place * a->n);
    memset(place, -1, sizeof *place * a->n);
    memcpy(a->factor, a->val, sizeof *a->val * a->ptr[a->n]);
    for (int64_t i = 0; i < a->n; ++i) {
        for (int64_t k = a->ptr[i]; k < a->ptr[i + 1]; ++k) place[a->col[k]] = k;
        for (int64_t k = a->ptr[i]; k < a->diagonal[i]; ++k) {
            int64_t j = a->col[k];
            double l = a->factor[k] *= a->factor[a->diagonal[j]];
            for (int64_t m = a->diagonal[j] + 1; m < a->ptr[j + 1]; ++m)
                if (place[a->col[m]] >= 0) a->factor[place[a->col[m]]] -= l * a->factor[m];
        }
        a->factor[a->diagonal[i]] = 1 / a->factor[a->diagonal[i]];
        for (int64_t k = a->ptr[i]; k < a->ptr[i + 1]; ++k) place[a->col[k]] = -1;
    }
    free(place);
    a->setups++;
    return 0;
}

static void precondition(matrix *a, const double *x, double *y) {
    a->uses++;
    for (int64_t i = 0; i < a->n; ++i) {
        double sum = x[i];
        for (int64_t k = a->ptr[i]; k < a->diagonal[i]; ++k) sum -= a->factor[k] * y[a->col[k]];
        y[i] = sum;
    }
    for (int64_t i = a->n - 1; i >= 0; --i) {
        double sum = y[i];
        for (int64_t k = a->diagonal[i] + 1; k < a->ptr[i + 1]; ++k) sum -= a->factor[k] * y[a->col[k]];
        y[i] = sum * a->factor[a->diagonal[i]];
    }
}

static int32_t rkn_product(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    if (trans != RKN_N) return 1;
    for (int64_t j = 0; j < ncols; ++j) product(user, (const double *)x + j * ldx, (double *)y + j * ldy);
    return 0;
}

static int32_t rkn_precondition(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    if (trans != RKN_N) return 1;
    for (int64_t j = 0; j < ncols; ++j) precondition(user, (const double *)x + j * ldx, (double *)y + j * ldy);
    return 0;
}

static int32_t rkn_set_up(void *user) {
    return set_up(user);
}

static PetscErrorCode petsc_product(Mat A, Vec x, Vec y) {
    matrix *a;
    const double *in;
    double *out;
    PetscCall(MatShellGetContext(A, &a));
    PetscCall(VecGetArrayRead(x, &in));
    PetscCall(VecGetArrayWrite(y, &out));
    product(a, in, out);
    PetscCall(VecRestoreArrayWrite(y, &out));
    PetscCall(VecRestoreArrayRead(x, &in));
    return 0;
}

static PetscErrorCode petsc_precondition(PC pc, Vec x, Vec y) {
    matrix *a;
    const double *in;
    double *out;
    PetscCall(PCShellGetContext(pc, &a));
    PetscCall(VecGetArrayRead(x, &in));
    PetscCall(VecGetArrayWrite(y, &out));
    precondition(a, in, out);
    PetscCall(VecRestoreArrayWrite(y, &out));
    PetscCall(VecRestoreArrayRead(x, &in));
    return 0;
}

static PetscErrorCode petsc_set_up(PC pc) {
    matrix *a;
    PetscCall(PCShellGetContext(pc, &a));
    return set_up(a);
}

int main(int argc, char **argv) {
    const int peer = argc > 2 && !strcmp(argv[2], "petsc");
    if (argc < 3 || (!peer && argc < 4)) {
        fprintf(stderr, "usage: shells FILE reknit METHOD [OPTIONS] | shells FILE petsc [PETSc options]\n");
        return 2;
    }
    FILE *f = fopen(argv[1], "rb");
    if (!f) {
        perror(argv[1]);
        return 2;
    }
    PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
    char magic[8];
    int64_t head[4];
    need(f, magic, 1, 8);
    need(f, head, 8, 4);
    const int64_t n = head[0], count = head[1];
    if (head[2] != 1) {
        fprintf(stderr, "shells: the sequence is not real\n");
        return 2;
    }

    matrix a = {.n = n, .ptr = malloc(8 * (n + 1)), .diagonal = malloc(8 * n)};
    double *b = malloc(8 * n), *x = calloc(n, 8), *r = malloc(8 * n), *parameters = malloc(8 * head[3] + 8);
    rkn_krylov *s = NULL;
    rkn_operator *A = NULL, *M = NULL;
    KSP ksp = NULL;
    Mat shell = NULL;
    Vec pb, px;
    PetscInt lag = 1;
    char guess[16] = "zero";
    if (peer) {
        PC pc;
        PetscCall(PetscOptionsGetInt(NULL, NULL, "-lag", &lag, NULL));
        PetscCall(PetscOptionsGetString(NULL, NULL, "-guess", guess, sizeof guess, NULL));
        PetscCall(KSPCreate(PETSC_COMM_SELF, &ksp));
        PetscCall(KSPGetPC(ksp, &pc));
        PetscCall(PCSetType(pc, PCSHELL));
        PetscCall(PCShellSetContext(pc, &a));
        PetscCall(PCShellSetSetUp(pc, petsc_set_up));
        PetscCall(PCShellSetApply(pc, petsc_precondition));
        PetscCall(KSPSetTolerances(ksp, 1e-8, PETSC_DEFAULT, PETSC_DEFAULT, 5000));
        PetscCall(KSPSetFromOptions(ksp));
        PetscCall(MatCreateShell(PETSC_COMM_SELF, n, n, n, n, &a, &shell));
        PetscCall(MatShellSetOperation(shell, MATOP_MULT, (void (*)(void))petsc_product));
        PetscCall(VecCreateSeqWithArray(PETSC_COMM_SELF, 1, n, b, &pb));
        PetscCall(VecCreateSeqWithArray(PETSC_COMM_SELF, 1, n, x, &px));
        if (!strcmp(guess, "previous")) PetscCall(KSPSetInitialGuessNonzero(ksp, PETSC_TRUE));
    } else {
        check(rkn_krylov_create(NULL, argv[3], &s));
        check(rkn_krylov_set_real(s, "rtol", 1e-8));
        if (argc > 4) check(rkn_krylov_set_options(s, argv[4]));
        check(rkn_operator_create_callback(NULL, RKN_F64, n, n, rkn_product, &a, NULL, &A));
        check(rkn_operator_create_callback(NULL, RKN_F64, n, n, rkn_precondition, &a, NULL, &M));
        check(rkn_operator_set_refresh(M, rkn_set_up, &a, NULL));
        if (getenv("HERMITIAN")) {
            check(rkn_operator_set_int(A, "hermitian", 1));
            check(rkn_operator_set_int(M, "hermitian", 1));
        }
    }

    double seconds = 0, worst = 0;
    int64_t iterations = 0;
    int failed = 0;
    for (int64_t k = 0; k < count; ++k) {
        int64_t nnz;
        need(f, &nnz, 8, 1);
        need(f, a.ptr, 8, n + 1);
        a.col = realloc(a.col, 4 * nnz);
        a.val = realloc(a.val, 8 * nnz);
        a.factor = realloc(a.factor, 8 * nnz);
        need(f, a.col, 4, nnz);
        need(f, a.val, 8, nnz);
        need(f, b, 8, n);
        need(f, parameters, 8, head[3]);
        for (int64_t i = 0; i < n; ++i)
            for (int64_t e = a.ptr[i]; e < a.ptr[i + 1]; ++e)
                if (a.col[e] == i) a.diagonal[i] = e;
        const double begun = now();
        if (peer) {
            PetscInt its;
            KSPConvergedReason why;
            PetscCall(MatAssemblyBegin(shell, MAT_FINAL_ASSEMBLY));
            PetscCall(MatAssemblyEnd(shell, MAT_FINAL_ASSEMBLY));
            double *written;    /* a vector keeps its norms until it is written to */
            PetscCall(VecGetArray(pb, &written));
            PetscCall(VecRestoreArray(pb, &written));
            if (strcmp(guess, "previous")) PetscCall(VecSet(px, 0));
            PetscCall(KSPSetReusePreconditioner(ksp, k % lag ? PETSC_TRUE : PETSC_FALSE));
            PetscCall(KSPSetOperators(ksp, shell, shell));
            PetscCall(KSPSolve(ksp, pb, px));
            PetscCall(KSPGetIterationNumber(ksp, &its));
            PetscCall(KSPGetConvergedReason(ksp, &why));
            iterations += its;
            failed += why < 0;
        } else {
            int64_t its;
            check(rkn_operator_changed(A));
            if (strcmp(argv[3], "auto")) check(rkn_operator_changed(M));
            const rkn_status status = rkn_krylov_solve(s, A, M, b, x);
            check(status);
            check(rkn_krylov_get_int(s, "iterations", &its));
            iterations += its;
            failed += status != RKN_OK;
        }
        seconds += now() - begun;
        double rr = 0, bb = 0;
        a.applies--;
        product(&a, x, r);
        for (int64_t i = 0; i < n; ++i) rr += (b[i] - r[i]) * (b[i] - r[i]), bb += b[i] * b[i];
        worst = fmax(worst, sqrt(rr / bb));
    }
    printf("{\"peer\":\"%s\",\"systems\":%ld,\"failed\":%d,\"iterations\":%ld,\"applies\":%ld,\"uses\":%ld,\"setups\":%ld,"
           "\"setup_s\":0,\"solve_s\":%.4f,\"worst_residual\":%.3e}\n",
           argv[2], (long)count, failed, (long)iterations, (long)a.applies, (long)a.uses, (long)a.setups, seconds, worst);
    if (peer) {
        PetscCall(VecDestroy(&pb));
        PetscCall(VecDestroy(&px));
        PetscCall(MatDestroy(&shell));
        PetscCall(KSPDestroy(&ksp));
    }
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    rkn_operator_destroy(M);
    free(a.ptr); free(a.diagonal); free(a.col); free(a.val); free(a.factor); free(b); free(x); free(r); free(parameters);
    fclose(f);
    PetscCall(PetscFinalize());
    return 0;
}
