//! One program: its memory, its slots, its bells.

use super::{ProgramStat, Quota};
use crate::buffers::Buffers;
use crate::poller::MemberId;
use millstream_port::bits::{Bits, fall_asleep};
use millstream_port::lane::Lane;
use millstream_port::layout::{ASLEEP, CHANGED, KICKS, Layout, SLEEPERS};
use millstream_port::slot::Slot;
use millstream_port::{Memory, Ready};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

#[derive(Debug)]
pub(super) struct Client {
    pub(super) memory: Arc<Memory>,
    pub(super) layout: Layout,
    pub(super) buffers: Buffers,
    /// By slot: which generation it is, and what it stands for.
    slots: Vec<(u16, Option<u32>)>,
    free: Vec<usize>,
    /// Closed when the program is gone.
    pub(super) connection: OwnedFd,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Of all that were ever let in.
    pub(super) number: u64,
    /// Rung by the program, in the wait sets.
    pub(super) member: MemberId,
    /// Rung by the stack.
    bell: OwnedFd,
    /// It is to be rung.
    told: bool,
    /// Bytes that it holds in the arena, with what is around them.
    pub(super) lent: usize,
    /// Number of the last call.
    pub(super) last_call: u32,
    /// Room for slots that were kicked.
    pub(super) kicked: Vec<usize>,
    /// Ports of its own that its sockets are bound to.
    pub(super) ports: usize,
    /// Our ends of placeholders that stand for nothing yet, by cookie.
    pub(super) placeholders: HashMap<u64, OwnedFd>,
}

/// What a client is made of, beside its memory.
pub(super) struct Attached {
    pub(super) connection: OwnedFd,
    pub(super) member: MemberId,
    pub(super) bell: OwnedFd,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) number: u64,
}

/// The memory of one program.
pub(super) fn memory(quota: Quota) -> io::Result<(Arc<Memory>, Layout)> {
    let layout = Layout { slots: quota.sockets, pool: quota.memory };
    Ok((Arc::new(Memory::make("millstream-port", layout.len())?), layout))
}

impl Client {
    pub(super) fn new(memory: Arc<Memory>, layout: Layout, attached: Attached) -> Self {
        let Attached { connection, member, bell, pid, uid, gid, number } = attached;
        Self {
            buffers: Buffers::of(memory.clone(), layout.pool_at(), layout.pool),
            slots: vec![(0, None); layout.slots],
            free: (0..layout.slots).rev().collect(),
            memory,
            layout,
            connection,
            pid,
            uid,
            gid,
            number,
            member,
            bell,
            told: false,
            lent: 0,
            last_call: 0,
            kicked: Vec::new(),
            ports: 0,
            placeholders: HashMap::new(),
        }
    }

    /// A slot in the memory.
    pub(super) fn slot(&self, slot: usize) -> Slot<'_> {
        Slot::new(&self.memory, self.layout.slot(slot))
    }

    /// The place of its calls.
    pub(super) fn lane(&self) -> Lane<'_> {
        Lane::new(&self.memory, self.layout)
    }

    /// It may have one more.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Gives a slot to a socket; its number for the program.
    pub(super) fn take_slot(&mut self, key: u32) -> Option<usize> {
        let slot = self.free.pop()?;
        let (generation, of) = &mut self.slots[slot];
        *generation = generation.wrapping_add(1).max(1);
        *of = Some(key);
        let generation = u32::from(*generation);
        self.slot(slot).reset(generation);
        Some(slot)
    }

    /// The number that the program has for a slot.
    pub(super) fn id(&self, slot: usize) -> u32 {
        u32::from(self.slots[slot].0) << 16 | slot as u32
    }

    /// The slot and the socket of a number, if the program has it.
    pub(super) fn named(&self, id: u32) -> Option<(usize, u32)> {
        let slot = (id & 0xffff) as usize;
        let &(generation, key) = self.slots.get(slot)?;
        let key = key.filter(|_| u32::from(generation) == id >> 16)?;
        Some((slot, key))
    }

    /// What a slot stands for.
    pub(super) fn at(&self, slot: usize) -> Option<u32> {
        self.slots.get(slot)?.1
    }

    /// The program has closed what the slot stands for.
    pub(super) fn has_closed(&self, slot: usize) -> bool {
        self.slot(slot).closed().load(Ordering::Acquire) == u32::from(self.slots[slot].0)
    }

    /// A slot stands for nothing any more.
    pub(super) fn give_slot_back(&mut self, slot: usize) {
        self.slots[slot].1 = None;
        self.slot(slot).state().store(0, Ordering::Release);
        // No number of the program fits it any more.
        self.slot(slot).generation().store(0, Ordering::Release);
        self.free.push(slot);
    }

    /// What all its slots stand for.
    pub(super) fn all(&self) -> Vec<(usize, u32)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, (_, key))| Some((slot, (*key)?))).collect()
    }

    /// Slots that the program tells of.
    pub(super) fn take_kicks(&self, kicked: &mut Vec<usize>) {
        self.bits(KICKS).take(|slot| kicked.push(slot));
    }

    /// The program waits for an answer.
    pub(super) fn is_called(&self) -> bool {
        self.lane().is_called(self.last_call)
    }

    /// From now on it rings; false when there is something to do already.
    pub(super) fn stack_sleeps(&self) -> bool {
        let asleep = self.memory.u32_at(ASLEEP);
        if asleep.load(Ordering::Relaxed) == 0 {
            fall_asleep(asleep);
        }
        self.bits(KICKS).is_empty() && !self.is_called()
    }

    /// Something has changed towards these events at a slot.
    pub(super) fn tell(&mut self, slot: usize, events: Ready) {
        let place = self.slot(slot);
        let ends = Ready::ERR | Ready::HUP;
        if events.intersects(ends | Ready::IN | Ready::PRI | Ready::RDHUP | Ready::RDBAND) {
            place.inward().fetch_add(1, Ordering::SeqCst);
        }
        if events.intersects(ends | Ready::OUT | Ready::WRBAND) {
            place.outward().fetch_add(1, Ordering::SeqCst);
        }
        // Pairs with arming: it is seen here, or who arms sees what has changed.
        fence(Ordering::SeqCst);
        let armed = Ready(place.armed().load(Ordering::SeqCst));
        self.bits(CHANGED).set(slot);
        if !armed.is_empty() && armed.with(Ready::ERR | Ready::HUP).intersects(events) {
            self.told = true;
        }
    }

    /// Rings its bell once for all that it was told of, if a thread of it waits.
    pub(super) fn ring_if_told(&mut self) {
        if std::mem::take(&mut self.told)
            && self.memory.u32_at(SLEEPERS).load(Ordering::SeqCst) != 0
        {
            // Full (2^64 - 2 rings unheard) means that it is rung already.
            let _already_rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    pub(super) fn stat(&self) -> ProgramStat {
        let sockets = self.layout.slots - self.free.len();
        let (memory, lent) = (self.buffers.area.taken(), self.lent);
        ProgramStat { pid: self.pid, uid: self.uid, sockets, memory, lent }
    }

    fn bits(&self, at: usize) -> Bits<'_> {
        let words = self.memory.words_at(at + 8, self.layout.slots.div_ceil(64));
        Bits::over(self.memory.u64_at(at), words)
    }
}
