//! The whole stack on a script of frames, packets, requests of a user and time.

use super::host::{Host, play};
use super::script::Script;

/// Bytes: steps; see [`play`].
pub fn run(data: &[u8]) {
    let mut host = Host::new();
    play(&mut host, &mut Script(data));
    host.finish();
}
