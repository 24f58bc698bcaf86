//! SYNs at listeners, and connections on their way to be accepted.

use super::{Engine, Socket, ends_of};
use crate::tcp::listener::Listener;
use crate::tcp::tcb::{Marks, NOBODY, State, Tcb};
use crate::tcp::{Flags, Segment, TcpDrop, input, output, table, user};
use alloc::boxed::Box;
use millstream_core::Errno;
use millstream_core::tpi::Primitive;
use millstream_msg::{Msg, Pool};

impl Engine {
    /// LISTEN (RFC 9293 section 3.10.7.2).
    pub(super) fn asked(
        &mut self,
        number: u32,
        seg: &Segment,
        msg: Msg,
        now: u64,
        pool: &mut Pool,
    ) {
        let reason = if seg.flags.has(Flags::RST) {
            TcpDrop::Reset
        } else if seg.flags.has(Flags::ACK) {
            let Err(back) = self.take_cookie(number, seg, msg, now, pool) else { return };
            self.shared.refuse(seg, now, pool);
            return self.shared.act.discard(back, TcpDrop::NoConnection);
        } else if !seg.flags.has(Flags::SYN) || seg.flags.has(Flags::FIN) {
            TcpDrop::NoSyn
        } else if seg.local == seg.remote {
            TcpDrop::NoHost
        } else {
            match self.admit(number, seg, now, pool) {
                Ok(()) => return self.shared.act.consume(msg, pool),
                Err(reason) => reason,
            }
        };
        self.shared.act.discard(msg, reason);
    }

    /// Makes a connection of a SYN, or answers it with a cookie.
    fn admit(
        &mut self,
        number: u32,
        seg: &Segment,
        now: u64,
        pool: &mut Pool,
    ) -> Result<(), TcpDrop> {
        let Some(listener) = self.listener(number) else { return Err(TcpDrop::NoListener) };
        if listener.is_full() {
            return Err(TcpDrop::AcceptQueueFull);
        }
        let user = listener.user;
        if listener.takes_no_more() {
            let settings = self.settings_of(user).clone();
            self.answer_with_cookie(&settings, seg, now, pool);
            return Ok(());
        }
        let ends = ends_of(seg.local, seg.remote);
        let iss = self.secret.isn(&ends, now);
        let connection = self.add(user, seg, iss, now)?;
        if let Some(listener) = self.listener(number) {
            listener.half_open += 1;
        }
        self.with(connection, now, pool, |tcb, env| input::answer(tcb, seg, env));
        Ok(())
    }

    /// A connection to a listener's user that has sent nothing yet; its number.
    pub(super) fn add(
        &mut self,
        listener_user: u32,
        seg: &Segment,
        iss: crate::tcp::Seq,
        now: u64,
    ) -> Result<u32, TcpDrop> {
        let settings = self.settings_of(listener_user).clone();
        let ends = ends_of(seg.local, seg.remote);
        let number = self.fresh();
        if let Err(error) = self.table.accept(number, &ends, settings.reuse) {
            self.free.push(number);
            return Err(match error {
                table::TableError::Full => TcpDrop::TableFull,
                _ => TcpDrop::NoConnection,
            });
        }
        let mtu = self.locals.mtu(seg.local.ip());
        let (local, remote) = (seg.local.into(), seg.remote.into());
        let mut tcb = Tcb::new(State::SynReceived, local, remote, iss, mtu, settings, now);
        tcb.parent = listener_user;
        tcb.ts_offset = self.secret.timestamp_offset(&ends);
        self.sockets[number as usize] = Some(Socket::Connection(Box::new(tcb)));
        Ok(number)
    }

    /// The last segment of a handshake would make one more wait than may.
    pub(super) fn accept_queue_is_full(&mut self, number: u32) -> bool {
        let Some(tcb) = self.tcb(number) else { return false };
        if tcb.state != State::SynReceived || tcb.parent == NOBODY {
            return false;
        }
        let parent = tcb.parent;
        self.listener_of(parent).is_some_and(|(_, listener)| listener.is_full())
    }

    /// A connection stands.
    pub(super) fn connected(&mut self, number: u32, now: u64, pool: &mut Pool) {
        let Some(tcb) = self.tcb(number) else { return };
        if tcb.parent == NOBODY {
            tcb.marks.set(Marks::TELL_CONNECTED);
            tcb.marks.set(Marks::TELL_BUFFER);
            return;
        }
        tcb.marks.set(Marks::WAITING);
        let (parent, peer) = (tcb.parent, tcb.remote.into());
        let Some((_, listener)) = self.listener_of(parent) else {
            return self.with(number, now, pool, user::abort);
        };
        listener.half_open = listener.half_open.saturating_sub(1);
        listener.waiting.push_back(number);
        self.tell(parent, &Primitive::conn_ind(peer, number as i32), pool);
    }

    /// A connection that nobody has accepted is over.
    pub(super) fn lost_before_accept(
        &mut self,
        number: u32,
        errno: Option<Errno>,
        pool: &mut Pool,
    ) {
        let Some(tcb) = self.tcb(number) else { return };
        let (parent, was_waiting) = (tcb.parent, tcb.marks.has(Marks::WAITING));
        if let Some((_, listener)) = self.listener_of(parent) {
            if was_waiting {
                listener.waiting.retain(|other| *other != number);
                let reason = errno.unwrap_or(Errno::ECONNRESET);
                self.tell(parent, &Primitive::discon_ind(reason, number as i32), pool);
            } else {
                listener.half_open = listener.half_open.saturating_sub(1);
            }
        }
        self.forget(number);
    }

    /// The listener's user has left: nobody will accept what waits.
    pub(super) fn stop_listening(&mut self, number: u32, now: u64, pool: &mut Pool) {
        let Some(Some(Socket::Listening(listener))) = self.sockets.get(number as usize) else {
            return;
        };
        let parent = listener.user;
        let children: alloc::vec::Vec<u32> = self.children_of(parent).collect();
        self.forget(number);
        for child in children {
            self.with(child, now, pool, |tcb, env| {
                tcb.parent = NOBODY;
                user::abort(tcb, env);
            });
            self.forget(child);
        }
    }

    /// A connection that waits is taken by another stream.
    pub(super) fn accept(&mut self, number: u32, acceptor: u32) {
        if let Some(tcb) = self.tcb(number) {
            tcb.marks.clear(Marks::WAITING);
            tcb.marks.set(Marks::TELL_BUFFER);
            tcb.parent = NOBODY;
            tcb.user = acceptor;
        }
        self.touch(number);
    }

    /// A connection that waits is refused.
    pub(super) fn refuse_waiting(&mut self, number: u32, now: u64, pool: &mut Pool) {
        self.with(number, now, pool, |tcb, env| {
            tcb.parent = NOBODY;
            output::reset(tcb, env);
            user::over(tcb, None, env);
        });
        self.forget(number);
    }

    pub(super) fn listener(&mut self, number: u32) -> Option<&mut Listener> {
        match self.sockets.get_mut(number as usize) {
            Some(Some(Socket::Listening(listener))) => Some(listener),
            _ => None,
        }
    }

    pub(super) fn listener_of(&mut self, user: u32) -> Option<(u32, &mut Listener)> {
        let number = self.user(user)?.socket()?;
        self.listener(number).map(|listener| (number, listener))
    }

    fn children_of(&self, parent: u32) -> impl Iterator<Item = u32> {
        self.sockets.iter().enumerate().filter_map(move |(number, socket)| match socket {
            Some(Socket::Connection(tcb)) if tcb.parent == parent => Some(number as u32),
            _ => None,
        })
    }
}
