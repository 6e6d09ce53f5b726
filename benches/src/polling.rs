//! A client's long-polling: one connection, one request at a time.

use std::mem;

/// The state of a polling session.
#[derive(Default)]
pub struct Polling {
    /// Empty until the open packet has come.
    sid: String,
    /// Packets to post before the next poll.
    outgoing: Vec<u8>,
}

impl Polling {
    /// Takes the session id from `0{"sid":"…",…}`.
    pub fn open(&mut self, packet: &[u8]) {
        let open = serde_json::from_slice(&packet[1..]).unwrap_or(serde_json::Value::Null);
        self.sid = open["sid"].as_str().unwrap_or_default().to_owned();
    }

    /// Keeps a packet for the next request.
    pub fn push(&mut self, packet: &[u8]) {
        if !self.outgoing.is_empty() {
            self.outgoing.push(0x1e);
        }
        self.outgoing.extend_from_slice(packet);
    }

    /// What to ask next: a post if there is something to say, a poll if not.
    pub fn request(&mut self) -> Vec<u8> {
        let mut target = "/socket.io/?EIO=4&transport=polling".to_owned();
        if !self.sid.is_empty() {
            target = format!("{target}&sid={}", self.sid);
        }
        let body = mem::take(&mut self.outgoing);
        if body.is_empty() {
            return format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        }
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_posted_before_the_next_poll() {
        let mut polling = Polling::default();
        polling.open(br#"0{"sid":"abc"}"#);
        polling.push(b"40");
        polling.push(b"3");
        let post = polling.request();
        assert!(post.starts_with(b"POST /socket.io/?EIO=4&transport=polling&sid=abc "));
        assert!(post.ends_with(b"\r\n\r\n40\x1e3"));
        assert!(polling.request().starts_with(b"GET "));
    }
}
