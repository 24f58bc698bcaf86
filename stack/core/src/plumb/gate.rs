//! What comes to a module or an upper whose open or close is pending: high-priority messages, the
//! answers that it waits for, go in; the rest waits in its queue, in order.

use crate::cx::Cx;
use crate::module::Module;
use crate::mux::{Mux, Upper};
use crate::queue::{Side, is_ordinary};
use crate::slab::Key;
use millstream_msg::{Kind, MsgList};

/// Puts messages to a module that is pending.
#[cold]
pub(crate) fn module(module: &mut dyn Module, cx: &mut Cx<'_>, batch: MsgList) {
    for msg in batch {
        if is_ordinary(msg.kind()) {
            cx.putq(msg);
            continue;
        }
        if msg.kind() == Kind::Flush {
            cx.flush_own(&msg);
        }
        match cx.side {
            Side::Read => module.rput(cx, msg),
            Side::Write => module.wput(cx, msg),
        }
    }
}

/// Puts messages to an upper that is being opened.
#[cold]
pub(crate) fn upper(mux: &mut dyn Mux, cx: &mut Cx<'_>, pair: Key, cookie: u64, batch: MsgList) {
    for msg in batch {
        if is_ordinary(msg.kind()) {
            cx.putq(msg);
        } else {
            mux.uwput(cx, Upper { pair, cookie }, msg);
        }
    }
}
