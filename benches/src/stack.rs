//! The stack as experiments run it: an echo inside the shard, an application's end, a router.

use crate::Trouble;
use crate::echo::{Echo, turn_round};
use crate::lab::{Lab, Mode, Service, TICK_MS};
use millstream_core::{Errno, Got, NodeId, Perimeter, StreamId, tpi};
use millstream_host::plan::{Interface, Line, Plan, Stack};
use millstream_host::{End, EndError, Gone, Handle};
use millstream_modules::udp::option;
use millstream_msg::{Kind, Msg, PoolStats};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A stack that runs on a thread of its own.
#[derive(Debug)]
pub struct Running {
    /// Reaches it.
    pub handle: Handle,
    /// Its UDP multiplexor.
    pub udp: NodeId,
    /// Streams of its interfaces.
    pub interfaces: Vec<StreamId>,
    _service: Service,
}

/// Brings a stack up on the TAP of a lab; `prepare` opens streams before it runs.
///
/// # Errors
/// As [`Plan::build`].
pub fn on_tap(
    lab: &Lab,
    core: Option<usize>,
    mode: Mode,
    prepare: impl FnOnce(&mut Stack) -> Result<(), Trouble>,
) -> Result<Running, Trouble> {
    let interface = interface(lab)?;
    let polling = mode == Mode::Polling;
    let plan = Plan { interfaces: vec![interface], polling, ..Plan::default() };
    let mut stack = plan.build()?;
    prepare(&mut stack)?;
    run(stack, core)
}

/// A stack with the services of the table of modules, over UDP and TCP.
///
/// # Errors
/// As [`Plan::build`].
pub fn services(
    lab: &Lab,
    core: Option<usize>,
    mode: Mode,
    names: &[&str],
) -> Result<Running, Trouble> {
    let services = names.iter().map(|&name| name.to_owned()).collect();
    let polling = mode == Mode::Polling;
    let interfaces = vec![interface(lab)?];
    run(Plan { interfaces, services, polling, ..Plan::default() }.build()?, core)
}

/// A stack that forwards between the TAPs of two labs.
///
/// # Errors
/// As [`Plan::build`].
pub fn router(labs: [&Lab; 2], core: Option<usize>, mode: Mode) -> Result<Running, Trouble> {
    let interfaces = labs.map(interface).into_iter().collect::<Result<_, _>>()?;
    let polling = mode == Mode::Polling;
    run(Plan { interfaces, forward: true, polling, ..Plan::default() }.build()?, core)
}

/// The TAP of a lab.
///
/// # Errors
/// As [`Lab::tap`].
pub fn interface(lab: &Lab) -> Result<Interface, Trouble> {
    Ok(Interface { line: Line::Opened(lab.tap()?), addresses: vec![lab.far()] })
}

fn run(stack: Stack, core: Option<usize>) -> Result<Running, Trouble> {
    let Stack { shard, udp, interfaces, .. } = stack;
    let handle = shard.handle();
    let stop = shard.handle();
    let serve = move || Ok(shard.run(|notice| eprintln!("the stack says: {notice:?}"))?);
    let service = Service::start_with("millstream", core, serve, move || stop.stop())?;
    Ok(Running { handle, udp, interfaces, _service: service })
}

/// A stack with the echo service inside the shard.
///
/// # Errors
/// As [`on_tap`].
pub fn echo(lab: &Lab, core: Option<usize>, mode: Mode) -> Result<Running, Trouble> {
    on_tap(lab, core, mode, |stack| {
        let stream = bound(stack.shard.core(), stack.udp, lab.echo())?;
        set_option(stack.shard.core(), stream, option::SUPER_DATAGRAMS)?;
        stack.shard.core().push(stream, Box::new(Echo)).map_err(|why| why.to_string())?;
        Ok(())
    })
}

/// A stack whose echo is an application on a thread of its own, at the end of a stream. The
/// application sleeps in either mode.
///
/// # Errors
/// As [`on_tap`].
pub fn application(
    lab: &Lab,
    cores: [Option<usize>; 2],
    mode: Mode,
) -> Result<(Running, Service), Trouble> {
    let (running, end) = with_end(lab, cores[0], mode, End::attach)?;
    let get = |end: &End| end.get(Some(tick()));
    let put = |end: &End, msg| end.put(msg, None).map_err(|(why, _)| why);
    let service = echo_at(end, cores[1], get, put)?;
    Ok((running, service))
}

/// A stack whose echo is an application on a thread of its own, which comes into the stack: it
/// reads and writes the TAP itself, and does in the mode what the shard's thread does otherwise.
///
/// # Errors
/// As [`on_tap`].
pub fn entered(lab: &Lab, core: Option<usize>, mode: Mode) -> Result<(Running, Service), Trouble> {
    // Not on this core: where threads are scheduled first in, first out, a shard's thread that
    // polls would not let the application begin.
    let (running, end) = with_end(lab, None, mode, End::attach_head)?;
    let get = |end: &End| end.until(Some(tick()), |core, at| core.getmsg(at));
    let put = |end: &End, msg| end.put_at_head(msg, None);
    let service = echo_at(end, core, get, put)?;
    Ok((running, service))
}

fn echo_at(
    end: End,
    core: Option<usize>,
    get: impl Fn(&End) -> Result<Option<Got>, EndError> + Send + 'static,
    put: impl Fn(&End, Msg) -> Result<(), EndError> + Send + 'static,
) -> Result<Service, Trouble> {
    Service::start("application", core, move |stop| {
        while !stop.load(Ordering::Relaxed) {
            let got = match get(&end) {
                Ok(Some(got)) => got,
                Err(EndError::WouldBlock) => continue,
                Ok(None) => break,
                Err(why) => return Err(why.into()),
            };
            let Some(mut answer) = got.control else { continue };
            if !turn_round(&mut answer) {
                continue;
            }
            if let Some(data) = got.data {
                answer.link(data);
            }
            put(&end, answer)?;
        }
        Ok(())
    })
}

/// A stack with a bound stream of `udp` that an application holds.
fn with_end(
    lab: &Lab,
    core: Option<usize>,
    mode: Mode,
    attach: fn(&Handle, StreamId) -> Result<End, Gone>,
) -> Result<(Running, End), Trouble> {
    let mut stream = None;
    let running = on_tap(lab, core, mode, |stack| {
        stream = Some(bound(stack.shard.core(), stack.udp, lab.echo())?);
        Ok(())
    })?;
    let end = attach(&running.handle, stream.ok_or("no stream")?)?;
    Ok((running, end))
}

/// The next time to look at a [`crate::lab::Stop`].
pub fn tick() -> Instant {
    Instant::now() + Duration::from_millis(TICK_MS)
}

/// Opens a stream on `udp` and binds it.
///
/// # Errors
/// The refusal.
pub fn bound(core: &mut Perimeter, udp: NodeId, local: SocketAddr) -> Result<StreamId, Trouble> {
    let stream = core.open_mux(udp, "echo").map_err(|why| why.to_string())?;
    request(core, stream, tpi::Primitive::bind_req(local).as_bytes())?;
    Ok(stream)
}

/// Switches an option of a stream of `udp` on.
///
/// # Errors
/// The refusal.
pub fn set_option(core: &mut Perimeter, stream: StreamId, name: i32) -> Result<(), Trouble> {
    request(core, stream, option::set(name, 1).as_bytes())
}

/// Sends a request from the head and takes its acknowledgement.
fn request(core: &mut Perimeter, stream: StreamId, primitive: &[u8]) -> Result<(), Trouble> {
    let mut msg = core.pool().copy_from(0, primitive).map_err(|why| why.to_string())?;
    msg.set_kind(Kind::Proto);
    core.putmsg(stream, msg).map_err(|(errno, _)| errno.to_string())?;
    core.turn(0, 1000);
    match core.getmsg(stream) {
        Ok(Some(got)) => {
            let ack = got.control.as_ref().and_then(|ack| tpi::primitive(ack.first()));
            match ack {
                Some(tpi::T_ERROR_ACK) | None => Err("the stack refused a request".into()),
                Some(_) => Ok(()),
            }
        }
        Ok(None) | Err(Errno(_)) => Err("the stack did not acknowledge a request".into()),
    }
}

impl Running {
    /// What its pool holds and has done.
    ///
    /// # Errors
    /// When it has stopped.
    pub fn pool(&self) -> Result<PoolStats, Trouble> {
        Ok(self.handle.call(|shard| shard.core().pool().stats())?)
    }

    /// Frames and bytes that have come in on an interface.
    ///
    /// # Errors
    /// When it has stopped.
    pub fn frames_in(&self, interface: usize) -> Result<(u64, u64), Trouble> {
        let stream = *self.interfaces.get(interface).ok_or("no such interface")?;
        let views = self.handle.call(move |shard| shard.core().chain(stream))?;
        let views = views.map_err(|why| why.to_string())?;
        let driver = views.last().ok_or("an empty stream")?;
        Ok((driver.stat.msgs_in[0], driver.stat.bytes_in[0]))
    }

    /// Drops of `udp` by reason.
    ///
    /// # Errors
    /// When it has stopped.
    pub fn udp_drops(&self) -> Result<Vec<(&'static str, u64)>, Trouble> {
        let udp = self.udp;
        let view = self.handle.call(move |shard| shard.core().mux_view(udp))?;
        let drops = view.ok_or("no udp")?.stat.drops;
        Ok(drops.into_iter().map(|(reason, count)| (reason.0, count)).collect())
    }
}
