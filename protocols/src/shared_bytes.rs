//! Bytes that many connections can send without copying.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// The most forms kept of the same bytes: more ways of compressing are seldom in use at once.
const FORMS: usize = 8;

/// Immutable bytes for [`Transport::write_shared`](crate::Transport::write_shared); a clone is cheap and shares them.
///
/// They can belong to any owner: a `Vec<u8>`, a `&'static str`, an `Arc<[u8]>`, a `bytes::Bytes`, a mapped file. Nothing is
/// copied when they are made or sent. The owner is dropped once every connection has sent them and no clone is left, on the
/// reactor's thread and never inside a method of a transport.
///
/// Connections with compression each compress them, unless they are [`compressed_once`](Self::compressed_once).
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
pub struct SharedBytes(Rc<dyn Shared>);

trait Shared {
    fn bytes(&self) -> &[u8];

    /// Compressed forms, if they are to be kept.
    fn forms(&self) -> Option<&Forms> {
        None
    }
}

type Forms = RefCell<Vec<Rc<dyn Any>>>;

struct Owned<T>(T);

/// Bytes and their compressed forms.
struct WithForms {
    bytes: SharedBytes,
    forms: Forms,
}

impl<T: AsRef<[u8]>> Shared for Owned<T> {
    fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl Shared for WithForms {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn forms(&self) -> Option<&Forms> {
        Some(&self.forms)
    }
}

impl SharedBytes {
    /// Shares the bytes of `owner`, which must return the same bytes every time. It is asked while sending, and must then neither
    /// panic nor use a transport.
    #[must_use]
    pub fn new(owner: impl AsRef<[u8]> + 'static) -> Self {
        Self(Rc::new(Owned(owner)))
    }

    /// Compresses these bytes only once for all connections that compress alike: for one message to many members of a room.
    ///
    /// The first connection that sends them compresses them on their own. The others insert the result into their streams, each
    /// of which stays a valid stream for every reader. Connections compress alike if they use the same level of deflate, raw
    /// deflate and gzip; lz4; or the same level and dictionary of zstd. Results are kept beside the bytes until the last clone is
    /// gone, for up to eight ways of compressing; a connection that uses a ninth compresses for itself.
    ///
    /// This trades bytes for time. The result has to fit into any stream, so it cannot refer to anything sent before, and small
    /// messages become up to twice as long as in a stream of their own; see the figures in the manual's chapter on compression.
    /// What is written before and after in other ways is compressed as usual and may refer to these bytes; in zstd it may not.
    ///
    /// The peer can read such a message, and all before it, at once, whatever the [`Flush`](crate::Flush) of its connection. In
    /// zstd it is a frame of its own, as after a [`compression_barrier`](crate::Transport::compression_barrier), so the reader
    /// has to accept several frames: ours does by default, but not where it expects plain bytes after the end. Connections
    /// without compression, or at level 0, send the bytes as if this had not been called.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// fn tell(room: &[Transport], text: &str) {
    ///     let message = SharedBytes::from(text.as_bytes().to_vec()).compressed_once();
    ///     room.iter().for_each(|member| member.write_shared(&message));
    /// }
    /// ```
    #[must_use]
    pub fn compressed_once(self) -> Self {
        if self.keeps_forms() { self } else { Self(Rc::new(WithForms { bytes: self, forms: Forms::default() })) }
    }

    /// For implementations of [`Connection`](crate::spi::Connection): returns whether dropping this drops the owner, which may
    /// then use a transport.
    #[must_use]
    pub fn is_last(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// For implementations of [`Connection`](crate::spi::Connection): returns whether compressed forms of the bytes are to be
    /// [kept](Self::form) for other connections.
    #[must_use]
    pub fn keeps_forms(&self) -> bool {
        self.0.forms().is_some()
    }

    /// For implementations of [`Connection`](crate::spi::Connection): the form of the bytes that `fits`, and whether this call
    /// made it. A form is made once for all who ask for the same.
    ///
    /// `None` if forms are [not kept](Self::keeps_forms), or if it would be the ninth.
    ///
    /// # Errors
    /// The error of `make`; then nothing is kept.
    pub fn form<T: 'static, E>(
        &self,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Option<(Rc<T>, bool)>, E> {
        let Some(forms) = self.0.forms() else { return Ok(None) };
        let known = forms.borrow().iter().filter_map(|form| Rc::clone(form).downcast::<T>().ok()).find(|form| fits(form));
        if let Some(form) = known {
            return Ok(Some((form, false)));
        }
        if forms.borrow().len() >= FORMS {
            return Ok(None);
        }
        let form = Rc::new(make()?);
        forms.borrow_mut().push(Rc::<T>::clone(&form));
        Ok(Some((form, true)))
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
        self.0.bytes()
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn form(bytes: &SharedBytes, wanted: u32) -> Option<bool> {
        let form = bytes.form(|form: &u32| *form == wanted, || Ok::<_, Infallible>(wanted)).unwrap();
        form.map(|(form, made)| {
            assert_eq!(*form, wanted);
            made
        })
    }

    #[test]
    fn a_form_is_made_once_and_eight_are_kept() {
        let bytes = SharedBytes::new("hello").compressed_once();
        assert_eq!(&*bytes, b"hello");
        for number in 0..8 {
            assert_eq!(form(&bytes, number), Some(true));
            assert_eq!(form(&bytes.clone().compressed_once(), number), Some(false), "clones share them");
        }
        assert_eq!((form(&bytes, 8), form(&bytes, 7)), (None, Some(false)));
        assert_eq!(form(&SharedBytes::new("hello"), 0), None, "nobody asked for it");
    }

    #[test]
    fn a_form_that_could_not_be_made_is_tried_again() {
        let bytes = SharedBytes::new("hello").compressed_once();
        assert!(bytes.form(|_: &u32| true, || Err::<u32, _>("no memory")).is_err());
        assert_eq!(form(&bytes, 1), Some(true));
    }
}
