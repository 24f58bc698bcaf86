//! usage: what the threads that serve have cost: time on a processor, and how often they came to
//! it.

use std::collections::HashMap;
use std::time::Instant;

/// Threads of this process at a moment, with what they have used so far.
#[derive(Debug)]
pub struct Usage {
    at: Instant,
    threads: HashMap<String, Used>,
}

/// What threads have used per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Time on a processor, in seconds: 1 is a whole core.
    pub cores: f64,
    /// How often a processor was given to them.
    pub switches: f64,
}

impl Usage {
    /// Of all threads but the calling one.
    pub fn now() -> Self {
        let own = rustix::thread::gettid().as_raw_nonzero().to_string();
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let names = tasks.map(|task| task.file_name().to_string_lossy().into_owned());
        let threads = names.filter(|name| *name != own).filter_map(|name| {
            let used = used(&name)?;
            Some((name, used))
        });
        Self { at: Instant::now(), threads: threads.collect() }
    }

    /// What the same threads have used since.
    pub fn since(&self) -> Used {
        let seconds = self.at.elapsed().as_secs_f64();
        let mut all = Used::default();
        for (name, before) in &self.threads {
            // One that has ended has taken its figures along.
            let Some(now) = used(name) else { continue };
            all.cores += (now.cores - before.cores) / seconds;
            all.switches += (now.switches - before.switches) / seconds;
        }
        all
    }
}

/// What one thread has used since it began: nanoseconds on a processor, nanoseconds of waiting for
/// one, and how often it got one.
fn used(thread: &str) -> Option<Used> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut fields = text.split_whitespace().map(|field| field.parse::<f64>());
    let (ran_ns, _waited, switches) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Used { cores: ran_ns.ok()? / 1e9, switches: switches.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_that_works_costs_time_and_one_that_waits_does_not() {
        let (begin, begun) = channel();
        let (end, ended) = channel::<()>();
        let worker = std::thread::spawn(move || {
            let _began = begin.send(());
            while ended.try_recv().is_err() {
                std::hint::black_box(());
            }
        });
        begun.recv().unwrap();
        let before = Usage::now();
        let mut after = before.since();
        // On a busy machine it may take a while until the thread has run.
        while after.cores == 0.0 {
            after = before.since();
        }
        assert!(after.cores > 0.0);
        end.send(()).unwrap();
        worker.join().unwrap();
        assert_eq!(before.threads.values().filter(|used| used.cores < 0.0).count(), 0);
    }
}
