//! ssh, whose other end is the kernel's, both ways.

use crate::stage::{KERNEL, PLACES, Place, STACK, Stage, octets};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const PROGRAMS: [(&str, &str); 3] =
    [("ssh", "openssh-client"), ("ssh-keygen", "openssh-client"), ("sshd", "openssh-server")];

#[test]
fn ssh_runs_commands_at_the_kernels_server() {
    for place in PLACES {
        let Some(stage) = Stage::new("ssh", place, &PROGRAMS) else { return };
        keys(&stage);
        // A stack in the program brings the interface with it.
        let _server = stage.start(stage.kernel(&server(&stage, "0.0.0.0")));
        stage.answers("127.0.0.1:2222");
        serves_commands(&stage, KERNEL, |line| stage.stack(line));
    }
}

#[test]
fn sshd_serves_commands() {
    let Some(stage) = Stage::new("sshd", Place::Beside, &PROGRAMS) else { return };
    keys(&stage);
    let _server = stage.start(stage.stack(&server(&stage, STACK)));
    stage.answers(&format!("{STACK}:2222"));
    serves_commands(&stage, STACK, |line| stage.kernel(line));
}

/// Keys of the host and of the user, and what the server is told.
fn keys(stage: &Stage) {
    for name in ["host", "user"] {
        let mut keygen = stage.kernel("ssh-keygen -q -t ed25519 -f");
        keygen.args([name, "-N", ""]);
        stage.ok(keygen);
    }
    let folder = stage.folder().display();
    let conf = format!(
        "Port 2222
        HostKey {folder}/host
        AuthorizedKeysFile {folder}/user.pub
        PidFile none
        StrictModes no
        UsePAM no
        PermitRootLogin yes
        PasswordAuthentication no
        UseDNS no
        "
    );
    std::fs::write(stage.folder().join("conf"), conf).unwrap();
    set_permissions(stage.folder().join("host"), Permissions::from_mode(0o600)).unwrap();
    // Where Debian's start-up has not made it.
    let _there = std::fs::create_dir("/run/sshd");
}

fn server(stage: &Stage, at: &str) -> String {
    let conf = stage.folder().join("conf");
    format!("/usr/sbin/sshd -D -e -f {} -o ListenAddress={at}", conf.display())
}

/// A command's octets both ways, its error and its code, over two connections.
fn serves_commands(stage: &Stage, at: &str, side: impl Fn(&str) -> Command) {
    let ssh = format!(
        "ssh -F none -p 2222 -i user -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@{at}"
    );
    let sent = stage.folder().join("sent");
    std::fs::write(&sent, octets(1_000_000)).unwrap();
    let mut copy = side(&ssh);
    copy.arg(format!("cat < {}", sent.display()));
    assert!(stage.output(copy).stdout == octets(1_000_000));
    let failed = {
        let mut command = side(&ssh);
        command.arg("echo out; echo error >&2; exit 7");
        stage.output(command)
    };
    let (out, error) = (&failed.stdout[..], &failed.stderr[..]);
    assert_eq!((failed.status.code(), out, error), (Some(7), &b"out\n"[..], &b"error\n"[..]));
}
