//! Records of RPC: whatever comes, cut anywhere, against a model that has all octets at once.

use super::script::{bytes_of, cells_out};
use millstream_modules::rpc::header::Header;
use millstream_modules::rpc::marking::{Fault, Found, Limits, Marking, Stop};
use millstream_msg::{Msg, Pool, PoolConfig};

const LIMITS: Limits = Limits { record: 400, fragments: 30, empty: 4 };

/// Bytes: how many octets come at a time, after how many pieces another module takes over, then
/// the octets.
pub fn run(data: &[u8]) {
    let Some((&[step, turn], wire)) = data.split_first_chunk() else { return };
    let (want, fault) = model(wire);
    let mut pool = Pool::new(PoolConfig::TINY);
    let (mut marking, mut got, mut stopped) = (Marking::new(LIMITS), Vec::new(), None);
    for (at, piece) in wire.chunks(usize::from(step) + 1).enumerate() {
        if turn > 0 && at % usize::from(turn) == usize::from(turn) - 1 {
            // Fragments that are complete count as one from now on.
            let held = marking.give_back(&mut pool).unwrap();
            marking = Marking::new(LIMITS);
            stopped = stopped.or(feed(&mut marking, held, &mut got, &mut pool));
        }
        let msg = pool.copy_from(0, piece).unwrap();
        stopped = stopped.or(feed(&mut marking, Some(msg), &mut got, &mut pool));
        if stopped.is_some() {
            break;
        }
    }
    let held = marking.clear();
    held.into_iter().for_each(|held| pool.spend(held));
    if turn == 0 {
        assert_eq!((&got, stopped), (&want, fault));
    } else {
        assert!(got.starts_with(&want) || want.starts_with(&got));
    }
    for record in got {
        if let Header::Call(call) = Header::parse(&record) {
            assert!(call.len <= record.len() && call.body.end <= call.len);
        }
    }
    assert_eq!(cells_out(&mut pool), 0);
}

fn feed(
    marking: &mut Marking,
    mut input: Option<Msg>,
    got: &mut Vec<Vec<u8>>,
    pool: &mut Pool,
) -> Option<Fault> {
    loop {
        match marking.step(&mut input, pool) {
            Ok(Found::More) => return None,
            Ok(Found::Here(len)) => {
                let msg = input.as_mut().unwrap();
                got.push(bytes_of(msg)[..len].to_vec());
                msg.trim_front(len);
            }
            Ok(Found::Joined(record)) => {
                got.push(bytes_of(&record));
                pool.spend(record);
            }
            Err(Stop::Fault(fault)) => {
                input.into_iter().for_each(|rest| pool.spend(rest));
                return Some(fault);
            }
            Err(Stop::NoMem) => panic!("there is memory"),
        }
    }
}

/// The records, and the limit that was broken.
fn model(mut wire: &[u8]) -> (Vec<Vec<u8>>, Option<Fault>) {
    let (mut records, mut record, mut fragments, mut empty) = (Vec::new(), Vec::new(), 0, 0);
    while let Some((mark, rest)) = wire.split_first_chunk::<4>() {
        let word = u32::from_be_bytes(*mark);
        let (len, last) = (word & 0x7fff_ffff, word >> 31 == 1);
        fragments += 1;
        empty += u32::from(len == 0);
        let sum = record.len() as u64 + u64::from(len);
        let fault = if sum > u64::from(LIMITS.record) {
            Some(Fault::TooLong(sum))
        } else if fragments > LIMITS.fragments {
            Some(Fault::Fragments)
        } else {
            (empty > LIMITS.empty).then_some(Fault::Empty)
        };
        if fault.is_some() {
            return (records, fault);
        }
        let Some((fragment, behind)) = rest.split_at_checked(len as usize) else { break };
        record.extend(fragment);
        if last {
            records.push(std::mem::take(&mut record));
            (fragments, empty) = (0, 0);
        }
        wire = behind;
    }
    (records, None)
}
