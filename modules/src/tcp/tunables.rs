//! What `set tcp KEY VALUE` changes: what users begin with.

use super::congestion::Algorithm;
use super::tcb::Settings;
use millstream_core::{Fields, Invalid};

/// Sets a value. Connections that are there keep theirs.
///
/// # Errors
/// An unknown key, or a value that it does not take.
pub(super) fn set(defaults: &mut Settings, key: &str, value: &str) -> Result<(), Invalid> {
    match key {
        "ecn" => defaults.ecn = switch(key, value)?,
        "timestamps" => defaults.timestamps = switch(key, value)?,
        "sack" => defaults.sack = switch(key, value)?,
        "window_scale" => defaults.rcv_scale = number(key, value, 0..=14, "0 to 14")?,
        "initial_window" => {
            defaults.initial_window = number(key, value, 1..=100, "1 to 100 segments")?;
        }
        "rto_min" => defaults.rto_min_ms = number(key, value, 1..=60_000, "1 to 60000 ms")?,
        "congestion" => {
            defaults.algorithm = Algorithm::named(value)
                .ok_or_else(|| Invalid::value(key, value, "cubic or reno"))?;
        }
        _ => return Err(Invalid::unknown(key)),
    }
    Ok(())
}

/// What is set.
pub(super) fn show(defaults: &Settings, fields: &mut Fields) {
    let switch = |on| if on { "on" } else { "off" };
    fields.text("ecn", switch(defaults.ecn));
    fields.text("timestamps", switch(defaults.timestamps));
    fields.text("sack", switch(defaults.sack));
    fields.count("window_scale", defaults.rcv_scale.into());
    fields.count("initial_window", defaults.initial_window.into());
    fields.count("rto_min", defaults.rto_min_ms.into());
    fields.text("congestion", defaults.algorithm.name());
}

fn switch(key: &str, value: &str) -> Result<bool, Invalid> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Invalid::value(key, value, "on or off")),
    }
}

fn number<T: core::str::FromStr + PartialOrd>(
    key: &str,
    value: &str,
    range: core::ops::RangeInclusive<T>,
    what: &'static str,
) -> Result<T, Invalid> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| Invalid::value(key, value, what))
}
