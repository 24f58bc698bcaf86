//! wire: rtnetlink messages as bytes, out of requests and into parts; no socket, no meaning.
//!
//! Numbers are in the byte order of the machine, parts start at multiples of four bytes
//! (netlink(7)).

/// A request under construction: header, fixed body, attributes.
pub(super) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of the given RTM_* type; NLM_F_REQUEST and NLM_F_ACK are added to the flags.
    pub(super) fn new(kind: u16, flags: libc::c_int, body: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16; // all NLM_F_* fit
        let mut request = Self { bytes: vec![0; HEADER_BYTES] };
        request.bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        request.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        request.append(body);
        request
    }

    /// Adds an attribute.
    pub(super) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(&attr_header(kind, value.len()));
        self.append(value);
        self
    }

    /// Adds an attribute of one 32 bit number.
    pub(super) fn attr_u32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute that holds a fixed body (may be empty) and what `fill` adds.
    pub(super) fn nest(mut self, kind: u16, body: &[u8], fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&attr_header(kind, 0));
        self.append(body);
        let mut filled = fill(self);
        let header = attr_header(kind, filled.bytes.len() - start - ATTR_HEADER_BYTES);
        filled.bytes[start..start + ATTR_HEADER_BYTES].copy_from_slice(&header);
        filled
    }

    /// The finished message.
    pub(super) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32; // requests have some hundred bytes
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn append(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

/// One message of a datagram from the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// RTM_* or NLMSG_*.
    pub(super) kind: u16,
    /// NLM_F_*.
    pub(super) flags: u16,
    /// The number of the request that it answers.
    pub(super) sequence: u32,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the first message off `datagram`; None if the rest is no whole message.
    pub(super) fn take(datagram: &mut &'a [u8]) -> Option<Self> {
        let length = u32_at(datagram, 0)? as usize;
        let body = datagram.get(HEADER_BYTES..length)?;
        let message = Self {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            sequence: u32_at(datagram, 8)?,
            body,
        };
        *datagram = datagram.get(align(length)..).unwrap_or_default();
        Some(message)
    }

    /// For NLMSG_ERROR and NLMSG_DONE: the errno (0: success) and the kernel's own words, if any.
    pub(super) fn outcome(&self) -> Option<(i32, Option<String>)> {
        let errno = i32::from_ne_bytes(*self.body.first_chunk()?).checked_neg()?;
        let has = |flag: libc::c_int| libc::c_int::from(self.flags) & flag != 0;
        if !has(libc::NLM_F_ACK_TLVS) {
            return Some((errno, None));
        }
        let mut skipped = 4;
        if libc::c_int::from(self.kind) == libc::NLMSG_ERROR {
            // The header of the request comes back, and its body too unless it was capped.
            let request_bytes = u32_at(self.body, 4)? as usize;
            let capped = has(libc::NLM_F_CAPPED);
            skipped += if capped { HEADER_BYTES } else { align(request_bytes) };
        }
        let text = attrs(self.body.get(skipped..).unwrap_or_default())
            .find(|&(kind, _)| kind == NLMSGERR_ATTR_MSG)
            .map(|(_, value)| text(value));
        Some((errno, text))
    }
}

/// The attributes in `bytes` as (type, value), up to the first malformed one.
pub(super) fn attrs(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(ATTR_HEADER_BYTES..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The text of an attribute, without its NUL.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// The 32 bit number at `offset`.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn attr_header(kind: u16, value_bytes: usize) -> [u8; ATTR_HEADER_BYTES] {
    let length = ((ATTR_HEADER_BYTES + value_bytes) as u16).to_ne_bytes(); // names and addresses
    let kind = kind.to_ne_bytes();
    [length[0], length[1], kind[0], kind[1]]
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// struct nlmsghdr.
const HEADER_BYTES: usize = 16;
/// struct nlattr.
const ATTR_HEADER_BYTES: usize = 4;
/// The two upper bits of an attribute's type are flags (linux/netlink.h).
const NLA_TYPE_MASK: u16 = 0x3fff;
/// The kernel's own words about an error (linux/netlink.h, enum nlmsgerr_attrs).
const NLMSGERR_ATTR_MSG: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn ne(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn requests_are_padded_and_carry_their_length() {
        let bytes = Request::new(libc::RTM_NEWLINK, libc::NLM_F_EXCL, &[7; 5])
            .attr(3, b"lo\0")
            .attr_u32(4, 0x0102_0304)
            .finish(9);
        assert_eq!(bytes.len(), 16 + 8 + 8 + 8);
        let mut rest = &bytes[..];
        let message = Message::take(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert_eq!((message.kind, message.sequence), (libc::RTM_NEWLINK, 9));
        let flags = libc::NLM_F_EXCL | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        assert_eq!(libc::c_int::from(message.flags), flags);
        let parts: Vec<_> = attrs(&message.body[8..]).collect();
        assert_eq!(parts, [(3, &b"lo\0"[..]), (4, &0x0102_0304_u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn nested_attributes_are_measured_after_they_are_filled() {
        let bytes = Request::new(libc::RTM_NEWLINK, 0, &[])
            .nest(18, &[], |r| r.attr(1, b"veth").nest(2, &[0; 4], |r| r.attr(3, b"a\0")))
            .finish(1);
        let (kind, outer) = attrs(&bytes[16..]).next().unwrap();
        assert_eq!((kind, outer.len()), (18, 8 + 4 + 4 + 8));
        let inner: Vec<_> = attrs(outer).collect();
        assert_eq!(inner[0], (1, &b"veth"[..]));
        assert_eq!(attrs(&inner[1].1[4..]).next(), Some((3, &b"a\0"[..])));
    }

    #[test]
    fn several_messages_in_one_datagram_are_taken_in_order() {
        let mut datagram = Request::new(20, 0, &[1; 6]).finish(1);
        datagram.extend(Request::new(21, 0, &[]).finish(2));
        let mut rest = &datagram[..];
        assert_eq!(Message::take(&mut rest).map(|m| m.kind), Some(20));
        assert_eq!(Message::take(&mut rest).map(|m| m.kind), Some(21));
        assert!(Message::take(&mut rest).is_none());
    }

    #[test]
    fn cut_and_lying_messages_are_refused_at_every_length() {
        let datagram = Request::new(20, 0, &[1; 8]).finish(1);
        for length in 0..datagram.len() {
            assert!(Message::take(&mut &datagram[..length]).is_none(), "{length}");
        }
        assert!(Message::take(&mut &ne(&[15, 0, 0, 0])[..]).is_none());
        assert_eq!(attrs(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attrs(&[0xff, 0xff, 1, 0, 1]).count(), 0);
    }

    #[test]
    fn the_errors_text_is_found_behind_a_capped_and_a_whole_request() {
        for capped in [true, false] {
            let mut body = (-libc::EINVAL).to_ne_bytes().to_vec();
            body.extend(ne(&[20, 0, 0, 0]));
            let mut flags = libc::NLM_F_ACK_TLVS;
            if capped {
                flags |= libc::NLM_F_CAPPED;
            } else {
                body.extend([0; 4]);
            }
            body.extend(attr_header(NLMSGERR_ATTR_MSG, 4));
            body.extend(b"why\0");
            let kind = libc::NLMSG_ERROR as u16;
            let message = Message { kind, flags: flags as u16, sequence: 0, body: &body };
            assert_eq!(message.outcome(), Some((libc::EINVAL, Some("why".to_owned()))));
        }
        let message = Message { kind: 2, flags: 0, sequence: 0, body: &[0, 0] };
        assert_eq!(message.outcome(), None);
    }
}
