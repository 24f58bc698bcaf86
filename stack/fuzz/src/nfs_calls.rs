//! Calls of NFS and MOUNT with any arguments, one after the other, on a file system in memory.

use super::script::cells_out;
use millstream_msg::{Pool, PoolConfig};
use millstream_onc::auth::{Gids, Sys};
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{Answer, Call, Completions, Credential, Later, Registry, Transport};
use millstream_programs::exports::Export;
use millstream_programs::server::Server;
use millstream_programs::{mount, nfs};

/// Bytes: calls. Of each the procedure (above 127 one of MOUNT), how many octets of arguments
/// follow, and these. An octet 254 and a number stand for a handle that was given before, with its
/// length; 0 is the root.
pub fn run(data: &[u8]) {
    let mut served = Served::new();
    let mut rest = data;
    while let [procedure, len, args @ ..] = rest {
        let (args, behind) = args.split_at(args.len().min(usize::from(*len)));
        served.ask(*procedure, args);
        rest = behind;
    }
    assert_eq!(cells_out(&mut served.pool), 0);
}

struct Served {
    registry: Registry,
    pool: Pool,
    later: Later,
    /// As on the wire, length in front.
    handles: Vec<Vec<u8>>,
}

impl Served {
    fn new() -> Self {
        let exports = Export::open_all("mem:size=1m:squash=none", 7).unwrap();
        let server = Server::new(exports, 7).unwrap();
        let registry = Registry::default();
        for program in [nfs::program(server.clone()), mount::program(server)] {
            assert!(registry.register(program).is_ok());
        }
        let later = Later::new(Completions::default());
        let mut served =
            Self { registry, pool: Pool::new(PoolConfig::TINY), later, handles: Vec::new() };
        // MNT of "/": its results are the status, and the handle of the root.
        let root = served.ask(MOUNT | 1, &[0, 0, 0, 1, b'/', 0, 0, 0]).unwrap();
        let len = u32::from_be_bytes([root[4], root[5], root[6], root[7]]) as usize;
        served.handles = vec![root[4..8 + len].to_vec()];
        served
    }

    fn ask(&mut self, procedure: u8, args: &[u8]) -> Option<Vec<u8>> {
        let args = self.with_handles(args);
        let uid = u32::from(procedure >> 6 & 1);
        let credential =
            Credential::Sys(Sys { uid, gids: Gids::new(&[]).unwrap(), ..Sys::default() });
        let anywhere = ([10, 9, 0, 1], 999).into();
        let call = Call {
            xid: 1,
            program: if procedure & MOUNT == 0 { 100_003 } else { 100_005 },
            version: 3,
            procedure: u32::from(procedure & 0x1f),
            credential: &credential,
            peer: anywhere,
            local: anywhere,
            transport: if procedure & 0x20 == 0 { Transport::Tcp } else { Transport::Udp },
            now: 0,
        };
        self.later.set(0);
        let mut reply = Encoder::new(&mut self.pool, 0, 128).unwrap();
        let answer = self.registry.call(&call, Decoder::new(&args), &mut reply, &mut self.later);
        let msg = reply.finish();
        let results: Vec<u8> = msg.cursor().chunks().flatten().copied().collect();
        self.pool.free(msg);
        match answer {
            Ok(Answer::Done) => assert_eq!(results.len() % 4, 0, "XDR comes in words"),
            Ok(Answer::GarbageArgs | Answer::SystemErr) | Err(_) => {
                assert!(results.is_empty(), "nothing is left of what was refused");
                return None;
            }
            Ok(other) => panic!("a file system in memory answers at once: {other:?}"),
        }
        self.learn(&results);
        Some(results)
    }

    /// Handles in results are known from now on.
    fn learn(&mut self, results: &[u8]) {
        let Some(root) = self.handles.first() else { return };
        let found = results.windows(root.len()).step_by(4).find(|at| at[..4] == root[..4]);
        if let Some(handle) = found.map(<[u8]>::to_vec)
            && self.handles.len() < HANDLES
            && !self.handles.contains(&handle)
        {
            self.handles.push(handle);
        }
    }

    fn with_handles(&self, args: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), args);
        while let [octet, behind @ ..] = rest {
            let named = behind.first().filter(|_| *octet == HANDLE);
            match named.and_then(|&number| self.handles.get(usize::from(number))) {
                Some(handle) => {
                    out.extend(handle);
                    rest = &behind[1..];
                }
                None => {
                    out.push(*octet);
                    rest = behind;
                }
            }
        }
        out
    }
}

const MOUNT: u8 = 0x80;
const HANDLE: u8 = 254;
/// Handles that are remembered.
const HANDLES: usize = 16;
