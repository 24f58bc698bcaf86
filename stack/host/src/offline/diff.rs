//! Two lists of messages become their differences: what is missing, what is new, and which bytes
//! of what changed.

use super::Message;
use std::ops::Range;

/// One difference. Numbers count from 0 in their list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was expected and did not come.
    Missing(usize),
    /// It came and was not expected.
    Added(usize),
    /// It came in another form.
    Changed {
        /// Number of the one that was expected.
        expected: usize,
        /// Number of the one that came.
        got: usize,
        /// Places of bytes that differ, in what both have.
        bytes: Vec<Range<usize>>,
        /// Lengths, when they differ.
        len: Option<(usize, usize)>,
        /// Names of what differs besides: `types`, `band`, `offload`.
        fields: Vec<&'static str>,
    },
}

/// Compares messages in their order. Times are not compared.
///
/// Where two differ, the nearest place is looked for where the lists go on alike; without one the
/// two are taken for one message that changed.
pub fn diff(expected: &[&Message], got: &[&Message]) -> Vec<Difference> {
    let mut found = Vec::new();
    let (mut e, mut g) = (0, 0);
    while let (Some(&want), Some(&have)) = (expected.get(e), got.get(g)) {
        if alike(want, have) {
            (e, g) = (e + 1, g + 1);
            continue;
        }
        let near = (1..WINDOW).find_map(|ahead| {
            let missing = expected.get(e + ahead).is_some_and(|want| alike(want, have));
            let added = got.get(g + ahead).is_some_and(|have| alike(want, have));
            (missing || added).then_some((ahead, missing))
        });
        match near {
            Some((ahead, true)) => {
                found.extend((e..e + ahead).map(Difference::Missing));
                e += ahead;
            }
            Some((ahead, false)) => {
                found.extend((g..g + ahead).map(Difference::Added));
                g += ahead;
            }
            None => {
                found.push(changed(e, want, g, have));
                (e, g) = (e + 1, g + 1);
            }
        }
    }
    found.extend((e..expected.len()).map(Difference::Missing));
    found.extend((g..got.len()).map(Difference::Added));
    found
}

fn alike(a: &Message, b: &Message) -> bool {
    (a.band, a.offload, &a.parts) == (b.band, b.offload, &b.parts)
}

fn changed(expected: usize, want: &Message, got: usize, have: &Message) -> Difference {
    let (a, b) = (want.bytes(), have.bytes());
    let mut bytes: Vec<Range<usize>> = Vec::new();
    for at in (0..a.len().min(b.len())).filter(|&at| a[at] != b[at]) {
        match bytes.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => bytes.push(at..at + 1),
        }
    }
    let types = |message: &Message| -> Vec<_> {
        message.parts.iter().map(|(kind, bytes)| (*kind, bytes.len())).collect()
    };
    let fields = [
        ("types", a.len() == b.len() && types(want) != types(have)),
        ("band", want.band != have.band),
        ("offload", want.offload != have.offload),
    ];
    Difference::Changed {
        expected,
        got,
        bytes,
        len: (a.len() != b.len()).then_some((a.len(), b.len())),
        fields: fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect(),
    }
}

/// Messages that may be missing or new in a row and are still told from changed ones.
const WINDOW: usize = 64;
