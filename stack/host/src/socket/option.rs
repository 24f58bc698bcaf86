//! Options of a socket: those that are the socket's own, and those of its transport.

use super::{AF_INET, IPPROTO_TCP, IPPROTO_UDP, Kind, SOCK_DGRAM, SOCK_STREAM, Socket, State};
use crate::plan::service::request;
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Perimeter};
use millstream_modules::tcp::names;
use millstream_modules::udp::option;

impl Socket {
    /// `setsockopt(2)`.
    ///
    /// # Errors
    /// EINVAL, ENOPROTOOPT.
    pub fn set_option(
        &mut self,
        core: &mut Perimeter,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        if value.len() > VALUE_MAX {
            return Err(Errno::EINVAL);
        }
        let wanted = match self.kind() {
            Kind::Stream => {
                let record = Record { level, name, status: 0, value };
                Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record)
            }
            Kind::Datagram => {
                let word = tpi::word(value, 0).ok_or(Errno::EINVAL)?;
                match of_datagrams(level, name)? {
                    Some(name) => option::set(name, word),
                    None => return Ok(()),
                }
            }
        };
        let ack = request(core, self.stream, &wanted)?;
        core.pool().free(ack);
        Ok(())
    }

    /// `getsockopt(2)`: the value's bytes.
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn option(
        &mut self,
        core: &mut Perimeter,
        level: i32,
        name: i32,
    ) -> Result<Vec<u8>, Errno> {
        if let Some(word) = self.own_option(core, level, name) {
            return Ok(word.to_ne_bytes().to_vec());
        }
        let (level, name) = match self.kind() {
            Kind::Stream => (level, name),
            Kind::Datagram => match of_datagrams(level, name)? {
                Some(name) => (option::LEVEL, name),
                None => return Ok(BUFFER.to_ne_bytes().to_vec()),
            },
        };
        let record = Record { level, name, status: 0, value: &[0; 4] };
        let wanted = Primitive::optmgmt_req(tpi::T_CURRENT).with_option(&record);
        let ack = request(core, self.stream, &wanted)?;
        let value = tpi::OptmgmtAck::new(ack.first()).ok().and_then(|view| {
            let record = Records::new(view.options()).next()?.ok()?;
            Some(record.value.to_vec())
        });
        core.pool().free(ack);
        value.ok_or(Errno::EPROTO)
    }

    fn own_option(&mut self, core: &mut Perimeter, level: i32, name: i32) -> Option<i32> {
        let (kind, protocol) = match self.kind() {
            Kind::Stream => (SOCK_STREAM, IPPROTO_TCP),
            Kind::Datagram => (SOCK_DGRAM, IPPROTO_UDP),
        };
        match (level, name) {
            (names::SOCKET, names::ERROR) => {
                self.settle(core);
                // Without one the transport may know of one.
                match (self.ends.error.take(), self.kind()) {
                    (Some(errno), _) => Some(errno.0),
                    (None, Kind::Datagram) => Some(0),
                    (None, Kind::Stream) => None,
                }
            }
            (names::SOCKET, TYPE) => Some(kind),
            (names::SOCKET, PROTOCOL) => Some(protocol),
            (names::SOCKET, DOMAIN) => Some(AF_INET),
            (names::SOCKET, ACCEPTCONN) => {
                Some(i32::from(matches!(self.state, State::Listening(_))))
            }
            _ => None,
        }
    }
}

/// The name that `udp` has for an option; none: it is taken and changes nothing.
fn of_datagrams(level: i32, name: i32) -> Result<Option<i32>, Errno> {
    match (level, name) {
        (names::SOCKET, BROADCAST) => Ok(Some(option::BROADCAST)),
        (names::IP, names::TTL) => Ok(Some(option::TTL)),
        (names::IP, names::TOS) => Ok(Some(option::TOS)),
        (names::IP, MULTICAST_TTL) => Ok(Some(option::MULTICAST_TTL)),
        (names::IP, MULTICAST_LOOP) => Ok(Some(option::MULTICAST_LOOP)),
        (names::SOCKET, names::REUSEADDR) => Ok(Some(option::REUSE)),
        // Buffers are those of the stack.
        (names::SOCKET, names::SNDBUF | names::RCVBUF) => Ok(None),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// SO_TYPE.
const TYPE: i32 = 3;
/// SO_BROADCAST.
const BROADCAST: i32 = 6;
/// SO_ACCEPTCONN.
const ACCEPTCONN: i32 = 30;
/// SO_PROTOCOL.
const PROTOCOL: i32 = 38;
/// SO_DOMAIN.
const DOMAIN: i32 = 39;

/// IP_MULTICAST_TTL.
const MULTICAST_TTL: i32 = 33;
/// IP_MULTICAST_LOOP.
const MULTICAST_LOOP: i32 = 34;

/// Octets that a socket of datagrams says it has room for: what Linux says.
const BUFFER: i32 = 212_992;

/// Bytes of a value that a request carries.
const VALUE_MAX: usize = 64;
