//! The parameters of one direction: their names, what they take, how they are shown.

use super::units;
use alloc::format;
use alloc::string::{String, ToString};
use core::num::{NonZeroU32, NonZeroU64};
use millstream_core::Invalid;

/// What one direction does to packets. The default does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Time that every message is held. Nanoseconds.
    pub delay_ns: u64,
    /// Uniformly up to so much more or less, not below 0. Nanoseconds.
    pub jitter_ns: u64,
    /// Share of packets lost, in billionths.
    pub loss: u32,
    /// Mean length of a run of losses, in thousandths of a packet; `None`: losses are independent.
    pub burst: Option<NonZeroU64>,
    /// Share of packets that others may overtake, in billionths.
    pub reorder: u32,
    /// How much longer those are held. Nanoseconds.
    pub reorder_delay_ns: u64,
    /// Only every so many-th packet may be overtaken.
    pub gap: NonZeroU32,
    /// Share of packets sent twice, in billionths.
    pub duplicate: u32,
    /// Share of packets with one bit flipped, in billionths.
    pub corrupt: u32,
    /// Bits per second of whole frames, without preamble, checksum and gap.
    pub rate: Option<NonZeroU64>,
    /// Bytes that may wait for `rate`.
    pub queue: Option<NonZeroU64>,
    /// What may be held, waiting and delayed.
    pub limit: Limit,
    /// Nothing comes through.
    pub partition: bool,
    /// Super-frames are cut into packets where a parameter decides packet by packet.
    pub cut: bool,
}

/// A bound on what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many packets.
    Packets(u64),
    /// So many bytes.
    Bytes(u64),
}

impl Default for Params {
    fn default() -> Self {
        Self {
            delay_ns: 0,
            jitter_ns: 0,
            loss: 0,
            burst: None,
            reorder: 0,
            reorder_delay_ns: REORDER_DELAY_NS,
            gap: NonZeroU32::MIN,
            duplicate: 0,
            corrupt: 0,
            rate: None,
            queue: None,
            limit: Limit::Packets(LIMIT_PACKETS),
            partition: false,
            cut: true,
        }
    }
}

impl Params {
    /// Sets the parameter `name`, called `key` in errors.
    ///
    /// # Errors
    /// The name is none of [`NAMES`], or the value is not of the form that it takes; nothing has
    /// changed.
    pub fn set(&mut self, key: &str, name: &str, value: &str) -> Result<(), Invalid> {
        let before = *self;
        let want = |form: &str| Invalid::value(key, value, form);
        let time = || units::time(value).ok_or_else(|| want(TIME));
        let share = || units::share(value).ok_or_else(|| want(SHARE));
        match name {
            "delay" => self.delay_ns = time()?,
            "jitter" => self.jitter_ns = time()?,
            "loss" => self.loss = share()?,
            "burst" => self.burst = or_off(value, burst).ok_or_else(|| want(BURST))?,
            "reorder" => self.reorder = share()?,
            "reorder-delay" => self.reorder_delay_ns = time()?,
            "gap" => self.gap = gap(value).ok_or_else(|| want(GAP))?,
            "duplicate" => self.duplicate = share()?,
            "corrupt" => self.corrupt = share()?,
            "rate" => self.rate = or_off(value, units::rate).ok_or_else(|| want(RATE))?,
            "queue" => self.queue = or_off(value, units::bytes).ok_or_else(|| want(QUEUE))?,
            "limit" => self.limit = limit(value).ok_or_else(|| want(LIMIT))?,
            "partition" => self.partition = on_off(value).ok_or_else(|| want(ON_OFF))?,
            "cut" => self.cut = on_off(value).ok_or_else(|| want(ON_OFF))?,
            _ => return Err(Invalid::unknown(key)),
        }
        if matches!(name, "loss" | "burst") && self.burst_chances().is_none() {
            *self = before;
            let most = "a mean burst of N packets allows a loss of at most N/(N+1), or 100%";
            return Err(want(most));
        }
        Ok(())
    }

    /// The value of the parameter `name`, in the form that [`Params::set`] takes.
    pub fn text(&self, name: &str) -> String {
        let off_or = |value: Option<NonZeroU64>, text: fn(u64) -> String| {
            value.map_or_else(|| "off".into(), |value| text(value.get()))
        };
        let switch = |on: bool| if on { "on" } else { "off" }.to_string();
        match name {
            "delay" => units::time_text(self.delay_ns),
            "jitter" => units::time_text(self.jitter_ns),
            "loss" => units::share_text(self.loss),
            "burst" => off_or(self.burst, units::thousandths_text),
            "reorder" => units::share_text(self.reorder),
            "reorder-delay" => units::time_text(self.reorder_delay_ns),
            "gap" => self.gap.to_string(),
            "duplicate" => units::share_text(self.duplicate),
            "corrupt" => units::share_text(self.corrupt),
            "rate" => off_or(self.rate, units::rate_text),
            "queue" => off_or(self.queue, units::bytes_text),
            "limit" => match self.limit {
                Limit::Packets(n) => format!("{n}"),
                Limit::Bytes(n) => units::bytes_text(n),
            },
            "partition" => switch(self.partition),
            "cut" => switch(self.cut),
            _ => String::new(),
        }
    }

    /// A parameter treats packets one by one: a super-frame would be treated as one of them.
    pub(super) fn is_per_packet(&self) -> bool {
        let some = self.loss | self.reorder | self.duplicate | self.corrupt;
        some != 0 || self.jitter_ns != 0 || self.rate.is_some()
    }

    /// Of the model of bursts (Gilbert): the chances, in billionths, to go into a burst before a
    /// packet outside and out of it before a packet inside. Everything inside is lost, so a
    /// burst has 1/out packets on average, and the share of the time inside, in/(in+out), is the
    /// loss. `None` when no chance gives that.
    pub(super) fn burst_chances(&self) -> Option<(u64, u64)> {
        let loss = u64::from(self.loss);
        let Some(mean) = self.burst else { return Some((loss, units::ONE)) };
        let out = units::ONE * 1000 / mean.get();
        if loss == units::ONE {
            return Some((units::ONE, 0));
        }
        // Below 2^60: both factors are at most 10^9.
        let into = loss * out / (units::ONE - loss);
        (into <= units::ONE).then_some((into, out))
    }
}

/// Defines [`NAMES`].
macro_rules! names {
    ($($name:literal,)+) => {
        /// Every parameter of a direction: its name, and its names for up and down alone.
        pub const NAMES: &[[&str; 3]] =
            &[$([$name, concat!("up.", $name), concat!("down.", $name)],)+];
    };
}

names! {
    "delay", "jitter", "loss", "burst", "reorder", "reorder-delay", "gap", "duplicate", "corrupt",
    "rate", "queue", "limit", "partition", "cut",
}

pub(super) fn on_off(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// `Some(None)` for `off`, `None` for what is refused.
fn or_off(value: &str, parse: fn(&str) -> Option<u64>) -> Option<Option<NonZeroU64>> {
    if value == "off" {
        return Some(None);
    }
    parse(value).and_then(NonZeroU64::new).map(Some)
}

fn burst(value: &str) -> Option<u64> {
    units::thousandths(value).filter(|mean| (1_000..=1_000_000_000).contains(mean))
}

fn gap(value: &str) -> Option<NonZeroU32> {
    units::number(value).and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new)
}

fn limit(value: &str) -> Option<Limit> {
    match units::number(value) {
        Some(n) => (1..=LIMIT_PACKETS_MAX).contains(&n).then_some(Limit::Packets(n)),
        None => units::bytes(value).map(Limit::Bytes),
    }
}

/// Some 15 MB of full frames: 120 ms at 1 Gbit/s.
const LIMIT_PACKETS: u64 = 10_000;
/// 40 bytes are kept for each beside the message.
const LIMIT_PACKETS_MAX: u64 = 1_000_000;
/// Long enough that three packets of a bulk transfer overtake, which TCP takes for a loss.
const REORDER_DELAY_NS: u64 = 5_000_000;

const TIME: &str = "a time of at most 1h, as 50ms (units ns, us, ms, s)";
const SHARE: &str = "a share from 0% to 100%, as 0.1%";
const BURST: &str = "off or a mean length in packets from 1 to 1000000, as 5 or 2.5";
const GAP: &str = "a number of packets from 1 to 4294967295";
const RATE: &str = "off or a rate of at most 1000gbit, as 10mbit (units bit, kbit, mbit, gbit)";
const QUEUE: &str = "off or bytes, as 64k (units b, k, m)";
const LIMIT: &str = "packets from 1 to 1000000, as 1000, or bytes, as 64k (units b, k, m)";
const ON_OFF: &str = "on or off";
