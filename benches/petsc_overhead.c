/* petsc_overhead.c: what the PETSc plug-in costs an iteration. For benches/petsc.sh.
 *
 * A five-point matrix with -unknowns 100000 rows, some 300 iterations of CG: through the plug-in with the matrix's
 * arrays, by reknit itself on the same arrays (the same kernels, so the difference is the plug-in), through the plug-in
 * by MatMult, and by PETSc's own CG. The four take turns; the least time of -rounds 15 counts. */
#include <petscksp.h>
#include <petsctime.h>

#include "reknit_ksp.h"

#define ITERATIONS 300

static Mat A;
static Vec b, x;

static KSP solver(const char type[], const char method[], const char matrix[], Mat of) {
  KSP ksp;
  PC  pc;

  PetscCallAbort(PETSC_COMM_SELF, KSPCreate(PETSC_COMM_SELF, &ksp));
  PetscCallAbort(PETSC_COMM_SELF, KSPSetType(ksp, type));
  PetscCallAbort(PETSC_COMM_SELF, KSPReknitSetMethod(ksp, method));
  PetscCallAbort(PETSC_COMM_SELF, PetscOptionsSetValue(NULL, "-ksp_reknit_matrix", matrix));
  PetscCallAbort(PETSC_COMM_SELF, KSPSetFromOptions(ksp));
  PetscCallAbort(PETSC_COMM_SELF, KSPGetPC(ksp, &pc));
  PetscCallAbort(PETSC_COMM_SELF, PCSetType(pc, PCNONE));
  PetscCallAbort(PETSC_COMM_SELF, KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED));
  PetscCallAbort(PETSC_COMM_SELF, KSPSetTolerances(ksp, 1e-30, 1e-300, 1e300, ITERATIONS));
  PetscCallAbort(PETSC_COMM_SELF, KSPSetOperators(ksp, of, of));
  return ksp;
}

static double seconds_of_ksp(KSP ksp) {
  PetscLogDouble begin, end;
  PetscInt       its;

  PetscCallAbort(PETSC_COMM_SELF, PetscTime(&begin));
  PetscCallAbort(PETSC_COMM_SELF, KSPSolve(ksp, b, x));
  PetscCallAbort(PETSC_COMM_SELF, PetscTime(&end));
  PetscCallAbort(PETSC_COMM_SELF, KSPGetIterationNumber(ksp, &its));
  return (end - begin) / (double)its;
}

static double seconds_of_reknit(rkn_krylov *s, rkn_operator *op) {
  const PetscScalar *rhs;
  PetscScalar       *solution;
  PetscLogDouble     begin, end;
  int64_t            its = 1;

  PetscCallAbort(PETSC_COMM_SELF, VecGetArrayRead(b, &rhs));
  PetscCallAbort(PETSC_COMM_SELF, VecGetArray(x, &solution));
  PetscCallAbort(PETSC_COMM_SELF, PetscTime(&begin));
  rkn_krylov_solve(s, op, NULL, rhs, solution);
  PetscCallAbort(PETSC_COMM_SELF, PetscTime(&end));
  rkn_krylov_get_int(s, "iterations", &its);
  PetscCallAbort(PETSC_COMM_SELF, VecRestoreArray(x, &solution));
  PetscCallAbort(PETSC_COMM_SELF, VecRestoreArrayRead(b, &rhs));
  return (end - begin) / (double)its;
}

static rkn_krylov *reknit_cg(void) {
  rkn_krylov *s = NULL;

  rkn_krylov_create(NULL, "cg", &s);
  rkn_krylov_set_real(s, "rtol", 1e-30);
  rkn_krylov_set_int(s, "max_iterations", ITERATIONS);
  return s;
}

int main(int argc, char **argv) {
  PetscInt           unknowns = 100000, rounds = 15, edge, n;
  const PetscInt    *ia, *ja;
  const PetscScalar *values;
  PetscBool          done;
  rkn_operator      *op = NULL;
  double             best[4] = {1e9, 1e9, 1e9, 1e9};

  PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
  PetscCall(KSPRegisterReknit());
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-unknowns", &unknowns, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-rounds", &rounds, NULL));
  edge = (PetscInt)PetscSqrtReal((PetscReal)unknowns);
  PetscCall(MatCreateSeqAIJ(PETSC_COMM_SELF, edge * edge, edge * edge, 5, NULL, &A));
  for (PetscInt row = 0; row < edge * edge; ++row) {
    const PetscInt i = row % edge, j = row / edge;
    if (i > 0) PetscCall(MatSetValue(A, row, row - 1, -1, INSERT_VALUES));
    if (i < edge - 1) PetscCall(MatSetValue(A, row, row + 1, -1, INSERT_VALUES));
    if (j > 0) PetscCall(MatSetValue(A, row, row - edge, -1, INSERT_VALUES));
    if (j < edge - 1) PetscCall(MatSetValue(A, row, row + edge, -1, INSERT_VALUES));
    PetscCall(MatSetValue(A, row, row, 4, INSERT_VALUES));
  }
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatCreateVecs(A, &x, &b));
  PetscCall(VecSetRandom(b, NULL));

  PetscCall(MatGetRowIJ(A, 0, PETSC_FALSE, PETSC_FALSE, &n, &ia, &ja, &done));
  PetscCall(MatSeqAIJGetArrayRead(A, &values));
  rkn_operator_create_csr(NULL, RKN_F64, n, n, sizeof(PetscInt) == 4 ? RKN_I32 : RKN_I64, 0, ia, ja, values, RKN_BORROW, &op);
  rkn_krylov *direct = reknit_cg();
  KSP         entries = solver(KSPREKNIT, "cg", "entries", A), callback = solver(KSPREKNIT, "cg", "callback", A), own = solver(KSPCG, "", "auto", A);
  for (PetscInt round = 0; round < rounds; ++round) {
    best[0] = PetscMin(best[0], seconds_of_ksp(entries));
    best[1] = PetscMin(best[1], seconds_of_reknit(direct, op));
    best[2] = PetscMin(best[2], seconds_of_ksp(callback));
    best[3] = PetscMin(best[3], seconds_of_ksp(own));
  }
  PetscCall(PetscPrintf(PETSC_COMM_SELF, "unknowns %" PetscInt_FMT ", microseconds an iteration of CG\n", n));
  PetscCall(PetscPrintf(PETSC_COMM_SELF, "reknit alone %.1f, through the plug-in %.1f (%+.2f %%), by MatMult %.1f, PETSc's CG %.1f\n", 1e6 * best[1], 1e6 * best[0], 100 * (best[0] / best[1] - 1), 1e6 * best[2], 1e6 * best[3]));
  rkn_operator_destroy(op);
  PetscCall(MatSeqAIJRestoreArrayRead(A, &values));
  PetscCall(MatRestoreRowIJ(A, 0, PETSC_FALSE, PETSC_FALSE, &n, &ia, &ja, &done));
  rkn_krylov_destroy(direct);
  PetscCall(KSPDestroy(&entries));
  PetscCall(KSPDestroy(&callback));
  PetscCall(KSPDestroy(&own));
  PetscCall(MatDestroy(&A));
  PetscCall(VecDestroy(&b));
  PetscCall(VecDestroy(&x));
  PetscCall(PetscFinalize());
  return 0;
}
