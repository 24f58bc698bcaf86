//! trace: messages of a running stack are followed through all modules, and their ways told.

use super::{Common, Failure};
use crate::{decode, render};
use millstream_host::ctl::{Client, Request, Traced, TracedHop, TracedPath, Way};
use std::time::{Duration, Instant};

/// Follow messages through all modules
///
/// Messages are picked where they come to the stream, and followed wherever they go. Of each hop:
/// the module and the way, the headers, how long the message waited for it, how long the module
/// worked (its time for a batch divided by the messages), how long it held the message, and at the
/// end who dropped it and why. --match takes the terms of a rule of the module filter, without its
/// action: --match "udp dport 7 and not host 10.0.0.3".
#[derive(Debug, clap::Args)]
pub(crate) struct Trace {
    /// Name of the stream, as conf shows it
    stream: String,
    /// Follow so many messages
    #[arg(short, long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=64))]
    count: u64,
    /// Only messages that these terms are true of
    #[arg(short, long = "match", value_name = "TERMS")]
    matching: Option<String>,
    /// Only messages on their way up (from the device), or down
    #[arg(short, long, value_name = "up|down")]
    way: Option<WayName>,
    /// Give up after so many seconds; what was picked is told as far as it has come
    #[arg(short, long, value_name = "SECS", default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WayName {
    Up,
    Down,
}

impl Trace {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let mut client = common.connect()?;
        let way = self.way.map(|way| match way {
            WayName::Up => Way::Up,
            WayName::Down => Way::Down,
        });
        let count = self.count as usize;
        let Self { stream, matching, .. } = self;
        client.ask(&Request::Trace { stream: stream.clone(), way, matching, count })?;
        let deadline = Instant::now() + Duration::from_secs_f64(self.timeout);
        let mut told = 0;
        while told < count && Instant::now() < deadline {
            told += tell(common, &mut client, deadline, false)?;
        }
        if told < count {
            told += tell(common, &mut client, Instant::now(), true)?;
        }
        match told {
            0 => Err(Failure::Failed(format!(
                "no such message came to {stream} within {} s",
                self.timeout
            ))),
            _ => Ok(()),
        }
    }
}

/// Tells the paths that end by then, or that have not ended; how many.
fn tell(
    common: &Common,
    client: &mut Client,
    deadline: Instant,
    last: bool,
) -> Result<usize, Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    let wait_ms = left.min(WAIT).as_millis() as u64;
    let traced: Traced = client.ask_for(&Request::Traced { wait_ms, last })?;
    for path in &traced.paths {
        if common.json {
            render::json(path);
        } else {
            render::line(&text(path));
        }
    }
    Ok(traced.paths.len())
}

/// A path, each hop further in than the one before.
pub(crate) fn text(path: &TracedPath) -> String {
    let mut lines = vec![format!("message {}: {}", path.number, end(path))];
    let mut before = String::new();
    for (at, hop) in path.hops.iter().enumerate() {
        let indent = "  ".repeat(at.min(INDENT_MAX) + 1);
        lines.push(format!("{indent}{}{}", place(hop), times(hop)));
        // What has not changed is not told again.
        let now = decode::describe(hop);
        if now != before {
            lines.push(format!("{indent}     {now}"));
            before = now;
        }
        if let Some(stay) = &hop.stay {
            let how = if stay == "queued" { "in its queue" } else { "kept" };
            lines.push(format!("{indent}     {how} {}", render::time(hop.stayed_ns)));
        }
    }
    lines.join("\n")
}

fn end(path: &TracedPath) -> String {
    let last = path.hops.last();
    let at = last.map_or_else(String::new, |hop| format!("{} of {}", hop.node, hop.stream));
    match (path.end.as_deref(), &path.reason) {
        (Some("dropped"), Some(reason)) => format!("dropped by {at}: {reason}"),
        (Some("delivered"), _) => format!("delivered to the {at}"),
        (Some("sent"), _) => format!("sent by {at}"),
        (Some(end), _) => format!("{end} by {at}"),
        (None, _) => match last.and_then(|hop| hop.stay.as_deref()) {
            Some("queued") => format!("still in the queue of {at}"),
            Some(_) => format!("still kept by {at}"),
            None => format!("on its way after {at}"),
        },
    }
}

fn place(hop: &TracedHop) -> String {
    let pos = hop.pos.map(|pos| format!(" ({pos})")).unwrap_or_default();
    format!("{:<4} {}{pos} of {}", hop.side, hop.node, hop.stream)
}

fn times(hop: &TracedHop) -> String {
    let mut text = String::from(": ");
    if let Some(ns) = hop.waited_ns {
        text += &format!("waited {}, ", render::time(ns));
    }
    text += &format!("ran {}", render::time(hop.ran_ns));
    if hop.batch > 1 {
        text += &format!(", one of {}", hop.batch);
    }
    text
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 3600".to_owned()),
    }
}

/// One question's wait: the stack answers in good time before its client gives it up.
const WAIT: Duration = Duration::from_secs(10);

/// Hops beyond stand below each other.
const INDENT_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::{frame, hop, packet};

    fn path(end: Option<&str>, reason: Option<&str>) -> TracedPath {
        let packet = packet(17, &[0, 9, 0, 7, 0, 8, 0, 0]);
        let first = hop("ethernet", "M_DATA", &frame(0x0800, &packet));
        let ip = TracedHop {
            node: "ip".to_owned(),
            pos: None,
            waited_ns: Some(300),
            ran_ns: 2_000,
            batch: 3,
            stay: end.is_none().then(|| "kept".to_owned()),
            stayed_ns: 25_000_000,
            ..first.clone()
        };
        let (end, reason) = (end.map(str::to_owned), reason.map(str::to_owned));
        TracedPath { number: 1, hops: vec![first, ip], end, reason }
    }

    #[test]
    fn a_path_is_indented_and_headers_are_told_when_they_change() {
        let expected = "message 1: dropped by ip of tap0: ip_no_route\n  \
            up   arp (0) of tap0: ran 0\n       Ethernet 02:00:00:00:00:02 > \
            02:00:00:00:00:01, IPv4 10.0.0.1 > 10.0.0.2 ttl 64, UDP 9 > 7\n    \
            up   ip of tap0: waited 300 ns, ran 2.0 us, one of 3";
        assert_eq!(text(&path(Some("dropped"), Some("ip_no_route"))), expected);
    }

    #[test]
    fn what_has_not_ended_is_said_to_be_where_it_is() {
        let text = text(&path(None, None));
        assert!(text.starts_with("message 1: still kept by ip of tap0\n"), "{text}");
        assert!(text.ends_with("\n         kept 25.0 ms"), "{text}");
        let empty = TracedPath { number: 2, hops: Vec::new(), end: None, reason: None };
        assert!(super::text(&empty).starts_with("message 2: on its way"));
    }
}
