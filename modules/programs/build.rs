//! build: the `.x` files of the programs become modules of Rust.

use millstream_rpcgen::compile_with;

fn main() {
    compile_with("x/nfs3.x", NFS);
    compile_with("x/mount3.x", &["MOUNTPROC3_DUMP", "MOUNTPROC3_EXPORT"]);
    compile_with("x/rpcbind.x", RPCBIND);
    compile_with("x/square.x", &["SQUAREPROC", "TOTALPROC", "ECHOPROC"]);
}

/// Those that change nothing (RFC 1813, 1.6). WRITE is not among them: one that comes again late
/// would undo what was written since.
const NFS: &[&str] = &[
    "NFSPROC3_GETATTR",
    "NFSPROC3_LOOKUP",
    "NFSPROC3_ACCESS",
    "NFSPROC3_READLINK",
    "NFSPROC3_READ",
    "NFSPROC3_READDIR",
    "NFSPROC3_READDIRPLUS",
    "NFSPROC3_FSSTAT",
    "NFSPROC3_FSINFO",
    "NFSPROC3_PATHCONF",
    "NFSPROC3_COMMIT",
];

/// Those that look.
const RPCBIND: &[&str] = &[
    "PMAPPROC_GETPORT",
    "PMAPPROC_DUMP",
    "RPCBPROC_GETADDR",
    "RPCBPROC_DUMP",
    "RPCBPROC_GETTIME",
    "RPCBPROC_UADDR2TADDR",
    "RPCBPROC_TADDR2UADDR",
    "RPCBPROC_GETVERSADDR",
    "RPCBPROC_GETADDRLIST",
    "RPCBPROC_GETSTAT",
];
