//! set: parameters of a module or multiplexor change while it runs.

use super::{Common, Failure, params};
use crate::render;
use millstream_host::ctl::{Param, Request};

/// Set parameters of a module, or of a multiplexor
///
/// set tap0 0 delay=10ms loss=0  (the module at position 0 of tap0);
/// set ip forward=on  (the multiplexor ip)
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// Name of the stream, or of a multiplexor
    target: String,
    /// Position of the module in the stream; none for a multiplexor
    #[arg(value_name = "[POS] KEY=VALUE", required = true, num_args = 1..)]
    rest: Vec<String>,
}

impl Set {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { target, rest } = self;
        let (pos, texts) = match rest.split_first() {
            Some((first, texts)) if !first.contains('=') => {
                let pos: usize = first.parse().map_err(|_| {
                    Failure::Usage(format!("{first} is neither a position nor key=value"))
                })?;
                (Some(pos), texts)
            }
            _ => (None, &rest[..]),
        };
        let parsed = texts.iter().map(|text| params::parse(text));
        let params: Vec<Param> = parsed.collect::<Result<_, _>>().map_err(Failure::Usage)?;
        if params.is_empty() {
            return Err(Failure::Usage("nothing to set: write key=value".to_owned()));
        }
        let answer = common.connect()?.ask(&Request::Set { target, pos, params })?;
        if common.json {
            render::json(&answer);
        }
        Ok(())
    }
}
