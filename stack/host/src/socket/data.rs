//! Octets and datagrams of a socket.

use super::{Kind, Socket, State, reset_behind};
use crate::acceptor::free;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, Perimeter, Priority, Want};
use millstream_msg::{Kind as Block, Msg};
use std::net::{Ipv4Addr, SocketAddr};

/// A datagram, and who sent it.
#[derive(Debug)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its octets; none without any.
    pub data: Option<Msg>,
}

impl Socket {
    /// May octets be sent to the peer? Asked before they are put at the stream's head.
    ///
    /// # Errors
    /// EAGAIN before the connection stands, EPIPE without one and after its end, what has ended
    /// it (once).
    pub fn may_send(&mut self, core: &mut Perimeter) -> Result<(), Errno> {
        self.settle(core);
        self.failed()?;
        match self.state {
            State::Connecting(_) => Err(Errno::EAGAIN),
            State::Connected { .. } if !self.ends.written && !self.ends.over => {
                let Some(errno) = reset_behind(core, self.stream) else { return Ok(()) };
                // What came before its word can still be read, as far as its end.
                (self.ends.written, self.ends.told) = (true, true);
                Err(errno)
            }
            _ => Err(Errno::EPIPE),
        }
    }

    /// Sends copies of octets; how many.
    ///
    /// # Errors
    /// As [`Socket::may_send`]; EAGAIN without room.
    pub fn send(&mut self, core: &mut Perimeter, pieces: &[&[u8]]) -> Result<usize, Errno> {
        self.may_send(core)?;
        core.writev(self.stream, pieces)
    }

    /// Sends octets of which the last is urgent (MSG_OOB).
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_urgent(&mut self, core: &mut Perimeter, data: &[u8]) -> Result<(), Errno> {
        self.may_send(core)?;
        let word = Primitive::exdata_req(false);
        core.putpmsg(self.stream, Some(word.as_bytes()), Some(data), Priority::Band(0))
    }

    /// Copies octets out; 0 when the peer has ended its direction.
    ///
    /// # Errors
    /// EAGAIN, ENOTCONN, what has ended the connection (once).
    pub fn recv(&mut self, core: &mut Perimeter, out: &mut [u8]) -> Result<usize, Errno> {
        self.receiving(core, |core, stream| core.read(stream, out))
    }

    /// As [`Socket::recv`], leaving them where they are (MSG_PEEK).
    ///
    /// # Errors
    /// As [`Socket::recv`].
    pub fn peek(&mut self, core: &mut Perimeter, out: &mut [u8]) -> Result<usize, Errno> {
        self.receiving(core, |core, stream| {
            let first = core.peek(stream, Want::Any, None, Some(out))?;
            first.and_then(|part| part.data).ok_or(Errno::EAGAIN)
        })
    }

    /// Takes the next octets as they lie in the stack, if there are any. An error stays.
    pub fn take_data(&mut self, core: &mut Perimeter) -> Option<Msg> {
        self.settle(core);
        match self.state {
            State::Connected { .. } if !self.ends.read => {
                let got = core.getmsg(self.stream).ok()??;
                let data = got.data;
                free(core, Got { data: None, ..got });
                data
            }
            _ => None,
        }
    }

    /// Reads in some way where octets are first.
    fn receiving<T: Default>(
        &mut self,
        core: &mut Perimeter,
        read: impl FnOnce(&mut Perimeter, millstream_core::StreamId) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.settle(core);
        self.failed()?;
        match self.state {
            State::Connecting(_) => Err(Errno::EAGAIN),
            State::Connected { .. } if self.ends.read => Ok(T::default()),
            State::Connected { .. } => match read(core, self.stream) {
                Err(Errno::EAGAIN) if self.ends.unread => Ok(T::default()),
                done => done,
            },
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// The last octet of the urgent data that came, once (MSG_OOB).
    ///
    /// # Errors
    /// EINVAL without any.
    pub fn take_urgent(&mut self, core: &mut Perimeter) -> Result<u8, Errno> {
        self.settle(core);
        self.ends.urgent.take().ok_or(Errno::EINVAL)
    }

    /// Where a datagram goes that is sent to `to`, or to the peer; the socket is bound then.
    ///
    /// # Errors
    /// EDESTADDRREQ, EMSGSIZE, EPIPE after SHUT_WR, the error of one that was sent before.
    pub fn destination(
        &mut self,
        core: &mut Perimeter,
        len: usize,
        to: Option<SocketAddr>,
    ) -> Result<SocketAddr, Errno> {
        self.settle(core);
        self.failed()?;
        let State::Datagram { peer, .. } = self.state else { return Err(Errno::EINVAL) };
        if self.ends.written {
            return Err(Errno::EPIPE);
        }
        let to = to.or(peer).ok_or(Errno::EDESTADDRREQ)?;
        if len > DATAGRAM_MAX {
            return Err(Errno::EMSGSIZE);
        }
        self.bound(core, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))?;
        Ok(to)
    }

    /// Sends a datagram of these octets; it comes back with the error.
    ///
    /// # Errors
    /// EAGAIN without room; ENOBUFS.
    pub fn put_datagram(
        &mut self,
        core: &mut Perimeter,
        to: SocketAddr,
        data: Msg,
    ) -> Result<(), (Errno, Msg)> {
        let control = Primitive::unitdata_req(to);
        let Ok(mut msg) = core.pool().copy_from(0, control.as_bytes()) else {
            return Err((Errno::ENOBUFS, data));
        };
        msg.set_kind(Block::Proto);
        msg.link(data);
        core.putmsg(self.stream, msg).map_err(|(errno, msg)| {
            let (control, data) = msg.unlink();
            match data {
                Some(data) => {
                    core.pool().free(control);
                    (errno, data)
                }
                None => (errno, control),
            }
        })
    }

    /// Sends a copy of a datagram.
    ///
    /// # Errors
    /// As [`Socket::destination`]; EAGAIN without room.
    pub fn send_to(
        &mut self,
        core: &mut Perimeter,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let to = self.destination(core, data.len(), to)?;
        let control = Primitive::unitdata_req(to);
        core.putpmsg(self.stream, Some(control.as_bytes()), Some(data), Priority::Band(0))?;
        Ok(data.len())
    }

    /// Takes the datagram that waits longest.
    ///
    /// # Errors
    /// EAGAIN; the error of one that was sent before.
    pub fn take_datagram(&mut self, core: &mut Perimeter) -> Result<Datagram, Errno> {
        self.first_datagram(core)?;
        let got = core.getmsg(self.stream)?.ok_or(Errno::EAGAIN)?;
        let Got { control, data, .. } = got;
        let from = control.as_ref().and_then(|control| tpi::address_at(control.first(), 4));
        let datagram = from.map(|from| Datagram { from, data });
        free(core, Got { control, data: None, ..got });
        datagram.ok_or(Errno::EPROTO)
    }

    /// Copies the datagram that waits longest out, as much as there is room for; its length and
    /// its sender. It stays if `keep`.
    ///
    /// # Errors
    /// As [`Socket::take_datagram`].
    pub fn recv_from(
        &mut self,
        core: &mut Perimeter,
        out: &mut [u8],
        keep: bool,
    ) -> Result<(usize, SocketAddr), Errno> {
        if keep {
            self.first_datagram(core)?;
            let whole = core.waiting(self.stream)?.bytes;
            let mut control = [0; tpi::UNITDATA_MAX];
            let first = core.peek(self.stream, Want::Any, Some(&mut control), Some(out))?;
            first.ok_or(Errno::EAGAIN)?;
            let from = tpi::address_at(&control, 4).ok_or(Errno::EPROTO)?;
            return Ok((whole, from));
        }
        let Datagram { from, data } = self.take_datagram(core)?;
        let Some(data) = data else { return Ok((0, from)) };
        data.copy_out(0, out);
        let whole = data.len();
        core.pool().free(data);
        Ok((whole, from))
    }

    fn first_datagram(&mut self, core: &mut Perimeter) -> Result<(), Errno> {
        self.settle(core);
        self.failed()?;
        if self.kind() != Kind::Datagram {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// Octets that can be read without waiting (FIONREAD).
    pub fn readable(&mut self, core: &mut Perimeter) -> usize {
        self.settle(core);
        core.waiting(self.stream).map_or(0, |waiting| waiting.bytes)
    }
}

/// The longest datagram that IPv4 carries.
const DATAGRAM_MAX: usize = 65_507;
