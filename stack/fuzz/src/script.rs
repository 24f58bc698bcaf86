//! Bytes as a script: numbers and pieces taken from the front, zeros when there are no more.

/// What is left of the bytes.
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    /// Nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Two bytes.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        front
    }

    /// A length and so many bytes.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.take(len)
    }
}

/// The one's complement sum of big-endian words, the slow way.
pub fn sum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    words.fold(start, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    }) as u16
}

/// Cells that are not in the pool.
pub fn cells_out(pool: &mut millstream_msg::Pool) -> usize {
    pool.run_deferred();
    let stats = pool.stats();
    let all = [stats.small, stats.frame, stats.large, stats.bare, stats.external];
    all.iter().map(|counts| counts.out).sum()
}

/// All bytes of a message.
pub fn bytes_of(msg: &millstream_msg::Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    assert_eq!(msg.copy_out(0, &mut out), msg.len());
    out
}
