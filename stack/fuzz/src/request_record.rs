//! The record that transports put in front of packets.

use super::script::{bytes_of, cells_out};
use millstream_modules::ip::{REQUEST_LEN, Request};
use millstream_msg::{Pool, PoolConfig};

/// Bytes: where the chain is cut, then the record and what follows.
pub fn run(data: &[u8]) {
    let Some((&[cut], bytes)) = data.split_first_chunk() else { return };
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(0, bytes).unwrap();
    if let Ok(rest) = msg.split_off(&mut pool, usize::from(cut).min(bytes.len())) {
        msg.link(rest);
    }
    let decoded = Request::decode(bytes);
    match Request::take(&mut msg, &mut pool) {
        Ok(request) => {
            assert_eq!(decoded, Some(request));
            assert_eq!(Request::decode(&request.encode()), Some(request));
            assert_eq!(bytes_of(&msg), bytes[REQUEST_LEN..]);
        }
        Err(_) => assert_eq!(decoded, None),
    }
    pool.free(msg);
    assert_eq!(cells_out(&mut pool), 0);
}
