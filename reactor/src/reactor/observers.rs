//! Observers, which are told of callbacks before they are made.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::event_log::Event;
use crate::report::drop_quietly;

type Observer = Rc<dyn Fn(&Event)>;

/// The program's observer and a simulation's recorder.
#[derive(Default)]
pub(crate) struct Observers {
    /// Whether there is any; checked for every callback.
    set: Cell<bool>,
    observer: RefCell<Option<Observer>>,
    recorder: RefCell<Option<Observer>>,
}

impl Observers {
    pub(crate) const fn are_set(&self) -> bool {
        self.set.get()
    }

    pub(crate) fn set_observer(&self, observer: impl Fn(&Event) + 'static) {
        self.set.set(true);
        let before = self.observer.replace(Some(Rc::new(observer)));
        // Outside the borrow, because what is dropped may hold the reactor.
        drop(before);
    }

    pub(crate) fn set_recorder(&self, recorder: impl Fn(&Event) + 'static) {
        self.set.set(true);
        self.recorder.replace(Some(Rc::new(recorder)));
    }

    pub(crate) fn tell(&self, event: &Event) {
        for slot in [&self.recorder, &self.observer] {
            // Not borrowed during the call, because an observer may set another one.
            let observer = slot.borrow().clone();
            if let Some(observer) = observer {
                observer(event);
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.set.set(false);
        drop_quietly("an observer", self.observer.take());
        drop_quietly("an observer", self.recorder.take());
    }
}
