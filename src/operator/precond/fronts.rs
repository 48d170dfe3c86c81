//! The multifrontal method (Duff, Reid, ACM Trans. Math. Softw. 9, 1983): each supernode gathers
//! the entries of the matrix in its columns and what its children in the tree leave to be
//! subtracted further up, eliminates its columns, and leaves an update in its turn: one product of
//! dense matrices a supernode. Which arrays hold what is the same for all matrices of a pattern.

use super::symbolic::Structure;
use crate::linalg::simd::columns::SLACK;
use crate::runtime::{memory, Error, Result, Scalar};

const WHAT: &str = "a factorisation";
const NONE: u32 = u32::MAX;

/// Rows and columns are those of the factor.
pub struct Fronts {
    pub structure: Structure,
    /// Where the columns of each supernode begin among the values of the factor, which hold
    /// `SLACK` numbers more.
    pub offset: Vec<usize>,
    /// Children of each supernode: the first, and the one after each.
    child: Vec<u32>,
    sibling: Vec<u32>,
    /// Updates lie on two stacks, for supernodes at even and odd depth of the tree: so the children
    /// of one can be read while its own update is written. Where each begins, and the stacks'
    /// lengths.
    update: Vec<usize>,
    odd: Vec<bool>,
    room: [usize; 2],
}

/// Room to work in.
pub struct Work<T> {
    stack: [Vec<T>; 2],
    /// Where a row stands in the front at work.
    local: Vec<u32>,
    /// Where the rows of a child stand there.
    place: Vec<u32>,
    /// For products: the second factor, scaled.
    pub scaled: Vec<T>,
}

/// One supernode: its own columns and the rows below.
#[derive(Clone, Copy)]
pub struct Shape {
    pub width: usize,
    pub below: usize,
}

impl Shape {
    pub fn tall(self) -> usize {
        self.width + self.below
    }

    /// The leading dimension of the update: vectors may be read past the end of a column.
    pub fn stride(self) -> usize {
        self.below + SLACK
    }
}

impl Fronts {
    /// `sides` is 1 for factors of which one is stored, 2 for both.
    pub fn new(structure: Structure, sides: usize) -> Result<Self> {
        let count = structure.parent.len();
        let too_large = || Error::Memory { what: WHAT, bytes: usize::MAX };
        let mut fronts = Fronts {
            structure,
            offset: memory::with_capacity(count + 1, WHAT)?,
            child: memory::filled(count, NONE, WHAT)?,
            sibling: memory::filled(count, NONE, WHAT)?,
            update: memory::filled(count, 0, WHAT)?,
            odd: memory::filled(count, false, WHAT)?,
            room: [0; 2],
        };
        fronts.offset.push(0);
        for s in 0..count {
            let Shape { width, below } = fronts.shape(s);
            let entries = (width + sides * below).checked_mul(width);
            fronts.offset.push(entries.and_then(|e| e.checked_add(fronts.offset[s])).ok_or_else(too_large)?);
        }
        for s in (0..count).rev() {
            let parent = fronts.structure.parent[s];
            if parent != NONE {
                fronts.odd[s] = !fronts.odd[parent as usize];
                fronts.sibling[s] = std::mem::replace(&mut fronts.child[parent as usize], s as u32);
            }
        }
        let mut top = [0usize; 2];
        for s in 0..count {
            let shape = fronts.shape(s);
            let (mine, theirs) = (fronts.odd[s] as usize, !fronts.odd[s] as usize);
            fronts.update[s] = top[mine];
            let size = shape.below.checked_mul(shape.stride());
            top[mine] = size.and_then(|size| size.checked_add(top[mine])).ok_or_else(too_large)?;
            fronts.room[mine] = fronts.room[mine].max(top[mine]);
            if fronts.child[s] != NONE {
                top[theirs] = fronts.update[fronts.child[s] as usize];
            }
        }
        Ok(fronts)
    }

    pub fn count(&self) -> usize {
        self.structure.parent.len()
    }

    /// Numbers of the factor.
    pub fn entries(&self) -> usize {
        self.offset[self.count()]
    }

    /// The most columns of a supernode, and the most columns and rows together.
    pub fn widest(&self) -> usize {
        (0..self.count()).map(|s| self.shape(s).width).max().unwrap_or(0)
    }

    pub fn tallest(&self) -> usize {
        (0..self.count()).map(|s| self.shape(s).tall()).max().unwrap_or(0)
    }

    /// Multiplications and additions of a Cholesky factorisation: the squares of the columns' lengths.
    pub fn flops(&self) -> i64 {
        let column = |s: usize| {
            let shape = self.shape(s);
            (0..shape.width).map(move |j| ((shape.tall() - j) as i64).pow(2))
        };
        (0..self.count()).flat_map(column).sum()
    }

    #[inline(always)]
    pub fn shape(&self, s: usize) -> Shape {
        let Structure { begin, rows_ptr, .. } = &self.structure;
        Shape { width: begin[s + 1] - begin[s], below: rows_ptr[s + 1] - rows_ptr[s] }
    }
}

impl Fronts {
    pub fn work<T: Scalar>(&self, scaled: usize) -> Result<Work<T>> {
        let n = self.structure.order.len();
        let longest = (0..self.count()).map(|s| self.shape(s).below).max().unwrap_or(0);
        let stack = |k: usize| memory::filled(self.room[k] + SLACK, T::ZERO, WHAT);
        Ok(Work {
            stack: [stack(0)?, stack(1)?],
            local: memory::filled(n, 0, WHAT)?,
            place: memory::filled(longest, 0, WHAT)?,
            scaled: memory::filled(scaled, T::ZERO, WHAT)?,
        })
    }

    /// Adds to the columns of supernode s (`panel`), and to its update, which is set to zero before,
    /// what its children leave. `FULL`: both triangles of updates count, and `panel` has the rows right
    /// of the diagonal behind the columns, as columns; otherwise only lower triangles count.
    #[inline(always)]
    pub fn gather<T: Scalar, const FULL: bool>(&self, s: usize, panel: &mut [T], work: &mut Work<T>) {
        let (begin, end) = (self.structure.begin[s], self.structure.begin[s + 1]);
        let shape = self.shape(s);
        let Work { stack: [even, odd], local, place, .. } = work;
        let (mine, theirs) = if self.odd[s] { (odd, even) } else { (even, odd) };
        let update = &mut mine[self.update[s]..][..shape.below * shape.stride()];
        update.fill(T::ZERO);
        let mut child = self.child[s];
        if child != NONE {
            for (i, row) in self.structure.rows(s).iter().enumerate() {
                local[*row as usize] = (shape.width + i) as u32;
            }
        }
        while child != NONE {
            let c = child as usize;
            let rows = self.structure.rows(c);
            let place = &mut place[..rows.len()];
            for (place, row) in place.iter_mut().zip(rows) {
                *place = if (*row as usize) < end { row - begin as u32 } else { local[*row as usize] };
            }
            let own = place.partition_point(|p| (*p as usize) < shape.width);
            add::<T, FULL>(&theirs[self.update[c]..], self.shape(c), own, place, shape, panel, update);
            child = self.sibling[c];
        }
    }

    /// The update of supernode s, and `scaled`.
    #[inline(always)]
    pub fn update<'a, T>(&self, s: usize, work: &'a mut Work<T>) -> (&'a mut [T], &'a mut [T]) {
        let shape = self.shape(s);
        let update = &mut work.stack[self.odd[s] as usize][self.update[s]..][..shape.below * shape.stride() + SLACK];
        (update, &mut work.scaled)
    }
}

/// Adds a child's update, of which the first `own` rows go to the front's own columns.
#[inline(always)]
fn add<T: Scalar, const FULL: bool>(from: &[T], child: Shape, own: usize, place: &[u32], shape: Shape, panel: &mut [T], update: &mut [T]) {
    let Shape { width, below } = shape;
    let (left, right) = panel.split_at_mut(shape.tall() * width);
    for (j, to) in place.iter().map(|p| *p as usize).enumerate() {
        let first = if FULL { 0 } else { j };
        let column = &from[j * child.stride()..][..child.below];
        if j < own {
            let left = &mut left[to * shape.tall()..][..shape.tall()];
            for (i, v) in place[first..].iter().zip(&column[first..]) {
                left[*i as usize] += *v;
            }
            continue;
        }
        if FULL {
            for (i, v) in place[..own].iter().zip(column) {
                right[*i as usize * below + to - width] += *v;
            }
        }
        let first = first.max(own);
        let update = &mut update[(to - width) * shape.stride()..][..below];
        for (i, v) in place[first..].iter().zip(&column[first..]) {
            update[*i as usize - width] += *v;
        }
    }
}

/// Which entries of a matrix go where in the columns of the supernodes.
pub struct Entries {
    /// For each supernode, where its entries begin, and where those begin that are conjugated.
    ptr: Vec<usize>,
    source: Vec<usize>,
    /// Counted from the beginning of the supernode's columns.
    place: Vec<usize>,
}

impl Entries {
    /// For rows `col[ptr[i]..ptr[i + 1]]`, ascending. `hermitian`: of a lower triangle, other entries
    /// are passed over; where the order turns one round, its conjugate is taken. Otherwise the
    /// supernodes have rows right of the diagonal behind their columns.
    pub fn new(fronts: &Fronts, hermitian: bool, ptr: &[usize], col: &[u32]) -> Result<Self> {
        let structure = &fronts.structure;
        let (n, count) = (ptr.len() - 1, fronts.count());
        let mut position = memory::filled(n, 0u32, WHAT)?;
        structure.order.iter().enumerate().for_each(|(k, v)| position[*v as usize] = k as u32);
        let mut owner = memory::filled(n, 0u32, WHAT)?;
        (0..count).for_each(|s| owner[structure.begin[s]..structure.begin[s + 1]].fill(s as u32));
        let each = |see: &mut dyn FnMut(usize, usize, u32, u32)| {
            for i in 0..n {
                for e in ptr[i]..ptr[i + 1] {
                    let (r, c) = (position[i], position[col[e] as usize]);
                    if hermitian && col[e] as usize > i {
                        break;
                    }
                    let bucket = 2 * owner[r.min(c) as usize] as usize + (hermitian && r < c) as usize;
                    if hermitian { see(bucket, e, r.max(c), r.min(c)) } else { see(bucket, e, r, c) }
                }
            }
        };
        let mut end = memory::filled(2 * count + 1, 0usize, WHAT)?;
        each(&mut |bucket, _, _, _| end[bucket] += 1);
        let mut sum = 0;
        end.iter_mut().for_each(|e| sum += std::mem::replace(e, sum));
        let begin = memory::copied(&end, WHAT)?;
        let mut source = memory::filled(sum, 0usize, WHAT)?;
        let mut at = memory::filled(sum, (0u32, 0u32), WHAT)?;
        each(&mut |bucket, e, r, c| {
            source[end[bucket]] = e;
            at[end[bucket]] = (r, c);
            end[bucket] += 1;
        });
        let mut place = memory::with_capacity(sum, WHAT)?;
        let mut local = owner;
        for s in 0..count {
            let shape = fronts.shape(s);
            let (first, end) = (structure.begin[s], structure.begin[s + 1]);
            for (i, row) in structure.rows(s).iter().enumerate() {
                local[*row as usize] = i as u32;
            }
            place.extend(at[begin[2 * s]..begin[2 * s + 2]].iter().map(|(r, c)| {
                let (r, c) = (*r as usize, *c as usize);
                if c >= end {
                    return shape.tall() * shape.width + (r - first) * shape.below + local[c] as usize;
                }
                (c - first) * shape.tall() + if r < end { r - first } else { shape.width + local[r] as usize }
            }));
        }
        Ok(Entries { ptr: begin, source, place })
    }

    /// The columns of supernode s before any elimination.
    #[inline(always)]
    pub fn enter<T: Scalar>(&self, s: usize, numbers: &[T], panel: &mut [T]) {
        panel.fill(T::ZERO);
        let span = |k: usize| self.ptr[k]..self.ptr[k + 1];
        for (place, source) in self.place[span(2 * s)].iter().zip(&self.source[span(2 * s)]) {
            panel[*place] += numbers[*source];
        }
        for (place, source) in self.place[span(2 * s + 1)].iter().zip(&self.source[span(2 * s + 1)]) {
            panel[*place] += numbers[*source].conj();
        }
    }
}
