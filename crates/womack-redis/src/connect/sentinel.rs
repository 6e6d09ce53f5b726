//! Sentinels: who knows which server is the master.

use std::time::Duration;

use redis::{RedisResult, cmd};
use tokio::time::sleep;

use super::{Address, Backend, Connected, Kind, Unreachable, one_line};

/// How often a sentinel is asked whether the master still is.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A master, and the sentinel that named it.
pub(crate) struct Master {
    pub(crate) address: Address,
    sentinel: Connected,
    service: String,
}

impl Backend {
    /// Asks the sentinels, one after the other, where the master is.
    ///
    /// # Errors
    /// None of them knows.
    pub(crate) async fn master(&self) -> Result<Master, Unreachable> {
        let Kind::Sentinel { sentinels, service } = &self.kind else {
            return Err(Unreachable::NoMaster {
                service: String::new(),
                last: "there are no sentinels".to_owned(),
            });
        };
        let mut last = String::new();
        for address in sentinels {
            match self.ask(address, service).await {
                Ok(master) => return Ok(master),
                Err(error) => last = error.to_string(),
            }
        }
        Err(Unreachable::NoMaster {
            service: service.clone(),
            last,
        })
    }

    async fn ask(&self, address: &Address, service: &str) -> Result<Master, Unreachable> {
        let login = &self.sentinel_login;
        let mut sentinel = self.commands_as(address, login, 0).await?;
        let refused = |reason| Unreachable::Refused(address.clone(), reason);
        let found = master_of(&mut sentinel, service).await;
        let found = found.map_err(|error| refused(one_line(&error)))?;
        Ok(Master {
            address: found.ok_or_else(|| refused(format!("it has no service {service:?}")))?,
            sentinel,
            service: service.to_owned(),
        })
    }
}

impl Backend {
    /// Done when the sentinels name another master. As long as none of them answers, nobody knows
    /// better.
    pub(crate) async fn moved(&self, master: &mut Master) {
        loop {
            sleep(LOOK_INTERVAL).await;
            match master_of(&mut master.sentinel, &master.service).await {
                Ok(Some(address)) if address == master.address => continue,
                Ok(Some(_)) => return,
                Ok(None) | Err(_) => {}
            }
            match self.master().await {
                Ok(found) if found.address == master.address => *master = found,
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }
}

async fn master_of(sentinel: &mut Connected, service: &str) -> RedisResult<Option<Address>> {
    let mut ask = cmd("SENTINEL");
    ask.arg("get-master-addr-by-name").arg(service);
    let found: Option<(String, u16)> = ask.query_async(&mut sentinel.connection).await?;
    Ok(found.map(|(host, port)| Address::Tcp { host, port }))
}
