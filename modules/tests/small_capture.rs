//! capture at a stream, read back by another implementation, and the blocks that it writes.

mod small_kit;

use millstream_modules::capture::{Capture, Sink};
use millstream_modules::pcapng::{self, Direction, LinkType, Packet, Section};
use millstream_msg::{Gso, Kind, Offload};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use small_kit::*;
use std::sync::{Arc, Mutex};

/// A file in memory that takes so many writes.
#[derive(Clone)]
struct File(Arc<Mutex<(Vec<u8>, usize)>>);

impl File {
    fn new(takes: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), takes))))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }
}

impl Sink for File {
    fn write(&mut self, block: &[u8]) -> bool {
        let mut file = self.0.lock().unwrap();
        if file.1 == 0 {
            return false;
        }
        file.1 -= 1;
        file.0.extend_from_slice(block);
        true
    }
}

fn capturing(takes: usize) -> (Stack, File) {
    let file = File::new(takes);
    let stack = Stack::with(Capture::new(Box::new(file.clone()), "tap0"));
    (stack, file)
}

/// Blocks of a file as another implementation reads them.
fn blocks(bytes: &[u8]) -> Vec<Block<'static>> {
    check_lengths(bytes);
    let mut reader = PcapNgReader::new(bytes).unwrap();
    let mut all = vec![Block::SectionHeader(reader.section().clone().into_owned())];
    while let Some(block) = reader.next_block() {
        all.push(block.unwrap().into_owned());
    }
    all
}

/// Every block is a multiple of 4 bytes and has its length at both ends.
fn check_lengths(mut bytes: &[u8]) {
    let word = |at: &[u8]| u32::from_le_bytes(at[..4].try_into().unwrap()) as usize;
    while !bytes.is_empty() {
        let len = word(&bytes[4..]);
        assert!(len >= 12 && len.is_multiple_of(4), "block of {len} bytes");
        assert_eq!(word(&bytes[len - 4..]), len);
        bytes = &bytes[len..];
    }
}

/// Interface, direction, length before, bytes and comment of each packet.
fn packets(bytes: &[u8]) -> Vec<(u32, u32, u32, Vec<u8>, String)> {
    let of = |block| {
        let Block::EnhancedPacket(packet) = block else { return None };
        let (mut flags, mut comment) = (0, String::new());
        for option in &packet.options {
            match option {
                EnhancedPacketOption::Flags(value) => flags = *value,
                EnhancedPacketOption::Comment(text) => comment = text.to_string(),
                _ => {}
            }
        }
        Some((packet.interface_id, flags, packet.original_len, packet.data.into_owned(), comment))
    };
    blocks(bytes).into_iter().filter_map(of).collect()
}

#[test]
fn another_implementation_reads_what_passed_both_ways() {
    let (mut s, file) = capturing(usize::MAX);
    let (down, up) = (frame(b"down"), frame(b"up, and longer"));
    let msg = s.msg(&down);
    s.down(msg);
    let msg = s.msg(&up);
    s.up(msg);
    s.turn(0);
    assert_eq!((bytes(&s.sent()[0]), bytes(&s.received()[0])), (down.clone(), up.clone()));
    let none = String::new();
    let mut got = packets(&file.bytes());
    got.sort();
    let (up_len, down_len) = (up.len() as u32, down.len() as u32);
    assert_eq!(got, [(0, 1, up_len, up, none.clone()), (1, 2, down_len, down, none)]);
    assert_eq!((s.count("up.captured"), s.count("down.captured")), (1, 1));
}

#[test]
fn interfaces_are_named_after_the_place_and_direction() {
    let (_s, file) = capturing(usize::MAX);
    let name = |block: &Block<'_>| {
        let Block::InterfaceDescription(interface) = block else { return None };
        let resolution = interface.options.contains(&InterfaceDescriptionOption::IfTsResol(9));
        assert!(resolution, "{interface:?}");
        interface.options.iter().find_map(|option| match option {
            InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
            _ => None,
        })
    };
    let names: Vec<_> = blocks(&file.bytes()).iter().filter_map(name).collect();
    assert_eq!(names, ["tap0-up", "tap0-down"]);
}

#[test]
fn packets_have_the_time_of_day_in_nanoseconds() {
    let (mut s, file) = capturing(usize::MAX);
    let wall = 1_700_000_000_123_456_789;
    s.p.set_wall_offset(wall);
    let msg = s.msg(&frame(b"x"));
    s.down(msg);
    s.turn(5);
    let bytes = file.bytes();
    // The block's own words: readers disagree about units.
    let at = bytes.len() - bytes_of_last_block(&bytes);
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    assert_eq!(word(at + 12) << 32 | word(at + 16), wall + 5);
}

fn bytes_of_last_block(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[bytes.len() - 4..].try_into().unwrap()) as usize
}

#[test]
fn snaplen_cuts_the_copy_and_keeps_the_length() {
    let (mut s, file) = capturing(usize::MAX);
    s.set("snaplen=20");
    let before = s.p.pool().stats().copied_bytes;
    let plain = frame(&[7; 500]);
    let msg = s.msg(&plain);
    s.down(msg);
    s.turn(0);
    let copied = s.p.pool().stats().copied_bytes - before;
    assert_eq!(copied, 514 + 20, "the test's own copy and that of the capture");
    let got = packets(&file.bytes());
    assert_eq!((got[0].2, &got[0].3[..]), (514, &plain[..20]));
    assert_eq!(s.sent()[0].len(), 514);
}

#[test]
fn a_super_frame_is_recorded_whole_with_what_it_stands_for() {
    let (mut s, file) = capturing(usize::MAX);
    let mut msg = s.msg(&frame(&[0; 40 + 3000]));
    msg.set_offload(Offload {
        needs_csum: true,
        gso: Gso::TcpV4,
        gso_size: 1000,
        hdr_len: 54,
        csum_start: 34,
        csum_offset: 16,
    });
    s.up(msg);
    s.turn(0);
    let (_, _, len, data, comment) = packets(&file.bytes()).remove(0);
    assert_eq!((len, data.len()), (3054, 3054));
    assert_eq!(
        comment,
        "super-frame TcpV4: 3 packets of up to 1000 bytes of payload; \
         checksum at byte 50 not filled in yet"
    );
    assert!(s.received()[0].offload().is_super());
}

#[test]
fn direction_leaves_the_other_one_out() {
    let (mut s, file) = capturing(usize::MAX);
    s.set("direction=down");
    let msg = s.msg(&frame(b"up"));
    s.up(msg);
    let msg = s.msg(&frame(b"down"));
    s.down(msg);
    s.turn(0);
    assert_eq!(packets(&file.bytes()).len(), 1);
    assert_eq!((s.count("up.captured"), s.count("down.captured")), (0, 1));
}

#[test]
fn what_the_file_does_not_take_is_counted_and_traffic_goes_on() {
    let (mut s, file) = capturing(2);
    for n in 0..3 {
        let msg = s.msg(&numbered(n, 60));
        s.down(msg);
    }
    s.turn(0);
    assert_eq!((s.count("down.captured"), s.count("down.lost")), (1, 2));
    assert_eq!((packets(&file.bytes()).len(), s.sent().len()), (1, 3));
}

#[test]
fn a_file_that_takes_nothing_refuses_the_module() {
    let mut s = Stack::new(1);
    let capture = Capture::new(Box::new(File::new(0)), "tap0");
    assert!(s.p.push(s.stream, Box::new(capture)).is_err());
    assert_eq!(s.p.chain(s.stream).unwrap().len(), 2);
}

#[test]
fn taking_it_out_ends_the_file_with_its_counters() {
    let (mut s, file) = capturing(usize::MAX);
    for n in 0..3 {
        let msg = s.msg(&numbered(n, 60));
        s.down(msg);
    }
    s.turn(0);
    s.p.pop(s.stream).unwrap();
    let seen = |block| match block {
        Block::InterfaceStatistics(statistics) => {
            let count = statistics.options.iter().find_map(|option| match option {
                InterfaceStatisticsOption::IsbIfRecv(n) => Some(*n),
                _ => None,
            });
            count.map(|n| (statistics.interface_id, n))
        }
        _ => None,
    };
    let seen: Vec<_> = blocks(&file.bytes()).into_iter().filter_map(seen).collect();
    assert_eq!(seen, [(0, 0), (1, 3)]);
}

#[test]
fn messages_that_are_no_frames_are_recorded_where_asked() {
    for (link, count) in [(LinkType::Ethernet, 0), (LinkType::User, 1)] {
        let file = File::new(usize::MAX);
        let capture = Capture::new(Box::new(file.clone()), "udp").with_link(link);
        let mut s = Stack::with(capture);
        let mut proto = s.msg(b"primitive");
        proto.set_kind(Kind::Proto);
        s.up(proto);
        s.turn(0);
        let got = packets(&file.bytes());
        assert_eq!(got.len(), count);
        assert!(got.iter().all(|packet| packet.4 == "type Proto"));
        assert_eq!(s.received().len(), 1);
    }
}

#[test]
fn settings_are_checked_and_the_file_is_fixed() {
    let (mut s, _file) = capturing(usize::MAX);
    assert_eq!(s.set_error("snaplen=13"), "snaplen=13: bytes from 14 to 262144");
    assert_eq!(s.set_error("direction=left"), "direction=left: one of both, up, down");
    assert!(s.set_error("file=/tmp/other").contains("fixed when the module was made"));
    s.set("link=ethernet");
}

#[test]
fn blocks_of_every_length_are_padded() {
    let mut out = Vec::new();
    let section = Section { hardware: "x86", os: "Linux", application: "test", comment: "four" };
    pcapng::section_header(&mut out, &section);
    pcapng::interface(&mut out, "lo", LinkType::Raw, 0);
    for len in 0..9 {
        let comment = &"comments"[..len.min(8)];
        let packet = Packet {
            interface: 0,
            time_ns: 1,
            original_len: len as u32,
            direction: Direction::Inbound,
            comment,
        };
        let start = out.len();
        pcapng::packet(&mut out, &packet, len, |bytes| bytes.fill(9));
        assert!(out.len() - start <= len + comment.len() + pcapng::PACKET_OVERHEAD);
    }
    let got = packets(&out);
    assert_eq!(got.len(), 9);
    for (len, packet) in got.iter().enumerate() {
        assert_eq!((&packet.3[..], packet.4.len()), (&vec![9; len][..], len.min(8)));
    }
    let Block::SectionHeader(header) = blocks(&out).remove(0) else { panic!() };
    assert!(header.options.contains(&SectionHeaderOption::OS("Linux".into())));
    assert!(header.options.contains(&SectionHeaderOption::Comment("four".into())));
}
