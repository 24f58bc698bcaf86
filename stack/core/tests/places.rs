//! Places in a queue: insq, rmvq and strqget, as a module uses them (C5, C7, C11).

use millstream_core::{Cx, Invalid, Marks, ModInfo, Module, QueueView, Side};
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::Rig;
use std::sync::{Arc, Mutex};

/// Holds what goes up until told; `set` runs one operation on the read queue.
#[derive(Default)]
struct Shelf {
    seen: Arc<Mutex<Option<QueueView>>>,
}

impl Module for Shelf {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo {
            rsrv: true,
            read: Marks { hiwat: 10, lowat: 4, ..Marks::DEFAULT },
            ..ModInfo::new("shelf", "for tests")
        };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    /// Nothing by itself: `set go` empties the queue.
    fn rsrv(&mut self, _: &mut Cx<'_>) {}

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        let (place, rest) = value.split_once(' ').unwrap_or((value, ""));
        let place: Option<usize> = place.parse().ok();
        match key {
            "insert" => {
                let mut msg = cx.pool().copy_from(0, &rest.as_bytes()[1..]).expect("memory");
                match rest.as_bytes()[0] {
                    b'h' => msg.set_kind(Kind::PcProto),
                    band => msg.set_band(Band(band - b'0')),
                }
                cx.insq(Side::Read, place, msg).map_err(|msg| {
                    cx.free(msg);
                    Invalid("out of order".into())
                })
            }
            "remove" => match cx.rmvq(Side::Read, place.expect("a place")) {
                Some(msg) => {
                    cx.put(Side::Read, msg);
                    Ok(())
                }
                None => Err(Invalid("no such place".into())),
            },
            "look" => {
                let band = Band(place.expect("a band") as u8);
                *self.seen.lock().expect("one thread") = cx.queue_view(Side::Read, band);
                Ok(())
            }
            "marks" => {
                let hiwat = place.expect("a mark") as u32;
                cx.set_marks(Side::Read, Marks { hiwat, lowat: hiwat / 2, ..Marks::DEFAULT });
                Ok(())
            }
            "go" => {
                while let Some(msg) = cx.getq_on(Side::Read) {
                    cx.put(Side::Read, msg);
                }
                Ok(())
            }
            _ => Err(Invalid::unknown(key)),
        }
    }
}

fn shelf(texts: &[&[u8]]) -> Rig {
    let mut rig = Rig::new(Box::new(Shelf::default()));
    for text in texts {
        rig.up(text);
    }
    rig
}

#[test]
fn c5_insq_puts_a_message_before_the_one_at_a_place() {
    let mut rig = shelf(&[b"a", b"c"]);
    rig.set("insert", "1 0b").expect("the same band");
    rig.set("go", "").expect("known");
    assert_eq!(rig.above_bytes(), [b"a", b"b", b"c"]);
}

#[test]
fn c5_insq_without_a_place_appends() {
    let mut rig = shelf(&[b"a"]);
    rig.set("insert", "end 0b").expect("the end");
    rig.set("go", "").expect("known");
    assert_eq!(rig.above_bytes(), [b"a", b"b"]);
}

#[test]
fn c5_insq_refuses_what_would_break_the_order_and_gives_the_message_back() {
    let mut rig = shelf(&[b"a", b"b"]);
    rig.set("insert", "1 3x").expect_err("a band between messages of band 0");
    rig.set("insert", "end hx").expect_err("high priority behind ordinary");
    rig.set("insert", "0 hh").expect("high priority in front");
    rig.set("insert", "0 0x").expect_err("ordinary before high priority");
    rig.set("insert", "7 0x").expect_err("no such place");
    rig.set("go", "").expect("known");
    assert_eq!(rig.above_bytes(), [b"h", b"a", b"b"]);
    rig.finish();
}

#[test]
fn c7_rmvq_takes_a_message_out_of_the_middle() {
    let mut rig = shelf(&[b"a", b"b", b"c"]);
    rig.set("remove", "1").expect("a message");
    rig.set("remove", "2").expect_err("two are left");
    rig.set("go", "").expect("known");
    assert_eq!(rig.above_bytes(), [b"b", b"a", b"c"]);
}

#[test]
fn c7_rmvq_calls_writers_back_as_getq_does() {
    let mut rig = shelf(&[b"12345", b"67890"]);
    assert!(!rig.room(Side::Read), "10 bytes are the high water mark");
    rig.set("remove", "0").expect("a message");
    assert_eq!(rig.woken(Side::Read), 0, "5 bytes are above the low water mark");
    rig.set("remove", "0").expect("a message");
    assert_eq!(rig.woken(Side::Read), 1);
}

#[test]
fn c11_a_module_reads_marks_and_counts_of_its_queue_by_band() {
    let seen = Arc::default();
    let mut rig = Rig::new(Box::new(Shelf { seen: Arc::clone(&seen) }));
    rig.up(b"12345");
    let mut urgent = rig.msg(b"678901234567");
    urgent.set_band(Band(2));
    rig.put(Side::Read, urgent);
    let mut look = |band: &str| {
        rig.set("look", band).expect("known");
        seen.lock().expect("one thread").expect("a queue")
    };
    let (normal, second, unused) = (look("0"), look("2"), look("9"));
    assert_eq!((normal.bytes, normal.msgs, normal.full), (5, 1, false));
    assert_eq!((second.bytes, second.msgs, second.full), (12, 1, true));
    assert_eq!((unused.bytes, unused.msgs, unused.full), (0, 0, false));
    assert_eq!((normal.held, normal.marks.hiwat, normal.marks.lowat), (2, 10, 4));
    rig.set("marks", "100").expect("known");
    rig.set("look", "2").expect("known");
    let raised = seen.lock().expect("one thread").expect("a queue");
    assert_eq!((raised.marks.hiwat, raised.full), (100, false));
}
