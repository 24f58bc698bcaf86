//! dlpi over one interface: binding, frames both ways, who gets which, the fast path and whole
//! frames, and what happens to requests that are wrong.

use millstream_core::dlpi::{self, Address, State, View, build};
use millstream_core::ioctl::{Cred, IocId, Iocblk};
use millstream_core::{Drop, Errno};
use millstream_modules::dlpi::{Dlpi, DlpiDrop, GROUPS_MAX};
use millstream_msg::{Gso, Kind, Msg, Offload};
use millstream_rig::RigMux;

/// The rig's device.
const US: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const LLDP_GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
const LLDP: u16 = 0x88cc;

struct Link(RigMux);

impl Link {
    fn new(streams: usize) -> Self {
        Self(RigMux::new(Box::new(Dlpi::new()), streams, 1))
    }

    /// Each of so many streams bound to LLDP.
    fn bound(streams: usize) -> Self {
        let mut link = Self::new(streams);
        for stream in 0..streams {
            link.ask(stream, build::bind_req(LLDP));
        }
        link
    }

    fn put(&mut self, stream: usize, primitive: dlpi::Primitive, data: Option<&[u8]>) {
        let mut msg = self.0.msg(primitive.as_bytes());
        msg.set_kind(Kind::Proto);
        if let Some(data) = data {
            let data = self.0.msg(data);
            msg.link(data);
        }
        self.0.put_down(stream, msg);
    }

    /// Sends a request that has one answer.
    fn ask(&mut self, stream: usize, primitive: dlpi::Primitive) -> Vec<u8> {
        self.put(stream, primitive, None);
        let all = self.0.above(stream);
        let [answer] = &all[..] else { panic!("{} answers", all.len()) };
        let number = dlpi::primitive(answer.first()).unwrap();
        assert_eq!(dlpi::kind(number), Some(answer.kind()), "message class");
        answer.first().to_vec()
    }

    fn refused(&mut self, stream: usize, primitive: dlpi::Primitive) -> i32 {
        let answer = self.ask(stream, primitive);
        let refusal = dlpi::ErrorAck::new(&answer).unwrap_or_else(|e| panic!("{e:?} {answer:?}"));
        assert_eq!(Some(refusal.of()), dlpi::primitive(primitive.as_bytes()));
        refusal.dl_errno()
    }

    /// An I_STR ioctl; the type of its answer, and its data.
    fn ioctl(&mut self, stream: usize, cmd: u32, data: &[u8]) -> (Kind, Vec<u8>) {
        let (id, cred) = (IocId(7), Cred::default());
        let count = data.len() as u32;
        let blk = Iocblk { cmd, id, cred, count, rval: 0, error: Errno(0) };
        let mut msg = self.0.msg(&blk.to_bytes());
        msg.set_kind(Kind::Ioctl);
        let data = self.0.msg(data);
        msg.link(data);
        self.0.put_down(stream, msg);
        let all = self.0.above(stream);
        let [answer] = &all[..] else { panic!("{} answers", all.len()) };
        (
            answer.kind(),
            answer.blocks().skip(1).flat_map(|b| b.as_slice().unwrap()).copied().collect(),
        )
    }

    /// What came up a stream: number and data of primitives, all of M_DATA.
    fn got(&mut self, stream: usize) -> Vec<(Option<i32>, Vec<u8>)> {
        let all = self.0.above(stream);
        let split = |msg: &Msg| match msg.kind() {
            Kind::Data => (None, bytes(msg)),
            _ => (dlpi::primitive(msg.first()), bytes(msg)[msg.first().len()..].to_vec()),
        };
        all.iter().map(split).collect()
    }
}

fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    msg.copy_out(0, &mut out);
    out
}

fn frame(dst: [u8; 6], kind: u16, data: &[u8]) -> Vec<u8> {
    [&dst[..], &PEER, &kind.to_be_bytes(), data].concat()
}

const IND: Option<i32> = Some(dlpi::DL_UNITDATA_IND);

#[test]
fn n1_info_tells_size_address_and_state_before_and_after_the_bind() {
    let mut link = Link::new(1);
    let told = |answer: &[u8]| {
        let info = dlpi::InfoAck::new(answer).unwrap();
        assert_eq!((info.max_sdu(), info.mac_type()), (1500, dlpi::DL_ETHER));
        (info.current_state(), info.address().unwrap())
    };
    let answer = link.ask(0, build::info_req());
    assert_eq!(told(&answer), (State::Unbound as i32, Address { mac: US, sap: 0 }));
    let answer = link.ask(0, build::bind_req(LLDP));
    let ack = dlpi::BindAck::new(&answer).unwrap();
    let here = Address { mac: US, sap: LLDP };
    assert_eq!((ack.sap(), Address::parse(ack.addr(), 0)), (i32::from(LLDP), Some(here)));
    let answer = link.ask(0, build::info_req());
    assert_eq!(told(&answer), (State::Idle as i32, here));
    assert!(dlpi::OkAck::new(&link.ask(0, build::unbind_req())).is_ok());
    assert_eq!(told(&link.ask(0, build::info_req())).0, State::Unbound as i32);
    let answer = link.ask(0, build::phys_addr_req(dlpi::DL_CURR_PHYS_ADDR));
    assert_eq!(dlpi::PhysAddrAck::new(&answer).unwrap().addr(), US);
}

#[test]
fn n1_requests_out_of_state_or_wrong_are_refused_and_change_nothing() {
    let mut link = Link::bound(1);
    assert_eq!(link.refused(0, build::bind_req(0x800)), dlpi::DL_OUTSTATE);
    link.ask(0, build::unbind_req());
    assert_eq!(link.refused(0, build::unbind_req()), dlpi::DL_OUTSTATE);
    for sap in [1, 1500, 0x5ff] {
        assert_eq!(link.refused(0, build::bind_req(sap)), dlpi::DL_BADSAP, "{sap}");
    }
    let beyond = build::bind_req(0).with_word(4, 0x1_0800);
    assert_eq!(link.refused(0, beyond), dlpi::DL_BADSAP);
    let connections = build::bind_req(LLDP).with_word(12, 1);
    assert_eq!(link.refused(0, connections), dlpi::DL_UNSUPPORTED);
    let new = dlpi::Primitive::new;
    assert_eq!(link.refused(0, new(&[dlpi::DL_BIND_REQ, 5])), dlpi::DL_BADPRIM, "cut");
    assert_eq!(link.refused(0, new(&[dlpi::DL_ATTACH_REQ, 0])), dlpi::DL_NOTSUPPORTED, "style 1");
    assert_eq!(link.refused(0, new(&[0x0d, 0, 0, 0])), dlpi::DL_NOTSUPPORTED, "connections");
    assert_eq!(link.refused(0, new(&[99])), dlpi::DL_BADPRIM);
    assert_eq!(link.refused(0, build::promisc_req(false, 1)), dlpi::DL_NOTENAB);
    assert_eq!(link.refused(0, build::promisc_req(true, 4)), dlpi::DL_NOTSUPPORTED);
    assert_eq!(link.refused(0, build::multi_req(true, PEER)), dlpi::DL_BADADDR, "no group");
    assert_eq!(link.refused(0, build::multi_req(false, LLDP_GROUP)), dlpi::DL_NOTENAB);
    let info = link.ask(0, build::info_req());
    assert_eq!(dlpi::InfoAck::new(&info).unwrap().current_state(), State::Unbound as i32);
}

#[test]
fn n2_frames_go_to_every_stream_of_their_access_point_and_to_no_other() {
    let mut link = Link::bound(3);
    link.ask(2, build::unbind_req());
    link.ask(2, build::bind_req(0x88b5));
    link.0.up(0, &frame(US, LLDP, b"lldp"));
    link.0.up(0, &frame(US, 0x88b5, b"experimental"));
    link.0.up(0, &frame(US, 0x88b6, b"nobody's"));
    for stream in [0, 1] {
        assert_eq!(link.got(stream), [(IND, b"lldp".to_vec())]);
    }
    assert_eq!(link.got(2), [(IND, b"experimental".to_vec())]);
    assert_eq!(link.0.drops(DlpiDrop::NoTaker), 1);
    link.0.close_upper(0);
    link.0.up(0, &frame(US, LLDP, b"again"));
    assert_eq!(link.got(1), [(IND, b"again".to_vec())]);
}

#[test]
fn n2_an_indication_says_where_from_where_to_and_whether_to_many() {
    let mut link = Link::bound(1);
    link.ask(0, build::multi_req(true, LLDP_GROUP));
    link.0.up(0, &frame(LLDP_GROUP, LLDP, b"x"));
    let all = link.0.above(0);
    let View::UnitdataInd(ind) = View::new(all[0].first()).unwrap() else { panic!() };
    let at = |mac| Some(Address { mac, sap: LLDP });
    assert_eq!(
        (Address::parse(ind.dest(), 0), Address::parse(ind.src(), 0)),
        (at(LLDP_GROUP), at(PEER),)
    );
    assert_eq!(ind.group(), 1);
}

#[test]
fn n2_frames_with_a_length_are_access_point_0_and_lose_their_padding() {
    let mut link = Link::new(1);
    link.ask(0, build::bind_req(0));
    link.0.up(0, &frame(US, 5, b"abcde-padding"));
    link.0.up(0, &frame(US, 100, b"shorter than it says"));
    let got = link.got(0);
    assert_eq!(got, [(IND, b"abcde".to_vec()), (IND, b"shorter than it says".to_vec())]);
    link.put(0, build::unitdata_req(Address { mac: PEER, sap: 0 }), Some(b"12345"));
    assert_eq!(link.0.below_bytes(0)[0][12..], [&[0, 5][..], b"12345"].concat());
}

#[test]
fn n3_groups_other_stations_and_other_access_points_come_only_when_asked_for() {
    let mut link = Link::bound(1);
    let came = |link: &mut Link, dst, kind| {
        link.0.up(0, &frame(dst, kind, b"x"));
        link.got(0).len() == 1
    };
    assert!(came(&mut link, [0xff; 6], LLDP));
    assert!(!came(&mut link, LLDP_GROUP, LLDP));
    assert!(!came(&mut link, PEER, LLDP));
    assert!(!came(&mut link, US, 0x800));
    link.ask(0, build::multi_req(true, LLDP_GROUP));
    assert!(came(&mut link, LLDP_GROUP, LLDP));
    assert!(!came(&mut link, [1, 0, 0x5e, 0, 0, 1], LLDP));
    link.ask(0, build::multi_req(false, LLDP_GROUP));
    assert!(!came(&mut link, LLDP_GROUP, LLDP));
    link.ask(0, build::promisc_req(true, dlpi::DL_PROMISC_MULTI));
    assert!(came(&mut link, LLDP_GROUP, LLDP));
    link.ask(0, build::promisc_req(true, dlpi::DL_PROMISC_SAP));
    assert!(came(&mut link, US, 0x800) && !came(&mut link, PEER, LLDP));
    link.ask(0, build::promisc_req(true, dlpi::DL_PROMISC_PHYS));
    assert!(came(&mut link, PEER, 0x800));
    link.ask(0, build::promisc_req(false, dlpi::DL_PROMISC_PHYS));
    assert!(!came(&mut link, PEER, 0x800));
    for number in 0..GROUPS_MAX {
        link.ask(0, build::multi_req(true, [1, 0, 0, 0, 0, number as u8]));
    }
    let more = build::multi_req(true, [1, 0, 0, 0, 1, 0]);
    assert_eq!(link.refused(0, more), dlpi::DL_TOOMANY);
}

#[test]
fn n1_a_frame_leaves_with_our_station_and_type_and_a_wrong_one_comes_back() {
    let mut link = Link::bound(1);
    link.put(0, build::unitdata_req(Address { mac: LLDP_GROUP, sap: LLDP }), Some(b"hello"));
    let sent = link.0.below_bytes(0);
    assert_eq!(sent, [[&LLDP_GROUP[..], &US, &[0x88, 0xcc], b"hello"].concat()]);
    let station = dlpi::Primitive::new(&[dlpi::DL_UNITDATA_REQ, 0, 0, 0, 0]).with_span(4, &PEER);
    link.put(0, station, Some(b"own type"));
    assert_eq!(link.0.below_bytes(0)[0][..14], [&PEER[..], &US, &[0x88, 0xcc]].concat());
    let error = |link: &mut Link, primitive, data: &[u8]| {
        link.put(0, primitive, Some(data));
        let all = link.0.above(0);
        let View::UderrorInd(error) = View::new(all[0].first()).unwrap() else { panic!() };
        (error.dl_errno(), error.dest().len())
    };
    let to = build::unitdata_req(Address { mac: PEER, sap: LLDP });
    assert_eq!(error(&mut link, to, &[0; 1501]), (dlpi::DL_BADDATA, 8));
    assert_eq!(error(&mut link, to.with_word(4, 5), b"x"), (dlpi::DL_BADADDR, 5));
    assert_eq!(error(&mut link, to.with_word(8, 4000), b"x"), (dlpi::DL_BADADDR, 0));
    link.ask(0, build::unbind_req());
    assert_eq!(error(&mut link, to, b"x"), (dlpi::DL_OUTSTATE, 8));
    assert!(link.0.below(0).is_empty());
    link.0.down(0, b"data without a header");
    assert_eq!(link.0.drops(DlpiDrop::NoHeader), 1);
}

#[test]
fn n5_fast_path_gives_the_header_and_passes_plain_data_both_ways() {
    let mut link = Link::bound(2);
    let to = build::unitdata_req(Address { mac: PEER, sap: LLDP });
    let (kind, header) = link.ioctl(0, dlpi::DL_IOC_HDR_INFO, to.as_bytes());
    assert_eq!((kind, &header), (Kind::IocAck, &[&PEER[..], &US, &[0x88, 0xcc]].concat()));
    link.0.down(0, &[&header[..], b"fast"].concat());
    assert_eq!(link.0.below_bytes(0), [[&header[..], b"fast"].concat()]);
    link.0.up(0, &frame(US, LLDP, b"to us"));
    link.0.up(0, &frame([0xff; 6], LLDP, b"to all"));
    assert_eq!(link.got(0), [(None, b"to us".to_vec()), (IND, b"to all".to_vec())]);
    assert_eq!(link.got(1), [(IND, b"to us".to_vec()), (IND, b"to all".to_vec())]);
}

#[test]
fn n5_an_ioctl_that_is_wrong_unbound_or_unknown_is_refused() {
    let mut link = Link::new(1);
    let to = build::unitdata_req(Address { mac: PEER, sap: LLDP });
    let nak = |link: &mut Link, cmd, data: &[u8]| link.ioctl(0, cmd, data).0 == Kind::IocNak;
    assert!(nak(&mut link, dlpi::DL_IOC_HDR_INFO, to.as_bytes()), "unbound");
    link.ask(0, build::bind_req(LLDP));
    assert!(nak(&mut link, dlpi::DL_IOC_HDR_INFO, b"short"));
    assert!(nak(&mut link, dlpi::DL_IOC_HDR_INFO, build::bind_req(7).as_bytes()));
    assert!(nak(&mut link, 0x1234, b""));
    assert!(!nak(&mut link, dlpi::DL_IOC_HDR_INFO, to.as_bytes()));
}

#[test]
fn n5_raw_streams_get_and_send_whole_frames_and_others_still_get_theirs() {
    let mut link = Link::bound(2);
    assert_eq!(link.ioctl(0, dlpi::DLIOCRAW, b""), (Kind::IocAck, vec![]));
    link.ask(0, build::promisc_req(true, dlpi::DL_PROMISC_PHYS));
    let both = [frame(US, LLDP, b"ours"), frame(PEER, 0x800, b"theirs")];
    for frame in &both {
        link.0.up(0, frame);
    }
    assert_eq!(link.got(0), both.clone().map(|frame| (None, frame)));
    assert_eq!(link.got(1), [(IND, b"ours".to_vec())]);
    link.0.down(0, &both[1]);
    assert_eq!(link.0.below_bytes(0), [both[1].clone()]);
}

#[test]
fn n5_a_super_frame_stays_whole_for_raw_streams_and_is_cut_for_others() {
    let mut link = Link::new(2);
    link.ioctl(0, dlpi::DLIOCRAW, b"");
    link.ask(0, build::promisc_req(true, dlpi::DL_PROMISC_PHYS));
    link.ask(1, build::bind_req(0x800));
    let header = [0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1];
    let mut packet = [&header[..], &[0, 5, 0, 7, 0, 0, 0, 0], &[7; 2500]].concat();
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    let mut msg = link.0.msg(&frame(US, 0x800, &packet));
    msg.set_offload(Offload {
        needs_csum: true,
        gso: Gso::Udp,
        gso_size: 1000,
        hdr_len: 42,
        csum_start: 34,
        csum_offset: 6,
    });
    link.0.put_up(0, msg);
    assert_eq!(link.got(0).len(), 1);
    let lens: Vec<usize> = link.got(1).iter().map(|(_, data)| data.len()).collect();
    assert_eq!(lens, [1028, 1028, 528]);
}

#[test]
fn n7_a_stream_that_does_not_read_loses_frames_counted_and_others_do_not() {
    let mut link = Link::bound(2);
    link.0.full_above(0);
    for _ in 0..5 {
        link.0.up(0, &frame(US, LLDP, b"x"));
    }
    assert_eq!((link.0.drops(DlpiDrop::ReceiverFull), link.0.overruns_above(0)), (5, 0));
    assert_eq!(link.got(1).len(), 5);
    link.put(0, build::info_req(), None);
    assert_eq!(link.got(0).len(), 1, "acknowledgements come all the same");
    link.0.relieve_above(0);
    link.0.up(0, &frame(US, LLDP, b"x"));
    assert_eq!(link.got(0).len(), 1);
}

#[test]
fn n7_frames_wait_for_the_line_in_order() {
    let mut link = Link::bound(1);
    link.0.full_below(0);
    let to = build::unitdata_req(Address { mac: PEER, sap: LLDP });
    for data in [b"1", b"2", b"3"] {
        link.put(0, to, Some(data));
    }
    assert_eq!((link.0.below(0).len(), link.0.overruns_below(0)), (0, 0));
    link.0.relieve_below(0);
    let sent: Vec<u8> = link.0.below_bytes(0).iter().map(|frame| frame[14]).collect();
    assert_eq!(sent, *b"123");
}

#[test]
fn every_stream_hears_that_the_line_is_gone_and_short_frames_are_dropped() {
    let mut link = Link::bound(2);
    link.0.up(0, &[2; 13]);
    assert_eq!(link.0.drops(DlpiDrop::Short), 1);
    let mut msg = link.0.msg(b"");
    msg.set_kind(Kind::Hangup);
    link.0.put_up(0, msg);
    for stream in [0, 1] {
        assert_eq!(link.0.above(stream)[0].kind(), Kind::Hangup);
    }
    let mut ctl = link.0.msg(b"private");
    ctl.set_kind(Kind::Ctl);
    link.0.put_down(0, ctl);
    assert_eq!(link.0.drops(Drop::UNEXPECTED_TYPE), 1);
}

#[test]
fn two_interfaces_and_a_stream_without_one_are_refused() {
    let mut rig = RigMux::new(Box::new(Dlpi::new()), 0, 1);
    let mux = rig.mux();
    let probe = millstream_rig::Probe::new();
    let (second, _) = rig.perimeter().open_device("second", Box::new(probe));
    assert!(rig.perimeter().link(mux, second).is_err());
    rig.perimeter().close(second).unwrap();
    rig.unlink_lower(0);
    assert!(rig.perimeter().open_mux(mux, "early").is_err(), "attached to nothing");
}
