//! What flow control is worth: a reader at half the speed of the sender, with modules that ask
//! before they pass a message on, and with the same that do not. Time is counted in ticks, so that
//! the figures are the same on every machine.

use crate::Trouble;
use crate::report::{Options, Report, Side};
use millstream_core::{Caps, Config, Cx, Device, Errno, ModInfo, Module, Perimeter, Side as Way};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const ABOUT: &str = "a reader that takes half of what is sent, above four modules that ask \
    for room before they pass a message on, or never ask: memory, losses, goodput, and how old \
    messages are";

const FIGURES: &[(&str, &str)] = &[
    ("memory", "bytes"),
    ("lost", "messages"),
    ("goodput", "messages/tick"),
    ("age, median", "ticks"),
    ("age, oldest", "ticks"),
    ("held back", "messages"),
];

const TICKS: u32 = 20_000;
/// Messages offered, and read, in a tick.
const OFFERED: usize = 4;
const READ: usize = 2;
/// Bytes of a message: one frame.
const BYTES: usize = 1460;
const MODULES: usize = 4;
/// Frames that the device of a sender who does not wait holds, as a TAP does.
const RING: usize = 1000;
/// A stack's frames, 32 MiB, and little else.
const POOL: PoolConfig =
    PoolConfig { frame: PoolConfig::STACK.frame, small: 64, large: 0, ..PoolConfig::TINY };

/// Whether a sender waits for room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// It keeps what is not taken, and sends no more: TCP, a pipe.
    Waits,
    /// It goes on; what does not fit is lost: a network.
    GoesOn,
}

/// What a run has found, in the order of [`FIGURES`].
#[derive(Debug)]
struct Found([f64; 6]);

/// Runs the experiment.
///
/// # Errors
/// None of its own.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::in_memory("pressure", ABOUT, options);
    let mut sides = Vec::new();
    for (sender, waits) in [("waits", Sender::Waits), ("goes on", Sender::GoesOn)] {
        for (modules, asks) in [("modules ask", true), ("modules never ask", false)] {
            let sample = move || Ok(slow_reader(asks, waits)?.0.into());
            let name = format!("{modules}, the sender {sender}");
            sides.push(Side { name, figures: FIGURES, sample: Box::new(sample) });
        }
    }
    report.measure(&Options { runs: 1, ..options.clone() }, &sides);
    report.note(format!(
        "{OFFERED} messages of {BYTES} bytes offered and {READ} read in each of {TICKS} ticks; the \
         pool has {} frames; age: from the device to the reader; counts, the same in every run",
        POOL.frame,
    ));
    Ok(report)
}

/// Makes messages as it is told, and loses what nobody takes.
struct Source {
    sender: Sender,
    /// Messages that are to be sent.
    offered: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    tick: Arc<AtomicU64>,
}

impl Device for Source {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL }
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut count = 0;
        while count < budget && self.offered.load(Ordering::Relaxed) > 0 {
            match pool.copy_from(0, &[7; BYTES]) {
                Ok(mut msg) => {
                    msg.set_stamp(self.tick.load(Ordering::Relaxed) as u32);
                    out.push(msg);
                    count += 1;
                }
                // What has no memory is lost, or waits below as it does for a full stack.
                Err(_) if self.sender == Sender::GoesOn => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => break,
            }
            self.offered.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(count)
    }

    fn send(&mut self, _: &mut MsgList) -> Result<(), Errno> {
        Ok(())
    }
}

/// A module with queues, as most have them.
struct Asks;

/// The same, written by somebody who forgot.
struct NeverAsks;

const SERVES: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("asks", "asks for room") };

impl Module for Asks {
    fn info(&self) -> &'static ModInfo {
        &SERVES
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }
}

impl Module for NeverAsks {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("never_asks", "passes on") };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        while let Some(msg) = cx.getq() {
            cx.put(Way::Read, msg);
        }
    }
}

fn slow_reader(asks: bool, sender: Sender) -> Result<Found, Trouble> {
    let [offered, lost, tick]: [Arc<AtomicU64>; 3] = Default::default();
    let source =
        Source { sender, offered: offered.clone(), lost: lost.clone(), tick: tick.clone() };
    let mut p = Perimeter::new(Config { pool: Pool::new(POOL), seed: 1, clock: None });
    let (stream, driver) = p.open_device("source", Box::new(source));
    for _ in 0..MODULES {
        let module: Box<dyn Module> = if asks { Box::new(Asks) } else { Box::new(NeverAsks) };
        p.push(stream, module).map_err(|why| why.to_string())?;
    }
    let (mut ages, mut memory, mut held_back) = (Vec::new(), 0, 0);
    for at in 0..TICKS {
        tick.store(u64::from(at), Ordering::Relaxed);
        let mut waiting = offered.load(Ordering::Relaxed) + OFFERED as u64;
        match sender {
            // It has so much under way that it waits for room.
            Sender::Waits => waiting = waiting.min(RING as u64),
            Sender::GoesOn if waiting > RING as u64 => {
                lost.fetch_add(waiting - RING as u64, Ordering::Relaxed);
                waiting = RING as u64;
            }
            Sender::GoesOn => {}
        }
        offered.store(waiting, Ordering::Relaxed);
        p.poll(driver, OFFERED * 2);
        p.turn(u64::from(at), 10_000);
        for _ in 0..READ {
            let Ok(Some(got)) = p.getmsg(stream) else { break };
            for part in [got.control, got.data].into_iter().flatten() {
                ages.push(f64::from(at - part.stamp()));
                p.pool().free(part);
            }
        }
        while p.event().is_some() {}
        memory = memory.max(p.pool().stats().memory_bytes);
        held_back = held_back.max(offered.load(Ordering::Relaxed));
    }
    let goodput = ages.len() as f64 / f64::from(TICKS);
    ages.sort_by(f64::total_cmp);
    let age = |share: f64| ages.get(((ages.len().max(1) - 1) as f64 * share) as usize);
    let [median, oldest] = [0.5, 1.0].map(|share| age(share).copied().unwrap_or_default());
    let lost = lost.load(Ordering::Relaxed) as f64;
    Ok(Found([memory as f64, lost, goodput, median, oldest, held_back as f64]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_ask_bound_memory_and_age_and_those_that_do_not_take_all_there_is() {
        let Found([asked, lost, goodput, .., oldest, _]) =
            slow_reader(true, Sender::Waits).unwrap();
        let Found([never, _, same, .., older, _]) = slow_reader(false, Sender::Waits).unwrap();
        assert_eq!(lost, 0.0);
        assert!(asked * 3.0 < never, "{asked} {never}");
        assert!(oldest * 3.0 < older, "{oldest} {older}");
        assert!((goodput - same).abs() < 0.01, "{goodput} {same}");
    }
}
