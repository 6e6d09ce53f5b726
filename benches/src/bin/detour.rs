//! What it costs that requests reach another node than their session's.
//!
//! Two nodes share a Redis. Clients have their sessions at one of them, and are told of messages there,
//! or by way of the other one. What both nodes and Redis spend is counted.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use tungstenite::{Message, WebSocket, client::client};
use womack_benches::{
    process::{Cpus, Launch, Process, raise_file_limit},
    usage::Cpu,
};

const CHANNEL: &str = "womack:ns:default:a";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures what it costs that requests reach another node than their session's.
#[derive(Debug, Parser)]
struct Arguments {
    /// Clients that are told of each message
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Messages
    #[arg(long, default_value_t = 500)]
    messages: u32,
    /// The server
    #[arg(long, default_value = "target/release/womack")]
    womack: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    raise_file_limit()?;
    println!("| transport | way | deliveries a second | µs of CPU, nodes | µs of CPU, Redis |");
    println!("|---|---|---:|---:|---:|");
    for transport in ["polling", "websocket"] {
        for way in ["local", "carried"] {
            let cluster = Cluster::start(arguments)?;
            let target = match way {
                "local" => cluster.home,
                _ => cluster.edge,
            };
            let clients = (0..arguments.clients).map(|_| match transport {
                "polling" => Client::polling(cluster.home, target),
                _ => Client::websocket(cluster.home, target),
            });
            let clients = clients.collect::<io::Result<Vec<_>>>()?;
            let figures = cluster.measure(clients, arguments.messages)?;
            println!("| {transport} | {way} | {figures} |");
        }
    }
    Ok(())
}

/// Two nodes and their Redis.
struct Cluster {
    redis: SocketAddr,
    home: SocketAddr,
    edge: SocketAddr,
    nodes: [Process; 2],
    broker: Process,
}

impl Cluster {
    fn start(arguments: &Arguments) -> io::Result<Self> {
        let all: Vec<_> = (0..thread::available_parallelism()?.get()).collect();
        let cpus = Cpus {
            process: &all,
            own: &all,
        };
        let (broker, redis) = Process::start_redis("redis-server", cpus)?;
        let node = || {
            let mut command = Command::new(&arguments.womack);
            command.args(["--host", "127.0.0.1", "--port", "0", "--shards", "1"]);
            command.args(["--redis-url", &format!("redis://{redis}")]);
            Process::start_server(Launch::from(command), cpus)
        };
        let ((one, home), (other, edge)) = (node()?, node()?);
        for node in [home, edge] {
            await_readiness(node)?;
        }
        Ok(Self {
            redis,
            home,
            edge,
            nodes: [one, other],
            broker,
        })
    }

    /// Publishes messages, and waits each time until all clients have it.
    fn measure(&self, mut clients: Vec<Client>, messages: u32) -> io::Result<String> {
        let mut redis = BufReader::new(connect(self.redis)?);
        let (mut spent, mut begin) = (None, Instant::now());
        // A tenth more at first, which is not counted.
        for number in 0..messages + messages / 10 {
            if number == messages / 10 {
                (spent, begin) = (Some(self.spent()?), Instant::now());
            }
            clients.iter_mut().try_for_each(Client::ask)?;
            let payload = number.to_string();
            let (length, size) = (CHANNEL.len(), payload.len());
            let publish = format!(
                "*3\r\n$7\r\nPUBLISH\r\n${length}\r\n{CHANNEL}\r\n${size}\r\n{payload}\r\n"
            );
            redis.get_mut().write_all(publish.as_bytes())?;
            redis.read_line(&mut String::new())?;
            let packet = format!(r#"42["a",{number}]"#);
            for client in &mut clients {
                client.read(&packet)?;
            }
        }
        let (seconds, after) = (begin.elapsed().as_secs_f64(), self.spent()?);
        let deliveries = f64::from(messages) * clients.len() as f64;
        let before = spent.unwrap_or(after);
        let micros = |at: usize| after[at].since(&before[at]).run.as_secs_f64() * 1e6 / deliveries;
        let (rate, nodes) = (deliveries / seconds, micros(0) + micros(1));
        Ok(format!("{rate:.0} | {nodes:.1} | {:.1}", micros(2)))
    }

    fn spent(&self) -> io::Result<[Cpu; 3]> {
        let [one, other] = &self.nodes;
        let of = |process: &Process| Cpu::of(process.pid());
        Ok([of(one)?, of(other)?, of(&self.broker)?])
    }
}

/// A client that is subscribed to the channel.
enum Client {
    Polling {
        stream: BufReader<TcpStream>,
        path: String,
        /// Packets that came with others.
        early: Vec<String>,
    },
    WebSocket(Box<WebSocket<TcpStream>>),
}

impl Client {
    /// Opens a session at `home`, whose requests go to `target` from there on.
    fn polling(home: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let path = "/socket.io/?EIO=4&transport=polling";
        let mut stream = BufReader::new(connect(home)?);
        let open = exchange(&mut stream, "GET", path, "")?;
        let sid = open.split('"').nth(3).ok_or_else(|| unexpected(&open))?;
        let mut client = Self::Polling {
            path: format!("{path}&sid={sid}"),
            stream: BufReader::new(connect(target)?),
            early: Vec::new(),
        };
        client.post("40")?;
        client.ask()?;
        client.read_any("40")?;
        client.post(r#"420["subscribe",{"channel":"a"}]"#)?;
        client.ask()?;
        client.read_any("430")?;
        Ok(client)
    }

    /// The same, and goes on over a WebSocket.
    fn websocket(home: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let Self::Polling { path, .. } = Self::polling(home, target)? else {
            return Err(io::Error::other("a polling client"));
        };
        let path = path.replace("polling", "websocket");
        let stream = connect(target)?;
        let (mut socket, _) =
            client(format!("ws://{target}{path}"), stream).map_err(io::Error::other)?;
        let send = |socket: &mut WebSocket<TcpStream>, packet: &'static str| {
            socket.send(Message::text(packet)).map_err(io::Error::other)
        };
        send(&mut socket, "2probe")?;
        let answer = socket.read().map_err(io::Error::other)?;
        send(&mut socket, "5")?;
        match answer.to_text() {
            Ok("3probe") => Ok(Self::WebSocket(Box::new(socket))),
            _ => Err(unexpected(&answer.to_string())),
        }
    }

    fn post(&mut self, packet: &str) -> io::Result<()> {
        match self {
            Self::Polling { stream, path, .. } => exchange(stream, "POST", path, packet).map(drop),
            Self::WebSocket(socket) => {
                let packet = packet.to_owned();
                socket.send(Message::text(packet)).map_err(io::Error::other)
            }
        }
    }

    /// Asks for packets, if that is how they come.
    fn ask(&mut self) -> io::Result<()> {
        match self {
            Self::Polling { stream, path, .. } => request(stream.get_mut(), "GET", path, ""),
            Self::WebSocket(_) => Ok(()),
        }
    }

    /// Waits for a packet, and for no other than pings before it.
    fn read(&mut self, expected: &str) -> io::Result<()> {
        loop {
            let packet = self.packet()?;
            if packet == expected {
                return Ok(());
            }
            if packet != "2" {
                return Err(unexpected(&packet));
            }
            self.post("3")?;
            self.ask()?;
        }
    }

    fn read_any(&mut self, beginning: &str) -> io::Result<()> {
        let packet = self.packet()?;
        let is_it = packet.starts_with(beginning);
        is_it.then_some(()).ok_or_else(|| unexpected(&packet))
    }

    fn packet(&mut self) -> io::Result<String> {
        match self {
            Self::Polling { stream, early, .. } => {
                if early.is_empty() {
                    let body = body(stream)?;
                    early.extend(body.split('\u{1e}').rev().map(str::to_owned));
                }
                early.pop().ok_or_else(|| unexpected(""))
            }
            Self::WebSocket(socket) => {
                let message = socket.read().map_err(io::Error::other)?;
                Ok(message.to_text().map_err(io::Error::other)?.to_owned())
            }
        }
    }
}

fn await_readiness(node: SocketAddr) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ready = exchange(&mut BufReader::new(connect(node)?), "GET", "/readyz", "");
        if ready.is_ok() || Instant::now() > deadline {
            return ready.map(drop);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn exchange(
    stream: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    content: &str,
) -> io::Result<String> {
    request(stream.get_mut(), method, path, content)?;
    body(stream)
}

fn request(stream: &mut TcpStream, method: &str, path: &str, content: &str) -> io::Result<()> {
    let length = content.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all([head.as_bytes(), content.as_bytes()].concat().as_slice())
}

/// The body of the next answer, which must say that all is well.
fn body(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let (mut status, mut length) = (String::new(), 0);
    stream.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(io::Error::other)?;
    match status.contains(" 200 ") {
        true => Ok(body),
        false => Err(unexpected(&format!("{status}{body}"))),
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::other(format!("unexpected: {what:?}"))
}
