//! address: addresses of C and ours. A socket of AF_INET6 on the stack has mapped addresses of
//! IPv4.

use libc::{sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use millstream_port::Errno;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The address of an argument.
///
/// # Errors
/// EFAULT, EINVAL when it is too short, EAFNOSUPPORT.
///
/// # Safety
/// `addr` is null or has `len` bytes.
pub(crate) unsafe fn read(addr: *const sockaddr, len: socklen_t) -> Result<SocketAddr, Errno> {
    let len = len as usize;
    if addr.is_null() {
        return Err(Errno::EFAULT);
    }
    if len < size_of::<sa_family_t>() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: there are as many bytes, of any alignment.
    match i32::from(unsafe { addr.cast::<sa_family_t>().read_unaligned() }) {
        libc::AF_INET if len >= size_of::<sockaddr_in>() => {
            // SAFETY: there are as many bytes, all of which may have any value.
            let from = unsafe { addr.cast::<sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
            Ok(SocketAddr::new(ip.into(), u16::from_be(from.sin_port)))
        }
        libc::AF_INET6 if len >= SHORT_IN6 => {
            let mut bytes = [0; size_of::<sockaddr_in6>()];
            let there = len.min(bytes.len());
            // SAFETY: there are as many bytes, and room for them.
            unsafe {
                std::ptr::copy_nonoverlapping(addr.cast::<u8>(), bytes.as_mut_ptr(), there);
            }
            // SAFETY: as long as the address, all bytes of which may have any value.
            let from = unsafe { bytes.as_ptr().cast::<sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(from.sin6_addr.s6_addr);
            let port = u16::from_be(from.sin6_port);
            Ok(SocketAddrV6::new(ip, port, from.sin6_flowinfo, from.sin6_scope_id).into())
        }
        libc::AF_INET | libc::AF_INET6 => Err(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Writes an address where a caller wants it, as much as there is room for, in a socket's family.
///
/// # Safety
/// Both are null, or `len` says how many bytes there are at `addr`.
pub(crate) unsafe fn write(at: SocketAddr, family: i32, addr: *mut sockaddr, len: *mut socklen_t) {
    if addr.is_null() || len.is_null() {
        return;
    }
    let mut bytes = [0_u8; size_of::<sockaddr_in6>()];
    let whole = encode(at, family, &mut bytes);
    // SAFETY: the caller's number.
    let room = unsafe { len.read_unaligned() } as usize;
    // SAFETY: there is as much room.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), addr.cast::<u8>(), room.min(whole)) };
    // SAFETY: the caller's number.
    unsafe { len.write_unaligned(whole as socklen_t) };
}

fn encode(at: SocketAddr, family: i32, bytes: &mut [u8; size_of::<sockaddr_in6>()]) -> usize {
    let ip = match at {
        SocketAddr::V4(at) if family == libc::AF_INET => {
            bytes[..2].copy_from_slice(&(libc::AF_INET as sa_family_t).to_ne_bytes());
            bytes[2..4].copy_from_slice(&at.port().to_be_bytes());
            bytes[4..8].copy_from_slice(&at.ip().octets());
            return size_of::<sockaddr_in>();
        }
        SocketAddr::V4(at) if at.ip().is_unspecified() => Ipv6Addr::UNSPECIFIED,
        SocketAddr::V4(at) => at.ip().to_ipv6_mapped(),
        SocketAddr::V6(at) => *at.ip(),
    };
    bytes[..2].copy_from_slice(&(libc::AF_INET6 as sa_family_t).to_ne_bytes());
    bytes[2..4].copy_from_slice(&at.port().to_be_bytes());
    bytes[8..24].copy_from_slice(&ip.octets());
    size_of::<sockaddr_in6>()
}

/// The address as the stack knows it: IPv4 if it is mapped, or any address.
pub(crate) fn unmapped(at: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(six) = at else { return at };
    match six.ip().to_ipv4_mapped() {
        Some(ip) => SocketAddr::new(ip.into(), at.port()),
        None if six.ip().is_unspecified() => {
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port())
        }
        None => at,
    }
}

/// Linux takes addresses of IPv6 without the scope (SIN6_LEN_RFC2133).
const SHORT_IN6: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes an address and reads it again.
    fn there_and_back(at: &str, family: i32) -> SocketAddr {
        let mut bytes = [0_u8; 28];
        let mut len = 28;
        let addr = bytes.as_mut_ptr().cast::<sockaddr>();
        // SAFETY: there are 28 bytes.
        unsafe {
            write(at.parse().unwrap(), family, addr, &mut len);
            read(addr, len).unwrap()
        }
    }

    #[test]
    fn an_address_is_that_of_the_sockets_family() {
        let four = there_and_back("10.9.0.1:80", libc::AF_INET);
        assert_eq!(four, "10.9.0.1:80".parse().unwrap());
        let mapped = there_and_back("10.9.0.1:80", libc::AF_INET6);
        assert_eq!(mapped, "[::ffff:10.9.0.1]:80".parse().unwrap());
        assert_eq!(unmapped(mapped), four);
        let any = there_and_back("0.0.0.0:80", libc::AF_INET6);
        assert_eq!(any, "[::]:80".parse().unwrap());
        assert_eq!(unmapped(any), "0.0.0.0:80".parse().unwrap());
    }

    #[test]
    fn what_is_too_short_is_no_address_and_what_has_no_room_is_cut() {
        let mut bytes = [0_u8; 28];
        let addr = bytes.as_mut_ptr().cast::<sockaddr>();
        let mut len = 6;
        // SAFETY: there are more bytes than are said to be.
        unsafe {
            write("10.9.0.1:80".parse().unwrap(), libc::AF_INET, addr, &mut len);
            assert_eq!(len, 16);
            assert_eq!(read(addr, 15), Err(Errno::EINVAL));
            assert_eq!(read(addr, 1), Err(Errno::EINVAL));
            assert_eq!(read(std::ptr::null(), 16), Err(Errno::EFAULT));
        }
        assert_eq!(&bytes[..7], &[2, 0, 0, 80, 10, 9, 0]);
    }
}
