//! What a queue holds, with its accounting: putq, putbq, insq, getq, rmvq, flushq. Semantics C2 to
//! C9.

use crate::module::Marks;
use crate::monitor::Violation;
use crate::net::{Net, QueueNo};
use crate::queue::{ENABLED, Flush, NO_ENABLE, SERVICE, WANT_READ, is_ordinary, rank};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// What is known of a queue (`strqget(9F)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its water marks and packet sizes.
    pub marks: Marks,
    /// Bytes that flow control counts in the band: held, and in transit to the queue.
    pub bytes: u32,
    /// Messages that flow control counts in the band.
    pub msgs: u32,
    /// Messages that the queue holds, of all bands (`qsize(9F)`).
    pub held: usize,
    /// The band takes no more without a refusal (QFULL).
    pub full: bool,
    /// Somebody was refused in the band and waits (QWANTW).
    pub wanted: bool,
    /// The service procedure is scheduled (QENAB).
    pub enabled: bool,
}

impl Net {
    /// `putq` with its accounting (the queue itself is charged).
    pub(crate) fn putq(&mut self, queue: QueueNo, msg: Msg) {
        if msg.band().0 != 0 || !is_ordinary(msg.kind()) {
            return self.putq_ranked(queue, msg);
        }
        let Some(q) = self.queue_mut(queue) else { return self.lose(msg) };
        q.bytes = q.bytes.wrapping_add(msg.len() as u32);
        q.msgs += 1;
        q.held.push(msg);
        // Wanted, not forbidden, served, and not yet scheduled (C25).
        if q.flags & (WANT_READ | NO_ENABLE | SERVICE | ENABLED) == WANT_READ | SERVICE {
            q.set(ENABLED);
            self.serve.push_back(queue);
        }
    }

    fn putq_ranked(&mut self, queue: QueueNo, msg: Msg) {
        self.charge(queue, &msg);
        let Some(q) = self.queue_mut(queue) else { return self.lose(msg) };
        if q.putq(msg) {
            self.qenable(queue);
        }
    }

    /// `putbq` with its accounting.
    pub(crate) fn putbq(&mut self, queue: QueueNo, msg: Msg) {
        if !is_ordinary(msg.kind()) {
            self.note_high_putbq(queue);
        }
        self.charge(queue, &msg);
        let Some(q) = self.queue_mut(queue) else { return self.lose(msg) };
        if q.putbq(msg) {
            self.qenable(queue);
        }
    }

    /// Who monitors is told of it (C27).
    #[cold]
    fn note_high_putbq(&mut self, queue: QueueNo) {
        if self.watch.as_ref().is_some_and(|watch| watch.monitor)
            && let Some(node) = self.pairs.at(queue >> 1).map(|pair| pair.node)
        {
            self.stat(node).violate(Violation::HighPutBack);
        }
    }

    /// `insq` with its accounting.
    pub(crate) fn insq(
        &mut self,
        queue: QueueNo,
        before: Option<usize>,
        msg: Msg,
    ) -> Result<(), Msg> {
        let Some(q) = self.queue_mut(queue) else { return Err(msg) };
        if !q.fits(before, rank(&msg)) {
            return Err(msg);
        }
        self.charge(queue, &msg);
        let Some(q) = self.queue_mut(queue) else { return Err(msg) };
        if q.insq(before, msg) {
            self.qenable(queue);
        }
        Ok(())
    }

    /// `rmvq` with its accounting.
    pub(crate) fn rmvq(&mut self, queue: QueueNo, at: usize) -> Option<Msg> {
        let q = self.queue_mut(queue)?;
        let msg = q.rmvq(at)?;
        self.discharge(queue, &msg);
        self.relief(queue);
        Some(msg)
    }

    /// `getq` with its accounting.
    #[inline]
    pub(crate) fn getq(&mut self, queue: QueueNo) -> Option<Msg> {
        let msg = self.getq_quiet(queue)?;
        self.relief(queue);
        Some(msg)
    }

    /// As [`Net::getq`], of a data message of band 0, as nearly all are; nothing when another one
    /// is first.
    #[inline]
    pub(crate) fn getq_plain(&mut self, queue: QueueNo) -> Option<Msg> {
        let q = self.queue_mut(queue)?;
        let front = q.held.front()?;
        if front.kind() != Kind::Data || front.band().0 != 0 {
            return None;
        }
        let msg = q.getq()?;
        q.bytes = q.bytes.wrapping_sub(msg.len() as u32);
        q.msgs -= 1;
        self.relief(queue);
        Some(msg)
    }

    /// As [`Net::getq`], but writers are called back by a later [`Net::relief`]: for who may put
    /// a part of the message back.
    #[inline]
    pub(crate) fn getq_quiet(&mut self, queue: QueueNo) -> Option<Msg> {
        let q = self.queue_mut(queue)?;
        let msg = q.getq()?;
        if msg.band().0 != 0 {
            self.discharge(queue, &msg);
        } else {
            q.bytes = q.bytes.wrapping_sub(msg.len() as u32);
            q.msgs -= 1;
        }
        Some(msg)
    }

    /// Moves ordinary messages of band 0 from a queue to the gathered outputs while `target` has
    /// room for them: a service procedure's loop of getq, canput and putnext in one.
    pub(crate) fn forward_run(&mut self, queue: QueueNo, target: QueueNo) {
        let Some(to) = self.queue(target) else { return };
        let marks = self.marks[to.marks as usize];
        let (bytes, msgs) = (to.bytes, to.msgs);
        let Some(q) = self.pairs.at_mut(queue >> 1) else { return };
        let q = &mut q.queues[(queue & 1) as usize];
        let (held_bytes, held_msgs) = (q.held.bytes(), q.held.len() as u32);
        while let Some(front) = q.held.front()
            && front.band().0 == 0
            && is_ordinary(front.kind())
            && marks.room(
                bytes.wrapping_add(self.out.bytes()),
                msgs.wrapping_add(self.out.len() as u32),
            )
            && let Some(msg) = q.held.pop()
        {
            self.out.push(msg);
        }
        let moved = held_msgs - q.held.len() as u32;
        if moved != 0 {
            q.clear(WANT_READ);
            q.bytes = q.bytes.wrapping_sub(held_bytes.wrapping_sub(q.held.bytes()));
            q.msgs -= moved;
            self.relief(queue);
        }
    }

    /// Takes out what a flush removes, with its accounting.
    pub(crate) fn flushq(&mut self, queue: QueueNo, what: Flush, band: Option<Band>) -> MsgList {
        let Some(q) = self.queue_mut(queue) else { return MsgList::new() };
        let flushed = q.flush(what, band);
        self.discharge_batch(queue, &flushed);
        self.relief(queue);
        flushed
    }

    /// `strqset(9F)` of the water marks. Writers that now have room are called back.
    pub(crate) fn set_marks(&mut self, queue: QueueNo, marks: Marks) {
        let marks = self.intern(marks);
        if let Some(q) = self.queue_mut(queue) {
            q.marks = marks;
        }
        self.relief(queue);
    }

    /// `strqget(9F)`, for one band.
    pub(crate) fn queue_view(&self, queue: QueueNo, band: Band) -> Option<QueueView> {
        let q = self.queue(queue)?;
        let marks = self.marks_of(queue, band);
        let (bytes, msgs, wanted) = self.band_counts(queue, band);
        Some(QueueView {
            marks,
            bytes,
            msgs,
            held: q.held.len(),
            full: !marks.room(bytes, msgs),
            wanted,
            enabled: q.has(ENABLED),
        })
    }
}
