//! What a pool may hold, and what it says about itself.

use crate::block::Class;
use crate::shared::BARE_CHUNK;

/// How many cells of each kind a pool may make. [`PoolConfig::bytes`] is the sum of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Cells of 256 bytes of data: headers, primitives, ACKs.
    pub small: usize,
    /// Cells of 1,920 bytes of data: one Ethernet frame each.
    pub frame: usize,
    /// Cells of 32 KiB of data: pieces of super-frames.
    pub large: usize,
    /// Windows into memory of other cells: dups, splits.
    pub bare: usize,
    /// Windows into memory of others.
    pub external: usize,
    /// Part of each kind, in 1/256, that only [`crate::Pool::alloc_reserve`] may take: ACK, RST,
    /// ARP and control go out when data is short of memory.
    pub reserve_256th: usize,
}

impl PoolConfig {
    /// For tests and small tools: 1.3 MiB.
    pub const TINY: Self =
        Self { small: 512, frame: 256, large: 16, bare: 1024, external: 64, reserve_256th: 16 };

    /// For a stack of a few interfaces: 127.3 MiB at most, taken as it is needed. The terms are
    /// what their owners can hold at once.
    ///
    /// | kind | cells | MiB | for |
    /// |---|---|---|---|
    /// | small | 65,536 of 384 B | 24.0 | the headers of each packet cut from what is below |
    /// | frame | 16,384 of 2 KiB | 32.0 | rings, and queues of packets of one frame |
    /// | large | 2,048 of 32.1 KiB | 64.3 | 1,000 super-frames in sockets and queues |
    /// | bare | 65,536 of 64 B | 4.1 | a window for each of the small ones |
    /// | external | 16,384 of 192 B | 3.0 | payload lent by applications |
    pub const STACK: Self = Self {
        small: 65_536,
        frame: 16_384,
        large: 2_048,
        bare: 65_536,
        external: 16_384,
        reserve_256th: 8,
    };

    /// Bytes of memory at most: the sum over the kinds.
    pub const fn bytes(&self) -> usize {
        let per_chunk = BARE_CHUNK / Class::Bare.stride() - 1;
        self.small * Class::Small.stride()
            + self.frame * Class::Frame.stride()
            + self.large * Class::Large.stride()
            + self.bare.div_ceil(per_chunk) * BARE_CHUNK
            + self.external * Class::External.stride()
    }
}

/// No cell of the needed kind is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMem;

impl core::fmt::Display for NoMem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the message pool is exhausted")
    }
}

impl core::error::Error for NoMem {}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Less than half of the cells are out.
    Low,
    /// Half or more: windows shrink, out-of-order data is pruned, sparse cells are compacted.
    Pressure,
    /// Only the reserve is left.
    Max,
}

/// Cells of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cells handed out and not yet seen back by the owner.
    pub out: usize,
    /// Cells that exist.
    pub made: usize,
    /// Cells that may exist.
    pub limit: usize,
}

/// Blocks that came and went. A message may join another or part in two; a block is made and freed
/// once, and belongs to one message at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Taken from the pool.
    pub made: u64,
    /// Freed by the owner.
    pub freed: u64,
    /// Of those, freed by [`Pool::free`](super::Pool::free): nobody said why.
    pub unsaid: u64,
    /// Dropped, here or on another thread, instead of freed; those cut off included.
    pub dropped: u64,
    /// Cut off from a message that was shortened.
    pub trimmed: u64,
}

/// What a pool holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Cells of 256 bytes.
    pub small: Counts,
    /// Cells of one frame.
    pub frame: Counts,
    /// Cells of 32 KiB.
    pub large: Counts,
    /// Bare windows.
    pub bare: Counts,
    /// Windows into memory of others.
    pub external: Counts,
    /// Bytes of payload copied (the copy counter).
    pub copied_bytes: u64,
    /// Bytes copied into smaller cells or behind others, to hold less memory; counted apart.
    pub compacted_bytes: u64,
    /// Bytes copied by pull-ups of headers, counted apart.
    pub pulled_bytes: u64,
    /// Bytes of memory that the pool has taken from the system.
    pub memory_bytes: usize,
    /// Allocations refused because a limit was reached.
    pub refused: u64,
}
