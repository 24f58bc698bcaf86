//! mount: MOUNT version 3 (RFC 1813, appendix I): a path becomes the handle of a directory. Who has
//! mounted what is told as clients said it; nothing depends on it.

use crate::server::{Server, Site, client_name};
use crate::vfs::{Error, Id, Kind};
use crate::wire::mount3::*;
use millstream_onc::auth::{AUTH_NONE, AUTH_SYS};
use millstream_onc::xdr::{Opaque, Text};
use millstream_onc::{Answer, Program, program::Asked};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// MOUNT version 3 for the exports of a server.
pub fn program(server: Server) -> Box<dyn Program> {
    Box::new(MountProgramServer(Mount { server, mounts: Arc::default() }))
}

struct Mount {
    server: Server,
    mounts: Arc<Mounts>,
}

/// Clients and the paths they have mounted.
#[derive(Debug, Default)]
struct Mounts(Mutex<BTreeSet<(String, Vec<u8>)>>);

impl Mounts {
    fn all(&self) -> MutexGuard<'_, BTreeSet<(String, Vec<u8>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, client: String, path: Vec<u8>) {
        let mut all = self.all();
        if all.len() < MOUNTS_MAX {
            all.insert((client, path));
        }
    }
}

impl MountProgramV3 for Mount {
    fn mountproc3_mnt(
        &mut self,
        call: &mut Asked<'_>,
        path: Dirpath<'_>,
    ) -> Result<Mountres3<'_>, Answer> {
        let path = path.0.to_vec();
        let (site, below) = match self.server.mounted(call, &path) {
            Ok((site, below)) => (site, below.to_vec()),
            Err(e) => return Ok(result(Err(e))),
        };
        let (mounts, client) = (self.mounts.clone(), client_name(call.peer.ip()));
        let waits = site.waits();
        let busy = || result(Err(Error::ServerFault));
        self.server.answer(call, waits, 0, busy, move || {
            let found = directory(&site, &below);
            if found.is_ok() {
                mounts.add(client, path);
            }
            result(found.map(|id| site.handle(id)))
        })
    }

    fn mountproc3_dump(&mut self, _: &mut Asked<'_>) -> Result<Mountlist<'_>, Answer> {
        let all = self.mounts.all();
        let body = |(client, path): &(String, Vec<u8>)| Mountbody {
            ml_hostname: Text::from(client.clone()),
            ml_directory: Text(Opaque::from(path.clone())),
        };
        Ok(all.iter().map(body).collect())
    }

    fn mountproc3_umnt(&mut self, call: &mut Asked<'_>, path: Dirpath<'_>) -> Result<(), Answer> {
        self.mounts.all().remove(&(client_name(call.peer.ip()), path.0.to_vec()));
        Ok(())
    }

    fn mountproc3_umntall(&mut self, call: &mut Asked<'_>) -> Result<(), Answer> {
        let own = client_name(call.peer.ip());
        self.mounts.all().retain(|(client, _)| *client != own);
        Ok(())
    }

    fn mountproc3_export(&mut self, _: &mut Asked<'_>) -> Result<Exports<'_>, Answer> {
        let node = |export: &crate::exports::Export| Exportnode {
            ex_dir: Text::from(export.name.clone()),
            ex_groups: export
                .rules
                .allow
                .iter()
                .map(|network| Groupnode { gr_name: Text::from(network.to_string()) })
                .collect(),
        };
        Ok(self.server.exports().map(node).collect())
    }
}

/// What a path below an export leads to: a directory, if it can be mounted.
fn directory(site: &Site, below: &[u8]) -> Result<Id, Error> {
    let id = site.ops.walk(below)?;
    match site.ops.getattr(id).1?.kind {
        Kind::Dir => Ok(id),
        _ => Err(Error::NotDir),
    }
}

fn result(found: Result<Vec<u8>, Error>) -> Mountres3<'static> {
    match found {
        Ok(handle) => Mountres3::Mnt3Ok(Mountres3Ok {
            fhandle: Opaque::from(handle),
            auth_flavors: vec![AUTH_SYS as i32, AUTH_NONE as i32],
        }),
        Err(e) => Mountres3::Default(match e {
            Error::Perm => Mountstat3::Mnt3errPerm,
            Error::NoEnt | Error::Stale => Mountstat3::Mnt3errNoent,
            Error::Io => Mountstat3::Mnt3errIo,
            Error::Acces => Mountstat3::Mnt3errAcces,
            Error::NotDir => Mountstat3::Mnt3errNotdir,
            Error::Inval => Mountstat3::Mnt3errInval,
            Error::NameTooLong => Mountstat3::Mnt3errNametoolong,
            Error::NotSupp => Mountstat3::Mnt3errNotsupp,
            _ => Mountstat3::Mnt3errServerfault,
        }),
    }
}

/// Mounts that are told of; more are mounts all the same.
const MOUNTS_MAX: usize = 1024;
