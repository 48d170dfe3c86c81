//! Which matrix an operator stands for, worked out densely.

use super::numbers::{Buffer, C64};
use std::cell::RefCell;
use std::rc::Rc;

pub struct Matrix {
    pub rows: usize,
    pub cols: usize,
    /// Row by row.
    pub a: Vec<C64>,
}

impl Matrix {
    pub fn zero(rows: usize, cols: usize) -> Self {
        Matrix { rows, cols, a: vec![C64::from(0.0); rows * cols] }
    }

    pub fn at(&self, i: usize, j: usize) -> C64 {
        self.a[i * self.cols + j]
    }

    fn map(&self, f: impl Fn(C64) -> C64) -> Matrix {
        Matrix { rows: self.rows, cols: self.cols, a: self.a.iter().map(|v| f(*v)).collect() }
    }

    pub fn adjoint(&self, conj: bool) -> Matrix {
        let mut b = Matrix::zero(self.cols, self.rows);
        for i in 0..self.rows {
            for j in 0..self.cols {
                let v = self.at(i, j);
                b.a[j * self.rows + i] = if conj { v.conj() } else { v };
            }
        }
        b
    }

    pub fn times(&self, x: &[C64]) -> Vec<C64> {
        (0..self.rows).map(|i| (0..self.cols).map(|j| self.at(i, j) * x[j]).sum()).collect()
    }

    fn product(&self, b: &Matrix) -> Matrix {
        let mut c = Matrix::zero(self.rows, b.cols);
        for i in 0..self.rows {
            for j in 0..b.cols {
                c.a[i * b.cols + j] = (0..self.cols).map(|k| self.at(i, k) * b.at(k, j)).sum();
            }
        }
        c
    }

    pub fn norm(&self) -> f64 {
        self.a.iter().map(|v| v.norm_sqr()).sum::<f64>().sqrt()
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Mirror {
    None,
    Transposed,
    Conjugated,
}

/// A matrix with numbers of its own.
pub struct Leaf {
    pub rows: usize,
    pub cols: usize,
    /// Where each number belongs; gaps between dense lines belong nowhere.
    pub places: Vec<Option<(usize, usize)>>,
    pub mirror: Mirror,
    pub numbers: RefCell<Vec<C64>>,
    /// The caller's array, where the operator borrows it.
    pub lent: Option<RefCell<Buffer>>,
    /// Whether rkn_operator_set_values applies.
    pub settable: bool,
}

impl Leaf {
    pub fn dense(&self) -> Matrix {
        let mut m = Matrix::zero(self.rows, self.cols);
        for (place, v) in self.places.iter().zip(self.numbers.borrow().iter()) {
            let Some((i, j)) = *place else { continue };
            match self.mirror {
                Mirror::Conjugated if i == j => m.a[i * self.cols + j] += C64::from(v.re),
                _ => m.a[i * self.cols + j] += v,
            }
            if i != j && self.mirror != Mirror::None {
                m.a[j * self.cols + i] += if self.mirror == Mirror::Conjugated { v.conj() } else { *v };
            }
        }
        m
    }
}

pub enum Truth {
    Leaf(Rc<Leaf>),
    Sum(C64, Rc<Truth>, C64, Rc<Truth>),
    Product(Rc<Truth>, Rc<Truth>),
    Scaled(C64, Rc<Truth>),
    Shifted(Rc<Truth>, C64),
    Adjoint(Rc<Truth>, bool),
    /// Block columns, and the blocks row by row.
    Block(usize, Vec<Option<Rc<Truth>>>),
    /// A preconditioner, a callback that misbehaves, or too large.
    Unknown,
}

impl Truth {
    pub fn dense(&self) -> Option<Matrix> {
        Some(match self {
            Truth::Leaf(leaf) => leaf.dense(),
            Truth::Sum(alpha, a, beta, b) => {
                let (mut a, b) = (a.dense()?.map(|v| alpha * v), b.dense()?);
                a.a.iter_mut().zip(&b.a).for_each(|(v, w)| *v += beta * w);
                a
            }
            Truth::Product(a, b) => a.dense()?.product(&b.dense()?),
            Truth::Scaled(alpha, a) => a.dense()?.map(|v| alpha * v),
            Truth::Shifted(a, sigma) => {
                let mut a = a.dense()?;
                (0..a.rows).for_each(|i| a.a[i * a.cols + i] += sigma);
                a
            }
            Truth::Adjoint(a, conj) => a.dense()?.adjoint(*conj),
            Truth::Block(cols, blocks) => grid(*cols, blocks)?,
            Truth::Unknown => return None,
        })
    }

    /// A bound of every intermediate number's size: what rounding is measured by.
    pub fn bound(&self) -> f64 {
        match self {
            Truth::Leaf(leaf) => leaf.dense().norm() + leaf.numbers.borrow().iter().map(|v| v.norm()).sum::<f64>(),
            Truth::Sum(alpha, a, beta, b) => alpha.norm() * a.bound() + beta.norm() * b.bound(),
            Truth::Product(a, b) => a.bound() * b.bound(),
            Truth::Scaled(alpha, a) => alpha.norm() * a.bound(),
            Truth::Shifted(a, sigma) => a.bound() + sigma.norm(),
            Truth::Adjoint(a, _) => a.bound(),
            Truth::Block(_, blocks) => blocks.iter().flatten().map(|b| b.bound()).sum(),
            Truth::Unknown => f64::INFINITY,
        }
    }
}

fn grid(cols: usize, blocks: &[Option<Rc<Truth>>]) -> Option<Matrix> {
    let parts: Vec<Option<Matrix>> = blocks.iter().map(|b| b.as_ref().map_or(Some(None), |b| b.dense().map(Some))).collect::<Option<_>>()?;
    let rows = parts.len() / cols;
    let height = |r: usize| (0..cols).find_map(|c| parts[r * cols + c].as_ref()).map_or(0, |m| m.rows);
    let width = |c: usize| (0..rows).find_map(|r| parts[r * cols + c].as_ref()).map_or(0, |m| m.cols);
    let mut all = Matrix::zero((0..rows).map(height).sum(), (0..cols).map(width).sum());
    for (p, part) in parts.iter().enumerate() {
        let Some(m) = part else { continue };
        let (top, left): (usize, usize) = ((0..p / cols).map(height).sum(), (0..p % cols).map(width).sum());
        for i in 0..m.rows {
            for j in 0..m.cols {
                all.a[(top + i) * all.cols + left + j] = m.at(i, j);
            }
        }
    }
    Some(all)
}
