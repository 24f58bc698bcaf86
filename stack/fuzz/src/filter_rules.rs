//! Rules of `filter`, as any text: they are refused with a place, or read back as they were
//! written, and decide about any message.

use super::script::bytes_of;
use millstream_core::Side;
use millstream_modules::filter::{Facts, Link, Rules};
use millstream_msg::{Pool, PoolConfig};

/// Bytes: rules up to the first 0, then a message.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    let Ok(text) = core::str::from_utf8(text) else { return };
    let mut rules = match Rules::parse(text) {
        Ok(rules) => rules,
        Err(why) => {
            let place = why.strip_prefix("at ").and_then(|why| why.split_once(": "));
            let place: usize = place.expect("it begins with its place").0.parse().unwrap();
            return assert!((1..=text.chars().count() + 1).contains(&place), "{why}");
        }
    };
    let again = Rules::parse(&rules.text()).unwrap();
    assert_eq!(again.text(), rules.text());
    let tests = |rules: &Rules| -> Vec<_> {
        rules.iter().map(|rule| (rule.action, rule.tests.clone())).collect()
    };
    assert_eq!(tests(&again), tests(&rules));
    let mut pool = Pool::new(PoolConfig::TINY);
    let Ok(msg) = pool.copy_from(0, rest) else { return };
    for link in [Link::Ethernet, Link::Ip, Link::Tpi] {
        for side in [Side::Read, Side::Write] {
            let facts = Facts::of(&msg, link, side);
            assert_eq!(facts, Facts::of_bytes(rest, link, side), "however it is cut");
            rules.decide(&facts, &msg, &mut |msg| assert_eq!(bytes_of(msg), rest));
        }
    }
    pool.free(msg);
}
