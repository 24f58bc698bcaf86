//! A report with a plot of every kind, and names that are long or odd.

use millstream_benches::report::{Disturbed, Options, Point, Report, Side};

const RATE: &[(&str, &str)] = &[("rate", "/s"), ("lost", "datagrams")];
const LATENCY: &[(&str, &str)] =
    &[("p50", "us"), ("p90", "us"), ("p99", "us"), ("p99.9", "us"), ("p99.99", "us")];
const PARTS: &[(&str, &str)] =
    &[("kernel;read", "ns"), ("kernel;write", "ns"), ("ip", "ns"), ("tcp", "ns"), ("head", "ns")];
const LONG: &str = "a name that is much longer than anything that anybody would ever have called a \
    line of figures, with <markup> & \"quotes\" in it";

fn side(
    name: &str,
    figures: &'static [(&'static str, &'static str)],
    values: &[f64],
) -> Side<'static> {
    let values = values.to_vec();
    Side { name: name.into(), figures, sample: Box::new(move || Ok(values.clone())) }
}

pub(crate) fn report() -> Report {
    let options = Options { runs: 3, ..Options::instant(None) };
    let mut report = Report::in_memory("all_kinds", "a plot of every kind", &options);
    let mut sides = vec![
        side("plain", RATE, &[123_456_789.0, 0.0]),
        side(LONG, RATE, &[98_765.4, 0.0]),
        side("stack, sleeping, one core", LATENCY, &[12.0, 14.0, 80.0, 900.0, 12_000.0]),
        side("kernel, sleeping, one core", LATENCY, &[20.0, 25.0, 70.0, 300.0, 4_000.0]),
        side("64 bytes", PARTS, &[900.0, 1200.0, 40.0, 110.0, 60.0]),
        side("1460 bytes", PARTS, &[950.0, 1300.0, 45.0, 140.0, 60.0]),
    ];
    let mut points = Vec::new();
    for modules in [0, 1, 2, 4, 8, 16] {
        let x = f64::from(modules);
        let name = format!("{modules} modules");
        sides.push(side(&name, &[("message", "ns")], &[30.0 + 4.5 * x]));
        points.push(Point { x, side: name });
    }
    report.measure(&options, &sides);
    let again = points.clone();
    report.curve("ns per message", "run list, put only", "message", "modules", points);
    report.curve("ns per message", "the same once more", "message", "modules", again);
    report.whole("stacked cost of a message", "64 bytes");
    report.whole("stacked cost of a message", "1460 bytes");
    report.ratio("rate", "plain", LONG, Some(2.0));
    report.ratio("rate", LONG, "plain", Some(2.0));
    report.ratio("p50", "kernel, sleeping, one core", "stack, sleeping, one core", None);
    // The machine may have its own to add.
    report.disturbed.clear();
    let disturbed =
        Disturbed { side: "plain".into(), run: 1, stolen_percent: 3.0, others_percent: 40.0 };
    report.disturbed.push(disturbed);
    report
}
