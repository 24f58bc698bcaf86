//! Ends: streams of a shard as other threads use them. Two stacks over a pair, no rights needed.

use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, NodeId};
use millstream_drivers::pair;
use millstream_host::plan::{Interface, Line, Plan};
use millstream_host::{End, EndError, Handle, Shard};
use millstream_msg::{Kind, Msg, Pool, PoolConfig};
use millstream_rig::Probe;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A stack that runs on a thread of its own until dropped.
struct Running {
    handle: Handle,
    udp: NodeId,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn open(&self) -> End {
        let udp = self.udp;
        let stream = self.handle.call(move |s| s.core().open_mux(udp, "udp").unwrap()).unwrap();
        End::attach(&self.handle, stream).unwrap()
    }

    fn bound(&self, address: &str, pool: &mut Pool) -> End {
        let end = self.open();
        let request = Primitive::bind_req(address.parse().unwrap());
        end.put(control(&request, pool), soon()).unwrap();
        let ack = end.get(soon()).unwrap().unwrap().control.unwrap();
        assert_eq!(tpi::primitive(ack.first()), Some(tpi::T_BIND_ACK));
        end
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn two_stacks() -> (Running, Running) {
    let (a, b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
    let start = |end, address: &str| {
        let line = Line::Pair("pair0".into(), end);
        let interface = Interface { line, addresses: vec![address.parse().unwrap()] };
        let plan = Plan { interfaces: vec![interface], ..Plan::default() };
        let stack = plan.build().unwrap();
        let (handle, udp) = (stack.shard.handle(), stack.udp);
        let thread = std::thread::spawn(move || stack.shard.run(|_| {}).unwrap());
        Running { handle, udp, thread: Some(thread) }
    };
    (start(a, "10.9.0.1/24"), start(b, "10.9.0.2/24"))
}

/// No test waits longer than this for a state.
fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

fn control(primitive: &Primitive, pool: &mut Pool) -> Msg {
    let mut msg = pool.copy_from(0, primitive.as_bytes()).unwrap();
    msg.set_kind(Kind::Proto);
    msg
}

fn datagram(to: SocketAddr, data: &[u8], pool: &mut Pool) -> Msg {
    let mut msg = control(&Primitive::unitdata_req(to), pool);
    msg.link(pool.copy_from(128, data).unwrap());
    msg
}

#[test]
fn a_reader_that_sleeps_is_woken_by_every_datagram() {
    let (near, far) = two_stacks();
    let mut pool = Pool::new(PoolConfig::TINY);
    let from = near.bound("10.9.0.1:1000", &mut pool);
    let to = far.bound("10.9.0.2:2000", &mut pool);
    let address = "10.9.0.2:2000".parse().unwrap();
    for i in 0..500_u32 {
        from.put(datagram(address, &i.to_be_bytes(), &mut pool), soon()).unwrap();
        let got = to.get(soon()).unwrap().unwrap();
        assert_eq!(got.data.unwrap().first(), i.to_be_bytes());
    }
}

#[test]
fn datagrams_of_one_sender_arrive_in_order_and_what_does_not_is_counted() {
    const COUNT: u32 = 20_000;
    let (near, far) = two_stacks();
    let mut pool = Pool::new(PoolConfig { small: 4096, reserve_256th: 0, ..PoolConfig::TINY });
    let from = near.bound("10.9.0.1:1000", &mut pool);
    let to = far.bound("10.9.0.2:2000", &mut pool);
    let address = "10.9.0.2:2000".parse().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut seen, mut last) = (0_u32, None);
        while last != Some(COUNT - 1) {
            let Ok(Some(got)) = to.get(Some(Instant::now() + Duration::from_secs(2))) else {
                break;
            };
            let number = u32::from_be_bytes(got.data.unwrap().first().try_into().unwrap());
            assert!(last.is_none_or(|last| last < number), "reordered or repeated");
            last = Some(number);
            seen += 1;
        }
        seen
    });
    let deadline = soon().unwrap();
    for i in 0..COUNT {
        let msg = loop {
            // The pool is small: what the stack has sent comes back.
            if pool.stats().small.out + 2 < pool.stats().small.limit {
                break datagram(address, &i.to_be_bytes(), &mut pool);
            }
            assert!(Instant::now() < deadline, "cells do not come back");
            std::thread::yield_now();
        };
        from.put(msg, soon()).unwrap();
    }
    let seen = reader.join().unwrap();
    // At the multiplexor, and at arp, which keeps a few frames only for an address it asks for.
    let drops = |stack: &Running| {
        let udp = stack.udp;
        let count = stack.handle.call(move |s| {
            let link = s.core().find("pair0").unwrap();
            let chain = s.core().chain(link).unwrap();
            let modules = chain.iter().map(|node| node.stat.dropped()).sum::<u64>();
            modules + s.core().mux_view(udp).unwrap().stat.dropped()
        });
        count.unwrap()
    };
    let lost = drops(&far) + drops(&near);
    assert!(u64::from(seen) + lost >= u64::from(COUNT), "{seen} seen, {lost} counted as dropped");
}

#[test]
fn a_reader_that_does_not_read_loses_datagrams_by_name_and_reads_on() {
    let (near, far) = two_stacks();
    let mut pool = Pool::new(PoolConfig { small: 8192, frame: 4096, ..PoolConfig::TINY });
    let from = near.bound("10.9.0.1:1000", &mut pool);
    let to = far.bound("10.9.0.2:2000", &mut pool);
    let address = "10.9.0.2:2000".parse().unwrap();
    let big = [7; 1000];
    let deadline = soon().unwrap();
    let udp = far.udp;
    loop {
        for _ in 0..64 {
            if let Ok(probe) = pool.alloc(0, 1200) {
                pool.free(probe);
                let _full = from.put(datagram(address, &big, &mut pool), soon());
            }
        }
        let view = far.handle.call(move |s| s.core().mux_view(udp).unwrap()).unwrap();
        if view.stat.drops.iter().any(|(reason, count)| reason.0 == "udp_queue_full" && *count > 0)
        {
            break;
        }
        assert!(Instant::now() < deadline, "no drop was counted");
    }
    let mut read = 0;
    while let Ok(Some(_)) = to.try_get() {
        read += 1;
    }
    assert!(read >= 256, "{read} read");
}

#[test]
fn those_who_wait_are_told_when_the_stack_stops() {
    let (near, far) = two_stacks();
    let mut pool = Pool::new(PoolConfig::TINY);
    let end = near.bound("10.9.0.1:1000", &mut pool);
    let waiting = std::thread::spawn(move || end.get(soon()));
    drop(near);
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, EndError::Gone(_) | EndError::Failed(Errno::ENXIO)), "{error}");
    drop(far);
}

#[test]
fn a_dropped_end_closes_its_stream_and_gives_its_port_back() {
    let (near, _far) = two_stacks();
    let mut pool = Pool::new(PoolConfig::TINY);
    for _ in 0..100 {
        drop(near.bound("10.9.0.1:1000", &mut pool));
    }
    let udp = near.udp;
    let view = near.handle.call(move |s| s.core().mux_view(udp).unwrap()).unwrap();
    let endpoints = view.fields.0.iter().find(|(name, _)| *name == "endpoints").unwrap();
    assert_eq!(endpoints.1, millstream_core::Value::Count(0));
}

#[test]
fn what_a_dropped_end_had_sent_leaves_when_the_device_has_room_again() {
    let (near, _far) = two_stacks();
    let mut pool = Pool::new(PoolConfig::STACK);
    let probe = Probe::new();
    probe.set_room(Some(0));
    let device = Box::new(probe.clone());
    let open = move |s: &mut Shard| s.core().open_device("probe", device);
    let (stream, driver) = near.handle.call(open).unwrap();
    let end = End::attach(&near.handle, stream).unwrap();
    // Until nothing more is accepted: not by the device, nor the queue, nor the end itself.
    let mut accepted: Vec<Vec<u8>> = Vec::new();
    loop {
        let frame = vec![accepted.len() as u8; 10_000];
        let mut msg = pool.copy_from(0, &[]).unwrap();
        msg.append(&mut pool, &frame).unwrap();
        if let Err((_, msg)) = end.try_put(msg) {
            pool.free(msg);
            break;
        }
        accepted.push(frame);
    }
    let octets: usize = accepted.iter().map(Vec::len).sum();
    assert!(octets > 2 << 20, "a queue and more: {octets}");
    drop(end);
    probe.set_room(None);
    near.handle.call(move |s| s.core().writable(driver)).unwrap();
    let sent = probe.sent_bytes();
    assert!(sent == accepted, "{} of {}", sent.len(), accepted.len());
}

#[test]
fn nothing_waits_without_a_deadline_being_kept() {
    let (near, _far) = two_stacks();
    let mut pool = Pool::new(PoolConfig::TINY);
    let end = near.bound("10.9.0.1:1000", &mut pool);
    let start = Instant::now();
    let got = end.get(Some(start + Duration::from_millis(20)));
    assert_eq!(got.unwrap_err(), EndError::WouldBlock);
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(end.try_get().unwrap_err(), EndError::WouldBlock);
}

#[test]
fn no_frame_of_a_pair_is_slept_over() {
    let (near, far) = two_stacks();
    let mut pool = Pool::new(PoolConfig::TINY);
    let from = near.bound("10.9.0.1:1000", &mut pool);
    let to = far.bound("10.9.0.2:2000", &mut pool);
    let back: SocketAddr = "10.9.0.1:1000".parse().unwrap();
    let there: SocketAddr = "10.9.0.2:2000".parse().unwrap();
    // Both stacks fall asleep and are woken by the other's frame, over and over.
    for i in 0..5_000_u32 {
        from.put(datagram(there, &i.to_be_bytes(), &mut pool), soon()).unwrap();
        drop(to.get(soon()).unwrap_or_else(|e| panic!("round {i}, there: {e}")));
        to.put(datagram(back, &i.to_be_bytes(), &mut pool), soon()).unwrap();
        drop(from.get(soon()).unwrap_or_else(|e| panic!("round {i}, back: {e}")));
    }
}
