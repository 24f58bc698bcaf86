//! The data link provider interface: primitives between a data link and those above it, as bytes
//! of M_PROTO and M_PCPROTO blocks. Numbers and layouts are those of illumos, version 2.
//!
//! They are checked and built like those of [`crate::tpi`]: views are made by `new`, and the
//! functions in [`build`] give a [`Primitive`]. An address is a station's 6 bytes and behind them
//! its access point, 2 bytes in native order: see [`Address`].

pub mod build;

use crate::errno::Errno;
pub use crate::primitive::{Malformed, primitive, word};
use crate::primitive::{span, views};
pub use crate::tpi::Primitive;
use millstream_msg::Kind;

macro_rules! primitives {
    ($($name:ident = $number:literal, $kind:ident, $doc:literal;)+) => {
        $(#[doc = concat!(stringify!($name), ": ", $doc, ".")] pub const $name: i32 = $number;)+

        /// Every primitive that has a view, by number.
        pub const PRIMITIVES: &[i32] = &[$($number,)+];

        /// The type of message that carries a primitive.
        pub const fn kind(primitive: i32) -> Option<Kind> {
            match primitive { $($number => Some(Kind::$kind),)+ _ => None }
        }
    };
}

primitives! {
    DL_INFO_REQ = 0x00, PcProto, "ask for sizes, addresses and state";
    DL_BIND_REQ = 0x01, Proto, "take frames of an access point";
    DL_UNBIND_REQ = 0x02, Proto, "take none any more";
    DL_INFO_ACK = 0x03, PcProto, "sizes, addresses and state";
    DL_BIND_ACK = 0x04, PcProto, "bound";
    DL_ERROR_ACK = 0x05, PcProto, "a request was refused";
    DL_OK_ACK = 0x06, PcProto, "a request was done";
    DL_UNITDATA_REQ = 0x07, Proto, "send a frame";
    DL_UNITDATA_IND = 0x08, Proto, "a frame came";
    DL_UDERROR_IND = 0x09, Proto, "a frame could not be sent";
    DL_ATTACH_REQ = 0x0b, Proto, "choose an interface (style 2)";
    DL_DETACH_REQ = 0x0c, Proto, "leave it (style 2)";
    DL_ENABMULTI_REQ = 0x1d, Proto, "take frames to a group";
    DL_DISABMULTI_REQ = 0x1e, Proto, "take them no more";
    DL_PROMISCON_REQ = 0x1f, Proto, "take frames that are for others";
    DL_PROMISCOFF_REQ = 0x20, Proto, "take them no more";
    DL_PHYS_ADDR_REQ = 0x31, Proto, "ask for the station's address";
    DL_PHYS_ADDR_ACK = 0x32, PcProto, "the station's address";
}

/// The last number that DLPI gives; some of those below have no view here.
pub const DL_MAXPRIM: i32 = 0x3b;

/// DL_BADSAP: no such access point.
pub const DL_BADSAP: i32 = 0x00;
/// DL_BADADDR: the address is malformed.
pub const DL_BADADDR: i32 = 0x01;
/// DL_OUTSTATE: not in this state.
pub const DL_OUTSTATE: i32 = 0x03;
/// DL_SYSERR: see the error number.
pub const DL_SYSERR: i32 = 0x04;
/// DL_BADDATA: more bytes than a frame takes.
pub const DL_BADDATA: i32 = 0x06;
/// DL_UNSUPPORTED: the service is not provided.
pub const DL_UNSUPPORTED: i32 = 0x07;
/// DL_BADPRIM: no such primitive, or one that is cut.
pub const DL_BADPRIM: i32 = 0x09;
/// DL_UNDELIVERABLE: the frame could not be sent.
pub const DL_UNDELIVERABLE: i32 = 0x11;
/// DL_NOTSUPPORTED: the primitive is known, and not supported.
pub const DL_NOTSUPPORTED: i32 = 0x12;
/// DL_TOOMANY: a limit is reached.
pub const DL_TOOMANY: i32 = 0x13;
/// DL_NOTENAB: it was not enabled.
pub const DL_NOTENAB: i32 = 0x14;

/// dl_mac_type DL_ETHER.
pub const DL_ETHER: i32 = 0x04;
/// dl_service_mode DL_CLDLS: frames without connection.
pub const DL_CLDLS: i32 = 0x04;
/// dl_provider_style DL_STYLE1: who opens it is attached.
pub const DL_STYLE1: i32 = 0x0500;
/// dl_version DL_VERSION_2.
pub const DL_VERSION_2: i32 = 2;

/// dl_level DL_PROMISC_PHYS: every frame on the line.
pub const DL_PROMISC_PHYS: i32 = 1;
/// dl_level DL_PROMISC_SAP: of every access point.
pub const DL_PROMISC_SAP: i32 = 2;
/// dl_level DL_PROMISC_MULTI: to every group.
pub const DL_PROMISC_MULTI: i32 = 3;

/// dl_addr_type DL_FACT_PHYS_ADDR: the address that the device came with.
pub const DL_FACT_PHYS_ADDR: i32 = 1;
/// dl_addr_type DL_CURR_PHYS_ADDR: the one it has now.
pub const DL_CURR_PHYS_ADDR: i32 = 2;

/// ioctl DLIOCRAW: from now on whole frames pass both ways as M_DATA.
pub const DLIOCRAW: u32 = DLIOC | 1;
/// ioctl DL_IOC_HDR_INFO: give the header of frames to the destination of a DL_UNITDATA_REQ; from
/// now on frames with it in front are sent as M_DATA, and what comes is M_DATA without header.
pub const DL_IOC_HDR_INFO: u32 = DLIOC | 10;
const DLIOC: u32 = (b'D' as u32) << 8;

/// States of a stream, by illumos' numbers. A stream of style 1 is attached from its beginning,
/// and requests are answered before the next is looked at, so no others are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum State {
    /// DL_UNBOUND: no access point.
    Unbound = 0,
    /// DL_IDLE: bound.
    Idle = 3,
}

/// An address: a station and an access point there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The station, or a group.
    pub mac: [u8; 6],
    /// The access point: an ethertype, or 0 for frames with a length (802.3).
    pub sap: u16,
}

impl Address {
    /// Bytes of an address.
    pub const LEN: usize = 8;

    /// Reads an address; that of a station alone gets `sap`.
    pub fn parse(bytes: &[u8], sap: u16) -> Option<Self> {
        match *bytes {
            [a, b, c, d, e, f] => Some(Self { mac: [a, b, c, d, e, f], sap }),
            [a, b, c, d, e, f, s, t] => {
                Some(Self { mac: [a, b, c, d, e, f], sap: u16::from_ne_bytes([s, t]) })
            }
            _ => None,
        }
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d, e, f] = self.mac;
        let [s, t] = self.sap.to_ne_bytes();
        [a, b, c, d, e, f, s, t]
    }
}

/// The numbers of the DL_ERROR_ACK for bytes that are not what they say.
pub const fn fault(malformed: Malformed) -> (i32, Errno) {
    match malformed {
        Malformed::Address => (DL_BADADDR, Errno(0)),
        Malformed::Short | Malformed::Number | Malformed::Options => (DL_BADPRIM, Errno(0)),
    }
}

views! {
    /// DL_INFO_REQ.
    InfoReq: DL_INFO_REQ, 4 [] {}
    /// DL_BIND_REQ.
    BindReq: DL_BIND_REQ, 20 [] {
        sap: at 4, "The access point: an ethertype, or 0.";
        max_conind: at 8, "Connections that may wait; 0 here.";
        service_modes: at 12, "Service mode (low half) and connection management.";
    }
    /// DL_UNBIND_REQ.
    UnbindReq: DL_UNBIND_REQ, 4 [] {}
    /// DL_INFO_ACK.
    InfoAck: DL_INFO_ACK, 76 [
        broadcast: Address at 64, "The station that is everybody.";
    ] {
        max_sdu: at 4, "Most bytes of a frame behind its header.";
        min_sdu: at 8, "Fewest.";
        addr_len: at 12, "Bytes of an address.";
        mac_type: at 16, "DL_ETHER.";
        current_state: at 24, "Number of the state.";
        sap_len: at 28, "Bytes of the access point; negative: behind the station.";
        service_mode: at 32, "DL_CLDLS.";
        style: at 52, "DL_STYLE1.";
        version: at 60, "DL_VERSION_2.";
    }
    /// DL_BIND_ACK.
    BindAck: DL_BIND_ACK, 24 [
        addr: Address at 8, "Our address.";
    ] {
        sap: at 4, "The access point.";
    }
    /// DL_ERROR_ACK.
    ErrorAck: DL_ERROR_ACK, 16 [] {
        of: at 4, "The primitive that was refused.";
        dl_errno: at 8, "DL_BADSAP and so on.";
        errno: at 12, "The error number, with DL_SYSERR.";
    }
    /// DL_OK_ACK.
    OkAck: DL_OK_ACK, 8 [] {
        of: at 4, "The primitive that was done.";
    }
    /// DL_UNITDATA_REQ.
    UnitdataReq: DL_UNITDATA_REQ, 20 [
        dest: Address at 4, "Where it goes.";
    ] {
        priority_min: at 12, "Not used on Ethernet.";
        priority_max: at 16, "Not used on Ethernet.";
    }
    /// DL_UNITDATA_IND.
    UnitdataInd: DL_UNITDATA_IND, 24 [
        dest: Address at 4, "Where it was sent to.";
        src: Address at 12, "Where it comes from.";
    ] {
        group: at 20, "Not 0: it was sent to many.";
    }
    /// DL_UDERROR_IND.
    UderrorInd: DL_UDERROR_IND, 20 [
        dest: Address at 4, "Where the frame was to go.";
    ] {
        errno: at 12, "The error number, with DL_SYSERR.";
        dl_errno: at 16, "DL_BADADDR and so on.";
    }
    /// DL_ATTACH_REQ.
    AttachReq: DL_ATTACH_REQ, 8 [] {
        ppa: at 4, "Number of the interface.";
    }
    /// DL_DETACH_REQ.
    DetachReq: DL_DETACH_REQ, 4 [] {}
    /// DL_ENABMULTI_REQ and DL_DISABMULTI_REQ.
    MultiReq: DL_ENABMULTI_REQ | DL_DISABMULTI_REQ, 12 [
        addr: Address at 4, "The group.";
    ] {}
    /// DL_PROMISCON_REQ and DL_PROMISCOFF_REQ.
    PromiscReq: DL_PROMISCON_REQ | DL_PROMISCOFF_REQ, 8 [] {
        level: at 4, "DL_PROMISC_PHYS and so on.";
    }
    /// DL_PHYS_ADDR_REQ.
    PhysAddrReq: DL_PHYS_ADDR_REQ, 8 [] {
        addr_type: at 4, "DL_CURR_PHYS_ADDR or DL_FACT_PHYS_ADDR.";
    }
    /// DL_PHYS_ADDR_ACK.
    PhysAddrAck: DL_PHYS_ADDR_ACK, 12 [
        addr: Address at 4, "The station.";
    ] {}
}

impl InfoAck<'_> {
    /// The address of the stream; `None` when it does not lie in the primitive.
    pub fn address(&self) -> Option<Address> {
        let len = usize::try_from(self.addr_len()).ok()?;
        let at = usize::try_from(word(self.0, 56)?).ok()?;
        Address::parse(self.0.get(at..at.checked_add(len)?)?, 0)
    }
}
