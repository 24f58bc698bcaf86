//! What Rust's own types are in XDR.

use super::{Decode, Decoder, Encode, Encoder, Fault, Opaque, Quadruple, Text};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// `$type`, by the decoder's and encoder's methods of the name `$method`.
macro_rules! plain {
    ($($type:ty: $method:ident),*) => {$(
        impl Encode for $type {
            #[inline]
            fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
                to.$method(*self)
            }
        }

        impl Decode<'_> for $type {
            #[inline]
            fn decode(from: &mut Decoder<'_>) -> Result<Self, Fault> {
                from.$method()
            }
        }
    )*};
}

plain!(u32: u32, i32: i32, u64: u64, i64: i64, f32: f32, f64: f64, bool: bool);
plain!(Quadruple: quadruple);

/// void
impl Encode for () {
    fn encode(&self, _: &mut Encoder<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// void
impl Decode<'_> for () {
    fn decode(_: &mut Decoder<'_>) -> Result<Self, Fault> {
        Ok(())
    }
}

/// `opaque<>`
impl Encode for Opaque<'_> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.opaque(self, LEN_MAX)
    }
}

/// `opaque<>`
impl<'a> Decode<'a> for Opaque<'a> {
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault> {
        from.opaque(LEN_MAX)
    }
}

/// `string<>`
impl Encode for Text<'_> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.text(self, LEN_MAX)
    }
}

/// `string<>`
impl<'a> Decode<'a> for Text<'a> {
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault> {
        from.text(LEN_MAX)
    }
}

/// T *
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.option(self.as_ref(), |to, value| value.encode(to))
    }
}

/// T *
impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault> {
        from.option(T::decode)
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        (**self).encode(to)
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Box<T> {
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault> {
        T::decode(from).map(Self::new)
    }
}

/// `T<>`
impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.array_of(self, LEN_MAX, |to, value| value.encode(to))
    }
}

/// `T<>`
impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault> {
        from.array_of(LEN_MAX, T::decode)
    }
}

/// T\[N\]
impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.array(self, |to, value| value.encode(to))
    }
}

/// T\[N\]
impl<'a, T: Decode<'a>, const N: usize> Decode<'a> for [T; N] {
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault> {
        from.array(T::decode)
    }
}

/// Octets or elements of what has no limit.
const LEN_MAX: usize = u32::MAX as usize;
