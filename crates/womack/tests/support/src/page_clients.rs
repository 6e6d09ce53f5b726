use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Page;
use crate::driver::clients;
use crate::{Driver, Server};

/// Clients in one page of a browser, all subscribed to the channel `a`.
pub struct PageClients {
    page: Page,
    /// Their names and session ids.
    clients: Vec<(String, String)>,
}

impl PageClients {
    /// Opens a page of the server's, and waits until the subscriptions are live.
    ///
    /// A script is followed by what is made when it has been loaded: what it calls itself, as
    /// `page_clients.js` has it, and a transport.
    pub async fn open(
        driver: &Driver,
        server: &Server,
        scripts: &[(Option<&Path>, &[[&str; 2]])],
    ) -> Self {
        let mut page = Page::open(driver, &server.url("/healthz")).await;
        page.script(&clients().join("page_clients.js")).await;
        let mut names = Vec::new();
        for (script, kinds) in scripts {
            if let Some(script) = script {
                page.script(script).await;
            }
            for [kind, transport] in *kinds {
                let name = format!("{kind} {transport} {}", names.len());
                let connect = format!(
                    "connect[{}]({}, {})",
                    json!(kind),
                    json!(name),
                    json!(transport)
                );
                page.evaluate(&connect).await;
                names.push(name);
            }
        }
        let mut clients = Vec::new();
        for name in names {
            let client = format!("clients[{}]", json!(name));
            page.until(&format!("{client}.live")).await;
            let id = page.evaluate(&format!("{client}.id")).await;
            clients.push((name, id.as_str().expect("a session id").to_owned()));
        }
        Self { page, clients }
    }

    /// The names and session ids of the clients.
    pub fn clients(&self) -> &[(String, String)] {
        &self.clients
    }

    /// Waits until a client has got so many messages, and takes all that it has, each the list of
    /// an event's arguments as JSON.
    pub async fn take(&mut self, name: &str, count: usize) -> Vec<String> {
        let got = format!("clients[{}].got", json!(name));
        self.page.until(&format!("{got}.length >= {count}")).await;
        let Value::Array(messages) = self.page.evaluate(&format!("{got}.splice(0)")).await else {
            panic!("{name} keeps messages in a list");
        };
        let texts = messages.iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }
}
