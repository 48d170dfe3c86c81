//! Saved states: bytes that say what they are, with a checksum behind them, the same on every machine.
//!
//! One function of a type both writes and reads it: an [`Archive`] counts, writes or reads, and hands back
//! what it passed. Numbers are little-endian; counts are 64 bits wide.
//!
//! Operators are known by numbers of the process that saved. A [`Renaming`] puts those of the process that
//! loads in their place; what belonged to anything else is then taken for out of date.

use super::{memory, Error, Result, Scalar};

const MAGIC: [u8; 8] = *b"reknit\x01\x00";

/// (identity, version) of operators, and a version, then and now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Renaming {
    pub a: [[u64; 2]; 2],
    pub m: [[u64; 2]; 2],
    pub scaling: [u64; 2],
}

enum Mode<'a> {
    Count,
    Write(&'a mut [u8]),
    Read(&'a [u8]),
}

pub struct Archive<'a> {
    mode: Mode<'a>,
    at: usize,
    pub renaming: Option<Renaming>,
}

fn cut() -> Error {
    Error::Format("argument 'buf' ends before the saved state does".to_string())
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ *b as u64).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Bytes that `pass` writes.
pub fn measure(pass: impl FnOnce(&mut Archive) -> Result<()>) -> Result<usize> {
    let mut archive = Archive { mode: Mode::Count, at: MAGIC.len(), renaming: None };
    pass(&mut archive)?;
    Ok(archive.at + 8)
}

/// Writes what `pass` says into the front of `out`, which `measure` says is long enough.
pub fn write(out: &mut [u8], pass: impl FnOnce(&mut Archive) -> Result<()>) -> Result<()> {
    let mut archive = Archive { mode: Mode::Write(out), at: 0, renaming: None };
    archive.bytes(MAGIC)?;
    pass(&mut archive)?;
    let (at, Mode::Write(out)) = (archive.at, archive.mode) else { return Err(cut()) };
    let sum = checksum(&out[..at]).to_le_bytes();
    out.get_mut(at..at + 8).ok_or_else(cut)?.copy_from_slice(&sum);
    Ok(())
}

/// Checks `bytes` and lets `pass` read them. Bytes behind the state are ignored.
pub fn read<R>(bytes: &[u8], renaming: Option<Renaming>, pass: impl FnOnce(&mut Archive) -> Result<R>) -> Result<R> {
    if bytes.len() < MAGIC.len() || bytes[..6] != MAGIC[..6] {
        return Err(Error::Format("argument 'buf' holds no saved state of reknit".to_string()));
    }
    if bytes[6..8] != MAGIC[6..] {
        let version = u16::from_le_bytes([bytes[6], bytes[7]]);
        return Err(Error::Format(format!("argument 'buf' holds a saved state of format {version}, this library reads format 1")));
    }
    let mut archive = Archive { mode: Mode::Read(bytes), at: MAGIC.len(), renaming };
    let read = pass(&mut archive)?;
    let end = archive.at;
    let stored = bytes.get(end..end + 8).ok_or_else(cut)?;
    if stored != checksum(&bytes[..end]).to_le_bytes() {
        return Err(damaged());
    }
    Ok(read)
}

/// For what can be told to be wrong before the checksum is met.
pub fn damaged() -> Error {
    Error::Format("argument 'buf' holds a damaged state: its checksum is wrong".to_string())
}

impl Archive<'_> {
    pub fn reads(&self) -> bool {
        matches!(self.mode, Mode::Read(_))
    }

    #[inline(always)]
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> Result<[u8; N]> {
        let span = self.at..self.at + N;
        self.at += N;
        match &mut self.mode {
            Mode::Count => Ok(value),
            Mode::Write(out) => {
                out.get_mut(span).ok_or_else(cut)?.copy_from_slice(&value);
                Ok(value)
            }
            Mode::Read(from) => from.get(span).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut),
        }
    }

    pub fn word(&mut self, v: &mut u64) -> Result<()> {
        *v = u64::from_le_bytes(self.bytes(v.to_le_bytes())?);
        Ok(())
    }

    pub fn count(&mut self, v: &mut usize) -> Result<()> {
        let mut word = *v as u64;
        self.word(&mut word)?;
        *v = usize::try_from(word).map_err(|_| damaged())?;
        Ok(())
    }

    /// A count that may not pass `most`.
    pub fn count_up_to(&mut self, v: &mut usize, most: usize) -> Result<()> {
        self.count(v)?;
        if *v > most { Err(damaged()) } else { Ok(()) }
    }

    pub fn flag(&mut self, v: &mut bool) -> Result<()> {
        *v = self.bytes([*v as u8])?[0] != 0;
        Ok(())
    }

    pub fn number(&mut self, v: &mut f64) -> Result<()> {
        *v = f64::from_le_bytes(self.bytes(v.to_le_bytes())?);
        Ok(())
    }

    pub fn text(&mut self, v: &mut String) -> Result<()> {
        let mut len = v.len();
        self.count_up_to(&mut len, 1 << 16)?;
        let mut bytes = if self.reads() { vec![0; len] } else { v.as_bytes().to_vec() };
        for b in &mut bytes {
            *b = self.bytes([*b])?[0];
        }
        *v = String::from_utf8(bytes).map_err(|_| damaged())?;
        Ok(())
    }

    /// An array whose length both sides know.
    pub fn scalars<T: Scalar>(&mut self, values: &mut [T]) -> Result<()> {
        let single = T::KIND.size() == if T::IS_COMPLEX { 8 } else { 4 };
        if let (Mode::Count, parts) = (&self.mode, 1 + T::IS_COMPLEX as usize) {
            self.at += values.len() * parts * if single { 4 } else { 8 };
            return Ok(());
        }
        for v in values {
            let mut parts = [v.real_part(), v.imag_part()];
            for part in &mut parts[..1 + T::IS_COMPLEX as usize] {
                if single {
                    *part = f32::from_le_bytes(self.bytes((*part as f32).to_le_bytes())?) as f64;
                } else {
                    self.number(part)?;
                }
            }
            *v = T::from_parts(parts[0], parts[1]);
        }
        Ok(())
    }

    /// An array with its length.
    pub fn vector<T: Scalar>(&mut self, v: &mut Vec<T>, what: &'static str) -> Result<()> {
        let mut len = v.len();
        self.count(&mut len)?;
        if let Mode::Read(from) = &self.mode {
            if len > from.len() {
                return Err(damaged());
            }
            *v = memory::filled(len, T::ZERO, what)?;
        }
        self.scalars(v)
    }

    /// Something that may be absent; a reader makes it by `new` first.
    pub fn optional<V>(&mut self, v: &mut Option<V>, new: impl FnOnce() -> Result<V>, pass: impl FnOnce(&mut Self, &mut V) -> Result<()>) -> Result<()> {
        let mut present = v.is_some();
        self.flag(&mut present)?;
        if self.reads() {
            *v = if present { Some(new()?) } else { None };
        }
        v.as_mut().map_or(Ok(()), |v| pass(self, v))
    }

    /// (identity, version) of an operator.
    pub fn operator(&mut self, v: &mut [u64; 2]) -> Result<()> {
        self.word(&mut v[0])?;
        self.word(&mut v[1])?;
        if let Some(renaming) = self.renaming.filter(|_| self.reads() && v[0] != 0) {
            let known = [renaming.a, renaming.m].into_iter().find(|[then, _]| then[0] == v[0]);
            *v = match known {
                Some([then, now]) if then[1] == v[1] => now,
                Some([_, now]) => [now[0], 0],
                None => [0, 0],
            };
        }
        Ok(())
    }

    /// The version of a scaling.
    pub fn scaling(&mut self, v: &mut u64) -> Result<()> {
        self.word(v)?;
        if let Some(renaming) = self.renaming.filter(|_| self.reads()) {
            *v = if *v == renaming.scaling[0] { renaming.scaling[1] } else { u64::MAX };
        }
        Ok(())
    }

    /// Operators A and M, with the version of a scaling, that something was made for.
    pub fn identity(&mut self, v: &mut Option<[u64; 5]>) -> Result<()> {
        self.optional(v, || Ok([0; 5]), |archive, [a, a_version, m, m_version, scaling]| {
            for (id, version) in [(a, a_version), (m, m_version)] {
                let mut operator = [*id, *version];
                archive.operator(&mut operator)?;
                [*id, *version] = operator;
            }
            archive.scaling(scaling)
        })
    }
}
