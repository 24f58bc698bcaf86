//! Frames and requests of users of a data link, as any bytes: none brings it down, and nothing is
//! left behind.

use super::script::{Script, cells_out};
use millstream_core::dlpi::{self, View};
use millstream_core::{Config, Perimeter, StreamId};
use millstream_modules::dlpi::Dlpi;
use millstream_msg::{Kind, Pool, PoolConfig};
use millstream_rig::Probe;

/// Bytes: steps of three users and the line.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let pool = Pool::new(PoolConfig::TINY);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    let link = p.add_mux(Box::new(Dlpi::new()));
    let probe = Probe::new();
    let (wire, driver) = p.open_device("wire", Box::new(probe.clone()));
    p.link(link, wire).unwrap();
    let users: Vec<StreamId> = (0..3).map(|_| p.open_mux(link, "user").unwrap()).collect();
    for _ in 0..64 {
        if script.is_over() {
            break;
        }
        let op = script.byte();
        let user = users[usize::from(op >> 6) % users.len()];
        match op & 3 {
            0 => {
                if let Ok(frame) = p.pool().copy_from(64, script.piece()) {
                    probe.arrive(frame);
                    p.poll(driver, 8);
                }
            }
            1 => put(&mut p, user, Kind::Data, script.piece(), None),
            _ => {
                let control = words(&mut script);
                let data = (op & 4 != 0).then(|| script.piece());
                // What is no view is refused; what is one has its parts inside.
                if let Ok(View::UnitdataReq(view)) = View::new(&control) {
                    assert!(view.dest().len() <= control.len());
                }
                let kind = [Kind::Proto, Kind::PcProto, Kind::Ioctl][usize::from(op >> 3) % 3];
                put(&mut p, user, kind, &control, data);
            }
        }
        settle(&mut p, &users, &probe);
    }
    for user in users {
        p.close(user).unwrap();
    }
    settle(&mut p, &[], &probe);
    assert_eq!(cells_out(p.pool()), 0, "cells out at the end");
}

/// A number of DLPI, or any, and small words behind it.
fn words(script: &mut Script<'_>) -> Vec<u8> {
    let op = script.byte();
    let known = dlpi::PRIMITIVES[usize::from(op) % dlpi::PRIMITIVES.len()];
    let number = if op & 0x80 == 0 { known } else { i32::from(op) };
    let mut bytes = number.to_ne_bytes().to_vec();
    for pair in script.piece().chunks(2) {
        let word = u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]);
        bytes.extend(u32::from(word).to_ne_bytes());
    }
    bytes
}

fn put(p: &mut Perimeter, user: StreamId, kind: Kind, bytes: &[u8], data: Option<&[u8]>) {
    let Ok(mut msg) = p.pool().copy_from(64, bytes) else { return };
    msg.set_kind(kind);
    if let Some(data) = data {
        match p.pool().copy_from(64, data) {
            Ok(data) => msg.link(data),
            Err(_) => return p.pool().free(msg),
        }
    }
    if let Err((_, msg)) = p.putmsg(user, msg) {
        p.pool().free(msg);
    }
}

fn settle(p: &mut Perimeter, users: &[StreamId], probe: &Probe) {
    for _ in 0..100 {
        let more = p.turn(p.now(), 1000).more;
        while p.event().is_some() {}
        if !more {
            break;
        }
    }
    for user in users {
        while let Ok(Some(got)) = p.getmsg(*user) {
            for msg in [got.control, got.data].into_iter().flatten() {
                p.pool().free(msg);
            }
        }
    }
    for msg in probe.sent() {
        assert!(msg.len() <= 14 + 1500 || msg.kind() == Kind::Data);
        p.pool().free(msg);
    }
}
