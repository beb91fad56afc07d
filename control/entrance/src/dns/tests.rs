//! What a hostile or broken server may answer: none of it counts, and none of it panics.

use super::message::{Place, understand};
use super::*;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Name, RData, Record, TSigResponseContext};
use minato_control::entrance::{Change, Claim, Update};

const NOW: u64 = 1_795_000_000;

fn place() -> Place {
    Place::new("example.test", "www.example.test", 5).unwrap()
}

fn signer(secret: &[u8]) -> TSigner {
    let name = Name::from_ascii("tokyo").unwrap();
    TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name, 300).unwrap()
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The answer of a server with `secret`; without one, unsigned. `tsig`: what it says of the signature.
fn answered(
    question: Message,
    code: ResponseCode,
    secret: Option<&[u8]>,
    tsig: Option<TsigError>,
    change: impl FnOnce(&mut Message),
) -> Result<Message, Trouble> {
    let mut question = question;
    let verifier = question.finalize(&signer(SECRET), NOW).unwrap();
    let mut verifier = verifier.unwrap();
    let mac = question.signature().unwrap().data.mac.clone();
    let mut answer = Message::response(question.id, question.op_code);
    answer.metadata.response_code = code;
    answer.metadata.authoritative = true;
    change(&mut answer);
    if let Some(secret) = secret {
        let bytes = answer.to_vec().unwrap();
        let context = match tsig {
            Some(TsigError::BadSig) => {
                TSigResponseContext::bad_signature(question.id, NOW, signer(secret))
            }
            Some(TsigError::BadKey) => TSigResponseContext::unknown_key(
                question.id,
                NOW,
                Name::from_ascii("tokyo.").unwrap(),
            ),
            other => TSigResponseContext::new(question.id, NOW, signer(secret), mac, other),
        };
        answer.set_signature(context.sign(&bytes).unwrap());
    }
    let bytes = answer.to_vec().unwrap();
    understand(&bytes, &question, &mut verifier, NOW)
}

fn question() -> Message {
    place().question(RecordType::TXT)
}

fn update() -> Message {
    let claim = Claim {
        epoch: 7,
        site: "tokyo".to_owned(),
    };
    place().update(&Update {
        require: None,
        claim,
        change: Change::Replace(["192.0.2.1".parse().unwrap()].into()),
    })
}

/// What is asked, the code, the secret and the word of the answer, and part of the trouble.
type Row = (
    Message,
    ResponseCode,
    Option<&'static [u8]>,
    Option<TsigError>,
    &'static str,
);

#[test]
fn only_what_the_key_proves_counts() {
    use ResponseCode as Code;
    let same = |_: &mut Message| {};
    let table: [Row; 14] = [
        (update(), Code::NoError, Some(SECRET), None, ""),
        (question(), Code::NXDomain, Some(SECRET), None, ""),
        // Unsigned, or signed by somebody else: nothing was done.
        (update(), Code::NoError, None, None, "not proven"),
        (
            update(),
            Code::NoError,
            Some(b"another secret of 32 bytes......"),
            None,
            "not proven",
        ),
        (question(), Code::NXDomain, None, None, "same time"),
        (update(), Code::YXRRSet, Some(SECRET), None, "same time"),
        (update(), Code::NXRRSet, Some(SECRET), None, "same time"),
        (
            update(),
            Code::NotAuth,
            Some(SECRET),
            Some(TsigError::BadSig),
            "BADSIG",
        ),
        (
            update(),
            Code::NotAuth,
            Some(SECRET),
            Some(TsigError::BadKey),
            "BADKEY",
        ),
        (
            update(),
            Code::NotAuth,
            Some(SECRET),
            Some(TsigError::BadTime),
            "BADTIME",
        ),
        (update(), Code::NotAuth, None, None, "NOTAUTH"),
        (update(), Code::Refused, Some(SECRET), None, "REFUSED"),
        (update(), Code::ServFail, None, None, "SERVFAIL"),
        (update(), Code::NotZone, Some(SECRET), None, "NOTZONE"),
    ];
    for (question, code, secret, tsig, part) in table {
        let told = answered(question, code, secret, tsig, same);
        let text = told
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert_eq!(told.is_ok(), part.is_empty(), "{code:?}: {text}");
        assert!(text.contains(part), "{code:?} {tsig:?}: {text}");
    }
    let told = answered(question(), Code::NoError, Some(SECRET), None, |it| {
        it.metadata.authoritative = false;
    });
    assert!(matches!(told, Err(Trouble::NotAuthority)), "{told:?}");
    let told = answered(question(), Code::NoError, Some(SECRET), None, |it| {
        it.metadata.id = it.metadata.id.wrapping_add(1);
    });
    assert!(matches!(told, Err(Trouble::Nonsense(_))), "{told:?}");
}

#[test]
fn a_claim_is_one_record_and_two_are_understood_by_nobody() {
    let place = place();
    let claim = |text: &str| {
        let data = RData::TXT(hickory_proto::rr::rdata::TXT::new(vec![text.to_owned()]));
        Record::from_rdata(place.claim.clone(), 5, data)
    };
    let mut answer = Message::response(1, OpCode::Query);
    assert_eq!(place.claim_in(&answer), None);
    answer.add_answer(claim("b"));
    assert_eq!(place.claim_in(&answer).as_deref(), Some("b"));
    answer.add_answer(claim("a"));
    assert_eq!(place.claim_in(&answer).as_deref(), Some("a; b"));
}

#[test]
fn a_name_that_is_an_alias_is_trouble_and_not_done() {
    let place = place();
    let mut answer = Message::response(1, OpCode::Query);
    assert!(place.addresses_in(&answer).unwrap().is_empty());
    let target = Name::from_ascii("elsewhere.example.test.").unwrap();
    let data = RData::CNAME(hickory_proto::rr::rdata::CNAME(target));
    answer.add_answer(Record::from_rdata(place.name.clone(), 5, data));
    let told = place.addresses_in(&answer);
    assert!(matches!(told, Err(Trouble::Alias)), "{told:?}");
}

#[test]
fn broken_answers_are_errors_and_nothing_more() {
    let mut question = update();
    let verifier = question.finalize(&signer(SECRET), NOW).unwrap();
    let mut verifier = verifier.unwrap();
    let whole = question.to_vec().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for length in 0..whole.len() {
        understand(&whole[..length], &question, &mut verifier, NOW).unwrap_err();
    }
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        // An answer in all that is looked at first.
        bytes[2] |= 0x80;
        for _ in 0..random.usize(1..8) {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        understand(&bytes, &question, &mut verifier, NOW).unwrap_err();
    }
}
