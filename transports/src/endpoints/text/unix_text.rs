//! The name of a UNIX socket as text.

use torsade_protocols::UnixName;

/// Parses a path, or after an `@` an abstract name, as in systemd, socat and Go. Twisted writes a zero byte instead, which a
/// program cannot get as an argument.
pub(super) fn unix_name(text: &str) -> UnixName {
    match text.strip_prefix('@') {
        Some(name) => UnixName::Abstract(name.into()),
        None => text.into(),
    }
}

/// Writes the name. A name that is not UTF-8 has no text: it is written in angle brackets, in a form that cannot be a path.
pub(super) fn unix_text(name: &UnixName) -> String {
    let text = match name {
        UnixName::Path(path) => {
            path.to_str().map(|path| if path.starts_with('@') { format!("./{path}") } else { path.to_owned() })
        }
        UnixName::Abstract(name) => std::str::from_utf8(name).ok().map(|name| format!("@{name}")),
    };
    text.unwrap_or_else(|| format!("<{name}>"))
}
