use super::any::{by_scalar, with_operator, AnyOperator, Erase};
use super::args;
use super::callback::{required, rkn_apply_fn, rkn_refresh_fn, rkn_release_fn, HostApply, HostRefresh, User};
use super::context::{context_or_default, rkn_context};
use super::guard::{guard, guard_void};
use super::handle::{self, Busy, Entered, Handle, Kind};
use super::reverse::RequestApply;
use super::status::*;
use crate::linalg::{Panel, PanelMut};
use crate::operator::bsr::Bsr;
use crate::operator::callback::Callback;
use crate::operator::check::{self, Index};
use crate::operator::compose::{Adjoint, Block, Product, Scaled, Shifted, Sum};
use crate::operator::dense::Dense;
use crate::operator::diagonal::{Diagonal, Identity};
use crate::operator::options::OPERATOR;
use crate::operator::sparse::{Compressed, Parts};
use crate::operator::symmetric::Symmetric;
use crate::operator::{assemble, matrix_market, precond, Body, Operator, Order, Side, Trans, Triangle};
use crate::runtime::options::{Options, Value};
use crate::runtime::{Error, Result, Scalar};
use std::cell::Cell;
use std::ffi::{c_char, c_void};

/// A linear map from `ncols` to `nrows` entries of one scalar. A preconditioner is an operator that
/// approximates an inverse.
pub struct rkn_operator {
    busy: Busy,
    operator: AnyOperator,
}

impl Handle for rkn_operator {
    const KIND: Kind = Kind::Operator;
    fn busy(&self) -> &Busy {
        &self.busy
    }
}

impl rkn_operator {
    pub fn any(&self) -> &AnyOperator {
        &self.operator
    }
}

/// Hands a finished operator to C.
fn publish<T: Erase>(out: &mut *mut rkn_operator, operator: Operator<T>) {
    *out = handle::publish(rkn_operator { busy: Busy::default(), operator: T::erase(operator) });
}

fn create<T: Erase>(ctx: *const rkn_context, out: &mut *mut rkn_operator, body: impl Body<T> + 'static) -> Result<()> {
    publish(out, Operator::new(context_or_default(ctx)?, Box::new(body)));
    Ok(())
}

/// Runs `$body` with `$I` bound to the index type of a tag.
macro_rules! by_index {
    ($index:expr, $I:ident => $body:expr) => {
        match args::choice($index, "index", "RKN_I32, RKN_I64", &[0, 1])? {
            0 => {
                type $I = i32;
                $body
            }
            _ => {
                type $I = i64;
                $body
            }
        }
    };
}
pub(super) use by_index;

pub(super) fn base_of(base: i32) -> Result<usize> {
    args::choice(base, "base", "0, 1", &[0, 1])
}

pub(super) fn copies(memory: rkn_memory) -> Result<bool> {
    args::choice(memory, "memory", "RKN_COPY, RKN_BORROW", &[true, false])
}

/// Dimensions that 64-bit index arithmetic and the address space can hold.
pub(super) fn dimension(value: i64, name: &'static str) -> Result<usize> {
    let n = args::length(value, name)?;
    if n > (isize::MAX as usize) / 16 - 1 {
        return Err(Error::size(name, n, "fit the address space"));
    }
    Ok(n)
}

/// The three arrays of a compressed matrix: pointers are checked before their last value is used
/// as a length.
#[allow(clippy::too_many_arguments)]
fn compressed_parts<T: Scalar, I: Index>(
    (nrows, ncols): (usize, usize),
    lines: usize,
    base: i32,
    (ptr, ptr_name): (*const c_void, &'static str),
    (ind, ind_name): (*const c_void, &'static str),
    values: *const c_void,
    per_entry: usize,
    memory: rkn_memory,
) -> Result<Parts<T, I>> {
    let (base, copy) = (base_of(base)?, copies(memory)?);
    args::not_null(ptr, ptr_name)?;
    let entries = check::pointers::<I>(ptr_name, args::slice(ptr, lines + 1, ptr_name)?, base)?;
    let numbers = entries.checked_mul(per_entry).ok_or_else(|| Error::size("values", entries, "fit the address space"))?;
    Ok(Parts {
        nrows,
        ncols,
        base,
        ptr: args::array(ptr, lines + 1, ptr_name, copy)?,
        ind: args::array(ind, entries, ind_name, copy)?,
        values: args::array(values, numbers, "values", copy)?,
        copied: copy,
    })
}

/// A sparse matrix in compressed rows (CSR).
///
/// nrows, ncols: its shape; either may be 0.
/// index, base: kind of rowptr and colind, and whether they count from 0 or 1.
/// rowptr: nrows + 1 positions, the first is `base`, none below its predecessor.
/// colind: rowptr[nrows] - base column indices in base..ncols-1+base, in any order within a row;
/// repeated ones add up.
/// values: as many scalars, all finite.
/// memory: RKN_COPY, or RKN_BORROW: then the three arrays must outlive the operator and all that is
/// made from it; after rewriting values call rkn_operator_changed.
/// out: gets the handle, to be freed by rkn_operator_destroy.
/// Errors: RKN_ERR_NULL, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (a tag that is none), RKN_ERR_INDEX (names position, value and range),
/// RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_csr(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nrows: i64,
    ncols: i64,
    index: rkn_index,
    base: i32,
    rowptr: *const c_void,
    colind: *const c_void,
    values: *const c_void,
    memory: rkn_memory,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_csr", || {
        let out = args::out_handle(out)?;
        let shape = (dimension(nrows, "nrows")?, dimension(ncols, "ncols")?);
        by_scalar!(args::kind(scalar)?, T => by_index!(index, I => {
            let parts = compressed_parts::<T, I>(shape, shape.0, base, (rowptr, "rowptr"), (colind, "colind"), values, 1, memory)?;
            create(ctx, out, Compressed::csr(parts)?)
        }))
    })
}

/// A sparse matrix in compressed columns (CSC): as rkn_operator_create_csr with rows and columns in
/// each other's place.
///
/// colptr: ncols + 1 positions. rowind: colptr[ncols] - base row indices in base..nrows-1+base.
/// values, memory, out, errors: as in rkn_operator_create_csr. A x is then a scattering product on
/// one thread, A^T x the fast one.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_csc(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nrows: i64,
    ncols: i64,
    index: rkn_index,
    base: i32,
    colptr: *const c_void,
    rowind: *const c_void,
    values: *const c_void,
    memory: rkn_memory,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_csc", || {
        let out = args::out_handle(out)?;
        let shape = (dimension(nrows, "nrows")?, dimension(ncols, "ncols")?);
        by_scalar!(args::kind(scalar)?, T => by_index!(index, I => {
            let parts = compressed_parts::<T, I>(shape, shape.1, base, (colptr, "colptr"), (rowind, "rowind"), values, 1, memory)?;
            create(ctx, out, Compressed::csc(parts)?)
        }))
    })
}

/// A sparse matrix of dense square blocks in compressed block rows (BSR).
///
/// nblockrows, nblockcols: its shape in blocks. block: rows and columns of a block, at least 1.
/// order: RKN_COLUMN_MAJOR or RKN_ROW_MAJOR, within a block.
/// rowptr: nblockrows + 1 positions. colind: block column indices.
/// values: block * block scalars a block, the blocks in the order of colind.
/// memory, out, errors: as in rkn_operator_create_csr.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_bsr(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nblockrows: i64,
    nblockcols: i64,
    block: i64,
    order: rkn_order,
    index: rkn_index,
    base: i32,
    rowptr: *const c_void,
    colind: *const c_void,
    values: *const c_void,
    memory: rkn_memory,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_bsr", || {
        let out = args::out_handle(out)?;
        let shape = (dimension(nblockrows, "nblockrows")?, dimension(nblockcols, "nblockcols")?);
        let block = dimension(block, "block")?;
        if block == 0 || shape.0.max(shape.1).checked_mul(block).is_none_or(|n| n > isize::MAX as usize / 16) {
            return Err(Error::size("block", block, "be at least 1 and give a matrix that fits the address space"));
        }
        let square = block.checked_mul(block).ok_or_else(|| Error::size("block", block, "fit the address space"))?;
        let order = order_of(order)?;
        by_scalar!(args::kind(scalar)?, T => by_index!(index, I => {
            let parts = compressed_parts::<T, I>(shape, shape.0, base, (rowptr, "rowptr"), (colind, "colind"), values, square, memory)?;
            create(ctx, out, Bsr::new(parts, block, order)?)
        }))
    })
}

pub(super) fn order_of(order: rkn_order) -> Result<Order> {
    args::choice(order, "order", "RKN_COLUMN_MAJOR, RKN_ROW_MAJOR", &[Order::ColumnMajor, Order::RowMajor])
}

/// A symmetric or Hermitian sparse matrix of which one triangle is stored, in compressed rows,
/// diagonal included.
///
/// n: rows and columns. triangle: RKN_LOWER or RKN_UPPER; an entry of the other is RKN_ERR_INDEX.
/// hermitian: 0 for A = A^T, 1 for A = A^H (its diagonal counts as real).
/// index, base, rowptr, colind, values, memory, out, errors: as in rkn_operator_create_csr.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_csr_symmetric(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    n: i64,
    triangle: rkn_triangle,
    hermitian: i32,
    index: rkn_index,
    base: i32,
    rowptr: *const c_void,
    colind: *const c_void,
    values: *const c_void,
    memory: rkn_memory,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_csr_symmetric", || {
        let out = args::out_handle(out)?;
        let n = dimension(n, "n")?;
        let triangle = args::choice(triangle, "triangle", "RKN_LOWER, RKN_UPPER", &[Triangle::Lower, Triangle::Upper])?;
        let hermitian = args::choice(hermitian, "hermitian", "0, 1", &[false, true])?;
        by_scalar!(args::kind(scalar)?, T => by_index!(index, I => {
            let parts = compressed_parts::<T, I>((n, n), n, base, (rowptr, "rowptr"), (colind, "colind"), values, 1, memory)?;
            create(ctx, out, Symmetric::new(parts, triangle, hermitian)?)
        }))
    })
}

/// A sparse matrix assembled from (row, column, value) triplets; copied into compressed rows,
/// repeated positions add up in the order given.
///
/// nnz: triplets. rowind, colind: nnz indices each, of kind `index` from `base`. values: nnz
/// scalars, all finite.
/// out, errors: as in rkn_operator_create_csr. rkn_operator_set_values then takes the numbers of
/// the assembled rows, columns ascending.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_coo(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nrows: i64,
    ncols: i64,
    index: rkn_index,
    base: i32,
    nnz: i64,
    rowind: *const c_void,
    colind: *const c_void,
    values: *const c_void,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_coo", || {
        let out = args::out_handle(out)?;
        let (nrows, ncols, nnz) = (dimension(nrows, "nrows")?, dimension(ncols, "ncols")?, dimension(nnz, "nnz")?);
        let base = base_of(base)?;
        by_scalar!(args::kind(scalar)?, T => by_index!(index, I => {
            let (rows, cols) = (args::slice::<I>(rowind, nnz, "rowind")?, args::slice::<I>(colind, nnz, "colind")?);
            create(ctx, out, assemble::coo::<T, I>(nrows, ncols, base, rows, cols, args::slice(values, nnz, "values")?)?)
        }))
    })
}

/// A dense matrix.
///
/// nrows, ncols: its shape. order: RKN_COLUMN_MAJOR or RKN_ROW_MAJOR.
/// values: entry (i, j) at i + j * ld, or at i * ld + j for row-major; all finite.
/// ld: leading dimension, at least nrows (ncols for row-major).
/// memory, out, errors: as in rkn_operator_create_csr.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_dense(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nrows: i64,
    ncols: i64,
    order: rkn_order,
    values: *const c_void,
    ld: i64,
    memory: rkn_memory,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_dense", || {
        let out = args::out_handle(out)?;
        let (nrows, ncols, ld) = (dimension(nrows, "nrows")?, dimension(ncols, "ncols")?, args::length(ld, "ld")?);
        let (order, copy) = (order_of(order)?, copies(memory)?);
        let (length, lines) = if order == Order::ColumnMajor { (nrows, ncols) } else { (ncols, nrows) };
        let count = args::panel_len(length, lines, ld, "ld")?;
        by_scalar!(args::kind(scalar)?, T => {
            create(ctx, out, Dense::<T>::new(nrows, ncols, order, args::array(values, count, "values", copy)?, ld, copy)?)
        })
    })
}

/// A diagonal matrix.
///
/// n: rows and columns. values: n scalars, all finite. memory, out, errors: as in
/// rkn_operator_create_csr.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_diagonal(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    n: i64,
    values: *const c_void,
    memory: rkn_memory,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_diagonal", || {
        let out = args::out_handle(out)?;
        let (n, copy) = (dimension(n, "n")?, copies(memory)?);
        by_scalar!(args::kind(scalar)?, T => create(ctx, out, Diagonal::<T>::new(args::array(values, n, "values", copy)?, copy)?))
    })
}

/// The identity of order n.
///
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_SIZE, RKN_ERR_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_identity(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    n: i64,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_identity", || {
        let out = args::out_handle(out)?;
        let n = dimension(n, "n")?;
        by_scalar!(args::kind(scalar)?, T => create::<T>(ctx, out, Identity::new(n)))
    })
}

/// A matrix from a Matrix Market file: coordinate or array; real, integer, complex or pattern
/// (ones); general, symmetric, Hermitian or skew-symmetric. Kept as compressed rows.
///
/// scalar: what the entries become; a complex file needs a complex scalar.
/// path: the file's name.
/// Errors: RKN_ERR_NULL, RKN_ERR_ARGUMENT, RKN_ERR_FILE (names the cause), RKN_ERR_FORMAT (names the line),
/// RKN_ERR_SCALAR, RKN_ERR_MEMORY.
/// Source: Boisvert, Pozo, Remington, The Matrix Market exchange formats, NISTIR 5935 (1996).
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_matrix_market(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    path: *const c_char,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_matrix_market", || {
        let out = args::out_handle(out)?;
        let path = args::text(path, "path")?;
        by_scalar!(args::kind(scalar)?, T => create::<T>(ctx, out, matrix_market::read::<T>(path)?))
    })
}

/// A matrix-free operator.
///
/// nrows, ncols: its (local) shape. apply: see rkn_apply_fn; called on the thread that uses the
/// operator. user: passed back to it.
/// release: called once with `user` when the operator is let go for good; may be NULL. After a
/// failure of this function it is not called.
/// Errors: RKN_ERR_NULL, RKN_ERR_SIZE, RKN_ERR_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_callback(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nrows: i64,
    ncols: i64,
    apply: rkn_apply_fn,
    user: *mut c_void,
    release: rkn_release_fn,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_callback", || {
        let out = args::out_handle(out)?;
        let (nrows, ncols) = (dimension(nrows, "nrows")?, dimension(ncols, "ncols")?);
        let function = required(apply, "apply")?;
        let kind = args::kind(scalar)?;
        let context = context_or_default(ctx)?;
        by_scalar!(kind, T => {
            let host = HostApply { function, user: User::new(user, release), status: Cell::new(0) };
            publish::<T>(out, Operator::new(context, Box::new(Callback::<T>::new(nrows, ncols, Box::new(host)))));
        });
        Ok(())
    })
}

/// An operator that the host applies when rkn_krylov_next asks for it, instead of in a callback. It may
/// be A, M, or a part of either; outside of a solve begun by rkn_krylov_start applying it is RKN_ERR_STATE.
/// What it multiplies with is announced by rkn_operator_changed when it changes, as for any other operator.
///
/// nrows, ncols: its (local) shape. kind: how the request names it: RKN_REQUEST_APPLY,
/// RKN_REQUEST_PRECONDITION, or a number of the host's own from RKN_REQUEST_USER on.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_request(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    nrows: i64,
    ncols: i64,
    kind: rkn_request_kind,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_request", || {
        let out = args::out_handle(out)?;
        let (nrows, ncols) = (dimension(nrows, "nrows")?, dimension(ncols, "ncols")?);
        if kind < RKN_REQUEST_USER && kind != RKN_REQUEST_APPLY && kind != RKN_REQUEST_PRECONDITION {
            return Err(Error::argument("kind", kind, "be RKN_REQUEST_APPLY, RKN_REQUEST_PRECONDITION or from RKN_REQUEST_USER on"));
        }
        by_scalar!(args::kind(scalar)?, T => create(ctx, out, Callback::<T>::new(nrows, ncols, Box::new(RequestApply::new(kind)))))
    })
}

/// Tells how an operator of the caller's that serves as preconditioner is brought up to date: what
/// rkn_operator_changed(M) then calls. A solver with the method "auto" calls it by itself, when the iterations
/// that the age of M costs exceed a refresh ("setup_cost"); then rkn_operator_changed(M) is not needed.
///
/// M: made by rkn_operator_create_callback. refresh: see rkn_refresh_fn; NULL takes it away. user: passed back to
/// it. release: called once with `user` when the callback is let go; may be NULL. After a failure of this
/// function it is not called.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (M is not of the caller's).
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_set_refresh(
    M: *mut rkn_operator,
    refresh: rkn_refresh_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_operator_set_refresh", || {
        let m = handle::exclusive(M, "M")?;
        with_operator!(&m.operator, m => {
            // Refused with nothing in hand: `release` must not be called then.
            m.set_refresh(None)?;
            m.set_refresh(refresh.map(|function| Box::new(HostRefresh { function, user: User::new(user, release) }) as Box<_>))
        })
    })
}

/// alpha A + beta B.
///
/// alpha, beta: one scalar each of the operators' kind.
/// A, B: of one shape and kind; kept by reference count, so they may be destroyed first, but
/// borrowed arrays must live on.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SCALAR, RKN_ERR_SIZE, RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_sum(
    ctx: *const rkn_context,
    alpha: *const c_void,
    A: *const rkn_operator,
    beta: *const c_void,
    B: *const rkn_operator,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_sum", || {
        let out = args::out_handle(out)?;
        let (a, b) = (handle::shared(A, "A")?, handle::shared(B, "B")?);
        by_scalar!(a.operator.kind(), T => {
            let (left, right) = (a.operator.of::<T>("A")?.clone(), b.operator.of::<T>("B")?.clone());
            create(ctx, out, Sum::new(args::scalar(alpha, "alpha")?, left, args::scalar(beta, "beta")?, right)?)
        })
    })
}

/// The product A B: first B, then A.
///
/// A, B: A has as many columns as B rows; kept as in rkn_operator_create_sum.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SCALAR, RKN_ERR_SIZE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_product(
    ctx: *const rkn_context,
    A: *const rkn_operator,
    B: *const rkn_operator,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_product", || {
        let out = args::out_handle(out)?;
        let (a, b) = (handle::shared(A, "A")?, handle::shared(B, "B")?);
        by_scalar!(a.operator.kind(), T => {
            create(ctx, out, Product::new(a.operator.of::<T>("A")?.clone(), b.operator.of::<T>("B")?.clone())?)
        })
    })
}

/// alpha A.
///
/// alpha: one scalar of A's kind. A: kept as in rkn_operator_create_sum.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_scaled(
    ctx: *const rkn_context,
    alpha: *const c_void,
    A: *const rkn_operator,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_scaled", || {
        let out = args::out_handle(out)?;
        let a = handle::shared(A, "A")?;
        by_scalar!(a.operator.kind(), T => {
            create(ctx, out, Scaled::new(args::scalar(alpha, "alpha")?, a.operator.of::<T>("A")?.clone())?)
        })
    })
}

/// A + sigma I for a square A.
///
/// sigma: one scalar of A's kind. A: kept as in rkn_operator_create_sum.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_shifted(
    ctx: *const rkn_context,
    A: *const rkn_operator,
    sigma: *const c_void,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_shifted", || {
        let out = args::out_handle(out)?;
        let a = handle::shared(A, "A")?;
        by_scalar!(a.operator.kind(), T => {
            create(ctx, out, Shifted::new(a.operator.of::<T>("A")?.clone(), args::scalar(sigma, "sigma")?)?)
        })
    })
}

/// A^T (RKN_T) or A^H (RKN_H) as an operator of its own.
///
/// A: kept as in rkn_operator_create_sum.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_adjoint(
    ctx: *const rkn_context,
    trans: rkn_trans,
    A: *const rkn_operator,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_adjoint", || {
        let out = args::out_handle(out)?;
        let trans = match trans {
            RKN_T => Trans::T,
            RKN_H => Trans::H,
            _ => return Err(Error::argument("trans", trans, "be one of RKN_T, RKN_H")),
        };
        let a = handle::shared(A, "A")?;
        by_scalar!(a.operator.kind(), T => create(ctx, out, Adjoint::new(a.operator.of::<T>("A")?.clone(), trans)?))
    })
}

/// A matrix of operators.
///
/// blocks: nblockrows * nblockcols handles, row by row; NULL is a zero block. Blocks of one block
/// row have equal rows, of one block column equal columns; each has at least one operator. Kept as
/// in rkn_operator_create_sum.
/// out: gets the handle. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_ARGUMENT (all blocks are NULL),
/// RKN_ERR_SCALAR, RKN_ERR_SIZE (names the block).
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_block(
    ctx: *const rkn_context,
    nblockrows: i64,
    nblockcols: i64,
    blocks: *const *const rkn_operator,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_block", || {
        let out = args::out_handle(out)?;
        let (rows, cols) = (dimension(nblockrows, "nblockrows")?, dimension(nblockcols, "nblockcols")?);
        let count = rows.checked_mul(cols).filter(|c| *c > 0);
        let count = count.ok_or_else(|| Error::size("blocks", format!("{rows} x {cols}"), "hold at least one block"))?;
        let pointers = args::slice::<*const rkn_operator>(blocks.cast(), count, "blocks")?;
        let entered: Vec<Option<Entered<rkn_operator>>> =
            pointers.iter().map(|p| handle::shared_or_null(*p, "blocks")).collect::<Result<_>>()?;
        let kind = entered.iter().flatten().map(|op| op.operator.kind()).next();
        let kind = kind.ok_or_else(|| Error::argument("blocks", "all NULL", "hold at least one operator"))?;
        by_scalar!(kind, T => {
            let parts = entered.iter().map(|op| op.as_ref().map(|op| op.operator.of::<T>("blocks").cloned()).transpose());
            create(ctx, out, Block::new(rows, cols, parts.collect::<Result<Vec<_>>>()?)?)
        })
    })
}

/// A preconditioner: an operator that approximates the inverse of A, made from A's entries.
///
/// A: square; kept as in rkn_operator_create_sum. New numbers in A reach the preconditioner only by
/// rkn_operator_changed(preconditioner): until then it lags behind, which is legal.
/// kind: its name, then options: "jacobi", "ssor omega=1.4", "ilu levels=2 shift=1e-3". The kinds are identity,
/// jacobi, block_jacobi, ssor, ilu, ilu0, ic, ic0, ilut, ict, chebyshev, amg, lu, llt and ldlt; their keys are in
/// rkn_option_reference("preconditioner", ...). "amg" takes the nullspace attached to A by then for near-nullspace.
/// out: gets the handle.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown kind or key, or a key that the kind
/// ignores), RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_UNSUPPORTED (A has no entries),
/// RKN_ERR_SINGULAR and RKN_ERR_INDEFINITE (name the row), RKN_ERR_NONFINITE, RKN_ERR_STATE (A contains a
/// preconditioner whose refresh failed), RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_create_preconditioner(
    ctx: *const rkn_context,
    A: *const rkn_operator,
    kind: *const c_char,
    out: *mut *mut rkn_operator,
) -> rkn_status {
    guard("rkn_operator_create_preconditioner", || {
        let out = args::out_handle(out)?;
        let a = handle::shared(A, "A")?;
        let spec = args::text(kind, "kind")?;
        let context = context_or_default(ctx)?;
        by_scalar!(a.operator.kind(), T => {
            publish::<T>(out, precond::create(context, a.operator.of::<T>("A")?, spec)?);
        });
        Ok(())
    })
}

/// Frees an operator. NULL and dead handles are ignored; what was made from it lives on.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_destroy(A: *mut rkn_operator) {
    guard_void(|| handle::destroy(A));
}

/// Announces that borrowed numbers (not the pattern) were rewritten in place; solvers then renew
/// what they learned from them. Called on a preconditioner, it is made anew from its operator's
/// present numbers, without allocating if the pattern is the same; a failed refresh leaves it
/// unusable until the next successful one.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (A holds a copy: use
/// rkn_operator_set_values), RKN_ERR_NONFINITE, RKN_ERR_SINGULAR, RKN_ERR_INDEFINITE, RKN_ERR_UNSUPPORTED
/// (llt and ldlt of what is no longer Hermitian), RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_changed(A: *mut rkn_operator) -> rkn_status {
    guard("rkn_operator_changed", || {
        let a = handle::exclusive(A, "A")?;
        with_operator!(&a.operator, op => op.changed())
    })
}

/// New numbers for a copied matrix, laid out as at creation (rkn_operator_create_coo and _matrix_market: the
/// assembled rows).
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_NONFINITE, RKN_ERR_STATE (A borrows, or has no
/// values of its own).
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_set_values(A: *mut rkn_operator, values: *const c_void) -> rkn_status {
    guard("rkn_operator_set_values", || {
        let a = handle::exclusive(A, "A")?;
        args::not_null(values, "values")?;
        with_operator!(&a.operator, op => {
            let count = op.with_body(|body| body.values_len().ok_or_else(|| no_values(&body.describe())))?;
            op.set_values(args::slice(values, count, "values")?)
        })
    })
}

fn no_values(what: &str) -> Error {
    Error::State(format!("a {what} operator has no values of its own"))
}

/// Attaches a nullspace, which every solver honours: with a left one (A^H L = 0) right-hand sides
/// are projected off L, with a right one (A R = 0) solutions are.
///
/// side: RKN_LEFT or RKN_RIGHT. vectors: ncols columns of leading dimension ld, copied; they need
/// be neither orthogonal nor of unit length. ncols 0 removes the nullspace.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_set_nullspace(
    A: *mut rkn_operator,
    side: rkn_side,
    ncols: i64,
    vectors: *const c_void,
    ld: i64,
) -> rkn_status {
    guard("rkn_operator_set_nullspace", || {
        let a = handle::exclusive(A, "A")?;
        let side = args::choice(side, "side", "RKN_LEFT, RKN_RIGHT", &[Side::Left, Side::Right])?;
        let ncols = args::length(ncols, "ncols")?;
        let ld = args::length(ld, "ld")?;
        with_operator!(&a.operator, op => {
            let rows = if side == Side::Right { op.ncols() } else { op.nrows() };
            let count = args::panel_len(rows, ncols, ld, "ld")?;
            let data = args::slice(vectors, count, "vectors")?;
            check::finite("vectors", data)?;
            op.set_nullspace(side, Panel { data, nrows: rows, ncols, ld: args::stride(rows, ld) })
        })
    })
}

/// y <- op(A) x for ncols columns.
///
/// trans: RKN_N, RKN_T or RKN_H. x, y: columns of leading dimensions ldx and ldy (in entries, at least the
/// rows of a column); they must not overlap. Their contents are not checked for NaN.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_UNSUPPORTED (no
/// adjoint), RKN_ERR_CALLBACK, RKN_ERR_STATE (a preconditioner whose refresh failed, an operator by request).
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_apply(
    A: *const rkn_operator,
    trans: rkn_trans,
    ncols: i64,
    x: *const c_void,
    ldx: i64,
    y: *mut c_void,
    ldy: i64,
) -> rkn_status {
    guard("rkn_operator_apply", || {
        let a = handle::shared(A, "A")?;
        let trans = args::choice(trans, "trans", "RKN_N, RKN_T, RKN_H", &[Trans::N, Trans::T, Trans::H])?;
        let (ncols, ldx, ldy) = (args::length(ncols, "ncols")?, args::length(ldx, "ldx")?, args::length(ldy, "ldy")?);
        with_operator!(&a.operator, op => {
            let (rows, cols) = if trans == Trans::N { (op.nrows(), op.ncols()) } else { (op.ncols(), op.nrows()) };
            let x = args::slice(x, args::panel_len(cols, ncols, ldx, "ldx")?, "x")?;
            let y = args::slice_mut(y, args::panel_len(rows, ncols, ldy, "ldy")?, "y")?;
            if args::overlap(x, y) {
                return Err(Error::argument("y", "overlapping x", "be memory of its own"));
            }
            let (ldx, ldy) = (args::stride(cols, ldx.max(cols)), args::stride(rows, ldy.max(rows)));
            let x = Panel { data: x, nrows: cols, ncols, ld: ldx };
            op.apply(&op.context().pool, trans, x, PanelMut { data: y, nrows: rows, ncols, ld: ldy })
        })
    })
}

/// The (local) shape of A.
///
/// nrows, ncols: written on success only; either may be NULL.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_shape(A: *const rkn_operator, nrows: *mut i64, ncols: *mut i64) -> rkn_status {
    guard("rkn_operator_shape", || {
        let a = handle::inspect(A, "A")?;
        let (rows, cols) = with_operator!(&a.operator, op => (op.nrows(), op.ncols()));
        for (to, value) in [(nrows, rows), (ncols, cols)] {
            if !to.is_null() {
                *args::out(to, "nrows")? = value as i64;
            }
        }
        Ok(())
    })
}

/// The scalar of A.
///
/// scalar: gets RKN_F32, RKN_F64, RKN_C32 or RKN_C64.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_scalar(A: *const rkn_operator, scalar: *mut rkn_scalar) -> rkn_status {
    guard("rkn_operator_scalar", || {
        let a = handle::inspect(A, "A")?;
        *args::out(scalar, "scalar")? = a.operator.kind() as i32;
        Ok(())
    })
}

/// Sets an integer option: "hermitian" (rkn_option_reference("operator", ...)).
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY, RKN_ERR_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_set_int(A: *mut rkn_operator, key: *const c_char, value: i64) -> rkn_status {
    guard("rkn_operator_set_int", || {
        let a = handle::exclusive(A, "A")?;
        Options::new(OPERATOR, "operator").set_int(args::text(key, "key")?, value)?;
        with_operator!(&a.operator, op => op.declare_hermitian(value == 1));
        Ok(())
    })
}

/// Reads an integer option or result: "hermitian", "products", "version", "entries", "values",
/// "rebuilds", "levels", "level_entries", "callback_status".
///
/// value: written on success only.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown, or nothing that this operator has).
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_get_int(A: *const rkn_operator, key: *const c_char, value: *mut i64) -> rkn_status {
    guard("rkn_operator_get_int", || {
        let a = handle::inspect(A, "A")?;
        let key = args::text(key, "key")?;
        let value = args::out(value, "value")?;
        let known: Value = Options::new(OPERATOR, "operator").get(key)?.clone();
        debug_assert!(matches!(known, Value::Int(_)));
        *value = with_operator!(&a.operator, op => match key {
            "hermitian" => op.is_hermitian() as i64,
            "products" => op.products() as i64,
            "version" => op.version() as i64,
            "values" => op.with_body(|body| body.values_len().map(|n| n as i64).ok_or_else(|| lacks(&body.describe(), key)))?,
            _ => op.count(key).ok_or_else(|| lacks(&op.describe(), key))?,
        });
        Ok(())
    })
}

fn lacks(what: &str, key: &str) -> Error {
    Error::Key(format!("a {what} operator has no '{key}'"))
}

/// A description of A in a few lines: kind, shape, scalar, what is known of it.
///
/// buf, cap, need: as in rkn_option_reference.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE.
#[no_mangle]
pub unsafe extern "C" fn rkn_operator_view(A: *const rkn_operator, buf: *mut c_char, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_operator_view", || {
        let a = handle::inspect(A, "A")?;
        let text = with_operator!(&a.operator, op => {
            let entries = op.count("entries").map_or(String::new(), |e| format!(", {e} entries"));
            let hermitian = if op.is_hermitian() { ", hermitian" } else { "" };
            let adjoint = if op.has_adjoint() { "" } else { ", no adjoint" };
            let kind = a.operator.kind().name();
            format!("operator: {}, {} x {}, {kind}{entries}{hermitian}{adjoint}\n", op.describe(), op.nrows(), op.ncols())
        });
        args::write_text(&text, buf, cap, need)
    })
}
