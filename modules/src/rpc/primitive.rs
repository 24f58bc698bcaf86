//! primitive: what goes between `rpc` and whoever is above it, as bytes of M_PROTO blocks.
//!
//! Each begins with its number; words are native `u32`. What has a length is behind the words,
//! which say where by (length, offset) from the start, as in TPI. Arguments and results are the
//! M_DATA blocks behind, as they are on the wire (XDR). Who has asked for it gets many calls in one
//! message instead: see [`batch`](super::batch).
//!
//! | word at | R_CALL_IND, up | R_REPLY_REQ, down | R_CALL_REQ, down | R_REPLY_IND, up |
//! |---|---|---|---|---|
//! | 4 | call | call | handle | handle |
//! | 8 | xid | status | program | status |
//! | 12 | program | low | version | low |
//! | 16 | version | high | procedure | high |
//! | 20 | procedure | | flags | peer: length |
//! | 24 | transport | | time-out, ms | offset |
//! | 28 | flavour of the credential | | flavour of the credential | |
//! | 32, 36 | its body | | its body | |
//! | 40, 44 | address of the peer | | address of the peer | |
//! | 48, 52 | our address | | | |
//!
//! `call` names a call in its reply and means nothing else. `handle` is the caller's own, and comes
//! back; R_CANCEL_REQ (down) has it at 4 too. R_REPLY_REQ may be M_PCPROTO: while the module waits
//! for replies before it leaves, no other message reaches it.

use core::net::SocketAddr;
use millstream_core::tpi::{ADDR_MAX, address_at, encode_address};
use millstream_onc::message::Outcome;

/// A call of the peer: it wants an R_REPLY_REQ.
pub const R_CALL_IND: u32 = 0x5201;
/// The reply to an R_CALL_IND.
pub const R_REPLY_REQ: u32 = 0x5202;
/// A call to the peer.
pub const R_CALL_REQ: u32 = 0x5203;
/// The reply to an R_CALL_REQ, or why there is none.
pub const R_REPLY_IND: u32 = 0x5204;
/// Nobody wants the reply to an R_CALL_REQ any more.
pub const R_CANCEL_REQ: u32 = 0x5205;

/// Flag of an R_CALL_REQ: there will be no reply (a batch call).
pub const ONE_WAY: u32 = 1;

/// Octets of the words of an R_CALL_IND.
pub const CALL_IND_WORDS: usize = 56;
/// Octets of the words of an R_CALL_REQ.
pub const CALL_REQ_WORDS: usize = 48;
/// Octets of the words of an R_REPLY_REQ.
pub const REPLY_REQ_LEN: usize = 20;
/// Octets of an R_REPLY_IND with an address.
pub const REPLY_IND_MAX: usize = 28 + ADDR_MAX;

/// How a call to the peer has ended: `status` of an R_REPLY_IND. The numbers are those of
/// `clnt_stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The results are behind the block.
    Success = 0,
    /// The reply could not be read.
    CantDecode = 2,
    /// The call could not be sent.
    CantSend = 3,
    /// The connection has ended before the reply.
    CantRecv = 4,
    /// No reply in time.
    TimedOut = 5,
    /// The peer has another version of RPC: `low` to `high`.
    RpcVersion = 6,
    /// Refused because of the credential; `low` is the `auth_stat`.
    AuthError = 7,
    /// No such program there.
    NoProgram = 8,
    /// Only versions `low` to `high` there.
    Version = 9,
    /// No such procedure there.
    NoProcedure = 10,
    /// The arguments could not be decoded there.
    GarbageArgs = 11,
    /// The program there has failed.
    SystemErr = 12,
    /// It was cancelled.
    Cancelled = 18,
    /// The transport says that the datagram was not delivered; `low` is the error number.
    Undelivered = 23,
}

/// An R_REPLY_REQ for a call; without an outcome there is no reply.
pub fn reply_req(call: u32, outcome: Option<Outcome>) -> [u8; REPLY_REQ_LEN] {
    let [status, low, high] = status(outcome);
    let mut out = [0; REPLY_REQ_LEN];
    put_words(&mut out, [R_REPLY_REQ, call, status, low, high]);
    out
}

/// The call that an R_REPLY_REQ answers, and how; `None` for other octets.
#[inline]
pub fn parse_reply_req(block: &[u8]) -> Option<(u32, Option<Outcome>)> {
    let block = block.first_chunk::<REPLY_REQ_LEN>()?;
    let at = |at: usize| word(block, at).unwrap_or_default();
    let outcome = outcome([at(8), at(12), at(16)])?;
    (at(0) == R_REPLY_REQ).then_some((at(4), outcome))
}

/// Status, low and high of how a call has ended; without an outcome there is no reply.
#[inline]
pub(super) fn status(outcome: Option<Outcome>) -> [u32; 3] {
    match outcome {
        Some(Outcome::Success) => [0, 0, 0],
        Some(Outcome::ProgUnavail) => [1, 0, 0],
        Some(Outcome::ProgMismatch { low, high }) => [2, low, high],
        Some(Outcome::ProcUnavail) => [3, 0, 0],
        Some(Outcome::GarbageArgs) => [4, 0, 0],
        Some(Outcome::AuthError(why)) => [DENIED, why.number(), 0],
        // Whoever is above has not seen the header: another version of RPC is none of its errors.
        Some(_) => [5, 0, 0],
        None => [SILENT, 0, 0],
    }
}

/// How a call has ended, of its status, low and high; `None` for a status that is none.
#[inline]
pub(super) fn outcome([status, low, high]: [u32; 3]) -> Option<Option<Outcome>> {
    Some(Some(match status {
        0 => Outcome::Success,
        1 => Outcome::ProgUnavail,
        2 => Outcome::ProgMismatch { low, high },
        3 => Outcome::ProcUnavail,
        4 => Outcome::GarbageArgs,
        5 => Outcome::SystemErr,
        DENIED => Outcome::AuthError(low.into()),
        SILENT => return Some(None),
        _ => return None,
    }))
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::ProgUnavail => Self::NoProgram,
            Outcome::ProgMismatch { .. } => Self::Version,
            Outcome::ProcUnavail => Self::NoProcedure,
            Outcome::GarbageArgs => Self::GarbageArgs,
            Outcome::SystemErr => Self::SystemErr,
            Outcome::RpcMismatch { .. } => Self::RpcVersion,
            Outcome::AuthError(_) => Self::AuthError,
            _ => Self::CantDecode,
        }
    }
}

/// An R_CALL_REQ, checked.
#[derive(Clone, Copy, Debug)]
pub struct CallReq<'a>(&'a [u8]);

impl<'a> CallReq<'a> {
    /// Checks number, length and offsets.
    pub fn new(block: &'a [u8]) -> Option<Self> {
        let known = block.len() >= CALL_REQ_WORDS && word(block, 0) == Some(R_CALL_REQ);
        span(block, 32).filter(|_| known).map(|_| Self(block))
    }

    /// The caller's own name of the call.
    pub fn handle(&self) -> u32 {
        self.at(4)
    }

    /// Program, version, procedure.
    pub fn procedure(&self) -> [u32; 3] {
        [self.at(8), self.at(12), self.at(16)]
    }

    /// See [`ONE_WAY`].
    pub fn one_way(&self) -> bool {
        self.at(20) & ONE_WAY != 0
    }

    /// How long the reply is waited for. Milliseconds; 0: as the module's parameter says.
    pub fn time_out_ms(&self) -> u32 {
        self.at(24)
    }

    /// Flavour and body of the credential.
    pub fn credential(&self) -> (u32, &'a [u8]) {
        (self.at(28), span(self.0, 32).unwrap_or_default())
    }

    /// Where a datagram goes.
    pub fn peer(&self) -> Option<SocketAddr> {
        address_at(self.0, 40)
    }

    fn at(&self, at: usize) -> u32 {
        word(self.0, at).unwrap_or_default()
    }
}

/// Writes an R_CALL_REQ; its length. `None` when `out` is too small.
pub fn call_req(
    out: &mut [u8],
    handle: u32,
    [program, version, procedure]: [u32; 3],
    [flags, time_out_ms]: [u32; 2],
    (flavour, body): (u32, &[u8]),
    peer: Option<SocketAddr>,
) -> Option<usize> {
    let mut addr = [0; ADDR_MAX];
    let addr_len = peer.map_or(0, |peer| encode_address(peer, &mut addr));
    let peer_at = CALL_REQ_WORDS + body.len().next_multiple_of(4);
    let end = peer_at + addr_len;
    let out = out.get_mut(..end)?;
    out.fill(0);
    let (body_len, body_at) = (body.len() as u32, CALL_REQ_WORDS as u32);
    put_words(out, [R_CALL_REQ, handle, program, version, procedure, flags, time_out_ms, flavour]);
    put_words(&mut out[32..], [body_len, body_at, addr_len as u32, peer_at as u32]);
    out[CALL_REQ_WORDS..][..body.len()].copy_from_slice(body);
    out[peer_at..].copy_from_slice(&addr[..addr_len]);
    Some(end)
}

/// Writes an R_REPLY_IND; its length.
pub fn reply_ind(
    out: &mut [u8; REPLY_IND_MAX],
    handle: u32,
    status: Status,
    [low, high]: [u32; 2],
    peer: Option<SocketAddr>,
) -> usize {
    let mut addr = [0; ADDR_MAX];
    let addr_len = peer.map_or(0, |peer| encode_address(peer, &mut addr));
    put_words(out, [R_REPLY_IND, handle, status as u32, low, high, addr_len as u32, 28]);
    out[28..][..addr_len].copy_from_slice(&addr[..addr_len]);
    28 + addr_len
}

/// The number of a primitive.
#[inline]
pub fn number(block: &[u8]) -> Option<u32> {
    word(block, 0)
}

/// The word at `at`.
#[inline]
pub fn word(block: &[u8], at: usize) -> Option<u32> {
    let bytes = block.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Bytes named by a length at `at` and an offset behind it.
#[inline]
pub fn span(block: &[u8], at: usize) -> Option<&[u8]> {
    let (len, from) = (word(block, at)? as usize, word(block, at + 4)? as usize);
    if len == 0 { Some(&[]) } else { block.get(from..from.checked_add(len)?) }
}

/// Writes words one after the other.
///
/// # Panics
/// When `out` is too short for them.
#[inline]
pub fn put_words<const N: usize>(out: &mut [u8], words: [u32; N]) {
    for (to, word) in out[..4 * N].chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
}

const DENIED: u32 = 0x100;
const SILENT: u32 = 0x101;

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_onc::AuthStat;

    #[test]
    fn a_reply_request_reads_as_it_was_written() {
        for outcome in [
            Some(Outcome::Success),
            Some(Outcome::ProgUnavail),
            Some(Outcome::ProgMismatch { low: 1, high: 3 }),
            Some(Outcome::ProcUnavail),
            Some(Outcome::GarbageArgs),
            Some(Outcome::SystemErr),
            Some(Outcome::AuthError(AuthStat::TooWeak)),
            None,
        ] {
            assert_eq!(parse_reply_req(&reply_req(77, outcome)), Some((77, outcome)));
        }
        assert_eq!(parse_reply_req(&reply_req(1, None)[..19]), None);
        let version = reply_req(1, Some(Outcome::RPC_MISMATCH));
        assert_eq!(parse_reply_req(&version), Some((1, Some(Outcome::SystemErr))));
    }

    #[test]
    fn a_call_request_reads_as_it_was_written_and_not_with_wrong_offsets() {
        let peer = "10.0.0.2:111".parse().ok();
        let mut out = [0; 128];
        let len =
            call_req(&mut out, 7, [100_003, 3, 1], [ONE_WAY, 500], (1, b"octets"), peer).unwrap();
        let call = CallReq::new(&out[..len]).unwrap();
        assert_eq!((call.handle(), call.procedure()), (7, [100_003, 3, 1]));
        assert_eq!((call.one_way(), call.time_out_ms()), (true, 500));
        assert_eq!((call.credential(), call.peer()), ((1, &b"octets"[..]), peer));
        for at in [32, 36] {
            let mut bad = out;
            put_words(&mut bad[at..], [1000]);
            assert!(CallReq::new(&bad[..len]).is_none());
        }
        assert!(CallReq::new(&out[..CALL_REQ_WORDS - 1]).is_none());
    }
}
