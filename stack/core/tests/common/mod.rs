//! Modules and a multiplexor that tests of core share.
#![allow(dead_code)]

pub(crate) mod line;
pub(crate) mod slow;

use millstream_core::{
    Config, Contract, Cx, Errno, Invalid, LinkInfo, Lower, Marks, ModInfo, Module, Mux, MuxInfo,
    Perimeter, Refused, Side, State, Step, Upper,
};
use millstream_msg::{Band, Kind, Msg, Pool, PoolConfig};
use std::collections::VecDeque;

pub(crate) fn perimeter() -> Perimeter {
    let pool = Pool::new(PoolConfig { small: 4096, bare: 4096, ..PoolConfig::TINY });
    Perimeter::new(Config { pool, seed: 1, clock: None })
}

/// Turns until nothing is left to do at this time.
pub(crate) fn settle(p: &mut Perimeter, now: u64) {
    for _ in 0..10_000 {
        if !p.turn(now, 1000).more {
            return;
        }
    }
    panic!("no end");
}

/// Cells out of the pool.
pub(crate) fn cells(p: &mut Perimeter) -> usize {
    let stats = p.pool().stats();
    [stats.small, stats.frame, stats.large, stats.bare, stats.external].iter().map(|c| c.out).sum()
}

/// So small that every test meets them.
pub(crate) const TIGHT: Marks = Marks { hiwat: 40, lowat: 12, ..Marks::DEFAULT };

macro_rules! info {
    ($name:literal, $service:literal) => {{
        const INFO: ModInfo = ModInfo {
            rsrv: $service,
            wsrv: $service,
            read: TIGHT,
            write: TIGHT,
            ..ModInfo::new($name, "for tests")
        };
        &INFO
    }};
}

/// Overrides nothing.
pub(crate) struct Null;

impl Module for Null {
    fn info(&self) -> &'static ModInfo {
        info!("null", false)
    }
}

/// Asks before it puts.
pub(crate) struct Polite;

impl Module for Polite {
    fn info(&self) -> &'static ModInfo {
        info!("polite", true)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }
}

/// Queues everything.
pub(crate) struct Holder;

impl Module for Holder {
    fn info(&self) -> &'static ModInfo {
        info!("holder", true)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }
}

/// Queues everything and serves nothing.
pub(crate) struct Hoarder;

impl Module for Hoarder {
    fn info(&self) -> &'static ModInfo {
        info!("hoarder", true)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn rsrv(&mut self, _: &mut Cx<'_>) {}

    fn wsrv(&mut self, _: &mut Cx<'_>) {}
}

/// Holds messages outside its queues for some time.
#[derive(Default)]
pub(crate) struct Delayer {
    held: [VecDeque<Msg>; 2],
}

impl Delayer {
    fn hold(&mut self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        self.held[side as usize].push_back(msg);
        cx.timer(0, cx.now() + 200_000);
    }

    fn emit(&mut self, cx: &mut Cx<'_>) {
        for side in [Side::Read, Side::Write] {
            for msg in self.held[side as usize].drain(..) {
                cx.put(side, msg);
            }
        }
    }
}

impl Module for Delayer {
    fn info(&self) -> &'static ModInfo {
        info!("delayer", false)
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
}

/// Upper `i` belongs to lower `i`; both directions obey flow control.
#[derive(Default)]
pub(crate) struct Cross {
    uppers: Vec<Option<Upper>>,
    lowers: Vec<Option<Lower>>,
}

impl Cross {
    fn lower_of(&self, upper: Upper) -> Option<Lower> {
        self.lowers.get(upper.cookie as usize).copied().flatten()
    }

    fn upper_of(&self, lower: Lower) -> Option<Upper> {
        self.uppers.get(lower.cookie as usize).copied().flatten()
    }

    fn vacant<T>(places: &mut Vec<Option<T>>, value: T) -> u64 {
        let at = places.iter().position(Option::is_none).unwrap_or_else(|| {
            places.push(None);
            places.len() - 1
        });
        places[at] = Some(value);
        at as u64
    }
}

impl Mux for Cross {
    fn info(&self) -> &'static MuxInfo {
        const INFO: MuxInfo = MuxInfo {
            name: "cross",
            about: "joins uppers and lowers by number",
            marks: TIGHT,
            uwsrv: true,
            lrsrv: true,
            headroom: 0,
            contract: Contract::TRANSPARENT,
        };
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        let at = Self::vacant(&mut self.uppers, upper);
        cx.set_upper_cookie(upper, at);
        if let Some(Some(lower)) = self.lowers.get(at as usize) {
            cx.qenable_lower(*lower);
        }
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, upper: Upper) -> Step {
        self.uppers[upper.cookie as usize] = None;
        Step::Done
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
        let at = Self::vacant(&mut self.lowers, lower);
        cx.set_lower_cookie(lower, at);
        if let Some(Some(upper)) = self.uppers.get(at as usize) {
            cx.qenable_upper(*upper);
        }
        Ok(())
    }

    fn unlink(&mut self, _: &mut Cx<'_>, lower: Lower) {
        self.lowers[lower.cookie as usize] = None;
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match self.lower_of(from) {
            Some(lower) if cx.upper_len(from) == 0 && cx.canput_lower(lower, Band(0)) => {
                cx.put_lower(lower, msg);
            }
            _ => cx.putq_upper(from, msg),
        }
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        let Some(lower) = self.lower_of(upper) else { return };
        while cx.upper_len(upper) > 0 && cx.canput_lower(lower, Band(0)) {
            if let Some(msg) = cx.getq_upper(upper) {
                cx.put_lower(lower, msg);
            }
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        match self.upper_of(from) {
            Some(upper) if cx.queue_len() == 0 && cx.canput_upper(upper, Band(0)) => {
                cx.put_upper(upper, msg);
            }
            _ => cx.putq(msg),
        }
    }

    fn lrsrv(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        let Some(upper) = self.upper_of(lower) else { return };
        while cx.queue_len() > 0 && cx.canput_upper(upper, Band(0)) {
            if let Some(msg) = cx.getq() {
                cx.put_upper(upper, msg);
            }
        }
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new((self.uppers.clone(), self.lowers.clone()));
        Some(State { name: "cross", version: 1, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        match state.value.downcast::<(Vec<Option<Upper>>, Vec<Option<Lower>>)>() {
            Ok(value) => (self.uppers, self.lowers) = *value,
            Err(value) => {
                let state = State { value, ..state };
                return Err(Refused { why: "not a crossing's state", state });
            }
        }
        Ok(())
    }

    fn upper_relieved(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        if let Some(Some(lower)) = self.lowers.get(upper.cookie as usize) {
            cx.qenable_lower(*lower);
        }
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        if let Some(Some(upper)) = self.uppers.get(lower.cookie as usize) {
            cx.qenable_upper(*upper);
        }
    }
}

/// Sends messages of a kind down that no program can send. The bytes are the value's characters.
pub(crate) struct Forger(pub(crate) Kind);

impl Module for Forger {
    fn info(&self) -> &'static ModInfo {
        info!("forger", false)
    }

    fn set(&mut self, cx: &mut Cx<'_>, _: &str, value: &str) -> Result<(), Invalid> {
        let bytes: Vec<u8> = value.chars().map(|c| c as u8).collect();
        assert!(cx.put_control(Side::Write, self.0, &bytes));
        Ok(())
    }
}

/// Sends an M_FLUSH down when it is set to.
pub(crate) struct Flusher;

impl Module for Flusher {
    fn info(&self) -> &'static ModInfo {
        info!("flusher", false)
    }

    fn set(&mut self, cx: &mut Cx<'_>, _: &str, bits: &str) -> Result<(), Invalid> {
        let bits = bits.parse().map_err(|_| Invalid::value("flush", bits, "bits"))?;
        assert!(cx.put_control(Side::Write, Kind::Flush, &[bits]));
        Ok(())
    }
}
