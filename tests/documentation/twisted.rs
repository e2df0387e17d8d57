//! Checks that the manual's page on Twisted's names has every name that programs use, and that each of our names there exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

#[cfg(all(feature = "tls", feature = "dns", feature = "processes"))]
use crate::compile_errors::errors_in;
use crate::documents::{in_backticks, root, searchable, sources};

/// One row: Twisted's names without their modules, the paths of ours that it links to, and the cells.
struct Row {
    twisted: Vec<String>,
    paths: Vec<String>,
    ours: String,
    differences: String,
}

impl Row {
    /// Parses a row of three cells.
    fn of(line: &str) -> Self {
        let line = line.replace("\\|", " ");
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "not three cells: {line}");
        let [_, twisted, ours, differences, _] = cells[..] else { unreachable!("there are five") };
        Self {
            twisted: in_backticks(twisted).map(|name| name.rsplit('.').next().unwrap_or(name).to_owned()).collect(),
            paths: ours.split("](crate::").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect(),
            ours: ours.to_owned(),
            differences: differences.to_owned(),
        }
    }

    /// Returns whether it says that there is no counterpart.
    fn has_nothing(&self) -> bool {
        self.ours == "*(nothing)*"
    }
}

/// All rows of the page, by the heading of their table.
fn tables() -> BTreeMap<String, Vec<Row>> {
    let page = fs::read_to_string(root().join("src/manual/twisted.md")).expect("the page");
    let mut tables: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut heading = String::new();
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            text.clone_into(&mut heading);
        } else if line.starts_with('|') && !line.starts_with("| Twisted |") && !line.starts_with("|---|") {
            tables.entry(heading.clone()).or_default().push(Row::of(line));
        }
    }
    tables
}

/// The names in the list beside this file, by the heading under which the page must have them.
fn wanted() -> BTreeMap<String, Vec<String>> {
    let list = fs::read_to_string(root().join("tests/documentation/twisted_names.txt")).expect("the list");
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(text) => text.clone_into(&mut heading),
            None if line.is_empty() => {}
            None => wanted.entry(heading.clone()).or_default().extend(line.split_whitespace().map(str::to_owned)),
        }
    }
    wanted
}

#[test]
fn every_name_of_twisted_that_programs_are_written_with_is_on_the_page_below_its_heading() {
    let tables = tables();
    let wanted = wanted();
    let count: usize = wanted.values().map(Vec::len).sum();
    assert!(count > 300, "only {count} names are listed");
    let mut missing = Vec::new();
    for (heading, names) in wanted {
        let rows = tables.get(&heading).unwrap_or_else(|| panic!("no table below {heading}"));
        let there: BTreeSet<_> = rows.iter().flat_map(|row| &row.twisted).collect();
        missing.extend(names.into_iter().filter(|name| !there.contains(name)).map(|name| format!("{heading}: {name}")));
    }
    assert!(missing.is_empty(), "not on the page:\n{}", missing.join("\n"));
}

#[test]
fn what_has_no_counterpart_has_a_reason_and_all_else_leads_somewhere() {
    for row in tables().into_values().flatten() {
        if row.has_nothing() {
            assert!(!row.differences.is_empty(), "no reason is given why there is nothing for {:?}", row.twisted);
        } else {
            assert!(!row.paths.is_empty() || row.ours.contains("torsade_hyper::"), "{:?} leads nowhere", row.twisted);
        }
    }
}

#[test]
fn each_name_on_the_page_that_has_a_counterpart_is_found_by_a_search_of_the_documentation() {
    let texts: Vec<_> = sources().iter().map(|path| fs::read_to_string(path).expect("a file of the repository")).collect();
    let found: BTreeSet<_> = texts.iter().flat_map(|text| searchable(text)).collect();
    let rows = tables().into_values().flatten().filter(|row| !row.has_nothing());
    // Modules, and beginnings of endpoint texts, are not items.
    let is_item = |name: &String| !name.ends_with(':') && !matches!(name.as_str(), "reactor" | "signal");
    let missing: Vec<_> =
        rows.flat_map(|row| row.twisted).filter(is_item).filter(|name| !found.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no #[doc(alias)] for {missing:?}");
}

/// The lines on which the compiler finds errors with these codes.
#[cfg(all(feature = "tls", feature = "dns", feature = "processes"))]
fn lines_with(program: &str, codes: &[&str]) -> BTreeSet<usize> {
    let errors = errors_in(program).into_iter();
    errors.filter(|(_, code)| codes.contains(&code.as_str())).map(|(line, _)| line).collect()
}

/// Which of these paths below `torsade` name nothing.
///
/// A path to an item or a variant is imported. A path to a method or a field is used as each of the two, in a function of its
/// own. The compiler may not be able to infer the types of a generic method, but that error shows that the method exists.
#[cfg(all(feature = "tls", feature = "dns", feature = "processes"))]
fn that_name_nothing(paths: &BTreeSet<String>) -> Vec<&String> {
    let is_member = |path: &str| {
        let mut parts = path.rsplit("::").map(|part| part.starts_with(char::is_uppercase));
        (parts.next(), parts.next()) == (Some(false), Some(true))
    };
    let (members, items): (Vec<_>, Vec<_>) = paths.iter().partition(|path| is_member(path));
    let mut program = String::new();
    for (number, path) in items.iter().enumerate() {
        program += &format!("use torsade::{path} as n{number};\n");
    }
    program += "fn main() {}\n";
    let unresolved = lines_with(&program, &["E0432", "E0433", "E0603"]);
    let mut nothing: Vec<_> =
        items.iter().enumerate().filter(|(at, _)| unresolved.contains(&(at + 1))).map(|(_, path)| *path).collect();
    program.clear();
    for (number, path) in members.iter().enumerate() {
        let (owner, field) = path.rsplit_once("::").expect("a member has an owner");
        program += &format!("fn m{number}() {{ let _ = torsade::{path}; }}\n");
        program += &format!("fn f{number}(of: &torsade::{owner}) {{ let _ = &of.{field}; }}\n");
    }
    program += "fn main() {}\n";
    let no_method = lines_with(&program, &["E0433", "E0576", "E0599", "E0624", "E0782"]);
    // A trait or a generic type cannot be an argument's type; neither has fields that the page would name.
    let no_field = lines_with(&program, &["E0106", "E0107", "E0433", "E0609", "E0610", "E0616", "E0782"]);
    let has_none = |at: &usize| no_method.contains(&(at * 2 + 1)) && no_field.contains(&(at * 2 + 2));
    nothing.extend(members.iter().enumerate().filter(|(at, _)| has_none(at)).map(|(_, path)| *path));
    nothing
}

#[cfg(all(feature = "tls", feature = "dns", feature = "processes"))]
#[test]
fn each_of_our_names_on_the_page_exists() {
    let is_page = |path: &String| path.starts_with("manual::");
    let mut paths: BTreeSet<_> =
        tables().into_values().flatten().flat_map(|row| row.paths).filter(|path| !is_page(path)).collect();
    assert!(paths.len() > 250, "only {} paths", paths.len());
    // A missing name of any kind has to be found.
    let wrong = [
        "Nothing",
        "Reason::Nothing",
        "Reactor::nothing",
        "ReactorTcp::nothing",
        "Deferred::nothing",
        "ListenOptions::nothing",
        "testing::Nothing",
        "policies::TimeoutMixin::nothing",
    ];
    paths.extend(wrong.map(str::to_owned));
    let nothing: BTreeSet<_> = that_name_nothing(&paths).into_iter().map(String::as_str).collect();
    assert_eq!(nothing, BTreeSet::from(wrong));
}
