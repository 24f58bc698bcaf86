//! ICMP messages: read, answered, and errors made about them.

use super::script::{bytes_of, cells_out, sum};
use millstream_modules::ip::route::{Interface, Net};
use millstream_modules::ip::{IpDrop, REQUEST_LEN, Request, View, icmp};
use millstream_msg::{Pool, PoolConfig, checksum};

/// Bytes: where the chain is cut, whether the checksum is made right, then an IPv4 packet.
pub fn run(data: &[u8]) {
    let Some((&[cut, repair], packet)) = data.split_first_chunk() else { return };
    let mut packet = packet.to_vec();
    let Some(view) = View::parse(&packet) else { return };
    packet.truncate(usize::from(view.total_len));
    if packet.len() < usize::from(view.total_len) {
        return;
    }
    if repair & 1 != 0 && view.payload_len() >= 8 {
        let message = &mut packet[view.header()..];
        message[2..4].fill(0);
        let value = !sum(0, message);
        message[2..4].copy_from_slice(&value.to_be_bytes());
    }
    let mut net = Net::new();
    let index = net.add_interface(Interface::new(1500)).unwrap();
    net.add_address(index, [10, 0, 0, 1].into(), 24).unwrap();
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(64, &packet).unwrap();
    let at = view.header().max(usize::from(cut));
    if let Ok(rest) = msg.split_off(&mut pool, at.min(packet.len())) {
        msg.link(rest);
    }
    match icmp::input(&msg, &view, repair & 2 != 0, &net, checksum::sum_portable) {
        Ok(icmp::Received::EchoRequest) => {
            assert_eq!(repair & 2, 0, "to many");
            icmp::echo_reply(&mut msg, &view, &mut pool).unwrap();
            let bytes = bytes_of(&msg);
            let request = Request::decode(&bytes).unwrap();
            assert_eq!((request.dst, request.src), (view.src, Some(view.dst)));
            assert_eq!(sum(0, &bytes[REQUEST_LEN..]), 0xffff);
            assert_eq!(bytes[REQUEST_LEN], 0);
        }
        Ok(icmp::Received::Error(error)) => {
            assert_eq!(error.src, core::net::IpAddr::from([10, 0, 0, 1]));
        }
        Ok(_) => {}
        Err(IpDrop::IcmpShort) => assert!(view.payload_len() < 8),
        Err(_) => {}
    }
    pool.free(msg);
    error_about(&packet, &view, &net, &mut pool);
    assert_eq!(cells_out(&mut pool), 0);
}

/// An error about the packet, where one is allowed, is read as one.
fn error_about(packet: &[u8], view: &View, net: &Net, pool: &mut Pool) {
    let msg = pool.copy_from(128, packet).unwrap();
    if !icmp::may_send(&msg, view, false, net) {
        return pool.free(msg);
    }
    assert!(!view.src.is_multicast() && view.fragment_offset == 0);
    let cause = icmp::Cause::PacketTooBig(Some(1280));
    let error = icmp::send(msg, view, cause, None, pool).unwrap();
    let bytes = bytes_of(&error);
    pool.free(error);
    assert_eq!(Request::decode(&bytes).unwrap().dst, view.src);
    let message = &bytes[REQUEST_LEN..];
    assert!(message.len() <= icmp::QUOTE_MAX + 8);
    assert_eq!(sum(0, message), 0xffff);
    assert!(packet.starts_with(&message[8..]));
}
