//! `Sim`: hosts joined by simulated links, with one clock and one seed.

use crate::probe::{Probe, bytes_of};
use millstream_core::{Caps, Config, NodeId, Perimeter, Rng, StreamId};
use millstream_msg::{Offload, Pool, PoolConfig};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Hosts, links and virtual time.
///
/// Everything random comes from the seed, and hosts run in the order of their numbers, so the
/// same seed gives the same bytes at the same times: [`Sim::hash`] is a digest of all frames
/// that were sent.
///
/// ```
/// use millstream_rig::{Faults, Sim, ms};
///
/// let mut sim = Sim::new(7);
/// let (a, b) = (sim.host(), sim.host());
/// let slow = Faults { delay_ns: ms(20), ..Faults::NONE };
/// let link = sim.link(a, b, slow);
/// let (near, far) = (sim.stream(link, a), sim.stream(link, b));
///
/// sim.perimeter(a).write(near, b"over there").unwrap();
/// sim.run_until(ms(19));
/// assert_eq!(sim.perimeter(b).waiting(far).unwrap().messages, 0);
/// sim.run_until(ms(21));
/// let got = sim.perimeter(b).getmsg(far).unwrap().unwrap();
/// assert_eq!(got.data.unwrap().first(), b"over there");
/// ```
pub struct Sim {
    hosts: Vec<Host>,
    links: Vec<Link>,
    flights: BinaryHeap<Reverse<Flight>>,
    rng: Rng,
    now: u64,
    /// Number of the next flight: equal times keep their order.
    next: u64,
    hash: u64,
    sent: u64,
    /// Told which host is at work, or none: the links.
    observer: fn(Option<HostId>),
}

/// Names a host of a [`Sim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(usize);

impl HostId {
    /// Which one, in the order in which they were made.
    pub fn number(self) -> usize {
        self.0
    }
}

/// Names a link of a [`Sim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(usize);

/// What a link does to frames, in each direction on its own. Probabilities are in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Time on the way, in nanoseconds.
    pub delay_ns: u64,
    /// Added to it at random, up to this many nanoseconds. Frames keep their order.
    pub jitter_ns: u64,
    /// Frames lost.
    pub loss_ppm: u32,
    /// Frames held back by one more delay (at least 1 ms), so that later ones overtake.
    pub reorder_ppm: u32,
    /// Frames that arrive twice.
    pub duplicate_ppm: u32,
    /// Bits per second; 0 for no limit.
    pub rate_bps: u64,
    /// Frames that wait for the rate longer than this are lost, in nanoseconds.
    pub queue_ns: u64,
}

impl Faults {
    /// A perfect link: arrival at the time of sending, in the next turn.
    pub const NONE: Self = Self {
        delay_ns: 0,
        jitter_ns: 0,
        loss_ppm: 0,
        reorder_ppm: 0,
        duplicate_ppm: 0,
        rate_bps: 0,
        queue_ns: 100_000_000,
    };
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

/// Runs after every turn of a host; true when it did something, so that the host turns again.
type App = Box<dyn FnMut(&mut Perimeter, u64) -> bool>;

struct Host {
    perimeter: Perimeter,
    app: Option<App>,
    /// When to turn next, if nothing arrives.
    wake: Option<u64>,
}

struct Link {
    ends: [End; 2],
    faults: Faults,
    up: bool,
}

struct End {
    host: usize,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
    /// The rate lets the next frame begin at this time.
    free_at: u64,
    /// Arrival of the last frame in order.
    last_arrival: u64,
}

/// A frame on its way to an end of a link.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: u64,
    number: u64,
    link: usize,
    end: usize,
    bytes: Vec<u8>,
    offload: ByNumber,
}

/// An offload request, which has no order of its own: flights differ in their numbers.
#[derive(Debug)]
struct ByNumber(Offload);

impl PartialEq for ByNumber {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByNumber {}

impl PartialOrd for ByNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByNumber {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Sim {
    /// No hosts yet, time 0. `MILLSTREAM_SEED` takes the place of the seed.
    pub fn new(seed: u64) -> Self {
        Self::exactly(crate::seed(seed))
    }

    /// As [`Sim::new`], whatever the environment says.
    pub fn exactly(seed: u64) -> Self {
        Self {
            hosts: Vec::new(),
            links: Vec::new(),
            flights: BinaryHeap::new(),
            rng: Rng::new(seed),
            now: 0,
            next: 0,
            hash: FNV_START,
            sent: 0,
            observer: |_| {},
        }
    }

    /// Adds a host with a pool for a few thousand frames.
    pub fn host(&mut self) -> HostId {
        self.host_with(crate::rig::POOL)
    }

    /// Adds a host with a pool of this size.
    pub fn host_with(&mut self, pool: PoolConfig) -> HostId {
        let config = Config { pool: Pool::new(pool), seed: self.rng.next_u64(), clock: None };
        let perimeter = Perimeter::new(config);
        self.hosts.push(Host { perimeter, app: None, wake: Some(self.now) });
        HostId(self.hosts.len() - 1)
    }

    /// What runs at a host after each of its turns: an application. True: turn again.
    pub fn app(&mut self, host: HostId, app: impl FnMut(&mut Perimeter, u64) -> bool + 'static) {
        self.hosts[host.0].app = Some(Box::new(app));
        self.wake(host);
    }

    /// Joins two hosts by a link of devices without offloads and an MTU of 1500. Each gets a
    /// stream with the name `link<N>`; see [`Sim::stream`].
    pub fn link(&mut self, a: HostId, b: HostId, faults: Faults) -> LinkId {
        let can = millstream_msg::offload::Can::NOTHING;
        self.link_with(a, b, faults, Caps { mtu: 1500, mac: [0; 6], can })
    }

    /// As [`Sim::link`], with devices like this. The address is given by the link: 02:00, link,
    /// end.
    pub fn link_with(&mut self, a: HostId, b: HostId, faults: Faults, caps: Caps) -> LinkId {
        let number = self.links.len();
        let [low, high] = (number as u16).to_le_bytes();
        let ends = [(a.0, 1), (b.0, 2)].map(|(host, end)| {
            let probe = Probe::with_caps(Caps { mac: [2, 0, 0, high, low, end], ..caps });
            let perimeter = &mut self.hosts[host].perimeter;
            let name = format!("link{number}");
            let (stream, driver) = perimeter.open_device(&name, Box::new(probe.clone()));
            End { host, stream, driver, probe, free_at: 0, last_arrival: 0 }
        });
        self.links.push(Link { ends, faults, up: true });
        LinkId(number)
    }

    /// The stream of a link at a host.
    ///
    /// # Panics
    /// When the link does not end there.
    pub fn stream(&self, link: LinkId, host: HostId) -> StreamId {
        let ends = &self.links[link.0].ends;
        ends.iter().find(|end| end.host == host.0).expect("an end of the link").stream
    }

    /// Changes what a link does, from the next frame on.
    pub fn set_faults(&mut self, link: LinkId, faults: Faults) {
        self.links[link.0].faults = faults;
    }

    /// Cuts a link (all frames are lost, those on the way too) or mends it.
    pub fn set_up(&mut self, link: LinkId, up: bool) {
        self.links[link.0].up = up;
    }

    /// A host's perimeter, to plumb it and for its heads. It turns in the next run.
    pub fn perimeter(&mut self, host: HostId) -> &mut Perimeter {
        (self.observer)(Some(host));
        self.wake(host);
        &mut self.hosts[host.0].perimeter
    }

    /// Tells `observer` from now on which host works next, or that the links do, so that what each
    /// takes can be told apart.
    pub fn observe(&mut self, observer: fn(Option<HostId>)) {
        self.observer = observer;
    }

    /// Virtual time, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Digest of all frames sent so far: their bytes, links and times.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Runs to this time.
    pub fn run_until(&mut self, deadline: u64) {
        while self.step(deadline) {}
        self.now = self.now.max(deadline);
    }

    /// Runs until no frame is on its way and no timer is set, but at most to `deadline`. True
    /// when everything came to rest.
    pub fn run_until_idle(&mut self, deadline: u64) -> bool {
        while self.step(deadline) {}
        let idle = self.flights.is_empty() && self.hosts.iter().all(|host| host.wake.is_none());
        if !idle {
            self.now = self.now.max(deadline);
        }
        idle
    }

    /// Goes to the next thing that happens by `deadline` and does it; false when there is none.
    fn step(&mut self, deadline: u64) -> bool {
        let wakes = self.hosts.iter().filter_map(|host| host.wake);
        let flight = self.flights.peek().map(|flight| flight.0.at);
        let Some(at) = wakes.chain(flight).min().filter(|&at| at <= deadline) else { return false };
        self.now = self.now.max(at);
        self.land();
        for host in 0..self.hosts.len() {
            if self.hosts[host].wake.is_some_and(|wake| wake <= self.now) {
                self.turn(host);
            }
        }
        true
    }

    /// Hands frames that have arrived to their devices.
    fn land(&mut self) {
        (self.observer)(None);
        while self.flights.peek().is_some_and(|flight| flight.0.at <= self.now) {
            let Some(Reverse(flight)) = self.flights.pop() else { return };
            let link = &self.links[flight.link];
            if !link.up {
                continue;
            }
            let end = &link.ends[flight.end];
            let host = &mut self.hosts[end.host];
            host.wake = Some(self.now);
            // Without memory the frame is lost, as in a card whose ring is empty.
            if let Ok(mut msg) = host.perimeter.pool().copy_from(HEADROOM, &flight.bytes) {
                msg.set_offload(flight.offload.0);
                end.probe.arrive(msg);
            }
        }
    }

    /// Turns one host until it has nothing to do at this time, and sends what it emitted.
    fn turn(&mut self, number: usize) {
        for round in 0.. {
            (self.observer)(Some(HostId(number)));
            assert!(round < ROUNDS_MAX, "host {number} does not come to rest at {}", self.now);
            let host = &mut self.hosts[number];
            let ends = self.links.iter().flat_map(|link| &link.ends);
            let polled = ends
                .filter(|end| end.host == number && end.probe.waiting() > 0)
                .map(|end| host.perimeter.poll(end.driver, POLL))
                .sum::<usize>();
            let turn = host.perimeter.turn(self.now, BUDGET);
            let app = host.app.as_mut().is_some_and(|app| app(&mut host.perimeter, self.now));
            host.wake = turn.next.map(|at| at.max(self.now + 1));
            (self.observer)(None);
            self.depart(number);
            if polled == 0 && !turn.more && !app {
                return;
            }
        }
    }

    /// Puts what a host sent on its way.
    fn depart(&mut self, host: usize) {
        for number in 0..self.links.len() {
            for end in 0..2 {
                if self.links[number].ends[end].host != host {
                    continue;
                }
                for msg in self.links[number].ends[end].probe.sent() {
                    self.send(number, end, bytes_of(&msg), msg.offload());
                    self.hosts[host].perimeter.pool().free(msg);
                }
            }
        }
    }

    fn send(&mut self, number: usize, end: usize, bytes: Vec<u8>, offload: Offload) {
        self.note(number, end, &bytes);
        let link = &mut self.links[number];
        let faults = link.faults;
        if !link.up || self.rng.chance(faults.loss_ppm) {
            return;
        }
        let from = &mut link.ends[end];
        let begin = from.free_at.max(self.now);
        if begin - self.now > faults.queue_ns {
            return;
        }
        let bits = bytes.len() as u64 * 8;
        let on_wire = (bits * 1_000_000_000).checked_div(faults.rate_bps).unwrap_or(0);
        from.free_at = begin + on_wire;
        let jitter = self.rng.below(faults.jitter_ns + 1);
        let mut at = from.free_at + faults.delay_ns + jitter;
        if self.rng.chance(faults.reorder_ppm) {
            at += faults.delay_ns.max(HOLD_BACK_MIN_NS);
        } else {
            at = at.max(from.last_arrival);
            from.last_arrival = at;
        }
        let copies = 1 + usize::from(self.rng.chance(faults.duplicate_ppm));
        for _ in 0..copies {
            let flight = Flight {
                at,
                number: self.next,
                link: number,
                end: 1 - end,
                bytes: bytes.clone(),
                offload: ByNumber(offload),
            };
            self.next += 1;
            self.flights.push(Reverse(flight));
        }
    }

    /// Takes a frame into the digest (FNV-1a).
    fn note(&mut self, link: usize, end: usize, bytes: &[u8]) {
        self.sent += 1;
        let place = (link as u64) << 1 | end as u64;
        let header = self.now.to_le_bytes().into_iter().chain(place.to_le_bytes());
        for byte in header.chain(bytes.iter().copied()) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn wake(&mut self, host: HostId) {
        self.hosts[host.0].wake = Some(self.now);
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim")
            .field("hosts", &self.hosts.len())
            .field("links", &self.links.len())
            .field("flights", &self.flights.len())
            .field("now", &self.now)
            .finish()
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
/// As devices leave it in front of frames.
const HEADROOM: usize = 128;
const POLL: usize = 64;
const BUDGET: usize = 10_000;
/// Turns of one host at one time: a loop of messages ends here.
const ROUNDS_MAX: usize = 10_000;
const HOLD_BACK_MIN_NS: u64 = 1_000_000;
