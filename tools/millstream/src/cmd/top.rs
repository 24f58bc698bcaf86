//! top: a running stack on a terminal, with rates and queues as they are now, and keys that
//! change it.

mod app;
mod draw;
mod keys;

use super::rates::per_second;
use super::{Common, Failure};
use app::{App, Ask};
use millstream_host::ctl::{self, Client, CtlError, Request};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGTERM};
use std::io::{IsTerminal, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Watch a stack live and change it by keys
///
/// The chain of the chosen stream with messages per second, the modules' time per message as bars,
/// queues and drops. Keys: arrows choose a stream and a module; p pushes, i inserts above the
/// chosen module, o pops, x removes the chosen module, t follows one message, ? explains, q quits.
#[derive(Debug, clap::Args)]
pub(crate) struct Top {
    /// Seconds between two readings
    #[arg(short, long, value_name = "SECS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
}

impl Top {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        if common.json {
            let text = "top is for people: stat --watch 1 --json gives the same figures";
            return Err(Failure::Usage(text.to_owned()));
        }
        if !stdout().is_terminal() || !stdin().is_terminal() {
            let text = "top needs a terminal: stat --watch 1 prints the same figures";
            return Err(Failure::Usage(text.to_owned()));
        }
        let client = common.connect()?;
        let name = client.name().to_owned();
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, ended.clone())
                .map_err(|e| Failure::Failed(format!("cannot wait for signals: {e}")))?;
        }
        let mut screen = Screen { stack: Both { client, name, trace: None }, before: None, ended };
        let mut terminal = ratatui::try_init()
            .map_err(|e| Failure::Failed(format!("cannot use the terminal: {e}")))?;
        let outcome = screen.show(&mut terminal, Duration::from_secs_f64(self.interval));
        // The terminal is given back before anything is printed.
        ratatui::restore();
        outcome
    }
}

struct Screen {
    stack: Both,
    before: Option<ctl::Stat>,
    /// A signal wants the program to end; the terminal is given back first.
    ended: Arc<AtomicBool>,
}

/// One connection for questions, and one for a trace while there is one.
struct Both {
    client: Client,
    name: String,
    trace: Option<Client>,
}

impl Ask for Both {
    fn ask(&mut self, request: &Request) -> Result<Value, CtlError> {
        match request {
            // A trace belongs to its connection; when that goes it ends.
            Request::Trace { .. } => {
                let mut client = Client::connect(&self.name)?;
                let answer = client.ask(request)?;
                self.trace = Some(client);
                Ok(answer)
            }
            Request::Traced { last, .. } => {
                let answer = self.trace.as_mut().map(|client| client.ask(request));
                if *last {
                    self.trace = None;
                }
                answer.unwrap_or(Ok(Value::Null))
            }
            _ => self.client.ask(request),
        }
    }
}

impl Screen {
    fn show(&mut self, terminal: &mut DefaultTerminal, interval: Duration) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::Failed(format!("cannot use the terminal: {e}"));
        let mut app = App::new(self.read()?);
        let mut due = Instant::now() + FIRST.min(interval);
        while !self.ended.load(Ordering::Relaxed) {
            terminal.draw(|frame| draw::draw(frame, &app)).map_err(failed)?;
            let left = due.saturating_duration_since(Instant::now());
            if event::poll(left).map_err(failed)? {
                // A change of the size is drawn like everything else.
                if let Event::Key(key) = event::read().map_err(failed)?
                    && key.kind == KeyEventKind::Press
                    && keys::press(&mut app, &mut self.stack, key)?
                {
                    return Ok(());
                }
                continue;
            }
            due = Instant::now() + interval;
            let rates = self.read()?;
            app.update(rates, &mut self.stack)?;
        }
        Ok(())
    }

    /// What grew since the last reading, per second.
    fn read(&mut self) -> Result<ctl::Stat, Failure> {
        let now: ctl::Stat = self.stack.client.ask_for(&Request::Stat {})?;
        let rates = match &self.before {
            Some(before) => per_second(before, &now),
            // Nothing has been counted twice: all rates are 0.
            None => per_second(&now, &now),
        };
        self.before = Some(now);
        Ok(rates)
    }
}

/// The first rates come soon.
const FIRST: Duration = Duration::from_millis(200);

/// Up to 30: the stack closes a connection that is silent for a minute.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=30.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 30".to_owned()),
    }
}
