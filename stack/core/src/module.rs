//! What a module is: the trait that its author fills in, and what it says of itself.

use crate::contract::Contract;
use crate::cx::Cx;
use crate::errno::Errno;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;
use millstream_msg::{Msg, MsgList};

/// A module of a stream. Overriding nothing makes it transparent.
///
/// Messages on their way up come to the `r` methods, those on their way down to the `w` methods.
/// A put procedure passes the message on, queues it, or discards it with a reason: exactly one.
/// An ordinary message may not overtake the module's own queue ([`Cx::queue_len`]).
pub trait Module: Send + 'static {
    /// Name, water marks, service procedures.
    fn info(&self) -> &'static ModInfo;

    /// The module is linked in; messages come from now on. An error takes it out again, without
    /// `close`.
    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        let _ = cx;
        Ok(Step::Done)
    }

    /// A message on its way up.
    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putnext(msg);
    }

    /// A message on its way down.
    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putnext(msg);
    }

    /// Service of the read queue.
    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        cx.forward_queue();
    }

    /// Service of the write queue.
    fn wsrv(&mut self, cx: &mut Cx<'_>) {
        cx.forward_queue();
    }

    /// A timer set with [`Cx::timer`] has expired.
    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        let _ = (cx, token);
    }

    /// Memory that was asked for with [`Cx::bufcall`] is likely there.
    fn bufcall(&mut self, cx: &mut Cx<'_>, token: u64) {
        let _ = (cx, token);
    }

    /// Emits everything held outside the queues, in order, as received: the module leaves.
    fn drain(&mut self, cx: &mut Cx<'_>) {
        let _ = cx;
    }

    /// The module leaves; it has been drained.
    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        let _ = cx;
        Step::Done
    }

    /// Gives the state to a successor.
    fn export(&mut self) -> Option<State> {
        None
    }

    /// Takes the state of a predecessor, or gives it back.
    fn import(&mut self, state: State) -> Result<(), Refused> {
        Err(Refused { why: "this module takes no state", state })
    }

    /// Sets a parameter while running.
    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        let _ = (cx, value);
        Err(Invalid::unknown(key))
    }

    /// Writes parameters and counters for people.
    fn show(&self, fields: &mut Fields) {
        let _ = fields;
    }

    /// Messages on their way up, together.
    fn rput_batch(&mut self, cx: &mut Cx<'_>, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            self.rput(cx, msg);
        }
    }

    /// Messages on their way down, together.
    fn wput_batch(&mut self, cx: &mut Cx<'_>, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            self.wput(cx, msg);
        }
    }
}

/// What a module says of itself (`module_info(9S)`, `qinit(9S)`).
#[derive(Clone, Copy, Debug)]
pub struct ModInfo {
    /// Name in the table of modules.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Water marks of the read queue.
    pub read: Marks,
    /// Water marks of the write queue.
    pub write: Marks,
    /// The read queue has a service procedure: flow control looks at it.
    pub rsrv: bool,
    /// The write queue has a service procedure: flow control looks at it.
    pub wsrv: bool,
    /// Bytes in front of a message that the module needs on the way down.
    pub headroom: u16,
    /// What messages are that it takes and passes on. Checked against its neighbours.
    pub contract: Contract,
}

impl ModInfo {
    /// A transparent module without service procedures and with default marks.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            read: Marks::DEFAULT,
            write: Marks::DEFAULT,
            rsrv: false,
            wsrv: false,
            headroom: 0,
            contract: Contract::TRANSPARENT,
        }
    }
}

/// Limits of a queue. Advisory: nobody is stopped from putting on a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Full at this many bytes or messages. Bytes.
    pub hiwat: u32,
    /// Writers are called back below this many. Bytes.
    pub lowat: u32,
    /// Smallest message that a write makes. Bytes.
    pub minpsz: u32,
    /// Largest message that a write makes. Bytes.
    pub maxpsz: u32,
    /// Counted for each message besides its bytes: what a cell costs that is hardly used. Bytes.
    pub per_msg: u32,
}

impl Marks {
    /// 1 MiB and 256 KiB: a few dozen super-frames; any message size.
    pub const DEFAULT: Self =
        Self { hiwat: 1 << 20, lowat: 1 << 18, minpsz: 0, maxpsz: 1 << 16, per_msg: 0 };

    /// The same for queues that messages rest in because somebody does not read or a line does not
    /// take them: half of the cell of a frame is counted for each message, so that a flood of tiny
    /// ones cannot hold all cells. A full queue of them holds 2 MiB, one of frames 1 MiB.
    pub const RESTING: Self = Self { per_msg: 1024, ..Self::DEFAULT };

    /// Not full with so many bytes and messages (C10). An empty queue is never full: who waited for
    /// it would wait for ever.
    #[inline]
    pub(crate) const fn room(&self, bytes: u32, msgs: u32) -> bool {
        (self.weight(bytes, msgs) < self.hiwat && msgs < self.hiwat) || msgs == 0
    }

    /// What flow control counts for so many bytes and messages.
    #[inline]
    pub(crate) const fn weight(&self, bytes: u32, msgs: u32) -> u32 {
        bytes.saturating_add(msgs.saturating_mul(self.per_msg))
    }

    /// Writers are called back (C23).
    #[inline]
    pub(crate) const fn low(&self, bytes: u32, msgs: u32) -> bool {
        self.lowat == 0 || (self.weight(bytes, msgs) < self.lowat && msgs < self.lowat)
    }
}

/// How far an operation of a module has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It is done.
    Done,
    /// It waits for something: [`Cx::open_done`] or [`Cx::close_done`] says that it is done.
    /// Until then high-priority messages (the answers that it waits for) come to the module's put
    /// procedures, and timers run; what else comes is held in order.
    Pending,
}

/// The state that a module hands to its successor: moved, not serialised.
pub struct State {
    /// Name of the module that made it.
    pub name: &'static str,
    /// Version of its layout.
    pub version: u32,
    /// The state itself.
    pub value: Box<dyn Any + Send>,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("name", &self.name).field("version", &self.version).finish()
    }
}

/// A state was not taken.
#[derive(Debug)]
pub struct Refused {
    /// A sentence for people.
    pub why: &'static str,
    /// The state, unchanged.
    pub state: State,
}

/// Why a message was dropped: a few words, the same for every such message. Counted per module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop(pub &'static str);

impl Drop {
    /// No cell was left in the pool.
    pub const NO_MEMORY: Self = Self("no memory");
    /// The type is not meant for this place.
    pub const UNEXPECTED_TYPE: Self = Self("unexpected type");
    /// The stream or module it was for is gone.
    pub const GONE: Self = Self("receiver gone");
    /// The receiver does not read fast enough.
    pub const RECEIVER_FULL: Self = Self("receiver full");
    /// A flush removed it.
    pub const FLUSHED: Self = Self("flushed");
    /// The device refused it.
    pub const DEVICE: Self = Self("device error");
    /// The device dropped it itself, for want of memory or because the line refused it.
    pub const DEVICE_LOST: Self = Self("lost at the device");
    /// Its offload request and its bytes do not fit together.
    pub const BAD_OFFLOAD: Self = Self("bad offload request");
}

/// A parameter that a module does not know or a value that it cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

impl Invalid {
    /// The module has no such parameter.
    pub fn unknown(key: &str) -> Self {
        Self(alloc::format!("no parameter {key}"))
    }

    /// The value is none that the parameter can take; `want` says which ones it can.
    pub fn value(key: &str, value: &str, want: &str) -> Self {
        Self(alloc::format!("{key}={value}: {want}"))
    }
}

impl core::fmt::Display for Invalid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Invalid {}

/// One figure or setting of a module.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Count(u64),
    /// Anything else, as the module's `set` takes it.
    Text(String),
    /// One of a list, of which there may be none, one or many.
    Item(String),
}

/// Parameters and counters that a module shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(pub Vec<(&'static str, Value)>);

impl Fields {
    /// Adds a count.
    pub fn count(&mut self, name: &'static str, value: u64) {
        self.0.push((name, Value::Count(value)));
    }

    /// Adds a setting.
    pub fn text(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, Value::Text(value.into())));
    }

    /// Adds one of a list: a route, a rule.
    pub fn item(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, Value::Item(value.into())));
    }
}
