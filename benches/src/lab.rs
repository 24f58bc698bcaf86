//! Where experiments take place: network namespaces, pinned threads, and what runs on them.

use crate::Trouble;
use millstream_drivers::Tap;
use millstream_drivers::netlink::{Netlink, Prefix, Via};
use millstream_drivers::netns::Netns;
use millstream_drivers::tun::{TapFd, TapFlags, TapOffloads};
use millstream_host::plan::set_up_host;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A namespace with a TAP (or one end of a veth) named `link0`: its side is 10.9.N.1, the far
/// side 10.9.N.2.
#[derive(Debug)]
pub struct Lab {
    /// Where the kernel's programs run.
    pub netns: Netns,
    network: u8,
    /// Interfaces carry frames of the MTU alone, with their checksums.
    plain: bool,
}

/// Which cores are used. The kernel's client first, what is measured second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// Client on core 0, what is measured on core 1.
    Two,
    /// Both on core 1.
    Same,
}

/// Whether what is measured sleeps when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It waits in the kernel, as the client does.
    Sleeping,
    /// It asks again and again; the client too, where the experiment says so.
    Polling,
}

/// A thread that serves until it is dropped.
pub struct Service {
    stop: Option<Box<dyn FnOnce() + Send>>,
    thread: Option<JoinHandle<Result<(), Trouble>>>,
}

/// Tells a thread to stop.
pub type Stop = Arc<AtomicBool>;

/// Port of every echo.
pub const PORT: u16 = 7;

/// Name of the interface in a [`Lab`].
pub const LINK: &str = "link0";

impl Lab {
    /// A namespace without interfaces yet.
    ///
    /// # Errors
    /// Without the right to make one.
    pub fn new(network: u8) -> Result<Self, Trouble> {
        Ok(Self { netns: Netns::new()?, network, plain: false })
    }

    /// The namespace that the calling thread is in.
    ///
    /// # Errors
    /// Without /proc.
    pub fn here(network: u8) -> Result<Self, Trouble> {
        Ok(Self { netns: Netns::current()?, network, plain: false })
    }

    /// Its interfaces have no offloads.
    pub fn without_offloads(self) -> Self {
        Self { plain: true, ..self }
    }

    /// What tells its addresses from those of others.
    pub fn network(&self) -> u8 {
        self.network
    }

    /// The kernel's address.
    pub fn host(&self) -> Prefix {
        self.address(1)
    }

    /// The address of what is measured.
    pub fn far(&self) -> Prefix {
        self.address(2)
    }

    /// Where the echo of what is measured answers.
    pub fn echo(&self) -> SocketAddr {
        SocketAddr::new(self.far().address(), PORT)
    }

    /// A TAP as the stack takes it, its host's side up.
    ///
    /// # Errors
    /// Without the right, or without /dev/net/tun.
    pub fn tap(&self) -> Result<Tap, Trouble> {
        self.inside(|| {
            let mac = [2, 0, 0, 0, self.network, 2];
            let open = if self.plain { Tap::open_plain } else { Tap::open };
            let tap = open(LINK, mac, MTU)?;
            set_up_host(LINK, &[self.host()])?;
            Ok(tap)
        })
    }

    /// The same TAP as a descriptor, with the same offloads.
    ///
    /// # Errors
    /// As [`Lab::tap`].
    pub fn tap_fd(&self) -> Result<TapFd, Trouble> {
        self.inside(|| {
            let fd = TapFd::open(LINK, TapFlags::VNET_HEADER)?;
            fd.set_offloads(TapOffloads::ALL)?;
            set_up_host(LINK, &[self.host()])?;
            Ok(fd)
        })
    }

    /// A TAP without offloads, frame by frame.
    ///
    /// # Errors
    /// As [`Lab::tap`].
    pub fn plain_tap_fd(&self) -> Result<TapFd, Trouble> {
        self.inside(|| {
            let fd = TapFd::open(LINK, TapFlags::NONE)?;
            set_up_host(LINK, &[self.host()])?;
            Ok(fd)
        })
    }

    /// A veth to a second namespace, where the kernel has [`Lab::far`].
    ///
    /// # Errors
    /// Without the right.
    pub fn veth(&self) -> Result<Netns, Trouble> {
        let peer = Netns::new()?;
        self.inside(|| {
            let mut netlink = Netlink::open()?;
            netlink.create_veth(LINK, LINK, Some(peer.as_fd()))?;
            netlink.replace_address(LINK, self.host())?;
            if self.plain {
                take_offloads()?;
            }
            Ok(netlink.set_up(LINK, true)?)
        })?;
        peer.run(|| -> Result<(), Trouble> {
            if self.plain {
                take_offloads()?;
            }
            let mut netlink = Netlink::open()?;
            netlink.replace_address(LINK, self.far())?;
            Ok(netlink.set_up(LINK, true)?)
        })??;
        Ok(peer)
    }

    /// Everything else goes to the far side.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn route_to_far(&self) -> Result<(), Trouble> {
        let far = Via::Gateway(self.far().address());
        self.inside(|| Ok(Netlink::open()?.replace_route(Prefix::DEFAULT_V4, far)?))
    }

    /// A kernel's socket whose peer is the echo.
    ///
    /// # Errors
    /// The kernel's.
    pub fn client(&self) -> Result<UdpSocket, Trouble> {
        self.inside(|| {
            let socket = UdpSocket::bind((self.host().address(), 0))?;
            socket.connect(self.echo())?;
            Ok(socket)
        })
    }

    /// Runs `work` inside the namespace.
    ///
    /// # Errors
    /// Those of `work`, and of entering.
    pub fn inside<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, Trouble> + Send,
    ) -> Result<T, Trouble> {
        self.netns.run(work)?
    }

    fn address(&self, host: u8) -> Prefix {
        let address = [10, 9, self.network, host];
        Prefix::new(address, 24).unwrap_or(Prefix::DEFAULT_V4)
    }
}

const MTU: u16 = 1500;

/// Takes the offloads of the veth in the namespace of the calling thread.
fn take_offloads() -> Result<(), Trouble> {
    let mut command = Command::new("ethtool");
    command.args(["-K", LINK, "tso", "off", "gso", "off", "gro", "off", "tx", "off"]);
    let output = command.output().map_err(|why| format!("ethtool: {why}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ethtool: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

impl Pinning {
    /// Core of the client.
    pub fn client(self) -> usize {
        match self {
            Self::Two => 0,
            Self::Same => 1,
        }
    }

    /// Core of what is measured.
    pub fn server(self) -> usize {
        1
    }
}

impl std::fmt::Display for Pinning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Two => "client core 0, server core 1",
            Self::Same => "both core 1",
        })
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sleeping => "sleeping",
            Self::Polling => "polling",
        })
    }
}

impl Service {
    /// Runs `serve` on a thread of its own, on one core or on any. It looks at its [`Stop`] at
    /// least every [`TICK_MS`].
    ///
    /// # Errors
    /// The kernel's, when there are no more threads.
    pub fn start(
        name: &str,
        core: Option<usize>,
        serve: impl FnOnce(&Stop) -> Result<(), Trouble> + Send + 'static,
    ) -> Result<Self, Trouble> {
        let stop = Stop::default();
        let theirs = stop.clone();
        Self::start_with(
            name,
            core,
            move || serve(&theirs),
            move || {
                stop.store(true, Ordering::Relaxed);
            },
        )
    }

    /// As [`Service::start`], for those that are stopped by a call.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_with(
        name: &str,
        core: Option<usize>,
        serve: impl FnOnce() -> Result<(), Trouble> + Send + 'static,
        stop: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Trouble> {
        let work = move || {
            if let Some(core) = core {
                pin(core)?;
            }
            serve()
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { stop: Some(Box::new(stop)), thread: Some(thread) })
    }

    /// Stops it; what it ended with.
    ///
    /// # Errors
    /// Its own.
    pub fn stop(mut self) -> Result<(), Trouble> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Trouble> {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err("a service has panicked".into()),
            None => Ok(()),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            eprintln!("a service ended with: {why}");
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("thread", &self.thread).finish()
    }
}

/// Services that sleep look at their [`Stop`] this often.
pub const TICK_MS: u64 = 50;

/// Keeps the calling thread on one core.
///
/// # Errors
/// There is no such core for us.
pub fn pin(core: usize) -> Result<(), Trouble> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|why| format!("pin to core {core}: {why}").into())
}

/// Runs `work` on a thread of its own, on one core or on any, and waits for it.
///
/// # Errors
/// Those of `work`.
pub fn on_core<T: Send>(
    core: Option<usize>,
    work: impl FnOnce() -> Result<T, Trouble> + Send,
) -> Result<T, Trouble> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Some(core) = core {
                pin(core)?;
            }
            work()
        });
        thread.join().unwrap_or_else(|_| Err("a client has panicked".into()))
    })
}
