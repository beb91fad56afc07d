//! What a script's bytes mean. Every sequence of bytes is a script.

use crate::memory::Door;
use std::time::Duration;

/// Steps of one script at most.
const STEPS: usize = 400;

/// How the stage is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) retries: u8,
    /// In flight at most; 0: no limit.
    pub(super) in_flight: u32,
    /// Connections to an instance at most; 0: no limit.
    pub(super) connections: u32,
    pub(super) idle: u32,
    /// Bytes of a body at most; 0: no limit.
    pub(super) body: u64,
    /// Bytes that wait on their way to a peer that does not hear.
    pub(super) room: usize,
}

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A client connects in place of the one that has this seat.
    Connect {
        seat: usize,
    },
    /// Puts a request into what a client is about to say.
    Ask {
        seat: usize,
        word: u8,
    },
    /// Puts bytes into it.
    AskBytes {
        seat: usize,
        bytes: Vec<u8>,
    },
    /// A client says so much of it; 0: all.
    SaySome {
        seat: usize,
        count: usize,
    },
    Client {
        seat: usize,
        does: Deed,
    },
    /// Puts an answer into what an instance is about to say on a connection.
    Answer {
        line: usize,
        word: u8,
    },
    AnswerBytes {
        line: usize,
        bytes: Vec<u8>,
    },
    AnswerSome {
        line: usize,
        count: usize,
    },
    Instance {
        line: usize,
        does: Deed,
    },
    Door(Door),
    /// An instance's standing changes.
    Stand {
        endpoint: usize,
        standing: u8,
    },
    Pass(Duration),
    /// Lets the engine run until it waits.
    Run,
}

/// What either peer may do to its connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    /// Says that it has said all.
    End,
    /// Ends both ways.
    Close,
    Reset,
    /// Stops hearing, or hears again.
    Turn,
}

#[derive(Debug)]
pub(super) struct Script {
    pub(super) setting: Setting,
    /// Each with how many turns the engine gets after it.
    pub(super) steps: Vec<(Step, u8)>,
}

impl Script {
    pub(super) fn of(data: &[u8]) -> Self {
        let mut bytes = data.iter().copied();
        let mut next = || bytes.next();
        let (one, other) = (next().unwrap_or(0), next().unwrap_or(0));
        let setting = Setting {
            retries: one & 3,
            in_flight: [0, 0, 1, 2][usize::from(one >> 2 & 3)],
            connections: [0, 0, 1, 2][usize::from(one >> 4 & 3)],
            idle: [32, 0, 1, 32][usize::from(one >> 6)],
            body: [0, 0, 0, 4][usize::from(other & 3)],
            room: [1 << 20, 64, 700, 16_384][usize::from(other >> 2 & 3)],
        };
        let mut steps = Vec::new();
        while steps.len() < STEPS {
            let Some(first) = next() else { break };
            let Some(step) = step(first, &mut next) else {
                break;
            };
            steps.push((step, [0, 1, 3, 40][usize::from(first >> 6)]));
        }
        Self { setting, steps }
    }
}

fn step(first: u8, next: &mut impl FnMut() -> Option<u8>) -> Option<Step> {
    let mut literal = |length: u8| (0..length).map_while(|_| next()).collect::<Vec<u8>>();
    let [which] = *literal(1) else { return None };
    let (seat, line) = (usize::from(which & 3), usize::from(which & 7));
    let word = which >> 3;
    let deed = |deed: u8| match deed & 3 {
        0 => Deed::End,
        1 => Deed::Close,
        2 => Deed::Reset,
        _ => Deed::Turn,
    };
    let mut number = || literal(1).first().copied();
    Some(match first & 31 {
        0 => Step::Connect { seat },
        1..=4 => Step::Ask {
            seat,
            word: which >> 2,
        },
        5 => {
            let length = number()?;
            let bytes = literal(length);
            Step::AskBytes { seat, bytes }
        }
        6..=8 => Step::SaySome { seat, count: 0 },
        9..=11 => Step::SaySome {
            seat,
            count: usize::from(number()?),
        },
        12 => Step::Client {
            seat,
            does: deed(which >> 2),
        },
        13..=16 => Step::Answer { line, word },
        17 => {
            let length = number()?;
            let bytes = literal(length);
            Step::AnswerBytes { line, bytes }
        }
        18..=20 => Step::AnswerSome { line, count: 0 },
        21..=23 => Step::AnswerSome {
            line,
            count: usize::from(number()?),
        },
        24 => Step::Instance {
            line,
            does: deed(word),
        },
        25 => Step::Door(match which & 3 {
            0 => Door::Refuses,
            1 => Door::Hangs,
            _ => Door::Open,
        }),
        26 => Step::Stand {
            endpoint: usize::from(which & 1),
            standing: which >> 1 & 3,
        },
        27 => Step::Pass(Duration::from_millis(u64::from(which) * 25)),
        _ => Step::Run,
    })
}
