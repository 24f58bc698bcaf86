//! draw: a graph becomes lines of text, or graphviz's language.

use super::model::{Edge, Graph, Node, Rate, Strand};
use crate::render;

/// Streams top down, each as a column; a multiplexor at an end is named there.
pub(super) fn text(graph: &Graph) -> String {
    let mut lines = vec![format!("stack {}, per second", graph.name)];
    for strand in &graph.streams {
        lines.push(String::new());
        lines.push(strand.name.clone());
        for (at, node) in strand.nodes.iter().enumerate() {
            lines.push(format!("  {}", label(node)));
            if let Some(edge) = strand.edges.get(at) {
                lines.push(format!("    | {}", flow(edge)));
            }
        }
    }
    if graph.omitted > 0 {
        lines.push(format!("\n{} more streams", graph.omitted));
    }
    lines.join("\n")
}

/// A digraph with a cluster for each stream's own nodes; multiplexors stand between them.
pub(super) fn dot(graph: &Graph) -> String {
    let mut lines = vec![
        format!("digraph {} {{", quoted(&graph.name)),
        "  rankdir=TB; node [shape=box, fontname=\"sans-serif\"];".to_owned(),
        "  edge [dir=both, fontname=\"sans-serif\", fontsize=10];".to_owned(),
    ];
    let mut muxes: Vec<&Node> = Vec::new();
    for (number, strand) in graph.streams.iter().enumerate() {
        cluster(&mut lines, number, strand);
        for mux in strand.nodes.iter().filter(|node| node.kind == "mux") {
            if !muxes.iter().any(|known| known.id == mux.id) {
                muxes.push(mux);
            }
        }
    }
    for mux in muxes {
        let (id, name) = (quoted(&mux.id), quoted(&mux.name));
        lines.push(format!("  {id} [label={name}, shape=trapezium, style=bold];"));
    }
    for strand in &graph.streams {
        for (pair, edge) in strand.nodes.windows(2).zip(&strand.edges) {
            let (above, below) = (quoted(&pair[0].id), quoted(&pair[1].id));
            lines.push(format!("  {above} -> {below} [label={}];", quoted(&flow(edge))));
        }
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

fn cluster(lines: &mut Vec<String>, number: usize, strand: &Strand) {
    let own = strand.nodes.iter().filter(|node| node.kind != "mux");
    let mut own = own.peekable();
    if own.peek().is_none() {
        return;
    }
    lines.push(format!("  subgraph cluster_{number} {{ label={};", quoted(&strand.name)));
    for node in own {
        lines.push(format!("    {} [label={}];", quoted(&node.id), quoted(&label(node))));
    }
    lines.push("  }".to_owned());
}

/// Name and what is remarkable.
fn label(node: &Node) -> String {
    let mut text = match node.pos {
        Some(pos) => format!("{} ({pos})", node.name),
        None if node.kind == "module" || node.kind == "head" => node.name.clone(),
        None => format!("{} ({})", node.name, node.kind),
    };
    for (count, what) in node.queue.into_iter().zip(["queued up", "queued down"]) {
        if count > 0 {
            text += &format!(", {} {what}", render::count(count as u64));
        }
    }
    if node.dropped > 0 {
        text += &format!(", {} dropped", render::count(node.dropped));
    }
    text
}

fn flow(edge: &Edge) -> String {
    let rate = |rate: Option<Rate>| match rate {
        None => "?".to_owned(),
        Some(Rate { msgs, bytes: None | Some(0) }) => format!("{} msgs", render::count(msgs)),
        Some(Rate { msgs, bytes: Some(bytes) }) => {
            format!("{} msgs {}B", render::count(msgs), render::short(bytes))
        }
    };
    format!("up {}, down {}", rate(edge.up), rate(edge.down))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::stack;
    use super::*;

    #[test]
    fn text_shows_streams_top_down_with_the_rate_of_each_edge() {
        let drawn = text(&Graph::of(&stack()));
        let expected = "stack lab, per second\n\nudp.1\n  head\n    | up 7 msgs 700B, \
                        down 4 msgs\n  udp (mux)\n";
        assert!(drawn.starts_with(expected), "{drawn}");
        let below = "  arp (0)\n    | up 9 msgs 900B, down 6 msgs 600B\n  tap0 (driver)";
        assert!(drawn.contains(below), "{drawn}");
    }

    #[test]
    fn dot_names_each_multiplexor_once_and_quotes_names() {
        let mut stat = stack();
        stat.name = "a \"b\\".to_owned();
        let drawn = dot(&Graph::of(&stat));
        assert!(drawn.starts_with("digraph \"a \\\"b\\\\\" {"), "{drawn}");
        assert_eq!(drawn.matches("shape=trapezium").count(), 2, "{drawn}");
        assert!(drawn.contains("\"ip\" -> \"tap0#1/1\" [label=\"up 8 msgs, down 5 msgs 500B\"];"));
        assert_eq!(drawn.matches('{').count(), drawn.matches('}').count());
    }
}
