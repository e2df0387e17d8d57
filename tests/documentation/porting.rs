//! That the manual's page on porting names tests that exist, one for each symptom.

use std::fs;

use crate::documents::{in_backticks, root};

/// The symptoms of the page: the heading, and what is below it.
fn symptoms(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|part| part.split_once('\n')).collect()
}

/// Whether the test that is named as `tests/FILE.rs::NAME` exists.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    // Of a test that a macro makes only the function is there to be seen.
    text.contains("#[test]") && text.contains(&format!("fn {name}("))
}

#[test]
fn each_symptom_has_a_test_that_shows_it() {
    let page = fs::read_to_string(root().join("src/manual/porting.md")).expect("the page");
    let symptoms = symptoms(&page);
    assert!(symptoms.len() > 20, "only {} symptoms", symptoms.len());
    for (heading, text) in symptoms {
        let tests: Vec<_> = in_backticks(text).filter(|code| code.contains(".rs::")).collect();
        assert!(!tests.is_empty(), "no test is named for: {heading}");
        for test in tests {
            assert!(exists(test), "{heading}: there is no test {test}");
        }
    }
    assert!(!exists("tests/closing/promises.rs::there_is_no_such_test"));
}
