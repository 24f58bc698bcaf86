//! The services on a stream of `tcp`: what comes up is answered, and the connection is ended.
//!
//! [`Served`] is the module of each of them: it minds order, room and the end, and a [`Serve`] does
//! the rest. What cannot be answered yet waits in the read queue, so that a peer that does not read
//! is not read from either. When the peer has ended its direction and all of the answer has left,
//! T_ORDREL_REQ goes down and the indication goes on up: whoever has accepted the connection closes
//! its stream then. A peer that does not end its direction after the service has ended its own is
//! not waited for: after [`LINGER_NS`] the head gets the indication all the same.
//!
//! The transport's M_SETOPTS is the sign that the connection stands: a stream that accepts one
//! hears of it in no other way.

mod chargen;
mod plain;

pub use chargen::{CHARGEN, Chargen};
pub use plain::{DAYTIME, DISCARD, Discard, ECHO, Echo, TIME, Tell};

use super::ServiceDrop;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Contract, Cx, Fields, Format, Invalid, Marks, ModInfo, Module, Side, Step};
use millstream_msg::{Band, Kind, Msg};

/// What a service does with a connection.
pub trait Serve: Send + 'static {
    /// What the module says of itself; see [`info`].
    fn info(&self) -> &'static ModInfo;

    /// Takes data of the peer, or gives back what there is no room below for yet.
    ///
    /// # Errors
    /// The rest of the data: it comes again, after [`Serve::send`].
    fn take(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg>;

    /// Sends what is to be sent, as far as there is room below. Called when the connection stands,
    /// and when there may be room.
    fn send(&mut self, cx: &mut Cx<'_>) -> Next {
        let _ = cx;
        Next::Wait
    }

    /// The peer has ended its direction. True: all that is for it has been sent.
    fn finish(&mut self, cx: &mut Cx<'_>) -> bool {
        let _ = cx;
        true
    }

    /// The timer [`DEADLINE`] has expired.
    fn late(&mut self, cx: &mut Cx<'_>) -> Next {
        let _ = cx;
        Next::Wait
    }

    /// The module leaves: what is held goes up, as it came.
    fn drain(&mut self, cx: &mut Cx<'_>) {
        let _ = cx;
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// There is no such parameter, or it cannot be set to that.
    fn set(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        let _ = value;
        Err(Invalid::unknown(key))
    }

    /// Writes parameters and counters for people.
    fn show(&self, fields: &mut Fields);
}

/// What comes after a step of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits: for data, for room, for time.
    Wait,
    /// It waits for memory.
    Memory,
    /// All is sent: our direction ends.
    End,
    /// The peer is given up.
    Abort,
}

/// The module of a service.
#[derive(Debug)]
pub struct Served<S> {
    service: S,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The connection does not stand yet.
    Early,
    Open,
    /// We have ended our direction, or the connection is over.
    Ended,
    /// And the head has been told.
    Told,
}

impl<S: Serve> Served<S> {
    /// On a stream that is to be connected.
    pub const fn new(service: S) -> Self {
        Self { service, phase: Phase::Early }
    }

    /// Takes what waits, then sends.
    fn run(&mut self, cx: &mut Cx<'_>) {
        while let Some(msg) = cx.getq_on(Side::Read) {
            if let Err(msg) = self.take(cx, msg) {
                cx.putbq(msg);
                break;
            }
        }
        if self.phase == Phase::Open {
            let next = self.service.send(cx);
            self.follow(cx, next);
        }
    }

    /// Data, or word of the peer's end; given back while it has to wait.
    fn take(&mut self, cx: &mut Cx<'_>, msg: Msg) -> Result<(), Msg> {
        if msg.kind() == Kind::Data {
            return self.data(cx, msg);
        }
        match tpi::primitive(msg.first()) {
            Some(tpi::T_DATA_IND | tpi::T_EXDATA_IND) => {
                let (control, data) = msg.unlink();
                cx.pool().spend(control);
                data.map_or(Ok(()), |data| self.data(cx, data))
            }
            Some(tpi::T_ORDREL_IND) => {
                let open = matches!(self.phase, Phase::Early | Phase::Open);
                if open && !(self.service.finish(cx) && self.end(cx)) {
                    return Err(msg);
                }
                self.tell(cx, msg);
                Ok(())
            }
            _ => {
                cx.put(Side::Read, msg);
                Ok(())
            }
        }
    }

    fn data(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg> {
        match self.phase {
            Phase::Early | Phase::Open => self.service.take(cx, data),
            Phase::Ended | Phase::Told => {
                cx.free(data);
                Ok(())
            }
        }
    }

    fn follow(&mut self, cx: &mut Cx<'_>, next: Next) {
        match next {
            Next::Wait => {}
            Next::Memory => retry(cx),
            Next::End => {
                if self.end(cx) {
                    cx.timer(LINGER, cx.now() + LINGER_NS);
                }
            }
            Next::Abort => {
                if !put_word(cx, Side::Write, &Primitive::discon_req(-1)) {
                    return retry(cx);
                }
                self.phase = Phase::Ended;
                self.tell_of_end(cx);
            }
        }
    }

    /// Ends our direction, behind what was sent; false while there is no room or memory for it.
    fn end(&mut self, cx: &mut Cx<'_>) -> bool {
        if !cx.canput(Side::Write, Band(0)) {
            return false;
        }
        if !put_word(cx, Side::Write, &Primitive::ordrel_req()) {
            retry(cx);
            return false;
        }
        self.phase = Phase::Ended;
        cx.cancel(DEADLINE);
        true
    }

    /// The indication that the head waits for goes up, once.
    fn tell(&mut self, cx: &mut Cx<'_>, indication: Msg) {
        if self.phase == Phase::Told {
            return cx.free(indication);
        }
        self.phase = Phase::Told;
        cx.cancel(LINGER);
        cx.put(Side::Read, indication);
    }

    /// Whoever is above is told that nothing comes any more, though the peer has not said so.
    fn tell_of_end(&mut self, cx: &mut Cx<'_>) {
        if put_word(cx, Side::Read, &Primitive::ordrel_ind()) {
            self.phase = Phase::Told;
        } else {
            cx.timer(LINGER, cx.now() + RETRY_NS);
        }
    }

    /// The connection is over: nobody gets an answer any more.
    fn disconnected(&mut self, cx: &mut Cx<'_>, indication: Msg) {
        while let Some(msg) = cx.getq_on(Side::Read) {
            cx.discard(msg, ServiceDrop::Gone);
        }
        cx.cancel(DEADLINE);
        self.tell(cx, indication);
    }
}

impl<S: Serve> Module for Served<S> {
    fn info(&self) -> &'static ModInfo {
        self.service.info()
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match msg.kind() {
            Kind::Proto if tpi::primitive(msg.first()) == Some(tpi::T_DISCON_IND) => {
                self.disconnected(cx, msg);
            }
            Kind::Data | Kind::Proto => {
                if cx.queue_len() > 0 {
                    cx.putq(msg);
                } else if let Err(msg) = self.take(cx, msg) {
                    cx.putq(msg);
                } else if self.phase == Phase::Open {
                    let next = self.service.send(cx);
                    self.follow(cx, next);
                }
            }
            Kind::SetOpts => {
                if self.phase == Phase::Early {
                    self.phase = Phase::Open;
                    cx.qenable(Side::Read);
                }
                cx.putnext(msg);
            }
            Kind::Flush => {
                cx.flush_own(&msg);
                cx.putnext(msg);
            }
            _ => cx.putnext(msg),
        }
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        self.run(cx);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }

    /// There is room below: for what comes from above first, then for answers.
    fn wsrv(&mut self, cx: &mut Cx<'_>) {
        cx.forward_queue();
        cx.qenable(Side::Read);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        match token {
            LINGER if self.phase == Phase::Ended => self.tell_of_end(cx),
            DEADLINE if self.phase == Phase::Open => {
                let next = self.service.late(cx);
                self.follow(cx, next);
            }
            _ => cx.qenable(Side::Read),
        }
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        self.service.drain(cx);
    }

    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        for token in [LINGER, DEADLINE, RETRY] {
            cx.cancel(token);
        }
        Step::Done
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        self.service.set(key, value)
    }

    fn show(&self, fields: &mut Fields) {
        self.service.show(fields);
    }
}

/// What the module of a service says of itself: octets above and below, and both queues served.
pub const fn info(name: &'static str, about: &'static str) -> ModInfo {
    ModInfo {
        read: Marks::RESTING,
        rsrv: true,
        wsrv: true,
        contract: Contract::between(Format::Bytes, Format::Bytes),
        ..ModInfo::new(name, about)
    }
}

/// Sends a primitive; false without memory for it.
fn put_word(cx: &mut Cx<'_>, side: Side, word: &Primitive) -> bool {
    let Ok(mut msg) = cx.pool().copy_from(0, word.as_bytes()) else { return false };
    msg.set_kind(word.kind());
    cx.put(side, msg);
    true
}

fn retry(cx: &mut Cx<'_>) {
    cx.timer(RETRY, cx.now() + RETRY_NS);
}

/// The timer of a [`Serve`].
pub const DEADLINE: u64 = 0;
const LINGER: u64 = 1;
const RETRY: u64 = 2;

/// A peer may end its direction so long after we have ended ours.
pub const LINGER_NS: u64 = 10_000_000_000;
/// Memory that was missing is asked for again after so long.
const RETRY_NS: u64 = 10_000_000;
