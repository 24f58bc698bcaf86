//! `Encoder`: writes XDR into blocks of a pool; what is large is linked in, not copied.

use super::{Encode, Fault, Opaque, Quadruple, Text, padding};
use alloc::vec::Vec;
use bytes::Bytes;
use millstream_msg::{Msg, Pool};

/// Where values are written to: blocks of a pool, or a vector.
///
/// # Errors
/// Each write gives [`Fault::NoMem`] when the pool has no block; what was written before stays.
#[derive(Debug)]
pub struct Encoder<'p> {
    sink: Sink<'p>,
    /// Octets written.
    len: usize,
}

enum Sink<'p> {
    Blocks(Blocks<'p>),
    Vec(Vec<u8>),
}

struct Blocks<'p> {
    pool: &'p mut Pool,
    /// Octets of the first block that were there before.
    before: usize,
    /// What is complete.
    done: Option<Msg>,
    /// The block that is written to: one, so that its room is found at once.
    tail: Msg,
}

impl<'p> Encoder<'p> {
    /// Writes into blocks of `pool`; the first has `headroom` bytes in front, for those who will
    /// prepend, and room for `room` octets.
    ///
    /// # Errors
    /// [`Fault::NoMem`].
    pub fn new(pool: &'p mut Pool, headroom: usize, room: usize) -> Result<Self, Fault> {
        Ok(Self::behind(pool.alloc(headroom, room)?, pool))
    }

    /// Writes behind the octets of `block`, one block, which stay. They do not count as written.
    #[inline]
    pub fn behind(block: Msg, pool: &'p mut Pool) -> Self {
        let before = block.len();
        Self { sink: Sink::Blocks(Blocks { pool, before, done: None, tail: block }), len: 0 }
    }

    /// Writes into a vector, by `write`.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn vec(
        write: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Vec<u8>, Fault> {
        let mut to = Encoder { sink: Sink::Vec(Vec::new()), len: 0 };
        write(&mut to)?;
        match to.sink {
            Sink::Vec(octets) => Ok(octets),
            Sink::Blocks(blocks) => Ok(Opaque::from(blocks.into_msg()).to_vec()),
        }
    }

    /// Octets written.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes back all but the first `len` octets, as of results that did not come to an end.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.len = len;
        match &mut self.sink {
            Sink::Vec(octets) => octets.truncate(len),
            Sink::Blocks(blocks) => blocks.truncate(blocks.before + len),
        }
    }

    /// The message written.
    ///
    /// # Panics
    /// In the closure of [`Encoder::vec`], whose octets are no message.
    pub fn finish(self) -> Msg {
        match self.sink {
            Sink::Blocks(blocks) => blocks.into_msg(),
            Sink::Vec(_) => panic!("Encoder::vec finishes what it began"),
        }
    }

    /// An unsigned int.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result<(), Fault> {
        self.put(value.to_be_bytes())
    }

    /// An int; also the number of an enum.
    #[inline]
    pub fn i32(&mut self, value: i32) -> Result<(), Fault> {
        self.put(value.to_be_bytes())
    }

    /// An unsigned hyper.
    #[inline]
    pub fn u64(&mut self, value: u64) -> Result<(), Fault> {
        self.put(value.to_be_bytes())
    }

    /// A hyper.
    #[inline]
    pub fn i64(&mut self, value: i64) -> Result<(), Fault> {
        self.put(value.to_be_bytes())
    }

    /// A float.
    #[inline]
    pub fn f32(&mut self, value: f32) -> Result<(), Fault> {
        self.u32(value.to_bits())
    }

    /// A double.
    #[inline]
    pub fn f64(&mut self, value: f64) -> Result<(), Fault> {
        self.u64(value.to_bits())
    }

    /// A quadruple.
    #[inline]
    pub fn quadruple(&mut self, value: Quadruple) -> Result<(), Fault> {
        self.put(value.0)
    }

    /// A bool.
    #[inline]
    pub fn bool(&mut self, value: bool) -> Result<(), Fault> {
        self.u32(value.into())
    }

    /// `opaque[n]`: the octets and their padding.
    pub fn opaque_fixed(&mut self, octets: &[u8]) -> Result<(), Fault> {
        self.copy(octets)?;
        self.pad(octets.len())
    }

    /// `opaque[len]` that is too large for an array.
    ///
    /// # Errors
    /// [`Fault::Length`] when there are not `len`, [`Fault::NoMem`].
    pub fn opaque_exact(&mut self, octets: &Opaque<'_>, len: usize) -> Result<(), Fault> {
        exactly(octets.len(), len)?;
        octets.put_exact(self)
    }

    /// `opaque<max>`.
    ///
    /// # Errors
    /// [`Fault::Length`] when there are more than `max`, [`Fault::NoMem`].
    pub fn opaque(&mut self, octets: &Opaque<'_>, max: usize) -> Result<(), Fault> {
        at_most(octets.len(), max)?;
        octets.put(self)
    }

    /// `string<max>`.
    ///
    /// # Errors
    /// [`Fault::Length`] when it is longer than `max`, [`Fault::NoMem`].
    pub fn text(&mut self, text: &Text<'_>, max: usize) -> Result<(), Fault> {
        self.opaque(&text.0, max)
    }

    /// `T[n]`, each element by `item`.
    pub fn array<T>(
        &mut self,
        items: &[T],
        mut item: impl FnMut(&mut Self, &T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        items.iter().try_for_each(|value| item(self, value))
    }

    /// `T[len]` that is too large for the stack, each element by `item`.
    ///
    /// # Errors
    /// [`Fault::Length`] when there are not `len`, and those of `item`.
    pub fn array_exact<T>(
        &mut self,
        items: &[T],
        len: usize,
        item: impl FnMut(&mut Self, &T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        exactly(items.len(), len)?;
        self.array(items, item)
    }

    /// `T<max>`, each element by `item`.
    ///
    /// # Errors
    /// [`Fault::Length`] when there are more than `max`, and those of `item`.
    pub fn array_of<T>(
        &mut self,
        items: &[T],
        max: usize,
        item: impl FnMut(&mut Self, &T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        at_most(items.len(), max)?;
        self.length(items.len())?;
        self.array(items, item)
    }

    /// `T *`.
    pub fn option<T>(
        &mut self,
        value: Option<&T>,
        item: impl FnOnce(&mut Self, &T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.bool(value.is_some())?;
        value.map_or(Ok(()), |value| item(self, value))
    }

    /// A linked list; `item` writes an element without its last member, the next `T *`.
    pub fn list_of<T>(
        &mut self,
        items: &[T],
        mut item: impl FnMut(&mut Self, &T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for value in items {
            self.bool(true)?;
            item(self, value)?;
        }
        self.bool(false)
    }

    /// A list that has a first item.
    ///
    /// # Errors
    /// [`Fault::Length`] when it has none, and those of `item`.
    pub fn list_of_some<T>(
        &mut self,
        items: &[T],
        mut item: impl FnMut(&mut Self, &T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Some((first, rest)) = items.split_first() else {
            return Err(Fault::Length { len: 0, max: 1 });
        };
        item(self, first)?;
        self.list_of(rest, item)
    }

    /// The number of octets or elements that follow.
    pub fn length(&mut self, len: usize) -> Result<(), Fault> {
        let wire = u32::try_from(len).map_err(|_| Fault::Length { len, max: u32::MAX as usize })?;
        self.u32(wire)
    }

    /// `opaque<>` of the octets of `msg`: length, the message itself, linked in, and padding.
    pub fn append(&mut self, msg: Msg) -> Result<(), Fault> {
        let len = msg.len();
        self.length(len)?;
        self.link(msg)?;
        self.pad(len)
    }

    /// Encoded XDR that was made elsewhere, linked in as it is.
    pub fn link(&mut self, msg: Msg) -> Result<(), Fault> {
        if msg.is_empty() {
            return Ok(());
        }
        self.len += msg.len();
        match &mut self.sink {
            Sink::Blocks(blocks) => blocks.link(msg),
            Sink::Vec(octets) => {
                msg.cursor().chunks().for_each(|chunk| octets.extend_from_slice(chunk));
                Ok(())
            }
        }
    }

    /// Zeros that fill `len` octets up to a multiple of four.
    #[inline]
    pub fn pad(&mut self, len: usize) -> Result<(), Fault> {
        self.copy(&[0; 3][..padding(len)])
    }

    /// A window on `msg`, or a copy where that costs less.
    pub(super) fn link_dup(&mut self, msg: &Msg) -> Result<(), Fault> {
        match &mut self.sink {
            Sink::Blocks(blocks) if msg.len() >= LINK_MIN => {
                let dup = msg.dup(blocks.pool)?;
                self.link(dup)
            }
            _ => msg.cursor().chunks().try_for_each(|chunk| self.copy(chunk)),
        }
    }

    /// A window on `octets`, or a copy where that costs less.
    pub(super) fn link_bytes(&mut self, octets: &Bytes) -> Result<(), Fault> {
        match &mut self.sink {
            Sink::Blocks(blocks) if octets.len() >= LINK_MIN => {
                let window = blocks.pool.wrap_bytes(octets.clone())?;
                self.link(window)
            }
            _ => self.copy(octets),
        }
    }

    /// Octets as they are.
    pub(super) fn copy(&mut self, octets: &[u8]) -> Result<(), Fault> {
        self.len += octets.len();
        match &mut self.sink {
            Sink::Blocks(blocks) => blocks.copy(octets),
            Sink::Vec(out) => {
                out.extend_from_slice(octets);
                Ok(())
            }
        }
    }

    #[inline]
    fn put<const N: usize>(&mut self, octets: [u8; N]) -> Result<(), Fault> {
        self.len += N;
        match &mut self.sink {
            Sink::Blocks(blocks) => blocks.put(octets),
            Sink::Vec(out) => {
                out.extend_from_slice(&octets);
                Ok(())
            }
        }
    }
}

impl Blocks<'_> {
    #[inline]
    fn put<const N: usize>(&mut self, octets: [u8; N]) -> Result<(), Fault> {
        if self.tail.tailroom() < N {
            self.next_block(N)?;
        }
        if let Some(room) = self.tail.spare_mut().first_chunk_mut() {
            *room = octets;
            self.tail.commit(N);
        }
        Ok(())
    }

    fn copy(&mut self, mut octets: &[u8]) -> Result<(), Fault> {
        self.pool.note_copied(octets.len());
        loop {
            let room = self.tail.spare_mut();
            let (here, rest) = octets.split_at(octets.len().min(room.len()));
            room[..here.len()].copy_from_slice(here);
            self.tail.commit(here.len());
            if rest.is_empty() {
                return Ok(());
            }
            self.next_block(rest.len())?;
            octets = rest;
        }
    }

    fn link(&mut self, msg: Msg) -> Result<(), Fault> {
        // What is written behind it goes into a block of its own: the padding, at least.
        let tail = self.pool.alloc(0, BEHIND)?;
        self.close_tail(tail);
        join(&mut self.done, msg);
        Ok(())
    }

    /// Goes on in a new block: as large as what was written so far, so that a long list is in few.
    fn next_block(&mut self, needed: usize) -> Result<(), Fault> {
        let room = needed.max(self.tail.len() * 2).min(ROOM_MAX);
        let tail = self.pool.alloc(0, room)?;
        self.close_tail(tail);
        Ok(())
    }

    fn close_tail(&mut self, tail: Msg) {
        let full = core::mem::replace(&mut self.tail, tail);
        // The first block stays even when it is empty: it has the headroom.
        if full.is_empty() && self.done.is_some() {
            self.pool.spend(full);
        } else {
            join(&mut self.done, full);
        }
    }

    fn truncate(&mut self, len: usize) {
        let done = self.done.as_ref().map_or(0, Msg::len);
        if len >= done {
            self.tail.truncate(len - done);
            return;
        }
        self.tail.truncate(0);
        if let Some(done) = &mut self.done {
            done.truncate(len);
        }
    }

    fn into_msg(self) -> Msg {
        match self.done {
            None => self.tail,
            Some(done) if self.tail.is_empty() => {
                self.pool.spend(self.tail);
                done
            }
            Some(mut done) => {
                done.link(self.tail);
                done
            }
        }
    }
}

impl core::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Blocks(_) => "Blocks",
            Self::Vec(_) => "Vec",
        })
    }
}

/// `value` as octets.
///
/// # Errors
/// Those of [`Encode::encode`].
pub fn to_vec(value: &impl Encode) -> Result<Vec<u8>, Fault> {
    Encoder::vec(|to| value.encode(to))
}

fn join(whole: &mut Option<Msg>, piece: Msg) {
    match whole {
        Some(whole) => whole.link(piece),
        None => *whole = Some(piece),
    }
}

fn at_most(len: usize, max: usize) -> Result<(), Fault> {
    if len > max { Err(Fault::Length { len, max }) } else { Ok(()) }
}

fn exactly(len: usize, max: usize) -> Result<(), Fault> {
    if len == max { Ok(()) } else { Err(Fault::Length { len, max }) }
}

/// Octets from which on a window is cheaper than a copy: a block of its own costs some 40 ns.
const LINK_MIN: usize = 1024;

/// Octets of room in the block behind what was linked in: padding and a few numbers.
const BEHIND: usize = 64;

/// Octets of room in a block of a long list.
const ROOM_MAX: usize = 32 << 10;
