use super::*;
use minato_config::EntranceHook;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "s3cret-token";

fn hook(to: HookTarget) -> EntranceHook {
    EntranceHook {
        to,
        timeout: PATIENCE,
        addresses: ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()].into(),
        follow: minato_config::Follow::Nobody,
    }
}

fn word(hook: &EntranceHook) -> Word<'static> {
    let wish = Wish::Take { epoch: Some(7) };
    Word::new(("tokyo", "gw", "cdn"), wish, ("alice", Timestamp(5)), hook)
}

fn shell(script: &str) -> EntranceHook {
    hook(HookTarget::Command(
        ["/bin/sh", "-c", script].map(str::to_owned).into(),
    ))
}

const DOCUMENT: &str = r#"{"v":1,"id":"tokyo/gw/cdn/publish/5","site":"tokyo","node":"gw","name":"cdn","action":"publish","scope":"site","epoch":7,"addresses":["192.0.2.1","2001:db8::1"],"who":"alice","asked_at_ms":5}"#;

#[tokio::test]
async fn a_command_reads_the_document_and_its_essence() {
    let folder = tempfile::tempdir().unwrap();
    let (input, essence) = (folder.path().join("input"), folder.path().join("essence"));
    let script = format!(
        "cat > {}; echo \"$MINATO_ACTION $MINATO_SCOPE $MINATO_NAME $MINATO_SITE $MINATO_NODE $MINATO_EPOCH $MINATO_ADDRESSES $MINATO_ID\" > {}",
        input.display(),
        essence.display()
    );
    let hook = shell(&script);
    tell(&hook, &word(&hook)).await.unwrap();
    assert_eq!(std::fs::read_to_string(input).unwrap(), DOCUMENT);
    assert_eq!(
        std::fs::read_to_string(essence).unwrap().trim(),
        "publish site cdn tokyo gw 7 192.0.2.1 2001:db8::1 tokyo/gw/cdn/publish/5"
    );
    let hook = shell("echo no quota; exit 3");
    let error = tell(&hook, &word(&hook)).await.unwrap_err();
    assert_eq!(
        error,
        "/bin/sh failed (exit status: 3); it said last: no quota"
    );
}

/// Serves one connection: what was asked.
fn serve(
    answer: &'static str,
    wrap: impl FnOnce(std::net::TcpStream) -> Box<dyn Both> + Send + 'static,
) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = wrap(stream);
        let (mut asked, mut byte) = (Vec::new(), [0]);
        while !asked.ends_with(DOCUMENT.as_bytes()) {
            match stream.read(&mut byte) {
                Ok(1) => asked.push(byte[0]),
                _ => break,
            }
        }
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.flush();
        String::from_utf8_lossy(&asked).into_owned()
    });
    (port, served)
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

fn webhook(url: String, token: Option<&Path>, ca: Option<&Path>) -> EntranceHook {
    hook(HookTarget::Webhook {
        url,
        token_file: token.map(Path::to_path_buf),
        ca: ca.map(Path::to_path_buf),
    })
}

const FINE: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_webhook_gets_it_with_the_token_and_the_key_that_makes_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (port, served) = serve(FINE, |it| Box::new(it));
    let hook = webhook(format!("http://127.0.0.1:{port}/a?b=c"), Some(&token), None);
    let error = tell(&hook, &word(&hook)).await.unwrap_err();
    assert!(
        error.contains("chmod 600") && !error.contains(TOKEN),
        "{error}"
    );
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    tell(&hook, &word(&hook)).await.unwrap();
    let asked = served.join().unwrap();
    assert!(asked.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{asked}");
    let lower = asked.to_lowercase();
    for field in [
        "content-type: application/json",
        "idempotency-key: tokyo/gw/cdn/publish/5",
        &format!("authorization: bearer {TOKEN}"),
        &format!("host: 127.0.0.1:{port}"),
    ] {
        assert!(lower.contains(field), "{field}: {asked}");
    }
    assert!(asked.ends_with(DOCUMENT), "{asked}");
}

#[tokio::test]
async fn what_a_webhook_answers_but_yes_is_told_and_a_redirect_is_not_followed() {
    for (answer, part) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nno\x1b[2J way",
            "403 Forbidden: no [2J way",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "302 Found",
        ),
        ("what?\r\n\r\n", "broke"),
        ("", "broke"),
    ] {
        let (port, _served) = serve(answer, |it| Box::new(it));
        let hook = webhook(format!("http://127.0.0.1:{port}/"), None, None);
        let error = tell(&hook, &word(&hook)).await.unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut hook = webhook(format!("http://127.0.0.1:{port}/"), None, None);
    hook.timeout = Duration::from_millis(300);
    let error = tell(&hook, &word(&hook)).await.unwrap_err();
    assert_eq!(error, "no answer within 300ms");
    drop(silent);
    let error = tell(&hook, &word(&hook)).await.unwrap_err();
    assert!(error.contains("cannot be reached"), "{error}");
}

/// An authority in a file, and a server's side of TLS for 127.0.0.1 by it.
fn authority(folder: &Path) -> (std::path::PathBuf, Arc<rustls::ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = KeyPair::generate().unwrap();
    let pem = params.self_signed(&own).unwrap().pem();
    let issuer = Issuer::new(params, own);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let file = folder.join("ca.crt");
    std::fs::write(&file, pem).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .unwrap();
    (file, Arc::new(config))
}

#[tokio::test]
async fn over_tls_who_answers_must_prove_who_it_is() {
    let (ours, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ca, config) = authority(ours.path());
    let (wrong, _) = authority(others.path());
    for (ca, is_fine) in [(&wrong, false), (&ca, true)] {
        let config = Arc::clone(&config);
        let (port, served) = serve(FINE, move |stream| {
            let session = rustls::ServerConnection::new(config).unwrap();
            Box::new(rustls::StreamOwned::new(session, stream))
        });
        let hook = webhook(format!("https://127.0.0.1:{port}/"), None, Some(ca));
        let told = tell(&hook, &word(&hook)).await;
        let asked = served.join().unwrap();
        assert_eq!(told.is_ok(), is_fine, "{told:?}");
        assert_eq!(asked.ends_with(DOCUMENT), is_fine, "{asked}");
    }
}
