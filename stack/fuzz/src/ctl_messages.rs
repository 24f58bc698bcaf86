//! M_CTL messages between modules: whatever is read is written as it was.

use super::script::cells_out;
use millstream_modules::ctl::Ctl;
use millstream_msg::{Kind, Pool, PoolConfig};

/// Bytes: the message.
pub fn run(data: &[u8]) {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(0, data).unwrap();
    msg.set_kind(Kind::Ctl);
    if let Some(ctl) = Ctl::from_msg(&msg) {
        let again = ctl.to_msg(&mut pool).unwrap();
        assert_eq!(Ctl::from_msg(&again), Some(ctl));
        pool.free(again);
    }
    pool.free(msg);
    assert_eq!(cells_out(&mut pool), 0);
}
