//! A set of bits with names: poll events, signals.

/// Makes a set of named bits. Numbers are those that C programs know.
macro_rules! bits {
    (
        $(#[$about:meta])*
        pub struct $set:ident($number:ty);
        $($(#[$meaning:meta])* $name:ident = $value:literal;)*
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $set($number);

        impl $set {
            $($(#[$meaning])* pub const $name: Self = Self($value);)*

            /// All that have a name.
            pub const ALL: Self = Self(0 $(| $value)*);

            /// None.
            pub const fn empty() -> Self {
                Self(0)
            }

            /// As a number.
            pub const fn number(self) -> $number {
                self.0
            }

            /// True when none is in the set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// True when all of `other` are in the set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// True when one of `other` is in the set.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// These and `other`.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Those that are in `other` too.
            #[must_use]
            pub const fn only(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }
    };
}

pub(crate) use bits;
