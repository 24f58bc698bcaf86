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
