//! Polls whose answers lie unread, by session.
//!
//! A session that polls anew before it has read the answer before has given that up, or has the
//! server keep an answer for each of its connections. Either way the answer is lost, and with it the
//! session.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
};

use tokio::sync::Notify;
use womack_engine::Sid;

/// Sessions of which a connection of this shard has an answer that its client does not read, and
/// what breaks that connection off.
#[derive(Default)]
pub(crate) struct StalledPolls(RefCell<HashMap<Sid, Weak<Notify>>>);

impl StalledPolls {
    /// The client of the connection that `cut` breaks off does not read an answer to `sid`.
    pub(super) fn add(&self, sid: Sid, cut: &Rc<Notify>) {
        self.0.borrow_mut().insert(sid, Rc::downgrade(cut));
    }

    /// It does, or the connection has ended.
    pub(super) fn remove(&self, sid: Sid, cut: &Rc<Notify>) {
        let mut stalled = self.0.borrow_mut();
        let its = stalled.get(&sid).is_some_and(|found| {
            let cut = Rc::downgrade(cut);
            found.ptr_eq(&cut)
        });
        if its {
            stalled.remove(&sid);
        }
    }

    /// `sid` polls anew: breaks off the connection with an answer to it that was not read.
    pub(super) fn end(&self, sid: Sid) {
        let cut = self.0.borrow_mut().remove(&sid);
        if let Some(cut) = cut.and_then(|cut| cut.upgrade()) {
            cut.notify_one();
        }
    }
}
