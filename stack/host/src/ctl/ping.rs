//! ping: the stack sends echo requests; replies come up to a stream of ours as whole packets.

use crate::end::{End, EndError};
use crate::inlet::Handle;
use millstream_core::StreamId;
use millstream_modules::ctl::Ctl;
use millstream_modules::ip::icmp::Cause;
use millstream_modules::ip::{Request, View, protocol};
use millstream_msg::{Msg, checksum};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Answer to `ping`: what became of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Number of the request.
    pub seq: u16,
    /// Bytes of the reply from the ICMP header on; none when no reply came.
    pub bytes: Option<usize>,
    /// Time to live of the reply.
    pub ttl: Option<u8>,
    /// From handing the request to the stack to having the reply at the head. Nanoseconds.
    pub rtt_ns: Option<u64>,
    /// Why the request did not arrive, for people; none when nobody said so.
    pub failure: Option<String>,
}

/// A stream of the IP multiplexor that takes the replies of one identifier.
#[derive(Debug)]
pub(super) struct Pinger {
    end: End,
    id: u16,
}

/// Identifiers of requests. Programs of the kernel's side have their own address.
static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// Longest wait for one answer: it ties up the connection's thread.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// Room in front of a request: IP with options, Ethernet, and the record that they replace.
const HEADROOM: usize = 128;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ICMP_HEADER: usize = 8;

impl Pinger {
    /// Opens the stream.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn open(handle: &Handle) -> Result<Self, String> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let open = move |shard: &mut crate::Shard| -> Result<StreamId, String> {
            let core = shard.core();
            let ip = core.find_mux("ip").ok_or("the stack has no ip")?;
            let stream =
                core.open_mux(ip, &format!("ping.{id}")).map_err(|e| format!("ip: {e}"))?;
            let word = Ctl::TakeEcho(id).to_msg(core.pool()).map_err(|e| e.to_string());
            let sent = word.and_then(|word| {
                core.put_ctl(stream, word).map_err(|(errno, _)| format!("ip: {errno}"))
            });
            match sent {
                Ok(()) => Ok(stream),
                Err(e) => {
                    // It was opened above; there is nothing in it yet.
                    let _closed = core.close(stream);
                    Err(e)
                }
            }
        };
        let stream = handle.call(open).map_err(|gone| gone.to_string())??;
        let end = End::attach(handle, stream).map_err(|gone| gone.to_string())?;
        Ok(Self { end, id })
    }

    /// Sends one request and waits for its reply.
    ///
    /// # Errors
    /// A sentence; no reply is not an error.
    pub(super) fn ping(
        &mut self,
        addr: IpAddr,
        seq: u16,
        size: u16,
        timeout_ms: u64,
    ) -> Result<Echo, String> {
        let IpAddr::V4(_) = addr else { return Err(format!("{addr}: IPv4 only so far")) };
        let packet = request(self.id, seq, size);
        let stream = self.end.stream();
        let send = move |shard: &mut crate::Shard| -> Result<Instant, String> {
            let core = shard.core();
            let full = |_| "no memory for messages is left".to_owned();
            let mut msg = core.pool().copy_from(HEADROOM, &packet).map_err(full)?;
            let route = Request::new(addr, protocol::ICMP);
            route.prepend(&mut msg, core.pool()).map_err(full)?;
            let sent = Instant::now();
            match core.putmsg(stream, msg) {
                Ok(()) => Ok(sent),
                Err((errno, msg)) => {
                    core.pool().free(msg);
                    Err(format!("the request was not sent: {errno}"))
                }
            }
        };
        let sent = self.end.handle().call(send).map_err(|gone| gone.to_string())??;
        let deadline = sent + Duration::from_millis(timeout_ms).min(TIMEOUT_MAX);
        loop {
            match self.end.get(Some(deadline)) {
                Ok(Some(got)) => {
                    let came = Instant::now();
                    let failed = got.control.and_then(|msg| failure(&msg, addr));
                    if failed.is_some() {
                        let (bytes, ttl, rtt_ns) = (None, None, None);
                        return Ok(Echo { seq, bytes, ttl, rtt_ns, failure: failed });
                    }
                    let Some((bytes, ttl)) = got.data.and_then(|msg| reply(&msg, self.id, seq))
                    else {
                        // Of an earlier request, given up.
                        continue;
                    };
                    let rtt_ns = came.saturating_duration_since(sent).as_nanos() as u64;
                    let (bytes, ttl, rtt_ns) = (Some(bytes), Some(ttl), Some(rtt_ns));
                    return Ok(Echo { seq, bytes, ttl, rtt_ns, failure: None });
                }
                Ok(None) => return Err("the stack has no ip any more".to_owned()),
                Err(EndError::WouldBlock) => {
                    let (bytes, ttl, rtt_ns) = (None, None, None);
                    return Ok(Echo { seq, bytes, ttl, rtt_ns, failure: None });
                }
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

/// An echo request (RFC 792).
fn request(id: u16, seq: u16, size: u16) -> Vec<u8> {
    let mut packet = vec![0; ICMP_HEADER];
    packet[0] = ECHO_REQUEST;
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[6..8].copy_from_slice(&seq.to_be_bytes());
    // More than this would not fit into a datagram with its headers.
    let size = size.min(65_507);
    packet.extend((0..size).map(|i| i as u8));
    let sum = !checksum::sum_portable(&packet);
    packet[2..4].copy_from_slice(&sum.to_ne_bytes());
    packet
}

/// What somebody said about a request to this address: of an earlier one too, as the address
/// resolution of the next hop takes longer than most wait.
fn failure(msg: &Msg, addr: IpAddr) -> Option<String> {
    let error = match Ctl::read(msg) {
        Some(Ctl::Failed(error)) if error.dst == addr => error,
        _ => return None,
    };
    let what = match error.cause {
        Cause::NetUnreachable => "no way to the network".to_owned(),
        Cause::HostUnreachable => "the host does not answer".to_owned(),
        Cause::ProtocolUnreachable => "the host knows no ICMP".to_owned(),
        Cause::PortUnreachable => "port unreachable".to_owned(),
        Cause::PacketTooBig(Some(mtu)) => format!("larger than the {mtu} bytes of a link"),
        Cause::PacketTooBig(None) => "larger than a link takes".to_owned(),
        Cause::SourceRouteFailed => "a source route could not be followed".to_owned(),
        Cause::Prohibited => "forbidden by an administrator".to_owned(),
        Cause::TimeExceeded => "too many hops".to_owned(),
        Cause::ReassemblyTimeExceeded => "fragments were lost".to_owned(),
        Cause::ParameterProblem(at) => format!("a fault at byte {at} of the IP header"),
    };
    let here = error.reporter == error.src;
    Some(if here { what } else { format!("{what}, says {}", error.reporter) })
}

/// Bytes and time to live of the reply; `None` when the packet is not it.
fn reply(packet: &Msg, id: u16, seq: u16) -> Option<(usize, u8)> {
    let mut header = [0; 60];
    let n = packet.copy_out(0, &mut header);
    let view = View::parse(&header[..n])?;
    let start = usize::from(view.header_len);
    let mut icmp = [0; ICMP_HEADER];
    if packet.copy_out(start, &mut icmp) < ICMP_HEADER {
        return None;
    }
    let [kind, _, _, _, i0, i1, s0, s1] = icmp;
    let ours = kind == ECHO_REPLY && [i0, i1] == id.to_be_bytes() && [s0, s1] == seq.to_be_bytes();
    ours.then(|| (packet.len() - start, view.ttl))
}
