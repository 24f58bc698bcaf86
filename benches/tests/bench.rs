//! The program of the benches: names, folders that take nothing, and what is kept then.

use millstream_benches::report;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_millstream-benches");

fn bench(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ms-bench-{name}-{}", std::process::id()));
    let _old = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_experiment_runs_alone_by_name_and_leaves_its_file_and_a_page() {
    let out = folder("alone");
    let output = bench(&["pressure", "--quick", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stderr).contains("[1/1] pressure"), "{output:?}");
    let mut names: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["pressure.json", "report.html"]);
    let report = report::read(&out.join("pressure.json")).unwrap();
    assert_eq!((report.lines.len(), report.machine.quick), (24, true));
    assert!(report.machine.command.contains("bench pressure --quick"), "{:?}", report.machine);
    // The page can be made again from the file.
    let page = out.join("again.html");
    let file = out.join("pressure.json");
    let output = bench(&["report", file.to_str().unwrap(), "-o", page.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("modules never ask"));
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_name_that_is_none_is_refused_with_those_that_are() {
    let output = bench(&["no_such", "--quick"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("no experiment \"no_such\"") && said.contains("tcp_bulk"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_measured() {
    for out in ["/proc/none", "/dev/null/below"] {
        let output = bench(&["pressure", "--quick", "--out", out]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("cannot write into {out}")), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_that_is_no_report_fails_by_name() {
    let out = folder("bad");
    let file = out.join("bad.json");
    std::fs::write(&file, "{\"experiment\": 7}").unwrap();
    let page = out.join("page.html");
    let output = bench(&["report", file.to_str().unwrap(), "-o", page.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("bad.json"), "{output:?}");
    assert!(!page.exists());
    std::fs::remove_dir_all(out).unwrap();
}

/// Runs the program with a file system of 4 KiB at `full`, in a namespace of its own.
fn with_full_disk(full: &Path, kept: &Path) -> Option<Output> {
    let script = format!(
        "mount -t tmpfs -o size=4k none {full} && TMPDIR={kept} {PROGRAM} pressure --quick \
         --out {full}; status=$?; ls {full}; exit $status",
        full = full.display(),
        kept = kept.display(),
    );
    let mut mount = Command::new("unshare");
    mount.args(["-Urm", "mount", "-t", "tmpfs", "none"]).arg(full);
    let allowed = mount.output().is_ok_and(|output| output.status.success());
    allowed.then(|| Command::new("unshare").args(["-Urm", "sh", "-c", &script]).output().unwrap())
}

#[test]
fn what_was_measured_is_kept_elsewhere_when_the_disk_is_full() {
    let name = "what_was_measured_is_kept_elsewhere_when_the_disk_is_full";
    let (full, kept) = (folder("full"), folder("kept"));
    let Some(output) = with_full_disk(&full, &kept) else {
        return eprintln!("skipped: {name}: no mount namespace of one's own here");
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was not written: No space left on device"), "{said}");
    // A file that is there is whole: none is.
    assert!(!text(&output.stdout).contains(".json\n"), "{output:?}");
    assert_eq!(report::read(&kept.join("pressure.json")).unwrap().lines.len(), 24);
    for path in [full, kept] {
        std::fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn without_the_right_to_a_tap_the_others_are_measured_and_the_page_names_what_was_skipped() {
    let name = "without_the_right_to_a_tap_the_others_are_measured";
    let out = folder("right");
    // Another user, without namespaces of its own: nothing of the kernel's can be set up.
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    std::os::unix::fs::chown(&out, Some(65534), Some(65534)).unwrap_or_default();
    let program = out.join("program");
    std::fs::copy(PROGRAM, &program).unwrap();
    command.arg(&program).args(["udp_echo", "pressure", "--quick", "--out"]).arg(&out);
    let Ok(output) = command.output() else {
        return eprintln!("skipped: {name}: setpriv is not installed");
    };
    if !output.status.success() || !text(&output.stdout).contains("skipped: udp_echo") {
        return eprintln!("skipped: {name}: every user may make namespaces here");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<strong>Skipped</strong>") && page.contains("modules never ask"));
    assert!(report::read(&out.join("udp_echo.json")).unwrap().skipped.is_some());
    std::fs::remove_dir_all(out).unwrap();
}
