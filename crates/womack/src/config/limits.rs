//! Which limits an operator has set.

use womack_engine::{FRAMING_BYTES, Limits};

use super::{ConfigError, check::ensure_in, settings::LimitSettings};

/// The most that is counted in a second.
const MAX_RATE: u32 = 1_000_000;
/// What hyper reads at one go.
const MIN_HEAD_BYTES: usize = 8 << 10;
/// Who has not said what it wants may not have more memory than that.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// Room for the packets of the protocols themselves.
const MIN_PAYLOAD_BYTES: usize = 64;
/// The longest name of a channel.
const MAX_CHANNEL_BYTES: usize = 1 << 16;
/// What Redis itself takes in one string.
const MAX_MESSAGE_BYTES: usize = 512 << 20;
/// Room for server events is taken when the server starts.
const MAX_WAITING_EVENTS: usize = 10_000_000;

/// Fills what `settings` leave open with the defaults.
///
/// # Errors
/// [`ConfigError`] for an invalid limit.
pub(super) fn resolve(settings: &LimitSettings) -> Result<Limits, ConfigError> {
    let or = |setting: Option<usize>, default| setting.unwrap_or(default);
    let defaults = Limits::default();
    let max_message_bytes = or(settings.max_message_bytes, defaults.max_message_bytes);
    let limits = Limits {
        max_connections: or(settings.max_connections, defaults.max_connections),
        max_connections_per_address: settings
            .max_connections_per_address
            .map_or(defaults.max_connections_per_address, |share| share.0),
        max_connects_per_second: settings
            .max_connects_per_second
            .unwrap_or(defaults.max_connects_per_second),
        max_packets_per_second: settings
            .max_packets_per_second
            .unwrap_or(defaults.max_packets_per_second),
        max_head_bytes: or(settings.max_head_bytes, defaults.max_head_bytes),
        max_payload_bytes: or(settings.max_payload, defaults.max_payload_bytes),
        max_message_bytes,
        max_channel_bytes: or(settings.max_channel_bytes, defaults.max_channel_bytes),
        max_channels: or(settings.max_channels, defaults.max_channels),
        max_channels_per_client: or(
            settings.max_channels_per_client,
            defaults.max_channels_per_client,
        ),
        max_channels_per_publish: or(
            settings.max_channels_per_publish,
            defaults.max_channels_per_publish,
        ),
        max_client_queue_bytes: or(
            settings.max_client_queue_bytes,
            defaults.max_client_queue_bytes,
        )
        .max(max_message_bytes.saturating_add(FRAMING_BYTES)),
        fanout_slice: or(settings.fanout_slice, defaults.fanout_slice),
        max_client_queue_messages: or(
            settings.max_client_queue_messages,
            defaults.max_client_queue_messages,
        ),
        max_client_queue_time: match settings.max_client_queue_seconds {
            None => defaults.max_client_queue_time,
            Some(seconds) => Some(seconds.0).filter(|time| !time.is_zero()),
        },
        memory_budget_bytes: or(
            settings.memory_budget.map(|size| size.0),
            defaults.memory_budget_bytes,
        ),
        max_packets_per_payload: or(
            settings.max_packets_per_payload,
            defaults.max_packets_per_payload,
        ),
        max_waiting_acks: or(settings.max_waiting_acks, defaults.max_waiting_acks),
        max_waiting_events: or(settings.max_waiting_events, defaults.max_waiting_events),
        max_meta_bytes: or(settings.max_meta_bytes, defaults.max_meta_bytes),
        max_event_bytes: or(settings.max_event_bytes, defaults.max_event_bytes),
        max_presence_members: or(settings.max_presence_members, defaults.max_presence_members),
    };
    check_all(&limits)?;
    Ok(limits)
}

fn check_all(limits: &Limits) -> Result<(), ConfigError> {
    check_rates(limits)?;
    check_sizes(limits)?;
    for (setting, most) in [
        ("max-channels-per-client", limits.max_channels_per_client),
        ("max-packets-per-payload", limits.max_packets_per_payload),
        ("max-channels-per-publish", limits.max_channels_per_publish),
    ] {
        ensure_in(setting, most, 1..)?;
    }
    ensure_in(
        "max-waiting-events",
        limits.max_waiting_events,
        1..=MAX_WAITING_EVENTS,
    )
}

fn check_rates(limits: &Limits) -> Result<(), ConfigError> {
    for (setting, rate) in [
        ("max-connects-per-second", limits.max_connects_per_second),
        ("max-packets-per-second", limits.max_packets_per_second),
    ] {
        ensure_in(setting, rate, ..=MAX_RATE)?;
    }
    Ok(())
}

fn check_sizes(limits: &Limits) -> Result<(), ConfigError> {
    for (setting, bytes, range) in [
        (
            "max-head-bytes",
            limits.max_head_bytes,
            MIN_HEAD_BYTES..=MAX_HEAD_BYTES,
        ),
        (
            "max-payload",
            limits.max_payload_bytes,
            MIN_PAYLOAD_BYTES..=MAX_MESSAGE_BYTES,
        ),
        (
            "max-message-bytes",
            limits.max_message_bytes,
            1..=MAX_MESSAGE_BYTES,
        ),
        (
            "max-channel-bytes",
            limits.max_channel_bytes,
            1..=MAX_CHANNEL_BYTES,
        ),
    ] {
        ensure_in(setting, bytes, range)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};
    use womack_ledger::Limit;

    use super::*;
    use crate::config::settings::Settings;

    /// Limits that are no settings of the server.
    const WITHOUT_FLAG: &[Limit] = &[
        // The system sets it, and the server takes all that it may have.
        Limit::OpenFiles,
    ];
    /// Flags with the name of a limit that nothing counts.
    const UNCOUNTED: &[&str] = &[
        // A client whose time is over is not refused anything.
        "max-connection-age",
    ];

    fn flags() -> Vec<String> {
        let command = Settings::augment_args(Command::new("limits"));
        let flags = command.get_arguments().filter_map(|flag| flag.get_long());
        flags.map(str::to_owned).collect()
    }

    #[test]
    fn every_limit_is_a_flag_of_its_name() {
        let flags = flags();
        for limit in Limit::ALL {
            let flag = limit.as_str().replace('_', "-");
            let is_exception = WITHOUT_FLAG.contains(limit);
            assert_ne!(flags.contains(&flag), is_exception, "{flag}");
        }
    }

    #[test]
    fn every_flag_that_begins_with_max_is_a_limit() {
        let limits = Limit::ALL.iter().map(|limit| limit.as_str());
        let limits: Vec<_> = limits.map(|name| name.replace('_', "-")).collect();
        for flag in flags().iter().filter(|flag| flag.starts_with("max-")) {
            let is_exception = UNCOUNTED.contains(&flag.as_str());
            assert_ne!(limits.contains(flag), is_exception, "{flag}");
        }
    }

    #[test]
    fn a_queue_always_has_room_for_one_message() {
        let settings = LimitSettings {
            max_message_bytes: Some(5_000_000),
            max_client_queue_bytes: Some(10),
            ..LimitSettings::default()
        };
        assert!(resolve(&settings).unwrap().max_client_queue_bytes > 5_000_000);
    }
}
