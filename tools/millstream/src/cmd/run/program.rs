//! program: the file of a program, and whether a library can be loaded into it.

use rustix::fs::getxattr;
use rustix::process::{getegid, geteuid};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The file that a name means, as `execvp(3)` finds it.
///
/// # Errors
/// A sentence.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, String> {
    if name.as_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let files = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = files.into_iter().find(|file| {
        file.metadata().is_ok_and(|about| about.is_file() && about.mode() & 0o111 != 0)
    });
    found.ok_or_else(|| format!("{} is not to be found", name.display()))
}

/// Refuses a program that the loader loads nothing into.
///
/// # Errors
/// A sentence.
pub(super) fn check(file: &Path) -> Result<(), String> {
    check_at(file, SCRIPTS_MAX)
}

fn check_at(file: &Path, deeper: usize) -> Result<(), String> {
    let name = file.display();
    let open = File::open(file).map_err(|why| format!("cannot run {name}: {why}"))?;
    let about = open.metadata().map_err(|why| format!("cannot run {name}: {why}"))?;
    let (mode, uid, gid) = (about.mode(), geteuid().as_raw(), getegid().as_raw());
    if mode & SETUID != 0 && about.uid() != uid || mode & SETGID != 0 && about.gid() != gid {
        return Err(refused(file, "gets its rights from its file (setuid or setgid)"));
    }
    // Whoever has all rights gets none from a file.
    if uid != 0 && getxattr(file, CAPABILITIES, &mut [0_u8; 64]).is_ok() {
        return Err(refused(file, "gets its rights from its file (capabilities)"));
    }
    let mut head = Vec::new();
    let read = (&open).take(HEAD).read_to_end(&mut head);
    read.map_err(|why| format!("cannot read {name}: {why}"))?;
    if let Some(script) = head.strip_prefix(b"#!") {
        let line = script.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let words = line.split(|byte| byte.is_ascii_whitespace());
        let interpreter = words.into_iter().find(|word| !word.is_empty());
        return match interpreter {
            Some(interpreter) if deeper > 0 => {
                check_at(Path::new(OsStr::from_bytes(interpreter)), deeper - 1)
            }
            _ => Err(refused(file, "is a script without an interpreter")),
        };
    }
    match has_loader(&head, &open) {
        None => Err(refused(file, "is no program of this machine")),
        Some(false) => Err(refused(file, "is linked statically")),
        Some(true) => Ok(()),
    }
}

fn refused(file: &Path, why: &str) -> String {
    format!(
        "{} {why}: the library cannot be loaded into it, and its sockets would be the kernel's",
        file.display()
    )
}

/// Does the file ask for a loader (PT_INTERP)? None: it is no ELF file of 64 bits of this machine.
fn has_loader(head: &[u8], file: &File) -> Option<bool> {
    let half = |at: usize| Some(u16::from_ne_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let own = if cfg!(target_arch = "x86_64") { EM_X86_64 } else { EM_AARCH64 };
    if !head.starts_with(b"\x7fELF\x02") || half(18)? != own {
        return None;
    }
    let table = u64::from_ne_bytes(head.get(32..40)?.try_into().ok()?);
    let (size, count) = (half(54)?, half(56)?);
    for index in 0..u64::from(count) {
        let mut kind = [0; 4];
        file.read_exact_at(&mut kind, table + index * u64::from(size)).ok()?;
        if u32::from_ne_bytes(kind) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
/// Rights that a file gives.
const CAPABILITIES: &str = "security.capability";
const PT_INTERP: u32 = 3;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
/// Bytes of a file that are looked at: its header, or the first line of a script.
const HEAD: u64 = 256;
/// An interpreter may be a script itself, as deep as the kernel follows.
const SCRIPTS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A file of these bytes and this mode.
    fn file(name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ms-program-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_program_with_a_loader_and_a_script_of_one_are_served() {
        let found = find(OsStr::new("sh")).unwrap();
        assert_eq!(check(&found), Ok(()));
        let script = file("script", b"#!/bin/sh -e\nexit 0\n", 0o755);
        assert_eq!(check(&script), Ok(()));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        let mut stat = std::fs::read("/bin/sh").unwrap();
        // All program headers become of no kind.
        let (table, size, count) = (64_usize, 56_usize, usize::from(stat[56]));
        for index in 0..count {
            stat[table + index * size..][..4].fill(0);
        }
        for (file, why) in [
            (file("static", &stat, 0o755), "is linked statically"),
            (file("text", b"echo\n", 0o755), "is no program of this machine"),
            (file("loop", b"#!\n", 0o755), "is a script without an interpreter"),
            (file("bad", b"#!/nowhere/sh\n", 0o755), "cannot run /nowhere/sh"),
        ] {
            let told = check(&file).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert!(find(OsStr::new("no-such-program")).unwrap_err().contains("is not to be found"));
    }

    #[test]
    fn rights_that_come_from_a_file_are_refused_to_who_has_others() {
        let path = file("rights", &std::fs::read("/bin/sh").unwrap(), 0o4755);
        // Its own are no others.
        assert_eq!(check(&path), Ok(()));
        let owner = rustix::process::Uid::from_raw(12_345);
        if rustix::fs::chown(&path, Some(owner), None).is_err() {
            return eprintln!("skipped: rights_that_come_from_a_file: only root gives files away");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4755)).unwrap();
        let told = check(&path).unwrap_err();
        assert!(told.contains("setuid or setgid"), "{told}");
    }
}
