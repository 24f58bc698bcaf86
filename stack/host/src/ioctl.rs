//! ioctl: ends ask what is below their streams, and wait. Copies of transparent ioctls are done by
//! the thread that asked, in its own memory.

use crate::end::{End, EndError};
use crate::seat::Gone;
use crate::shard::Shard;
use crossbeam_channel::Sender;
use millstream_core::ioctl::{Area, Arg, Cred, IocId, LinkCommand, Progress, Reply, Request};
use millstream_core::{Errno, Perimeter, StreamId};
use std::collections::HashMap;

/// Who waits for which ioctl.
#[derive(Debug, Default)]
pub(crate) struct Askers(HashMap<(StreamId, IocId), Sender<Progress>>);

impl End {
    /// Sends a request with its data down and waits for the answer (I_STR). `timeout` is in
    /// seconds: 0 for 15, -1 for ever.
    ///
    /// # Errors
    /// As `Perimeter::ioctl` and `Perimeter::ioctl_progress`.
    pub fn ioctl(&self, cmd: u32, data: &[u8], timeout: i32) -> Result<Reply, EndError> {
        let (stream, cred) = (self.stream(), own_cred());
        let begin = |core: &mut Perimeter| {
            core.ioctl(stream, Request { cmd, timeout, cred, arg: Arg::Data(data) })
        };
        // Who sent data has no memory to copy from; the head does not ask for it.
        self.ask(begin, &mut |_| Err(Errno::EFAULT))
    }

    /// Sends a request with an argument down and waits for the answer (a transparent ioctl). The
    /// modules below may read and write `area`, and nothing else of this process.
    ///
    /// # Errors
    /// As [`End::ioctl`]; EFAULT when a module asks for what is outside the area.
    pub fn ioctl_transparent(
        &self,
        cmd: u32,
        arg: u64,
        mut area: Area<'_>,
        timeout: i32,
    ) -> Result<Reply, EndError> {
        let (stream, cred) = (self.stream(), own_cred());
        let begin = |core: &mut Perimeter| {
            core.ioctl(stream, Request { cmd, timeout, cred, arg: Arg::Transparent(arg) })
        };
        self.ask(begin, &mut |wanted| match wanted {
            Progress::CopyIn { addr, len } => area.copy_in(*addr, *len).map(<[u8]>::to_vec),
            Progress::CopyOut { addr, bytes } => area.copy_out(*addr, bytes).map(|()| Vec::new()),
            Progress::Done(_) => Err(Errno::EFAULT),
        })
    }

    /// Has the multiplexor below link or unlink; the number of a link. A stream that is linked
    /// takes no operation of its program until it is unlinked.
    ///
    /// # Errors
    /// As `Perimeter::link_command`.
    pub fn link(&self, command: LinkCommand, timeout: i32) -> Result<i32, EndError> {
        let (stream, cred) = (self.stream(), own_cred());
        let begin = |core: &mut Perimeter| core.link_command(stream, command, timeout, cred);
        let reply = self.ask(begin, &mut |_| Err(Errno::EFAULT))?;
        self.handle().enter(Shard::mark_linked)?;
        Ok(reply.rval)
    }

    /// Begins an ioctl and does what it wants until it is over.
    fn ask(
        &self,
        begin: impl FnOnce(&mut Perimeter) -> Result<IocId, Errno>,
        copy: &mut dyn FnMut(&Progress) -> Result<Vec<u8>, Errno>,
    ) -> Result<Reply, EndError> {
        let stream = self.stream();
        let (tell, told) = crossbeam_channel::unbounded();
        let begun = self.handle().enter(|shard| {
            let id = begin(shard.core())?;
            shard.askers().0.insert((stream, id), tell);
            Ok(id)
        })?;
        let id = begun.map_err(EndError::Failed)?;
        loop {
            match told.recv() {
                Ok(Progress::Done(result)) => return result.map_err(EndError::Failed),
                Ok(wanted) => {
                    let copied = copy(&wanted);
                    self.handle().enter(|shard| {
                        let copied = copied.as_deref().map_err(|&errno| errno);
                        // It may be over by now; then that is told.
                        let _over = shard.core().ioctl_copied(stream, id, copied);
                    })?;
                }
                // Nobody is left who could tell.
                Err(_) => return Err(self.failure().unwrap_or(Gone::Stopped.into())),
            }
        }
    }
}

impl Askers {
    /// Something happened to an ioctl. False: none of these began it.
    pub(crate) fn tell(&mut self, core: &mut Perimeter, stream: StreamId, id: IocId) -> bool {
        let Some(asker) = self.0.get(&(stream, id)) else { return false };
        let Some(progress) = core.ioctl_progress(stream, id) else { return true };
        let over = matches!(progress, Progress::Done(_));
        // Its thread waits for it.
        let _waits = asker.send(progress);
        if over {
            self.0.remove(&(stream, id));
        }
        true
    }

    /// A stream was closed: whoever waits for an ioctl of it is told.
    pub(crate) fn closed(&mut self, stream: StreamId) {
        self.0.retain(|(of, _), asker| {
            let keep = *of != stream;
            if !keep {
                let _waits = asker.send(Progress::Done(Err(Errno::EBADF)));
            }
            keep
        });
    }
}

/// Whom requests of this process come from.
pub(crate) fn own_cred() -> Cred {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    Cred { uid: uid.as_raw(), gid: gid.as_raw() }
}
