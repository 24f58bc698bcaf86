//! A head on a multiplexor that sends everything back, and round trips through it.
#![allow(dead_code)]

use millstream_core::{
    Config, Cx, Errno, LinkInfo, Lower, Marks, Mux, MuxInfo, Perimeter, Step, StreamId, Upper,
};
use millstream_msg::{Msg, Pool, PoolConfig};
use std::hint::black_box;

/// Bytes of a message.
pub(crate) const LEN: usize = 64;

/// Dispatches of a turn: two are needed.
const BUDGET: usize = 16;

/// A stream above the loop.
pub(crate) struct Looped {
    pub(crate) p: Perimeter,
    pub(crate) stream: StreamId,
    /// Between two round trips.
    msg: Option<Msg>,
}

impl Looped {
    pub(crate) fn new() -> Self {
        let pool = Pool::new(PoolConfig::TINY);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let mux = p.add_mux(Box::new(Loop));
        let stream = p.open_mux(mux, "loop").unwrap();
        let msg = Some(p.pool().copy_from(0, &[7; LEN]).unwrap());
        Self { p, stream, msg }
    }

    /// A putmsg of an owned message, a turn, and the getmsg that takes it.
    #[inline(never)]
    pub(crate) fn round_trip(&mut self) {
        let sent = self.msg.take().expect("it came back");
        self.p.putmsg(self.stream, sent).map_err(|(errno, _)| errno).unwrap();
        self.turn();
        self.msg = self.p.getmsg(self.stream).unwrap().and_then(|got| got.data);
    }

    pub(crate) fn turn(&mut self) {
        self.p.turn(0, BUDGET);
        while let Some(event) = self.p.event() {
            black_box(event);
        }
    }
}

/// Sends everything back.
pub(crate) struct Loop;

impl Mux for Loop {
    fn info(&self) -> &'static MuxInfo {
        const INFO: MuxInfo = MuxInfo {
            name: "loop",
            about: "sends back",
            marks: Marks::DEFAULT,
            uwsrv: false,
            lrsrv: false,
            headroom: 0,
            contract: millstream_core::Contract::TRANSPARENT,
        };
        &INFO
    }

    fn uopen(&mut self, _: &mut Cx<'_>, _: Upper) -> Result<Step, Errno> {
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        Step::Done
    }

    fn link(&mut self, _: &mut Cx<'_>, _: Lower, _: LinkInfo) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        cx.put_upper(from, msg);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        cx.free(msg);
    }
}
