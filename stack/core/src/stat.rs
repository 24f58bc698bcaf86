//! Counters of nodes: what went in and out, how long it took, what was dropped and why.

use crate::module::Drop;
use crate::monitor::Violation;
use crate::net::NONE;
use alloc::vec::Vec;
use millstream_msg::MsgList;

/// Counters of one node. Index 0 is the read side (up), 1 the write side (down).
#[derive(Clone, Debug, Default)]
pub struct NodeStat {
    /// Dispatches of put procedures.
    pub calls: [u64; 2],
    /// Messages that came in.
    pub msgs_in: [u64; 2],
    /// Bytes that came in.
    pub bytes_in: [u64; 2],
    /// Messages passed on, by direction.
    pub msgs_out: [u64; 2],
    /// Dispatches of service procedures.
    pub services: [u64; 2],
    /// Messages freed because they had done their work.
    pub consumed: u64,
    /// Messages dropped, by reason.
    pub drops: Vec<(Drop, u64)>,
    /// Rules of queues that were broken while that was looked at: see
    /// [`set_monitor`](crate::Perimeter::set_monitor).
    pub violations: Vec<(Violation, u64)>,
    /// Time in dispatches that were timed (one in [`SAMPLE_EVERY`]). Nanoseconds.
    pub sampled_ns: u64,
    /// Messages in those dispatches.
    pub sampled_msgs: u64,
    /// Time during which somebody who had been refused waited. Nanoseconds, by side.
    pub blocked_ns: [u64; 2],
    pub(crate) blocked_since: [Option<u64>; 2],
}

/// One dispatch in so many is timed, so that the clock costs little. A prime number: a request and
/// its response take the same dispatches each time, often a power of two of them, and then 64 met
/// the same few modules again and again and the others never.
pub const SAMPLE_EVERY: u64 = 61;

impl NodeStat {
    /// Counts dropped messages.
    pub(crate) fn drop(&mut self, reason: Drop, count: u64) {
        match self.drops.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, n)) => *n += count,
            None => self.drops.push((reason, count)),
        }
    }

    /// Messages dropped, whatever the reason.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().map(|(_, n)| n).sum()
    }

    /// Nanoseconds per message, from the sample; `None` before the first.
    pub fn ns_per_msg(&self) -> Option<u64> {
        self.sampled_ns.checked_div(self.sampled_msgs)
    }
}

/// What a head counts of what it takes. It has no other counters until something rarer happens:
/// 100,000 idle connections have none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    calls: u64,
    msgs: u64,
    bytes: u64,
}

impl Taken {
    /// Messages were put together.
    #[inline]
    pub(crate) fn count(&mut self, msgs: u64, bytes: u32) {
        self.calls += 1;
        self.msgs += msgs;
        self.bytes += u64::from(bytes);
    }

    pub(crate) fn add_to(&self, view: &mut NodeStat) {
        view.calls[0] += self.calls;
        view.msgs_in[0] += self.msgs;
        view.bytes_in[0] += self.bytes;
    }
}

/// The counters of all nodes but heads, which count what they take. A node gets its record when
/// something is first counted for it: a million idle streams have none.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// By node: its place in `records`, or `NONE`.
    of_node: Vec<u32>,
    records: Vec<Record>,
    free: Vec<u32>,
}

/// The counters of one node, and what a single message costs least to count. By side.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Single messages that were handed straight on.
    pub(crate) straight: [u64; 2],
    /// Bytes of single messages.
    pub(crate) single_bytes: [u64; 2],
    /// Everything else.
    pub(crate) rest: NodeStat,
}

impl Record {
    fn view(&self) -> NodeStat {
        let mut view = self.rest.clone();
        for side in 0..2 {
            view.calls[side] += self.straight[side];
            view.msgs_in[side] += self.straight[side];
            view.msgs_out[side] += self.straight[side];
            view.bytes_in[side] += self.single_bytes[side];
        }
        view
    }
}

impl Stats {
    /// A new node takes this place of a node that is gone: it has counted nothing.
    pub(crate) fn enter(&mut self, node: u32) {
        let Some(place) = self.of_node.get_mut(node as usize) else { return };
        let place = core::mem::replace(place, NONE);
        if place != NONE {
            self.free.push(place);
        }
    }

    /// The place of a node's record, made when there is none.
    pub(crate) fn place(&mut self, node: u32) -> u32 {
        match self.of_node.get(node as usize) {
            Some(&place) if place != NONE => place,
            _ => self.attach(node),
        }
    }

    #[cold]
    fn attach(&mut self, node: u32) -> u32 {
        if self.of_node.len() <= node as usize {
            self.of_node.resize(node as usize + 1, NONE);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            if self.records.len() == self.records.capacity() {
                // By a 32nd, as a slab: 100,000 streams do not pay for 131,072.
                self.records.reserve_exact((self.records.len() / 32).max(16));
            }
            self.records.push(Record::default());
            self.records.len() as u32 - 1
        });
        self.records[place as usize] = Record::default();
        self.of_node[node as usize] = place;
        place
    }

    /// The record at a place; none at `NONE`.
    #[inline]
    pub(crate) fn record(&mut self, place: u32) -> Option<&mut Record> {
        self.records.get_mut(place as usize)
    }

    /// Counts a single message of a node that has a record; false when it has none.
    #[inline(always)]
    pub(crate) fn straight(&mut self, place: u32, side: usize, bytes: u32) -> bool {
        let place = place as usize;
        // An index and not `get_mut`, whose reference the compiler would test as well.
        if place >= self.records.len() {
            return false;
        }
        let record = &mut self.records[place];
        record.straight[side] += 1;
        record.single_bytes[side] += u64::from(bytes);
        true
    }

    /// Counts a put of one message to the node whose record is at this place, and whether it was
    /// passed on.
    #[inline]
    pub(crate) fn count_put(&mut self, place: u32, side: usize, bytes: u32, passed: bool) {
        let Some(Record { rest, .. }) = self.record(place) else { return };
        rest.calls[side] += 1;
        rest.msgs_in[side] += 1;
        rest.bytes_in[side] += u64::from(bytes);
        rest.msgs_out[side] += u64::from(passed);
    }

    /// The counters of a node, to add to.
    #[inline]
    pub(crate) fn of(&mut self, node: u32) -> &mut NodeStat {
        let place = self.place(node) as usize;
        &mut self.records[place].rest
    }

    /// The counters of a node that has a record.
    pub(crate) fn known(&mut self, node: u32) -> Option<&mut NodeStat> {
        let place = *self.of_node.get(node as usize)?;
        self.record(place).map(|record| &mut record.rest)
    }

    /// Takes messages back that came in: they will come again.
    pub(crate) fn uncount(&mut self, node: u32, side: usize, messages: &MsgList) {
        if messages.is_empty() {
            return;
        }
        let place = self.place(node) as usize;
        let Record { straight, single_bytes, rest } = &mut self.records[place];
        let (msgs, bytes) = (messages.len() as u64, u64::from(messages.bytes()));
        // Where they were counted is not known: what `rest` has too little is taken from there.
        let more = msgs.saturating_sub(rest.msgs_in[side]);
        rest.msgs_in[side] -= msgs - more;
        straight[side] -= more;
        rest.msgs_out[side] += more;
        rest.calls[side] += more;
        let more = bytes.saturating_sub(rest.bytes_in[side]);
        rest.bytes_in[side] -= bytes - more;
        single_bytes[side] -= more;
    }

    /// The counters of a node, for people.
    pub(crate) fn view(&self, node: u32) -> NodeStat {
        let place = self.of_node.get(node as usize).copied().unwrap_or(NONE);
        self.records.get(place as usize).map(Record::view).unwrap_or_default()
    }
}
