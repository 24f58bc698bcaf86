//! Types of a .x file, from any octets in blocks cut anywhere: what is read is written as it was.

use millstream_msg::{Pool, PoolConfig};
use millstream_onc::xdr::{Decode, Decoder, Encode, Encoder, Fault, Limits};
use millstream_rpcgen_check::types::{Answer_, Arrays, Holder, Numbers, Octets, Shape, Sized_};

/// Bytes: which type, two places where the chain is cut, then the octets.
pub fn run(data: &[u8]) {
    let Some((&[kind, first, second], octets)) = data.split_first_chunk() else { return };
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(0, octets).unwrap();
    for cut in [first, second] {
        if let Ok(rest) = msg.split_off(&mut pool, usize::from(cut).min(octets.len())) {
            msg.link(rest);
        }
    }
    for from in [Decoder::of(&msg), Decoder::new(octets)] {
        let limits = Limits { depth: 20, bytes: 1 << 20 };
        let mut from = from.with_limits(limits);
        let again = match kind % 7 {
            0 => again::<Numbers>(&mut from),
            1 => again::<Octets<'_>>(&mut from),
            2 => again::<Arrays<'_>>(&mut from),
            3 => again::<Shape<'_>>(&mut from),
            4 => again::<Answer_<'_>>(&mut from),
            5 => again::<Holder<'_>>(&mut from),
            _ => again::<Sized_>(&mut from),
        };
        assert_eq!(from.position() + from.remaining(), octets.len());
        if let Ok(again) = again {
            assert_eq!(again, octets[..from.position()]);
        }
    }
}

fn again<'a, T: Decode<'a> + Encode>(from: &mut Decoder<'a>) -> Result<Vec<u8>, Fault> {
    let value = T::decode(from)?;
    Ok(Encoder::vec(|to| value.encode(to)).expect("what was read can be written"))
}
