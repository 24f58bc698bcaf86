//! The primitives of the protocols between threads: those of `std`, or loom's when it checks them:
//! `RUSTFLAGS="--cfg loom" cargo test -p millstream-host --lib --release model_`.

#[cfg(all(loom, test))]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, Ordering, fence},
};
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, Ordering, fence},
};
