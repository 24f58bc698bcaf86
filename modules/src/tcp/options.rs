//! Options of a header: read from a segment that came, written into one that goes.

use super::{Range, Seq};

/// Options that we know. What is unknown was skipped by its length; what is malformed ends the
/// list (RFC 9293 MUST-4 to MUST-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Largest payload that the sender takes, octets. Only in a SYN.
    pub mss: Option<u16>,
    /// Shift of the windows that the sender will announce (RFC 7323), as it stands there. Only in
    /// a SYN.
    pub window_scale: Option<u8>,
    /// The sender takes SACK blocks (RFC 2018). Only in a SYN.
    pub sack_permitted: bool,
    /// Value and echo (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
    /// The first `sack_count` are blocks that the sender has (RFC 2018), unchecked.
    sacks: [Range; SACKS_MAX],
    sack_count: u8,
}

impl Options {
    /// Reads the options of a header.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        // What nearly every segment has: two NOPs and timestamps.
        if let [NOP, NOP, TIMESTAMPS, 10, value @ ..] = bytes
            && let Ok(value) = <&[u8; 8]>::try_from(value)
        {
            options.timestamps = Some(pair(value));
            return options;
        }
        while let [kind, rest @ ..] = bytes {
            match *kind {
                END => break,
                NOP => bytes = rest,
                kind => {
                    let Some((&len, _)) = rest.split_first() else { break };
                    let Some(value) = bytes.get(2..usize::from(len)) else { break };
                    options.take(kind, value);
                    bytes = &bytes[usize::from(len)..];
                }
            }
        }
        options
    }

    /// Those of every segment.
    pub fn stamped(timestamps: Option<(u32, u32)>) -> Self {
        Self { timestamps, ..Self::default() }
    }

    /// Those of a SYN.
    pub fn of_syn(
        mss: u16,
        window_scale: Option<u8>,
        sack_permitted: bool,
        timestamps: Option<(u32, u32)>,
    ) -> Self {
        let mss = Some(mss);
        Self { mss, window_scale, sack_permitted, timestamps, ..Self::default() }
    }

    /// Blocks that the sender has, unchecked.
    pub fn sacks(&self) -> &[Range] {
        &self.sacks[..usize::from(self.sack_count)]
    }

    /// Adds a block, if there is a place for it.
    pub fn add_sack(&mut self, block: Range) {
        if let Some(place) = self.sacks.get_mut(usize::from(self.sack_count)) {
            *place = block;
            self.sack_count += 1;
        }
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, value) => {
                if let Ok(value) = value.try_into() {
                    self.timestamps = Some(pair(value));
                }
            }
            (SACK, value) if value.len() % 8 == 0 => {
                for block in value.chunks_exact(8) {
                    if let Ok(block) = block.try_into() {
                        let (start, end) = pair(block);
                        self.add_sack(Range::new(Seq(start), Seq(end)));
                    }
                }
            }
            _ => {}
        }
    }

    /// Writes them, padded to words; their length. SACK blocks that find no place are left out,
    /// the last first.
    pub fn write(&self, out: &mut [u8; OPTIONS_MAX]) -> usize {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put(&[MSS, 4, a, b]);
        }
        match (self.sack_permitted, self.timestamps.is_some()) {
            (true, true) => put(&[SACK_PERMITTED, 2]),
            (true, false) => put(&[NOP, NOP, SACK_PERMITTED, 2]),
            (false, true) => put(&[NOP, NOP]),
            (false, false) => {}
        }
        if let Some((value, echo)) = self.timestamps {
            put(&[TIMESTAMPS, 10]);
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            put(&[NOP, WINDOW_SCALE, 3, shift]);
        }
        let room = if self.timestamps.is_some() { SACKS_MAX - 1 } else { SACKS_MAX };
        let sacks = &self.sacks()[..self.sacks().len().min(room)];
        if !sacks.is_empty() {
            put(&[NOP, NOP, SACK, 2 + 8 * sacks.len() as u8]);
            for block in sacks {
                put(&block.start.0.to_be_bytes());
                put(&block.end.0.to_be_bytes());
            }
        }
        at
    }
}

fn pair(bytes: &[u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *bytes;
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// Bytes of all options of a header.
pub const OPTIONS_MAX: usize = 40;
/// SACK blocks that a header has room for.
pub const SACKS_MAX: usize = 4;
/// Bytes that timestamps take.
pub const TIMESTAMPS_LEN: u16 = 12;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_input_24_length_0_or_1_ends_the_list() {
        for len in [0, 1] {
            let options = Options::parse(&[NOP, 77, len, MSS, 4, 5, 0xb4]);
            assert_eq!(options, Options::default());
        }
    }

    #[test]
    fn bad_input_25_mss_of_a_wrong_length_is_not_read() {
        assert_eq!(Options::parse(&[MSS, 3, 5, NOP]).mss, None);
        assert_eq!(Options::parse(&[MSS, 5, 5, 0, 0]).mss, None);
        assert_eq!(Options::parse(&[MSS, 4, 5]).mss, None);
    }

    #[test]
    fn unknown_options_are_skipped_by_their_length() {
        let options = Options::parse(&[253, 5, 1, 2, 3, MSS, 4, 5, 0xb4]);
        assert_eq!(options.mss, Some(1460));
    }

    #[test]
    fn sack_blocks_that_do_not_fit_beside_timestamps_are_left_out() {
        let mut options = Options { timestamps: Some((1, 2)), ..Options::default() };
        for n in 0..4 {
            options.add_sack(Range::new(Seq(n), Seq(n + 1)));
        }
        let mut out = [0; OPTIONS_MAX];
        let len = options.write(&mut out);
        assert_eq!(len, 40);
        assert_eq!(Options::parse(&out[..len]).sacks(), &options.sacks()[..3]);
    }

    proptest! {
        #[test]
        fn options_are_read_as_they_were_written(
            mss: Option<u16>, shift: Option<u8>, sack: bool, stamps: Option<(u32, u32)>,
            blocks in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..2),
        ) {
            let mut options = Options {
                mss, window_scale: shift, sack_permitted: sack, timestamps: stamps,
                ..Options::default()
            };
            if mss.is_none() && shift.is_none() {
                for (start, end) in blocks {
                    options.add_sack(Range::new(Seq(start), Seq(end)));
                }
            }
            let mut out = [0; OPTIONS_MAX];
            let len = options.write(&mut out);
            prop_assert_eq!(len % 4, 0);
            prop_assert_eq!(Options::parse(&out[..len]), options);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Options::parse(&bytes);
        }
    }
}
