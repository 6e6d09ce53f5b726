//! Builds womack as it was at a revision of the repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A revision's build.
pub struct Built {
    /// The commit's short name.
    pub label: String,
    /// Its womack.
    pub program: PathBuf,
}

/// Builds a git revision in a worktree of its own at `target/judge/HASH`, and returns a copy of its
/// womack. The worktree and its dependencies stay, so that the next call is quick.
///
/// # Errors
///
/// If the repository does not know the revision, or it does not build.
pub fn build(repository: &Path, revision: &str) -> io::Result<Built> {
    let commit = format!("{revision}^{{commit}}");
    let commit = git(repository, &["rev-parse", "--verify", "--end-of-options", &commit])
        .map_err(|error| {
            let message = format!(
                "`{revision}` is neither a program, nor a server, nor a revision of this repository: {error}"
            );
            io::Error::other(message)
        })?;
    let label = git(repository, &["rev-parse", "--short", &commit])?;
    let folder = repository.join("target/judge");
    let worktree = folder.join(&commit);
    if !worktree.join(".git").exists() {
        fs::create_dir_all(&folder)?;
        let path = worktree.to_string_lossy();
        // Forced, for `cargo clean` removes the folder and leaves git's note of it.
        git(
            repository,
            &["worktree", "add", "--force", "--detach", &path, &commit],
        )?;
    }
    let target = folder.join("build");
    // The same packages as for the new build: together they decide the features of dependencies.
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "-p", "womack", "-p", "womack-benches"])
        .current_dir(&worktree)
        .env("CARGO_TARGET_DIR", &target);
    let status = cargo.stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{revision} does not build")));
    }
    // The next revision builds to the same place.
    let program = folder.join(format!("womack-{label}"));
    fs::copy(target.join("release/womack"), &program)?;
    Ok(Built { label, program })
}

/// The name of what is checked out, with `-dirty` if files differ from it.
///
/// # Errors
///
/// If the folder belongs to no repository.
pub fn checked_out(repository: &Path) -> io::Result<String> {
    git(
        repository,
        &["describe", "--always", "--dirty", "--exclude", "*"],
    )
}

fn git(repository: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new("git");
    let output = command.arg("-C").arg(repository).args(arguments).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(error.trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_revision_is_an_error_that_names_it() {
        let repository = tempfile::tempdir().unwrap();
        git(repository.path(), &["init", "--quiet"]).unwrap();
        let error = build(repository.path(), "no-such-revision").err().unwrap();
        assert!(error.to_string().contains("`no-such-revision`"), "{error}");
        assert!(!repository.path().join("target").exists());
    }
}
