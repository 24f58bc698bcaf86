//! Fragments to datagrams, joined by linking their blocks.
//!
//! **Overlap.** A fragment that overlaps what is there, or that contradicts a known end, gives up
//! the whole datagram, and what still comes of it is dropped until its time is over (the rule of
//! RFC 5722 for IPv6; no honest sender overlaps). An exact repetition (same place, same length)
//! is the network's doing: the first one counts, the second is dropped.
//!
//! **Limits.** Memory is charged by truesize, as a whole and per source; datagrams, and fragments
//! of a datagram, have a limit each. At the limit of the whole, the oldest datagram goes.
//!
//! **Cost.** A fragment costs a hash look-up, a binary search and a move of at most 2 KiB.

use super::view::MAX_HEADER_LEN;
use super::{IpDrop, View, protocol};
use crate::actions::Actions;
use crate::hash::Keyed;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use hashbrown::HashMap;
use millstream_msg::{Msg, MsgFlags, MsgList, Pool, checksum};

/// Datagrams that are not whole yet.
#[derive(Debug)]
pub struct Reassembly {
    slots: Vec<Datagram>,
    index: HashMap<Key, u16, Keyed>,
    sources: HashMap<Ipv4Addr, Share, Keyed>,
    /// Free slots, linked by `next`.
    free: u16,
    oldest: u16,
    newest: u16,
    truesize: usize,
}

/// What a fragment belongs to (RFC 791 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    id: u16,
    protocol: u8,
}

/// What one source has.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    datagrams: usize,
    truesize: usize,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    /// By place. The first fragment keeps its header. The memory of the vector is kept.
    pieces: Vec<Piece>,
    /// Bytes of payload, when the last fragment is there.
    total: Option<usize>,
    have: usize,
    truesize: usize,
    deadline: u64,
    /// Given up; kept so that the rest of it is recognised.
    poisoned: bool,
    /// ECN codepoints seen, a bit each.
    ecn: u8,
    /// Every fragment had a verified checksum.
    csum_ok: bool,
    prev: u16,
    next: u16,
}

#[derive(Debug)]
struct Piece {
    at: usize,
    len: usize,
    msg: Msg,
}

impl Reassembly {
    /// Nothing waits. `hash` has the stack's random key.
    pub fn new(hash: Keyed) -> Self {
        Self {
            slots: Vec::with_capacity(DATAGRAMS_MAX),
            index: HashMap::with_capacity_and_hasher(DATAGRAMS_MAX * 2, hash),
            sources: HashMap::with_capacity_and_hasher(DATAGRAMS_MAX * 2, hash),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            truesize: 0,
        }
    }

    /// Bytes (truesize) that wait.
    pub fn truesize(&self) -> usize {
        self.truesize
    }

    /// Datagrams that wait, those given up included.
    pub fn datagrams(&self) -> usize {
        self.index.len()
    }

    /// Takes a fragment (`view.is_fragment()`); returns the datagram that it completes, as a
    /// whole packet with a header that says so.
    pub fn input(
        &mut self,
        msg: Msg,
        view: &View,
        now: u64,
        pool: &mut Pool,
        out: &mut Actions<IpDrop>,
    ) -> Option<Msg> {
        if let Err(reason) = sane(view) {
            out.discard(msg, reason);
            return None;
        }
        // A small fragment must not hold a large cell: truesize is what is charged.
        let mut msg = msg.compacted(pool);
        let id = match self.find(view, now, out) {
            Ok(id) => id,
            Err(reason) => {
                out.discard(msg, reason);
                return None;
            }
        };
        let (at, len) = (usize::from(view.fragment_offset), view.payload_len());
        let place = match self.slots[usize::from(id)].place(at, len, view.more_fragments) {
            Ok(place) => place,
            Err(reason @ (IpDrop::FragDuplicate | IpDrop::FragPoisoned)) => {
                out.discard(msg, reason);
                return None;
            }
            Err(reason) => {
                out.discard(msg, reason);
                self.poison(id, reason, out);
                return None;
            }
        };
        if at > 0 {
            msg.trim_front(view.header());
        }
        if let Err(reason) = self.charge(id, msg.truesize(), out) {
            out.discard(msg, reason);
            return None;
        }
        let datagram = &mut self.slots[usize::from(id)];
        datagram.ecn |= 1 << (view.tos & 3);
        datagram.csum_ok &= msg.flags().contains(MsgFlags::CSUM_OK);
        datagram.have += len;
        if !view.more_fragments {
            datagram.total = Some(at + len);
        }
        datagram.pieces.insert(place, Piece { at, len, msg });
        if datagram.total != Some(datagram.have) {
            return None;
        }
        self.complete(id, pool, out)
    }

    /// When the oldest datagram is given up.
    pub fn next_deadline(&self) -> Option<u64> {
        self.slots.get(usize::from(self.oldest)).map(|datagram| datagram.deadline)
    }

    /// Gives up what is too old. First fragments come out in `expired`, to be quoted in ICMP
    /// "reassembly time exceeded" and then dropped with `FragTimeout` (RFC 1122 section 3.3.2).
    pub fn timer(&mut self, now: u64, expired: &mut MsgList, out: &mut Actions<IpDrop>) {
        while self.next_deadline().is_some_and(|at| at <= now) {
            let id = self.oldest;
            for piece in self.slots[usize::from(id)].pieces.drain(..) {
                if piece.at == 0 {
                    expired.push(piece.msg);
                } else {
                    out.discard(piece.msg, IpDrop::FragTimeout);
                }
            }
            self.remove(id, IpDrop::FragTimeout, out);
        }
    }

    /// Gives up everything, because the module closes.
    pub fn clear(&mut self, out: &mut Actions<IpDrop>) {
        while self.oldest != NONE {
            self.remove(self.oldest, IpDrop::FragTimeout, out);
        }
    }

    /// The datagram of a fragment, a new one if need be.
    fn find(&mut self, view: &View, now: u64, out: &mut Actions<IpDrop>) -> Result<u16, IpDrop> {
        let (Some(src), Some(dst)) = (view.src_v4(), view.dst_v4()) else {
            return Err(IpDrop::Version);
        };
        let key = Key { src, dst, id: view.id, protocol: view.protocol };
        if let Some(id) = self.index.get(&key) {
            return Ok(*id);
        }
        if self.sources.get(&src).is_some_and(|share| share.datagrams >= SOURCE_DATAGRAMS_MAX) {
            return Err(IpDrop::FragSourceLimit);
        }
        if self.index.len() >= DATAGRAMS_MAX {
            self.remove(self.oldest, IpDrop::FragMemory, out);
        }
        let id = self.free_slot(key);
        let newest = self.newest;
        let datagram = &mut self.slots[usize::from(id)];
        datagram.deadline = now + TIMEOUT_NS;
        datagram.prev = newest;
        match newest {
            NONE => self.oldest = id,
            _ => self.slots[usize::from(newest)].next = id,
        }
        self.newest = id;
        self.index.insert(key, id);
        self.sources.entry(src).or_default().datagrams += 1;
        Ok(id)
    }

    fn free_slot(&mut self, key: Key) -> u16 {
        let Some(slot) = self.slots.get_mut(usize::from(self.free)) else {
            self.slots.push(Datagram::new(key, Vec::new()));
            return self.slots.len() as u16 - 1;
        };
        let id = self.free;
        self.free = slot.next;
        *slot = Datagram::new(key, core::mem::take(&mut slot.pieces));
        id
    }

    /// Accounts for a fragment; the oldest datagrams make room for it.
    fn charge(&mut self, id: u16, size: usize, out: &mut Actions<IpDrop>) -> Result<(), IpDrop> {
        while self.truesize + size > TRUESIZE_MAX && self.oldest != id {
            self.remove(self.oldest, IpDrop::FragMemory, out);
        }
        if self.truesize + size > TRUESIZE_MAX {
            return Err(IpDrop::FragMemory);
        }
        let datagram = &mut self.slots[usize::from(id)];
        let share = self.sources.entry(datagram.key.src).or_default();
        if share.truesize + size > SOURCE_TRUESIZE_MAX {
            return Err(IpDrop::FragSourceLimit);
        }
        share.truesize += size;
        datagram.truesize += size;
        self.truesize += size;
        Ok(())
    }

    /// Gives a datagram's memory back.
    fn discharge(&mut self, id: u16) {
        let datagram = &mut self.slots[usize::from(id)];
        let size = core::mem::take(&mut datagram.truesize);
        self.truesize -= size;
        if let Some(share) = self.sources.get_mut(&datagram.key.src) {
            share.truesize -= size;
        }
    }

    /// Drops what is there of a datagram and remembers that it was given up.
    fn poison(&mut self, id: u16, reason: IpDrop, out: &mut Actions<IpDrop>) {
        let datagram = &mut self.slots[usize::from(id)];
        datagram.poisoned = true;
        for piece in datagram.pieces.drain(..) {
            out.discard(piece.msg, reason);
        }
        self.discharge(id);
    }

    fn remove(&mut self, id: u16, reason: IpDrop, out: &mut Actions<IpDrop>) {
        self.poison(id, reason, out);
        let datagram = &mut self.slots[usize::from(id)];
        let (key, prev, next) = (datagram.key, datagram.prev, datagram.next);
        datagram.next = self.free;
        self.free = id;
        match prev {
            NONE => self.oldest = next,
            _ => self.slots[usize::from(prev)].next = next,
        }
        match next {
            NONE => self.newest = prev,
            _ => self.slots[usize::from(next)].prev = prev,
        }
        self.index.remove(&key);
        if let Some(share) = self.sources.get_mut(&key.src) {
            share.datagrams -= 1;
            if share.datagrams == 0 {
                self.sources.remove(&key.src);
            }
        }
    }

    /// All pieces are there and none overlaps: joins them.
    fn complete(&mut self, id: u16, pool: &mut Pool, out: &mut Actions<IpDrop>) -> Option<Msg> {
        self.discharge(id);
        let datagram = &mut self.slots[usize::from(id)];
        const CONGESTED: u8 = 1 << 3;
        const NOT_CAPABLE: u8 = 1;
        let congested = datagram.ecn & CONGESTED != 0;
        if congested && datagram.ecn & NOT_CAPABLE != 0 {
            self.remove(id, IpDrop::FragEcn, out);
            return None;
        }
        let (total, csum_ok) = (datagram.have, datagram.csum_ok);
        // From the end, so that each link walks the blocks of one fragment only.
        let mut whole: Option<Msg> = None;
        while let Some(mut piece) = datagram.pieces.pop() {
            if let Some(rest) = whole.take() {
                piece.msg.link(rest);
            }
            whole = Some(piece.msg);
        }
        self.remove(id, IpDrop::FragMemory, out);
        let mut whole = whole?;
        match finish_header(&mut whole, total, congested, pool) {
            Ok(()) => {
                if !csum_ok {
                    whole.set_flags(whole.flags().without(MsgFlags::CSUM_OK));
                }
                Some(whole)
            }
            Err(reason) => {
                out.discard(whole, reason);
                None
            }
        }
    }
}

impl Datagram {
    fn new(key: Key, pieces: Vec<Piece>) -> Self {
        Self {
            key,
            pieces,
            total: None,
            have: 0,
            truesize: 0,
            deadline: 0,
            poisoned: false,
            ecn: 0,
            csum_ok: true,
            prev: NONE,
            next: NONE,
        }
    }

    /// Where a fragment belongs among the pieces.
    fn place(&self, at: usize, len: usize, more: bool) -> Result<usize, IpDrop> {
        let end = at + len;
        if self.poisoned {
            return Err(IpDrop::FragPoisoned);
        }
        let place = self.pieces.partition_point(|piece| piece.at < at);
        let next = self.pieces.get(place);
        if next.is_some_and(|next| (next.at, next.len) == (at, len)) {
            let same_end = more == (self.total != Some(end));
            return Err(if same_end { IpDrop::FragDuplicate } else { IpDrop::FragEnd });
        }
        let last_end = self.pieces.last().map_or(0, |last| last.at + last.len);
        let contradicts = match self.total {
            Some(total) if more => end >= total,
            Some(total) => end != total,
            None => !more && last_end > end,
        };
        if contradicts {
            return Err(IpDrop::FragEnd);
        }
        let before = place.checked_sub(1).and_then(|place| self.pieces.get(place));
        if before.is_some_and(|before| before.at + before.len > at)
            || next.is_some_and(|next| next.at < end)
        {
            return Err(IpDrop::FragOverlap);
        }
        if self.pieces.len() >= FRAGMENTS_MAX {
            return Err(IpDrop::FragTooMany);
        }
        Ok(place)
    }
}

/// Whether a fragment makes sense on its own.
fn sane(view: &View) -> Result<(), IpDrop> {
    let (at, len) = (usize::from(view.fragment_offset), view.payload_len());
    if len == 0 {
        return Err(IpDrop::FragEmpty);
    }
    if view.more_fragments && !len.is_multiple_of(8) {
        return Err(IpDrop::FragLength);
    }
    if view.header() + at + len > usize::from(u16::MAX) {
        return Err(IpDrop::FragPastEnd);
    }
    // RFC 1858: the ports and flags that a filter sees are in the first fragment, and no other
    // fragment begins inside them.
    let transport_header = if view.protocol == protocol::TCP { 20 } else { 8 };
    let tiny_first = at == 0 && view.more_fragments && len < transport_header;
    if tiny_first || (at > 0 && at < transport_header) {
        return Err(IpDrop::FragTiny);
    }
    Ok(())
}

/// Makes the header of the first fragment that of the whole.
fn finish_header(
    whole: &mut Msg,
    payload: usize,
    congested: bool,
    pool: &mut Pool,
) -> Result<(), IpDrop> {
    let view = View::read(whole.first())?;
    let total = u16::try_from(view.header() + payload).map_err(|_| IpDrop::FragPastEnd)?;
    debug_assert!(view.header() <= MAX_HEADER_LEN);
    let header = whole.make_writable(pool, view.header()).map_err(|_| IpDrop::NoMem)?;
    let [_, tos, t0, t1, _, _, f0, f1, _, _, c0, c1, ..] = header else {
        return Err(IpDrop::Short);
    };
    [*t0, *t1] = total.to_be_bytes();
    [*f0, *f1, *c0, *c1] = [0; 4];
    if congested {
        *tos |= 3;
    }
    let sum = !checksum::sum_portable(header);
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&sum.to_ne_bytes());
    }
    Ok(())
}

/// Datagrams that wait at once.
pub const DATAGRAMS_MAX: usize = 256;
/// Datagrams of one source: half a window of 8 KiB datagrams from one NFS client.
pub const SOURCE_DATAGRAMS_MAX: usize = 64;
/// Fragments of one datagram: 65,535 bytes over links of 576 bytes take 119.
pub const FRAGMENTS_MAX: usize = 128;
/// Bytes (truesize) that wait: sixteen of the largest datagrams in frame-sized cells, doubled.
pub const TRUESIZE_MAX: usize = 4 * 1024 * 1024;
/// Bytes (truesize) of one source: a quarter, so that one source cannot push out all others.
pub const SOURCE_TRUESIZE_MAX: usize = TRUESIZE_MAX / 4;
/// Nanoseconds that a datagram may take: 30 s, as BSD and Linux have it (RFC 1122 section 3.3.2
/// allows 60 to 120, which only lengthens a flood).
pub const TIMEOUT_NS: u64 = 30_000_000_000;

const NONE: u16 = u16::MAX;
const _: () = assert!(DATAGRAMS_MAX < NONE as usize);

#[cfg(test)]
mod tests;
