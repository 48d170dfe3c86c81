//! Symmetric and Hermitian matrices of which one triangle is stored, in CSR.

use super::check::{self, Index};
use super::columns::{grouped, Group};
use super::numbers::Numbers;
use super::sparse::Parts;
use super::{Array, Body, Trans};
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Error, Pool, Result, Scalar};

/// Which triangle is stored, the diagonal included; the numbers are those of the C header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triangle {
    Lower = 0,
    Upper = 1,
}

/// A = A^T or A = A^H. An entry off the diagonal stands for its mirror image too; of a Hermitian
/// diagonal only the real part counts, as in BLAS.
pub struct Symmetric<T: Scalar, I: Index> {
    n: usize,
    hermitian: bool,
    base: usize,
    ptr: Array<I>,
    ind: Array<I>,
    values: Numbers<T>,
    entries: usize,
}

impl<T: Scalar, I: Index> Symmetric<T, I> {
    /// `parts` holds the stored triangle. Columns within a row may come in any order; repeated
    /// ones add up.
    pub fn new(parts: Parts<T, I>, triangle: Triangle, hermitian: bool) -> Result<Self> {
        let n = parts.nrows;
        if parts.ncols != n {
            return Err(Error::size("A", format!("{n} x {}", parts.ncols), "be square"));
        }
        let entries = check::pointers("rowptr", &parts.ptr, parts.base)?;
        check::indices("colind", &parts.ind[..entries], n, parts.base)?;
        check_triangle(&parts, triangle)?;
        check::finite("values", &parts.values[..entries])?;
        Ok(Symmetric {
            n,
            hermitian: hermitian && T::IS_COMPLEX,
            base: parts.base,
            ptr: parts.ptr,
            ind: parts.ind,
            values: Numbers::new(parts.values, parts.copied),
            entries,
        })
    }
}

fn check_triangle<T, I: Index>(parts: &Parts<T, I>, triangle: Triangle) -> Result<()> {
    let base = parts.base;
    for i in 0..parts.nrows {
        let (from, to) = (parts.ptr[i].at(base), parts.ptr[i + 1].at(base));
        let inside = |j: usize| if triangle == Triangle::Lower { j <= i } else { j >= i };
        if let Some(p) = parts.ind[from..to].iter().position(|k| !inside(k.at(base))) {
            let (name, low, high) = match triangle {
                Triangle::Lower => ("lower", base, i + base),
                Triangle::Upper => ("upper", i + base, parts.nrows - 1 + base),
            };
            return Err(Error::Index(format!(
                "argument 'colind' has {} at position {}, must lie in {low}..{high} (row {} of the {name} triangle, base {base})",
                parts.ind[from + p],
                from + p,
                i + base
            )));
        }
    }
    Ok(())
}

/// Gathers and scatters at once: each stored entry is read once. Serial, so that sums are taken
/// in one order.
struct Product<'a, T: Scalar, I: Index> {
    matrix: &'a Symmetric<T, I>,
    /// H where the conjugate of the matrix is meant, otherwise N.
    trans: Trans,
}

impl<T: Scalar, I: Index> Group<T> for Product<'_, T, I> {
    fn run<const K: usize>(&self, x: [&[T]; K], mut y: [&mut [T]; K]) {
        let a = self.matrix;
        let (ptr, ind, values) = (&**a.ptr, &**a.ind, &*a.values);
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        for i in 0..a.n {
            let (from, to) = (ptr[i].at(a.base), ptr[i + 1].at(a.base));
            let here: [T; K] = x.map(|x| x[i]);
            let mut sum = [T::ZERO; K];
            for (k, v) in ind[from..to].iter().zip(&values[from..to]) {
                let j = k.at(a.base);
                let v = self.trans.of(*v);
                if j == i {
                    let v = a.on_diagonal(v);
                    (0..K).for_each(|c| sum[c] += v * here[c]);
                    continue;
                }
                let mirrored = a.mirrored(v);
                for c in 0..K {
                    sum[c] += v * x[c][j];
                    y[c][j] += mirrored * here[c];
                }
            }
            (0..K).for_each(|c| y[c][i] += sum[c]);
        }
    }
}

impl<T: Scalar, I: Index> Symmetric<T, I> {
    #[inline(always)]
    fn mirrored(&self, v: T) -> T {
        if self.hermitian { v.conj() } else { v }
    }

    #[inline(always)]
    fn on_diagonal(&self, v: T) -> T {
        if self.hermitian { T::from_f64(v.real_part()) } else { v }
    }
}

impl<T: Scalar, I: Index> Body<T> for Symmetric<T, I> {
    fn nrows(&self) -> usize {
        self.n
    }

    fn ncols(&self) -> usize {
        self.n
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        // Of A^T and A^H one is A, the other its conjugate.
        let conjugate = trans == if self.hermitian { Trans::T } else { Trans::H };
        grouped(x, y, &Product { matrix: self, trans: if conjugate { Trans::H } else { Trans::N } });
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        let (ptr, ind, values) = (&**self.ptr, &**self.ind, &*self.values);
        for i in 0..self.n {
            let (from, to) = (ptr[i].at(self.base), ptr[i + 1].at(self.base));
            for (k, v) in ind[from..to].iter().zip(&values[from..to]) {
                let j = k.at(self.base);
                if j == i {
                    entry(i, i, self.on_diagonal(*v));
                } else {
                    entry(i, j, *v);
                    entry(j, i, self.mirrored(*v));
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, _pool: &Pool) -> Result<()> {
        self.values.may_change()?;
        check::finite("values", &self.values[..self.entries])
    }

    fn set_values(&mut self, values: &[T]) -> Result<()> {
        self.values.set(values, self.entries, |v| check::finite("values", v))
    }

    fn values_len(&self) -> Option<usize> {
        Some(self.entries)
    }

    fn is_hermitian(&self) -> bool {
        self.hermitian || !T::IS_COMPLEX
    }

    fn describe(&self) -> String {
        (if self.hermitian { "csr hermitian" } else { "csr symmetric" }).to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then_some(self.entries as i64)
    }
}
