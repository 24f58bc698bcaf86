//! Builds primitives on the stack.

use super::number::*;
use super::{ADDR_MAX, OptmgmtReq, State, encode_address, option, primitive};
use crate::Errno;
use core::net::SocketAddr;
use millstream_msg::{Kind, Msg, NoMem, Pool};

/// A primitive of TPI or DLPI: words, then addresses and options that the words point to.
#[derive(Clone, Copy, Debug)]
pub struct Primitive {
    bytes: [u8; PRIMITIVE_MAX],
    len: usize,
}

/// What T_INFO_ACK and T_CAPABILITY_ACK tell. Sizes in bytes, or [`T_INFINITE`], [`T_INVALID`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Largest message; 0: a stream of bytes.
    pub tsdu: i32,
    /// Largest expedited message.
    pub etsdu: i32,
    /// Most data with T_CONN primitives.
    pub cdata: i32,
    /// Most data with T_DISCON primitives.
    pub ddata: i32,
    /// Largest address.
    pub addr: i32,
    /// Longest option part.
    pub opt: i32,
    /// Most data in one message to the provider.
    pub tidu: i32,
    /// T_COTS, T_COTS_ORD or T_CLTS.
    pub service: i32,
    /// The state of the stream.
    pub state: State,
    /// PROVIDER_flag.
    pub provider: i32,
}

impl Info {
    fn words(&self) -> [i32; 11] {
        let Self { tsdu, etsdu, cdata, ddata, addr, opt, tidu, service, state, provider } = *self;
        let state = state as i32;
        [T_INFO_ACK, tsdu, etsdu, cdata, ddata, addr, opt, tidu, service, state, provider]
    }
}

/// Building, and reading what was built.
impl Primitive {
    /// Starts with these words.
    ///
    /// # Panics
    /// With more words than any primitive has.
    pub fn new(words: &[i32]) -> Self {
        let mut primitive = Self { bytes: [0; PRIMITIVE_MAX], len: 0 };
        assert!(words.len() <= WORDS_MAX, "a primitive of more than {WORDS_MAX} words");
        for word in words {
            primitive.bytes[primitive.len..primitive.len + 4].copy_from_slice(&word.to_ne_bytes());
            primitive.len += 4;
        }
        primitive
    }

    /// Appends an address and writes its length and offset at `at` and `at + 4`.
    #[must_use]
    pub fn with_address(self, at: usize, addr: SocketAddr) -> Self {
        let mut out = [0; ADDR_MAX];
        let n = encode_address(addr, &mut out);
        self.with_span(at, &out[..n])
    }

    /// Appends bytes and writes their length and offset at `at` and `at + 4`.
    ///
    /// # Panics
    /// When they find no room: two addresses, or [`OPTIONS_MAX`] bytes of options, do.
    #[must_use]
    pub fn with_span(mut self, at: usize, bytes: &[u8]) -> Self {
        let (from, to) = (self.len, self.len + bytes.len());
        self = self.with_word(at, bytes.len() as i32).with_word(at + 4, from as i32);
        self.bytes[from..to].copy_from_slice(bytes);
        self.len = to;
        self
    }

    /// Appends an option record to T_OPTMGMT_REQ or T_OPTMGMT_ACK.
    ///
    /// # Panics
    /// When [`OPTIONS_MAX`] is exceeded.
    #[must_use]
    pub fn with_option(mut self, record: &option::Record<'_>) -> Self {
        let len = option::HEADER_LEN + record.value.len();
        for word in [len as i32, record.level, record.name, record.status] {
            self.append(&word.to_ne_bytes());
        }
        self.append(record.value);
        self.len = self.len.next_multiple_of(4);
        let options = (self.len - OptmgmtReq::LEN) as i32;
        self.with_word(4, options).with_word(8, OptmgmtReq::LEN as i32)
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// As [`Primitive::with_span`].
    #[must_use]
    pub fn with_bytes(mut self, bytes: &[u8]) -> Self {
        self.append(bytes);
        self
    }

    /// Overwrites the word at `at`.
    #[must_use]
    pub fn with_word(mut self, at: usize, word: i32) -> Self {
        self.bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        self
    }

    /// Bytes that may be appended.
    pub const fn room(&self) -> usize {
        PRIMITIVE_MAX - self.len
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The message that carries it, from the pool's reserve: who waits for an answer gets one.
    ///
    /// # Errors
    /// [`NoMem`].
    pub fn to_msg(&self, kind: Kind, pool: &mut Pool) -> Result<Msg, NoMem> {
        let bytes = self.as_bytes();
        let mut msg = pool.alloc_reserve(0, bytes.len())?;
        msg.spare_mut()[..bytes.len()].copy_from_slice(bytes);
        msg.commit(bytes.len());
        msg.set_kind(kind);
        Ok(msg)
    }

    /// The type of message that carries it, for one of TPI.
    pub fn kind(&self) -> Kind {
        primitive(self.as_bytes()).and_then(kind).unwrap_or(Kind::Proto)
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// From the user to the provider.
impl Primitive {
    /// T_CONN_REQ to `peer`.
    pub fn conn_req(peer: SocketAddr) -> Self {
        Self::new(&[T_CONN_REQ, 0, 0, 0, 0]).with_address(4, peer)
    }

    /// T_CONN_RES: the connection `sequence` is taken by the stream `acceptor`.
    pub fn conn_res(acceptor: i32, sequence: i32) -> Self {
        Self::new(&[T_CONN_RES, acceptor, 0, 0, sequence])
    }

    /// T_DISCON_REQ; `sequence` names a connection that waits, else it is -1.
    pub fn discon_req(sequence: i32) -> Self {
        Self::new(&[T_DISCON_REQ, sequence])
    }

    /// T_DATA_REQ.
    pub fn data_req(more: bool) -> Self {
        Self::new(&[T_DATA_REQ, i32::from(more)])
    }

    /// T_EXDATA_REQ.
    pub fn exdata_req(more: bool) -> Self {
        Self::new(&[T_EXDATA_REQ, i32::from(more)])
    }

    /// T_INFO_REQ.
    pub fn info_req() -> Self {
        Self::new(&[T_INFO_REQ])
    }

    /// T_BIND_REQ for `addr` (port 0: any).
    pub fn bind_req(addr: SocketAddr) -> Self {
        Self::new(&[T_BIND_REQ, 0, 0, 0]).with_address(4, addr)
    }

    /// T_UNBIND_REQ.
    pub fn unbind_req() -> Self {
        Self::new(&[T_UNBIND_REQ])
    }

    /// T_UNITDATA_REQ to `to`.
    pub fn unitdata_req(to: SocketAddr) -> Self {
        Self::new(&[T_UNITDATA_REQ, 0, 0, 0, 0]).with_address(4, to)
    }

    /// T_OPTMGMT_REQ without options; see [`Primitive::with_option`].
    pub fn optmgmt_req(flags: i32) -> Self {
        Self::new(&[T_OPTMGMT_REQ, 0, 0, flags])
    }

    /// T_ORDREL_REQ.
    pub fn ordrel_req() -> Self {
        Self::new(&[T_ORDREL_REQ])
    }

    /// T_ADDR_REQ.
    pub fn addr_req() -> Self {
        Self::new(&[T_ADDR_REQ])
    }

    /// T_CAPABILITY_REQ.
    pub fn capability_req(bits: i32) -> Self {
        Self::new(&[T_CAPABILITY_REQ, bits])
    }
}

/// From the provider to the user.
impl Primitive {
    /// T_CONN_IND from `peer`.
    pub fn conn_ind(peer: SocketAddr, sequence: i32) -> Self {
        Self::new(&[T_CONN_IND, 0, 0, 0, 0, sequence]).with_address(4, peer)
    }

    /// T_CONN_CON by `peer`.
    pub fn conn_con(peer: SocketAddr) -> Self {
        Self::new(&[T_CONN_CON, 0, 0, 0, 0]).with_address(4, peer)
    }

    /// T_DISCON_IND; `sequence` as in [`Primitive::discon_req`].
    pub fn discon_ind(reason: Errno, sequence: i32) -> Self {
        Self::new(&[T_DISCON_IND, reason.0, sequence])
    }

    /// T_DATA_IND.
    pub fn data_ind(more: bool) -> Self {
        Self::new(&[T_DATA_IND, i32::from(more)])
    }

    /// T_EXDATA_IND.
    pub fn exdata_ind(more: bool) -> Self {
        Self::new(&[T_EXDATA_IND, i32::from(more)])
    }

    /// T_INFO_ACK.
    pub fn info_ack(info: &Info) -> Self {
        Self::new(&info.words())
    }

    /// T_BIND_ACK of `addr`.
    pub fn bind_ack(addr: SocketAddr) -> Self {
        Self::new(&[T_BIND_ACK, 0, 0, 0]).with_address(4, addr)
    }

    /// T_ERROR_ACK of a request.
    pub fn error_ack(of: i32, tli: i32, errno: Errno) -> Self {
        Self::new(&[T_ERROR_ACK, of, tli, errno.0])
    }

    /// T_OK_ACK of a request.
    pub fn ok_ack(of: i32) -> Self {
        Self::new(&[T_OK_ACK, of])
    }

    /// T_UNITDATA_IND from `from`.
    pub fn unitdata_ind(from: SocketAddr) -> Self {
        Self::new(&[T_UNITDATA_IND, 0, 0, 0, 0]).with_address(4, from)
    }

    /// T_UDERROR_IND: a datagram to `to` failed.
    pub fn uderror_ind(to: SocketAddr, errno: Errno) -> Self {
        Self::new(&[T_UDERROR_IND, 0, 0, 0, 0, errno.0]).with_address(4, to)
    }

    /// T_OPTMGMT_ACK without options; see [`Primitive::with_option`].
    pub fn optmgmt_ack(flags: i32) -> Self {
        Self::new(&[T_OPTMGMT_ACK, 0, 0, flags])
    }

    /// T_ORDREL_IND.
    pub fn ordrel_ind() -> Self {
        Self::new(&[T_ORDREL_IND])
    }

    /// T_ADDR_ACK.
    pub fn addr_ack(local: Option<SocketAddr>, remote: Option<SocketAddr>) -> Self {
        let mut ack = Self::new(&[T_ADDR_ACK, 0, 0, 0, 0]);
        for (at, addr) in [(4, local), (12, remote)] {
            if let Some(addr) = addr {
                ack = ack.with_address(at, addr);
            }
        }
        ack
    }

    /// T_CAPABILITY_ACK: tells what is given.
    pub fn capability_ack(info: Option<&Info>, acceptor: Option<i32>) -> Self {
        let mut words = [0; 14];
        words[0] = T_CAPABILITY_ACK;
        if let Some(info) = info {
            words[1] |= TC1_INFO;
            words[2..13].copy_from_slice(&info.words());
        }
        if let Some(acceptor) = acceptor {
            words[1] |= TC1_ACCEPTOR_ID;
            words[13] = acceptor;
        }
        Self::new(&words)
    }
}

/// Words of the longest primitive, DL_INFO_ACK.
const WORDS_MAX: usize = 19;
/// Bytes of options that a primitive built here takes: one group with its address, or two words.
pub const OPTIONS_MAX: usize = 64;
/// DL_INFO_ACK has an address of 8 bytes and one of 6; T_CONN_IND and its like have 6 words and two
/// addresses.
const PRIMITIVE_MAX: usize = 4 * WORDS_MAX + 16;

const _: () = assert!(PRIMITIVE_MAX >= 24 + 2 * ADDR_MAX);
const _: () = assert!(PRIMITIVE_MAX >= OptmgmtReq::LEN + OPTIONS_MAX);
