//! bufcall: modules that find no memory are called when there is some (A19, J5, D3).

mod common;

use common::{cells, settle};
use millstream_core::{Config, Cx, ModInfo, Module, Perimeter, Side, StreamId};
use millstream_msg::{Msg, Pool, PoolConfig};
use millstream_rig::Probe;
use std::sync::{Arc, Mutex};

const LEN: usize = 1000;

/// Sends a reply of [`LEN`] bytes for each message; keeps those that it finds no memory for.
#[derive(Clone, Default)]
struct Replier(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    tokens: Vec<u64>,
    /// Takes memory in the callback.
    greedy: bool,
}

impl Replier {
    fn calls(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap().tokens)
    }
}

impl Module for Replier {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { wsrv: true, ..ModInfo::new("replier", "for tests") };
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    /// The canonical break-off for want of memory (D3).
    fn wsrv(&mut self, cx: &mut Cx<'_>) {
        while let Some(msg) = cx.getq() {
            let Ok(mut reply) = cx.alloc(0, LEN) else {
                assert!(cx.bufcall(7, LEN));
                return cx.putbq(msg);
            };
            reply.commit(LEN);
            cx.free(msg);
            cx.qreply(reply);
        }
    }

    fn set(
        &mut self,
        cx: &mut Cx<'_>,
        key: &str,
        value: &str,
    ) -> Result<(), millstream_core::Invalid> {
        let token = value.parse().unwrap();
        match key {
            "ask" => assert!(cx.bufcall(token, LEN)),
            "fill" => assert!((token..).any(|token| !cx.bufcall(token, LEN))),
            _ => assert!(cx.unbufcall(token)),
        }
        Ok(())
    }

    fn bufcall(&mut self, cx: &mut Cx<'_>, token: u64) {
        let mut calls = self.0.lock().unwrap();
        calls.tokens.push(token);
        if calls.greedy {
            let mut taken = cx.alloc(0, LEN).expect("likely is certain while nobody else takes");
            taken.commit(LEN);
            return cx.put(Side::Read, taken);
        }
        cx.qenable(Side::Write);
    }
}

struct Bench {
    p: Perimeter,
    stream: StreamId,
    replier: Replier,
    hoard: Vec<Msg>,
}

/// Without cells of [`LEN`] bytes: all four are in the hoard.
fn bench() -> Bench {
    let config = PoolConfig { frame: 4, reserve_256th: 0, ..PoolConfig::TINY };
    let mut p = Perimeter::new(Config { pool: Pool::new(config), seed: 1, clock: None });
    let (stream, _) = p.open_device("probe", Box::new(Probe::new()));
    let replier = Replier::default();
    p.push(stream, Box::new(replier.clone())).unwrap();
    let hoard = std::iter::from_fn(|| p.pool().alloc(0, LEN).ok()).collect();
    Bench { p, stream, replier, hoard }
}

impl Bench {
    fn run(&mut self) {
        let now = self.p.now() + 1;
        settle(&mut self.p, now);
    }

    fn ask(&mut self, token: u64) {
        self.p.set(self.stream, 0, "ask", &token.to_string()).unwrap();
        self.run();
    }

    fn free_one(&mut self) {
        let msg = self.hoard.pop().unwrap();
        self.p.pool().free(msg);
    }

    fn finish(mut self) {
        self.hoard.clear();
        self.p.close(self.stream).unwrap();
        assert_eq!(cells(&mut self.p), 0);
    }
}

#[test]
fn a19_the_callback_comes_once_when_memory_has_come_home() {
    let mut b = bench();
    b.ask(3);
    for _ in 0..5 {
        b.run();
    }
    assert_eq!(b.replier.calls(), [], "there is none");
    b.free_one();
    b.run();
    assert_eq!(b.replier.calls(), [3]);
    b.run();
    assert_eq!(b.replier.calls(), [], "once");
    b.finish();
}

#[test]
fn a19_memory_that_is_there_at_once_is_told_at_the_next_turn() {
    let mut b = bench();
    b.free_one();
    b.p.set(b.stream, 0, "ask", "3").unwrap();
    assert_eq!(b.replier.calls(), [], "not from within the call");
    b.run();
    assert_eq!(b.replier.calls(), [3]);
    b.finish();
}

#[test]
fn a19_a_cancelled_one_does_not_come() {
    let mut b = bench();
    b.ask(3);
    b.ask(4);
    b.p.set(b.stream, 0, "cancel", "3").unwrap();
    b.free_one();
    b.run();
    assert_eq!(b.replier.calls(), [4]);
    b.finish();
}

#[test]
fn a19_asking_twice_is_asking_once() {
    let mut b = bench();
    b.ask(3);
    b.ask(3);
    b.free_one();
    b.run();
    assert_eq!(b.replier.calls(), [3]);
    b.finish();
}

#[test]
fn a19_as_many_are_called_as_there_is_memory_for_in_order() {
    let mut b = bench();
    b.replier.0.lock().unwrap().greedy = true;
    for token in 1..=4 {
        b.ask(token);
    }
    b.free_one();
    b.free_one();
    b.run();
    assert_eq!(b.replier.calls(), [1, 2]);
    b.free_one();
    b.run();
    assert_eq!(b.replier.calls(), [3]);
    b.finish();
}

#[test]
fn a19_a_module_that_left_is_not_called() {
    let mut b = bench();
    b.ask(3);
    b.p.pop(b.stream).unwrap();
    // Another one takes its place in the tables.
    let other = Replier::default();
    b.p.push(b.stream, Box::new(other.clone())).unwrap();
    b.free_one();
    b.run();
    assert_eq!((b.replier.calls(), other.calls()), (vec![], vec![]));
    b.finish();
}

#[test]
fn a19_too_many_are_refused() {
    let mut b = bench();
    b.p.set(b.stream, 0, "fill", "0").unwrap();
    b.free_one();
    b.run();
    assert_eq!(b.replier.calls().len(), 1024);
    b.finish();
}

#[test]
fn a19_while_somebody_waits_the_pool_is_looked_at_every_millisecond() {
    let mut b = bench();
    b.ask(3);
    let turn = b.p.turn(5, 10);
    assert_eq!((turn.more, turn.next), (false, Some(b.p.now() + 1_000_000)));
    // Another thread frees: nobody is told, the next look finds it.
    let msg = b.hoard.pop().unwrap();
    std::thread::spawn(move || drop(msg)).join().unwrap();
    let turn = b.p.turn(turn.next.unwrap(), 10);
    assert_eq!((b.replier.calls(), turn.next), (vec![3], None));
    b.finish();
}

#[test]
fn d3_a_service_procedure_that_broke_off_for_memory_goes_on_in_order() {
    let mut b = bench();
    for byte in 0..6_u8 {
        b.p.write(b.stream, &[byte]).unwrap();
    }
    b.run();
    let mut out = [0; LEN];
    assert!(b.p.read(b.stream, &mut out).is_err());
    for _ in 0..4 {
        b.free_one();
    }
    let mut replies = 0;
    for _ in 0..6 {
        b.run();
        while b.p.read(b.stream, &mut out) == Ok(LEN) {
            replies += 1;
            b.run();
        }
    }
    assert_eq!(replies, 6);
    assert_eq!(b.p.pool().stats().frame.out, 0);
    b.finish();
}
