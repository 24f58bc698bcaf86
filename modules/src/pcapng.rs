//! Writes pcapng blocks (draft-ietf-opsawg-pcapng) into a caller's buffer: section header,
//! interface description, enhanced packet, interface statistics. Little-endian, times in
//! nanoseconds, every block padded to 4 bytes with its length at both ends.

use alloc::vec::Vec;

/// What the first bytes of captured packets are (the registry of LINKTYPE_ values).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[non_exhaustive]
pub enum LinkType {
    /// Ethernet frames without preamble and checksum.
    Ethernet = 1,
    /// IPv4 or IPv6 packets.
    Raw = 101,
    /// Anything; whoever reads knows what (LINKTYPE_USER0).
    User = 147,
}

/// Which way a packet went, seen from the stack (`epb_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Direction {
    /// On its way up.
    Inbound = 1,
    /// On its way down.
    Outbound = 2,
}

/// What made the file, for its first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section<'a> {
    /// The machine (`shb_hardware`).
    pub hardware: &'a str,
    /// The operating system (`shb_os`).
    pub os: &'a str,
    /// The program (`shb_userappl`).
    pub application: &'a str,
    /// Anything else.
    pub comment: &'a str,
}

/// A packet but for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number of its interface: 0 is the one described first.
    pub interface: u32,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Bytes that it had.
    pub original_len: u32,
    /// Which way it went.
    pub direction: Direction,
    /// For people; nothing is written when it is empty.
    pub comment: &'a str,
}

/// Appends the block that begins a file (SHB). Empty texts are left out.
pub fn section_header(out: &mut Vec<u8>, section: &Section<'_>) {
    let start = begin(out, 0x0a0d_0d0a);
    put_u32(out, 0x1a2b_3c4d);
    put_u16(out, 1);
    put_u16(out, 0);
    // The section's length is not known beforehand.
    put_u64(out, u64::MAX);
    text_option(out, 2, section.hardware);
    text_option(out, 3, section.os);
    text_option(out, 4, section.application);
    text_option(out, COMMENT, section.comment);
    end_options(out);
    end(out, start);
}

/// Appends the description of an interface (IDB). The first one has number 0.
pub fn interface(out: &mut Vec<u8>, name: &str, link: LinkType, snaplen: u32) {
    let start = begin(out, 1);
    put_u16(out, link as u16);
    put_u16(out, 0);
    put_u32(out, snaplen);
    text_option(out, 2, name);
    // if_tsresol: times are in units of 10^-9 s.
    option(out, 9, &[9]);
    end_options(out);
    end(out, start);
}

/// Appends a packet (EPB). `fill` writes its `captured` bytes, which are 0 before.
pub fn packet(
    out: &mut Vec<u8>,
    packet: &Packet<'_>,
    captured: usize,
    fill: impl FnOnce(&mut [u8]),
) {
    let start = begin(out, 6);
    put_u32(out, packet.interface);
    put_time(out, packet.time_ns);
    put_u32(out, captured as u32);
    put_u32(out, packet.original_len);
    let at = out.len();
    out.resize(at + captured, 0);
    fill(&mut out[at..]);
    pad(out, start);
    option(out, 2, &(packet.direction as u32).to_le_bytes());
    text_option(out, COMMENT, packet.comment);
    end_options(out);
    end(out, start);
}

/// Appends what an interface has seen and lost by `time_ns` (ISB).
pub fn statistics(out: &mut Vec<u8>, interface: u32, time_ns: u64, received: u64, dropped: u64) {
    let start = begin(out, 5);
    put_u32(out, interface);
    put_time(out, time_ns);
    option(out, 4, &received.to_le_bytes());
    option(out, 5, &dropped.to_le_bytes());
    end_options(out);
    end(out, start);
}

/// Bytes that a packet's block has beside the packet and the comment, at most.
pub const PACKET_OVERHEAD: usize = 12 + 20 + 3 + 8 + 4 + 3 + 4;

const COMMENT: u16 = 1;

/// Begins a block; its length is filled in by [`end`].
fn begin(out: &mut Vec<u8>, block: u32) -> usize {
    let start = out.len();
    put_u32(out, block);
    put_u32(out, 0);
    start
}

fn end(out: &mut Vec<u8>, start: usize) {
    let len = (out.len() + 4 - start) as u32;
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    put_u32(out, len);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    // Longer texts would need more than the 16 bits of the length.
    let value = &value[..value.len().min(OPTION_MAX)];
    let start = out.len();
    put_u16(out, code);
    put_u16(out, value.len() as u16);
    out.extend_from_slice(value);
    pad(out, start);
}

fn text_option(out: &mut Vec<u8>, code: u16, text: &str) {
    if !text.is_empty() {
        option(out, code, &text.as_bytes()[..text.floor_char_boundary(OPTION_MAX)]);
    }
}

fn end_options(out: &mut Vec<u8>) {
    put_u32(out, 0);
}

/// Pads what began at `start`, itself a multiple of 4 bytes into its block.
fn pad(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.resize(start + len.next_multiple_of(4), 0);
}

fn put_time(out: &mut Vec<u8>, ns: u64) {
    put_u32(out, (ns >> 32) as u32);
    put_u32(out, ns as u32);
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Far more than anybody reads.
const OPTION_MAX: usize = 1 << 10;
