//! A stack that runs on a thread of this process.

use crate::stream::Stream;
use millstream_core::{NodeId, PlumbError, StreamId};
use millstream_host::plan::{self, Plan, PlanError, Programs};
use millstream_host::port::{Listener, PortStat, Quota};
use millstream_host::socket::Transports;
use millstream_host::{End, Gone, Handle, Notice};
use millstream_modules::tcp::Tcp;
use millstream_msg::{Pool, PoolConfig};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A running stack. Dropping it stops its thread; streams of it report that they are gone.
#[derive(Debug)]
pub struct Stack {
    thread: Option<JoinHandle<()>>,
    opener: Opener,
    programs: Programs,
}

/// Opens streams of a stack, for the stack and for its listeners.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    handle: Handle,
    /// What streams are opened on, by name.
    devices: Arc<[(String, NodeId)]>,
    pool: Arc<Mutex<Pool>>,
}

/// Why a stream could not be opened, or its device not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No such device.
    #[error("no device {name}: there are {known}")]
    NoDevice {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The multiplexor refused.
    #[error(transparent)]
    Refused(#[from] PlumbError),
    /// The stack has stopped.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Memory of messages that applications make: a thousand datagrams, and headers for them.
const POOL: PoolConfig = PoolConfig {
    small: 4096,
    frame: 1024,
    large: 256,
    bare: 1024,
    external: 1024,
    reserve_256th: 0,
};

impl Stack {
    /// Brings a stack up, in the network namespace of the calling thread, and runs it on a thread
    /// of its own.
    ///
    /// # Errors
    /// See [`PlanError`]; each says what to do about it.
    pub fn start(plan: Plan) -> Result<Self, PlanError> {
        Self::start_with(plan, |_| {})
    }

    /// As [`Stack::start`]; `notify` is called on the stack's thread with what happens to devices.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn start_with(
        plan: Plan,
        notify: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, PlanError> {
        let plan::Stack { shard, ip, udp, tcp, devices: others, programs, .. } = plan.build()?;
        let muxes = [("tcp", tcp), ("udp", udp), ("ip", ip)];
        let mut devices: Vec<_> = muxes.map(|(name, mux)| (name.to_owned(), mux)).into();
        devices.extend(others);
        let handle = shard.handle();
        let thread = std::thread::Builder::new()
            .name("millstream".into())
            .spawn(move || {
                // The wait set fails only when the kernel is out of memory; the stack is gone then,
                // and every stream says so.
                let _out_of_memory = shard.run(notify);
            })
            .map_err(|cause| PlanError::Io { what: "start a thread", cause })?;
        let pool = Arc::new(Mutex::new(Pool::new(POOL)));
        let opener = Opener { handle, devices: devices.into(), pool };
        Ok(Self { thread: Some(thread), opener, programs })
    }

    /// Opens a stream on a device: `tcp`, `udp`, `ip`, or with [`Plan::dlpi`] an interface by its
    /// name, which is a data link then (see [`millstream_core::dlpi`]).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, device: &str) -> Result<Stream, OpenError> {
        self.opener.open(device)
    }

    /// As [`Stack::open`], for who only sends and receives whole messages, many of them: they go
    /// ahead through rings, without a call for each. What looks at the head of such a stream, or
    /// reads bytes there, does not see the messages that are in the rings; what it is refused for
    /// fails the stream.
    ///
    /// # Errors
    /// As [`Stack::open`].
    pub fn open_ahead(&self, device: &str) -> Result<Stream, OpenError> {
        let mux = self.opener.device(device)?;
        let opened = self.handle().call(|shard| {
            let stream = shard.core().open_mux(mux, device)?;
            Ok::<_, PlumbError>((stream, shard.core().headroom(stream)?))
        })?;
        let (stream, headroom) = opened?;
        Ok(self.opener.stream(End::attach(self.handle(), stream)?, headroom))
    }

    /// Takes an open stream of the shard over.
    pub(crate) fn attach(&self, stream: StreamId, headroom: usize) -> Result<Stream, Gone> {
        self.opener.attach(stream, headroom)
    }

    /// Opens more streams later.
    pub(crate) fn opener(&self) -> Opener {
        self.opener.clone()
    }

    /// Sets a parameter of a multiplexor: `tcp`, `udp` or `ip`, as `millstream set` does.
    ///
    /// # Errors
    /// No such device, or what it says of the key or the value.
    pub fn set(&self, device: &str, key: &str, value: &str) -> Result<(), OpenError> {
        let mux = self.opener.device(device)?;
        Ok(self.handle().call(|shard| shard.core().set_mux(mux, key, value))??)
    }

    /// Lets programs of other processes in that come to a socket at `path`, from now on: see
    /// [`millstream_port::Client`]. The socket is gone with the stack.
    ///
    /// # Errors
    /// When the socket cannot be made, or the stack has stopped.
    pub fn open_port(&self, path: &Path, quota: Quota) -> io::Result<()> {
        let listener = Listener::bind(path).map_err(io::Error::other)?;
        let opener = &self.opener;
        let mux = |name| opener.device(name).map_err(io::Error::other);
        let transports = Transports { tcp: mux("tcp")?, udp: mux("udp")? };
        let devices = opener.devices.to_vec();
        let opened =
            self.handle().call(|shard| shard.open_port(listener, quota, transports, devices));
        opened.map_err(io::Error::other)?
    }

    /// What is counted of programs of other processes; `None` when none may come in.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn port_stat(&self) -> Result<Option<PortStat>, Gone> {
        self.handle().call(|shard| shard.port_stat())
    }

    /// Its programs of RPC; `bindings` of them are what its `rpcbind` tells.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Is anything on its way to a peer that still answers? Who ends the stack may wait for that.
    pub fn is_sending(&self) -> bool {
        let asked = self.handle().call(|shard| {
            let core = shard.core();
            let now = core.now();
            core.muxes().into_iter().filter_map(|mux| core.mux_as::<Tcp>(mux)).any(|tcp| {
                tcp.sockets(now).any(|(socket, _)| {
                    socket.flow.is_some() && !matches!(socket.state, "TIME-WAIT" | "CLOSE")
                })
            })
        });
        asked.unwrap_or(false)
    }

    /// Reaches the stack's thread.
    pub fn handle(&self) -> &Handle {
        &self.opener.handle
    }
}

impl Opener {
    pub(crate) fn open(&self, device: &str) -> Result<Stream, OpenError> {
        let mux = self.device(device)?;
        let (end, headroom) = End::open(&self.handle, mux, device)??;
        Ok(self.stream(end, headroom))
    }

    /// What streams of this name are opened on.
    pub(crate) fn device(&self, device: &str) -> Result<NodeId, OpenError> {
        let found = self.devices.iter().find(|(name, _)| *name == device);
        found.map(|&(_, mux)| mux).ok_or_else(|| {
            let known: Vec<&str> = self.devices.iter().map(|(name, _)| &**name).collect();
            OpenError::NoDevice { name: device.to_owned(), known: known.join(", ") }
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The stream of an end.
    pub(crate) fn stream(&self, end: End, headroom: usize) -> Stream {
        Stream::new(end, self.pool.clone(), headroom)
    }

    fn attach(&self, stream: StreamId, headroom: usize) -> Result<Stream, Gone> {
        Ok(self.stream(End::attach_head(&self.handle, stream)?, headroom))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if self.handle().is_forked() {
            // Its thread is the parent's: here there is nothing to wait for or to release.
            return std::mem::forget(thread);
        }
        self.handle().stop();
        if let Some(thread) = thread {
            // A panic of the stack's thread was reported there.
            let _panicked = thread.join();
        }
    }
}

/// The pool, whatever happened to other threads: its state is whole between two calls.
pub(crate) fn lock(pool: &Mutex<Pool>) -> std::sync::MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}
