use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::driver::clients;
use crate::{repository, within};

/// A package as it was released long ago, unpacked.
pub struct Release {
    /// What it unpacks to.
    root: PathBuf,
}

impl Release {
    /// Womack as it was in 2012: its pages, and the script that they load.
    pub async fn womack() -> Self {
        Self::of_python("womack", "0.1.1").await
    }

    /// Juggernaut's page, and the script that it loads.
    pub async fn juggernaut() -> Self {
        Self::of_node("juggernaut", "2.1.1").await
    }

    /// Juggernaut's client for Python.
    pub async fn python_juggernaut() -> Self {
        Self::of_python("juggernaut", "0.2").await
    }

    /// One of its files.
    pub fn file(&self, path: &str) -> PathBuf {
        let file = self.root.join(path);
        assert!(file.is_file(), "no {path} in {}", self.root.display());
        file
    }

    async fn of_python(name: &str, version: &str) -> Self {
        let unpacked = format!("{name}-{version}");
        let folder = kept(&format!("python-{unpacked}"), async |folder| {
            let release = format!("{name}=={version}");
            let mut pip = python();
            pip.args(["-m", "pip", "download", "--quiet", "--no-deps"])
                .args(["--no-build-isolation", "--no-binary", ":all:", &release])
                // pip runs the package's setup.py, whatever it was written for.
                .env("PYTHONPATH", clients().join("setup_of_old"));
            run(&mut pip, folder).await;
            unpack(&format!("{unpacked}.tar.gz"), folder).await;
        })
        .await;
        let root = folder.join(unpacked);
        Self { root }
    }

    async fn of_node(name: &str, version: &str) -> Self {
        let folder = kept(&format!("node-{name}-{version}"), async |folder| {
            let mut npm = Command::new("npm");
            npm.args(["pack", "--silent", &format!("{name}@{version}")]);
            run(&mut npm, folder).await;
            unpack(&format!("{name}-{version}.tgz"), folder).await;
        })
        .await;
        let root = folder.join("package");
        Self { root }
    }
}

/// A folder under `target/releases`, which `fill` fills if nobody has yet. Tests that are here at
/// the same time fill a folder each, of which the first is kept.
async fn kept(name: &str, fill: impl AsyncFnOnce(&Path)) -> PathBuf {
    let releases = repository().join("target/releases");
    let folder = releases.join(name);
    if !folder.is_dir() {
        fs::create_dir_all(&releases).expect("a folder under target");
        let new = TempDir::new_in(&releases).expect("a temporary folder");
        fill(new.path()).await;
        let new = new.keep();
        if fs::rename(&new, &folder).is_err() {
            fs::remove_dir_all(new).expect("a folder of its own");
        }
    }
    folder
}

/// A file of a package that `make deps` has installed for Node.js.
pub fn package(path: &str) -> PathBuf {
    let file = clients().join("node_modules").join(path);
    assert!(file.is_file(), "no {path} (make deps)");
    file
}

async fn unpack(archive: &str, folder: &Path) {
    run(
        python().args(["-m", "tarfile", "--extract", archive]),
        folder,
    )
    .await;
}

/// Python from the virtual environment of `make deps`.
fn python() -> Command {
    Command::new(repository().join("target/venv/bin/python"))
}

async fn run(command: &mut Command, folder: &Path) {
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let status = within(&format!("{command:?}"), command.status()).await;
    let status = status.unwrap_or_else(|error| panic!("{command:?} (make deps): {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
