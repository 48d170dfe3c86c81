//! Panels cut into groups of up to four columns: a kernel reads its matrix once for a group.

use crate::linalg::{Panel, PanelMut};
use crate::runtime::Scalar;

/// Columns of a group at most.
pub const AT_ONCE: usize = 4;

/// A product that is written for any fixed number of columns.
pub trait Group<T> {
    fn run<const K: usize>(&self, x: [&[T]; K], y: [&mut [T]; K]);
}

/// Runs `group` over all columns of `x` and `y`.
pub fn grouped<T: Copy>(x: Panel<T>, mut y: PanelMut<T>, group: &impl Group<T>) {
    let mut j = 0;
    while j < x.ncols {
        let y = &mut y;
        match x.ncols - j {
            1 => group.run::<1>(read(x, j), write(y, j)),
            2 => group.run::<2>(read(x, j), write(y, j)),
            3 => group.run::<3>(read(x, j), write(y, j)),
            _ => group.run::<4>(read(x, j), write(y, j)),
        }
        j += 4;
    }
}

fn read<'a, T: Copy, const K: usize>(x: Panel<'a, T>, from: usize) -> [&'a [T]; K] {
    std::array::from_fn(|c| x.col(from + c))
}

fn write<'a, T, const K: usize>(y: &'a mut PanelMut<T>, from: usize) -> [&'a mut [T]; K] {
    let n = y.nrows;
    let mut columns = y.data[from * y.ld..].chunks_mut(y.ld.max(1));
    // A panel without rows may have no data at all.
    std::array::from_fn(|_| columns.next().map_or(&mut [][..], |c| &mut c[..n]))
}

/// The sum of a power of two of partial sums, by halves.
#[inline(always)]
pub fn fold<T: Scalar, const W: usize>(mut sums: [T; W]) -> T {
    let mut half = W / 2;
    while half > 0 {
        for i in 0..half {
            let other = sums[i + half];
            sums[i] += other;
        }
        half /= 2;
    }
    sums[0]
}
