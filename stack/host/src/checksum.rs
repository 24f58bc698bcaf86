//! checksum: the fastest routine of this processor, picked once.
#![allow(unsafe_code)]

use millstream_msg::checksum::{Sum, sum_portable};

/// The routine to give to a pool.
pub(crate) fn fastest() -> Sum {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which was just asked.
        return |bytes| unsafe { millstream_msg::checksum::sum_avx2(bytes) };
    }
    sum_portable
}
