//! Octets of connections, in the rings that the program has: no call of the stack.

use super::Client;
use crate::layout::KICKS;
use crate::piece::{Next, Pieces, TABLE};
use crate::ring::Ring;
use crate::slot::{DIRECT, EXPORTED, REVOKED, Slot};
use crate::{Errno, Id, Ready};
use std::io::IoSlice;
use std::sync::PoisonError;
use std::sync::atomic::{Ordering, fence};

/// What came of an attempt at the rings.
pub(super) enum Tried<T> {
    Done(Result<T, Errno>),
    /// The program has no rings, or they do not tell: the stack is asked.
    Ask,
}

impl Client {
    /// Puts octets into the ring for sending.
    pub(super) fn put(&self, id: Id, pieces: &[IoSlice<'_>]) -> Tried<usize> {
        let Some((at, slot)) = self.slot(id) else { return Tried::Done(Err(Errno::EBADF)) };
        if self.is_known_gone() {
            return Tried::Done(Err(Errno::ENETDOWN));
        }
        let alone = &self.senders[at % self.senders.len()];
        let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        let state = slot.state().load(Ordering::Acquire);
        let may = DIRECT | Ready::OUT.0;
        if state & may != may || state & Ready::ERR.0 != 0 {
            return Tried::Ask;
        }
        let ring = self.sound(slot.send_ring());
        let put = slot.put().load(Ordering::Relaxed);
        let Some(ring) = ring.filter(|_| put & REVOKED == 0) else { return Tried::Ask };
        let Some(room) = room(slot, ring, put as u32) else {
            return Tried::Done(Err(self.nothing_came()));
        };
        let (mut count, mut left) = (put as u32, room);
        for piece in pieces {
            let some = piece.len().min(left as usize);
            ring.write(&self.memory, count, &piece[..some]);
            count = count.wrapping_add(some as u32);
            left -= some as u32;
        }
        // Unless the ring was taken back meanwhile: nobody has seen what was put in.
        let now =
            slot.put().compare_exchange(put, count.into(), Ordering::AcqRel, Ordering::Relaxed);
        if now.is_err() {
            return Tried::Ask;
        }
        if left != room {
            self.kick(at);
        }
        Tried::Done(Ok((room - left) as usize))
    }

    /// Takes octets out of the ring for receiving, or copies them only.
    pub(super) fn take(&self, id: Id, out: &mut [u8], keep: bool) -> Tried<usize> {
        let Some((at, slot)) = self.slot(id) else { return Tried::Done(Err(Errno::EBADF)) };
        loop {
            // In this order: what comes before the end is there when the end is.
            let state = slot.state().load(Ordering::Acquire);
            let taken = slot.taken().load(Ordering::Acquire);
            let ring = self.sound(slot.receive_ring());
            let direct = state & DIRECT != 0 && taken & REVOKED == 0;
            let Some(ring) = ring.filter(|_| direct) else { return Tried::Ask };
            let received = slot.received().load(Ordering::Acquire);
            let filled = ring.filled(received, taken as u32).unwrap_or(0);
            if filled == 0 {
                return if state & Ready::ERR.0 != 0 {
                    Tried::Ask
                } else if state & Ready::IN.0 != 0 {
                    Tried::Done(Ok(0))
                } else if self.is_known_gone() {
                    // What came before that was read.
                    Tried::Done(Err(Errno::ENETDOWN))
                } else {
                    Tried::Done(Err(self.nothing_came()))
                };
            }
            let some = out.len().min(filled as usize);
            let seen = self.copy_out((slot, ring), taken as u32, &mut out[..some]);
            if keep || some == 0 {
                return Tried::Done(Ok(some));
            }
            let next = u64::from((taken as u32).wrapping_add(some as u32));
            // Another thread may have taken them, or the stack all.
            let now =
                slot.taken().compare_exchange(taken, next, Ordering::SeqCst, Ordering::Relaxed);
            if now.is_ok() {
                let left = filled as usize - some;
                slot.pieces_seen().store(seen, Ordering::Relaxed);
                if left <= ring.size as usize / 2 && slot.stalled().load(Ordering::SeqCst) != 0 {
                    self.kick(at);
                } else if left == 0 && seen != 0 {
                    // What lay in the arena is free when the stack next looks; no need to wake it.
                    self.bits(KICKS).set(at);
                }
                return Tried::Done(Ok(some));
            }
        }
    }

    /// Copies octets out of the ring, and of the arena where they are there; pieces that were read
    /// to their end.
    fn copy_out(&self, (slot, ring): (Slot<'_>, Ring), from: u32, out: &mut [u8]) -> u32 {
        let put = slot.pieces_put().load(Ordering::Acquire);
        let mut seen = slot.pieces_seen().load(Ordering::Relaxed);
        let table = slot.pieces().load(Ordering::Relaxed) as usize;
        let end = table.checked_add(TABLE).filter(|end| *end <= self.memory.len());
        let Some((arena, _)) = self.arena.as_ref().zip(end).filter(|_| table != 0) else {
            ring.read(&self.memory, from, out);
            return seen;
        };
        let (table, mut count, mut rest) = (Pieces::new(&self.memory, table), from, out);
        while !rest.is_empty() {
            let next = table.next(count, &mut seen, put);
            let (Next::Ring(len) | Next::Arena(_, len)) = next;
            let (now, later) = rest.split_at_mut(len.min(rest.len()));
            match next {
                Next::Ring(_) => ring.read(&self.memory, count, now),
                Next::Arena(at, _) => arena.read(at, now),
            }
            count = count.wrapping_add(now.len() as u32);
            rest = later;
        }
        seen
    }

    /// What is possible at a socket.
    pub(super) fn seen(&self, id: Id) -> Ready {
        let Some((_, slot)) = self.slot(id) else { return Ready(0x20) };
        if self.is_known_gone() {
            return OVER;
        }
        let state = slot.state().load(Ordering::SeqCst);
        if state & DIRECT == 0 {
            return Ready(state & !EXPORTED);
        }
        let mut seen = Ready(state & !DIRECT & !Ready::OUT.0);
        let taken = slot.taken().load(Ordering::Acquire) as u32;
        let filled = slot.received().load(Ordering::SeqCst).wrapping_sub(taken);
        seen = seen | (Ready::IN | Ready::RDNORM).when(filled > 0 || seen.contains(Ready::IN));
        // Who writes where nothing may be written is told at once.
        let room = state & Ready::OUT.0 == 0 || self.has_room(slot);
        seen | (Ready::OUT | Ready::WRNORM).when(room)
    }

    /// Octets in the ring for receiving; none when there is no ring.
    pub(super) fn filled(&self, id: Id) -> Option<usize> {
        let (_, slot) = self.slot(id)?;
        let direct = slot.state().load(Ordering::Acquire) & DIRECT != 0;
        let taken = slot.taken().load(Ordering::Acquire);
        let filled = slot.received().load(Ordering::Acquire).wrapping_sub(taken as u32);
        (direct && taken & REVOKED == 0).then_some(filled as usize)
    }

    /// Half of the ring is free; who finds less is told of it.
    fn has_room(&self, slot: Slot<'_>) -> bool {
        let Some(ring) = self.sound(slot.send_ring()) else { return false };
        let put = slot.put().load(Ordering::Relaxed) as u32;
        let enough =
            |released: u32| ring.filled(put, released).is_some_and(|filled| ring.is_roomy(filled));
        if enough(slot.released().load(Ordering::SeqCst)) {
            return true;
        }
        slot.wants_room().store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        enough(slot.released().load(Ordering::SeqCst))
    }

    /// A ring that lies in the memory.
    fn sound(&self, ring: Ring) -> Option<Ring> {
        let size = ring.size as usize;
        let end = ring.at.checked_add(size)?;
        (size.is_power_of_two() && ring.at >= self.layout.pool_at() && end <= self.memory.len())
            .then_some(ring)
    }
}

/// What is possible when the stack is gone: whoever waits for anything is told.
const OVER: Ready = Ready(
    Ready::IN.0
        | Ready::RDNORM.0
        | Ready::OUT.0
        | Ready::WRNORM.0
        | Ready::RDHUP.0
        | Ready::ERR.0
        | Ready::HUP.0,
);

/// Octets that there is room for; none: the stack tells of room.
fn room(slot: Slot<'_>, ring: Ring, put: u32) -> Option<u32> {
    let room = || {
        let filled = ring.filled(put, slot.released().load(Ordering::SeqCst))?;
        Some(ring.size - filled).filter(|room| *room > 0)
    };
    room().or_else(|| {
        slot.wants_room().store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        room()
    })
}
