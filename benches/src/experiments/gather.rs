//! Scatter and gather against copying, at each boundary of a stack: what it saves, and from which
//! size on.

use crate::Trouble;
use crate::lab::on_core;
use crate::report::{Options, Point, Report, Side};
use bytes::Bytes;
use millstream_msg::{Msg, Pool, PoolConfig};
use rustix::fs::{MemfdFlags, memfd_create};
use std::hint::black_box;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::time::Instant;

const ABOUT: &str = "a message at each boundary of a stack, passed as blocks and copied into one: \
    nanoseconds per message over its size";

const FIGURES: &[(&str, &str)] = &[("message", "ns")];
const BYTES: [usize; 5] = [64, 256, 1460, 9000, 65_000];

static DATA: [u8; 65_000] = [b'x'; 65_000];

/// Headers of Ethernet, IPv4 and TCP.
const HEADER: [u8; 54] = [7; 54];

/// What is done to a message of so many bytes.
type Work = fn(&mut Bench, usize) -> Result<(), Trouble>;

/// Boundary, how, and the work. The two of a boundary follow one another.
const LINES: [(&str, &str, Work); 8] = [
    ("from the application into the stack", "lent", lend),
    ("from the application into the stack", "copied", copy_in),
    ("a header in front of data that others hold too", "a block in front", header_in_front),
    ("a header in front of data that others hold too", "copied behind it", header_copied),
    ("from the stack into a file of the kernel", "gathered by writev", write_gathered),
    ("from the stack into a file of the kernel", "copied, then write", write_copied),
    ("from the stack to the application", "the message itself", hand_over),
    ("from the stack to the application", "copied into its buffer", copy_out),
];

/// Where the work is done.
struct Bench {
    pool: Pool,
    file: OwnedFd,
    buffer: Vec<u8>,
    data: Msg,
}

/// Runs the experiment.
///
/// # Errors
/// Without a file in memory.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::in_memory("gather", ABOUT, options);
    let seconds = options.seconds / 5.0;
    let mut sides = Vec::new();
    for (boundary, how, work) in LINES {
        for bytes in BYTES {
            let sample = move || on_core(Some(1), || measure(work, bytes, seconds));
            let name = name(boundary, how, bytes);
            sides.push(Side { name, figures: FIGURES, sample: Box::new(sample) });
        }
    }
    report.measure(options, &sides);
    for (boundary, how, _) in LINES {
        let points = BYTES.map(|bytes| Point { x: bytes as f64, side: name(boundary, how, bytes) });
        report.curve(boundary, how, "message", "bytes of a message", points.into());
    }
    for pair in LINES.chunks_exact(2) {
        let largest = BYTES[BYTES.len() - 1];
        let of = |line: &(&str, &str, Work)| name(line.0, line.1, largest);
        report.ratio("message", &of(&pair[1]), &of(&pair[0]), None);
    }
    report.note("the data stay in the cache; a file in memory takes the bytes as a TAP does");
    Ok(report)
}

fn name(boundary: &str, how: &str, bytes: usize) -> String {
    format!("{boundary}, {how}: {bytes} bytes")
}

fn measure(work: Work, bytes: usize, seconds: f64) -> Result<Vec<f64>, Trouble> {
    const MESSAGES: usize = 50;
    let mut pool = Pool::new(PoolConfig::TINY);
    let data = Bytes::from_static(&DATA[..bytes]);
    let data = pool.wrap_bytes(data).map_err(|why| why.to_string())?;
    let file = memfd_create("gather", MemfdFlags::CLOEXEC)?;
    let mut bench = Bench { pool, file, buffer: vec![0; 1 << 17], data };
    let mut stretches = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || stretches.len() < 3 {
        let began = Instant::now();
        for _ in 0..MESSAGES {
            work(&mut bench, bytes)?;
        }
        stretches.push(began.elapsed().as_nanos() as f64 / MESSAGES as f64);
    }
    bench.pool.free(bench.data);
    stretches.sort_by(f64::total_cmp);
    Ok(vec![stretches[stretches.len() / 2]])
}

fn lend(bench: &mut Bench, bytes: usize) -> Result<(), Trouble> {
    let msg = bench.pool.wrap_bytes(Bytes::from_static(&DATA[..bytes]));
    bench.pool.free(black_box(msg.map_err(|why| why.to_string())?));
    bench.pool.run_deferred();
    Ok(())
}

fn copy_in(bench: &mut Bench, bytes: usize) -> Result<(), Trouble> {
    let msg = bench.pool.copy_from(HEADER.len(), &DATA[..bytes]);
    bench.pool.free(black_box(msg.map_err(|why| why.to_string())?));
    Ok(())
}

fn header_in_front(bench: &mut Bench, _: usize) -> Result<(), Trouble> {
    let Bench { pool, data, .. } = bench;
    let mut msg = data.dup(pool).map_err(|why| why.to_string())?;
    let room = msg.prepend(pool, HEADER.len()).map_err(|why| why.to_string())?;
    room.copy_from_slice(&HEADER);
    pool.free(black_box(msg));
    Ok(())
}

fn header_copied(bench: &mut Bench, _: usize) -> Result<(), Trouble> {
    let Bench { pool, data, .. } = bench;
    let mut msg = pool.copy_from(0, &HEADER).map_err(|why| why.to_string())?;
    let copied = data.copy(pool).map_err(|why| why.to_string())?;
    msg.link(copied);
    pool.free(black_box(msg));
    Ok(())
}

fn write_gathered(bench: &mut Bench, _: usize) -> Result<(), Trouble> {
    let data = bench.data.first();
    rustix::io::pwritev(&bench.file, &[IoSlice::new(&HEADER), IoSlice::new(data)], 0)?;
    Ok(())
}

fn write_copied(bench: &mut Bench, bytes: usize) -> Result<(), Trouble> {
    let Bench { file, buffer, data, .. } = bench;
    buffer[..HEADER.len()].copy_from_slice(&HEADER);
    data.copy_out(0, &mut buffer[HEADER.len()..HEADER.len() + bytes]);
    rustix::io::pwrite(&*file, &buffer[..HEADER.len() + bytes], 0)?;
    Ok(())
}

fn hand_over(bench: &mut Bench, _: usize) -> Result<(), Trouble> {
    let Bench { pool, data, .. } = bench;
    let msg = data.dup(pool).map_err(|why| why.to_string())?;
    pool.free(black_box(msg));
    Ok(())
}

fn copy_out(bench: &mut Bench, bytes: usize) -> Result<(), Trouble> {
    let Bench { pool, data, buffer, .. } = bench;
    let msg = data.dup(pool).map_err(|why| why.to_string())?;
    msg.copy_out(0, black_box(&mut buffer[..bytes]));
    pool.free(msg);
    Ok(())
}
