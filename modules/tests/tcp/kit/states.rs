//! Connections in each state of RFC 9293 section 3.3.2, from the user's calls and the peer's
//! segments that lead there.

use super::*;
use millstream_core::tpi;

/// By Linux's number in TCP_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Established = 1,
    SynSent = 2,
    SynReceived = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Closed = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
}

use State::*;

impl State {
    pub(crate) const ALL: [Self; 11] = [
        Closed,
        Listen,
        SynSent,
        SynReceived,
        Established,
        FinWait1,
        FinWait2,
        CloseWait,
        Closing,
        LastAck,
        TimeWait,
    ];

    /// In which both directions are numbered.
    pub(crate) const SYNCHRONIZED: [Self; 7] =
        [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait];

    /// In which data of the peer is taken.
    pub(crate) const RECEIVING: [Self; 3] = [Established, FinWait1, FinWait2];
}

impl T {
    /// A user listens at port 80; up to 16 wait.
    pub(crate) fn listening() -> Self {
        let mut t = Self::new();
        t.listen(16);
        t
    }

    /// A user more listens at port 80 of every address; it is the current one.
    pub(crate) fn listen(&mut self, qlen: i32) -> usize {
        self.user = self.open();
        self.bind_at(self.user, addr([0, 0, 0, 0], PORT), qlen);
        self.user
    }

    /// The current peer makes its half of a passive open; the host's SYN.
    #[track_caller]
    pub(crate) fn handshake(&mut self, syn: Seg) -> Sent {
        self.inject(syn);
        let answer = self.expect(seg().flag(SYN | ACK).seq(0).ack(1));
        self.inject(ack(1));
        answer
    }

    /// The current user, which listens, takes the connection that waits.
    #[track_caller]
    pub(crate) fn accept(&mut self) {
        self.user = self.accept_at(self.user);
    }

    /// A connection that the peer opened, without options but an MSS of 1000.
    pub(crate) fn established() -> Self {
        Self::established_with(plain())
    }

    /// A connection that the peer opened with this SYN.
    pub(crate) fn established_with(syn: Seg) -> Self {
        let mut t = Self::listening();
        t.p().window = syn.window.unwrap_or(0xffff);
        t.handshake(syn);
        t.accept();
        t
    }

    /// As [`T::established_with`], over a path whose round trip takes so many milliseconds.
    pub(crate) fn established_after(millis: u64, syn: Seg) -> Self {
        let mut t = Self::listening();
        t.inject(syn);
        t.expect(syn_ack());
        t.advance(millis);
        t.inject(ack(1));
        t.accept();
        t
    }

    /// As [`T::established_with`], by a listener with this option, which its connections inherit.
    pub(crate) fn established_by(option: (i32, i32), value: i32, syn: Seg) -> Self {
        let mut t = Self::listening();
        t.set(option, value);
        t.p().window = syn.window.unwrap_or(0xffff);
        t.handshake(syn);
        t.accept();
        t
    }

    /// The user takes nothing; the peer sends until the window is closed.
    #[track_caller]
    pub(crate) fn fill(&mut self, piece: usize) {
        self.stop_reading();
        for _ in 0..1000 {
            self.inject(data(piece));
            let sent = self.sent_in(300);
            let Some(last) = sent.iter().rfind(|sent| sent.len() == 0) else { continue };
            self.p().nxt = last.ack;
            if last.window == 0 {
                return;
            }
        }
        panic!("the window does not close");
    }

    /// A user more, bound to a port of its own, opens a connection to the current peer; its SYN
    /// is the next segment.
    pub(crate) fn connect(&mut self) {
        self.user = self.open();
        let local = self.bind_at(self.user, addr([0, 0, 0, 0], 0), 0);
        let (peer, number) = (self.p().addr, self.peer);
        self.p().host = addr(HOST, local.port());
        self.users[self.user].peer = Some(number);
        self.connect_to(self.user, peer);
    }

    /// A connection that the host opens: its SYN is still to be looked at.
    pub(crate) fn connecting() -> Self {
        let mut t = Self::new();
        t.connect();
        t
    }

    /// A connection that the host opened; the peer answered with the options of this SYN.
    pub(crate) fn connected_with(syn: Seg) -> Self {
        let mut t = Self::connecting();
        t.expect(seg().flag(SYN).seq(0));
        t.p().window = syn.window.unwrap_or(0xffff);
        t.inject(syn.ack(1));
        t.expect(ack(1).seq(1));
        let peer = t.p().addr;
        t.expect_event(Event::Connected(peer));
        t
    }

    pub(crate) fn connected() -> Self {
        Self::connected_with(plain())
    }

    /// A connection in this state, everything sent up to then looked at.
    pub(crate) fn in_state(state: State) -> Self {
        Self::in_state_with(state, plain())
    }

    pub(crate) fn in_state_with(state: State, syn: Seg) -> Self {
        match state {
            Closed => return Self::new(),
            Listen => return Self::listening(),
            SynSent => {
                let mut t = Self::connecting();
                t.expect(seg().flag(SYN).seq(0));
                return t;
            }
            SynReceived => {
                let mut t = Self::listening();
                t.inject(syn);
                t.expect(seg().flag(SYN | ACK).seq(0).ack(1));
                return t;
            }
            _ => {}
        }
        let mut t = Self::established_with(syn);
        if matches!(state, CloseWait | LastAck) {
            t.inject(fin());
            t.expect_within(500, ack(2));
            t.expect_event(Event::Ended);
        }
        if !matches!(state, Established | CloseWait) {
            t.shutdown();
            t.expect(fin().seq(1));
        }
        if matches!(state, FinWait2 | TimeWait) {
            t.inject(ack(2));
        }
        if state == TimeWait {
            t.inject(fin());
            t.expect(ack(2));
            t.expect_event(Event::Ended);
        }
        if state == Closing {
            t.inject(fin().ack(1));
            t.expect(ack(2));
            t.expect_event(Event::Ended);
        }
        t
    }

    /// The state of the current user's connection is this one, as TCP_INFO tells it.
    #[track_caller]
    pub(crate) fn expect_state(&mut self, state: State) {
        assert_eq!(self.state(), state as u8, "the state's number, {state:?} is due");
    }

    /// The connection is alive: the peer's next octets come in and are acknowledged.
    #[track_caller]
    pub(crate) fn expect_alive(&mut self) {
        self.sent_now();
        let (next, len) = (self.p().nxt, 10);
        self.inject(data(len));
        let all = self.sent_in(600);
        let acked = all.iter().any(|sent| !sent.has(RST) && sent.ack == next + len as u32);
        assert!(acked, "octets of the peer are not acknowledged: {all:#?}");
        let user = self.user;
        let came = self.users[user].events.iter().any(|e| matches!(e, Event::Data(_)));
        assert!(came, "nothing came up: {:?}", self.users[user].events);
        self.users[user].events.retain(|e| !matches!(e, Event::Data(_)));
        self.users[user].received += len;
    }

    /// The connection is gone: the host knows nothing of it.
    #[track_caller]
    pub(crate) fn expect_gone(&mut self) {
        self.sent_now();
        self.p().lax = true;
        let next = self.p().rcv_nxt;
        self.inject(ack(next));
        self.expect(rst().seq(next));
    }

    /// The service answers a new peer.
    #[track_caller]
    pub(crate) fn expect_service(&mut self, listener: usize) {
        self.p().host = addr(HOST, PORT);
        let before = self.peer;
        self.add_peer(addr([10, 0, 0, 77], 7777));
        let user = std::mem::replace(&mut self.user, listener);
        self.handshake(plain());
        self.users[listener].events.retain(|e| matches!(e, Event::Calls(..)));
        let calls = &mut self.users[listener].events;
        let theirs = calls.iter().position(
            |e| matches!(e, Event::Calls(from, _) if *from == addr([10, 0, 0, 77], 7777)),
        );
        let theirs = theirs.and_then(|at| calls.remove(at)).expect("the new peer calls");
        calls.push_front(theirs);
        self.accept();
        self.expect_alive();
        let done = self.ask(self.user, &tpi::Primitive::discon_req(-1));
        assert_eq!(done, Event::Done(tpi::T_DISCON_REQ));
        self.sent_now();
        (self.user, self.peer) = (user, before);
    }
}
