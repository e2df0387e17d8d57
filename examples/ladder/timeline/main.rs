//! Draws what happens in each step of the ladder: the event log of a simulated run as a picture.
//!
//! Run:    cargo run --features tls --example ladder_timeline         draws all into src/manual/ladder
//!         cargo run --features tls --example ladder_timeline 04      prints the event log of a step
//! Expect: the same bytes each time: the runs are simulated, and the log of one is the same wherever it is run.

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use torsade::prelude::*;

mod arrows;
mod draw;
mod keys;
mod scripts;
mod steps;

/// The files, by name: a picture a step, and `images.md`, where they are links for rustdoc, which takes no files.
pub fn files() -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut links = String::new();
    for story in scripts::stories()? {
        let picture = draw::draw(&story);
        links += &format!("[picture {}]: data:image/svg+xml;base64,{}\n", &story.name[..2], BASE64_STANDARD.encode(&picture));
        files.push((format!("{}.svg", story.name), picture));
    }
    files.push(("images.md".into(), links));
    Ok(files)
}

fn main() -> Result {
    if let Some(step) = std::env::args().nth(1) {
        let story = scripts::stories()?.into_iter().find(|story| story.name.starts_with(&step));
        print!("{}", story.ok_or("there are steps 01 to 10")?.log);
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/ladder");
    for (name, text) in files()? {
        fs::write(folder.join(&name), text)?;
        println!("src/manual/ladder/{name}");
    }
    Ok(())
}
