//! `Decoder`: reads XDR from a message, block by block, and never past its end.

use super::{Fault, Opaque, Quadruple, Text, padding};
use alloc::vec::Vec;
use millstream_msg::{Cursor, Msg};

/// A place in XDR octets, from which values are read.
///
/// Each read goes forward past what it read. After a fault the place is not said: give up.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    at: Cursor<'a>,
    /// Octets there were at the start.
    whole: usize,
    limits: Limits,
}

/// What a decoder may spend on one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Types that refer to themselves, one within another. Linked lists are no depth.
    pub depth: u16,
    /// Bytes of memory for the elements of arrays and lists. Octets and strings borrow from the
    /// message and cost nothing.
    pub bytes: usize,
}

impl Default for Limits {
    /// 100 deep, so that a level may take 10 KiB of stack on a thread with 2 MiB and leave half;
    /// 64 MiB, some 40 times a list of 200,000 numbers.
    fn default() -> Self {
        Self { depth: 100, bytes: 64 << 20 }
    }
}

impl<'a> Decoder<'a> {
    /// On the first of `octets`.
    #[inline]
    pub fn new(octets: &'a [u8]) -> Self {
        Self::from(Cursor::of(octets))
    }

    /// On the first octet of `msg`, across its blocks. It ends where a foreign block begins.
    #[inline]
    pub fn of(msg: &'a Msg) -> Self {
        Self::from(msg.cursor())
    }

    /// The same place, with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Octets that are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.at.remaining()
    }

    /// Octets that were read.
    #[inline]
    pub fn position(&self) -> usize {
        self.whole - self.at.remaining()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Fault::Left`] when octets are left.
    #[inline]
    pub fn finish(self) -> Result<(), Fault> {
        self.end()
    }

    /// Reads a value that is all there is.
    ///
    /// # Errors
    /// Those of `read`, and [`Fault::Left`] when octets are left.
    #[inline]
    pub fn whole<R>(
        mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let value = read(&mut self)?;
        self.end().map(|()| value)
    }

    /// As [`Decoder::finish`], where the decoder is lent.
    ///
    /// # Errors
    /// [`Fault::Left`] when octets are left.
    #[inline]
    pub fn end(&self) -> Result<(), Fault> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(Fault::Left(left)),
        }
    }

    /// An unsigned int.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.at.u32().ok_or(Fault::Short)
    }

    /// An int; also the number of an enum.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, Fault> {
        self.u32().map(u32::cast_signed)
    }

    /// An unsigned hyper.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    /// A hyper.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Fault> {
        self.u64().map(u64::cast_signed)
    }

    /// A float.
    #[inline]
    pub fn f32(&mut self) -> Result<f32, Fault> {
        self.u32().map(f32::from_bits)
    }

    /// A double.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, Fault> {
        self.u64().map(f64::from_bits)
    }

    /// A quadruple.
    #[inline]
    pub fn quadruple(&mut self) -> Result<Quadruple, Fault> {
        self.opaque_fixed().map(Quadruple)
    }

    /// A bool.
    ///
    /// # Errors
    /// [`Fault::Bool`] for a number above 1, [`Fault::Short`].
    #[inline]
    pub fn bool(&mut self) -> Result<bool, Fault> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Fault::Bool(other)),
        }
    }

    /// `opaque[N]`, copied.
    ///
    /// # Errors
    /// [`Fault::Short`], [`Fault::Padding`].
    #[inline]
    pub fn opaque_fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut octets = [0; N];
        if !self.at.read(&mut octets) {
            return Err(Fault::Short);
        }
        self.skip_padding(N)?;
        Ok(octets)
    }

    /// `opaque[len]`, borrowed.
    ///
    /// # Errors
    /// [`Fault::Short`], [`Fault::Padding`].
    pub fn opaque_exact(&mut self, len: usize) -> Result<Opaque<'a>, Fault> {
        let octets = self.at.split(len).ok_or(Fault::Short)?;
        self.skip_padding(len)?;
        Ok(Opaque::from(octets))
    }

    /// `opaque<max>`, borrowed.
    ///
    /// # Errors
    /// [`Fault::Length`], [`Fault::Short`], [`Fault::Padding`].
    pub fn opaque(&mut self, max: usize) -> Result<Opaque<'a>, Fault> {
        let len = self.length(max)?;
        self.opaque_exact(len)
    }

    /// `string<max>`, borrowed. Its octets may be any: RFC 4506 says ASCII, programs send what
    /// they like.
    ///
    /// # Errors
    /// [`Fault::Length`], [`Fault::Short`], [`Fault::Padding`].
    pub fn text(&mut self, max: usize) -> Result<Text<'a>, Fault> {
        self.opaque(max).map(Text)
    }

    /// `T[N]`, each element by `item`.
    pub fn array<T, const N: usize>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<[T; N], Fault> {
        let items = self.items(N, &mut item)?;
        items.try_into().map_err(|items: Vec<T>| Fault::Length { len: items.len(), max: N })
    }

    /// `T[len]` that is too large for the stack, each element by `item`.
    pub fn array_exact<T>(
        &mut self,
        len: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.items(len, &mut item)
    }

    /// `T<max>`, each element by `item`.
    ///
    /// # Errors
    /// [`Fault::Length`], [`Fault::Memory`], and those of `item`.
    pub fn array_of<T>(
        &mut self,
        max: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let len = self.length(max)?;
        self.items(len, &mut item)
    }

    /// `T *`, which is there or not.
    pub fn option<T>(
        &mut self,
        item: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        if self.bool()? { item(self).map(Some) } else { Ok(None) }
    }

    /// A linked list: `T *` whose last member is the next `T *`. `item` reads a `T` without that
    /// member. One turn of a loop an item, whatever the length.
    ///
    /// # Errors
    /// [`Fault::Memory`], and those of `item`.
    pub fn list_of<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut items = Vec::new();
        while self.bool()? {
            self.charge::<T>(1)?;
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A list that has a first item: `T` itself, whose last member is a `T *`.
    pub fn list_of_some<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let first = item(self)?;
        let mut items = self.list_of(item)?;
        items.insert(0, first);
        Ok(items)
    }

    /// Reads a type that may contain itself.
    ///
    /// # Errors
    /// [`Fault::Depth`], and those of `inner`.
    pub fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.limits.depth = self.limits.depth.checked_sub(1).ok_or(Fault::Depth)?;
        let value = inner(self);
        self.limits.depth += 1;
        value
    }

    /// A decoder of the next `len` octets alone, as of the body of a credential.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn split(&mut self, len: usize) -> Result<Self, Fault> {
        let at = self.at.split(len).ok_or(Fault::Short)?;
        Ok(Self { at, whole: len, limits: self.limits })
    }

    /// Goes past what fills `len` octets up to a multiple of four.
    #[inline]
    pub fn skip_padding(&mut self, len: usize) -> Result<(), Fault> {
        let mut zeros = [0; 3];
        let zeros = &mut zeros[..padding(len)];
        if !self.at.read(zeros) {
            return Err(Fault::Short);
        }
        if zeros.iter().any(|&octet| octet != 0) {
            return Err(Fault::Padding);
        }
        Ok(())
    }

    /// The length of what is variable, at most `max`.
    #[inline]
    pub fn length(&mut self, max: usize) -> Result<usize, Fault> {
        let len = self.u32()? as usize;
        if len > max { Err(Fault::Length { len, max }) } else { Ok(len) }
    }

    fn items<T>(
        &mut self,
        len: usize,
        item: &mut impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.charge::<T>(len)?;
        // What is told is not believed: an item takes four octets, or none at all.
        let mut items = Vec::with_capacity(len.min(self.remaining() / 4));
        for _ in 0..len {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Pays for `n` elements. One without a size costs one: it takes time.
    fn charge<T>(&mut self, n: usize) -> Result<(), Fault> {
        let bytes = n.saturating_mul(size_of::<T>().max(1));
        self.limits.bytes = self.limits.bytes.checked_sub(bytes).ok_or(Fault::Memory)?;
        Ok(())
    }
}

impl<'a> From<Cursor<'a>> for Decoder<'a> {
    #[inline]
    fn from(at: Cursor<'a>) -> Self {
        let whole = at.remaining();
        Self { at, whole, limits: Limits::default() }
    }
}
