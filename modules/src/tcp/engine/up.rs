//! What goes up to users: data, and word of what becomes of their connections, in order.

use super::{Engine, Has};
use crate::tcp::Segment;
use crate::tcp::tcb::{Marks, NOBODY, Tcb};
use millstream_core::tpi::Primitive;
use millstream_core::{Errno, SetOptions};
use millstream_msg::{Band, Kind, Msg, MsgList, Pool};

impl Engine {
    /// Has a connection something for its user?
    pub(in crate::tcp) fn has_up(&mut self, number: u32) -> bool {
        self.tcb(number).is_some_and(|tcb| !tcb.ready.is_empty() || has_word(tcb))
    }

    /// Is a connection over, though its user may not have heard of it yet?
    pub(in crate::tcp) fn is_over(&mut self, number: u32) -> bool {
        self.tcb(number).is_some_and(|tcb| tcb.marks.has(Marks::DEAD))
    }

    /// The next message for the user of a connection; `None` also without memory for it. A
    /// connection that is over is forgotten with its last word.
    pub(in crate::tcp) fn next_up(&mut self, number: u32, pool: &mut Pool) -> Option<Msg> {
        let tcb = self.tcb(number)?;
        if tcb.marks.has(Marks::TELL_BUFFER) {
            let (hiwat, lowat) = (tcb.rcv_buf.saturating_mul(2), tcb.rcv_buf / 2);
            let marks =
                SetOptions { hiwat: Some(hiwat), lowat: Some(lowat), ..SetOptions::default() };
            let msg = marks.to_msg(pool).ok()?;
            tcb.marks.clear(Marks::TELL_BUFFER);
            return Some(msg);
        }
        if tcb.marks.has(Marks::TELL_CONNECTED) {
            let msg = control(&Primitive::conn_con(tcb.remote.into()), pool)?;
            tcb.marks.clear(Marks::TELL_CONNECTED);
            return Some(msg);
        }
        if let Some(mut data) = tcb.ready.pop() {
            if data.band() == URGENT {
                data.set_band(Band(0));
                return urgent_up(data, pool);
            }
            return Some(data);
        }
        if tcb.marks.has(Marks::TELL_END) {
            let msg = control(&Primitive::ordrel_ind(), pool)?;
            tcb.marks.clear(Marks::TELL_END);
            tcb.marks.set(Marks::TOLD_END);
            return Some(msg);
        }
        if tcb.marks.has(Marks::DEAD) {
            let user = tcb.user;
            let word = match tcb.error {
                0 => None,
                error => Some(control(&Primitive::discon_ind(Errno(error.into()), -1), pool)?),
            };
            self.detach(user, number);
            return word;
        }
        None
    }

    /// The data that come next for the user of a connection, together; `None` when they are not
    /// next, or one of them goes up in another way.
    pub(in crate::tcp) fn next_data(&mut self, number: u32) -> Option<MsgList> {
        let tcb = self.tcb(number)?;
        let words_first = tcb.marks.has(Marks::TELL_BUFFER) || tcb.marks.has(Marks::TELL_CONNECTED);
        if words_first || tcb.ready.len() < 2 || tcb.ready.iter().any(|data| data.band() == URGENT)
        {
            return None;
        }
        Some(core::mem::take(&mut tcb.ready))
    }

    /// Word for a user that is no part of its data.
    pub(super) fn tell(&mut self, user: u32, primitive: &Primitive, pool: &mut Pool) {
        if let Some(msg) = control(primitive, pool) {
            self.out.up.push((user, msg));
        }
    }

    /// Urgent data are on their way: SIGURG's message.
    pub(super) fn urgent(&mut self, number: u32, pool: &mut Pool) {
        let Some(tcb) = self.tcb(number) else { return };
        let user = tcb.user;
        if user == NOBODY {
            return;
        }
        if let Ok(mut msg) = pool.alloc_reserve(0, 1) {
            msg.set_kind(Kind::PcSig);
            msg.spare_mut()[0] = SIGURG;
            msg.commit(1);
            self.out.up.push((user, msg));
        }
    }

    /// A connection is over.
    pub(super) fn over(&mut self, number: u32, errno: Option<Errno>, pool: &mut Pool) {
        // Its ends are free, though the user may not have heard of it yet.
        self.table.remove(number);
        let Some(tcb) = self.tcb(number) else { return };
        tcb.error = errno.map_or(0, |errno| errno.0 as i16);
        if tcb.parent != NOBODY {
            self.lost_before_accept(number, errno, pool);
        } else if tcb.user == NOBODY {
            self.forget(number);
        } else {
            self.touch(number);
        }
    }

    /// The user keeps its stream, the connection is forgotten.
    fn detach(&mut self, user: u32, number: u32) {
        if let Some(user) = self.user_mut(user) {
            user.has = Has::Ended;
        }
        self.forget(number);
    }
}

impl crate::tcp::env::Shared {
    /// Answers a segment that is for nobody with RST (RFC 9293 section 3.10.7.1).
    pub(in crate::tcp) fn refuse(&mut self, seg: &Segment, now: u64, pool: &mut Pool) {
        use crate::tcp::build::{self, Header, Way};
        use crate::tcp::{Flags, Options, Seq};
        if seg.flags.has(Flags::RST) || !self.limits.reset(now) {
            return;
        }
        let (seq, ack, flags) = if seg.flags.has(Flags::ACK) {
            (seg.ack, Seq(0), Flags::RST)
        } else {
            (Seq(0), seg.end(), Flags::RST.with(Flags::ACK))
        };
        let header = Header {
            local: seg.local,
            remote: seg.remote,
            seq,
            ack,
            flags,
            window: 0,
            urgent: 0,
            options: Options::default(),
        };
        match build::segment(&header, Way::default(), None, u16::MAX, pool) {
            Ok(msg) => self.act.create_down(msg),
            Err((_, reason)) => self.happened.push(reason),
        }
    }
}

/// Is there word for the user behind the data?
fn has_word(tcb: &Tcb) -> bool {
    let words = [Marks::TELL_BUFFER, Marks::TELL_CONNECTED, Marks::TELL_END, Marks::DEAD];
    words.into_iter().any(|mark| tcb.marks.has(mark))
}

fn control(primitive: &Primitive, pool: &mut Pool) -> Option<Msg> {
    primitive.to_msg(primitive.kind(), pool).ok()
}

/// T_EXDATA_IND and the octet.
fn urgent_up(data: Msg, pool: &mut Pool) -> Option<Msg> {
    let Some(mut msg) = control(&Primitive::exdata_ind(false), pool) else { return Some(data) };
    msg.link(data);
    Some(msg)
}

/// Marks the urgent octet among data in order; it goes up in band 0, behind its word.
pub(in crate::tcp) const URGENT: Band = Band(1);
const SIGURG: u8 = 23;
