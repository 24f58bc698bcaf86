//! The service `nfs`, asked by the programs of libnfs and nfs-utils.

mod kit;

use kit::{Lab, Up};
use std::path::{Path, PathBuf};

const UP: &str = "up --name lab --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24 --service ";
/// Octets of a large file: more than a window, no multiple of a block.
const LARGE: usize = (24 << 20) + 12_345;

/// A stack that serves; `DIR` is a directory with nothing in it.
fn serving(test: &str, services: &str) -> Option<(Lab, Up, PathBuf)> {
    let lab = Lab::new(test)?;
    let root = lab.runtime.join("served");
    std::fs::create_dir(&root).unwrap();
    let up = lab.up(&format!("{UP}{}", services.replace("DIR", root.to_str().unwrap())));
    Some((lab, up, root))
}

/// Where a path of the server is, for libnfs, which asks no rpcbind then.
fn at(path: &str) -> String {
    format!("nfs://10.9.0.2{path}?nfsport=2049&mountport=2049")
}

fn large() -> Vec<u8> {
    let mut state = 0x5eed_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..LARGE).map(next).collect()
}

impl Lab {
    /// Runs a client that works; what it prints. `None` where it is not installed.
    fn client(&self, test: &str, name: &str, args: &[&str]) -> Option<String> {
        let output = self.program(test, name, args)?;
        assert!(output.status.success(), "{name} {args:?}: {output:?}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn file(&self, name: &str, octets: &[u8]) -> String {
        let path = self.runtime.join(name);
        std::fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Copies a large file there and back, under names in the server's root.
fn copies_both_ways(lab: &Lab, test: &str) -> Option<()> {
    let octets = large();
    let from = lab.file("from", &octets);
    lab.client(test, "nfs-cp", &[&from, &at("//large.bin")])?;
    let listed = lab.client(test, "nfs-ls", &[&at("/")])?;
    let line = listed.lines().find(|line| line.ends_with("large.bin")).expect("its name");
    assert!(line.contains(&LARGE.to_string()), "{line}");
    let back = lab.runtime.join("back");
    lab.client(test, "nfs-cp", &[&at("//large.bin"), back.to_str().unwrap()])?;
    assert!(std::fs::read(back).unwrap() == octets, "it came back changed");
    let small = lab.file("small", b"hello\n");
    lab.client(test, "nfs-cp", &[&small, &at("//small.txt")])?;
    assert_eq!(lab.client(test, "nfs-cat", &[&at("//small.txt")])?, "hello\n");
    Some(())
}

#[test]
fn files_go_to_memory_and_back_by_nfs_cp() {
    const TEST: &str = "nfs_memory";
    let Some((lab, _up, _)) = serving(TEST, "nfs") else { return };
    copies_both_ways(&lab, TEST);
}

#[test]
fn files_go_to_a_directory_and_back_by_nfs_cp() {
    const TEST: &str = "nfs_directory";
    let Some((lab, _up, root)) = serving(TEST, "nfs=DIR:squash=none") else { return };
    let written = |name: &str| std::fs::read(root.join(name)).unwrap();
    if copies_both_ways(&lab, TEST).is_some() {
        assert!(written("large.bin") == large());
        assert_eq!(written("small.txt"), b"hello\n");
    }
}

#[test]
fn a_path_below_an_export_is_mounted_and_nothing_above_it() {
    const TEST: &str = "nfs_below";
    let Some((lab, _up, root)) = serving(TEST, "nfs=DIR:ro") else { return };
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("sub/a"), "inside").unwrap();
    std::fs::write(root.join("../secret"), "outside").unwrap();
    std::os::unix::fs::symlink("../../secret", root.join("sub/link")).unwrap();
    let Some(read) = lab.client(TEST, "nfs-cat", &[&at("/sub/a")]) else { return };
    assert_eq!(read, "inside");
    for path in ["/sub/link", "/../secret", "/sub/../../secret", "/sub/none"] {
        let Some(output) = lab.program(TEST, "nfs-cat", &[&at(path)]) else { return };
        assert!(!output.status.success() && output.stdout.is_empty(), "{path}: {output:?}");
    }
    let from = lab.file("from", b"x");
    let Some(output) = lab.program(TEST, "nfs-cp", &[&from, &at("/sub/b")]) else { return };
    assert!(!output.status.success() && !Path::exists(&root.join("sub/b")), "{output:?}");
}

#[test]
fn a_client_of_another_network_is_refused() {
    const TEST: &str = "nfs_network";
    let Some((lab, _up, _)) = serving(TEST, "nfs=mem:allow=10.8.0.0/16") else { return };
    let Some(output) = lab.program(TEST, "nfs-ls", &[&at("/")]) else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("ACCES"), "{said}");
}

#[test]
fn showmount_tells_of_exports_and_mounts() {
    const TEST: &str = "nfs_showmount";
    let services = "rpcbind,nfs=mem:as=/data:allow=10.9.0.0/24+mem";
    let Some((lab, _up, _)) = serving(TEST, services) else { return };
    let showmount = |option| lab.client(TEST, "showmount", &["--no-headers", option, "10.9.0.2"]);
    let Some(exports) = showmount("-e") else { return };
    let told: Vec<Vec<&str>> =
        exports.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(told.contains(&vec!["/data", "10.9.0.0/24"]), "{exports}");
    assert!(told.contains(&vec!["/", "(everyone)"]), "{exports}");
    assert_eq!(showmount("-d").unwrap(), "");
    // libnfs finds the ports by itself now.
    let Some(_) = lab.client(TEST, "nfs-ls", &["nfs://10.9.0.2/data"]) else { return };
    assert_eq!(showmount("-a").unwrap().trim(), "10.9.0.1:/data");
    assert_eq!(showmount("-d").unwrap().trim(), "/data");
}

#[test]
fn a_service_that_cannot_be_is_refused_with_a_sentence() {
    let Some(lab) = Lab::new("nfs_refused") else { return };
    for (service, reason) in [
        ("nfs=/nowhere", "cannot serve the directory /nowhere"),
        ("nfs=mem:rw", "\"rw\" is no option of an export"),
        ("nfs=mem+mem", "two exports are /"),
    ] {
        let mut up = lab.start(&format!("{UP}{service}"));
        assert!(!up.end().success());
        assert!(up.said.contains(reason), "{service}: {}", up.said);
    }
}
