/* reknit: solvers with memory for sequences of related problems.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from src/ffi by cbindgen (`make header`); edit the sources, not this file.
 *
 * True for every function below:
 * - A function returns rkn_status: 0 (RKN_OK); negative: refused or failed, and every handle and
 *   array is as before; positive: a solve that stopped short of its tolerance, its best point
 *   delivered. rkn_last_error() has the text of this thread's last nonzero status.
 * - Outputs are written on success only, but for the solution of a solve and the size that a text
 *   or history needs. A handle's out pointer is NULL after a failure.
 * - Handles are checked before they are touched: a dead or wrong one is RKN_ERR_HANDLE. destroy
 *   takes NULL, any order, and twice. (The address of a destroyed handle may be used again by a
 *   later one of the same kind: only then is a stale pointer not noticed.)
 * - Different handles may be used by different threads at once. A const argument may be shared;
 *   any other is exclusive, and a second thread, or the handle's own callback, gets RKN_ERR_BUSY.
 *   Getters, view and history may be called from a solver's own callbacks, and between its requests.
 * - Callbacks run on the thread that called the library, get `user` first, and return 0 or a value
 *   that ends the call with RKN_ERR_CALLBACK. They must return: no exception, no longjmp.
 * - Sizes are int64_t. Index arrays are 32 or 64 bits, counted from 0 or 1. Scalars are tagged;
 *   `void *` arrays hold the operator's scalar, complex numbers as two reals side by side.
 * - Arrays of vectors are column-major with a leading dimension in entries.
 * - NULL is a valid context; elsewhere, where nothing else is said, it is RKN_ERR_NULL. Strings are
 *   UTF-8 and end with NUL, arrays are aligned to their entries: other ones are RKN_ERR_ARGUMENT.
 * - The library prints nothing, raises no signal, and runs with its own floating-point environment;
 *   the host's holds again in callbacks and on return.
 */
#ifndef REKNIT_H
#define REKNIT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Statuses and tags ----------------------------------------------------------------------- */

// What a function returns: 0 done; positive: stopped short of the tolerance, the best point is
// delivered; negative: refused or failed, rkn_last_error() says why.
typedef int32_t rkn_status;
#define RKN_OK 0
#define RKN_STOP_ITERATIONS 1
#define RKN_STOP_TIME 2
#define RKN_STOP_STAGNATION 3
#define RKN_STOP_MONITOR 4
#define RKN_STOP_INTERRUPT 5
#define RKN_STOP_BREAKDOWN 6
#define RKN_STOP_INFEASIBLE 7
#define RKN_STOP_PRECISION 8
#define RKN_ERR_NULL (-1)
#define RKN_ERR_ARGUMENT (-2)
#define RKN_ERR_SIZE (-3)
#define RKN_ERR_SCALAR (-4)
#define RKN_ERR_INDEX (-5)
#define RKN_ERR_NONFINITE (-6)
#define RKN_ERR_KEY (-7)
#define RKN_ERR_HANDLE (-8)
#define RKN_ERR_BUSY (-9)
#define RKN_ERR_STATE (-10)
#define RKN_ERR_SINGULAR (-20)
#define RKN_ERR_INDEFINITE (-21)
#define RKN_ERR_UNSUPPORTED (-22)
#define RKN_ERR_CALLBACK (-30)
#define RKN_ERR_MEMORY (-31)
#define RKN_ERR_FILE (-32)
#define RKN_ERR_FORMAT (-33)
#define RKN_ERR_THREADS (-34)
#define RKN_ERR_INTERNAL (-99)

// Kind of the entries of a vector or matrix: float, double, or their complex twins (two reals
// side by side: float _Complex, std::complex, COMPLEX).
typedef int32_t rkn_scalar;
#define RKN_F32 0
#define RKN_F64 1
#define RKN_C32 2
#define RKN_C64 3

// Kind of index arrays: int32_t or int64_t. All index arrays of one call have the same kind.
typedef int32_t rkn_index;
#define RKN_I32 0
#define RKN_I64 1

// Whether arrays are copied, or borrowed: a borrowed array must outlive the operator and
// everything made from it, and is read anew at each use.
typedef int32_t rkn_memory;
#define RKN_COPY 0
#define RKN_BORROW 1

// op(A) = A, A^T or A^H.
typedef int32_t rkn_trans;
#define RKN_N 0
#define RKN_T 1
#define RKN_H 2

// Storage order of dense matrices and blocks.
typedef int32_t rkn_order;
#define RKN_COLUMN_MAJOR 0
#define RKN_ROW_MAJOR 1

// Which triangle of a symmetric matrix is stored.
typedef int32_t rkn_triangle;
#define RKN_LOWER 0
#define RKN_UPPER 1

// Left or right: of a nullspace, A^H L = 0 or A R = 0.
typedef int32_t rkn_side;
#define RKN_LEFT 0
#define RKN_RIGHT 1

// How a reduction hook combines the numbers of all ranks.
typedef int32_t rkn_reduction;
#define RKN_SUM 0
#define RKN_MAX 1

// What rkn_krylov_next wants of the host: nothing more, a product with an operator, the sum or maximum of
// numbers over all ranks. Operators by request may have kinds of their own, from RKN_REQUEST_USER on.
typedef int32_t rkn_request_kind;
#define RKN_REQUEST_DONE 0
#define RKN_REQUEST_APPLY 1
#define RKN_REQUEST_PRECONDITION 2
#define RKN_REQUEST_REDUCE 3
#define RKN_REQUEST_USER 100

// What a solver does, as rkn_event_fn is told: a whole solve, and within it its set-ups, products with A, uses of M,
// inner products of this rank's entries, sums over ranks. What is left is updates of vectors.
typedef int32_t rkn_event;
#define RKN_EVENT_SOLVE 0
#define RKN_EVENT_SETUP 1
#define RKN_EVENT_APPLY 2
#define RKN_EVENT_PRECONDITION 3
#define RKN_EVENT_INNER 4
#define RKN_EVENT_REDUCE 5


/* ---- The library ----------------------------------------------------------------------------- */

#define RKN_VERSION_MAJOR 0

#define RKN_VERSION_MINOR 1

#define RKN_VERSION_PATCH 0

// 10000 major + 100 minor + patch.
#define RKN_VERSION_NUMBER 100

// Rises when a program compiled against an older header would no longer work; compare with
// rkn_abi() after loading.
#define RKN_ABI 1

// The version of the running library, "0.1.0". Static text.
const char *rkn_version(void);

// RKN_VERSION_NUMBER of the running library.
int32_t rkn_version_number(void);

// RKN_ABI of the running library.
int32_t rkn_abi(void);

// Architecture, system and build profile of the running library. Static text.
const char *rkn_build_info(void);

// The name of a status, "RKN_ERR_SIZE"; "RKN_UNKNOWN" for numbers that are none. Static text.
const char *rkn_status_name(rkn_status status);

// The message of this thread's last call that returned a nonzero status, "" if there was none:
// the function, the argument, what it was and what it may be. Valid until the thread's next such
// call.
const char *rkn_last_error(void);

// The reference page of all options and results of one noun, as Markdown.
//
// noun: "context", "operator", "preconditioner", "krylov", "sequence" or "sinkhorn".
// buf: gets at most `cap` bytes, the closing NUL included; may be NULL if cap is 0.
// need: gets the bytes wanted, NUL included, also if cap is too small; may be NULL. With cap 0 and need
// given the call only measures.
// Errors: RKN_ERR_NULL, RKN_ERR_KEY (unknown noun), RKN_ERR_SIZE (cap is too small).
rkn_status rkn_option_reference(const char *noun, char *buf, int64_t cap, int64_t *need);

/* ---- Callbacks: user first; 0 is fine -------------------------------------------------------- */

// Called once with `user` when the library lets a kept callback go. NULL where nothing is to do.
typedef void (*rkn_release_fn)(void *user);

// Combines `n` doubles of all ranks in place, by RKN_SUM or RKN_MAX; a complex number counts as
// two. Must give identical bits on all ranks. 0: done; other values end the call with
// RKN_ERR_CALLBACK.
typedef int32_t (*rkn_reduce_fn)(void *user, rkn_reduction op, int64_t n, double *inout);

// Receives a log line on the thread that called the library. Levels: 1 warning, 2 a solve,
// 3 a cycle. `line` is valid during the call.
typedef void (*rkn_log_fn)(void *user, int32_t level, const char *line);

// y <- op(A) x for `ncols` columns, column-major with leading dimensions `ldx` and `ldy`; x and y
// are of the operator's scalar. 0: done; other values end the call with RKN_ERR_CALLBACK. An
// operator without an adjoint returns nonzero for RKN_T and RKN_H. Must return normally: no
// exception and no longjmp may pass through it.
typedef int32_t (*rkn_apply_fn)(void *user,
                                rkn_trans trans,
                                int64_t ncols,
                                const void *x,
                                int64_t ldx,
                                void *y,
                                int64_t ldy);

// Brings a preconditioner of the caller's up to date with the matrix as it is now. 0: done; other values end
// the call with RKN_ERR_CALLBACK.
typedef int32_t (*rkn_refresh_fn)(void *user);

// out <- X^H Y over this rank's `n` rows: `k` columns of x (the first is conjugated) with `l` of
// y, both of the operator's scalar; `out` is k x l, column-major, always double (complex: two
// doubles a number). The library sums over ranks. 0: done.
typedef int32_t (*rkn_inner_fn)(void *user,
                                int64_t n,
                                int64_t k,
                                const void *x,
                                int64_t ldx,
                                int64_t l,
                                const void *y,
                                int64_t ldy,
                                double *out);

// Progress of a solve. The library owns it; it is valid during the call. New fields are appended,
// and `size` tells how long this library's struct is.
typedef struct rkn_progress {
  // Bytes of this struct.
  int64_t size;
  // 1: a Krylov solver; 2: a transport solver.
  int32_t solver;
  // 1: iterating.
  int32_t phase;
  int64_t iteration;
  // Right-hand side, from 0.
  int64_t column;
  // Columns that the operator was applied to so far.
  int64_t applies;
  // The tested residual norm.
  double measure;
  // What `measure` must fall to.
  double target;
  // Since the call began.
  double seconds;
} rkn_progress;

// Called after each iteration, and once before the first. Nonzero: stop here
// (RKN_STOP_MONITOR, on all ranks).
typedef int32_t (*rkn_monitor_fn)(void *user, const struct rkn_progress *progress);

// Told of the begin (`begins` is 1) and the end (0) of each phase of a solve, on its thread; phases nest. `flops` and
// `bytes` are those of the library since the begin, 0 at the begin itself: what the caller's callbacks do is not known.
typedef void (*rkn_event_fn)(void *user, rkn_event event, int32_t begins, double flops, double bytes);

// The caller's own convergence test: sets `*converged` to 1 to accept, 0 to go on. Over several
// ranks it holds when it holds on all, at the price of a reduction a test. It replaces
// residual_norm <= target. Return 0; other values end the solve
// with RKN_ERR_CALLBACK.
typedef int32_t (*rkn_converged_fn)(void *user,
                                    int64_t iteration,
                                    double residual_norm,
                                    double target,
                                    int32_t *converged);

// y <- the vector x of `n` entries on another mesh, `n_new` entries; both of the solver's scalar. 0: done;
// other values end the call with RKN_ERR_CALLBACK.
typedef int32_t (*rkn_prolongate_fn)(void *user, int64_t n, const void *x, int64_t n_new, void *y);

// Writes row i of a cost: `row` has room for `m` doubles, all to be finite. 0: done; other values end the call with
// RKN_ERR_CALLBACK.
typedef int32_t (*rkn_cost_row_fn)(void *user, int64_t i, int64_t m, double *row);

/* ---- Context --------------------------------------------------------------------------------- */

// Threads, seed, log sink, reduction hook and interrupt flag of the handles made with it. NULL is
// a valid context everywhere: one thread, seed 0, silent, no reduction. Operators and solvers
// keep what they need of it, so it may be destroyed first.
typedef struct rkn_context rkn_context;

// Makes a context: one thread, seed 0, silent, no reduction.
//
// out: gets the handle, to be freed by rkn_context_destroy; NULL on failure.
// Errors: RKN_ERR_NULL.
rkn_status rkn_context_create(rkn_context **out);

// Frees a context. NULL and dead handles are ignored; handles made with the context live on.
void rkn_context_destroy(rkn_context *ctx);

// Sets an integer option: "threads", "seed", "log_level" (rkn_option_reference("context", ...)).
//
// Errors: RKN_ERR_NULL, RKN_ERR_KEY (unknown key), RKN_ERR_ARGUMENT (out of range), RKN_ERR_BUSY.
rkn_status rkn_context_set_int(rkn_context *ctx, const char *key, int64_t value);

// Reads an integer option.
//
// value: written on success only.
// Errors: RKN_ERR_NULL, RKN_ERR_KEY.
rkn_status rkn_context_get_int(const rkn_context *ctx, const char *key, int64_t *value);

// Sets the sum over ranks: all that crosses ranks in a distributed solve. Vectors are then each
// rank's local entries. Every rank must call the same functions in the same order; a failure on
// one rank ends the solve on all of them.
//
// reduce: NULL takes the hook away. user: passed back to it. release: called once with `user`
// when the hook is let go, not if this call fails; may be NULL.
// Errors: RKN_ERR_NULL, RKN_ERR_BUSY.
rkn_status rkn_context_set_reduce(rkn_context *ctx,
                                  rkn_reduce_fn reduce,
                                  void *user,
                                  rkn_release_fn release);

// Makes the sum over ranks a request: rkn_krylov_next hands out RKN_REQUEST_REDUCE where the hook of
// rkn_context_set_reduce would be called, and the host sees to the sum in its own time. Solves with such
// a context are begun by rkn_krylov_start; rkn_krylov_solve has nobody to ask and fails with RKN_ERR_STATE.
// rkn_context_set_reduce(ctx, NULL, ...) takes it away.
//
// Errors: RKN_ERR_NULL, RKN_ERR_BUSY.
rkn_status rkn_context_set_reduce_request(rkn_context *ctx);

// Sets the log sink; without one the library prints nothing, ever.
//
// log: NULL takes the sink away. user, release: as in rkn_context_set_reduce.
// Errors: RKN_ERR_NULL, RKN_ERR_BUSY.
rkn_status rkn_context_set_log(rkn_context *ctx, rkn_log_fn log, void *user, rkn_release_fn release);

// Asks the running solve of this context, or its next one, to stop with RKN_STOP_INTERRUPT. The
// one function that may be called from any thread and from a signal handler; the context must be
// alive. Sets no message.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
rkn_status rkn_context_interrupt(rkn_context *ctx);

/* ---- Operators and preconditioners ----------------------------------------------------------- */

// A linear map from `ncols` to `nrows` entries of one scalar. A preconditioner is an operator that
// approximates an inverse.
typedef struct rkn_operator rkn_operator;

// A sparse matrix in compressed rows (CSR).
//
// nrows, ncols: its shape; either may be 0.
// index, base: kind of rowptr and colind, and whether they count from 0 or 1.
// rowptr: nrows + 1 positions, the first is `base`, none below its predecessor.
// colind: rowptr[nrows] - base column indices in base..ncols-1+base, in any order within a row;
// repeated ones add up.
// values: as many scalars, all finite.
// memory: RKN_COPY, or RKN_BORROW: then the three arrays must outlive the operator and all that is
// made from it; after rewriting values call rkn_operator_changed.
// out: gets the handle, to be freed by rkn_operator_destroy.
// Errors: RKN_ERR_NULL, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (a tag that is none), RKN_ERR_INDEX (names position, value and range),
// RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
rkn_status rkn_operator_create_csr(const rkn_context *ctx,
                                   rkn_scalar scalar,
                                   int64_t nrows,
                                   int64_t ncols,
                                   rkn_index index,
                                   int32_t base,
                                   const void *rowptr,
                                   const void *colind,
                                   const void *values,
                                   rkn_memory memory,
                                   rkn_operator **out);

// A sparse matrix in compressed columns (CSC): as rkn_operator_create_csr with rows and columns in
// each other's place.
//
// colptr: ncols + 1 positions. rowind: colptr[ncols] - base row indices in base..nrows-1+base.
// values, memory, out, errors: as in rkn_operator_create_csr. A x is then a scattering product on
// one thread, A^T x the fast one.
rkn_status rkn_operator_create_csc(const rkn_context *ctx,
                                   rkn_scalar scalar,
                                   int64_t nrows,
                                   int64_t ncols,
                                   rkn_index index,
                                   int32_t base,
                                   const void *colptr,
                                   const void *rowind,
                                   const void *values,
                                   rkn_memory memory,
                                   rkn_operator **out);

// A sparse matrix of dense square blocks in compressed block rows (BSR).
//
// nblockrows, nblockcols: its shape in blocks. block: rows and columns of a block, at least 1.
// order: RKN_COLUMN_MAJOR or RKN_ROW_MAJOR, within a block.
// rowptr: nblockrows + 1 positions. colind: block column indices.
// values: block * block scalars a block, the blocks in the order of colind.
// memory, out, errors: as in rkn_operator_create_csr.
rkn_status rkn_operator_create_bsr(const rkn_context *ctx,
                                   rkn_scalar scalar,
                                   int64_t nblockrows,
                                   int64_t nblockcols,
                                   int64_t block,
                                   rkn_order order,
                                   rkn_index index,
                                   int32_t base,
                                   const void *rowptr,
                                   const void *colind,
                                   const void *values,
                                   rkn_memory memory,
                                   rkn_operator **out);

// A symmetric or Hermitian sparse matrix of which one triangle is stored, in compressed rows,
// diagonal included.
//
// n: rows and columns. triangle: RKN_LOWER or RKN_UPPER; an entry of the other is RKN_ERR_INDEX.
// hermitian: 0 for A = A^T, 1 for A = A^H (its diagonal counts as real).
// index, base, rowptr, colind, values, memory, out, errors: as in rkn_operator_create_csr.
rkn_status rkn_operator_create_csr_symmetric(const rkn_context *ctx,
                                             rkn_scalar scalar,
                                             int64_t n,
                                             rkn_triangle triangle,
                                             int32_t hermitian,
                                             rkn_index index,
                                             int32_t base,
                                             const void *rowptr,
                                             const void *colind,
                                             const void *values,
                                             rkn_memory memory,
                                             rkn_operator **out);

// A sparse matrix assembled from (row, column, value) triplets; copied into compressed rows,
// repeated positions add up in the order given.
//
// nnz: triplets. rowind, colind: nnz indices each, of kind `index` from `base`. values: nnz
// scalars, all finite.
// out, errors: as in rkn_operator_create_csr. rkn_operator_set_values then takes the numbers of
// the assembled rows, columns ascending.
rkn_status rkn_operator_create_coo(const rkn_context *ctx,
                                   rkn_scalar scalar,
                                   int64_t nrows,
                                   int64_t ncols,
                                   rkn_index index,
                                   int32_t base,
                                   int64_t nnz,
                                   const void *rowind,
                                   const void *colind,
                                   const void *values,
                                   rkn_operator **out);

// A dense matrix.
//
// nrows, ncols: its shape. order: RKN_COLUMN_MAJOR or RKN_ROW_MAJOR.
// values: entry (i, j) at i + j * ld, or at i * ld + j for row-major; all finite.
// ld: leading dimension, at least nrows (ncols for row-major).
// memory, out, errors: as in rkn_operator_create_csr.
rkn_status rkn_operator_create_dense(const rkn_context *ctx,
                                     rkn_scalar scalar,
                                     int64_t nrows,
                                     int64_t ncols,
                                     rkn_order order,
                                     const void *values,
                                     int64_t ld,
                                     rkn_memory memory,
                                     rkn_operator **out);

// A diagonal matrix.
//
// n: rows and columns. values: n scalars, all finite. memory, out, errors: as in
// rkn_operator_create_csr.
rkn_status rkn_operator_create_diagonal(const rkn_context *ctx,
                                        rkn_scalar scalar,
                                        int64_t n,
                                        const void *values,
                                        rkn_memory memory,
                                        rkn_operator **out);

// The identity of order n.
//
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_SIZE, RKN_ERR_ARGUMENT.
rkn_status rkn_operator_create_identity(const rkn_context *ctx,
                                        rkn_scalar scalar,
                                        int64_t n,
                                        rkn_operator **out);

// A matrix from a Matrix Market file: coordinate or array; real, integer, complex or pattern
// (ones); general, symmetric, Hermitian or skew-symmetric. Kept as compressed rows.
//
// scalar: what the entries become; a complex file needs a complex scalar.
// path: the file's name.
// Errors: RKN_ERR_NULL, RKN_ERR_ARGUMENT, RKN_ERR_FILE (names the cause), RKN_ERR_FORMAT (names the line),
// RKN_ERR_SCALAR, RKN_ERR_MEMORY.
// Source: Boisvert, Pozo, Remington, The Matrix Market exchange formats, NISTIR 5935 (1996).
rkn_status rkn_operator_create_matrix_market(const rkn_context *ctx,
                                             rkn_scalar scalar,
                                             const char *path,
                                             rkn_operator **out);

// A matrix-free operator.
//
// nrows, ncols: its (local) shape. apply: see rkn_apply_fn; called on the thread that uses the
// operator. user: passed back to it.
// release: called once with `user` when the operator is let go for good; may be NULL. After a
// failure of this function it is not called.
// Errors: RKN_ERR_NULL, RKN_ERR_SIZE, RKN_ERR_ARGUMENT.
rkn_status rkn_operator_create_callback(const rkn_context *ctx,
                                        rkn_scalar scalar,
                                        int64_t nrows,
                                        int64_t ncols,
                                        rkn_apply_fn apply,
                                        void *user,
                                        rkn_release_fn release,
                                        rkn_operator **out);

// An operator that the host applies when rkn_krylov_next asks for it, instead of in a callback. It may
// be A, M, or a part of either; outside of a solve begun by rkn_krylov_start applying it is RKN_ERR_STATE.
// What it multiplies with is announced by rkn_operator_changed when it changes, as for any other operator.
//
// nrows, ncols: its (local) shape. kind: how the request names it: RKN_REQUEST_APPLY,
// RKN_REQUEST_PRECONDITION, or a number of the host's own from RKN_REQUEST_USER on.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_ARGUMENT.
rkn_status rkn_operator_create_request(const rkn_context *ctx,
                                       rkn_scalar scalar,
                                       int64_t nrows,
                                       int64_t ncols,
                                       rkn_request_kind kind,
                                       rkn_operator **out);

// Tells how an operator of the caller's that serves as preconditioner is brought up to date: what
// rkn_operator_changed(M) then calls. A solver with the method "auto" calls it by itself, when the iterations
// that the age of M costs exceed a refresh ("setup_cost"); then rkn_operator_changed(M) is not needed.
//
// M: made by rkn_operator_create_callback. refresh: see rkn_refresh_fn; NULL takes it away. user: passed back to
// it. release: called once with `user` when the callback is let go; may be NULL. After a failure of this
// function it is not called.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (M is not of the caller's).
rkn_status rkn_operator_set_refresh(rkn_operator *M,
                                    rkn_refresh_fn refresh,
                                    void *user,
                                    rkn_release_fn release);

// alpha A + beta B.
//
// alpha, beta: one scalar each of the operators' kind.
// A, B: of one shape and kind; kept by reference count, so they may be destroyed first, but
// borrowed arrays must live on.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SCALAR, RKN_ERR_SIZE, RKN_ERR_NONFINITE.
rkn_status rkn_operator_create_sum(const rkn_context *ctx,
                                   const void *alpha,
                                   const rkn_operator *A,
                                   const void *beta,
                                   const rkn_operator *B,
                                   rkn_operator **out);

// The product A B: first B, then A.
//
// A, B: A has as many columns as B rows; kept as in rkn_operator_create_sum.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SCALAR, RKN_ERR_SIZE.
rkn_status rkn_operator_create_product(const rkn_context *ctx,
                                       const rkn_operator *A,
                                       const rkn_operator *B,
                                       rkn_operator **out);

// alpha A.
//
// alpha: one scalar of A's kind. A: kept as in rkn_operator_create_sum.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_NONFINITE.
rkn_status rkn_operator_create_scaled(const rkn_context *ctx,
                                      const void *alpha,
                                      const rkn_operator *A,
                                      rkn_operator **out);

// A + sigma I for a square A.
//
// sigma: one scalar of A's kind. A: kept as in rkn_operator_create_sum.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_NONFINITE.
rkn_status rkn_operator_create_shifted(const rkn_context *ctx,
                                       const rkn_operator *A,
                                       const void *sigma,
                                       rkn_operator **out);

// A^T (RKN_T) or A^H (RKN_H) as an operator of its own.
//
// A: kept as in rkn_operator_create_sum.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_ARGUMENT.
rkn_status rkn_operator_create_adjoint(const rkn_context *ctx,
                                       rkn_trans trans,
                                       const rkn_operator *A,
                                       rkn_operator **out);

// A matrix of operators.
//
// blocks: nblockrows * nblockcols handles, row by row; NULL is a zero block. Blocks of one block
// row have equal rows, of one block column equal columns; each has at least one operator. Kept as
// in rkn_operator_create_sum.
// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_ARGUMENT (all blocks are NULL),
// RKN_ERR_SCALAR, RKN_ERR_SIZE (names the block).
rkn_status rkn_operator_create_block(const rkn_context *ctx,
                                     int64_t nblockrows,
                                     int64_t nblockcols,
                                     const rkn_operator *const *blocks,
                                     rkn_operator **out);

// A preconditioner: an operator that approximates the inverse of A, made from A's entries.
//
// A: square; kept as in rkn_operator_create_sum. New numbers in A reach the preconditioner only by
// rkn_operator_changed(preconditioner): until then it lags behind, which is legal.
// kind: its name, then options: "jacobi", "ssor omega=1.4", "ilu levels=2 shift=1e-3". The kinds are identity,
// jacobi, block_jacobi, ssor, ilu, ilu0, ic, ic0, ilut, ict, chebyshev, amg, lu, llt and ldlt; their keys are in
// rkn_option_reference("preconditioner", ...). "amg" takes the nullspace attached to A by then for near-nullspace.
// out: gets the handle.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown kind or key, or a key that the kind
// ignores), RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_UNSUPPORTED (A has no entries),
// RKN_ERR_SINGULAR and RKN_ERR_INDEFINITE (name the row), RKN_ERR_NONFINITE, RKN_ERR_STATE (A contains a
// preconditioner whose refresh failed), RKN_ERR_MEMORY.
rkn_status rkn_operator_create_preconditioner(const rkn_context *ctx,
                                              const rkn_operator *A,
                                              const char *kind,
                                              rkn_operator **out);

// Frees an operator. NULL and dead handles are ignored; what was made from it lives on.
void rkn_operator_destroy(rkn_operator *A);

// Announces that borrowed numbers (not the pattern) were rewritten in place; solvers then renew
// what they learned from them. Called on a preconditioner, it is made anew from its operator's
// present numbers, without allocating if the pattern is the same; a failed refresh leaves it
// unusable until the next successful one.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (A holds a copy: use
// rkn_operator_set_values), RKN_ERR_NONFINITE, RKN_ERR_SINGULAR, RKN_ERR_INDEFINITE, RKN_ERR_UNSUPPORTED
// (llt and ldlt of what is no longer Hermitian), RKN_ERR_MEMORY.
rkn_status rkn_operator_changed(rkn_operator *A);

// New numbers for a copied matrix, laid out as at creation (rkn_operator_create_coo and _matrix_market: the
// assembled rows).
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_NONFINITE, RKN_ERR_STATE (A borrows, or has no
// values of its own).
rkn_status rkn_operator_set_values(rkn_operator *A, const void *values);

// Attaches a nullspace, which every solver honours: with a left one (A^H L = 0) right-hand sides
// are projected off L, with a right one (A R = 0) solutions are.
//
// side: RKN_LEFT or RKN_RIGHT. vectors: ncols columns of leading dimension ld, copied; they need
// be neither orthogonal nor of unit length. ncols 0 removes the nullspace.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_NONFINITE.
rkn_status rkn_operator_set_nullspace(rkn_operator *A,
                                      rkn_side side,
                                      int64_t ncols,
                                      const void *vectors,
                                      int64_t ld);

// y <- op(A) x for ncols columns.
//
// trans: RKN_N, RKN_T or RKN_H. x, y: columns of leading dimensions ldx and ldy (in entries, at least the
// rows of a column); they must not overlap. Their contents are not checked for NaN.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_UNSUPPORTED (no
// adjoint), RKN_ERR_CALLBACK, RKN_ERR_STATE (a preconditioner whose refresh failed, an operator by request).
rkn_status rkn_operator_apply(const rkn_operator *A,
                              rkn_trans trans,
                              int64_t ncols,
                              const void *x,
                              int64_t ldx,
                              void *y,
                              int64_t ldy);

// The (local) shape of A.
//
// nrows, ncols: written on success only; either may be NULL.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
rkn_status rkn_operator_shape(const rkn_operator *A, int64_t *nrows, int64_t *ncols);

// The scalar of A.
//
// scalar: gets RKN_F32, RKN_F64, RKN_C32 or RKN_C64.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
rkn_status rkn_operator_scalar(const rkn_operator *A, rkn_scalar *scalar);

// Sets an integer option: "hermitian" (rkn_option_reference("operator", ...)).
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY, RKN_ERR_ARGUMENT.
rkn_status rkn_operator_set_int(rkn_operator *A, const char *key, int64_t value);

// Reads an integer option or result: "hermitian", "products", "version", "entries", "values",
// "rebuilds", "levels", "level_entries", "callback_status".
//
// value: written on success only.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown, or nothing that this operator has).
rkn_status rkn_operator_get_int(const rkn_operator *A, const char *key, int64_t *value);

// A description of A in a few lines: kind, shape, scalar, what is known of it.
//
// buf, cap, need: as in rkn_option_reference.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE.
rkn_status rkn_operator_view(const rkn_operator *A, char *buf, int64_t cap, int64_t *need);

/* ---- Krylov solvers with memory -------------------------------------------------------------- */

// A linear solver that remembers: what one solve taught serves the next. One handle is one
// sequence of related systems.
typedef struct rkn_krylov rkn_krylov;

// Makes a solver.
//
// ctx: rules the solves: threads, reduction, log, interrupt, seed of its own preconditioners.
// method: "auto", "cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg"
// or "cocr"; fixed for the handle's life. "auto" chooses a method and a preconditioner by their predicted and observed costs,
// keeps a factorisation as long as that pays, and starts from earlier solutions.
// out: gets the handle, to be freed by rkn_krylov_destroy.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown method).
// Sources: cg, Hestenes and Stiefel 1952; minres, Paige and Saunders 1975; gmres, Saad and Schultz
// 1986, flexible Saad 1993; bicgstab, van der Vorst 1992; gcrodr, Parks et al. 2006, flexible
// Carvalho et al. 2011; rbicgstab, Amritkar et al. 2015; rcg, Saad et al. 2000, Stathopoulos and Orginos 2010;
// eigcg, Stathopoulos and Orginos 2010; rminres, Wang, de Sturler and Paulino 2007; idr, van Gijzen and
// Sonneveld 2011; cocg, van der Vorst and Melissen 1990; cocr, Sogabe and Zhang 2007.
rkn_status rkn_krylov_create(const rkn_context *ctx,
                             const char *method,
                             rkn_krylov **out);

// Frees a solver. NULL and dead handles are ignored.
void rkn_krylov_destroy(rkn_krylov *s);

// Sets an integer option, such as "restart", "recycle" or "max_iterations"; the keys are in
// rkn_option_reference("krylov", ...). "restart", "recycle", "shadow", "side", "basis", "test_basis" and
// "orthogonalization" make new arrays at the next solve; the recycled space is carried over, its image made anew.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY (unknown, wrong type, or not used by the
// method), RKN_ERR_ARGUMENT (out of range).
rkn_status rkn_krylov_set_int(rkn_krylov *s,
                              const char *key,
                              int64_t value);

// Sets a real option, such as "rtol"; otherwise as rkn_krylov_set_int. NaN and infinity are
// RKN_ERR_NONFINITE.
rkn_status rkn_krylov_set_real(rkn_krylov *s, const char *key, double value);

// Sets an option from text: a word such as "left", or the text of a number; otherwise as
// rkn_krylov_set_real. The value of "preconditioner" is looked at by the next solve.
rkn_status rkn_krylov_set_string(rkn_krylov *s, const char *key, const char *value);

// Sets several options from one text, "restart=40 recycle=20 preconditioner='ilu levels=1'": pairs between
// blanks or commas, a value with blanks in single quotes. All are taken, or none.
//
// Errors: as rkn_krylov_set_string.
rkn_status rkn_krylov_set_options(rkn_krylov *s, const char *options);

// Reads an integer result or option: "iterations", "applies", "reductions", ...
//
// value: written on success only. May be called from the solver's own callbacks.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY.
rkn_status rkn_krylov_get_int(const rkn_krylov *s, const char *key, int64_t *value);

// Reads a real result or option: "residual_norm", "relative_residual", "solve_seconds", "rtol",
// ...; integers are converted. Otherwise as rkn_krylov_get_int.
rkn_status rkn_krylov_get_real(const rkn_krylov *s, const char *key, double *value);

// Reads any result or option as text: "reason", "method", "side", ...
//
// buf, cap, need: as in rkn_option_reference. Otherwise as rkn_krylov_get_int.
rkn_status rkn_krylov_get_string(const rkn_krylov *s,
                                 const char *key,
                                 char *buf,
                                 int64_t cap,
                                 int64_t *need);

// Sets the monitor, called after each iteration; see rkn_monitor_fn.
//
// monitor: NULL takes it away. user: passed back to it. release: called once with `user` when the
// monitor is let go; may be NULL.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
rkn_status rkn_krylov_set_monitor(rkn_krylov *s,
                                  rkn_monitor_fn monitor,
                                  void *user,
                                  rkn_release_fn release);

// Replaces the test residual_norm <= target by the caller's own; see rkn_converged_fn.
//
// converged: NULL brings the library's test back. user, release: as in rkn_krylov_set_monitor.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
rkn_status rkn_krylov_set_converged(rkn_krylov *s,
                                    rkn_converged_fn converged,
                                    void *user,
                                    rkn_release_fn release);

// Tells the host's own profiler when phases of a solve begin and end; see rkn_event_fn.
//
// events: NULL turns them off. user, release: as in rkn_krylov_set_monitor.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
rkn_status rkn_krylov_set_events(rkn_krylov *s,
                                 rkn_event_fn events,
                                 void *user,
                                 rkn_release_fn release);

// Sets the local inner products; see rkn_inner_fn. For shared degrees of freedom, mass matrices
// and vectors with ghost entries. Throws the memory away; excludes weights. The methods cocg and cocr, which
// need x^T y, cannot take it from a product x^H y of complex numbers, and their solves refuse it.
//
// inner: NULL brings the library's own back. user, release: as in rkn_krylov_set_monitor.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (weights are set).
rkn_status rkn_krylov_set_inner(rkn_krylov *s, rkn_inner_fn inner, void *user, rkn_release_fn release);

// Sets a weighted inner product, <x, y> = sum of w_i conj(x_i) y_i over this rank's entries.
// Norms and tolerances are then in that inner product.
//
// n: the order of the systems to come. weights: n positive numbers, copied; NULL removes them.
// Throws the memory away.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (not positive),
// RKN_ERR_NONFINITE, RKN_ERR_STATE (an inner product is set).
rkn_status rkn_krylov_set_weights(rkn_krylov *s, int64_t n, const double *weights);

// Sets row and column scaling: the solver then works on (S1 A S2^-1)(S2 x) = S1 b, with M scaled
// alike; b, x and the reported residual norm stay unscaled. With norm = weighted the tested norm is
// ||S1 (b - A x)||.
//
// n: the order of the systems to come. left, right: n positive numbers each, the diagonals of S1
// and S2, copied; NULL stands for ones.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (not positive),
// RKN_ERR_NONFINITE.
rkn_status rkn_krylov_set_scaling(rkn_krylov *s, int64_t n, const double *left, const double *right);

// Checks operators against options and makes all arrays ahead of the first solve, the solver's own
// preconditioner included. The next solve of this shape then allocates nothing.
//
// A: square. M: a preconditioner, or NULL.
// Errors: as rkn_krylov_solve.
rkn_status rkn_krylov_prepare(rkn_krylov *s, const rkn_operator *A, const rkn_operator *M);

// Solves A x = b.
//
// A: square, n x n (this rank's rows of it). M: an operator that approximates the inverse of A, or
// NULL; must be NULL if the option "preconditioner" is set. Neither is kept.
// b: n scalars of A's kind. x: n scalars, must not overlap b; read only if initial_guess is x.
// Returns RKN_OK if the tolerance is met; RKN_STOP_ITERATIONS, _TIME, _STAGNATION, _MONITOR, _INTERRUPT,
// _BREAKDOWN or _PRECISION with the best point in x; after an error during the iterations x holds the
// last sound iterate.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SCALAR, RKN_ERR_SIZE, RKN_ERR_ARGUMENT,
// RKN_ERR_STATE, RKN_ERR_NONFINITE (in b, x or what an operator delivers), RKN_ERR_INDEFINITE (cg, minres, rcg,
// eigcg, rminres), RKN_ERR_SINGULAR, RKN_ERR_UNSUPPORTED (cocg, cocr: complex numbers and an inner product of the caller),
// RKN_ERR_CALLBACK (the value is in "callback_status"), RKN_ERR_MEMORY; those of
// rkn_operator_create_preconditioner if the option "preconditioner" is set: RKN_ERR_KEY, RKN_ERR_UNSUPPORTED.
rkn_status rkn_krylov_solve(rkn_krylov *s,
                            const rkn_operator *A,
                            const rkn_operator *M,
                            const void *b,
                            void *x);

// Solves A X = B for several right-hand sides, in lockstep: A and M are applied to all columns at once, and
// all columns of a step share one sum over ranks. Each column goes on until its own test is met and then
// leaves the others. Each has its own memory, which the column of the same number goes on with in the next
// solve; a new one begins with the space of the first.
//
// A, M: as in rkn_krylov_solve. ncols: right-hand sides; 0 is allowed. B: n x ncols scalars of A's kind,
// column-major, ldb entries from one column to the next, at least n. X: the same with ldx; must not overlap B.
// "iterations" is then the number of steps of the longest column, "residual_norm" and the history are those of
// that column, and the other counts are sums over columns; rkn_krylov_columns has the columns one by one. A
// monitor is told of each step, with the norm that is farthest from its target; the solve it stops ends one step later.
// Returns RKN_OK if all columns meet their tolerances, or how the first that does not has ended; the others
// go on to their ends.
// Errors: as rkn_krylov_solve.
rkn_status rkn_krylov_solve_block(rkn_krylov *s,
                                  const rkn_operator *A,
                                  const rkn_operator *M,
                                  int64_t ncols,
                                  const void *B,
                                  int64_t ldb,
                                  void *X,
                                  int64_t ldx);

// How the columns of the last solve ended: iterations, true residual norms and statuses (RKN_OK, a stop or an
// error), one of each a column.
//
// Each array has room for cap entries, or is NULL if it is not wanted. need: gets the number of columns, also if
// cap is too small; may be NULL. With cap 0 and need given the call only counts.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
rkn_status rkn_krylov_columns(const rkn_krylov *s,
                              int64_t *iterations,
                              double *residual_norms,
                              rkn_status *statuses,
                              int64_t cap,
                              int64_t *need);

// The tested residual norms of the last solve (or of the running one, from its callbacks): one at
// the start and one an iteration, at most 100 000.
//
// norms: room for cap numbers; may be NULL if cap is 0. need: gets how many there are, also if cap is
// too small; may be NULL. With cap 0 and need given the call only counts.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
rkn_status rkn_krylov_history(const rkn_krylov *s, double *norms, int64_t cap, int64_t *need);

// Throws away what earlier solves taught (recycled space, own preconditioner, previous solution);
// options and arrays stay.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
rkn_status rkn_krylov_forget(rkn_krylov *s);

// What is really in force: the method, each option with its value (a star marks those that were
// set), and how the last solve ended.
//
// buf, cap, need: as in rkn_option_reference.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE.
rkn_status rkn_krylov_view(const rkn_krylov *s, char *buf, int64_t cap, int64_t *need);

// How the last solve went and why: what was counted, for which purposes; with diagnostics=on what the memory looks
// like; under "auto" what is known of the matrix, what each class of preconditioners cost or is thought to
// cost, and each attempt with its reason.
//
// buf, cap, need: as in rkn_option_reference.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY (in the solver's own callbacks too), RKN_ERR_SIZE.
rkn_status rkn_krylov_report(const rkn_krylov *s,
                             char *buf,
                             int64_t cap,
                             int64_t *need);

// The (harmonic) Ritz values of the vectors kept, the smallest in modulus first: what the slow modes of the
// (preconditioned) operator are taken to be. Of the last solve with diagnostics=on that renewed its space.
//
// re, im: room for cap numbers each; may be NULL if cap is 0. need: gets how many there are, also if cap is too
// small; may be NULL. With cap 0 and need given the call only counts.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
// Source: Parks et al. 2006, sec. 2.3; Morgan, SIAM J. Sci. Comput. 24 (2002).
rkn_status rkn_krylov_ritz_values(const rkn_krylov *s,
                                  double *re,
                                  double *im,
                                  int64_t cap,
                                  int64_t *need);

// The principal angles, in radians and ascending, between A U as the last update of the space found it and as
// it left it (rcg: between U and U in the product of A; rminres: of A U in that of M). With diagnostics=on.
//
// angles, cap, need: as norms in rkn_krylov_history.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
// Source: Bjorck and Golub, Math. Comp. 27 (1973).
rkn_status rkn_krylov_angles(const rkn_krylov *s, double *angles, int64_t cap, int64_t *need);

// The i-th key of the Krylov solvers, options first, then results; for tools that list or forward
// them.
//
// i: from 0. key, type, doc: get static texts: the key, "int", "real" or "string", and a sentence;
// each may be NULL.
// Errors: RKN_ERR_INDEX (i is past the end).
rkn_status rkn_krylov_option(int64_t i, const char **key, const char **type, const char **doc);

/* ---- What a Krylov solver has learned -------------------------------------------------------- */

// Copies the learned space U out: vectors in the coordinates of the solution, neither orthogonal nor of unit
// length, the most wanted first.
//
// scalar: that of the systems solved. n: their order (this rank's rows). cap: columns that U has room for.
// U: n x cap, column-major, leading dimension ldu; may be NULL if cap is 0. need: gets how many columns there
// are, also if cap is too small; may be NULL. With cap 0 and need given the call only counts.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY (in the solver's own callbacks too), RKN_ERR_ARGUMENT,
// RKN_ERR_SCALAR, RKN_ERR_SIZE (cap is too small, n is another).
rkn_status rkn_krylov_get_space(const rkn_krylov *s,
                                rkn_scalar scalar,
                                int64_t n,
                                int64_t cap,
                                void *U,
                                int64_t ldu,
                                int64_t *need);

// Gives the solver a space to start the next solve with, in the place of the learned one: vectors that a
// model, a coarse grid or another run takes for slow directions of the systems to come.
//
// The vectors are copied; they need be neither orthogonal nor independent. The next solve must be of order n,
// and takes as many as "recycle" says. It spends an apply a vector (rcg, eigcg, rminres: a use of M too).
// scalar: that of the systems to come. n: their order (this rank's rows). ncols: columns of U; 0 takes the
// space away. U: n x ncols, column-major, leading dimension ldu.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_NONFINITE,
// RKN_ERR_MEMORY, RKN_ERR_UNSUPPORTED (the method keeps none).
rkn_status rkn_krylov_set_space(rkn_krylov *s,
                                rkn_scalar scalar,
                                int64_t n,
                                int64_t ncols,
                                const void *U,
                                int64_t ldu);

// Keeps the first ncols vectors of the learned space at most.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (ncols is negative).
rkn_status rkn_krylov_truncate(rkn_krylov *s, int64_t ncols);

// Carries what was learned over to another mesh: the space and earlier solutions, vector by vector through a
// callback. Preconditioners and the experience of "auto" stay behind. After an error nothing has changed.
//
// n: the order of the systems to come (this rank's rows). prolongate, user: see rkn_prolongate_fn; called
// before the call returns, not kept.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_NONFINITE (the callback delivers
// it), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
rkn_status rkn_krylov_prolongate(rkn_krylov *s, int64_t n, rkn_prolongate_fn prolongate, void *user);

// Saves what was learned as bytes: the space with its image, earlier solutions, the experience of "auto", and
// the numbers that the solver's own preconditioner was made from. A solver that loads them goes on bit for
// bit. Options, callbacks, scalings and a preconditioner of the caller's are not in it.
//
// The bytes bear a version and a checksum and are the same on every machine.
// buf: room for cap bytes; may be NULL if cap is 0. need: gets how many bytes there are, also if cap is too
// small; may be NULL. With cap 0 and need given the call only counts.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small), RKN_ERR_STATE (nothing has
// been solved yet).
rkn_status rkn_krylov_save(rkn_krylov *s,
                           void *buf,
                           int64_t cap,
                           int64_t *need);

// Puts a solver into a state that rkn_krylov_save saved, in this process or another. Set its options first: those
// that rule what is kept must be those of the solver that was saved. After an error nothing has changed.
//
// A, M: stand for the operators of the last solve before the state was saved, M NULL if the caller gave none
// then. Give them in the condition they had in that solve, or call rkn_operator_changed before the next one.
// Neither is kept.
// buf: len bytes.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SCALAR, RKN_ERR_SIZE (A is of another order),
// RKN_ERR_FORMAT (no saved state, another version, damaged), RKN_ERR_STATE (another method, other options, another
// pattern), RKN_ERR_MEMORY, and those of making the preconditioner anew.
rkn_status rkn_krylov_load(rkn_krylov *s,
                           const rkn_operator *A,
                           const rkn_operator *M,
                           const void *buf,
                           int64_t len);

// Makes a solver with the same options and in the same state. Inner products, weights and scalings are shared or
// copied; a monitor and a convergence test are not.
//
// out: gets the handle, to be freed by rkn_krylov_destroy.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_MEMORY.
rkn_status rkn_krylov_clone(rkn_krylov *s,
                            rkn_krylov **out);

// Marks the present state, to be rolled back to when a time step is rejected. One mark is kept; it lasts until
// the next one, rkn_krylov_forget or rkn_krylov_load.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_MEMORY.
rkn_status rkn_krylov_mark(rkn_krylov *s);

// Goes back to the marked state, as if the solves since then had not been; the mark stays, counts of solves and
// the results of the last solve too.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (nothing is marked, or options that rule what
// is kept have changed since), RKN_ERR_MEMORY.
rkn_status rkn_krylov_rollback(rkn_krylov *s);

/* ---- Solving by requests (reverse communication) --------------------------------------------- */

// What a solve wants of the host. The library owns it and the arrays it points to; they are valid until
// the next call of rkn_krylov_next, rkn_krylov_cancel or rkn_krylov_destroy. New fields are appended, and
// `size` tells how long this library's struct is.
typedef struct rkn_request {
  // Bytes of this struct.
  int64_t size;
  // RKN_REQUEST_DONE: there is nothing more to do. RKN_REQUEST_APPLY, RKN_REQUEST_PRECONDITION, or a
  // number from RKN_REQUEST_USER on: y <- op(A) x with the operator of that kind. RKN_REQUEST_REDUCE:
  // combine `inout` over all ranks.
  rkn_request_kind kind;
  // Of a product: RKN_N, RKN_T or RKN_H.
  rkn_trans trans;
  // Of a product: the scalar of x and y.
  rkn_scalar scalar;
  // Of a reduction: RKN_SUM or RKN_MAX.
  rkn_reduction op;
  // Columns of x and y.
  int64_t ncols;
  // Entries of a column of x, and from one column to the next.
  int64_t nx;
  int64_t ldx;
  // Entries of a column of y, and from one column to the next.
  int64_t ny;
  int64_t ldy;
  // To be multiplied.
  const void *x;
  // To be written whole; holds anything.
  void *y;
  // Doubles of `inout`.
  int64_t n;
  // To be replaced by the sum or maximum over all ranks, the same bits on each.
  double *inout;
} rkn_request;

// Begins a solve of A x = b in which the host is asked, not called back: rkn_krylov_next hands out one
// request after the other, for products with operators of rkn_operator_create_request and for the sum over
// ranks after rkn_context_set_reduce_request. (Reverse communication, for programs whose loop must stay
// theirs.) The solver, its options and its memory are those of rkn_krylov_solve, and so is the result, bit
// for bit.
//
// A, M, b, x: as in rkn_krylov_solve. Operators of other kinds, matrices and callbacks, may stand beside those by
// request. Until the solve has ended A and M are in use, b must not be written, and x neither written nor read.
// Nothing is computed yet. The loop runs on a thread of the library's own, which sleeps while the host has the word
// and is gone when the solve has ended. Callbacks, if there are any, are called in rkn_krylov_next, on the thread
// that called it. In between, s may be read (getters, view, history); rkn_krylov_next, rkn_krylov_cancel and
// rkn_krylov_destroy are allowed, all else is RKN_ERR_BUSY.
// Errors: as rkn_krylov_solve for wrong arguments; RKN_ERR_THREADS (the thread cannot be had). Where the sum over ranks
// is a request, wrong operators and vectors are told by rkn_krylov_next, on all ranks alike.
rkn_status rkn_krylov_start(rkn_krylov *s,
                            const rkn_operator *A,
                            const rkn_operator *M,
                            const void *b,
                            void *x);

// Begins a block solve A X = B by requests: rkn_krylov_start for several right-hand sides. A request for a product
// has as many columns as wait for one.
//
// A, M, ncols, B, ldb, X, ldx: as in rkn_krylov_solve_block. Errors: as rkn_krylov_start.
rkn_status rkn_krylov_start_block(rkn_krylov *s,
                                  const rkn_operator *A,
                                  const rkn_operator *M,
                                  int64_t ncols,
                                  const void *B,
                                  int64_t ldb,
                                  void *X,
                                  int64_t ldx);

// Begins what rkn_krylov_prepare does where that takes requests: a preconditioner of the solver's own that needs
// products ("chebyshev"), nullspaces, or ranks. rkn_krylov_next goes on with it.
//
// A, M: as in rkn_krylov_prepare. Errors: as rkn_krylov_start.
rkn_status rkn_krylov_start_prepare(rkn_krylov *s,
                                    const rkn_operator *A,
                                    const rkn_operator *M);

// Goes on with the solve that was begun by rkn_krylov_start, until it wants something of the host or has ended.
//
// failed: 0 if the last request was served. Other values end the solve with RKN_ERR_CALLBACK, on all ranks;
// the value is then in "callback_status". More requests may come before the end, because other ranks may wait
// for them. 0 in the first call, when nothing was asked yet.
// request: gets the next request, never NULL. It is of kind RKN_REQUEST_DONE when the solve has ended, and
// whenever the status is not RKN_OK.
// Returns RKN_OK with each request, and at the end what rkn_krylov_solve would have returned.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY; RKN_ERR_STATE (no solve is under way, or it was begun before a
// fork and belongs to the parent); RKN_ERR_ARGUMENT (failed is not 0 in the first call; the solve is as before); as
// rkn_krylov_solve.
rkn_status rkn_krylov_next(rkn_krylov *s,
                           int32_t failed,
                           const rkn_request **request);

// Ends the solve that is under way, if there is one: x gets the last sound iterate, and what the solver knew stays.
// Calls no callbacks and hands out no requests; so other ranks are not told, and must cancel as well. (To end
// the solve on all of them pass a nonzero `failed` to rkn_krylov_next.) Destroying the solver cancels, too.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (the solve was begun before a fork and belongs to
// the parent).
rkn_status rkn_krylov_cancel(rkn_krylov *s);

/* ---- The order of a sequence ----------------------------------------------------------------- */

// Orders the systems of a sequence by their parameters, so that neighbours in the order are
// similar: what a solver remembers of one system then serves the next. Needs no solver and serves
// any.
//
// count, dim: how many systems, of how many parameters each. parameters: dim x count,
// column-major with leading dimension ld >= dim, a column for each system; all finite.
// Distances are Euclidean: bring parameters of different units to one scale first.
// options: "method=chain two_opt=5", NULL for the defaults; the keys are in
// rkn_option_reference("sequence", ...).
// order: gets count indices, a permutation of 0..count-1: order[0] is to be solved first. Must not
// overlap parameters; written on success only. It is the same for any number of threads.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE (also a grid that has not dim points),
// RKN_ERR_NONFINITE, RKN_ERR_KEY, RKN_ERR_ARGUMENT, RKN_ERR_MEMORY.
// Source: Wang et al. 2024 (arXiv 2401.09516), Algorithm 1 and appendix E.
rkn_status rkn_sequence_order(const rkn_context *ctx,
                              int64_t count,
                              int64_t dim,
                              const double *parameters,
                              int64_t ld,
                              const char *options,
                              int64_t *order);

// The length of an order: the sum of the Euclidean distances from each system to the next. Compared
// with that of another order it says what sorting gains.
//
// count, dim, parameters, ld: as in rkn_sequence_order.
// order: count indices from 0; NULL: the systems as they stand.
// length: gets the sum, in the unit of the parameters.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_NONFINITE, RKN_ERR_INDEX, RKN_ERR_MEMORY.
rkn_status rkn_sequence_length(const rkn_context *ctx,
                               int64_t count,
                               int64_t dim,
                               const double *parameters,
                               int64_t ld,
                               const int64_t *order,
                               double *length);

/* ---- What transport costs -------------------------------------------------------------------- */

// What transport costs: a matrix, two clouds of points, a grid, a pattern of allowed entries, or rows that the caller
// writes. Solvers keep what they need of it, so it may be destroyed first.
typedef struct rkn_geometry rkn_geometry;

// A dense cost C, n x m.
//
// scalar: RKN_F64 or RKN_F32. order: RKN_COLUMN_MAJOR or RKN_ROW_MAJOR. C: entry (i, j) at i + j * ld, or at i * ld + j for
// row-major; all finite, of any sign. ld: leading dimension, at least n (m for row-major). memory: RKN_BORROW:
// C outlives the geometry and every solver that last solved with it, and does not change.
// out: gets the handle, to be freed by rkn_geometry_destroy.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SCALAR (complex), RKN_ERR_SIZE (also n or m is 0), RKN_ERR_ARGUMENT,
// RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
rkn_status rkn_geometry_create_matrix(const rkn_context *ctx,
                                      rkn_scalar scalar,
                                      int64_t n,
                                      int64_t m,
                                      rkn_order order,
                                      const void *C,
                                      int64_t ld,
                                      rkn_memory memory,
                                      rkn_geometry **out);

// The cost of going from points x_i to points y_j: (sum_k w_k |x_k - y_k|^p)^(q/p). Takes no memory beyond the points.
//
// d: coordinates of a point. n, x, ldx: d x n, column-major with leading dimension ldx >= d, a column a point. m, y,
// ldy: the same of the others. Copied; all finite.
// p, q: 2 and 2 is the squared Euclidean distance, 2 and 1 the Euclidean, 1 and 1 the taxicab; both positive.
// weights: d positive numbers w, NULL for ones. periods: d numbers, the length of the box along each axis, 0 where
// space does not close; NULL for none. Distances are then to the nearest image.
// out: as in rkn_geometry_create_matrix. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_ARGUMENT,
// RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
rkn_status rkn_geometry_create_points(const rkn_context *ctx,
                                      int64_t d,
                                      int64_t n,
                                      const double *x,
                                      int64_t ldx,
                                      int64_t m,
                                      const double *y,
                                      int64_t ldy,
                                      double p,
                                      double q,
                                      const double *weights,
                                      const double *periods,
                                      rkn_geometry **out);

// A regular grid of cells in one to three dimensions, from which mass goes to the same grid at the cost
// sum_k (h_k |i_k - j_k|)^p. Takes no memory beyond a table an axis.
//
// d: 1, 2 or 3. size: d numbers of cells; the last axis runs fastest. h: d positive lengths of a cell, NULL for ones.
// periodic: d flags, 1 where an axis closes; NULL for none. p: positive.
// The cost is n x n with n the product of the sizes. out, errors: as in rkn_geometry_create_points.
rkn_status rkn_geometry_create_grid(const rkn_context *ctx,
                                    int64_t d,
                                    const int64_t *size,
                                    const double *h,
                                    const int32_t *periodic,
                                    double p,
                                    rkn_geometry **out);

// Costs of allowed entries, in compressed rows; all other entries are forbidden.
//
// n, m: the shape. index, base: kind and first number of the indices. rowptr: n + 1 offsets; colind: column indices, each
// at most once a row, in any order; C: their costs, finite. Copied.
// out: as in rkn_geometry_create_matrix. Errors: those, and RKN_ERR_INDEX.
rkn_status rkn_geometry_create_sparse(const rkn_context *ctx,
                                      int64_t n,
                                      int64_t m,
                                      rkn_index index,
                                      int32_t base,
                                      const void *rowptr,
                                      const void *colind,
                                      const double *C,
                                      rkn_geometry **out);

// A cost whose rows a callback of the caller writes, each time they are needed.
//
// n, m: the shape. row: see rkn_cost_row_fn; called on the thread that solves. user: passed back to it. release: called
// once with `user` when the geometry is let go for good; may be NULL. After a failure of this function it is not called.
// out: as in rkn_geometry_create_matrix. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE.
rkn_status rkn_geometry_create_callback(const rkn_context *ctx,
                                        int64_t n,
                                        int64_t m,
                                        rkn_cost_row_fn row,
                                        void *user,
                                        rkn_release_fn release,
                                        rkn_geometry **out);

// Frees a geometry. NULL and dead handles are ignored.
void rkn_geometry_destroy(rkn_geometry *G);

// The shape of the cost.
//
// n, m: get its rows and columns; either may be NULL. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
rkn_status rkn_geometry_shape(const rkn_geometry *G, int64_t *n, int64_t *m);

/* ---- Entropic optimal transport -------------------------------------------------------------- */

// A transport solver that remembers: the potentials of one problem are where the next begins.
typedef struct rkn_sinkhorn rkn_sinkhorn;

// Makes a solver of min <C, P> + epsilon sum P (log P - 1) with P 1 = a, P^T 1 = b, P >= 0.
//
// ctx: rules the solves: threads, log, interrupt.
// method: "auto", a path of epsilon with Newton's steps; "sinkhorn", plain iterations; "sns", Sinkhorn-Newton-Sparse as
// published. Fixed for the handle's life.
// out: gets the handle, to be freed by rkn_sinkhorn_destroy.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown method).
// Sources: Cuturi 2013 (arXiv 1306.0895); sns, Tang et al. 2024 (arXiv 2401.12253); auto, Schmitzer 2019 (arXiv 1610.06519) and
// the semi-dual Newton steps of Brauer et al. 2017 (arXiv 1710.06635), sparsified as in Tang et al.
rkn_status rkn_sinkhorn_create(const rkn_context *ctx,
                               const char *method,
                               rkn_sinkhorn **out);

// Frees a solver. NULL and dead handles are ignored.
void rkn_sinkhorn_destroy(rkn_sinkhorn *s);

// Sets an integer option; the keys are in rkn_option_reference("sinkhorn", ...).
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY (unknown, wrong type, or not used by the
// method), RKN_ERR_ARGUMENT (out of range).
rkn_status rkn_sinkhorn_set_int(rkn_sinkhorn *s, const char *key, int64_t value);

// Sets a real option, such as "epsilon" or "tolerance"; otherwise as rkn_sinkhorn_set_int. NaN and infinity are
// RKN_ERR_NONFINITE.
rkn_status rkn_sinkhorn_set_real(rkn_sinkhorn *s,
                                 const char *key,
                                 double value);

// Sets an option from text: a word such as "max", or the text of a number; otherwise as rkn_sinkhorn_set_real.
rkn_status rkn_sinkhorn_set_string(rkn_sinkhorn *s,
                                   const char *key,
                                   const char *value);

// Sets several options from one text, "epsilon=1e-3 epsilon_relative=max". All are taken, or none.
//
// Errors: as rkn_sinkhorn_set_string.
rkn_status rkn_sinkhorn_set_options(rkn_sinkhorn *s, const char *options);

// Reads an integer result or option: "iterations", "newton_steps", "levels", ...
//
// value: written on success only. May be called from the solver's own callbacks.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY.
rkn_status rkn_sinkhorn_get_int(const rkn_sinkhorn *s, const char *key, int64_t *value);

// Reads a real result or option: "cost", "dual", "marginal_error", "passes", ...; integers are converted. Otherwise as
// rkn_sinkhorn_get_int.
rkn_status rkn_sinkhorn_get_real(const rkn_sinkhorn *s,
                                 const char *key,
                                 double *value);

// Reads any result or option as text.
//
// buf, cap, need: as in rkn_option_reference. Otherwise as rkn_sinkhorn_get_int.
rkn_status rkn_sinkhorn_get_string(const rkn_sinkhorn *s,
                                   const char *key,
                                   char *buf,
                                   int64_t cap,
                                   int64_t *need);

// Sets a monitor, called after each iteration and each Newton step with the L1 error of the columns; see
// rkn_monitor_fn. `applies` counts passes.
//
// monitor: NULL takes it away. user: passed back to it. release: called once with `user` when the monitor is let go;
// may be NULL.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
rkn_status rkn_sinkhorn_set_monitor(rkn_sinkhorn *s,
                                    rkn_monitor_fn monitor,
                                    void *user,
                                    rkn_release_fn release);

// Finds the plan between a and b.
//
// G: the cost, n x m; kept until the next solve. a, b: n and m masses, not negative, of one sum to 1e-8 of it (of any sums
// with "transported_mass"); points without mass get none. Not kept.
// Returns RKN_OK if the errors of both marginals, recomputed from the potentials, meet the tolerance;
// RKN_STOP_ITERATIONS (max_passes), _TIME, _MONITOR, _INTERRUPT, _STAGNATION with the best potentials;
// RKN_STOP_INFEASIBLE where a point with mass has no allowed way; the last solution then stays.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT (a negative mass, unequal masses, an epsilon
// below 1e-100 of the largest cost), RKN_ERR_NONFINITE, RKN_ERR_STATE (options that do not go together), RKN_ERR_UNSUPPORTED
// ("target_gap" where entries are forbidden), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
rkn_status rkn_sinkhorn_solve(rkn_sinkhorn *s,
                              const rkn_geometry *G,
                              const double *a,
                              const double *b);

// Sinkhorn's divergence OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2, OT being the value "primal" at the solver's epsilon: not
// negative where exp(-C / epsilon) is positive definite, zero for a = b.
//
// G: the cost between the points of a and those of b, n x m. Ga, Gb: the costs among those of a, n x n, and of b, m x m;
// symmetric. One handle may stand for all three. a, b: as in rkn_sinkhorn_solve, which this contains: the plan between a
// and b can be asked for afterwards. The last two self terms are remembered for the same geometry handle, masses and epsilon,
// so that a fixed target is solved once. "passes" and "iterations" count all three problems, "max_passes" is the limit of each.
// value: gets the divergence, on RKN_OK only.
// Returns and errors: as rkn_sinkhorn_solve; RKN_ERR_SIZE (Ga or Gb), RKN_ERR_STATE (with "transported_mass" or
// "target_gap", which have no divergence).
// Sources: Genevay, Peyre and Cuturi 2018 (arXiv 1706.00292); Feydy et al. 2019 (arXiv 1810.08278).
rkn_status rkn_sinkhorn_divergence(rkn_sinkhorn *s,
                                   const rkn_geometry *G,
                                   const rkn_geometry *Ga,
                                   const rkn_geometry *Gb,
                                   const double *a,
                                   const double *b,
                                   double *value);

// Throws away what earlier solves taught; options stay.
//
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
rkn_status rkn_sinkhorn_forget(rkn_sinkhorn *s);

// The potentials of the last solve: P_ij = exp((f_i + g_j - C_ij) / epsilon). -infinity where a point has no mass.
//
// f, g: room for n and m numbers; either may be NULL.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (nothing has been solved yet).
rkn_status rkn_sinkhorn_potentials(const rkn_sinkhorn *s,
                                   double *f,
                                   double *g);

// Y <- P X or P^T X with the plan of the last solve, which is not formed: a pass for all columns together.
//
// trans: RKN_N for P, RKN_T or RKN_H for P^T. ncols: columns. X: m x ncols (n for P^T), Y: n x ncols (m), both
// column-major with leading dimensions ldx and ldy; must not overlap.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT, RKN_ERR_STATE, RKN_ERR_CALLBACK,
// RKN_ERR_MEMORY.
rkn_status rkn_sinkhorn_plan_apply(const rkn_sinkhorn *s,
                                   rkn_trans trans,
                                   int64_t ncols,
                                   const double *X,
                                   int64_t ldx,
                                   double *Y,
                                   int64_t ldy);

// The entries of the plan of the last solve above a threshold, in compressed rows with indices from 0.
//
// threshold: not negative. rowptr: room for n + 1 offsets. colind, values: room for cap entries; may be NULL if cap is 0.
// need: gets how many entries there are, also if cap is too small; may be NULL. With cap 0 and need given the call
// only counts, and rowptr may be NULL.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small), RKN_ERR_ARGUMENT, RKN_ERR_STATE,
// RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
rkn_status rkn_sinkhorn_plan_sparse(const rkn_sinkhorn *s,
                                    double threshold,
                                    int64_t *rowptr,
                                    int64_t *colind,
                                    double *values,
                                    int64_t cap,
                                    int64_t *need);

/* ---- What a transport plan gives: bounds, rounding, rows, saved states ----------------------- */

// Bounds of the exact cost of transport, without the blur, from the last plan: lower <= min <C, P> <= upper up to rounding.
// Two visits of the cost.
//
// lower: gets the value of the potentials made feasible by two c-transforms. upper: gets the cost of the plan of
// rkn_sinkhorn_round; infinity where that needs a forbidden entry. Either may be NULL; the results "lower_bound" and
// "upper_bound" keep them. The bounds close as epsilon falls: see "target_gap".
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (nothing has been solved yet, or the plan is
// partial), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
rkn_status rkn_sinkhorn_bracket(rkn_sinkhorn *s,
                                double *lower,
                                double *upper);

// The last plan rounded to its marginals: diag(x) P diag(y) + u v^T has the sums a and b exactly (up to rounding), and
// no negative entry.
//
// x, u: room for n numbers. y, v: for m. Scales x and y lie in [0, 1]; u v^T makes up for what scaling takes, sum v is 1 or, where
// nothing is missing, 0. P is as rkn_sinkhorn_plan_rows gives it; other ways to take the exponentials round otherwise.
// Errors: as rkn_sinkhorn_bracket.
// Source: Altschuler, Weed and Rigollet 2017 (arXiv 1705.09634), algorithm 2.
rkn_status rkn_sinkhorn_round(rkn_sinkhorn *s,
                              double *x,
                              double *y,
                              double *u,
                              double *v);

// Rows of the last plan.
//
// first, count: which rows, from 0. P: count x m numbers in row-major order with leading dimension ldp.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_INDEX (there are no such rows), RKN_ERR_SIZE (ldp),
// RKN_ERR_STATE (nothing has been solved yet), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
rkn_status rkn_sinkhorn_plan_rows(const rkn_sinkhorn *s,
                                  int64_t first,
                                  int64_t count,
                                  double *P,
                                  int64_t ldp);

// Saves what the solver has learned, the potentials that the next solve starts from: versioned, checksummed, the same
// bytes on every machine. Options are not saved.
//
// buf: room for cap bytes. need: gets the bytes that it takes; may be NULL. With cap 0 and need given the call only counts.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
rkn_status rkn_sinkhorn_save(rkn_sinkhorn *s,
                             void *buf,
                             int64_t cap,
                             int64_t *need);

// Puts a solver into a state that rkn_sinkhorn_save saved, in this process or another: the next solve goes on as that of
// the saved solver would have, bit for bit. There is no plan before it. After an error nothing has changed.
//
// buf: len bytes.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_FORMAT (no saved state, of another solver or version,
// damaged), RKN_ERR_MEMORY.
rkn_status rkn_sinkhorn_load(rkn_sinkhorn *s,
                             const void *buf,
                             int64_t len);

/* ---- Exact transport in one dimension -------------------------------------------------------- */

// The exact cost of transport on a line: the least sum of P_ij |x_i - y_j|^p over plans P between the masses a and b. It is the
// p-th power of the Wasserstein distance; the root is not taken. n + m numbers are sorted; nothing of size n m is formed.
//
// n, x: points, in any order, finite. a: their masses, not negative; NULL: equal ones. m, y, b: the same of the other side. a
// and b have one sum to 1e-8 of it; b is brought to that of a. Equal masses have the sum of the other side, or 1 if both are
// equal. p: at least 1.
// cost: written on success only.
// Errors: RKN_ERR_NULL, RKN_ERR_SIZE (n or m is 0), RKN_ERR_NONFINITE (also a cost that overflows), RKN_ERR_ARGUMENT (p below 1, a
// negative mass, unequal sums), RKN_ERR_MEMORY.
// Source: Santambrogio 2015, "Optimal transport for applied mathematicians", chapter 2.
rkn_status rkn_wasserstein_line(int64_t n,
                                const double *x,
                                const double *a,
                                int64_t m,
                                const double *y,
                                const double *b,
                                double p,
                                double *cost);

// The plan of rkn_wasserstein_line, which is the same for all p: points are matched in order.
//
// n, x, a, m, y, b: as there.
// rows, columns, masses: room for cap entries: the mass that goes from point rows[k] of x to point columns[k] of y, indices
// from 0, in the order of the line. There are n + m - 1 entries at most, each positive; points at one place take turns by index.
// need: gets the number of entries; may be NULL. cap = 0 asks for it alone, if need is given.
// Errors: as rkn_wasserstein_line; RKN_ERR_SIZE also if cap is too small.
rkn_status rkn_wasserstein_line_plan(int64_t n,
                                     const double *x,
                                     const double *a,
                                     int64_t m,
                                     const double *y,
                                     const double *b,
                                     int64_t *rows,
                                     int64_t *columns,
                                     double *masses,
                                     int64_t cap,
                                     int64_t *need);

// The derivatives of the cost of rkn_wasserstein_line.
//
// n, x, a, m, y, b, p: as there.
// cost: gets the cost. gradient_x, gradient_y: n and m numbers, derivatives with respect to the points, those of the cost of
// the plan that rkn_wasserstein_line_plan delivers. Where the cost has a kink, which is where points of one side with different
// ways coincide, or x_i = y_j and p = 1, this is one of its one-sided derivatives, and 0 for the pair x_i = y_j.
// f, g: n and m numbers, derivatives with respect to the masses: a solution of the dual problem, f_i + g_j <= |x_i - y_j|^p, with
// equality where the plan has mass, and sum a f + sum b g = cost. A constant may be moved from f to g; here both sums
// are equal. Where sums of masses of both sides coincide, the cost has a kink in the masses, and f, g lie in its middle.
// Any of the five may be NULL.
// Errors: as rkn_wasserstein_line.
// Source: the envelope theorem; Santambrogio 2015, chapters 2 and 7.
rkn_status rkn_wasserstein_line_gradient(int64_t n,
                                         const double *x,
                                         const double *a,
                                         int64_t m,
                                         const double *y,
                                         const double *b,
                                         double p,
                                         double *cost,
                                         double *gradient_x,
                                         double *gradient_y,
                                         double *f,
                                         double *g);

// The exact cost of transport on a circle, where |x_i - y_j| is the shorter way round; otherwise as rkn_wasserstein_line. The
// work is some log(n m) passes over the sorted points.
//
// period: the length of the circle, positive. x, y: places along it, in any turn.
// n, x, a, m, y, b, p, cost, errors: as rkn_wasserstein_line; RKN_ERR_ARGUMENT also for period.
// Source: Delon, Salomon, Sobolevski 2010, SIAM J. Appl. Math. 70 (arXiv 0902.3527).
rkn_status rkn_wasserstein_circle(double period,
                                  int64_t n,
                                  const double *x,
                                  const double *a,
                                  int64_t m,
                                  const double *y,
                                  const double *b,
                                  double p,
                                  double *cost);

// The plan of rkn_wasserstein_circle, in the order of the circle from the cut on. It depends on p.
//
// period, n, x, a, m, y, b, p: as there. rows, columns, masses, cap, need, errors: as rkn_wasserstein_line_plan.
rkn_status rkn_wasserstein_circle_plan(double period,
                                       int64_t n,
                                       const double *x,
                                       const double *a,
                                       int64_t m,
                                       const double *y,
                                       const double *b,
                                       double p,
                                       int64_t *rows,
                                       int64_t *columns,
                                       double *masses,
                                       int64_t cap,
                                       int64_t *need);

// The derivatives of the cost of rkn_wasserstein_circle.
//
// period, n, x, a, m, y, b, p: as there. cost, gradient_x, gradient_y, f, g, errors: as rkn_wasserstein_line_gradient; there is a
// kink also where a pair is half a turn apart, and one of its derivatives is delivered.
rkn_status rkn_wasserstein_circle_gradient(double period,
                                           int64_t n,
                                           const double *x,
                                           const double *a,
                                           int64_t m,
                                           const double *y,
                                           const double *b,
                                           double p,
                                           double *cost,
                                           double *gradient_x,
                                           double *gradient_y,
                                           double *f,
                                           double *g);

// The sliced cost between clouds of points: the mean, over random directions, of the exact cost on a line of their projections
// (rkn_wasserstein_line; no root is taken).
//
// ctx: its threads share the directions; the result does not depend on them.
// d: coordinates of a point. n, X, ldx: d x n, column-major with leading dimension ldx >= d, a column a point; a: masses. m, Y,
// ldy, b: the same of the others. All finite; a, b and p as in rkn_wasserstein_line.
// projections: how many directions, at least 1; uniform on the sphere. seed: which ones, added to the seed of the context:
// the same for the same seed, and the first of more are those of fewer. For another sample in each step count it up.
// cost: gets the mean; its standard error falls as 1 / sqrt(projections).
// gradient_X: gets the derivative of that mean with respect to X, d x n with leading dimension ldgx >= d; NULL if not wanted.
// Must not overlap X and Y. For the derivative with respect to Y exchange the two sides.
// Errors: as rkn_wasserstein_line, and RKN_ERR_HANDLE; RKN_ERR_SIZE for d, projections and leading dimensions.
// Source: Bonneel, Rabin, Peyre, Pfister 2015, J. Math. Imaging Vision 51.
rkn_status rkn_wasserstein_sliced(const rkn_context *ctx,
                                  int64_t d,
                                  int64_t n,
                                  const double *X,
                                  int64_t ldx,
                                  const double *a,
                                  int64_t m,
                                  const double *Y,
                                  int64_t ldy,
                                  const double *b,
                                  double p,
                                  int64_t projections,
                                  int64_t seed,
                                  double *cost,
                                  double *gradient_X,
                                  int64_t ldgx);

/* ---- Derivatives of transport ---------------------------------------------------------------- */

// The derivative of the value of the last solve ("primal", "dual") with respect to points: sum_j P_ij dc(x_i, y_j)/dx_i,
// and the same for y. One pass. The value's other derivatives are at hand: with respect to C it is P, to a and b it is f
// and g, up to a constant that moves from one to the other.
//
// Where the distance has no derivative (equal points, a coordinate in common at p = 1, half a period apart) zero or that of
// one side is taken.
// dX, lddx: d x n, column-major with leading dimension lddx >= d, as x of rkn_geometry_create_points; NULL if not wanted.
// dY, lddy: the same for y.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (dX and dY overlap), RKN_ERR_STATE
// (nothing has been solved yet, or the geometry has no points), RKN_ERR_MEMORY.
// Source: Feydy et al. 2019 (arXiv 1810.08278), section 3.
rkn_status rkn_sinkhorn_gradient_points(const rkn_sinkhorn *s,
                                        double *dX,
                                        int64_t lddx,
                                        double *dY,
                                        int64_t lddy);

// Derivatives of a function of the potentials of the last solve, from its derivatives with respect to them (cotangents): a
// vector-Jacobian product, by one linear system. Any of da, db, dC, dX, dY may be NULL.
//
// wf, wg: n and m cotangents of f and g. Potentials are defined up to a constant, so a function of them must not change
// with it: sum wf = sum wg to 1e-8 of the sum of their magnitudes. What stands at points without mass does not count.
// da, db: n and m numbers, along changes that keep sum a = sum b. Only with these they have a meaning: a constant may be
// added to da and taken from db. It is chosen such that sum a da = sum b db. At a point without mass they are those of a first
// grain of mass there, 0 if it may go nowhere.
// order, dC, lddc: n x m, row-major with leading dimension lddc >= m or column-major with lddc >= n; order counts only with dC.
// dX, lddx, dY, lddy: as in rkn_sinkhorn_gradient_points; with respect to x and y of a geometry of points.
//
// The system is solved to "derivative_tolerance"; "derivative_products" and "derivative_residual" tell how that went. What
// it taught is kept until the next solve and makes further calls cheaper. Results are those at the potentials and
// marginals at hand: solve to a tolerance that fits. The plan is not formed; where few of its entries count they are listed.
// Returns RKN_OK, or RKN_STOP_STAGNATION (the plan nearly falls apart into blocks: no derivative to that accuracy) or
// RKN_STOP_INTERRUPT with the best found.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (unequal sums, an output overlaps),
// RKN_ERR_NONFINITE, RKN_ERR_STATE (nothing has been solved yet, or no points), RKN_ERR_CALLBACK (of a row; dC may then be
// unfinished), RKN_ERR_MEMORY.
// Source: implicit differentiation, Eisenberger et al. 2022 (arXiv 2205.06688); the kept solutions, Saad et al. 2000.
rkn_status rkn_sinkhorn_vjp_potentials(rkn_sinkhorn *s,
                                       const double *wf,
                                       const double *wg,
                                       double *da,
                                       double *db,
                                       rkn_order order,
                                       double *dC,
                                       int64_t lddc,
                                       double *dX,
                                       int64_t lddx,
                                       double *dY,
                                       int64_t lddy);

// Derivatives of a function of the plan P of the last solve, from its derivatives W with respect to the entries of P; otherwise as
// rkn_sinkhorn_vjp_potentials.
//
// order: of W and dC. W, ldw: n x m, row-major with leading dimension ldw >= m or column-major with ldw >= n; all finite.
rkn_status rkn_sinkhorn_vjp_plan(rkn_sinkhorn *s,
                                 rkn_order order,
                                 const double *W,
                                 int64_t ldw,
                                 double *da,
                                 double *db,
                                 double *dC,
                                 int64_t lddc,
                                 double *dX,
                                 int64_t lddx,
                                 double *dY,
                                 int64_t lddy);

/* ---- Doubly stochastic membership and coding rates ------------------------------------------- */

// Projects onto the doubly stochastic matrices: G = argmin -<K, G> + eta sum G log G over G >= 0, G 1 = G^T 1 = 1. It is
// G_ij = exp((u_i + v_j + K_ij) / eta).
//
// Whether K is symmetric, bit for bit, is found by looking. If it is, one potential is looked for, u = v, and G is
// symmetric bit for bit; else it is a solve by "auto" with cost -K, and rows of G have their sums to rounding. Column-major
// arrays do as well: that is K^T, with G^T, v and u.
// ctx: threads, log, interrupt. n: rows and columns. K, ldk: row-major, ldk >= n; finite.
// eta: positive, in units of K, at least 1e-100 of its largest entry. tolerance: what the L1 errors of rows and columns,
// divided by n, must come down to together; 1e-9, say. G, ldg: gets G, row-major; also room for work. u, v: n numbers each;
// NULL if not wanted.
// start: 0, from nothing; 1, from what u and v hold, such as the potentials of a similar K.
// The result is the same for any number of threads.
// Returns RKN_OK; RKN_STOP_STAGNATION, _ITERATIONS or _INTERRUPT with the best found.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE (also n is 0), RKN_ERR_ARGUMENT (eta, tolerance or start; overlapping arrays),
// RKN_ERR_NONFINITE, RKN_ERR_MEMORY (G may then have been used).
// Source: Ding et al. 2023 (arXiv 2301.01805); the symmetric iteration, Feydy et al. 2019 (arXiv 1810.08278).
rkn_status rkn_ds_project(const rkn_context *ctx,
                          int64_t n,
                          const double *K,
                          int64_t ldk,
                          double eta,
                          double tolerance,
                          double *G,
                          int64_t ldg,
                          double *u,
                          double *v,
                          int32_t start);

// The derivative of a function of G = rkn_ds_project(K) with respect to K, from its derivatives W with respect to the entries
// of G: dK = G . (W - alpha 1^T - 1 beta^T) / eta, where [D G; G^T D'] (alpha; beta) = ((G . W) 1; (G . W)^T 1) and D, D' have
// the sums of the rows and columns of G, by one linear system to 1e-12. As exact as G is; no iteration is differentiated.
//
// Constants in rows or columns of W change nothing. Column-major arrays do as well, all three of them.
// n, eta: as for G. G, ldg, W, ldw: row-major, finite, G not negative and without a row or column of zeros. dK, lddk: gets the
// derivative.
// Returns RKN_OK; RKN_STOP_STAGNATION (G nearly falls apart into blocks) or RKN_STOP_INTERRUPT with the best found.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
// Source: as rkn_sinkhorn_vjp_potentials.
rkn_status rkn_ds_project_vjp(const rkn_context *ctx,
                              int64_t n,
                              double eta,
                              const double *G,
                              int64_t ldg,
                              const double *W,
                              int64_t ldw,
                              double *dK,
                              int64_t lddk);

// The coding rate of features, logdet(I + alpha Z Z^T), and its gradient 2 alpha (I + alpha Z Z^T)^-1 Z. There is no factor
// 1/2: who wants it multiplies by it.
//
// With alpha = d / (n eps^2) it is twice the rate R(Z, eps) of MCR^2. The smaller of d and n is the order of what is factored.
// d, n, Z, ldz: d x n, column-major with leading dimension ldz >= d, a column a sample; finite. alpha: not negative.
// rate: gets the value; NULL if not wanted. dZ, lddz: d x n, gets the gradient; NULL if not wanted.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE (also d or n is 0), RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE (also an overflow),
// RKN_ERR_MEMORY.
// Source: Yu et al. 2020 (arXiv 2006.08558).
rkn_status rkn_coding_rate(const rkn_context *ctx,
                           int64_t d,
                           int64_t n,
                           const double *Z,
                           int64_t ldz,
                           double alpha,
                           double *rate,
                           double *dZ,
                           int64_t lddz);

// The coding rate of features by clusters, sum_j (N_j / n) logdet(I + d / (N_j eps2) Z diag(Pi_j) Z^T) with N_j = sum_i Pi_ij, and
// its gradients. There is no factor 1/2, and nothing is added to N_j: an empty cluster has the rate 0, and at its entries dPi is
// log(1 + d / eps2 |z_i|^2) / n, as for a first grain of that sample alone.
//
// Only samples with Pi_ij > 0 cost something in cluster j. For Pi = G of rkn_ds_project (k = n) the usual formula has N_j = 1
// fixed. Its derivative differs by a constant in each column, which rkn_ds_project_vjp does not see.
// ctx: threads. d, n, Z, ldz: as in rkn_coding_rate. k: clusters. Pi, ldpi: n x k, column-major with leading dimension
// ldpi >= n; finite, not negative. eps2: eps^2, positive.
// rate: gets the value; dZ, lddz: d x n; dPi, lddpi: n x k. Any of the three may be NULL. The same for any number of threads.
// Errors: as rkn_coding_rate.
// Source: Yu et al. 2020 (arXiv 2006.08558); Ding et al. 2023 (arXiv 2301.01805), eq. 4.
rkn_status rkn_coding_rate_clustered(const rkn_context *ctx,
                                     int64_t d,
                                     int64_t n,
                                     int64_t k,
                                     const double *Z,
                                     int64_t ldz,
                                     const double *Pi,
                                     int64_t ldpi,
                                     double eps2,
                                     double *rate,
                                     double *dZ,
                                     int64_t lddz,
                                     double *dPi,
                                     int64_t lddpi);

/* ---- Barycentres ----------------------------------------------------------------------------- */

// The masses between others: p on the rows of G that makes sum_l w_l OT(p, b_l) least, OT being <C, P> +
// epsilon sum P (log P - 1) of the best plan between its two. With the option "barycenter=debiased" half OT(p, p) is taken off,
// which takes the blur out of p again; C must then be symmetric.
//
// G: the cost, n x m; p lives on its rows, inputs on its columns. A column-major matrix that is not symmetric is copied.
// k: inputs, at least one. B: m x k, a column an input, with leading dimension ldb >= m: masses that are not negative, of one
// sum to 1e-8 of it. weights: k numbers, not negative, divided by their sum; NULL for equal ones. Inputs of weight 0
// take no part. p: gets n masses of the inputs' sum.
// The solver's options rule: epsilon, tolerance (for the L1 error of the worst input's columns, and of the plan from p to
// itself if debiased), limits, monitor, relaxation where the method has it. Iterations are Bregman projections whatever the
// method; with "auto" a cold one walks epsilon down. A solver starts where its last barycentre of these sizes ended, unless start
// is "zero". Potentials and the plan of its last solve stay; results are those of this call, without "cost" (NaN).
// Returns RKN_OK, or RKN_STOP_ITERATIONS, _TIME, _MONITOR, _INTERRUPT with the best p; RKN_STOP_INFEASIBLE where an
// input's mass has no allowed way, p is then left alone.
// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (a negative mass or weight, unequal
// masses, a cost that is not symmetric), RKN_ERR_NONFINITE, RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
// Sources: Benamou et al. 2015 (arXiv 1412.5154, section 3.2); debiased, Janati et al. 2020 (arXiv 2006.02575).
rkn_status rkn_sinkhorn_barycenter(rkn_sinkhorn *s,
                                   const rkn_geometry *G,
                                   int64_t k,
                                   const double *B,
                                   int64_t ldb,
                                   const double *weights,
                                   double *p);

// Points between clouds of points: moves X so that sum_l w_l OT(X, cloud l) becomes least, the masses of X as they are and the
// cost the squared distance. A local minimum: it depends on where X begins.
//
// d: coordinates of a point. n, X, ldx: d x n, column-major with leading dimension ldx >= d, a column a point; in and out.
// a: n masses of X, not negative; NULL for equal ones.
// k: clouds, at least one. cloudptr: k + 1 offsets from 0, as of compressed rows: cloud l has the columns cloudptr[l] to
// cloudptr[l + 1] - 1 of Y, at least one. Y, ldy: d x cloudptr[k], ldy >= d. b: cloudptr[k] masses, each cloud's
// of one sum to 1e-8 of it, which is that of a; NULL for equal ones in each cloud.
// weights: k numbers, not negative, divided by their sum; NULL for equal ones.
// Each step solves k problems by the solver's method and options, from where the step before ended, and takes each point to the
// weighted mean of where its mass goes. It ends when no point moved further than the option "movement" times the
// extent of the clouds, or after "max_steps". epsilon_relative is of the costs at the start. The monitor is called in
// all solves. Results: "iterations" counts steps, "passes" is of all solves, "cost", "primal" and "dual" are
// weighted sums and "marginal_error" the largest of the last step. Potentials and the plan of the solver's last solve stay.
// Returns RKN_OK, RKN_STOP_STAGNATION (a problem of the last step missed the tolerance), or RKN_STOP_ITERATIONS, _TIME,
// _MONITOR, _INTERRUPT with X after the last whole step.
// Errors: as rkn_sinkhorn_barycenter, and RKN_ERR_INDEX (cloudptr), RKN_ERR_STATE (options that do not go together). X is then
// left alone.
// Source: Cuturi and Doucet 2014 (arXiv 1310.4375, algorithm 2).
rkn_status rkn_sinkhorn_barycenter_points(rkn_sinkhorn *s,
                                          int64_t d,
                                          int64_t n,
                                          double *X,
                                          int64_t ldx,
                                          const double *a,
                                          int64_t k,
                                          const int64_t *cloudptr,
                                          const double *Y,
                                          int64_t ldy,
                                          const double *b,
                                          const double *weights);

/* ---- Several transport problems at once ------------------------------------------------------ */

// Finds the plans of k pairs of masses at one cost.
//
// G: the cost, n x m. k: pairs, may be 0. A, lda: n x k, lda >= n. B, ldb: m x k, ldb >= m. Column l of each is a pair, as a
// and b in rkn_sinkhorn_solve; masses of different pairs may differ.
// fs, ldf, gs, ldg: room for the potentials f and g, n x k and m x k; either may be NULL. costs: gets k numbers <C, P>; may be
// NULL. statuses: gets how each pair ended, as rkn_sinkhorn_solve would say; may be NULL. Nothing is written for a pair that failed
// or is infeasible, and the others do not suffer from it. Outputs overlap nothing.
// Each pair is solved to the tolerance as by rkn_sinkhorn_solve, with the same result; pairs are dealt out to the context's
// threads, and the result does not depend on how many there are. Method "sinkhorn" asks for each row of the
// cost once for up to 8 pairs. With a monitor, and where the cost is a callback, pairs come one after another.
// Pairs start afresh; from the solver's last potentials if the option start is "previous" or "extrapolated". Those, and its
// plan, stay. max_passes is for each pair, time_limit for all. Results ("passes", "cost", ...) are sums over pairs, and the
// largest "marginal_error".
// Returns RKN_OK if all pairs converged, else the status of the first that did not, which rkn_last_error explains.
// Errors of the call as a whole, with nothing written: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE,
// RKN_ERR_ARGUMENT (overlap), RKN_ERR_MEMORY. Of a pair: those of rkn_sinkhorn_solve.
rkn_status rkn_sinkhorn_solve_batch(rkn_sinkhorn *s,
                                    const rkn_geometry *G,
                                    int64_t k,
                                    const double *A,
                                    int64_t lda,
                                    const double *B,
                                    int64_t ldb,
                                    double *fs,
                                    int64_t ldf,
                                    double *gs,
                                    int64_t ldg,
                                    double *costs,
                                    int32_t *statuses);

// Finds the plans of k problems with geometries of their own, many small ones at once.
//
// k: problems, may be 0. G: k geometries; one may be there several times. a, b: k arrays of masses each, as in
// rkn_sinkhorn_solve. fs, gs: k arrays each with room for the potentials; either may be NULL, and so may any of the arrays. costs,
// statuses: k numbers each, may be NULL.
// Everything else is as in rkn_sinkhorn_solve_batch.
rkn_status rkn_sinkhorn_solve_many(rkn_sinkhorn *s,
                                   int64_t k,
                                   const rkn_geometry *const *G,
                                   const double *const *a,
                                   const double *const *b,
                                   double *const *fs,
                                   double *const *gs,
                                   double *costs,
                                   int32_t *statuses);

#ifdef __cplusplus
}
#endif

#endif /* REKNIT_H */
