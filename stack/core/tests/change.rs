//! Streams are changed under traffic in both directions: nothing is lost, duplicated or
//! reordered, whatever the order of changes.

mod common;

use common::slow::{End, Log, Moves, Slow};
use common::{Cross, Delayer, Holder, Null, Polite, cells, perimeter, settle};
use millstream_core::{
    Change, Errno, Event, Module, NodeId, Perimeter, PlumbError, Rng, StreamId, Ticket,
};
use millstream_rig::{Probe, secs};
use std::collections::BTreeSet;

/// Two streams through one multiplexor; sequence numbers run in both directions of each.
struct World {
    p: Perimeter,
    mux: NodeId,
    lines: Vec<Line>,
    rng: Rng,
    now: u64,
    changes: usize,
    /// Changes that were refused in the end, and what they were to change went on.
    refused: usize,
    /// Changes that are pending.
    waits: BTreeSet<Ticket>,
}

struct Line {
    upper: StreamId,
    lower: StreamId,
    driver: NodeId,
    probe: Probe,
    /// Next number to send and to expect, up and down.
    sent: [u32; 2],
    seen: [u32; 2],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut p = perimeter();
        p.set_audit(true);
        let mux = p.add_mux(Box::new(Cross::default()));
        let mut lines = Vec::new();
        for i in 0..2 {
            let probe = Probe::new();
            let upper = p.open_mux(mux, &format!("upper{i}")).unwrap();
            let (lower, driver) = p.open_device(&format!("lower{i}"), Box::new(probe.clone()));
            p.link(mux, lower).unwrap();
            lines.push(Line { upper, lower, driver, probe, sent: [0; 2], seen: [0; 2] });
        }
        Self {
            p,
            mux,
            lines,
            rng: Rng::new(seed),
            now: 0,
            changes: 0,
            refused: 0,
            waits: BTreeSet::new(),
        }
    }

    fn send(&mut self, at: usize) {
        let line = &mut self.lines[at];
        for _ in 0..self.rng.below(8) {
            let msg = self.p.pool().copy_from(0, &line.sent[1].to_le_bytes()).unwrap();
            match self.p.putmsg(line.upper, msg) {
                Ok(()) => line.sent[1] += 1,
                Err((_, msg)) => {
                    self.p.pool().free(msg);
                    break;
                }
            }
        }
        for _ in 0..self.rng.below(8) {
            if line.probe.waiting() < 50 {
                let msg = self.p.pool().copy_from(0, &line.sent[0].to_le_bytes()).unwrap();
                line.probe.arrive(msg);
                line.sent[0] += 1;
            }
        }
        self.p.poll(line.driver, 1 + self.rng.below(10) as usize);
    }

    fn receive(&mut self, at: usize, most: u64) {
        let line = &mut self.lines[at];
        for _ in 0..self.rng.below(most) {
            let Ok(Some(got)) = self.p.getmsg(line.upper) else { break };
            let data = got.data.expect("data");
            assert_eq!(data.first(), line.seen[0].to_le_bytes(), "up, line {at}");
            line.seen[0] += 1;
            self.p.pool().free(data);
        }
        for msg in line.probe.sent() {
            assert_eq!(msg.first(), line.seen[1].to_le_bytes(), "down, line {at}");
            line.seen[1] += 1;
            self.p.pool().free(msg);
        }
    }

    fn module(&mut self) -> Box<dyn Module> {
        match self.rng.below(7) {
            0 => Box::new(Null),
            1 => Box::new(Polite),
            2 => Box::new(Holder),
            3 => Box::new(Delayer::default()),
            // Version 3 takes no state, so that a replacement is refused now and then.
            4 => Box::new(Moves::new(1 + self.rng.below(3) as u32)),
            _ => Box::new(self.slow()),
        }
    }

    /// A module that takes its time, or for ever, and may not open in the end.
    fn slow(&mut self) -> Slow {
        let opens = if self.rng.below(4) == 0 { Err(Errno::EIO) } else { Ok(()) };
        let (open, close) = (self.end(), self.end());
        // Nobody can open it but its stream's close time.
        let opens = if matches!(open, End::Now) { Ok(()) } else { opens };
        Slow { open, opens, close, log: Log::default() }
    }

    fn end(&mut self) -> End {
        match self.rng.below(8) {
            0..4 => End::Now,
            7 => End::Told,
            _ => End::After(self.rng.below(400_000)),
        }
    }

    fn is_linked(&self, at: usize) -> bool {
        self.p.chain(self.lines[at].lower).unwrap()[0].kind == "mux"
    }

    fn change(&mut self, at: usize) {
        let Line { upper, lower, .. } = self.lines[at];
        let stream = if self.rng.below(2) == 0 { upper } else { lower };
        let count = self.p.chain(stream).unwrap().len() as u64 - 2;
        let busy = self.p.pending(lower).is_some();
        let pos = self.rng.below(count + 1) as usize;
        let outcome = match self.rng.below(9) {
            0 if count < 5 => {
                let module = self.module();
                self.p.push(stream, module)
            }
            1 if count > 0 => self.p.pop(stream).map(quietly),
            2 if count < 5 => {
                let module = self.module();
                self.p.insert(stream, pos, module)
            }
            3 if count > 0 => self.p.remove(stream, pos.min(count as usize - 1)).map(quietly),
            4 if self.is_linked(at) && !busy => self.p.unlink(lower),
            5 if count > 0 => {
                let module = self.module();
                self.p.replace(stream, pos.min(count as usize - 1), module).map(quietly)
            }
            6 => {
                self.p.replace_mux(self.mux, Box::new(Cross::default())).unwrap();
                Ok(Change::Done(()))
            }
            // Lower numbers are given again in their order, so line 0 goes first.
            7 if !self.is_linked(at) && !busy && (at == 0 || self.is_linked(0)) => {
                self.p.link(self.mux, lower).map(quietly)
            }
            _ => return,
        };
        match outcome {
            Ok(Change::Done(())) => self.changes += 1,
            Ok(Change::Pending(ticket)) => drop(self.waits.insert(ticket)),
            Err(PlumbError::NotTaken(_)) => self.refused += 1,
            Err(PlumbError::Busy) => {}
            Err(why) => panic!("{why}"),
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.p.event() {
            match event {
                Event::WantWrite(driver) if self.rng.below(2) == 0 => self.p.writable(driver),
                Event::Changed(ticket, result) => {
                    assert!(self.waits.remove(&ticket), "each ticket ends once");
                    match result {
                        Ok(()) => self.changes += 1,
                        Err(_) => self.refused += 1,
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        let at = self.rng.below(2) as usize;
        match self.rng.below(7) {
            0 | 1 => self.send(at),
            2 => self.receive(at, 12),
            3 => {
                let budget = 1 + self.rng.below(40) as usize;
                self.now += self.rng.below(300_000);
                self.p.turn(self.now, budget);
            }
            4 => {
                let room = self.rng.below(10) as usize;
                let line = &self.lines[at];
                line.probe.set_room(Some(room));
                self.p.writable(line.driver);
            }
            _ => self.change(at),
        }
        self.events();
        self.audit();
    }

    /// Every block is where the books say, and those that are not in the perimeter are in the
    /// probes.
    fn audit(&mut self) {
        let audit = self.p.audit().unwrap_or_else(|why| panic!("{why}"));
        let probes: usize = self.lines.iter().map(|line| line.probe.holds()).sum();
        assert_eq!(audit.outside, probes as i64, "what is outside is with the probes");
    }

    /// Everything under way arrives, and all cells come back.
    fn finish(mut self, seed: u64) -> (usize, usize) {
        // What never answers ends with the close time, as does what waits behind it.
        while !self.waits.is_empty() {
            self.now += secs(16);
            settle(&mut self.p, self.now);
            self.events();
        }
        for at in 0..2 {
            if !self.is_linked(at) {
                self.p.link(self.mux, self.lines[at].lower).unwrap();
            }
            self.lines[at].probe.set_room(None);
        }
        for _ in 0..3000 {
            for at in 0..2 {
                self.p.writable(self.lines[at].driver);
                self.p.poll(self.lines[at].driver, 64);
                self.receive(at, 100);
            }
            self.now += 300_000;
            settle(&mut self.p, self.now);
            self.events();
            if self.lines.iter().all(|line| line.sent == line.seen) {
                break;
            }
        }
        for line in &self.lines {
            assert_eq!(line.seen, line.sent, "seed {seed}: all arrived");
            for stream in [line.upper, line.lower] {
                for node in self.p.chain(stream).unwrap() {
                    assert_eq!(node.depth, [0, 0], "seed {seed}: {} is empty", node.name);
                }
            }
        }
        assert_eq!(self.p.stale(), 0, "seed {seed}");
        assert!(!self.p.turn(self.now, 0).more, "seed {seed}: run lists are empty");
        for line in std::mem::take(&mut self.lines) {
            self.p.close(line.upper).unwrap();
            self.p.close(line.lower).unwrap();
        }
        while !self.p.streams().is_empty() {
            self.now += secs(16);
            settle(&mut self.p, self.now);
        }
        assert!(self.p.remove_mux(self.mux));
        assert_eq!(cells(&mut self.p), 0, "seed {seed}: cells are back");
        (self.changes, self.refused)
    }
}

fn quietly<T>(change: Change<T>) -> Change {
    match change {
        Change::Done(_) => Change::Done(()),
        Change::Pending(ticket) => Change::Pending(ticket),
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_over_100_000_changes_d5_h5() {
    let (mut changes, mut refused) = (0, 0);
    let first = millstream_rig::seed(1);
    let mut seed = first;
    while changes < 100_000 {
        let mut world = World::new(seed);
        for _ in 0..1500 {
            world.step();
        }
        let (done, not_done) = world.finish(seed);
        (changes, refused) = (changes + done, refused + not_done);
        seed += 1;
    }
    println!("{changes} changes and {refused} refused ones over {} seeds", seed - first);
}
