//! tcp is replaced while connections carry data: none is lost, and each octet comes once, in
//! order.

mod two_hosts;

use millstream_core::tpi;
use millstream_core::{Mux, PlumbError, Rng, StreamId, Value};
use millstream_modules::tcp::Tcp;
use millstream_modules::tcp2::Tcp2;
use millstream_rig::{Faults, ms, secs};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use two_hosts::{Came, Two, pattern};

/// A path with a delay and losses, so that timers, retransmissions and data out of order are there
/// when the state moves.
const PATH: Faults = Faults { delay_ns: 3_000_000, loss_ppm: 20_000, ..Faults::NONE };

/// Connections from host 0 to host 1: client and server.
fn connections(two: &mut Two, count: usize) -> Vec<(StreamId, StreamId)> {
    let listener = two.listen(1, 80);
    // The stations are known before many call at once.
    let mut all = vec![two.connect(0, listener, 80)];
    while all.len() < count {
        let clients: Vec<_> = (0..500.min(count - all.len())).map(|_| two.call(0, 80)).collect();
        let mut servers = HashMap::new();
        for _ in &clients {
            let (server, from) = two.accept(1, listener);
            servers.insert(from, server);
        }
        for (client, port) in clients {
            two.await_message(0, client);
            assert_eq!(two.take(0, client), [Came::Word(tpi::T_CONN_CON)]);
            all.push((client, servers[&port]));
        }
    }
    all
}

/// Puts one in the place of the tcp of host 1.
fn replace(two: &mut Two, new: Box<dyn Mux>) -> Result<Duration, PlumbError> {
    let host = two.hosts[1];
    let p = two.sim.perimeter(host.id);
    let begun = Instant::now();
    p.replace_mux(host.tcp, new)?;
    Ok(begun.elapsed())
}

#[test]
fn ten_thousand_live_connections_go_on_in_the_second_version() {
    const COUNT: usize = 10_000;
    let mut two = Two::new(Faults { delay_ns: 500_000, ..Faults::NONE });
    let all = connections(&mut two, COUNT);
    // Data of each is on its way, in both directions, when the state moves.
    for (n, (client, server)) in all.iter().enumerate() {
        assert_eq!(two.write(0, *client, &pattern(n as u64, 100)), 100);
        assert_eq!(two.write(1, *server, &pattern(n as u64, 200)), 200);
    }
    let paused = replace(&mut two, Box::new(Tcp2::new(5))).unwrap();
    two.pass(ms(50));
    for (n, (client, server)) in all.iter().enumerate() {
        assert_eq!(two.write(0, *client, &pattern(n as u64 + 100, 100)), 100);
        assert_eq!(two.write(1, *server, &pattern(n as u64 + 200, 200)), 200);
    }
    replace(&mut two, Box::new(Tcp2::new(6))).unwrap();
    // What the hosts had no memory for comes again.
    two.pass(secs(5));
    for (n, (client, server)) in all.iter().enumerate() {
        let (up, down) = (two.read(1, *server), two.read(0, *client));
        assert_eq!((up.len(), down.len()), (200, 400), "{n}");
        assert!(up == pattern(n as u64, 200) && down == pattern(n as u64, 400), "{n}");
    }
    println!("10,000 connections changed hands in {paused:?}");
}

/// Writes and reads both ways over some connections until all of it has come, and lets `change`
/// do what it wants in between.
fn exchange(two: &mut Two, all: &[(StreamId, StreamId)], mut change: impl FnMut(&mut Two, u64)) {
    const TOTAL: usize = 1_000_000;
    let mut written = vec![[0; 2]; all.len()];
    let mut got = vec![[0; 2]; all.len()];
    let mut round = 0;
    while got.iter().flatten().any(|n| *n < TOTAL) {
        for (n, (client, server)) in all.iter().enumerate() {
            for (host, stream) in [(0, *client), (1, *server)] {
                let left = (TOTAL - written[n][host]).min(20_000);
                let bytes = pattern(written[n][host] as u64, left);
                written[n][host] += two.write(host, stream, &bytes);
                let bytes = two.read(host, stream);
                assert!(bytes == pattern(got[n][host] as u64, bytes.len()), "{n} at {host}");
                got[n][host] += bytes.len();
            }
        }
        round += 1;
        assert!(round < 100_000, "{got:?}");
        two.pass(ms(1));
        change(two, round);
    }
}

#[test]
fn replaced_again_and_again_under_loss_each_octet_comes_once_and_in_order() {
    let mut two = Two::new(PATH);
    let listener = two.listen(1, 80);
    let all: Vec<_> = (0..8).map(|_| two.connect(0, listener, 80)).collect();
    let mut rng = Rng::new(millstream_rig::seed(0x5eed));
    let mut replaced = 0;
    exchange(&mut two, &all, |two, _| {
        if rng.below(4) > 0 {
            replace(two, Box::new(Tcp2::new(rng.next_u64()))).unwrap();
            replaced += 1;
        }
    });
    assert!(replaced > 50, "{replaced}");
    for (client, server) in all {
        two.close(0, client);
        two.close(1, server);
    }
    two.close(1, listener);
    two.pass(secs(200));
    assert_eq!([two.cells(0), two.cells(1)], [0, 0]);
}

#[test]
fn tcp_refuses_the_state_of_the_second_version_which_goes_on() {
    let mut two = Two::new(PATH);
    let listener = two.listen(1, 80);
    let (client, server) = two.connect(0, listener, 80);
    replace(&mut two, Box::new(Tcp2::new(5))).unwrap();
    let refused = "the state is of another version of the module";
    exchange(&mut two, &[(client, server)], |two, _| {
        let back = replace(two, Box::new(Tcp::new(6)));
        assert_eq!(back.err(), Some(PlumbError::NotTaken(refused)));
    });
    let host = two.hosts[1];
    let view = two.sim.perimeter(host.id).mux_view(host.tcp).unwrap();
    assert_eq!(view.name, "tcp2");
    let largest = view.fields.0.iter().find(|(name, _)| *name == "up.largest");
    assert!(matches!(largest, Some((_, Value::Count(n))) if *n > 1500), "{largest:?}");
}

#[test]
fn a_timer_that_was_set_before_fires_in_the_successor() {
    let mut two = Two::new(Faults::NONE);
    let listener = two.listen(1, 80);
    let (client, server) = two.connect(0, listener, 80);
    two.sim.set_up(two.link, false);
    assert_eq!(two.write(1, server, b"lost"), 4);
    two.pass(ms(10));
    replace(&mut two, Box::new(Tcp2::new(5))).unwrap();
    two.sim.set_up(two.link, true);
    two.pass(ms(2_000));
    assert_eq!(two.read(0, client), b"lost");
}
