//! checks: each thing that a stack may need is really made, and taken away again.

use millstream_drivers::netlink::Netlink;
use millstream_drivers::netns::enter_user_namespace;
use millstream_drivers::tun::{TapError, TapFd, TapFlags, TapOffloads};
use millstream_drivers::{Raw, RawError};
use millstream_host::ctl::{CtlError, Listener};
use serde::Serialize;
use std::fmt::Display;

/// What came of one check.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// One of the names below, or of an offload.
    pub(super) what: &'static str,
    pub(super) works: bool,
    /// How it was found, or what is missing and what to do.
    pub(super) says: String,
}

pub(super) const TAP: &str = "TAP";
pub(super) const RAW: &str = "raw socket";
pub(super) const CONTROL: &str = "control socket";
const OWN_NETWORK: &str = "user namespace";
pub(super) const OWN_TAP: &str = "TAP in it";
pub(super) const OWN_RAW: &str = "raw socket in it";

/// Makes all checks. The process is in a user namespace afterwards where that is allowed, and must
/// not have had a second thread before.
pub(super) fn all() -> Vec<Check> {
    let mut checks = Vec::new();
    match TapFd::open("mill%d", TapFlags::VNET_HEADER) {
        Ok(tap) => {
            checks.push(works(TAP, format!("made {} and took it away again", tap.name())));
            checks.extend(OFFLOADS.map(|(name, offload)| check_offload(&tap, name, offload)));
        }
        Err(why) => {
            checks.push(missing(TAP, why));
            let unknown = "not tried: it takes a TAP";
            checks.extend(OFFLOADS.map(|(name, _)| missing(name, unknown)));
        }
    }
    checks.push(match Raw::probe("an interface") {
        Ok(()) => works(RAW, "opened one with super-frames, and closed it"),
        Err(why) => missing(RAW, why),
    });
    checks.push(match control_socket() {
        Ok(path) => works(CONTROL, path),
        Err(why) => missing(CONTROL, why),
    });
    // Last: there is no way back.
    match enter_user_namespace() {
        Ok(()) => {
            checks.push(works(OWN_NETWORK, "made one with a network of its own"));
            checks.push(match own_tap() {
                Ok(name) => works(OWN_TAP, format!("made {name} and took it away again")),
                Err(why) => missing(OWN_TAP, why),
            });
            checks.push(match own_raw() {
                Ok(()) => works(OWN_RAW, "opened one on a veth pair"),
                Err(why) => missing(OWN_RAW, why),
            });
        }
        Err(why) => {
            checks.push(missing(OWN_NETWORK, why));
            for what in [OWN_TAP, OWN_RAW] {
                checks.push(missing(what, "not tried: it takes a user namespace"));
            }
        }
    }
    checks
}

/// What a TAP may be asked to leave unfinished.
pub(super) const OFFLOADS: [(&str, TapOffloads); 4] = [
    ("CSUM", TapOffloads::CSUM),
    ("TSO4", TapOffloads::TSO4),
    ("TSO6", TapOffloads::TSO6),
    ("USO", TapOffloads::USO),
];

fn check_offload(tap: &TapFd, name: &'static str, offload: TapOffloads) -> Check {
    // None is granted without checksums.
    match tap.set_offloads(offload | TapOffloads::CSUM) {
        Ok(granted) if granted.contains(offload) => works(name, "granted"),
        Ok(_) if offload == TapOffloads::USO => {
            missing(name, "refused: datagrams go one by one; Linux 6.2 and later have it")
        }
        Ok(_) => missing(name, "refused: frames are finished in software; use a newer kernel"),
        Err(why) => missing(name, why),
    }
}

/// The folder in which a socket was made.
fn control_socket() -> Result<String, CtlError> {
    let listener = Listener::claim(&format!("doctor-{}", std::process::id()))?;
    let folder = listener.path().parent().unwrap_or(listener.path());
    Ok(format!("made one in {}, and took it away again", folder.display()))
}

fn own_tap() -> Result<String, TapError> {
    TapFd::open("mill%d", TapFlags::VNET_HEADER).map(|tap| tap.name().to_owned())
}

fn own_raw() -> Result<(), RawError> {
    let mut netlink = Netlink::open()?;
    netlink.create_veth("mill0", "mill1", None)?;
    netlink.set_up("mill0", true)?;
    Raw::open("mill0", None).map(drop)
}

fn works(what: &'static str, says: impl Display) -> Check {
    Check { what, works: true, says: says.to_string() }
}

fn missing(what: &'static str, says: impl Display) -> Check {
    Check { what, works: false, says: says.to_string() }
}
