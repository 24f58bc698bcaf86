//! A table with stable, generational keys.

use alloc::vec::Vec;

/// Names an entry. A key of an entry that is gone finds nothing, even when its place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Place in the table.
    pub index: u32,
    /// Which of the entries that had this place.
    pub generation: u32,
}

/// The table.
#[derive(Debug)]
pub struct Slab<T> {
    values: Vec<Option<T>>,
    /// Beside the values, whose size is a power of two where speed counts.
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    /// What an entry takes. Bytes.
    pub const ENTRY_BYTES: usize = size_of::<Option<T>>() + size_of::<u32>();

    /// An empty table.
    pub const fn new() -> Self {
        Self { values: Vec::new(), generations: Vec::new(), free: Vec::new() }
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// At 2^32 entries.
    pub fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            self.values[index as usize] = Some(value);
            return Key { index, generation: self.generations[index as usize] };
        }
        let len = self.values.len();
        let index = u32::try_from(len).expect("fewer than 2^32 entries");
        if len == self.values.capacity() {
            // By a 64th: the room of a large table is nearly all in use, and moving one that large
            // is cheap, as the allocator moves pages.
            let more = (len / 64).max(16);
            self.values.reserve_exact(more);
            self.generations.reserve_exact(more);
        }
        self.values.push(Some(value));
        self.generations.push(0);
        Key { index, generation: 0 }
    }

    /// Takes an entry out; its key is stale from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let generation = self.generations.get_mut(key.index as usize)?;
        if *generation != key.generation {
            return None;
        }
        let value = self.values.get_mut(key.index as usize)?.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// The entry of a key.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        let generation = *self.generations.get(key.index as usize)?;
        if generation == key.generation { self.at(key.index) } else { None }
    }

    /// The entry of a key, to change.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let generation = *self.generations.get(key.index as usize)?;
        if generation == key.generation { self.at_mut(key.index) } else { None }
    }

    /// The entry at a place, whatever its generation.
    #[inline]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.values.get(index as usize)?.as_ref()
    }

    /// The entry at a place, to change.
    #[inline]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.values.get_mut(index as usize)?.as_mut()
    }

    /// The key of the entry at a place.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        self.entry_at(index).map(|(key, _)| key)
    }

    /// The key and the entry at a place.
    #[inline]
    pub fn entry_at(&self, index: u32) -> Option<(Key, &T)> {
        let value = self.at(index)?;
        Some((Key { index, generation: *self.generations.get(index as usize)? }, value))
    }

    /// Entries with their keys, in order of place.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..self.values.len() as u32).filter_map(|index| self.entry_at(index))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}
