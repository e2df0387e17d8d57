//! The file of a UNIX socket, and the lock that keeps two programs from using one path.
//!
//! The system leaves the file behind when a program ends, where it blocks the next one. Whether it may be removed is decided by a
//! lock on `PATH.lock`, flock(2), which does end with the program. Closing the socket removes the file and the lock file.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{self, Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket};

use crate::backend::ListenOptions;

/// How often a lock file is reopened because it was removed before it was locked.
const ATTEMPTS: usize = 100;

/// The file of a bound socket; dropping it removes it.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    _lock: Option<Lock>,
    process: u32,
}

impl SocketFile {
    /// Binds `socket` to `path`, its `address`. Nobody can connect before it listens.
    pub(super) fn bind(socket: &Socket, path: &Path, address: &SockAddr, options: ListenOptions) -> io::Result<Self> {
        let lock = if options.lock { Some(Lock::take(path)?) } else { None };
        if lock.is_some() {
            remove_stale(socket, path, address)?;
        }
        socket.bind(address).map_err(explain_bind)?;
        let file = Self {
            identity: identity(&fs::symlink_metadata(path)?),
            // Absolute, because the working directory may change.
            path: path::absolute(path)?,
            _lock: lock,
            process: std::process::id(),
        };
        fs::set_permissions(path, Permissions::from_mode(options.mode & 0o777))?;
        Ok(file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // It belongs to the other process, which continues to use it.
            return;
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            remove(&self.path);
        }
    }
}

/// A lock on a path; released when dropped.
struct Lock {
    path: PathBuf,
    _file: File,
    process: u32,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if std::process::id() == self.process {
            remove(&self.path);
        }
    }
}

impl Lock {
    /// Locks the path of a socket.
    fn take(socket: &Path) -> io::Result<Self> {
        let mut name = OsString::from(path::absolute(socket)?);
        name.push(".lock");
        let path = PathBuf::from(name);
        let explain = |error: io::Error| {
            let error = explain_bind(error);
            io::Error::new(error.kind(), format!("its lock {}: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        let no_links = OFlags::NOFOLLOW.bits() as i32;
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(no_links);
        for _ in 0..ATTEMPTS {
            let file = match options.open(&path) {
                Ok(file) => file,
                Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                    return Err(in_use(format_args!(
                        "its lock {} is a symbolic link, as Twisted makes them; remove it if no program listens there",
                        path.display()
                    )));
                }
                Err(error) => return Err(explain(error)),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(in_use(format_args!(
                        "another program has locked {}; stop it, or choose another path",
                        path.display()
                    )));
                }
                Err(error) => return Err(explain(error.into())),
            }
            // Its previous owner may have removed the file just before we locked it: then others lock a new file.
            if fs::symlink_metadata(&path).is_ok_and(|found| file.metadata().is_ok_and(|own| identity(&own) == identity(&found)))
            {
                return Ok(Self { path, _file: file, process: std::process::id() });
            }
        }
        Err(in_use(format_args!("other programs keep locking and unlocking {}", path.display())))
    }
}

/// Removes a socket file that no program listens on. We hold the lock of its path.
fn remove_stale(socket: &Socket, path: &Path, address: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(in_use(format_args!("there is a file that is not a socket; remove it, or choose another path"))),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // The file may be of a program that does not use locks.
    let probe = Socket::new(Domain::UNIX, socket.r#type()?, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            log::info!("removing the socket file {}, which its program left behind", path.display());
            fs::remove_file(path)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => Err(in_use(format_args!("another program listens there, without a lock; stop it, or choose another path"))),
    }
}

fn in_use(text: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, text.to_string())
}

/// Explains an error of bind(2).
fn explain_bind(error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "a file is already there: remove it if no program listens there, or listen with a lock",
        ErrorKind::NotFound => "the directory does not exist",
        ErrorKind::PermissionDenied => "its directory may not be written to",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {remedy}"))
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        log::warn!("{} was left behind: {error}", path.display());
    }
}
