use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::driver::clients;
use crate::{repository, within};

/// What pip calls the release.
const RELEASE: &str = "womack==0.1.1";
/// What it unpacks to.
const FOLDER: &str = "womack-0.1.1";

/// Womack as it was released in 2012: its pages, and the script that they load.
pub struct Original {
    folder: TempDir,
}

impl Original {
    /// Fetches the release from where Python packages come from.
    pub async fn fetch() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        python(
            folder.path(),
            &[
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                ":all:",
                RELEASE,
            ],
        )
        .await;
        let archive = format!("{FOLDER}.tar.gz");
        python(folder.path(), &["-m", "tarfile", "--extract", &archive]).await;
        Self { folder }
    }

    /// One of the files that the release serves to browsers.
    pub fn file(&self, name: &str) -> PathBuf {
        let file = self
            .folder
            .path()
            .join(FOLDER)
            .join("womack/static")
            .join(name);
        assert!(file.is_file(), "no {name} in {RELEASE}");
        file
    }

    /// The library that its pages load from elsewhere, in a later version of the same branch.
    pub fn jquery() -> PathBuf {
        package("jquery/dist/jquery.min.js")
    }
}

/// Runs Python from the virtual environment of `make deps`.
async fn python(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(repository().join("target/venv/bin/python"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let status = within(&arguments.join(" "), command.status()).await;
    let status = status.unwrap_or_else(|error| panic!("{command:?} (make deps): {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// A file of a package that `make deps` has installed.
pub fn package(path: &str) -> PathBuf {
    let file = clients().join("node_modules").join(path);
    assert!(file.is_file(), "no {path} (make deps)");
    file
}
