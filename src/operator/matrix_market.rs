//! Matrix Market files: coordinate and array; real, integer, complex and pattern; general,
//! symmetric, Hermitian and skew-symmetric.
//!
//! Source: Boisvert, Pozo, Remington, The Matrix Market exchange formats: initial design,
//! NISTIR 5935 (1996). Beyond it, blank lines and comments may stand anywhere after the header,
//! and an exponent may be written with D.

use super::assemble;
use super::sparse::Compressed;
use crate::runtime::{memory, Error, Kind, Result, Scalar};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// A line of a legal file is much shorter than this.
const LONGEST: u64 = 4096;

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Coordinate,
    Array,
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Real,
    Complex,
    Pattern,
}

#[derive(Clone, Copy, PartialEq)]
enum Symmetry {
    General,
    Symmetric,
    Hermitian,
    Skew,
}

impl Symmetry {
    fn name(self) -> &'static str {
        match self {
            Symmetry::General => "general",
            Symmetry::Symmetric => "symmetric",
            Symmetry::Hermitian => "hermitian",
            Symmetry::Skew => "skew-symmetric",
        }
    }
}

/// The matrix in a file, both triangles of it. Zeros of an array are left out.
///
/// Errors: `File` for a file that cannot be read, `Format` for one that is not what it should be
/// (with the line), `Scalar` for complex numbers that are to become real, `NonFinite`, `Memory`.
pub fn read<T: Scalar>(path: &str) -> Result<Compressed<T, i64>> {
    let unreadable = |e: std::io::Error| Error::File(format!("file '{path}' cannot be read: {e}"));
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    // Pipes and devices do not know their length.
    let bytes = if about.is_file() { about.len() } else { u64::MAX };
    parse(path, bytes, BufReader::new(file))
}

/// As [`read`], from an open source of at most `bytes` bytes; `path` names it in messages.
pub fn parse<T: Scalar>(path: &str, bytes: u64, source: impl BufRead) -> Result<Compressed<T, i64>> {
    let mut lines = Lines { path, source, number: 0, text: Vec::new() };
    let header = header(&mut lines)?;
    if header.field == Field::Complex && !T::IS_COMPLEX {
        let wanted = if T::KIND == Kind::F32 { "c32" } else { "c64" };
        return Err(Error::Scalar(format!("file '{path}' holds complex numbers, which need {wanted}, not {}", T::KIND.name())));
    }
    let (rows, cols, entries) = size(&mut lines, &header)?;
    // An entry takes at least two bytes: a wrong count must not cost more memory than the file.
    if entries as u64 > bytes / 2 + 1 {
        return Err(lines.wrong(format!("announces {entries} entries, more than the file can hold")));
    }
    let mut triplets = Triplets::<T>::new(entries, header.symmetry)?;
    let mut place = Place { i: 1, j: 1 };
    for k in 0..entries {
        if !lines.next()? {
            return Err(lines.wrong(format!("is the end of the file after {k} of {entries} entries")));
        }
        let mut words = lines.words();
        match header.layout {
            Layout::Coordinate => place = Place { i: lines.place(words.next(), "row", rows)?, j: lines.place(words.next(), "column", cols)? },
            Layout::Array => place.settle(rows, header.symmetry),
        }
        let v = lines.value(&header, &mut words)?;
        if let Some(word) = words.next() {
            return Err(lines.wrong(format!("has '{word}' after its entry")));
        }
        lines.check(&header, &place, v)?;
        if header.layout == Layout::Coordinate || v != T::ZERO {
            triplets.push_with_image(place.i, place.j, v);
        }
        place.i += 1;
    }
    if lines.next()? {
        return Err(lines.wrong(format!("follows the last of {entries} entries")));
    }
    assemble::coo(rows, cols, 1, &triplets.rows, &triplets.cols, &triplets.values)
}

struct Header {
    layout: Layout,
    field: Field,
    symmetry: Symmetry,
}

/// Row and column of an entry, from 1.
struct Place {
    i: usize,
    j: usize,
}

impl Place {
    /// Moves past the end of a column of an array to the next entry that is stored.
    fn settle(&mut self, rows: usize, symmetry: Symmetry) {
        if symmetry == Symmetry::Skew && self.i == self.j {
            self.i += 1;
        }
        if self.i > rows {
            self.j += 1;
            self.i = match symmetry {
                Symmetry::General => 1,
                Symmetry::Skew => self.j + 1,
                _ => self.j,
            };
        }
    }
}

/// Lines that say something, with their numbers.
struct Lines<'a, R> {
    path: &'a str,
    source: R,
    number: usize,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<'_, R> {
    /// Reads one line; false at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        self.text.clear();
        let read = self.source.by_ref().take(LONGEST).read_until(b'\n', &mut self.text);
        let read = read.map_err(|e| Error::File(format!("file '{}' cannot be read: {e}", self.path)))?;
        self.number += 1;
        if read as u64 == LONGEST && !self.text.ends_with(b"\n") {
            return Err(self.wrong(format!("is longer than {LONGEST} bytes")));
        }
        Ok(read > 0)
    }

    /// Advances to the next line that is neither blank nor a comment.
    fn next(&mut self) -> Result<bool> {
        while self.advance()? {
            let text = self.text.trim_ascii();
            if !text.is_empty() && text[0] != b'%' {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The words of the line. Text that is not UTF-8 becomes a word that no one expects.
    fn words(&self) -> impl Iterator<Item = &str> {
        std::str::from_utf8(&self.text).unwrap_or("\u{fffd}").split_ascii_whitespace()
    }

    fn wrong(&self, what: String) -> Error {
        Error::Format(format!("file '{}', line {} {what}", self.path, self.number))
    }

    fn count(&self, word: &str, what: &str) -> Result<usize> {
        let count = word.parse::<i64>().ok().and_then(|v| usize::try_from(v).ok());
        count.ok_or_else(|| self.wrong(format!("has '{word}' for the {what}, must be an integer that is not negative")))
    }

    fn place(&self, word: Option<&str>, what: &str, most: usize) -> Result<usize> {
        let word = word.ok_or_else(|| self.wrong(format!("has no {what}")))?;
        let place = word.parse::<usize>().ok().filter(|p| (1..=most).contains(p));
        place.ok_or_else(|| self.wrong(format!("has '{word}' for the {what}, must be an integer in 1..{most}")))
    }

    fn number(&self, word: Option<&str>) -> Result<f64> {
        let word = word.ok_or_else(|| self.wrong("has too few numbers".to_string()))?;
        let number = word.parse().or_else(|e| word.replace(['d', 'D'], "e").parse().map_err(|_| e));
        number.map_err(|_| self.wrong(format!("has '{word}', must be a number")))
    }

    fn value<'w, T: Scalar>(&self, header: &Header, words: &mut impl Iterator<Item = &'w str>) -> Result<T> {
        let (re, im) = match header.field {
            Field::Real => (self.number(words.next())?, 0.0),
            Field::Complex => (self.number(words.next())?, self.number(words.next())?),
            Field::Pattern => (1.0, 0.0),
        };
        let v = T::from_parts(re, im);
        if !v.finite() {
            let (path, number, kind) = (self.path, self.number, T::KIND.name());
            return Err(Error::NonFinite(format!("file '{path}', line {number} has {v}, must be finite in {kind}")));
        }
        Ok(v)
    }

    /// What a symmetry rules out.
    fn check<T: Scalar>(&self, header: &Header, place: &Place, v: T) -> Result<()> {
        let name = header.symmetry.name();
        if header.symmetry != Symmetry::General && place.j > place.i {
            return Err(self.wrong(format!("has row {}, column {}: a {name} file holds the lower triangle", place.i, place.j)));
        }
        let impossible = match header.symmetry {
            Symmetry::Skew => true,
            Symmetry::Hermitian => v.imag_part() != 0.0,
            _ => false,
        };
        if place.i == place.j && impossible {
            return Err(self.wrong(format!("has {v} on the diagonal of a {name} matrix")));
        }
        Ok(())
    }
}

/// `%%MatrixMarket matrix <layout> <field> <symmetry>`, in any case.
fn header<R: BufRead>(lines: &mut Lines<R>) -> Result<Header> {
    lines.advance()?;
    let line = std::str::from_utf8(&lines.text).unwrap_or_default().to_ascii_lowercase();
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let ["%%matrixmarket", "matrix", layout, field, symmetry] = words[..] else {
        return Err(lines.wrong("must be '%%MatrixMarket matrix <layout> <field> <symmetry>'".to_string()));
    };
    let layout = match layout {
        "coordinate" => Layout::Coordinate,
        "array" => Layout::Array,
        other => return Err(lines.wrong(format!("has the layout '{other}', must be coordinate or array"))),
    };
    let field = match field {
        "real" | "double" | "integer" => Field::Real,
        "complex" => Field::Complex,
        "pattern" => Field::Pattern,
        other => return Err(lines.wrong(format!("has the field '{other}', must be real, integer, complex or pattern"))),
    };
    let symmetry = match symmetry {
        "general" => Symmetry::General,
        "symmetric" => Symmetry::Symmetric,
        "hermitian" => Symmetry::Hermitian,
        "skew-symmetric" => Symmetry::Skew,
        other => {
            return Err(lines.wrong(format!("has the symmetry '{other}', must be general, symmetric, hermitian or skew-symmetric")));
        }
    };
    let no_numbers = field == Field::Pattern && (layout == Layout::Array || matches!(symmetry, Symmetry::Skew | Symmetry::Hermitian));
    if no_numbers {
        return Err(lines.wrong(format!("has a pattern that is an array or {}", symmetry.name())));
    }
    Ok(Header { layout, field, symmetry })
}

/// Rows, columns, and the entries that follow, one a line.
fn size<R: BufRead>(lines: &mut Lines<R>, header: &Header) -> Result<(usize, usize, usize)> {
    if !lines.next()? {
        return Err(lines.wrong("is the end of the file before the sizes".to_string()));
    }
    let words: Vec<&str> = lines.words().take(4).collect();
    let (rows, cols, entries) = match (header.layout, &words[..]) {
        (Layout::Coordinate, [m, n, e]) => (lines.count(m, "rows")?, lines.count(n, "columns")?, Some(lines.count(e, "entries")?)),
        (Layout::Array, [m, n]) => (lines.count(m, "rows")?, lines.count(n, "columns")?, None),
        (Layout::Coordinate, _) => return Err(lines.wrong("must be '<rows> <columns> <entries>'".to_string())),
        (Layout::Array, _) => return Err(lines.wrong("must be '<rows> <columns>'".to_string())),
    };
    if header.symmetry != Symmetry::General && rows != cols {
        return Err(lines.wrong(format!("has {rows} rows and {cols} columns, but a {} matrix is square", header.symmetry.name())));
    }
    let entries = entries.or_else(|| stored(rows, cols, header.symmetry));
    let entries = entries.ok_or_else(|| lines.wrong(format!("announces {rows} x {cols} entries, more than the file can hold")))?;
    Ok((rows, cols, entries))
}

/// Entries of an array: all, or one triangle with or without the diagonal.
fn stored(rows: usize, cols: usize, symmetry: Symmetry) -> Option<usize> {
    match symmetry {
        Symmetry::General => rows.checked_mul(cols),
        Symmetry::Skew => rows.checked_mul(rows.saturating_sub(1)).map(|twice| twice / 2),
        _ => rows.checked_mul(rows.checked_add(1)?).map(|twice| twice / 2),
    }
}

/// Entries with places counted from 1.
struct Triplets<T> {
    rows: Vec<i64>,
    cols: Vec<i64>,
    values: Vec<T>,
    symmetry: Symmetry,
}

impl<T: Scalar> Triplets<T> {
    fn new(stored: usize, symmetry: Symmetry) -> Result<Self> {
        let most = if symmetry == Symmetry::General { stored } else { memory::product(2, stored, "matrix")? };
        Ok(Triplets {
            rows: memory::with_capacity(most, "matrix")?,
            cols: memory::with_capacity(most, "matrix")?,
            values: memory::with_capacity(most, "matrix")?,
            symmetry,
        })
    }

    fn push(&mut self, i: usize, j: usize, v: T) {
        self.rows.push(i as i64);
        self.cols.push(j as i64);
        self.values.push(v);
    }

    /// An entry and its mirror image.
    fn push_with_image(&mut self, i: usize, j: usize, v: T) {
        self.push(i, j, v);
        match self.symmetry {
            _ if i == j => {}
            Symmetry::General => {}
            Symmetry::Symmetric => self.push(j, i, v),
            Symmetry::Hermitian => self.push(j, i, v.conj()),
            Symmetry::Skew => self.push(j, i, -v),
        }
    }
}
