//! servers: redis, nginx and iperf3 as Debian has them, under the load of their own clients.

use super::name;
use super::stage::{Place, Running};
use crate::Trouble;
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::tcp::Setting;
use crate::usage::Usage;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server under a load.
struct Load {
    name: &'static str,
    /// What has to be there: the server and the client.
    programs: [&'static str; 2],
    figures: &'static [(&'static str, &'static str)],
    /// The server's command, which may have files in a folder.
    server: fn(&Path) -> Result<Command, Trouble>,
    /// Where it listens; none of one that takes each connection for its client.
    port: Option<u16>,
    /// The client's arguments.
    client: fn(&str, f64, bool) -> Vec<String>,
    /// Its rate, of what the client says.
    rate: fn(&str) -> Option<f64>,
    /// What is asked of it, at the port.
    asked: f64,
    /// The same with an arena; none of one that receives little.
    shared: Option<f64>,
}

const REQUESTS: &[(&str, &str)] =
    &[("rate", "/s"), ("processor", "us per request"), ("switches", "per request")];
const BULK: &[(&str, &str)] =
    &[("rate", "Gbit/s"), ("processor", "s per GB"), ("switches", "per GB")];

const LOADS: [Load; 5] = [
    Load {
        name: "redis GET",
        programs: ["redis-server", "redis-benchmark"],
        figures: REQUESTS,
        server: redis,
        port: Some(REDIS),
        client: |at, seconds, _| redis_benchmark(at, seconds, 60_000.0, 1),
        rate: redis_rate,
        asked: 0.9,
        shared: None,
    },
    Load {
        name: "redis GET, 16 in a row",
        programs: ["redis-server", "redis-benchmark"],
        figures: REQUESTS,
        server: redis,
        port: Some(REDIS),
        client: |at, seconds, _| redis_benchmark(at, seconds, 400_000.0, 16),
        rate: redis_rate,
        asked: 0.9,
        shared: None,
    },
    Load {
        name: "nginx under wrk",
        programs: ["nginx", "wrk"],
        figures: REQUESTS,
        server: nginx,
        port: Some(HTTP),
        client: |at, seconds, _| {
            words(&format!("-t 1 -c 32 -d {} http://{at}:{HTTP}/file", seconds.ceil()))
        },
        rate: |said| number_behind(said, "Requests/sec:"),
        asked: 0.9,
        shared: None,
    },
    Load {
        name: "iperf3 inwards",
        programs: ["iperf3", "iperf3"],
        figures: BULK,
        server: iperf3,
        port: None,
        client: |at, seconds, quick| iperf3_client(at, seconds, quick, ""),
        rate: iperf3_rate,
        asked: 0.75,
        shared: Some(0.9),
    },
    Load {
        name: "iperf3 outwards",
        programs: ["iperf3", "iperf3"],
        figures: BULK,
        server: iperf3,
        port: None,
        client: |at, seconds, quick| iperf3_client(at, seconds, quick, "-R"),
        rate: iperf3_rate,
        asked: 0.75,
        shared: None,
    },
];

pub(super) fn measure(report: &mut Report, options: &Options) {
    let pinnings = if options.quick { &[Pinning::Two][..] } else { &[Pinning::Two, Pinning::Same] };
    let places = [Place::Kernel, Place::Beside, Place::Inside, Place::Shared];
    for load in LOADS {
        if let Some(missing) = load.programs.iter().find(|program| find(program).is_none()) {
            report.note(format!("skipped: {}: {missing} is not installed", load.name));
            continue;
        }
        let places = match (options.quick, load.shared) {
            (true, _) => &places[..2],
            (false, None) => &places[..3],
            (false, Some(_)) => &places,
        };
        for &pinning in pinnings {
            compare(report, options, &load, Setting { pinning, mode: Mode::Sleeping }, places);
        }
    }
}

fn compare(
    report: &mut Report,
    options: &Options,
    load: &Load,
    setting: Setting,
    places: &[Place],
) {
    let name = |place| name(setting, load.name, place);
    let mut sides = Vec::new();
    for (network, &place) in (1..).zip(places) {
        let sample = move || sample(load, &Lab::new(network)?, setting, place, options);
        sides.push(Side { name: name(place), figures: load.figures, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    for &place in &places[1..] {
        let asked = match place {
            Place::Beside => Some(load.asked),
            Place::Shared => load.shared,
            _ => None,
        };
        report.ratio("rate", &name(place), &name(Place::Kernel), asked);
    }
}

fn sample(
    load: &Load,
    lab: &Lab,
    setting: Setting,
    place: Place,
    options: &Options,
) -> Result<Vec<f64>, Trouble> {
    let folder = Folder::new()?;
    let mut running = Running::start(lab, setting, place, (load.server)(&folder.0)?)?;
    if let Some(port) = load.port {
        running.answers(lab, port)?;
    }
    let at = lab.far().address().to_string();
    let mut client = command(load.programs[1])?;
    client.args((load.client)(&at, options.seconds, options.quick)).stdin(Stdio::null());
    let (mut rate, mut used) = (0.0, None);
    running.until(|| {
        let before = Usage::now();
        let core = setting.pinning.client();
        let output = lab.inside(|| on_core(Some(core), || Ok(client.output()?)))?;
        used = Some(before.since());
        let said = String::from_utf8_lossy(&output.stdout);
        rate = (load.rate)(&said).filter(|_| output.status.success()).unwrap_or_default();
        if rate == 0.0 && load.port.is_some() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{client:?}: {}: {said}{why}", output.status).into());
        }
        Ok(rate > 0.0)
    })?;
    let used = used.unwrap_or_default();
    // Microseconds of a request, or seconds of a gigabyte.
    let (unit, count) = if load.port.is_some() { (1e6, rate) } else { (1.0, rate / 8.0) };
    Ok(vec![rate, used.cores * unit / count, used.switches / count])
}

fn redis(_: &Path) -> Result<Command, Trouble> {
    let mut command = command("redis-server")?;
    command.args(words(&format!("--port {REDIS} --protected-mode no --appendonly no --save")));
    command.arg("");
    Ok(command)
}

fn redis_benchmark(at: &str, seconds: f64, guess: f64, row: usize) -> Vec<String> {
    let count = (seconds * guess).ceil();
    words(&format!("-h {at} -p {REDIS} -t get -c 50 -P {row} -n {count} --csv"))
}

/// The second field of the line that begins with "GET".
fn redis_rate(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with("\"GET\""))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

fn nginx(folder: &Path) -> Result<Command, Trouble> {
    std::fs::write(folder.join("file"), [b'x'; 1024])?;
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .concat();
    let conf = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
        events {{ }}
        http {{ access_log off; {temporary} sendfile on; keepalive_requests 1000000000;
            server {{ listen {HTTP}; root {folder}; }} }}"
    );
    let file = format!("{folder}/conf");
    std::fs::write(&file, conf)?;
    let mut command = command("nginx")?;
    command.args(["-c", &file, "-e", &format!("{folder}/errors")]);
    Ok(command)
}

fn iperf3(_: &Path) -> Result<Command, Trouble> {
    let mut command = command("iperf3")?;
    command.arg("-s");
    Ok(command)
}

fn iperf3_client(at: &str, seconds: f64, quick: bool, way: &str) -> Vec<String> {
    let amount = if quick { "-n 40M".to_owned() } else { format!("-t {}", seconds.ceil()) };
    words(&format!("-c {at} {amount} -J {way}"))
}

/// Of what came.
fn iperf3_rate(said: &str) -> Option<f64> {
    let said: serde_json::Value = serde_json::from_str(said).ok()?;
    Some(said["end"]["sum_received"]["bits_per_second"].as_f64()? / 1e9)
}

fn number_behind(said: &str, word: &str) -> Option<f64> {
    said.split(word).nth(1)?.split_whitespace().next()?.parse().ok()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn command(program: &str) -> Result<Command, Trouble> {
    Ok(Command::new(find(program).ok_or_else(|| format!("{program} is not installed"))?))
}

/// A program in the path, which for root has that of servers.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/bin";
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|file| file.is_file())
}

/// A folder of one sample.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Trouble> {
        let folder = std::env::temp_dir().join(format!("ms-shim-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

const REDIS: u16 = 6379;
const HTTP: u16 = 8080;
