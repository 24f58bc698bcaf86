//! monitor: looks at put and service procedures from outside and counts where they break the rules
//! of queues. It is part of `watch`: off, a dispatch does not know of it.
//!
//! Only modules with a service procedure on the side that runs are bound by the rules: the others
//! have no queue to put a message into.

use crate::net::{NONE, QueueNo};
use crate::perimeter::{Node, Perimeter};
use crate::queue::{BANDED, ENABLED, SERVICE, WANT_BAND, WANT_WRITE};
use crate::stat::NodeStat;

/// A rule that a module has broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Violation {
    /// An ordinary message went past others that wait in the module's own queue (D2).
    Overtaken,
    /// A high-priority message was put back on the own queue, which enables it for ever (C27).
    HighPutBack,
    /// Ordinary messages were put on although there was no room: nobody had asked, or the answer
    /// was not heeded (C20).
    Unasked,
    /// A service procedure left messages behind with nothing that would call it again: no refusal
    /// ahead, no timer, no bufcall, no `qenable` (D4).
    Stranded,
}

impl Violation {
    /// A sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Overtaken => "an ordinary message overtook the own queue",
            Self::HighPutBack => "a high-priority message was put back",
            Self::Unasked => "messages were put without room ahead",
            Self::Stranded => "a service procedure left messages that nothing will fetch",
        }
    }
}

/// How a module's queue and what is ahead of it were before a dispatch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    held: usize,
    /// Messages put on in this direction so far.
    put: u64,
    /// There was room for ordinary messages of band 0 ahead.
    room: bool,
    /// What came was ordinary.
    pub(crate) ordinary: bool,
}

impl Perimeter {
    /// Counts breaches of the rules of queues from now on, or no more: see
    /// [`NodeStat::violations`]. Every dispatch is looked at meanwhile.
    pub fn set_monitor(&mut self, on: bool) {
        if on {
            self.watched().monitor = true;
        } else if let Some(watch) = &mut self.net.watch {
            watch.monitor = false;
            self.rest();
        }
    }

    /// Before a dispatch of a queue, when it is monitored and bound by the rules.
    pub(crate) fn before_dispatch(&self, queue: QueueNo) -> Option<Before> {
        let pair = self.net.pairs.at(queue >> 1)?;
        let q = &pair.queues[(queue & 1) as usize];
        if !q.has(SERVICE) || !matches!(self.nodes.at(pair.node), Some(Node::Module(..))) {
            return None;
        }
        let target = self.net.queue(self.net.next_of(queue)).map_or(NONE, |next| next.target);
        Some(Before {
            held: q.held.len(),
            put: self.put_on(queue),
            room: self.net.has_room(target, 0, 0),
            ordinary: true,
        })
    }

    /// After a put procedure.
    pub(crate) fn check_put(&mut self, queue: QueueNo, before: Before) {
        if before.ordinary && before.held > 0 && self.put_on(queue) > before.put {
            let held = self.net.queue(queue).map_or(0, |q| q.held.len());
            if held >= before.held {
                self.violated(queue, Violation::Overtaken);
            }
        }
        self.check_room(queue, before);
    }

    /// After a service procedure.
    pub(crate) fn check_service(&mut self, queue: QueueNo, before: Before) {
        self.check_room(queue, before);
        let ahead = self.net.queue(self.net.next_of(queue)).map_or(NONE, |next| next.target);
        let waits = |q: QueueNo, flags: u16| self.net.queue(q).is_some_and(|q| q.has(flags));
        let held = self.net.queue(queue).is_some_and(|q| !q.held.is_empty());
        let left = held && !waits(queue, ENABLED);
        let refused = waits(ahead, WANT_WRITE) || waits(ahead, WANT_BAND);
        let node = self.net.pairs.at(queue >> 1).map_or(NONE, |pair| pair.node);
        if left && !refused && !self.net.timers.has(node) && !self.net.bufcalls.waits(node) {
            self.violated(queue, Violation::Stranded);
        }
    }

    /// Bands have records of their own, and a put of one says nothing about band 0.
    fn check_room(&mut self, queue: QueueNo, before: Before) {
        let target = self.net.queue(self.net.next_of(queue)).map_or(NONE, |next| next.target);
        let banded = self.net.queue(target).is_none_or(|q| q.has(BANDED));
        if before.ordinary && !before.room && !banded && self.put_on(queue) > before.put {
            self.violated(queue, Violation::Unasked);
        }
    }

    /// Messages that the node of a queue has put on in its direction.
    fn put_on(&self, queue: QueueNo) -> u64 {
        let node = self.net.pairs.at(queue >> 1).map_or(NONE, |pair| pair.node);
        self.net.stats.view(node).msgs_out[(queue & 1) as usize]
    }

    fn violated(&mut self, queue: QueueNo, violation: Violation) {
        if let Some(node) = self.net.pairs.at(queue >> 1).map(|pair| pair.node) {
            self.net.stat(node).violate(violation);
        }
    }
}

impl NodeStat {
    /// Counts a breach of a rule.
    pub(crate) fn violate(&mut self, violation: Violation) {
        match self.violations.iter_mut().find(|(known, _)| *known == violation) {
            Some((_, count)) => *count += 1,
            None => self.violations.push((violation, 1)),
        }
    }
}
