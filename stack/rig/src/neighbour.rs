//! The fake neighbours: modules that record what reaches them and emit what the test injects.

use millstream_core::{Cx, Invalid, Marks, ModInfo, Module, SetOptions, Side};
use millstream_msg::{Band, Kind, Msg, MsgList};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The test's handle of a neighbour.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Mutex<Desk>>);

/// What lies between the test and the neighbour.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// What came out of the module under test.
    pub(crate) got: MsgList,
    /// To be sent to it.
    pub(crate) inject: MsgList,
    /// Ordinary messages that came in a band that was full.
    pub(crate) overruns: u64,
    /// How often flow control called back.
    pub(crate) woken: u64,
    /// Answer of the last question whether there is room.
    pub(crate) room: bool,
    /// Bands made full.
    full: Vec<u8>,
}

impl Handle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Desk::default())))
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A module above (`sink` is the read side) or below (the write side) the one under test.
pub(crate) struct Neighbour {
    handle: Handle,
    sink: Side,
    /// Of the sink, while it is not made full. M_SETOPTS changes them, as those of a head.
    marks: Marks,
}

impl Neighbour {
    pub(crate) fn above(handle: &Handle) -> Box<Self> {
        Box::new(Self { handle: handle.clone(), sink: Side::Read, marks: WIDE })
    }

    pub(crate) fn below(handle: &Handle) -> Box<Self> {
        Box::new(Self { handle: handle.clone(), sink: Side::Write, marks: WIDE })
    }

    fn take(&mut self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        if side != self.sink {
            return cx.putnext(msg);
        }
        if msg.kind() == Kind::SetOpts {
            self.set_options(cx, &msg);
        }
        let mut desk = self.handle.desk();
        let ordinary = !msg.kind().is_high_priority();
        if ordinary && desk.full.contains(&msg.band().0) {
            desk.overruns += 1;
        }
        desk.got.push(msg);
    }

    /// As a stream head does, of what it can: its water marks.
    fn set_options(&mut self, cx: &mut Cx<'_>, msg: &Msg) {
        let Ok(options) = SetOptions::parse(msg.first()) else { return };
        let hiwat = options.hiwat.unwrap_or(self.marks.hiwat);
        let lowat = options.lowat.unwrap_or(self.marks.lowat);
        self.marks = Marks { hiwat, lowat, ..self.marks };
        if self.handle.desk().full.is_empty() {
            cx.set_marks(self.sink, self.marks);
        }
    }

    fn served(&mut self, side: Side) {
        if side != self.sink {
            self.handle.desk().woken += 1;
        }
    }

    /// Fills a band with a message that stays in the own queue.
    fn fill(&mut self, cx: &mut Cx<'_>, band: u8) -> Result<(), Invalid> {
        let plug = cx.pool().copy_from(0, b"full").ok();
        let mut plug = plug.ok_or_else(|| Invalid("no memory to fill the queue".into()))?;
        plug.set_band(Band(band));
        cx.set_marks(self.sink, FULL);
        cx.putq_on(self.sink, plug);
        self.handle.desk().full.push(band);
        Ok(())
    }

    fn relieve(&mut self, cx: &mut Cx<'_>) {
        self.handle.desk().full.clear();
        while let Some(plug) = cx.getq_on(self.sink) {
            cx.free(plug);
        }
        cx.set_marks(self.sink, self.marks);
    }
}

impl Module for Neighbour {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo {
            read: WIDE,
            write: WIDE,
            rsrv: true,
            wsrv: true,
            ..ModInfo::new("neighbour", "records what reaches it")
        };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.take(cx, Side::Read, msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.take(cx, Side::Write, msg);
    }

    fn rsrv(&mut self, _: &mut Cx<'_>) {
        self.served(Side::Read);
    }

    fn wsrv(&mut self, _: &mut Cx<'_>) {
        self.served(Side::Write);
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        let band = value.parse().unwrap_or(0);
        let out = self.sink.other();
        match key {
            "inject" => {
                let messages = std::mem::take(&mut self.handle.desk().inject);
                cx.put_batch(out, messages);
            }
            "full" => self.fill(cx, band)?,
            "relieve" => self.relieve(cx),
            "room" => {
                let room = cx.canput(out, Band(band));
                self.handle.desk().room = room;
            }
            _ => return Err(Invalid::unknown(key)),
        }
        Ok(())
    }
}

/// So wide that a test does not meet them by accident.
const WIDE: Marks = Marks { hiwat: 1 << 30, lowat: 1 << 29, ..Marks::DEFAULT };
/// One message fills a band, and it is relieved when that is gone.
const FULL: Marks = Marks { hiwat: 1, lowat: 1, ..Marks::DEFAULT };
