//! procedures: what NFS does to objects and octets, in memory and in a directory alike: GETATTR,
//! SETATTR, LOOKUP, ACCESS, READLINK, READ, WRITE, COMMIT, READDIR, READDIRPLUS, FSSTAT.

mod common;

use common::{Fixture, is_root, made, mode_of};
use millstream_programs::nfs::ops::{Listed, Ops, ask};
use millstream_programs::vfs::{Create, Error, Id, Kind, Set, SetTime, Special, Stable, Time};
use std::collections::BTreeSet;

suite! {
    getattr_tells_what_an_object_is,
    setattr_sets_mode_size_and_times,
    setattr_with_a_guard_changes_only_what_was_not_changed,
    setattr_is_the_owners_and_the_size_the_writers,
    lookup_finds_names_and_dots,
    lookup_needs_the_right_to_search,
    access_tells_what_the_mode_grants,
    readlink_tells_where_a_link_leads,
    read_gives_octets_and_the_end,
    read_is_for_readers_and_of_files,
    write_puts_octets_anywhere,
    write_tells_of_before_and_after,
    write_is_refused_where_it_must_be,
    write_takes_away_the_right_to_run_as_somebody_else,
    stable_writes_say_so_and_commits_give_the_verifier,
    readdir_gives_every_name_once_in_pages,
    readdir_goes_on_after_what_it_gave_was_removed,
    readdir_refuses_what_cannot_be,
    readdirplus_gives_handles_and_attributes,
    fsstat_tells_of_room,
    a_read_only_export_changes_nothing,
    a_stale_id_is_stale_everywhere,
}

fn bytes(ops: &Ops, file: Id, from: u64, len: usize) -> (Vec<u8>, bool) {
    let read = ops.read(file, from, len).1.unwrap();
    (read.blocks.concat(), read.end)
}

fn getattr_tells_what_an_object_is(fx: &Fixture) {
    let file = fx.file("f", b"12345");
    let dir = fx.mkdir(fx.root(), "d");
    let of = |id| fx.ops().getattr(id).1.unwrap();
    let attr = of(file);
    assert_eq!((attr.kind, attr.mode, attr.links, attr.size), (Kind::File, 0o644, 1, 5));
    assert_eq!((attr.number, attr.fsid), (file.number, of(fx.root()).fsid));
    assert_eq!((of(dir).kind, of(dir).mode), (Kind::Dir, 0o755));
    assert!(attr.mtime > Time::default() && attr.used > 0);
}

fn setattr_sets_mode_size_and_times(fx: &Fixture) {
    let file = fx.file("f", b"12345");
    let ops = fx.ops();
    let (wcc, done) = ops.setattr(file, mode_of(0o4751), None);
    done.unwrap();
    let (before, after) = (wcc.before.unwrap(), wcc.after.unwrap());
    assert_eq!((before.mode, after.mode), (0o644, 0o4751));
    let size = |size| Set { size: Some(size), ..Set::default() };
    ops.setattr(file, size(2), None).1.unwrap();
    assert_eq!(bytes(&ops, file, 0, 9).0, b"12");
    ops.setattr(file, size(4), None).1.unwrap();
    assert_eq!(bytes(&ops, file, 0, 9).0, b"12\0\0");
    let (atime, mtime) = (Time { s: 1000, ns: 7 }, Time { s: 2000, ns: 8 });
    let times = Set { atime: SetTime::To(atime), mtime: SetTime::To(mtime), ..Set::default() };
    let after = ops.setattr(file, times, None).0.after.unwrap();
    assert_eq!((after.atime, after.mtime), (atime, mtime));
    let now = Set { mtime: SetTime::Now, ..Set::default() };
    let after = ops.setattr(file, now, None).0.after.unwrap();
    assert!(after.atime == atime && after.mtime.s > 1_600_000_000);
    assert_eq!(ops.setattr(file, size(1 << 63), None).1, Err(Error::Fbig));
    assert_eq!(ops.setattr(fx.root(), size(0), None).1, Err(Error::Inval));
}

fn setattr_with_a_guard_changes_only_what_was_not_changed(fx: &Fixture) {
    let file = fx.file("f", b"");
    let ops = fx.ops();
    let ctime = ops.getattr(file).1.unwrap().ctime;
    let other = Time { s: ctime.s, ns: ctime.ns ^ 1 };
    let (wcc, refused) = ops.setattr(file, mode_of(0o600), Some(other));
    assert_eq!(refused, Err(Error::NotSync));
    assert_eq!(wcc.before, wcc.after);
    ops.setattr(file, mode_of(0o600), Some(ctime)).1.unwrap();
}

fn setattr_is_the_owners_and_the_size_the_writers(fx: &Fixture) {
    if fx.dir.is_some() && !is_root() {
        return eprintln!("skipped: a file cannot be given away");
    }
    let file = fx.make("f", 0o664);
    let give = Set { uid: Some(10), gid: Some(20), ..Set::default() };
    fx.ops().setattr(file, give, None).1.unwrap();
    let (owner, group, other) = (fx.by(10, 20), fx.by(11, 20), fx.by(11, 21));
    let size = Set { size: Some(1), ..Set::default() };
    let now = Set { mtime: SetTime::Now, ..Set::default() };
    let then = Set { mtime: SetTime::To(Time { s: 1, ns: 0 }), ..Set::default() };
    for (set, of_group, of_other) in [
        (mode_of(0o666), Err(Error::Perm), Err(Error::Perm)),
        (then, Err(Error::Perm), Err(Error::Perm)),
        (now, Ok(()), Err(Error::Acces)),
        (size, Ok(()), Err(Error::Acces)),
        (give, Err(Error::Perm), Err(Error::Perm)),
    ] {
        assert_eq!(group.setattr(file, set, None).1, of_group, "{set:?}");
        assert_eq!(other.setattr(file, set, None).1, of_other, "{set:?}");
        assert_eq!(owner.setattr(file, set, None).1, Ok(()), "{set:?}");
        owner.setattr(file, mode_of(0o664), None).1.unwrap();
    }
    let away = Set { uid: Some(11), ..Set::default() };
    let foreign = Set { gid: Some(21), ..Set::default() };
    assert_eq!(owner.setattr(file, away, None).1, Err(Error::Perm));
    assert_eq!(owner.setattr(file, foreign, None).1, Err(Error::Perm));
    let mut member = owner.clone();
    member.caller.gids = vec![21];
    member.setattr(file, foreign, None).1.unwrap();
    assert_eq!(fx.ops().getattr(file).1.unwrap().gid, 21);
}

fn lookup_finds_names_and_dots(fx: &Fixture) {
    let ops = fx.ops();
    let (dir, file) = (fx.mkdir(fx.root(), "d"), fx.file("f", b"x"));
    let find = |dir, name: &[u8]| ops.lookup(dir, name).1.map(|object| object.id);
    let (attr, found) = ops.lookup(fx.root(), b"f");
    assert_eq!(found.unwrap().attr.unwrap().size, 1);
    assert_eq!(attr.unwrap().kind, Kind::Dir);
    assert_eq!(find(fx.root(), b"f"), Ok(file));
    assert_eq!(find(dir, b"."), Ok(dir));
    assert_eq!(find(dir, b".."), Ok(fx.root()));
    assert_eq!(find(fx.root(), b".."), Ok(fx.root()));
    assert_eq!(find(fx.root(), b"none"), Err(Error::NoEnt));
    assert_eq!(find(file, b"x"), Err(Error::NotDir));
    assert_eq!(find(fx.root(), &[b'n'; 256]), Err(Error::NameTooLong));
    assert_eq!(find(fx.root(), &[b'n'; 255]), Err(Error::NoEnt));
    for name in [&b""[..], b"d/..", b"../f", b"/f", b"f\0"] {
        assert_eq!(find(fx.root(), name), Err(Error::Inval), "{name:?}");
    }
}

fn lookup_needs_the_right_to_search(fx: &Fixture) {
    let dir = fx.mkdir(fx.root(), "d");
    fx.ops().setattr(dir, mode_of(0o744), None).1.unwrap();
    let user = fx.by(10, 20);
    assert_eq!(user.lookup(dir, b"x").1, Err(Error::Acces));
    assert_eq!(user.lookup(dir, b"..").1, Err(Error::Acces));
    assert!(user.readdir(dir, 0, [0; 8], 4096).1.is_ok());
    // Names are listed, but not what they name.
    let listed = user.readdirplus(dir, 0, [0; 8], 4096, 4096).1.unwrap();
    assert!(listed.entries.iter().all(|entry| entry.object.is_none()));
    fx.ops().setattr(dir, mode_of(0o711), None).1.unwrap();
    assert_eq!(user.lookup(dir, b"x").1, Err(Error::NoEnt));
    assert_eq!(user.readdir(dir, 0, [0; 8], 4096).1, Err(Error::Acces));
}

fn access_tells_what_the_mode_grants(fx: &Fixture) {
    let (file, dir) = (fx.make("f", 0o751), fx.mkdir(fx.root(), "d"));
    let all = 0x3f;
    let granted = |ops: Ops, id| ops.access(id, all).1.unwrap();
    let write = ask::MODIFY | ask::EXTEND;
    assert_eq!(granted(fx.ops(), file), ask::READ | write | ask::EXECUTE);
    assert_eq!(granted(fx.by(10, 20), file), ask::EXECUTE);
    assert_eq!(granted(fx.ops(), dir), ask::READ | ask::LOOKUP | write | ask::DELETE);
    assert_eq!(granted(fx.by(10, 20), dir), ask::READ | ask::LOOKUP);
    assert_eq!(fx.ops().access(file, ask::READ).1, Ok(ask::READ));
}

fn readlink_tells_where_a_link_leads(fx: &Fixture) {
    let ops = fx.ops();
    for to in [&b"/etc/passwd"[..], b"..", b"\xff no text", &[b'x'; 1024]] {
        let link = made(ops.symlink(fx.root(), b"l", to, Set::default()).1);
        let (attr, read) = ops.readlink(link);
        assert_eq!(read.unwrap(), to);
        let attr = attr.unwrap();
        assert_eq!((attr.kind, attr.mode, attr.size), (Kind::Link, 0o777, to.len() as u64));
        // Nothing is looked up through it.
        assert_eq!(ops.lookup(link, b"x").1, Err(Error::NotDir));
        assert_eq!(ops.read(link, 0, 9).1, Err(Error::Inval));
        ops.remove(fx.root(), b"l").1.unwrap();
    }
    assert_eq!(ops.readlink(fx.root()).1, Err(Error::Inval));
    let refused = |to: &[u8]| ops.symlink(fx.root(), b"l", to, Set::default()).1.unwrap_err();
    assert_eq!(refused(b""), Error::Inval);
    assert_eq!(refused(b"a\0b"), Error::Inval);
    assert_eq!(refused(&[b'x'; 1025]), Error::NameTooLong);
}

fn read_gives_octets_and_the_end(fx: &Fixture) {
    let octets: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let file = fx.file("f", &octets);
    let ops = fx.ops();
    for (from, len) in [(0, 10), (65_530, 20), (0, 200_000), (199_999, 1), (65_536, 65_536)] {
        let (read, end) = bytes(&ops, file, from as u64, len);
        assert!(read == octets[from..from + len], "{from} {len}");
        assert_eq!(end, from + len == 200_000, "{from} {len}");
    }
    assert_eq!(bytes(&ops, file, 199_990, 100), (octets[199_990..].to_vec(), true));
    for from in [200_000, 200_001, u64::MAX] {
        assert_eq!(bytes(&ops, file, from, 10), (vec![], true));
    }
    assert_eq!(bytes(&ops, file, 5, 0), (vec![], false));
    assert_eq!(bytes(&ops, fx.file("empty", b""), 0, 10), (vec![], true));
}

fn read_is_for_readers_and_of_files(fx: &Fixture) {
    let file = fx.file("f", b"x");
    let user = fx.by(10, 20);
    for (mode, read) in
        [(0o600, Err(Error::Acces)), (0o604, Ok(1)), (0o601, Ok(1)), (0o602, Err(Error::Acces))]
    {
        fx.ops().setattr(file, mode_of(mode), None).1.unwrap();
        assert_eq!(user.read(file, 0, 9).1.map(|read| read.len()), read, "{mode:o}");
    }
    let fifo = made(fx.ops().mknod(fx.root(), b"p", Special::Fifo, mode_of(0o666)).1);
    assert_eq!(fx.ops().read(fifo, 0, 9).1, Err(Error::Inval));
    assert_eq!(fx.ops().read(fx.root(), 0, 9).1, Err(Error::Inval));
}

fn write_puts_octets_anywhere(fx: &Fixture) {
    let file = fx.file("f", b"");
    let ops = fx.ops();
    let write = |at, pieces: &[&[u8]]| ops.write(file, at, pieces, Stable::No).1.unwrap().count;
    assert_eq!(write(3, &[b"ab", b"", b"c"]), 3);
    assert_eq!(bytes(&ops, file, 0, 99).0, b"\0\0\0abc");
    assert_eq!(write(1, &[b"xyz"]), 3);
    assert_eq!(bytes(&ops, file, 0, 99).0, b"\0xyzbc");
    assert_eq!(write(200_000, &[&[7; 70_000]]), 70_000);
    assert_eq!(ops.getattr(file).1.unwrap().size, 270_000);
    assert!(bytes(&ops, file, 6, 199_994).0.iter().all(|octet| *octet == 0));
    assert!(bytes(&ops, file, 200_000, 70_000).0.iter().all(|octet| *octet == 7));
    assert_eq!(write(9, &[]), 0);
}

fn write_tells_of_before_and_after(fx: &Fixture) {
    let file = fx.file("f", b"123");
    let ops = fx.ops();
    let known = ops.getattr(file).1.unwrap();
    let (wcc, _) = ops.write(file, 3, &[b"45"], Stable::No);
    assert_eq!(wcc.before, Some(known));
    let after = wcc.after.unwrap();
    assert_eq!((after.size, ops.getattr(file).1), (5, Ok(after)));
    assert!(after.mtime >= known.mtime && after.ctime >= known.ctime);
    // Also when nothing was changed.
    let (wcc, refused) = fx.by(10, 20).write(file, 0, &[b"x"], Stable::No);
    assert_eq!(refused, Err(Error::Acces));
    assert_eq!((wcc.before, wcc.after), (Some(after), Some(after)));
}

fn write_is_refused_where_it_must_be(fx: &Fixture) {
    let (file, ops) = (fx.file("f", b"x"), fx.ops());
    let write =
        |ops: &Ops, id, at| ops.write(id, at, &[b"12"], Stable::No).1.map(|done| done.count);
    assert_eq!(write(&ops, fx.root(), 0), Err(Error::Inval));
    assert_eq!(write(&ops, file, u64::MAX), Err(Error::Fbig));
    assert_eq!(write(&ops, file, i64::MAX as u64 - 1), Err(Error::Fbig));
    assert_eq!(write(&fx.by(10, 20), file, 0), Err(Error::Acces));
    // Its maker may, whatever the mode is now; and nobody is asked for the mode of a link.
    ops.setattr(file, mode_of(0), None).1.unwrap();
    assert_eq!(write(&ops, file, 0), Ok(2));
    assert_eq!(write(&fx.by(10, 20), file, 0), Err(Error::Acces));
}

fn write_takes_away_the_right_to_run_as_somebody_else(fx: &Fixture) {
    let (file, ops) = (fx.make("f", 0o6777), fx.ops());
    let mode = || ops.getattr(file).1.unwrap().mode;
    ops.setattr(file, mode_of(0o6777), None).1.unwrap();
    assert_eq!(mode(), 0o6777);
    fx.by(10, 20).write(file, 0, &[b"x"], Stable::No).1.unwrap();
    assert_eq!(mode(), 0o777);
}

fn stable_writes_say_so_and_commits_give_the_verifier(fx: &Fixture) {
    let (file, ops) = (fx.file("f", b""), fx.ops());
    for asked in [Stable::No, Stable::Data, Stable::File] {
        let written = ops.write(file, 0, &[b"x"], asked).1.unwrap();
        assert!(written.stable >= asked);
        assert_eq!(written.verifier, ops.commit(file).1.unwrap());
    }
    assert_eq!(ops.commit(fx.root()).1, Err(Error::Inval));
}

/// All names, listed in pages of `room` octets.
fn pages(ops: &Ops, dir: Id, room: usize) -> Vec<String> {
    let (mut names, mut cookie, mut verifier) = (Vec::new(), 0, [0; 8]);
    for _ in 0..10_000 {
        let Listed { entries, end, verifier: own } =
            ops.readdir(dir, cookie, verifier, room).1.unwrap();
        verifier = own;
        cookie = entries.last().map_or(cookie, |entry| entry.cookie);
        names.extend(entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()));
        if end {
            return names;
        }
    }
    panic!("the list does not end");
}

fn readdir_gives_every_name_once_in_pages(fx: &Fixture) {
    let dir = fx.mkdir(fx.root(), "d");
    let mut expected = BTreeSet::from([".".to_owned(), "..".to_owned()]);
    for number in 0..300 {
        let name = format!("{number}{}", "x".repeat(number % 60));
        fx.mkdir(dir, &name);
        expected.insert(name);
    }
    for room in [220, 1000, 8192, 1 << 20] {
        let names = pages(&fx.ops(), dir, room);
        assert_eq!(names.len(), expected.len(), "{room}");
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    let listed = fx.ops().readdir(dir, 0, [0; 8], 1 << 20).1.unwrap();
    let number = |name: &[u8]| listed.entries.iter().find(|e| e.name == name).unwrap().number;
    assert_eq!((number(b"."), number(b"..")), (dir.number, fx.root().number));
    let above = fx.ops().readdir(fx.root(), 0, [0; 8], 4096).1.unwrap();
    assert!(
        above
            .entries
            .iter()
            .filter(|e| e.name.starts_with(b"."))
            .all(|e| e.number == fx.root().number)
    );
}

fn readdir_goes_on_after_what_it_gave_was_removed(fx: &Fixture) {
    let (ops, mut left) = (fx.ops(), BTreeSet::new());
    for number in 0..100 {
        fx.make(&format!("f{number}"), 0o644);
        left.insert(format!("f{number}").into_bytes());
    }
    let (mut cookie, mut verifier) = (0, [0; 8]);
    // As `rm -r` does it.
    loop {
        let listed = ops.readdir(fx.root(), cookie, verifier, 400).1.unwrap();
        for entry in &listed.entries {
            if !entry.name.starts_with(b".") {
                ops.remove(fx.root(), &entry.name).1.unwrap();
                assert!(left.remove(&entry.name), "given twice: {entry:?}");
            }
            cookie = entry.cookie;
        }
        verifier = listed.verifier;
        if listed.end {
            break;
        }
    }
    assert_eq!(left, BTreeSet::new());
    assert_eq!(pages(&ops, fx.root(), 4096).len(), 2);
}

fn readdir_refuses_what_cannot_be(fx: &Fixture) {
    let (ops, file) = (fx.ops(), fx.file("f", b""));
    let listed = ops.readdir(fx.root(), 0, [0; 8], 4096).1.unwrap();
    let last = listed.entries[0].cookie;
    let mut wrong = listed.verifier;
    wrong[0] ^= 1;
    assert_eq!(ops.readdir(fx.root(), last, wrong, 4096).1, Err(Error::BadCookie));
    assert!(ops.readdir(fx.root(), last, listed.verifier, 4096).1.is_ok());
    assert_eq!(ops.readdir(fx.root(), 0, [0; 8], 110).1, Err(Error::TooSmall));
    assert_eq!(ops.readdir(fx.root(), 0, [0; 8], 0).1, Err(Error::TooSmall));
    assert_eq!(ops.readdirplus(fx.root(), 0, [0; 8], 5, 4096).1, Err(Error::TooSmall));
    assert_eq!(ops.readdir(file, 0, [0; 8], 4096).1, Err(Error::NotDir));
    // Any cookie a client can think of is an error or a place in the list, not more.
    for cookie in [u64::MAX, i64::MAX as u64, 1 << 40, 77] {
        let _any = ops.readdir(fx.root(), cookie, listed.verifier, 4096);
    }
}

fn readdirplus_gives_handles_and_attributes(fx: &Fixture) {
    let (file, dir) = (fx.file("f", b"123"), fx.mkdir(fx.root(), "d"));
    let ops = fx.ops();
    let listed = ops.readdirplus(fx.root(), 0, [0; 8], 4096, 8192).1.unwrap();
    let of = |name: &[u8]| {
        let entry = listed.entries.iter().find(|entry| entry.name == name).unwrap();
        let object = entry.object.unwrap();
        assert_eq!(object.attr, ops.getattr(object.id).1.ok());
        object.id
    };
    assert_eq!((of(b"f"), of(b"d")), (file, dir));
    assert_eq!((of(b"."), of(b"..")), (fx.root(), fx.root()));
    // The larger bound is that of all results, the smaller one that of names alone.
    let page = |names, room| ops.readdirplus(fx.root(), 0, [0; 8], names, room).1.unwrap();
    assert_eq!(page(24, 8192).entries.len(), 1);
    assert_eq!(page(4096, 500).entries.len(), 2);
}

fn fsstat_tells_of_room(fx: &Fixture) {
    let space = fx.ops().fsstat(fx.root()).1.unwrap();
    assert!(space.bytes >= space.bytes_free && space.bytes_free >= space.bytes_avail);
    assert!(space.bytes_avail > 0);
    fx.ops().is_there(fx.root()).1.unwrap();
}

fn a_read_only_export_changes_nothing(fx: &Fixture) {
    let ops = fx.read_only();
    let root = ops.export.fs.root();
    let rofs = Err(Error::Rofs);
    let attr = Set::default();
    let how = Create::Unchecked { size: None };
    assert_eq!(ops.create(root, b"f", how, attr).1.map(drop), rofs);
    assert_eq!(ops.mkdir(root, b"f", attr).1.map(drop), rofs);
    assert_eq!(ops.symlink(root, b"f", b"x", attr).1.map(drop), rofs);
    assert_eq!(ops.mknod(root, b"f", Special::Fifo, attr).1.map(drop), rofs);
    assert_eq!(ops.remove(root, b"f").1, rofs);
    assert_eq!(ops.rmdir(root, b"f").1, rofs);
    assert_eq!(ops.rename(root, b"f", &ops, root, b"g").1, rofs);
    assert_eq!(ops.link(root, &ops, root, b"g").1, rofs);
    assert_eq!(ops.setattr(root, mode_of(0o700), None).1, rofs);
    assert_eq!(ops.write(root, 0, &[b"x"], Stable::No).1.map(drop), rofs);
    assert_eq!(ops.access(root, 0x3f).1, Ok(ask::READ | ask::LOOKUP));
    assert!(ops.readdir(root, 0, [0; 8], 4096).1.unwrap().end);
}

fn a_stale_id_is_stale_everywhere(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let gone = fx.file("f", b"x");
    ops.remove(root, b"f").1.unwrap();
    let guessed = Id { number: root.number, generation: root.generation ^ 1 };
    let none = Id { number: 0x7777_7777, generation: root.generation };
    for id in [gone, guessed, none] {
        let stale = Err(Error::Stale);
        assert_eq!(ops.getattr(id).1.map(drop), stale);
        assert_eq!(ops.setattr(id, mode_of(0), None).1, stale);
        assert_eq!(ops.lookup(id, b"x").1.map(drop), stale);
        assert_eq!(ops.access(id, 1).1.map(drop), stale);
        assert_eq!(ops.readlink(id).1.map(drop), stale);
        assert_eq!(ops.read(id, 0, 1).1.map(drop), stale);
        assert_eq!(ops.write(id, 0, &[b"x"], Stable::No).1.map(drop), stale);
        assert_eq!(ops.mkdir(id, b"x", Set::default()).1.map(drop), stale);
        assert_eq!(ops.remove(id, b"x").1, stale);
        assert_eq!(ops.rename(id, b"x", &ops, root, b"y").1, stale);
        assert_eq!(ops.rename(root, b"x", &ops, id, b"y").1, stale);
        assert_eq!(ops.link(id, &ops, root, b"y").1, stale);
        assert_eq!(ops.link(root, &ops, id, b"y").1, stale);
        assert_eq!(ops.readdir(id, 0, [0; 8], 4096).1.map(drop), stale);
        assert_eq!(ops.readdirplus(id, 0, [0; 8], 4096, 4096).1.map(drop), stale);
        assert_eq!(ops.fsstat(id).1.map(drop), stale);
        assert_eq!(ops.is_there(id).1, stale);
        assert_eq!(ops.commit(id).1.map(drop), stale);
    }
}
