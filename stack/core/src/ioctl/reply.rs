//! What a module does with an ioctl: answer it, refuse it, ask for copies, or make one of its own.

use super::{BLOCK, Copyreq, IocId, Iocblk, MALFORMED};
use crate::cx::Cx;
use crate::errno::Errno;
use crate::net::Net;
use millstream_msg::{Band, Kind, Msg, NoMem, Pool};

impl Cx<'_> {
    /// Answers an M_IOCTL or the last M_IOCDATA (`miocack`, `mcopymsg`): the caller gets `rval` and
    /// `data`. The answer goes back the way the message came.
    pub fn miocack(&mut self, msg: Msg, rval: i32, data: Option<Msg>) {
        let count = data.as_ref().map_or(0, |data| data.len() as u32);
        let Some(blk) = Iocblk::parse(msg.first()) else { return self.malformed(msg, data) };
        let blk = Iocblk { count, rval, error: Errno(0), ..blk };
        let msg = self.strip(msg, data);
        let msg = rewrite(self.pool(), msg, Kind::IocAck, blk.to_bytes());
        self.qreply(msg);
    }

    /// Refuses an M_IOCTL, or gives up at an M_IOCDATA (`miocnak`). Errno(0) stands for EINVAL.
    pub fn miocnak(&mut self, msg: Msg, error: Errno) {
        let Some(blk) = Iocblk::parse(msg.first()) else { return self.malformed(msg, None) };
        let msg = self.strip(msg, None);
        let blk = Iocblk { count: 0, rval: -1, error, ..blk };
        let msg = rewrite(self.pool(), msg, Kind::IocNak, blk.to_bytes());
        self.qreply(msg);
    }

    /// Asks for `size` bytes of the caller's memory at `addr` (`mcopyin`). They come in an
    /// M_IOCDATA with `private`, which says whether it went well; if not, no answer is expected.
    pub fn mcopyin(&mut self, msg: Msg, private: u64, addr: u64, size: u32) {
        let Some(blk) = Iocblk::parse(msg.first()) else { return self.malformed(msg, None) };
        let (Iocblk { cmd, id, cred, .. }, msg) = (blk, self.strip(msg, None));
        let req = Copyreq { cmd, id, cred, addr, size, private };
        let msg = rewrite(self.pool(), msg, Kind::CopyIn, req.to_bytes());
        self.qreply(msg);
    }

    /// Asks that `data` be stored in the caller's memory at `addr` (`mcopyout`). An M_IOCDATA
    /// with `private` says whether it was; if not, no answer is expected.
    pub fn mcopyout(&mut self, msg: Msg, private: u64, addr: u64, data: Msg) {
        let size = data.len() as u32;
        let Some(blk) = Iocblk::parse(msg.first()) else { return self.malformed(msg, Some(data)) };
        let Iocblk { cmd, id, cred, .. } = blk;
        let msg = self.strip(msg, Some(data));
        let req = Copyreq { cmd, id, cred, addr, size, private };
        let msg = rewrite(self.pool(), msg, Kind::CopyOut, req.to_bytes());
        self.qreply(msg);
    }

    /// An M_IOCTL of the module's own (`mkiocb`), to be sent down. The module takes the answer
    /// with this identifier off the stream: the head waits for none.
    ///
    /// # Errors
    /// [`NoMem`]; the data is freed then.
    pub fn mkiocb(&mut self, cmd: u32, data: Option<Msg>) -> Result<(IocId, Msg), NoMem> {
        let id = self.net.next_ioc_id();
        let count = data.as_ref().map_or(0, |data| data.len() as u32);
        let blk = Iocblk { cmd, id, count, rval: 0, error: Errno(0), cred: super::Cred::default() };
        match first_block(self.pool(), Kind::Ioctl, blk.to_bytes()) {
            Ok(mut msg) => {
                if let Some(data) = data {
                    msg.link(data);
                }
                Ok((id, msg))
            }
            Err(NoMem) => {
                if let Some(data) = data {
                    self.pool().spend(data);
                }
                Err(NoMem)
            }
        }
    }

    /// Puts other data behind the first block.
    fn strip(&mut self, msg: Msg, data: Option<Msg>) -> Msg {
        let (mut first, rest) = msg.unlink();
        if let Some(rest) = rest {
            self.pool().spend(rest);
        }
        if let Some(data) = data {
            first.link(data);
        }
        first
    }

    fn malformed(&mut self, msg: Msg, data: Option<Msg>) {
        self.discard(msg, MALFORMED);
        if let Some(data) = data {
            self.pool().spend(data);
        }
    }
}

impl Net {
    /// A fresh identifier; never 0.
    pub(crate) fn next_ioc_id(&mut self) -> IocId {
        self.ioc_ids = self.ioc_ids.wrapping_add(1).max(1);
        IocId(self.ioc_ids)
    }
}

/// A first block without anything behind it.
pub(crate) fn first_block(pool: &mut Pool, kind: Kind, bytes: [u8; BLOCK]) -> Result<Msg, NoMem> {
    let mut msg = pool.alloc_reserve(0, BLOCK)?;
    msg.set_kind(kind);
    msg.spare_mut()[..BLOCK].copy_from_slice(&bytes);
    msg.commit(BLOCK);
    Ok(msg)
}

/// Rewrites the first block. When it is shared and there is no memory for another one the message
/// becomes a refusal as it is: its `error` is 0 then, or that of a request, and means EINVAL.
pub(crate) fn rewrite(pool: &mut Pool, mut msg: Msg, kind: Kind, bytes: [u8; BLOCK]) -> Msg {
    msg.set_band(Band(0));
    match msg.make_writable(pool, BLOCK) {
        Ok(block) => {
            block.copy_from_slice(&bytes);
            msg.set_kind(kind);
        }
        Err(_) => msg.set_kind(Kind::IocNak),
    }
    msg
}

/// Refuses an M_IOCTL that nobody below knows, and an M_IOCDATA whose module is gone, in place.
/// Without answer is an M_IOCDATA of a failed copy: it comes back, to be freed.
pub(crate) fn refuse_unknown(pool: &mut Pool, msg: Msg) -> Result<Msg, Msg> {
    if msg.kind() == Kind::IocData
        && super::Copyresp::parse(msg.first()).is_none_or(|resp| resp.error.0 != 0)
    {
        return Err(msg);
    }
    let Some(blk) = Iocblk::parse(msg.first()) else { return Err(msg) };
    let blk = Iocblk { count: 0, rval: -1, error: Errno::EINVAL, ..blk };
    Ok(rewrite(pool, msg, Kind::IocNak, blk.to_bytes()))
}
