//! testmod, and the ioctls by which programs ask modules (`ask`).

use millstream_core::ioctl::{
    Area, Arg, Cred, DUPLICATE_REPLY, IocId, LATE_REPLY, Progress, Reply, Request,
};
use millstream_core::{Config, Drop, Errno, Module, Perimeter, StreamId};
use millstream_modules::count::Count;
use millstream_modules::impair::Impair;
use millstream_modules::null::Null;
use millstream_modules::testmod::{self, Testmod};
use millstream_modules::{ask, table};
use millstream_msg::{Pool, PoolConfig};
use millstream_rig::{Probe, secs};

struct Bench {
    p: Perimeter,
    stream: StreamId,
    probe: Probe,
}

fn bench(modules: Vec<Box<dyn Module>>) -> Bench {
    let pool = Pool::new(PoolConfig::TINY);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    let probe = Probe::new();
    let (stream, _) = p.open_device("probe", Box::new(probe.clone()));
    for module in modules {
        p.push(stream, module).unwrap();
    }
    Bench { p, stream, probe }
}

fn with_testmod() -> Bench {
    bench(vec![Box::new(Testmod::default()), Box::new(Null)])
}

impl Bench {
    fn begin(&mut self, cmd: u32, arg: Arg<'_>, timeout: i32) -> IocId {
        let request = Request { cmd, timeout, cred: Cred::default(), arg };
        let id = self.p.ioctl(self.stream, request).unwrap();
        self.run();
        id
    }

    fn run(&mut self) {
        let now = self.p.now();
        while self.p.turn(now, 100).more {}
    }

    fn result(&mut self, id: IocId) -> Result<Reply, Errno> {
        match self.p.ioctl_progress(self.stream, id) {
            Some(Progress::Done(result)) => result,
            other => panic!("not over: {other:?}"),
        }
    }

    fn ask(&mut self, cmd: u32, data: &[u8]) -> Result<Reply, Errno> {
        let id = self.begin(cmd, Arg::Data(data), 0);
        self.result(id)
    }

    fn show(&mut self, name: &str) -> Result<String, Errno> {
        let reply = self.ask(ask::SHOW, name.as_bytes())?;
        Ok(String::from_utf8(reply.data).unwrap())
    }

    fn drops(&self, reason: Drop) -> u64 {
        let head = self.p.chain(self.stream).unwrap().remove(0);
        head.stat.drops.iter().filter(|(known, _)| *known == reason).map(|(_, n)| n).sum()
    }

    /// Closes the stream: every cell is back.
    fn finish(mut self) {
        self.p.close(self.stream).unwrap();
        self.run();
        drop(self.probe.sent());
        let stats = self.p.pool().stats();
        assert_eq!(stats.small.out + stats.frame.out + stats.large.out + stats.bare.out, 0);
    }
}

#[test]
fn testmod_answers_and_refuses_as_it_is_told() {
    let mut b = with_testmod();
    assert_eq!(b.ask(testmod::ECHO, b"abc"), Ok(Reply { rval: 3, data: b"abc".to_vec() }));
    assert_eq!(b.ask(testmod::ECHO, b""), Ok(Reply { rval: 0, data: Vec::new() }));
    assert_eq!(b.ask(testmod::REFUSE, &13_i32.to_ne_bytes()), Err(Errno::EACCES));
    assert_eq!(b.ask(testmod::REFUSE, b""), Err(Errno::EINVAL));
    assert_eq!(b.ask(0x7499, b""), Err(Errno::EINVAL), "the driver's refusal");
    b.finish();
}

#[test]
fn testmod_answers_late_and_twice_and_the_head_is_not_confused() {
    let mut b = with_testmod();
    let id = b.begin(testmod::HOLD, Arg::Data(b"held"), 1);
    while b.p.turn(secs(2), 100).more {}
    assert_eq!(b.result(id), Err(Errno::ETIME));
    assert_eq!(b.ask(testmod::RELEASE, b"").unwrap().rval, 1);
    assert_eq!(b.drops(LATE_REPLY), 1);
    assert_eq!(b.ask(testmod::TWICE, b"").unwrap().rval, 1);
    assert_eq!(b.drops(DUPLICATE_REPLY), 1);
    b.finish();
}

#[test]
fn testmod_that_leaves_refuses_what_it_holds() {
    let mut b = with_testmod();
    let id = b.begin(testmod::HOLD, Arg::Data(b""), -1);
    b.p.remove(b.stream, 0).unwrap();
    b.run();
    assert_eq!(b.result(id), Err(Errno::EINVAL));
    b.finish();
}

#[test]
fn testmod_fails_and_hangs_up_the_stream() {
    let mut b = with_testmod();
    assert_eq!(b.ask(testmod::ERROR, &[71]), Err(Errno::EPROTO));
    assert_eq!(b.p.write(b.stream, b"x"), Err(Errno::EPROTO));
    b.finish();
    let mut b = with_testmod();
    assert_eq!(b.ask(testmod::ERROR, &[0xff, 5]), Err(Errno::EIO));
    assert_eq!(b.p.getmsg(b.stream).map(drop), Err(Errno::EAGAIN), "reading has no error");
    b.finish();
    let mut b = with_testmod();
    assert_eq!(b.ask(testmod::HANGUP, b""), Err(Errno::ENXIO));
    b.finish();
}

#[test]
fn testmod_turns_the_callers_bytes_round() {
    let mut b = with_testmod();
    let mut memory = *b"\x04\0\0\0abcd....";
    for (addr, expected) in [(0x100, Ok(4)), (0x101, Err(Errno::EMSGSIZE)), (0, Err(Errno::EFAULT))]
    {
        let mut area = Area { base: 0x100, bytes: &mut memory };
        let id = b.begin(testmod::REVERSE, Arg::Transparent(addr), 0);
        let result = loop {
            let copied = match b.p.ioctl_progress(b.stream, id).unwrap() {
                Progress::Done(result) => break result,
                Progress::CopyIn { addr, len } => area.copy_in(addr, len).map(<[u8]>::to_vec),
                Progress::CopyOut { addr, bytes } => {
                    area.copy_out(addr, &bytes).map(|()| Vec::new())
                }
            };
            let copied = copied.as_deref().map_err(|&errno| errno);
            b.p.ioctl_copied(b.stream, id, copied).unwrap();
            b.run();
        };
        assert_eq!(result.map(|reply| reply.rval), expected);
        assert_eq!(&memory[4..], b"dcba....");
    }
    assert_eq!(b.show("null"), Err(Errno::EINVAL));
    let chain = b.p.chain(b.stream).unwrap();
    let kept: Vec<_> = chain[2].fields.0.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(kept, [millstream_core::Value::Count(0), millstream_core::Value::Count(0)]);
    b.finish();
}

#[test]
fn count_shows_its_counters_and_resets_them_by_ioctl() {
    let mut b = bench(vec![Box::new(Count::default())]);
    b.p.write(b.stream, b"12345").unwrap();
    b.run();
    let text = b.show("count").unwrap();
    assert!(text.contains("down.messages=2\n") && text.contains("down.packets=1\n"), "{text}");
    b.ask(ask::SET, b"count reset=all").unwrap();
    assert!(b.show("count").unwrap().contains("down.packets=0\n"));
    for bad in ["count reset=sideways", "count speed=1", "count reset", "count"] {
        assert_eq!(b.ask(ask::SET, bad.as_bytes()), Err(Errno::EINVAL), "{bad}");
    }
    b.finish();
}

#[test]
fn impair_is_set_by_ioctl_and_others_of_its_name_below_are_not() {
    let mut b =
        bench(vec![Box::new(Impair::new()), Box::new(Count::default()), Box::new(Impair::new())]);
    b.ask(ask::SET, b"impair down.delay=50ms").unwrap();
    let chain = b.p.chain(b.stream).unwrap();
    let delay = |at: usize| {
        let field = chain[at].fields.0.iter().find(|(name, _)| *name == "down.delay");
        field.map(|(_, value)| value.clone())
    };
    assert_eq!(delay(1), Some(millstream_core::Value::Text("50ms".into())));
    assert_ne!(delay(3), delay(1));
    assert!(b.show("impair").unwrap().contains("down.delay=50ms\n"));
    assert!(b.show("count").is_ok(), "it passes what is for others");
    assert_eq!(b.ask(ask::SET, b"impair down.delay=soon"), Err(Errno::EINVAL));
    b.finish();
}

#[test]
fn requests_of_any_bytes_are_refused_and_nothing_is_lost() {
    let mut b = bench(vec![Box::new(Count::default()), Box::new(Testmod::default())]);
    for len in [0, 1, 5, 100, 1024, 1025, 4000] {
        for fill in [0, b' ', b'=', 0xff] {
            for cmd in [ask::SET, ask::SHOW, testmod::REVERSE] {
                assert_eq!(b.ask(cmd, &vec![fill; len]), Err(Errno::EINVAL));
            }
        }
    }
    assert_eq!(b.ask(ask::SET, b"count \xff=1"), Err(Errno::EINVAL));
    b.finish();
}

#[test]
fn testmod_is_in_the_table() {
    assert!(table::names().any(|info| info.name == "testmod"));
}
