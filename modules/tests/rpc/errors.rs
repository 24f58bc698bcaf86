//! Every error of RFC 5531 is answered by the module.

use crate::kit::*;
use millstream_core::Side;
use millstream_modules::rpc::RpcDrop;
use millstream_msg::MsgFlags;
use millstream_onc::AuthStat;
use millstream_onc::message::Outcome;

/// What is answered to a record, without mark, on a connection.
fn answered(octets: &[u8]) -> Vec<u8> {
    let mut kit = Kit::tcp();
    kit.records(&[octets.to_vec()]);
    assert!(kit.calls().is_empty(), "nobody above hears of it");
    let (sent, _) = kit.sent();
    let marked = record(sent.get(4..).unwrap_or_default());
    assert_eq!(sent, marked, "one record");
    // Over UDP it is the same.
    let mut kit = Kit::udp();
    kit.datagram("10.0.0.9:999", octets);
    assert_eq!(kit.datagrams(), [("10.0.0.9:999".to_owned(), sent[4..].to_vec())]);
    sent[4..].to_vec()
}

fn with(at: usize, words: &[u32]) -> Vec<u8> {
    let mut call = square(9, 3);
    for (n, word) in words.iter().enumerate() {
        call[at + 4 * n..][..4].copy_from_slice(&word.to_be_bytes());
    }
    call
}

const ACCEPTED: [u32; 3] = [0, 0, 0];

fn accepted(words: &[u32]) -> Vec<u8> {
    reply(9, &[&ACCEPTED[..], words].concat())
}

#[test]
fn rpc_answers_another_version_of_rpc_with_the_range() {
    for version in [0, 1, 3, u32::MAX] {
        assert_eq!(answered(&with(8, &[version])), reply(9, &[1, 0, 2, 2]));
    }
    assert_eq!(answered(&with(8, &[3])[..12]), reply(9, &[1, 0, 2, 2]), "also when it is cut");
}

#[test]
fn rpc_answers_an_unknown_program() {
    assert_eq!(answered(&with(12, &[777_777])), accepted(&[1]));
}

#[test]
fn rpc_answers_another_version_of_the_program_with_the_range_version_0_too() {
    for version in [0, 3, 9, u32::MAX] {
        assert_eq!(answered(&with(16, &[version])), accepted(&[2, 1, 2]));
    }
}

#[test]
fn rpc_answers_an_unknown_procedure() {
    for procedure in [2, u32::MAX] {
        assert_eq!(answered(&with(20, &[procedure])), accepted(&[3]));
    }
}

#[test]
fn rpc_answers_what_the_program_says_of_arguments_and_itself() {
    for (outcome, words) in [
        (Outcome::GarbageArgs, &[0, 0, 0, 4][..]),
        (Outcome::SystemErr, &[0, 0, 0, 5]),
        (Outcome::ProcUnavail, &[0, 0, 0, 3]),
        (Outcome::ProgUnavail, &[0, 0, 0, 1]),
        (Outcome::AuthError(AuthStat::BadCred), &[1, 1, 1]),
        (Outcome::AuthError(AuthStat::RejectedCred), &[1, 1, 2]),
        (Outcome::AuthError(AuthStat::BadVerf), &[1, 1, 3]),
        (Outcome::AuthError(AuthStat::RejectedVerf), &[1, 1, 4]),
        (Outcome::AuthError(AuthStat::TooWeak), &[1, 1, 5]),
        (Outcome::AuthError(AuthStat::InvalidResp), &[1, 1, 6]),
        (Outcome::AuthError(AuthStat::Failed), &[1, 1, 7]),
    ] {
        let mut kit = Kit::tcp();
        kit.records(&[square(9, 3)]);
        let name = kit.calls()[0].name;
        kit.answer(name, outcome, b"not sent");
        assert_eq!(kit.sent().0, record(&reply(9, words)), "{outcome:?}");
        let mut kit = Kit::udp();
        kit.datagram(PEER, &square(9, 3));
        let name = kit.calls()[0].name;
        kit.answer(name, outcome, b"not sent");
        assert_eq!(kit.datagrams()[0].1, reply(9, words), "{outcome:?}");
    }
}

#[test]
fn rpc_answers_a_credential_that_is_bad_long_or_of_an_unknown_flavour_with_its_cause() {
    let mut long = with(24, &[1, 401]);
    long.resize(1000, 0);
    assert_eq!(answered(&long), reply(9, &[1, 1, 1]), "401 octets");
    let mut body = vec![0; 8];
    body.extend([500u32, 100, 17].map(u32::to_be_bytes).concat());
    body.extend([0; 17 * 4]);
    let mut groups = with(24, &[1, body.len() as u32]);
    groups.truncate(32);
    groups.extend(body);
    groups.extend([0; 8]);
    assert_eq!(answered(&groups), reply(9, &[1, 1, 1]), "17 groups");
    for flavour in [2, 3, 6, 7, 1000] {
        assert_eq!(answered(&with(24, &[flavour, 0])), reply(9, &[1, 1, 2]), "{flavour}");
    }
    let mut long = with(32, &[0, 401]);
    long.resize(1000, 0);
    assert_eq!(answered(&long), reply(9, &[1, 1, 3]), "a verifier of 401 octets");
}

#[test]
fn rpc_counts_refusals_by_their_cause() {
    let mut kit = Kit::tcp();
    kit.records(&[with(8, &[3]), with(12, &[1]), with(16, &[9]), with(16, &[0]), with(20, &[9])]);
    kit.records(&[with(24, &[6, 0])]);
    for (cause, count) in [
        ("rpc-mismatch", 1),
        ("prog-unavail", 1),
        ("prog-mismatch", 2),
        ("proc-unavail", 1),
        ("auth-rejectedcred", 1),
        ("auth-badcred", 0),
    ] {
        assert_eq!(kit.count(cause), count, "{cause}");
    }
}

#[test]
fn rpc_refuses_no_call_that_was_sent_to_many() {
    let mut kit = Kit::udp();
    for octets in [with(12, &[777]), with(8, &[3]), square(1, 3)] {
        let mut msg = kit.indication(PEER, &octets);
        msg.set_flags(MsgFlags::LINK_BROADCAST);
        kit.rig.put(Side::Read, msg);
    }
    let calls = kit.calls();
    assert_eq!(kit.datagrams(), []);
    assert_eq!(kit.rig.drops(RpcDrop::Unsaid), 2);
    kit.answer_squares(&calls);
    assert_eq!(kit.datagrams()[0].1, success(1, &9u32.to_be_bytes()));
}
