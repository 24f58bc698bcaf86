//! socket: what this library knows of a socket. It begins as the kernel's; a call that names an
//! address says whose it is, and puts a placeholder in its place if it is the stack's.

use crate::{backend, epoll, errno, real, table};
use libc::c_int;
use millstream_port::{Cookie, Errno, Id, Ready, Sockets};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use table::File;

/// A socket. Its numbers may be those of another socket later, in a thread that goes on with one
/// that another has closed, as is so with descriptors.
#[derive(Debug)]
pub(crate) struct Socket {
    whose: AtomicU8,
    /// On the stack.
    id: AtomicU32,
    /// Where it stands, to be used again.
    home: AtomicPtr<File>,
    /// Descriptors of this process, and calls that wait.
    copies: AtomicU32,
    /// Calls that wait.
    waits: AtomicU32,
    /// A descriptor of this library that stands for it while they do, when all others are closed.
    held: AtomicI32,
    /// Its octets are at its descriptor.
    exported: AtomicBool,
    family: AtomicI32,
    kind: AtomicI32,
    nonblocking: AtomicBool,
    /// Changes of it ring the bell: 1, or each arrival: 2.
    armed: AtomicU8,
    /// SO_RCVTIMEO and SO_SNDTIMEO, microseconds; 0 for ever.
    receive_wait_us: AtomicU64,
    send_wait_us: AtomicU64,
    /// What was done to the kernel's socket and is to be done to the stack's.
    early: Mutex<Early>,
}

/// Before anybody knows whose a socket is.
#[derive(Debug, Default)]
struct Early {
    options: Vec<(c_int, c_int, Vec<u8>)>,
    /// Epoll sets of the kernel that it is in, with the descriptor that it has there.
    watched: Vec<(c_int, c_int, libc::epoll_event)>,
}

/// It is not known yet, and is the kernel's meanwhile.
const OPEN: u8 = 0;
/// The stack's.
const STACK: u8 = 1;
/// The stack's, inherited over fork, and not asked for in this process.
const INHERITED: u8 = 2;

/// Which direction something waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Receive,
    Send,
}

/// Sockets that were closed.
static CLOSED: Mutex<Vec<&'static File>> = Mutex::new(Vec::new());

/// Makes a new descriptor of the kernel's stand for a socket of whom nobody knows whose it is.
pub(crate) fn open(fd: c_int, family: c_int, kind: c_int) {
    let file = fresh(family, kind);
    if !table::put(fd, file) {
        release(file);
    }
}

/// A descriptor of the lowest number for a socket of the stack; `flags` are those of `accept4(2)`.
pub(crate) fn on_stack(
    stack: &dyn Sockets,
    id: Id,
    (family, kind): (c_int, c_int),
    flags: c_int,
) -> Result<c_int, Errno> {
    let (end, cookie) = stack.placeholder()?;
    stack.tie(id, cookie)?;
    let nonblocking = flags & libc::SOCK_NONBLOCK != 0;
    show_nonblocking(end.as_raw_fd(), nonblocking);
    let cloexec = flags & libc::SOCK_CLOEXEC != 0;
    let copy = if cloexec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
    // SAFETY: no memory is named.
    let fd = errno::of_kernel(unsafe { real::fcntl(end.as_raw_fd(), copy, 0) })?;
    drop(end);
    let file = fresh(family, kind);
    if let File::Socket(socket) = file {
        socket.become_stacks(id);
        socket.nonblocking.store(nonblocking, Ordering::Relaxed);
    }
    if table::put(fd, file) {
        return Ok(fd);
    }
    release(file);
    // SAFETY: it is ours.
    unsafe { real::close(fd) };
    Err(Errno::EMFILE)
}

/// A socket or stream of the program that was before exec, that a descriptor stands for.
pub(crate) fn adopt(stack: &dyn Sockets, fd: c_int, id: Id) {
    let is_it = |file: &&File| matches!(file, File::Socket(socket) if socket.is_known_as(id));
    // Several descriptors may: it is closed with the last one.
    if let Some(file) = table::ours(0, u32::MAX).map(|(_, file)| file).find(is_it) {
        if let (File::Socket(socket), true) = (file, table::put(fd, file)) {
            socket.add_copy();
        }
        return;
    }
    let mut kind = [0; size_of::<c_int>()];
    let told = stack.option(id, libc::SOL_SOCKET, libc::SO_TYPE, &mut kind);
    let kind = match told {
        Ok(_) => c_int::from_ne_bytes(kind),
        // Streams have no options.
        Err(Errno::EOPNOTSUPP) => STREAM,
        Err(_) => libc::SOCK_STREAM,
    };
    let file = fresh(libc::AF_INET, kind);
    if let File::Socket(socket) = file {
        socket.become_stacks(id);
        // SAFETY: no memory is named.
        let flags = unsafe { real::fcntl(fd, libc::F_GETFL, 0) };
        socket.set_nonblocking(flags & libc::O_NONBLOCK != 0);
        if stack.is_exported(id) {
            socket.note_exported();
        }
    }
    table::put(fd, file);
}

fn fresh(family: c_int, kind: c_int) -> &'static File {
    let file = closed().pop().unwrap_or_else(|| Box::leak(Box::new(File::Socket(Socket::new()))));
    if let File::Socket(socket) = file {
        socket.home.store(std::ptr::from_ref(file).cast_mut(), Ordering::Relaxed);
        socket.begin(family, kind);
    }
    file
}

fn close_internal(fd: c_int) {
    if fd >= 0 {
        table::take(fd);
        // SAFETY: it is this library's, and nobody uses it any more.
        unsafe { real::close(fd) };
    }
}

/// Nobody makes or closes a socket while the guard lives.
pub(crate) fn hold() -> MutexGuard<'static, Vec<&'static File>> {
    closed()
}

/// It is used again for another socket.
fn release(file: &'static File) {
    closed().push(file);
}

fn closed() -> MutexGuard<'static, Vec<&'static File>> {
    CLOSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One descriptor fewer stands for a file: `fd`, which is about to be closed; -1 when it is.
pub(crate) fn forget(file: &'static File, fd: c_int) {
    let File::Socket(socket) = file else { return };
    socket.hold_for_waits(fd);
    socket.drop_copy();
}

/// A call waits at a socket, which another thread may close meanwhile.
pub(crate) struct Kept(&'static Socket);

impl Kept {
    pub(crate) fn new(socket: &'static Socket) -> Self {
        socket.copies.fetch_add(1, Ordering::AcqRel);
        socket.waits.fetch_add(1, Ordering::AcqRel);
        Self(socket)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::AcqRel);
        self.0.drop_copy();
    }
}

impl Socket {
    fn new() -> Self {
        Self {
            whose: AtomicU8::new(OPEN),
            id: AtomicU32::new(0),
            home: AtomicPtr::new(std::ptr::null_mut()),
            copies: AtomicU32::new(0),
            waits: AtomicU32::new(0),
            held: AtomicI32::new(-1),
            exported: AtomicBool::new(false),
            family: AtomicI32::new(0),
            kind: AtomicI32::new(0),
            nonblocking: AtomicBool::new(false),
            armed: AtomicU8::new(0),
            receive_wait_us: AtomicU64::new(0),
            send_wait_us: AtomicU64::new(0),
            early: Mutex::new(Early::default()),
        }
    }

    fn begin(&self, family: c_int, kind: c_int) {
        self.whose.store(OPEN, Ordering::Relaxed);
        self.copies.store(1, Ordering::Relaxed);
        self.family.store(family, Ordering::Relaxed);
        self.kind.store(kind & KIND_MASK, Ordering::Relaxed);
        self.nonblocking.store(kind & libc::SOCK_NONBLOCK != 0, Ordering::Relaxed);
        self.armed.store(0, Ordering::Relaxed);
        self.exported.store(false, Ordering::Relaxed);
        self.receive_wait_us.store(0, Ordering::Relaxed);
        self.send_wait_us.store(0, Ordering::Relaxed);
        *self.early() = Early::default();
    }

    fn become_stacks(&self, id: Id) {
        self.id.store(id.0, Ordering::Relaxed);
        self.whose.store(STACK, Ordering::Release);
    }

    /// While a call waits, a descriptor has to stand for it.
    pub(crate) fn hold_for_waits(&self, fd: c_int) {
        if fd < 0 || self.waits.load(Ordering::Acquire) == 0 {
            return;
        }
        // SAFETY: no memory is named.
        let copy = unsafe { real::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
        let held = errno::of_kernel(copy).and_then(backend::keep_internal).unwrap_or(-1);
        close_internal(self.held.swap(held, Ordering::AcqRel));
    }

    fn drop_copy(&self) {
        if self.copies.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        if self.whose.load(Ordering::Acquire) == STACK {
            epoll::closed(self);
            if let Ok(stack) = backend::stack() {
                let _gone = stack.close(self.known());
            }
        }
        close_internal(self.held.swap(-1, Ordering::AcqRel));
        // SAFETY: files are never freed.
        if let Some(file) = unsafe { self.home.load(Ordering::Relaxed).as_ref() } {
            release(file);
        }
    }

    /// Its octets are at its descriptor.
    pub(crate) fn is_exported(&self) -> bool {
        self.exported.load(Ordering::Acquire)
    }

    /// They are from now on: the kernel is asked about it.
    pub(crate) fn note_exported(&self) {
        if !self.exported.swap(true, Ordering::AcqRel) {
            epoll::exported(self);
        }
    }

    /// From now on its octets are at its descriptor, for who knows of nothing else.
    pub(crate) fn export(&self, fd: c_int) {
        let moved = backend::with(self, fd, |stack, id| stack.export(id));
        if moved.is_ok() {
            self.note_exported();
        }
    }

    pub(crate) fn is_on_stack(&self) -> bool {
        self.whose.load(Ordering::Acquire) != OPEN
    }

    fn is_known_as(&self, id: Id) -> bool {
        self.whose.load(Ordering::Acquire) == STACK && self.known() == id
    }

    /// Its number, without asking for it.
    pub(crate) fn known(&self) -> Id {
        Id(self.id.load(Ordering::Relaxed))
    }

    /// Its number in this process. One that was inherited is asked for now.
    pub(crate) fn id(&self, stack: &dyn Sockets, fd: c_int) -> Result<Id, Errno> {
        if self.whose.load(Ordering::Acquire) == INHERITED {
            let adopted = stack.adopt(cookie(fd)?);
            // A stack that does not know it is not the one that it was of.
            let id = adopted.map_err(|no| if no == Errno::EBADF { Errno::ENETDOWN } else { no })?;
            self.become_stacks(id);
            if stack.is_exported(id) {
                self.note_exported();
            }
        }
        Ok(self.known())
    }

    pub(crate) fn family(&self) -> c_int {
        self.family.load(Ordering::Relaxed)
    }

    pub(crate) fn kind(&self) -> c_int {
        self.kind.load(Ordering::Relaxed)
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }

    /// O_NONBLOCK was set at the kernel's descriptor.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    /// Another descriptor stands for it.
    pub(crate) fn add_copy(&self) {
        self.copies.fetch_add(1, Ordering::Relaxed);
    }

    /// After fork it is another process's socket, too.
    pub(crate) fn inherit(&self) {
        if self.is_on_stack() {
            self.whose.store(INHERITED, Ordering::Release);
            self.armed.store(0, Ordering::Relaxed);
        }
    }

    /// Changes ring the bell from now on.
    pub(crate) fn arm(&self, stack: &dyn Sockets) {
        if self.armed.load(Ordering::Relaxed) == 0 {
            self.armed.store(1, Ordering::Relaxed);
            stack.arm(self.known(), ALL);
        }
    }

    /// As [`Socket::arm`]: each arrival does.
    pub(crate) fn arm_edges(&self, stack: &dyn Sockets) {
        if self.armed.swap(2, Ordering::Relaxed) < 2 {
            stack.arm(self.known(), ALL.with(Ready::EDGES));
        }
    }

    /// When an operation stops to wait, and whether its wait has an end at all.
    pub(crate) fn deadline(&self, way: Way, flags: c_int) -> Option<Instant> {
        let wait_us = match way {
            Way::Receive => self.receive_wait_us.load(Ordering::Relaxed),
            Way::Send => self.send_wait_us.load(Ordering::Relaxed),
        };
        if flags & libc::MSG_DONTWAIT != 0 || self.is_nonblocking() {
            Some(Instant::now())
        } else {
            (wait_us > 0).then(|| Instant::now() + Duration::from_micros(wait_us))
        }
    }

    /// SO_RCVTIMEO or SO_SNDTIMEO.
    pub(crate) fn wait(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Receive => &self.receive_wait_us,
            Way::Send => &self.send_wait_us,
        }
    }

    /// An option was set at the kernel's socket.
    pub(crate) fn note_option(&self, level: c_int, name: c_int, value: &[u8]) {
        let mut early = self.early();
        early.options.retain(|(at, other, _)| (*at, *other) != (level, name));
        if early.options.len() < OPTIONS_MAX {
            early.options.push((level, name, value.to_vec()));
        }
    }

    /// The kernel's socket was put into an epoll set of the kernel, or taken out.
    pub(crate) fn note_watch(&self, set: c_int, fd: c_int, event: Option<libc::epoll_event>) {
        let mut early = self.early();
        early.watched.retain(|(at, other, _)| (*at, *other) != (set, fd));
        early.watched.extend(event.map(|event| (set, fd, event)));
    }

    /// The kernel's socket becomes one of the stack.
    pub(crate) fn move_to_stack(&self, stack: &dyn Sockets) -> Result<Id, Errno> {
        let id = stack.socket(libc::AF_INET, self.kind(), 0)?;
        let moved = self.replace(stack, id);
        if moved.is_err() {
            let _closed = stack.close(id);
        }
        moved.map(|()| id)
    }

    fn replace(&self, stack: &dyn Sockets, id: Id) -> Result<(), Errno> {
        let (end, cookie) = stack.placeholder()?;
        show_nonblocking(end.as_raw_fd(), self.is_nonblocking());
        stack.tie(id, cookie)?;
        self.replace_copies(&end)?;
        let early = std::mem::take(&mut *self.early());
        for (level, name, value) in early.options {
            // One that the stack does not have was no error of the call that set it.
            let _unknown = stack.set_option(id, level, name, &value);
        }
        self.become_stacks(id);
        for (set, fd, mut event) in early.watched {
            // The kernel has dropped its socket from its set with the last descriptor.
            epoll::add(set, fd, self, &mut event)?;
        }
        Ok(())
    }

    /// Puts the placeholder at each descriptor of the kernel's socket.
    fn replace_copies(&self, end: &OwnedFd) -> Result<(), Errno> {
        for (fd, file) in table::ours(0, u32::MAX) {
            if !matches!(file, File::Socket(socket) if std::ptr::eq(socket, self)) {
                continue;
            }
            // SAFETY: no memory is named.
            let flags = errno::of_kernel(unsafe { real::fcntl(fd, libc::F_GETFD, 0) })?;
            let cloexec = if flags & libc::FD_CLOEXEC != 0 { libc::O_CLOEXEC } else { 0 };
            // SAFETY: both are descriptors of sockets of ours.
            errno::of_kernel(unsafe { real::dup3(end.as_raw_fd(), fd, cloexec) })?;
        }
        Ok(())
    }

    fn early(&self) -> MutexGuard<'_, Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's descriptor says O_NONBLOCK as the socket does: for `F_GETFL`, and for who inherits
/// it.
fn show_nonblocking(fd: c_int, nonblocking: bool) {
    let flags = if nonblocking { libc::O_NONBLOCK as usize } else { 0 };
    // SAFETY: no memory is named.
    unsafe { real::fcntl(fd, libc::F_SETFL, flags) };
}

/// What names the placeholder in every process.
pub(crate) fn cookie(fd: c_int) -> Result<Cookie, Errno> {
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    let value = std::ptr::from_mut(&mut cookie).cast();
    // SAFETY: there are as many bytes as are said to be.
    let got = unsafe { real::getsockopt(fd, libc::SOL_SOCKET, libc::SO_COOKIE, value, &mut len) };
    errno::of_kernel(got).map(|_| Cookie(cookie))
}

/// All that may be waited for.
const ALL: Ready =
    Ready(Ready::IN.0 | Ready::PRI.0 | Ready::OUT.0 | Ready::ERR.0 | Ready::HUP.0 | Ready::RDHUP.0);
/// The kind of what is a stream, and no socket.
pub(crate) const STREAM: c_int = 0;
/// SOCK_STREAM or SOCK_DGRAM without the flags.
const KIND_MASK: c_int = 0xf;
/// Options that are remembered: more than there are names.
const OPTIONS_MAX: usize = 64;
