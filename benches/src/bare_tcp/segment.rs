//! segment: bytes of a frame with a virtio-net header become what a bare program needs of a TCP
//! segment over IPv4, and back.

use millstream_msg::checksum::sum_portable;

/// Bytes of the virtio-net header in front of each frame.
pub(super) const VNET: usize = 10;

/// Bytes of the longest headers that we send: Ethernet, IPv4, TCP with the options of a SYN.
pub(super) const HEADERS: usize = ETHERNET + IP + TCP + 8;

const ETHERNET: usize = 14;
const IP: usize = 20;
const TCP: usize = 20;

/// Payload of a packet.
const MSS: u16 = 1460;

/// Bytes under way, either way. With more of them a cache no longer holds what is written until
/// it is read, and every line is slower.
pub(super) const WINDOW: u32 = 1 << 20;
const SCALE: u8 = 5;

/// Of the TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const FIN: Self = Self(1);
    pub(super) const SYN: Self = Self(2);
    pub(super) const RST: Self = Self(4);
    pub(super) const PSH: Self = Self(8);
    pub(super) const ACK: Self = Self(16);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A segment that has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) flags: Flags,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) window: u16,
    /// Of its window-scale option; 0 without.
    pub(super) scale: u8,
    /// Where its data begins in the bytes read, and how much it is.
    pub(super) data: usize,
    pub(super) len: u32,
    pub(super) reply: Reply,
}

/// Whom an answer goes to: addresses and ports, turned round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    macs: [u8; 12],
    addresses: [u8; 8],
    ports: [u8; 4],
}

impl Segment {
    /// `None` for whatever is no TCP over IPv4.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let frame = bytes.get(VNET..)?;
        if frame.get(12..14)? != [8, 0] || frame.get(ETHERNET)? != &0x45 || frame.get(23)? != &6 {
            return None;
        }
        let tcp = frame.get(ETHERNET + IP..)?;
        let word = |at: usize| Some(u32::from_be_bytes(*tcp.get(at..)?.first_chunk()?));
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        // Super-frames of 64 KiB have no length that fits; short frames are padded.
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let end = if total == 0 { frame.len() } else { frame.len().min(ETHERNET + total) };
        let begin = ETHERNET + IP + header;
        let turned = |at: usize, len: usize| {
            let mut turned = frame[at..at + len].to_vec();
            turned.rotate_left(len / 2);
            turned
        };
        Some(Self {
            flags: Flags(*tcp.get(13)?),
            seq: word(4)?,
            ack: word(8)?,
            window: u16::from_be_bytes(*tcp.get(14..)?.first_chunk()?),
            scale: scale(tcp.get(TCP..header)?),
            data: VNET + begin,
            len: end.checked_sub(begin)? as u32,
            reply: Reply {
                macs: turned(0, 12).try_into().ok()?,
                addresses: turned(26, 8).try_into().ok()?,
                ports: turned(34, 4).try_into().ok()?,
            },
        })
    }
}

/// The window-scale option among others.
fn scale(mut options: &[u8]) -> u8 {
    loop {
        options = match options {
            [3, 3, scale, ..] => return *scale,
            [1, rest @ ..] => rest,
            [2..=255, len, ..] => match options.get(usize::from(*len).max(2)..) {
                Some(rest) => rest,
                None => return 0,
            },
            _ => return 0,
        };
    }
}

impl Reply {
    pub(super) fn is_of(&self, segment: &Segment) -> bool {
        self.ports == segment.reply.ports
    }

    /// Writes the headers of a segment with `len` bytes of data; how long they are.
    pub(super) fn write(
        &self,
        out: &mut [u8; VNET + HEADERS],
        flags: Flags,
        seq: u32,
        ack: u32,
        len: usize,
    ) -> usize {
        let syn = flags.has(Flags::SYN);
        let tcp = if syn { TCP + 8 } else { TCP };
        let (vnet, frame) = out.split_at_mut(VNET);
        let all = ETHERNET + IP + tcp;
        frame[..12].copy_from_slice(&self.macs);
        frame[12..14].copy_from_slice(&[8, 0]);
        let total = ((IP + tcp + len) as u16).to_be_bytes();
        let ip = &mut frame[ETHERNET..ETHERNET + IP];
        ip[..10].copy_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 6]);
        ip[12..].copy_from_slice(&self.addresses);
        let sum = !sum_portable(ip);
        ip[10..12].copy_from_slice(&sum.to_ne_bytes());
        let segment = &mut frame[ETHERNET + IP..all];
        segment[..4].copy_from_slice(&self.ports);
        segment[4..8].copy_from_slice(&seq.to_be_bytes());
        segment[8..12].copy_from_slice(&ack.to_be_bytes());
        segment[12] = (tcp as u8 / 4) << 4;
        segment[13] = flags.0;
        // The window of a SYN is not scaled.
        let window = if syn { u16::MAX } else { (WINDOW >> SCALE) as u16 };
        segment[14..16].copy_from_slice(&window.to_be_bytes());
        // The pseudo-header's sum; the device adds the rest.
        let length = ((tcp + len) as u16).to_be_bytes();
        let mut pseudo = [0; 12];
        pseudo[..8].copy_from_slice(&self.addresses);
        pseudo[9] = 6;
        pseudo[10..].copy_from_slice(&length);
        segment[16..18].copy_from_slice(&sum_portable(&pseudo).to_ne_bytes());
        if syn {
            let [high, low] = MSS.to_be_bytes();
            segment[TCP..].copy_from_slice(&[2, 4, high, low, 1, 3, 3, SCALE]);
        }
        vnet[0] = 1; // NEEDS_CSUM
        vnet[2..4].copy_from_slice(&(all as u16).to_le_bytes());
        vnet[6..8].copy_from_slice(&((ETHERNET + IP) as u16).to_le_bytes());
        vnet[8..10].copy_from_slice(&16_u16.to_le_bytes());
        if len > usize::from(MSS) {
            vnet[1] = 1; // TCPV4
            vnet[4..6].copy_from_slice(&MSS.to_le_bytes());
        }
        VNET + all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_was_written_is_read_with_its_ends_turned_round() {
        let reply = Reply {
            macs: *b"to-macfrommm",
            addresses: [10, 9, 0, 2, 10, 9, 0, 1],
            ports: [0, 7, 200, 1],
        };
        let mut out = [0; VNET + HEADERS];
        let used = reply.write(&mut out, Flags::SYN | Flags::ACK, 5, 6, 0);
        let segment = Segment::of(&out[..used]).unwrap();
        assert_eq!((segment.seq, segment.ack, segment.len), (5, 6, 0));
        assert_eq!((segment.scale, segment.data), (SCALE, used));
        assert!(segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::FIN));
        assert_eq!(segment.reply.addresses, [10, 9, 0, 1, 10, 9, 0, 2]);
        assert_eq!(sum_portable(&out[VNET + ETHERNET..][..IP]), u16::MAX);
        let used = reply.write(&mut out, Flags::ACK, 5, 6, 64240);
        assert_eq!((used, out[1], out[VNET + 16..][..2] == [251, 24]), (64, 1, true));
    }

    #[test]
    fn cut_frames_and_odd_options_are_no_segments_and_no_panic() {
        let reply = Reply { macs: [0; 12], addresses: [0; 8], ports: [0; 4] };
        let mut out = [0; VNET + HEADERS];
        let used = reply.write(&mut out, Flags::SYN, 0, 0, 0);
        assert!((0..used - 8).all(|n| Segment::of(&out[..n]).is_none()));
        assert_eq!([scale(&[2, 0, 0]), scale(&[3]), scale(&[8, 200]), scale(&[0])], [0; 4]);
    }
}
