//! port: programs in other processes use the stack through memory that they share with it. Whoever
//! runs the shard looks at what they ask for, in the same turn as at the devices.

pub(crate) mod area;
mod attach;
mod calls;
mod client;
mod end;
mod export;
mod fault;
mod inward;
mod lent;
mod outward;
mod passing;
mod placeholder;
mod served;

pub use attach::{Listener, PortError};
pub use fault::{Fault, Faults};

use crate::poller::Poller;
use crate::socket::Transports;
use client::Client;
use lent::Shared;
use millstream_core::{HeadEvent, NodeId, Perimeter, StreamId};
use millstream_msg::Pool;
use millstream_port::Ready;
use millstream_port::lend::Returned;
use passing::Lost;
use placeholder::Placeholders;
use serde::{Deserialize, Serialize};
use served::{Retired, Served};
use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one program may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of rings: a power of two, at least 64 KiB. All of it is there from the beginning.
    pub memory: usize,
    /// Sockets and streams at once, at most 4096.
    pub sockets: usize,
    /// Ports of its own that its sockets are bound to at once.
    pub ports: usize,
    /// Programs at once.
    pub programs: usize,
    /// Bytes of what the stack has received that it may hold and read there, without the copy into
    /// its own memory; 0: none. With more, every program that is let in can read **all** that is
    /// received, also by others: they are not isolated from each other in this.
    pub arena: usize,
    /// What a program that is gone has left to be sent has so long; then its connection is reset.
    /// Milliseconds.
    pub leaving_ms: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            sockets: 1024,
            ports: 1024,
            programs: 64,
            arena: 0,
            leaving_ms: 60_000,
        }
    }
}

/// What is counted of the programs of a stack, for those who look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStat {
    /// Attached now.
    pub programs: Vec<ProgramStat>,
    /// Sockets whose program is gone and whose data are still on their way.
    pub leaving: usize,
    /// Rings of programs whose octets are not acknowledged, and whose sockets are closed.
    pub orphans: usize,
    /// Sockets and streams of all programs, and of none.
    pub sockets: usize,
    /// Programs that were sent away, by reason.
    pub faults: Faults,
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStat {
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Sockets and streams that it has.
    pub sockets: usize,
    /// Bytes of its memory that are rings.
    pub memory: usize,
    /// Bytes of what was received that it holds in the arena, with what is around them.
    pub lent: usize,
}

/// The programs of a stack, and their sockets.
#[derive(Debug)]
pub(crate) struct Ports {
    listener: Listener,
    quota: Quota,
    /// What is received lies there, if programs share that.
    shared: Option<Shared>,
    transports: Transports,
    /// What streams are opened on, by name.
    devices: Vec<(String, NodeId)>,
    clients: Vec<Option<Client>>,
    served: Vec<Option<Served>>,
    by_stream: HashMap<StreamId, u32>,
    placeholders: Placeholders,
    returned: Arc<Returned>,
    /// What was lost on its way through a pipe.
    lost: Lost,
    /// Under way through pipes.
    passing: usize,
    /// Numbers of `served` that are free.
    free: Vec<u32>,
    /// Programs that were ever let in.
    attached: u64,
    /// Programs that have lied since they were looked at.
    faulty: Vec<(usize, Fault)>,
    /// Rings of sockets that are closed, until their octets are acknowledged.
    orphans: Vec<Retired>,
    /// Sockets without a program that are not closed yet.
    leaving: Vec<u32>,
    /// Sockets that only placeholders stand for, and when they are exported. Nanoseconds.
    unattended: VecDeque<(u64, u32)>,
    /// Set with the descriptors that seldom tell of something: the listener, connections of
    /// programs, placeholders.
    rare: OwnedFd,
    faults: Faults,
}

/// Marks of what is in the wait sets: the set of what is rare, and bells.
pub(crate) const TOKENS: u64 = 1 << 40;
const BELLS: u64 = TOKENS + 1;

/// Events of writing.
const ROOM: Ready = Ready(Ready::OUT.0 | Ready::WRNORM.0 | Ready::WRBAND.0);

impl Ports {
    /// Of a listener, in the wait sets of the shard.
    pub(crate) fn new(
        listener: Listener,
        quota: Quota,
        transports: Transports,
        devices: Vec<(String, NodeId)>,
        poller: &Poller,
        pool: &mut Pool,
    ) -> std::io::Result<Self> {
        let shared = (quota.arena > 0).then(|| Shared::make(pool, quota.arena)).transpose()?;
        let rare = attach::rare_set(&listener)?;
        poller.add(rare.try_clone()?, TOKENS)?;
        Ok(Self {
            listener,
            quota,
            shared,
            transports,
            devices,
            clients: Vec::new(),
            served: Vec::new(),
            by_stream: HashMap::new(),
            placeholders: Placeholders::default(),
            returned: Arc::default(),
            lost: Lost::default(),
            passing: 0,
            free: Vec::new(),
            attached: 0,
            faulty: Vec::new(),
            orphans: Vec::new(),
            leaving: Vec::new(),
            unattended: VecDeque::new(),
            rare,
            faults: Faults::default(),
        })
    }

    /// Something in the wait sets is ready. Of bells it is enough that they have woken the leader.
    pub(crate) fn ready(&mut self, core: &mut Perimeter, poller: &Poller, token: u64) {
        if token == TOKENS {
            self.look_at_rare(core, poller);
        }
    }

    /// Does what programs ask for; whether there was anything.
    pub(crate) fn serve(&mut self, core: &mut Perimeter, poller: &Poller) -> bool {
        let mut any = false;
        for at in 0..self.clients.len() {
            let Some(client) = &mut self.clients[at] else { continue };
            let mut kicked = std::mem::take(&mut client.kicked);
            client.take_kicks(&mut kicked);
            any |= !kicked.is_empty();
            for slot in kicked.drain(..) {
                self.kicked(core, at, slot);
            }
            let Some(client) = &mut self.clients[at] else { continue };
            client.kicked = kicked;
            if client.is_called() {
                any = true;
                self.answer(core, at);
            }
        }
        self.judge(core, poller);
        any
    }

    /// A program tells of a socket: it has put octets in or taken some out, or closed it.
    fn kicked(&mut self, core: &mut Perimeter, at: usize, slot: usize) {
        let Some(client) = self.client(at) else { return };
        let Some(key) = client.at(slot) else { return };
        if client.has_closed(slot) {
            return self.leave(core, at, slot, key);
        }
        let stalled = client.slot(slot).stalled().swap(0, Ordering::SeqCst) != 0;
        self.outward(core, key);
        let lent = self.get(key).is_some_and(Served::has_lent);
        if stalled || lent {
            self.inward(core, key);
        }
        self.heed_arming(core, at, slot, key);
        self.show(core, key, Ready::empty());
    }

    /// The program wants to hear of each arrival at a socket, not only of the first.
    fn heed_arming(&self, core: &mut Perimeter, at: usize, slot: usize, key: u32) {
        let Some((client, served)) = self.client(at).zip(self.get(key)) else { return };
        if Ready(client.slot(slot).armed().load(Ordering::SeqCst)).contains(Ready::EDGES) {
            core.tell_of_each(served.stream());
        }
    }

    /// Something has happened at a head; false: it is none of a program's.
    pub(crate) fn head_event(
        &mut self,
        core: &mut Perimeter,
        stream: StreamId,
        what: HeadEvent,
    ) -> bool {
        let Some(&key) = self.by_stream.get(&stream) else { return false };
        let edge = match what {
            HeadEvent::Writable => {
                self.outward(core, key);
                self.tell_of_room(key);
                self.pull_again(core, key);
                ROOM
            }
            HeadEvent::Ioctl(_) => {
                self.tell_users(key);
                Ready(!ROOM.0)
            }
            _ => {
                self.inward(core, key);
                Ready(!ROOM.0)
            }
        };
        self.show(core, key, edge);
        true
    }

    /// What has come back is the programs' again; bells are rung. Whether there was anything to
    /// send because of it.
    pub(crate) fn settle(&mut self, core: &mut Perimeter, poller: &Poller) -> bool {
        let mut any = false;
        self.count_lost(core);
        if !self.clients.is_empty() || !self.leaving.is_empty() {
            core.pool().run_deferred();
            let returned = self.returned.clone();
            returned.take(|key| {
                any = true;
                self.outward(core, key);
                self.tell_of_room(key);
                self.show(core, key, Ready::empty());
            });
            any |= self.step_leaving(core);
            self.step_unattended(core);
            self.collect_orphans();
            self.judge(core, poller);
        }
        for client in self.clients.iter_mut().flatten() {
            client.ring_if_told();
        }
        any
    }

    /// The leader is about to sleep: programs ring from now on. False: there is something to do.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.clients.iter().flatten().all(Client::stack_sleeps)
    }

    /// When something is to be done that no descriptor tells of.
    pub(crate) fn next(&self) -> Option<u64> {
        let leaving = self.leaving.iter().filter_map(|&key| self.get(key)?.deadline);
        leaving.chain(self.unattended.front().map(|(at, _)| *at)).min()
    }

    /// What is counted.
    pub(crate) fn stat(&self) -> PortStat {
        PortStat {
            programs: self.clients.iter().flatten().map(Client::stat).collect(),
            leaving: self.leaving.len(),
            orphans: self.orphans.len(),
            sockets: self.by_stream.len(),
            faults: self.faults,
        }
    }

    /// Processes of the programs that have a stream.
    pub(crate) fn programs_of(&self, stream: StreamId) -> Vec<u32> {
        let served = self.by_stream.get(&stream).and_then(|key| self.get(*key));
        let users = served.map(|served| &served.users[..]).unwrap_or_default();
        let mut pids: Vec<_> =
            users.iter().filter_map(|(at, _)| Some(self.client(*at)?.pid)).collect();
        pids.dedup();
        pids
    }

    fn get(&self, key: u32) -> Option<&Served> {
        self.served.get(key as usize)?.as_ref()
    }

    fn get_mut(&mut self, key: u32) -> Option<&mut Served> {
        self.served.get_mut(key as usize)?.as_mut()
    }

    fn client(&self, at: usize) -> Option<&Client> {
        self.clients.get(at)?.as_ref()
    }
}
