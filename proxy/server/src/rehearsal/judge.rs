//! What must hold of everything that was said.

use super::Reached;
use super::reading::{self, Answer, Asked, Ended};
use super::stage::{Played, address};
use crate::memory::Far;

/// A request as an instance heard it.
#[derive(Debug)]
struct Heard {
    asked: Asked,
    /// When it began.
    moment: u64,
    /// What the instance says to it, as far as it does; of 101 where the tunnel begins.
    answer: Option<Answer>,
}

/// A tunnel's bytes, as its two ends heard them.
#[derive(Debug)]
struct Tunnel {
    /// What the instance said and heard after the heads.
    said: Vec<u8>,
    heard: Vec<u8>,
}

/// The beginning of a request whose head an instance did not hear to its end, and what it says to that.
#[derive(Debug)]
struct Half {
    method: String,
    /// As far as it was heard.
    target: String,
    has_line: bool,
    answer: Option<Answer>,
}

impl Half {
    fn of(heard: &[u8], said: &[u8], answered: usize, ended: Ended) -> Self {
        let line = heard.split(|it| *it == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.split(' ').map(str::to_owned);
        let method = words.next().unwrap_or_default();
        let answer = final_answer(said, answered, &method, ended);
        Self {
            method,
            target: words.next().unwrap_or_default(),
            has_line: heard.contains(&b'\r'),
            answer,
        }
    }

    fn begins(&self, request: &Asked) -> bool {
        request.method.starts_with(&self.method) && request.target.starts_with(&self.target)
    }

    fn is_surely(&self, request: &Asked) -> bool {
        self.has_line && self.method == request.method && self.target == request.target
    }
}

/// Everything about one client.
#[derive(Debug, Default)]
struct Client {
    heard: Vec<Heard>,
    tunnels: Vec<Tunnel>,
}

/// All that was judged.
pub(super) struct Judgement {
    reached: Reached,
}

impl Judgement {
    /// # Panics
    ///
    /// Where a property does not hold.
    pub(super) fn of(played: &Played) -> Self {
        let mut clients: Vec<Client> = Vec::new();
        clients.resize_with(played.clients.len(), Client::default);
        let mut halves = Vec::new();
        for instance in &played.instances {
            halves.extend(instance_heard(instance, &mut clients));
        }
        let mut reached = Reached::default();
        for (far, client) in played.clients.iter().zip(&mut clients) {
            client.heard.sort_by_key(|it| it.moment);
            let asked = requests(&far.said.borrow().history);
            requests_correspond(&asked, client, &halves, played.retries, &mut reached);
            answers_correspond(far, &asked, client, &halves, &mut reached);
        }
        Self { reached }
    }

    pub(super) fn reached(&self) -> Reached {
        self.reached
    }
}

fn requests(bytes: &[u8]) -> Vec<Asked> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(asked) = reading::request(bytes, at) {
        at = asked.end;
        let is_whole = asked.body.is_whole;
        all.push(asked);
        if !is_whole {
            break;
        }
    }
    all
}

/// Reads one connection of an instance: whole requests in a row, the last perhaps cut, each with its answer.
fn instance_heard(instance: &Far, clients: &mut [Client]) -> Option<Half> {
    let (heard, said) = (instance.heard.borrow(), instance.said.borrow());
    let ended = if said.is_ended {
        Ended::Properly
    } else {
        Ended::Not
    };
    let (mut at, mut answered) = (0, 0);
    while at < heard.history.len() {
        let moment = heard.moment(at);
        // Nothing waited there that the next client could take for its answer.
        let unasked = said.length_at(moment) > answered;
        assert!(!unasked || at == 0, "asked where bytes waited");
        let Some(asked) = reading::request(&heard.history, at) else {
            let rest = heard.history[at..].escape_ascii().to_string();
            let is_cut = !heard.history[at..].windows(4).any(|it| it == b"\r\n\r\n");
            assert!(is_cut, "an instance cannot read {rest}");
            let begun = &heard.history[at..];
            return Some(Half::of(begun, &said.history, answered, ended));
        };
        let fields = asked.forwarded_for.clone();
        let asker = |client: &usize| Some(address(*client).to_string()) == fields;
        let Some(client) = (0..clients.len()).find(asker) else {
            unreachable!("a request of nobody: {asked:?}");
        };
        let answer = final_answer(&said.history, answered, &asked.method, ended);
        at = asked.end;
        answered = answer.as_ref().map_or(said.history.len(), |it| it.end);
        let switches = answer.as_ref().is_some_and(|it| it.status == 101) && asked.wants_tunnel;
        assert!(
            asked.body.is_whole || at == heard.history.len(),
            "bytes behind half a request"
        );
        clients[client].heard.push(Heard {
            asked,
            moment,
            answer,
        });
        if switches {
            clients[client].tunnels.push(Tunnel {
                said: said.history[answered..].to_vec(),
                heard: heard.history[at..].to_vec(),
            });
            return None;
        }
    }
    None
}

/// Past interim ones.
fn final_answer(bytes: &[u8], mut at: usize, method: &str, ended: Ended) -> Option<Answer> {
    loop {
        let answer = reading::answer(bytes, at, method, ended)?;
        if answer.status >= 200 || answer.status == 101 {
            return Some(answer);
        }
        at = answer.end;
    }
}

/// What instances heard of a client is what it asked, in order; again only where that does no harm.
fn requests_correspond(
    asked: &[Asked],
    client: &Client,
    halves: &[Half],
    retries: u8,
    reached: &mut Reached,
) {
    reached.asked += asked.iter().filter(|it| it.body.is_whole).count() as u64;
    let mut next = 0;
    for heard in &client.heard {
        let fits = |it: &&Asked| it.is_heard_as(&heard.asked);
        let Some(index) = (next..asked.len()).find(|it| fits(&&asked[*it])) else {
            unreachable!("never asked, or out of order: {heard:?}; of {asked:?}");
        };
        let again = asked[index].is_idempotent();
        next = if again { index } else { index + 1 };
        reached.forwarded += u64::from(heard.asked.body.is_whole);
    }
    for one in asked {
        let same = |it: &&Asked| it.method == one.method && it.target == one.target;
        let asked = asked.iter().filter(same).count();
        let heard = client.heard.iter().filter(|it| same(&&it.asked)).count();
        let begun = halves.iter().filter(|it| it.is_surely(one)).count();
        let most = if one.is_idempotent() {
            // A connection that turned out to be closed costs no retry.
            usize::from(retries) + 2
        } else {
            1
        };
        let times = heard + begun;
        assert!(times <= asked * most, "{one:?}: {times} times");
        reached.repeated += heard.saturating_sub(asked) as u64;
    }
}

/// What a client heard are answers to what it asked, in order, at most one each, each its instance's or our own.
fn answers_correspond(
    far: &Far,
    asked: &[Asked],
    client: &Client,
    halves: &[Half],
    reached: &mut Reached,
) {
    let heard = far.heard.borrow();
    let ended = if heard.is_ended && !heard.is_reset {
        Ended::Properly
    } else {
        Ended::Not
    };
    let bytes = &heard.history;
    let (mut at, mut number) = (0, 0);
    let mut is_last = false;
    while at < bytes.len() {
        let shown = || bytes[at..].escape_ascii().to_string();
        assert!(!is_last, "bytes behind the last answer: {}", shown());
        let request = asked.get(number);
        let method = request.map_or("GET", |it| it.method.as_str());
        let Some(answer) = reading::answer(bytes, at, method, ended) else {
            let is_cut = !bytes[at..].windows(4).any(|it| it == b"\r\n\r\n");
            assert!(is_cut, "a client cannot read {}", shown());
            return;
        };
        at = answer.end;
        if answer.status == 101 {
            let Some(request) = request.filter(|it| it.wants_tunnel) else {
                unreachable!("a tunnel that nobody asked for");
            };
            reached.tunnels += 1;
            tunnel_corresponds(far, request, &bytes[at..], client);
            return;
        }
        if answer.status < 200 {
            assert!(request.is_none_or(|it| !it.is_old), "1xx to HTTP/1.0");
            continue;
        }
        number += 1;
        is_last = answer.closes || !answer.body.is_whole;
        if answer.is_forwarded {
            let Some(request) = request else {
                unreachable!("an answer to nothing: {answer:?}");
            };
            answer_corresponds(&answer, request, client, halves);
            let (whole, broken) = (answer.body.is_whole, !answer.body.is_whole);
            reached.answered += u64::from(whole);
            reached.broken += u64::from(broken);
            assert!(request.body.is_whole || is_last, "goes on within a request");
        } else {
            reached.own += 1;
            assert!(request.is_some() || is_last, "more answers than requests");
        }
    }
}

/// An instance said it to this request, and whole if it looks whole.
fn answer_corresponds(answer: &Answer, request: &Asked, client: &Client, halves: &[Half]) {
    let is_it = |said: &Option<Answer>| {
        said.as_ref().is_some_and(|said| {
            let is_body = if answer.body.is_whole {
                said.body == answer.body
            } else {
                said.body.bytes.starts_with(&answer.body.bytes)
            };
            said.status == answer.status && is_body
        })
    };
    let mut heard = client.heard.iter();
    let mut halves = halves.iter();
    assert!(
        heard.any(|it| request.is_heard_as(&it.asked) && is_it(&it.answer))
            || halves.any(|it| it.begins(request) && is_it(&it.answer)),
        "nobody said {answer:?} to {request:?}; heard: {:?}",
        client.heard
    );
}

fn tunnel_corresponds(far: &Far, request: &Asked, heard: &[u8], client: &Client) {
    let said = far.said.borrow();
    let behind = &said.history[request.end..];
    let fits = |it: &Tunnel| it.said.starts_with(heard) && behind.starts_with(&it.heard);
    assert!(
        client.tunnels.iter().any(fits),
        "a tunnel changed: {:?}, {}",
        client.tunnels,
        heard.escape_ascii()
    );
}
