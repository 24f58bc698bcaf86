//! params: `key=value` on the command line become parameters of a module.

use millstream_host::ctl::Param;

/// Reads one.
///
/// # Errors
/// A sentence.
pub(crate) fn parse(text: &str) -> Result<Param, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(Param(key.to_owned(), value.to_owned())),
        _ => Err("write key=value, for example delay=50ms".to_owned()),
    }
}

/// Files are named as seen from here; the stack may run in another folder.
pub(crate) fn settle(params: &mut [Param]) {
    for Param(_, value) in params.iter_mut().filter(|Param(key, _)| key == "file") {
        if let Ok(path) = std::path::absolute(&*value)
            && let Some(path) = path.to_str()
        {
            *value = path.to_owned();
        }
    }
}
