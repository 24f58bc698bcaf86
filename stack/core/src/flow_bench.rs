//! A queue with a writer, bare: what the model of the queue algorithm is compared with.

use crate::cx::Cx;
use crate::module::{Marks, ModInfo, Module};
use crate::net::{QueueNo, queue_no};
use crate::perimeter::{Config, Perimeter};
use crate::queue::{ENABLED, Flush, Side};
use alloc::boxed::Box;
use alloc::vec::Vec;
use millstream_msg::{Band, Msg, MsgList, Pool, PoolConfig};

struct Served;

impl Module for Served {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("served", "for tests") };
        &INFO
    }

    fn rsrv(&mut self, _: &mut Cx<'_>) {}
}

struct NoDevice;

impl crate::Device for NoDevice {
    fn caps(&self) -> crate::Caps {
        let can = millstream_msg::offload::Can::ALL;
        crate::Caps { mtu: 1500, mac: [0; 6], can }
    }

    fn recv(&mut self, _: &mut Pool, _: &mut MsgList, _: usize) -> Result<usize, crate::Errno> {
        Ok(0)
    }

    fn send(&mut self, _: &mut MsgList) -> Result<(), crate::Errno> {
        Ok(())
    }
}

pub(crate) struct Bench {
    p: Perimeter,
    queue: QueueNo,
    writer: QueueNo,
}

/// Two modules with service procedures; the upper one's read queue has these marks.
pub(crate) fn bench(marks: Marks) -> Bench {
    let pool = Pool::new(PoolConfig::TINY);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    let (stream, _) = p.open_device("device", Box::new(NoDevice));
    p.push(stream, Box::new(Served)).expect("a module");
    p.push(stream, Box::new(Served)).expect("a module");
    p.turn(0, 1000);
    // Head 1, driver 0 or the other way round: find the modules from the bottom.
    let bottom = p.streams.iter().next().expect("one").1.bottom;
    let writer = p.net.pairs.at(bottom).expect("driver").up();
    let upper = p.net.pairs.at(writer).expect("module").up();
    let queue = queue_no(upper, Side::Read);
    p.net.set_marks(queue, marks);
    Bench { p, queue, writer: queue_no(writer, Side::Read) }
}

impl Bench {
    pub(crate) fn pool(&mut self) -> &mut Pool {
        &mut self.p.net.pool
    }

    pub(crate) fn putq(&mut self, msg: Msg) {
        self.p.net.putq(self.queue, msg);
    }

    pub(crate) fn putbq(&mut self, msg: Msg) {
        self.p.net.putbq(self.queue, msg);
    }

    pub(crate) fn getq(&mut self) -> Option<u32> {
        let msg = self.p.net.getq(self.queue)?;
        let id = msg.flow_hash();
        self.p.net.pool.free(msg);
        Some(id)
    }

    /// False when it was refused.
    pub(crate) fn insq(&mut self, before: Option<usize>, msg: Msg) -> bool {
        match self.p.net.insq(self.queue, before, msg) {
            Ok(()) => true,
            Err(msg) => {
                self.p.net.pool.free(msg);
                false
            }
        }
    }

    pub(crate) fn rmvq(&mut self, at: usize) -> Option<u32> {
        let msg = self.p.net.rmvq(self.queue, at)?;
        let id = msg.flow_hash();
        self.p.net.pool.free(msg);
        Some(id)
    }

    pub(crate) fn flush(&mut self, what: Flush, band: Option<Band>) -> Vec<u32> {
        let flushed = self.p.net.flushq(self.queue, what, band);
        flushed.map(|msg| msg.flow_hash()).collect()
    }

    pub(crate) fn canput(&mut self, band: Band) -> bool {
        self.p.net.canput(self.queue, band)
    }

    pub(crate) fn qenable(&mut self) {
        self.p.net.qenable(self.queue);
    }

    /// As the perimeter does before it runs the service procedure.
    pub(crate) fn served(&mut self) {
        let queue = self.queue;
        self.p.net.serve.retain(|&q| q != queue);
        self.p.net.queue_mut(queue).expect("it stays").clear(ENABLED);
    }

    /// Once on the list or not at all (C24).
    pub(crate) fn enabled(&self) -> bool {
        let on_list = self.p.net.serve.iter().filter(|&&q| q == self.queue).count();
        assert_eq!(on_list, usize::from(self.flag(ENABLED)));
        on_list == 1
    }

    pub(crate) fn writer_woken(&mut self) -> bool {
        let writer = self.writer;
        let woken = self.p.net.serve.iter().filter(|&&q| q == writer).count();
        self.p.net.serve.retain(|&q| q != writer);
        self.p.net.queue_mut(writer).expect("it stays").clear(ENABLED);
        assert!(woken <= 1);
        woken == 1
    }

    pub(crate) fn set_flag(&mut self, flag: u16, on: bool) {
        let q = self.p.net.queue_mut(self.queue).expect("it stays");
        if on { q.set(flag) } else { q.clear(flag) }
    }

    pub(crate) fn flag(&self, flag: u16) -> bool {
        self.p.net.queue(self.queue).expect("it stays").has(flag)
    }

    pub(crate) fn order(&self) -> Vec<u32> {
        let held = &self.p.net.queue(self.queue).expect("it stays").held;
        held.iter().map(Msg::flow_hash).collect()
    }

    /// Bytes and messages charged to band 0.
    pub(crate) fn counts(&self) -> (u32, u32) {
        let q = self.p.net.queue(self.queue).expect("it stays");
        (q.bytes, q.msgs)
    }

    pub(crate) fn finish(mut self) {
        while self.getq().is_some() {}
        assert_eq!(self.counts(), (0, 0));
        assert_eq!(self.p.net.pool.stats().small.out, 0);
    }
}
