//! tcp2: the second version of `tcp`, which also knows the largest message of each direction:
//! whether super-segments come and go whole.
//!
//! It takes the place of a running `tcp` with all its connections, whose state it moves and does
//! not touch. The way back is closed: `tcp` does not know this version's state, and refuses it.

use crate::state;
use crate::tcp::{INFO as FIRST_INFO, Tcp, VERSION as FIRST};
use alloc::boxed::Box;
use core::any::Any;
use millstream_core::{
    Cx, Errno, Fields, LinkInfo, Lower, Mux, MuxInfo, Refused, Side, State, Step, Upper,
};
use millstream_msg::{Msg, MsgList};

/// The multiplexor, and its state.
#[derive(Debug)]
pub struct Tcp2 {
    tcp: Tcp,
    /// Since it took over, by direction: packets of `ip`, messages of users. Bytes.
    largest: [usize; 2],
}

/// What `tcp2` says of itself.
pub const INFO: MuxInfo = MuxInfo {
    name: "tcp2",
    about: "tcp, and knows the largest message of each direction",
    ..FIRST_INFO
};

/// The layout that it hands over.
const SECOND: u32 = 2;

impl Tcp2 {
    /// Without users. `key` is random: peers must not know it.
    pub fn new(key: u64) -> Self {
        Self { tcp: Tcp::new(key), largest: [0; 2] }
    }

    fn note(&mut self, side: Side, len: usize) {
        let largest = &mut self.largest[side as usize];
        *largest = len.max(*largest);
    }
}

impl Mux for Tcp2 {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        self.tcp.uopen(cx, upper)
    }

    fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step {
        self.tcp.uclose(cx, upper)
    }

    fn takes_backlog(&self) -> bool {
        self.tcp.takes_backlog()
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, info: LinkInfo) -> Result<(), Errno> {
        self.tcp.link(cx, lower, info)
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        self.tcp.unlink(cx, lower);
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        self.note(Side::Write, msg.len());
        self.tcp.uwput(cx, from, msg);
    }

    fn uwput_batch(&mut self, cx: &mut Cx<'_>, from: Upper, batch: MsgList) {
        for msg in batch.iter() {
            self.note(Side::Write, msg.len());
        }
        self.tcp.uwput_batch(cx, from, batch);
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        self.tcp.uwsrv(cx, upper);
    }

    fn upper_relieved(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        self.tcp.upper_relieved(cx, upper);
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        self.tcp.lower_relieved(cx, lower);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        self.note(Side::Read, msg.len());
        self.tcp.lrput(cx, from, msg);
    }

    fn lrput_batch(&mut self, cx: &mut Cx<'_>, from: Lower, batch: MsgList) {
        for msg in batch.iter() {
            self.note(Side::Read, msg.len());
        }
        self.tcp.lrput_batch(cx, from, batch);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        self.tcp.timer(cx, token);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::replace(self, Self::new(0)));
        Some(State { name: FIRST_INFO.name, version: SECOND, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        if state.version == FIRST {
            // What is not known of the time before begins at nothing.
            self.tcp = state::take(state, FIRST_INFO.name, FIRST)?;
            self.largest = [0; 2];
        } else {
            *self = state::take(state, FIRST_INFO.name, SECOND)?;
        }
        Ok(())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        self.tcp.as_any()
    }

    fn show(&self, fields: &mut Fields) {
        self.tcp.show(fields);
        for (name, largest) in ["up.largest", "down.largest"].into_iter().zip(self.largest) {
            fields.count(name, largest as u64);
        }
    }
}
