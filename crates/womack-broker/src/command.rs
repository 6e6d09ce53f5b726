//! From a decoded command to its reply.

mod client;
mod connection;
mod introspection;
mod pubsub;
mod server;
#[cfg(test)]
mod tests;
mod transaction;

use std::time::Instant;

use bytes::Bytes;

use crate::broker::{Broker, ClientKey};
use crate::client::{Client, Ending};
use crate::reply::{Protocol, Reply};

/// The Redis whose answers these are.
const REDIS_VERSION: &str = "7.0.15";

/// How much of an unknown command its error quotes, and how much of the arguments.
const QUOTED_BYTES: usize = 128;

/// All commands, those first that are asked for most.
const COMMANDS: [&[Command]; 5] = [
    pubsub::COMMANDS,
    connection::COMMANDS,
    transaction::COMMANDS,
    server::COMMANDS,
    introspection::COMMANDS,
];

/// A command, or one behind another's name: `client|setname`.
#[derive(Debug)]
pub(crate) struct Command {
    /// In lower case.
    name: &'static str,
    /// How many arguments there must be, the name included; negative: at least so many.
    arity: i64,
    group: &'static str,
    summary: &'static str,
    subcommands: &'static [Self],
    run: fn(&mut Turn<'_>),
}

/// One command being executed.
pub(crate) struct Turn<'a> {
    broker: &'a mut Broker,
    me: ClientKey,
    arguments: &'a [Bytes],
    reply: &'a mut Reply,
    /// Whether `EXEC` runs the command, which may then not wait or change what the client is.
    in_transaction: bool,
}

/// Executes one command of the client `me` and puts the reply into its outbox.
pub(crate) fn execute(broker: &mut Broker, me: ClientKey, arguments: &[Bytes]) {
    broker.commands += 1;
    let max_output_bytes = broker.limits.max_output_bytes;
    let client = broker.client_mut(me);
    client.activity.touch(Instant::now());
    client.outbox.hold();
    let mut reply = Reply::new(client.protocol, max_output_bytes);
    reply.muted = client.replies.take_muted();

    dispatch(&mut Turn {
        broker,
        me,
        arguments,
        reply: &mut reply,
        in_transaction: false,
    });

    let client = broker.client_mut(me);
    if reply.overflowed() {
        client.cut_off();
    }
    client.release(reply.into_bytes());
}

/// Checks a command in the order in which Redis does, then runs or queues it.
fn dispatch(turn: &mut Turn<'_>) {
    let command = match find(turn.arguments) {
        Ok(command) => command,
        Err(Unknown::Http) => {
            // A web page can make a browser send such a request to this port. Its body may hold
            // commands, which must not be executed.
            tracing::debug!(id = turn.client().id, "web request refused");
            turn.client_mut().ending = Some(Ending::Drop);
            return;
        }
        Err(unknown) => return turn.reject(unknown.describe(turn.arguments)),
    };
    if !command.accepts(turn.arguments.len()) {
        let name = command.name;
        return turn.reject(format!("wrong number of arguments for '{name}' command"));
    }
    let client = turn.client_mut();
    client.activity.record(command.name);
    if client.is_subscriber() && client.protocol == Protocol::Resp2 && !command.is_for_subscribers()
    {
        let name = command.name;
        return turn.reject(format!(
            "Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context"
        ));
    }
    if client.transaction.is_some() && !command.is_immediate() {
        return transaction::queue(turn);
    }
    (command.run)(turn);
}

/// Finds the command that `arguments` name.
fn find(arguments: &[Bytes]) -> Result<&'static Command, Unknown> {
    let name = &arguments[0];
    let Some(command) = all().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
    else {
        let http = ["post", "host:"];
        return Err(
            match http
                .iter()
                .any(|word| name.eq_ignore_ascii_case(word.as_bytes()))
            {
                true => Unknown::Http,
                false => Unknown::Command,
            },
        );
    };
    match arguments.get(1) {
        Some(name) if !command.subcommands.is_empty() => command
            .subcommands
            .iter()
            .find(|command| name.eq_ignore_ascii_case(command.last_name().as_bytes()))
            .ok_or(Unknown::Subcommand),
        _ => Ok(command),
    }
}

fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.into_iter().flatten()
}

/// Why no command was found.
enum Unknown {
    Command,
    Subcommand,
    /// A line of an HTTP request.
    Http,
}

impl Unknown {
    fn describe(&self, arguments: &[Bytes]) -> Vec<u8> {
        let name = quote(&arguments[0], QUOTED_BYTES);
        if matches!(self, Self::Subcommand) {
            let subcommand = quote(&arguments[1], QUOTED_BYTES);
            let name = name.to_ascii_uppercase();
            return [
                b"unknown subcommand '",
                subcommand,
                b"'. Try ",
                &name,
                b" HELP.",
            ]
            .concat();
        }
        let mut quoted = Vec::new();
        for argument in &arguments[1..] {
            if quoted.len() >= QUOTED_BYTES {
                break;
            }
            let argument = quote(argument, QUOTED_BYTES - quoted.len());
            quoted.extend([b"'", argument, b"' "].concat());
        }
        [
            b"unknown command '",
            name,
            b"', with args beginning with: ",
            &quoted,
        ]
        .concat()
    }
}

/// What Redis prints of a client's string in an error: no more than `max`, and up to a NUL.
fn quote(text: &[u8], max: usize) -> &[u8] {
    let text = &text[..text.len().min(max)];
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl Command {
    /// A command without subcommands.
    const fn new(
        name: &'static str,
        arity: i64,
        group: &'static str,
        summary: &'static str,
        run: fn(&mut Turn<'_>),
    ) -> Self {
        Self {
            name,
            arity,
            group,
            summary,
            subcommands: &[],
            run,
        }
    }

    /// A command of the group that sees to the connection itself.
    const fn of_connection(
        name: &'static str,
        arity: i64,
        summary: &'static str,
        run: fn(&mut Turn<'_>),
    ) -> Self {
        Self::new(name, arity, "connection", summary, run)
    }

    /// The same with the commands behind its name.
    const fn with(self, subcommands: &'static [Self]) -> Self {
        Self {
            subcommands,
            ..self
        }
    }

    fn accepts(&self, arguments: usize) -> bool {
        let arguments = i64::try_from(arguments).unwrap_or(i64::MAX);
        match self.arity {
            least @ ..0 => arguments >= -least,
            exactly => arguments == exactly,
        }
    }

    /// `setname` of `client|setname`.
    fn last_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// Whether a RESP2 client that has subscribed, and so could not tell the reply from a
    /// message, may send it all the same.
    fn is_for_subscribers(&self) -> bool {
        self.is_subscription() || matches!(self.name, "ping" | "quit" | "reset")
    }

    fn is_subscription(&self) -> bool {
        self.name.ends_with("subscribe")
    }

    /// Whether it runs at once between `MULTI` and `EXEC`.
    fn is_immediate(&self) -> bool {
        matches!(
            self.name,
            "multi" | "exec" | "discard" | "watch" | "quit" | "reset"
        )
    }
}

impl Turn<'_> {
    /// Answers with an error and makes a transaction under way fail.
    fn reject(&mut self, text: impl AsRef<[u8]>) {
        if let Some(transaction) = &mut self.client_mut().transaction {
            transaction.abort();
        }
        self.reply.error(text);
    }

    fn client(&self) -> &Client {
        self.broker.client(self.me)
    }

    fn client_mut(&mut self) -> &mut Client {
        self.broker.client_mut(self.me)
    }

    /// Whether the argument at `index` is `word`, in any case.
    fn argument_is(&self, index: usize, word: &str) -> bool {
        self.arguments[index].eq_ignore_ascii_case(word.as_bytes())
    }

    /// Reads an argument that is ON or OFF; anything else is answered with an error.
    fn switch(&mut self, index: usize) -> Option<bool> {
        if self.argument_is(index, "on") {
            return Some(true);
        }
        if self.argument_is(index, "off") {
            return Some(false);
        }
        self.reply.error("syntax error");
        None
    }
}

/// For commands that do nothing without a subcommand: their arity is never met without one.
fn needs_subcommand(turn: &mut Turn<'_>) {
    turn.reply.error("syntax error");
}
