//! settings: what of a stream can be set while it runs.

use super::calls::CALLS_MAX;
use super::marking::Limits;
use alloc::format;
use millstream_core::{Fields, Invalid};

/// Parameters of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest record. Octets.
    pub record_max: u32,
    /// Most fragments of a record.
    pub fragments_max: u32,
    /// Most calls of the peer in progress.
    pub calls_max: u32,
    /// A client ends its connection after so long without a call. Seconds; 0: never.
    pub client_idle_s: u32,
    /// A server ends its connection after so long. Seconds; 0: never. Longer than a client's, so
    /// that it is the client that ends it.
    pub server_idle_s: u32,
    /// A call waits so long for its reply. Milliseconds.
    pub time_out_ms: u32,
    /// Who leaves waits so long for calls in progress. Seconds; less than a close may take.
    pub leave_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            record_max: Limits::DEFAULT.record,
            fragments_max: Limits::DEFAULT.fragments,
            calls_max: 1024,
            client_idle_s: 5 * 60,
            server_idle_s: 6 * 60,
            time_out_ms: 60_000,
            leave_s: 10,
        }
    }
}

impl Settings {
    /// Those of records.
    pub const fn limits(&self) -> Limits {
        Limits { record: self.record_max, fragments: self.fragments_max, ..Limits::DEFAULT }
    }

    /// Sets one.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be set to that.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        let (of, from, to) = match key {
            "record-max" => (&mut self.record_max, 64, 1 << 30),
            "fragments-max" => (&mut self.fragments_max, 1, 1 << 20),
            "calls-max" => (&mut self.calls_max, 1, CALLS_MAX as u32),
            "client-idle" => (&mut self.client_idle_s, 0, DAY_S),
            "server-idle" => (&mut self.server_idle_s, 0, DAY_S),
            "time-out" => (&mut self.time_out_ms, 1, DAY_S),
            "leave" => (&mut self.leave_s, 0, DAY_S),
            _ => return Err(Invalid::unknown(key)),
        };
        let number = value.parse().ok().filter(|number| (from..=to).contains(number));
        let want = || Invalid::value(key, value, &format!("a number from {from} to {to}"));
        *of = number.ok_or_else(want)?;
        Ok(())
    }

    /// Writes them as [`Settings::set`] takes them.
    pub fn show(&self, fields: &mut Fields) {
        for (name, value) in [
            ("record-max", self.record_max),
            ("fragments-max", self.fragments_max),
            ("calls-max", self.calls_max),
            ("client-idle", self.client_idle_s),
            ("server-idle", self.server_idle_s),
            ("time-out", self.time_out_ms),
            ("leave", self.leave_s),
        ] {
            fields.text(name, format!("{value}"));
        }
    }
}

/// Longest that anything can be set to.
const DAY_S: u32 = 86_400;
