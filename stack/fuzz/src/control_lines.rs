//! Lines of the control socket: any bytes are a request or a sentence that says why not.

use millstream_host::ctl::Request;

/// Bytes: the line.
pub fn run(data: &[u8]) {
    match Request::parse(data) {
        Ok(request) => {
            let line = serde_json::to_vec(&request).unwrap();
            assert_eq!(Request::parse(&line).as_ref(), Ok(&request));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
