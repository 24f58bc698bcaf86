//! A host with tcp and one with smoltcp, joined by a simulated link, in virtual time.

use millstream_core::tpi::{self, Primitive, View};
use millstream_core::{NodeId, StreamId};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::tcp::Tcp;
use millstream_msg::PoolConfig;
use millstream_rig::{Faults, HostId, Sim, ms};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;
use std::net::SocketAddr;

const PORT: u16 = 80;

/// What both send and how smoltcp is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bodies {
    /// Octets that we send, and they.
    pub(crate) ours: usize,
    pub(crate) theirs: usize,
    /// Octets of one write.
    pub(crate) piece: usize,
    /// Octets of smoltcp's buffers each way.
    pub(crate) buffer: usize,
    /// None, Reno or CUBIC.
    pub(crate) control: u8,
    pub(crate) nagle: bool,
    /// Who ends its direction when it has sent all; else when the other has.
    pub(crate) we_end_first: bool,
    pub(crate) they_end_first: bool,
}

/// See the module.
pub(crate) struct Meeting {
    sim: Sim,
    us: HostId,
    tcp: NodeId,
    them: HostId,
    /// Frames of smoltcp's host.
    line: StreamId,
    device: Frames,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    bodies: Bodies,
    body: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
}

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.sockets.get::<Socket<'_>>(self.socket).state();
        let got = self.got.len();
        f.debug_struct("Meeting").field("smoltcp", &state).field("got", &got).finish()
    }
}

impl Meeting {
    pub(crate) fn new(seed: u64, faults: Faults, bodies: &Bodies) -> Self {
        let mut sim = Sim::exactly(seed);
        let (us, them) = (sim.host_with(PoolConfig::STACK), sim.host());
        let link = sim.link(us, them, faults);
        let (stream, line) = (sim.stream(link, us), sim.stream(link, them));
        let p = sim.perimeter(us);
        p.push(stream, Box::new(Arp::new())).unwrap();
        let ip = p.add_mux(Box::new(Ip::new(1)));
        p.link(ip, stream).unwrap();
        p.set_mux(ip, "address", "0 10.0.0.1/24").unwrap();
        let tcp = p.add_mux(Box::new(Tcp::new(seed)));
        let below = p.open_mux(ip, "tcp").unwrap();
        p.link(tcp, below).unwrap();
        let mut device = Frames::default();
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 2]));
        let mut config = Config::new(mac);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|all| {
            all.push(IpCidr::new(IpAddress::v4(10, 0, 0, 2), 24)).unwrap();
        });
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || SocketBuffer::new(vec![0; bodies.buffer]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(bodies.nagle);
        socket.set_congestion_control(match bodies.control {
            0 => CongestionControl::None,
            1 => CongestionControl::Reno,
            _ => CongestionControl::Cubic,
        });
        let socket = sockets.add(socket);
        let body = pattern(!seed, bodies.theirs);
        let (bodies, sent, got) = (*bodies, 0, Vec::new());
        let mut met = Self {
            sim,
            us,
            tcp,
            them,
            line,
            device,
            interface,
            sockets,
            socket,
            bodies,
            body,
            sent,
            got,
        };
        met.pass(1);
        met
    }

    /// Time passes, a millisecond at a time.
    pub(crate) fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            let until = self.sim.now() + ms(1);
            self.sim.run_until(until);
            while self.sim.perimeter(self.us).event().is_some() {}
            self.poll();
        }
    }

    /// smoltcp takes the frames that came and sends its own.
    fn poll(&mut self) {
        let now = Instant::from_millis((self.sim.now() / ms(1)) as i64);
        let p = self.sim.perimeter(self.them);
        while p.event().is_some() {}
        while let Ok(Some(got)) = p.getmsg(self.line) {
            let frame = got.data.expect("frames are data");
            let mut bytes = vec![0; frame.len()];
            frame.copy_out(0, &mut bytes);
            p.pool().free(frame);
            self.device.came.push_back(bytes);
        }
        self.interface.poll(now, &mut self.device, &mut self.sockets);
        for frame in self.device.sent.drain(..) {
            p.write(self.line, &frame).expect("room for a frame");
        }
    }

    fn open(&mut self) -> StreamId {
        self.sim.perimeter(self.us).open_mux(self.tcp, "user").unwrap()
    }

    /// Our connection to smoltcp, which stands.
    pub(crate) fn we_open(&mut self) -> StreamId {
        self.sockets.get_mut::<Socket<'_>>(self.socket).listen(PORT).unwrap();
        let stream = self.open();
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        self.ask(stream, &Primitive::bind_req(any));
        self.ask(stream, &Primitive::conn_req(SocketAddr::from(([10, 0, 0, 2], PORT))));
        let word = self.await_word(stream);
        assert_eq!(tpi::primitive(&word), Some(tpi::T_CONN_CON), "smoltcp refuses");
        stream
    }

    /// smoltcp's connection to us.
    pub(crate) fn they_open(&mut self) -> StreamId {
        let listener = self.open();
        let here = SocketAddr::from(([0, 0, 0, 0], PORT));
        self.ask(listener, &Primitive::bind_req(here).with_word(12, 4));
        let remote = (IpAddress::v4(10, 0, 0, 1), PORT);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        socket.connect(self.interface.context(), remote, 50_000).unwrap();
        let call = self.await_word(listener);
        let Ok(View::ConnInd(call)) = View::new(&call) else { panic!("nobody calls: {call:?}") };
        let stream = self.open();
        let asked = Primitive::capability_req(tpi::TC1_ACCEPTOR_ID);
        let answer = self.ask(stream, &asked);
        let Ok(View::CapabilityAck(answer)) = View::new(&answer) else { panic!("{answer:?}") };
        self.ask(listener, &Primitive::conn_res(answer.acceptor(), call.sequence()));
        stream
    }

    /// smoltcp's program writes, reads and ends.
    pub(crate) fn they_go_on(&mut self) {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        while let Ok(1..) = socket.recv(|data| {
            self.got.extend_from_slice(data);
            (data.len(), data.len())
        }) {}
        let next = (self.sent + self.bodies.piece).min(self.body.len());
        if self.sent < next {
            self.sent += socket.send_slice(&self.body[self.sent..next]).unwrap_or(0);
            return;
        }
        // Not in SYN-RECEIVED, where smoltcp takes the end for sent.
        let may_end = match socket.state() {
            State::Established => self.bodies.they_end_first,
            State::CloseWait => true,
            _ => false,
        };
        if may_end {
            socket.close();
        }
    }

    pub(crate) fn they_got(&self) -> &[u8] {
        &self.got
    }

    /// Has smoltcp taken so many octets and written all of its own?
    pub(crate) fn they_have_all(&self, octets: usize) -> bool {
        self.got.len() == octets && self.sent == self.body.len()
    }

    /// Both directions have ended, for smoltcp.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.sockets.get::<Socket<'_>>(self.socket).state();
        matches!(state, State::Closed | State::TimeWait)
    }

    pub(crate) fn write(&mut self, stream: StreamId, bytes: &[u8]) -> usize {
        self.sim.perimeter(self.us).write(stream, bytes).unwrap_or(0)
    }

    /// The octets that came, and the words.
    pub(crate) fn read(&mut self, stream: StreamId) -> (Vec<u8>, Vec<i32>) {
        let p = self.sim.perimeter(self.us);
        let (mut bytes, mut words) = (Vec::new(), Vec::new());
        while let Ok(Some(got)) = p.getmsg(stream) {
            if let Some(control) = got.control {
                words.extend(tpi::primitive(control.first()));
                p.pool().free(control);
            }
            if let Some(data) = got.data {
                let at = bytes.len();
                bytes.resize(at + data.len(), 0);
                data.copy_out(0, &mut bytes[at..]);
                p.pool().free(data);
            }
        }
        (bytes, words)
    }

    pub(crate) fn put(&mut self, stream: StreamId, asked: &Primitive) {
        let p = self.sim.perimeter(self.us);
        let mut msg = p.pool().copy_from(0, asked.as_bytes()).unwrap();
        msg.set_kind(asked.kind());
        p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
    }

    pub(crate) fn close(&mut self, stream: StreamId) {
        self.sim.perimeter(self.us).close(stream).unwrap();
    }

    /// A request's answer, which is no refusal.
    fn ask(&mut self, stream: StreamId, asked: &Primitive) -> Vec<u8> {
        self.put(stream, asked);
        let now = self.sim.now();
        self.sim.run_until(now);
        let answer = self.word(stream).expect("an answer");
        assert_ne!(tpi::primitive(&answer), Some(tpi::T_ERROR_ACK), "{answer:?}");
        answer
    }

    fn await_word(&mut self, stream: StreamId) -> Vec<u8> {
        for _ in 0..60_000 {
            if let Some(word) = self.word(stream) {
                return word;
            }
            self.pass(1);
        }
        panic!("no word in a minute: {self:?}");
    }

    fn word(&mut self, stream: StreamId) -> Option<Vec<u8>> {
        let p = self.sim.perimeter(self.us);
        let control = p.getmsg(stream).ok()??.control?;
        let bytes = control.first().to_vec();
        p.pool().free(control);
        Some(bytes)
    }
}

/// Octets that depend on a seed and their place.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n ^ n >> 8 ^ n >> 16 ^ seed ^ seed >> 8) as u8).collect()
}

/// smoltcp's device: frames that came and that leave.
#[derive(Debug, Default)]
struct Frames {
    came: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl Device for Frames {
    type RxToken<'a> = Came;
    type TxToken<'a> = Leaves<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Came, Leaves<'_>)> {
        let frame = self.came.pop_front()?;
        Some((Came(frame), Leaves(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaves<'_>> {
        Some(Leaves(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

struct Came(Vec<u8>);

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Leaves<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Leaves<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}
