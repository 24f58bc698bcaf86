//! A socket that takes connections: what waits at it.

use alloc::collections::VecDeque;

/// Connections that a listener's user has not accepted.
#[derive(Debug)]
pub(super) struct Listener {
    /// The stream above.
    pub(super) user: u32,
    /// Established ones that may wait (backlog of `listen(2)`).
    pub(super) backlog: u32,
    /// Established ones, the oldest first.
    pub(super) waiting: VecDeque<u32>,
    /// Those whose handshake is under way.
    pub(super) half_open: u32,
}

impl Listener {
    /// For a user whose queue takes `backlog` connections.
    pub(super) fn new(user: u32, backlog: u32) -> Self {
        let backlog = backlog.clamp(1, BACKLOG_MAX);
        Self { user, backlog, waiting: VecDeque::new(), half_open: 0 }
    }

    /// No more established connections find room. One more than asked for, as in Linux.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() as u32 > self.backlog
    }

    /// No more handshakes are remembered; cookies answer for them.
    pub(super) fn takes_no_more(&self) -> bool {
        self.half_open >= self.backlog.clamp(HALF_OPEN_MIN, HALF_OPEN_MAX)
    }
}

/// As Linux' net.core.somaxconn.
const BACKLOG_MAX: u32 = 4096;
/// Handshakes under way, however small the backlog.
const HALF_OPEN_MIN: u32 = 128;
/// As Linux' tcp_max_syn_backlog.
const HALF_OPEN_MAX: u32 = 1024;
