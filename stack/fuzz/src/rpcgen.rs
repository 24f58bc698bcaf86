//! The compiler of .x files, on any text: it writes Rust, or says where what is wrong.

use millstream_rpcgen::{Options, generate};

/// Bytes: a text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let options = Options { includes: Vec::new(), ..Options::default() };
    match generate("fuzz.x", &text, &options) {
        Ok(rust) => {
            let count = |sign| rust.matches(sign).count();
            // Comments and texts of the file may hold any sign.
            if !text.contains(['%', '"', '\'']) {
                assert_eq!(count('{'), count('}'), "{rust}");
            }
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            for error in &errors.0 {
                assert!(error.column >= 1 && !error.sentence.is_empty(), "{error}");
            }
        }
    }
}
