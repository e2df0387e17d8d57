//! What one thread logs: tests run in parallel, and the logger is global.

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
            // Nobody looks at what a thread logs at its very end, while its thread-locals are dropped.
            LINES.try_with(|lines| lines.borrow_mut().push(line)).ok();
        }
    }

    fn flush(&self) {}
}

/// Discards what this thread has logged so far.
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

/// The warnings and errors since the last call.
pub fn warnings() -> Vec<String> {
    LINES.take().into_iter().filter(|(level, _)| *level <= Level::Warn).map(|(_, line)| line).collect()
}

/// How many of them contain `text`; they stay.
pub fn warnings_with(text: &str) -> usize {
    LINES.with_borrow(|lines| lines.iter().filter(|(level, line)| *level <= Level::Warn && line.contains(text)).count())
}
