//! programs: calls that come up from `rpc` go to the programs of the stack, and their answers go
//! down; everything else passes.
//!
//! A program answers at once, or takes a ticket and answers later, from any thread: the stream is
//! not held up. Arguments are read where they are, results are written into blocks with headroom
//! for what `rpc` and the transport put in front. The block of a call becomes that of its reply.
//!
//! Calls of a connection come in batches ([`batch`]): the program stays in hand for those that
//! follow each other, their results are written behind each other into one block, and the block of
//! the calls becomes that of their replies.

use crate::rpc::batch::{self, CallEntry, R_BATCHES, R_CALLS_IND, ReplyEntry};
use crate::rpc::header;
use crate::rpc::primitive::{self, R_CALL_IND, reply_req};
use crate::rpc::replies::Replies;
use crate::state;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use millstream_core::tpi::address_at;
use millstream_core::{
    Contract, Cx, Drop, Errno, Fields, Formats, Invalid, Joint, ModInfo, Module, Refused, Side,
    State, Step,
};
use millstream_msg::{Kind, Msg, MsgList, NoMem, Pool};
use millstream_onc::auth::{FLAVORS, Verifier};
use millstream_onc::message::Outcome;
use millstream_onc::registry::{Lease, Unreached};
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{Answer, Call, Completions, Credential, Later, Registry, Transport};

/// What is "set" by whoever knows that a ticket was answered: its reply leaves at once then.
pub const ANSWERED: &str = "answered";

/// What `programs` says of itself.
pub const INFO: ModInfo = ModInfo {
    contract: Contract {
        above: Joint::both(Formats::ANY),
        below: Joint::both(Formats::ANY),
        boundaries: true,
    },
    ..ModInfo::new("programs", "answers the calls that rpc brings up from the stack's programs")
};

/// The module.
#[derive(Debug)]
pub struct Programs {
    registry: Registry,
    completions: Completions,
    later: Later,
    /// Tickets that are out.
    tickets: u64,
    calls: u64,
    /// Replies that go down together.
    replies: MsgList,
    leaving: bool,
}

impl Programs {
    /// Answers from these programs; what is answered later comes through `completions`, which are
    /// this stream's alone.
    pub fn new(registry: Registry, completions: Completions) -> Self {
        let later = Later::new(completions.clone());
        Self {
            registry,
            completions,
            later,
            tickets: 0,
            calls: 0,
            replies: MsgList::new(),
            leaving: false,
        }
    }

    fn serve(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.calls += 1;
        let (mut block, args) = msg.unlink();
        let name = primitive::word(block.first(), 4).unwrap_or_default();
        let now = cx.now();
        let (outcome, results) = self.dispatch(&block, args.as_ref(), name, now, cx.pool());
        if let Some(args) = args {
            cx.pool().spend(args);
        }
        let Ok(outcome) = outcome else {
            self.tickets += 1;
            cx.timer(TICKETS, now + TICKETS_NS);
            return cx.free(block);
        };
        let reply = reply_req(name, outcome);
        match block.make_writable(cx.pool(), reply.len()) {
            Ok(octets) => octets[..reply.len()].copy_from_slice(&reply),
            Err(_) => {
                results.into_iter().for_each(|results| cx.pool().spend(results));
                return cx.discard(block, Drop::NO_MEMORY);
            }
        }
        block.truncate(reply.len());
        if let Some(results) = results {
            block.link(results);
        }
        // Asking whether there is room is the business of `rpc`: it hands up no more calls than it
        // takes replies of.
        self.replies.push(block);
    }

    /// Calls of a batch: their replies go down as one message.
    fn serve_batch(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let now = cx.now();
        let (mut block, data) = msg.unlink();
        let Some(data) = data else { return cx.discard(block, Drop::UNEXPECTED_TYPE) };
        let count = batch::count(block.first());
        self.calls += count as u64;
        let at = |at: usize| primitive::word(block.first(), at).unwrap_or_default();
        let mut batch = Batch {
            registry: &self.registry,
            lease: None,
            later: &mut self.later,
            caller: (&[], Credential::None),
            peer: address_at(block.first(), 12).unwrap_or(NOBODY),
            local: address_at(block.first(), 20).unwrap_or(NOBODY),
            transport: if at(8) == 0 { Transport::Tcp } else { Transport::Udp },
            now,
            replies: Replies::new(),
        };
        let len = block.len();
        let Ok(words) = block.make_writable(cx.pool(), len) else {
            // The calls stay in progress until their connection or its patience ends.
            cx.discard(data, Drop::NO_MEMORY);
            return cx.discard(block, Drop::NO_MEMORY);
        };
        let (mut answered, mut tickets) = (0, 0);
        for n in 0..count {
            let Some(entry) = CallEntry::read(words, n) else { break };
            let record = data.first().get(entry.at..).and_then(|from| from.get(..entry.len));
            match batch.answer(&entry, record.unwrap_or_default(), count - n - 1, cx.pool()) {
                Ok(reply) => {
                    reply.write(words, answered);
                    answered += 1;
                }
                Err(Ticketed) => tickets += 1,
            }
        }
        let len = batch::replies(words, answered);
        let mut replies = core::mem::take(&mut batch.replies);
        drop(batch);
        block.truncate(len);
        cx.pool().spend(data);
        if tickets > 0 {
            self.tickets += tickets;
            cx.timer(TICKETS, now + TICKETS_NS);
        }
        replies.take().into_iter().for_each(|replies| block.link(replies));
        self.replies.push(block);
    }

    /// Lets the program answer; `Err` when it does so later.
    fn dispatch(
        &mut self,
        block: &Msg,
        args: Option<&Msg>,
        name: u32,
        now: u64,
        pool: &mut Pool,
    ) -> (Result<Option<Outcome>, Ticketed>, Option<Msg>) {
        let words = block.first();
        let at = |at: usize| primitive::word(words, at).unwrap_or_default();
        let body = primitive::span(words, 32).unwrap_or_default();
        let credential = match credential(at(28), body) {
            Ok(credential) => credential,
            Err(why) => return (Ok(Some(Outcome::AuthError(why))), None),
        };
        let transport = if at(24) == 0 { Transport::Tcp } else { Transport::Udp };
        let call = Call {
            xid: at(8),
            program: at(12),
            version: at(16),
            procedure: at(20),
            credential: &credential,
            peer: address_at(words, 40).unwrap_or(NOBODY),
            local: address_at(words, 48).unwrap_or(NOBODY),
            transport,
            now,
        };
        self.later.set(u64::from(name));
        let Ok(mut reply) = Encoder::new(pool, HEADROOM, ROOM) else {
            return (Ok(Some(Outcome::SystemErr)), None);
        };
        let args = args.map_or(Decoder::new(&[]), Decoder::of);
        let answer = self.registry.call(&call, args, &mut reply, &mut self.later);
        let results = reply.finish();
        let outcome = told(answer);
        if outcome == Ok(Some(Outcome::Success)) && !results.is_empty() {
            return (outcome, Some(results));
        }
        pool.spend(results);
        (outcome, None)
    }

    /// Answers that have come.
    fn complete(&mut self, cx: &mut Cx<'_>) {
        while let Some(done) = self.completions.poll() {
            self.tickets -= 1;
            let reply = reply_req(done.id as u32, outcome(done.answer));
            match completed(&reply, done.results, cx.pool()) {
                Ok(msg) => cx.put(Side::Write, msg),
                // The call stays in progress until its connection or its patience ends.
                Err(NoMem) => cx.count_drops(Drop::NO_MEMORY, 1),
            }
        }
        if self.tickets > 0 {
            cx.timer(TICKETS, cx.now() + TICKETS_NS);
        } else if self.leaving {
            cx.close_done();
        }
    }
}

impl Module for Programs {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    /// Asks for batches; a module that knows none is asked in vain.
    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        ask_for_batches(cx, true);
        Ok(Step::Done)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.rput_batch(cx, core::iter::once(msg).collect());
    }

    fn rput_batch(&mut self, cx: &mut Cx<'_>, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            match (msg.kind(), primitive::number(msg.first())) {
                (Kind::Proto, Some(R_CALL_IND)) => self.serve(cx, msg),
                (Kind::Proto, Some(R_CALLS_IND)) => self.serve_batch(cx, msg),
                _ => cx.putnext(msg),
            }
        }
        if !self.replies.is_empty() {
            cx.put_batch(Side::Write, core::mem::take(&mut self.replies));
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _: u64) {
        self.complete(cx);
    }

    /// Waits for the tickets that are out.
    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        ask_for_batches(cx, false);
        if self.tickets == 0 {
            return Step::Done;
        }
        self.leaving = true;
        cx.timer(TICKETS, cx.now());
        Step::Pending
    }

    fn export(&mut self) -> Option<State> {
        let heir = Self::new(self.registry.clone(), self.completions.clone());
        let value = Box::new(core::mem::replace(self, heir));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    /// [`ANSWERED`]: tickets were answered. There is nothing else to set.
    fn set(&mut self, cx: &mut Cx<'_>, key: &str, _: &str) -> Result<(), Invalid> {
        if key != ANSWERED {
            return Err(Invalid::unknown(key));
        }
        self.complete(cx);
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("calls", self.calls);
        fields.count("answered-later", self.tickets);
        for (number, versions) in self.registry.programs() {
            let versions: Vec<_> = versions.iter().map(|version| version.number).collect();
            fields.item("program", alloc::format!("{number} versions {versions:?}"));
        }
    }
}

/// Calls that are answered together.
struct Batch<'a> {
    registry: &'a Registry,
    /// The program that was called last.
    lease: Option<Lease<'a>>,
    later: &'a mut Later,
    /// Who called last: the octets of the credential with its flavour, and what they say.
    caller: (&'a [u8], Credential),
    peer: SocketAddr,
    local: SocketAddr,
    transport: Transport,
    now: u64,
    replies: Replies,
}

impl<'a> Batch<'a> {
    /// Lets the program answer a call; `more` are behind it.
    ///
    /// # Errors
    /// It does so later.
    #[inline]
    fn answer(
        &mut self,
        entry: &CallEntry,
        record: &'a [u8],
        more: usize,
        pool: &mut Pool,
    ) -> Result<ReplyEntry, Ticketed> {
        let refused = |why| Ok(ReplyEntry { call: entry.call, outcome: Some(why), len: 0 });
        let Some(head) = record.first_chunk::<PLAIN>() else {
            return refused(Outcome::SystemErr);
        };
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let anonymous = entry.header == PLAIN && head[24..] == [0; 16];
        if !anonymous
            && let Err(why) = self.called_by(record.get(24..entry.header).unwrap_or_default())
        {
            return refused(Outcome::AuthError(why));
        }
        let call = Call {
            xid: word(0),
            program: word(12),
            version: word(16),
            procedure: word(20),
            credential: if anonymous { &Credential::None } else { &self.caller.1 },
            peer: self.peer,
            local: self.local,
            transport: self.transport,
            now: self.now,
        };
        if self.lease.as_ref().is_none_or(|lease| lease.number() != call.program) {
            // Given back first: it may be the same.
            self.lease = None;
            self.lease = self.registry.lease(call.program);
        }
        let Some(lease) = &mut self.lease else {
            let there = self.registry.find(call.program, call.version, call.procedure);
            let outcome = told(there.map(|_| Answer::SystemErr))?;
            return Ok(ReplyEntry { call: entry.call, outcome, len: 0 });
        };
        self.later.set(u64::from(entry.call));
        let args = Decoder::new(record.get(entry.header..).unwrap_or_default());
        let written = self.replies.record(call.xid, more, pool, |reply| {
            let answer = lease.call(&call, args, reply, self.later);
            (answer, answer == Ok(Answer::Done))
        });
        let Ok((answer, len)) = written else { return refused(Outcome::SystemErr) };
        Ok(ReplyEntry { call: entry.call, outcome: told(answer)?, len })
    }

    /// The credential of a call and what follows, from the flavour on: mostly that of the call
    /// before.
    #[inline]
    fn called_by(&mut self, auth: &'a [u8]) -> Result<(), millstream_onc::AuthStat> {
        if self.caller.0 != auth {
            let body = auth.get(8..).and_then(|from| from.get(..header::word(auth, 4) as usize));
            let said = credential(header::word(auth, 0), body.unwrap_or_default())?;
            self.caller = (auth, said);
        }
        Ok(())
    }
}

/// Asks `rpc` for batches of calls, or to have no more.
fn ask_for_batches(cx: &mut Cx<'_>, wanted: bool) {
    let mut octets = [0; 8];
    primitive::put_words(&mut octets, [R_BATCHES, u32::from(wanted)]);
    // Without memory for it they come one at a time: that is as good.
    let _said = cx.put_control(Side::Write, Kind::Ctl, &octets);
}

/// The program has taken a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticketed;

/// A reply that comes later. It is M_PCPROTO: `rpc` gets it also while it waits for it to leave.
fn completed(reply: &[u8], results: Vec<u8>, pool: &mut Pool) -> Result<Msg, NoMem> {
    let mut msg = pool.copy_from(0, reply)?;
    msg.set_kind(Kind::PcProto);
    if results.is_empty() {
        return Ok(msg);
    }
    let results = if results.len() <= COPY_MAX {
        pool.copy_from(HEADROOM, &results)
    } else {
        pool.wrap_bytes(results.into())
    };
    match results {
        Ok(results) => {
            msg.link(results);
            Ok(msg)
        }
        Err(NoMem) => {
            pool.spend(msg);
            Err(NoMem)
        }
    }
}

/// What a call came to; `Err` when it is answered later.
fn told(answer: Result<Answer, Unreached>) -> Result<Option<Outcome>, Ticketed> {
    Ok(match answer {
        Ok(Answer::Later) => return Err(Ticketed),
        Ok(answer) => outcome(answer),
        Err(Unreached::Program) => Some(Outcome::ProgUnavail),
        Err(Unreached::Version { low, high }) => Some(Outcome::ProgMismatch { low, high }),
        Err(Unreached::Procedure) => Some(Outcome::ProcUnavail),
    })
}

const fn outcome(answer: Answer) -> Option<Outcome> {
    Some(match answer {
        Answer::Done => Outcome::Success,
        Answer::GarbageArgs => Outcome::GarbageArgs,
        Answer::NoProcedure => Outcome::ProcUnavail,
        Answer::Denied(why) => Outcome::AuthError(why),
        Answer::Silent => return None,
        _ => Outcome::SystemErr,
    })
}

/// The credential as `rpc` has found it sound.
#[inline]
fn credential(flavour: u32, body: &[u8]) -> Result<Credential, millstream_onc::AuthStat> {
    if flavour == 0 {
        return Ok(Credential::None);
    }
    let known = FLAVORS.iter().find(|known| known.number() == flavour);
    let known = known.ok_or(millstream_onc::AuthStat::RejectedCred)?;
    known.accept(Decoder::new(body), Verifier { flavor: 0, body: Decoder::new(&[]) })
}

/// Octets of the header of a call without credential.
const PLAIN: usize = header::call_len(0);
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Reply header and mark, UDP, IPv6 with options, Ethernet.
const HEADROOM: usize = 128;
/// Results that fit into the smallest cell; larger ones go on in others.
const ROOM: usize = 128;
/// Later results up to so many octets are copied; larger ones are lent.
const COPY_MAX: usize = 1024;
/// Of the state that a successor takes over.
const VERSION: u32 = 1;
const TICKETS: u64 = 0;
/// Tickets that were answered are looked for so often while there are any, should nobody tell of
/// them.
const TICKETS_NS: u64 = 20_000_000;
