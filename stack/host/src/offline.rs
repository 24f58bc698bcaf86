//! offline: a recording goes into a module in bare surroundings, without a device, a clock or a
//! network; what comes out is compared with what came out then, or of another module now.
//!
//! Time is that of the recording and stands still while the module works, so that every run gives
//! the same messages at the same times.

mod diff;
mod edge;

pub use diff::{Difference, diff};

use crate::ctl::{self, Param, Writers};
use edge::Edge;
use millstream_core::{Config, Module, Perimeter, Side, StreamId};
use millstream_modules::recording::{Event, Fault, Parts, Reader};
use millstream_msg::{Band, Kind, Msg, Offload, Pool, PoolConfig};

/// A message that passed a place, or came out of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The way it went.
    pub side: Side,
    /// Its band.
    pub band: Band,
    /// What was left to do to it.
    pub offload: Offload,
    /// Runs of blocks of one type.
    pub parts: Vec<(Kind, Vec<u8>)>,
}

/// A recording, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Name of the place it was made at.
    pub place: String,
    /// In order.
    pub messages: Vec<Message>,
    /// Messages that it could not take.
    pub lost: u64,
    /// Why it ends early.
    pub fault: Option<Fault>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence. A recording that is cut is none: it is read as far as it is sound.
    pub fn open(path: &str) -> Result<Self, String> {
        Self::of(&ctl::read_recording(path)?).map_err(|fault| format!("{path}: {fault}"))
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// It has no head that can be read.
    pub fn of(bytes: &[u8]) -> Result<Self, Fault> {
        let reader = Reader::new(bytes)?;
        let mut recording = Self { place: reader.name().to_owned(), ..Self::default() };
        for entry in reader {
            match entry {
                Ok(entry) => match entry.event {
                    Event::Message(side, parts) => {
                        recording.messages.push(Message::of_parts(entry.time_ns, side, &parts));
                    }
                    Event::Lost(count) => recording.lost = recording.lost.saturating_add(count),
                },
                Err(fault) => recording.fault = Some(fault),
            }
        }
        Ok(recording)
    }

    /// Those that went one way.
    pub fn went(&self, side: Side) -> Vec<&Message> {
        self.messages.iter().filter(|message| message.side == side).collect()
    }
}

impl Message {
    fn of_parts(time_ns: u64, side: Side, parts: &Parts<'_>) -> Self {
        Self {
            time_ns,
            side,
            band: parts.band,
            offload: parts.offload,
            parts: parts.iter().map(|(kind, bytes)| (kind, bytes.to_vec())).collect(),
        }
    }

    fn of_msg(time_ns: u64, side: Side, msg: &Msg) -> Self {
        let mut parts: Vec<(Kind, Vec<u8>)> = Vec::new();
        for block in msg.blocks() {
            let bytes = block.as_slice().unwrap_or_default();
            match parts.last_mut() {
                Some((kind, run)) if *kind == block.kind() => run.extend_from_slice(bytes),
                _ => parts.push((block.kind(), bytes.to_vec())),
            }
        }
        Self { time_ns, side, band: msg.band(), offload: msg.offload(), parts }
    }

    /// All its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|(_, bytes)| bytes).copied().collect()
    }

    fn to_msg(&self, pool: &mut Pool) -> Option<Msg> {
        let mut whole: Option<Msg> = None;
        for (kind, bytes) in &self.parts {
            let mut part = pool.copy_from(HEADROOM, bytes).ok()?;
            part.set_kind_all(*kind);
            match &mut whole {
                Some(whole) => whole.link(part),
                None => whole = Some(part),
            }
        }
        let mut msg = whole?;
        msg.set_band(self.band);
        msg.set_offload(self.offload);
        Some(msg)
    }
}

/// Makes a module by its name and puts messages into it at their times. What came out, in order.
///
/// # Errors
/// The module cannot be made or put in, or refuses a parameter; a sentence.
pub fn run(name: &str, params: &[Param], inputs: &[&Message]) -> Result<Vec<Message>, String> {
    let module = ctl::make(name, params, "replay", &Writers::new(|_| ()))?;
    let mut bench = Bench::new(module, inputs.first().map_or(0, |first| first.time_ns))?;
    for Param(key, value) in params {
        bench.set(key, value).map_err(|why| format!("{name}: {why}"))?;
    }
    for input in inputs {
        bench.put(input)?;
    }
    Ok(bench.finish())
}

/// A module between two ends.
struct Bench {
    core: Perimeter,
    stream: StreamId,
    ends: Edge,
    /// Time 0 of the core, in nanoseconds since 1970.
    start_ns: u64,
}

impl Bench {
    fn new(module: Box<dyn Module>, start_ns: u64) -> Result<Self, String> {
        let config = Config { pool: Pool::new(POOL), seed: SEED, clock: None };
        let mut core = Perimeter::new(config);
        core.set_wall_offset(start_ns);
        let (stream, _) = core.open_device("replay", Box::new(edge::Nothing));
        let name = module.info().name;
        let ends = Edge::new(Side::Write);
        let above = ends.opposite();
        for module in [Box::new(ends.clone()) as Box<dyn Module>, module, Box::new(above)] {
            core.push(stream, module).map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(Self { core, stream, ends, start_ns })
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.core.set(self.stream, MODULE, key, value).map_err(|e| e.to_string())
    }

    fn put(&mut self, input: &Message) -> Result<(), String> {
        self.advance(input.time_ns.saturating_sub(self.start_ns));
        let msg = input.to_msg(self.core.pool()).ok_or("a message is larger than the pool")?;
        self.ends.desk().put_in = Some(msg);
        // The end that a message on this way leaves from.
        let from = if input.side == Side::Read { 0 } else { MODULE + 1 };
        self.core.set(self.stream, from, edge::PUT_IN, "").map_err(|e| e.to_string())?;
        self.settle();
        Ok(())
    }

    /// Lets what waits for time come out.
    fn finish(mut self) -> Vec<Message> {
        self.advance(self.core.now().saturating_add(SETTLE_NS));
        std::mem::take(&mut self.ends.desk().out)
    }

    /// Goes to a time, and stops at every timer on the way.
    fn advance(&mut self, until_ns: u64) {
        loop {
            self.settle();
            let now = self.core.now();
            match self.core.turn(now, BUDGET).next {
                Some(next) if next < until_ns => self.core.turn(next.max(now + 1), BUDGET),
                _ => break,
            };
        }
        self.core.turn(until_ns.max(self.core.now()), BUDGET);
        self.settle();
    }

    fn settle(&mut self) {
        let now = self.core.now();
        for _ in 0..TURNS_MAX {
            let more = self.core.turn(now, BUDGET).more;
            while self.core.event().is_some() {}
            if !more {
                return;
            }
        }
    }
}

/// Position of the module; the end below is at 0.
const MODULE: usize = 1;
/// Any: the same for every run, so that what is random is the same.
const SEED: u64 = 0x5eed;
const BUDGET: usize = 10_000;
/// A module that sends to itself for ever does not stop the tool.
const TURNS_MAX: usize = 1_000;
/// Time given to what a module holds after the last message.
const SETTLE_NS: u64 = 60_000_000_000;
const HEADROOM: usize = 128;
/// Some thousand messages that a module holds.
const POOL: PoolConfig = PoolConfig {
    small: 16_384,
    frame: 8_192,
    large: 256,
    bare: 16_384,
    external: 64,
    reserve_256th: 4,
};
