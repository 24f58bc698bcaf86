//! Modules of a stream, as programs name them. Where modules come from is the caller's business:
//! the core has no table of names.

use crate::errno::Errno;
use crate::module::Module;
use crate::perimeter::{Perimeter, StreamId};
use crate::plumb::Change;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

impl Perimeter {
    /// Makes the module of this name and puts it in just below the head (I_PUSH).
    ///
    /// # Errors
    /// EINVAL when `make` knows no such name, the stream has as many modules as it may have, or is
    /// linked; ENXIO after a hangup; what the module's `open` refused with; the recorded error of
    /// a failed stream. The stream is as it was.
    pub fn push_named(
        &mut self,
        stream: StreamId,
        name: &str,
        make: impl FnOnce(&str) -> Option<Box<dyn Module>>,
    ) -> Result<Change, Errno> {
        self.check_change(stream)?;
        let module = make(name).ok_or(Errno::EINVAL)?;
        self.push(stream, module).map_err(|error| error.errno())
    }

    /// Takes the topmost module out (I_POP); what it held goes on its way.
    ///
    /// # Errors
    /// EINVAL without a module or when linked; ENXIO after a hangup; the recorded error of a
    /// failed stream.
    pub fn pop_top(&mut self, stream: StreamId) -> Result<Change<Box<dyn Module>>, Errno> {
        self.check_change(stream)?;
        self.pop(stream).map_err(|error| error.errno())
    }

    /// Name of the topmost module (I_LOOK).
    ///
    /// # Errors
    /// EINVAL without a module or when linked; the recorded error of a failed stream. A stream
    /// whose line is gone answers.
    pub fn look(&mut self, stream: StreamId) -> Result<String, Errno> {
        self.module_names(stream)?.into_iter().next().ok_or(Errno::EINVAL)
    }

    /// Names of the modules and of what is at the bottom, top down (I_LIST); of a pipe, the
    /// modules of this end.
    ///
    /// # Errors
    /// EINVAL when linked; the recorded error of a failed stream.
    pub fn list(&mut self, stream: StreamId) -> Result<Vec<String>, Errno> {
        self.names(stream, |kind| kind != "head" && kind != "pipe")
    }

    /// Is a module of this name in the stream (I_FIND)?
    ///
    /// # Errors
    /// As [`Perimeter::list`]; EINVAL when `known` does not know the name at all.
    pub fn has_module(
        &mut self,
        stream: StreamId,
        name: &str,
        known: impl FnOnce(&str) -> bool,
    ) -> Result<bool, Errno> {
        let names = self.module_names(stream)?;
        if !known(name) {
            return Err(Errno::EINVAL);
        }
        Ok(names.iter().any(|module| module == name))
    }

    fn module_names(&mut self, stream: StreamId) -> Result<Vec<String>, Errno> {
        self.names(stream, |kind| kind == "module")
    }

    fn names(
        &mut self,
        stream: StreamId,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Errno> {
        let (head, _, _) = self.head(stream)?;
        head.check_either()?;
        let chain = self.chain(stream).map_err(|error| error.errno())?;
        let wanted = chain.into_iter().filter(|node| wanted(node.kind));
        Ok(wanted.map(|node| node.name).collect())
    }

    fn check_change(&mut self, stream: StreamId) -> Result<(), Errno> {
        let (head, _, _) = self.head(stream)?;
        head.check_either()?;
        head.check_line()
    }
}
