//! A broker of its own: `cargo run -p womack-broker --example broker -- 127.0.0.1:6379`

use std::env;
use std::io;

use tokio::net::TcpListener;
use womack_broker::{Limits, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:6379")).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, Limits::default()).await
}
