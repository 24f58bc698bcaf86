//! A socket or stream of programs: who has it, its rings, and what is shown of it.

use super::Ports;
use super::lent::Lent;
use crate::socket::Socket;
use millstream_core::{Perimeter, PollEvents, StreamId};
use millstream_msg::Msg;
use millstream_port::Ready;
use millstream_port::lend::Lender;
use millstream_port::piece::TABLE;
use millstream_port::ring::Ring;
use millstream_port::slot::{DIRECT, EXPORTED};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

#[derive(Debug)]
pub(super) struct Served {
    pub(super) what: What,
    /// Programs that have it, and their slots.
    pub(super) users: Vec<(usize, usize)>,
    /// The rings of the one program that has it.
    pub(super) line: Option<Line>,
    /// Rings that programs had, until their octets are acknowledged.
    pub(super) retired: Vec<Retired>,
    /// Octets received that no ring has room for, or that a ring was taken back with.
    pub(super) held: Option<Msg>,
    pub(super) unread: VecDeque<u8>,
    /// Octets to be sent that were in a ring that was taken back.
    pub(super) unsent: VecDeque<u8>,
    /// SHUT_WR, when all before has been sent.
    pub(super) shut: bool,
    /// A buffer was refused that may be sent when there is room.
    pub(super) awaits_room: bool,
    /// Octets go through the placeholder; all that is written there, or read, has.
    pub(super) exported: bool,
    pub(super) pulled_all: bool,
    pub(super) pushed_all: bool,
    /// A close is a reset (SO_LINGER of 0).
    pub(super) abrupt: bool,
    /// Those of them that have it from a pipe, and no placeholder yet.
    pub(super) fresh: Vec<(usize, usize)>,
    /// Placeholders that stand for it.
    pub(super) cookies: Vec<u64>,
    /// How often it is under way through a pipe.
    pub(super) passed: usize,
    /// Whose share the port is that it is bound to.
    pub(super) port_of: Option<usize>,
    /// What was shown last.
    shown: u32,
    /// Nobody has it: when what is under way is given up. Nanoseconds of the shard.
    pub(super) deadline: Option<u64>,
}

/// A ring for sending that is used no more: the program, its number, the ring.
pub(super) type Retired = (usize, u64, Lender);

#[derive(Debug)]
pub(super) enum What {
    Socket(Socket),
    Stream(StreamId),
}

/// Rings in a program's memory, and how far each side has come. Counts wrap.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) client: usize,
    pub(super) slot: usize,
    pub(super) receive: Ring,
    pub(super) received: u32,
    /// What of it the program reads where it lies.
    pub(super) lent: Option<Lent>,
    pub(super) lender: Lender,
    /// Octets that are messages, or were.
    pub(super) submitted: u32,
    pub(super) released: u32,
    /// Octets that the program has put in, as it said last.
    pub(super) put: u32,
}

impl Served {
    pub(super) fn new(what: What) -> Self {
        Self {
            what,
            users: Vec::new(),
            line: None,
            retired: Vec::new(),
            held: None,
            unread: VecDeque::new(),
            unsent: VecDeque::new(),
            shut: false,
            awaits_room: false,
            exported: false,
            pulled_all: false,
            pushed_all: false,
            abrupt: false,
            fresh: Vec::new(),
            cookies: Vec::new(),
            passed: 0,
            port_of: None,
            shown: 0,
            deadline: None,
        }
    }

    pub(super) fn stream(&self) -> StreamId {
        match &self.what {
            What::Socket(socket) => socket.stream(),
            What::Stream(stream) => *stream,
        }
    }

    pub(super) fn socket(&mut self) -> Option<&mut Socket> {
        match &mut self.what {
            What::Socket(socket) => Some(socket),
            What::Stream(_) => None,
        }
    }

    /// A program has it, or a placeholder stands for it.
    pub(super) fn is_had(&self) -> bool {
        !self.users.is_empty() || !self.cookies.is_empty()
    }

    /// Octets received that are in no ring.
    pub(super) fn waiting(&self) -> usize {
        self.unread.len() + self.held.as_ref().map_or(0, Msg::len)
    }

    /// Octets are in the ring for sending that are no messages yet.
    pub(super) fn has_unsubmitted(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.submitted != line.put)
    }

    /// The program has octets where they were received.
    pub(super) fn has_lent(&self) -> bool {
        self.line.as_ref().and_then(|line| line.lent.as_ref()).is_some_and(Lent::has_any)
    }

    /// What comes now has to wait for what was there before.
    pub(super) fn blocks_sending(&self) -> bool {
        self.shut || !self.unsent.is_empty() || self.has_unsubmitted()
    }

    /// Copies octets that are in no ring out; how many. They stay if `keep`.
    pub(super) fn unstash(&mut self, core: &mut Perimeter, out: &mut [u8], keep: bool) -> usize {
        let some = out.len().min(self.unread.len());
        for (to, from) in out.iter_mut().zip(&self.unread) {
            *to = *from;
        }
        if !keep {
            self.unread.drain(..some);
        }
        if some > 0 {
            return some;
        }
        let Some(mut msg) = self.held.take() else { return 0 };
        let some = msg.copy_out(0, out);
        if keep || some < msg.len() {
            msg.trim_front(if keep { 0 } else { some });
            self.held = Some(msg);
        } else {
            core.pool().free(msg);
        }
        some
    }

    /// What is possible, as it stands in slots.
    fn state(&mut self, core: &mut Perimeter) -> u32 {
        let waits = self.waiting() > 0;
        let blocked = !self.unsent.is_empty() || self.shut;
        let direct = self.line.is_some();
        let exported = if self.exported { EXPORTED } else { 0 };
        match &mut self.what {
            What::Stream(stream) => {
                let asked = PollEvents::READ.with(PollEvents::WRITE);
                let seen = core.poll_head(*stream, asked).map_or(Ready::ERR, Ready::from);
                seen.0
            }
            What::Socket(socket) if direct => {
                let mut seen = socket.outlook(core).unwrap_or_default();
                if waits {
                    seen = Ready(seen.0 & !(Ready::IN | Ready::RDHUP).0);
                }
                if self.shut {
                    seen = Ready(seen.0 & !Ready::OUT.0);
                }
                seen.0 | DIRECT
            }
            What::Socket(socket) => {
                let mut seen = socket.ready(core);
                if waits {
                    seen = seen | Ready::IN | Ready::RDNORM;
                }
                if blocked {
                    seen = Ready(seen.0 & !(Ready::OUT | Ready::WRNORM).0);
                }
                seen.0 | exported
            }
        }
    }
}

impl Ports {
    /// Shows what is possible to all who have it. What is of `edge` is told of even if it was
    /// possible before.
    pub(super) fn show(&mut self, core: &mut Perimeter, key: u32, edge: Ready) {
        self.give_rings(core, key);
        let Some(served) = self.served.get_mut(key as usize).and_then(Option::as_mut) else {
            return;
        };
        let state = served.state(core);
        let bits = DIRECT | EXPORTED;
        let risen = Ready(state & !served.shown & !bits);
        let again = if served.line.is_none() { edge } else { Ready::empty() };
        let told = risen | again.only(Ready(state & !bits));
        if state == served.shown && told.is_empty() {
            return;
        }
        served.shown = state;
        for &(client, slot) in &served.users {
            let Some(client) = self.clients.get_mut(client).and_then(Option::as_mut) else {
                continue;
            };
            client.slot(slot).state().store(state, Ordering::SeqCst);
            if !told.is_empty() {
                client.tell(slot, told);
            }
        }
    }

    /// Something has happened that is not in what is possible: all who have it look.
    pub(super) fn tell_users(&mut self, key: u32) {
        let Some(served) = self.served.get(key as usize).and_then(Option::as_ref) else { return };
        for &(client, slot) in &served.users {
            if let Some(client) = self.clients.get_mut(client).and_then(Option::as_mut) {
                // This is told to whoever is told of anything.
                client.tell(slot, Ready::ERR);
            }
        }
    }

    /// Who was refused with a buffer may send it now.
    pub(super) fn tell_of_room(&mut self, key: u32) {
        let Some(served) = self.get_mut(key) else { return };
        if served.awaits_room && !served.blocks_sending() {
            served.awaits_room = false;
            self.tell_users(key);
        }
    }

    /// As [`Ports::show`], to who has it newly.
    pub(super) fn show_anew(&mut self, core: &mut Perimeter, key: u32) {
        if let Some(served) = self.get_mut(key) {
            served.shown = 0;
        }
        self.show(core, key, Ready::empty());
    }

    /// A connection that one program has gets rings in its memory.
    fn give_rings(&mut self, core: &mut Perimeter, key: u32) {
        let Some(served) = self.served.get_mut(key as usize).and_then(Option::as_mut) else {
            return;
        };
        let &[(at, slot)] = &served.users[..] else { return };
        let blocked =
            served.line.is_some() || served.exported || served.shut || !served.unsent.is_empty();
        let What::Socket(socket) = &mut served.what else { return };
        if blocked || !socket.outlook(core).is_some_and(|seen| seen.contains(Ready::OUT)) {
            return;
        }
        let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) else { return };
        let place = client.slot(slot);
        // Taken back before: the program's counts say so for as long as it has the slot.
        if place.put().load(Ordering::Acquire) != 0 || place.taken().load(Ordering::Acquire) != 0 {
            return;
        }
        let Some(receive) = client.buffers.area.take_fair() else { return };
        let Some(send) = client.buffers.area.take_fair() else {
            return client.buffers.area.give_back(receive);
        };
        client.slot(slot).set_rings(receive, send);
        let table = self.shared.as_ref().and_then(|_| client.buffers.area.take_whole(TABLE));
        let lent = table.map(Lent::new);
        client
            .slot(slot)
            .pieces()
            .store(table.map_or(0, |table| table.at as u32), Ordering::Relaxed);
        let lender = Lender::new(client.memory.clone(), send, key, self.returned.clone());
        let (received, submitted, released, put) = (0, 0, 0, 0);
        served.line = Some(Line {
            client: at,
            slot,
            receive,
            received,
            lent,
            lender,
            submitted,
            released,
            put,
        });
        self.inward(core, key);
    }
}
