//! `Rig`: one module between fake neighbours.

use crate::neighbour::{Handle, Neighbour};
use crate::probe::{Probe, bytes_of};
use crate::watch;
use millstream_core::stat::NodeStat;
use millstream_core::{Config, Drop as Reason, Module, NodeView, Perimeter, Side, StreamId};
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};

/// One module under test, with virtual time and two fake neighbours.
///
/// A [`Side`] names a direction: `Side::Read` ends at the neighbour above, `Side::Write` at the
/// one below. Every call runs until nothing is left to do now. At the end (of [`Rig::finish`] or
/// of the scope) the module is taken out, and all cells must be back in the pool.
///
/// ```
/// use millstream_core::{Cx, ModInfo, Module, Side};
/// use millstream_msg::Msg;
/// use millstream_rig::Rig;
///
/// /// Queues what does not fit.
/// struct Polite;
///
/// impl Module for Polite {
///     fn info(&self) -> &'static ModInfo {
///         const INFO: ModInfo =
///             ModInfo { rsrv: true, ..ModInfo::new("polite", "asks before it puts") };
///         &INFO
///     }
///
///     fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
///         cx.put_or_queue(msg);
///     }
/// }
///
/// let mut rig = Rig::new(Box::new(Polite));
/// rig.full(Side::Read);
/// rig.up(b"later");
/// assert!(rig.above_bytes().is_empty());
/// rig.relieve(Side::Read);
/// assert_eq!(rig.above_bytes(), [b"later"]);
/// ```
#[derive(Debug)]
pub struct Rig {
    perimeter: Perimeter,
    stream: StreamId,
    above: Handle,
    below: Handle,
    cells_at_start: usize,
    present: bool,
}

/// Where the messages of a module are. See [`Rig::balance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Messages that came in.
    pub received: u64,
    /// Messages passed on.
    pub emitted: u64,
    /// Freed because they had done their work.
    pub consumed: u64,
    /// Dropped with a reason.
    pub discarded: u64,
    /// In the module's queues.
    pub queued: u64,
}

impl Rig {
    /// A rig with a fixed seed, or that of `MILLSTREAM_SEED`.
    ///
    /// # Panics
    /// When the module's `open` refuses.
    pub fn new(module: Box<dyn Module>) -> Self {
        Self::seeded(module, crate::SEED)
    }

    /// A rig with this seed, unless `MILLSTREAM_SEED` is set.
    ///
    /// # Panics
    /// When the module's `open` refuses.
    pub fn seeded(module: Box<dyn Module>, seed: u64) -> Self {
        let config = Config { pool: Pool::new(POOL), seed: crate::seed(seed), clock: None };
        let mut perimeter = Perimeter::new(config);
        let (stream, _) = perimeter.open_device("rig", Box::new(Probe::new()));
        let (above, below) = (Handle::new(), Handle::new());
        let plumbed = "the rig's stream takes modules";
        perimeter.push(stream, Neighbour::below(&below)).expect(plumbed);
        perimeter.push(stream, Neighbour::above(&above)).expect(plumbed);
        let cells_at_start = watch::live_cells(&mut perimeter);
        perimeter.insert(stream, POS, module).expect("the module opens");
        let mut rig = Self { perimeter, stream, above, below, cells_at_start, present: true };
        rig.run();
        rig.above.desk().woken = 0;
        rig.below.desk().woken = 0;
        rig
    }

    /// A message from the rig's pool, with 128 bytes of headroom.
    pub fn msg(&mut self, bytes: &[u8]) -> Msg {
        self.perimeter.pool().copy_from(128, bytes).expect("the rig's pool is large enough")
    }

    /// Data from below: it comes to `rput`.
    pub fn up(&mut self, bytes: &[u8]) {
        let msg = self.msg(bytes);
        self.inject(Side::Read, msg.into_list());
    }

    /// Data from above: it comes to `wput`.
    pub fn down(&mut self, bytes: &[u8]) {
        let msg = self.msg(bytes);
        self.inject(Side::Write, msg.into_list());
    }

    /// A message in a direction: `Side::Read` comes to `rput`.
    pub fn put(&mut self, side: Side, msg: Msg) {
        self.inject(side, msg.into_list());
    }

    /// Messages together, as one batch.
    pub fn inject(&mut self, side: Side, batch: MsgList) {
        self.source(side).desk().inject = batch;
        self.tell(side.other(), "inject", "");
        self.run();
    }

    /// Takes what came out above, in order.
    pub fn above(&mut self) -> Vec<Msg> {
        std::mem::take(&mut self.above.desk().got).collect()
    }

    /// Takes what came out below, in order.
    pub fn below(&mut self) -> Vec<Msg> {
        std::mem::take(&mut self.below.desk().got).collect()
    }

    /// Takes what came out above, as bytes.
    pub fn above_bytes(&mut self) -> Vec<Vec<u8>> {
        self.above().iter().map(bytes_of).collect()
    }

    /// Takes what came out below, as bytes.
    pub fn below_bytes(&mut self) -> Vec<Vec<u8>> {
        self.below().iter().map(bytes_of).collect()
    }

    /// Makes the neighbour at the end of a direction full in band 0: `canputnext` is false.
    pub fn full(&mut self, side: Side) {
        self.full_band(side, 0);
    }

    /// As [`Rig::full`], for a band.
    pub fn full_band(&mut self, side: Side, band: u8) {
        self.tell(side, "full", &band.to_string());
        self.run();
    }

    /// The neighbour at the end of a direction has room again, in all bands; the module is
    /// called back if it was refused.
    pub fn relieve(&mut self, side: Side) {
        self.tell(side, "relieve", "");
        self.run();
    }

    /// Would the neighbour that sends in this direction be let (`canputnext`)? Afterwards
    /// [`Rig::woken`] says whether it was called back.
    pub fn room(&mut self, side: Side) -> bool {
        self.tell(side.other(), "room", "0");
        self.source(side).desk().room
    }

    /// How often the neighbour that sends in this direction was called back by flow control.
    pub fn woken(&self, side: Side) -> u64 {
        self.source(side).desk().woken
    }

    /// Ordinary messages that the module put in this direction although it was full: it did not
    /// ask.
    pub fn overruns(&self, side: Side) -> u64 {
        self.sink(side).desk().overruns
    }

    /// Lets time pass; every timer on the way fires at its time.
    pub fn advance(&mut self, ns: u64) {
        watch::nothing_dropped(&mut self.perimeter, |p| watch::advance(p, ns));
    }

    /// Virtual time, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.perimeter.now()
    }

    /// Sets a parameter of the module.
    ///
    /// # Errors
    /// What the module says, as text.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let stream = self.stream;
        let outcome =
            watch::nothing_dropped(&mut self.perimeter, |p| p.set(stream, POS, key, value));
        self.run();
        outcome.map_err(|why| why.to_string())
    }

    /// What the module shows of itself.
    ///
    /// # Panics
    /// After [`Rig::remove`].
    pub fn view(&self) -> NodeView {
        let chain = self.perimeter.chain(self.stream).expect("the rig's stream exists");
        chain.into_iter().find(|node| node.pos == Some(POS)).expect("the module is in the rig")
    }

    /// Counters of the module.
    pub fn stat(&self) -> NodeStat {
        self.view().stat
    }

    /// Messages dropped for this reason.
    pub fn drops(&self, reason: impl Into<Reason>) -> u64 {
        let reason = reason.into();
        let drops = self.stat().drops;
        drops.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum()
    }

    /// Where the module's messages are. `created` and what it holds outside its queues are its
    /// own business: received + created = emitted + consumed + discarded + queued + kept.
    pub fn balance(&self) -> Balance {
        let NodeView { stat, depth, .. } = self.view();
        Balance {
            received: stat.msgs_in.iter().sum(),
            emitted: stat.msgs_out.iter().sum(),
            consumed: stat.consumed,
            discarded: stat.dropped(),
            queued: depth.iter().sum::<usize>() as u64,
        }
    }

    /// Checks that messages in and `created` ones are those out, consumed, discarded, queued or
    /// `kept` by the module outside its queues.
    ///
    /// # Panics
    /// When they are not.
    pub fn assert_balanced(&self, created: u64, kept: u64) {
        let b = self.balance();
        assert_eq!(
            b.received + created,
            b.emitted + b.consumed + b.discarded + b.queued + kept,
            "received + {created} created != emitted + consumed + discarded + queued + {kept} \
             kept: {b:?}",
        );
    }

    /// Takes the module out as `I_POP` does; what it held comes out above and below.
    ///
    /// # Panics
    /// When it was taken out before.
    pub fn remove(&mut self) -> Box<dyn Module> {
        let stream = self.stream;
        let removed = watch::nothing_dropped(&mut self.perimeter, |p| p.remove(stream, POS));
        self.present = false;
        let module = removed.expect("the module is in the rig").done();
        let module = module.expect("its close is not pending: `perimeter` waits for one");
        self.run();
        module
    }

    /// The perimeter, for what the rig does not offer.
    pub fn perimeter(&mut self) -> &mut Perimeter {
        &mut self.perimeter
    }

    /// Takes the module out and checks that nothing is left: all cells are back in the pool but
    /// for the messages that the test holds itself (drop them before).
    ///
    /// # Panics
    /// When cells are missing, or a message fell out of scope.
    pub fn finish(mut self) {
        self.check();
    }

    fn check(&mut self) {
        if self.present {
            let module = self.remove();
            watch::nothing_dropped(&mut self.perimeter, |_| drop(module));
        }
        for side in [Side::Read, Side::Write] {
            self.tell(side, "relieve", "");
        }
        self.run();
        drop((self.above(), self.below()));
        let live = watch::live_cells(&mut self.perimeter);
        assert_eq!(live, self.cells_at_start, "cells out at the end, cells out at the start");
    }

    fn run(&mut self) {
        watch::nothing_dropped(&mut self.perimeter, |p| watch::settle(p, p.now()));
    }

    /// The neighbour that sends in a direction.
    fn source(&self, side: Side) -> &Handle {
        self.sink(side.other())
    }

    /// The neighbour at the end of a direction.
    fn sink(&self, side: Side) -> &Handle {
        match side {
            Side::Read => &self.above,
            Side::Write => &self.below,
        }
    }

    /// Gives an order to the neighbour at the end of a direction.
    fn tell(&mut self, end: Side, order: &str, value: &str) {
        let top = POS + usize::from(self.present);
        let pos = if end == Side::Read { top } else { 0 };
        self.perimeter.set(self.stream, pos, order, value).expect("a neighbour obeys");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // The first panic has the better message.
        if !std::thread::panicking() {
            self.check();
        }
    }
}

/// A list of one message.
trait IntoList {
    fn into_list(self) -> MsgList;
}

impl IntoList for Msg {
    fn into_list(self) -> MsgList {
        core::iter::once(self).collect()
    }
}

/// Position of the module under test; the neighbour below is at 0.
const POS: usize = 1;

/// Enough for thousands of frames and a few super-frames.
pub(crate) const POOL: PoolConfig = PoolConfig {
    small: 16_384,
    frame: 8_192,
    large: 128,
    bare: 16_384,
    external: 1_024,
    reserve_256th: 4,
};
