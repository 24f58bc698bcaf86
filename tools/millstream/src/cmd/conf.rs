//! conf: the modules of every stream, top down.

use super::{Common, Failure};
use crate::render::{self, Table};
use millstream_host::ctl::{self, NodeConf, Request};

/// Show the modules of every stream, top down, with their positions and parameters
#[derive(Debug, clap::Args)]
pub(crate) struct Conf {}

impl Conf {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let mut client = common.connect()?;
        if common.json {
            render::json(&client.ask(&Request::Conf {})?);
            return Ok(());
        }
        let conf: ctl::Conf = client.ask_for(&Request::Conf {})?;
        render::line(&format!("stack {}, process {}\n", conf.name, conf.pid));
        let mut table = Table::new(&["stream", ">pos", "module", "kind", "parameters"]);
        for stream in &conf.streams {
            for (at, node) in stream.nodes.iter().enumerate() {
                let name = if at == 0 { stream.name.clone() } else { String::new() };
                let mux = node.kind == "mux";
                row(&mut table, name, node, !mux);
            }
        }
        for mux in &conf.muxes {
            row(&mut table, String::new(), mux, true);
        }
        render::line(&table.text());
        if conf.omitted > 0 {
            render::line(&format!("{} more streams", conf.omitted));
        }
        Ok(())
    }
}

/// Long lists of parameters go on in rows of their own.
fn row(table: &mut Table, stream: String, node: &NodeConf, with_fields: bool) {
    let fields = if with_fields { render::fields(&node.fields) } else { Vec::new() };
    let mut pieces = fields.chunks(FIELDS_PER_ROW).map(|piece| piece.join(" "));
    let pos = node.pos.map(|pos| pos.to_string()).unwrap_or_default();
    let first = pieces.next().unwrap_or_default();
    table.row([stream, pos, node.name.clone(), node.kind.clone(), first]);
    for piece in pieces {
        table.row([String::new(), String::new(), String::new(), String::new(), piece]);
    }
}

const FIELDS_PER_ROW: usize = 4;
