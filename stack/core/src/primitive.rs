//! Primitives of TPI and DLPI as bytes: how somebody else's are checked.

/// Why bytes are not the primitive that they say they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its words.
    Short,
    /// Another number.
    Number,
    /// An address that does not lie behind the words and within the bytes.
    Address,
    /// Options that do not, or that are cut.
    Options,
}

/// The number of a primitive.
pub fn primitive(bytes: &[u8]) -> Option<i32> {
    word(bytes, 0)
}

/// The word at `at`, native order.
pub fn word(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Bytes named by a length at `at` and an offset behind it; none of them in the first `words`
/// bytes. A length of 0 has no place.
pub(crate) fn span(bytes: &[u8], at: usize, words: usize) -> Option<&[u8]> {
    let len = usize::try_from(word(bytes, at)?).ok()?;
    if len == 0 {
        return Some(&[]);
    }
    let offset = usize::try_from(word(bytes, at + 4)?).ok()?;
    bytes.get(offset..offset.checked_add(len)?).filter(|_| offset >= words)
}

/// Defines views: a struct for each primitive, and `View`, which is any of them. Each has the
/// numbers that it takes, the bytes of its words, its parts (where their length and offset are,
/// and what a wrong one is called), and its other words. Whoever uses it has `Malformed`,
/// `primitive`, `span` and `word` in scope.
macro_rules! views {
    ($($(#[$about:meta])* $view:ident: $($number:ident)|+, $len:literal
        [$($span:ident: $fault:ident at $span_at:literal, $span_about:literal;)*]
        {$($word:ident: at $word_at:literal, $word_about:literal;)*}
    )+) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $view<'a>(&'a [u8]);

            impl<'a> $view<'a> {
                /// Bytes of its words.
                pub const LEN: usize = $len;

                /// Checks the number, the length, and every offset.
                ///
                /// # Errors
                /// What is wrong; the getters cannot fail then.
                pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
                    match primitive(bytes) {
                        $(Some($number))|+ => {}
                        Some(_) => return Err(Malformed::Number),
                        None => return Err(Malformed::Short),
                    }
                    if bytes.len() < $len {
                        return Err(Malformed::Short);
                    }
                    $(span(bytes, $span_at, $len).ok_or(Malformed::$fault)?;)*
                    Ok(Self(bytes))
                }

                /// The primitive's bytes.
                pub const fn as_bytes(&self) -> &'a [u8] {
                    self.0
                }

                $(
                    #[doc = $span_about]
                    pub fn $span(&self) -> &'a [u8] {
                        span(self.0, $span_at, $len).unwrap_or_default()
                    }
                )*
                $(
                    #[doc = $word_about]
                    pub fn $word(&self) -> i32 {
                        word(self.0, $word_at).unwrap_or_default()
                    }
                )*
            }
        )+

        /// Any primitive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum View<'a> {
            $($(#[$about])* $view($view<'a>),)+
        }

        impl<'a> View<'a> {
            /// Checks the number, the length, and every offset.
            ///
            /// # Errors
            /// What is wrong; [`Malformed::Number`] for a number that no primitive has.
            pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
                match primitive(bytes).ok_or(Malformed::Short)? {
                    $($($number)|+ => $view::new(bytes).map(Self::$view),)+
                    _ => Err(Malformed::Number),
                }
            }
        }
    };
}
pub(crate) use views;
