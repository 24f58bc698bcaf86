//! tshark reads what the stack sends: every field, every checksum.

use crate::lab::{Host, STACK, addr, command, said};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A running capture of tap0 into a file.
struct Capture {
    tshark: Child,
    file: PathBuf,
}

const MARK_BEGIN: &[u8] = b"the capture has begun";
const MARK_END: &[u8] = b"the capture ends here";

impl Capture {
    fn start(host: &Host, name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("millstream-{name}-{}", std::process::id()));
        let mut start = command(&format!("tshark -n -Q -i tap0 -w {}", file.display()));
        start.stdout(Stdio::null()).stderr(Stdio::null());
        let tshark = host.netns.run(|| start.spawn()).unwrap().unwrap();
        let capture = Self { tshark, file };
        capture.wait_for(host, MARK_BEGIN);
        capture
    }

    /// Sends the mark until the file has it.
    fn wait_for(&self, host: &Host, mark: &[u8]) {
        let socket = host.kernel_socket("10.9.0.1:0");
        let end = Instant::now() + crate::lab::DEADLINE * 2;
        loop {
            // To discard: nobody answers.
            socket.send_to(mark, (STACK, 9)).unwrap();
            let bytes = std::fs::read(&self.file).unwrap_or_default();
            if bytes.windows(mark.len()).any(|window| window == mark) {
                return;
            }
            assert!(Instant::now() < end, "tshark does not capture");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Ends the capture; a reader of the file.
    fn end(mut self, host: &Host) -> Reader {
        self.wait_for(host, MARK_END);
        // `timeout` passes the signal on.
        let pid = self.tshark.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        self.tshark.wait().unwrap();
        Reader(std::mem::take(&mut self.file))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ended = self.tshark.kill();
        let _reaped = self.tshark.wait();
    }
}

struct Reader(PathBuf);

impl Reader {
    /// The fields of packets that a display filter lets through, a line each.
    fn fields(&self, filter: &str, fields: &str) -> Vec<String> {
        let mut read = command(&format!("tshark -n -r {}", self.0.display()));
        for protocol in ["ip", "udp"] {
            read.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
        }
        read.args(["-Y", filter, "-T", "fields"]);
        read.args(fields.split_whitespace().flat_map(|field| ["-e", field]));
        let output = read.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        BufReader::new(&output.stdout[..]).lines().map(Result::unwrap).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _removed = std::fs::remove_file(&self.0);
    }
}

const BAD: &str = "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 \
                   || icmp.checksum.status == 0 || igmp.checksum.status == 0 || _ws.short";

#[test]
fn tshark_finds_nothing_malformed_and_all_checksums_right() {
    let test = "tshark_finds_nothing_malformed_and_all_checksums_right";
    // Without offloads: else checksums are the kernel's to finish, and tshark sees half of them.
    let Some(host) = Host::with(test, &["tshark", "ping"], true) else { return };
    let capture = Capture::start(&host, "sound");
    for size in [0, 1, 56, 1472, 1473, 4001] {
        host.tool(&format!("ping -n -c 2 -i 0.05 -W 10 -s {size} {STACK}"));
    }
    let socket = host.kernel_socket("10.9.0.1:0");
    let mut buf = vec![0; 65_536];
    for len in [0, 1, 2, 33, 1472, 1473, 5001, 20_000] {
        socket.send_to(&vec![len as u8; len], (STACK, 7)).unwrap();
        assert_eq!(socket.recv(&mut buf).unwrap(), len);
    }
    // Errors: port unreachable, protocol unreachable by a raw packet is hping3's matter.
    socket.connect((STACK, 9999)).unwrap();
    socket.send(b"closed").unwrap();
    socket.recv(&mut buf).unwrap_err();
    let group = host.socket("0.0.0.0:5007");
    group.join_multicast(IpAddr::from([239, 9, 9, 9]), 0).unwrap();
    group.send_to(b"group", addr("239.9.9.9:5007")).unwrap();
    let reader = capture.end(&host);
    let from_us = format!("ip.src == {STACK} && !(icmp.type == 3)");
    let sent = reader.fields(&from_us, "frame.number");
    assert!(sent.len() > 40, "{} frames of ours", sent.len());
    let show = "frame.number _ws.col.Protocol _ws.col.Info";
    let bad = reader.fields(&format!("ip.src == {STACK} && ({BAD})"), show);
    // A quoted packet is the kernel's, whose checksum it may have left to a card that is not there.
    assert_eq!(bad.iter().filter(|line| !line.contains("unreachable")).count(), 0, "{bad:?}");
    let errors = reader
        .fields(&format!("ip.src == {STACK} && icmp.type == 3"), "icmp.code icmp.checksum.status");
    assert!(errors.iter().any(|line| line.starts_with('3')), "{errors:?}");
    assert!(
        !errors.iter().any(|line| line.contains("Bad") || line.split('\t').nth(1) == Some("0"))
    );
    let arp = reader.fields(&format!("arp.src.proto_ipv4 == {STACK}"), "arp.opcode arp.hw.size");
    assert!(!arp.is_empty() && arp.iter().all(|line| line.ends_with("\t6")), "{arp:?}");
}

#[test]
fn tshark_reads_a_membership_report_igmpv3_rfc3376_4_2() {
    let test = "tshark_reads_a_membership_report_igmpv3_rfc3376_4_2";
    let Some(host) = Host::with(test, &["tshark"], true) else { return };
    let capture = Capture::start(&host, "igmp");
    let socket = host.socket("0.0.0.0:5007");
    socket.join_multicast(IpAddr::from([239, 1, 2, 3]), 0).unwrap();
    // The first report leaves at once; the capture's last mark comes after it.
    let reader = capture.end(&host);
    let reports = reader.fields(
        &format!("ip.src == {STACK} && igmp.type == 0x22"),
        "ip.dst ip.ttl ip.opt.ra igmp.checksum.status igmp.num_grp_recs igmp.record_type \
         igmp.maddr \
         eth.dst",
    );
    assert!(!reports.is_empty(), "no report was seen");
    let fields: Vec<&str> = reports[0].split('\t').collect();
    assert_eq!((fields[0], fields[1]), ("224.0.0.22", "1"), "{reports:?}");
    assert!(!fields[2].is_empty(), "the router alert: {reports:?}");
    assert!(matches!(fields[3], "1" | "Good"), "{reports:?}");
    assert_eq!((fields[4], fields[5], fields[6]), ("1", "4", "239.1.2.3"), "{reports:?}");
    assert_eq!(fields[7], "01:00:5e:00:00:16");
    let bad = reader.fields(&format!("igmp && ({BAD})"), "frame.number");
    assert_eq!(bad, Vec::<String>::new());
}
