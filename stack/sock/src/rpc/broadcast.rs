//! A call to all hosts of a network: their `rpcbind` pass it on.

use super::{Procedure, RpcError};
use crate::stack::Stack;
use crate::udp::UdpSocket;
use millstream_host::plan::random_key;
use millstream_onc::Credential;
use millstream_onc::auth::FLAVORS;
use millstream_onc::message::{self, Direction, Outcome};
use millstream_onc::xdr::{Decoder, Encoder, Fault};
use millstream_programs::rpcbind::PORT;
use millstream_programs::wire::rpcbind::rpcbprog_v2::PMAPPROC_CALLIT;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Calls a procedure at all hosts of a network, through their `rpcbind` (CALLIT of version 2, as
/// `clnt_broadcast(3)`). `each` gets the results of every host that answers well, and where the
/// program is served there; hosts that have no such program, or do not pass calls on, are silent.
///
/// `network` is a broadcast address. The call is sent again, ever more seldom, until `each` breaks
/// or `patience` is over. A host may answer more than once.
///
/// # Errors
/// A fault of `args` or `each`; those of the socket.
pub fn broadcast<R>(
    stack: &Stack,
    network: Ipv4Addr,
    to: Procedure,
    args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    patience: Duration,
    mut each: impl FnMut(SocketAddr, &mut Decoder<'_>) -> Result<ControlFlow<R>, Fault>,
) -> Result<Option<R>, RpcError> {
    let socket = UdpSocket::bind(stack, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    socket.set_broadcast(true)?;
    let xid = random_key() as u32;
    let call = call(xid, to, args)?;
    let end = Instant::now() + patience;
    let mut wait = FIRST_WAIT;
    let mut datagram = vec![0; DATAGRAM_MAX];
    while Instant::now() < end {
        socket.send_to(&call, SocketAddr::from((network, PORT)))?;
        let again = end.min(Instant::now() + wait);
        wait *= 2;
        loop {
            let (n, from) = match socket.recv_until(&mut datagram, Some(again)) {
                Ok(got) => got,
                Err(late) if late.kind() == ErrorKind::WouldBlock => break,
                // That one host has nobody there says nothing of the others.
                Err(refused) if refused.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let Some((port, results)) = results(xid, &datagram[..n]) else { continue };
            let server = SocketAddr::new(from.ip(), port);
            let mut from = Decoder::new(&results);
            if let ControlFlow::Break(done) = each(server, &mut from)? {
                return Ok(Some(done));
            }
        }
    }
    Ok(None)
}

/// A call of CALLIT around a call.
fn call(
    xid: u32,
    of: Procedure,
    args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
) -> Result<Vec<u8>, Fault> {
    let args = Encoder::vec(args)?;
    Encoder::vec(|to| {
        message::encode_call(to, xid, PMAPPROC_CALLIT, &Credential::None, FLAVORS)?;
        to.u32(of.program)?;
        to.u32(of.version)?;
        to.u32(of.number)?;
        to.opaque(&args.into(), DATAGRAM_MAX)
    })
}

/// Port and results of a good answer to the call; `None` for anything else that may come.
fn results(xid: u32, datagram: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut from = Decoder::new(datagram);
    if message::decode_start(&mut from).ok()? != (xid, Direction::Reply)
        || message::decode_reply(&mut from).ok()? != Outcome::Success
    {
        return None;
    }
    let port = u16::try_from(from.u32().ok()?).ok()?;
    let results = from.opaque(DATAGRAM_MAX).ok()?.to_vec();
    from.finish().ok()?;
    Some((port, results))
}

const DATAGRAM_MAX: usize = 65_507;
/// Hosts have so long to answer before the call is sent again; then twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(xid: u32, outcome: Outcome, port: u32) -> Vec<u8> {
        Encoder::vec(|to| {
            message::encode_reply(to, xid, outcome)?;
            to.u32(port)?;
            to.opaque(&vec![0, 0, 0, 9].into(), 100)
        })
        .unwrap()
    }

    #[test]
    fn only_good_answers_to_the_call_have_results() {
        let good = reply(7, Outcome::Success, 5001);
        assert_eq!(results(7, &good), Some((5001, vec![0, 0, 0, 9])));
        for bad in [
            reply(8, Outcome::Success, 5001),
            reply(7, Outcome::SystemErr, 5001),
            reply(7, Outcome::Success, 65_536),
            [&good[..], &[0; 4]].concat(),
            call(7, PMAPPROC_CALLIT, |_| Ok(())).unwrap(),
        ] {
            assert_eq!(results(7, &bad), None, "{bad:?}");
        }
        for cut in 0..good.len() {
            assert_eq!(results(7, &good[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_call_within_is_that_of_callit() {
        let to = Procedure { program: 536_872_241, version: 1, number: 1 };
        let octets = call(3, to, |to| to.u32(12)).unwrap();
        let mut from = Decoder::new(&octets);
        assert_eq!(message::decode_start(&mut from), Ok((3, Direction::Call)));
        let header = message::decode_call(&mut from, FLAVORS).unwrap();
        assert_eq!(header.to, PMAPPROC_CALLIT);
        let words: Vec<u32> = (0..3).map(|_| from.u32().unwrap()).collect();
        assert_eq!(words, [536_872_241, 1, 1]);
        assert_eq!(from.opaque(4).unwrap().to_vec(), [0, 0, 0, 12]);
        assert_eq!(from.finish(), Ok(()));
    }
}
