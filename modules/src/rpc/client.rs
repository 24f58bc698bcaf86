//! client: calls to the peer. Each gets an xid; its reply is found by that, in whatever order
//! replies come. Over UDP a call is sent again until its time is over.

use super::header;
use super::marking::{self, MARK_LEN};
use super::primitive::{CallReq, REPLY_IND_MAX, Status, reply_ind, word};
use super::rtt::Rtt;
use super::{Rpc, RpcDrop, Shared};
use crate::hash::Keyed;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use hashbrown::HashMap;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Cx, Side};
use millstream_msg::{Kind, Msg, NoMem, Pool};
use millstream_onc::Transport;
use millstream_onc::message::Outcome;

/// Calls of a stream that wait for their replies.
#[derive(Debug)]
pub struct Client {
    calls: HashMap<u32, Out, Keyed>,
    /// Of the next call. The first is random: a client that begins anew must not get replies of
    /// the cache that are those of its predecessor.
    xid: u32,
    rtt: Rtt,
    /// When somebody has to be looked after; `None` without calls.
    next: Option<u64>,
}

/// A call that waits for its reply.
#[derive(Debug)]
struct Out {
    /// The caller's own name of it.
    handle: u32,
    /// When it was sent for the first time, and when nobody waits any more. Nanoseconds.
    sent: u64,
    deadline: u64,
    /// When it is sent again.
    again: u64,
    times: u32,
    /// The datagram, to send it again, and where to.
    datagram: Option<(Msg, SocketAddr)>,
}

impl Client {
    fn new(random: u64) -> Box<Self> {
        let calls = HashMap::with_hasher(Keyed::new(random));
        Box::new(Self { calls, xid: random as u32, rtt: Rtt::new(), next: None })
    }

    /// An xid that no call waits with.
    fn xid(&mut self) -> u32 {
        loop {
            self.xid = self.xid.wrapping_add(1);
            if !self.calls.contains_key(&self.xid) {
                return self.xid;
            }
        }
    }

    /// Nothing comes for this call any more.
    fn end(&mut self, xid: u32, pool: &mut Pool) -> Option<(u32, Option<SocketAddr>)> {
        let call = self.calls.remove(&xid)?;
        let peer = call.datagram.map(|(datagram, peer)| {
            pool.spend(datagram);
            peer
        });
        Some((call.handle, peer))
    }
}

impl Rpc {
    /// Calls that wait for their replies.
    pub(super) fn calls_out(&self) -> usize {
        self.client.as_ref().map_or(0, |client| client.calls.len())
    }

    /// R_CALL_REQ.
    ///
    /// # Errors
    /// It has to wait: no memory, no connection yet, or as many as may be wait for replies.
    pub(super) fn send_call(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        msg: Msg,
    ) -> Result<(), Msg> {
        let Some(request) = CallReq::new(msg.first()) else {
            cx.discard(msg, RpcDrop::Malformed);
            return Ok(());
        };
        let (handle, peer) = (request.handle(), request.peer());
        let datagram = self.transport == Some(Transport::Udp);
        let body = request.credential().1.len();
        if self.phase.is_over() || body > 400 || datagram && peer.is_none() {
            cx.free(msg);
            indicate(cx, (handle, Status::CantSend, [0; 2], peer), None);
            return Ok(());
        }
        self.calls_wait = self.calls_out() >= OUT_MAX;
        if self.calls_wait {
            return Err(msg);
        }
        let random = cx.rng().next_u64();
        let client = self.client.get_or_insert_with(|| Client::new(random));
        let xid = client.xid();
        let (one_way, time_out) = (request.one_way(), request.time_out_ms());
        let time_out = if time_out == 0 { self.settings.time_out_ms } else { time_out };
        let (call, copy) = match message(msg, xid, peer.filter(|_| datagram), cx.pool()) {
            Ok(made) => made,
            Err(msg) => {
                super::ends::retry(cx);
                return Err(msg);
            }
        };
        cx.count_consumed(1);
        shared.tally.calls_out += 1;
        self.active = cx.now();
        if one_way {
            copy.into_iter().for_each(|copy| cx.pool().spend(copy));
        } else {
            let sent = cx.now();
            let deadline = sent + u64::from(time_out) * 1_000_000;
            let again = if datagram { sent + client.rtt.wait(1) } else { u64::MAX };
            let datagram = copy.zip(peer);
            let call = Out { handle, sent, deadline, again, times: 1, datagram };
            client.calls.insert(xid, call);
            let at = deadline.min(again);
            if client.next.is_none_or(|next| at < next) {
                client.next = Some(at);
                super::ends::watch_calls(cx, at);
            }
        }
        cx.put(Side::Write, call);
        Ok(())
    }

    /// R_CANCEL_REQ: the reply goes to nobody.
    pub(super) fn cancel_call(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let handle = word(msg.first(), 4).unwrap_or_default();
        cx.free(msg);
        let Some(client) = &mut self.client else { return };
        let found = client.calls.iter().find(|(_, call)| call.handle == handle);
        if let Some((&xid, _)) = found {
            client.end(xid, cx.pool());
            indicate(cx, (handle, Status::Cancelled, [0; 2], None), None);
        }
    }

    /// A reply of the peer.
    pub(super) fn reply_came(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        xid: u32,
        outcome: Option<Outcome>,
        results_at: usize,
        reply: Msg,
    ) {
        let client = self.client.as_mut().filter(|client| client.calls.contains_key(&xid));
        let Some(client) = client else {
            shared.tally.stray_replies += 1;
            return cx.discard(reply, RpcDrop::StrayReply);
        };
        if let Some(call) = client.calls.get(&xid)
            && call.times == 1
        {
            // Karn: which of several it answers cannot be told.
            client.rtt.sample(cx.now() - call.sent);
        }
        let Some((handle, peer)) = client.end(xid, cx.pool()) else { return };
        shared.tally.replies_in += 1;
        if self.calls_wait {
            cx.qenable(Side::Write);
        }
        let words = match outcome {
            Some(Outcome::ProgMismatch { low, high } | Outcome::RpcMismatch { low, high }) => {
                [low, high]
            }
            Some(Outcome::AuthError(why)) => [why.number(), 0],
            _ => [0; 2],
        };
        let status = outcome.map_or(Status::CantDecode, Status::from);
        let reply = marking::behind(reply, results_at, cx.pool());
        let reply = if status == Status::Success && !reply.is_empty() {
            Some(reply)
        } else {
            cx.free(reply);
            None
        };
        indicate(cx, (handle, status, words, peer), reply);
    }

    /// T_UDERROR_IND: a datagram did not arrive.
    pub(super) fn undelivered(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let told = tpi::UderrorInd::new(msg.first());
        let told =
            told.ok().and_then(|word| Some((tpi::decode_address(word.dest())?, word.errno())));
        cx.free(msg);
        let (Some((dest, errno)), Some(client)) = (told, &mut self.client) else { return };
        // All that wait for this peer: the word does not say which.
        let to = |call: &Out| call.datagram.as_ref().is_some_and(|(_, peer)| *peer == dest);
        while let Some((&xid, _)) = client.calls.iter().find(|(_, call)| to(call)) {
            if let Some((handle, peer)) = client.end(xid, cx.pool()) {
                indicate(cx, (handle, Status::Undelivered, [errno as u32, 0], peer), None);
            }
        }
    }

    /// No reply comes any more.
    pub(super) fn fail_calls(&mut self, cx: &mut Cx<'_>) {
        let Some(mut client) = self.client.take() else { return };
        for (_, call) in client.calls.drain() {
            let peer = call.datagram.map(|(datagram, peer)| {
                cx.pool().spend(datagram);
                peer
            });
            indicate(cx, (call.handle, Status::CantRecv, [0; 2], peer), None);
        }
    }

    /// Calls are late: some are sent again, some are given up.
    pub(super) fn calls_late(&mut self, cx: &mut Cx<'_>) {
        let Some(client) = &mut self.client else { return };
        let (now, mut again) = (cx.now(), 0);
        let rtt = client.rtt;
        for call in client.calls.values_mut() {
            if call.again <= now && call.deadline > now {
                call.times += 1;
                call.again = now + rtt.wait(call.times);
                again += u64::from(send_again(cx, call));
            }
        }
        let late = client.calls.iter().filter(|(_, call)| call.deadline <= now);
        let late: Vec<u32> = late.map(|(&xid, _)| xid).collect();
        for &xid in &late {
            if let Some((handle, peer)) = client.end(xid, cx.pool()) {
                indicate(cx, (handle, Status::TimedOut, [0; 2], peer), None);
            }
        }
        let calls = client.calls.values();
        client.next = calls.map(|call| call.deadline.min(call.again)).min();
        if let Some(at) = client.next {
            super::ends::watch_calls(cx, at);
        }
        let mut shared = self.commons.lock();
        shared.tally.retransmissions += again;
        shared.tally.time_outs += late.len() as u64;
        // There may be calls that waited for these to end.
        cx.qenable(Side::Write);
    }
}

/// What goes to the peer for an R_CALL_REQ: header and mark in front of the arguments; of a
/// datagram also a copy to send again.
///
/// # Errors
/// No memory: the request is given back.
fn message(
    msg: Msg,
    xid: u32,
    to: Option<SocketAddr>,
    pool: &mut Pool,
) -> Result<(Msg, Option<Msg>), Msg> {
    let (control, args) = msg.unlink();
    let made = match args {
        Some(args) => Ok(args),
        None => pool.alloc(HEADROOM, 0),
    };
    let Ok(mut call) = made else { return Err(control) };
    let Some(written) = write(&mut call, &control, xid, to.is_none(), pool) else {
        return Err(joined(control, call));
    };
    let front = match to {
        None => None,
        Some(peer) => match datagram(&call, peer, pool) {
            Ok(front) => Some(front),
            Err(NoMem) => {
                call.trim_front(written);
                return Err(joined(control, call));
            }
        },
    };
    pool.spend(control);
    Ok(match front {
        None => (call, None),
        Some(front) => (front, Some(call)),
    })
}

/// Writes mark and header in front of the arguments; how many octets.
fn write(call: &mut Msg, control: &Msg, xid: u32, record: bool, pool: &mut Pool) -> Option<usize> {
    let request = CallReq::new(control.first())?;
    let (flavour, body) = request.credential();
    let header = header::call_len(body.len());
    let mark = if record { MARK_LEN } else { 0 };
    let len = (header + call.len()) as u32;
    let front = call.prepend(pool, mark + header).ok()?;
    front[..mark].copy_from_slice(&marking::mark(len, true)[..mark]);
    header::write_call(&mut front[mark..], xid, request.procedure(), (flavour, body));
    Some(mark + header)
}

/// A datagram on the octets of a call.
fn datagram(call: &Msg, peer: SocketAddr, pool: &mut Pool) -> Result<Msg, NoMem> {
    let word = Primitive::unitdata_req(peer);
    let mut front = word.to_msg(Kind::Proto, pool)?;
    match call.dup(pool) {
        Ok(call) => {
            front.link(call);
            Ok(front)
        }
        Err(NoMem) => {
            pool.spend(front);
            Err(NoMem)
        }
    }
}

fn joined(mut control: Msg, call: Msg) -> Msg {
    control.link(call);
    control
}

/// Sends a datagram again; false without memory: then its time comes again.
fn send_again(cx: &mut Cx<'_>, call: &Out) -> bool {
    let Some((octets, peer)) = &call.datagram else { return false };
    let Ok(msg) = datagram(octets, *peer, cx.pool()) else { return false };
    cx.put(Side::Write, msg);
    true
}

/// Tells the caller how its call has ended.
fn indicate(
    cx: &mut Cx<'_>,
    (handle, status, words, peer): (u32, Status, [u32; 2], Option<SocketAddr>),
    results: Option<Msg>,
) {
    let mut out = [0; REPLY_IND_MAX];
    let len = reply_ind(&mut out, handle, status, words, peer);
    // From the reserve: who waits for it asks for nothing else.
    let Ok(mut msg) = cx.pool().alloc_reserve(0, len) else {
        results.into_iter().for_each(|results| cx.pool().spend(results));
        return cx.count_drops(RpcDrop::NoMem, 1);
    };
    msg.spare_mut()[..len].copy_from_slice(&out[..len]);
    msg.commit(len);
    msg.set_kind(Kind::Proto);
    results.into_iter().for_each(|results| msg.link(results));
    cx.put(Side::Read, msg);
}

/// Calls of a stream that may wait for replies; more wait to be sent.
const OUT_MAX: usize = 4096;
/// Mark, header with a short credential, and what TCP or UDP put in front.
const HEADROOM: usize = 192;
