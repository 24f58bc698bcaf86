//! The TCP experiments work: every line gives figures. How large they are is not asked.

use millstream_benches::Experiment;
use millstream_benches::experiments::{
    change, churn, cost, fused, offloads, scale, shim, structures, tcp_bulk, tcp_conn, tcp_pair,
    tcp_rr,
};
use millstream_benches::lab::pin;
use millstream_benches::report::Options;
use millstream_drivers::netns::Netns;
use std::collections::BTreeSet;
use std::process::Command;

/// Runs an experiment for an instant, or the lines of it that contain `only`; all are there.
fn works(experiment: Experiment, only: Option<&str>, lines: usize) {
    if let Err(why) = Netns::new() {
        return eprintln!("skipped: a TCP experiment: {why}");
    }
    // In a thread of its own: it stays pinned.
    let two_cores = std::thread::spawn(|| pin(0).and_then(|()| pin(1))).join().unwrap();
    if let Err(why) = two_cores {
        return eprintln!("skipped: a TCP experiment: {why}");
    }
    let report = experiment(&Options::instant(only)).unwrap();
    let sides: BTreeSet<&str> = report.sides().collect();
    let notes: Vec<&str> = report.notes().collect();
    assert_eq!(sides.len(), lines, "{notes:?} {sides:?}");
}

#[test]
fn tcp_bulk_measures_the_kernel_both_ways() {
    works(tcp_bulk::run, Some("kernel"), 8);
}

#[test]
fn tcp_bulk_measures_modules_as_services_both_ways() {
    works(tcp_bulk::run, Some("in the shard"), 7);
}

#[test]
fn structures_measures_every_work_in_every_structure() {
    // Where `perf` is not installed, system calls are not counted.
    let counted = if Command::new("perf").arg("--version").output().is_ok() { 12 } else { 0 };
    // Layers do not poll.
    works(structures::run, None, 12 * 6 - 1 + counted);
}

#[test]
fn shim_measures_an_unchanged_echo_at_the_kernel_at_the_port_and_in_process() {
    works(shim::run, Some("one byte"), 8);
}

#[test]
fn shim_measures_intercepted_calls_against_plain_ones() {
    works(shim::run, Some("of a byte"), 2);
}

#[test]
fn offloads_measures_every_peer_with_and_without_them() {
    let kernel = if Command::new("ethtool").arg("--version").output().is_ok() { 3 } else { 0 };
    works(offloads::run, None, 3 * 5 + kernel);
}

#[test]
fn churn_measures_every_way_to_connect_and_what_idle_connections_take() {
    works(churn::run, None, 4 + 1);
}

#[test]
fn change_measures_requests_through_a_tap_while_modules_come_and_go() {
    works(change::run, Some("TAP"), 4 + 1);
}

#[test]
fn fused_measures_a_program_over_tcp_in_both_forms_and_through_the_tap() {
    // Without valgrind instructions are not counted.
    let counted = if Command::new("valgrind").arg("--version").output().is_ok() { 1 } else { 0 };
    works(fused::run, Some("TCP, a byte"), 2 + counted);
}

#[test]
fn cost_measures_datagrams_and_calls_and_what_they_copy() {
    works(cost::run, None, 3 + 3 + 2 + 2);
}

#[test]
fn scale_measures_one_client_and_several_in_every_structure() {
    works(scale::run, None, 2 * 6 + 2 * 2);
}

#[test]
fn tcp_rr_measures_all_its_lines() {
    works(tcp_rr::run, None, 18);
}

#[test]
fn tcp_conn_measures_all_its_lines() {
    works(tcp_conn::run, None, 12);
}

#[test]
fn tcp_pair_measures_all_its_lines() {
    works(tcp_pair::run, None, 3);
}
