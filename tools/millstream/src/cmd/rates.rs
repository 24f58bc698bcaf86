//! rates: two readings of the counters become one of what they grew by in a second.

use millstream_host::ctl::{self, NodeStat, SideStat};

/// Counters become their growth per second; queues stay what they are.
pub(crate) fn per_second(before: &ctl::Stat, now: &ctl::Stat) -> ctl::Stat {
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
    let ns = node.sampled_ns.saturating_sub(was.sampled_ns);
    let msgs = node.sampled_msgs.saturating_sub(was.sampled_msgs);
    node.ns_per_msg = ns.checked_div(msgs);
    rate(&mut node.consumed, was.consumed);
    rate(&mut node.dropped, was.dropped);
    for (reason, count) in &mut node.drops {
        rate(count, was.drops.get(reason).copied().unwrap_or(0));
    }
    node.drops.retain(|_, count| *count > 0);
}
