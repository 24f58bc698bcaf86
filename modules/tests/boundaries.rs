//! A recording of all boundaries, read back by another implementation.

use millstream_core::tpi::Primitive;
use millstream_core::{Config, NodeId, Perimeter, StreamId};
use millstream_modules::boundaries::Boundaries;
use millstream_modules::capture::Sink;
use millstream_modules::null::Null;
use millstream_msg::{Kind, Pool, PoolConfig};
use millstream_rig::Probe;
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::sync::{Arc, Mutex};

/// A file in memory; it takes blocks while it is told to.
#[derive(Clone, Default)]
struct File(Arc<Mutex<(Vec<u8>, bool)>>);

impl Sink for File {
    fn write(&mut self, block: &[u8]) -> bool {
        let mut file = self.0.lock().unwrap();
        if !file.1 {
            file.0.extend_from_slice(block);
        }
        !file.1
    }
}

impl File {
    fn refuse(&self, refuses: bool) {
        self.0.lock().unwrap().1 = refuses;
    }
}

struct Lab {
    core: Perimeter,
    probe: Probe,
    stream: StreamId,
    driver: NodeId,
    file: File,
}

impl Lab {
    /// A stream of one module on a device, recorded.
    fn new() -> Self {
        let pool = Pool::new(PoolConfig::TINY);
        let mut core = Perimeter::new(Config { pool, seed: 1, clock: None });
        let (probe, file) = (Probe::new(), File::default());
        let (stream, driver) = core.open_device("tap0", Box::new(probe.clone()));
        core.push(stream, Box::new(Null)).unwrap();
        core.turn(0, 1000);
        core.start_spy(None, Box::new(Boundaries::new(Box::new(file.clone()), "lab", 64)));
        Self { core, probe, stream, driver, file }
    }

    fn arrive(&mut self, bytes: &[u8]) {
        let frame = self.core.pool().copy_from(0, bytes).unwrap();
        self.probe.arrive(frame);
        self.core.poll(self.driver, 32);
        self.core.turn(1_000_000, 1000);
    }

    /// Ends the recording: name, link type, packets of each interface, and what was lost.
    fn end(mut self) -> Vec<(String, DataLink, usize, u64)> {
        drop(self.core.stop_spy());
        let bytes = self.file.0.lock().unwrap().0.clone();
        let mut reader = PcapNgReader::new(&bytes[..]).unwrap();
        let mut all: Vec<(String, DataLink, usize, u64)> = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(interface) => {
                    let name = interface.options.iter().find_map(|option| match option {
                        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                        _ => None,
                    });
                    all.push((name.unwrap(), interface.linktype, 0, 0));
                }
                Block::EnhancedPacket(packet) => all[packet.interface_id as usize].2 += 1,
                Block::InterfaceStatistics(figures) => {
                    let lost = figures.options.iter().find_map(|option| match option {
                        InterfaceStatisticsOption::IsbIfDrop(lost) => Some(*lost),
                        _ => None,
                    });
                    all[figures.interface_id as usize].3 = lost.unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        all
    }
}

/// An Ethernet frame with an ARP packet of zeros.
fn frame() -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 6]);
    frame.extend([0; 28]);
    frame
}

fn row(name: &str, link: DataLink, packets: usize, lost: u64) -> (String, DataLink, usize, u64) {
    (name.to_owned(), link, packets, lost)
}

#[test]
fn every_boundary_is_an_interface_and_control_has_one_of_its_own() {
    let mut lab = Lab::new();
    lab.arrive(&frame());
    lab.arrive(&frame());
    let bind = Primitive::bind_req("10.0.0.1:7".parse().unwrap());
    let mut msg = lab.core.pool().copy_from(0, bind.as_bytes()).unwrap();
    msg.set_kind(Kind::Proto);
    lab.core.putmsg(lab.stream, msg).unwrap();
    lab.core.turn(2_000_000, 1000);
    let expected = [
        row("tap0 null(0)-tap0", DataLink::ETHERNET, 2, 0),
        row("tap0 head-null(0)", DataLink::ETHERNET, 2, 0),
        row("tap0 head-null(0) control", DataLink::USER0, 1, 0),
        row("tap0 null(0)-tap0 control", DataLink::USER0, 1, 0),
    ];
    assert_eq!(lab.end(), expected);
}

#[test]
fn what_the_file_does_not_take_is_counted_and_described_when_it_does() {
    let mut lab = Lab::new();
    lab.arrive(&frame());
    lab.file.refuse(true);
    lab.arrive(&frame());
    let text = lab.core.pool().copy_from(0, b"text").unwrap();
    lab.core.putmsg(lab.stream, text).unwrap();
    lab.core.turn(2_000_000, 1000);
    lab.file.refuse(false);
    let text = lab.core.pool().copy_from(0, b"text").unwrap();
    lab.core.putmsg(lab.stream, text).unwrap();
    lab.core.turn(3_000_000, 1000);
    let expected = [
        row("tap0 null(0)-tap0", DataLink::ETHERNET, 1, 1),
        row("tap0 head-null(0)", DataLink::ETHERNET, 1, 1),
        row("tap0 head-null(0) control", DataLink::USER0, 1, 0),
        row("tap0 null(0)-tap0 control", DataLink::USER0, 1, 0),
    ];
    assert_eq!(lab.end(), expected);
}

#[test]
fn a_change_of_the_chain_makes_new_boundaries() {
    let mut lab = Lab::new();
    lab.arrive(&frame());
    lab.core.pop(lab.stream).unwrap();
    lab.core.turn(2_000_000, 1000);
    lab.arrive(&frame());
    let names: Vec<String> = lab.end().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["tap0 null(0)-tap0", "tap0 head-null(0)", "tap0 head-tap0"]);
}
