//! Sockets and streams that programs hand through pipes (I_SENDFD, I_RECVFD). What is under way is
//! open; the stack closes what nobody has taken after a time, or what is lost with its pipe.

use super::Ports;
use super::calls::{Answer, EMFILE};
use crossbeam_queue::SegQueue;
use millstream_core::ioctl::Cred;
use millstream_core::{Errno, Perimeter, StreamId};
use millstream_port::streamio::Asked;
use std::sync::Arc;

/// What was lost on its way.
pub(super) type Lost = Arc<SegQueue<(u32, StreamId)>>;

/// What is under way. Its number may be another's when it arrives; its stream tells.
#[derive(Debug)]
struct Passing {
    key: u32,
    stream: StreamId,
    lost: Lost,
    has_arrived: bool,
}

impl Drop for Passing {
    fn drop(&mut self) {
        if !self.has_arrived {
            self.lost.push((self.key, self.stream));
        }
    }
}

impl Ports {
    /// I_SENDFD: the other end of the pipe gets what the program knows by this number.
    pub(super) fn hand_over(
        &mut self,
        core: &mut Perimeter,
        at: usize,
        pipe: StreamId,
        id: u32,
    ) -> Result<(), Errno> {
        let client = self.client(at).ok_or(Errno::EBADF)?;
        let cred = Cred { uid: client.uid, gid: client.gid };
        let (_, key) = client.named(id).ok_or(Errno::EBADF)?;
        let lost = self.lost.clone();
        // All programs together have so many under way as each may have: who sends and does not
        // receive fills no more.
        if self.passing >= self.quota.sockets {
            return Err(Errno::EAGAIN);
        }
        let served = self.served.get_mut(key as usize).and_then(Option::as_mut);
        let served = served.ok_or(Errno::EBADF)?;
        served.passed += 1;
        self.passing += 1;
        let passing = Passing { key, stream: served.stream(), lost, has_arrived: false };
        // One that is refused is lost, and counted so.
        core.send_fd(pipe, Box::new(passing), cred).map_err(|(errno, _)| errno)
    }

    /// I_RECVFD: a number for what comes next, and who sent it.
    pub(super) fn take_over(&mut self, core: &mut Perimeter, at: usize, pipe: StreamId) -> Answer {
        if !self.client(at).is_some_and(super::client::Client::has_room) {
            return Err(EMFILE);
        }
        let passed = core.recv_fd(pipe)?;
        let mut passing = passed.handle.downcast::<Passing>().map_err(|_| Errno::EPROTO)?;
        let (key, stream) = (passing.key, passing.stream);
        passing.has_arrived = true;
        self.passing -= 1;
        let served = self.served.get_mut(key as usize).and_then(Option::as_mut);
        let served = served.filter(|served| served.stream() == stream).ok_or(Errno::ENXIO)?;
        served.passed -= 1;
        served.deadline = None;
        let client = self.clients[at].as_mut().ok_or(Errno::EBADF)?;
        let slot = client.take_slot(key).ok_or(EMFILE)?;
        let id = client.id(slot);
        served.users.push((at, slot));
        served.fresh.push((at, slot));
        // Two that have it ask for each octet.
        self.retire(core, key);
        self.show_anew(core, key);
        let who = [passed.cred.uid.to_ne_bytes(), passed.cred.gid.to_ne_bytes()].concat();
        Ok((Asked::Done(id as i32, who.len()).to_values(), who))
    }

    /// What was lost on its way is under way no longer.
    pub(super) fn count_lost(&mut self, core: &mut Perimeter) {
        while let Some((key, stream)) = self.lost.pop() {
            self.passing -= 1;
            let served = self.get_mut(key).filter(|served| served.stream() == stream);
            let Some(served) = served else { continue };
            served.passed -= 1;
            if served.passed == 0 && !served.is_had() {
                self.leaving.retain(|leaving| *leaving != key);
                self.finish(core, key);
            }
        }
    }
}
