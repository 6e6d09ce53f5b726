//! How many messages a second come through the router, and who sets the limit.
//!
//! One channel, published to as fast as Redis answers. Either one client wants it, or nobody does
//! any more: its last subscriber has gone, and Womack keeps the channel at Redis for a while.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    cell::Bench,
    dialect::Dialect,
    fleet::Fleet,
    http::Answer,
    process::Launch,
    run::connect,
    servers::{Server, Setting},
    usage::Cpu,
    workload::{BASE, Workload},
};

/// Messages that Redis has not answered yet, or that the client has not read: so many that nobody
/// waits for another, and few enough for Redis to hold.
const UNDER_WAY: u64 = 16_384;
/// Messages that Womack has not received yet where no client tells: enough to keep it busy while it
/// is asked, and few enough for Redis not to cut it off.
const UNRECEIVED: u64 = 65_536;
/// How long the server may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(15);
const TURN: Duration = Duration::from_millis(1);
const RECEIVED: &str = "womack_messages_received_total";

/// What a message cost everyone that it passed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Ceiling {
    /// The server's name.
    pub server: String,
    /// The clients that want the channel: one or none.
    pub clients: usize,
    /// The round, from 1.
    pub round: usize,
    /// Messages a second.
    pub rate: f64,
    /// The server's CPU for a message, in microseconds.
    pub server_micros: f64,
    /// Redis's.
    pub redis_micros: f64,
    /// This program's, that publishes and reads.
    pub load_micros: f64,
    /// Messages that did not arrive.
    pub lost: u64,
}

impl Bench {
    /// Womack and *floor-batch* with one client, and Womack with none, in interleaved rounds.
    pub fn ceilings(&self, rounds: usize) -> io::Result<Vec<Ceiling>> {
        let mut ceilings = Vec::new();
        for round in 1..=rounds {
            for server in ["womack", "floor-batch"]
                .into_iter()
                .filter_map(Server::find)
            {
                ceilings.push(self.ceiling(&server, round)?);
            }
            ceilings.push(self.unwanted_ceiling(round)?);
        }
        Ok(ceilings)
    }

    /// Floods one channel of one client.
    fn ceiling(&self, server: &Server, round: usize) -> io::Result<Ceiling> {
        let workload = Workload { clients: 1, ..BASE };
        let (process, mut fleet) = self.start(&workload, server)?;
        connect(&mut fleet, &workload)?;
        let completed = |fleet: &Fleet| Ok(fleet.tally.completed);
        let mut ceiling = self.flood(&mut fleet, process.pid(), completed, completed)?;
        (ceiling.server, ceiling.round) = (server.name.to_owned(), round);
        Ok(ceiling)
    }

    /// Floods a channel that Womack is subscribed to and no client wants.
    fn unwanted_ceiling(&self, round: usize) -> io::Result<Ceiling> {
        let server = Server {
            name: "womack",
            launch: lingering,
            dialect: Dialect::SocketIo,
            polling: false,
            everywhere: false,
        };
        let (process, mut fleet) = self.start(&BASE, &server)?;
        fleet.pass_by(0)?;
        while fleet.connecting > 0 {
            fleet.turn(TURN)?;
        }
        let address = fleet.server();
        while metric(address, "womack_subscriptions")? > 0 {
            fleet.turn(TURN)?;
        }
        // Womack is asked as seldom as will do: an answer costs as much as many messages.
        let asked = Cell::new(0);
        let answered = |fleet: &Fleet| {
            let publisher = &fleet.publisher;
            if publisher.published - asked.get() > UNRECEIVED / 2 {
                asked.set(metric(address, RECEIVED)?);
            }
            Ok(publisher.answered.min(asked.get() + UNRECEIVED - UNDER_WAY))
        };
        let received = |_: &Fleet| metric(address, RECEIVED);
        let mut ceiling = self.flood(&mut fleet, process.pid(), answered, received)?;
        (ceiling.clients, ceiling.round) = (0, round);
        Ok(ceiling)
    }

    /// Publishes for the duration, `UNDER_WAY` messages ahead of those `done`, and waits until all
    /// have `arrived`.
    fn flood(
        &self,
        fleet: &mut Fleet,
        pid: u32,
        done: impl Fn(&Fleet) -> io::Result<u64>,
        arrived: impl Fn(&Fleet) -> io::Result<u64>,
    ) -> io::Result<Ceiling> {
        let began = Instant::now();
        let (server, redis) = (Cpu::of(pid)?, Cpu::of(self.redis_process.pid())?);
        let load = Cpu::of(process::id())?;
        while began.elapsed() < self.duration {
            let due = done(fleet)? + UNDER_WAY;
            while fleet.publisher.published < due {
                fleet.publisher.publish(0, &mut fleet.tally);
            }
            fleet.publisher.flush()?;
            fleet.turn(TURN)?;
        }
        let mut completed = arrived(fleet)?;
        let deadline = Instant::now() + CATCH_UP;
        while completed < fleet.publisher.published && Instant::now() < deadline {
            fleet.turn(TURN)?;
            completed = arrived(fleet)?;
        }
        let elapsed = began.elapsed();
        let published = fleet.publisher.published;
        let per_message = |pid, earlier: &Cpu| {
            let spent = Cpu::of(pid)?.since(earlier).run;
            Ok::<_, io::Error>(spent.as_secs_f64() * 1e6 / published as f64)
        };
        Ok(Ceiling {
            server: "womack".to_owned(),
            clients: 1,
            round: 1,
            rate: completed as f64 / elapsed.as_secs_f64(),
            server_micros: per_message(pid, &server)?,
            redis_micros: per_message(self.redis_process.pid(), &redis)?,
            load_micros: per_message(process::id(), &load)?,
            lost: published - completed,
        })
    }
}

/// Womack that keeps channels for as long as a measurement takes.
fn lingering(setting: &Setting) -> io::Result<Launch> {
    let command = setting.womack(&["--unsubscribe-grace-seconds", "600"]);
    Ok(command.into())
}

/// The value of one of Womack's metrics.
fn metric(server: SocketAddr, name: &str) -> io::Result<u64> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let value = Answer::scan(&bytes).and_then(|answer| {
        let text = str::from_utf8(&bytes[answer.start..answer.end]).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().parse().ok()
    });
    value.ok_or_else(|| io::Error::other(format!("no {name} in Womack's metrics")))
}
