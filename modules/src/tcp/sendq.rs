//! `SendQueue`: what the application sent and the peer has not acknowledged, as blocks. Segments
//! are windows on them.
//!
//! **Cost.** A slice costs a binary search over the blocks and a bare cell for each block that it
//! touches; an acknowledgement costs the blocks that it frees.

use super::seq::{Range, Seq};
use alloc::collections::VecDeque;
use millstream_msg::{Kind, Msg, MsgFlags, MsgList, NoMem, Offload, Pool};

/// The send queue of a connection. Its first octet is SND.UNA; SYN and FIN are not in it.
#[derive(Debug, Default)]
pub struct SendQueue {
    /// By sequence number, without gaps; the first may begin before `una`.
    chunks: VecDeque<Chunk>,
    una: Seq,
    end: Seq,
    /// Bytes of memory of all chunks.
    truesize: u32,
}

/// One block, never empty.
#[derive(Debug)]
struct Chunk {
    msg: Msg,
    start: Seq,
    /// A message of the application ends with it.
    push: bool,
}

impl SendQueue {
    /// An empty queue: the next octet has number `first`.
    pub const fn new(first: Seq) -> Self {
        Self { chunks: VecDeque::new(), una: first, end: first, truesize: 0 }
    }

    /// Octets that wait for acknowledgement or to be sent.
    pub const fn len(&self) -> u32 {
        self.end.since(self.una)
    }

    /// True without octets.
    pub const fn is_empty(&self) -> bool {
        self.una.0 == self.end.0
    }

    /// Bytes of memory held. A block whose first octets are acknowledged counts whole.
    pub const fn truesize(&self) -> u32 {
        self.truesize
    }

    /// The number of the first octet.
    pub const fn una(&self) -> Seq {
        self.una
    }

    /// The number behind the last octet.
    pub const fn end(&self) -> Seq {
        self.end
    }

    /// Takes a message of M_DATA blocks; its end is a push boundary. Marks of the message go.
    ///
    /// # Shapes
    /// The blocks are kept as they are, without a copy. A message of at most 256 bytes is copied
    /// behind the last block when that is unique and has room, so that a program that writes
    /// single bytes does not hold a cell for each (counted as compaction).
    pub fn append(&mut self, msg: Msg, pool: &mut Pool) {
        if msg.len() <= SMALL && self.join(&msg, pool) {
            pool.spend(msg);
            return;
        }
        let mut next = Some(msg);
        while let Some(msg) = next.take() {
            let (block, rest) = msg.unlink();
            next = rest;
            self.push(block, pool);
        }
        if let Some(last) = self.chunks.back_mut() {
            last.push = true;
        }
    }

    /// Octets `from..from + len` as a message on the same memory, to put a header in front of.
    ///
    /// # Shapes
    /// A window for each block; plain marks.
    ///
    /// # Errors
    /// [`NoMem`]: no bare cells; nothing is left over.
    ///
    /// # Panics
    /// When the range is empty or not in the queue.
    pub fn slice(&self, pool: &mut Pool, from: Seq, len: u32) -> Result<Msg, NoMem> {
        let inside = from.since(self.una).checked_add(len).is_some_and(|end| end <= self.len());
        assert!(inside && len > 0, "slice outside of the send queue");
        // From behind: linking in front of a chain does not walk it.
        let mut end = from.add(len);
        let mut at = self.find(end.sub(1));
        let mut behind: Option<Msg> = None;
        loop {
            let chunk = &self.chunks[at];
            let start = from.latest(chunk.start);
            let window =
                chunk.msg.slice(pool, start.since(chunk.start) as usize, end.since(start) as usize);
            let Ok(mut window) = window else {
                if let Some(behind) = behind {
                    pool.spend(behind);
                }
                return Err(NoMem);
            };
            if let Some(behind) = behind {
                window.link(behind);
            }
            if start == from {
                return Ok(window);
            }
            behind = Some(window);
            end = chunk.start;
            at -= 1;
        }
    }

    /// Does a message of the application end in this range? Then its segment has PSH
    /// (RFC 9293 section 3.9.1).
    pub fn pushes(&self, range: Range) -> bool {
        if range.is_empty() || self.is_empty() {
            return false;
        }
        let mut at = self.find(range.end.sub(1));
        loop {
            let chunk = &self.chunks[at];
            let end = self.chunks.get(at + 1).map_or(self.end, |next| next.start);
            if chunk.push && !end.after(range.end) {
                return true;
            }
            if at == 0 || !chunk.start.after(range.start) {
                return false;
            }
            at -= 1;
        }
    }

    /// Everything before `upto` is acknowledged: frees it. Returns the octets; what is behind the
    /// end (a FIN) or before the first octet (a SYN) counts nothing.
    pub fn ack(&mut self, upto: Seq, pool: &mut Pool) -> u32 {
        let upto = upto.earliest(self.end);
        if !upto.after(self.una) {
            return 0;
        }
        let acked = upto.since(self.una);
        self.una = upto;
        while let Some(first) = self.chunks.front() {
            if first.start.add(first.msg.len() as u32).after(upto) {
                break;
            }
            if let Some(chunk) = self.chunks.pop_front() {
                self.truesize -= chunk.msg.truesize() as u32;
                pool.spend(chunk.msg);
            }
        }
        if self.chunks.is_empty() {
            self.chunks.shrink_to(CHUNKS_KEPT);
        }
        acked
    }

    /// Frees everything; the next octet has number `first`.
    pub fn reset(&mut self, first: Seq, pool: &mut Pool) {
        for chunk in self.chunks.drain(..) {
            pool.spend(chunk.msg);
        }
        self.chunks.shrink_to(CHUNKS_KEPT);
        (self.una, self.end, self.truesize) = (first, first, 0);
    }

    /// Everything from the first octet on, for another queue; this one is empty then.
    pub fn take(&mut self) -> MsgList {
        let mut list = MsgList::new();
        for mut chunk in self.chunks.drain(..) {
            let acked = if chunk.start.before(self.una) { self.una.since(chunk.start) } else { 0 };
            chunk.msg.trim_front(acked as usize);
            list.push(chunk.msg);
        }
        (self.una, self.truesize) = (self.end, 0);
        list
    }

    /// Copies a small message into the tailroom of the last block, if it fits.
    fn join(&mut self, msg: &Msg, pool: &Pool) -> bool {
        let Some(last) = self.chunks.back_mut() else { return false };
        if last.msg.tailroom() < msg.len() {
            return false;
        }
        msg.copy_out(0, &mut last.msg.spare_mut()[..msg.len()]);
        last.msg.commit(msg.len());
        last.push = true;
        pool.note_compacted(msg.len());
        self.end = self.end.add(msg.len() as u32);
        true
    }

    /// Takes one block.
    fn push(&mut self, mut block: Msg, pool: &mut Pool) {
        if block.is_empty() {
            pool.spend(block);
            return;
        }
        block.set_kind(Kind::Data);
        block.set_flags(MsgFlags::empty());
        block.set_offload(Offload::NONE);
        self.truesize += block.truesize() as u32;
        let start = self.end;
        self.end = start.add(block.len() as u32);
        self.chunks.push_back(Chunk { msg: block, start, push: false });
    }

    /// The chunk that holds octet `seq`, which is in the queue.
    fn find(&self, seq: Seq) -> usize {
        self.chunks.partition_point(|chunk| !chunk.start.after(seq)).saturating_sub(1)
    }
}

/// Messages up to here are copied behind others: the copy costs less than a cell of 384 bytes.
const SMALL: usize = 256;

/// Places an empty queue keeps (1 KiB): those of a window of super-segments.
const CHUNKS_KEPT: usize = 64;

#[cfg(test)]
mod tests;
