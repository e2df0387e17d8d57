//! The name of a UNIX socket as text.

use torsade_protocols::UnixName;

/// What a text names: a path, or behind an `@` an abstract name, as for systemd, socat and Go. A zero byte in its place, as in Twisted,
/// cannot be given to a program as an argument.
pub(super) fn unix_name(text: &str) -> UnixName {
    match text.strip_prefix('@') {
        Some(name) => UnixName::Abstract(name.into()),
        None => text.into(),
    }
}

/// Text that names it. For a name that is not UTF-8 there is none; it is in angle brackets, around nothing that a system lets be a path.
pub(super) fn unix_text(name: &UnixName) -> String {
    let text = match name {
        UnixName::Path(path) => {
            path.to_str().map(|path| if path.starts_with('@') { format!("./{path}") } else { path.to_owned() })
        }
        UnixName::Abstract(name) => std::str::from_utf8(name).ok().map(|name| format!("@{name}")),
    };
    text.unwrap_or_else(|| format!("<{name}>"))
}
