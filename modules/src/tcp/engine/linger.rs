//! The end of a user: its connection goes on by itself, and the close waits for the peer's
//! acknowledgement of all that was sent where the user asked for that (SO_LINGER).

use super::{Engine, Socket};
use crate::tcp::tcb::{Marks, Tcb};
use crate::tcp::user;
use millstream_msg::Pool;

impl Engine {
    /// A stream above closes; `unread` octets that it was given were never read. If its close
    /// waits: for which socket, and until when, ns. `Out::closed` has the user when the
    /// peer has acknowledged everything, when the connection is over, and after
    /// `Engine::linger_over`.
    pub fn close(
        &mut self,
        user: u32,
        unread: u32,
        now: u64,
        pool: &mut Pool,
    ) -> Option<(u32, u64)> {
        let gone = self.users.get_mut(user as usize).and_then(Option::take)?;
        self.coming.remove(&user);
        let waits = gone.socket().and_then(|number| {
            let until = self.leave(number, unread, now, pool)?;
            self.lingering.insert(number, user);
            Some((number, until))
        });
        if waits.is_none() {
            self.free_users.push(user);
        }
        waits
    }

    /// The close that waits for a socket has waited long enough; the connection goes on.
    pub(in crate::tcp) fn linger_over(&mut self, number: u32) {
        if let Some(user) = self.lingering.remove(&number) {
            self.free_users.push(user);
            self.out.closed.push((user, number));
        }
    }

    /// Lets a close go on that waits for what has happened to this connection.
    pub(super) fn see_linger(&mut self, number: u32) {
        if !self.lingering.is_empty() && !self.tcb(number).is_some_and(is_unsettled) {
            self.linger_over(number);
        }
    }

    /// The socket of a user who is gone; until when the close waits.
    fn leave(&mut self, number: u32, unread: u32, now: u64, pool: &mut Pool) -> Option<u64> {
        match self.sockets.get_mut(number as usize) {
            Some(Some(Socket::Connection(tcb))) if tcb.marks.has(Marks::DEAD) => {
                self.forget(number);
            }
            Some(Some(Socket::Connection(_))) => {
                self.with(number, now, pool, |tcb, env| user::leave(tcb, unread, env));
                let tcb = self.tcb(number)?;
                if !is_unsettled(tcb) {
                    return None;
                }
                return tcb.settings.linger_s.map(|s| now + u64::from(s) * 1_000_000_000);
            }
            Some(Some(Socket::Listening(_))) => self.stop_listening(number, now, pool),
            _ => self.forget(number),
        }
        None
    }
}

/// Has the peer not acknowledged our end yet?
fn is_unsettled(tcb: &mut Tcb) -> bool {
    let acknowledged = tcb.marks.has(Marks::FIN_SENT) && !tcb.in_flight();
    !tcb.marks.has(Marks::DEAD) && !acknowledged
}
