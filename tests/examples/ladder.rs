//! The ladder of `manual::tutorial`: its pictures are what the program draws, each exercise fails and each solution passes, and
//! each step is as short as it promises.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use torsade::simulated::Outcome;

#[cfg(feature = "tls")]
#[allow(dead_code, reason = "its main is not run")]
#[path = "../../examples/ladder/timeline/main.rs"]
mod timeline;

fn ladder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ladder")
}

/// The Rust files in a folder of the ladder, in order.
fn programs(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(ladder().join(folder)).expect("a folder of the repository").map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    files.sort();
    files
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file of the repository")
}

/// Returns whether a check passes. It is a test: it may panic, or return an error.
fn passes<T: Outcome>(check: fn() -> T) -> bool {
    catch_unwind(check).is_ok_and(|outcome| outcome.problem().is_none())
}

/// Returns whether the user has chosen the seeds: each exercise fails with its own seeds, but perhaps not with others.
fn has_chosen_seeds() -> bool {
    ["TORSADE_SEED", "TORSADE_SEEDS"].iter().any(|name| std::env::var_os(name).is_some())
}

/// An exercise and its solution, inside a function: their own `#[test]` functions are not collected there, and can be called.
macro_rules! exercises {
    ($($(#[$only:meta])* $name:ident: $exercise:literal, $solution:literal, $check:ident;)*) => {$(
        $(#[$only])*
        #[test]
        #[allow(unnameable_test_items, reason = "they are called here")]
        fn $name() {
            #[allow(dead_code, reason = "it has a main")]
            #[path = $exercise]
            mod exercise;
            #[allow(dead_code, reason = "it has a main")]
            #[path = $solution]
            mod solution;

            assert!(has_chosen_seeds() || !passes(exercise::check::$check), "the exercise is solved before anybody has tried");
            assert!(passes(solution::check::$check), "the solution is wrong");
        }
    )*};
}

exercises! {
    exercise_1_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/01_shout.rs", "../../examples/ladder/solutions/01_shout.rs",
        what_is_said_comes_back_in_capitals;
    exercise_2_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/02_quit.rs", "../../examples/ladder/solutions/02_quit.rs",
        quit_ends_the_connection_and_nothing_else_does;
    exercise_3_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/03_names.rs", "../../examples/ladder/solutions/03_names.rs",
        the_others_see_who_has_said_it;
    exercise_4_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/04_warning.rs", "../../examples/ladder/solutions/04_warning.rs",
        whoever_is_silent_is_asked_before_the_end;
    exercise_5_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/05_again.rs", "../../examples/ladder/solutions/05_again.rs",
        whoever_comes_back_says_so;
    exercise_6_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/06_told.rs", "../../examples/ladder/solutions/06_told.rs",
        those_who_stay_are_told_of_the_slow;
    exercise_7_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/07_on_demand.rs", "../../examples/ladder/solutions/07_on_demand.rs",
        whoever_asks_for_compression_gets_it;
    #[cfg(feature = "tls")]
    exercise_8_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/08_version.rs", "../../examples/ladder/solutions/08_version.rs",
        the_version_of_tls_is_reported;
    exercise_9_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/09_mend.rs", "../../examples/ladder/solutions/09_mend.rs",
        the_sum_is_right_however_the_bytes_arrive;
    exercise_10_is_to_be_solved_and_can_be:
        "../../examples/ladder/exercises/10_notice.rs", "../../examples/ladder/solutions/10_notice.rs",
        a_cut_is_noticed_and_healed;
}

#[test]
fn a_solution_has_the_tests_of_its_exercise() {
    let (exercises, solutions) = (programs("exercises"), programs("solutions"));
    assert_eq!((exercises.len(), solutions.len()), (10, 10));
    for (exercise, solution) in exercises.iter().zip(&solutions) {
        assert_eq!(exercise.file_name(), solution.file_name());
        let tests = |path: &Path| text(path).split_once("#[cfg(test)]").map(|(_, tests)| tests.to_owned());
        assert_eq!(tests(exercise), tests(solution), "{}", solution.display());
        let task = |path: &Path| text(path).split_once("use ").map(|(_, program)| program.to_owned());
        assert_ne!(task(exercise), task(solution), "{}", solution.display());
    }
}

#[test]
fn each_step_has_fewer_than_sixty_lines() {
    let steps = programs("");
    assert_eq!(steps.len(), 10);
    for step in steps {
        let lines = text(&step).lines().count();
        assert!(lines < 60, "{} has {lines}", step.display());
    }
}

#[test]
fn the_page_names_each_step_exercise_and_picture_and_shows_lines_that_are_there() {
    let page = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/tutorial.md"));
    let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    for step in programs("") {
        let name = stem(&step);
        let number = &name[..2];
        let (_, section) = page.split_once(&format!("\n# Step {}:", number.trim_start_matches('0'))).expect("a section");
        let section = section.split("\n# ").next().expect("its text");
        let program = text(&step);
        let added: Vec<_> = section.lines().filter_map(|line| line.strip_prefix('+')).collect();
        assert!(number == "01" || !added.is_empty(), "the page does not show what is new in {name}");
        for line in added {
            assert!(program.lines().any(|other| other == line), "{name} has no line {line:?}");
        }
        for part in [format!("| `{name}` |"), format!("[picture {number}]: ladder/{name}.svg"), format!("ladder_{number}")] {
            assert!(page.contains(&part), "the page has no {part}");
        }
    }
    for exercise in programs("exercises") {
        let part = format!("`exercises/{}.rs`", stem(&exercise));
        assert!(page.contains(&part), "the page has no {part}");
    }
}

/// Draws them again: the same seed gives the same bytes.
#[cfg(feature = "tls")]
#[test]
fn the_pictures_are_what_the_program_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/ladder");
    let files = timeline::files().expect("they are drawn");
    assert_eq!(files.len(), 11);
    for (name, drawn) in files {
        let is_same = text(&folder.join(&name)) == drawn;
        assert!(is_same, "{name} has changed: cargo run --features tls --example ladder_timeline, and look at it");
    }
}
