//! The daemon over IPC: every way to carry requests serves, and what clients do to it harms
//! nobody else. Live, on a TAP, against the kernel's TCP.

use millstream_benches::Trouble;
use millstream_benches::baseline::{
    Behind, Carrier, Client, DATA_MAX, Daemon, Does, HEAD, Head, Listeners, Op, Socket, served,
};
use millstream_benches::lab::{Lab, Mode};
use millstream_benches::tcp::SETTINGS;
use millstream_benches::usage;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What a client does with the daemon, on a thread of its own.
type Program<'a> = dyn Fn(&Lab, &Path) -> Result<(), Trouble> + Sync + 'a;

const ENGINES: [Behind; 3] = [Behind::Modules, Behind::Fused, Behind::Smoltcp];

/// Runs a daemon on each engine while `program` uses it; nothing may be left behind.
fn with_each(name: &str, program: &Program<'_>) {
    static NETWORKS: AtomicU8 = AtomicU8::new(100);
    for behind in ENGINES {
        let network = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let made = Lab::new(network).and_then(|lab| {
            let engine = behind.engine(&lab, Path::new(""))?;
            Ok((lab, engine))
        });
        let (lab, mut made) = match made {
            Ok(made) => made,
            Err(why) => return eprintln!("skipped: {name}: {why}"),
        };
        let file = format!("ms-{network}-{}", std::process::id());
        let path = std::env::temp_dir().join(file);
        let listeners = Listeners::bind(&path).unwrap();
        let mut daemon = Daemon::new(&mut *made, listeners).unwrap();
        serve_while(&format!("{behind:?}"), &mut daemon, || program(&lab, &path));
        drop(daemon);
        assert!(!Carrier::Stream.path(&path).exists());
    }
}

fn serve_while(
    engine: &str,
    daemon: &mut Daemon<'_>,
    program: impl Fn() -> Result<(), Trouble> + Sync,
) {
    std::thread::scope(|scope| {
        let (done, outcome) = channel();
        scope.spawn(|| {
            let done = done;
            let _told = done.send(program().map_err(|why| why.to_string()));
        });
        // Busy machines take long: this is for what stands still.
        let end = Instant::now() + Duration::from_secs(300);
        let seen = loop {
            daemon.turn(Mode::Sleeping).unwrap();
            if let Ok(seen) = outcome.try_recv() {
                break seen;
            }
            assert!(Instant::now() < end, "{engine}: the program does not come to its end");
        };
        assert_eq!(seen, Ok(()), "{engine}");
        while daemon.held() != (0, 0) {
            daemon.turn(Mode::Sleeping).unwrap();
            assert!(Instant::now() < end, "{engine}: left behind: {:?}", daemon.held());
        }
    });
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("labs have IPv4"),
    }
}

/// A kernel's connection to what a client listens at. What stands still is an error.
fn caller(lab: &Lab) -> Result<TcpStream, Trouble> {
    const LONG: Option<Duration> = Some(Duration::from_secs(120));
    let stream = lab.inside(|| Ok(TcpStream::connect(lab.echo())?))?;
    stream.set_read_timeout(LONG)?;
    stream.set_write_timeout(LONG)?;
    Ok(stream)
}

fn listen(lab: &Lab, path: &Path, carrier: Carrier) -> Result<(Client, Socket), Trouble> {
    let mut client = Client::open(path, carrier)?;
    let listener = client.listen(v4(lab.echo()), 16)?;
    Ok((client, listener))
}

/// A connection between the kernel and a client's socket.
fn connected(lab: &Lab, path: &Path) -> Result<(Client, Socket, TcpStream), Trouble> {
    let (mut client, listener) = listen(lab, path, Carrier::Stream)?;
    let kernel = caller(lab)?;
    let socket = client.accept(listener)?;
    Ok((client, socket, kernel))
}

/// Does the daemon still serve others?
fn serves_others(lab: &Lab, path: &Path) -> Result<(), Trouble> {
    let (mut client, socket, mut kernel) = connected(lab, path)?;
    kernel.write_all(b"still")?;
    let mut bytes = [0; 5];
    assert_eq!(client.recv(socket, &mut bytes)?, 5);
    Ok(())
}

fn refusal(result: std::io::Result<impl std::fmt::Debug>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

/// Octets that tell where they stand.
fn pattern(at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(|n| ((n * 31) >> 3) as u8).collect()
}

const BULK: usize = 8 << 20;

#[test]
fn a_client_accepts_and_echoes_over_every_carrier() {
    for carrier in Carrier::ALL {
        with_each("echo", &|lab, path| {
            let (mut client, listener) = listen(lab, path, carrier)?;
            let mut kernel = caller(lab)?;
            let socket = client.accept(listener)?;
            for round in 0..100_u32 {
                kernel.write_all(&round.to_be_bytes())?;
                let mut bytes = [0; 4];
                assert_eq!(client.recv(socket, &mut bytes)?, 4);
                client.send(socket, &bytes)?;
                let mut back = [0; 4];
                kernel.read_exact(&mut back)?;
                assert_eq!(back, round.to_be_bytes());
            }
            drop(kernel);
            assert_eq!(client.recv(socket, &mut [0; 4])?, 0);
            client.close(socket)?;
            Ok(())
        });
    }
}

#[test]
fn a_client_connects_to_the_kernel_and_is_told_when_nobody_listens() {
    with_each("connect", &|lab, path| {
        let listener = lab.inside(|| Ok(TcpListener::bind((lab.host().address(), 9))?))?;
        let at = v4(listener.local_addr()?);
        let mut client = Client::open(path, Carrier::Stream)?;
        let socket = client.connect(at)?;
        let (mut kernel, _) = listener.accept()?;
        client.send(socket, b"called")?;
        client.finish(socket)?;
        let mut came = Vec::new();
        kernel.read_to_end(&mut came)?;
        assert_eq!(came, b"called");
        drop(listener);
        assert_eq!(refusal(client.connect(at)), Some(111));
        Ok(())
    });
}

#[test]
fn megabytes_arrive_whole_in_both_directions_over_every_carrier() {
    for carrier in Carrier::ALL {
        with_each("bulk", &|lab, path| {
            let (mut client, listener) = listen(lab, path, carrier)?;
            let kernel = caller(lab)?;
            let socket = client.accept(listener)?;
            std::thread::scope(|scope| {
                let write = scope.spawn(|| (&kernel).write_all(&pattern(0, BULK)));
                let (mut came, mut bytes) = (0, vec![0; DATA_MAX]);
                loop {
                    let n = client.recv(socket, &mut bytes)?;
                    assert_eq!(bytes[..n], pattern(came, n), "at {came}");
                    came += n;
                    if came == BULK {
                        // Not with the last data: smoltcp takes the end of a segment that it cuts
                        // to its window.
                        kernel.shutdown(std::net::Shutdown::Write)?;
                    }
                    if n == 0 {
                        break;
                    }
                }
                assert_eq!(came, BULK);
                write.join().unwrap()?;
                let read = scope.spawn(|| {
                    let mut all = Vec::new();
                    (&kernel).read_to_end(&mut all).map(|_| all)
                });
                for at in (0..BULK).step_by(DATA_MAX) {
                    client.send_quietly(socket, &pattern(at, DATA_MAX))?;
                }
                // What was given before is sent before the end.
                client.close(socket)?;
                assert!(read.join().unwrap()? == pattern(0, BULK));
                Ok(())
            })
        });
    }
}

#[test]
fn one_thread_serves_many_connections_by_their_replies() {
    const MANY: usize = 20;
    with_each("many", &|lab, path| {
        let (mut client, listener) = listen(lab, path, Carrier::Stream)?;
        let mut kernels = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..MANY {
            kernels.push(caller(lab)?);
            sockets.push(client.accept(listener)?);
        }
        for socket in &sockets {
            client.submit(Op::Recv, *socket, 9, &[])?;
        }
        client.flush()?;
        for (nth, kernel) in kernels.iter_mut().enumerate().rev() {
            kernel.write_all(&[nth as u8])?;
            let (socket, data) = client.reply(|head, data| (head.socket, data.to_vec()))?;
            assert_eq!((Socket(socket), data), (sockets[nth], vec![nth as u8]));
        }
        Ok(())
    });
}

#[test]
fn a_client_that_goes_leaves_no_socket_and_its_peer_sees_the_end() {
    with_each("gone", &|lab, path| {
        let (mut client, socket, mut kernel) = connected(lab, path)?;
        client.submit(Op::Recv, socket, 100, &[])?;
        client.flush()?;
        drop(client);
        // The end of the connection, in order or not.
        let seen = kernel.read(&mut [0; 8]);
        assert!(matches!(seen, Ok(0) | Err(_)), "{seen:?}");
        // Its address is free again.
        serves_others(lab, path)
    });
}

#[test]
fn a_caller_who_is_gone_before_it_is_accepted_is_passed_over() {
    with_each("passed over", &|lab, path| {
        let (mut client, listener) = listen(lab, path, Carrier::Stream)?;
        let gone = caller(lab)?;
        rustix::net::sockopt::set_socket_linger(&gone, Some(Duration::ZERO))?;
        drop(gone);
        let mut kernel = caller(lab)?;
        kernel.write_all(b"second")?;
        let socket = client.accept(listener)?;
        let mut bytes = [0; 6];
        assert_eq!(client.recv(socket, &mut bytes)?, 6);
        assert_eq!(&bytes, b"second");
        Ok(())
    });
}

#[test]
fn requests_that_cannot_be_are_refused_by_number() {
    with_each("refused", &|lab, path| {
        let (mut client, socket, _kernel) = connected(lab, path)?;
        let none = Socket(4_000_000_000);
        assert_eq!(refusal(client.recv(none, &mut [0; 4])), Some(9));
        assert_eq!(refusal(client.close(none)), Some(9));
        assert_eq!(refusal(client.accept(socket)), Some(22));
        assert_eq!(refusal(client.recv(socket, &mut [])), Some(22));
        assert_eq!(refusal(client.listen(v4(lab.echo()), 1)), Some(98));
        let elsewhere = SocketAddrV4::new([10, 200, 0, 1].into(), 7);
        assert_eq!(refusal(client.listen(elsewhere, 1)), Some(99));
        // Another client's socket.
        let mut other = Client::open(path, Carrier::Packets)?;
        assert_eq!(refusal(other.send(socket, b"mine?")), Some(9));
        // Two of a kind for one socket.
        client.submit(Op::Recv, socket, 4, &[])?;
        let second = client.submit(Op::Recv, socket, 4, &[])?;
        assert_eq!(client.reply(|head, _| (head.id, head.status))?, (second, 114));
        // An operation that there is not, and an address that is none.
        let raw = UnixStream::connect(Carrier::Stream.path(path))?;
        for (op, len, status) in [(99, 0, 95), (Op::Connect as u16, 3, 22)] {
            let head = Head { op, id: 5, len, ..Head::default() };
            (&raw).write_all(&[&head.bytes()[..], &[0; 3][..len as usize]].concat())?;
            let mut reply = [0; HEAD];
            (&raw).read_exact(&mut reply)?;
            assert_eq!(Head::parse(&reply).unwrap().status, status);
        }
        Ok(())
    });
}

#[test]
fn what_cannot_be_understood_ends_the_port_and_no_other() {
    with_each("absurd", &|lab, path| {
        let absurd = Head { op: Op::Send as u16, len: u32::MAX, ..Head::default() };
        let mut raw = UnixStream::connect(Carrier::Stream.path(path))?;
        raw.write_all(&absurd.bytes())?;
        let ended = raw.read(&mut [0; 8]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        // Half a head, and then nothing.
        let mut raw = UnixStream::connect(Carrier::Stream.path(path))?;
        raw.write_all(&absurd.bytes()[..HEAD / 2])?;
        drop(raw);
        // A packet that is shorter than it says.
        let socket = Carrier::Packets.socket(rustix::net::SocketFlags::empty())?;
        let at = rustix::net::SocketAddrUnix::new(Carrier::Packets.path(path))?;
        rustix::net::connect(&socket, &at)?;
        let short = Head { op: Op::Send as u16, len: 100, ..Head::default() };
        rustix::io::write(&socket, &short.bytes())?;
        assert_eq!(rustix::io::read(&socket, &mut [0; 8])?, 0);
        serves_others(lab, path)
    });
}

#[test]
fn a_client_that_floods_and_reads_nothing_does_not_stop_the_others() {
    with_each("flood", &|lab, path| {
        let raw = UnixStream::connect(Carrier::Stream.path(path))?;
        raw.set_nonblocking(true)?;
        let close = Head { op: Op::Close as u16, socket: 7, ..Head::default() }.bytes();
        let flood = close.repeat(4096);
        // As much as is taken while nobody reads the replies.
        let (mut idle, mut written) = (0, 0);
        while idle < 20 {
            match (&raw).write(&flood) {
                Ok(n) => (idle, written) = (0, written + n),
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    serves_others(lab, path)?;
                    idle += 1;
                }
                Err(why) => return Err(why.into()),
            }
            assert!(written < 64 << 20, "the daemon keeps what nobody reads");
        }
        Ok(())
    });
}

#[test]
fn a_client_that_does_not_read_what_it_asked_for_keeps_only_its_own_waiting() {
    with_each("unread", &|lab, path| {
        let (mut client, socket, kernel) = connected(lab, path)?;
        kernel.set_nonblocking(true)?;
        for _ in 0..64 {
            client.submit(Op::Recv, socket, DATA_MAX as u32, &[])?;
            client.flush()?;
        }
        let piece = vec![1; 1 << 16];
        for _ in 0..100 {
            match (&kernel).write(&piece) {
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => return Err(why.into()),
            }
        }
        let (mut other, listener) = {
            let mut other = Client::open(path, Carrier::Stream)?;
            let at = SocketAddrV4::new(*v4(lab.echo()).ip(), 70);
            let listener = other.listen(at, 4)?;
            (other, listener)
        };
        let at = SocketAddr::new(lab.far().address(), 70);
        let mut kernel = lab.inside(|| Ok(TcpStream::connect(at)?))?;
        let theirs = other.accept(listener)?;
        kernel.write_all(b"other")?;
        assert_eq!(other.recv(theirs, &mut [0; 5])?, 5);
        Ok(())
    });
}

#[test]
fn every_engine_serves_from_processes_of_its_own_and_none_is_left() {
    const BULK: usize = 4 << 20;
    let all = [Behind::Modules, Behind::Fused, Behind::Smoltcp, Behind::Layers];
    for (network, behind) in (90..).zip(all) {
        let lab = match Lab::new(network).and_then(|lab| lab.tap_fd().map(|_| lab)) {
            Ok(lab) => lab,
            Err(why) => return eprintln!("skipped: processes of their own: {why}"),
        };
        let serving = served(&lab, SETTINGS[0], behind, Carrier::Stream, Does::Echo).unwrap();
        let kernel = caller(&lab).unwrap();
        std::thread::scope(|scope| {
            let write = scope.spawn(|| (&kernel).write_all(&pattern(0, BULK)));
            let mut back = vec![0; BULK];
            let read = (&kernel).read_exact(&mut back);
            read.unwrap_or_else(|why| panic!("{behind:?}: {why}"));
            assert!(back == pattern(0, BULK), "{behind:?}");
            write.join().unwrap().unwrap();
        });
        assert!(usage::started().len() > 1, "{behind:?}");
        drop(serving);
        assert!(usage::started().is_empty(), "{behind:?}");
    }
}
