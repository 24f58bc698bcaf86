//! path: the name of a stack becomes the path of its socket, in a folder that only its user can
//! enter.

use super::CtlError;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where sockets may be. One of the process; tests make their own.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Folders in which `millstream` may be made, best first; those of others are passed over.
    runtime: Vec<PathBuf>,
    /// The folder for who has none of them.
    last: PathBuf,
    uid: u32,
}

impl Places {
    pub(super) fn of_process() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let known_as = outside(uid, &map);
        Self::new(xdg, Path::new("/run/user"), Path::new("/tmp"), uid, known_as)
    }

    /// `uid` owns the files; folders have the name of `known_as`, the same user as seen outside of
    /// a user namespace: a stack in one is found from outside.
    pub(super) fn new(
        xdg: Option<PathBuf>,
        run_user: &Path,
        tmp: &Path,
        uid: u32,
        known_as: u32,
    ) -> Self {
        let mut runtime: Vec<PathBuf> = xdg.into_iter().filter(|path| path.is_absolute()).collect();
        let usual = run_user.join(known_as.to_string());
        if !runtime.contains(&usual) {
            runtime.push(usual);
        }
        Self { runtime, last: tmp.join(format!("millstream-{known_as}")), uid }
    }

    /// The folder for a new socket; made when it is not there.
    pub(super) fn folder(&self) -> Result<PathBuf, CtlError> {
        let own = |path: &&PathBuf| {
            // A folder of somebody else's session (sudo keeps the variable) is not ours to use.
            std::fs::metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == self.uid)
        };
        let path = match self.runtime.iter().find(own) {
            Some(runtime) => runtime.join("millstream"),
            None => self.last.clone(),
        };
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(cause) if cause.kind() != ErrorKind::AlreadyExists => {
                Err(CtlError::Io { what: "make the folder", path, cause })
            }
            _ => self.check(path),
        }
    }

    /// Folders that exist and are ours: where running stacks are looked for.
    pub(super) fn existing(&self) -> Vec<PathBuf> {
        let own = self.runtime.iter().map(|runtime| runtime.join("millstream"));
        let all = own.chain([self.last.clone()]);
        all.filter(|path| path.symlink_metadata().is_ok_and(|m| self.complaint(&m).is_none()))
            .collect()
    }

    /// Ours, and closed to others.
    fn check(&self, path: PathBuf) -> Result<PathBuf, CtlError> {
        let io = |what, cause| CtlError::Io { what, path: path.clone(), cause };
        let meta = path.symlink_metadata().map_err(|cause| io("look at the folder", cause))?;
        if let Some(what) = self.complaint(&meta) {
            return Err(CtlError::Folder { path, what });
        }
        if meta.mode() & 0o077 != 0 {
            let closed = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&path, closed)
                .map_err(|cause| io("close to others the folder", cause))?;
        }
        Ok(path)
    }

    fn complaint(&self, meta: &std::fs::Metadata) -> Option<String> {
        if !meta.is_dir() {
            Some("is no folder".to_owned())
        } else if meta.uid() != self.uid {
            Some(format!("belongs to user {}, not to you (user {})", meta.uid(), self.uid))
        } else {
            None
        }
    }
}

/// The user outside of our user namespace by its map (user_namespaces(7)): lines of first id
/// inside, first id outside, count. Without one we are outside.
fn outside(uid: u32, map: &str) -> u32 {
    let outer = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return None;
        };
        uid.checked_sub(inside).filter(|at| *at < count)?.checked_add(outside)
    };
    map.lines().find_map(outer).unwrap_or(uid)
}

/// The file of a stack's socket.
///
/// # Errors
/// [`CtlError::BadName`]; [`CtlError::TooLong`] when no socket can have that path.
pub(super) fn socket(folder: &Path, name: &str) -> Result<PathBuf, CtlError> {
    check_name(name)?;
    let path = folder.join(format!("{name}.{SUFFIX}"));
    if path.as_os_str().len() > SUN_PATH_MAX {
        return Err(CtlError::TooLong { path });
    }
    Ok(path)
}

/// The name of the stack whose socket a file would be.
pub(super) fn name_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.strip_suffix('.')?;
    check_name(name).is_ok().then_some(name)
}

fn check_name(name: &str) -> Result<(), CtlError> {
    let fine = (1..=NAME_MAX).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if fine { Ok(()) } else { Err(CtlError::BadName { name: name.to_owned() }) }
}

const SUFFIX: &str = "sock";

/// Bytes of a name: it is a file's, and a column of tables.
const NAME_MAX: usize = 32;

/// Bytes of a path in `sockaddr_un`, without the last zero.
const SUN_PATH_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test alone, removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ms-{test}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn a_user_namespace_is_looked_through() {
        assert_eq!(outside(0, "         0          0 4294967295\n"), 0);
        assert_eq!(outside(0, "         0      65534          1\n"), 65_534);
        assert_eq!(outside(5, "0 1000 1\n1 100000 65536\n"), 100_004);
        assert_eq!(outside(7, "0 1000 1\n"), 7);
        assert_eq!(outside(7, ""), 7);
    }

    #[test]
    fn the_runtime_folder_is_first_then_run_user_then_tmp() {
        let scratch = Scratch::new("order");
        let (xdg, run, tmp) = (scratch.0.join("xdg"), scratch.0.join("run"), scratch.0.join("tmp"));
        let mine = run.join(uid().to_string());
        for path in [&xdg, &mine, &tmp] {
            std::fs::create_dir_all(path).unwrap();
        }
        let all = Places::new(Some(xdg.clone()), &run, &tmp, uid(), uid());
        assert_eq!(all.folder().unwrap(), xdg.join("millstream"));
        let unset = Places::new(None, &run, &tmp, uid(), uid());
        assert_eq!(unset.folder().unwrap(), mine.join("millstream"));
        let neither = Places::new(None, &scratch.0.join("absent"), &tmp, uid(), uid());
        let last = tmp.join(format!("millstream-{}", uid()));
        assert_eq!(neither.folder().unwrap(), last);
        assert_eq!(last.metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(all.existing().len(), 3);
    }

    #[test]
    fn a_folder_open_to_others_is_closed() {
        let scratch = Scratch::new("open");
        let places = Places::new(None, &scratch.0.join("absent"), &scratch.0, uid(), uid());
        let folder = places.folder().unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(places.folder().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused_with_a_reason() {
        let scratch = Scratch::new("else");
        // For a user with another number the folder that we make is somebody else's.
        let stranger =
            Places::new(None, &scratch.0.join("absent"), &scratch.0, uid() + 1, uid() + 1);
        std::fs::create_dir(scratch.0.join(format!("millstream-{}", uid() + 1))).unwrap();
        let text = stranger.folder().unwrap_err().to_string();
        assert!(text.contains("belongs to user") && text.contains("XDG_RUNTIME_DIR"), "{text}");
        assert!(stranger.existing().is_empty());
    }

    #[test]
    fn a_link_in_place_of_the_folder_is_refused() {
        let scratch = Scratch::new("link");
        let link = scratch.0.join(format!("millstream-{}", uid()));
        std::os::unix::fs::symlink("/", link).unwrap();
        let places = Places::new(None, &scratch.0.join("absent"), &scratch.0, uid(), uid());
        let text = places.folder().unwrap_err().to_string();
        assert!(text.contains("is no folder"), "{text}");
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "-x", "ä", &"x".repeat(33)] {
            assert!(matches!(socket(Path::new("/x"), name), Err(CtlError::BadName { .. })));
        }
        let path = socket(Path::new("/x"), "lab-1.a_b").unwrap();
        assert_eq!(name_of(&path), Some("lab-1.a_b"));
        let long = PathBuf::from(format!("/{}", "x".repeat(100)));
        assert!(matches!(socket(&long, "lab"), Err(CtlError::TooLong { .. })));
    }
}
