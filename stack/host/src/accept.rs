//! accept: a thread takes the connections of a listening stream: the indication, the stream that
//! gets the connection and the response are one entry into the shard.

use crate::acceptor::{accept, free, refuse};
use crate::end::{End, EndError, EndShared};
use crate::inlet::Handle;
use crate::plan::service::request;
use crate::seat::Gone;
use crate::shard::Shard;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, NodeId, Perimeter, PlumbError, StreamId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A connection that was taken, on a stream of its own.
#[derive(Debug)]
pub struct Accepted {
    /// The stream, messages at its head.
    pub end: End,
    /// Bytes that messages of the stream need in front.
    pub headroom: usize,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// What is asked to accept.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// The transport that the stream listens at.
    pub transport: NodeId,
    /// Name of the streams that get connections.
    pub name: &'a str,
    /// Where the stream listens.
    pub local: SocketAddr,
}

impl End {
    /// Opens a stream on a multiplexor, messages at its head, and says how many bytes its messages
    /// need in front.
    ///
    /// # Errors
    /// [`Gone`]; the multiplexor's refusal.
    pub fn open(
        handle: &Handle,
        mux: NodeId,
        name: &str,
    ) -> Result<Result<(Self, usize), PlumbError>, Gone> {
        handle.call(|shard| {
            let stream = shard.core().open_mux(mux, name)?;
            let headroom = shard.core().headroom(stream)?;
            Ok((Self::inside(handle, shard, stream), headroom))
        })
    }

    /// Takes the connection that waits longest at this stream, which listens; waits for one until
    /// `deadline` (`None`: for ever). Those that are over before they are taken are passed over.
    ///
    /// # Errors
    /// As [`End::until`]; ENOSR without memory or streams.
    pub fn accept(
        &self,
        accept: Accept<'_>,
        deadline: Option<Instant>,
    ) -> Result<Accepted, EndError> {
        let handle = self.handle();
        self.until_in(deadline, |shard| next(handle, shard, self.stream(), accept))
    }

    /// Takes over a stream from inside the shard.
    fn inside(handle: &Handle, shard: &mut Shard, stream: StreamId) -> Self {
        let shared = Arc::new(EndShared::new(handle, stream, true));
        shard.attach_end(shared.clone());
        Self::of(handle.clone(), shared)
    }
}

/// The next connection; EAGAIN when none waits.
fn next(
    handle: &Handle,
    shard: &mut Shard,
    listener: StreamId,
    how: Accept<'_>,
) -> Result<Accepted, Errno> {
    loop {
        let got = shard.core().getmsg(listener)?.ok_or(Errno::ENXIO)?;
        let called = caller(&got);
        free(shard.core(), got);
        // Word of one that is over: it waits no longer.
        let Some((sequence, peer)) = called else { continue };
        match take(handle, shard, (listener, sequence), how) {
            Ok((end, headroom, local)) => return Ok(Accepted { end, headroom, local, peer }),
            // It was over before it was taken.
            Err(Errno::EINVAL | Errno::ENOTCONN) => {}
            Err(errno) => {
                refuse(shard.core(), listener, sequence);
                // Nobody is to wait for it again.
                return Err(if errno == Errno::EAGAIN { Errno::ENOSR } else { errno });
            }
        }
    }
}

/// A stream that gets the connection with this number, and where that is.
fn take(
    handle: &Handle,
    shard: &mut Shard,
    (listener, sequence): (StreamId, i32),
    how: Accept<'_>,
) -> Result<(End, usize, SocketAddr), Errno> {
    let core = shard.core();
    let stream = core.open_mux(how.transport, how.name).map_err(|_| Errno::ENOSR)?;
    let given = accept(core, listener, stream, sequence).and_then(|()| {
        let local = if how.local.ip().is_unspecified() { own(core, stream)? } else { how.local };
        Ok((core.headroom(stream).map_err(|_| Errno::ENXIO)?, local))
    });
    match given {
        Ok((headroom, local)) => Ok((End::inside(handle, shard, stream), headroom, local)),
        Err(errno) => {
            // Nothing is in it.
            let _closed = shard.core().close(stream);
            Err(errno)
        }
    }
}

/// The number and the address of who calls, if the message tells of somebody.
fn caller(got: &Got) -> Option<(i32, SocketAddr)> {
    let call = tpi::ConnInd::new(got.control.as_ref()?.first()).ok()?;
    Some((call.sequence(), tpi::decode_address(call.src())?))
}

/// Our end of a connection.
fn own(core: &mut Perimeter, stream: StreamId) -> Result<SocketAddr, Errno> {
    let ack = request(core, stream, &Primitive::addr_req())?;
    let local = tpi::address_at(ack.first(), 4);
    core.pool().free(ack);
    local.ok_or(Errno::ENOTCONN)
}
