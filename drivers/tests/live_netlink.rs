//! live_netlink: links, addresses, routes and namespaces against the running kernel.
//!
//! Each test makes namespaces of its own and leaves nothing behind. Without root or /dev/net/tun a
//! test prints `skipped: <test>: <reason>` and passes.

mod common;

use common::{DEADLINE, Failure, Outcome, inside, live, wait_for_link, wait_until};
use millstream_drivers::netlink::{Netlink, NetlinkError, Via};
use millstream_drivers::netns::{Netns, NetnsError};
use millstream_drivers::tun::{TapFd, TapFlags};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

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
        let source_towards = |to: &str| -> Result<IpAddr, Failure> {
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
