//! flags: what `--so_flags` says: `KEY=VALUE`, parted by commas or blanks.

use millstream::Prefix;
use std::net::Ipv4Addr;

/// How the stack is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Our address and its network.
    pub(crate) local: Prefix,
    /// The router that everything goes to.
    pub(crate) gateway: Ipv4Addr,
    /// Octets of the largest packet.
    pub(crate) mtu: u16,
    /// Of the random numbers of modules.
    pub(crate) seed: u64,
    /// Parameters of `tcp`, in order.
    pub(crate) tcp: Vec<(String, String)>,
}

/// Why flags are not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("no flag {0}: there are local, gateway, mtu, seed, {TCP_KEYS}")]
    Unknown(String),
    #[error("{key}={value}: {want} is wanted")]
    Value { key: &'static str, value: String, want: &'static str },
}

/// The addresses that scripts of packetdrill have.
const USUAL: &str = "local=192.168.0.1/16,gateway=192.168.0.2,mtu=1500,seed=1";

/// The parameters of `tcp`, which sees to their values.
const TCP_KEYS: &str = "congestion, ecn, initial_window, rto_min, sack, timestamps, window_scale";

impl Flags {
    /// Reads them; what is not said is as usual.
    pub(crate) fn parse(text: &str) -> Result<Self, FlagError> {
        let (local, gateway) = (Prefix::DEFAULT_V4, Ipv4Addr::UNSPECIFIED);
        let mut flags = Self { local, gateway, mtu: 0, seed: 0, tcp: Vec::new() };
        let all = USUAL.split(',').chain(text.split([',', ' ']));
        for flag in all.filter(|flag| !flag.is_empty()) {
            let (key, value) =
                flag.split_once('=').ok_or_else(|| FlagError::Unknown(flag.to_owned()))?;
            flags.take(key, value)?;
        }
        Ok(flags)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), FlagError> {
        let wrong = |key, want| FlagError::Value { key, value: value.to_owned(), want };
        match key {
            "local" => {
                let local = value.parse().ok().filter(|local: &Prefix| local.address().is_ipv4());
                self.local = local.ok_or(wrong("local", "an IPv4 address with /BITS"))?;
            }
            "gateway" => {
                let gateway = value.parse();
                self.gateway = gateway.map_err(|_| wrong("gateway", "an IPv4 address"))?;
            }
            "mtu" => {
                let mtu = value.parse().ok().filter(|mtu| *mtu >= MTU_MIN);
                self.mtu = mtu.ok_or(wrong("mtu", "a number from 68 to 65535"))?;
            }
            "seed" => self.seed = value.parse().map_err(|_| wrong("seed", "a number"))?,
            key if TCP_KEYS.split(", ").any(|known| known == key) => {
                self.tcp.push((key.to_owned(), value.to_owned()));
            }
            key => return Err(FlagError::Unknown(key.to_owned())),
        }
        Ok(())
    }
}

/// RFC 791.
const MTU_MIN: u16 = 68;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flags_are_the_usual_ones() {
        let usual = Flags::parse("").unwrap();
        assert_eq!((usual.local.to_string().as_str(), usual.mtu), ("192.168.0.1/16", 1500));
        assert_eq!(Flags::parse(" , "), Ok(usual));
    }

    #[test]
    fn flags_are_parted_by_commas_and_blanks() {
        let flags = Flags::parse("local=10.0.0.1/8,gateway=10.0.0.9 mtu=576,sack=off").unwrap();
        assert_eq!(flags.local.to_string(), "10.0.0.1/8");
        assert_eq!((flags.gateway, flags.mtu), (Ipv4Addr::new(10, 0, 0, 9), 576));
        assert_eq!(flags.tcp, [("sack".to_owned(), "off".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("speed=9", "no flag speed: there are local, gateway, mtu, seed, congestion, ecn"),
            ("local", "no flag local: there are"),
            ("mtu=67", "mtu=67: a number from 68 to 65535 is wanted"),
            ("local=::1/64", "local=::1/64: an IPv4 address with /BITS is wanted"),
            ("gateway=here", "gateway=here: an IPv4 address is wanted"),
            ("seed=-1", "seed=-1: a number is wanted"),
        ] {
            let error = Flags::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
