//! echo: every message comes back to the stream that sent it, of whatever type and band.

use millstream_core::{Cx, Errno, LinkInfo, Lower, Mux, MuxInfo, Step, Upper};
use millstream_msg::{Kind, Msg};

/// What `echo` says of itself.
pub const INFO: MuxInfo = super::info("echo", "gives every message back");

/// The device. While a program does not read, what it writes waits, and then it is refused.
#[derive(Debug, Default)]
pub struct Echo;

impl Mux for Echo {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, _: &mut Cx<'_>, _: Upper) -> Result<Step, Errno> {
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        Step::Done
    }

    /// Nothing can be linked below.
    fn link(&mut self, _: &mut Cx<'_>, _: Lower, _: LinkInfo) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match msg.kind() {
            Kind::Flush => cx.turn_flush_upper(from, msg),
            Kind::Ioctl | Kind::IocData => cx.unknown_ioctl(from, msg),
            kind if kind.is_high_priority() => cx.put_upper(from, msg),
            _ if cx.upper_len(from) == 0 && cx.canput_upper(from, msg.band()) => {
                cx.put_upper(from, msg);
            }
            _ => cx.putq_upper(from, msg),
        }
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while let Some(msg) = cx.getq_upper(upper) {
            if !cx.canput_upper(upper, msg.band()) {
                return cx.putbq_upper(upper, msg);
            }
            cx.put_upper(upper, msg);
        }
    }

    fn upper_relieved(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        cx.qenable_upper(upper);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        // Nothing is linked.
        cx.free(msg);
    }
}
