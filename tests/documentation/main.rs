//! The documentation matches the code, and the compiler's messages help where a program does not follow it.

mod compile_errors;
mod documents;
mod endpoints;
mod mutations;
mod porting;
mod twisted;
