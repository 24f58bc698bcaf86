//! Addresses and words in primitives: read inside only, and written as they were read.

use millstream_core::tpi::option::Records;
use millstream_core::tpi::{self, View};

/// Parts of a view lie in its bytes, behind its words.
fn parts(bytes: &[u8]) {
    let inside = |part: &[u8], words: usize| {
        let at = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        assert!(part.is_empty() || at >= words && at + part.len() <= bytes.len());
    };
    match View::new(bytes) {
        Ok(View::ConnReq(v)) => [v.dest(), v.options()].map(|part| inside(part, 20)).len(),
        Ok(View::ConnInd(v)) => [v.src(), v.options()].map(|part| inside(part, 24)).len(),
        Ok(View::BindReq(v)) => [v.addr()].map(|part| inside(part, 16)).len(),
        Ok(View::UnitdataReq(v)) => [v.dest(), v.options()].map(|part| inside(part, 20)).len(),
        Ok(View::UderrorInd(v)) => [v.dest(), v.options()].map(|part| inside(part, 24)).len(),
        Ok(View::AddrAck(v)) => [v.local(), v.remote()].map(|part| inside(part, 20)).len(),
        Ok(View::CapabilityAck(v)) => {
            v.info().into_iter().map(|info| inside(info.as_bytes(), 8)).count()
        }
        Ok(View::OptmgmtReq(v)) => {
            inside(v.options(), 16);
            let records = Records::new(v.options()).flatten();
            records.map(|record| inside(record.value, 16)).count()
        }
        _ => 0,
    };
}

/// Bytes: where to look, then the primitive.
pub fn run(data: &[u8]) {
    let Some((&[at], bytes)) = data.split_first_chunk() else { return };
    let at = usize::from(at);
    parts(bytes);
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
