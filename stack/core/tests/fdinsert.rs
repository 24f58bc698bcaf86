//! I_FDINSERT: one stream names another to the multiplexor below both.

mod common;

use common::{cells, perimeter, settle};
use millstream_core::{
    Contract, Cx, Drop, Errno, FdInsert, LinkInfo, Lower, Marks, Mux, MuxInfo, NodeId, Perimeter,
    Priority, Step, StreamId, Upper,
};
use millstream_msg::{Kind, Msg};
use millstream_rig::Probe;

/// Sends what it gets up the stream that is named in the second word.
struct Switch;

const LOST: Drop = Drop("no such upper");

impl Mux for Switch {
    fn info(&self) -> &'static MuxInfo {
        const INFO: MuxInfo = MuxInfo {
            name: "switch",
            about: "for tests",
            marks: Marks::DEFAULT,
            uwsrv: false,
            lrsrv: false,
            headroom: 0,
            contract: Contract::TRANSPARENT,
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
        Ok(())
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}

    fn uwput(&mut self, cx: &mut Cx<'_>, _: Upper, msg: Msg) {
        let word = msg.first().get(4..8).and_then(|bytes| bytes.try_into().ok());
        let named = word.and_then(|word| cx.upper_named(u32::from_ne_bytes(word)));
        match named {
            Some(upper) => cx.put_upper(upper, msg),
            None => cx.discard(msg, LOST),
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        cx.discard(msg, Drop::UNEXPECTED_TYPE);
    }
}

struct Bench {
    p: Perimeter,
    mux: NodeId,
    asks: StreamId,
    named: StreamId,
}

fn bench() -> Bench {
    let mut p = perimeter();
    let mux = p.add_mux(Box::new(Switch));
    let (asks, named) = (p.open_mux(mux, "asks").unwrap(), p.open_mux(mux, "named").unwrap());
    Bench { p, mux, asks, named }
}

impl Bench {
    fn insert(&mut self, control: &[u8], other: StreamId, offset: usize) -> Result<(), Errno> {
        let priority = Priority::Band(0);
        let insert = FdInsert { control, data: Some(b"data"), priority, other, offset };
        self.p.fd_insert(self.asks, insert)?;
        settle(&mut self.p, 0);
        Ok(())
    }

    fn lost(&self) -> u64 {
        self.p.mux_view(self.mux).unwrap().stat.drops.iter().map(|(_, n)| n).sum()
    }
}

#[test]
fn i_fdinsert_the_named_stream_is_found_by_the_multiplexor() {
    let mut b = bench();
    b.p.push(b.named, Box::new(common::Null)).unwrap();
    b.insert(&[1; 12], b.named, 4).unwrap();
    let got = b.p.getmsg(b.named).unwrap().unwrap();
    let control = got.control.unwrap();
    assert_eq!((control.kind(), control.len()), (Kind::Proto, 12));
    assert_eq!((control.first()[3], control.first()[8]), (1, 1), "only the hole is filled");
    assert_eq!(got.data.unwrap().first(), b"data");
}

#[test]
fn i_fdinsert_a_hole_outside_or_askew_is_einval() {
    let mut b = bench();
    let named = b.named;
    for (len, offset) in [(12, 2), (12, 12), (12, 9), (3, 0), (0, 0), (12, usize::MAX - 3)] {
        assert_eq!(b.insert(&vec![0; len], named, offset), Err(Errno::EINVAL), "{len} {offset}");
    }
    assert_eq!(b.insert(&[0; 1025], named, 4), Err(Errno::ERANGE));
    assert_eq!(b.lost(), 0, "nothing was sent");
}

#[test]
fn i_fdinsert_a_stream_that_is_closed_linked_hung_up_or_failed_is_refused() {
    let mut b = bench();
    let device = |p: &mut Perimeter, kind, bytes: &[u8]| {
        let probe = Probe::new();
        let (stream, driver) = p.open_device("device", Box::new(probe.clone()));
        let mut msg = p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        probe.arrive(msg);
        p.poll(driver, 1);
        settle(p, 0);
        stream
    };
    let hung = device(&mut b.p, Kind::Hangup, b"");
    let failed = device(&mut b.p, Kind::Error, &[71]);
    let linked = device(&mut b.p, Kind::Data, b"");
    b.p.link(b.mux, linked).unwrap();
    assert_eq!(b.insert(&[0; 8], hung, 4), Err(Errno::ENXIO));
    assert_eq!(b.insert(&[0; 8], failed, 4), Err(Errno::EPROTO));
    assert_eq!(b.insert(&[0; 8], linked, 4), Err(Errno::EINVAL));
    b.p.close(b.named).unwrap();
    assert_eq!(b.insert(&[0; 8], b.named, 4), Err(Errno::EINVAL));
    b.p.close(b.asks).unwrap();
    assert_eq!(b.insert(&[0; 8], hung, 4), Err(Errno::EBADF));
}

#[test]
fn i_fdinsert_numbers_of_other_streams_or_of_none_are_nobody_to_the_multiplexor() {
    let mut b = bench();
    let (device, _) = b.p.open_device("device", Box::new(Probe::new()));
    b.insert(&[0; 8], device, 4).unwrap();
    assert_eq!(b.lost(), 1);
    for number in [7777, u32::MAX] {
        let mut control = [0; 8];
        control[4..].copy_from_slice(&u32::to_ne_bytes(number));
        b.p.putpmsg(b.asks, Some(&control), None, Priority::Band(0)).unwrap();
        settle(&mut b.p, 0);
    }
    assert_eq!(b.lost(), 3);
    assert_eq!(cells(&mut b.p), 0);
}
