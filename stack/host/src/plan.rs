//! plan: the description of a stack, and how it is brought up.

use crate::clock::GivenClock;
use crate::shard::{Shard, ShardConfig};
use millstream_core::{Mux, NodeId, Perimeter, PlumbError, StreamId};
use millstream_drivers::netlink::{Netlink, NetlinkError, Prefix};
use millstream_drivers::tun::TapError;
use millstream_drivers::{PairEnd, Raw, RawError, Tap, Wrap, WrapError};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::table;
use millstream_modules::tcp::Tcp;
use millstream_modules::udp::Udp;
use millstream_msg::PoolConfig;
use service::Wanted;
use std::net::IpAddr;

mod datalink;
mod line;
pub(crate) mod program;
pub(crate) mod service;
mod words;

pub use program::Programs;
pub use service::{Service, check as check_service};
pub use words::BadWords;

/// What a stack is made of. Interfaces are opened in the network namespace of the thread that
/// calls [`Plan::build`], unless they were opened before.
#[derive(Debug, Default)]
pub struct Plan {
    /// In order: their numbers in routes.
    pub interfaces: Vec<Interface>,
    /// Router for everything else.
    pub gateway: Option<IpAddr>,
    /// Packets between interfaces are forwarded.
    pub forward: bool,
    /// TCP connections that are opened from here ask for marks of congestion (RFC 3168).
    pub ecn: bool,
    /// Services and programs of RPC: `NAME`, `NAME:PORT`, `NAME=ARGUMENT`. See [`check_service`].
    pub services: Vec<String>,
    /// Programs may open the interfaces beside `ip`, as data links: between an interface and `ip`
    /// there is a provider of DLPI.
    pub dlpi: bool,
    /// Poll instead of sleeping.
    pub polling: bool,
    /// Seed of the modules' random numbers; keys of tables come from the system.
    pub seed: u64,
    /// The clock, if it is not the machine's.
    pub clock: Option<GivenClock>,
}

/// One interface.
#[derive(Debug)]
pub struct Interface {
    /// What is below.
    pub line: Line,
    /// Our addresses.
    pub addresses: Vec<Prefix>,
}

/// What is below an interface.
#[derive(Debug)]
pub enum Line {
    /// A TAP to make, or to attach to; its host's side gets these addresses and is set up.
    Tap {
        /// Name of the TAP.
        name: String,
        /// Addresses of the host's side.
        host: Vec<Prefix>,
        /// Without offloads, through the `tun-tap` crate.
        plain: bool,
    },
    /// An Ethernet interface that is there, by a raw socket; it keeps its settings.
    Raw {
        /// Name of the interface.
        name: String,
        /// Our address on the link; a random one, so that the kernel takes no notice of frames
        /// for it, if `None`.
        mac: Option<[u8; 6]>,
        /// Without offloads, over the datalink channel of `pnet`.
        plain: bool,
    },
    /// A TAP that was opened before, in whatever namespace.
    Opened(Tap),
    /// An interface taken before, in whatever namespace.
    OpenedRaw(Raw),
    /// One end of a pair, with a name for its stream.
    Pair(String, PairEnd),
    /// Nothing: frames sent come back. With a name for its stream.
    Loopback(String),
    /// Another line with devices around it, the first one next to the line.
    Wrapped(Box<Self>, Vec<Wrap>),
}

/// A stack that was brought up.
#[derive(Debug)]
pub struct Stack {
    /// Its shard; run it.
    pub shard: Shard,
    /// The IP multiplexor.
    pub ip: NodeId,
    /// The UDP multiplexor.
    pub udp: NodeId,
    /// The TCP multiplexor.
    pub tcp: NodeId,
    /// Streams of the interfaces, in order.
    pub interfaces: Vec<StreamId>,
    /// What else programs may open, by name: `echo`, `loop`, `mux`, and the providers of data links
    /// by the names of their interfaces, of which there are none without [`Plan::dlpi`].
    pub devices: Vec<(String, NodeId)>,
    /// Services, in order.
    pub services: Vec<Service>,
    /// The programs of RPC among them, and those that are added later.
    pub programs: Programs,
}

/// Why a stack could not be brought up. What was made before is gone again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A TAP could not be opened.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// An interface could not be taken by a raw socket.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// A device around another one could not be made.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The host's side of a TAP could not be set up.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A descriptor could not be waited for.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        cause: std::io::Error,
    },
    /// No service has the name.
    #[error("no service {name}: there are {known}")]
    UnknownService {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A service could not be made.
    #[error("the service {name}: {why}")]
    Service {
        /// Its name.
        name: String,
        /// A sentence.
        why: String,
    },
    /// The modules did not fit together.
    #[error("{what}: {cause}")]
    Plumb {
        /// What was tried.
        what: String,
        /// Why not.
        cause: PlumbError,
    },
}

/// Frames that a TAP's kernel side queues for us: one receive window of a megabyte in packets of
/// an MTU, with room for several senders. The default of 1,000 is less than one such window.
const TX_QUEUE_FRAMES: u32 = 4096;

impl Plan {
    /// Opens the interfaces and links the modules. Nothing runs yet.
    ///
    /// # Errors
    /// See [`PlanError`]; a TAP that was made is gone again.
    pub fn build(self) -> Result<Stack, PlanError> {
        let config = ShardConfig {
            pool: PoolConfig::STACK,
            seed: self.seed,
            polling: self.polling,
            clock: self.clock,
        };
        let mut shard = Shard::new(config).map_err(|cause| io("make the stack", cause))?;
        let ip = shard.core().add_mux(Box::new(Ip::new(random_key())));
        let (mut interfaces, mut devices) = (Vec::new(), Vec::new());
        let mut own = Vec::new();
        for (index, interface) in self.interfaces.into_iter().enumerate() {
            let stream = line::open(interface.line, &mut shard, index)?;
            let core = shard.core();
            let mut below = stream;
            if self.dlpi {
                let (name, link, above) = datalink::open(core, stream)?;
                devices.push((name, link));
                below = above;
            }
            core.push(below, Box::new(Arp::new())).map_err(|e| plumb("push arp", e))?;
            core.link(ip, below).map_err(|e| plumb("link the interface below ip", e))?;
            for address in &interface.addresses {
                set_ip(core, ip, "address", &format!("{index} {address}"))?;
            }
            own.extend(interface.addresses);
            interfaces.push(stream);
        }
        let core = shard.core();
        if self.forward {
            set_ip(core, ip, "forward", "on")?;
        }
        match self.gateway {
            Some(gateway @ IpAddr::V4(_)) => {
                set_ip(core, ip, "route", &format!("0.0.0.0/0 via {gateway}"))?;
            }
            Some(gateway) => set_ip(core, ip, "route", &format!("::/0 via {gateway}"))?,
            None => {}
        }
        let udp = transport(core, ip, "udp", Box::new(Udp::new(random_key())))?;
        let tcp = transport(core, ip, "tcp", Box::new(Tcp::new(random_key())))?;
        if self.ecn {
            core.set_mux(tcp, "ecn", "on").map_err(|e| plumb("set ecn", e))?;
        }
        devices.extend(without_line(core));
        let (mut services, programs) = (Vec::new(), Programs::new(&own, [udp, tcp]));
        for text in &self.services {
            let wanted = Wanted::parse(text)?;
            if let Some(known) = wanted.program {
                let (port, argument) = (wanted.port, wanted.argument);
                services.extend(programs.serve_known(&mut shard, known, port, argument)?);
                continue;
            }
            services.extend(service::open(shard.core(), udp, &wanted)?);
            services.extend(service::listen(&mut shard, tcp, &wanted)?);
        }
        Ok(Stack { shard, ip, udp, tcp, interfaces, devices, services, programs })
    }
}

/// Devices without a line, for programs to be tried with.
fn without_line(core: &mut Perimeter) -> Vec<(String, NodeId)> {
    let made = table::DEVICES.iter().filter_map(|&name| Some((name, table::mux(name).ok()?)));
    made.map(|(name, make)| (name.to_owned(), core.add_mux(make(0)))).collect()
}

/// A transport on a stream of `ip`.
fn transport(
    core: &mut Perimeter,
    ip: NodeId,
    name: &str,
    mux: Box<dyn Mux>,
) -> Result<NodeId, PlanError> {
    let mux = core.add_mux(mux);
    let below = core.open_mux(ip, name).map_err(|e| plumb("open a stream on ip", e))?;
    core.link(mux, below).map_err(|e| plumb(&format!("link a stream of ip below {name}"), e))?;
    Ok(mux)
}

/// Sets the host's side of a TAP up, in the namespace of the calling thread.
///
/// # Errors
/// The kernel's refusal.
pub fn set_up_host(name: &str, host: &[Prefix]) -> Result<(), NetlinkError> {
    let mut netlink = Netlink::open()?;
    netlink.set_tx_queue_frames(name, TX_QUEUE_FRAMES)?;
    for &address in host {
        netlink.replace_address(name, address)?;
    }
    netlink.set_up(name, true)
}

/// A locally administered address, random so that two stacks on one link differ.
pub fn random_mac(index: usize) -> [u8; 6] {
    let [a, b, c, d, ..] = random_key().to_ne_bytes();
    [0x02, a, b, c, d, index as u8]
}

fn set_ip(core: &mut Perimeter, ip: NodeId, key: &str, value: &str) -> Result<(), PlanError> {
    core.set_mux(ip, key, value).map_err(|e| plumb(&format!("set {key}"), e))
}

fn io(what: &'static str, cause: std::io::Error) -> PlanError {
    PlanError::Io { what, cause }
}

fn plumb(what: &str, cause: PlumbError) -> PlanError {
    PlanError::Plumb { what: what.to_owned(), cause }
}

/// A key from the system's source of randomness.
pub fn random_key() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Before the system's source is ready (early boot): the hasher's seed, which it is given.
        _ => {
            use std::hash::{BuildHasher, Hasher};
            std::collections::hash_map::RandomState::new().build_hasher().finish()
        }
    }
}
