//! rpc: whom the stack's RPC is measured against, on the kernel's TCP on the far side of a veth: a
//! bare loop, and a server in C over libtirpc. All answer procedure 0, without credential.

use crate::Trouble;
use crate::lab::{Lab, Mode, Service, Stop, TICK_MS};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The program that is called, in its version 1.
pub const PROGRAM: u32 = 536_872_241;

/// The least there is to do: reads records, one thread, and writes the replies of all that came
/// with one read at once. It looks at nothing but marks and xids.
///
/// # Errors
/// As [`Lab::veth`].
pub fn bare(lab: &Lab, core: Option<usize>, mode: Mode) -> Result<Service, Trouble> {
    let peer = lab.veth()?;
    let listener = peer.run(|| TcpListener::bind(lab.echo()))??;
    listener.set_nonblocking(true)?;
    Service::start(BARE, core, move |stop| {
        let _alive = peer;
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => answer(stream, mode, stop)?,
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    })
}

/// Answers the calls of one connection until it ends.
fn answer(mut stream: TcpStream, mode: Mode, stop: &Stop) -> Result<(), Trouble> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(mode == Mode::Polling)?;
    stream.set_read_timeout(Some(Duration::from_millis(TICK_MS)))?;
    let (mut input, mut have, mut output) = (vec![0; 256 << 10], 0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut input[have..]) {
            Ok(0) => return Ok(()),
            Ok(n) => have += n,
            Err(why) if why.kind() == ErrorKind::WouldBlock => continue,
            Err(why) if why.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(why) => return Err(why.into()),
        }
        let at = replies(&input[..have], &mut output);
        input.copy_within(at..have, 0);
        have -= at;
        write_all(&mut stream, &output, stop)?;
        output.clear();
    }
    Ok(())
}

/// Replies to all calls that have come whole; bytes of those calls.
pub fn replies(calls: &[u8], output: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(head) = calls[at..].first_chunk::<8>() {
        let mark = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let len = 4 + (mark & 0x7fff_ffff) as usize;
        if calls.len() - at < len {
            break;
        }
        let mut reply = REPLY;
        reply[4..8].copy_from_slice(&head[4..]);
        output.extend_from_slice(&reply);
        at += len;
    }
    at
}

fn write_all(stream: &mut TcpStream, mut octets: &[u8], stop: &Stop) -> Result<(), Trouble> {
    while !octets.is_empty() && !stop.load(Ordering::Relaxed) {
        match stream.write(octets) {
            Ok(n) => octets = &octets[n..],
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

/// A server over libtirpc, a process of its own, until it is dropped.
#[derive(Debug)]
pub struct Tirpc {
    child: Child,
    _alive: millstream_drivers::netns::Netns,
}

/// Compiles the server, once in a process, and starts it on a core.
///
/// # Errors
/// Without gcc or libtirpc.
pub fn tirpc(lab: &Lab, core: usize) -> Result<Tirpc, Trouble> {
    let program = compile()?;
    let peer = lab.veth()?;
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program).arg(lab.echo().port().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = peer.run(|| command.spawn())??;
    let mut ready = [0; 6];
    let out = child.stdout.take().ok_or("the server has no output")?;
    let told = std::io::BufReader::new(out).read_exact(&mut ready);
    let server = Tirpc { child, _alive: peer };
    told.map_err(|_| "the server over libtirpc does not start")?;
    Ok(server)
}

impl Drop for Tirpc {
    fn drop(&mut self) {
        // One that has ended by itself needs no end.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn compile() -> Result<std::path::PathBuf, Trouble> {
    let folder = std::env::temp_dir().join(format!("{TIRPC}-{}", std::process::id()));
    let program = folder.join(TIRPC);
    if program.exists() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let source = folder.join("server.c");
    std::fs::write(&source, include_str!("rpc/server.c"))?;
    let make = format!(
        "gcc -O2 -o {} {} $(pkg-config --cflags --libs libtirpc)",
        program.display(),
        source.display()
    );
    let made = Command::new("sh").args(["-c", &make]).output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok(program)
}

/// Time on processors of whoever serves now, in nanoseconds: of the threads of this process that
/// serve, and of the process over libtirpc.
///
/// # Errors
/// Without /proc.
pub fn server_cpu_ns() -> Result<u64, Trouble> {
    let mut total = threads_ns("/proc/self/task", &["millstream", BARE])?;
    for process in std::fs::read_dir("/proc")?.flatten() {
        let comm = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if comm.trim_end() == TIRPC {
            total += threads_ns(&process.path().join("task").to_string_lossy(), &[TIRPC])?;
        }
    }
    Ok(total)
}

fn threads_ns(folder: &str, names: &[&str]) -> Result<u64, Trouble> {
    let mut total = 0;
    for thread in std::fs::read_dir(folder)?.flatten() {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        if names.contains(&read("comm").trim_end()) {
            let spent = read("schedstat");
            total += spent.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        }
    }
    Ok(total)
}

/// Names of threads, as the kernel keeps them: at most 15 octets.
const BARE: &str = "bare rpc";
const TIRPC: &str = "ms-tirpc";
/// Mark, xid, and a call that went well.
const REPLY: [u8; 28] =
    [0x80, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
