//! Messages through a chain of modules between a head and a device.

use millstream_core::{
    Caps, Config, Cx, Device, Errno, ModInfo, Module, Perimeter, Side, StreamId,
};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};
use std::sync::{Arc, Mutex};

/// A device that keeps what it is given and hands out what the test put in.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<(MsgList, MsgList)>>);

impl Device for Wire {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut wire = self.0.lock().unwrap();
        let mut batch = wire.0.split_front(budget);
        let count = batch.len();
        out.append(&mut batch);
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.0.lock().unwrap().1.append(batch);
        Ok(())
    }
}

/// Holds every message until it is served.
struct Holder;

impl Module for Holder {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo =
            ModInfo { rsrv: true, wsrv: true, ..ModInfo::new("holder", "queues all") };
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }
}

struct Null;

impl Module for Null {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("null", "passes all");
        &INFO
    }
}

fn stack() -> (Perimeter, StreamId, Wire) {
    let pool = Pool::new(PoolConfig::TINY);
    let mut perimeter = Perimeter::new(Config { pool, seed: 1, clock: None });
    let wire = Wire::default();
    let (stream, _) = perimeter.open_device("wire", Box::new(wire.clone()));
    (perimeter, stream, wire)
}

#[test]
fn a_message_passes_null_modules_down_and_up_unchanged() {
    let (mut p, stream, wire) = stack();
    for _ in 0..4 {
        p.push(stream, Box::new(Null)).unwrap();
    }
    let msg = p.pool().copy_from(0, b"down").unwrap();
    p.putmsg(stream, msg).unwrap();
    p.turn(0, 100);
    let sent = wire.0.lock().unwrap().1.pop().unwrap();
    assert_eq!(sent.first(), b"down");
    let driver = p.chain(stream).unwrap();
    assert_eq!(driver.len(), 6);
    wire.0.lock().unwrap().0.push(sent);
}

#[test]
fn removing_a_module_sends_on_what_its_queue_holds() {
    let (mut p, stream, wire) = stack();
    p.push(stream, Box::new(Holder)).unwrap();
    for i in 0..5_u8 {
        let msg = p.pool().copy_from(0, &[i]).unwrap();
        p.putmsg(stream, msg).unwrap();
    }
    p.pop(stream).unwrap();
    p.turn(0, 100);
    let sent: Vec<u8> =
        std::mem::take(&mut wire.0.lock().unwrap().1).map(|m| m.first()[0]).collect();
    assert_eq!(sent, [0, 1, 2, 3, 4]);
    assert_eq!(Side::Read.other(), Side::Write);
}
