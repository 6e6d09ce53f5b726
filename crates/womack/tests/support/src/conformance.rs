//! The example program that answers as the official conformance suites want it.

use std::path::PathBuf;
use std::process::Command;

use crate::server::program;
use crate::{Launch, Server};

/// Starts the example `conformance` with its own, short time-outs.
pub async fn start() -> Server {
    Launch::of(example("conformance"))
        .flag("--port", "0")
        .start_unready()
        .await
}

/// Builds an example if it is not fresh, and returns where it lies.
fn example(name: &str) -> PathBuf {
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--package", "womack", "--example", name]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().expect("cargo runs");
    assert!(status.success(), "{build:?}: {status}");
    let mut path = program();
    path.pop();
    path.join("examples").join(name)
}
