//! Moves bytes between one socket and the broker.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::{select, task, time};

use crate::broker::{Broker, ClientKey};
use crate::client::Ending;
use crate::command;
use crate::outbox::{self, Outbox};
use crate::resp::Decoder;

/// Room made for one read.
const READ_BYTES: usize = 16 * 1024;

/// How long a client that is being closed may take to read what was written to it.
const GRACE: Duration = Duration::from_secs(5);

/// Serves one client until either side ends it.
pub(crate) async fn run(broker: Rc<RefCell<Broker>>, stream: TcpStream, key: ClientKey) {
    let decoder = Decoder::new(&broker.borrow().limits);
    let mut connection = Connection {
        broker,
        stream,
        key,
        decoder,
        input: BytesMut::new(),
    };
    let result = connection.exchange().await;
    let (id, outbox) = {
        let mut broker = connection.broker.borrow_mut();
        (broker.client(key).id, broker.disconnect(key))
    };
    let result = match result {
        Ok(Ending::Flush) => match time::timeout(GRACE, finish(connection.stream, outbox)).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
        Ok(Ending::Drop) => Ok(()),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => tracing::debug!(id, "client disconnected"),
        Err(error) => tracing::debug!(id, %error, "client disconnected"),
    }
}

struct Connection {
    broker: Rc<RefCell<Broker>>,
    stream: TcpStream,
    key: ClientKey,
    decoder: Decoder,
    /// What was read and is not a whole command yet.
    input: BytesMut,
}

impl Connection {
    /// Reads, executes and writes until it is time to end, and says how.
    async fn exchange(&mut self) -> io::Result<Ending> {
        let wake = self.broker.borrow().client(self.key).wake.clone();
        loop {
            self.write()?;
            let interest = {
                let broker = self.broker.borrow();
                let client = broker.client(self.key);
                if let Some(ending) = client.ending {
                    return Ok(ending);
                }
                match client.outbox.is_empty() {
                    true => Interest::READABLE,
                    false => Interest::READABLE | Interest::WRITABLE,
                }
            };
            let ready = select! {
                ready = self.stream.ready(interest) => ready?,
                () = wake.notified() => continue,
            };
            if !ready.is_readable() {
                continue;
            }
            if !self.read()? {
                // The client will send nothing more, but may still read what it asked for.
                return Ok(Ending::Flush);
            }
            self.execute();
            // One client's pipeline must not keep the others, who may have to receive what it
            // publishes, from their turn.
            task::yield_now().await;
        }
    }

    /// Reads once, without waiting; false at the end of the stream.
    fn read(&mut self) -> io::Result<bool> {
        self.input.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(read) => Ok(read > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Executes all commands that have arrived, unless one of them ends the connection.
    fn execute(&mut self) {
        let mut broker = self.broker.borrow_mut();
        while broker.client(self.key).ending.is_none() {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(arguments)) => command::execute(&mut broker, self.key, &arguments),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(id = broker.client(self.key).id, %error, "protocol error");
                    let reply = Bytes::from(format!("-ERR Protocol error: {error}\r\n"));
                    let client = broker.client_mut(self.key);
                    client.push(reply);
                    client.ending.get_or_insert(Ending::Flush);
                }
            }
        }
        if self.input.is_empty() {
            // An idle client, or one that sent a very long command, keeps no memory for it.
            self.input = BytesMut::new();
        }
    }

    /// Writes as much as the socket takes, without waiting.
    fn write(&self) -> io::Result<()> {
        let mut broker = self.broker.borrow_mut();
        let outbox = &mut broker.client_mut(self.key).outbox;
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); outbox::BATCH];
            let filled = outbox.fill(&mut slices);
            match self.stream.try_write_vectored(&slices[..filled]) {
                Ok(written) => outbox.consume(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Sends what is left, then waits for the client to close: closing first, with input unread, would
/// make the system take back what was just sent.
async fn finish(mut stream: TcpStream, mut outbox: Outbox) -> io::Result<()> {
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); outbox::BATCH];
        let filled = outbox.fill(&mut slices);
        let written = stream.write_vectored(&slices[..filled]).await?;
        outbox.consume(written);
    }
    stream.shutdown().await?;
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}
