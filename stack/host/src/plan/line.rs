//! line: what is below an interface becomes a device, a name and a way to wait for it.

use super::{Line, PlanError, io, random_mac, set_up_host};
use crate::device::DeviceFd;
use crate::shard::Shard;
use millstream_core::{Device, StreamId};
use millstream_drivers::netlink::Netlink;
use millstream_drivers::{Raw, Tap, loopback};

/// Opens what is below the interface number `index` as a stream of the shard.
pub(super) fn open(line: Line, shard: &mut Shard, index: usize) -> Result<StreamId, PlanError> {
    let opened = device(line, shard, index)?;
    let name = &opened.name;
    shard.open_device(name, opened.device, opened.fd).map_err(cannot_wait)
}

/// A device before it is a stream.
struct Opened {
    name: String,
    device: Box<dyn Device>,
    fd: DeviceFd,
}

fn device(line: Line, shard: &Shard, index: usize) -> Result<Opened, PlanError> {
    match line {
        Line::Tap { name, host, plain } => {
            let mac = random_mac(index);
            let mtu = existing_mtu(&name).unwrap_or(MTU);
            let tap =
                if plain { Tap::open_plain(&name, mac, mtu)? } else { Tap::open(&name, mac, mtu)? };
            set_up_host(tap.name(), &host)?;
            device(Line::Opened(tap), shard, index)
        }
        Line::Raw { name, mac, plain } => {
            let mac = Some(mac.unwrap_or_else(|| random_mac(index)));
            let raw = if plain { Raw::open_plain(&name, mac)? } else { Raw::open(&name, mac)? };
            device(Line::OpenedRaw(raw), shard, index)
        }
        Line::Opened(tap) => {
            let fd = DeviceFd::Fd(tap.readiness().map_err(cannot_wait)?);
            Ok(Opened { name: tap.name().to_owned(), device: Box::new(tap), fd })
        }
        Line::OpenedRaw(raw) => {
            let (io, watch) = (raw.readiness(), raw.watch());
            let (io, watch) = (io.map_err(cannot_wait)?, watch.map_err(cannot_wait)?);
            let fd = DeviceFd::Watched { io, watch };
            Ok(Opened { name: raw.name().to_owned(), device: Box::new(raw), fd })
        }
        Line::Pair(name, end) => {
            let handle = shard.handle();
            end.set_bell(move || handle.wake());
            Ok(Opened { name, device: Box::new(end), fd: DeviceFd::Asked })
        }
        Line::Loopback(name) => {
            let end = loopback(LOOPBACK_MTU, random_mac(index));
            device(Line::Pair(name, end), shard, index)
        }
        Line::Wrapped(line, wraps) => {
            let mut opened = device(*line, shard, index)?;
            for wrap in wraps {
                opened.device = wrap.around(opened.device, &opened.name)?;
            }
            Ok(opened)
        }
    }
}

fn cannot_wait(cause: std::io::Error) -> PlanError {
    io("wait for an interface", cause)
}

/// MTU of a TAP that we make.
const MTU: u16 = 1500;

/// MTU of a loopback: nothing is ever cut there.
const LOOPBACK_MTU: u16 = u16::MAX;

/// The MTU of a TAP that exists already.
fn existing_mtu(name: &str) -> Option<u16> {
    let link = Netlink::open().ok()?.link(name).ok()?;
    u16::try_from(link.mtu_bytes).ok()
}
