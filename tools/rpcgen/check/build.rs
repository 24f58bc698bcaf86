//! Compiles the .x files of the tests.

fn main() {
    for file in ["x/square.x", "x/types.x", "x/inline.x"] {
        millstream_rpcgen::compile(file);
    }
}
