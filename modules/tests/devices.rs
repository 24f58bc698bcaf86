//! echo, loop, mux: the devices that programs are tried with, opened as programs open them.

use millstream_core::ioctl::{Arg, Cred, Progress, Reply, Request};
use millstream_core::{Config, Drop, Errno, NodeId, Perimeter, PollEvents, StreamId};
use millstream_modules::devices::{LOOP_NUMBER, LOOP_SET, SWITCH_SELECT};
use millstream_modules::table;
use millstream_msg::{Band, Kind, Pool, PoolConfig};

/// A stack with one device.
struct Bench {
    p: Perimeter,
    device: NodeId,
}

fn bench(device: &str) -> Bench {
    let pool = Pool::new(PoolConfig::STACK);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    let device = p.add_mux(table::mux(device).unwrap()(0));
    Bench { p, device }
}

impl Bench {
    fn open(&mut self) -> StreamId {
        let stream = self.p.open_mux(self.device, "test").unwrap();
        self.run();
        stream
    }

    fn run(&mut self) {
        let now = self.p.now();
        while self.p.turn(now, 1000).more {}
    }

    fn put(&mut self, stream: StreamId, bytes: &[u8]) -> Result<(), Errno> {
        self.put_as(stream, bytes, Kind::Data, 0)
    }

    fn put_as(
        &mut self,
        stream: StreamId,
        bytes: &[u8],
        kind: Kind,
        band: u8,
    ) -> Result<(), Errno> {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        msg.set_band(Band(band));
        let put = self.p.putmsg(stream, msg).map_err(|(errno, msg)| {
            self.p.pool().free(msg);
            errno
        });
        self.run();
        put
    }

    /// The data of the next message.
    fn get(&mut self, stream: StreamId) -> Result<Option<Vec<u8>>, Errno> {
        let got = self.p.getmsg(stream)?;
        let msg = got.and_then(|got| got.data.or(got.control));
        let bytes = msg.map(|msg| {
            let mut bytes = vec![0; msg.len()];
            msg.copy_out(0, &mut bytes);
            self.p.pool().free(msg);
            bytes
        });
        self.run();
        Ok(bytes)
    }

    fn ask(&mut self, stream: StreamId, cmd: u32, data: &[u8]) -> Result<Reply, Errno> {
        let request = Request { cmd, timeout: 0, cred: Cred::default(), arg: Arg::Data(data) };
        let id = self.p.ioctl(stream, request)?;
        self.run();
        match self.p.ioctl_progress(stream, id) {
            Some(Progress::Done(result)) => result,
            other => panic!("not over: {other:?}"),
        }
    }

    fn close(&mut self, stream: StreamId) {
        self.p.close(stream).unwrap();
        self.run();
    }

    /// Two streams of `loop`, joined.
    fn joined(&mut self) -> [StreamId; 2] {
        let ends = [self.open(), self.open()];
        let number = self.ask(ends[1], LOOP_NUMBER, b"").unwrap().data;
        self.ask(ends[0], LOOP_SET, &number).unwrap();
        ends
    }

    /// A stream of a device of another name, linked below this one.
    fn link(&mut self, device: &str) {
        let below = self.p.add_mux(table::mux(device).unwrap()(0));
        let stream = self.p.open_mux(below, device).unwrap();
        self.p.link(self.device, stream).unwrap();
        self.run();
    }

    /// Puts until it is refused; how many messages were taken.
    fn fill(&mut self, stream: StreamId) -> usize {
        let mut taken = 0;
        while self.put(stream, &[taken as u8; 512]).is_ok() {
            taken += 1;
            assert!(taken < 10_000, "never refused");
        }
        taken
    }
}

#[test]
fn echo_gives_messages_back_with_their_types_and_bands() {
    let mut b = bench("echo");
    let stream = b.open();
    b.put(stream, b"data").unwrap();
    assert_eq!(b.get(stream), Ok(Some(b"data".to_vec())));
    b.put_as(stream, b"later", Kind::Data, 0).unwrap();
    b.put_as(stream, b"first", Kind::Data, 7).unwrap();
    assert_eq!(b.get(stream), Ok(Some(b"first".to_vec())));
    assert_eq!(b.get(stream), Ok(Some(b"later".to_vec())));
    b.put_as(stream, b"control", Kind::PcProto, 0).unwrap();
    let ready = b.p.poll_head(stream, PollEvents::PRI);
    assert_eq!(ready, Ok(PollEvents::PRI), "comes back as a message of high priority");
}

#[test]
fn echo_keeps_streams_apart() {
    let mut b = bench("echo");
    let (one, other) = (b.open(), b.open());
    b.put(one, b"one").unwrap();
    assert_eq!(b.get(other), Err(Errno::EAGAIN));
    assert_eq!(b.get(one), Ok(Some(b"one".to_vec())));
}

#[test]
fn echo_refuses_a_writer_that_does_not_read_and_loses_nothing() {
    let mut b = bench("echo");
    let stream = b.open();
    let taken = b.fill(stream);
    for at in 0..taken {
        assert_eq!(b.get(stream), Ok(Some(vec![at as u8; 512])), "message {at}");
    }
    assert_eq!(b.get(stream), Err(Errno::EAGAIN));
    assert!(b.put(stream, b"again").is_ok(), "there is room again");
}

#[test]
fn echo_knows_no_ioctl_and_takes_no_links() {
    let mut b = bench("echo");
    let stream = b.open();
    assert_eq!(b.ask(stream, 0x1234, b"").unwrap_err(), Errno::EINVAL);
    let below = b.p.add_mux(table::mux("loop").unwrap()(0));
    let below = b.p.open_mux(below, "below").unwrap();
    assert!(b.p.link(b.device, below).is_err());
}

#[test]
fn loop_joins_two_streams() {
    let mut b = bench("loop");
    let [one, other] = b.joined();
    b.put(one, b"there").unwrap();
    b.put(other, b"back").unwrap();
    assert_eq!(b.get(other), Ok(Some(b"there".to_vec())));
    assert_eq!(b.get(one), Ok(Some(b"back".to_vec())));
}

#[test]
fn loop_holds_a_writer_back_until_the_other_reads() {
    let mut b = bench("loop");
    let [one, other] = b.joined();
    let taken = b.fill(one);
    assert!(b.put(other, b"the other way is free").is_ok());
    for at in 0..taken {
        assert_eq!(b.get(other), Ok(Some(vec![at as u8; 512])), "message {at}");
    }
    assert!(b.put(one, b"again").is_ok());
}

#[test]
fn loop_fails_a_stream_that_is_not_joined() {
    let mut b = bench("loop");
    let stream = b.open();
    b.put(stream, b"for nobody").unwrap();
    assert_eq!(b.get(stream), Err(Errno::ENXIO));
    let drops = b.p.mux_view(b.device).unwrap().stat.drops;
    assert_eq!(drops, [(Drop("loop_not_joined"), 1)]);
}

#[test]
fn loop_refuses_to_join_what_is_joined_or_not_there() {
    let mut b = bench("loop");
    let [one, other] = b.joined();
    let third = b.open();
    let number = b.ask(one, LOOP_NUMBER, b"").unwrap().data;
    assert_eq!(b.ask(third, LOOP_SET, &number).unwrap_err(), Errno::EBUSY);
    assert_eq!(b.ask(third, LOOP_SET, &99_u32.to_ne_bytes()).unwrap_err(), Errno::ENXIO);
    assert_eq!(b.ask(third, LOOP_SET, b"12").unwrap_err(), Errno::EINVAL);
    assert_eq!(b.ask(other, 0x1234, b"").unwrap_err(), Errno::EINVAL);
    let own = b.ask(third, LOOP_NUMBER, b"").unwrap().data;
    assert_eq!(b.ask(third, LOOP_SET, &own).map(|_| ()), Ok(()), "to itself: an echo");
    b.put(third, b"me").unwrap();
    assert_eq!(b.get(third), Ok(Some(b"me".to_vec())));
}

#[test]
fn loop_hangs_up_the_other_stream_at_close_and_its_number_is_free_again() {
    let mut b = bench("loop");
    let [one, other] = b.joined();
    b.put(one, b"last").unwrap();
    b.close(one);
    assert_eq!(b.get(other), Ok(Some(b"last".to_vec())), "what was sent is still read");
    assert_eq!(b.p.poll_head(other, PollEvents::IN), Ok(PollEvents::HUP));
    let again = b.open();
    assert_eq!(b.ask(again, LOOP_NUMBER, b"").unwrap().data, 0_u32.to_ne_bytes());
}

#[test]
fn mux_sends_down_what_was_linked_last_or_selected() {
    let mut b = bench("mux");
    b.link("echo");
    let stream = b.open();
    b.put(stream, b"by echo").unwrap();
    assert_eq!(b.get(stream), Ok(Some(b"by echo".to_vec())));
    b.link("loop");
    b.ask(stream, SWITCH_SELECT, &0_u32.to_ne_bytes()).unwrap();
    b.put(stream, b"by echo again").unwrap();
    assert_eq!(b.get(stream), Ok(Some(b"by echo again".to_vec())));
    assert_eq!(b.ask(stream, SWITCH_SELECT, &2_u32.to_ne_bytes()).unwrap_err(), Errno::ENXIO);
    assert_eq!(b.ask(stream, SWITCH_SELECT, b"x").unwrap_err(), Errno::EINVAL);
}

#[test]
fn mux_answers_whoever_sent_last() {
    let mut b = bench("mux");
    b.link("echo");
    let (one, other) = (b.open(), b.open());
    b.put(one, b"one").unwrap();
    b.put(other, b"other").unwrap();
    assert_eq!(b.get(one), Ok(Some(b"one".to_vec())));
    assert_eq!(b.get(other), Ok(Some(b"other".to_vec())));
}

#[test]
fn mux_with_nothing_below_fails_its_streams() {
    let mut b = bench("mux");
    let stream = b.open();
    b.put(stream, b"x").unwrap();
    assert_eq!(b.get(stream), Err(Errno::ENXIO));
}

#[test]
fn mux_holds_back_and_loses_nothing() {
    let mut b = bench("mux");
    b.link("echo");
    let stream = b.open();
    let taken = b.fill(stream);
    for at in 0..taken {
        assert_eq!(b.get(stream), Ok(Some(vec![at as u8; 512])), "message {at}");
    }
    assert!(b.put(stream, b"again").is_ok());
}
