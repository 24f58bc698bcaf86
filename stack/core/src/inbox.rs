//! inbox: what was posted to queues and not yet put, in the order in which the queues run. A queue
//! with nothing in its inbox has no inbox: 100,000 that are still cost nothing here.

use crate::net::QueueNo;
use alloc::collections::VecDeque;
use millstream_msg::MsgList;

/// The inboxes of all queues, the one that runs next first.
#[derive(Debug)]
pub(crate) struct Inboxes {
    /// Of one that was emptied in another way, or whose queue is gone, the place stays, empty.
    waiting: VecDeque<(QueueNo, MsgList)>,
    /// The ticket of the first.
    first: Ticket,
}

/// Where a queue's inbox is. Tickets are given in order and come again after 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

impl Ticket {
    /// Of a queue without inbox.
    pub(crate) const NONE: Self = Self(u32::MAX);

    #[inline]
    fn after(self, places: usize) -> Self {
        Self(self.0.wrapping_add(places as u32) & u32::MAX >> 1)
    }
}

impl Inboxes {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(64), first: Ticket(0) }
    }

    /// No queue waits to run.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The inbox of a ticket.
    #[inline]
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&MsgList> {
        self.waiting.get(self.place(ticket)).map(|(_, inbox)| inbox)
    }

    /// The inbox of a ticket, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut MsgList> {
        let place = self.place(ticket);
        self.waiting.get_mut(place).map(|(_, inbox)| inbox)
    }

    /// A queue gets an inbox, which runs behind all others.
    #[inline]
    pub(crate) fn enter(&mut self, queue: QueueNo, inbox: MsgList) -> Ticket {
        let ticket = self.first.after(self.waiting.len());
        self.waiting.push_back((queue, inbox));
        ticket
    }

    /// The inbox that runs next; its queue has none any more.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(QueueNo, MsgList)> {
        let next = self.waiting.pop_front()?;
        self.first = self.first.after(1);
        Some(next)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &MsgList> {
        self.waiting.iter().map(|(_, inbox)| inbox)
    }

    #[inline]
    fn place(&self, ticket: Ticket) -> usize {
        if ticket == Ticket::NONE {
            return usize::MAX;
        }
        (ticket.0.wrapping_sub(self.first.0) & u32::MAX >> 1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn inboxes_are_found_by_their_tickets_and_run_in_order() {
        let mut inboxes = Inboxes { first: Ticket(u32::MAX >> 1), ..Inboxes::new() };
        let tickets = [7, 8, 9].map(|queue| inboxes.enter(queue, MsgList::new()));
        assert_eq!(tickets[1], Ticket(0), "tickets begin anew");
        assert!(tickets.iter().all(|ticket| inboxes.get(*ticket).is_some()));
        assert!(inboxes.get(Ticket::NONE).is_none());
        assert_eq!(inboxes.pop().map(|(queue, _)| queue), Some(7));
        assert!(inboxes.get(tickets[0]).is_none() && inboxes.get(tickets[1]).is_some());
        let rest: Vec<_> = core::iter::from_fn(|| inboxes.pop()).map(|(queue, _)| queue).collect();
        assert_eq!(rest, [8, 9]);
        assert!(inboxes.is_empty());
    }
}
