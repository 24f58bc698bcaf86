//! `Cursor`: reads a message across its blocks without consuming it.

use crate::msg::{Block, Blocks, Msg};

/// A place in a message. It ends where a foreign block begins: copy that out first.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    block: &'a [u8],
    rest: Blocks<'a>,
    left: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor on the first byte.
    pub fn new(msg: &'a Msg) -> Self {
        let left = msg.blocks().map_while(Block::as_slice).map(<[u8]>::len).sum();
        let mut cursor = Self { block: &[], rest: msg.blocks(), left };
        cursor.refill();
        cursor
    }

    /// A cursor on bytes that are in no message.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { block: bytes, rest: Blocks::none(), left: bytes.len() }
    }

    /// The next `n` bytes as a cursor of their own, and goes forward past them; `None`, and
    /// nothing has moved, when there are fewer.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        if n > self.left {
            return None;
        }
        let mut front = self.clone();
        front.left = n;
        front.block = &front.block[..front.block.len().min(n)];
        self.skip(n);
        Some(front)
    }

    /// Bytes from here to the end.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.left
    }

    /// The bytes from here to the end of the block.
    #[inline]
    pub fn chunk(&self) -> &'a [u8] {
        self.block
    }

    /// Goes forward by `n` bytes, at most to the end.
    #[inline]
    pub fn skip(&mut self, n: usize) {
        let mut n = n.min(self.left);
        while n > self.block.len() {
            n -= self.block.len();
            self.left -= self.block.len();
            self.block = &[];
            self.refill();
        }
        self.left -= n;
        self.block = &self.block[n..];
        if self.block.is_empty() {
            self.refill();
        }
    }

    /// Fills `out` from here and goes forward; false, and nothing has moved, when there are fewer
    /// bytes.
    #[must_use]
    pub fn read(&mut self, out: &mut [u8]) -> bool {
        if out.len() > self.left {
            return false;
        }
        let mut done = 0;
        while done < out.len() {
            let n = self.block.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&self.block[..n]);
            done += n;
            self.skip(n);
        }
        true
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let mut out = [0; 1];
        self.read(&mut out).then_some(out[0])
    }

    /// The next two bytes, big-endian.
    pub fn u16(&mut self) -> Option<u16> {
        let mut out = [0; 2];
        self.read(&mut out).then(|| u16::from_be_bytes(out))
    }

    /// The next four bytes, big-endian.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        if let Some(&four) = self.block.first_chunk() {
            self.skip(4);
            return Some(u32::from_be_bytes(four));
        }
        let mut out = [0; 4];
        self.read(&mut out).then(|| u32::from_be_bytes(out))
    }

    /// The slices from here to the end.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut at = self.clone();
        core::iter::from_fn(move || {
            let chunk = at.block;
            at.skip(chunk.len());
            (!chunk.is_empty()).then_some(chunk)
        })
    }

    /// Goes on to the next block that has a byte, if any byte is left.
    fn refill(&mut self) {
        while self.block.is_empty() && self.left > 0 {
            let block = self.rest.next().and_then(Block::as_slice).unwrap_or_default();
            self.block = &block[..block.len().min(self.left)];
        }
    }
}

impl Msg {
    /// A cursor on the first byte.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self)
    }
}
