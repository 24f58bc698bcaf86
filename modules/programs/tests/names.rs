//! names: how objects get and lose them, in memory and in a directory alike: CREATE, MKDIR,
//! SYMLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK.

mod common;

use common::{Fixture, is_root, made, mode_of};
use millstream_programs::nfs::ops::Ops;
use millstream_programs::vfs::{Create, Error, Id, Kind, Set, SetTime, Special, Time};

suite! {
    create_takes_or_refuses_what_is_there,
    create_exclusive_is_the_same_call_twice,
    create_gives_owner_group_and_mode,
    create_of_a_file_that_is_there_needs_its_right,
    making_needs_the_right_to_write_to_the_directory,
    making_tells_of_the_directory_before_and_after,
    no_name_is_made_that_cannot_be,
    mkdir_and_rmdir_count_links,
    a_directory_that_hands_its_group_on_does,
    mknod_makes_pipes_and_sockets,
    remove_takes_a_name_and_with_the_last_the_object,
    a_sticky_directory_keeps_what_is_others,
    rename_moves_a_name,
    rename_replaces_what_fits,
    a_moved_directory_keeps_what_is_below_it,
    rename_refuses_what_cannot_be,
    rename_tells_of_both_directories,
    link_gives_one_more_name,
    link_refuses_what_cannot_be,
}

fn find(ops: &Ops, dir: Id, name: &str) -> Result<Id, Error> {
    ops.lookup(dir, name.as_bytes()).1.map(|object| object.id)
}

const UNCHECKED: Create = Create::Unchecked { size: None };
const GUARDED: Create = Create::Guarded { size: None };

fn create_takes_or_refuses_what_is_there(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let create = |how, attr| ops.create(root, b"f", how, attr).1;
    let file = made(create(Create::Guarded { size: Some(5) }, mode_of(0o640)));
    assert_eq!(find(&ops, root, "f"), Ok(file));
    let attr = || ops.getattr(file).1.unwrap();
    assert_eq!((attr().mode, attr().size, attr().kind), (0o640, 5, Kind::File));
    assert_eq!(create(GUARDED, Set::default()), Err(Error::Exist));
    // As it is: with its octets and its mode.
    assert_eq!(made(create(UNCHECKED, mode_of(0o777))), file);
    assert_eq!((attr().mode, attr().size), (0o640, 5));
    assert_eq!(made(create(Create::Unchecked { size: Some(0) }, Set::default())), file);
    assert_eq!(attr().size, 0);
    fx.mkdir(root, "d");
    for how in [UNCHECKED, GUARDED, Create::Exclusive([1; 8])] {
        assert_eq!(ops.create(root, b"d", how, Set::default()).1, Err(Error::Exist), "{how:?}");
    }
    let huge = Create::Guarded { size: Some(u64::MAX) };
    assert_eq!(ops.create(root, b"g", huge, Set::default()).1, Err(Error::Fbig));
    assert_eq!(find(&ops, root, "g"), Err(Error::NoEnt));
}

fn create_exclusive_is_the_same_call_twice(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let create = |name: &[u8], verifier| {
        ops.create(root, name, Create::Exclusive(verifier), Set::default()).1
    };
    let file = made(create(b"f", *b"1234abcd"));
    assert_eq!(made(create(b"f", *b"1234abcd")), file);
    assert_eq!(create(b"f", *b"1234abce"), Err(Error::Exist));
    fx.file("g", b"");
    assert_eq!(create(b"g", [0; 8]), Err(Error::Exist));
}

fn create_gives_owner_group_and_mode(fx: &Fixture) {
    if fx.dir.is_some() && !is_root() {
        return eprintln!("skipped: a file cannot be given away");
    }
    let (user, root) = (fx.by(10, 20), fx.root());
    let times = Set { mtime: SetTime::To(Time { s: 5, ns: 6 }), ..mode_of(0o4755) };
    let file = user.create(root, b"f", UNCHECKED, times).1.unwrap().attr.unwrap();
    assert_eq!((file.uid, file.gid, file.mode), (10, 20, 0o4755));
    assert_eq!(file.mtime, Time { s: 5, ns: 6 });
    // Asking to give it away is not yet giving it away.
    let away = Set { uid: Some(11), gid: Some(21), ..Set::default() };
    let file = user.create(root, b"g", UNCHECKED, away).1.unwrap().attr.unwrap();
    assert_eq!((file.uid, file.gid), (10, 20));
    let file = fx.ops().create(root, b"h", UNCHECKED, away).1.unwrap().attr.unwrap();
    assert_eq!((file.uid, file.gid), (11, 21));
    let dir = user.mkdir(root, b"d", mode_of(0o750)).1.unwrap().attr.unwrap();
    assert_eq!((dir.uid, dir.gid, dir.mode), (10, 20, 0o750));
}

fn create_of_a_file_that_is_there_needs_its_right(fx: &Fixture) {
    let (user, root) = (fx.by(10, 20), fx.root());
    fx.file("f", b"secret");
    let cut = Create::Unchecked { size: Some(0) };
    assert_eq!(user.create(root, b"f", cut, Set::default()).1, Err(Error::Acces));
    assert!(user.create(root, b"f", UNCHECKED, Set::default()).1.is_ok());
    assert_eq!(fx.ops().lookup(root, b"f").1.unwrap().attr.unwrap().size, 6);
}

/// All ways to make something of a name.
fn make_all(ops: &Ops, dir: Id, name: &[u8]) -> Vec<Result<(), Error>> {
    let attr = Set::default();
    vec![
        ops.create(dir, name, UNCHECKED, attr).1.map(drop),
        ops.create(dir, name, Create::Exclusive([1; 8]), attr).1.map(drop),
        ops.mkdir(dir, name, attr).1.map(drop),
        ops.symlink(dir, name, b"x", attr).1.map(drop),
        ops.mknod(dir, name, Special::Fifo, attr).1.map(drop),
    ]
}

fn making_needs_the_right_to_write_to_the_directory(fx: &Fixture) {
    let dir = fx.mkdir(fx.root(), "d");
    fx.file("f", b"");
    let file = find(&fx.ops(), fx.root(), "f").unwrap();
    let user = fx.by(10, 20);
    for mode in [0o755, 0o776, 0o771] {
        fx.ops().setattr(dir, mode_of(mode), None).1.unwrap();
        for made in make_all(&user, dir, b"x") {
            assert_eq!(made, Err(Error::Acces), "{mode:o}");
        }
        assert_eq!(user.remove(dir, b"x").1, Err(Error::Acces));
        assert_eq!(user.rmdir(dir, b"x").1, Err(Error::Acces));
        assert_eq!(user.rename(fx.root(), b"f", &user, dir, b"x").1, Err(Error::Acces));
        assert_eq!(user.rename(dir, b"x", &user, fx.root(), b"x").1, Err(Error::Acces));
        assert_eq!(user.link(file, &user, dir, b"x").1, Err(Error::Acces));
    }
    for made in make_all(&fx.ops(), file, b"x") {
        assert_eq!(made, Err(Error::NotDir));
    }
}

fn making_tells_of_the_directory_before_and_after(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let known = ops.getattr(root).1.unwrap();
    let (wcc, made) = ops.mkdir(root, b"d", mode_of(0o700));
    assert_eq!((wcc.before, wcc.after), (Some(known), ops.getattr(root).1.ok()));
    assert_eq!(wcc.after.unwrap().links, known.links + 1);
    let object = made.unwrap();
    assert_eq!(object.attr, ops.getattr(object.id).1.ok());
    let (wcc, refused) = ops.mkdir(root, b"d", mode_of(0o700));
    assert_eq!(refused, Err(Error::Exist));
    assert_eq!(wcc.before, wcc.after);
}

fn no_name_is_made_that_cannot_be(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    for (name, refused) in [
        (&b""[..], Error::Inval),
        (b".", Error::Exist),
        (b"..", Error::Exist),
        (b"a/b", Error::Inval),
        (b"../x", Error::Inval),
        (b"/etc/x", Error::Inval),
        (b"a\0b", Error::Inval),
        (&[b'n'; 256], Error::NameTooLong),
        (&[b'n'; 5000], Error::NameTooLong),
    ] {
        for made in make_all(&ops, root, name) {
            assert_eq!(made, Err(refused), "{name:?}");
        }
    }
    for name in [&[b'n'; 255][..], b"\xff\xfe", b" ", b"...", b"-rf", b"\n"] {
        made(ops.create(root, name, GUARDED, Set::default()).1);
        ops.remove(root, name).1.unwrap();
    }
}

fn mkdir_and_rmdir_count_links(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let links = |id| ops.getattr(id).1.unwrap().links;
    let before = links(root);
    let dir = fx.mkdir(root, "d");
    let below = fx.mkdir(dir, "e");
    assert_eq!((links(root), links(dir), links(below)), (before + 1, 3, 2));
    assert_eq!(ops.rmdir(root, b"d").1, Err(Error::NotEmpty));
    assert_eq!(ops.remove(root, b"d").1, Err(Error::IsDir));
    fx.file("f", b"");
    assert_eq!(ops.rmdir(root, b"f").1, Err(Error::NotDir));
    assert_eq!(ops.rmdir(root, b"none").1, Err(Error::NoEnt));
    assert_eq!(ops.rmdir(dir, b".").1, Err(Error::Inval));
    assert_eq!(ops.rmdir(dir, b"..").1, Err(Error::Exist));
    ops.rmdir(dir, b"e").1.unwrap();
    ops.rmdir(root, b"d").1.unwrap();
    assert_eq!(links(root), before);
    assert_eq!(ops.getattr(dir).1, Err(Error::Stale));
    assert_eq!(ops.mkdir(dir, b"x", Set::default()).1, Err(Error::Stale));
}

fn a_directory_that_hands_its_group_on_does(fx: &Fixture) {
    if fx.dir.is_some() && !is_root() {
        return eprintln!("skipped: a file cannot be given away");
    }
    let dir = fx.mkdir(fx.root(), "d");
    let group = Set { gid: Some(77), mode: Some(0o2777), ..Set::default() };
    fx.ops().setattr(dir, group, None).1.unwrap();
    let user = fx.by(10, 20);
    let file = user.create(dir, b"f", UNCHECKED, mode_of(0o644)).1.unwrap().attr.unwrap();
    assert_eq!(file.gid, 77);
    let below = user.mkdir(dir, b"e", mode_of(0o755)).1.unwrap().attr.unwrap();
    assert_eq!((below.gid, below.mode), (77, 0o2755));
}

fn mknod_makes_pipes_and_sockets(fx: &Fixture) {
    let (user, root) = (fx.by(10, 20), fx.root());
    for (name, what, kind) in
        [(b"p", Special::Fifo, Kind::Fifo), (b"s", Special::Socket, Kind::Socket)]
    {
        let made = user.mknod(root, name, what, mode_of(0o640)).1.unwrap().attr.unwrap();
        assert_eq!((made.kind, made.mode), (kind, 0o640));
    }
    for what in [Special::Char(1, 3), Special::Block(7, 0)] {
        assert_eq!(user.mknod(root, b"n", what, mode_of(0o666)).1, Err(Error::Perm));
    }
    // A disk may refuse them to root, too: in a container.
    match fx.ops().mknod(root, b"n", Special::Char(1, 3), mode_of(0o666)).1 {
        Ok(made) => {
            let attr = made.attr.unwrap();
            assert_eq!((attr.kind, attr.device), (Kind::Char, (1, 3)));
        }
        refused => assert_eq!((refused, fx.dir.is_some()), (Err(Error::Perm), true)),
    }
}

fn remove_takes_a_name_and_with_the_last_the_object(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let file = fx.file("f", b"123");
    ops.link(file, &ops, root, b"g").1.unwrap();
    ops.remove(root, b"f").1.unwrap();
    assert_eq!(ops.remove(root, b"f").1, Err(Error::NoEnt));
    let attr = ops.getattr(file).1.unwrap();
    assert_eq!((attr.links, attr.size), (1, 3));
    ops.remove(root, b"g").1.unwrap();
    assert_eq!(ops.getattr(file).1, Err(Error::Stale));
    // Another one of its name, perhaps of its number, is another one.
    let other = fx.file("f", b"");
    assert_ne!(other, file);
    assert_eq!(ops.getattr(file).1, Err(Error::Stale));
    assert_eq!(ops.remove(root, b".").1, Err(Error::Inval));
    assert_eq!(ops.remove(root, b"..").1, Err(Error::Inval));
    ops.symlink(root, b"l", b"f", Set::default()).1.unwrap();
    ops.remove(root, b"l").1.unwrap();
    assert_eq!(find(&ops, root, "f"), Ok(other));
}

fn a_sticky_directory_keeps_what_is_others(fx: &Fixture) {
    if fx.dir.is_some() && !is_root() {
        return eprintln!("skipped: a file cannot be given away");
    }
    let (root, one, other) = (fx.root(), fx.by(10, 20), fx.by(11, 20));
    fx.ops().setattr(root, mode_of(0o1777), None).1.unwrap();
    made(one.create(root, b"f", UNCHECKED, mode_of(0o666)).1);
    made(other.create(root, b"g", UNCHECKED, mode_of(0o666)).1);
    one.mkdir(root, b"d", mode_of(0o777)).1.unwrap();
    assert_eq!(other.remove(root, b"f").1, Err(Error::Acces));
    assert_eq!(other.rmdir(root, b"d").1, Err(Error::Acces));
    assert_eq!(other.rename(root, b"f", &other, root, b"h").1, Err(Error::Acces));
    assert_eq!(other.rename(root, b"g", &other, root, b"f").1, Err(Error::Acces));
    other.rename(root, b"g", &other, root, b"h").1.unwrap();
    one.remove(root, b"f").1.unwrap();
    fx.ops().remove(root, b"h").1.unwrap();
}

fn rename_moves_a_name(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let (file, dir) = (fx.file("f", b"123"), fx.mkdir(root, "d"));
    ops.rename(root, b"f", &ops, dir, b"g").1.unwrap();
    assert_eq!(find(&ops, root, "f"), Err(Error::NoEnt));
    assert_eq!(find(&ops, dir, "g"), Ok(file));
    // Its handle is that of the object, not of the name.
    assert_eq!(ops.getattr(file).1.unwrap().size, 3);
    ops.rename(dir, b"g", &ops, dir, b"g").1.unwrap();
    assert_eq!(find(&ops, dir, "g"), Ok(file));
}

fn rename_replaces_what_fits(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let (one, two) = (fx.file("one", b"1"), fx.file("two", b"2"));
    ops.rename(root, b"one", &ops, root, b"two").1.unwrap();
    assert_eq!((find(&ops, root, "two"), ops.getattr(two).1), (Ok(one), Err(Error::Stale)));
    let (d, e) = (fx.mkdir(root, "d"), fx.mkdir(root, "e"));
    fx.mkdir(d, "x");
    let rename =
        |from: &str, to: &str| ops.rename(root, from.as_bytes(), &ops, root, to.as_bytes()).1;
    assert_eq!(rename("e", "d"), Err(Error::NotEmpty));
    assert_eq!(rename("two", "e"), Err(Error::Exist));
    assert_eq!(rename("e", "two"), Err(Error::Exist));
    rename("d", "e").unwrap();
    assert_eq!((find(&ops, root, "e"), ops.getattr(e).1), (Ok(d), Err(Error::Stale)));
    // Two names of one object: nothing to do.
    ops.link(one, &ops, root, b"again").1.unwrap();
    rename("two", "again").unwrap();
    assert_eq!((find(&ops, root, "two"), find(&ops, root, "again")), (Ok(one), Ok(one)));
}

fn a_moved_directory_keeps_what_is_below_it(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let (a, b) = (fx.mkdir(root, "a"), fx.mkdir(root, "b"));
    let below = fx.mkdir(a, "c");
    let deep = fx.mkdir(below, "d");
    let links = |id| ops.getattr(id).1.unwrap().links;
    ops.rename(a, b"c", &ops, b, b"moved").1.unwrap();
    assert_eq!((links(a), links(b), links(below)), (2, 3, 3));
    assert_eq!(find(&ops, below, ".."), Ok(b));
    assert_eq!(find(&ops, below, "d"), Ok(deep));
    assert_eq!(find(&ops, deep, ".."), Ok(below));
    fx.mkdir(deep, "new");
    assert_eq!(ops.rmdir(b, b"moved").1, Err(Error::NotEmpty));
}

fn rename_refuses_what_cannot_be(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let (dir, file) = (fx.mkdir(root, "d"), fx.file("f", b""));
    let below = fx.mkdir(dir, "e");
    let rename = |from, name: &[u8], to, new: &[u8]| ops.rename(from, name, &ops, to, new).1;
    assert_eq!(rename(root, b"none", root, b"x"), Err(Error::NoEnt));
    assert_eq!(rename(root, b"d", dir, b"x"), Err(Error::Inval));
    assert_eq!(rename(root, b"d", below, b"x"), Err(Error::Inval));
    assert_eq!(rename(file, b"x", root, b"x"), Err(Error::NotDir));
    assert_eq!(rename(root, b"f", file, b"x"), Err(Error::NotDir));
    for dots in [&b"."[..], b".."] {
        assert_eq!(rename(dir, dots, root, b"x"), Err(Error::Inval));
        assert_eq!(rename(root, b"f", dir, dots), Err(Error::Inval));
    }
    assert_eq!(rename(root, b"f", root, &[b'n'; 256]), Err(Error::NameTooLong));
    assert_eq!(rename(root, b"f", root, b"d/../../x"), Err(Error::Inval));
    let elsewhere = Fixture::memory();
    let other = elsewhere.ops();
    assert_eq!(ops.rename(root, b"f", &other, other.export.fs.root(), b"x").1, Err(Error::Xdev));
}

fn rename_tells_of_both_directories(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let dir = fx.mkdir(root, "d");
    fx.file("f", b"");
    let known = (ops.getattr(root).1.ok(), ops.getattr(dir).1.ok());
    let ((from, into), done) = ops.rename(root, b"f", &ops, dir, b"g");
    done.unwrap();
    assert_eq!((from.before, into.before), known);
    assert_eq!((from.after, into.after), (ops.getattr(root).1.ok(), ops.getattr(dir).1.ok()));
    assert_ne!(from.before, from.after);
    assert_ne!(into.before, into.after);
}

fn link_gives_one_more_name(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let (file, dir) = (fx.file("f", b"123"), fx.mkdir(root, "d"));
    let ((attr, wcc), done) = ops.link(file, &ops, dir, b"g");
    done.unwrap();
    assert_eq!(attr.unwrap().links, 2);
    assert_ne!(wcc.before, wcc.after);
    assert_eq!(find(&ops, dir, "g"), Ok(file));
    let link = made(ops.symlink(root, b"l", b"nowhere", Set::default()).1);
    ops.link(link, &ops, dir, b"m").1.unwrap();
    assert_eq!(find(&ops, dir, "m"), Ok(link));
}

fn link_refuses_what_cannot_be(fx: &Fixture) {
    let (ops, root) = (fx.ops(), fx.root());
    let (file, dir) = (fx.file("f", b""), fx.mkdir(root, "d"));
    assert_eq!(ops.link(file, &ops, root, b"d").1, Err(Error::Exist));
    assert_eq!(ops.link(file, &ops, root, b"f").1, Err(Error::Exist));
    assert_eq!(ops.link(dir, &ops, root, b"x").1, Err(Error::Inval));
    assert_eq!(ops.link(file, &ops, file, b"x").1, Err(Error::NotDir));
    assert_eq!(ops.link(file, &ops, dir, b"..").1, Err(Error::Exist));
    assert_eq!(ops.link(file, &ops, dir, b"a/b").1, Err(Error::Inval));
    let elsewhere = Fixture::memory();
    let other = elsewhere.ops();
    assert_eq!(ops.link(file, &other, other.export.fs.root(), b"x").1, Err(Error::Xdev));
}
