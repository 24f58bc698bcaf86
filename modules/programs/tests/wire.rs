//! wire: all procedures of NFS and MOUNT, asked and read by the types of another implementation.

mod common;

use common::served::{MOUNT, NFS, Served, packed, unpacked, user};
use millstream_onc::{Answer, Credential, Transport};
use nfs3_types::mount::{exports, mountlist, mountstat3};
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::{Opaque, Pack, Unpack, Void};

/// Both file systems, without squashing.
fn both() -> [Served; 2] {
    [Served::new("mem:squash=none", 0x5eed), Served::directory(":squash=none")]
}

fn name(name: &str) -> filename3<'static> {
    filename3(Opaque::owned(name.as_bytes().to_vec()))
}

fn place(dir: &nfs_fh3, of: &str) -> diropargs3<'static> {
    diropargs3 { dir: dir.clone(), name: name(of) }
}

fn mode(mode: u32) -> sattr3 {
    sattr3 { mode: set_mode3::Some(mode), ..sattr3::default() }
}

fn create(client: &mut Served, dir: &nfs_fh3, name: &str) -> nfs_fh3 {
    let args = CREATE3args { where_: place(dir, name), how: createhow3::GUARDED(mode(0o644)) };
    let made: CREATE3res = client.nfs(8, &args);
    let made = made.unwrap();
    assert!(made.obj_attributes.is_some() && made.dir_wcc.before.is_some());
    made.obj.unwrap()
}

fn write(client: &mut Served, file: &nfs_fh3, offset: u64, data: &[u8]) -> WRITE3res {
    let data = Opaque::owned(data.to_vec());
    let (file, count) = (file.clone(), data.len() as u32);
    client.nfs(7, &WRITE3args { file, offset, count, stable: stable_how::UNSTABLE, data })
}

fn read(client: &mut Served, file: &nfs_fh3, offset: u64, count: u32) -> READ3resok<'static> {
    let read: READ3res<'_> = client.nfs(6, &READ3args { file: file.clone(), offset, count });
    let READ3resok { file_attributes, count, eof, data } = read.unwrap();
    assert_eq!(count as usize, data.len());
    READ3resok { file_attributes, count, eof, data: Opaque::owned(data.into_owned()) }
}

fn status<T, E>(result: Nfs3Result<T, E>) -> nfsstat3 {
    match result {
        Nfs3Result::Ok(_) => nfsstat3::NFS3_OK,
        Nfs3Result::Err((status, _)) => status,
    }
}

#[test]
fn files_are_made_written_and_read() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let file = create(&mut client, &root, "f");
        let octets: Vec<u8> = (0..300_000_u32).map(|n| (n * 7) as u8).collect();
        let written = write(&mut client, &file, 0, &octets).unwrap();
        assert_eq!(written.count, 300_000);
        assert!(written.file_wcc.before.is_some() && written.file_wcc.after.is_some());
        let done = read(&mut client, &file, 0, 1 << 20);
        assert!(done.data.0 == octets && done.eof);
        assert_eq!(done.file_attributes.unwrap().size, 300_000);
        let part = read(&mut client, &file, 65_000, 1001);
        assert!(*part.data.0 == octets[65_000..66_001] && !part.eof);
        let args = COMMIT3args { file: file.clone(), offset: 0, count: 0 };
        let committed: COMMIT3res = client.nfs(21, &args);
        assert_eq!(committed.unwrap().verf, written.verf);
        let args = GETATTR3args { object: file };
        let attr: GETATTR3res = client.nfs(1, &args);
        let attr = attr.unwrap().obj_attributes;
        assert_eq!((attr.type_, attr.size, attr.mode), (ftype3::NF3REG, 300_000, 0o644));
    }
}

#[test]
fn attributes_are_set_and_guarded() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let object = create(&mut client, &root, "f");
        let args = GETATTR3args { object: object.clone() };
        let ctime = client.nfs::<GETATTR3res>(1, &args).unwrap().obj_attributes.ctime;
        let time = nfstime3 { seconds: 77, nseconds: 999_999_999 };
        let new_attributes = sattr3 {
            size: set_size3::Some(9),
            atime: set_atime::SET_TO_SERVER_TIME,
            mtime: set_mtime::SET_TO_CLIENT_TIME(time),
            ..mode(0o600)
        };
        let guard = sattrguard3::Some(ctime);
        let args = SETATTR3args { object, new_attributes, guard };
        let set: SETATTR3res = client.nfs(2, &args);
        let after = set.unwrap().obj_wcc.after.unwrap();
        assert_eq!((after.size, after.mode, after.mtime), (9, 0o600, time));
        assert!(after.atime.seconds > 1_600_000_000);
        match client.nfs::<SETATTR3res>(2, &args) {
            Nfs3Result::Err((nfsstat3::NFS3ERR_NOT_SYNC, fail)) => {
                assert!(fail.obj_wcc.before.is_some() && fail.obj_wcc.after.is_some());
            }
            other => panic!("{other:?}"),
        }
        let wrong = nfstime3 { seconds: 0, nseconds: 1_000_000_000 };
        let new_attributes =
            sattr3 { mtime: set_mtime::SET_TO_CLIENT_TIME(wrong), ..sattr3::default() };
        let args = SETATTR3args { new_attributes, guard: sattrguard3::None, ..args };
        assert_eq!(status(client.nfs::<SETATTR3res>(2, &args)), nfsstat3::NFS3ERR_INVAL);
    }
}

#[test]
fn names_are_made_found_moved_and_removed() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let args = MKDIR3args { where_: place(&root, "d"), attributes: mode(0o755) };
        let dir = client.nfs::<MKDIR3res>(9, &args).unwrap().obj.unwrap();
        let file = create(&mut client, &root, "f");
        let args = LINK3args { file: file.clone(), link: place(&dir, "g") };
        let linked = client.nfs::<LINK3res>(15, &args).unwrap();
        assert_eq!(linked.file_attributes.unwrap().nlink, 2);
        assert!(linked.linkdir_wcc.before.is_some());
        let args = RENAME3args { from: place(&root, "f"), to: place(&dir, "h") };
        let renamed = client.nfs::<RENAME3res>(14, &args).unwrap();
        assert!(renamed.fromdir_wcc.before.is_some() && renamed.todir_wcc.after.is_some());
        let args = LOOKUP3args { what: place(&dir, "h") };
        let found = client.nfs::<LOOKUP3res>(3, &args).unwrap();
        assert_eq!(found.object, file);
        assert!(found.obj_attributes.is_some() && found.dir_attributes.is_some());
        let args = LOOKUP3args { what: place(&root, "f") };
        match client.nfs::<LOOKUP3res>(3, &args) {
            Nfs3Result::Err((nfsstat3::NFS3ERR_NOENT, fail)) => {
                assert!(fail.dir_attributes.is_some());
            }
            other => panic!("{other:?}"),
        }
        for gone in ["g", "h"] {
            let args = REMOVE3args { object: place(&dir, gone) };
            client.nfs::<REMOVE3res>(12, &args).unwrap();
        }
        let args = GETATTR3args { object: file };
        assert_eq!(status(client.nfs::<GETATTR3res>(1, &args)), nfsstat3::NFS3ERR_STALE);
        let args = RMDIR3args { object: place(&root, "d") };
        assert!(client.nfs::<RMDIR3res>(13, &args).unwrap().dir_wcc.after.is_some());
    }
}

#[test]
fn links_pipes_and_exclusive_files_are_made() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let symlink = symlinkdata3 {
            symlink_attributes: sattr3::default(),
            symlink_data: nfspath3(Opaque::borrowed(b"../x")),
        };
        let args = SYMLINK3args { where_: place(&root, "l"), symlink };
        let link = client.nfs::<SYMLINK3res>(10, &args).unwrap().obj.unwrap();
        let args = READLINK3args { symlink: link };
        let to = client.nfs::<READLINK3res<'_>>(5, &args).unwrap();
        assert_eq!(&*to.data.0.0, b"../x");
        assert!(to.symlink_attributes.is_some());
        let what = mknoddata3::NF3FIFO(mode(0o600));
        let args = MKNOD3args { where_: place(&root, "p"), what };
        let pipe = client.nfs::<MKNOD3res>(11, &args).unwrap();
        assert_eq!(pipe.obj_attributes.unwrap().type_, ftype3::NF3FIFO);
        // A regular file is no special one.
        let args = [packed(&place(&root, "q")), packed(&1_u32)].concat();
        let refused: MKNOD3res = unpacked(&client.ask(NFS, 11, &args).unwrap());
        assert_eq!(status(refused), nfsstat3::NFS3ERR_BADTYPE);
        let how = || createhow3::EXCLUSIVE(createverf3(*b"12345678"));
        for _ in 0..2 {
            let args = CREATE3args { where_: place(&root, "e"), how: how() };
            client.nfs::<CREATE3res>(8, &args).unwrap();
        }
    }
}

#[test]
fn directories_are_listed() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let file = create(&mut client, &root, "file");
        let (cookie, cookieverf) = (0, cookieverf3([0; 8]));
        let args = READDIR3args { dir: root.clone(), cookie, cookieverf, count: 4096 };
        let listed = client.nfs::<READDIR3res<'_>>(16, &args).unwrap();
        let mut names: Vec<_> =
            listed.reply.entries.0.iter().map(|entry| entry.name.0.to_vec()).collect();
        names.sort();
        assert_eq!(names, [&b"."[..], b"..", b"file"]);
        assert!(listed.reply.eof && listed.dir_attributes.is_some());
        let (dircount, maxcount) = (4096, 8192);
        let args = READDIRPLUS3args { dir: root, cookie, cookieverf, dircount, maxcount };
        let octets = client.ask(NFS, 17, &packed(&args)).unwrap();
        assert!(octets.len() <= 8192);
        let listed = unpacked::<READDIRPLUS3res<'_>>(&octets).unwrap();
        let entry = listed.reply.entries.0.into_iter().find(|entry| entry.name.0.len() == 4);
        let entry = entry.unwrap();
        assert_eq!(entry.name_handle.unwrap(), file);
        assert_eq!(entry.name_attributes.unwrap().fileid, entry.fileid);
    }
}

#[test]
fn results_of_a_list_fit_into_what_was_asked_for() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        for number in 0..100 {
            create(&mut client, &root, &"x".repeat(number + 1));
        }
        for count in (600..20_000).step_by(777) {
            let (cookie, cookieverf) = (0, cookieverf3([0; 8]));
            let args = READDIR3args { dir: root.clone(), cookie, cookieverf, count };
            let octets = client.ask(NFS, 16, &packed(&args)).unwrap();
            assert!(octets.len() <= count as usize, "{count}: {}", octets.len());
            let (dir, dircount, maxcount) = (root.clone(), count, count);
            let args = READDIRPLUS3args { dir, cookie, cookieverf, dircount, maxcount };
            let octets = client.ask(NFS, 17, &packed(&args)).unwrap();
            assert!(octets.len() <= count as usize, "plus {count}: {}", octets.len());
            unpacked::<READDIRPLUS3res<'_>>(&octets).unwrap();
        }
    }
}

#[test]
fn the_file_system_tells_of_itself() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let args = FSSTAT3args { fsroot: root.clone() };
        let stat = client.nfs::<FSSTAT3res>(18, &args).unwrap();
        assert!(stat.tbytes >= stat.abytes && stat.obj_attributes.is_some());
        let args = FSINFO3args { fsroot: root.clone() };
        let info = client.nfs::<FSINFO3res>(19, &args).unwrap();
        assert_eq!((info.rtmax, info.wtmax, info.properties), (1 << 20, 1 << 20, 0x1b));
        assert_eq!(info.maxfilesize, i64::MAX as u64);
        let args = PATHCONF3args { object: root.clone() };
        let conf = client.nfs::<PATHCONF3res>(20, &args).unwrap();
        assert_eq!((conf.name_max, conf.no_trunc, conf.chown_restricted), (255, true, true));
        let args = ACCESS3args { object: root, access: 0x3f };
        let access = client.nfs::<ACCESS3res>(4, &args).unwrap();
        assert_eq!(access.access, 0x1f);
        assert!(client.ask(NFS, 0, &[]).unwrap().is_empty());
        assert!(client.ask(MOUNT, 0, &[]).unwrap().is_empty());
    }
}

/// Arguments of every procedure, of these handles: of a directory and of a file.
fn all_arguments(dir: &nfs_fh3, file: &nfs_fh3) -> Vec<(u32, Vec<u8>)> {
    let (object, d, f) = (file.clone(), dir.clone(), file.clone());
    let at = || place(dir, "name");
    let cookieverf = cookieverf3([0; 8]);
    let symlink = symlinkdata3 {
        symlink_attributes: mode(0o777),
        symlink_data: nfspath3(Opaque::borrowed(b"to")),
    };
    let guard = sattrguard3::Some(nfstime3 { seconds: 1, nseconds: 1 });
    let how = createhow3::UNCHECKED(mode(0o644));
    let (data, stable) = (Opaque::borrowed(b"12345"), stable_how::UNSTABLE);
    let (dircount, maxcount) = (4096, 4096);
    vec![
        (1, packed(&GETATTR3args { object: f.clone() })),
        (2, packed(&SETATTR3args { object, new_attributes: mode(0o600), guard })),
        (3, packed(&LOOKUP3args { what: at() })),
        (4, packed(&ACCESS3args { object: d.clone(), access: 1 })),
        (5, packed(&READLINK3args { symlink: f.clone() })),
        (6, packed(&READ3args { file: f.clone(), offset: 0, count: 9 })),
        (7, packed(&WRITE3args { file: f.clone(), offset: 0, count: 5, stable, data })),
        (8, packed(&CREATE3args { where_: at(), how })),
        (9, packed(&MKDIR3args { where_: at(), attributes: mode(0o755) })),
        (10, packed(&SYMLINK3args { where_: at(), symlink })),
        (11, packed(&MKNOD3args { where_: at(), what: mknoddata3::NF3FIFO(mode(0o600)) })),
        (12, packed(&REMOVE3args { object: at() })),
        (13, packed(&RMDIR3args { object: at() })),
        (14, packed(&RENAME3args { from: at(), to: at() })),
        (15, packed(&LINK3args { file: f.clone(), link: at() })),
        (16, packed(&READDIR3args { dir: d.clone(), cookie: 0, cookieverf, count: 4096 })),
        (
            17,
            packed(&READDIRPLUS3args { dir: d.clone(), cookie: 0, cookieverf, dircount, maxcount }),
        ),
        (18, packed(&FSSTAT3args { fsroot: d.clone() })),
        (19, packed(&FSINFO3args { fsroot: d.clone() })),
        (20, packed(&PATHCONF3args { object: d })),
        (21, packed(&COMMIT3args { file: f, offset: 0, count: 0 })),
    ]
}

/// The status of a procedure's results, all of which must be read.
fn status_of(procedure: u32, octets: &[u8]) -> nfsstat3 {
    fn of<T: Unpack, E: Unpack>(octets: &[u8]) -> nfsstat3 {
        status(unpacked::<Nfs3Result<T, E>>(octets))
    }
    match procedure {
        1 => of::<GETATTR3resok, Void>(octets),
        2 => of::<SETATTR3resok, SETATTR3resfail>(octets),
        3 => of::<LOOKUP3resok, LOOKUP3resfail>(octets),
        4 => of::<ACCESS3resok, ACCESS3resfail>(octets),
        5 => of::<READLINK3resok<'_>, READLINK3resfail>(octets),
        6 => of::<READ3resok<'_>, READ3resfail>(octets),
        7 => of::<WRITE3resok, WRITE3resfail>(octets),
        8 => of::<CREATE3resok, CREATE3resfail>(octets),
        9 => of::<MKDIR3resok, MKDIR3resfail>(octets),
        10 => of::<SYMLINK3resok, SYMLINK3resfail>(octets),
        11 => of::<MKNOD3resok, MKNOD3resfail>(octets),
        12 => of::<REMOVE3resok, REMOVE3resfail>(octets),
        13 => of::<RMDIR3resok, RMDIR3resfail>(octets),
        14 => of::<RENAME3resok, RENAME3resfail>(octets),
        15 => of::<LINK3resok, LINK3resfail>(octets),
        16 => of::<READDIR3resok<'_>, READDIR3resfail>(octets),
        17 => of::<READDIRPLUS3resok<'_>, READDIRPLUS3resfail>(octets),
        18 => of::<FSSTAT3resok, FSSTAT3resfail>(octets),
        19 => of::<FSINFO3resok, FSINFO3resfail>(octets),
        20 => of::<PATHCONF3resok, PATHCONF3resfail>(octets),
        _ => of::<COMMIT3resok, COMMIT3resfail>(octets),
    }
}

fn statuses(client: &mut Served, handle: &nfs_fh3) -> Vec<nfsstat3> {
    let all = all_arguments(handle, handle).into_iter();
    all.map(|(procedure, args)| status_of(procedure, &client.ask(NFS, procedure, &args).unwrap()))
        .collect()
}

#[test]
fn a_handle_that_was_changed_is_bad_and_one_of_before_a_restart_stale() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let changed = |at: usize| {
            let mut octets = root.data.0.to_vec();
            octets[at] ^= 1;
            nfs_fh3 { data: Opaque::owned(octets) }
        };
        let cut = |len: usize| nfs_fh3 { data: Opaque::owned(root.data.0[..len].to_vec()) };
        for handle in [changed(20), changed(39), cut(39), cut(0)] {
            let bad = nfsstat3::NFS3ERR_BADHANDLE;
            assert!(statuses(&mut client, &handle).into_iter().all(|status| status == bad));
        }
        let mut other = Served::new("mem", 0xbeef);
        let stale = nfsstat3::NFS3ERR_STALE;
        assert!(statuses(&mut other, &root).into_iter().all(|status| status == stale));
        // One octet more than a handle has is no handle at all.
        let long = nfs_fh3 { data: Opaque::owned(vec![0; 65]) };
        for (procedure, args) in all_arguments(&long, &long) {
            assert_eq!(client.ask(NFS, procedure, &args), Err(Answer::GarbageArgs), "{procedure}");
        }
    }
}

#[test]
fn arguments_cut_or_continued_are_garbage() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let file = create(&mut client, &root, "f");
        for (procedure, args) in all_arguments(&root, &file) {
            for len in 0..args.len() {
                let cut = client.ask(NFS, procedure, &args[..len]);
                assert_eq!(cut, Err(Answer::GarbageArgs), "{procedure} of {len}");
            }
            let more = client.ask(NFS, procedure, &[&args[..], &[0; 4]].concat());
            assert_eq!(more, Err(Answer::GarbageArgs), "{procedure}");
        }
        assert_eq!(client.ask(MOUNT, 1, &[0, 0, 4, 1]), Err(Answer::GarbageArgs));
        // Nothing was done.
        let args = LOOKUP3args { what: place(&root, "name") };
        assert_eq!(status(client.nfs::<LOOKUP3res>(3, &args)), nfsstat3::NFS3ERR_NOENT);
    }
}

#[test]
fn huge_counts_give_what_there_is_room_for() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let file = create(&mut client, &root, "f");
        let octets = vec![7; 3 << 20];
        write(&mut client, &file, 0, &octets).unwrap();
        assert_eq!(read(&mut client, &file, 0, u32::MAX).data.len(), 1 << 20);
        client.transport = Transport::Udp;
        assert_eq!(read(&mut client, &file, 0, u32::MAX).data.len(), 32 << 10);
        let args = FSINFO3args { fsroot: root.clone() };
        assert_eq!(client.nfs::<FSINFO3res>(19, &args).unwrap().rtmax, 32 << 10);
        client.transport = Transport::Tcp;
        let (cookie, cookieverf, count) = (0, cookieverf3([0; 8]), u32::MAX);
        let args = READDIR3args { dir: root.clone(), cookie, cookieverf, count };
        client.nfs::<READDIR3res<'_>>(16, &args).unwrap();
        let (dircount, maxcount) = (count, count);
        let args = READDIRPLUS3args { dir: root, cookie, cookieverf, dircount, maxcount };
        client.nfs::<READDIRPLUS3res<'_>>(17, &args).unwrap();
        for (count, offset) in [(6, 0), (4, 0), (u32::MAX, 0)] {
            let (data, stable) = (Opaque::borrowed(b"12345"), stable_how::UNSTABLE);
            let args = WRITE3args { file: file.clone(), offset, count, stable, data };
            assert_eq!(status(client.nfs::<WRITE3res>(7, &args)), nfsstat3::NFS3ERR_INVAL);
        }
        assert_eq!(status(write(&mut client, &file, u64::MAX, b"1")), nfsstat3::NFS3ERR_FBIG);
    }
}

#[test]
fn memory_that_is_full_says_so_and_serves_on() {
    let mut client = Served::new("mem:squash=none:size=1m", 1);
    let root = client.mount("/").unwrap();
    let file = create(&mut client, &root, "f");
    let written = write(&mut client, &file, 0, &vec![1; 2 << 20]).unwrap();
    assert!(written.count > 900 << 10 && written.count < 1 << 20);
    let full = write(&mut client, &file, written.count.into(), &[1; 1 << 17]);
    assert_eq!(status(full), nfsstat3::NFS3ERR_NOSPC);
    assert_eq!(read(&mut client, &file, 5, 10).data.len(), 10);
    let args = REMOVE3args { object: place(&root, "f") };
    client.nfs::<REMOVE3res>(12, &args).unwrap();
    let file = create(&mut client, &root, "g");
    assert_eq!(write(&mut client, &file, 0, &[1; 1 << 17]).unwrap().count, 1 << 17);
}

#[test]
fn blocks_of_a_file_in_memory_are_handed_out_uncopied() {
    let mut client = Served::new("mem:squash=none", 1);
    let root = client.mount("/").unwrap();
    let file = create(&mut client, &root, "f");
    write(&mut client, &file, 0, &vec![9; 256 << 10]).unwrap();
    let args = packed(&READ3args { file, offset: 0, count: 256 << 10 });
    let mut places = Vec::new();
    for _ in 0..2 {
        let msg = client.ask_msg(NFS, 6, &args).unwrap().unwrap();
        let large = |block: &&[u8]| block.len() == 64 << 10;
        let blocks: Vec<_> = msg.blocks().filter_map(|block| block.as_slice()).collect();
        places.push(
            blocks.iter().filter(|block| large(block)).map(|b| b.as_ptr()).collect::<Vec<_>>(),
        );
    }
    assert_eq!(places[0].len(), 4);
    assert_eq!(places[0], places[1]);
}

#[test]
fn callers_are_squashed_as_the_export_says() {
    for (options, credential, owner) in [
        ("squash=none", user(0, 0), (0, 0)),
        ("squash=root", user(0, 0), (65534, 65534)),
        ("squash=root", user(10, 20), (10, 20)),
        ("squash=all:anonuid=7:anongid=8", user(10, 20), (7, 8)),
        ("squash=none", Credential::None, (65534, 65534)),
    ] {
        let mut client = Served::new(&format!("mem:{options}"), 1);
        let root = client.mount("/").unwrap();
        client.credential = credential;
        let file = create(&mut client, &root, "f");
        let args = GETATTR3args { object: file };
        let attr = client.nfs::<GETATTR3res>(1, &args).unwrap().obj_attributes;
        assert_eq!((attr.uid, attr.gid), owner, "{options}");
    }
}

#[test]
fn clients_of_other_networks_may_neither_mount_nor_call() {
    let mut client = Served::new("mem:allow=10.9.0.0/24", 1);
    let root = client.mount("/").unwrap();
    client.peer = "10.9.1.1:999".parse().unwrap();
    assert!(matches!(client.mount("/"), Err(mountstat3::MNT3ERR_ACCES)));
    // Not even with a handle that they have from somebody else.
    let acces = nfsstat3::NFS3ERR_ACCES;
    assert!(statuses(&mut client, &root).into_iter().all(|status| status == acces));
}

#[test]
fn a_read_only_export_says_so() {
    let mut client = Served::new("mem:ro", 1);
    let root = client.mount("/").unwrap();
    let all = all_arguments(&root, &root).into_iter();
    for (procedure, args) in all.filter(|(procedure, _)| (7..=15).contains(procedure)) {
        let status = status_of(procedure, &client.ask(NFS, procedure, &args).unwrap());
        assert_eq!(status, nfsstat3::NFS3ERR_ROFS, "{procedure}");
    }
}

#[test]
fn nothing_goes_from_one_export_to_another() {
    let mut client = Served::new("mem:squash=none:as=/a+mem:squash=none:as=/b", 1);
    let (a, b) = (client.mount("/a").unwrap(), client.mount("/b").unwrap());
    let file = create(&mut client, &a, "f");
    let args = RENAME3args { from: place(&a, "f"), to: place(&b, "f") };
    assert_eq!(status(client.nfs::<RENAME3res>(14, &args)), nfsstat3::NFS3ERR_XDEV);
    let args = LINK3args { file, link: place(&b, "f") };
    assert_eq!(status(client.nfs::<LINK3res>(15, &args)), nfsstat3::NFS3ERR_XDEV);
}

#[test]
fn paths_are_mounted_as_far_as_they_are_directories() {
    for mut client in both() {
        let root = client.mount("/").unwrap();
        let args = MKDIR3args { where_: place(&root, "d"), attributes: mode(0o755) };
        let dir = client.nfs::<MKDIR3res>(9, &args).unwrap().obj.unwrap();
        create(&mut client, &root, "f");
        for path in ["", "/", "//", "/d/.."] {
            match client.mount(path) {
                Ok(handle) => assert_eq!(handle, root, "{path}"),
                Err(mountstat3::MNT3ERR_ACCES) => assert_eq!(path, "/d/.."),
                Err(e) => panic!("{path}: {e}"),
            }
        }
        for path in ["d", "/d", "/d/", "//d//."] {
            assert_eq!(client.mount(path).unwrap(), dir, "{path}");
        }
        assert!(matches!(client.mount("/x"), Err(mountstat3::MNT3ERR_NOENT)));
        assert!(matches!(client.mount("/f"), Err(mountstat3::MNT3ERR_NOTDIR)));
        assert!(matches!(client.mount("/../etc"), Err(mountstat3::MNT3ERR_ACCES)));
    }
    let mut named = Served::new("mem:as=/data", 1);
    assert!(matches!(named.mount("/"), Err(mountstat3::MNT3ERR_NOENT)));
    assert!(named.mount("/data").is_ok());
}

#[test]
fn mounts_and_exports_are_listed() {
    let mut client = Served::new("mem:as=/a:allow=10.9.0.0/24:allow=[fd00::]/8+mem:as=/b", 1);
    let mounts = |client: &mut Served| -> Vec<(String, String)> {
        let all: mountlist<'_, '_> = unpacked(&client.ask(MOUNT, 2, &[]).unwrap());
        let text = |octets: &Opaque<'_>| String::from_utf8(octets.to_vec()).unwrap();
        all.0.iter().map(|body| (text(&body.ml_hostname.0), text(&body.ml_directory.0))).collect()
    };
    for path in ["/a", "/b", "/a"] {
        client.mount(path).unwrap();
    }
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(mounts(&mut client), [pair("10.9.0.1", "/a"), pair("10.9.0.1", "/b")]);
    client.peer = "10.9.0.2:700".parse().unwrap();
    client.mount("/a").unwrap();
    assert!(client.ask(MOUNT, 3, &packed(&Opaque::borrowed(b"/a"))).unwrap().is_empty());
    assert_eq!(mounts(&mut client).len(), 2);
    client.peer = "10.9.0.1:701".parse().unwrap();
    assert!(client.ask(MOUNT, 4, &[]).unwrap().is_empty());
    assert_eq!(mounts(&mut client), []);
    let all: exports<'_, '_> = unpacked(&client.ask(MOUNT, 5, &[]).unwrap());
    let told: Vec<_> =
        all.0.iter().map(|node| (node.ex_dir.0.to_vec(), node.ex_groups.0.len())).collect();
    assert_eq!(told, [(b"/a".to_vec(), 2), (b"/b".to_vec(), 0)]);
}

#[test]
fn what_others_pack_is_what_was_meant() {
    // So that these tests do not compare a mistake with itself: octets written by hand.
    let args = READ3args { file: nfs_fh3 { data: Opaque::borrowed(b"abc") }, offset: 5, count: 9 };
    let octets = b"\0\0\0\x03abc\0\0\0\0\0\0\0\0\x05\0\0\0\x09";
    assert_eq!(packed(&args), octets);
    assert_eq!(args.packed_size(), octets.len());
}
