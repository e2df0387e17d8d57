//! Checks the documentation: examples compile where they are pasted, Twisted's names are there, indices are complete.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crates' Rust sources, and the pages included as they are.
pub(crate) fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<_> = ["reactor/src", "protocols/src", "transports/src", "hub/src", "src", "bridges/hyper/src"]
        .map(|folder| root().join(folder))
        .into();
    let mut files = vec![root().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of a folder").path();
            match path.extension().and_then(|extension| extension.to_str()) {
                None => folders.push(path),
                Some("rs" | "md") => files.push(path),
                Some(_) => {}
            }
        }
    }
    files
}

/// The lines of each Rust example in `text`, with the number of the line before the first.
fn examples(text: &str, is_markdown: bool) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    let mut open: Option<(bool, usize, Vec<&str>)> = None;
    for (number, line) in text.lines().enumerate() {
        let line = if is_markdown { Some(line) } else { documentation(line) };
        let Some(line) = line else {
            open = None;
            continue;
        };
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((matches!(kind, "" | "no_run" | "rust" | "rust,no_run"), number + 1, Vec::new())),
            (Some(_), Some(_)) => {
                let (is_rust, first, lines) = open.take().expect("an open example");
                if is_rust {
                    found.push((first, lines));
                }
            }
            (None, Some((_, _, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    found
}

/// What `line` documents, without the comment's mark.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

/// The compiler sees an example's hidden lines, but a reader who copies it does not get them. Only the last line may be hidden,
/// since `main`'s own `Ok(())` replaces it.
#[test]
fn examples_show_every_line_they_need_and_import_only_torsade_and_its_bridges() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a file of the repository");
        for (first, lines) in examples(&text, path.extension().is_some_and(|extension| extension == "md")) {
            seen += 1;
            for (number, line) in lines.iter().enumerate() {
                let hidden = line.starts_with("# ") && !line.starts_with("# Ok::<");
                // The inner crates are not for programs; a bridge is.
                let inner = line.replace("torsade_hyper", "").contains("torsade_");
                if hidden || inner {
                    wrong.push(format!("{}:{}: {line}", path.display(), first + number + 1));
                }
            }
        }
    }
    assert!(seen > 70, "only {seen} examples were found");
    assert!(wrong.is_empty(), "does not compile where it is pasted:\n{}", wrong.join("\n"));
}

/// The first two columns of the README's table.
fn table_of_twisted(readme: &str) -> impl Iterator<Item = (&str, &str)> {
    let table = readme.split_once("| Twisted | Torsade |").expect("the table").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1);
        Some((cells.next()?, cells.next()?))
    })
}

pub(crate) fn in_backticks(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The names in its first column, without their modules; rows without a counterpart are left out.
fn twisted_names(readme: &str) -> BTreeSet<String> {
    table_of_twisted(readme)
        .filter(|(_, torsade)| !torsade.contains("*(nothing)*"))
        .flat_map(|(twisted, _)| in_backticks(twisted))
        .map(|name| name.rsplit('.').next().unwrap_or(name).replace('…', "StringReceiver"))
        .collect()
}

/// The names in its second column, including types and modules.
fn our_names(readme: &str) -> BTreeSet<&str> {
    table_of_twisted(readme)
        .flat_map(|(_, torsade)| in_backticks(torsade))
        .flat_map(|path| path.split(|character: char| !character.is_alphanumeric() && character != '_'))
        .filter(|name| !name.is_empty())
        .collect()
}

/// The names that a search of the documentation finds: items, variants, and their aliases.
pub(crate) fn searchable(text: &str) -> BTreeSet<&str> {
    let word = |text: &'_ str| text.find(|character: char| !character.is_alphanumeric() && character != '_');
    let mut found = BTreeSet::new();
    let mut in_enum = false;
    for line in text.lines() {
        let item = line.trim_start();
        let item = item.strip_prefix("pub ").unwrap_or(item);
        let kinds = ["#[doc(alias = \"", "struct ", "enum ", "trait ", "fn ", "mod ", "type "];
        let name = kinds.iter().find_map(|kind| item.strip_prefix(kind)).or(in_enum.then_some(item));
        if let Some((name, end)) = name.and_then(|name| Some((name, word(name)?))) {
            found.insert(&name[..end]);
        }
        in_enum = line.starts_with("pub enum ") || in_enum && !line.starts_with('}');
    }
    found
}

#[test]
fn each_name_in_the_table_of_twisted_is_found_by_a_search_of_the_documentation() {
    let texts: Vec<_> = sources().iter().map(|path| fs::read_to_string(path).expect("a file of the repository")).collect();
    let found: BTreeSet<_> = texts.iter().flat_map(|text| searchable(text)).collect();
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let unknown: Vec<_> = our_names(&readme).into_iter().filter(|name| !found.contains(name)).collect();
    assert!(unknown.is_empty(), "the table says that we have {unknown:?}");
    let wanted = twisted_names(&readme);
    assert!(wanted.len() > 60, "only {} names were found", wanted.len());
    let missing: Vec<_> = wanted.iter().filter(|name| !found.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no #[doc(alias)] for {missing:?}");
}

/// The programs and suites in `folder`: files, and folders with a `main.rs`, each with the modules that contain tests.
fn programs(folder: &str) -> Vec<(String, Vec<String>)> {
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder of the repository");
        entries.map(|entry| entry.expect("an entry of a folder").path()).collect()
    };
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let mut programs = Vec::new();
    for path in files(&root().join(folder)) {
        if is_source(&path) {
            programs.push((name(&path), Vec::new()));
        } else if path.join("main.rs").exists() {
            let has_tests =
                |path: &&PathBuf| is_source(path) && fs::read_to_string(path).is_ok_and(|text| text.contains("#[test]"));
            let modules = files(&path).iter().filter(has_tests).map(name).filter(|name| name != "main").collect();
            programs.push((name(&path), modules));
        }
    }
    programs
}

#[test]
fn each_example_and_each_suite_is_in_its_index() {
    let indices = [
        ("README.md", "", "examples"),
        ("tests/README.md", "", "tests"),
        ("tests/README.md", "protocols/tests/", "protocols/tests"),
        ("tests/README.md", "transports/tests/", "transports/tests"),
    ];
    let mut missing = Vec::new();
    for (index, prefix, folder) in indices {
        let text = fs::read_to_string(root().join(index)).expect("an index");
        let programs = programs(folder);
        assert!(!programs.is_empty(), "nothing in {folder}");
        let listed = |name: &str| text.contains(&format!("[`{prefix}{name}`]("));
        // As a whole, or each of its parts.
        for (name, modules) in programs.into_iter().filter(|(name, _)| !listed(name)) {
            let parts = modules.iter().map(|module| format!("{name}/{module}"));
            let parts: Vec<_> = if modules.is_empty() { vec![name] } else { parts.collect() };
            missing.extend(parts.iter().filter(|name| !listed(name)).map(|name| format!("{index}: {folder}/{name}")));
        }
    }
    assert!(missing.is_empty(), "not in the index:\n{}", missing.join("\n"));
}

/// The names in the first column of the README's table of examples, and in the list on the crate's front page.
#[test]
fn the_ladder_of_examples_is_the_same_in_the_readme_and_in_the_documentation() {
    let part = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(root().join(file)).expect("a file of the repository");
        let (_, part) = text.split_once(from).expect("its beginning");
        part.split_once(to).expect("its end").0.to_owned()
    };
    let table = part("README.md", "| example | what it shows |", "Ports of Twisted's own");
    let first_column = table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let ladder: Vec<_> =
        first_column.flat_map(|cell| cell.split("[`").skip(1).filter_map(|rest| rest.split('`').next())).collect();
    let list = part("src/lib.rs", "in a checkout: ", "And in `examples/twisted`");
    let listed: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    assert!(ladder.len() > 20, "{ladder:?}");
    assert_eq!(listed, ladder);
}

/// The crate versions in the chapter's first table, and those its tests have run with.
#[test]
fn the_chapter_on_third_party_crates_has_the_versions_that_were_tested() {
    let chapter = fs::read_to_string(root().join("src/manual/async_ecosystem.md")).expect("the chapter");
    let lock = fs::read_to_string(root().join("tests/ecosystem/Cargo.lock")).expect("the lock file");
    let table = chapter.split_once("| crate | version | it needs |\n|---|---|---|\n").expect("the table").1;
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (name, version) = (cells[1], cells[2]);
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{row}");
    }
}

/// As `cargo tree -p torsade -e normal --prefix none --no-dedupe | sort -u | grep -vc torsade`.
#[cfg(target_os = "linux")]
#[test]
fn the_readme_counts_the_crates_that_torsade_depends_on() {
    let count = |features: &[&str]| {
        let tree = ["tree", "--offline", "-p", "torsade", "-e", "normal", "--prefix", "none", "--no-dedupe"];
        let cargo = std::process::Command::new(env!("CARGO")).args(tree).args(features).current_dir(root()).output();
        let cargo = cargo.expect("cargo runs");
        assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
        let crates = String::from_utf8(cargo.stdout).expect("text");
        crates.lines().filter(|line| !line.contains("torsade")).collect::<BTreeSet<_>>().len()
    };
    let promised = format!(
        "Torsade pulls in {} third-party crates by default and {} with all features",
        count(&[]),
        count(&["--all-features"])
    );
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&promised), "the README does not say: {promised}");
}
