//! The two ends of a bench: they put in what they are told to, and write down what arrives.

use super::Message;
use millstream_core::{Caps, Cx, Device, Errno, Invalid, ModInfo, Module, Side};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An end. Both share one desk.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    desk: Arc<Mutex<Desk>>,
    /// The way that ends here.
    takes: Side,
}

/// What the ends have to do, and what came to them.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) put_in: Option<Msg>,
    pub(super) out: Vec<Message>,
}

/// The order to put in what is on the desk.
pub(super) const PUT_IN: &str = "put-in";

const INFO: ModInfo = ModInfo::new("edge", "an end of a bench");

impl Edge {
    pub(super) fn new(takes: Side) -> Self {
        Self { desk: Arc::default(), takes }
    }

    /// The other end.
    pub(super) fn opposite(&self) -> Self {
        Self { desk: self.desk.clone(), takes: self.takes.other() }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        if side != self.takes {
            return cx.putnext(msg);
        }
        self.desk().out.push(Message::of_msg(cx.wall(), side, &msg));
        cx.free(msg);
    }
}

impl Module for Edge {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Read, msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Write, msg);
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, _: &str) -> Result<(), Invalid> {
        if key != PUT_IN {
            return Err(Invalid::unknown(key));
        }
        let msg = self.desk().put_in.take();
        if let Some(msg) = msg {
            cx.put(self.takes.other(), msg);
        }
        Ok(())
    }
}

/// The device at the bottom, which nothing comes to.
#[derive(Debug)]
pub(super) struct Nothing;

impl Device for Nothing {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, _: &mut MsgList, _: usize) -> Result<usize, Errno> {
        Ok(0)
    }

    fn send(&mut self, _: &mut MsgList) -> Result<(), Errno> {
        Ok(())
    }
}
