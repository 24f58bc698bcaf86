//! How sockets and programs go: what was accepted from a program still goes out, for a time; then
//! all that it held is back.

use super::client::Client;
use super::served::{Retired, What};
use super::{Fault, Ports};
use crate::plan::service::request;
use crate::poller::Poller;
use millstream_core::Perimeter;
use millstream_core::tpi::Primitive;
use millstream_port::Ready;
use millstream_port::slot::REVOKED;
use std::sync::atomic::Ordering;

impl Ports {
    /// A program has a socket no longer.
    pub(super) fn leave(&mut self, core: &mut Perimeter, at: usize, slot: usize, key: u32) {
        let line = self.get(key).and_then(|served| served.line.as_ref());
        if line.is_some_and(|line| (line.client, line.slot) == (at, slot)) {
            self.retire(core, key);
        }
        self.drop_slot(at, slot, key);
        let Some(served) = self.get_mut(key) else { return };
        served.users.retain(|user| *user != (at, slot));
        served.fresh.retain(|user| *user != (at, slot));
        if served.is_had() {
            if served.users.is_empty() {
                self.attend(core, key);
            }
            self.show(core, key, Ready::empty());
        } else {
            self.finish(core, key);
        }
    }

    /// The slot stands for it no longer, and the port is not in the program's share.
    pub(super) fn drop_slot(&mut self, at: usize, slot: usize, key: u32) {
        let line = self.get(key).and_then(|served| served.line.as_ref());
        debug_assert!(line.is_none_or(|line| (line.client, line.slot) != (at, slot)));
        let had_port = self
            .get_mut(key)
            .is_some_and(|served| served.port_of.take_if(|of| *of == at).is_some());
        let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) else { return };
        client.ports -= usize::from(had_port);
        client.give_slot_back(slot);
    }

    /// Takes the rings of a socket back: what is in them is the stack's.
    pub(super) fn retire(&mut self, core: &mut Perimeter, key: u32) {
        self.outward(core, key);
        let Some(served) = self.served.get_mut(key as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(line) = served.line.take() else { return };
        let Some(client) = self.clients.get_mut(line.client).and_then(Option::as_mut) else {
            return;
        };
        let place = client.slot(line.slot);
        // From here on the program notices.
        let taken = place.taken().fetch_or(REVOKED, Ordering::AcqRel) as u32;
        let put = place.put().fetch_or(REVOKED, Ordering::AcqRel) as u32;
        // Counts that lie are nobody's octets.
        let unread = line.receive.filled(line.received, taken).unwrap_or(0);
        let mut bytes = vec![0; unread as usize];
        line.receive.read(&client.memory, taken, &mut bytes);
        if let Some((lent, shared)) = line.lent.zip(self.shared.as_mut()) {
            client.buffers.area.give_back(lent.end(
                core,
                (shared, &mut client.lent),
                taken,
                &mut bytes,
            ));
        }
        bytes.extend(served.unread.drain(..));
        served.unread = bytes.into();
        let send = line.lender.ring();
        let sound = send.filled(put, line.released).is_some();
        let unsent = send.filled(put, line.submitted).filter(|_| sound).unwrap_or(0);
        let mut bytes = vec![0; unsent as usize];
        send.read(&client.memory, line.submitted, &mut bytes);
        served.unsent.extend(bytes);
        client.buffers.area.give_back(line.receive);
        served.retired.push((line.client, client.number, line.lender));
        self.collect(key);
    }

    /// Rings whose octets are all acknowledged are the program's memory again.
    pub(super) fn collect(&mut self, key: u32) {
        let Some(served) = self.served.get_mut(key as usize).and_then(Option::as_mut) else {
            return;
        };
        let clients = &mut self.clients;
        served.retired.retain_mut(|retired| !is_back(clients, retired));
    }

    /// As [`Ports::collect`], of sockets that are closed.
    pub(super) fn collect_orphans(&mut self) {
        let clients = &mut self.clients;
        self.orphans.retain_mut(|retired| !is_back(clients, retired));
    }

    /// Nobody has the socket any more.
    pub(super) fn finish(&mut self, core: &mut Perimeter, key: u32) {
        self.retire(core, key);
        let until = core.now() + self.quota.leaving_ms * 1_000_000;
        let Some(served) = self.get_mut(key) else { return };
        if served.passed > 0 {
            // Whoever it is sent to has it next.
            served.deadline = Some(until);
            return self.leaving.push(key);
        }
        let connected = match &mut served.what {
            What::Socket(socket) => socket.outlook(core),
            What::Stream(_) => None,
        };
        let may_send = connected.is_some_and(|seen| seen.contains(Ready::OUT));
        if may_send && served.waiting() > 0 {
            // What was not read makes it a reset (RFC 1122 section 4.2.2.13).
            return self.abort(core, key);
        }
        let under_way = !served.unsent.is_empty() || !served.retired.is_empty();
        if connected.is_none() || served.abrupt || !under_way {
            return self.close(core, key);
        }
        served.shut = may_send;
        served.deadline = Some(until);
        self.leaving.push(key);
        self.outward(core, key);
    }

    /// Closes those that are done, and resets those whose time is over; whether there were any.
    pub(super) fn step_leaving(&mut self, core: &mut Perimeter) -> bool {
        if self.leaving.is_empty() {
            return false;
        }
        let (before, now) = (self.leaving.len(), core.now());
        for key in std::mem::take(&mut self.leaving) {
            self.collect(key);
            let Some(served) = self.get(key) else { continue };
            let sent = served.unsent.is_empty() && served.retired.is_empty();
            let done = sent && served.passed == 0;
            match served.deadline {
                // Somebody has it again.
                None => {}
                Some(_) if done => self.close(core, key),
                Some(at) if at <= now => self.abort(core, key),
                Some(_) => self.leaving.push(key),
            }
        }
        self.leaving.len() != before
    }

    /// Resets a connection.
    fn abort(&mut self, core: &mut Perimeter, key: u32) {
        let Some(served) = self.get(key) else { return };
        let stream = served.stream();
        if let What::Socket(_) = served.what
            && let Ok(ack) = request(core, stream, &Primitive::discon_req(-1))
        {
            core.pool().free(ack);
        }
        self.close(core, key);
    }

    fn close(&mut self, core: &mut Perimeter, key: u32) {
        let Some(mut served) = self.served.get_mut(key as usize).and_then(Option::take) else {
            return;
        };
        if let Some(msg) = served.held.take() {
            core.pool().free(msg);
        }
        self.orphans.append(&mut served.retired);
        self.by_stream.remove(&served.stream());
        self.free.push(key);
        // A pending close goes on by itself: nobody waits for it.
        let _closed = core.close(served.stream());
    }

    /// A program is gone, or has to go: its sockets are nobody's, unless others have them.
    pub(super) fn send_away(&mut self, core: &mut Perimeter, poller: &Poller, at: usize) {
        let Some(client) = self.clients.get(at).and_then(Option::as_ref) else { return };
        for (slot, key) in client.all() {
            self.leave(core, at, slot, key);
        }
        if let Some(client) = self.clients.get_mut(at).and_then(Option::take) {
            poller.remove(client.member);
        }
    }

    /// Sends those away that have lied.
    pub(super) fn judge(&mut self, core: &mut Perimeter, poller: &Poller) {
        for (at, fault) in std::mem::take(&mut self.faulty) {
            if self.client(at).is_some() {
                self.faults.count(fault);
                self.send_away(core, poller, at);
            }
        }
    }

    /// The program that has the rings of a socket has lied.
    pub(super) fn accuse_owner(&mut self, key: u32, fault: Fault) {
        if let Some(line) = self.get(key).and_then(|served| served.line.as_ref()) {
            self.faulty.push((line.client, fault));
        }
    }
}

/// Are all octets of a ring acknowledged? Then it is the program's memory again.
fn is_back(clients: &mut [Option<Client>], (at, number, lender): &mut Retired) -> bool {
    lender.collect();
    if lender.lent() > 0 {
        return false;
    }
    let client = clients.get_mut(*at).and_then(Option::as_mut);
    if let Some(client) = client.filter(|client| client.number == *number) {
        client.buffers.area.give_back(lender.ring());
    }
    true
}
