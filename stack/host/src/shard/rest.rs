//! rest: what a round leaves, and who goes on with it.

/// What a leader does after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There is work at hand.
    Again,
    /// Other devices may have frames.
    Look,
    /// Nothing is to be done until the wait set says so.
    Sleep,
}

/// What a thread leaves that was inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// Something is to be done by the leader.
    pub(crate) more: bool,
    /// Something was put off until the stack rests.
    pub(crate) owed: bool,
}
