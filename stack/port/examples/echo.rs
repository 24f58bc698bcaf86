//! A program on a stack in another process: sends an octet to an echo server and waits for it, so
//! many times, and says how long one took.
//!
//! ```text
//! millstream up --name lab --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24
//! cargo run --release -p millstream-port --example echo -- PATH/lab.port 10.9.0.1:7 10000
//! ```

use millstream_port::{Client, Errno, Id, Ready, Sockets};
use rustix::event::{PollFd, PollFlags, poll};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, to, rounds] = &args[..] else { return Err("echo PATH ADDRESS ROUNDS".into()) };
    let client = Client::attach(Path::new(path))?;
    let socket = client.socket(2, 1, 0)?;
    match client.connect(socket, to.parse()?) {
        Ok(()) => {}
        Err(Errno::EINPROGRESS) => wait(&client, socket, Ready::OUT)?,
        Err(errno) => return Err(errno.into()),
    }
    let (rounds, start) = (rounds.parse::<u32>()?, Instant::now());
    for _ in 0..rounds {
        client.send(socket, b"x", 0, None)?;
        wait(&client, socket, Ready::IN)?;
        if client.recv(socket, &mut [0], 0)?.len == 0 {
            return Err("the server has ended".into());
        }
    }
    println!("{:?} each", start.elapsed() / rounds.max(1));
    Ok(())
}

/// Sleeps until the socket is ready for one of `events`.
fn wait(client: &Client, socket: Id, events: Ready) -> Result<(), Box<dyn Error>> {
    client.sleeps();
    let mut ready = client.arm(socket, events);
    while ready.is_empty() {
        let mut bell = [PollFd::from_borrowed_fd(client.bell(), PollFlags::IN)];
        poll(&mut bell, None)?;
        client.silence();
        ready = client.ready(socket).only(events.with(Ready::ERR).with(Ready::HUP));
    }
    client.wakes();
    Ok(())
}
