//! files: a folder of this system becomes the files that `http` serves.
//!
//! The kernel looks every path up below the folder (openat2 with RESOLVE_BENEATH): neither `..` nor
//! a link leads out of it, whoever changes it meanwhile. Small files are held in memory, all of
//! them together within a limit, and looked at again when they may have changed. Large ones are
//! read piece by piece on the stack's thread, as far as the client takes them: a disk that is slow
//! delays the stack.

use bytes::Bytes;
use millstream_modules::services::http::{Content, File, Files, Found, Missing, Pieces};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A folder; all connections share it.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: OwnedFd,
    cache: Mutex<Cache>,
}

/// Files that are in memory, by their paths.
#[derive(Debug, Default)]
struct Cache {
    files: HashMap<String, Kept>,
    /// Of all of them together.
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    content: Bytes,
    stamp: Stamp,
    looked_at: Instant,
}

/// What tells a file from what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn open(path: &str) -> Result<Self, String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let refused = |e: Errno| format!("cannot serve the folder {path}: {e}");
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(refused)?;
        let shared = Shared { root, cache: Mutex::default() };
        // Where the kernel cannot keep paths below the folder nothing is served.
        shared.open(".").map_err(refused)?;
        Ok(Self(Arc::new(shared)))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What a panic may have left is only less than there was.
        self.0.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Files for Folder {
    fn find(&mut self, path: &str) -> Result<Found, Missing> {
        let now = Instant::now();
        if let Some(kept) = self.cache().files.get(path)
            && now.duration_since(kept.looked_at) < LOOK_AGAIN
        {
            return Ok(Found::File(kept.file()));
        }
        let fd = self.0.open(if path.is_empty() { "." } else { path }).map_err(missing)?;
        let stat = rustix::fs::fstat(&fd).map_err(missing)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(Found::Folder),
            FileType::RegularFile => {}
            _ => return Err(Missing::Forbidden),
        }
        let stamp = Stamp::of(&stat);
        if stamp.len > KEPT_MAX as u64 {
            let content = Content::Pieces(Box::new(Open(fd)));
            return Ok(Found::File(stamp.file(content)));
        }
        let mut cache = self.cache();
        if let Some(kept) = cache.files.get_mut(path)
            && kept.stamp == stamp
        {
            kept.looked_at = now;
            return Ok(Found::File(kept.file()));
        }
        let content = read(&fd, 0, stamp.len as usize).map_err(missing)?;
        // It may have been written to in between: then it is as long as it was read.
        let stamp = Stamp { len: content.len() as u64, ..stamp };
        let kept = Kept { content, stamp, looked_at: now };
        let file = kept.file();
        cache.keep(path, kept);
        Ok(Found::File(file))
    }
}

impl Shared {
    fn open(&self, path: &str) -> Result<OwnedFd, Errno> {
        // A pipe or a terminal that somebody has put there must not stop the stack.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }
}

impl Cache {
    /// Keeps a file; others make room for it.
    fn keep(&mut self, path: &str, kept: Kept) {
        self.forget(path);
        while self.bytes + kept.cost() > CACHE_MAX && !self.files.is_empty() {
            let oldest = self.files.iter().min_by_key(|(_, kept)| kept.looked_at);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else { return };
            self.forget(&oldest);
        }
        self.bytes += kept.cost();
        self.files.insert(path.to_owned(), kept);
    }

    fn forget(&mut self, path: &str) {
        if let Some(gone) = self.files.remove(path) {
            self.bytes -= gone.cost();
        }
    }
}

impl Kept {
    fn file(&self) -> File {
        self.stamp.file(Content::Here(self.content.clone()))
    }

    fn cost(&self) -> usize {
        self.content.len() + ENTRY_BYTES
    }
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    fn file(&self, content: Content) -> File {
        File { len: self.len, modified_s: u64::try_from(self.modified.0).unwrap_or(0), content }
    }
}

/// A file that is too large to be kept.
#[derive(Debug)]
struct Open(OwnedFd);

impl Pieces for Open {
    fn read(&mut self, from: u64, most: usize) -> Option<Bytes> {
        read(&self.0, from, most).ok().filter(|octets| !octets.is_empty())
    }
}

/// Octets from a place on; fewer only at the end of the file.
fn read(fd: &OwnedFd, from: u64, len: usize) -> Result<Bytes, Errno> {
    let mut octets = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match rustix::io::pread(fd, &mut octets[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    octets.truncate(filled);
    Ok(octets.into())
}

fn missing(errno: Errno) -> Missing {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL => Missing::None,
        // Links that lead out, or in a circle.
        Errno::XDEV | Errno::LOOP | Errno::ACCESS | Errno::PERM | Errno::NXIO => Missing::Forbidden,
        _ => Missing::Busy,
    }
}

/// A file that is in memory is taken for the one on the disk for so long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Octets of a file that is kept.
const KEPT_MAX: usize = 4 << 20;
/// Octets of all that is kept.
const CACHE_MAX: usize = 64 << 20;
/// What a file costs beside its octets: empty ones are bounded too.
const ENTRY_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    struct Dir(PathBuf);

    impl Dir {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ms-{test}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root/sub")).unwrap();
            std::fs::write(path.join("outside"), "secret").unwrap();
            std::fs::write(path.join("root/a"), "one").unwrap();
            Self(path)
        }

        fn folder(&self) -> Folder {
            Folder::open(self.0.join("root").to_str().unwrap()).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn content(folder: &mut Folder, path: &str) -> Result<Vec<u8>, Missing> {
        match folder.find(path)? {
            Found::File(File { content: Content::Here(bytes), len, .. }) => {
                assert_eq!(bytes.len() as u64, len);
                Ok(bytes.to_vec())
            }
            Found::File(File { content: Content::Pieces(mut file), len, .. }) => {
                let mut all = Vec::new();
                while let Some(piece) = file.read(all.len() as u64, 1 << 20) {
                    all.extend(piece);
                }
                assert_eq!(all.len() as u64, len);
                Ok(all)
            }
            Found::Folder => Ok(b"folder".to_vec()),
        }
    }

    #[test]
    fn files_and_folders_are_found_below_the_root() {
        let dir = Dir::new("files-found");
        let mut folder = dir.folder();
        assert_eq!(content(&mut folder, "a").unwrap(), b"one");
        assert_eq!(content(&mut folder, "").unwrap(), b"folder");
        assert_eq!(content(&mut folder, "sub").unwrap(), b"folder");
        assert_eq!(content(&mut folder, "b"), Err(Missing::None));
        assert_eq!(content(&mut folder, "a/b"), Err(Missing::None));
        assert!(Folder::open("/nowhere").unwrap_err().contains("cannot serve the folder"));
        assert!(Folder::open(dir.0.join("outside").to_str().unwrap()).is_err());
    }

    #[test]
    fn no_link_leads_out_of_the_root_but_one_may_lead_to_another_place_in_it() {
        let dir = Dir::new("files-links");
        let link = |to: &str, name: &str| symlink(to, dir.0.join("root").join(name)).unwrap();
        link("../outside", "up");
        link(dir.0.join("outside").to_str().unwrap(), "absolute");
        link("..", "sub/parent");
        link("../..", "sub/above");
        link("a", "inside");
        link("circle", "circle");
        let mut folder = dir.folder();
        for path in ["up", "absolute", "sub/above/outside", "circle", "../outside", "/etc/passwd"] {
            assert_eq!(content(&mut folder, path), Err(Missing::Forbidden), "{path}");
        }
        assert_eq!(content(&mut folder, "inside").unwrap(), b"one");
        assert_eq!(content(&mut folder, "sub/parent/a").unwrap(), b"one");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = Dir::new("files-fifo");
        let path = dir.0.join("root/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(content(&mut dir.folder(), "pipe"), Err(Missing::Forbidden));
    }

    #[test]
    fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
        let dir = Dir::new("files-changed");
        let mut folder = dir.folder();
        content(&mut folder, "a").unwrap();
        let place = |folder: &Folder| folder.cache().files["a"].content.as_ptr();
        let first = place(&folder);
        let age = |folder: &Folder| {
            for kept in folder.cache().files.values_mut() {
                kept.looked_at -= LOOK_AGAIN;
            }
        };
        age(&folder);
        content(&mut folder, "a").unwrap();
        assert_eq!(place(&folder), first);
        std::fs::write(dir.0.join("root/a"), "another").unwrap();
        age(&folder);
        assert_eq!(content(&mut folder, "a").unwrap(), b"another");
        std::fs::remove_file(dir.0.join("root/a")).unwrap();
        age(&folder);
        assert_eq!(content(&mut folder, "a"), Err(Missing::None));
    }

    #[test]
    fn large_files_are_read_in_pieces_and_what_is_kept_has_a_limit() {
        let dir = Dir::new("files-large");
        let large = vec![7; KEPT_MAX + 1];
        std::fs::write(dir.0.join("root/large"), &large).unwrap();
        let mut folder = dir.folder();
        assert!(content(&mut folder, "large").unwrap() == large);
        assert!(folder.cache().files.is_empty());
        for number in 0..CACHE_MAX / KEPT_MAX + 3 {
            let name = format!("f{number}");
            std::fs::write(dir.0.join("root").join(&name), &large[..KEPT_MAX]).unwrap();
            content(&mut folder, &name).unwrap();
            assert!(folder.cache().bytes <= CACHE_MAX);
        }
        assert!(!folder.cache().files.contains_key("f0") && folder.cache().files.len() > 8);
    }
}
