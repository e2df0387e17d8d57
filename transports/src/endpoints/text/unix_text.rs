//! The name of a UNIX socket as text.

use torsade_protocols::UnixName;

/// What [`UnixName`] is made from. A name that is not UTF-8 has no such text, and is in angle brackets, around nothing that a system
/// lets be a path.
pub(super) fn unix_text(name: &UnixName) -> String {
    let text = match name {
        UnixName::Path(path) => path.to_str().map(str::to_owned),
        UnixName::Abstract(name) => std::str::from_utf8(name).ok().map(|name| format!("\0{name}")),
    };
    text.unwrap_or_else(|| format!("<{name}>"))
}
