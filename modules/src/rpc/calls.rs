//! calls: those of the peer that were handed up and have no reply yet.

use super::drc::EntryId;
use alloc::vec::Vec;
use millstream_msg::Msg;

/// Calls in progress, each in a slot that its reply names.
#[derive(Debug, Default)]
pub struct Calls {
    slots: Vec<Slot>,
    free: Vec<u16>,
    live: u32,
}

/// A call in progress.
#[derive(Debug)]
pub struct Underway {
    /// Number that the reply has too.
    pub xid: u32,
    /// Where its procedure is counted.
    pub procedure: u32,
    /// When it was handed up. Nanoseconds.
    pub since: u64,
    /// Its entry in the cache of replies.
    pub entry: Option<EntryId>,
    /// The control block of a datagram: the reply goes where it says.
    pub control: Option<Msg>,
}

#[derive(Debug)]
struct Slot {
    /// Of the call that is or was here last: the name of another one is none.
    generation: u16,
    call: Option<Underway>,
}

impl Calls {
    /// None.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), live: 0 }
    }

    /// Calls in progress.
    pub const fn len(&self) -> usize {
        self.live as usize
    }

    /// There is none.
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Adds a call; its name. There are at most [`CALLS_MAX`].
    ///
    /// # Errors
    /// All are in use: it is given back.
    #[inline]
    pub fn add(&mut self, call: Underway) -> Result<u32, Underway> {
        let at = match self.free.pop() {
            Some(at) => at,
            None if self.slots.len() < CALLS_MAX => {
                self.slots.push(Slot { generation: 0, call: None });
                (self.slots.len() - 1) as u16
            }
            None => return Err(call),
        };
        let slot = &mut self.slots[usize::from(at)];
        slot.generation = slot.generation.wrapping_add(1);
        slot.call = Some(call);
        self.live += 1;
        Ok(u32::from(slot.generation) << 16 | u32::from(at))
    }

    /// The call of this name.
    #[inline]
    pub fn get(&self, name: u32) -> Option<&Underway> {
        let slot = self.slots.get(usize::from(name as u16))?;
        slot.call.as_ref().filter(|_| slot.generation == (name >> 16) as u16)
    }

    /// Takes the call of this name out.
    #[inline]
    pub fn take(&mut self, name: u32) -> Option<Underway> {
        let at = name as u16;
        let slot = self.slots.get_mut(usize::from(at))?;
        if slot.generation != (name >> 16) as u16 {
            return None;
        }
        let call = slot.call.take()?;
        self.live -= 1;
        self.free.push(at);
        Some(call)
    }

    /// Takes any call out.
    pub fn take_any(&mut self) -> Option<Underway> {
        let at = self.slots.iter().position(|slot| slot.call.is_some())?;
        let slot = &mut self.slots[at];
        let call = slot.call.take();
        self.live -= 1;
        self.free.push(at as u16);
        call
    }
}

/// Most calls in progress of a stream: their names have 16 bits for a slot.
pub const CALLS_MAX: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(xid: u32) -> Underway {
        Underway { xid, procedure: 0, since: 0, entry: None, control: None }
    }

    #[test]
    fn a_name_takes_its_call_once_and_never_that_of_another() {
        let mut calls = Calls::new();
        let names: Vec<u32> = (0..3).map(|xid| calls.add(call(xid)).unwrap()).collect();
        assert_eq!(calls.take(names[1]).unwrap().xid, 1);
        assert!(calls.take(names[1]).is_none());
        let again = calls.add(call(7)).unwrap();
        assert!(calls.take(names[1]).is_none(), "the slot is another's now");
        assert_eq!(calls.take(again).unwrap().xid, 7);
        assert!(calls.take(u32::MAX).is_none());
        assert_eq!(calls.len(), 2);
    }

    #[test]
    fn there_are_not_more_than_names() {
        let mut calls = Calls::new();
        for xid in 0..CALLS_MAX as u32 {
            calls.add(call(xid)).unwrap();
        }
        assert_eq!(calls.add(call(9)).unwrap_err().xid, 9);
        while calls.take_any().is_some() {}
        assert!(calls.is_empty());
    }
}
