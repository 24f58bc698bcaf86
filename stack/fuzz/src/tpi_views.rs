//! Addresses and words in primitives: read inside only, and written as they were read.

use millstream_core::tpi;

/// Bytes: where to look, then the primitive.
pub fn run(data: &[u8]) {
    let Some((&[at], bytes)) = data.split_first_chunk() else { return };
    let at = usize::from(at);
    let _ = (tpi::primitive(bytes), tpi::word(bytes, at), tpi::word(bytes, usize::MAX - at));
    let (bits, band) = tpi::flush::parse(bytes);
    assert_eq!(band.is_some(), bytes.len() > 1 && bits & tpi::flush::BAND != 0);
    assert!(tpi::address_at(bytes, usize::MAX - at).is_none());
    if let Some(address) = tpi::address_at(bytes, at).or_else(|| tpi::decode_address(bytes)) {
        let mut out = [0; tpi::ADDR_MAX];
        let len = tpi::encode_address(address, &mut out);
        assert_eq!(tpi::decode_address(&out[..len]), Some(address));
        let primitive = tpi::Primitive::unitdata_ind(address).with_address(12, address);
        assert_eq!(tpi::address_at(primitive.as_bytes(), 4), Some(address));
        assert_eq!(tpi::address_at(primitive.as_bytes(), 12), Some(address));
    }
}
