//! What a program and its user are told, and in which words.

#[path = "../support/support.rs"]
mod support;

mod bad_input;
mod errors;
mod texts;
