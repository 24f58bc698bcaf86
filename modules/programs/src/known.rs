//! known: the programs that a stack serves by name.

use crate::exports::Network;
use crate::rpcbind::{self, Bindings, Mapper};
use crate::square::Square;
use crate::wire::rpcbind::RpcbprogServer;
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
}

/// All that are served by name.
pub const KNOWN: &[Known] = &[
    Known { name: "rpcbind", port: rpcbind::PORT, make: make_rpcbind },
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

fn make_square(place: &Place<'_>) -> Made {
    match place.argument {
        None => Ok(vec![Box::new(Square::default())]),
        Some(_) => Err("it takes nothing: write square".to_owned()),
    }
}
