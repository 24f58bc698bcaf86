//! A stream whose ioctls end at a desk: the test reads what came down and writes the answers.
#![allow(dead_code)]

use super::common::{cells, perimeter, settle};
use millstream_core::ioctl::{Arg, BLOCK, Copyreq, Cred, IocId, Iocblk, Progress, Reply, Request};
use millstream_core::{
    Cx, Drop, Errno, Event, HeadEvent, ModInfo, Module, NodeId, Perimeter, StreamId,
};
use millstream_msg::{Kind, Msg};
use millstream_rig::{Probe, secs};
use std::sync::{Arc, Mutex};

pub(crate) const CRED: Cred = Cred { uid: 1000, gid: 100 };

/// Keeps M_IOCTL and M_IOCDATA that come down.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Vec<Msg>>>);

impl Module for Desk {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("desk", "keeps ioctls");
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match msg.kind() {
            Kind::Ioctl | Kind::IocData => self.0.lock().unwrap().push(msg),
            _ => cx.putnext(msg),
        }
    }
}

pub(crate) struct Bench {
    pub(crate) p: Perimeter,
    pub(crate) stream: StreamId,
    pub(crate) driver: NodeId,
    pub(crate) probe: Probe,
    desk: Desk,
    cells: usize,
}

pub(crate) fn bench() -> Bench {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    let desk = Desk::default();
    let cells = cells(&mut p);
    p.push(stream, Box::new(desk.clone())).unwrap();
    Bench { p, stream, driver, probe, desk, cells }
}

impl Bench {
    pub(crate) fn str_for(&mut self, cmd: u32, timeout: i32, data: &[u8]) -> Result<IocId, Errno> {
        let request = Request { cmd, timeout, cred: CRED, arg: Arg::Data(data) };
        let id = self.p.ioctl(self.stream, request)?;
        self.run();
        Ok(id)
    }

    pub(crate) fn str(&mut self, cmd: u32, data: &[u8]) -> IocId {
        self.str_for(cmd, 0, data).unwrap()
    }

    pub(crate) fn transparent(&mut self, cmd: u32, arg: u64) -> IocId {
        let arg = Arg::Transparent(arg);
        let request = Request { cmd, timeout: -1, cred: CRED, arg };
        let id = self.p.ioctl(self.stream, request).unwrap();
        self.run();
        id
    }

    /// What came down since the last call.
    pub(crate) fn asked(&mut self) -> Vec<Msg> {
        std::mem::take(&mut *self.desk.0.lock().unwrap())
    }

    /// The one M_IOCTL that came down.
    pub(crate) fn request(&mut self) -> (Iocblk, Vec<u8>) {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "one request at a time");
        let msg = asked.remove(0);
        assert_eq!(msg.kind(), Kind::Ioctl);
        (Iocblk::parse(msg.first()).unwrap(), behind(&msg))
    }

    /// Something comes up from below.
    pub(crate) fn arrives(&mut self, kind: Kind, block: &[u8], data: &[u8]) {
        let mut msg = self.p.pool().copy_from(0, block).unwrap();
        msg.set_kind(kind);
        if !data.is_empty() {
            let data = self.p.pool().copy_from(0, data).unwrap();
            msg.link(data);
        }
        self.probe.arrive(msg);
        self.p.poll(self.driver, 1);
        self.run();
    }

    pub(crate) fn ack(&mut self, id: IocId, rval: i32, data: &[u8]) {
        let count = data.len() as u32;
        let blk = Iocblk { cmd: 0, id, cred: CRED, count, rval, error: Errno(0) };
        self.arrives(Kind::IocAck, &blk.to_bytes(), data);
    }

    pub(crate) fn nak(&mut self, id: IocId, error: Errno) {
        let blk = Iocblk { cmd: 0, id, cred: CRED, count: 0, rval: 0, error };
        self.arrives(Kind::IocNak, &blk.to_bytes(), b"");
    }

    pub(crate) fn copyin(&mut self, id: IocId, addr: u64, size: u32, private: u64) {
        let req = Copyreq { cmd: 0, id, cred: CRED, addr, size, private };
        self.arrives(Kind::CopyIn, &req.to_bytes(), b"");
    }

    pub(crate) fn copyout(&mut self, id: IocId, addr: u64, data: &[u8], private: u64) {
        let size = data.len() as u32;
        let req = Copyreq { cmd: 0, id, cred: CRED, addr, size, private };
        self.arrives(Kind::CopyOut, &req.to_bytes(), data);
    }

    pub(crate) fn progress(&mut self, id: IocId) -> Option<Progress> {
        self.p.ioctl_progress(self.stream, id)
    }

    /// The result of an ioctl that is over.
    pub(crate) fn result(&mut self, id: IocId) -> Result<Reply, Errno> {
        match self.progress(id) {
            Some(Progress::Done(result)) => result,
            other => panic!("not over: {other:?}"),
        }
    }

    pub(crate) fn copied(&mut self, id: IocId, outcome: Result<&[u8], Errno>) {
        self.p.ioctl_copied(self.stream, id, outcome).unwrap();
        self.run();
    }

    pub(crate) fn run(&mut self) {
        let now = self.p.now();
        settle(&mut self.p, now);
    }

    /// Lets virtual time go to so many seconds, and a tick of the timers.
    pub(crate) fn at(&mut self, seconds: u64) {
        settle(&mut self.p, secs(seconds) + 131_072);
    }

    /// Drops at the head, for a reason.
    pub(crate) fn drops(&mut self, reason: Drop) -> u64 {
        let head = self.p.chain(self.stream).unwrap().remove(0);
        head.stat.drops.iter().filter(|(known, _)| *known == reason).map(|(_, n)| n).sum()
    }

    pub(crate) fn told(&mut self) -> Vec<HeadEvent> {
        let of_head = |event| match event {
            Event::Head(_, event) => Some(event),
            _ => None,
        };
        std::iter::from_fn(|| self.p.event()).filter_map(of_head).collect()
    }

    /// Closes the stream: every cell is back.
    pub(crate) fn finish(mut self) {
        self.p.close(self.stream).unwrap();
        self.run();
        drop((self.asked(), self.probe.sent()));
        assert_eq!(cells(&mut self.p), self.cells);
    }
}

/// The bytes behind the first block.
pub(crate) fn behind(msg: &Msg) -> Vec<u8> {
    let mut bytes = vec![0; msg.len() - BLOCK];
    msg.copy_out(BLOCK, &mut bytes);
    bytes
}
