//! What comes from the peer goes into the program's ring: the one copy of an isolated port. Where
//! programs share what is received, long pieces stay where they are.

use super::served::What;
use super::{Fault, Ports};
use millstream_core::Perimeter;
use millstream_msg::Msg;
use millstream_port::ring::Ring;
use millstream_port::slot::Slot;
use millstream_port::{Memory, Ready};
use std::sync::atomic::{Ordering, fence};

impl Ports {
    /// Moves octets from the head into the ring, as far as there is room. Those that find none wait
    /// at the head, where they hold the peer back.
    pub(super) fn inward(&mut self, core: &mut Perimeter, key: u32) {
        if self.get(key).is_some_and(|served| served.exported) {
            return self.push(core, key);
        }
        if let Err(fault) = self.fill_ring(core, key) {
            self.accuse_owner(key, fault);
        }
    }

    fn fill_ring(&mut self, core: &mut Perimeter, key: u32) -> Result<(), Fault> {
        let Some(served) = self.served.get_mut(key as usize).and_then(Option::as_mut) else {
            return Ok(());
        };
        let What::Socket(socket) = &mut served.what else { return Ok(()) };
        let Some(line) = &mut served.line else { return Ok(()) };
        let Some(client) = self.clients.get_mut(line.client).and_then(Option::as_mut) else {
            return Ok(());
        };
        let place = Slot::new(&client.memory, client.layout.slot(line.slot));
        let (ring, before) = (line.receive, line.received);
        loop {
            let taken = place.taken().load(Ordering::Acquire) as u32;
            let filled = ring.filled(line.received, taken).ok_or(Fault::Taken)?;
            let lends = self.shared.as_mut().zip(line.lent.as_mut());
            let mut lends = lends.map(|(shared, lent)| (lent, (shared, &mut client.lent)));
            if let Some((lent, on)) = &mut lends {
                lent.collect(core, on, taken);
            }
            let room = (ring.size - filled) as usize;
            if room > 0 {
                if !served.unread.is_empty() {
                    let some = room.min(served.unread.len());
                    let (first, _) = served.unread.as_slices();
                    let some = some.min(first.len());
                    ring.write(&client.memory, line.received, &first[..some]);
                    served.unread.drain(..some);
                    line.received = line.received.wrapping_add(some as u32);
                    continue;
                }
                let msg = match served.held.take() {
                    Some(msg) => msg,
                    None => match socket.take_data(core) {
                        Some(msg) => msg,
                        None => break,
                    },
                };
                let (given, left) = match lends {
                    Some((lent, on)) => lent.give(
                        core,
                        on,
                        (&client.memory, place),
                        (ring, line.received),
                        msg,
                        room,
                    ),
                    None => copy_in(core, &client.memory, (ring, line.received), msg, room),
                };
                line.received = line.received.wrapping_add(given as u32);
                served.held = left;
                continue;
            }
            // No room: who makes some tells of it, unless it has since.
            if place.stalled().swap(1, Ordering::SeqCst) != 0 {
                break;
            }
            fence(Ordering::SeqCst);
        }
        if line.received != before {
            place.received().store(line.received, Ordering::Release);
            client.tell(line.slot, Ready::IN | Ready::RDNORM);
        }
        Ok(())
    }
}

/// Copies as much of a message as there is room for; how much, and what is left.
pub(super) fn copy_in(
    core: &mut Perimeter,
    memory: &Memory,
    (ring, mut count): (Ring, u32),
    mut msg: Msg,
    room: usize,
) -> (usize, Option<Msg>) {
    let mut copied = 0;
    for block in msg.blocks() {
        let some = block.len().min(room - copied);
        match block.as_slice() {
            Some(bytes) => ring.write(memory, count, &bytes[..some]),
            // Another program's, on the same stack.
            None => copy_foreign(memory, (ring, count), &msg, copied, some),
        }
        count = count.wrapping_add(some as u32);
        copied += some;
        if copied == room {
            break;
        }
    }
    core.pool().note_copied(copied);
    if copied < msg.len() {
        msg.trim_front(copied);
        return (copied, Some(msg));
    }
    core.pool().free(msg);
    (copied, None)
}

fn copy_foreign(memory: &Memory, (ring, count): (Ring, u32), msg: &Msg, from: usize, len: usize) {
    let mut piece = [0; 1024];
    for at in (0..len).step_by(piece.len()) {
        let piece = &mut piece[..1024.min(len - at)];
        msg.copy_out(from + at, piece);
        ring.write(memory, count.wrapping_add(at as u32), piece);
    }
}
