//! Programs on the data link of an interface, beside ip: frames like those of LLDP both ways.

use millstream::dlpi::{self, Address, build};
use millstream::plan::{Interface, Line, Plan};
use millstream::{OpenError, Priority, Stack, Stream, UdpSocket};
use millstream_core::Device;
use millstream_drivers::netns::Netns;
use millstream_drivers::{Raw, pair};
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::time::{Duration, Instant};

const LLDP: u16 = 0x88cc;
const LLDP_GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
/// Far above what anything here takes, also on a loaded machine.
const LONG: Duration = Duration::from_secs(20);

/// A stack on an interface that programs may open.
fn start(line: Line, address: &str) -> Result<Stack, String> {
    let interface = Interface { line, addresses: vec![address.parse().unwrap()] };
    let plan = Plan { interfaces: vec![interface], dlpi: true, ..Plan::default() };
    Stack::start(plan).map_err(|e| e.to_string())
}

/// A stream on the data link that takes LLDP, and our station.
fn lldp(stack: &Stack, interface: &str) -> (Stream, [u8; 6]) {
    let link = stack.open(interface).unwrap();
    link.set_read_timeout(Some(LONG));
    let ask = |request: dlpi::Primitive| {
        link.putmsg(Some(request.as_bytes()), None, Priority::Band(0)).unwrap();
        link.getmsg().unwrap().unwrap().control.unwrap()
    };
    let ack = ask(build::bind_req(LLDP));
    let here = dlpi::BindAck::new(&ack).unwrap().addr();
    let here = Address::parse(here, 0).unwrap();
    assert_eq!(here.sap, LLDP);
    assert!(dlpi::OkAck::new(&ask(build::multi_req(true, LLDP_GROUP))).is_ok());
    (link, here.mac)
}

fn send(link: &Stream, to: [u8; 6], data: &[u8]) {
    let request = build::unitdata_req(Address { mac: to, sap: LLDP });
    link.putmsg(Some(request.as_bytes()), Some(data), Priority::Band(0)).unwrap();
}

/// Sender, whether to many, and data of the next frame.
fn receive(link: &Stream) -> ([u8; 6], bool, Vec<u8>) {
    let message = link.getmsg().unwrap().unwrap();
    let control = message.control.unwrap();
    let ind = dlpi::UnitdataInd::new(&control).unwrap();
    let src = Address::parse(ind.src(), 0).unwrap();
    (src.mac, ind.group() != 0, message.data.unwrap_or_default())
}

#[test]
fn neighbours_hear_each_other_on_the_data_link_while_udp_goes_on_beside() {
    let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
    let (a, b) = pair(1500, macs);
    let a = start(Line::Pair("left".into(), a), "10.0.0.1/24").unwrap();
    let b = start(Line::Pair("right".into(), b), "10.0.0.2/24").unwrap();
    let (left, left_mac) = lldp(&a, "left");
    let (right, right_mac) = lldp(&b, "right");
    assert_eq!([left_mac, right_mac], macs);
    send(&left, LLDP_GROUP, b"I am left");
    assert_eq!(receive(&right), (left_mac, true, b"I am left".to_vec()));
    send(&right, left_mac, b"for you only");
    assert_eq!(receive(&left), (right_mac, false, b"for you only".to_vec()));

    let server = UdpSocket::bind(&b, "10.0.0.2:7".parse().unwrap()).unwrap();
    let client = UdpSocket::bind(&a, "10.0.0.1:0".parse().unwrap()).unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(LONG));
    }
    let mut buf = vec![0; 65_536];
    for len in [0, 100, 1472, 20_000] {
        client.send_to(&vec![7; len], server.local_addr()).unwrap();
        let (n, from) = server.recv_from(&mut buf).unwrap();
        assert_eq!((n, from), (len, client.local_addr()));
        server.send_to(&buf[..n], from).unwrap();
        assert_eq!(client.recv_from(&mut buf).unwrap(), (len, server.local_addr()));
    }
    // IP's frames are not LLDP's.
    left.set_nonblocking(true);
    assert_eq!(left.getmsg().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_frame_that_is_too_long_comes_back_and_an_unknown_interface_is_named() {
    let (a, _b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
    let stack = start(Line::Pair("left".into(), a), "10.0.0.1/24").unwrap();
    let (link, _) = lldp(&stack, "left");
    send(&link, LLDP_GROUP, &[0; 1501]);
    let control = link.getmsg().unwrap().unwrap().control.unwrap();
    assert_eq!(dlpi::UderrorInd::new(&control).unwrap().dl_errno(), dlpi::DL_BADDATA);
    let error = stack.open("right").unwrap_err();
    assert!(matches!(error, OpenError::NoDevice { .. }));
    assert_eq!(error.to_string(), "no device right: there are tcp, udp, ip, left, echo, loop, mux");
}

#[test]
fn a_program_on_a_tap_talks_lldp_with_the_kernels_side() {
    let name = "a_program_on_a_tap_talks_lldp_with_the_kernels_side";
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    netns
        .run(|| {
            let host = vec!["10.9.0.1/24".parse().unwrap()];
            let line = Line::Tap { name: "mill0".into(), host, plain: false };
            let stack = match start(line, "10.9.0.2/24") {
                Ok(stack) => stack,
                Err(why) => return eprintln!("skipped: {name}: {why}"),
            };
            let (link, mac) = lldp(&stack, "mill0");
            // A packet socket on the kernel's side of the TAP: what it sends comes to the stack.
            let mut kernel = Raw::open("mill0", None).unwrap();
            let mut pool = Pool::new(PoolConfig::TINY);
            let hello = [&LLDP_GROUP[..], &[2, 0, 0, 0, 0, 7], &[0x88, 0xcc], b"chassis"].concat();
            let mut batch: MsgList = std::iter::once(pool.copy_from(0, &hello).unwrap()).collect();
            kernel.send(&mut batch).unwrap();
            assert_eq!(receive(&link), ([2, 0, 0, 0, 0, 7], true, b"chassis".to_vec()));

            send(&link, LLDP_GROUP, b"port");
            let expected = [&LLDP_GROUP[..], &mac, &[0x88, 0xcc], b"port"].concat();
            let deadline = Instant::now() + LONG;
            let mut frames = MsgList::new();
            let mut seen = false;
            while !seen {
                assert!(Instant::now() < deadline, "the frame does not arrive");
                kernel.recv(&mut pool, &mut frames, 16).unwrap();
                seen = std::mem::take(&mut frames).any(|frame| frame.first() == expected);
                std::thread::yield_now();
            }
        })
        .unwrap();
}
