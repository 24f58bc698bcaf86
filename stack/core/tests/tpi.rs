//! TPI: every primitive as a view and as it is built, forged and cut ones, message classes, and
//! the state table against `tpi_states.txt`, state by primitive.

use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::state::{self, Verdict};
use millstream_core::tpi::*;
use millstream_core::{Errno, Rng};
use millstream_msg::Kind;
use std::net::SocketAddr;

fn v4() -> SocketAddr {
    "10.0.0.9:5000".parse().unwrap()
}

fn v6() -> SocketAddr {
    "[fe80::1]:7".parse().unwrap()
}

fn info() -> Info {
    Info {
        tsdu: 0,
        etsdu: T_INVALID,
        cdata: T_INVALID,
        ddata: T_INVALID,
        addr: 28,
        opt: OPTIONS_MAX as i32,
        tidu: T_INFINITE,
        service: T_COTS_ORD,
        state: State::DataXfer,
        provider: SENDZERO | XPG4_1,
    }
}

/// One of each, with all their parts.
fn all() -> Vec<Primitive> {
    let record = Record { level: 17, name: 3, status: 0, value: &[1, 2, 3, 4, 5] };
    let old = |primitive: Primitive, number| primitive.with_word(0, number);
    vec![
        Primitive::conn_req(v6()).with_address(12, v4()),
        Primitive::conn_res(5, 9).with_span(8, b"opts"),
        old(Primitive::conn_res(5, 9), O_T_CONN_RES),
        Primitive::discon_req(9),
        Primitive::data_req(true),
        Primitive::exdata_req(false),
        Primitive::info_req(),
        Primitive::bind_req(v4()).with_word(12, 5),
        old(Primitive::bind_req(v6()), O_T_BIND_REQ),
        Primitive::unbind_req(),
        Primitive::unitdata_req(v6()).with_address(12, v6()),
        Primitive::optmgmt_req(T_NEGOTIATE).with_option(&record),
        old(Primitive::optmgmt_req(T_CHECK), T_SVR4_OPTMGMT_REQ),
        Primitive::ordrel_req(),
        Primitive::addr_req(),
        Primitive::capability_req(TC1_INFO),
        Primitive::conn_ind(v6(), 3).with_address(12, v6()),
        Primitive::conn_con(v4()),
        Primitive::discon_ind(Errno::ECONNREFUSED, -1),
        Primitive::data_ind(false),
        Primitive::exdata_ind(true),
        Primitive::info_ack(&info()),
        Primitive::bind_ack(v4()),
        Primitive::error_ack(T_BIND_REQ, TSYSERR, Errno::ENOSR),
        Primitive::ok_ack(T_UNBIND_REQ),
        Primitive::unitdata_ind(v4()).with_address(12, v6()),
        Primitive::uderror_ind(v4(), Errno::EMSGSIZE),
        Primitive::optmgmt_ack(T_SUCCESS).with_option(&record),
        Primitive::ordrel_ind(),
        Primitive::addr_ack(Some(v4()), Some(v6())),
        Primitive::capability_ack(Some(&info()), Some(77)),
    ]
}

#[test]
fn every_primitive_is_built_with_its_number_and_read_by_a_view() {
    let mut seen: Vec<i32> = Vec::new();
    for built in all() {
        let number = primitive(built.as_bytes()).unwrap();
        assert!(View::new(built.as_bytes()).is_ok(), "{:?}", name(number));
        assert_eq!(Some(built.kind()), kind(number));
        seen.push(number);
    }
    seen.sort_unstable();
    assert_eq!(seen, PRIMITIVES);
}

#[test]
fn m1_acknowledgements_and_what_is_answered_in_any_state_are_high_priority() {
    let high = [
        T_INFO_REQ,
        T_ADDR_REQ,
        T_CAPABILITY_REQ,
        T_INFO_ACK,
        T_BIND_ACK,
        T_ERROR_ACK,
        T_OK_ACK,
        T_OPTMGMT_ACK,
        T_ADDR_ACK,
        T_CAPABILITY_ACK,
    ];
    for &number in PRIMITIVES {
        let expected = if high.contains(&number) { Kind::PcProto } else { Kind::Proto };
        assert_eq!(kind(number), Some(expected), "{:?}", name(number));
    }
    assert_eq!((kind(29), kind(-1), name(32)), (None, None, None));
}

#[test]
fn m2_parts_are_read_where_the_words_say() {
    let conn = Primitive::conn_ind(v6(), 3).with_address(12, v4());
    let Ok(View::ConnInd(view)) = View::new(conn.as_bytes()) else { panic!("{conn:?}") };
    assert_eq!(decode_address(view.src()), Some(v6()));
    assert_eq!((decode_address(view.options()), view.sequence()), (Some(v4()), 3));
    let bind = Primitive::new(&[T_BIND_REQ, 0, 1_000_000, 8]);
    let view = BindReq::new(bind.as_bytes()).expect("no address has no place");
    assert_eq!((view.addr(), view.qlen()), (&[][..], 8));
}

#[test]
fn m2_cut_and_forged_primitives_are_refused_and_never_read_beyond() {
    for built in all() {
        let bytes = built.as_bytes();
        for len in 0..bytes.len() {
            let cut = View::new(&bytes[..len]);
            if len < 4 {
                assert_eq!(cut, Err(Malformed::Short));
            }
        }
        for at in (0..bytes.len().saturating_sub(3)).step_by(4) {
            for word in [-1, i32::MIN, i32::MAX, 0, 1, 3, 4, 15, 27, 29, 64, 1 << 20] {
                let forged = built.with_word(at, word);
                if let Ok(view) = View::new(forged.as_bytes()) {
                    // Formatting calls nothing that could fail; the getters are tried below.
                    assert!(!format!("{view:?}").is_empty());
                }
                touch(forged.as_bytes());
            }
        }
    }
}

/// Calls the getters of views with parts.
fn touch(bytes: &[u8]) {
    let inside = |part: &[u8]| {
        let (whole, part) = (bytes.as_ptr_range(), part.as_ptr_range());
        assert!(part.start == part.end || whole.start <= part.start && part.end <= whole.end);
    };
    match View::new(bytes) {
        Ok(View::ConnReq(v)) => [v.dest(), v.options()].map(inside).len(),
        Ok(View::BindReq(v)) => [v.addr()].map(inside).len(),
        Ok(View::UnitdataReq(v)) => [v.dest(), v.options()].map(inside).len(),
        Ok(View::UderrorInd(v)) => [v.dest(), v.options()].map(inside).len(),
        Ok(View::AddrAck(v)) => [v.local(), v.remote()].map(inside).len(),
        Ok(View::OptmgmtReq(v)) => {
            inside(v.options());
            Records::new(v.options()).flatten().map(|record| inside(record.value)).count()
        }
        _ => 0,
    };
}

#[test]
fn m2_each_fault_has_the_error_of_its_part() {
    let fault = |bytes: &Primitive| View::new(bytes.as_bytes()).unwrap_err();
    let conn = Primitive::conn_req(v4());
    assert_eq!(fault(&conn.with_word(8, 1000)), Malformed::Address);
    assert_eq!(fault(&conn.with_word(8, 16)), Malformed::Address, "inside the words");
    assert_eq!(fault(&conn.with_word(12, -4)), Malformed::Options);
    assert_eq!(fault(&Primitive::new(&[T_CONN_REQ, 0, 0])), Malformed::Short);
    assert_eq!(fault(&Primitive::new(&[29])), Malformed::Number);
    assert_eq!(BindReq::new(conn.as_bytes()), Err(Malformed::Number));
    let numbers = [Malformed::Address, Malformed::Options, Malformed::Short, Malformed::Number]
        .map(|fault| fault.numbers().0);
    assert_eq!(numbers, [TBADADDR, TBADOPT, TSYSERR, TNOTSUPPORT]);
    assert_eq!(Malformed::Short.numbers().1, Errno::EPROTO);
}

#[test]
fn options_are_records_at_multiples_of_four_and_end_at_the_first_cut_one() {
    let record = |name, value| Record { level: 17, name, status: 0, value };
    let req = Primitive::optmgmt_req(T_NEGOTIATE)
        .with_option(&record(1, b"12345"))
        .with_option(&record(2, b""));
    let view = OptmgmtReq::new(req.as_bytes()).unwrap();
    let read: Vec<_> = Records::new(view.options()).collect();
    assert_eq!(read, [Ok(record(1, b"12345")), Ok(record(2, b""))]);
    let mut cut = Records::new(&view.options()[..30]);
    assert!(cut.next().unwrap().is_ok());
    assert_eq!((cut.next(), cut.next()), (Some(Err(Malformed::Options)), None));
    for len in [-1, 0, 15, 1000] {
        let forged = req.with_word(16, len);
        let view = OptmgmtReq::new(forged.as_bytes()).unwrap();
        assert_eq!(Records::new(view.options()).next(), Some(Err(Malformed::Options)), "{len}");
    }
}

#[test]
fn m8_info_and_capability_tell_the_same_fields() {
    let capability = Primitive::capability_ack(Some(&info()), Some(77));
    let view = CapabilityAck::new(capability.as_bytes()).unwrap();
    assert_eq!((view.bits(), view.acceptor()), (TC1_INFO | TC1_ACCEPTOR_ID, 77));
    let told = view.info().unwrap();
    assert_eq!(told.as_bytes(), Primitive::info_ack(&info()).as_bytes());
    assert_eq!((told.tsdu(), told.etsdu(), told.tidu()), (0, -2, -1));
    assert_eq!((told.service(), told.provider()), (2, 5));
    assert_eq!(State::from_number(told.current_state()), Some(State::DataXfer));
    let nothing = Primitive::capability_ack(None, None);
    assert_eq!(CapabilityAck::new(nothing.as_bytes()).unwrap().info(), None);
}

#[test]
fn random_bytes_are_a_primitive_or_a_fault() {
    let mut rng = Rng::new(7);
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..rng.below(100)).map(|_| rng.below(40) as u8).collect();
        if bytes.len() >= 4 {
            bytes[..4].copy_from_slice(&(rng.below(33) as i32).to_ne_bytes());
        }
        touch(&bytes);
    }
}

/// The fixture's cell for what the code does.
fn cell(state: State, number: i32) -> String {
    let text = |next: Option<State>| next.map_or("-".into(), |to| (to as i32).to_string());
    match state::request(state, number) {
        Verdict::To(to) => (to as i32).to_string(),
        Verdict::OutOfState => "t".into(),
        Verdict::Fatal => "f".into(),
        Verdict::Crossed => "x".into(),
        Verdict::UdError => "u".into(),
        Verdict::Unknown => {
            let [more, last] = [false, true].map(|last| text(state::answer(state, number, last)));
            if more == last { more } else { format!("{more}/{last}") }
        }
    }
}

#[test]
fn m3_every_primitive_in_every_state_does_what_the_fixture_says() {
    let rows = include_str!("tpi_states.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seen: Vec<i32> = Vec::new();
    for row in rows {
        let mut words = row.split_whitespace();
        let title = words.next().unwrap();
        let cells: Vec<&str> = words.collect();
        assert_eq!(cells.len(), State::ALL.len(), "{title}");
        let number = PRIMITIVES.iter().find(|n| name(**n) == Some(title));
        for (expected, state) in cells.into_iter().zip(State::ALL) {
            let got = match number {
                Some(&number) => cell(state, number),
                None => state::pass(state).map_or("-".into(), |to| (to as i32).to_string()),
            };
            assert_eq!(got, expected, "{title} in {state:?}");
        }
        seen.extend(number);
    }
    seen.sort_unstable();
    assert_eq!(seen, PRIMITIVES, "each is in the fixture");
    assert_eq!(state::request(State::Idle, 29), Verdict::Unknown);
    assert_eq!(state::answer(State::Idle, 29, false), None);
}

#[test]
fn m4_to_m6_a_client_a_server_and_both_orders_of_release_walk_through_the_table() {
    fn walk(steps: &[i32]) -> State {
        steps.iter().fold(State::Unbnd, |state, &number| match state::request(state, number) {
            Verdict::To(next) => next,
            Verdict::Unknown => state::answer(state, number, true).expect("in order"),
            other => panic!("{:?} in {state:?}: {other:?}", name(number)),
        })
    }
    let bound = [T_BIND_REQ, T_BIND_ACK];
    let client = [&bound[..], &[T_CONN_REQ, T_OK_ACK, T_CONN_CON]].concat();
    assert_eq!(walk(&client), State::DataXfer);
    for release in [
        &[T_ORDREL_REQ, T_DATA_IND, T_ORDREL_IND][..],
        &[T_ORDREL_IND, T_DATA_REQ, T_ORDREL_REQ],
        &[T_DISCON_REQ, T_OK_ACK],
        &[T_ORDREL_REQ, T_DISCON_IND],
    ] {
        assert_eq!(walk(&[&client[..], release].concat()), State::Idle);
    }
    let refused = [&bound[..], &[T_CONN_REQ, T_OK_ACK, T_DISCON_IND]].concat();
    assert_eq!(walk(&refused), State::Idle);
    let server = [&bound[..], &[T_CONN_IND, T_CONN_RES, T_OK_ACK]].concat();
    assert_eq!(walk(&server), State::Idle, "the listener; its acceptor passes to DATA_XFER");
    assert_eq!(state::pass(State::Idle), Some(State::DataXfer));
    let away = [&bound[..], &[T_CONN_IND, T_DISCON_REQ, T_OK_ACK, T_UNBIND_REQ, T_OK_ACK]].concat();
    assert_eq!(walk(&away), State::Unbnd);
}
