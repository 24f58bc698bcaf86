//! Ioctl messages of random bytes, up and down, between honest ones: nothing panics or leaks, and
//! an ioctl that is asked afterwards is answered.

mod common;
#[path = "common/desk.rs"]
mod desk;

use desk::bench;
use millstream_core::Rng;
use millstream_core::ioctl::{Arg, Copyreq, Cred, IocId, Iocblk, LEN_MAX, Progress, Request};
use millstream_core::{Errno, Perimeter, StreamId};
use millstream_msg::Kind;

const KINDS: [Kind; 6] =
    [Kind::IocAck, Kind::IocNak, Kind::CopyIn, Kind::CopyOut, Kind::IocData, Kind::Ioctl];

/// A first block: well-formed with random figures, or of random bytes and length.
fn block(rng: &mut Rng, id: IocId) -> Vec<u8> {
    let size = [0, 3, LEN_MAX as u32, LEN_MAX as u32 + 1, u32::MAX][rng.below(5) as usize];
    let id = if rng.below(3) == 0 { IocId(rng.next_u32() % 64) } else { id };
    let (cred, cmd) = (Cred::default(), rng.next_u32());
    match rng.below(4) {
        0 => {
            let (rval, error) = (-1, Errno(rng.below(200) as i32 - 50));
            Iocblk { cmd, id, cred, count: size, rval, error }.to_bytes().to_vec()
        }
        1 => {
            let (addr, private) = (rng.next_u64(), rng.next_u64());
            Copyreq { cmd, id, cred, addr, size, private }.to_bytes().to_vec()
        }
        _ => (0..rng.below(60)).map(|_| rng.next_u32() as u8).collect(),
    }
}

fn begin(p: &mut Perimeter, stream: StreamId, rng: &mut Rng) -> Result<IocId, Errno> {
    let data = vec![3; rng.below(300) as usize];
    let arg = if rng.below(2) == 0 { Arg::Data(&data) } else { Arg::Transparent(rng.next_u64()) };
    let timeout = rng.below(4) as i32 - 1;
    p.ioctl(stream, Request { cmd: 1, timeout, cred: Cred::default(), arg })
}

#[test]
fn forged_and_random_ioctl_messages_harm_nobody() {
    let mut rng = Rng::new(millstream_rig::seed(0x10c71));
    for _ in 0..200 {
        let mut b = bench();
        let (mut id, mut seconds) = (IocId(1), 0);
        for _ in 0..40 {
            match rng.below(5) {
                0 => id = begin(&mut b.p, b.stream, &mut rng).unwrap_or(id),
                1 => {
                    seconds += rng.below(3);
                    b.at(seconds);
                }
                2 => {
                    let bytes = [1; 3];
                    let outcome =
                        if rng.below(2) == 0 { Ok(&bytes[..]) } else { Err(Errno::EFAULT) };
                    let _none_wanted = b.p.ioctl_copied(b.stream, id, outcome);
                }
                _ => {
                    let kind = KINDS[rng.below(6) as usize];
                    let (bytes, behind) = (block(&mut rng, id), vec![9; rng.below(9) as usize]);
                    b.arrives(kind, &bytes, &behind);
                }
            }
            b.run();
            let _progress = b.progress(id);
            drop(b.asked());
        }
        // Those that are left end by themselves or are given up; then one is answered.
        b.p.ioctl_cancel(b.stream, id);
        seconds += 1000;
        b.at(seconds);
        drop(b.asked());
        if let Ok(last) = b.str_for(7, 0, b"honest") {
            let asked = b.asked();
            if asked.iter().any(|msg| Iocblk::parse(msg.first()).is_some_and(|k| k.id == last)) {
                b.ack(last, 5, b"");
                let over = b.progress(last);
                assert!(matches!(over, Some(Progress::Done(Ok(reply))) if reply.rval == 5));
            }
        }
        b.finish();
    }
}
