//! First blocks of ioctl messages: 40 bytes in native order that begin with command, identifier
//! and credentials.

use super::{Cred, IocId};
use crate::errno::Errno;

/// Bytes of each first block.
pub const BLOCK: usize = 40;

/// M_IOCTL, M_IOCACK, M_IOCNAK (`struct iocblk`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iocblk {
    /// What to do.
    pub cmd: u32,
    /// Which request; the answer has the same.
    pub id: IocId,
    /// Whom it comes from.
    pub cred: Cred,
    /// Bytes that follow, or [`super::TRANSPARENT`].
    pub count: u32,
    /// What ioctl(2) returns (M_IOCACK).
    pub rval: i32,
    /// Why not; 0 when it went well. In M_IOCNAK 0 stands for EINVAL.
    pub error: Errno,
}

/// M_COPYIN, M_COPYOUT (`struct copyreq`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copyreq {
    /// What to do.
    pub cmd: u32,
    /// Which request.
    pub id: IocId,
    /// Whom it comes from.
    pub cred: Cred,
    /// Where, in the caller's memory.
    pub addr: u64,
    /// How many bytes.
    pub size: u32,
    /// The module's own; comes back in M_IOCDATA.
    pub private: u64,
}

/// M_IOCDATA (`struct copyresp`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copyresp {
    /// What to do.
    pub cmd: u32,
    /// Which request.
    pub id: IocId,
    /// Whom it comes from.
    pub cred: Cred,
    /// Why the copy failed; 0 when it went well. After a failure no answer is expected.
    pub error: Errno,
    /// The module's own, from its request.
    pub private: u64,
}

impl Iocblk {
    /// Reads a block; `None` when it is too short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let words = Words::of(bytes)?;
        let (cmd, id, cred) = words.begin();
        let (rval, error) = (words.at(20) as i32, Errno(words.at(24) as i32));
        Some(Self { cmd, id, cred, count: words.at(16), rval, error })
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; BLOCK] {
        begin(self.cmd, self.id, self.cred)
            .put(16, self.count)
            .put(20, self.rval as u32)
            .put(24, self.error.0 as u32)
            .0
    }
}

impl Copyreq {
    /// Reads a block; `None` when it is too short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let words = Words::of(bytes)?;
        let (cmd, id, cred) = words.begin();
        let (addr, private) = (words.long(16), words.long(32));
        Some(Self { cmd, id, cred, addr, size: words.at(24), private })
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; BLOCK] {
        begin(self.cmd, self.id, self.cred)
            .put_long(16, self.addr)
            .put(24, self.size)
            .put_long(32, self.private)
            .0
    }
}

impl Copyresp {
    /// Reads a block; `None` when it is too short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let words = Words::of(bytes)?;
        let (cmd, id, cred) = words.begin();
        let error = Errno(words.at(16) as i32);
        Some(Self { cmd, id, cred, error, private: words.long(32) })
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; BLOCK] {
        begin(self.cmd, self.id, self.cred)
            .put(16, self.error.0 as u32)
            .put_long(32, self.private)
            .0
    }
}

struct Words([u8; BLOCK]);

fn begin(cmd: u32, id: IocId, cred: Cred) -> Words {
    Words([0; BLOCK]).put(0, cmd).put(4, id.0).put(8, cred.uid).put(12, cred.gid)
}

impl Words {
    fn of(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|block| Self(*block))
    }

    fn begin(&self) -> (u32, IocId, Cred) {
        let cred = Cred { uid: self.at(8), gid: self.at(12) };
        (self.at(0), IocId(self.at(4)), cred)
    }

    fn at(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn long(&self, at: usize) -> u64 {
        u64::from(self.at(at)) | u64::from(self.at(at + 4)) << 32
    }

    fn put(mut self, at: usize, word: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        self
    }

    fn put_long(self, at: usize, long: u64) -> Self {
        self.put(at, long as u32).put(at + 4, (long >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRED: Cred = Cred { uid: 1000, gid: 100 };

    #[test]
    fn each_block_is_read_as_it_was_written() {
        let ioc = Iocblk { cmd: 7, id: IocId(9), cred: CRED, count: 3, rval: -2, error: Errno(5) };
        assert_eq!(Iocblk::parse(&ioc.to_bytes()), Some(ioc));
        let (addr, private) = (u64::MAX - 1, 0x1_0000_0002);
        let req = Copyreq { cmd: 7, id: IocId(9), cred: CRED, addr, size: 3, private };
        assert_eq!(Copyreq::parse(&req.to_bytes()), Some(req));
        let resp = Copyresp { cmd: 7, id: IocId(9), cred: CRED, error: Errno::EFAULT, private };
        assert_eq!(Copyresp::parse(&resp.to_bytes()), Some(resp));
    }

    #[test]
    fn a_short_block_is_none() {
        for len in 0..BLOCK {
            assert_eq!(Iocblk::parse(&[0; BLOCK][..len]), None);
            assert_eq!(Copyreq::parse(&[0; BLOCK][..len]), None);
            assert_eq!(Copyresp::parse(&[0; BLOCK][..len]), None);
        }
    }
}
