//! A packet that waits for its attachments.
