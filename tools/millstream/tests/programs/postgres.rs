//! postgres, which runs as no other user than an ordinary one: the stack is that user's, too.

use crate::stage::{KERNEL, Running, STACK, Stage, install};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn postgres_serves_and_psql_asks() {
    let Some(bin) = bin() else { return };
    let Some(stage) = Stage::of_nobody("postgres") else { return };
    let mut initdb = stage.kernel(&format!("{bin}/initdb -A trust -U nobody -D data"));
    initdb.args(["--no-locale", "-E", "UTF8", "--no-sync"]);
    stage.ok(initdb);
    let rules =
        std::fs::OpenOptions::new().append(true).open(stage.folder().join("data/pg_hba.conf"));
    rules.unwrap().write_all(b"host all all 10.9.0.0/24 trust\n").unwrap();

    let psql = |at: &str| format!("{bin}/psql -X -A -t -h {at} -U nobody -d postgres");
    let server = serving(&stage, &bin, STACK, |line| stage.stack(line));
    answers(&stage, || stage.kernel(&psql(STACK)));
    drop(server);

    let _server = serving(&stage, &bin, KERNEL, |line| stage.kernel(line));
    answers(&stage, || stage.stack(&psql(KERNEL)));
}

/// Where Debian has the programs; `None` where there are none, nor to be had: it is skipped, then.
fn bin() -> Option<String> {
    let newest = || {
        let all = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let all = all.map(|version| version.path().join("bin"));
        all.filter(|bin: &PathBuf| bin.join("initdb").is_file()).max()
    };
    let found = newest().or_else(|| install("postgresql").then(newest).flatten());
    if found.is_none() {
        eprintln!("skipped: postgres: it is not there, nor to be had: postgresql");
    }
    found.map(|bin: PathBuf| bin.display().to_string())
}

fn serving(stage: &Stage, bin: &str, at: &str, side: impl Fn(&str) -> Command) -> Running {
    let folder: &Path = stage.folder();
    let options = format!(
        "-c listen_addresses={at} -c unix_socket_directories={} -c fsync=off \
         -c shared_buffers=16MB -c max_connections=20",
        folder.display()
    );
    let server = stage.start(side(&format!("{bin}/postgres -D data {options}")));
    stage.answers(&format!("{at}:5432"));
    server
}

/// Answers of one row and of many, and rows that come in, over a connection each.
fn answers(stage: &Stage, psql: impl Fn() -> Command) {
    let ask = |question: &str| {
        let mut psql = psql();
        psql.args(["-c", question]);
        stage.ok(psql)
    };
    // It refuses while it starts.
    crate::kit::wait_for("postgres", || {
        let mut psql = psql();
        psql.args(["-c", "select 1"]);
        stage.output(psql).status.success()
    });
    ask("drop table if exists n; create table n as select generate_series(1, 20000) as i");
    assert_eq!(ask("select sum(i) from n"), "200010000\n");
    let rows: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    assert!(ask("select i from n order by i") == rows);
    assert_eq!(ask("select length(repeat('x', 3000000))"), "3000000\n");
    std::fs::write(stage.folder().join("rows"), rows).unwrap();
    assert_eq!(ask("\\copy n from rows"), "COPY 20000\n");
}
