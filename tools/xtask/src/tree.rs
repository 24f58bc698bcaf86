//! tree: what programs in C are compiled against and linked with, below a folder.

use std::path::Path;
use std::{fs, io};

/// Puts the library, its headers and the file of pkg-config below a folder, which should be a whole
/// path: programs are told of it.
pub(crate) fn plant(prefix: &Path, library: &Path, root: &Path) -> io::Result<()> {
    let abi = root.join("stack/shim/abi");
    let (lib, include) = (prefix.join("lib"), prefix.join("include/millstream"));
    for folder in [&lib.join("pkgconfig"), &include] {
        fs::create_dir_all(folder)?;
    }
    // Beside it, then in its place: programs that run have the one before.
    let (fresh, kept) = (lib.join(".libmillstream.so.0"), lib.join("libmillstream.so.0"));
    fs::copy(library, &fresh)?;
    fs::rename(&fresh, &kept)?;
    let link = lib.join("libmillstream.so");
    match fs::remove_file(&link) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::os::unix::fs::symlink("libmillstream.so.0", link)?;
    for header in ["stropts.h", "millstream.h"] {
        fs::copy(abi.join("include").join(header), include.join(header))?;
    }
    let text = fs::read_to_string(abi.join("millstream.pc.in"))?;
    let text = text.replace("@prefix@", &prefix.display().to_string());
    let text = text.replace("@version@", env!("CARGO_PKG_VERSION"));
    fs::write(lib.join("pkgconfig/millstream.pc"), text)
}
