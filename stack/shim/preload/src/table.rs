//! table: which descriptors of the program are ours. Asked by every call: one load.

use crate::epoll::Set;
use crate::socket::Socket;
use libc::c_int;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// What a descriptor that is not only the kernel's stands for. Never freed: sockets and sets that
/// are closed are used again.
#[derive(Debug)]
pub(crate) enum File {
    /// A socket of the stack, or one that may become one.
    Socket(Socket),
    /// An epoll set, in which there may be sockets of the stack.
    Set(Set),
    /// Of this library or of the stack: the program does not know of it.
    Internal,
}

/// The files of descriptors by number. Pages that were not touched take no memory.
static TABLE: [AtomicPtr<File>; DESCRIPTORS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; DESCRIPTORS];

/// One more than the highest number that was ever ours.
static END: AtomicU32 = AtomicU32::new(0);

/// A descriptor above these is always the kernel's: Linux's usual highest limit.
const DESCRIPTORS: usize = 1 << 20;

/// What a descriptor stands for, if it is not only the kernel's.
#[inline]
pub(crate) fn file(fd: c_int) -> Option<&'static File> {
    let at = TABLE.get(fd as usize)?.load(Ordering::Acquire);
    // SAFETY: what is put in is never freed.
    unsafe { at.as_ref() }
}

/// The socket of a descriptor.
#[inline]
pub(crate) fn socket(fd: c_int) -> Option<&'static Socket> {
    match file(fd)? {
        File::Socket(socket) => Some(socket),
        File::Set(_) | File::Internal => None,
    }
}

/// The socket of a descriptor, if it is on the stack.
#[inline]
pub(crate) fn on_stack(fd: c_int) -> Option<&'static Socket> {
    socket(fd).filter(|socket| socket.is_on_stack())
}

/// The socket of a descriptor, if its data are not at the descriptor itself.
#[inline]
pub(crate) fn served(fd: c_int) -> Option<&'static Socket> {
    on_stack(fd).filter(|socket| !socket.is_exported())
}

/// The epoll set of a descriptor.
#[inline]
pub(crate) fn set(fd: c_int) -> Option<&'static Set> {
    match file(fd)? {
        File::Set(set) => Some(set),
        File::Socket(_) | File::Internal => None,
    }
}

/// Puts a file at a number; false when the number is too high, and is the kernel's then.
pub(crate) fn put(fd: c_int, file: &'static File) -> bool {
    let Some(place) = TABLE.get(fd as usize) else { return false };
    END.fetch_max(fd as u32 + 1, Ordering::Relaxed);
    place.store(std::ptr::from_ref(file).cast_mut(), Ordering::Release);
    true
}

/// Takes the file from a number. Before the kernel's descriptor is closed: its number may be
/// another's at once.
pub(crate) fn take(fd: c_int) -> Option<&'static File> {
    let place = TABLE.get(fd as usize)?;
    if place.load(Ordering::Relaxed).is_null() {
        return None;
    }
    // SAFETY: what is put in is never freed.
    unsafe { place.swap(std::ptr::null_mut(), Ordering::AcqRel).as_ref() }
}

/// Numbers that are ours, from `first` to `last`.
pub(crate) fn ours(first: u32, last: u32) -> impl Iterator<Item = (c_int, &'static File)> {
    let end = END.load(Ordering::Relaxed).min(last.saturating_add(1));
    (first..end).filter_map(|fd| {
        let fd = c_int::try_from(fd).ok()?;
        Some((fd, file(fd)?))
    })
}

/// The one file of all descriptors of this library.
pub(crate) static INTERNAL: File = File::Internal;
