//! How a container stands, from what the engine says of it. Pure.

use crate::runtime::Exit;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use std::net::SocketAddr;

/// One look at a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// Made, never started.
    Created,
    /// Its first process lives.
    Running { pid: u32 },
    /// It has ended.
    Ended { exit: Exit, lasted_ms: Option<u64> },
}

pub(super) fn look(container: &ContainerInspectResponse) -> Look {
    let none = ContainerState::default();
    let state = container.state.as_ref().unwrap_or(&none);
    let pid = state
        .pid
        .and_then(|it| u32::try_from(it).ok())
        .filter(|it| *it > 0);
    if let (Some(true), Some(pid)) = (state.running, pid) {
        return Look::Running { pid };
    }
    if state.status == Some(ContainerStateStatusEnum::CREATED) {
        return Look::Created;
    }
    let limit = container.host_config.as_ref().and_then(|it| it.memory);
    let limit = limit
        .and_then(|it| u64::try_from(it).ok())
        .filter(|it| (1..super::create::ALL_MEMORY.unsigned_abs()).contains(it));
    let code = state.exit_code.and_then(|it| i32::try_from(it).ok());
    let exit = match code {
        Some(137) if state.oom_killed == Some(true) => Exit::OutOfMemory(limit),
        // What a shell and an init tell of a child that a signal ended; a program may say it as well.
        Some(code @ 129..=192) => Exit::Signal(code - 128),
        Some(code) => Exit::Status(code),
        None => Exit::Unseen("the engine does not say how".to_owned()),
    };
    let time = |it: &Option<String>| it.as_deref().and_then(milliseconds);
    let lasted_ms = time(&state.finished_at)
        .zip(time(&state.started_at))
        .and_then(|(end, start)| end.checked_sub(start));
    Look::Ended { exit, lasted_ms }
}

/// Where this machine reaches the program, whatever becomes of the engine: its own address on the engine's bridge.
/// `None` where it has none, or is not published from inside.
pub(super) fn direct(
    container: &ContainerInspectResponse,
    network: &str,
    port: u16,
) -> Option<SocketAddr> {
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    let address = networks.get(network)?.ip_address.as_deref()?;
    Some(SocketAddr::new(address.parse().ok()?, port))
}

/// Milliseconds since 1970 of `2026-11-22T14:35:01.123456789Z`; `None` for anything else, and for the year 1.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|it| it.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, part) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':').map(|it| it.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let plain = part.bytes().all(|it| it.is_ascii_digit()) && part.len() <= 9;
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || !plain
    {
        return None;
    }
    // Days from civil, H. Hinnant, "chrono-compatible low-level date algorithms"; years begin in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    let part: u64 = format!("{part:0<9}").parse().ok()?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + part / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_engine() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T14:35:01.123456789Z", Some(1_795_358_101_123)),
            ("2024-02-29T00:00:00.5Z", Some(1_709_164_800_500)),
            ("0001-01-01T00:00:00Z", None),
            ("2026-11-22T14:35:01+01:00", None),
            ("", None),
            ("2026-13-22T14:35:01Z", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    fn container(state: ContainerState) -> ContainerInspectResponse {
        ContainerInspectResponse {
            state: Some(state),
            host_config: Some(bollard::models::HostConfig {
                memory: Some(64 << 20),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn how_it_ended() {
        let ended = |code: i64, oom: bool| match look(&container(ContainerState {
            status: Some(ContainerStateStatusEnum::EXITED),
            exit_code: Some(code),
            oom_killed: Some(oom),
            started_at: Some("2026-11-22T14:35:01.1Z".to_owned()),
            finished_at: Some("2026-11-22T14:35:01.3Z".to_owned()),
            ..Default::default()
        })) {
            Look::Ended { exit, lasted_ms } => {
                assert_eq!(lasted_ms, Some(200));
                exit
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ended(0, false), Exit::Status(0));
        assert_eq!(ended(3, false), Exit::Status(3));
        assert_eq!(ended(143, false), Exit::Signal(15));
        assert_eq!(ended(137, false), Exit::Signal(9));
        assert_eq!(ended(137, true), Exit::OutOfMemory(Some(64 << 20)));
        assert_eq!(ended(1, true), Exit::Status(1));
        assert_eq!(ended(255, false), Exit::Status(255));
    }

    #[test]
    fn what_lives_and_what_never_did() {
        let running = ContainerState {
            running: Some(true),
            pid: Some(77),
            ..Default::default()
        };
        assert_eq!(look(&container(running)), Look::Running { pid: 77 });
        let created = ContainerState {
            status: Some(ContainerStateStatusEnum::CREATED),
            ..Default::default()
        };
        assert_eq!(look(&container(created)), Look::Created);
    }
}
