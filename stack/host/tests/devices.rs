//! Devices in a shard's wait set: what they tell is heard at once.

use millstream_core::{Caps, Device, Errno};
use millstream_host::{DeviceFd, Notice, Shard, ShardConfig};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

/// No test waits longer than this for a state.
const LONG: Duration = Duration::from_secs(20);

/// Fails when its descriptor says something.
struct Fragile(UnixStream);

impl Device for Fragile {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::NOTHING }
    }

    fn recv(&mut self, _: &mut Pool, _: &mut MsgList, _: usize) -> Result<usize, Errno> {
        match self.0.read_exact(&mut [0]) {
            Ok(()) => Err(Errno::ENODEV),
            Err(_) => Ok(0),
        }
    }

    fn send(&mut self, _: &mut MsgList) -> Result<(), Errno> {
        Ok(())
    }
}

/// Runs a shard with one fragile device until it has told of its end, which `fail` causes.
fn told(open: impl FnOnce(&mut Shard, UnixStream) + Send + 'static, fail: impl FnOnce()) -> Notice {
    let config = ShardConfig { pool: PoolConfig::TINY, seed: 0, polling: false, clock: None };
    let (device, other) = UnixStream::pair().unwrap();
    device.set_nonblocking(true).unwrap();
    let (tell, heard) = mpsc::channel();
    let (ready, running) = mpsc::channel();
    std::thread::spawn(move || {
        let mut shard = Shard::new(config).unwrap();
        open(&mut shard, device);
        ready.send(shard.handle()).unwrap();
        shard.run(|notice| tell.send(notice).unwrap()).unwrap();
    });
    let handle = running.recv_timeout(LONG).unwrap();
    handle.call(|_| ()).unwrap();
    (&other).write_all(b"x").unwrap();
    fail();
    let notice = heard.recv_timeout(LONG).expect("the shard sleeps and tells nobody");
    handle.stop();
    notice
}

#[test]
fn a_device_that_fails_is_told_before_the_shard_sleeps() {
    let notice = told(
        |shard, io| {
            let fd = DeviceFd::Fd(io.try_clone().unwrap().into());
            shard.open_device("dev0", Box::new(Fragile(io)), fd).unwrap();
        },
        || {},
    );
    assert_eq!(notice, Notice::DeviceGone { name: "dev0".into(), errno: Errno::ENODEV });
}

#[test]
fn a_watched_device_is_read_when_its_second_descriptor_says_so() {
    let (watch, far) = UnixStream::pair().unwrap();
    let (silent, _other) = UnixStream::pair().unwrap();
    let notice = told(
        move |shard, io| {
            // Nothing ever comes on this one.
            let fd = DeviceFd::Watched { io: silent.into(), watch: watch.into() };
            shard.open_device("dev0", Box::new(Fragile(io)), fd).unwrap();
        },
        || (&far).write_all(b"x").unwrap(),
    );
    assert_eq!(notice, Notice::DeviceGone { name: "dev0".into(), errno: Errno::ENODEV });
}
