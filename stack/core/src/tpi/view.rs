//! Views: primitives that somebody else wrote, checked once.

use super::number::*;
use crate::Errno;
use crate::primitive::{Malformed, primitive, span, views, word};

impl Malformed {
    /// The numbers of the T_ERROR_ACK that says so.
    pub const fn numbers(self) -> (i32, Errno) {
        match self {
            Self::Short => (TSYSERR, Errno::EPROTO),
            Self::Number => (TNOTSUPPORT, Errno::EOPNOTSUPP),
            Self::Address => (TBADADDR, Errno::EINVAL),
            Self::Options => (TBADOPT, Errno::EINVAL),
        }
    }
}

views! {
    /// T_CONN_REQ.
    ConnReq: T_CONN_REQ, 20 [
        dest: Address at 4, "The peer's address.";
        options: Options at 12, "Options of the connection.";
    ] {}
    /// T_CONN_RES and O_T_CONN_RES.
    ConnRes: T_CONN_RES | O_T_CONN_RES, 20 [
        options: Options at 8, "Options of the connection.";
    ] {
        acceptor: at 4, "The number of the stream that takes it.";
        sequence: at 16, "The number that came with T_CONN_IND.";
    }
    /// T_DISCON_REQ.
    DisconReq: T_DISCON_REQ, 8 [] {
        sequence: at 4, "The T_CONN_IND that is refused, or -1.";
    }
    /// T_DATA_REQ and T_EXDATA_REQ.
    DataReq: T_DATA_REQ | T_EXDATA_REQ, 8 [] {
        more: at 4, "Not 0: the message goes on in the next one.";
    }
    /// T_INFO_REQ.
    InfoReq: T_INFO_REQ, 4 [] {}
    /// T_BIND_REQ and O_T_BIND_REQ.
    BindReq: T_BIND_REQ | O_T_BIND_REQ, 16 [
        addr: Address at 4, "The address that is wanted; empty: any.";
    ] {
        qlen: at 12, "Connections that may wait; 0: none are taken.";
    }
    /// T_UNBIND_REQ.
    UnbindReq: T_UNBIND_REQ, 4 [] {}
    /// T_UNITDATA_REQ.
    UnitdataReq: T_UNITDATA_REQ, 20 [
        dest: Address at 4, "Where it goes.";
        options: Options at 12, "Options of the datagram.";
    ] {}
    /// T_OPTMGMT_REQ and T_SVR4_OPTMGMT_REQ.
    OptmgmtReq: T_OPTMGMT_REQ | T_SVR4_OPTMGMT_REQ, 16 [
        options: Options at 4, "The options: see [`super::option::Records`].";
    ] {
        flags: at 12, "What to do with them (MGMT_flags).";
    }
    /// T_ORDREL_REQ.
    OrdrelReq: T_ORDREL_REQ, 4 [] {}
    /// T_ADDR_REQ.
    AddrReq: T_ADDR_REQ, 4 [] {}
    /// T_CAPABILITY_REQ.
    CapabilityReq: T_CAPABILITY_REQ, 8 [] {
        bits: at 4, "What is asked for (CAP_bits1).";
    }
    /// T_CONN_IND.
    ConnInd: T_CONN_IND, 24 [
        src: Address at 4, "The peer's address.";
        options: Options at 12, "Options of the connection.";
    ] {
        sequence: at 20, "Names it in T_CONN_RES and T_DISCON_REQ.";
    }
    /// T_CONN_CON.
    ConnCon: T_CONN_CON, 20 [
        res: Address at 4, "The address that answered.";
        options: Options at 12, "Options of the connection.";
    ] {}
    /// T_DISCON_IND.
    DisconInd: T_DISCON_IND, 12 [] {
        reason: at 4, "An error number.";
        sequence: at 8, "The T_CONN_IND that it ends, or -1.";
    }
    /// T_DATA_IND and T_EXDATA_IND.
    DataInd: T_DATA_IND | T_EXDATA_IND, 8 [] {
        more: at 4, "Not 0: the message goes on in the next one.";
    }
    /// T_INFO_ACK. Sizes in bytes; -1: no limit, -2: there is none of it.
    InfoAck: T_INFO_ACK, 44 [] {
        tsdu: at 4, "Largest message; 0: a stream of bytes.";
        etsdu: at 8, "Largest expedited message.";
        cdata: at 12, "Most data with T_CONN primitives.";
        ddata: at 16, "Most data with T_DISCON primitives.";
        addr: at 20, "Largest address.";
        opt: at 24, "Longest option part.";
        tidu: at 28, "Most data in one message to the provider.";
        service: at 32, "T_COTS, T_COTS_ORD or T_CLTS.";
        current_state: at 36, "Number of the state; see [`super::State`].";
        provider: at 40, "PROVIDER_flag.";
    }
    /// T_BIND_ACK.
    BindAck: T_BIND_ACK, 16 [
        addr: Address at 4, "The address that was bound.";
    ] {
        qlen: at 12, "Connections that may wait.";
    }
    /// T_ERROR_ACK.
    ErrorAck: T_ERROR_ACK, 16 [] {
        of: at 4, "The primitive that was refused.";
        tli: at 8, "TBADADDR, TOUTSTATE and so on.";
        errno: at 12, "The error number, with TSYSERR.";
    }
    /// T_OK_ACK.
    OkAck: T_OK_ACK, 8 [] {
        of: at 4, "The primitive that was done.";
    }
    /// T_UNITDATA_IND.
    UnitdataInd: T_UNITDATA_IND, 20 [
        src: Address at 4, "Where it comes from.";
        options: Options at 12, "Options of the datagram.";
    ] {}
    /// T_UDERROR_IND.
    UderrorInd: T_UDERROR_IND, 24 [
        dest: Address at 4, "Where the datagram was to go.";
        options: Options at 12, "Options of the datagram.";
    ] {
        errno: at 20, "An error number.";
    }
    /// T_OPTMGMT_ACK.
    OptmgmtAck: T_OPTMGMT_ACK, 16 [
        options: Options at 4, "The options: see [`super::option::Records`].";
    ] {
        flags: at 12, "How it went, on the whole.";
    }
    /// T_ORDREL_IND.
    OrdrelInd: T_ORDREL_IND, 4 [] {}
    /// T_ADDR_ACK.
    AddrAck: T_ADDR_ACK, 20 [
        local: Address at 4, "Our address; empty when unbound.";
        remote: Address at 12, "The peer's address; empty without one.";
    ] {}
    /// T_CAPABILITY_ACK.
    CapabilityAck: T_CAPABILITY_ACK, 56 [] {
        bits: at 4, "What is told (CAP_bits1).";
        acceptor: at 52, "The stream's number, with TC1_ACCEPTOR_ID.";
    }
}

impl<'a> CapabilityAck<'a> {
    /// The fields of T_INFO_ACK, with TC1_INFO.
    pub fn info(&self) -> Option<InfoAck<'a>> {
        let told = self.bits() & TC1_INFO != 0;
        self.0.get(8..52).filter(|_| told).and_then(|info| InfoAck::new(info).ok())
    }
}
