//! Starting child processes, with their descriptors.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};
use std::rc::Rc;

use rustix::io::ioctl_fionbio;

use super::Registry;
use super::child::OsChild;
use super::descriptor_stream::DescriptorStream;
use crate::backend::{ChildDescriptor, Command, Spawned, Stream};

type Streams = Vec<(u32, Box<dyn Stream>)>;

/// Starts the child. On failure nothing of it is left.
pub(super) fn spawn(command: &Command, registry: &Rc<Registry>) -> io::Result<Spawned> {
    let (child, streams) = match command.terminal {
        None => on_pipes(command, registry)?,
        Some(size) => on_terminal(command, size, registry)?,
    };
    Ok(Spawned { child: Box::new(OsChild::new(child, Rc::clone(registry))?), streams })
}

/// The command for the standard library, without descriptors.
fn prepare(command: &Command) -> process::Command {
    let mut prepared = process::Command::new(command.get_program());
    prepared.args(command.get_args());
    if command.environment.cleared {
        prepared.env_clear();
    }
    for (name, value) in &command.environment.changes {
        match value {
            Some(value) => prepared.env(name, value),
            None => prepared.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        prepared.current_dir(directory);
    }
    if let Some(group) = command.group {
        prepared.gid(group);
    }
    if let Some(user) = command.user {
        prepared.uid(user);
    }
    prepared
}

fn on_pipes(command: &Command, registry: &Rc<Registry>) -> io::Result<(process::Child, Streams)> {
    let mut prepared = prepare(command);
    let (mut theirs, ours) = open(&command.descriptors, registry)?;
    let stdio = |descriptor: Option<End>| match descriptor {
        None | Some(End::Null) => Stdio::null(),
        Some(End::Inherited) => Stdio::inherit(),
        Some(End::Owned(descriptor)) => Stdio::from(descriptor),
    };
    prepared.stdin(stdio(theirs.remove(&0))).stdout(stdio(theirs.remove(&1))).stderr(stdio(theirs.remove(&2)));
    let child = start(prepared, theirs)?;
    Ok((child, ours))
}

/// The source of a descriptor of the child.
enum End {
    Null,
    Inherited,
    Owned(OwnedFd),
}

impl End {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Null => Self::Null,
            Self::Inherited => Self::Inherited,
            Self::Owned(descriptor) => Self::Owned(descriptor.try_clone()?),
        })
    }
}

/// Opens the child's ends and ours.
fn open(descriptors: &BTreeMap<u32, ChildDescriptor>, registry: &Rc<Registry>) -> io::Result<(BTreeMap<u32, End>, Streams)> {
    let (mut theirs, mut ours) = (BTreeMap::new(), Streams::new());
    for (number, descriptor) in descriptors {
        let end = match descriptor {
            ChildDescriptor::PipeToChild => {
                let (reader, writer) = pipe()?;
                ours.push((*number, stream(None, Some(writer.into()), registry)?));
                End::Owned(reader.into())
            }
            ChildDescriptor::PipeFromChild => {
                let (reader, writer) = pipe()?;
                ours.push((*number, stream(Some(reader.into()), None, registry)?));
                End::Owned(writer.into())
            }
            ChildDescriptor::Inherited if *number <= 2 => End::Inherited,
            ChildDescriptor::Inherited => {
                return Err(invalid("only the descriptors 0, 1 and 2 can be inherited: give the others"));
            }
            ChildDescriptor::Null => End::Null,
            ChildDescriptor::Given(given) => End::Owned(given.try_clone()?),
            ChildDescriptor::SameAs(_) => continue,
        };
        theirs.insert(*number, end);
    }
    for (number, descriptor) in descriptors {
        if let ChildDescriptor::SameAs(other) = descriptor {
            let end = theirs.get(other).ok_or_else(|| invalid("a descriptor is to be the same as one that is not set"))?;
            let end = match end {
                // Inherited descriptors keep their number, so this one is duplicated.
                End::Inherited => End::Owned(inherited(*other)?),
                end => end.try_clone()?,
            };
            theirs.insert(*number, end);
        }
    }
    Ok((theirs, ours))
}

fn inherited(number: u32) -> io::Result<OwnedFd> {
    use rustix::io::fcntl_dupfd_cloexec as duplicate;
    use rustix::stdio::{stderr, stdin, stdout};

    Ok(match number {
        0 => duplicate(stdin(), 3)?,
        1 => duplicate(stdout(), 3)?,
        _ => duplicate(stderr(), 3)?,
    })
}

fn stream(input: Option<OwnedFd>, output: Option<OwnedFd>, registry: &Rc<Registry>) -> io::Result<Box<dyn Stream>> {
    for descriptor in input.iter().chain(&output) {
        ioctl_fionbio(descriptor, true)?;
    }
    Ok(Box::new(DescriptorStream::new(input, output, Rc::clone(registry))?))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(not(feature = "processes"))]
fn start(mut prepared: process::Command, _: BTreeMap<u32, End>) -> io::Result<process::Child> {
    prepared.spawn()
}

/// Starts the child with descriptors beyond the first three.
#[cfg(feature = "processes")]
fn start(mut prepared: process::Command, further: BTreeMap<u32, End>) -> io::Result<process::Child> {
    use command_fds::{CommandFdExt, FdMapping};

    if further.is_empty() {
        return prepared.spawn();
    }
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    let (mut mapped, mut occupied) = (Vec::new(), Vec::new());
    for (number, end) in further {
        let child_fd = i32::try_from(number).map_err(|_| invalid("there is no such descriptor"))?;
        let parent_fd = match end {
            End::Owned(descriptor) => descriptor,
            End::Null | End::Inherited => null.try_clone()?.into(),
        };
        mapped.push(FdMapping { parent_fd, child_fd });
        // The standard library's own pipe, which reports failures in the child, must not get this number.
        occupied.push(rustix::io::fcntl_dupfd_cloexec(&null, child_fd)?);
    }
    prepared.fd_mappings(mapped).map_err(|_| invalid("two descriptors have the same number"))?;
    let child = prepared.spawn();
    drop(occupied);
    child
}

#[cfg(not(feature = "processes"))]
fn on_terminal(_: &Command, _: (u16, u16), _: &Rc<Registry>) -> io::Result<(process::Child, Streams)> {
    Err(io::Error::new(ErrorKind::Unsupported, "terminals need the feature `processes`"))
}

/// Starts the child on a new terminal, whose other side we hold.
#[cfg(feature = "processes")]
fn on_terminal(command: &Command, size: (u16, u16), registry: &Rc<Registry>) -> io::Result<(process::Child, Streams)> {
    use pty_process::{Size, blocking};

    let (ours, theirs) = blocking::open().map_err(io::Error::other)?;
    ours.resize(Size::new(size.0, size.1)).map_err(io::Error::other)?;
    let input = OwnedFd::from(ours);
    let output = input.try_clone()?;
    let ours = stream(Some(input), Some(output), registry)?;
    let child = blocking::Command::from(prepare(command)).spawn(theirs).map_err(|error| match error {
        pty_process::Error::Io(error) => error,
        error => io::Error::other(error),
    })?;
    Ok((child, vec![(1, ours)]))
}
