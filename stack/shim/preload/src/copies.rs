//! copies: descriptors are copied and closed.

use crate::{backend, epoll, errno, real, socket, table};
use libc::{c_int, c_uint};
use millstream_port::Errno;
use table::File;

/// `dup(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dup(fd: c_int) -> c_int {
    // SAFETY: no memory is named.
    let copy = unsafe { real::dup(fd) };
    copied(fd, copy);
    copy
}

/// `dup2(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dup2(fd: c_int, to: c_int) -> c_int {
    if fd == to || !is_free_for(to) {
        // SAFETY: no memory is named.
        return if fd == to { unsafe { real::dup2(fd, to) } } else { refused() };
    }
    let before = Before::take(to);
    // SAFETY: no memory is named.
    let copy = unsafe { real::dup2(fd, to) };
    before.replaced(fd, copy)
}

/// `dup3(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    if fd == to || !is_free_for(to) {
        // SAFETY: no memory is named.
        return if fd == to { unsafe { real::dup3(fd, to, flags) } } else { refused() };
    }
    let before = Before::take(to);
    // SAFETY: no memory is named.
    let copy = unsafe { real::dup3(fd, to, flags) };
    before.replaced(fd, copy)
}

/// A program may put a descriptor anywhere but where one of this library is.
fn is_free_for(to: c_int) -> bool {
    !matches!(table::file(to), Some(File::Internal))
}

fn refused() -> c_int {
    errno::number(Err(Errno::EBUSY))
}

/// What a number stood for, to which something is copied.
struct Before {
    to: c_int,
    file: Option<&'static File>,
}

impl Before {
    fn take(to: c_int) -> Self {
        let file = table::take(to);
        if let Some(File::Socket(socket)) = file {
            socket.hold_for_waits(to);
        }
        Self { to, file }
    }

    /// It is gone if something was put there.
    fn replaced(self, fd: c_int, copy: c_int) -> c_int {
        match self.file {
            Some(file) if copy < 0 => {
                table::put(self.to, file);
            }
            Some(file) => forget(file, -1),
            None => {}
        }
        copied(fd, copy);
        if let Some(socket) = table::served(copy).filter(|_| copy == libc::STDIN_FILENO) {
            // Who reads there are functions inside the C library.
            socket.export(copy);
        }
        copy
    }
}

/// `copy` stands for what `fd` stands for.
pub(crate) fn copied(fd: c_int, copy: c_int) {
    if copy < 0 {
        return;
    }
    match table::file(fd) {
        Some(file @ File::Socket(socket)) => {
            socket.add_copy();
            table::put(copy, file);
        }
        Some(file @ File::Set(set)) => {
            set.add_copy();
            table::put(copy, file);
        }
        Some(File::Internal) | None => {}
    }
}

fn forget(file: &'static File, fd: c_int) {
    match file {
        File::Socket(_) => socket::forget(file, fd),
        File::Set(_) => epoll::forget(file),
        File::Internal => {}
    }
}

/// `close(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    match table::file(fd) {
        None if !backend::needs(fd) => {}
        // The program does not know of it: one that closes all numbers means its own.
        None => return errno::done(Err(Errno::EBADF)),
        Some(File::Internal) => return errno::done(Err(Errno::EBADF)),
        Some(_) => {
            if let Some(file) = table::take(fd) {
                forget(file, fd);
            }
        }
    }
    // SAFETY: no memory is named.
    unsafe { real::close(fd) }
}

/// `close_range(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    backend::mark_descriptors();
    let done = close_around(first, last, flags);
    backend::unmark_descriptors();
    done
}

/// Closes the program's descriptors, around those that it does not know of.
fn close_around(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let only_marks = flags & CLOSE_RANGE_CLOEXEC != 0;
    let mut from = first;
    for (fd, file) in table::ours(first, last) {
        match file {
            File::Internal => {}
            _ if only_marks => continue,
            _ => {
                if let Some(file) = table::take(fd) {
                    forget(file, fd);
                }
                continue;
            }
        }
        let fd = fd as c_uint;
        if from < fd {
            // SAFETY: no memory is named.
            let done = unsafe { real::close_range(from, fd - 1, flags) };
            if done < 0 {
                return done;
            }
        }
        from = fd + 1;
    }
    if from > last {
        return 0;
    }
    // SAFETY: no memory is named.
    unsafe { real::close_range(from, last, flags) }
}

/// `closefrom(3)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn closefrom(first: c_int) {
    // SAFETY: no memory is named.
    unsafe { close_range(first.max(0) as c_uint, c_uint::MAX, 0) };
}

/// `CLOSE_RANGE_CLOEXEC`.
const CLOSE_RANGE_CLOEXEC: c_int = 4;
