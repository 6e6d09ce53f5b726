//! Chromium, through playwright.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Driver;
use crate::driver::Part;

/// One browser with one page, which has a user data folder of its own.
pub struct Page {
    part: Part,
}

impl Page {
    /// Starts a browser and loads a page.
    pub async fn open(driver: &Driver, url: &str) -> Self {
        Self::open_with(driver, url, &[]).await
    }

    /// Starts a browser and loads a page. What the patterns of URLs in `files` name comes from
    /// the files beside them, and from no server.
    pub async fn open_with(driver: &Driver, url: &str, files: &[(&str, &Path)]) -> Self {
        let files: Map<String, Value> = files
            .iter()
            .map(|(pattern, path)| ((*pattern).to_owned(), json!(path)))
            .collect();
        let mut part = driver.part("page");
        part.ask(
            json!({ "do": "open", "url": url, "files": files }),
            "opened",
        )
        .await;
        Self { part }
    }

    /// Loads another page in the same browser.
    pub async fn goto(&mut self, url: &str) {
        self.part
            .ask(json!({ "do": "goto", "url": url }), "opened")
            .await;
    }

    /// Runs a script from a file as one of the page's own.
    pub async fn script(&mut self, path: &Path) {
        self.part
            .ask(json!({ "do": "script", "path": path }), "done")
            .await;
    }

    /// Fills an input.
    pub async fn fill(&mut self, selector: &str, text: &str) {
        let command = json!({ "do": "fill", "selector": selector, "text": text });
        self.part.ask(command, "done").await;
    }

    /// Clicks on an element.
    pub async fn click(&mut self, selector: &str) {
        self.part
            .ask(json!({ "do": "click", "selector": selector }), "done")
            .await;
    }

    /// Shows the page on a screen of that size, in pixels, with the colour scheme `light` or
    /// `dark`.
    pub async fn view(&mut self, width: u32, height: u32, scheme: &str) {
        let command = json!({ "do": "view", "width": width, "height": height, "scheme": scheme });
        self.part.ask(command, "done").await;
    }

    /// Waits until `#log` holds at least `count` lines, and returns their spans' texts, trimmed.
    pub async fn log(&mut self, count: usize) -> Vec<Vec<String>> {
        let event = self
            .part
            .ask(json!({ "do": "log", "count": count }), "log")
            .await;
        serde_json::from_value(event["lines"].clone()).expect("lines of texts")
    }

    /// Waits until some line of `#log` reads `text`.
    pub async fn logged(&mut self, text: &str) {
        self.part
            .ask(json!({ "do": "logged", "text": text }), "done")
            .await;
    }

    /// Evaluates an expression in the page, waiting for it if it is a promise.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let command = json!({ "do": "evaluate", "expression": expression });
        let mut event = self.part.ask(command, "value").await;
        event["value"].take()
    }

    /// Waits until an expression in the page is true.
    pub async fn until(&mut self, expression: &str) {
        let command = json!({ "do": "until", "expression": expression });
        self.part.ask(command, "done").await;
    }
}
