//! Sockets that the other side is to look at, as bits in two steps: any number is told of by any
//! thread, each once, and nothing overflows. With it goes a flag of who sleeps.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Bits of up to 4096 sockets.
#[derive(Debug)]
pub struct Bits<'a> {
    /// Words that are not zero.
    summary: &'a AtomicU64,
    words: &'a [AtomicU64],
}

impl<'a> Bits<'a> {
    /// Over words that both sides see.
    pub fn over(summary: &'a AtomicU64, words: &'a [AtomicU64]) -> Self {
        Self { summary, words }
    }

    /// The other side is to look at this one.
    pub fn set(&self, at: usize) {
        let (word, bit) = (at / 64, 1 << (at % 64));
        // Set already: the other side has not looked since, and the summary says so, or will.
        if self.words[word].fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.summary.fetch_or(1 << word, Ordering::AcqRel);
        }
    }

    /// None is set, as far as the summary tells.
    pub fn is_empty(&self) -> bool {
        self.summary.load(Ordering::Acquire) == 0
    }

    /// Calls `look` with each that is set, and takes it out before. A word that the other side has
    /// no sockets for is ignored.
    pub fn take(&self, mut look: impl FnMut(usize)) {
        if self.is_empty() {
            return;
        }
        let mut some = self.summary.swap(0, Ordering::AcqRel);
        while some != 0 {
            let word = some.trailing_zeros() as usize;
            some &= some - 1;
            let Some(bits) = self.words.get(word) else { continue };
            let mut bits = bits.swap(0, Ordering::AcqRel);
            while bits != 0 {
                look(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// Who has put something in, asks: has the other side's bell to be rung?
pub fn must_ring(asleep: &AtomicU32) -> bool {
    // Pairs with the fence of who falls asleep: it sees what was put in, or is seen to sleep.
    fence(Ordering::SeqCst);
    // Once: the first who finds it asleep rings.
    asleep.load(Ordering::Relaxed) != 0 && asleep.swap(0, Ordering::AcqRel) != 0
}

/// Who finds nothing to do says that it sleeps, and looks once more afterwards.
pub fn fall_asleep(asleep: &AtomicU32) {
    asleep.store(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(n: usize) -> Vec<AtomicU64> {
        (0..n).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn each_that_was_set_is_seen_once() {
        let (summary, words) = (AtomicU64::new(0), words(64));
        let bits = Bits::over(&summary, &words);
        for at in [4095, 0, 64, 0, 63] {
            bits.set(at);
        }
        let mut seen = Vec::new();
        bits.take(|at| seen.push(at));
        assert_eq!(seen, [0, 63, 64, 4095]);
        assert!(bits.is_empty());
        bits.take(|_| panic!("taken before"));
    }

    #[test]
    fn a_summary_that_lies_names_nobody() {
        let (summary, words) = (AtomicU64::new(u64::MAX), words(2));
        Bits::over(&summary, &words).take(|at| panic!("{at}"));
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    /// Whatever the order, who puts something in and who falls asleep do not miss each other.
    #[test]
    fn model_who_sleeps_is_rung_for_what_it_has_not_seen() {
        loom::model(|| {
            let shared = Arc::new((AtomicU64::new(0), [AtomicU64::new(0)], AtomicU32::new(0)));
            let theirs = shared.clone();
            let teller = loom::thread::spawn(move || {
                Bits::over(&theirs.0, &theirs.1).set(3);
                must_ring(&theirs.2)
            });
            let bits = Bits::over(&shared.0, &shared.1);
            let mut seen = false;
            bits.take(|_| seen = true);
            fall_asleep(&shared.2);
            bits.take(|_| seen = true);
            let rung = teller.join().unwrap();
            assert!(seen || rung, "it would sleep for ever");
        });
    }

    /// Two who tell of two sockets: none is lost between the word and the summary.
    #[test]
    fn model_two_that_are_told_of_at_once_are_both_seen() {
        loom::model(|| {
            let shared = Arc::new((AtomicU64::new(0), [AtomicU64::new(0)]));
            let tellers: Vec<_> = [1, 2]
                .map(|at| {
                    let theirs = shared.clone();
                    loom::thread::spawn(move || Bits::over(&theirs.0, &theirs.1).set(at))
                })
                .into();
            let bits = Bits::over(&shared.0, &shared.1);
            let mut seen = 0;
            bits.take(|at| seen |= 1 << at);
            tellers.into_iter().for_each(|teller| teller.join().unwrap());
            bits.take(|at| seen |= 1 << at);
            assert_eq!(seen, 0b110);
        });
    }
}
