//! wire: a request of a client, and the daemon's reply, as they cross a port: a head of 20 bytes,
//! and behind it as many bytes as it says.

use millstream_core::Errno;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// What stands in front of each request and each reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What is asked; a reply has that of its request. See [`Op`].
    pub op: u16,
    /// Of a request: [`QUIET`] or 0. Of a reply: an error number, 0 when it went well.
    pub status: u16,
    /// Given by the client; a reply has that of its request.
    pub id: u32,
    /// The socket meant; in the reply to `Listen`, `Accept` and `Connect` the new one.
    pub socket: u32,
    /// Of a `Recv`: bytes wanted at most. Of a `Listen`: its backlog. Of the reply to a `Send`:
    /// bytes sent.
    pub value: u32,
    /// Bytes that follow.
    pub len: u32,
}

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// A socket that listens at the address that follows.
    Listen = 1,
    /// The next connection of a listening socket.
    Accept = 2,
    /// A connection to the address that follows.
    Connect = 3,
    /// Sends the bytes that follow; answered when all are taken.
    Send = 4,
    /// Bytes that have come, when there are some; none at the end of the connection.
    Recv = 5,
    /// Nothing more will be sent.
    Finish = 6,
    /// The socket is given back.
    Close = 7,
}

/// Only a failure of this request is answered.
pub const QUIET: u16 = 1;

/// Bytes of a [`Head`].
pub const HEAD: usize = 20;

/// Most bytes behind a head: 44 packets of 1460 bytes fit.
pub const DATA_MAX: usize = 1 << 16;

/// Bytes of an address.
pub const ADDRESS: usize = 6;

impl Head {
    /// As bytes, in the order of this machine: both ends are on it.
    pub fn bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..2].copy_from_slice(&self.op.to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.status.to_ne_bytes());
        let words = [self.id, self.socket, self.value, self.len];
        for (place, word) in bytes[4..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The head in front of `bytes`; `None` when they are fewer than it has.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.first_chunk()?;
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Some(Self {
            op: half(0),
            status: half(2),
            id: word(4),
            socket: word(8),
            value: word(12),
            len: word(16),
        })
    }

    /// The reply to this request.
    pub fn reply(self, outcome: Result<(), Errno>) -> Self {
        let status = outcome.err().map_or(0, |errno| errno.0 as u16);
        Self { status, value: 0, len: 0, ..self }
    }

    /// What a reply says.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn outcome(&self) -> Result<(), Errno> {
        if self.status == 0 { Ok(()) } else { Err(Errno(self.status.into())) }
    }
}

impl Op {
    /// As errors name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Accept => "accept",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Recv => "receive",
            Self::Finish => "finish",
            Self::Close => "close",
        }
    }

    /// Of a number; `None` for those that there are not.
    pub fn of(number: u16) -> Option<Self> {
        let all = [
            Self::Listen,
            Self::Accept,
            Self::Connect,
            Self::Send,
            Self::Recv,
            Self::Finish,
            Self::Close,
        ];
        all.into_iter().find(|op| *op as u16 == number)
    }
}

/// An address as it follows a head.
pub fn address_bytes(address: SocketAddrV4) -> [u8; ADDRESS] {
    let ([a, b, c, d], [e, f]) = (address.ip().octets(), address.port().to_be_bytes());
    [a, b, c, d, e, f]
}

/// The address that follows a head.
///
/// # Errors
/// EINVAL when it is none.
pub fn address(bytes: &[u8]) -> Result<SocketAddr, Errno> {
    let &[a, b, c, d, e, f] = bytes else { return Err(Errno::EINVAL) };
    Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, f])).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_out_as_it_went_in_and_a_short_one_is_none() {
        let head = Head { op: 4, status: 1, id: 7, socket: u32::MAX, value: 9, len: 65_536 };
        assert_eq!(Head::parse(&head.bytes()), Some(head));
        assert_eq!(Head::parse(&head.bytes()[..HEAD - 1]), None);
    }

    #[test]
    fn an_operation_is_found_by_its_number_and_others_are_none() {
        for number in 1..=7 {
            assert_eq!(Op::of(number).map(|op| op as u16), Some(number));
        }
        assert_eq!((Op::of(0), Op::of(8), Op::of(u16::MAX)), (None, None, None));
    }

    #[test]
    fn an_address_of_another_length_is_refused() {
        let at = SocketAddrV4::new([10, 9, 0, 1].into(), 7);
        assert_eq!(address(&address_bytes(at)), Ok(at.into()));
        assert_eq!(address(&[10, 9, 0, 1]), Err(Errno::EINVAL));
    }
}
