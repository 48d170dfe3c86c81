/// What a function returns: 0 done; positive: stopped short of the tolerance, the best point is
/// delivered; negative: refused or failed, rkn_last_error() says why.
pub type rkn_status = i32;
pub const RKN_OK: i32 = 0;
pub const RKN_STOP_ITERATIONS: i32 = 1;
pub const RKN_STOP_TIME: i32 = 2;
pub const RKN_STOP_STAGNATION: i32 = 3;
pub const RKN_STOP_MONITOR: i32 = 4;
pub const RKN_STOP_INTERRUPT: i32 = 5;
pub const RKN_STOP_BREAKDOWN: i32 = 6;
pub const RKN_STOP_INFEASIBLE: i32 = 7;
pub const RKN_STOP_PRECISION: i32 = 8;
pub const RKN_ERR_NULL: i32 = -1;
pub const RKN_ERR_ARGUMENT: i32 = -2;
pub const RKN_ERR_SIZE: i32 = -3;
pub const RKN_ERR_SCALAR: i32 = -4;
pub const RKN_ERR_INDEX: i32 = -5;
pub const RKN_ERR_NONFINITE: i32 = -6;
pub const RKN_ERR_KEY: i32 = -7;
pub const RKN_ERR_HANDLE: i32 = -8;
pub const RKN_ERR_BUSY: i32 = -9;
pub const RKN_ERR_STATE: i32 = -10;
pub const RKN_ERR_SINGULAR: i32 = -20;
pub const RKN_ERR_INDEFINITE: i32 = -21;
pub const RKN_ERR_UNSUPPORTED: i32 = -22;
pub const RKN_ERR_CALLBACK: i32 = -30;
pub const RKN_ERR_MEMORY: i32 = -31;
pub const RKN_ERR_FILE: i32 = -32;
pub const RKN_ERR_FORMAT: i32 = -33;
pub const RKN_ERR_THREADS: i32 = -34;
pub const RKN_ERR_INTERNAL: i32 = -99;

/// Kind of the entries of a vector or matrix: float, double, or their complex twins (two reals
/// side by side: float _Complex, std::complex, COMPLEX).
pub type rkn_scalar = i32;
pub const RKN_F32: i32 = 0;
pub const RKN_F64: i32 = 1;
pub const RKN_C32: i32 = 2;
pub const RKN_C64: i32 = 3;

/// Kind of index arrays: int32_t or int64_t. All index arrays of one call have the same kind.
pub type rkn_index = i32;
pub const RKN_I32: i32 = 0;
pub const RKN_I64: i32 = 1;

/// Whether arrays are copied, or borrowed: a borrowed array must outlive the operator and
/// everything made from it, and is read anew at each use.
pub type rkn_memory = i32;
pub const RKN_COPY: i32 = 0;
pub const RKN_BORROW: i32 = 1;

/// op(A) = A, A^T or A^H.
pub type rkn_trans = i32;
pub const RKN_N: i32 = 0;
pub const RKN_T: i32 = 1;
pub const RKN_H: i32 = 2;

/// Storage order of dense matrices and blocks.
pub type rkn_order = i32;
pub const RKN_COLUMN_MAJOR: i32 = 0;
pub const RKN_ROW_MAJOR: i32 = 1;

/// Which triangle of a symmetric matrix is stored.
pub type rkn_triangle = i32;
pub const RKN_LOWER: i32 = 0;
pub const RKN_UPPER: i32 = 1;

/// Left or right: of a nullspace, A^H L = 0 or A R = 0.
pub type rkn_side = i32;
pub const RKN_LEFT: i32 = 0;
pub const RKN_RIGHT: i32 = 1;

/// How a reduction hook combines the numbers of all ranks.
pub type rkn_reduction = i32;
pub const RKN_SUM: i32 = 0;
pub const RKN_MAX: i32 = 1;

/// What rkn_krylov_next wants of the host: nothing more, a product with an operator, the sum or maximum of
/// numbers over all ranks. Operators by request may have kinds of their own, from RKN_REQUEST_USER on.
pub type rkn_request_kind = i32;
pub const RKN_REQUEST_DONE: i32 = 0;
pub const RKN_REQUEST_APPLY: i32 = 1;
pub const RKN_REQUEST_PRECONDITION: i32 = 2;
pub const RKN_REQUEST_REDUCE: i32 = 3;
pub const RKN_REQUEST_USER: i32 = 100;

/// What a solver does, as rkn_event_fn is told: a whole solve, and within it its set-ups, products with A, uses of M,
/// inner products of this rank's entries, sums over ranks. What is left is updates of vectors.
pub type rkn_event = i32;
pub const RKN_EVENT_SOLVE: i32 = 0;
pub const RKN_EVENT_SETUP: i32 = 1;
pub const RKN_EVENT_APPLY: i32 = 2;
pub const RKN_EVENT_PRECONDITION: i32 = 3;
pub const RKN_EVENT_INNER: i32 = 4;
pub const RKN_EVENT_REDUCE: i32 = 5;
