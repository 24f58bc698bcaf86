//! A frame from the kernel through the TAP to an answer.

use millstream_drivers::KernelPing;
use millstream_drivers::netns::Netns;
use millstream_host::plan::{Interface, Line, Plan};
use std::net::Ipv4Addr;
use std::time::Duration;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

#[test]
fn the_kernel_pings_the_stack_with_packets_of_all_sizes() {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: the_kernel_pings_the_stack: {why}"),
    };
    netns
        .run(|| {
            let host = vec!["10.9.0.1/24".parse().unwrap()];
            let line = Line::Tap { name: "tap0".into(), host, plain: false };
            let tap = Interface { line, addresses: vec!["10.9.0.2/24".parse().unwrap()] };
            let plan = Plan { interfaces: vec![tap], ..Plan::default() };
            let stack = match plan.build() {
                Ok(stack) => stack,
                Err(why) => return eprintln!("skipped: the_kernel_pings_the_stack: {why}"),
            };
            let handle = stack.shard.handle();
            std::thread::scope(|s| {
                s.spawn(|| stack.shard.run(|notice| panic!("{notice:?}")));
                let mut ping = KernelPing::open().unwrap();
                for size in [0, 1, 56, 1472, 1473, 20_000, 65_507] {
                    let rtt = ping.ping(OURS, size, Duration::from_secs(5)).unwrap();
                    assert!(rtt.is_some(), "no answer to {size} bytes");
                }
                handle.stop();
            });
        })
        .unwrap();
}
