//! `Opaque`: octets that pass through without being looked at, and without being copied.

use super::{Encoder, Fault};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use millstream_msg::{Cursor, Msg};

/// Octets of variable length.
///
/// # Shapes
/// Read from a message, it points into the message's blocks. To be written, it may own its octets
/// (`Vec<u8>`, [`Bytes`], blocks of them) or a message ([`Msg`]): large ones are linked into the
/// reply, not copied.
pub struct Opaque<'a>(Octets<'a>);

enum Octets<'a> {
    Slice(&'a [u8]),
    /// What lies in several blocks, in order; none is empty.
    Pieces(Vec<&'a [u8]>),
    Owned(Bytes),
    /// Several owned ones, in order.
    Blocks(Vec<Bytes>),
    Msg(Msg),
}

impl<'a> Opaque<'a> {
    /// Octets there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Octets::Slice(octets) => octets.len(),
            Octets::Pieces(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Octets::Owned(octets) => octets.len(),
            Octets::Blocks(blocks) => blocks.iter().map(Bytes::len).sum(),
            Octets::Msg(msg) => msg.len(),
        }
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let (mut pieces, mut blocks, mut one, mut msg): (&[&[u8]], &[Bytes], &[u8], _) =
            (&[], &[], &[], None);
        match &self.0 {
            Octets::Slice(octets) => one = octets,
            Octets::Pieces(these) => pieces = these,
            Octets::Owned(octets) => one = octets,
            Octets::Blocks(these) => blocks = these,
            Octets::Msg(this) => msg = Some(this),
        }
        let one = Some(one).filter(|one| !one.is_empty());
        let blocks = blocks.iter().map(|block| &block[..]);
        let msg = msg.into_iter().flat_map(|msg| msg.cursor().chunks());
        pieces.iter().copied().chain(blocks).chain(one).chain(msg)
    }

    /// The octets, where they are one piece.
    pub fn as_slice(&self) -> Option<&[u8]> {
        match &self.0 {
            Octets::Slice(octets) => Some(octets),
            Octets::Pieces(_) => None,
            Octets::Owned(octets) => Some(octets),
            Octets::Blocks(blocks) => match &blocks[..] {
                [] => Some(&[]),
                [block] => Some(block),
                _ => None,
            },
            Octets::Msg(msg) if msg.blocks().count() == 1 => msg.blocks().next()?.as_slice(),
            Octets::Msg(_) => None,
        }
    }

    /// A copy of the octets.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.len());
        self.chunks().for_each(|chunk| octets.extend_from_slice(chunk));
        octets
    }

    /// Copies to the front of `out`; how many octets: the shorter of both.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let mut done = 0;
        for chunk in self.chunks() {
            let n = chunk.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&chunk[..n]);
            done += n;
        }
        done
    }

    /// The same octets, of which nothing is borrowed: copied unless they were owned.
    pub fn into_owned(self) -> Opaque<'static> {
        Opaque(match self.0 {
            Octets::Owned(octets) => Octets::Owned(octets),
            Octets::Blocks(blocks) => Octets::Blocks(blocks),
            Octets::Msg(msg) => Octets::Msg(msg),
            borrowed => Octets::Owned(Bytes::from(Opaque(borrowed).to_vec())),
        })
    }

    /// Writes length, octets and padding.
    pub(super) fn put(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.length(self.len())?;
        self.put_exact(to)
    }

    /// Writes octets and padding.
    pub(super) fn put_exact(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        let len = self.len();
        match &self.0 {
            Octets::Owned(octets) => to.link_bytes(octets)?,
            Octets::Blocks(blocks) => blocks.iter().try_for_each(|block| to.link_bytes(block))?,
            Octets::Msg(msg) => to.link_dup(msg)?,
            Octets::Slice(_) | Octets::Pieces(_) => {
                self.chunks().try_for_each(|chunk| to.copy(chunk))?;
            }
        }
        to.pad(len)
    }
}

impl Clone for Opaque<'_> {
    /// Borrows what is borrowed and shares what is shared; the octets of a message are copied.
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Octets::Slice(octets) => Octets::Slice(octets),
            Octets::Pieces(pieces) => Octets::Pieces(pieces.clone()),
            Octets::Owned(octets) => Octets::Owned(octets.clone()),
            Octets::Blocks(blocks) => Octets::Blocks(blocks.clone()),
            Octets::Msg(_) => Octets::Owned(Bytes::from(self.to_vec())),
        })
    }
}

impl Default for Opaque<'_> {
    fn default() -> Self {
        Self(Octets::Slice(&[]))
    }
}

impl PartialEq for Opaque<'_> {
    fn eq(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (self.as_slice(), other.as_slice()) {
            return one == other;
        }
        self.len() == other.len() && self.chunks().flatten().eq(other.chunks().flatten())
    }
}

impl Eq for Opaque<'_> {}

impl PartialEq<[u8]> for Opaque<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.len() == other.len() && self.chunks().flatten().eq(other)
    }
}

impl fmt::Debug for Opaque<'_> {
    /// The first octets and how many there are: file blocks are not for the eye.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let len = self.len();
        for octet in self.chunks().flatten().take(SHOWN) {
            write!(f, "{octet:02x}")?;
        }
        if len > SHOWN { write!(f, ".. ({len} octets)") } else { write!(f, " ({len} octets)") }
    }
}

impl<'a> From<Cursor<'a>> for Opaque<'a> {
    fn from(octets: Cursor<'a>) -> Self {
        let first = octets.chunk();
        Self(if first.len() == octets.remaining() {
            Octets::Slice(first)
        } else {
            Octets::Pieces(octets.chunks().collect())
        })
    }
}

impl<'a> From<&'a [u8]> for Opaque<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self(Octets::Slice(octets))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Opaque<'a> {
    fn from(octets: &'a [u8; N]) -> Self {
        Self(Octets::Slice(octets))
    }
}

impl From<Vec<u8>> for Opaque<'_> {
    fn from(octets: Vec<u8>) -> Self {
        Self(Octets::Owned(Bytes::from(octets)))
    }
}

impl From<Bytes> for Opaque<'_> {
    fn from(octets: Bytes) -> Self {
        Self(Octets::Owned(octets))
    }
}

impl From<Vec<Bytes>> for Opaque<'_> {
    /// One block after the other, as the blocks of a file.
    fn from(blocks: Vec<Bytes>) -> Self {
        Self(Octets::Blocks(blocks))
    }
}

impl From<Msg> for Opaque<'_> {
    fn from(msg: Msg) -> Self {
        Self(Octets::Msg(msg))
    }
}
