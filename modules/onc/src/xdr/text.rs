//! `Text`: a string of XDR, octets that are meant to be read.

use super::{Fault, Opaque};
use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// A string: octets that mostly, but not always, are UTF-8 (names of files are what clients send).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Opaque<'a>);

impl<'a> Text<'a> {
    /// Octets there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The octets, copied only where they lie in several blocks.
    pub fn octets(&self) -> Cow<'_, [u8]> {
        self.0.as_slice().map_or_else(|| Cow::Owned(self.0.to_vec()), Cow::Borrowed)
    }

    /// The string, copied only where it lies in several blocks.
    ///
    /// # Errors
    /// [`Fault::Text`] when it is not UTF-8.
    pub fn str(&self) -> Result<Cow<'_, str>, Fault> {
        match self.octets() {
            Cow::Borrowed(octets) => {
                core::str::from_utf8(octets).map(Cow::Borrowed).map_err(|_| Fault::Text)
            }
            Cow::Owned(octets) => {
                String::from_utf8(octets).map(Cow::Owned).map_err(|_| Fault::Text)
            }
        }
    }

    /// The same string, of which nothing is borrowed.
    pub fn into_owned(self) -> Text<'static> {
        Text(self.0.into_owned())
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Opaque::from(text.as_bytes()))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Opaque::from(text.into_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self(Opaque::from(octets))
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.octets()))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.octets()))
    }
}
