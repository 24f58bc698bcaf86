//! The link that the demo breaks and mends: a stream of a running stack.

use super::text;
use millstream_core::{NodeView, Perimeter, StreamId};
use millstream_host::Handle;
use millstream_modules::impair::Impair;

/// A stream of an interface, by its name.
pub(super) struct Link {
    handle: Handle,
    name: &'static str,
}

impl Link {
    pub(super) fn new(handle: &Handle, name: &'static str) -> Self {
        Self { handle: handle.clone(), name }
    }

    /// The chain, top down, with counters.
    pub(super) fn chain(&self) -> Result<Vec<NodeView>, String> {
        self.on_stream(|core, stream| core.chain(stream).map_err(text))
    }

    /// Puts `impair` just above the driver and sets it; taken out again when a parameter is
    /// refused.
    pub(super) fn impair(&self, parameters: &'static [(&str, &str)]) -> Result<(), String> {
        self.on_stream(move |core, stream| {
            core.insert(stream, 0, Box::new(Impair::new())).map_err(text)?;
            for (key, value) in parameters {
                if let Err(why) = core.set(stream, 0, key, value) {
                    core.remove(stream, 0).map_err(text)?;
                    return Err(text(why));
                }
            }
            Ok(())
        })
    }

    /// Takes the module just above the driver out; what it holds goes on its way.
    pub(super) fn mend(&self) -> Result<(), String> {
        self.on_stream(|core, stream| core.remove(stream, 0).map(drop).map_err(text))
    }

    fn on_stream<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Perimeter, StreamId) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let name = self.name;
        let done = self.handle.call(move |shard| {
            let core = shard.core();
            let stream = core.find(name).ok_or_else(|| "the link is gone".to_owned())?;
            work(core, stream)
        });
        done.map_err(text)?
    }
}
