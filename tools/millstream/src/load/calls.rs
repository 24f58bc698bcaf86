//! calls: calls of ONC RPC that do nothing (procedure 0), so many under way at once on a
//! connection; how many were answered, and one by one how long each took.

use super::rr::{Nanos, Times, nanos};
use super::{Behaviour, Connection, LoadError, Transport, WARM_UP, on_each};
use millstream_onc::message::{self, Direction, Outcome};
use millstream_onc::xdr::Decoder;
use serde::Serialize;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is called.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Number of the program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// Calls under way: when half of them are answered, as many new ones leave in one write.
    pub window: usize,
    /// Length of the measured time, behind a warm-up.
    pub time: Duration,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Answers {
    /// Calls that were answered.
    pub calls: u64,
    /// The time that took.
    pub seconds: f64,
    /// How long a call took, with a window of one.
    #[serde(flatten)]
    pub times: Option<Times>,
}

impl Answers {
    /// Calls per second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Calls a server over a connection.
///
/// # Errors
/// Also when a call is refused.
pub fn run(
    transport: &dyn Transport,
    to: SocketAddr,
    calls: Calls,
    behaviour: Behaviour,
) -> Result<Answers, LoadError> {
    let seen = on_each(transport, to, behaviour, 1, |mut connection| {
        let mut pipe = Pipe::new(calls);
        pipe.run(connection.as_mut(), WARM_UP, behaviour)?;
        pipe.run(connection.as_mut(), calls.time, behaviour)
    })?;
    let Some((calls_done, seconds, times)) = seen.into_iter().next() else {
        unreachable!("one connection has one outcome");
    };
    let times = (calls.window == 1).then(|| Times::of(&times));
    Ok(Answers { calls: calls_done, seconds, times })
}

/// Calls and replies of a connection.
struct Pipe {
    /// As many calls as may be under way, one behind the other; their xids are written over.
    calls: Vec<u8>,
    window: usize,
    xid: u32,
    /// Which calls are under way, by the low bits of their xids.
    under_way: Vec<bool>,
    input: Vec<u8>,
    /// Octets of the input that were not looked at.
    have: usize,
}

impl Pipe {
    fn new(calls: Calls) -> Self {
        let words = [0x8000_0000 | 40, 0, 0, 2, calls.program, calls.version, 0, 0, 0, 0, 0];
        let call: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Self {
            calls: call.repeat(calls.window),
            window: calls.window,
            xid: 1,
            under_way: vec![false; (2 * calls.window).next_power_of_two()],
            input: vec![0; INPUT],
            have: 0,
        }
    }

    /// Calls for so long, and waits for the last answers, which are not counted.
    fn run(
        &mut self,
        to: &mut dyn Connection,
        time: Duration,
        behaviour: Behaviour,
    ) -> Result<(u64, f64, Nanos), LoadError> {
        let (mut times, mut done) = (nanos(), 0);
        let start = Instant::now();
        let mut sent_at = start;
        let mut out = self.window;
        self.send(to, self.window, behaviour)?;
        loop {
            while out > self.window / 2 {
                let answered = self.receive(to, behaviour)?;
                out -= answered;
                done += answered as u64;
            }
            let now = Instant::now();
            if self.window == 1 {
                times.saturating_record(now.duration_since(sent_at).as_nanos() as u64);
                sent_at = now;
            }
            let so_far = now.duration_since(start);
            if so_far >= time {
                while out > 0 {
                    out -= self.receive(to, behaviour)?;
                }
                return Ok((done, so_far.as_secs_f64(), times));
            }
            self.send(to, self.window - out, behaviour)?;
            out = self.window;
        }
    }

    fn send(
        &mut self,
        to: &mut dyn Connection,
        count: usize,
        behaviour: Behaviour,
    ) -> Result<(), LoadError> {
        let mask = self.under_way.len() - 1;
        for call in self.calls.chunks_exact_mut(CALL).take(count) {
            // A call that is never answered keeps its place: it is stepped over.
            while self.under_way[self.xid as usize & mask] {
                self.xid = self.xid.wrapping_add(1);
            }
            call[4..8].copy_from_slice(&self.xid.to_be_bytes());
            self.under_way[self.xid as usize & mask] = true;
            self.xid = self.xid.wrapping_add(1);
        }
        behaviour.write_all(to, &self.calls[..count * CALL])
    }

    /// Reads once; how many calls were answered.
    fn receive(
        &mut self,
        from: &mut dyn Connection,
        behaviour: Behaviour,
    ) -> Result<usize, LoadError> {
        match behaviour.read(from, &mut self.input[self.have..])? {
            0 => return Err(LoadError::Closed { bytes: self.have as u64 }),
            n => self.have += n,
        }
        let (mut at, mut answered) = (0, 0);
        while let Some(mark) = self.input[at..self.have].first_chunk::<4>() {
            let len = (u32::from_be_bytes(*mark) & 0x7fff_ffff) as usize;
            if len > INPUT - 4 {
                return Err(wrong("it is no reply"));
            }
            let Some(reply) = self.input[at..self.have].get(4..4 + len) else { break };
            let xid = success(reply)?;
            let place = xid as usize & (self.under_way.len() - 1);
            if !std::mem::replace(&mut self.under_way[place], false) {
                return Err(wrong("it answers no call"));
            }
            answered += 1;
            at += 4 + len;
        }
        self.input.copy_within(at..self.have, 0);
        self.have -= at;
        Ok(answered)
    }
}

/// The xid of a reply to a call that went well.
fn success(reply: &[u8]) -> Result<u32, LoadError> {
    if let Some(words) = reply.first_chunk::<24>()
        && words[4..] == SUCCESS
    {
        return Ok(u32::from_be_bytes([words[0], words[1], words[2], words[3]]));
    }
    let mut from = Decoder::new(reply);
    match message::decode_start(&mut from) {
        Ok((xid, Direction::Reply)) => match message::decode_reply(&mut from) {
            Ok(Outcome::Success) => Ok(xid),
            Ok(refused) => Err(wrong(&refused.to_string())),
            Err(fault) => Err(wrong(&fault.to_string())),
        },
        _ => Err(wrong("it is no reply")),
    }
}

fn wrong(why: &str) -> LoadError {
    LoadError::Io { what: "the answer", cause: Error::new(ErrorKind::InvalidData, why) }
}

/// Octets of a call: mark, and header without credential.
const CALL: usize = 44;
/// A reply behind its xid: accepted, no verifier, success.
const SUCCESS: [u8; 20] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Octets that are read at once.
const INPUT: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Kernel;
    use millstream_onc::xdr::Encoder;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that answers each call in a way, and in pairs the second first.
    fn serve(outcome: Outcome) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut pair = [[0; CALL]; 2];
            while peer.read_exact(pair.as_flattened_mut()).is_ok() {
                for call in pair.iter().rev() {
                    let xid = u32::from_be_bytes([call[4], call[5], call[6], call[7]]);
                    let reply = Encoder::vec(|to| message::encode_reply(to, xid, outcome)).unwrap();
                    let mark = (0x8000_0000 | reply.len() as u32).to_be_bytes();
                    // The client may have gone.
                    let _gone = peer.write_all(&[&mark[..], &reply].concat());
                }
            }
        });
        at
    }

    fn calls(window: usize) -> Calls {
        Calls { program: 1, version: 1, window, time: Duration::from_millis(50) }
    }

    #[test]
    fn answers_are_counted_in_whatever_order_they_come() {
        let at = serve(Outcome::Success);
        let kernel = Kernel { congestion: None, nodelay: true };
        let seen = run(&kernel, at, calls(4), Behaviour::default()).unwrap();
        assert!(seen.calls > 0 && seen.times.is_none(), "{seen:?}");
    }

    #[test]
    fn a_refusal_ends_it_with_its_reason() {
        let at = serve(Outcome::ProgMismatch { low: 2, high: 3 });
        let kernel = Kernel { congestion: None, nodelay: true };
        let error = run(&kernel, at, calls(4), Behaviour::default()).unwrap_err().to_string();
        assert!(error.contains("versions 2 to 3"), "{error}");
    }
}
