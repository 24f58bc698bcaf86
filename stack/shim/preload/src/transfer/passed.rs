//! passed: descriptors that came with a message of another process. Those that stand for sockets of
//! the stack are this program's sockets, too.

use crate::{backend, process};
use libc::{c_int, cmsghdr, msghdr};

/// Looks at what came with a message.
///
/// # Safety
/// The kernel has written the message.
pub(super) unsafe fn adopt(msg: &msghdr) {
    if msg.msg_controllen < size_of::<cmsghdr>() || !backend::is_wanted() {
        return;
    }
    let mut fds = Vec::new();
    // SAFETY: as the caller promises.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(msg) };
    // SAFETY: as the caller promises.
    while let Some(head) = unsafe { at.as_ref() } {
        if (head.cmsg_level, head.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: its data follow.
            let data = unsafe { libc::CMSG_DATA(head) };
            let before = data as usize - std::ptr::from_ref(head) as usize;
            let count = head.cmsg_len.saturating_sub(before) / size_of::<c_int>();
            // SAFETY: there are as many numbers, of any alignment.
            fds.extend((0..count).map(|n| unsafe { data.cast::<c_int>().add(n).read_unaligned() }));
        }
        // SAFETY: as the caller promises.
        at = unsafe { libc::CMSG_NXTHDR(msg, head) };
    }
    process::adopt(fds);
}
