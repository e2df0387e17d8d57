//! What one thread logs: tests run beside each other, and the logger is the program's.

use std::cell::RefCell;
use std::sync::Once;

use log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

struct ThreadLog;

impl Log for ThreadLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Debug
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.args().to_string());
            // What a thread logs at its very end, when its own values are dropped, nobody will look at.
            LINES.try_with(|lines| lines.borrow_mut().push(line)).ok();
        }
    }

    fn flush(&self) {}
}

/// Forgets what this thread has logged before.
pub fn watch() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        log::set_logger(&ThreadLog).expect("there is no other logger in this program");
        log::set_max_level(LevelFilter::Debug);
    });
    LINES.take();
}

/// What this thread logs while `run` runs, at this level or above.
pub fn logged(least: Level, run: impl FnOnce()) -> Vec<(Level, String)> {
    watch();
    run();
    LINES.take().into_iter().filter(|(level, _)| *level <= least).collect()
}

/// The warnings and errors since the last time.
pub fn warnings() -> Vec<String> {
    LINES.take().into_iter().filter(|(level, _)| *level <= Level::Warn).map(|(_, line)| line).collect()
}

/// How many of them have `text`; they stay.
pub fn warnings_with(text: &str) -> usize {
    LINES.with_borrow(|lines| lines.iter().filter(|(level, line)| *level <= Level::Warn && line.contains(text)).count())
}
