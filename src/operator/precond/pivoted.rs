//! LU factors with partial pivoting (faer), for matrices that need row interchanges.

use super::faer_support::{buffer, generic};
use super::scratch::Scratch;
use crate::operator::Trans;
use crate::runtime::{Error, Result, Scalar};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::linalg::lu::{factorize_symbolic_lu, LuRef, NumericLu, SymbolicLu};
use faer::sparse::linalg::LuError;
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par};

/// The rows of A are the columns of A^T, and that is what is factored.
pub struct Pivoted<T> {
    symbolic: SymbolicLu<usize>,
    numeric: NumericLu<usize, T>,
    memory: MemBuffer,
    scratch: Scratch<MemBuffer>,
}

impl<T: Scalar> Pivoted<T> {
    pub fn new(pattern: SymbolicSparseColMatRef<usize>) -> Result<Self> {
        let symbolic = factorize_symbolic_lu(pattern, Default::default()).map_err(generic)?;
        Ok(Pivoted {
            numeric: NumericLu::new(),
            memory: buffer(symbolic.factorize_numeric_lu_scratch::<T>(Par::Seq, Default::default()))?,
            scratch: Scratch::new(buffer(symbolic.solve_in_place_scratch::<T>(1, Par::Seq))?),
            symbolic,
        })
    }

    pub fn factor(&mut self, rows: SparseColMatRef<usize, T>) -> Result<()> {
        let done = self.symbolic.factorize_numeric_lu(&mut self.numeric, rows, Par::Seq, MemStack::new(&mut self.memory), Default::default());
        match done {
            Ok(_) => Ok(()),
            Err(LuError::SymbolicSingular { index }) => {
                let row = self.symbolic.col_perm().arrays().0[index];
                Err(Error::Singular(format!("no pivot is left for row {row} (base 0)")))
            }
            Err(LuError::Generic(e)) => Err(generic(e)),
        }
    }

    /// x <- op(A)^-1 x.
    pub fn solve(&self, trans: Trans, x: &mut [T]) -> Result<()> {
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
