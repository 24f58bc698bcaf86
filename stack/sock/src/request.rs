//! Requests to a transport (TPI), and options of its streams.

use crate::stream::{Stream, errno, failure};
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Perimeter, Priority, StreamId, Want};
use millstream_host::EndError;
use std::io;

/// Sends a request and waits for its acknowledgement, whatever the time-outs are: it comes at once.
/// The acknowledgement's bytes.
pub(crate) fn request(stream: &Stream, primitive: &Primitive) -> io::Result<Vec<u8>> {
    let mut sent = false;
    let ask = |core: &mut Perimeter, at: StreamId| {
        if !sent {
            core.putpmsg(at, Some(primitive.as_bytes()), None, Priority::Band(0))?;
            sent = true;
            let now = core.now();
            while core.turn_on(now, DISPATCHES).more {}
        }
        // It is of high priority: what came before stays where it is.
        core.getpmsg(at, Want::High)
    };
    let acked = match stream.end().until(stream.write_deadline(), ask) {
        Err(EndError::WouldBlock) if sent => {
            stream.end().until(None, |core, at| core.getpmsg(at, Want::High))
        }
        acked => acked,
    };
    let control = acked.map_err(failure)?.and_then(|got| got.control);
    let ack =
        control.ok_or_else(|| errno(Errno::ENXIO))?.cursor().chunks().collect::<Vec<_>>().concat();
    if tpi::primitive(&ack) == Some(tpi::T_ERROR_ACK) {
        return Err(errno(Errno(tpi::word(&ack, 12).unwrap_or(Errno::EPROTO.0))));
    }
    Ok(ack)
}

/// Sets an option to these words.
pub(crate) fn set_option(
    stream: &Stream,
    (level, name): (i32, i32),
    words: &[i32],
) -> io::Result<()> {
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    set_option_bytes(stream, (level, name), &value)
}

/// Sets an option to these bytes.
pub(crate) fn set_option_bytes(
    stream: &Stream,
    (level, name): (i32, i32),
    value: &[u8],
) -> io::Result<()> {
    let record = Record { level, name, status: 0, value };
    let asked = Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record);
    request(stream, &asked).map(drop)
}

/// The bytes of an option's value.
pub(crate) fn option(stream: &Stream, (level, name): (i32, i32)) -> io::Result<Vec<u8>> {
    let record = Record { level, name, status: 0, value: &[0; 4] };
    let asked = Primitive::optmgmt_req(tpi::T_CURRENT).with_option(&record);
    let ack = request(stream, &asked)?;
    let view = tpi::OptmgmtAck::new(&ack).map_err(|_| errno(Errno::EPROTO))?;
    let found = Records::new(view.options()).next();
    let record = found.and_then(Result::ok).ok_or_else(|| errno(Errno::EPROTO))?;
    Ok(record.value.to_vec())
}

/// The first word of an option's value.
pub(crate) fn option_word(stream: &Stream, which: (i32, i32)) -> io::Result<i32> {
    tpi::word(&option(stream, which)?, 0).ok_or_else(|| errno(Errno::EPROTO))
}

/// A request and its acknowledgement are a handful of dispatches.
const DISPATCHES: usize = 64;
