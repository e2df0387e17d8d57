//! Descriptors passed with the bytes of a UNIX socket: `SCM_RIGHTS` of unix(7).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, send, sendmsg,
};

use crate::backend::Descriptor;

/// The most descriptors in one message: `SCM_MAX_FD` of Linux.
const MOST: usize = 253;

/// Makes a lost peer an error even in a program that has restored the default action of SIGPIPE.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Sends several pieces in one call.
pub(super) fn send_pieces(socket: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), NO_SIGNAL)?)
}

/// The state of passing descriptors. A message with descriptors ends a read even if more bytes are there, so the flags of every
/// read are checked.
#[derive(Default)]
pub(super) struct Passing {
    limit: Cell<usize>,
    /// Descriptors waiting for bytes to be sent with.
    unsent: RefCell<Vec<Descriptor>>,
    received: RefCell<VecDeque<Descriptor>>,
    cut_short: Cell<bool>,
    /// Whether it was reported that descriptors arrive that nothing accepts.
    reported: Cell<bool>,
}

impl Passing {
    pub(super) fn queue(&self, descriptor: Descriptor) -> io::Result<()> {
        let mut unsent = self.unsent.borrow_mut();
        if unsent.len() == MOST {
            let text = format!("{MOST} descriptors already wait for bytes to be sent: write something");
            return Err(io::Error::new(ErrorKind::QuotaExceeded, text));
        }
        unsent.push(descriptor);
        Ok(())
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit.min(MOST));
    }

    pub(super) fn take(&self) -> Option<Descriptor> {
        self.received.borrow_mut().pop_front()
    }

    pub(super) const fn was_cut_short(&self) -> bool {
        self.cut_short.get()
    }

    /// Returns whether descriptors are waiting for bytes to be sent with.
    #[cfg(target_os = "linux")]
    pub(super) fn holds_any(&self) -> bool {
        !self.unsent.borrow().is_empty()
    }

    /// Writes bytes, and with the first of them the waiting descriptors.
    pub(super) fn write(&self, socket: impl AsFd, data: &[u8]) -> io::Result<usize> {
        if self.unsent.borrow().is_empty() {
            return Ok(send(socket, data, NO_SIGNAL)?);
        }
        self.write_vectored(socket, &[IoSlice::new(data)])
    }

    /// As [`write`](Self::write), for several pieces.
    pub(super) fn write_vectored(&self, socket: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() || pieces.iter().all(|piece| piece.is_empty()) {
            return send_pieces(socket, pieces);
        }
        let borrowed: Vec<_> = unsent.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        // There is space for as many as can wait.
        control.push(SendAncillaryMessage::ScmRights(&borrowed));
        let written = sendmsg(socket, pieces, &mut control, NO_SIGNAL)?;
        drop(borrowed);
        unsent.clear();
        Ok(written)
    }

    pub(super) fn read(&self, socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.limit.get();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let room = if limit == 0 { 0 } else { rustix::cmsg_space!(ScmRights(limit)) };
        let mut control = RecvAncillaryBuffer::new(space.get_mut(..room).unwrap_or_default());
        #[cfg(not(target_vendor = "apple"))]
        let flags = RecvFlags::CMSG_CLOEXEC;
        #[cfg(target_vendor = "apple")]
        let flags = RecvFlags::empty();
        let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
        let cut_off = message.flags.contains(ReturnFlags::CTRUNC);
        self.cut_short.set(cut_off);
        if limit > 0 {
            self.receive(&mut control, limit, cut_off)?;
        } else if cut_off && !self.reported.replace(true) {
            log::warn!("a peer passes descriptors, which are closed: call set_descriptor_limit to accept them");
        }
        Ok(message.bytes)
    }

    fn receive(&self, control: &mut RecvAncillaryBuffer<'_>, limit: usize, cut_off: bool) -> io::Result<()> {
        let mut received = self.received.borrow_mut();
        let before = received.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                received.extend(descriptors);
            }
        }
        let came = received.len() - before;
        if cut_off || came > limit {
            received.truncate(before);
            let text = format!("the peer passes more descriptors at once than {limit}, or than this process may still open");
            return Err(io::Error::new(ErrorKind::QuotaExceeded, text));
        }
        #[cfg(target_vendor = "apple")]
        for descriptor in received.range(before..) {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
        if came > 0 {
            self.cut_short.set(true);
        }
        Ok(())
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let unsent = self.unsent.get_mut().len();
        if unsent > 0 {
            log::warn!("{unsent} descriptors were not sent: no bytes were written that could carry them");
        }
    }
}
