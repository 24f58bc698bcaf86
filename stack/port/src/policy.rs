//! policy: which addresses and ports of a program's calls go to the stack; the kernel has the rest.
//!
//! Rules are separated by semicolons or ends of lines; the first that fits decides. A rule is
//! `stack` or `kernel`, and then any of `tcp` or `udp`, `bind` or `connect`, a network
//! (`10.9.0.0/24`, or one address), and ports (`:80`, `:8000-8999`):
//!
//! ```
//! use millstream_port::policy::{Call, Policy, Protocol};
//!
//! let policy: Policy = "kernel udp :53; stack 10.9.0.0/24".parse().unwrap();
//! let there = "10.9.0.1:80".parse().unwrap();
//! assert!(policy.gives_to_stack(Protocol::Tcp, Call::Connect, there));
//! let elsewhere = "192.0.2.1:80".parse().unwrap();
//! assert!(!policy.gives_to_stack(Protocol::Tcp, Call::Connect, elsewhere));
//! ```
//!
//! Nothing fits: the kernel. Its loopback addresses are always its own. Whoever binds to no address
//! in particular binds to all of them, and is the first rule's that fits but for its network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Rules in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy(Vec<Rule>);

/// The transport of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SOCK_STREAM.
    Tcp,
    /// SOCK_DGRAM.
    Udp,
}

/// What an address is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// bind: an address of this host.
    Bind,
    /// connect, sendto, sendmsg: an address of a peer.
    Connect,
}

/// A rule that cannot be read: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule \"{rule}\" of the policy: {why}")]
pub struct BadRule {
    rule: String,
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    to_stack: bool,
    protocol: Option<Protocol>,
    call: Option<Call>,
    /// Network and length of its prefix.
    network: Option<(Ipv4Addr, u32)>,
    /// First and last.
    ports: Option<(u16, u16)>,
}

impl Policy {
    /// The stack has all there is but loopback.
    pub fn everything() -> Self {
        let (protocol, call, network, ports) = (None, None, None, None);
        Self(vec![Rule { to_stack: true, protocol, call, network, ports }])
    }

    /// Does a socket that names this address belong to the stack?
    pub fn gives_to_stack(&self, protocol: Protocol, call: Call, at: SocketAddr) -> bool {
        let IpAddr::V4(ip) = at.ip() else { return false };
        if ip.is_loopback() || call == Call::Connect && ip.is_unspecified() {
            return false;
        }
        let fits = |rule: &&Rule| rule.fits(protocol, call, ip, at.port());
        self.0.iter().find(fits).is_some_and(|rule| rule.to_stack)
    }
}

impl Rule {
    fn fits(&self, protocol: Protocol, call: Call, ip: Ipv4Addr, port: u16) -> bool {
        self.protocol.is_none_or(|only| only == protocol)
            && self.call.is_none_or(|only| only == call)
            && self.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
            && self.network.is_none_or(|network| ip.is_unspecified() || is_in(ip, network))
    }
}

fn is_in(ip: Ipv4Addr, (network, len): (Ipv4Addr, u32)) -> bool {
    let host_bits = 32 - len;
    u32::from(ip).checked_shr(host_bits) == u32::from(network).checked_shr(host_bits)
}

impl FromStr for Policy {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let rules = text.split([';', '\n']).map(str::trim);
        let rules = rules.filter(|rule| !rule.is_empty() && !rule.starts_with('#'));
        rules.map(Rule::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = |why| BadRule { rule: text.to_owned(), why };
        let mut words = text.split_whitespace();
        let to_stack = match words.next() {
            Some("stack") => true,
            Some("kernel") => false,
            _ => return Err(bad("begins with stack or kernel")),
        };
        let mut rule = Self { to_stack, protocol: None, call: None, network: None, ports: None };
        for word in words {
            let is_twice = match word {
                "tcp" => rule.protocol.replace(Protocol::Tcp).is_some(),
                "udp" => rule.protocol.replace(Protocol::Udp).is_some(),
                "bind" => rule.call.replace(Call::Bind).is_some(),
                "connect" => rule.call.replace(Call::Connect).is_some(),
                word if word.starts_with(':') => {
                    let ports = ports(&word[1..]).ok_or_else(|| bad("ports are :80 or :80-90"))?;
                    rule.ports.replace(ports).is_some()
                }
                word => {
                    let why = "after stack or kernel come tcp, udp, bind, connect, a network of \
                        IPv4 and ports";
                    rule.network.replace(network(word).ok_or_else(|| bad(why))?).is_some()
                }
            };
            if is_twice {
                return Err(bad("says the same thing twice"));
            }
        }
        Ok(rule)
    }
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

fn network(text: &str) -> Option<(Ipv4Addr, u32)> {
    let (ip, len) = text.split_once('/').unwrap_or((text, "32"));
    let len = len.parse().ok().filter(|len| *len <= 32)?;
    Some((ip.parse().ok()?, len))
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.0.iter().enumerate() {
            let between = if at > 0 { "; " } else { "" };
            write!(f, "{between}{rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.to_stack { "stack" } else { "kernel" })?;
        match self.protocol {
            Some(Protocol::Tcp) => f.write_str(" tcp")?,
            Some(Protocol::Udp) => f.write_str(" udp")?,
            None => {}
        }
        match self.call {
            Some(Call::Bind) => f.write_str(" bind")?,
            Some(Call::Connect) => f.write_str(" connect")?,
            None => {}
        }
        if let Some((network, len)) = self.network {
            write!(f, " {network}/{len}")?;
        }
        if let Some((first, last)) = self.ports {
            write!(f, " :{first}-{last}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gives(policy: &str, call: Call, at: &str) -> bool {
        let policy: Policy = policy.parse().unwrap();
        policy.gives_to_stack(Protocol::Tcp, call, at.parse().unwrap())
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_the_kernel_has_the_rest() {
        let policy = "kernel connect :22; stack tcp 10.9.0.0/24 :1-99; kernel";
        for (at, to_stack) in
            [("10.9.0.7:80", true), ("10.9.0.7:22", false), ("10.9.1.7:80", false)]
        {
            assert_eq!(gives(policy, Call::Connect, at), to_stack, "{at}");
        }
        assert!(gives(policy, Call::Bind, "10.9.0.7:22"));
        assert!(!gives("stack udp", Call::Connect, "10.9.0.7:80"));
        assert!(!gives("", Call::Connect, "10.9.0.7:80"));
        assert!(gives("stack 0.0.0.0/0", Call::Connect, "192.0.2.1:80"));
    }

    #[test]
    fn loopback_and_what_is_not_ipv4_are_the_kernels() {
        for at in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[2001:db8::1]:80", "0.0.0.0:80"] {
            assert!(!gives("stack", Call::Connect, at), "{at}");
        }
        assert!(!gives("stack", Call::Bind, "127.0.0.1:80"));
    }

    #[test]
    fn who_binds_to_all_addresses_is_the_first_rules_whatever_its_network() {
        assert!(gives("stack 10.9.0.0/24", Call::Bind, "0.0.0.0:80"));
        assert!(!gives("kernel :53; stack 10.9.0.0/24", Call::Bind, "0.0.0.0:53"));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_told_and_what_is_told_reads_the_same() {
        for (text, why) in [
            ("fly", "begins with stack or kernel"),
            ("stack fly", "after stack or kernel come"),
            ("stack 10.9.0.0/33", "after stack or kernel come"),
            ("stack :9-8", "ports are"),
            ("stack tcp udp", "twice"),
        ] {
            let told = text.parse::<Policy>().unwrap_err().to_string();
            assert!(told.contains(why) && told.contains(text), "{told}");
        }
        let text = "kernel udp :53-53; stack tcp bind 10.9.0.0/24 :80-90; stack";
        let policy: Policy = text.parse().unwrap();
        assert_eq!(policy.to_string(), text);
        assert_eq!("# no rule\n\n stack ".parse(), Ok(Policy::everything()));
    }
}
