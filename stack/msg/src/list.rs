//! `MsgList`: a FIFO of messages, linked through their first blocks. A batch.

use crate::block::Mblk;
use crate::msg::Msg;
use core::ptr;

/// Messages in order. Linking costs no memory: a message is on at most one list.
#[must_use = "messages of a dropped list are lost without a reason"]
pub struct MsgList {
    head: *mut Mblk,
    tail: *mut Mblk,
    count: u32,
    /// Bytes of all messages.
    bytes: u32,
}

// SAFETY: the list owns its messages, which are Send.
unsafe impl Send for MsgList {}

impl MsgList {
    /// An empty list.
    #[inline]
    pub const fn new() -> Self {
        Self { head: ptr::null_mut(), tail: ptr::null_mut(), count: 0, bytes: 0 }
    }

    /// Messages on the list.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes of all messages on the list, wrapping at 4 GiB.
    #[inline]
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// True when the list has no message.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a message.
    #[inline]
    pub fn push(&mut self, msg: Msg) {
        let mblk = msg.into_raw();
        // SAFETY: the message was owned and on no list; `tail` is a message of this list.
        unsafe {
            (*mblk).next = ptr::null_mut();
            self.bytes = self.bytes.wrapping_add((*mblk).total_len);
            if self.head.is_null() {
                self.head = mblk;
            } else {
                (*self.tail).next = mblk;
            }
        }
        self.tail = mblk;
        self.count += 1;
    }

    /// Puts a message in front.
    pub fn push_front(&mut self, msg: Msg) {
        let mblk = msg.into_raw();
        // SAFETY: the message was owned and on no list.
        unsafe {
            (*mblk).next = self.head;
            self.bytes = self.bytes.wrapping_add((*mblk).total_len);
        }
        if self.head.is_null() {
            self.tail = mblk;
        }
        self.head = mblk;
        self.count += 1;
    }

    /// Takes the first message.
    #[inline]
    pub fn pop(&mut self) -> Option<Msg> {
        if self.head.is_null() {
            return None;
        }
        let mblk = self.head;
        // SAFETY: `head` is a message of this list, owned by it until now.
        unsafe {
            self.head = (*mblk).next;
            (*mblk).next = ptr::null_mut();
            self.bytes = self.bytes.wrapping_sub((*mblk).total_len);
            self.count -= 1;
            Some(Msg::from_raw(mblk))
        }
    }

    /// The first message.
    #[inline]
    pub fn front(&self) -> Option<&Msg> {
        // SAFETY: `Msg` is a pointer to its first block and nothing else, so a non-null `head`
        // read through this reference is a message; the list owns it while borrowed.
        (!self.head.is_null()).then(|| unsafe { &*(&raw const self.head).cast::<Msg>() })
    }

    /// The last message.
    #[inline]
    pub fn back(&self) -> Option<&Msg> {
        // SAFETY: as in `front`; with a message in the list `tail` is its last one.
        (!self.head.is_null()).then(|| unsafe { &*(&raw const self.tail).cast::<Msg>() })
    }

    /// The only message.
    ///
    /// # Errors
    /// The list, when it has none or several.
    #[inline]
    pub fn into_one(self) -> Result<Msg, Self> {
        if self.count != 1 {
            return Err(self);
        }
        // SAFETY: the list owns its messages; the only one is linked to nothing, and the list,
        // which is not dropped, is its owner no more.
        let msg = unsafe { Msg::from_raw(self.head) };
        core::mem::forget(self);
        Ok(msg)
    }

    /// Appends all of `other` in its order, which is empty then. Constant time.
    #[inline]
    pub fn append(&mut self, other: &mut Self) {
        if other.head.is_null() {
            return;
        }
        if self.head.is_null() {
            self.head = other.head;
        } else {
            // SAFETY: `tail` is a message of this list.
            unsafe { (*self.tail).next = other.head };
        }
        self.tail = other.tail;
        self.count += other.count;
        self.bytes = self.bytes.wrapping_add(other.bytes);
        core::mem::forget(core::mem::take(other));
    }

    /// All messages, leaving the list empty.
    #[inline]
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    /// The messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Msg> {
        let mut at = &raw const self.head;
        core::iter::from_fn(move || {
            // SAFETY: `at` is the list's head or the `next` of one of its messages, all of which
            // stay while the list is borrowed; a non-null value read there is a message.
            unsafe {
                if (*at).is_null() {
                    return None;
                }
                let msg = &*at.cast::<Msg>();
                at = &raw const (**at).next;
                Some(msg)
            }
        })
    }

    /// Puts `msg` before the first message for which `before` is true, or at the end.
    pub fn insert_before(&mut self, msg: Msg, mut before: impl FnMut(&Msg) -> bool) {
        let Some(at) = self.iter().position(&mut before) else { return self.push(msg) };
        let mut front = self.split_front(at);
        front.push(msg);
        front.append(self);
        *self = front;
    }

    /// Takes the messages for which `wanted` is true, in order; the others stay in order.
    pub fn extract(&mut self, mut wanted: impl FnMut(&Msg) -> bool) -> Self {
        let mut taken = Self::new();
        let mut kept = Self::new();
        while let Some(msg) = self.pop() {
            if wanted(&msg) { taken.push(msg) } else { kept.push(msg) }
        }
        *self = kept;
        taken
    }

    /// Takes the first `n` messages (or all).
    pub fn split_front(&mut self, n: usize) -> Self {
        if n >= self.len() {
            return self.take();
        }
        let mut front = Self::new();
        for _ in 0..n {
            if let Some(msg) = self.pop() {
                front.push(msg);
            }
        }
        front
    }
}

impl Default for MsgList {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MsgList {
    /// Most lists are empty by then: for those nothing is set up.
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            drop_all(self);
        }
    }
}

#[cold]
#[inline(never)]
fn drop_all(list: &mut MsgList) {
    while let Some(msg) = list.pop() {
        drop(msg);
    }
}

impl FromIterator<Msg> for MsgList {
    fn from_iter<I: IntoIterator<Item = Msg>>(messages: I) -> Self {
        let mut list = Self::new();
        for msg in messages {
            list.push(msg);
        }
        list
    }
}

impl Iterator for MsgList {
    type Item = Msg;

    #[inline]
    fn next(&mut self) -> Option<Msg> {
        self.pop()
    }
}

impl core::fmt::Debug for MsgList {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MsgList").field("len", &self.len()).field("bytes", &self.bytes).finish()
    }
}
