//! Parameters and counters of both directions, as `set` takes and `show` lists them.

use super::line::Line;
use super::params::{self, NAMES};
use super::units;
use super::{Impair, SIDES};
use alloc::string::ToString;
use millstream_core::{Fields, Invalid};

impl Impair {
    pub(super) fn set_param(&mut self, now: u64, key: &str, value: &str) -> Result<(), Invalid> {
        match key {
            "seed" => {
                let want = "a number of up to 64 bits, as 42 or 0x2a";
                let seed = units::seed(value).ok_or_else(|| Invalid::value(key, value, want))?;
                self.set_seed(seed);
            }
            "direction" => {
                let known = DIRECTIONS.iter().find(|known| **known == value);
                let want = "one of both, up, down";
                self.direction = known.ok_or_else(|| Invalid::value(key, value, want))?;
                self.lines[0].set_active(value != "down");
                self.lines[1].set_active(value != "up");
            }
            _ => self.set_lines(now, key, value)?,
        }
        Ok(())
    }

    /// Parameters: once when the same in both directions, else twice with their prefixes.
    pub(super) fn show_params(&self, fields: &mut Fields) {
        for &[both, up, down] in NAMES {
            let [upward, downward] = [0, 1].map(|at| self.lines[at].params().text(both));
            if upward == downward {
                fields.text(both, upward);
            } else {
                fields.text(up, upward);
                fields.text(down, downward);
            }
        }
        fields.text("direction", self.direction);
        fields.text("seed", self.seed.unwrap_or_default().to_string());
    }

    pub(super) fn show_counters(&self, fields: &mut Fields) {
        for (line, names) in self.lines.iter().zip(COUNTERS) {
            for (name, value) in names.iter().zip(figures(line)) {
                fields.count(name, value);
            }
        }
    }

    pub(super) fn set_seed(&mut self, seed: u64) {
        self.seed = Some(seed);
        for (line, side) in self.lines.iter_mut().zip(SIDES) {
            line.set_seed(seed, side);
        }
    }

    /// Sets a parameter of the lines: of both or of one; of none when a value is refused.
    fn set_lines(&mut self, now: u64, key: &str, value: &str) -> Result<(), Invalid> {
        let (prefix, name) = key.split_once('.').unwrap_or(("", key));
        let (values, of): ([&str; 2], [bool; 2]) = match (prefix, name, value) {
            ("", "partition", "up") => (["on", "off"], [true; 2]),
            ("", "partition", "down") => (["off", "on"], [true; 2]),
            ("", "partition", other) if params::on_off(other).is_none() => {
                return Err(Invalid::value(key, value, "one of on, off, up, down"));
            }
            ("", ..) => ([value; 2], [true; 2]),
            ("up", ..) => ([value; 2], [true, false]),
            ("down", ..) => ([value; 2], [false, true]),
            _ => return Err(Invalid::unknown(key)),
        };
        let mut changed = [*self.lines[0].params(), *self.lines[1].params()];
        for at in (0..2).filter(|&at| of[at]) {
            changed[at].set(key, name, values[at])?;
        }
        for (line, params) in self.lines.iter_mut().zip(changed) {
            line.set_params(params, now);
        }
        Ok(())
    }
}

fn figures(line: &Line) -> [u64; 10] {
    let c = &line.counters;
    [
        line.held() as u64,
        line.held_bytes(),
        c.lost,
        c.partitioned,
        c.queue_full,
        c.rate_queue_full,
        c.duplicated,
        c.corrupted,
        c.reordered,
        c.cut,
    ]
}

macro_rules! counters {
    ($($name:literal,)+) => {
        [[$(concat!("up.", $name),)+], [$(concat!("down.", $name),)+]]
    };
}

/// Names of [`figures`], by direction.
const COUNTERS: [[&str; 10]; 2] = counters![
    "held",
    "held_bytes",
    "lost",
    "partitioned",
    "queue_full",
    "rate_queue_full",
    "duplicated",
    "corrupted",
    "reordered",
    "cut_super_frames",
];

const DIRECTIONS: [&str; 3] = ["both", "up", "down"];
