//! From decisions to messages, and from answers to what they say. Pure but for the numbers of messages, which are random.
//!
//! Sources: RFC 2136 (2.4 prerequisites, 2.5 updates), RFC 8945 (signatures).

use super::trouble::Trouble;
use hickory_proto::op::update_message::UpdateMessage as _;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::rdata::{A, AAAA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigVerifier};
use minato_control::entrance::{Change, Claim, Update};
use std::net::IpAddr;

/// The name that is published, and where its claim stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) zone: Name,
    pub(super) name: Name,
    pub(super) claim: Name,
    /// Seconds.
    pub(super) ttl: u32,
}

/// The label before the name, where the claim stands.
pub(crate) const CLAIM_LABEL: &str = "_minato";

impl Place {
    pub(super) fn new(zone: &str, name: &str, ttl: u32) -> Result<Self, Trouble> {
        let parse = |text: &str| {
            let mut name =
                Name::from_ascii(text).map_err(|it| Trouble::Nonsense(it.to_string()))?;
            name.set_fqdn(true);
            Ok::<_, Trouble>(name)
        };
        Ok(Self {
            zone: parse(zone)?,
            name: parse(name)?,
            claim: parse(&format!("{CLAIM_LABEL}.{name}"))?,
            ttl,
        })
    }

    /// A question about one kind of record, of an authority.
    pub(super) fn question(&self, kind: RecordType) -> Message {
        let name = match kind {
            RecordType::TXT => &self.claim,
            _ => &self.name,
        };
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        let mut query = Query::new();
        query.set_name(name.clone());
        query.set_query_type(kind);
        message.add_query(query);
        message
    }

    pub(super) fn update(&self, update: &Update) -> Message {
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        let mut zone = Query::new();
        zone.set_name(self.zone.clone());
        zone.set_query_type(RecordType::SOA);
        message.add_zone(zone);
        message.add_pre_requisite(match &update.require {
            Some(claim) => self.claim_record(claim, 0),
            None => empty(&self.claim, RecordType::TXT, DNSClass::NONE),
        });
        // Nothing to write where the claim stays: an update of the addresses alone.
        if update.require.as_ref() != Some(&update.claim) {
            message.add_update(empty(&self.claim, RecordType::TXT, DNSClass::ANY));
            message.add_update(self.claim_record(&update.claim, self.ttl));
        }
        let (addresses, kind) = match &update.change {
            Change::Replace(addresses) => {
                for kind in [RecordType::A, RecordType::AAAA] {
                    message.add_update(empty(&self.name, kind, DNSClass::ANY));
                }
                (addresses, DNSClass::IN)
            }
            Change::Add(addresses) => (addresses, DNSClass::IN),
            Change::Remove(addresses) => (addresses, DNSClass::NONE),
        };
        for address in addresses {
            let ttl = if kind == DNSClass::IN { self.ttl } else { 0 };
            let data = match address {
                IpAddr::V4(it) => RData::A(A(*it)),
                IpAddr::V6(it) => RData::AAAA(AAAA(*it)),
            };
            let mut record = Record::from_rdata(self.name.clone(), ttl, data);
            record.dns_class = kind;
            message.add_update(record);
        }
        message
    }

    fn claim_record(&self, claim: &Claim, ttl: u32) -> Record {
        let data = RData::TXT(TXT::new(vec![claim.to_string()]));
        Record::from_rdata(self.claim.clone(), ttl, data)
    }

    /// The text of the claim in an answer. Several records are one text that nobody understands.
    pub(super) fn claim_in(&self, answer: &Message) -> Option<String> {
        let texts = answer.answers.iter().filter_map(|it| match &it.data {
            RData::TXT(text) if it.name == self.claim => {
                let parts = text.txt_data.iter();
                let bytes: Vec<u8> = parts.flat_map(|it| it.iter().copied()).collect();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        });
        let mut all: Vec<String> = texts.collect();
        all.sort();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The addresses of the name in an answer. A name that is an alias has none, and a server drops what is added to it without a
    /// word (RFC 2136, 3.4.2.2).
    pub(super) fn addresses_in(&self, answer: &Message) -> Result<Vec<IpAddr>, Trouble> {
        let own = answer.answers.iter().filter(|it| it.name == self.name);
        let mut addresses = Vec::new();
        for it in own {
            match &it.data {
                RData::A(it) => addresses.push(IpAddr::V4(it.0)),
                RData::AAAA(it) => addresses.push(IpAddr::V6(it.0)),
                RData::CNAME(_) => return Err(Trouble::Alias),
                _ => {}
            }
        }
        Ok(addresses)
    }
}

fn empty(name: &Name, kind: RecordType, class: DNSClass) -> Record {
    let mut record = Record::update0(name.clone(), 0, kind);
    record.dns_class = class;
    record
}

/// What `bytes` say to the message of number `id` and kind `asked`, sent at `now` (seconds). Only what the key proves counts as
/// an answer; what is not proven may only say that something is wrong.
pub(super) fn understand(
    bytes: &[u8],
    asked: &Message,
    verifier: &mut TSigVerifier,
    now: u64,
) -> Result<Message, Trouble> {
    let nonsense = |it: &dyn std::fmt::Display| Trouble::Nonsense(it.to_string());
    let answer = Message::from_vec(bytes).map_err(|it| nonsense(&it))?;
    let is_answer = answer.metadata.message_type == MessageType::Response
        && answer.id == asked.id
        && answer.op_code == asked.op_code;
    if !is_answer {
        return Err(nonsense(&"it answers another question"));
    }
    let signature = answer.signature().map(|it| it.data.clone());
    match signature.as_ref().and_then(|it| it.error) {
        Some(TsigError::BadKey) => return Err(Trouble::UnknownKey),
        Some(TsigError::BadSig | TsigError::BadTrunc) => return Err(Trouble::WrongSecret),
        Some(TsigError::BadTime) => {
            let theirs = signature.as_ref().and_then(|it| clock(&it.other));
            let apart = theirs.map_or(0, |it| i128::from(it) - i128::from(now));
            return Err(Trouble::Clock(i64::try_from(apart).unwrap_or(i64::MAX)));
        }
        Some(other) => return Err(Trouble::Code(format!("{other:?}"))),
        None => {}
    }
    let code = answer.metadata.response_code;
    match verifier.verify(bytes) {
        Ok(_) => {}
        // An unsigned refusal changes nothing, so it is believed for what it says.
        Err(_) if signature.is_none() && code != ResponseCode::NoError => {
            return Err(failure(code));
        }
        Err(error) => return Err(Trouble::Unproven(error.to_string())),
    }
    match code {
        ResponseCode::NoError => {}
        // A name that is not there yet is an answer like any other.
        ResponseCode::NXDomain if asked.op_code == OpCode::Query => {}
        code => return Err(failure(code)),
    }
    if asked.op_code == OpCode::Query && !answer.metadata.authoritative {
        return Err(Trouble::NotAuthority);
    }
    if answer.metadata.truncation {
        return Err(nonsense(&"it is cut off"));
    }
    Ok(answer)
}

/// The server's clock, in seconds, as BADTIME says it (RFC 8945, 5.2.3).
fn clock(bytes: &[u8]) -> Option<u64> {
    let six: [u8; 6] = bytes.try_into().ok()?;
    Some(six.iter().fold(0, |sum, it| sum << 8 | u64::from(*it)))
}

fn failure(code: ResponseCode) -> Trouble {
    match code {
        ResponseCode::ServFail => Trouble::Failed,
        ResponseCode::Refused => Trouble::Refused,
        ResponseCode::NotAuth => Trouble::NotAuthorized,
        ResponseCode::NotZone => Trouble::NotZone,
        // The claim is there though it should not be, or is not what it was.
        ResponseCode::YXRRSet
        | ResponseCode::NXRRSet
        | ResponseCode::YXDomain
        | ResponseCode::NXDomain => Trouble::Raced,
        other => Trouble::Code(other.to_str().to_owned()),
    }
}
