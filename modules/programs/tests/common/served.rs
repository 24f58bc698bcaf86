//! served: programs asked as a client asks them, with arguments and results as others write them.

use super::Scratch;
use millstream_msg::{Msg, Pool, PoolConfig};
use millstream_onc::auth::{Gids, Sys};
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{Answer, Call, Completions, Credential, Later, Registry, Transport};
use millstream_programs::exports::Export;
use millstream_programs::server::Server;
use millstream_programs::{mount, nfs};
use nfs3_types::mount::{dirpath, mountres3, mountstat3};
use nfs3_types::nfs3::nfs_fh3;
use nfs3_types::xdr_codec::{Opaque, Pack, Unpack};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

/// A server and a client of it.
pub(crate) struct Served {
    registry: Registry,
    pub(crate) pool: Pool,
    completions: Completions,
    woken: Receiver<()>,
    pub(crate) credential: Credential,
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    /// Gone with this.
    pub(crate) dir: Option<Scratch>,
}

pub(crate) const NFS: u32 = 100_003;
pub(crate) const MOUNT: u32 = 100_005;

impl Served {
    /// Exports of this text; the server's random number is its key.
    pub(crate) fn new(text: &str, random: u64) -> Self {
        let server = Server::new(Export::open_all(text, random).unwrap(), random).unwrap();
        let registry = Registry::default();
        for program in [nfs::program(server.clone()), mount::program(server)] {
            assert!(registry.register(program).is_ok());
        }
        let (wake, woken) = channel();
        Self {
            registry,
            pool: Pool::new(PoolConfig::STACK),
            completions: Completions::new(move || wake.send(()).unwrap_or(())),
            woken,
            credential: user(0, 0),
            peer: "10.9.0.1:999".parse().unwrap(),
            transport: Transport::Tcp,
            dir: None,
        }
    }

    /// A directory of its own, with options behind it.
    pub(crate) fn directory(options: &str) -> Self {
        let dir = Scratch::new();
        let text = format!("{}:async{options}", dir.root().display());
        Self { dir: Some(dir), ..Self::new(&text, 0x5eed) }
    }

    /// Asks, and waits if that takes a while; results as octets.
    pub(crate) fn ask(
        &mut self,
        program: u32,
        procedure: u32,
        args: &[u8],
    ) -> Result<Vec<u8>, Answer> {
        self.ask_msg(program, procedure, args).map(|results| {
            results.map_or_else(
                |octets| octets,
                |msg| msg.cursor().chunks().flatten().copied().collect(),
            )
        })
    }

    /// The same; a message if it was answered at once.
    pub(crate) fn ask_msg(
        &mut self,
        program: u32,
        procedure: u32,
        args: &[u8],
    ) -> Result<Result<Msg, Vec<u8>>, Answer> {
        let call = Call {
            xid: 1,
            program,
            version: 3,
            procedure,
            credential: &self.credential,
            peer: self.peer,
            local: "10.9.0.2:2049".parse().unwrap(),
            transport: self.transport,
            now: 0,
        };
        let mut later = Later::new(self.completions.clone());
        let mut reply = Encoder::new(&mut self.pool, 128, 2048).unwrap();
        let answer = self.registry.call(&call, Decoder::new(args), &mut reply, &mut later).unwrap();
        let msg = reply.finish();
        match answer {
            Answer::Done => Ok(Ok(msg)),
            Answer::Later => {
                self.woken.recv().unwrap();
                let done = self.completions.poll().unwrap();
                if done.answer == Answer::Done { Ok(Err(done.results)) } else { Err(done.answer) }
            }
            refused => Err(refused),
        }
    }

    /// Asks with what others packed, for what others unpack: all of it.
    pub(crate) fn call<R: Unpack>(&mut self, program: u32, procedure: u32, args: &impl Pack) -> R {
        let results = self.ask(program, procedure, &packed(args)).unwrap();
        unpacked(&results)
    }

    pub(crate) fn nfs<R: Unpack>(&mut self, procedure: u32, args: &impl Pack) -> R {
        self.call(NFS, procedure, args)
    }

    /// Mounts.
    pub(crate) fn mount(&mut self, path: &str) -> Result<nfs_fh3, mountstat3> {
        let path = dirpath(Opaque::borrowed(path.as_bytes()));
        match self.call(MOUNT, 1, &path) {
            mountres3::Ok(ok) => Ok(nfs_fh3 { data: Opaque::owned(ok.fhandle.0.into_owned()) }),
            mountres3::Err(e) => Err(e),
        }
    }
}

pub(crate) fn packed(args: &impl Pack) -> Vec<u8> {
    let mut octets = Vec::new();
    args.pack(&mut octets).unwrap();
    octets
}

pub(crate) fn unpacked<R: Unpack>(mut octets: &[u8]) -> R {
    let (results, _) = R::unpack(&mut octets).unwrap();
    assert_eq!(octets, [0_u8; 0], "octets behind the results");
    results
}

pub(crate) fn user(uid: u32, gid: u32) -> Credential {
    Credential::Sys(Sys { uid, gid, gids: Gids::new(&[]).unwrap(), ..Sys::default() })
}
