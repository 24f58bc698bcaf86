//! known: the programs that a stack serves by name.

use crate::exports::{Export, Network};
use crate::rpcbind::{self, Bindings, Mapper};
use crate::server::Server;
use crate::square::Square;
use crate::wire::rpcbind::RpcbprogServer;
use crate::{mount, nfs};
use millstream_onc::{Program, Registry};

/// Programs that are served together, by a name.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Their name.
    pub name: &'static str,
    /// Their port, of TCP and UDP.
    pub port: u16,
    /// Makes them.
    pub make: fn(&Place<'_>) -> Made,
}

/// The programs of a name; why not, in a sentence.
pub type Made = Result<Vec<Box<dyn Program>>, String>;

/// Where programs are made: the stack that is to serve them.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its programs.
    pub registry: &'a Registry,
    /// What its `rpcbind` tells.
    pub bindings: &'a Bindings,
    /// Its addresses and their networks.
    pub own: &'a [Network],
    /// What was written behind the name and `=`.
    pub argument: Option<&'a str>,
    /// A random number, another one at each start.
    pub random: u64,
}

/// All that are served by name.
pub const KNOWN: &[Known] = &[
    Known { name: "rpcbind", port: rpcbind::PORT, make: make_rpcbind },
    Known { name: "nfs", port: nfs::PORT, make: make_nfs },
    Known { name: "square", port: 5001, make: make_square },
];

fn make_rpcbind(place: &Place<'_>) -> Made {
    let pass_to = match place.argument {
        None => None,
        Some("callit") => Some(place.registry.clone()),
        Some(_) => return Err("it takes nothing or callit: write rpcbind=callit".to_owned()),
    };
    let mapper = Mapper::new(place.bindings.clone(), place.own.to_vec(), pass_to);
    Ok(vec![Box::new(RpcbprogServer(mapper))])
}

/// NFS and MOUNT at one port: a client that knows it needs no `rpcbind`.
fn make_nfs(place: &Place<'_>) -> Made {
    let exports = Export::open_all(place.argument.unwrap_or("mem"), place.random)?;
    let server = Server::new(exports, place.random)
        .map_err(|e| format!("there is no thread to wait for its disks: {e}"))?;
    Ok(vec![nfs::program(server.clone()), mount::program(server)])
}

fn make_square(place: &Place<'_>) -> Made {
    match place.argument {
        None => Ok(vec![Box::new(Square::default())]),
        Some(_) => Err("it takes nothing: write square".to_owned()),
    }
}
