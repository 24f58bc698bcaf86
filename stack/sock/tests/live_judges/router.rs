//! Two kernels talk through the stack.

use crate::flows::Flow;
use crate::lab::{LEFT, RIGHT, Router, run, said, text};
use millstream_core::PlumbError;
use millstream_modules::impair::Impair;
use std::net::{TcpListener, TcpStream};

#[test]
fn traceroute_shows_the_router_and_the_host_behind_it() {
    let test = "traceroute_shows_the_router_and_the_host_behind_it";
    let Some(router) = Router::new(test, &["traceroute"], 1500) else { return };
    for kind in ["", "-I"] {
        let output = run(&router.left, &format!("traceroute -n {kind} -q 2 -w 5 -m 5 {RIGHT}"));
        let said_so = said(&output);
        let hop = |n: &str| {
            let line =
                text(&output.stdout).lines().find(|l| l.trim().starts_with(n)).map(str::to_owned);
            line.unwrap_or_default().split_whitespace().nth(1).unwrap_or_default().to_owned()
        };
        // Time exceeded by the router, then the host itself.
        assert_eq!((hop("1").as_str(), hop("2").as_str()), ("10.9.1.2", RIGHT), "{said_so}");
    }
    // Port unreachable by the stack itself.
    let output = run(&router.left, "traceroute -n -q 2 -w 5 -m 3 10.9.1.2");
    assert!(text(&output.stdout).contains(" 1  10.9.1.2"), "{}", said(&output));
    assert!(!text(&output.stdout).contains(" 2  "), "{}", said(&output));
}

#[test]
fn a_smaller_mtu_behind_the_router_is_told_rfc1191() {
    let test = "a_smaller_mtu_behind_the_router_is_told_rfc1191";
    let Some(router) = Router::new(test, &["ping"], 1400) else { return };
    // ping -M do is IP_PMTUDISC_DO: the kernel fails the second one by itself (EMSGSIZE).
    let output = run(&router.left, &format!("ping -n -M do -s 1472 -c 2 -i 0.3 -W 5 {RIGHT}"));
    let told = said(&output);
    assert!(told.contains("From 10.9.1.2") && told.contains("mtu = 1400"), "{told}");
    assert!(told.contains("message too long, mtu") && told.contains("mtu=1400"), "{told}");
    let fits = run(&router.left, &format!("ping -n -M do -s 1372 -c 2 -i 0.1 -W 5 {RIGHT}"));
    assert!(text(&fits.stdout).contains("2 received"), "{}", said(&fits));
    // Without the flag the router cuts.
    let cut = run(&router.right, &format!("ping -n -M dont -s 4000 -c 2 -i 0.1 -W 5 {LEFT}"));
    assert!(text(&cut.stdout).contains("2 received"), "{}", said(&cut));
    let cut = run(&router.left, &format!("ping -n -M dont -s 4000 -c 2 -i 0.1 -W 5 {RIGHT}"));
    assert!(text(&cut.stdout).contains("2 received"), "{}", said(&cut));
}

#[test]
fn a_transfer_survives_a_hundred_changes_of_the_line_under_it() {
    let test = "a_transfer_survives_a_hundred_changes_of_the_line_under_it";
    let Some(router) = Router::new(test, &[], 1500) else { return };
    let listener = router.right.run(|| TcpListener::bind((RIGHT, 5001))).unwrap().unwrap();
    let stream = router.left.run(|| TcpStream::connect((RIGHT, 5001))).unwrap().unwrap();
    let flow = Flow::transfer(listener, stream);
    let lines: [&[(&str, &str)]; 5] = [
        &[("cut", "on"), ("delay", "2ms")],
        &[("cut", "on"), ("loss", "2%")],
        &[("cut", "on"), ("delay", "1ms"), ("loss", "1%")],
        &[("cut", "off"), ("delay", "1ms")],
        &[("cut", "on"), ("reorder", "5%"), ("delay", "1ms")],
    ];
    let mut changes = 0;
    for round in 0..60 {
        let tap = if round % 2 == 0 { "tap1" } else { "tap2" };
        let parameters = lines[round % lines.len()];
        plumb(&router, move |core| {
            let link = core.find(tap).ok_or(PlumbError::NoStream)?;
            core.insert(link, 0, Box::new(Impair::new()))?;
            parameters.iter().try_for_each(|&(key, value)| core.set(link, 0, key, value))
        });
        flow.wait_beyond(flow.seen() + MORE);
        plumb(&router, move |core| {
            let link = core.find(tap).ok_or(PlumbError::NoStream)?;
            core.remove(link, 0).map(drop)
        });
        flow.wait_beyond(flow.seen() + MORE);
        changes += 2;
    }
    assert!(changes >= 100);
    let sent = flow.finish();
    println!("{sent} bytes through {changes} changes");
}

fn plumb(
    router: &Router,
    work: impl FnOnce(&mut millstream_core::Perimeter) -> Result<(), PlumbError> + Send + 'static,
) {
    router.stack.handle().call(move |shard| work(shard.core())).unwrap().unwrap();
}

/// A few windows.
const MORE: u64 = 100_000;
