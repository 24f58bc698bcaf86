//! memfs: a file system in memory. It lives as long as its stack, within a limit of octets; files
//! are blocks that readers are given without a copy.

mod content;
mod tree;

use crate::vfs::{
    Attr, Create, DirEntry, Error, Id, Limits, New, Set, Space, Special, Stable, Time, Vfs,
};
use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tree::{COOKIE_PARENT, COOKIE_SELF, Dir, FILE_MAX, LINKS_MAX, NODE_BYTES, ROOT, Tree, What};

/// A file system in memory.
#[derive(Debug)]
pub struct MemFs {
    // One shard asks: it is never contended.
    tree: Mutex<Tree>,
    bytes_max: usize,
    generation: u64,
}

/// Octets there are, and those taken.
#[derive(Clone, Copy, Debug)]
struct Budget {
    used: usize,
    max: usize,
}

impl MemFs {
    /// An empty one that takes at most so many octets, names and objects included. The generation
    /// is a random number: handles of one that is gone are stale.
    pub fn new(bytes_max: usize, generation: u64) -> Self {
        let tree = Mutex::new(Tree::new(bytes_max, generation, Time::now));
        Self { tree, bytes_max, generation }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // Nothing in it is left half done by a panic: there is none between two changes.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vfs for MemFs {
    fn root(&self) -> Id {
        Id { number: ROOT, generation: self.generation }
    }

    fn waits(&self) -> bool {
        false
    }

    fn limits(&self) -> Limits {
        Limits { file_bytes: FILE_MAX, links: LINKS_MAX, time_step_ns: 1 }
    }

    fn attr(&self, id: Id) -> Result<Attr, Error> {
        self.tree().attr(id)
    }

    fn set(&self, id: Id, set: &Set) -> Result<(), Error> {
        self.tree().set(id, set)
    }

    fn lookup(&self, dir: Id, name: &[u8]) -> Result<Id, Error> {
        let tree = self.tree();
        tree.dir(dir)?.find(name).map(|number| tree.id(number)).ok_or(Error::NoEnt)
    }

    fn parent(&self, dir: Id) -> Result<Id, Error> {
        let tree = self.tree();
        tree.dir(dir).map(|dir| tree.id(dir.parent))
    }

    fn readlink(&self, link: Id) -> Result<Bytes, Error> {
        match &self.tree().node(link)?.what {
            What::Link(to) => Ok(to.clone()),
            _ => Err(Error::Inval),
        }
    }

    fn read(&self, file: Id, from: u64, len: usize) -> Result<Vec<Bytes>, Error> {
        let mut tree = self.tree();
        let pieces = tree.file_mut(file)?.0.read(from, len);
        tree.seen(file.number);
        Ok(pieces)
    }

    fn write(
        &self,
        file: Id,
        from: u64,
        pieces: &[&[u8]],
        _stable: Stable,
    ) -> Result<(usize, Stable), Error> {
        let mut tree = self.tree();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        if from.checked_add(len).is_none_or(|end| end > FILE_MAX) {
            return Err(Error::Fbig);
        }
        let (content, budget) = tree.file_mut(file)?;
        let written = content.write(from, pieces, budget);
        if written == 0 && len > 0 {
            return Err(Error::NoSpc);
        }
        if written > 0 {
            tree.touch(file.number);
        }
        // There is nothing more stable here than memory.
        Ok((written, Stable::File))
    }

    fn commit(&self, file: Id) -> Result<(), Error> {
        self.tree().file_mut(file).map(drop)
    }

    fn verifier(&self) -> [u8; 8] {
        self.generation.to_be_bytes()
    }

    fn create(&self, dir: Id, name: &[u8], how: Create, new: &New) -> Result<Id, Error> {
        let mut tree = self.tree();
        let there = tree.dir(dir)?.find(name).map(|number| tree.id(number));
        let size = match (how, there) {
            (Create::Guarded { .. }, Some(_)) => return Err(Error::Exist),
            (Create::Exclusive(verifier), Some(there)) => {
                let same = tree.node(there)?.verifier == Some(verifier);
                return if same { Ok(there) } else { Err(Error::Exist) };
            }
            (Create::Unchecked { size }, Some(there)) => {
                if !matches!(tree.node(there)?.what, What::File(_)) {
                    return Err(Error::Exist);
                }
                if size.is_some() {
                    tree.set(there, &Set { size, ..Set::default() })?;
                }
                return Ok(there);
            }
            (Create::Unchecked { size } | Create::Guarded { size }, None) => size.unwrap_or(0),
            (Create::Exclusive(_), None) => 0,
        };
        if size > FILE_MAX {
            return Err(Error::Fbig);
        }
        let made = tree.make(dir, name, What::File(content::Content::default()), new)?;
        let (content, budget) = tree.file_mut(made)?;
        content.set_len(size, budget);
        if let Create::Exclusive(verifier) = how {
            tree.set_verifier(made, verifier);
        }
        Ok(made)
    }

    fn mkdir(&self, dir: Id, name: &[u8], new: &New) -> Result<Id, Error> {
        self.tree().make(dir, name, What::Dir(Dir::below(dir.number)), new)
    }

    fn symlink(&self, dir: Id, name: &[u8], to: &[u8], new: &New) -> Result<Id, Error> {
        self.tree().make(dir, name, What::Link(Bytes::copy_from_slice(to)), new)
    }

    fn mknod(&self, dir: Id, name: &[u8], what: Special, new: &New) -> Result<Id, Error> {
        self.tree().make(dir, name, What::Special(what), new)
    }

    fn remove(&self, dir: Id, name: &[u8]) -> Result<(), Error> {
        let mut tree = self.tree();
        let number = tree.dir(dir)?.find(name).ok_or(Error::NoEnt)?;
        if tree.dir(tree.id(number)).is_ok() {
            return Err(Error::IsDir);
        }
        tree.unlink(dir, name);
        Ok(())
    }

    fn rmdir(&self, dir: Id, name: &[u8]) -> Result<(), Error> {
        let mut tree = self.tree();
        let number = tree.dir(dir)?.find(name).ok_or(Error::NoEnt)?;
        if !tree.dir(tree.id(number))?.entries.is_empty() {
            return Err(Error::NotEmpty);
        }
        tree.unlink(dir, name);
        Ok(())
    }

    fn rename(&self, dir: Id, name: &[u8], to_dir: Id, to: &[u8]) -> Result<(), Error> {
        self.tree().rename(dir, name, to_dir, to)
    }

    fn link(&self, file: Id, dir: Id, name: &[u8]) -> Result<(), Error> {
        self.tree().link(file, dir, name)
    }

    fn list(
        &self,
        id: Id,
        after: u64,
        each: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<bool, Error> {
        let mut tree = self.tree();
        let dir = tree.dir(id)?;
        let dots: [(u64, &[u8], u64); 2] =
            [(COOKIE_SELF, b".", id.number), (COOKIE_PARENT, b"..", dir.parent)];
        let names = dir.entries.range(after.saturating_add(1)..);
        let names = names.map(|(&cookie, (name, number))| (cookie, &name[..], *number));
        let mut all = dots.into_iter().filter(|(cookie, ..)| *cookie > after).chain(names);
        let more = all.any(|(cookie, name, number)| !each(DirEntry { number, name, cookie }));
        drop(all);
        tree.seen(id.number);
        Ok(!more)
    }

    fn space(&self, id: Id) -> Result<Space, Error> {
        let tree = self.tree();
        tree.node(id)?;
        let free = tree.budget.max.saturating_sub(tree.budget.used) as u64;
        Ok(Space {
            bytes: self.bytes_max as u64,
            bytes_free: free,
            bytes_avail: free,
            files: (self.bytes_max / NODE_BYTES) as u64,
            files_free: free / NODE_BYTES as u64,
        })
    }
}

impl Budget {
    /// Takes `new` octets in place of `old` ones; false if there are not so many.
    fn exchange(&mut self, old: usize, new: usize) -> bool {
        let after = self.used - old + new;
        let fits = after <= self.max || new <= old;
        if fits {
            self.used = after;
        }
        fits
    }

    fn give_back(&mut self, octets: usize) {
        self.used -= octets;
    }
}
