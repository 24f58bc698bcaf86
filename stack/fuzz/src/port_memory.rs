//! A program that writes anything into the memory that it shares with a stack, and asks for
//! anything, while another one is sound. Whatever it does, the stack goes on, serves the sound one,
//! and has nothing of either in the end.

use millstream_host::Shard;
use millstream_host::plan::{Interface, Line, Plan};
use millstream_host::port::{Listener, Quota};
use millstream_host::socket::Transports;
use millstream_port::bits::Bits;
use millstream_port::hello::{Hello, receive};
use millstream_port::lane::{Lane, Request, op};
use millstream_port::layout::{KICKS, Layout};
use millstream_port::slot::Slot;
use millstream_port::{Memory, address};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the script may do.
pub fn run(data: &[u8]) {
    let (mut shard, path) = stack();
    let sound = Program::attach(&mut shard, &path);
    let here = sound.listen(&mut shard);
    let mut liar = Some(Program::attach(&mut shard, &path));
    let mut script = data.iter().copied();
    while let Some(step) = script.next() {
        let program = liar.get_or_insert_with(|| Program::attach(&mut shard, &path));
        match step % 8 {
            // Words, where they hurt.
            0..=2 => {
                let at = number(&mut script, 2) as usize * 8 % program.layout.slot(4);
                let word = match step / 8 % 4 {
                    0 => u64::MAX,
                    1 => number(&mut script, 1),
                    2 => number(&mut script, 4),
                    _ => number(&mut script, 8),
                };
                program.memory.u64_at(at & !7).store(word, Ordering::SeqCst);
            }
            3 => program.kick((step / 8) as usize % 4),
            4 => {
                let request = Request {
                    op: u32::from(script.next().unwrap_or(0)) % 26,
                    id: (number(&mut script, 1) as u32 % 3) << 16 | u32::from(step / 8 % 4),
                    args: [(); 4].map(|()| number(&mut script, 1) as i8 as i64),
                };
                let bytes: Vec<u8> = script.by_ref().take(usize::from(step / 8)).collect();
                program.ask(&mut shard, request, &[&address::to_bytes(here), &bytes]);
            }
            5 => {
                program.ask(&mut shard, call(op::SOCKET, 0, [2, 1, 0, 0]), &[]);
                let id = 1 << 16 | u32::from(step / 8 % 4);
                program.ask(&mut shard, call(op::CONNECT, id, [0; 4]), &[&address::to_bytes(here)]);
            }
            6 => {
                let slot = program.slot((step / 8) as usize % 4);
                let put = slot.put().load(Ordering::SeqCst);
                slot.put().store(put.wrapping_add(number(&mut script, 2)), Ordering::SeqCst);
                program.kick((step / 8) as usize % 4);
            }
            _ => liar = None,
        }
        turns(&mut shard, 4);
    }
    // The sound one is served as before.
    assert!(sound.ask(&mut shard, call(op::LOCAL_ADDR, sound.id(0), [0; 4]), &[]));
    drop((sound, liar));
    for _ in 0..10_000 {
        turns(&mut shard, 1);
        let stat = shard.port_stat().unwrap();
        if stat.programs.is_empty() && stat.sockets == stat.leaving {
            return;
        }
    }
    panic!("{:?}", shard.port_stat());
}

/// A program, without the care that the library takes.
struct Program {
    memory: Memory,
    layout: Layout,
    _connection: OwnedFd,
}

impl Program {
    fn attach(shard: &mut Shard, path: &Path) -> Self {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        turns(shard, 2);
        let mut bytes = [0; 64];
        let (len, mut fds) = receive(socket.as_fd(), &mut bytes).unwrap();
        let layout = Hello::of_bytes(&bytes[..len]).unwrap().layout;
        let memory = Memory::attach(fds.remove(0)).unwrap();
        Self { memory, layout, _connection: socket }
    }

    /// A listener in slot 0; where.
    fn listen(&self, shard: &mut Shard) -> std::net::SocketAddr {
        let here = "10.1.1.1:7000".parse().unwrap();
        assert!(self.ask(shard, call(op::SOCKET, 0, [2, 1, 0, 0]), &[]));
        let place = &address::to_bytes(here)[..];
        assert!(self.ask(shard, call(op::BIND, self.id(0), [0; 4]), &[place]));
        assert!(self.ask(shard, call(op::LISTEN, self.id(0), [4, 0, 0, 0]), &[]));
        here
    }

    /// Asks and waits for a few turns; whether that was answered with success.
    fn ask(&self, shard: &mut Shard, request: Request, pieces: &[&[u8]]) -> bool {
        let lane = Lane::new(&self.memory, self.layout);
        let Some(number) = lane.put(request, pieces) else { return false };
        turns(shard, 4);
        matches!(lane.reply(number, &mut [0; 64]), Some(Ok(_)))
    }

    fn slot(&self, slot: usize) -> Slot<'_> {
        Slot::new(&self.memory, self.layout.slot(slot))
    }

    fn id(&self, slot: usize) -> u32 {
        self.slot(slot).generation().load(Ordering::SeqCst) << 16 | slot as u32
    }

    fn kick(&self, slot: usize) {
        let words = self.memory.words_at(KICKS + 8, 1);
        Bits::over(self.memory.u64_at(KICKS), words).set(slot);
    }
}

fn call(op: u32, id: u32, args: [i64; 4]) -> Request {
    Request { op, id, args }
}

/// A stack that talks to itself, with a port.
fn stack() -> (Shard, PathBuf) {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let line = Line::Loopback("lo".to_owned());
    let interfaces = vec![Interface { line, addresses: vec!["10.1.1.1/24".parse().unwrap()] }];
    let stack = Plan { interfaces, ..Plan::default() }.build().unwrap();
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ms-fuzz-{}-{number}", std::process::id()));
    let listener = Listener::bind(&path).unwrap();
    let quota = Quota { memory: 1 << 16, sockets: 4, ports: 4, programs: 4, ..Quota::default() };
    let transports = Transports { tcp: stack.tcp, udp: stack.udp };
    let devices = vec![("tcp".to_owned(), stack.tcp), ("ip".to_owned(), stack.ip)];
    let mut shard = stack.shard;
    shard.open_port(listener, quota, transports, devices).unwrap();
    (shard, path)
}

fn turns(shard: &mut Shard, count: usize) {
    for _ in 0..count {
        shard.turn(false).unwrap();
    }
}

/// A number of so many bytes of the script.
fn number(script: &mut impl Iterator<Item = u8>, bytes: usize) -> u64 {
    script.take(bytes).fold(0, |sum, byte| sum << 8 | u64::from(byte))
}
