//! null: passes all messages, changes nothing. The cost of a hop, and a place to stand on.

use millstream_core::{ModInfo, Module};

/// What `null` says of itself.
pub const INFO: ModInfo = ModInfo::new("null", "passes all messages, changes nothing");

/// The module that overrides nothing.
#[derive(Debug, Default)]
pub struct Null;

impl Module for Null {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }
}
