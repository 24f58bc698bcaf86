//! forked: whether this process is a child of the one that a stack was started in. Each entry asks:
//! a load, where getpid(2) would be a system call.
#![allow(unsafe_code)]

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use rustix::process::{Pid, getpid};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// The process that something belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    pid: i32,
    /// None before Linux 4.14.
    mark: Option<&'static AtomicI32>,
}

impl Home {
    /// This process.
    pub(crate) fn here() -> Self {
        let (pid, mark) = (Pid::as_raw(Some(getpid())), mark());
        if let Some(mark) = mark {
            mark.store(pid, Ordering::Relaxed);
        }
        Self { pid, mark }
    }

    /// Is this another process, a child of it?
    pub(crate) fn is_elsewhere(self) -> bool {
        let here = match self.mark {
            Some(mark) => mark.load(Ordering::Relaxed),
            None => Pid::as_raw(Some(getpid())),
        };
        here != self.pid
    }
}

/// The number of this process, or 0 in a child that has no [`Home`] yet.
fn mark() -> Option<&'static AtomicI32> {
    static MARK: OnceLock<Option<&'static AtomicI32>> = OnceLock::new();
    *MARK.get_or_init(|| {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping, at an address that the kernel chooses, takes nothing from anybody.
        let page = unsafe { mmap_anonymous(std::ptr::null_mut(), PAGE, prot, flags) }.ok()?;
        // SAFETY: the page is ours. The kernel fills it with zeros in a child, which is a value of
        // its one atomic integer, and nobody is there at that moment to look at it.
        let wiped = unsafe { madvise(page, PAGE, Advice::LinuxWipeOnFork) };
        // SAFETY: it is never unmapped, larger and better aligned than an AtomicI32, full of zeros,
        // and only ever used as this one.
        wiped.is_ok().then(|| unsafe { &*page.cast::<AtomicI32>() })
    })
}

/// Bytes of a mapping: whole pages.
const PAGE: usize = 4096;
