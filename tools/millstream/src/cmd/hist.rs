//! hist: how long messages wait in queues and how long modules work, and who holds them up.

use super::{Common, Failure};
use crate::render::{self, Table};
use millstream_host::ctl::{HistAction, HistReport, QueueReport, Request, Times};

/// Take the times of queues: waiting, service, and which queue blocks
///
/// hist tap0 on; hist tap0 show; hist tap0 0 show (the module at position 0); hist tap0 off.
/// Inbox: from the post of a message to its put procedure. Queue: from putq to getq. Service: put
/// and service procedures, per message. Taking times costs some hundred nanoseconds per dispatch.
#[derive(Debug, clap::Args)]
pub(crate) struct Hist {
    /// Name of the stream, as conf shows it
    stream: String,
    /// Position of a module, then on, off or show; all nodes of the stream without a position
    #[arg(value_name = "[POS] on|off|show", required = true, num_args = 1..=2)]
    rest: Vec<String>,
}

impl Hist {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { stream, rest } = self;
        let (pos, word) = match &rest[..] {
            [word] => (None, word),
            [pos, word, ..] => {
                let number = pos.parse::<usize>();
                let number = number.map_err(|_| Failure::Usage(format!("{pos} is no position")))?;
                (Some(number), word)
            }
            [] => return Err(Failure::Usage("say on, off or show".to_owned())),
        };
        let action = match word.as_str() {
            "on" => HistAction::On,
            "off" => HistAction::Off,
            "show" => HistAction::Show,
            other => return Err(Failure::Usage(format!("{other} is none of on, off, show"))),
        };
        let mut client = common.connect()?;
        let request = Request::Hist { stream: stream.clone(), pos, action };
        if action != HistAction::Show || common.json {
            let answer = client.ask(&request)?;
            match common.json {
                true => render::json(&answer),
                false => render::line(&switched(&stream, action, answer["queues"].as_u64())),
            }
            return Ok(());
        }
        let times: Times = client.ask_for(&request)?;
        if times.queues.is_empty() {
            return Err(Failure::Failed(format!(
                "no times are taken of {stream}: begin with millstream hist {stream} on"
            )));
        }
        render::line(&text(&times));
        Ok(())
    }
}

fn switched(stream: &str, action: HistAction, queues: Option<u64>) -> String {
    let queues = queues.unwrap_or_default();
    match action {
        HistAction::On => format!("times of {queues} more queues of {stream} are taken"),
        _ => format!("times of {queues} queues of {stream} are forgotten"),
    }
}

fn text(times: &Times) -> String {
    let columns = ["queue", "side", "time", ">count", ">p50", ">p90", ">p99", ">p99.9", ">max"];
    let mut table = Table::new(&columns);
    let mut blame = Vec::new();
    for queue in &times.queues {
        rows(&mut table, queue);
        for blocked in &queue.blocked {
            blame.push(format!(
                "{} {} was blocked {} by queue {} {} of {}",
                name(&queue.at.node, queue.at.pos),
                queue.at.side,
                render::time(blocked.ns),
                name(&blocked.by.node, blocked.by.pos),
                blocked.by.side,
                blocked.by.stream,
            ));
        }
    }
    let mut text = table.text();
    if !blame.is_empty() {
        text += "\n\n";
        text += &blame.join("\n");
    }
    text
}

/// A row for each kind of time that was taken at least once.
fn rows(table: &mut Table, queue: &QueueReport) {
    let kinds = [("inbox", &queue.inbox), ("queue", &queue.queue), ("service", &queue.service)];
    let mut first = Some([name(&queue.at.node, queue.at.pos), queue.at.side.clone()]);
    for (kind, hist) in kinds.into_iter().filter(|(_, hist)| hist.count > 0) {
        let [node, side] = first.take().unwrap_or_default();
        let mut cells = vec![node, side, kind.to_owned(), render::count(hist.count)];
        cells.extend(figures(hist));
        table.row(cells);
    }
}

fn figures(hist: &HistReport) -> [String; 5] {
    let max = Some(hist.max_ns);
    [hist.p50_ns, hist.p90_ns, hist.p99_ns, hist.p999_ns, max]
        .map(|ns| ns.map(render::time).unwrap_or_default())
}

fn name(node: &str, pos: Option<usize>) -> String {
    match pos {
        Some(pos) => format!("{node} ({pos})"),
        None => node.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_host::ctl::{Blocked, QueueAt};

    fn hist(count: u64, ns: u64) -> HistReport {
        let some = (count > 0).then_some(ns);
        HistReport {
            count,
            mean_ns: some,
            p50_ns: some,
            p90_ns: some,
            p99_ns: some,
            p999_ns: some,
            max_ns: ns,
            buckets: Vec::new(),
        }
    }

    #[test]
    fn times_are_a_table_and_blame_is_a_sentence() {
        let at = |node: &str, pos, side: &str| QueueAt {
            stream: "tap0".to_owned(),
            node: node.to_owned(),
            pos,
            side: side.to_owned(),
        };
        let by = at("tap0", None, "down");
        let queue = QueueReport {
            at: at("impair", Some(0), "down"),
            inbox: hist(1_200, 900),
            queue: hist(0, 0),
            service: hist(1_200, 40),
            blocked: vec![Blocked { by, ns: 3_100_000 }],
        };
        let shown = text(&Times { queues: vec![queue] });
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].starts_with("impair (0)  down  inbox    1,200  900 ns"), "{shown}");
        assert!(lines[2].starts_with("                  service  1,200   40 ns"), "{shown}");
        assert_eq!(lines[4], "impair (0) down was blocked 3.1 ms by queue tap0 down of tap0");
    }
}
