/* test_ksp.c: the KSP type against PETSc's own direct solver, on any number of ranks, with real and complex numbers. */
#include <petscksp.h>

#include "reknit_ksp.h"

#include "../mpi/check.h"

#define GRID 24

#define OK(call) PetscCallAbort(PETSC_COMM_WORLD, call)

/* ---- The system: diffusion on a grid, with wind if it is to be nonsymmetric ---- */

/* New numbers for the same pattern: coefficients that drift with t, `wind` to the east, `shift` on the diagonal. With
 * Neumann conditions rows add up to the shift. */
static void fill(Mat A, double t, double wind, PetscScalar shift, int neumann) {
  PetscInt first, end;

  OK(MatGetOwnershipRange(A, &first, &end));
  for (PetscInt row = first; row < end; ++row) {
    const PetscInt i = row % GRID, j = row / GRID;
    const PetscInt near[4][2] = {{i - 1, j}, {i + 1, j}, {i, j - 1}, {i, j + 1}};
    PetscScalar    diagonal   = shift;
    for (int k = 0; k < 4; ++k) {
      const PetscInt ni = near[k][0], nj = near[k][1];
      const double   middle = 0.5 * (double)(k < 2 ? i + ni : j + nj) / GRID;
      const double   c      = 1 + 0.5 * sin(6 * middle + t) + (k == 0 ? wind : 0);
      if (ni < 0 || ni >= GRID || nj < 0 || nj >= GRID) {
        if (!neumann) diagonal += c;
        continue;
      }
      diagonal += c;
      OK(MatSetValue(A, row, nj * GRID + ni, -c, INSERT_VALUES));
    }
    OK(MatSetValue(A, row, row, diagonal, INSERT_VALUES));
  }
  OK(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  OK(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
}

static Mat matrix(double wind, PetscScalar shift, int neumann) {
  Mat A;

  OK(MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, GRID * GRID, GRID * GRID, 5, NULL, 5, NULL, &A));
  OK(MatSetOption(A, MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  fill(A, 0, wind, shift, neumann);
  return A;
}

/* The same numbers whatever the number of ranks is. */
static void right_side(Vec b, int which) {
  PetscInt first, end;

  OK(VecGetOwnershipRange(b, &first, &end));
  for (PetscInt i = first; i < end; ++i) OK(VecSetValue(b, i, sin(1.3 * (double)i + which) + 0.2, INSERT_VALUES));
  OK(VecAssemblyBegin(b));
  OK(VecAssemblyEnd(b));
}

typedef struct {
  Mat A;
  Vec b, x, truth;
  KSP ksp;
} System;

/* The truth by PETSc: a complete factorisation, on each rank. */
static void solve_directly(System *s) {
  KSP direct;
  PC  pc;

  OK(KSPCreate(PETSC_COMM_WORLD, &direct));
  OK(KSPSetOperators(direct, s->A, s->A));
  OK(KSPSetType(direct, KSPPREONLY));
  OK(KSPGetPC(direct, &pc));
  OK(PCSetType(pc, PCREDUNDANT));
  OK(KSPSolve(direct, s->b, s->truth));
  OK(KSPDestroy(&direct));
}

static KSP solver(const char method[], const char pc_type[], Mat A) {
  KSP ksp;
  PC  pc;

  OK(KSPCreate(PETSC_COMM_WORLD, &ksp));
  OK(KSPSetType(ksp, KSPREKNIT));
  OK(KSPReknitSetMethod(ksp, method));
  OK(KSPSetTolerances(ksp, 1e-10, PETSC_DEFAULT, PETSC_DEFAULT, 2000));
  OK(KSPGetPC(ksp, &pc));
  OK(PCSetType(pc, pc_type));
  OK(KSPSetOperators(ksp, A, A));
  return ksp;
}

static System system_of(const char method[], const char pc_type[], double wind) {
  System s;

  s.A = matrix(wind, 0, 0);
  OK(MatCreateVecs(s.A, &s.x, &s.b));
  OK(VecDuplicate(s.x, &s.truth));
  right_side(s.b, 0);
  solve_directly(&s);
  s.ksp = solver(method, pc_type, s.A);
  return s;
}

static void destroy(System *s) {
  OK(KSPDestroy(&s->ksp));
  OK(MatDestroy(&s->A));
  OK(VecDestroy(&s->b));
  OK(VecDestroy(&s->x));
  OK(VecDestroy(&s->truth));
}

static double off(const System *s) {
  Vec       difference;
  PetscReal norm, whole;

  OK(VecDuplicate(s->x, &difference));
  OK(VecWAXPY(difference, -1, s->truth, s->x));
  OK(VecNorm(difference, NORM_2, &norm));
  OK(VecNorm(s->truth, NORM_2, &whole));
  OK(VecDestroy(&difference));
  return norm / whole;
}

static double residual(Mat A, Vec b, Vec x) {
  Vec       r;
  PetscReal norm;

  OK(VecDuplicate(b, &r));
  OK(MatMult(A, x, r));
  OK(VecAYPX(r, -1, b));
  OK(VecNorm(r, NORM_2, &norm));
  OK(VecDestroy(&r));
  return norm;
}

static KSPConvergedReason reason_of(KSP ksp) {
  KSPConvergedReason reason;

  OK(KSPGetConvergedReason(ksp, &reason));
  return reason;
}

static PetscInt iterations_of(KSP ksp) {
  PetscInt its;

  OK(KSPGetIterationNumber(ksp, &its));
  return its;
}

static rkn_krylov *inside(KSP ksp) {
  rkn_krylov *s;

  OK(KSPReknitGetSolver(ksp, &s));
  return s;
}

static int is_word(KSP ksp, const char key[], const char value[]) {
  char word[64] = "";

  rkn_krylov_get_string(inside(ksp), key, word, sizeof word, NULL);
  return !strcmp(word, value);
}

/* ---- Errors: the first text, and nothing printed ---- */

static char error_text[2000];

static PetscErrorCode keep_text(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code, PetscErrorType type, const char *text, void *ctx) {
  (void)comm, (void)line, (void)function, (void)file, (void)ctx;
  if (type == PETSC_ERROR_INITIAL) snprintf(error_text, sizeof error_text, "%s", text);
  return code;
}

#define REFUSED(call, words) \
  do { \
    error_text[0] = 0; \
    OK(PetscPushErrorHandler(keep_text, NULL)); \
    const PetscErrorCode code_ = (call); \
    OK(PetscPopErrorHandler()); \
    EXPECT(code_ != 0); \
    if (!strstr(error_text, words)) printf("the text is: %s\n", error_text); \
    EXPECT(strstr(error_text, words) != NULL); \
  } while (0)

/* ---- Cases ---- */

static void methods(void) {
  const char *const all[] = {"auto", "cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};
  const char *const pcs[] = {PCNONE, PCJACOBI, PCBJACOBI};

  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    for (int k = 0; k < 3; ++k) {
      char name[80];
      snprintf(name, sizeof name, "methods: %s with %s", all[i], pcs[k]);
      if (!begins(name)) continue;
      System s = system_of(all[i], pcs[k], 0);
      /* Two solves: what the first has learned must not spoil the second. */
      for (int which = 0; which < 2; ++which) {
        right_side(s.b, which);
        solve_directly(&s);
        OK(KSPSolve(s.ksp, s.b, s.x));
        EXPECT(reason_of(s.ksp) == KSP_CONVERGED_RTOL);
        EXPECT_AT_MOST(off(&s), 1e-7);
        PetscReal norm;
        OK(KSPGetResidualNorm(s.ksp, &norm));
        EXPECT_SAME(norm);
        EXPECT_AT_MOST(fabs((double)norm - residual(s.A, s.b, s.x)), 1e-10);
      }
      destroy(&s);
    }
  }
}

static void sides(void) {
  const char *const all[] = {"auto", "gmres", "gcrodr", "bicgstab", "rbicgstab", "idr"};

  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    for (int k = 0; k < 4; ++k) {
      const PCSide      side = k % 2 ? PC_LEFT : PC_RIGHT;
      const KSPNormType norm = k / 2 ? KSP_NORM_PRECONDITIONED : KSP_NORM_UNPRECONDITIONED;
      char              name[80];
      snprintf(name, sizeof name, "sides: %s, %s, %s", all[i], PCSides[side], KSPNormTypes[norm]);
      if (!begins(name)) continue;
      System s = system_of(all[i], PCBJACOBI, 0.7);
      OK(KSPSetPCSide(s.ksp, side));
      OK(KSPSetNormType(s.ksp, norm));
      if (side == PC_LEFT && i >= 3) REFUSED(KSPSolve(s.ksp, s.b, s.x), "does not support");
      else {
        OK(KSPSolve(s.ksp, s.b, s.x));
        EXPECT(reason_of(s.ksp) == KSP_CONVERGED_RTOL);
        EXPECT_AT_MOST(off(&s), 1e-7);
        /* The test is of the norm that was asked for: KSPGetResidualNorm has the preconditioned one. */
        PC        pc;
        Vec       r, z;
        PetscReal want, got;
        OK(KSPGetPC(s.ksp, &pc));
        OK(VecDuplicate(s.b, &r));
        OK(VecDuplicate(s.b, &z));
        OK(VecCopy(s.b, r));
        OK(PCApply(pc, r, z));
        OK(VecNorm(norm == KSP_NORM_PRECONDITIONED ? z : r, NORM_2, &want));
        OK(KSPGetResidualNorm(s.ksp, &got));
        EXPECT_AT_MOST(got, 1.001e-10 * want);
        OK(VecDestroy(&r));
        OK(VecDestroy(&z));
      }
      destroy(&s);
    }
  }
  if (begins("sides: the default is left with its norm where left is asked for")) {
    System      s = system_of("gmres", PCJACOBI, 0.7);
    KSPNormType norm;
    OK(KSPSetPCSide(s.ksp, PC_LEFT));
    OK(KSPSolve(s.ksp, s.b, s.x));
    OK(KSPGetNormType(s.ksp, &norm));
    EXPECT(norm == KSP_NORM_PRECONDITIONED);
    EXPECT(is_word(s.ksp, "side", "left") && is_word(s.ksp, "norm", "preconditioned"));
    destroy(&s);
  }
  if (begins("sides: flexible, with an inner solver for PC")) {
    System s = system_of("gmres", PCKSP, 0.7);
    PC     pc;
    KSP    inner;
    OK(KSPReknitSetOption(s.ksp, "side", "flexible"));
    OK(KSPGetPC(s.ksp, &pc));
    OK(PCKSPGetKSP(pc, &inner));
    OK(KSPSetType(inner, KSPGMRES));
    OK(KSPSetTolerances(inner, 0.2, PETSC_DEFAULT, PETSC_DEFAULT, PETSC_DEFAULT));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(is_word(s.ksp, "side", "flexible"));
    EXPECT_AT_MOST(off(&s), 1e-7);
    OK(KSPSetPCSide(s.ksp, PC_LEFT));
    OK(KSPSetUp(s.ksp));
    REFUSED(KSPSolve(s.ksp, s.b, s.x), "flexible stands on the right");
    destroy(&s);
  }
}

static PetscErrorCode take_mean_off(MatNullSpace nullspace, Vec x, void *calls) {
  PetscScalar sum;
  PetscInt    n;

  (void)nullspace;
  ++*(int *)calls;
  PetscCall(VecSum(x, &sum));
  PetscCall(VecGetSize(x, &n));
  PetscCall(VecShift(x, -sum / (PetscReal)n));
  return 0;
}

static void nullspaces(void) {
  const char *const all[] = {"auto", "cg", "gcrodr", "minres"};
  int               calls = 0;

  for (int way = 0; way < 3; ++way) {
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
      char name[80];
      snprintf(name, sizeof name, "nullspaces: %s, %s", all[i], way == 0 ? "constant" : way == 1 ? "a vector" : "a function");
      if (!begins(name)) continue;
      System       s = {matrix(0, 0, 1), NULL, NULL, NULL, NULL};
      MatNullSpace nullspace;
      PetscScalar  sum;
      PetscReal    size;
      OK(MatCreateVecs(s.A, &s.x, &s.b));
      OK(VecDuplicate(s.x, &s.truth));
      right_side(s.b, 0);
      OK(VecSet(s.truth, 1. / GRID));
      OK(MatNullSpaceCreate(PETSC_COMM_WORLD, way != 1, way == 1, &s.truth, &nullspace));
      if (way == 2) OK(MatNullSpaceSetFunction(nullspace, take_mean_off, &calls));
      if (way != 1) OK(MatSetOption(s.A, MAT_SYMMETRIC, PETSC_TRUE));
      OK(MatSetNullSpace(s.A, nullspace));
      s.ksp = solver(all[i], PCJACOBI, s.A);
      if (way == 1) {
        OK(PetscOptionsSetValue(NULL, "-ksp_reknit_hermitian", "true"));
        OK(KSPSetFromOptions(s.ksp));
        OK(PetscOptionsClearValue(NULL, "-ksp_reknit_hermitian"));
      }
      /* What a symmetric A cannot reach is taken from b, by PETSc or, where only the option says so, by reknit. */
      OK(KSPSolve(s.ksp, s.b, s.x));
      EXPECT(reason_of(s.ksp) > 0);
      OK(take_mean_off(nullspace, s.b, &calls));
      calls = 0;
      OK(VecNorm(s.b, NORM_2, &size));
      EXPECT_AT_MOST(residual(s.A, s.b, s.x), 1e-8 * size);
      OK(VecSum(s.x, &sum));
      OK(VecNorm(s.x, NORM_2, &size));
      EXPECT_AT_MOST(PetscAbsScalar(sum), 1e-8 * size * GRID);
      if (way == 2) {
        OK(KSPSolve(s.ksp, s.b, s.x));
        EXPECT(calls > 0);
      }
      OK(MatNullSpaceDestroy(&nullspace));
      destroy(&s);
    }
  }
}

/* ---- A matrix by its product alone, which may fail ---- */

typedef struct {
  Mat A;
  int products, fails_at, failing_rank;
} Shell;

static PetscErrorCode shell_product(Mat S, Vec x, Vec y) {
  Shell *shell;

  PetscFunctionBegin;
  PetscCall(MatShellGetContext(S, &shell));
  PetscCall(MatMult(shell->A, x, y));
  ++shell->products;
  PetscCheck(shell->products < shell->fails_at || my_rank != shell->failing_rank, PETSC_COMM_SELF, PETSC_ERR_FP, "the product cannot be had");
  PetscFunctionReturn(0);
}

static Mat shell_of(Shell *shell) {
  Mat      S;
  PetscInt n;

  OK(MatGetLocalSize(shell->A, &n, NULL));
  OK(MatCreateShell(PETSC_COMM_WORLD, n, n, GRID * GRID, GRID * GRID, shell, &S));
  OK(MatShellSetOperation(S, MATOP_MULT, (void (*)(void))shell_product));
  return S;
}

static void shells(void) {
  if (begins("shells: a MatShell is multiplied with as often as reknit says")) {
    System s     = system_of("gcrodr", PCNONE, 0.7);
    Shell  shell = {s.A, 0, 1 << 30, 0};
    Mat    S     = shell_of(&shell);
    OK(KSPSetOperators(s.ksp, S, s.A));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(off(&s), 1e-7);
    EXPECT(shell.products == count_of(inside(s.ksp), "applies"));
    OK(MatDestroy(&S));
    destroy(&s);
  }
  for (int rank = 0; rank < all_ranks; rank += all_ranks > 1 ? all_ranks - 1 : 1) {
    char name[80];
    snprintf(name, sizeof name, "shells: a product that fails on rank %d", rank);
    if (!begins(name)) continue;
    System s     = system_of("gcrodr", PCJACOBI, 0.7);
    Shell  shell = {s.A, 0, 4, rank};
    Mat    S     = shell_of(&shell);
    OK(KSPSetOperators(s.ksp, S, s.A));
    error_text[0] = 0;
    OK(PetscPushErrorHandler(keep_text, NULL));
    const PetscErrorCode code = KSPSolve(s.ksp, s.b, s.x);
    OK(PetscPopErrorHandler());
    /* This rank's own code and text; the others are told that there was one. */
    EXPECT(code == (my_rank == rank ? PETSC_ERR_FP : PETSC_ERR_LIB));
    EXPECT(strstr(error_text, my_rank == rank ? "the product cannot be had" : "RKN_ERR_CALLBACK") != NULL);
    OK(MatDestroy(&S));
    destroy(&s);
  }
}

/* ---- Sequences ---- */

static void sequences(void) {
  if (begins("sequences: one matrix, the second solve is cheaper and A U costs nothing")) {
    System s = system_of("gcrodr", PCJACOBI, 0.7);
    OK(KSPReknitSetOption(s.ksp, "recycle", "15"));
    OK(KSPSolve(s.ksp, s.b, s.x));
    const PetscInt first = iterations_of(s.ksp);
    right_side(s.b, 1);
    solve_directly(&s);
    OK(KSPSetOperators(s.ksp, s.A, s.A)); /* the same numbers: no news */
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(iterations_of(s.ksp), 0.85 * first);
    EXPECT(count_of(inside(s.ksp), "recycle_applies") == 0);
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
  if (begins("sequences: new numbers are noticed, and another Mat")) {
    System s = system_of("gcrodr", PCJACOBI, 0.7);
    OK(KSPReknitSetOption(s.ksp, "recycle", "15"));
    OK(KSPSolve(s.ksp, s.b, s.x));
    const PetscInt first = iterations_of(s.ksp);
    fill(s.A, 0.05, 0.7, 0, 0);
    OK(KSPSetOperators(s.ksp, s.A, s.A));
    solve_directly(&s);
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(iterations_of(s.ksp), 0.75 * first);
    EXPECT(count_of(inside(s.ksp), "recycle_applies") > 0);
    EXPECT_AT_MOST(off(&s), 1e-7);
    Mat other = matrix(0.8, 0, 0);
    OK(MatDestroy(&s.A));
    s.A = other;
    OK(KSPSetOperators(s.ksp, s.A, s.A));
    solve_directly(&s);
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(count_of(inside(s.ksp), "recycle_applies") > 0);
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
  if (begins("sequences: auto makes factors of the entries, keeps and renews them")) {
    System s = system_of("auto", PCNONE, 0.7);
    for (int step = 0; step < 8; ++step) {
      fill(s.A, 0.02 * step, 0.7, 0, 0);
      right_side(s.b, step);
      OK(KSPSetOperators(s.ksp, s.A, s.A));
      solve_directly(&s);
      OK(KSPSolve(s.ksp, s.b, s.x));
      EXPECT_AT_MOST(off(&s), 1e-7);
    }
    const int64_t rebuilds = count_of(inside(s.ksp), "rebuilds");
    if (all_ranks == 1) EXPECT(rebuilds >= 1 && !is_word(s.ksp, "chosen_preconditioner", ""));
    else EXPECT(rebuilds == 0);
    right_side(s.b, 100);
    OK(KSPSetOperators(s.ksp, s.A, s.A)); /* the same numbers: nothing is made anew */
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(count_of(inside(s.ksp), "rebuilds") == rebuilds);
    /* A new pattern: the arrays are others. */
    OK(MatDestroy(&s.A));
    OK(MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, GRID * GRID, GRID * GRID, 7, NULL, 7, NULL, &s.A));
    OK(MatSetOption(s.A, MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
    fill(s.A, 0, 0.7, 0, 0);
    PetscInt first;
    OK(MatGetOwnershipRange(s.A, &first, NULL));
    OK(MatSetValue(s.A, first, (first + 17) % (GRID * GRID), 0.3, ADD_VALUES));
    OK(MatAssemblyBegin(s.A, MAT_FINAL_ASSEMBLY));
    OK(MatAssemblyEnd(s.A, MAT_FINAL_ASSEMBLY));
    OK(KSPSetOperators(s.ksp, s.A, s.A));
    solve_directly(&s);
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
  if (begins("sequences: a reset KSP takes another size and has forgotten")) {
    System s = system_of("gcrodr", PCJACOBI, 0.7);
    OK(KSPReknitSetOption(s.ksp, "restart", "20"));
    OK(KSPSolve(s.ksp, s.b, s.x));
    OK(KSPReset(s.ksp));
    EXPECT(count_of(inside(s.ksp), "solves") == 0 && count_of(inside(s.ksp), "restart") == 20);
    Mat small;
    Vec b, x;
    OK(MatCreateConstantDiagonal(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, 7, 7, 2, &small));
    OK(MatCreateVecs(small, &x, &b));
    OK(VecSet(b, 3));
    OK(KSPSetOperators(s.ksp, small, small));
    OK(KSPSolve(s.ksp, b, x));
    OK(VecShift(x, -1.5));
    PetscReal norm;
    OK(VecNorm(x, NORM_2, &norm));
    EXPECT_AT_MOST(norm, 1e-9);
    OK(MatDestroy(&small));
    OK(VecDestroy(&b));
    OK(VecDestroy(&x));
    destroy(&s);
  }
}

/* A PC that counts its set-ups: the diagonal. */
typedef struct {
  Vec diagonal;
  int setups;
} Counting;

static PetscErrorCode counting_setup(PC pc) {
  Counting *c;
  Mat       P;

  PetscFunctionBegin;
  PetscCall(PCShellGetContext(pc, &c));
  PetscCall(PCGetOperators(pc, NULL, &P));
  if (!c->diagonal) PetscCall(MatCreateVecs(P, &c->diagonal, NULL));
  PetscCall(MatGetDiagonal(P, c->diagonal));
  ++c->setups;
  PetscFunctionReturn(0);
}

static PetscErrorCode counting_apply(PC pc, Vec x, Vec y) {
  Counting *c;

  PetscFunctionBegin;
  PetscCall(PCShellGetContext(pc, &c));
  PetscCall(VecPointwiseDivide(y, x, c->diagonal));
  PetscFunctionReturn(0);
}

static void lagging(void) {
  const char *const names[] = {"PETSc decides", "auto decides", "the user says reuse", "the user says reuse, auto or not"};

  for (int way = 0; way < 4; ++way) {
    char name[80];
    snprintf(name, sizeof name, "lagging: %s", names[way]);
    if (!begins(name)) continue;
    System    s     = system_of("auto", PCSHELL, 0.7);
    Counting  c     = {NULL, 0};
    PetscBool reuse = PETSC_FALSE;
    PC        pc;
    OK(KSPGetPC(s.ksp, &pc));
    OK(PCShellSetContext(pc, &c));
    OK(PCShellSetSetUp(pc, counting_setup));
    OK(PCShellSetApply(pc, counting_apply));
    OK(KSPReknitSetOption(s.ksp, "setup_cost", "1000"));
    if (way % 2) {
      OK(PetscOptionsSetValue(NULL, "-ksp_reknit_lag_pc", NULL));
      OK(KSPSetFromOptions(s.ksp));
      OK(PetscOptionsClearValue(NULL, "-ksp_reknit_lag_pc"));
    }
    if (way >= 2) OK(KSPSetReusePreconditioner(s.ksp, PETSC_TRUE));
    for (int step = 0; step < 10; ++step) {
      fill(s.A, 0.02 * step, 0.7, 0, 0);
      right_side(s.b, step);
      OK(KSPSetOperators(s.ksp, s.A, s.A));
      solve_directly(&s);
      OK(KSPSolve(s.ksp, s.b, s.x));
      EXPECT_AT_MOST(off(&s), 1e-7);
      OK(KSPGetReusePreconditioner(s.ksp, &reuse));
      EXPECT(reuse == (way >= 2)); /* between solves the flag is the user's */
    }
    if (way == 0) EXPECT(c.setups == 10);
    if (way == 1) EXPECT(c.setups >= 1 && c.setups < 10);
    if (way >= 2) EXPECT(c.setups == 1);
    EXPECT_SAME(c.setups);
    OK(VecDestroy(&c.diagonal));
    destroy(&s);
  }
  if (begins("lagging: only auto knows when")) {
    System s = system_of("gcrodr", PCJACOBI, 0.7);
    OK(PetscOptionsSetValue(NULL, "-ksp_reknit_lag_pc", NULL));
    OK(KSPSetFromOptions(s.ksp));
    OK(PetscOptionsClearValue(NULL, "-ksp_reknit_lag_pc"));
    REFUSED(KSPSolve(s.ksp, s.b, s.x), "needs -ksp_reknit_method auto");
    destroy(&s);
  }
}

/* ---- Monitors, tests, reasons ---- */

typedef struct {
  int      calls;
  PetscInt last;
  double   norm;
  int      fails_at;
} Seen;

static PetscErrorCode watch(KSP ksp, PetscInt it, PetscReal norm, void *ctx) {
  Seen *seen = (Seen *)ctx;

  PetscFunctionBegin;
  (void)ksp;
  EXPECT(it == seen->calls);
  ++seen->calls;
  seen->last = it;
  seen->norm = norm;
  PetscCheck(seen->calls != seen->fails_at, PETSC_COMM_SELF, PETSC_ERR_USER, "the monitor has seen enough");
  PetscFunctionReturn(0);
}

static PetscErrorCode stop_at(KSP ksp, PetscInt it, PetscReal norm, KSPConvergedReason *reason, void *ctx) {
  (void)ksp, (void)norm;
  const int at = *(int *)ctx;
  *reason      = it < abs(at) ? KSP_CONVERGED_ITERATING : at > 0 ? KSP_CONVERGED_STEP_LENGTH : KSP_DIVERGED_BREAKDOWN;
  return 0;
}

static void convergence(void) {
  const char *const all[] = {"auto", "cg", "gmres", "gcrodr"};

  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    char name[80];
    snprintf(name, sizeof name, "convergence: monitors and history with %s", all[i]);
    if (!begins(name)) continue;
    System           s    = system_of(all[i], PCJACOBI, 0);
    Seen             seen = {0, -1, 0, -1};
    const PetscReal *history;
    PetscInt         length;
    OK(KSPMonitorSet(s.ksp, watch, &seen, NULL));
    OK(KSPSetResidualHistory(s.ksp, NULL, 500, PETSC_TRUE));
    OK(KSPSolve(s.ksp, s.b, s.x));
    OK(KSPGetResidualHistory(s.ksp, &history, &length));
    EXPECT(seen.last == iterations_of(s.ksp) && seen.calls == seen.last + 1);
    EXPECT(length == seen.calls);
    EXPECT(length > 1 && history[length - 1] == seen.norm && history[0] > history[length - 1]);
    PetscReal norm;
    OK(VecNorm(s.b, NORM_2, &norm));
    EXPECT_AT_MOST(fabs(history[0] / norm - 1), 1e-12);
    destroy(&s);
  }
  if (begins("convergence: a monitor that fails ends the solve with its code")) {
    System s    = system_of("gcrodr", PCJACOBI, 0);
    Seen   seen = {0, -1, 0, 4};
    OK(KSPMonitorSet(s.ksp, watch, &seen, NULL));
    REFUSED(KSPSolve(s.ksp, s.b, s.x), "seen enough");
    EXPECT(seen.calls <= 5); /* over ranks the next reduction tells of it */
    destroy(&s);
  }
  if (begins("convergence: limits and tolerances")) {
    System s = system_of("gmres", PCJACOBI, 0);
    OK(KSPSetTolerances(s.ksp, 1e-10, PETSC_DEFAULT, PETSC_DEFAULT, 3));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_DIVERGED_ITS && iterations_of(s.ksp) == 3);
    OK(KSPSetTolerances(s.ksp, 1e-10, 1e-2, PETSC_DEFAULT, 1000));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_CONVERGED_ATOL);
    EXPECT_AT_MOST(residual(s.A, s.b, s.x), 1e-2);
    OK(KSPSetTolerances(s.ksp, 1e-10, 1e-50, 1e-3, 1000));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_DIVERGED_DTOL && iterations_of(s.ksp) <= 1);
    destroy(&s);
  }
  if (begins("convergence: no norm, a number of iterations")) {
    System s = system_of("gmres", PCJACOBI, 0);
    OK(KSPSetNormType(s.ksp, KSP_NORM_NONE));
    OK(KSPSetConvergenceTest(s.ksp, KSPConvergedSkip, NULL, NULL));
    OK(KSPSetTolerances(s.ksp, 1e-10, PETSC_DEFAULT, PETSC_DEFAULT, 5));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_CONVERGED_ITS && iterations_of(s.ksp) == 5);
    EXPECT(is_word(s.ksp, "verify", "never"));
    destroy(&s);
  }
  for (int at = -6; at <= 6; at += 12) {
    char name[80];
    snprintf(name, sizeof name, "convergence: a test of one's own, %s", at > 0 ? "content" : "without hope");
    if (!begins(name)) continue;
    System s = system_of("gcrodr", PCJACOBI, 0);
    OK(KSPSetConvergenceTest(s.ksp, stop_at, &at, NULL));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == (at > 0 ? KSP_CONVERGED_STEP_LENGTH : KSP_DIVERGED_BREAKDOWN));
    EXPECT(iterations_of(s.ksp) == 6);
    destroy(&s);
  }
  if (begins("convergence: relative to the smaller of both norms, by PETSc's own test")) {
    System    s = system_of("gmres", PCJACOBI, 0);
    PetscReal norm;
    OK(KSPConvergedDefaultSetUMIRNorm(s.ksp));
    OK(KSPSetInitialGuessNonzero(s.ksp, PETSC_TRUE));
    OK(VecCopy(s.truth, s.x));
    OK(VecScale(s.x, 1.01));
    const double begun = residual(s.A, s.b, s.x);
    OK(KSPSetTolerances(s.ksp, 1e-6, PETSC_DEFAULT, PETSC_DEFAULT, 1000));
    OK(KSPSolve(s.ksp, s.b, s.x));
    OK(KSPGetResidualNorm(s.ksp, &norm));
    EXPECT(reason_of(s.ksp) == KSP_CONVERGED_RTOL);
    EXPECT_AT_MOST(norm, 1e-6 * begun);
    destroy(&s);
  }
  if (begins("convergence: relative to the initial residual")) {
    System s = system_of("gmres", PCJACOBI, 0);
    OK(KSPConvergedDefaultSetUIRNorm(s.ksp));
    OK(KSPSetInitialGuessNonzero(s.ksp, PETSC_TRUE));
    OK(VecCopy(s.truth, s.x));
    OK(VecScale(s.x, 1.01));
    const double begun = residual(s.A, s.b, s.x);
    OK(KSPSetTolerances(s.ksp, 1e-6, PETSC_DEFAULT, PETSC_DEFAULT, 1000));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(residual(s.A, s.b, s.x), 1.0001e-6 * begun);
    destroy(&s);
  }
  if (begins("convergence: an indefinite matrix, and numbers that are none")) {
    System s = system_of("cg", PCJACOBI, 0);
    OK(KSPReknitSetMethod(s.ksp, "cg"));
    OK(MatScale(s.A, -1));
    PC pc;
    OK(KSPGetPC(s.ksp, &pc));
    OK(PCSetType(pc, PCNONE));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_DIVERGED_INDEFINITE_MAT);
    OK(PCSetType(pc, PCJACOBI));
    OK(MatScale(s.A, -1));
    OK(KSPSetOperators(s.ksp, s.A, s.A));
    OK(VecSet(s.b, PETSC_INFINITY));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_DIVERGED_NANORINF);
    destroy(&s);
  }
  if (all_ranks == 1 && begins("convergence: a PC that cannot be made")) {
    System s = system_of("gmres", PCLU, 0);
    OK(MatZeroEntries(s.A));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_DIVERGED_PC_FAILED);
    destroy(&s);
  }
}

static void guesses(void) {
  if (begins("guesses: KSPSetInitialGuessNonzero")) {
    System s = system_of("gmres", PCJACOBI, 0.7);
    OK(VecCopy(s.truth, s.x));
    OK(KSPSetInitialGuessNonzero(s.ksp, PETSC_TRUE));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(iterations_of(s.ksp) == 0 && reason_of(s.ksp) == KSP_CONVERGED_RTOL);
    OK(KSPSetInitialGuessNonzero(s.ksp, PETSC_FALSE));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(iterations_of(s.ksp) > 5);
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
  for (int own_test = 0; own_test < 2; ++own_test) {
    char name[80];
    snprintf(name, sizeof name, "guesses: the last solution, %s", own_test ? "by PETSc's test" : "by reknit's");
    if (!begins(name)) continue;
    System s = system_of("gmres", PCJACOBI, 0.7);
    if (own_test) OK(KSPSetCheckNormIteration(s.ksp, 0)); /* anything that reknit's own test does not do */
    OK(KSPReknitSetOption(s.ksp, "initial_guess", "previous"));
    OK(KSPSolve(s.ksp, s.b, s.x));
    OK(KSPSetTolerances(s.ksp, 1e-9, PETSC_DEFAULT, PETSC_DEFAULT, PETSC_DEFAULT));
    OK(KSPSolve(s.ksp, s.b, s.x));
    /* Relative to the right-hand side, though KSP believes that the guess is zero. */
    EXPECT(iterations_of(s.ksp) <= own_test && reason_of(s.ksp) == KSP_CONVERGED_RTOL);
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
}

/* ---- Other ways of solving ---- */

static void other_solves(void) {
  if (begins("other solves: the transpose, before and after the matrix itself")) {
    System s = system_of("gcrodr", PCJACOBI, 0.7), t = system_of("gcrodr", PCJACOBI, 0.7);
    OK(MatDestroy(&t.A));
    OK(MatTranspose(s.A, MAT_INITIAL_MATRIX, &t.A));
    solve_directly(&t);
    for (int turn = 0; turn < 2; ++turn) {
      OK(KSPSolveTranspose(s.ksp, s.b, t.x));
      EXPECT_AT_MOST(off(&t), 1e-7);
      OK(KSPSolve(s.ksp, s.b, s.x));
      EXPECT_AT_MOST(off(&s), 1e-7);
    }
    destroy(&s);
    destroy(&t);
  }
  if (begins("other solves: several right-hand sides")) {
    System   s = system_of("gcrodr", PCJACOBI, 0.7);
    Mat      B, X;
    Vec      column;
    PetscInt n;
    OK(MatGetLocalSize(s.A, &n, NULL));
    OK(MatCreateDense(PETSC_COMM_WORLD, n, PETSC_DECIDE, GRID * GRID, 3, NULL, &B));
    OK(MatDuplicate(B, MAT_DO_NOT_COPY_VALUES, &X));
    for (int j = 0; j < 3; ++j) {
      OK(MatDenseGetColumnVecWrite(B, j, &column));
      right_side(column, j);
      OK(MatDenseRestoreColumnVecWrite(B, j, &column));
    }
    OK(MatAssemblyBegin(B, MAT_FINAL_ASSEMBLY));
    OK(MatAssemblyEnd(B, MAT_FINAL_ASSEMBLY));
    OK(KSPMatSolve(s.ksp, B, X));
    EXPECT(reason_of(s.ksp) == KSP_CONVERGED_RTOL);
    for (int j = 0; j < 3; ++j) {
      right_side(s.b, j);
      solve_directly(&s);
      OK(MatDenseGetColumnVecRead(X, j, &column));
      OK(VecCopy(column, s.x));
      OK(MatDenseRestoreColumnVecRead(X, j, &column));
      EXPECT_AT_MOST(off(&s), 1e-7);
    }
    int at = 6;
    OK(KSPSetConvergenceTest(s.ksp, stop_at, &at, NULL));
    REFUSED(KSPMatSolve(s.ksp, B, X), "KSPMatSolve with a convergence test");
    OK(MatDestroy(&B));
    OK(MatDestroy(&X));
    destroy(&s);
  }
  if (begins("other solves: b and x are one vector")) {
    System s = system_of("gmres", PCJACOBI, 0.7);
    OK(VecCopy(s.b, s.x));
    OK(KSPSolve(s.ksp, s.x, s.x));
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
}

static void options(void) {
  if (begins("options: a prefix")) {
    System s = system_of("auto", PCJACOBI, 0.7);
    OK(PetscOptionsInsertString(NULL, "-inner_ksp_reknit_method gcrodr -inner_ksp_reknit_restart 24 -inner_ksp_reknit_side left -ksp_reknit_method cg"));
    OK(KSPSetOptionsPrefix(s.ksp, "inner_"));
    OK(KSPSetFromOptions(s.ksp));
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(off(&s), 1e-6);
    EXPECT(is_word(s.ksp, "method", "gcrodr") && is_word(s.ksp, "restart", "24") && is_word(s.ksp, "side", "left"));
    const char *const names[] = {"-inner_ksp_reknit_method", "-inner_ksp_reknit_restart", "-inner_ksp_reknit_side", "-ksp_reknit_method"};
    for (int i = 0; i < 4; ++i) OK(PetscOptionsClearValue(NULL, names[i]));
    destroy(&s);
  }
  if (begins("options: another method throws the memory away and keeps the options")) {
    System s = system_of("gcrodr", PCJACOBI, 0.7);
    OK(KSPReknitSetOption(s.ksp, "restart", "30"));
    OK(KSPSolve(s.ksp, s.b, s.x));
    OK(KSPReknitSetMethod(s.ksp, "gmres"));
    EXPECT(is_word(s.ksp, "method", "gmres") && is_word(s.ksp, "restart", "30") && count_of(inside(s.ksp), "solves") == 0);
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT_AT_MOST(off(&s), 1e-7);
    REFUSED(KSPReknitSetMethod(s.ksp, "cg") || KSPSolve(s.ksp, s.b, s.x), "'restart' is not used by 'cg'");
    destroy(&s);
  }
  if (begins("options: what is refused, and in which words")) {
    System s = system_of("gmres", PCJACOBI, 0.7);
    REFUSED(KSPReknitSetMethod(s.ksp, "gmress"), "unknown method 'gmress'");
    EXPECT(is_word(s.ksp, "method", "gmres"));
    REFUSED(KSPReknitSetOption(s.ksp, "restrt", "30"), "restart");
    REFUSED(KSPReknitSetOption(s.ksp, "restart", "1"), "restart");
    REFUSED(KSPReknitSetOption(s.ksp, "restart", "many"), "restart");
    REFUSED(KSPReknitSetOption(s.ksp, "recycle", "5"), "is not used by 'gmres'");
    REFUSED(KSPReknitSetOption(s.ksp, "iterations", "5"), "iterations");
    REFUSED(KSPReknitSetOption(s.ksp, "rtol", "1e-3"), "is set by KSP");
    OK(PetscOptionsSetValue(NULL, "-ksp_reknit_window", "0"));
    REFUSED(KSPSetFromOptions(s.ksp), "window");
    OK(PetscOptionsClearValue(NULL, "-ksp_reknit_window"));
    OK(KSPSolve(s.ksp, s.b, s.x)); /* as it was */
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);

    s = system_of("gmres", PCJACOBI, 0.7);
    OK(KSPSetPCSide(s.ksp, PC_SYMMETRIC));
    REFUSED(KSPSolve(s.ksp, s.b, s.x), "does not support");
    destroy(&s);
    s = system_of("gmres", PCJACOBI, 0.7);
    OK(KSPSetNormType(s.ksp, KSP_NORM_NATURAL));
    REFUSED(KSPSolve(s.ksp, s.b, s.x), "does not support");
    destroy(&s);

    s           = system_of("gmres", PCNONE, 0.7);
    Shell shell = {s.A, 0, 1 << 30, 0};
    Mat   S     = shell_of(&shell);
    OK(KSPSetOperators(s.ksp, S, S));
    OK(PetscOptionsSetValue(NULL, "-ksp_reknit_matrix", "entries"));
    OK(KSPSetFromOptions(s.ksp));
    OK(PetscOptionsClearValue(NULL, "-ksp_reknit_matrix"));
    REFUSED(KSPSolve(s.ksp, s.b, s.x), "needs an AIJ matrix on one rank");
    OK(MatDestroy(&S));
    destroy(&s);

    KSP         other;
    rkn_krylov *none;
    OK(KSPCreate(PETSC_COMM_WORLD, &other));
    OK(KSPSetType(other, KSPCG));
    OK(KSPReknitSetMethod(other, "nonsense")); /* not ours: nothing is done */
    REFUSED(KSPReknitGetSolver(other, &none), "of type cg");
    OK(KSPDestroy(&other));
  }
  for (int way = 0; way < 3; ++way) {
    char name[80];
    snprintf(name, sizeof name, "options: Hermitian by %s", way == 0 ? "MAT_SPD" : way == 1 ? "option" : "nobody");
    if (!begins(name)) continue;
    System s = system_of("auto", PCJACOBI, 0);
    if (way == 0) OK(MatSetOption(s.A, MAT_SPD, PETSC_TRUE));
    if (way == 1) {
      OK(PetscOptionsSetValue(NULL, "-ksp_reknit_hermitian", "true"));
      OK(KSPSetFromOptions(s.ksp));
      OK(PetscOptionsClearValue(NULL, "-ksp_reknit_hermitian"));
    }
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(is_word(s.ksp, "chosen_method", way == 2 ? "gcrodr" : "rcg"));
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
}

#ifdef PETSC_USE_COMPLEX
static void complex_systems(void) {
  const char *const all[] = {"auto", "cocg", "cocr", "gcrodr", "idr"};

  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    char name[80];
    snprintf(name, sizeof name, "complex: a symmetric matrix that is not Hermitian, %s", all[i]);
    if (!begins(name)) continue;
    System s = system_of(all[i], PCJACOBI, 0);
    fill(s.A, 0, 0, -0.1 + 0.3 * PETSC_i, 0);
    OK(MatSetOption(s.A, MAT_SYMMETRIC, PETSC_TRUE));
    OK(VecScale(s.b, 1 + 2 * PETSC_i));
    OK(KSPSetOperators(s.ksp, s.A, s.A));
    solve_directly(&s);
    OK(KSPSolve(s.ksp, s.b, s.x));
    EXPECT(reason_of(s.ksp) == KSP_CONVERGED_RTOL);
    EXPECT_AT_MOST(off(&s), 1e-7);
    destroy(&s);
  }
}
#endif

int main(int argc, char **argv) {
  char only[100] = "";

  PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
  MPI_Comm_rank(PETSC_COMM_WORLD, &my_rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &all_ranks);
  OK(PetscOptionsGetString(NULL, NULL, "-only", only, sizeof only, NULL));
  wanted = only;
  OK(KSPRegisterReknit());
  OK(KSPRegisterReknit());
  methods();
  sides();
  nullspaces();
  shells();
  sequences();
  lagging();
  convergence();
  guesses();
  other_solves();
  options();
#ifdef PETSC_USE_COMPLEX
  complex_systems();
#endif
  OK(PetscFinalize());
  return report();
}
