//! The end of a script: what is pending ends, what is under way arrives, and nothing is left.

use super::{World, quietly};
use crate::common::settle;
use crate::script::cells_out;
use millstream_core::Marks;
use millstream_rig::secs;

impl World {
    /// What never answers ends with the close time, as does what waits behind it.
    fn wait(&mut self) {
        for _ in 0..WAITS_MAX {
            self.now += secs(16);
            settle(&mut self.p, self.now);
            self.events();
            if self.waits.is_empty() {
                return;
            }
        }
        panic!("a change is pending for ever: {:?}", self.waits);
    }

    /// Takes all modules out but the gauges.
    fn strip(&mut self) {
        for (stream, _) in self.p.streams() {
            loop {
                let chain = self.p.chain(stream).unwrap();
                let pos = chain.iter().filter(|n| n.name != "gauge").find_map(|n| n.pos);
                let Some(pos) = pos else { break };
                let outcome = self.p.remove(stream, pos).map(quietly);
                assert!(self.note(outcome), "a module leaves when asked to");
                self.wait();
            }
        }
    }

    /// Lets everything arrive that is under way.
    fn drain(&mut self) {
        let mut quiet = 0;
        while quiet < 4 {
            let mut came = 0;
            for at in 0..2 {
                self.lines[at].probe.set_room(None);
                self.p.writable(self.lines[at].driver);
                came += self.p.poll(self.lines[at].driver, 64);
                came += self.receive(at, 100);
            }
            self.now += 300_000;
            settle(&mut self.p, self.now);
            self.events();
            quiet = if came == 0 { quiet + 1 } else { 0 };
        }
    }

    /// Lines that can still be said something of: whole, and not broken by the script.
    fn whole(&self) -> Vec<usize> {
        let whole = |at: &usize| {
            let line = &self.lines[*at];
            !line.failed && self.p.chain(line.upper).is_ok() && self.is_linked(*at)
        };
        (0..2).filter(whole).collect()
    }

    pub(super) fn finish(mut self) {
        self.wait();
        self.strip();
        for at in 0..2 {
            if !self.is_linked(at) {
                self.link(at);
            }
        }
        self.drain();
        self.all_arrived();
        // A queue that has anything charged to it refuses now.
        let one = Marks { hiwat: 1, lowat: 1, ..Marks::DEFAULT };
        for at in self.whole() {
            self.p.set_read_marks(self.lines[at].upper, one).unwrap();
            assert!(self.p.set_driver_marks(self.lines[at].driver, one));
            let (upper, before) = (self.lines[at].upper, self.lines[at].probe.waiting());
            let msg = self.p.pool().copy_from(0, b"down").unwrap();
            self.p.putmsg(upper, msg).expect("room");
            let msg = self.p.pool().copy_from(0, b"up").unwrap();
            self.lines[at].probe.arrive(msg);
            assert_eq!((before, self.p.poll(self.lines[at].driver, 1)), (0, 1));
            settle(&mut self.p, self.now);
            let sent = self.lines[at].probe.sent_bytes();
            assert_eq!(sent, [b"down"], "line {at} takes one more");
            assert_eq!(self.receive(at, 2), 1, "line {at} takes one more");
        }
        self.close_all();
    }

    fn all_arrived(&mut self) {
        self.nothing_is_charged();
        for at in self.whole() {
            for stream in [self.lines[at].upper, self.lines[at].lower] {
                for node in self.p.chain(stream).unwrap() {
                    assert_eq!(node.depth, [0, 0], "{} of line {at} is empty", node.name);
                }
            }
            if !self.lines[at].lossy {
                for (&(_, from, band), flow) in
                    self.flows.range((at as u8, 0, 0)..(at as u8 + 1, 0, 0))
                {
                    assert_eq!(flow.next, flow.sent, "line {at}, from {from}, band {band}");
                }
            }
        }
        for &(stream, id) in &self.ioctls {
            assert!(self.p.chain(stream).is_err(), "{id:?} has no end");
        }
    }

    fn close_all(mut self) {
        for (stream, _) in self.p.streams() {
            let outcome = self.p.close(stream);
            assert!(self.note(outcome), "a stream closes when asked to");
        }
        self.wait();
        assert!(self.p.streams().is_empty());
        assert!(self.p.remove_mux(self.mux) && self.p.remove_mux(self.slow));
        self.lines.clear();
        assert_eq!(cells_out(self.p.pool()), 0, "all cells are back");
    }
}

/// Pending changes take 15 s each at most, and 64 wait behind one.
const WAITS_MAX: usize = 400;
