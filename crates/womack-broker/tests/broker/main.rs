//! The broker as its clients see it: over TCP, beside a real Redis, from real clients.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to end it")]

mod clients;
mod connections;
mod decoder;
mod dialogues;
mod limits;
mod patterns;
mod support;
