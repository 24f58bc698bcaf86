//! Recordings, as any bytes: each entry is a message that is written down as it was read, and
//! behind the first fault there is nothing.

use millstream_modules::recording::{Event, Reader, head, lost, message};
use millstream_msg::{Pool, PoolConfig};

/// Bytes: a recording.
pub fn run(data: &[u8]) {
    let Ok(reader) = Reader::new(data) else { return };
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut again = Vec::new();
    head(&mut again, reader.begin_ns(), reader.name());
    let mut at = reader.position();
    assert_eq!(again.len(), at);
    let mut entries = reader;
    while let Some(entry) = entries.next() {
        let Ok(entry) = entry else {
            return assert!(entries.next().is_none(), "nothing behind a fault");
        };
        let start = again.len();
        match entry.event {
            Event::Message(side, parts) => {
                let Ok(msg) = parts.to_msg(0, &mut pool) else { return };
                assert_eq!((msg.len(), msg.kind()), (parts.bytes().len(), parts.kind()));
                assert!(message(&mut again, entry.time_ns, side, &msg));
                pool.free(msg);
                let first = Reader::new(&again).unwrap().from_position(start);
                let read = first.into_iter().next().unwrap().unwrap();
                let Event::Message(way, other) = read.event else { panic!("{read:?}") };
                assert_eq!((way, other.bytes(), other.band), (side, parts.bytes(), parts.band));
                assert_eq!(other.offload, parts.offload);
            }
            Event::Lost(count) => lost(&mut again, entry.time_ns, count),
        }
        assert!(entries.position() > at && entries.position() <= data.len());
        at = entries.position();
    }
}
