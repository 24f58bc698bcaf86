//! live_tun: TAP interfaces against the running kernel: attaching, offloads, and every errno.
//!
//! Each test makes namespaces of its own and leaves nothing behind. Without root or /dev/net/tun a
//! test prints `skipped: <test>: <reason>` and passes.

mod common;

use common::{Failure, Outcome, inside, wait_for_link, wait_until};
use millstream_drivers::netlink::Netlink;
use millstream_drivers::tun::{TapError, TapFd, TapFlags, TapOffloads, VNET_HEADER_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, readv, write};
use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::sync::mpsc;
use std::thread;

#[test]
fn a_second_program_is_told_that_the_tap_is_held() -> Outcome {
    inside("a_second_program_is_told_that_the_tap_is_held", |_| {
        for flags in [TapFlags::NONE, TapFlags::MULTI_QUEUE] {
            let first = TapFd::open("tap%d", flags)?;
            for wanted in [TapFlags::NONE, TapFlags::VNET_HEADER, TapFlags::MULTI_QUEUE] {
                let refused = TapFd::open(first.name(), wanted).unwrap_err();
                assert!(matches!(refused, TapError::Busy { .. }), "{flags} {wanted}: {refused}");
            }
        }
        Ok(())
    })
}

#[test]
fn an_existing_tap_takes_over_the_wanted_flags_but_multi_queue() -> Outcome {
    inside("an_existing_tap_takes_over_the_wanted_flags_but_multi_queue", |_| {
        for made_with in [TapFlags::NONE, TapFlags::VNET_HEADER, TapFlags::MULTI_QUEUE] {
            let made = TapFd::open("tap%d", made_with)?;
            made.set_persistent(true)?;
            let name = made.name().to_owned();
            drop(made);
            for wanted in [TapFlags::VNET_HEADER, TapFlags::NONE, TapFlags::MULTI_QUEUE] {
                let tap = TapFd::open(&name, wanted)?;
                let kept = made_with & TapFlags::MULTI_QUEUE;
                let expected = wanted.without(TapFlags::MULTI_QUEUE) | kept | TapFlags::PERSISTENT;
                assert_eq!(tap.flags(), expected, "made {made_with}, wanted {wanted}");
            }
            Netlink::open()?.delete_link(&name)?;
        }
        Ok(())
    })
}

#[test]
fn a_name_of_another_kind_of_interface_is_not_attached_to() -> Outcome {
    inside("a_name_of_another_kind_of_interface_is_not_attached_to", |_| {
        Netlink::open()?.create_veth("ve0", "ve1", None)?;
        for name in ["lo", "ve0"] {
            let refused = TapFd::open(name, TapFlags::VNET_HEADER).unwrap_err();
            assert!(matches!(refused, TapError::NotATap { .. }), "{refused}");
        }
        assert!(matches!(TapFd::open("a/b", TapFlags::NONE), Err(TapError::BadName(_))));
        Ok(())
    })
}

#[test]
fn offloads_are_granted_with_a_header_and_reset_for_the_next_owner() -> Outcome {
    inside("offloads_are_granted_with_a_header_and_reset_for_the_next_owner", |_| {
        let tap = TapFd::open("tap0", TapFlags::VNET_HEADER)?;
        let granted = tap.set_offloads(TapOffloads::ALL)?;
        let tso = TapOffloads::CSUM | TapOffloads::TSO4 | TapOffloads::TSO6;
        assert!(granted.contains(tso), "{granted}");
        assert_eq!(tap.set_offloads(TapOffloads::TSO4)?, TapOffloads::NONE, "TSO needs CSUM");
        tap.set_offloads(TapOffloads::ALL)?;
        tap.set_persistent(true)?;
        drop(tap);
        // A plain owner comes next: with CSUM left on, nobody would complete the checksum for it.
        let tap = TapFd::open("tap0", TapFlags::NONE)?;
        assert_eq!(tap.set_offloads(TapOffloads::ALL)?, TapOffloads::NONE);
        let frame = first_datagram(&tap, 100)?;
        assert_eq!(udp_checksum_over(&frame[14..]), 0xffff);
        Ok(())
    })
}

#[test]
fn a_frame_has_the_header_in_front_and_is_cut_to_the_blocks() -> Outcome {
    inside("a_frame_has_the_header_in_front_and_is_cut_to_the_blocks", |_| {
        let tap = TapFd::open("tap0", TapFlags::VNET_HEADER)?;
        let frame = first_datagram(&tap, 100)?;
        assert_eq!(frame.len(), VNET_HEADER_BYTES + 14 + 20 + 8 + 100);
        assert_eq!(frame[VNET_HEADER_BYTES + 12..][..2], [0x08, 0x00], "an IPv4 frame");
        send_datagram(100)?;
        wait_readable(&tap)?;
        let (mut header, mut start) = ([0; VNET_HEADER_BYTES], [0; 20]);
        let mut blocks = [IoSliceMut::new(&mut header), IoSliceMut::new(&mut start)];
        assert_eq!(readv(&tap, &mut blocks)?, VNET_HEADER_BYTES + 20);
        assert_eq!(read(&tap, &mut [0; 64][..]), Err(Errno::AGAIN));
        Ok(())
    })
}

#[test]
fn a_tap_that_is_down_refuses_frames_with_eio() -> Outcome {
    inside("a_tap_that_is_down_refuses_frames_with_eio", |_| {
        let tap = TapFd::open("tap0", TapFlags::NONE)?;
        assert_eq!(write(&tap, &[0; 64]), Err(Errno::IO));
        assert_eq!(read(&tap, &mut [0; 64][..]), Err(Errno::AGAIN));
        Netlink::open()?.set_up("tap0", true)?;
        assert_eq!(write(&tap, &[0; 64])?, 64);
        let waiting = first_datagram(&tap, 100)?;
        send_datagram(100)?;
        Netlink::open()?.set_up("tap0", false)?;
        assert_eq!(read(&tap, &mut [0; 200][..])?, waiting.len());
        assert_eq!(read(&tap, &mut [0; 200][..]), Err(Errno::AGAIN));
        Ok(())
    })
}

#[test]
fn a_deleted_tap_fails_with_ebadfd_and_poll_says_error() -> Outcome {
    inside("a_deleted_tap_fails_with_ebadfd_and_poll_says_error", |_| {
        let tap = TapFd::open("tap0", TapFlags::VNET_HEADER)?;
        let mut netlink = Netlink::open()?;
        netlink.set_up("tap0", true)?;
        netlink.delete_link("tap0")?;
        assert_eq!(read(&tap, &mut [0; 64][..]), Err(Errno::BADFD));
        assert_eq!(write(&tap, &[0; 64]), Err(Errno::BADFD));
        assert!(poll_now(&tap)?.contains(PollFlags::ERR));
        assert!(tap.set_offloads(TapOffloads::ALL).unwrap_err().to_string().contains("tap0"));
        Ok(())
    })
}

#[test]
fn a_read_that_waits_on_a_deleted_tap_returns_efault() -> Outcome {
    inside("a_read_that_waits_on_a_deleted_tap_returns_efault", |_| {
        let tap = TapFd::open("tap0", TapFlags::NONE)?;
        tap.set_nonblocking(false)?;
        let mut netlink = Netlink::open()?;
        netlink.set_up("tap0", true)?;
        let (about_to_read, reader) = mpsc::channel();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let _ = about_to_read.send(rustix::thread::gettid());
                read(&tap, &mut [0; 64][..])
            });
            let thread_id = reader.recv()?;
            let state = format!("/proc/self/task/{}/stat", thread_id.as_raw_nonzero());
            wait_until(|| Ok(std::fs::read_to_string(&state)?.contains(") S ")))?;
            netlink.delete_link("tap0")?;
            let outcome = waiting.join().map_err(|_| "the reader panicked")?;
            assert_eq!(outcome, Err(Errno::FAULT));
            Ok(())
        })
    })
}

#[test]
fn a_multi_queue_tap_opens_further_queues_and_keeps_its_offloads() -> Outcome {
    inside("a_multi_queue_tap_opens_further_queues_and_keeps_its_offloads", |_| {
        let tap = TapFd::open("tap0", TapFlags::VNET_HEADER | TapFlags::MULTI_QUEUE)?;
        tap.set_offloads(TapOffloads::ALL)?;
        let second = tap.open_queue()?;
        assert_eq!((second.name(), second.flags()), (tap.name(), tap.flags()));
        let tun = Netlink::open()?.link("tap0")?.tun.ok_or("no TAP")?;
        assert_eq!(tun.queues, 2);
        let single = TapFd::open("tap1", TapFlags::NONE)?;
        assert!(matches!(single.open_queue(), Err(TapError::Busy { .. })));
        Ok(())
    })
}

/// Sends a datagram out of `tap` and returns its frame, or the first fragment of it.
fn first_datagram(tap: &TapFd, payload_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut netlink = Netlink::open()?;
    netlink.replace_address(tap.name(), "10.1.0.1/24".parse()?)?;
    netlink.set_up(tap.name(), true)?;
    wait_for_link(&mut netlink, tap.name(), |link| link.has_carrier)?;
    send_datagram(payload_bytes)?;
    wait_readable(tap)?;
    let mut frame = vec![0; 70_000];
    let length = read(tap, &mut frame[..])?;
    frame.truncate(length);
    Ok(frame)
}

/// To the broadcast address: no neighbour has to be resolved first.
fn send_datagram(payload_bytes: usize) -> Outcome {
    let socket = UdpSocket::bind("10.1.0.1:0")?;
    socket.set_broadcast(true)?;
    socket.send_to(&vec![0x5a; payload_bytes], "10.1.0.255:9")?;
    Ok(())
}

/// The sum over pseudo-header, UDP header and payload of an IPv4 packet without options and with an
/// even number of bytes: 0xffff if the checksum is right (RFC 768).
fn udp_checksum_over(packet: &[u8]) -> u16 {
    let udp_bytes = (packet.len() - 20) as u32;
    let words =
        packet[12..].chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.sum::<u32>() + 17 + udp_bytes;
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

fn wait_readable(tap: &TapFd) -> Outcome {
    wait_until(|| Ok(poll_now(tap)?.contains(PollFlags::IN)))
}

fn poll_now(tap: &TapFd) -> Result<PollFlags, Errno> {
    let mut wanted = [PollFd::new(tap, PollFlags::IN)];
    poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(wanted[0].revents())
}
