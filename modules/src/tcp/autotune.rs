//! Buffers that grow to what a connection can use: the receiver's with the pace at which its user
//! reads, the sender's with the congestion window. They never shrink.

use super::seq::Seq;

/// What a user reads in a round trip (dynamic right-sizing; Fisk and Feng, 2001), of which the
/// receive buffer holds twice as much and more while it grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// The round trip as a receiver sees it, microseconds; 0: not known.
    rtt_us: u32,
    /// The window that is measured ends here and began then.
    window_end: Seq,
    window_at_us: u32,
    /// The user had read this when the measurement began, then.
    read: Seq,
    read_at_us: u32,
    /// Octets of the best round trip.
    best: u32,
}

impl Reader {
    /// A connection stands: `next` is the first octet of data, `window` what was announced, and
    /// `rtt_us` the round trip of the handshake, 0 without one.
    pub fn new(next: Seq, window: u32, rtt_us: u32, now: u64) -> Self {
        let now_us = us(now);
        let window_end = next.add(window);
        Self {
            rtt_us,
            window_end,
            window_at_us: now_us,
            read: next,
            read_at_us: now_us,
            best: FIRST_WINDOW,
        }
    }

    /// Data came: the next octet is `next`, and `window` octets may follow. A window takes a
    /// round trip or more to arrive, so the shortest time counts.
    pub fn arrived(&mut self, next: Seq, window: u32, now: u64) {
        if next.before(self.window_end) {
            return;
        }
        let took = us(now).wrapping_sub(self.window_at_us).max(1);
        if self.rtt_us == 0 || took < self.rtt_us {
            self.rtt_us = took;
        }
        (self.window_end, self.window_at_us) = (next.add(window), us(now));
    }

    /// The round trip as a receiver sees it, microseconds, and the most octets of one.
    pub const fn figures(&self) -> (u32, u32) {
        (self.rtt_us, self.best)
    }

    /// The user has read all before `read`. Returns the size that the buffer of `buffer` octets
    /// should have: at least that.
    pub fn read(&mut self, read: Seq, buffer: u32, mss: u32, now: u64) -> u32 {
        let took = us(now).wrapping_sub(self.read_at_us);
        // What waits above may count for more than its octets: then less seems read than before.
        if self.rtt_us == 0 || took < self.rtt_us || !read.after(self.read) {
            return buffer;
        }
        // What was read is heard of late, when half of a buffer is empty: per round trip, then.
        let octets = u64::from(read.since(self.read)) * u64::from(self.rtt_us) / u64::from(took);
        let octets = octets.min(RECEIVE_MAX.into()) as u32;
        (self.read, self.read_at_us) = (read, us(now));
        if octets <= self.best {
            return buffer;
        }
        // The sender doubles its window in the next round trip; what it grew by is added twice,
        // so that the buffer is ahead of it (tcp_rcv_space_adjust of Linux).
        let double = 2 * u64::from(octets) + 16 * u64::from(mss);
        let growth = double * u64::from(octets - self.best) / u64::from(self.best);
        self.best = octets;
        let wanted = (double + 2 * growth).min(RECEIVE_MAX.into()) as u32;
        wanted.max(buffer)
    }
}

/// The size that a send buffer of `buffer` octets should have: two congestion windows, one under
/// way and one for the application to write while its acknowledgements come.
pub const fn send_buffer(buffer: u32, cwnd: u32) -> u32 {
    let wanted = cwnd.saturating_mul(2);
    let wanted = if wanted < SEND_MAX { wanted } else { SEND_MAX };
    if wanted > buffer { wanted } else { buffer }
}

/// Microseconds, wrapping.
const fn us(now: u64) -> u32 {
    (now / 1_000) as u32
}

/// What a receive buffer has at first (`tcp_rmem[1]` of Linux).
pub const RECEIVE_FIRST: u32 = 131_072;

/// What it has at most (`tcp_rmem[2]`): 6 MiB, 480 Mbit/s over 100 ms.
pub const RECEIVE_MAX: u32 = 6 << 20;

/// What a send buffer has at first: a few writes of a program, and more than IW10.
pub const SEND_FIRST: u32 = 131_072;

/// What it has at most (`tcp_wmem[2]`).
pub const SEND_MAX: u32 = 4 << 20;

/// IW10 of Ethernet's segments: a reader that takes no more needs no larger buffer.
const FIRST_WINDOW: u32 = 14_600;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const MSS: u32 = 1460;

    /// A sender in slow start, limited by the path, by the window and by the reader, each in
    /// octets a round trip. Returns the buffer after each.
    fn grows(rtt: u64, path: u32, reader_takes: u32, trips: usize) -> std::vec::Vec<u32> {
        let mut reader = Reader::new(Seq(0), RECEIVE_FIRST, (rtt / 1_000) as u32, 0);
        let (mut now, mut next, mut read) = (0, Seq(0), Seq(0));
        let (mut cwnd, mut buffer) = (10 * MSS, RECEIVE_FIRST);
        let mut sizes = std::vec::Vec::new();
        for _ in 0..trips {
            let unread = next.since(read);
            let sent = cwnd.min(path).min(buffer - unread);
            for _ in 0..4 {
                now += rtt / 4;
                next = next.add(sent / 4);
                reader.arrived(next, buffer - next.since(read), now);
                read = read.add(next.since(read).min(reader_takes / 4));
                buffer = reader.read(read, buffer, MSS, now);
            }
            cwnd = cwnd.saturating_add(sent);
            sizes.push(buffer);
        }
        sizes
    }

    #[test]
    fn the_buffer_follows_slow_start_to_twice_the_path() {
        let path = 1_000_000;
        let sizes = grows(100 * MS, path, u32::MAX, 15);
        assert!(sizes[14] >= 2 * path && sizes[14] <= RECEIVE_MAX, "{sizes:?}");
        // The sender is never held back for long: slow start needs 7 round trips.
        assert!(sizes[8] >= path, "{sizes:?}");
    }

    #[test]
    fn a_fast_path_ends_at_the_limit() {
        assert_eq!(grows(100 * MS, u32::MAX, u32::MAX, 20)[19], RECEIVE_MAX);
    }

    #[test]
    fn a_slow_reader_and_a_slow_path_do_not_grow() {
        let slow_reader = grows(20 * MS, u32::MAX, 10_000, 50);
        let slow_path = grows(20 * MS, 10_000, u32::MAX, 50);
        assert_eq!((slow_reader[49], slow_path[49]), (RECEIVE_FIRST, RECEIVE_FIRST));
    }

    #[test]
    fn nothing_is_concluded_before_a_round_trip_is_known_or_over() {
        let mut reader = Reader::new(Seq(0), RECEIVE_FIRST, 0, 0);
        assert_eq!(reader.read(Seq(1 << 20), 1 << 17, MSS, 5 * MS), 1 << 17);
        reader.rtt_us = 10_000;
        assert_eq!(reader.read(Seq(1 << 20), 1 << 17, MSS, 9 * MS), 1 << 17);
        assert!(reader.read(Seq(1 << 20), 1 << 17, MSS, 10 * MS) > 1 << 21);
    }

    #[test]
    fn a_reader_who_seems_to_go_back_says_nothing() {
        let mut reader = Reader::new(Seq(100), RECEIVE_FIRST, 10_000, 0);
        assert_eq!(reader.read(Seq(50), RECEIVE_FIRST, MSS, 100 * MS), RECEIVE_FIRST);
        let most = reader.read(Seq(50).sub(1 << 31).sub(1), RECEIVE_FIRST, MSS, 110 * MS);
        assert_eq!(most, RECEIVE_MAX);
    }

    #[test]
    fn what_is_told_late_counts_by_the_round_trip() {
        let mut reader = Reader::new(Seq(0), RECEIVE_FIRST, 10_000, 0);
        let told = reader.read(Seq(100_000), RECEIVE_FIRST, MSS, 100 * MS);
        assert_eq!(told, RECEIVE_FIRST, "10,000 octets in each of ten round trips");
    }

    #[test]
    fn the_shortest_time_of_a_window_is_the_round_trip() {
        let mut reader = Reader::new(Seq(0), 1000, 0, 0);
        reader.arrived(Seq(999), 1000, MS);
        assert_eq!(reader.rtt_us, 0);
        reader.arrived(Seq(1000), 1000, 8 * MS);
        reader.arrived(Seq(2000), 1000, 12 * MS);
        reader.arrived(Seq(3000), 1000, 32 * MS);
        assert_eq!(reader.rtt_us, 4_000);
    }

    #[test]
    fn the_send_buffer_is_two_congestion_windows() {
        assert_eq!(send_buffer(SEND_FIRST, 14_600), SEND_FIRST);
        assert_eq!(send_buffer(SEND_FIRST, 100_000), 200_000);
        assert_eq!(send_buffer(300_000, 100_000), 300_000, "it never shrinks");
        assert_eq!(send_buffer(SEND_FIRST, u32::MAX), SEND_MAX);
    }
}
