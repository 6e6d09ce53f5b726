use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::{repository, within};

/// A long-lived program in `tests/clients` which drives client libraries.
///
/// It takes one JSON command per line, and reports one JSON event per line. Each command and each
/// event carries the name of the part that it is for, a client or a page.
#[derive(Clone)]
pub struct Driver {
    shared: Arc<Shared>,
}

struct Shared {
    stdin: tokio::sync::Mutex<ChildStdin>,
    parts: Parts,
    next: AtomicU64,
    /// Killed with the last clone.
    _child: Child,
}

/// Where the events for each part go.
type Parts = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Value>>>>;

impl Driver {
    /// The driver of everything that runs on Node.js.
    pub fn node() -> Self {
        Self::start(Command::new("node").arg(clients().join("driver.mjs")))
    }

    /// The driver of Chromium.
    pub fn browser() -> Self {
        Self::start(Command::new("node").arg(clients().join("browser.mjs")))
    }

    /// The driver of everything that runs on Python, from the virtual environment of `make deps`.
    pub fn python() -> Self {
        let python = repository().join("target/venv/bin/python");
        Self::start(Command::new(python).arg(clients().join("driver.py")))
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} (make deps): {error}"));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let stdout = File::from(stdout.into_owned_fd().expect("the pipe is a descriptor"));
        let parts = Parts::default();
        let receivers = Arc::clone(&parts);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                route(&receivers, &line);
            }
            // Whoever still waits learns that nothing more comes.
            receivers.lock().expect("no holder panics").clear();
        });
        let shared = Shared {
            stdin: tokio::sync::Mutex::new(stdin),
            parts,
            next: AtomicU64::new(0),
            _child: child,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A new part of this driver, with events of its own.
    pub(crate) fn part(&self, kind: &str) -> Part {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{kind}-{number}");
        let (sender, events) = mpsc::unbounded_channel();
        let mut parts = self.shared.parts.lock().expect("no holder panics");
        parts.insert(name.clone(), sender);
        Part {
            driver: self.clone(),
            name,
            events,
            kept: Vec::new(),
        }
    }
}

/// One client, one page or one publisher in a driver.
pub(crate) struct Part {
    driver: Driver,
    name: String,
    events: mpsc::UnboundedReceiver<Value>,
    /// Events that came while something else was waited for.
    kept: Vec<Value>,
}

impl Part {
    /// Sends a command, an object, to this part.
    pub(crate) async fn command(&self, mut command: Value) {
        command["part"] = json!(self.name);
        let line = format!("{command}\n");
        let mut stdin = self.driver.shared.stdin.lock().await;
        within(
            "the driver to take a command",
            stdin.write_all(line.as_bytes()),
        )
        .await
        .expect("the driver runs");
    }

    /// Waits for an event of that name.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        if let Some(place) = self.kept.iter().position(|event| event["event"] == name) {
            return self.kept.remove(place);
        }
        loop {
            let what = format!("{name} of {}; kept: {}", self.name, brief(&self.kept));
            let event = within(&what, self.events.recv()).await;
            let event = event.unwrap_or_else(|| panic!("the driver of {} ended", self.name));
            assert_ne!(event["event"], "error", "{}: {event}", self.name);
            if event["event"] == name {
                return event;
            }
            self.kept.push(event);
        }
    }

    /// Sends a command and waits for the event that answers it.
    pub(crate) async fn ask(&mut self, command: Value, event: &str) -> Value {
        self.command(command).await;
        self.event(event).await
    }
}

fn brief(events: &[Value]) -> String {
    let text = Value::from(events).to_string();
    text.chars().take(500).collect()
}

fn route(parts: &Parts, line: &str) {
    let event: Value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("a driver wrote {line:?}: {error}"));
    let name = event["part"].as_str().unwrap_or_default();
    let parts = parts.lock().expect("no holder panics");
    // A part that was dropped wants nothing any more.
    if let Some(sender) = parts.get(name) {
        drop(sender.send(event));
    }
}

/// The folder of the programs that drive clients.
pub(crate) fn clients() -> PathBuf {
    repository().join("crates/womack/tests/clients")
}
