//! Records on a TCP connection of the kernel: a caller for generated clients, and a server for
//! programs.

use millstream_onc::auth::{Credential, FLAVORS};
use millstream_onc::caller::{Caller, Procedure};
use millstream_onc::message::{
    Direction, Outcome, Refused, decode_call, decode_reply, decode_start, encode_call, encode_reply,
};
use millstream_onc::program::{Answer, Call, Transport};
use millstream_onc::registry::{Registry, Unreached};
use millstream_onc::xdr::{Decoder, Encoder, Fault};
use millstream_onc::{Completions, Later};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

/// Why a call failed.
#[derive(Debug)]
#[expect(dead_code, reason = "what went wrong is shown when a test fails")]
pub(crate) enum Failed {
    Io(io::Error),
    Refused(Outcome),
    Fault(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Failed {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

/// A connection that calls go through.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    xid: u32,
    /// Answers that came before they were asked for.
    early: HashMap<u32, Vec<u8>>,
}

impl Wire {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(to).unwrap(), xid: 0, early: HashMap::new() }
    }
}

impl Caller for Wire {
    type Error = Failed;
    type Token = u32;

    fn start(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<u32, Failed> {
        self.xid += 1;
        let xid = self.xid;
        let record = Encoder::vec(|out| {
            encode_call(out, xid, to, &Credential::None, FLAVORS)?;
            args(out)
        })?;
        write_record(&mut self.stream, &record)?;
        Ok(xid)
    }

    fn finish<R>(
        &mut self,
        token: u32,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Fault>,
    ) -> Result<R, Failed> {
        let record = loop {
            if let Some(record) = self.early.remove(&token) {
                break record;
            }
            let record = read_record(&mut self.stream)?;
            let (xid, way) = decode_start(&mut Decoder::new(&record))?;
            assert_eq!(way, Direction::Reply);
            self.early.insert(xid, record);
        };
        let mut from = Decoder::new(&record);
        decode_start(&mut from)?;
        match decode_reply(&mut from)? {
            Outcome::Success => {}
            refused => return Err(Failed::Refused(refused)),
        }
        Ok(from.whole(results)?)
    }

    fn send(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), Failed> {
        self.start(to, args).map(|_| ())
    }
}

/// Serves the programs of `registry` on a port of its own, to one connection, until it closes.
pub(crate) fn serve(registry: Registry) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        serve_one(&registry, stream);
    });
    at
}

fn serve_one(registry: &Registry, mut stream: TcpStream) {
    let (peer, local) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    let completions = Completions::new(move || tell.send(()).unwrap_or(()));
    let answers = stream.try_clone().unwrap();
    let waiting = completions.clone();
    std::thread::spawn(move || answer_later(&waiting, &told, answers));
    let mut later = Later::new(completions);
    while let Ok(record) = read_record(&mut stream) {
        let mut from = Decoder::new(&record);
        let Ok((xid, Direction::Call)) = decode_start(&mut from) else { return };
        let header = match decode_call(&mut from, FLAVORS) {
            Ok(header) => header,
            Err(Refused::Broken(_)) => return,
            Err(Refused::Answer(outcome)) => {
                reply(&mut stream, xid, outcome, &[]);
                continue;
            }
        };
        let call = Call {
            xid,
            program: header.to.program,
            version: header.to.version,
            procedure: header.to.number,
            credential: &header.credential,
            peer,
            local,
            transport: Transport::Tcp,
            now: 0,
        };
        later.set(xid.into());
        let mut answer = Ok(Answer::Silent);
        let results = Encoder::vec(|to| {
            answer = registry.call(&call, from, to, &mut later);
            Ok(())
        });
        if let Some(outcome) = outcome(answer) {
            reply(&mut stream, xid, outcome, &results.unwrap());
        }
    }
}

fn answer_later(completions: &Completions, told: &mpsc::Receiver<()>, mut stream: TcpStream) {
    while told.recv().is_ok() {
        while let Some(done) = completions.poll() {
            if let Some(outcome) = outcome(Ok(done.answer)) {
                reply(&mut stream, done.id as u32, outcome, &done.results);
            }
        }
    }
}

/// `None` where nothing is answered now.
fn outcome(answer: Result<Answer, Unreached>) -> Option<Outcome> {
    Some(match answer {
        Ok(Answer::Done) => Outcome::Success,
        Ok(Answer::GarbageArgs) => Outcome::GarbageArgs,
        Ok(Answer::Denied(why)) => Outcome::AuthError(why),
        Ok(Answer::Later | Answer::Silent) => return None,
        Ok(Answer::NoProcedure) | Err(Unreached::Procedure) => Outcome::ProcUnavail,
        Err(Unreached::Program) => Outcome::ProgUnavail,
        Err(Unreached::Version { low, high }) => Outcome::ProgMismatch { low, high },
        _ => Outcome::SystemErr,
    })
}

fn reply(stream: &mut TcpStream, xid: u32, outcome: Outcome, results: &[u8]) {
    let mut record = Encoder::vec(|to| encode_reply(to, xid, outcome)).unwrap();
    record.extend_from_slice(results);
    // The other end may be gone.
    let _ = write_record(stream, &record);
}

fn write_record(stream: &mut TcpStream, record: &[u8]) -> io::Result<()> {
    let mark = LAST | record.len() as u32;
    stream.write_all(&[&mark.to_be_bytes(), record].concat())
}

fn read_record(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut record = Vec::new();
    loop {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark)?;
        let mark = u32::from_be_bytes(mark);
        let start = record.len();
        record.resize(start + (mark & !LAST) as usize, 0);
        stream.read_exact(&mut record[start..])?;
        if mark & LAST != 0 {
            return Ok(record);
        }
    }
}

/// The bit of the last fragment.
const LAST: u32 = 1 << 31;
