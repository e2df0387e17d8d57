//! The guests' keys, made for one test, and the commands that use them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use torsade::quote_string_argument;

use crate::mutants::Mutation;
use crate::programs::{make_keys, port_with};

/// A folder with two sets of keys, as the example `make_keys` makes them: `keys`, which the server trusts, and `stranger`.
pub struct House(PathBuf);

impl House {
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("torsade-guests-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let house = Self(std::env::temp_dir().join(name));
        for folder in ["keys", "stranger"] {
            make_keys::make(&house.0.join(folder), vec!["127.0.0.1".into()]).unwrap();
        }
        house
    }

    /// The grammar.
    pub fn grammar(&self) -> String {
        self.with_keys(include_str!("../../examples/ports/guests/grammar"))
    }

    /// A script or a grammar, with the keys of this house.
    pub fn with_keys(&self, text: &str) -> String {
        ["keys", "stranger"].iter().fold(text.into(), |text, folder| {
            let path = quote_string_argument(self.0.join(folder).to_str().unwrap());
            text.replace(&format!("={folder}"), &format!("={path}"))
        })
    }

    /// The original's program and its arguments.
    pub fn original(&self) -> String {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ports/guests/original.py");
        format!("'{program}' '{}'", self.arguments().join("' '"))
    }

    /// The port's command.
    pub fn port(&self, mutation: Option<Mutation>) -> String {
        port_with("guests", &self.arguments().join(";"), mutation)
    }

    fn arguments(&self) -> [String; 4] {
        ["{listen}".into(), self.0.join("keys").to_str().unwrap().into(), "anna".into(), "ben".into()]
    }
}

impl Drop for House {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
