//! The bodies of requests, charged by what is there of them, until whoever they are for has them.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use womack_ledger::{Ledger, grown};

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BodyError {
    /// It is longer than it may be.
    TooLarge,
    /// The connection has ended before it, or it is not what HTTP has it be.
    Broken,
}

/// Reads a body of up to `most` bytes. Announced bytes are not charged before they come, and all
/// are charged to `ledger` for as long as anybody has a part of them.
///
/// # Errors
/// [`BodyError`].
pub(super) async fn collect<B>(
    mut body: B,
    most: usize,
    ledger: &Ledger,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut held = Vec::new();
    let mut charge = ledger.hold(0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        // Trailers say nothing.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if held.len() + data.len() > most {
            return Err(BodyError::TooLarge);
        }
        held.extend_from_slice(&data);
        charge.set(grown(held.len()));
    }
    held.shrink_to_fit();
    Ok(ledger.share(held))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn body(parts: &[&'static [u8]]) -> impl Body<Data = Bytes> + Unpin {
        let frames = parts.iter().map(|part| {
            let frame = Frame::data(Bytes::from_static(part));
            Ok::<_, Infallible>(frame)
        });
        StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn a_body_is_charged_while_anybody_has_it() {
        let ledger = Ledger::default();
        let collected = collect(body(&[b"0123", b"45"]), 6, &ledger).await.unwrap();
        assert_eq!(&collected[..], b"012345");
        let part = collected.slice(1..2);
        drop(collected);
        assert_eq!(ledger.bytes(), 6);
        drop(part);
        assert_eq!(ledger.bytes(), 0);
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_dropped() {
        let ledger = Ledger::default();
        let collected = collect(body(&[b"0123", b"456"]), 6, &ledger).await;
        assert_eq!(collected, Err(BodyError::TooLarge));
        assert_eq!(ledger.bytes(), 0);
    }
}
