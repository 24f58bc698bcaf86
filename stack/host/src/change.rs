//! change: a running stack is replumbed from another thread, which waits until the change is done.

use crate::inlet::Handle;
use crate::seat::Gone;
use crate::shard::Shard;
use millstream_core::{Change, Perimeter, PlumbError, StreamId, Ticket};
use std::collections::HashMap;

/// Who waits for changes that are pending.
#[derive(Default)]
pub(crate) struct Waiters(HashMap<Ticket, Vec<Tell>>);

type Tell = Box<dyn FnOnce(Result<(), PlumbError>) + Send>;

impl Waiters {
    /// A pending change has come to its end.
    pub(crate) fn tell(&mut self, ticket: Ticket, result: &Result<(), PlumbError>) {
        for tell in self.0.remove(&ticket).into_iter().flatten() {
            tell(result.clone());
        }
    }

    /// Nobody will be told any more, which they learn by it.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl core::fmt::Debug for Waiters {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Waiters").field(&self.0.len()).finish()
    }
}

impl Handle {
    /// Changes streams between two turns and waits until the change is done; what it gave, unless
    /// it was pending. `why` makes an error of what a pending change ended with.
    ///
    /// # Errors
    /// [`Gone`] when the shard has stopped; inside, the error of the change.
    pub fn change<T, E>(
        &self,
        work: impl FnOnce(&mut Perimeter) -> Result<Change<T>, E>,
        why: fn(PlumbError) -> E,
    ) -> Result<Result<Option<T>, E>, Gone>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (tell, told) = crossbeam_channel::bounded(1);
        self.call(|shard: &mut Shard| {
            // Whoever asked may have gone away; then nobody wants the result.
            let _unwanted = match work(shard.core()) {
                Ok(Change::Done(value)) => tell.send(Ok(Some(value))),
                Ok(Change::Pending(ticket)) => {
                    let tell: Tell = Box::new(move |result| {
                        let _unwanted = tell.send(result.map(|()| None).map_err(why));
                    });
                    shard.waiters().0.entry(ticket).or_default().push(tell);
                    return;
                }
                Err(error) => tell.send(Err(error)),
            };
        })?;
        told.recv().map_err(|_| self.0.seat.open().err().unwrap_or(Gone::Stopped))
    }

    /// Waits until no change of a stream is pending.
    ///
    /// # Errors
    /// [`Gone`] when the shard has stopped.
    pub fn settled(&self, stream: StreamId) -> Result<(), Gone> {
        loop {
            let waited = self.change(
                |core| Ok(core.pending(stream).map_or(Change::Done(()), Change::Pending)),
                |why| why,
            )?;
            // How the change ended is the business of who asked for it.
            if let Ok(Some(())) = waited {
                return Ok(());
            }
        }
    }
}
