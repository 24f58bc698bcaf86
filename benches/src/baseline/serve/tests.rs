//! What a daemon does between what its engine says and what its client does meanwhile.

use super::*;
use crate::baseline::wire::{DATA_MAX, HEAD, address_bytes};
use crate::baseline::{Carrier, Give};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Instant;

/// What the client has read.
type Seen = Rc<RefCell<Vec<u8>>>;

/// Sockets that all have data at the same moment. Its client reads whenever it works: as one on
/// another processor may, between a reply that finds no room and the next attempt.
struct All {
    line: UnixStream,
    client: Rc<UnixStream>,
    seen: Seen,
    last: SocketNo,
    ready: Vec<SocketNo>,
    /// They have data.
    full: Rc<RefCell<bool>>,
}

impl Engine for All {
    fn fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    fn take_frames(&mut self, _: usize) -> Result<usize, Errno> {
        Ok(0)
    }

    fn work(&mut self) -> Option<Duration> {
        read_all(&self.client, &self.seen);
        if std::mem::take(&mut *self.full.borrow_mut()) {
            self.ready = (1..=self.last).collect();
        }
        None
    }

    fn ready(&mut self) -> Option<SocketNo> {
        self.ready.pop()
    }

    fn listen(&mut self, _: SocketAddr, _: u32) -> Result<SocketNo, Errno> {
        self.last += 1;
        Ok(self.last)
    }

    fn connect(&mut self, _: SocketAddr) -> Result<SocketNo, Errno> {
        Err(Errno::EINVAL)
    }

    fn connected(&mut self, _: SocketNo) -> Result<(), Errno> {
        Ok(())
    }

    fn accept(&mut self, _: SocketNo) -> Result<SocketNo, Errno> {
        Err(Errno::EAGAIN)
    }

    fn send(&mut self, _: SocketNo, data: &[u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }

    fn recv(&mut self, _: SocketNo, most: usize, give: Give<'_>) -> Result<usize, Errno> {
        if self.seen.borrow().is_empty() {
            return Err(Errno::EAGAIN);
        }
        give(&[&vec![7; most]]);
        Ok(most)
    }

    fn finish(&mut self, _: SocketNo) -> Result<(), Errno> {
        Ok(())
    }

    fn close(&mut self, _: SocketNo) {}

    fn open(&self) -> usize {
        0
    }
}

fn read_all(mut client: &UnixStream, seen: &Seen) {
    let mut bytes = vec![0; DATA_MAX];
    while let Ok(n @ 1..) = client.read(&mut bytes) {
        seen.borrow_mut().extend_from_slice(&bytes[..n]);
    }
}

#[test]
fn who_reads_before_the_daemon_has_waited_for_room_gets_every_reply() {
    const SOCKETS: u32 = 16;
    let path = std::env::temp_dir().join(format!("ms-room-{}", std::process::id()));
    let listeners = Listeners::bind(&path).unwrap();
    let client = UnixStream::connect(Carrier::Stream.path(&path)).unwrap();
    client.set_nonblocking(true).unwrap();
    let (client, seen, full) = (Rc::new(client), Seen::default(), Rc::new(RefCell::new(false)));
    let (line, _quiet) = UnixStream::pair().unwrap();
    let mut engine = All {
        line,
        client: client.clone(),
        seen: seen.clone(),
        last: 0,
        ready: Vec::new(),
        full: full.clone(),
    };
    let mut daemon = Daemon::new(&mut engine, listeners).unwrap();
    let mut asked = Vec::new();
    for socket in 1..=SOCKETS {
        let at = address_bytes("10.0.0.1:7".parse().unwrap());
        let listen = Head { op: Op::Listen as u16, len: at.len() as u32, ..Head::default() };
        let value = DATA_MAX as u32;
        let recv = Head { op: Op::Recv as u16, socket, value, ..Head::default() };
        asked.extend_from_slice(&[&listen.bytes()[..], &at, &recv.bytes()].concat());
    }
    (&*client).write_all(&asked).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let opened = SOCKETS as usize * HEAD;
    let mut until = |len: usize| {
        while seen.borrow().len() < len {
            assert!(Instant::now() < end, "{} of {len}", seen.borrow().len());
            daemon.turn(Mode::Sleeping).unwrap();
        }
    };
    until(opened);
    *full.borrow_mut() = true;
    until(opened + SOCKETS as usize * (HEAD + DATA_MAX));
}
