//! nfs: NFS version 3 (RFC 1813). Arguments become calls of [`ops`], outcomes become results; what
//! may wait for a disk is answered later, by another thread.

pub mod ops;
mod results;
mod values;

use crate::server::{Server, Site};
use crate::vfs::{Create, Error, Id, NAME_MAX, Special, Stable};
use crate::wire::nfs3::*;
use millstream_onc::xdr::{Encode, Opaque, Text};
use millstream_onc::{Answer, Program, Transport, program::Asked};
use ops::{NewAttr, Object, Outcome, Wcc};
use values::Told;

/// NFS version 3 for the exports of a server.
pub fn program(server: Server) -> Box<dyn Program> {
    Box::new(NfsProgramServer(Nfs(server)))
}

struct Nfs(Server);

impl Nfs {
    /// Does what is asked of an object, now or later.
    fn ask<P: Default + 'static, T: 'static, R: Encode + 'static>(
        &self,
        call: &mut Asked<'_>,
        handle: &NfsFh3<'_>,
        result: fn(Outcome<P, T>) -> R,
        op: impl FnOnce(&Site, Id) -> Outcome<P, T> + Send + 'static,
    ) -> Result<R, Answer> {
        match self.0.site(call, &handle.data) {
            Err(e) => Ok(result((P::default(), Err(e)))),
            Ok((site, id)) => {
                let busy = || result((P::default(), Err(Error::Jukebox)));
                let waits = site.waits();
                self.0.answer(call, waits, 0, busy, move || result(op(&site, id)))
            }
        }
    }

    /// Makes something of a name.
    fn make<R: Encode + 'static>(
        &self,
        call: &mut Asked<'_>,
        place: &Diropargs3<'_>,
        result: fn(Outcome<Wcc, Told>) -> R,
        make: impl FnOnce(&Site, Id, &[u8]) -> Result<Outcome<Wcc, Object>, Error> + Send + 'static,
    ) -> Result<R, Answer> {
        let name = name(&place.name);
        self.ask(call, &place.dir, result, move |site, dir| match make(site, dir, &name) {
            Ok((wcc, made)) => (wcc, made.map(|object| Told::of(site, object))),
            Err(e) => (site.ops.unchanged(dir), Err(e)),
        })
    }
}

impl NfsProgramV3 for Nfs {
    fn nfsproc3_getattr(
        &mut self,
        call: &mut Asked<'_>,
        args: GETATTR3args<'_>,
    ) -> Result<GETATTR3res, Answer> {
        self.ask(call, &args.object, results::getattr, |site, id| site.ops.getattr(id))
    }

    fn nfsproc3_setattr(
        &mut self,
        call: &mut Asked<'_>,
        args: SETATTR3args<'_>,
    ) -> Result<SETATTR3res, Answer> {
        let set = values::set(&args.new_attributes);
        let guard = match args.guard {
            Sattrguard3::True(ctime) => Some(values::time_of(ctime)),
            Sattrguard3::False => None,
        };
        self.ask(call, &args.object, results::setattr, move |site, id| match set {
            Ok(set) => site.ops.setattr(id, set, guard),
            Err(e) => (site.ops.unchanged(id), Err(e)),
        })
    }

    fn nfsproc3_lookup(
        &mut self,
        call: &mut Asked<'_>,
        args: LOOKUP3args<'_>,
    ) -> Result<LOOKUP3res<'_>, Answer> {
        let name = name(&args.what.name);
        self.ask(call, &args.what.dir, results::lookup, move |site, dir| {
            let (attr, found) = site.ops.lookup(dir, &name);
            (attr, found.map(|object| Told::of(site, object)))
        })
    }

    fn nfsproc3_access(
        &mut self,
        call: &mut Asked<'_>,
        args: ACCESS3args<'_>,
    ) -> Result<ACCESS3res, Answer> {
        let asked = args.access;
        self.ask(call, &args.object, results::access, move |site, id| site.ops.access(id, asked))
    }

    fn nfsproc3_readlink(
        &mut self,
        call: &mut Asked<'_>,
        args: READLINK3args<'_>,
    ) -> Result<READLINK3res<'_>, Answer> {
        self.ask(call, &args.symlink, results::readlink, |site, id| site.ops.readlink(id))
    }

    fn nfsproc3_read(
        &mut self,
        call: &mut Asked<'_>,
        args: READ3args<'_>,
    ) -> Result<READ3res<'_>, Answer> {
        let len = args.count.min(octets_max(call.transport)) as usize;
        let from = args.offset;
        self.ask(call, &args.file, results::read, move |site, id| site.ops.read(id, from, len))
    }

    fn nfsproc3_write(
        &mut self,
        call: &mut Asked<'_>,
        args: WRITE3args<'_>,
    ) -> Result<WRITE3res, Answer> {
        let WRITE3args { file, offset: from, count, stable, data } = args;
        let (site, id) = match self.0.site(call, &file.data) {
            Ok(found) => found,
            Err(e) => return Ok(results::write((Wcc::default(), Err(e)))),
        };
        let waits = site.waits();
        let stable = match stable {
            StableHow::Unstable => Stable::No,
            StableHow::DataSync => Stable::Data,
            StableHow::FileSync => Stable::File,
        };
        let write = move |data: &Opaque<'_>| {
            if data.len() != count as usize {
                return results::write((site.ops.unchanged(id), Err(Error::Inval)));
            }
            // Where the octets lie in the message, they are read from there.
            let pieces: Vec<&[u8]> = data.chunks().collect();
            results::write(site.ops.write(id, from, &pieces, stable))
        };
        if !waits {
            return Ok(write(&data));
        }
        let busy = || results::write((Wcc::default(), Err(Error::Jukebox)));
        let (len, data) = (data.len(), data.into_owned());
        self.0.answer(call, waits, len, busy, move || write(&data))
    }

    fn nfsproc3_create(
        &mut self,
        call: &mut Asked<'_>,
        args: CREATE3args<'_>,
    ) -> Result<CREATE3res<'_>, Answer> {
        let how = args.how;
        self.make(call, &args.where_, results::create, move |site, dir, name| {
            let (how, attr) = match &how {
                Createhow3::Unchecked(attr) => {
                    let attr = values::set(attr)?;
                    (Create::Unchecked { size: attr.size }, attr)
                }
                Createhow3::Guarded(attr) => {
                    let attr = values::set(attr)?;
                    (Create::Guarded { size: attr.size }, attr)
                }
                Createhow3::Exclusive(verifier) => {
                    (Create::Exclusive(*verifier), NewAttr::default())
                }
            };
            Ok(site.ops.create(dir, name, how, attr))
        })
    }

    fn nfsproc3_mkdir(
        &mut self,
        call: &mut Asked<'_>,
        args: MKDIR3args<'_>,
    ) -> Result<MKDIR3res<'_>, Answer> {
        let attr = values::set(&args.attributes);
        self.make(call, &args.where_, results::mkdir, move |site, dir, name| {
            Ok(site.ops.mkdir(dir, name, attr?))
        })
    }

    fn nfsproc3_symlink(
        &mut self,
        call: &mut Asked<'_>,
        args: SYMLINK3args<'_>,
    ) -> Result<SYMLINK3res<'_>, Answer> {
        let attr = values::set(&args.symlink.symlink_attributes);
        let to = args.symlink.symlink_data.0.to_vec();
        self.make(call, &args.where_, results::symlink, move |site, dir, name| {
            Ok(site.ops.symlink(dir, name, &to, attr?))
        })
    }

    fn nfsproc3_mknod(
        &mut self,
        call: &mut Asked<'_>,
        args: MKNOD3args<'_>,
    ) -> Result<MKNOD3res<'_>, Answer> {
        let what = args.what;
        self.make(call, &args.where_, results::mknod, move |site, dir, name| {
            let (what, attr) = match &what {
                Mknoddata3::Nf3chr(Devicedata3 { dev_attributes, spec }) => {
                    (Special::Char(spec.specdata1, spec.specdata2), dev_attributes)
                }
                Mknoddata3::Nf3blk(Devicedata3 { dev_attributes, spec }) => {
                    (Special::Block(spec.specdata1, spec.specdata2), dev_attributes)
                }
                Mknoddata3::Nf3sock(attr) => (Special::Socket, attr),
                Mknoddata3::Nf3fifo(attr) => (Special::Fifo, attr),
                Mknoddata3::Default(_) => return Err(Error::BadType),
            };
            Ok(site.ops.mknod(dir, name, what, values::set(attr)?))
        })
    }

    fn nfsproc3_remove(
        &mut self,
        call: &mut Asked<'_>,
        args: REMOVE3args<'_>,
    ) -> Result<REMOVE3res, Answer> {
        let name = name(&args.object.name);
        self.ask(call, &args.object.dir, results::remove, move |site, dir| {
            site.ops.remove(dir, &name)
        })
    }

    fn nfsproc3_rmdir(
        &mut self,
        call: &mut Asked<'_>,
        args: RMDIR3args<'_>,
    ) -> Result<RMDIR3res, Answer> {
        let name = name(&args.object.name);
        self.ask(call, &args.object.dir, results::rmdir, move |site, dir| {
            site.ops.rmdir(dir, &name)
        })
    }

    fn nfsproc3_rename(
        &mut self,
        call: &mut Asked<'_>,
        args: RENAME3args<'_>,
    ) -> Result<RENAME3res, Answer> {
        let (from, to) = (name(&args.from.name), name(&args.to.name));
        let into = self.0.site(call, &args.to.dir.data);
        self.ask(call, &args.from.dir, results::rename, move |site, dir| match into {
            Ok((into, to_dir)) => site.ops.rename(dir, &from, &into.ops, to_dir, &to),
            Err(e) => ((site.ops.unchanged(dir), Wcc::default()), Err(e)),
        })
    }

    fn nfsproc3_link(
        &mut self,
        call: &mut Asked<'_>,
        args: LINK3args<'_>,
    ) -> Result<LINK3res, Answer> {
        let name = name(&args.link.name);
        let into = self.0.site(call, &args.link.dir.data);
        self.ask(call, &args.file, results::link, move |site, file| match into {
            Ok((into, dir)) => site.ops.link(file, &into.ops, dir, &name),
            Err(e) => ((site.ops.unchanged(file).after, Wcc::default()), Err(e)),
        })
    }

    fn nfsproc3_readdir(
        &mut self,
        call: &mut Asked<'_>,
        args: READDIR3args<'_>,
    ) -> Result<READDIR3res<'_>, Answer> {
        let room = args.count.min(list_max(call.transport)) as usize;
        let (cookie, verifier) = (args.cookie, args.cookieverf);
        self.ask(call, &args.dir, results::readdir, move |site, dir| {
            site.ops.readdir(dir, cookie, verifier, room)
        })
    }

    fn nfsproc3_readdirplus(
        &mut self,
        call: &mut Asked<'_>,
        args: READDIRPLUS3args<'_>,
    ) -> Result<READDIRPLUS3res<'_>, Answer> {
        let room = args.maxcount.min(list_max(call.transport)) as usize;
        let (cookie, verifier, names) = (args.cookie, args.cookieverf, args.dircount as usize);
        self.ask(call, &args.dir, results::readdirplus, move |site, dir| {
            let (attr, listed) = site.ops.readdirplus(dir, cookie, verifier, names, room);
            (attr, listed.map(|listed| (site.clone(), listed)))
        })
    }

    fn nfsproc3_fsstat(
        &mut self,
        call: &mut Asked<'_>,
        args: FSSTAT3args<'_>,
    ) -> Result<FSSTAT3res, Answer> {
        self.ask(call, &args.fsroot, results::fsstat, |site, id| site.ops.fsstat(id))
    }

    fn nfsproc3_fsinfo(
        &mut self,
        call: &mut Asked<'_>,
        args: FSINFO3args<'_>,
    ) -> Result<FSINFO3res, Answer> {
        let octets = octets_max(call.transport);
        self.ask(call, &args.fsroot, results::fsinfo, move |site, id| {
            let (attr, there) = site.ops.is_there(id);
            (attr, there.map(|()| (site.ops.export.fs.limits(), octets)))
        })
    }

    fn nfsproc3_pathconf(
        &mut self,
        call: &mut Asked<'_>,
        args: PATHCONF3args<'_>,
    ) -> Result<PATHCONF3res, Answer> {
        self.ask(call, &args.object, results::pathconf, |site, id| {
            let (attr, there) = site.ops.is_there(id);
            (attr, there.map(|()| site.ops.export.fs.limits()))
        })
    }

    fn nfsproc3_commit(
        &mut self,
        call: &mut Asked<'_>,
        args: COMMIT3args<'_>,
    ) -> Result<COMMIT3res, Answer> {
        self.ask(call, &args.file, results::commit, |site, id| site.ops.commit(id))
    }
}

/// The well-known port.
pub const PORT: u16 = 2049;

/// A name as it came, but for octets that make it no longer: too long is too long.
fn name(text: &Text<'_>) -> Vec<u8> {
    let mut octets = vec![0; text.len().min(NAME_MAX + 1)];
    text.0.copy_to(&mut octets);
    octets
}

/// Octets that are read or written at once.
fn octets_max(transport: Transport) -> u32 {
    match transport {
        Transport::Tcp => 1 << 20,
        // A datagram has 64 KiB, with headers and attributes.
        Transport::Udp => 32 << 10,
    }
}

/// Octets of a list of names, whatever the caller has room for.
fn list_max(transport: Transport) -> u32 {
    octets_max(transport).min(64 << 10)
}
