//! Devices without a line below, for programs to be tried with: [`Echo`] gives back what it is
//! given, [`Loop`] joins two streams, [`Switch`] is a multiplexor to link streams below.
//!
//! Each is a multiplexor: opening it makes a stream, as a clone device does (`clone(7)`).

mod echo;
mod loop_around;
mod switch;

pub use echo::{Echo, INFO as ECHO};
pub use loop_around::{INFO as LOOP, LOOP_NUMBER, LOOP_SET, Loop};
pub use switch::{INFO as SWITCH, SWITCH_SELECT, Switch};

use millstream_core::ioctl::BLOCK;
use millstream_core::{Contract, Cx, Errno, Marks, MuxInfo, Upper};
use millstream_msg::{Kind, Msg};

/// What devices that pass messages as they are say of themselves.
const fn info(name: &'static str, about: &'static str) -> MuxInfo {
    MuxInfo {
        name,
        about,
        marks: Marks::DEFAULT,
        uwsrv: true,
        lrsrv: true,
        headroom: 0,
        contract: Contract::TRANSPARENT,
    }
}

/// The number in the data of an ioctl, if that is all there is.
fn number(ioctl: &Msg) -> Option<u32> {
    let mut bytes = [0; 4];
    (ioctl.len() == BLOCK + 4 && ioctl.copy_out(BLOCK, &mut bytes) == 4)
        .then(|| u32::from_ne_bytes(bytes))
}

/// A stream fails: there is nobody to take what it sends.
fn fail(cx: &mut Cx<'_>, upper: Upper) {
    tell(cx, upper, Kind::Error, &[Errno::ENXIO.0 as u8]);
}

/// Word of the device to a stream; without memory it learns of it by its next message.
fn tell(cx: &mut Cx<'_>, upper: Upper, kind: Kind, bytes: &[u8]) {
    let Ok(mut word) = cx.pool().alloc_reserve(0, bytes.len()) else { return };
    word.spare_mut()[..bytes.len()].copy_from_slice(bytes);
    word.commit(bytes.len());
    word.set_kind(kind);
    cx.put_upper(upper, word);
}
