//! What is possible at a socket: words that stand first at the head are taken, so that what is
//! left there is data.

use super::{Socket, State, ask};
use crate::acceptor::free;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, Perimeter, PollEvents, StreamId, Want};
use millstream_msg::Kind;
use millstream_port::Ready;

impl Socket {
    /// What is possible now, as `poll(2)` of a socket says.
    pub fn ready(&mut self, core: &mut Perimeter) -> Ready {
        self.settle(core);
        let asked = PollEvents::READ.with(PollEvents::WRITE);
        let seen = core.poll_head(self.stream, asked).unwrap_or(PollEvents::ERR);
        let room = Ready::OUT | Ready::WRNORM;
        let data = Ready::IN | Ready::RDNORM;
        let failed = self.ends.error.is_some() || seen.contains(PollEvents::ERR);
        let ready = match self.state {
            State::Connecting(_) => Ready::empty(),
            State::Listening(_) => data.when(seen.intersects(PollEvents::READ)),
            State::Open(_) => {
                (room | Ready::HUP) | (data | Ready::RDHUP).when(self.ends.error.is_some())
            }
            State::Connected { .. } => self.connected_ready(seen),
            State::Datagram { .. } => {
                let ended = self.ends.unread;
                data.when(ended || seen.intersects(PollEvents::READ))
                    | room.when(seen.contains(PollEvents::OUT))
                    | Ready::RDHUP.when(ended)
                    | Ready::HUP.when(ended && self.ends.written)
            }
        };
        ready | (Ready::ERR | data).when(failed)
    }

    /// What is so of a connection whatever octets and room there are: OUT, it may be written to;
    /// IN, nothing more comes behind what has come. `None`: it is no connection.
    pub fn outlook(&mut self, core: &mut Perimeter) -> Option<Ready> {
        self.settle(core);
        let State::Connected { .. } = self.state else { return None };
        let ends = &self.ends;
        let ended = ends.read || ends.unread || ends.over;
        let closed = ends.written || ends.over || reset_behind(core, self.stream).is_some();
        Some(
            Ready::OUT.when(!closed)
                | (Ready::IN | Ready::RDHUP).when(ended)
                | Ready::HUP.when(ended && closed)
                | Ready::ERR.when(ends.error.is_some())
                | Ready::PRI.when(ends.urgent.is_some()),
        )
    }

    fn connected_ready(&self, seen: PollEvents) -> Ready {
        let ends = &self.ends;
        let ended = ends.read || ends.unread || ends.over;
        let data = seen.intersects(PollEvents::READ);
        // Who writes where nothing may be written is told at once.
        let room = ends.written || ends.over || seen.contains(PollEvents::OUT);
        (Ready::IN | Ready::RDNORM).when(ended || data)
            | (Ready::OUT | Ready::WRNORM).when(room)
            | Ready::RDHUP.when(ended)
            | Ready::HUP.when(ended && (ends.written || ends.over))
            | Ready::PRI.when(ends.urgent.is_some())
    }

    /// Takes the words that stand first at the head: what a connection that was asked for has come
    /// to, the end of a direction, urgent data, errors of datagrams.
    pub(super) fn settle(&mut self, core: &mut Perimeter) {
        if matches!(self.state, State::Listening(_) | State::Open(_)) {
            return;
        }
        while let Some(word) = first_word(core, self.stream) {
            if word == tpi::T_UNITDATA_IND {
                return;
            }
            match core.getmsg(self.stream) {
                Ok(Some(got)) => self.note(core, got),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Takes note of a word.
    pub(super) fn note(&mut self, core: &mut Perimeter, got: Got) {
        let control = got.control.as_ref().map(|control| control.first()).unwrap_or_default();
        match tpi::primitive(control) {
            Some(tpi::T_CONN_CON) => {
                if let State::Connecting(peer) = self.state {
                    self.state = State::Connected { local: None, peer, untold: true };
                }
            }
            Some(tpi::T_ORDREL_IND) => self.ends.read = true,
            Some(tpi::T_DISCON_IND) => {
                let reason = tpi::DisconInd::new(control).map_or(Errno::EPROTO.0, |i| i.reason());
                let untold = reason != 0 && !self.ends.told;
                self.ends.error = untold.then_some(Errno(reason));
                match self.state {
                    State::Connecting(_) => {
                        // It has its address no longer, and may try again.
                        let _unbound = ask(core, self.stream, &Primitive::unbind_req());
                        self.state = State::Open(None);
                    }
                    _ => (self.ends.read, self.ends.over) = (true, true),
                }
            }
            Some(tpi::T_EXDATA_IND) => {
                let mut octet = [0];
                let last = got.data.as_ref().map(|data| (data, data.len().saturating_sub(1)));
                if last.is_some_and(|(data, at)| data.copy_out(at, &mut octet) == 1) {
                    self.ends.urgent = Some(octet[0]);
                }
            }
            Some(tpi::T_UDERROR_IND) => {
                // Who has no peer could not tell whose error it is (`udp(7)`).
                if matches!(self.state, State::Datagram { peer: Some(_), .. }) {
                    let errno = tpi::word(control, 20).unwrap_or(Errno::EIO.0);
                    self.ends.error = Some(Errno(errno));
                }
            }
            _ => {}
        }
        free(core, got);
    }
}

/// Why a connection is over, though what came before that has not been read.
pub fn reset_behind(core: &mut Perimeter, stream: StreamId) -> Option<Errno> {
    let word = core.peek_last(stream).filter(|msg| msg.kind() == Kind::Proto)?;
    tpi::DisconInd::new(word.first()).ok().map(|ind| Errno(ind.reason()))
}

/// The kind of the control part that is first at a head; none when data are, or nothing.
fn first_word(core: &mut Perimeter, stream: StreamId) -> Option<i32> {
    let mut control = [0; 4];
    let first = core.peek(stream, Want::Any, Some(&mut control), None).ok()??;
    first.control.map(|_| tpi::primitive(&control).unwrap_or(-1))
}
