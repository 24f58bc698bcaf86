//! book: the Rust blocks of the book pass through the compiler here, and run. Each chapter is the
//! documentation of a module, so its blocks are doctests; `tests/book.rs` checks the rest.
#![forbid(unsafe_code)]

/// A module for each chapter, there for doctests only.
macro_rules! chapters {
    ($($name:ident, $path:literal;)*) => {
        $(#[cfg(doctest)]
        #[doc = include_str!(concat!("../../", $path))]
        pub mod $name {})*
    };
}

chapters! {
    life_of_a_message, "life-of-a-message.md";
}
