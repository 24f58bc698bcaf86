//! replay: passes all messages, and puts those of a recording in at its place, at their times.
//!
//! | parameter | takes | default | what it does |
//! |---|---|---|---|
//! | `file` | path | | the recording; given when the module is made, fixed then |
//! | `speed` | 0.001 to 1000, `max` | 1 | so many times as fast as it was recorded |
//! | `direction` | `both`, `up`, `down` | both | which messages of it |
//! | `play` | `on`, `off`, `again` | on | off: holds; again: from the beginning |
//!
//! The first message leaves when the module is put in. A message that finds no room ahead waits in
//! the queue, as any other would; while it waits the recording waits too, and goes on where it was.
//! A recording that is cut or damaged is played as far as it is sound, and `fault.at_byte` says how
//! far that is. Taking the module out ends it.

use crate::impair::units;
use crate::recording::{Entry, Event, Fault, Reader};
use alloc::string::String;
use alloc::vec::Vec;
use millstream_core::{Cx, Errno, Fields, Invalid, ModInfo, Module, Side, Step};
use millstream_msg::Msg;

/// What `replay` says of itself.
pub const INFO: ModInfo = ModInfo {
    rsrv: true,
    wsrv: true,
    ..ModInfo::new("replay", "puts the messages of a recording in at their times")
};

/// The module.
pub struct Replay {
    recording: Vec<u8>,
    file: String,
    /// Byte of the next entry.
    at: usize,
    /// The time of the recording that belongs to `epoch_ns`.
    origin_ns: u64,
    /// The time here at which `origin_ns` is played.
    epoch_ns: u64,
    /// Thousandths; `None`: as fast as there is room.
    speed: Option<u64>,
    direction: &'static str,
    playing: bool,
    played: [u64; 2],
    /// Messages that found no cell.
    lost: u64,
    fault: Option<Fault>,
}

impl Replay {
    /// Plays a recording.
    ///
    /// # Errors
    /// It has no head that can be read.
    pub fn new(recording: Vec<u8>) -> Result<Self, Fault> {
        let mut reader = Reader::new(&recording)?;
        let at = reader.position();
        let origin_ns = match reader.next() {
            Some(Ok(entry)) => entry.time_ns,
            _ => reader.begin_ns(),
        };
        Ok(Self {
            recording,
            file: String::new(),
            at,
            origin_ns,
            epoch_ns: 0,
            speed: Some(ONE),
            direction: "both",
            playing: true,
            played: [0; 2],
            lost: 0,
            fault: None,
        })
    }

    /// Says where the recording is from, for `show`.
    #[must_use]
    pub fn with_file(mut self, file: &str) -> Self {
        self.file = file.into();
        self
    }

    /// Plays what is due, and asks to be called for the next.
    fn play(&mut self, cx: &mut Cx<'_>) {
        for _ in 0..BURST {
            if !self.playing {
                return;
            }
            let Ok(reader) = Reader::new(&self.recording) else { return };
            let mut reader = reader.from_position(self.at);
            let Entry { time_ns, event } = match reader.next() {
                Some(Ok(entry)) => entry,
                Some(Err(fault)) => return self.fault = Some(fault),
                None => return,
            };
            let due = self.due(time_ns);
            if due > cx.now() {
                return cx.timer(0, due);
            }
            if let Event::Message(side, parts) = event
                && self.wants(side)
            {
                // What passes by and had to wait was here first; high priority waits for nobody.
                let waits = cx.queue_len_on(side) > 0 || !cx.canput(side, parts.band);
                if waits && !parts.kind().is_high_priority() {
                    return cx.timer(0, cx.now() + RETRY_NS);
                }
                match parts.to_msg(HEADROOM, cx.pool()) {
                    Ok(msg) => {
                        self.played[side as usize] += 1;
                        cx.put(side, msg);
                    }
                    Err(_) => self.lost += 1,
                }
            }
            self.at = reader.position();
        }
        cx.timer(0, cx.now());
    }

    /// When a time of the recording comes here.
    fn due(&self, time_ns: u64) -> u64 {
        let since = u128::from(time_ns.saturating_sub(self.origin_ns));
        match self.speed {
            Some(speed) => {
                let scaled = since * u128::from(ONE) / u128::from(speed);
                self.epoch_ns.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX))
            }
            None => 0,
        }
    }

    fn wants(&self, side: Side) -> bool {
        match self.direction {
            "up" => side == Side::Read,
            "down" => side == Side::Write,
            _ => true,
        }
    }

    /// From now on times count from here: what was played at the old speed is behind.
    fn rebase(&mut self, now: u64) {
        match self.speed {
            Some(speed) if self.playing => {
                let since = u128::from(now.saturating_sub(self.epoch_ns));
                let played = since * u128::from(speed) / u128::from(ONE);
                let played = u64::try_from(played).unwrap_or(u64::MAX);
                self.origin_ns = self.origin_ns.saturating_add(played);
            }
            Some(_) => {}
            None => self.origin_ns = self.next_ns().unwrap_or(self.origin_ns),
        }
        self.epoch_ns = now;
    }

    /// The recorded time of the next entry.
    fn next_ns(&self) -> Option<u64> {
        let reader = Reader::new(&self.recording).ok()?;
        Some(reader.from_position(self.at).next()?.ok()?.time_ns)
    }

    fn again(&mut self, now: u64) {
        self.at = Reader::new(&self.recording).map_or(0, |reader| reader.position());
        self.origin_ns = self.next_ns().unwrap_or(self.origin_ns);
        self.epoch_ns = now;
        self.playing = true;
        self.fault = None;
    }
}

impl Module for Replay {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        self.epoch_ns = cx.now();
        // Not before its parameters are set, which comes right behind.
        cx.timer(0, cx.now());
        Ok(Step::Done)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.put_or_queue(msg);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _token: u64) {
        self.play(cx);
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match (key, value) {
            ("speed", _) => {
                let factor = || units::thousandths(value).filter(|s| (1..=ONE * 1000).contains(s));
                let speed = if value == "max" { Some(None) } else { factor().map(Some) };
                let want = "max or a factor from 0.001 to 1000, as 2 or 0.5";
                let speed = speed.ok_or_else(|| Invalid::value(key, value, want))?;
                self.rebase(cx.now());
                self.speed = speed;
            }
            ("direction", "both") => self.direction = "both",
            ("direction", "up") => self.direction = "up",
            ("direction", "down") => self.direction = "down",
            ("direction", _) => return Err(Invalid::value(key, value, "one of both, up, down")),
            ("play", "on" | "off") => {
                self.rebase(cx.now());
                self.playing = value == "on";
            }
            ("play", "again") => self.again(cx.now()),
            ("play", _) => return Err(Invalid::value(key, value, "one of on, off, again")),
            ("file", _) if value == self.file => {}
            ("file", _) => return Err(Invalid::value(key, value, "fixed once it is in")),
            _ => return Err(Invalid::unknown(key)),
        }
        cx.timer(0, cx.now());
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        let speed = self.speed.map_or("max".into(), units::thousandths_text);
        fields.text("file", self.file.clone());
        fields.text("speed", speed);
        fields.text("direction", self.direction);
        fields.text("play", if self.playing { "on" } else { "off" });
        fields.count("up.played", self.played[0]);
        fields.count("down.played", self.played[1]);
        fields.count("lost", self.lost);
        let left = self.recording.len().saturating_sub(self.at);
        fields.count("left.bytes", left as u64);
        if let Some(fault) = self.fault {
            fields.count("fault.at_byte", fault.at as u64);
        }
    }
}

impl core::fmt::Debug for Replay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replay").field("file", &self.file).field("at", &self.at).finish()
    }
}

/// Thousandths of the recorded speed.
const ONE: u64 = 1000;
/// Messages between two looks at the rest of the stack.
const BURST: usize = 64;
/// Room is asked for again after this time.
const RETRY_NS: u64 = 1_000_000;
/// As devices leave it in front of frames.
const HEADROOM: usize = 128;
