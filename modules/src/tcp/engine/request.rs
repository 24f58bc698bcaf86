//! What users ask for: primitives of TPI (semantics M1 to M9). Which of them is in order when is
//! the table of `tpi::state`; a request is answered before the next one is looked at, so of the
//! states that await an acknowledgement only that of a connect lasts.

use super::carry::{T_EXPORT_REQ, T_IMPORT_REQ};
use super::{Engine, Has, Socket, User, ends_of};
use crate::tcp::listener::Listener;
use crate::tcp::table::TableError;
use crate::tcp::tcb::{Marks, State as TcpState, Tcb};
use crate::tcp::{TcpDrop, user};
use alloc::boxed::Box;
use core::net::{Ipv4Addr, SocketAddr};
use millstream_core::Errno;
use millstream_core::tpi::state::{self, Verdict};
use millstream_core::tpi::{self, Info, Malformed, Primitive, State, decode_address};
use millstream_msg::{Kind, Msg, NoMem, Pool};

/// What a request is worked on with.
pub(in crate::tcp) struct Asked<'a> {
    pub(in crate::tcp) user: u32,
    pub(in crate::tcp) now: u64,
    pub(in crate::tcp) random: u32,
    pub(in crate::tcp) pool: &'a mut Pool,
}

impl Engine {
    /// A message of a user: data, or a request.
    pub(in crate::tcp) fn asks(&mut self, mut msg: Msg, at: &mut Asked<'_>) {
        if msg.kind() == Kind::Data {
            return self.write(msg, tpi::T_DATA_REQ, at);
        }
        if !matches!(msg.kind(), Kind::Proto | Kind::PcProto) {
            return self.shared.act.discard(msg, TcpDrop::BadRequest);
        }
        if msg.pullup(at.pool, msg.run_len()).is_err() {
            return self.shared.act.discard(msg, TcpDrop::NoMem);
        }
        match tpi::primitive(msg.first()) {
            Some(data @ (tpi::T_DATA_REQ | tpi::T_EXDATA_REQ)) => {
                let (control, data_part) = msg.unlink();
                self.shared.act.consume(control, at.pool);
                if let Some(data_part) = data_part {
                    self.write(data_part, data, at);
                }
            }
            Some(tpi::T_ORDREL_REQ) => self.ordrel(msg, at),
            Some(T_EXPORT_REQ) => self.export(msg, at),
            Some(T_IMPORT_REQ) => self.import(msg, at),
            Some(primitive) => self.acknowledged(primitive, msg, at),
            None => self.shared.act.discard(msg, TcpDrop::BadRequest),
        }
    }

    /// Where a user is.
    pub(super) fn state(&self, user: u32) -> State {
        let Some(user) = self.user(user) else { return State::Unbnd };
        let number = match user.has {
            Has::Nothing => return State::Unbnd,
            Has::Ended => return State::Idle,
            Has::Socket(number) => number,
        };
        match self.sockets.get(number as usize) {
            Some(Some(Socket::Bound)) => State::Idle,
            Some(Some(Socket::Listening(l))) if l.waiting.is_empty() => State::Idle,
            Some(Some(Socket::Listening(_))) => State::WresCind,
            Some(Some(Socket::Connection(tcb))) => state_of(tcb),
            _ => State::Unbnd,
        }
    }

    /// Data for the peer. Without one nothing could tell the user: a disconnect may have crossed
    /// them, or it is an error of the stream.
    fn write(&mut self, data: Msg, primitive: i32, at: &mut Asked<'_>) {
        match state::request(self.state(at.user), primitive) {
            Verdict::To(_) => {
                let urgent = primitive == tpi::T_EXDATA_REQ;
                if let Err(data) = self.send(at.user, data, urgent, at.now, at.pool) {
                    self.shared.act.discard(data, TcpDrop::Gone);
                }
            }
            Verdict::Crossed => self.shared.act.discard(data, TcpDrop::Gone),
            _ => {
                self.shared.act.discard(data, TcpDrop::BadRequest);
                self.fail(at.user, Errno::EPROTO, at.pool);
            }
        }
    }

    /// The user has no more data.
    fn ordrel(&mut self, msg: Msg, at: &mut Asked<'_>) {
        match state::request(self.state(at.user), tpi::T_ORDREL_REQ) {
            Verdict::To(_) => {
                self.shared.act.consume(msg, at.pool);
                let Some((number, _)) = self.connection_of(at.user) else { return };
                self.with(number, at.now, at.pool, |tcb, _| user::close(tcb));
            }
            Verdict::Crossed => self.shared.act.discard(msg, TcpDrop::Gone),
            _ => {
                self.shared.act.discard(msg, TcpDrop::BadRequest);
                self.fail(at.user, Errno::EPROTO, at.pool);
            }
        }
    }

    /// A request with an acknowledgement.
    fn acknowledged(&mut self, primitive: i32, msg: Msg, at: &mut Asked<'_>) {
        if primitive == tpi::T_OPTMGMT_REQ
            && let Some(ack) = self.info_ack(msg.first(), at.user, at.now, at.pool)
        {
            self.shared.act.consume(msg, at.pool);
            return self.out.up.push((at.user, ack));
        }
        let done = match state::request(self.state(at.user), primitive) {
            Verdict::To(_) => self.request(primitive, msg.first(), at),
            Verdict::Unknown => Err(Refusal::Unsupported),
            _ => Err(Refusal::OutOfState),
        };
        self.shared.act.consume(msg, at.pool);
        let ack = done.unwrap_or_else(|refusal| {
            let (tli, errno) = refusal.numbers();
            Primitive::error_ack(primitive, tli, errno)
        });
        match ack.to_msg(Kind::PcProto, at.pool) {
            Ok(msg) => self.out.up.push((at.user, msg)),
            // It could not even be answered.
            Err(NoMem) => self.fail(at.user, Errno::ENOSR, at.pool),
        }
        if primitive == tpi::T_CONN_REQ && self.state(at.user) == State::WconCreq {
            self.open_connection(at);
        }
    }

    fn request(
        &mut self,
        primitive: i32,
        bytes: &[u8],
        at: &mut Asked<'_>,
    ) -> Result<Primitive, Refusal> {
        let user = at.user;
        Ok(match primitive {
            tpi::T_BIND_REQ | tpi::O_T_BIND_REQ => {
                let view = tpi::BindReq::new(bytes)?;
                let local = self.bind(view, primitive == tpi::O_T_BIND_REQ, at)?;
                Primitive::bind_ack(local).with_word(12, view.qlen().max(0))
            }
            tpi::T_UNBIND_REQ => {
                self.unbind(at);
                Primitive::ok_ack(primitive)
            }
            tpi::T_CONN_REQ => self.connect(tpi::ConnReq::new(bytes)?, at)?,
            tpi::T_CONN_RES | tpi::O_T_CONN_RES => {
                self.respond(tpi::ConnRes::new(bytes)?, primitive, at)?
            }
            tpi::T_DISCON_REQ => self.disconnect(tpi::DisconReq::new(bytes)?, at)?,
            tpi::T_INFO_REQ => Primitive::info_ack(&info(self.state(user))),
            tpi::T_CAPABILITY_REQ => {
                let asked = tpi::CapabilityReq::new(bytes)?.bits();
                let info = (asked & tpi::TC1_INFO != 0).then(|| info(self.state(user)));
                let acceptor = (asked & tpi::TC1_ACCEPTOR_ID != 0).then_some(user as i32);
                Primitive::capability_ack(info.as_ref(), acceptor)
            }
            tpi::T_ADDR_REQ => {
                let number = self.user(user).and_then(User::socket);
                let local = number.and_then(|number| self.table.local(number));
                let remote = number.and_then(|number| self.table.remote(number));
                Primitive::addr_ack(local.map(SocketAddr::from), remote.map(SocketAddr::from))
            }
            tpi::T_OPTMGMT_REQ => self.optmgmt(tpi::OptmgmtReq::new(bytes)?, at)?,
            _ => return Err(Refusal::Unsupported),
        })
    }

    fn bind(
        &mut self,
        view: tpi::BindReq<'_>,
        older: bool,
        at: &mut Asked<'_>,
    ) -> Result<SocketAddr, Refusal> {
        let addr = match view.addr() {
            [] => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            addr => decode_address(addr).ok_or(Refusal::BadAddress)?,
        };
        if addr.ip().is_multicast() || !self.locals.may_bind(addr.ip()) {
            return Err(Refusal::NotLocal);
        }
        let reuse = self.user(at.user).is_some_and(|u| u.settings.reuse);
        let number = self.fresh();
        let ends = (addr.ip(), addr.port());
        let mut bound = self.table.bind(number, ends, reuse, at.random);
        // The older request takes another port where this one is taken.
        if older && bound == Err(TableError::InUse) {
            bound = self.table.bind(number, (addr.ip(), 0), reuse, at.random);
        }
        let listening = bound.and_then(|port| {
            let listens = if view.qlen() > 0 { self.table.listen(number) } else { Ok(()) };
            listens.map(|()| port)
        });
        let port = match listening {
            Ok(port) => port,
            Err(error) => {
                self.table.remove(number);
                self.free.push(number);
                return Err(error.into());
            }
        };
        self.sockets[number as usize] = Some(match view.qlen() {
            1.. => Socket::Listening(Box::new(Listener::new(at.user, view.qlen() as u32))),
            _ => Socket::Bound,
        });
        if let Some(user) = self.user_mut(at.user) {
            user.has = Has::Socket(number);
        }
        Ok(SocketAddr::new(addr.ip(), port))
    }

    fn unbind(&mut self, at: &mut Asked<'_>) {
        let Some(user) = self.user_mut(at.user) else { return };
        let before = core::mem::replace(&mut user.has, Has::Nothing);
        let Has::Socket(number) = before else { return };
        if self.listener(number).is_some() {
            self.stop_listening(number, at.now, at.pool);
        } else {
            self.forget(number);
        }
    }

    /// The connection's state is made; [`Engine::open_connection`] then sends its SYN, behind the
    /// acknowledgement of the request.
    fn connect(
        &mut self,
        view: tpi::ConnReq<'_>,
        at: &mut Asked<'_>,
    ) -> Result<Primitive, Refusal> {
        let peer = decode_address(view.dest()).ok_or(Refusal::BadAddress)?;
        let number = self.user(at.user).and_then(User::socket).ok_or(Refusal::OutOfState)?;
        if self.locals.is_many(peer.ip()) {
            return Err(Refusal::NoPeer);
        }
        let source = self.source_for(peer.ip()).ok_or(Refusal::NoRoute)?;
        if !matches!(self.sockets.get(number as usize), Some(Some(Socket::Bound))) {
            return Err(Refusal::OutOfState);
        }
        let ends = self.table.connect(number, source, (peer.ip(), peer.port()))?;
        let settings = self.settings_of(at.user).clone();
        let iss = self.secret.isn(&ends, at.now);
        let local = SocketAddr::from(ends.local);
        let mtu = self.locals.mtu(local.ip());
        let state = TcpState::SynSent;
        let mut tcb = Tcb::new(state, local.into(), peer.into(), iss, mtu, settings, at.now);
        tcb.user = at.user;
        tcb.ts_offset = self.secret.timestamp_offset(&ends_of(local, peer));
        self.sockets[number as usize] = Some(Socket::Connection(Box::new(tcb)));
        Ok(Primitive::ok_ack(tpi::T_CONN_REQ))
    }

    fn open_connection(&mut self, at: &mut Asked<'_>) {
        if let Some((number, _)) = self.connection_of(at.user) {
            self.with(number, at.now, at.pool, user::open);
        }
    }

    /// T_CONN_RES: a waiting connection goes to the stream that it names.
    fn respond(
        &mut self,
        view: tpi::ConnRes<'_>,
        primitive: i32,
        at: &mut Asked<'_>,
    ) -> Result<Primitive, Refusal> {
        let number = view.sequence() as u32;
        let acceptor = view.acceptor() as u32;
        if acceptor == at.user {
            return Err(Refusal::BadAcceptor);
        }
        match self.state(acceptor) {
            _ if self.user(acceptor).is_none() => return Err(Refusal::BadAcceptor),
            State::Unbnd | State::Idle => {}
            _ => return Err(Refusal::AcceptorState),
        }
        let (_, listener) = self.listener_of(at.user).ok_or(Refusal::OutOfState)?;
        let place = listener.waiting.iter().position(|waits| *waits == number);
        listener.waiting.remove(place.ok_or(Refusal::BadSequence)?);
        let before =
            self.user_mut(acceptor).map(|u| core::mem::replace(&mut u.has, Has::Socket(number)));
        if let Some(Has::Socket(before)) = before {
            self.forget(before);
        }
        self.accept(number, acceptor);
        Ok(Primitive::ok_ack(primitive))
    }

    fn disconnect(
        &mut self,
        view: tpi::DisconReq<'_>,
        at: &mut Asked<'_>,
    ) -> Result<Primitive, Refusal> {
        if let Some((_, listener)) = self.listener_of(at.user) {
            let number = view.sequence() as u32;
            let place = listener.waiting.iter().position(|waits| *waits == number);
            listener.waiting.remove(place.ok_or(Refusal::BadSequence)?);
            self.refuse_waiting(number, at.now, at.pool);
            return Ok(Primitive::ok_ack(tpi::T_DISCON_REQ));
        }
        let (number, _) = self.connection_of(at.user).ok_or(Refusal::OutOfState)?;
        self.with(number, at.now, at.pool, |tcb, env| {
            // What waits for the user is lost with the connection that it has given up.
            while let Some(msg) = tcb.ready.pop() {
                env.consume(msg);
            }
            user::abort(tcb, env);
        });
        Ok(Primitive::ok_ack(tpi::T_DISCON_REQ))
    }

    /// The stream has failed: M_ERROR.
    fn fail(&mut self, user: u32, errno: Errno, pool: &mut Pool) {
        if let Ok(msg) = errno.to_msg(pool) {
            self.out.up.push((user, msg));
        }
    }
}

fn state_of(tcb: &Tcb) -> State {
    if matches!(tcb.state, TcpState::SynSent | TcpState::SynReceived) {
        return State::WconCreq;
    }
    if tcb.marks.has(Marks::DEAD) && tcb.error == 0 {
        return State::Idle;
    }
    match (tcb.marks.has(Marks::CLOSING), tcb.marks.has(Marks::TOLD_END)) {
        (false, false) => State::DataXfer,
        (true, false) => State::WindOrdrel,
        (false, true) => State::WreqOrdrel,
        (true, true) => State::Idle,
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadAddress,
    NotLocal,
    NoPeer,
    NoRoute,
    BadAcceptor,
    AcceptorState,
    BadSequence,
    BadOption,
    NoOption,
    BadFlag,
    BadData,
    NoMemory,
    OutOfState,
    Unsupported,
    Malformed(Malformed),
    Table(TableError),
}

impl From<TableError> for Refusal {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<Malformed> for Refusal {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl Refusal {
    pub(super) fn numbers(self) -> (i32, Errno) {
        match self {
            Self::BadAddress => (tpi::TBADADDR, Errno::EINVAL),
            Self::NotLocal => (tpi::TBADADDR, Errno::EADDRNOTAVAIL),
            Self::NoPeer | Self::NoRoute => (tpi::TSYSERR, Errno::ENETUNREACH),
            Self::BadAcceptor => (tpi::TBADF, Errno::EBADF),
            Self::AcceptorState => (tpi::TOUTSTATE, Errno::EINVAL),
            Self::BadSequence => (tpi::TBADSEQ, Errno::EINVAL),
            Self::BadOption => (tpi::TBADOPT, Errno::EINVAL),
            Self::NoOption => (tpi::TBADOPT, Errno::ENOPROTOOPT),
            Self::BadData => (tpi::TSYSERR, Errno::EINVAL),
            Self::NoMemory => (tpi::TSYSERR, Errno::ENOSR),
            Self::BadFlag => (tpi::TBADFLAG, Errno::EINVAL),
            Self::OutOfState => (tpi::TOUTSTATE, Errno::EINVAL),
            Self::Unsupported => (tpi::TNOTSUPPORT, Errno::EOPNOTSUPP),
            Self::Malformed(fault) => fault.numbers(),
            Self::Table(TableError::InUse) => (tpi::TADDRBUSY, Errno::EADDRINUSE),
            Self::Table(TableError::NoPort) => (tpi::TNOADDR, Errno::EADDRNOTAVAIL),
            Self::Table(TableError::Full) => (tpi::TSYSERR, Errno::ENOBUFS),
            Self::Table(TableError::Family) => (tpi::TBADADDR, Errno::EAFNOSUPPORT),
            Self::Table(TableError::NoPeer) => (tpi::TBADADDR, Errno::EADDRNOTAVAIL),
        }
    }
}

/// What T_INFO_ACK says of tcp.
fn info(state: State) -> Info {
    Info {
        tsdu: 0,
        etsdu: tpi::T_INFINITE,
        cdata: tpi::T_INVALID,
        ddata: tpi::T_INVALID,
        addr: tpi::ADDR_MAX as i32,
        opt: tpi::OPTIONS_MAX as i32,
        tidu: TIDU,
        service: tpi::T_COTS_ORD,
        state,
        provider: tpi::XPG4_1,
    }
}

/// Octets of data in one message of the user that are taken without cutting: a super-segment.
const TIDU: i32 = 65_536;
