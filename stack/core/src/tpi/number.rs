//! Numbers of TPI as illumos has them: primitives with their message class, errors, flags.

use millstream_msg::Kind;

macro_rules! primitives {
    ($($name:ident = $number:literal, $kind:ident, $doc:literal;)+) => {
        $(#[doc = concat!(stringify!($name), ": ", $doc, ".")] pub const $name: i32 = $number;)+

        /// Every primitive, by number.
        pub const PRIMITIVES: &[i32] = &[$($number,)+];

        /// The name of a primitive.
        pub const fn name(primitive: i32) -> Option<&'static str> {
            match primitive { $($number => Some(stringify!($name)),)+ _ => None }
        }

        /// The type of message that carries a primitive: acknowledgements and requests that are
        /// answered in any state are M_PCPROTO, all others M_PROTO.
        pub const fn kind(primitive: i32) -> Option<Kind> {
            match primitive { $($number => Some(Kind::$kind),)+ _ => None }
        }
    };
}

primitives! {
    T_CONN_REQ = 0, Proto, "connect to a peer";
    O_T_CONN_RES = 1, Proto, "accept a connection; the acceptor is a queue";
    T_DISCON_REQ = 2, Proto, "break a connection, or refuse one";
    T_DATA_REQ = 3, Proto, "send data; plain M_DATA says the same";
    T_EXDATA_REQ = 4, Proto, "send expedited data";
    T_INFO_REQ = 5, PcProto, "ask for sizes, service and state";
    O_T_BIND_REQ = 6, Proto, "bind an address, or another one where it is taken";
    T_UNBIND_REQ = 7, Proto, "give the address back";
    T_UNITDATA_REQ = 8, Proto, "send a datagram";
    T_SVR4_OPTMGMT_REQ = 9, Proto, "options in the older layout";
    T_ORDREL_REQ = 10, Proto, "no more data comes from here";
    T_CONN_IND = 11, Proto, "a peer wants to connect";
    T_CONN_CON = 12, Proto, "the connection stands";
    T_DISCON_IND = 13, Proto, "a connection was broken, or refused";
    T_DATA_IND = 14, Proto, "data came; plain M_DATA says the same";
    T_EXDATA_IND = 15, Proto, "expedited data came";
    T_INFO_ACK = 16, PcProto, "sizes, service and state";
    T_BIND_ACK = 17, PcProto, "the address is bound";
    T_ERROR_ACK = 18, PcProto, "a request was refused";
    T_OK_ACK = 19, PcProto, "a request was done";
    T_UNITDATA_IND = 20, Proto, "a datagram came";
    T_UDERROR_IND = 21, Proto, "a datagram sent before could not be delivered";
    T_OPTMGMT_ACK = 22, PcProto, "options as they are now";
    T_ORDREL_IND = 23, Proto, "no more data comes from the peer";
    T_ADDR_REQ = 24, PcProto, "ask for both addresses";
    T_ADDR_ACK = 25, PcProto, "both addresses";
    T_BIND_REQ = 26, Proto, "bind an address";
    T_OPTMGMT_REQ = 27, Proto, "set or read options";
    T_CONN_RES = 28, Proto, "accept a connection";
    T_CAPABILITY_REQ = 30, PcProto, "ask for what is worth knowing, in one go";
    T_CAPABILITY_ACK = 31, PcProto, "what was asked for";
}

/// TBADADDR: the address is malformed.
pub const TBADADDR: i32 = 1;
/// TBADOPT: the options are malformed.
pub const TBADOPT: i32 = 2;
/// TBADF: no such acceptor.
pub const TBADF: i32 = 4;
/// TNOADDR: no address could be allocated.
pub const TNOADDR: i32 = 5;
/// TOUTSTATE: not in this state.
pub const TOUTSTATE: i32 = 6;
/// TBADSEQ: no connection waits under this number.
pub const TBADSEQ: i32 = 7;
/// TSYSERR: see the error number.
pub const TSYSERR: i32 = 8;
/// TBADFLAG: unknown flags.
pub const TBADFLAG: i32 = 16;
/// TNOTSUPPORT: the primitive is not supported.
pub const TNOTSUPPORT: i32 = 18;
/// TADDRBUSY: the address is in use.
pub const TADDRBUSY: i32 = 23;
/// TPROVMISMATCH: the acceptor is a stream of another provider.
pub const TPROVMISMATCH: i32 = 25;

/// SERV_type T_COTS: connections.
pub const T_COTS: i32 = 1;
/// SERV_type T_COTS_ORD: connections with orderly release.
pub const T_COTS_ORD: i32 = 2;
/// SERV_type T_CLTS: datagrams.
pub const T_CLTS: i32 = 3;

/// A size without limit, in T_INFO_ACK.
pub const T_INFINITE: i32 = -1;
/// What the provider does not have, in T_INFO_ACK.
pub const T_INVALID: i32 = -2;

/// PROVIDER_flag: messages of no byte can be sent.
pub const SENDZERO: i32 = 1;
/// PROVIDER_flag: T_ADDR_REQ, and both kinds of bind and options, are known.
pub const XPG4_1: i32 = 4;

/// CAP_bits1: the fields of T_INFO_ACK.
pub const TC1_INFO: i32 = 1;
/// CAP_bits1: the acceptor's number.
pub const TC1_ACCEPTOR_ID: i32 = 2;

/// MGMT_flags: set these values.
pub const T_NEGOTIATE: i32 = 0x04;
/// MGMT_flags: would these values do?
pub const T_CHECK: i32 = 0x08;
/// MGMT_flags and status: done as asked.
pub const T_SUCCESS: i32 = 0x20;
/// MGMT_flags: the values there are.
pub const T_CURRENT: i32 = 0x80;
