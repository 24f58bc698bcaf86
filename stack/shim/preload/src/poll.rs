//! poll: sockets of the stack among descriptors of the kernel, in poll and select.

mod select;

use crate::epoll::Set;
use crate::wait::{Sleep, Waiter};
use crate::{backend, epoll, errno, real, table, transfer};
use libc::{c_int, c_short, nfds_t, pollfd, sigset_t, size_t, timespec};
use millstream_port::{Errno, Ready, Sockets};
use std::time::{Duration, Instant};

/// `poll(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn poll(fds: *mut pollfd, count: nfds_t, wait_ms: c_int) -> c_int {
    // SAFETY: as the caller promises.
    let Some(asked) = (unsafe { with_ours(fds, count) }) else {
        // SAFETY: as the caller promises.
        return unsafe { real::poll(fds, count, wait_ms) };
    };
    let wait = u64::try_from(wait_ms).ok().map(Duration::from_millis);
    errno::number(wait_for(asked, wait, std::ptr::null()))
}

/// `ppoll(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ppoll(
    fds: *mut pollfd,
    count: nfds_t,
    wait: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller promises.
    let Some(asked) = (unsafe { with_ours(fds, count) }) else {
        // SAFETY: as the caller promises.
        return unsafe { real::ppoll(fds, count, wait, mask) };
    };
    // SAFETY: as the caller promises.
    let wait = unsafe { wait.as_ref() }.map(transfer::duration);
    errno::number(wait_for(asked, wait, mask))
}

/// `poll` of a program that was compiled with checks of its buffers.
///
/// # Safety
/// As `poll(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __poll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    wait_ms: c_int,
    room: size_t,
) -> c_int {
    checked(count, room);
    // SAFETY: as the caller promises.
    unsafe { poll(fds, count, wait_ms) }
}

/// `ppoll` of a program that was compiled with checks of its buffers.
///
/// # Safety
/// As `ppoll(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __ppoll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    wait: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    checked(count, room);
    // SAFETY: as the caller promises.
    unsafe { ppoll(fds, count, wait, mask) }
}

/// A program that would write beyond its buffer ends, as with the C library's function.
fn checked(count: nfds_t, room: size_t) {
    if count as usize > room / size_of::<pollfd>() {
        std::process::abort();
    }
}

/// What is asked, if any of it is about a socket of the stack.
///
/// # Safety
/// There are as many.
unsafe fn with_ours<'a>(fds: *mut pollfd, count: nfds_t) -> Option<&'a mut [pollfd]> {
    if fds.is_null() || count == 0 {
        return None;
    }
    // SAFETY: as the caller promises.
    let fds = unsafe { std::slice::from_raw_parts_mut(fds, count as usize) };
    fds.iter().any(|asked| is_ours(asked.fd)).then_some(fds)
}

/// Is it for this library to say what is possible there?
fn is_ours(fd: c_int) -> bool {
    table::served(fd).is_some() || table::set(fd).is_some_and(Set::is_used)
}

/// Waits for sockets of both kinds.
fn wait_for(
    asked: &mut [pollfd],
    wait: Option<Duration>,
    mask: *const sigset_t,
) -> Result<c_int, Errno> {
    let stack = backend::stack()?;
    let end = wait.map(|wait| Instant::now() + wait);
    // As the kernel is asked: not about those of the stack, and at the end for the bell.
    let mut others: Vec<pollfd> = asked.to_vec();
    for other in others.iter_mut().filter(|other| table::served(other.fd).is_some()) {
        other.fd = -1;
    }
    let zero = wait.is_some_and(|wait| wait.is_zero());
    // A program that never waits notices here that the stack is gone.
    if look(stack, asked)? > 0 || zero && (!stack.is_gone() || look(stack, asked)? > 0) {
        ask_kernel(&mut others, Some(Duration::ZERO), mask)?;
        return Ok(merge(asked, &others));
    }
    let waiter = Waiter::take(stack)?;
    others.push(pollfd { fd: waiter.fd(), events: libc::POLLIN, revents: 0 });
    loop {
        waiter.empty(stack);
        stack.linger();
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        {
            let sleep = Sleep::begin(stack);
            // What has changed before nobody tells of.
            let ready = look(stack, asked)?;
            let turn = (ready == 0).then(|| waiter.lead(sleep));
            let sleeps = turn.as_ref().is_some_and(|turn| !turn.is_busy());
            ask_kernel(&mut others, if sleeps { left } else { Some(Duration::ZERO) }, mask)?;
        }
        waiter.empty(stack);
        look(stack, asked)?;
        let ready = merge(asked, &others);
        if ready > 0 || left.is_some_and(|left| left.is_zero()) {
            return Ok(ready);
        }
    }
}

/// Says what is possible at those of the stack; at how many of them anything is.
fn look(stack: &'static dyn Sockets, asked: &mut [pollfd]) -> Result<usize, Errno> {
    let _inside = backend::enter()?;
    epoll::tell(stack);
    let mut ready = 0;
    for asked in asked {
        asked.revents = if let Some(socket) = table::served(asked.fd) {
            let wanted = u32::from(asked.events as u16) | ALWAYS.0;
            let seen = match socket.id(stack, asked.fd) {
                Ok(id) => {
                    socket.arm(stack);
                    stack.ready(id)
                }
                // It was inherited, and its stack is gone.
                Err(_) => Ready::ERR | Ready::HUP,
            };
            (seen.0 & wanted) as c_short
        } else if let Some(set) = table::set(asked.fd).filter(|set| set.is_used()) {
            set.adopt(stack);
            if set.is_ready(stack) { asked.events & libc::POLLIN } else { 0 }
        } else {
            0
        };
        ready += usize::from(asked.revents != 0);
    }
    Ok(ready)
}

fn ask_kernel(
    others: &mut [pollfd],
    wait: Option<Duration>,
    mask: *const sigset_t,
) -> Result<(), Errno> {
    let wait = wait.map(|wait| timespec {
        tv_sec: wait.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    });
    let wait = wait.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = others.len() as nfds_t;
    // SAFETY: there are as many, and the time lives as long.
    errno::of_kernel(unsafe { real::ppoll(others.as_mut_ptr(), count, wait, mask) })?;
    Ok(())
}

/// Adds what the kernel has said; at how many anything is possible.
fn merge(asked: &mut [pollfd], others: &[pollfd]) -> c_int {
    let mut ready = 0;
    for (asked, other) in asked.iter_mut().zip(others) {
        if other.fd >= 0 {
            asked.revents |= other.revents;
        }
        ready += c_int::from(asked.revents != 0);
    }
    ready
}

/// Told whether or not it was asked for.
const ALWAYS: Ready = Ready(Ready::ERR.0 | Ready::HUP.0 | 0x20);
