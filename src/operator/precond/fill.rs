//! The pattern of an incomplete factor by level of fill (Saad, Iterative Methods for Sparse
//! Linear Systems, 2nd ed., sec. 10.3.3): an entry of the matrix has level 0, an entry made by
//! eliminating with row k has level(i, k) + level(k, j) + 1, and entries up to a given level stay.

use super::sweep::push;
use super::triangular::Pattern;
use crate::runtime::{memory, Result};

const WHAT: &str = "the pattern of a factor";
const ABSENT: u32 = u32::MAX;
const END: u32 = u32::MAX;

/// The strict triangles of the factors of a square matrix whose rows have ascending columns,
/// diagonal included.
pub fn levels(ptr: &[usize], col: &[u32], limit: u32) -> Result<(Pattern, Pattern)> {
    let n = ptr.len() - 1;
    let room = |entries| -> Result<Pattern> {
        let mut p = Pattern { ptr: memory::with_capacity(n + 1, WHAT)?, col: memory::with_capacity(entries, WHAT)? };
        p.ptr.push(0);
        Ok(p)
    };
    let (mut lower, mut upper) = (room(col.len() / 2)?, room(col.len() / 2)?);
    let mut upper_level: Vec<u32> = Vec::new();
    // Row i is a list in ascending order: `next` leads from a column to the one after it.
    let mut next = memory::filled(n, END, WHAT)?;
    let mut level = memory::filled(n, ABSENT, WHAT)?;
    for i in 0..n {
        let row = &col[ptr[i]..ptr[i + 1]];
        for (j, after) in row.iter().zip(row[1..].iter().chain([&END])) {
            next[*j as usize] = *after;
            level[*j as usize] = 0;
        }
        let mut k = row[0];
        while (k as usize) < i {
            let base = level[k as usize];
            if base < limit {
                let span = upper.ptr[k as usize]..upper.ptr[k as usize + 1];
                let mut at = k as usize;
                for (j, l) in upper.col[span.clone()].iter().zip(&upper_level[span]) {
                    let new = base + l + 1;
                    if new > limit {
                        continue;
                    }
                    let old = &mut level[*j as usize];
                    if *old != ABSENT {
                        *old = new.min(*old);
                        at = *j as usize;
                        continue;
                    }
                    *old = new;
                    while next[at] < *j {
                        at = next[at] as usize;
                    }
                    next[*j as usize] = next[at];
                    next[at] = *j;
                    at = *j as usize;
                }
            }
            push(&mut lower.col, k, WHAT)?;
            level[k as usize] = ABSENT;
            k = next[k as usize];
        }
        level[i] = ABSENT;
        k = next[i];
        while k != END {
            push(&mut upper.col, k, WHAT)?;
            push(&mut upper_level, level[k as usize], WHAT)?;
            level[k as usize] = ABSENT;
            k = next[k as usize];
        }
        lower.ptr.push(lower.col.len());
        upper.ptr.push(upper.col.len());
    }
    Ok((lower, upper))
}

/// As [`levels`], for the symmetric pattern whose lower triangle is that of the given one.
pub fn symmetric_levels(ptr: &[usize], col: &[u32], limit: u32) -> Result<(Pattern, Pattern)> {
    let n = ptr.len() - 1;
    let mut lower = Pattern { ptr: memory::with_capacity(n + 1, WHAT)?, col: memory::with_capacity(col.len(), WHAT)? };
    lower.ptr.push(0);
    for i in 0..n {
        lower.col.extend(col[ptr[i]..ptr[i + 1]].iter().filter(|j| (**j as usize) < i));
        lower.ptr.push(lower.col.len());
    }
    let upper = transposed(&lower)?;
    let mut whole = Pattern { ptr: memory::with_capacity(n + 1, WHAT)?, col: memory::with_capacity(2 * lower.col.len() + n, WHAT)? };
    whole.ptr.push(0);
    for i in 0..n {
        whole.col.extend_from_slice(&lower.col[lower.ptr[i]..lower.ptr[i + 1]]);
        whole.col.push(i as u32);
        whole.col.extend_from_slice(&upper.col[upper.ptr[i]..upper.ptr[i + 1]]);
        whole.ptr.push(whole.col.len());
    }
    levels(&whole.ptr, &whole.col, limit)
}

/// The pattern of the transpose of a square matrix.
pub fn transposed(a: &Pattern) -> Result<Pattern> {
    let n = a.ptr.len() - 1;
    let mut ptr = memory::filled(n + 1, 0usize, WHAT)?;
    let mut col = memory::filled(a.col.len(), 0u32, WHAT)?;
    transpose_into(&a.ptr, &a.col, &mut ptr, |_, at, i| col[at] = i);
    Ok(Pattern { ptr, col })
}

/// Calls `put(entry, place, row)` for each entry with its place in the transpose, whose pointers
/// are written to `to`.
pub fn transpose_into(ptr: &[usize], col: &[u32], to: &mut [usize], mut put: impl FnMut(usize, usize, u32)) {
    let n = ptr.len() - 1;
    to[..n + 1].fill(0);
    for j in &col[..ptr[n]] {
        to[*j as usize + 1] += 1;
    }
    for j in 0..n {
        to[j + 1] += to[j];
    }
    for i in 0..n {
        for e in ptr[i]..ptr[i + 1] {
            let at = &mut to[col[e] as usize];
            put(e, *at, i as u32);
            *at += 1;
        }
    }
    // Each pointer has moved on to the next row's start.
    to.copy_within(0..n, 1);
    to[0] = 0;
}
