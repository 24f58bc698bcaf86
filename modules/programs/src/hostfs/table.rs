//! table: where the objects are that clients have handles of: each one's directory and name there.
//! It is bounded; what has not been used for longest is forgotten, and its handles are stale until
//! it is looked up again.

use crate::vfs::Id;
use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
pub(super) struct Table {
    top: Id,
    known: HashMap<Id, Known>,
    /// In the order in which they came, or were last spared.
    order: VecDeque<Id>,
    most: usize,
}

#[derive(Debug)]
struct Known {
    /// The latest one last.
    places: Vec<Place>,
    /// Used since it was last looked at to be forgotten.
    used: bool,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: Id,
    pub(super) name: Box<[u8]>,
}

impl Table {
    pub(super) fn new(top: Id, most: usize) -> Self {
        Self { top, known: HashMap::new(), order: VecDeque::new(), most }
    }

    /// An object was found there.
    pub(super) fn found(&mut self, id: Id, dir: Id, name: &[u8]) {
        let place = Place { dir, name: name.into() };
        if let Some(known) = self.known.get_mut(&id) {
            known.used = true;
            known.places.retain(|other| *other != place);
            if known.places.len() == PLACES_MAX {
                known.places.remove(0);
            }
            return known.places.push(place);
        }
        while self.known.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            match self.known.get_mut(&oldest) {
                Some(known) if known.used => {
                    known.used = false;
                    self.order.push_back(oldest);
                }
                _ => drop(self.known.remove(&oldest)),
            }
        }
        self.known.insert(id, Known { places: vec![place], used: false });
        self.order.push_back(id);
    }

    /// An object has lost this name.
    pub(super) fn lost(&mut self, id: Id, dir: Id, name: &[u8]) {
        if let Some(known) = self.known.get_mut(&id) {
            known.places.retain(|place| place.dir != dir || *place.name != *name);
            // Its entry in the order stays until it is the oldest; then it is nobody's.
            if known.places.is_empty() {
                self.known.remove(&id);
            }
        }
    }

    /// The names that an object has, the latest first.
    pub(super) fn places(&mut self, id: Id) -> Vec<Place> {
        let Some(known) = self.known.get_mut(&id) else { return Vec::new() };
        known.used = true;
        known.places.iter().rev().cloned().collect()
    }

    /// The path of a directory below the top, `.` for the top; `None` if it is not known.
    pub(super) fn path(&mut self, mut dir: Id) -> Option<Vec<u8>> {
        let mut names: Vec<&[u8]> = Vec::new();
        // A chain that is longer is one that two renames have closed to a circle.
        let mut steps = 0;
        let mut uses = Vec::new();
        while dir != self.top {
            let place = self.known.get(&dir)?.places.last()?;
            uses.push(dir);
            names.push(&place.name);
            dir = place.dir;
            steps += 1;
            if steps > DEPTH_MAX {
                return None;
            }
        }
        names.reverse();
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        for id in uses {
            if let Some(known) = self.known.get_mut(&id) {
                known.used = true;
            }
        }
        Some(path)
    }
}

/// Names of one object that are remembered.
const PLACES_MAX: usize = 4;
/// Directories below each other: a path has 4,096 octets at most.
const DEPTH_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id { number, generation: 0 }
    }

    #[test]
    fn paths_are_made_of_what_was_found() {
        let mut table = Table::new(id(1), 8);
        table.found(id(2), id(1), b"a");
        table.found(id(3), id(2), b"b");
        assert_eq!(table.path(id(1)).unwrap(), b".");
        assert_eq!(table.path(id(3)).unwrap(), b"a/b");
        // A directory moves with all that is below it.
        table.lost(id(2), id(1), b"a");
        table.found(id(2), id(1), b"c");
        assert_eq!(table.path(id(3)).unwrap(), b"c/b");
        table.lost(id(2), id(1), b"c");
        assert_eq!(table.path(id(3)), None);
    }

    #[test]
    fn what_is_used_is_remembered_and_the_rest_has_a_bound() {
        let mut table = Table::new(id(1), 4);
        table.found(id(2), id(1), b"kept");
        for number in 3..100 {
            table.path(id(2)).unwrap();
            table.found(id(number), id(1), b"x");
            assert!(table.known.len() <= 4 && table.order.len() <= 5);
        }
        assert_eq!(table.places(id(3)), []);
        assert_eq!(table.places(id(99)).len(), 1);
    }

    #[test]
    fn names_of_one_object_are_told_apart() {
        let mut table = Table::new(id(1), 4);
        for name in [b"a", b"b", b"a"] {
            table.found(id(2), id(1), name);
        }
        let names = |table: &mut Table| {
            table.places(id(2)).iter().map(|place| place.name[0]).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut table), [b'a', b'b']);
        table.lost(id(2), id(1), b"a");
        assert_eq!(names(&mut table), [b'b']);
    }

    #[test]
    fn a_circle_ends() {
        let mut table = Table::new(id(1), 4);
        table.found(id(2), id(3), b"a");
        table.found(id(3), id(2), b"b");
        assert_eq!(table.path(id(2)), None);
    }
}
