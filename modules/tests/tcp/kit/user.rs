//! Users of tcp: streams above it that speak TPI.

use super::T;
use super::seg::{pattern, pattern_of};
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, Primitive, View, decode_address};
use millstream_msg::{Kind, Msg};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// One that came up to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Octets; what came together or in a row is one.
    Data(Vec<u8>),
    /// T_EXDATA_IND.
    Urgent(Vec<u8>),
    /// M_PCSIG or M_SIG.
    Signal(u8),
    /// T_CONN_IND.
    Calls(SocketAddr, i32),
    /// T_CONN_CON.
    Connected(SocketAddr),
    /// T_ORDREL_IND.
    Ended,
    /// T_DISCON_IND: the error, and the T_CONN_IND it ends.
    Broken(i32, i32),
    /// T_OK_ACK.
    Done(i32),
    /// T_ERROR_ACK: of, TLI error, error.
    Refused(i32, i32, i32),
    /// T_BIND_ACK.
    Bound(SocketAddr, i32),
    /// T_OPTMGMT_ACK: the values.
    Options(Vec<Vec<u8>>),
    /// T_CAPABILITY_ACK: state and acceptor.
    Capability(Option<i32>, Option<i32>),
    /// T_ADDR_ACK.
    Addresses(Option<SocketAddr>, Option<SocketAddr>),
    /// M_ERROR, M_HANGUP.
    Failed(i32),
    /// M_FLUSH.
    Flush,
}

/// A stream above.
#[derive(Debug, Default)]
pub(crate) struct User {
    pub events: VecDeque<Event>,
    /// Octets that came in, compared with the pattern while the peer sends that.
    pub received: usize,
    /// Octets written of the pattern.
    pub written: usize,
    /// The connection's peer, by number.
    pub peer: Option<usize>,
}

/// Linux's numbers: level and name.
pub(crate) mod opt {
    pub(crate) const REUSEADDR: (i32, i32) = (1, 2);
    pub(crate) const ERROR: (i32, i32) = (1, 4);
    pub(crate) const SNDBUF: (i32, i32) = (1, 7);
    pub(crate) const RCVBUF: (i32, i32) = (1, 8);
    pub(crate) const KEEPALIVE: (i32, i32) = (1, 9);
    pub(crate) const OOBINLINE: (i32, i32) = (1, 10);
    pub(crate) const LINGER: (i32, i32) = (1, 13);
    pub(crate) const MAX_PACING_RATE: (i32, i32) = (1, 47);
    pub(crate) const TOS: (i32, i32) = (0, 1);
    pub(crate) const TTL: (i32, i32) = (0, 2);
    pub(crate) const NODELAY: (i32, i32) = (6, 1);
    pub(crate) const MAXSEG: (i32, i32) = (6, 2);
    pub(crate) const CORK: (i32, i32) = (6, 3);
    pub(crate) const KEEPIDLE: (i32, i32) = (6, 4);
    pub(crate) const KEEPINTVL: (i32, i32) = (6, 5);
    pub(crate) const KEEPCNT: (i32, i32) = (6, 6);
    pub(crate) const SYNCNT: (i32, i32) = (6, 7);
    pub(crate) const LINGER2: (i32, i32) = (6, 8);
    pub(crate) const WINDOW_CLAMP: (i32, i32) = (6, 10);
    pub(crate) const INFO: (i32, i32) = (6, 11);
    pub(crate) const QUICKACK: (i32, i32) = (6, 12);
    pub(crate) const CONGESTION: (i32, i32) = (6, 13);
    pub(crate) const USER_TIMEOUT: (i32, i32) = (6, 18);
    pub(crate) const NOTSENT_LOWAT: (i32, i32) = (6, 25);
}

/// Requests and their answers.
impl T {
    /// A stream more above; its number.
    pub(crate) fn open(&mut self) -> usize {
        let number = self.rig.add_upper();
        self.users.push(User::default());
        assert_eq!(number, self.users.len() - 1);
        self.collect();
        number
    }

    /// Sends a request without looking at what comes of it.
    pub(crate) fn put(&mut self, user: usize, request: &Primitive, data: Option<&[u8]>) {
        let mut msg = self.rig.msg(request.as_bytes());
        msg.set_kind(request.kind());
        if let Some(data) = data {
            let data = self.rig.msg(data);
            msg.link(data);
        }
        self.rig.put_down(user, msg);
        self.collect();
    }

    /// Sends a request that has an acknowledgement, which must be the first of what comes.
    pub(crate) fn ask(&mut self, user: usize, request: &Primitive) -> Event {
        let before = self.users[user].events.len();
        self.put(user, request, None);
        let answer = self.users[user].events.remove(before);
        answer.unwrap_or_else(|| panic!("no answer to {:?}", tpi::primitive(request.as_bytes())))
    }

    /// T_BIND_REQ; the address it has then.
    pub(crate) fn bind_at(&mut self, user: usize, addr: SocketAddr, qlen: i32) -> SocketAddr {
        match self.ask(user, &Primitive::bind_req(addr).with_word(12, qlen)) {
            Event::Bound(addr, _) => addr,
            other => panic!("bind {addr}: {other:?}"),
        }
    }

    /// T_CONN_REQ of a user who is bound; it must be done at once.
    pub(crate) fn connect_to(&mut self, user: usize, peer: SocketAddr) {
        assert_eq!(self.ask(user, &Primitive::conn_req(peer)), Event::Done(tpi::T_CONN_REQ));
    }

    /// Takes the connection that waits longest at a listener; its user.
    pub(crate) fn accept_at(&mut self, listener: usize) -> usize {
        let at = self.users[listener].events.iter().position(|e| matches!(e, Event::Calls(..)));
        let at = at.unwrap_or_else(|| panic!("nobody calls: {:?}", self.users[listener].events));
        let Some(Event::Calls(from, sequence)) = self.users[listener].events.remove(at) else {
            unreachable!("it was there")
        };
        let user = self.open();
        let asked = Primitive::capability_req(tpi::TC1_ACCEPTOR_ID);
        let Event::Capability(_, Some(acceptor)) = self.ask(user, &asked) else {
            panic!("no acceptor's number")
        };
        self.users[user].peer = self.peers.iter().position(|peer| peer.addr == from);
        let done = self.ask(listener, &Primitive::conn_res(acceptor, sequence));
        assert_eq!(done, Event::Done(tpi::T_CONN_RES));
        user
    }

    /// The TPI state of a user, by its number.
    pub(crate) fn tpi_state(&mut self, user: usize) -> i32 {
        match self.ask(user, &Primitive::capability_req(tpi::TC1_INFO)) {
            Event::Capability(Some(state), _) => state,
            other => panic!("{other:?}"),
        }
    }

    /// Sets an option; the answer.
    pub(crate) fn try_set(&mut self, user: usize, option: (i32, i32), value: &[u8]) -> Event {
        let (level, name) = option;
        let record = Record { level, name, status: 0, value };
        self.ask(user, &Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record))
    }

    /// Reads an option; the answer.
    pub(crate) fn try_get(&mut self, user: usize, option: (i32, i32)) -> Event {
        let (level, name) = option;
        let record = Record { level, name, status: 0, value: &[0; 4] };
        self.ask(user, &Primitive::optmgmt_req(tpi::T_CURRENT).with_option(&record))
    }
}

/// The user of the current connection.
impl T {
    pub(crate) fn set(&mut self, option: (i32, i32), value: i32) {
        let answer = self.try_set(self.user, option, &value.to_ne_bytes());
        assert!(matches!(answer, Event::Options(_)), "{option:?} = {value}: {answer:?}");
    }

    pub(crate) fn set_bytes(&mut self, option: (i32, i32), value: &[u8]) {
        let answer = self.try_set(self.user, option, value);
        assert!(matches!(answer, Event::Options(_)), "{option:?}: {answer:?}");
    }

    pub(crate) fn get_bytes(&mut self, option: (i32, i32)) -> Vec<u8> {
        match self.try_get(self.user, option) {
            Event::Options(values) => values[0].clone(),
            other => panic!("{option:?}: {other:?}"),
        }
    }

    pub(crate) fn get(&mut self, option: (i32, i32)) -> i32 {
        i32::from_ne_bytes(*self.get_bytes(option).first_chunk().expect("a word"))
    }

    /// Writes so many octets of the pattern, as one message.
    pub(crate) fn write(&mut self, len: usize) {
        let bytes = pattern_of(self.users[self.user].written, len);
        self.users[self.user].written += len;
        self.write_bytes(&bytes);
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        self.note_written(bytes);
        self.rig.down(self.user, bytes);
        self.collect();
    }

    /// T_EXDATA_REQ: the last octet is urgent.
    pub(crate) fn write_urgent(&mut self, bytes: &[u8]) {
        self.note_written(bytes);
        self.put(self.user, &Primitive::exdata_req(false), Some(bytes));
    }

    fn note_written(&mut self, bytes: &[u8]) {
        if let Some(peer) = self.users[self.user].peer {
            self.peers[peer].written.extend(bytes);
        }
    }

    /// No more data comes from the user.
    pub(crate) fn shutdown(&mut self) {
        self.put(self.user, &Primitive::ordrel_req(), None);
    }

    /// T_DISCON_REQ.
    pub(crate) fn abort(&mut self) {
        let done = self.ask(self.user, &Primitive::discon_req(-1));
        assert_eq!(done, Event::Done(tpi::T_DISCON_REQ));
    }

    /// The stream is closed.
    pub(crate) fn close(&mut self) {
        self.rig.close_upper(self.user);
        self.collect();
    }

    /// Nothing is taken from the provider any more.
    pub(crate) fn stop_reading(&mut self) {
        self.rig.full_above(self.user);
    }

    pub(crate) fn go_on_reading(&mut self) {
        self.rig.relieve_above(self.user);
        self.collect();
    }

    /// Octets that came in, up to the next other event.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        match self.users[self.user].events.front() {
            Some(Event::Data(_)) => match self.event() {
                Some(Event::Data(bytes)) => bytes,
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.users[self.user].events.pop_front()
    }

    #[track_caller]
    pub(crate) fn expect_event(&mut self, event: Event) {
        assert_eq!(self.event(), Some(event));
    }

    /// So many octets of the peer's pattern have come in, and nothing else.
    #[track_caller]
    pub(crate) fn expect_read(&mut self, len: usize) {
        let from = self.users[self.user].received;
        let bytes = self.read();
        assert_eq!(bytes.len(), len, "octets that came in");
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, pattern(from + at), "octet {} of the stream", from + at);
        }
        self.users[self.user].received += len;
    }

    /// TCP_INFO: the state by Linux's number.
    pub(crate) fn state(&mut self) -> u8 {
        self.get_bytes(opt::INFO)[0]
    }
}

/// What a message is to its user.
pub(crate) fn event_of(msg: &Msg) -> Event {
    let mut all = vec![0; msg.len()];
    msg.copy_out(0, &mut all);
    match msg.kind() {
        Kind::Data => return Event::Data(all),
        Kind::Error => return Event::Failed(i32::from(all[0])),
        Kind::Hangup => return Event::Failed(0),
        Kind::Flush => return Event::Flush,
        Kind::Sig | Kind::PcSig => return Event::Signal(all[0]),
        Kind::Proto | Kind::PcProto => {}
        other => panic!("{other:?} came up"),
    }
    let number = tpi::primitive(msg.first()).expect("a primitive");
    assert_eq!(tpi::kind(number), Some(msg.kind()), "class of {:?}", tpi::name(number));
    let addr = |bytes| decode_address(bytes).expect("an address");
    match View::new(msg.first()).expect("a sound primitive") {
        View::DataInd(_) if number == tpi::T_EXDATA_IND => {
            Event::Urgent(all.split_off(msg.first().len()))
        }
        View::DataInd(_) => Event::Data(all.split_off(msg.first().len())),
        View::ConnInd(view) => Event::Calls(addr(view.src()), view.sequence()),
        View::ConnCon(view) => Event::Connected(addr(view.res())),
        View::OrdrelInd(_) => Event::Ended,
        View::DisconInd(view) => Event::Broken(view.reason(), view.sequence()),
        View::OkAck(view) => Event::Done(view.of()),
        View::ErrorAck(view) => Event::Refused(view.of(), view.tli(), view.errno()),
        View::BindAck(view) => Event::Bound(addr(view.addr()), view.qlen()),
        View::OptmgmtAck(view) => {
            let values = Records::new(view.options()).map(|r| r.unwrap().value.to_vec());
            Event::Options(values.collect())
        }
        View::CapabilityAck(view) => {
            let acceptor = view.bits() & tpi::TC1_ACCEPTOR_ID != 0;
            let state = view.info().map(|info| info.current_state());
            Event::Capability(state, acceptor.then(|| view.acceptor()))
        }
        View::AddrAck(view) => {
            Event::Addresses(decode_address(view.local()), decode_address(view.remote()))
        }
        other => panic!("{other:?} came up"),
    }
}
