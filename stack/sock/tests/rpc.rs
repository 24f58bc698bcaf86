//! RPC between applications on two stacks: clients, policies for several servers, calls to all
//! hosts of a network, and servers of both kinds.

use millstream::plan::{Interface, Line, Plan};
use millstream::rpc::onc::auth::Sys;
use millstream::rpc::onc::message::Outcome;
use millstream::rpc::onc::xdr::{Decoder, Encoder};
use millstream::rpc::onc::{Answer, AuthStat, Call, Later, ProcedureInfo, Program, VersionInfo};
use millstream::rpc::{
    Caller, Credential, Offer, Policy, Procedure, RpcCalls, RpcListener, RpcServer, Transport,
    broadcast,
};
use millstream::{RpcClient, RpcError, Stack};
use millstream_drivers::pair;
use millstream_programs::square::Square;
use millstream_programs::wire::square::{
    SQUARE_PROG, SlowIn, SquareIn, SquareProgV1Client, SquareProgV2Client, square_prog_v1,
    square_prog_v2,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// The stack of the client, and one that serves, at three addresses.
fn stacks(services: &[&str]) -> (Stack, Stack) {
    let (a, b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
    let start = |end, addresses: &[&str], services: &[&str]| {
        let line = Line::Pair("pair0".into(), end);
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let interfaces = vec![Interface { line, addresses }];
        let services = services.iter().map(|name| (*name).to_owned()).collect();
        Stack::start(Plan { interfaces, services, ..Plan::default() }).unwrap()
    };
    let ours = ["10.0.0.2/24", "10.0.0.3/24", "10.0.0.4/24"];
    (start(a, &["10.0.0.1/24"], &[]), start(b, &ours, services))
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn square(n: i32) -> SquareIn {
    SquareIn { arg1: n }
}

fn connect(stack: &Stack, transport: Transport) -> RpcClient {
    RpcClient::connect(stack, SERVER, (SQUARE_PROG, 1), transport).unwrap()
}

#[test]
fn a_generated_client_finds_its_server_by_rpcbind_and_calls_it_over_both_transports() {
    let (client, _server) = stacks(&["rpcbind", "square"]);
    for transport in [Transport::Tcp, Transport::Udp] {
        let caller = connect(&client, transport);
        assert_eq!(caller.peer_addr(), at("10.0.0.2:5001"));
        let mut v1 = SquareProgV1Client::new(caller);
        assert_eq!(v1.squareproc(&square(12)).unwrap().res1, 144);
        let mut v2 = SquareProgV2Client::new(v1.into_caller());
        assert_eq!(v2.squareproc(-70_000).unwrap(), 4_900_000_000);
    }
    let none = RpcClient::connect(&client, SERVER, (777_777, 1), Transport::Udp);
    assert!(matches!(none, Err(RpcError::NotRegistered { program: 777_777 })), "{none:?}");
}

#[test]
fn a_thousand_calls_are_under_way_and_answered_whatever_is_waited_for_first() {
    let (client, _server) = stacks(&["square"]);
    for transport in [Transport::Tcp, Transport::Udp] {
        let caller = RpcClient::at(&client, at("10.0.0.2:5001"), transport).unwrap();
        let mut v2 = SquareProgV2Client::new(caller);
        let count = if transport == Transport::Tcp { 1000 } else { 50 };
        let calls: Vec<_> = (0..count).map(|n| v2.start_squareproc(n).unwrap()).collect();
        for (n, call) in calls.into_iter().enumerate().rev() {
            assert_eq!(v2.finish_squareproc(call).unwrap(), (n * n) as i64);
        }
    }
}

#[test]
fn a_slow_call_holds_up_no_other_one_and_ends_by_its_time_or_when_it_is_cancelled() {
    let (client, _server) = stacks(&["square"]);
    let caller = RpcClient::at(&client, at("10.0.0.2:5001"), Transport::Tcp).unwrap();
    let mut v2 = SquareProgV2Client::new(caller);
    let slow = v2.start_slowproc(&SlowIn { arg1: 9, milliseconds: 300 }).unwrap();
    let start = Instant::now();
    assert_eq!(v2.squareproc(5).unwrap(), 25);
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    assert_eq!(v2.finish_slowproc(slow).unwrap(), 81);
    v2.caller().set_time_out(Duration::from_millis(50));
    let late = v2.slowproc(&SlowIn { arg1: 9, milliseconds: 5000 });
    assert!(matches!(late, Err(RpcError::TimedOut)), "{late:?}");
    v2.caller().set_time_out(Duration::from_secs(20));
    let slow = v2.start_slowproc(&SlowIn { arg1: 9, milliseconds: 5000 }).unwrap();
    v2.caller().cancel(slow).unwrap();
    assert_eq!(v2.squareproc(6).unwrap(), 36, "the connection goes on");
}

#[test]
fn calls_of_a_batch_are_done_in_order_and_not_answered() {
    let (client, _server) = stacks(&["square"]);
    let caller = RpcClient::at(&client, at("10.0.0.2:5001"), Transport::Tcp).unwrap();
    let mut v2 = SquareProgV2Client::new(caller);
    for n in 1..=500 {
        v2.caller().send(square_prog_v2::BATCHPROC, |to| to.i32(n)).unwrap();
    }
    let total: i64 = (1..=500).map(|n| n * n).sum();
    assert_eq!(v2.totalproc().unwrap(), total);
}

#[test]
fn what_the_server_refuses_is_told_with_its_cause() {
    let (client, _server) = stacks(&["square"]);
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut client = RpcClient::at(&client, at("10.0.0.2:5001"), transport).unwrap();
        let mut call = |program, version, number, arg: Option<i32>| {
            let to = Procedure { program, version, number };
            client.call(to, |to| arg.map_or(Ok(()), |arg| to.i32(arg)), |from| from.i32())
        };
        let refused = |got: Result<i32, RpcError>| match got {
            Err(RpcError::Refused(outcome)) => outcome,
            other => panic!("{other:?}"),
        };
        assert_eq!(call(SQUARE_PROG, 1, 1, Some(3)).unwrap(), 9);
        assert_eq!(refused(call(777_777, 1, 1, None)), Outcome::ProgUnavail);
        let range = Outcome::ProgMismatch { low: 1, high: 2 };
        assert_eq!(refused(call(SQUARE_PROG, 0, 0, None)), range);
        assert_eq!(refused(call(SQUARE_PROG, 9, 1, None)), range);
        assert_eq!(refused(call(SQUARE_PROG, 1, 9, None)), Outcome::ProcUnavail);
        assert_eq!(refused(call(SQUARE_PROG, 1, 1, None)), Outcome::GarbageArgs);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let (client, _server) = stacks(&[]);
    let refused = RpcClient::at(&client, at("10.0.0.2:5001"), Transport::Tcp);
    assert!(matches!(refused, Err(RpcError::Io(_))), "{refused:?}");
    let mut client = RpcClient::at(&client, at("10.0.0.2:5001"), Transport::Udp).unwrap();
    let refused = client.call(square_prog_v1::SQUAREPROC, |to| to.i32(1), |from| from.i32());
    assert!(matches!(refused, Err(RpcError::Io(_))), "{refused:?}");
}

#[test]
fn the_policies_take_the_answers_that_count() {
    let (client, _server) = stacks(&["square"]);
    let mut client = RpcClient::at(&client, at("10.0.0.2:5001"), Transport::Udp).unwrap();
    let servers = ["10.0.0.2:5001", "10.0.0.3:5001", "10.0.0.4:5001"].map(at);
    // Nobody is at the first.
    let with_a_dead_one = ["10.0.0.2:9", "10.0.0.3:5001"].map(at);
    let mut many = |servers: &[SocketAddr], policy| {
        client.call_many(servers, policy, square_prog_v1::SQUAREPROC, |to| to.i32(7))
    };
    let answer = vec![0, 0, 0, 49];
    for policy in [Policy::All, Policy::Same] {
        let all = many(&servers, policy).unwrap();
        assert_eq!(all, servers.map(|server| (server, answer.clone())));
        assert!(many(&with_a_dead_one, policy).is_err(), "{policy:?}");
    }
    assert_eq!(many(&servers, Policy::First).unwrap().len(), 1);
    for policy in [Policy::One, Policy::First] {
        let spare = many(&with_a_dead_one, policy).unwrap();
        assert_eq!(spare, [(with_a_dead_one[1], answer.clone())], "{policy:?}");
    }
    for policy in [Policy::One, Policy::All, Policy::First, Policy::Same] {
        assert!(matches!(many(&[], policy), Err(RpcError::NoServer)), "{policy:?}");
    }
}

#[test]
fn answers_that_have_to_be_the_same_and_are_not_name_both_servers() {
    let (client, server) = stacks(&[]);
    let offer = [Offer { program: 7, version: 1, procedures: 2 }];
    let servers = ["10.0.0.2:900", "10.0.0.3:900"].map(at);
    let running = servers.map(|at| RpcCalls::bind(&server, at, &offer).unwrap());
    let threads = running.map(|calls| {
        std::thread::spawn(move || {
            let call = calls.next().unwrap().unwrap();
            let local = call.local_addr().unwrap();
            calls.answer(call, |to| to.text(&local.to_string().into(), 100)).unwrap();
        })
    });
    let mut client = RpcClient::at(&client, servers[0], Transport::Udp).unwrap();
    let to = Procedure { program: 7, version: 1, number: 1 };
    let differ = client.call_many(&servers, Policy::Same, to, |_| Ok(()));
    let Err(RpcError::Differ { first, other }) = differ else { panic!("{differ:?}") };
    assert_eq!([first, other], servers);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn an_application_answers_calls_that_it_reads_from_a_connection() {
    let (client, server) = stacks(&[]);
    let offer = [Offer { program: 7, version: 3, procedures: 4 }];
    let listener = RpcListener::bind(&server, at("10.0.0.2:900"), &offer).unwrap();
    let serving = std::thread::spawn(move || {
        let calls = listener.accept().unwrap();
        let mut served = 0;
        while let Some(call) = calls.next().unwrap() {
            served += 1;
            assert_eq!((call.program(), call.version()), (7, 3));
            assert_eq!(call.transport(), Transport::Tcp);
            assert_eq!(call.peer_addr().unwrap().ip().to_string(), "10.0.0.1");
            match call.procedure() {
                1 => {
                    let (n, credential) = (call.args().i32().unwrap(), call.credential());
                    let uid = match credential.unwrap() {
                        Credential::Sys(sys) => sys.uid,
                        _ => 0,
                    };
                    calls.answer(call, |to| to.u32(uid).and_then(|()| to.i32(n + 1))).unwrap();
                }
                2 => calls.refuse(call, Answer::Denied(AuthStat::TooWeak)).unwrap(),
                _ => calls.refuse(call, Answer::Silent).unwrap(),
            }
        }
        served
    });
    let mut client = RpcClient::at(&client, at("10.0.0.2:900"), Transport::Tcp).unwrap();
    let to = |number| Procedure { program: 7, version: 3, number };
    let both = |from: &mut Decoder<'_>| Ok((from.u32()?, from.i32()?));
    assert_eq!(client.call(to(1), |to| to.i32(5), both).unwrap(), (0, 6));
    client.set_credential(&Credential::Sys(Sys { uid: 77, ..Sys::default() })).unwrap();
    assert_eq!(client.call(to(1), |to| to.i32(6), both).unwrap(), (77, 7));
    let denied = client.call(to(2), |_| Ok(()), |_| Ok(()));
    let weak = Outcome::AuthError(AuthStat::TooWeak);
    assert!(matches!(denied, Err(RpcError::Refused(why)) if why == weak), "{denied:?}");
    client.send(to(3), |_| Ok(())).unwrap();
    let none = client.call(to(4), |_| Ok(()), |_| Ok(()));
    assert!(matches!(none, Err(RpcError::Refused(Outcome::ProcUnavail))), "{none:?}");
    drop(client);
    assert_eq!(serving.join().unwrap(), 4, "what was not offered does not come up");
}

#[test]
fn a_program_of_an_application_is_served_and_told_of_until_it_is_dropped() {
    let (client, server) = stacks(&["rpcbind"]);
    let serve = |port| RpcServer::start(&server, "squares", port, Box::new(Square::default()));
    let running = serve(5001).unwrap();
    assert!(serve(5002).is_err(), "it is served already");
    let mut v1 = SquareProgV1Client::new(connect(&client, Transport::Tcp));
    assert_eq!(v1.squareproc(&square(4)).unwrap().res1, 16);
    drop(running);
    let gone = v1.squareproc(&square(4));
    assert!(matches!(gone, Err(RpcError::Refused(Outcome::ProgUnavail))), "{gone:?}");
    let none = RpcClient::lookup(&client, SERVER, (SQUARE_PROG, 1), Transport::Tcp);
    assert!(matches!(none, Err(RpcError::NotRegistered { .. })), "{none:?}");
    let again = serve(5002).unwrap();
    assert_eq!(connect(&client, Transport::Udp).peer_addr(), at("10.0.0.2:5002"));
    drop(again);
    let again = serve(5001).expect("an old connection keeps nobody from the port");
    assert_eq!(v1.squareproc(&square(5)).unwrap().res1, 25, "and it is served again");
    let mut other = SquareProgV1Client::new(connect(&client, Transport::Tcp));
    assert_eq!(other.squareproc(&square(6)).unwrap().res1, 36);
    drop((again, v1, other));
    let _once_more = serve(5001).expect("nor does one that waits for its end");
}

#[test]
fn of_two_servers_at_a_port_the_second_is_refused() {
    let (_, server) = stacks(&["square"]);
    let other = RpcServer::start(&server, "other", 5001, Box::new(Nothing));
    assert!(other.is_err(), "somebody listens there");
    RpcServer::start(&server, "other", 5002, Box::new(Nothing)).unwrap();
}

/// A program of no use.
struct Nothing;

impl Program for Nothing {
    fn number(&self) -> u32 {
        7
    }

    fn versions(&self) -> &'static [VersionInfo] {
        &[VersionInfo { number: 1, procedures: &[ProcedureInfo::NULL] }]
    }

    fn call(&mut self, _: &Call<'_>, _: Decoder<'_>, _: &mut Encoder<'_>, _: &mut Later) -> Answer {
        Answer::Done
    }
}

#[test]
fn a_call_to_all_hosts_reaches_those_whose_rpcbind_passes_calls_on() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let to = square_prog_v1::SQUAREPROC;
    let all = Ipv4Addr::new(10, 0, 0, 255);
    let ask = |client: &Stack, patience| {
        broadcast(
            client,
            all,
            to,
            |to| to.i32(8),
            patience,
            |server, results| Ok(ControlFlow::Break((server, results.i32()?))),
        )
    };
    let (client, _server) = stacks(&["rpcbind=callit", "square"]);
    let answer = ask(&client, Duration::from_secs(20)).unwrap();
    assert_eq!(answer, Some((at("10.0.0.2:5001"), 64)));
    let (client, _server) = stacks(&["rpcbind", "square"]);
    assert_eq!(ask(&client, PATIENCE).unwrap(), None, "it is off");
}
