//! Frames, sound and not, made byte by byte: nothing of the stack helps to make them.

pub(crate) type Addr = [u8; 4];
pub(crate) type Mac = [u8; 6];

/// The stack.
pub(crate) const US: Addr = [10, 0, 0, 1];
/// A neighbour who behaves.
pub(crate) const PEER: Addr = [10, 0, 0, 9];
pub(crate) const PEER_MAC: Mac = [4, 0, 0, 0, 0, 9];

pub(crate) const fn our_mac(interface: u8) -> Mac {
    [2, 0, 0, 0, 0, interface + 1]
}

/// An IPv4 packet in a frame. Fields of `None` are what they should be.
#[derive(Clone, Debug)]
pub(crate) struct Ip {
    pub(crate) dst_mac: Mac,
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
    /// Flags and offset, as they stand in the header.
    pub(crate) fragment: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) total_len: Option<u16>,
    pub(crate) header_words: Option<u8>,
}

impl Ip {
    /// From the neighbour to the stack.
    pub(crate) fn to_us(protocol: u8) -> Self {
        Self {
            dst_mac: our_mac(0),
            src: PEER,
            dst: US,
            protocol,
            ttl: 64,
            id: 1,
            fragment: 0,
            options: Vec::new(),
            total_len: None,
            header_words: None,
        }
    }

    /// The frame. A UDP checksum of 0xffff (as [`udp`] leaves it) becomes the right one.
    pub(crate) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut payload = payload.to_vec();
        let whole = self.fragment & 0x3fff == 0;
        if self.protocol == 17 && whole && payload.len() >= 8 && payload[6..8] == [0xff, 0xff] {
            let sum = udp_sum(self.src, self.dst, &payload);
            payload[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        let packet = self.packet(&payload);
        [&self.dst_mac[..], &PEER_MAC, &[8, 0], &packet].concat()
    }

    /// The packet without a frame.
    pub(crate) fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        assert!(header_len.is_multiple_of(4), "options are whole words");
        let words = self.header_words.unwrap_or((header_len / 4) as u8);
        let total = self.total_len.unwrap_or((header_len + payload.len()) as u16);
        let mut bytes = vec![0x40 | words, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.src);
        bytes.extend(self.dst);
        bytes.extend(&self.options);
        bytes.extend(payload);
        let summed = (usize::from(words) * 4).clamp(20, bytes.len());
        let sum = !sum(0, &bytes[..summed]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// A fragment of the datagram `id` at byte `at`.
    pub(crate) fn piece(&self, id: u16, at: u16, more: bool, payload: &[u8]) -> Vec<u8> {
        let fragment = (at / 8) | if more { 0x2000 } else { 0 };
        Self { id, fragment, ..self.clone() }.frame(payload)
    }
}

/// A UDP header and data; the checksum is put in by [`Ip::frame`].
pub(crate) fn udp(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    udp_with(from, to, (8 + data.len()) as u16, 0xffff, data)
}

/// The same with any length and checksum.
pub(crate) fn udp_with(from: u16, to: u16, len: u16, csum: u16, data: &[u8]) -> Vec<u8> {
    let words = [from, to, len, csum];
    words.iter().flat_map(|word| word.to_be_bytes()).chain(data.iter().copied()).collect()
}

/// The right checksum of a datagram.
pub(crate) fn udp_sum(src: Addr, dst: Addr, datagram: &[u8]) -> u16 {
    let mut bytes = datagram.to_vec();
    bytes[6..8].fill(0);
    let pseudo = sum(17 + bytes.len() as u32, &[src, dst].concat());
    match !sum(u32::from(pseudo), &bytes) {
        0 => 0xffff,
        sum => sum,
    }
}

/// An ICMP echo message of type `kind`.
pub(crate) fn echo(kind: u8, id: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let [i0, i1] = id.to_be_bytes();
    let [s0, s1] = seq.to_be_bytes();
    icmp(kind, 0, [i0, i1, s0, s1], data)
}

/// An ICMP message with a right checksum.
pub(crate) fn icmp(kind: u8, code: u8, word: [u8; 4], data: &[u8]) -> Vec<u8> {
    with_sum([&[kind, code, 0, 0][..], &word, data].concat())
}

/// The checksum of ICMP and IGMP in its place.
pub(crate) fn with_sum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2..4].fill(0);
    let sum = !sum(0, &bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An ARP frame from `sender_mac`, to all.
pub(crate) fn arp(
    op: u16,
    sender_mac: Mac,
    sender: Addr,
    target_mac: Mac,
    target: Addr,
) -> Vec<u8> {
    arp_with([0, 1, 8, 0, 6, 4], op, sender_mac, sender, target_mac, target)
}

/// The same with any types and lengths.
pub(crate) fn arp_with(
    head: [u8; 6],
    op: u16,
    sender_mac: Mac,
    sender: Addr,
    target_mac: Mac,
    target: Addr,
) -> Vec<u8> {
    let mut bytes = [0xff; 6].to_vec();
    bytes.extend(sender_mac);
    bytes.extend([8, 6]);
    bytes.extend(head);
    bytes.extend(op.to_be_bytes());
    bytes.extend(sender_mac);
    bytes.extend(sender);
    bytes.extend(target_mac);
    bytes.extend(target);
    bytes
}

/// True for an ARP request for `address`.
pub(crate) fn asks_for(frame: &[u8], address: Addr) -> bool {
    frame.len() >= 42
        && frame[12..14] == [8, 6]
        && frame[20..22] == [0, 1]
        && frame[38..42] == address
}

/// What a sound packet says.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    pub(crate) protocol: u8,
    pub(crate) fragment: u16,
    pub(crate) payload: Vec<u8>,
}

/// Reads a frame of the stack and checks all its lengths and checksums.
pub(crate) fn parse(frame: &[u8]) -> Parsed {
    assert_eq!(frame[12..14], [8, 0], "an IPv4 frame: {frame:02x?}");
    let bytes = &frame[14..];
    let header = usize::from(bytes[0] & 15) * 4;
    assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len(), "total length");
    assert_eq!(sum(0, &bytes[..header]), 0xffff, "header checksum");
    let payload = bytes[header..].to_vec();
    let parsed = Parsed {
        src: bytes[12..16].try_into().unwrap(),
        dst: bytes[16..20].try_into().unwrap(),
        protocol: bytes[9],
        fragment: u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3fff,
        payload,
    };
    match parsed.protocol {
        1 | 2 if parsed.fragment == 0 => assert_eq!(sum(0, &parsed.payload), 0xffff, "checksum"),
        17 if parsed.fragment == 0 => {
            let sum = u16::from_be_bytes([parsed.payload[6], parsed.payload[7]]);
            assert_eq!(sum, udp_sum(parsed.src, parsed.dst, &parsed.payload), "UDP checksum");
        }
        _ => {}
    }
    parsed
}

/// The one's complement sum of big-endian words, the slow way.
pub(crate) fn sum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    words.fold(start, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    }) as u16
}
