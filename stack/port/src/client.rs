//! The program's side of a port.

mod calls;
mod data;
mod table;

use crate::bits::{Bits, must_ring};
use crate::hello::{HELLO_FDS, Hello, receive};
use crate::lane::{Lane, Reply, Request};
use crate::layout::{ASLEEP, CHANGED, KICKS, Layout, SLEEPERS};
use crate::slot::Slot;
use crate::{Arena, Errno, Id, Memory};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::Placeholders;

/// A program on a stack in another process. Threads may share it.
///
/// A child of this process must not use it: it attaches anew, and adopts the sockets whose
/// placeholders it has inherited. When the last thread that has it is gone, so are the sockets
/// that no placeholder stands for.
#[derive(Debug)]
pub struct Client {
    memory: Memory,
    layout: Layout,
    /// Where received octets lie that are in no ring, if programs share that.
    arena: Option<Arena>,
    /// Rung for the stack.
    stack_bell: OwnedFd,
    /// Rung by the stack.
    bell: OwnedFd,
    connection: OwnedFd,
    /// One call at a time.
    calls: Mutex<Placeholders>,
    /// Its descriptors have numbers from here on.
    least: i32,
    /// Who sends at a socket, by its slot: two that do so at once take turns.
    senders: Vec<Mutex<()>>,
    /// The stack was found to be gone.
    gone: AtomicBool,
    /// All sockets were told of as changed since.
    mourned: AtomicBool,
    /// Attempts at rings that came to nothing.
    fruitless: AtomicU32,
}

/// Why a program is not on a stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// Nobody is there.
    #[error("no stack answers at {path}: {cause}")]
    NoStack {
        /// The socket.
        path: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The stack has closed the connection.
    #[error("the stack at {path} lets no more programs in, or none of this user")]
    Refused {
        /// The socket.
        path: String,
    },
    /// What answered cannot be used.
    #[error("cannot share memory with the stack at {path}: {cause}")]
    Memory {
        /// The socket.
        path: String,
        /// What is wrong.
        cause: io::Error,
    },
}

/// Locks of senders; sockets whose slots are so far apart share one.
const SENDERS: usize = 64;

/// A stack that has not answered for so long is looked after: it may be gone.
const PATIENCE: Duration = Duration::from_millis(200);

/// Looks at the answer before a thread sleeps for it: about as long as a call of the kernel.
const SPINS: u32 = 100;

/// After so many attempts at rings that came to nothing it is looked whether the stack is there: a
/// program that never waits notices, too. A power of two.
const LOOK_EVERY: u32 = 64;

impl Client {
    /// Attaches to the stack whose port is at a path: `NAME.port`, beside its control socket.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach(path: &Path) -> Result<Self, AttachError> {
        let shown = || path.display().to_string();
        let connection =
            connected(path).map_err(|cause| AttachError::NoStack { path: shown(), cause })?;
        let mut bytes = [0; 64];
        let hello = receive(connection.as_fd(), &mut bytes);
        let memory = |cause| AttachError::Memory { path: shown(), cause };
        let (len, fds) = hello.map_err(memory)?;
        if len == 0 {
            return Err(AttachError::Refused { path: shown() });
        }
        let Hello { layout } = Hello::of_bytes(&bytes[..len]).map_err(memory)?;
        let wrong = || io::Error::from(io::ErrorKind::InvalidData);
        let mut fds = fds;
        let arena = if fds.len() > HELLO_FDS { fds.pop() } else { None };
        let arena = arena.map(|fd| Arena::attach(&fd)).transpose().map_err(memory)?;
        let fds: Result<[OwnedFd; HELLO_FDS], _> = fds.try_into();
        let [shared, stack_bell, bell] = fds.map_err(|_| memory(wrong()))?;
        let shared = Memory::attach(shared).map_err(memory)?;
        if shared.len() < layout.len() {
            return Err(memory(wrong()));
        }
        let senders = (0..SENDERS).map(|_| Mutex::new(())).collect();
        let calls = Mutex::default();
        Ok(Self {
            memory: shared,
            layout,
            arena,
            stack_bell,
            bell,
            connection,
            calls,
            least: 0,
            senders,
            gone: AtomicBool::new(false),
            mourned: AtomicBool::new(false),
            fruitless: AtomicU32::new(0),
        })
    }

    /// Descriptors that it needs: whoever closes all descriptors leaves these open, and a child
    /// closes them. Those of placeholders that were made ahead are among them, unless another
    /// thread takes one at this moment.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let mut all: Vec<RawFd> =
            [&self.stack_bell, &self.bell, &self.connection].map(AsRawFd::as_raw_fd).into();
        if let Ok(placeholders) = self.calls.try_lock() {
            all.extend(placeholders.descriptors());
        }
        all
    }

    /// Moves its descriptors, and those that it gets, to numbers from `least` on, with
    /// close-on-exec set.
    ///
    /// # Errors
    /// The kernel's; some may have moved.
    pub fn move_descriptors(&mut self, least: i32) -> io::Result<()> {
        for fd in [&mut self.stack_bell, &mut self.bell, &mut self.connection] {
            *fd = rustix::io::fcntl_dupfd_cloexec(&*fd, least)?;
        }
        self.least = least;
        Ok(())
    }

    /// Calls the stack; its answer, of which the bytes are copied to `out`.
    fn call(&self, request: Request, pieces: &[&[u8]], out: &mut [u8]) -> Result<Reply, Errno> {
        self.call_locked(&self.placeholders(), request, pieces, out)
    }

    fn call_locked(
        &self,
        _alone: &MutexGuard<'_, Placeholders>,
        request: Request,
        pieces: &[&[u8]],
        out: &mut [u8],
    ) -> Result<Reply, Errno> {
        if self.is_known_gone() {
            return Err(Errno::ENETDOWN);
        }
        let lane = Lane::new(&self.memory, self.layout);
        let number = lane.put(request, pieces).ok_or(Errno::EMSGSIZE)?;
        let slept = self.ring_stack();
        if !slept {
            for _ in 0..SPINS {
                if let Some(reply) = lane.reply(number, out) {
                    return reply;
                }
                std::hint::spin_loop();
            }
        }
        loop {
            if let Some(reply) = lane.reply(number, out) {
                return reply;
            }
            lane.sleep(number.wrapping_sub(1), PATIENCE);
            if let Some(reply) = lane.reply(number, out) {
                return reply;
            }
            if self.is_gone() {
                return Err(Errno::ENETDOWN);
            }
        }
    }

    /// Rings the stack, if it sleeps; whether it did.
    fn ring_stack(&self) -> bool {
        let must = must_ring(self.memory.u32_at(ASLEEP));
        if must {
            // Full (2^64 - 2 rings unheard) means that it is rung already.
            let _already_rung = rustix::io::write(&self.stack_bell, &1_u64.to_ne_bytes());
        }
        must
    }

    /// The stack has ended, or sent this program away. Asks the kernel, until it is so.
    pub fn is_gone(&self) -> bool {
        if !self.is_known_gone() {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let mut connection = [PollFd::new(&self.connection, PollFlags::empty())];
            // Never back: another thread may have found it out since this one looked.
            if poll(&mut connection, Some(&now)).is_ok_and(|ready| ready > 0) {
                self.gone.store(true, Ordering::Release);
            }
        }
        self.is_known_gone()
    }

    /// Somebody has found that the stack is gone.
    fn is_known_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// What an attempt at a ring fails with that came to nothing.
    fn nothing_came(&self) -> Errno {
        // Lost counts do no harm.
        let before = self.fruitless.load(Ordering::Relaxed);
        self.fruitless.store(before.wrapping_add(1), Ordering::Relaxed);
        if before.is_multiple_of(LOOK_EVERY) && self.is_gone() {
            return Errno::ENETDOWN;
        }
        Errno::EAGAIN
    }

    /// While the guard lives no other thread is in a call: a process that forks meanwhile leaves
    /// its child nothing that is half done.
    pub fn hold(&self) -> impl Drop + '_ {
        self.placeholders()
    }

    /// The stack is to look at a socket.
    fn kick(&self, slot: usize) {
        self.bits(KICKS).set(slot);
        self.ring_stack();
    }

    /// The slot of a socket, if the program has it.
    fn slot(&self, id: Id) -> Option<(usize, Slot<'_>)> {
        let slot = (id.0 & 0xffff) as usize;
        if slot >= self.layout.slots || id.0 >> 16 == 0 {
            return None;
        }
        let place = Slot::new(&self.memory, self.layout.slot(slot));
        let same = place.generation().load(Ordering::Acquire) == id.0 >> 16;
        (same && place.closed().load(Ordering::Relaxed) != id.0 >> 16).then_some((slot, place))
    }

    fn bits(&self, at: usize) -> Bits<'_> {
        let words = self.memory.words_at(at + 8, self.layout.slots.div_ceil(64));
        Bits::over(self.memory.u64_at(at), words)
    }

    fn sleepers(&self) -> &AtomicU32 {
        self.memory.u32_at(SLEEPERS)
    }

    fn placeholders(&self) -> MutexGuard<'_, Placeholders> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sockets at which something has changed since the last call.
    fn take_changed(&self, out: &mut Vec<Id>) {
        let mut push = |slot| {
            let place = Slot::new(&self.memory, self.layout.slot(slot));
            let generation = place.generation().load(Ordering::Acquire);
            out.push(Id(generation << 16 | slot as u32));
        };
        if self.is_known_gone() && !self.mourned.swap(true, Ordering::AcqRel) {
            return (0..self.layout.slots).for_each(push);
        }
        self.bits(CHANGED).take(|slot| {
            if slot < self.layout.slots {
                push(slot);
            }
        });
        fence(Ordering::SeqCst);
    }
}

fn connected(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}
