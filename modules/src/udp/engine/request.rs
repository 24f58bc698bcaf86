//! What users ask for: primitives of TPI become datagrams, changes of an endpoint, and answers.
//! Which of them is in order when is the table of `tpi::state`; a request is answered before the
//! next one is looked at, so the states that await an acknowledgement do not last.

use super::Engine;
use crate::udp::table::BindError;
use crate::udp::{UdpDrop, build};
use core::net::{Ipv4Addr, SocketAddr};
use millstream_core::Errno;
use millstream_core::tpi::state::{self, Verdict};
use millstream_core::tpi::{self, Info, Malformed, Primitive, State, decode_address};
use millstream_msg::{Kind, Msg, NoMem, Pool};

impl Engine {
    /// A message of a user: a datagram, or a request that is acknowledged.
    pub fn output(&mut self, user: u32, mut msg: Msg, random: u32, pool: &mut Pool) {
        if msg.kind() == Kind::Data {
            return self.write(user, msg, tpi::T_DATA_REQ, pool);
        }
        if !matches!(msg.kind(), Kind::Proto | Kind::PcProto) {
            return self.out.act.discard(msg, UdpDrop::BadRequest);
        }
        if msg.pullup(pool, msg.first().len()).is_err() {
            return self.out.act.discard(msg, UdpDrop::NoMem);
        }
        match tpi::primitive(msg.first()) {
            Some(tpi::T_UNITDATA_REQ) => self.unitdata(user, msg, pool),
            Some(data @ (tpi::T_DATA_REQ | tpi::T_EXDATA_REQ | tpi::T_ORDREL_REQ)) => {
                self.write(user, msg, data, pool);
            }
            Some(primitive) => self.acknowledged(user, primitive, msg, random, pool),
            None => self.out.act.discard(msg, UdpDrop::BadRequest),
        }
    }

    /// Where a user is: bound, connected, or neither.
    pub(super) fn state(&self, user: u32) -> State {
        let endpoint = self.user(user).and_then(|u| u.endpoint);
        match endpoint.map(|endpoint| self.table.remote(endpoint)) {
            None => State::Unbnd,
            Some(None) => State::Idle,
            Some(Some(_)) => State::DataXfer,
        }
    }

    /// Data for the peer, plain or behind T_DATA_REQ. Without a peer nothing could tell the user:
    /// bound, a disconnect may have crossed it; else it is an error of the stream.
    fn write(&mut self, user: u32, msg: Msg, primitive: i32, pool: &mut Pool) {
        let state = self.state(user);
        let connected = self.user(user).and_then(|u| self.table.remote(u.endpoint?));
        match (state::request(state, primitive), connected) {
            (Verdict::To(_), Some((address, port))) if primitive == tpi::T_DATA_REQ => {
                if let Some(data) = self.data_of(msg, pool) {
                    self.send(user, data, SocketAddr::new(address, port), None, pool);
                }
            }
            (Verdict::Crossed, _) => self.out.act.discard(msg, UdpDrop::NoDestination),
            // Datagrams are neither expedited nor ended.
            _ => {
                self.out.act.discard(msg, UdpDrop::BadRequest);
                self.fail(user, Errno::EPROTO, pool);
            }
        }
    }

    /// T_UNITDATA_REQ: what is wrong with it is told by T_UDERROR_IND, as far as it says where to.
    fn unitdata(&mut self, user: u32, msg: Msg, pool: &mut Pool) {
        let Ok(view) = tpi::UnitdataReq::new(msg.first()) else {
            return self.out.act.discard(msg, UdpDrop::BadRequest);
        };
        let from = decode_address(view.options()).map(|a| a.ip());
        let Some(to) = decode_address(view.dest()) else {
            let told = view.dest().len() <= tpi::ADDR_MAX;
            let dest = if told { view.dest() } else { &[] };
            let words = [tpi::T_UDERROR_IND, 0, 0, 0, 0, Errno::EINVAL.0];
            let error = Primitive::new(&words).with_span(4, dest);
            self.out.act.discard(msg, UdpDrop::BadRequest);
            return self.tell(user, &error, pool);
        };
        if self.user(user).is_none_or(|u| u.endpoint.is_none()) {
            self.out.act.discard(msg, UdpDrop::NotBound);
            return self.uderror(user, to, Errno::EPROTO, pool);
        }
        match self.data_of(msg, pool) {
            Some(data) => self.send(user, data, to, from, pool),
            None => self.uderror(user, to, Errno::ENOSR, pool),
        }
    }

    /// The data part of a message, empty if it has none; `None` without memory for it.
    fn data_of(&mut self, msg: Msg, pool: &mut Pool) -> Option<Msg> {
        if msg.kind() == Kind::Data {
            return Some(msg);
        }
        let offload = msg.offload();
        let (control, mut data) = msg.unlink();
        if let Some(data) = &mut data {
            data.set_offload(offload);
        }
        self.out.act.consume(control, pool);
        data.or_else(|| pool.alloc(HEADROOM, 0).ok())
    }

    /// A request with an acknowledgement.
    fn acknowledged(&mut self, user: u32, primitive: i32, msg: Msg, random: u32, pool: &mut Pool) {
        let bytes = msg.first();
        let done = match state::request(self.state(user), primitive) {
            Verdict::To(_) => self.request(user, primitive, bytes, random, pool),
            Verdict::Unknown => Err(Refusal::Unsupported),
            _ => Err(Refusal::OutOfState),
        };
        let peer = match primitive {
            tpi::T_CONN_REQ if done.is_ok() => {
                tpi::ConnReq::new(bytes).ok().and_then(|view| decode_address(view.dest()))
            }
            _ => None,
        };
        self.out.act.consume(msg, pool);
        let ack = done.unwrap_or_else(|refusal| {
            let (tli, errno) = refusal.numbers();
            Primitive::error_ack(primitive, tli, errno)
        });
        match ack.to_msg(Kind::PcProto, pool) {
            Ok(msg) => self.out.up.push((user, msg)),
            // It could not even be answered.
            Err(NoMem) => return self.fail(user, Errno::ENOSR, pool),
        }
        // Nobody has to be asked: the connection stands at once.
        if let Some(peer) = peer {
            self.tell(user, &Primitive::conn_con(peer), pool);
        }
    }

    fn request(
        &mut self,
        user: u32,
        primitive: i32,
        bytes: &[u8],
        random: u32,
        pool: &mut Pool,
    ) -> Result<Primitive, Refusal> {
        match primitive {
            tpi::T_BIND_REQ | tpi::O_T_BIND_REQ => {
                let view = tpi::BindReq::new(bytes)?;
                let addr = match view.addr() {
                    [] => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
                    addr => decode_address(addr).ok_or(Refusal::BadAddress)?,
                };
                let bound = match self.bind(user, addr, random) {
                    // The older request takes another port where this one is taken.
                    Err(BindError::InUse) if primitive == tpi::O_T_BIND_REQ => {
                        self.bind(user, SocketAddr::new(addr.ip(), 0), random)
                    }
                    bound => bound,
                };
                let (address, port) = self.table.local(bound?).ok_or(Refusal::BadAddress)?;
                Ok(Primitive::bind_ack(SocketAddr::new(address, port)))
            }
            tpi::T_UNBIND_REQ => {
                self.unbind(user, pool);
                Ok(Primitive::ok_ack(primitive))
            }
            tpi::T_CONN_REQ => self.connect(user, tpi::ConnReq::new(bytes)?),
            tpi::T_DISCON_REQ => {
                tpi::DisconReq::new(bytes)?;
                let endpoint = self.user(user).and_then(|u| u.endpoint);
                self.table.disconnect(endpoint.ok_or(Refusal::OutOfState)?)?;
                Ok(Primitive::ok_ack(primitive))
            }
            tpi::T_INFO_REQ => Ok(Primitive::info_ack(&info(self.state(user)))),
            tpi::T_CAPABILITY_REQ => {
                let asked = tpi::CapabilityReq::new(bytes)?.bits() & tpi::TC1_INFO != 0;
                let info = asked.then(|| info(self.state(user)));
                Ok(Primitive::capability_ack(info.as_ref(), None))
            }
            tpi::T_ADDR_REQ => {
                let endpoint = self.user(user).and_then(|u| u.endpoint);
                let local = endpoint.and_then(|endpoint| self.table.local(endpoint));
                let remote = endpoint.and_then(|endpoint| self.table.remote(endpoint));
                Ok(Primitive::addr_ack(local.map(SocketAddr::from), remote.map(SocketAddr::from)))
            }
            tpi::T_OPTMGMT_REQ => self.optmgmt(user, tpi::OptmgmtReq::new(bytes)?, pool),
            _ => Err(Refusal::Unsupported),
        }
    }

    /// Fixes the peer of a user.
    fn connect(&mut self, user: u32, view: tpi::ConnReq<'_>) -> Result<Primitive, Refusal> {
        let peer = decode_address(view.dest()).ok_or(Refusal::BadAddress)?;
        let endpoint = self.user(user).and_then(|u| u.endpoint).ok_or(Refusal::OutOfState)?;
        // Datagrams to the wildcard's address of the moment come in whatever the source.
        let (local, _) = self.table.local(endpoint).ok_or(Refusal::BadAddress)?;
        let local = decode_address(view.options()).map_or(local, |a| a.ip());
        self.table.connect(endpoint, local, peer.ip(), peer.port())?;
        Ok(Primitive::ok_ack(tpi::T_CONN_REQ))
    }

    /// Tells a user something that is no acknowledgement.
    fn tell(&mut self, user: u32, primitive: &Primitive, pool: &mut Pool) {
        if let Ok(msg) = primitive.to_msg(primitive.kind(), pool) {
            self.out.up.push((user, msg));
        }
    }

    pub(super) fn uderror(&mut self, user: u32, to: SocketAddr, errno: Errno, pool: &mut Pool) {
        self.tell(user, &Primitive::uderror_ind(to, errno), pool);
    }
}

/// Why a request was refused.
#[derive(Debug)]
pub(super) enum Refusal {
    BadAddress,
    BadOption,
    BadFlag,
    OutOfState,
    Unsupported,
    NoMemory,
    Malformed(Malformed),
    Table(BindError),
}

impl From<BindError> for Refusal {
    fn from(error: BindError) -> Self {
        Self::Table(error)
    }
}

impl From<Malformed> for Refusal {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl Refusal {
    fn numbers(&self) -> (i32, Errno) {
        match self {
            Self::BadAddress => (tpi::TBADADDR, Errno::EINVAL),
            Self::BadOption => (tpi::TBADOPT, Errno::EINVAL),
            Self::BadFlag => (tpi::TBADFLAG, Errno::EINVAL),
            Self::OutOfState => (tpi::TOUTSTATE, Errno::EINVAL),
            Self::Unsupported => (tpi::TNOTSUPPORT, Errno::EOPNOTSUPP),
            Self::NoMemory => (tpi::TSYSERR, Errno::ENOSR),
            Self::Malformed(fault) => fault.numbers(),
            Self::Table(BindError::InUse) => (tpi::TADDRBUSY, Errno::EADDRINUSE),
            Self::Table(BindError::Full) => (tpi::TNOADDR, Errno::ENOBUFS),
            Self::Table(BindError::NotFound | BindError::NotLocal) => {
                (tpi::TBADADDR, Errno::EADDRNOTAVAIL)
            }
            Self::Table(_) => (tpi::TBADADDR, Errno::EINVAL),
        }
    }
}

/// What T_INFO_ACK says of udp.
fn info(state: State) -> Info {
    let payload = i32::from(build::DATAGRAM_MAX) - crate::udp::HEADER_LEN as i32;
    Info {
        tsdu: payload,
        etsdu: tpi::T_INVALID,
        cdata: tpi::T_INVALID,
        ddata: tpi::T_INVALID,
        addr: tpi::ADDR_MAX as i32,
        opt: tpi::OPTIONS_MAX as i32,
        tidu: payload,
        service: tpi::T_CLTS,
        state,
        provider: tpi::SENDZERO | tpi::XPG4_1,
    }
}

/// Bytes in front of an empty datagram: headers of UDP, IP and Ethernet, and the request.
const HEADROOM: usize = 128;
