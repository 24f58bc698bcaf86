//! The calls of programs, in the stack's process and through a port, with the kernel's sockets at
//! the other end: nothing waits but poll(2) of the bell.

mod calls;
mod kit;
mod port;
mod sockets;
