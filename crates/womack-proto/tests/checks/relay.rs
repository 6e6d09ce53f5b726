//! What nodes say to one another.

use bytes::Bytes;
use womack_proto::relay::Message;

/// What can be read is written as it was.
pub(crate) fn messages(data: &[u8]) {
    if let Some(message) = Message::decode(&Bytes::copy_from_slice(data)) {
        assert_eq!(message.encode(), data);
    }
}
