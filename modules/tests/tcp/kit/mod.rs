//! `T`: tcp in virtual time between users of TPI above and peers below that the test plays.
//!
//! The kit stands in for `ip`: it takes the request off what comes down, makes the packet, cuts
//! super-segments, reads them with an independent parser and holds them to [`peer::Peer`]'s
//! invariants. [`T::inject`] and [`T::expect`] speak of the current peer.

pub(crate) mod peer;
pub(crate) mod seg;
mod states;
mod user;
pub(crate) mod wire;

pub(crate) use peer::Peer;
pub(crate) use seg::*;
pub(crate) use states::State;
pub(crate) use user::{Event, User, opt};
pub(crate) use wire::{HOST, PEER, Packet, Sent, quote};

use millstream_modules::ctl::Ctl;
use millstream_modules::ip::icmp::{Cause, SoftError};
use millstream_modules::ip::{self, Request, protocol};
use millstream_modules::tcp::Tcp;
use millstream_msg::offload::{Can, finish};
use millstream_msg::{Gso, Kind, Msg, MsgFlags, MsgList, Offload};
use millstream_rig::{RigMux, ms};
use std::net::{IpAddr, SocketAddr};

/// See the module.
#[derive(Debug)]
pub(crate) struct T {
    pub rig: RigMux,
    pub peers: Vec<Peer>,
    /// The current peer, by number.
    pub peer: usize,
    pub(crate) users: Vec<User>,
    /// The user of the current connection.
    pub(crate) user: usize,
    /// What the host sent to nobody who is known.
    pub strays: Vec<Sent>,
    /// Words to `ip`.
    pub words: Vec<Ctl>,
    /// Super-segments are seen as they are.
    pub whole: bool,
    /// Told that its time is over: the rest of the checks are not made.
    ttl_seen: u8,
}

/// The port that listens.
pub(crate) const PORT: u16 = 80;

pub(crate) const EPIPE: i32 = 32;
pub(crate) const ECONNRESET: i32 = 104;
pub(crate) const ETIMEDOUT: i32 = 110;
pub(crate) const ECONNREFUSED: i32 = 111;
pub(crate) const EHOSTUNREACH: i32 = 113;
pub(crate) const ENETUNREACH: i32 = 101;

/// An address of the tests' network.
pub(crate) fn addr(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

impl T {
    /// A host with the address 10.0.0.1/24, without users, and one peer at 10.0.0.9:5000.
    pub(crate) fn new() -> Self {
        Self::with_key(7)
    }

    /// As [`T::new`], with another secret.
    pub(crate) fn with_key(key: u64) -> Self {
        let rig = RigMux::new(Box::new(Tcp::new(key)), 0, 1);
        let peer = Peer::new(addr(PEER, 5000), addr(HOST, PORT));
        let (users, strays, words) = (Vec::new(), Vec::new(), Vec::new());
        let peers = vec![peer];
        let (peer, user, whole, ttl_seen) = (0, 0, false, 0);
        let mut t = Self { rig, peers, peer, users, user, strays, words, whole, ttl_seen };
        t.collect();
        assert_eq!(t.words, [Ctl::TakeProtocol(protocol::TCP)]);
        t.tell(Ctl::AddAddress(HOST.into(), 24));
        t
    }

    /// Sets a parameter of tcp.
    pub(crate) fn set_mux(&mut self, key: &str, value: &str) -> bool {
        let node = self.rig.perimeter().muxes()[0];
        self.rig.perimeter().set_mux(node, key, value).is_ok()
    }

    /// `ip` tells tcp something.
    pub(crate) fn tell(&mut self, word: Ctl) {
        let msg = word.to_msg(self.rig.perimeter().pool()).expect("a cell");
        self.rig.put_up(0, msg);
        self.collect();
    }

    /// A router says that this segment could not be delivered.
    pub(crate) fn icmp(&mut self, about: &Sent, cause: Cause) {
        self.tell(Ctl::Failed(SoftError {
            reporter: [10, 0, 0, 254].into(),
            src: about.src.ip(),
            dst: about.dst.ip(),
            protocol: protocol::TCP,
            cause,
            transport: quote(about),
        }));
    }

    /// One more peer, which is the current one from now on; its number.
    pub(crate) fn add_peer(&mut self, at: SocketAddr) -> usize {
        let host = self.p().host;
        self.peers.push(Peer::new(at, host));
        self.peer = self.peers.len() - 1;
        self.peer
    }

    /// The current peer forgets its connection; its next one begins at this number.
    pub(crate) fn renew(&mut self, iss: u32) {
        let mut peer = Peer::new(self.p().addr, self.p().host);
        peer.iss = iss;
        *self.p() = peer;
    }

    /// The current peer.
    pub(crate) fn p(&mut self) -> &mut Peer {
        &mut self.peers[self.peer]
    }

    /// Virtual time in milliseconds.
    pub(crate) fn ms(&self) -> u64 {
        self.rig.now() / 1_000_000
    }
}

/// What the peer does.
impl T {
    /// The current peer sends a segment.
    pub(crate) fn inject(&mut self, seg: Seg) {
        let now = self.rig.now();
        let packet = self.p().send(&seg, now);
        self.inject_packet(&packet, &seg);
    }

    /// The current peer sends several that come up as one batch.
    pub(crate) fn inject_all(&mut self, segs: &[Seg]) {
        let now = self.rig.now();
        let mut batch = MsgList::new();
        for seg in segs {
            let packet = self.p().send(seg, now);
            batch.push(self.message(&packet, seg));
        }
        self.rig.inject_up(0, batch);
        self.collect();
    }

    /// A packet as any bytes say.
    pub(crate) fn inject_bytes(&mut self, bytes: &[u8]) {
        self.rig.up(0, bytes);
        self.collect();
    }

    fn inject_packet(&mut self, packet: &Packet, seg: &Seg) {
        let msg = self.message(packet, seg);
        self.rig.put_up(0, msg);
        self.collect();
    }

    fn message(&mut self, packet: &Packet, seg: &Seg) -> Msg {
        let bytes = packet.to_bytes();
        let mut msg = self.rig.msg(&bytes);
        if let Some(size) = seg.gso_size {
            msg.set_offload(Offload {
                needs_csum: true,
                gso: Gso::TcpV4,
                gso_size: size,
                hdr_len: (bytes.len() - packet.data.len()) as u16,
                csum_start: 20 + packet.ip_options.len() as u16,
                csum_offset: 16,
            });
        }
        if seg.link_broadcast {
            msg.set_flags(MsgFlags::LINK_BROADCAST);
        }
        msg
    }
}

/// What the host did.
impl T {
    /// Takes in what the host has sent below and above.
    pub(crate) fn collect(&mut self) {
        for msg in self.rig.below(0) {
            match msg.kind() {
                Kind::Data => self.sent(msg),
                Kind::Ctl => self.words.push(Ctl::from_msg(&msg).expect("a word to ip")),
                other => panic!("{other:?} came down"),
            }
        }
        for user in 0..self.users.len() {
            for msg in self.rig.above(user) {
                // Options of the stream head: there is none here.
                if msg.kind() == Kind::SetOpts {
                    continue;
                }
                let event = user::event_of(&msg);
                let events = &mut self.users[user].events;
                match (events.back_mut(), event) {
                    (Some(Event::Data(before)), Event::Data(more)) => before.extend(more),
                    (_, event) => events.push_back(event),
                }
            }
        }
    }

    fn sent(&mut self, mut msg: Msg) {
        let at = self.rig.now();
        let pool = self.rig.perimeter().pool();
        let request = Request::take(&mut msg, pool).expect("a request in front");
        assert_eq!(request.protocol, protocol::TCP);
        let Some(IpAddr::V4(src)) = request.src else { panic!("no source: {request:?}") };
        ip::build::output(&mut msg, &request, src, 1, pool).expect("a packet");
        let size = msg.offload().is_super().then_some(msg.offload().gso_size);
        let mut packets = MsgList::new();
        let whole = self.whole && size.is_some();
        if whole {
            packets.push(msg);
        } else {
            finish(msg, 0, Can::NOTHING, pool, &mut packets).expect("a sound request");
        }
        for packet in packets {
            let mut bytes = vec![0; packet.len()];
            packet.copy_out(0, &mut bytes);
            let sent = Sent::read(&bytes, at, size.filter(|_| whole));
            self.ttl_seen = sent.ttl;
            // The last one of these ends: it is the one that lives.
            let ends = (sent.dst, sent.src);
            let peer = self.peers.iter_mut().rev().find(|peer| (peer.addr, peer.host) == ends);
            match peer {
                Some(peer) => peer.saw(sent),
                None => self.strays.push(sent),
            }
        }
    }

    /// Lets time pass, each timer at its own time.
    pub(crate) fn advance(&mut self, millis: u64) {
        let until = self.rig.now() + ms(millis);
        while self.step(until) {}
    }

    /// Goes on to the next timer, or to `until`; false: there.
    fn step(&mut self, until: u64) -> bool {
        self.collect();
        let now = self.rig.now();
        let next = self.rig.perimeter().run(now, 10_000).next.unwrap_or(u64::MAX);
        let next = next.max(now + 1).min(until);
        self.rig.advance(next - now);
        self.collect();
        self.rig.now() < until
    }

    /// Takes what the host sent to the current peer.
    pub(crate) fn sent_now(&mut self) -> Vec<Sent> {
        self.collect();
        self.p().seen.drain(..).collect()
    }

    /// Lets time pass; takes what the host has sent by then.
    pub(crate) fn sent_in(&mut self, millis: u64) -> Vec<Sent> {
        self.advance(millis);
        self.sent_now()
    }

    /// The next segment has been sent, and is this.
    #[track_caller]
    pub(crate) fn expect(&mut self, seg: Seg) -> Sent {
        self.collect();
        let Some(sent) = self.p().seen.pop_front() else {
            panic!("nothing was sent, where this was due: {}", show(&seg))
        };
        self.compare(&sent, &seg);
        sent
    }

    /// The next segment is sent within so many milliseconds, and is this.
    #[track_caller]
    pub(crate) fn expect_within(&mut self, millis: u64, seg: Seg) -> Sent {
        let until = self.rig.now() + ms(millis);
        self.collect();
        while self.p().seen.is_empty() && self.step(until) {}
        self.expect(seg)
    }

    /// The next segment is sent between `from` and `to` milliseconds from now, and is this.
    #[track_caller]
    pub(crate) fn expect_between(&mut self, from: u64, to: u64, seg: Seg) -> Sent {
        let now = self.ms();
        let sent = self.expect_within(to, seg);
        let after = sent.ms() - now;
        assert!(after >= from, "after {after} ms, not {from} to {to}: {sent:?}");
        sent
    }

    /// Nothing was sent that was not looked at.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.collect();
        assert!(self.p().seen.is_empty(), "this was sent: {:#?}", self.p().seen);
    }

    /// And nothing is for so many milliseconds.
    #[track_caller]
    pub(crate) fn expect_nothing_for(&mut self, millis: u64) {
        let until = self.rig.now() + ms(millis);
        self.expect_nothing();
        while self.step(until) {
            self.expect_nothing();
        }
        self.expect_nothing();
    }

    /// Data in order from octet `from` to `to`, in any number of segments, has been sent.
    #[track_caller]
    pub(crate) fn expect_octets(&mut self, from: u32, to: u32) -> Vec<Sent> {
        let mut all = Vec::new();
        let mut at = from;
        while at != to {
            let sent = self.expect(seg().seq(at).flag(ACK));
            assert!(sent.len() > 0, "no data: {sent:?}");
            at = at.wrapping_add(sent.len() as u32);
            all.push(sent);
        }
        all
    }

    #[track_caller]
    fn compare(&mut self, sent: &Sent, seg: &Seg) {
        let field = |what: &str, is: i64, due: Option<i64>| {
            let right = due.is_none_or(|due| due == is);
            assert!(right, "{what} is {is}, due {due:?}: {sent:#?}\ndue: {}", show(seg));
        };
        field("flags", i64::from(sent.flags & seg.mask), Some(i64::from(seg.flags)));
        field("seq", i64::from(sent.seq), seg.seq.map(i64::from));
        field("ack", i64::from(sent.ack), seg.ack.map(i64::from));
        field("len", sent.len() as i64, seg.len.map(|len| len as i64));
        field("window", i64::from(sent.window), seg.window.map(i64::from));
        field("urgent", i64::from(sent.urgent), seg.urgent.map(i64::from));
        field("tos", i64::from(sent.tos), seg.tos.map(i64::from));
        let maybe = |n: Option<u16>| n.map_or(-1, i64::from);
        field("mss", maybe(sent.mss), seg.mss.map(i64::from));
        field("wscale", maybe(sent.wscale.map(u16::from)), seg.wscale.map(i64::from));
        assert!(!seg.sack_ok || sent.sack_ok, "SACK is not permitted: {sent:#?}");
        if let Some(sacks) = &seg.sacks {
            assert_eq!(&sent.sacks, sacks, "SACK blocks of {sent:#?}");
        }
        match seg.ts {
            Ts::Auto => {}
            Ts::On => assert!(sent.ts.is_some(), "no timestamp: {sent:#?}"),
            Ts::Off => assert!(sent.ts.is_none(), "a timestamp: {sent:#?}"),
            Ts::Are(value, echo) => assert_eq!(sent.ts, Some((value, echo)), "{sent:#?}"),
            Ts::Echo(echo) => assert_eq!(sent.ts.map(|ts| ts.1), Some(echo), "{sent:#?}"),
        }
        if let Some(data) = &seg.data {
            assert_eq!(&sent.data, data, "octets of {sent:#?}");
        }
    }

    /// Messages dropped for a reason, by the end of its name.
    pub(crate) fn drops(&self, name: &str) -> u64 {
        let drops = self.rig.view().stat.drops;
        drops.iter().filter(|(reason, _)| reason.0.ends_with(name)).map(|(_, n)| n).sum()
    }
}

fn show(seg: &Seg) -> String {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set = names.iter().enumerate().filter(|(bit, _)| seg.flags >> bit & 1 == 1);
    let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
    format!("{} seq {:?} ack {:?} len {:?}", flags.join("+"), seg.seq, seg.ack, seg.len)
}
