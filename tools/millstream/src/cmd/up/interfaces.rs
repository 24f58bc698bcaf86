//! interfaces: --tap, --host and --addr, in the order of the command line, become interfaces.

use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use millstream_drivers::netlink::Prefix;

/// Interfaces in order.
#[derive(Clone, Debug)]
pub(super) struct Interfaces(pub(super) Vec<Wanted>);

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) tap: String,
    /// Addresses of the host's side.
    pub(super) host: Vec<Prefix>,
    /// Addresses of the stack.
    pub(super) addr: Vec<Prefix>,
}

impl Args for Interfaces {
    fn augment_args(command: Command) -> Command {
        let many = |name: &'static str, value: &'static str, help: &'static str| {
            let arg = Arg::new(name).long(name).value_name(value).help(help);
            arg.action(ArgAction::Append)
        };
        command
            .arg(
                many("tap", "IF", "TAP interface: made, or attached to if it is there")
                    .required_unless_present("plan"),
            )
            .arg(
                many("host", "ADDR/LEN", "Address of the host's side of the TAP before it")
                    .value_parser(prefix),
            )
            .arg(
                many("addr", "ADDR/LEN", "Address of the stack on the TAP before it")
                    .value_parser(prefix),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Interfaces {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut all = Vec::new();
        for (index, tap) in with_indices::<String>(matches, "tap") {
            let fresh = Wanted { tap: tap.clone(), host: Vec::new(), addr: Vec::new() };
            // A name like tap%d stands for a fresh number each time.
            let same = |(_, other): &(usize, Wanted)| other.tap == *tap && !tap.contains('%');
            if all.iter().any(same) {
                return Err(usage(format!("--tap {tap} is there twice")));
            }
            all.push((index, fresh));
        }
        for option in ["host", "addr"] {
            for (index, &prefix) in with_indices::<Prefix>(matches, option) {
                let Some((_, wanted)) = all.iter_mut().rev().find(|(tap, _)| *tap < index) else {
                    return Err(usage(format!(
                        "--{option} {prefix} comes before the first --tap: write the --tap that \
                         it belongs to in front of it"
                    )));
                };
                let list = if option == "host" { &mut wanted.host } else { &mut wanted.addr };
                list.push(prefix);
            }
        }
        let all: Vec<Wanted> = all.into_iter().map(|(_, wanted)| wanted).collect();
        if let Some(bare) = all.iter().find(|wanted| wanted.addr.is_empty()) {
            let tap = &bare.tap;
            return Err(usage(format!(
                "--tap {tap} has no address: write --addr ADDR/LEN after it"
            )));
        }
        Ok(Self(all))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
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
        let shape = |w: &Wanted| (w.tap.clone(), w.host.len(), w.addr.len());
        let shapes: Vec<_> = all.iter().map(shape).collect();
        assert_eq!(shapes, [("a".into(), 1, 1), ("b".into(), 0, 2), ("c".into(), 0, 1)]);
        assert_eq!(all[1].addr[1].to_string(), "10.2.0.2/24");
    }

    #[test]
    fn what_belongs_to_no_tap_or_is_missing_is_refused_with_the_remedy() {
        let text = parse("--addr 10.0.0.2/24 --tap a --addr 10.0.0.3/24").unwrap_err();
        assert!(text.contains("comes before the first --tap"), "{text}");
        let text = parse("--tap a --addr 10.0.0.2/24 --tap b").unwrap_err();
        assert!(text.contains("--tap b has no address"), "{text}");
        let text = parse("--tap a --addr 1.2.3.4/24 --tap a --addr 1.2.3.5/24").unwrap_err();
        assert!(text.contains("--tap a is there twice"), "{text}");
        let text = parse("--tap a --addr 10.0.0.2/40").unwrap_err();
        assert!(text.contains("write for example 10.0.0.1/24"), "{text}");
        assert!(parse("").unwrap_err().contains("--tap"));
    }
}
