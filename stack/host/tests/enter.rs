//! Threads of applications inside a shard: who reads the devices, who runs the timers, and what
//! happens when a thread cannot come in.

use millstream_core::{Caps, Cx, Device, Errno, ModInfo, Module, Step};
use millstream_host::{DeviceFd, End, EndError, EnterError, Gone, Handle, Shard, ShardConfig};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool, PoolConfig};
use millstream_port::Lead;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No test waits longer than this for a state.
const LONG: Duration = Duration::from_secs(20);

fn soon() -> Option<Instant> {
    Some(Instant::now() + LONG)
}

/// A shard that runs on a thread of its own until dropped.
struct Running {
    handle: Handle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    fn new() -> Self {
        let config = ShardConfig { pool: PoolConfig::STACK, seed: 0, polling: false, clock: None };
        let shard = Shard::new(config).unwrap();
        let handle = shard.handle();
        let thread = std::thread::Builder::new().name("shard".into());
        let thread = thread.spawn(move || shard.run(|_| {})).unwrap();
        Self { handle, thread: Some(thread) }
    }

    /// Both ends of a pipe.
    fn pipe(&self) -> [End; 2] {
        let streams = self.handle.enter(|shard| shard.core().pipe(["one", "other"])).unwrap();
        streams.map(|stream| End::attach_head(&self.handle, stream).unwrap())
    }

    /// A stream on a device that tells which thread reads it, and what to write frames to.
    fn device(&self) -> (End, UnixDatagram, mpsc::Receiver<String>) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let fd = DeviceFd::Fd(ours.try_clone().unwrap().into());
        let (tell, told) = mpsc::channel();
        let device = Box::new(Telling(ours, tell));
        let opened = self.handle.enter(|shard| shard.open_device("dev0", device, fd));
        let end = End::attach_head(&self.handle, opened.unwrap().unwrap()).unwrap();
        (end, theirs, told)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

/// Frames are datagrams; names the thread that reads one.
struct Telling(UnixDatagram, mpsc::Sender<String>);

impl Device for Telling {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::NOTHING }
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, _: usize) -> Result<usize, Errno> {
        let mut frame = [0; 64];
        let Ok(n) = self.0.recv(&mut frame) else { return Ok(0) };
        self.1.send(thread_name()).unwrap();
        out.push(pool.copy_from(0, &frame[..n]).map_err(|_| Errno::ENOSR)?);
        Ok(1)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        batch.by_ref().for_each(drop);
        Ok(())
    }
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// Tells which thread ran its timer.
struct Alarmed(Duration, mpsc::Sender<String>);

impl Module for Alarmed {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("alarmed", "tells who runs its timer");
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        cx.timer(0, cx.now() + self.0.as_nanos() as u64);
        Ok(Step::Done)
    }

    fn timer(&mut self, _: &mut Cx<'_>, _: u64) {
        self.1.send(thread_name()).unwrap();
    }
}

fn send(end: &End, bytes: &[u8]) {
    end.until(soon(), |core, at| core.putpmsg(at, None, Some(bytes), BAND_0)).unwrap();
}

const BAND_0: millstream_core::Priority = millstream_core::Priority::Band(0);

fn receive(end: &End, deadline: Option<Instant>) -> Result<Vec<u8>, EndError> {
    let got = end.until(deadline, |core, at| core.getmsg(at))?;
    Ok(got.unwrap().data.unwrap().first().to_vec())
}

fn named<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).unwrap()
}

#[test]
fn a_thread_that_waits_reads_the_device_itself_and_the_shard_does_when_it_is_away() {
    let running = Running::new();
    let (end, frames, told) = running.device();
    let application = named("application", move || {
        let got = receive(&end, soon()).unwrap();
        (got, end)
    });
    // Sooner, the shard's thread may read it.
    while !is_led(&running) {}
    frames.send(b"one").unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), "application");
    let (got, end) = application.join().unwrap();
    assert_eq!(got, b"one");
    frames.send(b"two").unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), "shard");
    assert_eq!(receive(&end, soon()).unwrap(), b"two");
}

/// The timer runs on the thread of an application: it leads.
fn is_led(running: &Running) -> bool {
    let (tell, told) = mpsc::channel();
    let module = Box::new(Alarmed(Duration::from_millis(1), tell));
    let [one, other] = running.pipe();
    let at = one.stream();
    running.handle.enter(|shard| shard.core().push(at, module).map(drop)).unwrap().unwrap();
    let name = told.recv_timeout(LONG).unwrap();
    drop((one, other));
    name == "application"
}

/// What a program's thread does that waits in poll(2) and has the stack inside: until it is `over`.
fn polls(handle: Handle, over: Arc<AtomicBool>) -> JoinHandle<()> {
    named("application", move || {
        while !over.load(Ordering::SeqCst) {
            let wait = match handle.lead() {
                Lead::Others => {
                    std::thread::yield_now();
                    continue;
                }
                Lead::Sleeps => Timespec { tv_sec: 20, tv_nsec: 0 },
                Lead::Runs => Timespec { tv_sec: 0, tv_nsec: 0 },
            };
            poll(&mut [PollFd::from_borrowed_fd(handle.devices(), PollFlags::IN)], Some(&wait))
                .unwrap();
            handle.led();
        }
    })
}

/// What is posted wakes who sleeps there; it may be about to.
fn end_polling(running: &Running, application: JoinHandle<()>) {
    while !application.is_finished() {
        running.handle.wake();
        std::thread::yield_now();
    }
    application.join().unwrap();
}

#[test]
fn a_thread_that_sleeps_in_a_wait_set_of_its_own_leads_meanwhile() {
    let running = Running::new();
    let (end, frames, told) = running.device();
    let over = Arc::new(AtomicBool::new(false));
    let application = polls(running.handle.clone(), over.clone());
    while !is_led(&running) {}
    frames.send(b"one").unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), "application");
    assert!((0..20).all(|_| is_led(&running)), "its timers, too");
    over.store(true, Ordering::SeqCst);
    end_polling(&running, application);
    frames.send(b"two").unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), "shard");
    for sent in [b"one", b"two"] {
        assert_eq!(receive(&end, soon()).unwrap(), sent);
    }
}

#[test]
fn one_thread_leads_wherever_it_sleeps() {
    let running = Running::new();
    let [near, far] = running.pipe();
    let application = named("application", move || receive(&near, soon()));
    while !is_led(&running) {}
    assert_eq!(running.handle.lead(), Lead::Others);
    send(&far, b"enough");
    application.join().unwrap().unwrap();
    // Nobody is inside, and nothing is to be done: what was posted is done first.
    while running.handle.lead() == Lead::Runs {
        running.handle.led();
    }
    let second = running.handle.clone();
    assert_eq!(named("second", move || second.lead()).join().unwrap(), Lead::Others);
    running.handle.led();
}

#[test]
fn no_message_is_lost_while_a_thread_leads_that_sleeps_in_a_wait_set_of_its_own() {
    const COUNT: u32 = 20_000;
    let running = Running::new();
    let [near, far] = running.pipe();
    let over = Arc::new(AtomicBool::new(false));
    let application = polls(running.handle.clone(), over.clone());
    let writer = named("writer", move || {
        (0..COUNT).for_each(|n| send(&near, &n.to_be_bytes()));
        near
    });
    for n in 0..COUNT {
        assert_eq!(receive(&far, soon()).unwrap(), n.to_be_bytes());
    }
    over.store(true, Ordering::SeqCst);
    end_polling(&running, application);
    drop(writer.join().unwrap());
}

#[test]
fn a_timer_fires_while_a_thread_of_an_application_leads() {
    let running = Running::new();
    let [near, far] = running.pipe();
    let application = named("application", move || receive(&near, soon()));
    while !is_led(&running) {}
    // The one that it sleeps with is later: it is moved by who comes in.
    assert!((0..20).all(|_| is_led(&running)));
    send(&far, b"enough");
    assert_eq!(application.join().unwrap().unwrap(), b"enough");
    assert!(!is_led(&running), "nobody but the shard's thread is left");
}

#[test]
fn no_message_is_lost_while_threads_take_the_lead_from_each_other() {
    const COUNT: u32 = 100_000;
    let running = Running::new();
    let [near, far] = running.pipe();
    let [idle, _other] = running.pipe();
    let writer = named("writer", move || {
        (0..COUNT).for_each(|n| send(&near, &n.to_be_bytes()));
        near
    });
    let reader = named("reader", move || {
        let mut late = 0;
        for n in 0..COUNT {
            let got = loop {
                // Now and then too short to wait for anything.
                let wait = if n % 16 == 0 { Duration::from_micros(20) } else { LONG };
                match receive(&far, Some(Instant::now() + wait)) {
                    Err(EndError::WouldBlock) => late += 1,
                    got => break got.unwrap(),
                }
            };
            assert_eq!(got, n.to_be_bytes());
        }
        (far, late)
    });
    // A third one leads whenever the two do not, and leaves to the shard's thread.
    while !reader.is_finished() {
        let wait = Duration::from_micros(300);
        assert_eq!(receive(&idle, Some(Instant::now() + wait)), Err(EndError::WouldBlock));
        std::thread::yield_now();
    }
    writer.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn answers_come_in_time_whoever_leads() {
    let running = Running::new();
    let [near, far] = running.pipe();
    let [idle, _other] = running.pipe();
    // Leads most of the time, for nothing of its own.
    let waiting = named("idle", move || receive(&idle, soon()));
    let echo = named("echo", move || {
        while let Ok(got) = far.until(soon(), |core, at| core.getmsg(at)) {
            let Some(got) = got else { break };
            send(&far, got.data.unwrap().first());
        }
    });
    for n in 0..20_000_u32 {
        send(&near, &n.to_be_bytes());
        assert_eq!(receive(&near, soon()).unwrap(), n.to_be_bytes());
    }
    drop(near);
    echo.join().unwrap();
    drop(running);
    assert_eq!(waiting.join().unwrap(), Err(EndError::Gone(Gone::Stopped)));
}

#[test]
fn a_leader_that_frames_never_come_for_leaves_the_lead_to_one_that_they_come_for() {
    let running = Running::new();
    let (end, frames, told) = running.device();
    let [idle, _other] = running.pipe();
    let waiting = named("application", move || receive(&idle, soon()));
    while !is_led(&running) {}
    let busy = named("busy", move || while receive(&end, soon()).is_ok_and(|got| got != b"end") {});
    let deadline = Instant::now() + LONG;
    loop {
        assert!(Instant::now() < deadline, "the one that waits in vain reads all");
        frames.send(b"frame").unwrap();
        if told.recv_timeout(LONG).unwrap() == "busy" {
            break;
        }
    }
    frames.send(b"end").unwrap();
    busy.join().unwrap();
    drop(running);
    assert_eq!(waiting.join().unwrap(), Err(EndError::Gone(Gone::Stopped)));
}

#[test]
fn a_thread_that_only_sends_takes_the_lead_from_the_shards_thread() {
    let running = Running::new();
    let (end, frames, told) = running.device();
    let (at, over) = (end.stream(), Arc::new(AtomicBool::new(false)));
    let seen = over.clone();
    let application = named("application", move || {
        while !seen.load(Ordering::Relaxed) {
            send(&end, b"out");
        }
        end
    });
    let deadline = Instant::now() + LONG;
    loop {
        assert!(Instant::now() < deadline, "the shard's thread reads all");
        frames.send(b"in").unwrap();
        if told.recv_timeout(LONG).unwrap() == "application" {
            break;
        }
        // A head that is full would hold the device back.
        running.handle.enter(|shard| while let Ok(Some(_)) = shard.core().getmsg(at) {}).unwrap();
    }
    over.store(true, Ordering::Relaxed);
    drop(application.join().unwrap());
}

#[test]
fn a_deadline_is_kept_by_the_leader_and_by_who_parks() {
    let running = Running::new();
    let [one, other] = running.pipe();
    let wait = Duration::from_millis(20);
    let waiting = [one, other].map(|end| {
        named("waits", move || {
            let start = Instant::now();
            let got = receive(&end, Some(start + wait));
            assert_eq!(got, Err(EndError::WouldBlock));
            (start.elapsed(), end)
        })
    });
    let waited = waiting.map(|thread| thread.join().unwrap());
    assert!(waited.iter().all(|(took, _)| *took >= wait), "{waited:?}");
}

#[test]
fn a_thread_that_is_inside_gets_eagain() {
    let running = Running::new();
    let [one, other] = running.pipe();
    let handle = running.handle.clone();
    let (entered, waited) =
        running.handle.enter(|_| (handle.enter(|_| ()), receive(&one, soon()))).unwrap();
    assert_eq!(entered, Err(EnterError::Again));
    assert_eq!(waited, Err(EndError::WouldBlock));
    // One that is dropped inside is closed afterwards.
    running.handle.enter(|_| drop(other)).unwrap();
    let end = one.until(soon(), |core, at| core.getmsg(at));
    assert!(matches!(end, Ok(None)), "{end:?}");
}

#[test]
fn a_signal_handler_gets_eagain_inside_and_comes_in_otherwise() {
    static HANDLE: std::sync::OnceLock<Handle> = std::sync::OnceLock::new();
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let running = Running::new();
    HANDLE.set(running.handle.clone()).unwrap();
    let handler = || {
        let entered = HANDLE.get().map(|handle| handle.enter(|_| ()));
        let seen = match entered {
            Some(Ok(())) => 1,
            Some(Err(EnterError::Again)) => 2,
            _ => 3,
        };
        SEEN.store(seen, Ordering::SeqCst);
    };
    // SAFETY: the handler touches two statics and the shard, which lets it in or refuses.
    let registered = unsafe { signal_hook::low_level::register(libc::SIGUSR1, handler) };
    registered.unwrap();
    let raise = || signal_hook::low_level::raise(libc::SIGUSR1).unwrap();
    raise();
    assert_eq!(SEEN.swap(0, Ordering::SeqCst), 1);
    running.handle.enter(|_| raise()).unwrap();
    assert_eq!(SEEN.swap(0, Ordering::SeqCst), 2);
    // The leader sleeps and holds nothing; it goes on waiting.
    let [near, far] = running.pipe();
    let (tell, told) = mpsc::channel();
    let application = named("application", move || {
        // SAFETY: it has no arguments and no preconditions.
        tell.send(unsafe { libc::pthread_self() }).unwrap();
        receive(&near, soon())
    });
    let thread = told.recv_timeout(LONG).unwrap();
    while !is_led(&running) {}
    // SAFETY: the thread runs until it has received.
    assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
    let deadline = Instant::now() + LONG;
    while SEEN.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the handler did not run");
        std::thread::yield_now();
    }
    assert_ne!(SEEN.load(Ordering::SeqCst), 3);
    send(&far, b"afterwards");
    assert_eq!(application.join().unwrap().unwrap(), b"afterwards");
}

#[test]
fn a_panic_inside_fails_every_head_and_ends_the_shard() {
    let mut running = Running::new();
    let [one, other] = running.pipe();
    let waiting = [one, other].map(|end| named("waits", move || receive(&end, soon())));
    let (handle, [again, _]) = (running.handle.clone(), running.pipe());
    let panics = named("panics", move || handle.enter(|_| panic!("inside, on purpose")));
    assert!(panics.join().is_err());
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), Err(EndError::Failed(Errno::EIO)));
    }
    assert_eq!(receive(&again, soon()), Err(EndError::Failed(Errno::EIO)));
    assert_eq!(running.handle.enter(|_| ()), Err(EnterError::Gone(Gone::Panicked)));
    let ended = running.thread.take().unwrap().join().unwrap();
    assert_eq!(ended.unwrap_err().to_string(), "the stack has failed");
}

#[test]
fn a_forked_child_has_no_stack_and_its_parent_keeps_it() {
    let running = Running::new();
    let [one, other] = running.pipe();
    // SAFETY: the child does nothing that needs another thread, and ends without its destructors.
    match unsafe { libc::fork() } {
        0 => {
            let entered = running.handle.enter(|_| ());
            let waited = one.until(soon(), |core, at| core.getmsg(at).map(drop));
            running.handle.stop();
            let dead = entered == Err(EnterError::Gone(Gone::Forked))
                && waited == Err(EndError::Gone(Gone::Forked))
                && running.handle.is_forked();
            // SAFETY: always.
            unsafe { libc::_exit(i32::from(!dead)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the status is ours.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0, "the child came in");
        }
    }
    send(&one, b"still there");
    assert_eq!(receive(&other, soon()).unwrap(), b"still there");
}

#[test]
fn a_handle_of_a_shard_that_never_ran_says_so() {
    let config = ShardConfig { pool: PoolConfig::TINY, seed: 0, polling: false, clock: None };
    let shard = Shard::new(config).unwrap();
    let handle = shard.handle();
    let waits = std::thread::spawn(move || handle.enter(|_| ()));
    drop(shard);
    assert_eq!(waits.join().unwrap(), Err(EnterError::Gone(Gone::Stopped)));
}

#[test]
fn a_shard_that_polls_is_led_and_entered_as_well() {
    let config = ShardConfig { pool: PoolConfig::TINY, seed: 0, polling: true, clock: None };
    let shard = Shard::new(config).unwrap();
    let handle = shard.handle();
    let thread = Some(named("shard", move || shard.run(|_| {})));
    let running = Running { handle, thread };
    let [near, far] = running.pipe();
    let echo = named("application", move || {
        let got = receive(&far, soon()).unwrap();
        send(&far, &got);
        far
    });
    while !is_led(&running) {}
    send(&near, b"x");
    assert_eq!(receive(&near, soon()).unwrap(), b"x");
    echo.join().unwrap();
}
