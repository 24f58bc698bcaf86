//! `Cursor`: reads a message across its blocks without consuming it.

use crate::msg::{Block, Blocks, Msg};

/// A place in a message. Foreign blocks cannot be read through it: copy them out first.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    block: &'a [u8],
    rest: Blocks<'a>,
    left: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor on the first byte.
    pub fn new(msg: &'a Msg) -> Self {
        let mut cursor = Self { block: &[], rest: msg.blocks(), left: msg.len() };
        cursor.refill();
        cursor
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
    pub fn skip(&mut self, n: usize) {
        let mut n = n.min(self.left);
        self.left -= n;
        while n > self.block.len() {
            n -= self.block.len();
            self.block = &[];
            self.refill();
        }
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
    pub fn u32(&mut self) -> Option<u32> {
        let mut out = [0; 4];
        self.read(&mut out).then(|| u32::from_be_bytes(out))
    }

    /// The slices from here to the end.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        core::iter::once(self.block)
            .chain(self.rest.clone().filter_map(Block::as_slice))
            .filter(|s| !s.is_empty())
    }

    fn refill(&mut self) {
        while self.block.is_empty() {
            let Some(block) = self.rest.next() else { return };
            match block.as_slice() {
                Some(bytes) => self.block = bytes,
                None => self.left = self.left.saturating_sub(block.len()),
            }
        }
    }
}

impl Msg {
    /// A cursor on the first byte.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self)
    }
}
