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
    flow_control, "flow-control.md";
    perimeter, "perimeter.md";
    memory, "memory.md";
    writing_a_module, "writing-a-module.md";
    writing_a_driver, "writing-a-driver.md";
    changing, "changing.md";
    rpcgen, "rpcgen.md";
}
