//! handle: ids of objects as clients keep them. A keyed sum over all of it makes a guess as good as
//! none; a handle of another start of the server is stale, not bad.

use crate::vfs::{Error, Id};
use millstream_modules::siphash::Sip;

/// Makes handles and reads them.
#[derive(Clone, Copy, Debug)]
pub struct Handles {
    key: Sip<2, 4>,
    /// Which start of the server it was.
    instance: u64,
}

impl Handles {
    /// Handles with this random key.
    pub fn new(random: u64) -> Self {
        // Apart from the key, which nobody may learn.
        let instance = Sip::<2, 4>::derived(random, INSTANCE).words([]);
        Self { key: Sip::derived(random, SUM), instance }
    }

    /// The handle of an object of an export.
    pub fn make(&self, export: usize, id: Id) -> [u8; HANDLE_LEN] {
        let words = [self.instance, export as u64, id.number, id.generation];
        let mut handle = [0; HANDLE_LEN];
        for (place, word) in handle.chunks_mut(8).zip(words.into_iter().chain([self.sum(words)])) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        handle
    }

    /// Export and object that a handle names.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if it was not made by a server, [`Error::Stale`] if by another one.
    pub fn read(&self, handle: &[u8]) -> Result<(usize, Id), Error> {
        let handle: [u8; HANDLE_LEN] = handle.try_into().map_err(|_| Error::BadHandle)?;
        let mut words = [0; HANDLE_LEN / 8];
        for (word, octets) in words.iter_mut().zip(handle.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*octets);
        }
        let [instance, export, number, generation, sum] = words;
        if instance != self.instance {
            return Err(Error::Stale);
        }
        if sum != self.sum([instance, export, number, generation]) {
            return Err(Error::BadHandle);
        }
        Ok((export as usize, Id { number, generation }))
    }

    fn sum(&self, words: [u64; 4]) -> u64 {
        self.key.words(words)
    }
}

/// Octets of a handle; 64 are the most.
pub const HANDLE_LEN: usize = 40;
/// What keys are derived for.
const INSTANCE: u64 = 1;
const SUM: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = Id { number: 0x0102_0304_0506_0708, generation: 9 };

    #[test]
    fn a_handle_names_its_object() {
        let handles = Handles::new(7);
        assert_eq!(handles.read(&handles.make(3, ID)), Ok((3, ID)));
        assert_ne!(handles.make(3, ID), handles.make(2, ID));
    }

    #[test]
    fn no_bit_of_a_handle_can_be_changed_and_no_octet_left_out() {
        let handles = Handles::new(7);
        let handle = handles.make(3, ID);
        for bit in 0..HANDLE_LEN * 8 {
            let mut other = handle;
            other[bit / 8] ^= 1 << (bit % 8);
            let refused = if bit < 64 { Error::Stale } else { Error::BadHandle };
            assert_eq!(handles.read(&other), Err(refused), "bit {bit}");
        }
        for len in 0..HANDLE_LEN {
            assert_eq!(handles.read(&handle[..len]), Err(Error::BadHandle));
        }
        assert_eq!(handles.read(&[&handle[..], &[0]].concat()), Err(Error::BadHandle));
    }

    #[test]
    fn a_handle_of_another_start_is_stale() {
        let handle = Handles::new(7).make(0, ID);
        assert_eq!(Handles::new(8).read(&handle), Err(Error::Stale));
    }
}
