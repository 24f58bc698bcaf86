//! Pipes, ioctls and links of programs on a stack of this process, without any interface.

use millstream::plan::Plan;
use millstream::{Area, Errno, MUXID_ALL, Priority, Stack, Stream, pipe};
use millstream_modules::{count, null, testmod};
use std::io;
use std::time::Duration;

fn stack() -> Stack {
    Stack::start(Plan::default()).unwrap()
}

fn ends() -> (Stack, Stream, Stream) {
    let stack = stack();
    let (one, other) = pipe(&stack).unwrap();
    (stack, one, other)
}

fn number(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or_else(|| panic!("{error}")))
}

#[test]
fn a_message_goes_through_a_pipe_with_its_parts_and_priority() {
    let (_stack, one, other) = ends();
    one.putmsg(Some(b"control"), Some(b"data"), Priority::Band(3)).unwrap();
    let got = other.getmsg().unwrap().unwrap();
    assert_eq!(got.control.as_deref(), Some(&b"control"[..]));
    assert_eq!(got.data.as_deref(), Some(&b"data"[..]));
    assert_eq!(got.priority, Priority::Band(3));
}

#[test]
fn each_end_lists_its_own_modules_only() {
    let (_stack, one, other) = ends();
    one.push(Box::new(null::Null)).unwrap();
    one.push(Box::new(count::Count::default())).unwrap();
    assert_eq!(one.list().unwrap(), ["count", "null"]);
    assert!(other.list().unwrap().is_empty());
    other.putmsg(None, Some(b"through both"), Priority::Band(0)).unwrap();
    assert_eq!(one.getmsg().unwrap().unwrap().data.unwrap(), b"through both");
}

#[test]
fn closing_one_end_ends_reading_behind_the_data_and_breaks_writing() {
    let (_stack, one, other) = ends();
    one.putmsg(None, Some(b"last"), Priority::Band(0)).unwrap();
    drop(one);
    assert_eq!(other.getmsg().unwrap().unwrap().data.unwrap(), b"last");
    assert!(other.getmsg().unwrap().is_none());
    let error = other.ioctl(1, b"", 0).unwrap_err();
    assert_eq!(number(&error), Errno::ENXIO);
}

#[test]
fn a_stream_is_handed_through_a_pipe_and_goes_on_there() {
    let (stack, one, other) = ends();
    let (near, far) = pipe(&stack).unwrap();
    near.putmsg(None, Some(b"sent before it was handed over"), Priority::Band(0)).unwrap();
    one.send_fd(far).map_err(|(error, _)| error).unwrap();
    let received = other.recv_fd().unwrap();
    let got = received.stream.getmsg().unwrap().unwrap();
    assert_eq!(got.data.unwrap(), b"sent before it was handed over");
    received.stream.putmsg(None, Some(b"back"), Priority::Band(0)).unwrap();
    assert_eq!(near.getmsg().unwrap().unwrap().data.unwrap(), b"back");
}

#[test]
fn a_stream_in_front_is_ebadmsg_for_getmsg_and_data_is_for_recv_fd() {
    let (stack, one, other) = ends();
    let (near, far) = pipe(&stack).unwrap();
    one.send_fd(near).map_err(|(error, _)| error).unwrap();
    one.putmsg(None, Some(b"behind"), Priority::Band(0)).unwrap();
    assert_eq!(number(&other.getmsg().unwrap_err()), Errno::EBADMSG);
    other.recv_fd().unwrap();
    assert_eq!(other.getmsg().unwrap().unwrap().data.unwrap(), b"behind");
    one.putmsg(None, Some(b"in front"), Priority::Band(0)).unwrap();
    one.send_fd(far).map_err(|(error, _)| error).unwrap();
    assert_eq!(number(&other.recv_fd().unwrap_err()), Errno::EBADMSG);
    assert_eq!(other.getmsg().unwrap().unwrap().data.unwrap(), b"in front");
    other.recv_fd().unwrap();
    other.set_nonblocking(true);
    assert_eq!(other.recv_fd().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_stream_that_is_not_sent_comes_back_and_one_that_nobody_takes_is_closed() {
    let (stack, one, other) = ends();
    let udp = stack.open("udp").unwrap();
    let (near, far) = pipe(&stack).unwrap();
    let (error, back) = udp.send_fd(far).unwrap_err();
    assert_eq!(number(&error), Errno::EINVAL);
    one.send_fd(back.unwrap()).map_err(|(error, _)| error).unwrap();
    drop(other);
    // Its other end sees that it was closed with the pipe.
    assert!(near.getmsg().unwrap().is_none());
    let (error, _) = one.send_fd(near).unwrap_err();
    assert_eq!(number(&error), Errno::ENXIO);
}

#[test]
fn a_receiver_sleeps_until_a_stream_comes() {
    let (stack, one, other) = ends();
    let (near, _far) = pipe(&stack).unwrap();
    let receiver = std::thread::spawn(move || other.recv_fd().map(drop));
    one.send_fd(near).map_err(|(error, _)| error).unwrap();
    receiver.join().unwrap().unwrap();
    drop(one);
}

#[test]
fn an_ioctl_is_answered_by_the_first_module_that_knows_it() {
    let (_stack, one, _other) = ends();
    assert_eq!(number(&one.ioctl(testmod::ECHO, b"x", 0).unwrap_err()), Errno::EINVAL);
    one.push(Box::new(testmod::Testmod::default())).unwrap();
    one.push(Box::new(null::Null)).unwrap();
    let reply = one.ioctl(testmod::ECHO, b"hello", 0).unwrap();
    assert_eq!((reply.rval, reply.data), (5, b"hello".to_vec()));
    let refusal = Errno::EBUSY.0.to_ne_bytes();
    assert_eq!(number(&one.ioctl(testmod::REFUSE, &refusal, 0).unwrap_err()), Errno::EBUSY);
    assert_eq!(number(&one.ioctl(testmod::HOLD, b"", 1).unwrap_err()), Errno::ETIME);
    let reply = one.ioctl(testmod::ECHO, b"not confused", 0).unwrap();
    assert_eq!(reply.data, b"not confused");
}

#[test]
fn a_transparent_ioctl_copies_within_the_area_and_nowhere_else() {
    let (_stack, one, _other) = ends();
    one.push(Box::new(testmod::Testmod::default())).unwrap();
    // At 4: length and bytes, which come back turned round.
    let mut memory = *b"....\x05\0\0\0hello....";
    let area = Area { base: 0x1000, bytes: &mut memory };
    let reply = one.ioctl_transparent(testmod::REVERSE, 0x1004, area, -1).unwrap();
    assert_eq!(reply.rval, 5);
    assert_eq!(&memory[8..], b"olleh....");
    memory[4] = 14;
    let area = Area { base: 0x1000, bytes: &mut memory };
    let error = one.ioctl_transparent(testmod::REVERSE, 0x1004, area, -1).unwrap_err();
    assert_eq!(number(&error), Errno::EFAULT);
    assert_eq!(&memory[8..], b"olleh....");
}

#[test]
fn an_error_from_below_and_a_closed_end_end_an_ioctl() {
    let (_stack, one, other) = ends();
    one.push(Box::new(testmod::Testmod::default())).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| one.ioctl(testmod::HOLD, b"", -1));
        drop(other);
        let error = waits.join().unwrap().unwrap_err();
        assert_eq!(number(&error), Errno::ENXIO);
    });
    let (_stack, one, _other) = ends();
    one.push(Box::new(testmod::Testmod::default())).unwrap();
    let error = one.ioctl(testmod::ERROR, &[Errno::EPROTO.0 as u8], -1).unwrap_err();
    assert_eq!(number(&error), Errno::EPROTO);
}

#[test]
fn a_message_names_another_stream_and_a_hole_outside_it_is_einval() {
    let (_stack, one, other) = ends();
    let outside = one.fd_insert(&[0; 8], None, Priority::Band(0), &other, 8).unwrap_err();
    assert_eq!(number(&outside), Errno::EINVAL);
    one.fd_insert(&[0xee; 12], Some(b"data"), Priority::Band(1), &other, 4).unwrap();
    let got = other.getmsg().unwrap().unwrap();
    let control = got.control.unwrap();
    assert_eq!((&control[..4], &control[8..]), (&[0xee; 4][..], &[0xee; 4][..]));
    assert_ne!(control[4..8], [0xee; 4]);
    assert_eq!((got.data.unwrap(), got.priority), (b"data".to_vec(), Priority::Band(1)));
}

#[test]
fn a_program_links_and_a_linked_stream_takes_no_operation() {
    let stack = stack();
    let (ip, lower) = (stack.open("ip").unwrap(), stack.open("ip").unwrap());
    assert_eq!(number(&ip.link(&lower).unwrap_err()), Errno::EINVAL);
    // The plan has linked ip below udp: there is room for one.
    let udp = stack.open("udp").unwrap();
    assert_eq!(number(&udp.link(&lower).unwrap_err()), Errno::EBUSY);
    let unlinked = stack.handle().call(|shard| {
        let core = shard.core();
        let linked = core.streams().into_iter().find(|(stream, _)| core.is_linked(*stream));
        core.unlink(linked.unwrap().0).is_ok()
    });
    assert!(unlinked.unwrap());
    let (near, far) = pipe(&stack).unwrap();
    let muxid = udp.link(&near).unwrap();
    assert!(muxid > 0);
    near.set_read_timeout(Some(Duration::from_secs(5)));
    let refused = near.putmsg(None, Some(b"x"), Priority::Band(0)).unwrap_err();
    assert_eq!(number(&refused), Errno::EINVAL);
    assert_eq!(number(&near.getmsg().unwrap_err()), Errno::EINVAL);
    assert_eq!(number(&near.ioctl(1, b"", 0).unwrap_err()), Errno::EINVAL);
    assert_eq!(number(&ip.unlink(muxid).unwrap_err()), Errno::EINVAL);
    udp.unlink(muxid).unwrap();
    far.putmsg(None, Some(b"its own again"), Priority::Band(0)).unwrap();
    assert_eq!(near.getmsg().unwrap().unwrap().data.unwrap(), b"its own again");
    udp.link_persistent(&near).unwrap();
    udp.unlink_persistent(MUXID_ALL).unwrap();
}
