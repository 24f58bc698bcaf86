//! Test kit: a module or multiplexor between fake neighbours, and whole hosts joined by
//! simulated links. Time is virtual and every run prints its seed.
//!
//! - [`Rig`]: one module. What it emits above and below is recorded; messages are injected from
//!   both sides; either side can be made full.
//! - [`RigMux`]: one multiplexor with fake streams above and below.
//! - [`Sim`]: perimeters and links with delay, loss, reordering, duplication and a rate. The same
//!   seed gives the same bytes.
//! - [`Probe`]: a device whose other end is the test.
//! - [`Gate`]: a bench that counts instructions and holds them against a baseline.
//!
//! ```
//! use millstream_core::{Cx, Drop, ModInfo, Module};
//! use millstream_msg::Msg;
//! use millstream_rig::Rig;
//!
//! /// Drops empty messages on their way up.
//! struct NoEmpty;
//!
//! impl Module for NoEmpty {
//!     fn info(&self) -> &'static ModInfo {
//!         const INFO: ModInfo = ModInfo::new("no_empty", "drops empty messages");
//!         &INFO
//!     }
//!
//!     fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
//!         if msg.is_empty() {
//!             return cx.discard(msg, Drop("empty"));
//!         }
//!         cx.putnext(msg);
//!     }
//! }
//!
//! let mut rig = Rig::new(Box::new(NoEmpty));
//! rig.up(b"data");
//! rig.up(b"");
//! assert_eq!(rig.above_bytes(), [b"data"]);
//! assert_eq!(rig.drops(Drop("empty")), 1);
//! rig.finish(); // nothing was lost: also checked when the rig goes out of scope
//! ```
#![forbid(unsafe_code)]

mod gate;
mod mux;
mod neighbour;
mod probe;
mod rig;
mod sim;
mod watch;

pub use gate::{Figure, Gate};
pub use mux::RigMux;
pub use probe::Probe;
pub use rig::{Balance, Rig};
pub use sim::{Faults, HostId, LinkId, Sim};

/// Nanoseconds of so many milliseconds.
pub const fn ms(n: u64) -> u64 {
    n * 1_000_000
}

/// Nanoseconds of so many seconds.
pub const fn secs(n: u64) -> u64 {
    n * 1_000_000_000
}

/// The seed of a run: `MILLSTREAM_SEED` from the environment, to repeat a failure, or the one
/// given. It is printed; the test harness shows it when the test fails.
pub fn seed(default: u64) -> u64 {
    let given = std::env::var("MILLSTREAM_SEED").ok();
    let seed = given.and_then(|text| parse_seed(&text)).unwrap_or(default);
    println!("seed {seed:#x} (MILLSTREAM_SEED={seed:#x} repeats this run)");
    seed
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The seed of a rig that was given none.
pub(crate) const SEED: u64 = 0x5eed;
