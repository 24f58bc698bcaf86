//! All orders in which posters, leaders and sleepers meet.

use crate::bell::Earliest;
use crate::sync::{AtomicU32, Condvar, Mutex, Ordering};
use crate::token::{Left, Ring, Rung, Taken, Token};
use crate::told::Told;
use loom::sync::Arc;
use loom::thread;

/// All orders with at most three switches that no thread asked for: with more, three threads take
/// hours, and what goes wrong goes wrong with two.
fn model(orders: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(orders);
}

/// A descriptor that one thread sleeps on until it is rung.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.heard.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.heard.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// What threads of a shard share, with numbers for messages.
struct Stack {
    token: Token,
    /// Wakes the leader.
    bell: Bell,
    /// Wakes the shard's thread.
    alarm: Bell,
    /// Posted and not yet done.
    work: AtomicU32,
    /// Leaders at this moment.
    leaders: AtomicU32,
}

impl Stack {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            token: Token::new(),
            bell: Bell::default(),
            alarm: Bell::default(),
            work: AtomicU32::new(0),
            leaders: AtomicU32::new(0),
        })
    }

    fn post(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        self.post_ring();
    }

    fn post_ring(&self) {
        match self.token.post() {
            Some(Ring::Bell) => self.bell.ring(),
            Some(Ring::Alarm) => self.alarm.ring(),
            None => {}
        }
    }

    /// As `Inlet::leave`; how much was done.
    fn leave(&self) -> u32 {
        let mut done = 0;
        let mut left = self.token.leave(false);
        if left == Left::Posted {
            self.token.arrive();
            done = self.work.swap(0, Ordering::Relaxed);
            left = self.token.leave(true);
        }
        match left {
            // The grace is over at once.
            Left::Away { set: true } | Left::Behind | Left::Posted => self.alarm.ring(),
            Left::Away { set: false } => {}
        }
        done
    }

    /// The shard's thread without the token: until it leads.
    fn until_it_leads(&self) {
        loop {
            self.alarm.wait();
            match self.token.rung(|| assert_eq!(self.leaders.load(Ordering::Relaxed), 0)) {
                Rung::Lead => return,
                Rung::SetAgain => self.alarm.ring(),
                Rung::Sleep => {}
            }
        }
    }
}

/// A post is done by the leader, whether it comes before it looks, before it sleeps or after.
#[test]
fn model_post_against_sleep() {
    model(|| {
        let stack = Stack::new();
        let posters: Vec<_> = (0..2)
            .map(|_| {
                let stack = stack.clone();
                thread::spawn(move || stack.post())
            })
            .collect();
        let mut done = 0;
        while done < 2 {
            stack.token.shard_wakes();
            done += stack.work.swap(0, Ordering::Relaxed);
            if done < 2 && stack.token.shard_sleeps() {
                stack.bell.wait();
            }
        }
        posters.into_iter().for_each(|poster| poster.join().unwrap());
    });
}

/// A post to a leader that returns to its program is done by it, or by the shard's thread.
#[test]
fn model_post_against_leave() {
    model(|| {
        let stack = Stack::new();
        assert!(stack.token.take(|| {}).is_some());
        let poster = {
            let stack = stack.clone();
            thread::spawn(move || stack.post())
        };
        let shard = {
            let stack = stack.clone();
            thread::spawn(move || {
                stack.until_it_leads();
                // Its first round; what comes later rings the bell.
                let done = stack.work.swap(0, Ordering::Relaxed);
                if done == 0 && stack.token.shard_sleeps() { None } else { Some(done) }
            })
        };
        let done = stack.leave();
        poster.join().unwrap();
        let rung = *stack.bell.rung.lock().unwrap();
        match shard.join().unwrap() {
            Some(more) => {
                let left = stack.work.load(Ordering::Relaxed);
                assert!(done + more == 1 || left == 1 && !stack.token.shard_sleeps());
            }
            None => assert!(done == 1 || rung),
        }
    });
}

/// A post is done though who takes the lead does not look for work when it finds none posted.
#[test]
fn model_post_against_take() {
    model(|| {
        let stack = Stack::new();
        assert!(stack.token.shard_sleeps());
        let poster = {
            let stack = stack.clone();
            thread::spawn(move || stack.post())
        };
        let taken = stack.token.take(|| {});
        let mut done = 0;
        if taken == Some(Taken::Quiet) && stack.token.sleep() {
            stack.bell.wait();
        }
        while done == 0 {
            stack.token.arrive();
            done = stack.work.swap(0, Ordering::Relaxed);
            if done == 0 && stack.token.sleep() {
                stack.bell.wait();
            }
        }
        poster.join().unwrap();
    });
}

/// What a guest puts off while nobody leads is done by who takes the lead, though it does not look
/// for work when it finds none.
#[test]
fn model_put_off_against_take() {
    model(|| {
        let stack = Stack::new();
        assert!(stack.token.take(|| {}).is_some());
        assert!(matches!(stack.token.leave(false), Left::Away { .. }));
        let guest = {
            let stack = stack.clone();
            thread::spawn(move || {
                stack.work.fetch_add(1, Ordering::Relaxed);
                if !stack.token.owe() {
                    stack.post_ring();
                }
            })
        };
        let taken = stack.token.take(|| {});
        if taken == Some(Taken::Quiet) && stack.token.sleep() {
            stack.bell.wait();
        }
        let mut done = 0;
        while done == 0 {
            stack.token.arrive();
            done = stack.work.swap(0, Ordering::Relaxed);
            if done == 0 && stack.token.sleep() {
                stack.bell.wait();
            }
        }
        guest.join().unwrap();
    });
}

/// Two applications want the lead and leave, and the shard's thread has it in the end: never two
/// at a time, and never nobody for good.
#[test]
fn model_hand_over_of_the_token() {
    model(|| {
        let stack = Stack::new();
        let applications: Vec<_> = (0..2)
            .map(|_| {
                let stack = stack.clone();
                thread::spawn(move || {
                    let leads = stack.token.take(|| {}).is_some();
                    if leads {
                        assert_eq!(stack.leaders.fetch_add(1, Ordering::Relaxed), 0);
                        stack.leaders.fetch_sub(1, Ordering::Relaxed);
                        stack.leave();
                    }
                    leads
                })
            })
            .collect();
        let leads = applications.into_iter().map(|it| it.join().unwrap()).filter(|&it| it);
        assert!(leads.count() > 0, "the first one to ask leads");
        stack.until_it_leads();
        assert!(stack.token.shard_sleeps());
    });
}

/// Whoever waits for a head, parked or as the sleeping leader, sees what is told.
#[test]
fn model_tell_against_sleep() {
    for parks in [false, true] {
        model(move || {
            let told = Arc::new((Told::new(), Bell::default()));
            let theirs = told.clone();
            let teller = thread::spawn(move || {
                if theirs.0.tell() {
                    theirs.1.ring();
                }
            });
            let seen = 0;
            if parks {
                assert!(told.0.park(None, || told.0.seen() != seen));
            } else if told.0.leader_sleeps(seen) {
                told.1.wait();
                told.0.leader_wakes();
            }
            assert_eq!(told.0.seen(), 1);
            teller.join().unwrap();
        });
    }
}

/// A deadline that a guest brings moves the timer of a leader that sleeps or is about to.
#[test]
fn model_timer_against_sleep() {
    model(|| {
        // What the timer in the wait set is set to; the shard, whose lock is held to move it.
        let timer = Arc::new((Mutex::new(None), Condvar::new()));
        let shard = Arc::new(Mutex::new(Earliest::default()));
        let enter = |shard: &Mutex<Earliest>, timer: &(Mutex<Option<u64>>, Condvar), at| {
            let mut earliest = shard.lock().unwrap();
            if earliest.moves_to(at) {
                *timer.0.lock().unwrap() = Some(at);
                timer.1.notify_one();
            }
        };
        let (their_timer, their_shard) = (timer.clone(), shard.clone());
        let guest = thread::spawn(move || enter(&their_shard, &their_timer, 5));
        enter(&shard, &timer, 10);
        // It would be woken at 10 if the guest's deadline were lost.
        let mut set = timer.0.lock().unwrap();
        while *set != Some(5) {
            set = timer.1.wait(set).unwrap();
        }
        drop(set);
        guest.join().unwrap();
        assert_eq!(*timer.0.lock().unwrap(), Some(5));
    });
}
