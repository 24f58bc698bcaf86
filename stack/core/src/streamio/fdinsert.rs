//! I_FDINSERT: a message that names another stream of the same multiplexor, as the acceptor of a
//! connection is named to a transport.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::head::{CONTROL_MAX, Priority};
use crate::mux::Upper;
use crate::net::Role;
use crate::perimeter::{Perimeter, StreamId};

/// A message with a hole for the name of another stream (`struct strfdinsert`).
#[derive(Clone, Copy, Debug)]
pub struct FdInsert<'a> {
    /// The control part.
    pub control: &'a [u8],
    /// The data part.
    pub data: Option<&'a [u8]>,
    /// How urgent it is.
    pub priority: Priority,
    /// The stream to be named.
    pub other: StreamId,
    /// Where in the control part the name goes: 4 bytes, at a multiple of 4.
    pub offset: usize,
}

impl Perimeter {
    /// Sends a message whose control part names another stream by a number (`I_FDINSERT`). The
    /// multiplexor at the bottom of both knows it by [`Cx::upper_named`].
    ///
    /// # Errors
    /// EINVAL for an offset that is no multiple of 4 or whose 4 bytes do not lie in the control
    /// part, and when the other stream is closed or linked; ENXIO when it is hung up, the recorded
    /// error when it has failed; those of [`Perimeter::putpmsg`].
    pub fn fd_insert(&mut self, stream: StreamId, insert: FdInsert<'_>) -> Result<(), Errno> {
        let FdInsert { control, data, priority, other, offset } = insert;
        self.head(stream)?;
        let bottom = self.streams.get(other.0).ok_or(Errno::EINVAL)?.bottom;
        let (head, _, _) = self.head(other).map_err(|_| Errno::EINVAL)?;
        head.failure().map_or(Ok(()), Err)?;
        let mut bytes = [0; CONTROL_MAX];
        let bytes = bytes.get_mut(..control.len()).ok_or(Errno::ERANGE)?;
        bytes.copy_from_slice(control);
        let hole = offset.checked_add(4).and_then(|end| bytes.get_mut(offset..end));
        let hole = hole.filter(|_| offset.is_multiple_of(4)).ok_or(Errno::EINVAL)?;
        hole.copy_from_slice(&bottom.to_ne_bytes());
        self.putpmsg(stream, Some(bytes), data, priority)
    }
}

impl Cx<'_> {
    /// The upper of this multiplexor that an I_FDINSERT has named by this number. `None` for
    /// numbers of other streams, or of none: they come from programs.
    pub fn upper_named(&self, number: u32) -> Option<Upper> {
        let pair = self.net.pairs.key_at(number)?;
        let place = self.net.pairs.get(pair)?;
        let own = place.role == Role::Upper && place.node == self.node;
        own.then_some(Upper { pair, cookie: place.cookie })
    }
}
