//! interfaces: --tap, --raw, --loopback and what belongs to each, in the order of the command line,
//! become interfaces.

use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use millstream_drivers::Wrap;
use millstream_drivers::netlink::Prefix;
use millstream_host::plan::{Interface, Line};

/// Interfaces in order.
#[derive(Clone, Debug)]
pub(crate) struct Interfaces(pub(crate) Vec<Wanted>);

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Addresses of the host's side.
    pub(crate) host: Vec<Prefix>,
    /// Addresses of the stack.
    pub(crate) addr: Vec<Prefix>,
    /// Link address of the stack.
    pub(crate) mac: Option<[u8; 6]>,
    /// Devices around its device.
    pub(crate) wraps: Vec<Wrap>,
}

/// What is below an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tap,
    Raw,
    Loopback,
}

impl Wanted {
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        let name = name.to_owned();
        Self { kind, name, host: Vec::new(), addr: Vec::new(), mac: None, wraps: Vec::new() }
    }

    /// Whether all that was asked for goes together.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if let Some(host) = self.host.first() {
            match self.kind {
                Kind::Tap => {}
                Kind::Raw => {
                    return Err(format!(
                        "the host address {host} is for a TAP: the interface {name} is there \
                         already and keeps its addresses; they are set by ip addr add"
                    ));
                }
                Kind::Loopback => {
                    return Err(format!(
                        "the host address {host} is for a TAP: behind the loopback {name} is no \
                         host"
                    ));
                }
            }
        }
        if self.mac.is_some() && self.kind != Kind::Raw {
            return Err(format!(
                "a MAC address is for a raw interface, {name} gets one of its own"
            ));
        }
        Ok(())
    }

    /// As a plan has it. `plain`: without offloads.
    pub(crate) fn interface(self, plain: bool) -> Interface {
        let Self { kind, name, host, addr, mac, wraps } = self;
        let line = match kind {
            Kind::Tap => Line::Tap { name, host, plain },
            Kind::Raw => Line::Raw { name, mac, plain },
            Kind::Loopback => Line::Loopback(name),
        };
        let line = if wraps.is_empty() { line } else { Line::Wrapped(Box::new(line), wraps) };
        Interface { line, addresses: addr }
    }

    /// Whether the other one would take the same name.
    pub(crate) fn same_name(&self, other: &Self) -> bool {
        // A name like tap%d stands for a fresh number each time.
        self.name == other.name && !self.name.contains('%')
    }
}

impl Kind {
    const ALL: [Self; 3] = [Self::Tap, Self::Raw, Self::Loopback];

    fn option(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Raw => "raw",
            Self::Loopback => "loopback",
        }
    }
}

impl Args for Interfaces {
    fn augment_args(command: Command) -> Command {
        let many = |name: &'static str, value: &'static str, help: &'static str| {
            let arg = Arg::new(name).long(name).value_name(value).help(help);
            arg.action(ArgAction::Append)
        };
        let tap = many("tap", "IF", "TAP interface: made, or attached to if it is there");
        let raw = "Ethernet interface that is there, taken by a raw socket; it keeps its settings";
        let wrap = "Device around the one before it: fault, trace or pcap, with its parameters";
        command
            .arg(tap.required_unless_present_any(["raw", "loopback"]))
            .arg(many("raw", "IF", raw))
            .arg(many("loopback", "NAME", "Interface whose frames come back"))
            .arg(
                many("host", "ADDR/LEN", "Address of the host's side of the TAP before it")
                    .value_parser(prefix),
            )
            .arg(
                many("addr", "ADDR/LEN", "Address of the stack on the interface before it")
                    .value_parser(prefix),
            )
            .arg(
                many("mac", "MAC", "Link address of the stack on the raw interface before it")
                    .value_parser(mac),
            )
            .arg(many("wrap", "NAME [KEY=VALUE]", wrap).num_args(1..))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Interfaces {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut all = Groups::new(matches)?;
        for (index, &prefix) in with_indices::<Prefix>(matches, "host") {
            all.before(index, "host", &prefix.to_string())?.host.push(prefix);
        }
        for (index, &prefix) in with_indices::<Prefix>(matches, "addr") {
            all.before(index, "addr", &prefix.to_string())?.addr.push(prefix);
        }
        for (index, &mac) in with_indices::<[u8; 6]>(matches, "mac") {
            all.before(index, "mac", "MAC")?.mac = Some(mac);
        }
        let mut indices = matches.indices_of("wrap").into_iter().flatten();
        for words in matches.get_occurrences::<String>("wrap").into_iter().flatten() {
            let words: Vec<&String> = words.collect();
            // One index for each word; the first tells the place.
            let index = indices.by_ref().take(words.len()).min().unwrap_or_default();
            let wrap = Wrap::parse(&words).map_err(|e| usage(format!("--wrap: {e}")))?;
            all.before(index, "wrap", words[0])?.wraps.push(wrap);
        }
        let all: Vec<Wanted> = all.0.into_iter().map(|(_, wanted)| wanted).collect();
        for wanted in &all {
            wanted.check().map_err(usage)?;
            if wanted.addr.is_empty() {
                let option = wanted.kind.option();
                return Err(usage(format!(
                    "--{option} {} has no address: write --addr ADDR/LEN after it",
                    wanted.name
                )));
            }
        }
        Ok(Self(all))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Interfaces with their places on the command line.
struct Groups(Vec<(usize, Wanted)>);

impl Groups {
    fn new(matches: &ArgMatches) -> Result<Self, Error> {
        let mut all: Vec<(usize, Wanted)> = Vec::new();
        for kind in Kind::ALL {
            for (index, name) in with_indices::<String>(matches, kind.option()) {
                let fresh = Wanted::new(kind, name);
                if all.iter().any(|(_, other)| other.same_name(&fresh)) {
                    return Err(usage(format!("--{} {name} is there twice", kind.option())));
                }
                all.push((index, fresh));
            }
        }
        all.sort_by_key(|(index, _)| *index);
        Ok(Self(all))
    }

    /// The interface that an option belongs to.
    fn before(&mut self, index: usize, option: &str, value: &str) -> Result<&mut Wanted, Error> {
        let found = self.0.iter_mut().rev().find(|(place, _)| *place < index);
        found.map(|(_, wanted)| wanted).ok_or_else(|| {
            usage(format!(
                "--{option} {value} comes before the first interface: write the --tap or --raw \
                 that it belongs to in front of it"
            ))
        })
    }
}

/// Values of an option with their places on the command line.
fn with_indices<'a, T: Clone + Send + Sync + 'static>(
    matches: &'a ArgMatches,
    option: &str,
) -> impl Iterator<Item = (usize, &'a T)> {
    let indices = matches.indices_of(option).into_iter().flatten();
    indices.zip(matches.get_many::<T>(option).into_iter().flatten())
}

fn prefix(text: &str) -> Result<Prefix, String> {
    text.parse::<Prefix>().map_err(|e| e.to_string())
}

/// A station's address, as 02:00:00:00:00:01.
///
/// # Errors
/// A sentence.
pub(crate) fn mac(text: &str) -> Result<[u8; 6], String> {
    let byte = |part: &str| match part.len() {
        2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    let mac: Option<[u8; 6]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let station = mac.filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]);
    station.ok_or_else(|| "write an address of a station, such as 02:00:00:00:00:01".to_owned())
}

fn usage(text: String) -> Error {
    crate::cmd::Cli::command().error(ErrorKind::ValueValidation, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        interfaces: Interfaces,
        /// As in `up`: with it no interface is needed.
        #[arg(long)]
        plan: Option<String>,
    }

    fn parse(line: &str) -> Result<Vec<Wanted>, String> {
        let line = Line::try_parse_from(["up"].into_iter().chain(line.split_whitespace()));
        line.map(|line| line.interfaces.0).map_err(|e| e.to_string())
    }

    #[test]
    fn addresses_belong_to_the_tap_before_them() {
        let line = "--tap a --host 10.0.0.1/24 --addr 10.0.0.2/24 \
                    --tap b --addr 10.1.0.2/24 --addr 10.2.0.2/24 --tap=c --addr=10.3.0.2/24";
        let all = parse(line).unwrap();
        let shape = |w: &Wanted| (w.name.clone(), w.host.len(), w.addr.len());
        let shapes: Vec<_> = all.iter().map(shape).collect();
        assert_eq!(shapes, [("a".into(), 1, 1), ("b".into(), 0, 2), ("c".into(), 0, 1)]);
        assert_eq!(all[1].addr[1].to_string(), "10.2.0.2/24");
    }

    #[test]
    fn what_belongs_to_no_tap_or_is_missing_is_refused_with_the_remedy() {
        let text = parse("--addr 10.0.0.2/24 --tap a --addr 10.0.0.3/24").unwrap_err();
        assert!(text.contains("comes before the first interface"), "{text}");
        let text = parse("--tap a --addr 10.0.0.2/24 --tap b").unwrap_err();
        assert!(text.contains("--tap b has no address"), "{text}");
        let text = parse("--tap a --addr 1.2.3.4/24 --tap a --addr 1.2.3.5/24").unwrap_err();
        assert!(text.contains("--tap a is there twice"), "{text}");
        let text = parse("--tap a --addr 10.0.0.2/40").unwrap_err();
        assert!(text.contains("write for example 10.0.0.1/24"), "{text}");
        assert!(parse("").unwrap_err().contains("--tap"));
    }
    #[test]
    fn raw_interfaces_and_loopbacks_stand_among_taps() {
        let line = "--raw eth1 --mac 02:00:00:00:00:09 --addr 10.1.0.2/24 --tap a \
                    --addr 10.2.0.2/24 --loopback lo0 --addr 10.3.0.2/24";
        let all = parse(line).unwrap();
        let kinds: Vec<_> = all.iter().map(|w| (w.kind, w.name.as_str())).collect();
        assert_eq!(kinds, [(Kind::Raw, "eth1"), (Kind::Tap, "a"), (Kind::Loopback, "lo0")]);
        assert_eq!(all[0].mac, Some([2, 0, 0, 0, 0, 9]));
        let text = parse("--raw e --host 10.0.0.1/24 --addr 10.0.0.2/24").unwrap_err();
        assert!(text.contains("keeps its addresses"), "{text}");
        let text = parse("--loopback l --host 10.0.0.1/24 --addr 10.0.0.2/24").unwrap_err();
        assert!(text.contains("is no host"), "{text}");
        let text = parse("--tap t --mac 02:00:00:00:00:09 --addr 10.0.0.2/24").unwrap_err();
        assert!(text.contains("is for a raw interface"), "{text}");
        for mac in ["01:00:5e:00:00:01", "2:0:0:0:0:1", "02:00:00:00:00", "00:00:00:00:00:00"] {
            let text = parse(&format!("--raw e --mac {mac} --addr 10.0.0.2/24")).unwrap_err();
            assert!(text.contains("such as 02:00:00:00:00:01"), "{text}");
        }
        let text = parse("--raw e --addr 10.0.0.2/24 --tap e --addr 10.1.0.2/24").unwrap_err();
        assert!(text.contains("e is there twice"), "{text}");
    }

    #[test]
    fn wrapping_devices_take_their_words_and_stand_in_order() {
        let line = "--tap a --addr 10.1.0.2/24 --wrap fault drop=1% seed=7 --wrap trace \
                    --raw b --wrap pcap file=x --addr 10.2.0.2/24";
        let all = parse(line).unwrap();
        assert!(matches!(all[0].wraps[..], [Wrap::Fault(_), Wrap::Trace(None)]));
        assert_eq!(all[1].wraps, [Wrap::Pcap("x".into())]);
        let text = parse("--wrap trace --tap a --addr 10.1.0.2/24").unwrap_err();
        assert!(text.contains("--wrap trace comes before the first interface"), "{text}");
        let text = parse("--tap a --wrap fly --addr 10.1.0.2/24").unwrap_err();
        assert!(text.contains("there are fault, trace and pcap"), "{text}");
    }
}
