//! What a module can do while it runs.

mod means;
mod queues;
mod streams;

use crate::flow::Due;
use crate::net::{Net, QueueNo, queue_no, side_of};
use crate::queue::Side;

/// The context of one dispatch: the net, as seen from one node.
///
/// Methods without a side work on the side that is running: read for `r` procedures, write for
/// `w` procedures, read in timers, open and drain (use the methods that name a side there).
pub struct Cx<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) node: u32,
    pub(crate) pair: u32,
    pub(crate) side: Side,
    /// Outputs in the own direction wait in the net's `out` for the end of the dispatch.
    gather: bool,
    /// The neighbour's queue in the own direction.
    next: QueueNo,
    charge: Charge,
}

/// What flow control still counts for the input of a dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Charge {
    /// Nothing.
    Nothing,
    /// One message of band 0 of so many bytes, at a target beyond the own queue: passing it on
    /// leaves its charge as it is, which is most of flow control's work saved.
    One(u32),
    /// The one message was passed on with its charge.
    Passed,
    /// This much.
    Due(Due),
    /// It was taken back; writers of this queue may wait.
    Eased(QueueNo),
}

/// How a dispatch runs.
impl<'a> Cx<'a> {
    /// A context that posts at once.
    #[inline]
    pub(crate) fn new(net: &'a mut Net, node: u32, pair: u32, side: Side) -> Self {
        net.attribute(Some(node));
        let next = net.next_of(queue_no(pair, side));
        Self { net, node, pair, side, gather: false, next, charge: Charge::Nothing }
    }

    /// A context for the put of one message.
    #[inline(always)]
    pub(crate) fn one(
        net: &'a mut Net,
        node: u32,
        queue: QueueNo,
        next: QueueNo,
        charge: Charge,
    ) -> Self {
        let (pair, side) = (queue >> 1, side_of(queue));
        Self { net, node, pair, side, gather: false, next, charge }
    }

    /// A context for puts of many messages or for a service procedure: it gathers the outputs.
    #[inline]
    pub(crate) fn many(
        net: &'a mut Net,
        node: u32,
        queue: QueueNo,
        next: QueueNo,
        charge: Charge,
    ) -> Self {
        debug_assert!(net.out.is_empty(), "one dispatch at a time");
        Self { gather: true, ..Self::one(net, node, queue, next, charge) }
    }

    /// The one message was passed on with its charge: nothing is left to settle.
    #[inline(always)]
    pub(crate) fn passed_straight(&self) -> bool {
        matches!(self.charge, Charge::Passed)
    }

    /// The dispatch is over: posts what was gathered and settles flow control.
    #[inline]
    pub(crate) fn end(&mut self) {
        if self.gather && !self.net.out.is_empty() {
            self.post_out();
        }
        if let Charge::Eased(target) = self.charge {
            self.net.relief(target);
        } else if let Some(due) = self.due() {
            self.net.release(due);
        }
    }

    /// The end of a dispatch of one message that was counted as passed on and was not.
    pub(crate) fn end_single(&mut self) {
        let at = self.side as usize;
        let Some(pair) = self.net.pairs.at(self.pair) else { return };
        let (place, target) = (pair.stat, pair.queues[at].target);
        match self.charge {
            Charge::One(bytes) => self.net.release(Due { target, bytes, msgs: 1 }),
            _ => self.end(),
        }
        if let Some(record) = self.net.stats.record(place) {
            record.straight[at] -= 1;
            record.rest.calls[at] += 1;
            record.rest.msgs_in[at] += 1;
        }
    }

    /// What is left of the input's charge.
    #[inline]
    fn due(&self) -> Option<Due> {
        match self.charge {
            Charge::One(bytes) => {
                let pair = self.net.pairs.at(self.pair)?;
                Some(Due { target: pair.queues[self.side as usize].target, bytes, msgs: 1 })
            }
            Charge::Due(due) if due.msgs | due.bytes != 0 => Some(due),
            Charge::Due(_) | Charge::Nothing | Charge::Passed | Charge::Eased(_) => None,
        }
    }

    /// Discharges what is left of the input before the end.
    fn ease(&mut self) {
        if let Some(due) = self.due() {
            self.net.discharge_due(due);
            self.charge = Charge::Eased(due.target);
        }
    }

    fn post_out(&mut self) {
        let out = core::mem::take(&mut self.net.out);
        self.net.stat(self.node).msgs_out[self.side as usize] += out.len() as u64;
        let banded = core::mem::take(&mut self.net.out_banded);
        match &mut self.charge {
            Charge::Due(due) if !banded => self.net.post_moved(self.next, out, due),
            _ => self.net.post_batch(self.next, out),
        }
    }
}
impl core::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cx").field("node", &self.node).field("side", &self.side).finish()
    }
}
