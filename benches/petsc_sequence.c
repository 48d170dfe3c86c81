/* petsc_sequence.c: a diffusion problem in three dimensions whose coefficients drift from step to step, or convection and
 * diffusion in the plane whose wind turns, solved by whatever KSP the options name. For benches/petsc.sh; nothing in it
 * knows of reknit.
 *
 * Options: -n 40 (points an edge), -steps 20, -drift 0.05 (of the phase of the coefficients, a step), -contrast 4
 * (their logarithm), -wind 0 (nonsymmetric if not 0), -spd true (says MAT_SPD where there is no wind); -plane for the wind
 * that turns, with -diffusion 0.01 and -turn 1/64 (radians a step); -lag 0 (if not 0, the PC is set up every so many
 * steps). x stays from step to step, for -ksp_initial_guess_nonzero.
 * Prints the iterations of all steps and the largest relative residual of a step. */
#include <petscksp.h>

static PetscInt  n = 40;
static PetscReal contrast = 4, wind = 0;

static PetscReal coefficient(PetscReal x, PetscReal y, PetscReal z, PetscReal phase) {
  return PetscExpReal(0.5 * contrast * PetscSinReal(5 * x + phase) * PetscCosReal(4 * y - 0.7 * phase) * PetscSinReal(3 * z + 1 + 0.3 * phase));
}

/* Finite volumes with Dirichlet conditions all round. */
static PetscErrorCode assemble(Mat A, PetscReal phase) {
  PetscInt        first, end;
  const PetscReal h = 1. / (PetscReal)(n + 1);

  PetscFunctionBegin;
  PetscCall(MatGetOwnershipRange(A, &first, &end));
  for (PetscInt row = first; row < end; ++row) {
    const PetscInt at[3]    = {row % n, row / n % n, row / (n * n)};
    const PetscInt apart[3] = {1, n, n * n};
    PetscScalar    values[7], diagonal = 0;
    PetscInt       columns[7], count = 0;
    for (int axis = 0; axis < 3; ++axis) {
      for (int way = -1; way <= 1; way += 2) {
        PetscReal middle[3];
        for (int k = 0; k < 3; ++k) middle[k] = h * ((PetscReal)at[k] + 1 + (k == axis ? 0.5 * way : 0));
        const PetscReal c = coefficient(middle[0], middle[1], middle[2], phase) - (axis == 0 ? way * wind * h : 0);
        diagonal += c;
        if (at[axis] + way < 0 || at[axis] + way >= n) continue;
        columns[count]  = row + way * apart[axis];
        values[count++] = -c;
      }
    }
    columns[count]  = row;
    values[count++] = diagonal;
    PetscCall(MatSetValues(A, 1, &row, count, columns, values, INSERT_VALUES));
  }
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(0);
}

/* -diffusion lap u + v . grad u, upwind, Dirichlet conditions all round. The wind has a part that turns and one that swirls. */
static PetscErrorCode assemble_plane(Mat A, PetscReal diffusion, PetscReal angle) {
  PetscInt        first, end;
  const PetscReal h = 1. / (PetscReal)(n + 1);

  PetscFunctionBegin;
  PetscCall(MatGetOwnershipRange(A, &first, &end));
  for (PetscInt row = first; row < end; ++row) {
    const PetscInt  at[2]    = {row % n, row / n};
    const PetscInt  apart[2] = {1, n};
    const PetscReal x = h * ((PetscReal)at[0] + 1), y = h * ((PetscReal)at[1] + 1);
    const PetscReal swirl[2] = {PetscSinReal(2 * PETSC_PI * y), -PetscSinReal(2 * PETSC_PI * x)};
    const PetscReal v[2]     = {PetscCosReal(angle) + swirl[0], PetscSinReal(angle) + swirl[1]};
    PetscScalar     values[5], diagonal = 0;
    PetscInt        columns[5], count = 0;
    for (int axis = 0; axis < 2; ++axis) {
      for (int way = -1; way <= 1; way += 2) {
        const PetscReal c = diffusion / (h * h) + PetscMax(-way * v[axis], 0) / h;
        diagonal += c;
        if (at[axis] + way < 0 || at[axis] + way >= n) continue;
        columns[count]  = row + way * apart[axis];
        values[count++] = -c;
      }
    }
    columns[count]  = row;
    values[count++] = diagonal;
    PetscCall(MatSetValues(A, 1, &row, count, columns, values, INSERT_VALUES));
  }
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(0);
}

int main(int argc, char **argv) {
  PetscInt  steps = 20, lag = 0, total = 0, size;
  PetscReal drift = 0.05, diffusion = 0.01, turn = 1. / 64, worst = 0;
  PetscBool spd = PETSC_TRUE, plane = PETSC_FALSE;
  Mat       A;
  Vec       b, x, r;
  KSP       ksp;

  PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-n", &n, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-steps", &steps, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-drift", &drift, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-contrast", &contrast, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-wind", &wind, NULL));
  PetscCall(PetscOptionsGetBool(NULL, NULL, "-spd", &spd, NULL));
  PetscCall(PetscOptionsGetBool(NULL, NULL, "-plane", &plane, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-diffusion", &diffusion, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-turn", &turn, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-lag", &lag, NULL));
  size = plane ? n * n : n * n * n;
  PetscCall(MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, size, size, 7, NULL, 3, NULL, &A));
  PetscCall(MatSetOption(A, MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  if (spd && wind == 0 && !plane) PetscCall(MatSetOption(A, MAT_SPD, PETSC_TRUE));
  PetscCall(MatCreateVecs(A, &x, &b));
  PetscCall(VecDuplicate(b, &r));
  PetscCall(KSPCreate(PETSC_COMM_WORLD, &ksp));
  PetscCall(KSPSetFromOptions(ksp));
  for (PetscInt step = 0; step < steps; ++step) {
    PetscReal norm, rhs;
    PetscInt  its, first, end;
    if (plane) PetscCall(assemble_plane(A, diffusion, turn * (PetscReal)step));
    else PetscCall(assemble(A, drift * (PetscReal)step));
    PetscCall(VecGetOwnershipRange(b, &first, &end));
    for (PetscInt i = first; i < end; ++i) {
      const PetscReal source = plane ? 1 : 1 + PetscSinReal(0.001 * (PetscReal)i + 0.4 * (PetscReal)step);
      PetscCall(VecSetValue(b, i, source, INSERT_VALUES));
    }
    PetscCall(VecAssemblyBegin(b));
    PetscCall(VecAssemblyEnd(b));
    PetscCall(KSPSetOperators(ksp, A, A));
    if (lag) PetscCall(KSPSetReusePreconditioner(ksp, step % lag ? PETSC_TRUE : PETSC_FALSE));
    PetscCall(KSPSolve(ksp, b, x));
    PetscCall(KSPGetIterationNumber(ksp, &its));
    total += its;
    PetscCall(MatMult(A, x, r));
    PetscCall(VecAYPX(r, -1, b));
    PetscCall(VecNorm(r, NORM_2, &norm));
    PetscCall(VecNorm(b, NORM_2, &rhs));
    worst = PetscMax(worst, norm / rhs);
  }
  PetscCall(PetscPrintf(PETSC_COMM_WORLD, "iterations %" PetscInt_FMT " worst %.2e\n", total, (double)worst));
  PetscCall(KSPDestroy(&ksp));
  PetscCall(MatDestroy(&A));
  PetscCall(VecDestroy(&b));
  PetscCall(VecDestroy(&x));
  PetscCall(VecDestroy(&r));
  PetscCall(PetscFinalize());
  return 0;
}
