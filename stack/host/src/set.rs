//! set: one thread waits for any of many heads, as with epoll(7): a head that tells of something is
//! put on a list, and who waits looks at those on it.

use crate::bell::Bell;
use crate::end::{End, EndError};
use crate::inlet::Handle;
use crate::lead::Waits;
use crate::seat::Gone;
use crate::told::Told;
use millstream_core::{Errno, Perimeter, PollEvents, StreamId};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Heads that a thread waits for together. Level-triggered: what is ready is told again until it is
/// not. A head is in one set at a time, and leaves it when its end is dropped.
#[derive(Debug)]
pub struct HeadSet {
    handle: Handle,
    id: SetId,
    shared: Arc<Shared>,
}

/// A head that is ready: what its member was called when it was added, and what is possible.
pub type ReadyHead = (u64, PollEvents);

/// What waiting threads see.
#[derive(Debug)]
struct Shared {
    told: Told,
    /// Wakes the leader.
    bell: Arc<Bell>,
    /// The shard has stopped.
    over: AtomicBool,
}

/// Names a set of a shard; not given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SetId(u64);

/// The sets of a shard.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    sets: HashMap<SetId, Slot>,
    last: u64,
}

#[derive(Debug)]
struct Slot {
    /// Gone with the last [`HeadSet`].
    shared: Weak<Shared>,
    members: HashMap<StreamId, Member>,
    /// Members to be looked at, once each.
    listed: VecDeque<StreamId>,
}

#[derive(Debug)]
struct Member {
    name: u64,
    asked: PollEvents,
    is_listed: bool,
}

impl HeadSet {
    /// An empty set.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn new(handle: &Handle) -> Result<Self, Gone> {
        let bell = handle.0.poller.bell.clone();
        let shared = Arc::new(Shared { told: Told::new(), bell, over: AtomicBool::new(false) });
        let theirs = Arc::downgrade(&shared);
        let id = handle.call(|shard| shard.sets().add(theirs))?;
        Ok(Self { handle: handle.clone(), id, shared })
    }

    /// Waits also for this head, for any of `asked`, and calls it by a name. One that is a member
    /// already gets another name, and is asked for something else.
    ///
    /// # Errors
    /// EINVAL for an end of another stack, and for one whose messages go through rings; as
    /// [`End::at_head`].
    pub fn add(&self, end: &End, name: u64, asked: PollEvents) -> Result<(), EndError> {
        if !end.is_at_head() || !Arc::ptr_eq(&end.handle().0, &self.handle.0) {
            return Err(EndError::Failed(Errno::EINVAL));
        }
        Ok(self.handle.enter(|shard| shard.join_set(self.id, end.stream(), name, asked))?)
    }

    /// Waits for this head no longer.
    ///
    /// # Errors
    /// As [`End::at_head`].
    pub fn remove(&self, end: &End) -> Result<(), EndError> {
        Ok(self.handle.enter(|shard| shard.leave_set(end.stream()))?)
    }

    /// Puts those that are ready into `ready`, which is emptied first; waits for one until
    /// `deadline` (`None`: for ever), and runs the shard meanwhile as [`End::until`] does.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] at the deadline; as [`End::until`].
    pub fn wait(
        &self,
        ready: &mut Vec<ReadyHead>,
        deadline: Option<Instant>,
    ) -> Result<(), EndError> {
        ready.clear();
        self.handle.0.until(self, deadline, |shard| {
            let (sets, core) = shard.sets_and_core();
            sets.look(self.id, core, ready);
            if ready.is_empty() { Err(Errno::EAGAIN) } else { Ok(()) }
        })
    }
}

impl Waits for HeadSet {
    fn told(&self) -> &Told {
        &self.shared.told
    }

    fn failure(&self) -> Option<EndError> {
        let over = self.shared.over.load(Ordering::Acquire);
        over.then(|| self.handle.0.seat.open().err().unwrap_or(Gone::Stopped).into())
    }

    fn tried(&self, _: &mut Perimeter) {}
}

impl Shared {
    fn tell(&self) {
        if self.told.tell() {
            self.bell.ring();
        }
    }
}

impl Sets {
    fn add(&mut self, shared: Weak<Shared>) -> SetId {
        // Here, where sets are made, those that are gone are cleared away.
        self.sets.retain(|_, slot| slot.shared.strong_count() > 0);
        self.last += 1;
        let slot = Slot { shared, members: HashMap::new(), listed: VecDeque::new() };
        self.sets.insert(SetId(self.last), slot);
        SetId(self.last)
    }

    pub(crate) fn join(&mut self, id: SetId, stream: StreamId, name: u64, asked: PollEvents) {
        let Some(slot) = self.sets.get_mut(&id) else { return };
        let is_listed = slot.members.get(&stream).is_some_and(|member| member.is_listed);
        slot.members.insert(stream, Member { name, asked, is_listed });
        // What happened before has been told to nobody.
        self.tell(id, stream);
    }

    pub(crate) fn leave(&mut self, id: SetId, stream: StreamId) {
        if let Some(slot) = self.sets.get_mut(&id)
            && slot.members.remove(&stream).is_some_and(|member| member.is_listed)
        {
            slot.listed.retain(|other| *other != stream);
        }
    }

    /// Something has happened at the head of a member. True when a thread parks that waits for it.
    pub(crate) fn tell(&mut self, id: SetId, stream: StreamId) -> bool {
        let Some(slot) = self.sets.get_mut(&id) else { return false };
        let Some(member) = slot.members.get_mut(&stream) else { return false };
        if !std::mem::replace(&mut member.is_listed, true) {
            slot.listed.push_back(stream);
        }
        let Some(shared) = slot.shared.upgrade() else { return false };
        shared.tell();
        shared.told.is_parked()
    }

    /// Looks at those that are listed; those that are not ready leave the list.
    fn look(&mut self, id: SetId, core: &mut Perimeter, ready: &mut Vec<ReadyHead>) {
        let Some(slot) = self.sets.get_mut(&id) else { return };
        for _ in 0..slot.listed.len() {
            let Some(stream) = slot.listed.pop_front() else { return };
            let Some(member) = slot.members.get_mut(&stream) else { continue };
            // An error is something to look at, too.
            let events = core.poll_head(stream, member.asked).unwrap_or(PollEvents::ERR);
            member.is_listed = !events.is_empty();
            if member.is_listed {
                slot.listed.push_back(stream);
                ready.push((member.name, events));
            }
        }
    }

    /// The shard is gone.
    pub(crate) fn shut(&mut self) {
        for (_, slot) in self.sets.drain() {
            if let Some(shared) = slot.shared.upgrade() {
                shared.over.store(true, Ordering::Release);
                shared.tell();
            }
        }
    }
}
