//! call: one call, and its results.

use super::values::{Type, Value, hex};
use super::{Common, Failure, Question, Reach, Target, Way, failed, number, program};
use crate::render;
use clap::Args;
use millstream::rpc::onc::xdr::{Decoder, Fault};
use millstream::rpc::{Caller, Procedure};

#[derive(Debug, Args)]
pub(super) struct Call {
    #[command(flatten)]
    reach: Reach,
    /// Number of the program, or a name such as nfs
    #[arg(value_name = "PROGRAM", value_parser = program)]
    program: u32,
    /// Its version
    #[arg(value_name = "VERSION", value_parser = number)]
    version: u32,
    /// Number of the procedure
    #[arg(value_name = "PROCEDURE", value_parser = number)]
    procedure: u32,
    /// Arguments: 12, int:12, uint, hyper, uhyper, float, double, bool:true, string:TEXT,
    /// opaque:HEX, or hex:HEX, which is XDR as it is
    #[arg(value_name = "ARG", value_parser = Value::parse, allow_negative_numbers = true)]
    args: Vec<Value>,
    /// Types of the results, separated by commas; without, they are printed as octets of XDR
    #[arg(long = "as", value_name = "TYPES", value_delimiter = ',', value_parser = Type::parse)]
    results: Vec<Type>,
}

pub(super) struct Asked {
    to: Procedure,
    args: Vec<Value>,
    results: Vec<Type>,
}

impl Call {
    pub(super) fn split(self) -> Result<(Reach, Asked), Failure> {
        if let Some(at) = self.results.iter().position(|ty| *ty == Type::Hex)
            && at + 1 < self.results.len()
        {
            return Err(Failure::Usage("hex takes all that is left: it can only be last".into()));
        }
        let (program, version, number) = (self.program, self.version, self.procedure);
        let to = Procedure { program, version, number };
        Ok((self.reach, Asked { to, args: self.args, results: self.results }))
    }
}

impl Question for Asked {
    fn ask(self, way: &impl Way, target: Target, common: &Common) -> Result<(), Failure> {
        let mut client = target.client(way, (self.to.program, self.to.version))?;
        let types = &self.results;
        let called = client.call(
            self.to,
            |to| self.args.iter().try_for_each(|value| value.write(to)),
            |from| {
                let octets = all(from)?;
                if types.is_empty() {
                    from.split(octets.len())?;
                }
                let values: Result<Vec<String>, Fault> =
                    types.iter().map(|ty| ty.read(from)).collect();
                Ok((octets, values?))
            },
        );
        let at = std::net::SocketAddr::new(target.place.host, target.place.port.unwrap_or(0));
        let (octets, values) = called.map_err(|e| match target.place.port {
            Some(_) => failed(at, &e),
            None => Failure::Failed(format!("{}: {e}", target.place.host)),
        })?;
        if common.json {
            render::json(&serde_json::json!({ "octets": hex(&octets), "values": values }));
        } else if types.is_empty() {
            if !octets.is_empty() {
                render::line(&hex(&octets));
            }
        } else {
            values.iter().for_each(|value| render::line(value));
        }
        Ok(())
    }
}

/// A copy of the octets that are left.
fn all(from: &Decoder<'_>) -> Result<Vec<u8>, Fault> {
    let left = from.remaining();
    Ok(from.clone().opaque_exact(left)?.to_vec())
}
