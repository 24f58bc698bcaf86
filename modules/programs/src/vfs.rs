//! vfs: a file system as NFS version 3 sees it. Objects have ids that outlive their names, nothing
//! is open, and what is asked may be asked again.
//!
//! A file system answers what is asked of it and checks no permissions: who may do what is decided
//! once, above, by [`Attr`] and the caller's credentials. Names that come here are of 1 to
//! [`NAME_MAX`] octets, without `/` and NUL, and neither `.` nor `..`.

mod kinds;

pub use kinds::{
    Attr, Create, DirEntry, Error, Id, Kind, Limits, New, Set, SetTime, Space, Special, Stable,
    Time,
};

use bytes::Bytes;

/// What of a file system is asked for; one thread asks at a time for changes of one object, others
/// may read meanwhile.
///
/// # Errors
/// Every procedure: [`Error::Stale`] for an object that is gone, [`Error::Io`] from below. A name
/// looked for that is not there is [`Error::NoEnt`], one to be made that is there
/// [`Error::Exist`], and a directory that is none [`Error::NotDir`].
pub trait Vfs: Send + Sync {
    /// Its uppermost directory.
    fn root(&self) -> Id;

    /// May a procedure wait for a disk? Then the stack has a thread of its own ask.
    fn waits(&self) -> bool;

    /// What cannot be known from an object's attributes: sizes and times.
    fn limits(&self) -> Limits;

    /// Attributes of an object.
    fn attr(&self, id: Id) -> Result<Attr, Error>;

    /// Sets attributes: size first, which sets times too.
    fn set(&self, id: Id, set: &Set) -> Result<(), Error>;

    /// The object with a name in a directory. Links are objects: nothing is followed.
    fn lookup(&self, dir: Id, name: &[u8]) -> Result<Id, Error>;

    /// The directory above; the root's is the root.
    fn parent(&self, dir: Id) -> Result<Id, Error>;

    /// Where a symbolic link leads; [`Error::Inval`] for what is none.
    fn readlink(&self, link: Id) -> Result<Bytes, Error>;

    /// Octets of a regular file ([`Error::Inval`]), `len` unless the file ends before: blocks, not
    /// copies, where the file system has them in memory.
    fn read(&self, file: Id, from: u64, len: usize) -> Result<Vec<Bytes>, Error>;

    /// Writes pieces one after another; returns how many octets, and how stable they are now.
    /// Fewer octets are written only if the next one is refused: [`Error::NoSpc`],
    /// [`Error::Fbig`].
    fn write(
        &self,
        file: Id,
        from: u64,
        pieces: &[&[u8]],
        stable: Stable,
    ) -> Result<(usize, Stable), Error>;

    /// Makes whatever was written before stable.
    fn commit(&self, file: Id) -> Result<(), Error>;

    /// Changes when octets that were written, and not yet stable, may be lost.
    fn verifier(&self) -> [u8; 8];

    /// Makes a regular file, or finds the one there is: see [`Create`].
    fn create(&self, dir: Id, name: &[u8], how: Create, new: &New) -> Result<Id, Error>;

    /// Makes a directory.
    fn mkdir(&self, dir: Id, name: &[u8], new: &New) -> Result<Id, Error>;

    /// Makes a symbolic link.
    fn symlink(&self, dir: Id, name: &[u8], to: &[u8], new: &New) -> Result<Id, Error>;

    /// Makes a device, a socket or a pipe.
    fn mknod(&self, dir: Id, name: &[u8], what: Special, new: &New) -> Result<Id, Error>;

    /// Takes away a name of what is no directory; [`Error::IsDir`].
    fn remove(&self, dir: Id, name: &[u8]) -> Result<(), Error>;

    /// Takes away an empty directory; [`Error::NotEmpty`].
    fn rmdir(&self, dir: Id, name: &[u8]) -> Result<(), Error>;

    /// Gives an object another name, in place of what has it: [`Error::Exist`] if one of them only
    /// is a directory, [`Error::NotEmpty`], [`Error::Inval`] if it would be below itself.
    fn rename(&self, dir: Id, name: &[u8], to_dir: Id, to: &[u8]) -> Result<(), Error>;

    /// Gives an object one more name; not a directory: [`Error::Inval`].
    fn link(&self, file: Id, dir: Id, name: &[u8]) -> Result<(), Error>;

    /// Tells of the entries of a directory behind a cookie (0: of all), `.` and `..` first, until
    /// `each` wants no more. Returns whether the end was reached. [`Error::BadCookie`].
    fn list(
        &self,
        dir: Id,
        after: u64,
        each: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<bool, Error>;

    /// Room there is.
    fn space(&self, id: Id) -> Result<Space, Error>;
}

/// Octets of a name.
pub const NAME_MAX: usize = 255;
