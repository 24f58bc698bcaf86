//! kinds: what is said of a file system's objects: ids, attributes, what is to be made, errors.

use std::time::{SystemTime, UNIX_EPOCH};

/// An object of a file system; another one that gets its number later has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// As in [`Attr::number`].
    pub number: u64,
    /// Tells objects with one number apart.
    pub generation: u64,
}

/// Types of objects, numbered as by RFC 1813 (ftype3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File = 1,
    /// A directory.
    Dir = 2,
    /// A device of blocks.
    Block = 3,
    /// A device of characters.
    Char = 4,
    /// A symbolic link.
    Link = 5,
    /// A socket.
    Socket = 6,
    /// A pipe with a name.
    Fifo = 7,
}

/// A time since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds.
    pub s: u32,
    /// And nanoseconds, below 1,000,000,000.
    pub ns: u32,
}

impl Time {
    /// That of the system's clock.
    pub fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Wraps in 2106, as the protocol does.
        Self { s: now.as_secs() as u32, ns: now.subsec_nanos() }
    }
}

/// Attributes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0o7777 at most.
    pub mode: u32,
    /// Names it has.
    pub links: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Octets.
    pub size: u64,
    /// Octets it takes.
    pub used: u64,
    /// Major and minor number, of devices.
    pub device: (u32, u32),
    /// Its file system's number.
    pub fsid: u64,
    /// Its own, unique in its file system.
    pub number: u64,
    /// Last read.
    pub atime: Time,
    /// Contents last changed.
    pub mtime: Time,
    /// Attributes last changed.
    pub ctime: Time,
}

/// A time to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetTime {
    /// It stays.
    #[default]
    Keep,
    /// To that of the server.
    Now,
    /// To this one.
    To(Time),
}

/// Attributes to set; those that are `None` stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Octets, of regular files only: [`Error::Inval`].
    pub size: Option<u64>,
    /// Last read.
    pub atime: SetTime,
    /// Last changed.
    pub mtime: SetTime,
}

/// What a new object is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct New {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last read.
    pub atime: SetTime,
    /// Last changed.
    pub mtime: SetTime,
}

/// How a regular file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// A file that is there is taken as it is, but for its size.
    Unchecked {
        /// Octets, of a new file and one that is there.
        size: Option<u64>,
    },
    /// A file that is there is [`Error::Exist`].
    Guarded {
        /// Octets.
        size: Option<u64>,
    },
    /// A file that is there is [`Error::Exist`], unless it was made with this verifier: then this
    /// is the same call once more.
    Exclusive([u8; 8]),
}

/// What `mknod` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A device of blocks, by major and minor number.
    Block(u32, u32),
    /// A device of characters.
    Char(u32, u32),
    /// A socket.
    Socket,
    /// A pipe with a name.
    Fifo,
}

/// How stable octets are, numbered as by RFC 1813 (stable_how).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stable {
    /// They may be lost until they are committed.
    No = 0,
    /// They are kept, with what is needed to find them.
    Data = 1,
    /// They are kept with all attributes.
    File = 2,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// The object's number, as in [`Attr::number`].
    pub number: u64,
    /// Its name; `.` and `..` are entries.
    pub name: &'a [u8],
    /// The list goes on behind this entry with this cookie, which is never 0.
    pub cookie: u64,
}

/// Room of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Octets in all.
    pub bytes: u64,
    /// Octets free.
    pub bytes_free: u64,
    /// Octets free for callers other than root.
    pub bytes_avail: u64,
    /// Objects in all.
    pub files: u64,
    /// Objects that can be made.
    pub files_free: u64,
}

/// What does not change while a file system is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the largest file.
    pub file_bytes: u64,
    /// Names an object can have.
    pub links: u32,
    /// Nanoseconds between times that can be told apart.
    pub time_step_ns: u32,
}

/// Why not, numbered as by RFC 1813 (nfsstat3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Only its owner may.
    #[error("not the owner")]
    Perm = 1,
    /// There is none of that name.
    #[error("no such file or directory")]
    NoEnt = 2,
    /// The disk has failed.
    #[error("input or output failed")]
    Io = 5,
    /// The device is not there.
    #[error("no such device or address")]
    Nxio = 6,
    /// The mode does not permit it.
    #[error("permission denied")]
    Acces = 13,
    /// There is one of that name.
    #[error("it exists")]
    Exist = 17,
    /// The two are on different file systems.
    #[error("another file system")]
    Xdev = 18,
    /// The device cannot do it.
    #[error("no such device")]
    NoDev = 19,
    /// It is no directory.
    #[error("not a directory")]
    NotDir = 20,
    /// It is a directory.
    #[error("a directory")]
    IsDir = 21,
    /// It cannot be asked of this object.
    #[error("invalid argument")]
    Inval = 22,
    /// It would be too large.
    #[error("file too large")]
    Fbig = 27,
    /// There is no room.
    #[error("no space left")]
    NoSpc = 28,
    /// Nothing may be changed.
    #[error("read-only file system")]
    Rofs = 30,
    /// It has too many names.
    #[error("too many links")]
    Mlink = 31,
    /// The name is too long.
    #[error("name too long")]
    NameTooLong = 63,
    /// The directory is not empty.
    #[error("directory not empty")]
    NotEmpty = 66,
    /// The owner has no room left.
    #[error("quota exceeded")]
    Dquot = 69,
    /// The object is gone.
    #[error("stale handle")]
    Stale = 70,
    /// The handle was not made here.
    #[error("bad handle")]
    BadHandle = 10001,
    /// It was changed meanwhile.
    #[error("guard does not hold")]
    NotSync = 10002,
    /// The list cannot go on there.
    #[error("bad cookie")]
    BadCookie = 10003,
    /// It is not done here.
    #[error("not supported")]
    NotSupp = 10004,
    /// Not even one entry fits.
    #[error("too small")]
    TooSmall = 10005,
    /// None of the others.
    #[error("server fault")]
    ServerFault = 10006,
    /// No object of that type can be made.
    #[error("bad type")]
    BadType = 10007,
    /// Later.
    #[error("busy, try again")]
    Jukebox = 10008,
}
