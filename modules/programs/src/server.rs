//! server: the exports of a stack with the clients that have mounted them, and whose call goes to
//! which of them.

use crate::exports::Export;
use crate::handle::Handles;
use crate::jobs::Jobs;
use crate::nfs::ops::Ops;
use crate::vfs::{Error, Id};
use millstream_onc::xdr::{Encode, Opaque};
use millstream_onc::{Answer, Call, Credential, program::Asked};
use std::net::IpAddr;
use std::sync::Arc;

/// What NFS and MOUNT share: one for a stack.
#[derive(Clone, Debug)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    exports: Vec<Arc<Export>>,
    handles: Handles,
    jobs: Jobs,
}

/// One export, for one caller.
#[derive(Clone, Debug)]
pub struct Site {
    /// What the caller may ask for.
    pub ops: Ops,
    handles: Handles,
    /// Of the export, in order.
    number: usize,
}

impl Server {
    /// Serves these; the random number is the key of the handles.
    ///
    /// # Errors
    /// The system has no thread left to wait for its disks.
    pub fn new(exports: Vec<Export>, random: u64) -> std::io::Result<Self> {
        let threads = if exports.iter().any(|export| export.fs.waits()) { THREADS } else { 0 };
        let exports = exports.into_iter().map(Arc::new).collect();
        let (handles, jobs) = (Handles::new(random), Jobs::new(threads)?);
        Ok(Self(Arc::new(Shared { exports, handles, jobs })))
    }

    /// The exports, in their order.
    pub fn exports(&self) -> impl Iterator<Item = &Export> {
        self.0.exports.iter().map(|export| &**export)
    }

    /// The object that a handle names, for whoever calls.
    ///
    /// # Errors
    /// [`Error::BadHandle`], [`Error::Stale`], and [`Error::Acces`] for a client that may not call.
    pub fn site(&self, call: &Call<'_>, handle: &Opaque<'_>) -> Result<(Site, Id), Error> {
        let mut octets = [0; HANDLE_MAX];
        if handle.len() > octets.len() {
            return Err(Error::BadHandle);
        }
        let len = handle.copy_to(&mut octets);
        let (number, id) = self.0.handles.read(&octets[..len])?;
        Ok((self.export(call, number).ok_or(Error::Stale)??, id))
    }

    /// The export that a path to mount is of, and what of the path is below it.
    ///
    /// # Errors
    /// [`Error::NoEnt`], and [`Error::Acces`] for a client that may not call.
    pub fn mounted<'p>(&self, call: &Call<'_>, path: &'p [u8]) -> Result<(Site, &'p [u8]), Error> {
        let all = self.0.exports.iter().enumerate();
        let below = all.filter_map(|(number, export)| {
            export.below(path).map(|rest| (export.name.len(), number, rest))
        });
        // The one with the longest name: exports may lie within each other.
        let (_, number, rest) = below.max_by_key(|(len, ..)| *len).ok_or(Error::NoEnt)?;
        Ok((self.export(call, number).ok_or(Error::NoEnt)??, rest))
    }

    fn export(&self, call: &Call<'_>, number: usize) -> Option<Result<Site, Error>> {
        let export = self.0.exports.get(number)?.clone();
        if !export.rules.allows(call.peer.ip()) {
            return Some(Err(Error::Acces));
        }
        let caller = match call.credential {
            Credential::Sys(sys) => export.rules.caller(Some((sys.uid, sys.gid, &sys.gids))),
            _ => export.rules.caller(None),
        };
        Some(Ok(Site { ops: Ops { export, caller }, handles: self.0.handles, number }))
    }

    /// Gives the results that `work` comes to: at once, or later if that may wait for a disk. Work
    /// that holds `octets` is refused with `busy` when too much waits.
    ///
    /// # Errors
    /// [`Answer::Later`].
    pub fn answer<R: Encode>(
        &self,
        call: &mut Asked<'_>,
        waits: bool,
        octets: usize,
        busy: impl FnOnce() -> R,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Answer> {
        if !waits {
            return Ok(work());
        }
        let Some(place) = self.0.jobs.place(octets) else { return Ok(busy()) };
        let ticket = call.ticket();
        self.0.jobs.add(place, move || {
            // What cannot be written has been answered with SYSTEM_ERR.
            let _written = ticket.answer(|to| work().encode(to));
        });
        Err(Answer::Later)
    }
}

impl Site {
    /// May asking it wait for a disk?
    pub fn waits(&self) -> bool {
        self.ops.export.fs.waits()
    }

    /// The handle of one of its objects.
    pub fn handle(&self, id: Id) -> Vec<u8> {
        self.handles.make(self.number, id).to_vec()
    }
}

/// The address of a client as others are told of it.
pub fn client_name(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// Octets of the largest handle of NFS version 3.
const HANDLE_MAX: usize = 64;
/// Threads that wait for disks: more than a disk has heads, fewer than memory minds.
const THREADS: usize = 4;
