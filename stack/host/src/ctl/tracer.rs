//! tracer: messages of a running stack are followed for one connection, and go with it.

use super::answer::{Asked, resolve};
use crate::inlet::Handle;
use millstream_core::trace::{End, Hop, PATHS_MAX, Path, Pick, Stay, Wanted};
use millstream_core::{Side, StreamId};
use millstream_modules::begins::Begins;
use millstream_modules::filter::{Action, Rules};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Answer to `traced`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Paths that have ended since the last answer; with `last`, all that are left.
    pub paths: Vec<TracedPath>,
}

/// The way of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedPath {
    /// In the order of picking, from 1.
    pub number: usize,
    /// Where it was put, in order.
    pub hops: Vec<TracedHop>,
    /// `delivered` to a stream head, `sent` by a device, `consumed` or `dropped` where it was
    /// last; none while it goes on or waits.
    pub end: Option<String>,
    /// Why it was dropped.
    pub reason: Option<String>,
}

/// One put of a message to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedHop {
    /// Name of the stream.
    pub stream: String,
    /// Name of the module, multiplexor, driver, or `head`.
    pub node: String,
    /// `head`, `module`, `mux` or `driver`.
    pub kind: String,
    /// Position of a module, counted from the bottom.
    pub pos: Option<usize>,
    /// `up` or `down`.
    pub side: String,
    /// The message's type: `M_DATA`, `M_PROTO` and so on.
    pub msg: String,
    /// What its bytes are, as far as that can be told: `ethernet`, `packet`, `request` of a
    /// transport to ip, `primitive` of TPI, or `other`.
    pub begins: String,
    /// Its band.
    pub band: u8,
    /// Its bytes.
    pub len: usize,
    /// Bytes of its first block: those of a control part.
    pub first_len: usize,
    /// Its first bytes, in hexadecimal.
    pub bytes: String,
    /// Time in the inbox. Nanoseconds; none for the first.
    pub waited_ns: Option<u64>,
    /// The node's time for it. Nanoseconds.
    pub ran_ns: u64,
    /// Messages in the dispatch; the node's time is divided by them.
    pub batch: u32,
    /// `queued` when it was put on the node's queue, `kept` when the node kept it otherwise.
    pub stay: Option<String>,
    /// For how long. Nanoseconds.
    pub stayed_ns: u64,
}

/// A trace that runs for a connection. Dropping it ends the trace.
#[derive(Debug)]
pub(super) struct Tracer {
    handle: Handle,
    taken: Arc<AtomicBool>,
}

/// Longest wait for a path: it ties up the connection's thread.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Paths are asked for so often while none has ended.
const PAUSE: Duration = Duration::from_millis(20);

impl Tracer {
    /// Follows messages of a stream.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn start(
        asked: &Asked,
        stream: String,
        side: Option<Side>,
        matching: Option<&str>,
        count: usize,
    ) -> Result<Self, String> {
        if !(1..=PATHS_MAX).contains(&count) {
            return Err(format!("{count} messages cannot be followed at once: 1 to {PATHS_MAX}"));
        }
        let wanted = matching.map(wanted).transpose()?;
        if asked.tracing.swap(true, Ordering::AcqRel) {
            return Err("another program traces this stack: one can at a time".to_owned());
        }
        // From here on its end gives the place back.
        let tracer = Self { handle: asked.handle.clone(), taken: asked.tracing.clone() };
        asked.change(move |core| {
            let stream: StreamId = resolve(core, &stream)?;
            core.start_trace(Pick { stream, side, wanted, count });
            Ok(serde_json::Value::Null)
        })?;
        Ok(tracer)
    }

    /// The paths that have ended, after waiting for the first one.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn traced(&self, wait_ms: u64, last: bool) -> Result<Traced, String> {
        let deadline = Instant::now() + Duration::from_millis(wait_ms).min(WAIT_MAX);
        let mut paths = Vec::new();
        loop {
            let over = Instant::now() >= deadline;
            let ask = move |shard: &mut crate::Shard| match last && over {
                true => shard.core().stop_trace(),
                false => shard.core().traced(),
            };
            let more = self.handle.call(ask).map_err(|gone| gone.to_string())?;
            paths.extend(more.into_iter().map(path));
            // The last answer is given when the time is over, with what has not ended.
            if over || (!paths.is_empty() && !last) {
                return Ok(Traced { paths });
            }
            std::thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // A stack that has stopped follows nothing any more.
        let _gone = self.handle.call(|shard| shard.core().stop_trace());
        self.taken.store(false, Ordering::Release);
    }
}

/// Terms of a rule of `filter`, as a question about a message.
fn wanted(terms: &str) -> Result<Wanted, String> {
    let mut rules = Rules::of_terms(terms).map_err(|why| format!("match {terms:?}: {why}"))?;
    Ok(Box::new(move |msg, side| {
        let facts = Begins::of(msg).facts(msg, side);
        facts.is_some_and(|facts| rules.decide(&facts, msg, &mut |_| ()) == Action::Drop)
    }))
}

fn path(path: Path) -> TracedPath {
    let (end, reason) = match path.end {
        Some(End::Delivered) => (Some("delivered"), None),
        Some(End::Sent) => (Some("sent"), None),
        Some(End::Consumed) => (Some("consumed"), None),
        Some(End::Dropped(reason)) => (Some("dropped"), Some(reason.0.to_owned())),
        Some(_) | None => (None, None),
    };
    TracedPath {
        number: path.number,
        hops: path.hops.into_iter().map(hop).collect(),
        end: end.map(str::to_owned),
        reason,
    }
}

fn hop(hop: Hop) -> TracedHop {
    let stay = match hop.stay {
        Stay::Queued => Some("queued".to_owned()),
        Stay::Kept => Some("kept".to_owned()),
        _ => None,
    };
    let begins = match Begins::of_bytes(hop.kind, &hop.bytes, hop.len) {
        Begins::Ethernet => "ethernet",
        Begins::Packet => "packet",
        Begins::Request => "request",
        Begins::Primitive => "primitive",
        _ => "other",
    };
    TracedHop {
        stream: hop.place.stream,
        node: hop.place.node,
        kind: hop.place.kind.to_owned(),
        pos: hop.place.pos,
        side: side_name(hop.side).to_owned(),
        msg: format!("M_{:?}", hop.kind).to_uppercase(),
        begins: begins.to_owned(),
        band: hop.band,
        len: hop.len,
        first_len: hop.first_len,
        bytes: hop.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        waited_ns: hop.waited_ns,
        ran_ns: hop.ran_ns,
        batch: hop.batch,
        stay,
        stayed_ns: hop.stayed_ns,
    }
}

pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Read => "up",
        Side::Write => "down",
    }
}
