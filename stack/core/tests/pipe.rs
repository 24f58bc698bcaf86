//! Pipes: two streams joined at their bottoms, and things that are handed through them.

mod common;

use common::{Holder, Null, Polite, cells, perimeter, settle};
use millstream_core::ioctl::{Arg, Cred, Progress, Request};
use millstream_core::{
    Errno, Event, HeadEvent, Marks, Perimeter, PlumbError, PollEvents, StreamId,
};
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::ms;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

struct Pipe {
    p: Perimeter,
    a: StreamId,
    b: StreamId,
}

fn pipe() -> Pipe {
    let mut p = perimeter();
    let [a, b] = p.pipe(["a", "b"]);
    Pipe { p, a, b }
}

impl Pipe {
    fn run(&mut self) {
        settle(&mut self.p, 0);
    }

    fn write(&mut self, from: StreamId, bytes: &[u8]) {
        assert_eq!(self.p.write(from, bytes), Ok(bytes.len()));
        self.run();
    }

    fn read(&mut self, at: StreamId) -> Result<Vec<u8>, Errno> {
        let mut out = vec![0; 4096];
        let n = self.p.read(at, &mut out)?;
        out.truncate(n);
        Ok(out)
    }

    fn msg(&mut self, kind: Kind, bytes: &[u8]) -> Msg {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        msg
    }

    fn put(&mut self, from: StreamId, msg: Msg) {
        self.p.putmsg(from, msg).map_err(|(errno, _)| errno).unwrap();
        self.run();
    }

    fn told(&mut self, at: StreamId) -> Vec<HeadEvent> {
        let of = |event| match event {
            Event::Head(stream, event) if stream == at => Some(event),
            _ => None,
        };
        std::iter::from_fn(|| self.p.event()).filter_map(of).collect()
    }

    fn names(&self, end: StreamId) -> Vec<String> {
        self.p.chain(end).unwrap().into_iter().map(|node| node.name).collect()
    }

    /// Closes what is open: every cell is back.
    fn finish(mut self) {
        for end in [self.a, self.b] {
            let _closed_before = self.p.close(end);
        }
        self.run();
        assert_eq!(cells(&mut self.p), 0);
        assert_eq!(self.p.streams().len(), 0);
    }
}

#[test]
fn l1_what_is_written_at_one_end_is_read_at_the_other() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    assert_eq!((pipe.p.peer(a), pipe.p.peer(b)), (Some(b), Some(a)));
    pipe.write(a, b"there");
    pipe.write(b, b"back");
    assert_eq!(pipe.told(b), [HeadEvent::Readable]);
    assert_eq!(pipe.read(b).unwrap(), b"there");
    assert_eq!(pipe.read(a).unwrap(), b"back");
    assert_eq!(pipe.read(a), Err(Errno::EAGAIN));
    pipe.finish();
}

#[test]
fn l1_each_end_has_modules_of_its_own() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.push(a, Box::new(Null)).unwrap();
    pipe.p.push(a, Box::new(Polite)).unwrap();
    pipe.p.push(b, Box::new(Polite)).unwrap();
    assert_eq!(pipe.names(a), ["head", "polite", "null", "pipe"]);
    assert_eq!(pipe.names(b), ["head", "polite", "pipe"]);
    assert_eq!(pipe.p.list(a).unwrap(), ["polite", "null"]);
    assert_eq!(pipe.p.look(b), Ok("polite".into()));
    pipe.write(a, b"through three modules");
    assert_eq!(pipe.read(b).unwrap(), b"through three modules");
    pipe.p.pop(a).unwrap();
    pipe.p.pop(b).unwrap();
    pipe.write(b, b"through one");
    assert_eq!(pipe.read(a).unwrap(), b"through one");
    pipe.finish();
}

#[test]
fn l1_modules_go_in_and_out_at_the_top_only() {
    let mut pipe = pipe();
    let a = pipe.a;
    pipe.p.push(a, Box::new(Null)).unwrap();
    assert_eq!(pipe.p.insert(a, 0, Box::new(Null)), Err(PlumbError::Pipe));
    assert_eq!(pipe.p.remove(a, 0).map(drop), Err(PlumbError::Pipe));
    assert_eq!(PlumbError::Pipe.errno(), Errno::EINVAL);
    assert_eq!(pipe.names(a), ["head", "null", "pipe"]);
    pipe.finish();
}

#[test]
fn l1_a_module_changes_at_either_end_while_messages_are_under_way() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    let mut sent = Vec::new();
    let mut got = Vec::new();
    for round in 0..200_u8 {
        let end = if round % 3 == 0 { a } else { b };
        if round % 2 == 0 {
            pipe.p.push(end, Box::new(Holder)).unwrap();
        } else if pipe.names(end).len() > 2 {
            pipe.p.pop(end).unwrap();
        }
        if pipe.p.write(a, &[round]).is_ok() {
            sent.push(round);
        }
        pipe.p.turn(0, usize::from(round % 5));
        while let Ok(bytes) = pipe.read(b) {
            got.extend(bytes);
        }
        while pipe.names(end).len() > 4 {
            pipe.p.pop(end).unwrap();
        }
    }
    pipe.run();
    while let Ok(bytes) = pipe.read(b) {
        got.extend(bytes);
        pipe.run();
    }
    assert_eq!(got, sent);
    assert!(sent.len() > 50);
    pipe.finish();
}

#[test]
fn l2_after_one_end_closes_the_other_drains_then_reads_nothing() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.push(b, Box::new(Null)).unwrap();
    pipe.write(a, b"before");
    // Under way while the end closes.
    assert_eq!(pipe.p.write(a, b", and under way"), Ok(15));
    pipe.p.close(a).unwrap();
    pipe.run();
    assert!(pipe.told(b).contains(&HeadEvent::Hangup));
    assert_eq!(pipe.read(b).unwrap(), b"before, and under way");
    assert_eq!(pipe.read(b).unwrap(), b"");
    assert_eq!(pipe.p.getmsg(b).unwrap().map(|got| got.band), None);
    assert_eq!(pipe.p.peer(b), None);
    pipe.finish();
}

#[test]
fn e23_a_write_of_nothing_sends_nothing_on_a_pipe_unless_sndzero_is_set() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.write(a, b"");
    assert_eq!(pipe.read(b), Err(Errno::EAGAIN));
    pipe.p.set_sends_empty(a, true).unwrap();
    pipe.write(a, b"");
    assert_eq!(pipe.read(b).unwrap(), b"");
    pipe.finish();
}

/// `b` has two modules with services, and its head is full: what `a` writes waits in them.
fn stopped() -> (Pipe, Vec<u8>) {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.set_read_marks(b, Marks { hiwat: 4, lowat: 1, ..Marks::DEFAULT }).unwrap();
    pipe.p.push(b, Box::new(Polite)).unwrap();
    pipe.p.push(b, Box::new(Polite)).unwrap();
    let bytes: Vec<u8> = (0..70).collect();
    for byte in &bytes {
        pipe.write(a, &[*byte]);
    }
    let chain = pipe.p.chain(b).unwrap();
    assert!(chain.iter().filter(|n| n.kind == "module").all(|n| n.depth[0] > 0), "both hold some");
    (pipe, bytes)
}

fn read_to_the_end(pipe: &mut Pipe, at: StreamId) -> Vec<u8> {
    let mut got = Vec::new();
    let mut byte = [0];
    while pipe.p.read(at, &mut byte) == Ok(1) {
        got.push(byte[0]);
        pipe.run();
    }
    got
}

#[test]
fn l2_a_hangup_stays_behind_what_modules_of_the_other_end_hold_e80() {
    let (mut pipe, bytes) = stopped();
    let (a, b) = (pipe.a, pipe.b);
    let ticket = pipe.p.close(a).unwrap().ticket().expect("it waits");
    pipe.run();
    assert_eq!(read_to_the_end(&mut pipe, b), bytes);
    assert_eq!(pipe.read(b), Ok(vec![]), "then the end");
    let over = Event::Changed(ticket, Ok(()));
    assert!(std::iter::from_fn(|| pipe.p.event()).any(|event| event == over));
    assert_eq!(pipe.p.write(b, b"x"), Err(Errno::EPIPE));
    pipe.finish();
}

#[test]
fn l2_a_hangup_comes_at_the_close_time_when_nobody_reads_and_nothing_is_lost_e80() {
    let (mut pipe, bytes) = stopped();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.set_close_time(a, Duration::from_millis(500)).unwrap();
    pipe.p.close(a).unwrap().ticket().expect("it waits");
    settle(&mut pipe.p, ms(499));
    assert_eq!(pipe.p.peer(b), Some(a));
    settle(&mut pipe.p, ms(501));
    assert_eq!((pipe.p.peer(b), pipe.p.streams().len()), (None, 1));
    let mut all = Vec::new();
    // The end was told early; what comes behind it can be read all the same.
    for _ in 0..100 {
        all.extend(read_to_the_end(&mut pipe, b));
        settle(&mut pipe.p, ms(501));
    }
    assert_eq!(all, bytes);
    pipe.finish();
}

#[test]
fn l2_a_close_waits_no_longer_when_the_modules_that_hold_leave_or_the_other_end_closes() {
    for pops in [true, false] {
        let (mut pipe, bytes) = stopped();
        let (a, b) = (pipe.a, pipe.b);
        pipe.p.close(a).unwrap().ticket().expect("it waits");
        if pops {
            pipe.p.pop(b).unwrap();
            pipe.p.pop(b).unwrap();
            pipe.run();
            assert_eq!(pipe.p.peer(b), None);
            assert_eq!(read_to_the_end(&mut pipe, b), bytes);
        } else {
            pipe.p.close(b).unwrap();
            pipe.run();
            assert_eq!(pipe.p.streams().len(), 0);
        }
        pipe.finish();
    }
}

#[test]
fn l2_writing_to_a_closed_end_is_epipe() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.close(a).unwrap();
    assert_eq!(pipe.p.write(b, b"x"), Err(Errno::EPIPE), "before the hangup has come");
    pipe.run();
    assert_eq!(pipe.p.write(b, b"x"), Err(Errno::EPIPE));
    let msg = pipe.msg(Kind::PcProto, b"control");
    assert_eq!(pipe.p.putmsg(b, msg).map_err(|(errno, _)| errno), Err(Errno::EPIPE));
    let ready = pipe.p.poll_head(b, PollEvents::WRITE).unwrap();
    assert_eq!(ready, PollEvents::HUP, "never with output");
    pipe.finish();
}

#[test]
fn l2_ioctls_of_a_closed_pipe_are_enxio() {
    let mut pipe = pipe();
    let b = pipe.b;
    let request = Request { cmd: 1, timeout: -1, cred: Cred::default(), arg: Arg::Data(b"") };
    // One that is held at the other end when it closes.
    pipe.p.push(b, Box::new(Holder)).unwrap();
    let id = pipe.p.ioctl(b, request).unwrap();
    pipe.p.close(pipe.a).unwrap();
    assert_eq!(pipe.p.ioctl_progress(b, id), Some(Progress::Done(Err(Errno::ENXIO))));
    assert_eq!(pipe.p.ioctl(b, request), Err(Errno::ENXIO));
    pipe.run();
    assert_eq!(pipe.p.ioctl(b, request), Err(Errno::ENXIO));
    pipe.finish();
}

#[test]
fn l2_a_writer_that_waits_is_told_when_the_reader_closes() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.set_read_marks(b, Marks { hiwat: 100, lowat: 10, ..Marks::DEFAULT }).unwrap();
    pipe.p.push(a, Box::new(Polite)).unwrap();
    while pipe.p.write(a, &[0; 30]).is_ok() {
        pipe.run();
    }
    pipe.told(a);
    pipe.p.close(b).unwrap();
    pipe.run();
    assert!(pipe.told(a).contains(&HeadEvent::Hangup));
    assert_eq!(pipe.p.write(a, b"x"), Err(Errno::EPIPE));
    let polite = &pipe.p.chain(a).unwrap()[1];
    assert_eq!(polite.depth, [0, 0], "what was stopped went on");
    pipe.finish();
}

#[test]
fn l2_an_ioctl_that_nobody_knows_comes_back_refused_from_the_other_end() {
    let mut pipe = pipe();
    let request = Request { cmd: 1, timeout: 0, cred: Cred::default(), arg: Arg::Data(b"data") };
    let id = pipe.p.ioctl(pipe.a, request).unwrap();
    pipe.run();
    assert_eq!(
        pipe.p.ioctl_progress(pipe.a, id),
        Some(Progress::Done(Err(Errno::EINVAL))),
        "the other head refuses it (B2)"
    );
    assert!(pipe.told(pipe.b).is_empty());
    pipe.finish();
}

#[test]
fn l3_control_parts_bands_and_high_priority_pass() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    let mut banded = pipe.msg(Kind::Data, b"band 7");
    banded.set_band(Band(7));
    let mut proto = pipe.msg(Kind::Proto, b"control");
    let data = pipe.msg(Kind::Data, b"data");
    proto.link(data);
    let plain = pipe.msg(Kind::Data, b"plain");
    let high = pipe.msg(Kind::PcProto, b"high");
    for msg in [plain, proto, banded, high] {
        pipe.put(a, msg);
    }
    let mut got = Vec::new();
    while let Ok(Some(one)) = pipe.p.getmsg(b) {
        let text =
            |part: Option<Msg>| part.map(|m| String::from_utf8_lossy(m.first()).into_owned());
        got.push((one.high, one.band.0, text(one.control), text(one.data)));
    }
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        got,
        [
            (true, 0, some("high"), None),
            (false, 7, None, some("band 7")),
            (false, 0, None, some("plain")),
            (false, 0, some("control"), some("data")),
        ]
    );
    pipe.finish();
}

#[test]
fn l3_flow_control_looks_through_the_middle_and_calls_back() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.set_read_marks(b, Marks { hiwat: 100, lowat: 40, ..Marks::DEFAULT }).unwrap();
    pipe.p.push(a, Box::new(Null)).unwrap();
    pipe.p.push(b, Box::new(Null)).unwrap();
    let mut written = 0;
    while pipe.p.write(a, &[1; 10]).is_ok() {
        written += 10;
        pipe.run();
    }
    assert_eq!(written, 100, "the reader's marks, and no other queue between");
    let normal = Some(Band(0));
    assert!(!pipe.p.can_put(a, normal).unwrap() && pipe.p.can_put(b, normal).unwrap());
    pipe.told(a);
    let mut out = [0; 60];
    pipe.p.read(b, &mut out).unwrap();
    pipe.run();
    assert!(pipe.told(a).is_empty(), "not below the low mark yet");
    pipe.p.read(b, &mut out[..10]).unwrap();
    pipe.run();
    assert_eq!(pipe.told(a), [HeadEvent::Writable]);
    pipe.write(a, &[1; 10]);
    pipe.finish();
}

#[test]
fn l3_service_procedures_on_both_sides_wait_for_the_reader() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.set_read_marks(b, Marks { hiwat: 40, lowat: 12, ..Marks::DEFAULT }).unwrap();
    pipe.p.push(b, Box::new(Polite)).unwrap();
    pipe.p.push(a, Box::new(Polite)).unwrap();
    let mut sent = Vec::new();
    for byte in 0..255_u8 {
        if pipe.p.write(a, &[byte; 4]).is_err() {
            break;
        }
        sent.push(byte);
        pipe.run();
    }
    assert!((20..=40).contains(&sent.len()), "{} messages of 4 in 3 queues of 40", sent.len());
    let mut got = Vec::new();
    let mut out = [0; 4];
    while pipe.p.read(b, &mut out) == Ok(4) {
        got.push(out[0]);
        pipe.run();
    }
    assert_eq!(got, sent);
    assert_eq!(pipe.p.write(a, b"x"), Ok(1));
    pipe.finish();
}

#[test]
fn l6_flushr_and_flushw_are_swapped_in_the_middle_e65() {
    for (bits, here, there) in [(1, true, false), (2, false, true), (3, true, true)] {
        let mut pipe = pipe();
        let (a, b) = (pipe.a, pipe.b);
        pipe.write(a, b"at b");
        pipe.write(b, b"at a");
        pipe.p.flush(a, bits).unwrap();
        pipe.run();
        // FLUSHW at a empties what b reads, FLUSHR what a reads: b's head turned it round.
        assert_eq!(pipe.read(b), if there { Err(Errno::EAGAIN) } else { Ok(b"at b".to_vec()) });
        assert_eq!(pipe.read(a), if here { Err(Errno::EAGAIN) } else { Ok(b"at a".to_vec()) });
        pipe.finish();
    }
}

#[test]
fn l6_a_flush_of_a_parted_pipe_is_turned_round_as_by_a_driver() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.write(b, b"at a");
    pipe.p.push(a, Box::new(Null)).unwrap();
    pipe.p.close(b).unwrap();
    pipe.run();
    // A module flushes, since the head of a parted pipe sends nothing.
    pipe.p.push(a, Box::new(common::Flusher)).unwrap();
    pipe.p.set(a, 1, "flush", "3").unwrap();
    pipe.run();
    assert_eq!(pipe.read(a).unwrap(), b"", "flushed, and the line is gone");
    pipe.finish();
}

const CRED: Cred = Cred { uid: 1000, gid: 100 };

/// Counts those that were dropped.
struct Thing(Arc<AtomicUsize>);

impl Drop for Thing {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn send(pipe: &mut Pipe, from: StreamId, value: u32) -> Result<(), Errno> {
    pipe.p.send_fd(from, Box::new(value), CRED).map_err(|(errno, back)| {
        assert_eq!(*back.downcast::<u32>().unwrap(), value, "it comes back");
        errno
    })
}

fn receive(pipe: &mut Pipe, at: StreamId) -> Result<u32, Errno> {
    let passed = pipe.p.recv_fd(at)?;
    assert_eq!(passed.cred, CRED);
    Ok(*passed.handle.downcast::<u32>().unwrap())
}

#[test]
fn i_sendfd_a_thing_keeps_its_place_among_data_e13() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    assert_eq!(receive(&mut pipe, b), Err(Errno::EAGAIN));
    send(&mut pipe, a, 1).unwrap();
    assert_eq!(pipe.told(b), [HeadEvent::Readable]);
    pipe.write(a, b"between");
    send(&mut pipe, a, 2).unwrap();
    assert_eq!(pipe.read(b), Err(Errno::EBADMSG));
    assert_eq!(pipe.p.getmsg(b).map(drop), Err(Errno::EBADMSG));
    assert_eq!(receive(&mut pipe, b), Ok(1));
    assert_eq!(receive(&mut pipe, b), Err(Errno::EBADMSG));
    assert_eq!(pipe.read(b).unwrap(), b"between");
    assert_eq!(receive(&mut pipe, b), Ok(2));
    assert_eq!(receive(&mut pipe, b), Err(Errno::EAGAIN));
    pipe.finish();
}

#[test]
fn i_sendfd_needs_a_pipe_with_an_open_other_end() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    let (device, _) = pipe.p.open_device("device", Box::new(millstream_rig::Probe::new()));
    assert_eq!(send(&mut pipe, device, 1), Err(Errno::EINVAL));
    pipe.p.close(device).unwrap();
    assert_eq!(send(&mut pipe, device, 1), Err(Errno::EBADF));
    send(&mut pipe, a, 1).unwrap();
    pipe.p.close(a).unwrap();
    assert_eq!(send(&mut pipe, b, 2), Err(Errno::ENXIO));
    pipe.run();
    assert_eq!(receive(&mut pipe, b), Ok(1), "what was sent before is still there");
    assert_eq!(receive(&mut pipe, b), Err(Errno::ENXIO));
    pipe.finish();
}

#[test]
fn i_sendfd_to_a_full_receiver_is_eagain() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.set_read_marks(b, Marks { hiwat: 12, lowat: 4, ..Marks::DEFAULT }).unwrap();
    for value in 0..3 {
        send(&mut pipe, a, value).unwrap();
    }
    assert_eq!(send(&mut pipe, a, 3), Err(Errno::EAGAIN));
    assert_eq!(receive(&mut pipe, b), Ok(0));
    send(&mut pipe, a, 3).unwrap();
    pipe.finish();
}

#[test]
fn i_sendfd_without_memory_is_enosr() {
    let mut pipe = pipe();
    let mut hoard = Vec::new();
    while let Ok(msg) = pipe.p.pool().alloc_reserve(0, 1) {
        hoard.push(msg);
    }
    let a = pipe.a;
    assert_eq!(send(&mut pipe, a, 1), Err(Errno::ENOSR));
    drop(hoard);
    send(&mut pipe, a, 1).unwrap();
    pipe.finish();
}

#[test]
fn i_sendfd_things_that_nobody_takes_are_dropped_once() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    let dropped = Arc::<AtomicUsize>::default();
    let thing = |dropped: &Arc<_>| Box::new(Thing(Arc::clone(dropped)));
    let count = || dropped.load(Ordering::Relaxed);
    // By a flush.
    pipe.p.send_fd(a, thing(&dropped), CRED).map_err(|(errno, _)| errno).unwrap();
    pipe.p.flush(a, 2).unwrap();
    pipe.run();
    assert_eq!(count(), 1);
    // By a close.
    pipe.p.send_fd(a, thing(&dropped), CRED).map_err(|(errno, _)| errno).unwrap();
    pipe.p.close(b).unwrap();
    assert_eq!(count(), 2);
    // Because there is nobody.
    assert!(pipe.p.send_fd(a, thing(&dropped), CRED).is_err());
    assert_eq!(count(), 3);
    pipe.finish();
}

#[test]
fn i_recvfd_of_a_forged_message_is_ebadmsg() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.p.push(a, Box::new(common::Forger(Kind::PassFp))).unwrap();
    for bytes in ["", "\x01\0\0\0", "longer than the number of a thing"] {
        pipe.p.set(a, 0, "forge", bytes).unwrap();
        pipe.run();
    }
    for _ in 0..3 {
        assert_eq!(receive(&mut pipe, b), Err(Errno::EBADMSG));
    }
    assert_eq!(receive(&mut pipe, b), Err(Errno::EAGAIN));
    pipe.finish();
}

#[test]
fn an_end_without_memory_for_the_hangup_is_hung_up_at_once() {
    let mut pipe = pipe();
    let (a, b) = (pipe.a, pipe.b);
    pipe.write(a, b"before");
    let mut hoard = Vec::new();
    while let Ok(msg) = pipe.p.pool().alloc_reserve(0, 1) {
        hoard.push(msg);
    }
    pipe.p.close(a).unwrap();
    assert_eq!(pipe.read(b).unwrap(), b"before");
    assert_eq!(pipe.read(b).unwrap(), b"");
    drop(hoard);
    pipe.finish();
}
