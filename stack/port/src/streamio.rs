//! Commands of `ioctl(2)` on streams, with the numbers of `stropts.h`, and how their arguments lie
//! in the bytes of [`crate::Sockets::ioctl`].
//!
//! | Command | `arg` | `input` | `out` | value |
//! |---|---|---|---|---|
//! | [`I_NREAD`] | | | bytes of the first message, i32 | messages |
//! | [`I_PUSH`], [`I_FIND`] | | name of a module | | 0; of I_FIND 1 if it is there |
//! | [`I_POP`] | | | | 0 |
//! | [`I_LOOK`] | | | name of the topmost module | 0 |
//! | [`I_LIST`] | | | names, each ended by a zero | how many |
//! | [`I_FLUSH`] | FLUSHR, FLUSHW, FLUSHRW | | | 0 |
//! | [`I_FLUSHBAND`] | the same | the band, a byte | | 0 |
//! | [`I_SRDOPT`], [`I_SWROPT`], [`I_SETSIG`], [`I_SETCLTIME`] | a number | | | 0 |
//! | [`I_GRDOPT`], [`I_GWROPT`], [`I_GETSIG`], [`I_GETCLTIME`] | | | a number, i32 | 0 |
//! | [`I_STR`] | `ic_timout << 32`, or-ed with `ic_cmd` | data | what came back | as answered |
//! | [`I_CKBAND`], [`I_CANPUT`] | the band | | | 1 or 0 |
//! | [`I_GETBAND`] | | | the band, i32 | 0 |
//! | [`I_ATMARK`] | ANYMARK or LASTMARK | | | 1 or 0 |
//! | [`I_LINK`], [`I_PLINK`] | number of the other stream | | | the link's number |
//! | [`I_UNLINK`], [`I_PUNLINK`] | the link's number, or MUXID_ALL | | | 0 |
//! | [`I_PEEK`] | 1: only RS_HIPRI | room for each part, two i32 | see below | 1; for nothing 0 |
//! | [`I_FDINSERT`] | `offset << 32`, or-ed with the other's number | see below | | 0 |
//! | [`I_SENDFD`] | number of the other stream | | | 0 |
//! | [`I_RECVFD`] | | | uid and gid of the sender, two i32 | number of the stream |
//!
//! I_PEEK gives the lengths of the control part and the data part (-1 for none) and 1 for a message
//! of high priority, three i32, then the bytes of both. I_FDINSERT takes the length of the control
//! part, i32, then the control part, then the data part, of which there is none without bytes.
//! Numbers are in the order of bytes of the machine.
//!
//! What modules answer late is asked for again, and they may want the caller's memory copied:
//! [`Asked`] says so, and these commands, which no program gives, go on.
//!
//! | Command | `arg` | `input` |
//! |---|---|---|
//! | [`TRANSPARENT`] | the third argument of `ioctl(2)` | the command, u32 |
//! | [`LOOK`] | the request's number | |
//! | [`COPIED`] | `errno << 32`, or-ed with the request's number | what was copied in |
//! | [`GIVE_UP`] | the request's number | |

/// What an ioctl has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is over: the value of the call, and the bytes that were written.
    Done(i32, usize),
    /// Modules have not answered: to be asked again, with [`LOOK`] and this number, when the
    /// stream has changed.
    Waits(u32),
    /// Bytes of the caller's memory are wanted, with [`COPIED`].
    CopyIn {
        /// The request.
        number: u32,
        /// Where, as a module says.
        addr: u64,
        /// How many.
        len: usize,
    },
    /// The bytes that were written are to be stored in the caller's memory; then [`COPIED`].
    CopyOut {
        /// The request.
        number: u32,
        /// Where, as a module says.
        addr: u64,
        /// How many.
        len: usize,
    },
}

impl Asked {
    /// As numbers of an answer.
    pub fn to_values(self) -> [i64; 3] {
        let (kind, number, addr, len) = match self {
            Self::Done(value, _) => (0, value as u32, 0, 0),
            Self::Waits(number) => (1, number, 0, 0),
            Self::CopyIn { number, addr, len } => (2, number, addr, len),
            Self::CopyOut { number, addr, .. } => (3, number, addr, 0),
        };
        [kind << 32 | i64::from(number), addr as i64, len as i64]
    }

    /// Of an answer with so many bytes; `None`: it is none.
    pub fn of_values([first, addr, wanted]: [i64; 3], len: usize) -> Option<Self> {
        let (number, addr) = (first as u32, addr as u64);
        Some(match first >> 32 {
            0 => Self::Done(number as i32, len),
            1 => Self::Waits(number),
            2 => Self::CopyIn { number, addr, len: usize::try_from(wanted).ok()? },
            3 => Self::CopyOut { number, addr, len },
            _ => return None,
        })
    }
}

/// A command of a module's own, with an argument that may be an address.
pub const TRANSPARENT: u32 = 1;
/// What has come of a request?
pub const LOOK: u32 = 2;
/// What a module wanted copied is copied, or cannot be.
pub const COPIED: u32 = 3;
/// Nobody waits for a request any more.
pub const GIVE_UP: u32 = 4;

const fn i(number: u32) -> u32 {
    ((b'S' as u32) << 8) | number
}

/// How many messages wait, and how long the first is.
pub const I_NREAD: u32 = i(1);
/// Puts a module in below the head.
pub const I_PUSH: u32 = i(2);
/// Takes the topmost module out.
pub const I_POP: u32 = i(3);
/// Names the topmost module.
pub const I_LOOK: u32 = i(4);
/// Throws away what is queued.
pub const I_FLUSH: u32 = i(5);
/// Sets the read mode.
pub const I_SRDOPT: u32 = i(6);
/// Tells the read mode.
pub const I_GRDOPT: u32 = i(7);
/// Sends a request down.
pub const I_STR: u32 = i(8);
/// Asks for signals.
pub const I_SETSIG: u32 = i(9);
/// Tells the signals that were asked for.
pub const I_GETSIG: u32 = i(10);
/// Is a module of this name in the stream?
pub const I_FIND: u32 = i(11);
/// Links a stream below a multiplexor.
pub const I_LINK: u32 = i(12);
/// Undoes a link.
pub const I_UNLINK: u32 = i(13);
/// Takes a stream that came through a pipe.
pub const I_RECVFD: u32 = i(14);
/// Looks at the first message.
pub const I_PEEK: u32 = i(15);
/// Sends a message that names another stream.
pub const I_FDINSERT: u32 = i(16);
/// Hands a stream through a pipe.
pub const I_SENDFD: u32 = i(17);
/// Sets the write mode.
pub const I_SWROPT: u32 = i(19);
/// Tells the write mode.
pub const I_GWROPT: u32 = i(20);
/// Names all modules.
pub const I_LIST: u32 = i(21);
/// Links a stream until it is undone.
pub const I_PLINK: u32 = i(22);
/// Undoes a link of I_PLINK.
pub const I_PUNLINK: u32 = i(23);
/// Throws away what is queued of a band.
pub const I_FLUSHBAND: u32 = i(28);
/// Does a message of this band wait?
pub const I_CKBAND: u32 = i(29);
/// The band of the first message.
pub const I_GETBAND: u32 = i(30);
/// Is the first message marked?
pub const I_ATMARK: u32 = i(31);
/// Sets how long a close waits for what was sent.
pub const I_SETCLTIME: u32 = i(32);
/// Tells how long a close waits.
pub const I_GETCLTIME: u32 = i(33);
/// Would a message of this band be taken?
pub const I_CANPUT: u32 = i(34);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ioctl_has_come_to_goes_through_numbers_and_back() {
        let (number, addr) = (u32::MAX, u64::MAX);
        for asked in [
            Asked::Done(-5, 9),
            Asked::Waits(number),
            Asked::CopyIn { number, addr, len: 65_536 },
            Asked::CopyOut { number, addr, len: 9 },
        ] {
            assert_eq!(Asked::of_values(asked.to_values(), 9), Some(asked));
        }
        assert_eq!(Asked::of_values([4 << 32, 0, 0], 0), None);
        assert_eq!(Asked::of_values([2 << 32, 0, -1], 0), None);
    }
}
