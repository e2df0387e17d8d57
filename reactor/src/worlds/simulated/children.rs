//! Child processes as seen by their parents.

use crate::backend::{ProcessEnd, Token};

use super::local::LOCAL_LATENCY;
use super::network::{Network, SocketId};
use super::queue::Happening;

/// A process started by another one.
pub(super) struct ChildState {
    /// The place of its parent; `None` once the parent has dropped it.
    parent: Option<usize>,
    token: Option<Token>,
    end: Option<ProcessEnd>,
    /// Whether the parent can know of its end.
    reported: bool,
}

impl Network {
    /// Adds a process on the machine of `parent`, and returns its place.
    pub(super) fn add_process(&mut self, parent: usize) -> usize {
        let place = self.add_place(self.machine(parent));
        self.children.insert(place, ChildState { parent: Some(parent), token: None, end: None, reported: false });
        place
    }

    /// Records the end of a process, if this is one that has not ended yet. Its parent is told before or after it can read the
    /// last output.
    pub(super) fn record_end(&mut self, place: usize, end: ProcessEnd) {
        let Some(child) = self.children.get_mut(&place).filter(|child| child.end.is_none()) else { return };
        child.end = Some(end);
        if child.parent.is_none() {
            self.children.remove(&place);
        } else {
            let later = LOCAL_LATENCY * u32::try_from(self.rng.below(4)).unwrap_or(0);
            self.queue.push(self.now() + later, Happening::ChildEnd(place));
        }
    }

    pub(super) fn has_ended(&self, place: usize) -> bool {
        self.children.get(&place).is_none_or(|child| child.end.is_some())
    }

    /// Lets the parent know of the end from now on.
    pub(super) fn report_end(&mut self, place: usize) {
        let Some(child) = self.children.get_mut(&place) else { return };
        child.reported = true;
        if let (Some(parent), Some(_)) = (child.parent, child.token) {
            self.wake_place(parent, SocketId::Child(place));
        }
    }

    /// Reports the end under `token`.
    pub(super) fn watch_child(&mut self, place: usize, token: Token) {
        if let Some(child) = self.children.get_mut(&place) {
            child.token = Some(token);
            if child.reported {
                self.report_end(place);
            }
        }
    }

    pub(super) fn child_token(&self, place: usize) -> Option<Token> {
        self.children.get(&place)?.token
    }

    /// How the process ended, whether or not its parent can know.
    pub(super) fn end_of_child(&self, place: usize) -> Option<ProcessEnd> {
        self.children.get(&place)?.end
    }

    /// How the process ended, if its parent can know; the process is then forgotten.
    pub(super) fn wait_for_child(&mut self, place: usize) -> Option<ProcessEnd> {
        let end = self.children.get(&place).filter(|child| child.reported)?.end;
        self.children.remove(&place);
        end
    }

    /// The parent drops the process.
    pub(super) fn release_child(&mut self, place: usize) {
        if self.has_ended(place) {
            self.children.remove(&place);
        } else if let Some(child) = self.children.get_mut(&place) {
            child.parent = None;
        }
    }
}
