//! UNIX socket names in the system's format.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;

use socket2::SockAddr;

use crate::address::UnixName;

/// The longest name in bytes: `sun_path` of unix(7), which has 108 bytes on Linux and 104 elsewhere, without the zero byte.
const LONGEST: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// Converts a name. An abstract name gets a leading zero byte.
pub(super) fn to_system(name: &UnixName) -> io::Result<SockAddr> {
    let mut bytes = Vec::new();
    match name {
        UnixName::Path(path) => bytes.extend_from_slice(path.as_os_str().as_bytes()),
        UnixName::Abstract(_) if !cfg!(any(target_os = "linux", target_os = "android")) => {
            return Err(io::Error::new(ErrorKind::Unsupported, "only Linux has abstract names: use a path"));
        }
        UnixName::Abstract(name) => {
            bytes.push(0);
            bytes.extend_from_slice(name);
        }
    }
    if bytes.len() > LONGEST {
        let text = format!("the name has {} bytes, but at most {LONGEST} are allowed: choose a shorter one", bytes.len());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    if bytes.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the name is empty: give a path"));
    }
    SockAddr::unix(OsStr::from_bytes(&bytes))
}
