//! Streams are changed under traffic in both directions: nothing is lost, duplicated or
//! reordered, whatever the order of changes.

mod common;

use common::{Cross, Delayer, Holder, Null, Polite, cells, perimeter, settle};
use millstream_core::{Event, Module, NodeId, Perimeter, Rng, StreamId};
use millstream_rig::Probe;

/// Two streams through one multiplexor; sequence numbers run in both directions of each.
struct World {
    p: Perimeter,
    mux: NodeId,
    lines: Vec<Line>,
    rng: Rng,
    now: u64,
    changes: usize,
}

struct Line {
    upper: StreamId,
    lower: StreamId,
    driver: NodeId,
    probe: Probe,
    linked: bool,
    /// Next number to send and to expect, up and down.
    sent: [u32; 2],
    seen: [u32; 2],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut p = perimeter();
        let mux = p.add_mux(Box::new(Cross::default()));
        let mut lines = Vec::new();
        for i in 0..2 {
            let probe = Probe::new();
            let upper = p.open_mux(mux, &format!("upper{i}")).unwrap();
            let (lower, driver) = p.open_device(&format!("lower{i}"), Box::new(probe.clone()));
            p.link(mux, lower).unwrap();
            lines.push(Line {
                upper,
                lower,
                driver,
                probe,
                linked: true,
                sent: [0; 2],
                seen: [0; 2],
            });
        }
        Self { p, mux, lines, rng: Rng::new(seed), now: 0, changes: 0 }
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
        match self.rng.below(4) {
            0 => Box::new(Null),
            1 => Box::new(Polite),
            2 => Box::new(Holder),
            _ => Box::new(Delayer::default()),
        }
    }

    fn change(&mut self, at: usize) {
        self.changes += 1;
        let Line { upper, lower, linked, .. } = self.lines[at];
        let stream = if self.rng.below(2) == 0 { upper } else { lower };
        let count = self.p.chain(stream).unwrap().len() as u64 - 2;
        match self.rng.below(6) {
            0 if count < 5 => {
                let module = self.module();
                self.p.push(stream, module).unwrap();
            }
            1 if count > 0 => drop(self.p.pop(stream).unwrap()),
            2 if count < 5 => {
                let (module, pos) = (self.module(), self.rng.below(count + 1));
                self.p.insert(stream, pos as usize, module).unwrap();
            }
            3 if count > 0 => {
                let pos = self.rng.below(count) as usize;
                drop(self.p.remove(stream, pos).unwrap());
            }
            4 if linked => {
                self.p.unlink(lower).unwrap();
                self.lines[at].linked = false;
            }
            5 if count > 0 => {
                let pos = self.rng.below(count) as usize;
                assert!(self.p.set(stream, pos, "none", "").is_err());
            }
            _ if !linked && (at == 0 || self.lines[0].linked) => {
                // Lower numbers are given again in their order, so line 0 goes first.
                self.p.link(self.mux, lower).unwrap();
                self.lines[at].linked = true;
            }
            _ => self.changes -= 1,
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.p.event() {
            if let Event::WantWrite(driver) = event
                && self.rng.below(2) == 0
            {
                self.p.writable(driver);
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
    }

    /// Everything under way arrives, and all cells come back.
    fn finish(mut self, seed: u64) -> usize {
        for at in 0..2 {
            if !self.lines[at].linked {
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
            while self.p.event().is_some() {}
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
        assert!(self.p.remove_mux(self.mux));
        assert_eq!(cells(&mut self.p), 0, "seed {seed}: cells are back");
        self.changes
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_over_100_000_changes_d5_h5() {
    let mut changes = 0;
    let first = millstream_rig::seed(1);
    let mut seed = first;
    while changes < 100_000 {
        let mut world = World::new(seed);
        for _ in 0..1500 {
            world.step();
        }
        changes += world.finish(seed);
        seed += 1;
    }
    println!("{changes} changes over {} seeds", seed - first);
}
