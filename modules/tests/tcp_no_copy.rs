//! Payload stays where the application has put it: from putmsg at one host through segments,
//! retransmissions and data out of order to getmsg at the other, no octet is touched.

mod hand;

use hand::Two;
use millstream_msg::Msg;
use millstream_msg::offload::Can;
use millstream_rig::ms;

impl Two {
    /// An owned message of host 0, of blocks of this size.
    fn message(&mut self, size: usize) -> Msg {
        let mut whole: Option<Msg> = None;
        for n in 0..60_000 / size {
            let block = self.hosts[0].p.pool().copy_from(0, &vec![n as u8; size]).unwrap();
            match &mut whole {
                Some(whole) => whole.link(block),
                None => whole = Some(block),
            }
        }
        whole.unwrap()
    }

    /// Sends owned messages of blocks of this size, and compares where their octets are when they
    /// have come.
    fn transfer(&mut self, messages: usize, size: usize) {
        let all: Vec<Msg> = (0..messages).map(|_| self.message(size)).collect();
        let places: Vec<usize> = all.iter().flat_map(octets).collect();
        let len = places.len();
        let copied = [0, 1].map(|n| self.hosts[n].copied());
        for msg in all {
            self.hosts[0].p.putmsg(self.ends[0], msg).map_err(|(errno, _)| errno).unwrap();
        }
        let mut came = Vec::new();
        let mut held = Vec::new();
        for _ in 0..3_000 {
            self.pass(ms(1));
            while let Ok(Some(got)) = self.hosts[1].p.getmsg(self.ends[1]) {
                let data = got.data.expect("only data");
                came.extend(octets(&data));
                held.push(data);
            }
            if came.len() >= len {
                break;
            }
        }
        assert_eq!(came.len(), len);
        assert!(came == places, "octets have moved");
        for msg in held {
            self.hosts[1].p.pool().free(msg);
        }
        assert_eq!([0, 1].map(|n| self.hosts[n].copied()), copied);
    }

    /// When all is acknowledged, every cell is back.
    fn finish(mut self) {
        for n in 0..2 {
            self.hosts[n].p.close(self.ends[n]).unwrap();
        }
        self.pass(ms(1_000));
        for host in &mut self.hosts {
            let stats = host.p.pool().stats();
            assert_eq!((stats.large.out, stats.bare.out), (0, 0));
        }
    }
}

/// Where each octet of a message is.
fn octets(msg: &Msg) -> Vec<usize> {
    msg.blocks().flat_map(|b| (0..b.len()).map(move |n| b.as_ptr() as usize + n)).collect()
}

#[test]
fn super_segments_are_windows_on_the_blocks_of_the_application() {
    let mut two = Two::new(Can::ALL);
    for _ in 0..5 {
        two.transfer(4, LARGE);
    }
    assert!(two.sent < 100, "{} frames for 1.2 MB", two.sent);
    two.finish();
}

#[test]
fn so_are_plain_segments_without_offloads_except_for_their_checksums() {
    let mut two = Two::new(Can { csum: true, ..Can::NOTHING });
    two.transfer(2, LARGE);
    assert!(two.sent >= 120_000 / 1460, "{} frames", two.sent);
    two.finish();
}

#[test]
fn so_are_retransmissions_and_what_waits_out_of_order() {
    let mut two = Two::new(Can { csum: true, ..Can::NOTHING });
    // Blocks of a frame each: what waits is not copied to save memory either.
    two.transfer(1, FRAME);
    let next = two.sent + 1;
    two.lost = vec![next + 3, next + 4, next + 9, next + 20];
    two.transfer(2, FRAME);
    assert!(two.sent > next + 20, "the losses have happened");
    two.finish();
}

#[test]
fn the_other_direction_is_no_other() {
    let mut two = Two::new(Can::ALL);
    two.hosts.swap(0, 1);
    two.ends.swap(0, 1);
    two.transfer(4, LARGE);
    two.finish();
}

const LARGE: usize = 30_000;
const FRAME: usize = 1_500;
