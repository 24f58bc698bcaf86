//! link: an RTM_NEWLINK message becomes the description of an interface; unknown attributes pass.

use super::wire::{attrs, text, u32_at};

/// An interface as the kernel described it; later changes don't show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Number in its namespace, above 0.
    pub index: u32,
    /// Name, 1 to 15 bytes.
    pub name: String,
    /// Ethernet address; None for interfaces that have none.
    pub mac: Option<[u8; 6]>,
    /// Largest packet, in bytes after the link-level header.
    pub mtu_bytes: u32,
    /// Frames that may wait to be sent.
    pub tx_queue_frames: u32,
    /// Switched on (IFF_UP).
    pub is_up: bool,
    /// Something is at the other end: for a TAP a program that has it open, for a veth a peer that
    /// is switched on.
    pub has_carrier: bool,
    /// Frames pass (RFC 2863 `up`, or unknown for interfaces that don't tell). This comes a moment
    /// after the carrier; until then the kernel drops what is sent.
    pub is_operational: bool,
    /// How many sockets take in frames for other addresses.
    pub promiscuity: u32,
    /// The kernel's word for the type, such as `tun` or `veth`; None for lo and physical
    /// interfaces.
    pub kind: Option<String>,
    /// More about an interface of the kind `tun`.
    pub tun: Option<TunLink>,
}

/// What the kernel tells about a TUN or TAP interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunLink {
    /// Carries Ethernet frames (TAP), not IP packets (TUN).
    pub is_tap: bool,
    /// Outlives the programs that open it.
    pub is_persistent: bool,
    /// Can be opened several times at once.
    pub is_multi_queue: bool,
    /// Puts a virtio_net_hdr in front of frames.
    pub has_vnet_header: bool,
    /// How many descriptors are attached; 0 or 1 without multi queue, always 0 on kernels before
    /// 4.18.
    pub queues: u32,
}

impl Link {
    /// Reads the body of an RTM_NEWLINK message; None if index or name is missing.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let flags = u32_at(body, 8)?;
        let mut link = Self {
            index: u32_at(body, 4)?,
            name: String::new(),
            mac: None,
            mtu_bytes: 0,
            tx_queue_frames: 0,
            is_up: flags & libc::IFF_UP as u32 != 0,
            has_carrier: false,
            is_operational: false,
            promiscuity: 0,
            kind: None,
            tun: None,
        };
        for (kind, value) in attrs(body.get(INTERFACE_BODY_BYTES..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = text(value),
                libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
                libc::IFLA_MTU => link.mtu_bytes = u32_at(value, 0)?,
                libc::IFLA_TXQLEN => link.tx_queue_frames = u32_at(value, 0)?,
                libc::IFLA_PROMISCUITY => link.promiscuity = u32_at(value, 0)?,
                libc::IFLA_OPERSTATE => {
                    link.is_operational =
                        matches!(value.first(), Some(&(IF_OPER_UNKNOWN | IF_OPER_UP)));
                }
                libc::IFLA_CARRIER => link.has_carrier = value.first() == Some(&1),
                libc::IFLA_LINKINFO => link.parse_info(value),
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }

    fn parse_info(&mut self, info: &[u8]) {
        let part = |wanted| attrs(info).find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
        self.kind = part(libc::IFLA_INFO_KIND).map(text);
        if self.kind.as_deref() == Some("tun") {
            self.tun = part(libc::IFLA_INFO_DATA).map(TunLink::parse);
        }
    }
}

impl TunLink {
    fn parse(data: &[u8]) -> Self {
        let mut tun = Self::default();
        for (kind, value) in attrs(data) {
            let is =
                |number: libc::c_int| value.first().copied().map(libc::c_int::from) == Some(number);
            match kind {
                IFLA_TUN_TYPE => tun.is_tap = is(libc::IFF_TAP),
                IFLA_TUN_VNET_HDR => tun.has_vnet_header = is(1),
                IFLA_TUN_PERSIST => tun.is_persistent = is(1),
                IFLA_TUN_MULTI_QUEUE => tun.is_multi_queue = is(1),
                IFLA_TUN_NUM_QUEUES => tun.queues = u32_at(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        tun
    }
}

/// struct ifinfomsg.
const INTERFACE_BODY_BYTES: usize = 16;
/// linux/if.h.
const IF_OPER_UNKNOWN: u8 = 0;
const IF_OPER_UP: u8 = 6;
/// linux/if_link.h; libc has none of these.
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_VNET_HDR: u16 = 5;
const IFLA_TUN_PERSIST: u16 = 6;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_TUN_NUM_QUEUES: u16 = 8;

#[cfg(test)]
mod tests {
    use super::super::interface_body;
    use super::super::wire::Request;
    use super::*;

    #[test]
    fn a_tap_is_read_with_all_its_attributes() {
        let up = libc::IFF_UP as u32;
        let bytes = Request::new(libc::RTM_NEWLINK, 0, &interface_body(7, up, 0))
            .attr(libc::IFLA_IFNAME, b"tap0\0")
            .attr(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9])
            .attr_u32(libc::IFLA_MTU, 9000)
            .attr_u32(libc::IFLA_TXQLEN, 512)
            .attr(libc::IFLA_CARRIER, &[1])
            .attr(libc::IFLA_OPERSTATE, &[5])
            .nest(libc::IFLA_LINKINFO, &[], |info| {
                info.attr(libc::IFLA_INFO_KIND, b"tun\0").nest(libc::IFLA_INFO_DATA, &[], |data| {
                    data.attr(IFLA_TUN_TYPE, &[2])
                        .attr(IFLA_TUN_MULTI_QUEUE, &[1])
                        .attr_u32(IFLA_TUN_NUM_QUEUES, 3)
                })
            })
            .finish(1);
        let link = Link::parse(&bytes[16..]).unwrap();
        assert_eq!((link.index, link.name.as_str()), (7, "tap0"));
        assert_eq!(link.mac, Some([2, 0, 0, 0, 0, 9]));
        assert_eq!((link.mtu_bytes, link.tx_queue_frames), (9000, 512));
        assert!(link.is_up && link.has_carrier && !link.is_operational, "dormant");
        assert_eq!(link.kind.as_deref(), Some("tun"));
        let tun = TunLink { is_tap: true, is_multi_queue: true, queues: 3, ..Default::default() };
        assert_eq!(link.tun, Some(tun));
    }

    #[test]
    fn a_message_without_a_name_or_cut_short_is_no_link() {
        assert_eq!(Link::parse(&interface_body(7, 0, 0)), None);
        assert_eq!(Link::parse(&[0; 10]), None);
    }
}
