/* reknit_ksp.h: reknit's Krylov solvers as a KSP type of PETSc, real and complex. docs/petsc.md is the guide.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A program that is not touched needs no header: the option `-dll_prepend PATH/libreknit_petsc.so` loads the plug-in,
 * `-ksp_type reknit` takes it, `-ksp_reknit_KEY VALUE` sets an option, and -help lists them. The functions below are
 * for programs that link libreknit_petsc.so. As all of PETSc they return a PetscErrorCode.
 */
#ifndef REKNIT_KSP_H
#define REKNIT_KSP_H

#include <petscksp.h>

#include "reknit.h"

#define KSPREKNIT "reknit"

/* Makes the type known to PETSc; between PetscInitialize and the first KSPSetType. Calling it again does nothing.
 * Not needed where PETSc loads the plug-in itself. */
PETSC_EXTERN PetscErrorCode KSPRegisterReknit(void);

/* Chooses the method, "auto" (what it is from the start), "gcrodr", "cg", ...: the names of rkn_krylov_create.
 * Collective. What an earlier method has learned is thrown away. Does nothing if the KSP is of another type.
 * Errors: an unknown name; an option set before that the new method does not use. */
PETSC_EXTERN PetscErrorCode KSPReknitSetMethod(KSP ksp, const char method[]);

/* Sets an option of the solver as text, ("restart", "40"): what `-ksp_reknit_restart 40` does. Collective. Does nothing
 * if the KSP is of another type. Not for what KSP itself sets: tolerances, limits, norms, the side but for "flexible".
 * Errors: an unknown key, one that the method does not use, a value out of its range. */
PETSC_EXTERN PetscErrorCode KSPReknitSetOption(KSP ksp, const char key[], const char value[]);

/* The solver inside, for reports and counts (rkn_krylov_report, rkn_krylov_get_int), saved states and learned spaces.
 * It belongs to the KSP: not to be destroyed, and gone after KSPReset, KSPDestroy, KSPSetType or another method.
 * Collective.
 * Errors: PETSC_ERR_ARG_WRONG (the KSP is of another type). */
PETSC_EXTERN PetscErrorCode KSPReknitGetSolver(KSP ksp, rkn_krylov **solver);

#endif /* REKNIT_KSP_H */
