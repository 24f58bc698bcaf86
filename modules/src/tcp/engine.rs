//! The state of `tcp`: its sockets and users, and what a segment, a message of a user, or a
//! deadline does to them. What a request does is in `request`.

mod carry;
mod cookies;
mod direct;
mod icmp;
mod info;
mod linger;
mod listen;
mod option;
mod request;
mod sockets;
mod up;

pub use carry::{T_EXPORT_REQ, T_IMPORT_REQ};
pub use direct::Above;
pub use option::names;
pub(super) use request::Asked;
pub use sockets::{FlowView, SocketView};
pub(super) use up::URGENT;

use super::env::{Env, Event, Shared};
use super::isn::Secret;
use super::listener::Listener;
use super::tcb::{Marks, NEVER, NOBODY, Settings, State, Tcb};
use super::{Cookies, Ends, Limits, Segment, Table, TcpDrop, input, output, table, timers, user};
use crate::ctl::Ctl;
use crate::ip;
use crate::locals::Locals;
use crate::room::grow_for;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use millstream_msg::{Msg, MsgFlags, Pool};

/// TCP of a stack.
///
/// A socket is what [`Table`] knows: bound, listening or connected. A user is a stream above. A
/// user may have a socket; a connection may be without a user, before it is accepted and after its
/// user has left.
#[derive(Debug)]
pub struct Engine {
    table: Table,
    secret: Secret,
    /// By number of the table.
    sockets: Vec<Option<Socket>>,
    free: Vec<u32>,
    /// The connection of the last segment.
    recent: u32,
    users: Vec<Option<User>>,
    free_users: Vec<u32>,
    /// What a user begins with, and what one set last: programs set the same for all
    /// their sockets, which share it.
    settings: [Arc<Settings>; 2],
    /// Bytes of connections that are coming from other stacks, by their users.
    coming: BTreeMap<u32, Vec<u8>>,
    pub(super) locals: Locals,
    cookies: Cookies,
    /// When a SYN was answered with a cookie last, ns.
    cookie_sent: Option<u64>,
    shared: Shared,
    /// Connections that have something to hand up or to send, the longest first: those that could
    /// not for want of room below get theirs before others again.
    dirty: VecDeque<u32>,
    /// Connections that have an acknowledgement to send when the stack rests.
    soon: Vec<u32>,
    /// Users whose close waits (SO_LINGER), by their sockets.
    lingering: BTreeMap<u32, u32>,
    pub(super) out: Out,
}

/// What the last calls want done, beside segments. The face empties it.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// Acknowledgements and indications for users, in order.
    pub(super) up: Vec<(u32, Msg)>,
    /// Sockets, and when they want to be called; [`NEVER`]: not any more.
    pub(super) timers: Vec<(u32, u64)>,
    /// Users who have room to send again.
    pub(super) room: Vec<u32>,
    /// Users whose close waits no longer, with the socket it waited for.
    pub(super) closed: Vec<(u32, u32)>,
}

impl Out {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.up.len() + self.timers.len() + self.room.len() + self.closed.len() == 0
    }
}

#[derive(Debug)]
enum Socket {
    /// It has an address.
    Bound,
    /// It takes connections.
    Listening(Box<Listener>),
    /// It is one.
    Connection(Box<Tcb>),
}

/// A stream above.
#[derive(Debug)]
struct User {
    has: Has,
    settings: Arc<Settings>,
}

/// The socket of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    /// None.
    Nothing,
    /// None any more: its connection is over, and its address went with it. TS_IDLE all the same.
    Ended,
    /// This one.
    Socket(u32),
}

impl User {
    fn socket(&self) -> Option<u32> {
        match self.has {
            Has::Socket(number) => Some(number),
            Has::Nothing | Has::Ended => None,
        }
    }
}

/// What each stream of `tcp` takes here; see also `tcb`, `table` and
/// [`Users`](crate::users::Users).
const IDLE_SOCKET_BYTES: usize = size_of::<Option<User>>() + size_of::<Option<Socket>>();

const _: () = assert!(IDLE_SOCKET_BYTES == 32);

impl Engine {
    /// Without users. `key` is from the stack's random source.
    pub fn new(key: u64) -> Self {
        let settings = Arc::new(Settings::default());
        Self {
            table: Table::new(key),
            secret: Secret::new(key),
            sockets: Vec::new(),
            free: Vec::new(),
            recent: NOBODY,
            users: Vec::new(),
            free_users: Vec::new(),
            settings: [settings.clone(), settings],
            coming: BTreeMap::new(),
            locals: Locals::default(),
            cookies: Cookies::new(key),
            cookie_sent: None,
            shared: Shared::new(Limits::new(key)),
            dirty: VecDeque::with_capacity(64),
            soon: Vec::with_capacity(64),
            lingering: BTreeMap::new(),
            out: Out::default(),
        }
    }

    /// A stream above; its number.
    pub fn open(&mut self) -> u32 {
        let number = self.free_users.pop().unwrap_or_else(|| {
            let len = self.users.len() + 1;
            grow_for(&mut self.users, len);
            self.users.push(None);
            (self.users.len() - 1) as u32
        });
        let settings = self.settings[0].clone();
        self.users[number as usize] = Some(User { has: Has::Nothing, settings });
        number
    }

    /// What users begin with that come from now on.
    pub(super) fn defaults_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings[0])
    }

    /// What a user has set; what users begin with when it is gone.
    fn settings_of(&self, user: u32) -> &Arc<Settings> {
        self.user(user).map_or(&self.settings[0], |user| &user.settings)
    }

    /// What users begin with.
    pub(super) fn defaults(&self) -> &Settings {
        &self.settings[0]
    }

    /// A packet from `ip`.
    pub fn input(&mut self, mut msg: Msg, now: u64, pool: &mut Pool) {
        let Some(packet) = ip::View::parse(msg.first()) else {
            return self.shared.act.discard(msg, TcpDrop::Short);
        };
        let seg = match Segment::parse(&msg, &packet, pool.sum()) {
            Ok(seg) => seg,
            Err(reason) => return self.shared.act.discard(msg, reason),
        };
        let to_stations = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);
        if !msg.flags().intersects(to_stations) && self.is_of_recent(&seg) {
            seg.into_payload(&mut msg);
            return self.arrives(self.recent, &seg, msg, now, pool);
        }
        let many = msg.flags().intersects(to_stations) || self.locals.is_many(seg.local.ip());
        if many || self.locals.is_many(seg.remote.ip()) || !seg.is_between_hosts() {
            return self.shared.act.discard(msg, TcpDrop::NoHost);
        }
        seg.into_payload(&mut msg);
        let ends = ends_of(seg.local, seg.remote);
        match self.table.lookup(&ends) {
            Some(table::Found::Connection(number)) => {
                self.recent = number;
                self.arrives(number, &seg, msg, now, pool);
            }
            Some(table::Found::Listener(number)) => self.asked(number, &seg, msg, now, pool),
            None => {
                self.shared.refuse(&seg, now, pool);
                self.shared.act.discard(msg, TcpDrop::NoListener);
            }
        }
    }

    /// Data of a user: M_DATA, or what came behind T_DATA_REQ. `urgent`: its last octet is.
    ///
    /// # Errors
    /// The data, when there is no connection that takes them.
    pub(super) fn send(
        &mut self,
        user: u32,
        data: Msg,
        urgent: bool,
        now: u64,
        pool: &mut Pool,
    ) -> Result<(), Msg> {
        let Some((number, _)) = self.connection_of(user) else { return Err(data) };
        let mut data = Some(data);
        self.with(number, now, pool, |tcb, env| {
            if let Some(msg) = data.take() {
                data = user::send(tcb, msg, urgent, env).err();
            }
        });
        data.map_or(Ok(()), Err)
    }

    /// May a user send more? If not, the face is told when it may.
    pub fn has_room(&mut self, user: u32) -> bool {
        self.connection_of(user).is_none_or(|(_, tcb)| user::has_room(tcb))
    }

    /// Has a connection something to hand up or to send?
    #[inline]
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The next connection that has something to hand up or to send, with its user.
    pub(super) fn next_dirty(&mut self) -> Option<(u32, Option<u32>)> {
        loop {
            let number = self.dirty.pop_front()?;
            let Some(tcb) = self.tcb(number) else { continue };
            tcb.marks.clear(Marks::DIRTY);
            return Some((number, Some(tcb.user).filter(|user| *user != NOBODY)));
        }
    }

    /// Sends what a connection may send now. `unread`: octets that wait above it.
    pub(super) fn output(&mut self, number: u32, unread: u32, now: u64, pool: &mut Pool) {
        let Some(Some(Socket::Connection(tcb))) = self.sockets.get_mut(number as usize) else {
            return;
        };
        let mut env = Env { now, pool, shared: &mut self.shared };
        user::has_read(tcb, unread, &env);
        output::output(tcb, &mut env);
        if tcb.marks.has(Marks::ACK_SOON) && !tcb.marks.has(Marks::ACK_LISTED) {
            tcb.marks.set(Marks::ACK_LISTED);
            self.soon.push(number);
        }
        if tcb.marks.has(Marks::WRITER_WAITS) && user::has_much_room(tcb) {
            tcb.marks.clear(Marks::WRITER_WAITS);
            self.out.room.push(tcb.user);
        }
        self.settle(number, now, pool);
    }

    /// Has a connection an acknowledgement to send when the stack rests?
    pub fn has_put_off(&self) -> bool {
        !self.soon.is_empty()
    }

    /// The stack rests: what nothing has carried meanwhile is acknowledged.
    pub fn rests(&mut self) {
        while let Some(number) = self.soon.pop() {
            let Some(tcb) = self.tcb(number) else { continue };
            tcb.marks.clear(Marks::ACK_LISTED);
            if tcb.marks.has(Marks::ACK_SOON) {
                tcb.marks.set(Marks::ACK_NOW);
                self.touch(number);
            }
        }
    }

    /// A deadline of a socket has passed, or the wheel still had one of its predecessor.
    pub fn expired(&mut self, number: u32, now: u64, pool: &mut Pool) {
        let Some(tcb) = self.tcb(number) else { return };
        tcb.armed = NEVER;
        if timers::next(tcb) <= now {
            self.with(number, now, pool, timers::expired);
        } else {
            self.arm(number);
        }
    }

    /// The stream above has been read from.
    pub fn relieved(&mut self, user: u32) {
        if let Some((number, _)) = self.connection_of(user) {
            self.touch(number);
        }
    }

    /// Octets that wait to be sent or acknowledged, for somebody who looks.
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// What is to be sent, dropped and counted.
    pub(super) fn shared(&mut self) -> &mut Shared {
        &mut self.shared
    }

    /// A word of `ip`.
    pub fn told(&mut self, ctl: &Ctl, now: u64, pool: &mut Pool) {
        match ctl {
            Ctl::AddAddress(address, prefix_len) => self.locals.add(*address, *prefix_len),
            Ctl::RemoveAddress(address) => self.locals.remove(*address),
            Ctl::Mtu(address, mtu) => self.locals.set_mtu(*address, *mtu),
            Ctl::Way(network, len, source) => self.locals.add_way(*network, *len, *source),
            Ctl::Failed(error) => self.failed(error, now, pool),
            _ => {}
        }
    }

    /// Runs a function on a connection, and sees to what it has changed.
    fn with(
        &mut self,
        number: u32,
        now: u64,
        pool: &mut Pool,
        run: impl FnOnce(&mut Tcb, &mut Env<'_>),
    ) {
        let Some(Some(Socket::Connection(tcb))) = self.sockets.get_mut(number as usize) else {
            return;
        };
        run(tcb, &mut Env { now, pool, shared: &mut self.shared });
        if self.shared.events.is_empty() && self.lingering.is_empty() {
            // Nobody is to be told of anything.
            arm(tcb, number, &mut self.out.timers);
            return touch(tcb, number, &mut self.dirty);
        }
        self.settle(number, now, pool);
        self.touch(number);
    }

    /// Is a segment of the same connection as the one before it? Nearly all are, and then their
    /// ends are in order and need not be looked up.
    #[inline]
    fn is_of_recent(&mut self, seg: &Segment) -> bool {
        let (local, remote) = (seg.local, seg.remote);
        self.tcb(self.recent).is_some_and(|tcb| {
            (tcb.local.port, tcb.remote.port) == (local.port(), remote.port())
                && (tcb.local.ip, tcb.remote.ip) == (local.ip(), remote.ip())
                && !tcb.marks.has(Marks::DEAD)
        })
    }

    #[inline]
    fn arrives(&mut self, number: u32, seg: &Segment, msg: Msg, now: u64, pool: &mut Pool) {
        let state = self.tcb(number).map(|tcb| tcb.state);
        if state == Some(State::Established) {
            return self.with(number, now, pool, |tcb, env| input::arrives(tcb, seg, msg, env));
        }
        let reused = self.tcb(number).is_some_and(|tcb| input::may_reuse(tcb, seg));
        if reused && let Some(listener) = self.table.listener((seg.local.ip(), seg.local.port())) {
            self.with(number, now, pool, |tcb, env| user::over(tcb, None, env));
            self.forget(number);
            return self.asked(listener, seg, msg, now, pool);
        }
        if self.accept_queue_is_full(number) {
            // The handshake is completed when there is room: the peer sends its ACK again.
            return self.shared.act.discard(msg, TcpDrop::AcceptQueueFull);
        }
        self.with(number, now, pool, |tcb, env| input::arrives(tcb, seg, msg, env));
    }

    /// Tells users, listeners and the wheel what a connection has become.
    fn settle(&mut self, number: u32, now: u64, pool: &mut Pool) {
        for at in 0..self.shared.events.len() {
            match self.shared.events[at] {
                Event::Connected => self.connected(number, now, pool),
                Event::Urgent => self.urgent(number, pool),
                Event::Over(errno) => self.over(number, errno, pool),
            }
        }
        self.shared.events.clear();
        self.arm(number);
        self.see_linger(number);
    }

    /// The surroundings of a request.
    fn env<'e>(&'e mut self, at: &'e mut Asked<'_>) -> Env<'e> {
        Env { now: at.now, pool: at.pool, shared: &mut self.shared }
    }

    fn arm(&mut self, number: u32) {
        if let Some(Some(Socket::Connection(tcb))) = self.sockets.get_mut(number as usize) {
            arm(tcb, number, &mut self.out.timers);
        }
    }

    fn touch(&mut self, number: u32) {
        if let Some(Some(Socket::Connection(tcb))) = self.sockets.get_mut(number as usize) {
            touch(tcb, number, &mut self.dirty);
        }
    }

    fn tcb(&mut self, number: u32) -> Option<&mut Tcb> {
        match self.sockets.get_mut(number as usize) {
            Some(Some(Socket::Connection(tcb))) => Some(tcb),
            _ => None,
        }
    }

    fn user(&self, user: u32) -> Option<&User> {
        self.users.get(user as usize)?.as_ref()
    }

    fn user_mut(&mut self, user: u32) -> Option<&mut User> {
        self.users.get_mut(user as usize)?.as_mut()
    }

    fn connection_of(&mut self, user: u32) -> Option<(u32, &mut Tcb)> {
        let number = self.user(user)?.socket()?;
        self.tcb(number).map(|tcb| (number, tcb))
    }

    /// A number for a socket.
    fn fresh(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let len = self.sockets.len() + 1;
            grow_for(&mut self.sockets, len);
            self.sockets.push(None);
            (self.sockets.len() - 1) as u32
        })
    }

    /// The socket is nobody's any more.
    fn forget(&mut self, number: u32) {
        let Some(slot) = self.sockets.get_mut(number as usize) else { return };
        let Some(socket) = slot.take() else { return };
        if let Socket::Connection(mut tcb) = socket {
            // Of one that is over, and whose user has left before it took all.
            let ready = core::mem::take(&mut tcb.ready);
            self.shared.act.discard_all(ready, TcpDrop::Gone);
        }
        self.table.remove(number);
        self.free.push(number);
        self.out.timers.push((number, NEVER));
    }

    /// The address that packets to this peer leave with: one of its network, else our first.
    fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        self.locals.source_for(remote)
    }
}

/// The wheel is to call when it does not already.
#[inline]
fn arm(tcb: &mut Tcb, number: u32, timers: &mut Vec<(u32, u64)>) {
    let at = timers::next(tcb);
    if at < tcb.armed {
        tcb.armed = at;
        timers.push((number, at));
    }
}

/// The connection may have something to hand up or to send.
#[inline]
fn touch(tcb: &mut Tcb, number: u32, dirty: &mut VecDeque<u32>) {
    if !tcb.marks.has(Marks::DIRTY) {
        tcb.marks.set(Marks::DIRTY);
        dirty.push_back(number);
    }
}

fn ends_of(local: SocketAddr, remote: SocketAddr) -> Ends {
    Ends::new((local.ip(), local.port()), (remote.ip(), remote.port()))
}
