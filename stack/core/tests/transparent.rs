//! Transparent ioctls: the module below asks the head to copy from and to its caller's memory.

mod common;
#[path = "common/desk.rs"]
mod desk;

use desk::{Bench, CRED, behind, bench};
use millstream_core::ioctl::{
    Area, Copyresp, IocId, Iocblk, LATE_REPLY, LEN_MAX, Progress, Reply, TRANSPARENT,
};
use millstream_core::{Cx, Errno, HeadEvent, ModInfo, Module};
use millstream_msg::{Kind, Msg};
use proptest::prelude::*;

/// The one M_IOCDATA that came down.
fn answer(b: &mut Bench) -> (Copyresp, Vec<u8>) {
    let mut asked = b.asked();
    assert_eq!(asked.len(), 1);
    let msg = asked.remove(0);
    assert_eq!(msg.kind(), Kind::IocData);
    (Copyresp::parse(msg.first()).unwrap(), behind(&msg))
}

#[test]
fn g6_the_argument_goes_down_as_it_is() {
    let mut b = bench();
    let id = b.transparent(0x1234, u64::MAX - 5);
    let (blk, data) = b.request();
    assert_eq!((blk.cmd, blk.id, blk.cred, blk.count), (0x1234, id, CRED, TRANSPARENT));
    assert_eq!(data, (u64::MAX - 5).to_ne_bytes());
    b.ack(id, 3, b"");
    assert_eq!(b.result(id), Ok(Reply { rval: 3, data: Vec::new() }));
    b.finish();
}

#[test]
fn g6_any_number_of_copies_then_the_answer() {
    let mut b = bench();
    let id = b.transparent(7, 100);
    assert_eq!(b.request().0.id, id);
    let mut memory = *b"....question....";
    for round in 0..4 {
        b.copyin(id, 104, 8, round);
        assert_eq!(b.told(), [HeadEvent::Ioctl(id)]);
        assert_eq!(b.progress(id), Some(Progress::CopyIn { addr: 104, len: 8 }));
        let area = Area { base: 100, bytes: &mut memory };
        b.copied(id, area.copy_in(104, 8));
        let (resp, data) = answer(&mut b);
        assert_eq!((resp.cmd, resp.id, resp.cred), (0, id, CRED));
        assert_eq!((resp.error, resp.private), (Errno(0), round));
        assert_eq!(data, b"question");
    }
    b.copyout(id, 112, b"done", 9);
    let Some(Progress::CopyOut { addr, bytes }) = b.progress(id) else { panic!("no copy out") };
    Area { base: 100, bytes: &mut memory }.copy_out(addr, &bytes).unwrap();
    b.copied(id, Ok(b""));
    let (resp, data) = answer(&mut b);
    assert_eq!((resp.error, resp.private, data), (Errno(0), 9, Vec::new()));
    b.ack(id, 1, b"");
    assert_eq!(b.result(id).unwrap().rval, 1);
    assert_eq!(&memory, b"....questiondone");
    b.finish();
}

#[test]
fn g6_a_copy_that_fails_ends_it_with_efault_and_no_answer_is_expected() {
    for out in [false, true] {
        let mut b = bench();
        let id = b.transparent(7, 0);
        b.request();
        if out {
            b.copyout(id, 999, b"abc", 5)
        } else {
            b.copyin(id, 999, 3, 5)
        }
        let mut memory = [0; 16];
        let mut area = Area { base: 0, bytes: &mut memory };
        let outcome = match b.progress(id).unwrap() {
            Progress::CopyIn { addr, len } => area.copy_in(addr, len).map(drop),
            Progress::CopyOut { addr, bytes } => area.copy_out(addr, &bytes),
            Progress::Done(result) => panic!("over: {result:?}"),
        };
        assert_eq!(outcome, Err(Errno::EFAULT));
        b.copied(id, Err(Errno::EFAULT));
        assert_eq!(b.result(id), Err(Errno::EFAULT));
        let (resp, data) = answer(&mut b);
        assert_eq!((resp.error, resp.private, data), (Errno::EFAULT, 5, Vec::new()));
        // A module that answers all the same is late.
        b.nak(id, Errno::EIO);
        assert_eq!(b.drops(LATE_REPLY), 1);
        b.finish();
    }
}

#[test]
fn g6_a_caller_that_gives_other_bytes_than_asked_is_efault() {
    let mut b = bench();
    let id = b.transparent(7, 0);
    b.request();
    b.copyin(id, 0, 8, 0);
    b.copied(id, Ok(b"short"));
    assert_eq!(b.result(id), Err(Errno::EFAULT));
    assert_eq!(answer(&mut b).0.error, Errno::EFAULT);
    assert_eq!(b.p.ioctl_copied(b.stream, id, Ok(b"")), Err(Errno::EINVAL), "none is wanted");
    b.finish();
}

#[test]
fn g6_copies_too_long_or_without_bytes_or_twice_at_once_are_against_the_protocol() {
    let mut b = bench();
    let id = b.transparent(7, 0);
    b.request();
    b.copyin(id, 0, LEN_MAX as u32 + 1, 0);
    assert_eq!(b.result(id), Err(Errno::EPROTO));
    assert_eq!(answer(&mut b).0.error, Errno::EPROTO);

    let id = b.transparent(7, 0);
    b.request();
    b.copyin(id, 0, 4, 1);
    b.copyin(id, 0, 4, 2);
    let (resp, _) = answer(&mut b);
    assert_eq!((resp.error, resp.private), (Errno::EPROTO, 2));
    b.copied(id, Ok(b"1234"));
    assert_eq!(answer(&mut b), (Copyresp { error: Errno(0), private: 1, ..resp }, b"1234".into()));
    b.ack(id, 0, b"");
    b.result(id).unwrap();
    b.finish();
}

#[test]
fn g6_a_copy_for_i_str_is_against_the_protocol() {
    let mut b = bench();
    let id = b.str(7, b"data");
    b.request();
    b.copyin(id, 0, 4, 3);
    assert_eq!(b.result(id), Err(Errno::EPROTO));
    let (resp, _) = answer(&mut b);
    assert_eq!((resp.error, resp.private), (Errno::EPROTO, 3));
    b.finish();
}

#[test]
fn g6_an_answer_ends_it_while_the_caller_copies() {
    let mut b = bench();
    let id = b.transparent(7, 0);
    b.request();
    b.copyin(id, 0, 4, 3);
    b.ack(id, 5, b"");
    assert_eq!(b.result(id).unwrap().rval, 5);
    assert_eq!(answer(&mut b).0.error, Errno::EPROTO);
    assert_eq!(b.p.ioctl_copied(b.stream, id, Ok(b"1234")), Err(Errno::EINVAL));
    b.finish();
}

#[test]
fn g7_nobody_waits_so_the_module_is_told() {
    let mut b = bench();
    b.copyin(IocId(55), 0, 4, 8);
    let (resp, _) = answer(&mut b);
    assert_eq!((resp.id, resp.error, resp.private), (IocId(55), Errno::ETIME, 8));
    // One whose time is over while it copies.
    let id = b.str_for(7, 1, b"").unwrap();
    b.request();
    b.at(1);
    assert_eq!(b.result(id), Err(Errno::ETIME));
    b.copyout(id, 0, b"late", 9);
    let (resp, data) = answer(&mut b);
    assert_eq!((resp.error, resp.private, data), (Errno::ETIME, 9, Vec::new()));
    b.finish();
}

#[test]
fn g7_a_module_that_waits_for_a_copy_is_told_when_the_caller_goes() {
    let mut b = bench();
    let id = b.transparent(7, 0);
    b.request();
    b.copyin(id, 0, 4, 8);
    b.p.ioctl_cancel(b.stream, id);
    b.run();
    assert_eq!(answer(&mut b).0.error, Errno::EINTR);
    let id = b.transparent(7, 0);
    b.request();
    b.copyin(id, 0, 4, 8);
    b.arrives(Kind::Hangup, b"", b"");
    assert_eq!(b.result(id), Err(Errno::ENXIO));
    assert_eq!(answer(&mut b).0.error, Errno::ENXIO);
    b.finish();
}

/// Sums the words of a vector that the argument points to: a head of (address, length), then the
/// bytes, then the sum is stored behind the head. Three copies.
#[derive(Default)]
struct Sum {
    sum: u32,
    refused: u32,
}

impl Sum {
    const CMD: u32 = 0x5301;
}

impl Module for Sum {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("sum", "for tests");
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match msg.kind() {
            Kind::Ioctl if Iocblk::parse(msg.first()).is_some_and(|b| b.cmd == Self::CMD) => {
                let arg = behind(&msg);
                let Ok(arg) = arg.as_slice().try_into() else {
                    return cx.miocnak(msg, Errno::EINVAL);
                };
                let arg = u64::from_ne_bytes(arg);
                cx.mcopyin(msg, arg, arg, 16);
            }
            Kind::IocData => {
                let resp = Copyresp::parse(msg.first()).expect("the head writes whole blocks");
                if resp.error.0 != 0 {
                    self.refused += 1;
                    return cx.free(msg);
                }
                let data = behind(&msg);
                match (resp.private, data.len()) {
                    (0, 0) => cx.miocack(msg, self.sum as i32, None),
                    (arg, 16) if arg != 1 => {
                        let word = |at| u64::from_ne_bytes(data[at..at + 8].try_into().unwrap());
                        self.sum = arg as u32;
                        cx.mcopyin(msg, 1, word(0), word(8) as u32);
                    }
                    _ => {
                        let at = u64::from(self.sum) + 16;
                        self.sum = data.iter().map(|&byte| u32::from(byte)).sum();
                        let out = cx.pool().copy_from(0, &self.sum.to_ne_bytes()).unwrap();
                        cx.mcopyout(msg, 0, at, out);
                    }
                }
            }
            _ => cx.putnext(msg),
        }
    }
}

/// Does what the head asks until the ioctl is over.
fn serve(b: &mut Bench, id: IocId, memory: &mut [u8]) -> Result<Reply, Errno> {
    let mut area = Area { base: 0, bytes: memory };
    loop {
        match b.progress(id).expect("the module answers at once") {
            Progress::Done(result) => return result,
            Progress::CopyIn { addr, len } => {
                let bytes = area.copy_in(addr, len).map(<[u8]>::to_vec);
                b.copied(id, bytes.as_deref().map_err(|&errno| errno));
            }
            Progress::CopyOut { addr, bytes } => {
                let done = area.copy_out(addr, &bytes);
                b.copied(id, done.map(|()| &b""[..]));
            }
        }
    }
}

#[test]
fn g10_a_module_asks_for_copies_with_the_helpers() {
    let mut b = bench();
    b.p.push(b.stream, Box::new(Sum::default())).unwrap();
    let mut memory = [0_u8; 64];
    memory[8..16].copy_from_slice(&40_u64.to_ne_bytes());
    memory[16..24].copy_from_slice(&5_u64.to_ne_bytes());
    memory[40..45].copy_from_slice(&[1, 2, 3, 4, 90]);
    let id = b.transparent(Sum::CMD, 8);
    assert_eq!(serve(&mut b, id, &mut memory), Ok(Reply { rval: 100, data: Vec::new() }));
    assert_eq!(memory[24..28], 100_u32.to_ne_bytes());
    // The vector lies outside: the module has to forget, the caller gets EFAULT.
    memory[8..16].copy_from_slice(&62_u64.to_ne_bytes());
    let id = b.transparent(Sum::CMD, 8);
    assert_eq!(serve(&mut b, id, &mut memory), Err(Errno::EFAULT));
    b.finish();
}

proptest! {
    /// Against the definition, with addresses near both ends of what numbers hold.
    #[test]
    fn nothing_outside_an_area_is_read_or_written(
        base in prop_oneof![0_u64..100, u64::MAX - 100..=u64::MAX],
        size in 0_usize..64,
        addr in prop_oneof![0_u64..200, u64::MAX - 200..=u64::MAX],
        len in prop_oneof![0_usize..100, usize::MAX - 10..=usize::MAX],
    ) {
        let mut memory: Vec<u8> = (0..size as u8).collect();
        let inside = (0..=size).any(|from| {
            u128::from(base) + from as u128 == u128::from(addr) && len <= size - from
        });
        let from = addr.wrapping_sub(base) as usize;
        let mut area = Area { base, bytes: &mut memory };
        match area.copy_in(addr, len) {
            Ok(bytes) => {
                prop_assert!(inside);
                prop_assert_eq!(bytes, &(0..size as u8).collect::<Vec<_>>()[from..from + len]);
            }
            Err(errno) => prop_assert!(!inside && errno == Errno::EFAULT),
        }
        if len < 200 {
            prop_assert_eq!(area.copy_out(addr, &vec![0xee; len]).is_ok(), inside);
            let written = memory.iter().filter(|&&byte| byte == 0xee).count();
            prop_assert_eq!(written, if inside { len } else { 0 });
        }
    }
}
