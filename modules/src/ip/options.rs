//! Options of an IPv4 header (RFC 791 section 3.1, treated as RFC 7126 says).

use super::IpDrop;

/// What was found among the options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Routers have to look at the packet (RFC 2113).
    pub router_alert: bool,
}

/// A fault, and its place for an ICMP parameter problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// `BadOption` or `SourceRoute`.
    pub reason: IpDrop,
    /// Byte of the IP header.
    pub pointer: u8,
}

/// Reads the bytes between the fixed header and the payload. Unknown options are skipped; record
/// route and timestamps are not filled in.
pub fn scan(options: &[u8]) -> Result<Options, BadOption> {
    let mut found = Options::default();
    for option in Walk::new(options) {
        let (at, option) = option?;
        match option.first() {
            Some(&LOOSE_ROUTE | &STRICT_ROUTE) => {
                return Err(BadOption { reason: IpDrop::SourceRoute, pointer: pointer(at) });
            }
            // The value is 0, "every router shall examine"; others are reserved.
            Some(&ROUTER_ALERT) => found.router_alert |= option == ROUTER_ALERT_OPTION,
            _ => {}
        }
    }
    Ok(found)
}

/// Copies the options that every fragment repeats into `to` and pads with zeros to whole words.
/// Returns the bytes used. Stops at a fault: what is malformed is not repeated.
pub fn copied(options: &[u8], to: &mut [u8; OPTIONS_MAX]) -> usize {
    let mut len = 0;
    for (_, option) in Walk::new(options).map_while(Result::ok) {
        let repeated = option.first().is_some_and(|kind| kind & COPIED != 0);
        let place = to.get_mut(len..len + option.len()).filter(|_| repeated);
        if let Some(place) = place {
            place.copy_from_slice(option);
            len += option.len();
        }
    }
    let padded = len.next_multiple_of(4);
    if let Some(padding) = to.get_mut(len..padded) {
        padding.fill(END);
    }
    padded
}

/// Goes from option to option. Each step consumes at least one byte.
struct Walk<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    const fn new(options: &'a [u8]) -> Self {
        Self { rest: options, at: 0 }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<(usize, &'a [u8]), BadOption>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let len = match *self.rest {
            [] | [END, ..] => return None,
            [NOP, ..] => 1,
            [_, len, ..] if len >= 2 => usize::from(len),
            _ => 0,
        };
        match self.rest.split_at_checked(len) {
            Some((option, rest)) if len > 0 => {
                self.rest = rest;
                self.at += len;
                Some(Ok((at, option)))
            }
            _ => {
                self.rest = &[];
                Some(Err(BadOption { reason: IpDrop::BadOption, pointer: pointer(at) }))
            }
        }
    }
}

fn pointer(at: usize) -> u8 {
    u8::try_from(super::view::MIN_HEADER_LEN + at).unwrap_or(u8::MAX)
}

/// Bytes of options that a header has room for.
pub const OPTIONS_MAX: usize = 40;
/// The router alert of IGMP (RFC 2113).
pub const ROUTER_ALERT_OPTION: [u8; 4] = [ROUTER_ALERT, 4, 0, 0];

const END: u8 = 0;
const NOP: u8 = 1;
const COPIED: u8 = 0x80;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(options: &[u8]) -> Option<(IpDrop, u8)> {
        scan(options).err().map(|e| (e.reason, e.pointer))
    }

    #[test]
    fn bad_input_6_option_length_0_and_1_and_beyond_the_header_are_refused() {
        assert_eq!(fault(&[1, 7, 0, 0]), Some((IpDrop::BadOption, 21)));
        assert_eq!(fault(&[7, 1, 0, 0]), Some((IpDrop::BadOption, 20)));
        assert_eq!(fault(&[7, 5, 0, 0]), Some((IpDrop::BadOption, 20)));
        assert_eq!(fault(&[1, 1, 1, 7]), Some((IpDrop::BadOption, 23)));
        assert_eq!(fault(&[7, 255, 0, 0]), Some((IpDrop::BadOption, 20)));
    }

    #[test]
    fn bad_input_6_source_routes_are_refused_wherever_their_pointer_points() {
        for kind in [LOOSE_ROUTE, STRICT_ROUTE] {
            for pointer in [0, 3, 4, 8, 255] {
                let options = [1, kind, 7, pointer, 1, 2, 3, 4];
                assert_eq!(fault(&options), Some((IpDrop::SourceRoute, 21)));
            }
        }
    }

    #[test]
    fn unknown_options_are_skipped_and_end_ends() {
        assert_eq!(scan(&[222, 4, 9, 9, 148, 4, 0, 0]), Ok(Options { router_alert: true }));
        assert_eq!(scan(&[0, 7, 0, 0]), Ok(Options::default()));
        assert_eq!(scan(&[7, 3, 4, 68, 4, 5, 0, 0]), Ok(Options::default()));
    }

    #[test]
    fn fragments_repeat_only_options_with_the_copied_bit() {
        let mut to = [9; OPTIONS_MAX];
        let len = copied(&[7, 3, 4, 148, 4, 0, 0, 130, 3, 5, 1, 0], &mut to);
        assert_eq!(&to[..len], &[148, 4, 0, 0, 130, 3, 5, 0]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_copies_fit(
            bytes in proptest::collection::vec(any::<u8>(), 0..=40),
        ) {
            let _ = scan(&bytes);
            let mut to = [0; OPTIONS_MAX];
            prop_assert!(copied(&bytes, &mut to) <= bytes.len().next_multiple_of(4));
        }
    }
}
