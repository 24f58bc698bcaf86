//! The table of modules that can be pushed by name, and of multiplexors. A new module is a file
//! (named in `lib.rs`) and a line in the table below.

use crate::capture::{self, Capture, Sink};
use crate::filter::{Filter, Link};
use crate::record::Record;
use crate::replay::Replay;
use crate::rpc::{Commons, Rpc, drc};
use crate::services::http::{self, Files, Http};
use crate::services::stream::{self, Chargen, Discard, Echo, Served, Tell};
use crate::services::{Kinds, Service};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_core::{ModInfo, Module, Mux};
use millstream_onc::Registry;

/// Every module, in the order in which they are listed.
const ENTRIES: &[Entry] = &[
    Entry::plain(&crate::null::INFO, |_| Ok(Box::new(crate::null::Null))),
    Entry::plain(&crate::count::INFO, |_| Ok(Box::new(crate::count::Count::default()))),
    Entry::plain(&crate::count2::INFO, |_| Ok(Box::new(crate::count2::Count2::default()))),
    Entry::plain(&crate::impair::INFO, |_| Ok(Box::new(crate::impair::Impair::new()))),
    Entry::plain(&capture::INFO, open_capture),
    Entry::plain(&crate::filter::INFO, open_filter),
    Entry::plain(&crate::record::INFO, open_record),
    Entry::plain(&crate::replay::INFO, open_replay),
    Entry::plain(&crate::nth::INFO, |_| Ok(Box::new(crate::nth::Nth::default()))),
    Entry::plain(&crate::rpc::INFO, open_rpc),
    Entry::plain(&crate::testmod::INFO, |_| Ok(Box::new(crate::testmod::Testmod::default()))),
    Entry::service(Kinds::Echo, |_| Ok(Box::new(Service::new(Kinds::Echo)))),
    Entry::service(Kinds::Discard, |_| Ok(Box::new(Service::new(Kinds::Discard)))),
    Entry::service(Kinds::Daytime, |_| Ok(Box::new(Service::new(Kinds::Daytime)))),
    Entry::service(Kinds::Chargen, |_| Ok(Box::new(Service::new(Kinds::Chargen)))),
    Entry::service(Kinds::Time, |_| Ok(Box::new(Service::new(Kinds::Time)))),
    Entry::stream(&stream::ECHO, 7, |_| Ok(Box::new(Served::new(Echo::default())))),
    Entry::stream(&stream::DISCARD, 9, |_| Ok(Box::new(Served::new(Discard::default())))),
    Entry::stream(&stream::DAYTIME, 13, |_| Ok(Box::new(Served::new(Tell::DAYTIME)))),
    Entry::stream(&stream::CHARGEN, 19, |_| Ok(Box::new(Served::new(Chargen::default())))),
    Entry::stream(&stream::TIME, 37, |_| Ok(Box::new(Served::new(Tell::TIME)))),
    Entry::stream(&http::INFO, 80, open_http),
];

/// Every multiplexor.
const MUXES: &[(&str, MakeMux)] = &[
    ("ip", |key| Box::new(crate::ip::Ip::new(key))),
    ("udp", |key| Box::new(crate::udp::Udp::new(key))),
    ("dlpi", |_| Box::new(crate::dlpi::Dlpi::new())),
    ("tcp", |key| Box::new(crate::tcp::Tcp::new(key))),
    ("tcp2", |key| Box::new(crate::tcp2::Tcp2::new(key))),
    ("echo", |_| Box::new(crate::devices::Echo)),
    ("loop", |_| Box::<crate::devices::Loop>::default()),
    ("mux", |_| Box::<crate::devices::Switch>::default()),
];

/// Multiplexors that a stack has beside its protocols, for programs to open.
pub const DEVICES: [&str; 3] = ["echo", "loop", "mux"];

/// Makes a multiplexor without streams from a random key that peers must not know.
pub type MakeMux = fn(u64) -> Box<dyn Mux>;

/// The maker of a multiplexor.
///
/// # Errors
/// A sentence: none has this name.
pub fn mux(name: &str) -> Result<MakeMux, String> {
    let found = MUXES.iter().find(|(known, _)| *known == name).map(|(_, make)| *make);
    found.ok_or_else(|| {
        let names: Vec<&str> = MUXES.iter().map(|(name, _)| *name).collect();
        format!("no multiplexor {name}; there are {}", names.join(", "))
    })
}

/// What a module may need from outside when it is made.
pub struct Env<'a> {
    /// Name of the place, for people: that of the stream.
    pub place: &'a str,
    /// Opens the file of a capture.
    pub sink: &'a mut OpenSink<'a>,
    /// Reads the file of a recording.
    pub source: &'a mut ReadSource<'a>,
    /// Opens the folder of a server of files.
    pub files: &'a mut OpenFiles<'a>,
    /// A random key, from the system.
    pub key: u64,
}

/// Opens a file by its path; why not, in a sentence.
pub type OpenSink<'a> = dyn FnMut(&str) -> Result<Box<dyn Sink>, String> + 'a;

/// Reads a file by its path; why not, in a sentence.
pub type ReadSource<'a> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'a;

/// Opens a folder by its path; why not, in a sentence.
pub type OpenFiles<'a> = dyn FnMut(&str) -> Result<Box<dyn Files>, String> + 'a;

/// Every module, for people.
pub fn names() -> impl Iterator<Item = &'static ModInfo> {
    ENTRIES.iter().map(|entry| entry.info)
}

/// Makes a module, not yet in a stream. `params` are those that it will be set to: a few are needed
/// now (`file` of `capture`); setting them again afterwards changes nothing.
///
/// # Errors
/// See [`MakeError`].
pub fn make(
    name: &str,
    params: &[(&str, &str)],
    env: &mut Env<'_>,
) -> Result<Box<dyn Module>, MakeError> {
    let entry = ENTRIES.iter().find(|entry| entry.info.name == name);
    let entry = entry.ok_or_else(|| MakeError::Unknown(name.into()))?;
    (entry.make)(&mut Making { params, env }).map_err(MakeError::Refused)
}

/// A service: the modules that give it over UDP and over TCP, and its well-known port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceAt {
    /// Its name: that of the module over UDP, or over TCP without `tcp-`.
    pub name: &'static str,
    /// Its port.
    pub port: u16,
    /// The module on a stream of `udp`.
    pub udp: Option<&'static str>,
    /// The module on a stream of `tcp`.
    pub tcp: Option<&'static str>,
}

/// Every service, in the order in which modules are listed.
pub fn services() -> impl Iterator<Item = ServiceAt> {
    let served = ENTRIES.iter().filter_map(|entry| Some((entry.serves?, entry.info.name)));
    served.filter_map(|(serves, module)| match serves {
        Serves::Udp(port) => {
            Some(ServiceAt { name: module, port, udp: Some(module), tcp: over_tcp(module) })
        }
        // The others were told of with their modules over UDP.
        Serves::Tcp(port) if !module.starts_with(OVER_TCP) => {
            Some(ServiceAt { name: module, port, udp: None, tcp: Some(module) })
        }
        Serves::Tcp(_) => None,
    })
}

/// Over what a module serves, and at which port.
pub fn serves(module: &str) -> Option<(&'static str, u16)> {
    let serves = ENTRIES.iter().find(|entry| entry.info.name == module)?.serves?;
    Some(match serves {
        Serves::Udp(port) => ("UDP", port),
        Serves::Tcp(port) => ("TCP", port),
    })
}

fn over_tcp(service: &str) -> Option<&'static str> {
    let names = ENTRIES.iter().map(|entry| entry.info.name);
    names.into_iter().find(|name| name.strip_prefix(OVER_TCP) == Some(service))
}

/// What the names of modules that give over TCP what others give over UDP begin with.
const OVER_TCP: &str = "tcp-";

/// Why a module was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MakeError {
    /// No module has this name.
    Unknown(String),
    /// A parameter is missing or something outside refused; a sentence.
    Refused(String),
}

impl core::fmt::Display for MakeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "no module {name}; there are")?;
                for (at, info) in names().enumerate() {
                    write!(f, "{} {}", if at == 0 { "" } else { "," }, info.name)?;
                }
                Ok(())
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for MakeError {}

struct Entry {
    info: &'static ModInfo,
    serves: Option<Serves>,
    make: Make,
}

/// At which port a service is.
#[derive(Clone, Copy)]
enum Serves {
    Udp(u16),
    Tcp(u16),
}

type Make = fn(&mut Making<'_, '_>) -> Result<Box<dyn Module>, String>;

struct Making<'a, 'e> {
    params: &'a [(&'a str, &'a str)],
    env: &'a mut Env<'e>,
}

impl Entry {
    const fn plain(info: &'static ModInfo, make: Make) -> Self {
        Self { info, serves: None, make }
    }

    const fn service(kind: Kinds, make: Make) -> Self {
        Self { info: kind.info(), serves: Some(Serves::Udp(kind.port())), make }
    }

    const fn stream(info: &'static ModInfo, port: u16, make: Make) -> Self {
        Self { info, serves: Some(Serves::Tcp(port)), make }
    }
}

impl<'a> Making<'a, '_> {
    fn param(&self, key: &str) -> Option<&'a str> {
        self.params.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }
}

fn open_capture(made: &mut Making<'_, '_>) -> Result<Box<dyn Module>, String> {
    let link = made.param("link").unwrap_or("ethernet");
    let link = capture::link_type(link)
        .ok_or_else(|| format!("link={link}: one of ethernet, raw, user"))?;
    let file = made.param("file").ok_or("capture needs a file: file=PATH")?;
    let sink = (made.env.sink)(file)?;
    Ok(Box::new(Capture::new(sink, made.env.place).with_link(link).with_file(file)))
}

fn open_filter(made: &mut Making<'_, '_>) -> Result<Box<dyn Module>, String> {
    let link = made.param("link").unwrap_or(Link::Ethernet.name());
    let link = Link::named(link).ok_or_else(|| format!("link={link}: one of ethernet, ip, tpi"))?;
    let mut filter = Filter::new(link);
    if let Some(file) = made.param("file") {
        filter = filter.with_file(file, (made.env.sink)(file)?, made.env.place);
    }
    Ok(Box::new(filter))
}

fn open_record(made: &mut Making<'_, '_>) -> Result<Box<dyn Module>, String> {
    let file = made.param("file").ok_or("record needs a file: file=PATH")?;
    let sink = (made.env.sink)(file)?;
    Ok(Box::new(Record::new(sink, made.env.place).with_file(file)))
}

fn open_replay(made: &mut Making<'_, '_>) -> Result<Box<dyn Module>, String> {
    let file = made.param("file").ok_or("replay needs a recording: file=PATH")?;
    let recording = (made.env.source)(file)?;
    let replay = Replay::new(recording).map_err(|fault| format!("{file}: {fault}"))?;
    Ok(Box::new(replay.with_file(file)))
}

/// Without programs of the stack, and with a cache of its own: whoever pushes it answers its calls.
fn open_rpc(made: &mut Making<'_, '_>) -> Result<Box<dyn Module>, String> {
    let commons = Commons::new(Registry::default(), drc::BYTES, made.env.key);
    Ok(Box::new(Rpc::new(None, commons)))
}

fn open_http(made: &mut Making<'_, '_>) -> Result<Box<dyn Module>, String> {
    let root = made.param("root").ok_or("http needs a folder: root=PATH")?;
    let files = (made.env.files)(root)?;
    Ok(Box::new(Served::new(Http::new(files, root))))
}
