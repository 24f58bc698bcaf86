//! loan: buffers of the stack that a program fills and sends without a copy, for programs that are
//! linked with the library of STREAMS.

use crate::socket::Way;
use crate::{backend, errno, table, wait};
use libc::{c_int, c_void};
use millstream_port::{Errno, Sockets};
use std::ptr::NonNull;

/// A buffer of at least `len` bytes, or null and `errno`.
pub fn lend(len: usize) -> *mut c_void {
    let lent = inside(|stack| stack.lend(len));
    lent.map_or_else(
        |errno| {
            errno::set(errno);
            std::ptr::null_mut()
        },
        |at| at.as_ptr().cast(),
    )
}

/// Sends the first `len` octets of a buffer; 0, or -1 and `errno`.
pub fn send(fd: c_int, buffer: *mut c_void, len: usize) -> c_int {
    errno::done(address(buffer).and_then(|at| {
        let socket = table::on_stack(fd).ok_or(Errno::ENOSTR)?;
        let deadline = socket.deadline(Way::Send, 0);
        wait::until(socket, fd, deadline, |stack, id| stack.send_lent(id, at, len))
    }))
}

/// Gives a buffer back that was not sent; 0, or -1 and `errno`.
pub fn give_back(buffer: *mut c_void) -> c_int {
    errno::done(address(buffer).and_then(|at| inside(|stack| stack.take_back(at))))
}

/// How many buffers were sent and are not back, or -1 and `errno`.
pub fn sent() -> c_int {
    let sent = inside(|stack| stack.lent());
    errno::number(sent.map(|sent| c_int::try_from(sent).unwrap_or(c_int::MAX)))
}

fn address(buffer: *mut c_void) -> Result<NonNull<u8>, Errno> {
    NonNull::new(buffer.cast()).ok_or(Errno::EINVAL)
}

fn inside<T>(work: impl FnOnce(&dyn Sockets) -> Result<T, Errno>) -> Result<T, Errno> {
    let stack = backend::stack()?;
    let _inside = backend::enter()?;
    work(stack)
}
