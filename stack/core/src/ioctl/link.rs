//! I_LINK, I_PLINK, I_UNLINK, I_PUNLINK: a program has streams linked below a multiplexor (H2 to
//! H6).
//!
//! The head of the controlling stream sends an M_IOCTL down, in its turn and behind data. The
//! multiplexor gives it to [`Cx::unknown_ioctl`], like all that it does not know; the link is made
//! between two dispatches and answered. What is to be linked is known by the head alone: a forged
//! message finds nothing.

use super::{Cred, I_LINK, I_PLINK, I_PUNLINK, I_UNLINK, IocId, Iocblk, refuse_unknown, rewrite};
use crate::cx::Cx;
use crate::errno::Errno;
use crate::module::Drop;
use crate::mux::Upper;
use crate::net::{Role, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::plumb::PlumbError;
use crate::queue::Side;
use crate::slab::Key;
use alloc::vec::Vec;
use millstream_msg::{Kind, Msg};

/// What a program asks of the multiplexor at the bottom of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// I_LINK: link this stream, until the asking one closes.
    Link(StreamId),
    /// I_PLINK: link this stream, until it is unlinked.
    LinkPersistent(StreamId),
    /// I_UNLINK: undo a link of the asking stream, or all ([`MUXID_ALL`]).
    Unlink(i32),
    /// I_PUNLINK: undo a persistent link of the multiplexor, or all ([`MUXID_ALL`]).
    UnlinkPersistent(i32),
}

/// Stands for all links in an unlink command.
pub const MUXID_ALL: i32 = -1;

/// Links that programs have made.
#[derive(Debug, Default)]
pub(crate) struct Links {
    list: Vec<Link>,
    last: i32,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Link {
    muxid: i32,
    mux: NodeId,
    lower: StreamId,
    /// The stream whose close undoes it; `None` for a persistent one.
    control: Option<StreamId>,
    /// Its program has closed the lower stream: it closes when it is unlinked (H4).
    closing: bool,
}

/// An M_IOCTL that a multiplexor did not know, with its upper.
#[derive(Debug)]
pub(crate) struct Unknown {
    upper: Key,
    msg: Msg,
}

impl LinkCommand {
    /// The number in the M_IOCTL.
    pub(crate) const fn cmd(self) -> u32 {
        match self {
            Self::Link(_) => I_LINK,
            Self::LinkPersistent(_) => I_PLINK,
            Self::Unlink(_) => I_UNLINK,
            Self::UnlinkPersistent(_) => I_PUNLINK,
        }
    }
}

impl Perimeter {
    /// Has the multiplexor at the bottom of `control` link or unlink; `timeout` as in
    /// [`super::Request`]. Goes on as an ioctl: see [`Perimeter::ioctl_progress`]. A link returns
    /// its number (muxid), above 0.
    ///
    /// # Errors
    /// EINVAL when there is no multiplexor at the bottom of `control`, when the stream to be linked
    /// is `control`, is linked, hung up, has failed, has an ioctl under way or leads to the
    /// multiplexor, and for a number that is no such link; EBADF for a stream that is closed; those
    /// of [`Perimeter::ioctl`]. The answer: ETIME when the multiplexor gives none, and its refusal.
    /// Whatever is refused has changed nothing.
    pub fn link_command(
        &mut self,
        control: StreamId,
        command: LinkCommand,
        timeout: i32,
        cred: Cred,
    ) -> Result<IocId, Errno> {
        if let Some(errno) = self.head(control)?.0.failure() {
            return Err(errno);
        }
        let mux = self.mux_below(control).ok_or(Errno::EINVAL)?;
        match command {
            LinkCommand::Link(lower) | LinkCommand::LinkPersistent(lower) => {
                self.may_link(control, lower)?;
            }
            LinkCommand::Unlink(MUXID_ALL) | LinkCommand::UnlinkPersistent(MUXID_ALL) => {}
            LinkCommand::Unlink(_) | LinkCommand::UnlinkPersistent(_) => {
                if self.links_of(control, mux, command).is_empty() {
                    return Err(Errno::EINVAL);
                }
            }
        }
        let (head, net, pair) = self.head(control)?;
        head.link_ioctl(net, pair, command, timeout, cred)
    }

    /// Obeys the next M_IOCTL that a multiplexor did not know, or refuses it.
    pub(crate) fn next_unknown(&mut self) {
        self.spill_slot();
        let Some(Unknown { upper, msg }) = self.net.unknown.pop_front() else { return };
        let place = self.net.pairs.get(upper).map(|pair| (pair.node, pair.stream));
        let Some((node, control)) = place else { return self.net.lose(msg) };
        let request = if msg.kind() == Kind::Ioctl { Iocblk::parse(msg.first()) } else { None };
        let answer = match request {
            Some(blk) => {
                let (kind, rval, error) = match self.obey(control, node, blk) {
                    Ok(rval) => (Kind::IocAck, rval, Errno(0)),
                    Err(error) => (Kind::IocNak, -1, error),
                };
                let blk = Iocblk { count: 0, rval, error, ..blk };
                Ok(rewrite(&mut self.net.pool, msg, kind, blk.to_bytes()))
            }
            None => refuse_unknown(&mut self.net.pool, msg),
        };
        match answer {
            Ok(msg) => {
                self.net.stat(node).msgs_out[Side::Read as usize] += 1;
                let up = self.net.next_of(queue_no(upper.index, Side::Read));
                self.net.post(up, msg);
            }
            Err(msg) => self.net.discard(node, msg, Drop::UNEXPECTED_TYPE),
        }
    }

    /// The stream is linked below a multiplexor.
    pub fn is_linked(&self, stream: StreamId) -> bool {
        let top = self.streams.get(stream.0).and_then(|s| self.net.pairs.at(s.top));
        top.is_some_and(|pair| pair.role == Role::Lower)
    }

    /// A stream that a program has linked was unlinked, whoever did it.
    pub(crate) fn was_unlinked(&mut self, lower: StreamId) {
        let list = &mut self.links.list;
        let Some(at) = list.iter().position(|link| link.lower == lower) else { return };
        if list.remove(at).closing {
            // It was closed before, and nobody has it any more.
            let _gone = self.close(lower);
        }
    }

    /// A program closes a stream: true when it goes on because it is linked (H4). The links that
    /// it has made are undone (H6).
    pub(crate) fn close_of_linked(&mut self, stream: StreamId) -> Result<bool, PlumbError> {
        let list = &mut self.links.list;
        if let Some(link) = list.iter_mut().find(|link| link.lower == stream) {
            let closed = core::mem::replace(&mut link.closing, true);
            return if closed { Err(PlumbError::NoStream) } else { Ok(true) };
        }
        let made: Vec<_> = list
            .iter()
            .filter(|link| link.control == Some(stream))
            .map(|link| link.lower)
            .collect();
        for lower in made {
            // Only one that is gone is not linked.
            let _gone = self.unlink(lower);
        }
        Ok(false)
    }

    /// What the head of `control` asked for in its ioctl of this number; what ioctl(2) returns.
    fn obey(&mut self, control: u32, node: u32, blk: Iocblk) -> Result<i32, Errno> {
        let control = self.streams.key_at(control).map(StreamId).ok_or(Errno::EINVAL)?;
        let command = self.head(control)?.0.link_wanted(blk.id).ok_or(Errno::EINVAL)?;
        let mux = self.nodes.key_at(node).map(NodeId).ok_or(Errno::ENXIO)?;
        let (lower, control) = match command {
            LinkCommand::Link(lower) => (lower, Some(control)),
            LinkCommand::LinkPersistent(lower) => (lower, None),
            LinkCommand::Unlink(_) | LinkCommand::UnlinkPersistent(_) => {
                let lowers = self.links_of(control, mux, command);
                return lowers.into_iter().try_fold(0, |_, lower| {
                    self.may_change(lower)?;
                    self.unlink(lower).map_err(|why| why.errno())?;
                    Ok(0)
                });
            }
        };
        self.may_change(lower)?;
        self.link(mux, lower).map_err(|why| why.errno())?;
        // A number is unique as long as fewer than 2^31 links are made.
        self.links.last = self.links.last.checked_add(1).unwrap_or(1);
        let muxid = self.links.last;
        self.links.list.push(Link { muxid, mux, lower, control, closing: false });
        Ok(muxid)
    }

    /// An ioctl is answered at once: it does not wait for a change that is pending.
    fn may_change(&self, lower: StreamId) -> Result<(), Errno> {
        if self.pending(lower).is_some() { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// Streams whose links an unlink command names.
    fn links_of(&self, control: StreamId, mux: NodeId, command: LinkCommand) -> Vec<StreamId> {
        let (named, made_by) = match command {
            LinkCommand::Unlink(muxid) => (muxid, Some(control)),
            LinkCommand::UnlinkPersistent(muxid) => (muxid, None),
            LinkCommand::Link(_) | LinkCommand::LinkPersistent(_) => return Vec::new(),
        };
        let named = |link: &&Link| {
            let own = link.mux == mux && link.control == made_by;
            own && (named == MUXID_ALL || named == link.muxid)
        };
        self.links.list.iter().filter(named).map(|link| link.lower).collect()
    }

    /// H3, as far as it can be seen before the multiplexor is asked.
    fn may_link(&mut self, control: StreamId, lower: StreamId) -> Result<(), Errno> {
        let head = self.head(lower)?.0;
        let fit = lower != control && head.failure().is_none() && !head.ioctl_busy();
        if fit { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn mux_below(&self, stream: StreamId) -> Option<NodeId> {
        let bottom = self.net.pairs.at(self.streams.get(stream.0)?.bottom)?;
        let mux =
            bottom.role == Role::Upper && matches!(self.nodes.at(bottom.node), Some(Node::Mux(_)));
        self.nodes.key_at(bottom.node).filter(|_| mux).map(NodeId)
    }
}

impl Cx<'_> {
    /// What a multiplexor does with an M_IOCTL or M_IOCDATA of an upper that it does not know:
    /// commands of the link family are obeyed before the next dispatch, everything else is
    /// refused (B1).
    pub fn unknown_ioctl(&mut self, upper: Upper, msg: Msg) {
        self.net.ledger_gives(self.node, &msg);
        self.net.unknown.push_back(Unknown { upper: upper.key(), msg });
    }
}
