//! The same stack in another process, reached over a Unix socket: a first, plain protocol daemon.
//!
//! One socket stands for one stream. A message crosses it as one packet: the length of its
//! control part, the control part, its data. What crosses is copied, on both sides and in both
//! directions: that is what this structure costs, besides the calls and the switches.

use crate::Trouble;
use crate::lab::{Lab, Mode, Service, pin};
use crate::stack::{self, Running, tick};
use millstream_core::{Got, tpi};
use millstream_host::{End, EndError};
use millstream_msg::{Kind, Msg, Pool, PoolConfig};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind,
    connect, listen, recv, send, socket_with,
};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// In place of an experiment, for the process that is the application.
const APPLICATION: &str = "application";

/// A stack with a socket on a stream, and an application in another process that echoes.
#[derive(Debug)]
pub struct Daemon {
    _application: Application,
    _bridges: [Service; 2],
    _stack: Running,
}

#[derive(Debug)]
struct Application(Child);

/// Room for one message: the longest datagram and its control part.
const PACKET: usize = (1 << 16) + 256;

impl Daemon {
    /// Brings all three up: the stack on the first core, the application and the threads in
    /// between on the second.
    ///
    /// # Errors
    /// As [`stack::with_end`], and when the process cannot be started.
    pub fn start(lab: &Lab, cores: [Option<usize>; 2], mode: Mode) -> Result<Self, Trouble> {
        let (stack, end) = stack::with_end(lab, cores[0], mode, End::attach)?;
        let path = std::env::temp_dir().join(format!("millstream-bench-{}", std::process::id()));
        let _old = std::fs::remove_file(&path);
        let server = socket()?;
        bind(&server, &SocketAddrUnix::new(&path)?)?;
        listen(&server, 1)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(APPLICATION).arg("--socket").arg(&path);
        command.args(cores[1].map(|core| format!("--core={core}")));
        let application = Application(command.spawn()?);
        set_socket_timeout(&server, Timeout::Recv, Some(START_MAX))?;
        let socket = Arc::new(accept(&server)?);
        std::fs::remove_file(&path)?;
        let end = Arc::new(end);
        let (their_end, their_socket) = (end.clone(), socket.clone());
        let up = Service::start("daemon up", cores[1], move |stop| {
            while !stop.load(Ordering::Relaxed) {
                match their_end.get(Some(tick())) {
                    Ok(Some(got)) => pass_up(&their_socket, &got)?,
                    Ok(None) => break,
                    Err(EndError::WouldBlock) => {}
                    Err(why) => return Err(why.into()),
                }
            }
            Ok(())
        })?;
        let stopper = socket.clone();
        let down = Service::start_with(
            "daemon down",
            cores[1],
            move || {
                let mut pool = Pool::new(PoolConfig::TINY);
                let mut packet = vec![0; PACKET];
                loop {
                    match receive(&socket, &mut packet)? {
                        Some((control, data)) => pass_down(&end, &mut pool, control, data)?,
                        None => return Ok(()),
                    }
                }
            },
            move || {
                // Both sides read the end.
                let _gone = rustix::net::shutdown(&stopper, rustix::net::Shutdown::Both);
            },
        )?;
        Ok(Self { _application: application, _bridges: [down, up], _stack: stack })
    }
}

/// How long the application's process may take to come.
const START_MAX: Duration = Duration::from_secs(5);

impl Drop for Application {
    fn drop(&mut self) {
        // It ends by itself when the socket does; this also takes one that never came.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// The application's process: a client of the daemon that sends datagrams back.
///
/// # Errors
/// When the daemon cannot be reached.
pub fn application(path: &Path, core: Option<usize>) -> Result<(), Trouble> {
    if let Some(core) = core {
        pin(core)?;
    }
    let client = Client::connect(path)?;
    let mut packet = vec![0; PACKET];
    let mut answer = Vec::with_capacity(PACKET);
    while let Some((control, data)) = client.getmsg(&mut packet)? {
        if tpi::primitive(control) == Some(tpi::T_UNITDATA_IND) {
            control[..4].copy_from_slice(&tpi::T_UNITDATA_REQ.to_ne_bytes());
            client.putmsg(control, data, &mut answer)?;
        }
    }
    Ok(())
}

/// The client library: one stream of the daemon.
#[derive(Debug)]
struct Client(OwnedFd);

impl Client {
    fn connect(path: &Path) -> Result<Self, Trouble> {
        let fd = socket()?;
        connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Self(fd))
    }

    /// The next message in the caller's memory; `None` when the daemon has gone.
    fn getmsg<'a>(&self, packet: &'a mut [u8]) -> Result<Option<Parts<'a>>, Trouble> {
        receive(&self.0, packet)
    }

    fn putmsg(&self, control: &[u8], data: &[u8], packet: &mut Vec<u8>) -> Result<(), Trouble> {
        packet.clear();
        packet.extend_from_slice(&(control.len() as u16).to_ne_bytes());
        packet.extend_from_slice(control);
        packet.extend_from_slice(data);
        send(&self.0, packet, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

type Parts<'a> = (&'a mut [u8], &'a mut [u8]);

fn socket() -> Result<OwnedFd, Trouble> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// One message off the socket; `None` at its end.
fn receive<'a>(fd: &OwnedFd, packet: &'a mut [u8]) -> Result<Option<Parts<'a>>, Trouble> {
    let (n, _) = recv(fd, &mut *packet, RecvFlags::empty())?;
    let Some(([a, b], rest)) = packet[..n].split_first_chunk_mut::<2>() else { return Ok(None) };
    let control = usize::from(u16::from_ne_bytes([*a, *b]));
    rest.split_at_mut_checked(control).map(Some).ok_or_else(|| "a malformed packet".into())
}

fn pass_up(socket: &OwnedFd, got: &Got) -> Result<(), Trouble> {
    let len = |part: &Option<Msg>| part.as_ref().map_or(0, Msg::len);
    let (control, data) = (len(&got.control), len(&got.data));
    let mut packet = vec![0; 2 + control + data];
    packet[..2].copy_from_slice(&(control as u16).to_ne_bytes());
    if let Some(part) = &got.control {
        part.copy_out(0, &mut packet[2..2 + control]);
    }
    if let Some(part) = &got.data {
        part.copy_out(0, &mut packet[2 + control..]);
    }
    send(socket, &packet, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn pass_down(end: &End, pool: &mut Pool, control: &[u8], data: &[u8]) -> Result<(), Trouble> {
    let no_memory = |why: millstream_msg::NoMem| why.to_string();
    let mut msg = pool.copy_from(0, control).map_err(no_memory)?;
    msg.set_kind(Kind::Proto);
    msg.link(pool.copy_from(HEADROOM, data).map_err(no_memory)?);
    end.put(msg, None).map_err(|(why, _)| why.into())
}

/// Bytes in front of data on its way down: the headers of udp, ip and Ethernet.
const HEADROOM: usize = 128;
