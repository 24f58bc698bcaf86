//! Options in T_OPTMGMT primitives: records of a header (`T_opthdr`: length of all, level, name,
//! status) and a value, each beginning at a multiple of 4 bytes.

use super::{Malformed, word};

/// Bytes of the header of a record.
pub const HEADER_LEN: usize = 16;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Protocol that the option belongs to.
    pub level: i32,
    /// Number of the option in its level.
    pub name: i32,
    /// In answers: how it went.
    pub status: i32,
    /// The value; how it is read depends on the option.
    pub value: &'a [u8],
}

impl Record<'_> {
    /// The value as a word; `None` when it is shorter.
    pub fn word(&self) -> Option<i32> {
        word(self.value, 0)
    }
}

/// The records of an option part, first to last. Ends behind the first one that is malformed.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// Records in the bytes of an option part.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = core::mem::take(&mut self.0);
        let field = |at| word(bytes, at).ok_or(Malformed::Options);
        let read = || {
            let len = usize::try_from(field(0)?).map_err(|_| Malformed::Options)?;
            let value = bytes.get(HEADER_LEN..len).ok_or(Malformed::Options)?;
            let record = Record { level: field(4)?, name: field(8)?, status: field(12)?, value };
            Ok((record, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
        };
        Some(read().map(|(record, rest)| {
            self.0 = rest;
            record
        }))
    }
}
