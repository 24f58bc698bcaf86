//! Options of a TCP header: what is read is what is written from it.

use millstream_modules::tcp::Options;
use millstream_modules::tcp::options::{OPTIONS_MAX, SACKS_MAX};

/// Bytes: up to 40 of options.
pub fn run(data: &[u8]) {
    let found = Options::parse(&data[..data.len().min(OPTIONS_MAX)]);
    assert!(found.sacks().len() <= SACKS_MAX);
    // Those of a SYN and those of other segments: all at once have no room.
    let mut syn = Options::default();
    syn.mss = found.mss;
    syn.window_scale = found.window_scale;
    syn.sack_permitted = found.sack_permitted;
    syn.timestamps = found.timestamps;
    let mut later = Options::default();
    later.timestamps = found.timestamps;
    let room = SACKS_MAX - usize::from(found.timestamps.is_some());
    for block in found.sacks().iter().take(room) {
        later.add_sack(*block);
    }
    for options in [syn, later] {
        let mut bytes = [0x55; OPTIONS_MAX];
        let len = options.write(&mut bytes);
        assert!(len.is_multiple_of(4), "whole words");
        assert!(bytes[len..].iter().all(|byte| *byte == 0x55));
        assert_eq!(Options::parse(&bytes[..len]), options);
    }
}
