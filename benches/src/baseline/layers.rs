//! layers: the microkernel's structure: driver, ip and transport as processes of their own, with
//! messages over IPC between them.
//!
//! A layer is an ordinary stack that ends where the next process begins: there a stream has
//! [`Packed`] above the device [`Ipc`], and at the other end the same two. In the driver's and in
//! ip's process a [`Joint`] passes messages between that stream and the layer's own.

mod ipc;
mod joint;
mod packed;

pub use ipc::Ipc;
use ipc::Socket;
pub use joint::Joint;
pub use packed::Packed;

use super::modules::Modules;
use super::process::{tell_ready, when_parent_ends};
use crate::Trouble;
use crate::lab::{Lab, pin};
use clap::{Args, ValueEnum};
use millstream_core::{Device, PlumbError, StreamId};
use millstream_drivers::netlink::Prefix;
use millstream_host::plan::random_key;
use millstream_host::{DeviceFd, Shard, ShardConfig};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_msg::PoolConfig;
use std::path::{Path, PathBuf};

/// A layer that has a process below the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// The TAP.
    Driver,
    /// arp and ip.
    Ip,
}

/// How a layer is started.
#[derive(Debug, Args)]
pub struct LayerArgs {
    /// Which one
    #[arg(long)]
    layer: Layer,
    /// The layers find each other beside this file
    #[arg(long)]
    socket: PathBuf,
    /// Network of the addresses: 10.9.NETWORK.1 is the kernel's, 10.9.NETWORK.2 ours
    #[arg(long)]
    network: u8,
    /// Ask again and again instead of sleeping
    #[arg(long)]
    polling: bool,
    /// Core to stay on
    #[arg(long)]
    core: Option<usize>,
}

impl Layer {
    /// All there are, from below.
    pub const ALL: [Self; 2] = [Self::Driver, Self::Ip];

    /// As an argument of a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Ip => "ip",
        }
    }

    /// Where the layer above finds it.
    fn path(self, socket: &Path) -> PathBuf {
        socket.with_extension(self.name())
    }
}

/// A layer's process, until the one above has gone.
///
/// # Errors
/// Without the right to a TAP, without the layer below.
pub fn layer(args: &LayerArgs) -> Result<(), Trouble> {
    if let Some(core) = args.core {
        pin(core)?;
    }
    let lab = Lab::here(args.network)?;
    let config =
        ShardConfig { pool: PoolConfig::STACK, seed: 1, polling: args.polling, clock: None };
    let mut shard = Shard::new(config)?;
    let own = match args.layer {
        Layer::Driver => {
            let tap = lab.tap()?;
            let fd = DeviceFd::Fd(tap.readiness()?);
            shard.open_device("tap", Box::new(tap), fd)?
        }
        Layer::Ip => {
            let below = Socket::connect(&Layer::Driver.path(&args.socket))?;
            ip(&mut shard, below, lab.far())?
        }
    };
    let above = Socket::listen(&args.layer.path(&args.socket))?;
    tell_ready();
    let above = packed(&mut shard, above.accept()?)?;
    let core = shard.core();
    let joint = core.add_mux(Box::new(Joint::default()));
    for stream in [own, above] {
        core.link(joint, stream).map_err(said)?;
    }
    let stop = shard.handle();
    let parents = shard.handle();
    when_parent_ends(move || parents.stop())?;
    // The line, or the layer above or below.
    Ok(shard.run(move |_gone| stop.stop())?)
}

/// arp and ip above the driver's process; a stream of ip.
fn ip(shard: &mut Shard, below: Socket, own: Prefix) -> Result<StreamId, Trouble> {
    let frames = packed(shard, below)?;
    let core = shard.core();
    core.push(frames, Box::new(Arp::new())).map_err(said)?;
    let ip = core.add_mux(Box::new(Ip::new(random_key())));
    core.link(ip, frames).map_err(said)?;
    core.set_mux(ip, "address", &format!("0 {own}")).map_err(said)?;
    core.open_mux(ip, "transport").map_err(said)
}

/// A stream to another process.
fn packed(shard: &mut Shard, socket: Socket) -> Result<StreamId, Trouble> {
    let fd = DeviceFd::Fd(socket.readiness()?);
    let stream = shard.open_device("ipc", Box::new(Ipc::new(socket)), fd)?;
    shard.core().push(stream, Box::new(Packed)).map_err(said)?;
    Ok(stream)
}

/// The transport above the process of ip.
///
/// # Errors
/// Without that process.
pub(super) fn transport(socket: &Path, own: Prefix) -> Result<Modules, Trouble> {
    let below = Socket::connect(&Layer::Ip.path(socket))?;
    let fd = below.readiness()?;
    let device: Box<dyn Device> = Box::new(Ipc::new(below));
    Modules::on_packets(device, fd, own, Box::new(Packed))
}

/// Files of layers that are gone.
pub(super) fn remove_files(socket: &Path) {
    for layer in Layer::ALL {
        let _gone = std::fs::remove_file(layer.path(socket));
    }
}

fn said(why: PlumbError) -> Trouble {
    why.to_string().into()
}
