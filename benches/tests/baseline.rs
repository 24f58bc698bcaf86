//! The daemon over IPC: every way to carry requests serves, and what clients do to it harms
//! nobody else. Live, on a TAP, against the kernel's TCP.

use millstream_benches::Trouble;
use millstream_benches::baseline::{Carrier, Client, Daemon, Listeners, Modules, Socket};
use millstream_benches::lab::{Lab, Mode};
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What a client does with the daemon, on a thread of its own.
type Program<'a> = dyn Fn(&Lab, &Path) -> Result<(), Trouble> + Sync + 'a;

/// Runs a daemon while `program` uses it; nothing may be left behind. False when there is no TAP.
fn with_daemon(name: &str, program: &Program<'_>) -> bool {
    static NETWORKS: AtomicU8 = AtomicU8::new(100);
    let made = Lab::new(NETWORKS.fetch_add(1, Ordering::Relaxed)).and_then(|lab| {
        let tap = lab.tap()?;
        Ok((lab, tap))
    });
    let (lab, tap) = match made {
        Ok(made) => made,
        Err(why) => {
            eprintln!("skipped: {name}: {why}");
            return false;
        }
    };
    let path = std::env::temp_dir().join(format!("ms-{name}-{}", std::process::id()));
    let mut engine = Modules::new(tap, lab.far()).unwrap();
    serve_while(&mut Daemon::new(&mut engine, Listeners::bind(&path).unwrap()).unwrap(), || {
        program(&lab, &path)
    });
    assert!(!Carrier::Stream.path(&path).exists());
    true
}

fn serve_while(daemon: &mut Daemon<'_>, program: impl Fn() -> Result<(), Trouble> + Sync) {
    std::thread::scope(|scope| {
        let (done, outcome) = channel();
        scope.spawn(|| {
            let done = done;
            let _told = done.send(program().map_err(|why| why.to_string()));
        });
        let end = Instant::now() + Duration::from_secs(60);
        let seen = loop {
            daemon.turn(Mode::Sleeping).unwrap();
            if let Ok(seen) = outcome.try_recv() {
                break seen;
            }
            assert!(Instant::now() < end, "the program does not come to its end");
        };
        seen.unwrap();
        while daemon.held() != (0, 0) {
            daemon.turn(Mode::Sleeping).unwrap();
            assert!(Instant::now() < end, "left behind: {:?}", daemon.held());
        }
    });
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("labs have IPv4"),
    }
}

/// A kernel's connection to what a client listens at.
fn caller(lab: &Lab) -> Result<TcpStream, Trouble> {
    lab.inside(|| Ok(TcpStream::connect(lab.echo())?))
}

fn listen(lab: &Lab, path: &Path, carrier: Carrier) -> Result<(Client, Socket), Trouble> {
    let mut client = Client::open(path, carrier)?;
    let listener = client.listen(v4(lab.echo()), 16)?;
    Ok((client, listener))
}

#[test]
fn a_client_accepts_and_echoes_over_every_carrier() {
    for carrier in Carrier::ALL {
        with_daemon("echo", &|lab, path| {
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
