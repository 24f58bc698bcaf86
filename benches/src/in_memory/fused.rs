//! fused: the echo without STREAMS. The functions of arp, ip and udp are called one after the
//! other on their states, message by message: no queues, no flow control, no counters, no
//! dispatch. What the layered form costs more is the price of the plumbing.

use super::wire::{OUR_MAC, OURS};
use super::{Echo, introduce};
use crate::Trouble;
use crate::echo::turn_round;
use crate::lab::PORT;
use millstream_core::tpi::Primitive;
use millstream_modules::actions::Actions;
use millstream_modules::arp::{self, ArpDrop};
use millstream_modules::hash::Keyed;
use millstream_modules::ip::route::Interface;
use millstream_modules::ip::{self, Taker};
use millstream_modules::udp::{self, option};
use millstream_msg::{Kind, Msg, MsgList, Pool, PoolConfig};
use std::net::SocketAddr;

/// The states, and what the functions leave between them.
#[derive(Debug)]
pub struct Fused {
    pool: Pool,
    arp: arp::Engine,
    ip: ip::Engine,
    udp: udp::Engine,
    frames: Actions<ArpDrop>,
    packets: Vec<(Taker, Msg)>,
    datagrams: Vec<(u32, Msg)>,
}

/// The only interface.
const INTERFACE: u16 = 0;
/// The clock stands still, and nothing here needs luck.
const NOW: u64 = 0;
const RANDOM: u32 = 0;

impl Fused {
    /// With one bound user, and its client known.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn new() -> Result<Self, Trouble> {
        let mut fused = Self {
            pool: Pool::new(PoolConfig::STACK),
            arp: arp::Engine::new(OUR_MAC, Keyed::new(1)),
            ip: ip::Engine::new(Keyed::new(2)),
            udp: udp::Engine::new(Keyed::new(3)),
            frames: Actions::new(),
            packets: Vec::with_capacity(64),
            datagrams: Vec::with_capacity(64),
        };
        let added = fused.ip.net.add_interface(Interface::new(1500));
        added.map_err(|why| format!("{why:?}"))?;
        let added = fused.ip.net.add_address(INTERFACE, OURS.into(), 24);
        added.map_err(|why| format!("{why:?}"))?;
        let added = fused.arp.add_address(OURS, 24, NOW, &mut fused.pool, &mut fused.frames);
        added.map_err(|why| format!("{why:?}"))?;
        fused.udp.add_address(OURS.into(), 24);
        let user = fused.udp.open();
        let local = SocketAddr::from((OURS, PORT));
        fused.request(user, Primitive::bind_req(local).as_bytes())?;
        fused.request(user, option::set(option::SUPER_DATAGRAMS, 1).as_bytes())?;
        introduce(&mut fused)?;
        Ok(fused)
    }

    /// A request of the user, whose acknowledgement is of no interest: what is refused shows in
    /// the first echo.
    fn request(&mut self, user: u32, primitive: &[u8]) -> Result<(), Trouble> {
        let mut msg = self.pool.copy_from(0, primitive).map_err(|why| why.to_string())?;
        msg.set_kind(Kind::Proto);
        self.udp.output(user, msg, RANDOM, &mut self.pool);
        self.udp.take_up(&mut self.datagrams);
        for (_, acknowledgement) in self.datagrams.drain(..) {
            self.pool.free(acknowledgement);
        }
        Ok(())
    }

    /// One frame as far as it goes; what leaves for it is in `frames.down`.
    fn input(&mut self, frame: Msg) {
        let Self { pool, arp, ip, udp, frames, packets, datagrams } = self;
        arp.input(frame, NOW, pool, frames);
        while let Some(frame) = frames.up.pop() {
            ip.input(frame, INTERFACE, NOW, RANDOM, pool);
        }
        ip.take_up(packets);
        for (_, packet) in packets.drain(..) {
            udp.input(packet, pool);
        }
        udp.take_up(datagrams);
        for (user, mut datagram) in datagrams.drain(..) {
            if turn_round(&mut datagram) {
                udp.output(user, datagram, RANDOM, pool);
            } else {
                pool.free(datagram);
            }
        }
        for packet in udp.take_down() {
            ip.output(packet, NOW, RANDOM, pool);
        }
        for frame in ip.take_frames(INTERFACE) {
            arp.output(frame, NOW, pool, frames);
        }
    }
}

impl Echo for Fused {
    fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    #[inline(never)]
    fn echo(&mut self, frames: MsgList) -> MsgList {
        let mut answers = MsgList::new();
        for frame in frames {
            self.input(frame);
            answers.append(&mut self.frames.down);
        }
        answers
    }
}
