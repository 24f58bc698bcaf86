//! address: `struct sockaddr` of the C side.
#![allow(unsafe_code, reason = "structures of a C program")]

use millstream::Errno;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Reads an address that a call brings; `None` when it brings none.
///
/// # Errors
/// EINVAL when it is too short, EAFNOSUPPORT when it is not IPv4.
///
/// # Safety
/// `addr` is null or points to `len` octets.
pub(crate) unsafe fn read(
    addr: *const libc::sockaddr,
    len: libc::socklen_t,
) -> Result<Option<SocketAddr>, Errno> {
    if addr.is_null() {
        return Ok(None);
    }
    if (len as usize) < size_of::<libc::sockaddr_in>() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: there are as many octets as the structure has; it may lie anywhere.
    let addr = unsafe { addr.cast::<libc::sockaddr_in>().read_unaligned() };
    if i32::from(addr.sin_family) != libc::AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
    Ok(Some(SocketAddrV4::new(ip, u16::from_be(addr.sin_port)).into()))
}

/// Writes an address where a call wants it, as far as there is room, and its whole length.
///
/// # Safety
/// `out` is null, or `len` points to the octets that there are at `out`.
pub(crate) unsafe fn write(addr: SocketAddr, out: *mut libc::sockaddr, len: *mut libc::socklen_t) {
    let SocketAddr::V4(addr) = addr else { return };
    if out.is_null() || len.is_null() {
        return;
    }
    let raw = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*addr.ip()).to_be() },
        sin_zero: [0; 8],
    };
    let whole = size_of::<libc::sockaddr_in>();
    // SAFETY: the caller's word; no more is written than there is room for.
    unsafe {
        let room = (*len as usize).min(whole);
        (&raw const raw).cast::<u8>().copy_to_nonoverlapping(out.cast(), room);
        *len = whole as libc::socklen_t;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let addr: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        // SAFETY: a structure of zeros is one.
        let mut raw: libc::sockaddr = unsafe { std::mem::zeroed() };
        let mut len = size_of::<libc::sockaddr>() as libc::socklen_t;
        // SAFETY: both are there.
        let back = unsafe {
            write(addr, &raw mut raw, &raw mut len);
            read(&raw const raw, len)
        };
        assert_eq!((back, len), (Ok(Some(addr)), 16));
        // SAFETY: as above.
        assert_eq!(unsafe { read(&raw const raw, 15) }, Err(Errno::EINVAL));
        raw.sa_family = libc::AF_INET6 as libc::sa_family_t;
        // SAFETY: as above.
        assert_eq!(unsafe { read(&raw const raw, len) }, Err(Errno::EAFNOSUPPORT));
        // SAFETY: none is there.
        assert_eq!(unsafe { read(std::ptr::null(), 0) }, Ok(None));
    }
}
