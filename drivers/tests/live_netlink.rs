//! live_netlink: TAP interfaces, links, addresses and routes against the running kernel.
//!
//! Each test makes namespaces of its own and leaves nothing behind. Without root or /dev/net/tun a test
//! prints `skipped: <test>: <reason>` and passes.

use millstream_drivers::netlink::{Link, Netlink, NetlinkError, Via};
use millstream_drivers::netns::{Netns, NetnsError};
use millstream_drivers::tun::{TapError, TapFd, TapFlags, TapOffloads, VNET_HEADER_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, readv, write};
use std::error::Error;
use std::io::IoSliceMut;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[test]
fn a_tap_takes_mtu_queue_length_mac_and_addresses_and_tells_them() -> Outcome {
    inside("a_tap_takes_mtu_queue_length_mac_and_addresses_and_tells_them", |_| {
        let _tap = TapFd::open("tap0", TapFlags::VNET_HEADER)?;
        let mut netlink = Netlink::open()?;
        let born = netlink.link("tap0")?;
        assert!(!born.is_up && born.tun.is_some_and(|tun| tun.is_tap && tun.has_vnet_header));
        netlink.set_mtu("tap0", 9000)?;
        netlink.set_tx_queue_frames("tap0", 4321)?;
        netlink.set_mac("tap0", [2, 0, 0, 1, 2, 3])?;
        netlink.replace_address("tap0", "10.1.0.1/24".parse()?)?;
        netlink.replace_address("tap0", "10.1.0.1/24".parse()?)?;
        netlink.set_up("tap0", true)?;
        let link = wait_for_link(&mut netlink, "tap0", |link| link.is_up && link.has_carrier)?;
        assert_eq!((link.mtu_bytes, link.tx_queue_frames), (9000, 4321));
        assert_eq!(link.mac, Some([2, 0, 0, 1, 2, 3]));
        assert_eq!(netlink.addresses("tap0")?, ["10.1.0.1/24".parse()?]);
        netlink.set_up("tap0", false)?;
        assert!(!netlink.link("tap0")?.is_up);
        Ok(())
    })
}

#[test]
fn a_fresh_namespace_has_only_lo_and_lo_is_up() -> Outcome {
    inside("a_fresh_namespace_has_only_lo_and_lo_is_up", |_| {
        let links = Netlink::open()?.links()?;
        assert_eq!(links.len(), 1);
        assert!(links[0].name == "lo" && links[0].is_up);
        UdpSocket::bind("127.0.0.1:0")?;
        Ok(())
    })
}

#[test]
fn ipv6_is_refused_until_enabled_and_then_usable_at_once() -> Outcome {
    inside("ipv6_is_refused_until_enabled_and_then_usable_at_once", |namespace| {
        let _tap = TapFd::open("tap0", TapFlags::NONE)?;
        let mut netlink = Netlink::open()?;
        if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
            return Ok(()); // A kernel without IPv6.
        }
        let refused = netlink.replace_address("tap0", "fd00::1/64".parse()?).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "{refused}");
        namespace.enable_ipv6("tap0")?;
        netlink.set_up("tap0", true)?;
        netlink.replace_address("tap0", "fd00::1/64".parse()?)?;
        assert_eq!(netlink.addresses("tap0")?, ["fd00::1/64".parse()?]);
        UdpSocket::bind("[fd00::1]:0")?;
        netlink.replace_route("fd01::/48".parse()?, Via::Gateway("fd00::2".parse()?))?;
        Ok(())
    })
}

#[test]
fn routes_decide_which_own_address_is_used() -> Outcome {
    inside("routes_decide_which_own_address_is_used", |_| {
        let _taps = [TapFd::open("tap0", TapFlags::NONE)?, TapFd::open("tap1", TapFlags::NONE)?];
        let mut netlink = Netlink::open()?;
        for (name, address) in [("tap0", "10.1.0.1/24"), ("tap1", "10.2.0.1/24")] {
            netlink.replace_address(name, address.parse()?)?;
            netlink.set_up(name, true)?;
        }
        let source_towards = |to: &str| -> Result<IpAddr, Box<dyn Error + Send + Sync>> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect((to, 9))?;
            Ok(socket.local_addr()?.ip())
        };
        assert!(source_towards("192.0.2.1").is_err(), "no default route yet");
        netlink.replace_route("0.0.0.0/0".parse()?, Via::Gateway("10.1.0.2".parse()?))?;
        netlink.replace_route("198.51.100.7/24".parse()?, Via::Interface("tap1"))?;
        let gateway = Via::GatewayOn("10.2.0.2".parse()?, "tap1");
        netlink.replace_route("203.0.113.0/24".parse()?, gateway)?;
        assert_eq!(source_towards("192.0.2.1")?.to_string(), "10.1.0.1");
        assert_eq!(source_towards("198.51.100.9")?.to_string(), "10.2.0.1");
        assert_eq!(source_towards("203.0.113.9")?.to_string(), "10.2.0.1");
        let nowhere = Via::Gateway("172.31.0.1".parse()?);
        let refused = netlink.replace_route("203.0.113.0/25".parse()?, nowhere).unwrap_err();
        assert!(refused.to_string().contains("203.0.113.0/25"), "{refused}");
        assert!(refused.to_string().contains("invalid gateway"), "kernel's own words: {refused}");
        Ok(())
    })
}

#[test]
fn a_veth_pair_spans_two_namespaces_and_goes_with_one_end() -> Outcome {
    inside("a_veth_pair_spans_two_namespaces_and_goes_with_one_end", |_| {
        let far = Netns::new()?;
        let mut netlink = Netlink::open()?;
        netlink.create_veth("ve0", "ve1", Some(far.as_fd()))?;
        let mut far_netlink = far.run(Netlink::open)??;
        for (netlink, name, address) in
            [(&mut netlink, "ve0", "10.3.0.1/24"), (&mut far_netlink, "ve1", "10.3.0.2/24")]
        {
            netlink.replace_address(name, address.parse()?)?;
            netlink.set_up(name, true)?;
        }
        wait_for_link(&mut netlink, "ve0", |link| link.has_carrier)?;
        let (near_socket, far_socket) =
            (UdpSocket::bind("10.3.0.1:0")?, far.run(|| UdpSocket::bind("10.3.0.2:0"))??);
        far_socket.set_read_timeout(Some(DEADLINE))?;
        near_socket.send_to(b"over", far_socket.local_addr()?)?;
        assert_eq!(far_socket.recv(&mut [0; 16])?, 4);
        let taken = netlink.create_veth("ve0", "ve2", None).unwrap_err();
        assert_eq!(taken.raw_os_error(), Some(libc::EEXIST), "{taken}");
        netlink.delete_link("ve0")?;
        wait_until(|| Ok(far_netlink.link("ve1").is_err()))
    })
}

#[test]
fn an_interface_moves_to_another_namespace() -> Outcome {
    inside("an_interface_moves_to_another_namespace", |_| {
        let far = Netns::new()?;
        let mut netlink = Netlink::open()?;
        netlink.create_veth("ve0", "ve1", None)?;
        netlink.move_to("ve1", far.as_fd())?;
        let missing = netlink.link("ve1").unwrap_err();
        assert!(matches!(missing, NetlinkError::NoInterface { .. }), "{missing}");
        assert_eq!(far.run(|| Netlink::open()?.link("ve1"))??.kind.as_deref(), Some("veth"));
        Ok(())
    })
}

#[test]
fn refusals_name_the_interface() -> Outcome {
    inside("refusals_name_the_interface", |_| {
        let mut netlink = Netlink::open()?;
        for refused in [
            netlink.set_up("tap9", true).unwrap_err(),
            netlink.delete_link("tap9").unwrap_err(),
            netlink.replace_address("tap9", "10.0.0.1/8".parse()?).unwrap_err(),
        ] {
            assert!(matches!(refused, NetlinkError::NoInterface { .. }), "{refused}");
            assert!(refused.to_string().contains("tap9"), "{refused}");
        }
        let _tap = TapFd::open("tap0", TapFlags::NONE)?;
        let refused = netlink.set_mtu("tap0", 1_000_000).unwrap_err().to_string();
        assert!(refused.starts_with("cannot set the MTU of tap0: Invalid argument"), "{refused}");
        assert!(refused.ends_with("mtu greater than device maximum"), "{refused}");
        assert!(netlink.set_up("a/b", true).unwrap_err().to_string().contains("a/b"));
        Ok(())
    })
}

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

#[test]
fn variables_outside_the_namespace_and_unknown_ones_are_refused() -> Outcome {
    inside("variables_outside_the_namespace_and_unknown_ones_are_refused", |namespace| {
        namespace.sysctl("net/ipv4/ip_forward", "1")?;
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?.trim(), "1");
        for path in ["kernel/hostname", "net/../kernel/hostname", "/proc/sys/net/ipv4/ip_forward"] {
            let refused = namespace.sysctl(path, "x").unwrap_err();
            assert!(matches!(refused, NetnsError::BadSysctl { .. }), "{refused}");
        }
        let unknown = namespace.sysctl("net/ipv4/no_such_variable", "1").unwrap_err();
        assert!(unknown.to_string().contains("net/ipv4/no_such_variable"), "{unknown}");
        Ok(())
    })
}

#[test]
fn a_namespace_is_found_by_file_and_other_files_are_refused() -> Outcome {
    inside("a_namespace_is_found_by_file_and_other_files_are_refused", |_| {
        let task = format!("/proc/self/task/{}/ns/net", rustix::thread::gettid().as_raw_nonzero());
        TapFd::open("tap0", TapFlags::NONE)?.set_persistent(true)?;
        let again = Netns::named(&task)?;
        assert_eq!(again.run(|| Netlink::open()?.link("tap0"))??.name, "tap0");
        let wrong = Netns::named("/proc/self/ns/uts").unwrap_err();
        assert!(matches!(wrong, NetnsError::NotANamespace), "{wrong}");
        let missing = Netns::named("no-such-namespace").unwrap_err().to_string();
        assert!(missing.contains("/run/netns/no-such-namespace"), "{missing}");
        Ok(())
    })
}

#[test]
fn a_panic_inside_a_namespace_reaches_the_caller() {
    let name = "a_panic_inside_a_namespace_reaches_the_caller";
    if !live(name) {
        return;
    }
    let namespace = Netns::new().expect("root makes namespaces");
    let caught = std::panic::catch_unwind(|| namespace.run(|| panic!("from inside")));
    let payload = caught.err().and_then(|panic| panic.downcast::<&str>().ok());
    assert_eq!(payload.as_deref(), Some(&"from inside"));
}

/// Runs a test in a namespace of its own, which is also handed to it.
fn inside(test: &str, body: impl FnOnce(&Netns) -> Outcome + Send) -> Outcome {
    if !live(test) {
        return Ok(());
    }
    let namespace = Netns::new()?;
    namespace.run(|| body(&namespace))?
}

/// Whether this machine lets us make TAPs; prints why not.
fn live(test: &str) -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "not root"
    } else if !std::path::Path::new("/dev/net/tun").exists() {
        "no /dev/net/tun"
    } else {
        return true;
    };
    eprintln!("skipped: {test}: {reason}");
    false
}

/// Sends a datagram out of `tap` and returns its frame, or the first fragment of it.
fn first_datagram(
    tap: &TapFd,
    payload_bytes: usize,
) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
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

fn wait_for_link(
    netlink: &mut Netlink,
    name: &str,
    ready: impl Fn(&Link) -> bool,
) -> Result<Link, Box<dyn Error + Send + Sync>> {
    wait_until(|| Ok(ready(&netlink.link(name)?)))?;
    Ok(netlink.link(name)?)
}

fn wait_until(mut ready: impl FnMut() -> Result<bool, Box<dyn Error + Send + Sync>>) -> Outcome {
    let end = Instant::now() + DEADLINE;
    while !ready()? {
        if Instant::now() > end {
            return Err("the state did not come within the deadline".into());
        }
        thread::yield_now();
    }
    Ok(())
}

/// Far above what any of the awaited states takes, also on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(10);
