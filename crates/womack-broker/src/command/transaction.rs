//! `MULTI` and `EXEC`. As one thread executes everything, running the queue in one go is all it
//! takes; and as there are no keys, nothing that is watched ever changes.

use std::mem;

use bytes::Bytes;

use super::{Command, Turn};

pub(super) const COMMANDS: &[Command] = &[
    transactions("multi", 1, "Starts a transaction", multi),
    transactions("exec", 1, "Executes what was queued since MULTI", exec),
    transactions(
        "discard",
        1,
        "Forgets what was queued since MULTI",
        |turn| match turn.client_mut().transaction.take() {
            Some(_) => turn.reply.ok(),
            None => turn.reply.error("DISCARD without MULTI"),
        },
    ),
    transactions(
        "watch",
        -2,
        "Does nothing: no key ever changes",
        |turn| match turn.client().transaction {
            Some(_) => turn.reply.error("WATCH inside MULTI is not allowed"),
            None => turn.reply.ok(),
        },
    ),
    transactions("unwatch", 1, "Does nothing: no key is watched", |turn| {
        turn.reply.ok()
    }),
];

const fn transactions(
    name: &'static str,
    arity: i64,
    summary: &'static str,
    run: fn(&mut Turn<'_>),
) -> Command {
    Command::new(name, arity, "transactions", summary, run)
}

/// Commands queued since `MULTI`.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queue: Vec<(&'static Command, Vec<Bytes>)>,
    bytes: usize,
    /// Set by a command that could not be queued: `EXEC` will then do nothing.
    aborted: bool,
}

impl Transaction {
    /// Makes `EXEC` fail.
    pub(super) fn abort(&mut self) {
        self.aborted = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Keeps a command for `EXEC`.
pub(super) fn queue(turn: &mut Turn<'_>, command: &'static Command) {
    let max_bytes = turn.broker.limits.max_command_bytes;
    let arguments = turn.arguments;
    let Some(transaction) = &mut turn.client_mut().transaction else {
        return;
    };
    let cost = |argument: &Bytes| argument.len() + size_of::<Bytes>();
    transaction.bytes += arguments.iter().map(cost).sum::<usize>();
    if transaction.bytes > max_bytes {
        transaction.queue.clear();
        return turn.reject("this transaction is over its limit");
    }
    // Copied, because a slice of the input buffer would keep all of it in memory.
    let arguments = arguments
        .iter()
        .map(|argument| Bytes::copy_from_slice(argument))
        .collect();
    transaction.queue.push((command, arguments));
    turn.reply.simple("QUEUED");
}

fn multi(turn: &mut Turn<'_>) {
    let client = turn.client_mut();
    if client.transaction.is_some() {
        return turn.reply.error("MULTI calls can not be nested");
    }
    client.transaction = Some(Transaction::default());
    turn.reply.ok();
}

fn exec(turn: &mut Turn<'_>) {
    let Some(transaction) = turn.client_mut().transaction.as_mut() else {
        return turn.reply.error("EXEC without MULTI");
    };
    let transaction = mem::take(transaction);
    turn.client_mut().transaction = None;
    if transaction.aborted {
        let text = "Transaction discarded because of previous errors.";
        return turn.reply.error_with_code("EXECABORT", text);
    }
    turn.reply.array(transaction.queue.len());
    for (command, arguments) in &transaction.queue {
        (command.run)(&mut Turn {
            broker: turn.broker,
            me: turn.me,
            arguments,
            reply: turn.reply,
            in_transaction: true,
        });
    }
}
