//! server: records and datagrams of the peer become calls that go up, and replies that come down
//! find their calls.

use super::batch::{ENTRIES_AT, ENTRY, R_CALLS_IND};
use super::calls::Underway;
use super::drc::{self, EntryId, Key, Known, SUMMED_MAX};
use super::header::{self, CallHeader, HEADER_MAX, Header, SUCCESS_LEN};
use super::marking::{Found, Stop, behind};
use super::primitive::{self, CALL_IND_WORDS, R_CALL_IND};
use super::replies;
use super::{Resolved, Rpc, RpcDrop, Shared};
use crate::services::reply_in_place;
use core::net::SocketAddr;
use millstream_core::tpi::{ADDR_MAX, address_at, encode_address};
use millstream_core::{Cx, Side};
use millstream_msg::{Band, Kind, Msg, MsgFlags, NoMem, Pool};
use millstream_onc::Transport;
use millstream_onc::message::Outcome;

/// What is the same in all calls of a connection: the words of an R_CALL_IND with both addresses
/// behind them.
#[derive(Clone, Debug)]
pub(super) struct Template {
    octets: [u8; TEMPLATE],
    pub(super) peer: Option<SocketAddr>,
}

/// Where the octets of a call are.
enum Source<'a> {
    /// In front of the input, which goes on behind it.
    Record(&'a mut Option<Msg>, usize),
    /// A datagram: its control block and its data.
    Datagram(Option<(Msg, Msg)>),
}

impl Template {
    /// For calls between these addresses.
    pub(super) fn new(
        transport: Transport,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    ) -> Self {
        let mut octets = [0; TEMPLATE];
        let carrier = match transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
        };
        primitive::put_words(&mut octets, [R_CALL_IND, 0, 0, 0, 0, 0, carrier, 0, 0]);
        primitive::put_words(&mut octets[36..], [TEMPLATE as u32]);
        for (addr, words, at) in [(peer, 40, CALL_IND_WORDS), (local, 48, LOCAL_AT)] {
            let mut out = [0; ADDR_MAX];
            let len = addr.map_or(0, |addr| encode_address(addr, &mut out));
            primitive::put_words(&mut octets[words..], [len as u32, at as u32]);
            octets[at..at + ADDR_MAX].copy_from_slice(&out);
        }
        Self { octets, peer }
    }

    /// The block of so many calls: its entries are to be written, and its octets committed.
    #[inline]
    pub(super) fn batch(&self, calls: usize, pool: &mut Pool) -> Result<Msg, NoMem> {
        let mut block = pool.alloc(0, ENTRIES_AT + calls * ENTRY)?;
        let out = block.spare_mut();
        let of = |at| primitive::word(&self.octets, at).unwrap_or_default();
        let (peer_at, local_at) = (ENTRIES_AT - 2 * ADDR_MAX, ENTRIES_AT - ADDR_MAX);
        let words = [R_CALLS_IND, 0, of(24), of(40), peer_at as u32, of(48), local_at as u32];
        primitive::put_words(out, words);
        out[peer_at..ENTRIES_AT].copy_from_slice(&self.octets[CALL_IND_WORDS..]);
        Ok(block)
    }

    /// The block of one call: its credential's body is in `of` at its place.
    #[inline]
    fn block(&self, call: &CallHeader, of: &Msg, pool: &mut Pool) -> Result<Msg, NoMem> {
        let body = call.body.len();
        let mut block = pool.alloc(0, TEMPLATE + body)?;
        let out = block.spare_mut();
        out[..TEMPLATE].copy_from_slice(&self.octets);
        let [program, version, procedure] = call.procedure;
        primitive::put_words(&mut out[8..], [call.xid, program, version, procedure]);
        primitive::put_words(&mut out[28..], [call.flavour, body as u32]);
        if body > 0 {
            of.copy_out(call.body.start, &mut out[TEMPLATE..TEMPLATE + body]);
        }
        block.commit(TEMPLATE + body);
        block.set_kind(Kind::Proto);
        Ok(block)
    }
}

impl Default for Template {
    fn default() -> Self {
        Self { octets: [0; TEMPLATE], peer: None }
    }
}

/// What comes up.
impl Rpc {
    /// Octets of a connection; given back as far as they have to wait.
    pub(super) fn octets(&mut self, cx: &mut Cx<'_>, msg: Msg) -> Result<(), Msg> {
        let commons = self.commons.clone();
        let mut shared = commons.lock();
        let mut input = Some(msg);
        self.active = cx.now();
        let left = loop {
            if !self.may_take(cx) {
                break input;
            }
            if let Err(NoMem) = self.waiting(cx, &mut shared) {
                break input;
            }
            match self.gather(cx, &mut shared, &mut input) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(NoMem) => {
                    super::ends::retry(cx);
                    break input;
                }
            }
            match self.marking.step(&mut input, cx.pool()) {
                Ok(Found::More) => break None,
                Ok(Found::Here(len)) => {
                    if self.record(cx, &mut shared, &mut input, len).is_err() {
                        self.marking.unread(len);
                        super::ends::retry(cx);
                        break input;
                    }
                }
                Ok(Found::Joined(record)) => self.waiting = Some(record),
                Err(Stop::NoMem) => {
                    super::ends::retry(cx);
                    break input;
                }
                Err(Stop::Fault(_)) => {
                    shared.tally.broken += 1;
                    self.abort(cx, input.take(), RpcDrop::Broken);
                    break None;
                }
            }
            if self.phase.is_over() {
                let rest = input.take();
                rest.into_iter().for_each(|rest| cx.discard(rest, RpcDrop::Gone));
                break None;
            }
        };
        drop(shared);
        self.hand_up(cx);
        self.flush(cx);
        left.map_or(Ok(()), Err)
    }

    #[inline]
    fn hand_up(&mut self, cx: &mut Cx<'_>) {
        if !self.up.is_empty() {
            cx.put_batch(Side::Read, core::mem::take(&mut self.up));
        }
    }

    /// Nothing above, below or here has to become less first.
    #[inline]
    fn may_take(&mut self, cx: &mut Cx<'_>) -> bool {
        self.calls.len() + self.twins.len() < self.calls_max()
            && self.replies.len() < FLUSH
            && cx.canput(Side::Read, Band(0))
            && (self.calls_wait || cx.queue_len_on(Side::Write) == 0)
            && cx.canput(Side::Write, Band(0))
    }

    /// Calls that may be in progress: as many as are set, and no more than have replies of
    /// [`ROUND`] together, as far as can be told.
    #[inline]
    pub(super) fn calls_max(&self) -> usize {
        let set = self.settings.calls_max as usize;
        if self.reply_octets <= ROUND / 1024 {
            return set;
        }
        set.min((ROUND / self.reply_octets).max(ROUND_MIN))
    }

    /// The record that was put together.
    fn waiting(&mut self, cx: &mut Cx<'_>, shared: &mut Shared) -> Result<(), NoMem> {
        let Some(record) = self.waiting.take() else { return Ok(()) };
        let len = record.len();
        let mut input = Some(record);
        let taken = self.record(cx, shared, &mut input, len);
        if taken.is_err() {
            self.waiting = input;
            super::ends::retry(cx);
        }
        taken
    }

    /// A record: the first `len` octets of the input, which are gone afterwards.
    ///
    /// # Errors
    /// No memory: nothing has happened.
    #[inline]
    fn record(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        input: &mut Option<Msg>,
        len: usize,
    ) -> Result<(), NoMem> {
        let Some(msg) = input else { return Ok(()) };
        let header = match msg.first().get(..len.min(HEADER_MAX)) {
            Some(octets) => Header::parse(octets),
            None => parse_pieces(msg, len),
        };
        match header {
            Header::Call(call) => self.call(cx, shared, &call, Source::Record(input, len)),
            Header::Refused(xid, why) => {
                self.replies.refusal(xid, why, cx.pool())?;
                shared.tally.refused(why);
                skip(input, len, cx.pool());
                Ok(())
            }
            Header::Reply(xid, outcome, at) => {
                let reply = cut(input, len, cx.pool())?;
                if let Some(reply) = reply {
                    self.reply_came(cx, shared, xid, outcome, at, reply);
                }
                Ok(())
            }
            Header::Junk => {
                shared.tally.junk += 1;
                self.abort(cx, input.take(), RpcDrop::Junk);
                Ok(())
            }
        }
    }

    /// A datagram: T_UNITDATA_IND and its data.
    pub(super) fn datagram(&mut self, cx: &mut Cx<'_>, msg: Msg) -> Result<(), Msg> {
        if !cx.canput(Side::Read, Band(0)) || self.calls.len() >= self.calls_max() {
            return Err(msg);
        }
        let many = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);
        let many = msg.flags().intersects(many);
        let peer = address_at(msg.first(), 4);
        let peer = peer.filter(|peer| {
            peer.port() != 0 && !peer.ip().is_multicast() && !peer.ip().is_unspecified()
        });
        let Some(peer) = peer else {
            cx.discard(msg, RpcDrop::Source);
            return Ok(());
        };
        let local = address_at(msg.first(), 12).or(self.local);
        let (control, Some(data)) = msg.unlink() else { return Ok(()) };
        let header = match data.first().get(..data.len().min(HEADER_MAX)) {
            Some(octets) => Header::parse(octets),
            None => parse_pieces(&data, data.len()),
        };
        let commons = self.commons.clone();
        let mut shared = commons.lock();
        match header {
            Header::Call(call) => {
                self.template = Template::new(Transport::Udp, Some(peer), local);
                if self
                    .call(cx, &mut shared, &call, Source::Datagram(Some((control, data))))
                    .is_err()
                {
                    cx.count_drops(RpcDrop::NoMem, 1);
                }
                self.hand_up(cx);
            }
            Header::Refused(xid, why) => {
                shared.tally.refused(why);
                cx.pool().spend(data);
                self.refuse_datagram(cx, control, xid, why, many);
            }
            Header::Reply(xid, outcome, at) => {
                cx.pool().spend(control);
                self.reply_came(cx, &mut shared, xid, outcome, at, data);
            }
            Header::Junk => {
                shared.tally.junk += 1;
                cx.pool().spend(control);
                cx.discard(data, RpcDrop::Junk);
            }
        }
        Ok(())
    }

    /// A call whose header is sound goes up, or is answered here.
    ///
    /// # Errors
    /// No memory: nothing has happened. A datagram is gone then.
    fn call(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        call: &CallHeader,
        mut source: Source<'_>,
    ) -> Result<(), NoMem> {
        let resolved = match self.resolve(shared, call.procedure) {
            Ok(resolved) => resolved,
            Err(why) => return self.refuse(cx, shared, call.xid, why, source),
        };
        let Some(msg) = source.msg() else { return Ok(()) };
        let block = self.template.block(call, msg, cx.pool());
        let mut block = match block {
            Ok(block) => block,
            Err(NoMem) => return Err(source.give_up(cx.pool())),
        };
        let stamp = msg.stamp();
        let entry = match self.known(cx, shared, call, resolved, &mut source) {
            Fate::New(entry) => entry,
            Fate::Ended(done) => {
                cx.pool().spend(block);
                return done;
            }
        };
        let (control, args) = match source.take(call.len, cx.pool()) {
            Ok(parts) => parts,
            Err(NoMem) => {
                cx.pool().spend(block);
                entry.into_iter().for_each(|entry| shared.drc.forget(entry));
                return Err(NoMem);
            }
        };
        let procedure = resolved.counted;
        shared.tally.queued(procedure, waited(cx.now(), stamp), 1);
        let xid = call.xid;
        let since = cx.now();
        match self.calls.add(Underway { xid, procedure, since, entry, control }) {
            Ok(name) => {
                if let Some(words) = block.first_mut() {
                    primitive::put_words(&mut words[4..], [name]);
                }
            }
            Err(call) => {
                // `may_take` has looked: there is room.
                call.control.into_iter().for_each(|control| cx.pool().spend(control));
            }
        }
        if let Some(args) = args {
            block.link(args);
        }
        self.up.push(block);
        Ok(())
    }

    /// A call that nobody answers.
    ///
    /// # Errors
    /// No memory: nothing has happened. A datagram is gone then.
    fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        xid: u32,
        why: Outcome,
        source: Source<'_>,
    ) -> Result<(), NoMem> {
        match source {
            Source::Record(input, len) => {
                self.replies.refusal(xid, why, cx.pool())?;
                skip(input, len, cx.pool());
            }
            Source::Datagram(Some((control, data))) => {
                let many = control.flags().intersects(MANY);
                cx.pool().spend(data);
                self.refuse_datagram(cx, control, xid, why, many);
            }
            Source::Datagram(None) => {}
        }
        shared.tally.refused(why);
        Ok(())
    }

    /// Looks whether the call has come before.
    fn known(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        call: &CallHeader,
        resolved: Resolved,
        source: &mut Source<'_>,
    ) -> Fate {
        let (Some(peer), Some(msg)) = (self.template.peer, source.msg()) else {
            return Fate::New(None);
        };
        if resolved.idempotent {
            return Fate::New(None);
        }
        let datagram = matches!(source, Source::Datagram(..));
        let len = source.len() - call.len;
        let mut octets = [0; SUMMED_MAX];
        let summed = msg.copy_out(call.len, &mut octets[..len.min(SUMMED_MAX)]);
        let (from, args) = ((peer, datagram), (&octets[..summed], len));
        let key = Key::new(shared.drc.keyed(), from, call.xid, call.procedure, args);
        let done = match shared.drc.look(&key) {
            Known::New(entry) => return Fate::New(Some(entry)),
            Known::Full => {
                shared.tally.uncached += 1;
                return Fate::New(None);
            }
            Known::InProgress(entry) => {
                shared.tally.duplicates_waiting += 1;
                if !datagram {
                    self.twins.push((call.xid, entry));
                    super::ends::watch_twins(cx);
                }
                source.skip(cx, RpcDrop::Duplicate);
                Ok(())
            }
            Known::Done(reply) => {
                let again = match source {
                    Source::Record(..) => self.replies.again(call.xid, reply, cx.pool()),
                    Source::Datagram(parts) => {
                        if let Some((control, _)) = parts {
                            send_again(cx, control, call.xid, reply);
                        }
                        Ok(())
                    }
                };
                if again.is_ok() {
                    shared.tally.duplicates_answered += 1;
                    source.skip(cx, RpcDrop::Duplicate);
                }
                again
            }
        };
        Fate::Ended(done)
    }

    fn refuse_datagram(
        &mut self,
        cx: &mut Cx<'_>,
        control: Msg,
        xid: u32,
        why: Outcome,
        many: bool,
    ) {
        // RFC 5531, section 9.2 of RFC 1833: who has asked many wants to hear of success only.
        if many {
            return cx.discard(control, RpcDrop::Unsaid);
        }
        match replies::refusal(xid, why, cx.pool()) {
            Ok(reply) => send_datagram(cx, control, reply),
            Err(NoMem) => cx.discard(control, RpcDrop::NoMem),
        }
    }
}

/// What goes down.
impl Rpc {
    /// An R_REPLY_REQ; `more` messages are behind it.
    ///
    /// # Errors
    /// No memory for its header: it is given back.
    #[inline]
    pub(super) fn reply(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        msg: Msg,
        more: usize,
    ) -> Result<(), Msg> {
        let request = primitive::parse_reply_req(msg.first());
        let Some((name, outcome)) = request else {
            cx.discard(msg, RpcDrop::Malformed);
            return Ok(());
        };
        let Some(call) = self.calls.get(name) else {
            shared.tally.stray_replies += 1;
            cx.discard(msg, RpcDrop::StrayReply);
            return Ok(());
        };
        let (xid, datagram, entry) = (call.xid, call.control.is_some(), call.entry);
        let (control, mut results) = msg.unlink();
        if let Some(entry) = entry {
            remember(shared, entry, xid, outcome, results.as_ref(), cx.pool());
        }
        let len = results.as_ref().map_or(0, Msg::len);
        if !datagram && !self.phase.is_over() {
            let written = match outcome {
                Some(Outcome::Success) => {
                    self.replies.success(xid, results.take(), more, cx.pool())
                }
                Some(why) => {
                    let refused = self.replies.refusal(xid, why, cx.pool());
                    refused.map_err(|NoMem| results.take())
                }
                None => Ok(()),
            };
            if let Err(results) = written {
                let mut msg = control;
                results.into_iter().for_each(|results| msg.link(results));
                super::ends::retry(cx);
                return Err(msg);
            }
        }
        cx.pool().spend(control);
        if let Some(call) = self.calls.take(name) {
            shared.tally.served(call.procedure, cx.now() - call.since);
            if let Some(to) = call.control {
                reply_datagram(cx, to, xid, outcome, results.take());
            }
        }
        match outcome {
            Some(Outcome::Success) => {
                shared.tally.replies += 1;
                self.reply_octets = (7 * self.reply_octets + len) / 8;
            }
            Some(why) => shared.tally.refused(why),
            None => shared.tally.silent += 1,
        }
        results.into_iter().for_each(|results| cx.pool().spend(results));
        Ok(())
    }

    /// Replies leave that have been written.
    #[inline]
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) {
        if let Some(replies) = self.replies.take() {
            self.active = cx.now();
            if self.phase.is_over() {
                return cx.discard(replies, RpcDrop::Gone);
            }
            cx.put(Side::Write, replies);
        }
    }

    /// Enough is written for a message.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.replies.len() >= FLUSH
    }
}

/// What becomes of a call that may have come before.
enum Fate {
    New(Option<EntryId>),
    Ended(Result<(), NoMem>),
}

impl Source<'_> {
    fn msg(&self) -> Option<&Msg> {
        match self {
            Self::Record(input, _) => input.as_ref(),
            Self::Datagram(parts) => parts.as_ref().map(|(_, data)| data),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Record(_, len) => *len,
            Self::Datagram(parts) => parts.as_ref().map_or(0, |(_, data)| data.len()),
        }
    }

    /// The control block of a datagram, and the arguments.
    #[inline]
    fn take(self, header: usize, pool: &mut Pool) -> Result<(Option<Msg>, Option<Msg>), NoMem> {
        match self {
            Self::Record(input, len) if len == header => {
                skip(input, len, pool);
                Ok((None, None))
            }
            Self::Record(input, len) => {
                let record = cut(input, len, pool)?;
                Ok((None, record.map(|record| behind(record, header, pool))))
            }
            Self::Datagram(None) => Ok((None, None)),
            Self::Datagram(Some((control, data))) => {
                let data = behind(data, header, pool);
                if data.is_empty() {
                    pool.spend(data);
                    return Ok((Some(control), None));
                }
                Ok((Some(control), Some(data)))
            }
        }
    }

    /// It was dealt with.
    fn skip(&mut self, cx: &mut Cx<'_>, why: RpcDrop) {
        match self {
            Self::Record(input, len) => skip(input, *len, cx.pool()),
            Self::Datagram(parts) => {
                if let Some((control, data)) = parts.take() {
                    cx.pool().spend(control);
                    cx.discard(data, why);
                }
            }
        }
    }

    /// There is no memory: a datagram is gone.
    fn give_up(self, pool: &mut Pool) -> NoMem {
        if let Self::Datagram(Some((control, data))) = self {
            pool.spend(control);
            pool.spend(data);
        }
        NoMem
    }
}

/// Tells the cache how a call has ended.
fn remember(
    shared: &mut Shared,
    entry: EntryId,
    xid: u32,
    outcome: Option<Outcome>,
    results: Option<&Msg>,
    pool: &mut Pool,
) {
    let len = results.map_or(0, Msg::len);
    match (outcome, results) {
        (Some(Outcome::Success), Some(results)) if SUCCESS_LEN + len > drc::REPLY_MAX => {
            shared.drc.went_well(entry, results, [0, len], pool);
        }
        (Some(Outcome::Success), _) => {
            let header = header::success(xid);
            let octets = results.into_iter().flat_map(|results| results.cursor().chunks());
            let reply = core::iter::once(&header[..]).chain(octets);
            shared.drc.answered(entry, SUCCESS_LEN + len, reply);
        }
        // A batch call that comes again is as silent.
        (None, _) => shared.drc.answered(entry, 0, core::iter::empty()),
        (Some(_), _) => shared.drc.forget(entry),
    }
}

/// The reply of a datagram's call.
fn reply_datagram(
    cx: &mut Cx<'_>,
    to: Msg,
    xid: u32,
    outcome: Option<Outcome>,
    results: Option<Msg>,
) {
    let many = to.flags().intersects(MANY);
    let reply = match outcome {
        None => return cx.free(to),
        Some(Outcome::Success) => with_header(results, &header::success(xid), cx.pool()),
        Some(_) if many => return cx.discard(to, RpcDrop::Unsaid),
        Some(why) => {
            results.into_iter().for_each(|results| cx.pool().spend(results));
            replies::refusal(xid, why, cx.pool())
        }
    };
    match reply {
        Ok(reply) => send_datagram(cx, to, reply),
        Err(NoMem) => cx.discard(to, RpcDrop::NoMem),
    }
}

/// Octets in front of a message, or alone.
fn with_header(msg: Option<Msg>, octets: &[u8], pool: &mut Pool) -> Result<Msg, NoMem> {
    let Some(mut msg) = msg else { return pool.copy_from(HEADROOM, octets) };
    match msg.prepend(pool, octets.len()) {
        Ok(front) => {
            front.copy_from_slice(octets);
            Ok(msg)
        }
        Err(NoMem) => {
            pool.spend(msg);
            Err(NoMem)
        }
    }
}

/// A reply goes where its call came from.
fn send_datagram(cx: &mut Cx<'_>, control: Msg, reply: Msg) {
    if !cx.canput(Side::Write, Band(0)) {
        cx.pool().spend(reply);
        return cx.discard(control, RpcDrop::Blocked);
    }
    match reply_in_place(control, cx.pool()) {
        Ok(mut msg) => {
            msg.set_offload(millstream_msg::Offload::NONE);
            msg.link(reply);
            cx.put(Side::Write, msg);
        }
        Err(control) => {
            cx.pool().spend(reply);
            cx.discard(control, RpcDrop::NoMem);
        }
    }
}

/// The reply of the first goes to a duplicate; an empty one is that of a batch call.
fn send_again(cx: &mut Cx<'_>, control: &Msg, xid: u32, reply: drc::Reply<'_>) {
    if reply.is_empty() {
        return;
    }
    let made = control.copy(cx.pool()).and_then(|control| {
        let made = match reply {
            drc::Reply::Octets([front, rest]) => {
                cx.pool().copy_from(HEADROOM, front).and_then(|mut msg| {
                    let added = msg.append(cx.pool(), rest);
                    added.map(|()| msg)
                })
            }
            drc::Reply::Results(results) => results
                .dup(cx.pool())
                .and_then(|results| with_header(Some(results), &header::success(xid), cx.pool())),
        };
        match made {
            Ok(reply) => Ok((control, reply)),
            Err(NoMem) => {
                cx.pool().spend(control);
                Err(NoMem)
            }
        }
    });
    match made {
        Ok((control, reply)) => send_datagram(cx, control, reply),
        Err(NoMem) => cx.count_drops(RpcDrop::NoMem, 1),
    }
}

/// A header that lies in several blocks.
#[cold]
fn parse_pieces(msg: &Msg, len: usize) -> Header {
    let mut octets = [0; HEADER_MAX];
    let have = msg.copy_out(0, &mut octets[..len.min(HEADER_MAX)]);
    Header::parse(&octets[..have])
}

/// Takes the first octets of the input off; `None` for none.
#[inline]
pub(super) fn cut(
    input: &mut Option<Msg>,
    len: usize,
    pool: &mut Pool,
) -> Result<Option<Msg>, NoMem> {
    let Some(msg) = input else { return Ok(None) };
    if len == msg.len() {
        return Ok(input.take());
    }
    let rest = msg.split_off(pool, len)?;
    Ok(input.replace(rest))
}

/// The first octets of the input are done with.
#[inline]
pub(super) fn skip(input: &mut Option<Msg>, len: usize, pool: &mut Pool) {
    let Some(msg) = input.take() else { return };
    let rest = behind(msg, len, pool);
    if rest.is_empty() {
        return pool.spend(rest);
    }
    *input = Some(rest);
}

/// How long a message that came at `stamp` (microseconds, wrapping; 0: unknown) has waited.
#[inline]
pub(super) fn waited(now: u64, stamp: u32) -> u64 {
    match stamp {
        0 => 0,
        stamp => u64::from(((now / 1000) as u32).wrapping_sub(stamp)) * 1000,
    }
}

const MANY: MsgFlags = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);
const LOCAL_AT: usize = CALL_IND_WORDS + ADDR_MAX;
const TEMPLATE: usize = LOCAL_AT + ADDR_MAX;
/// Octets of replies that leave together: TCP's largest segment for a device.
const FLUSH: usize = 64 << 10;
/// Octets of replies to expect of all calls that are in progress.
const ROUND: usize = 1 << 20;
/// But so many calls are, that slow ones do not hold up the others.
const ROUND_MIN: usize = 16;
/// UDP, IPv6 with options, Ethernet.
const HEADROOM: usize = 128;
