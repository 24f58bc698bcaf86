//! Answers that come later: a ticket goes to another thread or waits for another turn, and what it
//! answers travels back through the stack's completions.

use crate::program::Answer;
use crate::xdr::{Encoder, Fault};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use spin::Mutex;

/// Where tickets leave their answers: one for a stack, polled by whoever sends the replies.
#[derive(Clone)]
pub struct Completions(Arc<Inner>);

struct Inner {
    done: Mutex<VecDeque<Completed>>,
    /// Wakes whoever polls.
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The answer to a call, that came later.
#[derive(Debug)]
pub struct Completed {
    /// Which call, in the numbers of whoever gave the ticket.
    pub id: u64,
    /// What became of it; never [`Answer::Later`].
    pub answer: Answer,
    /// The results, encoded, of [`Answer::Done`].
    pub results: Vec<u8>,
}

impl Completions {
    /// None yet; `wake` is called on the answering thread, after each answer.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { done: Mutex::default(), wake: Box::new(wake) }))
    }

    /// The next answer, in the order in which they came.
    pub fn poll(&self) -> Option<Completed> {
        self.0.done.lock().pop_front()
    }

    fn push(&self, completed: Completed) {
        self.0.done.lock().push_back(completed);
        (self.0.wake)();
    }
}

impl Default for Completions {
    /// With nobody to wake.
    fn default() -> Self {
        Self::new(|| ())
    }
}

impl fmt::Debug for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").field("waiting", &self.0.done.lock().len()).finish()
    }
}

/// Gives the ticket of a call. One for each stream, set to each call in turn.
#[derive(Debug)]
pub struct Later {
    completions: Completions,
    id: u64,
    taken: bool,
}

impl Later {
    /// Answers come back through `completions`.
    pub fn new(completions: Completions) -> Self {
        Self { completions, id: 0, taken: false }
    }

    /// The call that tickets are given for from now on.
    pub fn set(&mut self, id: u64) {
        (self.id, self.taken) = (id, false);
    }

    /// A ticket was given since [`Later::set`].
    pub fn taken(&self) -> bool {
        self.taken
    }

    /// The right to answer this call later; the program returns [`Answer::Later`].
    ///
    /// # Panics
    /// When the call's ticket was taken before.
    #[must_use = "a dropped ticket answers SYSTEM_ERR"]
    pub fn ticket(&mut self) -> Ticket {
        assert!(!self.taken, "a call has one ticket");
        self.taken = true;
        Ticket { completions: self.completions.clone(), id: self.id, answered: false }
    }
}

/// The right to answer a call, from any thread. Dropped, it answers SYSTEM_ERR.
#[derive(Debug)]
pub struct Ticket {
    completions: Completions,
    id: u64,
    answered: bool,
}

impl Ticket {
    /// Answers with the results that `write` writes; with SYSTEM_ERR when they cannot be written.
    ///
    /// # Errors
    /// The fault that made it SYSTEM_ERR.
    pub fn answer(
        self,
        write: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let results = Encoder::vec(write)?;
        self.complete(Answer::Done, results);
        Ok(())
    }

    /// Answers without results; [`Answer::Done`] is a procedure of none, and [`Answer::Later`],
    /// which is no answer, becomes SYSTEM_ERR.
    pub fn refuse(self, answer: Answer) {
        let answer = if answer == Answer::Later { Answer::SystemErr } else { answer };
        self.complete(answer, Vec::new());
    }

    fn complete(mut self, answer: Answer, results: Vec<u8>) {
        self.answered = true;
        self.completions.push(Completed { id: self.id, answer, results });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            let (answer, results) = (Answer::SystemErr, Vec::new());
            self.completions.push(Completed { id: self.id, answer, results });
        }
    }
}
