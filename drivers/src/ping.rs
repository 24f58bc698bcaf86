//! ping: echo requests through the kernel's own ICMP socket, so that nothing needs to be installed.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, sendto,
    socket_with, sockopt,
};
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The kernel as one end of a ping, in the network namespace of the thread that opened it.
///
/// A raw socket (CAP_NET_RAW), else an unprivileged one where `net.ipv4.ping_group_range` lets the
/// user have it.
#[derive(Debug)]
pub struct KernelPing {
    socket: OwnedFd,
    raw: bool,
    id: u16,
    seq: u16,
}

impl KernelPing {
    /// Opens the socket.
    ///
    /// # Errors
    /// EPERM or EACCES without the right to either kind of socket.
    pub fn open() -> Result<Self> {
        let open = |kind| {
            let proto = Some(ipproto::ICMP);
            socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, proto)
        };
        let (socket, raw) = match open(SocketType::RAW) {
            Ok(socket) => (socket, true),
            Err(Errno::PERM | Errno::ACCESS) => (open(SocketType::DGRAM)?, false),
            Err(errno) => return Err(errno.into()),
        };
        // Several pingers of one process and of others must not take each other's replies.
        let id = std::process::id() as u16
            ^ (rustix::thread::gettid().as_raw_nonzero().get() as u16).rotate_left(8);
        Ok(Self { socket, raw, id, seq: 0 })
    }

    /// Sends one echo request of `payload` bytes and waits for its reply; `None` when none came in
    /// time.
    ///
    /// # Errors
    /// The kernel's: no route, the interface is down.
    pub fn ping(
        &mut self,
        to: Ipv4Addr,
        payload: usize,
        timeout: Duration,
    ) -> Result<Option<Duration>> {
        self.seq = self.seq.wrapping_add(1);
        let request = self.request(payload);
        let start = Instant::now();
        let address = SocketAddrV4::new(to, 0);
        sendto(&self.socket, &request, SendFlags::empty(), &address)?;
        let mut buffer = vec![0; payload + 128];
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, Some(left))?;
            match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((n, _)) if self.is_reply(&buffer[..n.min(buffer.len())]) => {
                    return Ok(Some(start.elapsed()));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(Error::from(errno)),
            }
        }
    }

    fn request(&self, payload: usize) -> Vec<u8> {
        let mut bytes = vec![8, 0, 0, 0];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend((0..payload).map(|i| i as u8));
        let sum = !millstream_msg::checksum::sum_portable(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_ne_bytes());
        bytes
    }

    /// An unprivileged socket gets its own replies only, without IP header and with an identifier
    /// that the kernel chose.
    fn is_reply(&self, bytes: &[u8]) -> bool {
        let header = match bytes.first() {
            Some(first) if self.raw => usize::from(first & 15) * 4,
            _ => 0,
        };
        match bytes.get(header..) {
            Some([0, 0, _, _, i0, i1, s0, s1, ..]) => {
                let own = !self.raw || u16::from_be_bytes([*i0, *i1]) == self.id;
                own && u16::from_be_bytes([*s0, *s1]) == self.seq
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_answers_or_the_socket_is_refused() {
        let mut ping = match KernelPing::open() {
            Ok(ping) => ping,
            Err(why) => {
                assert_eq!(why.kind(), std::io::ErrorKind::PermissionDenied);
                return eprintln!("skipped: the_loopback_interface_answers: {why}");
            }
        };
        let netns = crate::netns::Netns::new();
        let Ok(netns) = netns else { return eprintln!("skipped: no namespace") };
        let answer = netns.run(|| {
            let mut ping = KernelPing::open()?;
            ping.ping(Ipv4Addr::LOCALHOST, 56, Duration::from_secs(5))
        });
        assert!(answer.unwrap().unwrap().is_some());
        ping.seq = 7;
        let mut reply = ping.request(0);
        reply[0] = 0;
        let framed = if ping.raw { [vec![0x45; 20], reply].concat() } else { reply };
        assert!(ping.is_reply(&framed));
        assert!(!ping.is_reply(&framed[..framed.len() - 1]));
    }
}
