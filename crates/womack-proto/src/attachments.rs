//! A packet that waits for its attachments.

use std::time::Instant;

use bytes::Bytes;

use crate::{
    error::DecodeError,
    event::Event,
    output::Output,
    rules::{Limits, NamespaceId},
};

/// The text of a packet that can have attachments.
#[derive(Debug)]
pub(crate) enum Head {
    Event {
        name: String,
        args: String,
        ack: Option<u64>,
    },
    Ack {
        id: u64,
        args: String,
    },
}

impl Head {
    /// What the caller gets when all attachments are there.
    pub(crate) fn complete(self, namespace: NamespaceId, attachments: Vec<Bytes>) -> Output {
        match self {
            Self::Event { name, args, ack } => Output::Event {
                namespace,
                event: Event {
                    name,
                    args,
                    attachments,
                    ack,
                },
            },
            Self::Ack { id, args } => Output::Ack {
                namespace,
                id,
                args,
                attachments,
            },
        }
    }
}

/// A packet some of whose attachments have yet to come.
#[derive(Debug)]
pub(crate) struct Partial {
    namespace: NamespaceId,
    head: Head,
    attachments: Vec<Bytes>,
    missing: usize,
    bytes: usize,
    deadline: Instant,
}

impl Partial {
    /// A packet that waits for `missing` attachments, one at least, until `deadline`.
    ///
    /// # Errors
    /// [`DecodeError::TooManyAttachments`].
    pub(crate) fn new(
        namespace: NamespaceId,
        head: Head,
        missing: usize,
        deadline: Instant,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        if missing > limits.max_attachments {
            return Err(DecodeError::TooManyAttachments {
                max: limits.max_attachments,
            });
        }
        Ok(Self {
            namespace,
            head,
            attachments: Vec::new(),
            missing,
            bytes: 0,
            deadline,
        })
    }

    /// Takes the next attachment.
    ///
    /// # Errors
    /// [`DecodeError::AttachmentsTooLarge`].
    pub(crate) fn add(&mut self, data: Bytes, limits: &Limits) -> Result<(), DecodeError> {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > limits.max_attachment_bytes {
            return Err(DecodeError::AttachmentsTooLarge {
                max: limits.max_attachment_bytes,
            });
        }
        // A copy, since the data may be a small part of what its decoder has read.
        self.attachments.push(Bytes::copy_from_slice(&data));
        self.missing = self.missing.saturating_sub(1);
        Ok(())
    }

    pub(crate) fn complete(self) -> Output {
        self.head.complete(self.namespace, self.attachments)
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.missing == 0
    }

    pub(crate) const fn namespace(&self) -> NamespaceId {
        self.namespace
    }

    /// Bytes of memory that it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        let head = match &self.head {
            Head::Event { name, args, .. } => name.len() + args.len(),
            Head::Ack { args, .. } => args.len(),
        };
        let attachments = self.attachments.capacity() * size_of::<Bytes>();
        size_of::<Self>() + head + attachments + self.bytes
    }

    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }
}
