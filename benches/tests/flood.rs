//! A flood to a reader who never reads.

use millstream_benches::experiments::flood::once;
use millstream_drivers::netns::Netns;
use millstream_msg::PoolConfig;

#[test]
fn a_flood_is_bounded_has_a_reason_and_the_stack_answers_afterwards() {
    if let Err(why) = Netns::new() {
        let name = "a_flood_is_bounded_has_a_reason_and_the_stack_answers_afterwards";
        return eprintln!("skipped: {name}: {why}");
    }
    let flooded = once(50_000).unwrap();
    assert!(flooded.memory_bytes[1] <= PoolConfig::STACK.bytes());
    let full = flooded.drops.iter().find(|(reason, _)| *reason == "udp_queue_full");
    let dropped = full.map_or(0, |(_, count)| *count);
    assert!(dropped > 0 && dropped <= flooded.arrived, "{flooded:?}");
    assert!(flooded.echoed_per_second > 0.0);
}
