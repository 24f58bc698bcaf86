//! Bridges to the `bytes` crate: messages are read as `Buf`, filled as `BufMut`, and become
//! `Bytes`. For the edge of the stack; inside it messages are passed as they are.

use crate::cursor::Cursor;
use crate::msg::Msg;
use crate::pool::{NoMem, Pool};
use alloc::vec;
use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes};

impl Buf for Cursor<'_> {
    fn remaining(&self) -> usize {
        Cursor::remaining(self)
    }

    fn chunk(&self) -> &[u8] {
        Cursor::chunk(self)
    }

    fn advance(&mut self, n: usize) {
        assert!(n <= Cursor::remaining(self), "advance beyond the end of the message");
        self.skip(n);
    }
}

/// Reading consumes: bytes read are trimmed from the front. It ends where a foreign block begins.
impl Buf for Msg {
    fn remaining(&self) -> usize {
        self.cursor().remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.cursor().chunk()
    }

    fn advance(&mut self, n: usize) {
        self.trim_front(n);
    }
}

/// The tailroom of a message as a `BufMut`.
#[derive(Debug)]
pub struct Tail<'a>(&'a mut Msg);

impl Msg {
    /// The tailroom, to fill through [`bytes::BufMut`].
    pub fn tail(&mut self) -> Tail<'_> {
        Tail(self)
    }

    /// The bytes as `Bytes`, copied. The copy is counted in `pool`.
    pub fn to_bytes(&self, pool: &Pool) -> Bytes {
        let mut out = vec![0; self.len()];
        self.copy_out(0, &mut out);
        pool.note_copied(out.len());
        Bytes::from(out)
    }

    /// The bytes as `Bytes` without copying, when the message is one block: the `Bytes` owns the
    /// message. `Err` gives a message of several blocks (or a foreign one) back.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        if self.blocks().count() != 1 || self.blocks().any(|b| b.is_foreign()) {
            return Err(self);
        }
        Ok(Bytes::from_owner(Owner(self)))
    }

    /// Wraps `bytes` without copying. See [`Pool::wrap_bytes`].
    pub fn from_bytes(pool: &mut Pool, bytes: Bytes) -> Result<Self, NoMem> {
        pool.wrap_bytes(bytes)
    }
}

/// A message of one block, kept for its bytes.
struct Owner(Msg);

// SAFETY: shared access to the message only reads its bytes, which nobody writes while a window
// on them exists; the reference count is atomic.
unsafe impl Sync for Owner {}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.first()
    }
}

// SAFETY: `chunk_mut` returns initialised memory of the tailroom, `advance_mut` commits at most
// what it has, and `remaining_mut` is its length.
unsafe impl BufMut for Tail<'_> {
    fn remaining_mut(&self) -> usize {
        self.0.tailroom()
    }

    unsafe fn advance_mut(&mut self, n: usize) {
        self.0.commit(n);
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        UninitSlice::new(self.0.spare_mut())
    }
}
