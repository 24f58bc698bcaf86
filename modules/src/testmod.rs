//! testmod: passes all messages, and does on request by ioctl what programs have to be tried
//! against: refusals, silence, second answers, copies, errors, hangups.
//!
//! | command | data | what happens |
//! |---|---|---|
//! | [`ECHO`] | any | answered with the same data and its length |
//! | [`REFUSE`] | error number, 4 bytes | refused with it |
//! | [`HOLD`] | any | not answered, until [`RELEASE`] or the module leaves |
//! | [`RELEASE`] | none | what is held is answered, too late; then this, with how many |
//! | [`TWICE`] | none | answered twice |
//! | [`ERROR`] | 1 or 2 bytes | M_ERROR of these bytes goes up; no answer |
//! | [`HANGUP`] | none | M_HANGUP goes up; no answer |
//! | [`REVERSE`] | transparent: an address | what is there is turned round; its length |
//!
//! At the address of [`REVERSE`] are 4 bytes of length, and so many bytes.

use alloc::vec::Vec;
use millstream_core::ioctl::{BLOCK, Copyresp, IocId, Iocblk, LEN_MAX, TRANSPARENT};
use millstream_core::{Cx, Errno, Fields, ModInfo, Module, Side};
use millstream_msg::{Kind, Msg};

/// What `testmod` says of itself.
pub const INFO: ModInfo = ModInfo::new("testmod", "answers, refuses and fails as it is told");

/// Answers with the same data.
pub const ECHO: u32 = 0x7401;
/// Refuses with the error number in the data.
pub const REFUSE: u32 = 0x7402;
/// Does not answer.
pub const HOLD: u32 = 0x7403;
/// Answers what is held.
pub const RELEASE: u32 = 0x7404;
/// Answers twice.
pub const TWICE: u32 = 0x7405;
/// Sends M_ERROR up.
pub const ERROR: u32 = 0x7406;
/// Sends M_HANGUP up.
pub const HANGUP: u32 = 0x7407;
/// Turns bytes of the caller's memory round.
pub const REVERSE: u32 = 0x7408;

/// Requests that are held or copied for; more are refused with EAGAIN.
const HELD_MAX: usize = 16;

/// The module.
#[derive(Debug, Default)]
pub struct Testmod {
    held: Vec<Msg>,
    /// Where the bytes of requests are whose copies are under way.
    copying: Vec<(IocId, u64)>,
}

/// What comes in an M_IOCDATA, as its `private` says.
mod stage {
    pub(super) const LENGTH: u64 = 0;
    pub(super) const BYTES: u64 = 1;
    /// And above: they are stored; so many bytes more than this.
    pub(super) const STORED: u64 = 2;
}

impl Module for Testmod {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match msg.kind() {
            Kind::Ioctl => match Iocblk::parse(msg.first()) {
                Some(blk) => self.ioctl(cx, blk, msg),
                None => cx.putnext(msg),
            },
            Kind::IocData => match Copyresp::parse(msg.first()) {
                Some(resp) => self.copied(cx, resp, msg),
                None => cx.putnext(msg),
            },
            _ => cx.putnext(msg),
        }
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        for mut msg in self.held.drain(..) {
            // Upwards, whichever side runs; without an error number it means EINVAL.
            msg.set_kind(Kind::IocNak);
            cx.put(Side::Read, msg);
        }
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("held", self.held.len() as u64);
        fields.count("copying", self.copying.len() as u64);
    }
}

impl Testmod {
    fn ioctl(&mut self, cx: &mut Cx<'_>, blk: Iocblk, msg: Msg) {
        match blk.cmd {
            ECHO => {
                let (first, data) = msg.unlink();
                let len = data.as_ref().map_or(0, Msg::len);
                cx.miocack(first, len as i32, data);
            }
            REFUSE => {
                let errno = word(&msg).unwrap_or_default();
                cx.miocnak(msg, Errno(errno as i32));
            }
            HOLD | REVERSE if self.held.len() + self.copying.len() >= HELD_MAX => {
                cx.miocnak(msg, Errno::EAGAIN);
            }
            HOLD => self.held.push(msg),
            RELEASE => {
                let count = self.held.len() as i32;
                for held in self.held.drain(..) {
                    cx.miocack(held, 0, None);
                }
                cx.miocack(msg, count, None);
            }
            TWICE => {
                if let Ok(copy) = msg.copy(cx.pool()) {
                    cx.miocack(copy, 1, None);
                }
                cx.miocack(msg, 2, None);
            }
            ERROR | HANGUP => {
                let mut bytes = [0; 2];
                let len = msg.copy_out(BLOCK, &mut bytes);
                let kind = if blk.cmd == ERROR { Kind::Error } else { Kind::Hangup };
                let bytes = if blk.cmd == ERROR { &bytes[..len] } else { &[] };
                if cx.put_control(Side::Read, kind, bytes) {
                    cx.free(msg);
                } else {
                    cx.miocnak(msg, Errno::ENOSR);
                }
            }
            REVERSE if blk.count == TRANSPARENT => {
                let mut arg = [0; 8];
                msg.copy_out(BLOCK, &mut arg);
                let addr = u64::from_ne_bytes(arg);
                self.copying.push((blk.id, addr));
                cx.mcopyin(msg, stage::LENGTH, addr, 4);
            }
            _ => cx.putnext(msg),
        }
    }

    /// Bytes came, or were stored, or not.
    fn copied(&mut self, cx: &mut Cx<'_>, resp: Copyresp, msg: Msg) {
        let Some(at) = self.copying.iter().position(|(id, _)| *id == resp.id) else {
            return cx.putnext(msg);
        };
        let addr = self.copying[at].1.wrapping_add(4);
        if resp.error.0 != 0 {
            // The caller has gone with an error: no answer.
            self.copying.remove(at);
            return cx.free(msg);
        }
        match resp.private {
            stage::LENGTH => match word(&msg) {
                Some(len) if len as usize <= LEN_MAX => cx.mcopyin(msg, stage::BYTES, addr, len),
                _ => {
                    self.copying.remove(at);
                    cx.miocnak(msg, Errno::EMSGSIZE);
                }
            },
            stage::BYTES => match turned_round(cx, &msg) {
                Some(data) => {
                    let private = stage::STORED + data.len() as u64;
                    cx.mcopyout(msg, private, addr, data);
                }
                None => {
                    self.copying.remove(at);
                    cx.miocnak(msg, Errno::ENOSR);
                }
            },
            stored => {
                self.copying.remove(at);
                cx.miocack(msg, (stored - stage::STORED) as i32, None);
            }
        }
    }
}

/// The first 4 bytes of a request's data.
fn word(msg: &Msg) -> Option<u32> {
    let mut bytes = [0; 4];
    (msg.copy_out(BLOCK, &mut bytes) == 4).then(|| u32::from_ne_bytes(bytes))
}

fn turned_round(cx: &mut Cx<'_>, msg: &Msg) -> Option<Msg> {
    let mut bytes = alloc::vec![0; msg.len() - BLOCK];
    msg.copy_out(BLOCK, &mut bytes);
    bytes.reverse();
    cx.pool().copy_from(0, &bytes).ok()
}
