//! Standard input and output.

use std::io;
use std::rc::Rc;

use rustix::io::{dup, ioctl_fionbio};
use rustix::stdio::{stdin, stdout};

use super::Registry;
use super::descriptor_stream::DescriptorStream;

/// Standard input and output as one stream.
pub(super) fn open(registry: Rc<Registry>) -> io::Result<DescriptorStream> {
    let (input, output) = (dup(stdin())?, dup(stdout())?);
    ioctl_fionbio(&input, true)?;
    ioctl_fionbio(&output, true)?;
    DescriptorStream::new(Some(input), Some(output), registry)
}
