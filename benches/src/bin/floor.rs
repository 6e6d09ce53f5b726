//! The floor as a program: `floor [--batch] REDIS_ADDRESS`. See [`womack_benches::floor`].

use std::{io, net::SocketAddr};

use clap::Parser;
use womack_benches::floor::Floor;

/// The kernel's price of a fan-out: one write per client and message.
#[derive(Parser)]
struct Arguments {
    /// Take all that Redis has ready before writing once per client.
    #[arg(long)]
    batch: bool,
    /// The address of a Redis.
    redis: SocketAddr,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut floor = Floor::open(arguments.redis, arguments.batch)?;
    let address = floor.address()?;
    // In the form of Womack's own log line, so that whoever waits for it knows one form only.
    eprintln!(r#"{{"message":"listening","address":"{address}"}}"#);
    floor.run()
}
