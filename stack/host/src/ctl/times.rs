//! times: the times of queues are switched on and off, and become what JSON carries.

use super::answer::resolve;
use super::tracer::side_name;
use crate::shard::Shard;
use millstream_core::hist::Histogram;
use millstream_core::trace::Place;
use millstream_core::watch::QueueTimes;
use millstream_core::{Perimeter, PlumbError};
use serde::{Deserialize, Serialize};

/// Answer to `hist` with `show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Queues whose times are taken, top down, the read side of each first.
    pub queues: Vec<QueueReport>,
}

/// The times of one queue. Nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// Whose it is.
    #[serde(flatten)]
    pub at: QueueAt,
    /// From the post of a message to its put: time in the inbox.
    pub inbox: HistReport,
    /// Time in the queue.
    pub queue: HistReport,
    /// Time of put and service procedures, per message.
    pub service: HistReport,
    /// Which queue refused what this one holds, and for how long; longest first.
    pub blocked: Vec<Blocked>,
}

/// A queue, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueAt {
    /// Name of the stream.
    pub stream: String,
    /// Name of the module, multiplexor, driver, or `head`.
    pub node: String,
    /// Position of a module, counted from the bottom.
    pub pos: Option<usize>,
    /// `up` or `down`.
    pub side: String,
}

/// A queue that refused messages of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Which one.
    #[serde(flatten)]
    pub by: QueueAt,
    /// For how long. Nanoseconds.
    pub ns: u64,
}

/// Times in buckets. All figures but counts are nanoseconds, none of nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistReport {
    /// Times taken.
    pub count: u64,
    /// The mean.
    pub mean_ns: Option<u64>,
    /// Half of them are no longer.
    pub p50_ns: Option<u64>,
    /// 90 % are no longer.
    pub p90_ns: Option<u64>,
    /// 99 % are no longer.
    pub p99_ns: Option<u64>,
    /// 99.9 % are no longer.
    pub p999_ns: Option<u64>,
    /// The longest.
    pub max_ns: u64,
    /// From, below, and count of each bucket that is not empty.
    pub buckets: Vec<[u64; 3]>,
}

/// Switches the times of a stream's queues on or off; how many.
pub(super) fn switch(
    core: &mut Perimeter,
    stream: &str,
    pos: Option<usize>,
    on: bool,
) -> Result<usize, String> {
    let id = resolve(core, stream)?;
    let done = if on { core.time_queues(id, pos) } else { core.forget_times(id, pos) };
    done.map_err(|e| match e {
        PlumbError::TooMany => format!(
            "{stream}: the times of more than 256 queues cannot be taken: switch others off"
        ),
        e => format!("{stream}: {e}"),
    })
}

pub(super) fn show(shard: &mut Shard, stream: &str, pos: Option<usize>) -> Result<Times, String> {
    let core = shard.core();
    let id = resolve(core, stream)?;
    let all = core.queue_times(id).map_err(|e| format!("{stream}: {e}"))?;
    let wanted = all.into_iter().filter(|times| pos.is_none() || times.place.pos == pos);
    Ok(Times { queues: wanted.map(report).collect() })
}

fn report(times: QueueTimes) -> QueueReport {
    let QueueTimes { place, side, inbox, queue, service, blocked, .. } = times;
    let blocked =
        blocked.into_iter().map(|(place, side, ns)| Blocked { by: at(place, side_name(side)), ns });
    QueueReport {
        at: at(place, side_name(side)),
        inbox: hist(&inbox),
        queue: hist(&queue),
        service: hist(&service),
        blocked: blocked.collect(),
    }
}

fn at(place: Place, side: &str) -> QueueAt {
    let Place { stream, node, pos, .. } = place;
    QueueAt { stream, node, pos, side: side.to_owned() }
}

fn hist(hist: &Histogram) -> HistReport {
    let buckets = hist.buckets().map(|b| [b.from_ns, b.below_ns, b.count]);
    HistReport {
        count: hist.count(),
        mean_ns: hist.mean_ns(),
        p50_ns: hist.quantile_ns(50_000),
        p90_ns: hist.quantile_ns(90_000),
        p99_ns: hist.quantile_ns(99_000),
        p999_ns: hist.quantile_ns(99_900),
        max_ns: hist.max_ns(),
        buckets: buckets.collect(),
    }
}
