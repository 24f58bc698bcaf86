//! wire: the other end of the stack's line, where packets go in and come out. It is the station
//! that has every address: the stack's questions for the router are answered here.

use millstream_core::Device;
use millstream_drivers::{PairEnd, pair};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, NoMem, Pool, PoolConfig};
use std::collections::VecDeque;

/// The far end.
#[derive(Debug)]
pub(crate) struct Wire {
    end: PairEnd,
    pool: Pool,
    packets: VecDeque<Packet>,
}

/// An IP packet that has left the stack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    /// When, nanoseconds of the stack's clock.
    pub(crate) at: u64,
}

impl Wire {
    /// The stack's end and this one. The stack cuts segments and sums them itself.
    pub(crate) fn new(mtu: u16) -> (PairEnd, Self) {
        let (near, end) = pair(mtu, [NEAR, FAR]);
        let pool = Pool::new(PoolConfig::TINY);
        (near.with_offloads(Can::NOTHING), Self { end, pool, packets: VecDeque::new() })
    }

    /// Takes what has left the stack by `now`. True when the stack has something to read since.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        let (mut frames, mut answered) = (MsgList::new(), false);
        // An end of a pair always has an answer.
        while self.end.recv(&mut self.pool, &mut frames, FRAMES).is_ok_and(|count| count > 0) {
            for frame in &mut frames {
                let mut bytes = vec![0; frame.len()];
                frame.copy_out(0, &mut bytes);
                self.pool.free(frame);
                if bytes.get(12..14) == Some(&IPV4) {
                    let bytes = bytes.split_off(ETHERNET);
                    self.packets.push_back(Packet { bytes, at: now });
                } else if let Some(answer) = answer_to(&bytes) {
                    answered |= self.frame(&answer).is_ok();
                }
            }
        }
        answered
    }

    /// The packet that left first.
    pub(crate) fn packet(&mut self) -> Option<Packet> {
        self.packets.pop_front()
    }

    /// A packet comes to the stack.
    pub(crate) fn put(&mut self, packet: &[u8]) -> Result<(), NoMem> {
        let mut frame = [&NEAR[..], &FAR, &IPV4].concat();
        frame.extend_from_slice(packet);
        self.frame(&frame)
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), NoMem> {
        let mut list = MsgList::new();
        list.push(self.pool.copy_from(0, bytes)?);
        // The stack reads before the next one is put: there is always room.
        let _joined_ends_do_not_fail = self.end.send(&mut list);
        Ok(())
    }
}

/// The answer to a frame that asks for an address (RFC 826): we have it.
fn answer_to(frame: &[u8]) -> Option<Vec<u8>> {
    let asked: &[u8; ARP_END] = frame.get(..ARP_END)?.try_into().ok()?;
    if asked[12..14] != ARP || asked[20..22] != REQUEST {
        return None;
    }
    let (asker, wanted) = (&asked[22..32], &asked[38..42]);
    if asker[6..10] == *wanted || asker[6..10] == [0; 4] {
        // It looks whether somebody else has its address: nobody has.
        return None;
    }
    let parts = [&NEAR[..], &FAR, &asked[12..20], &REPLY, &FAR, wanted, asker];
    Some(parts.concat())
}

const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];
const IPV4: [u8; 2] = [8, 0];
const ARP: [u8; 2] = [8, 6];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];
/// Octets of an Ethernet header.
const ETHERNET: usize = 14;
/// Octets of a frame that asks.
const ARP_END: usize = 42;
/// Frames read at once.
const FRAMES: usize = 64;
