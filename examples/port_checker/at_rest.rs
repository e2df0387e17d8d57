//! Whether a program has anything left to do, as far as the system tells.

/// Whether every thread of the process, and of its children, waits for something. Where that cannot be known, none.
///
/// On Linux a program that was sent something is runnable from that moment on, however long a busy machine lets it wait: so a
/// program at rest has done what it does about all that was sent, but for timers.
pub fn at_rest(pid: u32) -> Option<bool> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    for task in tasks.flatten() {
        // A thread that has ended meanwhile was at work.
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { return Some(false) };
        // `PID (NAME) STATE ..`, and a name may have brackets in it.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, Some('R' | 'D')) {
            return Some(false);
        }
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
        if children.any(|child| at_rest(child) == Some(false)) {
            return Some(false);
        }
    }
    Some(true)
}
