//! Call and reply headers: the octets of another implementation (the crate onc-rpc) and ours, and
//! what is answered to headers that are wrong.

use millstream_msg::{Pool, PoolConfig};
use millstream_onc::auth::{AuthStat, Credential, FLAVORS, Gids, Machine, Sys};
use millstream_onc::caller::Procedure;
use millstream_onc::message::{
    CallHeader, Direction, Outcome, Refused, decode_call, decode_reply, decode_start, encode_call,
    encode_reply,
};
use millstream_onc::xdr::{Decoder, Encoder, Fault};
use onc_rpc::auth::{AuthFlavor, AuthUnixParams};
use onc_rpc::{
    AcceptedReply, AcceptedStatus, AuthError, CallBody, MessageType, RejectedReply, ReplyBody,
    RpcMessage,
};
use proptest::prelude::*;

const TO: Procedure = Procedure { program: 100_003, version: 3, number: 7 };

fn encoded(write: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>) -> Vec<u8> {
    Encoder::vec(write).unwrap()
}

fn call_of(credential: &Credential) -> Vec<u8> {
    encoded(|to| encode_call(to, 77, TO, credential, FLAVORS))
}

fn read_call(octets: &[u8]) -> Result<CallHeader, Refused> {
    let mut from = Decoder::new(octets);
    assert_eq!(decode_start(&mut from).map_err(Refused::from)?, (77, Direction::Call));
    decode_call(&mut from, FLAVORS)
}

/// The other implementation writes a record mark in front.
fn theirs(auth: AuthFlavor<&[u8]>) -> Vec<u8> {
    let body =
        CallBody::new(TO.program, TO.version, TO.number, auth, AuthFlavor::AuthNone(None), &[][..]);
    let message: RpcMessage<&[u8], &[u8]> = RpcMessage::new(77, MessageType::Call(body));
    message.serialise().unwrap()[4..].to_vec()
}

fn sys(machine: &[u8], gids: &[u32]) -> Sys {
    let (machine, gids) = (Machine::new(machine).unwrap(), Gids::new(gids).unwrap());
    Sys { stamp: 5, machine, uid: 1000, gid: 100, gids }
}

proptest! {
    #[test]
    fn calls_are_those_of_onc_rpc(
        stamp in any::<u32>(),
        // The other implementation takes bodies of 200 octets, half of what the RFC allows.
        machine in prop::collection::vec(any::<u8>(), 0..=116),
        uid in any::<u32>(),
        gid in any::<u32>(),
        gids in prop::collection::vec(any::<u32>(), 0..=16),
    ) {
        let name = Machine::new(&machine).unwrap();
        let numbers = Gids::new(&gids).unwrap();
        let credential = Credential::Sys(Sys { stamp, machine: name, uid, gid, gids: numbers });
        let octets = call_of(&credential);
        let params = AuthUnixParams::new(stamp, &machine[..], uid, gid, gids);
        prop_assert_eq!(&octets, &theirs(AuthFlavor::AuthUnix(params)));
        prop_assert_eq!(read_call(&octets), Ok(CallHeader { to: TO, credential }));
    }

    #[test]
    fn any_octets_are_read_without_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut from = Decoder::new(&octets);
        let _ = decode_call(&mut from, FLAVORS);
        let _ = decode_reply(&mut Decoder::new(&octets));
    }
}

#[test]
fn a_call_of_nobody_is_that_of_onc_rpc() {
    let octets = call_of(&Credential::None);
    assert_eq!(octets, theirs(AuthFlavor::AuthNone(None)));
    assert_eq!(read_call(&octets), Ok(CallHeader { to: TO, credential: Credential::None }));
}

#[test]
fn every_reply_is_that_of_onc_rpc() {
    let accepted =
        |status| ReplyBody::Accepted(AcceptedReply::new(AuthFlavor::AuthNone(None), status));
    let denied = |error| ReplyBody::Denied(RejectedReply::AuthError(error));
    let range = (2, 4);
    type Body = ReplyBody<&'static [u8], &'static [u8]>;
    let cases: [(Outcome, Body); 14] = [
        (Outcome::Success, accepted(AcceptedStatus::Success(&[][..]))),
        (Outcome::ProgUnavail, accepted(AcceptedStatus::ProgramUnavailable)),
        (
            Outcome::ProgMismatch { low: range.0, high: range.1 },
            accepted(AcceptedStatus::ProgramMismatch { low: range.0, high: range.1 }),
        ),
        (Outcome::ProcUnavail, accepted(AcceptedStatus::ProcedureUnavailable)),
        (Outcome::GarbageArgs, accepted(AcceptedStatus::GarbageArgs)),
        (Outcome::SystemErr, accepted(AcceptedStatus::SystemError)),
        (
            Outcome::RPC_MISMATCH,
            ReplyBody::Denied(RejectedReply::RpcVersionMismatch { low: 2, high: 2 }),
        ),
        (Outcome::AuthError(AuthStat::BadCred), denied(AuthError::BadCredentials)),
        (Outcome::AuthError(AuthStat::RejectedCred), denied(AuthError::RejectedCredentials)),
        (Outcome::AuthError(AuthStat::BadVerf), denied(AuthError::BadVerifier)),
        (Outcome::AuthError(AuthStat::RejectedVerf), denied(AuthError::RejectedVerifier)),
        (Outcome::AuthError(AuthStat::TooWeak), denied(AuthError::TooWeak)),
        (Outcome::AuthError(AuthStat::InvalidResp), denied(AuthError::InvalidResponseVerifier)),
        (Outcome::AuthError(AuthStat::Failed), denied(AuthError::Failed)),
    ];
    for (outcome, body) in cases {
        let octets = encoded(|to| encode_reply(to, 9, outcome));
        let message = RpcMessage::new(9, MessageType::Reply(body));
        assert_eq!(octets, message.serialise().unwrap()[4..], "{outcome}");
        let mut from = Decoder::new(&octets);
        assert_eq!(decode_start(&mut from), Ok((9, Direction::Reply)));
        assert_eq!(decode_reply(&mut from), Ok(outcome));
        assert_eq!(from.end(), Ok(()));
    }
}

#[test]
fn another_version_of_rpc_is_told_the_range_rfc5531_9() {
    for version in [0, 1, 3, u32::MAX] {
        let mut octets = call_of(&Credential::None);
        octets[8..12].copy_from_slice(&version.to_be_bytes());
        assert_eq!(read_call(&octets), Err(Refused::Answer(Outcome::RPC_MISMATCH)));
    }
}

#[test]
fn what_is_neither_call_nor_reply_has_no_answer() {
    let octets = encoded(|to| [1, 2].into_iter().try_for_each(|word| to.u32(word)));
    assert_eq!(decode_start(&mut Decoder::new(&octets)), Err(Fault::Enum(2)));
}

#[test]
fn a_credential_that_is_too_long_is_a_bad_one_rfc5531_8_2() {
    let with = |credential: usize, verifier: usize| {
        let octets = encoded(|to| {
            let words = [77, 0, 2, TO.program, TO.version, TO.number, 0];
            words.into_iter().try_for_each(|word| to.u32(word))?;
            to.opaque(&vec![0; credential].into(), usize::MAX)?;
            to.u32(0)?;
            to.opaque(&vec![0; verifier].into(), usize::MAX)
        });
        read_call(&octets).map(|header| header.credential)
    };
    let told = |why| Err(Refused::Answer(Outcome::AuthError(why)));
    assert_eq!(with(400, 400), Ok(Credential::None));
    assert_eq!(with(401, 0), told(AuthStat::BadCred));
    assert_eq!(with(0, 401), told(AuthStat::BadVerf));
    assert_eq!(with(10_000_000, 0), told(AuthStat::BadCred));
}

#[test]
fn a_broken_auth_sys_is_a_bad_credential() {
    let good = call_of(&Credential::Sys(sys(b"host", &[1, 2, 3])));
    let told = Err(Refused::Answer(Outcome::AuthError(AuthStat::BadCred)));
    // Of the body: its length at 28, the name's length at 36, the groups' number at 52.
    let with = |at: usize, word: u32| {
        let mut octets = good.clone();
        octets[at..at + 4].copy_from_slice(&word.to_be_bytes());
        read_call(&octets)
    };
    assert!(read_call(&good).is_ok());
    assert_eq!(with(36, 256), told, "a name of 256");
    assert_eq!(with(52, 17), told, "17 groups");
    assert_eq!(with(52, 2), told, "octets behind the groups");
    assert_eq!(with(52, 4), told, "groups behind the body");
}

#[test]
fn the_longest_auth_sys_comes_back() {
    let credential = Credential::Sys(sys(&[b'x'; 255], &[u32::MAX; 16]));
    assert_eq!(read_call(&call_of(&credential)).map(|header| header.credential), Ok(credential));
}

#[test]
fn seventeen_groups_and_a_long_name_are_none() {
    assert!(Gids::new(&[0; 16]).is_some() && Gids::new(&[0; 17]).is_none());
    assert!(Machine::new(&[0; 255]).is_some() && Machine::new(&[0; 256]).is_none());
}

#[test]
fn an_unknown_flavour_is_rejected() {
    for flavor in [2, 3, 6, 7, 390_003] {
        let mut octets = call_of(&Credential::None);
        octets[24..28].copy_from_slice(&u32::to_be_bytes(flavor));
        let told = Outcome::AuthError(AuthStat::RejectedCred);
        assert_eq!(read_call(&octets), Err(Refused::Answer(told)));
    }
}

#[test]
fn a_header_cut_at_every_octet_has_no_answer_and_blocks_cut_at_every_octet_have() {
    let credential = Credential::Sys(sys(b"machine", &[7; 16]));
    let octets = call_of(&credential);
    let mut pool = Pool::new(PoolConfig::TINY);
    for cut in 0..octets.len() {
        assert!(matches!(read_call(&octets[..cut]), Err(Refused::Broken(Fault::Short))), "{cut}");
        let mut msg = pool.copy_from(0, &octets).unwrap();
        let rest = msg.split_off(&mut pool, cut).unwrap();
        msg.link(rest);
        let mut from = Decoder::of(&msg);
        decode_start(&mut from).unwrap();
        let header = decode_call(&mut from, FLAVORS).unwrap();
        assert_eq!(header.credential, credential, "{cut}");
        assert_eq!(from.end(), Ok(()));
    }
}

#[test]
fn a_credential_without_a_flavour_is_not_written() {
    let result = Encoder::vec(|to| encode_call(to, 1, TO, &Credential::Sys(sys(b"", &[])), &[]));
    assert!(result.is_err());
}
