//! sys: the kernel's words about files, and ours.

use crate::vfs::{Attr, Error, Id, Kind, SetTime, Special, Time};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, StatxTimestamp, Timespec,
    Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Opens a path below a directory: no link is followed, no `..` leads out, no other file system is
/// entered.
pub(super) fn open(below: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    make(below, path, flags, Mode::empty())
}

/// The same for a file that the flags may make.
pub(super) fn make(
    below: impl AsFd,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let mut all = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    if !flags.contains(OFlags::PATH) {
        // A pipe or a terminal that somebody has put there must not stop a thread.
        all |= OFlags::NONBLOCK | OFlags::NOCTTY;
    }
    rustix::fs::openat2(below, path, all, mode, resolve)
}

pub(super) fn stat(fd: impl AsFd) -> Result<Statx, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, wanted)
}

/// The id of an object: inode numbers are given again, not so with the time of its birth.
pub(super) fn id(stat: &Statx) -> Id {
    let born = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    let StatxTimestamp { tv_sec, tv_nsec, .. } = stat.stx_btime;
    let generation = if born { (tv_sec as u64) << 30 ^ u64::from(tv_nsec) } else { 0 };
    Id { number: stat.stx_ino, generation }
}

pub(super) fn kind(stat: &Statx) -> Kind {
    match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        FileType::BlockDevice => Kind::Block,
        FileType::CharacterDevice => Kind::Char,
        FileType::Socket => Kind::Socket,
        FileType::Fifo => Kind::Fifo,
        FileType::RegularFile | FileType::Unknown => Kind::File,
    }
}

pub(super) fn attr(stat: &Statx) -> Attr {
    let time = |at: StatxTimestamp| Time { s: at.tv_sec as u32, ns: at.tv_nsec };
    Attr {
        kind: kind(stat),
        mode: u32::from(stat.stx_mode) & 0o7777,
        links: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        size: stat.stx_size,
        used: stat.stx_blocks.saturating_mul(512),
        device: (stat.stx_rdev_major, stat.stx_rdev_minor),
        fsid: device(stat),
        number: stat.stx_ino,
        atime: time(stat.stx_atime),
        mtime: time(stat.stx_mtime),
        ctime: time(stat.stx_ctime),
    }
}

fn device(stat: &Statx) -> u64 {
    u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor)
}

pub(super) fn times(atime: SetTime, mtime: SetTime) -> Timestamps {
    let spec = |set: SetTime| match set {
        SetTime::Keep => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        SetTime::Now => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        SetTime::To(time) => Timespec { tv_sec: time.s.into(), tv_nsec: time.ns.into() },
    };
    Timestamps { last_access: spec(atime), last_modification: spec(mtime) }
}

pub(super) fn special(what: Special) -> (FileType, u64) {
    match what {
        Special::Block(major, minor) => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
        Special::Char(major, minor) => {
            (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
        }
        Special::Socket => (FileType::Socket, 0),
        Special::Fifo => (FileType::Fifo, 0),
    }
}

/// What the kernel refused, as RFC 1813 has it.
pub(super) fn error(errno: Errno) -> Error {
    match errno {
        Errno::PERM => Error::Perm,
        Errno::NOENT => Error::NoEnt,
        Errno::NXIO => Error::Nxio,
        // Another file system below the exported one, or a link where a directory was.
        Errno::ACCESS | Errno::XDEV | Errno::LOOP | Errno::BUSY | Errno::TXTBSY => Error::Acces,
        Errno::EXIST => Error::Exist,
        Errno::NODEV => Error::NoDev,
        Errno::NOTDIR => Error::NotDir,
        Errno::ISDIR => Error::IsDir,
        Errno::INVAL => Error::Inval,
        Errno::FBIG | Errno::OVERFLOW => Error::Fbig,
        Errno::NOSPC => Error::NoSpc,
        Errno::ROFS => Error::Rofs,
        Errno::MLINK => Error::Mlink,
        Errno::NAMETOOLONG => Error::NameTooLong,
        Errno::NOTEMPTY => Error::NotEmpty,
        Errno::DQUOT => Error::Dquot,
        Errno::STALE => Error::Stale,
        Errno::OPNOTSUPP => Error::NotSupp,
        Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::AGAIN => Error::Jukebox,
        _ => Error::Io,
    }
}
