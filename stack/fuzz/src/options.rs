//! Options of an IPv4 header: faults are inside, and what fragments repeat is sound.

use millstream_modules::ip::options::{OPTIONS_MAX, copied, scan};

/// Bytes: up to 40 of options.
pub fn run(data: &[u8]) {
    let options = &data[..data.len().min(OPTIONS_MAX)];
    let found = scan(options);
    if let Err(bad) = found {
        assert!((20..20 + options.len()).contains(&usize::from(bad.pointer)));
    }
    let mut to = [0x55; OPTIONS_MAX];
    let len = copied(options, &mut to);
    assert!(len.is_multiple_of(4) && len <= options.len().next_multiple_of(4));
    assert!(to[len..].iter().all(|byte| *byte == 0x55));
    if let Ok(found) = found {
        // The alert has the bit that says "in every fragment".
        assert_eq!(scan(&to[..len]), Ok(found));
    }
}
