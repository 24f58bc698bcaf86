//! live_raw: raw sockets on veth pairs, with the kernel or another raw socket at the other end.
//!
//! Each test makes namespaces of its own and leaves nothing behind. Where it may not it prints
//! `skipped: <test>: <reason>` and passes.

mod common;

use common::{DEADLINE, Failure, Outcome, wait_until};
use millstream_core::{Device, Errno};
use millstream_drivers::netlink::Netlink;
use millstream_drivers::netns::Netns;
use millstream_drivers::{Raw, RawError, interfaces};
use millstream_msg::{Gso, Msg, MsgList, Pool, PoolConfig};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};

#[test]
fn a_super_datagram_of_the_kernel_comes_whole_and_leaves_whole() -> Outcome {
    on_veth("a_super_datagram_of_the_kernel_comes_whole_and_leaves_whole", |far| {
        let mut netlink = Netlink::open()?;
        netlink.create_veth("left0", "right0", None)?;
        for name in ["left0", "right0"] {
            netlink.set_up(name, true)?;
        }
        operational("left0")?;
        let mut pool = Pool::new(PoolConfig::STACK);
        let (mut near, mut left) = (Raw::open("near0", Some(MAC))?, Raw::open("left0", None)?);
        let mut right = Raw::open("right0", None)?;
        far.run(|| broadcast(20 * 1000, Some(1000)))??;
        let came = next_udp(&mut near, &mut pool)?;
        let bytes = flat(&came);
        assert_eq!(came.offload().gso, Gso::Udp, "as one frame: {:?}", came.offload());
        assert_eq!(came.offload().packets(came.len()), 20);
        assert!(bytes[42..] == *pattern(20 * 1000), "with its bytes in order");
        let mut batch: MsgList = [came].into_iter().collect();
        left.send(&mut batch)?;
        let gone = next_udp(&mut right, &mut pool)?;
        assert_eq!((gone.offload().gso, gone.offload().gso_size), (Gso::Udp, 1000));
        assert!(flat(&gone)[14..] == bytes[14..], "as it was sent");
        Ok(())
    })
}

#[test]
fn what_this_end_sends_does_not_come_back_to_it() -> Outcome {
    on_veth("what_this_end_sends_does_not_come_back_to_it", |far| {
        let mut pool = Pool::new(PoolConfig::STACK);
        let mut near = Raw::open("near0", Some(MAC))?;
        let mut other = far.run(|| Raw::open("far0", None))??;
        let mut batch: MsgList = [test_frame(&mut pool, b'a')].into_iter().collect();
        near.send(&mut batch)?;
        let mut batch: MsgList = [test_frame(&mut pool, b'b')].into_iter().collect();
        other.send(&mut batch)?;
        assert_eq!(flat(&next_of_ours(&mut other, &mut pool)?)[14], b'a');
        assert_eq!(flat(&next_of_ours(&mut near, &mut pool)?)[14], b'b', "its own came first");
        Ok(())
    })
}

#[test]
fn frames_for_other_stations_stay_outside() -> Outcome {
    on_veth("frames_for_other_stations_stay_outside", |far| {
        let mut pool = Pool::new(PoolConfig::STACK);
        let kernels = Netlink::open()?.link("near0")?.mac.ok_or("no address")?;
        let mut other = far.run(|| Raw::open("far0", None))??;
        for (ours, strangers) in [(Some(MAC), kernels), (None, MAC)] {
            for open in [Raw::open, Raw::open_plain] {
                let mut near = open("near0", ours)?;
                let group = [0x01, 0, 0x5e, 0, 0, 9];
                let almost = [MAC[0], MAC[1], MAC[2], MAC[3], MAC[4], MAC[5] ^ 1];
                let to = [strangers, almost, near.caps().mac, strangers, group, [0xff; 6]];
                let frame = |(mark, to): (u8, [u8; 6])| {
                    let mut frame = test_frame(&mut pool, mark);
                    frame.first_mut().unwrap()[..6].copy_from_slice(&to);
                    frame
                };
                let mut batch: MsgList = (0..).zip(to).map(frame).collect();
                other.send(&mut batch)?;
                for mark in [2, 4, 5] {
                    assert_eq!(flat(&next_of_ours(&mut near, &mut pool)?)[14], mark);
                }
            }
        }
        Ok(())
    })
}

#[test]
fn frames_that_the_socket_had_no_room_for_are_counted() -> Outcome {
    on_veth("frames_that_the_socket_had_no_room_for_are_counted", |far| {
        const SENT: usize = 40_000;
        let mut pool = Pool::new(PoolConfig::STACK);
        let mut near = Raw::open("near0", Some(MAC))?;
        let mut other = far.run(|| Raw::open("far0", None))??;
        for _ in 0..SENT {
            let mut batch: MsgList = [test_frame(&mut pool, b'x')].into_iter().collect();
            other.send(&mut batch)?;
        }
        // What the other end's interface refused never came here.
        let refused = other.take_dropped() as usize;
        let (mut came, mut dropped) = (0, 0);
        wait_until(|| {
            let mut out = MsgList::new();
            near.recv(&mut pool, &mut out, 16)?;
            came += out.iter().filter(|frame| flat(frame)[12..14] == EXPERIMENTAL).count();
            out.for_each(|frame| pool.free(frame));
            dropped += near.take_dropped() as usize;
            Ok(came + dropped + refused >= SENT)
        })?;
        assert!(came > 0 && dropped > 0, "{came} came, {dropped} dropped, {refused} refused");
        Ok(())
    })
}

#[test]
fn an_interface_switched_off_loses_frames_and_goes_on_when_it_is_back() -> Outcome {
    on_veth("an_interface_switched_off_loses_frames_and_goes_on_when_it_is_back", |far| {
        let mut pool = Pool::new(PoolConfig::STACK);
        for open in [Raw::open, Raw::open_plain] {
            let mut near = open("near0", Some(MAC))?;
            let mut other = far.run(|| Raw::open("far0", None))??;
            let mut netlink = Netlink::open()?;
            netlink.set_up("near0", false)?;
            let mut out = MsgList::new();
            assert_eq!(near.recv(&mut pool, &mut out, 8)?, 0);
            let mut batch: MsgList = [test_frame(&mut pool, b'x')].into_iter().collect();
            near.send(&mut batch)?;
            assert_eq!((batch.len(), near.take_dropped()), (0, 1));
            netlink.set_up("near0", true)?;
            operational("near0")?;
            far.run(|| operational("far0"))??;
            let mut batch: MsgList = [test_frame(&mut pool, b'y')].into_iter().collect();
            near.send(&mut batch)?;
            assert_eq!(flat(&next_of_ours(&mut other, &mut pool)?)[14], b'y');
            let mut batch: MsgList = [test_frame(&mut pool, b'z')].into_iter().collect();
            other.send(&mut batch)?;
            assert_eq!(flat(&next_of_ours(&mut near, &mut pool)?)[14], b'z');
        }
        Ok(())
    })
}

#[test]
fn a_deleted_interface_is_told_whether_it_was_up_or_down() -> Outcome {
    on_veth("a_deleted_interface_is_told_whether_it_was_up_or_down", |_| {
        let mut pool = Pool::new(PoolConfig::STACK);
        for (open, up) in [(Raw::open as Open, true), (Raw::open, false), (Raw::open_plain, true)] {
            let mut netlink = Netlink::open()?;
            netlink.create_veth("gone0", "gone1", None)?;
            netlink.set_up("gone0", true)?;
            let mut raw = open("gone0", None)?;
            let watch = raw.watch()?;
            let mut out = MsgList::new();
            if !up {
                netlink.set_up("gone0", false)?;
                assert_eq!(raw.recv(&mut pool, &mut out, 8)?, 0);
            }
            netlink.delete_link("gone0")?;
            wait_until(|| is_readable(&watch))?;
            assert_eq!(raw.recv(&mut pool, &mut out, 8), Err(Errno::ENODEV), "up: {up}");
            let mut batch: MsgList = [test_frame(&mut pool, b'x')].into_iter().collect();
            assert_eq!(raw.send(&mut batch), Err(Errno::ENXIO));
            assert_eq!(batch.len(), 1, "the driver counts it");
        }
        Ok(())
    })
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_remedy() -> Outcome {
    on_veth("what_cannot_be_taken_is_refused_with_the_remedy", |_| {
        assert_eq!(interfaces(), ["lo", "near0"]);
        let refused = |name| Raw::open(name, None).unwrap_err().to_string();
        assert!(refused("eth7").ends_with("there are: lo, near0"), "{}", refused("eth7"));
        assert!(refused("lo").contains("does not carry Ethernet"), "{}", refused("lo"));
        assert!(refused("a/b").contains("'/'"));
        Netlink::open()?.set_up("near0", false)?;
        assert!(refused("near0").contains("ip link set near0 up"), "{}", refused("near0"));
        assert!(matches!(Raw::open_plain("near0", None), Err(RawError::Down { .. })));
        Ok(())
    })
}

#[test]
fn frames_for_another_address_come_by_membership_and_it_ends_with_the_device() -> Outcome {
    let test = "frames_for_another_address_come_by_membership_and_it_ends_with_the_device";
    on_veth(test, |_| {
        let mut netlink = Netlink::open()?;
        let raw = Raw::open("near0", Some(MAC))?;
        assert_eq!(raw.caps().mac, MAC);
        assert_eq!(netlink.link("near0")?.promiscuity, 1);
        drop(raw);
        let raw = Raw::open("near0", None)?;
        let link = netlink.link("near0")?;
        assert_eq!((Some(raw.caps().mac), link.promiscuity), (link.mac, 0));
        Ok(())
    })
}

type Open = fn(&str, Option<[u8; 6]>) -> Result<Raw, RawError>;

/// Runs a test in a namespace with `near0`, which leads to `far0` in another one, with the address
/// 10.9.0.1/24.
fn on_veth(test: &str, body: impl FnOnce(&Netns) -> Outcome + Send) -> Outcome {
    let (near, far) = match (Netns::new(), Netns::new()) {
        (Ok(near), Ok(far)) => (near, far),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("skipped: {test}: {why}");
            return Ok(());
        }
    };
    near.run(|| {
        Netlink::open()?.create_veth("near0", "far0", Some(far.as_fd()))?;
        Netlink::open()?.set_up("near0", true)?;
        far.run(|| -> Outcome {
            let mut netlink = Netlink::open()?;
            netlink.replace_address("far0", "10.9.0.1/24".parse()?)?;
            netlink.set_up("far0", true)?;
            operational("far0")
        })??;
        operational("near0")?;
        body(&far)
    })?
}

/// Waits until frames pass an interface of the calling thread's namespace.
fn operational(name: &str) -> Outcome {
    let link = Netlink::open()?.wait_operational(name, DEADLINE)?;
    assert!(link.is_operational && link.has_carrier, "{link:?}");
    Ok(())
}

/// Sends a datagram, or a super-datagram of pieces of so many bytes, to everybody: no neighbour
/// has to be resolved first.
fn broadcast(bytes: usize, pieces: Option<i32>) -> Outcome {
    let socket = UdpSocket::bind("10.9.0.1:0")?;
    socket.set_broadcast(true)?;
    if let Some(pieces) = pieces {
        setsockopt(&socket, sockopt::UdpGsoSegment, &pieces)?;
    }
    socket.send_to(&pattern(bytes), "10.9.0.255:9")?;
    Ok(())
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// The next IPv4 frame with UDP in it.
fn next_udp(raw: &mut Raw, pool: &mut Pool) -> Result<Msg, Failure> {
    next(raw, pool, |bytes| bytes[12..14] == [8, 0] && bytes[23] == 17)
}

/// The next frame that [`test_frame`] made.
fn next_of_ours(raw: &mut Raw, pool: &mut Pool) -> Result<Msg, Failure> {
    next(raw, pool, |bytes| bytes[12..14] == EXPERIMENTAL)
}

fn next(raw: &mut Raw, pool: &mut Pool, wanted: impl Fn(&[u8]) -> bool) -> Result<Msg, Failure> {
    let mut found = None;
    wait_until(|| {
        let mut out = MsgList::new();
        raw.recv(pool, &mut out, 1)?;
        found = out.pop().filter(|frame| wanted(&flat(frame)));
        Ok(found.is_some())
    })?;
    Ok(found.ok_or("no frame")?)
}

/// A frame to everybody that nobody but these tests knows.
fn test_frame(pool: &mut Pool, mark: u8) -> Msg {
    let mut bytes = vec![mark; 60];
    bytes[..6].fill(0xff);
    bytes[6..12].copy_from_slice(&MAC);
    bytes[12..14].copy_from_slice(&EXPERIMENTAL);
    pool.copy_from(64, &bytes).unwrap()
}

fn flat(frame: &Msg) -> Vec<u8> {
    frame.cursor().chunks().flatten().copied().collect()
}

fn is_readable(fd: &OwnedFd) -> Result<bool, Failure> {
    let mut wanted = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(wanted[0].revents().contains(PollFlags::IN))
}

const MAC: [u8; 6] = [2, 0, 0, 0, 9, 2];
/// Local Experimental EtherType 1 (IEEE 802).
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];
