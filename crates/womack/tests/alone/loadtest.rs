//! The load tests that users run against a deployment, in their short form against a fresh server.

use std::process::Output;

use serde_json::json;
use tokio::process::Command;
use womack_test_support::{Broker, Redis, Server, metrics, repository};

use crate::turn;

/// Runs one script of `loadtest/` with its publisher, and returns what it said.
async fn run(server: &Server, redis: &Redis, script: &str) -> String {
    let output = command("python")
        .arg(repository().join("loadtest/run.py"))
        .args([
            "--short",
            "--url",
            &server.url(""),
            "--redis-url",
            &redis.url(),
        ])
        .args(["--only", script])
        .output()
        .await
        .expect("make deps has made the virtual environment");
    let text = said(&output);
    assert!(
        output.status.success(),
        "{script}: {}\n{text}",
        output.status
    );
    text
}

/// A program of the virtual environment that `make deps` makes.
fn command(program: &str) -> Command {
    let mut command = Command::new(repository().join("target/venv/bin").join(program));
    command.kill_on_drop(true);
    command
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

#[tokio::test]
async fn every_script_keeps_its_thresholds() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for script in ["connect", "fanout", "channels", "polling", "churn", "slow"] {
        let text = run(&server, &redis, script).await;
        // k6 has looked at thresholds, and at no others than those that were kept.
        assert!(text.contains("✓ 'count=="), "{text}");
        assert!(!text.contains('✗'), "{text}");
    }
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        r#"reason="slow_consumer""#,
        2.0,
    )
    .await;
}

#[tokio::test]
async fn a_message_that_is_missing_crosses_a_threshold() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let script = repository().join("loadtest/fanout.js");
    let mut command = command("k6");
    command
        .args(["run", "--quiet", "--no-usage-report"])
        .arg(script)
        .envs([
            ("URL", server.url("")),
            ("CLIENTS", "2".to_owned()),
            ("RAMP", "1ms".to_owned()),
            ("LATENCY", "1h".to_owned()),
        ]);
    let publish = async {
        metrics::reaches(server.address(), "womack_subscriptions", "", 2.0).await;
        for seq in [0, 2] {
            let stamp = json!({ "data": { "run": "r", "seq": seq, "of": 3, "sent": 0 } });
            redis.publish("loadtest", &stamp.to_string()).await;
        }
    };
    let (output, ()) = tokio::join!(command.output(), publish);
    let output = output.expect("make deps has installed k6");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(99), "{text}");
    let missing = text.lines().find(|line| line.contains("messages_missing"));
    assert!(missing.is_some(), "{text}");
}
