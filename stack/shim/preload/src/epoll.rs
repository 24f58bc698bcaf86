//! epoll: the program's sets stay the kernel's. What it wants to know of sockets of the stack is
//! kept in a [`Set`] beside; the kernel's has the stack's bell in it, once.

mod members;
mod set;

pub(crate) use members::{closed, exported, forked, tell};
pub(crate) use set::{Set, forget};

use crate::socket::Socket;
use crate::wait::{self, Sleep};
use crate::{backend, errno, real, table};
use libc::{c_int, epoll_event, sigset_t, timespec};
use millstream_port::{Errno, Sockets};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

/// `epoll_create(2)`.
///
/// # Safety
/// None is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_create(size: c_int) -> c_int {
    // SAFETY: no memory is named.
    created(unsafe { real::epoll_create(size) })
}

/// `epoll_create1(2)`.
///
/// # Safety
/// None is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_create1(flags: c_int) -> c_int {
    // SAFETY: no memory is named.
    created(unsafe { real::epoll_create1(flags) })
}

/// A new set, in which there may be sockets of the stack later.
fn created(set: c_int) -> c_int {
    if set >= 0 && backend::is_wanted() {
        // One of so high a number is the kernel's alone.
        let _high = set::open(set);
    }
    set
}

/// `epoll_ctl(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_ctl(
    set: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::epoll_ctl(set, op, fd, event) };
    // SAFETY: as the caller promises.
    let wanted = unsafe { event.as_ref() }.copied();
    let socket = match table::file(fd) {
        Some(table::File::Socket(socket)) => socket,
        Some(table::File::Set(member)) => {
            return errno::done(control_set(set, op, (fd, member), wanted));
        }
        Some(table::File::Internal) | None => return kernel(),
    };
    if !socket.is_on_stack() || socket.is_exported() {
        let done = kernel();
        if done == 0 && !socket.is_on_stack() {
            socket.note_watch(set, fd, wanted.filter(|_| op != libc::EPOLL_CTL_DEL));
        }
        return done;
    }
    errno::done(match (op, wanted) {
        (libc::EPOLL_CTL_ADD, Some(mut event)) => add(set, fd, socket, &mut event),
        (libc::EPOLL_CTL_MOD, Some(event)) => change(set, fd, socket, event),
        (libc::EPOLL_CTL_DEL, _) => known(set).and_then(|set| set.remove(fd)),
        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, None) => Err(Errno::EFAULT),
        _ => Err(Errno::EINVAL),
    })
}

/// Puts a socket of the stack into a set.
pub(crate) fn add(
    set: c_int,
    fd: c_int,
    socket: &Socket,
    event: &mut epoll_event,
) -> Result<(), Errno> {
    let stack = backend::stack()?;
    let id = socket.id(stack, fd)?;
    if event.events & EXCLUSIVE != 0 && event.events & !WITH_EXCLUSIVE != 0 {
        return Err(Errno::EINVAL);
    }
    used(set)?.add(stack, fd, id, *event)?;
    arm(socket, stack, event.events);
    Ok(())
}

fn change(set: c_int, fd: c_int, socket: &Socket, event: epoll_event) -> Result<(), Errno> {
    known(set)?.change(fd, event)?;
    let stack = backend::stack()?;
    socket.id(stack, fd)?;
    arm(socket, stack, event.events);
    Ok(())
}

fn arm(socket: &Socket, stack: &dyn Sockets, events: u32) {
    if events & EDGE != 0 {
        socket.arm_edges(stack);
    } else {
        socket.arm(stack);
    }
}

/// A set in a set: the kernel's has it, with a mark of ours, and says whether that may be.
fn control_set(
    set: c_int,
    op: c_int,
    (fd, member): (c_int, &'static Set),
    wanted: Option<epoll_event>,
) -> Result<(), Errno> {
    let mut marked = wanted.map(|event| epoll_event { u64: mark(member), ..event });
    let event = marked.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: the event lives as long.
    errno::of_kernel(unsafe { real::epoll_ctl(set, op, fd, event) })?;
    match (op, wanted) {
        (libc::EPOLL_CTL_ADD, Some(event)) => {
            member.begin_use(fd)?;
            used(set)?.add_set(fd, member, event)
        }
        (libc::EPOLL_CTL_MOD, Some(event)) => known(set)?.change(fd, event),
        _ => known(set)?.remove(fd),
    }
}

/// What names a set among the kernel's events of another: an address that no program has anything
/// at.
fn mark(set: &Set) -> u64 {
    std::ptr::from_ref(set) as u64
}

/// The stack's side of a set, which is needed from now on.
fn used(set: c_int) -> Result<&'static Set, Errno> {
    let beside = match table::set(set) {
        Some(beside) => beside,
        None => {
            // One that was made by another program, or is none at all.
            let what = std::fs::read_link(format!("/proc/self/fd/{set}"));
            let what = what.map_err(|_| Errno::EBADF)?;
            let is_set = what.to_string_lossy().contains("eventpoll");
            is_set.then(|| set::open(set)).flatten().ok_or(Errno::EINVAL)?
        }
    };
    beside.begin_use(set)?;
    Ok(beside)
}

/// A set that has had a socket of the stack: without one there is nothing to change.
fn known(set: c_int) -> Result<&'static Set, Errno> {
    table::set(set).ok_or(Errno::ENOENT)
}

/// `epoll_wait(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_wait(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    wait_ms: c_int,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { epoll_pwait(set, events, room, wait_ms, std::ptr::null()) }
}

/// `epoll_pwait(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_pwait(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    wait_ms: c_int,
    mask: *const sigset_t,
) -> c_int {
    let Some(beside) = table::set(set).filter(|beside| beside.is_used()) else {
        // SAFETY: as the caller promises.
        return unsafe { real::epoll_pwait(set, events, room, wait_ms, mask) };
    };
    if events.is_null() || room <= 0 {
        return errno::done(Err(Errno::EINVAL));
    }
    // SAFETY: as the caller promises.
    let out = unsafe { std::slice::from_raw_parts_mut(events, room as usize) };
    let end = u64::try_from(wait_ms).ok().map(|ms| Instant::now() + Duration::from_millis(ms));
    errno::number(wait_for(set, beside, out, end, mask))
}

/// `epoll_pwait2(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_pwait2(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    wait: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller promises. Rounded up: never early.
    let wait_ms = unsafe { wait.as_ref() }.map_or(-1, |wait| {
        let wait = crate::transfer::duration(wait) + Duration::from_nanos(999_999);
        c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
    });
    // SAFETY: as the caller promises.
    unsafe { epoll_pwait(set, events, room, wait_ms, mask) }
}

/// Waits for events of both kinds of sockets.
fn wait_for(
    fd: c_int,
    set: &'static Set,
    out: &mut [epoll_event],
    end: Option<Instant>,
    mask: *const sigset_t,
) -> Result<c_int, Errno> {
    let stack = backend::stack()?;
    set.adopt(stack);
    let own = collect(stack, set, out)?;
    if own > 0 {
        // Those of the kernel have their turn, too.
        let others = if set.is_kernels_turn() {
            stack.is_gone();
            ask_kernel(fd, set, &mut out[own..], mask).unwrap_or(0)
        } else {
            0
        };
        set.pass_on(stack);
        return Ok((own + others) as c_int);
    }
    if wait::left_ms(end) == 0 {
        let others = ask_kernel(fd, set, out, mask)?;
        // A program that never waits notices here.
        let gone = others == 0 && stack.is_gone();
        let ready = if gone { collect(stack, set, out)? } else { others };
        return Ok(ready as c_int);
    }
    let (waiter, _sleeper) = set.waiter(stack)?;
    loop {
        stack.linger();
        let sleep = Sleep::begin(stack);
        // What has changed before nobody tells of.
        let own = collect(stack, set, out)?;
        if own > 0 {
            set.pass_on(stack);
            return Ok(own as c_int);
        }
        let wait_ms = wait::left_ms(end);
        let turn = waiter.lead(sleep);
        let busy = turn.is_busy();
        let woken = waiter.wait(stack, if busy { 0 } else { wait_ms }, mask)?;
        drop(turn);
        let others = if woken.kernel { ask_kernel(fd, set, out, std::ptr::null())? } else { 0 };
        let ready = others + collect(stack, set, &mut out[others..])?;
        if ready > 0 {
            set.pass_on(stack);
            return Ok(ready as c_int);
        }
        if wait_ms == 0 {
            return Ok(0);
        }
    }
}

/// What is ready at the stack.
fn collect(
    stack: &'static dyn Sockets,
    set: &'static Set,
    out: &mut [epoll_event],
) -> Result<usize, Errno> {
    if out.is_empty() {
        return Ok(0);
    }
    let _inside = backend::enter()?;
    tell(stack);
    Ok(set.ready(stack, out))
}

/// What is ready at the kernel; what it says of sets in the set is for us.
fn ask_kernel(
    fd: c_int,
    set: &Set,
    out: &mut [epoll_event],
    mask: *const sigset_t,
) -> Result<usize, Errno> {
    if out.is_empty() {
        return Ok(0);
    }
    let room = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
    // SAFETY: there is room for as many.
    let came = unsafe { real::epoll_pwait(fd, out.as_mut_ptr(), room, 0, mask) };
    let came = errno::of_kernel(came)? as usize;
    Ok(set.hear_kernel(out, came))
}

/// What nothing of may change while a process forks. In the order in which they are locked.
pub(crate) struct Held {
    _members: MutexGuard<'static, members::Members>,
    _closed: MutexGuard<'static, Vec<&'static table::File>>,
    _sets: Vec<MutexGuard<'static, set::Inner>>,
}

/// Nobody changes a set while the guard lives.
pub(crate) fn hold() -> Held {
    let (members, closed) = (members::members(), set::closed());
    let mut sets = Vec::new();
    let mut seen: Vec<*const Set> = Vec::new();
    for (_, file) in table::ours(0, u32::MAX) {
        let table::File::Set(set) = file else { continue };
        if !seen.contains(&std::ptr::from_ref(set)) {
            seen.push(set);
            sets.push(set.inner());
        }
    }
    Held { _members: members, _closed: closed, _sets: sets }
}

const EDGE: u32 = libc::EPOLLET as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
/// What may be asked for together with EPOLLEXCLUSIVE (`epoll_ctl(2)`).
const WITH_EXCLUSIVE: u32 = EXCLUSIVE
    | EDGE
    | (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLWAKEUP) as u32;
