//! Linear maps. An [`Operator`] is a reference-counted node: a body (how it is applied), a
//! version that says when its numbers changed, and what its user declared about it. A
//! preconditioner is an operator that approximates an inverse (`precond`); sums, products,
//! adjoints and blocks of operators are operators too (`compose`).

pub mod assemble;
pub mod bsr;
pub mod callback;
pub mod check;
pub(crate) mod columns;
pub mod compose;
pub mod dense;
pub mod diagonal;
pub mod matrix_market;
mod numbers;
pub mod options;
pub mod precond;
pub mod sparse;
pub mod symmetric;
mod workspace;

pub use dense::Order;
pub use symmetric::Triangle;

use crate::linalg::{Panel, PanelMut};
use crate::runtime::{memory, profile, Context, Error, Pool, Result, Scalar};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// Which of A, A^T, A^H is meant; the numbers are those of the C header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trans {
    N = 0,
    T = 1,
    H = 2,
}

impl Trans {
    /// An entry or factor of A as it stands in op(A).
    #[inline(always)]
    pub fn of<T: Scalar>(self, v: T) -> T {
        if self == Trans::H { v.conj() } else { v }
    }
}

/// Vectors of one length, one after the other. The count stands for itself: the length may be 0.
#[derive(Debug, Default, Clone)]
pub struct Columns<T> {
    pub count: usize,
    pub data: Vec<T>,
}

/// Numbers that the library owns or has borrowed; read anew at each use, so that a borrower sees
/// what its owner wrote in between.
pub type Array<T> = Box<dyn Deref<Target = [T]>>;

/// How an operator is applied and what can be asked of it.
pub trait Body<T: Scalar> {
    fn nrows(&self) -> usize;
    fn ncols(&self) -> usize;

    /// y <- op(A) x. Shapes have been checked; `y` is overwritten and may hold anything.
    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()>;

    /// Calls `entry(i, j, a)` for each stored entry (both triangles of a symmetric one), each
    /// time in the same order; positions may repeat, their values add up.
    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        let _ = entry;
        Err(Error::Unsupported(format!("a {} operator has no entries", self.describe())))
    }

    /// The numbers behind the body were rewritten, or (preconditioner) should be refreshed.
    fn changed(&mut self, pool: &Pool) -> Result<()> {
        let _ = pool;
        Ok(())
    }

    /// What `changed` calls from now on.
    fn set_refresh(&mut self, refresh: Option<Box<dyn callback::Refresh>>) -> Result<()> {
        let _ = refresh;
        Err(Error::State(format!("a {} operator is not the caller's own: it takes no refresh", self.describe())))
    }

    /// Whether a solver may ask for a refresh.
    fn refreshes(&self) -> bool {
        false
    }

    /// New numbers for a copied matrix, laid out as at creation.
    fn set_values(&mut self, values: &[T]) -> Result<()> {
        let _ = values;
        Err(Error::State(format!("a {} operator has no copied values to set", self.describe())))
    }

    /// How many numbers `set_values` takes; `None` where it takes none.
    fn values_len(&self) -> Option<usize> {
        None
    }

    /// Operators whose versions this one's version follows (empty for a preconditioner, which
    /// may lag behind its matrix).
    fn parts(&self) -> &[Operator<T>] {
        &[]
    }

    /// Whether A^T and A^H can be applied.
    fn has_adjoint(&self) -> bool {
        true
    }

    /// Whether A = A^H is known from the body itself.
    fn is_hermitian(&self) -> bool {
        false
    }

    /// A few words: "csr", "ilu levels=0".
    fn describe(&self) -> String;

    /// A named integer of this body ("entries", "rebuilds", ...).
    fn count(&self, key: &str) -> Option<i64> {
        let _ = key;
        None
    }

    /// Whether it applies other operators, which account for their own work.
    fn is_composed(&self) -> bool {
        false
    }
}

/// Takes note of an apply to so many columns. A group of columns reads the entries once, each with an index.
fn account<T: Scalar>(body: &dyn Body<T>, rows_and_columns: usize, count: usize) {
    let known = |key: &str, otherwise: usize| body.count(key).map_or(otherwise, |v| v as usize);
    let reads = known("entries", 0).saturating_mul(known("passes", 1));
    let flops = reads.saturating_mul(count * if T::IS_COMPLEX { 8 } else { 2 });
    let width = known("entry_bytes", size_of::<T>()) + 4;
    let bytes = reads.saturating_mul(width * count.div_ceil(columns::AT_ONCE));
    profile::note(flops, bytes.saturating_add(rows_and_columns.saturating_mul(count * size_of::<T>())));
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

struct Node<T: Scalar> {
    id: u64,
    version: AtomicU64,
    products: AtomicU64,
    hermitian: AtomicBool,
    nrows: usize,
    ncols: usize,
    context: Arc<Context>,
    body: RwLock<Box<dyn Body<T>>>,
    right_nullspace: RwLock<Columns<T>>,
    left_nullspace: RwLock<Columns<T>>,
}

/// A linear map from `ncols` to `nrows` local entries. Cloning shares the node. Not `Send`: its
/// body may hold a callback.
pub struct Operator<T: Scalar> {
    node: Arc<Node<T>>,
}

impl<T: Scalar> Clone for Operator<T> {
    fn clone(&self) -> Self {
        Operator { node: self.node.clone() }
    }
}

/// Which nullspace: of A (right) or of A^H (left).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left = 0,
    Right = 1,
}

impl<T: Scalar> Operator<T> {
    // The node is shared by reference count but never sent: handles of C and compositions may
    // outlive each other in any order and be dropped by a finalizer thread.
    #[allow(clippy::arc_with_non_send_sync)]
    pub fn new(context: Arc<Context>, body: Box<dyn Body<T>>) -> Self {
        Operator {
            node: Arc::new(Node {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                version: AtomicU64::new(1),
                products: AtomicU64::new(0),
                hermitian: AtomicBool::new(body.is_hermitian()),
                nrows: body.nrows(),
                ncols: body.ncols(),
                context,
                body: RwLock::new(body),
                right_nullspace: RwLock::new(Columns { count: 0, data: Vec::new() }),
                left_nullspace: RwLock::new(Columns { count: 0, data: Vec::new() }),
            }),
        }
    }

    /// A counter, unique in the process: together with the version it names the numbers.
    pub fn id(&self) -> u64 {
        self.node.id
    }

    /// Whether another handle, or an operator made of this one, holds the same node.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.node) > 1
    }

    pub fn nrows(&self) -> usize {
        self.node.nrows
    }

    pub fn ncols(&self) -> usize {
        self.node.ncols
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.node.context
    }

    /// Rises whenever the numbers of this operator or of a part of it changed.
    pub fn version(&self) -> u64 {
        let own = self.node.version.load(Ordering::Relaxed);
        match self.node.body.try_read() {
            Ok(body) => own + body.parts().iter().map(|p| p.version()).sum::<u64>(),
            Err(_) => own,
        }
    }

    /// Block applies times columns since creation.
    pub fn products(&self) -> u64 {
        self.node.products.load(Ordering::Relaxed)
    }

    pub fn is_hermitian(&self) -> bool {
        self.node.hermitian.load(Ordering::Relaxed)
    }

    /// The user's word that A = A^H; not checked.
    pub fn declare_hermitian(&self, yes: bool) {
        self.node.hermitian.store(yes, Ordering::Relaxed);
    }

    pub fn has_adjoint(&self) -> bool {
        self.with_body(|b| Ok(b.has_adjoint())).unwrap_or(false)
    }

    pub fn describe(&self) -> String {
        self.with_body(|b| Ok(b.describe())).unwrap_or_else(|_| "busy".to_string())
    }

    pub fn count(&self, key: &str) -> Option<i64> {
        self.with_body(|b| Ok(b.count(key))).unwrap_or(None)
    }

    pub fn with_body<R>(&self, f: impl FnOnce(&dyn Body<T>) -> Result<R>) -> Result<R> {
        match self.node.body.try_read() {
            Ok(body) => f(&**body),
            Err(_) => Err(busy()),
        }
    }

    /// y <- op(A) x for all columns; shapes are checked, results are not.
    pub fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let (rows, cols) = if trans == Trans::N { (self.nrows(), self.ncols()) } else { (self.ncols(), self.nrows()) };
        if x.nrows != cols {
            return Err(Error::size("x", x.nrows, format!("be {cols}")));
        }
        if y.nrows != rows || y.ncols != x.ncols {
            return Err(Error::size("y", format!("{} x {}", y.nrows, y.ncols), format!("be {rows} x {}", x.ncols)));
        }
        self.node.products.fetch_add(x.ncols as u64, Ordering::Relaxed);
        if x.ncols == 0 {
            return Ok(());
        }
        let count = x.ncols;
        self.with_body(|body| {
            body.apply(pool, trans, x, y)?;
            if !body.is_composed() {
                account(body, rows + cols, count);
            }
            Ok(())
        })
    }

    /// y <- A x for one vector.
    pub fn apply_vector(&self, pool: &Pool, x: &[T], y: &mut [T]) -> Result<()> {
        self.apply(pool, Trans::N, Panel::column(x), PanelMut::column(y))
    }

    /// Announces that borrowed numbers were rewritten; refreshes a preconditioner. The version
    /// rises even when the refresh fails, so that nothing learned from old numbers is trusted.
    pub fn changed(&self) -> Result<()> {
        let mut body = self.node.body.try_write().map_err(|_| busy())?;
        self.node.version.fetch_add(1, Ordering::Relaxed);
        body.changed(&self.node.context.pool)
    }

    /// What `changed` calls from now on; `None` for nothing.
    pub fn set_refresh(&self, refresh: Option<Box<dyn callback::Refresh>>) -> Result<()> {
        self.node.body.try_write().map_err(|_| busy())?.set_refresh(refresh)
    }

    /// Whether a solver may ask for a refresh.
    pub fn refreshes(&self) -> bool {
        self.with_body(|b| Ok(b.refreshes())).unwrap_or(false)
    }

    pub fn set_values(&self, values: &[T]) -> Result<()> {
        let mut body = self.node.body.try_write().map_err(|_| busy())?;
        body.set_values(values)?;
        self.node.version.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Attaches the columns of `vectors` as nullspace of A (right) or A^H (left); they need be
    /// neither orthogonal nor normal, zero columns remove it.
    pub fn set_nullspace(&self, side: Side, vectors: Panel<T>) -> Result<()> {
        let rows = if side == Side::Right { self.ncols() } else { self.nrows() };
        if vectors.ncols > 0 && vectors.nrows != rows {
            return Err(Error::size("vectors", vectors.nrows, format!("have {rows} rows")));
        }
        let mut kept = memory::with_capacity(memory::product(vectors.ncols, rows, "nullspace")?, "nullspace")?;
        for j in 0..vectors.ncols {
            kept.extend_from_slice(vectors.col(j));
        }
        let slot = if side == Side::Right { &self.node.right_nullspace } else { &self.node.left_nullspace };
        *slot.try_write().map_err(|_| busy())? = Columns { count: vectors.ncols, data: kept };
        self.node.version.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A copy of the attached columns.
    pub fn nullspace(&self, side: Side) -> Result<Columns<T>> {
        let slot = if side == Side::Right { &self.node.right_nullspace } else { &self.node.left_nullspace };
        let kept = slot.try_read().map_err(|_| busy())?;
        Ok(Columns { count: kept.count, data: memory::copied(&kept.data, "nullspace")? })
    }
}

fn busy() -> Error {
    Error::Busy("the operator is in use by another call".to_string())
}

/// Applies a body that knows single vectors only, column by column; all of them even if one fails,
/// because other ranks may wait for this one's part in each.
pub fn by_column<T: Scalar>(x: Panel<T>, mut y: PanelMut<T>, mut one: impl FnMut(&[T], &mut [T]) -> Result<()>) -> Result<()> {
    (0..x.ncols).fold(Ok(()), |done, j| done.and(one(x.col(j), y.col(j))))
}
