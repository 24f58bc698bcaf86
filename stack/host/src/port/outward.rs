//! What a program puts into its ring goes to the stream: as it lies there, if it is long, else
//! copied.

use super::served::{Line, Served, What};
use super::{Fault, Ports};
use crate::socket::Socket;
use millstream_core::{Errno, Perimeter};
use millstream_msg::{Band, Msg, NoMem};
use millstream_port::{Memory, Ready};
use std::sync::atomic::{Ordering, fence};

/// Up to so many octets are copied: a message of its own, with its checksum and its way back, costs
/// more.
const COPY_MAX: u32 = 1536;

/// Octets of one message (`strmsgsz`).
const MESSAGE_MAX: usize = 1 << 16;

impl Ports {
    /// Gives the stream what is to be sent, as far as there is room, and the program what has come
    /// back.
    pub(super) fn outward(&mut self, core: &mut Perimeter, key: u32) {
        self.collect(key);
        if let Err(fault) = self.send_ring(core, key) {
            self.accuse_owner(key, fault);
        }
    }

    fn send_ring(&mut self, core: &mut Perimeter, key: u32) -> Result<(), Fault> {
        let Some(served) = self.served.get_mut(key as usize).and_then(Option::as_mut) else {
            return Ok(());
        };
        let is_drained = send_unsent(core, served);
        let Served { what: What::Socket(socket), line, shut, .. } = served else { return Ok(()) };
        let mut all = is_drained;
        if let Some(line) = line {
            let Some(client) = self.clients.get_mut(line.client).and_then(Option::as_mut) else {
                return Ok(());
            };
            let place = client.slot(line.slot);
            let put = place.put().load(Ordering::Acquire) as u32;
            line.put = put;
            all = is_drained && submit(core, socket, line, &client.memory, put)?;
            let before = line.released;
            line.released = line.lender.collect();
            if line.released != before {
                place.released().store(line.released, Ordering::Release);
                fence(Ordering::SeqCst);
                let ring = line.lender.ring();
                let filled = ring.filled(put, line.released).ok_or(Fault::Put)?;
                if ring.is_roomy(filled) && place.wants_room().swap(0, Ordering::SeqCst) != 0 {
                    client.tell(line.slot, Ready::OUT | Ready::WRNORM);
                }
            }
        }
        if all && std::mem::take(shut) {
            // The connection may be over by now.
            let _over = socket.shutdown(core, 1);
        }
        Ok(())
    }
}

/// Sends what was in a ring that was taken back; true when nothing of it is left.
fn send_unsent(core: &mut Perimeter, served: &mut Served) -> bool {
    while !served.unsent.is_empty() {
        let What::Socket(socket) = &mut served.what else { return true };
        if !is_writable(core, socket) {
            served.unsent.clear();
            return true;
        }
        let (first, _) = served.unsent.as_slices();
        match core.write(socket.stream(), first) {
            Ok(sent) if sent > 0 => drop(served.unsent.drain(..sent)),
            _ => return false,
        }
    }
    true
}

fn is_writable(core: &mut Perimeter, socket: &mut Socket) -> bool {
    socket.outlook(core).is_some_and(|seen| seen.contains(Ready::OUT))
}

/// Makes messages of the octets that were put in; true when all are.
fn submit(
    core: &mut Perimeter,
    socket: &mut Socket,
    line: &mut Line,
    memory: &Memory,
    put: u32,
) -> Result<bool, Fault> {
    let ring = line.lender.ring();
    let (filled, under_way) =
        (ring.filled(put, line.released), ring.filled(line.submitted, line.released));
    if filled.zip(under_way).is_none_or(|(filled, under_way)| filled < under_way) {
        return Err(Fault::Put);
    }
    while line.submitted != put {
        if !is_writable(core, socket) {
            // Nobody will have it.
            line.lender.copied(put);
            line.submitted = put;
            return Ok(true);
        }
        // Who is refused is told of room.
        if core.can_put(socket.stream(), Some(Band(0))) != Ok(true) {
            return Ok(false);
        }
        let left = put.wrapping_sub(line.submitted);
        let sent = if left <= COPY_MAX {
            copy(core, socket, line, memory, left)
        } else {
            lend(core, socket, line, left)
        };
        match sent {
            Some(len) => line.submitted = line.submitted.wrapping_add(len),
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Sends a copy of octets; how many.
fn copy(
    core: &mut Perimeter,
    socket: &Socket,
    line: &mut Line,
    memory: &Memory,
    len: u32,
) -> Option<u32> {
    let headroom = core.headroom(socket.stream()).ok()?;
    let mut msg = core.pool().alloc(headroom, len as usize).ok()?;
    let ring = line.lender.ring();
    ring.read(memory, line.submitted, &mut msg.spare_mut()[..len as usize]);
    msg.commit(len as usize);
    core.pool().note_copied(len as usize);
    match core.putmsg(socket.stream(), msg) {
        Ok(()) => {
            line.lender.copied(line.submitted.wrapping_add(len));
            Some(len)
        }
        Err((_, msg)) => {
            core.pool().free(msg);
            None
        }
    }
}

/// Sends octets from where they lie, as far as they lie together; how many.
fn lend(core: &mut Perimeter, socket: &Socket, line: &mut Line, left: u32) -> Option<u32> {
    if !line.lender.can_lend() {
        return None;
    }
    let (_, run) = line.lender.ring().place(line.submitted);
    let len = (left as usize).min(run).min(MESSAGE_MAX) as u32;
    let stream = socket.stream();
    let put =
        |core: &mut Perimeter, msg: Msg| -> Result<(), (Errno, Msg)> { core.putmsg(stream, msg) };
    match line.lender.lend(core, line.submitted, len, put) {
        Ok(Ok(())) => Some(len),
        Ok(Err(_)) | Err(NoMem) => None,
    }
}
