//! Recordings: messages as they passed a place of a stream, with all that belongs to them, so that
//! they can be put in again. Written by `record`, read by `replay`.
//!
//! A recording is a head and entries, all numbers little-endian:
//!
//! | bytes | head |
//! |---|---|
//! | 8 | `MILLREC` and a 0 |
//! | 2 | version: 1 |
//! | 2 | length of the name |
//! | 8 | nanoseconds since 1970 at the beginning |
//! | | name of the place, UTF-8 |
//!
//! | bytes | entry |
//! |---|---|
//! | 4 | bytes of the whole entry |
//! | 8 | nanoseconds since 1970 |
//! | 1 | 0: on its way up, 1: on its way down, 2: messages were lost here |
//! | 1 | band |
//! | 2 | flags |
//! | 10 | offload: checksum needed (1), cut into (1), size, headers, start, offset (2 each) |
//! | 2 | interface or slot it is marked with |
//! | 4 | hash of its flow |
//! | 2 | parts, 1 to 64 |
//! | 8 each | a part: its type (1), 0 (3), its bytes (4) |
//! | | the bytes of all parts; of a loss their number (8) |
//!
//! A part is a run of blocks of one type. Where blocks were cut inside a run is not kept.

mod reader;

pub use reader::{Entry, Event, Fault, Parts, Reader};

use alloc::vec::Vec;
use millstream_core::Side;
use millstream_msg::Msg;

/// Appends the head of a recording made at `place`.
pub fn head(out: &mut Vec<u8>, time_ns: u64, place: &str) {
    let name = &place.as_bytes()[..place.floor_char_boundary(NAME_MAX)];
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
    out.extend_from_slice(&time_ns.to_le_bytes());
    out.extend_from_slice(name);
}

/// Appends a message. False, and nothing is appended, when it has more parts or bytes than an entry
/// takes.
#[must_use]
pub fn message(out: &mut Vec<u8>, time_ns: u64, side: Side, msg: &Msg) -> bool {
    let start = out.len();
    let offload = msg.offload();
    begin(out, time_ns, side as u8);
    out.push(msg.band().0);
    out.extend_from_slice(&msg.flags().bits().to_le_bytes());
    out.extend_from_slice(&[u8::from(offload.needs_csum), offload.gso as u8]);
    for word in [offload.gso_size, offload.hdr_len, offload.csum_start, offload.csum_offset] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&msg.ctx().to_le_bytes());
    out.extend_from_slice(&msg.flow_hash().to_le_bytes());
    let count_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let (mut count, mut last) = (0_u16, None);
    for block in msg.blocks() {
        if last != Some(block.kind()) {
            last = Some(block.kind());
            count += 1;
            out.extend_from_slice(&[block.kind() as u8, 0, 0, 0, 0, 0, 0, 0]);
        }
        let at = out.len() - 4;
        let len = u32::from_le_bytes([out[at], out[at + 1], out[at + 2], out[at + 3]]);
        out[at..].copy_from_slice(&(len + block.len() as u32).to_le_bytes());
    }
    out[count_at..count_at + 2].copy_from_slice(&count.to_le_bytes());
    let at = out.len();
    let fits = usize::from(count) <= PARTS_MAX && at - start + msg.len() <= ENTRY_MAX;
    if !fits {
        out.truncate(start);
        return false;
    }
    out.resize(at + msg.len(), 0);
    msg.copy_out(0, &mut out[at..]);
    end(out, start);
    true
}

/// Appends that so many messages are missing here.
pub fn lost(out: &mut Vec<u8>, time_ns: u64, count: u64) {
    let start = out.len();
    begin(out, time_ns, LOST);
    out.extend_from_slice(&[0; ENTRY_LEN - 4 - 8 - 1]);
    out.extend_from_slice(&count.to_le_bytes());
    end(out, start);
}

fn begin(out: &mut Vec<u8>, time_ns: u64, event: u8) {
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&time_ns.to_le_bytes());
    out.push(event);
}

fn end(out: &mut [u8], start: usize) {
    let len = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// The longest entry: a super-frame with its headers, and the parts. Bytes.
pub const ENTRY_MAX: usize = (1 << 16) + (1 << 12);

const MAGIC: &[u8; 8] = b"MILLREC\0";
const VERSION: u16 = 1;
/// Bytes of the head without the name.
const HEAD_LEN: usize = 20;
/// Bytes of an entry in front of its parts.
const ENTRY_LEN: usize = 34;
const LOST: u8 = 2;
const NAME_MAX: usize = 255;
/// Control and data are two; a chain of alternating types is nobody's.
const PARTS_MAX: usize = 64;
