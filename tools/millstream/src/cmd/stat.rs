//! stat: counters of every node become a table, once or again and again.

use super::rates::per_second;
use super::{Common, Failure};
use crate::render::{self, Table};
use millstream_host::ctl::{self, NodeStat, Request};
use millstream_host::port::{Faults, PortStat, ProgramStat};
use std::io::IsTerminal;
use std::time::Duration;

/// Show the counters of every module: messages, bytes, time, queues, drops
///
/// Times are those of one in 61 dispatches. Of each node the upper row is the read side (up), the
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
    let calls = calls(stat);
    let programs = stat.programs.as_ref().map(programs).unwrap_or_default();
    format!(
        "stack {}, up {}{unit}\n\n{}{more}\n{calls}{programs}\n\
         pool: {} of {} KiB; cells in use: {}; copied {} bytes, pulled up {}, refused {}",
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

/// Programs of other processes, and what became of those that were sent away.
fn programs(stat: &PortStat) -> String {
    let mut text = String::new();
    for ProgramStat { pid, uid, sockets, memory, lent } in &stat.programs {
        let kib = render::count(*memory as u64 / 1024);
        text += &format!("\nprogram {pid} of user {uid}: sockets {sockets}, rings of {kib} KiB");
        if *lent > 0 {
            text += &format!(", {} KiB of the arena", render::count(*lent as u64 / 1024));
        }
    }
    let Faults { put, taken, call, strangers, crowd } = stat.faults;
    let faults = [
        ("closing", stat.leaving as u64),
        ("sent away: put too much", put),
        ("took too much", taken),
        ("called wrongly", call),
        ("not let in: of another user", strangers),
        ("too many", crowd),
    ];
    let some: Vec<_> = faults.iter().filter(|(_, count)| *count > 0).collect();
    if !some.is_empty() {
        let some: Vec<_> = some.iter().map(|(what, n)| format!("{what} {n}")).collect();
        text += &format!("\nprograms: {}", some.join(", "));
    }
    text
}

/// What happened to the calls of RPC: what is not 0, then each procedure. The streams of a stack
/// count together: the first one tells for all.
fn calls(stat: &ctl::Stat) -> String {
    let mut nodes = stat.streams.iter().flat_map(|stream| &stream.nodes);
    let Some(node) = nodes.find(|node| node.name == "rpc") else { return String::new() };
    let counts = node.fields.iter().filter_map(|(name, value)| Some((name, value.as_u64()?)));
    let counts = counts.filter(|(_, count)| *count > 0);
    let counts: Vec<_> = counts.map(|(name, n)| format!("{name} {}", render::count(n))).collect();
    let procedures = node.fields.get("procedure").and_then(serde_json::Value::as_array);
    let lines = procedures.into_iter().flatten().filter_map(serde_json::Value::as_str);
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    format!("\nrpc: {}\n{lines}", counts.join(", "))
}

fn rows(table: &mut Table, node: &NodeStat) {
    let pos = node.pos.map(|pos| pos.to_string()).unwrap_or_default();
    let ns = node.ns_per_msg.map(render::count).unwrap_or_default();
    let told = node.drops.iter().chain(&node.violations);
    let drops = told.map(|(reason, n)| format!("{} {reason}", render::count(*n)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_listed_and_those_sent_away_are_counted() {
        let program = ProgramStat { pid: 7, uid: 1000, sockets: 3, memory: 65_536, lent: 0 };
        let faults = Faults { put: 2, crowd: 1, ..Faults::default() };
        let stat = PortStat { programs: vec![program], faults, ..PortStat::default() };
        let text = programs(&stat);
        assert!(text.contains("program 7 of user 1000: sockets 3, rings of 64 KiB"), "{text}");
        assert!(text.ends_with("programs: sent away: put too much 2, too many 1"), "{text}");
        assert_eq!(programs(&PortStat::default()), "");
        let program = ProgramStat { lent: 33_000, ..ProgramStat::default() };
        let stat = PortStat { programs: vec![program], ..PortStat::default() };
        assert!(programs(&stat).ends_with("rings of 0 KiB, 32 KiB of the arena"));
    }
}
