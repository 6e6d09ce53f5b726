//! The link to one server, whether it is named or sentinels name it.

use std::sync::Arc;

use tokio::{select, sync::mpsc::UnboundedReceiver, time::sleep};

use super::{Command, Event, Standing, backlog::Backlog, connection::Connection, wishes::Wishes};
use crate::{
    backend::{Backend, Kind, Master, Unreachable},
    backoff::Backoff,
};

/// Keeps the link up until nobody wants it.
pub(super) async fn run(
    backend: Backend,
    standing: Standing,
    backlog: Arc<Backlog>,
    mut commands: UnboundedReceiver<Command>,
) {
    let mut wishes = Wishes::default();
    let mut backoff = Backoff::default();
    loop {
        // What was live has to be asked for again before anything is said to be.
        loop {
            let Some(command) = commands.recv().await else {
                return;
            };
            if wishes.obey(command) {
                break;
            }
        }
        let connecting = connect(&backend, &backlog, &mut backoff);
        let Some((mut connection, mut master)) =
            obeying_meanwhile(connecting, &mut wishes, &mut commands).await
        else {
            return;
        };
        connection.begin(&standing, wishes);
        let moved = async {
            match &mut master {
                Some(master) => backend.moved(master).await,
                None => std::future::pending().await,
            }
        };
        let reason = select! {
            reason = connection.serve(&mut commands) => reason,
            () = moved => "the sentinels name another master".to_owned(),
        };
        match connection.is_settled() {
            true => backoff.succeeded(),
            false => backoff.failed(),
        }
        let (loss, left) = connection.end(reason);
        wishes = left;
        backlog.add_one(Event::Lost(loss));
    }
}

/// Does what is wanted while `connecting`; `None` when nothing is wanted any more.
async fn obeying_meanwhile<T>(
    connecting: impl Future<Output = T>,
    wishes: &mut Wishes,
    commands: &mut UnboundedReceiver<Command>,
) -> Option<T> {
    let mut connecting = std::pin::pin!(connecting);
    loop {
        select! {
            connected = &mut connecting => return Some(connected),
            command = commands.recv() => { wishes.obey(command?); }
        }
    }
}

/// Connects, trying again and again.
async fn connect(
    backend: &Backend,
    backlog: &Arc<Backlog>,
    backoff: &mut Backoff,
) -> (Connection, Option<Master>) {
    loop {
        if let Some(wait) = backoff.wait() {
            sleep(wait).await;
        }
        match try_to_connect(backend, backlog).await {
            Ok(connected) => return connected,
            Err(error) => {
                backoff.failed();
                backlog.add_one(Event::Failed(error.to_string()));
            }
        }
    }
}

async fn try_to_connect(
    backend: &Backend,
    backlog: &Arc<Backlog>,
) -> Result<(Connection, Option<Master>), Unreachable> {
    let (address, master) = match &backend.kind {
        Kind::One(address) => (address.clone(), None),
        _ => {
            let master = backend.master().await?;
            (master.address.clone(), Some(master))
        }
    };
    let connection = Connection::open(backend, &address, backlog.clone(), None).await?;
    Ok((connection, master))
}
