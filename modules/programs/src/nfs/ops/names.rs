//! names: CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME and LINK.

use super::{Object, Ops, Outcome, SET_GID, Wcc, check_name, is_dots};
use crate::access::{EXECUTE, WRITE};
use crate::vfs::{Attr, Create, Error, Id, Kind, New, Set, Special};
use std::sync::Arc;

/// Attributes that a caller wants an object to have from the start.
pub type NewAttr = Set;

impl Ops {
    /// CREATE.
    pub fn create(&self, dir: Id, name: &[u8], how: Create, attr: NewAttr) -> Outcome<Wcc, Object> {
        self.make(dir, name, |parent| {
            if matches!(how, Create::Unchecked { size: Some(_) })
                && let Ok(there) = self.fs().lookup(dir, name)
            {
                let there = self.fs().attr(there)?;
                if there.kind == Kind::File && !self.caller.may_octets(&there, WRITE) {
                    return Err(Error::Acces);
                }
            }
            self.fs().create(dir, name, how, &self.new_attr(parent, attr, FILE_MODE))
        })
    }

    /// MKDIR.
    pub fn mkdir(&self, dir: Id, name: &[u8], attr: NewAttr) -> Outcome<Wcc, Object> {
        self.make(dir, name, |parent| {
            let mut new = self.new_attr(parent, attr, DIR_MODE);
            // Its group is handed on by a directory that hands it on.
            new.mode |= parent.mode & SET_GID;
            self.fs().mkdir(dir, name, &new)
        })
    }

    /// SYMLINK.
    pub fn symlink(&self, dir: Id, name: &[u8], to: &[u8], attr: NewAttr) -> Outcome<Wcc, Object> {
        self.make(dir, name, |parent| {
            if to.is_empty() || to.contains(&0) {
                return Err(Error::Inval);
            }
            if to.len() > TARGET_MAX {
                return Err(Error::NameTooLong);
            }
            let attr = Set { mode: Some(LINK_MODE), ..attr };
            self.fs().symlink(dir, name, to, &self.new_attr(parent, attr, LINK_MODE))
        })
    }

    /// MKNOD; devices are root's to make.
    pub fn mknod(
        &self,
        dir: Id,
        name: &[u8],
        what: Special,
        attr: NewAttr,
    ) -> Outcome<Wcc, Object> {
        self.make(dir, name, |parent| {
            let device = matches!(what, Special::Block(..) | Special::Char(..));
            if device && self.caller.uid != 0 {
                return Err(Error::Perm);
            }
            self.fs().mknod(dir, name, what, &self.new_attr(parent, attr, FILE_MODE))
        })
    }

    /// REMOVE.
    pub fn remove(&self, dir: Id, name: &[u8]) -> Outcome<Wcc, ()> {
        let refused = is_dots(name).then_some(Error::Inval);
        self.unname(dir, name, refused, || self.fs().remove(dir, name))
    }

    /// RMDIR.
    pub fn rmdir(&self, dir: Id, name: &[u8]) -> Outcome<Wcc, ()> {
        let refused = match name {
            b"." => Some(Error::Inval),
            b".." => Some(Error::Exist),
            _ => None,
        };
        self.unname(dir, name, refused, || self.fs().rmdir(dir, name))
    }

    /// RENAME: to a directory of an export, which has to be this one.
    pub fn rename(
        &self,
        dir: Id,
        name: &[u8],
        to_ops: &Self,
        to_dir: Id,
        to: &[u8],
    ) -> Outcome<(Wcc, Wcc), ()> {
        if !Arc::ptr_eq(&self.export, &to_ops.export) {
            return (Default::default(), Err(Error::Xdev));
        }
        let _alone = self.export.lock(&[dir, to_dir]);
        let before = (self.attr(dir), self.attr(to_dir));
        let done = self
            .may_rename(dir, name, to_dir, to)
            .and_then(|()| self.fs().rename(dir, name, to_dir, to));
        let from = Wcc { before: before.0, after: self.attr(dir) };
        let into = Wcc { before: before.1, after: self.attr(to_dir) };
        ((from, into), done)
    }

    fn may_rename(&self, dir: Id, name: &[u8], to_dir: Id, to: &[u8]) -> Result<(), Error> {
        let (from, into) = (self.fs().attr(dir)?, self.fs().attr(to_dir)?);
        self.may_change_names(&from)?;
        self.may_change_names(&into)?;
        for name in [name, to] {
            check_name(name)?;
            if is_dots(name) {
                return Err(Error::Inval);
            }
        }
        let moved = self.fs().attr(self.fs().lookup(dir, name)?)?;
        self.may_unname(&from, &moved)?;
        // Its name `..` changes with its place.
        if moved.kind == Kind::Dir && dir != to_dir {
            self.may(&moved, WRITE)?;
        }
        match self.fs().lookup(to_dir, to) {
            Ok(there) => self.may_unname(&into, &self.fs().attr(there)?),
            Err(Error::NoEnt) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// LINK: into a directory of an export, which has to be this one.
    pub fn link(
        &self,
        file: Id,
        dir_ops: &Self,
        dir: Id,
        name: &[u8],
    ) -> Outcome<(Option<Attr>, Wcc), ()> {
        if !Arc::ptr_eq(&self.export, &dir_ops.export) {
            return (Default::default(), Err(Error::Xdev));
        }
        let _alone = self.export.lock(&[file, dir]);
        let before = self.attr(dir);
        let done = self.may_link(file, dir, name).and_then(|()| self.fs().link(file, dir, name));
        ((self.attr(file), Wcc { before, after: self.attr(dir) }), done)
    }

    fn may_link(&self, file: Id, dir: Id, name: &[u8]) -> Result<(), Error> {
        let object = self.fs().attr(file)?;
        self.may_change_names(&self.fs().attr(dir)?)?;
        check_name(name)?;
        if is_dots(name) {
            return Err(Error::Exist);
        }
        if object.kind == Kind::Dir { Err(Error::Inval) } else { Ok(()) }
    }

    /// Makes an object in a directory whose attributes `make` is given.
    fn make(
        &self,
        dir: Id,
        name: &[u8],
        make: impl FnOnce(&Attr) -> Result<Id, Error>,
    ) -> Outcome<Wcc, Object> {
        self.change(dir, |parent| {
            self.may_change_names(parent)?;
            check_name(name)?;
            if is_dots(name) {
                return Err(Error::Exist);
            }
            make(parent).map(|id| self.object(id))
        })
    }

    /// Takes a name away.
    fn unname(
        &self,
        dir: Id,
        name: &[u8],
        refused: Option<Error>,
        take: impl FnOnce() -> Result<(), Error>,
    ) -> Outcome<Wcc, ()> {
        self.change(dir, |parent| {
            self.may_change_names(parent)?;
            check_name(name)?;
            if let Some(e) = refused {
                return Err(e);
            }
            let object = self.fs().attr(self.fs().lookup(dir, name)?)?;
            self.may_unname(parent, &object)?;
            take()
        })
    }

    fn may_change_names(&self, dir: &Attr) -> Result<(), Error> {
        self.writable()?;
        if dir.kind != Kind::Dir {
            return Err(Error::NotDir);
        }
        self.may(dir, WRITE | EXECUTE)
    }

    fn may_unname(&self, dir: &Attr, object: &Attr) -> Result<(), Error> {
        if self.caller.may_unname(dir, object) { Ok(()) } else { Err(Error::Acces) }
    }

    /// Attributes of a new object: the caller's, and what else may be asked for.
    fn new_attr(&self, parent: &Attr, asked: NewAttr, mode: u32) -> New {
        let caller = &self.caller;
        let own = if parent.mode & SET_GID != 0 { parent.gid } else { caller.gid };
        let (uid, gid) = if caller.uid == 0 {
            (asked.uid.unwrap_or(0), asked.gid.unwrap_or(own))
        } else {
            (caller.uid, asked.gid.filter(|gid| caller.is_of(*gid)).unwrap_or(own))
        };
        let (atime, mtime) = (asked.atime, asked.mtime);
        New { mode: asked.mode.unwrap_or(mode) & 0o7777, uid, gid, atime, mtime }
    }
}

/// Of new objects, unless said.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// Of links, whose mode says nothing.
const LINK_MODE: u32 = 0o777;
/// Octets of where a link leads.
const TARGET_MAX: usize = 1024;
