//! What a solver can tell about its memory: Ritz values, principal angles between successive spaces, and the
//! orthogonality of its basis. Measured where the option `diagnostics` says so.
//!
//! Angles: Bjorck, Golub, "Numerical methods for computing angles between linear subspaces", Math. Comp. 27
//! (1973); the cosines are the singular values of the products of two orthonormal bases.

use super::arnoldi::Arnoldi;
use super::problem::Problem;
use crate::linalg::{kernels, Panel};
use crate::runtime::{Error, Result, Scalar, Wide};
use faer::Mat;

/// Of the last solve that measured them.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    /// Real and imaginary parts, by the method's own measure of what is wanted most.
    pub ritz: Vec<[f64; 2]>,
    /// Radians, ascending.
    pub angles: Vec<f64>,
    /// The largest entry of W^H W - I over the basis of a cycle, the worst of the solve.
    pub orthogonality_loss: f64,
}

impl Diagnostics {
    /// The angles between an old space and a new one, whose orthonormal bases have the products `cosines`.
    pub fn angles_from<W: Wide>(&mut self, rows: usize, cols: usize, cosine: impl Fn(usize, usize) -> W) -> Result<()> {
        self.angles.clear();
        if rows == 0 || cols == 0 {
            return Ok(());
        }
        // X + i Y has each singular value of [X -Y; Y X] once.
        let part = |i: usize, j: usize| {
            let v = cosine(i % rows, j % cols);
            match (i < rows, j < cols) {
                (true, true) | (false, false) => v.real_part(),
                (true, false) => -v.imag_part(),
                (false, true) => v.imag_part(),
            }
        };
        let cosines = Mat::from_fn(W::DOUBLES * rows, W::DOUBLES * cols, part).singular_values();
        let cosines = cosines.map_err(|_| Error::NonFinite("principal angles do not come out".to_string()))?;
        self.angles.extend(cosines.iter().step_by(W::DOUBLES).map(|c| c.clamp(-1.0, 1.0).acos()));
        Ok(())
    }
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Arnoldi<T, S> {
    /// Measures W^H W - I over the first vectors, those that have had all passes. A reduction a vector.
    pub async fn diagnose(&mut self, p: &mut Problem<'_, T>, columns: usize) -> Result<()> {
        if !p.settings.diagnostics {
            return Ok(());
        }
        let mut loss = 0.0f64;
        for j in 0..columns {
            let basis = Panel::packed(&self.w, self.n, j + 1);
            kernels::convert(basis.col(j), &mut self.image);
            let products = &mut self.coefficients[..j + 1];
            p.space.local(basis, &self.image, products);
            p.space.sum(products).await?;
            products[j] -= <T::Wide as Scalar>::ONE;
            loss = products.iter().fold(loss, |loss, v| loss.max(v.modulus()));
        }
        let diagnostics = &mut p.report.borrow_mut().diagnostics;
        diagnostics.orthogonality_loss = diagnostics.orthogonality_loss.max(loss);
        Ok(())
    }
}
