//! tcp: a TCP program twice without an interface: over our modules, and over the functions of the
//! same protocols called one after the other. The other end is a caller in the same thread, over
//! modules in both forms, whose time is not counted.

use crate::Trouble;
use crate::baseline::{Clock, Does, Engine, Fused, Modules, Serves, SocketNo};
use crate::lab::PORT;
use millstream_core::{Caps, Device, Errno, Formats};
use millstream_drivers::netlink::Prefix;
use millstream_drivers::{PairEnd, pair};
use millstream_host::GivenClock;
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the protocols are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As modules.
    Layered,
    /// As direct calls.
    Fused,
}

/// What goes over the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// A byte there and back.
    Echo,
    /// Super-frames of 44 segments to the program.
    Inwards,
    /// The same in frames of the MTU.
    InwardsPlain,
    /// Super-frames from the program, as far as the window goes.
    Outwards,
}

/// A program's connection.
pub struct Connected {
    caller: Modules,
    socket: SocketNo,
    station: Station,
    talk: Talk,
    clock: Option<GivenClock>,
}

/// What is measured: the program, and what is below it.
struct Station {
    line: Line,
    engine: Box<dyn Engine>,
    program: Serves,
}

/// The end of a line, with a look at what waits there: nobody polls it.
#[derive(Clone)]
struct Line(Arc<Mutex<PairEnd>>);

impl Line {
    fn end(&self) -> MutexGuard<'_, PairEnd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for Line {
    fn caps(&self) -> Caps {
        self.end().caps()
    }

    fn formats(&self) -> Formats {
        self.end().formats()
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        self.end().recv(pool, out, budget)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.end().send(batch)
    }
}

/// Octets of a message: 44 segments with their timestamps.
pub const MESSAGE: usize = 44 * 1448;

/// Rounds until the windows have grown, and those in which a connection must have come about.
const WARM_UP: usize = 100;
const CONNECTED_WITHIN: usize = 64;

/// What a round takes by a clock that is moved.
const ROUND: Duration = Duration::from_micros(100);

impl Talk {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Echo, Self::Inwards, Self::InwardsPlain, Self::Outwards];

    /// As an argument of a command.
    pub fn word(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Inwards => "inwards",
            Self::InwardsPlain => "inwards_plain",
            Self::Outwards => "outwards",
        }
    }

    fn does(self) -> Does {
        match self {
            Self::Echo => Does::Echo,
            Self::Inwards | Self::InwardsPlain => Does::Discard,
            Self::Outwards => Does::Chargen,
        }
    }
}

impl std::fmt::Display for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Echo => "a byte there and back",
            Self::Inwards => "inwards, super-frames of 64 KiB",
            Self::InwardsPlain => "inwards, 64 KiB in frames of the MTU",
            Self::Outwards => "outwards, super-frames of 64 KiB",
        })
    }
}

impl Station {
    /// What is measured.
    #[inline(never)]
    fn measured(&mut self) -> Result<(), Trouble> {
        loop {
            self.program.turn(&mut *self.engine)?;
            if self.line.end().waiting() == 0 {
                return Ok(());
            }
        }
    }
}

impl Connected {
    /// In full swing. With a clock of the caller's, each round takes the same time by it.
    ///
    /// # Errors
    /// When it does not come about.
    pub fn new(form: Form, talk: Talk, clock: Option<GivenClock>) -> Result<Self, Trouble> {
        let [ours, theirs] = [1, 2].map(|n| Ipv4Addr::new(10, 9, 0, n));
        let (near, far) = pair(1500, [1, 2].map(|n| [2, 0, 0, 0, 0, n]));
        let can = match talk {
            Talk::InwardsPlain => Can { csum: true, ..Can::NOTHING },
            _ => Can::ALL,
        };
        let (near, far) = (near.with_offloads(can), far.with_offloads(can));
        let time = || clock.clone().map_or_else(Clock::default, Clock::Given);
        let caller = Modules::new(Box::new(near), nothing()?, prefix(ours)?, time())?;
        let end = Line(Arc::new(Mutex::new(far)));
        let line: Box<dyn Device + Send> = Box::new(end.clone());
        let mut engine: Box<dyn Engine> = match form {
            Form::Layered => Box::new(Modules::new(line, nothing()?, prefix(theirs)?, time())?),
            Form::Fused => Box::new(Fused::new(line, nothing()?, prefix(theirs)?, time())?),
        };
        let at = SocketAddrV4::new(theirs, PORT);
        let program = Serves::new(&mut *engine, at, talk.does())?;
        let station = Station { line: end, engine, program };
        let mut connected = Self { caller, socket: 0, station, talk, clock };
        connected.socket = connected.caller.connect(at.into())?;
        connected.connect()?;
        for _ in 0..WARM_UP {
            connected.round()?;
        }
        Ok(connected)
    }

    fn connect(&mut self) -> Result<(), Trouble> {
        for _ in 0..CONNECTED_WITHIN {
            self.turn()?;
            self.station.measured()?;
            match self.caller.connected(self.socket) {
                Err(Errno::EAGAIN) => {}
                done => return Ok(done?),
            }
        }
        Err("the two did not connect".into())
    }

    /// The caller does what there is to do.
    fn turn(&mut self) -> Result<(), Trouble> {
        while self.caller.take_frames(64)? > 0 {}
        self.caller.work();
        while self.caller.ready().is_some() {}
        Ok(())
    }

    /// Once there and back; nanoseconds of the station, and messages: of [`MESSAGE`] octets, but
    /// for the echo.
    ///
    /// # Errors
    /// Nothing came back.
    pub fn round(&mut self) -> Result<(f64, f64), Trouble> {
        static DATA: [u8; MESSAGE] = [b'x'; MESSAGE];
        if let Some(clock) = &self.clock {
            clock.move_to(clock.now() + ROUND.as_nanos() as u64);
        }
        let data = match self.talk {
            Talk::Echo => &DATA[..1],
            Talk::Inwards | Talk::InwardsPlain => &DATA[..],
            Talk::Outwards => &[],
        };
        let mut sent = 0;
        if !data.is_empty() {
            // What there is no room for waits for the next round.
            sent = self.caller.send(self.socket, data).or_else(unless(Errno::EAGAIN))?;
        }
        self.turn()?;
        let began = Instant::now();
        self.station.measured()?;
        let took = began.elapsed().as_nanos() as f64;
        self.turn()?;
        let mut came = 0;
        loop {
            let read = self.caller.recv(self.socket, MESSAGE, &mut |_| {});
            match read.or_else(unless(Errno::EAGAIN))? {
                0 => break,
                n => came += n,
            }
        }
        match self.talk {
            Talk::Echo if came != 1 => Err("the byte did not come back".into()),
            Talk::Echo => Ok((took, 1.0)),
            Talk::Outwards => Ok((took, came as f64 / MESSAGE as f64)),
            Talk::Inwards | Talk::InwardsPlain => Ok((took, sent as f64 / MESSAGE as f64)),
        }
    }
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").field("talk", &self.talk).finish_non_exhaustive()
    }
}

/// 0 in place of an error.
fn unless(errno: Errno) -> impl Fn(Errno) -> Result<usize, Errno> {
    move |other| if other == errno { Ok(0) } else { Err(other) }
}

fn prefix(address: Ipv4Addr) -> Result<Prefix, Trouble> {
    Ok(Prefix::new(address, 24).map_err(|why| why.to_string())?)
}

/// A descriptor in the place of a line's: nobody waits for it.
fn nothing() -> Result<OwnedFd, Trouble> {
    Ok(File::open("/dev/null")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_carry_each_talk_and_lose_nothing() {
        for talk in Talk::ALL {
            for form in [Form::Layered, Form::Fused] {
                let clock = GivenClock::default();
                let mut connected = Connected::new(form, talk, Some(clock)).unwrap();
                let messages: f64 = (0..50).map(|_| connected.round().unwrap().1).sum();
                // A round moves a message, or more where the window is the limit.
                assert!(messages >= 45.0, "{form:?}, {talk}: {messages}");
            }
        }
    }
}
