//! header: what a record or datagram begins with, as far as the module has to know: which call or
//! reply it is, and where the arguments or results begin.

use core::ops::Range;
use millstream_onc::auth::FLAVORS;
use millstream_onc::message::{self, Direction, Outcome, RPC_VERSION, Refused};
use millstream_onc::xdr::Decoder;

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// A call that can be looked at further.
    Call(CallHeader),
    /// A call that is refused before anybody looks for its program.
    Refused(u32, Outcome),
    /// A reply: its xid, how the call went (`None`: in no way that RFC 5531 knows), and where the
    /// results begin.
    Reply(u32, Option<Outcome>, usize),
    /// Neither: cut in its header, or of another type.
    Junk,
}

/// The header of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHeader {
    /// Number that the reply has too.
    pub xid: u32,
    /// Program, version, procedure.
    pub procedure: [u32; 3],
    /// Flavour of the credential.
    pub flavour: u32,
    /// Where the credential's body is.
    pub body: Range<usize>,
    /// Octets of the header; the arguments follow.
    pub len: usize,
}

impl Header {
    /// Reads the header of a message from its first octets: all, or [`HEADER_MAX`].
    #[inline]
    pub fn parse(octets: &[u8]) -> Self {
        // Nearly all of those that have to be fast: a call without credential.
        if let Some(words) = octets.first_chunk::<PLAIN>()
            && words[4..12] == [0, 0, 0, 0, 0, 0, 0, RPC_VERSION as u8]
            && words[24..PLAIN] == [0; 16]
        {
            let procedure = [word(words, 12), word(words, 16), word(words, 20)];
            let xid = word(words, 0);
            return Self::Call(CallHeader { xid, procedure, flavour: 0, body: 32..32, len: PLAIN });
        }
        parse(octets)
    }
}

fn parse(octets: &[u8]) -> Header {
    let mut from = Decoder::new(octets);
    match message::decode_start(&mut from) {
        Err(_) => Header::Junk,
        Ok((xid, Direction::Reply)) => {
            let outcome = message::decode_reply(&mut from).ok();
            Header::Reply(xid, outcome, from.position())
        }
        Ok((xid, Direction::Call)) => match message::decode_call(&mut from, FLAVORS) {
            Err(Refused::Answer(outcome)) => Header::Refused(xid, outcome),
            Err(Refused::Broken(_)) => Header::Junk,
            // A header that was read has these words, and its credential within it.
            Ok(_) => Header::Call(CallHeader {
                xid,
                procedure: [word(octets, 12), word(octets, 16), word(octets, 20)],
                flavour: word(octets, 24),
                body: 32..32 + word(octets, 28) as usize,
                len: from.position(),
            }),
        },
    }
}

/// The header of the reply of a call that went well, without mark.
#[inline]
pub fn success(xid: u32) -> [u8; SUCCESS_LEN] {
    let mut out = [0; SUCCESS_LEN];
    out[..4].copy_from_slice(&xid.to_be_bytes());
    out[7] = 1;
    out
}

/// Writes the header of a call, without mark, over `out`, which is [`call_len`] octets.
pub fn write_call(
    out: &mut [u8],
    xid: u32,
    [program, version, procedure]: [u32; 3],
    (flavour, body): (u32, &[u8]),
) {
    out.fill(0);
    let words = [xid, 0, RPC_VERSION, program, version, procedure, flavour, body.len() as u32];
    for (to, word) in out.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    for (to, octet) in out[32..].iter_mut().zip(body) {
        *to = *octet;
    }
}

/// Octets of the header of a call with a credential of so many.
pub const fn call_len(body: usize) -> usize {
    PLAIN + body.next_multiple_of(4)
}

/// The word at `at`, as on the wire; 0 where there is none.
#[inline]
pub(crate) fn word(octets: &[u8], at: usize) -> u32 {
    let word = octets.get(at..).and_then(|octets| octets.first_chunk());
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

/// Octets of the header of a call without credential.
const PLAIN: usize = 40;
/// Octets of the header of a reply to a call that went well.
pub const SUCCESS_LEN: usize = 24;
/// Longest header: that of a call with credential and verifier as long as they may be. Octets.
pub const HEADER_MAX: usize = 24 + 2 * (8 + 400);

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_onc::AuthStat;
    use std::vec::Vec;

    fn octets(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn fast_and_slow_read_the_same_call_and_the_arguments_follow() {
        let call = [&octets(&[9, 0, 2, 100_003, 3, 7, 0, 0, 0, 0])[..], b"args"].concat();
        let Header::Call(header) = Header::parse(&call) else { panic!() };
        assert_eq!((header.xid, header.procedure, header.flavour), (9, [100_003, 3, 7], 0));
        assert_eq!(&call[header.len..], b"args");
        assert_eq!(parse(&call), Header::Call(header));
    }

    #[test]
    fn a_call_that_is_written_is_read_with_its_credential_and_cut_is_junk() {
        let body = octets(&[0, 3, u32::from_be_bytes(*b"abc\0"), 500, 100, 1, 4]);
        let mut out = std::vec![7; call_len(body.len())];
        write_call(&mut out, 77, [1, 2, 3], (1, &body));
        let Header::Call(header) = Header::parse(&out) else { panic!() };
        assert_eq!((header.xid, header.procedure, header.flavour), (77, [1, 2, 3], 1));
        assert_eq!((&out[header.body], header.len), (&body[..], out.len()));
        for cut in 0..out.len() {
            assert_eq!(Header::parse(&out[..cut]), Header::Junk, "{cut}");
        }
        assert_eq!(Header::parse(&octets(&[9, 2, 2])), Header::Junk, "neither call nor reply");
    }

    #[test]
    fn what_is_wrong_with_a_header_is_refused_with_its_cause() {
        let plain = [9, 0, 2, 100_003, 3, 7, 0, 0, 0, 0];
        let with = |at: usize, words: &[u32]| {
            let mut call = plain.to_vec();
            call[at..at + words.len()].copy_from_slice(words);
            let mut call = octets(&call);
            call.resize(1000, 0);
            Header::parse(&call)
        };
        let denied = |why| Header::Refused(9, Outcome::AuthError(why));
        for version in [0, 1, 3, u32::MAX] {
            assert_eq!(with(2, &[version]), Header::Refused(9, Outcome::RPC_MISMATCH));
        }
        assert_eq!(with(6, &[1, 401]), denied(AuthStat::BadCred));
        assert_eq!(with(6, &[1, 8]), denied(AuthStat::BadCred));
        assert_eq!(with(8, &[0, 401]), denied(AuthStat::BadVerf));
        for flavour in [2, 3, 6, 7] {
            assert_eq!(with(6, &[flavour, 0]), denied(AuthStat::RejectedCred));
        }
    }

    #[test]
    fn a_reply_that_is_written_is_read() {
        let reply = [&success(5)[..], b"results"].concat();
        assert_eq!(Header::parse(&reply), Header::Reply(5, Some(Outcome::Success), SUCCESS_LEN));
        for cut in 8..SUCCESS_LEN {
            assert!(matches!(Header::parse(&reply[..cut]), Header::Reply(5, None, _)));
        }
    }
}
