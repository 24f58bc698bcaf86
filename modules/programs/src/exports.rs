//! exports: file systems with the names by which clients mount them, and who may. Read from the
//! text of a service: `DIRECTORY` or `mem`, and options behind colons.

use crate::access::{Caller, Squash};
use crate::hostfs::HostFs;
use crate::memfs::MemFs;
use crate::vfs::{Id, Vfs};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file system that clients may mount.
pub struct Export {
    /// By which clients mount it: `/` or `/NAME`.
    pub name: String,
    /// The file system.
    pub fs: Box<dyn Vfs>,
    /// Who may do what.
    pub rules: Rules,
    locks: Locks,
}

/// Who may do what with an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Nothing is changed.
    pub read_only: bool,
    /// Who is nobody in particular.
    pub squash: Squash,
    /// User and group of those.
    pub anonymous: (u32, u32),
    /// Networks of clients that may mount it and call; everybody if there are none.
    pub allow: Vec<Network>,
}

/// A network of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Leading bits that matter.
    bits: u8,
}

/// Locks of objects: what is changed is the same before and after a change but for that change.
#[derive(Debug)]
struct Locks([Mutex<()>; LOCKS]);

impl Export {
    /// An export.
    pub fn new(name: String, fs: Box<dyn Vfs>, rules: Rules) -> Self {
        Self { name, fs, rules, locks: Locks([const { Mutex::new(()) }; LOCKS]) }
    }

    /// Opens what a text describes: `DIRECTORY`, or `mem` for one in memory, then options, each
    /// behind a colon: `ro`, `as=/NAME`, `squash=none|root|all`, `anonuid=N`, `anongid=N`,
    /// `allow=NETWORK` (several; IPv6 in brackets), `size=N[k|m|g]` of memory, `async` of a
    /// directory. The random number tells this start of the server from others.
    ///
    /// # Errors
    /// A sentence.
    pub fn open(text: &str, random: u64) -> Result<Self, String> {
        let mut parts = split(text).into_iter();
        let place = parts.next().unwrap_or_default();
        let (mut name, mut size, mut sync) = ("/".to_owned(), None, true);
        let mut rules = Rules::default();
        for option in parts {
            match option.split_once('=').unwrap_or((option, "")) {
                ("ro", "") => rules.read_only = true,
                ("async", "") => sync = false,
                ("as", path) if is_name(path) => name = path.to_owned(),
                ("squash", "none") => rules.squash = Squash::None,
                ("squash", "root") => rules.squash = Squash::Root,
                ("squash", "all") => rules.squash = Squash::All,
                ("anonuid", number) => rules.anonymous.0 = self::number(option, number)?,
                ("anongid", number) => rules.anonymous.1 = self::number(option, number)?,
                ("allow", network) => rules.allow.push(Network::parse(network)?),
                ("size", octets) => size = Some(self::size(octets)?),
                _ => return Err(format!("{option:?} is no option of an export: {OPTIONS}")),
            }
        }
        let fs: Box<dyn Vfs> = match (place, size) {
            ("mem", size) => Box::new(MemFs::new(size.unwrap_or(MEM_BYTES), random)),
            (_, Some(_)) => return Err("only mem has a size".to_owned()),
            (path, None) => Box::new(HostFs::open(path, random, sync)?),
        };
        Ok(Self::new(name, fs, rules))
    }

    /// Opens several, described one behind the other with `+` between them.
    ///
    /// # Errors
    /// A sentence.
    pub fn open_all(text: &str, random: u64) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::new();
        for (number, text) in text.split('+').enumerate() {
            let export = Self::open(text, random.wrapping_add(number as u64))?;
            if all.iter().any(|other| other.name == export.name) {
                return Err(format!("two exports are {}: name them with as=/NAME", export.name));
            }
            all.push(export);
        }
        Ok(all)
    }

    /// What of a path is below this export, without slashes at its ends; `None` if it is not.
    pub fn below<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let path = path.trim_ascii();
        let path = trim(path);
        let name = trim(self.name.as_bytes());
        match path.strip_prefix(name)? {
            rest if name.is_empty() || rest.is_empty() => Some(rest),
            [b'/', rest @ ..] => Some(trim(rest)),
            _ => None,
        }
    }

    /// Keeps others from changing these objects meanwhile.
    pub fn lock(&self, ids: &[Id]) -> Vec<MutexGuard<'_, ()>> {
        // One thread asks a file system that never waits.
        if self.fs.waits() { self.locks.hold(ids) } else { Vec::new() }
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rules, .. } = self;
        f.debug_struct("Export").field("name", name).field("rules", rules).finish_non_exhaustive()
    }
}

impl Default for Rules {
    fn default() -> Self {
        let (read_only, allow) = (false, Vec::new());
        Self { read_only, squash: Squash::default(), anonymous: NOBODY, allow }
    }
}

impl Rules {
    /// May this client call at all?
    pub fn allows(&self, client: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.has(client))
    }

    /// Who the caller with a credential of user, group and groups is here.
    pub fn caller(&self, credential: Option<(u32, u32, &[u32])>) -> Caller {
        Caller::squashed(credential, self.squash, self.anonymous)
    }
}

impl Network {
    /// The network of an address: the hosts that have its first bits.
    pub const fn new(address: IpAddr, bits: u8) -> Self {
        Self { address, bits }
    }

    /// Reads `ADDRESS[/BITS]`.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("{text} is no network: write ADDRESS/BITS");
        let bare = text.replace(['[', ']'], "");
        let (address, bits) = bare.split_once('/').unwrap_or((&bare, ""));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { most } else { bits.parse().map_err(|_| refused())? };
        if bits > most { Err(refused()) } else { Ok(Self { address, bits }) }
    }

    /// The address that it was written with.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Is this host in it?
    pub fn has(self, client: IpAddr) -> bool {
        match (self.address, client.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(theirs)) => {
                let differ = own.to_bits() ^ theirs.to_bits();
                differ.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(theirs)) => {
                let differ = own.to_bits() ^ theirs.to_bits();
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Locks {
    fn hold(&self, ids: &[Id]) -> Vec<MutexGuard<'_, ()>> {
        let mut places: Vec<usize> =
            ids.iter().map(|id| (id.number ^ id.generation) as usize % LOCKS).collect();
        // One order for all: no two threads wait for each other.
        places.sort_unstable();
        places.dedup();
        let lock = |place: usize| self.0[place].lock().unwrap_or_else(PoisonError::into_inner);
        places.into_iter().map(lock).collect()
    }
}

/// Parts between colons that are not in brackets.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ':' && depth == 0
    })
    .collect()
}

fn trim(path: &[u8]) -> &[u8] {
    let start = path.iter().take_while(|octet| **octet == b'/').count();
    let end = path.iter().rev().take_while(|octet| **octet == b'/').count();
    path.get(start..path.len() - end).unwrap_or_default()
}

fn is_name(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 255 && !path.split('/').any(|part| part == "..")
}

fn number(option: &str, text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{option}: {text:?} is no number"))
}

fn size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 10),
        Some(b'm') => (&text[..text.len() - 1], 20),
        Some(b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let octets = digits.parse::<usize>().ok().and_then(|n| n.checked_mul(1 << shift));
    octets.ok_or_else(|| format!("{text:?} is no size: write octets, or 64k, 64m, 1g"))
}

const OPTIONS: &str =
    "ro, as=/NAME, squash=none|root|all, anonuid=N, anongid=N, allow=NETWORK, size=N, async";
/// User and group of nobody in particular.
const NOBODY: (u32, u32) = (65534, 65534);
/// Octets of a file system in memory, unless said.
const MEM_BYTES: usize = 256 << 20;
const LOCKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let text = "mem:ro:as=/x:squash=all:anonuid=7:anongid=8:size=1m:allow=10.9.0.0/24\
                    :allow=[fd00::/8]";
        let export = Export::open(text, 1).unwrap();
        assert_eq!(export.name, "/x");
        assert_eq!(export.fs.space(export.fs.root()).unwrap().bytes, 1 << 20);
        let Rules { read_only, squash, anonymous, .. } = export.rules;
        assert_eq!((read_only, squash, anonymous), (true, Squash::All, (7, 8)));
        for (text, reason) in [
            ("mem:rw", "\"rw\" is no option of an export: ro, as"),
            ("mem:as=x", "\"as=x\" is no option"),
            ("mem:anonuid=-1", "anonuid=-1: \"-1\" is no number"),
            ("mem:size=1t", "\"1t\" is no size"),
            ("mem:allow=10.0.0.0/33", "10.0.0.0/33 is no network"),
            ("/tmp:size=1", "only mem has a size"),
            ("/nowhere", "cannot serve the directory /nowhere"),
            ("", "cannot serve the directory :"),
        ] {
            let refused = Export::open(text, 1).unwrap_err();
            assert!(refused.starts_with(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn several_exports_have_several_names() {
        let all = Export::open_all("mem+mem:as=/b", 1).unwrap();
        assert_eq!(all.iter().map(|export| &export.name[..]).collect::<Vec<_>>(), ["/", "/b"]);
        assert_ne!(all[0].fs.verifier(), all[1].fs.verifier());
        assert!(Export::open_all("mem+mem", 1).unwrap_err().contains("as=/NAME"));
    }

    #[test]
    fn a_path_belongs_to_an_export_by_whole_names() {
        let below = |name: &str, path: &str| {
            let export = Export::open(&format!("mem:as={name}"), 1).unwrap();
            export.below(path.as_bytes()).map(|rest| String::from_utf8(rest.to_vec()).unwrap())
        };
        for (path, rest) in [("", ""), ("/", ""), ("//", ""), ("/a/b/", "a/b"), ("a", "a")] {
            assert_eq!(below("/", path).as_deref(), Some(rest), "{path}");
        }
        assert_eq!(below("/x", "/x//a").as_deref(), Some("a"));
        assert_eq!(below("/x", "/x/").as_deref(), Some(""));
        assert_eq!(below("/x", "/xy"), None);
        assert_eq!(below("/x", "/"), None);
    }

    #[test]
    fn clients_are_let_in_by_their_networks() {
        let rules = |networks: &[&str]| Rules {
            allow: networks.iter().map(|text| Network::parse(text).unwrap()).collect(),
            ..Rules::default()
        };
        let allows = |rules: &Rules, client: &str| rules.allows(client.parse().unwrap());
        let none = rules(&[]);
        assert!(allows(&none, "1.2.3.4") && allows(&none, "::1"));
        let some = rules(&["10.9.0.0/24", "[fd00::]/8", "1.1.1.1"]);
        assert!(allows(&some, "10.9.0.255") && !allows(&some, "10.9.1.0"));
        assert!(allows(&some, "::ffff:10.9.0.1") && allows(&some, "fdff::1"));
        assert!(!allows(&some, "fe00::1") && allows(&some, "1.1.1.1") && !allows(&some, "1.1.1.2"));
        assert!(allows(&rules(&["0.0.0.0/0"]), "9.9.9.9"));
        assert!(!allows(&rules(&["0.0.0.0/0"]), "::9"));
    }
}
