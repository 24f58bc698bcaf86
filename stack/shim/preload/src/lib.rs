//! The library that `millstream run` loads before a program's own: the calls of the C library on
//! sockets, of which those that the policy gives to the stack are done there, and all others by the
//! C library as before.
//!
//! A socket of the stack has a descriptor of the kernel, one end of a socket pair, so that numbers,
//! close-on-exec, fork and `fstat(2)` are the kernel's. `table` says which descriptors are meant.
//! Each family of calls has a file:
//!
//! | File | Calls |
//! |---|---|
//! | `names` | socket bind listen accept connect getsockname getpeername shutdown |
//! | `transfer` | read write send recv and their vectors and messages |
//! | `options` | getsockopt setsockopt fcntl ioctl |
//! | `poll` | poll select and theirs |
//! | `epoll` | epoll |
//! | `copies` | dup close close_range closefrom |
//! | `files` | sendfile splice |
//! | `streams` | open of a device, putmsg getmsg and theirs, ioctl of a stream |
//! | `stdio` | fdopen |
//! | `raw` | syscall |
//! | `process` | fork, exec, changes of the user, the beginning and the end of the program |
//!
//! Nothing here prints, panics across the border, or allocates before the first socket of the
//! stack.

#![allow(unreachable_pub, reason = "what is public is what the loader looks for")]

mod address;
mod backend;
mod copies;
mod epoll;
mod errno;
mod files;
pub mod loan;
mod names;
mod options;
mod policy;
mod poll;
mod process;
mod raw;
mod real;

mod socket;
mod stdio;
mod streams;
mod table;
mod transfer;
mod wait;

pub use backend::choose;
pub use streams::pipe;
