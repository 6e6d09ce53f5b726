//! `MULTI` and `EXEC`. As one thread executes everything, running the queue in one go is all it
//! takes; and as there are no keys, nothing that is watched ever changes.

use super::{Command, Turn, find};
use crate::transaction::Transaction;

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

/// Keeps a command for `EXEC`.
pub(super) fn queue(turn: &mut Turn<'_>) {
    let max_bytes = turn.broker.limits.max_command_bytes;
    let arguments = turn.arguments;
    let Some(transaction) = &mut turn.client_mut().transaction else {
        return;
    };
    match transaction.push(arguments, max_bytes) {
        true => turn.reply.simple("QUEUED"),
        false => turn.reject("this transaction is over its limit"),
    }
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
    let Some(transaction) = turn.client_mut().transaction.take() else {
        return turn.reply.error("EXEC without MULTI");
    };
    let Some(queue) = transaction.into_queue() else {
        let text = "Transaction discarded because of previous errors.";
        return turn.reply.error_with_code("EXECABORT", text);
    };
    turn.reply.array(queue.len());
    for arguments in &queue {
        let turn = &mut Turn {
            broker: turn.broker,
            me: turn.me,
            arguments,
            reply: turn.reply,
            in_transaction: true,
        };
        match find(arguments) {
            Ok(command) => (command.run)(turn),
            // Commands that are not found are not queued.
            Err(unknown) => turn.reject(unknown.describe(arguments)),
        }
    }
}
