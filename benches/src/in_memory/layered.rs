//! layered: the echo as a stack is: driver, arp, ip, udp, and the echo as a module, with queues,
//! flow control and counters between them.

use super::wire::{OUR_MAC, OURS};
use super::{Echo, introduce};
use crate::Trouble;
use crate::lab::PORT;
use crate::stack::{bound, set_option};
use millstream_core::{Caps, Config, Device, Errno, NodeId, Perimeter};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::udp::{Udp, option};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::cell::Cell;
use std::net::SocketAddr;

thread_local! {
    /// Frames on their way in, and out.
    static INWARD: Cell<MsgList> = const { Cell::new(MsgList::new()) };
    static OUTWARD: Cell<MsgList> = const { Cell::new(MsgList::new()) };
}

/// The stack. One for each thread: its frames are the thread's.
#[derive(Debug)]
pub struct Layered {
    p: Perimeter,
    driver: NodeId,
}

#[derive(Debug)]
struct Wire;

impl Device for Wire {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: OUR_MAC, can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut waiting = INWARD.take();
        let mut frames = waiting.split_front(budget);
        INWARD.set(waiting);
        let count = frames.len();
        out.append(&mut frames);
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        let mut frames = OUTWARD.take();
        frames.append(batch);
        OUTWARD.set(frames);
        Ok(())
    }
}

impl Layered {
    /// With one bound stream, and its client known.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn new() -> Result<Self, Trouble> {
        let pool = Pool::new(PoolConfig::STACK);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let said = |why: millstream_core::PlumbError| why.to_string();
        let (stream, driver) = p.open_device("wire", Box::new(Wire));
        p.push(stream, Box::new(Arp::new())).map_err(said)?;
        let ip = p.add_mux(Box::new(Ip::new(1)));
        p.link(ip, stream).map_err(said)?;
        p.set_mux(ip, "address", &format!("0 {OURS}/24")).map_err(said)?;
        let udp = p.add_mux(Box::new(Udp::new(2)));
        let below = p.open_mux(ip, "udp").map_err(said)?;
        p.link(udp, below).map_err(said)?;
        p.turn(0, TURN);
        let stream = bound(&mut p, udp, SocketAddr::from((OURS, PORT)))?;
        set_option(&mut p, stream, option::SUPER_DATAGRAMS)?;
        p.push(stream, Box::new(crate::echo::Echo)).map_err(said)?;
        let mut layered = Self { p, driver };
        introduce(&mut layered)?;
        while layered.p.event().is_some() {}
        Ok(layered)
    }
}

/// Dispatches of a turn: more than any batch takes.
const TURN: usize = 100_000;

impl Echo for Layered {
    fn pool(&mut self) -> &mut Pool {
        self.p.pool()
    }

    #[inline(never)]
    fn echo(&mut self, frames: MsgList) -> MsgList {
        let count = frames.len();
        INWARD.set(frames);
        self.p.poll(self.driver, count);
        self.p.turn(0, TURN);
        while self.p.event().is_some() {}
        OUTWARD.take()
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        for frame in INWARD.take().chain(OUTWARD.take()) {
            self.p.pool().free(frame);
        }
    }
}
