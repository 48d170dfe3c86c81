/* reknit_mpi.h: reknit over MPI. Header only: compiled with the program's own <mpi.h>, C99 or C++.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     rkn_context_create(&ctx);
 *     rkn_mpi_attach(ctx, MPI_COMM_WORLD);
 *     rkn_operator_create_callback(ctx, RKN_F64, nlocal, nlocal, apply, &grid, NULL, &A);
 *     rkn_krylov_create(ctx, "gcrodr", &s);
 *     rkn_krylov_solve(s, A, NULL, b, x);          // b and x: this rank's entries
 *
 * Only sums cross ranks in the library; halo exchange is the business of the callbacks:
 * - All ranks make the same calls in the same order, destroying included.
 * - A callback that talks to other ranks finishes its exchange before it returns nonzero; else
 *   the others wait for it, and no library can end that.
 * - The reduction runs on the thread that called the library: MPI_THREAD_FUNNELED is enough.
 */
#ifndef REKNIT_MPI_H
#define REKNIT_MPI_H

#include <limits.h>
#include <stdlib.h>

#include <mpi.h>

#include "reknit.h"

// Doubles in one MPI call at most; longer reductions are split.
#ifndef RKN_MPI_MAX_COUNT
#define RKN_MPI_MAX_COUNT INT_MAX
#endif

#ifdef __cplusplus
extern "C" {
#endif

// The `user` of the reduction hook.
typedef struct rkn_mpi_ranks {
    MPI_Comm comm;
    int rank;
} rkn_mpi_ranks;

// The reduction hook (rkn_reduce_fn). Returns the MPI error code, which a solve then has in
// "callback_status"; MPI_ERR_OTHER after MPI_Finalize.
//
// All ranks must get identical bits, or they would take different branches and wait for each other.
// MPI_Allreduce does not promise that: each rank may add in an order of its own. So rank 0 gets
// the result and hands it to the others; beside MPI_Allreduce that costs at most a second
// traversal of the tree.
static inline int32_t rkn_mpi_reduce(void *user, rkn_reduction op, int64_t n, double *inout) {
    const rkn_mpi_ranks *ranks = (const rkn_mpi_ranks *)user;
    const MPI_Op mpi_op = op == RKN_MAX ? MPI_MAX : MPI_SUM;
    int error = MPI_SUCCESS, is_finalized = 0;
    MPI_Finalized(&is_finalized);
    if (is_finalized) return MPI_ERR_OTHER;
    while (n > 0 && error == MPI_SUCCESS) {
        const int count = n < RKN_MPI_MAX_COUNT ? (int)n : RKN_MPI_MAX_COUNT;
        if (ranks->rank == 0)
            error = MPI_Reduce(MPI_IN_PLACE, inout, count, MPI_DOUBLE, mpi_op, 0, ranks->comm);
        else
            error = MPI_Reduce(inout, NULL, count, MPI_DOUBLE, mpi_op, 0, ranks->comm);
        if (error == MPI_SUCCESS) error = MPI_Bcast(inout, count, MPI_DOUBLE, 0, ranks->comm);
        inout += count;
        n -= count;
    }
    return error;
}

// Frees the duplicated communicator (rkn_release_fn), unless MPI_Finalize came first.
static inline void rkn_mpi_release(void *user) {
    rkn_mpi_ranks *ranks = (rkn_mpi_ranks *)user;
    int is_finalized = 0;
    MPI_Finalized(&is_finalized);
    if (!is_finalized) MPI_Comm_free(&ranks->comm);
    free(ranks);
}

// Makes the solves of a context run over all ranks of a communicator. Collective.
//
// ctx: gets the reduction hook; an earlier hook is let go.
// comm: an intracommunicator; duplicated, so that the library's messages never meet the program's,
// and not kept. The duplicate is freed when the hook is let go: by rkn_context_set_reduce, by
// another attach, or with the last handle made with ctx; nothing is freed after MPI_Finalize.
// An MPI error in a reduction ends the solve with RKN_ERR_CALLBACK, whatever error handler comm
// has.
// Returns the same status on all ranks, the lowest of theirs; after a failure no context has the
// hook.
// Errors: RKN_ERR_NULL and RKN_ERR_HANDLE (ctx), RKN_ERR_BUSY, RKN_ERR_MEMORY, RKN_ERR_CALLBACK
// (MPI cannot duplicate comm); of this rank alone and without a text in rkn_last_error():
// RKN_ERR_STATE (MPI is not running), RKN_ERR_ARGUMENT (comm is MPI_COMM_NULL or an
// intercommunicator).
static inline rkn_status rkn_mpi_attach(rkn_context *ctx, MPI_Comm comm) {
    int is_initialized = 0, is_finalized = 0, is_inter = 0;
    MPI_Initialized(&is_initialized);
    MPI_Finalized(&is_finalized);
    if (!is_initialized || is_finalized) return RKN_ERR_STATE;
    if (comm == MPI_COMM_NULL) return RKN_ERR_ARGUMENT;
    MPI_Comm_test_inter(comm, &is_inter);
    if (is_inter) return RKN_ERR_ARGUMENT;

    MPI_Comm own = MPI_COMM_NULL;
    if (MPI_Comm_dup(comm, &own) != MPI_SUCCESS) return RKN_ERR_CALLBACK;
    MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN);
    rkn_status status = RKN_ERR_MEMORY, lowest = RKN_ERR_CALLBACK;
    rkn_mpi_ranks *ranks = (rkn_mpi_ranks *)malloc(sizeof *ranks);
    if (ranks) {
        ranks->comm = own;
        MPI_Comm_rank(own, &ranks->rank);
        status = rkn_context_set_reduce(ctx, rkn_mpi_reduce, ranks, rkn_mpi_release);
    }
    if (MPI_Allreduce(&status, &lowest, 1, MPI_INT32_T, MPI_MIN, own) != MPI_SUCCESS) lowest = RKN_ERR_CALLBACK;
    if (lowest == RKN_OK) return RKN_OK;
    if (status == RKN_OK) {
        rkn_context_set_reduce(ctx, NULL, NULL, NULL);
    } else {
        MPI_Comm_free(&own);
        free(ranks);
    }
    return lowest;
}

#ifdef __cplusplus
}
#endif

#endif /* REKNIT_MPI_H */
