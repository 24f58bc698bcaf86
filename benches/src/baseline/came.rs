//! came: what has come for a socket of an engine and was not yet shown to its program.

use super::channel::PIECES;
use super::engine::Give;
use millstream_core::{Errno, tpi};
use millstream_msg::{Msg, MsgList, Pool};

/// Data in order, and how they ended.
#[derive(Debug, Default)]
pub(super) struct Came {
    data: MsgList,
    /// Nothing comes behind them.
    end: Option<Result<(), Errno>>,
}

impl Came {
    /// Has fewer than `most` bytes, and may get more.
    pub(super) fn wants(&self, most: usize) -> bool {
        self.end.is_none() && (self.data.bytes() as usize) < most
    }

    /// Bytes that were not shown.
    pub(super) fn bytes(&self) -> u32 {
        self.data.bytes()
    }

    /// More data.
    pub(super) fn push(&mut self, data: Msg) {
        self.data.push(data);
    }

    /// What it ended with, unless in order.
    pub(super) fn failure(&self) -> Option<Errno> {
        self.end.and_then(Result::err)
    }

    /// Nothing more comes: in order, or for this error.
    pub(super) fn end(&mut self, end: Result<(), Errno>) {
        self.end = Some(end);
    }

    /// A word of the connection, which may be its end.
    pub(super) fn note(&mut self, word: &[u8]) {
        match tpi::primitive(word) {
            Some(tpi::T_ORDREL_IND) => self.end(Ok(())),
            Some(tpi::T_DISCON_IND) => {
                let reason = tpi::DisconInd::new(word).map_or(Errno::EPROTO.0, |ind| ind.reason());
                self.end(Err(Errno(reason)));
            }
            _ => {}
        }
    }

    /// Shows at most so many bytes, and takes them; 0 at the end.
    ///
    /// # Errors
    /// EAGAIN while there are none; what the connection ended with.
    pub(super) fn show(
        &mut self,
        pool: &mut Pool,
        most: usize,
        give: Give<'_>,
    ) -> Result<usize, Errno> {
        if self.data.is_empty() {
            return self.end.unwrap_or(Err(Errno::EAGAIN)).map(|()| 0);
        }
        let mut pieces = [&[][..]; PIECES];
        let (mut count, mut shown) = (0, 0);
        let blocks = self.data.iter().flat_map(Msg::blocks);
        for block in blocks.filter_map(|block| block.as_slice()) {
            if count == PIECES || shown == most {
                break;
            }
            let piece = &block[..block.len().min(most - shown)];
            pieces[count] = piece;
            (count, shown) = (count + 1, shown + piece.len());
        }
        give(&pieces[..count]);
        let mut left = shown;
        while let Some(mut msg) = self.data.pop() {
            if msg.len() > left {
                msg.trim_front(left);
                self.data.push_front(msg);
                break;
            }
            left -= msg.len();
            pool.free(msg);
        }
        Ok(shown)
    }

    /// Nobody wants them.
    pub(super) fn free(self, pool: &mut Pool) {
        for msg in self.data {
            pool.free(msg);
        }
    }
}
