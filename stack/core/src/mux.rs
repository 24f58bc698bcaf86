//! What a multiplexor is: a node with many streams above and many below.

use crate::contract::Contract;
use crate::cx::Cx;
use crate::device::LinkInfo;
use crate::errno::Errno;
use crate::module::{Fields, Invalid, Marks, Refused, State, Step};
use crate::slab::Key;
use core::any::Any;
use millstream_msg::{Msg, MsgList};

/// A stream above a multiplexor. A stale one is a counted no-op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    pub(crate) pair: Key,
    /// What the multiplexor set with `Cx::set_upper_cookie` (its connection's index); 0 before.
    pub cookie: u64,
}

/// A stream linked below a multiplexor. A stale one is a counted no-op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lower {
    pub(crate) pair: Key,
    /// What the multiplexor set with `Cx::set_lower_cookie`; 0 before.
    pub cookie: u64,
}

impl Upper {
    /// The key of its pair of queues, unique among the living.
    pub fn key(self) -> Key {
        self.pair
    }

    /// The one with this key, for a multiplexor that keeps the cookie otherwise.
    pub const fn of(key: Key, cookie: u64) -> Self {
        Self { pair: key, cookie }
    }
}

impl Lower {
    /// The key of its pair of queues: the muxid of `I_LINK`, unique among the living.
    pub fn key(self) -> Key {
        self.pair
    }
}

/// What a multiplexor says of itself.
#[derive(Clone, Copy, Debug)]
pub struct MuxInfo {
    /// Name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Water marks of the queues of uppers (write side) and lowers (read side).
    pub marks: Marks,
    /// The write queues of uppers have a service procedure.
    pub uwsrv: bool,
    /// The read queues of lowers have a service procedure.
    pub lrsrv: bool,
    /// Bytes in front of a message that the multiplexor needs on the way down.
    pub headroom: u16,
    /// What messages of uppers and lowers are. Checked against their streams.
    pub contract: Contract,
}

impl MuxInfo {
    /// Does it ask the same of its streams and their queues?
    pub(crate) fn asks_as(&self, other: &Self) -> bool {
        let of = |info: &Self| (info.marks, info.uwsrv, info.lrsrv, info.headroom, info.contract);
        of(self) == of(other)
    }
}

/// A multiplexor. The upper sides of its uppers and the lower sides of its lowers are ordinary
/// streams; flow control does not cross it by itself.
pub trait Mux: Send + 'static {
    /// Name, water marks, service procedures.
    fn info(&self) -> &'static MuxInfo;

    /// A stream was opened above. An error refuses it.
    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno>;

    /// A stream above closes. Nothing comes from it any more.
    fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step;

    /// Does [`Mux::uclose`] take what the upper's write queue still holds? Then it is called at
    /// once; else when the queue is empty, or the close time is over and the rest is lost.
    fn takes_backlog(&self) -> bool {
        false
    }

    /// A stream is linked below (`I_LINK`). An error refuses it.
    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, info: LinkInfo) -> Result<(), Errno>;

    /// A stream below is unlinked.
    fn unlink(&mut self, cx: &mut Cx<'_>, lower: Lower);

    /// A message from above.
    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg);

    /// A message from below.
    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg);

    /// Messages from above, together.
    fn uwput_batch(&mut self, cx: &mut Cx<'_>, from: Upper, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            self.uwput(cx, from, msg);
        }
    }

    /// Messages from below, together.
    fn lrput_batch(&mut self, cx: &mut Cx<'_>, from: Lower, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            self.lrput(cx, from, msg);
        }
    }

    /// Service of an upper's write queue.
    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        let _ = (cx, upper);
    }

    /// Service of a lower's read queue.
    fn lrsrv(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        let _ = (cx, lower);
    }

    /// An upper that refused a put has room again.
    fn upper_relieved(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        let _ = (cx, upper);
    }

    /// A lower that refused a put has room again.
    fn lower_relieved(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        let _ = (cx, lower);
    }

    /// A timer set with [`Cx::timer`] has expired.
    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        let _ = (cx, token);
    }

    /// Gives the state to a successor: uppers, lowers and all that is known of them.
    fn export(&mut self) -> Option<State> {
        None
    }

    /// Takes the state of a predecessor, or gives it back.
    fn import(&mut self, state: State) -> Result<(), Refused> {
        Err(Refused { why: "this multiplexor takes no state", state })
    }

    /// Memory that was asked for with [`Cx::bufcall`] is likely there.
    fn bufcall(&mut self, cx: &mut Cx<'_>, token: u64) {
        let _ = (cx, token);
    }

    /// Sets a parameter while running.
    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        let _ = (cx, value);
        Err(Invalid::unknown(key))
    }

    /// The multiplexor as what it is, for a host that knows it and asks for more than it shows.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// Writes parameters and counters for people.
    fn show(&self, fields: &mut Fields) {
        let _ = fields;
    }
}
