//! What a transport solver has learned, as bytes: the potentials that the next solve starts from.

use super::Sinkhorn;
use crate::runtime::{archive, Archive, Error, Result};

const WHAT: &str = "a saved state";
/// What tells these states from those of other solvers.
const NOUN: &str = "sinkhorn";

impl Sinkhorn {
    /// Bytes that [`Sinkhorn::save`] writes.
    pub fn saved_len(&mut self) -> Result<usize> {
        archive::measure(|archive| self.archive(archive))
    }

    pub fn save(&mut self, out: &mut [u8]) -> Result<()> {
        archive::write(out, |archive| self.archive(archive))
    }

    /// A solver in the saved state; it has the potentials to start from, and no plan.
    pub fn loaded(bytes: &[u8]) -> Result<Self> {
        archive::read(bytes, None, |archive| {
            let mut new = Sinkhorn::default();
            new.archive(archive)?;
            Ok(new)
        })
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let mut noun = NOUN.to_string();
        archive.text(&mut noun)?;
        if noun != NOUN {
            return Err(Error::Format(format!("argument 'buf' holds a saved state of another kind ({noun})")));
        }
        for potentials in [&mut self.last, &mut self.before] {
            archive.optional(potentials, || Ok(Vec::new()), |archive, v| archive.vector(v, WHAT))?;
        }
        Ok(())
    }
}
