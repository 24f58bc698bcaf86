//! XDR (RFC 4506): values become octets in blocks of a pool, and octets of a message become values
//! that borrow from it.
//!
//! A [`Decoder`] never reads past its message, takes no padding but zero, and takes no more memory
//! and depth than its [`Limits`]; what it reads of variable length is an [`Opaque`] or a [`Text`]
//! that points into the blocks. An [`Encoder`] copies what is small and links what is large.
//!
//! | XDR | Rust | read by, and written by the same of [`Encoder`] |
//! |---|---|---|
//! | int, unsigned | `i32`, `u32` | [`Decoder::i32`], [`Decoder::u32`] |
//! | hyper, unsigned hyper | `i64`, `u64` | [`Decoder::i64`], [`Decoder::u64`] |
//! | float, double | `f32`, `f64` | [`Decoder::f32`], [`Decoder::f64`] |
//! | quadruple | [`Quadruple`] | [`Decoder::quadruple`] |
//! | bool | `bool` | [`Decoder::bool`] |
//! | `opaque[n]` | `[u8; N]` | [`Decoder::opaque_fixed`] |
//! | `opaque<m>` | [`Opaque`] | [`Decoder::opaque`] |
//! | `string<m>` | [`Text`] | [`Decoder::text`] |
//! | `T[n]` | `[T; N]` | [`Decoder::array`] |
//! | `T<m>` | `Vec<T>` | [`Decoder::array_of`] |
//! | T * | `Option<T>` | [`Decoder::option`] |
//! | T *, a linked list | `Vec<T>` | [`Decoder::list_of`] |
//!
//! ```
//! use millstream_onc::xdr::{from_slice, to_vec};
//!
//! let octets = to_vec(&vec![1_u32, 2]).unwrap();
//! assert_eq!(octets, [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
//! assert_eq!(from_slice(&octets), Ok(vec![1_u32, 2]));
//! ```

mod decoder;
mod encoder;
mod fault;
mod opaque;
mod quadruple;
mod text;
mod values;

pub use decoder::{Decoder, Limits};
pub use encoder::{Encoder, to_vec};
pub use fault::Fault;
pub use opaque::Opaque;
pub use quadruple::Quadruple;
pub use text::Text;

/// A value that can be written as XDR.
pub trait Encode {
    /// Writes the value.
    ///
    /// # Errors
    /// [`Fault::Length`] when it is longer than its type allows, [`Fault::Arm`] when a default
    /// arm names a case that has an arm of its own, [`Fault::NoMem`].
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault>;
}

/// A value that can be read from XDR; what is long in it borrows from the message.
pub trait Decode<'a>: Sized {
    /// Reads the value and goes forward past it.
    ///
    /// # Errors
    /// A [`Fault`] when the octets are not of this type; where the decoder then stands is not
    /// said.
    fn decode(from: &mut Decoder<'a>) -> Result<Self, Fault>;
}

/// The value that `octets` are, all of them.
///
/// # Errors
/// Those of [`Decode::decode`], and [`Fault::Left`].
pub fn from_slice<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, Fault> {
    let mut from = Decoder::new(octets);
    let value = T::decode(&mut from)?;
    from.finish()?;
    Ok(value)
}

/// Octets that fill `len` up to a multiple of four.
#[inline]
pub(crate) fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}
