//! Messages between nodes.

use bytes::Bytes;
use womack_proto::relay::{Form, Message, SharedSecret};

/// A message that can be read means the same after it is written, in the envelope always and in the
/// first form wherever that has words for it. Bytes that were wrapped are the same again, and no
/// others have the MAC of the secret.
pub(crate) fn messages(data: &[u8]) {
    let secret = SharedSecret::new(b"a secret of nodes");
    assert!(secret.unwrap(1, &Bytes::copy_from_slice(data)).is_err());
    let (wrapped, bytes) = (secret.wrap(1, 2, data), Bytes::copy_from_slice(data));
    assert_eq!(secret.unwrap(1, &wrapped.into()), Ok((2, bytes)));
    let Ok(message) = Message::decode(&Bytes::copy_from_slice(data)) else {
        return;
    };
    if message.form() == Form::First {
        assert_eq!(message.encode(Form::First).as_deref(), Some(data));
    }
    let mut enveloped = message.clone();
    enveloped.epoch = Some(message.epoch.unwrap_or_default());
    let bytes = enveloped.encode(Form::Envelope).expect("every message");
    assert_eq!(Message::decode(&bytes.into()), Ok(enveloped));
}
