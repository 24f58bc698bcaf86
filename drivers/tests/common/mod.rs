//! common: what the live tests share: a namespace per test, the reason to skip, waiting with an
//! end.
#![allow(dead_code)] // Each test program uses a part.

use millstream_drivers::netlink::{Link, Netlink};
use millstream_drivers::netns::Netns;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Outcome = Result<(), Failure>;

/// Runs a test in a namespace of its own, which is also handed to it.
pub(crate) fn inside(test: &str, body: impl FnOnce(&Netns) -> Outcome + Send) -> Outcome {
    if !live(test) {
        return Ok(());
    }
    let namespace = Netns::new()?;
    namespace.run(|| body(&namespace))?
}

/// Whether this machine lets us make TAPs; prints why not.
pub(crate) fn live(test: &str) -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "not root"
    } else if !std::path::Path::new("/dev/net/tun").exists() {
        "no /dev/net/tun"
    } else {
        return true;
    };
    eprintln!("skipped: {test}: {reason}");
    false
}

pub(crate) fn wait_for_link(
    netlink: &mut Netlink,
    name: &str,
    ready: impl Fn(&Link) -> bool,
) -> Result<Link, Failure> {
    wait_until(|| Ok(ready(&netlink.link(name)?)))?;
    Ok(netlink.link(name)?)
}

pub(crate) fn wait_until(mut ready: impl FnMut() -> Result<bool, Failure>) -> Outcome {
    let end = Instant::now() + DEADLINE;
    while !ready()? {
        if Instant::now() > end {
            return Err("the state did not come within the deadline".into());
        }
        thread::yield_now();
    }
    Ok(())
}

/// Far above what any of the awaited states takes, also on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
