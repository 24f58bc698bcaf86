//! Two hosts with the whole stack over a slow, lossy link, in virtual time: what arrives.

mod two_hosts;

use millstream_core::StreamId;
use millstream_core::tpi::option::Record;
use millstream_core::tpi::{self, Primitive};
use millstream_msg::PoolConfig;
use millstream_msg::offload::Can;
use millstream_rig::{Faults, ms};
use std::fmt::Write as _;
use two_hosts::Two;

const SEED: u64 = 0x10_55;
/// What the link carries, in Mbit/s.
const LINK: u64 = 50;

/// A link with a queue of a round trip, or 5 ms.
fn link(mbit: u64, rtt_ms: u64, loss_permille: u32) -> Faults {
    Faults {
        delay_ns: ms(rtt_ms) / 2,
        loss_ppm: loss_permille * 1000,
        rate_bps: mbit * 1_000_000,
        queue_ns: ms(rtt_ms.max(5)),
        ..Faults::NONE
    }
}

/// Hosts that are connected `count` times; the clients are at host 0. Segments go one by one.
fn connected(faults: Faults, controller: &[u8], count: usize) -> (Two, Vec<(StreamId, StreamId)>) {
    let calm = Faults { loss_ppm: 0, ..faults };
    let mut two = Two::joined(SEED, calm, PoolConfig::STACK, Can::default());
    let listener = two.listen(1, 80);
    let ends: Vec<_> = (0..count).map(|_| two.connect(0, listener, 80)).collect();
    for (client, _) in &ends {
        // TCP_CONGESTION.
        let record = Record { level: 6, name: 13, status: 0, value: controller };
        two.ask(0, *client, &Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record));
    }
    let link = two.link;
    two.sim.set_faults(link, faults);
    (two, ends)
}

/// The clients write all they can for this time; the octets that each server read.
fn bulk(two: &mut Two, ends: &[(StreamId, StreamId)], time_ms: u64) -> Vec<u64> {
    let zeros = vec![0; 65_536];
    let mut got = vec![0; ends.len()];
    for _ in 0..time_ms {
        for ((client, server), got) in ends.iter().zip(&mut got) {
            while two.write(0, *client, &zeros) == zeros.len() {}
            // More than the link brings in a millisecond.
            *got += two.read_some(1, *server, 32_768).len() as u64;
        }
        two.pass(ms(1));
    }
    got
}

#[test]
fn tcp_throughput_over_loss_and_round_trip_is_that_of_the_table() {
    let mut table = String::new();
    for controller in ["cubic", "reno"] {
        writeln!(table, "{controller}: Mbit/s of {LINK} over per mille lost").unwrap();
        writeln!(table, "  rtt ms      0      1     10     50").unwrap();
        for rtt in [1, 10, 30, 100] {
            write!(table, "{rtt:8}").unwrap();
            for permille in [0, 1, 10, 50] {
                let time_ms = 2000 + 60 * rtt;
                let (mut two, ends) =
                    connected(link(LINK, rtt, permille), controller.as_bytes(), 1);
                let got =
                    bulk(&mut two, &ends, time_ms)[0] as f64 * 8.0 / (time_ms as f64 * 1000.0);
                write!(table, "{got:7.2}").unwrap();
            }
            writeln!(table).unwrap();
        }
    }
    let known = include_str!("tcp_throughput.txt");
    assert!(is_like(&table, known), "seed {SEED:#x}, now:\n{table}");
}

/// Is every figure within a quarter of the known one? Which ACK carries what may change; less
/// than that is no change of how loss is dealt with.
fn is_like(table: &str, known: &str) -> bool {
    let (mut ours, mut theirs) = (table.split_whitespace(), known.split_whitespace());
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
                (Ok(a), Ok(b)) if (0.75..1.25).contains(&(a / b)) => {}
                _ => return false,
            },
            _ => return false,
        }
    }
}

#[test]
fn tcp_connections_share_a_link_within_a_tenth_after_twenty_round_trips() {
    for controller in ["cubic", "reno"] {
        let (mut two, ends) = connected(link(20, 20, 0), controller.as_bytes(), 2);
        bulk(&mut two, &ends, 20 * 20);
        let got = bulk(&mut two, &ends, 20_000);
        let (least, most) = (got[0].min(got[1]), got[0].max(got[1]));
        assert!(least * 10 >= most * 9, "seed {SEED:#x}, {controller}: {got:?}");
        assert!((least + most) * 8 > 20 * 20 * 900_000, "{controller} fills the link: {got:?}");
    }
}

/// Slow start ends where the queue is full, for whoever's segment does not fit: who loses first has
/// the smaller share, and it takes several reductions until that is made up for. On a longer or
/// faster link each of them is hundreds of round trips apart.
#[test]
fn tcp_connections_on_longer_and_faster_links_share_unevenly_and_none_starves() {
    for controller in ["cubic", "reno"] {
        for (mbit, rtt) in [(50, 10), (50, 30), (10, 50)] {
            let (mut two, ends) = connected(link(mbit, rtt, 0), controller.as_bytes(), 2);
            bulk(&mut two, &ends, 20 * rtt);
            let got = bulk(&mut two, &ends, 100 * rtt);
            let share = got[0].min(got[1]) as f64 / got[0].max(got[1]) as f64;
            println!("{controller}, {mbit} Mbit/s, {rtt} ms: {share:.2}");
            assert!(share > 0.2, "seed {SEED:#x}, {controller} {mbit} Mbit/s {rtt} ms: {got:?}");
        }
    }
}
