//! gather: whole calls that lie behind each other in a block of the input go up as one message, and
//! the replies to them come down as one: no block, no message and no cut for each call. What is
//! no plain call (a refusal, a duplicate, a reply, a record in pieces) is left to `server`, one at
//! a time.

use super::batch::{self, CallEntry, ENTRIES_AT, ENTRY, ReplyEntry};
use super::calls::Underway;
use super::drc::{self, EntryId, Key, Known};
use super::header::{CallHeader, Header, SUCCESS_LEN};
use super::marking::{self, MARK_LEN};
use super::server::{cut, skip, waited};
use super::{Resolved, Rpc, RpcDrop, Shared};
use millstream_core::Cx;
use millstream_msg::{Kind, Msg, NoMem, Pool};
use millstream_onc::message::Outcome;

/// What comes up.
impl Rpc {
    /// Sends up the whole calls at the front of the input; false when there is none.
    ///
    /// # Errors
    /// No memory: nothing has happened.
    pub(super) fn gather(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        input: &mut Option<Msg>,
    ) -> Result<bool, NoMem> {
        let Some(msg) = input else { return Ok(false) };
        if !self.in_batches || self.marking.is_within() || !self.offers.is_empty() {
            return Ok(false);
        }
        let room = self.calls_max().saturating_sub(self.calls.len() + self.twins.len());
        let limit = self.marking.limits().record;
        let most = Whole::new(msg.first(), limit).take(room.min(BATCH_MAX)).count();
        if most == 0 {
            return Ok(false);
        }
        let mut block = self.template.batch(most, cx.pool())?;
        let entries = &mut block.spare_mut()[ENTRIES_AT..ENTRIES_AT + most * ENTRY];
        let taken = self.enter(shared, msg.first(), cx.now(), entries);
        if taken.count == 0 {
            cx.pool().spend(block);
            return Ok(false);
        }
        let wait_ns = waited(cx.now(), msg.stamp());
        super::primitive::put_words(&mut block.spare_mut()[4..], [taken.count as u32]);
        block.commit(ENTRIES_AT + taken.count * ENTRY);
        let Ok(Some(data)) = cut(input, taken.octets, cx.pool()) else {
            self.undo(shared, block.first(), taken.count);
            cx.pool().spend(block);
            return Err(NoMem);
        };
        if let Some(procedure) = taken.procedure {
            shared.tally.queued(procedure, wait_ns, taken.count as u64);
        } else {
            let names = (0..taken.count).filter_map(|n| CallEntry::read(block.first(), n));
            for call in names.filter_map(|entry| self.calls.get(entry.call)) {
                shared.tally.queued(call.procedure, wait_ns, 1);
            }
        }
        block.set_kind(Kind::Proto);
        block.link(data);
        self.up.push(block);
        Ok(true)
    }

    /// Enters calls, as many as have an entry, up to one that is to be looked at alone.
    fn enter(&mut self, shared: &mut Shared, octets: &[u8], now: u64, entries: &mut [u8]) -> Taken {
        let mut taken = Taken { count: 0, octets: 0, procedure: None };
        let mut records = Whole::new(octets, self.marking.limits().record);
        for out in entries.chunks_exact_mut(ENTRY) {
            let Some((at, record)) = records.next() else { break };
            let Header::Call(call) = Header::parse(record) else { break };
            let Ok(known) = self.resolve(shared, call.procedure) else { break };
            let Some(entry) = self.first_time(shared, &call, record, known) else { break };
            let procedure = known.counted;
            let underway = Underway { xid: call.xid, procedure, since: now, entry, control: None };
            let Ok(name) = self.calls.add(underway) else {
                entry.into_iter().for_each(|entry| shared.drc.forget(entry));
                break;
            };
            CallEntry { call: name, at, header: call.len, len: record.len() }.write(out);
            let same = taken.count == 0 || taken.procedure == Some(procedure);
            taken.procedure = same.then_some(procedure);
            (taken.count, taken.octets) = (taken.count + 1, at + record.len());
        }
        taken
    }

    /// The call's entry in the cache, when it needs one; `None` for one that has come before.
    #[inline]
    fn first_time(
        &self,
        shared: &mut Shared,
        call: &CallHeader,
        record: &[u8],
        known: Resolved,
    ) -> Option<Option<EntryId>> {
        let Some(peer) = self.template.peer.filter(|_| !known.idempotent) else {
            return Some(None);
        };
        let args = &record[call.len..];
        let from = (peer, false);
        let key = Key::new(shared.drc.keyed(), from, call.xid, call.procedure, (args, args.len()));
        match shared.drc.look(&key) {
            Known::New(entry) => Some(Some(entry)),
            Known::Full => {
                shared.tally.uncached += 1;
                Some(None)
            }
            Known::InProgress(_) | Known::Done(_) => None,
        }
    }

    #[cold]
    fn undo(&mut self, shared: &mut Shared, block: &[u8], count: usize) {
        let calls = (0..count).filter_map(|n| CallEntry::read(block, n));
        for call in calls.filter_map(|entry| self.calls.take(entry.call)) {
            call.entry.into_iter().for_each(|entry| shared.drc.forget(entry));
        }
    }
}

/// What goes down.
impl Rpc {
    /// An R_REPLIES_REQ.
    ///
    /// # Errors
    /// No memory for some refusals: a request of these alone is given back.
    pub(super) fn batch_replies(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        msg: Msg,
    ) -> Result<(), Msg> {
        let (mut block, mut data) = msg.unlink();
        let (mut at, mut left) = (0, 0);
        for n in 0..batch::count(block.first()) {
            let Some(reply) = ReplyEntry::read(block.first(), n) else { continue };
            if reply.len > data.as_ref().map_or(0, Msg::len) - at {
                break;
            }
            if reply.outcome != Some(Outcome::Success) && !self.refuse_one(cx, &reply) {
                if let Some(octets) = block.first_mut() {
                    reply.write(octets, left);
                    left += 1;
                }
            } else if let Some(call) = self.calls.take(reply.call) {
                self.answered(cx, shared, &reply, call, (data.as_ref(), at));
                at += reply.len;
            } else {
                shared.tally.stray_replies += 1;
                cx.count_drops(RpcDrop::StrayReply, 1);
                data = self.before(data, at, reply.len, cx.pool());
                at = 0;
            }
        }
        data.into_iter().for_each(|data| self.replies.linked(data));
        if left == 0 {
            cx.pool().spend(block);
            return Ok(());
        }
        super::ends::retry(cx);
        let len = block.first_mut().map_or(0, |octets| batch::replies(octets, left));
        block.truncate(len);
        Err(block)
    }

    /// Writes the reply of a call that went wrong, if it has one; false without memory.
    fn refuse_one(&mut self, cx: &mut Cx<'_>, reply: &ReplyEntry) -> bool {
        let (Some(call), Some(why)) = (self.calls.get(reply.call), reply.outcome) else {
            return true;
        };
        self.phase.is_over() || self.replies.refusal(call.xid, why, cx.pool()).is_ok()
    }

    /// A call has ended; the record of its reply is at `at` in the data.
    #[inline]
    fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        reply: &ReplyEntry,
        call: Underway,
        (data, at): (Option<&Msg>, usize),
    ) {
        // Who calls by datagram is answered one at a time.
        call.control.into_iter().for_each(|control| cx.discard(control, RpcDrop::Malformed));
        shared.tally.served(call.procedure, cx.now() - call.since);
        match reply.outcome {
            Some(Outcome::Success) => {
                shared.tally.replies += 1;
                self.reply_octets = (7 * self.reply_octets + reply.len) / 8;
            }
            Some(why) => shared.tally.refused(why),
            None => shared.tally.silent += 1,
        }
        let Some(entry) = call.entry else { return };
        match (reply.outcome, data) {
            (Some(Outcome::Success), Some(data)) => {
                let mut octets = data.cursor();
                octets.skip(at + MARK_LEN);
                let len = reply.len.saturating_sub(MARK_LEN);
                if len > drc::REPLY_MAX {
                    let results = [at + MARK_LEN + SUCCESS_LEN, len - SUCCESS_LEN];
                    return shared.drc.went_well(entry, data, results, cx.pool());
                }
                shared.drc.answered(entry, len, octets.chunks());
            }
            // A batch call that comes again is as silent.
            (None, _) => shared.drc.answered(entry, 0, core::iter::empty()),
            _ => shared.drc.forget(entry),
        }
    }

    /// Lets the first `at` octets of the data leave, not the `len` behind them; the rest.
    #[cold]
    fn before(&mut self, data: Option<Msg>, at: usize, len: usize, pool: &mut Pool) -> Option<Msg> {
        let mut rest = data;
        if len == 0 || at == 0 {
            skip(&mut rest, at + len, pool);
            return rest;
        }
        match cut(&mut rest, at, pool) {
            Ok(front) => front.into_iter().for_each(|front| self.replies.linked(front)),
            // Who has asked nothing gets a reply: it throws that away.
            Err(NoMem) => return rest,
        }
        skip(&mut rest, len, pool);
        rest
    }
}

/// Calls that were entered.
struct Taken {
    count: usize,
    /// Octets of the input, marks included.
    octets: usize,
    /// Where all are counted; `None` when not all are at one place.
    procedure: Option<u32>,
}

/// Records of one fragment that lie whole in these octets, behind each other: where each begins
/// behind its mark, and its octets.
struct Whole<'a> {
    octets: &'a [u8],
    at: usize,
    /// Longest record.
    limit: u32,
}

impl<'a> Whole<'a> {
    #[inline]
    const fn new(octets: &'a [u8], limit: u32) -> Self {
        Self { octets, at: 0, limit }
    }
}

impl<'a> Iterator for Whole<'a> {
    type Item = (usize, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.octets.get(self.at..)?;
        let (mark, rest) = rest.split_first_chunk::<MARK_LEN>()?;
        let (len, last) = marking::parse(*mark);
        let record = rest.get(..len as usize).filter(|_| last && len <= self.limit)?;
        let at = self.at + MARK_LEN;
        self.at = at + record.len();
        Some((at, record))
    }
}

/// Calls of a batch at most: their entries fit into a large cell.
const BATCH_MAX: usize = 1024;
