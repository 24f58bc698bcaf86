//! Who calls: credentials of RFC 5531, and the flavours that read and write them.

use crate::xdr::{Decoder, Encoder, Fault, padding};
use core::fmt;

/// Who calls, as the caller says. Nothing of it is proven: hosts and ports are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "in place: a call allocates nothing")]
pub enum Credential {
    /// AUTH_NONE: nobody is named.
    #[default]
    None,
    /// AUTH_SYS: numbers of a Unix user.
    Sys(Sys),
    /// What a flavour of its own accepted: its number.
    Other(u32),
}

/// The body of AUTH_SYS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sys {
    /// Any number the caller's machine chose.
    pub stamp: u32,
    /// Name of the caller's machine.
    pub machine: Machine,
    /// Number of the user.
    pub uid: u32,
    /// Number of the user's first group.
    pub gid: u32,
    /// Numbers of further groups.
    pub gids: Gids,
}

/// Name of a machine: at most [`Machine::MAX`] octets, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    len: u8,
    octets: [u8; Self::MAX],
}

/// Numbers of groups: at most [`Gids::MAX`], in place.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Gids {
    len: u8,
    gids: [u32; Self::MAX],
}

/// A flavour of authentication: what may stand in a credential.
pub trait Flavor: Send + Sync {
    /// Its number on the wire.
    fn number(&self) -> u32;

    /// At a server: reads the body of a call's credential; `verifier` is that of the call.
    ///
    /// # Errors
    /// What the caller is told: mostly [`AuthStat::BadCred`], [`AuthStat::BadVerf`].
    fn accept(&self, body: Decoder<'_>, verifier: Verifier<'_>) -> Result<Credential, AuthStat>;

    /// At a client: writes the body of `credential`, its length in front. `false`, and nothing is
    /// written, when it is not of this flavour.
    ///
    /// # Errors
    /// [`Fault::NoMem`].
    fn write(&self, credential: &Credential, to: &mut Encoder<'_>) -> Result<bool, Fault>;
}

/// The verifier of a call.
#[derive(Clone, Debug)]
pub struct Verifier<'a> {
    /// Number of its flavour.
    pub flavor: u32,
    /// Its octets.
    pub body: Decoder<'a>,
}

/// AUTH_NONE.
#[derive(Clone, Copy, Debug)]
pub struct AuthNone;

/// AUTH_SYS.
#[derive(Clone, Copy, Debug)]
pub struct AuthSys;

/// The flavours of this crate.
pub const FLAVORS: &[&dyn Flavor] = &[&AuthNone, &AuthSys];

/// Why a caller is not believed (RFC 5531, 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AuthStat {
    /// The credential is broken.
    BadCred,
    /// The credential is not taken: begin a new session.
    RejectedCred,
    /// The verifier is broken.
    BadVerf,
    /// The verifier expired or was replayed.
    RejectedVerf,
    /// Security wants more than this.
    TooWeak,
    /// The answer's verifier is wrong (told by clients to themselves).
    InvalidResp,
    /// Something else.
    Failed,
    /// A number that this crate does not know.
    Unknown(u32),
}

impl AuthStat {
    /// Its number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Self::BadCred => 1,
            Self::RejectedCred => 2,
            Self::BadVerf => 3,
            Self::RejectedVerf => 4,
            Self::TooWeak => 5,
            Self::InvalidResp => 6,
            Self::Failed => 7,
            Self::Unknown(number) => number,
        }
    }
}

impl From<u32> for AuthStat {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::BadCred,
            2 => Self::RejectedCred,
            3 => Self::BadVerf,
            4 => Self::RejectedVerf,
            5 => Self::TooWeak,
            6 => Self::InvalidResp,
            7 => Self::Failed,
            number => Self::Unknown(number),
        }
    }
}

impl fmt::Display for AuthStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadCred => "the credential is broken",
            Self::RejectedCred => "the credential is not taken",
            Self::BadVerf => "the verifier is broken",
            Self::RejectedVerf => "the verifier is not taken",
            Self::TooWeak => "the flavour of the credential is too weak",
            Self::InvalidResp => "the answer's verifier is wrong",
            Self::Failed => "who calls is not believed",
            Self::Unknown(number) => return write!(f, "who calls is not believed, {number}"),
        })
    }
}

impl Flavor for AuthNone {
    fn number(&self) -> u32 {
        AUTH_NONE
    }

    /// RFC 5531 leaves the body of AUTH_NONE undefined and asks for an empty one: any is taken.
    fn accept(&self, _: Decoder<'_>, _: Verifier<'_>) -> Result<Credential, AuthStat> {
        Ok(Credential::None)
    }

    fn write(&self, credential: &Credential, to: &mut Encoder<'_>) -> Result<bool, Fault> {
        let ours = *credential == Credential::None;
        if ours {
            to.u32(0)?;
        }
        Ok(ours)
    }
}

impl Flavor for AuthSys {
    fn number(&self) -> u32 {
        AUTH_SYS
    }

    fn accept(&self, mut body: Decoder<'_>, _: Verifier<'_>) -> Result<Credential, AuthStat> {
        let sys = Sys::read(&mut body).map_err(|_| AuthStat::BadCred)?;
        body.finish().map_err(|_| AuthStat::BadCred)?;
        Ok(Credential::Sys(sys))
    }

    fn write(&self, credential: &Credential, to: &mut Encoder<'_>) -> Result<bool, Fault> {
        let Credential::Sys(sys) = credential else { return Ok(false) };
        to.length(sys.wire_len())?;
        sys.write(to)?;
        Ok(true)
    }
}

impl Sys {
    fn read(from: &mut Decoder<'_>) -> Result<Self, Fault> {
        let stamp = from.u32()?;
        let name = from.opaque(Machine::MAX)?;
        let mut machine = Machine { len: name.len() as u8, octets: [0; Machine::MAX] };
        name.copy_to(&mut machine.octets);
        let (uid, gid) = (from.u32()?, from.u32()?);
        let len = from.length(Gids::MAX)?;
        let mut gids = Gids { len: len as u8, gids: [0; Gids::MAX] };
        for gid in &mut gids.gids[..len] {
            *gid = from.u32()?;
        }
        Ok(Self { stamp, machine, uid, gid, gids })
    }

    fn write(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        to.u32(self.stamp)?;
        to.length(self.machine.octets().len())?;
        to.opaque_fixed(self.machine.octets())?;
        to.u32(self.uid)?;
        to.u32(self.gid)?;
        to.length(self.gids.len())?;
        self.gids.iter().try_for_each(|&gid| to.u32(gid))
    }

    /// Octets of the body.
    fn wire_len(&self) -> usize {
        let name = self.machine.octets().len();
        20 + name + padding(name) + 4 * self.gids.len()
    }
}

impl Machine {
    /// The most octets of a name (RFC 5531, appendix A).
    pub const MAX: usize = 255;

    /// A name; `None` when it is too long.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut octets = [0; Self::MAX];
        octets.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { len: name.len() as u8, octets })
    }

    /// The name's octets: any that the caller sent.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self { len: 0, octets: [0; Self::MAX] }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.octets().escape_ascii())
    }
}

impl Gids {
    /// The most groups (RFC 5531, appendix A).
    pub const MAX: usize = 16;

    /// Numbers of groups; `None` when there are too many.
    pub fn new(numbers: &[u32]) -> Option<Self> {
        let mut gids = [0; Self::MAX];
        gids.get_mut(..numbers.len())?.copy_from_slice(numbers);
        Some(Self { len: numbers.len() as u8, gids })
    }
}

impl core::ops::Deref for Gids {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.gids[..usize::from(self.len)]
    }
}

impl fmt::Debug for Gids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The most octets of a credential's or verifier's body (RFC 5531, 8.2).
pub const BODY_MAX: usize = 400;

/// Number of the flavour that names nobody.
pub const AUTH_NONE: u32 = 0;

/// Number of the flavour that names a Unix user.
pub const AUTH_SYS: u32 = 1;
