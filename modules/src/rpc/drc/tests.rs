//! What the cache knows of calls, and forgets.

use super::*;
use millstream_msg::PoolConfig;
use proptest::prelude::*;
use std::collections::HashMap;

struct Kit {
    drc: Drc,
}

impl Kit {
    fn new(bytes: usize) -> Self {
        Self { drc: Drc::new(bytes, 7) }
    }

    fn key(&mut self, peer: &str, datagram: bool, xid: u32, arguments: &[u8]) -> Key {
        let peer = peer.parse().unwrap();
        let arguments = (arguments, arguments.len());
        Key::new(self.drc.keyed(), (peer, datagram), xid, [100_003, 3, 8], arguments)
    }

    fn answered(&mut self, id: EntryId, reply: &[&[u8]]) {
        let len = reply.iter().map(|part| part.len()).sum();
        // What is behind the reply does not belong to it.
        self.drc.answered(id, len, reply.iter().copied().chain([&b"behind"[..]]));
    }

    fn begin(&mut self, key: &Key) -> EntryId {
        match self.drc.look(key) {
            Known::New(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn reply(&mut self, key: &Key) -> Option<Vec<u8>> {
        match self.drc.look(key) {
            Known::Done(reply) => Some(octets(reply)),
            _ => None,
        }
    }

    /// A call of this number that goes well with a message of so many octets.
    fn long(&mut self, pool: &mut Pool, xid: u32, len: usize) -> Key {
        let key = self.key("10.0.0.1:700", true, xid, b"");
        let id = self.begin(&key);
        let results = pool.copy_from(0, &std::vec![xid as u8; len]).unwrap();
        self.drc.went_well(id, &results, [0, len], pool);
        pool.free(results);
        key
    }
}

fn octets(reply: Reply<'_>) -> Vec<u8> {
    match reply {
        Reply::Octets(parts) => parts.concat(),
        Reply::Results(msg) => {
            let mut bytes = std::vec![0; msg.len()];
            msg.copy_out(0, &mut bytes);
            bytes
        }
    }
}

#[test]
fn a_call_in_progress_is_not_begun_again_and_one_that_is_done_has_its_reply() {
    let mut kit = Kit::new(BYTES);
    let key = kit.key("10.0.0.1:700", true, 5, b"arguments");
    let id = kit.begin(&key);
    assert!(matches!(kit.drc.look(&key), Known::InProgress(_)));
    kit.answered(id, &[b"the ", b"reply"]);
    assert_eq!(kit.reply(&key).unwrap(), b"the reply");
    kit.answered(id, &[b"another"]);
    assert_eq!(kit.reply(&key).unwrap(), b"the reply", "a second answer is none");
}

#[test]
fn xid_procedure_arguments_and_peer_make_a_call_and_the_port_only_of_a_datagram() {
    let mut kit = Kit::new(BYTES);
    let udp = kit.key("10.0.0.1:700", true, 5, b"a");
    kit.begin(&udp);
    for other in [
        kit.key("10.0.0.1:701", true, 5, b"a"),
        kit.key("10.0.0.2:700", true, 5, b"a"),
        kit.key("10.0.0.1:700", true, 6, b"a"),
        kit.key("10.0.0.1:700", true, 5, b"b"),
        kit.key("10.0.0.1:700", true, 5, b"a\0"),
        kit.key("10.0.0.1:700", false, 5, b"a"),
    ] {
        kit.begin(&other);
    }
    let again = kit.key("10.0.0.1:999", false, 5, b"a");
    assert!(matches!(kit.drc.look(&again), Known::InProgress(_)), "another connection of the peer");
}

#[test]
fn a_call_that_ended_without_a_reply_or_whose_octets_are_too_many_is_new_again() {
    let mut kit = Kit::new(BYTES);
    let key = kit.key("10.0.0.1:700", true, 5, b"");
    let id = kit.begin(&key);
    kit.drc.forget(id);
    let id = kit.begin(&key);
    kit.answered(id, &[&[0; REPLY_MAX + 1]]);
    let id = kit.begin(&key);
    kit.answered(id, &[&[0; REPLY_MAX]]);
    assert_eq!(kit.reply(&key).unwrap().len(), REPLY_MAX);
}

#[test]
fn the_oldest_replies_go_first_and_calls_in_progress_never() {
    let mut kit = Kit::new(BYTES_MIN);
    let slow = kit.key("10.0.0.1:700", true, 0, b"");
    let slow_id = kit.begin(&slow);
    for xid in 1..100 {
        let key = kit.key("10.0.0.1:700", true, xid, b"");
        let id = kit.begin(&key);
        kit.answered(id, &[&[xid as u8; 100]]);
        assert_eq!(kit.reply(&key).unwrap(), [xid as u8; 100]);
        assert!(kit.drc.held() <= BYTES_MIN);
    }
    let first = kit.key("10.0.0.1:700", true, 1, b"");
    assert!(matches!(kit.drc.look(&first), Known::New(_)), "forgotten");
    assert!(matches!(kit.drc.look(&slow), Known::InProgress(_)));
    kit.answered(slow_id, &[b"at last"]);
    assert_eq!(kit.reply(&slow).unwrap(), b"at last");
}

#[test]
fn when_all_are_in_progress_no_more_are_known() {
    let mut kit = Kit::new(BYTES_MIN);
    let max = BYTES_MIN / BYTES_PER_ENTRY;
    for xid in 0..max as u32 {
        let key = kit.key("10.0.0.1:700", true, xid, b"");
        kit.begin(&key);
    }
    let key = kit.key("10.0.0.1:700", true, max as u32, b"");
    assert!(matches!(kit.drc.look(&key), Known::Full));
}

#[test]
fn long_results_are_kept_without_a_copy_within_their_bound_and_the_oldest_go_first() {
    const LIMIT: usize = 64 << 10;
    let (mut kit, mut pool) = (Kit::new(LIMIT), Pool::new(PoolConfig::STACK));
    let short = kit.key("10.0.0.1:700", true, 1000, b"");
    let id = kit.begin(&short);
    kit.answered(id, &[b"short"]);
    let keys: Vec<Key> = (0..60).map(|xid| kit.long(&mut pool, xid, 1500)).collect();
    assert!(kit.drc.held_long() <= LIMIT, "{}", kit.drc.held_long());
    assert!(kit.drc.held_long() > LIMIT / 2, "{}", kit.drc.held_long());
    let kept = keys.iter().rev().take_while(|key| kit.reply(key).is_some()).count();
    assert!(kept > LIMIT / 4096 / 2 && kept < 60, "{kept}");
    for (xid, key) in keys.iter().enumerate().skip(60 - kept) {
        assert_eq!(kit.reply(key).unwrap(), [xid as u8; 1500]);
    }
    assert!(keys[..60 - kept].iter().all(|key| kit.reply(key).is_none()), "the oldest first");
    assert_eq!(kit.reply(&short).unwrap(), b"short");
    // What is longer than a part of all is not kept, and nothing is forgotten for it.
    let before = kit.drc.held_long();
    let key = kit.long(&mut pool, 61, LIMIT / LONG_PARTS);
    assert!(matches!(kit.drc.look(&key), Known::New(_)));
    assert_eq!(kit.drc.held_long(), before);
    let stats = pool.stats();
    assert_eq!(stats.compacted_bytes, 0);
}

#[test]
fn a_part_of_a_message_is_kept_and_one_that_is_short_of_it_is_not() {
    let (mut kit, mut pool) = (Kit::new(BYTES), Pool::new(PoolConfig::STACK));
    let data = pool.copy_from(0, &std::array::from_fn::<u8, 250, _>(|n| n as u8)).unwrap();
    let key = kit.key("10.0.0.1:700", true, 1, b"");
    let id = kit.begin(&key);
    kit.drc.went_well(id, &data, [100, 50], &mut pool);
    assert_eq!(kit.reply(&key).unwrap(), (100..150).collect::<Vec<u8>>());
    let key = kit.key("10.0.0.1:700", true, 2, b"");
    let id = kit.begin(&key);
    kit.drc.went_well(id, &data, [usize::MAX, 50], &mut pool);
    let id = kit.begin(&key);
    kit.drc.went_well(id, &data, [201, 50], &mut pool);
    kit.begin(&key);
    pool.free(data);
}

#[test]
fn long_results_are_let_go_when_memory_is_short_and_for_calls_that_come() {
    let (mut kit, mut pool) = (Kit::new(BYTES_MIN * 16), Pool::new(PoolConfig::TINY));
    let first = kit.long(&mut pool, 1, 1500);
    assert!(kit.reply(&first).is_some());
    let mut all = Vec::new();
    while pool.level() == Level::Low {
        all.push(pool.alloc(0, 1500).unwrap());
    }
    let second = kit.long(&mut pool, 2, 1500);
    assert_eq!(kit.drc.held_long(), 0);
    assert!(matches!(kit.drc.look(&second), Known::New(_)));
    all.into_iter().for_each(|msg| pool.free(msg));
    // As many as there are entries, then one more.
    let max = kit.drc.entries.capacity();
    for xid in 10..10 + 2 * max as u32 {
        kit.long(&mut pool, xid, 1100);
        assert!(kit.drc.len() <= max);
    }
}

proptest! {
    #[test]
    fn what_it_knows_is_what_was_answered_within_its_memory(
        steps in proptest::collection::vec((0u32..40, 0usize..300, any::<bool>()), 1..300),
    ) {
        let mut kit = Kit::new(BYTES_MIN);
        let mut replies = HashMap::new();
        for (xid, len, answer) in steps {
            let key = kit.key("[fe80::1]:700", true, xid, b"same");
            match kit.drc.look(&key) {
                Known::New(id) if answer => {
                    let reply = std::vec![len as u8; len];
                    let (a, b) = reply.split_at(len / 3);
                    kit.answered(id, &[a, b]);
                    replies.insert(xid, reply);
                }
                Known::New(id) => kit.drc.forget(id),
                Known::Done(reply) => prop_assert_eq!(&octets(reply), &replies[&xid]),
                Known::InProgress(_) | Known::Full => prop_assert!(false),
            }
            prop_assert!(kit.drc.held() <= BYTES_MIN - BYTES_MIN / BYTES_PER_ENTRY * ENTRY_BYTES);
        }
    }
}
