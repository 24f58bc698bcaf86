//! IGMP: queries, reports, joins, leaves and time in any order; what is sent is sound.

use super::script::{Script, bytes_of, cells_out, sum};
use core::net::{IpAddr, Ipv4Addr};
use millstream_modules::ip::igmp::{GROUPS_MAX, Groups};
use millstream_modules::ip::route::{Interface, Net};
use millstream_modules::ip::{REQUEST_LEN, Request, View};
use millstream_msg::{MsgList, Pool, PoolConfig, checksum};

/// Bytes: steps of an operation each: join, leave, message, time.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut net = Net::new();
    for n in 0..2 {
        let index = net.add_interface(Interface::new(1500)).unwrap();
        net.add_address(index, [10, n, 0, 1].into(), 24).unwrap();
    }
    let mut pool = Pool::new(PoolConfig::TINY);
    let (mut groups, mut now) = (Groups::new(), 0_u64);
    let mut joined = 0_usize;
    while !script.is_over() {
        let op = script.byte();
        let interface = u16::from(op >> 6);
        let group =
            IpAddr::V4(Ipv4Addr::new(224 | op >> 3 & 1, 0, script.byte() & 3, script.byte()));
        match op & 3 {
            0 => joined += usize::from(groups.join(interface, group, now).is_ok()),
            1 => {
                groups.leave(interface, group, now);
            }
            2 => message(&mut groups, interface, op, now, script.piece(), &mut pool),
            _ => {
                now += u64::from(script.word()) << 22;
                let mut out = MsgList::new();
                groups.timer(now, u32::from(op), &net, &mut pool, &mut out);
                check(out, &mut pool);
            }
        }
        assert!(groups.next_deadline().is_none_or(|at| at < u64::MAX));
    }
    let _ = (joined, GROUPS_MAX);
    assert_eq!(cells_out(&mut pool), 0);
}

fn message(groups: &mut Groups, on: u16, op: u8, now: u64, bytes: &[u8], pool: &mut Pool) {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 9, 224, 0, 0, 1];
    packet.extend(bytes);
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    if op & 0x10 != 0 && bytes.len() >= 4 {
        packet[22..24].fill(0);
        let value = !sum(0, &packet[20..]);
        packet[22..24].copy_from_slice(&value.to_be_bytes());
    }
    let view = View::parse(&packet).unwrap();
    let Ok(msg) = pool.copy_from(0, &packet) else { return };
    let alert = op & 0x20 != 0;
    let _heard = groups.input(&msg, &view, on, alert, now, 7, checksum::sum_portable);
    pool.free(msg);
}

fn check(reports: MsgList, pool: &mut Pool) {
    for report in reports {
        let bytes = bytes_of(&report);
        pool.free(report);
        let request = Request::decode(&bytes).unwrap();
        assert!(request.ttl == 1 && request.router_alert && request.dst.is_multicast());
        let message = &bytes[REQUEST_LEN..];
        assert_eq!(sum(0, message), 0xffff);
        match message[0] {
            0x22 => {
                let records = usize::from(u16::from_be_bytes([message[6], message[7]]));
                assert_eq!(message.len(), 8 + 8 * records);
                assert!(records > 0);
            }
            0x12 | 0x16 | 0x17 => assert_eq!(message.len(), 8),
            other => panic!("a message of type {other}"),
        }
    }
}
