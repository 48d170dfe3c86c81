//! SpMV against the memory it reads: CSR, f64, 32-bit indices, one thread, matrices of at least
//! eight times a 32 MiB last-level cache.
//!
//! The bytes of a product are 12 an entry (value, column) and 20 a row (pointer, x, y). The
//! yardstick is the best of several kernels that do nothing but read arrays of that size, taken
//! in turn with the product in the same run; the smallest of many times counts for each.

use reknit::linalg::{Panel, PanelMut};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{Body, Trans};
use reknit::runtime::random::Stream;
use reknit::runtime::Pool;
use std::hint::black_box;
use std::time::Instant;

const REPETITIONS: usize = 25;
const LANES: usize = 8;

struct Matrix {
    name: &'static str,
    n: usize,
    ptr: Vec<i32>,
    ind: Vec<i32>,
    values: Vec<f64>,
}

impl Matrix {
    fn new(name: &'static str, n: usize) -> Self {
        Matrix { name, n, ptr: vec![0], ind: Vec::new(), values: Vec::new() }
    }

    fn push(&mut self, column: usize) {
        self.ind.push(column as i32);
        self.values.push(1.0 / (1.0 + (self.ind.len() % 97) as f64));
    }

    fn end_row(&mut self) {
        self.ptr.push(self.ind.len() as i32);
    }

    fn bytes(&self) -> f64 {
        (12 * self.ind.len() + 20 * self.n) as f64
    }
}

/// The 5-point stencil on an m x m grid.
fn plane(m: usize) -> Matrix {
    let mut a = Matrix::new("5-point, 2-D", m * m);
    for j in 0..m {
        for i in 0..m {
            let row = j * m + i;
            let near = [(j > 0, row.wrapping_sub(m)), (i > 0, row.wrapping_sub(1)), (true, row), (i + 1 < m, row + 1), (j + 1 < m, row + m)];
            near.iter().filter(|(inside, _)| *inside).for_each(|(_, column)| a.push(*column));
            a.end_row();
        }
    }
    a
}

/// The 27-point stencil on an m x m x m grid.
fn cube(m: usize) -> Matrix {
    let mut a = Matrix::new("27-point, 3-D", m * m * m);
    let near = |i: usize| i.saturating_sub(1)..(i + 2).min(m);
    for k in 0..m {
        for j in 0..m {
            for i in 0..m {
                for c in near(k) {
                    for b in near(j) {
                        near(i).for_each(|x| a.push((c * m + b) * m + x));
                    }
                }
                a.end_row();
            }
        }
    }
    a
}

/// Rows of 8 to 24 entries at random places within a band.
fn band(n: usize, half: usize) -> Matrix {
    let mut a = Matrix::new("random band", n);
    let mut stream = Stream::new(1, 1);
    let mut row = Vec::new();
    for i in 0..n {
        let (from, to) = (i.saturating_sub(half), (i + half).min(n));
        row.clear();
        let mut count = 0;
        stream.words(32 * i as u64, 25, |k, word| match k {
            0 => count = 8 + (word % 17) as usize,
            k if k <= count => row.push(from + (word % (to - from) as u64) as usize),
            _ => {}
        });
        row.sort_unstable();
        row.iter().for_each(|c| a.push(*c));
        a.end_row();
    }
    a
}

/// The sum of an array by `K` independent vectors of partial sums.
fn sum<const K: usize>(x: &[f64]) -> f64 {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut acc = [[0.0; LANES]; K];
            for chunk in x.chunks_exact(K * LANES) {
                for (k, acc) in acc.iter_mut().enumerate() {
                    for l in 0..LANES {
                        acc[l] += chunk[k * LANES + l];
                    }
                }
            }
            acc.iter().flatten().sum()
        },
    )
}

/// Values and columns read side by side, as the product does, and added up.
fn sum_pairs(values: &[f64], ind: &[i32]) -> f64 {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let (mut acc, mut count) = ([0.0; 4 * LANES], [0i32; 4 * LANES]);
            for (v, i) in values.chunks_exact(4 * LANES).zip(ind.chunks_exact(4 * LANES)) {
                for l in 0..4 * LANES {
                    acc[l] += v[l];
                    count[l] = count[l].wrapping_add(i[l]);
                }
            }
            acc.iter().sum::<f64>() + count.iter().fold(0, |a: i32, b| a.wrapping_add(*b)) as f64
        },
    )
}

/// The smallest time of one call each, all bodies taking turns.
fn race<const K: usize>(mut bodies: [&mut dyn FnMut(); K]) -> [f64; K] {
    let mut best = [f64::INFINITY; K];
    for _ in 0..REPETITIONS {
        for (best, body) in best.iter_mut().zip(bodies.iter_mut()) {
            let start = Instant::now();
            body();
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    best
}

fn measure(a: Matrix) {
    let (name, n, bytes, entries) = (a.name, a.n, a.bytes(), a.ind.len());
    let array = vec![1.0; (bytes / 8.0) as usize];
    let (values, ind) = (a.values.clone(), a.ind.clone());
    let parts = Parts { nrows: n, ncols: n, base: 0, ptr: Box::new(a.ptr), ind: Box::new(a.ind), values: Box::new(a.values), copied: true };
    let matrix = Compressed::csr(parts).expect("a legal matrix");
    let x: Vec<f64> = (0..n).map(|i| (i % 11) as f64 - 5.0).collect();
    let mut y = vec![0.0; n];
    let pool = Pool::new();
    let times = race([
        &mut || matrix.apply(&pool, Trans::N, Panel::column(&x), PanelMut::column(&mut y)).expect("a legal product"),
        &mut || {
            black_box(sum::<2>(black_box(&array)));
        },
        &mut || {
            black_box(sum::<4>(black_box(&array)));
        },
        &mut || {
            black_box(sum::<8>(black_box(&array)));
        },
        &mut || {
            black_box(sum_pairs(black_box(&values), black_box(&ind)));
        },
    ]);
    black_box(&y);
    let moved = [bytes, 8.0 * array.len() as f64, 8.0 * array.len() as f64, 8.0 * array.len() as f64, 12.0 * entries as f64];
    let rates: Vec<f64> = moved.iter().zip(times).map(|(b, t)| b / t / 1e9).collect();
    let reading = rates[1..].iter().fold(0.0f64, |m, r| m.max(*r));
    println!(
        "{name:<14} {:>9.0} MB  spmv {:>6.2} GB/s  reading {reading:>6.2} GB/s ({})  ratio {:.3}",
        bytes / 1e6,
        rates[0],
        rates[1..].iter().map(|r| format!("{r:.2}")).collect::<Vec<_>>().join(" "),
        rates[0] / reading
    );
}

fn main() {
    measure(plane(2100));
    measure(cube(102));
    measure(band(1_600_000, 4000));
}
