//! Wrong usage and missing rights: exit codes, and sentences that say what to do.

mod kit;

use kit::{Lab, PROGRAM};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Exit code, standard output and standard error.
fn run(line: &str) -> (i32, String, String) {
    let runtime = std::env::temp_dir().join("ms-usage-without-stacks");
    let mut command = Command::new(PROGRAM);
    command.args(line.split_whitespace()).env("XDG_RUNTIME_DIR", runtime);
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (output.status.code().unwrap(), out, err)
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_mistake() {
    let addr = "--addr 10.0.0.2/24";
    for (line, part) in [
        ("".to_owned(), "Usage"),
        ("fly".to_owned(), "unrecognized subcommand 'fly'"),
        (format!("up --tap t0 {addr}"), "--name NAME"),
        (format!("up --name lab {addr}"), "--tap <IF>"),
        ("up --name lab --tap t0".to_owned(), "--tap t0 has no address"),
        (format!("up --name lab {addr} --tap t0"), "comes before the first interface"),
        ("up --name lab --tap t0 --addr 10.0.0.2/99".to_owned(), "10.0.0.1/24"),
        (format!("up --name lab --raw e0 --host 10.0.0.1/24 {addr}"), "keeps its addresses"),
        (format!("up --name lab --tap t0 {addr} --wrap fly"), "there are fault, trace and pcap"),
        (format!("up --name a/b --tap t0 {addr}"), "no name for a stack"),
        (format!("up --name lab --tap t0 {addr} --service gopher"), "there are echo, discard"),
        (format!("up --name lab --tap t0 {addr} --service none,echo"), "none alone"),
        (format!("up --plan x.toml --tap t0 {addr}"), "cannot be used with"),
        ("up --plan /nowhere/x.toml".to_owned(), "cannot read the plan /nowhere/x.toml"),
        ("graph --seconds 0".to_owned(), "from 0.01 to 50"),
        ("graph --dot --json".to_owned(), "cannot be used with"),
        ("trace tap0 --count 65".to_owned(), "1..=64"),
        ("trace tap0 --way left".to_owned(), "possible values: up, down"),
        ("hist tap0 first on".to_owned(), "first is no position"),
        ("hist tap0 maybe".to_owned(), "maybe is none of on, off, show"),
        ("capture tap0".to_owned(), "--write <FILE|->"),
        ("capture -w x --snaplen 3".to_owned(), "14..=262144"),
        ("top".to_owned(), "top needs a terminal"),
        ("top --interval 0".to_owned(), "from 0.1 to 30"),
        ("top --json".to_owned(), "top is for people"),
        ("replace tap0 0".to_owned(), "the name of a module"),
        ("replace tap0 first null".to_owned(), "first is no position"),
        ("replace udp udp fast".to_owned(), "udp is no position"),
        ("link ip".to_owned(), "<STREAM>"),
        ("insert tap0 first null".to_owned(), "invalid digit"),
        ("insert tap0 0 impair delay".to_owned(), "write key=value"),
        ("set ip".to_owned(), "KEY=VALUE"),
        ("set tap0 zero delay=1ms".to_owned(), "neither a position nor key=value"),
        ("ping nobody".to_owned(), "invalid IP address"),
        ("ping 10.0.0.1 -i 90".to_owned(), "from 0 to 30"),
        ("man fly".to_owned(), "no command fly"),
        ("rpcgen".to_owned(), "<FILE>"),
        ("rpcgen a.x --module 9x".to_owned(), "is no name"),
        ("rpcgen a.x -D =3".to_owned(), "is no name"),
        ("load".to_owned(), "Usage"),
        ("load fly".to_owned(), "unrecognized subcommand 'fly'"),
        ("load bulk 127.0.0.1".to_owned(), "write ADDR:PORT"),
        ("load bulk 127.0.0.1:9 --bytes 0".to_owned(), "above 0"),
        ("load bulk 127.0.0.1:9 --bytes 1 --seconds 1".to_owned(), "cannot be used with"),
        ("load bulk 127.0.0.1:9 --size 1G".to_owned(), "at most 64M"),
        ("load rr 127.0.0.1:7 --seconds 0".to_owned(), "from 0.01 to 86400"),
        ("load rr 127.0.0.1:7 --connections 0".to_owned(), "from 1 to 4096"),
        ("load connect 127.0.0.1:7 --clients 5000".to_owned(), "from 1 to 4096"),
        ("load server 127.0.0.1:7 --service gopher".to_owned(), "echo, discard, chargen"),
        ("rpc".to_owned(), "Usage"),
        ("rpc info".to_owned(), "<HOST[:PORT]>"),
        ("rpc info nowhere".to_owned(), "write ADDR or ADDR:PORT"),
        ("rpc info 10.0.0.1:0".to_owned(), "from 1 to 65535"),
        ("rpc info 10.0.0.1 gopher".to_owned(), "a name or a number"),
        ("rpc call 10.0.0.1 nfs 3".to_owned(), "<PROCEDURE>"),
        ("rpc call 10.0.0.1 nfs 3 0 word:1".to_owned(), "there are int, uint"),
        ("rpc call 10.0.0.1 nfs 3 0 --as hex,int".to_owned(), "only be last"),
        ("rpc call 10.0.0.1 nfs 3 0 --timeout 0".to_owned(), "from 0.01 to 3600"),
        ("rpc bench 10.0.0.1 nfs 3 --window 5000".to_owned(), "from 1 to 4096"),
        ("rpc info --tap t0 10.0.0.1".to_owned(), "--tap t0 has no address"),
    ] {
        let (code, _, text) = run(&line);
        assert_eq!(code, 2, "{line}: {text}");
        assert!(text.contains(part), "{line}: {text}");
    }
}

#[test]
fn without_a_stack_commands_exit_with_3_and_say_how_to_start_one() {
    for command in [
        "conf",
        "stat",
        "stat --watch 1",
        "down",
        "pop tap0",
        "find null",
        "graph",
        "trace tap0",
        "hist tap0 on",
        "capture -w -",
        "link ip tap0",
        "replace tap0 0 null",
        "unlink tap0",
    ] {
        let (code, _, text) = run(&format!("{command} --name ms-absent"));
        assert_eq!(code, 3, "{command}: {text}");
        assert!(text.contains("no stack named ms-absent runs"), "{command}: {text}");
    }
}

#[test]
fn help_tells_exit_codes_and_modules_lists_the_table() {
    let (code, text, _) = run("--help");
    assert!(code == 0 && text.contains("3 no such stack"), "{text}");
    assert!(!text.contains("completions"), "hidden: {text}");
    let (_, text, _) = run("modules --json");
    let modules: serde_json::Value = serde_json::from_str(&text).unwrap();
    let echo = modules.as_array().unwrap().iter().find(|m| m["name"] == "echo").unwrap();
    assert_eq!(echo["port"], 7);
    assert!(run("modules").1.contains("impair"));
    assert!(run("completions bash").1.contains("millstream"));
    assert!(run("man").1.contains(".TH millstream"));
    assert!(run("man up").1.contains("tap"));
}

#[test]
fn rpcgen_writes_rust_and_tells_line_and_column_of_what_is_wrong() {
    let folder = std::env::temp_dir().join("ms-usage-rpcgen");
    std::fs::create_dir_all(&folder).unwrap();
    let [file, out] = ["a.x", "a.rs"].map(|name| folder.join(name).display().to_string());
    std::fs::write(&file, "struct pair {\n    int a[SIZE];\n};\n").unwrap();
    let (code, text, errors) = run(&format!("rpcgen {file}"));
    assert_eq!((code, text.as_str()), (1, ""));
    assert!(errors.contains("a.x:2:11: `SIZE` is no constant"), "{errors}");
    assert!(errors.contains("    int a[SIZE];\n              ^"), "{errors}");
    assert_eq!(
        run(&format!("rpcgen {file} -D SIZE=3 -o {out}")),
        (0, String::new(), String::new())
    );
    assert!(std::fs::read_to_string(&out).unwrap().contains("pub a: [i32; 3],"));
    let (_, text, _) = run(&format!("rpcgen {file} -D SIZE=3 --module pairs"));
    assert!(text.contains("pub mod pairs {"), "{text}");
    let (code, _, errors) = run("rpcgen /nowhere/a.x");
    assert!(code == 1 && errors.contains("/nowhere/a.x: No such file"), "{errors}");
    let (code, _, errors) = run(&format!("rpcgen {file} -D SIZE=3 -o /nowhere/a.rs"));
    assert!(code == 1 && errors.contains("cannot write /nowhere/a.rs"), "{errors}");
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let mut command = Command::new(PROGRAM);
    command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), text.as_str()), (Some(0), ""));
}

#[test]
fn a_user_without_rights_is_told_what_to_do() {
    const NOBODY: u32 = 65_534;
    let test = "a_user_without_rights";
    let Some(lab) = Lab::new(test) else { return };
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: {test}: only root can run a program as another user");
    }
    std::os::unix::fs::chown(&lab.runtime, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = lab.command("up --name lab --tap tap0 --addr 10.0.0.2/24 --service none");
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let output = match lab.netns.run(|| command.output()).unwrap() {
        Err(e) => return eprintln!("skipped: {test}: nobody may not run {PROGRAM}: {e}"),
        Ok(output) => output,
    };
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no right to") && text.contains("run as root"), "{text}");
    assert!(!lab.socket("lab").exists());
}
