//! A report for programs that forget to call [`Reactor::run`].

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::{Core, Reactor, RunState};
use crate::report::report_error;

thread_local! {
    static REACTORS: Reactors = const { Reactors(RefCell::new(Vec::new())) };
}

/// The reactors of this thread, checked when it ends. A forgotten reactor still exists then, because its port holds it.
struct Reactors(RefCell<Vec<Weak<Core>>>);

impl Drop for Reactors {
    fn drop(&mut self) {
        self.0.take().iter().filter_map(Weak::upgrade).for_each(|core| report_if_never_run(&core));
    }
}

/// Reports when the thread ends if the reactor has not been run by then.
pub(super) fn watch(reactor: &Reactor) {
    // This fails only if a reactor is made while the thread ends.
    let noted = REACTORS.try_with(|reactors| {
        let mut reactors = reactors.0.borrow_mut();
        reactors.retain(|known| known.strong_count() > 0);
        reactors.push(Rc::downgrade(&reactor.0));
    });
    noted.ok();
}

fn report_if_never_run(core: &Core) {
    if core.started.get() || core.run_state.get() == RunState::Stopped {
        return;
    }
    if let Some((_, source)) = core.sources.borrow().all().first() {
        let what = source.describe();
        report_error("run", format_args!("{what} had no effect: its reactor was never run; call `run()`"));
    }
}
