//! replay: a recording goes into a module, without a stack; what comes out is compared with the
//! recording, or with another module.

use super::{Common, Failure, params};
use crate::render;
use millstream_core::Side;
use millstream_host::ctl::Param;
use millstream_host::offline::{self, Difference, Message, Recording};
use serde_json::{Value, json};

/// Put a recording into a module, and compare what comes out
///
/// A recording is made by the module record. replay FILE --into MODULE puts what went up at its
/// place into the module from below, and compares what the module sends down with what went down
/// then. With --against, it is compared with what another module makes of the same messages.
/// Exit code 1 when there are differences. To play a recording into a running stack, insert the
/// module replay there.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// A recording made below the module
    #[arg(required_unless_present = "above")]
    file: Option<String>,
    /// A recording made above it: what went down there goes into the module from above
    #[arg(long, value_name = "FILE")]
    above: Option<String>,
    /// Name of the module, see millstream modules
    #[arg(long, value_name = "MODULE")]
    into: String,
    /// Its parameters
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = params::parse)]
    params: Vec<Param>,
    /// Compare with this module instead of the recording
    #[arg(long, value_name = "MODULE")]
    against: Option<String>,
    /// Its parameters
    #[arg(long = "other", value_name = "KEY=VALUE", value_parser = params::parse)]
    #[arg(requires = "against")]
    others: Vec<Param>,
    /// Differences that are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
}

impl Replay {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let open = |file: &Option<String>| {
            file.as_deref().map(Recording::open).transpose().map_err(Failure::Failed)
        };
        let (below, above) = (open(&self.file)?, open(&self.above)?);
        let mut inputs: Vec<&Message> = Vec::new();
        inputs.extend(below.iter().flat_map(|recording| recording.went(Side::Read)));
        inputs.extend(above.iter().flat_map(|recording| recording.went(Side::Write)));
        // Stable: what came at one time keeps the order of its recording.
        inputs.sort_by_key(|message| message.time_ns);
        let got = run(&self.into, &self.params, &inputs)?;
        let other = match &self.against {
            Some(module) => Some(run(module, &self.others, &inputs)?),
            None => None,
        };
        let ways = [("down", Side::Write, &below), ("up", Side::Read, &above)];
        let compared: Vec<Way<'_>> = ways
            .into_iter()
            .map(|(name, side, recording)| Way {
                name,
                expected: match &other {
                    Some(other) => Some(other.iter().filter(|m| m.side == side).collect()),
                    None => recording.as_ref().map(|recording| recording.went(side)),
                },
                got: got.iter().filter(|message| message.side == side).collect(),
            })
            .collect();
        for recording in [&below, &above].into_iter().flatten() {
            warn(recording);
        }
        if common.json { self.json(&inputs, &compared) } else { self.text(&inputs, &compared) }
    }

    fn text(&self, inputs: &[&Message], ways: &[Way<'_>]) -> Result<(), Failure> {
        let against = self.against.as_deref().unwrap_or("the recording");
        let mut total = 0;
        render::line(&format!("{}: {} messages in", self.into, inputs.len()));
        for way in ways {
            let Some(expected) = &way.expected else {
                render::line(&format!("{}: {} out, not recorded", way.name, way.got.len()));
                continue;
            };
            let found = offline::diff(expected, &way.got);
            let (count, out) = (expected.len(), way.got.len());
            render::line(&format!("{}: {out} out, {count} of {against}", way.name));
            for difference in found.iter().take(self.most.saturating_sub(total)) {
                render::line(&format!("  {}", way.sentence(difference, expected)));
            }
            total += found.len();
        }
        match total {
            0 => render::line("no differences"),
            1 => render::line("1 difference"),
            n => render::line(&format!("{n} differences")),
        }
        if total == 0 { Ok(()) } else { Err(Failure::Said) }
    }

    fn json(&self, inputs: &[&Message], ways: &[Way<'_>]) -> Result<(), Failure> {
        let mut total = 0;
        let mut report = json!({ "module": self.into, "in": inputs.len() });
        for way in ways {
            let mut told = json!({ "out": way.got.len() });
            if let Some(expected) = &way.expected {
                let found = offline::diff(expected, &way.got);
                total += found.len();
                told["expected"] = expected.len().into();
                told["differences"] = found.iter().map(value).collect();
            }
            report[way.name] = told;
        }
        render::json(&report);
        if total == 0 { Ok(()) } else { Err(Failure::Said) }
    }
}

/// What came out one way, and what was expected to.
struct Way<'a> {
    name: &'static str,
    expected: Option<Vec<&'a Message>>,
    got: Vec<&'a Message>,
}

impl Way<'_> {
    fn sentence(&self, difference: &Difference, expected: &[&Message]) -> String {
        match difference {
            Difference::Missing(n) => {
                format!("missing #{n}: {} bytes", expected[*n].bytes().len())
            }
            Difference::Added(n) => format!("added #{n}: {} bytes", self.got[*n].bytes().len()),
            Difference::Changed { expected, got, bytes, len, fields } => {
                let mut what: Vec<String> = Vec::new();
                if !bytes.is_empty() {
                    let ranges = bytes.iter().take(RANGES_SHOWN).map(|range| {
                        if range.len() == 1 {
                            range.start.to_string()
                        } else {
                            format!("{}-{}", range.start, range.end - 1)
                        }
                    });
                    let ranges: Vec<String> = ranges.collect();
                    let more = if bytes.len() > RANGES_SHOWN { " and more" } else { "" };
                    what.push(format!("bytes {}{more}", ranges.join(",")));
                }
                what.extend(len.map(|(was, is)| format!("length {was}, now {is}")));
                what.extend(fields.iter().map(|name| (*name).to_owned()));
                let now = if got == expected { String::new() } else { format!(" (now #{got})") };
                format!("changed #{expected}{now}: {}", what.join("; "))
            }
        }
    }
}

fn value(difference: &Difference) -> Value {
    match difference {
        Difference::Missing(n) => json!({ "missing": n }),
        Difference::Added(n) => json!({ "added": n }),
        Difference::Changed { expected, got, bytes, len, fields } => {
            let bytes: Vec<_> = bytes.iter().map(|range| [range.start, range.end - 1]).collect();
            let changed = json!({
                "expected": expected, "got": got, "bytes": bytes, "length": len, "fields": fields,
            });
            json!({ "changed": changed })
        }
    }
}

fn run(module: &str, params: &[Param], inputs: &[&Message]) -> Result<Vec<Message>, Failure> {
    offline::run(module, params, inputs).map_err(Failure::Failed)
}

fn warn(recording: &Recording) {
    let place = &recording.place;
    if recording.lost > 0 {
        let lost = recording.lost;
        render::complain(&format!("the recording of {place} lacks {lost} messages"));
    }
    if let Some(fault) = &recording.fault {
        render::complain(&format!("the recording of {place} ends {fault}"));
    }
}

/// Ranges of bytes that a line shows.
const RANGES_SHOWN: usize = 8;
