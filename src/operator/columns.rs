//! Panels cut into groups of up to four columns: a kernel reads its matrix once for a group.

use crate::linalg::lanes::LANES;
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Result, Scalar};

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

/// Runs `group` over panels of up to `LANES` columns; all of them even if one fails, as `by_column`.
pub fn by_group<T>(x: Panel<T>, y: PanelMut<T>, mut group: impl FnMut(Panel<T>, PanelMut<T>) -> Result<()>) -> Result<()> {
    (0..x.ncols).step_by(LANES).fold(Ok(()), |done, from| {
        let ncols = LANES.min(x.ncols - from);
        // A panel without rows may have no data at all.
        let data = y.data.get_mut(from * y.ld..).unwrap_or(&mut []);
        done.and(group(x.cols(from, from + ncols), PanelMut { data, nrows: y.nrows, ncols, ld: y.ld }))
    })
}

/// Numbers of which `side_by_side` makes `n` rows.
pub fn room(n: usize) -> usize {
    n * LANES + LINE
}

/// Numbers of any kind that fill a line of the cache.
const LINE: usize = 16;

/// Rows in `work`, of which none crosses more lines of the cache than it must.
pub fn side_by_side<T>(work: &mut [T], n: usize) -> &mut [[T; LANES]] {
    let skip = work.as_ptr().align_offset(LINE * size_of::<f32>());
    let work = &mut work[if skip < LINE { skip } else { 0 }..];
    &mut pulp::as_arrays_mut(work).0[..n]
}

/// rows[k] <- pick(x[from(k)]). Lanes without a column repeat the last one, so that what is computed there is no
/// more exceptional than the rest.
#[inline(always)]
pub fn interleave<T: Copy>(x: Panel<T>, rows: &mut [[T; LANES]], from: impl Fn(usize) -> usize, pick: impl Fn(T) -> T) {
    let x: [&[T]; LANES] = std::array::from_fn(|c| x.col(c.min(x.ncols - 1)));
    let rows = &mut rows[..x[0].len()];
    for (k, row) in rows.iter_mut().enumerate() {
        let i = from(k);
        *row = std::array::from_fn(|c| pick(x[c][i]));
    }
}

/// y[to(k)] <- pick(rows[k]).
#[inline(always)]
pub fn separate<T: Copy>(rows: &[[T; LANES]], mut y: PanelMut<T>, to: impl Fn(usize) -> usize, pick: impl Fn(T) -> T) {
    match y.ncols {
        1 => separated::<T, 1>(rows, write(&mut y, 0), to, pick),
        2 => separated::<T, 2>(rows, write(&mut y, 0), to, pick),
        3 => separated::<T, 3>(rows, write(&mut y, 0), to, pick),
        _ => separated::<T, LANES>(rows, write(&mut y, 0), to, pick),
    }
}

#[inline(always)]
fn separated<T: Copy, const K: usize>(rows: &[[T; LANES]], y: [&mut [T]; K], to: impl Fn(usize) -> usize, pick: impl Fn(T) -> T) {
    let rows = &rows[..y[0].len()];
    for (k, row) in rows.iter().enumerate() {
        let i = to(k);
        for c in 0..K {
            y[c][i] = pick(row[c]);
        }
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
