//! M_SETOPTS at its destination: options take effect as the message arrives (E70, E71).

use crate::errno::Errno;
use crate::head::Head;
use crate::module::{Drop, Marks};
use crate::net::{Net, QueueNo, queue_no};
use crate::queue::Side;
use crate::setopts::SetOptions;
use millstream_msg::{Band, Msg};

impl Head {
    pub(super) fn set_options(&mut self, net: &mut Net, node: u32, pair: u32, msg: Msg) {
        let asked = SetOptions::parse(msg.first());
        match asked.and_then(|asked| self.apply(net, queue_no(pair, Side::Read), asked)) {
            Ok(()) => net.pool.free(msg),
            Err(_) => net.discard(node, msg, BAD_OPTIONS),
        }
    }

    /// All of them or none.
    fn apply(&mut self, net: &mut Net, queue: QueueNo, asked: SetOptions) -> Result<(), Errno> {
        let number = |number: Option<u16>| number.map(u32::from);
        let mut read = self.read_options;
        if let Some(number) = number(asked.read) {
            read = read.changed(number)?;
        }
        let mut errors = self.error_options;
        if let Some(number) = number(asked.errors) {
            errors = errors.changed(number)?;
        }
        (self.read_options, self.error_options) = (read, errors);
        self.write_offset = asked.write_offset.unwrap_or(self.write_offset);
        let band = asked.band.unwrap_or(Band(0));
        let now = net.marks_of(queue, band);
        let marks = Marks {
            hiwat: asked.hiwat.unwrap_or(now.hiwat),
            lowat: asked.lowat.unwrap_or(now.lowat),
            ..now
        };
        net.set_marks_of(queue, band, marks);
        // Sizes are the queue's whatever the band is, and of the read side: writes are cut by
        // what is below (E71).
        let now = net.marks_of(queue, Band(0));
        let sizes = Marks {
            minpsz: asked.minpsz.unwrap_or(now.minpsz),
            maxpsz: asked.maxpsz.unwrap_or(now.maxpsz),
            ..now
        };
        net.set_marks_of(queue, Band(0), sizes);
        Ok(())
    }
}

/// Too short, or asks for what cannot be.
const BAD_OPTIONS: Drop = Drop("malformed options");
