//! head: nanoseconds per message of 64 bytes that goes down from a head, is turned round by a loop
//! driver, and comes up to the head again.
//!
//! `putmsg_getmsg_owned_64`: one iteration is a putmsg of an owned message, a turn, and the getmsg
//! that takes it; no byte is copied, and nothing is allocated. `write_read_64`: the same by write
//! and read, which copy the bytes into a message of the pool and out of it. Included: the turn,
//! both hops, flow accounting, counters, the event of the head.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_core::{
    Config, Cx, Errno, LinkInfo, Lower, Marks, Mux, MuxInfo, Perimeter, Step, StreamId, Upper,
};
use millstream_msg::{Msg, Pool, PoolConfig};
use std::hint::black_box;
use std::time::Duration;

/// Sends everything back.
struct Loop;

impl Mux for Loop {
    fn info(&self) -> &'static MuxInfo {
        const INFO: MuxInfo = MuxInfo {
            name: "loop",
            about: "sends back",
            marks: Marks::DEFAULT,
            uwsrv: false,
            lrsrv: false,
            headroom: 0,
            contract: millstream_core::Contract::TRANSPARENT,
        };
        &INFO
    }

    fn uopen(&mut self, _: &mut Cx<'_>, _: Upper) -> Result<Step, Errno> {
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        Step::Done
    }

    fn link(&mut self, _: &mut Cx<'_>, _: Lower, _: LinkInfo) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        cx.put_upper(from, msg);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        cx.free(msg);
    }
}

/// Bytes of a message.
const LEN: usize = 64;

/// Dispatches of a turn: two are needed.
const BUDGET: usize = 16;

fn looped() -> (Perimeter, StreamId) {
    let pool = Pool::new(PoolConfig::TINY);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    let mux = p.add_mux(Box::new(Loop));
    let stream = p.open_mux(mux, "loop").unwrap();
    (p, stream)
}

fn turn(p: &mut Perimeter) {
    p.turn(0, BUDGET);
    while let Some(event) = p.event() {
        black_box(event);
    }
}

fn head(c: &mut Criterion) {
    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Elements(1));
    group.bench_function("putmsg_getmsg_owned_64", |b| {
        let (mut p, stream) = looped();
        let mut msg = Some(p.pool().copy_from(0, &[7; LEN]).unwrap());
        b.iter(|| {
            let sent = msg.take().expect("it came back");
            p.putmsg(stream, sent).map_err(|(errno, _)| errno).unwrap();
            turn(&mut p);
            msg = p.getmsg(stream).unwrap().and_then(|got| got.data);
        });
    });
    group.bench_function("write_read_64", |b| {
        let (mut p, stream) = looped();
        let (sent, mut came) = ([7; LEN], [0; LEN]);
        b.iter(|| {
            p.write(stream, black_box(&sent)).unwrap();
            turn(&mut p);
            p.read(stream, black_box(&mut came)).unwrap()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(30)
        .without_plots();
    targets = head
}
criterion_main!(benches);
