//! build: the `.x` files of the programs become modules of Rust.

fn main() {
    for name in ["nfs3", "mount3", "rpcbind", "square"] {
        millstream_rpcgen::compile(format!("x/{name}.x"));
    }
}
