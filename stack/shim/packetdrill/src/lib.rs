//! packetdrill's interface to a stack that is not the kernel's.
//!
//! `packetdrill --so_filename=libmillstream_packetdrill.so --so_flags=FLAGS SCRIPT` loads this
//! library and runs the calls of a script on a stack in its own process: packets are handed over as
//! IP packets, without a TAP, and time is virtual, so no right is needed and no run takes longer
//! than its work. A call: `interface` takes C's arguments apart, `calls` does it and waits in
//! virtual time, `world` moves the stack on, `wire` is where packets leave.
//!
//! Flags, parted by commas or blanks: `local=192.168.0.1/16`, `gateway=192.168.0.2`, `mtu=1500`,
//! `seed=1`, and the parameters of `tcp` (`congestion`, `ecn`, `initial_window`, `rto_min`, `sack`,
//! `timestamps`, `window_scale`).

mod address;
mod calls;
mod flags;
mod interface;
mod poll;
mod table;
mod wire;
mod world;

pub use interface::Interface;

use calls::Calls;
use flags::Flags;
use std::ffi::{CStr, c_char};
use world::World;

/// What packetdrill looks up: fills the table. Flags that are not understood end the program, with
/// a sentence on standard error and status 2: there is no way to say so in the table.
///
/// # Safety
/// `flags` is null or a string; `out` points to a table.
#[allow(unsafe_code, reason = "called from C")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, out: *mut Interface) {
    let text = if flags.is_null() {
        "".into()
    } else {
        // SAFETY: the caller's word.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy()
    };
    let world = Flags::parse(&text)
        .map_err(|error| error.to_string())
        .and_then(|flags| World::new(&flags).map_err(|error| error.to_string()));
    let world = world.unwrap_or_else(|error| {
        eprintln!("millstream: --so_flags: {error}");
        std::process::exit(2)
    });
    // SAFETY: the caller's word.
    unsafe { out.write(Interface::new(Calls::new(world))) };
}
