//! The states of a stream between a user and its transport, as a table: which primitive of the
//! user is in order in which state, what a provider does with one that is not, and where answers
//! and indications lead.
//!
//! Two things go beyond the table of illumos: options may be asked for in every state that awaits
//! no acknowledgement (they change none), and a stream of datagrams with a peer, which is in
//! DATA_XFER, still sends and receives T_UNITDATA.

use super::number::*;

/// TS_ states, by illumos' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum State {
    /// TS_UNBND: no address.
    Unbnd = 0,
    /// TS_WACK_BREQ: awaits the acknowledgement of a bind.
    WackBreq = 1,
    /// TS_WACK_UREQ: of an unbind.
    WackUreq = 2,
    /// TS_IDLE: bound, no connection.
    Idle = 3,
    /// TS_WACK_OPTREQ: of options.
    WackOptreq = 4,
    /// TS_WACK_CREQ: of a connect.
    WackCreq = 5,
    /// TS_WCON_CREQ: awaits the peer.
    WconCreq = 6,
    /// TS_WRES_CIND: connections wait for the user.
    WresCind = 7,
    /// TS_WACK_CRES: awaits the acknowledgement of an accept.
    WackCres = 8,
    /// TS_DATA_XFER: connected.
    DataXfer = 9,
    /// TS_WIND_ORDREL: the user has ended its direction.
    WindOrdrel = 10,
    /// TS_WREQ_ORDREL: the peer has ended its direction.
    WreqOrdrel = 11,
    /// TS_WACK_DREQ6: awaits the acknowledgement of a disconnect from WCON_CREQ.
    WackDreq6 = 12,
    /// TS_WACK_DREQ7: from WRES_CIND.
    WackDreq7 = 13,
    /// TS_WACK_DREQ9: from DATA_XFER.
    WackDreq9 = 14,
    /// TS_WACK_DREQ10: from WIND_ORDREL.
    WackDreq10 = 15,
    /// TS_WACK_DREQ11: from WREQ_ORDREL.
    WackDreq11 = 16,
}

use State::*;
use Stays::{Always, Never, Unacked};
use Verdict::{Fatal, OutOfState, UdError};

impl State {
    /// Every state, by number.
    pub const ALL: [Self; 17] = [
        Unbnd, WackBreq, WackUreq, Idle, WackOptreq, WackCreq, WconCreq, WresCind, WackCres,
        DataXfer, WindOrdrel, WreqOrdrel, WackDreq6, WackDreq7, WackDreq9, WackDreq10, WackDreq11,
    ];

    /// The state with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// An acknowledgement is under way.
    pub const fn awaits_ack(self) -> bool {
        !matches!(self, Unbnd | Idle | WconCreq | WresCind | DataXfer | WindOrdrel | WreqOrdrel)
    }
}

/// What a provider does with a primitive of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in order: the state is this one now.
    To(State),
    /// T_ERROR_ACK with TOUTSTATE.
    OutOfState,
    /// T_UDERROR_IND with EPROTO.
    UdError,
    /// M_ERROR with EPROTO: it has no acknowledgement that could say so.
    Fatal,
    /// Dropped: a disconnect that crossed it explains it.
    Crossed,
    /// T_ERROR_ACK with TNOTSUPPORT: no primitive of a user.
    Unknown,
}

/// A primitive of the user in a state.
pub fn request(state: State, primitive: i32) -> Verdict {
    let Some(row) = REQUESTS.iter().find(|row| row.primitives.contains(&primitive)) else {
        return Verdict::Unknown;
    };
    let to = |(_, to): &(State, State)| Verdict::To(*to);
    match row.moves.iter().find(|(from, _)| *from == state).map(to) {
        Some(verdict) => verdict,
        None if row.stays == Always => Verdict::To(state),
        None if row.stays == Unacked && !state.awaits_ack() => Verdict::To(state),
        None if row.wrong == Fatal && state == Idle => Verdict::Crossed,
        None => row.wrong,
    }
}

/// A primitive of the provider in a state; `None`: it is never sent there. `last`: of the
/// connections that waited none is left.
pub fn answer(state: State, primitive: i32, last: bool) -> Option<State> {
    let row = ANSWERS.iter().find(|row| row.primitives.contains(&primitive))?;
    match row.moves.iter().find(|(from, _)| *from == state) {
        Some((_, WresCind)) if last && matches!(primitive, T_OK_ACK | T_DISCON_IND) => Some(Idle),
        Some((_, to)) => Some(*to),
        None => (row.stays == Always).then_some(state),
    }
}

/// The stream that takes a connection by T_CONN_RES: another one than the listener, or itself.
pub fn pass(state: State) -> Option<State> {
    matches!(state, Idle | WackCres).then_some(DataXfer)
}

/// Where a primitive changes nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stays {
    Never,
    /// In every state that awaits no acknowledgement.
    Unacked,
    Always,
}

/// Primitives that are alike.
struct Row {
    primitives: &'static [i32],
    moves: &'static [(State, State)],
    stays: Stays,
    /// In all other states; of answers: never used.
    wrong: Verdict,
}

const fn row(
    primitives: &'static [i32],
    moves: &'static [(State, State)],
    stays: Stays,
    wrong: Verdict,
) -> Row {
    Row { primitives, moves, stays, wrong }
}

// What comes with every message is looked for first.
const REQUESTS: &[Row] = &[
    row(
        &[T_DATA_REQ, T_EXDATA_REQ],
        &[(DataXfer, DataXfer), (WreqOrdrel, WreqOrdrel)],
        Never,
        Fatal,
    ),
    row(&[T_UNITDATA_REQ], &[(Idle, Idle), (DataXfer, DataXfer)], Never, UdError),
    row(&[T_BIND_REQ, O_T_BIND_REQ], &[(Unbnd, WackBreq)], Never, OutOfState),
    row(&[T_UNBIND_REQ], &[(Idle, WackUreq)], Never, OutOfState),
    row(&[T_OPTMGMT_REQ, T_SVR4_OPTMGMT_REQ], &[(Idle, WackOptreq)], Unacked, OutOfState),
    row(&[T_INFO_REQ, T_ADDR_REQ, T_CAPABILITY_REQ], &[], Always, OutOfState),
    row(&[T_CONN_REQ], &[(Idle, WackCreq)], Never, OutOfState),
    row(&[T_CONN_RES, O_T_CONN_RES], &[(WresCind, WackCres)], Never, OutOfState),
    row(
        &[T_DISCON_REQ],
        &[
            (WconCreq, WackDreq6),
            (WresCind, WackDreq7),
            (DataXfer, WackDreq9),
            (WindOrdrel, WackDreq10),
            (WreqOrdrel, WackDreq11),
        ],
        Never,
        OutOfState,
    ),
    row(&[T_ORDREL_REQ], &[(DataXfer, WindOrdrel), (WreqOrdrel, Idle)], Never, Fatal),
];

const ANSWERS: &[Row] = &[
    row(&[T_INFO_ACK, T_ADDR_ACK, T_CAPABILITY_ACK], &[], Always, OutOfState),
    row(&[T_BIND_ACK], &[(WackBreq, Idle)], Never, OutOfState),
    row(&[T_OPTMGMT_ACK], &[(WackOptreq, Idle)], Never, OutOfState),
    row(
        &[T_OK_ACK],
        &[
            (WackUreq, Unbnd),
            (WackCreq, WconCreq),
            (WackCres, WresCind),
            (WackDreq6, Idle),
            (WackDreq7, WresCind),
            (WackDreq9, Idle),
            (WackDreq10, Idle),
            (WackDreq11, Idle),
        ],
        Never,
        OutOfState,
    ),
    row(
        &[T_ERROR_ACK],
        &[
            (WackBreq, Unbnd),
            (WackUreq, Idle),
            (WackOptreq, Idle),
            (WackCreq, Idle),
            (WackCres, WresCind),
            (WackDreq6, WconCreq),
            (WackDreq7, WresCind),
            (WackDreq9, DataXfer),
            (WackDreq10, WindOrdrel),
            (WackDreq11, WreqOrdrel),
            // A request that was out of state changed none.
            (Unbnd, Unbnd),
            (Idle, Idle),
            (WconCreq, WconCreq),
            (WresCind, WresCind),
            (DataXfer, DataXfer),
            (WindOrdrel, WindOrdrel),
            (WreqOrdrel, WreqOrdrel),
        ],
        Never,
        OutOfState,
    ),
    row(&[T_UNITDATA_IND], &[(Idle, Idle), (DataXfer, DataXfer)], Never, OutOfState),
    // Word of a datagram that was sent out of state comes in that state.
    row(&[T_UDERROR_IND], &[], Always, OutOfState),
    row(&[T_CONN_IND], &[(Idle, WresCind), (WresCind, WresCind)], Never, OutOfState),
    row(&[T_CONN_CON], &[(WconCreq, DataXfer)], Never, OutOfState),
    row(
        &[T_DISCON_IND],
        &[
            (WconCreq, Idle),
            (WresCind, WresCind),
            (DataXfer, Idle),
            (WindOrdrel, Idle),
            (WreqOrdrel, Idle),
        ],
        Never,
        OutOfState,
    ),
    row(
        &[T_DATA_IND, T_EXDATA_IND],
        &[(DataXfer, DataXfer), (WindOrdrel, WindOrdrel)],
        Never,
        OutOfState,
    ),
    row(&[T_ORDREL_IND], &[(DataXfer, WreqOrdrel), (WindOrdrel, Idle)], Never, OutOfState),
];
