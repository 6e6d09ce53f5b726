//! The link to one server, whether it is named or sentinels name it.

use std::sync::Arc;

use tokio::{select, sync::mpsc::UnboundedReceiver, time::sleep};
use womack_proto::subscriber::{Event, StaticSubscriptions};

use super::{
    connection::Connection,
    context::{Command, Context},
    greeting::Greeted,
    pending::PendingSubscriptions,
};
use crate::{
    backoff::Backoff,
    connect::{Kind, Master, Unreachable},
};

/// Keeps the link up until nobody wants it.
pub(super) async fn run(
    context: Arc<Context>,
    statics: StaticSubscriptions,
    mut commands: UnboundedReceiver<Command>,
) {
    let mut pending = PendingSubscriptions::default();
    let mut backoff = Backoff::default();
    loop {
        let connecting = connect(&context, &mut backoff);
        let connected = handle_meanwhile(connecting, &mut pending, &mut commands).await;
        let Some((greeted, mut master)) = connected else {
            return;
        };
        let mut connection = Connection::begin(greeted, context.clone(), pending, None);
        connection.subscribe_static(&statics);
        context.backlog.add_one(Event::Connected);
        let moved = async {
            match &mut master {
                Some(master) => context.backend.moved(master).await,
                None => std::future::pending().await,
            }
        };
        let dead = select! {
            biased;
            dead = connection.serve(&mut commands) => Some(dead),
            () = moved => None,
        };
        let dead = dead.unwrap_or_else(|| connection.dead("the sentinels name another master"));
        match connection.has_served() {
            true => backoff.succeeded(),
            false => backoff.failed(),
        }
        let (loss, unfinished) = connection.end(dead);
        pending = unfinished;
        context.backlog.add_one(Event::Lost(loss));
    }
}

/// Takes commands while `connecting`; `None` when nobody wants the link any more.
async fn handle_meanwhile<T>(
    connecting: impl Future<Output = T>,
    pending: &mut PendingSubscriptions,
    commands: &mut UnboundedReceiver<Command>,
) -> Option<T> {
    let mut connecting = std::pin::pin!(connecting);
    loop {
        select! {
            biased;
            connected = &mut connecting => return Some(connected),
            command = commands.recv() => pending.handle_command(command?),
        }
    }
}

/// Connects, trying again and again.
async fn connect(context: &Arc<Context>, backoff: &mut Backoff) -> (Greeted, Option<Master>) {
    loop {
        if let Some(wait) = backoff.wait() {
            sleep(wait).await;
        }
        match try_to_connect(context).await {
            Ok(connected) => return connected,
            Err(error) => {
                backoff.failed();
                context.backlog.add_one(Event::Failed(error.to_string()));
            }
        }
    }
}

async fn try_to_connect(context: &Arc<Context>) -> Result<(Greeted, Option<Master>), Unreachable> {
    let (address, master) = match &context.backend.kind {
        Kind::One(address) => (address.clone(), None),
        _ => {
            let master = context.backend.master().await?;
            (master.address.clone(), Some(master))
        }
    };
    Ok((Greeted::open(context, &address).await?, master))
}
