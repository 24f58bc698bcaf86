//! Programs of other processes on a stack: those that die, those that lie, those that share.

use crate::kit::*;
use millstream::port::lane::{Lane, Reply, Request, op};
use millstream::port::slot::Slot;
use millstream::port::streamio::I_SENDFD;
use millstream::port::{AttachError, Client, Cookie, Errno, Id, Memory, Ready, Sockets};
use millstream::port::{address, hello, layout};
use millstream::{PortStat, Quota, Stack};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::Uid;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

/// A stack with a port.
struct Lab {
    stack: Stack,
    path: PathBuf,
}

fn with_lab(name: &str, quota: Quota, test: impl Fn(&Lab) + Send + Sync) {
    with_stack(name, |stack| {
        let path = port(&stack, quota);
        test(&Lab { stack, path });
    });
}

impl Lab {
    fn client(&self) -> Client {
        Client::attach(&self.path).unwrap()
    }

    fn stat(&self) -> PortStat {
        self.stack.port_stat().unwrap().unwrap()
    }

    /// Waits until the stack has nothing of any program, and says what its memory holds then.
    fn at_rest(&self) -> [usize; 5] {
        let end = Instant::now() + LONG;
        loop {
            let stat = self.stat();
            let held = self.held();
            let nothing = stat.programs.is_empty() && stat.sockets == 0;
            if nothing && stat.leaving == 0 && stat.orphans == 0 {
                return held;
            }
            assert!(Instant::now() < end, "{stat:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same, with the blocks that the device keeps for its next frame from the first on.
    fn before(&self) -> [usize; 5] {
        let end = Instant::now() + LONG;
        loop {
            let refused = TcpStream::connect("10.9.0.2:9").unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            let held = self.at_rest();
            if held[1] > 0 {
                return held;
            }
            assert!(Instant::now() < end, "{held:?}");
        }
    }

    /// Waits until no program is there, and no more cells are out than before.
    fn comes_to_rest(&self, before: &[usize; 5]) {
        self.at_rest();
        // Connections that were closed last have their time.
        let end = Instant::now() + LONG;
        while self.held().iter().zip(before).any(|(now, before)| now > before) {
            assert!(Instant::now() < end, "{:?}, before: {before:?}", self.held());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Cells of messages that are out.
    fn held(&self) -> [usize; 5] {
        let stats = self.stack.handle().call(|shard| shard.core().pool().stats()).unwrap();
        [stats.small, stats.frame, stats.large, stats.bare, stats.external].map(|cells| cells.out)
    }

    /// A process that does what the test `program` does.
    fn process(&self, what: &str, to: SocketAddr) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "port::program", "--nocapture"]);
        command.env("MS_PORT", &self.path).env("MS_WHAT", what).env("MS_TO", to.to_string());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    }
}

/// What the processes of the tests do; as a test of its own nothing.
#[test]
fn program() {
    let Ok(path) = std::env::var("MS_PORT") else { return };
    let to: SocketAddr = std::env::var("MS_TO").unwrap().parse().unwrap();
    let client = Client::attach(Path::new(&path)).unwrap();
    match &*std::env::var("MS_WHAT").unwrap() {
        "busy" => busy(&client, to),
        "last words" => {
            let socket = connected_to(&client, to);
            assert_eq!(client.send(socket, &[7; 100_000], 0, None), Ok(100_000));
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
        }
        "hoard" => {
            let _socket = connected_to(&client, to);
            loop {
                std::thread::park();
            }
        }
        other => panic!("{other}"),
    }
}

/// Does a bit of everything until it is killed.
fn busy(client: &Client, to: SocketAddr) {
    let data = vec![3; 50_000];
    for round in 0_u64.. {
        let socket = connected_to(client, to);
        let (_fd, cookie) = client.placeholder().unwrap();
        if round % 2 == 0 {
            client.tie(socket, cookie).unwrap();
        }
        let _some = client.send(socket, &data[..1 + (round as usize * 7919) % data.len()], 0, None);
        let _udp = client.socket(2, 2, 0).map(|udp| client.send(udp, b"x", 0, Some(to)));
        let listener = client.socket(2, 1, 0).unwrap();
        let _free = client.listen(listener, 5);
        if let Ok((one, _)) = client.pipe() {
            let _sent = client.ioctl(one, I_SENDFD, socket.0.into(), b"", &mut []);
            let _sent = client.ioctl(one, I_SENDFD, one.0.into(), b"", &mut []);
        }
        let _kept = client.lend(3000);
        let _sent = client.lend(9000).map(|at| client.send_lent(socket, at, 9000));
        let _none = client.recv(socket, &mut [0; 4096], 0);
        if round % 3 == 0 {
            let _gone = client.close(socket);
        }
        let _some = client.close(listener);
    }
}

/// A server of the kernel that reads everything and says nothing.
fn sink() -> SocketAddr {
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || std::io::copy(&mut stream.unwrap(), &mut std::io::sink()));
        }
    });
    here
}

/// Numbers from a printed seed (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn programs_that_are_killed_at_any_time_leave_nothing_behind() {
    with_lab("kill loop", Quota::default(), |lab| {
        let to = sink();
        let before = lab.before();
        let mut chance = Chance(0x5eed_0001);
        for _ in 0..40 {
            let mut program = lab.process("busy", to);
            std::thread::sleep(Duration::from_micros(chance.next() % 60_000));
            program.kill().unwrap();
            program.wait().unwrap();
        }
        lab.comes_to_rest(&before);
        assert_eq!(lab.stat().faults, PortStat::default().faults);
    });
}

#[test]
fn what_was_accepted_from_a_program_that_died_still_arrives() {
    with_lab("last words", Quota::default(), |lab| {
        let (listener, here) = kernel();
        let mut program = lab.process("last words", here);
        let (mut theirs, _) = listener.accept().unwrap();
        program.wait().unwrap();
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        assert!(all == [7; 100_000], "{} octets", all.len());
        lab.at_rest();
    });
}

#[test]
fn what_a_dead_program_has_left_is_reset_when_its_time_is_over() {
    let quota = Quota { leaving_ms: 200, ..Quota::default() };
    with_lab("leaving", quota, |lab| {
        let (listener, here) = kernel();
        let client = lab.client();
        let socket = connected_to(&client, here);
        let (mut theirs, _) = listener.accept().unwrap();
        // More than both sides hold: what is in the ring cannot go.
        let end = Instant::now() + LONG;
        while lab.stat().programs[0].memory == 0 {
            assert!(Instant::now() < end);
        }
        let mut sent = 0;
        let mut full = None;
        while full.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(1)) {
            match client.send(socket, &[5; 65_536], 0, None) {
                Ok(some) => (sent, full) = (sent + some, None),
                Err(errno) => {
                    assert_eq!(errno, Errno::EAGAIN);
                    full.get_or_insert_with(Instant::now);
                }
            }
        }
        drop(client);
        lab.at_rest();
        let mut all = Vec::new();
        let error = theirs.read_to_end(&mut all).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(all.len() < sent, "{} of {sent} octets", all.len());
    });
}

#[test]
fn another_user_is_not_let_in() {
    with_lab("stranger", Quota::default(), |lab| {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: stranger: not root");
        }
        // The file itself lets nobody else come so far.
        let mode = std::fs::metadata(&lab.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&lab.path, Permissions::from_mode(0o666)).unwrap();
        let refused = std::thread::scope(|scope| {
            let attach = || {
                // Of this thread alone.
                rustix::thread::set_thread_uid(Uid::from_raw(65_534)).unwrap();
                Client::attach(&lab.path).err()
            };
            scope.spawn(attach).join().unwrap()
        });
        assert!(matches!(refused, Some(AttachError::Refused { .. })), "{refused:?}");
        assert_eq!(lab.stat().faults.strangers, 1);
        assert!(lab.stat().programs.is_empty());
    });
}

#[test]
fn who_waits_for_a_stack_that_polls_stays_awake_for_a_while() {
    for polling in [false, true] {
        with_stack_that("lingers", polling, |stack| {
            let (listener, here) = kernel();
            let client = Client::attach(&port(&stack, Quota::default())).unwrap();
            let socket = connected_to(&client, here);
            let (mut theirs, _) = listener.accept().unwrap();
            let end = Instant::now() + LONG;
            let lingers = || {
                // What has changed already is nothing to wait for.
                client.changed(&mut Vec::new());
                let start = Instant::now();
                client.linger();
                start.elapsed() >= Duration::from_micros(50)
            };
            while polling && !lingers() {
                assert!(Instant::now() < end, "it does not linger");
            }
            // Awake or asleep, it hears of what comes.
            theirs.write_all(b"come").unwrap();
            assert_eq!(receive(&client, socket, 4), b"come");
        });
    }
}

#[test]
fn a_client_whose_stack_has_ended_says_so_everywhere() {
    with_lab("gone", Quota::default(), |lab| {
        let (listener, here) = kernel();
        let client = lab.client();
        let socket = connected_to(&client, here);
        let (mut theirs, _) = listener.accept().unwrap();
        theirs.write_all(b"last").unwrap();
        wait(&client, socket, Ready::IN);
        let (waiting, before) = (client.socket(2, 1, 0).unwrap(), client.changes(socket));
        assert!(!client.is_gone());
        lab.stack.handle().stop();
        let end = Instant::now() + LONG;
        while !client.is_gone() {
            assert!(Instant::now() < end);
        }
        assert_ne!(client.changes(socket), before);
        assert!(client.ready(socket).contains(Ready::ERR | Ready::HUP | Ready::IN));
        assert_eq!(receive(&client, socket, 4), b"last");
        let nothing = client.recv(socket, &mut [0; 4], 0).map(|got| got.len);
        assert_eq!(nothing, Err(Errno::ENETDOWN));
        assert_eq!(client.send(socket, b"x", 0, None), Err(Errno::ENETDOWN));
        assert_eq!(client.listen(waiting, 1), Err(Errno::ENETDOWN));
        assert_eq!(client.socket(2, 1, 0), Err(Errno::ENETDOWN));
        let mut changed = Vec::new();
        client.changed(&mut changed);
        assert!(changed.contains(&socket) && changed.contains(&waiting));
    });
}

/// A program that knows the memory, and follows no rule.
struct Raw {
    _connection: OwnedFd,
    memory: Memory,
    layout: layout::Layout,
    stack_bell: OwnedFd,
    /// It may read what is received where it lies.
    has_arena: bool,
}

impl Raw {
    fn attach(path: &Path) -> Self {
        let kind = SocketType::SEQPACKET;
        let connection = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let connection = connection.unwrap();
        rustix::net::connect(&connection, &SocketAddrUnix::new(path).unwrap()).unwrap();
        let mut bytes = [0; 64];
        let (len, mut fds) = hello::receive(connection.as_fd(), &mut bytes).unwrap();
        let layout = hello::Hello::of_bytes(&bytes[..len]).unwrap().layout;
        let has_arena = fds.len() > hello::HELLO_FDS;
        let memory = Memory::attach(fds.remove(0)).unwrap();
        Self { _connection: connection, memory, layout, stack_bell: fds.remove(0), has_arena }
    }

    fn ring(&self) {
        let _rung = rustix::io::write(&self.stack_bell, &1_u64.to_ne_bytes());
    }

    fn slot(&self, id: u32) -> Slot<'_> {
        Slot::new(&self.memory, self.layout.slot((id & 0xffff) as usize))
    }

    fn call(&self, request: Request, input: &[u8]) -> Result<Reply, Errno> {
        let lane = Lane::new(&self.memory, self.layout);
        let number = lane.put(request, &[input]).unwrap();
        let end = Instant::now() + LONG;
        loop {
            self.ring();
            if let Some(reply) = lane.reply(number, &mut []) {
                return reply;
            }
            assert!(Instant::now() < end, "no answer to {request:?}");
            lane.sleep(number.wrapping_sub(1), Duration::from_millis(50));
        }
    }

    /// Its first socket, connected, or about to be.
    fn connect(&self, to: SocketAddr) -> u32 {
        let socket = Request { op: op::SOCKET, id: 0, args: [2, 1, 0, 0] };
        let id = self.call(socket, &[]).unwrap().values[0] as u32;
        let connect = Request { op: op::CONNECT, id, args: [0; 4] };
        let begun = self.call(connect, &address::to_bytes(to));
        assert!(matches!(begun, Ok(_) | Err(Errno::EINPROGRESS)), "{begun:?}");
        id
    }
}

#[test]
fn who_asks_for_octets_that_its_ring_holds_is_not_told_of_what_came_behind_them() {
    with_lab("in the ring", Quota::default(), |lab| {
        let (listener, here) = kernel();
        let raw = Raw::attach(&lab.path);
        let id = raw.connect(here);
        let (mut theirs, _) = listener.accept().unwrap();
        theirs.write_all(b"first").unwrap();
        rustix::net::sockopt::set_socket_linger(&theirs, Some(Duration::ZERO)).unwrap();
        drop(theirs);
        let slot = raw.slot(id);
        let end = Instant::now() + LONG;
        while slot.state().load(Ordering::Acquire) & Ready::ERR.0 == 0 {
            assert!(Instant::now() < end, "the reset is not told");
        }
        assert_eq!(slot.received().load(Ordering::Acquire), 5);
        let receive = Request { op: op::RECV, id, args: [0, 100, 0, 0] };
        assert_eq!(raw.call(receive, &[]), Err(Errno::EAGAIN));
        slot.taken().store(5, Ordering::Release);
        assert_eq!(raw.call(receive, &[]), Err(Errno::ECONNRESET));
        assert_eq!(raw.call(receive, &[]).map(|reply| reply.values[0]), Ok(0));
    });
}

#[test]
fn a_program_that_writes_nonsense_is_sent_away_and_harms_nobody() {
    with_lab("liar", Quota::default(), |lab| {
        let (listener, here) = kernel();
        let honest = lab.client();
        let socket = connected_to(&honest, here);
        let (mut theirs, _) = listener.accept().unwrap();
        let mut chance = Chance(0x5eed_0002);
        for round in 0..60 {
            // A sound program has a connection, and something else writes into its memory.
            let raw = Raw::attach(&lab.path);
            raw.connect(here);
            let (memory, layout) = (&raw.memory, raw.layout);
            for _ in 0..200 {
                let at = (chance.next() as usize % layout.slot(8)) & !7;
                let word = match chance.next() % 4 {
                    0 => u64::MAX,
                    1 => chance.next() % 32,
                    _ => chance.next(),
                };
                memory.u64_at(at).store(word, Ordering::SeqCst);
                memory.u64_at(layout::KICKS + 8).store(u64::MAX, Ordering::SeqCst);
                memory.u64_at(layout::KICKS).store(chance.next() | 1, Ordering::SeqCst);
                raw.ring();
            }
            // The honest one has noticed nothing.
            let said = [round as u8; 3000];
            assert_eq!(honest.send(socket, &said, 0, None), Ok(3000));
            let mut heard = [0; 3000];
            theirs.read_exact(&mut heard).unwrap();
            assert_eq!(heard, said);
            theirs.write_all(&heard).unwrap();
            assert_eq!(receive(&honest, socket, 3000), said);
        }
        let faults = lab.stat().faults;
        assert!(faults.put + faults.taken + faults.call > 0, "{faults:?}");
        drop((honest, theirs, listener));
        lab.at_rest();
    });
}

/// Programs read what is received where it lies.
const SHARED: Quota = Quota {
    memory: 1 << 20,
    sockets: 16,
    ports: 16,
    programs: 16,
    arena: 1 << 20,
    leaving_ms: 60_000,
};

/// The kernel sends segments in super-frames also when it was slow at first: shorter ones would be
/// copied.
fn super_frames() {
    std::fs::write("/proc/sys/net/ipv4/tcp_min_tso_segs", "16").unwrap();
}

/// A program that does not read what it has received, some of which it holds in the arena; its
/// socket, the other end, and the octets.
fn hoarding(lab: &Lab) -> (Client, Id, TcpStream, Vec<u8>) {
    super_frames();
    let (listener, here) = kernel();
    let client = lab.client();
    let socket = connected_to(&client, here);
    let (mut theirs, _) = listener.accept().unwrap();
    let said: Vec<u8> = (0..150_000_u32).map(|at| ((at / 3) ^ (at >> 9)) as u8).collect();
    theirs.write_all(&said).unwrap();
    let end = Instant::now() + LONG;
    while lab.stat().programs.iter().all(|program| program.lent == 0) {
        assert!(Instant::now() < end, "nothing is lent: {:?}", lab.stat());
        std::thread::yield_now();
    }
    (client, socket, theirs, said)
}

#[test]
fn what_is_received_is_read_where_it_lies() {
    with_lab("arena", SHARED, |lab| {
        super_frames();
        let (listener, here) = kernel();
        let client = lab.client();
        let socket = connected_to(&client, here);
        let (mut theirs, _) = listener.accept().unwrap();
        let said: Vec<u8> = (0..8_000_000_u32).map(|at| ((at / 5) ^ (at >> 11)) as u8).collect();
        let copied = || {
            let stats = lab.stack.handle().call(|shard| shard.core().pool().stats()).unwrap();
            stats.copied_bytes
        };
        let (before, all) = (copied(), said.clone());
        let writer = std::thread::spawn(move || theirs.write_all(&all).map(|()| theirs));
        let heard = receive(&client, socket, said.len());
        assert!(heard == said, "other octets than were sent");
        let copied = copied() - before;
        assert!(copied < said.len() as u64 / 4 * 3, "{copied} octets copied");
        // All was read: nothing is held as soon as the stack has looked.
        let end = Instant::now() + LONG;
        while lab.stat().programs[0].lent > 0 {
            assert!(Instant::now() < end, "{:?}", lab.stat());
        }
        drop((client, writer.join().unwrap().unwrap()));
        lab.at_rest();
    });
}

#[test]
fn a_program_holds_its_share_of_the_arena_and_the_rest_is_copied() {
    let quota = Quota { arena: 80 << 10, ..SHARED };
    with_lab("arena share", quota, |lab| {
        let (client, socket, mut theirs, said) = hoarding(lab);
        let lent = lab.stat().programs[0].lent;
        assert!(lent <= 80 << 10, "{lent} bytes");
        theirs.write_all(b"the end").unwrap();
        assert!(receive(&client, socket, said.len()) == said, "other octets than were sent");
        assert_eq!(receive(&client, socket, 7), b"the end");
    });
}

#[test]
fn a_program_that_dies_with_octets_in_the_arena_holds_them_no_longer() {
    with_lab("arena dies", SHARED, |lab| {
        let to = flood();
        let before = lab.before();
        for _ in 0..5 {
            let program = Killed(lab.process("hoard", to));
            let end = Instant::now() + LONG;
            while lab.stat().programs.iter().all(|program| program.lent == 0) {
                assert!(Instant::now() < end, "nothing is lent: {:?}", lab.stat());
                std::thread::yield_now();
            }
            drop(program);
            lab.comes_to_rest(&before);
        }
    });
}

/// A process that is killed also when its test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A server of the kernel that says more than anybody has asked for.
fn flood() -> SocketAddr {
    super_frames();
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Until it is reset.
            std::thread::spawn(
                move || while stream.as_ref().unwrap().write_all(&[9; 65536]).is_ok() {},
            );
        }
    });
    here
}

#[test]
fn a_program_that_lies_about_the_arena_is_sent_away_and_holds_nothing() {
    with_lab("arena lies", SHARED, |lab| {
        let to = flood();
        let before = lab.before();
        for (round, lie) in (1..).zip([u64::from(u32::MAX) - 70_000, 1 << 31, 1 << 20, 5 << 20]) {
            let raw = Raw::attach(&lab.path);
            assert!(raw.has_arena);
            let id = raw.connect(to);
            let end = Instant::now() + LONG;
            while lab.stat().programs.iter().all(|program| program.lent == 0) {
                assert!(Instant::now() < end, "nothing is lent: {:?}", lab.stat());
            }
            raw.slot(id).taken().store(lie, Ordering::SeqCst);
            raw.memory.u64_at(layout::KICKS + 8).store(1, Ordering::SeqCst);
            raw.memory.u64_at(layout::KICKS).store(1, Ordering::SeqCst);
            raw.ring();
            lab.comes_to_rest(&before);
            assert_eq!(lab.stat().faults.taken, round);
        }
    });
}

#[test]
fn a_socket_goes_from_program_to_program_with_all_that_is_in_it() {
    with_lab("adopt", Quota::default(), |lab| {
        let (listener, here) = kernel();
        let parent = lab.client();
        let socket = connected_to(&parent, here);
        let (mut theirs, _) = listener.accept().unwrap();
        let (fd, cookie) = parent.placeholder().unwrap();
        parent.tie(socket, cookie).unwrap();
        theirs.write_all(b"for the parent, for the child").unwrap();
        assert_eq!(receive(&parent, socket, 16), b"for the parent, ");
        assert_eq!(parent.send(socket, &[1; 5000], 0, None), Ok(5000));

        let child = lab.client();
        assert_eq!(child.adopt(Cookie(0)), Err(Errno::EBADF));
        let inherited = child.adopt(cookie).unwrap();
        assert_eq!(child.adopt(cookie), Ok(inherited));
        // Both have it now, and each octet is for one of them.
        assert_eq!(receive(&child, inherited, 7), b"for the");
        assert_eq!(receive(&parent, socket, 1), b" ");
        assert_eq!(parent.send(socket, &[2; 5000], 0, None), Ok(5000));
        parent.close(socket).unwrap();
        drop(parent);
        assert_eq!(receive(&child, inherited, 5), b"child");
        assert_eq!(child.send(inherited, &[3; 5000], 0, None), Ok(5000));
        let mut all = vec![0; 15_000];
        theirs.read_exact(&mut all).unwrap();
        let expected = [[1; 5000], [2; 5000], [3; 5000]].concat();
        assert!(all == expected, "in the order of sending");

        // The last copy of the placeholder ends it, whoever still names it.
        drop(fd);
        assert_eq!(theirs.read(&mut all).unwrap(), 0);
        let end = Instant::now() + LONG;
        while child.ready(inherited) != Ready(0x20) {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
        drop(child);
        lab.at_rest();
    });
}

#[test]
fn a_socket_whose_octets_lie_in_the_arena_goes_to_another_program_with_them() {
    with_lab("arena adopt", SHARED, |lab| {
        let (parent, socket, mut theirs, said) = hoarding(lab);
        let (_fd, cookie) = parent.placeholder().unwrap();
        parent.tie(socket, cookie).unwrap();
        assert_eq!(receive(&parent, socket, 50_000), said[..50_000]);
        let child = lab.client();
        let inherited = child.adopt(cookie).unwrap();
        assert_eq!(lab.stat().programs.iter().map(|program| program.lent).sum::<usize>(), 0);
        theirs.write_all(b"the end").unwrap();
        let rest = receive(&child, inherited, said.len() - 50_000);
        assert!(rest == said[50_000..], "other octets than were sent");
        assert_eq!(receive(&child, inherited, 7), b"the end");
    });
}

#[test]
fn a_listener_of_two_programs_gives_each_connection_to_one() {
    with_lab("prefork", Quota::default(), |lab| {
        let (one, other) = (lab.client(), lab.client());
        let listener = one.socket(TCP.0, TCP.1, TCP.2).unwrap();
        one.bind(listener, "10.9.0.2:7000".parse().unwrap()).unwrap();
        one.listen(listener, 64).unwrap();
        let (_fd, cookie) = one.placeholder().unwrap();
        one.tie(listener, cookie).unwrap();
        let shared = other.adopt(cookie).unwrap();
        let theirs: Vec<_> = (0..8).map(|_| TcpStream::connect("10.9.0.2:7000").unwrap()).collect();
        let mut peers = Vec::new();
        for at in 0..8 {
            let (client, listener) = if at % 2 == 0 { (&one, listener) } else { (&other, shared) };
            wait(client, listener, Ready::IN);
            peers.push(client.accept(listener).unwrap().1);
        }
        assert_eq!(one.accept(listener), Err(Errno::EAGAIN));
        peers.sort();
        let mut expected: Vec<_> = theirs.iter().map(|s| s.local_addr().unwrap()).collect();
        expected.sort();
        assert_eq!(peers, expected);
    });
}

#[test]
fn a_program_has_its_share_and_no_more() {
    let quota = Quota { memory: 1 << 16, sockets: 3, ports: 2, programs: 2, ..Quota::default() };
    with_lab("quota", quota, |lab| {
        let (_one, client) = (lab.client(), lab.client());
        assert!(Client::attach(&lab.path).is_err(), "a third program");
        assert_eq!(lab.stat().faults.crowd, 1);
        let sockets: Vec<Id> =
            (0..3).map(|_| client.socket(TCP.0, TCP.1, TCP.2).unwrap()).collect();
        assert_eq!(client.socket(TCP.0, TCP.1, TCP.2), Err(Errno(24)));
        assert_eq!(client.pipe(), Err(Errno(24)));
        let any = "10.9.0.2:0".parse().unwrap();
        client.bind(sockets[0], any).unwrap();
        client.bind(sockets[1], any).unwrap();
        assert_eq!(client.bind(sockets[2], any), Err(Errno::ENOBUFS));
        client.close(sockets[0]).unwrap();
        let end = Instant::now() + LONG;
        while client.bind(sockets[2], any) == Err(Errno::ENOBUFS) {
            assert!(Instant::now() < end);
        }
        client.socket(TCP.0, TCP.1, TCP.2).unwrap();
    });
}

#[test]
fn more_connections_than_rings_find_room_are_served_without() {
    let quota = Quota { memory: 1 << 16, sockets: 64, ports: 64, programs: 1, ..Quota::default() };
    with_lab("crowded", quota, |lab| {
        let (listener, here) = kernel();
        let client = lab.client();
        for round in 0..40_u8 {
            let socket = connected_to(&client, here);
            let (mut theirs, _) = listener.accept().unwrap();
            std::thread::spawn(move || {
                let mut heard = vec![0; 20_000];
                theirs.read_exact(&mut heard).unwrap();
                theirs.write_all(&heard).unwrap();
                let _end = theirs.read(&mut heard);
            });
            let said = vec![round; 20_000];
            let mut done = 0;
            while done < said.len() {
                wait(&client, socket, Ready::OUT);
                match client.send(socket, &said[done..], 0, None) {
                    Ok(n) => done += n,
                    Err(Errno::EAGAIN) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(receive(&client, socket, said.len()), said);
        }
        drop(client);
        lab.at_rest();
    });
}
