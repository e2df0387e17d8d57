//! Bytes that many connections send without a copy each.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// Bytes that do not change, for [`Transport::write_shared`](crate::Transport::write_shared): a clone is cheap, and refers to the
/// same ones.
///
/// They are those of whatever owns them, a `Vec<u8>`, a `&'static str`, an `Arc<[u8]>`, a `bytes::Bytes`, a mapped file: nothing is
/// copied when it is made or sent. The owner is dropped, on the reactor's thread and never inside a method of a transport, once
/// everyone has sent it and nobody else has a clone.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use torsade::SharedBytes;
///
/// let page = SharedBytes::from(b"<p>hello</p>".to_vec());
/// assert_eq!(page.len(), 12);
/// let elsewhere: Arc<[u8]> = Arc::from(&b"of another thread"[..]);
/// assert!(SharedBytes::new(elsewhere).starts_with(b"of"));
/// ```
#[derive(Clone)]
pub struct SharedBytes(Rc<dyn AsRef<[u8]>>);

impl SharedBytes {
    /// Shares the bytes that `owner` gives, which have to be the same every time it is asked. That is in the midst of sending, where
    /// it may neither panic nor use a transport.
    #[must_use]
    pub fn new(owner: impl AsRef<[u8]> + 'static) -> Self {
        Self(Rc::new(owner))
    }

    /// For those who implement a [`Connection`](crate::spi::Connection): whether dropping this drops the owner, which may use a
    /// transport in that.
    #[must_use]
    pub fn is_last(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBytes").field("len", &self.len()).finish_non_exhaustive()
    }
}
