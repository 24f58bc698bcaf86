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
