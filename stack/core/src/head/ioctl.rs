//! The head's part in ioctls: it sends requests one after the other, has callers copy, and takes
//! answers (G1 to G8).

use crate::errno::Errno;
use crate::head::{Head, HeadEvent};
use crate::ioctl::wait::{Copy, Match, Waiting, turn_deadline};
use crate::ioctl::{
    Arg, Copyreq, Copyresp, Cred, DUPLICATE_REPLY, IocId, Iocblk, LATE_REPLY, LEN_MAX, LinkCommand,
    MALFORMED, Progress, Reply, Request, TRANSPARENT, first_block, rewrite,
};
use crate::net::{Event, Net, queue_no};
use crate::queue::Side;
use alloc::vec;
use millstream_msg::{Kind, Msg, NoMem};

/// The token of a head's timer for its ioctls.
pub(super) const IOCTL_TIMER: u64 = 0;

impl Head {
    /// Takes a request in and sends it when its turn has come.
    pub(crate) fn ioctl(
        &mut self,
        net: &mut Net,
        pair: u32,
        request: Request<'_>,
    ) -> Result<IocId, Errno> {
        let long = matches!(request.arg, Arg::Data(data) if data.len() > LEN_MAX);
        if request.timeout < -1 || long {
            return Err(Errno::EINVAL);
        }
        self.check_either()?;
        self.check_line()?;
        self.submit_ioctl(net, pair, request, None)
    }

    /// Takes a command of the link family in: as an ioctl that only a head can make.
    pub(crate) fn link_ioctl(
        &mut self,
        net: &mut Net,
        pair: u32,
        command: LinkCommand,
        timeout: i32,
        cred: Cred,
    ) -> Result<IocId, Errno> {
        if timeout < -1 {
            return Err(Errno::EINVAL);
        }
        let request = Request { cmd: command.cmd(), timeout, cred, arg: Arg::Data(b"") };
        self.submit_ioctl(net, pair, request, Some(command))
    }

    /// What the one in flight has a multiplexor do, if it is this one.
    pub(crate) fn link_wanted(&self, id: IocId) -> Option<LinkCommand> {
        self.ioctls.as_ref()?.link_wanted(id)
    }

    fn submit_ioctl(
        &mut self,
        net: &mut Net,
        pair: u32,
        request: Request<'_>,
        link: Option<LinkCommand>,
    ) -> Result<IocId, Errno> {
        let id = net.next_ioc_id();
        let msg = message(net, id, &request).map_err(|NoMem| Errno::ENOSR)?;
        let transparent = matches!(request.arg, Arg::Transparent(_));
        let until = turn_deadline(net.now);
        let waiting = Waiting { id, transparent, link, timeout: request.timeout, until, msg };
        if let Err(msg) = self.ioctls.get_or_insert_default().submit(waiting) {
            net.pool.free(msg);
            return Err(Errno::EAGAIN);
        }
        self.next_ioctl(net, pair);
        Ok(id)
    }

    /// What an ioctl wants from its caller, if anything yet.
    pub(crate) fn ioctl_progress(&mut self, id: IocId) -> Option<Progress> {
        self.ioctls.as_mut()?.progress(id)
    }

    /// The caller has copied, or could not: the module is told (G6).
    pub(crate) fn ioctl_copied(
        &mut self,
        net: &mut Net,
        pair: u32,
        id: IocId,
        outcome: Result<&[u8], Errno>,
    ) -> Result<(), Errno> {
        let copy = self.ioctls.as_mut().and_then(|ioctls| ioctls.take_copy(id));
        let Copy { cmd, cred, private, wanted, msg } = copy.ok_or(Errno::EINVAL)?;
        let mut data = None;
        let mut error = match (&outcome, &wanted) {
            (Err(errno), _) => *errno,
            (Ok(bytes), Progress::CopyIn { len, .. }) if bytes.len() != *len => Errno::EFAULT,
            (Ok(_), _) => Errno(0),
        };
        if let (Errno(0), Ok(bytes), Progress::CopyIn { .. }) = (error, outcome, &wanted) {
            match net.pool.copy_from(0, bytes) {
                Ok(copied) => data = Some(copied),
                Err(NoMem) => error = Errno::ENOSR,
            }
        }
        let resp = Copyresp { cmd, id, cred, error, private };
        respond(net, pair, msg, resp, data);
        if error.0 != 0 {
            // The module cleans up and answers nothing.
            self.end_ioctl(net, pair, Err(error));
        }
        Ok(())
    }

    /// The caller of an ioctl has gone away; an answer is late from now on.
    pub(crate) fn ioctl_cancel(&mut self, net: &mut Net, pair: u32, id: IocId) {
        if let Some(msg) = self.ioctls.as_mut().and_then(|ioctls| ioctls.cancel(id)) {
            give_up(net, pair, msg, Errno::EINTR);
        }
        self.next_ioctl(net, pair);
    }

    /// M_IOCACK, M_IOCNAK, M_COPYIN, M_COPYOUT.
    pub(super) fn ioctl_reply(&mut self, net: &mut Net, node: u32, pair: u32, msg: Msg) {
        let Some(blk) = Iocblk::parse(msg.first()) else {
            return net.discard(node, msg, MALFORMED);
        };
        let whose = self.ioctls.as_ref().map_or(Match::Late, |ioctls| ioctls.whose(blk.id));
        match (whose, msg.kind()) {
            (Match::Flying { transparent }, Kind::CopyIn | Kind::CopyOut) => {
                self.ioctl_copy(net, pair, msg, transparent);
            }
            // Nobody waits any more: the module is told, so that it can forget (G7).
            (_, Kind::CopyIn | Kind::CopyOut) => fail_copy(net, pair, msg, Errno::ETIME),
            (Match::Flying { .. }, kind) => {
                let result = outcome(kind, blk, &msg);
                net.stat(node).consumed += 1;
                net.pool.free(msg);
                self.answer_ioctl(net, pair, result);
            }
            (Match::Duplicate, _) => net.discard(node, msg, DUPLICATE_REPLY),
            (Match::Late, _) => net.discard(node, msg, LATE_REPLY),
        }
    }

    /// A module wants bytes of the caller of the one in flight, or has some for it.
    fn ioctl_copy(&mut self, net: &mut Net, pair: u32, msg: Msg, transparent: bool) {
        let Some(req) = Copyreq::parse(msg.first()) else { return net.pool.free(msg) };
        let Copyreq { cmd, id, cred, addr, size, private } = req;
        let len = size as usize;
        let behind = msg.len() - msg.first().len();
        let short = msg.kind() == Kind::CopyOut && behind < len;
        if !transparent || short || len > LEN_MAX {
            // Against the protocol: there is no memory to copy from, or no such bytes.
            fail_copy(net, pair, msg, Errno::EPROTO);
            return self.end_ioctl(net, pair, Err(Errno::EPROTO));
        }
        let wanted = if msg.kind() == Kind::CopyIn {
            Progress::CopyIn { addr, len }
        } else {
            let mut bytes = vec![0; len];
            net.pool.note_copied(msg.copy_out(msg.first().len(), &mut bytes));
            Progress::CopyOut { addr, bytes }
        };
        let copy = Copy { cmd, cred, private, wanted, msg };
        match self.ioctls.get_or_insert_default().want(copy) {
            Ok(()) => net.events.push_back(Event::Head(self.stream, HeadEvent::Ioctl(id))),
            Err(copy) => fail_copy(net, pair, copy.msg, Errno::EPROTO),
        }
    }

    /// Time-outs that have passed.
    pub(crate) fn ioctl_timer(&mut self, net: &mut Net, pair: u32) {
        while let Some(over) = self.ioctls.as_mut().and_then(|ioctls| ioctls.expire(net.now)) {
            self.ended(net, pair, over, Errno::ETIME);
        }
        self.next_ioctl(net, pair);
    }

    /// The stream has failed or was hung up: so have its ioctls (G4).
    pub(super) fn fail_ioctls(&mut self, net: &mut Net, pair: u32) {
        let Some(errno) = self.failure() else { return };
        while let Some(over) = self.ioctls.as_mut().and_then(|ioctls| ioctls.fail(errno)) {
            self.ended(net, pair, over, errno);
        }
    }

    /// One is in flight or waits for its turn.
    pub(crate) fn ioctl_busy(&self) -> bool {
        self.ioctls.as_ref().is_some_and(|ioctls| ioctls.busy())
    }

    /// The head goes: what its ioctls hold is freed.
    pub(crate) fn drop_ioctls(&mut self, net: &mut Net, pair: u32) {
        while let Some(over) = self.ioctls.as_mut().and_then(|ioctls| ioctls.fail(Errno::EBADF)) {
            self.ended(net, pair, over, Errno::EBADF);
        }
    }

    fn answer_ioctl(&mut self, net: &mut Net, pair: u32, result: Result<Reply, Errno>) {
        if let Some(over) = self.ioctls.as_mut().and_then(|ioctls| ioctls.answer(result)) {
            self.ended(net, pair, over, Errno::EPROTO);
        }
        self.next_ioctl(net, pair);
    }

    fn end_ioctl(&mut self, net: &mut Net, pair: u32, result: Result<Reply, Errno>) {
        if let Some(over) = self.ioctls.as_mut().and_then(|ioctls| ioctls.end(result)) {
            self.ended(net, pair, over, Errno::EPROTO);
        }
        self.next_ioctl(net, pair);
    }

    /// Tells the caller; a module that waits for a copy is told `errno`.
    fn ended(&mut self, net: &mut Net, pair: u32, over: (IocId, Option<Msg>), errno: Errno) {
        let (id, msg) = over;
        if let Some(msg) = msg {
            give_up(net, pair, msg, errno);
        }
        net.events.push_back(Event::Head(self.stream, HeadEvent::Ioctl(id)));
    }

    /// Sends the next one if none is in flight, and sets the timer.
    fn next_ioctl(&mut self, net: &mut Net, pair: u32) {
        let Some(ioctls) = &mut self.ioctls else { return };
        if let Some(msg) = ioctls.start(net.now) {
            let down = net.next_of(queue_no(pair, Side::Write));
            net.post(down, msg);
        }
        let Some(node) = net.pairs.at(pair).map(|p| p.node) else { return };
        match ioctls.next_deadline() {
            Some(at) => net.timers.set(node, IOCTL_TIMER, at),
            None => {
                net.timers.cancel(node, IOCTL_TIMER);
            }
        }
    }
}

/// The M_IOCTL of a request.
fn message(net: &mut Net, id: IocId, request: &Request<'_>) -> Result<Msg, NoMem> {
    let word;
    let (count, data) = match request.arg {
        Arg::Data(data) => (data.len() as u32, data),
        Arg::Transparent(arg) => {
            word = arg.to_ne_bytes();
            (TRANSPARENT, &word[..])
        }
    };
    let &Request { cmd, cred, .. } = request;
    let blk = Iocblk { cmd, id, cred, count, rval: 0, error: Errno(0) };
    let mut msg = first_block(&mut net.pool, Kind::Ioctl, blk.to_bytes())?;
    if data.is_empty() {
        return Ok(msg);
    }
    match net.pool.copy_from(0, data) {
        Ok(data) => {
            msg.link(data);
            Ok(msg)
        }
        Err(NoMem) => {
            net.pool.free(msg);
            Err(NoMem)
        }
    }
}

/// What an M_IOCACK or M_IOCNAK says.
fn outcome(kind: Kind, blk: Iocblk, msg: &Msg) -> Result<Reply, Errno> {
    if kind == Kind::IocNak || blk.error.0 != 0 {
        return Err(if blk.error.0 == 0 { Errno::EINVAL } else { blk.error });
    }
    let (first, count) = (msg.first().len(), blk.count as usize);
    // A transparent one that is acknowledged at once has no data for its caller.
    let count = if blk.count == TRANSPARENT { 0 } else { count };
    if count > msg.len() - first {
        return Err(Errno::EPROTO);
    }
    let mut data = vec![0; count];
    msg.copy_out(first, &mut data);
    Ok(Reply { rval: blk.rval, data })
}

/// Frees a request that was never sent, or tells the module that waits for a copy.
fn give_up(net: &mut Net, pair: u32, msg: Msg, errno: Errno) {
    if msg.kind() == Kind::Ioctl { net.pool.free(msg) } else { fail_copy(net, pair, msg, errno) }
}

/// Answers a copy request that fails.
fn fail_copy(net: &mut Net, pair: u32, msg: Msg, error: Errno) {
    let Some(req) = Copyreq::parse(msg.first()) else { return net.pool.free(msg) };
    let Copyreq { cmd, id, cred, private, .. } = req;
    respond(net, pair, msg, Copyresp { cmd, id, cred, error, private }, None);
}

/// Makes a copy request an M_IOCDATA and sends it down.
fn respond(net: &mut Net, pair: u32, msg: Msg, resp: Copyresp, data: Option<Msg>) {
    let (mut msg, rest) = msg.unlink();
    if let Some(rest) = rest {
        net.pool.free(rest);
    }
    if let Some(data) = data {
        msg.link(data);
    }
    let msg = rewrite(&mut net.pool, msg, Kind::IocData, resp.to_bytes());
    if msg.kind() != Kind::IocData {
        // Shared by the module itself, and no memory for another block.
        return net.pool.free(msg);
    }
    let down = net.next_of(queue_no(pair, Side::Write));
    net.post(down, msg);
}
