/* reknit_ksp.c: a KSP type that hands PETSc's operators and vectors to a reknit solver, and keeps that solver.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What is whose: the KSP has the tolerances, the norm, the side, the convergence test, the monitors and the PC; reknit
 * has the method, its options and its memory. One KSP has one solver for its life, so the systems that the KSP is given
 * one after the other are a sequence. Amat and Pmat count as changed when PETSc's counters of them (PetscObjectId,
 * PetscObjectState) say so.
 *
 * Reknit calls back with plain arrays. Two work vectors of the type and layout of the caller's take them in turn
 * (VecPlaceArray), so nothing is copied.
 */
#include <petsc/private/kspimpl.h>
#include <petsc/private/matimpl.h>
#include <petsc/private/pcimpl.h>

#include "reknit_ksp.h"
#include "reknit_mpi.h"

#if defined(PETSC_USE_REAL___FLOAT128) || defined(PETSC_USE_REAL___FP16)
  #error "reknit has single and double precision: this PETSc has another"
#elif defined(PETSC_USE_COMPLEX)
  #define SCALAR (sizeof(PetscReal) == 4 ? RKN_C32 : RKN_C64)
#else
  #define SCALAR (sizeof(PetscReal) == 4 ? RKN_F32 : RKN_F64)
#endif
#define INDEX (sizeof(PetscInt) == 4 ? RKN_I32 : RKN_I64)

/* How the matrix reaches reknit. */
typedef enum { MATRIX_AUTO, MATRIX_ENTRIES, MATRIX_CALLBACK } MatrixWay;
static const char *const MatrixWays[] = {"auto", "entries", "callback", "MatrixWay", "", NULL};

typedef struct Setting {
  char           *key, *value;
  struct Setting *next;
} Setting;

/* What is known of a PETSc object from the last solve; an id is never given twice. */
typedef struct {
  PetscObjectId    id;
  PetscObjectState state;
} Stamp;

typedef struct {
  /* what the user wants */
  char      *method;
  PetscInt   threads, seed;
  Setting   *settings;
  PetscBool  lags, flexible;
  MatrixWay  way;
  PetscBool3 hermitian, pc_hermitian;

  /* what is kept from solve to solve */
  rkn_krylov   *solver;
  char          default_guess[16], default_verify[16];
  rkn_operator *A, *M;
  PetscInt      n;
  Stamp         amat, pmat, pc, nullspace[2];
  PetscBool     transpose;
  PetscObjectState pattern;
  Mat           entries; /* not referenced: the matrix whose arrays A borrows, for comparisons only */
  const void   *ia, *ja, *values;
  Vec           solution_like, rhs_like;
  PetscBool     user_reuse, reuse_is_ours;

  /* what holds during a solve */
  PetscBool          is_solving;
  PetscErrorCode     error; /* of the first callback that failed on this rank */
  int64_t            last_monitored, tested_iteration;
  double             measure, tested_norm, logged;
  KSPConvergedReason verdict;
} KSP_Reknit;

/* Phases of a solve as events of PETSc's log. */
static PetscLogEvent phases[RKN_EVENT_REDUCE + 1];

/* Flops are counted once: PETSc takes those of an event to be what was added since it began. */
static void Profile(void *user, rkn_event phase, int32_t begins, double flops, double bytes) {
  KSP         ksp = (KSP)user;
  KSP_Reknit *r   = (KSP_Reknit *)ksp->data;

  (void)bytes;
  if (phase < 0 || phase > RKN_EVENT_REDUCE) return;
  if (begins) {
    if (phase == RKN_EVENT_SOLVE) r->logged = 0;
    (void)PetscLogEventBegin(phases[phase], ksp, NULL, NULL, NULL);
    return;
  }
  const double new_flops = phase == RKN_EVENT_SOLVE ? flops - r->logged : flops;
  r->logged += new_flops;
  (void)PetscLogFlops(new_flops);
  (void)PetscLogEventEnd(phases[phase], ksp, NULL, NULL, NULL);
}

static PetscErrorCode ErrorOf(rkn_status status) {
  switch (status) {
  case RKN_ERR_MEMORY: return PETSC_ERR_MEM;
  case RKN_ERR_KEY: return PETSC_ERR_ARG_WRONG;
  case RKN_ERR_ARGUMENT:
  case RKN_ERR_NONFINITE: return PETSC_ERR_ARG_OUTOFRANGE;
  case RKN_ERR_SIZE: return PETSC_ERR_ARG_SIZ;
  case RKN_ERR_STATE: return PETSC_ERR_ARG_WRONGSTATE;
  case RKN_ERR_UNSUPPORTED: return PETSC_ERR_SUP;
  default: return PETSC_ERR_LIB;
  }
}

/* A call that must not be refused; all ranks refuse alike. */
#define RknCall(ksp, call) \
  do { \
    const rkn_status status_ = (call); \
    PetscCheck(status_ >= 0, PetscObjectComm((PetscObject)(ksp)), ErrorOf(status_), "%s: %s", rkn_status_name(status_), rkn_last_error()); \
  } while (0)

/* ---- Callbacks: arrays of reknit in vectors of PETSc ---- */

typedef PetscErrorCode (*Map)(KSP, rkn_trans, Vec, Vec);

static PetscErrorCode ApplyAmat(KSP ksp, rkn_trans trans, Vec x, Vec y) {
  Mat A;

  PetscFunctionBegin;
  PetscCall(PCGetOperators(ksp->pc, &A, NULL));
  if (trans == RKN_N) PetscCall(KSP_MatMult(ksp, A, x, y));
  else if (trans == RKN_T) PetscCall(KSP_MatMultTranspose(ksp, A, x, y));
  else PetscCall(KSP_MatMultHermitianTranspose(ksp, A, x, y));
  PetscFunctionReturn(0);
}

/* The nullspaces of the system that is solved: with KSPSolveTranspose those of Amat change their places. */
static PetscErrorCode GetNullSpace(KSP ksp, rkn_side side, MatNullSpace *nullspace) {
  Mat A;

  PetscFunctionBegin;
  PetscCall(PCGetOperators(ksp->pc, &A, NULL));
  if ((side == RKN_RIGHT) != (PetscBool)ksp->transpose_solve) PetscCall(MatGetNullSpace(A, nullspace));
  else PetscCall(MatGetTransposeNullSpace(A, nullspace));
  PetscFunctionReturn(0);
}

static PetscErrorCode ApplyPC(KSP ksp, rkn_trans trans, Vec x, Vec y) {
  MatNullSpace nullspace;

  PetscFunctionBegin;
  if (trans == RKN_N) PetscCall(KSP_PCApply(ksp, x, y));
  else if (trans == RKN_T) PetscCall(KSP_PCApplyTranspose(ksp, x, y));
  else PetscCall(KSP_PCApplyHermitianTranspose(ksp, x, y));
  /* Nullspaces made of vectors are reknit's business. One that is a function can only be taken off here, which PETSc
   * does by itself on the left. */
  if (trans == RKN_N && ksp->pc_side == PC_RIGHT) {
    PetscCall(GetNullSpace(ksp, RKN_RIGHT, &nullspace));
    if (nullspace && nullspace->remove) PetscCall(MatNullSpaceRemove(nullspace, y));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode ApplyColumns(KSP ksp, Map map, rkn_trans trans, int64_t ncols, const PetscScalar *x, int64_t ldx, Vec X, PetscScalar *y, int64_t ldy, Vec Y) {
  PetscFunctionBegin;
  for (int64_t j = 0; j < ncols; ++j) {
    PetscCall(VecPlaceArray(X, x + j * ldx));
    PetscCall(VecPlaceArray(Y, y + j * ldy));
    PetscCall(map(ksp, trans, X, Y));
    PetscCall(VecResetArray(X));
    PetscCall(VecResetArray(Y));
  }
  PetscFunctionReturn(0);
}

/* Keeps the first failure for the caller. A rank that failed is called again until the others know of it: they may
 * wait for its part of a product. What fails then need not be told again. */
static int32_t Guarded(KSP_Reknit *r, PetscErrorCode error) {
  if (!r->error) r->error = error;
  return (int32_t)error;
}

static int32_t Apply(KSP ksp, Map map, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, Vec X, void *y, int64_t ldy, Vec Y) {
  KSP_Reknit     *r      = (KSP_Reknit *)ksp->data;
  const PetscBool silent = r->error ? PETSC_TRUE : PETSC_FALSE;

  if (silent) (void)PetscPushErrorHandler(PetscReturnErrorHandler, NULL);
  const PetscErrorCode error = ApplyColumns(ksp, map, trans, ncols, (const PetscScalar *)x, ldx, X, (PetscScalar *)y, ldy, Y);
  if (silent) (void)PetscPopErrorHandler();
  if (error) {
    (void)VecResetArray(X);
    (void)VecResetArray(Y);
  }
  return Guarded(r, error);
}

static int32_t ApplyOperator(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
  KSP         ksp = (KSP)user;
  KSP_Reknit *r   = (KSP_Reknit *)ksp->data;

  return Apply(ksp, ApplyAmat, trans, ncols, x, ldx, r->solution_like, y, ldy, r->rhs_like);
}

static int32_t ApplyPreconditioner(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
  KSP         ksp = (KSP)user;
  KSP_Reknit *r   = (KSP_Reknit *)ksp->data;

  return Apply(ksp, ApplyPC, trans, ncols, x, ldx, r->rhs_like, y, ldy, r->solution_like);
}

static PetscErrorCode RefreshPC(KSP ksp) {
  PetscFunctionBegin;
  PetscCall(PCSetReusePreconditioner(ksp->pc, PETSC_FALSE));
  PetscCall(PCSetUp(ksp->pc));
  PetscCall(PCSetUpOnBlocks(ksp->pc));
  PetscCall(PCSetReusePreconditioner(ksp->pc, PETSC_TRUE));
  PetscFunctionReturn(0);
}

/* A PC that cannot be made (a zero pivot) is no error in PETSc: its products are infinite, which ends the solve. */
static int32_t Refresh(void *user) {
  KSP ksp = (KSP)user;

  return Guarded((KSP_Reknit *)ksp->data, RefreshPC(ksp));
}

static void Log(void *user, int32_t level, const char *line) {
  (void)level;
  (void)PetscInfo((KSP)user, "%s\n", line);
}

/* ---- Convergence ---- */

/* Reknit's own test costs no reduction and is that of KSPConvergedDefault; all other tests are called back. */
typedef enum { TEST_OWN, TEST_SKIP, TEST_CALLBACK } Test;

static Test TestOf(KSP ksp) {
  const KSPConvergedDefaultCtx *ctx = (const KSPConvergedDefaultCtx *)ksp->cnvP;

  if (ksp->normtype == KSP_NORM_NONE || ksp->converged == KSPConvergedSkip) return TEST_SKIP;
  if (ksp->converged != KSPConvergedDefault || ctx->mininitialrtol || ksp->chknorm >= 0) return TEST_CALLBACK;
  return TEST_OWN;
}

static PetscErrorCode RunTest(KSP ksp, int64_t iteration, double norm) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;

  PetscFunctionBegin;
  if (iteration == r->tested_iteration && norm == r->tested_norm) PetscFunctionReturn(0);
  r->tested_iteration = iteration;
  r->tested_norm      = norm;
  ksp->its            = (PetscInt)iteration;
  ksp->rnorm          = (PetscReal)norm;
  PetscCall((*ksp->converged)(ksp, (PetscInt)iteration, (PetscReal)norm, &r->verdict, ksp->cnvP));
  PetscFunctionReturn(0);
}

/* At a point known by its true residual too, at the same iteration: the KSP's test is then asked twice. */
static int32_t Converged(void *user, int64_t iteration, double norm, double target, int32_t *converged) {
  KSP         ksp = (KSP)user;
  KSP_Reknit *r   = (KSP_Reknit *)ksp->data;

  (void)target;
  const PetscErrorCode error = RunTest(ksp, iteration, norm);
  *converged                 = r->verdict > 0;
  return Guarded(r, error);
}

/* What divtol is relative to: the norm behind the target, unless atol hides it. */
static PetscReal ReferenceNorm(KSP ksp, const rkn_progress *p) {
  return p->target > ksp->abstol && ksp->rtol > 0 ? (PetscReal)p->target / ksp->rtol : PetscMax((PetscReal)p->measure, ksp->abstol);
}

static PetscErrorCode MonitorIteration(KSP ksp, const rkn_progress *p, PetscBool *stop) {
  KSP_Reknit *r    = (KSP_Reknit *)ksp->data;
  const Test  test = TestOf(ksp);

  PetscFunctionBegin;
  if (p->iteration == 0 && test != TEST_CALLBACK) {
    ksp->ttol   = (PetscReal)p->target;
    ksp->rnorm0 = ReferenceNorm(ksp, p);
  }
  r->measure = p->measure;
  /* "auto" may begin anew with another method: that start is the end of the last iteration. */
  if (p->iteration != r->last_monitored) {
    r->last_monitored = p->iteration;
    ksp->its          = (PetscInt)p->iteration;
    ksp->rnorm        = (PetscReal)p->measure;
    PetscCall(KSPLogResidualHistory(ksp, ksp->rnorm));
    PetscCall(KSPMonitor(ksp, ksp->its, ksp->rnorm));
  }
  /* The test runs here, and Converged only repeats its answer: a wish to stop can be told to reknit from here alone. */
  if (test == TEST_CALLBACK) PetscCall(RunTest(ksp, p->iteration, p->measure));
  else if (test == TEST_OWN && ksp->rnorm >= ksp->divtol * ksp->rnorm0) r->verdict = KSP_DIVERGED_DTOL;
  *stop = (PetscBool)(r->verdict < 0);
  PetscFunctionReturn(0);
}

static int32_t Monitor(void *user, const rkn_progress *p) {
  KSP       ksp  = (KSP)user;
  PetscBool stop = PETSC_FALSE;

  if (Guarded((KSP_Reknit *)ksp->data, MonitorIteration(ksp, p, &stop))) return 1;
  return stop;
}

/* ---- Options and the solver ---- */

static PetscErrorCode ForgetOperators(KSP_Reknit *r) {
  PetscFunctionBegin;
  rkn_operator_destroy(r->A);
  rkn_operator_destroy(r->M);
  r->A = r->M = NULL;
  r->ia = r->ja = r->values = NULL;
  r->entries                = NULL;
  r->amat = r->pmat = r->pc = r->nullspace[0] = r->nullspace[1] = (Stamp){0, 0};
  PetscCall(VecDestroy(&r->solution_like));
  PetscCall(VecDestroy(&r->rhs_like));
  PetscFunctionReturn(0);
}

static PetscErrorCode ForgetSolver(KSP_Reknit *r) {
  PetscFunctionBegin;
  rkn_krylov_destroy(r->solver);
  r->solver = NULL;
  PetscFunctionReturn(0);
}

/* Left preconditioning is there for the methods that know it, and for those with M in the inner product, which are
 * the same on both sides. */
static PetscErrorCode SupportNorms(KSP ksp) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  PetscBool   right_only = PETSC_FALSE;
  const char *const names[] = {"bicgstab", "rbicgstab", "idr"};

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof names / sizeof *names && !right_only; ++i) PetscCall(PetscStrcmp(r->method, names[i], &right_only));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_UNPRECONDITIONED, PC_RIGHT, 4));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_PRECONDITIONED, PC_LEFT, right_only ? 0 : 3));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_UNPRECONDITIONED, PC_LEFT, right_only ? 0 : 2));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_PRECONDITIONED, PC_RIGHT, 1));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_NONE, PC_RIGHT, 1));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_NONE, PC_LEFT, right_only ? 0 : 1));
  PetscFunctionReturn(0);
}

/* Makes the solver if there is none: of the method, with the settings so far. */
static PetscErrorCode NeedSolver(KSP ksp) {
  KSP_Reknit  *r   = (KSP_Reknit *)ksp->data;
  rkn_context *ctx = NULL;
  PetscBool    is_info;
  PetscMPIInt  size;
  rkn_status   status;

  PetscFunctionBegin;
  if (r->solver) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)ksp), &size));
  PetscCall(PetscInfoEnabled(KSP_CLASSID, &is_info));
  RknCall(ksp, rkn_context_create(&ctx));
  status = rkn_context_set_int(ctx, "threads", r->threads);
  if (status >= 0) status = rkn_context_set_int(ctx, "seed", r->seed);
  if (status >= 0 && size > 1) status = rkn_mpi_attach(ctx, PetscObjectComm((PetscObject)ksp));
  if (status >= 0 && is_info) status = rkn_context_set_log(ctx, Log, ksp, NULL);
  if (status >= 0) status = rkn_krylov_create(ctx, r->method, &r->solver);
  rkn_context_destroy(ctx);
  RknCall(ksp, status);
  RknCall(ksp, rkn_krylov_set_monitor(r->solver, Monitor, ksp, NULL));
#if defined(PETSC_USE_LOG)
  if (PetscLogPLB) RknCall(ksp, rkn_krylov_set_events(r->solver, Profile, ksp, NULL));
#endif
  RknCall(ksp, rkn_krylov_get_string(r->solver, "initial_guess", r->default_guess, sizeof r->default_guess, NULL));
  RknCall(ksp, rkn_krylov_get_string(r->solver, "verify", r->default_verify, sizeof r->default_verify, NULL));
  for (const Setting *setting = r->settings; setting; setting = setting->next) {
    status = rkn_krylov_set_string(r->solver, setting->key, setting->value);
    if (status < 0) {
      /* The next call must meet the same refusal, not a solver with half of its settings. */
      PetscCall(ForgetSolver(r));
      RknCall(ksp, status);
    }
  }
  PetscFunctionReturn(0);
}

static const char *SettingOf(const KSP_Reknit *r, const char key[]) {
  for (const Setting *setting = r->settings; setting; setting = setting->next)
    if (!strcmp(setting->key, key)) return setting->value;
  return NULL;
}

/* What the KSP sets itself; they have PETSc's own option names. */
static PetscBool IsOfKSP(const char key[]) {
  const char *const keys[] = {"rtol", "atol", "max_iterations", "reference", "norm"};

  for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i)
    if (!strcmp(key, keys[i])) return PETSC_TRUE;
  return PETSC_FALSE;
}

static PetscErrorCode SetSide(KSP ksp, const char value[]) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  PetscBool   is_left;

  PetscFunctionBegin;
  PetscCall(PetscStrcmp(value, "left", &is_left));
  PetscCall(PetscStrcmp(value, "flexible", &r->flexible));
  PetscCall(KSPSetPCSide(ksp, is_left ? PC_LEFT : PC_RIGHT));
  PetscFunctionReturn(0);
}

static PetscErrorCode SetOption(KSP ksp, const char key[], const char value[]) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  Setting   **end;

  PetscFunctionBegin;
  PetscCheck(!IsOfKSP(key), PetscObjectComm((PetscObject)ksp), PETSC_ERR_ARG_WRONG, "'%s' is set by KSP: KSPSetTolerances, KSPSetNormType, KSPSetConvergenceTest", key);
  PetscCall(NeedSolver(ksp));
  RknCall(ksp, rkn_krylov_set_string(r->solver, key, value));
  if (!strcmp(key, "side")) PetscCall(SetSide(ksp, value));
  for (end = &r->settings; *end; end = &(*end)->next) {
    if (!strcmp((*end)->key, key)) {
      PetscCall(PetscFree((*end)->value));
      PetscCall(PetscStrallocpy(value, &(*end)->value));
      PetscFunctionReturn(0);
    }
  }
  PetscCall(PetscNew(end));
  PetscCall(PetscStrallocpy(key, &(*end)->key));
  PetscCall(PetscStrallocpy(value, &(*end)->value));
  PetscFunctionReturn(0);
}

static PetscErrorCode SetMethod(KSP ksp, const char method[]) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  PetscBool   is_same;
  rkn_krylov *probe = NULL;

  PetscFunctionBegin;
  PetscCall(PetscStrcmp(method, r->method, &is_same));
  if (is_same) PetscFunctionReturn(0);
  RknCall(ksp, rkn_krylov_create(NULL, method, &probe));
  rkn_krylov_destroy(probe);
  PetscCall(PetscFree(r->method));
  PetscCall(PetscStrallocpy(method, &r->method));
  PetscCall(ForgetSolver(r));
  PetscCall(SupportNorms(ksp));
  PetscFunctionReturn(0);
}

static PetscErrorCode SetTristate(PetscOptionItems *PetscOptionsObject, const char option[], const char text[], PetscBool3 *choice) {
  PetscBool value = (PetscBool)(*choice == PETSC_BOOL3_TRUE), is_set;

  PetscFunctionBegin;
  PetscCall(PetscOptionsBool(option, text, "None", value, &value, &is_set));
  if (is_set) *choice = value ? PETSC_BOOL3_TRUE : PETSC_BOOL3_FALSE;
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPSetFromOptions_Reknit(KSP ksp, PetscOptionItems *PetscOptionsObject) {
  KSP_Reknit *r       = (KSP_Reknit *)ksp->data;
  PetscInt    threads = r->threads, seed = r->seed;
  rkn_krylov *table = NULL;
  const char *key, *type, *doc;
  char        value[1024], option[80];
  PetscBool   is_set, is_result;

  PetscFunctionBegin;
  PetscOptionsHeadBegin(PetscOptionsObject, "KSP reknit options");
  PetscCall(PetscOptionsString("-ksp_reknit_method", "auto, or a method of rkn_krylov_create", "KSPReknitSetMethod", r->method, value, sizeof value, &is_set));
  if (is_set) PetscCall(SetMethod(ksp, value));
  PetscCall(PetscOptionsInt("-ksp_reknit_threads", "threads that reknit's kernels may use on a rank", "None", threads, &threads, NULL));
  PetscCall(PetscOptionsInt("-ksp_reknit_seed", "seed of every random stream", "None", seed, &seed, NULL));
  if (threads != r->threads || seed != r->seed) {
    r->threads = threads;
    r->seed    = seed;
    PetscCall(ForgetSolver(r));
  }
  PetscCall(PetscOptionsEnum("-ksp_reknit_matrix", "what reknit gets: the arrays of an AIJ matrix, products by MatMult, or (auto) the arrays on one rank without a PC", "None", MatrixWays, (PetscEnum)r->way, (PetscEnum *)&r->way, NULL));
  PetscCall(PetscOptionsBool("-ksp_reknit_lag_pc", "let auto decide when the PC is set up anew", "None", r->lags, &r->lags, NULL));
  PetscCall(SetTristate(PetscOptionsObject, "-ksp_reknit_hermitian", "whether Amat is Hermitian; otherwise what MatIsHermitianKnown and its kin say", &r->hermitian));
  PetscCall(SetTristate(PetscOptionsObject, "-ksp_reknit_pc_hermitian", "whether the PC of a Hermitian matrix is; otherwise by its type", &r->pc_hermitian));

  /* "auto" takes every option, so its defaults are the ones to show. Results follow the options, "method" first. */
  RknCall(ksp, rkn_krylov_create(NULL, "auto", &table));
  for (int64_t i = 0; rkn_krylov_option(i, &key, &type, &doc) == RKN_OK; ++i) {
    PetscCall(PetscStrcmp(key, "method", &is_result));
    if (is_result) break;
    if (IsOfKSP(key)) continue;
    const char *now = SettingOf(r, key);
    if (now) PetscCall(PetscStrncpy(value, now, sizeof value));
    else RknCall(ksp, rkn_krylov_get_string(table, key, value, sizeof value, NULL));
    PetscCall(PetscSNPrintf(option, sizeof option, "-ksp_reknit_%s", key));
    PetscCall(PetscOptionsString(option, doc, "KSPReknitSetOption", value, value, sizeof value, &is_set));
    if (is_set) PetscCall(SetOption(ksp, key, value));
  }
  rkn_krylov_destroy(table);
  PetscOptionsHeadEnd();
  PetscFunctionReturn(0);
}

/* ---- Operators ---- */

static PetscErrorCode StampOf(PetscObject object, Stamp *stamp) {
  PetscFunctionBegin;
  *stamp = (Stamp){0, 0};
  if (object) {
    PetscCall(PetscObjectGetId(object, &stamp->id));
    PetscCall(PetscObjectStateGet(object, &stamp->state));
  }
  PetscFunctionReturn(0);
}

static PetscBool Renews(Stamp *kept, Stamp now) {
  const PetscBool is_new = (PetscBool)(kept->id != now.id || kept->state != now.state);

  *kept = now;
  return is_new;
}

static PetscErrorCode IsHermitian(KSP ksp, Mat A, PetscBool *hermitian) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  PetscBool   is_known, is_true;

  PetscFunctionBegin;
  *hermitian = (PetscBool)(r->hermitian == PETSC_BOOL3_TRUE);
  if (r->hermitian != PETSC_BOOL3_UNKNOWN) PetscFunctionReturn(0);
  PetscCall(MatIsHermitianKnown(A, &is_known, &is_true));
  *hermitian = (PetscBool)(is_known && is_true);
  PetscCall(MatIsSPDKnown(A, &is_known, &is_true));
  if (is_known && is_true) *hermitian = PETSC_TRUE;
#ifndef PETSC_USE_COMPLEX
  PetscCall(MatIsSymmetricKnown(A, &is_known, &is_true));
  if (is_known && is_true) *hermitian = PETSC_TRUE;
#endif
  PetscFunctionReturn(0);
}

/* PETSc does not know of a PC whether it is Hermitian. These are, of a Hermitian matrix, unless their options say
 * otherwise; where one is not after all, "auto" notices a direction of wrong sign, and slow progress. */
static PetscErrorCode IsHermitianPC(KSP ksp, PetscBool *hermitian) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;

  PetscFunctionBegin;
  *hermitian = (PetscBool)(r->pc_hermitian == PETSC_BOOL3_TRUE);
  if (r->pc_hermitian != PETSC_BOOL3_UNKNOWN) PetscFunctionReturn(0);
  PetscCall(PetscObjectTypeCompareAny((PetscObject)ksp->pc, hermitian, PCNONE, PCJACOBI, PCPBJACOBI, PCVPBJACOBI, PCBJACOBI, PCICC, PCILU, PCCHOLESKY, PCLU, PCSOR, PCGAMG, PCMG, PCHYPRE, ""));
  PetscFunctionReturn(0);
}

/* Attaches a nullspace of Amat, if it is another than in the last solve. */
static PetscErrorCode AttachNullSpace(KSP ksp, rkn_side side, PetscBool hermitian) {
  KSP_Reknit        *r = (KSP_Reknit *)ksp->data;
  MatNullSpace       nullspace;
  PetscBool          has_constant = PETSC_FALSE;
  PetscInt           count        = 0;
  const Vec         *vectors      = NULL;
  const PetscScalar *from;
  PetscScalar       *columns, *to;
  Stamp              now;
  rkn_status         status;

  PetscFunctionBegin;
  PetscCall(GetNullSpace(ksp, side, &nullspace));
  if (!nullspace && hermitian) PetscCall(GetNullSpace(ksp, side == RKN_LEFT ? RKN_RIGHT : RKN_LEFT, &nullspace));
  PetscCall(StampOf((PetscObject)nullspace, &now));
  if (!Renews(&r->nullspace[side], now)) PetscFunctionReturn(0);
  if (nullspace && !nullspace->remove) PetscCall(MatNullSpaceGetVecs(nullspace, &has_constant, &count, &vectors));
  /* One number more: a rank without rows has an array all the same. */
  PetscCall(PetscMalloc1((size_t)r->n * (size_t)(count + has_constant) + 1, &columns));
  to = columns;
  for (PetscInt j = 0; j < count; ++j, to += r->n) {
    PetscCall(VecGetArrayRead(vectors[j], &from));
    PetscCall(PetscArraycpy(to, from, r->n));
    PetscCall(VecRestoreArrayRead(vectors[j], &from));
  }
  if (has_constant)
    for (PetscInt i = 0; i < r->n; ++i) to[i] = 1;
  status = rkn_operator_set_nullspace(r->A, side, count + has_constant, columns, r->n);
  PetscCall(PetscFree(columns));
  RknCall(ksp, status);
  PetscFunctionReturn(0);
}

/* The sequential AIJ matrix whose arrays reknit may have, or NULL. */
static PetscErrorCode GetEntries(KSP ksp, Mat A, Mat *entries) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  PetscBool   is_none, is_seq, is_mpi;
  PetscMPIInt size;

  PetscFunctionBegin;
  *entries = NULL;
  if (r->way == MATRIX_CALLBACK) PetscFunctionReturn(0);
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp->pc, PCNONE, &is_none));
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)A, MATSEQAIJ, &is_seq));
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)A, MATMPIAIJ, &is_mpi));
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)ksp), &size));
  const PetscBool possible = (PetscBool)(size == 1 && (is_seq || is_mpi) && !ksp->transpose_solve);
  PetscCheck(possible || r->way == MATRIX_AUTO, PetscObjectComm((PetscObject)ksp), PETSC_ERR_SUP, "-ksp_reknit_matrix entries needs an AIJ matrix on one rank, and no KSPSolveTranspose");
  if (!possible || (!is_none && r->way == MATRIX_AUTO)) PetscFunctionReturn(0);
  if (is_seq) *entries = A;
  else PetscCall(MatMPIAIJGetSeqAIJ(A, entries, NULL, NULL));
  PetscFunctionReturn(0);
}

/* Brings the handle of a matrix with entries up to date. The arrays are those of the Mat and stay where they are while
 * it does; a new pattern may have got the memory of an old one, which the counter of patterns tells. */
static PetscErrorCode UpdateEntries(KSP ksp, Mat entries, PetscBool is_new, PetscBool is_changed, rkn_status *status) {
  KSP_Reknit        *r = (KSP_Reknit *)ksp->data;
  const PetscInt    *ia, *ja;
  const PetscScalar *values;
  PetscInt           n;
  PetscBool          done;

  PetscFunctionBegin;
  PetscCall(MatGetRowIJ(entries, 0, PETSC_FALSE, PETSC_FALSE, &n, &ia, &ja, &done));
  PetscCheck(done, PETSC_COMM_SELF, PETSC_ERR_SUP, "the matrix does not lend its arrays: use -ksp_reknit_matrix callback");
  PetscCall(MatSeqAIJGetArrayRead(entries, &values));
  if (is_new || !r->A || r->ia != ia || r->ja != ja || r->values != values) {
    rkn_operator_destroy(r->A);
    r->A            = NULL;
    r->nullspace[0] = r->nullspace[1] = (Stamp){0, 0};
    *status = rkn_operator_create_csr(NULL, SCALAR, n, n, INDEX, 0, ia, ja, values, RKN_BORROW, &r->A);
  } else if (is_changed) *status = rkn_operator_changed(r->A);
  r->ia     = ia;
  r->ja     = ja;
  r->values = values;
  PetscCall(MatSeqAIJRestoreArrayRead(entries, &values));
  PetscCall(MatRestoreRowIJ(entries, 0, PETSC_FALSE, PETSC_FALSE, &n, &ia, &ja, &done));
  PetscFunctionReturn(0);
}

/* Brings A and M up to date with Amat, Pmat and the PC. status: what is wrong with the entries, if anything. */
static PetscErrorCode UpdateOperators(KSP ksp, rkn_status *status) {
  KSP_Reknit      *r = (KSP_Reknit *)ksp->data;
  Mat              A, P, entries;
  PetscInt         m, n;
  Stamp            amat, pmat, pc;
  PetscObjectState pattern = 0;
  PetscBool        hermitian, is_hermitian_pc, is_none;
  MatNullSpace     nullspace;

  PetscFunctionBegin;
  PetscCall(PCGetOperators(ksp->pc, &A, &P));
  PetscCall(MatGetLocalSize(A, &m, &n));
  PetscCheck(m == n, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "Amat has %" PetscInt_FMT " rows and %" PetscInt_FMT " columns on this rank: reknit needs as many", m, n);
  if (n != r->n) PetscCall(ForgetOperators(r));
  r->n = n;
  if (!r->solution_like) {
    if (ksp->vec_sol && ksp->vec_rhs) {
      PetscCall(VecDuplicate(ksp->vec_sol, &r->solution_like));
      PetscCall(VecDuplicate(ksp->vec_rhs, &r->rhs_like));
    } else PetscCall(MatCreateVecs(A, &r->solution_like, &r->rhs_like));
  }

  PetscCall(StampOf((PetscObject)A, &amat));
  PetscCall(StampOf((PetscObject)P, &pmat));
  PetscCall(PetscObjectGetId((PetscObject)ksp->pc, &pc.id));
  pc.state                      = ksp->pc->matstate;
  const PetscBool is_transposed = (PetscBool)(r->transpose != (PetscBool)ksp->transpose_solve);
  const PetscBool is_other      = (PetscBool)(r->amat.id != amat.id);
  const PetscBool is_changed    = (PetscBool)(Renews(&r->amat, amat) || is_transposed);
  PetscBool       is_changed_pc = (PetscBool)(Renews(&r->pmat, pmat) || is_transposed);
  if (Renews(&r->pc, pc)) is_changed_pc = PETSC_TRUE;
  r->transpose = (PetscBool)ksp->transpose_solve;

  PetscCall(GetEntries(ksp, A, &entries));
  if (entries) {
    PetscCall(MatGetNonzeroState(A, &pattern));
    const PetscBool is_new = (PetscBool)(is_other || entries != r->entries || pattern != r->pattern);
    r->pattern             = pattern;
    PetscCall(UpdateEntries(ksp, entries, is_new, is_changed, status));
    if (*status < 0) PetscFunctionReturn(0);
  } else {
    if (r->entries || !r->A) {
      rkn_operator_destroy(r->A);
      r->A            = NULL;
      r->nullspace[0] = r->nullspace[1] = (Stamp){0, 0};
      RknCall(ksp, rkn_operator_create_callback(NULL, SCALAR, n, n, ApplyOperator, ksp, NULL, &r->A));
    } else if (is_changed) RknCall(ksp, rkn_operator_changed(r->A));
  }
  r->entries = entries;
  PetscCall(IsHermitian(ksp, A, &hermitian));
  RknCall(ksp, rkn_operator_set_int(r->A, "hermitian", hermitian));
  PetscCall(AttachNullSpace(ksp, RKN_RIGHT, hermitian));
  PetscCall(AttachNullSpace(ksp, RKN_LEFT, hermitian));

  PetscCall(PetscObjectTypeCompare((PetscObject)ksp->pc, PCNONE, &is_none));
  PetscCall(GetNullSpace(ksp, RKN_RIGHT, &nullspace));
  if (is_none && !(nullspace && nullspace->remove)) {
    rkn_operator_destroy(r->M);
    r->M = NULL;
    PetscFunctionReturn(0);
  }
  const PetscBool refreshes = (PetscBool)(r->lags && !r->user_reuse);
  if (!r->M) RknCall(ksp, rkn_operator_create_callback(NULL, SCALAR, n, n, ApplyPreconditioner, ksp, NULL, &r->M));
  else if (is_changed_pc && !refreshes) RknCall(ksp, rkn_operator_changed(r->M));
  PetscCall(IsHermitianPC(ksp, &is_hermitian_pc));
  RknCall(ksp, rkn_operator_set_int(r->M, "hermitian", hermitian && is_hermitian_pc));
  RknCall(ksp, rkn_operator_set_refresh(r->M, refreshes ? Refresh : NULL, ksp, NULL));
  PetscFunctionReturn(0);
}

/* ---- Lagging ---- */

/* PETSc sets the PC up before a solve, and in PCApply, whenever Pmat has changed. While reknit decides on that the PC
 * is told to stay; between solves its flag is the user's. */
static PetscErrorCode HoldPC(KSP ksp) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  PetscBool   is_auto;

  PetscFunctionBegin;
  if (!r->lags || r->reuse_is_ours) PetscFunctionReturn(0);
  PetscCall(PetscStrcmp(r->method, "auto", &is_auto));
  PetscCheck(is_auto, PetscObjectComm((PetscObject)ksp), PETSC_ERR_ARG_INCOMP, "-ksp_reknit_lag_pc needs -ksp_reknit_method auto, which decides on it; the method is %s", r->method);
  PetscCall(PCGetReusePreconditioner(ksp->pc, &r->user_reuse));
  PetscCall(PCSetReusePreconditioner(ksp->pc, PETSC_TRUE));
  r->reuse_is_ours = PETSC_TRUE;
  PetscFunctionReturn(0);
}

static PetscErrorCode ReleasePC(KSP ksp) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;

  PetscFunctionBegin;
  if (r->reuse_is_ours) PetscCall(PCSetReusePreconditioner(ksp->pc, r->user_reuse));
  r->reuse_is_ours = PETSC_FALSE;
  PetscFunctionReturn(0);
}

/* ---- Solving ---- */

/* Called by KSPSetUp for a new system and for a new matrix, before it sets up the PC. */
static PetscErrorCode KSPSetUp_Reknit(KSP ksp) {
  PetscFunctionBegin;
  PetscCall(NeedSolver(ksp));
  PetscCall(HoldPC(ksp));
  PetscFunctionReturn(0);
}

/* What the KSP rules of this solve. */
static PetscErrorCode UpdateSettings(KSP ksp, Test test) {
  KSP_Reknit                   *r        = (KSP_Reknit *)ksp->data;
  rkn_krylov                   *s        = r->solver;
  const KSPConvergedDefaultCtx *ctx      = (const KSPConvergedDefaultCtx *)ksp->cnvP;
  const PetscBool               skips    = (PetscBool)(test == TEST_SKIP);
  const char                   *guess    = SettingOf(r, "initial_guess"), *verify = SettingOf(r, "verify");
  PetscBool                     has_side = PETSC_FALSE;
  const char *const             sided[]  = {"auto", "gmres", "gcrodr"};

  PetscFunctionBegin;
  RknCall(ksp, rkn_krylov_set_real(s, "rtol", skips ? 0 : (double)ksp->rtol));
  RknCall(ksp, rkn_krylov_set_real(s, "atol", skips ? 0 : (double)ksp->abstol));
  RknCall(ksp, rkn_krylov_set_int(s, "max_iterations", ksp->max_it));
  RknCall(ksp, rkn_krylov_set_string(s, "norm", ksp->normtype == KSP_NORM_PRECONDITIONED ? "preconditioned" : "true"));
  RknCall(ksp, rkn_krylov_set_string(s, "reference", test == TEST_OWN && ctx->initialrtol ? "initial" : "rhs"));
  /* Where nobody asks for a residual, none is computed beside those of the method. */
  RknCall(ksp, rkn_krylov_set_string(s, "verify", verify ? verify : skips ? "never" : r->default_verify));
  RknCall(ksp, rkn_krylov_set_converged(s, test == TEST_CALLBACK ? Converged : NULL, ksp, NULL));
  if (!guess) guess = ksp->guess_zero ? r->default_guess : "x";
  RknCall(ksp, rkn_krylov_set_string(s, "initial_guess", guess));
  /* KSPConvergedDefault takes the first residual for the right-hand side if it believes that the guess is zero.
   * KSPSolve puts the flag back. */
  if (strcmp(guess, "zero")) ksp->guess_zero = PETSC_FALSE;
  for (size_t i = 0; i < sizeof sided / sizeof *sided && !has_side; ++i) PetscCall(PetscStrcmp(r->method, sided[i], &has_side));
  PetscCheck(!r->flexible || ksp->pc_side == PC_RIGHT, PetscObjectComm((PetscObject)ksp), PETSC_ERR_ARG_INCOMP, "-ksp_reknit_side flexible stands on the right, -ksp_pc_side says left");
  if (has_side) RknCall(ksp, rkn_krylov_set_string(s, "side", ksp->pc_side == PC_LEFT ? "left" : r->flexible ? "flexible" : "right"));
  PetscFunctionReturn(0);
}

/* Not a number: the PC's fault, or nobody's. */
static PetscErrorCode ReasonOfNonfinite(KSP ksp) {
  PCFailedReason mine;
  PetscInt       reason, worst;

  PetscFunctionBegin;
  PetscCall(PCGetFailedReasonRank(ksp->pc, &mine));
  reason = (PetscInt)mine;
  PetscCallMPI(MPI_Allreduce(&reason, &worst, 1, MPIU_INT, MPI_MAX, PetscObjectComm((PetscObject)ksp)));
  if (worst) PetscCall(PCSetFailedReason(ksp->pc, (PCFailedReason)worst));
  ksp->reason = worst ? KSP_DIVERGED_PC_FAILED : KSP_DIVERGED_NANORINF;
  PetscFunctionReturn(0);
}

/* What the status of a solve is in PETSc's words. */
static PetscErrorCode Conclude(KSP ksp, rkn_status status, Test test) {
  KSP_Reknit *r          = (KSP_Reknit *)ksp->data;
  int64_t     iterations = 0;
  double      norm       = r->measure;

  PetscFunctionBegin;
  /* The traceback that the callback began goes on here. */
  PetscCall(r->error);
  if (rkn_krylov_get_int(r->solver, "iterations", &iterations) == RKN_OK) ksp->its = (PetscInt)iterations;
  if (ksp->normtype == KSP_NORM_UNPRECONDITIONED && status >= 0) RknCall(ksp, rkn_krylov_get_real(r->solver, "residual_norm", &norm));
  ksp->rnorm = (PetscReal)norm;

  switch (status) {
  case RKN_OK:
    if (test == TEST_CALLBACK) ksp->reason = r->verdict > 0 ? r->verdict : KSP_CONVERGED_RTOL;
    else if (test == TEST_SKIP) ksp->reason = KSP_CONVERGED_HAPPY_BREAKDOWN;
    else ksp->reason = ksp->rnorm < ksp->abstol ? KSP_CONVERGED_ATOL : KSP_CONVERGED_RTOL;
    break;
  case RKN_STOP_ITERATIONS:
    ksp->reason = test == TEST_SKIP || (test == TEST_OWN && ((KSPConvergedDefaultCtx *)ksp->cnvP)->convmaxits) ? KSP_CONVERGED_ITS : KSP_DIVERGED_ITS;
    break;
  case RKN_STOP_TIME: ksp->reason = KSP_DIVERGED_ITS; break;
  case RKN_STOP_MONITOR:
    PetscCheck(r->verdict, PETSC_COMM_SELF, PETSC_ERR_LIB, "a monitor or convergence test failed on another rank");
    ksp->reason = r->verdict;
    break;
  case RKN_STOP_STAGNATION:
  case RKN_STOP_BREAKDOWN:
  case RKN_STOP_PRECISION:
    /* Nobody asked for more than that many iterations; there was nothing left for the others to do. */
    ksp->reason = test == TEST_SKIP ? KSP_CONVERGED_ITS : KSP_DIVERGED_BREAKDOWN;
    break;
  case RKN_ERR_INDEFINITE: ksp->reason = strstr(rkn_last_error(), "preconditioner") ? KSP_DIVERGED_INDEFINITE_PC : KSP_DIVERGED_INDEFINITE_MAT; break;
  case RKN_ERR_SINGULAR: ksp->reason = KSP_DIVERGED_PC_FAILED; break;
  case RKN_ERR_NONFINITE: PetscCall(ReasonOfNonfinite(ksp)); break;
  default: SETERRQ(PETSC_COMM_SELF, ErrorOf(status), "%s: %s", rkn_status_name(status), rkn_last_error());
  }
  if (status != RKN_OK) PetscCall(PetscInfo(ksp, "%s: %s\n", rkn_status_name(status), rkn_last_error()));
  PetscFunctionReturn(0);
}

/* Solves for ncols columns; ldb and ldx do not matter for one. */
static PetscErrorCode SolveColumns(KSP ksp, int64_t ncols, const PetscScalar *b, int64_t ldb, PetscScalar *x, int64_t ldx) {
  KSP_Reknit *r      = (KSP_Reknit *)ksp->data;
  const Test  test   = TestOf(ksp);
  rkn_status  status = RKN_OK;
  PetscScalar nothing[2] = {0, 0};

  PetscFunctionBegin;
  r->error            = 0;
  r->verdict          = KSP_CONVERGED_ITERATING;
  r->last_monitored   = -1;
  r->tested_iteration = -1;
  r->measure          = 0;
  ksp->its            = 0;
  PetscCall(NeedSolver(ksp));
  PetscCall(HoldPC(ksp));
  PetscCall(UpdateOperators(ksp, &status));
  PetscCall(UpdateSettings(ksp, test));
  if (r->n == 0) { /* PETSc may have no arrays then, reknit wants some */
    b = nothing;
    x = nothing + 1;
  }
  r->is_solving = PETSC_TRUE;
  if (status == RKN_OK) {
    if (ncols == 1) status = rkn_krylov_solve(r->solver, r->A, r->M, b, x);
    else status = rkn_krylov_solve_block(r->solver, r->A, r->M, ncols, b, ldb, x, ldx);
  }
  r->is_solving = PETSC_FALSE;
  PetscCall(ReleasePC(ksp));
  PetscCall(Conclude(ksp, status, test));
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPSolve_Reknit(KSP ksp) {
  const PetscScalar *b;
  PetscScalar       *x;

  PetscFunctionBegin;
  PetscCall(VecGetArrayRead(ksp->vec_rhs, &b));
  PetscCall(VecGetArray(ksp->vec_sol, &x));
  const PetscErrorCode error = SolveColumns(ksp, 1, b, 0, x, 0);
  PetscCall(VecRestoreArray(ksp->vec_sol, &x));
  PetscCall(VecRestoreArrayRead(ksp->vec_rhs, &b));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPMatSolve_Reknit(KSP ksp, Mat B, Mat X) {
  const PetscScalar *b;
  PetscScalar       *x;
  PetscInt           ncols, ldb, ldx;

  PetscFunctionBegin;
  PetscCheck(TestOf(ksp) != TEST_CALLBACK, PetscObjectComm((PetscObject)ksp), PETSC_ERR_SUP, "KSPMatSolve with a convergence test of one's own, which is asked of one right-hand side");
  PetscCall(MatGetSize(B, NULL, &ncols));
  PetscCall(MatDenseGetLDA(B, &ldb));
  PetscCall(MatDenseGetLDA(X, &ldx));
  PetscCall(MatDenseGetArrayRead(B, &b));
  PetscCall(MatDenseGetArray(X, &x));
  const PetscErrorCode error = SolveColumns(ksp, ncols, b, ldb, x, ldx);
  PetscCall(MatDenseRestoreArray(X, &x));
  PetscCall(MatDenseRestoreArrayRead(B, &b));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPBuildSolution_Reknit(KSP ksp, Vec v, Vec *V) {
  PetscFunctionBegin;
  PetscCheck(!((KSP_Reknit *)ksp->data)->is_solving, PetscObjectComm((PetscObject)ksp), PETSC_ERR_SUP, "reknit has no solution to show before the end of a solve: monitor residual norms (-ksp_monitor)");
  if (v) {
    PetscCall(VecCopy(ksp->vec_sol, v));
    *V = v;
  } else *V = ksp->vec_sol;
  PetscFunctionReturn(0);
}

/* ---- Looking at it, and its end ---- */

static PetscErrorCode ViewLines(KSP ksp, PetscViewer viewer, rkn_status (*text)(const rkn_krylov *, char *, int64_t, int64_t *)) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  int64_t     need;
  char       *lines, *line, *end;

  PetscFunctionBegin;
  RknCall(ksp, text(r->solver, NULL, 0, &need));
  PetscCall(PetscMalloc1((size_t)need, &lines));
  RknCall(ksp, text(r->solver, lines, need, NULL));
  for (line = lines; *line; line = end) {
    end = strchr(line, '\n');
    if (end) *end++ = 0;
    else end = line + strlen(line);
    PetscCall(PetscViewerASCIIPrintf(viewer, "  %s\n", line));
  }
  PetscCall(PetscFree(lines));
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPView_Reknit(KSP ksp, PetscViewer viewer) {
  KSP_Reknit       *r = (KSP_Reknit *)ksp->data;
  PetscBool         is_ascii;
  PetscViewerFormat format;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &is_ascii));
  if (!is_ascii) PetscFunctionReturn(0);
  PetscCall(NeedSolver(ksp));
  PetscCall(PetscViewerASCIIPrintf(viewer, "  reknit %s, matrix: %s, preconditioner set up when %s\n", rkn_version(), r->entries ? "its entries" : "by MatMult", r->lags ? "auto says so" : "PETSc says so"));
  PetscCall(ViewLines(ksp, viewer, rkn_krylov_view));
  PetscCall(PetscViewerGetFormat(viewer, &format));
  if (format == PETSC_VIEWER_ASCII_INFO_DETAIL) PetscCall(ViewLines(ksp, viewer, rkn_krylov_report));
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPReset_Reknit(KSP ksp) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;

  PetscFunctionBegin;
  PetscCall(ForgetSolver(r));
  PetscCall(ForgetOperators(r));
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPDestroy_Reknit(KSP ksp) {
  KSP_Reknit *r = (KSP_Reknit *)ksp->data;
  Setting    *next;

  PetscFunctionBegin;
  PetscCall(KSPReset_Reknit(ksp));
  for (Setting *setting = r->settings; setting; setting = next) {
    next = setting->next;
    PetscCall(PetscFree(setting->key));
    PetscCall(PetscFree(setting->value));
    PetscCall(PetscFree(setting));
  }
  PetscCall(PetscFree(r->method));
  PetscCall(PetscFree(ksp->data));
  PetscFunctionReturn(0);
}

static PetscErrorCode KSPCreate_Reknit(KSP ksp) {
  KSP_Reknit *r;

  PetscFunctionBegin;
  PetscCheck(rkn_abi() == RKN_ABI, PETSC_COMM_SELF, PETSC_ERR_LIB, "libreknit has ABI %d, the plug-in was built for %d", (int)rkn_abi(), RKN_ABI);
  PetscCall(PetscNew(&r));
  ksp->data    = r;
  r->threads   = 1;
  r->hermitian = r->pc_hermitian = PETSC_BOOL3_UNKNOWN;
  PetscCall(PetscStrallocpy("auto", &r->method));
  PetscCall(SupportNorms(ksp));
  ksp->setupnewmatrix      = PETSC_TRUE;
  ksp->ops->setup          = KSPSetUp_Reknit;
  ksp->ops->solve          = KSPSolve_Reknit;
  ksp->ops->matsolve       = KSPMatSolve_Reknit;
  ksp->ops->setfromoptions = KSPSetFromOptions_Reknit;
  ksp->ops->buildsolution  = KSPBuildSolution_Reknit;
  ksp->ops->buildresidual  = KSPBuildResidualDefault;
  ksp->ops->view           = KSPView_Reknit;
  ksp->ops->reset          = KSPReset_Reknit;
  ksp->ops->destroy        = KSPDestroy_Reknit;
  PetscFunctionReturn(0);
}

/* ---- The public functions ---- */

PetscErrorCode KSPRegisterReknit(void) {
  static const char *const names[] = {"RKNSolve", "RKNSetUp", "RKNApply", "RKNPrecondition", "RKNInner", "RKNReduce"};

  PetscFunctionBegin;
  PetscCall(KSPRegister(KSPREKNIT, KSPCreate_Reknit));
  for (int i = 0; i <= RKN_EVENT_REDUCE; ++i) PetscCall(PetscLogEventRegister(names[i], KSP_CLASSID, &phases[i]));
  PetscFunctionReturn(0);
}

/* What PETSc calls when it loads libreknit_petsc. */
PETSC_EXTERN PetscErrorCode PetscDLLibraryRegister_reknit_petsc(void) {
  PetscFunctionBegin;
  PetscCall(KSPRegisterReknit());
  PetscFunctionReturn(0);
}

PetscErrorCode KSPReknitSetMethod(KSP ksp, const char method[]) {
  PetscBool is_ours;

  PetscFunctionBegin;
  PetscValidHeaderSpecific(ksp, KSP_CLASSID, 1);
  PetscValidCharPointer(method, 2);
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPREKNIT, &is_ours));
  if (is_ours) PetscCall(SetMethod(ksp, method));
  PetscFunctionReturn(0);
}

PetscErrorCode KSPReknitSetOption(KSP ksp, const char key[], const char value[]) {
  PetscBool is_ours;

  PetscFunctionBegin;
  PetscValidHeaderSpecific(ksp, KSP_CLASSID, 1);
  PetscValidCharPointer(key, 2);
  PetscValidCharPointer(value, 3);
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPREKNIT, &is_ours));
  if (is_ours) PetscCall(SetOption(ksp, key, value));
  PetscFunctionReturn(0);
}

PetscErrorCode KSPReknitGetSolver(KSP ksp, rkn_krylov **solver) {
  PetscBool is_ours;

  PetscFunctionBegin;
  PetscValidHeaderSpecific(ksp, KSP_CLASSID, 1);
  PetscValidPointer(solver, 2);
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPREKNIT, &is_ours));
  PetscCheck(is_ours, PetscObjectComm((PetscObject)ksp), PETSC_ERR_ARG_WRONG, "the KSP is of type %s, not reknit", ((PetscObject)ksp)->type_name ? ((PetscObject)ksp)->type_name : "not set");
  PetscCall(NeedSolver(ksp));
  *solver = ((KSP_Reknit *)ksp->data)->solver;
  PetscFunctionReturn(0);
}
