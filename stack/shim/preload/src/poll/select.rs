//! select: its sets of bits become what poll asks, and what poll says becomes bits.

use super::{is_ours, wait_for};
use crate::{errno, real, transfer};
use libc::{c_int, c_short, fd_set, pollfd, sigset_t, timespec, timeval};
use millstream_port::Errno;
use std::time::{Duration, Instant};

/// `select(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    wait: *mut timeval,
) -> c_int {
    let sets = Sets { count, sets: [read, write, except] };
    // SAFETY: as the caller promises, here and below.
    if !unsafe { sets.has_ours() } {
        // SAFETY: as the caller promises.
        return unsafe { real::select(count, read, write, except, wait) };
    }
    // SAFETY: as the caller promises.
    let limit = unsafe { wait.as_ref() }.map(|wait| {
        let seconds = u64::try_from(wait.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(wait.tv_usec.unsigned_abs())
    });
    let begin = Instant::now();
    // SAFETY: as the caller promises.
    let ready = unsafe { sets.wait(limit, std::ptr::null()) };
    // SAFETY: as the caller promises.
    if let (Some(wait), Some(limit)) = (unsafe { wait.as_mut() }, limit) {
        // As Linux does: what is left.
        let left = limit.saturating_sub(begin.elapsed());
        wait.tv_sec = left.as_secs() as libc::time_t;
        wait.tv_usec = left.subsec_micros().into();
    }
    errno::number(ready)
}

/// `pselect(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    wait: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let sets = Sets { count, sets: [read, write, except] };
    // SAFETY: as the caller promises, here and below.
    if !unsafe { sets.has_ours() } {
        // SAFETY: as the caller promises.
        return unsafe { real::pselect(count, read, write, except, wait, mask) };
    }
    // SAFETY: as the caller promises.
    let limit = unsafe { wait.as_ref() }.map(transfer::duration);
    // SAFETY: as the caller promises.
    errno::number(unsafe { sets.wait(limit, mask) })
}

/// The arguments: for reading, writing and exceptions. May be longer than the type says.
#[derive(Debug)]
struct Sets {
    count: c_int,
    sets: [*mut fd_set; 3],
}

impl Sets {
    /// # Safety
    /// Each set is null or has `count` bits.
    unsafe fn has_ours(&self) -> bool {
        // SAFETY: as the caller promises.
        (0..self.count).any(|fd| is_ours(fd) && unsafe { self.asks(fd) } != 0)
    }

    /// What poll would be asked about a descriptor.
    ///
    /// # Safety
    /// As [`Sets::has_ours`].
    unsafe fn asks(&self, fd: c_int) -> c_short {
        let mut events = 0;
        for (set, (asked, _)) in self.sets.iter().zip(MEANINGS) {
            // SAFETY: as the caller promises.
            if !set.is_null() && unsafe { *word(*set, fd) } & bit(fd) != 0 {
                events |= asked;
            }
        }
        events
    }

    /// # Safety
    /// As [`Sets::has_ours`].
    unsafe fn wait(&self, limit: Option<Duration>, mask: *const sigset_t) -> Result<c_int, Errno> {
        let mut asked: Vec<pollfd> = (0..self.count)
            // SAFETY: as the caller promises.
            .map(|fd| pollfd { fd, events: unsafe { self.asks(fd) }, revents: 0 })
            .filter(|asked| asked.events != 0)
            .collect();
        wait_for(&mut asked, limit, mask)?;
        if asked.iter().any(|asked| asked.revents & libc::POLLNVAL != 0) {
            return Err(Errno::EBADF);
        }
        let mut bits = 0;
        for asked in &asked {
            for (set, (wanted, told)) in self.sets.iter().zip(MEANINGS) {
                // SAFETY: as the caller promises.
                if set.is_null() || unsafe { *word(*set, asked.fd) } & bit(asked.fd) == 0 {
                    continue;
                }
                if asked.events & wanted != 0 && asked.revents & told != 0 {
                    bits += 1;
                } else {
                    // SAFETY: as the caller promises.
                    unsafe { *word(*set, asked.fd) &= !bit(asked.fd) };
                }
            }
        }
        Ok(bits)
    }
}

/// The word of a set that has a descriptor's bit.
///
/// # Safety
/// The set has as many bits.
unsafe fn word(set: *mut fd_set, fd: c_int) -> *mut u64 {
    // SAFETY: as the caller promises.
    unsafe { set.cast::<u64>().add(fd as usize / 64) }
}

fn bit(fd: c_int) -> u64 {
    1 << (fd % 64)
}

/// What each set asks poll, and which of its answers are meant (`select(2)`).
const MEANINGS: [(c_short, c_short); 3] = [
    (libc::POLLIN, libc::POLLIN | libc::POLLHUP | libc::POLLERR),
    (libc::POLLOUT, libc::POLLOUT | libc::POLLERR),
    (libc::POLLPRI, libc::POLLPRI),
];
