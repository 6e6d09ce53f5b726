//! The server as programs set it up: its namespaces and endpoints.

use std::sync::Arc;

use tokio::task::LocalSet;
use tracing::info;
use womack_engine::{Endpoint, Messages, Namespace, Speaks, thread_runtime};

use crate::{
    config::{Config, ConfigError},
    error::Error,
    runtime::{Reload, Running, ServerParts, Signals},
};

/// A server that is set up and does not run yet.
///
/// ```no_run
/// use womack::{Client, Config, Event, Namespace, Server};
///
/// struct Chat;
///
/// impl Namespace for Chat {
///     fn on_event(&self, client: &mut Client<'_>, event: &Event) {
///         client.emit("echo", &event.args);
///     }
/// }
///
/// Server::new(Config::default()).namespace("/chat", Chat).run()?;
/// # Ok::<(), womack::Error>(())
/// ```
pub struct Server {
    config: Config,
    namespaces: Vec<(String, Arc<dyn Namespace>)>,
    endpoints: Vec<Endpoint>,
    reload: Option<Reload>,
}

impl Server {
    /// A server with the namespace `/` and those of the configuration, all with the stock
    /// behaviour.
    pub fn new(config: Config) -> Self {
        let stock = |key| Arc::new(config.channels(key)) as Arc<dyn Namespace>;
        let mut namespaces = vec![("/".to_owned(), stock(None))];
        for setting in &config.namespaces {
            namespaces.retain(|(path, _)| *path != setting.path);
            namespaces.push((setting.path.clone(), stock(setting.key.clone())));
        }
        // `/` comes first whether or not the configuration names it.
        namespaces.sort_by_key(|(path, _)| path != "/");
        let endpoints = [
            ("/socket.io/", Speaks::SocketIo),
            ("/ws", Speaks::Lines),
            ("/events", Speaks::Events),
        ];
        let endpoints = endpoints.map(|(path, speaks)| Endpoint {
            path: path.to_owned(),
            speaks,
        });
        Self {
            config,
            namespaces,
            endpoints: endpoints.into(),
            reload: None,
        }
    }

    /// Where a new configuration comes from when the server is told to reload it.
    pub(crate) fn reloading(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// Gives the namespace at `path` its own behaviour, in place of the one it had.
    #[must_use]
    pub fn namespace(mut self, path: &str, namespace: impl Namespace) -> Self {
        let namespace = Arc::new(namespace);
        match self.namespaces.iter_mut().find(|(known, _)| known == path) {
            Some((_, known)) => *known = namespace,
            None => self.namespaces.push((path.to_owned(), namespace)),
        }
        self
    }

    /// Speaks Engine.IO without Socket.IO at `path`, which begins and ends with a slash.
    #[must_use]
    pub fn messages(mut self, path: &str, messages: impl Messages) -> Self {
        self.endpoints.push(Endpoint {
            path: path.to_owned(),
            speaks: Speaks::EngineIo(Arc::new(messages)),
        });
        self
    }

    /// Speaks WebSocket at `path` without anything on top: messages go to `messages` as they come,
    /// and clients are pinged with control frames. The path `*` stands for every path, so that
    /// no other WebSocket is served.
    #[must_use]
    pub fn websocket(mut self, path: &str, messages: impl Messages) -> Self {
        self.endpoints.push(Endpoint {
            path: path.to_owned(),
            speaks: Speaks::WebSocket(Arc::new(messages)),
        });
        self
    }

    /// Finds mistakes that only the namespaces together with the configuration show.
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(events_key) = &self.config.events_key {
            for (path, namespace) in &self.namespaces {
                let key = namespace.key().unwrap_or(&self.config.key);
                if format!("{events_key}:").starts_with(&format!("{key}:")) {
                    return Err(ConfigError::ReadableEvents {
                        path: path.clone(),
                        events_key: events_key.clone(),
                    });
                }
            }
        }
        let relay_key = &self.config.nodes.relay_key;
        let keys = self.namespaces.iter();
        let mut keys = keys.map(|(_, namespace)| namespace.key().unwrap_or(&self.config.key));
        let readable = |key: &&str| format!("{relay_key}:").starts_with(&format!("{key}:"));
        if let Some(key) = keys.find(readable).filter(|_| self.config.nodes.relays) {
            return Err(ConfigError::ReadableRelay {
                relay_key: relay_key.clone(),
                key: key.to_owned(),
            });
        }
        let known = |path: &&String| self.namespaces.iter().any(|(known, _)| known == *path);
        let unknown = self.config.presence.iter().find(|path| !known(path));
        unknown.map_or(Ok(()), |path| {
            Err(ConfigError::UnknownPresence { path: path.clone() })
        })
    }

    /// Runs until SIGTERM or SIGINT, then closes all clients and returns. A second signal ends
    /// the process at once. SIGHUP has the settings read again, if they came from the command line.
    ///
    /// # Errors
    /// The port is taken, or the system refuses threads or descriptors.
    pub fn run(self) -> Result<(), Error> {
        LocalSet::new().block_on(&thread_runtime()?, async {
            let mut signals = Signals::new()?;
            self.check()?;
            let Self {
                config,
                namespaces,
                endpoints,
                reload,
            } = self;
            let parts = ServerParts {
                config,
                namespaces,
                endpoints,
            };
            let running = Running::start(parts, reload).await?;
            let ended = running.until_stopped(&mut signals).await;
            info!("stopped");
            ended
        })
    }
}
