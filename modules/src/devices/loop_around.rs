//! loop: what is sent down one stream comes up another one, once a program has joined them.
//!
//! | I_STR command | data | answer |
//! |---|---|---|
//! | [`LOOP_NUMBER`] | none | the number of this stream, 4 bytes |
//! | [`LOOP_SET`] | number of another stream, 4 bytes | none; they are joined |
//!
//! LOOP_SET fails with ENXIO when there is no such stream, EBUSY when one of the two is joined
//! already, EINVAL for other data. A message of a stream that is not joined makes it fail with
//! ENXIO (M_ERROR); when one of two joined streams closes, the other is hung up.

use alloc::vec::Vec;
use millstream_core::ioctl::Iocblk;
use millstream_core::{Cx, Drop, Errno, Fields, LinkInfo, Lower, Mux, MuxInfo, Step, Upper};
use millstream_msg::{Kind, Msg};

/// What `loop` says of itself.
pub const INFO: MuxInfo = super::info("loop", "joins two streams");

/// Asks for the number of a stream.
pub const LOOP_NUMBER: u32 = 0x6c01;
/// Joins a stream with another one.
pub const LOOP_SET: u32 = 0x6c02;

/// The device.
#[derive(Debug, Default)]
pub struct Loop {
    /// By number, which is the stream's cookie.
    streams: Vec<Option<End>>,
}

/// An open stream.
#[derive(Clone, Copy, Debug)]
struct End {
    upper: Upper,
    peer: Option<u32>,
}

impl Loop {
    fn end(&self, number: u32) -> Option<End> {
        self.streams.get(number as usize).copied().flatten()
    }

    fn peer(&self, of: Upper) -> Option<Upper> {
        let peer = self.end(of.cookie as u32)?.peer?;
        Some(self.end(peer)?.upper)
    }

    fn join(&mut self, one: u32, other: u32) -> Result<(), Errno> {
        let ends = [one, other].map(|number| self.end(number));
        match ends {
            [Some(End { peer: None, .. }), Some(End { peer: None, .. })] => {}
            [Some(_), Some(_)] => return Err(Errno::EBUSY),
            _ => return Err(Errno::ENXIO),
        }
        for (number, peer) in [(one, other), (other, one)] {
            if let Some(Some(end)) = self.streams.get_mut(number as usize) {
                end.peer = Some(peer);
            }
        }
        Ok(())
    }

    fn ioctl(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match Iocblk::parse(msg.first()).map(|blk| blk.cmd) {
            Some(LOOP_NUMBER) => {
                let number = (from.cookie as u32).to_ne_bytes();
                match cx.pool().copy_from(0, &number) {
                    Ok(data) => cx.miocack(msg, 0, Some(data)),
                    Err(_) => cx.miocnak(msg, Errno::ENOSR),
                }
            }
            Some(LOOP_SET) => {
                let other = super::number(&msg).ok_or(Errno::EINVAL);
                match other.and_then(|other| self.join(from.cookie as u32, other)) {
                    Ok(()) => cx.miocack(msg, 0, None),
                    Err(errno) => cx.miocnak(msg, errno),
                }
            }
            _ => cx.unknown_ioctl(from, msg),
        }
    }

    /// Nobody is there to take it.
    fn refuse(cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        cx.discard(msg, Drop("loop_not_joined"));
        super::fail(cx, from);
    }
}

impl Mux for Loop {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, mut upper: Upper) -> Result<Step, Errno> {
        let free = self.streams.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        upper.cookie = at as u64;
        cx.set_upper_cookie(upper, upper.cookie);
        self.streams[at] = Some(End { upper, peer: None });
        Ok(Step::Done)
    }

    fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step {
        let peer = self.peer(upper);
        self.streams[upper.cookie as usize] = None;
        if let Some(peer) = peer {
            if let Some(Some(end)) = self.streams.get_mut(peer.cookie as usize) {
                end.peer = None;
            }
            super::tell(cx, peer, Kind::Hangup, &[]);
        }
        Step::Done
    }

    /// Nothing can be linked below.
    fn link(&mut self, _: &mut Cx<'_>, _: Lower, _: LinkInfo) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match (msg.kind(), self.peer(from)) {
            (Kind::Ioctl, _) => self.ioctl(cx, from, msg),
            (Kind::IocData, _) => cx.unknown_ioctl(from, msg),
            (Kind::Flush, _) => cx.turn_flush_upper(from, msg),
            (_, None) => Self::refuse(cx, from, msg),
            (kind, Some(peer)) if kind.is_high_priority() => cx.put_upper(peer, msg),
            (_, Some(peer)) if cx.upper_len(from) == 0 && cx.canput_upper(peer, msg.band()) => {
                cx.put_upper(peer, msg);
            }
            _ => cx.putq_upper(from, msg),
        }
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while let Some(msg) = cx.getq_upper(upper) {
            let Some(peer) = self.peer(upper) else { return Self::refuse(cx, upper, msg) };
            if !cx.canput_upper(peer, msg.band()) {
                return cx.putbq_upper(upper, msg);
            }
            cx.put_upper(peer, msg);
        }
    }

    fn upper_relieved(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        if let Some(peer) = self.peer(upper) {
            cx.qenable_upper(peer);
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        // Nothing is linked.
        cx.free(msg);
    }

    fn show(&self, fields: &mut Fields) {
        let open = self.streams.iter().flatten();
        fields.count("open", open.clone().count() as u64);
        fields.count("joined", open.filter(|end| end.peer.is_some()).count() as u64);
    }
}
