//! record: passes all messages, writes each with its time, way, type, band and offload into a
//! recording, from which `replay` puts them in again.
//!
//! | parameter | takes | default | what it does |
//! |---|---|---|---|
//! | `file` | path | | where to; given when the module is made, fixed then |
//! | `direction` | `both`, `up`, `down` | both | which way |
//!
//! What the host cannot take is counted as lost and marked in the recording; traffic never waits
//! for it. The format is described in [`crate::recording`].

use crate::capture::Sink;
use crate::recording::{self, ENTRY_MAX};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_core::{Cx, Errno, Fields, Invalid, ModInfo, Module, Side, Step};
use millstream_msg::Msg;

/// What `record` says of itself.
pub const INFO: ModInfo =
    ModInfo::new("record", "writes messages down so that they can be replayed");

/// The module.
pub struct Record {
    sink: Box<dyn Sink>,
    place: String,
    file: String,
    direction: &'static str,
    /// Written, by direction.
    recorded: [u64; 2],
    /// Not taken by the sink, by direction.
    lost: [u64; 2],
    /// Of them, those that the recording does not tell of yet.
    untold: u64,
    /// The entry that is being made. Holds the largest one without growing.
    entry: Vec<u8>,
}

impl Record {
    /// A recording at a place of this name.
    pub fn new(sink: Box<dyn Sink>, place: &str) -> Self {
        Self {
            sink,
            place: place.into(),
            file: String::new(),
            direction: "both",
            recorded: [0; 2],
            lost: [0; 2],
            untold: 0,
            entry: Vec::new(),
        }
    }

    /// Says where the sink goes, for `show`.
    #[must_use]
    pub fn with_file(mut self, file: &str) -> Self {
        self.file = file.into();
        self
    }

    fn write(&mut self, cx: &mut Cx<'_>, side: Side, msg: &Msg) {
        let other = if side == Side::Read { "down" } else { "up" };
        if self.direction == other {
            return;
        }
        self.tell_losses(cx.wall());
        self.entry.clear();
        // The entry's room was taken when the module was opened.
        let fits = msg.blocks().count() <= BLOCKS_MAX
            && recording::message(&mut self.entry, cx.wall(), side, msg);
        if fits && self.untold == 0 && self.sink.write(&self.entry) {
            cx.pool().note_copied(msg.len());
            self.recorded[side as usize] += 1;
        } else {
            self.lost[side as usize] += 1;
            self.untold += 1;
        }
    }

    /// Says in the recording what is missing up to here.
    fn tell_losses(&mut self, now_ns: u64) {
        if self.untold == 0 {
            return;
        }
        self.entry.clear();
        recording::lost(&mut self.entry, now_ns, self.untold);
        if self.sink.write(&self.entry) {
            self.untold = 0;
        }
    }
}

impl Module for Record {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    /// Writes the head of the file.
    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        self.entry.reserve(ENTRY_MAX + 8 * BLOCKS_MAX);
        recording::head(&mut self.entry, cx.wall(), &self.place);
        if self.sink.write(&self.entry) { Ok(Step::Done) } else { Err(Errno::EIO) }
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.write(cx, Side::Read, &msg);
        cx.putnext(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.write(cx, Side::Write, &msg);
        cx.putnext(msg);
    }

    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        self.tell_losses(cx.wall());
        Step::Done
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match (key, value) {
            ("direction", "both") => self.direction = "both",
            ("direction", "up") => self.direction = "up",
            ("direction", "down") => self.direction = "down",
            ("direction", _) => return Err(Invalid::value(key, value, "one of both, up, down")),
            ("file", _) if value == self.file => {}
            ("file", _) => return Err(Invalid::value(key, value, "fixed once it is in")),
            _ => return Err(Invalid::unknown(key)),
        }
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.text("file", self.file.clone());
        fields.text("direction", self.direction);
        for (name, value) in
            [("up.recorded", self.recorded[0]), ("down.recorded", self.recorded[1])]
        {
            fields.count(name, value);
        }
        for (name, value) in [("up.lost", self.lost[0]), ("down.lost", self.lost[1])] {
            fields.count(name, value);
        }
    }
}

impl core::fmt::Debug for Record {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Record").field("file", &self.file).field("lost", &self.lost).finish()
    }
}

/// A message of more blocks would make its entry grow on the way.
const BLOCKS_MAX: usize = 1024;
