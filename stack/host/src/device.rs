//! device: what a shard knows of each of its devices: how it says that it is ready, and how much is
//! read from it at once.

use crate::poller::{MemberId, Poller};
use millstream_core::NodeId;
use std::io;
use std::os::fd::OwnedFd;

/// How a device says that it is ready.
#[derive(Debug)]
pub enum DeviceFd {
    /// By a descriptor.
    Fd(OwnedFd),
    /// By a descriptor, and by a second one that says that it may have failed.
    Watched {
        /// Polls readable and writable.
        io: OwnedFd,
        /// Polls readable when the device is to be read, whether or not frames wait.
        watch: OwnedFd,
    },
    /// Somebody calls [`crate::Handle::wake`]; it is asked at every turn.
    Asked,
}

#[derive(Debug)]
pub(crate) struct DeviceSlot {
    pub(crate) name: String,
    pub(crate) driver: NodeId,
    /// In the wait sets; none: it is asked at every turn.
    io: Option<MemberId>,
    watch: Option<MemberId>,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) gone: bool,
    /// Read again without asking the poller: the last read took [`FRAMES_PER_POLL`].
    pub(crate) hot: bool,
    portion: Portion,
}

/// Frames that are read at once. The line is not asked whether there are more when there was one
/// the last times, as between a request and its response: the wait set tells of more. Where there
/// mostly are, they are read in one go.
#[derive(Debug)]
struct Portion {
    frames: usize,
    /// How often in a row there were at least so many.
    whole: u32,
}

/// Frames read from a device before the next one has its turn. Few enough that the first answers
/// leave while the sender still works (64 made a sender with 64 under way wait for all), and that
/// headers are in the first-level cache when the next module looks at them.
pub(crate) const FRAMES_PER_POLL: usize = 16;

/// Whole portions until a larger one is tried: more than one frame where there is always one costs
/// a call of the kernel each time.
const WHOLE: u32 = 8;

impl DeviceSlot {
    pub(crate) fn new(
        poller: &Poller,
        token: u64,
        (name, driver): (String, NodeId),
        fd: DeviceFd,
    ) -> io::Result<Self> {
        let (io, watch) = match fd {
            DeviceFd::Fd(io) => (Some(io), None),
            DeviceFd::Watched { io, watch } => (Some(io), Some(watch)),
            DeviceFd::Asked => (None, None),
        };
        let add = |fd: Option<OwnedFd>| fd.map(|fd| poller.add(fd, token)).transpose();
        let (io, watch) = (add(io)?, add(watch)?);
        let portion = Portion::default();
        let (read, write, gone, hot) = (true, false, false, true);
        Ok(Self { name, driver, io, watch, read, write, gone, hot, portion })
    }

    /// No descriptor tells of its frames.
    pub(crate) fn is_asked(&self) -> bool {
        self.io.is_none()
    }

    /// May be read now.
    pub(crate) fn is_open(&self) -> bool {
        self.read && !self.gone
    }

    /// Frames to be read now.
    pub(crate) fn portion(&self) -> usize {
        if self.hot || self.is_asked() { FRAMES_PER_POLL } else { self.portion.frames }
    }

    /// So many of `asked` were there.
    pub(crate) fn took(&mut self, count: usize, asked: usize) {
        self.portion.took(count, asked);
        self.hot = count >= FRAMES_PER_POLL;
    }

    /// The wait sets tell of what is waited for now.
    pub(crate) fn update_interest(&self, poller: &Poller) -> io::Result<()> {
        if let Some(io) = self.io {
            poller.set(io, self.read, self.write)?;
        }
        match self.watch {
            Some(watch) => poller.set(watch, self.read, false),
            None => Ok(()),
        }
    }

    /// It has failed: nothing is waited for any more.
    pub(crate) fn close(&mut self, poller: &Poller) {
        self.gone = true;
        self.io.into_iter().chain(self.watch).for_each(|member| poller.remove(member));
    }
}

impl Default for Portion {
    fn default() -> Self {
        Self { frames: FRAMES_PER_POLL, whole: 0 }
    }
}

impl Portion {
    fn took(&mut self, count: usize, asked: usize) {
        if count < asked {
            (self.frames, self.whole) = (count.max(self.frames / 2).max(1), 0);
            return;
        }
        self.whole += 1;
        if self.whole == WHOLE {
            (self.frames, self.whole) = ((2 * self.frames).min(FRAMES_PER_POLL), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of a line where each wait finds so many frames; how many found nothing.
    fn reads_of_nothing(waits: usize, frames: usize) -> usize {
        let mut portion = Portion::default();
        let mut nothing = 0;
        for _ in 0..waits {
            let mut left = frames;
            while left > 0 {
                let asked = portion.frames;
                let count = left.min(asked);
                left -= count;
                nothing += usize::from(count < asked);
                portion.took(count, asked);
            }
        }
        nothing
    }

    #[test]
    fn a_line_with_one_frame_at_a_time_is_seldom_read_in_vain() {
        assert!(reads_of_nothing(900, 1) <= 110);
    }

    #[test]
    fn a_line_that_is_always_full_is_read_in_whole_portions() {
        let mut portion = Portion { frames: 1, whole: 0 };
        for _ in 0..4 * WHOLE {
            let asked = portion.frames;
            portion.took(asked, asked);
        }
        assert_eq!(portion.frames, FRAMES_PER_POLL);
    }

    #[test]
    fn a_portion_is_never_nothing_and_never_more_than_a_turn() {
        let mut portion = Portion::default();
        for count in [0, 0, 0, 0, 0, 0, 1, 100, 100, 100, 100, 100, 100, 100, 100, 0] {
            let asked = portion.frames;
            portion.took(count, asked);
            assert!((1..=FRAMES_PER_POLL).contains(&portion.frames));
        }
    }
}
