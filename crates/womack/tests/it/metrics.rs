//! `/metrics` counts what happens.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use womack_test_support::metrics::{self, Metrics};
use womack_test_support::{Client, Polling, Redis, Server, http, repository};

/// The operators' manual.
fn manual() -> String {
    let path = repository().join("deploy/README.md");
    fs::read_to_string(path).expect("the manual is there")
}

/// What stands between back quotes in the first column of the manual's tables.
fn described() -> BTreeSet<String> {
    let manual = manual();
    let rows = manual.lines().filter_map(|line| {
        let first = line.strip_prefix("| `")?.split(" | ").next()?;
        Some(first.trim_end_matches('`').to_owned())
    });
    rows.flat_map(|first| first.split("`, `").map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The metrics of a server as the manual writes them: with the names of their labels.
fn exposed(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let suffix = if kind == "counter" { "_total" } else { "" };
        let sample = text
            .lines()
            .find(|line| line.starts_with(name) && !line.starts_with('#'));
        let labels = sample.and_then(|line| line.split_once('{')?.1.split_once('='));
        let label = labels
            .map(|(label, _)| label)
            .filter(|label| *label != "le");
        names.insert(match label {
            Some(label) => format!("{name}{suffix}{{{label}}}"),
            None => format!("{name}{suffix}"),
        });
    }
    names
}

#[tokio::test]
async fn every_metric_is_in_the_manual_and_the_other_way_round() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let answer = http::get(server.address(), "/metrics").await;
    let kind = answer.header("content-type");
    assert!(kind.contains("openmetrics-text"), "{kind}");
    let text = answer.text();
    let without_labels = |names: BTreeSet<String>| -> BTreeSet<String> {
        let bare = names
            .iter()
            .map(|name| name.split('{').next().unwrap_or(name).to_owned());
        bare.filter(|name| name.starts_with("womack_")).collect()
    };
    assert_eq!(
        without_labels(exposed(&text)),
        without_labels(described()),
        "left: /metrics, right: deploy/README.md"
    );
    for name in exposed(&text) {
        let known = described().contains(&name) || !name.contains('{');
        assert!(
            known,
            "deploy/README.md does not have {name} with its label"
        );
        let family = name
            .split('{')
            .next()
            .unwrap_or(&name)
            .trim_end_matches("_total");
        let help = format!("# HELP {family} ");
        assert!(
            text.lines().any(|line| line.starts_with(&help)),
            "{family} has no help"
        );
    }
    for channel_label in ["channel=", "sid=", "room="] {
        assert!(!text.contains(channel_label), "{channel_label}");
    }
}

#[tokio::test]
async fn every_close_reason_is_in_the_manual_and_at_zero_from_the_start() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let text = http::get(server.address(), "/metrics").await.text();
    let reasons: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix("womack_connections_closed_total{reason=\"")?;
            rest.strip_suffix("\"} 0")
        })
        .collect();
    assert!(reasons.contains("slow_consumer"), "{reasons:?}");
    let described = described();
    for reason in reasons {
        assert!(
            described.contains(reason),
            "deploy/README.md does not have {reason}"
        );
    }
}

#[tokio::test]
async fn every_limit_is_in_the_readme_and_some_test_waits_for_it() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let text = http::get(server.address(), "/metrics").await.text();
    let limits = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("womack_limit_reached_total{limit=\"")?;
        rest.strip_suffix("\"} 0")
    });
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let paths = ["it", "it/promises", "alone"]
        .into_iter()
        .flat_map(|folder| {
            let folder = repository().join("crates/womack/tests").join(folder);
            let tests = fs::read_dir(folder).expect("tests");
            tests.map(|entry| entry.expect("a test").path())
        });
    let sources: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == "rs"))
        .map(|path| fs::read_to_string(path).expect("a source"))
        .filter(|source| source.contains("metrics::limit("))
        .collect();
    let mut count = 0;
    for limit in limits {
        assert!(readme.contains(&format!("`{limit}`")), "{limit}");
        let flag = format!("`--{}`", limit.replace('_', "-"));
        let has_flag = readme.contains(&flag);
        assert_ne!(has_flag, limit == "open_files", "{flag}");
        let literal = format!("\"{limit}\"");
        let is_tested = sources.iter().any(|source| source.contains(&literal));
        assert!(is_tested, "no test reaches {limit}");
        count += 1;
    }
    assert!(count > 20, "{text}");
}

#[tokio::test]
async fn metrics_count_connections_subscriptions_and_messages() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let at = server.address();
    let mut socket = Client::connect(at).await;
    let mut polling = Polling::connect(at).await;
    socket.subscribe("a").await;
    socket.subscribe("b").await;
    polling.subscribe("a").await;
    for (name, labels, value) in [
        ("womack_connections", r#"transport="websocket""#, 1.0),
        ("womack_connections", r#"transport="polling""#, 1.0),
        ("womack_connections_opened_total", "", 2.0),
        ("womack_subscriptions", "", 3.0),
        ("womack_redis_channels", "", 2.0),
        ("womack_redis_connected", "", 1.0),
        ("womack_events_total", "", 3.0),
    ] {
        metrics::reaches(at, name, labels, value).await;
        let found = Metrics::of(at).await.sum(name, labels);
        assert!(
            found < value + 0.5,
            "{name}{{{labels}}} is {found}, not {value}"
        );
    }
    redis.publish("a", "1").await;
    redis.publish("a", "{not json").await;
    redis.publish("b", "2").await;
    assert_eq!(socket.message("a").await, "1");
    assert_eq!(socket.message("b").await, "2");
    assert_eq!(polling.message("a").await, "1");
    metrics::reaches(at, "womack_messages_received_total", "", 2.0).await;
    metrics::reaches(
        at,
        "womack_messages_rejected_total",
        r#"reason="json""#,
        1.0,
    )
    .await;
    metrics::reaches(at, "womack_deliveries_total", "", 3.0).await;
    metrics::reaches(at, "womack_sent_bytes_total", "", 20.0).await;
    metrics::reaches(at, "womack_delivery_seconds_count", "", 1.0).await;
    socket.close().await;
    metrics::reaches(at, "womack_connections_closed_total", "", 1.0).await;
    let metrics = Metrics::of(at).await;
    assert!(metrics.sum("womack_connections", r#"transport="websocket""#) < 0.5);
}

/// Every word of a text that is the name of a metric.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("womack_")).collect()
}

#[tokio::test]
async fn every_metric_of_the_board_exists() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let path = repository().join("deploy/grafana/womack.json");
    let board = fs::read_to_string(path).expect("the board is there");
    let parsed: Value = serde_json::from_str(&board).expect("the board is JSON");
    let panels = parsed["panels"].as_array().expect("panels");
    let mut places = BTreeSet::new();
    for panel in panels {
        assert!(
            places.insert(panel["id"].as_u64()),
            "{panel} has another one's number"
        );
        let is_row = panel["type"] == "row";
        let targets = panel["targets"].as_array();
        assert_eq!(targets.is_some_and(|targets| !targets.is_empty()), !is_row);
    }
    let metrics = Metrics::of(server.address()).await;
    let names = metric_names(&board);
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(
            metrics.has(name),
            "{name} is on the board and not in /metrics"
        );
    }
}
