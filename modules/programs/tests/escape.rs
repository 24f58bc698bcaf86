//! escape: nothing leads out of a directory that is served: no link, no `..`, no guessed handle, no
//! change made meanwhile by others; and nothing in it is opened that does something when opened.

mod common;

use common::{Fixture, Scratch, is_root, made, mode_of};
use millstream_programs::nfs::ops::Ops;
use millstream_programs::vfs::{Create, Error, Id, Set, Special, Stable, Vfs};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

fn served() -> (Fixture, PathBuf) {
    let fx = Fixture::directory();
    let root = fx.dir.as_ref().unwrap().root();
    std::fs::write(root.join("../outside"), "secret").unwrap();
    std::fs::create_dir(root.join("../other")).unwrap();
    (fx, root)
}

fn find(ops: &Ops, dir: Id, name: &str) -> Result<Id, Error> {
    ops.lookup(dir, name.as_bytes()).1.map(|object| object.id)
}

#[test]
fn a_link_is_a_link_and_leads_nowhere() {
    let (fx, root) = served();
    let ops = fx.ops();
    symlink("../outside", root.join("file")).unwrap();
    symlink("..", root.join("dir")).unwrap();
    symlink("/", root.join("top")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    for name in ["file", "dir", "top", "magic"] {
        let link = find(&ops, fx.root(), name).unwrap();
        assert_eq!(ops.read(link, 0, 9).1, Err(Error::Inval), "{name}");
        assert_eq!(ops.write(link, 0, &[b"x"], Stable::No).1, Err(Error::Inval), "{name}");
        assert_eq!(find(&ops, link, "outside"), Err(Error::NotDir), "{name}");
        assert_eq!(ops.readdir(link, 0, [0; 8], 4096).1, Err(Error::NotDir), "{name}");
        assert_eq!(ops.mkdir(link, b"x", Set::default()).1, Err(Error::NotDir), "{name}");
        let cut = Set { size: Some(0), ..Set::default() };
        assert_eq!(ops.setattr(link, cut, None).1, Err(Error::Inval), "{name}");
        let how = Create::Unchecked { size: Some(0) };
        let there = ops.create(fx.root(), name.as_bytes(), how, Set::default()).1;
        assert_eq!(there, Err(Error::Exist), "{name}");
        // What is set is set on the link.
        let _refused = ops.setattr(link, mode_of(0o777), None);
    }
    assert_eq!(std::fs::read(root.join("../outside")).unwrap(), b"secret");
    let mode = std::fs::metadata(root.join("../outside")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn a_directory_that_becomes_a_link_is_gone() {
    let (fx, root) = served();
    let ops = fx.ops();
    let dir = fx.mkdir(fx.root(), "d");
    let file = made(ops.create(dir, b"outside", Create::Guarded { size: None }, mode_of(0o644)).1);
    std::fs::rename(root.join("d"), root.join("was")).unwrap();
    symlink("..", root.join("d")).unwrap();
    assert_eq!(ops.read(file, 0, 9).1, Err(Error::Stale));
    assert_eq!(ops.readdir(dir, 0, [0; 8], 4096).1, Err(Error::Stale));
    assert_eq!(ops.remove(dir, b"outside").1, Err(Error::Stale));
    // Found again under its new name it is what it was, with all that is below it.
    assert_eq!(find(&ops, fx.root(), "was"), Ok(dir));
    assert_eq!(ops.read(file, 0, 9).1.unwrap().len(), 0);
}

#[test]
fn a_file_that_becomes_a_link_is_gone() {
    let (fx, root) = served();
    let ops = fx.ops();
    let file = fx.file("f", b"inside");
    std::fs::remove_file(root.join("f")).unwrap();
    symlink("../outside", root.join("f")).unwrap();
    assert_eq!(ops.read(file, 0, 9).1, Err(Error::Stale));
    assert_eq!(ops.write(file, 0, &[b"x"], Stable::No).1, Err(Error::Stale));
    assert_eq!(ops.commit(file).1, Err(Error::Stale));
    // A hard link to what is outside, which only somebody on this host can make, is inside.
    std::fs::remove_file(root.join("f")).unwrap();
    std::fs::hard_link(root.join("../outside"), root.join("f")).unwrap();
    assert_eq!(ops.read(file, 0, 9).1, Err(Error::Stale));
}

#[test]
fn a_directory_that_is_moved_out_takes_nobody_along() {
    let (fx, root) = served();
    let ops = fx.ops();
    let dir = fx.mkdir(fx.root(), "d");
    let below = fx.mkdir(dir, "e");
    std::fs::rename(root.join("d"), root.join("../other/d")).unwrap();
    for id in [dir, below] {
        assert_eq!(ops.getattr(id).1, Err(Error::Stale));
        assert_eq!(find(&ops, id, ".."), Err(Error::Stale));
        assert_eq!(ops.mkdir(id, b"x", Set::default()).1, Err(Error::Stale));
        assert_eq!(ops.rename(id, b"x", &ops, fx.root(), b"x").1, Err(Error::Stale));
    }
}

#[test]
fn an_inode_that_was_not_found_by_name_has_no_handle() {
    let (fx, root) = served();
    let ops = fx.ops();
    // Even one that is right, of an object inside: handles are given, not computed.
    std::fs::write(root.join("f"), "x").unwrap();
    let number = |path: PathBuf| std::fs::metadata(path).unwrap().ino();
    let inside = find(&ops, fx.root(), "f").unwrap();
    for number in [number(root.join("../outside")), number(root.join("..")), 1, 2] {
        for generation in [0, fx.root().generation, inside.generation] {
            let guess = Id { number, generation };
            assert_eq!(ops.getattr(guess).1, Err(Error::Stale));
            assert_eq!(find(&ops, guess, "outside"), Err(Error::Stale));
        }
    }
}

#[test]
fn what_is_above_is_not_told() {
    let (fx, root) = served();
    let listed = fx.ops().readdirplus(fx.root(), 0, [0; 8], 4096, 8192).1.unwrap();
    let above = std::fs::metadata(root.join("..")).unwrap().ino();
    for entry in listed.entries {
        assert_ne!(entry.number, above);
        assert_ne!(entry.object.unwrap().id.number, above);
    }
}

#[test]
fn pipes_and_sockets_are_not_opened() {
    let (fx, _) = served();
    let ops = fx.ops();
    for (name, what) in [(b"p", Special::Fifo), (b"s", Special::Socket)] {
        let id = made(ops.mknod(fx.root(), name, what, mode_of(0o666)).1);
        // An open pipe would wait for its other end.
        assert_eq!(ops.read(id, 0, 9).1, Err(Error::Inval));
        assert_eq!(ops.write(id, 0, &[b"x"], Stable::No).1, Err(Error::Inval));
        assert_eq!(ops.commit(id).1, Err(Error::Inval));
        ops.setattr(id, mode_of(0o600), None).1.unwrap();
        assert_eq!(ops.getattr(id).1.unwrap().mode, 0o600);
    }
}

#[test]
fn another_file_system_below_is_not_entered() {
    if !is_root() {
        return eprintln!("skipped: nothing can be mounted");
    }
    let (fx, root) = served();
    fx.mkdir(fx.root(), "d");
    let at = root.join("d");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "none"])
        .arg(&at)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        return eprintln!("skipped: nothing can be mounted");
    }
    std::fs::write(at.join("f"), "x").unwrap();
    let found = find(&fx.ops(), fx.root(), "d");
    let rest = fx.ops().rmdir(fx.root(), b"d").1;
    std::process::Command::new("umount").arg(&at).status().unwrap();
    assert_eq!((found, rest), (Err(Error::Acces), Err(Error::Acces)));
}

#[test]
fn a_file_made_by_others_in_place_of_another_is_another() {
    let (fx, root) = served();
    let ops = fx.ops();
    let file = fx.file("f", b"one");
    for _ in 0..50 {
        // The disk gives the same inode number at once, if it ever does.
        std::fs::remove_file(root.join("f")).unwrap();
        std::fs::write(root.join("f"), "two").unwrap();
        assert_eq!(ops.getattr(file).1, Err(Error::Stale));
    }
}

#[test]
fn a_restart_gives_another_verifier_and_keeps_what_was_written() {
    let dir = Scratch::new();
    let before = dir.serve(1);
    let root = before.root();
    let new = millstream_programs::vfs::New {
        mode: 0o644,
        uid: 0,
        gid: 0,
        atime: Default::default(),
        mtime: Default::default(),
    };
    let file = before.create(root, b"f", Create::Guarded { size: None }, &new).unwrap();
    let written = before.write(file, 0, &[b"12345"], Stable::No).unwrap();
    assert_eq!(written, (5, Stable::No));
    let verifier = before.verifier();
    before.commit(file).unwrap();
    assert_eq!(before.verifier(), verifier);
    drop(before);
    let after = dir.serve(2);
    assert_ne!(after.verifier(), verifier);
    // Its id is the same, once it was looked up.
    assert_eq!(after.attr(file), Err(Error::Stale));
    assert_eq!(after.lookup(root, b"f"), Ok(file));
    assert_eq!(after.read(file, 0, 9).unwrap().concat(), b"12345");
}
