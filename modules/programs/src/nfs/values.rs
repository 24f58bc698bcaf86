//! values: attributes, errors and times of the file system become those of the wire, and back.

use super::ops::{NewAttr, Object, Wcc};
use crate::server::Site;
use crate::vfs::{Attr, Error, Id, Kind, Set, SetTime, Time};
use crate::wire::nfs3::*;
use millstream_onc::xdr::Opaque;

/// A handle and attributes of an object that was found or made.
pub(super) struct Told {
    pub(super) handle: Vec<u8>,
    pub(super) attr: Option<Attr>,
}

impl Told {
    pub(super) fn of(site: &Site, Object { id, attr }: Object) -> Self {
        Self { handle: site.handle(id), attr }
    }
}

pub(super) fn handle(octets: Vec<u8>) -> NfsFh3<'static> {
    NfsFh3 { data: Opaque::from(octets) }
}

pub(super) fn entry_handle(site: &Site, id: Id) -> PostOpFh3<'static> {
    PostOpFh3::True(handle(site.handle(id)))
}

pub(super) fn post(attr: Option<Attr>) -> PostOpAttr {
    attr.map_or(PostOpAttr::False, |attr| PostOpAttr::True(fattr(&attr)))
}

pub(super) fn wcc(Wcc { before, after }: Wcc) -> WccData {
    let before = before.map_or(PreOpAttr::False, |attr| {
        let (mtime, ctime) = (time(attr.mtime), time(attr.ctime));
        PreOpAttr::True(WccAttr { size: attr.size, mtime, ctime })
    });
    WccData { before, after: post(after) }
}

pub(super) fn fattr(attr: &Attr) -> Fattr3 {
    let (specdata1, specdata2) = attr.device;
    Fattr3 {
        type_: match attr.kind {
            Kind::File => Ftype3::Nf3reg,
            Kind::Dir => Ftype3::Nf3dir,
            Kind::Block => Ftype3::Nf3blk,
            Kind::Char => Ftype3::Nf3chr,
            Kind::Link => Ftype3::Nf3lnk,
            Kind::Socket => Ftype3::Nf3sock,
            Kind::Fifo => Ftype3::Nf3fifo,
        },
        mode: attr.mode,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        used: attr.used,
        rdev: Specdata3 { specdata1, specdata2 },
        fsid: attr.fsid,
        fileid: attr.number,
        atime: time(attr.atime),
        mtime: time(attr.mtime),
        ctime: time(attr.ctime),
    }
}

pub(super) fn time(Time { s, ns }: Time) -> Nfstime3 {
    Nfstime3 { seconds: s, nseconds: ns }
}

pub(super) fn time_of(time: Nfstime3) -> Time {
    Time { s: time.seconds, ns: time.nseconds }
}

/// What is to be set.
///
/// # Errors
/// [`Error::Inval`] for a time that is none.
pub(super) fn set(attr: &Sattr3) -> Result<NewAttr, Error> {
    let to = |time: Nfstime3| {
        if time.nseconds < 1_000_000_000 {
            Ok(SetTime::To(time_of(time)))
        } else {
            Err(Error::Inval)
        }
    };
    let by = |how| if how == TimeHow::SetToServerTime { SetTime::Now } else { SetTime::Keep };
    Ok(Set {
        mode: match attr.mode {
            SetMode3::True(mode) => Some(mode),
            SetMode3::Default(_) => None,
        },
        uid: match attr.uid {
            SetUid3::True(uid) => Some(uid),
            SetUid3::Default(_) => None,
        },
        gid: match attr.gid {
            SetGid3::True(gid) => Some(gid),
            SetGid3::Default(_) => None,
        },
        size: match attr.size {
            SetSize3::True(size) => Some(size),
            SetSize3::Default(_) => None,
        },
        atime: match attr.atime {
            SetAtime::SetToClientTime(time) => to(time)?,
            SetAtime::Default(how) => by(how),
        },
        mtime: match attr.mtime {
            SetMtime::SetToClientTime(time) => to(time)?,
            SetMtime::Default(how) => by(how),
        },
    })
}

pub(super) fn status(error: Error) -> Nfsstat3 {
    match error {
        Error::Perm => Nfsstat3::Nfs3errPerm,
        Error::NoEnt => Nfsstat3::Nfs3errNoent,
        Error::Io => Nfsstat3::Nfs3errIo,
        Error::Nxio => Nfsstat3::Nfs3errNxio,
        Error::Acces => Nfsstat3::Nfs3errAcces,
        Error::Exist => Nfsstat3::Nfs3errExist,
        Error::Xdev => Nfsstat3::Nfs3errXdev,
        Error::NoDev => Nfsstat3::Nfs3errNodev,
        Error::NotDir => Nfsstat3::Nfs3errNotdir,
        Error::IsDir => Nfsstat3::Nfs3errIsdir,
        Error::Inval => Nfsstat3::Nfs3errInval,
        Error::Fbig => Nfsstat3::Nfs3errFbig,
        Error::NoSpc => Nfsstat3::Nfs3errNospc,
        Error::Rofs => Nfsstat3::Nfs3errRofs,
        Error::Mlink => Nfsstat3::Nfs3errMlink,
        Error::NameTooLong => Nfsstat3::Nfs3errNametoolong,
        Error::NotEmpty => Nfsstat3::Nfs3errNotempty,
        Error::Dquot => Nfsstat3::Nfs3errDquot,
        Error::Stale => Nfsstat3::Nfs3errStale,
        Error::BadHandle => Nfsstat3::Nfs3errBadhandle,
        Error::NotSync => Nfsstat3::Nfs3errNotSync,
        Error::BadCookie => Nfsstat3::Nfs3errBadCookie,
        Error::NotSupp => Nfsstat3::Nfs3errNotsupp,
        Error::TooSmall => Nfsstat3::Nfs3errToosmall,
        Error::ServerFault => Nfsstat3::Nfs3errServerfault,
        Error::BadType => Nfsstat3::Nfs3errBadtype,
        Error::Jukebox => Nfsstat3::Nfs3errJukebox,
    }
}
