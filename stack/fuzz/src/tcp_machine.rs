//! tcp between users who ask for anything and peers who send anything, in virtual time. Every
//! segment it sends is sound, nothing comes up behind an end, memory is bounded, timers end.

use super::script::{Script, bytes_of, cells_out, sum};
use millstream_core::tpi::option::Record;
use millstream_core::tpi::{self, Primitive, View};
use millstream_modules::ctl::Ctl;
use millstream_modules::ip::icmp::{Cause, SoftError};
use millstream_modules::ip::{self, Request};
use millstream_modules::tcp::{T_EXPORT_REQ, T_IMPORT_REQ, Tcp};
use millstream_msg::offload::{Can, finish};
use millstream_msg::{Gso, Kind, Msg, MsgList, Offload};
use millstream_rig::{RigMux, ms, secs};
use std::net::SocketAddr;

/// Bytes: steps, each an operation and what it needs.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut machine = Machine::new();
    for _ in 0..96 {
        if script.is_over() {
            break;
        }
        machine.step(&mut script);
    }
    machine.finish();
}

struct Machine {
    rig: RigMux,
    users: Vec<User>,
    peers: Vec<Peer>,
    /// Cells that were out before there was a connection.
    cells: usize,
    sent: usize,
}

#[derive(Default)]
struct User {
    gone: bool,
    /// T_ORDREL_IND or T_DISCON_IND came: no data may follow.
    ended: bool,
    calls: Vec<i32>,
    acceptor: i32,
    /// A connection as bytes.
    exported: Option<Vec<u8>>,
}

struct Peer {
    addr: SocketAddr,
    host: SocketAddr,
    /// Its next number, and what it has heard of the host's.
    nxt: u32,
    /// Behind the furthest that it sent; `None` when it has sent what makes no sense.
    furthest: Option<u32>,
    host_nxt: u32,
    host_una: u32,
    /// A connection was made of bytes that somebody has changed: its numbers are any.
    forged: bool,
}

const HOST: [u8; 4] = [10, 0, 0, 1];

impl Machine {
    /// A listener at port 80, and a user who connects to the second peer.
    fn new() -> Self {
        let mut rig = RigMux::new(Box::new(Tcp::new(3)), 0, 1);
        let peer = |n: u8, port| Peer {
            addr: SocketAddr::from(([10, 0, 0, 9], 5000 + u16::from(n))),
            host: SocketAddr::from((HOST, port)),
            nxt: u32::MAX - 2000 * u32::from(n),
            furthest: Some(u32::MAX - 2000 * u32::from(n)),
            host_nxt: 0,
            host_una: 0,
            forged: false,
        };
        let peers = vec![peer(0, 80), peer(1, 3000), peer(2, 80)];
        for word in rig.below(0) {
            rig.perimeter().pool().free(word);
        }
        let word = Ctl::AddAddress(HOST.into(), 24).to_msg(rig.perimeter().pool()).unwrap();
        rig.put_up(0, word);
        let cells = cells_out(rig.perimeter().pool());
        let mut machine = Self { rig, users: Vec::new(), peers, cells, sent: 0 };
        let listener = machine.open();
        let any = SocketAddr::from(([0, 0, 0, 0], 80));
        machine.put(listener, &Primitive::bind_req(any).with_word(12, 4), None);
        let user = machine.open();
        machine.put(user, &Primitive::bind_req(SocketAddr::from((HOST, 3000))), None);
        let peer = machine.peers[1].addr;
        machine.put(user, &Primitive::conn_req(peer), None);
        machine
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let op = script.byte();
        let peer = usize::from(op >> 6) % self.peers.len();
        let user = usize::from(op >> 5) % self.users.len();
        match op & 31 {
            0..=11 => self.segment(peer, script),
            12 => self.greet(peer),
            13 => self.write(user, usize::from(script.word() % 8192), false),
            14 => self.write(user, usize::from(script.byte()), true),
            15 => self.put(user, &Primitive::ordrel_req(), None),
            16 => self.put(user, &Primitive::discon_req(i32::from(script.byte()) - 1), None),
            // The listener stays, for those who come later.
            17 if user > 0 => self.close(user),
            18 => self.connect(script),
            19 => self.accept(),
            20 | 21 => self.option(user, script),
            22 => self.rig.full_above(self.alive(user)),
            23 => self.rig.relieve_above(self.alive(user)),
            24 => self.rig.full_below(0),
            25 => self.rig.relieve_below(0),
            26 => self.error(peer, script),
            27 => self.rig.advance(ms(u64::from(script.word()) * 100)),
            28 | 29 => self.rig.advance(ms(u64::from(script.word() % 1024))),
            30 => self.carry(user, script),
            _ => self.anything(user, script),
        }
        self.collect();
        let cells = cells_out(self.rig.perimeter().pool());
        assert!(cells < self.cells + 12_000, "{cells} cells are held");
        assert!(self.sent < 20_000, "{} segments", self.sent);
    }

    /// Everybody goes; when all time-outs have ended nothing is left.
    fn finish(mut self) {
        self.rig.relieve_below(0);
        for user in 0..self.users.len() {
            self.close(user);
        }
        self.rig.advance(secs(2 * 3600));
        self.collect();
        self.sent = 0;
        self.rig.advance(secs(3600));
        self.collect();
        assert_eq!(self.sent, 0, "it still speaks to somebody");
        let cells = cells_out(self.rig.perimeter().pool());
        assert_eq!(cells, self.cells, "cells out at the end, and at the start");
    }

    fn open(&mut self) -> usize {
        self.users.push(User::default());
        self.rig.add_upper()
    }

    /// This user, or the first, which is never gone before the end.
    fn alive(&self, user: usize) -> usize {
        if self.users[user].gone { 0 } else { user }
    }

    fn close(&mut self, user: usize) {
        if !std::mem::replace(&mut self.users[user].gone, true) {
            self.collect();
            self.rig.close_upper(user);
        }
    }

    fn put(&mut self, user: usize, request: &Primitive, data: Option<&[u8]>) {
        if self.users[user].gone {
            return;
        }
        let mut msg = self.rig.msg(request.as_bytes());
        msg.set_kind(request.kind());
        if let Some(data) = data {
            let data = self.rig.msg(data);
            msg.link(data);
        }
        self.rig.put_down(user, msg);
        self.collect();
    }

    /// A connection leaves as bytes; next time they come back, some of them changed.
    fn carry(&mut self, user: usize, script: &mut Script<'_>) {
        let exported = self.users.iter_mut().find_map(|user| user.exported.take());
        let Some(mut bytes) = exported else {
            return self.put(user, &Primitive::new(&[T_EXPORT_REQ]), None);
        };
        let changes = script.byte() % 4;
        for _ in 0..changes {
            let at = usize::from(script.word()) % bytes.len();
            bytes[at] = script.byte();
        }
        if changes > 0 {
            self.peers.iter_mut().for_each(|peer| peer.forged = true);
        }
        if self.users.len() < 16 {
            let user = self.open();
            self.put(user, &Primitive::new(&[T_IMPORT_REQ, 0]), Some(&bytes));
        }
    }

    /// A request of any number and any words. Not T_CONN_RES: who takes a connection by it would
    /// begin anew, and nobody here would know.
    fn anything(&mut self, user: usize, script: &mut Script<'_>) {
        let number = i32::from(script.byte() % 64);
        if self.users[user].gone || matches!(number, tpi::T_CONN_RES | tpi::O_T_CONN_RES) {
            return;
        }
        let mut bytes = number.to_ne_bytes().to_vec();
        for _ in 0..script.byte() % 8 {
            bytes.extend(i32::from(script.byte() as i8).to_ne_bytes());
        }
        bytes.extend(script.piece());
        let mut msg = self.rig.msg(&bytes);
        msg.set_kind(if script.byte() & 1 == 0 { Kind::Proto } else { Kind::PcProto });
        self.rig.put_down(user, msg);
    }

    fn write(&mut self, user: usize, len: usize, urgent: bool) {
        let data = vec![7; len];
        if urgent {
            self.put(user, &Primitive::exdata_req(false), Some(&data));
        } else if !self.users[user].gone {
            self.rig.down(user, &data);
        }
    }

    fn connect(&mut self, script: &mut Script<'_>) {
        if self.users.len() > 12 {
            return;
        }
        let user = self.open();
        let local = SocketAddr::from((HOST, 3001 + u16::from(script.byte() % 4)));
        self.put(user, &Primitive::bind_req(local), None);
        let peer = usize::from(script.byte()) % self.peers.len();
        self.peers[peer].host = local;
        let to = self.peers[peer].addr;
        self.put(user, &Primitive::conn_req(to), None);
    }

    fn accept(&mut self) {
        let Some(sequence) = self.users[0].calls.pop() else { return };
        if self.users.len() > 12 {
            return;
        }
        let user = self.open();
        self.put(user, &Primitive::capability_req(tpi::TC1_ACCEPTOR_ID), None);
        let acceptor = self.users[user].acceptor;
        self.put(0, &Primitive::conn_res(acceptor, sequence), None);
    }

    fn option(&mut self, user: usize, script: &mut Script<'_>) {
        let level = [0, 1, 6, 6][usize::from(script.byte() & 3)];
        let name = i32::from(script.byte() % 32);
        let value = match script.byte() {
            byte @ 0..0x80 => i32::from(byte).to_ne_bytes().to_vec(),
            0x80..0xc0 => i32::from(script.word()).to_ne_bytes().to_vec(),
            byte => vec![byte; usize::from(byte & 15)],
        };
        let flags = [tpi::T_NEGOTIATE, tpi::T_CURRENT][usize::from(script.byte() & 1)];
        let record = Record { level, name, status: 0, value: &value };
        self.put(user, &Primitive::optmgmt_req(flags).with_option(&record), None);
    }

    /// The peer does what opens a connection.
    fn greet(&mut self, peer: usize) {
        let options = [2, 4, 5, 180, 4, 2, 3, 3, 7, 0, 0, 0];
        self.send(peer, 2, 0, 0, 0xffff, 0, &options, &[], None);
        self.collect();
        let next = self.peers[peer].host_nxt;
        self.peers[peer].host_una = next;
        self.send(peer, 0x10, 0, 0, 0xffff, 0, &[], &[], None);
    }

    fn segment(&mut self, peer: usize, script: &mut Script<'_>) {
        let flags = script.byte();
        let seq = offset(script);
        let ack = offset(script);
        let window = script.word();
        let urgent = if flags & 0x20 != 0 { script.word() } else { 0 };
        let options = match script.byte() {
            len @ 0..=40 => script.take(usize::from(len)).to_vec(),
            _ => Vec::new(),
        };
        let shape = script.byte();
        let len = usize::from(script.word() % 4096) * usize::from(shape & 1);
        let gso = (shape & 6 == 6 && len > 100).then_some(100 + u16::from(shape));
        self.send(peer, flags, seq, ack, window, urgent, &options, &vec![9; len], gso);
    }

    #[expect(clippy::too_many_arguments, reason = "a header has that many fields")]
    fn send(
        &mut self,
        peer: usize,
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        urgent: u16,
        options: &[u8],
        data: &[u8],
        gso: Option<u16>,
    ) {
        let at = &mut self.peers[peer];
        let seq_wild = seq.unsigned_abs() > 1 << 20;
        let seq = at.nxt.wrapping_add_signed(seq);
        let space = data.len() as u32 + u32::from(flags & 1) + u32::from(flags >> 1 & 1);
        let end = seq.wrapping_add(space);
        if seq == at.nxt {
            at.nxt = end;
        }
        at.furthest = at.furthest.filter(|_| !seq_wild).map(|before| later(before, end));
        let ack = at.host_nxt.wrapping_add_signed(ack);
        let packet = packet(at.addr, at.host, [seq, ack], flags, [window, urgent], options, data);
        let mut msg = self.rig.msg(&packet);
        if let Some(gso_size) = gso {
            msg.set_offload(Offload {
                needs_csum: true,
                gso: Gso::TcpV4,
                gso_size,
                hdr_len: (packet.len() - data.len()) as u16,
                csum_start: 20,
                csum_offset: 16,
            });
        }
        self.rig.put_up(0, msg);
    }

    fn error(&mut self, peer: usize, script: &mut Script<'_>) {
        let at = &self.peers[peer];
        let causes = [
            Cause::PacketTooBig(Some(script.word())),
            Cause::PacketTooBig(None),
            Cause::PortUnreachable,
            Cause::HostUnreachable,
        ];
        let mut transport = [0; 8];
        transport[..2].copy_from_slice(&at.host.port().to_be_bytes());
        transport[2..4].copy_from_slice(&at.addr.port().to_be_bytes());
        let seq = at.host_una.wrapping_add_signed(offset(script));
        transport[4..].copy_from_slice(&seq.to_be_bytes());
        let error = SoftError {
            reporter: at.addr.ip(),
            src: at.host.ip(),
            dst: at.addr.ip(),
            protocol: 6,
            cause: causes[usize::from(script.byte() & 3)],
            transport,
        };
        let word = Ctl::Failed(error).to_msg(self.rig.perimeter().pool()).unwrap();
        self.rig.put_up(0, word);
    }

    fn collect(&mut self) {
        for msg in self.rig.below(0) {
            match msg.kind() {
                Kind::Data => self.came_down(msg),
                _ => self.rig.perimeter().pool().free(msg),
            }
        }
        for user in 0..self.users.len() {
            if self.users[user].gone {
                continue;
            }
            for msg in self.rig.above(user) {
                self.users[user].got(&msg);
                self.rig.perimeter().pool().free(msg);
            }
        }
    }

    fn came_down(&mut self, mut msg: Msg) {
        let pool = self.rig.perimeter().pool();
        let request = Request::take(&mut msg, pool).expect("a request");
        ip::build::output(&mut msg, &request, HOST.into(), 1, pool).expect("a packet");
        let mut packets = MsgList::new();
        finish(msg, 0, Can::NOTHING, pool, &mut packets).expect("sound");
        for packet in packets {
            let bytes = bytes_of(&packet);
            self.rig.perimeter().pool().free(packet);
            self.sent += 1;
            let ports = [bytes[20], bytes[21], bytes[22], bytes[23]];
            let peer = self.peers.iter_mut().find(|peer| {
                let (to, from) = (peer.addr.port(), peer.host.port());
                ports == [(from >> 8) as u8, from as u8, (to >> 8) as u8, to as u8]
            });
            check(&bytes, peer);
        }
    }
}

impl User {
    fn got(&mut self, msg: &Msg) {
        match msg.kind() {
            Kind::Data => assert!(!self.ended, "data behind the end"),
            Kind::Proto | Kind::PcProto => match View::new(msg.first()).expect("sound") {
                View::ConnInd(view) => self.calls.push(view.sequence()),
                View::ConnCon(_) => self.ended = false,
                View::OrdrelInd(_) => {
                    assert!(!self.ended, "it ends twice");
                    self.ended = true;
                }
                View::DisconInd(view) if view.sequence() == -1 => self.ended = true,
                View::DisconInd(view) => self.calls.retain(|call| *call != view.sequence()),
                View::OkAck(view) if view.of() == T_EXPORT_REQ => {
                    self.exported = Some(bytes_of(msg).split_off(8));
                    self.ended = false;
                }
                View::CapabilityAck(view) => self.acceptor = view.acceptor(),
                View::DataInd(_) => assert!(!self.ended, "urgent data behind the end"),
                _ => {}
            },
            _ => {}
        }
    }
}

/// A number near, or far: small ones are likely.
fn offset(script: &mut Script<'_>) -> i32 {
    match script.byte() {
        0..0x80 => 0,
        byte @ 0x80..0xc0 => i32::from(byte) - 0xa0,
        0xc0..0xf0 => i32::from(script.word() as i16),
        _ => i32::from(script.word() as i16) << 16,
    }
}

fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) > 0 { b } else { a }
}

fn packet(
    from: SocketAddr,
    to: SocketAddr,
    [seq, ack]: [u32; 2],
    flags: u8,
    [window, urgent]: [u16; 2],
    options: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let words = 5 + options.len().div_ceil(4);
    let len = 20 + 4 * words + data.len();
    let mut ip = vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 1, 0x40, 0, 64, 6, 0, 0];
    ip.extend([10, 0, 0, 9, 10, 0, 0, 1]);
    let header = !sum(0, &ip);
    ip[10..12].copy_from_slice(&header.to_be_bytes());
    ip.extend(from.port().to_be_bytes());
    ip.extend(to.port().to_be_bytes());
    ip.extend(seq.to_be_bytes());
    ip.extend(if flags & 0x10 != 0 { ack } else { 0 }.to_be_bytes());
    ip.extend([(words << 4) as u8, flags]);
    ip.extend(window.to_be_bytes());
    ip.extend([0, 0]);
    ip.extend(urgent.to_be_bytes());
    ip.extend(options);
    ip.resize(20 + 4 * words, 0);
    ip.extend(data);
    let pseudo = u32::from(sum(6 + (len - 20) as u32, &ip[12..20]));
    let transport = !sum(pseudo, &ip[20..]);
    ip[36..38].copy_from_slice(&transport.to_be_bytes());
    ip
}

/// What the host sent is sound, and about what was said.
fn check(ip: &[u8], peer: Option<&mut Peer>) {
    assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len(), "total length");
    let tcp = &ip[20..];
    let pseudo = u32::from(sum(6 + tcp.len() as u32, &ip[12..20]));
    assert_eq!(sum(pseudo, tcp), 0xffff, "checksum");
    let header = usize::from(tcp[12] >> 4) * 4;
    assert!((20..=tcp.len()).contains(&header), "data offset");
    let flags = tcp[13];
    assert!(flags & 0x16 != 0, "SYN, RST or ACK");
    assert!(flags & 6 != 6 && flags & 3 != 3, "SYN beside RST or FIN");
    let mut options = &tcp[20..header];
    while let [kind, rest @ ..] = options {
        if *kind > 1 {
            let len = usize::from(rest[0]);
            assert!((2..=options.len()).contains(&len), "option length");
            assert!(flags & 2 != 0 || !matches!(kind, 2..=4), "an option of SYN");
            options = &options[len..];
        } else {
            options = rest;
        }
    }
    let Some(peer) = peer.filter(|peer| !peer.forged) else { return };
    let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
    let (seq, ack) = (number(4), number(8));
    let space = (tcp.len() - header) as u32 + u32::from(flags & 1) + u32::from(flags >> 1 & 1);
    if flags & 4 == 0 {
        if flags & 2 != 0 {
            peer.host_una = seq;
            peer.host_nxt = seq.wrapping_add(1);
        } else {
            let hole = seq.wrapping_sub(peer.host_nxt) as i32;
            assert!(hole <= 0, "{hole} octets are left out");
            peer.host_nxt = later(peer.host_nxt, seq.wrapping_add(space));
        }
        if let (true, Some(furthest)) = (flags & 0x10 != 0, peer.furthest) {
            assert!(furthest.wrapping_sub(ack) as i32 >= 0, "it acknowledges what was not sent");
        }
    }
}
