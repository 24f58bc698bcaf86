//! wire: the frames that the two forms answer: those of one client at 10.9.0.1.

use crate::Trouble;
use crate::client::SUPER;
use crate::lab::PORT;
use bytes::Bytes;
use millstream_msg::offload::Offload;
use millstream_msg::{Gso, MsgList, NoMem, Pool, checksum};
use std::net::Ipv4Addr;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A datagram of 64 bytes.
    Small,
    /// A datagram that fills a frame.
    Full,
    /// 44 full datagrams as one super-frame: 64 KiB.
    Super,
}

pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(super) const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

const ETHERNET: usize = 14;
const HEADERS: usize = ETHERNET + 20 + 8;
/// Payload of a full frame.
const FULL: u16 = 1472;

static PAYLOAD: [u8; SUPER] = [b'x'; SUPER];

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 3] = [Self::Small, Self::Full, Self::Super];

    /// Bytes of payload.
    pub fn bytes(self) -> usize {
        match self {
            Self::Small => 64,
            Self::Full => usize::from(FULL),
            Self::Super => SUPER,
        }
    }

    /// So many of these frames.
    pub(super) fn frames(self, pool: &mut Pool, count: usize) -> Result<MsgList, Trouble> {
        let made = (0..count).map(|_| self.frame(pool)).collect::<Result<MsgList, NoMem>>();
        made.map_err(|why| why.to_string().into())
    }

    /// As a driver reads it: headers in a block of their own where the payload is long.
    fn frame(self, pool: &mut Pool) -> Result<millstream_msg::Msg, NoMem> {
        let headers = headers(self.bytes());
        let payload = &PAYLOAD[..self.bytes()];
        if self != Self::Super {
            return pool.copy_from(0, &[&headers, payload].concat());
        }
        let mut frame = pool.copy_from(0, &headers)?;
        frame.link(pool.wrap_bytes(Bytes::from_static(&PAYLOAD))?);
        frame.set_offload(Offload {
            needs_csum: true,
            gso: Gso::Udp,
            gso_size: FULL,
            hdr_len: HEADERS as u16,
            csum_start: (HEADERS - 8) as u16,
            csum_offset: 6,
        });
        Ok(frame)
    }
}

/// Ethernet, IPv4 and UDP. Without a checksum of UDP: it costs both forms the same.
fn headers(payload: usize) -> [u8; HEADERS] {
    let mut bytes = [0; HEADERS];
    bytes[..6].copy_from_slice(&OUR_MAC);
    bytes[6..12].copy_from_slice(&CLIENT_MAC);
    bytes[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    let ip = &mut bytes[ETHERNET..];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((payload + 28) as u16).to_be_bytes());
    ip[6] = 0x40;
    ip[8..10].copy_from_slice(&[64, 17]);
    ip[12..16].copy_from_slice(&CLIENT.octets());
    ip[16..20].copy_from_slice(&OURS.octets());
    let sum = !checksum::sum_portable(&ip[..20]);
    ip[10..12].copy_from_slice(&sum.to_ne_bytes());
    let udp = &mut ip[20..];
    udp[..2].copy_from_slice(&5555_u16.to_be_bytes());
    udp[2..4].copy_from_slice(&PORT.to_be_bytes());
    udp[4..6].copy_from_slice(&((payload + 8) as u16).to_be_bytes());
    bytes
}

/// A question for our link address, from which the client's is learned.
pub(super) fn question() -> [u8; 42] {
    let mut bytes = [0; 42];
    bytes[..6].fill(0xff);
    bytes[6..12].copy_from_slice(&CLIENT_MAC);
    bytes[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    bytes[22..28].copy_from_slice(&CLIENT_MAC);
    bytes[28..32].copy_from_slice(&CLIENT.octets());
    bytes[38..].copy_from_slice(&OURS.octets());
    bytes
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Small => "64 bytes",
            Self::Full => "1472 bytes",
            Self::Super => "super-frame of 64 KiB",
        })
    }
}
