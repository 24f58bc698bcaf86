//! drc: the duplicate request cache. A call that was retransmitted, over UDP or on a new
//! connection, is executed once: while it is in progress the second one waits, afterwards it gets
//! the reply of the first.
//!
//! A call is known by its peer, its xid, its procedure and a checksum of its arguments. The port of
//! the peer counts over UDP only: who connects again comes from another one. Short replies are
//! copied into one ring of octets; of long ones the results are kept as they are, another window on
//! the memory of the blocks that leave. Each kind has its bound, the ring its size and the messages
//! the memory that they hold alive, and is forgotten in the order in which it was made; calls in
//! progress are never forgotten. But for the messages everything is allocated when the cache is
//! made.

use crate::hash::Keyed;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::net::{IpAddr, SocketAddr};
use hashbrown::HashTable;
use millstream_msg::{Level, Msg, Pool};

/// The cache.
pub struct Drc {
    keyed: Keyed,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    free: Vec<u32>,
    /// Entries with a reply, oldest first: their octets follow each other in the ring.
    done: VecDeque<u32>,
    ring: Box<[u8]>,
    /// Where the next reply is written.
    end: usize,
    used: usize,
    long: Long,
}

/// Results that are kept as messages, oldest first.
struct Long {
    all: VecDeque<(u32, Msg)>,
    /// How many were forgotten so far: the number of the oldest, wrapping.
    first: u32,
    /// Memory that they hold alive, and may. Bytes.
    held: usize,
    limit: usize,
}

/// What a call is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Address of the peer as 16 octets.
    address: [u8; 16],
    /// 0 for a connection.
    port: u16,
    xid: u32,
    /// Program, version, procedure.
    procedure: [u32; 3],
    /// Of the arguments.
    checksum: u64,
}

/// An entry of the cache, as long as the call is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId {
    slot: u32,
    generation: u32,
}

/// What the cache knows of a call.
#[derive(Debug)]
pub enum Known<'a> {
    /// Nothing: it is to be executed, and its reply told.
    New(EntryId),
    /// It is in progress.
    InProgress(EntryId),
    /// It was answered.
    Done(Reply<'a>),
    /// Nothing, and as many are in progress as there may be.
    Full,
}

/// A reply that was given.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// These octets, in two parts. None: a batch call, which is not answered.
    Octets([&'a [u8]; 2]),
    /// These results, behind the header of a call that went well.
    Results(&'a Msg),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    hash: u64,
    generation: u32,
    /// Of the reply in the ring; the number of a long one whose `len` is [`LONG`]. Without one
    /// `len` is [`IN_PROGRESS`].
    at: u32,
    len: u32,
}

impl Key {
    /// The key of a call from a peer, over UDP or not, with `len` octets of arguments, of which all
    /// or [`SUMMED_MAX`] are here.
    pub fn new(
        keyed: &Keyed,
        (peer, datagram): (SocketAddr, bool),
        xid: u32,
        procedure: [u32; 3],
        (arguments, len): (&[u8], usize),
    ) -> Self {
        let address = match peer.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let port = if datagram { peer.port() } else { 0 };
        let mut sum = keyed.build_hasher();
        sum.write(&arguments[..arguments.len().min(SUMMED_MAX)]);
        sum.write_u64(len as u64);
        Self { address, port, xid, procedure, checksum: sum.finish() }
    }

    fn hash(&self, keyed: &Keyed) -> u64 {
        let mut hash = keyed.build_hasher();
        let [a, b, c] = self.procedure;
        hash.write_u64(u64::from(self.xid) << 32 | u64::from(c));
        hash.write_u64(u64::from(a) << 32 | u64::from(b));
        hash.write(&self.address);
        hash.write_u64(u64::from(self.port) ^ self.checksum);
        hash.finish()
    }
}

impl Drc {
    /// An empty cache that takes so many bytes of memory, at least [`BYTES_MIN`], and keeps
    /// messages of as many at most; `key` is random.
    pub fn new(bytes: usize, key: u64) -> Self {
        let bytes = bytes.max(BYTES_MIN);
        let entries = bytes / BYTES_PER_ENTRY;
        let ring = bytes - entries * ENTRY_BYTES;
        Self {
            keyed: Keyed::new(key),
            entries: Vec::with_capacity(entries),
            index: HashTable::with_capacity(entries),
            free: Vec::with_capacity(entries),
            done: VecDeque::with_capacity(entries),
            ring: alloc::vec![0; ring].into_boxed_slice(),
            end: 0,
            used: 0,
            long: Long { all: VecDeque::new(), first: 0, held: 0, limit: bytes },
        }
    }

    /// The hash with which keys are made.
    pub const fn keyed(&self) -> &Keyed {
        &self.keyed
    }

    /// Calls that are known.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Octets of short replies.
    pub const fn held(&self) -> usize {
        self.used
    }

    /// Bytes of memory that long replies hold alive.
    pub const fn held_long(&self) -> usize {
        self.long.held
    }

    /// Looks for a call; one that is not known is in progress from now on.
    pub fn look(&mut self, key: &Key) -> Known<'_> {
        let hash = key.hash(&self.keyed);
        if let Some(&slot) = self.index.find(hash, |slot| self.entries[*slot as usize].key == *key)
        {
            return match self.entries[slot as usize] {
                Entry { len: IN_PROGRESS, generation, .. } => {
                    Known::InProgress(EntryId { slot, generation })
                }
                entry => Known::Done(self.reply(&entry)),
            };
        }
        let Some(slot) = self.slot() else { return Known::Full };
        let entry = &mut self.entries[slot as usize];
        (entry.key, entry.hash, entry.len) = (*key, hash, IN_PROGRESS);
        let generation = entry.generation;
        self.index.insert_unique(hash, slot, |slot| self.entries[*slot as usize].hash);
        Known::New(EntryId { slot, generation })
    }

    /// What has become of a call that was in progress; `None` when that is not known any more.
    pub fn outcome(&self, id: EntryId) -> Option<Known<'_>> {
        let entry = self.entries.get(id.slot as usize);
        let entry = entry.filter(|entry| entry.generation == id.generation)?;
        Some(match entry.len {
            IN_PROGRESS => Known::InProgress(id),
            _ => Known::Done(self.reply(entry)),
        })
    }

    /// A call was answered with the first `len` octets of this, at most [`REPLY_MAX`].
    pub fn answered<'a>(&mut self, id: EntryId, len: usize, reply: impl Iterator<Item = &'a [u8]>) {
        if !self.is_current(id) {
            return;
        }
        if len > REPLY_MAX {
            return self.remove(id.slot);
        }
        while self.ring.len() - self.used < len {
            if !self.forget_oldest() {
                return self.remove(id.slot);
            }
        }
        let entry = &mut self.entries[id.slot as usize];
        (entry.at, entry.len) = (self.end as u32, len as u32);
        let mut left = len;
        for octets in reply {
            let octets = &octets[..octets.len().min(left)];
            left -= octets.len();
            let (here, around) = octets.split_at(octets.len().min(self.ring.len() - self.end));
            self.ring[self.end..][..here.len()].copy_from_slice(here);
            self.ring[..around.len()].copy_from_slice(around);
            self.end = (self.end + octets.len()) % self.ring.len();
        }
        self.used += len;
        self.done.push_back(id.slot);
    }

    /// A call went well: `len` octets of this message from `from` on are its results. They are
    /// kept as another window on the same memory, unless that is scarce, not ours alone to write,
    /// or a large part of all that may be kept: then the next call like it is new.
    pub fn went_well(&mut self, id: EntryId, msg: &Msg, [from, len]: [usize; 2], pool: &mut Pool) {
        if !self.is_current(id) {
            return;
        }
        if pool.level() != Level::Low {
            self.let_go(pool);
        }
        let fits = from.checked_add(len).is_some_and(|end| end <= msg.len());
        let own = msg.blocks().all(|block| !block.is_foreign());
        let kept = match fits && own && pool.level() == Level::Low {
            true => msg.slice(pool, from, len).ok(),
            false => None,
        };
        let Some(kept) = kept else { return self.remove(id.slot) };
        let bytes = held_by(&kept);
        if bytes > self.long.limit / LONG_PARTS {
            pool.spend(kept);
            return self.remove(id.slot);
        }
        while self.long.held + bytes > self.long.limit && self.forget_long(pool) {}
        let entry = &mut self.entries[id.slot as usize];
        entry.at = self.long.first.wrapping_add(self.long.all.len() as u32);
        entry.len = LONG;
        self.long.held += bytes;
        self.long.all.push_back((id.slot, kept));
    }

    /// Forgets all long replies: memory is short, or the pool is to have everything back.
    pub fn let_go(&mut self, pool: &mut Pool) {
        while self.forget_long(pool) {}
    }

    /// A call has ended without a reply: the next one like it is new.
    pub fn forget(&mut self, id: EntryId) {
        if self.is_current(id) {
            self.remove(id.slot);
        }
    }

    /// Is the call still in progress?
    fn is_current(&self, id: EntryId) -> bool {
        let entry = self.entries.get(id.slot as usize);
        entry.is_some_and(|entry| entry.generation == id.generation && entry.len == IN_PROGRESS)
    }

    fn reply(&self, entry: &Entry) -> Reply<'_> {
        if entry.len == LONG {
            let nth = entry.at.wrapping_sub(self.long.first) as usize;
            return Reply::Results(&self.long.all[nth].1);
        }
        let (at, len) = (entry.at as usize, entry.len as usize);
        let here = len.min(self.ring.len() - at);
        Reply::Octets([&self.ring[at..at + here], &self.ring[..len - here]])
    }

    fn slot(&mut self) -> Option<u32> {
        if self.free.is_empty() && self.entries.len() < self.entries.capacity() {
            self.entries.push(NEVER);
            return Some(self.entries.len() as u32 - 1);
        }
        if self.free.is_empty() && !self.forget_oldest() {
            // Its blocks go back to their pool by themselves.
            drop(self.pop_long());
        }
        self.free.pop()
    }

    fn forget_long(&mut self, pool: &mut Pool) -> bool {
        let oldest = self.pop_long();
        let forgot = oldest.is_some();
        oldest.into_iter().for_each(|oldest| pool.spend(oldest));
        forgot
    }

    fn pop_long(&mut self) -> Option<Msg> {
        let (slot, oldest) = self.long.all.pop_front()?;
        self.long.first = self.long.first.wrapping_add(1);
        self.long.held -= held_by(&oldest);
        self.remove(slot);
        Some(oldest)
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(slot) = self.done.pop_front() else { return false };
        self.used -= self.entries[slot as usize].len as usize;
        self.remove(slot);
        true
    }

    fn remove(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        let hash = entry.hash;
        if let Ok(found) = self.index.find_entry(hash, |known| *known == slot) {
            found.remove();
        }
        self.free.push(slot);
    }
}

impl Reply<'_> {
    /// Is it that of a call that is not answered?
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Octets(parts) if parts.iter().all(|part| part.is_empty()))
    }
}

/// Memory that kept results hold alive: their cells, those of the windows, their place. Bytes.
fn held_by(kept: &Msg) -> usize {
    kept.truesize() + kept.blocks().count() * WINDOW_BYTES + size_of::<(u32, Msg)>()
}

impl core::fmt::Debug for Drc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Drc").field("calls", &self.len()).field("octets", &self.used).finish()
    }
}

/// The entry of a slot that was not used yet.
const NEVER: Entry = Entry {
    key: Key { address: [0; 16], port: 0, xid: 0, procedure: [0; 3], checksum: 0 },
    hash: 0,
    generation: 0,
    at: 0,
    len: IN_PROGRESS,
};
const IN_PROGRESS: u32 = u32::MAX;
const LONG: u32 = u32::MAX - 1;

/// Octets of arguments that are summed at most. A client that uses an xid twice for calls that
/// differ behind so many (and not in their length) is not helped.
pub const SUMMED_MAX: usize = 256;
/// The cell of a window. Bytes.
const WINDOW_BYTES: usize = 64;
/// Longest reply that is copied; of longer ones the message is kept. Octets.
pub const REPLY_MAX: usize = 1024;
/// One reply may hold this part of what all may: one caller does not make all others forgotten.
const LONG_PARTS: usize = 4;
/// Memory of a cache by default: 16,384 calls. Bytes.
pub const BYTES: usize = 4 << 20;
/// Least memory of a cache. Bytes.
pub const BYTES_MIN: usize = 4096;
/// Memory for each entry: that and its share of the ring, which is right for replies of 160.
const BYTES_PER_ENTRY: usize = 256;
/// An entry, its place in the index (twice: the table is at most 7/8 full), and in two lists.
const ENTRY_BYTES: usize = size_of::<Entry>() + 2 * (size_of::<u32>() + 1) + 2 * size_of::<u32>();

#[cfg(test)]
mod tests;
