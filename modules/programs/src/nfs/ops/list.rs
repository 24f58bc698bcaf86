//! list: READDIR and READDIRPLUS, as many entries as there is room for.

use super::{Object, Ops, Outcome};
use crate::access::READ;
use crate::handle::HANDLE_LEN;
use crate::vfs::{Attr, DirEntry, Error, Id, Kind};

/// Entries of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// In their order.
    pub entries: Vec<Entry>,
    /// There are no more.
    pub end: bool,
    /// Of the directory: cookies are its own.
    pub verifier: [u8; 8],
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object's number.
    pub number: u64,
    /// Its name.
    pub name: Vec<u8>,
    /// Where the list goes on.
    pub cookie: u64,
    /// What READDIRPLUS tells of it, if the caller may look it up.
    pub object: Option<Object>,
}

impl Ops {
    /// READDIR behind a cookie (0: from the start), in at most `room` octets of results.
    pub fn readdir(
        &self,
        dir: Id,
        cookie: u64,
        verifier: [u8; 8],
        room: usize,
    ) -> Outcome<Option<Attr>, Listed> {
        let listed = self.list(dir, cookie, verifier, room, |name| ENTRY_BYTES + padded(name));
        (self.attr(dir), listed)
    }

    /// READDIRPLUS: `names` octets of names, cookies and numbers, `room` octets in all.
    pub fn readdirplus(
        &self,
        dir: Id,
        cookie: u64,
        verifier: [u8; 8],
        names: usize,
        room: usize,
    ) -> Outcome<Option<Attr>, Listed> {
        let mut in_names = names;
        let cost = |name: &[u8]| {
            let counted = NAME_BYTES + padded(name);
            match in_names.checked_sub(counted) {
                Some(left) => {
                    in_names = left;
                    ENTRY_BYTES + padded(name) + OBJECT_BYTES
                }
                None => usize::MAX,
            }
        };
        let listed = self.list(dir, cookie, verifier, room, cost).map(|mut listed| {
            for entry in &mut listed.entries {
                entry.object = self.find(dir, &entry.name).ok().map(|id| self.object(id));
            }
            listed
        });
        (self.attr(dir), listed)
    }

    fn list(
        &self,
        dir: Id,
        cookie: u64,
        verifier: [u8; 8],
        room: usize,
        mut cost: impl FnMut(&[u8]) -> usize,
    ) -> Result<Listed, Error> {
        let attr = self.fs().attr(dir)?;
        if attr.kind != Kind::Dir {
            return Err(Error::NotDir);
        }
        self.may(&attr, READ)?;
        let own = dir.generation.to_be_bytes();
        if cookie != 0 && verifier != own {
            return Err(Error::BadCookie);
        }
        let mut left = room.saturating_sub(LIST_BYTES);
        let mut entries = Vec::new();
        let mut full = false;
        let end = self.fs().list(dir, cookie, &mut |entry| {
            let DirEntry { number, name, cookie } = entry;
            match left.checked_sub(cost(name)) {
                Some(rest) => left = rest,
                None => {
                    full = true;
                    return false;
                }
            }
            entries.push(Entry { number, name: name.to_vec(), cookie, object: None });
            true
        })?;
        if full && entries.is_empty() {
            return Err(Error::TooSmall);
        }
        Ok(Listed { entries, end, verifier: own })
    }
}

fn padded(name: &[u8]) -> usize {
    name.len().next_multiple_of(4)
}

/// Octets of results around the entries: status, attributes, verifier, two ends.
const LIST_BYTES: usize = 4 + ATTR_BYTES + 8 + 4 + 4;
/// Of an entry beside its name: that there is one, its number, a length, a cookie.
const ENTRY_BYTES: usize = 4 + NAME_BYTES;
/// Of these, what READDIRPLUS counts as names.
const NAME_BYTES: usize = 8 + 4 + 8;
/// Of an entry's object: attributes and handle.
const OBJECT_BYTES: usize = ATTR_BYTES + 4 + 4 + HANDLE_LEN;
/// Of attributes that are there.
const ATTR_BYTES: usize = 4 + 84;
