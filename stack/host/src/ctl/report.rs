//! report: what a stack says of itself; nodes and counters become what JSON carries.

use crate::port::PortStat;
use crate::shard::Shard;
use millstream_core::{Fields, NodeView, StreamId, Value};
use millstream_msg::PoolStats;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use std::collections::BTreeMap;

/// Answer to `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of the program that runs the stack.
    pub version: String,
    /// Name of the stack.
    pub name: String,
    /// Process that runs it.
    pub pid: u32,
    /// Milliseconds since it began.
    pub uptime_ms: u64,
}

/// Answer to `conf`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conf {
    /// Name of the stack.
    pub name: String,
    /// Process that runs it.
    pub pid: u32,
    /// In order of opening.
    pub streams: Vec<StreamConf>,
    /// Multiplexors.
    pub muxes: Vec<NodeConf>,
    /// Streams left out: an answer lists 1,024.
    pub omitted: usize,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamConf {
    /// Its name.
    pub name: String,
    /// Number; unique among the living.
    pub id: u64,
    /// Top down.
    pub nodes: Vec<NodeConf>,
}

/// A node of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeConf {
    /// Name of the module, multiplexor, driver, or `head`.
    pub name: String,
    /// `head`, `module`, `mux` or `driver`.
    pub kind: String,
    /// Position of a module, counted from the bottom.
    pub pos: Option<usize>,
    /// Settings and counters of the module, by name; those that may repeat are arrays.
    pub fields: Map<String, serde_json::Value>,
}

/// Answer to `stat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// Name of the stack.
    pub name: String,
    /// Milliseconds since it began.
    pub uptime_ms: u64,
    /// In order of opening.
    pub streams: Vec<StreamStat>,
    /// Multiplexors, over all their streams.
    pub muxes: Vec<NodeStat>,
    /// Memory of messages.
    pub pool: PoolStat,
    /// Messages that came for something dismantled.
    pub stale: u64,
    /// Streams left out: an answer lists 1,024.
    pub omitted: usize,
    /// Programs of other processes; none when none may come in.
    #[serde(default)]
    pub programs: Option<PortStat>,
}

/// Counters of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamStat {
    /// Its name.
    pub name: String,
    /// Number; unique among the living.
    pub id: u64,
    /// Top down. Of a multiplexor only the queues are this stream's.
    pub nodes: Vec<NodeStat>,
}

/// Counters of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStat {
    /// Name of the module, multiplexor, driver, or `head`.
    pub name: String,
    /// `head`, `module`, `mux` or `driver`.
    pub kind: String,
    /// Position of a module, counted from the bottom.
    pub pos: Option<usize>,
    /// Read side.
    pub up: SideStat,
    /// Write side.
    pub down: SideStat,
    /// Messages freed because they had done their work.
    pub consumed: u64,
    /// Time per message, from the dispatches that were timed. Nanoseconds; none before the first.
    pub ns_per_msg: Option<u64>,
    /// Messages in the dispatches that were timed.
    pub sampled_msgs: u64,
    /// Time in those dispatches. Nanoseconds.
    pub sampled_ns: u64,
    /// Messages dropped.
    pub dropped: u64,
    /// Messages dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Rules of queues that the module broke while `monitor` was on, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub violations: BTreeMap<String, u64>,
    /// Settings and counters of the module, by name; those that may repeat are arrays.
    pub fields: Map<String, serde_json::Value>,
}

/// Counters of one direction of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SideStat {
    /// Dispatches of put procedures.
    pub calls: u64,
    /// Messages that came in.
    pub msgs: u64,
    /// Bytes that came in.
    pub bytes: u64,
    /// Messages passed on in this direction.
    pub msgs_out: u64,
    /// Messages that came in per dispatch.
    pub msgs_per_call: f64,
    /// Dispatches of the service procedure.
    pub services: u64,
    /// Messages queued or in the inbox now.
    pub queue: usize,
    /// Time during which writers to this queue waited for room. Nanoseconds.
    pub blocked_ns: u64,
}

/// Memory of messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStat {
    /// Bytes taken from the system.
    pub memory_bytes: usize,
    /// Bytes that it can take at most.
    pub limit_bytes: usize,
    /// Bytes of payload copied.
    pub copied_bytes: u64,
    /// Bytes copied to pull headers together.
    pub pulled_bytes: u64,
    /// Requests refused because a limit was reached.
    pub refused: u64,
    /// Cells, by kind.
    pub kinds: Vec<PoolKind>,
}

/// Cells of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolKind {
    /// `small`, `frame`, `large`, `bare` or `external`.
    pub kind: String,
    /// In use.
    pub out: usize,
    /// Made.
    pub made: usize,
    /// That may be made.
    pub limit: usize,
}

/// Answer to `find`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The module.
    pub module: String,
    /// It can be pushed and inserted.
    pub in_table: bool,
    /// Where it is.
    pub at: Vec<ModuleAt>,
}

/// Where a module or multiplexor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleAt {
    /// Name of the stream; none for a multiplexor.
    pub stream: Option<String>,
    /// Position, counted from the bottom; none for a multiplexor, head or driver.
    pub pos: Option<usize>,
    /// `module`, `mux` or `driver`.
    pub kind: String,
}

/// Streams in one answer: a stack with 100,000 connections would block its shard to list them.
const STREAMS_MAX: usize = 1024;

/// Streams with their views, top down, and how many were left out.
fn chains(shard: &mut Shard) -> (Vec<(StreamId, String, Vec<NodeView>)>, usize) {
    let core = shard.core();
    let mut streams = core.streams();
    let omitted = streams.len().saturating_sub(STREAMS_MAX);
    streams.truncate(STREAMS_MAX);
    let view = |(id, name)| (id, name, core.chain(id).unwrap_or_default());
    (streams.into_iter().map(view).collect(), omitted)
}

pub(super) fn conf(shard: &mut Shard, name: &str) -> Conf {
    let (chains, omitted) = chains(shard);
    let stream = |(id, name, views): (StreamId, String, Vec<NodeView>)| StreamConf {
        name,
        id: id.number(),
        nodes: views.into_iter().map(node_conf).collect(),
    };
    let streams = chains.into_iter().map(stream).collect();
    let core = shard.core();
    let muxes = core.muxes().into_iter().filter_map(|mux| core.mux_view(mux));
    let muxes = muxes.map(node_conf).collect();
    Conf { name: name.to_owned(), pid: std::process::id(), streams, muxes, omitted }
}

pub(super) fn stat(shard: &mut Shard, name: &str, uptime_ms: u64) -> Stat {
    let (chains, omitted) = chains(shard);
    let stream = |(id, name, views): (StreamId, String, Vec<NodeView>)| StreamStat {
        name,
        id: id.number(),
        nodes: views.into_iter().map(|view| node_stat(view, false)).collect(),
    };
    let streams = chains.into_iter().map(stream).collect();
    let core = shard.core();
    let muxes = core.muxes().into_iter().filter_map(|mux| core.mux_view(mux));
    let muxes = muxes.map(|view| node_stat(view, true)).collect();
    let stale = core.stale();
    let pool = pool_stat(core.pool().stats());
    let programs = shard.port_stat();
    Stat { name: name.to_owned(), uptime_ms, streams, muxes, pool, stale, omitted, programs }
}

pub(super) fn find(shard: &mut Shard, module: &str, in_table: bool) -> Found {
    let (chains, _) = chains(shard);
    let mut at = Vec::new();
    for (_, stream, views) in chains {
        for view in views.into_iter().filter(|view| view.name == module && view.kind != "mux") {
            let (stream, kind) = (Some(stream.clone()), view.kind.to_owned());
            at.push(ModuleAt { stream, pos: view.pos, kind });
        }
    }
    if shard.core().find_mux(module).is_some() {
        at.push(ModuleAt { stream: None, pos: None, kind: "mux".to_owned() });
    }
    Found { module: module.to_owned(), in_table, at }
}

fn node_conf(view: NodeView) -> NodeConf {
    let fields = fields_of(view.fields);
    NodeConf { name: view.name, kind: view.kind.to_owned(), pos: view.pos, fields }
}

/// `whole`: counters of a multiplexor, not only its queues in one stream.
fn node_stat(view: NodeView, whole: bool) -> NodeStat {
    let only_queues = view.kind == "mux" && !whole;
    let stat = if only_queues { Default::default() } else { view.stat };
    let fields = if only_queues { Map::new() } else { fields_of(view.fields) };
    let side = |at: usize| SideStat {
        calls: stat.calls[at],
        msgs: stat.msgs_in[at],
        bytes: stat.bytes_in[at],
        msgs_out: stat.msgs_out[at],
        msgs_per_call: ratio(stat.msgs_in[at], stat.calls[at]),
        services: stat.services[at],
        queue: view.depth[at],
        blocked_ns: stat.blocked_ns[at],
    };
    NodeStat {
        name: view.name,
        kind: view.kind.to_owned(),
        pos: view.pos,
        up: side(0),
        down: side(1),
        consumed: stat.consumed,
        ns_per_msg: stat.ns_per_msg(),
        sampled_msgs: stat.sampled_msgs,
        sampled_ns: stat.sampled_ns,
        dropped: stat.dropped(),
        drops: stat.drops.iter().map(|(reason, n)| (reason.0.to_owned(), *n)).collect(),
        violations: stat.violations.iter().map(|(v, n)| (v.text().to_owned(), *n)).collect(),
        fields,
    }
}

fn pool_stat(stats: PoolStats) -> PoolStat {
    let kinds = [
        ("small", stats.small),
        ("frame", stats.frame),
        ("large", stats.large),
        ("bare", stats.bare),
        ("external", stats.external),
    ];
    let kind = |(kind, counts): (&str, millstream_msg::Counts)| PoolKind {
        kind: kind.to_owned(),
        out: counts.out,
        made: counts.made,
        limit: counts.limit,
    };
    PoolStat {
        memory_bytes: stats.memory_bytes,
        limit_bytes: millstream_msg::PoolConfig::STACK.bytes(),
        copied_bytes: stats.copied_bytes,
        pulled_bytes: stats.pulled_bytes,
        refused: stats.refused,
        kinds: kinds.into_iter().map(kind).collect(),
    }
}

fn fields_of(fields: Fields) -> Map<String, serde_json::Value> {
    let mut map = Map::new();
    for (name, value) in fields.0 {
        match value {
            Value::Count(count) => {
                map.insert(name.to_owned(), count.into());
            }
            Value::Text(text) => {
                map.insert(name.to_owned(), text.into());
            }
            // An array even when there is one: who reads it need not ask.
            Value::Item(text) => {
                let list = map.entry(name).or_insert_with(|| serde_json::Value::Array(Vec::new()));
                if let Some(list) = list.as_array_mut() {
                    list.push(text.into());
                }
            }
        }
    }
    map
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_repeat_is_an_array_even_when_there_is_one() {
        let mut fields = Fields::default();
        fields.text("forward", "on");
        fields.count("lost", 7);
        fields.item("address", "a");
        for route in ["a", "b", "c"] {
            fields.item("route", route);
        }
        let map = serde_json::to_string(&fields_of(fields)).unwrap();
        let expected = r#"{"address":["a"],"forward":"on","lost":7,"route":["a","b","c"]}"#;
        assert_eq!(map, expected);
    }

    #[test]
    fn messages_per_call_of_nothing_are_none() {
        assert_eq!(ratio(0, 0), 0.0);
        assert_eq!(ratio(64, 2), 32.0);
    }
}
