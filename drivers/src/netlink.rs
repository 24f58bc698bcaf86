//! netlink: interfaces, addresses and routes of a network namespace, read and changed over
//! rtnetlink.
//!
//! Requests go out one at a time and each waits for its answer; what changes is the namespace in
//! which the socket was opened. See rtnetlink(7). Only what setting up an interface needs is here.

mod error;
mod link;
mod monitor;
mod prefix;
mod wire;

pub use self::error::NetlinkError;
pub use self::link::{Link, TunLink};
pub(crate) use self::monitor::LinkMonitor;
pub use self::prefix::{BadPrefix, Prefix};

use self::error::Refusal;
use self::wire::{Message, Request, attrs, u32_at};
use crate::ifname::IfName;
use crate::sys;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, socket_with,
};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A socket to the kernel's interface tables.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    answer: Vec<u8>,
}

/// Where packets of a route go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Via<'a> {
    /// To a neighbour; its interface follows from the other routes. May be of the other family than
    /// the destination if that is IPv4.
    Gateway(IpAddr),
    /// To a neighbour behind the named interface.
    GatewayOn(IpAddr, &'a str),
    /// Directly onto the named interface.
    Interface(&'a str),
}

impl Netlink {
    /// Opens a socket into the network namespace of the calling thread; it stays there when the
    /// thread moves on.
    ///
    /// # Errors
    /// [`NetlinkError::Open`].
    pub fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let flags = SocketFlags::CLOEXEC;
            let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_WAIT_MAX))?;
            Ok(fd)
        };
        let fd: OwnedFd = open().map_err(NetlinkError::open)?;
        // Both only improve the text of errors, and kernels before 4.12 lack one or both.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _ = sys::enable_netlink_option(fd.as_fd(), option);
        }
        Ok(Self { fd, sequence: 0, answer: vec![0; ANSWER_BYTES_MAX] })
    }

    /// What the kernel knows about the interface `name`.
    ///
    /// # Errors
    /// [`NetlinkError::NoInterface`] if there is none.
    pub fn link(&mut self, name: &str) -> Result<Link, NetlinkError> {
        let request = Request::new(libc::RTM_GETLINK, 0, &interface_body(0, 0, 0))
            .attr(libc::IFLA_IFNAME, IfName::new(name)?.with_nul());
        let mut link = None;
        self.transact(request, |message| {
            if message.kind == libc::RTM_NEWLINK {
                link = Link::parse(message.body);
            }
        })
        .and_then(|()| link.ok_or(Refusal::Malformed))
        .map_err(|refusal| refusal.about("read the state of", name))
    }

    /// Waits until frames pass the interface, at most so long; the state at the end tells. To be
    /// called in the namespace of the socket.
    ///
    /// # Errors
    /// As [`Netlink::link`].
    pub fn wait_operational(
        &mut self,
        name: &str,
        longest: Duration,
    ) -> Result<Link, NetlinkError> {
        let (monitor, end) = (LinkMonitor::open()?, Instant::now() + longest);
        loop {
            let link = self.link(name)?;
            let left = end.saturating_duration_since(Instant::now());
            if link.is_operational || left.is_zero() {
                return Ok(link);
            }
            monitor.wait(left);
        }
    }

    /// All interfaces of the namespace, by rising index.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] and [`NetlinkError::Malformed`].
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let body = interface_body(0, 0, 0);
        self.dump(libc::RTM_GETLINK, libc::RTM_NEWLINK, &body, Link::parse)
            .map_err(|refusal| refusal.about("list", "the interfaces"))
    }

    /// Switches the interface on or off (IFF_UP).
    ///
    /// # Errors
    /// Any of [`NetlinkError`] but `Open`; so for all functions below.
    pub fn set_up(&mut self, name: &str, up: bool) -> Result<(), NetlinkError> {
        let flag = libc::IFF_UP as u32;
        let body = interface_body(0, if up { flag } else { 0 }, flag);
        let what = if up { "switch on" } else { "switch off" };
        self.change(what, name, Request::new(libc::RTM_SETLINK, 0, &body))
    }

    /// Sets the largest packet, in bytes after the link-level header. A TAP takes 68 to 65521.
    ///
    /// # Errors
    /// As [`Netlink::set_up`].
    pub fn set_mtu(&mut self, name: &str, mtu_bytes: u32) -> Result<(), NetlinkError> {
        let request = Request::new(libc::RTM_SETLINK, 0, &interface_body(0, 0, 0));
        self.change("set the MTU of", name, request.attr_u32(libc::IFLA_MTU, mtu_bytes))
    }

    /// Sets how many frames may wait to be sent; on a TAP, how many may wait for its reader.
    ///
    /// # Errors
    /// As [`Netlink::set_up`].
    pub fn set_tx_queue_frames(&mut self, name: &str, frames: u32) -> Result<(), NetlinkError> {
        let request = Request::new(libc::RTM_SETLINK, 0, &interface_body(0, 0, 0));
        self.change("set the queue length of", name, request.attr_u32(libc::IFLA_TXQLEN, frames))
    }

    /// Sets the Ethernet address.
    ///
    /// # Errors
    /// As [`Netlink::set_up`]; the kernel refuses addresses with the group bit.
    pub fn set_mac(&mut self, name: &str, mac: [u8; 6]) -> Result<(), NetlinkError> {
        let request = Request::new(libc::RTM_SETLINK, 0, &interface_body(0, 0, 0));
        self.change("set the MAC address of", name, request.attr(libc::IFLA_ADDRESS, &mac))
    }

    /// Moves the interface into another network namespace, where it is down and without addresses.
    ///
    /// # Errors
    /// As [`Netlink::set_up`].
    pub fn move_to(&mut self, name: &str, namespace: BorrowedFd<'_>) -> Result<(), NetlinkError> {
        let request = Request::new(libc::RTM_SETLINK, 0, &interface_body(0, 0, 0))
            .attr(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        self.change("move", name, request)
    }

    /// Deletes the interface. A program that has a TAP of this name open then reads EBADFD; the
    /// other end of a veth goes too.
    ///
    /// # Errors
    /// As [`Netlink::set_up`].
    pub fn delete_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        let request = Request::new(libc::RTM_DELLINK, 0, &interface_body(0, 0, 0));
        self.change("delete", name, request)
    }

    /// Makes a veth pair, see veth(4); the second end is born in `peer_namespace` if one is given.
    ///
    /// # Errors
    /// As [`Netlink::set_up`]; `Refused` with EEXIST if one of the names is taken.
    pub fn create_veth(
        &mut self,
        name: &str,
        peer: &str,
        peer_namespace: Option<BorrowedFd<'_>>,
    ) -> Result<(), NetlinkError> {
        let peer = IfName::new(peer)?;
        let body = interface_body(0, 0, 0);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let request =
            Request::new(libc::RTM_NEWLINK, flags, &body).nest(libc::IFLA_LINKINFO, &[], |info| {
                info.attr(libc::IFLA_INFO_KIND, b"veth").nest(libc::IFLA_INFO_DATA, &[], |data| {
                    data.nest(VETH_INFO_PEER, &body, |end| {
                        let end = end.attr(libc::IFLA_IFNAME, peer.with_nul());
                        match peer_namespace {
                            Some(fd) => {
                                end.attr(libc::IFLA_NET_NS_FD, &fd.as_raw_fd().to_ne_bytes())
                            }
                            None => end,
                        }
                    })
                })
            });
        self.change("create the veth pair of", name, request)
    }

    /// Gives the interface an address, with the directed broadcast address if it is IPv4; an equal
    /// address is replaced. An IPv6 address can be used at once: duplicates are not looked for.
    ///
    /// # Errors
    /// As [`Netlink::set_up`]; `Refused` with EACCES where IPv6 is switched off.
    pub fn replace_address(&mut self, name: &str, address: Prefix) -> Result<(), NetlinkError> {
        let index = self.link(name)?.index;
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let body = address_body(family(address.address()), address.length_bits(), index);
        let octets = octets(address.address());
        let mut request = Request::new(libc::RTM_NEWADDR, flags, &body)
            .attr(libc::IFA_LOCAL, &octets)
            .attr(libc::IFA_ADDRESS, &octets);
        match address.broadcast() {
            Some(broadcast) => request = request.attr(libc::IFA_BROADCAST, &broadcast.octets()),
            None if address.address().is_ipv6() => {
                request = request.attr_u32(libc::IFA_FLAGS, libc::IFA_F_NODAD);
            }
            None => {}
        }
        self.transact(request, |_| {}).map_err(|refusal| refusal.about("add an address to", name))
    }

    /// The addresses of the interface with their prefix lengths, of both families.
    ///
    /// # Errors
    /// As [`Netlink::set_up`].
    pub fn addresses(&mut self, name: &str) -> Result<Vec<Prefix>, NetlinkError> {
        let index = self.link(name)?.index;
        let parse = |body: &[u8]| {
            if u32_at(body, 4)? != index {
                return None;
            }
            // On IPv4 IFA_ADDRESS is the far end of a point-to-point link, IFA_LOCAL is ours.
            let part = |wanted| attrs(&body[8..]).find(|&(kind, _)| kind == wanted);
            let (_, value) = part(libc::IFA_LOCAL).or_else(|| part(libc::IFA_ADDRESS))?;
            Prefix::new(address_from(value)?, body[1]).ok()
        };
        self.dump(libc::RTM_GETADDR, libc::RTM_NEWADDR, &address_body(0, 0, 0), parse)
            .map_err(|refusal| refusal.about("list the addresses of", name))
    }

    /// Adds a route to the main table; one with the same destination is replaced. Host bits of the
    /// destination are ignored, a length of 0 is the default route.
    ///
    /// # Errors
    /// As [`Netlink::set_up`]; `Refused` with ENETUNREACH if no interface leads to the gateway.
    pub fn replace_route(&mut self, to: Prefix, via: Via<'_>) -> Result<(), NetlinkError> {
        let (gateway, interface) = match via {
            Via::Gateway(gateway) => (Some(gateway), None),
            Via::GatewayOn(gateway, interface) => (Some(gateway), Some(interface)),
            Via::Interface(interface) => (None, Some(interface)),
        };
        let network = to.network();
        let scope = match gateway {
            None if network.is_ipv4() => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        };
        // struct rtmsg: family, two lengths, TOS, table, protocol, scope, type, 32 bits of flags.
        let (table, protocol) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC);
        let (length, kind) = (to.length_bits(), libc::RTN_UNICAST);
        let body = [family(network), length, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0];
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let mut request =
            Request::new(libc::RTM_NEWROUTE, flags, &body).attr(libc::RTA_DST, &octets(network));
        if let Some(interface) = interface {
            request = request.attr_u32(libc::RTA_OIF, self.link(interface)?.index);
        }
        request = match gateway {
            Some(gateway) if gateway.is_ipv4() == network.is_ipv4() => {
                request.attr(libc::RTA_GATEWAY, &octets(gateway))
            }
            Some(gateway) => {
                let mut value = u16::from(family(gateway)).to_ne_bytes().to_vec();
                value.extend(octets(gateway));
                request.attr(libc::RTA_VIA, &value)
            }
            None => request,
        };
        self.transact(request, |_| {})
            .map_err(|refusal| refusal.about("add the route to", &to.to_string()))
    }

    /// A request about the interface `name` that is answered with success or an error only.
    fn change(&mut self, what: &'static str, name: &str, rq: Request) -> Result<(), NetlinkError> {
        let request = rq.attr(libc::IFLA_IFNAME, IfName::new(name)?.with_nul());
        self.transact(request, |_| {}).map_err(|refusal| refusal.about(what, name))
    }

    /// Collects what `parse` makes of the messages of a table; again if the table changed
    /// meanwhile.
    fn dump<T>(
        &mut self,
        kind: u16,
        answer_kind: u16,
        body: &[u8],
        mut parse: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        for _ in 0..DUMP_TRIES_MAX {
            let (mut found, mut torn) = (Vec::new(), false);
            self.transact(Request::new(kind, libc::NLM_F_DUMP, body), |message| {
                torn |= libc::c_int::from(message.flags) & libc::NLM_F_DUMP_INTR != 0;
                if message.kind == answer_kind {
                    found.extend(parse(message.body));
                }
            })?;
            if !torn {
                return Ok(found);
            }
        }
        Err(Refusal::Kernel(rustix::io::Errno::INTR, None))
    }

    /// Sends a request and shows every message of the answer to `each`, until the kernel closes it.
    fn transact(
        &mut self,
        request: Request,
        mut each: impl FnMut(Message<'_>),
    ) -> Result<(), Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request.finish(self.sequence);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.fd, &request, SendFlags::empty(), &kernel)?;
        loop {
            let (length, whole_length, sender) =
                recvfrom(&self.fd, &mut self.answer[..], RecvFlags::TRUNC)?;
            if sender.and_then(|from| SocketAddrNetlink::try_from(from).ok()) != Some(kernel) {
                continue; // Any program with the right may write to our port.
            }
            if whole_length > length {
                return Err(Refusal::Malformed);
            }
            let mut datagram = &self.answer[..length];
            while !datagram.is_empty() {
                let message = Message::take(&mut datagram).ok_or(Refusal::Malformed)?;
                if message.sequence != self.sequence {
                    continue; // The rest of an answer that an error cut short.
                }
                match libc::c_int::from(message.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        return match message.outcome().ok_or(Refusal::Malformed)? {
                            (0, _) => Ok(()),
                            (errno, text) => Err(Refusal::from_raw(errno, text)),
                        };
                    }
                    _ => each(message),
                }
            }
        }
    }
}

/// struct ifinfomsg of no particular family and type.
fn interface_body(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&change.to_ne_bytes());
    body
}

/// struct ifaddrmsg without flags, scope universe.
fn address_body(family: u8, length_bits: u8, index: u32) -> [u8; 8] {
    let [a, b, c, d] = index.to_ne_bytes();
    [family, length_bits, 0, 0, a, b, c, d]
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8 // 2 and 10
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address_from(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// linux/veth.h.
const VETH_INFO_PEER: u16 = 1;
/// The kernel cuts dumps into datagrams of at most 32 KiB; a link with many attributes is far
/// smaller.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The kernel answers within the send call; a longer wait means that the answer was lost.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
/// A table that changes during each of this many reads is changed by somebody in a loop.
const DUMP_TRIES_MAX: usize = 8;
