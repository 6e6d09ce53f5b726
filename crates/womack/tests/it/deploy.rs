//! The files of `deploy/` name what there is: flags, ports, paths and one another.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;
use womack_test_support::{Launch, repository};

/// The documents of a YAML file.
async fn yaml(name: &str) -> Vec<Value> {
    let script = "import json, sys, yaml\n\
                  json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let output = Command::new(repository().join("target/venv/bin/python"))
        .args(["-c", script])
        .arg(repository().join("deploy").join(name))
        .output()
        .await
        .expect("make deps has made the virtual environment");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text(name: &str) -> String {
    let path = repository().join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every word that begins with `start`, as far as it is a name.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let places = text.match_indices(start).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    });
    let names = places.map(|(at, _)| {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let rest = &text[at..];
        rest[..rest.find(|c| !name(c)).unwrap_or(rest.len())].to_owned()
    });
    // A rule in a table is no flag.
    let is_name = |name: &String| name[start.len()..].starts_with(|c: char| c.is_alphanumeric());
    names.filter(is_name).collect()
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let below = path
                .strip_prefix(repository().join("deploy"))
                .expect("below it");
            found.push(below.to_string_lossy().into_owned());
        }
    }
}

#[tokio::test]
async fn every_flag_and_variable_exists() {
    let mut known = BTreeSet::new();
    for subcommand in [&["--help"][..], &["health", "--help"], &["top", "--help"]] {
        let launch = subcommand
            .iter()
            .fold(Launch::bare(), |launch, word| launch.arg(word));
        let (status, lines) = launch.output().await;
        assert_eq!(status, Some(0));
        let help = lines.join("\n");
        known.append(&mut words(&help, "--"));
        known.append(&mut words(&help, "WOMACK_"));
    }
    assert!(known.contains("--admin-listen") && known.contains("WOMACK_ADMIN"));
    let mut names = Vec::new();
    files(&repository().join("deploy"), &mut names);
    for name in names {
        let text = text(&name);
        for variable in words(&text, "WOMACK_") {
            assert!(
                known.contains(&variable),
                "{name} has {variable}, which is no setting"
            );
        }
        // Other programs have flags, too: only what runs womack, and what speaks of it, is asked.
        let runs_womack = name.ends_with(".service") || name == "README.md";
        let flags = words(&text, "--");
        for flag in flags.iter().filter(|_| runs_womack) {
            let others = ["--build", "--now", "--release", "--system"];
            let is_known = known.contains(flag) || others.contains(&flag.as_str());
            assert!(is_known, "{name} has {flag}, which is no flag");
        }
    }
}

#[tokio::test]
async fn compose_starts_two_nodes_that_write_nothing() {
    let compose = &yaml("compose.yaml").await[0];
    let haproxy = text("haproxy.cfg");
    for node in ["node1", "node2"] {
        let service = &compose["services"][node];
        assert_eq!(service["read_only"], true);
        assert_eq!(service["build"]["dockerfile"], "deploy/Dockerfile");
        let address = service["networks"]["clients"]["ipv4_address"].as_str();
        let address = address.expect("an address");
        assert!(
            haproxy.contains(&format!("{address}:8111")),
            "haproxy.cfg has no {address}"
        );
    }
    let mount = compose["services"]["haproxy"]["volumes"][0]
        .as_str()
        .expect("a mount");
    assert!(mount.starts_with("./haproxy.cfg:"));
}

#[tokio::test]
async fn kubernetes_objects_find_one_another() {
    let deployment = &yaml("k8s/deployment.yaml").await[0];
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let ports: Vec<_> = container["ports"]
        .as_array()
        .expect("ports")
        .iter()
        .collect();
    let port = |name: &Value| ports.iter().any(|port| port["name"] == *name);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(port(&container[probe]["httpGet"]["port"]), "{probe}");
    }
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");

    // A kubelet does not start an image whose user has a name where root is ruled out.
    let rights = &deployment["spec"]["template"]["spec"]["securityContext"];
    assert_eq!(rights["runAsNonRoot"], true);
    assert_eq!(
        (&rights["runAsUser"], &rights["runAsGroup"]),
        (&65532.into(), &65532.into())
    );

    let services = yaml("k8s/service.yaml").await;
    for service in &services {
        assert_eq!(&service["spec"]["selector"], labels);
        assert!(port(&service["spec"]["ports"][0]["targetPort"]));
    }
    let monitor = &yaml("k8s/servicemonitor.yaml").await[0];
    let wanted = monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .expect("labels");
    let monitored = services.iter().filter(|service| {
        wanted
            .iter()
            .all(|(name, value)| service["metadata"]["labels"][name] == *value)
    });
    let monitored: Vec<_> = monitored.collect();
    assert_eq!(monitored.len(), 1, "one service for operators");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], monitored[0]["spec"]["ports"][0]["name"]);

    let budget = &yaml("k8s/poddisruptionbudget.yaml").await[0];
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    let scaler = &yaml("k8s/horizontalpodautoscaler.yaml").await[0];
    assert_eq!(scaler["spec"]["scaleTargetRef"]["kind"], "Deployment");
    assert_eq!(
        scaler["spec"]["scaleTargetRef"]["name"],
        deployment["metadata"]["name"]
    );

    let kustomization = &yaml("k8s/kustomization.yaml").await[0];
    for resource in kustomization["resources"].as_array().expect("resources") {
        text(&format!("k8s/{}", resource.as_str().expect("a name")));
    }
}

#[tokio::test]
async fn kubernetes_keeps_operators_pages_and_the_url_of_redis_from_others() {
    let deployment = &yaml("k8s/deployment.yaml").await[0];
    let template = &deployment["spec"]["template"];
    let container = &template["spec"]["containers"][0];
    let policy = &yaml("k8s/networkpolicy.yaml").await[0];
    let selected = &policy["spec"]["podSelector"]["matchLabels"];
    assert_eq!(selected, &template["metadata"]["labels"]);
    for rule in policy["spec"]["ingress"].as_array().expect("rules") {
        let name = &rule["ports"][0]["port"];
        let mut ports = container["ports"].as_array().expect("ports").iter();
        assert!(ports.any(|port| port["name"] == *name), "{name}");
        assert_eq!(name == "admin", rule["from"].is_array(), "{rule}");
    }

    let secret = &container["env"][0]["valueFrom"]["secretKeyRef"];
    let kustomization = &yaml("k8s/kustomization.yaml").await[0];
    let generated = &kustomization["secretGenerator"][0];
    assert_eq!(secret["name"], generated["name"]);
    let literal = generated["literals"][0].as_str().expect("a literal");
    let key = secret["key"].as_str().expect("a key");
    assert!(literal.starts_with(&format!("{key}=")), "{literal}");
}

#[test]
fn every_sysctl_value_exists_and_says_why() {
    let text = text("sysctl.conf");
    let mut before = "";
    for line in text.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with('#') {
            assert!(before.starts_with("# "), "{line:?} does not say why");
            let (key, value) = line.split_once(" = ").expect("a key and a value");
            assert!(!value.trim().is_empty());
            let file = Path::new("/proc/sys").join(key.replace('.', "/"));
            assert!(key.starts_with('-') || file.exists(), "{key} is not known");
        }
        before = line;
    }
}

#[test]
fn nginx_closes_idle_connections_before_nodes_do() {
    let text = text("nginx.conf");
    let (_, upstream) = text.split_once("upstream womack {").expect("nodes");
    let (_, time) = upstream.split_once("keepalive_timeout ").expect("a time");
    let (seconds, _) = time.split_once("s;").expect("a time in seconds");
    let seconds: u64 = seconds.parse().expect("a number");
    assert!(seconds < womack::Config::default().keep_alive.as_secs());
}

#[test]
fn a_service_keeps_its_secrets_and_its_memory_to_itself() {
    let text = text("womack.service");
    let line = |start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no {start}"))
    };
    let (credential, _) = line("LoadCredential=").split_once(':').expect("a file");
    let read = format!("--config ${{CREDENTIALS_DIRECTORY}}/{credential}");
    assert!(line("ExecStart=").ends_with(&read), "{read}");
    assert!(line("MemoryMax=").ends_with('%'));
}

#[test]
fn image_runs_without_rights_and_asks_for_its_health() {
    let dockerfile = text("Dockerfile");
    let (_, image) = dockerfile.rsplit_once("\nFROM ").expect("the last stage");
    for part in [
        "USER 65532:65532",
        "HEALTHCHECK",
        r#""/usr/local/bin/womack", "health""#,
    ] {
        assert!(image.contains(part), "{part}");
    }
}
