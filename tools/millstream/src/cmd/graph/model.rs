//! model: the counters of streams and multiplexors become nodes and edges. A multiplexor is one
//! node, whatever the number of its streams.

use millstream_host::ctl::{NodeStat, SideStat, Stat, StreamStat};
use serde::Serialize;

/// A stack, drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Graph {
    /// Name of the stack.
    pub(crate) name: String,
    /// Streams, those nearest to programs first.
    pub(crate) streams: Vec<Strand>,
    /// Streams that are not shown.
    pub(crate) omitted: usize,
}

/// A stream: nodes top down, and the edges between each and the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Strand {
    pub(crate) name: String,
    pub(crate) nodes: Vec<Node>,
    /// One fewer than nodes.
    pub(crate) edges: Vec<Edge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Node {
    /// Unique; that of a multiplexor is the same in all its streams.
    pub(crate) id: String,
    pub(crate) name: String,
    /// `head`, `module`, `mux` or `driver`.
    pub(crate) kind: String,
    pub(crate) pos: Option<usize>,
    /// Messages in its queues of this stream: up, down.
    pub(crate) queue: [usize; 2],
    /// Messages dropped; of a multiplexor none, as they are not those of one stream.
    pub(crate) dropped: u64,
}

/// What goes over an edge in a second; none where two multiplexors meet and one of them has
/// several streams, as each counts all of its own together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Edge {
    pub(crate) up: Option<Rate>,
    pub(crate) down: Option<Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rate {
    pub(crate) msgs: u64,
    /// None where only messages are counted: on the way out of a multiplexor's neighbour.
    pub(crate) bytes: Option<u64>,
}

impl Graph {
    /// Of counters or rates.
    pub(crate) fn of(stat: &Stat) -> Self {
        let mut streams: Vec<(usize, Strand)> =
            stat.streams.iter().map(|s| (depth(stat, s, DEPTH_MAX), strand(stat, s))).collect();
        streams.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        let streams = streams.into_iter().map(|(_, strand)| strand).collect();
        Self { name: stat.name.clone(), streams, omitted: stat.omitted }
    }
}

/// Multiplexors between a stream and the devices.
fn depth(stat: &Stat, stream: &StreamStat, left: usize) -> usize {
    let Some(bottom) = stream.nodes.last().filter(|node| node.kind == "mux" && left > 0) else {
        return 0;
    };
    let below = stat.streams.iter().filter(|s| s.nodes.first().is_some_and(|n| is(n, bottom)));
    1 + below.map(|s| depth(stat, s, left - 1)).max().unwrap_or(0)
}

fn is(node: &NodeStat, mux: &NodeStat) -> bool {
    node.kind == "mux" && node.name == mux.name
}

fn strand(stat: &Stat, stream: &StreamStat) -> Strand {
    let node = |(at, n): (usize, &NodeStat)| Node {
        id: match &*n.kind {
            "mux" => n.name.clone(),
            _ => format!("{}#{}/{at}", stream.name, stream.id),
        },
        name: n.name.clone(),
        kind: n.kind.clone(),
        pos: n.pos,
        queue: [n.up.queue, n.down.queue],
        dropped: n.dropped,
    };
    let edge = |pair: &[NodeStat]| edge(stat, &pair[0], &pair[1]);
    Strand {
        name: stream.name.clone(),
        nodes: stream.nodes.iter().enumerate().map(node).collect(),
        edges: stream.nodes.windows(2).map(edge).collect(),
    }
}

fn edge(stat: &Stat, above: &NodeStat, below: &NodeStat) -> Edge {
    let came = |side: &SideStat| Rate { msgs: side.msgs, bytes: Some(side.bytes) };
    let left = |side: &SideStat| Rate { msgs: side.msgs_out, bytes: None };
    let whole = |mux: &NodeStat| stat.muxes.iter().find(|m| m.name == mux.name);
    match (&*above.kind, &*below.kind) {
        // The one above may be a multiplexor whose only stream below this is.
        ("mux", "mux") => {
            let tops = stat.streams.iter().filter_map(|s| s.nodes.first());
            let alone = tops.filter(|top| is(top, above)).count() == 1;
            let mux = whole(above).filter(|_| alone);
            Edge { up: mux.map(|m| came(&m.up)), down: mux.map(|m| left(&m.down)) }
        }
        ("mux", _) => Edge { up: Some(left(&below.up)), down: Some(came(&below.down)) },
        (_, "mux") => Edge { up: Some(came(&above.up)), down: Some(left(&above.down)) },
        _ => Edge { up: Some(came(&above.up)), down: Some(came(&below.down)) },
    }
}

/// More multiplexors above each other than anybody links.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn node(name: &str, kind: &str, up: [u64; 2], down: [u64; 2]) -> NodeStat {
        let side = |[msgs, msgs_out]: [u64; 2]| SideStat {
            msgs,
            bytes: msgs * 100,
            msgs_out,
            ..SideStat::default()
        };
        NodeStat {
            name: name.to_owned(),
            kind: kind.to_owned(),
            pos: (kind == "module").then_some(0),
            up: side(up),
            down: side(down),
            consumed: 0,
            ns_per_msg: None,
            sampled_msgs: 0,
            sampled_ns: 0,
            dropped: 0,
            drops: Default::default(),
            violations: Default::default(),
            fields: Default::default(),
        }
    }

    /// A program on udp on ip on one TAP: each node has what came to it and what it passed on.
    pub(in crate::cmd) fn stack() -> Stat {
        let stream = |id, name: &str, nodes| StreamStat { name: name.to_owned(), id, nodes };
        let empty = |name| node(name, "mux", [0; 2], [0; 2]);
        Stat {
            name: "lab".to_owned(),
            uptime_ms: 1000,
            streams: vec![
                stream(
                    1,
                    "tap0",
                    vec![
                        empty("ip"),
                        node("arp", "module", [9, 8], [5, 6]),
                        node("tap0", "driver", [9, 9], [6, 0]),
                    ],
                ),
                stream(2, "udp", vec![empty("udp"), empty("ip")]),
                stream(3, "udp.1", vec![node("head", "head", [7, 0], [0, 4]), empty("udp")]),
            ],
            muxes: vec![node("ip", "mux", [8, 7], [4, 5]), node("udp", "mux", [7, 7], [4, 4])],
            pool: Default::default(),
            stale: 0,
            omitted: 0,
            programs: None,
        }
    }

    #[test]
    fn streams_stand_in_the_order_of_the_way_down() {
        let graph = Graph::of(&stack());
        let names: Vec<&str> = graph.streams.iter().map(|s| &*s.name).collect();
        assert_eq!(names, ["udp.1", "udp", "tap0"]);
    }

    #[test]
    fn a_multiplexor_is_one_node_and_modules_of_one_name_are_not() {
        let graph = Graph::of(&stack());
        let id = |stream: usize, at: usize| graph.streams[stream].nodes[at].id.clone();
        assert_eq!((id(1, 0), id(0, 1)), ("udp".to_owned(), "udp".to_owned()));
        assert_eq!(id(2, 1), "tap0#1/1");
    }

    #[test]
    fn every_edge_has_the_rate_of_the_side_that_counts_it() {
        let graph = Graph::of(&stack());
        let msgs = |stream: usize, at: usize| {
            let edge = &graph.streams[stream].edges[at];
            [edge.up, edge.down].map(|rate| rate.map(|rate| rate.msgs))
        };
        assert_eq!(msgs(0, 0), [Some(7), Some(4)], "head to udp");
        assert_eq!(msgs(1, 0), [Some(7), Some(4)], "udp to ip");
        assert_eq!(msgs(2, 0), [Some(8), Some(5)], "ip to arp");
        assert_eq!(msgs(2, 1), [Some(9), Some(6)], "arp to the driver");
    }

    #[test]
    fn between_multiplexors_of_several_streams_nothing_is_made_up() {
        let mut stat = stack();
        let mut second = stat.streams[1].clone();
        second.id = 9;
        stat.streams.push(second);
        let graph = Graph::of(&stat);
        let udp = graph.streams.iter().find(|s| s.name == "udp").unwrap();
        assert_eq!(udp.edges[0], Edge { up: None, down: None });
    }
}
