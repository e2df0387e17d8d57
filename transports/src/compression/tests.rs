//! Tests of the layer alone, in the groups of the compression plan: each file names those it holds.
mod basics;
