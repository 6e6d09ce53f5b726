//! The example programs that answer as conformance suites want it.

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

/// Starts the example `ws_echo`.
pub async fn start_echo() -> Server {
    Launch::of(example("ws_echo"))
        .flag("--port", "0")
        .start_unready()
        .await
}

/// Where an example lies. `cargo test` builds examples, unless it is told to run one test file.
fn example(name: &str) -> PathBuf {
    let mut path = program();
    path.pop();
    let path = path.join("examples").join(name);
    if !path.exists() {
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "--package", "womack", "--example", name]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "{build:?}: {status}");
    }
    path
}
