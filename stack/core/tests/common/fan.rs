//! A multiplexor with many uppers and lowers: the first byte says which one a message is for.
#![allow(dead_code)]

use super::common::TIGHT;
use millstream_core::{Contract, Cx, Drop, Errno, LinkInfo, Lower, Mux, MuxInfo, Step, Upper};
use millstream_msg::{Band, Kind, Msg};
use std::sync::{Arc, Mutex};

/// How it treats commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Temper {
    #[default]
    Obeys,
    /// Keeps what it does not know, as if it were lost.
    Swallows,
    /// Its `link` refuses.
    Refuses(Errno),
    /// Its put procedure refuses.
    Naks(Errno),
}

/// What a test sees of it: clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fan(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) temper: Temper,
    pub(crate) uppers: Vec<Option<Upper>>,
    pub(crate) lowers: Vec<Option<Lower>>,
    /// Kinds of control that came from below.
    pub(crate) heard: Vec<Kind>,
}

impl Fan {
    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn linked(&self) -> usize {
        self.state().lowers.iter().flatten().count()
    }

    fn lower(&self, msg: &Msg) -> Option<Lower> {
        *self.state().lowers.get(usize::from(*msg.first().first()?))?
    }

    fn upper(&self, msg: &Msg) -> Option<Upper> {
        *self.state().uppers.get(usize::from(*msg.first().first()?))?
    }
}

fn enter<T: Copy>(places: &mut Vec<Option<T>>, value: T) -> u64 {
    let at = places.iter().position(Option::is_none).unwrap_or_else(|| {
        places.push(None);
        places.len() - 1
    });
    places[at] = Some(value);
    at as u64
}

impl Mux for Fan {
    fn info(&self) -> &'static MuxInfo {
        const INFO: MuxInfo = MuxInfo {
            name: "fan",
            about: "for tests",
            marks: TIGHT,
            uwsrv: true,
            lrsrv: false,
            headroom: 0,
            contract: Contract::TRANSPARENT,
        };
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        let at = enter(&mut self.state().uppers, upper);
        cx.set_upper_cookie(upper, at);
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, upper: Upper) -> Step {
        self.state().uppers[upper.cookie as usize] = None;
        Step::Done
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
        if let Temper::Refuses(errno) = self.state().temper {
            return Err(errno);
        }
        let at = enter(&mut self.state().lowers, lower);
        cx.set_lower_cookie(lower, at);
        for upper in self.state().uppers.iter().flatten() {
            cx.qenable_upper(*upper);
        }
        Ok(())
    }

    fn unlink(&mut self, _: &mut Cx<'_>, lower: Lower) {
        self.state().lowers[lower.cookie as usize] = None;
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        let temper = self.state().temper;
        match (msg.kind(), temper) {
            (Kind::Ioctl, Temper::Swallows) => cx.discard(msg, Drop("swallowed")),
            (Kind::Ioctl, Temper::Naks(errno)) => cx.miocnak(msg, errno),
            (Kind::Ioctl | Kind::IocData, _) => cx.unknown_ioctl(from, msg),
            (Kind::Flush, _) => cx.turn_flush_upper(from, msg),
            _ if cx.upper_len(from) > 0 => cx.putq_upper(from, msg),
            _ => match self.lower(&msg) {
                Some(lower) if cx.canput_lower(lower, Band(0)) => cx.put_lower(lower, msg),
                _ => cx.putq_upper(from, msg),
            },
        }
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while let Some(msg) = cx.getq_upper(upper) {
            match self.lower(&msg) {
                Some(lower) if cx.canput_lower(lower, Band(0)) => cx.put_lower(lower, msg),
                _ => return cx.putbq_upper(upper, msg),
            }
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        match msg.kind() {
            Kind::Flush => cx.turn_flush_lower(from, msg),
            Kind::Data => match self.upper(&msg) {
                Some(upper) if cx.canput_upper(upper, Band(0)) => cx.put_upper(upper, msg),
                // One upper that does not read must not hold the others up (H7).
                _ => cx.discard(msg, Drop::RECEIVER_FULL),
            },
            kind => {
                self.state().heard.push(kind);
                cx.free(msg);
            }
        }
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, _: Lower) {
        for upper in self.state().uppers.iter().flatten() {
            cx.qenable_upper(*upper);
        }
    }
}
