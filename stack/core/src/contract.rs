//! Contracts: what messages are that a module takes and passes on, above and below, and what that
//! means for its neighbours. Checked when a stream is changed; nothing is checked per message.

use alloc::string::String;
use core::fmt;

/// What messages are, as far as neighbours have to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Bytes whose message boundaries mean nothing.
    Bytes,
    /// Ethernet frames.
    Frames,
    /// IP packets, and requests for them.
    Packets,
    /// Datagrams with TPI primitives.
    Datagrams,
}

/// A set of formats. [`Formats::ANY`] also means that nothing is known of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Formats(u8);

/// What goes over one boundary of a module, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joint {
    /// What messages from there may be.
    pub takes: Formats,
    /// What messages to there are; `ANY`: as they came from the other boundary.
    pub emits: Formats,
}

/// What a module or multiplexor asks of its neighbours and gives to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Towards the head.
    pub above: Joint,
    /// Towards the device.
    pub below: Joint,
    /// A message that goes out is one that came in, whole. A module that cuts and joins messages
    /// makes bytes of whatever it passes on.
    pub boundaries: bool,
}

impl Formats {
    /// All of them.
    pub const ANY: Self = Self(u8::MAX);

    /// One format.
    pub const fn of(format: Format) -> Self {
        Self(1 << format as u8)
    }

    /// These and those.
    #[must_use]
    pub const fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// May a message that is one of `sent` be taken? Of unknown ones nothing is asked.
    const fn take(self, sent: Self) -> bool {
        self.0 == Self::ANY.0 || sent.0 == Self::ANY.0 || sent.0 & !self.0 == 0
    }
}

impl Joint {
    /// The same in both directions.
    pub const fn both(formats: Formats) -> Self {
        Self { takes: formats, emits: formats }
    }
}

impl Contract {
    /// Passes whatever comes, as it came.
    pub const TRANSPARENT: Self = Self {
        above: Joint::both(Formats::ANY),
        below: Joint::both(Formats::ANY),
        boundaries: true,
    };

    /// One format above and one below, in both directions.
    pub const fn between(above: Format, below: Format) -> Self {
        Self {
            above: Joint::both(Formats::of(above)),
            below: Joint::both(Formats::of(below)),
            boundaries: true,
        }
    }
}

/// A node of a stream, as its neighbours see it.
#[derive(Clone, Copy)]
pub(crate) struct Party<'a> {
    pub(crate) name: &'a str,
    pub(crate) contract: Contract,
}

/// Which contract a change would break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The module, multiplexor or driver that would get what it does not take.
    pub taker: String,
    /// What it takes from there.
    pub takes: Formats,
    /// It would come from above.
    pub from_above: bool,
    /// Who would send it.
    pub sender: String,
    /// What that sends.
    pub sends: Formats,
    /// The position at which the module could be put in instead.
    pub fits_at: Option<usize>,
}

/// Do the nodes of a stream, from the bottom, agree?
pub(crate) fn check(parties: &[Party<'_>]) -> Result<(), Broken> {
    flow(parties.iter(), false)?;
    flow(parties.iter().rev(), true)
}

/// Follows what is sent in one direction.
fn flow<'a>(parties: impl Iterator<Item = &'a Party<'a>>, from_above: bool) -> Result<(), Broken> {
    let (mut sender, mut sends) = ("", Formats::ANY);
    for party in parties {
        let Contract { above, below, boundaries } = party.contract;
        let (takes, emits) =
            if from_above { (above.takes, below.emits) } else { (below.takes, above.emits) };
        if !takes.take(sends) {
            return Err(Broken {
                taker: party.name.into(),
                takes,
                from_above,
                sender: sender.into(),
                sends,
                fits_at: None,
            });
        }
        if emits != Formats::ANY {
            (sender, sends) = (party.name, emits);
        } else if !boundaries && sends != Formats::ANY {
            (sender, sends) = (party.name, Formats::of(Format::Bytes));
        }
    }
    Ok(())
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taker, takes, sender, sends, .. } = self;
        let side = if self.from_above { "above" } else { "below" };
        write!(f, "{taker} takes {takes} from {side}, but {sender} sends {sends}")?;
        match self.fits_at {
            Some(pos) => write!(f, "; it fits at position {pos}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("anything");
        }
        let mut first = true;
        for (format, name) in NAMES {
            if self.0 & Self::of(format).0 != 0 {
                f.write_str(if first { "" } else { " or " })?;
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Formats({self})")
    }
}

const NAMES: [(Format, &str); 4] = [
    (Format::Bytes, "bytes"),
    (Format::Frames, "Ethernet frames"),
    (Format::Packets, "IP packets"),
    (Format::Datagrams, "datagrams"),
];
