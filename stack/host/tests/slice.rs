//! A frame from the kernel through the TAP to an answer.

use millstream_drivers::netlink::{Netlink, Prefix};
use millstream_drivers::netns::Netns;
use millstream_host::plan::{Interface, Line, Plan};
use std::process::Command;

#[test]
fn the_kernel_pings_the_stack() {
    let Ok(netns) = Netns::new() else {
        eprintln!("skipped: the_kernel_pings_the_stack: no right to make a network namespace");
        return;
    };
    netns
        .run(|| {
            let prefix: Prefix = "10.9.0.1/24".parse().unwrap();
            let ours: Prefix = "10.9.0.2/24".parse().unwrap();
            let line = Line::Tap { name: "tap0".into(), host: vec![prefix], plain: false };
            let plan = Plan {
                interfaces: vec![Interface { line, addresses: vec![ours] }],
                ..Plan::default()
            };
            let mut stack = plan.build().unwrap();
            let handle = stack.shard.handle();
            let _ = Netlink::open().unwrap();
            std::thread::scope(|s| {
                s.spawn(|| stack.shard.run(|n| eprintln!("{n:?}")).unwrap());
                let out = Command::new("ping").args(["-c", "3", "-i", "0.2", "10.9.0.2"]).output();
                println!("{out:?}");
                handle.stop();
            });
        })
        .unwrap();
}
