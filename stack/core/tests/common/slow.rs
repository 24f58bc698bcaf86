//! A module and a multiplexor that take their time, and modules that hand their state on.
#![allow(dead_code)]

use super::TIGHT;
use millstream_core::{
    Contract, Cx, Errno, LinkInfo, Lower, ModInfo, Module, Mux, MuxInfo, Refused, Side, State,
    Step, Upper,
};
use millstream_msg::{Kind, Msg};
use std::sync::{Arc, Mutex};

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// When an open or close that is pending ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// At once.
    Now,
    /// After so many nanoseconds.
    After(u64),
    /// When M_PCPROTO says so: `open`, `fail` or `close`.
    Told,
}

/// Takes its time to open and to close.
pub(crate) struct Slow {
    pub(crate) open: End,
    pub(crate) opens: Result<(), Errno>,
    pub(crate) close: End,
    pub(crate) log: Log,
}

impl Slow {
    pub(crate) fn told(log: &Log) -> Self {
        Self { open: End::Told, opens: Ok(()), close: End::Told, log: log.clone() }
    }

    fn begin(cx: &mut Cx<'_>, end: End, token: u64) -> Step {
        match end {
            End::Now => return Step::Done,
            End::After(ns) => cx.timer(token, cx.now() + ns),
            End::Told => {}
        }
        Step::Pending
    }
}

impl Module for Slow {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo =
            ModInfo { read: TIGHT, write: TIGHT, ..ModInfo::new("slow", "takes its time") };
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        self.log.note("open");
        match (self.open, self.opens) {
            (End::Now, Err(errno)) => Err(errno),
            (end, _) => Ok(Self::begin(cx, end, 1)),
        }
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if msg.kind() != Kind::PcProto {
            self.log.note(format!("up {}", String::from_utf8_lossy(msg.first())));
            return cx.putnext(msg);
        }
        match msg.first() {
            b"open" => cx.open_done(Ok(())),
            b"fail" => cx.open_done(Err(Errno::EPROTO)),
            b"close" => cx.close_done(),
            _ => return cx.putnext(msg),
        }
        cx.free(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.log.note(format!("down {}", String::from_utf8_lossy(msg.first())));
        cx.putnext(msg);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        if token == 1 { cx.open_done(self.opens) } else { cx.close_done() }
    }

    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        self.log.note("close");
        Self::begin(cx, self.close, 2)
    }
}

/// Delays messages, and hands those that it holds to its successor. Version 3 takes its own state
/// only; version 4 gives one that nobody takes, itself included.
pub(crate) struct Moves {
    pub(crate) version: u32,
    held: Vec<(Side, Msg)>,
}

impl Moves {
    pub(crate) fn new(version: u32) -> Self {
        Self { version, held: Vec::new() }
    }

    fn emit(&mut self, cx: &mut Cx<'_>) {
        for (side, msg) in self.held.drain(..) {
            cx.put(side, msg);
        }
    }

    fn hold(&mut self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        self.held.push((side, msg));
        cx.timer(0, cx.now() + 200_000);
    }
}

impl Module for Moves {
    fn info(&self) -> &'static ModInfo {
        const FIRST: ModInfo = ModInfo::new("moves", "hands its state on");
        const SECOND: ModInfo = ModInfo { headroom: 8, ..ModInfo::new("moves2", "takes it over") };
        if self.version == 2 { &SECOND } else { &FIRST }
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.hold(cx, Side::Read, msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.hold(cx, Side::Write, msg);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _: u64) {
        self.emit(cx);
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        self.emit(cx);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(std::mem::take(&mut self.held));
        Some(State { name: "moves", version: self.version, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        if (self.version == 3 && state.version != 3) || state.version == 4 {
            return Err(Refused { why: "this version takes no state", state });
        }
        let State { name, version, value } = state;
        match value.downcast() {
            Ok(held) if name == "moves" => self.held = *held,
            Ok(value) => {
                let state = State { name, version, value };
                return Err(Refused { why: "a state of another module", state });
            }
            Err(value) => {
                let state = State { name, version, value };
                return Err(Refused { why: "a state of another shape", state });
            }
        }
        Ok(())
    }
}

/// One upper, which it opens and closes in its time; M_PCPROTO says when. One lower.
#[derive(Default)]
pub(crate) struct SlowMux {
    pub(crate) log: Log,
    pub(crate) upper: Option<Upper>,
    pub(crate) lower: Option<Lower>,
    /// It hands its streams on.
    pub(crate) moves: bool,
    pub(crate) quick: bool,
}

impl Mux for SlowMux {
    fn info(&self) -> &'static MuxInfo {
        const INFO: MuxInfo = MuxInfo {
            name: "slow_mux",
            about: "takes its time",
            marks: TIGHT,
            uwsrv: false,
            lrsrv: false,
            headroom: 0,
            contract: Contract::TRANSPARENT,
        };
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        self.upper = Some(upper);
        cx.set_upper_cookie(upper, 7);
        Ok(if self.quick { Step::Done } else { Step::Pending })
    }

    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        self.log.note("uclose");
        if self.quick { Step::Done } else { Step::Pending }
    }

    fn link(&mut self, _: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
        self.lower = Some(lower);
        Ok(())
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {
        self.lower = None;
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        if msg.kind() != Kind::PcProto {
            self.log.note(format!("{} {}", from.cookie, String::from_utf8_lossy(msg.first())));
            return match self.lower {
                Some(lower) => cx.put_lower(lower, msg),
                None => cx.free(msg),
            };
        }
        match msg.first() {
            b"open" => cx.upper_opened(from, Ok(())),
            b"fail" => cx.upper_opened(from, Err(Errno::EPROTO)),
            _ => {}
        }
        cx.free(msg);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        let upper = self.upper.expect("an upper was opened");
        if msg.first() == b"close" {
            cx.upper_closed(upper);
            return cx.free(msg);
        }
        cx.put_upper(upper, msg);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new((self.upper, self.lower));
        self.moves.then_some(State { name: "slow_mux", version: 1, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        match state.value.downcast_ref() {
            Some(&(upper, lower)) if self.moves => (self.upper, self.lower) = (upper, lower),
            _ => return Err(Refused { why: "this multiplexor takes no state", state }),
        }
        Ok(())
    }
}
