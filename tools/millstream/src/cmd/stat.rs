//! stat: counters of every node become a table, once or again and again.

use super::{Common, Failure};
use crate::render::{self, Table};
use millstream_host::ctl::{self, NodeStat, Request, SideStat};
use std::io::IsTerminal;
use std::time::Duration;

/// Show the counters of every module: messages, bytes, time, queues, drops
///
/// Times are those of one in 64 dispatches. Of each node the upper row is the read side (up), the
/// lower one the write side (down); "blocked" is the time that writers waited for room in its
/// queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Stat {
    /// Show what changed, per second, every so many seconds
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

impl Stat {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Some(secs) = self.watch else {
            let mut client = common.connect()?;
            if common.json {
                render::json(&client.ask(&Request::Stat {})?);
            } else {
                render::line(&text(&client.ask_for(&Request::Stat {})?, ""));
            }
            return Ok(());
        };
        // The one that is watched is the one that runs now.
        let common = Common { name: Some(common.connect()?.name().to_owned()), ..common.clone() };
        let mut before: ctl::Stat = common.connect()?.ask_for(&Request::Stat {})?;
        let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
        loop {
            std::thread::sleep(Duration::from_secs(secs));
            let now: ctl::Stat = common.connect()?.ask_for(&Request::Stat {})?;
            let rates = per_second(&before, &now);
            if common.json {
                render::json(&rates);
            } else {
                render::line(&format!("{clear}{}\n", text(&rates, " per second")));
            }
            before = now;
        }
    }
}

fn text(stat: &ctl::Stat, unit: &str) -> String {
    let columns = [
        "stream/module",
        ">pos",
        "side",
        ">msgs",
        ">bytes",
        ">msgs/call",
        ">queue",
        ">blocked",
        ">ns/msg",
        "dropped",
    ];
    let mut table = Table::new(&columns);
    for stream in &stat.streams {
        table.row([stream.name.clone()]);
        for node in &stream.nodes {
            // A multiplexor's counters are below; here only its queues of this stream count.
            if node.kind != "mux" || node.up.queue + node.down.queue > 0 {
                rows(&mut table, node);
            }
        }
    }
    table.row(["multiplexors".to_owned()]);
    for mux in &stat.muxes {
        rows(&mut table, mux);
    }
    let pool = &stat.pool;
    let kind = |k: &ctl::PoolKind| {
        format!("{} {}/{}", k.kind, render::count(k.out as u64), render::count(k.limit as u64))
    };
    let kinds: Vec<String> = pool.kinds.iter().map(kind).collect();
    let more = match stat.omitted {
        0 => String::new(),
        n => format!("\n{n} more streams"),
    };
    format!(
        "stack {}, up {}{unit}\n\n{}{more}\n\npool: {} of {} KiB; cells in use: {}; copied {} \
         bytes, pulled up {}, refused {}",
        stat.name,
        render::time(stat.uptime_ms * 1_000_000),
        table.text(),
        render::count(pool.memory_bytes as u64 / 1024),
        render::count(pool.limit_bytes as u64 / 1024),
        kinds.join(", "),
        render::count(pool.copied_bytes),
        render::count(pool.pulled_bytes),
        render::count(pool.refused),
    )
}

fn rows(table: &mut Table, node: &NodeStat) {
    let pos = node.pos.map(|pos| pos.to_string()).unwrap_or_default();
    let ns = node.ns_per_msg.map(render::count).unwrap_or_default();
    let drops = node.drops.iter().map(|(reason, n)| format!("{} {reason}", render::count(*n)));
    let drops = drops.collect::<Vec<_>>().join(", ");
    let names = [format!("  {}", node.name), String::new()];
    let last = [(ns, drops), (String::new(), String::new())];
    let sides = [("up", &node.up), ("down", &node.down)];
    for (((side, s), name), (ns, drops)) in sides.into_iter().zip(names).zip(last) {
        let pos = if side == "up" { pos.clone() } else { String::new() };
        table.row([
            name,
            pos,
            side.to_owned(),
            render::count(s.msgs),
            render::count(s.bytes),
            format!("{:.1}", s.msgs_per_call),
            s.queue.to_string(),
            render::time(s.blocked_ns),
            ns,
            drops,
        ]);
    }
}

/// Counters become their growth per second; queues stay what they are.
fn per_second(before: &ctl::Stat, now: &ctl::Stat) -> ctl::Stat {
    let ms = now.uptime_ms.saturating_sub(before.uptime_ms).max(1);
    let mut rates = now.clone();
    for stream in &mut rates.streams {
        let was = before.streams.iter().find(|s| s.id == stream.id && s.name == stream.name);
        // By place from the bottom: modules come and go, and a fresh one begins at zero.
        let was = was.map(|s| &s.nodes[..]).unwrap_or_default();
        for node in &mut stream.nodes {
            let same =
                |n: &&NodeStat| (&n.name, &n.kind, n.pos) == (&node.name, &node.kind, node.pos);
            let was = was.iter().find(same).cloned();
            grow(node, was.as_ref(), ms);
        }
    }
    for mux in &mut rates.muxes {
        let was = before.muxes.iter().find(|m| m.name == mux.name);
        grow(mux, was, ms);
    }
    let rate = |now: u64, before: u64| now.saturating_sub(before) * 1000 / ms;
    rates.pool.copied_bytes = rate(now.pool.copied_bytes, before.pool.copied_bytes);
    rates.pool.pulled_bytes = rate(now.pool.pulled_bytes, before.pool.pulled_bytes);
    rates.pool.refused = rate(now.pool.refused, before.pool.refused);
    rates
}

fn grow(node: &mut NodeStat, was: Option<&NodeStat>, ms: u64) {
    // A node that counted more before is another one of the same name.
    let same = |w: &&NodeStat| w.up.calls <= node.up.calls && w.down.calls <= node.down.calls;
    let Some(was) = was.filter(same) else { return };
    let rate = |now: &mut u64, was: u64| *now = now.saturating_sub(was) * 1000 / ms;
    let side = |now: &mut SideStat, was: &SideStat| {
        let calls = now.calls.saturating_sub(was.calls);
        let msgs = now.msgs.saturating_sub(was.msgs);
        now.msgs_per_call = if calls == 0 { 0.0 } else { msgs as f64 / calls as f64 };
        rate(&mut now.calls, was.calls);
        rate(&mut now.msgs, was.msgs);
        rate(&mut now.bytes, was.bytes);
        rate(&mut now.msgs_out, was.msgs_out);
        rate(&mut now.services, was.services);
        rate(&mut now.blocked_ns, was.blocked_ns);
    };
    side(&mut node.up, &was.up);
    side(&mut node.down, &was.down);
    let (ns, msgs) = (node.sampled_ns - was.sampled_ns, node.sampled_msgs - was.sampled_msgs);
    node.ns_per_msg = ns.checked_div(msgs);
    rate(&mut node.consumed, was.consumed);
    rate(&mut node.dropped, was.dropped);
    for (reason, count) in &mut node.drops {
        rate(count, was.drops.get(reason).copied().unwrap_or(0));
    }
    node.drops.retain(|_, count| *count > 0);
}
