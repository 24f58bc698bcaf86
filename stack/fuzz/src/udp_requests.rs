//! Requests of a user of udp, as any bytes: each is refused or done, and leaves nothing behind.

use super::host::Host;
use super::script::Script;
use millstream_core::tpi;
use millstream_msg::Kind;

/// Bytes: requests, each a number, words for the rest, and perhaps data.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut host = Host::new();
    for _ in 0..32 {
        if script.is_over() {
            break;
        }
        let op = script.byte();
        let numbers = [
            tpi::T_BIND_REQ,
            tpi::T_UNBIND_REQ,
            tpi::T_CONN_REQ,
            tpi::T_UNITDATA_REQ,
            tpi::T_OPTMGMT_REQ,
            // Every number there is.
            i32::from(op >> 3),
            -1,
            tpi::T_CAPABILITY_REQ,
        ];
        let kind = if op & 8 == 0 { Kind::Proto } else { Kind::PcProto };
        let mut bytes = numbers[usize::from(op & 7)].to_ne_bytes().to_vec();
        for byte in script.piece().chunks(2) {
            // Small words are the ones that point inside.
            let word = match byte {
                [high, low] if *high >= 0x80 => i32::from_be_bytes([*high, *low, *low, *low]),
                [high, low] => i32::from(u16::from_be_bytes([*high, *low])),
                _ => i32::from(byte[0]),
            };
            bytes.extend(word.to_ne_bytes());
        }
        bytes.truncate(bytes.len().saturating_sub(usize::from(op >> 6)));
        if op & 16 != 0 {
            host.user(kind, &bytes, Some(script.piece()));
        } else {
            host.user(kind, &bytes, None);
        }
    }
    host.finish();
}
