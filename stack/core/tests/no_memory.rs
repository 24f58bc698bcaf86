//! A pool that is empty at every possible allocation: each one of a whole scenario fails once, and
//! nothing panics, nothing is lost without a reason, nothing leaks.

mod common;

use common::{Polite, cells, perimeter, settle};
use millstream_core::ioctl::{Arg, Cred, Progress, Request};
use millstream_core::{Errno, Perimeter, Priority, StreamId};
use millstream_rig::Probe;

/// Errors that a program may see because one allocation failed.
const EXPECTED: [Errno; 2] = [Errno::ENOSR, Errno::EPIPE];

fn may_fail<T>(result: Result<T, Errno>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(errno) if EXPECTED.contains(&errno) => None,
        Err(errno) => panic!("{errno} names another cause"),
    }
}

fn ioctl(p: &mut Perimeter, stream: StreamId, arg: Arg<'_>) {
    let request = Request { cmd: 1, timeout: 0, cred: Cred::default(), arg };
    let Some(id) = may_fail(p.ioctl(stream, request)) else { return };
    settle(p, 0);
    // What is at the bottom refuses it.
    let over = Some(Progress::Done(Err(Errno::EINVAL)));
    assert_eq!(p.ioctl_progress(stream, id), over);
}

/// Everything that a head makes messages for, on a device and on a pipe. What the pool refused.
fn scenario(nth: u64) -> (u64, u64) {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, _) = p.open_device("device", Box::new(probe.clone()));
    let [near, far] = p.pipe(["near", "far"]);
    for end in [stream, near, far] {
        p.push(end, Box::new(Polite)).unwrap();
    }
    p.pool().fail_nth(nth);
    for end in [stream, near] {
        may_fail(p.write(end, &[1; 3000]));
        settle(&mut p, 0);
        may_fail(p.putpmsg(end, Some(b"control"), Some(b"data"), Priority::Band(3)));
        may_fail(p.putpmsg(end, Some(b"urgent"), None, Priority::High));
        settle(&mut p, 0);
        ioctl(&mut p, end, Arg::Data(&[7; 2000]));
        ioctl(&mut p, end, Arg::Transparent(9));
    }
    let sent = p.send_fd(near, Box::new(5_u8), Cred::default());
    may_fail(sent.map_err(|(errno, _)| errno));
    while let Ok(Some(got)) = p.getmsg(far) {
        for part in [got.control, got.data].into_iter().flatten() {
            p.pool().free(part);
        }
    }
    let _none_if_it_was_not_sent = p.recv_fd(far).map(drop);
    for end in [stream, near] {
        may_fail(p.flush(end, 3));
        settle(&mut p, 0);
    }
    p.close(near).unwrap();
    settle(&mut p, 0);
    assert_eq!(p.write(far, b"x"), Err(Errno::EPIPE));
    let mut out = [0; 64];
    while p.read(far, &mut out).is_ok_and(|n| n > 0) {}
    assert_eq!(p.read(far, &mut out), Ok(0), "hung up, whatever was to be had");
    for end in [stream, far] {
        p.close(end).unwrap();
    }
    settle(&mut p, 0);
    let asked = p.pool().fail_none();
    drop(probe.sent());
    assert_eq!(cells(&mut p), 0, "allocation {nth} failed and something leaked");
    (asked, p.pool().stats().refused)
}

#[test]
fn every_allocation_of_a_scenario_may_fail_alone() {
    let (asked, refused) = scenario(0);
    assert_eq!(refused, 0);
    assert!(asked >= 20, "{asked} allocations");
    for nth in 1..=asked {
        assert_eq!(scenario(nth).1, 1, "allocation {nth}");
    }
}
