//! common: the same file system in memory and in a directory, empty, with callers of any number.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod served;

use millstream_programs::access::Caller;
use millstream_programs::exports::{Export, Rules};
use millstream_programs::hostfs::HostFs;
use millstream_programs::memfs::MemFs;
use millstream_programs::nfs::ops::{NewAttr, Object, Ops};
use millstream_programs::vfs::{Create, Error, Id, Vfs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// An export with an empty file system whose root is everybody's.
pub(crate) struct Fixture {
    pub(crate) export: Arc<Export>,
    /// Where it is, if it is a directory; gone with this.
    pub(crate) dir: Option<Scratch>,
}

/// A directory of its own below the one for temporary files: `root` in it is served.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ms-nfs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("root")).unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(path.join("root"), everybody).unwrap();
        Self(path)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(crate) fn serve(&self, random: u64) -> HostFs {
        HostFs::open(self.root().to_str().unwrap(), random, false).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

impl Fixture {
    pub(crate) fn memory() -> Self {
        Self::of(Box::new(MemFs::new(64 << 20, 0x5eed)), None)
    }

    pub(crate) fn directory() -> Self {
        let dir = Scratch::new();
        Self::of(Box::new(dir.serve(1)), Some(dir))
    }

    fn of(fs: Box<dyn Vfs>, dir: Option<Scratch>) -> Self {
        Self { export: Arc::new(Export::new("/".to_owned(), fs, Rules::default())), dir }
    }

    pub(crate) fn root(&self) -> Id {
        self.export.fs.root()
    }

    pub(crate) fn by(&self, uid: u32, gid: u32) -> Ops {
        let caller = Caller { uid, gid, gids: Vec::new() };
        Ops { export: self.export.clone(), caller }
    }

    /// The caller that may everything.
    pub(crate) fn ops(&self) -> Ops {
        self.by(0, 0)
    }

    /// The same file system, read-only.
    pub(crate) fn read_only(&self) -> Ops {
        let rules = Rules { read_only: true, ..Rules::default() };
        let fs: Box<dyn Vfs> = match &self.dir {
            Some(dir) => Box::new(dir.serve(1)),
            None => Box::new(MemFs::new(1 << 20, 0x5eed)),
        };
        let export = Arc::new(Export::new("/".to_owned(), fs, rules));
        Ops { export, ..self.ops() }
    }

    /// A file with these octets in the root.
    pub(crate) fn file(&self, name: &str, octets: &[u8]) -> Id {
        let id = self.make(name, 0o644);
        if !octets.is_empty() {
            self.export.fs.write(id, 0, &[octets], millstream_programs::vfs::Stable::No).unwrap();
        }
        id
    }

    /// An empty file with a mode, of root.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Id {
        let how = Create::Guarded { size: None };
        made(self.ops().create(self.root(), name.as_bytes(), how, mode_of(mode)).1)
    }

    pub(crate) fn mkdir(&self, dir: Id, name: &str) -> Id {
        made(self.ops().mkdir(dir, name.as_bytes(), mode_of(0o755)).1)
    }
}

pub(crate) fn made(object: Result<Object, Error>) -> Id {
    object.unwrap().id
}

pub(crate) fn mode_of(mode: u32) -> NewAttr {
    NewAttr { mode: Some(mode), ..NewAttr::default() }
}

/// May this process give files away? Tests of owners on a disk need it.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// One module of tests in memory and one in a directory, of the same functions.
#[macro_export]
macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $test() {
                super::$test(&$crate::common::Fixture::memory());
            })*
        }
        mod directory {
            $(#[test]
            fn $test() {
                super::$test(&$crate::common::Fixture::directory());
            })*
        }
    };
}
