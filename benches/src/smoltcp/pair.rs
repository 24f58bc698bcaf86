//! pair: two hosts of smoltcp back to back on one thread, one sends to the other.

use super::{Host, OverDevice};
use crate::Trouble;
use crate::lab::PORT;
use ::smoltcp::iface::SocketHandle;
use ::smoltcp::socket::tcp::State;
use ::smoltcp::wire::{IpAddress, IpCidr};
use millstream_drivers::{PairEnd, pair};

/// The two hosts and their connection.
#[derive(Debug)]
pub struct Two {
    sender: Host<OverDevice<PairEnd>>,
    receiver: Host<OverDevice<PairEnd>>,
    out: SocketHandle,
    in_: SocketHandle,
}

/// Bytes of a socket's buffer: what is sent in one round stays in the second-level cache.
const BUFFER: usize = 256 << 10;

/// Rounds in which a connection must have come about.
const ROUNDS: usize = 16;

impl Two {
    /// Connects them.
    ///
    /// # Errors
    /// When no connection comes about.
    pub fn connected() -> Result<Self, Trouble> {
        let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        let (a, b) = pair(1500, macs);
        let address = |host| IpAddress::v4(10, 9, 0, host);
        let mut sender = Host::new(OverDevice::new(a), macs[0], IpCidr::new(address(1), 24));
        let mut receiver = Host::new(OverDevice::new(b), macs[1], IpCidr::new(address(2), 24));
        let (out, in_) = (sender.socket(BUFFER), receiver.socket(BUFFER));
        let (_, socket) = receiver.interface_and(in_);
        socket.listen(PORT).map_err(|why| why.to_string())?;
        let (interface, socket) = sender.interface_and(out);
        socket
            .connect(interface.context(), (address(2), PORT), 50_000)
            .map_err(|why| why.to_string())?;
        let mut two = Self { sender, receiver, out, in_ };
        for _ in 0..ROUNDS {
            if two.receiver.interface_and(in_).1.state() == State::Established {
                return Ok(two);
            }
            two.exchange();
        }
        Err("the two did not connect".into())
    }

    /// Sends a full buffer, takes it, and lets the ACKs come back; bytes that arrived.
    pub fn round(&mut self) -> usize {
        let (_, socket) = self.sender.interface_and(self.out);
        // What it cannot send now is no matter.
        let _full = socket.send(|room| (room.len(), ()));
        self.exchange()
    }

    fn exchange(&mut self) -> usize {
        let Self { sender, receiver, in_, .. } = self;
        let now = sender.now();
        while sender.egress(now) {}
        sender.device.flush();
        while receiver.ingress(now) {}
        let mut bytes = 0;
        let (_, socket) = receiver.interface_and(*in_);
        while let Ok(n @ 1..) = socket.recv(|data| (data.len(), data.len())) {
            bytes += n;
        }
        while receiver.egress(now) {}
        receiver.device.flush();
        while sender.ingress(now) {}
        bytes
    }
}
