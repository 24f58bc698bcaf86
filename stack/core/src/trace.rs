//! trace: messages are picked at a stream and followed through every node, with what they looked
//! like there, how long they waited, how long the node worked and how they ended.
//!
//! A picked message carries the number of its trace in its flags, so its duplicates, fragments and
//! whatever takes its flags over belong to the same path.

use crate::module::Drop;
use crate::perimeter::StreamId;
use crate::queue::Side;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_msg::{Kind, Msg};

/// Which messages are followed.
pub struct Pick {
    /// Those that come to a queue of this stream.
    pub stream: StreamId,
    /// On their way up or down; both when absent.
    pub side: Option<Side>,
    /// Those that this is true of; all when absent.
    pub wanted: Option<Wanted>,
    /// So many, at most [`PATHS_MAX`] at a time.
    pub count: usize,
}

/// True for a message that is to be followed.
pub type Wanted = Box<dyn FnMut(&Msg, Side) -> bool + Send>;

/// The way of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// In the order of picking, from 1.
    pub number: usize,
    /// Where it was put, in order; at most [`HOPS_MAX`].
    pub hops: Vec<Hop>,
    /// How it ended; `None` while it goes on or waits.
    pub end: Option<End>,
}

/// One put of a message to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Where.
    pub place: Place,
    /// Which way it was going.
    pub side: Side,
    /// Its type.
    pub kind: Kind,
    /// Its band.
    pub band: u8,
    /// Its bytes.
    pub len: usize,
    /// Bytes of its first block: those of a control part.
    pub first_len: usize,
    /// A copy of its first bytes, at most [`BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Time between the node before and this one, in the inbox. Nanoseconds; `None` for the first.
    pub waited_ns: Option<u64>,
    /// The node's time for it: that of the dispatch divided by its messages. Nanoseconds.
    pub ran_ns: u64,
    /// Messages in the dispatch.
    pub batch: u32,
    /// Where it was after the put procedure had returned.
    pub stay: Stay,
    /// How long it was there, up to now if it still is. Nanoseconds.
    pub stayed_ns: u64,
}

/// A node, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the stream.
    pub stream: String,
    /// Name of the module, multiplexor, driver, or `head`.
    pub node: String,
    /// `head`, `module`, `mux` or `driver`.
    pub kind: &'static str,
    /// Position from the bottom, for modules.
    pub pos: Option<usize>,
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.pos {
            Some(pos) => write!(f, "{} at {pos} of {}", self.node, self.stream),
            None => write!(f, "{} of {}", self.node, self.stream),
        }
    }
}

/// What became of a message in a put procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stay {
    /// It went on, or ended.
    Passed,
    /// It was put on the node's queue.
    Queued,
    /// The node kept it: for a delay, an address that is to be resolved, a reassembly.
    Kept,
}

/// The end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was dropped where it was last.
    Dropped(Drop),
    /// It has done its work where it was last.
    Consumed,
    /// A device has taken it.
    Sent,
    /// It is at a stream head, for whoever reads there.
    Delivered,
}

/// Paths followed at once.
pub const PATHS_MAX: usize = 64;
/// Hops of one path: a packet that goes round in circles.
pub const HOPS_MAX: usize = 64;
/// Headers of all layers with options, and some payload. Bytes.
pub const BYTES_MAX: usize = 192;

/// A trace that is switched on.
pub(crate) struct Trace {
    pick: Pick,
    /// The last mark given; marks go round, so that one of an earlier trace is not soon mistaken.
    mark: u8,
    picked: usize,
    open: Vec<Open>,
    done: Vec<Path>,
}

/// A path whose message is on its way.
struct Open {
    mark: u8,
    path: Path,
    /// It left its last node, or was put there, at this time.
    since: u64,
    /// Its last node has not passed it on yet.
    stays: bool,
    /// In the dispatch that runs.
    running: bool,
    /// A part or a duplicate of it was freed like this; the end, when nothing of it goes on.
    freed: Option<End>,
}

/// The messages of a set of marks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Marks([u64; 4]);

impl Marks {
    pub(crate) fn add(&mut self, msg: &Msg) {
        let mark = msg.flags().trace();
        self.0[usize::from(mark >> 6)] |= 1 << (mark & 63);
    }

    fn has(&self, mark: u8) -> bool {
        self.0[usize::from(mark >> 6)] >> (mark & 63) & 1 == 1
    }
}

impl Trace {
    pub(crate) fn new(pick: Pick, mark: u8) -> Self {
        Self { pick, mark, picked: 0, open: Vec::new(), done: Vec::new() }
    }

    pub(crate) fn stream(&self) -> StreamId {
        self.pick.stream
    }

    /// Something may still come: a message to be picked, or the rest of a path.
    pub(crate) fn is_live(&self) -> bool {
        !self.open.is_empty() || self.picked < self.pick.count
    }

    pub(crate) fn mark(&self) -> u8 {
        self.mark
    }

    /// A message is about to be put, in the stream or elsewhere: is it followed, or is it to be?
    pub(crate) fn wants(&mut self, msg: &mut Msg, here: bool, side: Side) -> bool {
        let carried = msg.flags().trace();
        if carried != 0 {
            // Of an earlier trace perhaps; then nobody asks for it.
            return self.open.iter().any(|open| open.mark == carried);
        }
        let room = self.picked < self.pick.count && self.open.len() < PATHS_MAX;
        if !here || !room || self.pick.side.is_some_and(|wanted| wanted != side) {
            return false;
        }
        if self.pick.wanted.as_mut().is_some_and(|wanted| !wanted(msg, side)) {
            return false;
        }
        self.picked += 1;
        self.mark = if self.mark == u8::MAX { 1 } else { self.mark + 1 };
        msg.set_flags(msg.flags().with_trace(self.mark));
        let path = Path { number: self.picked, hops: Vec::new(), end: None };
        let open =
            Open { mark: self.mark, path, since: 0, stays: false, running: false, freed: None };
        self.open.push(open);
        true
    }

    /// A followed message is put to a node.
    pub(crate) fn hop(&mut self, place: Place, side: Side, msg: &Msg, batch: u32, now: u64) {
        let mark = msg.flags().trace();
        let Some(open) = self.open.iter_mut().find(|open| open.mark == mark) else { return };
        if open.stays {
            // It has left without being seen on its way.
            open.leave(now);
        }
        open.running = true;
        if open.path.hops.len() >= HOPS_MAX {
            return;
        }
        let mut bytes = alloc::vec![0; msg.len().min(BYTES_MAX)];
        let copied = msg.copy_out(0, &mut bytes);
        bytes.truncate(copied);
        let first = open.path.hops.is_empty();
        open.path.hops.push(Hop {
            place,
            side,
            kind: msg.kind(),
            band: msg.band().0,
            len: msg.len(),
            first_len: msg.blocks().next().map_or(0, |block| block.len()),
            bytes,
            waited_ns: (!first).then(|| now.saturating_sub(open.since)),
            ran_ns: 0,
            batch,
            stay: Stay::Passed,
            stayed_ns: 0,
        });
    }

    /// A followed message was freed, in the dispatch that runs or in a service procedure.
    pub(crate) fn ended(&mut self, mark: u8, end: End) {
        if let Some(open) = self.open.iter_mut().find(|open| open.mark == mark) {
            match open.freed {
                Some(End::Dropped(_)) => {}
                _ => open.freed = Some(end),
            }
        }
    }

    /// A dispatch is over. `posted` are on their way to a node, `queued` in the own queue; of the
    /// others the node has freed those that it worked off (`consumed`) and kept the rest.
    pub(crate) fn settle(&mut self, seen: &Seen) {
        for open in &mut self.open {
            open.settle(seen);
        }
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].path.end.is_some() {
                self.done.push(self.open.remove(at).path);
            } else {
                at += 1;
            }
        }
    }

    /// The paths that have ended, and with `all` those that have not.
    pub(crate) fn take(&mut self, all: bool, now: u64) -> Vec<Path> {
        let mut paths = core::mem::take(&mut self.done);
        if all {
            for mut open in self.open.drain(..) {
                if open.stays {
                    open.stayed(now);
                }
                paths.push(open.path);
            }
        }
        paths
    }
}

/// What a dispatch has left behind.
#[derive(Default)]
pub(crate) struct Seen {
    /// Nanoseconds.
    pub(crate) now: u64,
    /// Time of the dispatch for each of its messages. Nanoseconds.
    pub(crate) ran_ns: u64,
    /// In an inbox.
    pub(crate) posted: Marks,
    /// In the queue of the node that ran.
    pub(crate) queued: Marks,
    /// In that queue before its service procedure ran.
    pub(crate) served: Marks,
    /// The node has counted messages that had done their work.
    pub(crate) consumed: bool,
    /// The end of messages that are nowhere and were not kept: at a head or at a device.
    pub(crate) beyond: Option<End>,
}

impl Open {
    fn settle(&mut self, seen: &Seen) {
        let ran = core::mem::take(&mut self.running);
        if let Some(hop) = self.path.hops.last_mut().filter(|_| ran) {
            hop.ran_ns = seen.ran_ns;
        }
        let freed = self.freed.take().filter(|_| !seen.queued.has(self.mark));
        if seen.posted.has(self.mark) {
            // Of one that was posted earlier the time is known already.
            if ran || self.stays {
                self.leave(seen.now);
            }
        } else if let Some(end) = freed {
            self.leave(seen.now);
            self.path.end = Some(end);
        } else if ran {
            self.since = seen.now;
            match (seen.queued.has(self.mark), seen.beyond) {
                (_, Some(End::Delivered)) => self.path.end = Some(End::Delivered),
                (true, _) => self.stay(Stay::Queued),
                (false, Some(end)) => self.path.end = Some(end),
                (false, None) if seen.consumed => self.path.end = Some(End::Consumed),
                (false, None) => self.stay(Stay::Kept),
            }
        } else if seen.served.has(self.mark) && !seen.queued.has(self.mark) {
            // The service procedure took it, and neither passed it on nor put it back.
            match seen.consumed {
                true => self.path.end = Some(End::Consumed),
                false => self.stay(Stay::Kept),
            }
        }
    }

    fn stay(&mut self, stay: Stay) {
        self.stays = true;
        if let Some(hop) = self.path.hops.last_mut() {
            hop.stay = stay;
        }
    }

    /// It is on its way to the next node.
    fn leave(&mut self, now: u64) {
        if core::mem::take(&mut self.stays) {
            self.stayed(now);
        }
        self.since = now;
    }

    fn stayed(&mut self, now: u64) {
        if let Some(hop) = self.path.hops.last_mut() {
            hop.stayed_ns = now.saturating_sub(self.since);
        }
    }
}
