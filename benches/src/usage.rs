//! usage: what the threads that serve have cost: time on a processor, and how often they came to
//! it.

use crate::Trouble;
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    /// Of all threads but the calling one, and of those of the processes that were started here.
    pub fn now() -> Self {
        Self::of(serving())
    }

    /// Of all threads, the calling one too, and of those of the processes that were started here.
    pub fn of_all() -> Self {
        Self::of(all())
    }

    fn of(threads: Vec<String>) -> Self {
        let threads = threads.into_iter().filter_map(|thread| {
            let used = used(&thread)?;
            Some((thread, used))
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

/// System calls of the threads that serve, as `perf` counts them.
#[derive(Debug)]
pub struct SystemCalls {
    perf: Child,
    began: Instant,
}

impl SystemCalls {
    /// Counts those of the threads that there are now, and of those that they start.
    ///
    /// # Errors
    /// Without `perf`.
    pub fn count() -> Result<Self, Trouble> {
        let threads = serving().join(",");
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-t", &threads]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let perf = command.spawn().map_err(|why| format!("perf: {why}"))?;
        // It tells nobody when it has begun; what it misses then is little of what it counts.
        std::thread::sleep(BEGINS);
        Ok(Self { perf, began: Instant::now() })
    }

    /// Calls per second.
    ///
    /// # Errors
    /// It has not counted.
    pub fn end(self) -> Result<f64, Trouble> {
        let seconds = self.began.elapsed().as_secs_f64();
        let pid = rustix::process::Pid::from_child(&self.perf);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        let told = String::from_utf8(self.perf.wait_with_output()?.stderr)?;
        let count = told.split(',').next().and_then(|count| count.trim().parse::<f64>().ok());
        Ok(count.ok_or_else(|| format!("perf has not counted: {told}"))? / seconds)
    }
}

/// `perf` takes less to begin.
const BEGINS: Duration = Duration::from_millis(200);

/// Numbers of all threads but the calling one, and of those of the processes that were started
/// here.
pub fn serving() -> Vec<String> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut found = all();
    found.retain(|thread| *thread != own);
    found
}

fn all() -> Vec<String> {
    let mut found = Vec::new();
    walk(|task, _| found.push(task));
    found
}

/// Numbers of the processes that were started here, and by those.
pub fn started() -> Vec<String> {
    let mut found = Vec::new();
    walk(|_, children| found.extend(children.split_whitespace().map(str::to_owned)));
    found
}

/// Shows each thread of this process and of those that were started here, with its children.
fn walk(mut show: impl FnMut(String, &str)) {
    let mut processes = vec![std::process::id().to_string()];
    while let Some(process) = processes.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            processes.extend(children.split_whitespace().map(str::to_owned));
            show(task.file_name().to_string_lossy().into_owned(), &children);
        }
    }
}

/// What one thread has used since it began: nanoseconds on a processor, nanoseconds of waiting for
/// one, and how often it got one.
fn used(thread: &str) -> Option<Used> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).ok()?;
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
