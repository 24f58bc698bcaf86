//! The run loop: the slot, inboxes, service procedures, timers, and one dispatch of each kind.

use crate::cx::{Charge, Cx};
use crate::flow::Due;
use crate::inbox::Ticket;
use crate::mux::{Lower, Upper};
use crate::net::{Event, NONE, Net, QueueNo, Role, queue_no, side_of};
use crate::perimeter::{Node, NodeId, Perimeter, Turn};
use crate::plumb::gate;
use crate::queue::{BANDED, ENABLED, RELIEVED, SERVICE, Side};
use crate::slab::Key;
use millstream_msg::{Kind, Msg, MsgList};

impl Perimeter {
    /// Runs timers that have expired at `now`, then inboxes and service procedures until nothing
    /// is left or about `budget` dispatches are done.
    pub fn turn(&mut self, now: u64, budget: usize) -> Turn {
        let turn = self.run(now, budget);
        self.net.pool.run_deferred();
        turn
    }

    /// A turn behind which more comes: what was put off until the stack rests
    /// ([`Cx::at_rest`](crate::Cx::at_rest)) waits on. Whoever calls it calls [`Perimeter::turn`]
    /// before it sleeps.
    pub fn turn_on(&mut self, now: u64, budget: usize) -> Turn {
        self.net.restless = true;
        let turn = self.turn(now, budget);
        self.net.restless = false;
        turn
    }

    /// Has [`Perimeter::turn_on`] left something for a turn that rests?
    pub fn has_put_off(&self) -> bool {
        !self.net.resting.is_empty()
    }

    /// A turn without the pool's housekeeping: cells that came home by other ways than
    /// `Pool::free` stay visible. The test kit finds messages that fell out of scope by them.
    pub fn run(&mut self, now: u64, budget: usize) -> Turn {
        self.net.now = self.net.now.max(now);
        self.net.attribute(None);
        if let Some(now) = self.watch_clock() {
            self.watch_settled(now);
        }
        let mut left = budget;
        // Timers get at most half of a turn.
        while left > budget / 2
            && let Some((node, token)) = self.net.timers.expire(self.net.now)
        {
            left -= 1;
            self.fire(node, token);
            self.net.attribute(None);
            if let Some(now) = self.watch_clock() {
                self.watch_settled(now);
            }
        }
        if !self.net.bufcalls.is_empty() {
            self.run_bufcalls();
        }
        let mut puts = 0;
        while left > 0 {
            // The trampoline: one message alone in flight goes from hop to hop in this loop.
            let most = left.min(PUTS_PER_SERVICE - puts);
            let mut hops = most;
            while hops > 0
                && let Some((queue, msg)) = self.net.slot.take()
            {
                hops -= 1;
                self.net.direct = true;
                self.hop(queue, msg);
            }
            let done = most - hops;
            left -= done;
            puts += done;
            if left == 0 || !self.step(&mut puts) {
                break;
            }
            left -= 1;
        }
        let next = self.look_for_memory(self.net.timers.next());
        Turn { more: !self.net.idle(), next }
    }

    /// Runs one thing: an inbox, a relieved end, or a service procedure. The slot is run first, in
    /// the loop that calls this.
    fn step(&mut self, puts: &mut usize) -> bool {
        if *puts >= PUTS_PER_SERVICE {
            *puts = 0;
            if self.serve_one() || self.net.slot.is_some() {
                return true;
            }
        }
        if let Some((queue, inbox)) = self.net.inboxes.pop() {
            *puts += 1;
            self.run_taken(queue, inbox);
            return true;
        }
        *puts = 0;
        self.serve_one() || self.rest_one()
    }

    /// Calls one node that wanted to be called when nothing else is left to do.
    fn rest_one(&mut self) -> bool {
        if self.net.restless {
            return false;
        }
        let Some((node, token)) = self.net.resting.pop() else { return false };
        self.fire(node, token);
        self.net.attribute(None);
        true
    }

    /// Obeys one ioctl, calls one relieved end, or runs one service procedure; false when none
    /// waits.
    fn serve_one(&mut self) -> bool {
        if !self.net.unknown.is_empty() {
            self.next_unknown();
        } else if let Some(queue) = self.net.relieved.pop_front() {
            self.spill_slot();
            self.relieve_end(queue);
            self.net.attribute(None);
            if let Some(now) = self.watch_clock() {
                self.watch_settled(now);
            }
        } else if let Some(queue) = self.net.serve.pop_front() {
            self.spill_slot();
            self.serve(queue);
        } else {
            return false;
        }
        true
    }

    /// Runs one queue's inbox before its turn.
    pub(crate) fn run_inbox(&mut self, queue: QueueNo) {
        let inbox = self.net.take_inbox(queue);
        self.run_taken(queue, inbox);
    }

    /// Runs what was in a queue's inbox: alone when it is one message, as a batch otherwise.
    #[inline]
    fn run_taken(&mut self, queue: QueueNo, inbox: MsgList) {
        match inbox.into_one() {
            Ok(msg) => {
                self.net.reopen();
                self.until_timed = self.until_timed.wrapping_sub(1);
                self.put_one(queue, msg);
            }
            Err(batch) if batch.is_empty() => {}
            Err(batch) => self.put_batch(queue, batch),
        }
    }

    /// Puts one message to the node of a queue. Straight through for what nearly always happens: a
    /// module without a service procedure passes a message of band 0 on.
    #[inline(always)]
    fn hop(&mut self, queue: QueueNo, msg: Msg) {
        let side = side_of(queue);
        let at = side as usize;
        self.until_timed = self.until_timed.wrapping_sub(1);
        if let Some(pair) = self.net.pairs.at(queue >> 1)
            && msg.band().0 == 0
            && !pair.queues[at].has(SERVICE)
            && self.until_timed != 0
            && let Some(Node::Module(module, _)) = self.nodes.at_mut(pair.node)
            && self.net.stats.straight(pair.stat, at, msg.len() as u32)
        {
            let len = msg.len() as u32;
            let (node, next) = (pair.node, pair.next(side));
            let mut cx = Cx::one(&mut self.net, node, queue, next, Charge::One(len));
            match side {
                Side::Read => module.rput(&mut cx, msg),
                Side::Write => module.wput(&mut cx, msg),
            }
            if !cx.passed_straight() {
                cx.end_single();
            }
            return;
        }
        self.put_one(queue, msg);
    }

    /// As [`Perimeter::put_one`], looked at from outside: see `watch`.
    #[cold]
    fn put_timed(&mut self, queue: QueueNo, msg: Msg) {
        let Some(pair) = self.net.pairs.at_mut(queue >> 1) else { return self.net.lose(msg) };
        pair.queues[side_of(queue) as usize].inbox = Ticket::NONE;
        let node = pair.node;
        let (timed, mut batch) = self.start_timing(queue, single(msg));
        // It is not looked at a second time: the count has begun anew.
        self.put_one(queue, batch.pop().expect("what is watched comes back"));
        self.stop_timing(timed, queue, node, 1);
    }

    /// Puts one message to whatever node a queue belongs to.
    #[inline(never)]
    fn put_one(&mut self, queue: QueueNo, msg: Msg) {
        if self.until_timed == 0 {
            return self.put_timed(queue, msg);
        }
        let side = side_of(queue);
        let at = side as usize;
        let Some(pair) = self.net.pairs.at_mut(queue >> 1) else { return self.net.lose(msg) };
        let (node, next, len) = (pair.node, pair.next(side), msg.len() as u32);
        let (target, service) = (pair.queues[at].target, pair.queues[at].has(SERVICE));
        pair.queues[at].inbox = Ticket::NONE;
        let mut place = pair.stat;
        if target == queue
            && let Some(Node::Head(head)) = self.nodes.at_mut(node)
        {
            head.taken.count(1, len);
            if msg.kind() == Kind::Data && msg.band().0 == 0 {
                return head.put_plain(&mut self.net, queue, msg);
            }
            place = NONE;
        } else if place == NONE {
            place = self.net.stats.place(node);
            pair.stat = place;
        }
        let charge = if msg.band().0 != 0 {
            self.net.discharge(target, &msg);
            Charge::Eased(target)
        } else if service || target == queue {
            // At the end of a stream nothing is passed on with its charge.
            Charge::Due(Due { target, bytes: len, msgs: 1 })
        } else {
            Charge::One(len)
        };
        let mut cx = Cx::one(&mut self.net, node, queue, next, charge);
        match self.nodes.at_mut(node) {
            Some(Node::Module(module, _)) => match side {
                Side::Read => module.rput(&mut cx, msg),
                Side::Write => module.wput(&mut cx, msg),
            },
            other => put_elsewhere(other, &mut cx, queue, msg),
        }
        let passed = cx.passed_straight();
        cx.end();
        self.net.stats.count_put(place, at, len, passed);
    }

    fn put_batch(&mut self, queue: QueueNo, batch: MsgList) {
        let side = side_of(queue);
        let Some(pair) = self.net.pairs.at_mut(queue >> 1) else { return };
        let (node, role, cookie) = (pair.node, pair.role, pair.cookie);
        let (next, target) = (pair.next(side), pair.queues[side as usize].target);
        pair.queues[side as usize].inbox = Ticket::NONE;
        let count = batch.len() as u64;
        let banded = self.net.queue(target).is_some_and(|q| q.has(BANDED));
        let charge = if banded {
            self.net.discharge_batch(target, &batch);
            Charge::Eased(target)
        } else {
            Charge::Due(Due { target, bytes: batch.bytes(), msgs: count as u32 })
        };
        if target == queue
            && let Some(Node::Head(head)) = self.nodes.at_mut(node)
        {
            head.taken.count(count, batch.bytes());
        } else {
            let stat = self.net.stat(node);
            stat.calls[side as usize] += 1;
            stat.msgs_in[side as usize] += count;
            stat.bytes_in[side as usize] += u64::from(batch.bytes());
        }
        self.until_timed = self.until_timed.wrapping_sub(1);
        let (timed, batch) = self.start_batch(queue, batch);
        self.net.direct = false;
        let mut cx = Cx::many(&mut self.net, node, queue, next, charge);
        match self.nodes.at_mut(node) {
            Some(Node::Module(module, _)) => match side {
                Side::Read => module.rput_batch(&mut cx, batch),
                Side::Write => module.wput_batch(&mut cx, batch),
            },
            Some(Node::Mux(mux)) => {
                let pair = cx.net.pairs.key_at(queue >> 1).expect("the pair was just read");
                match role {
                    Role::Lower => mux.lrput_batch(&mut cx, Lower { pair, cookie }, batch),
                    Role::Opening => gate::upper(&mut **mux, &mut cx, pair, cookie, batch),
                    _ => mux.uwput_batch(&mut cx, Upper { pair, cookie }, batch),
                }
            }
            Some(Node::Pending(module, _)) => gate::module(&mut **module, &mut cx, batch),
            other => put_end(other, cx.net, node, queue >> 1, batch),
        }
        cx.end();
        self.net.reopen();
        self.stop_timing(timed, queue, node, count);
    }

    fn serve(&mut self, queue: QueueNo) {
        if self.net.watch.is_some() {
            return self.serve_watched(queue);
        }
        self.run_service(queue);
    }

    #[inline(always)]
    pub(crate) fn run_service(&mut self, queue: QueueNo) {
        let (pair_no, side) = (queue >> 1, side_of(queue));
        let Some(pair) = self.net.pairs.at_mut(pair_no) else { return };
        if !pair.queues[side as usize].has(ENABLED) {
            return;
        }
        pair.queues[side as usize].clear(ENABLED);
        let (node, role, cookie) = (pair.node, pair.role, pair.cookie);
        let next = pair.next(side);
        if next == NONE && role == Role::Sole && side == Side::Read {
            // A head: its reader serves the queue.
            return;
        }
        self.net.stat(node).services[side as usize] += 1;
        // Outputs of a service procedure are usually many: they go to inboxes.
        self.net.direct = false;
        let mut cx = Cx::many(&mut self.net, node, queue, next, Charge::Nothing);
        match self.nodes.at_mut(node) {
            Some(Node::Module(module, _)) => match side {
                Side::Read => module.rsrv(&mut cx),
                Side::Write => module.wsrv(&mut cx),
            },
            Some(Node::Mux(mux)) => {
                if let Some(pair) = cx.net.pairs.key_at(pair_no) {
                    match role {
                        Role::Lower => mux.lrsrv(&mut cx, Lower { pair, cookie }),
                        _ => mux.uwsrv(&mut cx, Upper { pair, cookie }),
                    }
                }
            }
            // A device's readiness serves this queue.
            Some(Node::Head(_) | Node::Driver(..) | Node::Pending(..) | Node::Pipe) | None => {}
        }
        cx.end();
        self.net.reopen();
    }

    /// Flow control ahead of the end of a stream has gone.
    fn relieve_end(&mut self, queue: QueueNo) {
        let (pair_no, side) = (queue >> 1, side_of(queue));
        let Some(pair) = self.net.pairs.at_mut(pair_no) else { return self.take_answer() };
        if !pair.queues[side as usize].has(RELIEVED) {
            return;
        }
        pair.queues[side as usize].clear(RELIEVED);
        let (node, role, cookie) = (pair.node, pair.role, pair.cookie);
        match self.nodes.at_mut(node) {
            Some(Node::Head(head)) => head.relieved(&mut self.net, pair_no),
            Some(Node::Driver(driver, _)) => {
                driver.read_blocked = false;
                if let Some(key) = self.nodes.key_at(node) {
                    self.net.events.push_back(Event::ReadResumed(NodeId(key)));
                }
            }
            Some(Node::Mux(mux)) => {
                let Some(pair) = self.net.pairs.key_at(pair_no) else { return };
                let mut cx = Cx::new(&mut self.net, node, pair_no, side);
                match role {
                    Role::Lower => mux.lower_relieved(&mut cx, Lower { pair, cookie }),
                    _ => mux.upper_relieved(&mut cx, Upper { pair, cookie }),
                }
            }
            // A module without a service procedure cannot wait.
            Some(Node::Module(..) | Node::Pending(..) | Node::Pipe) | None => {}
        }
    }

    fn fire(&mut self, node: u32, token: u64) {
        match self.nodes.at_mut(node) {
            Some(Node::Module(module, pair) | Node::Pending(module, pair)) => {
                let mut cx = Cx::new(&mut self.net, node, *pair, Side::Read);
                module.timer(&mut cx, token);
            }
            Some(Node::Mux(mux)) => {
                let pair = NONE;
                mux.timer(&mut Cx::new(&mut self.net, node, pair, Side::Read), token);
            }
            Some(Node::Head(head)) => {
                if let Some(stream) = self.streams.get(head.stream.0) {
                    head.ioctl_timer(&mut self.net, stream.top);
                }
            }
            None if node == NONE => self.change_is_late(token),
            _ => {}
        }
    }

    /// Puts a message that waits in the slot into its inbox, in front of all that comes later.
    pub(crate) fn spill_slot(&mut self) {
        self.net.spill_slot();
    }

    /// One dispatch in [`SAMPLE_EVERY`](crate::stat::SAMPLE_EVERY) is timed, when there is a
    /// clock; each one is looked at while something is watched.
    #[inline]
    fn start_batch(&mut self, queue: QueueNo, batch: MsgList) -> (Option<u64>, MsgList) {
        if self.until_timed != 0 {
            return (None, batch);
        }
        self.start_timing(queue, batch)
    }

    #[inline]
    fn stop_timing(&mut self, started: Option<u64>, queue: QueueNo, node: u32, msgs: u64) {
        if let Some(started) = started {
            self.timed(started, queue, node, msgs);
        }
    }

    pub(crate) fn cx_for(net: &mut Net, node: u32, pair: u32) -> Cx<'_> {
        Cx::new(net, node, pair, Side::Read)
    }

    /// Queue numbers of a pair, read side first.
    pub(crate) fn queues_of(pair: u32) -> [QueueNo; 2] {
        [queue_no(pair, Side::Read), queue_no(pair, Side::Write)]
    }
}

/// Puts one message to a node that is no module.
#[inline(never)]
fn put_elsewhere(node: Option<&mut Node>, cx: &mut Cx<'_>, queue: QueueNo, msg: Msg) {
    let mux = match node {
        Some(Node::Mux(mux)) => mux,
        Some(Node::Pending(module, _)) => return gate::module(&mut **module, cx, single(msg)),
        node => {
            let number = cx.node;
            return put_end(node, cx.net, number, queue >> 1, single(msg));
        }
    };
    let Some((pair, p)) = cx.net.pairs.entry_at(queue >> 1) else { return cx.net.lose(msg) };
    let (role, cookie) = (p.role, p.cookie);
    match role {
        Role::Lower => mux.lrput(cx, Lower { pair, cookie }, msg),
        Role::Opening => gate::upper(&mut **mux, cx, pair, cookie, single(msg)),
        _ => mux.uwput(cx, Upper { pair, cookie }, msg),
    }
}

fn single(msg: Msg) -> MsgList {
    let mut list = MsgList::new();
    list.push(msg);
    list
}

/// Puts at the ends of a stream that are neither modules nor multiplexors.
fn put_end(end: Option<&mut Node>, net: &mut Net, node: u32, pair: u32, batch: MsgList) {
    let Some(end) = end else { return batch.into_iter().for_each(|msg| net.lose(msg)) };
    match end {
        Node::Head(head) => head.put(net, node, pair, batch),
        Node::Driver(driver, _) => {
            let generation = driver.generation;
            driver.put(net, NodeId(Key { index: node, generation }), pair, batch);
        }
        Node::Pipe => crate::pipe::cross(net, node, pair, batch),
        Node::Module(..) | Node::Pending(..) | Node::Mux(_) => {}
    }
}

/// After so many dispatches of puts one service procedure runs even if puts go on: a ping-pong of
/// puts starves nobody.
const PUTS_PER_SERVICE: usize = 128;
