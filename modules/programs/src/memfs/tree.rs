//! tree: the objects of a file system in memory and their names.

use super::Budget;
use super::content::Content;
use crate::vfs::{Attr, Error, Id, Kind, New, Set, SetTime, Special, Time};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All objects, by their numbers, which are given once.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<u64, Node>,
    /// That of the next object.
    number: u64,
    pub(super) generation: u64,
    pub(super) budget: Budget,
    pub(super) now: fn() -> Time,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) what: What,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    atime: Time,
    mtime: Time,
    ctime: Time,
    /// Of the call that made it, if that was exclusive.
    pub(super) verifier: Option<[u8; 8]>,
}

#[derive(Debug)]
pub(super) enum What {
    File(Content),
    Dir(Dir),
    Link(Bytes),
    Special(Special),
}

/// Names in the order in which they came: a cookie is a place in it, and is given once.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) parent: u64,
    cookies: HashMap<Arc<[u8]>, u64>,
    pub(super) entries: BTreeMap<u64, (Arc<[u8]>, u64)>,
    cookie: u64,
}

impl Tree {
    /// A root of mode 0777, as that of a disk for everybody.
    pub(super) fn new(bytes_max: usize, generation: u64, now: fn() -> Time) -> Self {
        let budget = Budget { used: 0, max: bytes_max };
        let nodes = HashMap::new();
        let mut tree = Self { nodes, number: ROOT, generation, budget, now };
        let keep = SetTime::Keep;
        let root = New { mode: 0o777, uid: 0, gid: 0, atime: keep, mtime: keep };
        tree.add(What::Dir(Dir::below(ROOT)), &root);
        tree
    }

    pub(super) fn id(&self, number: u64) -> Id {
        Id { number, generation: self.generation }
    }

    pub(super) fn node(&self, id: Id) -> Result<&Node, Error> {
        let node = self.nodes.get(&id.number).ok_or(Error::Stale)?;
        if id.generation == self.generation { Ok(node) } else { Err(Error::Stale) }
    }

    pub(super) fn dir(&self, id: Id) -> Result<&Dir, Error> {
        match &self.node(id)?.what {
            What::Dir(dir) => Ok(dir),
            _ => Err(Error::NotDir),
        }
    }

    fn dir_mut(&mut self, number: u64) -> Option<&mut Dir> {
        match &mut self.nodes.get_mut(&number)?.what {
            What::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    /// A regular file, and what room there is.
    pub(super) fn file_mut(&mut self, id: Id) -> Result<(&mut Content, &mut Budget), Error> {
        self.node(id)?;
        match self.nodes.get_mut(&id.number).map(|node| &mut node.what) {
            Some(What::File(content)) => Ok((content, &mut self.budget)),
            _ => Err(Error::Inval),
        }
    }

    pub(super) fn attr(&self, id: Id) -> Result<Attr, Error> {
        let node = self.node(id)?;
        let (kind, size, used, device) = match &node.what {
            What::File(content) => (Kind::File, content.len(), content.used(), (0, 0)),
            What::Dir(dir) => {
                let size = dir.entries.len() as u64 * 32;
                (Kind::Dir, size, size, (0, 0))
            }
            What::Link(to) => (Kind::Link, to.len() as u64, to.len() as u64, (0, 0)),
            What::Special(Special::Block(major, minor)) => (Kind::Block, 0, 0, (*major, *minor)),
            What::Special(Special::Char(major, minor)) => (Kind::Char, 0, 0, (*major, *minor)),
            What::Special(Special::Socket) => (Kind::Socket, 0, 0, (0, 0)),
            What::Special(Special::Fifo) => (Kind::Fifo, 0, 0, (0, 0)),
        };
        Ok(Attr {
            kind,
            mode: node.mode,
            links: node.links,
            uid: node.uid,
            gid: node.gid,
            size,
            used,
            device,
            fsid: self.generation,
            number: id.number,
            atime: node.atime,
            mtime: node.mtime,
            ctime: node.ctime,
        })
    }

    pub(super) fn set(&mut self, id: Id, set: &Set) -> Result<(), Error> {
        let now = (self.now)();
        self.node(id)?;
        if let Some(size) = set.size {
            if size > FILE_MAX {
                return Err(Error::Fbig);
            }
            let (content, budget) = self.file_mut(id)?;
            content.set_len(size, budget);
        }
        let Some(node) = self.nodes.get_mut(&id.number) else { return Err(Error::Stale) };
        if set.size.is_some() {
            node.mtime = now;
        }
        node.mode = set.mode.map_or(node.mode, |mode| mode & 0o7777);
        node.uid = set.uid.unwrap_or(node.uid);
        node.gid = set.gid.unwrap_or(node.gid);
        node.atime = set.atime.over(node.atime, now);
        node.mtime = set.mtime.over(node.mtime, now);
        node.ctime = now;
        Ok(())
    }

    /// The octets of this object, or its names, are changed now.
    pub(super) fn touch(&mut self, number: u64) {
        let now = (self.now)();
        if let Some(node) = self.nodes.get_mut(&number) {
            (node.mtime, node.ctime) = (now, now);
        }
    }

    /// The octets of this object are read now.
    pub(super) fn seen(&mut self, number: u64) {
        let now = (self.now)();
        if let Some(node) = self.nodes.get_mut(&number) {
            node.atime = now;
        }
    }

    /// Makes an object with a name.
    pub(super) fn make(
        &mut self,
        dir: Id,
        name: &[u8],
        what: What,
        new: &New,
    ) -> Result<Id, Error> {
        if self.dir(dir)?.find(name).is_some() {
            return Err(Error::Exist);
        }
        let target = if let What::Link(to) = &what { to.len() } else { 0 };
        if !self.budget.exchange(0, NODE_BYTES + name.len() + target) {
            return Err(Error::NoSpc);
        }
        let number = self.add(what, new);
        self.enter(dir.number, name, number);
        Ok(self.id(number))
    }

    fn add(&mut self, what: What, new: &New) -> u64 {
        let now = (self.now)();
        let number = self.number;
        self.number += 1;
        let links = if matches!(what, What::Dir(_)) { 2 } else { 1 };
        let node = Node {
            what,
            mode: new.mode & 0o7777,
            uid: new.uid,
            gid: new.gid,
            links,
            atime: new.atime.over(now, now),
            mtime: new.mtime.over(now, now),
            ctime: now,
            verifier: None,
        };
        self.nodes.insert(number, node);
        number
    }

    pub(super) fn set_verifier(&mut self, id: Id, verifier: [u8; 8]) {
        if let Some(node) = self.nodes.get_mut(&id.number) {
            node.verifier = Some(verifier);
        }
    }

    /// Gives an object a name in a directory, below which it is now.
    fn enter(&mut self, dir: u64, name: &[u8], number: u64) {
        if let Some(child) = self.dir_mut(number) {
            child.parent = dir;
            self.count_link(dir, 1);
        }
        if let Some(dir) = self.dir_mut(dir) {
            dir.enter(name, number);
        }
        self.touch(dir);
    }

    /// Takes a name away; the object stays.
    fn leave(&mut self, dir: u64, name: &[u8]) -> Option<u64> {
        let number = self.dir_mut(dir)?.leave(name)?;
        if self.dir_mut(number).is_some() {
            self.count_link(dir, -1);
        }
        self.touch(dir);
        Some(number)
    }

    fn count_link(&mut self, number: u64, by: i32) {
        let now = (self.now)();
        if let Some(node) = self.nodes.get_mut(&number) {
            node.links = node.links.saturating_add_signed(by);
            node.ctime = now;
        }
    }

    /// Takes a name away, and the object if it was its last one.
    pub(super) fn unlink(&mut self, dir: Id, name: &[u8]) {
        let Some(number) = self.leave(dir.number, name) else { return };
        self.count_link(number, -1);
        let Some(node) = self.nodes.get(&number) else { return };
        if node.links == 0 || matches!(node.what, What::Dir(_)) {
            let held = match &node.what {
                What::File(content) => content.used() as usize,
                What::Link(to) => to.len(),
                What::Dir(_) | What::Special(_) => 0,
            };
            self.nodes.remove(&number);
            self.budget.give_back(NODE_BYTES + held);
        }
        self.budget.give_back(name.len());
    }

    pub(super) fn rename(
        &mut self,
        dir: Id,
        name: &[u8],
        to_dir: Id,
        to: &[u8],
    ) -> Result<(), Error> {
        let number = self.dir(dir)?.find(name).ok_or(Error::NoEnt)?;
        let there = self.dir(to_dir)?.find(to);
        if there == Some(number) {
            return Ok(());
        }
        let is_dir = self.dir(self.id(number)).is_ok();
        let there = there.map(|there| self.dir(self.id(there)));
        if there.as_ref().is_some_and(|there| there.is_ok() != is_dir) {
            return Err(Error::Exist);
        }
        if is_dir && self.is_below(to_dir.number, number) {
            return Err(Error::Inval);
        }
        if there.is_some_and(|there| there.is_ok_and(|there| !there.entries.is_empty())) {
            return Err(Error::NotEmpty);
        }
        if !self.budget.exchange(name.len(), to.len()) {
            return Err(Error::NoSpc);
        }
        self.unlink(to_dir, to);
        self.leave(dir.number, name);
        self.enter(to_dir.number, to, number);
        self.count_link(number, 0);
        Ok(())
    }

    /// Is a directory another one, or below it?
    fn is_below(&self, mut number: u64, above: u64) -> bool {
        while number != above {
            match self.dir(self.id(number)) {
                Ok(dir) if dir.parent != number => number = dir.parent,
                _ => return false,
            }
        }
        true
    }

    pub(super) fn link(&mut self, file: Id, dir: Id, name: &[u8]) -> Result<(), Error> {
        let node = self.node(file)?;
        if matches!(node.what, What::Dir(_)) {
            return Err(Error::Inval);
        }
        if node.links >= LINKS_MAX {
            return Err(Error::Mlink);
        }
        if self.dir(dir)?.find(name).is_some() {
            return Err(Error::Exist);
        }
        if !self.budget.exchange(0, name.len()) {
            return Err(Error::NoSpc);
        }
        self.count_link(file.number, 1);
        self.enter(dir.number, name, file.number);
        Ok(())
    }
}

impl Dir {
    pub(super) fn below(parent: u64) -> Self {
        let (cookies, entries) = (HashMap::new(), BTreeMap::new());
        Self { parent, cookies, entries, cookie: COOKIE_PARENT + 1 }
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<u64> {
        self.entries.get(self.cookies.get(name)?).map(|(_, number)| *number)
    }

    fn enter(&mut self, name: &[u8], number: u64) {
        let name: Arc<[u8]> = name.into();
        self.cookies.insert(name.clone(), self.cookie);
        self.entries.insert(self.cookie, (name, number));
        self.cookie += 1;
    }

    fn leave(&mut self, name: &[u8]) -> Option<u64> {
        let cookie = self.cookies.remove(name)?;
        self.entries.remove(&cookie).map(|(_, number)| number)
    }
}

impl SetTime {
    fn over(self, old: Time, now: Time) -> Time {
        match self {
            Self::Keep => old,
            Self::Now => now,
            Self::To(time) => time,
        }
    }
}

/// The root's number.
pub(super) const ROOT: u64 = 1;
/// Cookies of the entries `.` and `..`; those of names follow.
pub(super) const COOKIE_SELF: u64 = 1;
pub(super) const COOKIE_PARENT: u64 = 2;
/// Octets of the largest file: offsets are signed where clients compute with them.
pub(super) const FILE_MAX: u64 = i64::MAX as u64;
/// Names of one object.
pub(super) const LINKS_MAX: u32 = 65_000;
/// What an object costs beside its octets and names: empty ones are bounded too.
pub(super) const NODE_BYTES: usize = 512;
