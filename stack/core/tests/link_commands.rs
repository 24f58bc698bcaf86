//! I_LINK and its family: what links, what is refused, what is undone, and what passes a
//! multiplexor.

mod common;
#[path = "common/fan.rs"]
mod fan;

use common::{Null, cells, perimeter, settle};
use fan::{Fan, Temper};
use millstream_core::ioctl::{
    Arg, BLOCK, Cred, I_LINK, I_UNLINK, IocId, Iocblk, LATE_REPLY, LinkCommand, MUXID_ALL,
    Progress, Request,
};
use millstream_core::{Drop, Errno, Event, HeadEvent, NodeId, Perimeter, StreamId};
use millstream_msg::{Kind, Msg};
use millstream_rig::{Probe, secs};

use LinkCommand::{Link, LinkPersistent, Unlink, UnlinkPersistent};

struct Bench {
    p: Perimeter,
    fan: Fan,
    mux: NodeId,
    control: StreamId,
}

/// One lower stream.
#[derive(Clone)]
struct Below {
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
}

fn bench() -> Bench {
    let mut p = perimeter();
    let fan = Fan::default();
    let mux = p.add_mux(Box::new(fan.clone()));
    let control = p.open_mux(mux, "control").unwrap();
    Bench { p, fan, mux, control }
}

impl Bench {
    fn below(&mut self) -> Below {
        let probe = Probe::new();
        let (stream, driver) = self.p.open_device("below", Box::new(probe.clone()));
        Below { stream, driver, probe }
    }

    fn run(&mut self) {
        let now = self.p.now();
        settle(&mut self.p, now);
    }

    fn begin(&mut self, control: StreamId, command: LinkCommand) -> Result<IocId, Errno> {
        let id = self.p.link_command(control, command, 0, Cred::default())?;
        self.run();
        Ok(id)
    }

    fn command_on(&mut self, control: StreamId, command: LinkCommand) -> Result<i32, Errno> {
        let id = self.begin(control, command)?;
        match self.p.ioctl_progress(control, id) {
            Some(Progress::Done(result)) => result.map(|reply| reply.rval),
            other => panic!("not over: {other:?}"),
        }
    }

    fn command(&mut self, command: LinkCommand) -> Result<i32, Errno> {
        self.command_on(self.control, command)
    }

    fn msg(&mut self, kind: Kind, bytes: &[u8]) -> Msg {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        msg
    }

    fn arrives(&mut self, below: &Below, kind: Kind, bytes: &[u8]) {
        let msg = self.msg(kind, bytes);
        below.probe.arrive(msg);
        self.p.poll(below.driver, 10);
        self.run();
    }

    fn read(&mut self, at: StreamId) -> Result<Vec<u8>, Errno> {
        let mut out = vec![0; 64];
        let n = self.p.read(at, &mut out)?;
        out.truncate(n);
        Ok(out)
    }

    fn told(&mut self, at: StreamId) -> Vec<HeadEvent> {
        let of = |event| match event {
            Event::Head(stream, event) if stream == at => Some(event),
            _ => None,
        };
        std::iter::from_fn(|| self.p.event()).filter_map(of).collect()
    }

    /// Closes everything: every cell is back.
    fn finish(mut self) {
        for (stream, _) in self.p.streams() {
            let _closed_with_its_link = self.p.close(stream);
        }
        self.run();
        for (stream, _) in self.p.streams() {
            // Persistent links survive.
            self.p.unlink(stream).unwrap();
        }
        self.run();
        assert_eq!(self.p.streams(), []);
        assert_eq!(cells(&mut self.p), 0);
        assert!(self.p.remove_mux(self.mux));
    }
}

#[test]
fn h2_a_link_has_a_number_above_0_of_its_own() {
    let mut b = bench();
    let (one, two) = (b.below(), b.below());
    let first = b.command(Link(one.stream)).unwrap();
    let second = b.command(LinkPersistent(two.stream)).unwrap();
    assert!(first > 0 && second > 0 && first != second);
    assert_eq!(b.fan.linked(), 2);
    b.p.write(b.control, &[0, b'a']).unwrap();
    b.p.write(b.control, &[1, b'b']).unwrap();
    b.run();
    assert_eq!(one.probe.sent_bytes(), [[0, b'a']]);
    assert_eq!(two.probe.sent_bytes(), [[1, b'b']]);
    b.arrives(&two, Kind::Data, &[0, b'c']);
    assert_eq!(b.read(b.control), Ok(vec![0, b'c']));
    // A number is not used again at once.
    b.command(Unlink(first)).unwrap();
    assert!(![first, second].contains(&b.command(Link(one.stream)).unwrap()));
    b.finish();
}

#[test]
fn h2_the_request_passes_the_modules_above_the_multiplexor_behind_data() {
    let mut b = bench();
    let below = b.below();
    b.p.push(b.control, Box::new(Null)).unwrap();
    // Nothing is linked yet: the data waits at the multiplexor, and leaves when the link is made.
    b.p.write(b.control, &[0, b'x']).unwrap();
    b.command(Link(below.stream)).unwrap();
    assert_eq!(below.probe.sent_bytes(), [[0, b'x']]);
    let null = &b.p.chain(b.control).unwrap()[1];
    assert_eq!(null.stat.msgs_in, [1, 2], "the answer, the data and the request");
    b.finish();
}

#[test]
fn h3_a_stream_that_is_no_multiplexors_cannot_link() {
    let mut b = bench();
    let (one, two) = (b.below(), b.below());
    assert_eq!(b.command_on(one.stream, Link(two.stream)), Err(Errno::EINVAL));
    let [here, there] = b.p.pipe(["here", "there"]);
    assert_eq!(b.command_on(here, Link(two.stream)), Err(Errno::EINVAL));
    assert_eq!(b.p.peer(here), Some(there));
    b.finish();
}

#[test]
fn h3_one_end_of_a_pipe_may_be_linked() {
    let mut b = bench();
    let [here, there] = b.p.pipe(["here", "there"]);
    b.command(Link(here)).unwrap();
    b.p.write(there, &[0, b'u']).unwrap();
    b.p.write(b.control, &[0, b'd']).unwrap();
    b.run();
    assert_eq!(b.read(b.control), Ok(vec![0, b'u']));
    assert_eq!(b.read(there), Ok(vec![0, b'd']));
    b.finish();
}

#[test]
fn h3_itself_twice_hung_up_failed_or_busy_is_einval() {
    let mut b = bench();
    let (hung, failed, busy, linked) = (b.below(), b.below(), b.below(), b.below());
    assert_eq!(b.command(Link(b.control)), Err(Errno::EINVAL));
    b.arrives(&hung, Kind::Hangup, b"");
    b.arrives(&failed, Kind::Error, &[5]);
    b.p.push(busy.stream, Box::new(common::Delayer::default())).unwrap();
    let request = Request { cmd: 1, timeout: 0, cred: Cred::default(), arg: Arg::Data(b"") };
    b.p.ioctl(busy.stream, request).unwrap();
    b.command(Link(linked.stream)).unwrap();
    for below in [&hung, &failed, &busy, &linked] {
        assert_eq!(b.command(Link(below.stream)), Err(Errno::EINVAL));
        assert_eq!(b.command(LinkPersistent(below.stream)), Err(Errno::EINVAL));
    }
    assert_eq!(b.fan.linked(), 1);
    // When the ioctl is over it may be linked.
    settle(&mut b.p, secs(1));
    settle(&mut b.p, secs(2));
    b.command(Link(busy.stream)).unwrap();
    b.finish();
}

#[test]
fn h3_a_closed_stream_is_ebadf_and_a_hung_up_control_enxio() {
    let mut b = bench();
    let (closed, below, line) = (b.below(), b.below(), b.below());
    b.p.close(closed.stream).unwrap();
    assert_eq!(b.command(Link(closed.stream)), Err(Errno::EBADF));
    assert_eq!(b.command_on(closed.stream, Link(below.stream)), Err(Errno::EBADF));
    b.arrives(&line, Kind::Hangup, b"");
    assert_eq!(b.command_on(line.stream, Link(below.stream)), Err(Errno::ENXIO));
    b.finish();
}

#[test]
fn h3_a_cycle_is_einval() {
    let mut b = bench();
    let other_fan = Fan::default();
    let other = b.p.add_mux(Box::new(other_fan.clone()));
    let upper = b.p.open_mux(other, "upper of the other").unwrap();
    let middle = b.p.open_mux(b.mux, "middle").unwrap();
    // Own uppers lead to the multiplexor itself; so does the other one, once it is above.
    assert_eq!(b.command(Link(middle)), Err(Errno::EINVAL));
    assert!(b.command_on(upper, Link(middle)).unwrap() > 0);
    let above = b.p.open_mux(other, "above").unwrap();
    assert_eq!(b.command(Link(above)), Err(Errno::EINVAL));
    assert_eq!((b.fan.linked(), other_fan.linked()), (0, 1));
    b.p.close(upper).unwrap();
    b.p.close(above).unwrap();
    b.run();
    assert!(b.p.remove_mux(other));
    b.finish();
}

#[test]
fn h3_no_answer_is_etime_and_the_stream_is_untouched() {
    let mut b = bench();
    let below = b.below();
    b.fan.state().temper = Temper::Swallows;
    let id = b.begin(b.control, Link(below.stream)).unwrap();
    assert_eq!(b.p.ioctl_progress(b.control, id), None);
    settle(&mut b.p, secs(16));
    let over = Some(Progress::Done(Err(Errno::ETIME)));
    assert_eq!(b.p.ioctl_progress(b.control, id), over);
    b.p.write(below.stream, b"still its own").unwrap();
    b.run();
    assert_eq!(below.probe.sent_bytes(), [b"still its own"]);
    b.finish();
}

#[test]
fn h3_a_refusal_passes_through_and_the_stream_is_untouched() {
    let mut b = bench();
    let below = b.below();
    for temper in [Temper::Refuses(Errno::EBUSY), Temper::Naks(Errno::EBUSY)] {
        b.fan.state().temper = temper;
        b.arrives(&below, Kind::Data, b"waits");
        assert_eq!(b.command(Link(below.stream)), Err(Errno::EBUSY));
        assert_eq!(b.read(below.stream), Ok(b"waits".to_vec()));
    }
    b.finish();
}

#[test]
fn h3_a_request_that_arrives_too_late_links_nothing() {
    let mut b = bench();
    let below = b.below();
    // Held above the multiplexor for longer than the caller waits.
    b.p.push(b.control, Box::new(common::Delayer::default())).unwrap();
    let id = b.p.link_command(b.control, Link(below.stream), 1, Cred::default()).unwrap();
    b.run();
    b.p.ioctl_cancel(b.control, id);
    settle(&mut b.p, secs(2));
    settle(&mut b.p, secs(3));
    assert_eq!(b.fan.linked(), 0);
    let head = &b.p.chain(b.control).unwrap()[0];
    assert_eq!(head.stat.drops, [(LATE_REPLY, 1)]);
    b.finish();
}

#[test]
fn g5_a_forged_request_links_nothing() {
    let mut b = bench();
    let below = b.below();
    let control = b.control;
    b.p.push(control, Box::new(common::Forger(Kind::Ioctl))).unwrap();
    let forge = |b: &mut Bench, bytes: &[u8]| {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        b.p.set(control, 0, "forge", &text).unwrap();
        b.run();
    };
    for cmd in [I_LINK, I_UNLINK] {
        for id in 0..4 {
            let id = IocId(id);
            let blk = Iocblk { cmd, id, cred: Cred::default(), count: 0, rval: 0, error: Errno(0) };
            forge(&mut b, &blk.to_bytes());
        }
    }
    forge(&mut b, &[0; BLOCK - 1]);
    assert_eq!(b.fan.linked(), 0);
    b.p.write(below.stream, b"own").unwrap();
    b.run();
    assert_eq!(below.probe.sent_bytes(), [b"own"]);
    b.finish();
}

#[test]
fn h4_a_linked_stream_takes_no_operation() {
    let mut b = bench();
    let below = b.below();
    let muxid = b.command(Link(below.stream)).unwrap();
    let low = below.stream;
    let request = Request { cmd: 1, timeout: 0, cred: Cred::default(), arg: Arg::Data(b"") };
    assert_eq!(b.p.write(low, b"x"), Err(Errno::EINVAL));
    assert_eq!(b.read(low), Err(Errno::EINVAL));
    assert_eq!(b.p.getmsg(low).map(drop), Err(Errno::EINVAL));
    assert_eq!(b.p.ioctl(low, request), Err(Errno::EINVAL));
    assert_eq!(b.p.recv_fd(low).map(drop), Err(Errno::EINVAL));
    let sent = b.p.send_fd(low, Box::new(1), Cred::default());
    assert_eq!(sent.map_err(|(errno, _)| errno), Err(Errno::EINVAL));
    let other = b.below();
    assert_eq!(b.command_on(low, Link(other.stream)), Err(Errno::EINVAL));
    b.command(Unlink(muxid)).unwrap();
    b.p.write(low, b"own again").unwrap();
    b.run();
    assert_eq!(below.probe.sent_bytes(), [b"own again"]);
    b.finish();
}

#[test]
fn h4_closing_a_linked_stream_does_not_dismantle_the_link() {
    let mut b = bench();
    let below = b.below();
    let muxid = b.command(Link(below.stream)).unwrap();
    b.p.close(below.stream).unwrap();
    assert!(b.p.close(below.stream).is_err(), "it is closed for its program");
    b.p.write(b.control, &[0, 1]).unwrap();
    b.run();
    assert_eq!(below.probe.sent_bytes(), [[0, 1]]);
    b.command(Unlink(muxid)).unwrap();
    assert!(b.p.streams().iter().all(|(stream, _)| *stream != below.stream), "now it is gone");
    b.finish();
}

#[test]
fn h5_nothing_is_lost_or_reordered_while_links_come_and_go() {
    let mut b = bench();
    let below = b.below();
    let mut got = Vec::new();
    let mut muxid = None;
    for round in 0..100_u8 {
        for part in 0..3 {
            let msg = b.msg(Kind::Data, &[0, round * 2, part]);
            below.probe.arrive(msg);
        }
        b.p.poll(below.driver, 10);
        b.p.turn(b.p.now(), usize::from(round % 4));
        muxid = match muxid {
            None => Some(b.command(Link(below.stream)).unwrap()),
            Some(muxid) => {
                b.command(Unlink(muxid)).unwrap();
                None
            }
        };
        b.run();
        for at in [b.control, below.stream] {
            while let Ok(Some(msg)) = b.p.getmsg(at).map(|got| got.and_then(|got| got.data)) {
                got.push((msg.first()[1], msg.first()[2]));
                b.p.pool().free(msg);
                b.run();
            }
        }
    }
    let sent: Vec<_> =
        (0..100_u8).flat_map(|round| (0..3).map(move |part| (round * 2, part))).collect();
    assert_eq!(got, sent);
    b.finish();
}

#[test]
fn h6_only_the_stream_that_linked_may_unlink() {
    let mut b = bench();
    let below = b.below();
    let other = b.p.open_mux(b.mux, "other").unwrap();
    let muxid = b.command(Link(below.stream)).unwrap();
    for command in [Unlink(muxid), UnlinkPersistent(muxid)] {
        assert_eq!(b.command_on(other, command), Err(Errno::EINVAL));
    }
    assert_eq!(b.command(UnlinkPersistent(muxid)), Err(Errno::EINVAL));
    for bad in [0, -2, muxid + 1, i32::MAX, i32::MIN] {
        assert_eq!(b.command(Unlink(bad)), Err(Errno::EINVAL));
    }
    assert_eq!(b.command(Unlink(muxid)), Ok(0));
    assert_eq!(b.command(Unlink(muxid)), Err(Errno::EINVAL), "it is gone");
    b.finish();
}

#[test]
fn h6_muxid_all_undoes_all_of_its_kind() {
    let mut b = bench();
    let lowers: Vec<_> = (0..5).map(|_| b.below()).collect();
    for below in &lowers[..3] {
        b.command(Link(below.stream)).unwrap();
    }
    for below in &lowers[3..] {
        b.command(LinkPersistent(below.stream)).unwrap();
    }
    assert_eq!(b.command(Unlink(MUXID_ALL)), Ok(0));
    assert_eq!(b.fan.linked(), 2);
    let other = b.p.open_mux(b.mux, "other").unwrap();
    assert_eq!(b.command_on(other, UnlinkPersistent(MUXID_ALL)), Ok(0));
    assert_eq!(b.fan.linked(), 0);
    assert_eq!(b.command(Unlink(MUXID_ALL)), Ok(0), "none is all");
    b.finish();
}

#[test]
fn h6_closing_undoes_links_but_not_persistent_ones() {
    let mut b = bench();
    let (one, two) = (b.below(), b.below());
    b.command(Link(one.stream)).unwrap();
    let muxid = b.command(LinkPersistent(two.stream)).unwrap();
    b.p.close(b.control).unwrap();
    b.run();
    assert_eq!(b.fan.linked(), 1);
    b.p.write(one.stream, b"own again").unwrap();
    b.run();
    assert_eq!(one.probe.sent_bytes(), [b"own again"]);
    // Any stream of the same multiplexor may undo it.
    let other = b.p.open_mux(b.mux, "other").unwrap();
    assert_eq!(b.command_on(other, UnlinkPersistent(muxid)), Ok(0));
    assert_eq!(b.fan.linked(), 0);
    b.finish();
}

#[test]
fn h6_an_unlink_by_other_means_forgets_the_number() {
    let mut b = bench();
    let below = b.below();
    let muxid = b.command(Link(below.stream)).unwrap();
    b.p.unlink(below.stream).unwrap();
    assert_eq!(b.command(Unlink(muxid)), Err(Errno::EINVAL));
    b.command(Link(below.stream)).unwrap();
    b.finish();
}

#[test]
fn h7_a_slow_upper_does_not_block_the_others() {
    let mut b = bench();
    let below = b.below();
    let other = b.p.open_mux(b.mux, "other").unwrap();
    b.command(Link(below.stream)).unwrap();
    let tight = common::TIGHT;
    b.p.set_read_marks(b.control, tight).unwrap();
    for _ in 0..12 {
        b.arrives(&below, Kind::Data, &[0; 8]);
    }
    b.arrives(&below, Kind::Data, &[1, 42]);
    assert_eq!(b.read(other), Ok(vec![1, 42]));
    let mut read = 0;
    while let Ok(bytes) = b.read(b.control) {
        read += bytes.len();
        b.run();
    }
    let fan = b.p.mux_view(b.mux).unwrap();
    assert_eq!((read, fan.stat.drops), (40, vec![(Drop::RECEIVER_FULL, 7)]));
    b.finish();
}

#[test]
fn h7_a_blocked_lower_stops_all_uppers_and_wakes_all() {
    let mut b = bench();
    let below = b.below();
    let others: Vec<_> =
        (0..3).map(|_| b.p.open_mux(b.mux, "other").unwrap()).chain([b.control]).collect();
    b.command(Link(below.stream)).unwrap();
    b.p.set_driver_marks(below.driver, common::TIGHT);
    below.probe.set_room(Some(0));
    let mut written = 0;
    for &upper in &others {
        while b.p.write(upper, &[0; 8]).is_ok() {
            written += 1;
            b.run();
        }
    }
    b.told(b.control);
    assert!((5 * 8..=80).contains(&(written * 8 / 4)), "{written} messages wait");
    below.probe.set_room(None);
    for _ in 0..10 {
        b.p.writable(below.driver);
        b.run();
    }
    assert_eq!(below.probe.sent_bytes().len(), written);
    for upper in others {
        b.p.write(upper, &[0; 8]).unwrap();
    }
    // A close would wait for what multiplexors hold.
    b.run();
    assert_eq!(below.probe.sent_bytes().len(), 4);
    b.finish();
}

#[test]
fn h8_errors_and_hangups_of_a_lower_are_the_multiplexors() {
    let mut b = bench();
    let below = b.below();
    b.command(Link(below.stream)).unwrap();
    b.told(b.control);
    b.arrives(&below, Kind::Error, &[5]);
    b.arrives(&below, Kind::Hangup, b"");
    assert_eq!(b.fan.state().heard, [Kind::Error, Kind::Hangup]);
    assert_eq!(b.told(b.control), []);
    assert_eq!(b.read(b.control), Err(Errno::EAGAIN));
    b.finish();
}

#[test]
fn h8_a_flush_is_turned_above_as_by_a_driver_and_below_as_by_a_head() {
    let mut b = bench();
    let below = b.below();
    b.p.push(below.stream, Box::new(common::Holder)).unwrap();
    // Above: what waits to go down goes, and the rest comes back to the head.
    b.p.write(b.control, &[9, 9]).unwrap();
    b.run();
    b.p.flush(b.control, 3).unwrap();
    b.run();
    b.command(Link(below.stream)).unwrap();
    assert!(below.probe.sent_bytes().is_empty(), "flushed before there was a way down");
    // Below: what comes up with both bits goes down once with the write bit.
    b.arrives(&below, Kind::Flush, &[3]);
    b.arrives(&below, Kind::Flush, &[1]);
    let chain = b.p.chain(below.stream).unwrap();
    let holder = chain.iter().find(|node| node.name == "holder").unwrap();
    assert_eq!(holder.stat.msgs_in, [2, 1], "both up, one turned round");
    b.finish();
}
