/* sunlinsol_reknit.h: reknit's Krylov solvers with memory as a SUNLinearSolver of SUNDIALS 6.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     SUNLinearSolver LS = SUNLinSol_Reknit(y, NULL, "gcrodr", sunctx);
 *     SUNLinSol_ReknitSetOptions(LS, "restart=60 recycle=20");
 *     CVodeSetLinearSolver(cvode_mem, LS, NULL);
 *
 * Compile sunlinsol_reknit.c with the program, link with -lreknit and -lsundials_generic. With
 * -DSUNLINSOL_REKNIT_MPI it needs <mpi.h>, and takes vectors that are spread over ranks.
 *
 * What one solve learned serves the next: over Newton iterations, stages and time steps, for as long as LS lives.
 * The systems, scaling vectors and tolerances are those of SUNLinSol_SPGMR: with Ab = S1 P1^-1 A P2^-1 S2^-1 and
 * bb = S1 P1^-1 b the solve ends when ||bb - Ab xb||_2 <= tol. docs/sundials.md says more.
 *
 * Functions that return int give SUNLS_SUCCESS or one of the SUNLS_ codes; SUNLinSol_ReknitLastMessage() has the text.
 */
#ifndef SUNLINSOL_REKNIT_H
#define SUNLINSOL_REKNIT_H

#include <sundials/sundials_linearsolver.h>
#include <sundials/sundials_version.h>

#include "reknit.h"

#if SUNDIALS_VERSION_MAJOR != 6 || !defined(SUNDIALS_DOUBLE_PRECISION)
#error "sunlinsol_reknit is written for SUNDIALS 6 in double precision"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a linear solver. Collective where y is spread over ranks.
 *
 * y: a vector like those of the systems to come; only looked at, and cloned. Serial, OpenMP, Pthreads, Parallel, or
 * any other that lends its numbers by N_VGetArrayPointer and takes others by N_VSetArrayPointer; vectors on devices
 * and ManyVectors do not.
 * A: NULL for a matrix-free solver, SUNLINEARSOLVER_ITERATIVE, which multiplies by the ATimes of the integrator. Else
 * a square SUNMatrix like those that Setup will get, and the solver is SUNLINEARSOLVER_MATRIX_ITERATIVE. Sparse (CSR
 * and CSC), dense and band matrices are read by reknit, so that its preconditioners and "auto" can use their entries;
 * others are multiplied by SUNMatMatvec. A itself is only looked at.
 * method: of rkn_krylov_create: "gcrodr", "auto", "gmres", ...
 * Set from the start: reference=none, norm=weighted, max_iterations=200 (a step that needs more had better be
 * shortened), and probe=on where the method takes it.
 * Returns NULL on failure. To be freed by SUNLinSolFree. */
SUNLinearSolver SUNLinSol_Reknit(N_Vector y, SUNMatrix A, const char *method, SUNContext sunctx);

/* Sets options of rkn_krylov_set_options, "restart=60 recycle=20 initial_guess=project". "atol" is overwritten by the
 * tolerance of each solve. Returns SUNLS_ILL_INPUT if one is refused; then none is taken. */
int SUNLinSol_ReknitSetOptions(SUNLinearSolver S, const char *options);

/* On which side the integrator's PSolve stands: SUN_PREC_NONE, _LEFT, _RIGHT (where nothing is set) or _BOTH. As with
 * SPGMR, the tolerance is that of the residual preconditioned from the left. On the right the residual is the true
 * one, and what was learned does not depend on the preconditioner. For cg, rcg, eigcg, minres and rminres PSolve is
 * the one symmetric preconditioner, whatever the side. */
int SUNLinSol_ReknitSetPrecType(SUNLinearSolver S, int pretype);

/* The solver inside, for reports, counts, saving and rollback (rkn_krylov_...); owned by S, NULL if S is NULL. */
rkn_krylov *SUNLinSol_ReknitHandle(SUNLinearSolver S);

/* Why the last call of this file that failed on this thread failed; "" if none did. Valid until the next failure. */
const char *SUNLinSol_ReknitLastMessage(void);

/* All else goes through the generic functions of SUNDIALS:
 *
 * SUNLinSolSetup announces a new matrix, or a new preconditioner, for which it calls PSetup. SUNLinSolSolve announces
 * a new A where ATimes multiplies, because that depends on the state. The codes of SUNLinSolSolve:
 *   SUNLS_SUCCESS          the residual is at most tol: b - A x was computed, unless the option verify says otherwise
 *   SUNLS_RES_REDUCED      it is not, but smaller than that of the initial guess
 *   SUNLS_CONV_FAIL        it is not smaller
 *   SUNLS_ATIMES_FAIL_REC, _UNREC, SUNLS_PSOLVE_FAIL_REC, _UNREC     the callback returned a positive or negative value
 *   SUNLS_PACKAGE_FAIL_REC     numbers that are not finite, or a singular matrix: elsewhere it may go well
 *   SUNLS_ATIMES_NULL, SUNLS_PSOLVE_NULL, SUNLS_ILL_INPUT, SUNLS_MEM_FAIL, SUNLS_PACKAGE_FAIL_UNREC
 * x then holds the best point. SUNLinSolSetup gives SUNLS_PSET_FAIL_REC, _UNREC, or what is wrong with the matrix.
 * Over several ranks all return the same code, but for that of PSetup, which is the integrator's.
 *
 * SUNLinSolNumIters: iterations of the last solve; 1 if it had none and x is not zero, because what was learned was
 * good enough. SUNLinSolResNorm: the norm that was compared with tol, of b - A x at the point delivered.
 * SUNLinSolResid: P1^-1 b of the last solve, the preconditioned residual of a zero guess. SUNLinSolSpace: a bound for
 * the numbers held, without preconditioners that the solver makes. */

#ifdef __cplusplus
}
#endif

#endif
