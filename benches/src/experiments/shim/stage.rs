//! stage: a program on the kernel's sockets, or with the library on the stack's.

use crate::Trouble;
use crate::baseline::with_port;
use crate::lab::{LINK, Lab, on_core};
use crate::tcp::Setting;
use millstream::{Quota, Stack};
use millstream_drivers::netns::Netns;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whose its sockets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The kernel's, on the far side of a veth.
    Kernel,
    /// Those of a stack in another process.
    Beside,
    /// The same, which it reads received octets of where they lie.
    Shared,
    /// Those of a stack in its own process.
    Inside,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Beside => "at the port",
            Self::Shared => "at the port with an arena",
            Self::Inside => "in process",
        })
    }
}

/// A program that runs until it is dropped.
pub(super) struct Running {
    child: Child,
    _stack: Option<Stack>,
    _peer: Option<Netns>,
}

impl Running {
    /// Starts it on its core, with a stack, or in a namespace of the kernel's.
    pub(super) fn start(
        lab: &Lab,
        setting: Setting,
        place: Place,
        mut command: Command,
    ) -> Result<Self, Trouble> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = setting.pinning.server();
        let (mut stack, mut peer, mut core) = (None, None, server);
        if place != Place::Kernel {
            command.env("LD_PRELOAD", library()?);
            let far = lab.far();
            let policy = format!("stack {}/{}", far.network(), far.length_bits());
            command.env("MILLSTREAM_POLICY", policy);
        }
        match place {
            Place::Kernel => peer = Some(lab.veth()?),
            Place::Beside | Place::Shared => {
                let arena = if place == Place::Shared { ARENA } else { 0 };
                let quota = Quota { arena, ..Quota::default() };
                let (ours, path) = with_port(lab, server, setting.mode, quota)?;
                (stack, core) = (Some(ours), setting.place());
                command.env("MILLSTREAM_PORT", path);
            }
            Place::Inside => {
                let poll = if setting.mode == crate::lab::Mode::Polling { "; poll" } else { "" };
                let (host, far) = (lab.host(), lab.far());
                let plan = format!("tap {LINK} host {host} addr {far}{poll}");
                command.env("MILLSTREAM_PLAN", plan);
            }
        }
        for netns in [Some(&lab.netns), peer.as_ref()].into_iter().flatten() {
            // The system's choice may be one that paces itself. The programs say nothing, and a
            // namespace is not let have cubic.
            netns.sysctl("net/ipv4/tcp_congestion_control", "reno")?;
        }
        let netns = peer.as_ref().unwrap_or(&lab.netns);
        let child = netns.run(|| on_core(Some(core), || Ok(command.spawn()?)))?;
        let child = child.map_err(|why: Trouble| {
            format!("{}: {why}", command.get_program().to_string_lossy())
        })?;
        Ok(Self { child, _stack: stack, _peer: peer })
    }

    /// Waits until it listens.
    pub(super) fn answers(&mut self, lab: &Lab, port: u16) -> Result<(), Trouble> {
        let at = SocketAddr::new(lab.far().address(), port);
        let connect = || Ok(TcpStream::connect_timeout(&at, Duration::from_millis(100)).is_ok());
        self.until(|| lab.inside(connect))
    }

    /// Waits until something works that it is to do.
    pub(super) fn until(
        &mut self,
        mut works: impl FnMut() -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let late = Instant::now() + PATIENCE;
        while !works()? {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("it has ended: {status}").into());
            }
            if Instant::now() > late {
                return Err("it does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself needs no end.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Bytes that a program may hold in the arena.
const ARENA: usize = 8 << 20;

/// A program that does not listen by then never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// The library of this build: beside this program, or among what it was built from.
pub(super) fn library() -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2).flat_map(|at| [at.to_owned(), at.join("deps")]);
    let found = folders.map(|at| at.join(LIBRARY)).find(|file| file.is_file());
    found.ok_or_else(|| format!("{LIBRARY} is not built: cargo build --release at the root").into())
}

const LIBRARY: &str = "libmillstream_preload.so";
