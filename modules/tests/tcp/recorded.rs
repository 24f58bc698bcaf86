//! Conversations of two Linux kernels, one of whose places tcp takes: the other's segments come as
//! they were recorded (`modules/tests/kernel/record.py`), with the numbers of both ends translated,
//! and what tcp sends must be acceptable at each step. The user does what the program did there.

use crate::kit::*;
use std::net::Ipv4Addr;

/// The kernel whose segments come.
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// An acknowledgement is due by then, in milliseconds (RFC 9293 section 3.8.6.3).
const ACK_WITHIN: u64 = 500;

/// One segment of a recording.
#[derive(Clone, Debug)]
struct Frame {
    /// Milliseconds since the first.
    at: u64,
    of_kernel: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    urgent: u16,
    len: u32,
    options: Vec<u8>,
}

fn frames(file: &[u8]) -> Vec<Frame> {
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a recording of tcpdump");
    let le = |bytes: &[u8]| u32::from_le_bytes(*bytes.first_chunk().unwrap());
    let (mut rest, mut all, mut first) = (&file[24..], Vec::new(), None);
    while let Some((head, behind)) = rest.split_at_checked(16) {
        let us = u64::from(le(head)) * 1_000_000 + u64::from(le(&head[4..]));
        let (packet, next) = behind.split_at(le(&head[8..]) as usize);
        rest = next;
        let at = (us - *first.get_or_insert(us)) / 1000;
        all.push(frame(at, &packet[14..]));
    }
    all
}

fn frame(at: u64, ip: &[u8]) -> Frame {
    let half = |bytes: &[u8]| u16::from_be_bytes(*bytes.first_chunk().unwrap());
    let word = |bytes: &[u8]| u32::from_be_bytes(*bytes.first_chunk().unwrap());
    let tcp = &ip[usize::from(ip[0] & 15) * 4..];
    let header = usize::from(tcp[12] >> 4) * 4;
    Frame {
        at,
        of_kernel: ip[12..16] == KERNEL.octets(),
        seq: word(&tcp[4..]),
        ack: word(&tcp[8..]),
        flags: tcp[13],
        window: half(&tcp[14..]),
        urgent: half(&tcp[18..]),
        len: u32::from(half(&ip[2..])) - (ip.len() - tcp.len() + header) as u32,
        options: tcp[20..header].to_vec(),
    }
}

/// A recording on its way through tcp.
struct Replay {
    t: T,
    /// First numbers of the recording: of the kernel, and of the end that tcp stands in for.
    kernel: u32,
    other: u32,
    /// Behind what the kernel has sent without a gap, and when.
    sent: u32,
    due: Vec<(u64, u32)>,
    /// What came beyond a gap.
    beyond: Vec<(u32, u32)>,
    /// What tcp has acknowledged, and the kernel.
    acked: u32,
    kernel_acked: u32,
    /// Acknowledgements of what tcp had not sent yet.
    early: usize,
    shut: bool,
}

impl Replay {
    fn of(file: &[u8]) -> Self {
        let all = frames(file);
        let syn = |of_kernel| all.iter().find(|f| f.of_kernel == of_kernel && f.flags & SYN != 0);
        let (kernel, other) = (syn(true).expect("a SYN").seq, syn(false).expect("a SYN").seq);
        let opens = !all[0].of_kernel;
        let mut t = if opens { T::new() } else { T::listening() };
        t.p().iss = kernel;
        let start = t.ms();
        if opens {
            t.connect();
        }
        let (due, beyond) = (Vec::new(), Vec::new());
        let mut replay = Self {
            t,
            kernel,
            other,
            sent: 0,
            due,
            beyond,
            acked: 0,
            kernel_acked: 0,
            early: 0,
            shut: false,
        };
        let mut taken = opens;
        for frame in &all {
            replay.go_to(start + frame.at);
            if frame.of_kernel {
                replay.comes(frame);
            } else {
                replay.does(frame);
            }
            let calls = replay.t.users[replay.t.user].events.iter();
            if !taken && calls.clone().any(|event| matches!(event, Event::Calls(..))) {
                replay.t.accept();
                taken = true;
            }
        }
        replay.go_to(replay.t.ms() + ACK_WITHIN);
        replay
    }

    /// Time passes; what tcp sends meanwhile is acceptable.
    fn go_to(&mut self, at: u64) {
        while self.t.ms() < at {
            self.t.advance(1);
            self.look();
        }
        self.look();
        let late = self.due.iter().find(|(when, end)| when + ACK_WITHIN < at && *end > self.acked);
        assert_eq!(late, None, "not acknowledged for long, only {}", self.acked);
    }

    /// The kit looks at each segment by itself; here, what follows from the conversation.
    fn look(&mut self) {
        for sent in self.t.sent_now() {
            assert!(!sent.has(RST), "nobody breaks the connection: {sent:?}");
            let old = sent.len() > 0 && sent.end() <= self.kernel_acked;
            assert!(!old, "sent again, though acknowledged: {sent:?}");
            assert!(sent.ack <= self.sent, "acknowledges what did not come: {sent:?}");
            self.acked = self.acked.max(sent.ack);
        }
    }

    /// A segment of the kernel comes.
    fn comes(&mut self, frame: &Frame) {
        let (seq, len) = (frame.seq.wrapping_sub(self.kernel), frame.len);
        let mut seg = seg().seq(seq).len(len as usize).win(frame.window);
        seg.flags = frame.flags;
        seg.mask = 0xff;
        seg.urgent = (frame.flags & URG != 0).then_some(frame.urgent);
        if frame.flags & ACK != 0 {
            let ack = frame.ack.wrapping_sub(self.other);
            let most = self.t.p().host_max;
            self.early += usize::from(ack > most);
            seg.ack = Some(ack.min(most));
            self.kernel_acked = self.kernel_acked.max(ack.min(most));
        }
        self.take_options(frame, &mut seg);
        let space = len + u32::from(frame.flags & SYN != 0) + u32::from(frame.flags & FIN != 0);
        self.beyond.push((seq, seq.wrapping_add(space)));
        while let Some(at) =
            self.beyond.iter().position(|(from, to)| *from <= self.sent && *to > self.sent)
        {
            self.sent = self.beyond.swap_remove(at).1;
        }
        self.due.push((self.t.ms(), self.sent));
        self.t.inject(seg);
        self.look();
    }

    fn take_options(&mut self, frame: &Frame, seg: &mut Seg) {
        let word = |bytes: &[u8]| u32::from_be_bytes(*bytes.first_chunk().unwrap());
        let (most, echo) = (self.t.p().host_max, self.t.p().ts_recent);
        let mut rest = &frame.options[..];
        while let [kind, behind @ ..] = rest {
            let len = if *kind == 1 { 1 } else { usize::from(behind[0]) };
            let value = if len > 2 { &rest[2..len] } else { &[] };
            match kind {
                2 => seg.mss = Some(u16::from_be_bytes(*value.first_chunk().unwrap())),
                3 => seg.wscale = Some(value[0]),
                4 => seg.sack_ok = true,
                5 => {
                    let number = |bytes| word(bytes).wrapping_sub(self.other);
                    let blocks = value.chunks(8).map(|block| (number(block), number(&block[4..])));
                    seg.sacks = Some(blocks.filter(|(_, end)| *end <= most).collect());
                }
                8 => {
                    let answers = frame.flags & ACK != 0;
                    seg.ts = Ts::Are(word(value), if answers { echo } else { 0 });
                }
                _ => {}
            }
            rest = &rest[len..];
        }
    }

    /// The program at the end that tcp stands in for did this.
    fn does(&mut self, frame: &Frame) {
        let seq = frame.seq.wrapping_sub(self.other);
        let end = seq.wrapping_add(frame.len).wrapping_sub(1) as usize;
        let written = self.t.users[self.t.user].written;
        if frame.len > 0 && end > written {
            self.t.write(end - written);
        }
        if frame.flags & FIN != 0 && !std::mem::replace(&mut self.shut, true) {
            self.t.shutdown();
        }
        self.look();
    }

    /// All that the kernel has sent came up, and all that was written was acknowledged.
    #[track_caller]
    fn came(&mut self, octets: usize, written: usize) {
        let mut got = Vec::new();
        let events = &mut self.t.users[self.t.user].events;
        events.retain(|event| match event {
            Event::Data(bytes) | Event::Urgent(bytes) => {
                got.extend_from_slice(bytes);
                false
            }
            _ => true,
        });
        assert!(got == pattern_of(0, octets), "{} octets came, {octets} are due", got.len());
        assert_eq!(self.t.users[self.t.user].written, written);
        assert!(self.kernel_acked as usize > written, "the kernel has {}", self.kernel_acked);
    }

    #[track_caller]
    fn ends_in(&mut self, state: State) {
        self.t.expect_state(state);
        assert!(
            self.acked >= self.sent,
            "the end is acknowledged: {} of {}",
            self.acked,
            self.sent
        );
    }
}

macro_rules! recording {
    ($name:literal) => {
        Replay::of(include_bytes!(concat!("../kernel/", $name, ".pcap")))
    };
}

#[test]
fn recorded_kernel_asks_and_is_answered() {
    let mut replay = recording!("request");
    replay.came(100, 3000);
    assert_eq!(replay.early, 0);
}

#[test]
fn recorded_kernel_sends_much() {
    let mut replay = recording!("bulk_in");
    replay.came(60_000, 0);
}

#[test]
fn recorded_kernel_takes_much() {
    let mut replay = recording!("bulk_out");
    replay.came(0, 60_000);
}

#[test]
fn recorded_kernel_sends_over_a_line_that_loses() {
    let mut replay = recording!("loss_in");
    replay.came(80_000, 0);
}

#[test]
fn recorded_kernel_takes_over_a_line_that_loses() {
    let mut replay = recording!("loss_out");
    replay.came(0, 80_000);
}

#[test]
fn recorded_kernel_sends_over_a_line_that_reorders() {
    let mut replay = recording!("reordering");
    replay.came(80_000, 0);
}

#[test]
fn recorded_kernel_closes_its_window_and_opens_it() {
    let mut replay = recording!("window_full");
    replay.came(0, 20_000);
}

#[test]
fn recorded_kernel_sends_urgent_data() {
    let mut replay = recording!("urgent");
    replay.came(1001, 0);
}

#[test]
fn recorded_kernel_ends_first_and_goes_on_taking() {
    let mut replay = recording!("half_close");
    replay.came(700, 20_000);
}

#[test]
fn recorded_kernel_closes_at_the_same_time() {
    let mut replay = recording!("both_close");
    replay.came(10, 10);
    replay.ends_in(State::TimeWait);
}

#[test]
fn recorded_kernel_opens_at_the_same_time() {
    let mut replay = recording!("both_open");
    replay.came(10, 0);
}

#[test]
fn recorded_kernel_keeps_a_connection_alive() {
    let mut replay = recording!("keepalive");
    replay.came(10, 0);
}

#[test]
fn recorded_kernel_resets() {
    let mut replay = recording!("reset");
    let broken = replay.t.users[replay.t.user].events.pop_back();
    assert_eq!(broken, Some(Event::Broken(ECONNRESET, -1)));
}

#[test]
fn recorded_kernel_and_we_send_single_octets() {
    let mut replay = recording!("small_pieces");
    replay.came(20, 20);
    assert_eq!(replay.early, 0);
}
