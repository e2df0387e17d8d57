//! Child processes as their parents know them.

use crate::backend::{ProcessEnd, Token};

use super::local::LOCAL_LATENCY;
use super::network::{Network, SocketId};
use super::queue::Happening;

/// A process that another one has started.
pub(super) struct ChildState {
    /// The place of the one that has started it, until that lets it go.
    parent: Option<usize>,
    token: Option<Token>,
    end: Option<ProcessEnd>,
    /// The parent can know of its end.
    told: bool,
}

impl Network {
    /// Adds a process on the machine of `parent`, and says what its place is.
    pub(super) fn add_process(&mut self, parent: usize) -> usize {
        let place = self.add_place(self.machine(parent));
        self.children.insert(place, ChildState { parent: Some(parent), token: None, end: None, told: false });
        place
    }

    /// If this is a process that has not ended yet, it has now. Its parent is told before or after it can read the last that was
    /// written.
    pub(super) fn note_end(&mut self, place: usize, end: ProcessEnd) {
        let Some(child) = self.children.get_mut(&place).filter(|child| child.end.is_none()) else { return };
        child.end = Some(end);
        if child.parent.is_none() {
            self.children.remove(&place);
        } else {
            let later = LOCAL_LATENCY * u32::try_from(self.rng.below(4)).unwrap_or(0);
            self.queue.push(self.now() + later, Happening::ChildEnd(place));
        }
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&self, place: usize) -> bool {
        self.children.get(&place).is_none_or(|child| child.end.is_some())
    }

    /// The parent can know of it from now on.
    pub(super) fn tell_end(&mut self, place: usize) {
        let Some(child) = self.children.get_mut(&place) else { return };
        child.told = true;
        if let (Some(parent), Some(_)) = (child.parent, child.token) {
            self.wake_place(parent, SocketId::Child(place));
        }
    }

    /// Has the end reported under `token`.
    pub(super) fn watch_child(&mut self, place: usize, token: Token) {
        if let Some(child) = self.children.get_mut(&place) {
            child.token = Some(token);
            if child.told {
                self.tell_end(place);
            }
        }
    }

    pub(super) fn child_token(&self, place: usize) -> Option<Token> {
        self.children.get(&place)?.token
    }

    /// How the process has ended, whether its parent can know that or not.
    pub(super) fn end_of_child(&self, place: usize) -> Option<ProcessEnd> {
        self.children.get(&place)?.end
    }

    /// How the process has ended, if its parent can know that; it is forgotten then.
    pub(super) fn wait_for_child(&mut self, place: usize) -> Option<ProcessEnd> {
        let end = self.children.get(&place).filter(|child| child.told)?.end;
        self.children.remove(&place);
        end
    }

    /// The parent wants to know nothing more of it.
    pub(super) fn let_child_go(&mut self, place: usize) {
        if self.has_ended(place) {
            self.children.remove(&place);
        } else if let Some(child) = self.children.get_mut(&place) {
            child.parent = None;
        }
    }
}
