//! M_SETOPTS: what a module or driver asks of the stream head, as the bytes of a
//! `struct stroptions` of 64-bit systems.

use crate::errno::Errno;
use millstream_msg::{Band, Kind, Msg, NoMem, Pool};

/// Options of a stream head; those that are `None` stay as they are.
///
/// ```
/// use millstream_core::SetOptions;
/// use millstream_msg::{Kind, Pool, PoolConfig};
///
/// let mut pool = Pool::new(PoolConfig::TINY);
/// let marks = SetOptions { hiwat: Some(65_536), lowat: Some(16_384), ..SetOptions::default() };
/// let msg = marks.to_msg(&mut pool).unwrap();
/// assert_eq!(msg.kind(), Kind::SetOpts);
/// assert_eq!(SetOptions::parse(msg.first()), Ok(marks));
/// pool.free(msg);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// SO_READOPT: a number as `ReadOptions::changed` takes it.
    pub read: Option<u16>,
    /// SO_WROFF: bytes in front of data that the head sends.
    pub write_offset: Option<u16>,
    /// SO_MINPSZ of the head's read side. Bytes.
    pub minpsz: Option<u32>,
    /// SO_MAXPSZ of the head's read side. Bytes.
    pub maxpsz: Option<u32>,
    /// SO_HIWAT: where the head is full. Bytes.
    pub hiwat: Option<u32>,
    /// SO_LOWAT: below which writers are called back. Bytes.
    pub lowat: Option<u32>,
    /// SO_BAND: the water marks are those of this band.
    pub band: Option<Band>,
    /// SO_ERROPT: a number as `ErrorOptions::changed` takes it.
    pub errors: Option<u16>,
}

/// Bits of `so_flags`.
mod flag {
    pub(super) const READOPT: u32 = 0x0001;
    pub(super) const WROFF: u32 = 0x0002;
    pub(super) const MINPSZ: u32 = 0x0004;
    pub(super) const MAXPSZ: u32 = 0x0008;
    pub(super) const HIWAT: u32 = 0x0010;
    pub(super) const LOWAT: u32 = 0x0020;
    pub(super) const BAND: u32 = 0x2000;
    pub(super) const ERROPT: u32 = 0x4_0000;
}

/// Offsets of the fields.
mod at {
    pub(super) const READOPT: usize = 4;
    pub(super) const WROFF: usize = 6;
    pub(super) const MINPSZ: usize = 8;
    pub(super) const MAXPSZ: usize = 16;
    pub(super) const HIWAT: usize = 24;
    pub(super) const LOWAT: usize = 32;
    pub(super) const BAND: usize = 40;
    pub(super) const ERROPT: usize = 42;
}

/// Bytes of a `struct stroptions`.
const LEN: usize = 64;

impl SetOptions {
    /// An M_SETOPTS message, to send up.
    ///
    /// # Errors
    /// [`NoMem`].
    pub fn to_msg(self, pool: &mut Pool) -> Result<Msg, NoMem> {
        let mut bytes = [0; LEN];
        let mut flags = 0;
        let mut put = |bit: u32, at: usize, value: Option<&[u8]>| {
            if let Some(value) = value {
                flags |= bit;
                bytes[at..at + value.len()].copy_from_slice(value);
            }
        };
        let short = |value: Option<u16>| value.map(u16::to_ne_bytes);
        let long = |value: Option<u32>| value.map(|value| u64::from(value).to_ne_bytes());
        put(flag::READOPT, at::READOPT, short(self.read).as_ref().map(|b| &b[..]));
        put(flag::WROFF, at::WROFF, short(self.write_offset).as_ref().map(|b| &b[..]));
        put(flag::MINPSZ, at::MINPSZ, long(self.minpsz).as_ref().map(|b| &b[..]));
        put(flag::MAXPSZ, at::MAXPSZ, long(self.maxpsz).as_ref().map(|b| &b[..]));
        put(flag::HIWAT, at::HIWAT, long(self.hiwat).as_ref().map(|b| &b[..]));
        put(flag::LOWAT, at::LOWAT, long(self.lowat).as_ref().map(|b| &b[..]));
        put(flag::BAND, at::BAND, self.band.map(|Band(band)| [band]).as_ref().map(|b| &b[..]));
        put(flag::ERROPT, at::ERROPT, short(self.errors).as_ref().map(|b| &b[..]));
        bytes[..4].copy_from_slice(&u32::to_ne_bytes(flags));
        let mut msg = pool.alloc_reserve(0, LEN)?;
        msg.set_kind(Kind::SetOpts);
        msg.spare_mut()[..LEN].copy_from_slice(&bytes);
        msg.commit(LEN);
        Ok(msg)
    }

    /// The options of a message's bytes. What is asked for besides has no meaning here and is
    /// passed over.
    ///
    /// # Errors
    /// EINVAL when the bytes are too few.
    pub fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        let bytes: &[u8; LEN] =
            bytes.get(..LEN).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
        let flags = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let asked = |bit: u32| (flags & bit != 0).then_some(());
        let short =
            |bit, at: usize| asked(bit).map(|()| u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let long = |bit, at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            // INFPSZ (-1) and whatever is beyond 4 GiB: no limit.
            asked(bit).map(|()| u32::try_from(u64::from_ne_bytes(word)).unwrap_or(u32::MAX))
        };
        Ok(Self {
            read: short(flag::READOPT, at::READOPT),
            write_offset: short(flag::WROFF, at::WROFF),
            minpsz: long(flag::MINPSZ, at::MINPSZ),
            maxpsz: long(flag::MAXPSZ, at::MAXPSZ),
            hiwat: long(flag::HIWAT, at::HIWAT),
            lowat: long(flag::LOWAT, at::LOWAT),
            band: asked(flag::BAND).map(|()| Band(bytes[at::BAND])),
            errors: short(flag::ERROPT, at::ERROPT),
        })
    }
}
