//! Why programs were sent away.

use serde::{Deserialize, Serialize};

/// What a program has written into its memory that no sound one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Octets put into a ring that has no room for them.
    Put,
    /// Octets taken out of a ring that were not in it.
    Taken,
    /// A call with more bytes than there can be.
    Call,
}

/// Programs that were sent away, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// [`Fault::Put`].
    pub put: u64,
    /// [`Fault::Taken`].
    pub taken: u64,
    /// [`Fault::Call`].
    pub call: u64,
    /// Not this user's, and not root's: not let in at all.
    pub strangers: u64,
    /// Beyond the programs that there may be.
    pub crowd: u64,
}

impl Faults {
    pub(super) fn count(&mut self, fault: Fault) {
        match fault {
            Fault::Put => self.put += 1,
            Fault::Taken => self.taken += 1,
            Fault::Call => self.call += 1,
        }
    }
}
