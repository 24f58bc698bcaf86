//! `RigMux`: one multiplexor with fake streams above and below.

use crate::neighbour::{Handle, Neighbour};
use crate::probe::{Probe, bytes_of};
use crate::watch;
use millstream_core::{
    Caps, Config, Drop as Reason, Lower, Mux, NodeId, NodeView, Perimeter, StreamId,
};
use millstream_msg::{Msg, MsgList, Pool};

/// One multiplexor under test, with fake neighbours on `n` uppers and `m` lowers.
///
/// Uppers and lowers are numbered from 0 in the order of their opening. Every call runs until
/// nothing is left to do now. At the end all streams are closed and all cells must be back.
///
/// ```
/// use millstream_core::{
///     Contract, Cx, Errno, LinkInfo, Lower, Marks, Mux, MuxInfo, Step, Upper,
/// };
/// use millstream_msg::Msg;
/// use millstream_rig::RigMux;
///
/// /// Joins all uppers to one lower; what comes from below goes to the first upper.
/// #[derive(Default)]
/// struct Merge(Option<Upper>, Option<Lower>);
///
/// impl Mux for Merge {
///     fn info(&self) -> &'static MuxInfo {
///         const INFO: MuxInfo = MuxInfo {
///             name: "merge",
///             about: "many to one",
///             marks: Marks::DEFAULT,
///             uwsrv: false,
///             lrsrv: false,
///             headroom: 0,
///             contract: Contract::TRANSPARENT,
///         };
///         &INFO
///     }
///     fn uopen(&mut self, _: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
///         self.0.get_or_insert(upper);
///         Ok(Step::Done)
///     }
///     fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
///         Step::Done
///     }
///     fn link(&mut self, _: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
///         self.1 = Some(lower);
///         Ok(())
///     }
///     fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}
///     fn uwput(&mut self, cx: &mut Cx<'_>, _: Upper, msg: Msg) {
///         cx.put_lower(self.1.unwrap(), msg);
///     }
///     fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
///         cx.put_upper(self.0.unwrap(), msg);
///     }
/// }
///
/// let mut rig = RigMux::new(Box::new(Merge::default()), 2, 1);
/// rig.down(1, b"from the second upper");
/// assert_eq!(rig.below_bytes(0), [b"from the second upper"]);
/// rig.up(0, b"in");
/// assert_eq!(rig.above_bytes(0), [b"in"]);
/// ```
#[derive(Debug)]
pub struct RigMux {
    perimeter: Perimeter,
    mux: NodeId,
    uppers: Vec<(StreamId, Handle)>,
    lowers: Vec<(StreamId, Handle, Lower)>,
    cells_at_start: usize,
}

impl RigMux {
    /// A rig with `uppers` streams above and `lowers` below, on devices as [`Probe::new`] makes
    /// them.
    ///
    /// # Panics
    /// When the multiplexor refuses one.
    pub fn new(mux: Box<dyn Mux>, uppers: usize, lowers: usize) -> Self {
        Self::seeded(mux, uppers, lowers, crate::SEED)
    }

    /// As [`RigMux::new`], with a seed.
    ///
    /// # Panics
    /// When the multiplexor refuses a stream.
    pub fn seeded(mux: Box<dyn Mux>, uppers: usize, lowers: usize, seed: u64) -> Self {
        let pool = Pool::new(crate::rig::POOL);
        let config = Config { pool, seed: crate::seed(seed), clock: None };
        let mut perimeter = Perimeter::new(config);
        let cells_at_start = watch::live_cells(&mut perimeter);
        let mux = perimeter.add_mux(mux);
        let (uppers_made, lowers_made) = (Vec::new(), Vec::new());
        let mut rig =
            Self { perimeter, mux, uppers: uppers_made, lowers: lowers_made, cells_at_start };
        for _ in 0..lowers {
            rig.add_lower();
        }
        for _ in 0..uppers {
            rig.add_upper();
        }
        rig
    }

    /// Opens one more upper; its number.
    ///
    /// # Panics
    /// When the multiplexor refuses it.
    pub fn add_upper(&mut self) -> usize {
        let handle = Handle::new();
        let name = format!("upper{}", self.uppers.len());
        let stream = self.perimeter.open_mux(self.mux, &name).expect("the upper opens");
        self.perimeter.push(stream, Neighbour::above(&handle)).expect("a fresh stream");
        self.uppers.push((stream, handle));
        self.run();
        self.uppers.len() - 1
    }

    /// Links one more lower; its number.
    ///
    /// # Panics
    /// When the multiplexor refuses it.
    pub fn add_lower(&mut self) -> usize {
        let caps = millstream_core::Device::caps(&Probe::new());
        self.add_lower_with(caps)
    }

    /// Links one more lower with a device like this at its bottom; its number.
    ///
    /// # Panics
    /// When the multiplexor refuses it.
    pub fn add_lower_with(&mut self, caps: Caps) -> usize {
        let handle = Handle::new();
        let name = format!("lower{}", self.lowers.len());
        let (stream, _) = self.perimeter.open_device(&name, Box::new(Probe::with_caps(caps)));
        self.perimeter.push(stream, Neighbour::below(&handle)).expect("a fresh stream");
        let lower = self.perimeter.link(self.mux, stream).expect("the lower links");
        let lower = lower.done().expect("a fresh stream waits for nothing");
        self.lowers.push((stream, handle, lower));
        self.run();
        self.lowers.len() - 1
    }

    /// A message from the rig's pool, with 128 bytes of headroom.
    pub fn msg(&mut self, bytes: &[u8]) -> Msg {
        self.perimeter.pool().copy_from(128, bytes).expect("the rig's pool is large enough")
    }

    /// Data from below: it comes to `lrput` of this lower.
    pub fn up(&mut self, lower: usize, bytes: &[u8]) {
        let msg = self.msg(bytes);
        self.put_up(lower, msg);
    }

    /// Data from above: it comes to `uwput` of this upper.
    pub fn down(&mut self, upper: usize, bytes: &[u8]) {
        let msg = self.msg(bytes);
        self.put_down(upper, msg);
    }

    /// A message from below.
    pub fn put_up(&mut self, lower: usize, msg: Msg) {
        self.inject_up(lower, core::iter::once(msg).collect());
    }

    /// A message from above.
    pub fn put_down(&mut self, upper: usize, msg: Msg) {
        self.inject_down(upper, core::iter::once(msg).collect());
    }

    /// Messages from below together, as one batch.
    pub fn inject_up(&mut self, lower: usize, batch: MsgList) {
        self.lowers[lower].1.desk().inject = batch;
        self.tell_lower(lower, "inject", "");
        self.run();
    }

    /// Messages from above together, as one batch.
    pub fn inject_down(&mut self, upper: usize, batch: MsgList) {
        self.uppers[upper].1.desk().inject = batch;
        self.tell_upper(upper, "inject", "");
        self.run();
    }

    /// Takes what came out of an upper, in order.
    pub fn above(&mut self, upper: usize) -> Vec<Msg> {
        std::mem::take(&mut self.uppers[upper].1.desk().got).collect()
    }

    /// Takes what came out of a lower, in order.
    pub fn below(&mut self, lower: usize) -> Vec<Msg> {
        std::mem::take(&mut self.lowers[lower].1.desk().got).collect()
    }

    /// Takes what came out of an upper, as bytes.
    pub fn above_bytes(&mut self, upper: usize) -> Vec<Vec<u8>> {
        self.above(upper).iter().map(bytes_of).collect()
    }

    /// Takes what came out of a lower, as bytes.
    pub fn below_bytes(&mut self, lower: usize) -> Vec<Vec<u8>> {
        self.below(lower).iter().map(bytes_of).collect()
    }

    /// Makes an upper full in band 0.
    pub fn full_above(&mut self, upper: usize) {
        self.tell_upper(upper, "full", "0");
        self.run();
    }

    /// Makes a lower full in band 0.
    pub fn full_below(&mut self, lower: usize) {
        self.tell_lower(lower, "full", "0");
        self.run();
    }

    /// An upper has room again.
    pub fn relieve_above(&mut self, upper: usize) {
        self.tell_upper(upper, "relieve", "");
        self.run();
    }

    /// A lower has room again.
    pub fn relieve_below(&mut self, lower: usize) {
        self.tell_lower(lower, "relieve", "");
        self.run();
    }

    /// Would the stream above this upper be let send down? Then [`RigMux::woken_above`].
    pub fn room_above(&mut self, upper: usize) -> bool {
        self.tell_upper(upper, "room", "0");
        self.uppers[upper].1.desk().room
    }

    /// Would the stream below this lower be let send up? Then [`RigMux::woken_below`].
    pub fn room_below(&mut self, lower: usize) -> bool {
        self.tell_lower(lower, "room", "0");
        self.lowers[lower].1.desk().room
    }

    /// How often the stream above an upper was called back by flow control.
    pub fn woken_above(&self, upper: usize) -> u64 {
        self.uppers[upper].1.desk().woken
    }

    /// How often the stream below a lower was called back by flow control.
    pub fn woken_below(&self, lower: usize) -> u64 {
        self.lowers[lower].1.desk().woken
    }

    /// Ordinary messages put up an upper although it was full.
    pub fn overruns_above(&self, upper: usize) -> u64 {
        self.uppers[upper].1.desk().overruns
    }

    /// Ordinary messages put down a lower although it was full.
    pub fn overruns_below(&self, lower: usize) -> u64 {
        self.lowers[lower].1.desk().overruns
    }

    /// Closes an upper (`uclose`). Its number is not used again.
    pub fn close_upper(&mut self, upper: usize) {
        let stream = self.uppers[upper].0;
        self.perimeter.close(stream).expect("the upper is open");
        self.run();
    }

    /// Unlinks a lower and closes its stream. Its number is not used again.
    pub fn unlink_lower(&mut self, lower: usize) {
        let stream = self.lowers[lower].0;
        self.perimeter.unlink(stream).expect("the lower is linked");
        self.run();
        self.perimeter.close(stream).expect("the lower's stream is open");
        self.run();
    }

    /// Lets time pass; every timer on the way fires at its time.
    pub fn advance(&mut self, ns: u64) {
        watch::nothing_dropped(&mut self.perimeter, |p| watch::advance(p, ns));
    }

    /// Virtual time, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.perimeter.now()
    }

    /// Sets a parameter of the multiplexor.
    ///
    /// # Errors
    /// What it says, as text.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let mux = self.mux;
        let outcome = self.perimeter.set_mux(mux, key, value);
        self.run();
        outcome.map_err(|why| why.to_string())
    }

    /// What the multiplexor shows of itself.
    pub fn view(&self) -> NodeView {
        self.perimeter.mux_view(self.mux).expect("the multiplexor stays")
    }

    /// Messages dropped for this reason.
    pub fn drops(&self, reason: impl Into<Reason>) -> u64 {
        let reason = reason.into();
        let drops = self.view().stat.drops;
        drops.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum()
    }

    /// The stream of an upper.
    pub fn upper(&self, upper: usize) -> StreamId {
        self.uppers[upper].0
    }

    /// A lower as the multiplexor sees it. Its cookie is that of the link's beginning.
    pub fn lower(&self, lower: usize) -> Lower {
        self.lowers[lower].2
    }

    /// The multiplexor's node.
    pub fn mux(&self) -> NodeId {
        self.mux
    }

    /// The perimeter, for what the rig does not offer.
    pub fn perimeter(&mut self) -> &mut Perimeter {
        &mut self.perimeter
    }

    fn check(&mut self) {
        for (stream, handle) in std::mem::take(&mut self.uppers) {
            let _ = self.perimeter.close(stream);
            drop(std::mem::take(&mut handle.desk().got));
        }
        for (stream, handle, _) in std::mem::take(&mut self.lowers) {
            let _ = self.perimeter.close(stream);
            drop(std::mem::take(&mut handle.desk().got));
        }
        self.run();
        assert!(self.perimeter.remove_mux(self.mux), "no stream is left at the multiplexor");
        let live = watch::live_cells(&mut self.perimeter);
        assert_eq!(live, self.cells_at_start, "cells out at the end, cells out at the start");
    }

    fn run(&mut self) {
        watch::nothing_dropped(&mut self.perimeter, |p| watch::settle(p, p.now()));
    }

    fn tell_upper(&mut self, upper: usize, order: &str, value: &str) {
        self.perimeter.set(self.uppers[upper].0, 0, order, value).expect("a neighbour obeys");
    }

    fn tell_lower(&mut self, lower: usize, order: &str, value: &str) {
        self.perimeter.set(self.lowers[lower].0, 0, order, value).expect("a neighbour obeys");
    }
}

impl Drop for RigMux {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}
