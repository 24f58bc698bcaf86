//! A flow of the kernel and one of the stack over the same bad link: the kernel's is forwarded by
//! the stack, the other one begins in it. The kernel at the right takes both.

use crate::lab::{RIGHT, Router};
use millstream_modules::impair::Impair;
use nix::sys::socket::{setsockopt, sockopt::TcpCongestion};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A link as `impair` makes it, at the right of the router.
type Link = &'static [(&'static str, &'static str)];

const SLOW: Link = &[("rate", "20mbit"), ("delay", "10ms"), ("queue", "100k")];
/// Links of the table, by names.
const LINKS: [(&str, Link); 4] = [
    ("20 Mbit/s, 20 ms", SLOW),
    ("loss 0.1%, 20 ms", &[("rate", "100mbit"), ("delay", "10ms"), ("loss", "0.1%")]),
    ("loss 1%, 20 ms", &[("rate", "100mbit"), ("delay", "10ms"), ("loss", "1%")]),
    (
        "bursts of loss 1%, 20 ms",
        &[("rate", "100mbit"), ("delay", "10ms"), ("loss", "1%"), ("burst", "4")],
    ),
];

fn impaired(test: &str, link: Link) -> Option<Router> {
    let router = Router::new(test, &[], 1500)?;
    let made = router.stack.handle().call(move |shard| {
        let core = shard.core();
        let tap = core.find("tap2").expect("the right link");
        core.insert(tap, 0, Box::new(Impair::new()))?;
        // On their way down to the right; acknowledgements come back late and whole.
        let both = |key: &str| key == "delay";
        link.iter().try_for_each(|(key, value)| {
            let key = if both(key) { (*key).to_owned() } else { format!("down.{key}") };
            core.set(tap, 0, &key, value)
        })
    });
    made.unwrap().unwrap();
    Some(router)
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Kernel,
    Stack,
}

/// Octets that the kernel at the right took of each flow in this time, both at once.
fn takes(router: &Router, who: &[Who], time: Duration) -> Vec<u64> {
    let stop = AtomicBool::new(false);
    let counts: Vec<AtomicU64> = who.iter().map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for (who, count) in who.iter().zip(&counts) {
            let listener = router.right.run(|| TcpListener::bind((RIGHT, 0))).unwrap().unwrap();
            let there = listener.local_addr().unwrap();
            let mut out: Box<dyn Write + Send> = match who {
                Who::Kernel => {
                    let dial = || std::net::TcpStream::connect(there);
                    let stream = router.left.run(dial).unwrap().unwrap();
                    setsockopt(&stream, TcpCongestion, &"cubic".into()).unwrap();
                    stream.set_write_timeout(Some(TICK)).unwrap();
                    Box::new(stream)
                }
                Who::Stack => {
                    let stream = millstream::TcpStream::connect(&router.stack, there).unwrap();
                    stream.set_write_timeout(Some(TICK)).unwrap();
                    Box::new(stream)
                }
            };
            let (mut taken, _) = listener.accept().unwrap();
            taken.set_read_timeout(Some(TICK)).unwrap();
            scope.spawn({
                let stop = &stop;
                move || {
                    let data = vec![7; 65_536];
                    while !stop.load(Ordering::Relaxed) {
                        // Full until the next acknowledgement.
                        let _full = out.write(&data);
                    }
                }
            });
            let stop = &stop;
            scope.spawn(move || {
                let mut data = vec![0; 65_536];
                while !stop.load(Ordering::Relaxed) {
                    let n = taken.read(&mut data).unwrap_or(0);
                    count.fetch_add(n as u64, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
}

#[test]
fn tcp_and_a_flow_of_the_kernel_share_a_bad_link_and_neither_starves() {
    let test = "tcp_and_a_flow_of_the_kernel_share_a_bad_link_and_neither_starves";
    let Some(router) = impaired(test, SLOW) else { return };
    let got = takes(&router, &[Who::Kernel, Who::Stack], Duration::from_secs(8));
    println!("kernel {} kB, stack {} kB", got[0] / 1000, got[1] / 1000);
    let least = got.iter().sum::<u64>() / 10;
    assert!(got.iter().all(|octets| *octets > least), "a tenth is {least}: {got:?}");
}

/// Not a test of speed: it prints a table. `cargo test -p millstream --test live_judges --release
/// -- --ignored --nocapture bad_links`
#[test]
#[ignore = "prints a table, minutes"]
fn tcp_and_linux_one_after_the_other_over_bad_links() {
    for (name, link) in LINKS {
        let Some(router) = impaired("bad links", link) else { return };
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..5 {
            for (who, runs) in [Who::Kernel, Who::Stack].into_iter().zip(&mut runs) {
                let got = takes(&router, &[who], Duration::from_secs(4))[0];
                runs.push(got as f64 * 8.0 / 4e6);
            }
        }
        let [kernel, stack] = runs.map(|mut runs| {
            runs.sort_by(f64::total_cmp);
            format!("{:6.2} ({:.2} to {:.2})", runs[2], runs[0], runs[4])
        });
        println!("{name:26} kernel {kernel} stack {stack} Mbit/s");
    }
}

/// How long a blocked end waits before it looks whether the time is over.
const TICK: Duration = Duration::from_millis(100);
