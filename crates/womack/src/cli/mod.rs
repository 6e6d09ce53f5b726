//! The command line: the server, and small tools beside it.

mod admin;
mod check;
mod explain;
mod terminal;
mod top;

use std::{
    ffi::OsString,
    io::{IsTerminal, Write},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use merge::Merge;
use serde_json::value::RawValue;
use tokio::task::LocalSet;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};
use womack_engine::thread_runtime;
use womack_ledger::Ledger;
use womack_proto::subscriber::{Event, Generation, Loss, StaticSubscriptions, Subscription};
use womack_redis::{Publisher, RedisSubscriber, SubscriberConfig, SubscriberMetrics};

use self::{
    admin::{Admin, Admins},
    terminal::{EscapedFields, escaped},
    top::Shown,
};
use crate::{
    config::{Config, ConfigError, one_line, settings::Settings},
    error::Error,
    runtime::local_backend,
    server::Server,
};

/// Events that `tail` takes at one go.
const EVENTS_PER_BATCH: usize = 1024;

/// Pushes real-time events from ordinary web applications to browsers. Alone, it starts the
/// server.
#[derive(Debug, Parser)]
#[command(name = "womack", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish a message on a channel
    Publish {
        /// The channel that browsers subscribe to
        channel: String,
        /// The message as JSON, usually {"data": ...}
        json: String,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Print what the server would run with and how much memory that may take, and end with status
    /// 2 if it cannot be
    Check {
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Print what is published on channels, one line for each message
    Tail {
        /// The channels that browsers subscribe to
        #[arg(required = true)]
        channels: Vec<String>,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Ask a server whether it is alive: exit status 0, or 1
    Health {
        #[command(flatten)]
        at: Admin,
    },
    /// Say who would get a message on a channel, and what would keep it from them
    Explain {
        /// The channel that browsers subscribe to
        channel: String,
        /// Write JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Admins,
    },
    /// Show the channels with most messages and subscribers
    Top {
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        at: Admins,
    },
}

/// Does what the command line says; `arguments` begins with the program's name. Returns the exit
/// status: 0, 1 for what happens at run time, 2 for usage and configuration.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let parsed = Arguments::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            // A reader that has enough of the help closes the pipe.
            error.print().ok();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let mistake = ConfigError::CommandLine(one_line(&error.to_string()));
            return fail(&mistake.into());
        }
    };
    let done = match arguments.command {
        None => serve(arguments.settings),
        Some(Command::Publish {
            channel,
            json,
            mut settings,
        }) => {
            settings.merge(arguments.settings);
            publish(*settings, &channel, json)
        }
        Some(Command::Check { mut settings }) => {
            settings.merge(arguments.settings);
            check(*settings)
        }
        Some(Command::Tail {
            channels,
            mut settings,
        }) => {
            settings.merge(arguments.settings);
            tail(*settings, &channels)
        }
        Some(Command::Health { at }) => ask(async { at.admin.get_ok("/healthz").await.map(drop) }),
        Some(Command::Explain { channel, json, at }) => ask(explain::explain(&channel, json, &at)),
        Some(Command::Top { shown, at }) => ask(top::top(&shown, &at)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Runs what asks servers.
fn ask(asking: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    LocalSet::new().block_on(&thread_runtime()?, asking)
}

fn serve(settings: Settings) -> Result<(), Error> {
    let config = Config::resolve(settings.clone())?;
    let set_level = start_log(config.debug);
    let reload = move || {
        let config = Config::resolve(settings.clone())?;
        set_level(config.debug);
        Ok(config)
    };
    Server::new(config).reloading(Box::new(reload)).run()
}

fn publish(settings: Settings, channel: &str, json: String) -> Result<(), Error> {
    let config = Config::resolve(settings)?;
    let message = RawValue::from_string(json).map_err(ConfigError::Message)?;
    let backend = local_backend(&config.redis)?;
    thread_runtime()?.block_on(async {
        let publisher = Publisher::lazy(backend, config.key);
        publisher.publish_envelope(&[channel], &message).await
    })?;
    Ok(())
}

fn check(settings: Settings) -> Result<(), Error> {
    let config = Config::resolve(settings)?;
    std::io::stdout().write_all(check::report(config)?.as_bytes())?;
    Ok(())
}

fn tail(settings: Settings, channels: &[String]) -> Result<(), Error> {
    let config = Config::resolve(settings)?;
    let backend = local_backend(&config.redis)?;
    let prefix = format!("{}:", config.key);
    let subscriptions = channels.iter().map(|name| Subscription {
        channel: format!("{prefix}{name}").into(),
        aliases: Vec::new(),
        generation: Generation::default(),
    });
    let subscriptions: Vec<_> = subscriptions.collect();
    thread_runtime()?.block_on(async {
        let link = SubscriberConfig {
            statics: StaticSubscriptions::default(),
            max_backlog_bytes: config.redis.backlog_bytes,
            max_message_bytes: config.limits.load().max_message_bytes,
            ledger: Ledger::default(),
        };
        let subscriber = RedisSubscriber::open(backend, link, SubscriberMetrics::default());
        subscriber.subscribe(subscriptions);
        let mut events = Vec::new();
        let mut out = std::io::stdout();
        let is_terminal = out.is_terminal();
        loop {
            subscriber.receive(&mut events, EVENTS_PER_BATCH).await;
            for event in events.drain(..) {
                let message = match event {
                    Event::Message(message) => message,
                    Event::Failed(reason)
                    | Event::Refused { reason, .. }
                    | Event::Lost(Loss { reason, .. }) => {
                        return Err(Error::Io(std::io::Error::other(format!("redis: {reason}"))));
                    }
                    _ => continue,
                };
                let channel = message.channel();
                let channel = channel.strip_prefix(&prefix).unwrap_or(channel);
                let line = match is_terminal {
                    true => {
                        let payload = String::from_utf8_lossy(message.payload());
                        format!("{}\t{}\n", escaped(channel), escaped(&payload)).into_bytes()
                    }
                    false => [channel.as_bytes(), b"\t", message.payload(), b"\n"].concat(),
                };
                // A reader that has enough ends the command.
                if out.write_all(&line).is_err() {
                    return Ok(());
                }
            }
            out.flush()?;
        }
    })
}

/// Logs for people on a terminal, and for programs elsewhere. `RUST_LOG` chooses by module. Returns
/// what changes whether debug messages are logged.
fn start_log(debug: bool) -> impl Fn(bool) {
    let chosen = std::env::var("RUST_LOG").ok();
    let chosen = chosen.filter(|targets| !targets.is_empty());
    let chosen = chosen.and_then(|targets| targets.parse::<Targets>().ok());
    let filter = move |debug| {
        let targets = Targets::new().with_default(LevelFilter::INFO);
        chosen.clone().unwrap_or_else(|| match debug {
            // Every crate of the workspace begins like that.
            true => targets.with_target("womack", LevelFilter::DEBUG),
            false => targets,
        })
    };
    let (layer, level) = reload::Layer::new(filter(debug));
    let registry = tracing_subscriber::registry().with(layer);
    let to_stderr = fmt::layer().with_writer(std::io::stderr);
    let started = match std::io::stderr().is_terminal() {
        true => {
            let for_people = to_stderr.with_target(false).fmt_fields(EscapedFields);
            registry.with(for_people).try_init()
        }
        false => registry.with(to_stderr.json()).try_init(),
    };
    // A program that uses this function may log in its own way already.
    drop(started);
    // The log is there as long as the process.
    move |debug| drop(level.reload(filter(debug)))
}

fn fail(error: &Error) -> ExitCode {
    eprintln!("womack: {}", escaped(&one_line(&error.to_string())));
    ExitCode::from(error.exit_status())
}
