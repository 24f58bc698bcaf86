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

/// As `millstream rpc` calls the program.
const MOUNT: &str = "mountd";

/// A client by hand: what it has asked, and how that has to look to others.
struct Asker<'a> {
    lab: &'a Lab,
    /// Program, procedure, status and name of each exchange.
    asked: Vec<(&'static str, u32, u32, String)>,
}

impl Asker<'_> {
    /// Calls with arguments as `rpc call` takes them; the results in hexadecimal, behind the status
    /// that is expected.
    fn ask(&mut self, program: &'static str, procedure: u32, status: u32, args: &str) -> String {
        let line = format!("rpc call 10.9.0.2:2049 {program} 3 {procedure} {args}");
        let mut command = self.lab.command(&line);
        let output = self.lab.netns.run(|| command.output()).unwrap().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let results = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let name = args.split(' ').find_map(|arg| arg.strip_prefix("string:"));
        self.asked.push((program, procedure, status, name.unwrap_or_default().to_owned()));
        if results.is_empty() || (program == MOUNT && procedure != 1) {
            return results;
        }
        let (told, rest) = results.split_at(8);
        assert_eq!(u32::from_str_radix(told, 16), Ok(status), "{line}: {results}");
        rest.to_owned()
    }

    fn nfs(&mut self, procedure: u32, status: u32, args: &str) -> String {
        self.ask("nfs", procedure, status, args)
    }

    /// Makes an object: its handle, as an argument.
    fn make(&mut self, procedure: u32, args: &str) -> String {
        handle(&self.nfs(procedure, 0, args)[8..])
    }
}

/// What begins with a handle in hexadecimal, as an argument.
fn handle(results: &str) -> String {
    let len = usize::from_str_radix(&results[..8], 16).unwrap();
    format!("opaque:{}", &results[8..8 + 2 * len])
}

#[test]
fn wireshark_reads_every_procedure_of_nfs_and_mount_as_it_was_meant() {
    const TEST: &str = "nfs_wireshark";
    let Some(lab) = Lab::new(TEST) else { return };
    let file = lab.runtime.join("calls.pcapng");
    let mut up = lab.up(&format!("{UP}nfs --pcap {}", file.display()));
    let mut client = Asker { lab: &lab, asked: Vec::new() };
    let asked = ask_everything(&mut client);
    up.signal(rustix::process::Signal::TERM);
    assert!(up.end().success());
    let mut tshark = std::process::Command::new("tshark");
    tshark.args(["-r", file.to_str().unwrap(), "-2", "-Y", "rpc || _ws.malformed || tcp.len > 0"]);
    tshark.args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=f"]);
    let fields = ["rpc.msgtyp", "nfs.procedure_v3", "mount.procedure_v3", "nfs.status"];
    for field in fields.into_iter().chain(["mount.status", "nfs.name", "_ws.malformed"]) {
        tshark.args(["-e", field]);
    }
    let output = match tshark.output() {
        Ok(output) => output,
        Err(e) => return eprintln!("skipped: {TEST}: tshark: {e}"),
    };
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').collect()).collect();
    assert!(lines.iter().all(|line| line[6].is_empty()), "malformed: {text}");
    let (calls, replies): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line[0] == "0");
    assert_eq!((calls.len(), replies.len()), (asked.len(), asked.len()), "{text}");
    for ((call, reply), (program, procedure, status, name)) in
        calls.iter().zip(&replies).zip(&asked)
    {
        let of = if *program == MOUNT { 2 } else { 1 };
        let number = procedure.to_string();
        assert_eq!((call[of], reply[of]), (&*number, &*number), "{text}");
        if *program != MOUNT && *procedure != 0 {
            assert_eq!(reply[3], status.to_string(), "procedure {number}: {text}");
            assert_eq!(call[5], name, "procedure {number}: {text}");
        } else if *program == MOUNT && *procedure == 1 {
            assert_eq!(reply[4], status.to_string(), "{text}");
        }
    }
}

/// Every procedure, most with a refusal too.
fn ask_everything(client: &mut Asker<'_>) -> Vec<(&'static str, u32, u32, String)> {
    let mode = "uint:1 uint:420 uint:0 uint:0 uint:0 uint:0 uint:0";
    client.ask(MOUNT, 0, 0, "");
    let root = handle(&client.ask(MOUNT, 1, 0, "string:/"));
    client.ask(MOUNT, 1, 2, "string:/none");
    for procedure in [2, 5, 4] {
        client.ask(MOUNT, procedure, 0, "");
    }
    client.ask(MOUNT, 3, 0, "string:/");
    client.nfs(0, 0, "");
    let made = client.make(8, &format!("{root} string:a uint:1 {mode}"));
    client.nfs(8, 17, &format!("{root} string:a uint:1 {mode}"));
    client.nfs(7, 0, &format!("{made} uhyper:0 uint:5 uint:2 opaque:68656c6c6f"));
    client.nfs(6, 0, &format!("{made} uhyper:0 uint:100"));
    client.nfs(21, 0, &format!("{made} uhyper:0 uint:0"));
    client.nfs(1, 0, &made);
    client.nfs(2, 0, &format!("{made} {mode} uint:0"));
    client.nfs(3, 0, &format!("{root} string:a"));
    client.nfs(3, 2, &format!("{root} string:none"));
    client.nfs(4, 0, &format!("{root} uint:63"));
    let below = client.make(9, &format!("{root} string:d {mode}"));
    let link = client.make(10, &format!("{root} string:s {mode} string:to/where"));
    client.nfs(5, 0, &link);
    client.make(11, &format!("{root} string:p uint:7 {mode}"));
    client.nfs(15, 0, &format!("{made} {root} string:l"));
    client.nfs(14, 0, &format!("{root} string:l {root} string:m"));
    for (procedure, counts) in [(16, "uint:4096"), (17, "uint:4096 uint:65536")] {
        client.nfs(procedure, 0, &format!("{root} uhyper:0 uhyper:0 {counts}"));
    }
    for procedure in [18, 19, 20] {
        client.nfs(procedure, 0, &root);
    }
    client.nfs(12, 0, &format!("{root} string:m"));
    client.nfs(12, 2, &format!("{root} string:m"));
    client.nfs(13, 0, &format!("{root} string:d"));
    client.nfs(1, 70, &below);
    std::mem::take(&mut client.asked)
}
