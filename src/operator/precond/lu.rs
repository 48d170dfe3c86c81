//! Complete LU factors with partial pivoting (faer), for any square matrix. The symbolic part
//! and the storage stay while the pattern stays.

use super::cholesky::{buffer, generic, wide};
use super::lagged::Part;
use super::pivot::Pivoting;
use super::refine::Refine;
use super::scratch::{Scratch, Vectors};
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{by_column, Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Error, Pool, Result, Scalar};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::linalg::lu::{factorize_symbolic_lu, LuRef, NumericLu, SymbolicLu};
use faer::sparse::linalg::LuError;
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par};

const WHAT: &str = "a factorisation";

pub struct Lu<T: Scalar> {
    pivoting: Pivoting,
    refine: Refine<T>,
    rows: Assembled<T>,
    /// The columns of `rows`, in faer's index type.
    col: Vec<usize>,
    /// The values of `rows`, shifted. By columns they are those of A^T, and that is factored.
    numbers: Vec<T>,
    symbolic: SymbolicLu<usize>,
    numeric: NumericLu<usize, T>,
    memory: MemBuffer,
    scratch: Scratch<MemBuffer>,
    probe: Vectors<T>,
}

impl<T: Scalar> Lu<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let n = rows.nrows;
        let col = wide(&rows.col)?;
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, &rows.ptr, None, &col);
        let symbolic = factorize_symbolic_lu(pattern, Default::default()).map_err(generic)?;
        let mut part = Lu {
            pivoting: Pivoting::new(options),
            refine: Refine::new(options.count("refinements"), n)?,
            numbers: memory::filled(rows.values.len(), T::ZERO, WHAT)?,
            numeric: NumericLu::new(),
            memory: buffer(symbolic.factorize_numeric_lu_scratch::<T>(Par::Seq, Default::default()))?,
            scratch: Scratch::new(buffer(symbolic.solve_in_place_scratch::<T>(1, Par::Seq))?),
            probe: Vectors::new(n, T::ZERO)?,
            rows,
            col,
            symbolic,
        };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        let n = self.rows.nrows;
        self.numbers.copy_from_slice(&self.rows.values);
        for i in 0..n {
            if let Some(at) = self.rows.slot(i, i) {
                self.numbers[at] = self.pivoting.outward(self.numbers[at]);
            }
        }
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, &self.rows.ptr, None, &self.col);
        let done = self.symbolic.factorize_numeric_lu(
            &mut self.numeric,
            SparseColMatRef::new(pattern, &self.numbers),
            Par::Seq,
            MemStack::new(&mut self.memory),
            Default::default(),
        );
        match done {
            Ok(_) => self.check(),
            Err(LuError::SymbolicSingular { index }) => {
                let row = self.symbolic.col_perm().arrays().0[index];
                Err(Error::Singular(format!("no pivot is left for row {row} (base 0)")))
            }
            Err(LuError::Generic(e)) => Err(generic(e)),
        }
    }

    /// faer does not tell a pivot that is zero or mere rounding: the growth in one solve does.
    fn check(&self) -> Result<()> {
        let n = self.rows.nrows;
        let norm = (0..n).map(|i| self.rows.row(i).1.iter().map(|v| v.modulus()).sum::<f64>()).fold(0.0, f64::max);
        let growth = self.probe.with(|x| {
            // Entries 1 and 2 in no regular order: hardly orthogonal to any null vector.
            for (i, v) in x.iter_mut().enumerate() {
                *v = T::from_f64(1.0 + ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63) as f64);
            }
            self.solve_in_place(Trans::N, x)?;
            let sum: f64 = x.iter().map(|v| v.modulus()).sum();
            Ok(if sum.is_finite() { x.iter().fold(0.0, |m: f64, v| m.max(v.modulus())) } else { f64::INFINITY })
        })?;
        let condition = norm * growth;
        let limit = 1.0 / self.pivoting.tolerance.max(T::EPSILON * (n as f64).sqrt());
        if condition < limit {
            return Ok(());
        }
        Err(Error::Singular(format!("the matrix is singular to working precision: its condition number is at least {condition:.1e}")))
    }

    /// x <- op(A)^-1 x from the factors of A^T.
    fn solve_in_place(&self, trans: Trans, x: &mut [T]) -> Result<()> {
        let n = x.len();
        let make = || buffer(self.symbolic.solve_in_place_scratch::<T>(1, Par::Seq));
        self.scratch.with(make, |memory| {
            let lu = LuRef::new_unchecked(&self.symbolic, &self.numeric);
            let x = MatMut::from_column_major_slice_mut(x, n, 1);
            let stack = MemStack::new(memory);
            match trans {
                Trans::N => lu.solve_transpose_in_place_with_conj(Conj::No, x, Par::Seq, stack),
                Trans::T => lu.solve_in_place_with_conj(Conj::No, x, Par::Seq, stack),
                Trans::H => lu.solve_in_place_with_conj(Conj::Yes, x, Par::Seq, stack),
            }
            Ok(())
        })
    }
}

impl<T: Scalar> Part<T> for Lu<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        by_column(x, y, |x, y| {
            self.refine.apply(&self.rows, trans, x, y, |b, x| {
                x.copy_from_slice(b);
                self.solve_in_place(trans, x)
            })
        })
    }

    fn entries(&self) -> usize {
        self.rows.values.len()
    }
}
