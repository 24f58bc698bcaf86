//! The books of tcp and ip, block by block, while connections open, carry data over a link that
//! loses, reorders and doubles, are reset, and close: `in + created == out + consumed + discarded
//! + held` at every moment.

mod two_hosts;

use millstream_core::tpi::{self, Primitive};
use millstream_core::{Audit, Perimeter, StreamId};
use millstream_msg::PoolConfig;
use millstream_msg::offload::Can;
use millstream_rig::{Faults, ms, secs};
use two_hosts::{Came, Two, pattern};

const PORT: u16 = 80;

fn bad_line() -> Faults {
    Faults {
        delay_ns: ms(5),
        jitter_ns: ms(2),
        loss_ppm: 20_000,
        reorder_ppm: 20_000,
        duplicate_ppm: 10_000,
        ..Faults::NONE
    }
}

fn joined(can: Can) -> Two {
    let mut two = Two::joined(0xa0d17, bad_line(), PoolConfig::STACK, can);
    for host in two.hosts {
        two.sim.perimeter(host.id).set_audit(true);
    }
    two
}

/// What is written down at a host; the law holds for each node.
fn books(p: &mut Perimeter) -> Audit {
    let audit = p.audit().unwrap_or_else(|why| panic!("{why}"));
    for node in &audit.nodes {
        let gone = node.put + node.consumed + node.discarded + node.queued;
        let balance = i128::from(node.taken + node.made) - i128::from(gone);
        assert_eq!(balance, i128::from(node.kept), "the law: {node:?}");
        assert!(node.kept >= 0, "{node:?} has given what it never had");
    }
    audit
}

/// Blocks that tcp and ip keep at a host.
fn kept(two: &mut Two, host: usize) -> [i64; 2] {
    let audit = books(two.sim.perimeter(two.hosts[host].id));
    ["tcp", "ip"].map(|name| {
        let node = audit.nodes.iter().find(|node| node.place.node == name);
        node.filter(|node| node.taken > 0).expect("an account").kept
    })
}

/// Time passes in small steps, and the books are right after each.
fn pass(two: &mut Two, millis: u64) {
    for _ in 0..millis {
        two.pass(ms(1));
        for host in two.hosts {
            books(two.sim.perimeter(host.id));
        }
    }
}

fn send(two: &mut Two, host: usize, stream: StreamId, request: &Primitive) {
    let p = two.sim.perimeter(two.hosts[host].id);
    let mut msg = p.pool().copy_from(0, request.as_bytes()).unwrap();
    msg.set_kind(request.kind());
    p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
}

/// Moves `len` octets of the pattern each way.
fn exchange(two: &mut Two, (client, server): (StreamId, StreamId), len: usize) {
    let bytes = pattern(0, len);
    let mut written = [0; 2];
    let mut got = [Vec::new(), Vec::new()];
    for _ in 0..20_000 {
        for (host, stream) in [client, server].into_iter().enumerate() {
            written[host] += two.write(host, stream, &bytes[written[host]..]);
            got[host].extend(two.read_some(host, stream, 50_000));
        }
        if got.iter().all(|got| got.len() == len) {
            assert!(got.iter().all(|got| *got == bytes), "other octets came");
            return;
        }
        pass(two, 1);
    }
    panic!("{written:?} written, {:?} came", got.map(|got| got.len()));
}

#[test]
fn tcp_books_are_exact_while_data_go_both_ways_over_a_bad_line() {
    for can in [Can::ALL, Can::NOTHING] {
        let mut two = joined(can);
        let listener = two.listen(1, PORT);
        for _ in 0..4 {
            let ends = two.connect(0, listener, PORT);
            exchange(&mut two, ends, 300_000);
            send(&mut two, 0, ends.0, &Primitive::ordrel_req());
            pass(&mut two, 300);
            assert_eq!(two.take(1, ends.1), [Came::Word(tpi::T_ORDREL_IND)]);
            two.close(1, ends.1);
            two.close(0, ends.0);
            pass(&mut two, 300);
        }
        // What is old is forgotten, TIME-WAIT too.
        two.pass(secs(200));
        for host in [0, 1] {
            assert_eq!(kept(&mut two, host), [0, 0], "host {host}");
        }
    }
}

#[test]
fn tcp_books_are_exact_when_connections_are_reset_with_data_under_way() {
    let mut two = joined(Can::ALL);
    let listener = two.listen(1, PORT);
    let ends: Vec<_> = (0..12).map(|_| two.connect(0, listener, PORT)).collect();
    let bytes = pattern(0, 200_000);
    for (client, server) in &ends {
        two.write(0, *client, &bytes);
        two.write(1, *server, &bytes);
    }
    pass(&mut two, 60);
    for (n, (client, server)) in ends.iter().enumerate() {
        match n % 4 {
            // The user gives up, keeps its stream, and reads nothing.
            0 => send(&mut two, 0, *client, &Primitive::discon_req(-1)),
            // It goes with data unread.
            1 => two.close(0, *client),
            2 => two.close(1, *server),
            // It goes while what the peer's reset left waits for it.
            _ => {
                send(&mut two, 1, *server, &Primitive::discon_req(-1));
                pass(&mut two, 100);
                two.close(0, *client);
            }
        }
        pass(&mut two, 20);
    }
    two.pass(secs(2000));
    for (host, streams) in [(0, 0), (1, 1)] {
        assert_eq!(kept(&mut two, host), [0, 0], "host {host}");
        for (n, ends) in ends.iter().enumerate() {
            let stream = [ends.0, ends.1][streams];
            let closed = matches!((n % 4, host), (1 | 3, 0) | (2, 1));
            if !closed {
                two.close(host, stream);
            }
        }
    }
    pass(&mut two, 100);
    two.pass(secs(200));
    for host in [0, 1] {
        assert_eq!(kept(&mut two, host), [0, 0], "host {host}");
    }
}

#[test]
fn tcp_books_tell_what_is_held_while_a_reader_sleeps_and_a_gap_is_open() {
    let mut two = joined(Can::NOTHING);
    let listener = two.listen(1, PORT);
    let (client, server) = two.connect(0, listener, PORT);
    two.write(0, client, &pattern(0, 400_000));
    let mut most = [0; 2];
    for _ in 0..300 {
        pass(&mut two, 1);
        for (host, most) in most.iter_mut().enumerate() {
            *most = kept(&mut two, host)[0].max(*most);
        }
    }
    assert!(most[0] > 2, "what is sent and not acknowledged: {most:?}");
    assert!(most[1] > 1, "what waits behind a gap: {most:?}");
    let mut got = Vec::new();
    for _ in 0..3000 {
        got.extend(two.read_some(1, server, 20_000));
        pass(&mut two, 1);
    }
    assert!(got.starts_with(&pattern(0, 130_000)), "{} octets", got.len());
    assert_eq!(kept(&mut two, 1)[0], 0, "nothing is left where all was read");
}
