//! results: what a procedure came to, as the wire has it. Attributes are told with failures, too.

use super::ops::{Listed, Outcome, Read, Wcc, Written};
use super::values::{Told, entry_handle, fattr, handle, post, status, wcc};
use crate::server::Site;
use crate::vfs::{Attr, Limits, NAME_MAX, Space, Stable};
use crate::wire::nfs3::*;
use bytes::Bytes;
use millstream_onc::xdr::{Opaque, Text};

type Post = Option<Attr>;

/// Functions from an outcome to a result: its attributes are written by `$write` into the field
/// `$field`, of success and of failure, and its value makes the other fields.
macro_rules! results {
    ($(
        $name:ident($attr:ty: $field:ident by $write:ident, $value:pat => $type:ty) ->
            $res:ident $(<$life:lifetime>)?, $ok:ident, $fail:ident { $($rest:tt)* }
    )*) => {$(
        pub(super) fn $name((attr, done): Outcome<$attr, $type>) -> $res $(<$life>)? {
            let $field = $write(attr);
            match done {
                Ok($value) => $res::Nfs3Ok($ok { $field, $($rest)* }),
                Err(e) => $res::Default(status(e), $fail { $field }),
            }
        }
    )*};
}

results! {
    setattr(Wcc: obj_wcc by wcc, () => ()) -> SETATTR3res, SETATTR3resok, SETATTR3resfail {}

    lookup(Post: dir_attributes by post, found => Told) ->
        LOOKUP3res<'static>, LOOKUP3resok, LOOKUP3resfail {
            object: handle(found.handle),
            obj_attributes: post(found.attr),
        }

    access(Post: obj_attributes by post, access => u32) ->
        ACCESS3res, ACCESS3resok, ACCESS3resfail { access }

    readlink(Post: symlink_attributes by post, to => Bytes) ->
        READLINK3res<'static>, READLINK3resok, READLINK3resfail { data: Text(Opaque::from(to)) }

    read(Post: file_attributes by post, read => Read) ->
        READ3res<'static>, READ3resok, READ3resfail {
            count: read.len() as u32,
            eof: read.end,
            data: Opaque::from(read.blocks),
        }

    write(Wcc: file_wcc by wcc, written => Written) -> WRITE3res, WRITE3resok, WRITE3resfail {
        count: written.count as u32,
        committed: committed(written.stable),
        verf: written.verifier,
    }

    create(Wcc: dir_wcc by wcc, made => Told) ->
        CREATE3res<'static>, CREATE3resok, CREATE3resfail {
            obj: PostOpFh3::True(handle(made.handle)),
            obj_attributes: post(made.attr),
        }

    mkdir(Wcc: dir_wcc by wcc, made => Told) -> MKDIR3res<'static>, MKDIR3resok, MKDIR3resfail {
        obj: PostOpFh3::True(handle(made.handle)),
        obj_attributes: post(made.attr),
    }

    symlink(Wcc: dir_wcc by wcc, made => Told) ->
        SYMLINK3res<'static>, SYMLINK3resok, SYMLINK3resfail {
            obj: PostOpFh3::True(handle(made.handle)),
            obj_attributes: post(made.attr),
        }

    mknod(Wcc: dir_wcc by wcc, made => Told) -> MKNOD3res<'static>, MKNOD3resok, MKNOD3resfail {
        obj: PostOpFh3::True(handle(made.handle)),
        obj_attributes: post(made.attr),
    }

    remove(Wcc: dir_wcc by wcc, () => ()) -> REMOVE3res, REMOVE3resok, REMOVE3resfail {}

    rmdir(Wcc: dir_wcc by wcc, () => ()) -> RMDIR3res, RMDIR3resok, RMDIR3resfail {}

    readdir(Post: dir_attributes by post, listed => Listed) ->
        READDIR3res<'static>, READDIR3resok, READDIR3resfail {
            cookieverf: listed.verifier,
            reply: names(listed),
        }

    readdirplus(Post: dir_attributes by post, (site, listed) => (Site, Listed)) ->
        READDIRPLUS3res<'static>, READDIRPLUS3resok, READDIRPLUS3resfail {
            cookieverf: listed.verifier,
            reply: objects(&site, listed),
        }

    fsstat(Post: obj_attributes by post, space => Space) ->
        FSSTAT3res, FSSTAT3resok, FSSTAT3resfail {
            tbytes: space.bytes,
            fbytes: space.bytes_free,
            abytes: space.bytes_avail,
            tfiles: space.files,
            ffiles: space.files_free,
            afiles: space.files_free,
            invarsec: 0,
        }

    fsinfo(Post: obj_attributes by post, (limits, octets) => (Limits, u32)) ->
        FSINFO3res, FSINFO3resok, FSINFO3resfail {
            rtmax: octets,
            rtpref: octets,
            rtmult: OCTETS_MULTIPLE,
            wtmax: octets,
            wtpref: octets,
            wtmult: OCTETS_MULTIPLE,
            dtpref: octets.min(LIST_PREFERRED),
            maxfilesize: limits.file_bytes,
            time_delta: Nfstime3 { seconds: 0, nseconds: limits.time_step_ns },
            properties: FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME,
        }

    pathconf(Post: obj_attributes by post, limits => Limits) ->
        PATHCONF3res, PATHCONF3resok, PATHCONF3resfail {
            linkmax: limits.links,
            name_max: NAME_MAX as u32,
            no_trunc: true,
            chown_restricted: true,
            case_insensitive: false,
            case_preserving: true,
        }

    commit(Wcc: file_wcc by wcc, verf => [u8; 8]) ->
        COMMIT3res, COMMIT3resok, COMMIT3resfail { verf }
}

pub(super) fn getattr(((), done): Outcome<(), Attr>) -> GETATTR3res {
    match done {
        Ok(attr) => GETATTR3res::Nfs3Ok(GETATTR3resok { obj_attributes: fattr(&attr) }),
        Err(e) => GETATTR3res::Default(status(e)),
    }
}

pub(super) fn rename(((from, to), done): Outcome<(Wcc, Wcc), ()>) -> RENAME3res {
    let (fromdir_wcc, todir_wcc) = (wcc(from), wcc(to));
    match done {
        Ok(()) => RENAME3res::Nfs3Ok(RENAME3resok { fromdir_wcc, todir_wcc }),
        Err(e) => RENAME3res::Default(status(e), RENAME3resfail { fromdir_wcc, todir_wcc }),
    }
}

pub(super) fn link(((attr, dir), done): Outcome<(Post, Wcc), ()>) -> LINK3res {
    let (file_attributes, linkdir_wcc) = (post(attr), wcc(dir));
    match done {
        Ok(()) => LINK3res::Nfs3Ok(LINK3resok { file_attributes, linkdir_wcc }),
        Err(e) => LINK3res::Default(status(e), LINK3resfail { file_attributes, linkdir_wcc }),
    }
}

fn committed(stable: Stable) -> StableHow {
    match stable {
        Stable::No => StableHow::Unstable,
        Stable::Data => StableHow::DataSync,
        Stable::File => StableHow::FileSync,
    }
}

fn names(listed: Listed) -> Dirlist3<'static> {
    let entry = |entry: super::ops::Entry| Entry3 {
        fileid: entry.number,
        name: Text(Opaque::from(entry.name)),
        cookie: entry.cookie,
    };
    Dirlist3 { entries: listed.entries.into_iter().map(entry).collect(), eof: listed.end }
}

fn objects(site: &Site, listed: Listed) -> Dirlistplus3<'static> {
    let entry = |entry: super::ops::Entry| Entryplus3 {
        fileid: entry.number,
        name: Text(Opaque::from(entry.name)),
        cookie: entry.cookie,
        name_attributes: post(entry.object.and_then(|object| object.attr)),
        name_handle: entry.object.map_or(PostOpFh3::False, |object| entry_handle(site, object.id)),
    };
    Dirlistplus3 { entries: listed.entries.into_iter().map(entry).collect(), eof: listed.end }
}

/// Octets that clients best ask for a multiple of.
const OCTETS_MULTIPLE: u32 = 4096;
/// Octets of a list that clients best ask for.
const LIST_PREFERRED: u32 = 32 << 10;
