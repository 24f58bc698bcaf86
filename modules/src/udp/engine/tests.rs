//! Datagrams and requests through the engine of `udp`.

use super::*;
use crate::udp::build;
use millstream_core::tpi;
use millstream_msg::{Gso, Offload, PoolConfig};

const PEER: [u8; 4] = [10, 0, 0, 9];
const OURS: [u8; 4] = [10, 0, 0, 1];

/// A super-datagram as `ip` hands it up.
fn packet(payload: usize, gso_size: u16, pool: &mut Pool) -> Msg {
    let mut msg = pool.copy_from(128, &alloc::vec![7; payload]).unwrap();
    let request = Request::new(OURS.into(), ip::protocol::UDP);
    build::send(&mut msg, 5000, 7, &request, Some(gso_size), pool).unwrap();
    let request = Request::take(&mut msg, pool).unwrap();
    ip::build::output(&mut msg, &request, PEER.into(), 0, pool).unwrap();
    msg
}

fn ask(engine: &mut Engine, user: u32, primitive: &Primitive, pool: &mut Pool) {
    let msg = primitive.to_msg(Kind::Proto, pool).unwrap();
    engine.output(user, msg, 1, pool);
    engine.out.up.clear();
}

#[test]
fn a_super_datagram_that_is_sent_back_stays_one() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut engine = Engine::new(Keyed::new(1));
    let user = engine.open();
    ask(&mut engine, user, &Primitive::bind_req((OURS, 7).into()), &mut pool);
    ask(&mut engine, user, &option::set(option::SUPER_DATAGRAMS, 1), &mut pool);

    let msg = packet(3000, 1000, &mut pool);
    engine.input(msg, &mut pool);
    let (_, mut msg) = engine.out.up.pop().unwrap();
    assert_eq!((msg.data_len(), msg.offload().gso_size), (3000, 1000));
    msg.first_mut().unwrap()[..4].copy_from_slice(&tpi::T_UNITDATA_REQ.to_ne_bytes());
    engine.output(user, msg, 1, &mut pool);

    let sent = engine.out.down.pop().unwrap();
    let Offload { gso, gso_size, .. } = sent.offload();
    assert_eq!((gso, gso_size), (Gso::Udp, 1000));
}

/// Users of the data that were handed up.
fn takers(engine: &mut Engine, pool: &mut Pool) -> Vec<u32> {
    let up = engine.out.up.drain(..);
    up.map(|(user, msg)| {
        pool.free(msg);
        user
    })
    .collect()
}

#[test]
fn a_peer_that_is_connected_to_goes_before_the_last_that_was_bound_to_the_port() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut engine = Engine::new(Keyed::new(1));
    let (first, second) = (engine.open(), engine.open());
    let wildcard = Primitive::bind_req(([0, 0, 0, 0], 7).into());
    for user in [first, second] {
        ask(&mut engine, user, &option::set(option::REUSE, 1), &mut pool);
        ask(&mut engine, user, &wildcard, &mut pool);
    }
    assert_eq!(engine.endpoints(), 2);
    let msg = packet(10, 1000, &mut pool);
    engine.input(msg, &mut pool);
    assert_eq!(takers(&mut engine, &mut pool), [second]);

    let conn = Primitive::conn_req((PEER, 5000).into());
    ask(&mut engine, first, &conn, &mut pool);
    let msg = packet(10, 1000, &mut pool);
    engine.input(msg, &mut pool);
    assert_eq!(takers(&mut engine, &mut pool), [first]);

    // Another peer's are for who is connected to nobody.
    let conn = Primitive::conn_req((PEER, 5001).into());
    ask(&mut engine, first, &Primitive::discon_req(-1), &mut pool);
    ask(&mut engine, first, &conn, &mut pool);
    let msg = packet(10, 1000, &mut pool);
    engine.input(msg, &mut pool);
    assert_eq!(takers(&mut engine, &mut pool), [second]);
}

#[test]
fn a_port_is_shared_while_all_who_have_it_say_so() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut engine = Engine::new(Keyed::new(1));
    let users: [u32; 3] = core::array::from_fn(|_| engine.open());
    let wanted = Primitive::bind_req((OURS, 7).into());
    // The first says so after it was bound.
    ask(&mut engine, users[0], &wanted, &mut pool);
    ask(&mut engine, users[1], &option::set(option::REUSE, 1), &mut pool);
    ask(&mut engine, users[1], &wanted, &mut pool);
    assert_eq!(engine.endpoints(), 1);
    ask(&mut engine, users[0], &option::set(option::REUSE, 1), &mut pool);
    ask(&mut engine, users[1], &wanted, &mut pool);
    assert_eq!(engine.endpoints(), 2);
    ask(&mut engine, users[2], &wanted, &mut pool);
    assert_eq!(engine.endpoints(), 2);
}
