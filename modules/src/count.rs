//! count: passes all messages, counts messages, bytes, super-frames and the packets that they
//! stand for, by direction, and messages and bytes by band.
//!
//! Counts of a band other than 0 are shown once it was seen, as `band:messages/bytes`.
//! `reset=all|up|down` sets counters to 0. Programs do both by ioctl (`ask`). A successor goes on
//! from the counts.

use crate::{ask, state};
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write;
use millstream_core::{Cx, Fields, Invalid, ModInfo, Module, Refused, Side, State};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// What `count` says of itself.
pub const INFO: ModInfo =
    ModInfo::new("count", "counts messages, bytes and packets by direction and band");

/// The module, and its state.
#[derive(Debug, Default)]
pub struct Count {
    ways: [Tally; 2],
}

impl Count {
    /// What went in a direction.
    pub fn tally(&self, side: Side) -> &Tally {
        &self.ways[side as usize]
    }

    pub(crate) fn add(&mut self, side: Side, msg: &Msg) {
        self.ways[side as usize].add(msg);
    }
}

/// The layout that it hands over.
pub(crate) const VERSION: u32 = 1;

impl Module for Count {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.add(Side::Read, &msg);
        cx.putnext(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.add(Side::Write, &msg);
        if let Some(msg) = ask::answer(self, cx, msg) {
            cx.putnext(msg);
        }
    }

    fn rput_batch(&mut self, cx: &mut Cx<'_>, batch: MsgList) {
        batch.iter().for_each(|msg| self.add(Side::Read, msg));
        cx.put_batch(Side::Read, batch);
    }

    fn wput_batch(&mut self, cx: &mut Cx<'_>, batch: MsgList) {
        if batch.iter().any(|msg| msg.kind() == Kind::Ioctl) {
            return batch.for_each(|msg| self.wput(cx, msg));
        }
        batch.iter().for_each(|msg| self.add(Side::Write, msg));
        cx.put_batch(Side::Write, batch);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::take(self));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match (key, value) {
            ("reset", "all" | "") => self.ways = Default::default(),
            ("reset", "up") => self.ways[0] = Tally::default(),
            ("reset", "down") => self.ways[1] = Tally::default(),
            ("reset", _) => return Err(Invalid::value(key, value, "one of all, up, down")),
            _ => return Err(Invalid::unknown(key)),
        }
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        for (tally, names) in self.ways.iter().zip(NAMES) {
            for (name, value) in names.iter().zip(tally.figures()) {
                fields.count(name, value);
            }
        }
        for (tally, name) in self.ways.iter().zip(["up.bands", "down.bands"]) {
            if tally.bands[1..].iter().any(|band| band.messages > 0) {
                fields.text(name, tally.bands_text());
            }
        }
    }
}

/// What went in one direction.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Messages that stand for several packets.
    pub super_frames: u64,
    /// Packets that the wire sees for the messages of data.
    pub packets: u64,
    /// Messages without data: control, flushes, hangups.
    pub control: u64,
    /// By band, 0 first. On the heap (4 KiB), taken when the module is made.
    bands: Box<[BandTally; 256]>,
}

/// What went in one band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandTally {
    /// Messages of any kind.
    pub messages: u64,
    /// Bytes of all their blocks.
    pub bytes: u64,
}

impl Tally {
    /// What went in a band.
    pub fn band(&self, band: Band) -> BandTally {
        self.bands[usize::from(band.0)]
    }

    /// What went in all bands.
    pub fn total(&self) -> BandTally {
        self.bands.iter().fold(BandTally::default(), |sum, band| BandTally {
            messages: sum.messages + band.messages,
            bytes: sum.bytes + band.bytes,
        })
    }

    fn add(&mut self, msg: &Msg) {
        let band = &mut self.bands[usize::from(msg.band().0)];
        band.messages += 1;
        band.bytes += msg.len() as u64;
        let data = match msg.kind() {
            Kind::Data => msg.len(),
            Kind::Proto | Kind::PcProto => msg.data_len(),
            // What an ioctl carries is on no wire.
            _ => 0,
        };
        if msg.kind() != Kind::Data && data == 0 {
            self.control += 1;
            return;
        }
        self.super_frames += u64::from(msg.offload().is_super());
        self.packets += msg.offload().packets(data) as u64;
    }

    fn figures(&self) -> [u64; 5] {
        let total = self.total();
        [total.messages, total.bytes, self.super_frames, self.packets, self.control]
    }

    fn bands_text(&self) -> String {
        let mut text = String::new();
        for (number, band) in self.bands.iter().enumerate().filter(|(_, band)| band.messages > 0) {
            let gap = if text.is_empty() { "" } else { " " };
            // Writing to a String does not fail.
            let _ = write!(text, "{gap}{number}:{}/{}", band.messages, band.bytes);
        }
        text
    }
}

impl Default for Tally {
    fn default() -> Self {
        let bands = Box::new([BandTally::default(); 256]);
        Self { super_frames: 0, packets: 0, control: 0, bands }
    }
}

const NAMES: [[&str; 5]; 2] = [
    ["up.messages", "up.bytes", "up.super_frames", "up.packets", "up.control"],
    ["down.messages", "down.bytes", "down.super_frames", "down.packets", "down.control"],
];
