//! What the functions on a connection work with, and what they leave to be done.

use super::limits::{Limits, Memory};
use super::sendq::SendQueue;
use super::tcb::{Flight, Tcb};
use super::{Seq, TcpDrop};
use crate::actions::Actions;
use crate::ctl::Ctl;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use millstream_core::Errno;
use millstream_msg::{Msg, Pool, PoolConfig};

/// The surroundings of one call.
pub(super) struct Env<'a> {
    /// The stack's clock, ns.
    pub(super) now: u64,
    pub(super) pool: &'a mut Pool,
    pub(super) shared: &'a mut Shared,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Segments for `ip` in `down`, and what was dropped.
    pub(super) act: Actions<TcpDrop>,
    /// What the connection of this call has to tell its user, in order.
    pub(super) events: Vec<Event>,
    /// Limits of what strangers can make us send.
    pub(super) limits: Limits,
    /// Memory of data out of order.
    pub(super) out_of_order: Memory,
    /// What is counted without a message: refusals, and what there was no memory for.
    pub(super) happened: Vec<TcpDrop>,
    /// Flights that no connection needs.
    #[expect(clippy::vec_box, reason = "the boxes move from connection to connection")]
    spare: Vec<Box<Flight>>,
}

/// What a user is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The connection stands.
    Connected,
    /// It is over: in order, or by this error.
    Over(Option<Errno>),
    /// Urgent data are on their way (RFC 9293 MUST-32).
    Urgent,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            act: Actions::new(),
            events: Vec::with_capacity(8),
            limits,
            out_of_order: Memory::new(OUT_OF_ORDER_MAX),
            happened: Vec::with_capacity(32),
            spare: Vec::new(),
        }
    }

    /// Is there nothing to drop and to count?
    #[inline]
    pub(super) fn has_ended_none(&self) -> bool {
        self.act.consumed as usize + self.act.dropped.len() + self.happened.len() == 0
    }
}

impl Env<'_> {
    /// A message ends here.
    pub(super) fn discard(&mut self, msg: Msg, reason: TcpDrop) {
        self.shared.act.discard(msg, reason);
    }

    /// A segment has served.
    pub(super) fn consume(&mut self, msg: Msg) {
        self.shared.act.consume(msg, self.pool);
    }

    /// The way to a peer may be gone: word to `ip`.
    pub(super) fn doubt(&mut self, peer: IpAddr) {
        match Ctl::Doubt(peer).to_msg(self.pool) {
            Ok(msg) => self.shared.act.create_down(msg),
            Err(_) => self.shared.happened.push(TcpDrop::NoMem),
        }
    }

    /// The connection's flight, made if it has none.
    pub(super) fn flight<'t>(&mut self, tcb: &'t mut Tcb, first: Seq) -> &'t mut Flight {
        tcb.flight.get_or_insert_with(|| {
            let mut flight = self.shared.spare.pop().unwrap_or_default();
            flight.queue.reset(first, self.pool);
            flight
        })
    }

    /// The connection's flight is kept for another when nothing is left in it.
    pub(super) fn retire_flight(&mut self, tcb: &mut Tcb) {
        if let Some(mut flight) = tcb.flight.take() {
            flight.queue.reset(Seq(0), self.pool);
            flight.records.clear();
            if self.shared.spare.len() < SPARE_MAX {
                self.shared.spare.push(flight);
            }
        }
    }
}

impl Default for Box<Flight> {
    fn default() -> Self {
        Self::new(Flight { queue: SendQueue::new(Seq(0)), records: Default::default() })
    }
}

/// Bytes of memory that data out of order may hold in all connections: a quarter of the pool of a
/// stack.
const OUT_OF_ORDER_MAX: u64 = PoolConfig::STACK.bytes() as u64 / 4;
/// Flights kept: as many as connections send at the same moment on a busy stack.
const SPARE_MAX: usize = 1024;
