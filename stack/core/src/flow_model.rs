//! The queue algorithm against a naive model: random operations on a queue whose writer is a
//! module with a service procedure.

use crate::flow_bench::bench;
use crate::module::Marks;
use crate::queue::{Flush, NO_ENABLE, WANT_READ};
use crate::rng::Rng;
use alloc::vec::Vec;
use millstream_msg::{Band, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    id: u32,
    high: bool,
    band: u8,
    len: u32,
    data: bool,
}

impl Item {
    fn rank(self) -> u16 {
        if self.high { 256 } else { u16::from(self.band) }
    }

    /// High priority is charged to band 0 (C9).
    fn charged(self) -> u8 {
        if self.high { 0 } else { self.band }
    }
}

/// What the manual pages say, by counting everything anew each time.
#[derive(Default)]
struct Model {
    items: Vec<Item>,
    want_write: Vec<u8>,
    want_read: bool,
    noenable: bool,
    enabled: bool,
    hiwat: u32,
    lowat: u32,
}

impl Model {
    fn counts(&self, band: u8) -> (u32, u32) {
        let of_band = self.items.iter().filter(|item| item.charged() == band);
        of_band.fold((0, 0), |(bytes, msgs), item| (bytes + item.len, msgs + 1))
    }

    fn putq(&mut self, item: Item) {
        let at = self.items.iter().position(|other| other.rank() < item.rank());
        self.items.insert(at.unwrap_or(self.items.len()), item);
        let ordinary = !self.noenable && (self.want_read || item.band > 0);
        self.enabled |= item.high || ordinary;
    }

    fn putbq(&mut self, item: Item) {
        let at = self.items.iter().position(|other| other.rank() <= item.rank());
        self.items.insert(at.unwrap_or(self.items.len()), item);
        self.enabled |= item.high || (!self.noenable && self.want_read);
    }

    /// True when it was taken.
    fn insq(&mut self, before: Option<usize>, item: Item) -> bool {
        let at = before.unwrap_or(self.items.len());
        if before.is_some() && at >= self.items.len() {
            return false;
        }
        let mut after = self.items.clone();
        after.insert(at, item);
        if !after.is_sorted_by(|a, b| a.rank() >= b.rank()) {
            return false;
        }
        self.items = after;
        self.enabled |= !self.noenable && self.want_read;
        true
    }

    fn rmvq(&mut self, at: usize) -> Option<Item> {
        (at < self.items.len()).then(|| self.items.remove(at))
    }

    fn getq(&mut self) -> Option<Item> {
        self.want_read = self.items.is_empty();
        (!self.items.is_empty()).then(|| self.items.remove(0))
    }

    fn flush(&mut self, what: Flush, band: Option<u8>) -> Vec<Item> {
        let goes = |item: &Item| {
            (what == Flush::All || item.data) && band.is_none_or(|band| item.charged() == band)
        };
        let gone = self.items.iter().copied().filter(goes).collect();
        self.items.retain(|item| !goes(item));
        gone
    }

    fn canput(&mut self, band: u8) -> bool {
        let (bytes, msgs) = self.counts(band);
        if msgs == 0 || (bytes < self.hiwat && msgs < self.hiwat) {
            return true;
        }
        if !self.want_write.contains(&band) {
            self.want_write.push(band);
        }
        false
    }

    /// True when the writer is to be enabled.
    fn relief(&mut self) -> bool {
        let waiting = core::mem::take(&mut self.want_write);
        let low = |(bytes, msgs): (u32, u32)| {
            self.lowat == 0 || (bytes < self.lowat && msgs < self.lowat)
        };
        let (relieved, still): (Vec<u8>, Vec<u8>) =
            waiting.into_iter().partition(|&band| low(self.counts(band)));
        self.want_write = still;
        !relieved.is_empty()
    }
}

#[test]
fn the_queue_algorithm_agrees_with_a_naive_model_c2_to_c28() {
    for seed in 0..400 {
        run(seed);
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let lowat = rng.below(60) as u32;
    let hiwat = lowat + rng.below(60) as u32;
    let marks = Marks { hiwat, lowat, minpsz: 0, maxpsz: 100, per_msg: 0 };
    let mut bench = bench(marks);
    let mut model = Model { want_read: true, hiwat, lowat, ..Model::default() };
    let bands = [0, 0, 0, 1, 3, 255];
    for id in 0..300 {
        let mut back_enabled = false;
        let mut item = Item {
            id,
            high: rng.below(8) == 0,
            band: bands[rng.below(6) as usize],
            len: rng.below(4) as u32 * rng.below(12) as u32,
            data: rng.below(3) > 0,
        };
        if item.high {
            item.band = 0;
        }
        match rng.below(12) {
            0..3 => {
                model.putq(item);
                let msg = message(bench.pool(), item);
                bench.putq(msg);
            }
            3 => {
                model.putbq(item);
                let msg = message(bench.pool(), item);
                bench.putbq(msg);
            }
            4 | 5 => {
                let expected = model.getq();
                back_enabled = expected.is_some() && model.relief();
                let got = bench.getq();
                assert_eq!(got, expected.map(|item| item.id), "seed {seed}");
            }
            6 => {
                let what = if rng.below(2) == 0 { Flush::All } else { Flush::Data };
                let band = (rng.below(3) > 0).then(|| bands[rng.below(6) as usize]);
                let expected: Vec<u32> = model.flush(what, band).iter().map(|i| i.id).collect();
                back_enabled = model.relief();
                assert_eq!(bench.flush(what, band.map(Band)), expected, "seed {seed}");
            }
            7 => {
                let before = (rng.below(4) > 0).then(|| rng.below(8) as usize);
                let msg = message(bench.pool(), item);
                let taken = bench.insq(before, msg);
                assert_eq!(taken, model.insq(before, item), "seed {seed} step {id}: C5");
            }
            8 => {
                let at = rng.below(6) as usize;
                let expected = model.rmvq(at);
                back_enabled = expected.is_some() && model.relief();
                assert_eq!(bench.rmvq(at), expected.map(|item| item.id), "seed {seed}: C7");
            }
            9 | 10 => {
                let band = bands[rng.below(6) as usize];
                assert_eq!(bench.canput(Band(band)), model.canput(band), "seed {seed} step {id}");
            }
            _ => match rng.below(3) {
                0 => {
                    model.noenable = !model.noenable;
                    bench.set_flag(NO_ENABLE, model.noenable);
                }
                1 => {
                    model.enabled = true;
                    bench.qenable();
                }
                _ => {
                    model.enabled = false;
                    bench.served();
                }
            },
        }
        let order: Vec<u32> = model.items.iter().map(|item| item.id).collect();
        assert_eq!(bench.order(), order, "seed {seed} step {id}: order (C2)");
        assert_eq!(bench.enabled(), model.enabled, "seed {seed} step {id}: enabled (C25)");
        assert_eq!(bench.flag(WANT_READ), model.want_read, "seed {seed} step {id}: C6");
        assert_eq!(bench.writer_woken(), back_enabled, "seed {seed} step {id}: C23");
        assert_eq!(bench.counts(), model.counts(0), "seed {seed} step {id}: C9");
    }
    bench.finish();
}

/// A message whose flow hash is its number.
fn message(pool: &mut millstream_msg::Pool, item: Item) -> millstream_msg::Msg {
    let mut msg = pool.copy_from(0, &[0; 64][..item.len as usize]).expect("memory");
    msg.set_flow_hash(item.id);
    msg.set_band(Band(item.band));
    msg.set_kind(match (item.high, item.data) {
        (true, true) => Kind::PcProto,
        (true, false) => Kind::IocAck,
        (false, true) => Kind::Proto,
        (false, false) => Kind::Ctl,
    });
    msg
}
