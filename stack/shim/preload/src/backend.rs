//! backend: the stack of this program, which runs in another process or inside this one. It is
//! found, or started, by the first socket that belongs there.

use crate::socket::Socket;
use crate::{epoll, errno, real, table, wait};
use libc::{c_int, sigset_t};
use millstream::plan::Plan;
use millstream::{InProcess, Stack};
use millstream_port::{Client, Errno, Id, Sockets};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What is done in the program's stack.
type Backend = &'static dyn Sockets;

/// Never freed: threads may be inside at the end of the program.
static BACKEND: AtomicPtr<Backend> = AtomicPtr::new(std::ptr::null_mut());
/// The same, if it is in another process.
static CLIENT: AtomicPtr<Client> = AtomicPtr::new(std::ptr::null_mut());
/// One thread starts it.
static STARTING: Mutex<()> = Mutex::new(());
/// The stack in this process, until the program ends.
static INSIDE: Mutex<Option<Stack>> = Mutex::new(None);
/// This is a child of the process that the stack is in, or of one whose stack is gone.
static ORPHAN: AtomicBool = AtomicBool::new(false);
/// This is a child of a process that has had a stack.
static FORKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread is inside the stack: a handler of a signal that interrupts it must stay out.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// The stack.
///
/// # Errors
/// ENETDOWN in a child of a process that the stack is in, or whose stack is gone.
pub(crate) fn stack() -> Result<&'static dyn Sockets, Errno> {
    let at = BACKEND.load(Ordering::Acquire);
    // SAFETY: what is put in is never freed.
    match unsafe { at.as_ref() } {
        Some(stack) => Ok(*stack),
        None => start(),
    }
}

/// Does something with a socket of the stack.
pub(crate) fn with<T>(
    socket: &Socket,
    fd: c_int,
    work: impl FnOnce(&'static dyn Sockets, Id) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let stack = stack()?;
    let id = socket.id(stack, fd)?;
    let _inside = enter()?;
    work(stack, id)
}

/// This thread is inside until the guard goes.
///
/// # Errors
/// EAGAIN when it is inside already: this is a handler of a signal that came meanwhile.
pub(crate) fn enter() -> Result<Inside, Errno> {
    if BUSY.replace(true) { Err(Errno::EAGAIN) } else { Ok(Inside) }
}

/// See [`enter`].
#[derive(Debug)]
pub(crate) struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

/// Is there a stack for this program at all?
pub(crate) fn is_wanted() -> bool {
    let has_none = ORPHAN.load(Ordering::Relaxed);
    choice().is_some_and(|choice| choice.port || !has_none)
}

/// Says which stack the program has, instead of its environment: words of a plan, or with `port`
/// the path of a socket. 0, or -1 with EINVAL, and EISCONN when it has one.
pub fn choose(text: Option<&str>, port: bool) -> c_int {
    let chosen = text.filter(|text| port || text.parse::<Plan>().is_ok()).ok_or(Errno::EINVAL);
    errno::done(chosen.and_then(|text| {
        let choice = Choice { text: text.to_owned(), port };
        CHOICE.set(choice).map_err(|_| Errno::EISCONN)
    }))
}

/// The stack of this program.
#[derive(Debug)]
struct Choice {
    /// Words of a plan, or a path.
    text: String,
    port: bool,
}

static CHOICE: OnceLock<Choice> = OnceLock::new();

/// What the environment says, unless the program has chosen.
fn choice() -> Option<&'static Choice> {
    if CHOICE.get().is_none() {
        let (plan, port) = (std::env::var(PLAN), std::env::var(PORT));
        let choice = match (plan, port) {
            (Ok(text), _) => Choice { text, port: false },
            (_, Ok(text)) => Choice { text, port: true },
            _ => return None,
        };
        // Another thread may have been faster.
        let _same = CHOICE.set(choice);
    }
    CHOICE.get()
}

#[cold]
fn start() -> Result<&'static dyn Sockets, Errno> {
    if ORPHAN.load(Ordering::Relaxed) {
        return Err(Errno::ENETDOWN);
    }
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if BACKEND.load(Ordering::Acquire).is_null() {
        let before = descriptors();
        let backend = quiet(|| match choice() {
            Some(Choice { text, port: true }) => attach(Path::new(text)),
            Some(Choice { text, port: false }) => inside(text),
            None => Err("no stack is named".to_owned()),
        });
        let backend = match backend {
            Ok(backend) => Box::leak(Box::new(backend)),
            Err(_) if FORKED.load(Ordering::Relaxed) => {
                ORPHAN.store(true, Ordering::Relaxed);
                return Err(Errno::ENETDOWN);
            }
            Err(why) => give_up(&why),
        };
        for fd in descriptors().into_iter().filter(|fd| !before.contains(fd)) {
            table::put(fd, &table::INTERNAL);
        }
        BACKEND.store(backend, Ordering::Release);
    }
    let at = BACKEND.load(Ordering::Acquire);
    // SAFETY: it was put in above, and is never freed.
    unsafe { at.as_ref() }.copied().ok_or(Errno::ENETDOWN)
}

/// A stack in this process.
fn inside(words: &str) -> Result<Backend, String> {
    let plan: Plan = words.parse().map_err(|why| format!("{PLAN}: {why}"))?;
    let stack = Stack::start(plan).map_err(|why| why.to_string())?;
    let sockets = InProcess::new(&stack).map_err(|why| why.to_string())?;
    *INSIDE.lock().unwrap_or_else(PoisonError::into_inner) = Some(stack);
    Ok(Box::leak(Box::new(sockets)))
}

/// A stack in another process.
fn attach(path: &Path) -> Result<Backend, String> {
    let mut client = Client::attach(path).map_err(|why| why.to_string())?;
    // Where there is no room for such numbers they stay.
    let _no_room = client.move_descriptors(FIRST_INTERNAL as c_int);
    let client = Box::leak(Box::new(client));
    CLIENT.store(client, Ordering::Release);
    Ok(client)
}

/// Nobody starts it while the guard lives, nor is in a call of one in another process.
pub(crate) fn hold() -> (MutexGuard<'static, ()>, Option<impl Drop>) {
    let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    (starting, client().map(Client::hold))
}

/// This thread is inside: it was interrupted there by a signal.
pub(crate) fn is_inside() -> bool {
    BUSY.get()
}

/// Is this a descriptor that the stack in another process is reached with?
pub(crate) fn needs(fd: c_int) -> bool {
    fd >= FIRST_INTERNAL as c_int
        && !BUSY.get()
        && client().is_some_and(|client| client.descriptors().contains(&fd))
}

/// Makes the descriptors that the stack is reached with known as such.
pub(crate) fn mark_descriptors() {
    for fd in client().into_iter().flat_map(Client::descriptors) {
        table::put(fd, &table::INTERNAL);
    }
}

/// Those of placeholders may be the program's from now on.
pub(crate) fn unmark_descriptors() {
    for fd in client().into_iter().flat_map(Client::descriptors).skip(OWN_DESCRIPTORS) {
        table::take(fd);
    }
}

fn client() -> Option<&'static Client> {
    // SAFETY: what is put in is never freed.
    unsafe { CLIENT.load(Ordering::Acquire).as_ref() }
}

/// The stack in this process, once: at the end of the program.
pub(crate) fn take_inside() -> Option<Stack> {
    INSIDE.try_lock().ok()?.take()
}

/// After fork: a stack in the parent is not the child's, one in another process is found anew.
pub(crate) fn forked() {
    if BACKEND.swap(std::ptr::null_mut(), Ordering::AcqRel).is_null() {
        return;
    }
    FORKED.store(true, Ordering::Relaxed);
    let was_inside = CHOICE.get().is_some_and(|choice| !choice.port);
    let is_gone = client().is_some_and(Client::is_gone);
    ORPHAN.store(was_inside || is_gone, Ordering::Relaxed);
    BUSY.set(false);
    // With them the parent would seem to live as long as this process, and its sockets, too.
    for fd in client().into_iter().flat_map(Client::descriptors) {
        table::take(fd);
        // SAFETY: it is the library's, and nobody uses it here.
        unsafe { real::close(fd) };
    }
    CLIENT.store(std::ptr::null_mut(), Ordering::Release);
    wait::forked();
    epoll::forked();
    for (_, file) in table::ours(0, u32::MAX) {
        if let table::File::Socket(socket) = file {
            socket.inherit();
        }
    }
}

/// A program that was to run on a stack does not run without.
pub(crate) fn give_up(why: &str) -> ! {
    let text = format!("millstream: {why}\n");
    // SAFETY: there are as many bytes.
    unsafe { real::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    // SAFETY: nothing of the program runs on.
    unsafe { libc::_exit(GAVE_UP) }
}

/// Threads that are started here get none of the program's signals.
fn quiet<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<sigset_t>::uninit();
    let mut before = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: there is room for a set, which is whole then.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let done = work();
    // SAFETY: it was written above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    done
}

/// Descriptors of this process that may be the stack's.
fn descriptors() -> Vec<c_int> {
    let numbers = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = numbers.filter(|entry| {
        let what = std::fs::read_link(entry.path()).unwrap_or_default();
        let what = what.to_string_lossy();
        ["anon_inode:", "/dev/net/tun", "/memfd:", "socket:"].iter().any(|of| what.starts_with(of))
    });
    numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Moves a descriptor of this library away from the program's.
///
/// # Errors
/// EMFILE.
pub(crate) fn keep_internal(fd: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is named.
    let high = unsafe { real::fcntl(fd, libc::F_DUPFD_CLOEXEC, FIRST_INTERNAL) };
    // Where so high a number is not to be had it stays where it is.
    let kept = if high >= 0 { high } else { fd };
    if kept != fd {
        // SAFETY: it is ours.
        errno::of_kernel(unsafe { real::close(fd) })?;
    }
    table::put(kept, &table::INTERNAL);
    Ok(kept)
}

/// The socket of a stack that runs in another process.
pub(crate) const PORT: &str = "MILLSTREAM_PORT";
/// Describes the stack that runs in this process.
const PLAN: &str = "MILLSTREAM_PLAN";
/// Exit code of a program whose stack is not there.
const GAVE_UP: c_int = 97;
/// Descriptors of a client beside those of placeholders.
const OWN_DESCRIPTORS: usize = 3;
/// Programs have few descriptors above, and `select(2)` takes none of them.
const FIRST_INTERNAL: usize = 1000;
