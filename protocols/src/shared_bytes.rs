//! Bytes that many connections send without a copy each.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// Forms of the same bytes that are kept at most: that many ways of compressing are seldom used at once.
const FORMS: usize = 8;

/// Bytes that do not change, for [`Transport::write_shared`](crate::Transport::write_shared): a clone is cheap, and refers to the
/// same ones.
///
/// They are those of whatever owns them, a `Vec<u8>`, a `&'static str`, an `Arc<[u8]>`, a `bytes::Bytes`, a mapped file: nothing is
/// copied when it is made or sent. The owner is dropped, on the reactor's thread and never inside a method of a transport, once
/// everyone has sent it and nobody else has a clone.
///
/// Where connections are compressed each compresses them again, unless they are [`compressed_once`](Self::compressed_once).
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

    /// What was made of them, where that is to be kept.
    fn forms(&self) -> Option<&Forms> {
        None
    }
}

type Forms = RefCell<Vec<Rc<dyn Any>>>;

struct Owned<T>(T);

/// Bytes, and what was made of them.
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
    /// Shares the bytes that `owner` gives, which have to be the same every time it is asked. That is in the midst of sending, where
    /// it may neither panic nor use a transport.
    #[must_use]
    pub fn new(owner: impl AsRef<[u8]> + 'static) -> Self {
        Self(Rc::new(Owned(owner)))
    }

    /// Has connections that compress alike compress these bytes once for all of them: for one message to many members of a room.
    ///
    /// The first that sends them compresses them by themselves, and all others put the result into their streams, each of which
    /// stays one valid stream for every reader. Alike are those of one level in deflate, raw deflate and gzip; those of lz4;
    /// those of one level and dictionary in zstd. What is made is kept beside the bytes, for eight such ways at most, until the
    /// last clone is gone; whoever compresses in a ninth does it for itself.
    ///
    /// It trades bytes for time: since the result has to fit into any stream, it refers to nothing that was sent before, and
    /// small messages become up to twice as long as in a stream of their own. The manual's chapter on compression has the figures.
    /// What is written before and after by other ways is compressed as always, and may refer to these bytes; in zstd it may not.
    ///
    /// The peer can read such a message, and all before it, at once, whatever the [`Flush`](crate::Flush) of its connection. In zstd it is a frame
    /// of its own, as after a [`compression_barrier`](crate::Transport::compression_barrier), so the reader has to take several: ours does
    /// by default, and does not where it expects plain bytes after the end. Connections that do not compress, or at level 0, send the
    /// bytes as if this had not been called.
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

    /// For those who implement a [`Connection`](crate::spi::Connection): whether dropping this drops the owner, which may use a
    /// transport in that.
    #[must_use]
    pub fn is_last(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// For those who implement a [`Connection`](crate::spi::Connection): whether what is made of the bytes is to be
    /// [kept](Self::form) for others.
    #[must_use]
    pub fn keeps_forms(&self) -> bool {
        self.0.forms().is_some()
    }

    /// For those who implement a [`Connection`](crate::spi::Connection): the form of the bytes that `fits`, and whether it was
    /// made just now, which is done once for all who ask for the same.
    ///
    /// None if it is [not to be kept](Self::keeps_forms), or would be the ninth.
    ///
    /// # Errors
    /// That of `make`; nothing is kept then.
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
