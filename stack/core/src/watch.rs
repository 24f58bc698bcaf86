//! watch: looks at dispatches from outside, when somebody asks: traces of messages, captures at
//! the boundaries between nodes, times of queues.
//!
//! While nothing is watched, one dispatch in 61 is timed, and the only test for that is the one
//! that counts down to it. While something is, the count stands at one, so that every dispatch
//! takes the timed way and comes by here. Modules, queues and chains stay as they are.

use crate::hist::{Arrivals, Histogram};
use crate::monitor::Before;
use crate::net::{NONE, Net, QueueNo, queue_no, side_of};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::plumb::PlumbError;
use crate::queue::{ENABLED, Side, WANT_BAND, WANT_WRITE, is_ordinary};
use crate::slab::Key;
use crate::stat::SAMPLE_EVERY;
use crate::trace::{End, Marks, Path, Pick, Place, Seen, Trace};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_msg::{Msg, MsgList};

/// Sees every message at the boundaries of streams.
pub trait Spy: Send {
    /// A message is about to be put to the node beyond the boundary.
    fn see(&mut self, sight: &Sight<'_>, msg: &Msg);
}

/// Where and when a spy sees a message.
pub struct Sight<'a> {
    /// Names the boundary; the same in both directions, another after a change of the chain.
    pub boundary: [u64; 2],
    /// Which way the message goes.
    pub side: Side,
    /// Nanoseconds since 1970.
    pub wall_ns: u64,
    places: &'a dyn Fn() -> [Place; 2],
}

impl Sight<'_> {
    /// The nodes above and below the boundary. Allocates: for the first message only.
    pub fn places(&self) -> [Place; 2] {
        (self.places)()
    }
}

/// The times of one queue. See [`Perimeter::queue_times`].
#[derive(Clone, Debug)]
pub struct QueueTimes {
    /// Whose it is.
    pub place: Place,
    /// Which queue of the pair.
    pub side: Side,
    /// From the post of a message to its put: time in the inbox.
    pub inbox: Histogram,
    /// From `putq` to `getq`: time in the queue.
    pub queue: Histogram,
    /// Time of put and service procedures, per message.
    pub service: Histogram,
    /// For how long which queue refused what this one holds, longest first. Nanoseconds.
    pub blocked: Vec<(Place, Side, u64)>,
}

/// Everything that is watched; absent when nothing is.
#[derive(Default)]
pub(crate) struct Watch {
    trace: Option<Trace>,
    spy: Option<Spying>,
    queues: Vec<Timed>,
    /// Rules of queues are looked after.
    pub(crate) monitor: bool,
    /// The books are kept.
    pub(crate) audit: bool,
    /// How the queue of the running dispatch was, when it is bound by the rules.
    before: Option<Before>,
    /// Messages that the running node had consumed before the dispatch.
    consumed: u64,
}

struct Spying {
    /// All when absent.
    streams: Option<Vec<StreamId>>,
    spy: Box<dyn Spy>,
}

/// A queue whose times are taken.
struct Timed {
    pair: Key,
    side: Side,
    inbox: Arrivals,
    held: Arrivals,
    times: QueueTimes,
    /// Refused by this queue since then.
    refused: Option<(QueueNo, u64)>,
}

/// A service procedure that is about to run.
pub(crate) struct Service {
    /// Nanoseconds.
    began: u64,
    /// Messages in its queue.
    held: usize,
    queued: Marks,
}

/// A dispatch that is over.
struct Ran {
    queue: QueueNo,
    /// Time for each of its messages. Nanoseconds.
    ran_ns: u64,
    /// In the queue before its service procedure ran.
    served: Marks,
}

/// Queues whose times are taken at once: each has 14 KiB of buckets.
const TIMED_MAX: usize = 256;

/// What can be watched.
impl Perimeter {
    /// Follows messages from now on, in place of those followed before.
    pub fn start_trace(&mut self, pick: Pick) {
        let mark = core::mem::take(&mut self.trace_mark);
        let watch = self.watched();
        let mark = watch.trace.as_ref().map_or(mark, Trace::mark);
        watch.trace = Some(Trace::new(pick, mark));
    }

    /// The paths that have ended since the last call.
    pub fn traced(&mut self) -> Vec<Path> {
        let now = self.clock_now();
        let trace = self.net.watch.as_mut().and_then(|watch| watch.trace.as_mut());
        trace.map(|trace| trace.take(false, now)).unwrap_or_default()
    }

    /// Follows no more messages. Paths that have not ended are as far as they have come.
    pub fn stop_trace(&mut self) -> Vec<Path> {
        let now = self.clock_now();
        let trace = self.net.watch.as_mut().and_then(|watch| watch.trace.take());
        self.trace_mark = trace.as_ref().map_or(self.trace_mark, Trace::mark);
        self.rest();
        trace.map(|mut trace| trace.take(true, now)).unwrap_or_default()
    }

    /// Shows a spy every message of these streams, or of all; in place of the spy before.
    pub fn start_spy(&mut self, streams: Option<Vec<StreamId>>, spy: Box<dyn Spy>) {
        self.watched().spy = Some(Spying { streams, spy });
    }

    /// Gives the spy back.
    pub fn stop_spy(&mut self) -> Option<Box<dyn Spy>> {
        let spying = self.net.watch.as_mut().and_then(|watch| watch.spy.take());
        self.rest();
        spying.map(|spying| spying.spy)
    }

    /// Begins to take the times of a stream's queues, of both sides: of the module at a position,
    /// or of all nodes. Those that are taken already go on. How many were begun.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`], [`PlumbError::NoPosition`], [`PlumbError::TooMany`].
    pub fn time_queues(
        &mut self,
        stream: StreamId,
        pos: Option<usize>,
    ) -> Result<usize, PlumbError> {
        let mut wanted = Vec::new();
        for pair in self.pairs_of(stream, pos)? {
            let known = |t: &Timed| t.pair.index == pair;
            if !self.net.watch.as_ref().is_some_and(|watch| watch.queues.iter().any(known)) {
                wanted.push(pair);
            }
        }
        let taken = self.net.watch.as_ref().map_or(0, |watch| watch.queues.len());
        if taken + 2 * wanted.len() > TIMED_MAX {
            return Err(PlumbError::TooMany);
        }
        for &pair in &wanted {
            let Some(key) = self.net.pairs.key_at(pair) else { continue };
            for side in [Side::Read, Side::Write] {
                let times = QueueTimes::new(self.place(pair), side);
                let timed = Timed {
                    pair: key,
                    side,
                    inbox: Arrivals::default(),
                    held: Arrivals::default(),
                    times,
                    refused: None,
                };
                self.watched().queues.push(timed);
            }
        }
        Ok(2 * wanted.len())
    }

    /// Takes the times of these queues no more, and forgets them. How many there were.
    ///
    /// # Errors
    /// As [`Perimeter::time_queues`].
    pub fn forget_times(
        &mut self,
        stream: StreamId,
        pos: Option<usize>,
    ) -> Result<usize, PlumbError> {
        let pairs = self.pairs_of(stream, pos)?;
        let Some(watch) = &mut self.net.watch else { return Ok(0) };
        let before = watch.queues.len();
        watch.queues.retain(|timed| !pairs.contains(&timed.pair.index));
        let gone = before - watch.queues.len();
        self.rest();
        Ok(gone)
    }

    /// The times of a stream's queues that are taken, top down.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`].
    pub fn queue_times(&mut self, stream: StreamId) -> Result<Vec<QueueTimes>, PlumbError> {
        let pairs = self.pairs_of(stream, None)?;
        let now = self.clock_now();
        self.settle_watch(now, None);
        let watch = self.net.watch.as_ref();
        let mut all = Vec::new();
        for pair in pairs {
            let key = self.net.pairs.key_at(pair);
            let own = watch.into_iter().flat_map(|w| &w.queues).filter(|t| Some(t.pair) == key);
            // Positions change while modules come and go.
            all.extend(own.map(|t| QueueTimes { place: self.place(pair), ..t.view(self, now) }));
        }
        Ok(all)
    }

    pub(crate) fn watched(&mut self) -> &mut Watch {
        self.until_timed = 1;
        self.net.watch.get_or_insert_default()
    }

    /// Nothing is watched any more: dispatches are as fast as before.
    pub(crate) fn rest(&mut self) {
        let idle = |watch: &mut Box<Watch>| {
            watch.trace.is_none()
                && watch.spy.is_none()
                && watch.queues.is_empty()
                && !watch.monitor
                && !watch.audit
        };
        self.net.watch.take_if(idle);
    }

    fn clock_now(&self) -> u64 {
        self.clock.map_or(self.net.now, |clock| clock())
    }

    /// The pairs of a stream's nodes, top down, or that of the module at a position.
    fn pairs_of(&self, stream: StreamId, pos: Option<usize>) -> Result<Vec<u32>, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let mut pairs = Vec::new();
        let mut at = s.top;
        while at != NONE {
            pairs.push(at);
            at = if at == s.bottom {
                NONE
            } else {
                self.net.pairs.at(at).map_or(NONE, |p| p.down())
            };
        }
        let Some(pos) = pos else { return Ok(pairs) };
        let modules = pairs.len().saturating_sub(2);
        if pos >= modules {
            return Err(PlumbError::NoPosition { pos, modules });
        }
        Ok(alloc::vec![pairs[pairs.len() - 2 - pos]])
    }

    pub(crate) fn place(&self, pair: u32) -> Place {
        let p = self.net.pairs.at(pair);
        let stream = p.and_then(|p| self.streams.at(p.stream));
        let node = p.and_then(|p| self.nodes.at(p.node));
        let (node, kind) = node.map_or((String::new(), "gone"), Node::label);
        let mut pos = 0;
        let mut below = p.map_or(NONE, |p| p.down());
        while let Some(p) = self.net.pairs.at(below).filter(|p| p.down() != NONE) {
            (pos, below) = (pos + 1, p.down());
        }
        let pos = (kind == "module").then_some(pos);
        Place {
            stream: stream.map(|s| s.name.as_ref().into()).unwrap_or_default(),
            node,
            kind,
            pos,
        }
    }
}

/// What dispatches call that are timed or watched.
impl Perimeter {
    /// The time of a dispatch is taken from here on.
    #[cold]
    pub(crate) fn start_timing(
        &mut self,
        queue: QueueNo,
        batch: MsgList,
    ) -> (Option<u64>, MsgList) {
        if let Some(now) = self.watch_clock() {
            self.until_timed = 1;
            let batch = self.watch_put(queue, batch, now);
            return (Some(self.watch_clock().unwrap_or(now)), batch);
        }
        self.until_timed = if self.clock.is_some() { SAMPLE_EVERY } else { u64::MAX };
        (self.clock.map(|clock| clock()), batch)
    }

    /// To here.
    #[cold]
    pub(crate) fn timed(&mut self, started: u64, queue: QueueNo, node: u32, msgs: u64) {
        // A head's own work is to append to a list: it needs no record for that.
        let is_head = matches!(self.nodes.at(node), Some(Node::Head(_)));
        if let Some(clock) = self.clock.filter(|_| !is_head) {
            let stat = self.net.stat(node);
            stat.sampled_ns += clock().saturating_sub(started);
            stat.sampled_msgs += msgs;
        }
        if self.net.watch.is_some() {
            self.watch_done(queue, started, msgs);
        }
    }

    #[cold]
    pub(crate) fn serve_watched(&mut self, queue: QueueNo) {
        let monitored = self.net.watch.as_ref().is_some_and(|watch| watch.monitor);
        // A number that is stale on the list runs nothing.
        let due = self.net.queue(queue).is_some_and(|q| q.has(ENABLED));
        let rules = if monitored && due { self.before_dispatch(queue) } else { None };
        let before = self.watch_service(queue);
        let node = self.ledger_node(queue);
        self.net.attribute(node);
        self.run_service(queue);
        self.net.attribute(None);
        self.watch_served(queue, &before);
        if let Some(rules) = rules {
            self.check_service(queue, rules);
        }
    }

    /// Messages are about to be put to a queue.
    fn watch_put(&mut self, queue: QueueNo, batch: MsgList, now: u64) -> MsgList {
        self.watch_settled(now);
        let mut rules = self.before_dispatch(queue);
        if let Some(before) = &mut rules {
            before.ordinary = batch.iter().all(|msg| is_ordinary(msg.kind()));
        }
        let Some(mut watch) = self.net.watch.take() else { return batch };
        watch.before = if watch.monitor { rules } else { None };
        let count = batch.len() as u32;
        let batch = batch.into_iter().map(|mut msg| {
            watch.see(self, queue, &mut msg, count, now);
            msg
        });
        let mut seen = MsgList::new();
        batch.for_each(|msg| seen.push(msg));
        self.ledger_takes(queue, &seen);
        if let Some(pair) = self.net.pairs.at(queue >> 1) {
            watch.consumed = self.net.stats.of(pair.node).consumed;
        }
        self.net.watch = Some(watch);
        seen
    }

    /// The put procedure of a queue has returned, for so many messages.
    fn watch_done(&mut self, queue: QueueNo, began: u64, count: u64) {
        self.net.attribute(None);
        self.watch_ran(queue, began, count, Marks::default());
        if let Some(rules) = self.net.watch.as_mut().and_then(|watch| watch.before.take()) {
            self.check_put(queue, rules);
        }
    }

    fn watch_ran(&mut self, queue: QueueNo, began: u64, count: u64, served: Marks) {
        let now = self.clock_now();
        let ran_ns = now.saturating_sub(began).checked_div(count).unwrap_or(0);
        if let Some(watch) = &mut self.net.watch
            && let Some(key) = self.net.pairs.key_at(queue >> 1)
            && let Some(timed) =
                watch.queues.iter_mut().find(|t| t.pair == key && t.side == side_of(queue))
        {
            timed.times.service.record(ran_ns, count);
        }
        self.settle_watch(now, Some(Ran { queue, ran_ns, served }));
    }

    /// A queue's service procedure is about to run.
    fn watch_service(&mut self, queue: QueueNo) -> Service {
        let now = self.clock_now();
        self.watch_settled(now);
        let mut service = Service { began: now, held: 0, queued: Marks::default() };
        if let Some(pair) = self.net.pairs.at(queue >> 1) {
            let consumed = self.net.stats.of(pair.node).consumed;
            let held = &pair.queues[(queue & 1) as usize].held;
            service.held = held.len();
            held.iter().for_each(|msg| service.queued.add(msg));
            if let Some(watch) = &mut self.net.watch {
                watch.consumed = consumed;
            }
        }
        service
    }

    /// The service procedure has returned.
    fn watch_served(&mut self, queue: QueueNo, service: &Service) {
        let held = self.net.queue(queue).map_or(0, |q| q.held.len());
        let count = service.held.saturating_sub(held) as u64;
        self.watch_ran(queue, service.began, count, service.queued);
    }

    /// Something ran that puts no messages: a timer, a relieved end, a program at a head.
    pub(crate) fn watch_settled(&mut self, now: u64) {
        self.settle_watch(now, None);
    }

    /// The time, when something is watched.
    #[inline]
    pub(crate) fn watch_clock(&self) -> Option<u64> {
        self.net.watch.as_ref().map(|_| self.clock_now())
    }

    /// A device takes its backlog: what was queued for it and is not any more was sent.
    pub(crate) fn watch_backlog(&mut self, driver: NodeId) {
        let Some(Node::Driver(_, pair)) = self.nodes.get(driver.0) else { return };
        let pair = *pair;
        let queue = queue_no(pair, Side::Write);
        let before: Vec<u8> = match self.net.queue(queue) {
            Some(q) => q.held.iter().map(|msg| msg.flags().trace()).filter(|m| *m > 0).collect(),
            None => return,
        };
        if let Some(Node::Driver(d, _)) = self.nodes.get_mut(driver.0) {
            d.writable(&mut self.net, driver, pair);
        }
        let left = |q: &crate::queue::Queue, mark: u8| {
            q.held.iter().any(|msg| msg.flags().trace() == mark)
        };
        let sent: Vec<u8> = match self.net.queue(queue) {
            Some(q) => before.into_iter().filter(|&mark| !left(q, mark)).collect(),
            None => return,
        };
        if let Some(trace) = self.net.watch.as_mut().and_then(|watch| watch.trace.as_mut()) {
            sent.into_iter().for_each(|mark| trace.ended(mark, End::Sent));
        }
        let now = self.clock_now();
        self.settle_watch(now, None);
    }

    fn settle_watch(&mut self, now: u64, ran: Option<Ran>) {
        let Some(mut watch) = self.net.watch.take() else { return };
        if let Some(trace) = watch.trace.as_mut().filter(|trace| trace.is_live()) {
            trace.settle(&self.seen(now, ran, watch.consumed));
        }
        let pairs = &self.net.pairs;
        watch.queues.retain(|timed| pairs.get(timed.pair).is_some());
        for timed in &mut watch.queues {
            timed.settle(self, now);
        }
        self.net.watch = Some(watch);
    }

    fn seen(&mut self, now: u64, ran: Option<Ran>, consumed: u64) -> Seen {
        let mut seen = Seen { now, ..Seen::default() };
        if let Some((_, msg)) = &self.net.slot {
            seen.posted.add(msg);
        }
        let posted = self.net.inboxes.iter().flat_map(|inbox| inbox.iter());
        posted.for_each(|msg| seen.posted.add(msg));
        let Some(Ran { queue, ran_ns, served }) = ran else { return seen };
        (seen.ran_ns, seen.served) = (ran_ns, served);
        if let Some(q) = self.net.queue(queue) {
            q.held.iter().for_each(|msg| seen.queued.add(msg));
        }
        let node = self.net.pairs.at(queue >> 1).map_or(NONE, |pair| pair.node);
        seen.beyond = match self.nodes.at(node) {
            Some(Node::Head(_)) => Some(End::Delivered),
            Some(Node::Driver(..)) => Some(End::Sent),
            _ => None,
        };
        seen.consumed = node != NONE && self.net.stats.of(node).consumed > consumed;
        seen
    }
}

impl Watch {
    /// One message at the boundary in front of a queue.
    fn see(&mut self, core: &Perimeter, queue: QueueNo, msg: &mut Msg, batch: u32, now: u64) {
        let (pair_no, side) = (queue >> 1, side_of(queue));
        let Some(pair) = core.net.pairs.at(pair_no) else { return };
        if let Some(trace) = &mut self.trace {
            let here = core.streams.key_at(pair.stream) == Some(trace.stream().0);
            if trace.wants(msg, here, side) {
                trace.hop(core.place(pair_no), side, msg, batch, now);
            }
        }
        let Some(spying) = &mut self.spy else { return };
        let here = |streams: &Vec<StreamId>| {
            streams.iter().any(|stream| Some(stream.0) == core.streams.key_at(pair.stream))
        };
        if !spying.streams.as_ref().is_none_or(here) {
            return;
        }
        let [above, below] = match side {
            Side::Read => [pair_no, pair.down()],
            Side::Write => [pair.up(), pair_no],
        };
        let number = |pair: u32| {
            core.net
                .pairs
                .key_at(pair)
                .map_or(u64::MAX, |key| u64::from(key.generation) << 32 | u64::from(key.index))
        };
        let sight = Sight {
            boundary: [number(above), number(below)],
            side,
            wall_ns: core.net.now.wrapping_add(core.net.wall_offset),
            places: &|| [above, below].map(|pair| core.place(pair)),
        };
        spying.spy.see(&sight, msg);
    }
}

impl Net {
    /// A message is freed by a node; whoever follows it is told.
    #[inline]
    pub(crate) fn note_end(&mut self, msg: &Msg, end: End) {
        if msg.flags().trace() != 0 {
            self.tell_end(msg.flags().trace(), end);
        }
    }

    #[cold]
    fn tell_end(&mut self, mark: u8, end: End) {
        if let Some(trace) = self.watch.as_mut().and_then(|watch| watch.trace.as_mut()) {
            trace.ended(mark, end);
        }
    }
}

impl QueueTimes {
    fn new(place: Place, side: Side) -> Self {
        Self {
            place,
            side,
            inbox: Histogram::default(),
            queue: Histogram::default(),
            service: Histogram::default(),
            blocked: Vec::new(),
        }
    }

    fn blame(&mut self, place: Place, side: Side, ns: u64) {
        match self.blocked.iter_mut().find(|(p, s, _)| *p == place && *s == side) {
            Some((_, _, sum)) => *sum += ns,
            None => self.blocked.push((place, side, ns)),
        }
        self.blocked.sort_by_key(|&(_, _, ns)| core::cmp::Reverse(ns));
    }
}

impl Timed {
    fn settle(&mut self, core: &Perimeter, now: u64) {
        let queue = queue_no(self.pair.index, self.side);
        let Some(q) = core.net.queue(queue) else { return };
        let slot = core.net.slot.as_ref().is_some_and(|(to, _)| *to == queue);
        let inbox = core.net.inbox(queue).map_or(0, |inbox| inbox.len());
        self.inbox.settle(inbox + usize::from(slot), now, &mut self.times.inbox);
        self.held.settle(q.held.len(), now, &mut self.times.queue);
        // What waits here waits for the queue that flow control looks at, when that one refused.
        let target = core.net.queue(core.net.next_of(queue)).map_or(NONE, |next| next.target);
        let refuses = |q: &crate::queue::Queue| q.flags & (WANT_WRITE | WANT_BAND) != 0;
        let holds = !q.held.is_empty();
        let by = Some(target).filter(|_| holds && core.net.queue(target).is_some_and(refuses));
        match (self.refused, by) {
            (Some((before, _)), Some(by)) if before == by => {}
            (before, by) => {
                if let Some((before, since)) = before {
                    let ns = now.saturating_sub(since);
                    self.times.blame(core.place(before >> 1), side_of(before), ns);
                }
                self.refused = by.map(|by| (by, now));
            }
        }
    }

    /// The times, with what blocks now counted up to now.
    fn view(&self, core: &Perimeter, now: u64) -> QueueTimes {
        let mut times = self.times.clone();
        if let Some((by, since)) = self.refused {
            times.blame(core.place(by >> 1), side_of(by), now.saturating_sub(since));
        }
        times
    }
}

impl core::fmt::Debug for Sight<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sight").field("boundary", &self.boundary).field("side", &self.side).finish()
    }
}
