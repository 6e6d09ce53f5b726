//! A client as it is seen when everything is at rest.

use std::{cell::RefCell, rc::Rc};

use crate::events::Member;

/// A client as it is seen when everything is at rest.
pub(crate) trait Visitor {
    /// Reads what has come.
    fn read(&mut self);

    /// Everything that was promised has come. Returns the channels that the client wants, each with
    /// the node of its session.
    fn check_at_rest(&self) -> Vec<(usize, Member)>;
}

/// The clients that are there at rest.
pub(crate) type Standing = Rc<RefCell<Vec<Box<dyn Visitor>>>>;
