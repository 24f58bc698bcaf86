//! alike: whatever is asked, in whatever order, a file system in memory answers as the kernel's own
//! does.

mod common;

use common::{Fixture, mode_of};
use millstream_programs::nfs::ops::Ops;
use millstream_programs::vfs::{Attr, Create, Error, Id, Kind, Set, Special, Stable};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Create(u8, u8, u8),
    Mkdir(u8, u8),
    Symlink(u8, u8),
    Fifo(u8, u8),
    Remove(u8, u8),
    Rmdir(u8, u8),
    Rename(u8, u8, u8, u8),
    Link(u8, u8, u8),
    Lookup(u8, u8),
    Parent(u8),
    Write(u8, u32, u16),
    Read(u8, u32, u16),
    Size(u8, u32),
}

fn act() -> impl Strategy<Value = Act> {
    let (id, name) = (0..12_u8, 0..5_u8);
    let two = || (id.clone(), name.clone());
    prop_oneof![
        3 => (two(), 0..4_u8).prop_map(|((d, n), how)| Act::Create(d, n, how)),
        3 => two().prop_map(|(d, n)| Act::Mkdir(d, n)),
        1 => two().prop_map(|(d, n)| Act::Symlink(d, n)),
        1 => two().prop_map(|(d, n)| Act::Fifo(d, n)),
        2 => two().prop_map(|(d, n)| Act::Remove(d, n)),
        2 => two().prop_map(|(d, n)| Act::Rmdir(d, n)),
        4 => (two(), two()).prop_map(|((d, n), (e, m))| Act::Rename(d, n, e, m)),
        2 => (id.clone(), two()).prop_map(|(f, (d, n))| Act::Link(f, d, n)),
        2 => two().prop_map(|(d, n)| Act::Lookup(d, n)),
        1 => id.clone().prop_map(Act::Parent),
        3 => (id.clone(), 0..200_000_u32, any::<u16>()).prop_map(|(f, a, l)| Act::Write(f, a, l)),
        3 => (id.clone(), 0..200_000_u32, any::<u16>()).prop_map(|(f, a, l)| Act::Read(f, a, l)),
        1 => (id.clone(), 0..200_000_u32).prop_map(|(f, size)| Act::Size(f, size)),
    ]
}

/// A file system with the objects met in it, the root first.
struct World {
    ops: Ops,
    met: Vec<Id>,
    /// Exclusive ones.
    calls: u64,
}

/// What can be compared: objects by the order in which they were met.
#[derive(Debug, PartialEq)]
enum Told {
    Refused(Error),
    Met(usize, Kind, u32, u64),
    Octets(Vec<u8>, bool),
    Done,
}

impl World {
    fn new(fx: &Fixture) -> Self {
        Self { ops: fx.ops(), met: vec![fx.root()], calls: 0 }
    }

    fn id(&self, number: u8) -> Id {
        self.met[usize::from(number) % self.met.len()]
    }

    fn meet(&mut self, id: Result<Id, Error>) -> Told {
        match id {
            Ok(id) => {
                let known = self.met.iter().position(|met| *met == id);
                let at = known.unwrap_or_else(|| {
                    self.met.push(id);
                    self.met.len() - 1
                });
                let Attr { kind, links, size, .. } = self.ops.getattr(id).1.unwrap();
                // Directories differ in what they call their size.
                Told::Met(at, kind, links, if kind == Kind::Dir { 0 } else { size })
            }
            Err(e) => Told::Refused(e),
        }
    }

    fn act(&mut self, act: &Act) -> Told {
        let name = |number: u8| [b'a' + number];
        let ops = self.ops.clone();
        let attr = mode_of(0o755);
        let made = match *act {
            Act::Create(dir, n, how) => {
                let how = match how {
                    0 => Create::Unchecked { size: None },
                    1 => Create::Unchecked { size: Some(3) },
                    2 => Create::Guarded { size: Some(70_000) },
                    // Another one each time: a disk keeps it in the times of the file.
                    _ => {
                        self.calls += 1;
                        Create::Exclusive(self.calls.to_be_bytes())
                    }
                };
                ops.create(self.id(dir), &name(n), how, attr).1.map(|object| object.id)
            }
            Act::Mkdir(dir, n) => ops.mkdir(self.id(dir), &name(n), attr).1.map(|o| o.id),
            Act::Symlink(dir, n) => {
                ops.symlink(self.id(dir), &name(n), b"a/b", attr).1.map(|object| object.id)
            }
            Act::Fifo(dir, n) => {
                ops.mknod(self.id(dir), &name(n), Special::Fifo, attr).1.map(|object| object.id)
            }
            Act::Lookup(dir, n) => ops.lookup(self.id(dir), &name(n)).1.map(|o| o.id),
            Act::Parent(dir) => ops.lookup(self.id(dir), b"..").1.map(|object| object.id),
            _ => return self.change(act),
        };
        self.meet(made)
    }

    fn change(&self, act: &Act) -> Told {
        let name = |number: u8| [b'a' + number];
        let ops = &self.ops;
        let done = match *act {
            Act::Remove(dir, n) => ops.remove(self.id(dir), &name(n)).1,
            Act::Rmdir(dir, n) => ops.rmdir(self.id(dir), &name(n)).1,
            Act::Rename(dir, n, to, m) => {
                ops.rename(self.id(dir), &name(n), ops, self.id(to), &name(m)).1
            }
            Act::Link(file, dir, n) => ops.link(self.id(file), ops, self.id(dir), &name(n)).1,
            Act::Write(file, at, len) => {
                let octets = vec![len as u8; usize::from(len)];
                let written = ops.write(self.id(file), at.into(), &[&octets], Stable::No).1;
                written.map(|written| assert_eq!(written.count, octets.len()))
            }
            Act::Size(file, size) => {
                let set = Set { size: Some(size.into()), ..Set::default() };
                ops.setattr(self.id(file), set, None).1
            }
            Act::Read(file, at, len) => {
                return match ops.read(self.id(file), at.into(), len.into()).1 {
                    Ok(read) => Told::Octets(read.blocks.concat(), read.end),
                    Err(e) => Told::Refused(e),
                };
            }
            _ => unreachable!("told of above"),
        };
        done.map_or_else(Told::Refused, |()| Told::Done)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    })]
    #[test]
    fn memory_answers_as_a_disk_does(acts in prop::collection::vec(act(), 1..80)) {
        let (memory, directory) = (Fixture::memory(), Fixture::directory());
        let (mut one, mut other) = (World::new(&memory), World::new(&directory));
        for act in &acts {
            prop_assert_eq!(one.act(act), other.act(act), "{:?}", act);
        }
    }
}
