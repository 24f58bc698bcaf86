//! octets: READ, WRITE and COMMIT.

use super::{Ops, Outcome, SET_IDS, Wcc};
use crate::access::{READ, WRITE};
use crate::vfs::{Attr, Error, Id, Kind, Set, Stable};
use bytes::Bytes;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Octets, one block after the other.
    pub blocks: Vec<Bytes>,
    /// The file ends behind them.
    pub end: bool,
}

impl Read {
    /// Octets.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(Bytes::len).sum()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Octets.
    pub count: usize,
    /// How stable they are.
    pub stable: Stable,
    /// Of the file system.
    pub verifier: [u8; 8],
}

impl Ops {
    /// READ, of at most `len` octets.
    pub fn read(&self, file: Id, from: u64, len: usize) -> Outcome<Option<Attr>, Read> {
        let attr = match self.fs().attr(file) {
            Ok(attr) => attr,
            Err(e) => return (None, Err(e)),
        };
        if attr.kind != Kind::File {
            return (Some(attr), Err(Error::Inval));
        }
        if !self.caller.may_octets(&attr, READ) {
            return (Some(attr), Err(Error::Acces));
        }
        let blocks = self.fs().read(file, from, len);
        let after = self.attr(file);
        let read = blocks.map(|blocks| {
            let mut read = Read { blocks, end: false };
            let size = after.map_or(attr.size, |attr| attr.size);
            read.end = from.saturating_add(read.len() as u64) >= size;
            read
        });
        (after.or(Some(attr)), read)
    }

    /// WRITE.
    pub fn write(
        &self,
        file: Id,
        from: u64,
        pieces: &[&[u8]],
        stable: Stable,
    ) -> Outcome<Wcc, Written> {
        self.change(file, |before| {
            if before.kind != Kind::File {
                return Err(Error::Inval);
            }
            if !self.caller.may_octets(before, WRITE) {
                return Err(Error::Acces);
            }
            // Before the write: if it fails, octets were written under another verifier.
            let verifier = self.fs().verifier();
            let (count, stable) = self.fs().write(file, from, pieces, stable)?;
            if self.caller.uid != 0 && before.mode & SET_IDS != 0 {
                // What runs as somebody else does so only with the octets it was given for.
                let mode = Some(before.mode & !SET_IDS);
                self.fs().set(file, &Set { mode, ..Set::default() })?;
            }
            Ok(Written { count, stable, verifier })
        })
    }

    /// COMMIT, of all that was written to the file: more than is asked, at one price.
    pub fn commit(&self, file: Id) -> Outcome<Wcc, [u8; 8]> {
        let _alone = self.export.lock(&[file]);
        let before = match self.fs().attr(file) {
            Ok(attr) => attr,
            Err(e) => return (Wcc::default(), Err(e)),
        };
        let done = self.fs().commit(file).map(|()| self.fs().verifier());
        (Wcc { before: Some(before), after: self.attr(file) }, done)
    }
}
