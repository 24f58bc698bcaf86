//! datalink: a data link provider goes between an interface and `ip`, so that programs open the
//! interface beside it.

use super::{PlanError, plumb};
use millstream_core::dlpi::{self, OkAck, build};
use millstream_core::ioctl::{Arg, Cred, Progress, Request};
use millstream_core::{Errno, NodeId, Perimeter, PlumbError, StreamId};
use millstream_modules::dlpi::Dlpi;

/// Links the stream of an interface below a provider. The interface's name, the provider, and a
/// stream on it, named `NAME.ip`, that passes every frame whole: for `arp` and `ip`.
pub(super) fn open(
    core: &mut Perimeter,
    stream: StreamId,
) -> Result<(String, NodeId, StreamId), PlanError> {
    let name = core.streams().into_iter().find_map(|(id, name)| (id == stream).then_some(name));
    let name = name.unwrap_or_default();
    let link = core.add_mux(Box::new(Dlpi::new()));
    core.link(link, stream).map_err(|e| plumb("link the interface below dlpi", e))?;
    let above = core.open_mux(link, &format!("{name}.ip"));
    let above = above.map_err(|e| plumb("open a stream on dlpi", e))?;
    whole_frames(core, above)
        .map_err(|errno| plumb("set up a stream on dlpi", PlumbError::Refused(errno)))?;
    Ok((name, link, above))
}

fn whole_frames(core: &mut Perimeter, stream: StreamId) -> Result<(), Errno> {
    let (timeout, cred, arg) = (0, Cred::default(), Arg::Data(&[]));
    let id = core.ioctl(stream, Request { cmd: dlpi::DLIOCRAW, timeout, cred, arg })?;
    run(core);
    match core.ioctl_progress(stream, id) {
        Some(Progress::Done(done)) => done.map(drop)?,
        _ => return Err(Errno::EPROTO),
    }
    let every = build::promisc_req(true, dlpi::DL_PROMISC_PHYS);
    let mut msg = core.pool().copy_from(0, every.as_bytes()).map_err(|_| Errno::ENOSR)?;
    msg.set_kind(millstream_msg::Kind::Proto);
    core.putmsg(stream, msg).map_err(|(errno, msg)| {
        core.pool().free(msg);
        errno
    })?;
    run(core);
    let got = core.getmsg(stream)?.ok_or(Errno::ENXIO)?;
    let ack = got.control.ok_or(Errno::EPROTO)?;
    let done = OkAck::new(ack.first()).is_ok();
    core.pool().free(ack);
    if done { Ok(()) } else { Err(Errno::EPROTO) }
}

/// Nothing is read from interfaces yet, so a request and its answer are all there is to run.
fn run(core: &mut Perimeter) {
    let now = core.now();
    while core.turn(now, DISPATCHES).more {}
}

const DISPATCHES: usize = 64;
