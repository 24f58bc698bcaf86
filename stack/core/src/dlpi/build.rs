//! Builds primitives of DLPI. The type of the message that carries one is [`super::kind`].

use super::*;

/// What DL_INFO_ACK tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Most bytes of a frame behind its header.
    pub max_sdu: u16,
    /// The state of the stream.
    pub state: State,
    /// The address of the stream; its access point is 0 before it is bound.
    pub address: Address,
}

/// DL_INFO_REQ.
pub fn info_req() -> Primitive {
    Primitive::new(&[DL_INFO_REQ])
}

/// DL_INFO_ACK of an Ethernet of style 1.
pub fn info_ack(info: &Info) -> Primitive {
    let mut words = [0; 19];
    words[0] = DL_INFO_ACK;
    words[1] = i32::from(info.max_sdu);
    words[3] = Address::LEN as i32;
    words[4] = DL_ETHER;
    words[6] = info.state as i32;
    // The access point is behind the station, in 2 bytes.
    words[7] = -2;
    words[8] = DL_CLDLS;
    words[13] = DL_STYLE1;
    words[15] = DL_VERSION_2;
    let mut at = [0; Address::LEN + BROADCAST.len()];
    at[..Address::LEN].copy_from_slice(&info.address.to_bytes());
    at[Address::LEN..].copy_from_slice(&BROADCAST);
    let offset = InfoAck::LEN as i32;
    words[14] = offset;
    words[16] = BROADCAST.len() as i32;
    words[17] = offset + Address::LEN as i32;
    Primitive::new(&words).with_bytes(&at)
}

/// DL_BIND_REQ.
pub fn bind_req(sap: u16) -> Primitive {
    Primitive::new(&[DL_BIND_REQ, i32::from(sap), 0, DL_CLDLS, 0])
}

/// DL_BIND_ACK.
pub fn bind_ack(address: Address) -> Primitive {
    let words = [DL_BIND_ACK, i32::from(address.sap), 0, 0, 0, 0];
    Primitive::new(&words).with_span(8, &address.to_bytes())
}

/// DL_UNBIND_REQ.
pub fn unbind_req() -> Primitive {
    Primitive::new(&[DL_UNBIND_REQ])
}

/// DL_ERROR_ACK of a request.
pub fn error_ack(of: i32, dl_errno: i32, errno: Errno) -> Primitive {
    Primitive::new(&[DL_ERROR_ACK, of, dl_errno, errno.0])
}

/// DL_OK_ACK of a request.
pub fn ok_ack(of: i32) -> Primitive {
    Primitive::new(&[DL_OK_ACK, of])
}

/// DL_UNITDATA_REQ.
pub fn unitdata_req(dest: Address) -> Primitive {
    Primitive::new(&[DL_UNITDATA_REQ, 0, 0, 0, 0]).with_span(4, &dest.to_bytes())
}

/// DL_UNITDATA_IND.
pub fn unitdata_ind(dest: Address, src: Address, group: bool) -> Primitive {
    Primitive::new(&[DL_UNITDATA_IND, 0, 0, 0, 0, i32::from(group)])
        .with_span(4, &dest.to_bytes())
        .with_span(12, &src.to_bytes())
}

/// DL_UDERROR_IND: a frame to `dest`, as it was given, failed.
pub fn uderror_ind(dest: &[u8], dl_errno: i32, errno: Errno) -> Primitive {
    Primitive::new(&[DL_UDERROR_IND, 0, 0, errno.0, dl_errno]).with_span(4, dest)
}

/// DL_ENABMULTI_REQ, or DL_DISABMULTI_REQ.
pub fn multi_req(on: bool, group: [u8; 6]) -> Primitive {
    let number = if on { DL_ENABMULTI_REQ } else { DL_DISABMULTI_REQ };
    Primitive::new(&[number, 0, 0]).with_span(4, &group)
}

/// DL_PROMISCON_REQ, or DL_PROMISCOFF_REQ.
pub fn promisc_req(on: bool, level: i32) -> Primitive {
    Primitive::new(&[if on { DL_PROMISCON_REQ } else { DL_PROMISCOFF_REQ }, level])
}

/// DL_PHYS_ADDR_REQ.
pub fn phys_addr_req(addr_type: i32) -> Primitive {
    Primitive::new(&[DL_PHYS_ADDR_REQ, addr_type])
}

/// DL_PHYS_ADDR_ACK.
pub fn phys_addr_ack(mac: [u8; 6]) -> Primitive {
    Primitive::new(&[DL_PHYS_ADDR_ACK, 0, 0]).with_span(4, &mac)
}

const BROADCAST: [u8; 6] = [0xff; 6];
