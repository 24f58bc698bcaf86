//! plan: a TOML file becomes the description of a stack, or a sentence with the line of what is
//! wrong with it.

use super::interfaces::{self, Kind, Wanted};
use super::programs::Programs;
use crate::cmd::params;
use millstream_drivers::Wrap;
use millstream_drivers::netlink::Prefix;
use millstream_host::ctl::{self, Param, Writers};
use millstream_host::plan::{Plan, Stack, check_service, random_key};
use millstream_host::port::Quota;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use toml::Spanned;

/// What a file describes.
#[derive(Debug)]
pub(super) struct Described {
    /// Name of the stack.
    pub(super) name: Option<String>,
    pub(super) plan: Plan,
    /// What programs of other processes may have.
    pub(super) quota: Quota,
    /// In order.
    pub(super) modules: Vec<Pushed>,
}

/// A module to push before the stack runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    stream: String,
    module: String,
    /// From the bottom; the top if absent.
    position: Option<usize>,
    params: Vec<Param>,
    /// File and line, for people.
    place: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    #[serde(default, deserialize_with = "parsed")]
    gateway: Option<IpAddr>,
    #[serde(default)]
    forward: bool,
    #[serde(default)]
    ecn: bool,
    #[serde(default)]
    poll: bool,
    seed: Option<u64>,
    #[serde(default)]
    services: Vec<Spanned<String>>,
    #[serde(default)]
    programs: Programs,
    #[serde(default)]
    interface: Vec<Spanned<InterfaceTable>>,
    #[serde(default)]
    module: Vec<Spanned<ModuleTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceTable {
    tap: Option<String>,
    raw: Option<String>,
    loopback: Option<String>,
    #[serde(default, deserialize_with = "all_parsed")]
    host: Vec<Prefix>,
    #[serde(deserialize_with = "all_parsed")]
    addresses: Vec<Prefix>,
    mac: Option<String>,
    #[serde(default)]
    wrap: Vec<String>,
    #[serde(default)]
    plain: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleTable {
    stream: String,
    module: String,
    position: Option<usize>,
    #[serde(default)]
    params: Vec<Spanned<String>>,
}

/// Reads a file.
///
/// # Errors
/// A sentence.
pub(super) fn read(path: &Path) -> Result<Described, String> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|e| format!("cannot read the plan {name}: {e}"))?;
    describe(&text, &name.to_string())
}

/// Pushes the modules of a plan; nothing runs yet.
///
/// # Errors
/// A sentence with the line that asks for the module.
pub(super) fn push(
    stack: &mut Stack,
    modules: Vec<Pushed>,
    writers: &Writers,
) -> Result<(), String> {
    for Pushed { stream, module, position, mut params, place } in modules {
        params::settle(&mut params);
        let core = stack.shard.core();
        ctl::make(&module, &params, &stream, writers)
            .and_then(|made| ctl::place(core, &stream, position, made, &params))
            .map_err(|why| format!("{place}: {why}"))?;
    }
    Ok(())
}

fn describe(text: &str, file: &str) -> Result<Described, String> {
    let place = |span: Range<usize>| format!("{file}, line {}", line_of(text, span.start));
    let parsed: File = toml::from_str(text).map_err(|e| match e.span() {
        Some(span) => format!("{}: {}", place(span), e.message()),
        None => format!("{file}: {}", e.message()),
    })?;
    if parsed.interface.is_empty() {
        return Err(format!(
            "{file} has no [[interface]]: write one with tap or raw, and addresses"
        ));
    }
    for service in &parsed.services {
        let wrong = check_service(service.get_ref()).err();
        if let Some(why) = wrong {
            return Err(format!("{}: {why}", place(service.span())));
        }
    }
    let quota = parsed.programs.quota().map_err(|why| format!("{file}: {why}"))?;
    let mut interfaces: Vec<(Wanted, bool)> = Vec::new();
    for table in &parsed.interface {
        let told = |why| format!("{}: {why}", place(table.span()));
        let fresh = wanted(table.get_ref()).map_err(told)?;
        if interfaces.iter().any(|(other, _)| other.same_name(&fresh)) {
            return Err(told(format!("the interface {} is there twice", fresh.name)));
        }
        interfaces.push((fresh, table.get_ref().plain));
    }
    let modules = parsed.module.iter().map(|table| pushed(table, place));
    let modules = modules.collect::<Result<_, _>>()?;
    let interfaces = interfaces.into_iter().map(|(wanted, plain)| wanted.interface(plain));
    let plan = Plan {
        interfaces: interfaces.collect(),
        gateway: parsed.gateway,
        forward: parsed.forward,
        ecn: parsed.ecn,
        services: parsed.services.into_iter().map(Spanned::into_inner).collect(),
        polling: parsed.poll,
        seed: parsed.seed.unwrap_or_else(random_key),
        ..Plan::default()
    };
    Ok(Described { name: parsed.name, plan, quota, modules })
}

/// The interface of a table; what does not go together is refused as on the command line.
fn wanted(table: &InterfaceTable) -> Result<Wanted, String> {
    let (kind, name) = match (&table.tap, &table.raw, &table.loopback) {
        (Some(name), None, None) => (Kind::Tap, name),
        (None, Some(name), None) => (Kind::Raw, name),
        (None, None, Some(name)) => (Kind::Loopback, name),
        _ => return Err("an interface is one of tap, raw and loopback".to_owned()),
    };
    let mut wanted = Wanted::new(kind, name);
    wanted.host.clone_from(&table.host);
    wanted.addr.clone_from(&table.addresses);
    wanted.mac = table.mac.as_deref().map(interfaces::mac).transpose()?;
    for line in &table.wrap {
        let words: Vec<&str> = line.split_whitespace().collect();
        wanted.wraps.push(Wrap::parse(&words).map_err(|e| e.to_string())?);
    }
    wanted.check()?;
    if wanted.addr.is_empty() {
        return Err(format!("the interface {name} has no address"));
    }
    Ok(wanted)
}

fn pushed(
    table: &Spanned<ModuleTable>,
    place: impl Fn(Range<usize>) -> String,
) -> Result<Pushed, String> {
    let ModuleTable { stream, module, position, params } = table.get_ref();
    let known: Vec<String> = ctl::modules().into_iter().map(|about| about.name).collect();
    let table_place = place(table.span());
    if !known.contains(module) {
        return Err(format!("{table_place}: no module {module}: there are {}", known.join(", ")));
    }
    let param = |text: &Spanned<String>| {
        params::parse(text.get_ref()).map_err(|why| format!("{}: {why}", place(text.span())))
    };
    Ok(Pushed {
        stream: stream.clone(),
        module: module.clone(),
        position: *position,
        params: params.iter().map(param).collect::<Result<_, _>>()?,
        place: table_place,
    })
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    parse::<D, T>(&String::deserialize(from)?).map(Some)
}

fn all_parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| parse::<D, T>(text)).collect()
}

fn parse<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(text: &str) -> Result<T, D::Error> {
    text.parse().map_err(|why| serde::de::Error::custom(format!("{text}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_host::plan::Line;

    #[test]
    fn the_example_is_a_plan_and_says_all_that_can_be_said() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/router.toml"));
        let Described { name, plan, quota, modules } = read(path).unwrap();
        assert_eq!((quota.memory, quota.sockets, quota.programs), (16 << 20, 256, 8));
        assert_eq!(name.as_deref(), Some("router"));
        assert_eq!((plan.interfaces.len(), plan.forward, plan.polling), (2, true, false));
        assert!(plan.ecn);
        assert_eq!((plan.seed, &plan.services[..]), (7, &["echo".to_owned()][..]));
        assert_eq!(plan.gateway, Some([10, 9, 0, 1].into()));
        assert_eq!(plan.interfaces[1].addresses.len(), 1);
        let Line::Wrapped(line, wraps) = &plan.interfaces[0].line else { panic!("no fault") };
        assert!(matches!(wraps[..], [Wrap::Fault(_)]));
        let Line::Tap { name, host, plain } = &**line else { panic!("no TAP") };
        assert_eq!((name.as_str(), host.len(), *plain), ("tapa", 1, false));
        let impair = &modules[0];
        assert_eq!((impair.stream.as_str(), impair.position), ("tapb", Some(0)));
        let params: Vec<&str> = impair.params.iter().map(|Param(key, _)| &**key).collect();
        assert_eq!((impair.module.as_str(), &params[..]), ("impair", &["delay", "loss"][..]));
        assert_eq!((modules[1].module.as_str(), modules[1].position), ("count", None));
    }

    /// A plan with one interface and these lines behind it, the first of them line 4.
    fn refused(lines: &str) -> String {
        let text = format!("[[interface]]\ntap = \"t0\"\naddresses = [\"10.0.0.2/24\"]\n{lines}");
        describe(&text, "lab.toml").unwrap_err()
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        for (lines, part) in [
            ("hosts = []", "lab.toml, line 4: unknown field `hosts`"),
            ("host = [\"10.0.0.1/99\"]", "lab.toml, line 4: 10.0.0.1/99:"),
            ("tap = \"t1\"", "lab.toml, line 4: duplicate key"),
            ("[[interface]]\ntap = \"t1\"", "lab.toml, line 4: missing field `addresses`"),
            ("[[interface]]\ntap = \"t1\"\naddresses = []", "line 4: the interface t1 has no"),
            ("[[interface]]\ntap = \"t0\"\naddresses = [\"10.1.0.2/24\"]", "t0 is there twice"),
            ("raw = \"t1\"", "lab.toml, line 1: an interface is one of tap, raw and loopback"),
            ("mac = \"02:00:00:00:00:01\"", "line 1: a MAC address is for a raw interface"),
            ("wrap = [\"fly\"]", "line 1: no device \"fly\" wraps others"),
            ("\n[[module]]\nstream = \"t0\"\nmodule = \"fly\"", "line 5: no module fly: there"),
            (
                "[[module]]\nstream = \"t0\"\nmodule = \"impair\"\nparams = [\"delay\"]",
                "lab.toml, line 7: write key=value",
            ),
            ("[[module]]\nmodule = \"null\"", "line 4: missing field `stream`"),
            ("[[module]\n", "lab.toml, line 4: "),
        ] {
            let text = refused(lines);
            assert!(text.contains(part), "{lines}: {text}");
        }
        let text = describe("services = [\n \"gopher\"]\n[[interface]]", "lab.toml").unwrap_err();
        assert!(text.contains("missing field `addresses`"), "{text}");
        let body = "[[interface]]\ntap = \"t0\"\naddresses = [\"10.0.0.2/24\"]";
        let text = describe(&format!("services = [\n\"gopher\"]\n{body}"), "lab.toml").unwrap_err();
        assert!(text.contains("line 2: no service gopher: there are echo"), "{text}");
        let text = describe(&format!("gateway = \"nobody\"\n{body}"), "lab.toml").unwrap_err();
        assert!(text.contains("line 1: nobody: invalid IP address"), "{text}");
        assert!(describe("", "lab.toml").unwrap_err().contains("has no [[interface]]"));
        let text = read(Path::new("/nowhere/lab.toml")).unwrap_err();
        assert!(text.contains("cannot read the plan /nowhere/lab.toml: No such file"), "{text}");
    }
}
