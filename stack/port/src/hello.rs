//! What the stack says when a program attaches: a message of fixed words on a SEQPACKET socket,
//! with the memory, two bells and maybe an arena; and descriptors that come later.

use crate::layout::{Layout, SLOTS_MAX};
use rustix::io::IoSliceMut;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Sizes of the memory.
    pub layout: Layout,
}

/// Descriptors of the first message: the memory, the stack's bell, the program's bell. Where
/// programs share what is received, one more: the arena.
pub const HELLO_FDS: usize = 3;

/// Descriptors of any message.
pub const FDS_MAX: usize = 16;

const MAGIC: u32 = u32::from_le_bytes(*b"mill");
/// Changes when the layout does.
const VERSION: u32 = 2;
const WORDS: usize = 4;

impl Hello {
    /// As bytes.
    pub fn to_bytes(self) -> [u8; 4 * WORDS] {
        let words = [MAGIC, VERSION, self.layout.slots as u32, self.layout.pool as u32];
        let mut bytes = [0; 4 * WORDS];
        for (at, word) in words.iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Of bytes.
    ///
    /// # Errors
    /// `InvalidData` for something else, or another version.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self> {
        let (words, []) = bytes.as_chunks::<4>() else { return Err(other()) };
        let &[magic, version, slots, pool] = words else { return Err(other()) };
        let [magic, version, slots, pool] =
            [magic, version, slots, pool].map(|word| u32::from_le_bytes(word) as usize);
        let layout = Layout { slots, pool };
        if magic != MAGIC as usize || version != VERSION as usize || slots > SLOTS_MAX {
            return Err(other());
        }
        Ok(Self { layout })
    }
}

fn other() -> Error {
    Error::new(ErrorKind::InvalidData, "what answers is no stack of this version")
}

/// Sends bytes and descriptors in one message. Does not wait.
///
/// # Errors
/// The kernel's.
pub fn send(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(to, &[IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}

/// Receives one message; its length, and its descriptors, with close-on-exec set. Nothing: the
/// other side is gone.
///
/// # Errors
/// The kernel's.
pub fn receive(from: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut pieces = [IoSliceMut::new(bytes)];
    let got = recvmsg(from, &mut pieces, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok((got.bytes, fds.flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::AsFd;

    #[test]
    fn what_the_stack_says_is_understood_and_nothing_else() {
        let hello = Hello { layout: Layout { slots: 64, pool: 1 << 20 } };
        assert_eq!(Hello::of_bytes(&hello.to_bytes()).unwrap(), hello);
        assert!(Hello::of_bytes(b"").is_err());
        assert!(Hello::of_bytes(&[0; 16]).is_err());
        let mut large = hello.to_bytes();
        large[8..12].copy_from_slice(&5000_u32.to_le_bytes());
        assert!(Hello::of_bytes(&large).is_err());
    }

    #[test]
    fn descriptors_go_with_a_message_and_close_on_exec() {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        send(one.as_fd(), b"two", &[one.as_fd(), other.as_fd()]).unwrap();
        let mut bytes = [0; 8];
        let (len, fds) = receive(other.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..len], fds.len()), (&b"two"[..], 2));
        let set = rustix::io::fcntl_getfd(&fds[0]).unwrap();
        assert!(set.contains(rustix::io::FdFlags::CLOEXEC));
        drop((one, fds));
        assert_eq!(receive(other.as_fd(), &mut bytes).unwrap().0, 0);
    }
}
