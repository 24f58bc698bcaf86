//! answer: a request becomes a change of the stack, or a view of it, between two of its turns.

use super::catalog;
use super::ping::Pinger;
use super::recorder::Recorder;
use super::report::{self, Version};
use super::request::{HistAction, Param, Request, Way};
use super::sink::Writers;
use super::sockets;
use super::times;
use super::tracer::Tracer;
use crate::inlet::Handle;
use crate::plan::random_key;
use crate::shard::Shard;
use millstream_core::{Change, Perimeter, Side, StreamId};
use millstream_modules::table;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The stack that is asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) handle: Handle,
    pub(super) since: Instant,
    pub(super) writers: Writers,
    /// Somebody traces.
    pub(super) tracing: Arc<AtomicBool>,
    /// Somebody records the boundaries.
    pub(super) recording: Arc<AtomicBool>,
}

/// What one connection keeps between requests.
#[derive(Debug, Default)]
pub(super) struct Session {
    pinger: Option<Pinger>,
    tracer: Option<Tracer>,
    /// The answer is sent first, then the connection carries this.
    pub(super) recorder: Option<Recorder>,
    /// The answer is sent first, then the stack is stopped.
    pub(super) down: bool,
}

impl Session {
    /// Does what a request asks for.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn answer(&mut self, asked: &Asked, request: Request) -> Result<Value, String> {
        let name = asked.name.clone();
        let uptime_ms = asked.since.elapsed().as_millis() as u64;
        match request {
            Request::Version {} => value(Version {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                name,
                pid: std::process::id(),
                uptime_ms,
            }),
            Request::Conf {} => value(asked.call(move |shard| report::conf(shard, &name))?),
            Request::Stat {} => {
                value(asked.call(move |shard| report::stat(shard, &name, uptime_ms))?)
            }
            Request::Push { stream, module, params } => asked.put_in(stream, None, &module, params),
            Request::Insert { stream, pos, module, params } => {
                asked.put_in(stream, Some(pos), &module, params)
            }
            Request::Pop { stream } => asked.take_out(stream, None),
            Request::Remove { stream, pos } => asked.take_out(stream, Some(pos)),
            Request::Set { target, pos, params } => {
                asked.change(move |core| set(core, &target, pos, &params))
            }
            Request::Replace { target, pos: Some(pos), module, params } => {
                asked.replace(target, pos, &module, params)
            }
            Request::Replace { target, pos: None, module, params } => {
                asked.change(move |core| replace_mux(core, &target, &module, &params))
            }
            Request::Link { mux, stream } => asked.change(move |core| {
                let id = resolve(core, &stream)?;
                let node = core.find_mux(&mux).ok_or_else(|| no_mux(core, &mux))?;
                core.link(node, id).map_err(|e| format!("{stream} below {mux}: {e}"))?;
                Ok(json!({ "stream": stream, "below": mux }))
            }),
            Request::Unlink { stream } => asked.change(move |core| {
                let id = resolve(core, &stream)?;
                let mux =
                    core.chain(id).ok().and_then(|chain| Some(chain.into_iter().next()?.name));
                core.unlink(id).map_err(|e| format!("{stream}: {e}"))?;
                Ok(json!({ "stream": stream, "was_below": mux }))
            }),
            Request::Find { module } => {
                let in_table = catalog::modules().iter().any(|about| about.name == module);
                value(asked.call(move |shard| report::find(shard, &module, in_table))?)
            }
            Request::Sockets { which, state, port } => {
                let state = state.map(|state| state.to_ascii_uppercase());
                let mut all =
                    asked.call(move |shard| sockets::sockets(shard, which, state, port))?;
                sockets::name_programs(&mut all);
                value(all)
            }
            Request::Ping { addr, seq, size, timeout_ms } => {
                let pinger = match &mut self.pinger {
                    Some(pinger) => pinger,
                    none => none.insert(Pinger::open(&asked.handle)?),
                };
                value(pinger.ping(addr, seq, size, timeout_ms)?)
            }
            Request::Trace { stream, way, matching, count } => {
                // The one before gives its place first.
                self.tracer = None;
                let side = way.map(|way| if way == Way::Up { Side::Read } else { Side::Write });
                let tracer = Tracer::start(asked, stream, side, matching.as_deref(), count)?;
                self.tracer = Some(tracer);
                Ok(json!({ "following": count }))
            }
            Request::Traced { wait_ms, last } => {
                let tracer = self.tracer.as_ref();
                let tracer = tracer.ok_or("nothing is traced on this connection")?;
                let traced = tracer.traced(wait_ms, last)?;
                if last {
                    self.tracer = None;
                }
                value(traced)
            }
            Request::Hist { stream, pos, action: HistAction::Show } => {
                value(asked.call(move |shard| times::show(shard, &stream, pos))??)
            }
            Request::Hist { stream, pos, action } => asked.change(move |core| {
                let queues = times::switch(core, &stream, pos, action == HistAction::On)?;
                Ok(json!({ "queues": queues }))
            }),
            Request::Monitor { on } => asked.change(move |core| {
                core.set_monitor(on);
                Ok(json!({ "monitor": on }))
            }),
            Request::Capture { streams, snaplen } => {
                self.recorder = Some(Recorder::start(asked, streams, snaplen)?);
                Ok(json!({ "format": "pcapng" }))
            }
            Request::Down {} => {
                self.down = true;
                Ok(json!({ "stopping": name, "pid": std::process::id() }))
            }
        }
    }
}

impl Asked {
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shard) -> T + Send + 'static,
    ) -> Result<T, String> {
        self.handle.call(work).map_err(|gone| gone.to_string())
    }

    pub(super) fn change(
        &self,
        work: impl FnOnce(&mut Perimeter) -> Result<Value, String> + Send + 'static,
    ) -> Result<Value, String> {
        self.call(|shard| work(shard.core()))?
    }

    /// Makes a module here, where a file may be opened, and puts it in there.
    fn put_in(
        &self,
        stream: String,
        pos: Option<usize>,
        name: &str,
        params: Vec<Param>,
    ) -> Result<Value, String> {
        // First, so that a file is not emptied for a stream that is not there.
        self.settled(&stream)?;
        let module = catalog::make(name, &params, &stream, &self.writers)?;
        let at = stream.clone();
        let pos = self.call(move |shard| catalog::position(shard.core(), &at, pos))??;
        let done = json!({ "stream": stream, "pos": pos, "module": name });
        self.plumb(move |core| catalog::place(core, &stream, Some(pos), module, &params))?;
        Ok(done)
    }

    /// Takes the module at a position out, or the topmost one.
    fn take_out(&self, stream: String, pos: Option<usize>) -> Result<Value, String> {
        let id = self.settled(&stream)?;
        let modules = self.call(move |shard| catalog::modules_of(shard.core(), id))??;
        let pos = pos.or(modules.len().checked_sub(1));
        let pos = pos.ok_or_else(|| format!("the stream {stream} has no module to pop"))?;
        self.plumb(move |core| core.remove(id, pos).map_err(|e| format!("{stream}: {e}")))?;
        Ok(json!({ "module": modules.get(pos) }))
    }

    /// Puts a module in the place of another, with its state.
    fn replace(
        &self,
        stream: String,
        pos: usize,
        name: &str,
        params: Vec<Param>,
    ) -> Result<Value, String> {
        let id = self.settled(&stream)?;
        let modules = self.call(move |shard| catalog::modules_of(shard.core(), id))??;
        let module = catalog::make(name, &params, &stream, &self.writers)?;
        let at = stream.clone();
        self.plumb(move |core| {
            core.replace(id, pos, module).map_err(|e| format!("{at}, position {pos}: {e}"))
        })?;
        let was = modules.get(pos).cloned().unwrap_or_default();
        let done = json!({ "stream": stream, "pos": pos, "module": name, "was": was });
        if !params.is_empty() {
            let done = format!("{name} is in the place of {was}, but ");
            self.change(move |core| set(core, &stream, Some(pos), &params))
                .map_err(|why| done + &why)?;
        }
        Ok(done)
    }

    /// A change of streams, waited for to its end.
    fn plumb<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Perimeter) -> Result<Change<T>, String> + Send + 'static,
    ) -> Result<(), String> {
        let ended = self.handle.change(work, |why| why.to_string());
        ended.map_err(|gone| gone.to_string())?.map(drop)
    }

    /// The stream, when no change of it is pending any more.
    fn settled(&self, stream: &str) -> Result<StreamId, String> {
        let wanted = stream.to_owned();
        let id = self.call(move |shard| resolve(shard.core(), &wanted))??;
        self.handle.settled(id).map_err(|gone| gone.to_string())?;
        Ok(id)
    }
}

/// Puts a multiplexor in the place of another, with its streams and its state.
fn replace_mux(
    core: &mut Perimeter,
    target: &str,
    name: &str,
    params: &[Param],
) -> Result<Value, String> {
    let mux = core.find_mux(target).ok_or_else(|| no_mux(core, target))?;
    let new = table::mux(name)?(random_key());
    core.replace_mux(mux, new).map_err(|e| format!("{target}: {e}"))?;
    if !params.is_empty() {
        set(core, name, None, params)
            .map_err(|why| format!("{name} is in the place of {target}, but {why}"))?;
    }
    Ok(json!({ "module": name, "was": target }))
}

fn set(
    core: &mut Perimeter,
    target: &str,
    pos: Option<usize>,
    params: &[Param],
) -> Result<Value, String> {
    if params.is_empty() {
        return Err("nothing to set: write key=value".to_owned());
    }
    let mut done: Vec<&str> = Vec::new();
    let outcome = match pos {
        Some(pos) => {
            let id = resolve(core, target)?;
            params.iter().try_for_each(|Param(key, value)| {
                core.set(id, pos, key, value).inspect(|()| done.push(key))
            })
        }
        None => {
            let mux = core.find_mux(target).ok_or_else(|| no_mux(core, target))?;
            params.iter().try_for_each(|Param(key, value)| {
                core.set_mux(mux, key, value).inspect(|()| done.push(key))
            })
        }
    };
    match outcome {
        Ok(()) => Ok(json!({ "set": done })),
        Err(e) if done.is_empty() => Err(format!("{target}: {e}")),
        Err(e) => Err(format!("{target}: {e}; set before it: {}", done.join(", "))),
    }
}

fn no_mux(core: &Perimeter, target: &str) -> String {
    if core.find(target).is_some() {
        return format!("{target} is a stream: give the position of the module in it");
    }
    let muxes = core.muxes();
    let names = muxes.iter().filter_map(|&mux| core.mux_view(mux)).map(|view| view.name);
    let names: Vec<String> = names.collect();
    format!("no multiplexor {target}: there are {}", names.join(", "))
}

/// A stream by its name, or by `NAME#NUMBER` where several have one name.
pub(super) fn resolve(core: &Perimeter, text: &str) -> Result<StreamId, String> {
    let streams = core.streams();
    let named: Vec<_> = streams.iter().filter(|(_, name)| name == text).collect();
    match named[..] {
        [(id, _)] => return Ok(*id),
        [] => {}
        [..] => {
            let numbers: Vec<String> =
                named.iter().take(8).map(|(id, _)| format!("{text}#{}", id.number())).collect();
            return Err(format!(
                "{} streams are named {text}: choose one of {}",
                named.len(),
                numbers.join(", ")
            ));
        }
    }
    let numbered = text.rsplit_once('#').and_then(|(name, number)| {
        let number: u64 = number.parse().ok()?;
        streams.iter().find(|(id, n)| id.number() == number && n == name)
    });
    if let Some((id, _)) = numbered {
        return Ok(*id);
    }
    let mut names: Vec<&str> = streams.iter().map(|(_, name)| name.as_str()).collect();
    let more = if names.len() > NAMES_SHOWN { ", ..." } else { "" };
    names.truncate(NAMES_SHOWN);
    Err(format!("no stream {text}: there are {}{more}", names.join(", ")))
}

/// Streams that an error lists.
const NAMES_SHOWN: usize = 16;

fn value(report: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(report).map_err(|e| format!("the answer cannot be written: {e}"))
}
