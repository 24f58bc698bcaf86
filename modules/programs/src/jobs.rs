//! jobs: what may wait for a disk is done by threads beside the stack's.

use crossbeam_channel::{Sender, TrySendError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do jobs; they end when this is dropped and all jobs are done.
#[derive(Debug)]
pub(crate) struct Jobs {
    to: Sender<Job>,
    held: Held,
}

/// Octets that jobs hold, of all jobs together.
#[derive(Clone, Debug, Default)]
struct Held(Arc<AtomicUsize>);

/// A place in the line for a job that holds so many octets.
#[derive(Debug)]
pub(crate) struct Place {
    held: Held,
    octets: usize,
}

impl Jobs {
    /// So many threads.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let (to, from) = bounded::<Job>(JOBS_MAX);
        for number in 0..threads {
            let from = from.clone();
            let name = format!("nfs-disk-{number}");
            let work = move || from.iter().for_each(|job| job());
            std::thread::Builder::new().name(name).spawn(work)?;
        }
        Ok(Self { to, held: Held::default() })
    }

    /// A place for a job that holds so many octets; `None` when there are too many.
    pub(crate) fn place(&self, octets: usize) -> Option<Place> {
        let held = self.held.clone();
        let place = Place { held, octets };
        let before = place.held.0.fetch_add(octets, Ordering::Relaxed);
        let fits = before == 0 || before.saturating_add(octets) <= OCTETS_MAX;
        (fits && !self.to.is_full()).then_some(place)
    }

    /// Has a job done on one of the threads. A job for which there is no room any more is dropped,
    /// and with it what it would have answered.
    pub(crate) fn add(&self, place: Place, job: impl FnOnce() + Send + 'static) {
        let job = move || {
            job();
            drop(place);
        };
        match self.to.try_send(Box::new(job)) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => drop(job),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

/// Jobs that wait.
const JOBS_MAX: usize = 4096;
/// Octets that wait to be written.
const OCTETS_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_are_done_beside_the_caller() {
        let jobs = Jobs::new(2).unwrap();
        let (done, word) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        jobs.add(jobs.place(0).unwrap(), move || wait.recv().unwrap());
        jobs.add(jobs.place(0).unwrap(), move || done.send(std::thread::current().id()).unwrap());
        // The second one does not wait for the first.
        assert_ne!(word.recv().unwrap(), std::thread::current().id());
        go.send(()).unwrap();
    }

    #[test]
    fn jobs_have_a_bound_of_number_and_of_octets() {
        let jobs = Jobs::new(1).unwrap();
        let first = jobs.place(OCTETS_MAX + 1).unwrap();
        assert!(jobs.place(1).is_none());
        drop(first);
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        jobs.add(jobs.place(OCTETS_MAX).unwrap(), move || {
            begun.send(()).unwrap();
            wait.recv().unwrap();
        });
        has_begun.recv().unwrap();
        assert!(jobs.place(1).is_none());
        for _ in 0..JOBS_MAX {
            jobs.add(jobs.place(0).unwrap(), || ());
        }
        assert!(jobs.place(0).is_none());
        go.send(()).unwrap();
    }

    #[test]
    fn what_was_begun_is_done_when_nobody_asks_any_more() {
        let jobs = Jobs::new(1).unwrap();
        let (done, word) = mpsc::channel();
        for number in 0..10 {
            let done = done.clone();
            jobs.add(jobs.place(0).unwrap(), move || done.send(number).unwrap());
        }
        drop((jobs, done));
        assert_eq!(word.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }
}
