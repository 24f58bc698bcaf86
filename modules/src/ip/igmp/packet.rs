//! IGMP messages: queries and reports in, reports and leaves out.

use super::{ALL_HOSTS, IpDrop, Request, View, protocol};
use core::net::{IpAddr, Ipv4Addr};
use millstream_msg::{Msg, MsgList, NoMem, Pool, checksum};

/// Versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 1112.
    V1,
    /// RFC 2236.
    V2,
    /// RFC 3376.
    V3,
}

/// What a router wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of the router.
    pub version: Version,
    /// The group asked for; `None` for all.
    pub group: Option<Ipv4Addr>,
    /// Nanoseconds within which hosts answer: up to 53 minutes (RFC 3376 section 4.1.1).
    pub response_ns: u64,
}

/// A message that hosts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From a router.
    Query(Query),
    /// Another host is member of the group (versions 1 and 2).
    Report(Ipv4Addr),
}

/// What is told of a group (RFC 3376 section 4.2.12; all with no sources).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// MODE_IS_EXCLUDE: we are members.
    Member = 2,
    /// CHANGE_TO_INCLUDE_MODE of nothing: we left.
    Left = 3,
    /// CHANGE_TO_EXCLUDE_MODE of nothing: we joined.
    Joined = 4,
}

/// One group in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What is told.
    pub kind: RecordKind,
    /// The group.
    pub group: Ipv4Addr,
}

impl Record {
    pub(super) const EMPTY: Self = Self { kind: RecordKind::Member, group: ALL_HOSTS };
}

/// Reads a message whose checksum is right.
pub fn parse(msg: &Msg, view: &View) -> Result<Heard, IpDrop> {
    let len = view.payload_len();
    let mut bytes = [0; QUERY3_LEN];
    let seen = msg.copy_out(view.header(), &mut bytes).min(len);
    let (head, rest) = bytes.split_at(QUERY_LEN);
    let &[kind, code, _, _, a, b, c, d] = head else { return Err(IpDrop::IgmpShort) };
    if seen < QUERY_LEN {
        return Err(IpDrop::IgmpShort);
    }
    let group = Ipv4Addr::new(a, b, c, d);
    match kind {
        QUERY if group.is_unspecified() || group.is_multicast() => {
            let version = match (len, code) {
                (QUERY_LEN, 0) => Version::V1,
                (QUERY_LEN, _) => Version::V2,
                (QUERY3_LEN.., _) => Version::V3,
                _ => return Err(IpDrop::IgmpShort),
            };
            let &[_, _, n0, n1] = rest else { return Err(IpDrop::IgmpShort) };
            let sources = usize::from(u16::from_be_bytes([n0, n1]));
            if version == Version::V3 && sources * 4 > len - QUERY3_LEN {
                return Err(IpDrop::IgmpShort);
            }
            let group = (!group.is_unspecified()).then_some(group);
            Ok(Heard::Query(Query { version, group, response_ns: response_ns(version, code) }))
        }
        REPORT1 | REPORT2 if group.is_multicast() => Ok(Heard::Report(group)),
        QUERY | REPORT1 | REPORT2 => Err(IpDrop::IgmpGroup),
        _ => Err(IpDrop::IgmpIgnored),
    }
}

/// The time to answer in: tenths of a second, from 128 on as a small float in version 3.
fn response_ns(version: Version, code: u8) -> u64 {
    let tenths = match version {
        Version::V1 => 100,
        Version::V3 if code >= 128 => u64::from((code & 15) | 16) << (((code >> 4) & 7) + 3),
        _ => u64::from(code),
    };
    tenths * 100_000_000
}

/// Appends to `out` what tells `records` in the given version, each message with its
/// [`Request`] in front: time to live 1 and the router alert.
pub(super) fn send(
    version: Version,
    records: &[Record],
    src: Ipv4Addr,
    interface: u16,
    pool: &mut Pool,
    out: &mut MsgList,
) {
    if version == Version::V3 {
        if !records.is_empty() {
            let msg = message(&report3(records), report3_len(records), pool);
            address(msg, ALL_V3_ROUTERS, src, interface, pool, out);
        }
        return;
    }
    for record in records {
        let (kind, dst) = match (record.kind, version) {
            (RecordKind::Left, Version::V1) => continue,
            (RecordKind::Left, _) => (LEAVE, ALL_ROUTERS),
            (_, Version::V1) => (REPORT1, record.group),
            _ => (REPORT2, record.group),
        };
        let [a, b, c, d] = record.group.octets();
        let msg = message(&[kind, 0, 0, 0, a, b, c, d], QUERY_LEN, pool);
        address(msg, dst, src, interface, pool, out);
    }
}

/// A version 3 report (RFC 3376 section 4.2), in a buffer for the largest.
fn report3(records: &[Record]) -> [u8; REPORT3_MAX] {
    let mut bytes = [0; REPORT3_MAX];
    let (head, places) = bytes.split_at_mut(QUERY_LEN);
    head[0] = REPORT3;
    head[6..8].copy_from_slice(&(records.len().min(RECORDS_MAX) as u16).to_be_bytes());
    for (place, record) in places.chunks_exact_mut(RECORD_LEN).zip(records) {
        place[0] = record.kind as u8;
        place[4..8].copy_from_slice(&record.group.octets());
    }
    bytes
}

fn report3_len(records: &[Record]) -> usize {
    QUERY_LEN + records.len().min(RECORDS_MAX) * RECORD_LEN
}

/// A message of the first `len` of `bytes`, with its checksum.
fn message(bytes: &[u8], len: usize, pool: &mut Pool) -> Result<Msg, NoMem> {
    let mut msg = pool.alloc_reserve(HEADROOM, len)?;
    if let (Some(to), Some(from)) = (msg.spare_mut().get_mut(..len), bytes.get(..len)) {
        to.copy_from_slice(from);
        let sum = !checksum::sum_portable(to);
        to[2..4].copy_from_slice(&sum.to_ne_bytes());
    }
    msg.commit(len);
    Ok(msg)
}

/// Lost for lack of memory is lost on the link: see the callers.
fn address(
    msg: Result<Msg, NoMem>,
    dst: Ipv4Addr,
    src: Ipv4Addr,
    interface: u16,
    pool: &mut Pool,
    out: &mut MsgList,
) {
    let Ok(mut msg) = msg else { return };
    let request = Request {
        src: Some(IpAddr::V4(src)),
        ttl: 1,
        tos: INTERNETWORK_CONTROL,
        router_alert: true,
        interface: Some(interface),
        ..Request::new(IpAddr::V4(dst), protocol::IGMP)
    };
    if request.prepend(&mut msg, pool).is_ok() {
        out.push(msg);
    }
}

/// Records in one report: 520 bytes, below the smallest MTU a host must take (576).
pub const RECORDS_MAX: usize = 64;

/// Where version 3 reports go (RFC 3376 section 4.2.14).
const ALL_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// Where version 2 leaves go (RFC 2236 section 9).
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const QUERY: u8 = 0x11;
const REPORT1: u8 = 0x12;
const REPORT2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT3: u8 = 0x22;
/// Bytes of every message of versions 1 and 2, and of the head of a report.
const QUERY_LEN: usize = 8;
/// Bytes of a version 3 query without sources.
const QUERY3_LEN: usize = 12;
const RECORD_LEN: usize = 8;
const REPORT3_MAX: usize = QUERY_LEN + RECORDS_MAX * RECORD_LEN;
/// Request, or IP and Ethernet headers.
const HEADROOM: usize = 64;
/// Precedence 6, as routers' own traffic.
const INTERNETWORK_CONTROL: u8 = 0xc0;
