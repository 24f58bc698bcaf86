//! nowhere: a device below a module that is measured by itself.

use millstream_core::{Caps, Device, Errno};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool};

/// Nothing comes from it, and what goes there is freed.
pub(crate) struct Nowhere;

impl Device for Nowhere {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [0; 6], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, _: &mut MsgList, _: usize) -> Result<usize, Errno> {
        Ok(0)
    }

    fn send(&mut self, _: &mut MsgList) -> Result<(), Errno> {
        Ok(())
    }
}
