//! Rules as they are matched: plain data, no heap while messages pass.

use super::facts::{Facts, Fragment};
use super::parse;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use millstream_core::Side;
use millstream_msg::{Band, Msg};

/// Rules in their order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    list: Vec<Rule>,
    /// Messages that no deciding rule matched.
    pub unmatched: u64,
}

/// What is done to the messages that all tests are true of.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As it was written.
    pub text: String,
    /// What is done.
    pub action: Action,
    /// Each with whether it is turned round by `not`.
    pub tests: Vec<(bool, Test)>,
    /// Messages that it matched.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Pass,
    /// It is dropped.
    Drop,
    /// It is counted, and rules go on.
    Count,
    /// A copy is written, and rules go on.
    Copy,
    /// It goes into the file only.
    Divert,
    /// It is dropped, and its sender told.
    Reject,
    /// It goes back.
    Reflect,
}

/// One term of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Everything.
    Any,
    /// The way it goes.
    Way(Side),
    /// The type of the frame.
    Ethertype(u16),
    /// The protocol of the packet.
    Protocol(u8),
    /// Source address.
    Src(Net),
    /// Destination address.
    Dst(Net),
    /// One of both.
    Host(Net),
    /// Source port.
    Sport(Ports),
    /// Destination port.
    Dport(Ports),
    /// One of both.
    Port(Ports),
    /// Flags of TCP that are set, and that are not.
    Flags(u8, u8),
    /// Longer than so many bytes.
    Longer(u32),
    /// Shorter.
    Shorter(u32),
    /// As long.
    Long(u32),
    /// Part of a packet.
    Fragment,
    /// Stands for several packets.
    Super,
    /// Of this band.
    Band(u8),
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// One of them.
    pub addr: IpAddr,
    /// Bits that are the same.
    pub len: u8,
}

/// Ranges of ports, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub Vec<(u16, u16)>);

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// A sentence with the place, counted in characters from 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { list: parse::rules(text)?, unmatched: 0 })
    }

    /// One rule that drops, by its terms alone: a question about messages.
    ///
    /// # Errors
    /// As [`Rules::parse`].
    pub fn of_terms(text: &str) -> Result<Self, String> {
        let tests = parse::terms(text)?;
        let rule = Rule { text: text.into(), action: Action::Drop, tests, messages: 0, bytes: 0 };
        Ok(Self { list: alloc::vec![rule], unmatched: 0 })
    }

    /// What is to be done to a message; `copies` is called for each rule that copies. Counts.
    pub fn decide(&mut self, facts: &Facts, msg: &Msg, copies: &mut impl FnMut(&Msg)) -> Action {
        for rule in &mut self.list {
            if !rule.matches(facts, msg) {
                continue;
            }
            rule.messages += 1;
            rule.bytes += msg.len() as u64;
            match rule.action {
                Action::Count => {}
                Action::Copy => copies(msg),
                action => return action,
            }
        }
        self.unmatched += 1;
        Action::Pass
    }

    /// Takes new rules. A rule that was there before keeps its counts.
    pub fn replace(&mut self, mut new: Self) {
        for rule in &mut new.list {
            if let Some(old) = self.list.iter().find(|old| old.text == rule.text) {
                (rule.messages, rule.bytes) = (old.messages, old.bytes);
            }
        }
        self.list = new.list;
    }

    /// Sets all counts to 0.
    pub fn reset(&mut self) {
        self.unmatched = 0;
        for rule in &mut self.list {
            (rule.messages, rule.bytes) = (0, 0);
        }
    }

    /// The rules, in the form that [`Rules::parse`] takes.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.list.iter().map(|rule| &*rule.text).collect();
        texts.join("; ")
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.list.iter()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Rule {
    fn matches(&self, facts: &Facts, msg: &Msg) -> bool {
        self.tests.iter().all(|(not, test)| test.holds(facts, msg) == Some(!not))
    }
}

impl Test {
    /// Is it true of a message? `None`: the message does not have what it is about.
    fn holds(&self, facts: &Facts, msg: &Msg) -> Option<bool> {
        let ip = facts.ip;
        Some(match self {
            Self::Any => true,
            Self::Way(side) => facts.side == *side,
            Self::Ethertype(kind) => facts.ethertype? == *kind,
            Self::Protocol(protocol) => match ip {
                Some(ip) => ip.protocol == *protocol,
                None => return facts.ethertype.map(|_| false),
            },
            Self::Src(net) => net.has(ip?.src?),
            Self::Dst(net) => net.has(ip?.dst?),
            Self::Host(net) => either(ip?.src, ip?.dst, |addr| net.has(addr))?,
            Self::Sport(ports) => ports.has(facts.sport?),
            Self::Dport(ports) => ports.has(facts.dport?),
            Self::Port(ports) => either(facts.sport, facts.dport, |port| ports.has(port))?,
            Self::Flags(set, clear) => {
                let flags = facts.flags?;
                flags & set == *set && flags & clear == 0
            }
            Self::Longer(len) => msg.len() > *len as usize,
            Self::Shorter(len) => msg.len() < *len as usize,
            Self::Long(len) => msg.len() == *len as usize,
            Self::Fragment => ip?.fragment != Fragment::Whole,
            Self::Super => msg.offload().is_super(),
            Self::Band(band) => msg.band() == Band(*band),
        })
    }
}

/// Is it true of one of two? `None` when that is not known.
fn either<T>(a: Option<T>, b: Option<T>, holds: impl Fn(T) -> bool) -> Option<bool> {
    match [a, b].map(|one| one.map(&holds)) {
        [Some(true), _] | [_, Some(true)] => Some(true),
        [Some(false), Some(false)] => Some(false),
        _ => None,
    }
}

impl Net {
    /// Does an address begin like it?
    pub fn has(&self, addr: IpAddr) -> bool {
        fn alike(a: &[u8], b: &[u8], len: u8) -> bool {
            let (whole, rest) = (usize::from(len / 8), len % 8);
            let bits = !(0xff_u8.checked_shr(rest.into()).unwrap_or(0));
            a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) & bits == 0)
        }
        match (self.addr, addr) {
            (IpAddr::V4(a), IpAddr::V4(b)) => alike(&a.octets(), &b.octets(), self.len),
            (IpAddr::V6(a), IpAddr::V6(b)) => alike(&a.octets(), &b.octets(), self.len),
            _ => false,
        }
    }
}

impl Ports {
    /// Is it one of them?
    pub fn has(&self, port: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&port))
    }
}

/// Defines [`COUNTERS`].
macro_rules! counters {
    ($($number:literal)+) => {
        /// Names of the counters of each rule: messages and bytes.
        pub(super) const COUNTERS: &[[&str; 2]] =
            &[$([concat!("rule.", $number), concat!("rule.", $number, ".bytes")],)+];
    };
}

counters! {
    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
}

/// Every message is tried against each; more belongs into a program.
pub(super) const RULES_MAX: usize = COUNTERS.len();
