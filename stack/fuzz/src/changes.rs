//! Streams put to, run and changed in any order: two devices below one multiplexor, modules that
//! queue, hold, hoard, answer late or never, and refuse.
//!
//! Each numbered message comes once and in the order of its flow (a line, an end, a band). All of
//! them come unless the script flushes, closes or breaks its line.

#[path = "changes/end.rs"]
mod end;

use super::common::slow::{End, Log, Moves, Slow, SlowMux};
use super::common::{Cross, Delayer, Hoarder, Holder, Null, Polite, perimeter};
use super::script::{Script, bytes_of};
use millstream_core::ioctl::{Arg, Cred, IocId, Progress, Request};
use millstream_core::{
    Change, Cx, Errno, Event, HeadEvent, Invalid, ModInfo, Module, NodeId, Perimeter, PlumbError,
    Priority, Side, StreamId, Ticket,
};
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::{Probe, secs};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes: how rough (modulo 3: 0 loses nothing, 1 flushes and closes, 2 breaks lines too) and
/// whether the books are kept (below 128), then operations with what they need.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let first = script.byte();
    let (rough, audited) = (first % 3, first & 0x80 == 0);
    let mut world = World::new(audited);
    for _ in 0..OPERATIONS_MAX {
        if script.is_over() {
            break;
        }
        world.step(&mut script, rough);
        world.events();
        if audited && let Err(why) = world.p.audit() {
            panic!("{why}");
        }
    }
    world.finish();
}

/// A run of more takes long and finds what two runs find.
const OPERATIONS_MAX: usize = 600;

/// First byte of a numbered message.
const NUMBERED: u8 = 0xa5;

/// So many modules of one stream are enough.
const MODULES: usize = 5;

/// Bands in use.
const BANDS: u8 = 3;

/// Passes on while there is room; when set, asserts that nothing is charged to it.
struct Gauge;

impl Module for Gauge {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo {
            rsrv: true,
            wsrv: true,
            read: super::common::TIGHT,
            write: super::common::TIGHT,
            ..ModInfo::new("gauge", "for tests")
        };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }

    fn set(&mut self, cx: &mut Cx<'_>, _: &str, _: &str) -> Result<(), Invalid> {
        for side in [Side::Read, Side::Write] {
            for band in 0..BANDS {
                let view = cx.queue_view(side, Band(band)).expect("an own queue");
                assert_eq!((view.bytes, view.msgs), (0, 0), "{side:?}, band {band}");
            }
        }
        Ok(())
    }
}

/// One end's messages of one band.
#[derive(Clone, Copy, Default)]
struct Flow {
    sent: u32,
    /// The least number that may come next.
    next: u32,
}

/// Where the messages of a flow come from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Device,
    Upper,
    Lower,
}

struct Line {
    upper: StreamId,
    lower: StreamId,
    driver: NodeId,
    probe: Probe,
    /// Messages may have got lost.
    lossy: bool,
    /// An end may have failed for good.
    failed: bool,
}

struct World {
    p: Perimeter,
    mux: NodeId,
    /// A multiplexor that takes its time, and its only upper.
    slow: NodeId,
    late: Option<StreamId>,
    lines: Vec<Line>,
    flows: BTreeMap<(u8, u8, u8), Flow>,
    now: u64,
    waits: BTreeSet<Ticket>,
    ioctls: Vec<(StreamId, IocId)>,
}

impl World {
    fn new(audited: bool) -> Self {
        let mut p = perimeter();
        p.set_audit(audited);
        let mux = p.add_mux(Box::new(Cross::default()));
        let slow = p.add_mux(Box::new(SlowMux::default()));
        let lines = (0..2).map(|_| {
            let probe = Probe::new();
            let upper = p.open_mux(mux, "upper").unwrap();
            let (lower, driver) = p.open_device("lower", Box::new(probe.clone()));
            p.link(mux, lower).unwrap();
            Line { upper, lower, driver, probe, lossy: false, failed: false }
        });
        let lines = lines.collect();
        Self {
            p,
            mux,
            slow,
            late: None,
            lines,
            flows: BTreeMap::new(),
            now: 0,
            waits: BTreeSet::new(),
            ioctls: Vec::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>, rough: u8) {
        let op = script.byte();
        let at = usize::from(op >> 7);
        match op & 0x1f {
            0..4 => self.send(at, script),
            4..7 => self.arrive(at, script),
            7 | 8 => drop(self.receive(at, usize::from(script.byte() & 15))),
            9..12 => self.turn(script),
            12 => {
                let room = usize::from(script.byte() & 15);
                self.lines[at].probe.set_room((room < 12).then_some(room));
                self.p.writable(self.lines[at].driver);
            }
            13..20 => self.change(at, script),
            20 => self.link(at),
            21 => self.replace_mux(script),
            22 | 23 => self.answer(at, script),
            24 => self.ioctl(at, script),
            25 => self.refused(at, script),
            26 => self.late(script),
            27 if rough > 0 => self.flush(at, script),
            28 if rough > 1 => self.odd(at, script),
            29 if rough > 0 => self.close(at, script),
            30 if rough > 0 => self.reopen(at),
            _ => self.send_priority(at, script),
        }
    }

    /// A numbered message of a flow.
    fn numbered(&mut self, at: usize, from: From, script: &mut Script<'_>) -> Option<Msg> {
        let shape = script.byte();
        let band = shape % BANDS;
        let key = (at as u8, from as u8, band);
        let number = self.flows.entry(key).or_default().sent.to_le_bytes();
        let mut bytes = vec![NUMBERED, key.0, key.1, key.2];
        bytes.extend(number);
        bytes.resize(8 + usize::from(shape >> 4), 0);
        let mut msg = self.p.pool().copy_from(0, &bytes).ok()?;
        msg.set_band(Band(band));
        if from == From::Device && shape & 4 != 0 {
            msg.set_kind(Kind::Proto);
        }
        Some(msg)
    }

    fn count(&mut self, msg: &[u8; 4]) {
        self.flows.entry((msg[1], msg[2], msg[3])).or_default().sent += 1;
    }

    fn send(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        let (stream, from) = match how & 0x80 {
            0 => (self.lines[at].upper, From::Upper),
            _ => (self.lines[at].lower, From::Lower),
        };
        for _ in 0..=how & 7 {
            let Some(msg) = self.numbered(at, from, script) else { break };
            let head: [u8; 4] = *msg.first().first_chunk().expect("numbered");
            match self.p.putmsg(stream, msg) {
                Ok(()) => self.count(&head),
                Err((_, msg)) => {
                    assert_eq!(msg.first()[..4], head, "the message comes back");
                    self.p.pool().free(msg);
                    break;
                }
            }
        }
    }

    fn arrive(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        for _ in 0..=how & 7 {
            if self.lines[at].probe.waiting() > 50 {
                break;
            }
            let Some(msg) = self.numbered(at, From::Device, script) else { break };
            self.count(msg.first().first_chunk().expect("numbered"));
            self.lines[at].probe.arrive(msg);
        }
        self.p.poll(self.lines[at].driver, usize::from(how >> 4));
    }

    /// Takes what came to both ends; how many messages.
    fn receive(&mut self, at: usize, most: usize) -> usize {
        let mut came: Vec<Msg> = self.lines[at].probe.sent().collect();
        for _ in 0..most {
            let Ok(Some(got)) = self.p.getmsg(self.lines[at].upper) else { break };
            came.extend(got.control.into_iter().chain(got.data));
        }
        let count = came.len();
        for msg in came {
            self.check(&bytes_of(&msg));
            self.p.pool().free(msg);
        }
        count
    }

    /// A message has come: once, and not after a later one.
    fn check(&mut self, bytes: &[u8]) {
        let &[NUMBERED, at, from, band, a, b, c, d, ..] = bytes else { return };
        let lossy = self.lines[usize::from(at)].lossy;
        let flow = self.flows.get_mut(&(at, from, band)).expect("of a flow");
        let number = u32::from_le_bytes([a, b, c, d]);
        assert!(number < flow.sent, "was sent");
        assert!(number >= flow.next, "line {at}, from {from}, band {band}: {number} comes again");
        assert!(lossy || number == flow.next, "line {at}, from {from}, band {band}: a gap");
        flow.next = number + 1;
    }

    fn turn(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        self.now += u64::from(how >> 4) * 20_000;
        if how == 0xff {
            self.now += secs(4);
        }
        if !self.p.turn(self.now, 1 + usize::from(how & 15) * 3).more {
            self.nothing_is_charged();
        }
    }

    /// Streams that hold nothing have nothing charged to their queues.
    fn nothing_is_charged(&mut self) {
        for (stream, _) in self.p.streams() {
            let chain = self.p.chain(stream).unwrap();
            if chain.iter().all(|node| node.depth == [0, 0]) {
                for pos in chain.iter().filter(|node| node.name == "gauge").filter_map(|n| n.pos) {
                    self.p.set(stream, pos, "charges", "0").unwrap();
                }
            }
        }
    }

    fn module(script: &mut Script<'_>) -> Box<dyn Module> {
        let which = script.byte();
        let arg = which >> 4;
        match which & 15 {
            0 => Box::new(Null),
            1 | 2 => Box::new(Polite),
            3 => Box::new(Holder),
            4 => Box::new(Delayer::default()),
            // Version 3 takes no state of others.
            5 | 6 => Box::new(Moves::new(1 + u32::from(arg) % 3)),
            7 => Box::new(Hoarder),
            8..11 => Box::new(Gauge),
            _ => {
                let end = |how: u8| match how {
                    0 => End::Now,
                    1 => End::Told,
                    how => End::After(u64::from(how) * 100_000),
                };
                let opens = if which & 1 == 0 { Ok(()) } else { Err(Errno::EIO) };
                let (open, close) = (end(arg & 3), end(arg >> 2));
                Box::new(Slow { open, opens, close, log: Log::default() })
            }
        }
    }

    /// One of the streams that there are.
    fn stream(&self, at: usize, how: u8) -> StreamId {
        match (how & 3, self.late) {
            (3, Some(late)) => late,
            (0 | 3, _) => self.lines[at].upper,
            _ => self.lines[at].lower,
        }
    }

    fn change(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        let stream = self.stream(at, how);
        let count = self.p.chain(stream).map_or(0, |chain| chain.len() - 2);
        // One beyond what there is, too.
        let pos = usize::from(how >> 5) % (count + 2);
        let outcome = match how >> 2 & 7 {
            0 | 1 if count < MODULES => self.p.push(stream, Self::module(script)),
            2 if count < MODULES => self.p.insert(stream, pos, Self::module(script)),
            3 => self.p.pop(stream).map(quietly),
            4 => self.p.remove(stream, pos).map(quietly),
            _ => self.p.replace(stream, pos, Self::module(script)).map(quietly),
        };
        self.note(outcome);
    }

    /// Keeps the ticket of what is pending; whether the change was not refused.
    fn note(&mut self, outcome: Result<Change, PlumbError>) -> bool {
        match outcome {
            Ok(Change::Pending(ticket)) => assert!(self.waits.insert(ticket), "a new ticket"),
            Ok(Change::Done(())) => {}
            Err(why) => {
                assert!(!matches!(why, PlumbError::StateLost(_)), "all take their own state");
                return false;
            }
        }
        true
    }

    fn is_linked(&self, at: usize) -> bool {
        self.p.chain(self.lines[at].lower).is_ok_and(|chain| chain[0].kind == "mux")
    }

    /// Links or unlinks. Places are given in their order, so line 0 goes first.
    fn link(&mut self, at: usize) {
        let lower = self.lines[at].lower;
        if self.p.pending(lower).is_some() {
            return;
        }
        if self.is_linked(at) {
            let outcome = self.p.unlink(lower);
            self.note(outcome);
        } else if at == 0 || self.is_linked(0) {
            let outcome = self.p.link(self.mux, lower).map(quietly);
            self.note(outcome);
        }
    }

    fn replace_mux(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        let successor: Box<dyn millstream_core::Mux> = match how & 3 {
            0 => Box::new(SlowMux::default()),
            _ => Box::new(Cross::default()),
        };
        let replaced = self.p.replace_mux(self.mux, successor);
        assert_eq!(replaced.is_ok(), how & 3 != 0, "only its own kind takes its state");
    }

    /// Tells who takes its time.
    fn answer(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        let bytes: &[u8] = [&b"open"[..], b"fail", b"close", b"other"][usize::from(how & 3)];
        let Ok(mut msg) = self.p.pool().copy_from(0, bytes) else { return };
        msg.set_kind(Kind::PcProto);
        match (how & 4, self.late) {
            (0, Some(late)) => self.put(late, msg),
            _ => {
                self.lines[at].probe.arrive(msg);
                self.p.poll(self.lines[at].driver, 64);
            }
        }
    }

    fn put(&mut self, stream: StreamId, msg: Msg) {
        if let Err((_, msg)) = self.p.putmsg(stream, msg) {
            self.p.pool().free(msg);
        }
    }

    fn send_priority(&mut self, at: usize, script: &mut Script<'_>) {
        let stream = self.stream(at, script.byte());
        let Ok(mut msg) = self.p.pool().copy_from(0, &[0, script.byte()]) else { return };
        msg.set_kind(Kind::PcProto);
        self.put(stream, msg);
    }

    fn ioctl(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        let data = [how; 40];
        let arg = if how & 4 == 0 {
            Arg::Data(&data[..usize::from(how >> 3)])
        } else {
            Arg::Transparent(u64::from(how))
        };
        let request = Request {
            cmd: u32::from(how) << 8 | 1,
            timeout: 1 + i32::from(how & 3),
            cred: Cred::default(),
            arg,
        };
        let stream = self.stream(at, how);
        if let Ok(id) = self.p.ioctl(stream, request) {
            self.ioctls.push((stream, id));
        }
    }

    /// What no stream takes, whatever its state.
    fn refused(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        let stream = self.stream(at, how);
        let big = vec![0; 70_000];
        let (part, priority) = match how >> 2 & 1 {
            0 => ((None, Some(&big[..])), Priority::Band(0)),
            _ => ((Some(&big[..]), None), Priority::High),
        };
        assert!(self.p.putpmsg(stream, part.0, part.1, priority).is_err());
        if let Some(kind) = Kind::from_number(how)
            && !matches!(kind, Kind::Data | Kind::Proto | Kind::PcProto)
            && let Ok(mut msg) = self.p.pool().copy_from(0, &[how])
        {
            msg.set_kind(kind);
            let (_, msg) = self.p.putmsg(stream, msg).expect_err("no program sends it");
            self.p.pool().free(msg);
        }
    }

    /// Opens or closes the stream above the multiplexor that takes its time.
    fn late(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        match self.late {
            Some(late) if self.p.chain(late).is_ok() => {
                if how & 1 == 0 {
                    let outcome = self.p.close(late);
                    self.note(outcome);
                } else {
                    let moves = how & 2 == 0;
                    let successor = SlowMux { moves, ..SlowMux::default() };
                    let replaced = self.p.replace_mux(self.slow, Box::new(successor));
                    assert!(replaced.is_err() || moves);
                }
            }
            _ => {
                let late = self.p.open_mux(self.slow, "late").unwrap();
                self.waits.extend(self.p.pending(late));
                self.late = Some(late);
            }
        }
    }

    fn flush(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte();
        self.lines[at].lossy = true;
        let (bits, band) = (how & 3, Band(how >> 3 & 3));
        if how & 0x80 != 0 {
            let Ok(mut msg) = self.p.pool().copy_from(0, &[bits]) else { return };
            msg.set_kind(Kind::Flush);
            self.lines[at].probe.arrive(msg);
            self.p.poll(self.lines[at].driver, 64);
            return;
        }
        let stream = self.lines[at].upper;
        let sent = match how & 4 {
            0 => self.p.flush(stream, bits),
            _ => self.p.flush_band(stream, bits, band),
        };
        assert!(bits != 0 || sent.is_err(), "a flush of nothing");
    }

    /// Any kind of message with any bytes from a device, or the device's end.
    fn odd(&mut self, at: usize, script: &mut Script<'_>) {
        let (number, bytes) = (script.byte(), script.take(6));
        let line = &mut self.lines[at];
        (line.lossy, line.failed) = (true, true);
        let Some(kind) = Kind::from_number(number) else {
            if number == 0xff {
                line.probe.fail(Errno::EIO);
            }
            return;
        };
        if bytes.first() == Some(&NUMBERED) {
            return;
        }
        let Ok(mut msg) = self.p.pool().copy_from(0, bytes) else { return };
        msg.set_kind(kind);
        line.probe.arrive(msg);
        self.p.poll(line.driver, 64);
    }

    fn close(&mut self, at: usize, script: &mut Script<'_>) {
        self.lines[at].lossy = true;
        let stream = self.stream(at, script.byte() & 1);
        let outcome = self.p.close(stream);
        self.note(outcome);
    }

    /// Opens again what was closed. Places are given in their order, as for links.
    fn reopen(&mut self, at: usize) {
        let open = |p: &Perimeter, stream| p.chain(stream).is_ok();
        if !open(&self.p, self.lines[at].upper) && (at == 0 || open(&self.p, self.lines[0].upper)) {
            self.lines[at].upper = self.p.open_mux(self.mux, "upper").unwrap();
        }
        if !open(&self.p, self.lines[at].lower) {
            self.receive(at, 0);
            let probe = Probe::new();
            let (lower, driver) = self.p.open_device("lower", Box::new(probe.clone()));
            let line = &mut self.lines[at];
            (line.lower, line.driver, line.probe) = (lower, driver, probe);
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.p.event() {
            match event {
                Event::Changed(ticket, _) => {
                    assert!(self.waits.remove(&ticket), "each ticket ends once");
                }
                Event::Head(stream, HeadEvent::Ioctl(id)) => self.ioctl_goes_on(stream, id),
                _ => {}
            }
        }
    }

    fn ioctl_goes_on(&mut self, stream: StreamId, id: IocId) {
        match self.p.ioctl_progress(stream, id) {
            Some(Progress::Done(_)) => {
                let before = self.ioctls.len();
                self.ioctls.retain(|ioctl| *ioctl != (stream, id));
                assert_eq!(self.ioctls.len() + 1, before, "each ioctl ends once");
            }
            Some(Progress::CopyIn { .. } | Progress::CopyOut { .. }) => {
                let _ = self.p.ioctl_copied(stream, id, Err(Errno::EFAULT));
            }
            None => {}
        }
    }
}

fn quietly<T>(change: Change<T>) -> Change {
    match change {
        Change::Done(_) => Change::Done(()),
        Change::Pending(ticket) => Change::Pending(ticket),
    }
}
