//! Replays the fuzzer's corpus, and the fuzz target on random requests, without the fuzzer.

#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../fuzz/src/offload_finish.rs"]
mod offload_finish;

use proptest::prelude::*;

#[test]
fn corpus_of_offload_finish_makes_no_finding() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/offload_finish");
    let mut files = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        offload_finish::run(&std::fs::read(path).unwrap());
        files += 1;
    }
    assert!(files >= 5, "the seeds are gone");
}

/// Random bytes; the second and third are made so that a good part gets beyond the first checks.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let l4 = prop_oneof![Just(34_u8), Just(54), any::<u8>()];
    let kind = prop_oneof![Just((1, 0x45, 6, 16)), Just((5, 0x45, 17, 6)), Just((4, 0x60, 6, 16))];
    let frame = proptest::collection::vec(any::<u8>(), 0..2000);
    (any::<[u8; 6]>(), l4, kind, frame).prop_map(
        |(head, l4, (gso, version, protocol, csum), frame)| {
            let mut data = head.to_vec();
            data[0] = 14;
            data[2] = gso;
            data.extend([0, 0, 0, l4, 0, csum]);
            data.extend(&frame);
            for (at, byte) in [(12 + 14, version), (12 + 23, protocol), (12 + 20, protocol)] {
                if let Some(place) = data.get_mut(at) {
                    *place = byte;
                }
            }
            data
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn any_request_on_any_bytes_is_refused_or_right(
        data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        offload_finish::run(&data);
    }

    #[test]
    fn plausible_requests_are_refused_or_right(data in anything()) {
        offload_finish::run(&data);
    }
}
