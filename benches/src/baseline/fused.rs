//! fused: the same protocol functions without STREAMS: a device's frames go through those of arp,
//! ip and tcp one after the other, and so do the answers. No queues, no dispatch, no counters, no
//! streams: what [`Modules`](super::Modules) cost more is the price of the plumbing.

use super::came::Came;
use super::clock::Clock;
use super::engine::{Engine, Give, SocketNo};
use crate::Trouble;
use crate::stream::HAS_GONE;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Device, Errno};
use millstream_drivers::netlink::Prefix;
use millstream_host::plan::random_key;
use millstream_modules::actions::Actions;
use millstream_modules::arp::{self, ArpDrop};
use millstream_modules::ctl::Ctl;
use millstream_modules::hash::Keyed;
use millstream_modules::ip::route::Interface;
use millstream_modules::ip::{self, Taker, protocol};
use millstream_modules::tcp::{self, Above};
use millstream_msg::{Kind, Msg, MsgList, Pool, PoolConfig};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The states of the protocols, a device below them and users above.
pub struct Fused {
    device: Box<dyn Device + Send>,
    fd: OwnedFd,
    own: Prefix,
    clock: Clock,
    pool: Pool,
    arp: arp::Engine,
    ip: ip::Engine,
    tcp: tcp::Engine,
    users: Users,
    /// What the functions leave between them.
    frames: Actions<ArpDrop>,
    came: MsgList,
    packets: Vec<(Taker, Msg)>,
    timers: Vec<(u32, u64)>,
    /// When sockets of tcp want to be called, by their numbers. Nanoseconds; [`NEVER`].
    deadlines: Vec<u64>,
    /// The device had no room for `frames.down`.
    blocked: bool,
    /// For the identification of packets and the like.
    random: u32,
}

/// The only interface.
const INTERFACE: u16 = 0;
const NEVER: u64 = u64::MAX;

/// Those above tcp, by their numbers.
#[derive(Debug, Default)]
struct Users {
    all: Vec<Option<User>>,
    ready: VecDeque<SocketNo>,
    /// The acknowledgement of the request that is looked at.
    answer: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct User {
    came: Came,
    /// Who calls a socket that listens, or what has become of a call: control parts.
    words: VecDeque<Vec<u8>>,
    listens: bool,
}

/// tcp is told when a user reads of so much: its window may have been closed by what lay there, and
/// a peer that waits until all of it was read waits for two turns of everybody.
const RELIEF: u32 = 32 << 10;

impl Above for Users {
    fn give(&mut self, user: u32, msg: Msg, pool: &mut Pool) {
        let Some(Some(above)) = self.all.get_mut(user as usize) else { return pool.free(msg) };
        match msg.kind() {
            Kind::Data => {
                above.came.push(msg);
                return self.ready.push_back(user);
            }
            Kind::PcProto => self.answer = Some(msg.first().to_vec()),
            Kind::Proto => {
                let word = msg.first();
                match tpi::primitive(word) {
                    Some(tpi::T_CONN_IND | tpi::T_CONN_CON) => above.words.push_back(word.to_vec()),
                    _ => above.came.note(word),
                }
                self.ready.push_back(user);
            }
            // Of a queue that there is none of.
            _ => {}
        }
        pool.free(msg);
    }

    fn unread(&self, user: u32) -> u32 {
        let above = self.all.get(user as usize).and_then(Option::as_ref);
        above.map_or(0, |above| above.came.bytes())
    }

    fn room(&mut self, user: u32) {
        self.ready.push_back(user);
    }
}

impl Users {
    fn get(&mut self, socket: SocketNo) -> Result<&mut User, Errno> {
        self.all.get_mut(socket as usize).and_then(Option::as_mut).ok_or(Errno::EBADF)
    }
}

impl Fused {
    /// On a device, with an address; `fd` polls readable when the device has frames.
    ///
    /// # Errors
    /// An address that no host may have.
    pub fn new(
        device: Box<dyn Device + Send>,
        fd: OwnedFd,
        own: Prefix,
        clock: Clock,
    ) -> Result<Self, Trouble> {
        let caps = device.caps();
        let IpAddr::V4(address) = own.address() else { return Err("labs have IPv4".into()) };
        let mut fused = Self {
            device,
            fd,
            own,
            clock,
            pool: Pool::new(PoolConfig::STACK),
            arp: arp::Engine::new(caps.mac, Keyed::new(random_key())),
            ip: ip::Engine::new(Keyed::new(random_key())),
            tcp: tcp::Engine::new(random_key()),
            users: Users::default(),
            frames: Actions::new(),
            came: MsgList::new(),
            packets: Vec::with_capacity(64),
            timers: Vec::with_capacity(64),
            deadlines: Vec::new(),
            blocked: false,
            random: random_key() as u32 | 1,
        };
        let Self { arp, ip, tcp, pool, frames, .. } = &mut fused;
        let len = own.length_bits();
        let said = |why: &dyn std::fmt::Debug| Trouble::from(format!("{own}: {why:?}"));
        ip.net.add_interface(Interface::new(caps.mtu)).map_err(|why| said(&why))?;
        ip.net.add_address(INTERFACE, address.into(), len).map_err(|why| said(&why))?;
        arp.add_address(address, len, 0, pool, frames).map_err(|why| said(&why))?;
        tcp.told(&Ctl::AddAddress(address.into(), len), 0, pool);
        tcp.told(&Ctl::Mtu(address.into(), caps.mtu), 0, pool);
        Ok(fused)
    }

    /// Numbers that nobody need guess.
    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }

    /// One frame, as far up as it goes.
    fn input(&mut self, frame: Msg, now: u64) {
        let random = self.random();
        let Self { pool, arp, ip, tcp, frames, packets, .. } = self;
        arp.input(frame, now, pool, frames);
        while let Some(frame) = frames.up.pop() {
            ip.input(frame, INTERFACE, now, random, pool);
        }
        ip.take_up(packets);
        for (taker, packet) in packets.drain(..) {
            match taker {
                Taker::Protocol(protocol::TCP) => tcp.input(packet, now, pool),
                _ => ip.no_protocol(packet, now, pool),
            }
        }
    }

    /// What users and connections have to send, as far down as it goes.
    fn output(&mut self, now: u64) {
        self.tcp.run(&mut self.users, now, &mut self.pool);
        let down = self.tcp.take_down();
        for packet in down {
            let random = self.random();
            match packet.kind() {
                Kind::Data => self.ip.output(packet, now, random, &mut self.pool),
                // A word for arp, which asks again by itself.
                _ => self.pool.free(packet),
            }
        }
        let Self { pool, arp, ip, tcp, frames, timers, deadlines, .. } = self;
        for frame in ip.take_frames(INTERFACE) {
            arp.output(frame, now, pool, frames);
        }
        ip.forget_dropped(pool);
        for (msg, _) in frames.dropped.drain(..) {
            pool.free(msg);
        }
        tcp.take_timers(timers);
        for (number, at) in timers.drain(..) {
            let number = number as usize;
            if deadlines.len() <= number {
                deadlines.resize(number + 1, NEVER);
            }
            deadlines[number] = at;
        }
    }

    /// Everything that the device takes.
    fn send(&mut self) {
        if !self.frames.down.is_empty() && !self.blocked {
            // A device that is gone says so when frames are taken.
            let _gone = self.device.send(&mut self.frames.down);
            self.blocked = !self.frames.down.is_empty();
        }
    }

    /// Calls those whose time has come.
    fn expire(&mut self, now: u64) {
        let Self { pool, arp, ip, tcp, frames, deadlines, random, .. } = self;
        for (number, at) in (0..).zip(deadlines) {
            if *at <= now {
                *at = NEVER;
                tcp.expired(number, now, pool);
            }
        }
        if arp.next_deadline().is_some_and(|at| at <= now) {
            arp.timer(now, pool, frames);
        }
        if ip.next_deadline().is_some_and(|at| at <= now) {
            ip.timer(now, *random, pool);
        }
    }

    fn next_deadline(&self) -> u64 {
        let of_ip = [self.arp.next_deadline(), self.ip.next_deadline()];
        let all = self.deadlines.iter().copied().chain(of_ip.into_iter().flatten());
        all.min().unwrap_or(NEVER)
    }

    /// A request of a user, and its acknowledgement.
    fn request(&mut self, user: SocketNo, asked: &Primitive) -> Result<Vec<u8>, Errno> {
        let msg = asked.to_msg(asked.kind(), &mut self.pool).map_err(|_| Errno::ENOSR)?;
        let (now, random) = (self.clock.now(), self.random());
        self.users.answer = None;
        self.tcp.ask(user, msg, now, random, &mut self.pool);
        self.output(now);
        let answer = self.users.answer.take().ok_or(Errno::EPROTO)?;
        match tpi::ErrorAck::new(&answer) {
            Ok(refused) => Err(Errno(refused.errno())),
            Err(_) => Ok(answer),
        }
    }

    fn add(&mut self, listens: bool) -> SocketNo {
        let user = self.tcp.open();
        let at = user as usize;
        if self.users.all.len() <= at {
            self.users.all.resize_with(at + 1, || None);
        }
        self.users.all[at] = Some(User { listens, ..User::default() });
        user
    }

    /// A user that has asked for all of this; given back when something was refused.
    fn add_with(&mut self, listens: bool, asked: &[Primitive]) -> Result<SocketNo, Errno> {
        let user = self.add(listens);
        match asked.iter().try_for_each(|asked| self.request(user, asked).map(drop)) {
            Ok(()) => Ok(user),
            Err(errno) => {
                self.close(user);
                Err(errno)
            }
        }
    }
}

impl Engine for Fused {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn take_frames(&mut self, most: usize) -> Result<usize, Errno> {
        let mut frames = std::mem::take(&mut self.came);
        let count = self.device.recv(&mut self.pool, &mut frames, most)?;
        let now = self.clock.now();
        while let Some(frame) = frames.pop() {
            self.input(frame, now);
        }
        Ok(count)
    }

    fn work(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        if self.next_deadline() <= now {
            self.expire(now);
        }
        self.output(now);
        if self.tcp.has_put_off() {
            self.tcp.rests();
            self.output(now);
        }
        self.send();
        self.pool.run_deferred();
        match self.next_deadline() {
            NEVER => None,
            at => Some(Duration::from_nanos(at.saturating_sub(now))),
        }
    }

    fn is_blocked(&self) -> bool {
        self.blocked
    }

    fn room(&mut self) {
        self.blocked = false;
        self.send();
    }

    fn ready(&mut self) -> Option<SocketNo> {
        self.users.ready.pop_front()
    }

    fn listen(&mut self, at: SocketAddr, backlog: u32) -> Result<SocketNo, Errno> {
        let backlog = backlog.clamp(1, crate::stream::BACKLOG as u32) as i32;
        let bind = Primitive::bind_req(at).with_word(12, backlog);
        self.add_with(true, &[crate::stream::reuse(), bind])
    }

    fn connect(&mut self, to: SocketAddr) -> Result<SocketNo, Errno> {
        let from = SocketAddr::new(self.own.address(), 0);
        self.add_with(false, &[Primitive::bind_req(from), Primitive::conn_req(to)])
    }

    fn connected(&mut self, socket: SocketNo) -> Result<(), Errno> {
        let user = self.users.get(socket)?;
        match (user.listens, user.words.pop_front()) {
            (true, _) | (_, Some(_)) => Ok(()),
            (false, None) => user.came.failure().map_or(Err(Errno::EAGAIN), Err),
        }
    }

    fn accept(&mut self, listener: SocketNo) -> Result<SocketNo, Errno> {
        if !self.users.get(listener)?.listens {
            return Err(Errno::EINVAL);
        }
        loop {
            let call = self.users.get(listener)?.words.pop_front().ok_or(Errno::EAGAIN)?;
            let sequence = tpi::ConnInd::new(&call).map_err(|_| Errno::EPROTO)?.sequence();
            let socket = self.add(false);
            // What came before it was accepted was told to nobody.
            self.users.ready.push_back(socket);
            match self.request(listener, &Primitive::conn_res(socket as i32, sequence)) {
                Ok(_) => return Ok(socket),
                Err(errno) => {
                    self.close(socket);
                    if errno != HAS_GONE {
                        return Err(errno);
                    }
                }
            }
        }
    }

    fn send(&mut self, socket: SocketNo, data: &[u8]) -> Result<usize, Errno> {
        if let Some(errno) = self.users.get(socket)?.came.failure() {
            return Err(errno);
        }
        if !self.tcp.has_room(socket) {
            return Err(Errno::EAGAIN);
        }
        let msg = self.pool.copy_from(0, data).map_err(|_| Errno::ENOSR)?;
        let (now, random) = (self.clock.now(), self.random());
        self.tcp.ask(socket, msg, now, random, &mut self.pool);
        Ok(data.len())
    }

    fn recv(&mut self, socket: SocketNo, most: usize, give: Give<'_>) -> Result<usize, Errno> {
        let Self { users, tcp, pool, .. } = self;
        let user = users.get(socket)?;
        let before = user.came.bytes();
        let shown = user.came.show(pool, most, give)?;
        if before >= RELIEF {
            tcp.relieved(socket);
        }
        Ok(shown)
    }

    fn finish(&mut self, socket: SocketNo) -> Result<(), Errno> {
        self.users.get(socket)?;
        let request = Primitive::ordrel_req();
        let msg = request.to_msg(request.kind(), &mut self.pool).map_err(|_| Errno::ENOSR)?;
        let (now, random) = (self.clock.now(), self.random());
        self.tcp.ask(socket, msg, now, random, &mut self.pool);
        Ok(())
    }

    fn close(&mut self, socket: SocketNo) {
        let Some(user) = self.users.all.get_mut(socket as usize).and_then(Option::take) else {
            return;
        };
        let (now, unread) = (self.clock.now(), user.came.bytes());
        user.came.free(&mut self.pool);
        // Nobody here waits for the end of a close.
        let _lingers = self.tcp.close(socket, unread, now, &mut self.pool);
    }

    fn open(&self) -> usize {
        self.users.all.iter().flatten().count()
    }
}

impl std::fmt::Debug for Fused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fused").field("own", &self.own).finish_non_exhaustive()
    }
}
