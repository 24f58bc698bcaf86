//! trace: a line of text for each frame that a device has read or taken.

use super::one_by_one;
use millstream_core::{Caps, Device, Errno, Formats};
use millstream_modules::decode::{HEADERS_MAX, Line};
use millstream_msg::{Msg, MsgList, Pool};
use std::time::Instant;

/// A device whose frames are told.
///
/// A line has the seconds since the start, the device's name, `up` or `down`, the length in bytes,
/// and the decoded headers. It is made in the thread that runs the stack: for looking, not for
/// measuring. Frames go out one by one, not merged.
pub struct Trace<D> {
    device: D,
    name: String,
    tell: Box<dyn FnMut(&str) + Send>,
    start: Instant,
}

impl<D: Device> Trace<D> {
    /// Tells of the frames of `device` by calling `tell` with a line, without its end.
    pub fn new(device: D, name: &str, tell: impl FnMut(&str) + Send + 'static) -> Self {
        Self { device, name: name.to_owned(), tell: Box::new(tell), start: Instant::now() }
    }
}

impl<D: Device> Device for Trace<D> {
    fn caps(&self) -> Caps {
        self.device.caps()
    }

    fn formats(&self) -> Formats {
        self.device.formats()
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let before = out.len();
        let outcome = self.device.recv(pool, out, budget);
        let now = self.start.elapsed().as_secs_f64();
        for frame in out.iter().skip(before) {
            (self.tell)(&line(now, &self.name, "up", frame));
        }
        outcome
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        let now = self.start.elapsed().as_secs_f64();
        let (name, tell) = (&self.name, &mut self.tell);
        let look = |frame: &Msg| line(now, name, "down", frame);
        one_by_one(&mut self.device, batch, look, |line| tell(&line))
    }

    fn take_dropped(&mut self) -> u64 {
        self.device.take_dropped()
    }
}

impl<D: std::fmt::Debug> std::fmt::Debug for Trace<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("device", &self.device).field("name", &self.name).finish()
    }
}

fn line(now: f64, name: &str, way: &str, frame: &Msg) -> String {
    let mut headers = [0; HEADERS_MAX];
    let copied = frame.copy_out(0, &mut headers);
    let decoded = Line(&headers[..copied]);
    let mut line = format!("{now:>10.6} {name} {way:<4} {:>5} {decoded}", frame.len());
    let offload = frame.offload();
    if offload.is_super() {
        line += &format!(" in {} packets", offload.packets(frame.len()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loopback;
    use millstream_msg::PoolConfig;
    use std::sync::mpsc;

    #[test]
    fn each_frame_is_told_on_its_way_down_and_up() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let (tell, told) = mpsc::channel();
        let end = loopback(1500, [2, 0, 0, 0, 0, 1]);
        let mut device = Trace::new(end, "lo0", move |line| tell.send(line.to_owned()).unwrap());
        let mut frame = vec![2; 60];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        let mut batch: MsgList = [pool.copy_from(0, &frame).unwrap()].into_iter().collect();
        device.send(&mut batch).unwrap();
        let mut out = MsgList::new();
        assert_eq!(device.recv(&mut pool, &mut out, 8), Ok(1));
        assert_eq!(device.recv(&mut pool, &mut out, 8), Ok(0));
        drop(device);
        let lines: Vec<String> = told.iter().collect();
        let stations = "02:02:02:02:02:02 > 02:02:02:02:02:02 type 0x88b5";
        let ends = [format!("lo0 down    60 {stations}"), format!("lo0 up      60 {stations}")];
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().zip(&ends).all(|(line, end)| line.ends_with(end)), "{lines:?}");
    }
}
