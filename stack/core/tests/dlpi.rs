//! DLPI: primitives as they are built and read, cut and forged ones.

use millstream_core::dlpi::*;
use millstream_core::{Errno, Rng};
use millstream_msg::Kind;

const HERE: Address = Address { mac: [2, 0, 0, 0, 0, 1], sap: 0x88cc };
const GROUP: Address = Address { mac: [1, 0x80, 0xc2, 0, 0, 0x0e], sap: 0x88cc };

/// One of each that is built here.
fn all() -> Vec<Primitive> {
    vec![
        build::info_req(),
        build::bind_req(0x88cc),
        build::unbind_req(),
        build::info_ack(&build::Info { max_sdu: 1500, state: State::Idle, address: HERE }),
        build::bind_ack(HERE),
        build::error_ack(DL_BIND_REQ, DL_SYSERR, Errno::ENOSR),
        build::ok_ack(DL_UNBIND_REQ),
        build::unitdata_req(GROUP),
        build::unitdata_ind(GROUP, HERE, true),
        build::uderror_ind(&[1, 2, 3], DL_BADADDR, Errno(0)),
        Primitive::new(&[DL_ATTACH_REQ, 0]),
        Primitive::new(&[DL_DETACH_REQ]),
        build::multi_req(true, GROUP.mac),
        build::multi_req(false, GROUP.mac),
        build::promisc_req(true, DL_PROMISC_SAP),
        build::promisc_req(false, DL_PROMISC_SAP),
        build::phys_addr_req(DL_CURR_PHYS_ADDR),
        build::phys_addr_ack(HERE.mac),
    ]
}

#[test]
fn n1_every_primitive_is_built_with_its_number_and_read_by_a_view() {
    let mut seen: Vec<i32> = Vec::new();
    for built in all() {
        assert!(View::new(built.as_bytes()).is_ok(), "{built:?}");
        seen.push(primitive(built.as_bytes()).unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, PRIMITIVES);
    let high = [DL_INFO_REQ, DL_INFO_ACK, DL_BIND_ACK, DL_ERROR_ACK, DL_OK_ACK, DL_PHYS_ADDR_ACK];
    for &number in PRIMITIVES {
        let class = if high.contains(&number) { Kind::PcProto } else { Kind::Proto };
        assert_eq!(kind(number), Some(class), "{number:#x}");
    }
}

#[test]
fn n1_parts_are_read_where_the_words_say() {
    let ind = build::unitdata_ind(GROUP, HERE, true);
    let view = UnitdataInd::new(ind.as_bytes()).unwrap();
    assert_eq!(Address::parse(view.dest(), 0), Some(GROUP));
    assert_eq!((Address::parse(view.src(), 0), view.group()), (Some(HERE), 1));
    let info = build::info_ack(&build::Info { max_sdu: 1500, state: State::Idle, address: HERE });
    let view = InfoAck::new(info.as_bytes()).unwrap();
    assert_eq!((view.address(), view.broadcast()), (Some(HERE), &[0xff; 6][..]));
    assert_eq!((view.max_sdu(), view.current_state()), (1500, State::Idle as i32));
    assert_eq!((view.style(), view.version(), view.sap_len()), (DL_STYLE1, DL_VERSION_2, -2));
    assert_eq!(Address::parse(&HERE.mac, 7), Some(Address { sap: 7, ..HERE }));
    assert_eq!(Address::parse(&[1; 7], 7), None);
}

#[test]
fn n1_cut_and_forged_primitives_are_refused_and_never_read_beyond() {
    let mut rng = Rng::new(5);
    for built in all() {
        let bytes = built.as_bytes();
        for len in 0..bytes.len() {
            let _ = View::new(&bytes[..len]);
        }
        for at in (0..bytes.len().saturating_sub(3)).step_by(4) {
            for word in [-1, i32::MIN, i32::MAX, 0, 1, 7, 19, 64, rng.next_u32() as i32] {
                match View::new(built.with_word(at, word).as_bytes()) {
                    Ok(View::InfoAck(view)) => _ = (view.address(), view.broadcast()),
                    Ok(View::UnitdataReq(view)) => assert!(view.dest().len() <= bytes.len()),
                    Ok(View::UnitdataInd(view)) => _ = (view.dest(), view.src()),
                    _ => {}
                }
            }
        }
    }
    let req = build::unitdata_req(GROUP);
    assert_eq!(UnitdataReq::new(req.with_word(8, 4).as_bytes()), Err(Malformed::Address));
    assert_eq!(fault(Malformed::Address).0, DL_BADADDR);
    assert_eq!(fault(Malformed::Short).0, DL_BADPRIM);
}
