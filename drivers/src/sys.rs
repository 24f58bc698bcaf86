//! sys: the system calls for which rustix has no safe function, each behind one of ours.
//!
//! The only file of the drivers that contains `unsafe`. What passes through is one system call
//! each: no retry, no policy, the errno as the kernel gave it. Policy is in `tun`, `netlink` and
//! `netns`.

use crate::ifname::IfName;
use millstream_msg::Block;
use rustix::io::{Errno, Result};
use rustix::ioctl::{Getter, IntegerSetter, Opcode, Setter, Updater, ioctl};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A block as an entry of the table of writev(2), also one that another process can write: its
/// bytes are the kernel's to read, and nobody else's.
pub(crate) fn span(block: Block<'_>) -> IoSlice<'_> {
    let (iov_base, iov_len) = (block.as_ptr().cast_mut().cast(), block.len());
    // SAFETY: IoSlice has the layout of iovec (its documentation), and no more than a lifetime in
    // addition: the message of the block, which keeps the bytes mapped.
    unsafe { std::mem::transmute::<libc::iovec, IoSlice<'_>>(libc::iovec { iov_base, iov_len }) }
}

/// TUNSETIFF: makes or attaches to the interface `name`; returns the name the kernel chose (it
/// differs when `name` is a pattern such as `tap%d`).
pub(crate) fn tun_set_interface(fd: BorrowedFd<'_>, name: &IfName, flags: u16) -> Result<IfName> {
    let mut request = interface_request(name, flags);
    // SAFETY: TUNSETIFF reads and writes one struct ifreq, which `request` is; it outlives the
    // call.
    unsafe { ioctl(fd, Updater::<{ op(libc::TUNSETIFF) }, _>::new(&mut request)) }?;
    Ok(IfName::from_kernel(request.ifr_name.map(libc::c_char::cast_unsigned)))
}

/// TUNGETIFF: the IFF_* flags that the attached interface has now.
pub(crate) fn tun_interface_flags(fd: BorrowedFd<'_>) -> Result<u16> {
    let mut request = interface_request(&IfName::from_kernel([0; libc::IFNAMSIZ]), 0);
    // SAFETY: TUNGETIFF writes one struct ifreq, which `request` is; it outlives the call.
    unsafe { ioctl(fd, Updater::<{ op(libc::TUNGETIFF) }, _>::new(&mut request)) }?;
    // SAFETY: all bytes of the union were initialised by interface_request, any bits are an i16.
    Ok(unsafe { request.ifr_ifru.ifru_flags }.cast_unsigned())
}

/// TUNGETFEATURES: the IFF_* flags that this kernel knows.
pub(crate) fn tun_features(fd: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: TUNGETFEATURES writes one unsigned int.
    unsafe { ioctl(fd, Getter::<{ op(libc::TUNGETFEATURES) }, u32>::new()) }
}

/// TUNSETOFFLOAD: the TUN_F_* mask of the whole interface.
pub(crate) fn tun_set_offload(fd: BorrowedFd<'_>, mask: u32) -> Result<()> {
    // SAFETY: TUNSETOFFLOAD takes the mask itself as its argument and touches no memory of ours.
    unsafe { ioctl(fd, IntegerSetter::<{ op(libc::TUNSETOFFLOAD) }>::new_usize(mask as usize)) }
}

/// TUNSETVNETHDRSZ: bytes of struct virtio_net_hdr in front of each frame.
pub(crate) fn tun_set_vnet_header_bytes(fd: BorrowedFd<'_>, bytes: i32) -> Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one int.
    unsafe { ioctl(fd, Setter::<{ op(libc::TUNSETVNETHDRSZ) }, i32>::new(bytes)) }
}

/// TUNSETVNETLE: whether the virtio_net_hdr is little endian on every machine.
pub(crate) fn tun_set_vnet_little_endian(fd: BorrowedFd<'_>, on: bool) -> Result<()> {
    // SAFETY: TUNSETVNETLE reads one int.
    unsafe { ioctl(fd, Setter::<{ op(libc::TUNSETVNETLE) }, i32>::new(i32::from(on))) }
}

/// TUNSETPERSIST: whether the interface outlives its descriptors.
pub(crate) fn tun_set_persistent(fd: BorrowedFd<'_>, on: bool) -> Result<()> {
    // SAFETY: TUNSETPERSIST takes the number itself as its argument and touches no memory of ours.
    unsafe { ioctl(fd, IntegerSetter::<{ op(libc::TUNSETPERSIST) }>::new_usize(usize::from(on))) }
}

/// TUNSETOWNER: the user who may attach to the interface without CAP_NET_ADMIN.
pub(crate) fn tun_set_owner(fd: BorrowedFd<'_>, uid: u32) -> Result<()> {
    // SAFETY: TUNSETOWNER takes the number itself as its argument and touches no memory of ours.
    unsafe { ioctl(fd, IntegerSetter::<{ op(libc::TUNSETOWNER) }>::new_usize(uid as usize)) }
}

/// unshare(CLONE_NEWNET) for the calling thread.
pub(crate) fn unshare_network() -> Result<()> {
    // SAFETY: FILES is not among the flags, so descriptors stay shared between threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}

/// unshare(CLONE_NEWUSER | CLONE_NEWNET); EINVAL in a process of more than one thread.
pub(crate) fn unshare_user_and_network() -> Result<()> {
    // SAFETY: FILES is not among the flags, so descriptors stay shared between threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }
}

/// Switches on a boolean option of level SOL_NETLINK; rustix has none of them.
pub(crate) fn enable_netlink_option(fd: BorrowedFd<'_>, option: libc::c_int) -> Result<()> {
    set_option(fd, libc::SOL_NETLINK, option, &1_i32)
}

/// Switches on a boolean option of level SOL_PACKET: PACKET_VNET_HDR and the like.
pub(crate) fn enable_packet_option(fd: BorrowedFd<'_>, option: libc::c_int) -> Result<()> {
    set_option(fd, libc::SOL_PACKET, option, &1_i32)
}

/// PACKET_ADD_MEMBERSHIP: what an interface takes in beside its own, while the socket is open.
pub(crate) fn packet_join(fd: BorrowedFd<'_>, index: i32, kind: libc::c_int) -> Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: kind as u16, // PACKET_MR_*: 0 to 3
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Binds a packet socket to an interface and lets all protocols in.
pub(crate) fn packet_bind(fd: BorrowedFd<'_>, index: i32) -> Result<()> {
    let mut address = no_packet_address();
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    // SAFETY: bind reads one struct sockaddr_ll at the address given, which outlives the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_bind,
            fd.as_raw_fd(),
            &raw const address,
            size_of_val(&address) as libc::socklen_t,
        )
    };
    bytes_or_errno(status).map(|_| ())
}

/// The interface that a packet socket is bound to; -1 when that interface is gone.
pub(crate) fn packet_interface(fd: BorrowedFd<'_>) -> Result<i32> {
    let mut address = no_packet_address();
    let mut length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: getsockname writes at most `length` bytes at `address`, which has so many, and the
    // length at `length`; both outlive the call, and any bytes are a sockaddr_ll.
    let status = unsafe {
        libc::syscall(libc::SYS_getsockname, fd.as_raw_fd(), &raw mut address, &raw mut length)
    };
    bytes_or_errno(status).map(|_| address.sll_ifindex)
}

/// PACKET_STATISTICS: frames that did not fit into the socket's buffer since the last call.
pub(crate) fn packet_drops(fd: BorrowedFd<'_>) -> Result<u32> {
    let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of_val(&stats) as libc::socklen_t;
    // SAFETY: getsockopt writes at most `length` bytes at `stats`, which has so many, and the
    // length at `length`; both outlive the call, and any bytes are a tpacket_stats.
    let status = unsafe {
        libc::syscall(
            libc::SYS_getsockopt,
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            &raw mut stats,
            &raw mut length,
        )
    };
    bytes_or_errno(status).map(|_| stats.tp_drops)
}

/// SO_ATTACH_FILTER: a classic program that decides which frames a socket takes in.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> Result<()> {
    // The kernel copies the program within the call, and writes nothing there.
    let request = libc::sock_fprog {
        len: program.len() as u16, // a dozen
        filter: program.as_ptr().cast_mut(),
    };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &request)
}

/// setsockopt. libc::syscall and not libc::setsockopt: the preload library replaces the latter.
fn set_option<T>(fd: BorrowedFd<'_>, level: i32, option: libc::c_int, value: &T) -> Result<()> {
    // SAFETY: setsockopt reads as many bytes as `value` has, at its address; it outlives the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_setsockopt,
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value),
            size_of_val(value) as libc::socklen_t,
        )
    };
    bytes_or_errno(status).map(|_| ())
}

fn no_packet_address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16, // 17
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

/// A duplicate, close-on-exec, of a descriptor that another crate owns.
pub(crate) fn dup_of(fd: std::os::fd::RawFd) -> std::io::Result<std::os::fd::OwnedFd> {
    // SAFETY: the caller reads the number off an object that is alive, so it is open.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

/// The result of `libc::syscall`: a count, or -1 with the cause in errno.
fn bytes_or_errno(status: libc::c_long) -> Result<usize> {
    usize::try_from(status).map_err(|_| {
        let cause = std::io::Error::last_os_error();
        Errno::from_io_error(&cause).unwrap_or(Errno::IO)
    })
}

/// A struct ifreq with all bytes set.
fn interface_request(name: &IfName, flags: u16) -> libc::ifreq {
    let zeros = libc::__c_anonymous_ifru_map {
        mem_start: 0,
        mem_end: 0,
        base_addr: 0,
        irq: 0,
        dma: 0,
        port: 0,
    };
    let mut union = libc::__c_anonymous_ifr_ifru { ifru_map: zeros };
    union.ifru_flags = flags.cast_signed();
    libc::ifreq { ifr_name: name.bytes().map(u8::cast_signed), ifr_ifru: union }
}

/// The type of request numbers differs between the C libraries; the value has 32 bits in all.
const fn op(request: libc::Ioctl) -> Opcode {
    request as Opcode
}
