//! dlpi: an Ethernet as a data link provider (DLPI 2, style 1), so that programs send and receive
//! frames of their own beside `ip`. A multiplexor over the stream of one interface; every stream
//! above is attached to it.
//!
//! A stream binds an access point (DL_BIND_REQ): an ethertype, or 0 for frames with a length
//! (802.3). It gets each frame of that type which is for this station, for everybody, or for a
//! group that it enabled; several streams may have one access point, and each gets a copy. A
//! frame comes as DL_UNITDATA_IND and goes as DL_UNITDATA_REQ. DL_PROMISCON_REQ takes other
//! access points, groups, or every frame on the line.
//!
//! After DL_IOC_HDR_INFO (fast path) frames to this station come as M_DATA without header, and
//! M_DATA with the header that the ioctl gave goes out. After DLIOCRAW whole frames pass both
//! ways, bound or not; with DL_PROMISC_PHYS that is how `ip` and `arp` use it. A super-frame
//! stays whole for raw streams and is cut for others.
//!
//! A stream that does not read loses frames, as `dlpi_receiver_full`; frames down wait for the
//! line. What a stream sends is not shown to the others.

use crate::actions::reasons;

mod engine;
mod mux;
mod request;

pub use engine::{Engine, GROUPS_MAX};
pub use mux::Dlpi;

reasons! {
    /// Why `dlpi` dropped a frame or a request.
    pub enum DlpiDrop {
        /// Shorter than an Ethernet header.
        Short => "dlpi_short",
        /// No stream wants it.
        NoTaker => "dlpi_no_taker",
        /// The reader's queue is full.
        ReceiverFull => "dlpi_receiver_full",
        /// M_DATA on a stream that is neither raw nor fast.
        NoHeader => "dlpi_no_header",
        /// DL_UNITDATA_REQ that cannot be sent: its sender is told.
        NotSent => "dlpi_not_sent",
        /// A message that is no primitive.
        BadRequest => "dlpi_bad_request",
        /// A super-frame that does not fit its own headers.
        BadOffload => "dlpi_bad_offload",
        /// No message cell was left.
        NoMem => "dlpi_no_mem",
    }
}
