//! tap: our TAP as smoltcp wants a device: frames in one piece, read into one buffer and written
//! from one, with the virtio-net header in front.
//!
//! Behind [`Tap`](millstream_drivers::Tap) a super-frame would be three blocks and had to be copied
//! together first; on the descriptor of the same driver, with the same offloads, it need not be.

use ::smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, PacketMeta, RxToken,
    TxToken,
};
use ::smoltcp::time::Instant;
use millstream_drivers::tun::{TapFd, VNET_HEADER_BYTES};
use millstream_msg::checksum::sum_portable;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};

/// A TAP as a device of smoltcp.
#[derive(Debug)]
pub struct OverTap {
    fd: TapFd,
    /// 0 without offloads.
    header: usize,
    received: Vec<u8>,
    sent: Vec<u8>,
}

/// Ethernet, IPv4, TCP without options, and 44 segments of 1460 bytes: the most whole ones that a
/// length of IPv4 can tell.
const SUPER_FRAME: usize = 14 + 20 + 20 + 44 * 1460;

impl OverTap {
    /// With the offloads that [`Lab::tap_fd`](crate::lab::Lab::tap_fd) has set.
    pub fn new(fd: TapFd) -> Self {
        Self::with(fd, VNET_HEADER_BYTES)
    }

    /// Frame by frame, checksums computed, as the crate's own device.
    pub fn plain(fd: TapFd) -> Self {
        Self::with(fd, 0)
    }

    fn with(fd: TapFd, header: usize) -> Self {
        let room = || vec![0; VNET_HEADER_BYTES + (1 << 16) + 64];
        Self { fd, header, received: room(), sent: room() }
    }

    /// Polls readable when a frame waits.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Device for OverTap {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let n = rustix::io::read(&self.fd, &mut self.received).ok()?;
        let frame = self.received.get(self.header..n)?;
        let sending =
            Sending { fd: &self.fd, header: self.header, frame: &mut self.sent, segment: None };
        Some((Received(frame), sending))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        let Self { fd, header, sent, .. } = self;
        Some(Sending { fd, header: *header, frame: sent, segment: None })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 14 + 1500;
        if self.header > 0 {
            caps.checksum = ChecksumCapabilities::ignored();
            caps.checksum.ipv4 = Checksum::Tx;
            caps.segmentation.tcpv4 = NonZeroUsize::new(SUPER_FRAME);
        }
        caps
    }
}

/// A frame that has come.
#[derive(Debug)]
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// The place of a frame that goes.
#[derive(Debug)]
pub struct Sending<'a> {
    fd: &'a TapFd,
    header: usize,
    frame: &'a mut [u8],
    /// Payload of each packet of a super-frame.
    segment: Option<u16>,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let all = &mut self.frame[..self.header + len];
        let result = f(&mut all[self.header..]);
        if self.header > 0 {
            leave_to_device(all, self.segment);
        }
        // An interface that takes nothing is the kernel's loss.
        let _lost = rustix::io::write(self.fd, all);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size.map(Into::into);
    }
}

/// Writes the virtio-net header: the device computes the checksum of TCP over IPv4, for which the
/// pseudo-header's sum is put in its place, and cuts.
fn leave_to_device(bytes: &mut [u8], segment: Option<u16>) {
    let (header, frame) = bytes.split_at_mut(VNET_HEADER_BYTES);
    header.fill(0);
    if frame.len() < 54 || frame[12..14] != [8, 0] || frame[23] != 6 {
        return;
    }
    let length = (frame.len() - 34) as u16;
    let mut pseudo = [0; 12];
    pseudo[..8].copy_from_slice(&frame[26..34]);
    pseudo[9] = 6;
    pseudo[10..].copy_from_slice(&length.to_be_bytes());
    frame[50..52].copy_from_slice(&sum_portable(&pseudo).to_ne_bytes());
    header[0] = 1; // NEEDS_CSUM
    header[6..8].copy_from_slice(&34_u16.to_le_bytes());
    header[8..10].copy_from_slice(&16_u16.to_le_bytes());
    if let Some(segment) = segment {
        let headers = 34 + u16::from(frame[46] >> 4) * 4;
        header[1] = 1; // TCPV4
        header[2..4].copy_from_slice(&headers.to_le_bytes());
        header[4..6].copy_from_slice(&segment.to_le_bytes());
    }
}
