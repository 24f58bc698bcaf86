//! Call and reply headers from any octets: what is read is written and read again.

use millstream_onc::auth::FLAVORS;
use millstream_onc::message::{
    Direction, decode_call, decode_reply, decode_start, encode_call, encode_reply,
};
use millstream_onc::xdr::{Decoder, Encoder};

/// Bytes: a message.
pub fn run(data: &[u8]) {
    let mut from = Decoder::new(data);
    let Ok((xid, direction)) = decode_start(&mut from) else { return };
    match direction {
        Direction::Call => {
            let Ok(header) = decode_call(&mut from, FLAVORS) else { return };
            let write =
                |to: &mut Encoder<'_>| encode_call(to, xid, header.to, &header.credential, FLAVORS);
            let octets = Encoder::vec(write).unwrap();
            let mut from = Decoder::new(&octets);
            assert_eq!(decode_start(&mut from), Ok((xid, direction)));
            assert_eq!(decode_call(&mut from, FLAVORS), Ok(header));
        }
        Direction::Reply => {
            let Ok(outcome) = decode_reply(&mut from) else { return };
            let octets = Encoder::vec(|to| encode_reply(to, xid, outcome)).unwrap();
            let mut from = Decoder::new(&octets);
            assert_eq!(decode_start(&mut from), Ok((xid, direction)));
            assert_eq!(decode_reply(&mut from), Ok(outcome));
        }
    }
}
