use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::thread;

use tokio::sync::watch;

/// Everything a child process has written to one of its pipes, line by line.
///
/// A thread of its own reads the pipe, so that the process never waits for the test.
#[derive(Clone)]
pub(crate) struct Log {
    lines: watch::Receiver<Lines>,
}

#[derive(Clone, Default)]
struct Lines {
    seen: Arc<Vec<String>>,
    ended: bool,
}

impl Log {
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = watch::channel(Lines::default());
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                sender.send_modify(|lines| Arc::make_mut(&mut lines.seen).push(line));
            }
            sender.send_modify(|lines| lines.ended = true);
        });
        Self { lines }
    }

    /// The first line for which `pick` has an answer; `None` when the pipe ends without one.
    pub(crate) async fn find<T>(&self, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut found = None;
        self.lines
            .clone()
            .wait_for(|lines| {
                found = lines.seen.iter().find_map(|line| pick(line));
                found.is_some() || lines.ended
            })
            .await
            .ok()?;
        found
    }

    /// Waits for the end of the pipe, and returns all of it.
    pub(crate) async fn whole(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        match lines.wait_for(|lines| lines.ended).await {
            Ok(lines) => lines.seen.to_vec(),
            Err(_) => self.lines(),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().seen.to_vec()
    }
}
