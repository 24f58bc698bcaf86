//! Calls to the program itself, through the clients that the compiler wrote.

use super::*;
use crate::square::Square;
use crate::wire::rpcbind::{
    PmapCallArgs, PmapMapping, RpcbEntryListPtr, RpcbRmtcallargs, RpcbprogV2Client,
    RpcbprogV3Client, RpcbprogV4Client, rpcbprog_v4,
};
use crate::wire::square::SQUARE_PROG;
use millstream_onc::caller::{Caller, Procedure};
use millstream_onc::xdr::{Decoder, Encoder, Fault};
use millstream_onc::{Answer, Completions, Credential, Later, Program};

/// Calls without a transport between.
struct Direct {
    program: Rpcbind,
    local: SocketAddr,
    peer: SocketAddr,
    transport: Transport,
}

#[derive(Debug, PartialEq)]
enum Failed {
    Fault(Fault),
    Answer(Answer),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Caller for Direct {
    type Error = Failed;
    type Token = Vec<u8>;

    fn start(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Vec<u8>, Failed> {
        let args = Encoder::vec(args)?;
        let call = Call {
            xid: 1,
            program: to.program,
            version: to.version,
            procedure: to.number,
            credential: &Credential::None,
            peer: self.peer,
            local: self.local,
            transport: self.transport,
            now: 0,
        };
        let mut later = Later::new(Completions::default());
        let mut answer = Answer::Done;
        let results = Encoder::vec(|reply| {
            answer = self.program.call(&call, Decoder::new(&args), reply, &mut later);
            Ok(())
        })?;
        if answer == Answer::Done { Ok(results) } else { Err(Failed::Answer(answer)) }
    }

    fn finish<R>(
        &mut self,
        results: Vec<u8>,
        read: impl FnOnce(&mut Decoder<'_>) -> Result<R, Fault>,
    ) -> Result<R, Failed> {
        let mut from = Decoder::new(&results);
        let value = read(&mut from)?;
        from.finish()?;
        Ok(value)
    }

    fn send(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), Failed> {
        self.start(to, args).map(drop)
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A stack at 10.9.0.2 that serves squares at port 5001, in two versions over both transports.
fn direct(pass: bool) -> Direct {
    let (bindings, registry) = (Bindings::default(), Registry::default());
    for version in [1, 2] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let (at, owner) = (at("0.0.0.0:5001"), "square".to_owned());
            let program = SQUARE_PROG;
            assert!(bindings.set(Binding { program, version, transport, at, owner }));
        }
    }
    assert!(registry.register(Box::new(Square::default())).is_ok());
    let own = vec![Network::parse("10.9.0.2/24").unwrap(), Network::parse("10.8.0.2/24").unwrap()];
    let mapper = Mapper::new(bindings, own, pass.then_some(registry));
    let program = RpcbprogServer(mapper);
    let (local, peer) = (at("10.9.0.2:111"), at("10.9.0.1:900"));
    Direct { program, local, peer, transport: Transport::Udp }
}

fn rpcb(version: u32) -> Rpcb<'static> {
    Rpcb {
        r_prog: SQUARE_PROG,
        r_vers: version,
        r_netid: Text::default(),
        r_addr: Text::default(),
        r_owner: Text::default(),
    }
}

fn mapping(vers: u32, prot: u32) -> PmapMapping {
    PmapMapping { prog: SQUARE_PROG, vers, prot, port: 0 }
}

#[test]
fn the_port_mapper_tells_ports_of_a_version_or_of_another_and_0_for_what_is_not_there() {
    let mut client = RpcbprogV2Client::new(direct(false));
    for (vers, prot, port) in [(1, 6, 5001), (2, 17, 5001), (9, 6, 5001), (1, 7, 0)] {
        assert_eq!(client.pmapproc_getport(&mapping(vers, prot)), Ok(port), "{vers} {prot}");
    }
    let other = PmapMapping { prog: 7, ..mapping(1, 6) };
    assert_eq!(client.pmapproc_getport(&other), Ok(0));
    let dump = client.pmapproc_dump().unwrap();
    let all: Vec<_> = dump.iter().map(|one| (one.map.vers, one.map.prot, one.map.port)).collect();
    assert_eq!(all, [(1, 6, 5001), (1, 17, 5001), (2, 6, 5001), (2, 17, 5001)]);
}

#[test]
fn an_address_is_that_which_the_caller_has_reached() {
    let mut client = RpcbprogV4Client::new(direct(false));
    let mut ask = |local: &str, peer: &str| {
        client.caller().local = at(local);
        client.caller().peer = at(peer);
        client.rpcbproc_getaddr(&rpcb(1), |addr| addr.to_string()).unwrap()
    };
    assert_eq!(ask("10.9.0.2:111", "10.9.0.1:900"), "10.9.0.2.19.137");
    assert_eq!(ask("10.8.0.2:111", "10.9.0.1:900"), "10.8.0.2.19.137");
    assert_eq!(ask("10.8.0.255:111", "10.8.0.1:900"), "10.8.0.2.19.137", "a broadcast");
    assert_eq!(ask("255.255.255.255:111", "10.9.0.1:900"), "10.9.0.2.19.137");
    assert_eq!(ask("255.255.255.255:111", "1.1.1.1:900"), "10.9.0.2.19.137", "of no network");
    assert_eq!(
        client.rpcbproc_getaddr(&rpcb(9), |addr| addr.to_string()).unwrap(),
        "10.9.0.2.19.137"
    );
    assert_eq!(client.rpcbproc_getversaddr(&rpcb(9), |addr| addr.to_string()).unwrap(), "");
    let netids = |list: RpcbEntryListPtr<'_>| -> Vec<_> {
        list.iter().map(|one| one.map.r_nc_netid.to_string()).collect()
    };
    assert_eq!(client.rpcbproc_getaddrlist(&rpcb(2), netids).unwrap(), ["udp", "tcp"]);
}

#[test]
fn nobody_registers_over_the_wire() {
    let mut v2 = RpcbprogV2Client::new(direct(false));
    assert_eq!(v2.pmapproc_set(&PmapMapping { prog: 8, port: 9, ..mapping(1, 6) }), Ok(false));
    assert_eq!(v2.pmapproc_unset(&mapping(1, 6)), Ok(false));
    let mut v3 = RpcbprogV3Client::new(v2.into_caller());
    assert_eq!(v3.rpcbproc_set(&Rpcb { r_prog: 8, ..rpcb(1) }), Ok(false));
    assert_eq!(v3.rpcbproc_unset(&rpcb(1)), Ok(false));
    let mut v4 = RpcbprogV4Client::new(v3.into_caller());
    assert_eq!(v4.rpcbproc_set(&Rpcb { r_prog: 8, ..rpcb(1) }), Ok(false));
    assert_eq!(v4.rpcbproc_unset(&rpcb(1)), Ok(false));
    let first = v4.rpcbproc_dump(|dump| {
        assert_eq!(dump.len(), 4);
        (dump[0].map.r_addr.to_string(), dump[0].map.r_owner.to_string())
    });
    assert_eq!(first.unwrap(), ("0.0.0.0.19.137".to_owned(), "square".to_owned()));
}

#[test]
fn calls_are_passed_on_only_when_that_is_switched_on() {
    let args =
        PmapCallArgs { prog: SQUARE_PROG, vers: 1, proc: 1, args: Opaque::from(&[0, 0, 0, 12]) };
    let call = |pass: bool| {
        let mut client = RpcbprogV2Client::new(direct(pass));
        let token = client.start_pmapproc_callit(&args)?;
        client.caller().finish(token, |from| Ok((from.u32()?, from.opaque(100)?.to_vec())))
    };
    assert_eq!(call(false), Err(Failed::Answer(Answer::Silent)));
    assert_eq!(call(true), Ok((5001, vec![0, 0, 0, 144])));
}

#[test]
fn a_call_that_cannot_be_passed_on_is_silent_or_told_as_it_was_asked_for() {
    let args =
        |prog, vers, proc, octets| RpcbRmtcallargs { prog, vers, proc, args: Opaque::from(octets) };
    let octets: &[u8] = &[0, 0, 0, 3];
    let mut client = RpcbprogV4Client::new(direct(true));
    for (args, told) in [
        (args(7, 1, 1, octets), Answer::SystemErr),
        (args(SQUARE_PROG, 9, 1, octets), Answer::SystemErr),
        (args(SQUARE_PROG, 1, 9, octets), Answer::SystemErr),
        (args(SQUARE_PROG, 1, 1, &octets[..3]), Answer::GarbageArgs),
        (args(SQUARE_PROG, 2, 5, &[0; 8]), Answer::SystemErr),
        (args(PROGRAM, 4, 0, &[]), Answer::SystemErr),
    ] {
        let silent = client.start_rpcbproc_bcast(&args);
        assert_eq!(silent, Err(Failed::Answer(Answer::Silent)), "{args:?}");
        let indirect = client.start_rpcbproc_indirect(&args);
        assert_eq!(indirect, Err(Failed::Answer(told)), "{args:?}");
    }
    let done = client.start_rpcbproc_indirect(&args(SQUARE_PROG, 1, 1, octets));
    assert_eq!(done.unwrap()[20..], [0, 0, 0, 4, 0, 0, 0, 9]);
    let counted = client.rpcbproc_getstat(|stat| {
        (stat[2].info[10], stat[2].rmtinfo.iter().map(|one| one.success).sum::<i32>())
    });
    assert_eq!(counted, Ok((7, 1)));
}

#[test]
fn look_ups_are_counted_for_each_version() {
    let mut client = RpcbprogV4Client::new(direct(false));
    for version in [1, 1, 2] {
        client.start_rpcbproc_getaddr(&rpcb(version)).unwrap();
    }
    client.start_rpcbproc_getaddr(&Rpcb { r_prog: 7, ..rpcb(1) }).unwrap();
    let told = client.rpcbproc_getstat(|stat| {
        assert_eq!((stat[2].info[3], stat[1].info[3], stat[2].info[12]), (4, 0, 1));
        let of = |prog, vers| {
            let one = stat[2].addrinfo.iter().find(|one| (one.prog, one.vers) == (prog, vers));
            one.map(|one| (one.success, one.failure, one.netid.to_string()))
        };
        assert_eq!(of(SQUARE_PROG, 1), Some((2, 0, "udp".to_owned())));
        assert_eq!(of(7, 1), Some((0, 1, "udp".to_owned())));
    });
    assert_eq!(told, Ok(()));
}

#[test]
fn addresses_are_translated_both_ways_and_others_are_empty() {
    let mut client = RpcbprogV3Client::new(direct(false));
    let taddr = client.start_rpcbproc_uaddr2taddr(&Text::from("10.9.0.2.19.137")).unwrap();
    let mut from = Decoder::new(&taddr);
    assert_eq!(from.u32(), Ok(16));
    let buf = from.opaque(100).unwrap();
    let netbuf = Netbuf { maxlen: 16, buf };
    assert_eq!(
        client.rpcbproc_taddr2uaddr(&netbuf, |addr| addr.to_string()).unwrap(),
        "10.9.0.2.19.137"
    );
    let none = client.start_rpcbproc_uaddr2taddr(&Text::from("nowhere")).unwrap();
    assert_eq!(none, [0; 8]);
    let none = Netbuf { maxlen: 0, buf: Opaque::default() };
    assert_eq!(client.rpcbproc_taddr2uaddr(&none, |addr| addr.to_string()).unwrap(), "");
    assert!(client.rpcbproc_gettime().unwrap() > 1_700_000_000);
}

#[test]
fn every_procedure_refuses_arguments_that_are_cut() {
    let mut direct = direct(true);
    for number in [1, 2, 3, 5, 7, 8, 9, 10, 11] {
        let to = Procedure { number, ..rpcbprog_v4::RPCBPROC_SET };
        let answer = direct.start(to, |to| to.u32(5));
        assert_eq!(answer, Err(Failed::Answer(Answer::GarbageArgs)), "{number}");
    }
}
