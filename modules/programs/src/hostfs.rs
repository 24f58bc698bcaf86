//! hostfs: a directory of this system is a file system. Objects are found by the names under which
//! clients have found them, from the directory down, and are what they were if inode and time of
//! birth are the same; else their handles are stale.
//!
//! Every path is looked up by the kernel below the directory (openat2 with RESOLVE_BENEATH,
//! NO_SYMLINKS and NO_XDEV), each time anew: no link, no `..`, no handle and no directory that is
//! moved away meanwhile leads out of it. All is done as the user who runs the stack: what that user
//! may not, nobody may, and a file belongs to its maker only where that user may give it away.

mod sys;
mod table;

use crate::vfs::{
    Attr, Create, DirEntry, Error, Id, Kind, Limits, New, Set, SetTime, Space, Special, Stable,
    Time, Vfs,
};
use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RawDir, SeekFrom, Statx, Uid};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::Table;

/// A directory of this system.
#[derive(Debug)]
pub struct HostFs {
    top: OwnedFd,
    root: Id,
    table: Mutex<Table>,
    verifier: AtomicU64,
    /// Changes are on the disk when they are answered, as RFC 1813 wants it.
    sync: bool,
}

/// An object as it is now.
struct Found {
    /// Of O_PATH.
    fd: OwnedFd,
    stat: Statx,
    /// Below the top.
    path: Vec<u8>,
}

impl HostFs {
    /// Opens a directory. The random number tells writes before a start of the server from those
    /// after it. With `sync`, what was changed is on the disk when it is answered, except for
    /// octets that the client commits itself.
    ///
    /// # Errors
    /// A sentence.
    pub fn open(path: &str, random: u64, sync: bool) -> Result<Self, String> {
        let refused = |e: Errno| format!("cannot serve the directory {path}: {e}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty()).map_err(refused)?;
        // Where the kernel cannot keep paths below the directory nothing is served.
        let again = sys::open(&top, b".", OFlags::PATH).map_err(refused)?;
        let root = sys::id(&sys::stat(again).map_err(refused)?);
        let table = Mutex::new(Table::new(root, KNOWN_MAX));
        Ok(Self { top, root, table, verifier: AtomicU64::new(random), sync })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Whatever a panic leaves in it is checked against the disk each time.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: Id) -> Result<Found, Error> {
        if id == self.root {
            return self.at(b".".to_vec(), id)?.ok_or(Error::Stale);
        }
        let places = self.table().places(id);
        for place in places {
            let Some(mut path) = self.table().path(place.dir) else { continue };
            path.push(b'/');
            path.extend_from_slice(&place.name);
            if let Some(found) = self.at(path, id)? {
                return Ok(found);
            }
        }
        Err(Error::Stale)
    }

    /// What has this path, if that is the object meant.
    fn at(&self, path: Vec<u8>, id: Id) -> Result<Option<Found>, Error> {
        match sys::open(&self.top, &path, OFlags::PATH) {
            Ok(fd) => {
                let stat = sys::stat(&fd).map_err(sys::error)?;
                Ok((sys::id(&stat) == id).then_some(Found { fd, stat, path }))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(e) => Err(sys::error(e)),
        }
    }

    fn dir(&self, id: Id) -> Result<Found, Error> {
        let found = self.find(id)?;
        if sys::kind(&found.stat) == Kind::Dir { Ok(found) } else { Err(Error::NotDir) }
    }

    /// Opens a regular file to read or write it.
    fn file(&self, id: Id, flags: OFlags) -> Result<OwnedFd, Error> {
        let found = self.find(id)?;
        match sys::kind(&found.stat) {
            Kind::File => self.reopen(&found, flags),
            _ => Err(Error::Inval),
        }
    }

    /// The same object, not only as a place. Devices are not opened: that may do something.
    fn reopen(&self, found: &Found, flags: OFlags) -> Result<OwnedFd, Error> {
        let fd = sys::open(&self.top, &found.path, flags).map_err(sys::error)?;
        let same = sys::id(&sys::stat(&fd).map_err(sys::error)?) == sys::id(&found.stat);
        if same { Ok(fd) } else { Err(Error::Stale) }
    }

    /// What has a name in a directory.
    fn child(&self, dir: &Found, name: &[u8]) -> Result<(OwnedFd, Statx), Error> {
        let fd = sys::open(&dir.fd, name, OFlags::PATH).map_err(sys::error)?;
        let stat = sys::stat(&fd).map_err(sys::error)?;
        Ok((fd, stat))
    }

    /// Has what was changed in a directory, or of a file, on the disk.
    fn settle(&self, found: &Found) -> Result<(), Error> {
        if !self.sync || !matches!(sys::kind(&found.stat), Kind::Dir | Kind::File) {
            return Ok(());
        }
        match self.reopen(found, OFlags::RDONLY) {
            Ok(fd) => rustix::fs::fsync(fd).map_err(|e| self.lost(e)),
            // Nobody but its owner can have it on the disk, and nobody else can know.
            Err(Error::Acces) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// The disk has failed: octets that were written before may be lost.
    fn lost(&self, errno: Errno) -> Error {
        self.verifier.fetch_add(1, Ordering::Relaxed);
        sys::error(errno)
    }

    /// Gives a new object its attributes, and remembers where it is.
    fn made(&self, dir: &Found, name: &[u8], new: &New) -> Result<Id, Error> {
        let (fd, stat) = self.child(dir, name)?;
        let owner = (Uid::from_raw(new.uid), Gid::from_raw(new.gid));
        match rustix::fs::chownat(&fd, "", Some(owner.0), Some(owner.1), AtFlags::EMPTY_PATH) {
            // It belongs to who runs the stack; INVAL: there is no such user in this namespace.
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(e) => return Err(sys::error(e)),
        }
        if sys::kind(&stat) != Kind::Link {
            chmod(&fd, new.mode)?;
        }
        set_times(&fd, new.atime, new.mtime)?;
        self.settle(dir)?;
        let id = sys::id(&stat);
        self.table().found(id, sys::id(&dir.stat), name);
        Ok(id)
    }

    fn create_new(&self, dir: &Found, name: &[u8], size: Option<u64>) -> Result<(), Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let fd = sys::make(&dir.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        if let Some(size @ 1..) = size {
            rustix::fs::ftruncate(&fd, size).inspect_err(|_| {
                let _gone = rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty());
            })?;
        }
        Ok(())
    }

    /// A file of this name was there before it was to be made.
    fn create_there(&self, dir: &Found, name: &[u8], how: Create) -> Result<Id, Error> {
        let (_, stat) = self.child(dir, name)?;
        let id = sys::id(&stat);
        let attr = sys::attr(&stat);
        self.table().found(id, sys::id(&dir.stat), name);
        match how {
            Create::Unchecked { size } if attr.kind == Kind::File => {
                if size.is_some() {
                    self.set(id, &Set { size, ..Set::default() })?;
                }
                Ok(id)
            }
            Create::Exclusive(verifier) if (attr.atime, attr.mtime) == as_times(verifier) => Ok(id),
            _ => Err(Error::Exist),
        }
    }
}

impl Vfs for HostFs {
    fn root(&self) -> Id {
        self.root
    }

    fn waits(&self) -> bool {
        true
    }

    fn limits(&self) -> Limits {
        Limits { file_bytes: i64::MAX as u64, links: LINKS_MAX, time_step_ns: 1 }
    }

    fn attr(&self, id: Id) -> Result<Attr, Error> {
        self.find(id).map(|found| sys::attr(&found.stat))
    }

    fn set(&self, id: Id, set: &Set) -> Result<(), Error> {
        let found = self.find(id)?;
        if set.uid.is_some() || set.gid.is_some() {
            let (uid, gid) = (set.uid.map(Uid::from_raw), set.gid.map(Gid::from_raw));
            rustix::fs::chownat(&found.fd, "", uid, gid, AtFlags::EMPTY_PATH)
                .map_err(sys::error)?;
        }
        if let Some(size) = set.size {
            if size > i64::MAX as u64 {
                return Err(Error::Fbig);
            }
            let fd = self.file(id, OFlags::WRONLY)?;
            rustix::fs::ftruncate(fd, size).map_err(sys::error)?;
        }
        // After a new owner, whom the kernel gives no set-user-id.
        if let Some(mode) = set.mode {
            chmod(&found.fd, mode)?;
        }
        set_times(&found.fd, set.atime, set.mtime)?;
        self.settle(&found)
    }

    fn lookup(&self, dir: Id, name: &[u8]) -> Result<Id, Error> {
        let found = self.dir(dir)?;
        let id = sys::id(&self.child(&found, name)?.1);
        self.table().found(id, dir, name);
        Ok(id)
    }

    fn parent(&self, dir: Id) -> Result<Id, Error> {
        self.dir(dir)?;
        let place = self.table().places(dir).into_iter().next();
        Ok(place.map_or(self.root, |place| place.dir))
    }

    fn readlink(&self, link: Id) -> Result<Bytes, Error> {
        let found = self.find(link)?;
        if sys::kind(&found.stat) != Kind::Link {
            return Err(Error::Inval);
        }
        let to = rustix::fs::readlinkat(&found.fd, "", Vec::new()).map_err(sys::error)?;
        Ok(to.into_bytes().into())
    }

    fn read(&self, file: Id, from: u64, len: usize) -> Result<Vec<Bytes>, Error> {
        let fd = self.file(file, OFlags::RDONLY)?;
        let size = sys::stat(&fd).map_err(sys::error)?.stx_size;
        let len = size.saturating_sub(from).min(len as u64) as usize;
        let mut octets: Vec<u8> = Vec::with_capacity(len.max(1));
        while octets.len() < len {
            let at = from + octets.len() as u64;
            match rustix::io::pread(&fd, rustix::buffer::spare_capacity(&mut octets), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(sys::error(e)),
            }
        }
        octets.truncate(len);
        Ok(vec![octets.into()])
    }

    fn write(
        &self,
        file: Id,
        from: u64,
        pieces: &[&[u8]],
        stable: Stable,
    ) -> Result<(usize, Stable), Error> {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        if from.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
            return Err(Error::Fbig);
        }
        let fd = self.file(file, OFlags::WRONLY)?;
        let written = write_all(&fd, from, pieces)?;
        match stable {
            Stable::No => Ok(()),
            Stable::Data => rustix::fs::fdatasync(&fd),
            Stable::File => rustix::fs::fsync(&fd),
        }
        .map_err(|e| self.lost(e))?;
        Ok((written, stable))
    }

    fn commit(&self, file: Id) -> Result<(), Error> {
        let fd = match self.file(file, OFlags::RDONLY) {
            Err(Error::Acces) => self.file(file, OFlags::WRONLY),
            opened => opened,
        }?;
        rustix::fs::fsync(fd).map_err(|e| self.lost(e))
    }

    fn verifier(&self) -> [u8; 8] {
        self.verifier.load(Ordering::Relaxed).to_be_bytes()
    }

    fn create(&self, dir: Id, name: &[u8], how: Create, new: &New) -> Result<Id, Error> {
        let found = self.dir(dir)?;
        let (size, new) = match how {
            Create::Unchecked { size } | Create::Guarded { size } => (size, *new),
            Create::Exclusive(verifier) => {
                let (atime, mtime) = as_times(verifier);
                let (atime, mtime) = (SetTime::To(atime), SetTime::To(mtime));
                (None, New { atime, mtime, ..*new })
            }
        };
        if size.is_some_and(|size| size > i64::MAX as u64) {
            return Err(Error::Fbig);
        }
        match self.create_new(&found, name, size) {
            Ok(()) => self.made(&found, name, &new),
            Err(Errno::EXIST) => self.create_there(&found, name, how),
            Err(e) => Err(sys::error(e)),
        }
    }

    fn mkdir(&self, dir: Id, name: &[u8], new: &New) -> Result<Id, Error> {
        let found = self.dir(dir)?;
        rustix::fs::mkdirat(&found.fd, name, Mode::RWXU).map_err(sys::error)?;
        self.made(&found, name, new)
    }

    fn symlink(&self, dir: Id, name: &[u8], to: &[u8], new: &New) -> Result<Id, Error> {
        let found = self.dir(dir)?;
        rustix::fs::symlinkat(to, &found.fd, name).map_err(sys::error)?;
        self.made(&found, name, new)
    }

    fn mknod(&self, dir: Id, name: &[u8], what: Special, new: &New) -> Result<Id, Error> {
        let found = self.dir(dir)?;
        let (kind, device) = sys::special(what);
        rustix::fs::mknodat(&found.fd, name, kind, Mode::RUSR | Mode::WUSR, device)
            .map_err(sys::error)?;
        self.made(&found, name, new)
    }

    fn remove(&self, dir: Id, name: &[u8]) -> Result<(), Error> {
        let found = self.dir(dir)?;
        let stat = self.child(&found, name)?.1;
        if sys::kind(&stat) == Kind::Dir {
            return Err(Error::IsDir);
        }
        rustix::fs::unlinkat(&found.fd, name, AtFlags::empty()).map_err(sys::error)?;
        self.table().lost(sys::id(&stat), dir, name);
        self.settle(&found)
    }

    fn rmdir(&self, dir: Id, name: &[u8]) -> Result<(), Error> {
        let found = self.dir(dir)?;
        let stat = self.child(&found, name)?.1;
        rustix::fs::unlinkat(&found.fd, name, AtFlags::REMOVEDIR).map_err(|e| match e {
            Errno::EXIST => Error::NotEmpty,
            e => sys::error(e),
        })?;
        self.table().lost(sys::id(&stat), dir, name);
        self.settle(&found)
    }

    fn rename(&self, dir: Id, name: &[u8], to_dir: Id, to: &[u8]) -> Result<(), Error> {
        let (from, into) = (self.dir(dir)?, self.dir(to_dir)?);
        let stat = self.child(&from, name)?.1;
        let moved = sys::id(&stat);
        let there = match self.child(&into, to) {
            Ok((_, there)) if sys::id(&there) == moved => return Ok(()),
            Ok((_, there)) => {
                let is_dir = |stat: &Statx| sys::kind(stat) == Kind::Dir;
                if is_dir(&there) != is_dir(&stat) {
                    return Err(Error::Exist);
                }
                Some(sys::id(&there))
            }
            Err(Error::NoEnt) => None,
            Err(e) => return Err(e),
        };
        rustix::fs::renameat(&from.fd, name, &into.fd, to).map_err(|e| match e {
            Errno::NOTDIR | Errno::ISDIR => Error::Exist,
            Errno::EXIST => Error::NotEmpty,
            Errno::XDEV => Error::Xdev,
            e => sys::error(e),
        })?;
        let mut table = self.table();
        if let Some(there) = there {
            table.lost(there, to_dir, to);
        }
        table.lost(moved, dir, name);
        table.found(moved, to_dir, to);
        drop(table);
        self.settle(&from)?;
        if dir == to_dir { Ok(()) } else { self.settle(&into) }
    }

    fn link(&self, file: Id, dir: Id, name: &[u8]) -> Result<(), Error> {
        let (object, into) = (self.find(file)?, self.dir(dir)?);
        if sys::kind(&object.stat) == Kind::Dir {
            return Err(Error::Inval);
        }
        // By the name it has: by the descriptor alone only root may.
        let (above, own) = match object.path.iter().rposition(|&octet| octet == b'/') {
            Some(slash) => (&object.path[..slash], &object.path[slash + 1..]),
            None => (&b"."[..], &object.path[..]),
        };
        let above = sys::open(&self.top, above, OFlags::PATH).map_err(sys::error)?;
        rustix::fs::linkat(above, own, &into.fd, name, AtFlags::empty()).map_err(|e| match e {
            Errno::XDEV => Error::Xdev,
            e => sys::error(e),
        })?;
        self.table().found(file, dir, name);
        self.settle(&into)
    }

    fn list(
        &self,
        id: Id,
        after: u64,
        each: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<bool, Error> {
        let found = self.dir(id)?;
        let fd = self.reopen(&found, OFlags::RDONLY | OFlags::DIRECTORY)?;
        if after > 0 {
            rustix::fs::seek(&fd, SeekFrom::Start(after)).map_err(|_| Error::BadCookie)?;
        }
        let mut room = Vec::with_capacity(LIST_BYTES);
        let mut entries = RawDir::new(&fd, room.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(sys::error)?;
            let name = entry.file_name().to_bytes();
            // What is above the top is nobody's business.
            let above_top = id == self.root && name == b"..";
            let number = if above_top { self.root.number } else { entry.ino() };
            if !each(DirEntry { number, name, cookie: entry.next_entry_cookie() }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn space(&self, id: Id) -> Result<Space, Error> {
        let found = self.find(id)?;
        let stat = rustix::fs::fstatvfs(&found.fd).map_err(sys::error)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space {
            bytes: bytes(stat.f_blocks),
            bytes_free: bytes(stat.f_bfree),
            bytes_avail: bytes(stat.f_bavail),
            files: stat.f_files,
            files_free: stat.f_ffree,
        })
    }
}

/// Writes as much as there is room for; nothing at all is an error.
fn write_all(fd: &OwnedFd, from: u64, pieces: &[&[u8]]) -> Result<usize, Error> {
    let mut written = 0;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match rustix::io::pwrite(fd, rest, from + written as u64) {
                Ok(count) => {
                    written += count;
                    rest = &rest[count..];
                }
                Err(Errno::INTR) => {}
                Err(_) if written > 0 => return Ok(written),
                Err(e) => return Err(sys::error(e)),
            }
        }
    }
    Ok(written)
}

/// The one way there is to an object of which only the place is open.
fn chmod(fd: &OwnedFd, mode: u32) -> Result<(), Error> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())
        .map_err(sys::error)
}

fn set_times(fd: impl AsFd, atime: SetTime, mtime: SetTime) -> Result<(), Error> {
    if (atime, mtime) == (SetTime::Keep, SetTime::Keep) {
        return Ok(());
    }
    rustix::fs::utimensat(fd, "", &sys::times(atime, mtime), AtFlags::EMPTY_PATH)
        .map_err(sys::error)
}

/// A verifier of an exclusive call, kept where it stays: in the times of the file, which the
/// client sets next. Only 31 bits of a second are the same on all disks.
fn as_times(verifier: [u8; 8]) -> (Time, Time) {
    let [a, b, c, d, e, f, g, h] = verifier;
    let time = |octets| Time { s: u32::from_be_bytes(octets) & 0x7fff_ffff, ns: 0 };
    (time([a, b, c, d]), time([e, f, g, h]))
}

/// Objects whose places are known, about 100 octets each.
const KNOWN_MAX: usize = 1 << 18;
/// Octets of a directory that are read at once.
const LIST_BYTES: usize = 32 << 10;
/// Names of one object; disks differ, and refuse themselves.
const LINKS_MAX: u32 = 32_000;
