//! Anderson's acceleration of a fixed-point iteration x <- T x (Anderson 1965; Walker and Ni 2011, type II): the residual
//! T x - x is taken for linear over the last few iterates, and its least combination is gone to.

use crate::runtime::{memory, Result};

pub struct Anderson {
    window: usize,
    last: Option<(Vec<f64>, Vec<f64>)>,
    /// Orthonormal differences of residuals, and the differences of T x that belong to them.
    residuals: Vec<Vec<f64>>,
    images: Vec<Vec<f64>>,
    raw: Vec<(Vec<f64>, Vec<f64>)>,
}

/// How far the mixture may lie from T x in any entry.
const FARTHEST: f64 = 10.0;
/// Differences that add less than this share of their length are left out.
const DEPENDENT: f64 = 1e-8;

impl Anderson {
    pub fn new(window: usize) -> Self {
        Anderson { window, last: None, residuals: Vec::new(), images: Vec::new(), raw: Vec::new() }
    }

    pub fn forget(&mut self) {
        *self = Anderson::new(self.window);
    }

    /// `next` is T x, and becomes the next iterate. Entries that are not finite stay as they are.
    pub fn mix(&mut self, x: &[f64], next: &mut [f64]) -> Result<()> {
        const WHAT: &str = "Anderson's window";
        if self.window == 0 {
            return Ok(());
        }
        let mut residual = memory::copied(next, WHAT)?;
        residual.iter_mut().zip(x).for_each(|(r, x)| *r = if (*r - x).is_finite() { *r - x } else { 0.0 });
        let image = memory::copied(next, WHAT)?;
        let last = self.last.replace((memory::copied(&residual, WHAT)?, memory::copied(&image, WHAT)?));
        if let Some((mut r, mut t)) = last {
            r.iter_mut().zip(&residual).for_each(|(old, new)| *old = new - *old);
            t.iter_mut().zip(&image).for_each(|(old, new)| *old = if (new - *old).is_finite() { new - *old } else { 0.0 });
            if self.raw.len() == self.window {
                self.raw.remove(0);
            }
            self.raw.push((r, t));
        }
        self.orthonormalise()?;
        let mut step = memory::filled(next.len(), 0.0, WHAT)?;
        for (q, t) in self.residuals.iter().zip(&self.images) {
            let along = dot(q, &residual);
            step.iter_mut().zip(t).for_each(|(step, t)| *step += along * t);
            residual.iter_mut().zip(q).for_each(|(r, q)| *r -= along * q);
        }
        // Where residuals stay the same the model has its least at infinity.
        let longest = step.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let share = if longest > FARTHEST { FARTHEST / longest } else { 1.0 };
        if longest.is_finite() {
            next.iter_mut().zip(&step).for_each(|(x, step)| *x -= share * step);
        } else {
            self.forget();
        }
        Ok(())
    }

    /// The newest differences first: those are the most linear.
    fn orthonormalise(&mut self) -> Result<()> {
        self.residuals.clear();
        self.images.clear();
        for (r, t) in self.raw.iter().rev() {
            let (mut r, mut t) = (memory::copied(r, "Anderson's window")?, memory::copied(t, "Anderson's window")?);
            let before = dot(&r, &r).sqrt();
            for (q, image) in self.residuals.iter().zip(&self.images) {
                let along = dot(q, &r);
                r.iter_mut().zip(q).for_each(|(r, q)| *r -= along * q);
                t.iter_mut().zip(image).for_each(|(t, image)| *t -= along * image);
            }
            let length = dot(&r, &r).sqrt();
            if length > DEPENDENT * before {
                r.iter_mut().for_each(|v| *v /= length);
                t.iter_mut().for_each(|v| *v /= length);
                self.residuals.push(r);
                self.images.push(t);
            }
        }
        Ok(())
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
