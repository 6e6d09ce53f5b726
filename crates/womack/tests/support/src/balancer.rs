//! The balancers of production, with the configurations that operators are given.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{eventually, free_address, http, repository};

/// The addresses in the configurations that stand for those of an operator.
const NODES: [&str; 2] = ["10.0.0.1:8111", "10.0.0.2:8111"];

/// A balancer in front of two nodes. It is ended when dropped.
pub struct Balancer {
    address: SocketAddr,
    child: Child,
    /// Its configuration, and what it writes.
    _folder: TempDir,
}

impl Balancer {
    /// HAProxy with `deploy/haproxy.cfg`.
    pub async fn haproxy(nodes: [SocketAddr; 2]) -> Self {
        Self::haproxy_with(nodes, |configuration| configuration).await
    }

    /// The same with a change that the configuration's own comments speak of.
    pub async fn haproxy_with(
        nodes: [SocketAddr; 2],
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let mut command = Command::new("haproxy");
        command.args(["-db", "-q", "-f", "balancer.conf"]);
        Self::start(command, "haproxy.cfg", "*:80", nodes, change).await
    }

    /// nginx with `deploy/nginx.conf`.
    pub async fn nginx(nodes: [SocketAddr; 2]) -> Self {
        let mut command = Command::new("nginx");
        command.args(["-p", ".", "-c", "balancer.conf", "-e", "stderr"]);
        command.args(["-g", "daemon off; pid nginx.pid;"]);
        Self::start(command, "nginx.conf", "0.0.0.0:80", nodes, |same| same).await
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, with a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn start(
        mut command: Command,
        file: &str,
        listen: &str,
        nodes: [SocketAddr; 2],
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let path = repository().join("deploy").join(file);
        let mut text = fs::read_to_string(path).expect("a configuration");
        let replaced = NODES.into_iter().zip(nodes);
        for (written, meant) in [(listen, address)].into_iter().chain(replaced) {
            assert!(text.contains(written), "{written} is in {file}");
            text = text.replace(written, &meant.to_string());
        }
        let conf = folder.path().join("balancer.conf");
        fs::write(conf, change(text)).expect("a file in a folder of ours");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} (make deps): {error}"));
        eventually("the balancer to find a node", async || {
            let answer = http::try_get(address, "/womack.js").await;
            answer.is_some_and(|answer| answer.status == 200)
        })
        .await;
        Self {
            address,
            child,
            _folder: folder,
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // The workers of an nginx that is killed would stay.
        if let Some(pid) = self.child.id() {
            let mut kill = std::process::Command::new("kill");
            kill.arg(pid.to_string()).status().expect("kill runs");
        }
    }
}
