//! Errors to send: when not to, how often, and what they look like.

use super::{Cause, HEADER_LEN};
use crate::hash::Keyed;
use crate::ip::forward::can_be_answered;
use crate::ip::route::Net;
use crate::ip::{IpDrop, Request, View, protocol};
use crate::limit::{Bucket, Rate};
use core::net::IpAddr;
use millstream_msg::{Msg, MsgFlags, Offload, Pool, checksum};

/// Whether a packet may be answered by an error. `msg` begins with the IP header; `to_many`: it
/// came to a broadcast or multicast address.
///
/// # RFC
/// RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7.
pub fn may_send(msg: &Msg, view: &View, to_many: bool, net: &Net) -> bool {
    let to_all_stations = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);
    if to_many
        || view.dst.is_multicast()
        || view.fragment_offset != 0
        || msg.flags().intersects(to_all_stations)
        || !can_be_answered(view.src, net)
    {
        return false;
    }
    if view.protocol != protocol::ICMP {
        return true;
    }
    // Only queries: every type that is an error, or unknown, is left alone.
    let mut kind = [0; 1];
    msg.copy_out(view.header(), &mut kind) == 1 && matches!(kind[0], 0 | 8 | 13..=18)
}

/// How many errors are sent: over all, and to one destination. Small and of fixed size: hosts
/// that share a place in the table share its rate.
#[derive(Debug)]
pub struct Limiter {
    hash: Keyed,
    all: Bucket,
    each: [Bucket; LIMITER_PLACES],
}

impl Limiter {
    /// Nothing sent yet. `hash` has the stack's random key.
    pub const fn new(hash: Keyed) -> Self {
        Self { hash, all: Bucket::NEW, each: [Bucket::NEW; LIMITER_PLACES] }
    }

    /// Takes a token for an error to `dst`; false when there is none.
    #[must_use]
    pub fn allow(&mut self, dst: IpAddr, now: u64) -> bool {
        let word = match dst {
            IpAddr::V4(v4) => u64::from(u32::from(v4)),
            // A host has a /64 to choose its addresses from.
            IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
        };
        let place = self.hash.word(word) as usize % LIMITER_PLACES;
        let each = self.each.get_mut(place);
        each.is_some_and(|each| each.take(now, RATE_EACH)) && self.all.take(now, RATE_ALL)
    }
}

/// Turns a packet that was not delivered into the error that says so, with its [`Request`] in
/// front. The message is reused: its first bytes are the quote (RFC 1812 section 4.3.2.3).
/// Without `src`, `ip` chooses the source.
///
/// # Errors
/// The message and the reason.
pub fn send(
    mut msg: Msg,
    view: &View,
    cause: Cause,
    src: Option<IpAddr>,
    pool: &mut Pool,
) -> Result<Msg, (Msg, IpDrop)> {
    msg.truncate(msg.len().min(QUOTE_MAX));
    msg.set_offload(Offload::NONE);
    msg.set_flags(MsgFlags::empty());
    let (kind, code, [a, b, c, d]) = cause.to_wire();
    match msg.prepend(pool, HEADER_LEN) {
        Ok(head) => head.copy_from_slice(&[kind, code, 0, 0, a, b, c, d]),
        Err(_) => return Err((msg, IpDrop::NoMem)),
    }
    let sum = !checksum::of_msg(&msg, 0, msg.len(), pool.sum());
    match msg.make_writable(pool, HEADER_LEN) {
        Ok([_, _, c0, c1, ..]) => [*c0, *c1] = sum.to_ne_bytes(),
        _ => return Err((msg, IpDrop::NoMem)),
    }
    let request =
        Request { src, tos: INTERNETWORK_CONTROL, ..Request::new(view.src, protocol::ICMP) };
    match request.prepend(&mut msg, pool) {
        Ok(()) => Ok(msg),
        Err(_) => Err((msg, IpDrop::NoMem)),
    }
}

/// Bytes quoted: the error is 576 bytes at most.
pub const QUOTE_MAX: usize = 576 - 20 - HEADER_LEN;

/// Precedence 6 (RFC 1812 section 4.3.2.5).
const INTERNETWORK_CONTROL: u8 = 0xc0;
/// As Linux has it: a scan of a router's dead ports must not become a flood.
const RATE_ALL: Rate = Rate::per_second(1000, 50);
/// One destination: enough for traceroute with three probes in flight.
const RATE_EACH: Rate = Rate::per_second(10, 10);
/// 2 KiB.
const LIMITER_PLACES: usize = 256;
