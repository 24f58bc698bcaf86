//! words: a plan as one line of text, for a process that is told of it by its environment.
//!
//! Parts are separated by semicolons: `tap mill0 host 10.9.0.1/24 addr 10.9.0.2/24; gateway
//! 10.9.0.1; poll`. Each interface is a part: `tap`, `raw` or `loopback`, its name, then `host`,
//! `addr`, `mac` and `plain`. The others are `gateway`, `forward`, `ecn`, `poll` and `seed`.

use super::{Interface, Line, Plan, random_key};
use millstream_drivers::netlink::Prefix;
use std::fmt::{Display, Write};
use std::str::{FromStr, SplitWhitespace};

/// Text that is no plan: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{part}\": {why}")]
pub struct BadWords {
    part: String,
    why: String,
}

impl Plan {
    /// The plan as one line; nothing for one with services, with devices around an interface, or
    /// with what only this process has. The seed is not in it if it is 0.
    pub fn words(&self) -> Option<String> {
        if !self.services.is_empty() || self.dlpi {
            return None;
        }
        let mut parts = Vec::new();
        for interface in &self.interfaces {
            parts.push(interface_words(interface)?);
        }
        parts.extend(self.gateway.map(|gateway| format!("gateway {gateway}")));
        parts.extend((self.seed != 0).then(|| format!("seed {}", self.seed)));
        let marks = [(self.forward, "forward"), (self.ecn, "ecn"), (self.polling, "poll")];
        parts.extend(marks.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()));
        Some(parts.join("; "))
    }
}

fn interface_words(interface: &Interface) -> Option<String> {
    let mut text = String::new();
    let mut add = |word: &str, value: &dyn Display| write!(text, "{word} {value} ").ok();
    let is_plain = match &interface.line {
        Line::Tap { name, host, plain } => {
            add("tap", name)?;
            host.iter().try_for_each(|prefix| add("host", prefix))?;
            *plain
        }
        Line::Raw { name, mac, plain } => {
            add("raw", name)?;
            if let Some([a, b, c, d, e, f]) = mac {
                add("mac", &format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))?;
            }
            *plain
        }
        Line::Loopback(name) => {
            add("loopback", name)?;
            false
        }
        Line::Opened(_) | Line::OpenedRaw(_) | Line::Pair(..) | Line::Wrapped(..) => return None,
    };
    interface.addresses.iter().try_for_each(|prefix| add("addr", prefix))?;
    text.push_str(if is_plain { "plain" } else { "" });
    Some(text.trim_end().to_owned())
}

impl FromStr for Plan {
    type Err = BadWords;

    fn from_str(text: &str) -> Result<Self, BadWords> {
        let mut plan = Self { seed: random_key(), ..Self::default() };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            plan.take(part).map_err(|why| BadWords { part: part.to_owned(), why })?;
        }
        Ok(plan)
    }
}

impl Plan {
    fn take(&mut self, part: &str) -> Result<(), String> {
        let mut words = part.split_whitespace();
        let word = words.next().unwrap_or_default();
        match word {
            "tap" | "raw" | "loopback" => {
                self.interfaces.push(interface(word, &mut words)?);
                return Ok(());
            }
            "gateway" => self.gateway = Some(value(word, &mut words)?),
            "seed" => self.seed = value(word, &mut words)?,
            "forward" => self.forward = true,
            "ecn" => self.ecn = true,
            "poll" => self.polling = true,
            _ => {
                return Err("a part begins with tap, raw, loopback, gateway, seed, forward, ecn \
                or poll"
                    .to_owned());
            }
        }
        words.next().map_or(Ok(()), |more| Err(format!("{more} is too much")))
    }
}

fn interface(kind: &str, words: &mut SplitWhitespace<'_>) -> Result<Interface, String> {
    let name: String = value(kind, words)?;
    let (mut hosts, mut addresses) = (Vec::<Prefix>::new(), Vec::<Prefix>::new());
    let (mut mac_words, mut plain) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "host" if kind == "tap" => hosts.push(value(word, words)?),
            "addr" => addresses.push(value(word, words)?),
            "mac" if kind == "raw" => mac_words = Some(value::<String>(word, words)?),
            "plain" if kind != "loopback" => plain = true,
            _ => return Err(format!("{word} is nothing of a {kind} interface")),
        }
    }
    let line = match kind {
        "tap" => Line::Tap { name, host: hosts, plain },
        "raw" => Line::Raw { name, mac: mac_words.as_deref().map(mac).transpose()?, plain },
        _ => Line::Loopback(name),
    };
    Ok(Interface { line, addresses })
}

fn value<T: FromStr<Err: Display>>(
    word: &str,
    words: &mut SplitWhitespace<'_>,
) -> Result<T, String> {
    let text = words.next().ok_or_else(|| format!("{word} needs a value"))?;
    text.parse().map_err(|why| format!("{word} {text}: {why}"))
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let mac = bytes.and_then(|bytes| bytes.try_into().ok());
    mac.ok_or_else(|| format!("mac {text}: write it as 02:00:00:00:00:01"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_and_its_words_say_the_same() {
        let text = "tap mill0 host 10.9.0.1/24 addr 10.9.0.2/24 addr 10.9.0.3/24; raw eth0 mac \
            02:00:00:00:00:01 addr 10.8.0.2/24 plain; loopback lo1 addr 10.7.0.1/8; gateway \
            10.9.0.1; seed 7; ecn; poll";
        let plan: Plan = text.parse().unwrap();
        assert_eq!(plan.words().as_deref(), Some(text));
        assert_eq!((plan.interfaces.len(), plan.seed, plan.polling), (3, 7, true));
    }

    #[test]
    fn a_plan_with_more_than_words_say_has_none() {
        let services = vec!["echo".to_owned()];
        assert_eq!(Plan { services, ..Plan::default() }.words(), None);
    }

    #[test]
    fn words_that_are_no_plan_are_named() {
        for (text, why) in [
            ("fly", "\"fly\": a part begins with"),
            ("tap", "tap needs a value"),
            ("tap t0 host 10.9.0.1/99", "host 10.9.0.1/99: "),
            ("loopback lo1 host 10.9.0.1/8", "host is nothing of a loopback interface"),
            ("raw eth0 mac 02:zz", "write it as"),
            ("gateway nobody", "gateway nobody: "),
            ("poll on", "on is too much"),
        ] {
            let told = text.parse::<Plan>().unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
