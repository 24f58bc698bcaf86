//! ops: the procedures of NFS version 3 over a file system: who may, what was before and after, and
//! which error it is. No word of the wire is spoken here.

mod list;
mod names;
mod octets;

pub use list::{Entry, Listed};
pub use names::NewAttr;
pub use octets::{Read, Written};

use crate::access::{Caller, EXECUTE, READ, WRITE};
use crate::exports::{Export, Rules};
use crate::vfs::{Attr, Error, Id, Kind, NAME_MAX, Set, SetTime, Space, Time, Vfs};
use bytes::Bytes;
use std::sync::Arc;

/// What one caller asks of one export.
#[derive(Clone, Debug)]
pub struct Ops {
    /// The export.
    pub export: Arc<Export>,
    /// The caller, squashed.
    pub caller: Caller,
}

/// What a procedure answers: attributes, as far as they are known, and what it was asked for.
pub type Outcome<P, T> = (P, Result<T, Error>);

/// An object before and after a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wcc {
    /// Before.
    pub before: Option<Attr>,
    /// After; also if nothing was changed.
    pub after: Option<Attr>,
}

/// An object that was found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: Id,
    /// Its attributes, if they could be read.
    pub attr: Option<Attr>,
}

/// Bits of ACCESS.
pub mod ask {
    /// Octets or names.
    pub const READ: u32 = 0x01;
    /// A name in a directory.
    pub const LOOKUP: u32 = 0x02;
    /// Octets or names that are there.
    pub const MODIFY: u32 = 0x04;
    /// Octets or names that are not.
    pub const EXTEND: u32 = 0x08;
    /// A name in a directory.
    pub const DELETE: u32 = 0x10;
    /// A file.
    pub const EXECUTE: u32 = 0x20;
}

impl Ops {
    fn fs(&self) -> &dyn Vfs {
        &*self.export.fs
    }

    fn rules(&self) -> &Rules {
        &self.export.rules
    }

    fn attr(&self, id: Id) -> Option<Attr> {
        self.fs().attr(id).ok()
    }

    fn object(&self, id: Id) -> Object {
        Object { id, attr: self.attr(id) }
    }

    /// Of an object to which nothing was done.
    pub fn unchanged(&self, id: Id) -> Wcc {
        let attr = self.attr(id);
        Wcc { before: attr, after: attr }
    }

    fn writable(&self) -> Result<(), Error> {
        if self.rules().read_only { Err(Error::Rofs) } else { Ok(()) }
    }

    fn may(&self, attr: &Attr, rights: u32) -> Result<(), Error> {
        if self.caller.may(attr, rights) { Ok(()) } else { Err(Error::Acces) }
    }

    /// Does something to an object that others do nothing to meanwhile. What is done gets its
    /// attributes of before.
    fn change<T>(&self, id: Id, change: impl FnOnce(&Attr) -> Result<T, Error>) -> Outcome<Wcc, T> {
        let _alone = self.export.lock(&[id]);
        let before = match self.fs().attr(id) {
            Ok(attr) => attr,
            Err(e) => return (Wcc::default(), Err(e)),
        };
        let done = self.writable().and_then(|()| change(&before));
        (Wcc { before: Some(before), after: self.attr(id) }, done)
    }

    /// GETATTR.
    pub fn getattr(&self, id: Id) -> Outcome<(), Attr> {
        ((), self.fs().attr(id))
    }

    /// SETATTR; only if the object's attributes were last changed at `guard`, if that is said.
    pub fn setattr(&self, id: Id, set: Set, guard: Option<Time>) -> Outcome<Wcc, ()> {
        self.change(id, |before| {
            if guard.is_some_and(|ctime| ctime != before.ctime) {
                return Err(Error::NotSync);
            }
            self.fs().set(id, &self.permitted(before, set)?)
        })
    }

    /// What is set, as far as it may be, and what is set with it.
    fn permitted(&self, before: &Attr, mut set: Set) -> Result<Set, Error> {
        let caller = &self.caller;
        let owns = caller.owns(before);
        if set.size.is_some() {
            if before.kind != Kind::File {
                return Err(Error::Inval);
            }
            if !caller.may_octets(before, WRITE) {
                return Err(Error::Acces);
            }
        }
        let to_own = |time| matches!(time, SetTime::To(_));
        if (set.mode.is_some() || to_own(set.atime) || to_own(set.mtime)) && !owns {
            return Err(Error::Perm);
        }
        let touched = set.atime == SetTime::Now || set.mtime == SetTime::Now;
        if touched && !owns && !caller.may(before, WRITE) {
            return Err(Error::Acces);
        }
        // Root may give away; others may tell the owner there is, and choose among their groups.
        let given = set.uid.is_some_and(|uid| !(owns && uid == before.uid));
        let grouped = set.gid.is_some_and(|gid| !owns || gid != before.gid && !caller.is_of(gid));
        if caller.uid != 0 && (given || grouped) {
            return Err(Error::Perm);
        }
        if caller.uid != 0 {
            if let Some(mode) = &mut set.mode
                && !caller.is_of(set.gid.unwrap_or(before.gid))
            {
                *mode &= !SET_GID;
            }
            // Who was trusted with the old owner's rights is not with the new octets or owner.
            let changes = set.size.is_some() || set.uid.is_some() || set.gid.is_some();
            if changes && set.mode.is_none() && before.mode & SET_IDS != 0 {
                set.mode = Some(before.mode & !SET_IDS);
            }
        }
        Ok(set)
    }

    /// LOOKUP; `.` and `..` are names.
    pub fn lookup(&self, dir: Id, name: &[u8]) -> Outcome<Option<Attr>, Object> {
        let attr = self.attr(dir);
        (attr, self.find(dir, name).map(|id| self.object(id)))
    }

    fn find(&self, dir: Id, name: &[u8]) -> Result<Id, Error> {
        let attr = self.fs().attr(dir)?;
        if attr.kind != Kind::Dir {
            return Err(Error::NotDir);
        }
        self.may(&attr, EXECUTE)?;
        match name {
            b"." => Ok(dir),
            b".." => self.fs().parent(dir),
            name => check_name(name).and_then(|()| self.fs().lookup(dir, name)),
        }
    }

    /// The object that a path of a mount names: as [`Ops::lookup`], name by name, but without `..`.
    pub fn walk(&self, path: &[u8]) -> Result<Id, Error> {
        let mut at = self.fs().root();
        for name in path.split(|octet| *octet == b'/').filter(|name| !name.is_empty()) {
            if name == b".." {
                return Err(Error::Acces);
            }
            at = self.find(at, name)?;
        }
        Ok(at)
    }

    /// ACCESS: which of the bits in [`ask`] are granted.
    pub fn access(&self, id: Id, asked: u32) -> Outcome<Option<Attr>, u32> {
        let attr = match self.fs().attr(id) {
            Ok(attr) => attr,
            Err(e) => return (None, Err(e)),
        };
        let rights = self.caller.rights(&attr);
        let dir = attr.kind == Kind::Dir;
        let mut granted = 0;
        if rights & READ != 0 {
            granted |= ask::READ;
        }
        if rights & WRITE != 0 && !self.rules().read_only {
            granted |= ask::MODIFY | ask::EXTEND | if dir { ask::DELETE } else { 0 };
        }
        if rights & EXECUTE != 0 {
            granted |= if dir { ask::LOOKUP } else { ask::EXECUTE };
        }
        (Some(attr), Ok(granted & asked))
    }

    /// READLINK.
    pub fn readlink(&self, id: Id) -> Outcome<Option<Attr>, Bytes> {
        let to = self.fs().readlink(id);
        (self.attr(id), to)
    }

    /// FSSTAT.
    pub fn fsstat(&self, id: Id) -> Outcome<Option<Attr>, Space> {
        (self.attr(id), self.fs().space(id))
    }

    /// FSINFO and PATHCONF: whether the object is there.
    pub fn is_there(&self, id: Id) -> Outcome<Option<Attr>, ()> {
        let attr = self.fs().attr(id);
        (attr.ok(), attr.map(drop))
    }
}

/// A name of an object; not of a directory in itself.
fn check_name(name: &[u8]) -> Result<(), Error> {
    match name {
        [] => Err(Error::Inval),
        name if name.len() > NAME_MAX => Err(Error::NameTooLong),
        name if name.iter().any(|octet| matches!(octet, 0 | b'/')) => Err(Error::Inval),
        _ => Ok(()),
    }
}

fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

/// Runs with the group of the file.
const SET_GID: u32 = 0o2000;
/// Runs as owner or group of the file.
const SET_IDS: u32 = 0o6000;
