//! One name at its name servers: what stands there, and one update, over TCP, signed and proven.
//!
//! TCP alone: an update that is sent twice because a datagram was lost is no harm, but one that was forged is, and an answer
//! over UDP is easier to forge than a stream. Not here: what is to be done (`minato_control::entrance::decide`), and when
//! to try again (`names`).

mod key;
mod message;
#[cfg(test)]
mod tests;
mod trouble;

pub(crate) use trouble::Trouble;

use crate::clock;
use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::{RecordType, TSigner};
use message::Place;
use minato_config::DnsSettings;
use minato_control::entrance::{Move, Seen};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For one server to do all of one try.
const SERVER: Duration = Duration::from_secs(5);
/// Other writers in a row that are let go first in one try.
const RACES: usize = 5;

/// What came of one try at one server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was so, or is so now.
    Done {
        /// Whether anything was written.
        changed: bool,
    },
    /// It must not be, and why.
    Refused(String),
}

/// What came of it at the servers: the trouble is that of the last that was tried.
pub(crate) type Tried = Result<Outcome, (SocketAddr, Trouble)>;

/// Tries at each server in turn until one does it or refuses by the claim. `decide` is asked with each reading of the name, and with how
/// long the slowest step to it took, of connecting and of each answer; what it pins of a wish is its own matter.
pub(crate) async fn attempt(
    settings: &DnsSettings,
    mut decide: impl FnMut(&Seen, Duration) -> Move + Send,
) -> Tried {
    let mut last = None;
    let mut unsure = false;
    for server in &settings.servers {
        let tried = timeout(SERVER, at(settings, *server, &mut decide, &mut unsure)).await;
        match tried.unwrap_or(Err(Trouble::Silent(SERVER))) {
            Ok(outcome) => return Ok(outcome),
            Err(trouble) => {
                let others = trouble.is_of_the_server();
                last = Some((*server, trouble));
                if !others {
                    break;
                }
            }
        }
    }
    let nowhere = || {
        let none = Trouble::Nonsense("no server is named".to_owned());
        (SocketAddr::from(([0, 0, 0, 0], 0)), none)
    };
    Err(last.unwrap_or_else(nowhere))
}

/// `unsure`: whether an update was sent in this try of which nobody knows what came; what is found to be so then was changed by it.
async fn at(
    settings: &DnsSettings,
    server: SocketAddr,
    decide: &mut (impl FnMut(&Seen, Duration) -> Move + Send),
    unsure: &mut bool,
) -> Result<Outcome, Trouble> {
    let ttl = u32::try_from(settings.ttl.as_secs()).unwrap_or(u32::MAX);
    let place = Place::new(&settings.zone, &settings.name, ttl)?;
    let signer = key::signer(&settings.key).await?;
    let mut line = Line::open(server, signer).await?;
    for _ in 0..RACES {
        let seen = line.read(&place).await?;
        let update = match decide(&seen, line.slowest) {
            Move::Done => return Ok(Outcome::Done { changed: *unsure }),
            Move::Refused(why) => return Ok(Outcome::Refused(why)),
            Move::Send(update, _) => update,
        };
        // Also where this is left in the middle, since it takes too long.
        let was_unsure = std::mem::replace(unsure, true);
        match line.ask(place.update(&update)).await {
            Ok(_) => return Ok(Outcome::Done { changed: true }),
            Err(trouble @ Trouble::Unreachable(_)) => return Err(trouble),
            Err(trouble) => {
                *unsure = was_unsure;
                if !matches!(trouble, Trouble::Raced) {
                    return Err(trouble);
                }
            }
        }
    }
    Err(Trouble::Raced)
}

/// One connection to one server.
struct Line {
    stream: TcpStream,
    signer: TSigner,
    /// Of its steps so far.
    slowest: Duration,
}

impl Line {
    async fn open(server: SocketAddr, signer: TSigner) -> Result<Self, Trouble> {
        let began = clock::now();
        let stream = TcpStream::connect(server).await;
        let stream = stream.map_err(Trouble::Unreachable)?;
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream,
            signer,
            slowest: clock::now().saturating_duration_since(began),
        })
    }

    async fn read(&mut self, place: &Place) -> Result<Seen, Trouble> {
        let claim = self.ask(place.question(RecordType::TXT)).await?;
        let mut addresses = std::collections::BTreeSet::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let answer = self.ask(place.question(kind)).await?;
            addresses.extend(place.addresses_in(&answer)?);
        }
        Ok(Seen {
            claim: place.claim_in(&claim),
            addresses,
        })
    }

    async fn ask(&mut self, mut question: Message) -> Result<Message, Trouble> {
        let is_update = question.op_code == OpCode::Update;
        let broken = |error: std::io::Error| {
            let what = if is_update {
                "the update"
            } else {
                "a question"
            };
            let text = format!("the connection broke at {what}: {error}");
            Trouble::Unreachable(std::io::Error::new(error.kind(), text))
        };
        let now = clock::wall_seconds();
        let unsendable = |it: &dyn std::fmt::Display| Trouble::Nonsense(it.to_string());
        let signed = question.finalize(&self.signer, now);
        let verifier = signed.map_err(|it| unsendable(&it))?;
        let mut verifier = verifier.ok_or_else(|| unsendable(&"the question was not signed"))?;
        let bytes = question.to_vec().map_err(|it| unsendable(&it))?;
        let length = u16::try_from(bytes.len()).map_err(|it| unsendable(&it))?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(bytes);
        let began = clock::now();
        self.stream.write_all(&framed).await.map_err(broken)?;
        let length = self.stream.read_u16().await.map_err(broken)?;
        let mut answer = vec![0; usize::from(length)];
        self.stream.read_exact(&mut answer).await.map_err(broken)?;
        let took = clock::now().saturating_duration_since(began);
        self.slowest = self.slowest.max(took);
        message::understand(&answer, &question, &mut verifier, now)
    }
}
