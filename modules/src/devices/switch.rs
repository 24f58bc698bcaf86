//! mux: many streams above, many linked below.
//!
//! A message from above goes down the stream that its sender has selected, or else the one that was
//! linked last; with none it makes its sender fail with ENXIO (M_ERROR). A message from below goes
//! up to the stream that sent down there last, and is dropped when nobody has.
//!
//! The I_STR command [`SWITCH_SELECT`] has 4 bytes of data: which of the lower streams, counted
//! from 0 in the order in which they were linked; ENXIO when there are not so many.

use alloc::vec::Vec;
use millstream_core::ioctl::Iocblk;
use millstream_core::{Cx, Drop, Errno, Fields, LinkInfo, Lower, Mux, MuxInfo, Step, Upper};
use millstream_msg::{Kind, Msg};

/// What `mux` says of itself.
pub const INFO: MuxInfo = super::info("mux", "streams above to streams below, as they select");

/// Selects the stream below.
pub const SWITCH_SELECT: u32 = 0x6d78;

/// The multiplexor.
#[derive(Debug, Default)]
pub struct Switch {
    uppers: Vec<Above>,
    lowers: Vec<Below>,
}

#[derive(Clone, Copy, Debug)]
struct Above {
    upper: Upper,
    /// What it has selected.
    lower: Option<Lower>,
}

#[derive(Clone, Copy, Debug)]
struct Below {
    lower: Lower,
    /// Who sent there last.
    upper: Option<Upper>,
}

impl Switch {
    /// Where messages of a stream go.
    fn way(&self, from: Upper) -> Option<Lower> {
        let above = self.uppers.iter().find(|above| above.upper.key() == from.key())?;
        above.lower.or(self.lowers.last().map(|below| below.lower))
    }

    fn down(&mut self, cx: &mut Cx<'_>, from: Upper, lower: Lower, msg: Msg) {
        if let Some(below) = self.lowers.iter_mut().find(|b| b.lower.key() == lower.key()) {
            below.upper = Some(from);
        }
        cx.put_lower(lower, msg);
    }

    fn select(&mut self, from: Upper, ioctl: &Msg) -> Result<(), Errno> {
        let at = super::number(ioctl).ok_or(Errno::EINVAL)? as usize;
        let lower = self.lowers.get(at).ok_or(Errno::ENXIO)?.lower;
        if let Some(above) = self.uppers.iter_mut().find(|a| a.upper.key() == from.key()) {
            above.lower = Some(lower);
        }
        Ok(())
    }

    fn refuse(cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        cx.discard(msg, Drop("mux_nothing_below"));
        super::fail(cx, from);
    }
}

impl Mux for Switch {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, _: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        self.uppers.push(Above { upper, lower: None });
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, upper: Upper) -> Step {
        self.uppers.retain(|above| above.upper.key() != upper.key());
        for below in &mut self.lowers {
            below.upper = below.upper.filter(|last| last.key() != upper.key());
        }
        Step::Done
    }

    fn link(&mut self, _: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
        self.lowers.push(Below { lower, upper: None });
        Ok(())
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        self.lowers.retain(|below| below.lower.key() != lower.key());
        for above in &mut self.uppers {
            above.lower = above.lower.filter(|chosen| chosen.key() != lower.key());
            cx.qenable_upper(above.upper);
        }
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match (msg.kind(), self.way(from)) {
            (Kind::Flush, _) => cx.turn_flush_upper(from, msg),
            (Kind::Ioctl, _) => match Iocblk::parse(msg.first()).map(|blk| blk.cmd) {
                Some(SWITCH_SELECT) => match self.select(from, &msg) {
                    Ok(()) => cx.miocack(msg, 0, None),
                    Err(errno) => cx.miocnak(msg, errno),
                },
                _ => cx.unknown_ioctl(from, msg),
            },
            (Kind::IocData, _) => cx.unknown_ioctl(from, msg),
            (_, None) => Self::refuse(cx, from, msg),
            (kind, Some(lower)) if kind.is_high_priority() => self.down(cx, from, lower, msg),
            (_, Some(lower)) if cx.upper_len(from) == 0 && cx.canput_lower(lower, msg.band()) => {
                self.down(cx, from, lower, msg);
            }
            _ => cx.putq_upper(from, msg),
        }
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while let Some(msg) = cx.getq_upper(upper) {
            let Some(lower) = self.way(upper) else { return Self::refuse(cx, upper, msg) };
            if !cx.canput_lower(lower, msg.band()) {
                return cx.putbq_upper(upper, msg);
            }
            self.down(cx, upper, lower, msg);
        }
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, _: Lower) {
        for above in &self.uppers {
            cx.qenable_upper(above.upper);
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        let below = self.lowers.iter().find(|below| below.lower.key() == from.key());
        match (msg.kind(), below.and_then(|below| below.upper)) {
            (Kind::Flush, _) => cx.turn_flush_lower(from, msg),
            (_, None) => cx.discard(msg, Drop("mux_nobody_above")),
            (kind, Some(upper)) if kind.is_high_priority() => cx.put_upper(upper, msg),
            (_, Some(upper)) if cx.queue_len() == 0 && cx.canput_upper(upper, msg.band()) => {
                cx.put_upper(upper, msg);
            }
            _ => cx.putq(msg),
        }
    }

    fn lrsrv(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        let below = self.lowers.iter().find(|below| below.lower.key() == lower.key());
        let upper = below.and_then(|below| below.upper);
        while let Some(msg) = cx.getq() {
            let Some(upper) = upper else {
                cx.discard(msg, Drop("mux_nobody_above"));
                continue;
            };
            if !cx.canput_upper(upper, msg.band()) {
                return cx.putbq(msg);
            }
            cx.put_upper(upper, msg);
        }
    }

    fn upper_relieved(&mut self, cx: &mut Cx<'_>, _: Upper) {
        for below in &self.lowers {
            cx.qenable_lower(below.lower);
        }
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("above", self.uppers.len() as u64);
        fields.count("below", self.lowers.len() as u64);
    }
}
