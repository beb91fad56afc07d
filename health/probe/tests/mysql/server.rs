//! A MySQL 8 server as far as checks see one: greeting, TLS, logins by two methods, three statements.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use minato_config::ClientAuth;
use minato_tls::{Acceptor, Certificates, TicketKeys};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longer than one block of anything, with letters outside ASCII.
pub(crate) const PASSWORD: &str = "Gehe\u{ef}mnis, das l\u{e4}nger ist als zwanzig Zeichen";
const NONCE: &[u8; 20] = b"dvH@I-CJ*4d|cZwk4^]:";
const SECOND_NONCE: &[u8; 20] = b"RB3vz&Gr+yD&/ZZ305ZG";
const SSL: u32 = 1 << 11;
const DENIED: &[u8] = b"\xff\x15\x04#28000Access denied for user 'minato'";
const UNKNOWN: &[u8] = b"\xff\x28\x04#42000You have an error in your SQL syntax";
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const END: &[u8] = &[0xfe, 0, 0, 2, 0];

/// One for all tests: making it takes a while.
static PRIVATE: LazyLock<PrivateDecryptingKey> =
    LazyLock::new(|| PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap());

/// What it answers to the wish for its key.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Key {
    Own,
    None,
    Text(&'static str),
    /// A key in form, too short for anything.
    Short,
}

#[derive(Clone)]
pub(crate) struct Answers {
    /// The method that the greeting names.
    pub(crate) usual: &'static str,
    pub(crate) of_user: &'static str,
    /// Whether it has seen the password since it started.
    pub(crate) knows: bool,
    pub(crate) key: Key,
    pub(crate) tls: Option<Arc<Acceptor>>,
    pub(crate) read_only: &'static str,
    pub(crate) source: Option<&'static str>,
    pub(crate) applies: &'static str,
    /// It closes once it has sent so many octets.
    pub(crate) ends_after: Option<usize>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            usual: "caching_sha2_password",
            of_user: "caching_sha2_password",
            knows: true,
            key: Key::Own,
            tls: None,
            read_only: "0",
            source: None,
            applies: "Yes",
            ends_after: None,
        }
    }
}

#[derive(Default)]
struct Counts {
    logins: AtomicUsize,
    shown: AtomicUsize,
    keys: AtomicUsize,
    sent: AtomicUsize,
}

/// Runs until dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (answers, counts) = (answers.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    // A client that is content, or not, just goes.
                    let _ = connection(tcp, &answers, &counts).await;
                });
            }
        });
        Self {
            address,
            counts,
            task,
        }
    }

    /// Packets of login that arrived.
    pub(crate) fn logins(&self) -> usize {
        self.counts.logins.load(Ordering::SeqCst)
    }

    /// How often the password itself arrived, encrypted or not.
    pub(crate) fn shown(&self) -> usize {
        self.counts.shown.load(Ordering::SeqCst)
    }

    /// How often its key was asked for.
    pub(crate) fn keys(&self) -> usize {
        self.counts.keys.load(Ordering::SeqCst)
    }

    /// Octets that it sent.
    pub(crate) fn sent(&self) -> usize {
        self.counts.sent.load(Ordering::SeqCst)
    }
}

/// The connection ended, or was to.
struct Over;

struct Link<'a, S> {
    stream: S,
    sequence: u8,
    answers: &'a Answers,
    counts: &'a Counts,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<'_, S> {
    async fn read(&mut self) -> Result<Vec<u8>, Over> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await.map_err(|_| Over)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        assert_eq!(head[3], self.sequence, "the client lost count");
        self.sequence = self.sequence.wrapping_add(1);
        let mut content = vec![0; length as usize];
        self.stream
            .read_exact(&mut content)
            .await
            .map_err(|_| Over)?;
        Ok(content)
    }

    async fn write(&mut self, content: &[u8]) -> Result<(), Over> {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let mut packet = vec![length[0], length[1], length[2], self.sequence];
        packet.extend(content);
        self.sequence = self.sequence.wrapping_add(1);
        let sent = self.counts.sent.fetch_add(packet.len(), Ordering::SeqCst);
        let left = self.answers.ends_after.map(|it| it.saturating_sub(sent));
        let ends = left.is_some_and(|it| it < packet.len());
        packet.truncate(left.unwrap_or(usize::MAX));
        self.stream.write_all(&packet).await.map_err(|_| Over)?;
        self.stream.flush().await.map_err(|_| Over)?;
        if ends { Err(Over) } else { Ok(()) }
    }
}

async fn connection(tcp: TcpStream, answers: &Answers, counts: &Counts) -> Result<(), Over> {
    let mut link = Link {
        stream: tcp,
        sequence: 0,
        answers,
        counts,
    };
    let mut capabilities = !SSL;
    if answers.tls.is_some() {
        capabilities |= SSL;
    }
    let [a, b, c, d] = capabilities.to_le_bytes();
    let mut greeting = b"\x0a8.0.36\0\x07\0\0\0".to_vec();
    greeting.extend(&NONCE[..8]);
    greeting.extend([0, a, b, 45, 2, 0, c, d, 21]);
    greeting.extend([0; 10]);
    greeting.extend(&NONCE[8..]);
    greeting.push(0);
    greeting.extend(answers.usual.as_bytes());
    greeting.push(0);
    link.write(&greeting).await?;
    let first = link.read().await?;
    let wanted = u32::from_le_bytes(first[..4].try_into().unwrap());
    if wanted & SSL == 0 {
        return serve(link, first, false).await;
    }
    assert_eq!(first.len(), 32, "the wish for TLS says nothing else");
    let accepted = answers.tls.as_ref().unwrap().accept(link.stream).await;
    let mut link = Link {
        stream: accepted.map_err(|_| Over)?.stream,
        sequence: link.sequence,
        answers,
        counts,
    };
    let first = link.read().await?;
    serve(link, first, true).await
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut link: Link<'_, S>,
    first: Vec<u8>,
    encrypted: bool,
) -> Result<(), Over> {
    link.counts.logins.fetch_add(1, Ordering::SeqCst);
    if !login(&mut link, &first, encrypted).await? {
        return link.write(DENIED).await;
    }
    link.write(OK).await?;
    loop {
        link.sequence = 0;
        let command = link.read().await?;
        let statement = String::from_utf8(command[1..].to_vec()).unwrap();
        match (command[0], statement.as_str()) {
            (1, _) => return Ok(()),
            (3, "SELECT @@global.read_only") => {
                let read_only = link.answers.read_only;
                rows(&mut link, &["@@global.read_only"], &[&[read_only]]).await?;
            }
            (3, "SHOW REPLICA STATUS") => {
                let columns = [
                    "Replica_IO_State",
                    "Source_Host",
                    "Replica_IO_Running",
                    "Replica_SQL_Running",
                    "Last_SQL_Error",
                ];
                let applies = link.answers.applies;
                let trouble = if applies == "Yes" {
                    ""
                } else {
                    "Duplicate entry"
                };
                match link.answers.source {
                    None => rows(&mut link, &columns, &[]).await?,
                    Some(source) => {
                        let row = ["Waiting", source, "Yes", applies, trouble];
                        rows(&mut link, &columns, &[&row]).await?;
                    }
                }
            }
            (3, _) => link.write(UNKNOWN).await?,
            other => panic!("an unknown command: {other:?}"),
        }
    }
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    link: &mut Link<'_, S>,
    first: &[u8],
    encrypted: bool,
) -> Result<bool, Over> {
    let rest = &first[32..];
    let end = rest.iter().position(|it| *it == 0).unwrap();
    assert_eq!(&rest[..end], b"minato");
    let length = usize::from(rest[end + 1]);
    let (proof, rest) = rest[end + 2..].split_at(length);
    let (mut proof, mut nonce) = (proof.to_vec(), NONCE);
    let method = rest.strip_suffix(&[0]).unwrap();
    if method != link.answers.of_user.as_bytes() {
        nonce = SECOND_NONCE;
        let mut change = vec![0xfe];
        change.extend(link.answers.of_user.as_bytes());
        change.push(0);
        change.extend(nonce);
        change.push(0);
        link.write(&change).await?;
        proof = link.read().await?;
    }
    if link.answers.of_user == "mysql_native_password" {
        return Ok(proof == native(nonce));
    }
    if link.answers.knows {
        if proof != sha2(nonce) {
            return Ok(false);
        }
        link.write(&[1, 3]).await?;
        return Ok(true);
    }
    link.write(&[1, 4]).await?;
    let mut secret = link.read().await?;
    if !encrypted {
        assert_eq!(secret, [2], "the password, for everybody to read");
        link.counts.keys.fetch_add(1, Ordering::SeqCst);
        let key = key(link.answers.key);
        link.write(&[&[1], key.as_bytes()].concat()).await?;
        let sealed = link.read().await?;
        let private = OaepPrivateDecryptingKey::new(PRIVATE.clone()).unwrap();
        let mut room = vec![0; private.min_output_size()];
        let opened = private.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut room, None);
        secret = opened.unwrap().to_vec();
        let mask = nonce.iter().cycle();
        secret
            .iter_mut()
            .zip(mask)
            .for_each(|(it, mask)| *it ^= mask);
    }
    link.counts.shown.fetch_add(1, Ordering::SeqCst);
    Ok(secret == [PASSWORD.as_bytes(), &[0]].concat())
}

fn key(which: Key) -> String {
    let public = match which {
        Key::None => return String::new(),
        Key::Text(text) => return text.to_owned(),
        // 512 bits: nobody should use that, and no password fits.
        Key::Short => SHORT.to_owned(),
        Key::Own => {
            let der = PRIVATE.public_key().as_der().unwrap();
            base64::engine::general_purpose::STANDARD.encode(der.as_ref())
        }
    };
    let lines: Vec<&str> = public
        .as_bytes()
        .chunks(64)
        .map(|it| std::str::from_utf8(it).unwrap())
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

const SHORT: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOv013W7C4TxmI0xQvhfFzMYeImKFbm9aDEajmJN5R44U30T3fhGLUtw4ROAgz3J+NhZ0ptBhQMqzzAouIff87sCAwEAAQ==";

async fn rows<S: AsyncRead + AsyncWrite + Unpin>(
    link: &mut Link<'_, S>,
    columns: &[&str],
    rows: &[&[&str]],
) -> Result<(), Over> {
    let text = |it: &str| [&[u8::try_from(it.len()).unwrap()], it.as_bytes()].concat();
    link.write(&[u8::try_from(columns.len()).unwrap()]).await?;
    for column in columns {
        let mut packet = Vec::new();
        for part in ["def", "", "", "", column, ""] {
            packet.extend(text(part));
        }
        packet.extend([0x0c, 45, 0, 0, 1, 0, 0, 0xfd, 0, 0, 0, 0, 0]);
        link.write(&packet).await?;
    }
    link.write(END).await?;
    for row in rows {
        let fields: Vec<u8> = row.iter().flat_map(|it| text(it)).collect();
        link.write(&fields).await?;
    }
    link.write(END).await
}

fn native(nonce: &[u8]) -> Vec<u8> {
    let sha = |parts: &[&[u8]]| {
        let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        parts.iter().for_each(|it| context.update(it));
        context.finish().as_ref().to_vec()
    };
    let once = sha(&[PASSWORD.as_bytes()]);
    let mask = sha(&[nonce, &sha(&[&once])]);
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

fn sha2(nonce: &[u8]) -> Vec<u8> {
    let sha = |parts: &[&[u8]]| {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|it| context.update(it));
        context.finish().as_ref().to_vec()
    };
    let once = sha(&[PASSWORD.as_bytes()]);
    let mask = sha(&[&sha(&[&once]), nonce]);
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// A certificate for one name, and the file of its authority.
pub(crate) struct Secured {
    pub(crate) ca: PathBuf,
    place: TempDir,
}

impl Secured {
    pub(crate) fn new(name: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (folder, ca) = (place.path().join("tls"), place.path().join("ca.pem"));
        std::fs::create_dir(&folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let unique = ca.display().to_string();
        params.distinguished_name.push(DnType::CommonName, unique);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join("a.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("a.key"), key.serialize_pem()).unwrap();
        Self { ca, place }
    }

    pub(crate) fn acceptor(&self) -> Arc<Acceptor> {
        let certificates = Certificates::open(&self.place.path().join("tls"));
        let tickets = TicketKeys::new().unwrap();
        Arc::new(Acceptor::new(certificates, tickets, &ClientAuth::None).unwrap())
    }
}
