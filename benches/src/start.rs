//! How long a user waits for Womack after starting it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    cell::Bench,
    http::Answer,
    process::{Cpus, Process, free_address},
};

/// How long a start may take.
const START: Duration = Duration::from_secs(20);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_micros(100);
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// Milliseconds from starting the program to its first answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Start {
    /// A client's handshake was answered.
    pub accepted: f64,
    /// `/readyz` said yes.
    pub ready: f64,
}

impl Bench {
    /// Starts Womack once.
    pub fn start_time(&self) -> io::Result<Start> {
        let address = free_address()?;
        let mut command = self.setting.womack_on(address.port(), 1);
        let cpus = Cpus {
            process: &self.server_cpus,
            own: &self.load_cpus,
        };
        let began = Instant::now();
        let _process = Process::start_silent(&mut command, cpus)?;
        let accepted = answered(address, HANDSHAKE, began)?;
        let ready = answered(address, "/readyz", began)?;
        Ok(Start { accepted, ready })
    }
}

/// Milliseconds until a request for this target is answered well.
fn answered(address: SocketAddr, target: &str, began: Instant) -> io::Result<f64> {
    while began.elapsed() < START {
        if ask(address, target).unwrap_or(false) {
            return Ok(began.elapsed().as_secs_f64() * 1e3);
        }
        std::thread::sleep(PAUSE);
    }
    Err(io::Error::other(format!("womack does not answer {target}")))
}

fn ask(address: SocketAddr, target: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START))?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(Answer::scan(&bytes).is_some_and(|answer| answer.ok))
}
