//! Ethernet headers and ARP: the parsers, and the engine with frames both ways and time.

use super::script::{Script, bytes_of, cells_out};
use core::net::Ipv4Addr;
use millstream_modules::actions::Actions;
use millstream_modules::arp::packet::Packet;
use millstream_modules::arp::{ArpDrop, Engine, LIVE_MAX, UNRESOLVED_MAX};
use millstream_modules::ether;
use millstream_modules::hash::Keyed;
use millstream_msg::{Pool, PoolConfig};

const MAC: ether::Mac = [2, 0, 0, 0, 0, 1];

/// Bytes: steps; a frame from below, an ARP packet, a packet to send, time, an address.
pub fn run(data: &[u8]) {
    parsers(data);
    let mut script = Script(data);
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut engine = Engine::new(MAC, Keyed::new(3));
    let mut out: Actions<ArpDrop> = Actions::new();
    let mut now = 0;
    let own = Ipv4Addr::new(10, 0, 0, 1);
    engine.add_address(own, 24, now, &mut pool, &mut out).unwrap();
    while !script.is_over() {
        let op = script.byte();
        match op & 7 {
            0 => frame(&mut engine, script.piece(), now, &mut pool, &mut out),
            1 | 2 => {
                // Hardware and protocol as they should be; addresses near ours.
                let mut bytes = [0; 42];
                bytes[..12]
                    .copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, op]);
                bytes[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + (op >> 7)]);
                bytes[22..28].copy_from_slice(&[4, 0, 0, 0, 0, script.byte()]);
                bytes[28..32].copy_from_slice(&[10, 0, 0, script.byte()]);
                bytes[38..42].copy_from_slice(&[10, 0, 0, script.byte()]);
                frame(&mut engine, &bytes, now, &mut pool, &mut out);
            }
            3 | 4 => {
                let hop = Ipv4Addr::new(10, 0, op >> 6, script.byte());
                let header = ether::View {
                    dst: ether::unresolved(hop),
                    src: ether::UNSPECIFIED,
                    ethertype: 0x0800,
                };
                if let Ok(msg) = pool.copy_from(0, &header.to_bytes()) {
                    engine.output(msg, now, &mut pool, &mut out);
                }
            }
            5 => {
                let bytes = script.piece();
                if let Ok(msg) = pool.copy_from(0, bytes) {
                    engine.output(msg, now, &mut pool, &mut out);
                }
            }
            6 => {
                now += u64::from(script.word()) << 24;
                engine.timer(now, &mut pool, &mut out);
            }
            _ => {
                let address = Ipv4Addr::new(10, 0, 0, script.byte());
                engine.confirm(address, now, &mut out);
                if op & 0x80 != 0 {
                    engine.remove_address(address);
                } else {
                    let _ = engine.add_address(address, 24 + (op >> 4), now, &mut pool, &mut out);
                }
            }
        }
        settle(&mut out, &mut pool);
        let stats = engine.stats();
        assert!(stats.live <= LIVE_MAX && stats.unresolved <= UNRESOLVED_MAX);
    }
    engine.clear(&mut out);
    settle(&mut out, &mut pool);
    assert_eq!(cells_out(&mut pool), 0);
}

fn parsers(data: &[u8]) {
    if let Some(view) = ether::View::parse(data) {
        assert_eq!(view.to_bytes(), data[..ether::HEADER_LEN]);
    }
    if let Ok(packet) = Packet::parse(data) {
        assert_eq!(packet.to_bytes(), data[..28]);
    }
}

fn frame(engine: &mut Engine, bytes: &[u8], now: u64, pool: &mut Pool, out: &mut Actions<ArpDrop>) {
    if let Ok(msg) = pool.copy_from(0, bytes) {
        engine.input(msg, now, pool, out);
    }
}

/// What goes down is a whole frame that says where it comes from.
fn settle(out: &mut Actions<ArpDrop>, pool: &mut Pool) {
    for msg in std::mem::take(&mut out.down) {
        assert!(bytes_of(&msg).len() >= ether::HEADER_LEN);
        pool.free(msg);
    }
    std::mem::take(&mut out.up).for_each(|msg| pool.free(msg));
    out.dropped.drain(..).for_each(|(msg, _)| pool.free(msg));
}
