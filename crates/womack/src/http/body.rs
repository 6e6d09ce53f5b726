//! The body of a response.

use bytes::Bytes;
use http_body_util::{Either, Full};

use super::event_body::EventBody;

/// Bytes that are there, or an event stream.
pub(super) type Body = Either<Full<Bytes>, EventBody>;
