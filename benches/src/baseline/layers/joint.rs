//! joint: two streams end to end: what comes up one goes down the other.

use millstream_core::{
    Contract, Cx, Drop, Errno, LinkInfo, Lower, Marks, Mux, MuxInfo, Step, Upper,
};
use millstream_msg::{Band, Msg, MsgList};

/// The multiplexor: nothing above, two streams below.
#[derive(Debug, Default)]
pub struct Joint {
    ends: Vec<Lower>,
    /// Messages for an end that had no room for them.
    waits: [MsgList; 2],
}

/// What it says of itself.
const INFO: MuxInfo = MuxInfo {
    name: "joint",
    about: "two streams end to end",
    marks: Marks::DEFAULT,
    uwsrv: false,
    lrsrv: false,
    headroom: 0,
    contract: Contract::TRANSPARENT,
};

/// Bytes that wait for one end at most: some windows of a megabyte. What comes then is lost, as on
/// a link.
const WAITS_MAX: u32 = 4 << 20;

impl Joint {
    fn pass(&mut self, cx: &mut Cx<'_>, to: usize) {
        let Some(&end) = self.ends.get(to) else { return };
        let waits = &mut self.waits[to];
        while let Some(front) = waits.front() {
            if !front.kind().is_high_priority() && !cx.canput_lower(end, Band(0)) {
                return;
            }
            if let Some(msg) = waits.pop() {
                cx.put_lower(end, msg);
            }
        }
    }
}

impl Mux for Joint {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, _: &mut Cx<'_>, _: Upper) -> Result<Step, Errno> {
        Err(Errno::ENXIO)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        Step::Done
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
        if self.ends.len() == self.waits.len() {
            return Err(Errno::EBUSY);
        }
        self.ends.push(lower);
        self.pass(cx, self.ends.len() - 1);
        Ok(())
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, _: Lower) {
        self.ends.clear();
        for msg in self.waits.each_mut().into_iter().flat_map(MsgList::take) {
            cx.discard(msg, Drop::GONE);
        }
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, _: Upper, msg: Msg) {
        cx.discard(msg, Drop::UNEXPECTED_TYPE);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        let to = usize::from(self.ends.first().is_some_and(|end| end.key() == from.key()));
        if self.waits[to].bytes() > WAITS_MAX {
            return cx.discard(msg, Drop::RECEIVER_FULL);
        }
        self.waits[to].push(msg);
        self.pass(cx, to);
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        if let Some(to) = self.ends.iter().position(|end| end.key() == lower.key()) {
            self.pass(cx, to);
        }
    }
}
