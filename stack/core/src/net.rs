//! The net: everything of a perimeter that is not a node. Queues, run lists, timers, counters,
//! the pool. A dispatch borrows it through a `Cx`.

use crate::audit::Ledger;
use crate::bufcall::Bufcalls;
use crate::device::Caps;
use crate::flow::{Bands, Due};
use crate::head::HeadEvent;
use crate::inbox::{Inboxes, Ticket};
use crate::ioctl::Unknown;
use crate::module::{Drop, Marks};
use crate::plumb::Answer;
use crate::queue::{Queue, SERVICE, Side};
use crate::rng::Rng;
use crate::slab::{Key, Slab};
use crate::stat::{NodeStat, Stats};
use crate::timer::Timers;
use crate::trace::End;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use millstream_msg::{Msg, MsgList, Pool};

/// What the host has to know after a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Something happened at a stream head.
    Head(crate::StreamId, HeadEvent),
    /// The driver has backlog: tell it when its device is writable.
    WantWrite(crate::NodeId),
    /// The driver stopped reading: the queue above it is full.
    ReadBlocked(crate::NodeId),
    /// The driver may read again.
    ReadResumed(crate::NodeId),
    /// The device has failed with this error; its stream was hung up.
    DeviceGone(crate::NodeId, crate::Errno),
    /// A change of a stream that was pending has come to its end.
    Changed(crate::Ticket, Result<(), crate::PlumbError>),
}

// One is written and read for each message that a program waits for.
const _: () = assert!(size_of::<Event>() <= 40);

/// A pair of queues of one node in one stream.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) queues: [Queue; 2],
    /// Node, as a place in the table of nodes.
    pub(crate) node: u32,
    /// Stream, as a place in the table of streams.
    pub(crate) stream: u32,
    pub(crate) role: Role,
    /// Set by the multiplexor that the pair belongs to.
    pub(crate) cookie: u64,
    /// Place of the record of bands in use, of both sides, or `NONE`.
    pub(crate) bands: u32,
    /// Place of the node's counters, or `NONE` before the first message.
    pub(crate) stat: u32,
}

// Two for each connection, and a shift finds one.
const _: () = assert!(size_of::<Option<Pair>>() == 128);

impl Pair {
    /// The neighbour's queue in a direction; one that does not exist at the end.
    #[inline]
    pub(crate) fn next(&self, side: Side) -> QueueNo {
        self.queues[side as usize].next
    }

    /// Neighbour pair above, or `NONE` at the top.
    #[inline]
    pub(crate) fn up(&self) -> u32 {
        pair_of(self.next(Side::Read))
    }

    /// Neighbour pair below, or `NONE` at the bottom.
    #[inline]
    pub(crate) fn down(&self) -> u32 {
        pair_of(self.next(Side::Write))
    }

    /// Makes it lead to another pair, or to `NONE`.
    pub(crate) fn lead(&mut self, side: Side, to: u32) {
        // Of no pair: a queue that no pair has.
        self.queues[side as usize].next = if to == NONE { NONE } else { queue_no(to, side) };
    }
}

/// How a pair belongs to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The only pair of a head, module or driver.
    Sole,
    /// The bottom of a stream above a multiplexor.
    Upper,
    /// As `Upper`, while the multiplexor has not finished opening it.
    Opening,
    /// The top of a stream linked below a multiplexor.
    Lower,
    /// The bottom of one end of a pipe; its cookie is the bottom pair of the other, or `NO_MATE`.
    Pipe,
}

/// No pair, no queue.
pub(crate) const NONE: u32 = u32::MAX;

/// A queue, as pair * 2 + side.
pub(crate) type QueueNo = u32;

#[inline]
pub(crate) const fn queue_no(pair: u32, side: Side) -> QueueNo {
    // Of no pair: no queue.
    pair.wrapping_mul(2) | side as u32
}

/// The pair of a queue, or `NONE`.
#[inline]
const fn pair_of(queue: QueueNo) -> u32 {
    if queue == NONE { NONE } else { queue >> 1 }
}

#[inline]
pub(crate) const fn side_of(queue: QueueNo) -> Side {
    if queue & 1 == 0 { Side::Read } else { Side::Write }
}

/// See the module's head.
pub(crate) struct Net {
    pub(crate) pairs: Slab<Pair>,
    pub(crate) bands: Slab<Bands>,
    pub(crate) marks: Vec<Marks>,
    pub(crate) stats: Stats,
    /// Devices, by the node of their driver.
    pub(crate) caps: BTreeMap<u32, Caps>,
    /// A single message in flight, handed straight on.
    pub(crate) slot: Option<(QueueNo, Msg)>,
    /// A message may go to the slot: nothing is in it, no inbox has anything, and no batch runs,
    /// whose outputs go to inboxes.
    pub(crate) direct: bool,
    /// Outputs that a dispatch has gathered; empty between dispatches.
    pub(crate) out: MsgList,
    /// One of them has a band above 0.
    pub(crate) out_banded: bool,
    /// What was posted and not yet put.
    pub(crate) inboxes: Inboxes,
    /// Queues to serve; those that are not marked so any more are passed over.
    pub(crate) serve: VecDeque<QueueNo>,
    pub(crate) timers: Timers,
    /// Nodes and their tokens that are called when nothing else is left to do.
    pub(crate) resting: Vec<(u32, u64)>,
    /// They wait for a later turn.
    pub(crate) restless: bool,
    pub(crate) bufcalls: Bufcalls,
    pub(crate) pool: Pool,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    /// Wall clock minus `now`, in nanoseconds.
    pub(crate) wall_offset: u64,
    pub(crate) events: VecDeque<Event>,
    /// Back-enabled muxes and heads to call between dispatches; `NONE`: the first of `answers`.
    pub(crate) relieved: VecDeque<QueueNo>,
    /// M_IOCTLs that a multiplexor did not know, to be obeyed between dispatches.
    pub(crate) unknown: VecDeque<Unknown>,
    /// The last identifier of an ioctl.
    pub(crate) ioc_ids: u32,
    /// Pairs whose pending open or close has come to its end, and how.
    pub(crate) answers: VecDeque<(Key, Answer)>,
    /// Messages put to a place that does not exist.
    pub(crate) stale: u64,
    /// What is looked at from outside, if anything.
    pub(crate) watch: Option<Box<crate::watch::Watch>>,
    /// The books, while they are kept.
    pub(crate) ledger: Option<Box<Ledger>>,
    /// Blocks dropped with a reason.
    pub(crate) discarded: u64,
}

impl Net {
    /// The water marks' number in the table, entered when new.
    pub(crate) fn intern(&mut self, marks: Marks) -> u16 {
        let at = self.marks.iter().position(|&m| m == marks).unwrap_or_else(|| {
            self.marks.push(marks);
            self.marks.len() - 1
        });
        // Beyond 65,535 different sets the last one serves: marks are advisory.
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    #[inline]
    pub(crate) fn queue(&self, queue: QueueNo) -> Option<&Queue> {
        Some(&self.pairs.at(queue >> 1)?.queues[(queue & 1) as usize])
    }

    #[inline]
    pub(crate) fn queue_mut(&mut self, queue: QueueNo) -> Option<&mut Queue> {
        Some(&mut self.pairs.at_mut(queue >> 1)?.queues[(queue & 1) as usize])
    }

    /// The queue after `queue` in its direction; one that does not exist at the end.
    #[inline]
    pub(crate) fn next_of(&self, queue: QueueNo) -> QueueNo {
        self.pairs.at(queue >> 1).map_or(NONE, |pair| pair.next(side_of(queue)))
    }

    /// The queue before `queue` in its direction, or `NONE`.
    pub(crate) fn previous_of(&self, queue: QueueNo) -> QueueNo {
        let Some(pair) = self.pairs.at(queue >> 1) else { return NONE };
        let before = if queue & 1 == 0 { pair.down() } else { pair.up() };
        match (before, side_of(queue)) {
            (NONE, Side::Read) => pair.mate().map_or(NONE, |mate| queue_no(mate, Side::Write)),
            (NONE, Side::Write) => NONE,
            (before, side) => queue_no(before, side),
        }
    }

    /// Posts a message to a queue's inbox and charges it to the queue's target.
    #[inline]
    pub(crate) fn post(&mut self, queue: QueueNo, msg: Msg) {
        let Some(to) = self.queue(queue) else { return self.lose(msg) };
        let target = to.target;
        self.charge(target, &msg);
        self.deliver(queue, msg);
    }

    /// Hands a charged message over: to the slot when nothing else is in flight, or to the inbox.
    #[inline]
    pub(crate) fn deliver(&mut self, queue: QueueNo, msg: Msg) {
        if self.direct {
            return self.hand_on(queue, msg);
        }
        self.deliver_to_inbox(queue, msg);
    }

    /// Hands a charged message over by the slot. Only while `direct`.
    #[inline(always)]
    pub(crate) fn hand_on(&mut self, queue: QueueNo, msg: Msg) {
        self.direct = false;
        let empty = self.slot.replace((queue, msg));
        debug_assert!(empty.is_none(), "direct says that the slot is free");
        // The compiler need not write out the release of a message that cannot be there.
        core::mem::forget(empty);
    }

    /// A dispatch whose outputs went to inboxes is over.
    pub(crate) fn reopen(&mut self) {
        self.direct = self.slot.is_none() && self.inboxes.is_empty();
    }

    fn deliver_to_inbox(&mut self, queue: QueueNo, msg: Msg) {
        self.spill_slot();
        self.enter_inbox(queue, msg);
    }

    /// Posts messages together, in order. One by itself goes the way of one.
    #[inline]
    pub(crate) fn post_batch(&mut self, queue: QueueNo, batch: MsgList) {
        match batch.into_one() {
            Ok(msg) => self.post(queue, msg),
            Err(batch) if batch.is_empty() => {}
            Err(batch) => self.post_many(queue, batch),
        }
    }

    fn post_many(&mut self, queue: QueueNo, batch: MsgList) {
        let Some(to) = self.queue(queue) else { return self.lose_batch(batch) };
        let target = to.target;
        self.charge_batch(target, &batch);
        self.deliver_batch(queue, batch);
    }

    /// Posts the outputs of a dispatch, all of band 0.
    #[inline]
    pub(crate) fn post_moved(&mut self, queue: QueueNo, batch: MsgList, due: &mut Due) {
        let Some(to) = self.queue(queue) else { return self.lose_batch(batch) };
        let target = to.target;
        self.charge_moved(target, &batch, due);
        self.deliver_batch(queue, batch);
    }

    /// Appends charged messages to an inbox.
    fn deliver_batch(&mut self, queue: QueueNo, mut batch: MsgList) {
        self.spill_slot();
        self.ledger_posts(queue, &batch);
        self.direct = false;
        let Some(pair) = self.pairs.at_mut(queue >> 1) else { return };
        let q = &mut pair.queues[(queue & 1) as usize];
        match self.inboxes.get_mut(q.inbox) {
            Some(inbox) => inbox.append(&mut batch),
            None => q.inbox = self.inboxes.enter(queue, batch),
        }
    }

    /// What was posted to a queue and not yet put.
    pub(crate) fn inbox(&self, queue: QueueNo) -> Option<&MsgList> {
        self.inboxes.get(self.queue(queue)?.inbox)
    }

    /// Takes what was posted to a queue and not yet put.
    pub(crate) fn take_inbox(&mut self, queue: QueueNo) -> MsgList {
        let Some(q) = self.queue_mut(queue) else { return MsgList::new() };
        let ticket = core::mem::replace(&mut q.inbox, Ticket::NONE);
        self.inboxes.get_mut(ticket).map(core::mem::take).unwrap_or_default()
    }

    #[cold]
    fn lose_batch(&mut self, batch: MsgList) {
        for msg in batch {
            self.lose(msg);
        }
    }

    /// Puts a message that waits in the slot into its inbox, in front of all that comes later.
    #[inline]
    pub(crate) fn spill_slot(&mut self) {
        if let Some((queue, msg)) = self.slot.take() {
            self.ledger_spills(queue, &msg);
            self.enter_inbox(queue, msg);
        }
    }

    #[inline]
    pub(crate) fn enter_inbox(&mut self, queue: QueueNo, msg: Msg) {
        if self.ledger.is_some() {
            self.ledger_posts_one(queue, &msg);
        }
        let Some(pair) = self.pairs.at_mut(queue >> 1) else { return self.lose(msg) };
        let q = &mut pair.queues[(queue & 1) as usize];
        self.direct = false;
        match self.inboxes.get_mut(q.inbox) {
            Some(inbox) => inbox.push(msg),
            None => q.inbox = self.inboxes.enter(queue, core::iter::once(msg).collect()),
        }
    }

    /// A message that nobody can receive: its stream was dismantled.
    #[cold]
    pub(crate) fn lose(&mut self, msg: Msg) {
        self.stale += 1;
        self.note_end(&msg, End::Dropped(Drop::GONE));
        self.drop_blocks(msg);
    }

    /// Counts a dropped message for a node and frees it.
    pub(crate) fn discard(&mut self, node: u32, msg: Msg, reason: Drop) {
        self.stats.of(node).drop(reason, 1);
        self.note_end(&msg, End::Dropped(reason));
        self.drop_blocks(msg);
    }

    fn drop_blocks(&mut self, msg: Msg) {
        let before = self.pool.flow().freed;
        self.pool.spend(msg);
        self.discarded += self.pool.flow().freed - before;
    }

    /// Counters of a node, to add to.
    #[inline]
    pub(crate) fn stat(&mut self, node: u32) -> &mut NodeStat {
        self.stats.of(node)
    }

    /// Schedules a queue's service procedure, once while pending (C24).
    pub(crate) fn qenable(&mut self, queue: QueueNo) {
        let Some(q) = self.queue_mut(queue) else { return };
        if q.has(SERVICE) && !q.has(crate::queue::ENABLED) {
            q.set(crate::queue::ENABLED);
            self.serve.push_back(queue);
        }
    }

    /// A node is gone: nothing calls it any more.
    pub(crate) fn forget_node(&mut self, node: u32) {
        self.timers.cancel_all(node);
        self.bufcalls.forget(node);
        self.resting.retain(|(other, _)| *other != node);
    }

    /// Nothing is left to run.
    pub(crate) fn idle(&self) -> bool {
        self.slot.is_none()
            && self.inboxes.is_empty()
            && self.serve.is_empty()
            && self.relieved.is_empty()
            && self.unknown.is_empty()
    }
}
