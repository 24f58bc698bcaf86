//! Reads rules. A fault is a sentence that begins with its place.

use super::rules::{Action, Net, Ports, RULES_MAX, Rule, Test};
use crate::ether::ethertype;
use crate::ip::protocol;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use millstream_core::Side;

/// Reads all rules of a text.
pub(super) fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    let mut words = Words { text, at: 0, end: 0 };
    loop {
        let begin = words.peek_at();
        let Some(word) = words.next() else {
            if words.end_of_rule() {
                continue;
            }
            return Ok(rules);
        };
        if rules.len() == RULES_MAX {
            return Err(place(text, begin, &format!("more than {RULES_MAX} rules")));
        }
        let action = action(word).ok_or_else(|| place(text, begin, &unknown(word, ACTIONS)))?;
        let tests = tests(&mut words)?;
        if tests.is_empty() {
            let why = format!("{word} what? a rule that is for all says {word} any");
            return Err(place(text, begin, &why));
        }
        let written: Vec<&str> = text[begin..words.end].split_whitespace().collect();
        rules.push(Rule { text: written.join(" "), action, tests, messages: 0, bytes: 0 });
    }
}

/// Reads the terms of one rule, which has no action.
pub(super) fn terms(text: &str) -> Result<Vec<(bool, Test)>, String> {
    let mut words = Words { text, at: 0, end: 0 };
    let tests = tests(&mut words)?;
    let begin = words.peek_at();
    if begin < text.len() {
        return Err(place(text, begin, "the terms of one rule end here"));
    }
    if tests.is_empty() {
        return Err(place(text, begin, &unknown("nothing", TERMS)));
    }
    Ok(tests)
}

fn action(word: &str) -> Option<Action> {
    Some(match word {
        "pass" => Action::Pass,
        "drop" => Action::Drop,
        "count" => Action::Count,
        "copy" => Action::Copy,
        "divert" => Action::Divert,
        "reject" => Action::Reject,
        "reflect" => Action::Reflect,
        _ => return None,
    })
}

/// The terms of one rule.
fn tests(words: &mut Words<'_>) -> Result<Vec<(bool, Test)>, String> {
    let mut tests = Vec::new();
    let (mut not, mut joined) = (None, None);
    loop {
        let begin = words.peek_at();
        let Some(word) = words.next() else { break };
        match word {
            "and" if tests.is_empty() || joined.is_some() || not.is_some() => {
                return Err(place(words.text, begin, "and joins two terms"));
            }
            "and" => joined = Some(begin),
            "not" if not.is_some() => return Err(place(words.text, begin, "not twice")),
            "not" => not = Some(begin),
            _ => {
                let test = test(word, words)
                    .map_err(|(at, why)| place(words.text, at.unwrap_or(begin), &why))?;
                tests.push((not.take().is_some(), test));
                joined = None;
            }
        }
        if tests.len() > TESTS_MAX {
            return Err(place(words.text, begin, &format!("more than {TESTS_MAX} terms")));
        }
    }
    match not.or(joined) {
        Some(at) => Err(place(words.text, at, "a term must follow")),
        None => Ok(tests),
    }
}

/// A place of its own, and a sentence.
type Fault = (Option<usize>, String);

fn test(word: &str, words: &mut Words<'_>) -> Result<Test, Fault> {
    Ok(match word {
        "any" => Test::Any,
        "up" => Test::Way(Side::Read),
        "down" => Test::Way(Side::Write),
        "arp" => Test::Ethertype(ethertype::ARP),
        "ip" => Test::Ethertype(ethertype::IPV4),
        "ip6" => Test::Ethertype(ethertype::IPV6),
        "icmp" => Test::Protocol(protocol::ICMP),
        "icmp6" => Test::Protocol(ICMP6),
        "igmp" => Test::Protocol(protocol::IGMP),
        "tcp" => Test::Protocol(protocol::TCP),
        "udp" => Test::Protocol(protocol::UDP),
        "fragment" => Test::Fragment,
        "super" => Test::Super,
        "ethertype" => Test::Ethertype(words.value("a type, as 0x88cc", hex)?),
        "proto" => Test::Protocol(words.value("a number of a protocol, as 47", number)?),
        "band" => Test::Band(words.value("a band from 0 to 255", number)?),
        "src" => Test::Src(words.value(NET, net)?),
        "dst" => Test::Dst(words.value(NET, net)?),
        "host" => Test::Host(words.value(NET, net)?),
        "sport" => Test::Sport(words.value(PORTS, ports)?),
        "dport" => Test::Dport(words.value(PORTS, ports)?),
        "port" => Test::Port(words.value(PORTS, ports)?),
        "flags" => words.value(FLAGS, flags)?,
        "len" => words.value("a comparison with bytes, as >1000, <64 or =60", len)?,
        _ => return Err((None, unknown(word, TERMS))),
    })
}

fn number<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn hex(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        // A sign is taken by the library, and is none of ours.
        Some(digits) if !digits.starts_with('+') => u16::from_str_radix(digits, 16).ok(),
        _ => number(text),
    }
}

fn net(text: &str) -> Option<Net> {
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, Some(number(len)?)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().ok()?;
    let whole = if addr.is_ipv4() { 32 } else { 128 };
    let len = len.unwrap_or(whole);
    (len <= whole).then_some(Net { addr, len })
}

fn ports(text: &str) -> Option<Ports> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some((first, last))
    };
    let all: Option<Vec<_>> = text.split(',').map(range).collect();
    all.filter(|all| all.len() <= RANGES_MAX).map(Ports)
}

fn flags(text: &str) -> Option<Test> {
    let (mut set, mut clear) = (0, 0);
    for name in text.split(',') {
        let (bits, name) = match name.strip_prefix('!') {
            Some(name) => (&mut clear, name),
            None => (&mut set, name),
        };
        *bits |= 1 << FLAG_NAMES.iter().position(|known| *known == name)?;
    }
    // Both set and not: nothing could match.
    (set & clear == 0).then_some(Test::Flags(set, clear))
}

fn len(text: &str) -> Option<Test> {
    let bytes = number(text.get(1..)?)?;
    match text.as_bytes()[0] {
        b'>' => Some(Test::Longer(bytes)),
        b'<' => Some(Test::Shorter(bytes)),
        b'=' => Some(Test::Long(bytes)),
        _ => None,
    }
}

fn unknown(word: &str, known: &str) -> String {
    // What was written may be long; the beginning says enough.
    let shown = &word[..word.floor_char_boundary(SHOWN_MAX)];
    format!("{shown}: one of {known}")
}

/// A sentence with its place, counted in characters from 1.
fn place(text: &str, at: usize, why: &str) -> String {
    format!("at {}: {why}", text[..at].chars().count() + 1)
}

/// Words of a text, rule by rule.
struct Words<'a> {
    text: &'a str,
    at: usize,
    /// Behind the last word.
    end: usize,
}

impl<'a> Words<'a> {
    /// Where the next word begins.
    fn peek_at(&mut self) -> usize {
        let rest = &self.text[self.at..];
        let blank = |c: char| c.is_whitespace() && c != '\n';
        self.at += rest.len() - rest.trim_start_matches(blank).len();
        if self.text[self.at..].starts_with('#') {
            let comment = &self.text[self.at..];
            self.at += comment.find('\n').unwrap_or(comment.len());
        }
        self.at
    }

    /// The next word of the rule.
    fn next(&mut self) -> Option<&'a str> {
        self.peek_at();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| c.is_whitespace() || c == ';' || c == '#');
        let word = &rest[..end.unwrap_or(rest.len())];
        if word.is_empty() {
            return None;
        }
        self.at += word.len();
        self.end = self.at;
        Some(word)
    }

    /// Goes to the next rule; false when the text is over.
    fn end_of_rule(&mut self) -> bool {
        let more = self.text[self.at..].starts_with([';', '\n']);
        self.at += usize::from(more);
        more
    }

    fn value<T>(&mut self, want: &str, read: fn(&str) -> Option<T>) -> Result<T, Fault> {
        let at = self.peek_at();
        let Some(word) = self.next() else {
            return Err((Some(at), format!("{want}, must follow")));
        };
        let shown = &word[..word.floor_char_boundary(SHOWN_MAX)];
        read(word).ok_or_else(|| (Some(at), format!("{shown}: {want}")))
    }
}

const ACTIONS: &str = "pass, drop, count, copy, divert, reject, reflect";
const TERMS: &str = "up, down, arp, ip, ip6, ethertype, icmp, icmp6, igmp, tcp, udp, proto, src, \
     dst, host, sport, dport, port, flags, len, fragment, super, band, any";
const NET: &str = "an address, as 10.0.0.2 or 10.0.0.0/8";
const PORTS: &str = "ports, as 53, 8000-8999 or 53,67-68";
const FLAGS: &str = "flags, as syn or syn,!ack (fin, syn, rst, psh, ack, urg, ece, cwr)";
const FLAG_NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
const ICMP6: u8 = 58;

/// Terms of one rule.
const TESTS_MAX: usize = 16;
/// Ranges of one term.
const RANGES_MAX: usize = 16;
/// Bytes of a wrong word that are repeated.
const SHOWN_MAX: usize = 40;
