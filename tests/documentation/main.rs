//! What the documentation promises, and what the compiler says where it is not followed.

mod compile_errors;
mod documents;
mod endpoints;
mod porting;
mod twisted;
