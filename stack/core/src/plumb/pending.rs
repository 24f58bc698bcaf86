//! Changes that take time: what a stream waits for, who waits behind it, and how it goes on.
//!
//! At most one step of a stream is pending. Changes asked for meanwhile wait in order, each with
//! its ticket; an [`Event::Changed`] says how each ended.

use super::error::PlumbError;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::module::Module;
use crate::mux::Upper;
use crate::net::{Event, NONE, Net, QueueNo, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::queue::{DRAINING, Side};
use crate::slab::Key;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Names a change that is pending; its [`Event::Changed`] carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// How far a change of a stream has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<T = ()> {
    /// It is done; what it gives.
    Done(T),
    /// A module or multiplexor takes its time, or an earlier change of the stream does: an
    /// [`Event::Changed`] with this ticket follows. What the change would give is let go then.
    Pending(Ticket),
}

impl<T> Change<T> {
    /// What the change gave, when it is done already.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Pending(_) => None,
        }
    }

    /// The ticket, while the change is not done.
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Done(_) => None,
            Self::Pending(ticket) => Some(*ticket),
        }
    }
}

/// How a pending step of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The module or multiplexor says that its open is done, or has failed.
    Opened(Result<(), Errno>),
    /// It says that its close is done.
    Closed,
    /// A queue that held what a close waits for holds nothing any more.
    Drained,
    /// It said nothing for the stream's close time.
    Late,
    /// The stream is being closed: nobody waits for an open any more.
    Abandoned,
}

/// What a stream waits for.
pub(super) enum Doing {
    /// The open of the module of a pair, which takes the place of another.
    Open { pair: u32, before: Option<Before> },
    /// The close of the module of a pair.
    Leave { pair: u32 },
    /// The multiplexor's open of the stream.
    UpperOpen,
    /// The multiplexor's close of the stream.
    UpperClose,
    /// What was sent before the close: the device's backlog, or what modules hold at the other
    /// end of a pipe.
    Backlog,
}

/// A module that comes back when its successor does not open.
pub(super) struct Before {
    pub(super) module: Box<dyn Module>,
    /// Tokens and deadlines.
    pub(super) timers: Vec<(u64, u64)>,
}

/// A step of a change: done, or to be waited for.
pub(super) enum Progress<T> {
    Done(T),
    Wait(Doing),
}

/// A place in a stream.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Just below the top.
    Top,
    /// Counted from the bottom.
    At(usize),
}

/// A change that waits for its turn.
pub(super) enum Op {
    Insert(Place, Box<dyn Module>),
    Remove(Place),
    Replace(Place, Box<dyn Module>),
    Link(NodeId),
    Unlink,
}

/// The streams of which a change is pending.
#[derive(Default)]
pub(crate) struct Changes {
    works: BTreeMap<StreamId, Work>,
    last: u64,
}

/// The changes of one stream.
struct Work {
    /// `None` only while the next step is begun.
    doing: Option<Doing>,
    /// Who asked for the step; nobody when it is part of a close.
    asked: Option<Ticket>,
    /// The stream is being closed.
    closing: Option<Ticket>,
    /// The close has waited long enough for what was sent before it.
    hurries: bool,
    waiting: VecDeque<(Ticket, Op)>,
}

/// So many changes of one stream may wait: a script in a loop ends here.
const WAITING_MAX: usize = 64;

impl Changes {
    fn ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }
}

impl Doing {
    /// Is this the answer that is waited for?
    fn awaits(&self, answer: Answer) -> bool {
        match self {
            Self::Open { .. } | Self::UpperOpen => {
                !matches!(answer, Answer::Closed | Answer::Drained)
            }
            Self::Leave { .. } | Self::UpperClose => {
                matches!(answer, Answer::Closed | Answer::Late)
            }
            Self::Backlog => matches!(answer, Answer::Drained | Answer::Late),
        }
    }
}

impl Perimeter {
    /// The ticket of the change that a stream is busy with.
    pub fn pending(&self, stream: StreamId) -> Option<Ticket> {
        self.changes.works.get(&stream).and_then(|work| work.asked.or(work.closing))
    }

    /// Closes a stream: unlinks it if it is linked, takes the modules out from the top (each is
    /// drained downward first), waits at most its close time until what was sent has left (the
    /// backlog of the device, or of a multiplexor that does not take it over, what modules hold at
    /// the other end of a pipe), then lets the multiplexor or driver go. Changes that wait end with
    /// [`PlumbError::Closed`]; a pending open is abandoned.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`]; [`PlumbError::Closed`] when it is being closed already.
    pub fn close(&mut self, stream: StreamId) -> Result<Change, PlumbError> {
        self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        if self.close_of_linked(stream)? {
            return Ok(Change::Done(()));
        }
        if !self.changes.works.contains_key(&stream) {
            let progress = self.close_now(stream)?;
            let change = self.begun(stream, progress);
            if let Some(work) = self.changes.works.get_mut(&stream) {
                work.closing = work.asked.take();
            }
            return Ok(change);
        }
        let ticket = self.changes.ticket();
        let work = self.changes.works.get_mut(&stream).ok_or(PlumbError::NoStream)?;
        if work.closing.is_some() {
            return Err(PlumbError::Closed);
        }
        work.closing = Some(ticket);
        for (waited, _) in work.waiting.drain(..) {
            self.net.events.push_back(Event::Changed(waited, Err(PlumbError::Closed)));
        }
        self.step_ended(stream, Answer::Abandoned);
        Ok(Change::Pending(ticket))
    }

    /// Is a change of the stream pending? Another one waits for it then.
    pub(super) fn is_busy(&self, stream: StreamId) -> Result<bool, PlumbError> {
        match self.changes.works.get(&stream) {
            Some(work) if work.closing.is_some() => Err(PlumbError::Closed),
            Some(work) if work.waiting.len() >= WAITING_MAX => Err(PlumbError::Busy),
            work => Ok(work.is_some()),
        }
    }

    /// Lets a change wait for its turn.
    pub(super) fn later<T>(&mut self, stream: StreamId, op: Op) -> Change<T> {
        let ticket = self.changes.ticket();
        if let Some(work) = self.changes.works.get_mut(&stream) {
            work.waiting.push_back((ticket, op));
        }
        Change::Pending(ticket)
    }

    /// The first step of a change of a stream that is not busy.
    pub(super) fn begun<T>(&mut self, stream: StreamId, progress: Progress<T>) -> Change<T> {
        let doing = match progress {
            Progress::Done(value) => return Change::Done(value),
            Progress::Wait(doing) => doing,
        };
        let ticket = self.changes.ticket();
        let (asked, waiting) = (Some(ticket), VecDeque::new());
        let work = Work { doing: Some(doing), asked, closing: None, hurries: false, waiting };
        self.changes.works.insert(stream, work);
        self.limit(stream);
        Change::Pending(ticket)
    }

    /// The first answer that a dispatch has left.
    pub(crate) fn take_answer(&mut self) {
        let Some((pair, answer)) = self.net.answers.pop_front() else { return };
        let Some(stream) = self.net.pairs.get(pair).map(|p| p.stream) else { return };
        let Some(stream) = self.streams.key_at(stream).map(StreamId) else { return };
        if answer == Answer::Drained {
            // What the other end of a pipe sent may have been here.
            self.step_ended(stream, answer);
            return self.peer(stream).into_iter().for_each(|peer| self.step_ended(peer, answer));
        }
        let awaited = match self.changes.works.get(&stream).and_then(|w| w.doing.as_ref()) {
            Some(Doing::Open { pair: waits, .. } | Doing::Leave { pair: waits }) => *waits,
            Some(Doing::UpperOpen | Doing::UpperClose) => self.bottom_of(stream),
            Some(Doing::Backlog) | None => NONE,
        };
        if awaited == pair.index {
            self.step_ended(stream, answer);
        }
    }

    /// Nothing was heard of a pending step in the stream's close time.
    #[cold]
    pub(crate) fn change_is_late(&mut self, token: u64) {
        let key = Key { index: token as u32, generation: (token >> 32) as u32 };
        self.step_ended(StreamId(key), Answer::Late);
    }

    /// A step is at its end when this is the answer it waits for: tells who asked, and goes on
    /// with what waits.
    fn step_ended(&mut self, stream: StreamId, answer: Answer) {
        let Some(work) = self.changes.works.get_mut(&stream) else { return };
        let Some(doing) = work.doing.take_if(|doing| doing.awaits(answer)) else { return };
        let asked = work.asked.take();
        work.hurries |= matches!(doing, Doing::Backlog) && answer == Answer::Late;
        self.net.timers.cancel(NONE, stream.number());
        let result = self.end_step(stream, doing, answer);
        self.tell(asked, result);
        self.go_on(stream);
    }

    /// Does what follows from the end of a step.
    fn end_step(
        &mut self,
        stream: StreamId,
        doing: Doing,
        answer: Answer,
    ) -> Result<(), PlumbError> {
        self.spill_slot();
        let result = match answer {
            Answer::Opened(result) => result.map_err(PlumbError::Refused),
            Answer::Late => Err(PlumbError::Refused(Errno::ETIME)),
            Answer::Abandoned => Err(PlumbError::Closed),
            Answer::Closed | Answer::Drained => Ok(()),
        };
        match doing {
            Doing::Open { pair, before } => self.opened(stream, pair, before, result),
            // Who does not answer leaves all the same (E80).
            Doing::Leave { pair } => {
                self.emit_held(pair);
                self.take_out(stream, pair);
                Ok(())
            }
            Doing::UpperOpen => {
                // A multiplexor that has refused knows; one that said nothing is told.
                let tell = matches!(answer, Answer::Late | Answer::Abandoned);
                self.upper_opened(stream, tell, result)
            }
            Doing::UpperClose => {
                self.dismantle(stream);
                Ok(())
            }
            Doing::Backlog => Ok(()),
        }
    }

    /// Does a close wait until what was sent before has left? Then a [`Answer::Drained`] follows.
    pub(super) fn waits_for_backlog(&mut self, stream: StreamId) -> bool {
        if self.changes.works.get(&stream).is_some_and(|work| work.hurries) {
            return false;
        }
        let queue = match self.peer(stream) {
            Some(peer) => self.holds_for(peer),
            None => self.backlog_of(self.bottom_of(stream)),
        };
        let Some(q) = queue.and_then(|queue| self.net.queue_mut(queue)) else { return false };
        if !q.held.is_empty() {
            q.set(DRAINING);
        }
        !q.held.is_empty()
    }

    /// The queue in which a device or multiplexor keeps what it could not take yet. Some
    /// multiplexors take it with them.
    fn backlog_of(&self, bottom: u32) -> Option<QueueNo> {
        match self.nodes.at(self.node_of(bottom)) {
            Some(Node::Mux(mux)) if mux.takes_backlog() => None,
            _ => Some(queue_no(bottom, Side::Write)),
        }
    }

    /// The first queue at an end of a pipe that holds something for its head.
    fn holds_for(&mut self, end: StreamId) -> Option<QueueNo> {
        let modules = self.modules(end).unwrap_or_default();
        modules.into_iter().map(|pair| queue_no(pair, Side::Read)).find(|&queue| {
            self.run_now(queue);
            self.net.queue(queue).is_some_and(|q| !q.held.is_empty())
        })
    }

    /// Begins what waits, until a step is pending again or nothing waits.
    fn go_on(&mut self, stream: StreamId) {
        while let Some(work) = self.changes.works.get_mut(&stream) {
            let (ticket, op) = match work.closing {
                Some(ticket) => (ticket, None),
                None => match work.waiting.pop_front() {
                    Some((ticket, op)) => (ticket, Some(op)),
                    None => break,
                },
            };
            let closes = op.is_none();
            let progress = match op {
                Some(op) => self.perform(stream, op),
                None => self.close_now(stream),
            };
            match progress {
                Ok(Progress::Wait(doing)) => {
                    if let Some(work) = self.changes.works.get_mut(&stream) {
                        work.doing = Some(doing);
                        work.asked = (!closes).then_some(ticket);
                    }
                    return self.limit(stream);
                }
                Ok(Progress::Done(())) => self.tell(Some(ticket), Ok(())),
                Err(why) => self.tell(Some(ticket), Err(why)),
            }
            if closes {
                break;
            }
        }
        self.changes.works.remove(&stream);
    }

    fn perform(&mut self, stream: StreamId, op: Op) -> Result<Progress<()>, PlumbError> {
        match op {
            Op::Insert(place, module) => self.insert_now(stream, place, module),
            Op::Remove(place) => self.remove_now(stream, place).map(Progress::quietly),
            Op::Replace(place, module) => {
                self.replace_now(stream, place, module).map(Progress::quietly)
            }
            Op::Link(mux) => self.link_now(mux, stream).map(|_| Progress::Done(())),
            Op::Unlink => self.unlink_now(stream).map(Progress::Done),
        }
    }

    fn tell(&mut self, ticket: Option<Ticket>, result: Result<(), PlumbError>) {
        if let Some(ticket) = ticket {
            self.net.events.push_back(Event::Changed(ticket, result));
        }
    }

    /// Bounds the pending step of a stream by its close time.
    fn limit(&mut self, stream: StreamId) {
        let head = self.streams.get(stream.0).map_or(NONE, |s| match s.head {
            Some(aside) => aside.0.index,
            None => self.node_of(s.top),
        });
        let wait_ms = match self.nodes.at(head) {
            Some(Node::Head(head)) => head.close_ms,
            _ => 0,
        };
        let at = self.net.now.saturating_add(u64::from(wait_ms) * 1_000_000);
        self.net.timers.set(NONE, stream.number(), at);
    }
}

impl Net {
    /// A queue of a pair holds nothing any more: who waits for that is told between two
    /// dispatches.
    pub(crate) fn drained(&mut self, pair: u32) {
        self.answer(pair, Answer::Drained);
    }

    fn answer(&mut self, pair: u32, answer: Answer) {
        if let Some(key) = self.pairs.key_at(pair) {
            self.answer_of(key, answer);
        }
    }

    /// What is said of a pair that is gone is not for the one in its place.
    fn answer_of(&mut self, pair: Key, answer: Answer) {
        if self.pairs.get(pair).is_some() {
            self.answers.push_back((pair, answer));
            // Of no pair: the perimeter takes the answer between two dispatches.
            self.relieved.push_back(NONE);
        }
    }
}

impl<T> Progress<T> {
    fn quietly(self) -> Progress<()> {
        match self {
            Self::Done(_) => Progress::Done(()),
            Self::Wait(doing) => Progress::Wait(doing),
        }
    }
}

/// What a node says of its pending operations.
impl Cx<'_> {
    /// The pending open of this module is done, or has failed: it is taken out then, without
    /// `close`, and what was held for it goes on.
    pub fn open_done(&mut self, result: Result<(), Errno>) {
        self.net.answer(self.pair, Answer::Opened(result));
    }

    /// The pending close of this module is done.
    pub fn close_done(&mut self) {
        self.net.answer(self.pair, Answer::Closed);
    }

    /// The pending open of an upper is done, or has failed: its stream is closed then.
    pub fn upper_opened(&mut self, upper: Upper, result: Result<(), Errno>) {
        self.net.answer_of(upper.pair, Answer::Opened(result));
    }

    /// The pending close of an upper is done.
    pub fn upper_closed(&mut self, upper: Upper) {
        self.net.answer_of(upper.pair, Answer::Closed);
    }
}
